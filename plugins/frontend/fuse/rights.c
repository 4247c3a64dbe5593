/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Set-user-ID and set-group-ID, which do not outlive a change of the content.
 *
 * Left to itself the kernel takes them by a setattr of the mode, and asks for
 * security.capability before every write: as costly as a small write is.  With
 * FUSE_HANDLE_KILLPRIV_V2 it remembers, until attributes arrive anew, that
 * there is nothing to take, and else tells us to: by a flag of writes, cuts and
 * changes of the owner.  Allocations and copies have none; but before each
 * change it sends a setattr that sets nothing, if it knows that something is to
 * be taken.  A chown(2) that changes nothing looks the same, so does a write
 * by root that takes but capabilities, which the kernel removes itself: root
 * then loses both.  Should a kernel not send it, allocations and copies take
 * the bits from all but root, for who has CAP_FSETID can not be found out.
 *
 * The kernel runs programs by the mode that it remembers: it is told to forget
 * it before a write that took something is answered.  It keeps the inode locked
 * meanwhile, so nobody else changes the mode.
 *
 * libfuse 3.14 does not know the feature, and no later one hands on the flag of
 * a write.  But functions of ours may read requests and write answers: one puts
 * that flag among those of open(2), the other adds ours to the answer to INIT.
 */
#include "front.h"

#include <errno.h>
#include <linux/fuse.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define RIGHTS_FLAG (1u << 31) /* open(2) has none there */

/* ---- between libfuse and the kernel ---------------------------------- */

static void rights_see_init(struct front *f, const struct fuse_in_header *h)
{
	const struct fuse_init_in *in = (const void *)(h + 1);

	f->init_unique = h->unique;
	f->rights = in->flags & FUSE_HANDLE_KILLPRIV_V2;
}

static void rights_mark_write(struct fuse_in_header *h)
{
	struct fuse_write_in *in = (void *)(h + 1);

	in->flags &= ~RIGHTS_FLAG;
	if (in->write_flags & FUSE_WRITE_KILL_SUIDGID)
		in->flags |= RIGHTS_FLAG;
}

static ssize_t rights_read(int fd, void *buf, size_t len, void *userdata)
{
	ssize_t n = read(fd, buf, len);
	struct fuse_in_header *h = buf;
	size_t body;

	if (n < (ssize_t)sizeof(*h))
		return n;
	body = (size_t)n - sizeof(*h);
	if (h->opcode == FUSE_INIT &&
	    body >= offsetof(struct fuse_init_in, flags) + sizeof(uint32_t))
		rights_see_init(userdata, h);
	else if (h->opcode == FUSE_WRITE &&
		 body >= sizeof(struct fuse_write_in))
		rights_mark_write(h);
	return n;
}

/* What has no number is no answer. */
static ssize_t rights_writev(int fd, struct iovec *iov, int n, void *userdata)
{
	const struct fuse_out_header *h = iov[0].iov_base;
	const struct front *f = userdata;

	if (h->unique && h->unique == f->init_unique && f->rights && n > 1 &&
	    iov[1].iov_len >=
		offsetof(struct fuse_init_out, flags) + sizeof(uint32_t)) {
		struct fuse_init_out *out = iov[1].iov_base;

		out->flags |= FUSE_HANDLE_KILLPRIV_V2;
	}
	return writev(fd, iov, n);
}

void front_rights_attach(struct front *f)
{
	static const struct fuse_custom_io io = { .read = rights_read,
						  .writev = rights_writev };

	f->rights = false;
	f->init_unique = 0;
	/* when it fails, all is as with a kernel that does not offer it */
	(void)fuse_session_custom_io(f->session, &io,
				     fuse_session_fd(f->session));
}

/* ---- taking them ------------------------------------------------------ */

/* Set-group-ID without group execution gives no rights: its members keep it. */
static bool rights_in_group(fuse_req_t req, uint32_t gid)
{
	struct dynfs_caller who = front_caller(req);

	return !who.uid || who.gid == gid || front_in_group(&who, gid);
}

/* 1: *ret is what is left of the mode; 0: there is nothing to take. */
static int rights_left(fuse_req_t req, fuse_ino_t ino, uint32_t *ret)
{
	struct front *f = front_of(req);
	struct dynfs_attr a;
	int err = f->fs->getattr(f->fs->ctx, ino, &a);

	if (err || S_ISDIR(a.mode))
		return err;
	*ret = a.mode & ~(uint32_t)S_ISUID;
	if ((a.mode & S_ISGID) &&
	    ((a.mode & S_IXGRP) || !rights_in_group(req, a.gid)))
		*ret &= ~(uint32_t)S_ISGID;
	return *ret != a.mode;
}

static int rights_take(fuse_req_t req, fuse_ino_t ino)
{
	struct front *f = front_of(req);
	struct dynfs_attr in = { .ino = ino }, a;
	int err = rights_left(req, ino, &in.mode);

	if (err <= 0)
		return err;
	err = f->fs->setattr(f->fs->ctx, ino, DYNFS_SET_MODE, &in, &a);
	if (err)
		return err;
	err = fuse_lowlevel_notify_inval_inode(f->session, ino, -1, 0);
	return err == -ENOENT ? 0 : err; /* the kernel has nothing of it */
}

int front_rights_setattr(fuse_req_t req, struct dynfs_attr *in, int to_set,
			 uint32_t *mask)
{
	bool empty = !(to_set & ~FUSE_SET_ATTR_CTIME);
	int err;

	if ((*mask & DYNFS_SET_MODE) || (!(to_set & FATTR_KILL_SUIDGID) &&
					 (!empty || !front_of(req)->rights)))
		return 0;
	err = rights_left(req, in->ino, &in->mode);
	if (err > 0)
		*mask |= DYNFS_SET_MODE;
	return err < 0 ? err : 0;
}

int front_rights_write(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	bool asked = (uint32_t)fi->flags & RIGHTS_FLAG;

	fi->flags = (int)((uint32_t)fi->flags & ~RIGHTS_FLAG);
	return asked ? rights_take(req, ino) : 0;
}

int front_rights_range(fuse_req_t req, fuse_ino_t ino)
{
	return front_of(req)->rights && fuse_req_ctx(req)->uid
		   ? rights_take(req, ino)
		   : 0;
}
