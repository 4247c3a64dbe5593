/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The live index: where it lies, whether it is believed, how it is made anew.
 *
 * An index is a cache of the log.  Whatever is wrong with it, it is thrown
 * away and made from the newest checkpoint whose files are whole; only when
 * there is none left from which the log goes on does the open fail.
 *
 * Made means: copied beside, durable, then renamed, so that a crash in
 * between leaves no half index that an engine might take for a whole one.
 */
#include <meta/internal.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/log.h>
#include <base/str.h>
#include <meta/files.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct engine *index_get(struct meta *m)
{
	AUTOLOCK(&m->engine_lock);

	if (m->engine)
		m->engine->refs++;
	return m->engine;
}

void index_put(struct meta *m, struct engine *e)
{
	bool last = false, old;

	if (!e)
		return;
	(void)pthread_mutex_lock(&m->engine_lock);
	last = !--e->refs;
	old = e->old;
	(void)pthread_mutex_unlock(&m->engine_lock);
	if (!last)
		return;
	engine_free(e);
	AUTOLOCK(&m->engine_lock);
	m->n_old -= old;
}

bool index_old_in_use(struct meta *m)
{
	AUTOLOCK(&m->engine_lock);

	return m->n_old;
}

void index_swap(struct meta *m, struct engine *e)
{
	struct engine *old;

	(void)pthread_mutex_lock(&m->engine_lock);
	old = m->engine;
	m->engine = e;
	if (old) {
		old->old = true;
		m->n_old++;
	}
	(void)pthread_mutex_unlock(&m->engine_lock);
	overlay_bump(&m->overlay);
	index_put(m, old);
}

/*
 * The order in which log disks are asked for the index: those without
 * fragments first, they are the fast ones; then as the label has them.
 */
static uint32_t index_order(struct meta *m, struct log_disk *v[LOGS_MAX])
{
	uint32_t n = 0;

	for (int stores = 0; stores < 2; stores++)
		for (uint32_t i = 0; i < m->n_logs; i++)
			if (!(m->logs[i]->disk->role & MEMBER_STORES) ==
			    !stores)
				v[n++] = m->logs[i];
	return n;
}

static uint32_t open_flags(const struct meta *m)
{
	return m->readonly ? DYNFS_META_OPEN_RDONLY : 0;
}

static bool is_known(const struct truth *t, const struct engine *e)
{
	const uint8_t *sum = truth_sum(t, e->number);

	return sum && sum_equal(sum, e->sum);
}

int index_find(struct meta *m, const struct truth *t, struct engine **ret)
{
	struct log_disk *order[LOGS_MAX];
	uint32_t n = index_order(m, order);

	for (uint32_t i = 0; i < n; i++) {
		AUTOFREE char *path = str_path(order[i]->disk->path, "index");
		struct engine *e = NULL;
		struct dynfs_os_stat st;
		int r;

		if (!path)
			return -ENOMEM;
		if (m->os->stat(m->os, path, &st))
			continue;
		r = engine_open(&m->how, order[i]->disk, path, open_flags(m),
				&e);
		if (r == -ENOMEM)
			return r;
		if (r == -EUCLEAN)
			log_warn("meta", "the index in %s is damaged: %s", path,
				 fail_text(r));
		if (r)
			continue;
		if (is_known(t, e) || e->number > t->last) {
			*ret = e;
			return 0;
		}
		log_info("meta",
			 "the index in %s is of group %" PRIu64
			 " and not of this log: it is made anew",
			 path, e->number);
		engine_free(e);
	}
	return -ENOENT;
}

static int make_empty(struct meta *m, struct disk *k, const char *path,
		      struct engine **ret)
{
	int r = tree_remove(m->os, path);

	return r ? r
		 : engine_open(&m->how, k, path, DYNFS_META_OPEN_CREATE, ret);
}

static int make_from(struct meta *m, struct disk *k, const char *path,
		     const struct ckpt *c, struct engine **ret)
{
	AUTOFREE char *fresh = str_printf("%s.new", path);
	int r = fresh ? ckpt_restore(m->os, c, fresh) : -ENOMEM;

	if (!r)
		r = tree_remove(m->os, path);
	if (!r)
		r = m->os->rename(m->os, fresh, path);
	if (!r)
		r = m->os->syncdir(m->os, k->path);
	if (!r)
		r = engine_open(&m->how, k, path, 0, ret);
	return r;
}

/* On disk k, from whichever checkpoint can be had, newest first. */
static int make_on(struct meta *m, const struct truth *t, struct disk *k,
		   struct engine **ret)
{
	AUTOFREE char *path = str_path(k->path, "index");
	int r = -ENOENT;

	if (!path)
		return -ENOMEM;
	for (size_t i = t->ckpts.n; i-- && r && r != -ENOMEM;) {
		const struct ckpt *c = &t->ckpts.v[i];

		if (strcmp(c->engine, m->how.engine_plugin) != 0) {
			r = fail(-EUCLEAN, "%s was made by engine %s", c->path,
				 c->engine);
			continue;
		}
		r = make_from(m, k, path, c, ret);
		if (!r && !is_known(t, *ret)) {
			engine_free(*ret);
			r = -EUCLEAN;
		}
		if (r)
			log_warn("meta", "no index from %s: %s", c->path,
				 fail_text(r));
	}
	if (r && r != -ENOMEM && !t->base)
		r = make_empty(m, k, path, ret);
	return r;
}

