/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One row of the comparison on one file system: does the work, prints one
 * rate.  The same program for all systems, one thread, plain system calls, so
 * that what differs is the file system.
 *
 *	bench_work ROW DIR [--mib N] [--ops N] [--count N] [--bytes N]
 *
 *	seq-write   --mib   a file in 1 MiB writes, then fsync       MiB/s
 *	seq-read    --mib   the same file in 1 MiB reads             MiB/s
 *	rand-read   --ops   4 KiB at random places of that file      ops/s
 *	fsync-write --ops   append 4 KiB, fsync, again               ops/s
 *	create      --count files of --bytes, names of 20 bytes    files/s
 *	stat        --count of them in random order                files/s
 *	read        --count of them in random order                files/s
 *	unlink      --count of them as they were made              files/s
 *
 * Caches are the caller's business.  Content is noise that differs from block
 * to block, so nothing is won by compression or by finding zeros; what is
 * read back is compared with it, so no rate can come from wrong bytes.
 * Rejected: fio for the files: it opens and lays them out on its own terms.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MIB       (1u << 20)
#define SMALL     4096u
#define PER_DIR   1000u
#define PATH_ROOM 4352
#define DIR_MAX   4096u

struct work {
	const char *dir;
	uint64_t mib, ops, count, bytes;
	uint8_t *noise, *back; /* MIB each */
	double seconds;
};

static int problem(const char *what, const char *path)
{
	int err = errno ? errno : EIO;

	(void)fprintf(stderr, "bench_work: %s %s: %s\n", what, path,
		      strerror(err));
	return -err;
}

static uint64_t next_random(uint64_t *s)
{
	uint64_t z = *s += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static double now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Each block of 4 KiB begins with its number: no two are alike. */
static void stamp(uint8_t *data, size_t len, uint64_t first)
{
	for (size_t at = 0; at < len; at += SMALL, first++)
		memcpy(data + at, &first,
		       len - at < sizeof(first) ? len - at : sizeof(first));
}

static int write_all(int fd, const uint8_t *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n <= 0)
			return -1;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static int read_all(int fd, uint8_t *to, size_t len, off_t at)
{
	while (len) {
		ssize_t n = pread(fd, to, len, at);

		if (n <= 0) {
			if (!n)
				errno = ENODATA;
			return -1;
		}
		to += n;
		len -= (size_t)n;
		at += n;
	}
	return 0;
}

/* The bytes from block first on are those that stamp() made. */
static int same(struct work *w, size_t noise_at, size_t len, uint64_t first)
{
	stamp(w->noise + noise_at, len, first);
	if (!memcmp(w->noise + noise_at, w->back, len))
		return 0;
	errno = EILSEQ;
	return -1;
}

/* ---- one large file ---------------------------------------------------- */

static int seq_write(struct work *w)
{
	char path[PATH_ROOM];
	double start = now();
	int fd;

	(void)snprintf(path, sizeof(path), "%s/big", w->dir);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return problem("make", path);
	for (uint64_t i = 0; i < w->mib; i++) {
		stamp(w->noise, MIB, i * (MIB / SMALL));
		if (write_all(fd, w->noise, MIB) < 0) {
			(void)close(fd);
			return problem("write", path);
		}
	}
	if (fsync(fd) < 0 || close(fd) < 0)
		return problem("fsync", path);
	w->seconds = now() - start;
	return 0;
}

static int seq_read(struct work *w)
{
	char path[PATH_ROOM];
	double start = now();
	int fd, r = 0;

	(void)snprintf(path, sizeof(path), "%s/big", w->dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return problem("open", path);
	for (uint64_t i = 0; !r && i < w->mib; i++)
		if (read_all(fd, w->back, MIB, (off_t)(i * MIB)) < 0 ||
		    same(w, 0, MIB, i * (MIB / SMALL)) < 0)
			r = problem("read", path);
	w->seconds = now() - start;
	(void)close(fd);
	return r;
}

static int rand_read(struct work *w)
{
	char path[PATH_ROOM];
	uint64_t seed = 1, blocks = w->mib * (MIB / SMALL);
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
		    same(w, b % (MIB / SMALL) * SMALL, SMALL, b) < 0)
			r = problem("read", path);
	}
	w->seconds = now() - start;
	(void)close(fd);
	return r;
}

