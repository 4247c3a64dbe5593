/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copy_file_range, and the clones that FUSE never hears of.
 */
#include "posix.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define MIB (1 << 20)

static int64_t copy(int from, off_t at, int to, off_t dest, size_t len)
{
	int64_t done = 0;

	while (len) {
		ssize_t n = copy_file_range(from, &at, to, &dest, len, 0);

		if (n <= 0)
			return done ? done : sys(n);
		done += n;
		len -= (size_t)n;
	}
	return done;
}

static void ranges(void)
{
	static const struct {
		off_t from, to;
		size_t len;
	} tries[] = {
		{ 0, 0, 4096 },
		{ 0, 0, MIB },
		{ 1, 0, 4095 },
		{ 0, 1, 4095 },
		{ 100, 5000, 10 },
		{ 4096, 0, 8192 },
		{ 65536, 4096, 9 },
		{ 12345, 54321, 77777 },
		{ 0, MIB, MIB },
		{ 500000, 999999, 500000 },
		{ 524288, 524288, 524288 },
	};
	int from = case_open("from", O_CREAT | O_RDWR, 0644), to;
	struct stat st;

	check_is(MIB, sys(write(from, pattern(MIB, 1), MIB)), "write");
	for (size_t i = 0; i < COUNT(tries); i++) {
		int64_t len = (int64_t)tries[i].len;
		static uint8_t got[MIB];

		to = case_open("to", O_CREAT | O_TRUNC | O_RDWR, 0644);
		check_is(
		    len,
		    copy(from, tries[i].from, to, tries[i].to, tries[i].len),
		    "copy %zu", i);
		check_is(0, sys(fstat(to, &st)), "fstat");
		check_is(tries[i].to + len, st.st_size, "size after copy %zu",
			 i);
		check_is(len, sys(pread(to, got, tries[i].len, tries[i].to)),
			 "read copy %zu", i);
		check_that(!__builtin_memcmp(got,
					     pattern(MIB, 1) + tries[i].from,
					     tries[i].len),
			   "copy %zu is the same", i);
		check_that(!tries[i].to ||
			       holds_zeros(to, 0, (size_t)tries[i].to),
			   "before copy %zu are zeros", i);
		/* one does not follow the other */
		check_is(1, sys(pwrite(to, "\0", 1, tries[i].to)), "change it");
		check_that(holds_pattern(from, 0, MIB, 1),
			   "the source is as it was");
		(void)close(to);
	}
	(void)close(from);
}

static void inside_one_file(void)
{
	int fd = case_open("f", O_CREAT | O_RDWR, 0644);

	check_is(MIB, sys(write(fd, pattern(MIB, 1), MIB)), "write");
	check_is(MIB, copy(fd, 0, fd, MIB, MIB), "copy behind itself");
	check_that(holds_pattern(fd, MIB, MIB, 1), "the copy");
	check_that(holds_pattern(fd, 0, MIB, 1), "the source");
	check_is(-EINVAL, copy(fd, 0, fd, 100, 200), "ranges that overlap");
	check_is(-EINVAL, copy(fd, 100, fd, 0, 200), "the other way");
	check_is(-EINVAL, copy(fd, 0, fd, 0, 10), "onto itself");
	check_is(10, copy(fd, 0, fd, 10, 10), "side by side");
	(void)close(fd);
}

