/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What fits: the formula against brute force, the promise of statfs against
 * filling the disks.
 */
#include "diskfrag.h"
#include "seeded.h"

/* ---- what fits ------------------------------------------------------- */

static bool fits(const uint64_t *f, uint32_t n_free, uint32_t n, uint64_t x)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < n_free; ++i)
		sum += f[i] < x ? f[i] : x;
	return sum >= n * x;
}

static void the_water_level_is_the_largest_that_fits(void **state)
{
	uint64_t seed = seed_of_run(4711);

	(void)state;
	for (int round = 0; round < 20000; ++round) {
		uint64_t f[9], x = 0, top = 1 + rnd(&seed) % 60;
		uint32_t n_free = (uint32_t)(rnd(&seed) % 9);
		uint32_t n = 1 + (uint32_t)(rnd(&seed) % 7);

		for (uint32_t i = 0; i < n_free; ++i)
			f[i] = rnd(&seed) % 4 ? rnd(&seed) % top : 0;
		/* never more than the sum of all, which is below 540 */
		for (uint64_t y = 1; y < 600; ++y)
			if (fits(f, n_free, n, y))
				x = y;
		assert_int_equal(space_water_fill(f, n_free, n), x);
	}
}

static void the_water_level_is_right_for_huge_disks(void **state)
{
	uint64_t f[] = { UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX };
	uint64_t g[] = { 1ull << 62, 3ull << 61, 5 };

	(void)state;
	assert_true(space_water_fill(f, 4, 4) == UINT64_MAX);
	assert_true(space_water_fill(f, 4, 2) == UINT64_MAX);
	assert_true(space_water_fill(f, 4, 5) == 0);
	assert_true(space_water_fill(f, 0, 1) == 0);
	assert_true(space_water_fill(f, 4, 0) == 0);
	assert_true(space_water_fill(g, 3, 2) == (1ull << 62) + 5);
	assert_true(space_water_fill(g, 3, 3) == 5);
}

/* ---- capacity -------------------------------------------------------- */

/* The disks with most room, which is what reaches the formula. */
static uint32_t pick(struct disks *d, uint32_t n, uint64_t cost,
		     struct disk **out)
{
	uint64_t room[LAB_MAX] = { 0 };
	uint32_t n_out = 0;

	for (uint32_t i = 0; i < disks_count(d); ++i) {
		struct disk_space s = { 0 };

		(void)disk_space(disks_at(d, i), &s);
		room[i] = s.free_bytes;
	}
	while (n_out < n) {
		uint32_t best = 0;

		for (uint32_t i = 1; i < disks_count(d); ++i)
			if (room[i] > room[best])
				best = i;
		if (room[best] < cost)
			return n_out;
		room[best] = 0;
		out[n_out++] = disks_at(d, best);
	}
	return n_out;
}

/* Full extents until one has no room; returns the bytes that fit. */
static uint64_t fill(struct disks *d, uint32_t k, uint32_t n)
{
	uint32_t len = disks_label(d)->extent_bytes / k;
	uint32_t head = 320 + (len + 16383) / 16384 * 32;
	uint64_t bytes = 0, counter = 0;

	for (;;) {
		struct frag f[8];
		struct disk_op *ops[8];
		struct disk *to[8];
		bool full = false;

		if (pick(d, n, disk_cost(disks_at(d, 0), head, len), to) < n)
			return bytes;
		for (uint32_t i = 0; i < n; ++i) {
			frag_write(&f[i], to[i], ++counter, len);
			f[i].iov[0].iov_len = head;
			f[i].o.op.head_len = head;
			ops[i] = &f[i].o;
		}
		disks_submit(d, ops, n, true);
		for (uint32_t i = 0; i < n; ++i) {
			full |= f[i].o.op.result == -ENOSPC;
			assert_true(!f[i].o.op.result || full);
			free(f[i].payload);
		}
		if (full)
			return bytes;
		bytes += disks_label(d)->extent_bytes;
	}
}

static void check_promise(const char *plugin, const uint64_t *mib, uint32_t n,
			  uint32_t k, uint32_t m, bool limits)
{
	struct lab lab;
	struct disks *d;
	uint64_t total, promise, got, after;

	lab_open(&lab, n, GIB, 40);
	(void)lab_how(&lab, LAB_ALL);
	for (uint32_t i = 0; i < n; ++i) {
		lab.given[i].limit_bytes = limits ? mib[i] * MIB : 0;
		if (!limits)
			assert_int_equal(
			    simos_limit(lab.s, lab.path[i], mib[i] * MIB), 0);
	}
	lab.how.store_plugin = plugin;
	assert_int_equal(disks_create(&lab.how), 0);
	assert_int_equal(disks_open(&lab.how, &d), 0);
	assert_int_equal(disks_next_epoch(d, NULL, 0), 0);
	disks_capacity(d, k, k + m, &total, &promise);
	assert_true(promise <= total);
	got = fill(d, k, k + m);
	disks_capacity(d, k, k + m, &total, &after);
	print_message("%s, %u+%u on %u disks%s: promised %llu KiB, took %llu, "
		      "then promised %llu\n",
		      plugin, k, m, n, limits ? " with limits" : "",
		      (unsigned long long)promise >> 10,
		      (unsigned long long)got >> 10,
		      (unsigned long long)after >> 10);
	assert_true(got >= promise - promise / 50);
	assert_true(got <= promise + promise / 50);
	assert_true(after <= promise / 50);
	disks_close(d);
	lab_close(&lab);
}

