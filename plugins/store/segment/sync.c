/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Durability.  A token is the number of batches completed so far, and one
 * more: what open() found is the first.  One caller
 * at a time is the leader: it takes the list of segments that were touched,
 * syncs each, and the directory if a name came or went; all who waited for a
 * token up to where it began are answered with it.
 *
 * When a sync fails, the kernel has dropped the dirty pages and the next sync
 * returns 0, so the tokens from the last good one up to now are remembered as
 * lost, writes still in flight there fail, and no segment that was written
 * since is appended to any more.
 */
#include "segment.h"

#include <errno.h>

uint64_t segment_mark(void *self)
{
	struct store *s = self;
	uint64_t token;

	pthread_mutex_lock(&s->lock);
	token = s->done_seq;
	pthread_mutex_unlock(&s->lock);
	return token;
}

static int seg_sync_one(struct store *s, struct seg *g)
{
	int fd, r;

	r = seg_fd_get(s, g, &fd);
	if (r < 0)
		return r;
	r = s->os->sync(s->os, fd);
	seg_fd_put(s, g);
	return r;
}

/* A sealed segment that is durable shows it by its name. */
static void seg_rename(struct store *s, struct seg *g)
{
	char from[4096], to[4096];
	bool wanted;

	pthread_mutex_lock(&g->freeing); /* against removal meanwhile */
	pthread_mutex_lock(&s->lock);
	wanted = !g->gone && g->sealed && g->open_name && !g->bad;
	pthread_mutex_unlock(&s->lock);
	if (wanted) {
		seg_path(s, g->number, true, from, sizeof(from));
		seg_path(s, g->number, false, to, sizeof(to));
		if (s->os->rename(s->os, from, to) >= 0) {
			pthread_mutex_lock(&s->lock);
			g->open_name = false;
			pthread_mutex_unlock(&s->lock);
		}
	}
	pthread_mutex_unlock(&g->freeing);
}

/*
 * What open() found: a process that was killed may have written it, and freed
 * from it, without a sync.  One call for the file system, for there may be
 * thousands of segments and nobody knows which of them was touched.
 */
static int sync_found(struct store *s)
{
	uint64_t number = 0;
	struct seg *g;
	int err = s->os->syncfs(s->os, s->path), r;

	if (err != -EOPNOTSUPP)
		return err;
	err = 0;
	while ((g = seg_find_from(s, number))) {
		number = g->number + 1;
		r = seg_sync_one(s, g);
		if (r < 0 && !err && !g->gone)
			err = r;
		seg_unref(s, g);
	}
	r = s->os->syncdir(s->os, s->path);
	return err ? err : r;
}

/* Syncs all of the list; the first error. */
static int sync_list(struct store *s, struct seg *list, bool dir)
{
	int err = 0, r;

	for (struct seg *g = list; g; g = g->sync_next) {
		bool sealed, gone;

		seg_punch(s, g);
		pthread_mutex_lock(&s->lock);
		sealed = g->sealed;
		pthread_mutex_unlock(&s->lock);
		r = seg_sync_one(s, g);
		pthread_mutex_lock(&s->lock);
		gone = g->gone;
		if (!r && !g->on_dirty)
			g->data_dirty = false;
		pthread_mutex_unlock(&s->lock);
		if (r < 0 && !err && !gone)
			err = r;
		if (!r && sealed)
			seg_rename(s, g);
	}
	if (dir) {
		r = s->os->syncdir(s->os, s->path);
		if (r < 0 && !err)
			err = r;
	}
	return err;
}

/*
 * Nothing goes into segments that are open now; they are not sealed, the
 * next open scans them.  Their slots' references go onto the list *drop.
 */
static void spoil(struct store *s, struct seg *list, struct seg *drop[16])
{
	for (struct seg *g = list; g; g = g->sync_next) {
		g->bad = true;
		g->append = false;
	}
	for (uint32_t i = 0; i < 16; i++) {
		drop[i] = s->slot[i];
		if (!drop[i])
			continue;
		drop[i]->bad = true;
		drop[i]->append = false;
		s->slot[i] = NULL;
	}
}

/* With the lock held; gives it up meanwhile. */
static void sync_lead(struct store *s)
{
	uint64_t upto = s->done_seq;
	struct seg *list = s->dirty, *drop[16] = { NULL };
	bool dir = s->dir_dirty, unsure = s->unsure;
	int r, found;

	s->syncing = true;
	s->dirty = NULL;
	s->dir_dirty = false;
	s->unsure = false;
	for (struct seg *g = list; g; g = g->dirty_next) {
		g->sync_next = g->dirty_next;
		g->on_dirty = false;
	}
	pthread_mutex_unlock(&s->lock);

	found = unsure ? sync_found(s) : 0;
	r = sync_list(s, list, dir);
	r = r ? r : found;

	pthread_mutex_lock(&s->lock);
	if (r < 0) {
		spoil(s, list, drop);
		/* what completed during the sync shares its fate */
		upto = s->done_seq;
		lost_add(&s->lost, s->durable_seq, upto);
		s->dir_dirty = s->dir_dirty || dir;
	}
	s->durable_seq = upto;
	pthread_mutex_unlock(&s->lock);
	for (uint32_t i = 0; i < 16; i++)
		if (drop[i])
			seg_unref(s, drop[i]);
	while (list) {
		struct seg *next = list->sync_next;

		seg_unref(s, list);
		list = next;
	}
	pthread_mutex_lock(&s->lock);
	s->syncing = false;
	pthread_cond_broadcast(&s->changed);
}

int segment_sync(void *self, uint64_t token)
{
	struct store *s = self;
	int r;

	pthread_mutex_lock(&s->lock);
	if (token > s->done_seq)
		token = s->done_seq;
	while (token > s->durable_seq) {
		if (s->syncing)
			pthread_cond_wait(&s->changed, &s->lock);
		else
			sync_lead(s);
	}
	r = lost_has(&s->lost, token) ? -EIO : 0;
	pthread_mutex_unlock(&s->lock);
	return r;
}
