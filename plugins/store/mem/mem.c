/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mem: fragments in memory, gone with the process.  For tests, for measuring
 * everything above a store, and for pools of things that may be lost.
 *
 * A fragment is one chunk (pool.c), head and payload side by side, copied
 * once.  Slots that name the chunks live in 16 shards, each with a lock that
 * is held for the bookkeeping only: while its bytes are copied, a slot is
 * pinned.  A slot's generation makes each place unique, so a late free or a
 * read of a freed place finds nothing, never its successor.
 */
#include "mem.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define MEM_SHARDS 16u

enum slot_state { SLOT_FREE, SLOT_WRITING, SLOT_LIVE, SLOT_DYING };

struct slot {
	struct dynfs_fragment_id id;
	uint8_t *chunk;
	uint64_t payload_len;
	uint64_t generation;
	uint32_t head_len;
	uint32_t pins;
	uint32_t state;     /* enum slot_state */
	uint32_t next_free; /* index + 1 */
};

struct shard {
	pthread_mutex_t lock; /* guards the rest */
	struct slot *slots;
	uint32_t n, cap;
	uint32_t free; /* index + 1 */
	uint64_t n_live;
};

struct mem {
	const struct dynfs_host *host;
	struct mem_pool pool;
	struct shard shard[MEM_SHARDS];
	uint64_t limit_bytes;
	uint64_t max_bytes; /* of one fragment */
	bool rdonly;
	atomic_ullong live_bytes;
	atomic_ullong generation;
};

static int mem_create(const struct dynfs_host *h, const void *config,
		      void **ret_self)
{
	struct mem *m = h->alloc(h, sizeof(*m), 64);

	(void)config; /* no options */
	if (!m)
		return -ENOMEM;
	m->host = h;
	mem_pool_init(&m->pool, h);
	for (uint32_t i = 0; i < MEM_SHARDS; i++)
		pthread_mutex_init(&m->shard[i].lock, NULL);
	*ret_self = m;
	return 0;
}

static void mem_close(void *self)
{
	struct mem *m = self;

	for (uint32_t i = 0; i < MEM_SHARDS; i++) {
		struct shard *s = &m->shard[i];

		for (uint32_t k = 0; k < s->n; k++) {
			struct slot *t = &s->slots[k];
			uint64_t len = t->head_len + t->payload_len;

			if (t->state == SLOT_LIVE && len > MEM_CHUNK_MAX)
				m->host->free(m->host, t->chunk);
		}
		m->host->free(m->host, s->slots);
		s->slots = NULL;
		s->n = s->cap = s->free = 0;
	}
}

static void mem_destroy(void *self)
{
	struct mem *m = self;

	for (uint32_t i = 0; i < MEM_SHARDS; i++)
		pthread_mutex_destroy(&m->shard[i].lock);
	mem_pool_done(&m->pool);
	m->host->free(m->host, m);
}

static int mem_open(void *self, const struct dynfs_store_open *how)
{
	struct mem *m = self;
	long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);

	m->rdonly = how->flags & DYNFS_STORE_OPEN_RDONLY;
	m->limit_bytes = how->limit_bytes;
	/* half of the machine, where nobody says how much */
	if (!m->limit_bytes)
		m->limit_bytes = pages > 0 && page > 0
				     ? (uint64_t)pages * (uint64_t)page / 2
				     : 1ull << 30;
	m->max_bytes =
	    how->max_fragment_bytes ? how->max_fragment_bytes : UINT32_MAX;
	return 0;
}

static struct shard *shard_of(struct mem *m, const struct dynfs_fragment_id *id)
{
	uint64_t h = (id->counter + id->index) * 0x9e3779b97f4a7c15ull;

	return &m->shard[h >> 60];
}

/* A slot in state WRITING, by index; the shard's lock is held. */
static int slot_take(struct mem *m, struct shard *s, uint32_t *ret)
{
	if (s->free) {
		*ret = s->free - 1;
		s->free = s->slots[*ret].next_free;
	} else {
		if (s->n == s->cap) {
			uint32_t cap = s->cap ? 2 * s->cap : 256;
			struct slot *v =
			    m->host->alloc(m->host, cap * sizeof(*v), 0);

			if (!v)
				return -ENOMEM;
			if (s->slots)
				memcpy(v, s->slots, s->n * sizeof(*v));
			m->host->free(m->host, s->slots);
			s->slots = v;
			s->cap = cap;
		}
		*ret = s->n++;
	}
	s->slots[*ret].state = SLOT_WRITING;
	return 0;
}

static void slot_give(struct shard *s, uint32_t i)
{
	s->slots[i] = (struct slot){ .next_free = s->free };
	s->free = i + 1;
}

static bool room_take(struct mem *m, uint64_t bytes)
{
	uint64_t now = atomic_fetch_add(&m->live_bytes, bytes) + bytes;

	if (now <= m->limit_bytes)
		return true;
	atomic_fetch_sub(&m->live_bytes, bytes);
	return false;
}