static int fsync_write(struct work *w)
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
	(void)close(fd);
	return r;
}

/* ---- many small files -------------------------------------------------- */

static void file_path(const struct work *w, uint64_t i, char *path)
{
	(void)snprintf(path, PATH_ROOM, "%s/d%06" PRIu64 "/f%019" PRIu64,
		       w->dir, i / PER_DIR, i);
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

static int create(struct work *w)
{
	char path[PATH_ROOM];
	double start = now();
	int r = 0;

	for (uint64_t i = 0; !r && i < w->count; i++) {
		if (i % PER_DIR == 0) {
			dir_path(w, i / PER_DIR, path);
			if (mkdir(path, 0755) < 0)
				return problem("make", path);
		}
		r = create_one(w, i);
	}
	w->seconds = now() - start;
	return r;
}

static int stat_all(struct work *w)
{
	double start = now();
	int r = in_random_order(w, stat_one);

	w->seconds = now() - start;
	return r;
}

static int read_files(struct work *w)
{
	double start = now();
	int r = in_random_order(w, read_one);

	w->seconds = now() - start;
	return r;
}

static int unlink_all(struct work *w)
{
	char path[PATH_ROOM];
	double start = now();

	for (uint64_t i = 0; i < w->count; i++) {
		file_path(w, i, path);
		if (unlink(path) < 0)
			return problem("unlink", path);
	}
	w->seconds = now() - start;
	for (uint64_t d = 0; d * PER_DIR < w->count; d++) {
		dir_path(w, d, path);
		if (rmdir(path) < 0)
			return problem("remove", path);
	}
	return 0;
}

/* ---- the command line -------------------------------------------------- */

enum unit { UNIT_MIB, UNIT_OPS, UNIT_FILES };

static const struct row {
	const char *name;
	int (*run)(struct work *);
	enum unit unit;
} rows[] = {
	{ "seq-write", seq_write, UNIT_MIB },
	{ "seq-read", seq_read, UNIT_MIB },
	{ "rand-read", rand_read, UNIT_OPS },
	{ "fsync-write", fsync_write, UNIT_OPS },
	{ "create", create, UNIT_FILES },
	{ "stat", stat_all, UNIT_FILES },
	{ "read", read_files, UNIT_FILES },
	{ "unlink", unlink_all, UNIT_FILES },
};

static const struct row *row_named(const char *name)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (!strcmp(rows[i].name, name))
			return &rows[i];
	return NULL;
}

static bool set_number(struct work *w, const char *name, const char *text)
{
	char *end;
	unsigned long long n;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || *end || end == text || !n)
		return false;
	if (!strcmp(name, "--mib"))
		w->mib = n;
	else if (!strcmp(name, "--ops"))
		w->ops = n;
	else if (!strcmp(name, "--count"))
		w->count = n;
	else if (!strcmp(name, "--bytes") && n <= MIB)
		w->bytes = n;
	else
		return false;
	return true;
}

static double rate(const struct work *w, enum unit unit)
{
	uint64_t n = unit == UNIT_MIB   ? w->mib
		     : unit == UNIT_OPS ? w->ops
					: w->count;

	return (double)n / w->seconds;
}

int main(int argc, char **argv)
{
	struct work w = {
		.mib = 256, .ops = 1000, .count = 1000, .bytes = 4096
	};
	const struct row *row = argc > 2 ? row_named(argv[1]) : NULL;
	uint64_t seed = 7;
	int r;

	for (int i = 3; row && i < argc; i += 2)
		if (i + 1 >= argc || !set_number(&w, argv[i], argv[i + 1]))
			row = NULL;
	if (!row || strlen(argv[2]) > DIR_MAX) {
		(void)fprintf(stderr,
			      "usage: bench_work ROW DIR [--mib N] [--ops N] "
			      "[--count N] [--bytes N]\n");
		return 2;
	}
	w.dir = argv[2];
	w.noise = malloc(MIB);
	w.back = malloc(MIB);
	if (!w.noise || !w.back)
		return 1;
	for (size_t i = 0; i < MIB; i += 8) {
		uint64_t v = next_random(&seed);

		memcpy(w.noise + i, &v, 8);
	}
	r = row->run(&w);
	if (!r)
		(void)printf("%.2f\n", rate(&w, row->unit));
	free(w.noise);
	free(w.back);
	return r < 0;
}
