/* SPDX-License-Identifier: Apache-2.0 */
/*
 * double: metadata and files in memory, so that the tree can be tested alone.
 *
 * It keeps the contracts of meta/meta.h and file/file.h as far as the tree
 * uses them, and checks the tree's side of them: locks that must be held,
 * references that must be balanced.  Commits can be made to fail.  Its
 * functions take the place of the core's own when a test links it.
 */
#ifndef TESTS_TREE_DOUBLE_H
#define TESTS_TREE_DOUBLE_H

#include <tree/tree.h>

/* One pool in memory, closed. */
struct meta *double_meta_new(void);
void double_meta_free(struct meta *m);
/* The nth commit from now (1: the next) fails with err, once. */
void double_fail_commit(struct meta *m, unsigned nth, int err);
uint64_t double_commits(struct meta *m);
/* Gets and scans so far. */
uint64_t double_reads(struct meta *m);
/* Every so many commits a group closes and the hook is called; 0: never. */
void double_close_every(struct meta *m, unsigned n);
void double_close_group(struct meta *m);
uint64_t double_keys(struct meta *m, char kind);

struct files *double_files_new(struct meta *m);
/* Every get was put, but for what opens hold. */
void double_files_free(struct files *f);
/* Forget what is in memory and not held, as memory pressure would. */
void double_evict(struct files *f);
/* Lookup references that the frontend has. */
uint64_t double_known(struct files *f, uint64_t ino);
/* Times that settle() was called. */
uint64_t double_settled(struct files *f);
/* Seconds that are added to every clock reading. */
void double_advance(struct files *f, int64_t seconds);

/* Open the tree over both. */
void double_open(struct meta *m, struct files **ret_files,
		 struct tree **ret_tree);
void double_close(struct meta *m, struct files *f, struct tree *t);
void double_room(uint64_t total, uint64_t free_bytes);

/*
 * Policies: "two" (2 copies) is the default; "one"; "three", which uid 7 and gid 8
 * may choose; "six", for which there are too few disks; "auto" is automatic.
 * Their ids are 1 to 5 in this order.  Every file has the extents {1, 1} twice,
 * {1, 2} (degraded), {1, 3} (lost), and two inline pieces.
 */
#define DOUBLE_POLICY_ONE   2u
#define DOUBLE_POLICY_THREE 3u

#endif
