/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See fakefs.h: names and attributes.  A hard link is a second node that
 * shares nothing but the number of links: enough to see that the call
 * arrives.  Freed numbers are not used again.
 */
#include "fakefs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Every operation is one critical section that ends with its result. */
static int fake_out(struct fakefs *f, int err)
{
	pthread_mutex_unlock(&f->lock);
	return err;
}

static struct fakefs *fake_in(void *ctx)
{
	struct fakefs *f = ctx;

	pthread_mutex_lock(&f->lock);
	return f;
}

/* the attr with a lookup reference */
static int fake_give(struct fakefs *f, struct fake_node *n,
		     struct dynfs_attr *ret)
{
	n->lookups++;
	*ret = n->attr;
	return fake_out(f, 0);
}

static int fake_lookup(void *ctx, uint64_t parent, const char *name,
		       struct dynfs_attr *ret)
{
	struct fakefs *f = fake_in(ctx);
	struct fake_node *n = fakefs_find(f, parent, name);

	atomic_fetch_add(&f->n_lookup, 1);
	return n ? fake_give(f, n, ret) : fake_out(f, -ENOENT);
}

static void fake_forget(void *ctx, uint64_t ino, uint64_t n)
{
	struct fakefs *f = fake_in(ctx);

	if (ino < f->n_nodes)
		f->node[ino].lookups -= (long)n;
	(void)fake_out(f, 0);
}

static int fake_getattr(void *ctx, uint64_t ino, struct dynfs_attr *ret)
{
	struct fakefs *f = fake_in(ctx);
	const struct fake_node *n = fakefs_node(f, ino);

	atomic_fetch_add(&f->n_getattr, 1);
	if (n)
		*ret = n->attr;
	return fake_out(f, n ? 0 : -ENOENT);
}

static int fake_setattr(void *ctx, uint64_t ino, uint32_t mask,
			const struct dynfs_attr *in, struct dynfs_attr *ret)
{
	struct fakefs *f = fake_in(ctx);
	struct fake_node *n = fakefs_node(f, ino);
	int err = n ? 0 : -ENOENT;

	if (!err && (mask & DYNFS_SET_MODE))
		err = atomic_load(&f->setattr_err);
	if (err)
		return fake_out(f, err);
	if (mask & DYNFS_SET_SIZE) {
		err = fakefs_resize(n, in->size_bytes);
		fakefs_touch(f, n);
	}
	if (mask & DYNFS_SET_MODE)
		n->attr.mode = (n->attr.mode & S_IFMT) | (in->mode & 07777);
	if (mask & DYNFS_SET_UID)
		n->attr.uid = in->uid;
	if (mask & DYNFS_SET_GID)
		n->attr.gid = in->gid;
	if (mask & DYNFS_SET_ATIME)
		n->attr.atime = in->atime;
	if (mask & DYNFS_SET_ATIME_NOW)
		n->attr.atime.sec = ++f->clock_sec;
	if (mask & DYNFS_SET_MTIME)
		n->attr.mtime = in->mtime;
	if (mask & DYNFS_SET_MTIME_NOW)
		n->attr.mtime.sec = ++f->clock_sec;
	*ret = n->attr;
	return fake_out(f, err);
}

static int fake_readlink(void *ctx, uint64_t ino, char *buf, size_t len,
			 size_t *ret_len)
{
	struct fakefs *f = fake_in(ctx);
	const struct fake_node *n = fakefs_node(f, ino);
	size_t size = n ? n->attr.size_bytes : 0;

	if (n)
		memcpy(buf, n->data, size < len ? size : len);
	*ret_len = size;
	return fake_out(f, n ? 0 : -ENOENT);
}

static int fake_make(struct fakefs *f, uint64_t parent, const char *name,
		     uint32_t mode, const struct dynfs_caller *who,
		     struct fake_node **ret)
{
	struct fake_node *n;

