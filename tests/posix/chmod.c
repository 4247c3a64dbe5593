/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chmod, fchmod: every bit, who may, what else moves.
 */
#include "posix.h"

#include <errno.h>
#include <stdio.h>

static const struct step basics[] = {
	{ MKFILE, "f", .a = 0644 },
	{ CHMOD, "f", .a = 0111,
	  .after = "f:mode=0111 f:ctime+ f:mtime= f:atime= .:same" },
	{ CHMOD, "f", .a = 0111, .after = "f:ctime+ f:mtime= f:nlink=1" },
	{ OPEN, "f", .a = O_RDWR },
	{ FCHMOD, .a = 0640,
	  .after = "f:mode=0640 f:ctime+ f:mtime= f:atime=" },
	{ UNLINK, "f" },
	{ FCHMOD, .a = 0600 },
	{ CLOSE },
	{ FCHMOD, .a = 0600, .want = -EBADF },
	{ MKDIR, "d", .a = 0755 },
	{ CHMOD, "d", .a = 0151,
	  .after = "d:mode=0151 d:ctime+ d:mtime= d:nlink=2 .:same" },
	{ OPEN, "d", .a = O_RDONLY | O_DIRECTORY },
	{ FCHMOD, .a = 01777, .after = "d:mode=01777 d:ctime+" },
	{ CLOSE },
	{ OPEN, "d", .a = O_PATH },
	{ FCHMOD, .a = 0700, .want = -EBADF },
	{ SYMLINK, "l", "d" },
	{ CHMOD, "l", .a = 0711, .after = "d:mode=0711 l:mode=0777 l:same" },
	{ MKFIFO, "p", .a = 0644 },
	{ CHMOD, "p", .a = 0222, .after = "p:mode=0222 p:ctime+ p:mtime=" },
	{ MKNOD, "c", .a = S_IFCHR | 0644, .b = 0x103 },
	{ CHMOD, "c", .a = 0666, .after = "c:mode=0666 c:rdev=0x103" },
	{ MKFILE, "h1", .a = 0644 },
	{ LINK, "h1", "h2" },
	{ CHMOD, "h2", .a = 0420, .after = "h1:mode=0420 h1:ctime+ h2:ctime+" },
	/* type bits in the argument say nothing */
	{ CHMOD, "h1", .a = S_IFDIR | 0611, .after = "h1:type=r h1:mode=0611" },
	{ 0 }
};

static const struct step who_may[] = {
	{ MKFILE, "f", .a = 0644 },
	{ CHOWN, "f", .a = UID_A, .b = GID_A },
	{ CHMOD, "f", .a = 0600, .as = A, .after = "f:mode=0600 f:ctime+" },
	{ CHMOD, "f", .a = 0, .as = A, .after = "f:mode=0 f:ctime+" },
	{ CHMOD, "f", .a = 0600, .as = A, .after = "f:mode=0600" },
	{ CHMOD, "f", .a = 0666, .as = B, .want = -EPERM, .after = "f:same" },
	{ CHMOD, "f", .a = 0666, .as = PEER, .want = -EPERM },
	{ CHMOD, "f", .a = 0666, .as = MEMBER, .want = -EPERM },
	{ CHMOD, "f", .a = 0777, .after = "f:mode=0777" },
	{ CHMOD, "f", .a = 0777, .as = B, .want = -EPERM },
	{ CHOWN, "f", .a = 0, .b = 0 },
	{ CHMOD, "f", .a = 0666, .as = A, .want = -EPERM },
	{ OPEN, "f", .a = O_RDWR, .as = A },
	{ FCHMOD, .a = 0600, .as = A, .want = -EPERM },
	{ FCHMOD, .a = 0640, .after = "f:mode=0640" },
	{ MKDIR, "d", .a = 0755, .as = A, .after = "d:uid=65534" },
	{ CHMOD, "d", .a = 0700, .as = A, .after = "d:mode=0700 d:ctime+" },
	{ CHMOD, "d", .a = 0777, .as = B, .want = -EPERM },
	{ CHMOD, "d", .a = 01777, .as = A, .after = "d:mode=01777" },
	{ CHMOD, "d", .a = 02777, .as = A, .after = "d:mode=02777" },
	{ 0 }
};

