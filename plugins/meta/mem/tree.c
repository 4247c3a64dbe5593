/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree of the mem engine.
 *
 * Readers must see one state while batches are applied, and a batch must be
 * applied whole or not at all, also when memory runs out half-way.  Path
 * copying gives both without a line of code in the readers: an edit copies
 * each node it touches once (the node's gen tells its own from the shared
 * ones), and publishing is the switch of one pointer.  Rejected: a skip list
 * with versions in every row, where each reader skips what is too new and a
 * collector must know the oldest reader; and a lock held by iterators, which
 * would stop the commits.
 *
 * An inner node keeps a pointer to the first row below each child.  That row
 * lives as long as the child does, so the pointer needs no reference.  After
 * each change the path refreshes its pointers.
 *
 * Nodes that fall below a quarter are merged with a neighbour if both fit in
 * one; there is no borrowing, for the tree only has to stay shallow.
 */
#include "tree.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static size_t node_bytes(const struct mem_node *n)
{
	size_t children = n->level ? MEM_FANOUT * sizeof(n->child[0]) : 0;

	return sizeof(*n) + children;
}

static struct mem_node *node_new(struct mem_edit *edit, uint16_t level)
{
	const struct dynfs_host *h = edit->heap->host;
	struct mem_node probe = { .level = level };
	struct mem_node *n = h->alloc(h, node_bytes(&probe), 0);

	if (!n)
		return NULL;
	n->level = level;
	n->gen = edit->gen;
	atomic_init(&n->refs, 1);
	atomic_fetch_add_explicit(&edit->heap->bytes, node_bytes(n),
				  memory_order_relaxed);
	return n;
}

/* frees the node, not what it refers to */
static void node_release(struct mem_heap *heap, struct mem_node *n)
{
	atomic_fetch_sub_explicit(&heap->bytes, node_bytes(n),
				  memory_order_relaxed);
	heap->host->free(heap->host, n);
}

static size_t entry_bytes(const struct mem_entry *e)
{
	return sizeof(*e) + e->key_len + e->value_len;
}

struct mem_entry *mem_entry_new(struct mem_heap *heap,
				struct dynfs_meta_span key,
				struct dynfs_meta_span value)
{
	size_t len = sizeof(struct mem_entry) + key.len + value.len;
	struct mem_entry *e = heap->host->alloc(heap->host, len, 0);

	if (!e)
		return NULL;
	atomic_init(&e->refs, 1);
	e->key_len = (uint32_t)key.len;
	e->value_len = (uint32_t)value.len;
	memcpy(e->bytes, key.data, key.len);
	if (value.len)
		memcpy(e->bytes + key.len, value.data, value.len);
	atomic_fetch_add_explicit(&heap->bytes, len, memory_order_relaxed);
	return e;
}

void mem_entry_drop(struct mem_heap *heap, struct mem_entry *e)
{
	if (atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) != 1)
		return;
	atomic_fetch_sub_explicit(&heap->bytes, entry_bytes(e),
				  memory_order_relaxed);
	heap->host->free(heap->host, e);
}

struct dynfs_meta_span mem_entry_key(const struct mem_entry *e)
{
	return (struct dynfs_meta_span){ e->bytes, e->key_len };
}

struct dynfs_meta_span mem_entry_value(const struct mem_entry *e)
{
	return (struct dynfs_meta_span){ e->bytes + e->key_len, e->value_len };
}

int mem_compare(struct dynfs_meta_span a, struct dynfs_meta_span b)
{
	size_t len = a.len < b.len ? a.len : b.len;
	int order = len ? memcmp(a.data, b.data, len) : 0;

	if (order)
		return order;
	return (a.len > b.len) - (a.len < b.len);
}

struct mem_node *mem_tree_ref(struct mem_node *root)
{
	if (root)
		atomic_fetch_add_explicit(&root->refs, 1, memory_order_relaxed);
	return root;
}

