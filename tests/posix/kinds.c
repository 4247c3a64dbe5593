/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls on a name that is taken, by each kind of thing, and calls that only
 * some kinds can bear.
 */
#include "posix.h"

#include <errno.h>
#include <stdio.h>

static void each_kind(const struct step *s, const char *ok, int64_t ok_want,
		      int64_t else_want)
{
	for (const char *k = KINDS; *k; k++) {
		struct step one = *s;
		bool fine = __builtin_strchr(ok, *k) != NULL;

		make_kind(*k, "thing");
		one.want = fine ? ok_want : else_want;
		(void)step_run(&one);
		remove_tree("thing");
		remove_tree("new");
	}
}

static void names_that_are_taken(void)
{
	static const struct step makers[] = {
		{ MKDIR, "thing", .a = 0755 },
		{ MKFIFO, "thing", .a = 0644 },
		{ MKNOD, "thing", .a = S_IFREG | 0644 },
		{ MKNOD, "thing", .a = S_IFCHR | 0644, .b = 0x103 },
		{ MKNOD, "thing", .a = S_IFBLK | 0644, .b = 0x103 },
		{ MKNOD, "thing", .a = S_IFSOCK | 0644 },
		{ MKNOD, "thing", .a = S_IFIFO | 0644 },
		{ SYMLINK, "thing", "target" },
		{ OPEN, "thing", .a = O_CREAT | O_EXCL | O_RDWR, .b = 0644 },
		{ OPEN, "thing", .a = O_CREAT | O_EXCL, .b = 0644 },
		{ LINK, "other", "thing" },
		{ RENAMEAT2, "other", "thing", .flags = RENAME_NOREPLACE },
	};

	MAKE(FILL, "other", "x");
	for (size_t i = 0; i < COUNT(makers); i++) {
		struct step s = makers[i];

		each_kind(&s, "", 0, -EEXIST);
		s.as = A;
		if (s.call != RENAMEAT2 && s.call != LINK &&
		    !(s.call == MKNOD && (s.a & S_IFMT) != S_IFREG))
			each_kind(&s, "", 0, -EEXIST);
	}
	each_kind(&(struct step){ BIND, "thing" }, "", 0, -EADDRINUSE);
}

static void by_kind(void)
{
	static const struct {
		struct step s;
		const char *ok;
		int ok_want, else_want;
	} calls[] = {
		{ { RMDIR, "thing" }, "d", 0, -ENOTDIR },
		{ { UNLINKAT, "thing", .flags = AT_REMOVEDIR },
		  "d",
		  0,
		  -ENOTDIR },
		{ { UNLINK, "thing" }, "rlpscb", 0, -EISDIR },
		{ { UNLINKAT, "thing" }, "rlpscb", 0, -EISDIR },
		{ { READLINK, "thing" }, "l", 14, -EINVAL },
		{ { LINK, "thing", "new" }, "rlpscb", 0, -EPERM },
		{ { LSTAT, "thing" }, KINDS, 0, 0 },
		{ { RENAME, "thing", "new" }, KINDS, 0, 0 },
		{ { LCHOWN, "thing", .a = UID_A, .b = GID_A }, KINDS, 0, 0 },
		{ { UTIMENS, "thing", .a = SEC, .b = 2 * SEC,
		    .flags = AT_SYMLINK_NOFOLLOW,
		    .after = "thing:atime=1 thing:mtime=2 thing:ctime+" },
		  KINDS,
		  0,
		  0 },
		{ { OPEN, "thing", .a = O_RDONLY | O_DIRECTORY | O_NOFOLLOW },
		  "d",
		  0,
		  -ENOTDIR },
	};

	for (size_t i = 0; i < COUNT(calls); i++) {
		each_kind(&calls[i].s, calls[i].ok, calls[i].ok_want,
			  calls[i].else_want);
	}
}

static void follow(const struct step *s, char kind, int64_t want)
{
	struct step one = *s;

	make_kind(kind, "thing");
	one.want = want;
	(void)step_run(&one);
	remove_tree("thing");
}

