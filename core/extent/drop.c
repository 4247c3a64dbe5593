/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dropping references.
 *
 * Whether a reference is the last one is asked of the back references
 * themselves: those in the metadata less those that the batch in hand deletes.
 * One drop at a time, from the question until its batch is committed, makes
 * the answer true when two files share a packed extent and both let go.
 *
 * An extent may have thousands of them, and a batch take away hundreds: nobody
 * counts them all each time.  Batches go by ascending keys mostly, so a row
 * behind all that this one takes away tells in one step that it is not the
 * last; else more are counted than were asked for, and kept in mind.
 */
#include <extent/private.h>

#include <base/cleanup.h>
#include <base/fail.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void extent_drop_begin(struct extents *x)
{
	(void)pthread_mutex_lock(&x->drop_lock);
}

static struct dropping *dropping_find(struct extents *x, struct extent_id id)
{
	struct hnode *n = hmap_find(&x->dropping, extent_hash(id));

	for (; n; n = hmap_next(n)) {
		struct dropping *d = container_of(n, struct dropping, node);

		if (extent_same(d->id, id))
			return d;
	}
	return NULL;
}

static int dropping_get(struct extents *x, struct extent_id id,
			struct dropping **ret)
{
	struct dropping *d = dropping_find(x, id);
	AUTOBUF struct buf value = BUF_INIT;
	struct key key = key_live(id);
	int r;

	if (!d) {
		d = (struct dropping *)calloc(1, sizeof(*d));
		if (!d)
			return -ENOMEM;
		d->id = id;
		r = meta_get(x->meta, key.data, key.len, &value);
		if (r < 0 && r != -ENOENT) {
			free(d);
			return r;
		}
		/* advice: a damaged one counts from nothing */
		if (r >= 0)
			(void)live_rec_get(value.data, value.len,
					   &d->live_bytes);
		hmap_add(&x->dropping, &d->node, extent_hash(id));
	}
	*ret = d;
	return 0;
}

struct count_refs {
	uint32_t n, enough;
};

static int count_ref(void *ctx, const void *key, size_t key_len,
		     const void *value, size_t value_len)
{
	struct count_refs *c = (struct count_refs *)ctx;

	(void)key;
	(void)key_len;
	(void)value;
	(void)value_len;
	return ++c->n >= c->enough;
}

/* All of its keys go; what its fragments occupy is queued to be freed. */
static int drop_extent(struct extents *x, struct dropping *d, struct batch *b)
{
	AUTOBUF struct buf value = BUF_INIT;
	struct key key = key_extent(d->id);
	struct extent_rec rec;
	int r = meta_get(x->meta, key.data, key.len, &value);

	if (r >= 0)
		r = extent_rec_get(value.data, value.len, &rec);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	batch_delete(b, key.data, key.len);
	key = key_live(d->id);
	batch_delete(b, key.data, key.len);
	for (uint32_t i = 0; i < rec.k + rec.m; ++i) {
		const struct fragment_rec *f = &rec.fragments[i];

		if (!f->disk)
			continue;
		d->free.at[d->free.n].disk = f->disk;
		d->free.at[d->free.n].index = i;
		d->free.at[d->free.n++].place = f->place;
		key = key_on_disk(f->disk, d->id, (uint16_t)i);
		batch_delete(b, key.data, key.len);
	}
	key = key_repair(d->id);
	buf_clear(&value);
	if (meta_get(x->meta, key.data, key.len, &value) >= 0) {
		batch_delete(b, key.data, key.len);
		d->queued_bytes = rec.plain_len;
	}
	buf_clear(&value);
	free_rec_put(&value, &d->free);
	key = key_free(d->id, 0);
	batch_put(b, key.data, key.len, value.data, value.len);
	d->freed = true;
	return buf_error(&value) < 0 ? -ENOMEM : b->error;
}

static int live_put(const struct dropping *d, struct batch *b)
{
	AUTOBUF struct buf value = BUF_INIT;
	struct key key = key_live(d->id);

	live_rec_put(&value, d->live_bytes);
	batch_put(b, key.data, key.len, value.data, value.len);
	return buf_error(&value) < 0 ? -ENOMEM : b->error;
}

/* Is there a reference behind all that the batch takes away? */
static int refs_behind(struct extents *x, const struct dropping *d)
{
	struct key from = d->last;
	struct key to = key_ref(d->id, UINT64_MAX, UINT64_MAX, UINT64_MAX);
	struct count_refs count = { .enough = 1 };
	int r;

	from.data[from.len++] = 0;
	r = meta_scan(x->meta, from.data, from.len, to.data, to.len, count_ref,
		      &count);
	return r < 0 ? r : count.n > 0;
}

/* 1: some reference is left that the batch does not take away. */
static int refs_left(struct extents *x, struct dropping *d)
{
	struct key all = key_ref_extent(d->id);
	struct count_refs count = { .enough = 2 * d->n_unrefs + 1 };
	int r;

	if (d->referred || d->n_refs > d->n_unrefs)
		return 1;
	r = refs_behind(x, d);
	if (r)
		return r;
	r = meta_scan(x->meta, all.data, all.len, NULL, 0, count_ref, &count);
	if (r < 0)
		return r;
	d->n_refs = count.n;
	return d->n_refs > d->n_unrefs;
}

int extent_unref(struct extents *x, struct extent_id id, uint64_t ino,
		 uint64_t chunk, uint64_t sequence, uint32_t length,
		 struct batch *b)
{
	struct key key = key_ref(id, ino, chunk, sequence);
	struct dropping *d;
	int r = dropping_get(x, id, &d);

	if (r < 0 || d->freed)
		return r;
	batch_delete(b, key.data, key.len);
	if (!d->n_unrefs++ || memcmp(key.data, d->last.data, key.len) > 0)
		d->last = key;
	d->live_bytes -= length < d->live_bytes ? length : d->live_bytes;
	r = refs_left(x, d);
	if (r < 0)
		return r;
	return r ? live_put(d, b) : drop_extent(x, d, b);
}

int extent_ref(struct extents *x, struct extent_id id, uint64_t ino,
	       uint64_t chunk, uint64_t sequence, uint32_t length,
	       struct batch *b)
{
	static const uint8_t version[1] = { 1 };
	struct key key = key_ref(id, ino, chunk, sequence);
	struct dropping *d;
	int r = dropping_get(x, id, &d);

	if (r < 0)
		return r;
	if (d->freed)
		return -ENOENT;
	batch_put(b, key.data, key.len, version, sizeof(version));
	d->referred = true;
	d->live_bytes += length;
	return live_put(d, b);
}

/* After the commit, so the open group is that of the batch or a later one. */
void extent_drop_end(struct extents *x, bool committed)
{
	uint64_t number = meta_open_number(x->meta);
	struct hnode *n;

	while ((n = hmap_iter(&x->dropping, NULL))) {
		struct dropping *d = container_of(n, struct dropping, node);

		if (d->freed && committed) {
			if (d->queued_bytes)
				repair_count(x, -1, -(int64_t)d->queued_bytes);
			cache_drop(x, d->id);
			reclaim_add(x, d->id, 0, number, &d->free);
		}
		hmap_remove(&x->dropping, n);
		free(d);
	}
	(void)pthread_mutex_unlock(&x->drop_lock);
}
