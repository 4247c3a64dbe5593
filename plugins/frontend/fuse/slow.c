/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that may take long: reads, writes, syncs and closes, which may wait
 * for a disk that is slow or hangs.
 *
 * The view answers them in the thread that asks, so each takes a thread of the
 * loop, which starts more when none is free.  At most SLOW_MAX are inside the
 * view, so that the loop always has threads for the rest: for names and
 * attributes, and for being told that somebody gave up.  The kernel itself has
 * no more than that many reads ahead and direct reads under way.  Beyond it they
 * stand in a line, which costs no thread, and are begun by the threads that are
 * through with others.
 *
 * Who gave up (a signal) is answered EINTR at once, if the request was not
 * begun, or if its going on does no harm: a read or a sync then ends for
 * nobody, and keeps its thread so long.  A write that has begun could land on
 * what is written next; it is only asked to stop, and does while it waits for
 * room.
 *
 * libfuse frees a request with its answer, and calls front_slow_gone() with the
 * request locked, from the thread that reads the interrupt, or from inside
 * fuse_req_interrupt_func() when it came before: there an answer would free
 * what that function is about to unlock.  So what state a request is in is ours
 * to know, and under the lock.
 */
#include "front.h"

#include <errno.h>

/* Gave up before it had begun, or answered for; else it is to be answered. */
static bool slow_claim(struct front_slow *s)
{
	struct front *f = s->front;
	bool ours;

	pthread_mutex_lock(&f->lock);
	ours = s->state != FRONT_GONE;
	s->state = FRONT_OVER;
	pthread_mutex_unlock(&f->lock);
	/* after this nobody else is inside front_slow_gone() with it */
	if (ours)
		fuse_req_interrupt_func(s->req, NULL, NULL);
	return ours;
}

static void slow_free(struct front_slow *s)
{
	struct front *f = s->front;

	if (s->copied)
		atomic_fetch_sub(&f->copied_bytes, s->copied);
	f->host->free(f->host, s);
	front_unpin(f);
}

static void front_slow_gone(fuse_req_t req, void *data)
{
	struct front_slow *s = data;
	struct front *f = s->front;
	bool waits, answer;

	pthread_mutex_lock(&f->lock);
	waits = s->state == FRONT_WAITS;
	answer = waits || (s->state == FRONT_RUNS && s->may_end_alone);
	if (waits)
		TAILQ_REMOVE(&f->line, s, link);
	if (answer || s->state == FRONT_NEW)
		s->state = FRONT_GONE;
	pthread_mutex_unlock(&f->lock);
	if (answer)
		front_reply_err(req, -EINTR);
	if (waits)
		slow_free(s);
}

struct front_slow *front_slow_new(fuse_req_t req, fuse_ino_t ino,
				  struct dynfs_file *file, size_t room)
{
	struct front *f = front_of(req);
	struct front_slow *s = f->host->alloc(f->host, sizeof(*s) + room, 0);

	if (!s)
		return NULL;
	*s = (struct front_slow){ .front = f,
				  .req = req,
				  .ino = ino,
				  .file = file,
				  .may_end_alone = true };
	front_pin(f);
	return s;
}

bool front_slow_over(struct front_slow *s, fuse_req_t *ret)
{
	bool ours = slow_claim(s);

	*ret = s->req;
	return ours;
}

void front_slow_free(struct front_slow *s)
{
	slow_free(s);
}

/* True: the caller is to begin it; else it stands in line, or is gone. */
static bool slow_enter(struct front_slow *s)
{
	struct front *f = s->front;
	bool begins = false, gone;

	fuse_req_interrupt_func(s->req, front_slow_gone, s);
	pthread_mutex_lock(&f->lock);
	gone = s->state == FRONT_GONE;
	if (!gone) {
		begins = f->n_slow < SLOW_MAX;
		f->n_slow += begins;
		s->state = begins ? FRONT_RUNS : FRONT_WAITS;
		if (!begins)
			TAILQ_INSERT_TAIL(&f->line, s, link);
	}
	pthread_mutex_unlock(&f->lock);
	/* a line that stands may be interrupted and freed from here on */
	if (gone) {
		fuse_req_interrupt_func(s->req, NULL, NULL);
		front_reply_err(s->req, -EINTR);
		slow_free(s);
	}
	return begins;
}

bool front_slow_room(struct front *f)
{
	bool room;

	pthread_mutex_lock(&f->lock);
	room = f->n_slow < SLOW_MAX;
	f->n_slow += room;
	pthread_mutex_unlock(&f->lock);
	return room;
}

void front_slow_leave(struct front *f)
{
	for (;;) {
		struct front_slow *s;

		pthread_mutex_lock(&f->lock);
		s = TAILQ_FIRST(&f->line);
		if (s) {
			TAILQ_REMOVE(&f->line, s, link);
			s->state = FRONT_RUNS;
		} else {
			f->n_slow--;
		}
		pthread_mutex_unlock(&f->lock);
		if (!s)
			return;
		s->begin(s); /* it may be gone after this */
	}
}

void front_slow_run(struct front_slow *s)
{
	struct front *f = s->front;

	if (!slow_enter(s))
		return;
	s->begin(s);
	front_slow_leave(f);
}
