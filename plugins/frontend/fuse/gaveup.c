/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who has given up waiting for a request.
 *
 * The kernel says so once for a request, whatever the signal was.  But programs
 * rely on a file system that does not return EINTR because a child of theirs
 * has ended or a timer ran out: a database that is told that its fsync failed
 * stops.  So it is looked at what is pending: what ends the program, or asks it
 * to end, is giving up; anything else can wait until the request is done, and
 * is looked at again and again, for the kernel would not tell of a later
 * signal.
 */
#include "front.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define GAVEUP_LOOK_NS 100000000

static uint64_t gaveup_bit(int number)
{
	return UINT64_C(1) << (number - 1);
}

/* The mask after its name, or 0. */
static uint64_t gaveup_mask(const char *status, const char *name)
{
	const char *at = strstr(status, name);

	return at ? strtoull(at + strlen(name), NULL, 16) : 0;
}

bool front_gave_up(pid_t thread)
{
	uint64_t stops = gaveup_bit(SIGKILL) | gaveup_bit(SIGINT) |
			 gaveup_bit(SIGTERM) | gaveup_bit(SIGQUIT) |
			 gaveup_bit(SIGABRT);
	char path[48], status[4096];
	uint64_t pending;
	size_t n;
	FILE *in;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)thread);
	in = fopen(path, "re");
	if (!in)
		return true; /* not to be seen from here: any signal counts */
	n = fread(status, 1, sizeof(status) - 1, in);
	(void)fclose(in); /* was read only */
	status[n] = '\0';
	/* what ends a program without its having a say shows as SIGKILL */
	pending =
	    gaveup_mask(status, "\nSigPnd:") | gaveup_mask(status, "\nShdPnd:");
	return pending & ~gaveup_mask(status, "\nSigBlk:") & stops;
}

/* The lock is held, and let go of meanwhile; s is in the list of it. */
static void gaveup_look(struct front *f, struct front_slow *s)
{
	bool ends, unwanted;

	s->held = true;
	pthread_mutex_unlock(&f->lock);
	ends = front_gave_up(s->pid);
	pthread_mutex_lock(&f->lock);
	if (ends && s->interrupted && front_slow_may_end(s)) {
		pthread_mutex_unlock(&f->lock);
		fuse_req_interrupt_func(s->req, NULL, NULL);
		front_reply_err(s->req, -EINTR);
		pthread_mutex_lock(&f->lock);
	}
	s->held = false;
	unwanted = s->unwanted;
	if (!unwanted)
		return;
	pthread_mutex_unlock(&f->lock);
	front_slow_free(s);
	pthread_mutex_lock(&f->lock);
}

/* Each of the list once; what is new stands in front. */
static void gaveup_look_at_all(struct front *f)
{
	struct front_slow *s;

	f->look++;
	while ((s = TAILQ_FIRST(&f->interrupted)) && s->look != f->look) {
		s->look = f->look;
		TAILQ_REMOVE(&f->interrupted, s, watched);
		TAILQ_INSERT_TAIL(&f->interrupted, s, watched);
		gaveup_look(f, s);
	}
}

static void gaveup_wait(struct front *f)
{
	struct timespec until;

	if (TAILQ_EMPTY(&f->interrupted)) {
		pthread_cond_wait(&f->watch, &f->lock);
		return;
	}
	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += GAVEUP_LOOK_NS;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	(void)pthread_cond_timedwait(&f->watch, &f->lock, &until);
}

static void *gaveup_main(void *arg)
{
	struct front *f = arg;

	pthread_mutex_lock(&f->lock);
	while (!f->watch_ends) {
		gaveup_look_at_all(f);
		/* a signal while it looked has put one in front */
		if (!f->watch_ends)
			gaveup_wait(f);
	}
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

int front_gaveup_start(struct front *f)
{
	int err;

	f->watch_ends = false;
	err = pthread_create(&f->watcher, NULL, gaveup_main, f);
	f->watching = !err;
	return -err;
}

void front_gaveup_stop(struct front *f)
{
	if (!f->watching)
		return;
	pthread_mutex_lock(&f->lock);
	f->watch_ends = true;
	pthread_cond_signal(&f->watch);
	pthread_mutex_unlock(&f->lock);
	(void)pthread_join(f->watcher, NULL); /* it is ours */
	f->watching = false;
}
