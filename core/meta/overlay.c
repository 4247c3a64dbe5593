/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A skip list under a readers-writer lock.  A balanced tree would do as well;
 * the list needs no rotations, and its entries never move, so that a group
 * can chain its own.  A copy-on-write tree, which would spare readers the
 * lock, was rejected: writers are the hot side here.
 *
 * The lock prefers writers: a scan takes it again for every batch of rows,
 * and commits should not wait for all scans to end.
 */
#include <meta/overlay.h>

#include <base/cleanup.h>
#include <dynfs/meta.h>
#include <meta/internal.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct overlay_node {
	struct list link; /* of its group, or of what is prepared */
	uint64_t number;  /* of its group */
	uint32_t key_len, value_len;
	uint8_t kind, height;
	uint8_t *bytes;              /* key and value; behind next[] */
	struct overlay_node *next[]; /* height of them */
};

int key_compare(const void *a, size_t a_len, const void *b, size_t b_len)
{
	size_t n = a_len < b_len ? a_len : b_len;
	int r = n ? memcmp(a, b, n) : 0;

	return r ? r : (a_len > b_len) - (a_len < b_len);
}

static size_t node_bytes(const struct overlay_node *n)
{
	return sizeof(*n) + n->height * sizeof(n->next[0]) + n->key_len +
	       n->value_len;
}

