/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that may take long: reads, writes, syncs, closes and those about
 * ranges, which may wait for a disk that is slow or hangs.
 *
 * The view answers them in the thread that asks, so each takes a thread of the
 * loop, which starts more when none is free.  At most SLOW_MAX are inside the
 * view, so that the loop always has threads for the rest: for names and
 * attributes, and for being told that somebody was interrupted.  The kernel
 * itself has no more than that many reads ahead under way.  Beyond it they stand
 * in a line, which costs no thread, and are begun by the threads that are
 * through with others.
 *
 * Who gives up (gaveup.c) is answered EINTR at once, if the request was not
 * begun, or if its going on does no harm: a read, a seek or a sync then ends
 * for nobody, and keeps its thread so long.  A write that has begun could land
 * on what is written next; it is only asked to stop, and does while it waits
 * for room.
 *
 * libfuse frees a request with its answer.  So there is one who answers, found
 * out under the lock, and who looks at a request otherwise holds it.  An open
 * file may be given back by the kernel while one is inside the view that was
 * answered: then that gives it back, when it is through.
 */
#include "front.h"

#include <errno.h>

/* One that goes on though it was answered, through that file.  Lock is held. */
static struct front_slow *slow_through(struct front *f,
				       const struct dynfs_file *file)
{
	struct front_slow *s;

	for (s = TAILQ_FIRST(&f->gone); s; s = TAILQ_NEXT(s, watched)) {
		if (s->file == file)
			return s;
	}
	return NULL;
}

void front_slow_release(struct front *f, struct dynfs_file *file)
{
	struct front_slow *s;

	pthread_mutex_lock(&f->lock);
	s = slow_through(f, file);
	if (s)
		s->releases = true;
	pthread_mutex_unlock(&f->lock);
	if (!s)
		f->fs->release(f->fs->ctx, file);
}

static void slow_free(struct front_slow *s)
{
	struct front *f = s->front;

	/* after an answer to nobody another may be there still */
	if (s->releases)
		front_slow_release(f, s->file);
	if (s->copied)
		atomic_fetch_sub(&f->copied_bytes, s->copied);
	f->host->free(f->host, s);
	front_unpin(f);
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
				  .pid = fuse_req_ctx(req)->pid,
				  .ino = ino,
				  .file = file,
				  .may_end_alone = true };
	front_pin(f);
	return s;
}

bool front_slow_over(struct front_slow *s, fuse_req_t *ret)
{
	struct front *f = s->front;
	bool ours;

	pthread_mutex_lock(&f->lock);
	ours = s->state != FRONT_GONE;
	if (!ours)
		TAILQ_REMOVE(&f->gone, s, watched);
	else if (s->interrupted)
		TAILQ_REMOVE(&f->interrupted, s, watched);
	s->interrupted = false;
	s->state = FRONT_OVER;
	pthread_mutex_unlock(&f->lock);
	/* after this nobody else comes with it from an interrupt */
	if (ours)
		fuse_req_interrupt_func(s->req, NULL, NULL);
	*ret = s->req;
	return ours;
}

void front_slow_free(struct front_slow *s)
{
	struct front *f = s->front;
	bool held;

	pthread_mutex_lock(&f->lock);
	held = s->held;
	s->unwanted = true; /* who holds it frees it */
	pthread_mutex_unlock(&f->lock);
	if (!held)
		slow_free(s);
}

int front_slow_gone(void *ctx)
{
	const struct front_slow *s = ctx;

	return fuse_req_interrupted(s->req) && front_gave_up(s->pid);
}

/* From libfuse, with the request locked. */
static void slow_interrupted(fuse_req_t req, void *data)
{
	struct front_slow *s = data;
	struct front *f = s->front;

	(void)req;
	pthread_mutex_lock(&f->lock);
	if (!s->interrupted && s->state < FRONT_GONE) {
		s->interrupted = true;
		TAILQ_INSERT_HEAD(&f->interrupted, s, watched);
		pthread_cond_signal(&f->watch);
	}
	pthread_mutex_unlock(&f->lock);
}

bool front_slow_may_end(struct front_slow *s)
{
	bool waits = s->state == FRONT_WAITS;

	if (!waits && (s->state != FRONT_RUNS || !s->may_end_alone))
		return false;
	if (waits)
		TAILQ_REMOVE(&s->front->line, s, link);
	TAILQ_REMOVE(&s->front->interrupted, s, watched);
	s->interrupted = false;
	s->unwanted = waits; /* else the view has it */
	s->state = FRONT_GONE;
	if (!waits)
		TAILQ_INSERT_TAIL(&s->front->gone, s, watched);
	return true;
}

/* True: the caller is to begin it; else it stands in line. */
static bool slow_enter(struct front_slow *s)
{
	struct front *f = s->front;
	bool begins;

	fuse_req_interrupt_func(s->req, slow_interrupted, s);
	pthread_mutex_lock(&f->lock);
	begins = f->n_slow < SLOW_MAX;
	f->n_slow += begins;
	s->state = begins ? FRONT_RUNS : FRONT_WAITS;
	if (!begins)
		TAILQ_INSERT_TAIL(&f->line, s, link);
	pthread_mutex_unlock(&f->lock);
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

	/* one that stands in line may be gone already */
	if (!slow_enter(s))
		return;
	s->begin(s);
	front_slow_leave(f);
}
