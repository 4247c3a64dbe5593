/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ranges of content: what is allocated, and data and holes.
 *
 * A page that was changed through mmap(2), and with the write-back cache any
 * page, is data that the view does not know of yet, and the kernel asks where
 * data is without a word of it: a program that copies what it is told would
 * leave those pages out.  So where a file is open for writing (a mapping
 * counts) the kernel has to write back what lies in a hole before that is
 * believed.  What can be told to it is to forget pages, which writes back
 * dirty ones first; only those of the hole are forgotten, which are empty or
 * dirty, so nothing that costs a read is lost, and data needs no second look.
 * With the write-back cache the kernel alone knows where the file ends, and
 * what is behind the view's end is such a hole.
 *
 * That call ends when the writes that it causes were answered.  So it is made
 * by a thread of its own, which holds nothing and answers no other request: one
 * of slow.c could wait for a write that stands in line behind it.
 */
#include "front.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define SEEK_LOOKS 1000 /* at a file that others write to meanwhile */

struct front_seek {
	struct front_seek *next;
	fuse_req_t req;
	fuse_ino_t ino;
	uint64_t off;
	uint32_t whence;
};

static int seek_view(const struct front *f, const struct front_seek *s,
		     uint64_t off, uint32_t whence, uint64_t *ret)
{
	return f->fs->seek(f->fs->ctx, s->ino, off, whence, ret);
}

/* The kernel may have data there, though the view has nothing behind it. */
static bool seek_may_follow(const struct front *f, const struct front_seek *s,
			    uint64_t off)
{
	uint64_t hole;

	/* the end of the file, which the kernel tells of at once if it can */
	return f->config.writeback || !seek_view(f, s, off, SEEK_HOLE, &hole);
}

/*
 * The hole that the answer (err, at) depends on: [*from, *end), end 0 for
 * all the rest; false: none.
 */
static bool seek_hole(const struct front *f, const struct front_seek *s,
		      int err, uint64_t at, uint64_t *from, uint64_t *end)
{
	*from = s->off;
	*end = 0;
	if (s->whence == SEEK_DATA && !err) {
		*end = at;
		return at > s->off;
	}
	if (!err) {
		*from = at;
		err = seek_view(f, s, at, SEEK_DATA, end);
	}
	return !err || (err == -ENXIO && seek_may_follow(f, s, *from));
}

/* Until what is asked is in no hole that the kernel might have filled. */
static int seek_sure(const struct front *f, const struct front_seek *s,
		     uint64_t *ret)
{
	uint64_t at = 0, from, end, next = 0;
	int err = seek_view(f, s, s->off, s->whence, &at);

	for (int i = 0; i < SEEK_LOOKS; i++) {
		int again;

		if (!seek_hole(f, s, err, at, &from, &end))
			break;
		/* -ENOENT: the kernel has nothing of it */
		(void)fuse_lowlevel_notify_inval_inode(
		    f->session, s->ino, (off_t)from,
		    end ? (off_t)(end - from) : 0);
		again = seek_view(f, s, s->off, s->whence, &next);
		if (again == err && (err || next == at))
			break;
		err = again;
		at = next;
	}
	*ret = at;
	return err;
}

static void seek_reply(fuse_req_t req, int err, uint64_t at)
{
	if (err)
		front_reply_err(req, err);
	else
		(void)fuse_reply_lseek(req, (off_t)at); /* may have gone */
}

static void seek_do(struct front *f, struct front_seek *s)
{
	uint64_t at = 0;
	int err = seek_sure(f, s, &at);

	seek_reply(s->req, err, at);
	f->host->free(f->host, s);
	front_unpin(f);
}

static void *seek_main(void *arg)
{
	struct front *f = arg;

	pthread_mutex_lock(&f->lock);
	while (f->seeks || !f->seeker_stops) {
		struct front_seek *s = f->seeks;

		if (!s) {
			pthread_cond_wait(&f->seek, &f->lock);
			continue;
		}
		f->seeks = s->next;
		if (!f->seeks)
			f->seeks_end = &f->seeks;
		pthread_mutex_unlock(&f->lock);
		seek_do(f, s);
		pthread_mutex_lock(&f->lock);
	}
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

int front_seeker_start(struct front *f)
{
	int err;

	f->seeks_end = &f->seeks;
	f->seeker_stops = false;
	err = pthread_create(&f->seeker, NULL, seek_main, f);
	f->seeker_started = !err;
	return -err;
}

void front_seeker_stop(struct front *f)
{
	if (!f->seeker_started)
		return;
	pthread_mutex_lock(&f->lock);
	f->seeker_stops = true;
	pthread_cond_signal(&f->seek);
	pthread_mutex_unlock(&f->lock);
	(void)pthread_join(f->seeker, NULL); /* it is ours */
	f->seeker_started = false;
}

static void seek_later(struct front *f, struct front_seek *s)
{
	front_pin(f);
	pthread_mutex_lock(&f->lock);
	*f->seeks_end = s;
	f->seeks_end = &s->next;
	pthread_cond_signal(&f->seek);
	pthread_mutex_unlock(&f->lock);
}

/* What the kernel may know better is asked for once more. */
static int seek_doubt(struct front *f, const struct front_seek *now, int err,
		      uint64_t at, struct front_seek **ret)
{
	uint64_t from, end;

	if (!f->fs->writers(f->fs->ctx, now->ino) ||
	    !seek_hole(f, now, err, at, &from, &end))
		return err;
	*ret = f->host->alloc(f->host, sizeof(**ret), 0);
	if (!*ret)
		return -ENOMEM;
	**ret = *now;
	return 0;
}

/* The end of a dense file is behind many rows, of which each may be read. */
static void seek_begin(struct front_slow *slow)
{
	struct front *f = slow->front;
	struct front_seek *later = NULL, now = { .ino = slow->ino,
						 .off = slow->off,
						 .whence = slow->flags };
	uint64_t at = 0;
	int err = seek_view(f, &now, now.off, now.whence, &at);

	err = seek_doubt(f, &now, err, at, &later);
	if (!front_slow_over(slow, &now.req)) {
		f->host->free(f->host, later);
	} else if (later) {
		later->req = now.req;
		seek_later(f, later);
	} else {
		seek_reply(now.req, err, at);
	}
	front_slow_free(slow);
}

void front_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
		 struct fuse_file_info *fi)
{
	struct front_slow *s;

