/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of a few large files, and of writes that are synced one by one.
 */
#include "work.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define YARD_MIB 8u

static int write_file(struct work *w, const char *name)
{
	char path[PATH_ROOM];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", w->dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return problem("make", path);
	for (uint64_t i = 0; i < w->mib; i++) {
		stamp(w->noise, MIB, i * PER_MIB);
		if (write_all(fd, w->noise, MIB) < 0) {
			(void)close(fd); /* the write has told */
			return problem("write", path);
		}
	}
	if (fsync(fd) < 0 || close(fd) < 0)
		return problem("fsync", path);
	return 0;
}

static int read_file(struct work *w, const char *name)
{
	char path[PATH_ROOM];
	int fd, r = 0;

	(void)snprintf(path, sizeof(path), "%s/%s", w->dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return problem("open", path);
	for (uint64_t i = 0; !r && i < w->mib; i++)
		if (read_all(fd, w->back, MIB, (off_t)(i * MIB)) < 0 ||
		    same(w, 0, MIB, i * PER_MIB) < 0)
			r = problem("read", path);
	(void)close(fd); /* was opened for reading */
	return r;
}

int seq_write(struct work *w)
{
	double start = now();
	int r = write_file(w, "big");

	w->seconds = now() - start;
	return r;
}

int seq_read(struct work *w)
{
	double start = now();
	int r = read_file(w, "big");

	w->seconds = now() - start;
	return r;
}

int rand_read(struct work *w)
{
	char path[PATH_ROOM];
	uint64_t seed = 1, blocks = w->mib * PER_MIB;
	double start = now();
	int fd, r = 0;

	(void)snprintf(path, sizeof(path), "%s/big", w->dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return problem("open", path);
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	for (uint64_t i = 0; !r && i < w->ops; i++) {
		uint64_t b = next_random(&seed) % blocks;

		if (read_all(fd, w->back, SMALL, (off_t)(b * SMALL)) < 0 ||
		    same(w, b % PER_MIB * SMALL, SMALL, b) < 0)
			r = problem("read", path);
	}
	w->seconds = now() - start;
	(void)close(fd); /* was opened for reading */
	return r;
}

/* Other noise than the block has had. */
static size_t other_noise(uint64_t block)
{
	return (block + 1) % PER_MIB * SMALL;
}

/* Afterwards the file is not what read_file() wants. */
static int overwrite(struct work *w, int fd)
{
	uint64_t seed = 2, blocks = w->mib * PER_MIB;

	for (uint64_t i = 0; i < w->ops; i++) {
		uint64_t b = next_random(&seed) % blocks;
		uint8_t *data = w->noise + other_noise(b);

		stamp(data, SMALL, b);
		if (pwrite(fd, data, SMALL, (off_t)(b * SMALL)) != SMALL)
			return -1;
	}
	return fsync(fd);
}

static int overwritten(struct work *w, int fd)
{
	uint64_t seed = 2, blocks = w->mib * PER_MIB;

	for (uint64_t i = 0; i < w->ops; i++) {
		uint64_t b = next_random(&seed) % blocks;

		if (read_all(fd, w->back, SMALL, (off_t)(b * SMALL)) < 0 ||
		    same(w, other_noise(b), SMALL, b) < 0)
			return -1;
	}
	return 0;
}

int rand_write(struct work *w)
{
	char path[PATH_ROOM];
	double start = now();
	int fd, r = 0;

	(void)snprintf(path, sizeof(path), "%s/big", w->dir);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return problem("open", path);
	if (overwrite(w, fd) < 0)
		r = problem("write", path);
	w->seconds = now() - start;
	if (!r && overwritten(w, fd) < 0)
		r = problem("read what was written to", path);
	(void)close(fd); /* fsync has told */
	return r;
}

/* ---- several at once --------------------------------------------------- */

struct job {
	struct work w;
	char name[16];
	int (*run)(struct work *w, const char *name);
	pthread_t thread;
	int result;
};

static void *job_run(void *arg)
{
	struct job *j = arg;

	j->result = j->run(&j->w, j->name);
	return NULL;
}

static int jobs_run(struct job *jobs, size_t n)
{
	size_t started = 0;
	int r = 0;

	while (started < n && !pthread_create(&jobs[started].thread, NULL,
					      job_run, &jobs[started]))
		started++;
	for (size_t i = 0; i < started; i++) {
		(void)pthread_join(jobs[i].thread, NULL); /* is ours */
		r |= jobs[i].result;
	}
	return started < n ? problem("start threads", "for it") : r;
}

/* Each has a file of its own, and its part of all MiB. */
static int parallel(struct work *w,
		    int (*run)(struct work *w, const char *name))
{
	struct job jobs[PARALLEL] = { 0 };
	double start;
	int r = 0;

	for (size_t i = 0; i < PARALLEL; i++) {
		jobs[i].w = *w;
		jobs[i].w.mib = w->mib / PARALLEL;
		jobs[i].run = run;
		(void)snprintf(jobs[i].name, sizeof(jobs[i].name), "par%zu", i);
		r |= buffers_new(&jobs[i].w);
	}
	start = now();
	if (!r)
		r = jobs_run(jobs, PARALLEL);
	w->seconds = now() - start;
	for (size_t i = 0; i < PARALLEL; i++)
		buffers_free(&jobs[i].w);
	return r;
}

int par_write(struct work *w)
{
	return parallel(w, write_file);
}

int par_read(struct work *w)
{
	return parallel(w, read_file);
}

/* ---- synced one by one ------------------------------------------------- */

int fsync_write(struct work *w)
{
	char path[PATH_ROOM];
	double start;
	int fd, r = 0;

	(void)snprintf(path, sizeof(path), "%s/journal", w->dir);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return problem("make", path);
	start = now();
	for (uint64_t i = 0; !r && i < w->ops; i++) {
		stamp(w->noise, SMALL, i);
		if (write_all(fd, w->noise, SMALL) < 0 || fsync(fd) < 0)
			r = problem("write", path);
	}
	w->seconds = now() - start;
	(void)close(fd); /* fsync has told */
	return r;
}

struct yard {
	const struct work *w;
	pthread_barrier_t *turn;
	int fd;
	pthread_t thread;
	int err;
};

/* All go on to the end, whatever fails: the others wait for each of them. */
static void *yard_run(void *arg)
{
	struct yard *y = arg;

	for (uint64_t i = 0; i < y->w->ops; i++) {
		off_t at = (off_t)(i % (YARD_MIB * PER_MIB) * SMALL);

		if (pwrite(y->fd, y->w->back, SMALL, at) != SMALL ||
		    fdatasync(y->fd) < 0)
			y->err = errno ? errno : EIO;
		(void)pthread_barrier_wait(y->turn); /* is set up */
	}
	return NULL;
}

/* Written, not only allocated: no sync has a journal's work to wait for. */
static int yard_open(struct work *w, struct yard *y, size_t i)
{
	char name[16], path[PATH_ROOM];
	struct work part = *w;

	part.mib = YARD_MIB;
	(void)snprintf(name, sizeof(name), "yard%zu", i);
	if (write_file(&part, name) < 0)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/%s", w->dir, name);
	y->w = w;
	y->fd = open(path, O_WRONLY | O_CLOEXEC);
	if (y->fd < 0)
		return problem("open", path);
	(void)unlink(path); /* goes at the close; a leftover is no harm */
	return 0;
}

static int yard_time(struct work *w, struct yard *yards)
{
	pthread_barrier_t turn;
	double start;
	int err = pthread_barrier_init(&turn, NULL, (unsigned int)w->syncs);

	if (err)
		return -1;
	start = now();
	for (size_t i = 0; i < w->syncs; i++) {
		yards[i].turn = &turn;
		/* with one missing the others would wait for ever */
		if (pthread_create(&yards[i].thread, NULL, yard_run, &yards[i]))
			abort();
	}
	for (size_t i = 0; i < w->syncs; i++) {
		(void)pthread_join(yards[i].thread, NULL); /* is ours */
		err = err ? err : yards[i].err;
	}
	w->seconds = now() - start;
	(void)pthread_barrier_destroy(&turn); /* nobody waits */
	errno = err;
	return err ? problem("sync files in", w->dir) : 0;
}

/*
 * What a log of so many copies cannot beat: 4 KiB to each of as many files on
 * the device, and a sync of all at once.
 */
int sync_yard(struct work *w)
{
	struct yard yards[SYNCS_MAX] = { 0 };
	size_t n = 0;
	int r = 0;

	while (!r && n < w->syncs) {
		yards[n].fd = -1;
		r = yard_open(w, &yards[n], n);
		n++;
	}
	if (!r)
		r = yard_time(w, yards);
	while (n--)
		if (yards[n].fd >= 0)
			(void)close(yards[n].fd); /* fdatasync has told */
	return r;
}
