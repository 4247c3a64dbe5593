/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Freeing.  Before something is destroyed its frame must say that it is the
 * fragment meant; so frees can be repeated, late, and aimed at places long
 * gone.
 *
 * The blocks are given back by punching, later.  Each segment keeps one stretch of freed records that lie
 * side by side and grows it at both ends, for fragments are mostly freed in
 * the order in which they were written, or in the reverse: a punch costs as
 * much as a hundred small writes, and pages that two records share go only
 * with both.  The stretch is punched when the next free does not touch it,
 * when it is long enough, before a sync or a listing, and when space is short.
 *
 * A packed record gets a tombstone in its frame at once.  An aligned one has
 * its pages for itself, and the stretch alone remembers it until the hole is
 * there: a tombstone would make a page dirty, and file systems write dirty
 * pages out, and wait, before they punch.
 */
#include "segment.h"

#include <errno.h>
#include <string.h>

#include "../common/iov.h"

#define PUNCH_BYTES (1u << 20) /* long enough */

/* The whole pages of the stretch. */
static uint64_t stretch_bytes(const struct seg *g, uint64_t *ret_from)
{
	uint64_t mask = SEG_PAGE - 1;
	uint64_t from = (g->punch_from + mask) & ~mask;
	uint64_t to = g->punch_to & ~mask;

	*ret_from = from;
	return to > from ? to - from : 0;
}

/* With g->freeing held: change the stretch, and what space() knows of it. */
static void stretch_set(struct store *s, struct seg *g, uint64_t from,
			uint64_t to)
{
	uint64_t at, before = stretch_bytes(g, &at);

	g->punch_from = from;
	g->punch_to = to;
	pthread_mutex_lock(&s->lock);
	s->punch_bytes += stretch_bytes(g, &at) - before;
	pthread_mutex_unlock(&s->lock);
}

/* No holes here: the space is stuck, and tombstones must do. */
static void stretch_bury(struct store *s, struct seg *g, int fd)
{
	uint64_t off = g->punch_from, seed = seg_seed(s, g->number);
	uint8_t frame[SEG_UNIT];
	struct seg_rec rec;

	while (off < g->punch_to) {
		struct iovec v = iov_from(seg_tombstone, sizeof(seg_tombstone));
		enum seg_frame_state st = SEG_FRAME_GARBAGE;

		if (!read_whole_at(s->os, fd, frame, sizeof(frame), off))
			st = seg_frame_get(frame, &rec, g->number, off, seed);
		if (st != SEG_FRAME_GOOD && st != SEG_FRAME_FREED) {
			off += SEG_UNIT;
			continue;
		}
		if (st == SEG_FRAME_GOOD)
			(void)write_whole(s->os, fd, &v, 1,
					  off + SEG_TOMBSTONE_AT);
		off += seg_rec_len(rec.head_len, rec.payload_len);
	}
}

/* With g->freeing held. */
static void stretch_punch(struct store *s, struct seg *g, int fd)
{
	uint64_t from, len = stretch_bytes(g, &from);
	int r = 0;

	if (len)
		r = s->os->allocate(s->os, fd, DYNFS_OS_PUNCH, from, len);
	if (r < 0)
		stretch_bury(s, g, fd);
	if (r < 0 && r != -EOPNOTSUPP)
		s->host->log(s->host, DYNFS_WARN,
			     "segment: cannot give space back: %s",
			     strerrordesc_np(-r));
	stretch_set(s, g, 0, 0);
	if (len)
		seg_alloc_refresh(s, g, fd);
}

/* Remove a segment that takes no more records and has none left. */
static void seg_settle(struct store *s, struct seg *g, bool learn)
{
	bool empty, ask;

	pthread_mutex_lock(&s->lock);
	ask = learn && g->sealed && !g->live_known && !g->gone;
	pthread_mutex_unlock(&s->lock);
	if (ask)
		(void)seg_learn_live(s, g); /* else asked the next time */
	pthread_mutex_lock(&s->lock);
	empty = !g->append && g->live_known && !g->n_live && !g->n_flight &&
		!g->sealing && !g->gone;
	pthread_mutex_unlock(&s->lock);
	if (!empty)
		return;
	(void)seg_remove(s, g); /* it says so itself */
}

void seg_stretch_drop(struct store *s, struct seg *g)
{
	stretch_set(s, g, 0, 0);
}

void seg_stretch_punch(struct store *s, struct seg *g)
{
	int fd;

	if (!g->punch_to)
		return;
	if (!seg_fd_get(s, g, &fd)) {
		stretch_punch(s, g, fd);
		seg_fd_put(s, g);
	} else {
		stretch_set(s, g, 0, 0);
	}
}

void seg_punch(struct store *s, struct seg *g)
{
	bool pending;

	pthread_mutex_lock(&g->freeing);
	pending = g->punch_to != 0;
	seg_stretch_punch(s, g);
	pthread_mutex_unlock(&g->freeing);
	if (pending)
		seg_settle(s, g, true);
}

void seg_punch_all(struct store *s)
{
	struct seg *g;
	uint64_t number = 0;

	while ((g = seg_find_from(s, number))) {
		number = g->number + 1;
		seg_punch(s, g);
		seg_unref(s, g);
	}
}