/* Nothing may be written: a checkpoint is opened where it lies. */
static int make_in_place(struct meta *m, const struct truth *t,
			 struct engine **ret)
{
	for (size_t i = t->ckpts.n; i--;) {
		const struct ckpt *c = &t->ckpts.v[i];

		if (ckpt_verify(m->os, c) ||
		    engine_open(&m->how, c->disk, c->path,
				DYNFS_META_OPEN_RDONLY, ret))
			continue;
		if (is_known(t, *ret))
			return 0;
		engine_free(*ret);
	}
	if (t->base)
		return fail(-EUCLEAN, "no checkpoint is whole: no index can "
				      "be made");
	*ret = NULL;
	return 0;
}

int index_make(struct meta *m, const struct truth *t, const struct disk *avoid,
	       struct engine **ret)
{
	struct log_disk *order[LOGS_MAX];
	uint32_t n = index_order(m, order);
	int r = -ENOENT;

	if (m->readonly)
		return make_in_place(m, t, ret);
	for (uint32_t i = 0; i < n && r && r != -ENOMEM; i++) {
		if (order[i]->disk == avoid)
			continue;
		r = make_on(m, t, order[i]->disk, ret);
		if (r)
			log_warn("meta", "no index on %s: %s",
				 order[i]->disk->path, fail_text(r));
	}
	return r ? fail_wrap(r, "no index can be made") : 0;
}

/* Indexes that are not in use only take room. */
int index_clean(struct meta *m)
{
	int r = 0;

	for (uint32_t i = 0; i < m->n_logs; i++) {
		AUTOFREE char *path = str_path(m->logs[i]->disk->path, "index");
		AUTOFREE char *fresh = path ? str_printf("%s.new", path) : NULL;
		int one;

		if (!fresh)
			return -ENOMEM;
		one = tree_remove(m->os, fresh);
		if (!one && m->engine && m->engine->disk != m->logs[i]->disk)
			one = tree_remove(m->os, path);
		r = r ? r : one;
	}
	return r;
}

static void scan_all_done(struct log_disk *v[LOGS_MAX], uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		log_disk_free(v[i]);
}

/* One at the group that the index has reached, on another disk. */
static int make_elsewhere(struct meta *m, struct engine **ret)
{
	struct log_disk *scans[LOGS_MAX];
	struct ckpt_list ckpts = { 0 };
	struct truth t = { 0 };
	struct engine *e = NULL;
	uint32_t n = 0;
	int r = 0;

	for (uint32_t i = 0; i < m->n_logs && r != -ENOMEM; i++) {
		struct disk *k = m->logs[i]->disk;

		r = log_disk_new(m->os, k, &m->pool, &scans[n]);
		if (r)
			break;
		r = log_scan(scans[n]);
		if (!r)
			r = ckpt_find(m->os, k, &m->pool, &ckpts);
		if (r)
			log_disk_free(scans[n]);
		else
			n++;
	}
	r = r == -ENOMEM ? r : truth_build(&t, scans, n, &ckpts);
	if (!r)
		r = index_make(m, &t, m->engine->disk, &e);
	if (!r && e)
		r = replay(m, e, &t, e->number + 1, m->applied);
	if (!r)
		*ret = e;
	else
		engine_free(e);
	truth_done(&t);
	ckpt_list_done(&ckpts);
	scan_all_done(scans, n);
	return r;
}

int index_move(struct meta *m, int why)
{
	struct engine *e = NULL;
	int r = why;

	if (why != -ENOMEM && !m->stuck) {
		/* no checkpoint comes or goes meanwhile */
		AUTOLOCK(&m->ckpt_lock);

		log_error("meta", "the index in %s is left (%s)",
			  m->engine->path, fail_text(why));
		r = make_elsewhere(m, &e);
		if (!r)
			index_swap(m, e);
	}
	if (!r && e)
		log_info("meta", "the index is in %s now", e->path);
	(void)pthread_mutex_lock(&m->lock);
	m->move = 0;
	m->n_moves++;
	/* one that failed would fail again and again */
	m->stuck = r != 0;
	(void)pthread_cond_broadcast(&m->changed);
	(void)pthread_mutex_unlock(&m->lock);
	return r;
}

bool index_repair(struct meta *m, int why)
{
	uint64_t before;
	bool ok;

	if (m->readonly || (why != -EIO && why != -EUCLEAN))
		return false;
	if (m->stuck)
		return false;
	if (commit_is_self(m))
		return !index_move(m, why);
	/* while the pool is opened there is nobody who would do it */
	if (!atomic_load(&m->threads))
		return false;
	(void)pthread_mutex_lock(&m->lock);
	before = m->n_moves;
	m->move = m->move ? m->move : why;
	commit_wake(m);
	while (m->n_moves == before && !m->failed && !m->stop)
		(void)pthread_cond_wait(&m->changed, &m->lock);
	ok = m->n_moves != before && !m->stuck;
	(void)pthread_mutex_unlock(&m->lock);
	return ok;
}
