/* SPDX-License-Identifier: Apache-2.0 */
#include "poolfaults.h"

#include "simpick.h"

#include <meta/files.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void note(const struct world *w, const char *what, const char *path)
{
	char text[SIMPICK_PATH + 100];

	(void)snprintf(text, sizeof(text), "life %u: %s: %s", w->life, what,
		       path);
	seed_note(text);
}

static void flip(struct world *w, const char *disk)
{
	char path[SIMPICK_PATH];

	if (!w->flips)
		return;
	(void)snprintf(path, sizeof(path), "%s%s", disk,
		       dice(&w->rng, 2) ? "/store" : "");
	if (simpick_flip(w->p.sim, path, dice(&w->rng, UINT64_MAX))) {
		note(w, "a bit flips", path);
		met(w, SUM_FLIPS, 1);
	}
}

static void vanish(struct world *w, unsigned i)
{
	CHECK(w, !simos_vanish(w->p.sim, simpool_disk(w->weak[i]),
			       dice(&w->rng, 2) ? -EIO : -ENOENT));
	w->away[i] = true;
	note(w, "vanishes", simpool_disk(w->weak[i]));
	met(w, SUM_FAULTS, 1);
}

static void reappear(struct world *w, unsigned i)
{
	simos_reappear(w->p.sim, simpool_disk(w->weak[i]));
	w->away[i] = false;
	note(w, "is there", simpool_disk(w->weak[i]));
}

/* The nth call of some kind fails, once, a few times or from then on. */
static void inject(struct world *w, const char *disk)
{
	static const enum simos_call calls[] = {
		SIMOS_ANY,     SIMOS_MUTATING, SIMOS_OPEN,     SIMOS_PREADV,
		SIMOS_PWRITEV, SIMOS_SYNC,     SIMOS_ALLOCATE, SIMOS_RENAME,
		SIMOS_SYNCDIR, SIMOS_LIST,     SIMOS_SPACE,    SIMOS_UNLINK,
	};
	struct simos_fault f = {
		.call = calls[dice(&w->rng, sizeof(calls) / sizeof(*calls))],
		.prefix = disk,
		.nth = 1 + dice(&w->rng, 30),
		.times = dice(&w->rng, 4),
		.err = dice(&w->rng, 4) ? -EIO : -ENOENT,
	};

	note(w, "calls fail", disk);
	if (!simos_inject(w->p.sim, &f))
		met(w, SUM_FAULTS, 1);
}

/* Calls that transfer less than they were asked to are no failure. */
static void shorten(struct world *w, const char *disk)
{
	struct simos_fault f = {
		.call = dice(&w->rng, 2) ? SIMOS_PREADV : SIMOS_PWRITEV,
		.prefix = disk,
		.nth = 1 + dice(&w->rng, 30),
		.times = 1 + dice(&w->rng, 5),
		.short_bytes = 1 + dice(&w->rng, 5000),
	};

	(void)simos_inject(w->p.sim, &f);
}

void faults_strike(struct world *w)
{
	unsigned i;
	const char *disk;

	if (!w->n_weak || w->frail) {
		shorten(w,
			simpool_disk((unsigned)dice(&w->rng, SIMPOOL_DISKS)));
		return;
	}
	i = (unsigned)dice(&w->rng, w->n_weak);
	disk = simpool_disk(w->weak[i]);
	w->worn = true;
	switch (dice(&w->rng, 8)) {
	case 0:
		CHECK(w, !simos_fail_sync(w->p.sim, disk));
		met(w, SUM_FAULTS, 1);
		break;
	case 1:
	case 2:
	case 3:
		inject(w, disk);
		break;
	case 4:
		if (w->away[i])
			reappear(w, i);
		else
			vanish(w, i);
		break;
	case 5:
		shorten(w, disk);
		break;
	default:
		flip(w, disk);
	}
}

void faults_bring_back(struct world *w)
{
	for (unsigned i = 0; i < w->n_weak; i++)
		reappear(w, i);
}

void faults_between(struct world *w)
{
	for (unsigned i = 0; i < w->n_weak; i++) {
		if (w->away[i])
			reappear(w, i);
		if (w->frail)
			continue;
		w->worn = true;
		if (dice(&w->rng, 3) == 0)
			vanish(w, i);
		for (uint64_t n = dice(&w->rng, 4); n && !w->away[i]; n--)
			flip(w, simpool_disk(w->weak[i]));
	}
	if (dice(&w->rng, 4))
		return;
	for (unsigned i = 0; i < SIMPOOL_DISKS; i++) {
		char path[32];

		(void)snprintf(path, sizeof(path), "%s/index", simpool_disk(i));
		(void)tree_remove(simos_os(w->p.sim), path);
	}
}

void faults_restart(struct world *w)
{
	enum simos_survival how = dice(&w->rng, 4) ? SIMOS_COIN : SIMOS_LOSE;

	simos_crash_at(w->p.sim, 0);
	if (simos_is_down(w->p.sim))
		simos_restart(w->p.sim, how, dice(&w->rng, UINT64_MAX));
	else
		simos_crash(w->p.sim, how, dice(&w->rng, UINT64_MAX));
}
