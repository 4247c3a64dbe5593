/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stat, statfs and statx say of space and of the file system.
 */
#include "posix.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

static void whole(void)
{
	struct statfs s;
	struct statvfs v;

	MAKE(FILL, "f", "x");
	check_is(0, sys(statfs("f", &s)), "statfs");
	check_is(0, sys(statvfs(".", &v)), "statvfs");
	check_that(s.f_bsize >= 512 && !(s.f_bsize & (s.f_bsize - 1)),
		   "block size %ld", (long)s.f_bsize);
	check_that(s.f_frsize >= 512, "fragment size %ld", (long)s.f_frsize);
	check_that(s.f_blocks > 0, "there are blocks");
	check_that(s.f_bfree <= s.f_blocks, "free blocks are blocks");
	check_that(s.f_bavail <= s.f_bfree, "what users may have is free");
	check_that(s.f_bavail > 0, "there is room");
	check_that(s.f_files == 0 || s.f_ffree <= s.f_files,
		   "free inodes are inodes");
	check_is(255, s.f_namelen, "the longest name");
	check_is(255, (int64_t)v.f_namemax, "the longest name, statvfs");
	check_is((int64_t)s.f_blocks, (int64_t)v.f_blocks, "both say the same");
	check_that(!(v.f_flag & ST_RDONLY), "it can be written");
	check_is(255, pathconf("f", _PC_NAME_MAX), "_PC_NAME_MAX");
	check_is(4096, pathconf("f", _PC_PATH_MAX), "_PC_PATH_MAX");
	check_that(pathconf("f", _PC_LINK_MAX) > 1, "_PC_LINK_MAX");
	check_is(1, pathconf("f", _PC_CHOWN_RESTRICTED), "chown is root's");
	check_is(1, pathconf("f", _PC_NO_TRUNC), "long names are refused");
	STEP(STATFS, "f", .as = A);
	STEP(STATFS, "none", .want = -ENOENT);
}

static int64_t used(void)
{
	struct statfs s;

	if (statfs(".", &s))
		die("statfs: %m");
	return (int64_t)(s.f_files - s.f_ffree);
}

/* statvfs(3) does not say when: within a few seconds */
static int64_t used_at_last(int64_t want)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	int64_t now = used();

	for (int i = 0; i < 250 && now != want; i++) {
		(void)nanosleep(&pause, NULL);
		now = used();
	}
	return now;
}

/* When nothing of what earlier cases removed is under way any more. */
static int64_t used_at_rest(void)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	int64_t now = used();

	for (int still = 0; still < 75; still++) {
		(void)nanosleep(&pause, NULL);
		if (now != used())
			still = 0;
		now = used();
	}
	return now;
}

/* A hundred files are a hundred inodes, and give them back. */
static void inodes(void)
{
	int64_t was = used_at_rest();
	char name[16];

	for (int i = 0; i < 100; i++) {
		(void)snprintf(name, sizeof(name), "f%d", i);
		MAKE(MKFILE, name, .a = 0644);
	}
	check_is(was + 100, used_at_last(was + 100), "inodes in use");
	for (int i = 0; i < 100; i++) {
		(void)snprintf(name, sizeof(name), "f%d", i);
		MAKE(UNLINK, name);
	}
	check_is(was, used_at_last(was), "inodes in use after removing them");
}

