/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the mem store: memory in chunks of fixed classes. */
#ifndef STORE_MEM_H
#define STORE_MEM_H

#include <dynfs/store.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#define MEM_SLAB    (8u << 20)
#define MEM_STEPS   8u  /* classes per doubling */
#define MEM_CLASSES 136 /* 64 bytes to above MEM_CHUNK_MAX */
/* Larger ones are allocated each by itself. */
#define MEM_CHUNK_MAX (4u << 20)

struct mem_slab;

struct mem_class {
	pthread_mutex_t lock;
	struct mem_slab *partial; /* slabs with a free chunk */
};

struct mem_pool {
	const struct dynfs_host *host;
	struct mem_class cls[MEM_CLASSES];
	pthread_mutex_t lock; /* guards what follows; inside a class's */
	struct mem_slab *empty;
	struct mem_slab *all;
};

/* What a chunk for len bytes occupies. */
uint64_t mem_chunk_bytes(uint64_t len);
void mem_pool_init(struct mem_pool *p, const struct dynfs_host *host);
/* All chunks but those larger than MEM_CHUNK_MAX go with it. */
void mem_pool_done(struct mem_pool *p);
/* Not zeroed; NULL when there is none.  Any thread. */
void *mem_chunk_get(struct mem_pool *p, uint64_t len);
void mem_chunk_put(struct mem_pool *p, void *chunk, uint64_t len);

#endif
