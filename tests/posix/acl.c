/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POSIX access control lists, as acl(5) has them: set and read as extended
 * attributes, kept in step with the mode, inherited, and obeyed.
 *
 * A list is written here as "u::rw-,u:65534:r--,g::r--,m::rw-,o::---".
 */
#include "posix.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ACCESS_NAME  "system.posix_acl_access"
#define DEFAULT_NAME "system.posix_acl_default"
#define ENTRIES_MAX  400
#define ACL_BYTES    (4 + ENTRIES_MAX * 8)

/* linux/posix_acl_xattr.h: version 2, then tag, permission, id */
static void put(uint8_t *to, uint32_t value, int n)
{
	for (int i = 0; i < n; i++)
		to[i] = (uint8_t)(value >> 8 * i);
}

static size_t encode(const char *text, uint8_t *to)
{
	size_t n = 4;

	put(to, 2, 4);
	while (*text) {
		bool named = text[2] != ':';
		uint32_t id =
		    named ? (uint32_t)strtoul(text + 2, NULL, 10) : UINT32_MAX;
		const char *end = strchr(text + 2, ':');
		unsigned tag = *text == 'u'   ? (named ? 2 : 1)
			       : *text == 'g' ? (named ? 8 : 4)
			       : *text == 'm' ? 16
					      : 32;
		unsigned perm = (end[1] == 'r' ? 4u : 0) +
				(end[2] == 'w' ? 2u : 0) +
				(end[3] == 'x' ? 1u : 0);

		put(to + n, tag, 2);
		put(to + n + 2, perm, 2);
		put(to + n + 4, id, 4);
		n += 8;
		text = end + 4;
		text += *text == ',';
	}
	return n;
}

static uint32_t get(const uint8_t *from, int n)
{
	uint32_t value = 0;

	for (int i = 0; i < n; i++)
		value |= (uint32_t)from[i] << 8 * i;
	return value;
}

static void decode(const uint8_t *from, size_t len, char *to, size_t room)
{
	size_t at = 0;

	*to = '\0';
	for (size_t i = 4; i + 8 <= len && at + 40 < room; i += 8) {
		unsigned tag = get(from + i, 2), perm = get(from + i + 2, 2);
		uint32_t id = get(from + i + 4, 4);
		char name[16] = "";

		if (tag == 2 || tag == 8)
			(void)snprintf(name, sizeof(name), "%u", id);
		at += (size_t)snprintf(
		    to + at, room - at, "%s%c:%s:%c%c%c", at ? "," : "",
		    tag <= 2    ? 'u'
		    : tag <= 8  ? 'g'
		    : tag == 16 ? 'm'
				: 'o',
		    name, perm & 4 ? 'r' : '-', perm & 2 ? 'w' : '-',
		    perm & 1 ? 'x' : '-');
	}
}

static int64_t acl_set(const char *path, const char *name, const char *text)
{
	static uint8_t bytes[ACL_BYTES];

	return sys(setxattr(path, name, bytes, encode(text, bytes), 0));
}

static void set(int64_t want, enum user as, const char *path, bool is_default,
		const char *text)
{
	int64_t r;

	become(as);
	r = acl_set(path, is_default ? DEFAULT_NAME : ACCESS_NAME, text);
	become(ROOT);
	check_is(want, r, "set %s of %s to %.100s as %s",
		 is_default ? "default list" : "list", path, text,
		 user_names[as]);
}

/* text NULL: there is none */
static void is(const char *path, bool is_default, const char *text)
{
	static uint8_t bytes[ACL_BYTES];
	char got[2048] = "(none)";
	const char *name = is_default ? DEFAULT_NAME : ACCESS_NAME;
	int64_t n = sys(getxattr(path, name, bytes, sizeof(bytes)));

	if (!text) {
		check_is(-ENODATA, n, "%s has no %s", path, name);
		return;
	}
	if (n >= 0)
		decode(bytes, (size_t)n, got, sizeof(got));
	check_that(strcmp(got, text) == 0, "%s of %s is %s (it is %s)", name,
		   path, text, got);
}

