/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model's operations.  Entries are an unsorted array, links are counted
 * by hand, and every rule is written as the manual page of the system call
 * has it.
 */
#include "model.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static struct node *node_new(struct model *m, uint32_t mode)
{
	struct node *n = (struct node *)calloc(1, sizeof(*n));

	if (m->n == m->cap) {
		m->cap = m->cap ? m->cap * 2 : 64;
		m->nodes = (struct node **)realloc(m->nodes,
						   m->cap * sizeof(*m->nodes));
	}
	assert(n && m->nodes);
	n->mode = mode;
	m->nodes[m->n++] = n;
	return n;
}

void model_init(struct model *m)
{
	struct node *root;

	*m = (struct model){ NULL, 0, 0 };
	root = node_new(m, S_IFDIR | 0755);
	root->ino = DYNFS_ROOT_INO;
	root->nlink = 2;
	root->parent = root;
}

static void attr_done(struct attr *a)
{
	free(a->name);
	buf_done(&a->value);
}

void model_done(struct model *m)
{
	for (size_t i = 0; i < m->n; i++) {
		struct node *n = m->nodes[i];

		for (size_t k = 0; k < n->n_kids; k++)
			free(n->kids[k].name);
		for (size_t k = 0; k < n->n_attrs; k++)
			attr_done(&n->attrs[k]);
		free(n->kids);
		free(n->attrs);
		free(n->target);
		buf_done(&n->content);
		free(n);
	}
	free(m->nodes);
}

static struct entry *entry_find(const struct node *dir, const char *name)
{
	for (size_t i = 0; i < dir->n_kids; i++)
		if (!strcmp(dir->kids[i].name, name))
			return &dir->kids[i];
	return NULL;
}

struct node *model_find(const struct node *dir, const char *name)
{
	const struct entry *e = entry_find(dir, name);

	return e ? e->node : NULL;
}

static void entry_add(struct node *dir, const char *name, struct node *in)
{
	dir->kids = (struct entry *)realloc(dir->kids, (dir->n_kids + 1) *
							   sizeof(*dir->kids));
	assert(dir->kids);
	dir->kids[dir->n_kids].name = strdup(name);
	dir->kids[dir->n_kids++].node = in;
}

static void entry_remove(struct node *dir, const char *name)
{
	struct entry *e = entry_find(dir, name);

	free(e->name);
	*e = dir->kids[--dir->n_kids];
}

static int new_name(const struct node *dir, const char *name)
{
	if (strlen(name) > DYNFS_NAME_MAX)
		return -ENAMETOOLONG;
	if (!S_ISDIR(dir->mode))
		return -ENOTDIR;
	if (!dir->nlink)
		return -ENOENT;
	return model_find(dir, name) ? -EEXIST : 0;
}

int model_make(struct model *m, struct node *dir, const char *name,
	       uint32_t mode, uint64_t rdev, const char *target,
	       const struct dynfs_caller *who, struct node **ret)
{
	int r = new_name(dir, name);
	struct node *in;

	if (r < 0)
		return r;
	in = node_new(m, mode & ~(target ? 0 : who->umask));
	in->uid = who->uid;
	in->gid = dir->mode & S_ISGID ? dir->gid : who->gid;
	in->rdev = rdev;
	in->nlink = 1;
	if (S_ISDIR(mode)) {
		in->nlink = 2;
		in->mode |= dir->mode & S_ISGID;
		in->parent = dir;
		dir->nlink++;
	}
	if (target)
		in->target = strdup(target);
	entry_add(dir, name, in);
	*ret = in;
	return 0;
}

int model_link(struct node *in, struct node *dir, const char *name)
{
	int r;

	if (strlen(name) > DYNFS_NAME_MAX)
		return -ENAMETOOLONG;
	if (S_ISDIR(dir->mode) && dir->nlink && S_ISDIR(in->mode))
		return -EPERM;
	r = new_name(dir, name);
	if (r < 0)
		return r;
	if (!in->nlink)
		return -ENOENT;
	in->nlink++;
	entry_add(dir, name, in);
	return 0;
}

static void node_drop(struct node *dir, struct node *in)
{
	if (S_ISDIR(in->mode)) {
		in->nlink = 0;
		dir->nlink--;
	} else {
		in->nlink--;
	}
}

int model_remove(struct node *dir, const char *name, bool is_dir)
{
	struct node *in;

	if (strlen(name) > DYNFS_NAME_MAX)
		return -ENAMETOOLONG;
	if (!S_ISDIR(dir->mode))
		return -ENOTDIR;
	in = model_find(dir, name);
	if (!in)
		return -ENOENT;
	if (is_dir && !S_ISDIR(in->mode))
		return -ENOTDIR;
	if (!is_dir && S_ISDIR(in->mode))
		return -EISDIR;
	if (is_dir && in->n_kids)
		return -ENOTEMPTY;
	entry_remove(dir, name);
	node_drop(dir, in);
	return 0;
}

