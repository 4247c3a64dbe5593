/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing: space is reserved under the lock by moving the tail of an open
 * segment, then the bytes go out in one pwritev without it.  Writes of one
 * vector that lie side by side share one system call.
 *
 * A write that fails leaves a gap that nobody points to; its frame is wiped,
 * so that a later scan does not take it for a record.  The gap at the end of
 * a segment is taken back, for a full disk makes many: who tries again and
 * again must not use up what he does not get.
 */
#include "segment.h"

#include "../common/iov.h"

#include <errno.h>
#include <string.h>

#define IOV_LOCAL 256u

static const uint8_t zeros[SEG_PAGE];

/* One write on its way. */
struct pending {
	struct dynfs_store_op *op;
	struct seg *g;
	struct seg_rec rec;
	uint64_t off, len;
	uint8_t frame[SEG_UNIT];
	int result;
	bool spoiled; /* written, into a segment whose sync failed */
};

static int pending_check(struct store *s, struct dynfs_store_op *op,
			 struct pending *p)
{
	uint64_t total = 0;

	*p = (struct pending){ .op = op };
	if (s->rdonly)
		return -EROFS;
	for (uint32_t i = 0; i < op->n_iov; i++)
		total += op->iov[i].iov_len;
	if (total < op->head_len || op->head_len > SEG_HEAD_MAX)
		return s->host->fail(s->host, -EINVAL,
				     "segment: head of %u bytes in a write "
				     "of %llu",
				     op->head_len, (unsigned long long)total);
	p->rec = (struct seg_rec){
		.head_len = op->head_len,
		.payload_len = total - op->head_len,
		.epoch = op->id.epoch,
		.counter = op->id.counter,
		.index = op->id.index,
		.state = SEG_REC_PENDING,
	};
	p->len = seg_rec_len(op->head_len, p->rec.payload_len);
	if (p->rec.payload_len > SEG_PAYLOAD_MAX || p->len > s->max_record)
		return s->host->fail(s->host, -EINVAL,
				     "segment: a fragment of %llu bytes is "
				     "more than the store was opened for",
				     (unsigned long long)total);
	return 0;
}

static uint64_t record_start(const struct seg *g, const struct seg_rec *r)
{
	if (r->payload_len >= SEG_ALIGN_FROM)
		return (g->tail + SEG_PAGE - 1) & ~(uint64_t)(SEG_PAGE - 1);
	return g->tail;
}

/* Take room in g for p; false when it does not fit. */
static bool seg_take(struct store *s, struct seg *g, struct pending *p)
{
	uint64_t off, end;

	if (!g || !g->append)
		return false;
	off = record_start(g, &p->rec);
	end = (off + p->len + SEG_PAGE - 1) & ~(uint64_t)(SEG_PAGE - 1);
	if (end + seg_index_len(g->recs.n + 1) > g->size)
		return false;
	p->rec.unit = (uint32_t)(off / SEG_UNIT);
	if (seg_recs_add(s, &g->recs, &p->rec) < 0) {
		p->result = -ENOMEM;
		return true;
	}
	p->off = off;
	p->g = g;
	g->tail = off + p->len;
	g->n_flight++;
	seg_ref(g);
	return true;
}

/* The slot whose segment has the fewest writes in flight. */
static uint32_t slot_pick(const struct store *s)
{
	uint32_t best = 0;

	for (uint32_t i = 1; i < (uint64_t)s->config.open_segments; i++) {
		if (!s->slot[best])
			break;
		if (!s->slot[i] ||
		    s->slot[i]->n_flight < s->slot[best]->n_flight)
			best = i;
	}
	return best;
}

/* What new segments may occupy when g's unused rest is given back. */
static uint64_t room_for_new(const struct store *s, const struct seg *g)
{
	uint64_t used = s->alloc_bytes;

	if (g) {
		uint64_t end =
		    ((g->tail + SEG_PAGE - 1) & ~(uint64_t)(SEG_PAGE - 1)) +
		    seg_index_len(g->recs.n);

		if (end < g->alloc_bytes)
			used -= g->alloc_bytes - end;
	}
	return s->limit_bytes > used ? s->limit_bytes - used : 0;
}

/* Let no more into g; whoever finishes its last write seals it. */
static bool slot_retire(struct store *s, struct seg *g)
{
	g->append = false;
	g->sealing = true;
	s->n_sealing++;
	return !g->n_flight;
}

/*
 * Put a new segment with room for need into slot i; called with the lock
 * held, gives it up meanwhile.
 */
