/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fallocate and posix_fallocate: each mode, sizes, blocks, errors; and that
 * what was punched or zeroed reads as zeros and its neighbours do not.
 */
#include "posix.h"

#include <errno.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <unistd.h>

#define KEEP  FALLOC_FL_KEEP_SIZE
#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define ZERO  FALLOC_FL_ZERO_RANGE

static const struct step errors[] = {
	{ FILL, "f", "content" },
	{ OPEN, "f", .a = O_RDWR },
	{ FALLOCATE, .a = 0, .b = 0, .want = -EINVAL },
	{ FALLOCATE, .a = 0, .b = -1, .want = -EINVAL },
	{ FALLOCATE, .a = -1, .b = 10, .want = -EINVAL },
	{ FALLOCATE, .a = INT64_MAX, .b = 10, .want = -EFBIG },
	{ FALLOCATE, .a = 10, .b = INT64_MAX, .want = -EFBIG },
	{ FALLOCATE, .flags = FALLOC_FL_PUNCH_HOLE, .a = 0, .b = 10,
	  .want = -EOPNOTSUPP },
	{ FALLOCATE, .flags = 0x8000, .a = 0, .b = 10, .want = -EOPNOTSUPP },
	{ FALLOCATE, .flags = PUNCH | ZERO, .a = 0, .b = 10,
	  .want = -EOPNOTSUPP },
	{ PFALLOC, .a = 0, .b = 0, .want = -EINVAL },
	{ PFALLOC, .a = -1, .b = 10, .want = -EINVAL },
	{ PFALLOC, .a = 0, .b = -10, .want = -EINVAL },
	{ PFALLOC, .a = INT64_MAX, .b = 1, .want = -EFBIG },
	{ OPEN, "f", .a = O_RDONLY, .fd = 1 },
	{ FALLOCATE, .b = 10, .fd = 1, .want = -EBADF },
	{ FALLOCATE, .flags = PUNCH, .b = 10, .fd = 1, .want = -EBADF },
	{ PFALLOC, .b = 10, .fd = 1, .want = -EBADF },
	{ OPEN, ".", .a = O_RDONLY, .fd = 2 },
	{ FALLOCATE, .b = 10, .fd = 2, .want = -EBADF },
	{ MKFIFO, "p", .a = 0644 },
	{ OPEN, "p", .a = O_RDWR, .fd = 3 },
	{ FALLOCATE, .b = 10, .fd = 3, .want = -ESPIPE },
	{ PFALLOC, .b = 10, .fd = 3, .want = -ESPIPE },
	{ FALLOCATE, .b = 10, .fd = 7, .want = -EBADF },
	{ STAT, "f", .after = "f:text=content" },
	{ 0 }
};

static const struct step sizes[] = {
	{ FILL, "f", "content" },
	{ OPEN, "f", .a = O_RDWR },
	{ FALLOCATE, .a = 0, .b = 100,
	  .after = "f:size=100 f:mtime+ f:ctime+ f:atime=" },
	{ FALLOCATE, .a = 50, .b = 50, .after = "f:size=100" },
	{ FALLOCATE, .a = 1000000, .b = 1, .after = "f:size=1000001" },
	{ FALLOCATE, .flags = KEEP, .a = 0, .b = 5000000,
	  .after = "f:size=1000001 f:ctime+" },
	{ PFALLOC, .a = 2000000, .b = 10,
	  .after = "f:size=2000010 f:mtime+ f:ctime+" },
	{ PFALLOC, .a = 0, .b = 10, .after = "f:size=2000010" },
	{ FALLOCATE, .flags = PUNCH, .a = 0, .b = 3,
	  .after = "f:size=2000010 f:mtime+ f:ctime+" },
	{ FALLOCATE, .flags = PUNCH, .a = 3000000, .b = 10,
	  .after = "f:size=2000010" },
	{ FALLOCATE, .flags = ZERO, .a = 0, .b = 5,
	  .after = "f:size=2000010 f:mtime+ f:ctime+" },
	{ FALLOCATE, .flags = ZERO, .a = 2000000, .b = 100,
	  .after = "f:size=2000100" },
	{ FALLOCATE, .flags = ZERO | KEEP, .a = 2000000, .b = 1000,
	  .after = "f:size=2000100" },
	{ OPEN, "f", .a = O_WRONLY | O_APPEND, .fd = 1 },
	{ FALLOCATE, .a = 0, .b = 3000000, .fd = 1, .after = "f:size=3000000" },
	{ CHMOD, "f", .a = 06777 },
	{ CHOWN, "f", .a = UID_A, .b = GID_A },
	{ CHMOD, "f", .a = 06777 },
	{ FALLOCATE, .a = 0, .b = 4000000, .as = B,
	  .after = "f:mode=0777 f:size=4000000" },
	{ CHMOD, "f", .a = 06777 },
	{ FALLOCATE, .flags = PUNCH, .a = 0, .b = 4096, .as = B,
	  .after = "f:mode=0777" },
	{ 0 }
};

