/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copying ranges between files without copying bytes: the slices of the one
 * become slices of the other, that point into the same extents.
 *
 * What is dirty in the source is flushed first.  Then the range is walked
 * piece by piece: large ones that lie in an extent of the policy that the
 * destination has are shared, holes are made, some hundred in one batch, which
 * is planned before it is begun; all else (inline bytes, small pieces, what is
 * written meanwhile, another policy) is read and written.  As slices point
 * anywhere into an extent, nothing has to be aligned; a piece that crosses the
 * edge of a chunk becomes two.
 *
 * A slice beyond the size that the disks know of would be seen after a crash,
 * once the file has grown again.  So it is not put there while bytes that come
 * before that size are dirty: these are flushed, or all is copied.
 */
#include <file/private.h>

#include <base/cleanup.h>
#include <base/fail.h>

#include <errno.h>
#include <stdlib.h>

#define CLONE_PIECE  16384u     /* smaller ones are copied */
#define CLONE_COPY   (1u << 20) /* bytes copied at a time */
#define CLONE_BLOCK  4096u
#define CLONE_PIECES 128u        /* in one batch */
#define CLONE_COPIES (64u << 20) /* in one call, which then ends */

/* What from is at its place, as far as it needs no copying. */
struct piece {
	uint64_t at, to_at, len;
	bool gap; /* a hole where to has nothing either */
	/* in to's chunk; neither hole nor extent: to be copied */
	struct slice s;
};

struct clone {
	struct inode *from, *to;
	struct content *from_c, *to_c;
	uint64_t at, to_at; /* where it is in each */
	uint64_t end;       /* of from */
	uint64_t copied;
	uint32_t least; /* that is worth a slice */
	uint32_t n;
	struct piece pieces[CLONE_PIECES]; /* of a batch */
	struct edit edit;                  /* of to */
};

/* Of a copy of len bytes, none is when that is all. */
static uint32_t clone_least(const struct files *f, uint64_t len)
{
	uint32_t quarter = f->how.extent_bytes / 4;
	uint32_t least = quarter < CLONE_PIECE ? quarter : CLONE_PIECE;

	return len < least ? UINT32_MAX : least;
}

/* from is only read. */
static void clone_lock_io(struct clone *g, struct inode *in)
{
	if (in == g->to)
		(void)pthread_rwlock_wrlock(&in->io);
	else
		(void)pthread_rwlock_rdlock(&in->io);
}

static void clone_lock(struct clone *g)
{
	bool from_first = g->from->ino < g->to->ino;

	(void)pthread_mutex_lock(&g->to_c->flush);
	clone_lock_io(g, from_first ? g->from : g->to);
	if (g->from != g->to)
		clone_lock_io(g, from_first ? g->to : g->from);
}

static void clone_unlock(struct clone *g)
{
	(void)pthread_rwlock_unlock(&g->to->io);
	if (g->from != g->to)
		(void)pthread_rwlock_unlock(&g->from->io);
	(void)pthread_mutex_unlock(&g->to_c->flush);
}

static bool same_policy(struct clone *g, struct extent_id id)
{
	const struct policy *p = policy_of(g->to);
	struct extent_rec rec;

	return p && extent_record(g->from->files->how.extents, id, &rec) == 0 &&
	       rec.policy == p->id && !(rec.flags & EXTENT_POISONED);
}

/* Share the part of a slice that is shown at off, if that is worth it. */
static void clone_part(struct clone *g, const struct chunk *k, uint32_t off,
		       struct slice *share)
{
	for (uint32_t i = 0; i < k->map.n_shown; ++i) {
		const struct shown *s = &k->map.shown[i];
		const struct slice *of = &k->map.slices[s->slice];

		if (s->off > off || s->off + s->len <= off)
			continue;
		/* also the rest of a large part, behind the edge of a chunk */
		if (s->len < g->least || !same_policy(g, of->extent))
			return;
		share->kind = SLICE_EXTENT;
		share->extent = of->extent;
		share->extent_off = of->extent_off + (off - of->off);
		return;
	}
}

