/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes: the four name spaces, who may do what on which kind
 * of thing, sizes, flags, lists.  POSIX ACLs are in acl.c.
 */
#include "posix.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

static const struct step basics[] = {
	{ MKFILE, "f", .a = 0644 },
	{ GETXATTR, "f", "user.a", .a = 99, .want = -ENODATA },
	{ SETXATTR, "f", "user.a", .a = 5,
	  .after = "f:ctime+ f:mtime= f:size=0 .:same" },
	{ GETXATTR, "f", "user.a", .a = 99, .want = 5 },
	{ GETXATTR, "f", "user.a", .a = 5, .want = 5 },
	{ GETXATTR, "f", "user.a", .a = 4, .want = -ERANGE },
	{ GETXATTR, "f", "user.a", .a = 0, .want = 5 },
	{ SETXATTR, "f", "user.a", .a = 9 },
	{ GETXATTR, "f", "user.a", .a = 99, .want = 9 },
	{ SETXATTR, "f", "user.a", .a = 0 },
	{ GETXATTR, "f", "user.a", .a = 99, .want = 0 },
	{ SETXATTR, "f", "user.a", .a = 3, .flags = XATTR_CREATE,
	  .want = -EEXIST },
	{ SETXATTR, "f", "user.b", .a = 3, .flags = XATTR_REPLACE,
	  .want = -ENODATA },
	{ SETXATTR, "f", "user.b", .a = 3, .flags = XATTR_CREATE },
	{ SETXATTR, "f", "user.b", .a = 4, .flags = XATTR_REPLACE },
	{ GETXATTR, "f", "user.b", .a = 99, .want = 4 },
	{ SETXATTR, "f", "user.b", .a = 4, .flags = 4, .want = -EINVAL },
	{ RMXATTR, "f", "user.b", .after = "f:ctime+ f:mtime=" },
	{ RMXATTR, "f", "user.b", .want = -ENODATA, .after = "f:same" },
	{ GETXATTR, "f", "user.b", .a = 99, .want = -ENODATA },
	/* names */
	{ SETXATTR, "f", "user.", .a = 3, .want = -EINVAL },
	{ SETXATTR, "f", "user", .a = 3, .want = -EOPNOTSUPP },
	{ SETXATTR, "f", "", .a = 3, .want = -ERANGE },
	{ SETXATTR, "f", "other.x", .a = 3, .want = -EOPNOTSUPP },
	{ GETXATTR, "f", "other.x", .a = 3, .want = -EOPNOTSUPP },
	{ RMXATTR, "f", "other.x", .want = -EOPNOTSUPP },
	{ SETXATTR, "f", "USER.x", .a = 3, .want = -EOPNOTSUPP },
	{ SETXATTR, "f", "system.x", .a = 3, .want = -EOPNOTSUPP },
	{ GETXATTR, "f", "system.x", .a = 3, .want = -EOPNOTSUPP },
	{ SETXATTR, "f", "user.{n250}", .a = 3 },
	{ GETXATTR, "f", "user.{n250}", .a = 99, .want = 3 },
	{ GETXATTR, "f", "user.{n249}", .a = 99, .want = -ENODATA },
	{ SETXATTR, "f", "user.{n251}", .a = 3, .want = -ERANGE },
	{ GETXATTR, "f", "user.{n251}", .a = 3, .want = -ERANGE },
	{ RMXATTR, "f", "user.{n251}", .want = -ERANGE },
	{ RMXATTR, "f", "user.{n250}" },
	{ SETXATTR, "f", "user.A", .a = 1 },
	{ GETXATTR, "f", "user.a", .a = 99, .want = 0 },
	{ SETXATTR, "f", "user.a.b/c=d \n\x01\xff", .a = 7 },
	{ GETXATTR, "f", "user.a.b/c=d \n\x01\xff", .a = 9, .want = 7 },
	{ SETXATTR, "f", "trusted.t", .a = 6 },
	{ GETXATTR, "f", "trusted.t", .a = 99, .want = 6 },
	{ SETXATTR, "f", "security.s", .a = 7 },
	{ GETXATTR, "f", "security.s", .a = 99, .want = 7 },
	/* they belong to the inode */
	{ LINK, "f", "g" },
	{ GETXATTR, "g", "security.s", .a = 99, .want = 7 },
	{ SETXATTR, "g", "user.g", .a = 8, .after = "f:ctime+" },
	{ GETXATTR, "f", "user.g", .a = 99, .want = 8 },
	{ RENAME, "f", "h" },
	{ GETXATTR, "h", "user.g", .a = 99, .want = 8 },
	{ UNLINK, "h" },
	{ UNLINK, "g" },
	{ MKFILE, "g", .a = 0644 },
	{ GETXATTR, "g", "user.g", .a = 99, .want = -ENODATA },
	{ OPEN, "g", .a = O_RDONLY },
	{ FSETXATTR, .q = "user.x", .a = 3 },
	{ FGETXATTR, .q = "user.x", .a = 9, .want = 3 },
	{ FRMXATTR, .q = "user.x" },
	{ OPEN, "g", .a = O_PATH },
	{ FSETXATTR, .q = "user.x", .a = 3, .want = -EBADF },
	{ FGETXATTR, .q = "user.x", .a = 3, .want = -EBADF },
	{ 0 }
};

