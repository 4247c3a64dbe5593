/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link, linkat: several names of one inode, and how many there can be.
 */
#include "posix.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define LINKS_MAX 65000 /* ext4's */

static const struct step basics[] = {
	{ FILL, "a", "one" },
	{ LINK, "a", "b",
	  .after = "b:ino=a a:nlink=2 b:nlink=2 a:ctime+ "
		   "a:mtime= a:atime= .:mtime+ .:ctime+ "
		   "b:text=one" },
	{ LINK, "a", "c", .after = "a:nlink=3 b:nlink=3 c:nlink=3 b:ctime+" },
	{ CHMOD, "c", .a = 0600, .after = "a:mode=0600 b:ctime+ a:ctime+" },
	{ CHOWN, "b", .a = 3, .b = 4, .after = "a:uid=3 c:gid=4 c:ctime+" },
	{ FILL, "b", "longer",
	  .after = "a:text=longer c:size=6 a:mtime+ "
		   "c:mtime+" },
	{ UNLINK, "a", .after = "!a b:nlink=2 b:ctime+ b:mtime= .:mtime+" },
	{ UNLINK, "c", .after = "b:nlink=1 b:text=longer" },
	{ LINK, "a", "d", .want = -ENOENT, .after = "!d" },
	{ LINK, "b", "b", .want = -EEXIST, .after = "b:nlink=1 b:same" },
	{ MKDIR, "dir", .a = 0755 },
	{ LINK, "b", "dir", .want = -EEXIST },
	{ LINK, "b", "dir/", .want = -EEXIST },
	{ LINK, "b", "dir/.", .want = -EEXIST },
	{ LINK, "b", "dir/..", .want = -EEXIST },
	{ LINK, "b", "new/", .want = -ENOENT },
	{ LINK, "b/", "new", .want = -ENOTDIR },
	{ LINK, "dir", "new", .want = -EPERM, .after = "!new" },
	{ LINK, "dir/.", "new", .want = -EPERM },
	{ LINK, ".", "new", .want = -EPERM },
	{ LINK, "dir", "new", .want = -EPERM, .as = A },
	{ LINK, "b", "dir/x",
	  .after = "dir/x:ino=b dir:mtime+ dir:ctime+ "
		   ".:mtime= .:ctime= dir:nlink=2" },
	{ SYMLINK, "s", "b" },
	{ LINK, "s", "s2", .after = "s2:type=l s2:ino=s s:nlink=2 b:same" },
	{ LINKAT, "s", "s3", .flags = AT_SYMLINK_FOLLOW,
	  .after = "s3:ino=b b:nlink=3" },
	{ LINKAT, "b", "n", .flags = 0x8000, .want = -EINVAL },
	{ SYMLINK, "dangling", "nowhere" },
	{ LINK, "dangling", "d2", .after = "d2:type=l dangling:nlink=2" },
	{ LINKAT, "dangling", "d3", .flags = AT_SYMLINK_FOLLOW,
	  .want = -ENOENT },
	{ LINK, "b", "dangling", .want = -EEXIST },
	{ LINK, "b", "{l255}", .after = "{l255}:ino=b" },
	{ LINK, "b", "{l256}", .want = -ENAMETOOLONG },
	{ 0 }
};

static void every_kind(void)
{
	for (const char *k = "rlpscb"; *k; k++) {
		char after[160];

		make_kind(*k, "t");
		MAKE(LCHOWN, "t", .a = 5, .b = 6);
		(void)snprintf(after, sizeof(after),
			       "u:ino=t u:type=%c t:nlink=2 u:uid=5 t:ctime+ "
			       "t:mtime= .:mtime+",
			       *k);
		STEP(LINK, "t", "u", .after = after);
		STEP(LINK, "t", "u", .want = -EEXIST, .after = "t:nlink=2");
		STEP(UNLINK, "t", .after = "u:nlink=1 u:ctime+");
		STEP(LINK, "u", "t", .after = "u:nlink=2 t:ino=u");
		STEP(UNLINK, "u", .after = "t:nlink=1");
		STEP(UNLINK, "t", .after = "!t");
	}
}

static const struct step permission[] = {
	{ FILL, "f", "x" },
	{ CHMOD, "f", .a = 0666 },
	{ MKDIR, "a", .a = 0755 },
	{ CHOWN, "a", .a = UID_A, .b = GID_A },
	{ LINK, "f", "a/f", .as = A, .after = "a/f:ino=f a/f:uid=0" },
	{ LINK, "f", "a/g", .as = B, .want = -EACCES },
	{ LINK, "f", "a/g", .as = PEER, .want = -EACCES },
	{ CHMOD, "a", .a = 0775 },
	{ LINK, "f", "a/g", .as = PEER },
	{ LINK, "f", "a/h", .as = MEMBER, .after = "f:nlink=4" },
	{ CHMOD, "a", .a = 0 },
	{ LINK, "f", "a/i", .as = A, .want = -EACCES },
	{ LINK, "a/f", "i", .as = A, .want = -EACCES },
	{ CHMOD, "a", .a = 0600 },
	{ LINK, "a/f", "i", .as = A, .want = -EACCES },
	{ CHMOD, "a", .a = 0500 },
	{ LINK, "a/f", "i", .as = A, .after = "i:ino=f" },
	{ LINK, "f", "a/i", .as = A, .want = -EACCES },
	{ 0 }
};

/* A file whose last name is gone can not be given one again. */
static void of_unlinked(void)
{
	char path[64];
	int fd;

	MAKE(FILL, "f", "x");
	fd = case_open("f", O_RDWR, 0);
	MAKE(UNLINK, "f");
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	check_is(
	    -ENOENT,
	    sys(linkat(AT_FDCWD, path, AT_FDCWD, "new", AT_SYMLINK_FOLLOW)),
	    "linkat of an unlinked file through /proc");
	check_is(-ENOENT, sys(linkat(fd, "", AT_FDCWD, "new", AT_EMPTY_PATH)),
		 "linkat of an unlinked file by AT_EMPTY_PATH");
	(void)close(fd);
	MAKE(FILL, "f", "x");
	fd = case_open("f", O_PATH, 0);
	check_is(0, sys(linkat(fd, "", AT_FDCWD, "new", AT_EMPTY_PATH)),
		 "linkat by AT_EMPTY_PATH");
	STEP(LSTAT, "new", .after = "new:ino=f f:nlink=2");
	(void)close(fd);
}

static void as_many_as_ext4(void)
{
	char name[16];
	int64_t r = 0;
	int n = 1;

	MAKE(FILL, "f", "x");
	for (; n <= LINKS_MAX && r >= 0; n++) {
		(void)snprintf(name, sizeof(name), "l%d", n);
		r = sys(link("f", name));
	}
	check_is(-EMLINK, r, "link number %d", n - 1);
	check_is(LINKS_MAX, n - 1, "the links that a file can have");
	STEP(LSTAT, "f", .after = "f:nlink=65000");
	STEP(UNLINK, "l1", .after = "f:nlink=64999");
	STEP(LINK, "f", "l1", .after = "f:nlink=65000");
	STEP(LINK, "f", "more", .want = -EMLINK, .after = "!more");
	STEP(RENAME, "f", "other", .after = "other:nlink=65000");
}

static const struct test_case cases[] = {
	TABLE(basics),    RUN(every_kind),      TABLE(permission),
	RUN(of_unlinked), RUN(as_many_as_ext4), { 0 },
};
const struct check_group group_link = { "link", cases };
