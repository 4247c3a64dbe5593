/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symlink, readlink: targets of every length, and what follows them.
 */
#include "posix.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct step basics[] = {
	{ FILL, "f", "content" },
	{ SYMLINK, "l", "f",
	  .after = "l:type=l l:link=f l:size=1 l:mode=0777 l:nlink=1 "
		   "l:mtime+ .:mtime+ .:ctime+ f:same" },
	{ READLINK, "l", .want = 1, .after = "l:mtime= l:ctime=" },
	{ READLINK, "f", .want = -EINVAL },
	{ READLINK, ".", .want = -EINVAL },
	{ STAT, "l" },
	{ OPEN, "l", .a = O_RDONLY },
	{ READ, .a = 99, .want = 7 },
	{ SYMLINK, "l", "g", .want = -EEXIST, .after = "l:link=f" },
	{ SYMLINK, "f", "g", .want = -EEXIST },
	{ SYMLINK, "e", "", .want = -ENOENT, .after = "!e" },
	{ SYMLINK, "n", "no/such/place", .after = "n:link=no/such/place" },
	{ STAT, "n", .want = -ENOENT },
	{ LSTAT, "n" },
	{ SYMLINK, "odd", "//.././/x/", .after = "odd:link=//.././/x/" },
	{ SYMLINK, "{l255}", "f", .after = "{l255}:link=f" },
	{ SYMLINK, "{l256}", "f", .want = -ENAMETOOLONG },
	{ MKDIR, "d", .a = 0755 },
	{ SYMLINK, "d/up", "../f", .after = "d/up:link=../f d:mtime+" },
	{ STAT, "d/up" },
	{ SYMLINK, "to-d", "d" },
	{ MKFILE, "to-d/new", .a = 0644, .after = "d/new:type=r" },
	{ STAT, "to-d/" },
	{ LSTAT, "to-d/.", .after = "to-d:type=l" },
	{ RENAME, "l", "m", .after = "m:link=f !l" },
	{ UNLINK, "m", .after = "!m f:text=content" },
	{ LCHOWN, "n", .a = UID_A, .b = GID_A },
	{ READLINK, "n", .want = 13, .as = B },
	{ UTIMENS, "n", .a = SEC, .b = 2 * SEC, .flags = AT_SYMLINK_NOFOLLOW,
	  .as = A, .after = "n:mtime=2 n:ctime+" },
	{ UTIMENS, "n", .a = SEC, .b = 2 * SEC, .flags = AT_SYMLINK_NOFOLLOW,
	  .as = B, .want = -EPERM },
	{ SYMLINK, "loop", "loop", .after = "loop:link=loop" },
	{ STAT, "loop", .want = -ELOOP },
	{ OPEN, "loop", .a = O_RDONLY, .want = -ELOOP },
	{ OPEN, "loop", .a = O_PATH | O_NOFOLLOW },
	{ UNLINK, "loop", .after = "!loop" },
	{ 0 }
};

static void target_lengths(void)
{
	static const int lens[] = { 1,    2,    59,   60,   61,   255,
				    256,  511,  1023, 1024, 1025, 2047,
				    2048, 3000, 4000, 4094, 4095 };
	char target[4096], got[8192];

	for (size_t i = 0; i < COUNT(lens); i++) {
		size_t n = (size_t)lens[i];
		struct stat st;

		memset(target, 'a' + (int)i, n);
		target[n] = '\0';
		if (!check_is(0, sys(symlink(target, "l")),
			      "symlink to %zu bytes", n))
			continue;
		check_is((int64_t)n, sys(readlink("l", got, sizeof(got))),
			 "readlink of %zu bytes", n);
		check_that(memcmp(got, target, n) == 0, "the same %zu bytes",
			   n);
		check_is(0, sys(lstat("l", &st)), "lstat");
		check_is((int64_t)n, st.st_size, "size of a link to %zu bytes",
			 n);
		/* a buffer that is too short: cut, no error */
		check_is((int64_t)(n + 1) / 2,
			 sys(readlink("l", got, (n + 1) / 2)),
			 "readlink of half of %zu bytes", n);
		(void)unlink("l");
	}
	check_is(-EINVAL, sys(readlink("l", got, 0)), "readlink into nothing");
	STEP(SYMLINK, "l", "{t4096}", .want = -ENAMETOOLONG, .after = "!l");
	STEP(SYMLINK, "l", "{t5000}", .want = -ENAMETOOLONG, .after = "!l");
}

static void every_byte(void)
{
	char target[256], got[300];

	for (int i = 0; i < 255; i++)
		target[i] = (char)(i + 1);
	target[255] = '\0';
	check_is(0, sys(symlink(target, "l")), "symlink to every byte");
	check_is(255, sys(readlink("l", got, sizeof(got))), "readlink");
	check_that(memcmp(got, target, 255) == 0, "it has kept every byte");
}

static const struct test_case cases[] = {
	TABLE(basics),
	RUN(target_lengths),
	RUN(every_byte),
	{ 0 },
};
const struct check_group group_symlink = { "symlink", cases };
