/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading and freeing.
 *
 * A payload is read by one preadv from where the place says: whether these
 * are the right bytes is for the core's checksums, which it needs anyway.
 * Before something is destroyed its frame must say that it is the fragment
 * meant; so frees can be repeated, late, and aimed at places long gone.
 *
 * Freeing writes a tombstone into the frame and punches the whole pages
 * inside the record out; where the frame lies in one of them the hole says it
 * all.  Neighbours freed in one vector are punched as one piece, which also
 * gives back the pages that they share.
 */
#include "segment.h"

#include "../common/iov.h"

#include <errno.h>
#include <string.h>

static uint64_t iov_bytes(const struct iovec *iov, uint32_t n)
{
	uint64_t total = 0;

	for (uint32_t i = 0; i < n; i++)
		total += iov[i].iov_len;
	return total;
}

/* The segment of a place, with a reference, if the place can be one. */
static struct seg *place_seg(struct store *s, const struct dynfs_place *place,
			     struct seg_rec *ret)
{
	uint64_t number, off, len, size;
	struct seg *g;

	seg_place_get(place, &number, ret);
	off = (uint64_t)ret->unit * SEG_UNIT;
	len = seg_rec_len(ret->head_len, ret->payload_len);
	if (ret->payload_len >= SEG_ALIGN_FROM && off % SEG_PAGE)
		return NULL;
	g = seg_find(s, number);
	if (!g)
		return NULL;
	pthread_mutex_lock(&s->lock);
	size = g->size;
	pthread_mutex_unlock(&s->lock);
	if (off < SEG_PAGE || off > size || len > size - off) {
		seg_unref(s, g);
		return NULL;
	}
	return g;
}

static bool rec_matches(const struct seg_rec *a, const struct seg_rec *place,
			const struct dynfs_fragment_id *id)
{
	return a->epoch == id->epoch && a->counter == id->counter &&
	       a->index == id->index && a->unit == place->unit &&
	       a->head_len == place->head_len &&
	       a->payload_len == place->payload_len;
}

static int read_head(struct store *s, struct seg *g, int fd,
		     const struct seg_rec *place, struct dynfs_store_op *op)
{
	uint64_t off = (uint64_t)place->unit * SEG_UNIT;
	uint8_t frame[SEG_UNIT];
	struct seg_rec rec;
	int r;

	r = read_whole_at(s->os, fd, frame, sizeof(frame), off);
	if (r < 0)
		return r;
	if (seg_frame_get(frame, &rec, g->number, off,
			  seg_seed(s, g->number)) != SEG_FRAME_GOOD ||
	    !rec_matches(&rec, place, &op->id))
		return -EUCLEAN;
	return read_whole(s->os, fd, op->iov, op->n_iov,
			  off + SEG_UNIT + op->offset);
}

int segment_read(struct store *s, struct dynfs_store_op *op)
{
	uint64_t want = iov_bytes(op->iov, op->n_iov), have;
	bool head = op->part == DYNFS_STORE_HEAD;
	struct seg_rec place;
	struct seg *g = place_seg(s, &op->place, &place);
	int fd, r = -EUCLEAN;

	if (!g)
		return s->host->fail(s->host, -EUCLEAN,
				     "segment: no such place");
	have = head ? place.head_len : place.payload_len;
	if (op->offset <= have && want <= have - op->offset)
		r = seg_fd_get(s, g, &fd);
	if (!r) {
		r = head ? read_head(s, g, fd, &place, op)
			 : read_whole(s->os, fd, op->iov, op->n_iov,
				      seg_payload_off(&place) + op->offset);
		seg_fd_put(s, g);
	}
	/* removed between the two: it was freed */
	if (r == -ENOENT)
		r = -EUCLEAN;
	if (r == -EUCLEAN)
		r = s->host->fail(s->host, r,
				  "segment: %016llx holds no such fragment "
				  "or not so much of it",
				  (unsigned long long)g->number);
	seg_unref(s, g);
	return r;
}

