/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The birth of a segment file and its end as one that grows.
 *
 * A new file is preallocated, so that its blocks lie together and so that
 * ENOSPC comes here, before any fragment was promised room.  Near the limit
 * it is made smaller.  Sealing gives back what failed writes left, writes an
 * index behind the records, cuts the unused rest off, and leaves the name
 * alone: N.open becomes N.seg only after a sync (sync.c), so a name of that
 * kind promises a durable index.  Where no index can be written the rest is
 * cut off all the same, and the next open makes the index.
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
		r = os->truncate(os, fd, SEG_PAGE);
		if (r < 0)
			return r;
		*size = *size / 2 & ~(uint64_t)(SEG_PAGE - 1);
		if (*size < least)
			*size = least;
	}
}

static int header_write(struct store *s, int fd, const struct seg *g)
{
	uint8_t page[SEG_PAGE];
	struct iovec v = { page, sizeof(page) };

	seg_header_put(page, s, g->number, g->size);
	return write_whole(s->os, fd, &v, 1, 0);
}

/*
 * The header comes first: a disk that takes none has nothing reserved then,
 * whether it lets the file be removed or not.
 */
static int file_start(struct store *s, int fd, struct seg *g, uint64_t least)
{
	uint64_t wanted = g->size;
	int r = header_write(s, fd, g);

	if (!r)
		r = file_reserve(s->os, fd, &g->size, least);
	if (!r && g->size != wanted)
		r = header_write(s, fd, g);
	return r;
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
	g->ours = true;
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

static int records_that_are(struct store *s, struct seg *g,
			    enum seg_rec_state state, struct seg_recs *ret)
{
	int r = 0;

	pthread_mutex_lock(&s->lock);
	for (uint32_t i = 0; i < g->recs.n && !r; i++)
		if (g->recs.v[i].state == state)
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

/*
 * What failed between records.  Nothing is in flight any more, so nobody will
 * take it back.  Best effort: it only costs room.
 */
static void voids_punch(struct store *s, struct seg *g, int fd)
{
	uint64_t mask = SEG_PAGE - 1;
	struct seg_recs recs = { 0 };

	(void)records_that_are(s, g, SEG_REC_VOID, &recs);
	for (uint32_t i = 0; i < recs.n; i++) {
		const struct seg_rec *r = &recs.v[i];
		uint64_t off = (uint64_t)r->unit * SEG_UNIT;
		uint64_t len = seg_rec_len(r->head_len, r->payload_len);
		uint64_t from = (off + mask) & ~mask, to = (off + len) & ~mask;

		if (from < to)
			(void)s->os->allocate(s->os, fd, DYNFS_OS_PUNCH, from,
					      to - from);
	}
	seg_recs_free(s, &recs);
}

/* What was reserved and is not needed, where there is no index to cut at. */
static uint64_t rest_cut(struct store *s, struct seg *g, int fd)
{
	uint64_t end = (g->tail + SEG_PAGE - 1) & ~(uint64_t)(SEG_PAGE - 1);

	return s->os->truncate(s->os, fd, end) < 0 ? g->size : end;
}

static int seal_file(struct store *s, struct seg *g, uint64_t *ret_size)
{
	struct seg_recs recs = { 0 };
	int fd, r;

	/* the index has what was written and not freed */
	r = records_that_are(s, g, SEG_REC_LIVE, &recs);
	if (!r)
		r = seg_fd_get(s, g, &fd);
	if (!r) {
		voids_punch(s, g, fd);
		r = index_write(s, g, &recs, fd, ret_size);
		if (r < 0)
			*ret_size = rest_cut(s, g, fd);
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
	empty = !g->bad && !g->n_live; /* freed meanwhile? */
	if (size)
		g->size = size;
	if (!g->bad && !empty && !r) {
		g->sealed = true;
		seg_recs_free(s, &g->recs);
		seg_dirty(s, g, true);
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
