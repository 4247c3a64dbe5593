/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One seed of the simulation of a whole pool: the pool, its disks, and who
 * works on it.  Each actor has a directory, a thread and a model of its own.
 */
#ifndef TESTS_SIM_POOLWORLD_H
#define TESTS_SIM_POOLWORLD_H

#include "poolmodel.h"
#include "simpool.h"
#include "simseeds.h"

#include <pthread.h>

#define ACTORS_MAX 3u
#define HELD_MAX   2u

/* What a seed met, added up. */
enum world_sum {
	SUM_CUTS,       /* power cuts in the middle of operations */
	SUM_KILLS,      /* of the process */
	SUM_LOST_SYNCS, /* right before */
	SUM_OPEN_CUTS,  /* in the middle of opening */
	SUM_LOST,       /* steps that a cut took back */
	SUM_FAULTS,     /* calls made to fail, disks gone while in use */
	SUM_FLIPS,      /* bits */
	SUM_CHECKSUM,   /* pieces that were seen to be wrong */
	SUM_DEGRADED,   /* extents written with less than all fragments */
	SUM_FULL,       /* ENOSPC */
	SUM_READS,      /* while others wrote */
	SUM_FRAGMENTS,  /* looked at one by one */
	SUM_CHECKPOINT, /* made */
	SUM_DRAINS,     /* that had begun to take slices away, and not ended */
};

struct world;

struct actor {
	struct world *w;
	unsigned number, step, steps;
	uint64_t rng;
	const char *doing;
	struct pm *m;
	uint64_t root; /* its directory's number */
	uint64_t next_byte;
	uint32_t held[HELD_MAX]; /* nodes that it has open; 0: none */
	struct dynfs_file *files[HELD_MAX];
	pthread_t thread;
};

struct world {
	uint64_t seed, rng;
	unsigned life;
	const char *doing;
	struct simpool p;
	struct actor actor[ACTORS_MAX];
	unsigned n_actors;
	/*
	 * All that ever goes wrong with hardware goes wrong with these disks,
	 * of which no extent needs more than it can do without.
	 */
	unsigned weak[2], n_weak;
	bool away[2]; /* now */
	bool worn;    /* something went wrong with a weak one */
	bool frail;   /* an extent can not do without the weak ones any more */
	bool flips;   /* bits of weak ones do, so their fragments may be bad */
	bool killed;  /* what it left may be in caches only */
	bool unsure;  /* and some disks can not make it durable */
	bool tight;   /* small disks, which fill up */
	bool crowded; /* witnesses read while others write */
	struct witness *witness;
	uint64_t *sums; /* atomically */
};

/* Below n, from the seed. */
uint64_t dice(uint64_t *rng, uint64_t n);
void met(struct world *w, enum world_sum what, uint64_t n);

/* Fails with the seed and where it was. */
void check(const struct world *w, bool ok, const char *what, int line);
#define CHECK(w, cond) check(w, cond, #cond, __LINE__)
/* "DYNFS_SEED=... life ..." */
const char *world_where(const struct world *w, char buf[160]);

/* Wait a little; false when that was often enough. */
bool world_nap(unsigned *tries);

#endif
