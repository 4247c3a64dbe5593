/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rename of each kind of thing over each kind, with each flag.  'D' is a
 * directory that is not empty, '-' nothing.
 */
#include "posix.h"

#include <errno.h>
#include <stdio.h>

#define ALL "rdDlpscb-"

static char plain(char kind)
{
	if (kind == 'D')
		return 'd';
	return kind;
}

static void make(char kind, const char *name)
{
	if (kind == '-')
		return;
	make_kind(plain(kind), name);
	if (kind == 'D')
		make_kind('r', *name == 'a' ? "a/in" : "o/b/in");
}

static int wanted(char from, char to, int flags)
{
	if (from == '-')
		return -ENOENT;
	if (to == '-')
		return flags & RENAME_EXCHANGE ? -ENOENT : 0;
	if (flags & RENAME_NOREPLACE)
		return -EEXIST;
	if (flags & RENAME_EXCHANGE)
		return 0;
	if (plain(from) == 'd')
		return to == 'd' ? 0 : to == 'D' ? -ENOTEMPTY : -ENOTDIR;
	return plain(to) == 'd' ? -EISDIR : 0;
}

static unsigned is_dir(char kind)
{
	return plain(kind) == 'd';
}

/* a and o/b; o starts with two links of its own. */
static void one(char from, char to, int flags)
{
	struct step s = { RENAMEAT2, "a", "o/b", .flags = flags };
	char after[128] = "";

	make_kind('d', "o");
	make(from, "a");
	make(to, "o/b");
	s.want = wanted(from, to, flags);
	if (!s.want && to != '-' && (flags & RENAME_EXCHANGE))
		(void)snprintf(after, sizeof(after),
			       "a:type=%c o/b:type=%c a:ctime+ o/b:ctime+ "
			       "o:mtime+ .:mtime+ o:nlink=%u .:nlink=%u",
			       plain(to), plain(from), 2 + is_dir(from),
			       3 + is_dir(to));
	else if (!s.want)
		(void)snprintf(after, sizeof(after),
			       "!a o/b:type=%c o/b:ctime+ o:mtime+ .:mtime+ "
			       "o:nlink=%u .:nlink=3 o/b:nlink=%u",
			       plain(from), 2 + is_dir(from), 1 + is_dir(from));
	s.after = after;
	(void)step_run(&s);
	if (from == 'D' && !s.want)
		STEP(LSTAT, "o/b/in", .after = "o/b/in:text=0123456789");
	remove_tree("a");
	remove_tree("o");
}

static void pairs(int flags)
{
	for (const char *from = ALL; *from; from++)
		for (const char *to = ALL; *to; to++)
			one(*from, *to, flags);
}

static void replace(void)
{
	pairs(0);
}

static void noreplace(void)
{
	pairs(RENAME_NOREPLACE);
}

static void exchange(void)
{
	pairs(RENAME_EXCHANGE);
}

static const struct test_case cases[] = {
	RUN(replace),
	RUN(noreplace),
	RUN(exchange),
	{ 0 },
};
const struct check_group group_rename_pairs = { "rename-pairs", cases };
