/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unlink, unlinkat, rmdir; and files that live on without a name.
 */
#include "posix.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct step names[] = {
	{ FILL, "f", "x" },
	{ UNLINK, "f", .after = "!f .:mtime+ .:ctime+ .:nlink=2" },
	{ UNLINK, "f", .want = -ENOENT, .after = ".:same" },
	{ FILL, "f", "again" },
	{ UNLINKAT, "f", .after = "!f .:mtime+" },
	{ MKDIR, "d", .a = 0755 },
	{ UNLINK, "d", .want = -EISDIR, .after = "d:nlink=2" },
	{ UNLINK, "d/", .want = -EISDIR },
	{ UNLINK, "d/.", .want = -EISDIR },
	{ UNLINK, "d/..", .want = -EISDIR },
	{ UNLINK, ".", .want = -EISDIR },
	{ UNLINKAT, "d", .flags = 0x1000, .want = -EINVAL },
	{ RMDIR, "d", .after = "!d .:mtime+ .:ctime+ .:nlink=2" },
	{ RMDIR, "d", .want = -ENOENT },
	{ MKDIR, "d", .a = 0755 },
	{ RMDIR, "d/", .after = "!d" },
	{ MKDIR, "d", .a = 0755 },
	{ RMDIR, "d/.", .want = -EINVAL },
	{ RMDIR, ".", .want = -EINVAL },
	{ RMDIR, "d/..", .want = -ENOTEMPTY },
	{ RMDIR, "..", .want = -ENOTEMPTY },
	{ UNLINKAT, "d/.", .flags = AT_REMOVEDIR, .want = -EINVAL },
	{ UNLINKAT, "d", .flags = AT_REMOVEDIR, .after = "!d .:mtime+" },
	{ SYMLINK, "l", "f" },
	{ FILL, "f", "x" },
	{ UNLINK, "l", .after = "!l f:text=x f:same" },
	{ MKDIR, "d", .a = 0755 },
	{ SYMLINK, "l", "d" },
	{ RMDIR, "l", .want = -ENOTDIR },
	{ RMDIR, "l/", .want = -ENOTDIR },
	{ UNLINK, "l", .after = "!l d:type=d" },
	{ RMDIR, "f", .want = -ENOTDIR },
	{ 0 }
};

static void not_empty(void)
{
	for (const char *k = KINDS; *k; k++) {
		MAKE(MKDIR, "d", .a = 0755);
		make_kind(*k, "d/in");
		STEP(RMDIR, "d", .want = -ENOTEMPTY, .after = "d:same");
		STEP(UNLINKAT, "d", .flags = AT_REMOVEDIR, .want = -ENOTEMPTY);
		STEP(RMDIR, "d", .as = A, .want = -ENOTEMPTY);
		remove_tree("d/in");
		STEP(RMDIR, "d", .after = "!d");
	}
}

static const struct step permission[] = {
	{ MKDIR, "a", .a = 0755 },
	{ CHOWN, "a", .a = UID_A, .b = GID_A },
	{ FILL, "a/f", "x" },
	{ CHMOD, "a/f", .a = 0666 },
	{ MKDIR, "a/d", .a = 0777 },
	{ UNLINK, "a/f", .as = B, .want = -EACCES },
	{ UNLINK, "a/f", .as = PEER, .want = -EACCES },
	{ RMDIR, "a/d", .as = B, .want = -EACCES },
	{ CHMOD, "a", .a = 0577 },
	{ UNLINK, "a/f", .as = A, .want = -EACCES },
	{ RMDIR, "a/d", .as = A, .want = -EACCES },
	{ CHMOD, "a", .a = 0677 },
	{ UNLINK, "a/f", .as = A, .want = -EACCES },
	{ CHMOD, "a", .a = 0755 },
	{ CHMOD, "a/f", .a = 0 }, /* its own mode says nothing */
	{ UNLINK, "a/f", .as = A, .after = "!a/f" },
	{ RMDIR, "a/d", .as = A, .after = "!a/d a:nlink=2" },
	{ 0 }
};