static int mem_store(struct mem *m, struct dynfs_store_op *op, uint64_t total)
{
	struct shard *s = shard_of(m, &op->id);
	uint8_t *chunk = mem_chunk_get(&m->pool, total ? total : 1), *p = chunk;
	uint64_t generation;
	uint32_t i;
	int r;

	if (!chunk)
		return -ENOMEM;
	for (uint32_t k = 0; k < op->n_iov; k++) {
		if (op->iov[k].iov_len)
			memcpy(p, op->iov[k].iov_base, op->iov[k].iov_len);
		p += op->iov[k].iov_len;
	}
	generation = atomic_fetch_add(&m->generation, 1) + 1;
	pthread_mutex_lock(&s->lock);
	r = slot_take(m, s, &i);
	if (!r) {
		s->slots[i] = (struct slot){
			.id = op->id,
			.chunk = chunk,
			.payload_len = total - op->head_len,
			.generation = generation,
			.head_len = op->head_len,
			.state = SLOT_LIVE,
		};
		s->n_live++;
	}
	pthread_mutex_unlock(&s->lock);
	if (r < 0) {
		mem_chunk_put(&m->pool, chunk, total ? total : 1);
		return r;
	}
	op->place.w[0] = (uint64_t)i << 8 | (uint64_t)(s - m->shard);
	op->place.w[1] = generation;
	return 0;
}

static int mem_write(struct mem *m, struct dynfs_store_op *op)
{
	uint64_t total = 0, bytes;
	int r;

	if (m->rdonly)
		return -EROFS;
	for (uint32_t i = 0; i < op->n_iov; i++)
		total += op->iov[i].iov_len;
	if (total < op->head_len || total > m->max_bytes)
		return m->host->fail(m->host, -EINVAL,
				     "mem: a write of %llu bytes, head of %u",
				     (unsigned long long)total, op->head_len);
	bytes = mem_chunk_bytes(total ? total : 1);
	if (!room_take(m, bytes))
		return -ENOSPC;
	r = mem_store(m, op, total);
	if (r < 0)
		atomic_fetch_sub(&m->live_bytes, bytes);
	return r;
}

/* The live slot of op's place, or NULL; s locked. */
static struct slot *slot_find(struct shard *s, const struct dynfs_store_op *op)
{
	uint64_t i = op->place.w[0] >> 8;
	struct slot *t = i < s->n ? &s->slots[i] : NULL;

	if (!t || t->state != SLOT_LIVE || t->generation != op->place.w[1] ||
	    t->id.epoch != op->id.epoch || t->id.counter != op->id.counter ||
	    t->id.index != op->id.index)
		return NULL;
	return t;
}

/* With the lock held, the last pin gone: gives the lock up. */
static void slot_bury(struct mem *m, struct shard *s, uint32_t i)
{
	uint64_t len = s->slots[i].head_len + s->slots[i].payload_len;
	void *chunk = s->slots[i].chunk;

	slot_give(s, i);
	s->n_live--;
	pthread_mutex_unlock(&s->lock);
	mem_chunk_put(&m->pool, chunk, len ? len : 1);
	atomic_fetch_sub(&m->live_bytes, mem_chunk_bytes(len ? len : 1));
}

static void copy_out(const struct dynfs_store_op *op, const uint8_t *from)
{
	for (uint32_t i = 0; i < op->n_iov; i++) {
		if (op->iov[i].iov_len)
			memcpy(op->iov[i].iov_base, from, op->iov[i].iov_len);
		from += op->iov[i].iov_len;
	}
}

static int mem_no_such(struct mem *m)
{
	return m->host->fail(m->host, -EUCLEAN,
			     "mem: the place holds no such fragment or not so "
			     "much of it");
}

/* Pin the bytes that op wants; NULL when they are not there. */
static const uint8_t *bytes_pin(struct shard *s,
				const struct dynfs_store_op *op)
{
	bool head = op->part == DYNFS_STORE_HEAD;
	const uint8_t *from = NULL;
	uint64_t want = 0, have;
	struct slot *t;

	for (uint32_t k = 0; k < op->n_iov; k++)
		want += op->iov[k].iov_len;
	pthread_mutex_lock(&s->lock);
	t = slot_find(s, op);
	if (t) {
		have = head ? t->head_len : t->payload_len;
		if (op->offset <= have && want <= have - op->offset) {
			from = t->chunk + (head ? 0 : t->head_len) + op->offset;
			t->pins++;
		}
	}
	pthread_mutex_unlock(&s->lock);
	return from;
}

