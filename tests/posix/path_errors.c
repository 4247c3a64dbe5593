/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is wrong with a path is wrong for every call that takes one.
 */
#include "posix.h"

#include <errno.h>
#include <stdio.h>

#define MAKES   1u /* a new name */
#define FOLLOWS 2u /* a symbolic link at the end */
#define SECOND  4u /* q is the path in question */
#define SHORT   8u /* sun_path is no place for long ones */

static const struct path_call {
	struct step s;
	unsigned is;
} path_calls[] = {
	{ { CHMOD, .a = 0644 }, FOLLOWS },
	{ { CHOWN, .a = -1, .b = -1 }, FOLLOWS },
	{ { LCHOWN, .a = -1, .b = -1 }, 0 },
	{ { LINK, .q = "new" }, 0 },
	{ { LINKAT, .q = "new", .flags = AT_SYMLINK_FOLLOW }, FOLLOWS },
	{ { LINK, "file" }, MAKES | SECOND },
	{ { MKDIR, .a = 0755 }, MAKES },
	{ { MKFIFO, .a = 0644 }, MAKES },
	{ { MKNOD, .a = S_IFREG | 0644 }, MAKES },
	{ { OPEN, .a = O_RDONLY }, FOLLOWS },
	{ { OPEN, .a = O_RDWR }, FOLLOWS },
	{ { OPEN, .a = O_WRONLY | O_TRUNC }, FOLLOWS },
	{ { OPEN, .a = O_RDONLY | O_DIRECTORY }, FOLLOWS },
	{ { OPEN, .a = O_PATH }, FOLLOWS },
	{ { OPEN, .a = O_CREAT | O_EXCL | O_RDWR, .b = 0644 }, MAKES },
	{ { RENAME, .q = "new" }, 0 },
	{ { RENAME, "file" }, MAKES | SECOND },
	{ { RENAMEAT2, .q = "new", .flags = RENAME_NOREPLACE }, 0 },
	{ { RENAMEAT2, "file", .flags = RENAME_NOREPLACE }, MAKES | SECOND },
	{ { RENAMEAT2, .q = "file", .flags = RENAME_EXCHANGE }, 0 },
	{ { RMDIR }, 0 },
	{ { UNLINK }, 0 },
	{ { UNLINKAT, .flags = AT_REMOVEDIR }, 0 },
	{ { SYMLINK, .q = "target" }, MAKES },
	{ { READLINK }, 0 },
	{ { TRUNCATE, .a = 5 }, FOLLOWS },
	{ { STAT }, FOLLOWS },
	{ { LSTAT }, 0 },
	{ { STATFS }, FOLLOWS },
	{ { ACCESS, .a = 0 }, FOLLOWS },
	{ { ACCESS, .a = 4 }, FOLLOWS },
	{ { CHDIR }, FOLLOWS },
	{ { READDIR }, FOLLOWS },
	{ { UTIMENS, .a = T_NULL }, FOLLOWS },
	{ { UTIMENS, .a = SEC, .b = SEC }, FOLLOWS },
	{ { UTIMENS, .a = SEC, .flags = AT_SYMLINK_NOFOLLOW }, 0 },
	{ { SETXATTR, .q = "user.x", .a = 3 }, FOLLOWS },
	{ { LSETXATTR, .q = "user.x", .a = 3 }, 0 },
	{ { GETXATTR, .q = "user.x", .a = 100 }, FOLLOWS },
	{ { LGETXATTR, .q = "user.x", .a = 100 }, 0 },
	{ { RMXATTR, .q = "user.x" }, FOLLOWS },
	{ { LRMXATTR, .q = "user.x" }, 0 },
	{ { BIND }, MAKES | SHORT },
};

static void scene(void)
{
	MAKE(FILL, "file", "content");
	MAKE(CHMOD, "file", .a = 0666);
	MAKE(MKDIR, "dir", .a = 0777);
	MAKE(MKDIR, "closed", .a = 0700);
	MAKE(FILL, "closed/x", "secret");
	MAKE(SYMLINK, "loop", "loop");
	MAKE(SYMLINK, "ping", "pong");
	MAKE(SYMLINK, "pong", "ping");
	MAKE(SYMLINK, "dangling", "nowhere");
	MAKE(SYMLINK, "to-file", "file");
	MAKE(SYMLINK, "to-dir", "dir");
	MAKE(SYMLINK, "to-closed", "closed");
}

/* Every call that has all of these and none of those. */
static void each_call(const char *path, enum user as, int64_t want,
		      unsigned with, unsigned without)
{
	for (size_t i = 0; i < COUNT(path_calls); i++) {
		struct step s = path_calls[i].s;
		unsigned is = path_calls[i].is;

		if ((is & with) != with || (is & without))
			continue;
		if ((is & SHORT) && path[0] && path[1] &&
		    __builtin_strchr(path, '{'))
			continue;
		*(is & SECOND ? &s.q : &s.p) = path;
		s.as = as;
		s.want = want;
		(void)step_run(&s);
	}
}

