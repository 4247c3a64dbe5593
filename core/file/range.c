/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holes in a file, and room that is reserved for it.
 *
 * A range may be the whole of a huge file: it goes in steps of some hundred
 * slices, each one batch, between which other work on the file goes on.  What
 * a crash leaves is a range of which a part is done, and nobody was answered.
 *
 * Reserved room is a slice that shows zeros: a hole that counts as stored.
 * What is written over it hides it, and so takes the place of so much of the
 * reservation; a hole or a cut takes it away.  The inode counts what it has,
 * the pool what all have, and nobody else is admitted to that room.
 */
#include <file/private.h>

#include <base/cleanup.h>
#include <base/fail.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>

struct range {
	struct inode *in;
	struct content *c;
	uint64_t at, end;
	bool zero;      /* what is there goes */
	bool begun;     /* a step of it is done */
	uint64_t claim; /* of the pool's reserved: no inode has it yet */
	uint32_t policy;
	const struct dynfs_call *call; /* who waits for it, or NULL */
};

/* The part of the range in a chunk; at goes on to where that begins. */
static void range_part(struct range *g, uint64_t number, uint32_t *ret_off,
		       uint32_t *ret_end)
{
	uint32_t size = g->in->files->how.extent_bytes;
	uint64_t base = number * size;

	if (g->at < base)
		g->at = base;
	*ret_off = (uint32_t)(g->at - base);
	*ret_end = g->end - base < size ? (uint32_t)(g->end - base) : size;
}

/* The next chunk of the range that has something, and its part in it. */
static int range_chunk(struct range *g, struct chunk **ret, uint32_t *ret_off,
		       uint32_t *ret_end)
{
	uint64_t number;
	int r =
	    chunk_next(g->in, g->c, chunk_number(g->in->files, g->at), &number);

	if (r < 0)
		return r;
	if (number > chunk_number(g->in->files, g->end - 1)) {
		g->at = g->end;
		return 0;
	}
	range_part(g, number, ret_off, ret_end);
	r = chunk_load(g->in, g->c, number, ret);
	return r < 0 ? r : 1;
}

/* One batch of holes; flush and io are held, here and below. */
static int punch_batch(struct range *g, struct edit *e)
{
	int r;

	do {
		uint32_t off, end;
		struct chunk *k;

		r = range_chunk(g, &k, &off, &end);
		if (r <= 0)
			break;
		r = edit_range(e, k, off, end);
		if (r >= 0)
			r = edit_hole(e, k, off, end);
		g->at += end - off;
	} while (r >= 0 && g->at < g->end && !edit_is_full(e));
	return r;
}

/* ---- reserving ---------------------------------------------------------- */

static bool span_is_bare(const struct span *s)
{
	return !s->kind || s->kind == SLICE_HOLE;
}

/* One reserved slice over [off, end) and what is reserved right beside it. */
static int reserve_put(struct edit *e, struct chunk *k, uint32_t off,
		       uint32_t end)
{
	struct slice s = { .kind = SLICE_RESERVED };

	for (uint32_t i = 0; i < k->map.n_shown; ++i) {
		const struct shown *p = &k->map.shown[i];

		if (k->map.slices[p->slice].kind != SLICE_RESERVED)
			continue;
		if (p->off < off && p->off + p->len >= off)
			off = p->off;
		if (p->off <= end && p->off + p->len > end)
			end = p->off + p->len;
	}
	s.off = off;
	s.len = end - off;
	return edit_put(e, k, &s);
}

/* Where nothing is stored, in whole blocks. */
static int reserve_chunk(struct edit *e, struct chunk *k, uint32_t off,
			 uint32_t end)
{
	uint32_t size = e->in->files->how.extent_bytes;

	off -= off % RESERVE_BLOCK;
	end = end > size - RESERVE_BLOCK
		  ? size
		  : (end + RESERVE_BLOCK - 1) / RESERVE_BLOCK * RESERVE_BLOCK;
	while (off < end) {
		struct span s = chunk_span(&k->map, NULL, off, size);
		uint32_t to = s.end < end ? s.end : end;
		int r = 0;

		if (span_is_bare(&s))
			r = reserve_put(e, k, off, to);
		if (r < 0)
			return r;
		off = to;
	}
	return 0;
}

static int reserve_batch(struct range *g, struct edit *e)
{
	int r = 0;

	while (r >= 0 && g->at < g->end && !edit_is_full(e)) {
		uint32_t off, end;
		struct chunk *k;

		r = chunk_load(g->in, g->c, chunk_number(g->in->files, g->at),
			       &k);
		if (r < 0)
			break;
		range_part(g, k->number, &off, &end);
		/* runs stay where they are: they are newer, and win */
		r = edit_range(e, k, off, g->zero ? end : off);
		if (r >= 0 && g->zero)
			r = reserve_put(e, k, off, end);
		if (r >= 0)
			r = reserve_chunk(e, k, off, end);
		g->at += end - off;
	}
	return r;
}

/* What the inode has now need not be claimed any more. */
static void range_claimed(struct range *g, uint64_t before)
{
	uint64_t now = g->in->rec.reserved;
	uint64_t got = now > before ? now - before : 0;

	got = got < g->claim ? got : g->claim;
	g->claim -= got;
	reserved_sub(g->in->files, g->policy, got);
}

