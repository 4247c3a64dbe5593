/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seeds one after the other, each in a process of its own: one that fails,
 * dies or hangs is named, and the others go on.
 *
 * DYNFS_SEED: the first, or the only one; DYNFS_SEEDS: how many; DYNFS_JOBS:
 * how many at a time.  A single one runs in this process, for a debugger.
 */
#ifndef TESTS_SIM_SIMSEEDS_H
#define TESTS_SIM_SIMSEEDS_H

#include <stdint.h>

#define SEEDS_SUMS 16u

struct seeds_how {
	const char *name;
	uint64_t n; /* without DYNFS_SEEDS */
	/* adds to sums what it met */
	void (*run)(uint64_t seed, uint64_t sums[SEEDS_SUMS]);
	/* of the sums, NULL at the end: many seeds must meet each of them */
	const char *met[SEEDS_SUMS + 1];
};

/*
 * All of them, and a closing line that says how many were run and failed.
 * For main() to return: 1 when one failed, or when a hundred seeds and more
 * did not meet something of met, for then they have proved little.
 */
int seeds_main(const struct seeds_how *how);

/* Into the log that a failure prints. */
void seed_note(const char *text);
/* Prints, and ends the process of this seed. */
void seed_fail(const char *fmt, ...)
    __attribute__((format(printf, 1, 2), noreturn));

#endif
