/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lseek: from the start, here, the end; data and holes.
 *
 * Where exactly data begins and ends is the file system's own affair, in
 * blocks of its own: so the checks ask what lseek(2) promises whatever the
 * block is, with pieces that are 1 MiB apart.
 */
#include "posix.h"

#include <errno.h>
#include <unistd.h>

static const struct step plain[] = {
	{ FILL, "f", "content" },
	{ OPEN, "f", .a = O_RDWR },
	{ LSEEK, .a = 3, .flags = SEEK_SET, .want = 3 },
	{ LSEEK, .a = 2, .flags = SEEK_CUR, .want = 5 },
	{ LSEEK, .a = -1, .flags = SEEK_CUR, .want = 4 },
	{ LSEEK, .a = -5, .flags = SEEK_CUR, .want = -EINVAL },
	{ LSEEK, .a = 0, .flags = SEEK_CUR, .want = 4 },
	{ LSEEK, .a = 0, .flags = SEEK_END, .want = 7 },
	{ LSEEK, .a = -7, .flags = SEEK_END, .want = 0 },
	{ LSEEK, .a = -8, .flags = SEEK_END, .want = -EINVAL },
	{ LSEEK, .a = 93, .flags = SEEK_END, .want = 100 },
	{ READ, .a = 5, .want = 0 },
	{ LSEEK, .a = -1, .flags = SEEK_SET, .want = -EINVAL },
	{ LSEEK, .a = 0, .flags = 9, .want = -EINVAL },
	{ LSEEK, .a = 5000000000, .flags = SEEK_SET, .want = 5000000000 },
	{ LSEEK, .a = 0, .flags = SEEK_CUR, .want = 5000000000 },
	{ WRITE, .q = "far", .want = 3, .after = "f:size=5000000003" },
	{ LSEEK, .a = -3, .flags = SEEK_END, .want = 5000000000 },
	{ READ, .a = 99, .want = 3 },
	{ LSEEK, .a = 0, .flags = SEEK_DATA, .want = 0 },
	{ LSEEK, .a = 5000000003, .flags = SEEK_DATA, .want = -ENXIO },
	{ LSEEK, .a = 5000000003, .flags = SEEK_HOLE, .want = -ENXIO },
	{ LSEEK, .a = -1, .flags = SEEK_DATA, .want = -ENXIO },
	{ LSEEK, .a = 5000000001, .flags = SEEK_HOLE, .want = 5000000003 },
	{ LSEEK, .a = 5000000001, .flags = SEEK_DATA, .want = 5000000001 },
	{ MKFIFO, "p", .a = 0644 },
	{ OPEN, "p", .a = O_RDWR, .fd = 1 },
	{ LSEEK, .fd = 1, .want = -ESPIPE },
	{ MKFILE, "empty", .a = 0644 },
	{ OPEN, "empty", .a = O_RDWR, .fd = 2 },
	{ LSEEK, .fd = 2, .flags = SEEK_DATA, .want = -ENXIO },
	{ LSEEK, .fd = 2, .flags = SEEK_HOLE, .want = -ENXIO },
	{ 0 }
};

/* Data at 0, 4 and 8 MiB, 1 MiB each; the end at 12 MiB. */
static int sparse(void)
{
	int fd = case_open("f", O_CREAT | O_TRUNC | O_RDWR, 0644);

	for (int i = 0; i < 3; i++)
		check_is(1 << 20,
			 sys(pwrite(fd, pattern(1 << 20, 1), 1 << 20,
				    i * (4 << 20))),
			 "write MiB %d", 4 * i);
	check_is(0, sys(ftruncate(fd, 12 << 20)), "the end at 12 MiB");
	return fd;
}

static void look(int fd, const char *when)
{
	static const struct {
		off_t from, data, hole; /* KiB */
	} at[] = {
		{ 0, 0, 1024 },       { 5, 5, 1024 },
		{ 1023, 1023, 1024 }, { 1024, 4096, 1024 },
		{ 3000, 4096, 3000 }, { 4095, 4096, 4095 },
		{ 4096, 4096, 5120 }, { 5119, 5119, 5120 },
		{ 5120, 8192, 5120 }, { 8191, 8192, 8191 },
		{ 8200, 8200, 9216 }, { 9216, -1, 9216 },
		{ 12287, -1, 12287 },
	};

	for (size_t i = 0; i < COUNT(at); i++) {
		int64_t data = at[i].data < 0 ? -ENXIO : at[i].data * 1024;

		check_is(data, sys(lseek(fd, at[i].from * 1024, SEEK_DATA)),
			 "%s, data from %lld KiB", when, (long long)at[i].from);
		check_is(at[i].hole * 1024,
			 sys(lseek(fd, at[i].from * 1024, SEEK_HOLE)),
			 "%s, hole from %lld KiB", when, (long long)at[i].from);
	}
}

static void data_and_holes(void)
{
	int fd = sparse();

	look(fd, "just written");
	check_is(0, sys(fsync(fd)), "fsync");
	look(fd, "synced");
	(void)close(fd);
	fd = case_open("f", O_RDONLY, 0);
	look(fd, "opened again");
	(void)close(fd);
}

/* Who seeks data must find what another process wrote just before. */
static void while_written(void)
{
	int w = case_open("f", O_CREAT | O_RDWR, 0644);
	int r = case_open("f", O_RDONLY, 0);

	check_is(0, sys(ftruncate(w, 64 << 20)), "a hole of 64 MiB");
	for (int i = 63; i >= 0; i -= 3) {
		off_t at = (off_t)i << 20;

		check_is(4096, sys(pwrite(w, pattern(4096, 1), 4096, at)),
			 "write at %d MiB", i);
		check_is(at, sys(lseek(r, 0, SEEK_DATA)), "data, another file");
		check_is(0, sys(lseek(r, 0, SEEK_HOLE)) && i, "hole before it");
	}
	(void)close(w);
	(void)close(r);
}

static const struct test_case cases[] = {
	TABLE(plain),
	RUN(data_and_holes),
	RUN(while_written),
	{ 0 },
};
const struct check_group group_seek = { "seek", cases };