static int slot_renew(struct store *s, uint32_t i, uint64_t need)
{
	struct seg *old = s->slot[i], *g = NULL;
	uint64_t least = need + 3 * (uint64_t)SEG_PAGE;
	bool seal = false;
	int r;

	/* rather what was freed than a small segment or none */
	if (room_for_new(s, old) < s->segment_size && s->punch_bytes) {
		pthread_mutex_unlock(&s->lock);
		seg_punch_all(s);
		pthread_mutex_lock(&s->lock);
		return 0;
	}
	if (s->creating || (room_for_new(s, old) < least && s->n_sealing)) {
		pthread_cond_wait(&s->changed, &s->lock);
		return 0;
	}
	if (room_for_new(s, old) < least)
		return -ENOSPC;
	s->creating = true;
	if (old) {
		s->slot[i] = NULL;
		seal = slot_retire(s, old);
	}
	pthread_mutex_unlock(&s->lock);
	if (seal)
		seg_seal(s, old);
	if (old)
		seg_unref(s, old);
	r = seg_create(s, need, &g);
	pthread_mutex_lock(&s->lock);
	s->creating = false;
	if (!r)
		s->slot[i] = g; /* takes the reference */
	pthread_cond_broadcast(&s->changed);
	if (r == -ENOSPC && s->punch_bytes) {
		pthread_mutex_unlock(&s->lock);
		seg_punch_all(s);
		pthread_mutex_lock(&s->lock);
		return 0;
	}
	if (r == -ENOSPC && s->n_sealing) {
		/* what is being sealed may give its room back */
		pthread_cond_wait(&s->changed, &s->lock);
		return 0;
	}
	return r;
}

static void reserve(struct store *s, struct pending *p)
{
	pthread_mutex_lock(&s->lock);
	while (!p->g && !p->result) {
		uint32_t i = slot_pick(s);

		if (!seg_take(s, s->slot[i], p))
			p->result = slot_renew(s, i, p->len);
	}
	pthread_mutex_unlock(&s->lock);
}

/* The pieces of one record: frame, head and payload, with their gaps. */
static uint32_t record_iov(const struct pending *p, struct iovec *v)
{
	const struct dynfs_store_op *op = p->op;
	uint64_t payload = seg_payload_off(&p->rec) - p->off;
	uint64_t at = SEG_UNIT, head = op->head_len;
	uint32_t n = 0;

	v[n++] = iov_from(p->frame, SEG_UNIT);
	for (uint32_t i = 0; i < op->n_iov; i++) {
		struct iovec piece = op->iov[i];

		if (head > 0 && head <= piece.iov_len) {
			/* the head ends here: pad, then go on */
			v[n++] = (struct iovec){ piece.iov_base, head };
			at += head;
			piece.iov_base = (uint8_t *)piece.iov_base + head;
			piece.iov_len -= head;
			head = 0;
		} else if (head > 0) {
			head -= piece.iov_len;
		}
		if (!head && at < payload) {
			v[n++] = iov_from(zeros, payload - at);
			at = payload;
		}
		if (piece.iov_len)
			v[n++] = piece;
		at += piece.iov_len;
	}
	if (at < p->len)
		v[n++] = iov_from(zeros, p->len - at);
	return n;
}

static uint32_t iov_need(const struct pending *p)
{
	return p->op->n_iov + 5;
}

/* So that no scan takes it for a record; best effort. */
static void frame_wipe(struct store *s, const struct pending *p)
{
	struct iovec v = iov_from(zeros, SEG_UNIT);
	int fd;

	if (seg_fd_get(s, p->g, &fd) < 0)
		return;
	(void)write_whole(s->os, fd, &v, 1, p->off);
	seg_fd_put(s, p->g);
}

/* Writes p[0..n), which lie side by side in one segment. */
static int write_run(struct store *s, struct pending *p, uint32_t n,
		     struct iovec *v)
{
	uint64_t seed = seg_seed(s, p->g->number);
	uint32_t n_iov = 0;
	int fd, r;

	r = seg_fd_get(s, p->g, &fd);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < n; i++) {
		seg_frame_put(p[i].frame, &p[i].rec, p[i].g->number, seed);
		n_iov += record_iov(&p[i], v + n_iov);
	}
	r = write_whole(s->os, fd, v, n_iov, p->off);
	for (uint32_t i = 0; r < 0 && i < n; i++)
		frame_wipe(s, &p[i]);
	seg_fd_put(s, p->g);
	return r;
}

/* The length of the run of writes at p that one system call can take. */
static uint32_t run_length(const struct pending *p, uint32_t n)
{
	uint32_t need = iov_need(p), k = 1;

	while (k < n && p[k].g == p->g && !p[k].result &&
	       p[k].off == p[k - 1].off + p[k - 1].len &&
	       need + iov_need(&p[k]) <= IOV_LOCAL)
		need += iov_need(&p[k++]);
	return k;
}

