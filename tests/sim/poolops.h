/* SPDX-License-Identifier: Apache-2.0 */
/* One seed of the simulation of a whole pool, and what is done to it. */
#ifndef TESTS_SIM_POOLOPS_H
#define TESTS_SIM_POOLOPS_H

#include "poolmodel.h"
#include "simos.h"

#include <pool/pool.h>

struct world {
	uint64_t seed, rng;
	unsigned life, step;
	const char *doing;
	struct simos *sim;
	struct reg *reg;
	struct conf *conf;
	struct pool *pool;
	const struct dynfs_fs_view *fs;
	struct pm *m;
	unsigned weak[2], n_weak; /* disks that come and go */
	bool away;
	bool unsure; /* whether disks have what can be read from them */
	bool killed; /* what it left may be in caches only */
	bool frail;  /* something was below its strength and is not repaired */
	uint64_t next_byte;
	unsigned n_cuts, n_lost; /* cut short by power; steps lost */
};

/* Below n, from the seed. */
uint64_t dice(struct world *w, uint64_t n);
/* Fails the test with the seed and where it was. */
void check(const struct world *w, bool ok, const char *what, int line);
#define CHECK(w, cond) check(w, cond, #cond, __LINE__)
/* Is it an answer?  Not when the power is gone; else an error fails. */
bool answered(struct world *w, int r, const char *what);

/* A random operation on the pool and on the model. */
void do_something(struct world *w);

#endif
