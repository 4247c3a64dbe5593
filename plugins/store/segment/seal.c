/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The birth of a segment file and its end as one that grows.
 *
 * A new file is preallocated, so that its blocks lie together and so that
 * ENOSPC comes here, before any fragment was promised room.  Near the limit
 * it is made smaller.  Sealing writes an index behind the records, cuts the
 * unused rest off, and leaves the name alone: N.open becomes N.seg only after
 * a sync (sync.c), so a name of that kind promises a durable index.
 */
#include "segment.h"

#include <errno.h>
#include <string.h>

static int file_reserve(const struct dynfs_os *os, int fd, uint64_t *size,
			uint64_t least)
{
	int r;

	for (;;) {
		r = os->allocate(os, fd, DYNFS_OS_ALLOC, 0, *size);
		if (r == -EOPNOTSUPP || r == -ENOSYS)
			return os->truncate(os, fd, *size);
		if (r != -ENOSPC || *size == least)
			return r;
		/* it may have taken a part of it before it gave up */
		r = os->truncate(os, fd, 0);
		if (r < 0)
			return r;
		*size = *size / 2 & ~(uint64_t)(SEG_PAGE - 1);
		if (*size < least)
			*size = least;
	}
}

static int file_start(struct store *s, int fd, struct seg *g, uint64_t least)
{
	uint8_t page[SEG_PAGE];
	struct iovec v = { page, sizeof(page) };
	int r = file_reserve(s->os, fd, &g->size, least);

	if (r < 0)
		return r;
	seg_header_put(page, s, g->number, g->size);
	return write_whole(s->os, fd, &v, 1, 0);
}

/* The new segment joins the table and gets its handle. */
static int seg_join(struct store *s, struct seg *g, int fd)
{
	int r, victim = -1;

	pthread_mutex_lock(&s->lock);
	r = seg_table_add(s, g);
	if (!r) {
		victim = seg_fd_adopt(s, g, fd);
		seg_alloc_set(s, g, g->size);
		s->dir_dirty = true;
		g->append = true;
		seg_ref(g); /* the slot's */
	}
	pthread_mutex_unlock(&s->lock);
	if (victim >= 0)
		(void)s->os->close(s->os, victim); /* synced before */
	return r;
}

/* How large the next segment is to be. */
static uint64_t size_for(struct store *s, uint64_t least)
{
	uint64_t room, size;

	pthread_mutex_lock(&s->lock);
	room = s->limit_bytes > s->alloc_bytes ? s->limit_bytes - s->alloc_bytes
					       : 0;
	pthread_mutex_unlock(&s->lock);
	size = s->segment_size < room ? s->segment_size : room;
	size &= ~(uint64_t)(SEG_PAGE - 1);
	return size < least ? 0 : size;
}

int seg_create(struct store *s, uint64_t need, struct seg **ret)
{
	uint64_t least = SEG_PAGE + seg_index_len(1), number;
	char path[4096];
	struct seg *g;
	int fd, r;

	least += (need + SEG_PAGE - 1) & ~(uint64_t)(SEG_PAGE - 1);
	r = seg_number_take(s, &number);
	if (r < 0)
		return r;
	g = seg_new(s, number);
	if (!g)
		return -ENOMEM;
	g->open_name = true;
	g->live_known = true;
	g->tail = SEG_PAGE;
	g->size = size_for(s, least);
	seg_path(s, number, true, path, sizeof(path));
	fd = g->size
		 ? s->os->open(s->os, path,
			       DYNFS_OS_RDWR | DYNFS_OS_CREATE | DYNFS_OS_EXCL,
			       0600)
		 : -ENOSPC;
	if (fd < 0) {
		seg_unref(s, g);
		return fd;
	}
	r = file_start(s, fd, g, least);
	if (!r)
		r = seg_join(s, g, fd);
	if (r < 0) {
		(void)s->os->close(s->os, fd); /* to be removed */
		(void)s->os->unlink(s->os, path);
		seg_unref(s, g);
		return r;
	}
	*ret = g;
	return 0;
}

/* What goes into the index: the records that were written and not freed. */
static int live_records(struct store *s, struct seg *g, struct seg_recs *ret)
{
	int r = 0;

	pthread_mutex_lock(&s->lock);
	for (uint32_t i = 0; i < g->recs.n && !r; i++)
		if (g->recs.v[i].state == SEG_REC_LIVE)
			r = seg_recs_add(s, ret, &g->recs.v[i]);
	pthread_mutex_unlock(&s->lock);
	return r;
}

static int index_write(struct store *s, struct seg *g,
		       const struct seg_recs *recs, int fd, uint64_t *ret_size)
{
	uint64_t at = (g->tail + SEG_PAGE - 1) & ~(uint64_t)(SEG_PAGE - 1);
	uint64_t len = seg_index_len(recs->n);
	uint8_t *buf = s->host->alloc(s->host, len, 0);
	struct iovec v = { buf, len };
	int r;

	if (!buf)
		return -ENOMEM;
	seg_index_put(buf, recs->v, recs->n, at, g->packed_bytes, g->number,
		      seg_seed(s, g->number));
	r = write_whole(s->os, fd, &v, 1, at);
	/* the footer counts only where the file ends: not before this */
	if (!r)
		r = s->os->truncate(s->os, fd, at + len);
	s->host->free(s->host, buf);
	*ret_size = at + len;
	return r;
}

static int seal_file(struct store *s, struct seg *g, uint64_t *ret_size)
{
	struct seg_recs recs = { 0 };
	int fd, r;

	r = live_records(s, g, &recs);
	if (!r)
		r = seg_fd_get(s, g, &fd);
	if (!r) {
		r = index_write(s, g, &recs, fd, ret_size);
		seg_alloc_refresh(s, g, fd);
		seg_fd_put(s, g);
	}
	seg_recs_free(s, &recs);
	return r;
}

void seg_seal(struct store *s, struct seg *g)
{
	bool empty, crowded, bad;
	uint64_t size = 0;
	int r = 0;

	pthread_mutex_lock(&s->lock);
	empty = !g->n_live;
	bad = g->bad;
	pthread_mutex_unlock(&s->lock);
	if (!bad && !empty)
		r = seal_file(s, g, &size);

	pthread_mutex_lock(&s->lock);
	if (!g->bad && !r) {
		empty = !g->n_live; /* freed meanwhile? */
		if (!empty) {
			g->sealed = true;
			g->size = size;
			seg_recs_free(s, &g->recs);
			seg_dirty(s, g, true);
		}
	} else {
		empty = false;
	}
	g->sealing = false;
	s->n_sealing--;
	crowded = s->n_fds > (uint64_t)s->config.open_files;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	if (empty)
		(void)seg_remove(s, g); /* it says so itself */
	if (r < 0)
		s->host->log(s->host, DYNFS_WARN,
			     "segment: no index could be written: %s",
			     strerrordesc_np(-r));
	/* handles of unsynced segments are kept: sync, or they pile up */
	if (crowded)
		(void)segment_sync(s, segment_mark(s)); /* it remembers */
}
