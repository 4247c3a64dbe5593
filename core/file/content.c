/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks of an inode in memory.  Maps are loaded on first use, also by readers
 * that hold inode.io shared: map_lock makes that one at a time; what is loaded
 * changes only under inode.io held alone.
 */
#include <file/private.h>

#include <base/cleanup.h>
#include <base/fail.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHUNKS_KEEP 4096u /* maps of one inode, then all are dropped */

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

/* Slices that nothing shows leave the index and give up their extents. */
int drop_hidden(struct inode *in, struct chunk *k, struct batch *b)
{
	struct extents *x = in->files->how.extents;

	for (uint32_t i = 0; i < k->map.n_slices; ++i) {
		const struct slice *s = &k->map.slices[i];
		struct key key;
		int r;

		if (map_shows(&k->map, i))
			continue;
		key = key_slice(in->ino, k->number, s->sequence);
		batch_delete(b, key.data, key.len);
		if (s->kind != SLICE_EXTENT)
			continue;
		r = extent_unref(x, s->extent, in->ino, k->number, s->sequence,
				 s->len, b);
		if (r < 0)
			return r;
	}
	map_prune(&k->map);
	return 0;
}

static int load_slice(void *ctx, const void *key, size_t key_len,
		      const void *value, size_t value_len)
{
	struct map *m = (struct map *)ctx;
	struct slice s = { 0 };
	struct slice_rec rec;
	uint64_t ino, chunk;

	if (key_parse_slice(key, key_len, &ino, &chunk, &s.sequence) < 0 ||
	    slice_rec_get(value, value_len, &rec) < 0)
		return fail(-EUCLEAN, "a slice record is damaged");
	s.kind = rec.kind;
	s.off = rec.offset;
	s.len = rec.length;
	s.extent = rec.extent;
	s.extent_off = rec.extent_offset;
	if (s.kind == SLICE_INLINE) {
		s.bytes = (uint8_t *)malloc(s.len ? s.len : 1);
		if (!s.bytes)
			return -ENOMEM;
		memcpy(s.bytes, rec.bytes, s.len);
	}
	return map_add(m, &s);
}

int chunk_load(struct inode *in, struct content *c, uint64_t number,
	       struct chunk **ret)
{
	struct key key = key_slice_chunk(in->ino, number);
	struct map map = { 0 };
	struct chunk *k;
	int r;

	AUTOLOCK(&c->map_lock);
	r = chunk_get(c, number, &k);
	if (r < 0)
		return r;
	if (!k->map.loaded && !in->fresh) {
		r = meta_scan(in->files->how.meta, key.data, key.len, NULL, 0,
			      load_slice, &map);
		if (r < 0) {
			map_done(&map);
			return r;
		}
		k->map = map;
		if (map_has_inline(&map))
			c->has_inline = true;
	}
	k->map.loaded = true;
	*ret = k;
	return 0;
}

/* Keep the memory of one inode's maps within bounds. */
void content_trim(struct inode *in, struct content *c)
{
	struct hnode *n, *next;

	(void)in;
	if (c->n_chunks <= CHUNKS_KEEP)
		return;
	for (n = hmap_iter(&c->chunks, NULL); n; n = next) {
		struct chunk *k = container_of(n, struct chunk, node);

		next = hmap_iter(&c->chunks, n);
		if (!list_empty(&k->runs))
			continue;
		hmap_remove(&c->chunks, n);
		c->n_chunks--;
		map_done(&k->map);
		free(k);
	}
}

void content_free(struct content *c)
{
	struct hnode *n, *next;

	for (n = hmap_iter(&c->chunks, NULL); n; n = next) {
		struct chunk *k = container_of(n, struct chunk, node);

		next = hmap_iter(&c->chunks, n);
		hmap_remove(&c->chunks, n);
		map_done(&k->map);
		free(k);
	}
	hmap_done(&c->chunks);
	(void)pthread_mutex_destroy(&c->map_lock);
	(void)pthread_mutex_destroy(&c->flush);
}
