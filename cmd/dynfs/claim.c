/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One daemon for a pool, from before it opens the disks until its process is
 * gone.
 *
 * The labels are locked as well, and that is what the data rely on.  But a
 * daemon whose mount was taken away has yet to store what was written, and
 * "umount DIR; mount DIR" should work: so who finds the pool taken asks who has
 * it.  One that serves it is the answer; for one that does not (any more, or
 * yet) it waits.
 *
 * The lock is on the folder itself: nothing has to be written for it, so it
 * works on a file system that is read-only, and it can not be left behind.
 */
#include "daemon.h"

#include <base/fail.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define CLAIM_PAUSE_NS 100000000
#define CLAIM_SAY_MS   1000  /* who waits longer is told */
#define CLAIM_MAX_MS   60000 /* and then it is an error */
#define CLAIM_ASK_S    5     /* for an answer */
#define CLAIM_SURE     4     /* answers in a row: one may be about to end */

/* 1: a daemon serves the pool, and the reason is in hand. */
static int claim_ask(const struct conf *conf)
{
	json_t *args = json_object(), *reply = NULL;
	const char *where;
	int r = control_ask_within(conf->pool.dir, "status", args, CLAIM_ASK_S,
				   NULL, NULL, &reply);

	json_decref(args);
	if (r < 0)
		return 0;
	where = json_string_value(json_object_get(reply, "mountpoint"));
	(void)fail(-EBUSY, "pool %s is in use by process %lld: it is %s%s",
		   conf->pool.name,
		   (long long)json_integer_value(json_object_get(reply, "pid")),
		   where ? "mounted on " : "served", where ? where : "");
	json_decref(reply);
	return 1;
}

static long claim_ms_since(const struct timespec *begin)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - begin->tv_sec) * 1000 +
	       (now.tv_nsec - begin->tv_nsec) / 1000000;
}

static int claim_wait(const struct conf *conf, int fd)
{
	struct timespec pause = { .tv_nsec = CLAIM_PAUSE_NS }, begin;
	bool said = false;
	int sure = 0;

	(void)clock_gettime(CLOCK_MONOTONIC, &begin);
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		long ms = claim_ms_since(&begin);

		sure = claim_ask(conf) ? sure + 1 : 0;
		if (sure == CLAIM_SURE)
			return -EBUSY;
		if (ms >= CLAIM_MAX_MS)
			return fail(-EBUSY,
				    "pool %s is in use by a process that has "
				    "not ended within %d s",
				    conf->pool.name, CLAIM_MAX_MS / 1000);
		if (ms >= CLAIM_SAY_MS && !said && !sure) {
			say("pool %s is still being closed by another process: "
			    "waiting for it",
			    conf->pool.name);
			said = true;
		}
		(void)nanosleep(&pause, NULL);
	}
	fail_clear();
	return 0;
}

int claim_take(const struct conf *conf, int *ret)
{
	int fd = open(conf->pool.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return fail(-errno, "%s: %s", conf->pool.dir,
			    strerrordesc_np(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		*ret = fd;
		return 0;
	}
	/* some file systems have no locks: those of the labels must do */
	r = errno == EWOULDBLOCK || errno == EINTR ? claim_wait(conf, fd) : 1;
	if (r) {
		(void)close(fd);
		fd = -1;
	}
	*ret = fd;
	return r < 0 ? r : 0;
}
