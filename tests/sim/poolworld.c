/* SPDX-License-Identifier: Apache-2.0 */
#include "poolworld.h"

#include "seeded.h"

#include <base/fail.h>

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define NAPS   10000u
#define NAP_NS 1000000L

uint64_t dice(uint64_t *rng, uint64_t n)
{
	return rnd(rng) % n;
}

void met(struct world *w, enum world_sum what, uint64_t n)
{
	(void)__atomic_fetch_add(&w->sums[what], n, __ATOMIC_RELAXED);
}

const char *world_where(const struct world *w, char buf[160])
{
	(void)snprintf(
	    buf, 160,
	    "DYNFS_SEED=%" PRIu64 " life %u (%s; %u actors, %u weak%s%s%s)",
	    w->seed, w->life, w->doing, w->n_actors, w->n_weak,
	    w->away[0] || w->away[1] ? ", away" : "", w->tight ? ", tight" : "",
	    w->crowded ? ", crowded" : "");
	return buf;
}

void check(const struct world *w, bool ok, const char *what, int line)
{
	char where[160];

	if (!ok)
		seed_fail("%s: %s (line %d): %s", world_where(w, where), what,
			  line, fail_text(0));
}

bool world_nap(unsigned *tries)
{
	const struct timespec t = { .tv_nsec = NAP_NS };

	(void)nanosleep(&t, NULL);
	return ++*tries < NAPS;
}
