/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The nine bits: which of the three classes counts for a user, and what each
 * bit lets them do.  The other classes get the opposite bits, or none, so
 * that a class that was taken wrongly is seen.
 */
#include "posix.h"

#include <errno.h>
#include <unistd.h>

enum { MAY_X = 1, MAY_W = 2, MAY_R = 4 };

/* The thing is A's, with A's group. */
static unsigned bits_of(enum user u, unsigned mode)
{
	unsigned shift = u == A ? 6 : u == PEER || u == MEMBER ? 3 : 0;

	return mode >> shift & 7;
}

static int64_t allowed(enum user u, unsigned mode, unsigned need)
{
	return u == ROOT || (bits_of(u, mode) & need) == need ? 0 : -EACCES;
}

static void file_calls(unsigned mode, enum user u)
{
	STEP(OPEN, "f", .a = O_RDONLY, .as = u,
	     .want = allowed(u, mode, MAY_R));
	STEP(OPEN, "f", .a = O_WRONLY, .as = u,
	     .want = allowed(u, mode, MAY_W));
	STEP(OPEN, "f", .a = O_RDWR, .as = u,
	     .want = allowed(u, mode, MAY_R | MAY_W));
	STEP(OPEN, "f", .a = O_RDONLY | O_TRUNC, .as = u,
	     .want = allowed(u, mode, MAY_R | MAY_W));
	STEP(TRUNCATE, "f", .a = 7, .as = u, .want = allowed(u, mode, MAY_W));
	STEP(ACCESS, "f", .a = R_OK, .as = u, .want = allowed(u, mode, MAY_R));
	STEP(ACCESS, "f", .a = W_OK, .as = u, .want = allowed(u, mode, MAY_W));
	STEP(ACCESS, "f", .a = F_OK, .as = u);
	STEP(ACCESS, "f", .a = X_OK, .as = u,
	     .want = u == ROOT ? (mode & 0111 ? 0 : -EACCES)
			       : allowed(u, mode, MAY_X));
	STEP(STAT, "f", .as = u);
	STEP(GETXATTR, "f", "user.x", .a = 9, .as = u,
	     .want = allowed(u, mode, MAY_R) ? -EACCES : 3);
	STEP(SETXATTR, "f", "user.x", .a = 3, .as = u,
	     .want = allowed(u, mode, MAY_W));
	STEP(UTIMENS, "f", .a = T_NULL, .as = u,
	     .want = u == A ? 0 : allowed(u, mode, MAY_W));
}

static void each_class(void (*f)(unsigned mode, enum user u))
{
	for (unsigned shift = 0; shift <= 6; shift += 3)
		for (unsigned bits = 0; bits < 8; bits++)
			for (unsigned other = 0; other < 2; other++) {
				unsigned mode =
				    other ? 0777 & ~(7u << shift) : 0;

				mode |= bits << shift;
				for (enum user u = ROOT; u < N_USERS; u++)
					f(mode, u);
			}
}

static void of_file(unsigned mode, enum user u)
{
	static unsigned now = 010000;

	if (now != mode)
		MAKE(CHMOD, "f", .a = mode);
	now = mode;
	file_calls(mode, u);
}

static void file_bits(void)
{
	MAKE(FILL, "f", "content");
	MAKE(SETXATTR, "f", "user.x", .a = 3);
	MAKE(CHOWN, "f", .a = UID_A, .b = GID_A);
	MAKE(CHMOD, "f", .a = 0);
	each_class(of_file);
}