static void sizes(void)
{
	static const size_t lens[] = { 0,     1,     2,    100,  255,   256,
				       1000,  1023,  2000, 3000, 3500,  4000,
				       4095,  4096,  5000, 8192, 20000, 32768,
				       60000, 65535, 65536 };
	static uint8_t got[65537];

	MAKE(MKFILE, "f", .a = 0644);
	for (size_t i = 0; i < COUNT(lens); i++) {
		const uint8_t *want = pattern(lens[i], (unsigned)i);

		check_is(0, sys(setxattr("f", "user.x", want, lens[i], 0)),
			 "setxattr of %zu bytes", lens[i]);
		check_is((int64_t)lens[i],
			 sys(getxattr("f", "user.x", got, sizeof(got))),
			 "getxattr of %zu bytes", lens[i]);
		check_that(memcmp(got, want, lens[i]) == 0,
			   "the same %zu bytes", lens[i]);
		check_is((int64_t)lens[i], sys(getxattr("f", "user.x", got, 0)),
			 "the length of %zu bytes", lens[i]);
		if (lens[i] > 1)
			check_is(-ERANGE,
				 sys(getxattr("f", "user.x", got, lens[i] - 1)),
				 "a buffer one less than %zu bytes", lens[i]);
	}
	STEP(SETXATTR, "f", "user.x", .a = 65537, .want = -E2BIG);
	STEP(GETXATTR, "f", "user.x", .a = 65536, .want = 65536);
	STEP(SETXATTR, "f", "user.x", .a = 1);
	STEP(GETXATTR, "f", "user.x", .a = 65536, .want = 1);
}

/* xattr(7): user attributes are for files and directories only. */
static void by_kind(void)
{
	for (const char *k = KINDS; *k; k++) {
		bool user = *k == 'r' || *k == 'd';
		char name[] = "t";

		make_kind(*k, name);
		STEP(LSETXATTR, name, "user.x", .a = 3,
		     .want = user ? 0 : -EPERM);
		STEP(LGETXATTR, name, "user.x", .a = 9,
		     .want = user ? 3 : -ENODATA);
		STEP(LRMXATTR, name, "user.x", .want = user ? 0 : -EPERM);
		STEP(LSETXATTR, name, "trusted.x", .a = 4);
		STEP(LGETXATTR, name, "trusted.x", .a = 9, .want = 4);
		STEP(LRMXATTR, name, "trusted.x");
		STEP(LGETXATTR, name, "trusted.x", .a = 9, .want = -ENODATA);
		STEP(LSETXATTR, name, "security.x", .a = 5);
		STEP(LGETXATTR, name, "security.x", .a = 9, .want = 5);
		STEP(LRMXATTR, name, "security.x");
		STEP(LRMXATTR, name, "security.x", .want = -ENODATA);
		remove_tree(name);
	}
}