void mem_tree_drop(struct mem_heap *heap, struct mem_node *root)
{
	struct mem_node *n = root;

	if (!n ||
	    atomic_fetch_sub_explicit(&n->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (int i = 0; i < n->n; ++i) {
		if (n->level)
			mem_tree_drop(heap, n->child[i]);
		else
			mem_entry_drop(heap, n->low[i]);
	}
	node_release(heap, n);
}

/* The first place whose key is not below key; ret_same: it is key. */
static int node_find(const struct mem_node *n, struct dynfs_meta_span key,
		     int *ret_same)
{
	int lo = 0, hi = n->n;

	*ret_same = 0;
	while (lo < hi) {
		int mid = (lo + hi) / 2;
		int order = mem_compare(mem_entry_key(n->low[mid]), key);

		if (!order)
			*ret_same = 1;
		if (order < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* The child that has key or would take it. */
static int node_child(const struct mem_node *n, struct dynfs_meta_span key)
{
	int same, i = node_find(n, key, &same);

	return same || i == 0 ? i : i - 1;
}

const struct mem_entry *mem_tree_get(const struct mem_node *root,
				     struct dynfs_meta_span key)
{
	const struct mem_node *n = root;
	int same, i;

	if (!n)
		return NULL;
	while (n->level)
		n = n->child[node_child(n, key)];
	i = node_find(n, key, &same);
	return same ? n->low[i] : NULL;
}

/* Makes *slot a node that this edit may change. */
static int node_own(struct mem_edit *edit, struct mem_node **slot)
{
	struct mem_node *old = *slot, *n;

	assert(old);
	if (old->gen == edit->gen)
		return 0;
	n = node_new(edit, old->level);
	if (!n)
		return -ENOMEM;
	n->n = old->n;
	for (int i = 0; i < n->n; ++i) {
		n->low[i] = old->low[i];
		if (n->level)
			n->child[i] = mem_tree_ref(old->child[i]);
		else
			atomic_fetch_add_explicit(&n->low[i]->refs, 1,
						  memory_order_relaxed);
	}
	*slot = n;
	mem_tree_drop(edit->heap, old);
	return 0;
}

/* Moves places from.. of src to the end of dst. */
static void node_move(struct mem_node *dst, struct mem_node *src, int from)
{
	size_t n = (size_t)(src->n - from);

	memcpy(dst->low + dst->n, src->low + from, n * sizeof(src->low[0]));
	if (src->level)
		memcpy(dst->child + dst->n, src->child + from,
		       n * sizeof(src->child[0]));
	dst->n = (uint16_t)(dst->n + n);
	src->n = (uint16_t)from;
}

static void node_place(struct mem_node *n, int at, struct mem_entry *low,
		       struct mem_node *child)
{
	size_t after = (size_t)(n->n - at);

	memmove(n->low + at + 1, n->low + at, after * sizeof(n->low[0]));
	n->low[at] = low;
	if (n->level) {
		memmove(n->child + at + 1, n->child + at,
			after * sizeof(n->child[0]));
		n->child[at] = child;
	}
	++n->n;
}

static void node_remove(struct mem_node *n, int at)
{
	size_t after = (size_t)(n->n - at - 1);

	memmove(n->low + at, n->low + at + 1, after * sizeof(n->low[0]));
	if (n->level)
		memmove(n->child + at, n->child + at + 1,
			after * sizeof(n->child[0]));
	--n->n;
}

/*
 * A full node is split: in the middle, or, when the new place is the last,
 * before it, so that keys put in order leave full nodes behind.
 */
static int node_insert(struct mem_edit *edit, struct mem_node *n, int at,
		       struct mem_entry *low, struct mem_node *child,
		       struct mem_node **ret_right)
{
	int cut = at == MEM_FANOUT ? MEM_FANOUT : MEM_FANOUT / 2;
	struct mem_node *right;

	if (n->n < MEM_FANOUT) {
		node_place(n, at, low, child);
		return 0;
	}
	right = node_new(edit, n->level);
	if (!right)
		return -ENOMEM;
	node_move(right, n, cut);
	if (at < cut)
		node_place(n, at, low, child);
	else
		node_place(right, at - cut, low, child);
	*ret_right = right;
	return 0;
}

static int leaf_put(struct mem_edit *edit, struct mem_node *n,
		    struct mem_entry *e, struct mem_node **ret_right)
{
	int same, at = node_find(n, mem_entry_key(e), &same);
	int err;

	if (same) {
		mem_entry_drop(edit->heap, n->low[at]);
		n->low[at] = e;
		return 0;
	}
	err = node_insert(edit, n, at, e, NULL, ret_right);
	if (err)
		mem_entry_drop(edit->heap, e);
	else
		++edit->keys;
	return err;
}

static int node_put(struct mem_edit *edit, struct mem_node **slot,
		    struct mem_entry *e, struct mem_node **ret_right)
{
	struct mem_node *n, *right = NULL;
	int err = node_own(edit, slot), i;

	if (err) {
		mem_entry_drop(edit->heap, e);
		return err;
	}
	n = *slot;
	if (!n->level)
		return leaf_put(edit, n, e, ret_right);
	i = node_child(n, mem_entry_key(e));
	err = node_put(edit, &n->child[i], e, &right);
	n->low[i] = n->child[i]->low[0];
	if (err || !right)
		return err;
	err = node_insert(edit, n, i + 1, right->low[0], right, ret_right);
	if (err)
		mem_tree_drop(edit->heap, right);
	return err;
}

static int edit_grow(struct mem_edit *edit, struct mem_node *right)
{
	struct mem_node *left = edit->root;
	struct mem_node *top = node_new(edit, (uint16_t)(left->level + 1));

	if (!top) {
		mem_tree_drop(edit->heap, right);
		return -ENOMEM;
	}
	node_place(top, 0, left->low[0], left);
	node_place(top, 1, right->low[0], right);
	edit->root = top;
	return 0;
}

int mem_edit_put(struct mem_edit *edit, struct mem_entry *e)
{
	struct mem_node *right = NULL;
	int err;

	if (!edit->root) {
		edit->root = node_new(edit, 0);
		if (!edit->root) {
			mem_entry_drop(edit->heap, e);
			return -ENOMEM;
		}
	}
	err = node_put(edit, &edit->root, e, &right);
	if (err || !right)
		return err;
	return edit_grow(edit, right);
}

/*
 * Merges the child at i with the next one if both fit in one.  Without
 * memory to own them they stay two: only the shape suffers.
 */
static void node_merge(struct mem_edit *edit, struct mem_node *n, int i)
{
	if (i < 0 || i + 1 >= n->n ||
	    n->child[i]->n + n->child[i + 1]->n > MEM_FANOUT)
		return;
	if (node_own(edit, &n->child[i]) || node_own(edit, &n->child[i + 1]))
		return;
	node_move(n->child[i], n->child[i + 1], 0);
	node_release(edit->heap, n->child[i + 1]);
	node_remove(n, i + 1);
}

/* The key is there. */
static int node_delete(struct mem_edit *edit, struct mem_node **slot,
		       struct dynfs_meta_span key)
{
	int err = node_own(edit, slot), same, i;
	struct mem_node *n, *child;

	if (err)
		return err;
	n = *slot;
	if (!n->level) {
		i = node_find(n, key, &same);
		mem_entry_drop(edit->heap, n->low[i]);
		node_remove(n, i);
		return 0;
	}
	i = node_child(n, key);
	err = node_delete(edit, &n->child[i], key);
	if (err)
		return err;
	child = n->child[i];
	if (!child->n) {
		mem_tree_drop(edit->heap, child);
		node_remove(n, i);
		return 0;
	}
	n->low[i] = child->low[0];
	if (child->n < MEM_FANOUT / 4) {
		node_merge(edit, n, i);
		node_merge(edit, n, i - 1);
	}
	return 0;
}

int mem_edit_delete(struct mem_edit *edit, struct dynfs_meta_span key)
{
	struct mem_node *top, *below;
	int err;

	/* a key that is not there must not cost copies */
	if (!edit->root || !mem_tree_get(edit->root, key))
		return 0;
	err = node_delete(edit, &edit->root, key);
	if (err)
		return err;
	--edit->keys;
	top = edit->root;
	while (top->level && top->n == 1) {
		below = top->child[0];
		(void)mem_tree_ref(below);
		mem_tree_drop(edit->heap, top);
		top = below;
	}
	edit->root = top->n ? top : NULL;
	if (!top->n)
		mem_tree_drop(edit->heap, top);
	return 0;
}

static void cursor_push(struct mem_cursor *c, const struct mem_node *n, int at)
{
	c->stack[c->depth].node = n;
	c->stack[c->depth].at = at;
	++c->depth;
}

void mem_cursor_seek(struct mem_cursor *c, const struct mem_node *root,
		     struct dynfs_meta_span from)
{
	const struct mem_node *n = root;
	int same, i;

	c->depth = 0;
	if (!n)
		return;
	while (n->level) {
		i = node_child(n, from);
		cursor_push(c, n, i + 1);
		n = n->child[i];
	}
	cursor_push(c, n, node_find(n, from, &same));
}

const struct mem_entry *mem_cursor_next(struct mem_cursor *c)
{
	while (c->depth) {
		const struct mem_node *n = c->stack[c->depth - 1].node;
		int at = c->stack[c->depth - 1].at;

		if (at == n->n) {
			--c->depth;
			continue;
		}
		++c->stack[c->depth - 1].at;
		if (!n->level)
			return n->low[at];
		cursor_push(c, n->child[at], 0);
	}
	return NULL;
}
