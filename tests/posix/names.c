/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names: every byte but the slash and zero, every length up to 255, deep
 * trees, names that only look alike.
 */
#include "posix.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void use(const char *name, const char *what)
{
	struct stat a, b;
	int fd = open(name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0644);

	if (!check_that(fd >= 0, "create %s: %m", what))
		return;
	check_is(0, sys(fstat(fd, &a)), "fstat of %s", what);
	check_is(0, sys(lstat(name, &b)), "lstat of %s", what);
	check_that(a.st_ino == b.st_ino, "%s leads to the new file", what);
	(void)close(fd);
	check_is(-EEXIST, sys(mkdir(name, 0755)), "mkdir of %s again", what);
	check_is(0, sys(rename(name, "moved")), "rename of %s", what);
	check_is(-ENOENT, sys(lstat(name, &b)), "%s is gone", what);
	check_is(0, sys(rename("moved", name)), "rename to %s", what);
	check_is(0, sys(unlink(name)), "unlink of %s", what);
	check_is(-ENOENT, sys(lstat(name, &b)), "%s is gone", what);
}

static void every_byte(void)
{
	char name[8] = { 0 }, what[32];

	for (int byte = 1; byte < 256; byte++) {
		if (byte == '/')
			continue;
		name[0] = (char)byte;
		name[1] = '\0';
		(void)snprintf(what, sizeof(what), "byte 0x%02x", byte);
		if (byte != '.')
			use(name, what);
		(void)memcpy(name, "a b", 4);
		name[1] = (char)byte;
		(void)snprintf(what, sizeof(what), "inner byte 0x%02x", byte);
		use(name, what);
	}
}

static void every_length(void)
{
	char name[600], what[32];

	for (size_t n = 1; n <= 255; n++) {
		memset(name, 'n', n);
		name[n] = '\0';
		(void)snprintf(what, sizeof(what), "%zu bytes", n);
		use(name, what);
	}
	for (size_t n = 256; n <= 512; n += 64) {
		memset(name, 'n', n);
		name[n] = '\0';
		check_is(-ENAMETOOLONG, sys(open(name, O_CREAT | O_RDWR, 0644)),
			 "create %zu bytes", n);
		check_is(-ENAMETOOLONG, sys(unlink(name)), "unlink %zu bytes",
			 n);
	}
}

/* No case folding, no normal forms, no trimming, nothing magic. */
static void names_apart(void)
{
	static const char *const names[] = {
		"a",        "A",
		"a ",       " a",
		"a.",       "...",
		".a",       "a\n",
		"\xc3\xa9", "e\xcc\x81",
		"\xc3\x89", "\xff\xfe",
		"\xe9",     "con",
		"CON",      "a:b",
		"a\\b",     "*",
		"?",        "-",
		"--",       "~",
		"~a",       "#a",
		"%2f",      ".fuse_hidden000000010000000a",
		".nfs0001", "lost",
		"..a",      "\t",
		"\x7f",
	};
	struct stat st;

	for (size_t i = 0; i < COUNT(names); i++)
		check_is(0, sys(mknod(names[i], S_IFREG | 0644, 0)),
			 "create name %zu", i);
	for (size_t i = 0; i < COUNT(names); i++) {
		for (size_t j = 0; j < COUNT(names); j++) {
			int64_t want = j < i ? -ENOENT : 0;

			check_is(want, sys(lstat(names[j], &st)),
				 "name %zu when %zu are gone", j, i);
		}
		check_is(0, sys(unlink(names[i])), "unlink name %zu", i);
	}
}

/* Deeper than PATH_MAX: each step from where one is. */
static void deep(void)
{
	char name[201];
	int back = case_open(".", O_RDONLY | O_DIRECTORY, 0), n;
	struct stat st;

	memset(name, 'd', 200);
	name[200] = '\0';
	for (n = 0; n < 40; n++)
		if (!check_is(0, sys(mkdir(name, 0755)), "mkdir level %d", n) ||
		    !check_is(0, sys(chdir(name)), "chdir level %d", n))
			break;
	check_is(0, sys(mknod("f", S_IFREG | 0644, 0)), "a file down there");
	check_is(0, sys(stat("f", &st)), "stat of it");
	check_is(0, sys(rename("f", "g")), "rename of it");
	check_is(0, sys(unlink("g")), "unlink of it");
	check_is(-ENAMETOOLONG,
		 (int64_t)(getcwd(name, sizeof(name)) ? 0 : 1) * -ENAMETOOLONG,
		 "the path is too long for a buffer");
	memset(name, 'd', 200);
	while (n--) {
		check_is(0, sys(chdir("..")), "up to level %d", n);
		check_is(0, sys(rmdir(name)), "rmdir level %d", n);
	}
	if (fchdir(back))
		die("fchdir: %m");
	(void)close(back);
}

static const struct test_case cases[] = {
	RUN(every_byte), RUN(every_length), RUN(names_apart), RUN(deep), { 0 },
};
const struct check_group group_names = { "names", cases };
