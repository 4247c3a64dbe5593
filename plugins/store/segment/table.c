/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of segments, their handles, and transfers that are whole.
 *
 * The table is an array sorted by number: new numbers are always the
 * largest, so adding is appending, and a lookup is a binary search that stays
 * in cache.  Handles are kept for the segments used last; one whose data is
 * not synced keeps its handle, because the kernel reports a failed write-back
 * through the handles that were open then.
 */
#include "segment.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct seg *seg_new(struct store *s, uint64_t number)
{
	struct seg *g = s->host->alloc(s->host, sizeof(*g), 0);

	if (!g)
		return NULL;
	g->number = number;
	g->refs = 1;
	g->fd = -1;
	pthread_mutex_init(&g->freeing, NULL);
	return g;
}

void seg_ref(struct seg *g)
{
	g->refs++;
}

void seg_unref(struct store *s, struct seg *g)
{
	int fd = -1;
	bool last;

	pthread_mutex_lock(&s->lock);
	last = !--g->refs;
	if (last)
		fd = seg_fd_drop(s, g);
	pthread_mutex_unlock(&s->lock);
	if (!last)
		return;
	if (fd >= 0)
		(void)s->os->close(s->os, fd); /* removed: nothing to lose */
	seg_recs_free(s, &g->recs);
	pthread_mutex_destroy(&g->freeing);
	s->host->free(s->host, g);
}

