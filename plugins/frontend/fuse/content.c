/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests about content, and lists of names.
 *
 * Reads and syncs are handed to the view and answered on whichever thread it
 * calls back; the request itself is the context, so they cost no memory.  A
 * write's bytes lie in the buffer of the thread that read the request, which
 * libfuse reuses as soon as the handler returns.  So a write waits for its
 * answer; the view takes it at once unless its buffers are full, and then
 * waiting is what slows the writer down.  Copying the bytes would cost more
 * than the rest of the request.  Only when half of the threads are at a write
 * already are they copied, so that writers never keep readers out.
 */
#include "front.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fuse.h>
#include <semaphore.h>
#include <string.h>
#include <sys/ioctl.h>

#define CONTENT_LIST_MAX   (1u << 20) /* bytes of names in one reply */
#define CONTENT_COPIES_MAX 16u        /* writes of up to 1 MiB */

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

void front_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct front *f = front_of(req);
	uint32_t flags = content_flags(f, fi->flags);
	int err = f->fs->open(f->fs->ctx, ino, flags);

	if (err) {
		front_reply_err(req, err);
		return;
	}
	fi->keep_cache = 1;
	if (fuse_reply_open(req, fi) == -ENOENT)
		f->fs->release(f->fs->ctx, ino, flags);
}

void front_create(fuse_req_t req, fuse_ino_t parent, const char *name,
		  mode_t mode, struct fuse_file_info *fi)
{
	struct front *f = front_of(req);
	uint32_t flags = content_flags(f, fi->flags);
	struct dynfs_caller who = front_caller(req);
	struct fuse_entry_param e;
	struct dynfs_attr a;
	int err = front_name(name);

	if (!err)
		err = f->fs->create(f->fs->ctx, parent, name, mode, flags, &who,
				    &a);
	if (err) {
		front_reply_err(req, err);
		return;
	}
	front_entry(f, &a, &e);
	fi->keep_cache = 1;
	if (fuse_reply_create(req, &e, fi) == -ENOENT) {
		f->fs->release(f->fs->ctx, a.ino, flags);
		f->fs->forget(f->fs->ctx, a.ino, 1);
	}
}

void front_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct front *f = front_of(req);

	f->fs->release(f->fs->ctx, ino, content_flags(f, fi->flags));
	front_reply_err(req, 0);
}

void front_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct front *f = front_of(req);

	(void)fi; /* an inode's content is one, however often it is open */
	front_reply_err(req, f->fs->flush(f->fs->ctx, ino));
}

static void content_read_done(void *ctx, int err, const struct iovec *iov,
			      uint32_t n_iov)
{
	fuse_req_t req = ctx;
	struct front *f = front_of(req);

	if (!err && n_iov >= IOV_MAX) /* one more goes in front */
		err = -EIO;
	if (err)
		front_reply_err(req, err);
	else
		(void)fuse_reply_iov(req, iov, (int)n_iov);
	front_unpin(f);
}

void front_read(fuse_req_t req, fuse_ino_t ino, size_t len, off_t off,
		struct fuse_file_info *fi)
{
	struct front *f = front_of(req);

	(void)fi;
	front_pin(f);
	f->fs->read(f->fs->ctx, ino, (uint64_t)off, len, content_read_done,
		    req);
}

struct content_write {
	sem_t done;
	int err;
};

static void content_write_done(void *ctx, int err)
{
	struct content_write *w = ctx;

	w->err = err;
	(void)sem_post(&w->done); /* cannot overflow */
}

static void content_write_reply(fuse_req_t req, int err, size_t len)
{
	if (err)
		front_reply_err(req, err);
	else
		(void)fuse_reply_write(req, len); /* who wrote may have gone */
}

static void content_write_wait(fuse_req_t req, fuse_ino_t ino,
			       const struct iovec *iov, off_t off,
			       uint32_t flags)
{
	struct front *f = front_of(req);
	struct content_write w;

	(void)sem_init(&w.done, 0, 0); /* fails for bad arguments only */
	f->fs->write(f->fs->ctx, ino, (uint64_t)off, iov, 1, flags,
		     content_write_done, &w);
	while (sem_wait(&w.done))
		; /* a signal of the program */
	(void)sem_destroy(&w.done);
	content_write_reply(req, w.err, iov->iov_len);
}

struct content_copy {
	fuse_req_t req;
	struct iovec iov;
	uint8_t bytes[];
};

static void content_copy_done(void *ctx, int err)
{
	struct content_copy *c = ctx;
	struct front *f = front_of(c->req);

	content_write_reply(c->req, err, c->iov.iov_len);
	f->host->free(f->host, c);
	atomic_fetch_sub(&f->n_copies, 1);
	front_unpin(f);
}

/* false: there is no room for another copy */
static bool content_write_copy(fuse_req_t req, fuse_ino_t ino, const char *buf,
			       size_t len, off_t off, uint32_t flags)
{
	struct front *f = front_of(req);
	struct content_copy *c = NULL;

	if (atomic_fetch_add(&f->n_copies, 1) < CONTENT_COPIES_MAX)
		c = f->host->alloc(f->host, sizeof(*c) + len, 0);
	if (!c) {
		atomic_fetch_sub(&f->n_copies, 1);
		return false;
	}
	memcpy(c->bytes, buf, len);
	c->req = req;
	c->iov = (struct iovec){ c->bytes, len };
	front_pin(f);
	f->fs->write(f->fs->ctx, ino, (uint64_t)off, &c->iov, 1, flags,
		     content_copy_done, c);
	return true;
}

