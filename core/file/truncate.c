/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cutting and growing a file.
 *
 * Dirty runs below the cut are flushed first, so that the new size never
 * stands on disk before the bytes that it promises; those behind it are never
 * stored. Then one batch holds the new size, a hole over the rest of the last
 * chunk, and the end of all slices behind it; when those are many, an intent
 * record instead.
 *
 * That batch is the cut: slices that an intent calls dead are in no map, so
 * that no growing shows them; they go in the background (drain.c).  A file has
 * one intent record.  A cut takes over what the last one left, or ends it
 * first.
 */
#include <file/private.h>

#include <base/cleanup.h>
#include <base/fail.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#define TRUNCATE_TRIES 8u /* against a writer that never rests */

/* Bytes that the new size promises and that no slice holds yet? */
static bool runs_below(struct inode *in, struct content *c, uint64_t size)
{
	list_for(l, &c->runs)
	{
		const struct run *r = container_of(l, struct run, link);

		if (r->chunk->number * in->files->how.extent_bytes + r->off <
		    size)
			return true;
	}
	return false;
}

/* Not ahead of its bytes on disk, though a writer may never rest. */
static void size_set(struct inode *in, struct content *c, uint64_t size)
{
	in->rec.size = size;
	if (size < in->disk_size || !runs_below(in, c, size))
		in->disk_size = size;
	in->rec.mtime = in->rec.ctime = files_now(in->files);
}

/* The hole over the rest of the last chunk; inode.io is held alone. */
static int cut_edge(struct inode *in, struct content *c, uint64_t size,
		    struct batch *b)
{
	struct files *f = in->files;
	uint32_t off = (uint32_t)(size % f->how.extent_bytes);
	struct slice s = { .kind = SLICE_HOLE,
			   .off = off,
			   .len = f->how.extent_bytes - off };
	const struct shown *last;
	struct chunk *k;
	int r;

	if (!off)
		return 0;
	r = chunk_load(in, c, chunk_number(f, size), &k);
	if (r < 0 || !k->map.n_shown)
		return r;
	last = &k->map.shown[k->map.n_shown - 1];
	if (last->off + last->len <= off)
		return 0; /* nothing behind the edge */
	return slice_put(in, c, k, &s, b);
}

/* Dirty bytes of the chunks from first on, and their maps, are forgotten. */
static void cut_chunks(struct inode *in, struct content *c, uint64_t first)
{
	struct hnode *n, *next;

	for (n = hmap_iter(&c->chunks, NULL); n; n = next) {
		struct chunk *k = container_of(n, struct chunk, node);

		next = hmap_iter(&c->chunks, n);
		if (k->number < first)
			continue;
		runs_cut(in->files, c, k, 0);
		if (!list_empty(&k->runs))
			continue;
		chunk_free(in->files, c, k);
	}
}

static uint64_t first_behind(const struct files *f, uint64_t size)
{
	return chunk_number(f, size) + (size % f->how.extent_bytes != 0);
}

/* What a cut does, worked out before its batch is begun. */
struct plan {
	uint64_t size, first; /* chunk that goes whole, and all behind it */
	struct rows rows;     /* all that go, if they are few */
	/* of slices that go, if they are few; else of those that stay */
	struct amount amount;
	bool counted; /* if they are not few: it is known */
};

/*
 * The slices behind the cut are too many for its batch: an intent says so.
 * Whether the inode counts them any more depends on whether those that stay
 * could be counted.
 */
static void plan_intent(struct inode *in, const struct plan *p,
			struct cut_left *left, struct batch *b)
{
	struct intent_rec rec = { .kind = INTENT_CUT,
				  .chunk = p->first,
				  .sequence = in->rec.sequence,
				  .counted = !p->counted };
	struct key key = key_intent(in->ino, INTENT_CUT);
	AUTOBUF struct buf value = BUF_INIT;

	intent_rec_put(&value, &rec);
	batch_put(b, key.data, key.len, value.data, value.len);
	*left = (struct cut_left){ .known = true,
				   .counted = rec.counted,
				   .chunk = rec.chunk,
				   .below = rec.sequence,
				   .at = rec.chunk };
	if (!p->counted)
		return;
	in->rec.stored = p->amount.stored;
	in->rec.reserved = p->amount.reserved;
	in->inlined = p->amount.inlined;
}

static int cut_batch(struct inode *in, struct content *c, const struct plan *p,
		     struct cut_left *left, struct batch *b)
{
	int r = 0;

	if (p->rows.more || left->below)
		plan_intent(in, p, left, b);
	else
		r = rows_drop(in->files, in->ino, &p->rows, b, NULL);
	if (!left->below)
		amount_move(in, p->amount, (struct amount){ 0 });
	if (r >= 0)
		r = cut_edge(in, c, p->size, b);
	return r < 0 ? r : b->error;
}

/* Everything of the cut that one batch holds; c->cut: what is left. */
static int cut_commit(struct inode *in, struct content *c, const struct plan *p)
{
	struct cut_left left = c->cut;
	AUTOBATCH struct batch b;
	struct before was;
	int r;

	batch_init(&b);
	was = change_begin(in);
	r = cut_batch(in, c, p, &left, &b);
	if (r >= 0) {
		size_set(in, c, p->size);
		inode_record(in, &b);
		r = meta_commit(in->files->how.meta, &b, NULL);
	}
	change_end(in, &was, r);
	if (r >= 0)
		cut_is(c, &left);
	return r;
}

