/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks of an inode in memory.  Maps are loaded on first use, also by readers
 * that hold inode.io shared: map_lock makes that one at a time; what is loaded
 * changes only under inode.io held alone.  All maps together have a share of
 * the memory; beyond it the inode that loaded its last the longest ago loses
 * all of its own.
 */
#include <file/private.h>

#include <base/cleanup.h>
#include <base/fail.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TRIM_TRIES 16

struct chunk *chunk_find(struct content *c, uint64_t number)
{
	struct hnode *n = hmap_find(&c->chunks, hash_u64(number));

	for (; n; n = hmap_next(n)) {
		struct chunk *k = container_of(n, struct chunk, node);

		if (k->number == number)
			return k;
	}
	return NULL;
}

int chunk_get(struct content *c, uint64_t number, struct chunk **ret)
{
	struct chunk *k = chunk_find(c, number);

	if (!k) {
		k = (struct chunk *)calloc(1, sizeof(*k));
		if (!k)
			return -ENOMEM;
		k->number = number;
		list_init(&k->runs);
		hmap_add(&c->chunks, &k->node, hash_u64(number));
		c->n_chunks++;
	}
	*ret = k;
	return 0;
}

static void drop_row(struct inode *in, struct chunk *k, uint64_t sequence,
		     struct batch *b)
{
	struct key key = key_slice(in->ino, k->number, sequence);

	batch_delete(b, key.data, key.len);
}

/* A hole over nothing is what there is without it. */
static void drop_holes(struct inode *in, struct chunk *k, struct batch *b)
{
	bool any = false;

	for (uint32_t i = 0; i < k->map.n_slices; ++i) {
		if (k->map.slices[i].kind != SLICE_HOLE ||
		    map_hides(&k->map, i))
			continue;
		drop_row(in, k, k->map.slices[i].sequence, b);
		map_unshow(&k->map, i);
		any = true;
	}
	if (any)
		map_prune(&k->map);
}

/* Slices that nothing shows leave the index and give up their extents. */
int drop_hidden(struct inode *in, struct chunk *k, struct batch *b)
{
	struct extents *x = in->files->how.extents;

	for (uint32_t i = 0; i < k->map.n_slices; ++i) {
		const struct slice *s = &k->map.slices[i];
		int r;

		if (map_shows(&k->map, i))
			continue;
		drop_row(in, k, s->sequence, b);
		if (s->kind != SLICE_EXTENT)
			continue;
		r = extent_unref(x, s->extent, in->ino, k->number, s->sequence,
				 s->len, b);
		if (r < 0)
			return r;
	}
	map_prune(&k->map);
	drop_holes(in, k, b);
	return 0;
}

int slice_put(struct inode *in, struct content *c, struct chunk *k,
	      struct slice *s, struct batch *b)
{
	struct slice_rec rec = { .kind = s->kind,
				 .offset = s->off,
				 .length = s->len,
				 .extent = s->extent,
				 .extent_offset = s->extent_off };
	AUTOBUF struct buf value = BUF_INIT;
	struct amount before = map_amount(&k->map);
	struct key key;
	int r = 0;

	s->sequence = in->rec.sequence++;
	key = key_slice(in->ino, k->number, s->sequence);
	slice_rec_put(&value, &rec);
	if (buf_error(&value) < 0)
		return -ENOMEM;
	batch_put(b, key.data, key.len, value.data, value.len);
	/* before anything is dropped: it may be the same extent */
	if (s->kind == SLICE_EXTENT)
		r = extent_ref(in->files->how.extents, s->extent, in->ino,
			       k->number, s->sequence, s->len, b);
	if (r >= 0)
		r = map_add(&k->map, s);
	if (r >= 0)
		r = drop_hidden(in, k, b);
	amount_move(in, before, map_amount(&k->map));
	chunk_weigh(in->files, c, k);
	return r;
}

