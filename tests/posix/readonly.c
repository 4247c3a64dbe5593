/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A read-only mount, if one is given (--readonly DIR) with these in it:
 * file, dir/in, and a symbolic link.  All that would change it is EROFS.
 */
#include "posix.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static const struct step refused[] = {
	{ CHMOD, "file", .a = 0600 },
	{ CHOWN, "file", .a = 1, .b = 1 },
	{ LCHOWN, "link", .a = 1, .b = 1 },
	{ LINK, "file", "new" },
	{ MKDIR, "new", .a = 0755 },
	{ MKFIFO, "new", .a = 0644 },
	{ MKNOD, "new", .a = S_IFREG | 0644 },
	{ MKNOD, "new", .a = S_IFCHR | 0644, .b = 0x103 },
	{ SYMLINK, "new", "target" },
	{ RENAME, "file", "new" },
	{ RENAME, "dir", "new" },
	{ RENAMEAT2, "file", "link", .flags = RENAME_EXCHANGE },
	{ RMDIR, "dir" },
	{ UNLINK, "file" },
	{ UNLINK, "link" },
	{ TRUNCATE, "file", .a = 0 },
	{ OPEN, "file", .a = O_WRONLY },
	{ OPEN, "file", .a = O_RDWR },
	{ OPEN, "file", .a = O_RDONLY | O_TRUNC },
	{ OPEN, "file", .a = O_WRONLY | O_APPEND },
	{ OPEN, "new", .a = O_RDWR | O_CREAT, .b = 0644 },
	{ OPEN, "new", .a = O_RDONLY | O_CREAT | O_EXCL, .b = 0644 },
	{ UTIMENS, "file", .a = T_NULL },
	{ UTIMENS, "file", .a = SEC, .b = SEC },
	{ SETXATTR, "file", "user.x", .a = 3 },
	{ RMXATTR, "file", "user.x" },
	{ ACCESS, "file", .a = W_OK },
	{ ACCESS, "dir", .a = W_OK },
	{ BIND, "new" },
	{ UNLINK, "none" },
	{ RMDIR, "none" },
};

static const struct step allowed[] = {
	{ OPEN, "file", .a = O_RDONLY },
	{ OPEN, "file", .a = O_RDONLY | O_CREAT, .b = 0644 },
	{ OPEN, "dir", .a = O_RDONLY | O_DIRECTORY },
	{ ACCESS, "file", .a = R_OK },
	{ STAT, "dir/in" },
	{ READLINK, "link", .want = 4 },
	{ READDIR, "dir", .want = 3 },
	{ STATFS, "." },
	{ CHDIR, "dir" },
	/* what is wrong anyway is said first */
	{ OPEN, "none", .a = O_RDONLY, .want = -ENOENT },
	{ MKDIR, "dir", .a = 0755, .want = -EEXIST },
	{ SYMLINK, "link", "x", .want = -EEXIST },
	{ CHMOD, "none", .a = 0600, .want = -ENOENT },
	{ 0 }
};

static void refusals(void)
{
	int back = case_open(".", O_RDONLY | O_DIRECTORY, 0);

	if (!options.readonly)
		return;
	if (chdir(options.readonly))
		die("%s: %m", options.readonly);
	for (size_t i = 0; i < COUNT(refused); i++) {
		struct step s = refused[i];

		s.want = -EROFS;
		(void)step_run(&s);
	}
	for (const struct step *s = allowed; s->call; s++)
		(void)step_run(s);
	if (fchdir(back))
		die("fchdir: %m");
	(void)close(back);
}

static const struct test_case cases[] = {
	RUN(refusals),
	{ 0 },
};
const struct check_group group_readonly = { "readonly", cases };