static void write_runs(struct store *s, struct pending *p, uint32_t n)
{
	struct iovec local[IOV_LOCAL], *v;
	uint32_t i = 0, k;

	while (i < n) {
		int r;

		if (p[i].result) {
			i++;
			continue;
		}
		k = run_length(p + i, n - i);
		v = local;
		if (iov_need(&p[i]) > IOV_LOCAL)
			v = s->host->alloc(s->host,
					   iov_need(&p[i]) * sizeof(*v), 0);
		r = v ? write_run(s, p + i, k, v) : -ENOMEM;
		if (v && v != local)
			s->host->free(s->host, v);
		for (uint32_t j = i; j < i + k; j++)
			p[j].result = r;
		i += k;
	}
}

/* The last records, if their writes failed: others may have their room. */
static void tail_back(struct seg *g)
{
	struct seg_recs *recs = &g->recs;
	bool any = false;

	for (; recs->n && recs->v[recs->n - 1].state == SEG_REC_VOID;
	     any = true)
		recs->n--;
	if (!any)
		return;
	g->tail = SEG_PAGE;
	if (recs->n) {
		const struct seg_rec *last = &recs->v[recs->n - 1];

		g->tail = (uint64_t)last->unit * SEG_UNIT +
			  seg_rec_len(last->head_len, last->payload_len);
	}
}

/* One write is over: true when its segment is to be sealed by the caller. */
static bool finish(struct store *s, struct pending *p)
{
	struct seg *g = p->g;
	struct seg_rec *rec = seg_recs_find(&g->recs, p->rec.unit);

	/* its pages may be among those that the failed sync dropped */
	p->spoiled = g->bad && !p->result;
	if (p->spoiled)
		p->result = -EIO;
	rec->state = p->result ? SEG_REC_VOID : SEG_REC_LIVE;
	if (p->result) {
		tail_back(g);
	} else {
		g->n_live++;
		g->live_bytes += p->len;
		if (p->rec.payload_len < SEG_ALIGN_FROM)
			g->packed_bytes += p->len;
		s->fragments++;
		seg_place_put(&p->op->place, g->number, &p->rec);
	}
	seg_dirty(s, g, true);
	return !--g->n_flight && g->sealing;
}

static void write_batch(struct store *s, struct pending *p, uint32_t n)
{
	bool seal[SEG_BATCH] = { false };

	write_runs(s, p, n);
	pthread_mutex_lock(&s->lock);
	s->done_seq++;
	for (uint32_t i = 0; i < n; i++)
		if (p[i].g)
			seal[i] = finish(s, &p[i]);
	pthread_mutex_unlock(&s->lock);
	for (uint32_t i = 0; i < n; i++) {
		/* nothing is appended there any more, so it is still ours */
		if (p[i].spoiled)
			frame_wipe(s, &p[i]);
		if (seal[i])
			seg_seal(s, p[i].g);
		if (p[i].g)
			seg_unref(s, p[i].g);
	}
}

/*
 * Reserve for as many of ops as find room, and at least for one.
 *
 * Reserving may wait until a segment is sealed, and that waits for its
 * writes: so none of ours may be reserved meanwhile.  Room for the first is
 * waited for, the others take what is at hand.
 */
static uint32_t reserve_batch(struct store *s,
			      struct dynfs_store_op *const *ops, uint32_t n,
			      struct pending *p)
{
	uint32_t got;

	for (got = 0; got < n; got++) {
		struct pending *q = &p[got];
		bool taken;

		q->result = pending_check(s, ops[got], q);
		if (q->result)
			continue;
		if (!got) {
			reserve(s, q);
			continue;
		}
		pthread_mutex_lock(&s->lock);
		taken = seg_take(s, s->slot[slot_pick(s)], q);
		pthread_mutex_unlock(&s->lock);
		if (!taken)
			break;
	}
	return got;
}

void segment_write(struct store *s, struct dynfs_store_op *const *ops,
		   uint32_t n)
{
	struct pending p[SEG_BATCH];

	while (n > 0) {
		uint32_t k = n < SEG_BATCH ? n : SEG_BATCH;
		uint32_t got = reserve_batch(s, ops, k, p);

		write_batch(s, p, got);
		for (uint32_t i = 0; i < got; i++) {
			p[i].op->result = p[i].result;
			p[i].op->done(p[i].op);
		}
		ops += got;
		n -= got;
	}
}