/* All of a slice but its sequence and its bytes; *rec: as it is recorded. */
static int slice_get(const void *value, size_t value_len, uint32_t chunk_bytes,
		     struct slice_rec *rec, struct slice *s)
{
	if (slice_rec_get(value, value_len, rec) < 0 ||
	    rec->length > chunk_bytes ||
	    rec->offset > chunk_bytes - rec->length)
		return fail(-EUCLEAN, "a slice record is damaged");
	s->kind = rec->kind;
	s->off = rec->offset;
	s->len = rec->length;
	s->extent = rec->extent;
	s->extent_off = rec->extent_offset;
	return 0;
}

int row_key(const struct files *f, const void *key, size_t key_len,
	    struct row *ret)
{
	uint64_t ino;

	ret->s = (struct slice){ 0 };
	if (key_parse_slice(key, key_len, &ino, &ret->chunk, &ret->s.sequence) <
		0 ||
	    ret->chunk > chunk_number(f, INT64_MAX))
		return fail(-EUCLEAN, "the key of a slice is damaged");
	return 0;
}

int row_value(const struct files *f, const void *value, size_t value_len,
	      struct row *row)
{
	struct slice_rec rec;

	return slice_get(value, value_len, f->how.extent_bytes, &rec, &row->s);
}

int row_get(const struct files *f, const void *key, size_t key_len,
	    const void *value, size_t value_len, struct row *ret)
{
	int r = row_key(f, key, key_len, ret);

	return r < 0 ? r : row_value(f, value, value_len, ret);
}

struct load {
	struct map map;
	uint64_t below;       /* slices of lower sequences are dead */
	uint32_t chunk_bytes; /* no slice goes beyond */
};

static int load_slice(void *ctx, const void *key, size_t key_len,
		      const void *value, size_t value_len)
{
	struct load *l = (struct load *)ctx;
	struct slice s = { 0 };
	struct slice_rec rec;
	uint64_t ino, chunk;
	int r;

	if (key_parse_slice(key, key_len, &ino, &chunk, &s.sequence) < 0)
		return fail(-EUCLEAN, "the key of a slice is damaged");
	if (s.sequence < l->below)
		return 0;
	r = slice_get(value, value_len, l->chunk_bytes, &rec, &s);
	if (r < 0)
		return r;
	if (s.kind == SLICE_INLINE) {
		s.bytes = (uint8_t *)malloc(s.len ? s.len : 1);
		if (!s.bytes)
			return -ENOMEM;
		memcpy(s.bytes, rec.bytes, s.len);
	}
	return map_add(&l->map, &s);
}

static void chunk_loaded(struct files *f, struct content *c, struct chunk *k)
{
	k->map.loaded = true;
	chunk_weigh(f, c, k);
	AUTOLOCK(&f->lock);
	list_remove(&holder_of(c)->mapped);
	list_push(&f->mapped, &holder_of(c)->mapped);
}

static int cut_read(struct inode *in, struct content *c)
{
	struct key key = key_intent(in->ino, INTENT_CUT);
	struct cut_left cut = { .known = true };
	AUTOBUF struct buf value = BUF_INIT;
	struct intent_rec rec;
	int r = in->fresh
		    ? -ENOENT
		    : meta_get(in->files->how.meta, key.data, key.len, &value);

	if (r < 0 && r != -ENOENT)
		return r;
	if (r >= 0) {
		if (intent_rec_get(value.data, value.len, &rec) < 0 ||
		    rec.kind != INTENT_CUT)
			return fail(-EUCLEAN, "an intent record is damaged");
		cut.chunk = rec.chunk;
		cut.below = rec.sequence;
		cut.counted = rec.counted;
		cut.at = rec.chunk;
	}
	c->cut = cut;
	return 0;
}

int cut_look_up(struct inode *in, struct content *c, struct cut_left *ret)
{
	int r;

	AUTOLOCK(&c->map_lock);
	r = c->cut.known ? 0 : cut_read(in, c);
	if (r >= 0)
		*ret = c->cut;
	return r;
}

/*
 * Its record says so, which goes with the first of them: no look at the index
 * for the many files that are made and written once.
 */
static bool has_no_slices(const struct inode *in)
{
	return in->fresh ||
	       (in->rec.sequence == SEQUENCE_FIRST && !in->rec.stored);
}

