/* SPDX-License-Identifier: Apache-2.0 */
/* Whose fault it is that a disk does not say how much room it has. */
#include "disklab.h"

static void a_disk_is_suspected_only_of_what_is_its_fault(void **state)
{
	static const struct {
		int err;
		bool guilty;
	} cases[] = {
		{ -EINTR, false },  { -EAGAIN, false }, { -ENOMEM, false },
		{ -EMFILE, false }, { -ENFILE, false }, { -EIO, true },
		{ -ENODEV, true },  { -ENXIO, true },   { -ENOENT, true },
		{ -ESTALE, true },
	};
	struct lab lab;

	(void)state;
	lab_open(&lab, 2, 1ull << 30, 5);
	lab_create(&lab);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
		struct simos_fault fault = { .call = SIMOS_SPACE,
					     .prefix = "/d1/store",
					     .nth = 1,
					     .times = 1,
					     .err = cases[i].err };
		struct disk_space s, before;
		struct disks *d;
		struct disk *k;

		assert_int_equal(lab_session(&lab, LAB_ALL, &d), 0);
		k = disks_at(d, 0);
		assert_int_equal(disk_space(k, &before), 0);
		assert_int_equal(simos_inject(lab.s, &fault), 0);
		/* what passes does not make the pool look full */
		assert_int_equal(disk_space(k, &s),
				 cases[i].guilty ? cases[i].err : 0);
		if (!cases[i].guilty)
			assert_int_equal(s.free_bytes, before.free_bytes);
		assert_int_equal(k->health,
				 cases[i].guilty ? DISK_SUSPECT : DISK_ONLINE);
		assert_int_equal(disk_space(k, &s), 0);
		disks_close(d);
	}
	lab_close(&lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_disk_is_suspected_only_of_what_is_its_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
