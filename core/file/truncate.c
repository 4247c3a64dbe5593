/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cutting and growing a file.
 *
 * Dirty runs below the cut are flushed first, so that the new size never
 * stands on disk before the bytes that it promises; those behind it are never
 * stored. Then one batch holds the
 * new size, a hole over the rest of the last chunk, and the end of all slices
 * behind it; when those are many, an intent record instead, and steps that end
 * before the call returns.
 *
 * That batch is the cut: slices that an intent calls dead are in no map, so
 * that no growing shows them. Steps that fail, or that a crash interrupts, cost
 * room only. They are done by the next cut, which begins with them, for a file
 * has one intent record, or by the next open.
 */
#include <file/private.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/log.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

#define CUT_STEP       512u /* slices of one batch */
#define TRUNCATE_TRIES 8u   /* against a writer that never rests */

struct cut_row {
	uint64_t chunk, sequence;
	struct extent_id extent;
	uint32_t length;
	uint8_t kind;
};

struct cut {
	uint64_t below; /* only sequences lower than this */
	struct cut_row rows[CUT_STEP];
	uint32_t n;
};

static int cut_collect(void *ctx, const void *key, size_t key_len,
		       const void *value, size_t value_len)
{
	struct cut *c = (struct cut *)ctx;
	struct cut_row *row = &c->rows[c->n];
	struct slice_rec rec;
	uint64_t ino;

	if (key_parse_slice(key, key_len, &ino, &row->chunk, &row->sequence) <
		0 ||
	    slice_rec_get(value, value_len, &rec) < 0)
		return fail(-EUCLEAN, "a slice record is damaged");
	if (row->sequence >= c->below)
		return 0;
	row->kind = rec.kind;
	row->length = rec.length;
	row->extent = rec.extent;
	return ++c->n == CUT_STEP;
}

static int cut_find(struct files *f, uint64_t ino, uint64_t chunk,
		    struct cut *c)
{
	struct key from = key_slice(ino, chunk, 0);
	struct key to = key_slice(ino, UINT64_MAX, UINT64_MAX);

	c->n = 0;
	return meta_scan(f->how.meta, from.data, from.len, to.data, to.len,
			 cut_collect, c);
}

/* Deletes and unrefs into the batch; a drop has begun. */
static int cut_rows(struct files *f, uint64_t ino, const struct cut *c,
		    struct batch *b)
{
	for (uint32_t i = 0; i < c->n; ++i) {
		const struct cut_row *row = &c->rows[i];
		struct key key = key_slice(ino, row->chunk, row->sequence);
		int r;

		batch_delete(b, key.data, key.len);
		if (row->kind != SLICE_EXTENT)
			continue;
		r = extent_unref(f->how.extents, row->extent, ino, row->chunk,
				 row->sequence, row->length, b);
		if (r < 0)
			return r;
	}
	return b->error;
}

int cut_slices(struct files *f, uint64_t ino, uint64_t chunk, uint64_t below)
{
	struct cut *c = (struct cut *)calloc(1, sizeof(*c));
	int r = c ? 0 : -ENOMEM;

	while (r >= 0) {
		AUTOBATCH struct batch b;

		c->below = below;
		batch_init(&b);
		r = meta_admit(f->how.meta);
		if (r >= 0)
			r = cut_find(f, ino, chunk, c);
		if (r < 0 || !c->n)
			break;
		extent_drop_begin(f->how.extents);
		r = cut_rows(f, ino, c, &b);
		if (r >= 0)
			r = meta_commit(f->how.meta, &b, NULL);
		extent_drop_end(f->how.extents, r >= 0);
	}
	free(c);
	return r;
}

/* The hole over the rest of the last chunk; inode.io is held alone. */
static int cut_edge(struct inode *in, struct content *c, uint64_t size,
		    struct batch *b, uint64_t *ret_stored)
{
	struct files *f = in->files;
	uint32_t off = (uint32_t)(size % f->how.extent_bytes);
	struct slice s = { .kind = SLICE_HOLE,
			   .off = off,
			   .len = f->how.extent_bytes - off };
	struct slice_rec rec = { .kind = SLICE_HOLE,
				 .offset = s.off,
				 .length = s.len };
	AUTOBUF struct buf value = BUF_INIT;
	struct chunk *k;
	struct key key;
	uint64_t before;
	int r;

