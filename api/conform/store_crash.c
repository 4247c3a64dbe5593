/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores on a disk that loses its power: a short history is cut at each of
 * its calls in turn, and what a sync answered must be there afterwards, at
 * its place and whole.  Also: the bytes that a store leaves on the disk.
 */
#include "fragment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STORY      24 /* fragments in a history */
#define CUTS_MAX   400
#define FAULTS_MAX 400

struct story {
	struct frag f[STORY];
	bool written[STORY], synced[STORY], freed[STORY];
	bool lost[STORY]; /* a sync failed: for ever, whatever a later says */
};

static bool is_volatile(const struct inst *i)
{
	return store_ops(i)->caps & DYNFS_STORE_VOLATILE;
}

static void story_sync(struct inst *i, struct story *s, uint32_t n)
{
	bool good = !store_sync(i);

	for (uint32_t k = 0; k < n; k++) {
		s->lost[k] = s->lost[k] || (!good && !s->synced[k]);
		s->synced[k] =
		    s->synced[k] || (good && s->written[k] && !s->lost[k]);
	}
}

/* Writes, syncs, frees; every third fragment goes again. */
static void story_tell(struct inst *i, struct story *s)
{
	int res[4];

	for (uint32_t n = 0; n < STORY; n += 4) {
		for (uint32_t k = n; k < n + 4; k++)
			s->f[k] =
			    frag_make(k + 1, 50, k % 4 == 3 ? 150000 : 2000);
		frags_write(i, &s->f[n], res, 4);
		for (uint32_t k = 0; k < 4; k++)
			s->written[n + k] = !res[k];
		story_sync(i, s, n + 4);
		s->freed[n] = true;
		(void)frag_free(i, &s->f[n]); /* it may fail: it is freed */
	}
}

static bool story_holds(struct conform *c, struct inst *i,
			const struct story *s)
{
	uint64_t total = 0;

	for (uint32_t n = 0; n < STORY; n++) {
		if (s->freed[n])
			continue;
		if (s->synced[n] && frag_check(i, &s->f[n]))
			return no(c, "fragment %u was synced, and is gone", n);
		if (s->synced[n] && store_listed(i, &s->f[n], 9, &total) != 1)
			return no(c, "fragment %u is not listed", n);
	}
	return true;
}

/* New writes must not touch old places. */
static bool story_goes_on(struct conform *c, struct inst *i,
			  const struct story *s)
{
	struct frag f[8];

	for (uint32_t n = 0; n < COUNT(f); n++) {
		f[n] = frag_make(1000 + n, 70, n & 1 ? 70000 : 700);
		if (frag_write(i, &f[n]))
			return no(c, "a write after the restart fails: %s",
				  i->host.fail_text);
	}
	for (uint32_t n = 0; n < COUNT(f); n++)
		if (frag_check(i, &f[n]))
			return no(c, "a write after the restart is wrong");
	return story_holds(c, i, s);
}

static int power_off(struct inst *i, enum simos_survival how, uint64_t seed)
{
	/* what close() would still write comes too late */
	if (!simos_is_down(i->sim))
		simos_crash_at(i->sim, 1);
	if (i->self) {
		store_ops(i)->close(i->self);
		if (i->plugin->stop)
			i->plugin->stop(i->self);
		i->plugin->destroy(i->self);
		i->self = NULL;
	}
	if (simos_is_down(i->sim))
		simos_restart(i->sim, how, seed);
	else
		simos_crash(i->sim, how, seed);
	return inst_start(i);
}

/* Cuts at the nth call; true in ret_end when the story ended before it. */
static bool cut_at(struct conform *c, uint64_t nth, enum simos_survival how,
		   bool *ret_end)
{
	struct story s = { 0 };
	struct inst i;
	bool good;
	int err;

	if (inst_new(c, &i, NULL))
		return false;
	if (store_open(&i, "store", DYNFS_STORE_OPEN_CREATE, 0) ||
	    store_sync(&i))
		return no(c, "open(CREATE) fails: %s", i.host.fail_text);
	simos_crash_at(i.sim, nth);
	story_tell(&i, &s);
	*ret_end = !simos_is_down(i.sim);
	err = power_off(&i, how, c->seed + nth);
	if (!err)
		err = store_open(&i, "store", 0, 0);
	if (err)
		return no(c, "cut at call %llu: open() gives %d, %s",
			  (unsigned long long)nth, err, i.host.fail_text);
	good = story_holds(c, &i, &s) && story_goes_on(c, &i, &s);
	store_ops(&i)->close(i.self);
	good = inst_free(c, &i) && good;
	return good && (!frag_wrong() || no(c, "%s", frag_wrong()));
}