/* A file that is open lives until it is closed. */
static const struct step unlinked_file[] = {
	{ FILL, "f", "content" },
	{ OPEN, "f", .a = O_RDWR },
	{ UNLINK, "f", .after = "!f" },
	{ READ, .a = 99, .want = 7 },
	{ PWRITE, .q = "more", .b = 7, .want = 4 },
	{ PREAD, .a = 99, .want = 11 },
	{ FTRUNCATE, .a = 3 },
	{ PREAD, .a = 99, .want = 3 },
	{ FTRUNCATE, .a = 100000 },
	{ PREAD, .a = 200000, .want = 100000 },
	{ FCHMOD, .a = 0600 },
	{ FCHOWN, .a = 4, .b = 5 },
	{ FUTIMENS, .a = SEC, .b = 2 * SEC },
	{ FSETXATTR, .q = "user.x", .a = 5 },
	{ FGETXATTR, .q = "user.x", .a = 50, .want = 5 },
	{ FRMXATTR, .q = "user.x" },
	{ FGETXATTR, .q = "user.x", .a = 50, .want = -ENODATA },
	{ FSYNC },
	{ FDATASYNC },
	{ FILL, "f", "another" },
	{ DUP, .a = 1 },
	{ CLOSE },
	{ PREAD, .a = 3, .fd = 1, .want = 3, .after = "f:text=another" },
	{ CLOSE, .fd = 1 },
	{ 0 }
};

static void unlinked_state(void)
{
	struct stat st;
	int fd;

	make_kind('r', "f");
	fd = case_open("f", O_RDWR, 0);
	MAKE(LINK, "f", "g");
	MAKE(UNLINK, "f");
	check_is(0, sys(fstat(fd, &st)), "fstat");
	check_is(1, (int64_t)st.st_nlink, "links after the first unlink");
	MAKE(UNLINK, "g");
	check_is(0, sys(fstat(fd, &st)), "fstat");
	check_is(0, (int64_t)st.st_nlink, "links after the last unlink");
	check_is(10, st.st_size, "its size");
	check_is(0, sys(fchmod(fd, 0604)), "fchmod of it");
	check_is(0, sys(fchown(fd, 4, 5)), "fchown of it");
	check_is(5, sys(pwrite(fd, "12345", 5, 1000000)), "pwrite to it");
	check_is(0, sys(fstat(fd, &st)), "fstat");
	check_is(0604, st.st_mode & 07777, "its mode");
	check_is(4, st.st_uid, "its user");
	check_is(5, st.st_gid, "its group");
	check_is(1000005, st.st_size, "its size");
	check_that(holds_zeros(fd, 10, 999990), "its hole reads as zeros");
	(void)close(fd);
}

static void removed_folder(void)
{
	struct stat st;
	int fd;

	MAKE(MKDIR, "d", .a = 0755);
	fd = case_open("d", O_RDONLY | O_DIRECTORY, 0);
	MAKE(RMDIR, "d");
	check_is(0, sys(fstat(fd, &st)), "fstat of a removed directory");
	check_is(0, (int64_t)st.st_nlink, "its links");
	check_is(-ENOENT, sys(openat(fd, "x", O_CREAT | O_RDWR, 0644)),
		 "a file in it");
	check_is(-ENOENT, sys(mkdirat(fd, "x", 0755)), "a directory in it");
	check_is(-ENOENT, sys(symlinkat("t", fd, "x")), "a symlink in it");
	check_is(-ENOENT, sys(mkfifoat(fd, "x", 0644)), "a fifo in it");
	MAKE(MKFILE, "f", .a = 0644);
	check_is(-ENOENT, sys(linkat(AT_FDCWD, "f", fd, "x", 0)),
		 "a link into it");
	check_is(-ENOENT, sys(renameat(AT_FDCWD, "f", fd, "x")),
		 "a rename into it");
	check_is(-ENOENT, sys(unlinkat(fd, "x", 0)), "unlink in it");
	check_is(-ENOENT, sys(openat(fd, "x", O_RDONLY)), "open in it");
	check_is(0, sys(fchmod(fd, 0700)), "fchmod of it");
	(void)close(fd);
	/* a new one of that name is another */
	MAKE(MKDIR, "d", .a = 0755);
	STEP(MKFILE, "d/x", .a = 0644, .after = "d/x:type=r");
}

static void working_folder(void)
{
	int back = case_open(".", O_RDONLY | O_DIRECTORY, 0);

	MAKE(MKDIR, "d", .a = 0755);
	if (chdir("d"))
		die("chdir: %m");
	STEP(RMDIR, "../d", .after = "!../d");
	STEP(MKFILE, "x", .a = 0644, .want = -ENOENT);
	STEP(MKDIR, "x", .a = 0755, .want = -ENOENT);
	STEP(STAT, ".");
	STEP(STAT, "x", .want = -ENOENT);
	STEP(READDIR, ".", .want = 0);
	if (fchdir(back))
		die("fchdir: %m");
	(void)close(back);
}

static const struct test_case cases[] = {
	TABLE(names),        RUN(not_empty),
	TABLE(permission),   TABLE(unlinked_file),
	RUN(unlinked_state), RUN(removed_folder),
	RUN(working_folder), { 0 },
};
const struct check_group group_remove = { "remove", cases };
