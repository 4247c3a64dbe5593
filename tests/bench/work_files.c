/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of many small files: names of 20 bytes, a new folder for each --per-dir
 * of them.
 */
#include "work.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static void file_path(const struct work *w, uint64_t i, char *path)
{
	(void)snprintf(path, PATH_ROOM, "%s/d%06" PRIu64 "/f%019" PRIu64,
		       w->dir, i / w->per_dir, i);
}

static void dir_path(const struct work *w, uint64_t d, char *path)
{
	(void)snprintf(path, PATH_ROOM, "%s/d%06" PRIu64, w->dir, d);
}

/* A stride that meets each number once: 2^k steps, those beyond skipped. */
static int in_random_order(struct work *w,
			   int (*visit)(struct work *, uint64_t))
{
	uint64_t size = 1, at = 0x5bd1e995;
	int r = 0;

	while (size < w->count)
		size *= 2;
	/* full period: the multiplier is 1 mod 4, the increment odd */
	for (uint64_t i = 0; !r && i < size; i++) {
		at = (at * UINT64_C(6364136223846793005) + 12345) & (size - 1);
		if (at < w->count)
			r = visit(w, at);
	}
	return r;
}

static int create_one(struct work *w, uint64_t i)
{
	char path[PATH_ROOM];
	int fd;

	file_path(w, i, path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return problem("make", path);
	stamp(w->noise, w->bytes, i);
	if (write_all(fd, w->noise, w->bytes) < 0) {
		(void)close(fd);
		return problem("write", path);
	}
	return close(fd) < 0 ? problem("close", path) : 0;
}

static int stat_one(struct work *w, uint64_t i)
{
	char path[PATH_ROOM];
	struct stat st;

	file_path(w, i, path);
	if (lstat(path, &st) < 0)
		return problem("stat", path);
	if ((uint64_t)st.st_size == w->bytes)
		return 0;
	errno = EILSEQ;
	return problem("stat", path);
}

static int read_one(struct work *w, uint64_t i)
{
	char path[PATH_ROOM];
	int fd, r = 0;

	file_path(w, i, path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return problem("open", path);
	if (read_all(fd, w->back, w->bytes, 0) < 0 ||
	    same(w, 0, w->bytes, i) < 0)
		r = problem("read", path);
	(void)close(fd);
	return r;
}

static int create_from(struct work *w, uint64_t first, uint64_t end)
{
	char path[PATH_ROOM];
	int r = 0;

	for (uint64_t i = first; !r && i < end; i++) {
		if (i % w->per_dir == 0) {
			dir_path(w, i / w->per_dir, path);
			if (mkdir(path, 0755) < 0)
				return problem("make", path);
		}
		r = create_one(w, i);
	}
	return r;
}

int create(struct work *w)
{
	double start = now();
	int r = create_from(w, 0, w->count);

	w->seconds = now() - start;
	return r;
}

/*
 * Rates at a hundredth, a tenth and all of the files: each is that of the last
 * tenth before; at the first that would be too few, and it is the last half.
 */
int grow(struct work *w)
{
	uint64_t at = 0, mark = w->count / 100, part = mark / 2;
	double start = now();
	int r = 0;

	if (!part || w->count % 100) {
		errno = EINVAL;
		return problem("--count is to be hundreds, in", w->dir);
	}
	for (size_t i = 0; !r && i < N_MARKS; i++) {
		double before;

		r = create_from(w, at, mark - part);
		before = now();
		if (!r)
			r = create_from(w, mark - part, mark);
		w->marks[i] = (double)part / (now() - before);
		at = mark;
		part = mark;
		mark *= 10;
	}
	w->seconds = now() - start;
	return r;
}

int stat_all(struct work *w)
{
	double start = now();
	int r = in_random_order(w, stat_one);

	w->seconds = now() - start;
	return r;
}

int read_files(struct work *w)
{
	double start = now();
	int r = in_random_order(w, read_one);

	w->seconds = now() - start;
	return r;
}

int unlink_all(struct work *w)
{
	char path[PATH_ROOM];
	double start = now();

	for (uint64_t i = 0; i < w->count; i++) {
		file_path(w, i, path);
		if (unlink(path) < 0)
			return problem("unlink", path);
	}
	w->seconds = now() - start;
	for (uint64_t d = 0; d * w->per_dir < w->count; d++) {
		dir_path(w, d, path);
		if (rmdir(path) < 0)
			return problem("remove", path);
	}
	return 0;
}