	if (fakefs_find(f, parent, name))
		return -EEXIST;
	n = fakefs_make(f, parent, name, mode & ~who->umask);
	if (!n)
		return -ENOSPC;
	n->attr.uid = who->uid;
	n->attr.gid = who->gid;
	*ret = n;
	return 0;
}

static int fake_mknod(void *ctx, uint64_t parent, const char *name,
		      uint32_t mode, uint64_t rdev,
		      const struct dynfs_caller *who, struct dynfs_attr *ret)
{
	struct fakefs *f = fake_in(ctx);
	struct fake_node *n;
	int err = fake_make(f, parent, name, mode, who, &n);

	if (err)
		return fake_out(f, err);
	n->attr.rdev = rdev;
	return fake_give(f, n, ret);
}

static int fake_mkdir(void *ctx, uint64_t parent, const char *name,
		      uint32_t mode, const struct dynfs_caller *who,
		      struct dynfs_attr *ret)
{
	return fake_mknod(ctx, parent, name, S_IFDIR | (mode & 07777), 0, who,
			  ret);
}

static int fake_symlink(void *ctx, uint64_t parent, const char *name,
			const char *target, const struct dynfs_caller *who,
			struct dynfs_attr *ret)
{
	struct fakefs *f = fake_in(ctx);
	struct fake_node *n;
	int err = fake_make(f, parent, name, S_IFLNK | 0777, who, &n);

	if (!err)
		err = fakefs_resize(n, strlen(target));
	if (err)
		return fake_out(f, err);
	memcpy(n->data, target, strlen(target));
	return fake_give(f, n, ret);
}

static int fake_link(void *ctx, uint64_t ino, uint64_t parent, const char *name,
		     struct dynfs_attr *ret)
{
	struct fakefs *f = fake_in(ctx);
	struct fake_node *n = fakefs_node(f, ino);
	int err = !n ? -ENOENT : fakefs_find(f, parent, name) ? -EEXIST : 0;

	if (err)
		return fake_out(f, err);
	n->attr.nlink++;
	return fake_give(f, n, ret);
}

static int fake_remove(void *ctx, uint64_t parent, const char *name,
		       bool folder)
{
	struct fakefs *f = fake_in(ctx);
	struct fake_node *n = fakefs_find(f, parent, name);

	if (!n)
		return fake_out(f, -ENOENT);
	if (folder != !!S_ISDIR(n->attr.mode))
		return fake_out(f, folder ? -ENOTDIR : -EISDIR);
	for (uint64_t i = 2; folder && i < f->n_nodes; i++)
		if (f->node[i].attr.mode && f->node[i].parent == n->attr.ino)
			return fake_out(f, -ENOTEMPTY);
	n->parent = 0; /* open files stay */
	n->attr.nlink = 0;
	fakefs_touch(f, &f->node[parent]);
	return fake_out(f, 0);
}

static int fake_unlink(void *ctx, uint64_t parent, const char *name)
{
	return fake_remove(ctx, parent, name, false);
}

static int fake_rmdir(void *ctx, uint64_t parent, const char *name)
{
	return fake_remove(ctx, parent, name, true);
}

static int fake_rename(void *ctx, uint64_t parent, const char *name,
		       uint64_t new_parent, const char *new_name,
		       uint32_t flags, const struct dynfs_caller *who)
{
	struct fakefs *f = fake_in(ctx);
	struct fake_node *n = fakefs_find(f, parent, name);
	struct fake_node *old = fakefs_find(f, new_parent, new_name);

	(void)who;
	if (!n || ((flags & DYNFS_RENAME_EXCHANGE) && !old))
		return fake_out(f, -ENOENT);
	if (old && (flags & DYNFS_RENAME_NOREPLACE))
		return fake_out(f, -EEXIST);
	if (old) {
		old->parent = 0;
		if (flags & DYNFS_RENAME_EXCHANGE) {
			old->parent = parent;
			(void)snprintf(old->name, sizeof(old->name), "%s",
				       name);
		}
	}
	n->parent = new_parent;
	(void)snprintf(n->name, sizeof(n->name), "%s", new_name);
	return fake_out(f, 0);
}