	(void)fi;
	if (off < 0) {
		front_reply_err(req, -ENXIO);
		return;
	}
	s = front_slow_new(req, ino, NULL, 0);
	if (!s) {
		front_reply_err(req, -ENOMEM);
		return;
	}
	s->begin = seek_begin;
	s->flags = (uint32_t)whence;
	s->off = (uint64_t)off;
	front_slow_run(s);
}

/* ---- what changes ranges ------------------------------------------------ */

static void range_reply(struct front_slow *s, int err)
{
	fuse_req_t req;

	if (front_slow_over(s, &req))
		front_reply_err(req, err);
	front_slow_free(s);
}

/* It changes the file, so it is not left to go on when nobody waits. */
static struct front_slow *range_new(fuse_req_t req, fuse_ino_t ino, size_t room,
				    void (*begin)(struct front_slow *s))
{
	struct front_slow *s = front_slow_new(req, ino, NULL, room);

	if (!s) {
		front_reply_err(req, -ENOMEM);
		return NULL;
	}
	s->may_end_alone = false;
	s->begin = begin;
	return s;
}

static void range_fallocate(struct front_slow *s)
{
	const struct dynfs_fs_view *fs = s->front->fs;

	range_reply(s, fs->fallocate(fs->ctx, s->ino, s->flags, s->off, s->len,
				     &s->call));
}

void front_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off,
		     off_t len, struct fuse_file_info *fi)
{
	struct front_slow *s;
	int err = off < 0 || len <= 0 ? -EINVAL : front_rights_range(req, ino);

	(void)fi;
	if (err) {
		front_reply_err(req, err);
		return;
	}
	s = range_new(req, ino, 0, range_fallocate);
	if (!s)
		return;
	s->flags = (uint32_t)mode;
	s->off = (uint64_t)off;
	s->len = (size_t)len;
	s->call = (struct dynfs_call){ .size = sizeof(s->call),
				       .ctx = s,
				       .gone = front_slow_gone };
	front_slow_run(s);
}

/* Where a copy goes; behind the request. */
struct range_to {
	fuse_ino_t ino;
	uint64_t off;
};

static void range_copy(struct front_slow *s)
{
	const struct dynfs_fs_view *fs = s->front->fs;
	struct range_to to;
	uint64_t done = 0;
	fuse_req_t req;
	int err;

	memcpy(&to, s->bytes, sizeof(to));
	err = fs->copy_range(fs->ctx, s->ino, s->off, to.ino, to.off, s->len,
			     &done);
	if (err) {
		range_reply(s, err);
		return;
	}
	if (front_slow_over(s, &req))
		(void)fuse_reply_write(req, (size_t)done); /* may have gone */
	front_slow_free(s);
}

/* The answer has room for 32 bits; the kernel asks for less. */
/* NOLINTNEXTLINE(readability-function-size): libfuse's parameters */
void front_copy_file_range(fuse_req_t req, fuse_ino_t from, off_t from_off,
			   struct fuse_file_info *fi, fuse_ino_t to,
			   off_t to_off, struct fuse_file_info *to_fi,
			   size_t len, int flags)
{
	struct range_to where = { to, (uint64_t)to_off };
	struct front_slow *s;
	int err = from_off < 0 || to_off < 0 || flags
		      ? -EINVAL
		      : front_rights_range(req, to);

	(void)fi, (void)to_fi;
	if (err) {
		front_reply_err(req, err);
		return;
	}
	s = range_new(req, from, sizeof(where), range_copy);
	if (!s)
		return;
	s->off = (uint64_t)from_off;
	s->len = len < UINT32_MAX ? len : UINT32_MAX;
	memcpy(s->bytes, &where, sizeof(where));
	front_slow_run(s);
}
