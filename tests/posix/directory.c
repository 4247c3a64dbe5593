/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading directories: every name once, d_ino and d_type right, places that
 * can be gone back to, and what deletes in between do.
 */
#include "posix.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_BYTES 64u /* of a list: its first entry, name and all */

static DIR *open_dir(const char *path)
{
	DIR *dir = opendir(path);

	if (!dir)
		die("opendir %s: %m", path);
	return dir;
}

static bool is_dot(const struct dirent *d)
{
	return !strcmp(d->d_name, ".") || !strcmp(d->d_name, "..");
}

/* of a name that fill() made */
static long number_of(const struct dirent *d)
{
	return strtol(d->d_name + 1, NULL, 10);
}

static void fill(int n)
{
	char name[32];

	for (int i = 0; i < n; i++) {
		(void)snprintf(name, sizeof(name), "d/f%05d", i);
		if (mknod(name, S_IFREG | 0644, 0))
			die("mknod %s: %m", name);
	}
}

static void what_entries_say(void)
{
	char path[300];
	struct dirent *d;
	struct stat st, parent, self;
	unsigned seen = 0;
	DIR *dir;

	MAKE(MKDIR, "d", .a = 0755);
	for (const char *k = KINDS; *k; k++) {
		(void)snprintf(path, sizeof(path), "d/%c", *k);
		make_kind(*k, path);
	}
	if (stat(".", &parent) || stat("d", &self))
		die("stat: %m");
	dir = open_dir("d");
	while ((d = readdir(dir))) {
		(void)snprintf(path, sizeof(path), "d/%s", d->d_name);
		seen++;
		check_is(0, sys(lstat(path, &st)), "lstat %s", path);
		check_that(d->d_ino == st.st_ino, "d_ino of %s", path);
		check_that(d->d_type == IFTODT(st.st_mode), "d_type of %s",
			   path);
		if (!strcmp(d->d_name, "."))
			check_that(d->d_ino == self.st_ino, "d_ino of .");
		if (!strcmp(d->d_name, ".."))
			check_that(d->d_ino == parent.st_ino, "d_ino of ..");
	}
	(void)closedir(dir);
	check_is(9, seen, "entries");
}

static void many_names(void)
{
	int many = (int)options.entries;
	uint8_t *seen = (uint8_t *)calloc((size_t)many, 1);
	struct dirent *d;
	int n = 0, dots = 0;
	DIR *dir;

	if (!seen)
		die("no memory");
	MAKE(MKDIR, "d", .a = 0755);
	fill(many);
	dir = open_dir("d");
	while ((d = readdir(dir))) {
		dots += is_dot(d);
		if (is_dot(d))
			continue;
		n++;
		seen[number_of(d) % many]++;
	}
	check_is(many, n, "names that are listed");
	check_is(2, dots, "dots that are listed");
	for (int i = 0; i < many; i++)
		if (seen[i] != 1)
			check_is(1, seen[i], "how often f%05d is listed", i);
	rewinddir(dir);
	for (n = 0; readdir(dir); n++)
		;
	check_is(many + 2, n, "names after rewinddir");
	(void)closedir(dir);
	free(seen);
}

/* From each place that was told, the same goes on. */
static void places(void)
{
	static char names[64][32];
	static long at[64];
	struct dirent *d;
	int n = 0;
	DIR *dir;

	MAKE(MKDIR, "d", .a = 0755);
	fill(50);
	dir = open_dir("d");
	for (; n < 64; n++) {
		at[n] = telldir(dir);
		d = readdir(dir);
		if (!d)
			break;
		(void)snprintf(names[n], sizeof(names[n]), "%.31s", d->d_name);
	}
	check_is(52, n, "names");
	for (int i = n - 1; i >= 0; i--) {
		seekdir(dir, at[i]);
		check_is(at[i], telldir(dir), "telldir after seekdir to %d", i);
		for (int j = i; j < n && j < i + 3; j++) {
			d = readdir(dir);
			check_that(d && !strcmp(d->d_name, names[j]),
				   "from place %d name %d", i, j);
		}
	}
	/* places hold while others go */
	for (int i = 0; i < n; i += 2) {
		char path[64];

		(void)snprintf(path, sizeof(path), "d/%.31s", names[i]);
		if (names[i][0] != '.')
			(void)unlink(path);
	}
	for (int i = 1; i < n; i += 2) {
		seekdir(dir, at[i]);
		d = readdir(dir);
		if (names[i][0] != '.')
			check_that(d && !strcmp(d->d_name, names[i]),
				   "place %d when half is gone", i);
	}
	(void)closedir(dir);
}