static void ends_and_errors(void)
{
	int from, to, dir, ro, fifo, append;
	off_t zero = 0, neg = -5;

	MAKE(FILL, "from", "0123456789");
	MAKE(MKFIFO, "p", .a = 0644);
	from = case_open("from", O_RDWR, 0);
	to = case_open("to", O_CREAT | O_RDWR, 0644);
	ro = case_open("to", O_RDONLY, 0);
	append = case_open("to", O_WRONLY | O_APPEND, 0);
	dir = case_open(".", O_RDONLY | O_DIRECTORY, 0);
	fifo = case_open("p", O_RDWR, 0);
	check_is(5, copy(from, 5, to, 0, 100), "to the end of the source");
	check_is(0, copy(from, 10, to, 0, 100), "from its end");
	check_is(0, copy(from, 1000, to, 0, 100), "from behind its end");
	check_is(0, copy(from, 0, to, 0, 0), "nothing");
	STEP(LSTAT, "to", .after = "to:text=56789 to:mtime= from:mtime=");
	check_is(-EBADF, copy(to, 0, ro, 0, 1), "to a file open for reading");
	check_is(-EBADF, copy(from, 0, append, 0, 1), "to one for appending");
	check_is(-EISDIR, copy(dir, 0, to, 0, 1), "from a directory");
	check_is(-EISDIR, copy(from, 0, dir, 0, 1), "to a directory");
	check_is(-EINVAL, sys(copy_file_range(fifo, NULL, to, &zero, 1, 0)),
		 "from a fifo");
	check_is(-EINVAL, sys(copy_file_range(from, &neg, to, &zero, 1, 0)),
		 "from below zero");
	check_is(-EINVAL, sys(copy_file_range(from, &zero, to, &neg, 1, 0)),
		 "to below zero");
	check_is(-EINVAL, sys(copy_file_range(from, &zero, to, &zero, 1, 1)),
		 "a flag that is none");
	check_is(-EBADF, sys(copy_file_range(-1, &zero, to, &zero, 1, 0)),
		 "from no file");
	/* without offsets, the files' own */
	check_is(4, sys(lseek(from, 4, SEEK_SET)), "lseek");
	check_is(2, sys(lseek(to, 2, SEEK_SET)), "lseek");
	check_is(3, sys(copy_file_range(from, NULL, to, NULL, 3, 0)), "copy");
	check_is(7, sys(lseek(from, 0, SEEK_CUR)), "the source's offset");
	check_is(5, sys(lseek(to, 0, SEEK_CUR)), "the target's offset");
	STEP(LSTAT, "to", .after = "to:text=56456");
	(void)close(from), (void)close(to), (void)close(ro);
	(void)close(dir), (void)close(fifo), (void)close(append);
}

static void times_and_bits(void)
{
	struct stat was, now;
	int from, to;

	MAKE(FILL, "from", "0123456789");
	MAKE(FILL, "to", "x");
	MAKE(CHOWN, "to", .a = UID_B, .b = GID_B);
	MAKE(CHMOD, "to", .a = 06777);
	from = case_open("from", O_RDONLY, 0);
	to = case_open("to", O_RDWR, 0);
	check_is(0, sys(fstat(to, &was)), "fstat");
	tick();
	become(A);
	check_is(10, copy(from, 0, to, 0, 10), "copy as A");
	become(ROOT);
	check_is(0, sys(fstat(to, &now)), "fstat");
	check_that(now.st_mtim.tv_sec > was.st_mtim.tv_sec ||
		       now.st_mtim.tv_nsec > was.st_mtim.tv_nsec,
		   "mtime of the target has moved");
	check_is(0777, now.st_mode & 07777, "set-id bits of the target");
	(void)close(from);
	(void)close(to);
}

/* A clone, on a file system that can; ext4 can not. */
static void clones(void)
{
	int from, to;

	MAKE(FILL, "from", "0123456789");
	from = case_open("from", O_RDWR, 0);
	to = case_open("to", O_CREAT | O_RDWR, 0644);
	check_is(-EOPNOTSUPP, sys(ioctl(to, FICLONE, from)),
		 "FICLONE: the kernel itself says so, for FUSE and ext4");
	(void)close(from);
	(void)close(to);
	STEP(LSTAT, "to", .after = "to:size=0");
}

static const struct test_case cases[] = {
	RUN(ranges),         RUN(inside_one_file), RUN(ends_and_errors),
	RUN(times_and_bits), RUN(clones),          { 0 },
};
const struct check_group group_copy_range = { "copy-range", cases };