int chunk_load(struct inode *in, struct content *c, uint64_t number,
	       struct chunk **ret)
{
	struct key key = key_slice_chunk(in->ino, number);
	struct load load = { .chunk_bytes = in->files->how.extent_bytes };
	struct chunk *k;
	int r;

	AUTOLOCK(&c->map_lock);
	r = chunk_get(c, number, &k);
	if (r < 0)
		return r;
	if (!k->map.loaded && !has_no_slices(in)) {
		if (!c->cut.known)
			r = cut_read(in, c);
		if (r < 0)
			return r;
		if (number >= c->cut.chunk)
			load.below = c->cut.below;
		r = meta_scan(in->files->how.meta, key.data, key.len, NULL, 0,
			      load_slice, &load);
		if (r < 0) {
			map_done(&load.map);
			return r;
		}
		k->map = load.map;
		if (map_has_inline(&k->map))
			c->has_inline = true;
	}
	if (!k->map.loaded)
		chunk_loaded(in->files, c, k);
	*ret = k;
	return 0;
}

/* ---- memory ---------------------------------------------------------- */

static uint64_t map_weight(const struct map *m)
{
	uint64_t n = m->cap_slices * sizeof(*m->slices) +
		     m->cap_shown * sizeof(*m->shown);

	for (uint32_t i = 0; i < m->n_slices; ++i)
		if (m->slices[i].kind == SLICE_INLINE)
			n += m->slices[i].len;
	return n;
}

void chunk_weigh(struct files *f, struct content *c, struct chunk *k)
{
	uint64_t now = sizeof(*k) + map_weight(&k->map);

	c->map_bytes += now - k->weight;
	atomic_fetch_add(&f->map_bytes, now - k->weight);
	k->weight = now;
}

void chunk_free(struct files *f, struct content *c, struct chunk *k)
{
	hmap_remove(&c->chunks, &k->node);
	c->n_chunks--;
	c->map_bytes -= k->weight;
	atomic_fetch_sub(&f->map_bytes, k->weight);
	map_done(&k->map);
	free(k);
}

void content_free(struct files *f, struct content *c)
{
	struct hnode *n, *next;

	(void)runs_drop(f, c); /* empty, but after a crash that is played */
	for (n = hmap_iter(&c->chunks, NULL); n; n = next) {
		next = hmap_iter(&c->chunks, n);
		chunk_free(f, c, container_of(n, struct chunk, node));
	}
	hmap_done(&c->chunks);
	(void)pthread_mutex_destroy(&c->map_lock);
	(void)pthread_mutex_destroy(&c->flush);
	free(holder_of(c));
}

/* inode.io is held alone.  What is on its way to an extent must be found. */
static void content_trim(struct inode *in, struct content *c)
{
	bool moves =
	    c->has_inline && in->rec.size > in->files->how.inline_file_bytes;
	struct hnode *n, *next;

	for (n = hmap_iter(&c->chunks, NULL); n; n = next) {
		struct chunk *k = container_of(n, struct chunk, node);

		next = hmap_iter(&c->chunks, n);
		if (list_empty(&k->runs) && !(moves && map_has_inline(&k->map)))
			chunk_free(in->files, c, k);
	}
}

/* The one whose last load is the longest ago, held. */
static struct inode *maps_oldest(struct files *f)
{
	struct list *l;
	struct inode *in;

	AUTOLOCK(&f->lock);
	l = list_first(&f->mapped);
	if (!l)
		return NULL;
	in = container_of(l, struct holder, mapped)->dirty.in;
	list_remove(l);
	list_push(&f->mapped, l);
	inode_use(f, in);
	return in;
}

void maps_trim(struct files *f)
{
	/* who is busy keeps its maps: look a few further */
	for (int i = 0; i < TRIM_TRIES; ++i) {
		struct inode *in;

		if (atomic_load(&f->map_bytes) <= f->map_limit)
			return;
		in = maps_oldest(f);
		if (!in)
			return;
		if (!pthread_rwlock_trywrlock(&in->io)) {
			content_trim(in, in->content);
			(void)pthread_rwlock_unlock(&in->io);
		}
		inode_put(in);
	}
}
