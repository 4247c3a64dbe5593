/* SPDX-License-Identifier: Apache-2.0 */
/*
 * read and write: at every place, appended, vectored, synced, by two files
 * of one inode; O_DIRECT.
 */
#include "posix.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static const struct step basics[] = {
	{ MKFILE, "f", .a = 0644 },
	{ OPEN, "f", .a = O_RDWR },
	{ READ, .a = 10, .want = 0 },
	{ WRITE, .q = "hello", .want = 5, .after = "f:size=5 f:text=hello" },
	{ READ, .a = 10, .want = 0 },
	{ LSEEK, .a = 1, .want = 1 },
	{ READ, .a = 2, .want = 2 },
	{ READ, .a = 10, .want = 2 },
	{ PREAD, .a = 10, .b = 5, .want = 0 },
	{ PREAD, .a = 10, .b = 1000000, .want = 0 },
	{ PREAD, .a = 10, .b = -1, .want = -EINVAL },
	{ PWRITE, .q = "x", .b = -1, .want = -EINVAL },
	{ PREAD, .a = 0, .want = 0 },
	{ PWRITE, .q = "", .b = 100, .want = 0, .after = "f:size=5" },
	{ PWRITE, .q = "J", .want = 1, .after = "f:text=Jello" },
	{ LSEEK, .flags = SEEK_CUR, .want = 5 },
	{ PWRITE, .q = "end", .b = 20, .want = 3, .after = "f:size=23" },
	{ PREAD, .a = 99, .b = 5, .want = 18 },
	{ OPEN, "f", .a = O_WRONLY, .fd = 1 },
	{ READ, .a = 1, .fd = 1, .want = -EBADF },
	{ PREAD, .a = 1, .fd = 1, .want = -EBADF },
	{ WRITE, .q = "W", .fd = 1, .want = 1 },
	{ OPEN, "f", .a = O_RDONLY, .fd = 2 },
	{ WRITE, .q = "x", .fd = 2, .want = -EBADF },
	{ PWRITE, .q = "x", .fd = 2, .want = -EBADF },
	{ READ, .a = 1, .fd = 2, .want = 1 },
	{ OPEN, "f", .a = O_PATH, .fd = 3 },
	{ READ, .a = 1, .fd = 3, .want = -EBADF },
	{ WRITE, .q = "x", .fd = 3, .want = -EBADF },
	{ FSYNC, .fd = 3, .want = -EBADF },
	{ FSYNC, .fd = 2 },
	{ FDATASYNC, .fd = 2 },
	{ FSYNC, .fd = 7, .want = -EBADF },
	{ CLOSE, .fd = 7, .want = -EBADF },
	{ 0 }
};

static const struct step appended[] = {
	{ FILL, "f", "12345" },
	{ OPEN, "f", .a = O_WRONLY | O_APPEND },
	{ WRITE, .q = "67", .want = 2, .after = "f:text=1234567" },
	{ LSEEK, .a = 0 },
	{ WRITE, .q = "8", .want = 1, .after = "f:text=12345678" },
	/* pwrite(2): Linux appends, whatever the offset says */
	{ PWRITE, .q = "9", .b = 0, .want = 1, .after = "f:text=123456789" },
	{ OPEN, "f", .a = O_RDWR | O_APPEND, .fd = 1 },
	{ WRITE, .q = "A", .fd = 1, .want = 1 },
	{ WRITE, .q = "B", .want = 1, .after = "f:text=123456789AB" },
	{ TRUNCATE, "f", .a = 2 },
	{ WRITE, .q = "C", .want = 1, .after = "f:text=12C" },
	{ WRITE, .q = "D", .fd = 1, .want = 1, .after = "f:text=12CD" },
	{ PREAD, .a = 9, .fd = 1, .want = 4 },
	{ 0 }
};

static void synced(void)
{
	static const int flags[] = { O_SYNC, O_DSYNC, O_SYNC | O_APPEND };

	for (size_t i = 0; i < COUNT(flags); i++) {
		MAKE(FILL, "f", "");
		STEP(OPEN, "f", .a = O_RDWR | flags[i]);
		STEP(WRITE, .q = "one", .want = 3,
		     .after = "f:text=one f:mtime+ f:ctime+");
		STEP(WRITE, .q = "two", .want = 3, .after = "f:text=onetwo");
		STEP(PREAD, .a = 99, .want = 6);
		STEP(FTRUNCATE, .a = 1, .after = "f:text=o");
		STEP(FSYNC);
		STEP(FDATASYNC);
	}
}