int overlay_init(struct overlay *o)
{
	pthread_rwlockattr_t a;
	int r;

	*o = (struct overlay){ .n = 0 };
	(void)pthread_rwlockattr_init(&a);
	(void)pthread_rwlockattr_setkind_np(
	    &a, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	r = pthread_rwlock_init(&o->lock, &a);
	(void)pthread_rwlockattr_destroy(&a);
	return -r;
}

void overlay_clear(struct overlay *o)
{
	struct overlay_node *n, *next;
	AUTOWRLOCK(&o->lock);

	for (n = o->head[0]; n; n = next) {
		next = n->next[0];
		list_remove(&n->link);
		free(n);
	}
	memset(o->head, 0, sizeof(o->head));
	o->bytes = o->n = 0;
	o->gen++;
}

void overlay_done(struct overlay *o)
{
	overlay_clear(o);
	(void)pthread_rwlock_destroy(&o->lock);
}

/* A quarter of the nodes of one level are on the next. */
static uint8_t random_height(uint64_t *rng)
{
	uint64_t x = *rng;
	uint8_t h = 1;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	*rng = x;
	for (x *= 0x2545f4914f6cdd1du; !(x >> 62) && h < OVERLAY_HEIGHT; h++)
		x <<= 2;
	return h;
}

static struct overlay_node *node_new(uint8_t height, uint8_t kind,
				     const void *key, size_t key_len,
				     const void *value, size_t value_len)
{
	struct overlay_node *n;
	size_t fixed = sizeof(*n) + height * sizeof(n->next[0]);

	n = (struct overlay_node *)malloc(fixed + key_len + value_len);
	if (!n)
		return NULL;
	n->kind = kind;
	n->height = height;
	n->key_len = (uint32_t)key_len;
	n->value_len = (uint32_t)value_len;
	n->bytes = (uint8_t *)n + fixed;
	memcpy(n->bytes, key, key_len);
	if (value_len)
		memcpy(n->bytes + key_len, value, value_len);
	return n;
}

/*
 * A thread's random numbers go on from batch to batch: batches that look alike
 * would give all keys of one kind the same height, and the list no levels.
 */
static _Thread_local uint64_t heights;

int overlay_prepare(const void *ops, size_t len, struct list *ret)
{
	struct rd r = rd_of(ops, len);
	const void *key, *value;
	size_t key_len, value_len;
	uint8_t kind;
	int more;

	list_init(ret);
	if (!heights)
		heights = 0x9e3779b97f4a7c15u ^ (uint64_t)(uintptr_t)ret;
	while ((more = batch_next(&r, &kind, &key, &key_len, &value,
				  &value_len)) > 0) {
		struct overlay_node *n =
		    node_new(random_height(&heights), kind, key, key_len, value,
			     value_len);

		if (!n) {
			more = -ENOMEM;
			break;
		}
		list_push(ret, &n->link);
	}
	if (more < 0)
		overlay_discard(ret);
	return more;
}

void overlay_discard(struct list *prepared)
{
	struct list *l;

	while ((l = list_pop(prepared)))
		free(container_of(l, struct overlay_node, link));
}

/* The first node not before key; into at: what points to it, per level. */
static struct overlay_node *find(struct overlay *o, const void *key, size_t len,
				 struct overlay_node **at[OVERLAY_HEIGHT])
{
	struct overlay_node **next = o->head, *n = NULL;

	for (int h = OVERLAY_HEIGHT - 1; h >= 0; h--) {
		while ((n = next[h]) &&
		       key_compare(n->bytes, n->key_len, key, len) < 0)
			next = n->next;
		if (at)
			at[h] = &next[h];
	}
	return n;
}

static void unlink_node(struct overlay *o, struct overlay_node *n,
			struct overlay_node **at[OVERLAY_HEIGHT])
{
	for (int h = 0; h < n->height; h++)
		*at[h] = n->next[h];
	list_remove(&n->link);
	o->bytes -= node_bytes(n);
	o->n--;
	free(n);
}

static void insert_node(struct overlay *o, struct overlay_node *n,
			struct list *group)
{
	struct overlay_node **at[OVERLAY_HEIGHT];
	struct overlay_node *old = find(o, n->bytes, n->key_len, at);

	if (old &&
	    !key_compare(old->bytes, old->key_len, n->bytes, n->key_len)) {
		if (old->number > n->number) {
			free(n);
			return;
		}
		unlink_node(o, old, at);
	}
	list_push(group, &n->link);
	for (int h = 0; h < n->height; h++) {
		n->next[h] = *at[h];
		*at[h] = n;
	}
	o->bytes += node_bytes(n);
	o->n++;
}

void overlay_insert(struct overlay *o, struct list *prepared, uint64_t number,
		    struct list *group)
{
	struct list *l;
	AUTOWRLOCK(&o->lock);

	while ((l = list_pop(prepared))) {
		struct overlay_node *n =
		    container_of(l, struct overlay_node, link);

		n->number = number;
		insert_node(o, n, group);
	}
}

#define DROP_AT_ONCE 256

void overlay_drop(struct overlay *o, struct list *group)
{
	struct overlay_node **at[OVERLAY_HEIGHT];
	bool more = true;

	while (more) {
		/* in pieces: commits and readers get their turn */
		AUTOWRLOCK(&o->lock);

		o->gen++;
		for (int i = 0; i < DROP_AT_ONCE && !list_empty(group); i++) {
			struct overlay_node *n = container_of(
			    group->next, struct overlay_node, link);

			(void)find(o, n->bytes, n->key_len, at);
			unlink_node(o, n, at);
		}
		more = !list_empty(group);
	}
}

void overlay_bump(struct overlay *o)
{
	AUTOWRLOCK(&o->lock);

	o->gen++;
}

int overlay_get(struct overlay *o, const void *key, size_t len,
		struct buf *value)
{
	AUTORDLOCK(&o->lock);
	struct overlay_node *n = find(o, key, len, NULL);

	if (!n || key_compare(n->bytes, n->key_len, key, len))
		return -ENOENT;
	if (n->kind == DYNFS_META_DELETE)
		return 0;
	buf_clear(value);
	buf_put(value, n->bytes + n->key_len, n->value_len);
	return buf_error(value) ? buf_error(value) : 1;
}

static void copy_node(struct buf *out, const struct overlay_node *n)
{
	buf_put8(out, n->kind);
	buf_put_var(out, n->key_len);
	buf_put(out, n->bytes, n->key_len);
	if (n->kind == DYNFS_META_DELETE)
		return;
	buf_put_var(out, n->value_len);
	buf_put(out, n->bytes + n->key_len, n->value_len);
}

int overlay_copy(struct overlay *o, const struct overlay_range *range,
		 size_t max_bytes, struct buf *out, bool *ret_more,
		 uint64_t *ret_gen)
{
	AUTORDLOCK(&o->lock);
	struct overlay_node *n = find(o, range->from, range->from_len, NULL);

	for (; n && out->len <= max_bytes; n = n->next[0]) {
		if (range->to_len && key_compare(n->bytes, n->key_len,
						 range->to, range->to_len) >= 0)
			break;
		copy_node(out, n);
	}
	*ret_more =
	    n && (!range->to_len || key_compare(n->bytes, n->key_len, range->to,
						range->to_len) < 0);
	*ret_gen = o->gen;
	return buf_error(out);
}

uint64_t overlay_bytes(struct overlay *o)
{
	AUTORDLOCK(&o->lock);

	return o->bytes;
}
