/* SPDX-License-Identifier: Apache-2.0 */
/* replica: copies are copies, any one of them restores the others. */
#include "host.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COPIES 16

static void copies_of_any_number_and_length_are_equal(void **state)
{
	static const size_t lens[] = { 0, 1, 63, 4096, 262145 };
	uint64_t seed = test_seed();
	struct test_plugin t;

	(void)state;
	test_open(&t, "redundancy", "replica");
	for (size_t l = 0; l < sizeof(lens) / sizeof(*lens); l++) {
		uint8_t *memory = malloc(COPIES * (lens[l] + 1));
		uint8_t *shard[COPIES];

		assert_non_null(memory);
		for (size_t i = 0; i < COPIES; i++)
			shard[i] = memory + i * (lens[l] + 1);
		for (uint32_t m = 0; m < COPIES; m++) {
			memset(memory, 0xee, COPIES * (lens[l] + 1));
			test_random_bytes(&seed, shard[0], lens[l]);
			assert_int_equal(t.plugin->redundancy->encode(
					     t.self, 1, m, shard, lens[l]),
					 0);
			for (uint32_t i = 0; i < COPIES; i++) {
				if (i <= m)
					assert_memory_equal(shard[i], shard[0],
							    lens[l]);
				assert_int_equal(shard[i][lens[l]], 0xee);
			}
		}
		free(memory);
	}
	test_close(&t);
}

static void any_copy_restores_any_others(void **state)
{
	uint8_t memory[5][100], *shard[5];
	struct test_plugin t;

	(void)state;
	test_open(&t, "redundancy", "replica");
	for (uint32_t have = 1; have < 32; have++) {
		uint32_t want = ~have & 31;

		for (uint32_t i = 0; i < 5; i++) {
			memset(memory[i], have & 1u << i ? 7 : 0xee, 100);
			shard[i] = memory[i];
		}
		assert_int_equal(t.plugin->redundancy->rebuild(
				     t.self, 1, 4, shard, 100, have, want),
				 0);
		for (uint32_t i = 0; i < 500; i++)
			assert_int_equal(memory[i / 100][i % 100], 7);
	}
	test_close(&t);
}

static void impossible_shapes_and_losses_are_refused(void **state)
{
	uint8_t memory[10] = { 0 }, *shard[2] = { memory, memory };
	const struct dynfs_redundancy_ops *ops;
	struct dynfs_redundancy_limits limits = { .size = sizeof(limits) };
	struct test_plugin t;

	(void)state;
	test_open(&t, "redundancy", "replica");
	ops = t.plugin->redundancy;
	assert_int_equal(ops->limits(t.self, &limits), 0);
	assert_int_equal(limits.data_max, 1);
	assert_int_equal(limits.check_max, 15);
	assert_int_equal(limits.total_max, 16);
	assert_int_equal(ops->check(t.self, 1, 0), 0);
	assert_int_equal(ops->check(t.self, 1, 15), 0);
	assert_int_equal(ops->check(t.self, 1, 16), -EINVAL);
	assert_int_equal(ops->check(t.self, 1, UINT32_MAX), -EINVAL);
	assert_int_equal(ops->check(t.self, 0, 1), -EINVAL);
	assert_int_equal(ops->check(t.self, 2, 1), -EINVAL);
	assert_int_equal(ops->rebuild(t.self, 1, 1, shard, 10, 0, 3), -EUCLEAN);
	assert_int_equal(ops->rebuild(t.self, 1, 1, shard, 10, 1, 1), -EINVAL);
	assert_int_equal(ops->rebuild(t.self, 1, 1, shard, 10, 1, 4), -EINVAL);
	assert_int_equal(t.host.n_messages, 7);
	test_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_of_any_number_and_length_are_equal),
		cmocka_unit_test(any_copy_restores_any_others),
		cmocka_unit_test(impossible_shapes_and_losses_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
