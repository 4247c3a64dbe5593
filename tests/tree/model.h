/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A name space as POSIX and ext4 have it, in the plainest way: what the tree
 * is compared with.  Nothing here may fail for want of memory; it asserts.
 */
#ifndef TESTS_TREE_MODEL_H
#define TESTS_TREE_MODEL_H

#include <base/buf.h>
#include <dynfs/frontend.h>

struct node;

struct entry {
	char *name;
	struct node *node;
};

struct attr {
	char *name;
	struct buf value;
};

#define OPENS_MAX 8u

struct node {
	uint64_t ino; /* of the real one, once it is known */
	uint32_t mode, uid, gid, nlink;
	uint64_t rdev;
	struct node *parent; /* directories */
	struct entry *kids;
	size_t n_kids;
	char *target;
	struct buf content;
	struct attr *attrs;
	size_t n_attrs;
	uint64_t lookups, opens; /* that the test holds */
	struct dynfs_file *open[OPENS_MAX];
};

struct model {
	struct node **nodes; /* all that ever were, also removed ones */
	size_t n, cap;
};

void model_init(struct model *m);
void model_done(struct model *m);

struct node *model_find(const struct node *dir, const char *name);
/* 0 and the new node, or what the system call would say. */
int model_make(struct model *m, struct node *dir, const char *name,
	       uint32_t mode, uint64_t rdev, const char *target,
	       const struct dynfs_caller *who, struct node **ret);
int model_link(struct node *in, struct node *dir, const char *name);
int model_remove(struct node *dir, const char *name, bool is_dir);
int model_rename(struct node *from, const char *name, struct node *to,
		 const char *new_name, uint32_t flags);
int model_setxattr(struct node *in, const char *name, const void *value,
		   size_t len, uint32_t flags);
int model_removexattr(struct node *in, const char *name);
void model_setattr(struct node *in, uint32_t mask, const struct dynfs_attr *a);

/* One line for each path, in an order of its own; ends with a zero byte. */
void model_dump(const struct model *m, bool content, struct buf *out);
/* The same of a real one. */
void view_dump(const struct dynfs_fs_view *fs, bool content, struct buf *out);
/* Fails the test and shows the first line that differs. */
void dumps_equal(const struct buf *want, const struct buf *have);

#endif
