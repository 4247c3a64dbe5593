/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chown, lchown, fchown: who may, what becomes of set-id bits.
 */
#include "posix.h"

#include <errno.h>
#include <stdio.h>

static const struct step basics[] = {
	{ MKFILE, "f", .a = 0644 },
	{ CHOWN, "f", .a = 12, .b = 34,
	  .after = "f:uid=12 f:gid=34 f:ctime+ f:mtime= f:atime= .:same" },
	{ CHOWN, "f", .a = -1, .b = 35, .after = "f:uid=12 f:gid=35 f:ctime+" },
	{ CHOWN, "f", .a = 13, .b = -1, .after = "f:uid=13 f:gid=35 f:ctime+" },
	{ CHOWN, "f", .a = -1, .b = -1, .after = "f:uid=13 f:gid=35" },
	{ CHOWN, "f", .a = 4294967294, .b = 4294967294,
	  .after = "f:uid=4294967294 f:gid=4294967294" },
	{ CHOWN, "f", .a = 65535, .b = 65536,
	  .after = "f:uid=65535 f:gid=65536" },
	{ OPEN, "f", .a = O_RDONLY },
	{ FCHOWN, .a = 1, .b = 2, .after = "f:uid=1 f:gid=2 f:ctime+" },
	{ UNLINK, "f" },
	{ FCHOWN, .a = 3, .b = 4 },
	{ CLOSE },
	{ FCHOWN, .a = 3, .b = 4, .want = -EBADF },
	{ MKDIR, "d", .a = 0755 },
	{ CHOWN, "d", .a = 5, .b = 6,
	  .after = "d:uid=5 d:gid=6 d:ctime+ d:mtime= d:nlink=2" },
	{ SYMLINK, "l", "d" },
	{ CHOWN, "l", .a = 7, .b = 8, .after = "d:uid=7 d:gid=8 l:same" },
	{ LCHOWN, "l", .a = 9, .b = 10,
	  .after = "l:uid=9 l:gid=10 l:ctime+ l:mtime= d:same l:mode=0777" },
	{ MKFIFO, "p", .a = 0644 },
	{ CHOWN, "p", .a = 1, .b = 2, .after = "p:uid=1 p:gid=2 p:ctime+" },
	{ MKNOD, "c", .a = S_IFCHR | 0600, .b = 0x103 },
	{ CHOWN, "c", .a = 1, .b = 2, .after = "c:uid=1 c:gid=2 c:rdev=0x103" },
	{ BIND, "s" },
	{ CHOWN, "s", .a = 1, .b = 2, .after = "s:uid=1 s:gid=2" },
	{ MKFILE, "h1", .a = 0644 },
	{ LINK, "h1", "h2" },
	{ LCHOWN, "h2", .a = 1, .b = 2, .after = "h1:uid=1 h1:ctime+" },
	{ 0 }
};

static void who_may(void)
{
	static const char names[] = "rdpsl";

	for (const char *k = names; *k; k++) {
		make_kind(*k, "t");
		STEP(LCHOWN, "t", .a = UID_A, .b = GID_A);
		/* the owner, to a group that is theirs */
		STEP(LCHOWN, "t", .a = UID_A, .b = GID_A, .as = A,
		     .after = "t:uid=65534 t:gid=65534");
		STEP(LCHOWN, "t", .a = -1, .b = GID_A, .as = A);
		STEP(LCHOWN, "t", .a = UID_A, .b = -1, .as = A);
		STEP(LCHOWN, "t", .a = -1, .b = -1, .as = A);
		STEP(LCHOWN, "t", .a = -1, .b = GID_B, .as = A, .want = -EPERM);
		STEP(LCHOWN, "t", .a = -1, .b = 0, .as = A, .want = -EPERM);
		STEP(LCHOWN, "t", .a = UID_B, .b = -1, .as = A, .want = -EPERM);
		STEP(LCHOWN, "t", .a = 0, .b = 0, .as = A, .want = -EPERM);
		/* others */
		STEP(LCHOWN, "t", .a = UID_B, .b = -1, .as = B, .want = -EPERM);
		STEP(LCHOWN, "t", .a = -1, .b = GID_B, .as = B, .want = -EPERM);
		STEP(LCHOWN, "t", .a = -1, .b = GID_A, .as = PEER,
		     .want = -EPERM);
		STEP(LCHOWN, "t", .a = -1, .b = GID_A, .as = MEMBER,
		     .want = -EPERM);
		/* one of the other groups of its owner */
		STEP(LCHOWN, "t", .a = UID_MEMBER, .b = GID_MEMBER);
		STEP(LCHOWN, "t", .a = -1, .b = GID_OTHER, .as = MEMBER,
		     .after = "t:gid=70009 t:ctime+");
		STEP(LCHOWN, "t", .a = UID_MEMBER, .b = GID_A, .as = MEMBER,
		     .after = "t:gid=65534 t:uid=70003");
		STEP(LCHOWN, "t", .a = -1, .b = GID_B, .as = MEMBER,
		     .want = -EPERM);
		/* a group that they are not in, which it has already */
		STEP(LCHOWN, "t", .a = UID_A, .b = GID_B);
		STEP(LCHOWN, "t", .a = -1, .b = GID_B, .as = A);
		STEP(LCHOWN, "t", .a = UID_A, .b = GID_B, .as = A);
		remove_tree("t");
	}
}