/* Is the damaged frame at place that of this fragment?  Ask the index. */
static bool index_vouches(struct store *s, struct seg *g,
			  const struct seg_rec *place,
			  const struct dynfs_fragment_id *id)
{
	struct seg_recs recs = { 0 };
	const struct seg_rec *rec;
	bool yes = false;

	if (seg_load(s, g, &recs) >= 0) {
		rec = seg_recs_find(&recs, place->unit);
		yes = rec && rec->state == SEG_REC_LIVE &&
		      seg_rec_matches(rec, place, id);
	}
	seg_recs_free(s, &recs);
	return yes;
}

/* 1: it is there; 0: it is not; or an error.  With g->freeing held. */
static int free_check(struct store *s, struct seg *g, int fd,
		      const struct seg_rec *place,
		      const struct dynfs_fragment_id *id)
{
	uint64_t off = (uint64_t)place->unit * SEG_UNIT;
	uint8_t frame[SEG_UNIT];
	struct seg_rec rec;
	int r;

	r = read_whole_at(s->os, fd, frame, sizeof(frame), off);
	if (r < 0)
		return r == -EUCLEAN ? 0 : r;
	switch (seg_frame_get(frame, &rec, g->number, off,
			      seg_seed(s, g->number))) {
	case SEG_FRAME_GOOD:
		return seg_rec_matches(&rec, place, id);
	case SEG_FRAME_GARBAGE:
		return index_vouches(s, g, place, id);
	default:
		return 0;
	}
}

static void free_account(struct store *s, struct seg *g,
			 const struct seg_rec *place)
{
	struct seg_rec *rec;

	pthread_mutex_lock(&s->lock);
	rec = seg_recs_find(&g->recs, place->unit);
	if (rec)
		rec->state = SEG_REC_DEAD;
	if (g->live_known && g->n_live) {
		g->n_live--;
		g->live_bytes -=
		    seg_rec_len(place->head_len, place->payload_len);
	}
	if (s->fragments)
		s->fragments--;
	seg_dirty(s, g, false);
	pthread_mutex_unlock(&s->lock);
}

/*
 * Where the dead records end that follow at off: freed before, one by one,
 * they had no whole page for themselves.
 */
static uint64_t dead_until(struct store *s, const struct seg *g, int fd,
			   uint64_t off)
{
	uint64_t seed = seg_seed(s, g->number), most = off + PUNCH_BYTES;
	uint8_t frame[SEG_UNIT];
	struct seg_rec rec;

	while (off < most &&
	       !read_whole_at(s->os, fd, frame, sizeof(frame), off) &&
	       seg_frame_get(frame, &rec, g->number, off, seed) ==
		   SEG_FRAME_FREED)
		off += seg_rec_len(rec.head_len, rec.payload_len);
	return off;
}

/*
 * Destroy one record; it becomes part of its segment's stretch.  With
 * g->freeing held.
 */
static int free_one(struct store *s, struct seg *g, int fd,
		    const struct seg_rec *place,
		    const struct dynfs_fragment_id *id)
{
	uint64_t off = (uint64_t)place->unit * SEG_UNIT;
	uint64_t end = off + seg_rec_len(place->head_len, place->payload_len);
	struct iovec v = iov_from(seg_tombstone, sizeof(seg_tombstone));
	bool gone;
	int r;

	pthread_mutex_lock(&s->lock);
	gone = g->gone;
	pthread_mutex_unlock(&s->lock);
	if (gone || (off < g->punch_to && end > g->punch_from))
		return 0; /* freed before */
	r = free_check(s, g, fd, place, id);
	if (r <= 0)
		return r;
	r = 0;
	if (place->payload_len < SEG_ALIGN_FROM)
		r = write_whole(s->os, fd, &v, 1, off + SEG_TOMBSTONE_AT);
	if (r < 0)
		return r;
	free_account(s, g, place);
	if (place->payload_len < SEG_ALIGN_FROM)
		end = dead_until(s, g, fd, end);
	if (g->punch_to == off) {
		stretch_set(s, g, g->punch_from, end);
	} else if (g->punch_from == end) {
		stretch_set(s, g, off, g->punch_to);
	} else {
		if (g->punch_to)
			stretch_punch(s, g, fd);
		stretch_set(s, g, off, end);
	}
	if (g->punch_to - g->punch_from >= PUNCH_BYTES)
		stretch_punch(s, g, fd);
	return 0;
}

static int free_op(struct store *s, struct dynfs_store_op *op)
{
	struct seg_rec place;
	struct seg *g;
	int fd, r;

	if (s->rdonly)
		return -EROFS;
	g = seg_of_place(s, &op->place, &place);
	if (!g)
		return 0;
	r = seg_fd_get(s, g, &fd);
	if (r == -ENOENT) {
		r = 0; /* removed just now */
	} else if (!r) {
		pthread_mutex_lock(&g->freeing);
		r = free_one(s, g, fd, &place, &op->id);
		pthread_mutex_unlock(&g->freeing);
		seg_fd_put(s, g);
		seg_settle(s, g, false);
	}
	seg_unref(s, g);
	return r;
}

void segment_free(struct store *s, struct dynfs_store_op *const *ops,
		  uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		ops[i]->result = free_op(s, ops[i]);
	pthread_mutex_lock(&s->lock);
	s->done_seq++;
	pthread_mutex_unlock(&s->lock);
	for (uint32_t i = 0; i < n; i++)
		ops[i]->done(ops[i]);
}
