/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers from a seed: DYNFS_TEST_SEED, which is printed, or the usual one. */
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

/* splitmix64 */
static inline uint64_t rnd(uint64_t *s)
{
	return hash_u64(*s += 0x9e3779b97f4a7c15u);
}

#endif