/* chmod(2): set-gid goes when the caller is not of the file's group */
static const struct step set_gid[] = {
	{ MKFILE, "f", .a = 0755 },
	{ CHOWN, "f", .a = UID_A, .b = GID_A },
	{ CHMOD, "f", .a = 02755, .as = A, .after = "f:mode=02755" },
	{ CHMOD, "f", .a = 06711, .as = A, .after = "f:mode=06711" },
	{ CHMOD, "f", .a = 04700, .as = A, .after = "f:mode=04700" },
	{ CHOWN, "f", .a = UID_A, .b = GID_B },
	{ CHMOD, "f", .a = 02755, .as = A, .after = "f:mode=0755" },
	{ CHMOD, "f", .a = 06755, .as = A, .after = "f:mode=04755" },
	{ CHMOD, "f", .a = 02755, .after = "f:mode=02755" },
	{ CHOWN, "f", .a = UID_MEMBER, .b = GID_A },
	{ CHMOD, "f", .a = 02755, .as = MEMBER, .after = "f:mode=02755" },
	{ CHOWN, "f", .a = UID_MEMBER, .b = GID_OTHER },
	{ CHMOD, "f", .a = 02711, .as = MEMBER, .after = "f:mode=02711" },
	{ CHOWN, "f", .a = UID_MEMBER, .b = GID_B },
	{ CHMOD, "f", .a = 02711, .as = MEMBER, .after = "f:mode=0711" },
	{ MKDIR, "d", .a = 0755 },
	{ CHOWN, "d", .a = UID_A, .b = GID_B },
	{ CHMOD, "d", .a = 02755, .as = A, .after = "d:mode=0755" },
	{ CHMOD, "d", .a = 02755, .after = "d:mode=02755" },
	{ CHMOD, "d", .a = 02777, .as = A, .after = "d:mode=0777" },
	/* the sticky bit is anybody's on Linux */
	{ CHMOD, "f", .a = 01644, .as = MEMBER, .after = "f:mode=01644" },
	{ 0 }
};

static void every_mode(void)
{
	const char *all = "rdpscb";

	for (const char *k = all; *k; k++) {
		make_kind(*k, "thing");
		for (unsigned mode = 0; mode <= 07777; mode += 0133) {
			char after[64];

			(void)snprintf(after, sizeof(after), "thing:mode=0%o",
				       mode);
			STEP(CHMOD, "thing", .a = mode, .after = after);
		}
		for (unsigned bit = 1; bit <= 04000; bit <<= 1) {
			char after[64];

			(void)snprintf(after, sizeof(after),
				       "thing:mode=0%o thing:type=%c", bit, *k);
			STEP(CHMOD, "thing", .a = bit, .after = after);
		}
		remove_tree("thing");
	}
}

/* The modes hold over a close and for who opens afterwards. */
static const struct step effect[] = {
	{ FILL, "f", "content" },
	{ CHOWN, "f", .a = UID_A, .b = GID_A },
	{ OPEN, "f", .a = O_RDWR, .as = A },
	{ CHMOD, "f", .a = 0 },
	{ READ, .a = 7, .want = 7, .as = A },
	{ PWRITE, .q = "new", .want = 3, .as = A },
	{ OPEN, "f", .a = O_RDONLY, .fd = 1, .as = A, .want = -EACCES },
	{ OPEN, "f", .a = O_WRONLY, .fd = 1, .as = A, .want = -EACCES },
	{ FTRUNCATE, .a = 2, .as = A, .after = "f:size=2" },
	{ CHMOD, "f", .a = 0400 },
	{ OPEN, "f", .a = O_RDONLY, .fd = 1, .as = A },
	{ OPEN, "f", .a = O_RDWR, .fd = 1, .as = A, .want = -EACCES },
	{ TRUNCATE, "f", .a = 1, .as = A, .want = -EACCES },
	{ CHMOD, "f", .a = 0200 },
	{ OPEN, "f", .a = O_WRONLY, .fd = 1, .as = A },
	{ OPEN, "f", .a = O_RDONLY, .fd = 1, .as = A, .want = -EACCES },
	{ TRUNCATE, "f", .a = 1, .as = A, .after = "f:size=1" },
	{ 0 }
};

static const struct test_case cases[] = {
	TABLE(basics),   TABLE(who_may), TABLE(set_gid),
	RUN(every_mode), TABLE(effect),  { 0 },
};
const struct check_group group_chmod = { "chmod", cases };
