/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests about content.
 *
 * What may wait for a disk is one of slow.c.  A write's bytes lie in the buffer
 * of the thread that read the request, which libfuse reuses as soon as the
 * handler returns.  So a write is done there; copying the bytes would cost more
 * than the rest of the request.  Only when too many wait already are they
 * copied, so that it can stand in line.
 */
#include "front.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <semaphore.h>
#include <string.h>
#include <sys/ioctl.h>

#define CONTENT_COPIED_MAX (32u << 20) /* bytes of writes in line */

void front_pin(struct front *f)
{
	pthread_mutex_lock(&f->lock);
	f->n_pending++;
	pthread_mutex_unlock(&f->lock);
}

void front_unpin(struct front *f)
{
	pthread_mutex_lock(&f->lock);
	if (!--f->n_pending)
		pthread_cond_broadcast(&f->idle);
	pthread_mutex_unlock(&f->lock);
}

/*
 * What the view must know of the open.  With the kernel's write-back cache
 * pages are filled by reading, whatever the file was opened for, and the
 * kernel alone knows where the end is, so that it appends.
 */
static uint32_t content_flags(const struct front *f, int flags)
{
	if (!f->config.writeback)
		return (uint32_t)flags;
	if ((flags & O_ACCMODE) == O_WRONLY)
		flags = (flags & ~O_ACCMODE) | O_RDWR;
	return (uint32_t)(flags & ~O_APPEND);
}

/* The kernel keeps the view's open file for us, as a number. */
static void content_keep(struct fuse_file_info *fi, struct dynfs_file *file)
{
	_Static_assert(sizeof(fi->fh) >= sizeof(file), "a pointer fits");
	fi->fh = 0;
	memcpy(&fi->fh, &file, sizeof(file));
	fi->keep_cache = 1;
	/* close(2) of who only reads has nothing to be told and nothing to do */
	fi->noflush = (fi->flags & O_ACCMODE) == O_RDONLY;
}

static struct dynfs_file *content_file(const struct fuse_file_info *fi)
{
	struct dynfs_file *file = NULL;

	if (fi)
		memcpy(&file, &fi->fh, sizeof(file));
	return file;
}

void front_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct front *f = front_of(req);
	struct dynfs_file *file = NULL;
	int err =
	    f->fs->open(f->fs->ctx, ino, content_flags(f, fi->flags), &file);

	if (err) {
		front_reply_err(req, err);
		return;
	}
	content_keep(fi, file);
	if (fuse_reply_open(req, fi) == -ENOENT)
		f->fs->release(f->fs->ctx, file);
}

void front_create(fuse_req_t req, fuse_ino_t parent, const char *name,
		  mode_t mode, struct fuse_file_info *fi)
{
	struct front *f = front_of(req);
	struct dynfs_caller who = front_caller(req);
	struct dynfs_file *file = NULL;
	struct fuse_entry_param e;
	struct dynfs_attr a;
	int err = front_name(name);

	if (!err)
		err =
		    f->fs->create(f->fs->ctx, parent, name, mode,
				  content_flags(f, fi->flags), &who, &a, &file);
	if (err) {
		front_reply_err(req, err);
		return;
	}
	front_entry(f, &a, &e);
	content_keep(fi, file);
	if (fuse_reply_create(req, &e, fi) == -ENOENT) {
		f->fs->release(f->fs->ctx, file);
		f->fs->forget(f->fs->ctx, a.ino, 1);
	}
}

void front_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct front *f = front_of(req);

	(void)ino;
	front_slow_release(f, content_file(fi));
	front_reply_err(req, 0);
}

/* ---- reading --------------------------------------------------------- */

static void content_read_done(void *ctx, int err, const struct iovec *iov,
			      uint32_t n_iov)
{
	struct front_slow *s = ctx;
	fuse_req_t req;

	if (!err && n_iov >= IOV_MAX) /* one more goes in front */
		err = -EIO;
	if (front_slow_over(s, &req)) {
		if (err)
			front_reply_err(req, err);
		else
			(void)fuse_reply_iov(req, iov, (int)n_iov);
	}
	front_slow_free(s);
}