/* the lock is held */
static int fake_open_node(struct fakefs *f, struct fake_node *n, uint32_t flags,
			  struct dynfs_file **ret)
{
	struct fake_file *file = calloc(1, sizeof(*file));

	if (!file)
		return -ENOMEM;
	file->pub = (struct dynfs_file){ .size = sizeof(file->pub),
					 .ino = n->attr.ino,
					 .flags = flags };
	file->fs = f;
	n->opens++;
	*ret = &file->pub;
	return 0;
}

static int fake_open(void *ctx, uint64_t ino, uint32_t flags,
		     struct dynfs_file **ret)
{
	struct fakefs *f = fake_in(ctx);
	struct fake_node *n = fakefs_node(f, ino);

	if (!n || (flags & O_TRUNC)) /* a setattr came before */
		return fake_out(f, n ? -EINVAL : -ENOENT);
	return fake_out(f, fake_open_node(f, n, flags, ret));
}

static int fake_create(void *ctx, uint64_t parent, const char *name,
		       uint32_t mode, uint32_t flags,
		       const struct dynfs_caller *who, struct dynfs_attr *ret,
		       struct dynfs_file **ret_file)
{
	struct fakefs *f = fake_in(ctx);
	struct fake_node *n;
	int err = fake_make(f, parent, name, S_IFREG | (mode & 07777), who, &n);

	if (!err)
		err = fake_open_node(f, n, flags, ret_file);
	if (err)
		return fake_out(f, err);
	return fake_give(f, n, ret);
}

static void fake_release(void *ctx, struct dynfs_file *file)
{
	struct fakefs *f = fake_in(ctx);

	f->node[file->ino].opens--;
	(void)fake_out(f, 0);
	fakefs_through(f, file->ino, file);
	memset(file, 0, sizeof(*file));
	free(file);
}

/* A loss is told once, if anybody hears it. */
static void fake_flush(void *ctx, struct dynfs_file *file,
		       const struct dynfs_call *call)
{
	struct fakefs *f = ctx;
	uint64_t ino = file->ino;
	int loss;

	fakefs_through(f, ino, file);
	atomic_fetch_add(&f->n_flush, 1);
	(void)fakefs_hang(f, ino, NULL);
	(void)fake_in(ctx);
	/* before the answer: who hears it may lose the next at once */
	loss = f->node[ino].loss;
	f->node[ino].loss = 0;
	(void)fake_out(f, 0);
	if (!call->done(call->ctx, loss))
		return;
	(void)fake_in(ctx);
	if (!f->node[ino].loss)
		f->node[ino].loss = loss;
	(void)fake_out(f, 0);
}

/* Cookies: 1 ".", 2 "..", then the node's number plus one. */
static int fake_readdir(void *ctx, uint64_t ino, uint64_t cursor, int plus,
			int (*each)(void *each_ctx,
				    const struct dynfs_dirent *entry),
			void *each_ctx)
{
	struct fakefs *f = fake_in(ctx);
	int full = 0;

	for (uint64_t c = cursor + 1; !full && c <= f->n_nodes; c++) {
		struct fake_node *n = c > 2 ? &f->node[c - 1] : &f->node[ino];
		struct dynfs_dirent e = {
			.name = c > 2 ? n->name : "..",
			.name_len = c > 2 ? strlen(n->name) : c,
			.ino = n->attr.ino,
			.cookie = c,
			.type = n->attr.mode & S_IFMT,
			.has_attr = plus && c > 2,
			.attr = n->attr,
		};

		if (c > 2 && (n->parent != ino || !n->attr.mode))
			continue;
		full = each(each_ctx, &e);
		if (!full && e.has_attr)
			n->lookups++;
	}
	return fake_out(f, 0);
}

