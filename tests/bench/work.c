/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One row of the comparison on one file system: does the work, prints its
 * rate.  The same program for all systems and plain system calls, so that what
 * differs is the file system.
 *
 *	bench_work ROW DIR [--mib N] [--ops N] [--count N] [--bytes N]
 *		[--per-dir N] [--syncs N]
 *
 *	seq-write   --mib   a file in 1 MiB writes, then fsync       MiB/s
 *	seq-read    --mib   the same file in 1 MiB reads             MiB/s
 *	rand-read   --ops   4 KiB at random places of that file      ops/s
 *	rand-write  --ops   4 KiB to them, then fsync; spoils it     ops/s
 *	par-write   --mib   seq-write of four files at once          MiB/s
 *	par-read    --mib   seq-read of these                        MiB/s
 *	fsync-write --ops   append 4 KiB, fsync, again               ops/s
 *	sync-yard   --ops   4 KiB and fdatasync, --syncs at once     ops/s
 *	create      --count files of --bytes, names of 20 bytes    files/s
 *	stat        --count of them in random order                files/s
 *	read        --count of them in random order                files/s
 *	unlink      --count of them as they were made              files/s
 *	grow        --count as create; three rates on the way      files/s
 *
 * Caches are the caller's business.  Content is noise that differs from block
 * to block, so nothing is won by compression or by finding zeros; what is
 * read back is compared with it, so no rate can come from wrong bytes.
 * Rejected: fio for the files: it opens and lays them out on its own terms.
 */
#include "work.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int problem(const char *what, const char *path)
{
	int err = errno ? errno : EIO;

	(void)fprintf(stderr, "bench_work: %s %s: %s\n", what, path,
		      strerror(err));
	return -err;
}

uint64_t next_random(uint64_t *s)
{
	uint64_t z = *s += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

double now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void stamp(uint8_t *data, size_t len, uint64_t first)
{
	for (size_t at = 0; at < len; at += SMALL, first++)
		memcpy(data + at, &first,
		       len - at < sizeof(first) ? len - at : sizeof(first));
}

int write_all(int fd, const uint8_t *data, size_t len)
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

int read_all(int fd, uint8_t *to, size_t len, off_t at)
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

int same(struct work *w, size_t noise_at, size_t len, uint64_t first)
{
	stamp(w->noise + noise_at, len, first);
	if (!memcmp(w->noise + noise_at, w->back, len))
		return 0;
	errno = EILSEQ;
	return -1;
}

/* ---- the command line -------------------------------------------------- */

enum unit { UNIT_MIB, UNIT_OPS, UNIT_FILES, UNIT_MARKS };

static const struct row {
	const char *name;
	int (*run)(struct work *);
	enum unit unit;
} rows[] = {
	{ "seq-write", seq_write, UNIT_MIB },
	{ "seq-read", seq_read, UNIT_MIB },
	{ "rand-read", rand_read, UNIT_OPS },
	{ "rand-write", rand_write, UNIT_OPS },
	{ "par-write", par_write, UNIT_MIB },
	{ "par-read", par_read, UNIT_MIB },
	{ "fsync-write", fsync_write, UNIT_OPS },
	{ "sync-yard", sync_yard, UNIT_OPS },
	{ "create", create, UNIT_FILES },
	{ "stat", stat_all, UNIT_FILES },
	{ "read", read_files, UNIT_FILES },
	{ "unlink", unlink_all, UNIT_FILES },
	{ "grow", grow, UNIT_MARKS },
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
	const struct {
		const char *name;
		uint64_t *to, most;
	} numbers[] = {
		{ "--mib", &w->mib, 1u << 24 },
		{ "--ops", &w->ops, UINT64_MAX },
		{ "--count", &w->count, UINT64_C(1) << 40 },
		{ "--bytes", &w->bytes, MIB },
		{ "--per-dir", &w->per_dir, UINT64_MAX },
		{ "--syncs", &w->syncs, SYNCS_MAX },
	};
	char *end;
	unsigned long long n;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || *end || end == text || !n)
		return false;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		if (!strcmp(name, numbers[i].name)) {
			*numbers[i].to = n;
			return n <= numbers[i].most;
		}
	return false;
}

int buffers_new(struct work *w)
{
	uint64_t seed = 7;

	w->noise = malloc(MIB);
	w->back = malloc(MIB);
	if (!w->noise || !w->back)
		return problem("have memory", "for it");
	memset(w->back, 0, MIB);
	for (size_t i = 0; i < MIB; i += 8) {
		uint64_t v = next_random(&seed);

		memcpy(w->noise + i, &v, 8);
	}
	return 0;
}

void buffers_free(struct work *w)
{
	free(w->noise);
	free(w->back);
}

static void print_rate(const struct work *w, enum unit unit)
{
	uint64_t n = unit == UNIT_MIB   ? w->mib
		     : unit == UNIT_OPS ? w->ops
					: w->count;

	if (unit != UNIT_MARKS)
		(void)printf("%.2f\n", (double)n / w->seconds);
	else
		(void)printf("%.2f %.2f %.2f\n", w->marks[0], w->marks[1],
			     w->marks[2]);
}

int main(int argc, char **argv)
{
	struct work w = { .mib = 256,
			  .ops = 1000,
			  .count = 1000,
			  .bytes = 4096,
			  .per_dir = 1000,
			  .syncs = 1 };
	const struct row *row = argc > 2 ? row_named(argv[1]) : NULL;
	int r;

	for (int i = 3; row && i < argc; i += 2)
		if (i + 1 >= argc || !set_number(&w, argv[i], argv[i + 1]))
			row = NULL;
	if (!row || strlen(argv[2]) > DIR_MAX) {
		(void)fprintf(stderr,
			      "usage: bench_work ROW DIR [--mib N] [--ops N] "
			      "[--count N] [--bytes N] [--per-dir N] "
			      "[--syncs N]\n");
		return 2;
	}
	w.dir = argv[2];
	r = buffers_new(&w);
	if (!r)
		r = row->run(&w);
	if (!r)
		print_rate(&w, row->unit);
	buffers_free(&w);
	return r < 0;
}
