/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The view's table, and open files.
 *
 * Reads, writes and syncs are done in the caller's thread and answered before
 * the call returns; a frontend brings as many threads as it wants overlap.
 * A read's bytes rest in one of a few large buffers that are used over and
 * over: the last one given back is the first one taken, so small reads stay
 * in the processor's cache.  Who finds none waits for a read to end, which
 * never waits for another.
 *
 * fsync of a directory waits for the group that is open now: every operation
 * that was answered is in it or before it.
 */
#include <tree/private.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#define BUFFER_ALIGN 4096u

static bool for_writing(uint32_t flags)
{
	return (flags & O_ACCMODE) != O_RDONLY;
}

void inode_opened(struct inode *in, uint32_t flags)
{
	atomic_fetch_add(&in->opens, 1);
	if (for_writing(flags))
		atomic_fetch_add(&in->writers, 1);
}

static int open_check(const struct tree *t, uint32_t mode, uint32_t flags)
{
	if (S_ISLNK(mode))
		return -ELOOP;
	if (S_ISDIR(mode))
		return for_writing(flags) ? -EISDIR : 0;
	if (!S_ISREG(mode))
		return -ENXIO; /* the kernel opens those itself */
	return for_writing(flags) ? tree_writable(t) : 0;
}

static int view_open(void *ctx, uint64_t ino, uint32_t flags)
{
	const struct tree *t = ctx;
	AUTOINODE struct inode *in = NULL;
	int r = inode_get(t->files, ino, &in);

	if (!r)
		r = open_check(t, inode_mode(in), flags);
	if (!r && (flags & O_TRUNC) && for_writing(flags))
		r = inode_cut(in, 0);
	if (r < 0)
		return r;
	inode_opened(TAKE(in), flags);
	return 0;
}

/* One less, but not below zero; what is left. */
static unsigned count_down(atomic_uint *n, bool *ret_was_any)
{
	unsigned have = atomic_load(n);

	do {
		*ret_was_any = have > 0;
		if (!have)
			return 0;
	} while (!atomic_compare_exchange_weak(n, &have, have - 1));
	return have - 1;
}

static void view_release(void *ctx, uint64_t ino, uint32_t flags)
{
	const struct tree *t = ctx;
	AUTOINODE struct inode *in = NULL;
	bool any;

	if (inode_get(t->files, ino, &in) < 0)
		return;
	if (for_writing(flags) && !count_down(&in->writers, &any) && any) {
		atomic_fetch_and(&in->marks, ~MARK_SETTLE);
		file_end_writing(in);
	}
	(void)count_down(&in->opens, &any);
	if (any)
		inode_put(in); /* the get of open() */
}

static int view_flush(void *ctx, uint64_t ino)
{
	const struct tree *t = ctx;
	AUTOINODE struct inode *in = NULL;
	int r = inode_get(t->files, ino, &in);
	int error;

	if (r < 0)
		return r;
	if (!S_ISREG(inode_mode(in)))
		return 0;
	if (atomic_load(&in->marks) & MARK_SETTLE)
		r = file_settle(in);
	error = file_take_error(in);
	return error ? error : r;
}

/* ---- buffers --------------------------------------------------------- */

static void *buffer_take(struct buffers *b)
{
	void *p = NULL;

	AUTOLOCK(&b->lock);
	while (!b->n_idle && b->n_made == READ_BUFFERS)
		(void)pthread_cond_wait(&b->given, &b->lock);
	if (b->n_idle)
		return b->idle[--b->n_idle];
	p = aligned_alloc(BUFFER_ALIGN, READ_BUFFER_BYTES);
	if (p)
		b->n_made++;
	return p;
}

static void buffer_give(struct buffers *b, void *p)
{
	AUTOLOCK(&b->lock);
	b->idle[b->n_idle++] = p;
	(void)pthread_cond_signal(&b->given);
}

/* ---- content --------------------------------------------------------- */