/* No longer than to the next edge of a chunk, in either file. */
static int clone_look(struct clone *g, struct piece *p)
{
	uint32_t size = g->from->files->how.extent_bytes;
	uint32_t off = (uint32_t)(g->at % size);
	uint32_t to_off = (uint32_t)(g->to_at % size);
	struct chunk *k;
	struct span s;
	int r = chunk_load(g->from, g->from_c, g->at / size, &k);

	if (r < 0)
		return r;
	s = chunk_span(&k->map, k, off, size);
	*p = (struct piece){ .at = g->at,
			     .to_at = g->to_at,
			     .len = s.end - off,
			     .s.off = to_off };
	if (p->len > g->end - g->at)
		p->len = g->end - g->at;
	if (p->len > size - to_off)
		p->len = size - to_off;
	if (s.run || s.kind == SLICE_INLINE)
		return 0;
	if (s.kind == SLICE_EXTENT)
		clone_part(g, k, off, &p->s);
	else
		p->s.kind = SLICE_HOLE;
	return 0;
}

/* Nothing of either is there for a while? */
static int clone_gap(struct clone *g, struct piece *p)
{
	uint32_t size = g->from->files->how.extent_bytes;
	uint64_t number, to_number, next, to_next, len;
	int r = chunk_next(g->from, g->from_c, g->at / size, &number);

	if (r >= 0)
		r = chunk_next(g->to, g->to_c, g->to_at / size, &to_number);
	if (r < 0)
		return r;
	next = number > (g->end - 1) / size ? g->end : number * size;
	to_next = to_number > INT64_MAX / size ? UINT64_MAX : to_number * size;
	if (next <= g->at || to_next <= g->to_at)
		return 0;
	len = next - g->at;
	p->gap = true;
	p->len = len < to_next - g->to_at ? len : to_next - g->to_at;
	return 0;
}

static void clone_on(struct clone *g, uint64_t len)
{
	g->at += len;
	g->to_at += len;
}

/* No block of the destination is done in part by it and in part by others. */
static void plan_end(struct clone *g, uint64_t end)
{
	uint64_t to_end = g->to_at + (end - g->at);

	if (end < g->end)
		to_end -= to_end % CLONE_BLOCK;
	while (g->n && g->pieces[g->n - 1].to_at >= to_end)
		g->n--;
	if (g->n) {
		struct piece *p = &g->pieces[g->n - 1];

		if (p->len > to_end - p->to_at)
			p->len = to_end - p->to_at;
	}
}

/* One batch of what needs no copying; both are locked, here and below. */
static int clone_plan(struct clone *g)
{
	uint64_t at = g->at, to_at = g->to_at, end;
	int r = 0;

	g->n = 0;
	while (g->n < CLONE_PIECES && g->at < g->end) {
		struct piece *p = &g->pieces[g->n];

		r = clone_look(g, p);
		if (r >= 0 && p->s.kind == SLICE_HOLE)
			r = clone_gap(g, p);
		if (r < 0 || !p->s.kind)
			break;
		clone_on(g, p->len);
		g->n++;
	}
	end = g->at;
	g->at = at;
	g->to_at = to_at;
	plan_end(g, end);
	return r;
}

/* In to: what is dirty there goes, and its slices are hidden. */
static int clone_put(struct clone *g, struct piece *p)
{
	uint32_t size = g->to->files->how.extent_bytes;
	uint32_t off = p->s.off, end;
	struct chunk *k;
	int r;

	if (p->gap)
		return 0;
	end = off + (uint32_t)p->len;
	r = chunk_load(g->to, g->to_c, p->to_at / size, &k);
	if (r >= 0)
		r = edit_range(&g->edit, k, off, end);
	if (r < 0)
		return r;
	if (p->s.kind == SLICE_HOLE)
		return edit_hole(&g->edit, k, off, end);
	p->s.len = end - off;
	return edit_put(&g->edit, k, &p->s);
}

static int clone_pieces(struct clone *g, uint64_t to_end)
{
	int r = 0;

	for (uint32_t i = 0; i < g->n && r >= 0; ++i)
		r = clone_put(g, &g->pieces[i]);
	if (r >= 0 && to_end > g->to->rec.size)
		g->to->rec.size = to_end;
	return r;
}