	*ret_stored = 0;
	if (!off)
		return 0;
	r = chunk_load(in, c, chunk_number(f, size), &k);
	if (r < 0)
		return r;
	if (!k->map.n_shown || k->map.shown[k->map.n_shown - 1].off +
				       k->map.shown[k->map.n_shown - 1].len <=
				   off)
		return 0; /* nothing behind the edge */
	before = map_stored(&k->map);
	s.sequence = in->rec.sequence++;
	slice_rec_put(&value, &rec);
	key = key_slice(in->ino, k->number, s.sequence);
	batch_put(b, key.data, key.len, value.data, value.len);
	r = map_add(&k->map, &s);
	if (r < 0)
		return r;
	*ret_stored = before - map_stored(&k->map);
	r = drop_hidden(in, k, b);
	chunk_weigh(f, c, k);
	return r;
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

/* What is stored is counted anew from the slices that are left. */
struct stored {
	struct files *f;
	struct map map;
	uint64_t chunk, sum;
};

static int stored_slice(void *ctx, const void *key, size_t key_len,
			const void *value, size_t value_len)
{
	struct stored *t = (struct stored *)ctx;
	struct slice s = { 0 };
	struct slice_rec rec;
	uint64_t ino, chunk;

	if (key_parse_slice(key, key_len, &ino, &chunk, &s.sequence) < 0 ||
	    slice_rec_get(value, value_len, &rec) < 0)
		return fail(-EUCLEAN, "a slice record is damaged");
	if (chunk != t->chunk) {
		t->sum += map_stored(&t->map);
		map_done(&t->map);
		t->chunk = chunk;
	}
	s.kind = rec.kind;
	s.off = rec.offset;
	s.len = rec.length;
	return map_add(&t->map, &s);
}

static int stored_below(struct inode *in, uint64_t chunk, uint64_t *ret)
{
	struct key from = key_slice(in->ino, 0, 0);
	struct key to = key_slice(in->ino, chunk, 0);
	struct stored t = { .f = in->files };
	int r = meta_scan(in->files->how.meta, from.data, from.len, to.data,
			  to.len, stored_slice, &t);

	*ret = t.sum + map_stored(&t.map);
	map_done(&t.map);
	return r;
}

static uint64_t first_behind(const struct files *f, uint64_t size)
{
	return chunk_number(f, size) + (size % f->how.extent_bytes != 0);
}

/* Everything of the cut that one batch holds; c->cut: what is left. */
static int cut_commit(struct inode *in, struct content *c, uint64_t size,
		      struct cut *cut)
{
	struct files *f = in->files;
	uint64_t first = first_behind(f, size), edge = 0, stored;
	AUTOBUF struct buf value = BUF_INIT;
	AUTOBATCH struct batch b;
	struct cut_left left = { .known = true };
	struct before was;
	int r;

	batch_init(&b);
	extent_drop_begin(f->how.extents);
	AUTOLOCK(&in->lock);
	was = inode_before(in);
	cut->below = UINT64_MAX;
	r = stored_below(in, first, &stored);
	if (r >= 0)
		r = cut_edge(in, c, size, &b, &edge);
	if (r >= 0)
		r = cut_find(f, in->ino, first, cut);
	if (r >= 0)
		r = cut_rows(f, in->ino, cut, &b);
	if (r >= 0 && cut->n == CUT_STEP) {
		struct intent_rec rec = { .kind = INTENT_CUT,
					  .chunk = first,
					  .sequence = in->rec.sequence };
		struct key key = key_intent(in->ino, INTENT_CUT);

		intent_rec_put(&value, &rec);
		batch_put(&b, key.data, key.len, value.data, value.len);
		left = (struct cut_left){ true, rec.chunk, rec.sequence };
	}
	if (r >= 0) {
		in->rec.size = in->disk_size = size;
		in->rec.stored = stored - edge;
		in->rec.mtime = in->rec.ctime = files_now(f);
		inode_record(in, &b);
		r = meta_commit(f->how.meta, &b, NULL);
	}
	if (r < 0)
		inode_undo(in, &was);
	else
		c->cut = left;
	extent_drop_end(f->how.extents, r >= 0);
	return r;
}

/* The slices that the last cut has left, whether it was now or long ago. */
static int cut_rest(struct inode *in, struct content *c)
{
	struct files *f = in->files;
	struct key key = key_intent(in->ino, INTENT_CUT);
	AUTOBATCH struct batch b;
	int r;

	batch_init(&b);
	if (!c->cut.below)
		return 0;
	r = cut_slices(f, in->ino, c->cut.chunk, c->cut.below);
	if (r < 0)
		return r;
	batch_delete(&b, key.data, key.len);
	r = meta_commit(f->how.meta, &b, NULL);
	if (r >= 0)
		c->cut = (struct cut_left){ .known = true };
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

static int cut_locked(struct inode *in, struct content *c, uint64_t size)
{
	AUTOFREE struct cut *cut = (struct cut *)calloc(1, sizeof(*cut));
	int r = cut ? cut_look_up(in, c) : -ENOMEM;

	if (r >= 0)
		r = cut_rest(in, c);
	if (r < 0)
		return r;
	r = cut_commit(in, c, size, cut);
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
	r = cut_rest(in, c);
	if (r < 0) {
		log_warn("file",
			 "inode %" PRIu64 ": what was cut away is not removed "
			 "yet: %s",
			 in->ino, fail_text(r));
		fail_clear();
	}
	return 0;
}

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

static int grow_locked(struct inode *in, uint64_t size)
{
	AUTOBATCH struct batch b;
	struct before was;
	int r;

	batch_init(&b);
	AUTOLOCK(&in->lock);
	was = inode_before(in);
	in->rec.size = in->disk_size = size;
	in->rec.mtime = in->rec.ctime = files_now(in->files);
	inode_record(in, &b);
	r = meta_commit(in->files->how.meta, &b, NULL);
	if (r < 0)
		inode_undo(in, &was);
	return r;
}

static int truncate_locked(struct inode *in, struct content *c, uint64_t size)
{
	if (size >= in->rec.size)
		return grow_locked(in, size);
	return cut_locked(in, c, size);
}

int file_truncate(struct inode *in, uint64_t size)
{
	struct content *c;
	bool last, done = false;
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
	c = content_of(in);
	AUTOLOCK(&c->flush);
	for (unsigned i = 0; r >= 0 && !done; ++i) {
		last = i == TRUNCATE_TRIES;
		(void)pthread_rwlock_wrlock(&in->io);
		done = last || !runs_below(in, c, size);
		if (in->gone)
			r = -ENOENT;
		else if (done)
			r = truncate_locked(in, c, size);
		(void)pthread_rwlock_unlock(&in->io);
		if (r >= 0 && !done)
			r = flush_inode(in, FLUSH_AGED);
	}
	maps_trim(in->files);
	return r;
}