/*
 * What the last cut left can be told of together with this one: as all of it
 * is below this one's sequence, if it is behind this one's chunk, and none of
 * it is counted.
 */
static bool plan_takes_over(const struct content *c, const struct plan *p)
{
	return !p->first ||
	       (p->first <= c->cut.chunk && p->counted && !c->cut.counted);
}

static int plan_few(struct inode *in, struct plan *p)
{
	int r = rows_find(in->files, in->ino, p->first, UINT64_MAX, &p->rows);

	/* what can not be read can not go at once */
	p->rows.more = p->rows.more || p->rows.damaged;
	if (r >= 0)
		r = rows_amount(&p->rows, &p->amount);
	return r;
}

/* -EAGAIN: what the last cut has left goes first. */
static int plan_make(struct inode *in, struct content *c, uint64_t size,
		     struct plan *p)
{
	struct cut_left last;
	int r = cut_look_up(in, c, &last);

	p->size = size;
	p->first = first_behind(in->files, size);
	if (r >= 0 && last.below) {
		r = stored_below(in, c, p->first, &p->amount, &p->counted);
		return r < 0 || plan_takes_over(c, p) ? r : -EAGAIN;
	}
	if (r >= 0)
		r = plan_few(in, p);
	if (r >= 0 && p->rows.more)
		r = stored_below(in, c, p->first, &p->amount, &p->counted);
	return r;
}

static void cut_runs(struct inode *in, struct content *c, uint64_t size)
{
	struct files *f = in->files;
	struct chunk *k = chunk_find(c, chunk_number(f, size));

	if (k)
		runs_cut(f, c, k, (uint32_t)(size % f->how.extent_bytes));
	cut_chunks(in, c, first_behind(f, size));
	if (!c->n_runs)
		trouble_over(c); /* it went with them */
}

/* 1: something is left to be drained. */
static int cut_locked(struct inode *in, struct content *c, uint64_t size)
{
	struct plan p = { 0 };
	int r = plan_make(in, c, size, &p);

	if (r >= 0)
		r = cut_commit(in, c, &p);
	rows_done(&p.rows);
	if (r < 0) {
		/* maps may have run ahead of the index: load them again */
		struct chunk *k = chunk_find(c, chunk_number(in->files, size));

		if (k) {
			map_done(&k->map);
			chunk_weigh(in->files, c, k);
		}
		return r;
	}
	cut_runs(in, c, size);
	if (c->n_runs)
		atomic_store(&c->guess, true);
	return c->cut.below != 0;
}

static int grow_locked(struct inode *in, struct content *c, uint64_t size)
{
	AUTOBATCH struct batch b;
	struct before was;
	int r;

	batch_init(&b);
	AUTOLOCK(&in->lock);
	was = inode_before(in);
	size_set(in, c, size);
	inode_record(in, &b);
	r = meta_commit(in->files->how.meta, &b, NULL);
	if (r < 0)
		inode_undo(in, &was);
	return r;
}

static int truncate_locked(struct inode *in, struct content *c, uint64_t size,
			   bool grow)
{
	if (grow && size <= in->rec.size)
		return 0;
	/* to the same size takes away what is reserved behind it */
	if (size > in->rec.size || (size == in->rec.size && !in->rec.reserved))
		return grow_locked(in, c, size);
	return cut_locked(in, c, size);
}

/* 1: something is left to be drained; -EAGAIN: it has to be, before. */
static int resize_once(struct inode *in, struct content *c, uint64_t size,
		       bool grow)
{
	bool done = false;
	int r = 0;

	AUTOLOCK(&c->flush);
	for (unsigned i = 0; r >= 0 && !done; ++i) {
		(void)pthread_rwlock_wrlock(&in->io);
		done = i == TRUNCATE_TRIES || !runs_below(in, c, size);
		if (in->gone)
			r = -ENOENT;
		else if (done)
			r = truncate_locked(in, c, size, grow);
		(void)pthread_rwlock_unlock(&in->io);
		if (r >= 0 && !done)
			r = flush_inode(in, FLUSH_AGED);
	}
	return r;
}

int file_resize(struct inode *in, uint64_t size, bool grow)
{
	bool again;
	int r;

	if (in->files->how.readonly)
		return -EROFS;
	if (size > (uint64_t)INT64_MAX)
		return -EFBIG;
	r = meta_admit(in->files->how.meta);
	if (r >= 0)
		r = content_ready(in);
	if (r < 0)
		return r;
	/* in turns, that readers and flushes need not wait for the end */
	do {
		r = resize_once(in, content_of(in), size, grow);
		again = r == -EAGAIN;
		if (again)
			r = drain_all(in);
	} while (again && r >= 0);
	/* the cut is done: what can not be drained now is later */
	if (r == 1)
		(void)drain_begin(in);
	maps_trim(in->files);
	return r < 0 ? r : 0;
}

int file_truncate(struct inode *in, uint64_t size)
{
	return file_resize(in, size, false);
}