static void blocks(void)
{
	int fd = case_open("f", O_CREAT | O_RDWR, 0644);
	struct stat st;

	check_is(0, sys(fstat(fd, &st)), "fstat");
	check_is(0, st.st_blocks, "blocks of an empty file");
	check_that(st.st_blksize >= 512, "st_blksize %ld", (long)st.st_blksize);
	check_is(0, sys(ftruncate(fd, 100 << 20)), "a hole of 100 MiB");
	check_is(0, sys(fstat(fd, &st)), "fstat");
	check_that(st.st_blocks < 100, "blocks of a hole: %lld",
		   (long long)st.st_blocks);
	for (int i = 0; i < 4; i++)
		check_is(1 << 20,
			 sys(pwrite(fd, pattern(1 << 20, 1), 1 << 20,
				    (off_t)i * (20 << 20))),
			 "1 MiB of data");
	check_is(0, sys(fstat(fd, &st)), "fstat");
	check_that(st.st_blocks >= 8192, "not yet synced: %lld blocks",
		   (long long)st.st_blocks);
	check_is(0, sys(fsync(fd)), "fsync");
	check_is(0, sys(fstat(fd, &st)), "fstat");
	check_that(st.st_blocks >= 8192 && st.st_blocks < 3 * 8192,
		   "4 MiB of random bytes are %lld blocks",
		   (long long)st.st_blocks);
	check_is(0, sys(ftruncate(fd, 1 << 20)), "cut to 1 MiB");
	check_is(0, sys(fstat(fd, &st)), "fstat");
	check_that(st.st_blocks >= 2048 && st.st_blocks < 3 * 2048,
		   "1 MiB is %lld blocks", (long long)st.st_blocks);
	check_is(0, sys(ftruncate(fd, 0)), "cut to nothing");
	check_is(0, sys(fstat(fd, &st)), "fstat");
	check_that(st.st_blocks < 8, "blocks of nothing: %lld",
		   (long long)st.st_blocks);
	(void)close(fd);
	/* an overwrite is not counted twice */
	fd = case_open("f", O_RDWR, 0);
	for (int i = 0; i < 8; i++)
		check_is(1 << 20,
			 sys(pwrite(fd, pattern(1 << 20, 1), 1 << 20, 0)),
			 "the same MiB");
	check_is(0, sys(fsync(fd)), "fsync");
	check_is(0, sys(fstat(fd, &st)), "fstat");
	check_that(st.st_blocks < 3 * 2048, "written 8 times: %lld blocks",
		   (long long)st.st_blocks);
	(void)close(fd);
}

/* One number for each inode, in stat, statx and readdir; one device. */
static void identity(void)
{
	struct stat a, b, dir;
	struct statx x;

	MAKE(FILL, "f", "x");
	MAKE(MKDIR, "d", .a = 0755);
	MAKE(LINK, "f", "d/g");
	check_is(0, sys(stat("f", &a)), "stat");
	check_is(0, sys(stat("d/g", &b)), "stat");
	check_is(0, sys(stat("d", &dir)), "stat");
	check_that(a.st_ino == b.st_ino, "two names, one inode");
	check_that(a.st_dev == b.st_dev && a.st_dev == dir.st_dev,
		   "all is one device");
	check_that(a.st_ino != dir.st_ino, "another inode, another number");
	check_is(0,
		 sys(statx(AT_FDCWD, "f", AT_STATX_FORCE_SYNC,
			   STATX_BASIC_STATS, &x)),
		 "statx");
	check_is((int64_t)a.st_ino, (int64_t)x.stx_ino, "statx's inode");
	check_is(a.st_mode, x.stx_mode, "statx's mode");
	check_is((int64_t)a.st_size, (int64_t)x.stx_size, "statx's size");
	check_is(a.st_mtim.tv_sec, x.stx_mtime.tv_sec, "statx's mtime");
	check_is((int64_t)(x.stx_mask & STATX_BASIC_STATS), STATX_BASIC_STATS,
		 "statx knows all of the basic ones");
	check_is(0, sys(statx(AT_FDCWD, "f", 0, STATX_BTIME, &x)), "statx");
	checks_limit(LIMIT_BTIME);
	check_that((x.stx_mask & STATX_BTIME) && x.stx_btime.tv_sec > 0 &&
		       x.stx_btime.tv_sec <= a.st_ctim.tv_sec,
		   "the time of birth");
	checks_limit(NO_LIMIT);
}

/* What is no ioctl of it is not passed on to anything below. */
static void unknown_ioctl(void)
{
	int fd, value = 0;

	MAKE(FILL, "f", "x");
	fd = case_open("f", O_RDWR, 0);
	check_is(-ENOTTY, sys(ioctl(fd, 0x1234, &value)), "ioctl 0x1234");
	check_is(-ENOTTY, sys(ioctl(fd, 0x5401, &value)), "a terminal's");
	check_is(-ENOTTY, sys(ioctl(fd, BLKGETSIZE64, &value)), "a disk's");
	check_is(0, sys(ioctl(fd, FIOCLEX)), "the kernel's own, FIOCLEX");
	check_is(0, sys(ioctl(fd, FIGETBSZ, &value)), "FIGETBSZ");
	check_that(value >= 512, "a block size of %d", value);
	(void)close(fd);
}

static const struct test_case cases[] = {
	RUN(whole),    RUN(inodes),        RUN(blocks),
	RUN(identity), RUN(unknown_ioctl), { 0 },
};
const struct check_group group_space = { "space", cases };