static int fake_statfs(void *ctx, struct dynfs_statfs *ret)
{
	(void)ctx;
	ret->total_bytes = 1ull << 40;
	ret->free_bytes = 1ull << 39;
	ret->avail_bytes = 1ull << 38;
	ret->files = 1000;
	ret->files_free = 500;
	ret->block_bytes = 4096;
	ret->name_max = DYNFS_NAME_MAX;
	return 0;
}

static int fake_setxattr(void *ctx, uint64_t ino, const char *name,
			 const void *value, size_t len, uint32_t flags,
			 const struct dynfs_caller *who)
{
	struct fakefs *f = fake_in(ctx);
	struct fake_node *n = fakefs_node(f, ino);
	bool there = n && n->xattr_name[0] && !strcmp(n->xattr_name, name);

	(void)who;
	if (!n || len > sizeof(n->xattr_value))
		return fake_out(f, n ? -ENOSPC : -ENOENT);
	if (there && (flags & DYNFS_XATTR_CREATE))
		return fake_out(f, -EEXIST);
	if (!there && (flags & DYNFS_XATTR_REPLACE))
		return fake_out(f, -ENODATA);
	(void)snprintf(n->xattr_name, sizeof(n->xattr_name), "%s", name);
	memcpy(n->xattr_value, value, len);
	n->xattr_len = len;
	return fake_out(f, 0);
}

static int fake_copy_out(const void *from, size_t have, void *to, size_t len,
			 size_t *ret_len)
{
	if (len && len < have)
		return -ERANGE;
	if (len)
		memcpy(to, from, have);
	*ret_len = have;
	return 0;
}

static int fake_getxattr(void *ctx, uint64_t ino, const char *name, void *value,
			 size_t len, size_t *ret_len)
{
	struct fakefs *f = fake_in(ctx);
	const struct fake_node *n = fakefs_node(f, ino);

	atomic_fetch_add(&f->n_getxattr, 1);
	if (!n || strcmp(n->xattr_name, name) != 0)
		return fake_out(f, -ENODATA);
	return fake_out(f, fake_copy_out(n->xattr_value, n->xattr_len, value,
					 len, ret_len));
}

static int fake_listxattr(void *ctx, uint64_t ino, char *list, size_t len,
			  const struct dynfs_caller *who, size_t *ret_len)
{
	struct fakefs *f = fake_in(ctx);
	const struct fake_node *n = fakefs_node(f, ino);
	size_t have = n && n->xattr_name[0] ? strlen(n->xattr_name) + 1 : 0;

	(void)who;
	if (!n)
		return fake_out(f, -ENOENT);
	return fake_out(f,
			fake_copy_out(n->xattr_name, have, list, len, ret_len));
}

static int fake_removexattr(void *ctx, uint64_t ino, const char *name)
{
	struct fakefs *f = fake_in(ctx);
	struct fake_node *n = fakefs_node(f, ino);

	if (!n || strcmp(n->xattr_name, name) != 0)
		return fake_out(f, -ENODATA);
	n->xattr_name[0] = '\0';
	return fake_out(f, 0);
}

void fakefs_fill_view(struct dynfs_fs_view *v)
{
	v->lookup = fake_lookup;
	v->forget = fake_forget;
	v->getattr = fake_getattr;
	v->setattr = fake_setattr;
	v->readlink = fake_readlink;
	v->mknod = fake_mknod;
	v->mkdir = fake_mkdir;
	v->symlink = fake_symlink;
	v->link = fake_link;
	v->unlink = fake_unlink;
	v->rmdir = fake_rmdir;
	v->rename = fake_rename;
	v->open = fake_open;
	v->create = fake_create;
	v->release = fake_release;
	v->flush = fake_flush;
	v->readdir = fake_readdir;
	v->statfs = fake_statfs;
	v->setxattr = fake_setxattr;
	v->getxattr = fake_getxattr;
	v->listxattr = fake_listxattr;
	v->removexattr = fake_removexattr;
}
