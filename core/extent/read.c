/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading an extent.
 *
 * The healthy way reads just the blocks that cover the range, straight into
 * the caller's memory where they fit it exactly.  When a piece is missing or
 * wrong, the whole range is read again the other way: k good fragments over
 * one common range, the missing pieces reconstructed.  A record that changed
 * while it was being used (a fragment moved) is noticed by comparing with the
 * metadata before anything is called damaged.
 */
#include <extent/private.h>

#include <base/cleanup.h>
#include <base/fail.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The part of a read that lies in one piece (data fragment). */
struct piece {
	uint64_t from, to;   /* of the payload: what is wanted */
	uint64_t bfrom, bto; /* the blocks around it */
	uint8_t *out;
};

static uint64_t block_up(const struct extent_rec *r, uint64_t at)
{
	uint64_t up =
	    (at + r->block_bytes - 1) / r->block_bytes * r->block_bytes;

	return up < r->payload_len ? up : r->payload_len;
}

static struct piece piece_of(const struct extent_rec *r, uint32_t i,
			     uint64_t off, uint64_t len, uint8_t *to)
{
	uint64_t begin = i * r->payload_len, end = begin + r->payload_len;
	uint64_t from = off > begin ? off : begin;
	uint64_t stop = off + len < end ? off + len : end;

	return (struct piece){
		.from = from - begin,
		.to = stop - begin,
		.bfrom = (from - begin) / r->block_bytes * r->block_bytes,
		.bto = block_up(r, stop - begin),
		.out = to + (from - off),
	};
}

static bool piece_fits(const struct piece *p)
{
	return p->from == p->bfrom && p->to == p->bto;
}

/* Copies: which one to read.  Else the piece's own fragment. */
static uint32_t fragment_for(struct extents *x, const struct extent_rec *r,
			     bool copies, uint32_t piece)
{
	uint32_t best = piece, least = UINT32_MAX;

	if (!copies)
		return piece;
	for (uint32_t i = 0; i < r->k + r->m; ++i) {
		uint32_t busy;

		if (!fragment_reachable(x, &r->fragments[i]))
			continue;
		busy = atomic_load(
		    &disks_find(x->how.disks, r->fragments[i].disk)->inflight);
		if (busy < least) {
			least = busy;
			best = i;
		}
	}
	return best;
}

struct reading {
	struct extents *x;
	struct xentry *e;
	bool copies;       /* any fragment serves for any other */
	uint32_t first, n; /* pieces */
	struct piece piece[FRAGMENTS_MAX];
	struct fragio io[FRAGMENTS_MAX];
	uint32_t bad;   /* fragments that are missing or wrong */
	uint32_t wrong; /* of these: read, and not what they should be */
};

static void reading_blame(struct reading *g)
{
	for (uint32_t i = 0; i < g->n; ++i) {
		if (g->io[i].result >= 0)
			continue;
		g->bad |= 1u << g->io[i].index;
		if (g->io[i].result == -EUCLEAN)
			g->wrong |= 1u << g->io[i].index;
	}
}

static int reading_healthy(struct reading *g)
{
	const struct extent_rec *r = &g->e->rec;
	struct scratch *s = NULL;
	uint64_t own = 0;
	uint8_t *at;
	int err;

	for (uint32_t i = 0; i < g->n; ++i)
		if (!piece_fits(&g->piece[i]))
			own += g->piece[i].bto - g->piece[i].bfrom;
	if (own) {
		s = scratch_get(g->x, own);
		if (!s)
			return -ENOMEM;
	}
	at = s ? s->data : NULL;
	for (uint32_t i = 0; i < g->n; ++i) {
		struct piece *p = &g->piece[i];

		g->io[i] = (struct fragio){
			.index = fragment_for(g->x, r, g->copies, g->first + i),
			.from = p->bfrom,
			.to = p->bto,
			.buf = piece_fits(p) ? p->out : at,
		};
		if (!piece_fits(p))
			at += p->bto - p->bfrom;
	}
	err = fragio_read(g->x, g->e, g->io, g->n);
	for (uint32_t i = 0; i < g->n && err >= 0; ++i) {
		struct piece *p = &g->piece[i];

		if (g->io[i].result >= 0 && !piece_fits(p))
			memcpy(p->out, g->io[i].buf + (p->from - p->bfrom),
			       p->to - p->from);
	}
	scratch_put(g->x, s);
	if (err >= 0) {
		reading_blame(g);
		err = g->bad ? -EUCLEAN : 0;
	}
	return err;
}

