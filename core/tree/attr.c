/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attributes: getattr, setattr, readlink, and the time of last access.
 *
 * Access times follow relatime, unless another way was asked for: a read moves
 * atime only when it is not newer than mtime or ctime, or a day old.  It moves
 * in memory and is committed with the inode's next batch; who reads must not
 * wait for a log.  A read that finds the inode busy leaves it to the next one.
 */
#include <tree/private.h>

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define DAY_SEC 86400
#define NSEC    1000000000u

#define SET_ALL                                                                \
	(DYNFS_SET_MODE | DYNFS_SET_UID | DYNFS_SET_GID | DYNFS_SET_SIZE |     \
	 DYNFS_SET_ATIME | DYNFS_SET_MTIME | DYNFS_SET_ATIME_NOW |             \
	 DYNFS_SET_MTIME_NOW | DYNFS_SET_CTIME)

static bool not_after(const struct dynfs_time *a, const struct dynfs_time *b)
{
	return a->sec < b->sec || (a->sec == b->sec && a->nsec <= b->nsec);
}

static bool atime_moves(enum tree_atime how, const struct inode_rec *rec,
			const struct dynfs_time *now)
{
	if (!rec->nlink || (how == TREE_ATIME_FILES && S_ISDIR(rec->mode)))
		return false;
	return how == TREE_ATIME_STRICT ||
	       not_after(&rec->atime, &rec->mtime) ||
	       not_after(&rec->atime, &rec->ctime) ||
	       now->sec - rec->atime.sec >= DAY_SEC;
}

void inode_accessed(struct tree *t, struct inode *in)
{
	enum tree_atime how = (enum tree_atime)atomic_load(&t->atime);
	struct dynfs_time now;
	struct inode_rec *rec = &in->rec;

	if (how == TREE_ATIME_NONE || atomic_load(&t->readonly) ||
	    pthread_mutex_trylock(&in->lock) != 0)
		return;
	now = files_now(t->files);
	if (atime_moves(how, rec, &now)) {
		rec->atime = now;
		in->dirty_attr = true;
	}
	(void)pthread_mutex_unlock(&in->lock);
}

int view_getattr(void *ctx, uint64_t ino, struct dynfs_attr *ret)
{
	const struct tree *t = ctx;
	AUTOINODE struct inode *in = NULL;
	int r = inode_get(t->files, ino, &in);

	if (!r)
		inode_attr(in, ret);
	return r;
}

static int check_set(struct tree *t, uint32_t mask, const struct dynfs_attr *in)
{
	if (mask & ~SET_ALL)
		return -EINVAL;
	if (((mask & DYNFS_SET_ATIME) && in->atime.nsec >= NSEC) ||
	    ((mask & DYNFS_SET_MTIME) && in->mtime.nsec >= NSEC) ||
	    ((mask & DYNFS_SET_CTIME) && in->ctime.nsec >= NSEC))
		return -EINVAL;
	return tree_admit(t);
}

static void set_owner(struct inode_rec *rec, uint32_t mask,
		      const struct dynfs_attr *in)
{
	if (mask & DYNFS_SET_UID)
		rec->uid = in->uid;
	if (mask & DYNFS_SET_GID)
		rec->gid = in->gid;
	if (!(mask & (DYNFS_SET_UID | DYNFS_SET_GID)) ||
	    (mask & DYNFS_SET_MODE) || S_ISDIR(rec->mode))
		return;
	/* without group execution set-gid means locking, not rights */
	rec->mode &= ~(uint32_t)S_ISUID;
	if (rec->mode & S_IXGRP)
		rec->mode &= ~(uint32_t)S_ISGID;
}

static void set_times(struct inode_rec *rec, uint32_t mask,
		      const struct dynfs_attr *in, struct dynfs_time now)
{
	if (mask & DYNFS_SET_ATIME)
		rec->atime = in->atime;
	if (mask & DYNFS_SET_ATIME_NOW)
		rec->atime = now;
	if (mask & DYNFS_SET_MTIME)
		rec->mtime = in->mtime;
	if (mask & DYNFS_SET_MTIME_NOW)
		rec->mtime = now;
	rec->ctime = mask & DYNFS_SET_CTIME ? in->ctime : now;
}

static int set_rest(struct tree *t, struct inode *inode, uint32_t mask,
		    const struct dynfs_attr *in)
{
	AUTOOP struct op op;
	struct inode_rec *rec;
	int r;

	op_begin(&op, t, &inode, 1);
	r = inode_there(inode);
	if (r < 0)
		return r;
	if (mask & DYNFS_SET_MODE)
		r = acl_follow_mode(&op, inode, in->mode);
	if (r < 0)
		return r;
	rec = op_change(&op, inode);
	if (mask & DYNFS_SET_MODE)
		rec->mode = (rec->mode & S_IFMT) | (in->mode & 07777u);
	set_owner(rec, mask, in);
	set_times(rec, mask, in, op.now);
	return op_commit(&op);
}

int inode_cut(struct inode *in, uint64_t size)
{
	uint32_t mode = inode_mode(in);
	int r;

	if (S_ISDIR(mode))
		return -EISDIR;
	if (!S_ISREG(mode))
		return -EINVAL;
	r = file_truncate(in, size);
	if (!r && !size)
		atomic_fetch_or(&in->marks, MARK_SETTLE);
	return r;
}

int view_setattr(void *ctx, uint64_t ino, uint32_t mask,
		 const struct dynfs_attr *in, struct dynfs_attr *ret)
{
	struct tree *t = ctx;
	AUTOINODE struct inode *inode = NULL;
	int r = check_set(t, mask, in);

	if (r < 0)
		return r;
	r = inode_get(t->files, ino, &inode);
	if (!r && (mask & DYNFS_SET_SIZE))
		r = inode_cut(inode, in->size_bytes);
	/* a cut sets mtime and ctime itself */
	if (!r && (mask & ~DYNFS_SET_SIZE))
		r = set_rest(t, inode, mask, in);
	if (!r)
		inode_attr(inode, ret);
	return r;
}

int view_readlink(void *ctx, uint64_t ino, char *buf, size_t len,
		  size_t *ret_len)
{
	struct tree *t = ctx;
	AUTOINODE struct inode *in = NULL;
	int r = inode_get(t->files, ino, &in);

	if (r < 0)
		return r;
	if (!S_ISLNK(inode_mode(in)))
		return -EINVAL;
	/* the target never changes */
	memcpy(buf, in->rec.target,
	       len < in->rec.target_len ? len : in->rec.target_len);
	*ret_len = in->rec.target_len;
	inode_accessed(t, in);
	return 0;
}
