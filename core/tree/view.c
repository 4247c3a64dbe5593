/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The view's table, and content.
 *
 * Reads, writes and syncs are done in the caller's thread and answered before
 * the call returns; a frontend brings as many threads as it wants overlap.
 * A read's bytes rest in one of a few large buffers that are used over and
 * over: the last one given back is the first one taken, so small reads stay
 * in the processor's cache.  Who finds none makes one for itself: it must not
 * wait for a read of a disk that hangs.  So there are as many as a frontend has
 * threads that read.
 */
#include <tree/private.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#define BUFFER_ALIGN 4096u

/* ---- buffers --------------------------------------------------------- */

static void *buffer_take(struct buffers *b)
{
	AUTOLOCK(&b->lock);

	return b->n_idle ? b->idle[--b->n_idle]
			 : aligned_alloc(BUFFER_ALIGN, READ_BUFFER_BYTES);
}

static void buffer_give(struct buffers *b, void *p)
{
	(void)pthread_mutex_lock(&b->lock);
	if (b->n_idle < READ_BUFFERS) {
		b->idle[b->n_idle++] = p;
		p = NULL;
	}
	(void)pthread_mutex_unlock(&b->lock);
	free(p);
}

void tree_trim(struct tree *t)
{
	struct buffers *b = &t->buffers;

	AUTOLOCK(&b->lock);
	while (b->n_idle)
		free(b->idle[--b->n_idle]);
}

/* ---- content --------------------------------------------------------- */

/*
 * A regular file.  What was opened is that, or a directory, and these the
 * functions of file/ know apart.
 */
static int content_get(const struct tree *t, uint64_t ino,
		       struct dynfs_file *file, uint32_t unfit,
		       struct target *ret)
{
	uint32_t mode;
	int r = target_get(t, ino, file, unfit, ret);

	if (r < 0 || file)
		return r;
	mode = inode_mode(ret->in);
	if (S_ISREG(mode))
		return 0;
	return S_ISDIR(mode) ? -EISDIR : -EINVAL;
}

/* to: room for len bytes. */
static int read_into(struct tree *t, uint64_t ino, struct dynfs_file *file,
		     uint64_t off, struct iovec *to)
{
	AUTOTARGET struct target g = { NULL, NULL };
	int r = content_get(t, ino, file, O_WRONLY, &g);

	if (!r)
		r = file_read(g.in, off, to->iov_len, to->iov_base,
			      &to->iov_len);
	if (!r && !(file && file->flags & O_NOATIME))
		inode_accessed(t, g.in);
	return r;
}

static void view_read(void *ctx, uint64_t ino, struct dynfs_file *file,
		      uint64_t off, size_t len, dynfs_read_done done,
		      void *done_ctx)
{
	struct tree *t = ctx;
	bool large = len > READ_BUFFER_BYTES;
	struct iovec to = { .iov_len = len };
	int r;

	if (len > READ_BYTES_MAX) {
		done(done_ctx, -EINVAL, NULL, 0);
		return;
	}
	if (large)
		to.iov_base = aligned_alloc(BUFFER_ALIGN,
					    (len + BUFFER_ALIGN - 1) /
						BUFFER_ALIGN * BUFFER_ALIGN);
	else
		to.iov_base = buffer_take(&t->buffers);
	if (!to.iov_base) {
		done(done_ctx, -ENOMEM, NULL, 0);
		return;
	}
	r = read_into(t, ino, file, off, &to);
	done(done_ctx, r, &to, r < 0 ? 0 : 1);
	if (large)
		free(to.iov_base);
	else
		buffer_give(&t->buffers, to.iov_base);
}

static void view_write(void *ctx, uint64_t ino, struct dynfs_file *file,
		       uint64_t off, const struct iovec *iov, uint32_t n_iov,
		       uint32_t flags, const struct dynfs_call *call)
{
	const struct tree *t = ctx;
	AUTOTARGET struct target g = { NULL, NULL };
	int r = tree_writable(t);

	if (!r)
		r = content_get(t, ino, file, O_RDONLY, &g);
	if (!r)
		r = file_write(g.in, off, iov, n_iov, flags & O_APPEND, call);
	(void)call->done(call->ctx, r); /* no loss is told */
}

void view_init(struct tree *t)
{
	(void)pthread_mutex_init(&t->buffers.lock, NULL);
	(void)pthread_mutex_init(&t->opens.lock, NULL);
	list_init(&t->opens.list);
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
		.seek = view_seek,
		.writers = view_writers,
		.fallocate = view_fallocate,
		.copy_range = view_copy_range,
	};
}

void view_done(struct tree *t)
{
	tree_trim(t);
	(void)pthread_mutex_destroy(&t->opens.lock);
	(void)pthread_mutex_destroy(&t->buffers.lock);
}