/* A stretch of freed records of one segment, side by side. */
struct run {
	struct seg *g;
	int fd;
	uint64_t from, to;
};

static void run_punch(struct store *s, const struct run *run)
{
	uint64_t mask = SEG_PAGE - 1;
	uint64_t from = (run->from + mask) & ~mask, to = run->to & ~mask;
	int r;

	if (!run->g || to <= from)
		return;
	r = s->os->allocate(s->os, run->fd, DYNFS_OS_PUNCH, from, to - from);
	/* the space is stuck then, nothing is wrong: the tombstone is there */
	if (r < 0 && r != -EOPNOTSUPP)
		s->host->log(s->host, DYNFS_WARN,
			     "segment: cannot give space back: %s",
			     strerrordesc_np(-r));
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
		      rec_matches(rec, place, id);
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
		return rec_matches(&rec, place, id);
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

/* Destroy one record and make it part of the run. */
static int free_one(struct store *s, struct run *run,
		    const struct seg_rec *place,
		    const struct dynfs_fragment_id *id)
{
	uint64_t off = (uint64_t)place->unit * SEG_UNIT;
	uint64_t len = seg_rec_len(place->head_len, place->payload_len);
	struct iovec v = iov_from(seg_tombstone, 4);
	int r;

	pthread_mutex_lock(&run->g->freeing);
	r = free_check(s, run->g, run->fd, place, id);
	if (r > 0) {
		r = write_whole(s->os, run->fd, &v, 1, off + SEG_TOMBSTONE_AT);
		if (!r)
			free_account(s, run->g, place);
	} else {
		len = 0;
	}
	pthread_mutex_unlock(&run->g->freeing);
	if (r < 0 || !len)
		return r;
	if (run->to != off) {
		run_punch(s, run);
		run->from = off;
	}
	run->to = off + len;
	return 0;
}

/* Nothing of run's segment is being freed any more; let go of it. */
static void run_end(struct store *s, struct run *run)
{
	bool empty, ask;

	if (!run->g)
		return;
	run_punch(s, run);
	seg_alloc_refresh(s, run->g, run->fd);
	pthread_mutex_lock(&s->lock);
	ask = run->g->sealed && !run->g->live_known && !run->g->gone;
	pthread_mutex_unlock(&s->lock);
	if (ask)
		(void)seg_learn_live(s, run->g); /* else asked next time */
	pthread_mutex_lock(&s->lock);
	empty = (run->g->sealed || run->g->bad) && run->g->live_known &&
		!run->g->n_live && !run->g->n_flight && !run->g->sealing;
	pthread_mutex_unlock(&s->lock);
	seg_fd_put(s, run->g);
	if (empty)
		(void)seg_remove(s, run->g);
	seg_unref(s, run->g);
	*run = (struct run){ .fd = -1 };
}

static int free_op(struct store *s, struct run *run, struct dynfs_store_op *op)
{
	struct seg_rec place;
	struct seg *g;
	int r;

	if (s->rdonly)
		return -EROFS;
	g = place_seg(s, &op->place, &place);
	if (!g)
		return 0;
	if (g == run->g) {
		seg_unref(s, g);
	} else {
		run_end(s, run);
		r = seg_fd_get(s, g, &run->fd);
		if (r < 0) {
			seg_unref(s, g);
			return r == -ENOENT ? 0 : r;
		}
		run->g = g;
	}
	return free_one(s, run, &place, &op->id);
}

void segment_free(struct store *s, struct dynfs_store_op *const *ops,
		  uint32_t n)
{
	struct run run = { .fd = -1 };

	for (uint32_t i = 0; i < n; i++)
		ops[i]->result = free_op(s, &run, ops[i]);
	run_end(s, &run);
	pthread_mutex_lock(&s->lock);
	s->done_seq++;
	pthread_mutex_unlock(&s->lock);
	for (uint32_t i = 0; i < n; i++)
		ops[i]->done(ops[i]);
}
