/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Big files, all of them holes: offsets past 4 GiB and up to 16 TiB, what is
 * too big, and that removing them takes no time.
 */
#include "posix.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define GIB (INT64_C(1) << 30)
#define TIB (INT64_C(1) << 40)

static void offsets(void)
{
	static const int64_t at[] = { 2 * GIB - 1,
				      2 * GIB,
				      4 * GIB - 1,
				      4 * GIB,
				      4 * GIB + 1,
				      100 * GIB,
				      TIB,
				      TIB + 12345,
				      8 * TIB - 1,
				      15 * TIB,
				      16 * TIB - 3 * 4096 };
	int fd = case_open("f", O_CREAT | O_RDWR, 0644);
	struct stat st;
	char c;

	for (size_t i = 0; i < COUNT(at); i++) {
		char mark = (char)('a' + i);

		check_is(1, sys(pwrite(fd, &mark, 1, at[i])), "write at %lld",
			 (long long)at[i]);
		check_is(0, sys(fstat(fd, &st)), "fstat");
		check_is(at[i] + 1, st.st_size, "its size");
		check_is(at[i], sys(lseek(fd, -1, SEEK_END)), "seek there");
		check_is(1, sys(read(fd, &c, 1)), "read there");
		check_is(mark, c, "what was written");
		check_is(1, sys(pread(fd, &c, 1, at[i] - 1)), "before it");
	}
	for (size_t i = 0; i < COUNT(at); i++) {
		check_is(1, sys(pread(fd, &c, 1, at[i])), "read at %lld",
			 (long long)at[i]);
		check_is('a' + (int64_t)i, c, "what was written");
	}
	check_that(st.st_blocks < 100000, "its blocks: %lld",
		   (long long)st.st_blocks);
	for (size_t i = COUNT(at); i--;) {
		check_is(0, sys(ftruncate(fd, at[i])), "cut to %lld",
			 (long long)at[i]);
		check_is(0, sys(fstat(fd, &st)), "fstat");
		check_is(at[i], st.st_size, "its size");
	}
	(void)close(fd);
}

/* Where it ends is each file system's; that it ends is seen here. */
static void too_big(void)
{
	int fd = case_open("f", O_CREAT | O_RDWR, 0644);
	int64_t r = sys(ftruncate(fd, INT64_MAX));
	struct stat st;
	char c = 'x';

	check_that(r == 0 || r == -EFBIG, "the largest length: %lld",
		   (long long)r);
	check_is(0, sys(fstat(fd, &st)), "fstat");
	check_is(r ? 0 : INT64_MAX, st.st_size, "its size");
	check_is(0, sys(ftruncate(fd, 0)), "back to nothing");
	check_is(-EINVAL, sys(pwrite(fd, &c, 1, INT64_MAX)),
		 "a write that ends behind the largest offset");
	r = sys(pwrite(fd, &c, 1, INT64_MAX - 1));
	check_that(r == 1 || r == -EFBIG, "a write that ends there: %lld",
		   (long long)r);
	check_is(0, sys(ftruncate(fd, 0)), "back to nothing");
	check_is(-EINVAL, sys(pwrite(fd, &c, 1, INT64_MIN)),
		 "a write at the smallest");
	check_is(-EINVAL, sys(ftruncate(fd, INT64_MIN)), "a length below 0");
	check_is(0, sys(pread(fd, &c, 1, INT64_MAX - 1)),
		 "a read at the largest offset");
	check_is(-EINVAL, sys(lseek(fd, INT64_MIN, SEEK_SET)), "a seek");
	check_is(0, sys(fstat(fd, &st)), "fstat");
	check_is(0, st.st_size, "its size");
	(void)close(fd);
}

/* setrlimit(2): as far as the limit a write is cut, beyond it EFBIG. */
static void file_size_limit(void)
{
	struct rlimit was, limit = { .rlim_cur = 1000 };
	int fd = case_open("f", O_CREAT | O_RDWR, 0644);
	char bytes[100] = "";

	(void)signal(SIGXFSZ, SIG_IGN);
	if (getrlimit(RLIMIT_FSIZE, &was))
		die("getrlimit: %m");
	limit.rlim_max = was.rlim_max;
	if (setrlimit(RLIMIT_FSIZE, &limit))
		die("setrlimit: %m");
	check_is(100, sys(pwrite(fd, bytes, 100, 900)), "up to the limit");
	check_is(50, sys(pwrite(fd, bytes, 100, 950)), "across the limit");
	check_is(-EFBIG, sys(pwrite(fd, bytes, 100, 1000)), "at the limit");
	check_is(-EFBIG, sys(pwrite(fd, bytes, 1, 5000)), "behind it");
	check_is(-EFBIG, sys(ftruncate(fd, 1001)), "ftruncate beyond it");
	check_is(0, sys(ftruncate(fd, 1000)), "ftruncate to it");
	check_is(-EFBIG, sys(truncate("f", 2000)), "truncate beyond it");
	check_is(0, sys(truncate("f", 10)), "truncate below it");
	if (setrlimit(RLIMIT_FSIZE, &was))
		die("setrlimit: %m");
	(void)signal(SIGXFSZ, SIG_DFL);
	(void)close(fd);
}

static int64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void quick_removal(void)
{
	int64_t start;
	int fd = case_open("f", O_CREAT | O_RDWR, 0644);
	const int64_t most = 16 * TIB - 2 * 4096;

	check_is(0, sys(ftruncate(fd, most)), "16 TiB");
	for (int i = 0; i < 64; i++)
		check_is(
		    4096,
		    sys(pwrite(fd, pattern(4096, 1), 4096, i * (most / 64))),
		    "a page of it");
	check_is(0, sys(fsync(fd)), "fsync");
	start = now_ms();
	check_is(0, sys(ftruncate(fd, 1)), "cut it");
	check_that(now_ms() - start < 3000, "cutting it took %lld ms",
		   (long long)(now_ms() - start));
	check_is(0, sys(ftruncate(fd, most)), "16 TiB again");
	check_that(holds_zeros(fd, most / 64, 4096), "what was cut is gone");
	start = now_ms();
	(void)close(fd);
	STEP(UNLINK, "f", .after = "!f");
	check_that(now_ms() - start < 3000, "removing it took %lld ms",
		   (long long)(now_ms() - start));
}

static const struct test_case cases[] = {
	RUN(offsets),       RUN(too_big), RUN(file_size_limit),
	RUN(quick_removal), { 0 },
};
const struct check_group group_big = { "big", cases };
