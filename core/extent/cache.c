/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extent records and verified tables in memory.
 *
 * Sharded by id; each shard is a table and a least-recently-used list within
 * its share of cache_bytes.  An entry is immutable but for the tables, which
 * are set once: a record that changes is dropped here, readers that still
 * hold the old entry find out by checksum and ask again.
 */
#include <extent/private.h>

#include <base/cleanup.h>

#include <errno.h>

static struct xshard *cache_shard(struct extents *x, struct extent_id id)
{
	return &x->shards[extent_hash(id) % CACHE_SHARDS];
}

int cache_init(struct extents *x)
{
	int r = 0;

	for (unsigned i = 0; i < CACHE_SHARDS; ++i) {
		(void)pthread_mutex_init(&x->shards[i].lock, NULL);
		list_init(&x->shards[i].lru);
		if (hmap_init(&x->shards[i].map, 64) < 0)
			r = -ENOMEM;
	}
	return r;
}

struct xentry *xentry_new(struct extent_id id, const struct extent_rec *rec)
{
	struct xentry *e = (struct xentry *)calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	list_init(&e->lru);
	e->id = id;
	e->refs = 1;
	e->rec = *rec;
	return e;
}

void xentry_free(struct xentry *e)
{
	if (!e)
		return;
	for (uint32_t i = 0; i < FRAGMENTS_MAX; ++i)
		free(atomic_load(&e->tables[i]));
	free(e);
}

/* An upper bound: all tables read. */
static uint64_t cache_weight(const struct xentry *e)
{
	uint64_t blocks = head_blocks(e->rec.payload_len, e->rec.block_bytes);

	return sizeof(*e) + blocks * e->rec.digest_len * (e->rec.k + e->rec.m);
}

/* Out of the table; freed unless somebody holds it.  The lock is held. */
static void cache_evict(struct xshard *s, struct xentry *e)
{
	hmap_remove(&s->map, &e->node);
	list_remove(&e->lru);
	s->bytes -= cache_weight(e);
	e->cached = false;
	if (--e->refs == 0)
		xentry_free(e);
}

void cache_done(struct extents *x)
{
	for (unsigned i = 0; i < CACHE_SHARDS; ++i) {
		struct xshard *s = &x->shards[i];
		struct list *l;

		while ((l = list_first(&s->lru)))
			cache_evict(s, container_of(l, struct xentry, lru));
		hmap_done(&s->map);
		(void)pthread_mutex_destroy(&s->lock);
	}
}

/* The lock is held. */
static struct xentry *cache_find(struct xshard *s, struct extent_id id)
{
	struct hnode *n = hmap_find(&s->map, extent_hash(id));

	for (; n; n = hmap_next(n)) {
		struct xentry *e = container_of(n, struct xentry, node);

		if (extent_same(e->id, id))
			return e;
	}
	return NULL;
}

static int cache_load(struct extents *x, struct extent_id id,
		      struct xentry **ret)
{
	struct key key = key_extent(id);
	AUTOBUF struct buf value = BUF_INIT;
	struct extent_rec rec;
	int r = meta_get(x->meta, key.data, key.len, &value);

	if (r >= 0)
		r = extent_rec_get(value.data, value.len, &rec);
	if (r < 0)
		return r;
	*ret = xentry_new(id, &rec);
	return *ret ? 0 : -ENOMEM;
}

int cache_get(struct extents *x, struct extent_id id, struct xentry **ret)
{
	struct xshard *s = cache_shard(x, id);
	uint64_t most = x->how.cache_bytes / CACHE_SHARDS;
	struct xentry *e, *other;
	int r;

	(void)pthread_mutex_lock(&s->lock);
	e = cache_find(s, id);
	if (e) {
		e->refs++;
		list_remove(&e->lru);
		list_push(&s->lru, &e->lru);
	}
	(void)pthread_mutex_unlock(&s->lock);
	if (e) {
		*ret = e;
		return 0;
	}
	r = cache_load(x, id, &e);
	if (r < 0)
		return r;

	AUTOLOCK(&s->lock);
	other = cache_find(s, id);
	if (other) { /* somebody was faster */
		xentry_free(e);
		other->refs++;
		*ret = other;
		return 0;
	}
	e->cached = true;
	e->refs++;
	hmap_add(&s->map, &e->node, extent_hash(id));
	list_push(&s->lru, &e->lru);
	s->bytes += cache_weight(e);
	while (s->bytes > most && list_first(&s->lru) != &e->lru)
		cache_evict(
		    s, container_of(list_first(&s->lru), struct xentry, lru));
	*ret = e;
	return 0;
}

void cache_put(struct extents *x, struct xentry *e)
{
	AUTOLOCK(&cache_shard(x, e->id)->lock);
	if (--e->refs == 0)
		xentry_free(e);
}

void cache_drop(struct extents *x, struct extent_id id)
{
	struct xshard *s = cache_shard(x, id);
	struct xentry *e;

	AUTOLOCK(&s->lock);
	e = cache_find(s, id);
	if (e)
		cache_evict(s, e);
}
