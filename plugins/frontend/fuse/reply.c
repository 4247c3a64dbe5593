/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attributes in the kernel's form, and the replies that carry them.
 *
 * A reply with an entry hands a lookup reference to the kernel.  When the
 * caller was interrupted, the kernel has thrown the request away and says
 * ENOENT to the reply: then the reference is still ours, and goes back.
 */
#include "front.h"

#include <errno.h>
#include <string.h>

int front_answer_err(fuse_req_t req, int err)
{
	/* a positive or huge value would be taken for something else */
	if (err > 0 || err < -4095)
		err = -EIO;
	return fuse_reply_err(req, -err);
}

void front_reply_err(fuse_req_t req, int err)
{
	(void)front_answer_err(req, err); /* the caller may have gone */
}

static struct timespec reply_time(const struct dynfs_time *t)
{
	return (struct timespec){ .tv_sec = t->sec, .tv_nsec = t->nsec };
}

void front_stat(const struct dynfs_attr *a, struct stat *ret)
{
	*ret = (struct stat){
		.st_ino = a->ino,
		.st_mode = a->mode,
		.st_nlink = a->nlink,
		.st_uid = a->uid,
		.st_gid = a->gid,
		.st_rdev = a->rdev,
		.st_size = (off_t)a->size_bytes,
		.st_blksize = 4096,
		.st_blocks = (blkcnt_t)(a->stored_bytes / 512 +
					!!(a->stored_bytes % 512)),
		.st_atim = reply_time(&a->atime),
		.st_mtim = reply_time(&a->mtime),
		.st_ctim = reply_time(&a->ctime),
	};
}

static double reply_timeout(const struct front *f, const struct dynfs_attr *a)
{
	return a->unsettled ? 0 : (double)f->config.attr_timeout;
}

void front_entry(const struct front *f, const struct dynfs_attr *a,
		 struct fuse_entry_param *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->ino = a->ino;
	ret->generation = a->generation;
	ret->attr_timeout = reply_timeout(f, a);
	ret->entry_timeout = (double)f->config.entry_timeout;
	front_stat(a, &ret->attr);
}

void front_reply_entry(fuse_req_t req, int err, const struct dynfs_attr *a)
{
	struct front *f = front_of(req);
	struct fuse_entry_param e;

	if (err) {
		front_reply_err(req, err);
		return;
	}
	front_entry(f, a, &e);
	if (fuse_reply_entry(req, &e) == -ENOENT)
		f->fs->forget(f->fs->ctx, a->ino, 1);
}

void front_reply_attr(fuse_req_t req, int err, const struct dynfs_attr *a)
{
	struct stat st;

	if (err) {
		front_reply_err(req, err);
		return;
	}
	front_stat(a, &st);
	(void)fuse_reply_attr(req, &st, reply_timeout(front_of(req), a));
}

struct dynfs_caller front_caller(fuse_req_t req)
{
	const struct fuse_ctx *c = fuse_req_ctx(req);

	return (struct dynfs_caller){ .uid = c->uid,
				      .gid = c->gid,
				      .pid = (uint32_t)c->pid,
				      .umask = c->umask,
				      .in_group = front_in_group };
}

int front_name(const char *name)
{
	return strnlen(name, DYNFS_NAME_MAX + 1) > DYNFS_NAME_MAX
		   ? -ENAMETOOLONG
		   : 0;
}
