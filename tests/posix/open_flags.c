/* SPDX-License-Identifier: Apache-2.0 */
/*
 * open: every combination of the flags that decide whether it works, on every
 * kind of thing, against a model of what open(2) says.
 */
#include "posix.h"

#include <errno.h>

/* What is there: kinds, and more */
#define THINGS "-rdpscFDNL"

static void make(char thing)
{
	switch (thing) {
	case '-':
		break;
	case 'F': /* a symbolic link to a file */
		make_kind('r', "to");
		MAKE(SYMLINK, "t", "to");
		break;
	case 'D':
		make_kind('d', "to");
		MAKE(SYMLINK, "t", "to");
		break;
	case 'N':
		MAKE(SYMLINK, "t", "to");
		break;
	case 'L':
		MAKE(SYMLINK, "t", "t");
		break;
	default:
		make_kind(thing, "t");
	}
}

static bool writes(int flags)
{
	return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
}

/* thing is what a symbolic link led to, if it was followed. */
static int model_found(char thing, int flags)
{
	int acc = flags & O_ACCMODE;

	if ((flags & O_DIRECTORY) && thing != 'd')
		return -ENOTDIR;
	switch (thing) {
	case 'd':
		return (flags & O_CREAT) || writes(flags) ? -EISDIR : 0;
	case 's':
		return -ENXIO;
	case 'p': /* nobody reads it */
		return acc == O_WRONLY ? -ENXIO : 0;
	default:
		return 0;
	}
}

static int model(char thing, int flags)
{
	bool link =
	    thing == 'F' || thing == 'D' || thing == 'N' || thing == 'L';

	/* who wants a directory is not given a new file */
	if ((flags & (O_CREAT | O_DIRECTORY)) == (O_CREAT | O_DIRECTORY))
		return -EINVAL;
	if ((flags & O_CREAT) && (flags & O_EXCL)) {
		if (thing != '-')
			return -EEXIST;
		return 0;
	}
	if (link && (flags & O_NOFOLLOW))
		return flags & O_DIRECTORY ? -ENOTDIR : -ELOOP;
	if (thing == 'L')
		return -ELOOP;
	if (thing == '-' || thing == 'N')
		return flags & O_CREAT ? 0 : -ENOENT;
	if (thing == 'F')
		return model_found('r', flags);
	if (thing == 'D')
		return model_found('d', flags);
	return model_found(thing, flags);
}

static const char *after(char thing, int flags, int64_t want)
{
	if (want < 0)
		return thing == '-' ? "!t" : thing == 'N' ? "!to" : NULL;
	if (thing == '-')
		return "t:type=r t:mode=0640 t:size=0";
	if (thing == 'N')
		return "to:type=r to:mode=0640 to:size=0 t:type=l";
	if (thing == 'r')
		return flags & O_TRUNC ? "t:size=0 t:mode=0644"
				       : "t:size=10 t:mode=0644";
	if (thing == 'F')
		return flags & O_TRUNC ? "to:size=0 t:type=l"
				       : "to:size=10 t:type=l";
	return NULL;
}

/* O_EXCL without O_CREAT; a file and a directory at once, before Linux 6.4 */
static bool is_undefined(int flags)
{
	if ((flags & O_CREAT) && (flags & O_DIRECTORY))
		return !kernel_at_least(6, 4);
	return (flags & O_EXCL) && !(flags & O_CREAT);
}

static void combinations(void)
{
	static const int bits[] = { O_CREAT,    O_EXCL,      O_TRUNC,
				    O_NOFOLLOW, O_DIRECTORY, O_APPEND };
	static const int acc[] = { O_RDONLY, O_WRONLY, O_RDWR };

	for (const char *thing = THINGS; *thing; thing++)
		for (unsigned set = 0; set < 1u << COUNT(bits); set++)
			for (size_t a = 0; a < COUNT(acc); a++) {
				int flags = acc[a] | O_NONBLOCK, want;

				for (size_t i = 0; i < COUNT(bits); i++)
					if (set >> i & 1)
						flags |= bits[i];
				if (is_undefined(flags))
					continue;
				want = model(*thing, flags);
				make(*thing);
				STEP(OPEN, "t", .a = flags, .b = 0640,
				     .want = want,
				     .after = after(*thing, flags, want));
				remove_tree("t");
				remove_tree("to");
			}
}

/* Those that change what open does less: they go with every file. */
static void more_flags(void)
{
	static const int flags[] = { O_SYNC,    O_DSYNC,          O_DIRECT,
				     O_NOATIME, O_LARGEFILE,      O_NOCTTY,
				     O_ASYNC,   O_SYNC | O_DIRECT };
	static const int acc[] = { O_RDONLY, O_WRONLY, O_RDWR };

	make_kind('r', "f");
	make_kind('d', "d");
	for (size_t i = 0; i < COUNT(flags); i++)
		for (size_t a = 0; a < COUNT(acc); a++) {
			STEP(OPEN, "f", .a = flags[i] | acc[a],
			     .after = "f:size=10");
			STEP(OPEN, "new", .a = flags[i] | acc[a] | O_CREAT,
			     .b = 0644, .after = "new:mode=0644");
			STEP(UNLINK, "new");
		}
	STEP(OPEN, "d", .a = O_RDONLY | O_SYNC);
	STEP(OPEN, "d", .a = O_RDONLY | O_NOATIME);
	/* whose it is may leave the access time alone */
	MAKE(CHMOD, "f", .a = 0666);
	STEP(OPEN, "f", .a = O_RDONLY | O_NOATIME, .as = A, .want = -EPERM);
	MAKE(CHOWN, "f", .a = UID_A, .b = GID_A);
	STEP(OPEN, "f", .a = O_RDONLY | O_NOATIME, .as = A);
	/* access mode 3 asks for both permissions, then bears neither */
	STEP(OPEN, "f", .a = O_ACCMODE);
	STEP(READ, .a = 1, .want = -EBADF);
	STEP(WRITE, .q = "x", .want = -EBADF);
}

static const struct step temporary[] = {
	{ OPEN, ".", .a = O_TMPFILE | O_RDWR, .b = 0600,
	  .limit = LIMIT_TMPFILE },
	{ OPEN, ".", .a = O_TMPFILE | O_WRONLY | O_EXCL, .b = 0600,
	  .limit = LIMIT_TMPFILE },
	{ OPEN, ".", .a = O_TMPFILE | O_RDWR, .b = 0600, .as = A,
	  .limit = LIMIT_TMPFILE },
	{ MKDIR, "d", .a = 0755 },
	{ OPEN, "d", .a = O_TMPFILE | O_RDONLY, .b = 0600, .want = -EINVAL },
	{ OPEN, "d", .a = O_TMPFILE | O_RDWR, .b = 0600, .as = A,
	  .want = -EACCES },
	{ MKFILE, "f", .a = 0644 },
	{ OPEN, "f", .a = O_TMPFILE | O_RDWR, .b = 0600, .want = -ENOTDIR },
	{ OPEN, "none", .a = O_TMPFILE | O_RDWR, .b = 0600, .want = -ENOENT },
	{ 0 }
};

static const struct test_case cases[] = {
	RUN(combinations),
	RUN(more_flags),
	TABLE(temporary),
	{ 0 },
};
const struct check_group group_open_flags = { "open-flags", cases };