/* Index of the first segment with a number >= this. */
static uint32_t table_search(const struct store *s, uint64_t number)
{
	uint32_t lo = 0, hi = s->n_segs;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (s->segs[mid]->number < number)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int seg_table_add(struct store *s, struct seg *g)
{
	uint32_t i = table_search(s, g->number);

	if (i < s->n_segs && s->segs[i]->number == g->number)
		return -EEXIST;
	if (s->n_segs == s->cap_segs) {
		uint32_t cap = s->cap_segs ? 2 * s->cap_segs : 64;
		struct seg **v = s->host->alloc(s->host, cap * sizeof(*v), 0);

		if (!v)
			return -ENOMEM;
		if (s->segs)
			memcpy(v, s->segs, s->n_segs * sizeof(*v));
		s->host->free(s->host, s->segs);
		s->segs = v;
		s->cap_segs = cap;
	}
	memmove(s->segs + i + 1, s->segs + i,
		(s->n_segs - i) * sizeof(*s->segs));
	s->segs[i] = g;
	s->n_segs++;
	return 0;
}

struct seg *seg_find_from(struct store *s, uint64_t number)
{
	struct seg *g = NULL;
	uint32_t i;

	pthread_mutex_lock(&s->lock);
	i = table_search(s, number);
	if (i < s->n_segs) {
		g = s->segs[i];
		seg_ref(g);
	}
	pthread_mutex_unlock(&s->lock);
	return g;
}

struct seg *seg_find(struct store *s, uint64_t number)
{
	struct seg *g = NULL;
	uint32_t i;

	pthread_mutex_lock(&s->lock);
	i = table_search(s, number);
	if (i < s->n_segs && s->segs[i]->number == number) {
		g = s->segs[i];
		seg_ref(g);
	}
	pthread_mutex_unlock(&s->lock);
	return g;
}

void seg_path(const struct store *s, uint64_t number, bool open_name, char *out,
	      size_t len)
{
	(void)snprintf(out, len, "%s/%016llx.%s", s->path,
		       (unsigned long long)number, open_name ? "open" : "seg");
}

static void lru_unlink(struct seg *g)
{
	g->lru_prev->lru_next = g->lru_next;
	g->lru_next->lru_prev = g->lru_prev;
}

static void lru_front(struct store *s, struct seg *g)
{
	g->lru_next = s->lru.lru_next;
	g->lru_prev = &s->lru;
	g->lru_next->lru_prev = g;
	s->lru.lru_next = g;
}

int seg_fd_drop(struct store *s, struct seg *g)
{
	int fd = g->fd;

	if (fd < 0)
		return -1;
	lru_unlink(g);
	s->n_fds--;
	g->fd = -1;
	return fd;
}

int seg_fd_adopt(struct store *s, struct seg *g, int fd)
{
	g->fd = fd;
	lru_front(s, g);
	s->n_fds++;
	if (s->n_fds <= (uint64_t)s->config.open_files)
		return -1;
	for (struct seg *v = s->lru.lru_prev; v != &s->lru; v = v->lru_prev)
		if (v != g && !v->fd_pins && !v->n_flight && !v->data_dirty)
			return seg_fd_drop(s, v);
	return -1;
}

/*
 * By whichever name it has: a rename may come between reading open_name and
 * opening, but it only goes one way.  A file that should be there and is not
 * means that the disk is not what it was.
 */
static int fd_open(struct store *s, const struct seg *g, bool open_name)
{
	uint32_t flags = s->rdonly ? DYNFS_OS_RDONLY : DYNFS_OS_RDWR;
	char path[4096];
	int fd = -ENOENT;

	if (open_name) {
		seg_path(s, g->number, true, path, sizeof(path));
		fd = s->os->open(s->os, path, flags, 0);
	}
	if (fd == -ENOENT) {
		seg_path(s, g->number, false, path, sizeof(path));
		fd = s->os->open(s->os, path, flags, 0);
	}
	return fd;
}

int seg_fd_get(struct store *s, struct seg *g, int *ret_fd)
{
	int fd, spare = -1;
	bool open_name;

	pthread_mutex_lock(&s->lock);
	while (g->fd < 0) {
		if (spare >= 0) {
			spare = seg_fd_adopt(s, g, spare);
			continue;
		}
		open_name = g->open_name;
		pthread_mutex_unlock(&s->lock);
		fd = fd_open(s, g, open_name);
		pthread_mutex_lock(&s->lock);
		if (fd < 0) {
			if (fd == -ENOENT && !g->gone)
				fd = -EIO;
			pthread_mutex_unlock(&s->lock);
			return fd;
		}
		spare = fd;
	}
	g->fd_pins++;
	if (s->lru.lru_next != g) {
		lru_unlink(g);
		lru_front(s, g);
	}
	*ret_fd = g->fd;
	pthread_mutex_unlock(&s->lock);
	if (spare >= 0)
		(void)s->os->close(s->os, spare); /* nothing unsynced */
	return 0;
}

/* A removed file occupies its blocks as long as a handle is open. */
static int fd_drop_gone(struct store *s, struct seg *g)
{
	return g->gone && !g->fd_pins ? seg_fd_drop(s, g) : -1;
}

void seg_fd_put(struct store *s, struct seg *g)
{
	int fd;

	pthread_mutex_lock(&s->lock);
	g->fd_pins--;
	fd = fd_drop_gone(s, g);
	pthread_mutex_unlock(&s->lock);
	if (fd >= 0)
		(void)s->os->close(s->os, fd); /* removed: nothing to lose */
}

void seg_dirty(struct store *s, struct seg *g, bool data)
{
	if (data)
		g->data_dirty = true;
	if (g->on_dirty || g->gone)
		return;
	g->on_dirty = true;
	seg_ref(g);
	g->dirty_next = s->dirty;
	s->dirty = g;
}

void seg_alloc_set(struct store *s, struct seg *g, uint64_t bytes)
{
	s->alloc_bytes += bytes - g->alloc_bytes;
	g->alloc_bytes = bytes;
}

void seg_alloc_refresh(struct store *s, struct seg *g, int fd)
{
	struct dynfs_os_stat st;

	if (s->os->fstat(s->os, fd, &st) < 0)
		return;
	pthread_mutex_lock(&s->lock);
	if (!g->gone)
		seg_alloc_set(s, g, st.alloc_bytes);
	pthread_mutex_unlock(&s->lock);
}

int seg_remove(struct store *s, struct seg *g)
{
	char path[4096];
	uint32_t i;
	int r, fd;

	pthread_mutex_lock(&g->freeing);
	seg_stretch_drop(s, g);
	pthread_mutex_lock(&s->lock);
	if (g->gone) {
		pthread_mutex_unlock(&s->lock);
		pthread_mutex_unlock(&g->freeing);
		return 0;
	}
	g->gone = true;
	i = table_search(s, g->number);
	if (i < s->n_segs && s->segs[i] == g) {
		memmove(s->segs + i, s->segs + i + 1,
			(s->n_segs - i - 1) * sizeof(*s->segs));
		s->n_segs--;
	}
	seg_alloc_set(s, g, 0);
	fd = fd_drop_gone(s, g);
	/* a sync must carry the lost name, or the file comes back */
	s->dir_dirty = true;
	seg_path(s, g->number, g->open_name, path, sizeof(path));
	pthread_mutex_unlock(&s->lock);
	r = s->os->unlink(s->os, path);
	pthread_mutex_unlock(&g->freeing);
	if (fd >= 0)
		(void)s->os->close(s->os, fd); /* removed: nothing to lose */
	if (r < 0)
		s->host->log(s->host, DYNFS_WARN,
			     "segment: %s is empty but cannot be removed: %s",
			     path, strerrordesc_np(-r));
	seg_unref(s, g);
	return r;
}

int seg_recs_add(struct store *s, struct seg_recs *recs,
		 const struct seg_rec *r)
{
	if (recs->n == recs->cap) {
		uint32_t cap = recs->cap ? 2 * recs->cap : 64;
		struct seg_rec *v =
		    s->host->alloc(s->host, (size_t)cap * sizeof(*v), 0);

		if (!v)
			return -ENOMEM;
		if (recs->v)
			memcpy(v, recs->v, recs->n * sizeof(*v));
		s->host->free(s->host, recs->v);
		recs->v = v;
		recs->cap = cap;
	}
	recs->v[recs->n++] = *r;
	return 0;
}

struct seg_rec *seg_recs_find(const struct seg_recs *recs, uint32_t unit)
{
	uint32_t lo = 0, hi = recs->n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (recs->v[mid].unit == unit)
			return &recs->v[mid];
		if (recs->v[mid].unit < unit)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

void seg_recs_free(struct store *s, struct seg_recs *recs)
{
	s->host->free(s->host, recs->v);
	*recs = (struct seg_recs){ 0 };
}