bool store_survives_power_cuts(struct conform *c)
{
	bool end = false;
	struct inst i;

	if (inst_new(c, &i, NULL))
		return false;
	if (is_volatile(&i))
		return skipped(c, "it says that it is volatile");
	for (uint64_t n = 1; !end && n < CUTS_MAX; n++)
		if (!cut_at(c, n, SIMOS_COIN, &end) ||
		    (n % 5 == 0 && !cut_at(c, n, SIMOS_LOSE, &end)))
			return false;
	return inst_free(c, &i);
}

/* What a store shows: which fragments can be read, which are listed. */
struct shown {
	bool good[STORY], listed[STORY];
};

static void story_look(struct inst *i, struct story *s, struct shown *ret)
{
	uint64_t total = 0;

	for (uint32_t n = 0; n < STORY; n++) {
		ret->good[n] =
		    s->written[n] && !frag_check_uncached(i, &s->f[n]);
		ret->listed[n] =
		    s->written[n] && store_listed(i, &s->f[n], 9, &total) == 1;
	}
}

static bool same_shown(struct conform *c, const struct shown *a,
		       const struct shown *b)
{
	for (uint32_t n = 0; n < STORY; n++) {
		if (a->good[n] && !b->good[n])
			return no(c,
				  "fragment %u was there after a kill, and is "
				  "gone after a sync and a power cut",
				  n);
		if (!a->listed[n] && b->listed[n])
			return no(c,
				  "fragment %u was not listed after a kill, "
				  "and is after a sync and a power cut",
				  n);
	}
	return true;
}

/*
 * The process dies at the nth call; then the power goes, after a sync.  With
 * bad_sync that sync of the process fails, and all is shown as it was written.
 */
static bool kill_at(struct conform *c, uint64_t nth, uint64_t bad_sync,
		    bool *ret_end)
{
	static const struct simos_fault no_syncfs = { .call = SIMOS_SYNCFS,
						      .nth = 1,
						      .err = -EOPNOTSUPP };
	struct simos_fault bad = {
		.call = SIMOS_SYNC, .nth = bad_sync, .times = 1, .err = -EIO
	};
	struct shown before, after;
	struct story s = { 0 };
	struct inst i;
	bool good;

	if (inst_new(c, &i, NULL))
		return false;
	if (store_open(&i, "store", DYNFS_STORE_OPEN_CREATE, 0) ||
	    store_sync(&i))
		return no(c, "open(CREATE) fails: %s", i.host.fail_text);
	simos_lost(i.sim, SIMOS_CACHED);
	if (bad_sync && simos_inject(i.sim, &bad))
		return no(c, "the fault cannot be set");
	simos_crash_at(i.sim, nth);
	story_tell(&i, &s);
	*ret_end = !simos_is_down(i.sim);
	if (power_off(&i, SIMOS_CACHED, 0) || store_open(&i, "store", 0, 0))
		return no(c, "killed at call %llu: open() fails: %s",
			  (unsigned long long)nth, i.host.fail_text);
	story_look(&i, &s, &before);
	/* not all systems have it */
	if (nth % 2 && simos_inject(i.sim, &no_syncfs))
		return no(c, "the fault cannot be set");
	if (store_sync(&i))
		return no(c, "the first sync after a kill fails: %s",
			  i.host.fail_text);
	if (power_off(&i, SIMOS_LOSE, nth) || store_open(&i, "store", 0, 0))
		return no(c, "open() after a power cut fails: %s",
			  i.host.fail_text);
	story_look(&i, &s, &after);
	good = same_shown(c, &before, &after) && story_holds(c, &i, &s);
	store_ops(&i)->close(i.self);
	return inst_free(c, &i) && good;
}

