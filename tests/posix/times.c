/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of the three times each call moves, of the file and of its parent,
 * that the other calls leave alone.  Access times are relatime's.
 */
#include "posix.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static const struct step files_[] = {
	{ FILL, "f", "content" },
	{ OPEN, "f", .a = O_RDWR, .after = "f:atime= f:mtime= f:ctime=" },
	{ WRITE, .q = "abc", .want = 3, .after = "f:mtime+ f:ctime+ f:atime=" },
	{ PWRITE, .q = "abc", .b = 100, .want = 3,
	  .after = "f:mtime+ f:ctime+ f:size=103" },
	{ PREAD, .a = 3, .want = 3, .after = "f:atime+ f:mtime= f:ctime=" },
	/* relatime: not again, now that it is newer than the others */
	{ PREAD, .a = 3, .want = 3, .after = "f:atime= f:mtime= f:ctime=" },
	{ FSYNC, .after = "f:atime= f:mtime= f:ctime=" },
	{ FDATASYNC, .after = "f:atime= f:mtime= f:ctime=" },
	{ LSEEK, .a = 9, .want = 9, .after = "f:atime= f:mtime= f:ctime=" },
	{ FTRUNCATE, .a = 50, .after = "f:mtime+ f:ctime+ f:atime=" },
	{ FTRUNCATE, .a = 500, .after = "f:mtime+ f:ctime+ f:atime=" },
	{ CLOSE, .after = "f:atime= f:mtime= f:ctime=" },
	{ STAT, "f", .after = "f:atime= f:mtime= f:ctime=" },
	{ ACCESS, "f", .a = 4, .after = "f:atime= f:mtime= f:ctime=" },
	{ CHMOD, "f", .a = 0600, .after = "f:ctime+ f:mtime= f:atime=" },
	{ CHOWN, "f", .a = 1, .b = 2, .after = "f:ctime+ f:mtime= f:atime=" },
	{ SETXATTR, "f", "user.x", .a = 3,
	  .after = "f:ctime+ f:mtime= f:atime=" },
	{ SETXATTR, "f", "user.x", .a = 4, .after = "f:ctime+ f:mtime=" },
	{ GETXATTR, "f", "user.x", .a = 9, .want = 4,
	  .after = "f:ctime= f:mtime= f:atime=" },
	{ RMXATTR, "f", "user.x", .after = "f:ctime+ f:mtime= f:atime=" },
	{ RMXATTR, "f", "user.x", .want = -ENODATA, .after = "f:ctime=" },
	{ OPEN, "f", .a = O_RDONLY | O_TRUNC,
	  .after = "f:mtime+ f:ctime+ f:size=0" },
	{ OPEN, "f", .a = O_RDWR | O_CREAT, .b = 0600,
	  .after = "f:mtime= f:ctime= .:same" },
	{ WRITE, .q = "", .want = 0, .after = "f:mtime= f:ctime=" },
	{ OPEN, "f", .a = O_RDWR | O_APPEND },
	{ WRITE, .q = "end", .want = 3, .after = "f:mtime+ f:ctime+ f:size=3" },
	{ 0 }
};

static const struct step folders[] = {
	{ MKDIR, "d", .a = 0755, .after = "d:mtime+ .:mtime+ .:ctime+" },
	{ READDIR, "d", .want = 2, .after = "d:atime+ d:mtime= d:ctime=" },
	{ MKFILE, "d/f", .a = 0644, .after = "d:mtime+ d:ctime+ .:same" },
	{ FILL, "d/f", "x", .after = "d:same" },
	{ CHMOD, "d/f", .a = 0600, .after = "d:same" },
	{ CHOWN, "d/f", .a = 1, .b = 1, .after = "d:same" },
	{ UTIMENS, "d/f", .a = 0, .b = 0, .after = "d:same" },
	{ TRUNCATE, "d/f", .a = 0, .after = "d:same" },
	{ SETXATTR, "d/f", "user.x", .a = 1, .after = "d:same" },
	{ OPEN, "d/f", .a = O_RDWR | O_CREAT | O_TRUNC, .b = 0644,
	  .after = "d:same d/f:mtime+" },
	{ OPEN, "d/g", .a = O_RDWR | O_CREAT, .b = 0644,
	  .after = "d:mtime+ d:ctime+" },
	{ LINK, "d/f", "d/h", .after = "d:mtime+ d:ctime+ d/f:ctime+" },
	{ LINK, "d/f", "h", .after = "d:same .:mtime+" },
	{ UNLINK, "d/h", .after = "d:mtime+ d:ctime+ d/f:ctime+ h:ctime+" },
	{ UNLINK, "h", .after = "d:same d/f:ctime+" },
	{ SYMLINK, "d/l", "f", .after = "d:mtime+ d:ctime+" },
	{ MKFIFO, "d/p", .a = 0644, .after = "d:mtime+ d:ctime+" },
	{ MKNOD, "d/c", .a = S_IFCHR, .b = 0x103, .after = "d:mtime+" },
	{ BIND, "d/s", .after = "d:mtime+ d:ctime+" },
	{ MKDIR, "d/d", .a = 0755, .after = "d:mtime+ d:ctime+ d:nlink=3" },
	{ MKDIR, "d/d/d", .a = 0755, .after = "d:same d/d:mtime+" },
	{ RMDIR, "d/d/d", .after = "d:same d/d:mtime+ d/d:ctime+" },
	{ RMDIR, "d/d", .after = "d:mtime+ d:ctime+ d:nlink=2" },
	{ RENAME, "d/f", "d/f2", .after = "d:mtime+ d:ctime+ .:same" },
	{ RENAME, "d/f2", "f", .after = "d:mtime+ .:mtime+ f:ctime+" },
	{ RENAME, "f", "d/g", .after = "d:mtime+ .:mtime+" },
	{ CHMOD, "d", .a = 0711, .after = "d:ctime+ d:mtime= .:same" },
	{ CHOWN, "d", .a = 1, .b = 1, .after = "d:ctime+ d:mtime=" },
	{ SETXATTR, "d", "user.x", .a = 3, .after = "d:ctime+ d:mtime=" },
	{ RENAME, "d", "e", .after = "e:ctime+ .:mtime+ .:ctime+" },
	/* what fails leaves the parent alone */
	{ MKDIR, "e/g", .a = 0755, .want = -EEXIST, .after = "e:same" },
	{ UNLINK, "e/none", .want = -ENOENT },
	{ STAT, ".", .after = "e:same" },
	{ RMDIR, "e", .want = -ENOTEMPTY, .after = "e:same" },
	{ 0 }
};

