/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Redundancy: how one extent becomes k+m fragments.  See dynfs-redundancy(3).
 *
 * Shards 0..k-1 are the stored bytes of the extent in order, cut into k
 * pieces of equal length (the last zero-padded by the core): every plugin is
 * systematic, so a healthy read decodes nothing.  Shards k..k+m-1 are checks.
 * Any k of the k+m suffice.
 *
 * A code works on one position of all shards at a time: encoding or
 * rebuilding a range of them (a multiple of the quantum) gives what the same
 * range of the whole would have.  The core codes in ranges that fit into the
 * processor's caches, and reconstructs just what a reader wants.
 */
#ifndef DYNFS_REDUNDANCY_H
#define DYNFS_REDUNDANCY_H

#include <dynfs/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DYNFS_REDUNDANCY_MAX 32 /* most shards of one extent */

/*
 * Shards are copies: k is always 1, and every check shard equals shard 0.  The
 * core then writes one buffer several times and does not call encode().
 */
#define DYNFS_REDUNDANCY_COPIES (1ull << 0)

struct dynfs_redundancy_limits {
	size_t size;
	uint32_t data_min, data_max;   /* k */
	uint32_t check_min, check_max; /* m */
	uint32_t total_max;            /* k+m */
	uint32_t align;                /* of shard memory, a power of two */
	uint32_t quantum;              /* shard length is a multiple of this */
	uint32_t reserved;
};

struct dynfs_redundancy_ops {
	size_t size;
	uint64_t caps; /* DYNFS_REDUNDANCY_* */

	/* The core fills out->size; write no further than that. */
	int (*limits)(void *self, struct dynfs_redundancy_limits *out);

	/* 0 if k+m is one the plugin does, else -EINVAL and why. */
	int (*check)(void *self, uint32_t k, uint32_t m);

	/* shard[0..k-1] are read, shard[k..k+m-1] are written. */
	int (*encode)(void *self, uint32_t k, uint32_t m, uint8_t **shard,
		      size_t len);

	/*
	 * Bit i of have: shard[i] holds the right bytes.  Bit i of want:
	 * shard[i] is memory to fill.  The two do not overlap; other shards
	 * are not touched and may be NULL.  -EUCLEAN when have is too few.
	 */
	int (*rebuild)(void *self, uint32_t k, uint32_t m, uint8_t **shard,
		       size_t len, uint32_t have, uint32_t want);
};

#ifdef __cplusplus
}
#endif

#endif