/* All pieces over one range, from any k good fragments. */
static int reading_degraded(struct reading *g)
{
	const struct extent_rec *r = &g->e->rec;
	uint64_t from = g->n == 1 ? g->piece[0].bfrom : 0;
	uint64_t to = g->n == 1 ? g->piece[0].bto : r->payload_len;
	uint8_t *bufs[FRAGMENTS_MAX] = { NULL };
	uint32_t want = 0;
	struct scratch *s = scratch_get(g->x, g->n * (to - from));
	int err;

	if (!s)
		return -ENOMEM;
	for (uint32_t i = 0; i < g->n; ++i) {
		struct piece *p = &g->piece[i];

		bufs[g->first + i] = p->from == from && p->to == to
					 ? p->out
					 : s->data + i * (to - from);
		want |= 1u << (g->first + i);
	}
	err = fragio_rebuild(g->x, g->e, from, to, bufs, 0, want, &g->bad);
	for (uint32_t i = 0; i < g->n && err >= 0; ++i) {
		struct piece *p = &g->piece[i];

		if (bufs[g->first + i] != p->out)
			memcpy(p->out, bufs[g->first + i] + (p->from - from),
			       p->to - p->from);
	}
	scratch_put(g->x, s);
	return err;
}

/* -EAGAIN when the metadata has another record by now, -ENOENT when none. */
static int reading_recheck(struct reading *g)
{
	struct key key = key_extent(g->e->id);
	AUTOBUF struct buf now = BUF_INIT, was = BUF_INIT;
	int r = meta_get(g->x->meta, key.data, key.len, &now);

	if (r < 0)
		return r;
	extent_rec_put(&was, &g->e->rec);
	if (now.len == was.len && !memcmp(now.data, was.data, now.len))
		return 0;
	cache_drop(g->x, g->e->id);
	return -EAGAIN;
}

static int reading_run(struct reading *g)
{
	uint32_t missing = 0;
	int r = -EUCLEAN;

	for (uint32_t i = 0; i < g->n && !g->copies; ++i)
		if (!fragment_reachable(g->x,
					&g->e->rec.fragments[g->first + i]))
			missing |= 1u << (g->first + i);
	if (!missing)
		r = reading_healthy(g);
	if (r != -EUCLEAN)
		return r;
	g->bad |= missing;
	if (!missing) {
		r = reading_recheck(g);
		if (r < 0)
			return r;
	}
	r = reading_degraded(g);
	if (r == -EIO) {
		int again = reading_recheck(g);

		return again < 0 ? again : -EIO;
	}
	atomic_fetch_add(&g->x->n_degraded_reads, 1);
	if (r >= 0)
		repair_queue(g->x, g->e, g->bad,
			     g->wrong ? REPAIR_CHECKSUM : REPAIR_UNREADABLE);
	return r;
}

static int reading_refuse(struct reading *g, uint32_t offset, uint32_t len)
{
	struct extents *x = g->x;
	struct extent_id id = g->e->id;

	atomic_fetch_add(&x->n_unreadable, 1);
	extents_say(x, "unreadable", id,
		    "fewer than %u good fragments for bytes %u to %u of it",
		    g->e->rec.k, offset, offset + len - 1);
	return fail(-EIO, "an extent has fewer than %u good fragments",
		    g->e->rec.k);
}

static int extent_read_once(struct extents *x, struct extent_id id,
			    uint32_t offset, uint32_t len, void *to)
{
	struct reading g = { .x = x };
	const struct policy *p;
	uint32_t last;
	int r = cache_get(x, id, &g.e);

	if (r < 0)
		return r;
	p = policies_of(x, &g.e->rec);
	g.copies = p && p->copies;
	if (offset > g.e->rec.plain_len || len > g.e->rec.plain_len - offset) {
		cache_put(x, g.e);
		return fail(-EIO, "a slice points beyond its extent");
	}
	g.first = (uint32_t)(offset / g.e->rec.payload_len);
	last = (uint32_t)((offset + (uint64_t)len - 1) / g.e->rec.payload_len);
	g.n = last - g.first + 1;
	for (uint32_t i = 0; i < g.n; ++i)
		g.piece[i] = piece_of(&g.e->rec, g.first + i, offset, len,
				      (uint8_t *)to);
	r = reading_run(&g);
	if (r == -EIO)
		r = reading_refuse(&g, offset, len);
	cache_put(x, g.e);
	return r;
}