static bool is_above(const struct node *a, const struct node *b)
{
	for (;; b = b->parent) {
		if (a == b)
			return true;
		if (b == b->parent)
			return false;
	}
}

static void node_move(struct node *in, struct node *from, struct node *to)
{
	if (!S_ISDIR(in->mode))
		return;
	from->nlink--;
	to->nlink++;
	in->parent = to;
}

static int rename_check(const struct node *from, const struct node *in,
			const struct node *to, const struct node *old,
			uint32_t flags)
{
	bool swap = flags & DYNFS_RENAME_EXCHANGE;

	if (swap && !old)
		return -ENOENT;
	if (old && (flags & DYNFS_RENAME_NOREPLACE))
		return -EEXIST;
	if (old == in)
		return 0;
	if (S_ISDIR(in->mode) && is_above(in, to))
		return -EINVAL;
	if (swap && S_ISDIR(old->mode) && is_above(old, from))
		return -EINVAL;
	if (!old || swap)
		return 0;
	if (S_ISDIR(in->mode) && !S_ISDIR(old->mode))
		return -ENOTDIR;
	if (!S_ISDIR(in->mode) && S_ISDIR(old->mode))
		return -EISDIR;
	return old->n_kids ? -ENOTEMPTY : 0;
}

int model_rename(struct node *from, const char *name, struct node *to,
		 const char *new_name_, uint32_t flags)
{
	struct node *in, *old;
	int r;

	if (strlen(name) > DYNFS_NAME_MAX || strlen(new_name_) > DYNFS_NAME_MAX)
		return -ENAMETOOLONG;
	if (!S_ISDIR(from->mode))
		return -ENOTDIR;
	if (!from->nlink)
		return -ENOENT;
	if (!S_ISDIR(to->mode))
		return -ENOTDIR;
	if (!to->nlink)
		return -ENOENT;
	in = model_find(from, name);
	if (!in)
		return -ENOENT;
	old = model_find(to, new_name_);
	r = rename_check(from, in, to, old, flags);
	if (r < 0 || in == old)
		return r;
	if (flags & DYNFS_RENAME_EXCHANGE) {
		entry_find(from, name)->node = old;
		entry_find(to, new_name_)->node = in;
		node_move(in, from, to);
		node_move(old, to, from);
		return 0;
	}
	if (old) {
		entry_remove(to, new_name_);
		node_drop(to, old);
	}
	entry_remove(from, name);
	entry_add(to, new_name_, in);
	node_move(in, from, to);
	return 0;
}

void model_setattr(struct node *in, uint32_t mask, const struct dynfs_attr *a)
{
	size_t size = in->content.len;

	if (mask & DYNFS_SET_MODE)
		in->mode = (in->mode & S_IFMT) | (a->mode & 07777);
	if (mask & DYNFS_SET_UID)
		in->uid = a->uid;
	if (mask & DYNFS_SET_GID)
		in->gid = a->gid;
	if ((mask & (DYNFS_SET_UID | DYNFS_SET_GID)) &&
	    !(mask & DYNFS_SET_MODE) && !S_ISDIR(in->mode)) {
		in->mode &= ~(uint32_t)S_ISUID;
		if (in->mode & S_IXGRP)
			in->mode &= ~(uint32_t)S_ISGID;
	}
	if (!(mask & DYNFS_SET_SIZE))
		return;
	if (a->size_bytes > size)
		buf_put_zero(&in->content, a->size_bytes - size);
	in->content.len = a->size_bytes;
}

static struct attr *attr_find(const struct node *in, const char *name)
{
	for (size_t i = 0; i < in->n_attrs; i++)
		if (!strcmp(in->attrs[i].name, name))
			return &in->attrs[i];
	return NULL;
}

int model_setxattr(struct node *in, const char *name, const void *value,
		   size_t len, uint32_t flags)
{
	struct attr *a = attr_find(in, name);

	if (!strncmp(name, "user.", 5) && !S_ISREG(in->mode) &&
	    !S_ISDIR(in->mode))
		return -EPERM;
	if (a && (flags & DYNFS_XATTR_CREATE))
		return -EEXIST;
	if (!a && (flags & DYNFS_XATTR_REPLACE))
		return -ENODATA;
	if (!a) {
		in->attrs = (struct attr *)realloc(
		    in->attrs, (in->n_attrs + 1) * sizeof(*in->attrs));
		assert(in->attrs);
		a = &in->attrs[in->n_attrs++];
		a->name = strdup(name);
		buf_init(&a->value);
	}
	buf_clear(&a->value);
	buf_put(&a->value, value, len);
	return 0;
}

int model_removexattr(struct node *in, const char *name)
{
	struct attr *a = attr_find(in, name);

	if (!a)
		return -ENODATA;
	attr_done(a);
	*a = in->attrs[--in->n_attrs];
	return 0;
}