static void what_statfs_promises_is_what_fits(void **state)
{
	static const uint64_t equal[] = { 48, 48, 48, 48, 48, 48 };
	static const uint64_t unequal[] = { 96, 64, 32, 32, 24, 24, 16 };
	static const uint64_t lone[] = { 200, 16, 16 };

	(void)state;
	check_promise("segment", equal, 6, 4, 2, true);
	check_promise("segment", equal, 6, 4, 2, false);
	check_promise("segment", unequal, 7, 4, 2, true);
	check_promise("segment", unequal, 7, 1, 1, true);
	check_promise("dir", equal, 6, 4, 2, true);
	check_promise("dir", unequal, 7, 2, 1, true);
	check_promise("segment", lone, 3, 1, 1, true);
	check_promise("mem", unequal, 7, 4, 2, true);
}

static void disks_on_one_device_share_its_room(void **state)
{
	struct lab lab;
	struct disks *d;
	uint64_t total, promise, got;

	(void)state;
	lab_open(&lab, 1, 200 * MIB, 41);
	(void)lab_how(&lab, LAB_ALL);
	for (uint32_t i = 0; i < 3; ++i) {
		static const char *const path[] = { "/d1/a", "/d1/b", "/d1/c" };

		lab.given[i] = lab.entry[0];
		lab.given[i].path = path[i];
		lab.given[i].limit_bytes = 150 * MIB;
	}
	lab.how.n_entries = 3;
	assert_int_equal(disks_create(&lab.how), 0);
	lab_log[0] = '\0';
	assert_int_equal(disks_open(&lab.how, &d), 0);
	disks_warn_shared(d);
	assert_true(lab_logged("lie on one device"));
	disks_warn_shared(d);
	assert_null(strstr(strstr(lab_log, "one device") + 1, "one device"));
	assert_int_equal(disks_next_epoch(d, NULL, 0), 0);
	disks_capacity(d, 2, 3, &total, &promise);
	/* 450 MiB of limits on a device of 200: two thirds of that at most */
	assert_true(total <= 134 * MIB && total > 110 * MIB);
	assert_true(promise <= total && promise > 110 * MIB);
	got = fill(d, 2, 3);
	print_message("promised %llu KiB, took %llu\n",
		      (unsigned long long)promise >> 10,
		      (unsigned long long)got >> 10);
	assert_true(got >= promise - promise / 50);
	disks_close(d);
	lab_close(&lab);
}

/* Nobody wrote anything, so all that can be had at all can be had now. */
static void what_an_empty_pool_can_hold_is_free(void **state)
{
	static const char *const path[] = { "/d1/a", "/d1/b", "/d1/c" };
	uint64_t total, promise;
	struct lab lab;
	struct disks *d;
	int fd;

	(void)state;
	lab_open(&lab, 1, 2 * GIB, 45);
	(void)lab_how(&lab, LAB_ALL);
	for (uint32_t i = 0; i < 3; ++i) {
		lab.given[i] = lab.entry[0];
		lab.given[i].path = path[i];
		lab.given[i].limit_bytes = 0;
	}
	lab.how.n_entries = 3;
	assert_int_equal(disks_create(&lab.how), 0);
	/* somebody else's */
	fd = lab.os->open(lab.os, "/d1/other", DYNFS_OS_RDWR | DYNFS_OS_CREATE,
			  0600);
	assert_int_equal(
	    lab.os->allocate(lab.os, fd, DYNFS_OS_ALLOC, 0, 500 * MIB), 0);
	assert_int_equal(lab.os->close(lab.os, fd), 0);
	assert_int_equal(disks_open(&lab.how, &d), 0);
	assert_int_equal(disks_next_epoch(d, NULL, 0), 0);
	disks_capacity(d, 2, 3, &total, &promise);
	print_message("total %llu KiB, promised %llu\n",
		      (unsigned long long)total >> 10,
		      (unsigned long long)promise >> 10);
	assert_true(promise <= total);
	assert_true(promise >= total - total / 50);
	assert_true(promise > 800 * MIB);
	disks_close(d);
	lab_close(&lab);
}

