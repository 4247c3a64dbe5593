/* SPDX-License-Identifier: Apache-2.0 */
/* The view's functions on ranges of a regular file's content. */
#include <tree/private.h>

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static int range_get(const struct tree *t, uint64_t ino, struct inode **ret)
{
	struct inode *in;
	uint32_t mode;
	int r = inode_get(t->files, ino, &in);

	if (r < 0)
		return r;
	mode = inode_mode(in);
	if (S_ISREG(mode)) {
		*ret = in;
		return 0;
	}
	inode_put(in);
	return S_ISDIR(mode) ? -EISDIR : -EINVAL;
}

int view_seek(void *ctx, uint64_t ino, uint64_t off, uint32_t whence,
	      uint64_t *ret)
{
	const struct tree *t = ctx;
	AUTOINODE struct inode *in = NULL;
	int r;

	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return -EINVAL;
	r = range_get(t, ino, &in);
	return r < 0 ? r : file_seek(in, off, whence == SEEK_DATA, ret);
}

uint32_t view_writers(void *ctx, uint64_t ino)
{
	const struct tree *t = ctx;
	AUTOINODE struct inode *in = NULL;

	/* one that can not be had is no longer written to */
	if (inode_get(t->files, ino, &in) < 0)
		return 0;
	return atomic_load(&in->writers);
}

int view_fallocate(void *ctx, uint64_t ino, uint32_t mode, uint64_t off,
		   uint64_t len, const struct dynfs_call *call)
{
	const struct tree *t = ctx;
	AUTOINODE struct inode *in = NULL;
	int r = tree_writable(t);

	if (!r)
		r = range_get(t, ino, &in);
	return r < 0 ? r : file_allocate(in, (int)mode, off, len, call);
}

int view_copy_range(void *ctx, uint64_t from, uint64_t from_off, uint64_t to,
		    uint64_t to_off, uint64_t len, uint64_t *ret_len)
{
	struct tree *t = ctx;
	AUTOINODE struct inode *in = NULL;
	AUTOINODE struct inode *out = NULL;
	int r = tree_writable(t);

	if (!r)
		r = range_get(t, from, &in);
	if (!r)
		r = range_get(t, to, &out);
	if (!r)
		r = file_copy_range(in, from_off, out, to_off, len, ret_len);
	if (!r)
		inode_accessed(t, in);
	return r;
}
