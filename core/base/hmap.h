/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An intrusive hash table: the object holds the node, the caller compares.
 * Doubles when it holds more nodes than buckets; never shrinks.  No locks.
 */
#ifndef BASE_HMAP_H
#define BASE_HMAP_H

#include <stddef.h>
#include <stdint.h>

struct hnode {
	struct hnode *next;
	uint64_t hash;
};

struct hmap {
	struct hnode **buckets; /* owned; the nodes are not */
	size_t n_buckets;       /* a power of two, or 0 */
	size_t n;
};

int hmap_init(struct hmap *m, size_t n_hint);
void hmap_done(struct hmap *m);
/* Never fails: when growing fails, chains get longer. */
void hmap_add(struct hmap *m, struct hnode *n, uint64_t hash);
void hmap_remove(struct hmap *m, struct hnode *n);

/* The first node of that hash, then the next of the same hash. */
struct hnode *hmap_find(const struct hmap *m, uint64_t hash);
struct hnode *hmap_next(const struct hnode *n);

/* Any order: hmap_iter(m, NULL) is the first, NULL ends. */
struct hnode *hmap_iter(const struct hmap *m, const struct hnode *after);

/* A good spread for integers (finaliser of SplitMix64, Steele et al. 2014). */
static inline uint64_t hash_u64(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9u;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

#endif