/* Not of symbolic links: these calls follow them. */
static const struct {
	struct step s;
	int64_t r, d, fifo, sock, chr;
} followed[] = {
	{ { TRUNCATE, "thing", .a = 3 },
	  0,
	  -EISDIR,
	  -EINVAL,
	  -EINVAL,
	  -EINVAL },
	{ { CHMOD, "thing", .a = 0700, .after = "thing:mode=0700" },
	  0,
	  0,
	  0,
	  0,
	  0 },
	{ { CHMOD, "thing", .a = 07777, .after = "thing:mode=07777" },
	  0,
	  0,
	  0,
	  0,
	  0 },
	{ { CHDIR, "thing" }, -ENOTDIR, 0, -ENOTDIR, -ENOTDIR, -ENOTDIR },
	{ { READDIR, "thing" }, -ENOTDIR, 2, -ENOTDIR, -ENOTDIR, -ENOTDIR },
	{ { OPEN, "thing", .a = O_RDONLY | O_NONBLOCK }, 0, 0, 0, -ENXIO, 0 },
	{ { OPEN, "thing", .a = O_WRONLY | O_NONBLOCK },
	  0,
	  -EISDIR,
	  -ENXIO,
	  -ENXIO,
	  0 },
	{ { OPEN, "thing", .a = O_RDWR | O_NONBLOCK },
	  0,
	  -EISDIR,
	  0,
	  -ENXIO,
	  0 },
	{ { OPEN, "thing", .a = O_CREAT | O_RDONLY | O_NONBLOCK, .b = 0644 },
	  0,
	  -EISDIR,
	  0,
	  -ENXIO,
	  0 },
	{ { OPEN, "thing", .a = O_PATH }, 0, 0, 0, 0, 0 },
	{ { ACCESS, "thing", .a = 6 }, 0, 0, 0, 0, 0 },
	{ { SETXATTR, "thing", "user.x", .a = 3 },
	  0,
	  0,
	  -EPERM,
	  -EPERM,
	  -EPERM },
	{ { GETXATTR, "thing", "user.x", .a = 9 },
	  -ENODATA,
	  -ENODATA,
	  -ENODATA,
	  -ENODATA,
	  -ENODATA },
	{ { SETXATTR, "thing", "trusted.x", .a = 3 }, 0, 0, 0, 0, 0 },
	{ { SETXATTR, "thing", "security.x", .a = 3 }, 0, 0, 0, 0, 0 },
};

static void by_kind_followed(void)
{
	for (size_t i = 0; i < COUNT(followed); i++) {
		follow(&followed[i].s, 'r', followed[i].r);
		follow(&followed[i].s, 'd', followed[i].d);
		follow(&followed[i].s, 'p', followed[i].fifo);
		follow(&followed[i].s, 's', followed[i].sock);
		follow(&followed[i].s, 'c', followed[i].chr);
	}
}

/* The times, owner and links that a thing has when it is new. */
static void fresh(void)
{
	static const struct {
		struct step s;
		char kind;
		int mode, nlink;
		long long size;
	} makers[] = {
		{ { MKDIR, "n", .a = 0751 }, 'd', 0751, 2, -1 },
		{ { MKFIFO, "n", .a = 0642 }, 'p', 0642, 1, 0 },
		{ { MKNOD, "n", .a = S_IFREG | 0604 }, 'r', 0604, 1, 0 },
		{ { MKNOD, "n", .a = 0640 }, 'r', 0640, 1, 0 },
		{ { MKNOD, "n", .a = S_IFIFO | 0420 }, 'p', 0420, 1, 0 },
		{ { MKNOD, "n", .a = S_IFSOCK | 0777 }, 's', 0777, 1, 0 },
		{ { SYMLINK, "n", "target" }, 'l', 0777, 1, 6 },
		{ { MKFILE, "n", .a = 0753 }, 'r', 0753, 1, 0 },
		{ { BIND, "n" }, 's', 0777, 1, 0 },
	};

	for (size_t i = 0; i < COUNT(makers); i++) {
		for (enum user u = ROOT; u <= MEMBER; u++) {
			struct step s = makers[i].s;
			struct stat st;

			s.as = u;
			s.after = "n:atime+ n:mtime+ n:ctime+ .:mtime+ "
				  ".:ctime+ .:atime=";
			(void)step_run(&s);
			if (lstat("n", &st))
				continue;
			check_is(kind_mode(makers[i].kind) |
				     (mode_t)makers[i].mode,
				 st.st_mode, "  its mode");
			check_is(makers[i].nlink, (int64_t)st.st_nlink,
				 "  its links");
			if (makers[i].size >= 0)
				check_is(makers[i].size, st.st_size,
					 "  its size");
			check_is(user_uid(u), st.st_uid, "  its user");
			check_is(user_gid(u), st.st_gid, "  its group");
			remove_tree("n");
		}
	}
}

static const struct test_case cases[] = {
	RUN(names_that_are_taken),
	RUN(by_kind),
	RUN(by_kind_followed),
	RUN(fresh),
	{ 0 },
};
const struct check_group group_kinds = { "kinds", cases };