static void with_mode(void)
{
	MAKE(MKFILE, "f", .a = 0640);
	is("f", false, NULL);
	set(0, ROOT, "f", false, "u::rw-,u:65534:rwx,g::r--,m::rwx,o::---");
	/* the group's bits are the mask now */
	STEP(LSTAT, "f", .after = "f:mode=0670");
	is("f", false, "u::rw-,u:65534:rwx,g::r--,m::rwx,o::---");
	STEP(CHMOD, "f", .a = 0600, .after = "f:mode=0600 f:ctime+");
	is("f", false, "u::rw-,u:65534:rwx,g::r--,m::---,o::---");
	STEP(CHMOD, "f", .a = 0751);
	is("f", false, "u::rwx,u:65534:rwx,g::r--,m::r-x,o::--x");
	set(0, ROOT, "f", false, "u::r--,g::rw-,o::-w-");
	STEP(LSTAT, "f", .after = "f:mode=0462");
	is("f", false, NULL); /* the mode says all of it */
	set(0, ROOT, "f", false, "u::rwx,g::---,g:70009:rw-,m::r--,o::--x");
	STEP(LSTAT, "f", .after = "f:mode=0741");
	check_is(0, sys(removexattr("f", ACCESS_NAME)), "remove the list");
	is("f", false, NULL);
	check_is(-ENODATA, sys(removexattr("f", ACCESS_NAME)) ?: -ENODATA,
		 "remove it again");
	STEP(LSTAT, "f", .after = "f:mode=0741");
	STEP(CHMOD, "f", .a = 06755);
	set(0, ROOT, "f", false, "u::rwx,u:1:r--,g::r-x,m::r-x,o::r-x");
	STEP(LSTAT, "f", .after = "f:mode=06755");
	set(-EACCES, ROOT, "f", true, "u::rwx,g::r-x,o::r-x");
}

static void bad_lists(void)
{
	static const char *const bad[] = {
		"u::rw-",
		"u::rw-,g::r--",
		"g::r--,o::r--",
		"u::rw-,u::rw-,g::r--,o::r--",
		"u::rw-,g::r--,o::r--,o::r--",
		"u::rw-,u:5:r--,g::r--,o::r--", /* no mask */
		"u::rw-,u:5:r--,u:5:r--,g::r--,m::r--,o::r--",
		"u::rw-,g::r--,g:5:r--,g:5:r--,m::r--,o::r--",
		"o::r--,g::r--,u::rw-",
		"u::rw-,g::r--,m::r--,m::r--,o::r--",
	};
	uint8_t bytes[64];
	size_t n = encode("u::rw-,g::r--,o::r--", bytes);

	MAKE(MKFILE, "f", .a = 0644);
	MAKE(MKDIR, "d", .a = 0755);
	for (size_t i = 0; i < COUNT(bad); i++) {
		/* a user twice is only unwise to Linux */
		if (i == 6 || i == 7)
			continue;
		set(-EINVAL, ROOT, "f", false, bad[i]);
		set(-EINVAL, ROOT, "d", true, bad[i]);
	}
	check_is(-EINVAL, sys(setxattr("f", ACCESS_NAME, bytes, n - 1, 0)),
		 "a list that is cut");
	check_is(-EINVAL, sys(setxattr("f", ACCESS_NAME, bytes, 3, 0)),
		 "a list shorter than its head");
	put(bytes, 3, 4);
	check_is(-EOPNOTSUPP, sys(setxattr("f", ACCESS_NAME, bytes, n, 0)),
		 "a list of version 3");
	put(bytes, 2, 4);
	put(bytes + 6, 8, 2);
	check_is(-EINVAL, sys(setxattr("f", ACCESS_NAME, bytes, n, 0)),
		 "a permission that is none");
	STEP(LSTAT, "f", .after = "f:mode=0644");
	is("f", false, NULL);
	is("d", true, NULL);
}

struct right {
	enum user who;
	unsigned may; /* 4 read, 2 write */
};

static void rights(const char *list, const struct right *r, size_t n)
{
	set(0, ROOT, "f", false, list);
	for (; n--; r++) {
		STEP(OPEN, "f", .a = O_RDONLY, .as = r->who,
		     .want = r->may & 4 ? 0 : -EACCES);
		STEP(OPEN, "f", .a = O_WRONLY, .as = r->who,
		     .want = r->may & 2 ? 0 : -EACCES);
		STEP(ACCESS, "f", .a = R_OK | W_OK, .as = r->who,
		     .want = r->may == 6 ? 0 : -EACCES);
		STEP(TRUNCATE, "f", .a = 5, .as = r->who,
		     .want = r->may & 2 ? 0 : -EACCES);
	}
}
#define RIGHTS(list, ...)                                                      \
	rights(list, (const struct right[]){ __VA_ARGS__ },                    \
	       COUNT(((const struct right[]){ __VA_ARGS__ })))

