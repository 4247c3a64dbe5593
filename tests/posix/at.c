/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls that start at an open directory: from a directory that was moved,
 * from what is no directory, from no file at all, and with absolute paths.
 */
#include "posix.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef int64_t at_fn(int dir, const char *path);

static int64_t at_open(int dir, const char *path)
{
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : sys(close(fd));
}

static int64_t at_create(int dir, const char *path)
{
	int fd = openat(dir, path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	return fd < 0 ? -errno : sys(close(fd));
}

static int64_t at_mkdir(int dir, const char *path)
{
	return sys(mkdirat(dir, path, 0755));
}

static int64_t at_mkfifo(int dir, const char *path)
{
	return sys(mkfifoat(dir, path, 0644));
}

static int64_t at_mknod(int dir, const char *path)
{
	return sys(mknodat(dir, path, S_IFREG | 0644, 0));
}

static int64_t at_symlink(int dir, const char *path)
{
	return sys(symlinkat("target", dir, path));
}

static int64_t at_link(int dir, const char *path)
{
	return sys(linkat(AT_FDCWD, "other", dir, path, 0));
}

static int64_t at_rename(int dir, const char *path)
{
	return sys(renameat(AT_FDCWD, "other", dir, path));
}

static int64_t at_stat(int dir, const char *path)
{
	struct stat st;

	return sys(fstatat(dir, path, &st, 0));
}

static int64_t at_lstat(int dir, const char *path)
{
	struct stat st;

	return sys(fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW));
}

static int64_t at_access(int dir, const char *path)
{
	return sys(faccessat(dir, path, R_OK, 0));
}

static int64_t at_chmod(int dir, const char *path)
{
	return sys(fchmodat(dir, path, 0640, 0));
}

static int64_t at_chown(int dir, const char *path)
{
	return sys(fchownat(dir, path, 1, 2, 0));
}

static int64_t at_utimens(int dir, const char *path)
{
	return sys(utimensat(dir, path, NULL, 0));
}

static int64_t at_unlink(int dir, const char *path)
{
	return sys(unlinkat(dir, path, 0));
}

static const struct {
	const char *name;
	at_fn *call;
	bool makes;
} calls[] = {
	{ "openat", at_open, false },
	{ "fstatat", at_stat, false },
	{ "fstatat, no follow", at_lstat, false },
	{ "faccessat", at_access, false },
	{ "fchmodat", at_chmod, false },
	{ "fchownat", at_chown, false },
	{ "utimensat", at_utimens, false },
	{ "unlinkat", at_unlink, false },
	{ "openat, create", at_create, true },
	{ "mkdirat", at_mkdir, true },
	{ "mkfifoat", at_mkfifo, true },
	{ "mknodat", at_mknod, true },
	{ "symlinkat", at_symlink, true },
	{ "linkat", at_link, true },
	{ "renameat", at_rename, true },
};

/* There is a file of that name, or there is none, as the call needs it. */
static void prepare(bool makes, const char *path)
{
	remove_tree(path);
	remove_tree("other");
	make_kind('r', "other");
	if (!makes)
		make_kind('r', path);
}

static void every_call(void)
{
	char absolute[PATH_MAX + 8], cwd[PATH_MAX];
	int dir, file;

	if (!getcwd(cwd, sizeof(cwd)))
		die("getcwd: %m");
	MAKE(MKDIR, "d", .a = 0755);
	MAKE(MKFILE, "file", .a = 0644);
	file = case_open("file", O_RDONLY, 0);
	dir = case_open("d", O_RDONLY | O_DIRECTORY, 0);
	MAKE(RENAME, "d", "moved"); /* it is the directory, not the name */
	(void)snprintf(absolute, sizeof(absolute), "%s/moved/x", cwd);
	for (size_t i = 0; i < COUNT(calls); i++) {
		const char *name = calls[i].name;
		bool makes = calls[i].makes;

		prepare(makes, "moved/x");
		check_is(0, calls[i].call(dir, "x"), "%s", name);
		prepare(makes, "moved/x");
		check_is(0, calls[i].call(AT_FDCWD, "moved/x"),
			 "%s from the working directory", name);
		prepare(makes, "moved/x");
		check_is(0, calls[i].call(dir, "../moved/x"), "%s by ..", name);
		prepare(makes, "moved/x");
		check_is(-ENOTDIR, calls[i].call(file, "x"), "%s from a file",
			 name);
		check_is(-EBADF, calls[i].call(-1, "x"), "%s from nowhere",
			 name);
		check_is(-EBADF, calls[i].call(4321, "x"),
			 "%s from a closed file", name);
		check_is(-ENOENT, calls[i].call(dir, "none/x"),
			 "%s on a wrong way", name);
		check_is(-ENOENT, calls[i].call(dir, ""), "%s of nothing",
			 name);
		check_is(0, calls[i].call(-1, absolute),
			 "%s, absolute: the directory does not count", name);
	}
	(void)close(dir);
	(void)close(file);
}

/* AT_EMPTY_PATH: the open file itself, a symbolic link too. */
static void the_file_itself(void)
{
	struct stat st;
	int fd;

	make_kind('r', "f");
	fd = case_open("f", O_PATH, 0);
	check_is(0, sys(fchownat(fd, "", 3, 4, AT_EMPTY_PATH)), "fchownat");
	STEP(LSTAT, "f", .after = "f:uid=3 f:gid=4");
	check_is(0, sys(fstatat(fd, "", &st, AT_EMPTY_PATH)), "fstatat");
	check_is(3, st.st_uid, "its owner");
	(void)close(fd);
	MAKE(SYMLINK, "l", "f");
	fd = case_open("l", O_PATH | O_NOFOLLOW, 0);
	check_is(0, sys(fchownat(fd, "", 5, 6, AT_EMPTY_PATH)),
		 "fchownat of a symbolic link");
	STEP(LSTAT, "l", .after = "l:uid=5 f:uid=3 l:link=f");
	check_is(0, sys(fstatat(fd, "", &st, AT_EMPTY_PATH)), "fstatat");
	check_that(S_ISLNK(st.st_mode), "it is the link");
	check_is(1, sys(readlinkat(fd, "", (char[4]){ 0 }, 4)), "readlinkat");
	(void)close(fd);
	check_is(-EOPNOTSUPP,
		 sys(fchmodat(AT_FDCWD, "l", 0600, AT_SYMLINK_NOFOLLOW)),
		 "fchmodat of a symbolic link");
	STEP(LSTAT, "l", .after = "l:mode=0777 f:mode=0644");
}

static const struct test_case cases[] = {
	RUN(every_call),
	RUN(the_file_itself),
	{ 0 },
};
const struct check_group group_at = { "at", cases };
