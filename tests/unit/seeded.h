/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers from a seed: DYNFS_TEST_SEED, which is printed, or the usual one.
 * For all tests that see the core; those that see api/ only, and programs that
 * stand alone, have a generator of their own.
 */
#ifndef TESTS_UNIT_SEEDED_H
#define TESTS_UNIT_SEEDED_H

#include <base/hmap.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static inline uint64_t seed_of_run(uint64_t usual)
{
	const char *s = getenv("DYNFS_TEST_SEED");
	uint64_t seed = s ? strtoull(s, NULL, 0) : usual;

	(void)printf("seed %llu (DYNFS_TEST_SEED)\n", (unsigned long long)seed);
	return seed;
}

#define RND_STEP UINT64_C(0x9e3779b97f4a7c15) /* of the state */

/* splitmix64 */
static inline uint64_t rnd(uint64_t *s)
{
	return hash_u64(*s += RND_STEP);
}

#endif