/* The file is B's, with B's group; MEMBER is in A's and 70009. */
static void obeyed(void)
{
	MAKE(FILL, "f", "content");
	MAKE(CHOWN, "f", .a = UID_B, .b = GID_B);
	RIGHTS("u::rw-,u:65534:r--,g::---,m::rwx,o::---", { B, 6 }, { A, 4 },
	       { PEER, 0 }, { MEMBER, 0 });
	RIGHTS("u::rw-,u:65534:rw-,g::---,m::r--,o::---", { B, 6 }, { A, 4 },
	       { PEER, 0 });
	RIGHTS("u::---,u:65534:rw-,g::rw-,m::rw-,o::rw-", { B, 0 }, { A, 6 },
	       { PEER, 6 });
	RIGHTS("u::rw-,u:65534:---,g::rw-,m::rw-,o::rw-", { B, 6 }, { A, 0 },
	       { PEER, 6 }, { MEMBER, 6 });
	RIGHTS("u::rw-,g::---,g:65534:rw-,m::rw-,o::r--", { A, 6 }, { PEER, 6 },
	       { MEMBER, 6 }, { B, 6 });
	RIGHTS("u::rw-,g::---,g:65534:r--,m::rw-,o::rw-", { A, 4 }, { PEER, 4 },
	       { MEMBER, 4 });
	RIGHTS("u::rw-,g::---,g:65534:---,m::rw-,o::rw-", { A, 0 }, { PEER, 0 },
	       { MEMBER, 0 });
	RIGHTS("u::rw-,g::---,g:65534:r--,g:70009:-w-,m::rw-,o::---", { A, 4 },
	       { PEER, 4 });
	RIGHTS("u::rw-,g::---,g:70009:rw-,m::rw-,o::---", { A, 0 }, { PEER, 0 },
	       { MEMBER, 6 });
	RIGHTS("u::rw-,u:70003:r--,g::---,g:70009:rw-,m::rw-,o::---",
	       { MEMBER, 4 });
	/* a mask of nothing is left out: Linux asks only the mode then */
	MAKE(CHOWN, "f", .a = UID_B, .b = GID_A);
	RIGHTS("u::rw-,u:1:rw-,g::rw-,m::r--,o::---", { A, 4 }, { PEER, 4 },
	       { MEMBER, 4 });
	RIGHTS("u::rw-,u:1:rw-,g::r--,m::rw-,o::rw-", { A, 4 }, { PEER, 4 });
	/* chmod moves the mask */
	STEP(CHMOD, "f", .a = 0600);
	STEP(OPEN, "f", .a = O_RDONLY, .as = A, .want = -EACCES);
	STEP(CHMOD, "f", .a = 0660);
	STEP(OPEN, "f", .a = O_RDONLY, .as = A);
}

static void who_may_set(void)
{
	const char *list = "u::rwx,u:1:r--,g::r-x,m::r-x,o::r-x";

	MAKE(MKFILE, "f", .a = 0777);
	MAKE(CHOWN, "f", .a = UID_A, .b = GID_A);
	set(0, A, "f", false, list);
	set(-EPERM, B, "f", false, list);
	set(-EPERM, PEER, "f", false, list);
	set(-EPERM, MEMBER, "f", false, list);
	set(0, ROOT, "f", false, list);
	become(B);
	is("f", false, list); /* anybody may read it */
	check_is(-EPERM, sys(removexattr("f", ACCESS_NAME)),
		 "removexattr as B");
	become(A);
	check_is(0, sys(removexattr("f", ACCESS_NAME)), "removexattr as A");
	become(ROOT);
	MAKE(MKDIR, "d", .a = 0777);
	set(-EPERM, B, "d", true, list);
	MAKE(CHOWN, "d", .a = UID_B, .b = GID_B);
	set(0, B, "d", true, list);
	MAKE(SYMLINK, "l", "f");
	check_is(-EOPNOTSUPP,
		 sys(lsetxattr("l", ACCESS_NAME, "\2\0\0\0", 4, 0)),
		 "a list of a symbolic link");
	/* set-gid goes when the setter is not of the group: as chmod's */
	MAKE(CHOWN, "f", .a = UID_A, .b = GID_B);
	MAKE(CHMOD, "f", .a = 02755);
	set(0, A, "f", false, list);
	STEP(LSTAT, "f", .after = "f:mode=0755");
}