static void who_may(void)
{
	static const unsigned modes[] = { 0600, 0640, 0644, 0664,
					  0666, 0,    0444, 0222 };

	MAKE(MKFILE, "f", .a = 0644);
	MAKE(CHOWN, "f", .a = UID_A, .b = GID_A);
	for (size_t i = 0; i < COUNT(modes); i++)
		for (enum user u = A; u < N_USERS; u++) {
			unsigned shift = u == A ? 6 : u == B ? 0 : 3;
			unsigned bits = modes[i] >> shift & 7;

			MAKE(SETXATTR, "f", "user.x", .a = 3);
			MAKE(SETXATTR, "f", "trusted.x", .a = 3);
			MAKE(SETXATTR, "f", "security.x", .a = 3);
			MAKE(CHMOD, "f", .a = modes[i]);
			STEP(GETXATTR, "f", "user.x", .a = 9, .as = u,
			     .want = bits & 4 ? 3 : -EACCES);
			STEP(SETXATTR, "f", "user.x", .a = 3, .as = u,
			     .want = bits & 2 ? 0 : -EACCES);
			STEP(SETXATTR, "f", "user.x", .a = 3, .as = u,
			     .flags = XATTR_CREATE,
			     .want = bits & 2 ? -EEXIST : -EACCES);
			STEP(RMXATTR, "f", "user.x", .as = u,
			     .want = bits & 2 ? 0 : -EACCES);
			/* that there are trusted ones is not even said */
			STEP(GETXATTR, "f", "trusted.x", .a = 9, .as = u,
			     .want = -ENODATA);
			STEP(SETXATTR, "f", "trusted.x", .a = 9, .as = u,
			     .want = -EPERM);
			STEP(RMXATTR, "f", "trusted.x", .as = u,
			     .want = -EPERM);
			STEP(GETXATTR, "f", "security.x", .a = 9, .as = u,
			     .want = 3);
			STEP(SETXATTR, "f", "security.x", .a = 9, .as = u,
			     .want = -EPERM);
			STEP(RMXATTR, "f", "security.x", .as = u,
			     .want = -EPERM);
			STEP(GETXATTR, "f", "security.x", .a = 9, .want = 3);
		}
	/* in a sticky directory only the owner's are the directory's */
	MAKE(MKDIR, "d", .a = 0777);
	STEP(SETXATTR, "d", "user.x", .a = 3, .as = A);
	MAKE(CHMOD, "d", .a = 01777);
	STEP(SETXATTR, "d", "user.x", .a = 3, .as = A, .want = -EPERM);
	STEP(SETXATTR, "d", "user.x", .a = 3);
	STEP(GETXATTR, "d", "user.x", .a = 9, .as = A, .want = 3);
}

/* Is it in the list?  Lists hold nothing twice. */
static int listed(const char *list, ssize_t n, const char *name)
{
	int found = 0;

	for (ssize_t at = 0; at < n; at += (ssize_t)strlen(list + at) + 1)
		found += !strcmp(list + at, name);
	return found;
}

