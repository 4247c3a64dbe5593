/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What cases share: things of every kind, patterns, the clock.
 */
#include "posix.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define PATTERN_MAX (1u << 20)

int64_t sys(int64_t r)
{
	return r < 0 ? -errno : r;
}

bool kernel_at_least(int major, int minor)
{
	struct utsname u;
	char *dot;
	long have;

	if (uname(&u))
		die("uname: %m");
	have = strtol(u.release, &dot, 10);
	if (have != major)
		return have > major;
	return *dot == '.' && strtol(dot + 1, NULL, 10) >= minor;
}

/*
 * File systems stamp with the clock of the last timer tick.  Two of its
 * steps, since the first may have been due already.
 */
void tick(void)
{
	const struct timespec pause = { .tv_nsec = 200000 };
	struct timespec was, now;

	for (int i = 0; i < 2; i++) {
		(void)clock_gettime(CLOCK_REALTIME_COARSE, &was);
		do {
			(void)nanosleep(&pause, NULL);
			(void)clock_gettime(CLOCK_REALTIME_COARSE, &now);
		} while (now.tv_sec == was.tv_sec &&
			 now.tv_nsec == was.tv_nsec);
	}
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *at)
{
	(void)st, (void)type, (void)at;
	(void)remove(path); /* what stays is seen by the last rmdir */
	return 0;
}

void remove_tree(const char *path)
{
	(void)nftw(path, remove_one, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static void make_socket(const char *name)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(name) >= sizeof(to.sun_path))
		die("%s is too long for a socket", name);
	memcpy(to.sun_path, name, strlen(name) + 1);
	if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof(to)))
		die("socket %s: %m", name);
	(void)close(fd);
}

int case_open(const char *path, int flags, mode_t mode)
{
	int fd = open(path, flags | O_CLOEXEC, mode);

	if (fd < 0)
		die("open %s: %m", path);
	return fd;
}

void make_kind(char kind, const char *name)
{
	int r = 0, fd;

	switch (kind) {
	case 'r':
		fd = case_open(name, O_CREAT | O_EXCL | O_WRONLY, 0644);
		r = write(fd, "0123456789", 10) == 10 ? 0 : -1;
		(void)close(fd);
		break;
	case 'd':
		r = mkdir(name, 0755);
		break;
	case 'l':
		r = symlink("no-such-target", name);
		break;
	case 'p':
		r = mkfifo(name, 0644);
		break;
	case 's':
		make_socket(name);
		break;
	case 'c':
		r = mknod(name, S_IFCHR | 0644, makedev(1, 3));
		break;
	case 'b':
		r = mknod(name, S_IFBLK | 0644, makedev(7, 200));
		break;
	default:
		die("no kind %c", kind);
	}
	if (r)
		die("%s %s: %m", kind_name(kind), name);
}

static const struct {
	char kind;
	mode_t mode;
	const char *name;
} kinds[] = {
	{ 'r', S_IFREG, "file" },         { 'd', S_IFDIR, "directory" },
	{ 'l', S_IFLNK, "symlink" },      { 'p', S_IFIFO, "fifo" },
	{ 's', S_IFSOCK, "socket" },      { 'c', S_IFCHR, "character device" },
	{ 'b', S_IFBLK, "block device" },
};

const char *kind_name(char kind)
{
	for (size_t i = 0; i < COUNT(kinds); i++)
		if (kinds[i].kind == kind)
			return kinds[i].name;
	return "?";
}

mode_t kind_mode(char kind)
{
	for (size_t i = 0; i < COUNT(kinds); i++)
		if (kinds[i].kind == kind)
			return kinds[i].mode;
	return 0;
}

const uint8_t *pattern(size_t len, unsigned seed)
{
	static uint8_t bytes[PATTERN_MAX];
	uint32_t x = seed * 2654435761u + 1;

	if (len > PATTERN_MAX)
		die("a pattern of %zu bytes is too long", len);
	for (size_t i = 0; i < len; i++) {
		x = x * 1664525u + 1013904223u;
		bytes[i] = (uint8_t)(x >> 24) | 1; /* never a zero */
	}
	return bytes;
}

static bool holds(int fd, off_t off, const uint8_t *want, size_t len)
{
	static uint8_t got[PATTERN_MAX];
	size_t n = 0;

	while (n < len) {
		ssize_t r = pread(fd, got + n, len - n, off + (off_t)n);

		if (r <= 0)
			return false;
		n += (size_t)r;
	}
	return memcmp(got, want, len) == 0;
}

bool holds_pattern(int fd, off_t off, size_t len, unsigned seed)
{
	return holds(fd, off, pattern(len, seed), len);
}

bool holds_zeros(int fd, off_t off, size_t len)
{
	static const uint8_t zeros[PATTERN_MAX];

	return len <= PATTERN_MAX && holds(fd, off, zeros, len);
}

void copy_program(const char *name)
{
	int from = case_open(options.exe, O_RDONLY, 0);
	int to = case_open(name, O_CREAT | O_EXCL | O_WRONLY, 0700);
	ssize_t r;

	while ((r = sendfile(to, from, NULL, PATTERN_MAX)) > 0)
		;
	if (r < 0 || fchmod(to, 0755))
		die("copying %s: %m", options.exe);
	(void)close(from);
	(void)close(to);
}