bool store_first_sync_covers_what_was_found(struct conform *c)
{
	bool end = false;
	struct inst i;

	if (inst_new(c, &i, NULL))
		return false;
	if (is_volatile(&i))
		return skipped(c, "it says that it is volatile");
	for (uint64_t n = 1; !end && n < CUTS_MAX; n++)
		if (!kill_at(c, n, 0, &end))
			return false;
	end = false;
	for (uint64_t n = 1; !end && n < CUTS_MAX; n++)
		if (!kill_at(c, n, n % 5 + 1, &end))
			return false;
	return inst_free(c, &i);
}

/* The nth call that changes the disk fails once, and life goes on. */
static bool fault_at(struct conform *c, uint64_t nth, int errnum, bool *ret_end)
{
	struct simos_fault fault = {
		.call = SIMOS_MUTATING, .nth = nth, .times = 1, .err = -errnum
	};
	struct story s = { 0 };
	struct inst i;
	uint64_t before;
	bool good = true;
	int err;

	if (inst_new(c, &i, NULL))
		return false;
	if (store_open(&i, "store", DYNFS_STORE_OPEN_CREATE, 0))
		return no(c, "open(CREATE) fails");
	before = simos_calls(i.sim, SIMOS_MUTATING);
	if (simos_inject(i.sim, &fault))
		return no(c, "the fault cannot be set");
	story_tell(&i, &s);
	*ret_end = simos_calls(i.sim, SIMOS_MUTATING) - before < nth;
	simos_heal(i.sim);
	for (uint32_t n = 0; good && n < STORY; n++)
		if (s.written[n] && s.synced[n] && !s.freed[n])
			good = !frag_check(&i, &s.f[n]) ||
			       no(c, "call %llu fails: fragment %u is wrong",
				  (unsigned long long)nth, n);
	err = power_off(&i, SIMOS_LOSE, nth);
	if (!err)
		err = store_open(&i, "store", 0, 0);
	if (err)
		return no(c, "call %llu fails: open() gives %d, %s",
			  (unsigned long long)nth, err, i.host.fail_text);
	good = good && story_holds(c, &i, &s);
	store_ops(&i)->close(i.self);
	return inst_free(c, &i) && good;
}

bool store_survives_failing_calls(struct conform *c)
{
	bool end = false;
	struct inst i;

	if (inst_new(c, &i, NULL))
		return false;
	if (is_volatile(&i))
		return skipped(c, "it says that it is volatile");
	for (uint64_t n = 1; !end && n < FAULTS_MAX; n++)
		if (!fault_at(c, n, n & 1 ? EIO : ENOSPC, &end))
			return false;
	return inst_free(c, &i);
}

bool store_sync_is_remembered(struct conform *c)
{
	struct frag f = frag_make(1, 50, 1000), g = frag_make(2, 50, 1000);
	uint64_t token, before;
	struct inst i;
	bool good;

	if (inst_new(c, &i, NULL) ||
	    store_open(&i, "store", DYNFS_STORE_OPEN_CREATE, 0))
		return false;
	good = !frag_write(&i, &f);
	token = store_ops(&i)->mark(i.self);
	good = good &&
	       (!store_ops(&i)->sync(i.self, token) || no(c, "sync() fails"));
	before = simos_calls(i.sim, SIMOS_SYNC);
	good =
	    good && !frag_write(&i, &g) && !store_ops(&i)->sync(i.self, token);
	good = good && (simos_calls(i.sim, SIMOS_SYNC) == before ||
			no(c, "a token that is durable is synced again"));
	store_ops(&i)->close(i.self);
	return inst_free(c, &i) && good;
}

