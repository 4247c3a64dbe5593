/* SPDX-License-Identifier: Apache-2.0 */
/*
 * truncate, ftruncate: shorter, longer, the same; times; what was cut off
 * must not come back.
 */
#include "posix.h"

#include <errno.h>
#include <unistd.h>

static const struct step basics[] = {
	{ FILL, "f", "content" },
	{ TRUNCATE, "f", .a = 3,
	  .after = "f:size=3 f:mtime+ f:ctime+ f:atime= f:text=con .:same" },
	{ TRUNCATE, "f", .a = 10, .after = "f:size=10 f:mtime+ f:ctime+" },
	{ OPEN, "f", .a = O_RDWR },
	{ READ, .a = 99, .want = 10 },
	{ TRUNCATE, "f", .a = 0, .after = "f:size=0 f:mtime+ f:ctime+" },
	{ PREAD, .a = 9, .want = 0 },
	{ TRUNCATE, "f", .a = -1, .want = -EINVAL },
	{ TRUNCATE, "f", .a = INT64_MIN, .want = -EINVAL },
	{ FTRUNCATE, .a = -1, .want = -EINVAL, .after = "f:same" },
	{ FTRUNCATE, .a = 5, .after = "f:size=5 f:mtime+ f:ctime+" },
	{ OPEN, "f", .a = O_RDONLY, .fd = 1 },
	{ FTRUNCATE, .a = 1, .fd = 1, .want = -EINVAL, .after = "f:size=5" },
	{ FTRUNCATE, .a = 1, .fd = 7, .want = -EBADF },
	{ OPEN, "f", .a = O_PATH, .fd = 1 },
	{ FTRUNCATE, .a = 1, .fd = 1, .want = -EBADF },
	{ OPEN, ".", .a = O_RDONLY, .fd = 1 },
	{ FTRUNCATE, .a = 1, .fd = 1, .want = -EINVAL },
	{ TRUNCATE, ".", .a = 1, .want = -EISDIR },
	{ MKFIFO, "p", .a = 0644 },
	{ TRUNCATE, "p", .a = 1, .want = -EINVAL },
	{ MKNOD, "c", .a = S_IFCHR | 0644, .b = 0x103 },
	{ TRUNCATE, "c", .a = 1, .want = -EINVAL },
	{ SYMLINK, "l", "f" },
	{ TRUNCATE, "l", .a = 2, .after = "f:size=2 l:size=1" },
	{ LINK, "f", "h" },
	{ TRUNCATE, "h", .a = 99, .after = "f:size=99 f:mtime+" },
	{ SYMLINK, "dangling", "nowhere" },
	{ TRUNCATE, "dangling", .a = 0, .want = -ENOENT, .after = "!nowhere" },
	/* truncate(2): times move when the size does; O_TRUNC's move always */
	{ TRUNCATE, "f", .a = 0 },
	{ OPEN, "f", .a = O_WRONLY | O_TRUNC, .fd = 2,
	  .after = "f:mtime+ f:ctime+" },
	{ TRUNCATE, "f", .a = 0, .after = "f:mtime+ f:ctime+" },
	{ FTRUNCATE, .a = 0, .after = "f:mtime+ f:ctime+" },
	{ FTRUNCATE, .a = 50 },
	{ FTRUNCATE, .a = 50, .after = "f:mtime+ f:ctime+" },
	{ 0 }
};

static const struct step permission[] = {
	{ FILL, "f", "content" },
	{ CHMOD, "f", .a = 0644 },
	{ TRUNCATE, "f", .a = 1, .as = A, .want = -EACCES,
	  .after = "f:text=content" },
	{ OPEN, "f", .a = O_RDONLY | O_TRUNC, .as = A, .want = -EACCES },
	{ CHMOD, "f", .a = 0444 },
	{ TRUNCATE, "f", .a = 6, .after = "f:size=6" },
	{ CHOWN, "f", .a = UID_A, .b = -1 },
	{ TRUNCATE, "f", .a = 1, .as = A, .want = -EACCES },
	{ CHMOD, "f", .a = 0200 },
	{ TRUNCATE, "f", .a = 1, .as = A, .after = "f:size=1" },
	{ OPEN, "f", .a = O_WRONLY, .as = A },
	{ CHMOD, "f", .a = 0 },
	{ FTRUNCATE, .a = 3, .as = A, .after = "f:size=3" },
	{ CHMOD, "f", .a = 0222 },
	{ TRUNCATE, "f", .a = 0, .as = B, .after = "f:size=0 f:uid=65534" },
	{ 0 }
};

/* At and around pages, extents and chunks: cut, grow, look for ghosts. */
static void ghosts(void)
{
	static const int at[] = { 0,       1,       511,     4095,
				  4096,    4097,    65535,   65536,
				  65537,   131072,  262143,  1048575,
				  1048576, 1048577, 2097152, 2097153 };
	const int full = 3 << 20;
	int fd = case_open("f", O_CREAT | O_RDWR, 0644);

	for (size_t i = 0; i < COUNT(at); i++) {
		struct stat st;
		int grown = at[i] + 300000;

		check_is(0, sys(ftruncate(fd, 0)), "to nothing");
		for (int off = 0; off < full; off += 1 << 20)
			check_is(
			    1 << 20,
			    sys(pwrite(fd, pattern(1 << 20, 5), 1 << 20, off)),
			    "write");
		check_is(0, sys(ftruncate(fd, at[i])), "cut to %d", at[i]);
		check_is(0, sys(fstat(fd, &st)), "fstat");
		check_is(at[i], st.st_size, "its size");
		check_is(0, sys(ftruncate(fd, grown)), "grow to %d", grown);
		check_that(holds_zeros(fd, at[i], 300000),
			   "from %d on there are zeros", at[i]);
		check_is(0, sys(pread(fd, &st, 1, grown)), "nothing behind %d",
			 grown);
		if (at[i] && at[i] <= 1 << 20)
			check_that(holds_pattern(fd, 0, (size_t)at[i], 5),
				   "up to %d all is there", at[i]);
	}
	(void)close(fd);
}

static const struct test_case cases[] = {
	TABLE(basics),
	TABLE(permission),
	RUN(ghosts),
	{ 0 },
};
const struct check_group group_truncate = { "truncate", cases };