static int content_get(const struct tree *t, uint64_t ino, struct inode **ret)
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

/* to: room for len bytes. */
static void read_into(struct tree *t, uint64_t ino, uint64_t off, void *to,
		      size_t len, dynfs_read_done done, void *done_ctx)
{
	AUTOINODE struct inode *in = NULL;
	struct iovec iov = { .iov_base = to, .iov_len = 0 };
	int r = content_get(t, ino, &in);

	if (!r)
		r = file_read(in, off, len, to, &iov.iov_len);
	if (!r)
		inode_accessed(t, in);
	done(done_ctx, r, &iov, r < 0 ? 0 : 1);
}

static void view_read(void *ctx, uint64_t ino, uint64_t off, size_t len,
		      dynfs_read_done done, void *done_ctx)
{
	struct tree *t = ctx;
	bool large = len > READ_BUFFER_BYTES;
	void *buffer;

	if (len > READ_BYTES_MAX) {
		done(done_ctx, -EINVAL, NULL, 0);
		return;
	}
	if (large)
		buffer = aligned_alloc(BUFFER_ALIGN, (len + BUFFER_ALIGN - 1) /
							 BUFFER_ALIGN *
							 BUFFER_ALIGN);
	else
		buffer = buffer_take(&t->buffers);
	if (!buffer) {
		done(done_ctx, -ENOMEM, NULL, 0);
		return;
	}
	read_into(t, ino, off, buffer, len, done, done_ctx);
	if (large)
		free(buffer);
	else
		buffer_give(&t->buffers, buffer);
}

static void view_write(void *ctx, uint64_t ino, uint64_t off,
		       const struct iovec *iov, uint32_t n_iov, uint32_t flags,
		       dynfs_done done, void *done_ctx)
{
	const struct tree *t = ctx;
	AUTOINODE struct inode *in = NULL;
	int r = tree_writable(t);

	if (!r)
		r = content_get(t, ino, &in);
	if (!r)
		r = file_write(in, off, iov, n_iov, flags & O_APPEND);
	done(done_ctx, r);
}

static void view_fsync(void *ctx, uint64_t ino, int data_only, dynfs_done done,
		       void *done_ctx)
{
	const struct tree *t = ctx;
	AUTOINODE struct inode *in = NULL;
	int r = t->readonly ? 0 : inode_get(t->files, ino, &in);

	if (!r && in)
		r = S_ISREG(inode_mode(in))
			? file_sync(in, data_only != 0)
			: meta_sync(t->meta, meta_open_number(t->meta));
	done(done_ctx, r);
}

void view_init(struct tree *t)
{
	(void)pthread_mutex_init(&t->buffers.lock, NULL);
	(void)pthread_cond_init(&t->buffers.given, NULL);
	t->view = (struct dynfs_fs_view){
		.size = sizeof(t->view),
		.ctx = t,
		.lookup = view_lookup,
		.forget = view_forget,
		.getattr = view_getattr,
		.setattr = view_setattr,
		.readlink = view_readlink,
		.mknod = view_mknod,
		.mkdir = view_mkdir,
		.symlink = view_symlink,
		.link = view_link,
		.unlink = view_unlink,
		.rmdir = view_rmdir,
		.rename = view_rename,
		.open = view_open,
		.create = view_create,
		.release = view_release,
		.flush = view_flush,
		.read = view_read,
		.write = view_write,
		.fsync = view_fsync,
		.readdir = view_readdir,
		.statfs = view_statfs,
		.setxattr = view_setxattr,
		.getxattr = view_getxattr,
		.listxattr = view_listxattr,
		.removexattr = view_removexattr,
	};
}

void view_done(struct tree *t)
{
	struct buffers *b = &t->buffers;

	while (b->n_idle)
		free(b->idle[--b->n_idle]);
	(void)pthread_cond_destroy(&b->given);
	(void)pthread_mutex_destroy(&b->lock);
}