static void lists(void)
{
	static char list[65536];
	char name[32];
	ssize_t n;

	MAKE(MKFILE, "f", .a = 0644);
	check_is(0, sys(listxattr("f", list, sizeof(list))), "an empty list");
	for (int i = 0; i < 50; i++) {
		(void)snprintf(name, sizeof(name), "user.name%d", i);
		check_is(0, sys(setxattr("f", name, "v", 1, 0)), "set %s",
			 name);
	}
	MAKE(SETXATTR, "f", "trusted.x", .a = 3);
	MAKE(SETXATTR, "f", "security.x", .a = 3);
	n = listxattr("f", list, sizeof(list));
	check_that(n > 0, "listxattr: %zd", n);
	check_is(n, sys(listxattr("f", list, 0)), "the length of the list");
	check_is(-ERANGE, sys(listxattr("f", list, (size_t)n - 1)),
		 "a buffer that is too short by one");
	check_is(n, sys(listxattr("f", list, (size_t)n)),
		 "a buffer that just suffices");
	for (int i = 0; i < 50; i++) {
		(void)snprintf(name, sizeof(name), "user.name%d", i);
		check_is(1, listed(list, n, name), "%s in the list", name);
	}
	check_is(1, listed(list, n, "trusted.x"), "trusted.x, for root");
	check_is(1, listed(list, n, "security.x"), "security.x, for root");
	become(A);
	n = listxattr("f", list, sizeof(list));
	become(ROOT);
	check_is(1, listed(list, n, "user.name7"), "user.name7, for A");
	check_is(0, listed(list, n, "trusted.x"), "trusted.x, for A");
	check_is(1, listed(list, n, "security.x"), "security.x, for A");
	for (int i = 0; i < 50; i += 2) {
		(void)snprintf(name, sizeof(name), "user.name%d", i);
		check_is(0, sys(removexattr("f", name)), "remove %s", name);
	}
	n = listxattr("f", list, sizeof(list));
	for (int i = 0; i < 50; i++) {
		(void)snprintf(name, sizeof(name), "user.name%d", i);
		check_is(i % 2, listed(list, n, name), "%s in the list", name);
	}
}

/* A file capability is dropped by what changes the file. */
static void capabilities(void)
{
	/* version 2, CAP_NET_RAW permitted */
	static const uint8_t cap[20] = { 0x01, 0, 0, 0x02, 0, 0x20 };
	static const struct step changes[] = {
		{ WRITE, .q = "x", .want = 1 },
		{ FTRUNCATE, .a = 3 },
		{ TRUNCATE, "f", .a = 9 },
		{ CHOWN, "f", .a = 5, .b = 5 },
		{ FCHOWN, .a = -1, .b = 6 },
		{ OPEN, "f", .a = O_WRONLY | O_TRUNC, .fd = 1 },
	};
	static const struct step others[] = {
		{ CHMOD, "f", .a = 0711 },
		{ PREAD, .a = 1, .want = 1 },
		{ UTIMENS, "f", .a = T_NULL },
		{ LINK, "f", "g" },
		{ SETXATTR, "f", "user.x", .a = 3 },
	};
	const char *name = "security.capability";

	MAKE(FILL, "f", "content");
	MAKE(OPEN, "f", .a = O_RDWR);
	for (size_t i = 0; i < COUNT(changes); i++) {
		check_is(0, sys(setxattr("f", name, cap, sizeof(cap), 0)),
			 "setxattr of %s", name);
		STEP(GETXATTR, "f", name, .a = 99, .want = 20);
		(void)step_run(&changes[i]);
		STEP(GETXATTR, "f", name, .a = 99, .want = -ENODATA);
	}
	MAKE(FILL, "f", "content");
	check_is(0, sys(setxattr("f", name, cap, sizeof(cap), 0)),
		 "setxattr of %s", name);
	for (size_t i = 0; i < COUNT(others); i++) {
		(void)step_run(&others[i]);
		STEP(GETXATTR, "f", name, .a = 99, .want = 20);
	}
	check_is(-EINVAL, sys(setxattr("f", name, "junk", 4, 0)),
		 "a capability that is none");
}

static const struct test_case cases[] = {
	TABLE(basics), RUN(sizes),        RUN(by_kind), RUN(who_may),
	RUN(lists),    RUN(capabilities), { 0 },
};
const struct check_group group_xattr = { "xattr", cases };