static void inherited(void)
{
	const char *list = "u::rwx,u:65534:rw-,g::r-x,m::rwx,o::r--";

	MAKE(MKDIR, "d", .a = 0755);
	set(0, ROOT, "d", true, list);
	is("d", true, list);
	is("d", false, NULL);
	STEP(LSTAT, "d", .after = "d:mode=0755");
	MAKE(UMASK, .a = 077); /* a default list takes its place */
	STEP(MKFILE, "d/f", .a = 0666, .after = "d/f:mode=0664");
	is("d/f", false, "u::rw-,u:65534:rw-,g::r-x,m::rw-,o::r--");
	is("d/f", true, NULL);
	STEP(MKFILE, "d/g", .a = 0600, .after = "d/g:mode=0600");
	is("d/g", false, "u::rw-,u:65534:rw-,g::r-x,m::---,o::---");
	STEP(MKDIR, "d/s", .a = 0777, .after = "d/s:mode=0774");
	is("d/s", false, list);
	is("d/s", true, list);
	STEP(MKDIR, "d/s/t", .a = 0700, .after = "d/s/t:mode=0700");
	is("d/s/t", false, "u::rwx,u:65534:rw-,g::r-x,m::---,o::---");
	is("d/s/t", true, list);
	STEP(MKFIFO, "d/p", .a = 0666, .after = "d/p:mode=0664");
	is("d/p", false, "u::rw-,u:65534:rw-,g::r-x,m::rw-,o::r--");
	STEP(MKNOD, "d/c", .a = S_IFCHR | 0666, .b = 0x103,
	     .after = "d/c:mode=0664");
	STEP(SYMLINK, "d/l", "x", .after = "d/l:mode=0777");
	STEP(OPEN, "d/f", .a = O_RDWR, .as = A);
	STEP(OPEN, "d/g", .a = O_RDONLY, .as = A, .want = -EACCES);
	/* what moves in keeps what it has */
	STEP(MKFILE, "f", .a = 0666, .after = "f:mode=0600");
	STEP(RENAME, "f", "d/moved", .after = "d/moved:mode=0600");
	is("d/moved", false, NULL);
	/* three entries are a mode */
	MAKE(MKDIR, "e", .a = 0755);
	set(0, ROOT, "e", true, "u::rwx,g::r--,o::--x");
	STEP(MKFILE, "e/f", .a = 0777, .after = "e/f:mode=0741");
	is("e/f", false, NULL);
	STEP(MKDIR, "e/d", .a = 0777, .after = "e/d:mode=0741");
	is("e/d", true, "u::rwx,g::r--,o::--x");
	check_is(0, sys(removexattr("e", DEFAULT_NAME)), "remove the default");
	is("e", true, NULL);
	STEP(MKFILE, "e/g", .a = 0666, .after = "e/g:mode=0600");
	(void)umask(0);
	/* set-gid and the list together */
	MAKE(CHOWN, "d", .a = 0, .b = GID_A);
	MAKE(CHMOD, "d", .a = 02777);
	STEP(MKDIR, "d/u", .a = 0777, .as = B,
	     .after = "d/u:mode=02774 d/u:gid=65534 d/u:uid=70001");
	is("d/u", true, list);
}

static void folders(void)
{
	MAKE(MKDIR, "d", .a = 0700);
	MAKE(FILL, "d/f", "x");
	set(0, ROOT, "d", false, "u::rwx,u:65534:r-x,g::---,m::r-x,o::---");
	STEP(STAT, "d/f", .as = A);
	STEP(READDIR, "d", .as = A, .want = 3);
	STEP(MKFILE, "d/g", .a = 0644, .as = A, .want = -EACCES);
	STEP(STAT, "d/f", .as = B, .want = -EACCES);
	STEP(READDIR, "d", .as = PEER, .want = -EACCES);
	set(0, ROOT, "d", false, "u::rwx,u:65534:-wx,g::---,m::rwx,o::---");
	STEP(MKFILE, "d/g", .a = 0644, .as = A, .after = "d/g:uid=65534");
	STEP(READDIR, "d", .as = A, .want = -EACCES);
	STEP(UNLINK, "d/f", .as = A);
	set(0, ROOT, "d", false, "u::rwx,g::---,g:65534:--x,m::rwx,o::---");
	STEP(STAT, "d/g", .as = PEER);
	STEP(STAT, "d/g", .as = MEMBER);
	STEP(STAT, "d/g", .as = B, .want = -EACCES);
	STEP(UNLINK, "d/g", .as = PEER, .want = -EACCES);
}

static const struct test_case cases[] = {
	RUN(with_mode), RUN(bad_lists), RUN(obeyed), RUN(who_may_set),
	RUN(inherited), RUN(folders),   { 0 },
};
const struct check_group group_acl = { "acl", cases };