void front_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t len,
		 off_t off, struct fuse_file_info *fi)
{
	struct front *f = front_of(req);
	uint32_t flags = content_flags(f, fi->flags);
	bool crowded = atomic_fetch_add(&f->n_writing, 1) >= f->threads / 2;
	struct iovec iov = { .iov_len = len };

	memcpy(&iov.iov_base, &buf, sizeof(buf)); /* who writes only reads it */
	if (!crowded || !content_write_copy(req, ino, buf, len, off, flags))
		content_write_wait(req, ino, &iov, off, flags);
	atomic_fetch_sub(&f->n_writing, 1);
}

static void content_sync_done(void *ctx, int err)
{
	fuse_req_t req = ctx;
	struct front *f = front_of(req);

	front_reply_err(req, err);
	front_unpin(f);
}

void front_fsync(fuse_req_t req, fuse_ino_t ino, int data_only,
		 struct fuse_file_info *fi)
{
	struct front *f = front_of(req);

	(void)fi;
	front_pin(f);
	f->fs->fsync(f->fs->ctx, ino, data_only, content_sync_done, req);
}

/*
 * Folders need no opening: the view goes by cookie.  Told so once, the kernel
 * neither opens nor closes them, and keeps the names that it has read until
 * it changes the folder itself.
 */
void front_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	if (front_of(req)->no_opendir) {
		front_reply_err(req, -ENOSYS);
		return;
	}
	fi->cache_readdir = 1;
	fi->keep_cache = 1;
	(void)fuse_reply_open(req, fi); /* nothing to take back */
}

struct content_list {
	fuse_req_t req;
	const struct front *front;
	char *buf;
	size_t len, used;
	int plus, err;
};

static size_t content_add(struct content_list *l, const char *name,
			  const struct dynfs_dirent *entry)
{
	struct fuse_entry_param e;

	if (l->plus && entry->has_attr) {
		front_entry(l->front, &entry->attr, &e);
	} else {
		/* no inode number in e: the kernel takes no reference */
		e = (struct fuse_entry_param){
			.attr = { .st_ino = entry->ino, .st_mode = entry->type }
		};
	}
	if (l->plus)
		return fuse_add_direntry_plus(l->req, l->buf + l->used,
					      l->len - l->used, name, &e,
					      (off_t)entry->cookie);
	return fuse_add_direntry(l->req, l->buf + l->used, l->len - l->used,
				 name, &e.attr, (off_t)entry->cookie);
}

static int content_each(void *ctx, const struct dynfs_dirent *entry)
{
	struct content_list *l = ctx;
	char name[DYNFS_NAME_MAX + 1];
	size_t need;

	if (!entry->name_len || entry->name_len > DYNFS_NAME_MAX) {
		l->err = -EUCLEAN;
		return 1;
	}
	memcpy(name, entry->name, entry->name_len);
	name[entry->name_len] = '\0';
	need = content_add(l, name, entry);
	if (need > l->len - l->used)
		return 1;
	l->used += need;
	return 0;
}

/* The caller went away: references that nobody received go back. */
static void content_forget(const struct content_list *l)
{
	const struct front *f = l->front;
	size_t at = 0;

	while (l->plus && at + FUSE_NAME_OFFSET_DIRENTPLUS <= l->used) {
		struct fuse_direntplus d;

		memcpy(&d, l->buf + at, FUSE_NAME_OFFSET_DIRENTPLUS);
		if (d.entry_out.nodeid)
			f->fs->forget(f->fs->ctx, d.entry_out.nodeid, 1);
		at += FUSE_DIRENTPLUS_SIZE(&d);
	}
}

static void content_list(fuse_req_t req, fuse_ino_t ino, size_t len, off_t off,
			 int plus)
{
	struct front *f = front_of(req);
	struct content_list l = { .req = req, .front = f, .plus = plus };
	int err;

	l.len = len < CONTENT_LIST_MAX ? len : CONTENT_LIST_MAX;
	l.buf = f->host->alloc(f->host, l.len, 0);
	if (!l.buf) {
		front_reply_err(req, -ENOMEM);
		return;
	}
	err = f->fs->readdir(f->fs->ctx, ino, (uint64_t)off, plus, content_each,
			     &l);
	if (err >= 0)
		err = l.err;
	/* what came before the error is answered; the next call meets it */
	if (err < 0 && !l.used)
		front_reply_err(req, err);
	else if (fuse_reply_buf(req, l.buf, l.used) == -ENOENT)
		content_forget(&l);
	f->host->free(f->host, l.buf);
}

void front_readdir(fuse_req_t req, fuse_ino_t ino, size_t len, off_t off,
		   struct fuse_file_info *fi)
{
	(void)fi;
	content_list(req, ino, len, off, 0);
}

void front_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t len, off_t off,
		       struct fuse_file_info *fi)
{
	(void)fi;
	content_list(req, ino, len, off, 1);
}

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