/* getdents64 itself, from place to place: a few names a call. */
static void small_buffers(void)
{
	static uint8_t seen[200];
	char buf[128] = "";
	struct dirent64 d;
	int fd, n = 0;
	off_t next = 0;
	ssize_t r = 0;

	memset(seen, 0, sizeof(seen));
	MAKE(MKDIR, "d", .a = 0755);
	fill(200);
	fd = case_open("d", O_RDONLY | O_DIRECTORY, 0);
	check_is(-EINVAL, sys(getdents64(fd, buf, 10)), "no room for a name");
	while (lseek(fd, next, SEEK_SET) == next &&
	       (r = getdents64(fd, buf, sizeof(buf))) > 0) {
		/* only the first of what came is taken */
		memcpy(&d, buf, FIRST_BYTES);
		next = d.d_off;
		if (d.d_name[0] != 'f')
			continue;
		n++;
		seen[strtol(d.d_name + 1, NULL, 10) % 200]++;
	}
	check_is(0, sys(r), "the end");
	check_is(200, n, "names");
	for (int i = 0; i < 200; i++)
		check_is(1, seen[i], "how often f%05d is listed", i);
	(void)close(fd);
}

/* Who lists and deletes at once meets each once, and none is left. */
static void delete_while_listing(void)
{
	int n = 0, many = (int)options.entries;
	char path[300];
	struct dirent *d;
	DIR *dir;

	MAKE(MKDIR, "d", .a = 0755);
	fill(many);
	dir = open_dir("d");
	while ((d = readdir(dir))) {
		if (is_dot(d))
			continue;
		n++;
		(void)snprintf(path, sizeof(path), "d/%s", d->d_name);
		if (unlink(path))
			check_that(false, "unlink %s: %m", path);
	}
	(void)closedir(dir);
	check_is(many, n, "names that were met");
	STEP(READDIR, "d", .want = 2);
	STEP(RMDIR, "d");
}

/* Names that stay all the time are listed, whatever comes and goes. */
static void change_while_listing(void)
{
	static uint8_t seen[1000];
	struct dirent *d;
	char path[64];
	int n = 0, i = 0;
	DIR *dir;

	memset(seen, 0, sizeof(seen));
	MAKE(MKDIR, "d", .a = 0755);
	fill(1000);
	dir = open_dir("d");
	while ((d = readdir(dir))) {
		if (d->d_name[0] == 'f') {
			n++;
			seen[number_of(d) % 1000]++;
		}
		(void)snprintf(path, sizeof(path), "d/new%d", i++);
		if (i < 2000 && mknod(path, S_IFREG | 0644, 0))
			die("mknod %s: %m", path);
		(void)snprintf(path, sizeof(path), "d/new%d", i - 5);
		if (i >= 5)
			(void)unlink(path);
	}
	(void)closedir(dir);
	check_is(1000, n, "names that were there all the time");
	for (i = 0; i < 1000; i++)
		if (seen[i] != 1)
			check_is(1, seen[i], "how often f%05d is listed", i);
}

/* Another open of it sees what changed before it was opened, or rewound. */
static void fresh_lists(void)
{
	struct dirent *d;
	bool found = false;
	DIR *dir;

	MAKE(MKDIR, "d", .a = 0755);
	fill(10);
	STEP(READDIR, "d", .want = 12);
	STEP(MKFILE, "d/new", .a = 0644);
	STEP(READDIR, "d", .want = 13);
	STEP(UNLINK, "d/f00003");
	STEP(READDIR, "d", .want = 12);
	dir = open_dir("d");
	while (readdir(dir))
		;
	STEP(RENAME, "d/new", "d/newer");
	rewinddir(dir);
	while ((d = readdir(dir)))
		found = found || !strcmp(d->d_name, "newer");
	check_that(found, "a new name is there after rewinddir");
	(void)closedir(dir);
	/* a name that changed its inode */
	STEP(MKDIR, "d/sub", .a = 0755);
	STEP(READDIR, "d", .want = 13);
	STEP(RMDIR, "d/sub");
	STEP(MKFIFO, "d/sub", .a = 0644);
	dir = open_dir("d");
	while ((d = readdir(dir)))
		if (!strcmp(d->d_name, "sub"))
			check_is(DT_FIFO, d->d_type, "d_type of a new fifo");
	(void)closedir(dir);
}

static const struct step errors[] = {
	{ FILL, "f", "x" },
	{ READDIR, "f", .want = -ENOTDIR },
	{ OPEN, ".", .a = O_RDONLY },
	{ READ, .a = 10, .want = -EISDIR },
	{ PREAD, .a = 10, .want = -EISDIR },
	{ WRITE, .q = "x", .want = -EBADF },
	{ OPEN, ".", .a = O_WRONLY, .want = -EISDIR },
	{ OPEN, ".", .a = O_RDWR, .want = -EISDIR },
	{ FSYNC },
	{ FDATASYNC },
	{ LSEEK, .a = 0 },
	{ 0 }
};

static const struct test_case cases[] = {
	RUN(what_entries_say),
	RUN(many_names),
	RUN(places),
	RUN(small_buffers),
	RUN(delete_while_listing),
	RUN(change_while_listing),
	RUN(fresh_lists),
	TABLE(errors),
	{ 0 },
};
const struct check_group group_directory = { "directory", cases };
