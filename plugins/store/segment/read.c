/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading.  A payload is one preadv from where the place says: whether these
 * are the right bytes is for the core's checksums, which it needs anyway.  A
 * head is read with its frame, which must be that of the fragment.
 *
 * Who reads for the first time from an extent asks for a table of sums and for
 * the bytes that it covers, which lie apart.  Reads of one call are one after
 * the other, so the system is told of all before the first: the device works at
 * them at once.  Of the first, too, for one that is not in memory yet looks to
 * Linux as if the file were read from end to end, and it fetches what comes
 * next: fragments of other pieces, a third of them checks that nobody wants.
 * Single small reads are left to that: what comes next is other small files.
 */
#include "segment.h"

#include <errno.h>
#include <string.h>

#define READ_SKIP_MAX 512u

static uint64_t iov_bytes(const struct iovec *iov, uint32_t n)
{
	uint64_t total = 0;

	for (uint32_t i = 0; i < n; i++)
		total += iov[i].iov_len;
	return total;
}

struct seg *seg_of_place(struct store *s, const struct dynfs_place *place,
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

bool seg_rec_matches(const struct seg_rec *a, const struct seg_rec *place,
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
	uint8_t frame[SEG_UNIT + READ_SKIP_MAX];
	struct iovec both[2] = { { frame, SEG_UNIT } };
	/* what little lies between is cheaper to read than to leave out */
	bool one = op->n_iov == 1 && op->offset <= READ_SKIP_MAX;
	struct seg_rec rec;
	int r;

	if (one) {
		both[0].iov_len += op->offset;
		both[1] = op->iov[0];
	}
	r = read_whole(s->os, fd, both, one ? 2 : 1, off);
	if (r < 0)
		return r;
	if (seg_frame_get(frame, &rec, g->number, off,
			  seg_seed(s, g->number)) != SEG_FRAME_GOOD ||
	    !seg_rec_matches(&rec, place, &op->id))
		return -EUCLEAN;
	return one ? 0
		   : read_whole(s->os, fd, op->iov, op->n_iov,
				off + SEG_UNIT + op->offset);
}

static int read_one(struct store *s, struct dynfs_store_op *op)
{
	uint64_t want = iov_bytes(op->iov, op->n_iov), have;
	bool head = op->part == DYNFS_STORE_HEAD;
	struct seg_rec place;
	struct seg *g = seg_of_place(s, &op->place, &place);
	int fd, r = -EUCLEAN;

	if (!g)
		return s->host->fail(s->host, -EUCLEAN,
				     "segment: no such place");
	have = head ? place.head_len : place.payload_len;
	if (op->offset <= have && want <= have - op->offset)
		r = seg_fd_get(s, g, &fd);
	/* what open() found was dropped then, if it was not durable */
	if (!r && g->ours && op->flags & DYNFS_STORE_UNCACHED) {
		r = s->os->drop(s->os, fd);
		if (r < 0)
			seg_fd_put(s, g);
	}
	/* removed just now: it was freed */
	if (r == -ENOENT)
		r = -EUCLEAN;
	if (!r) {
		r = head ? read_head(s, g, fd, &place, op)
			 : read_whole(s->os, fd, op->iov, op->n_iov,
				      seg_payload_off(&place) + op->offset);
		seg_fd_put(s, g);
	}
	if (r == -EUCLEAN)
		r = s->host->fail(s->host, r,
				  "segment: %016llx holds no such fragment "
				  "or not so much of it",
				  (unsigned long long)g->number);
	seg_unref(s, g);
	return r;
}

static bool read_follows(const struct dynfs_store_op *a,
			 const struct dynfs_store_op *b)
{
	return a->part == b->part && a->flags == b->flags &&
	       a->place.w[0] == b->place.w[0] &&
	       a->place.w[1] == b->place.w[1] &&
	       a->offset + iov_bytes(a->iov, a->n_iov) == b->offset;
}

/* A wrong place, or one that is gone, is for the read to find out. */
static void read_expect(struct store *s, const struct dynfs_store_op *op,
			uint64_t len)
{
	struct seg_rec place;
	struct seg *g = seg_of_place(s, &op->place, &place);
	int fd;

	if (!g)
		return;
	/* what is to be dropped first need not be fetched */
	if (!(op->flags & DYNFS_STORE_UNCACHED) && !seg_fd_get(s, g, &fd)) {
		uint64_t off = op->part == DYNFS_STORE_HEAD
				   ? (uint64_t)place.unit * SEG_UNIT
				   : seg_payload_off(&place);

		s->os->expect(s->os, fd, off + op->offset, len);
		seg_fd_put(s, g);
	}
	seg_unref(s, g);
}

static void read_expect_all(struct store *s, struct dynfs_store_op *const *ops,
			    uint32_t n)
{
	for (uint32_t i = 0, next; i < n; i = next) {
		uint64_t len = iov_bytes(ops[i]->iov, ops[i]->n_iov);

		for (next = i + 1;
		     next < n && read_follows(ops[next - 1], ops[next]); next++)
			len += iov_bytes(ops[next]->iov, ops[next]->n_iov);
		read_expect(s, ops[i], len);
	}
}

void segment_read(struct store *s, struct dynfs_store_op *const *ops,
		  uint32_t n)
{
	if (n > 1 && DYNFS_HAS(struct dynfs_os, s->os, expect))
		read_expect_all(s, ops, n);
	for (uint32_t i = 0; i < n; i++) {
		ops[i]->result = read_one(s, ops[i]);
		ops[i]->done(ops[i]);
	}
}