/* The modes that fs/fuse has no message for. */
static const struct step kernel_only[] = {
	{ FILL, "f", "content" },
	{ TRUNCATE, "f", .a = 65536 },
	{ OPEN, "f", .a = O_RDWR },
	{ FALLOCATE, .flags = FALLOC_FL_COLLAPSE_RANGE, .a = 4096, .b = 4096,
	  .limit = LIMIT_FALLOC_MODE },
	{ FALLOCATE, .flags = FALLOC_FL_INSERT_RANGE, .a = 4096, .b = 4096,
	  .limit = LIMIT_FALLOC_MODE },
	{ STAT, "f", .after = "f:size=65536" },
	{ 0 }
};

/* Punched or zeroed: zeros there, nothing else has changed. */
static void zeros(int flags, const char *what)
{
	static const struct {
		off_t at;
		size_t len;
	} ranges[] = {
		{ 0, 1 },           { 0, 4096 },       { 1, 4095 },
		{ 4095, 2 },        { 5000, 20000 },   { 65536, 65536 },
		{ 65535, 65538 },   { 0, 262144 },     { 100000, 900000 },
		{ 1048575, 2 },     { 1048576, 4096 }, { 1000000, 100000 },
		{ 1500000, 72864 },
	};
	const size_t half = 1 << 20, len = 2 * half;
	int fd = case_open("f", O_CREAT | O_RDWR, 0644);

	for (size_t i = 0; i < COUNT(ranges); i++) {
		off_t at = ranges[i].at, end = at + (off_t)ranges[i].len;
		struct stat st;
		uint8_t c = 0;

		check_is(0, sys(ftruncate(fd, 0)), "empty it");
		check_is((int64_t)half,
			 sys(pwrite(fd, pattern(half, 1), half, 0)), "write");
		check_is((int64_t)half,
			 sys(pwrite(fd, pattern(half, 1), half, (off_t)half)),
			 "write");
		if (!check_is(0, sys(fallocate(fd, flags, at, end - at)),
			      "%s %lld to %lld", what, (long long)at,
			      (long long)end))
			continue;
		check_that(holds_zeros(fd, at, ranges[i].len),
			   "%s %lld to %lld: zeros", what, (long long)at,
			   (long long)end);
		if (at)
			check_is(1, sys(pread(fd, &c, 1, at - 1)) + !c,
				 "the byte before is as it was");
		if (end < (off_t)len)
			check_is(1, sys(pread(fd, &c, 1, end)) + !c,
				 "the byte behind is as it was");
		check_is(0, sys(fstat(fd, &st)), "fstat");
		check_is((int64_t)len, st.st_size, "its size");
		check_is(1, sys(pwrite(fd, "x", 1, at)), "write into it");
		check_is(1, sys(pread(fd, &c, 1, at)), "read it");
		check_is('x', c, "what was written there");
	}
	(void)close(fd);
}

static void punch(void)
{
	zeros(PUNCH, "punch");
}

static void zero(void)
{
	zeros(ZERO, "zero");
}

/* What was allocated is counted, reads as zeros, and punching gives back. */
static void blocks(void)
{
	struct stat before, after;
	int fd = case_open("f", O_CREAT | O_RDWR, 0644);

	check_is(0, sys(fallocate(fd, 0, 0, 8 << 20)), "allocate 8 MiB");
	check_is(0, sys(fstat(fd, &after)), "fstat");
	check_is(8 << 20, after.st_size, "its size");
	check_that(after.st_blocks >= (8 << 20) / 512, "its blocks: %lld",
		   (long long)after.st_blocks);
	check_that(holds_zeros(fd, 0, 1 << 20), "it reads as zeros");
	check_that(holds_zeros(fd, 7 << 20, 1 << 20), "to its end");
	for (int i = 0; i < 8; i++)
		check_is(1 << 20,
			 sys(pwrite(fd, pattern(1 << 20, 4), 1 << 20, i << 20)),
			 "fill MiB %d", i);
	check_is(0, sys(fsync(fd)), "fsync");
	check_is(0, sys(fstat(fd, &before)), "fstat");
	check_that(before.st_blocks >= (8 << 20) / 512, "its blocks: %lld",
		   (long long)before.st_blocks);
	check_is(0, sys(fallocate(fd, PUNCH, 1 << 20, 6 << 20)), "punch 6 MiB");
	check_is(0, sys(fsync(fd)), "fsync");
	check_is(0, sys(fstat(fd, &after)), "fstat");
	check_that(after.st_blocks <= before.st_blocks - (5 << 20) / 512,
		   "blocks before %lld, after %lld",
		   (long long)before.st_blocks, (long long)after.st_blocks);
	check_that(holds_pattern(fd, 0, 1 << 20, 4), "what is before");
	check_that(holds_pattern(fd, 7 << 20, 1 << 20, 4), "what is behind");
	check_that(holds_zeros(fd, 3 << 20, 1 << 20), "what is between");
	(void)close(fd);
}

static const struct test_case cases[] = {
	TABLE(errors), TABLE(sizes), TABLE(kernel_only), RUN(punch), RUN(zero),
	RUN(blocks),   { 0 },
};
const struct check_group group_allocate = { "allocate", cases };