/* 1: bytes that are in no slice come before where it would end. */
static int clone_step(struct clone *g)
{
	const struct piece *last;
	uint64_t to_end;
	int r;

	if (g->from->gone || g->to->gone)
		return -ENOENT;
	if (g->end > g->from->rec.size)
		g->end = g->from->rec.size;
	r = g->at < g->end ? clone_plan(g) : 0;
	if (r < 0 || g->at >= g->end || !g->n)
		return r;
	last = &g->pieces[g->n - 1];
	to_end = last->to_at + last->len;
	if (g->to_c->n_runs && to_end > g->to->disk_size)
		return 1;
	edit_begin(&g->edit, g->to, g->to_c);
	r = edit_end(&g->edit, clone_pieces(g, to_end));
	if (r < 0)
		return r;
	edit_trim(&g->edit);
	clone_on(g, to_end - g->to_at);
	return 0;
}

/* So many bytes, though some of them could be shared. */
static int clone_copy(struct clone *g)
{
	uint64_t left = g->end - g->at;
	/* to the end of a block */
	uint32_t most = CLONE_COPY - (uint32_t)(g->to_at % CLONE_BLOCK);
	uint32_t len = left < most ? (uint32_t)left : most;
	AUTOFREE void *buf = malloc(len);
	struct iovec iov = { .iov_base = buf };
	int r;

	if (!buf)
		return -ENOMEM;
	r = file_read(g->from, g->at, len, buf, &iov.iov_len);
	if (r >= 0)
		r = file_write(g->to, g->to_at, &iov, 1, false, NULL);
	if (r < 0)
		return r;
	clone_on(g, iov.iov_len);
	g->copied += iov.iov_len;
	return 0;
}

static int clone_share(struct clone *g)
{
	int r = write_admit(g->to, CLONE_PIECE, NULL);

	for (int i = 0; r >= 0 && i < 2; ++i) {
		r = meta_admit(g->from->files->how.meta);
		if (r < 0)
			return r;
		clone_lock(g);
		r = clone_step(g);
		clone_unlock(g);
		if (r != 1)
			return r;
		/* for the better only: what stays dirty is copied */
		if (!i && file_settle(g->to) < 0)
			fail_clear();
	}
	return r < 0 ? r : 0;
}

static int clone_all(struct clone *g)
{
	int r = 0;

	while (r >= 0 && g->at < g->end && g->copied < CLONE_COPIES) {
		uint64_t at = g->at;

		r = clone_share(g);
		if (r >= 0 && g->at < g->end && g->at - at < CLONE_COPY)
			r = clone_copy(g);
		/* the source has become shorter */
		if (g->at == at)
			break;
	}
	return r;
}

static int clone_check(struct inode *from, uint64_t from_off, struct inode *to,
		       uint64_t to_off, uint64_t len)
{
	if (from->files->how.readonly)
		return -EROFS;
	if (from_off > (uint64_t)INT64_MAX ||
	    len > (uint64_t)INT64_MAX - from_off ||
	    to_off > (uint64_t)INT64_MAX || len > (uint64_t)INT64_MAX - to_off)
		return -EFBIG;
	if (from == to && from_off < to_off + len && to_off < from_off + len)
		return -EINVAL;
	return 0;
}

int file_copy_range(struct inode *from, uint64_t from_off, struct inode *to,
		    uint64_t to_off, uint64_t len, uint64_t *ret_len)
{
	AUTOFREE struct clone *g = NULL;
	int r = clone_check(from, from_off, to, to_off, len);

	if (r >= 0)
		r = content_ready(from);
	if (r >= 0)
		r = content_ready(to);
	if (r < 0)
		return r;
	g = (struct clone *)calloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;
	g->from = from;
	g->to = to;
	g->from_c = content_of(from);
	g->to_c = content_of(to);
	g->at = from_off;
	g->to_at = to_off;
	g->end = from_off + len;
	g->least = clone_least(from->files, len);
	/* for the better only: what stays dirty is copied */
	if (file_settle(from) < 0)
		fail_clear();
	r = clone_all(g);
	maps_trim(from->files);
	*ret_len = g->at - from_off;
	/* as much as was done is an answer */
	return *ret_len ? 0 : r;
}