int extent_read(struct extents *x, struct extent_id id, uint32_t offset,
		uint32_t len, void *to)
{
	int r;

	if (!len)
		return 0;
	do
		r = extent_read_once(x, id, offset, len, to);
	while (r == -EAGAIN);
	if (r >= 0)
		atomic_fetch_add(&x->n_reads, 1);
	return r;
}

/* ---- verification of whole extents (replay) -------------------------- */

/* True: it may be there, and good; its disk does not say. */
static bool verify_unknown(int r)
{
	return r == -ENODEV || r == -EIO;
}

/*
 * 0 good; see above; other: bad.  What a disk shows that could not sync it may
 * be in a cache only: as if the disk were away.  What it could not sync before
 * us, and nobody remembers, is only in a cache: so that is not asked.
 */
static int verify_fragment(struct extents *x, struct xentry *e, uint32_t i,
			   uint8_t *buf)
{
	struct fragio io = { .index = i,
			     .to = e->rec.payload_len,
			     .buf = buf,
			     .uncached = true };
	const struct disk *k =
	    disks_find(x->how.disks, e->rec.fragments[i].disk);
	int r;

	if (k && atomic_load(&k->health) == DISK_SUSPECT)
		return -ENODEV;
	r = fragio_read(x, e, &io, 1);
	return r < 0 ? r : io.result;
}

/* Which disks would have to tell. */
static int verify_unsure(struct extents *x, const struct extent_rec *rec,
			 uint32_t unknown)
{
	AUTOBUF struct buf b = BUF_INIT;
	const char *comma = "";

	for (uint32_t i = 0; i < rec->k + rec->m; ++i) {
		const struct fragment_rec *f = &rec->fragments[i];
		const struct disk *k = disks_find(x->how.disks, f->disk);

		if (!(unknown >> i & 1))
			continue;
		buf_printf(&b, "%s number %u (%s)", comma, f->disk,
			   k ? k->path : "?");
		comma = ",";
	}
	buf_put8(&b, 0);
	return fail(-EBUSY,
		    "it has content on disks that are away or can not "
		    "be read:%.300s",
		    buf_error(&b) ? "" : (const char *)b.data);
}

int extents_verify_hook(void *ctx, const void *key, size_t key_len,
			const void *value, size_t value_len)
{
	struct extents *x = (struct extents *)ctx;
	uint32_t good = 0, unknown = 0, bad = 0;
	struct extent_rec rec;
	struct extent_id id;
	struct xentry *e;
	struct scratch *s;

	if (key_parse_extent(key, key_len, &id) < 0 ||
	    extent_rec_get(value, value_len, &rec) < 0)
		return -EUCLEAN;
	if (rec.flags & EXTENT_POISONED)
		return 0;
	e = xentry_new(id, &rec);
	s = scratch_get(x, rec.payload_len);
	if (!e || !s) {
		xentry_free(e);
		scratch_put(x, s);
		return -ENOMEM;
	}
	/* all of them: what a crash kept from the disks must be repaired, and
	 * no read would ever notice that it is the redundancy that lacks */
	for (uint32_t i = 0; i < rec.k + rec.m; ++i) {
		int r = verify_fragment(x, e, i, s->data);

		good += r >= 0;
		bad |= r < 0 ? 1u << i : 0;
		if (verify_unknown(r) && rec.fragments[i].disk)
			unknown |= 1u << i;
	}
	scratch_put(x, s);
	xentry_free(e);
	if (good >= rec.k)
		return bad ? repair_remember(x, id, bad) : 0;
	/* it is not for us to say that what is unknown was never there */
	return good + (uint32_t)__builtin_popcount(unknown) >= rec.k
		   ? verify_unsure(x, &rec, unknown)
		   : -EUCLEAN;
}