static int mem_read(struct mem *m, struct dynfs_store_op *op)
{
	uint32_t shard = op->place.w[0] & 0xff;
	uint32_t i = (uint32_t)(op->place.w[0] >> 8);
	const uint8_t *from;
	struct shard *s;
	struct slot *t;

	if (shard >= MEM_SHARDS)
		return mem_no_such(m);
	s = &m->shard[shard];
	from = bytes_pin(s, op);
	if (!from)
		return mem_no_such(m);
	copy_out(op, from);
	pthread_mutex_lock(&s->lock);
	t = &s->slots[i]; /* the table may have moved */
	if (!--t->pins && t->state == SLOT_DYING)
		slot_bury(m, s, i);
	else
		pthread_mutex_unlock(&s->lock);
	return 0;
}

static int mem_drop(struct mem *m, struct dynfs_store_op *op)
{
	uint32_t shard = op->place.w[0] & 0xff;
	struct shard *s;
	struct slot *t;

	if (m->rdonly)
		return -EROFS;
	if (shard >= MEM_SHARDS)
		return 0;
	s = &m->shard[shard];
	pthread_mutex_lock(&s->lock);
	t = slot_find(s, op);
	if (t && !t->pins) {
		slot_bury(m, s, (uint32_t)(t - s->slots));
		return 0;
	}
	if (t)
		t->state = SLOT_DYING;
	pthread_mutex_unlock(&s->lock);
	return 0;
}

static int mem_submit(void *self, struct dynfs_store_op *const *ops, uint32_t n)
{
	struct mem *m = self;

	for (uint32_t i = 0; i < n; i++) {
		struct dynfs_store_op *op = ops[i];

		switch (op->kind) {
		case DYNFS_STORE_WRITE:
			op->result = mem_write(m, op);
			break;
		case DYNFS_STORE_READ:
			op->result = mem_read(m, op);
			break;
		case DYNFS_STORE_FREE:
			op->result = mem_drop(m, op);
			break;
		default:
			op->result = m->host->fail(
			    m->host, -EINVAL, "mem: no operation %u", op->kind);
		}
		op->done(op);
	}
	return 0;
}

static uint64_t mem_mark(void *self)
{
	(void)self;
	return 0;
}

/* Nothing here can become more durable than it is. */
static int mem_sync(void *self, uint64_t token)
{
	(void)self;
	(void)token;
	return 0;
}

static int mem_space(void *self, struct dynfs_store_space *out)
{
	struct mem *m = self;
	struct dynfs_store_space sp = { .size = out->size };
	uint64_t live = atomic_load(&m->live_bytes);

	if (out->size < sizeof(sp))
		return m->host->fail(m->host, -EINVAL,
				     "mem: space of %zu bytes", out->size);
	sp.total_bytes = m->limit_bytes;
	sp.free_bytes = m->limit_bytes > live ? m->limit_bytes - live : 0;
	for (uint32_t i = 0; i < MEM_SHARDS; i++) {
		pthread_mutex_lock(&m->shard[i].lock);
		sp.fragments += m->shard[i].n_live;
		pthread_mutex_unlock(&m->shard[i].lock);
	}
	*out = sp;
	return 0;
}

static uint64_t mem_cost(void *self, uint32_t head_len, uint64_t payload_len)
{
	uint64_t total = head_len + payload_len;

	(void)self;
	return mem_chunk_bytes(total ? total : 1);
}

/* The cursor: shard, and the slot to begin with. */
static int mem_list(void *self, uint64_t *cursor, struct dynfs_store_entry *out,
		    uint32_t n, uint32_t *ret_n)
{
	struct mem *m = self;
	uint64_t shard = *cursor >> 32;
	uint32_t i = (uint32_t)*cursor, got = 0;

	for (; shard < MEM_SHARDS && got < n; shard++, i = 0) {
		struct shard *s = &m->shard[shard];

		pthread_mutex_lock(&s->lock);
		for (; i < s->n && got < n; i++) {
			const struct slot *t = &s->slots[i];

			if (t->state != SLOT_LIVE)
				continue;
			out[got++] = (struct dynfs_store_entry){
				.id = t->id,
				.place = { { (uint64_t)i << 8 | shard,
					     t->generation } },
				.head_len = t->head_len,
				.payload_len = t->payload_len,
			};
		}
		pthread_mutex_unlock(&s->lock);
		if (got == n)
			break;
	}
	*cursor = shard << 32 | i;
	*ret_n = got;
	return 0;
}

static const struct dynfs_store_ops mem_ops = {
	.size = sizeof(struct dynfs_store_ops),
	.caps = DYNFS_STORE_VOLATILE,
	.open = mem_open,
	.close = mem_close,
	.submit = mem_submit,
	.mark = mem_mark,
	.sync = mem_sync,
	.space = mem_space,
	.cost = mem_cost,
	.list = mem_list,
};

static const struct dynfs_plugin mem_plugin = {
	DYNFS_PLUGIN_HEADER,
	.threading = DYNFS_PARALLEL,
	.name = "mem",
	.version = "0.1.0",
	.summary = "fragments in memory, lost with the process",
	.create = mem_create,
	.destroy = mem_destroy,
	.store = &mem_ops,
};

const struct dynfs_plugin *dynfs_plugin_entry(void)
{
	return &mem_plugin;
}
