/* SPDX-License-Identifier: Apache-2.0 */
/* The tree alone under eight threads, with good and with weak hashes. */
#include "check.h"
#include "crowd.h"
#include "driver.h"
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define THREADS 8u
#define STEPS   4000u

static uint64_t seed;

static void crowd_in(struct world *w)
{
	double_close_every(w->meta, 50);
	crowd_run(w->fs, THREADS, STEPS, seed);
	double_close_group(w->meta);
	check_names(w->meta);
	assert_int_equal(double_keys(w->meta, 'O'), 0);
}

static void eight_threads_leave_a_whole_name_space(void **state)
{
	crowd_in(*state);
}

static void eight_threads_leave_whole_collision_chains(void **state)
{
	struct world *w = *state;

	w->tree->hash = weak_hash;
	crowd_in(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_WORLD(eight_threads_leave_a_whole_name_space),
		WITH_WORLD(eight_threads_leave_whole_collision_chains),
	};

	seed = driver_seed();
	return cmocka_run_group_tests_name("tree: crowd", tests, NULL, NULL);
}
