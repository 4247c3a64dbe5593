/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests about names, attributes and extended attributes: each is one call
 * of the view, answered on the thread that read it from the device.
 */
#include "front.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#define XATTR_BYTES_MAX 65536u /* the kernel's own limit */
#define XATTR_ACL       "system.posix_acl_"

void front_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct front *f = front_of(req);
	struct dynfs_attr a;
	int err = front_name(name);

	if (!err)
		err = f->fs->lookup(f->fs->ctx, parent, name, &a);
	if (err == -ENOENT && f->config.negative_timeout) {
		struct fuse_entry_param none = {
			.entry_timeout = (double)f->config.negative_timeout,
		};

		(void)fuse_reply_entry(req, &none); /* nothing to give back */
		return;
	}
	front_reply_entry(req, err, &a);
}

void front_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
	struct front *f = front_of(req);

	f->fs->forget(f->fs->ctx, ino, n);
	fuse_reply_none(req);
}

void front_forget_multi(fuse_req_t req, size_t n, struct fuse_forget_data *v)
{
	struct front *f = front_of(req);

	for (size_t i = 0; i < n; i++)
		f->fs->forget(f->fs->ctx, v[i].ino, v[i].nlookup);
	fuse_reply_none(req);
}

void front_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct front *f = front_of(req);
	struct dynfs_attr a;
	int err = f->fs->getattr(f->fs->ctx, ino, &a);

	(void)fi; /* the inode says it all */
	front_reply_attr(req, err, &a);
}

/* Of "this time" and "now" at most one is passed on. */
static uint32_t names_set_mask(int to_set)
{
	uint32_t mask = 0;

	if (to_set & FUSE_SET_ATTR_MODE)
		mask |= DYNFS_SET_MODE;
	if (to_set & FUSE_SET_ATTR_UID)
		mask |= DYNFS_SET_UID;
	if (to_set & FUSE_SET_ATTR_GID)
		mask |= DYNFS_SET_GID;
	if (to_set & FUSE_SET_ATTR_SIZE)
		mask |= DYNFS_SET_SIZE;
	if (to_set & FUSE_SET_ATTR_ATIME_NOW)
		mask |= DYNFS_SET_ATIME_NOW;
	else if (to_set & FUSE_SET_ATTR_ATIME)
		mask |= DYNFS_SET_ATIME;
	if (to_set & FUSE_SET_ATTR_MTIME_NOW)
		mask |= DYNFS_SET_MTIME_NOW;
	else if (to_set & FUSE_SET_ATTR_MTIME)
		mask |= DYNFS_SET_MTIME;
	if (to_set & FUSE_SET_ATTR_CTIME)
		mask |= DYNFS_SET_CTIME;
	return mask;
}

static struct dynfs_time names_time(struct timespec t)
{
	return (struct dynfs_time){ .sec = t.tv_sec,
				    .nsec = (uint32_t)t.tv_nsec };
}

void front_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set,
		   struct fuse_file_info *fi)
{
	struct front *f = front_of(req);
	struct dynfs_attr a, in = {
		.ino = ino,
		.mode = st->st_mode,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.size_bytes = (uint64_t)st->st_size,
		.atime = names_time(st->st_atim),
		.mtime = names_time(st->st_mtim),
		.ctime = names_time(st->st_ctim),
	};
	uint32_t mask = names_set_mask(to_set);
	int err = front_rights_setattr(req, &in, to_set, &mask);

	(void)fi; /* the kernel has checked that it is open for writing */
	if (!err)
		err = f->fs->setattr(f->fs->ctx, ino, mask, &in, &a);
	front_reply_attr(req, err, &a);
}

void front_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct front *f = front_of(req);
	char target[PATH_MAX + 1];
	size_t len = 0;
	int err;

	err = f->fs->readlink(f->fs->ctx, ino, target, PATH_MAX, &len);
	if (!err && len > PATH_MAX)
		err = -ENAMETOOLONG;
	if (err) {
		front_reply_err(req, err);
		return;
	}
	target[len] = '\0';
	(void)fuse_reply_readlink(req, target); /* the caller may have gone */
}

