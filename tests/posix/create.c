/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a new thing is given: mode and umask, owner, the group of a set-gid
 * directory; and who may make device files.
 */
#include "posix.h"

#include <errno.h>
#include <stdio.h>

static const struct step makers[] = {
	{ MKFILE, "n" }, { MKDIR, "n" }, { MKFIFO, "n" },
	{ MKNOD, "n" },  { BIND, "n" },  { OPEN, "n" },
};

static struct step maker(size_t i, unsigned mode)
{
	struct step s = makers[i];

	s.a = mode;
	if (s.call == OPEN) {
		s.a = O_CREAT | O_RDWR;
		s.b = mode;
	}
	return s;
}

static void umasks(void)
{
	static const unsigned masks[] = { 0,    0022, 0027, 0077, 0777,
					  0111, 0026, 0007, 0700 };
	static const unsigned modes[] = { 0777, 0666,  0644, 0750,
					  0,    01777, 04755 };

	for (size_t i = 0; i < COUNT(makers); i++)
		for (size_t u = 0; u < COUNT(masks); u++)
			for (size_t m = 0; m < COUNT(modes); m++) {
				struct step s = maker(i, modes[m]);
				unsigned mode = modes[m] & ~masks[u];
				char after[64];

				if (s.call == MKDIR) /* mkdir(2) */
					mode &= 01777;
				if (s.call == BIND)
					mode = 0777 & ~masks[u];
				(void)snprintf(after, sizeof(after),
					       "n:mode=0%o n:uid=65534", mode);
				s.as = A;
				s.after = after;
				MAKE(UMASK, .a = masks[u]);
				(void)step_run(&s);
				remove_tree("n");
			}
	/* a symbolic link has no use for one */
	MAKE(UMASK, .a = 0777);
	STEP(SYMLINK, "l", "x", .after = "l:mode=0777");
}

/*
 * A directory with set-gid gives its group on, and the bit to directories.
 * Others lose set-gid when their maker is not of that group.
 */
static void set_gid_folders(void)
{
	static const enum user users[] = { ROOT, A, B, PEER, MEMBER };

	MAKE(MKDIR, "d", .a = 0777);
	MAKE(CHOWN, "d", .a = UID_B, .b = GID_A);
	MAKE(CHMOD, "d", .a = 02777);
	for (size_t i = 0; i < COUNT(makers); i++)
		for (size_t u = 0; u < COUNT(users); u++) {
			struct step s = maker(i, 0755);
			char after[128];
			unsigned mode = s.call == MKDIR  ? 02755
					: s.call == BIND ? 0777
							 : 0755;

			s.p = "d/n";
			s.as = users[u];
			(void)snprintf(after, sizeof(after),
				       "d/n:mode=0%o d/n:gid=65534 d/n:uid=%u",
				       mode, user_uid(users[u]));
			s.after = after;
			(void)step_run(&s);
			remove_tree("d/n");
		}
	STEP(SYMLINK, "d/l", "x", .as = B, .after = "d/l:gid=65534");
	STEP(MKDIR, "d/1", .a = 0700, .as = B, .after = "d/1:mode=02700");
	STEP(MKDIR, "d/1/2", .a = 0700, .as = B,
	     .after = "d/1/2:mode=02700 d/1/2:gid=65534");
	STEP(MKFILE, "d/1/2/f", .a = 0600, .as = B,
	     .after = "d/1/2/f:gid=65534 d/1/2/f:mode=0600");
	STEP(MKFILE, "d/g", .a = 02755, .as = A, .after = "d/g:mode=02755");
	STEP(MKFILE, "d/h", .a = 02755, .as = MEMBER,
	     .after = "d/h:mode=02755 d/h:gid=65534");
	STEP(MKFILE, "d/i", .a = 02755, .as = B, .after = "d/i:mode=0755");
	STEP(MKFILE, "d/j", .a = 02744, .as = B, .after = "d/j:mode=02744");
	STEP(MKFILE, "d/k", .a = 06755, .as = B, .after = "d/k:mode=04755");
	STEP(MKNOD, "d/m", .a = S_IFREG | 02755, .as = B,
	     .after = "d/m:mode=0755 d/m:gid=65534");
	STEP(MKFILE, "d/o", .a = 02755, .after = "d/o:mode=02755");
	STEP(LINK, "d/g", "d/link", .as = A, .after = "d/link:ino=d/g");
	STEP(MKFILE, "f", .a = 0644, .as = B, .after = "f:gid=70001");
	STEP(RENAME, "f", "d/f", .as = B, .after = "d/f:gid=70001");
}

