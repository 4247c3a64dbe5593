/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In a directory with the sticky bit only its owner, the owner of the thing,
 * and root may take a name away; anybody may, whom its mode lets, without.
 */
#include "posix.h"

#include <errno.h>

static const struct {
	const char *what;
	char kind;
	struct step s;
	bool of_target; /* o is what it takes away, f is the caller's */
} takers[] = {
	{ "unlink", 'r', { UNLINK, "d/f" } },
	{ "unlink fifo", 'p', { UNLINK, "d/f" } },
	{ "unlink symlink", 'l', { UNLINK, "d/f" } },
	{ "rmdir", 'd', { RMDIR, "d/f" } },
	{ "rename away", 'r', { RENAME, "d/f", "e/f" } },
	{ "rename inside", 'r', { RENAME, "d/f", "d/g" } },
	{ "rename directory", 'd', { RENAME, "d/f", "d/g" } },
	{ "rename over", 'r', { RENAME, "e/o", "d/f" }, true },
	{ "exchange",
	  'r',
	  { RENAMEAT2, "e/o", "d/f", .flags = 2 /* RENAME_EXCHANGE */ },
	  true },
};

static void one(size_t i, unsigned mode, enum user dir, enum user file,
		enum user as)
{
	struct step s = takers[i].s;
	bool may = !(mode & S_ISVTX) || as == ROOT || as == dir || as == file;

	MAKE(MKDIR, "d", .a = 0777);
	MAKE(MKDIR, "e", .a = 0777);
	make_kind(takers[i].kind, "d/f");
	MAKE(LCHOWN, "d/f", .a = user_uid(file), .b = user_gid(file));
	if (takers[i].of_target) {
		make_kind('r', "e/o");
		MAKE(LCHOWN, "e/o", .a = user_uid(as), .b = user_gid(as));
	}
	MAKE(CHOWN, "d", .a = user_uid(dir), .b = user_gid(dir));
	MAKE(CHMOD, "d", .a = mode);
	s.as = as;
	s.want = may ? 0 : -EPERM;
	(void)step_run(&s);
	remove_tree("d");
	remove_tree("e");
}

static void who_may_take(void)
{
	static const enum user dirs[] = { ROOT, A, B },
			       as[] = { ROOT, A, B, PEER };

	for (size_t i = 0; i < COUNT(takers); i++)
		for (size_t d = 0; d < COUNT(dirs); d++)
			for (enum user f = ROOT; f <= B; f++)
				for (size_t u = 0; u < COUNT(as); u++) {
					one(i, 01777, dirs[d], f, as[u]);
					one(i, 0777, dirs[d], f, as[u]);
				}
}

/* New names and links are anybody's; so are writes that modes allow. */
static const struct step what_it_leaves[] = {
	{ MKDIR, "d", .a = 01777, .after = "d:mode=01777" },
	{ MKFILE, "d/a", .a = 0666, .as = A, .after = "d/a:uid=65534" },
	{ MKFILE, "d/b", .a = 0644, .as = B, .after = "d/b:uid=70001" },
	{ MKDIR, "d/s", .a = 0777, .as = A, .after = "d/s:mode=0777" },
	{ LINK, "d/a", "d/l", .as = B, .after = "d/a:nlink=2" },
	{ TRUNCATE, "d/a", .a = 4, .as = B, .after = "d/a:size=4" },
	{ TRUNCATE, "d/b", .a = 4, .as = A, .want = -EACCES },
	{ UNLINK, "d/l", .as = B, .want = -EPERM },
	{ UNLINK, "d/l", .as = A, .after = "d/a:nlink=1" },
	/* inside of a directory in it, its own mode counts */
	{ MKFILE, "d/s/x", .a = 0644, .as = B },
	{ UNLINK, "d/s/x", .as = PEER },
	{ CHMOD, "d", .a = 01775 },
	{ CHOWN, "d", .a = 0, .b = GID_A },
	{ UNLINK, "d/b", .as = B, .want = -EACCES },
	{ UNLINK, "d/b", .as = PEER, .want = -EPERM },
	{ UNLINK, "d/a", .as = A, .after = "!d/a" },
	{ 0 }
};

static const struct test_case cases[] = {
	RUN(who_may_take),
	TABLE(what_it_leaves),
	{ 0 },
};
const struct check_group group_sticky = { "sticky", cases };