/*
 * Set-uid and set-gid go when a file changes hands, set-gid without group
 * execution (which once meant mandatory locking) stays, directories keep
 * theirs.  chown(2) leaves root's calls open; Linux treats them alike.
 */
static void set_id_bits(void)
{
	static const struct {
		char kind;
		unsigned mode, then;
	} modes[] = {
		{ 'r', 06777, 0777 },  { 'r', 04755, 0755 },
		{ 'r', 02755, 0755 },  { 'r', 06744, 02744 },
		{ 'r', 02644, 02644 }, { 'r', 04644, 0644 },
		{ 'r', 01777, 01777 }, { 'r', 07777, 01777 },
		{ 'r', 0755, 0755 },   { 'd', 06755, 06755 },
		{ 'd', 02755, 02755 }, { 'd', 07777, 07777 },
		{ 'p', 06755, 0755 },  { 's', 06755, 0755 },
	};

	for (size_t i = 0; i < COUNT(modes); i++) {
		char after[64];

		(void)snprintf(after, sizeof(after), "t:mode=0%o t:ctime+",
			       modes[i].then);
		make_kind(modes[i].kind, "t");
		MAKE(CHMOD, "t", .a = modes[i].mode);
		STEP(CHOWN, "t", .a = UID_MEMBER, .b = GID_MEMBER,
		     .after = after);
		MAKE(CHMOD, "t", .a = modes[i].mode);
		STEP(CHOWN, "t", .a = -1, .b = GID_A, .after = after);
		MAKE(CHMOD, "t", .a = modes[i].mode);
		STEP(CHOWN, "t", .a = UID_MEMBER, .b = -1, .after = after);
		/* the same owner again, and nothing at all */
		MAKE(CHMOD, "t", .a = modes[i].mode);
		STEP(CHOWN, "t", .a = UID_MEMBER, .b = GID_A, .after = after);
		MAKE(CHMOD, "t", .a = modes[i].mode);
		STEP(CHOWN, "t", .a = -1, .b = GID_OTHER, .as = MEMBER,
		     .after = after);
		STEP(CHOWN, "t", .a = -1, .b = GID_B, .as = MEMBER,
		     .want = -EPERM);
		remove_tree("t");
	}
}

static const struct step effect[] = {
	{ FILL, "f", "content" },
	{ CHMOD, "f", .a = 0640 },
	{ OPEN, "f", .a = O_RDONLY, .as = A, .want = -EACCES },
	{ CHOWN, "f", .a = -1, .b = GID_A },
	{ OPEN, "f", .a = O_RDONLY, .as = A },
	{ OPEN, "f", .a = O_RDONLY, .as = MEMBER },
	{ OPEN, "f", .a = O_RDWR, .as = A, .want = -EACCES },
	{ CHOWN, "f", .a = UID_A, .b = -1 },
	{ OPEN, "f", .a = O_RDWR, .as = A },
	{ CHOWN, "f", .a = UID_B, .b = GID_B },
	{ PWRITE, .q = "still", .want = 5, .as = A },
	{ OPEN, "f", .a = O_RDONLY, .fd = 1, .as = A, .want = -EACCES },
	{ CHMOD, "f", .a = 0600, .as = A, .want = -EPERM },
	{ CHMOD, "f", .a = 0600, .as = B },
	{ 0 }
};

static const struct test_case cases[] = {
	TABLE(basics), RUN(who_may), RUN(set_id_bits), TABLE(effect), { 0 },
};
const struct check_group group_chown = { "chown", cases };