/* A read moves atime when it is not newer than the others, or a day old. */
static const struct step relatime[] = {
	{ FILL, "f", "content" },
	{ OPEN, "f", .a = O_RDWR },
	{ FUTIMENS, .a = 5 * SEC, .b = 9 * SEC },
	{ DROP },
	{ PREAD, .a = 1, .want = 1, .after = "f:atime+ f:mtime=9" },
	{ FUTIMENS, .a = T_NOW, .b = 9 * SEC },
	{ CHMOD, "f", .a = 0600, .after = "f:ctime+" },
	{ DROP },
	{ PREAD, .a = 1, .want = 1, .after = "f:atime+ f:mtime=9 f:ctime=" },
	{ FUTIMENS, .a = 5 * SEC, .b = 4 * SEC, .after = "f:atime=5" },
	{ DROP },
	{ PREAD, .a = 1, .want = 1, .after = "f:atime+" },
	{ DROP },
	{ PREAD, .a = 1, .want = 1, .after = "f:atime=" },
	{ FUTIMENS, .a = 5 * SEC, .b = 4 * SEC, .after = "f:atime=5" },
	{ PREAD, .a = 1, .want = 1, .limit = LIMIT_CACHED_READ,
	  .after = "f:atime+" },
	{ OPEN, "f", .a = O_RDONLY | O_NOATIME },
	{ FUTIMENS, .a = 5 * SEC, .b = 9 * SEC },
	{ DROP },
	{ PREAD, .a = 1, .want = 1, .after = "f:atime=5" },
	{ MKDIR, "d", .a = 0755 },
	{ UTIMENS, "d", .a = 5 * SEC, .b = 9 * SEC },
	{ READDIR, "d", .want = 2, .after = "d:atime+ d:mtime=9" },
	{ SYMLINK, "l", "f" },
	{ UTIMENS, "l", .a = 5 * SEC, .b = 9 * SEC,
	  .flags = AT_SYMLINK_NOFOLLOW },
	{ READLINK, "l", .want = 1, .after = "l:atime+ l:mtime=9" },
	{ 0 }
};

static void by_mapping(void)
{
	struct stat was, now;
	int fd = case_open("f", O_CREAT | O_RDWR, 0644);
	char *at;

	if (ftruncate(fd, 8192))
		die("ftruncate: %m");
	at = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		die("mmap: %m");
	check_is(0, sys(fstat(fd, &was)), "fstat");
	tick();
	at[100] = 'x';
	check_is(0, sys(msync(at, 8192, MS_SYNC)), "msync");
	check_is(0, sys(fstat(fd, &now)), "fstat");
	check_that(now.st_mtim.tv_sec > was.st_mtim.tv_sec ||
		       now.st_mtim.tv_nsec > was.st_mtim.tv_nsec,
		   "a write to a mapping moves mtime by msync");
	check_that(now.st_ctim.tv_sec > was.st_ctim.tv_sec ||
		       now.st_ctim.tv_nsec > was.st_ctim.tv_nsec,
		   "a write to a mapping moves ctime by msync");
	(void)munmap(at, 8192);
	(void)close(fd);
}

static const struct test_case cases[] = {
	{ "files", files_, NULL }, TABLE(folders), TABLE(relatime),
	RUN(by_mapping),           { 0 },
};
const struct check_group group_times = { "times", cases };