bool store_failed_sync_stays(struct conform *c)
{
	struct frag f[3];
	uint64_t token[3];
	struct inst i;
	bool good = true, shown;

	if (inst_new(c, &i, NULL) ||
	    store_open(&i, "store", DYNFS_STORE_OPEN_CREATE, 0))
		return false;
	if (is_volatile(&i))
		return skipped(c, "it says that it is volatile");
	simos_lost(i.sim, SIMOS_CACHED);
	for (uint32_t n = 0; good && n < 3; n++) {
		f[n] = frag_make(n + 1, 50, 100000);
		good = !frag_write(&i, &f[n]);
		token[n] = store_ops(&i)->mark(i.self);
		if (n == 1)
			good = good && !simos_fail_sync(i.sim, "/disk");
		good = good &&
		       (!store_ops(&i)->sync(i.self, token[n]) == (n != 1) ||
			no(c, "sync %u has the wrong answer", n));
	}
	good = good && (store_ops(&i)->sync(i.self, token[1]) < 0 ||
			no(c, "the token of a failed sync becomes durable"));
	shown = good && !frag_check_uncached(&i, &f[1]);
	if (power_off(&i, SIMOS_LOSE, 1) || store_open(&i, "store", 0, 0))
		return no(c, "open() after it fails: %s", i.host.fail_text);
	good = good && ((!frag_check(&i, &f[0]) && !frag_check(&i, &f[2])) ||
			no(c, "what was synced before or after is gone"));
	good = good && (!shown || !frag_check(&i, &f[1]) ||
			no(c, "a read past the caches shows what a failed "
			      "sync lost"));
	store_ops(&i)->close(i.self);
	return inst_free(c, &i) && good;
}

/* ---- the bytes on the disk ------------------------------------------------ */

#define IMAGE_FILES 1024

struct image {
	const struct dynfs_os *os;
	char *name[IMAGE_FILES];
	uint32_t type[IMAGE_FILES];
	uint32_t n;
};

static int image_each(void *ctx, const char *name, uint32_t type)
{
	struct image *im = ctx;

	if (im->n == IMAGE_FILES)
		return -E2BIG;
	im->type[im->n] = type;
	im->name[im->n] = strdup(name);
	return im->name[im->n++] ? 0 : -ENOMEM;
}

static uint64_t image_file(const struct dynfs_os *os, const char *path,
			   uint64_t *ret_len)
{
	static uint8_t block[65536];
	struct iovec iov = { block, sizeof(block) };
	int fd = os->open(os, path, DYNFS_OS_RDONLY, 0);
	uint64_t hash = GOLDEN_START;
	ssize_t n;

	*ret_len = 0;
	while (fd >= 0 && (n = os->preadv(os, fd, &iov, 1, *ret_len)) > 0) {
		hash = golden_fold(hash, block, (size_t)n);
		*ret_len += (uint64_t)n;
	}
	if (fd >= 0)
		(void)os->close(os, fd);
	return hash;
}

/* Sorted names, so that the order of the listing does not matter. */
static bool image_print(const struct dynfs_os *os, const char *dir, FILE *out)
{
	struct image im = { .os = os };
	bool good = !os->list(os, dir, image_each, &im);
	char path[512];
	uint64_t len, hash;

	for (uint32_t a = 0; a < im.n; a++) {
		uint32_t least = a;
		char *name;
		uint32_t type;

		for (uint32_t b = a + 1; b < im.n; b++)
			if (strcmp(im.name[b], im.name[least]) < 0)
				least = b;
		name = im.name[least];
		type = im.type[least];
		im.name[least] = im.name[a];
		im.type[least] = im.type[a];
		(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
		if (good && type == DYNFS_OS_DIR) {
			good = image_print(os, path, out);
		} else if (good) {
			hash = image_file(os, path, &len);
			(void)fprintf(out, "%s/%llu %016llx\n", path,
				      (unsigned long long)len,
				      (unsigned long long)hash);
		}
		free(name);
	}
	return good;
}

bool store_golden(struct conform *c, FILE *out)
{
	struct story s = { 0 };
	struct inst i;
	bool good;

	c->seed = 1; /* of the system's random numbers */
	if (inst_new(c, &i, NULL))
		return false;
	if (is_volatile(&i))
		return inst_free(c, &i) &&
		       skipped(c, "it says that it is volatile");
	if (store_open(&i, "store", DYNFS_STORE_OPEN_CREATE, 0))
		return no(c, "open(CREATE) fails");
	story_tell(&i, &s);
	store_ops(&i)->close(i.self);
	good = image_print(i.host.host.os, "/disk/store", out) ||
	       no(c, "the disk cannot be listed");
	return inst_free(c, &i) && good;
}
