/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The overlay: what is committed and not in the index yet, in key order.
 *
 * Every entry knows the newest group that wrote its key and is on the list of
 * that group; when the group is in the index, its list leaves.  Readers look
 * here first and into the index second.
 */
#ifndef META_OVERLAY_H
#define META_OVERLAY_H

#include <base/buf.h>
#include <base/list.h>
#include <pthread.h>

#define OVERLAY_HEIGHT 20

struct overlay_node;

struct overlay {
	pthread_rwlock_t lock; /* all that follows, and all nodes */
	struct overlay_node *head[OVERLAY_HEIGHT];
	uint64_t bytes, n;
	/* grows when entries leave: an older view of the index is stale */
	uint64_t gen;
};

int overlay_init(struct overlay *o);
void overlay_done(struct overlay *o);
/* All entries leave; no group may name one of them after. */
void overlay_clear(struct overlay *o);

/*
 * Nodes for encoded operations, in order, not in the overlay yet; built
 * without its lock.
 */
int overlay_prepare(const void *ops, size_t len, struct list *ret);
void overlay_discard(struct list *prepared);
/*
 * Make prepared nodes visible at once, in place of those of the same key that
 * no later group wrote; they go to the list of their group.
 */
void overlay_insert(struct overlay *o, struct list *prepared, uint64_t number,
		    struct list *group);
/* The group is in the index. */
void overlay_drop(struct overlay *o, struct list *group);
/* The index was replaced: views of the old one are stale. */
void overlay_bump(struct overlay *o);

/* 1: value replaced by the entry's; 0: the key is deleted; -ENOENT: none. */
int overlay_get(struct overlay *o, const void *key, size_t len,
		struct buf *value);

/* from <= key < to; to_len 0: no bound */
struct overlay_range {
	const void *from, *to;
	size_t from_len, to_len;
};

/*
 * Copy the entries of a range, as operations, to the end of out, until that
 * has more than max_bytes.  ret_more: there are others behind the last one.
 */
int overlay_copy(struct overlay *o, const struct overlay_range *range,
		 size_t max_bytes, struct buf *out, bool *ret_more,
		 uint64_t *ret_gen);

uint64_t overlay_bytes(struct overlay *o);

/* As the index sorts: bytes, then length. */
int key_compare(const void *a, size_t a_len, const void *b, size_t b_len);

#endif