static void device_files(void)
{
	static const unsigned types[] = { S_IFCHR, S_IFBLK };
	static const unsigned devices[] = { 0x103, 0x801, 0, 0xfffff,
					    0xffffffff };

	for (size_t t = 0; t < COUNT(types); t++)
		for (size_t d = 0; d < COUNT(devices); d++) {
			char after[64];

			(void)snprintf(after, sizeof(after),
				       "n:type=%c n:rdev=0x%x n:mode=0640",
				       types[t] == S_IFCHR ? 'c' : 'b',
				       devices[d]);
			STEP(MKNOD, "n", .a = types[t] | 0640, .b = devices[d],
			     .after = after);
			STEP(RENAME, "n", "m");
			STEP(LINK, "m", "n", .after = after);
			/* character device 0 is overlayfs's white-out */
			if (devices[d])
				STEP(MKNOD, "x", .a = types[t] | 0666,
				     .b = devices[d], .as = A, .want = -EPERM,
				     .after = "!x");
			remove_tree("n");
			remove_tree("m");
		}
}

static const struct step types[] = {
	{ MKNOD, "d", .a = S_IFDIR | 0755, .want = -EPERM, .after = "!d" },
	{ MKNOD, "l", .a = S_IFLNK | 0755, .want = -EINVAL },
	{ MKNOD, "x", .a = 0150000 | 0755, .want = -EINVAL },
	{ MKNOD, "f", .a = S_IFREG | 0600, .b = 0x103,
	  .after = "f:type=r f:rdev=0 f:size=0" },
	{ MKNOD, "p", .a = S_IFIFO | 0600, .b = 0x103,
	  .after = "p:type=p p:rdev=0" },
	{ MKNOD, "w", .a = S_IFCHR | 0, .b = 0, .as = A, .after = "w:type=c" },
	{ MKNOD, "s", .a = S_IFSOCK | 0600, .as = A, .after = "s:type=s" },
	{ MKDIR, "{d255}", .a = 0755, .after = "{d255}:type=d .:nlink=3" },
	{ MKDIR, "{d256}", .a = 0755, .want = -ENAMETOOLONG },
	{ MKDIR, "x/", .a = 0755, .after = "x:type=d" },
	{ MKDIR, "x/y//", .a = 0755, .after = "x/y:type=d x:nlink=3" },
	{ MKDIR, "x/.", .a = 0755, .want = -EEXIST },
	{ MKDIR, "x/..", .a = 0755, .want = -EEXIST },
	{ MKDIR, ".", .a = 0755, .want = -EEXIST },
	{ MKDIR, "/", .a = 0755, .want = -EEXIST },
	{ MKDIR, "x/z/.", .a = 0755, .want = -ENOENT },
	{ MKFIFO, "n/", .a = 0755, .want = -ENOENT },
	{ MKNOD, "n/", .a = S_IFREG | 0755, .want = -ENOENT },
	{ SYMLINK, "n/", "x", .want = -ENOENT },
	{ MKFILE, "n/", .a = 0644, .want = -EISDIR },
	{ OPEN, "x/", .a = O_CREAT | O_RDWR, .b = 0644, .want = -EISDIR },
	{ MKFIFO, "x/.", .a = 0755, .want = -EEXIST },
	{ SYMLINK, "x/..", "x", .want = -EEXIST },
	{ MKFILE, "{f255}", .a = 0644, .after = "{f255}:type=r" },
	{ MKFIFO, "{p255}", .a = 0644, .after = "{p255}:type=p" },
	{ MKNOD, "{c255}", .a = S_IFCHR, .b = 0x103 },
	{ SYMLINK, "{s255}", "x", .after = "{s255}:link=x" },
	{ 0 }
};

static const struct test_case cases[] = {
	RUN(umasks), RUN(set_gid_folders), RUN(device_files), TABLE(types),
	{ 0 },
};
const struct check_group group_create = { "create", cases };