/* Every start and length around pages and extents, over what was there. */
static void places(void)
{
	static const off_t at[] = { 0,     1,      511,    4095,   4096,   4097,
				    65535, 131071, 262143, 524287, 1048575 };
	static const size_t lens[] = { 1, 2, 4095, 4096, 4097, 65537, 262145 };
	int fd = case_open("f", O_CREAT | O_RDWR, 0644);
	static uint8_t model[2 << 20], got[2 << 20];
	size_t end = 0;

	memset(model, 0, sizeof(model));
	for (size_t i = 0; i < COUNT(at); i++)
		for (size_t j = 0; j < COUNT(lens); j++) {
			size_t len = lens[j], stop = (size_t)at[i] + len;
			const uint8_t *bytes =
			    pattern(len, (unsigned)(i * 9 + j));

			memcpy(model + at[i], bytes, len);
			end = end > stop ? end : stop;
			check_is((int64_t)len,
				 sys(pwrite(fd, bytes, len, at[i])),
				 "write %zu at %lld", len, (long long)at[i]);
			check_is((int64_t)end,
				 sys(pread(fd, got, sizeof(got), 0)),
				 "read all");
			check_that(memcmp(got, model, end) == 0,
				   "all is right after %zu at %lld", len,
				   (long long)at[i]);
		}
	(void)close(fd);
	fd = case_open("f", O_RDONLY, 0);
	check_is((int64_t)end, sys(pread(fd, got, sizeof(got), 0)), "again");
	check_that(memcmp(got, model, end) == 0, "all is right, opened again");
	(void)close(fd);
}

static void vectors(void)
{
	char a[] = "abc", b[] = "defgh", c[1] = "", x[4], y[9];
	struct iovec out[] = { { a, 3 }, { c, 0 }, { b, 5 } };
	struct iovec in[] = { { x, 4 }, { y, 9 } };
	int fd = case_open("f", O_CREAT | O_RDWR, 0644);

	check_is(8, sys(writev(fd, out, 3)), "writev");
	check_is(8, sys(preadv(fd, in, 2, 0)), "preadv");
	check_that(!memcmp(x, "abcd", 4) && !memcmp(y, "efgh", 4),
		   "what it read");
	check_is(8, sys(pwritev(fd, out, 3, 100)), "pwritev");
	check_is(8, sys(preadv(fd, in, 2, 100)), "preadv");
	check_that(!memcmp(x, "abcd", 4) && !memcmp(y, "efgh", 4),
		   "what it read");
	check_is(8, sys(pwritev2(fd, out, 3, 200, RWF_DSYNC)), "RWF_DSYNC");
	check_is(8, sys(pwritev2(fd, out, 3, 0, RWF_APPEND)), "RWF_APPEND");
	STEP(LSTAT, "f", .after = "f:size=216");
	check_is(0, sys(writev(fd, out, 0)), "no vectors");
	(void)close(fd);
}

/* Unaligned ones fail or work, file systems differ; aligned ones work. */
static void direct(void)
{
	static const struct {
		size_t len;
		off_t at;
	} aligned[] = { { 4096, 0 },       { 8192, 4096 },    { 65536, 65536 },
			{ 1 << 20, 0 },    { 4096, 4 << 20 }, { 1 << 20, 8192 },
			{ 12288, 1044480 } };
	int fd = case_open("f", O_CREAT | O_RDWR | O_DIRECT, 0644);
	int plain = case_open("f", O_RDWR, 0);
	uint8_t *page = aligned_alloc(4096, 1 << 20);

	if (!page)
		die("no memory");
	for (size_t i = 0; i < COUNT(aligned); i++) {
		int64_t len = (int64_t)aligned[i].len;

		memcpy(page, pattern(aligned[i].len, (unsigned)i),
		       aligned[i].len);
		check_is(len,
			 sys(pwrite(fd, page, aligned[i].len, aligned[i].at)),
			 "direct write %zu", i);
		check_that(holds_pattern(plain, aligned[i].at, aligned[i].len,
					 (unsigned)i),
			   "what it wrote is read through the cache");
		memset(page, 0, aligned[i].len);
		check_is(len,
			 sys(pread(fd, page, aligned[i].len, aligned[i].at)),
			 "direct read %zu", i);
		check_that(!memcmp(page, pattern(aligned[i].len, (unsigned)i),
				   aligned[i].len),
			   "what it read");
		memcpy(page, pattern(aligned[i].len, 77), aligned[i].len);
		check_is(
		    len,
		    sys(pwrite(plain, page, aligned[i].len, aligned[i].at)),
		    "a write through the cache");
		memset(page, 0, aligned[i].len);
		check_is(len,
			 sys(pread(fd, page, aligned[i].len, aligned[i].at)),
			 "and read directly");
		check_that(
		    !memcmp(page, pattern(aligned[i].len, 77), aligned[i].len),
		    "the same");
	}
	check_is(0, sys(ftruncate(plain, 100)), "cut to 100");
	check_is(100, sys(pread(fd, page, 4096, 0)), "direct read at the end");
	check_is(0, sys(pread(fd, page, 4096, 4096)), "direct read behind it");
	free(page);
	(void)close(fd);
	(void)close(plain);
}

static const struct test_case cases[] = {
	TABLE(basics), TABLE(appended), RUN(synced), RUN(places),
	RUN(vectors),  RUN(direct),     { 0 },
};
const struct check_group group_io = { "io", cases };