void front_mknod(fuse_req_t req, fuse_ino_t parent, const char *name,
		 mode_t mode, dev_t rdev)
{
	struct front *f = front_of(req);
	struct dynfs_caller who = front_caller(req);
	struct dynfs_attr a;
	int err = front_name(name);

	if (!err)
		err = f->fs->mknod(f->fs->ctx, parent, name, mode, rdev, &who,
				   &a);
	front_reply_entry(req, err, &a);
}

void front_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name,
		 mode_t mode)
{
	struct front *f = front_of(req);
	struct dynfs_caller who = front_caller(req);
	struct dynfs_attr a;
	int err = front_name(name);

	if (!err)
		err = f->fs->mkdir(f->fs->ctx, parent, name, mode, &who, &a);
	front_reply_entry(req, err, &a);
}

void front_symlink(fuse_req_t req, const char *target, fuse_ino_t parent,
		   const char *name)
{
	struct front *f = front_of(req);
	struct dynfs_caller who = front_caller(req);
	struct dynfs_attr a;
	int err = front_name(name);

	if (!err)
		err =
		    f->fs->symlink(f->fs->ctx, parent, name, target, &who, &a);
	front_reply_entry(req, err, &a);
}

void front_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct front *f = front_of(req);
	int err = front_name(name);

	if (!err)
		err = f->fs->unlink(f->fs->ctx, parent, name);
	front_reply_err(req, err);
}

void front_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct front *f = front_of(req);
	int err = front_name(name);

	if (!err)
		err = f->fs->rmdir(f->fs->ctx, parent, name);
	front_reply_err(req, err);
}

void front_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
		  fuse_ino_t new_parent, const char *new_name,
		  unsigned int flags)
{
	struct dynfs_caller who = front_caller(req);
	struct front *f = front_of(req);
	int err = front_name(name);

	if (!err)
		err = front_name(new_name);
	if (!err)
		err = f->fs->rename(f->fs->ctx, parent, name, new_parent,
				    new_name, flags, &who);
	front_reply_err(req, err);
}

void front_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent,
		const char *name)
{
	struct front *f = front_of(req);
	struct dynfs_attr a;
	int err = front_name(name);

	if (!err)
		err = f->fs->link(f->fs->ctx, ino, parent, name, &a);
	front_reply_entry(req, err, &a);
}

void front_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
		    const char *value, size_t len, int flags)
{
	struct front *f = front_of(req);
	struct dynfs_caller who = front_caller(req);

	/* who sets an ACL that nobody heeds thinks that it protects */
	if (!f->acl && !strncmp(name, XATTR_ACL, strlen(XATTR_ACL))) {
		front_reply_err(req, -EOPNOTSUPP);
		return;
	}
	front_reply_err(req, f->fs->setxattr(f->fs->ctx, ino, name, value, len,
					     (uint32_t)flags, &who));
}

/* name NULL: the list of all names */
static void names_xattr(fuse_req_t req, fuse_ino_t ino, const char *name,
			size_t len)
{
	struct front *f = front_of(req);
	struct dynfs_caller who = front_caller(req);
	size_t have = 0;
	char *buf = NULL;
	int err;

	if (len > XATTR_BYTES_MAX)
		len = XATTR_BYTES_MAX;
	if (len && !(buf = f->host->alloc(f->host, len, 0))) {
		front_reply_err(req, -ENOMEM);
		return;
	}
	if (name)
		err = f->fs->getxattr(f->fs->ctx, ino, name, buf, len, &have);
	else
		err = f->fs->listxattr(f->fs->ctx, ino, buf, len, &who, &have);
	if (!err && len && have > len)
		err = -ERANGE;
	if (err)
		front_reply_err(req, err);
	else if (!len)
		(void)fuse_reply_xattr(req, have);
	else
		(void)fuse_reply_buf(req, buf, have);
	f->host->free(f->host, buf);
}

void front_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
		    size_t len)
{
	names_xattr(req, ino, name, len);
}

void front_listxattr(fuse_req_t req, fuse_ino_t ino, size_t len)
{
	names_xattr(req, ino, NULL, len);
}

void front_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	struct front *f = front_of(req);

	front_reply_err(req, f->fs->removexattr(f->fs->ctx, ino, name));
}
