/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A copy-on-write B+-tree.  A root is an immutable state: who holds a
 * reference to it sees that state for as long as he likes.  An edit makes a
 * new root that shares all it did not touch with the old one.
 *
 * References may be taken and dropped from any thread; one edit belongs to
 * one thread.
 */
#ifndef MEM_TREE_H
#define MEM_TREE_H

#include <dynfs/meta.h>

#include <stdatomic.h>

#define MEM_FANOUT     32
#define MEM_HEIGHT_MAX 32 /* 8^32 keys: out of reach */

/* Where the nodes come from; bytes is what is in use. */
struct mem_heap {
	const struct dynfs_host *host;
	_Atomic uint64_t bytes;
};

/* One row; immutable once made. */
struct mem_entry {
	atomic_uint refs;
	uint32_t key_len, value_len;
	uint8_t bytes[]; /* key, value */
};

struct mem_node {
	atomic_uint refs;
	uint16_t n;
	uint16_t level; /* 0: leaf */
	uint64_t gen;   /* the edit that made it and may change it */
	/*
	 * Leaf: its rows, a reference each.  Above: the first row below
	 * child[i], borrowed from there.
	 */
	struct mem_entry *low[MEM_FANOUT];
	struct mem_node *child[]; /* not in a leaf */
};

struct mem_edit {
	struct mem_heap *heap;
	struct mem_node *root; /* NULL: empty */
	uint64_t gen;          /* not used by any edit before */
	uint64_t keys;
};

struct mem_cursor {
	int depth; /* of the stack; 0: at the end */
	struct {
		const struct mem_node *node;
		int at; /* the next to visit */
	} stack[MEM_HEIGHT_MAX];
};

/* NULL: no memory. */
struct mem_entry *mem_entry_new(struct mem_heap *heap,
				struct dynfs_meta_span key,
				struct dynfs_meta_span value);
void mem_entry_drop(struct mem_heap *heap, struct mem_entry *e);

struct dynfs_meta_span mem_entry_key(const struct mem_entry *e);
struct dynfs_meta_span mem_entry_value(const struct mem_entry *e);

/* < 0, 0, > 0 in the order of meta.h */
int mem_compare(struct dynfs_meta_span a, struct dynfs_meta_span b);

/* NULL is the empty tree, for both. */
struct mem_node *mem_tree_ref(struct mem_node *root);
void mem_tree_drop(struct mem_heap *heap, struct mem_node *root);

/* NULL: not there.  Borrowed from root. */
const struct mem_entry *mem_tree_get(const struct mem_node *root,
				     struct dynfs_meta_span key);

/*
 * After an error (-ENOMEM) the edit's root is good for mem_tree_drop() only.
 * put() takes over the reference to e, also when it fails.
 */
int mem_edit_put(struct mem_edit *edit, struct mem_entry *e);
int mem_edit_delete(struct mem_edit *edit, struct dynfs_meta_span key);

/* The rows at from and after; the caller keeps root referenced. */
void mem_cursor_seek(struct mem_cursor *c, const struct mem_node *root,
		     struct dynfs_meta_span from);
const struct mem_entry *mem_cursor_next(struct mem_cursor *c);

#endif