static void on_the_way(void)
{
	static const struct {
		const char *path;
		int err;
	} bad[] = {
		{ "", ENOENT },
		{ "none/x", ENOENT },
		{ "dir/none/x", ENOENT },
		{ "file/x", ENOTDIR },
		{ "file/../file", ENOTDIR },
		{ "file/.", ENOTDIR },
		{ "to-file/x", ENOTDIR },
		{ "dangling/x", ENOENT },
		{ "loop/x", ELOOP },
		{ "ping/x", ELOOP },
		{ "{n256}", ENAMETOOLONG },
		{ "{n256}/x", ENAMETOOLONG },
		{ "dir/{n256}", ENAMETOOLONG },
		{ "dir/{n1000}", ENAMETOOLONG },
		{ "{/4096}none", ENAMETOOLONG },
		{ "{/4092}none", ENAMETOOLONG },
	};

	scene();
	for (size_t i = 0; i < COUNT(bad); i++) {
		/* socket(7): an empty name is an address of another kind */
		unsigned not = *bad[i].path ? 0 : SHORT;

		each_call(bad[i].path, ROOT, -bad[i].err, 0, not );
		each_call(bad[i].path, A, -bad[i].err, 0, not );
	}
}

static void search_is_denied(void)
{
	scene();
	each_call("closed/x", A, -EACCES, 0, 0);
	each_call("closed/none", B, -EACCES, 0, 0);
	each_call("closed/../file", A, -EACCES, 0, 0);
	each_call("to-closed/x", A, -EACCES, 0, 0);
	MAKE(CHMOD, "closed", .a = 0706);
	MAKE(CHOWN, "closed", .a = UID_B, .b = GID_A);
	each_call("closed/x", PEER, -EACCES, 0, 0);
	each_call("closed/x", MEMBER, -EACCES, 0, 0);
	each_call("closed/x", A, -EACCES, 0, 0);
}

static void at_the_end(void)
{
	scene();
	each_call("none", ROOT, -ENOENT, 0, MAKES);
	each_call("none", A, -ENOENT, 0, MAKES);
	each_call("dangling", ROOT, -ENOENT, FOLLOWS, 0);
	each_call("dangling", A, -ENOENT, FOLLOWS, 0);
	each_call("loop", ROOT, -ELOOP, FOLLOWS, 0);
	each_call("ping", A, -ELOOP, FOLLOWS, 0);
	each_call("file/", ROOT, -ENOTDIR, 0, MAKES);
	each_call("file/", A, -ENOTDIR, 0, MAKES);
	each_call("to-file/", ROOT, -ENOTDIR, 0, MAKES);
	each_call("none/", A, -ENOENT, 0, MAKES);
}

static void new_names(void)
{
	scene();
	/* which of these is said first is the same on every file system */
	MAKE(MKDIR, "others", .a = 0755);
	each_call("others/new", A, -EACCES, MAKES, 0);
	each_call("others/new", MEMBER, -EACCES, MAKES, 0);
	MAKE(CHOWN, "others", .a = UID_B, .b = GID_A);
	each_call("others/new", A, -EACCES, MAKES, 0);
	MAKE(CHMOD, "others", .a = 0577);
	each_call("others/new", B, -EACCES, MAKES, 0);
	MAKE(CHMOD, "others", .a = 0772); /* writable, not searchable */
	MAKE(CHOWN, "others", .a = 0, .b = 0);
	each_call("others/new", A, -EACCES, MAKES, 0);
}

/* Linux follows 40 symbolic links in one path. */
static void forty_links(void)
{
	char name[8] = "l00", to[8] = "l00";

	MAKE(FILL, "l00", "x");
	for (int i = 1; i <= 41; i++) {
		name[1] = (char)('0' + i / 10);
		name[2] = (char)('0' + i % 10);
		to[1] = (char)('0' + (i - 1) / 10);
		to[2] = (char)('0' + (i - 1) % 10);
		MAKE(SYMLINK, name, to);
	}
	STEP(STAT, "l01");
	STEP(STAT, "l39");
	STEP(STAT, "l40");
	STEP(STAT, "l41", .want = -ELOOP);
	STEP(OPEN, "l40", .a = O_RDWR);
	STEP(OPEN, "l41", .a = O_RDWR, .want = -ELOOP);
	STEP(CHMOD, "l40", .a = 0600, .after = "l00:mode=0600");
	STEP(CHMOD, "l41", .a = 0644, .want = -ELOOP);
	STEP(TRUNCATE, "l40", .a = 0, .after = "l00:size=0");
	STEP(TRUNCATE, "l41", .a = 1, .want = -ELOOP);
}

static const struct step path_max[] = {
	{ MKFILE, "{/4094}f", .a = 0644, .after = "f:mode=0644" },
	{ STAT, "{/4094}f" },
	{ CHMOD, "{/4094}f", .a = 0600, .after = "f:mode=0600" },
	{ TRUNCATE, "{/4094}f", .a = 9, .after = "f:size=9" },
	{ LINK, "{/4094}f", "{/4094}g", .after = "g:ino=f f:nlink=2" },
	{ RENAME, "{/4094}g", "{/4094}h", .after = "!g h:ino=f" },
	{ SYMLINK, "{/4094}s", "f", .after = "s:link=f" },
	{ READLINK, "{/4094}s", .want = 1 },
	{ MKDIR, "{/4094}d", .a = 0700, .after = "d:type=d" },
	{ RMDIR, "{/4094}d", .after = "!d" },
	{ UNLINK, "{/4094}h", .after = "!h" },
	{ MKFILE, "{/4095}f", .a = 0644, .want = -ENAMETOOLONG },
	{ STAT, "{/4095}f", .want = -ENAMETOOLONG },
	{ 0 }
};

static const struct test_case cases[] = {
	RUN(on_the_way), RUN(search_is_denied), RUN(at_the_end),
	RUN(new_names),  RUN(forty_links),      TABLE(path_max),
	{ 0 },
};
const struct check_group group_path_errors = { "path-errors", cases };