static void content_read_begin(struct front_slow *s)
{
	const struct dynfs_fs_view *fs = s->front->fs;

	fs->read(fs->ctx, s->ino, s->file, s->off, s->len, content_read_done,
		 s);
}

void front_read(fuse_req_t req, fuse_ino_t ino, size_t len, off_t off,
		struct fuse_file_info *fi)
{
	struct front_slow *s = front_slow_new(req, ino, content_file(fi), 0);

	if (!s) {
		front_reply_err(req, -ENOMEM);
		return;
	}
	s->begin = content_read_begin;
	s->off = (uint64_t)off;
	s->len = len;
	front_slow_run(s);
}

/* ---- writing --------------------------------------------------------- */

static int content_write_reply(fuse_req_t req, int err, size_t len)
{
	return err ? front_answer_err(req, err) : fuse_reply_write(req, len);
}

struct content_write {
	fuse_req_t req;
	sem_t done;
	int err;
};

static int content_write_done(void *ctx, int err)
{
	struct content_write *w = ctx;

	w->err = err;
	(void)sem_post(&w->done); /* cannot overflow */
	return 0;
}

static int content_write_gone(void *ctx)
{
	const struct content_write *w = ctx;

	return fuse_req_interrupted(w->req) &&
	       front_gave_up(fuse_req_ctx(w->req)->pid);
}

static void content_write_wait(fuse_req_t req, fuse_ino_t ino,
			       const struct iovec *iov, off_t off,
			       const struct fuse_file_info *fi)
{
	struct front *f = front_of(req);
	struct content_write w = { .req = req };
	struct dynfs_call call = { .size = sizeof(call),
				   .ctx = &w,
				   .done = content_write_done,
				   .gone = content_write_gone };

	(void)sem_init(&w.done, 0, 0); /* fails for bad arguments only */
	f->fs->write(f->fs->ctx, ino, content_file(fi), (uint64_t)off, iov, 1,
		     content_flags(f, fi->flags), &call);
	while (sem_wait(&w.done))
		; /* a signal of the program */
	(void)sem_destroy(&w.done);
	/* who wrote may have gone */
	(void)content_write_reply(req, w.err, iov->iov_len);
}

static int content_copy_done(void *ctx, int err)
{
	struct front_slow *s = ctx;
	fuse_req_t req;
	int answered = -ENOENT;

	if (front_slow_over(s, &req))
		answered = content_write_reply(req, err, s->iov.iov_len);
	front_slow_free(s);
	return answered;
}

static void content_copy_begin(struct front_slow *s)
{
	const struct dynfs_fs_view *fs = s->front->fs;

	fs->write(fs->ctx, s->ino, s->file, s->off, &s->iov, 1, s->flags,
		  &s->call);
}

/* false: there is no room for another copy */
static bool content_write_copy(fuse_req_t req, fuse_ino_t ino, const char *buf,
			       size_t len, off_t off,
			       const struct fuse_file_info *fi)
{
	struct front *f = front_of(req);
	struct front_slow *s = NULL;

	if (atomic_fetch_add(&f->copied_bytes, len) + len <= CONTENT_COPIED_MAX)
		s = front_slow_new(req, ino, content_file(fi), len);
	if (!s) {
		atomic_fetch_sub(&f->copied_bytes, len);
		return false;
	}
	memcpy(s->bytes, buf, len);
	s->copied = len;
	s->iov = (struct iovec){ s->bytes, len };
	s->off = (uint64_t)off;
	s->flags = content_flags(f, fi->flags);
	s->may_end_alone = false;
	s->begin = content_copy_begin;
	s->call = (struct dynfs_call){ .size = sizeof(s->call),
				       .ctx = s,
				       .done = content_copy_done,
				       .gone = front_slow_gone };
	front_slow_run(s);
	return true;
}