static int range_step(struct range *g,
		      int (*batch)(struct range *g, struct edit *e))
{
	AUTOFREE struct edit *e = (struct edit *)malloc(sizeof(*e));
	uint64_t before;
	int r;

	if (!e)
		return -ENOMEM;
	if (g->in->gone)
		return -ENOENT;
	edit_begin(e, g->in, g->c);
	before = g->in->rec.reserved;
	r = edit_end(e, batch(g, e));
	if (r < 0)
		return r;
	g->begun = true;
	edit_trim(e);
	AUTOLOCK(&g->in->lock);
	range_claimed(g, before);
	return 0;
}

static int range_run(struct range *g,
		     int (*batch)(struct range *g, struct edit *e))
{
	int r = 0;

	while (r >= 0 && g->at < g->end) {
		r = call_is_gone(g->call) ? -EINTR
					  : meta_admit(g->in->files->how.meta);
		if (r < 0)
			break;
		(void)pthread_mutex_lock(&g->c->flush);
		(void)pthread_rwlock_wrlock(&g->in->io);
		r = range_step(g, batch);
		(void)pthread_rwlock_unlock(&g->in->io);
		(void)pthread_mutex_unlock(&g->c->flush);
		/* the maps that were loaded for it */
		maps_trim(g->in->files);
	}
	return r;
}

/* ---- what a reservation asks for ------------------------------------------ */

static struct amount chunk_amount(struct inode *in, const struct chunk *k,
				  uint32_t off, uint32_t end)
{
	struct amount n = { 0 };

	while (off < end) {
		struct span s =
		    chunk_span(&k->map, NULL, off, in->files->how.extent_bytes);
		uint32_t to = s.end < end ? s.end : end;

		if (!span_is_bare(&s))
			n.stored += to - off;
		if (s.kind == SLICE_RESERVED)
			n.reserved += to - off;
		off = to;
	}
	return n;
}

/* Some chunks of the range; io is held. */
static int range_amount(struct range *g, unsigned chunks, struct amount *sum)
{
	int r = 1;

	while (r > 0 && chunks-- && g->at < g->end) {
		uint32_t off, end;
		struct amount n;
		struct chunk *k;

		r = range_chunk(g, &k, &off, &end);
		if (r <= 0)
			break;
		n = chunk_amount(g->in, k, off, end);
		sum->stored += n.stored;
		sum->reserved += n.reserved;
		g->at += end - off;
	}
	return r < 0 ? r : 0;
}

int range_reserved(struct inode *in, uint64_t off, uint64_t end, uint64_t *ret)
{
	struct range g = {
		.in = in, .c = content_of(in), .at = off, .end = end
	};
	struct amount sum = { 0 };
	int r = range_amount(&g, UINT_MAX, &sum);

	*ret = sum.reserved;
	return r;
}

/* Room for it is claimed before anything is changed. */
static int reserve_claim(struct range *g)
{
	struct range look = *g;
	struct amount sum = { 0 };
	uint64_t need;
	int r = 0;

	look.at -= look.at % RESERVE_BLOCK;
	look.end += (RESERVE_BLOCK - look.end % RESERVE_BLOCK) % RESERVE_BLOCK;
	need = look.end - look.at;
	while (r >= 0 && look.at < look.end) {
		if (call_is_gone(g->call))
			return -EINTR;
		(void)pthread_rwlock_rdlock(&g->in->io);
		r = range_amount(&look, EDIT_RANGES, &sum);
		(void)pthread_rwlock_unlock(&g->in->io);
		maps_trim(g->in->files);
	}
	if (r < 0)
		return r;
	/* what is zeroed gives its room back later, and not all of it */
	need -= g->zero ? sum.reserved : sum.stored;
	if (need)
		r = reserve_admit(g->in, g->policy, need, g->call);
	if (r >= 0)
		g->claim = need;
	return r;
}

static int reserve(struct range *g, bool grow)
{
	int r;

	(void)pthread_mutex_lock(&g->in->lock);
	g->policy = g->in->rec.policy;
	(void)pthread_mutex_unlock(&g->in->lock);
	r = reserve_claim(g);
	if (r < 0)
		return r;
	r = range_run(g, reserve_batch);
	reserved_sub(g->in->files, g->policy, g->claim);
	if (r >= 0 && grow)
		r = file_resize(g->in, g->end, true);
	return r;
}

/* ---- the whole ------------------------------------------------------------ */

static void range_touch(struct inode *in)
{
	AUTOLOCK(&in->lock);
	in->rec.mtime = in->rec.ctime = files_now(in->files);
	in->dirty_attr = true;
}

int file_allocate(struct inode *in, int mode, uint64_t off, uint64_t len,
		  const struct dynfs_call *call)
{
	bool keep = mode & FALLOC_FL_KEEP_SIZE;
	int kind = mode & ~FALLOC_FL_KEEP_SIZE, r;
	struct range g = {
		.in = in, .at = off, .end = off + len, .call = call
	};

	if ((kind && kind != FALLOC_FL_ZERO_RANGE) &&
	    !(kind == FALLOC_FL_PUNCH_HOLE && keep))
		return -EOPNOTSUPP;
	if (in->files->how.readonly)
		return -EROFS;
	if (!len)
		return -EINVAL;
	if (off > (uint64_t)INT64_MAX || len > (uint64_t)INT64_MAX - off)
		return -EFBIG;
	g.zero = kind == FALLOC_FL_ZERO_RANGE;
	r = content_ready(in);
	g.c = content_of(in);
	if (r >= 0)
		r = kind == FALLOC_FL_PUNCH_HOLE ? range_run(&g, punch_batch)
						 : reserve(&g, !keep);
	if (r >= 0)
		range_touch(in);
	else if (g.begun)
		/* whoever asked keeps what was there, as nothing was done */
		changed_add(in);
	return r;
}
