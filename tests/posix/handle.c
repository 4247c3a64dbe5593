/* SPDX-License-Identifier: Apache-2.0 */
/*
 * name_to_handle_at and open_by_handle_at: a handle leads to its inode under
 * any name, and to nothing once the inode is gone, even if its number lives
 * again.
 */
#include "posix.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

struct handle {
	struct file_handle h;
	unsigned char bytes[MAX_HANDLE_SZ];
};

static int64_t take(const char *name, struct handle *ret)
{
	int mount;

	*ret = (struct handle){ .h.handle_bytes = MAX_HANDLE_SZ };
	return sys(name_to_handle_at(AT_FDCWD, name, &ret->h, &mount, 0));
}

static int64_t use(struct handle *h, int flags)
{
	int dir = case_open(".", O_RDONLY | O_DIRECTORY, 0);
	int64_t r = sys(open_by_handle_at(dir, &h->h, flags | O_CLOEXEC));

	(void)close(dir);
	return r;
}

/* The inode that it leads to, or an errno. */
static int64_t inode_of(struct handle *h, int flags)
{
	int64_t fd = use(h, flags);
	struct stat st = { 0 };

	if (fd < 0)
		return fd;
	if (fstat((int)fd, &st))
		die("fstat: %m");
	(void)close((int)fd);
	return (int64_t)st.st_ino;
}

static int64_t inode(const char *name)
{
	struct stat st;

	if (lstat(name, &st))
		die("lstat %s: %m", name);
	return (int64_t)st.st_ino;
}

static void lead_to_inodes(void)
{
	struct handle h;
	int64_t ino;

	for (const char *k = "rdps"; *k; k++) {
		make_kind(*k, "t");
		ino = inode("t");
		if (!check_is(0, take("t", &h), "handle of a %s",
			      kind_name(*k)))
			continue;
		check_is(
		    ino,
		    inode_of(&h, *k == 's' ? O_PATH : O_RDONLY | O_NONBLOCK),
		    "it leads there");
		STEP(RENAME, "t", "u");
		check_is(ino, inode_of(&h, O_PATH), "after a rename");
		remove_tree("u");
	}
	make_kind('r', "a");
	check_is(0, take("a", &h), "handle of a file");
	ino = inode("a");
	STEP(LINK, "a", "b");
	STEP(UNLINK, "a");
	check_is(ino, inode_of(&h, O_RDWR), "under its other name");
	STEP(MKDIR, "d", .a = 0755);
	STEP(RENAME, "b", "d/c");
	check_is(ino, inode_of(&h, O_RDWR), "in another directory");
}

static void gone(void)
{
	struct handle h;
	int fd;

	for (int i = 0; i < 20; i++) {
		make_kind('r', "t");
		check_is(0, take("t", &h), "handle");
		STEP(UNLINK, "t");
		check_is(-ESTALE, inode_of(&h, O_RDONLY), "of what is gone");
		make_kind('r', "t"); /* ext4 takes the number again */
		check_is(-ESTALE, inode_of(&h, O_RDONLY),
			 "of what was there before");
		remove_tree("t");
	}
	make_kind('r', "t");
	fd = case_open("t", O_RDWR, 0);
	check_is(0, take("t", &h), "handle");
	STEP(UNLINK, "t");
	(void)close(fd);
	check_is(-ESTALE, inode_of(&h, O_RDONLY), "closed after the unlink");
}

static void errors(void)
{
	struct handle h, small = { .h.handle_bytes = 0 };
	int mount;

	make_kind('r', "f");
	check_is(-ENOENT, take("none", &h), "handle of nothing");
	check_is(-EOVERFLOW,
		 sys(name_to_handle_at(AT_FDCWD, "f", &small.h, &mount, 0)),
		 "a buffer that is too small");
	check_that(small.h.handle_bytes > 0, "what it needs is said");
	check_is(
	    -EINVAL,
	    sys(name_to_handle_at(AT_FDCWD, "f", &small.h, &mount, 0x800000)),
	    "a flag that is none");
	check_is(0, take("f", &h), "handle");
	become(A);
	check_is(-EPERM, use(&h, O_RDONLY), "opened by A");
	become(ROOT);
	h.h.handle_type = 0x7f;
	check_is(-ESTALE, use(&h, O_RDONLY), "of a type that is none");
}

static const struct test_case cases[] = {
	RUN(lead_to_inodes),
	RUN(gone),
	RUN(errors),
	{ 0 },
};
const struct check_group group_handle = { "handle", cases };