void front_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t len,
		 off_t off, struct fuse_file_info *fi)
{
	struct front *f = front_of(req);
	struct iovec iov = { .iov_len = len };
	int err = front_rights_write(req, ino, fi);
	bool room;

	if (err) {
		front_reply_err(req, err);
		return;
	}
	room = front_slow_room(f);
	if (!room && content_write_copy(req, ino, buf, len, off, fi))
		return;
	memcpy(&iov.iov_base, &buf, sizeof(buf)); /* who writes only reads it */
	content_write_wait(req, ino, &iov, off, fi);
	if (room)
		front_slow_leave(f);
}

/* ---- syncing and closing --------------------------------------------- */

static int content_sync_done(void *ctx, int err)
{
	struct front_slow *s = ctx;
	fuse_req_t req;
	int answered = -ENOENT;

	if (front_slow_over(s, &req))
		answered = front_answer_err(req, err);
	front_slow_free(s);
	return answered;
}

static void content_sync(fuse_req_t req, fuse_ino_t ino,
			 struct dynfs_file *file, int data_only,
			 void (*begin)(struct front_slow *s))
{
	struct front_slow *s = front_slow_new(req, ino, file, 0);

	if (!s) {
		front_reply_err(req, -ENOMEM);
		return;
	}
	s->begin = begin;
	s->data_only = data_only;
	s->call = (struct dynfs_call){ .size = sizeof(s->call),
				       .ctx = s,
				       .done = content_sync_done };
	front_slow_run(s);
}

static void content_fsync_begin(struct front_slow *s)
{
	const struct dynfs_fs_view *fs = s->front->fs;

	fs->fsync(fs->ctx, s->ino, s->file, s->data_only, &s->call);
}

void front_fsync(fuse_req_t req, fuse_ino_t ino, int data_only,
		 struct fuse_file_info *fi)
{
	content_sync(req, ino, content_file(fi), data_only,
		     content_fsync_begin);
}

/* Folders are not opened: what their handle says means nothing. */
void front_fsyncdir(fuse_req_t req, fuse_ino_t ino, int data_only,
		    struct fuse_file_info *fi)
{
	(void)fi;
	content_sync(req, ino, NULL, data_only, content_fsync_begin);
}

static void content_flush_begin(struct front_slow *s)
{
	const struct dynfs_fs_view *fs = s->front->fs;

	fs->flush(fs->ctx, s->file, &s->call);
}

void front_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	content_sync(req, ino, content_file(fi), 0, content_flush_begin);
}

/* ---- the rest -------------------------------------------------------- */

void front_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct front *f = front_of(req);
	struct dynfs_statfs s = { .size = sizeof(s) };
	struct statvfs out;
	int err = f->fs->statfs(f->fs->ctx, &s);

	(void)ino;
	if (err) {
		front_reply_err(req, err);
		return;
	}
	if (!s.block_bytes)
		s.block_bytes = 4096;
	out = (struct statvfs){
		.f_bsize = s.block_bytes,
		.f_frsize = s.block_bytes,
		.f_blocks = s.total_bytes / s.block_bytes,
		.f_bfree = s.free_bytes / s.block_bytes,
		.f_bavail = s.avail_bytes / s.block_bytes,
		.f_files = s.files,
		.f_ffree = s.files_free,
		.f_favail = s.files_free,
		.f_namemax = s.name_max ? s.name_max : DYNFS_NAME_MAX,
	};
	(void)fuse_reply_statfs(req, &out); /* the caller may have gone */
}

/* NOLINTNEXTLINE(readability-function-size): libfuse's parameters */
void front_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int cmd, void *arg,
		 struct fuse_file_info *fi, unsigned int flags,
		 const void *in_buf, size_t in_len, size_t out_len)
{
	(void)ino, (void)cmd, (void)arg, (void)fi, (void)flags;
	(void)in_buf, (void)in_len, (void)out_len;
	front_reply_err(req, -ENOTTY);
}
