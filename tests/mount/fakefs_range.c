/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See fakefs.h: ranges of content.  A hole is a block of zeros, so that what
 * counts as data is what was written and nothing that the kernel still has.
 */
#include "fakefs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define BLOCK 4096u

static bool is_data(const struct fake_node *n, uint64_t off)
{
	uint64_t at = off / BLOCK * BLOCK;

	for (; at < n->attr.size_bytes && at < off / BLOCK * BLOCK + BLOCK;
	     at++)
		if (n->data[at])
			return true;
	return false;
}

static int fake_seek(void *ctx, uint64_t ino, uint64_t off, uint32_t whence,
		     uint64_t *ret)
{
	struct fakefs *f = ctx;
	const struct fake_node *n;
	uint64_t end;
	int err = -ENXIO;

	(void)fakefs_hang(f, ino, NULL);
	pthread_mutex_lock(&f->lock);
	n = fakefs_node(f, ino);
	end = n ? n->attr.size_bytes : 0;
	if (off < end) {
		while (off < end && is_data(n, off) != (whence == SEEK_DATA))
			off += BLOCK - off % BLOCK;
		*ret = off < end ? off : end;
		err = off < end || whence == SEEK_HOLE ? 0 : -ENXIO;
	}
	pthread_mutex_unlock(&f->lock);
	return err;
}

/* Whatever it is open for. */
static uint32_t fake_writers(void *ctx, uint64_t ino)
{
	struct fakefs *f = ctx;
	const struct fake_node *n;
	uint32_t opens;

	pthread_mutex_lock(&f->lock);
	n = fakefs_node(f, ino);
	opens = n ? (uint32_t)n->opens : 0;
	pthread_mutex_unlock(&f->lock);
	return opens;
}

/* All modes make zeros, but for preallocation. */
static int fake_fallocate(void *ctx, uint64_t ino, uint32_t mode, uint64_t off,
			  uint64_t len, const struct dynfs_call *call)
{
	struct fakefs *f = ctx;
	struct fake_node *n;
	uint64_t size, end = off + len;
	int err = fakefs_hang(f, ino, call);

	if (err)
		return err;

	pthread_mutex_lock(&f->lock);
	atomic_store(&f->last_mode, mode);
	n = fakefs_node(f, ino);
	size = n ? n->attr.size_bytes : 0;
	if (!n)
		err = -ENOENT;
	else if (!(mode & FALLOC_FL_KEEP_SIZE) && end > size)
		err = fakefs_resize(n, end);
	if (!err && mode & ~(unsigned int)FALLOC_FL_KEEP_SIZE && off < size)
		memset(n->data + off, 0, (end < size ? end : size) - off);
	pthread_mutex_unlock(&f->lock);
	return err;
}

static int fake_copy_range(void *ctx, uint64_t from, uint64_t from_off,
			   uint64_t to, uint64_t to_off, uint64_t len,
			   uint64_t *ret_len)
{
	struct fakefs *f = ctx;
	struct fake_node *in, *out;
	int err = 0;

	pthread_mutex_lock(&f->lock);
	atomic_fetch_add(&f->n_copies, 1);
	in = fakefs_node(f, from);
	out = fakefs_node(f, to);
	if (!in || !out)
		err = -ENOENT;
	else if (from_off >= in->attr.size_bytes)
		len = 0;
	else if (len > in->attr.size_bytes - from_off)
		len = in->attr.size_bytes - from_off;
	if (!err && to_off + len > out->attr.size_bytes)
		err = fakefs_resize(out, to_off + len);
	if (!err && len) {
		memcpy(out->data + to_off, in->data + from_off, len);
		fakefs_touch(f, out);
	}
	*ret_len = len;
	pthread_mutex_unlock(&f->lock);
	return err;
}

void fakefs_fill_ranges(struct dynfs_fs_view *v)
{
	v->seek = fake_seek;
	v->writers = fake_writers;
	v->fallocate = fake_fallocate;
	v->copy_range = fake_copy_range;
}
