/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks out of slabs of 8 MiB, each slab of one class.  A slab is aligned to
 * its size, so a chunk finds its slab by masking its address.  Chunks and
 * empty slabs are kept for reuse and never given back before the end: fresh
 * memory costs a page fault per 4 KiB, several times the price of the copy.
 *
 * Rejected: malloc for each fragment.  Above its mmap threshold every write
 * would be an mmap, the faults, and an munmap.
 */
#include "mem.h"

#include <string.h>

struct mem_slab {
	struct mem_slab *next, *prev; /* among the partial or the empty */
	struct mem_slab *next_all;
	uint32_t cls;
	uint32_t n_live;
	uint32_t
	    n_used; /* chunks ever handed out; the rest was never touched */
	uint32_t n_chunks;
	void *free; /* a list through the first bytes of free chunks */
	bool listed;
};

#define SLAB_HEAD 4096u

/* Class sizes: 64, 72, ... 120, 128, 144, ...: MEM_STEPS per doubling. */
static uint64_t class_bytes(uint32_t cls)
{
	uint64_t base = 64ull << (cls / MEM_STEPS);

	return base + base / MEM_STEPS * (cls % MEM_STEPS);
}

static uint32_t class_of(uint64_t len)
{
	uint32_t log, cls;

	if (len <= 64)
		return 0;
	log = 63u - (uint32_t)__builtin_clzll(len - 1);
	cls = (log - 6) * MEM_STEPS;
	cls += (uint32_t)((len - 1 - (1ull << log)) / ((1ull << log) / 8)) + 1;
	return cls;
}

uint64_t mem_chunk_bytes(uint64_t len)
{
	if (len > MEM_CHUNK_MAX)
		return (len + 4095) & ~4095ull;
	return class_bytes(class_of(len));
}

void mem_pool_init(struct mem_pool *p, const struct dynfs_host *host)
{
	p->host = host;
	pthread_mutex_init(&p->lock, NULL);
	for (uint32_t i = 0; i < MEM_CLASSES; i++)
		pthread_mutex_init(&p->cls[i].lock, NULL);
}

void mem_pool_done(struct mem_pool *p)
{
	while (p->all) {
		struct mem_slab *s = p->all;

		p->all = s->next_all;
		p->host->free(p->host, s);
	}
	p->empty = NULL;
	for (uint32_t i = 0; i < MEM_CLASSES; i++) {
		p->cls[i].partial = NULL;
		pthread_mutex_destroy(&p->cls[i].lock);
	}
	pthread_mutex_destroy(&p->lock);
}

static void list_push(struct mem_slab **head, struct mem_slab *s)
{
	s->prev = NULL;
	s->next = *head;
	if (s->next)
		s->next->prev = s;
	*head = s;
	s->listed = true;
}

static void list_remove(struct mem_slab **head, struct mem_slab *s)
{
	if (s->next)
		s->next->prev = s->prev;
	if (s->prev)
		s->prev->next = s->next;
	else
		*head = s->next;
	s->listed = false;
}

static struct mem_slab *slab_get(struct mem_pool *p, uint32_t cls)
{
	struct mem_slab *s;

	pthread_mutex_lock(&p->lock);
	s = p->empty;
	if (s)
		list_remove(&p->empty, s);
	pthread_mutex_unlock(&p->lock);
	if (!s) {
		s = p->host->alloc(p->host, MEM_SLAB, MEM_SLAB);
		if (!s)
			return NULL;
		pthread_mutex_lock(&p->lock);
		s->next_all = p->all;
		p->all = s;
		pthread_mutex_unlock(&p->lock);
	}
	s->cls = cls;
	s->n_live = s->n_used = 0;
	s->n_chunks = (uint32_t)((MEM_SLAB - SLAB_HEAD) / class_bytes(cls));
	s->free = NULL;
	return s;
}

void *mem_chunk_get(struct mem_pool *p, uint64_t len)
{
	struct mem_class *c;
	struct mem_slab *s;
	uint8_t *chunk;
	uint32_t cls;

	if (len > MEM_CHUNK_MAX)
		return p->host->alloc(p->host, len, 0);
	cls = class_of(len);
	c = &p->cls[cls];
	pthread_mutex_lock(&c->lock);
	s = c->partial;
	if (!s) {
		s = slab_get(p, cls);
		if (!s) {
			pthread_mutex_unlock(&c->lock);
			return NULL;
		}
		list_push(&c->partial, s);
	}
	chunk = s->free;
	if (chunk)
		memcpy(&s->free, chunk, sizeof(s->free));
	else
		chunk =
		    (uint8_t *)s + SLAB_HEAD + s->n_used++ * class_bytes(cls);
	s->n_live++;
	if (!s->free && s->n_used == s->n_chunks)
		list_remove(&c->partial, s);
	pthread_mutex_unlock(&c->lock);
	return chunk;
}

void mem_chunk_put(struct mem_pool *p, void *chunk, uint64_t len)
{
	struct mem_class *c;
	struct mem_slab *s;
	bool empty;

	if (len > MEM_CHUNK_MAX) {
		p->host->free(p->host, chunk);
		return;
	}
	s = (struct mem_slab *)(void *)((uint8_t *)chunk -
					((uintptr_t)chunk & (MEM_SLAB - 1)));
	c = &p->cls[class_of(len)];
	pthread_mutex_lock(&c->lock);
	memcpy(chunk, &s->free, sizeof(s->free));
	s->free = chunk;
	if (!s->listed)
		list_push(&c->partial, s);
	/* the last one stays: a class in use would fetch it back at once */
	empty = !--s->n_live && (s->next || s->prev);
	if (empty) {
		list_remove(&c->partial, s);
		pthread_mutex_lock(&p->lock);
		list_push(&p->empty, s);
		pthread_mutex_unlock(&p->lock);
	}
	pthread_mutex_unlock(&c->lock);
}