static void a_domain_takes_one_fragment_if_there_are_enough(void **state)
{
	struct lab lab;
	struct disks *d;
	uint64_t total, apart, together;

	(void)state;
	lab_open(&lab, 6, 64 * MIB, 42);
	lab_create(&lab);
	assert_int_equal(lab_session(&lab, LAB_ALL, &d), 0);
	disks_capacity(d, 1, 2, &total, &apart);
	/* five in one shelf, one outside: copies are bound by the one */
	for (uint32_t id = 1; id <= 5; ++id)
		assert_int_equal(disks_tag(d, id, "domain", "shelf"), 0);
	disks_capacity(d, 1, 2, &total, &together);
	assert_in_range(together, apart / 3 - MIB, apart / 3 + MIB);
	/* three of two domains: no more than as far as possible */
	disks_capacity(d, 1, 3, &total, &together);
	assert_in_range(together, apart / 3 * 2 - MIB, apart / 3 * 2 + MIB);
	/* more than there are disks */
	disks_capacity(d, 5, 7, &total, &together);
	assert_int_equal(together, 0);
	assert_int_equal(total, 0);
	disks_close(d);
	lab_close(&lab);
}

static void reservations_are_seen_by_the_next_writer(void **state)
{
	struct lab lab;
	struct disks *d;
	struct disk *k;
	struct disk_space s, t;

	(void)state;
	lab_open(&lab, 1, 64 * MIB, 43);
	lab_create(&lab);
	assert_int_equal(lab_session(&lab, LAB_ALL, &d), 0);
	k = disks_at(d, 0);
	assert_int_equal(disk_space(k, &s), 0);
	/* the log's share is not for fragments */
	assert_true(s.total_bytes <= 60 * MIB);
	assert_int_equal(disk_reserve(k, s.free_bytes - 10), 0);
	assert_int_equal(disk_space(k, &t), 0);
	assert_int_equal(t.free_bytes, 10);
	assert_int_equal(disk_reserve(k, 11), -ENOSPC);
	assert_int_equal(disk_reserve(k, 10), 0);
	disk_unreserve(k, 10);
	disk_unreserve(k, s.free_bytes - 10);
	assert_int_equal(disk_space(k, &t), 0);
	assert_int_equal(t.free_bytes, s.free_bytes);
	assert_int_equal(disk_reserve(k, s.free_bytes + 1), -ENOSPC);
	assert_int_equal(k->reserved_bytes, 0);
	disks_close(d);
	lab_close(&lab);
}

static void a_full_disk_still_has_room_for_the_log(void **state)
{
	struct lab lab;
	struct disks *d;
	struct dynfs_os_space below;
	int fd;

	(void)state;
	lab_open(&lab, 2, 64 * MIB, 44);
	lab_create(&lab);
	assert_int_equal(lab_session(&lab, LAB_ALL, &d), 0);
	assert_true(fill(d, 1, 2) > 40 * MIB);
	assert_int_equal(lab.os->space(lab.os, "/d1", &below), 0);
	assert_true(below.free_bytes >= 2 * MIB);
	fd = lab.os->open(lab.os, "/d1/n.log", DYNFS_OS_RDWR | DYNFS_OS_CREATE,
			  0600);
	assert_int_equal(
	    lab.os->allocate(lab.os, fd, DYNFS_OS_ALLOC, 0, below.free_bytes),
	    0);
	assert_int_equal(
	    lab.os->allocate(lab.os, fd, DYNFS_OS_ALLOC, below.free_bytes, MIB),
	    -ENOSPC);
	/* the last resort; labels need no room at all */
	assert_int_equal(disk_release_ballast(disks_at(d, 0)), 0);
	assert_int_equal(
	    lab.os->allocate(lab.os, fd, DYNFS_OS_ALLOC, below.free_bytes, MIB),
	    0);
	assert_int_equal(disks_next_epoch(d, NULL, 0), 0);
	assert_int_equal(disks_at(d, 0)->health, DISK_ONLINE);
	assert_int_equal(lab.os->close(lab.os, fd), 0);
	disks_close(d);
	lab_close(&lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_water_level_is_the_largest_that_fits),
		cmocka_unit_test(the_water_level_is_right_for_huge_disks),
		cmocka_unit_test(what_statfs_promises_is_what_fits),
		cmocka_unit_test(disks_on_one_device_share_its_room),
		cmocka_unit_test(what_an_empty_pool_can_hold_is_free),
		cmocka_unit_test(
		    a_domain_takes_one_fragment_if_there_are_enough),
		cmocka_unit_test(reservations_are_seen_by_the_next_writer),
		cmocka_unit_test(a_full_disk_still_has_room_for_the_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