static void dir_calls(unsigned mode, enum user u)
{
	int64_t r = allowed(u, mode, MAY_R), x = allowed(u, mode, MAY_X);
	int64_t wx = allowed(u, mode, MAY_W | MAY_X);

	STEP(READDIR, "d", .as = u, .want = r ? r : 6);
	STEP(OPEN, "d", .a = O_RDONLY | O_DIRECTORY, .as = u, .want = r);
	STEP(CHDIR, "d", .as = u, .want = x);
	STEP(STAT, "d/f", .as = u, .want = x);
	STEP(STAT, "d/none", .as = u, .want = x ? x : -ENOENT);
	STEP(OPEN, "d/f", .a = O_RDWR, .as = u, .want = x);
	STEP(OPEN, "d/f", .a = O_RDWR | O_CREAT, .b = 0644, .as = u, .want = x);
	STEP(OPEN, "d/new", .a = O_RDWR | O_CREAT, .b = 0644, .as = u,
	     .want = wx);
	if (!wx)
		MAKE(UNLINK, "d/new");
	STEP(MKDIR, "d/new", .a = 0700, .as = u, .want = wx);
	STEP(RMDIR, "d/new", .as = u, .want = wx ? x ? x : -ENOENT : 0);
	STEP(SYMLINK, "d/new", "x", .as = u, .want = wx);
	STEP(RENAME, "d/new", "d/new2", .as = u,
	     .want = wx ? x ? x : -ENOENT : 0);
	STEP(UNLINK, "d/new2", .as = u, .want = wx ? x ? x : -ENOENT : 0);
	STEP(UNLINK, "d/f", .as = u, .want = wx);
	if (!wx)
		MAKE(FILL, "d/f", "x");
	MAKE(CHMOD, "d/f", .a = 0666);
	STEP(MKFIFO, "d/new", .a = 0644, .as = u, .want = wx);
	STEP(LINK, "d/f", "d/link", .as = u, .want = wx);
	STEP(RMDIR, "d/sub", .as = u, .want = wx);
	if (!wx) {
		MAKE(MKDIR, "d/sub", .a = 0755);
		MAKE(UNLINK, "d/new");
		MAKE(UNLINK, "d/link");
	}
}

static void of_dir(unsigned mode, enum user u)
{
	MAKE(CHMOD, "d", .a = mode);
	dir_calls(mode, u);
}

static void dir_bits(void)
{
	MAKE(MKDIR, "d", .a = 0755);
	MAKE(MKDIR, "d/sub", .a = 0755);
	MAKE(MKDIR, "d/sub2", .a = 0755);
	MAKE(FILL, "d/f", "x");
	MAKE(CHMOD, "d/f", .a = 0666);
	MAKE(MKFILE, "d/g", .a = 0666);
	MAKE(CHOWN, "d", .a = UID_A, .b = GID_A);
	each_class(of_dir);
}

/* The same as real users, in children that have no way back. */
static long probe(void *arg)
{
	const char *path = arg;
	long got = 0;

	if (access(path, R_OK) == 0)
		got |= 1;
	if (access(path, W_OK) == 0)
		got |= 2;
	if (open(path, O_RDONLY | O_CLOEXEC) >= 0)
		got |= 4;
	if (open(path, O_WRONLY | O_CLOEXEC) >= 0)
		got |= 8;
	if (chmod(path, 0777) == 0)
		got |= 16;
	return got;
}

static void real_users(void)
{
	static const unsigned modes[] = { 0,    0600, 0660, 0606, 0060, 0006,
					  0066, 0444, 0222, 0640, 0602, 0046 };

	MAKE(FILL, "f", "x");
	MAKE(CHOWN, "f", .a = UID_A, .b = GID_A);
	for (size_t i = 0; i < COUNT(modes); i++)
		for (enum user u = ROOT; u < N_USERS; u++) {
			long want = 0;
			char path[] = "f";

			MAKE(CHMOD, "f", .a = modes[i]);
			if (!allowed(u, modes[i], MAY_R))
				want |= 1 | 4;
			if (!allowed(u, modes[i], MAY_W))
				want |= 2 | 8;
			if (u == A || u == ROOT)
				want |= 16;
			check_is(want, in_child(u, probe, path),
				 "what %s may with mode 0%o", user_names[u],
				 modes[i]);
		}
}

static const struct test_case cases[] = {
	RUN(file_bits),
	RUN(dir_bits),
	RUN(real_users),
	{ 0 },
};
const struct check_group group_permission = { "permission", cases };
