/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Things that are more than names: fifos, sockets and devices work between
 * processes; and the calls that move bytes past user space, or only hint.
 */
#include "posix.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static long write_fifo(void *arg)
{
	int fd = open(arg, O_WRONLY | O_CLOEXEC);

	return write(fd, "through", 7) == 7 ? 0 : 1;
}

static void fifos(void)
{
	char name[] = "p", got[16] = "";
	struct pollfd ready = { .events = POLLIN };
	int fd;

	MAKE(MKFIFO, "p", .a = 0666);
	STEP(OPEN, "p", .a = O_WRONLY | O_NONBLOCK, .want = -ENXIO);
	fd = case_open("p", O_RDONLY | O_NONBLOCK, 0);
	check_is(0, sys(read(fd, got, sizeof(got))), "read, nobody writes");
	check_is(0, in_child(A, write_fifo, name), "A writes into it");
	ready.fd = fd;
	check_is(1, sys(poll(&ready, 1, 1000)), "poll");
	check_is(7, sys(read(fd, got, sizeof(got))), "read");
	check_that(!strcmp(got, "through"), "what went through");
	check_is(-ESPIPE, sys(lseek(fd, 0, SEEK_SET)), "lseek");
	check_is(-EINVAL, sys(fsync(fd)), "fsync");
	(void)close(fd);
	STEP(LSTAT, "p", .after = "p:size=0 p:type=p");
	/* another name is the same fifo */
	MAKE(LINK, "p", "q");
	fd = case_open("q", O_RDONLY | O_NONBLOCK, 0);
	check_is(0, in_child(ROOT, write_fifo, name), "write by one name");
	check_is(7, sys(read(fd, got, sizeof(got))), "read by the other");
	MAKE(UNLINK, "p");
	(void)close(fd);
	STEP(OPEN, "q", .a = O_RDWR);
}

static int64_t connect_to(const char *name, enum user u)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int64_t r;

	memcpy(to.sun_path, name, strlen(name) + 1);
	become(u);
	r = sys(connect(fd, (struct sockaddr *)&to, sizeof(to)));
	become(ROOT);
	(void)close(fd);
	return r;
}

static void sockets(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = "s" };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	check_is(0, sys(bind(fd, (struct sockaddr *)&at, sizeof(at))), "bind");
	check_is(-ECONNREFUSED, connect_to("s", ROOT), "nobody listens");
	check_is(0, sys(listen(fd, 5)), "listen");
	check_is(0, connect_to("s", ROOT), "connect");
	MAKE(CHMOD, "s", .a = 0755);
	check_is(-EACCES, connect_to("s", A),
		 "connect as A, who may not write");
	MAKE(CHMOD, "s", .a = 0777);
	check_is(0, connect_to("s", A), "connect as A");
	MAKE(LINK, "s", "t");
	check_is(0, connect_to("t", A), "by another name");
	MAKE(RENAME, "s", "u");
	check_is(0, connect_to("u", A), "by a new name");
	check_is(-ENOENT, connect_to("s", A), "by the old one");
	MAKE(UNLINK, "t");
	MAKE(UNLINK, "u");
	(void)close(fd);
	MAKE(MKFILE, "f", .a = 0777);
	check_is(-ECONNREFUSED, connect_to("f", ROOT), "a file is no socket");
	MAKE(BIND, "dead");
	check_is(-ECONNREFUSED, connect_to("dead", ROOT), "its owner is gone");
}

static void devices(void)
{
	char c = 'x';
	int fd;

	MAKE(MKNOD, "null", .a = S_IFCHR | 0666, .b = 0x103);
	MAKE(MKNOD, "zero", .a = S_IFCHR | 0666, .b = 0x105);
	MAKE(MKNOD, "full", .a = S_IFCHR | 0666, .b = 0x107);
	MAKE(MKNOD, "none", .a = S_IFCHR | 0666, .b = 0xfe0000fe);
	STEP(FILL, "null", "gone", .after = "null:type=c null:size=0");
	fd = case_open("null", O_RDWR, 0);
	check_is(0, sys(read(fd, &c, 1)), "read of null");
	(void)close(fd);
	fd = case_open("zero", O_RDWR, 0);
	check_is(1, sys(read(fd, &c, 1)), "read of zero");
	check_is(0, c, "what is read");
	(void)close(fd);
	fd = case_open("full", O_RDWR, 0);
	check_is(-ENOSPC, sys(write(fd, &c, 1)), "write to full");
	(void)close(fd);
	STEP(OPEN, "none", .a = O_RDONLY, .want = -ENXIO);
	MAKE(CHMOD, "null", .a = 0600);
	STEP(OPEN, "null", .a = O_RDONLY, .as = A, .want = -EACCES);
}

static void past_user_space(void)
{
	const size_t len = 300000;
	static uint8_t got[8192];
	off_t at = 0;
	int from = case_open("from", O_CREAT | O_RDWR, 0644);
	int to = case_open("to", O_CREAT | O_RDWR, 0644), p[2];

	check_is((int64_t)len, sys(write(from, pattern(len, 1), len)), "write");
	check_is((int64_t)len, sys(sendfile(to, from, &at, len)), "sendfile");
	check_is((int64_t)len, at, "how far it went");
	check_that(holds_pattern(to, 0, len, 1), "what it sent");
	check_is(0, sys(sendfile(to, from, &at, len)), "sendfile at the end");
	if (pipe2(p, O_CLOEXEC))
		die("pipe: %m");
	at = 4096;
	check_is(8192, sys(splice(from, &at, p[1], NULL, 8192, 0)),
		 "splice into a pipe");
	at = 0;
	check_is(8192, sys(splice(p[0], NULL, to, &at, 8192, 0)),
		 "splice out of it");
	check_is(8192, sys(pread(to, got, 8192, 0)), "read it");
	check_that(!memcmp(got, pattern(len, 1) + 4096, 8192),
		   "what went through");
	check_is(4096, sys(lseek(from, 4096, SEEK_SET)), "lseek");
	check_is(8192, sys(sendfile(p[1], from, NULL, 8192)),
		 "sendfile into a pipe");
	check_is(12288, sys(lseek(from, 0, SEEK_CUR)), "its own offset moved");
	(void)close(p[0]), (void)close(p[1]);
	(void)close(from), (void)close(to);
}

static void hints(void)
{
	static const int advice[] = {
		POSIX_FADV_NORMAL,   POSIX_FADV_SEQUENTIAL, POSIX_FADV_RANDOM,
		POSIX_FADV_WILLNEED, POSIX_FADV_DONTNEED,   POSIX_FADV_NOREUSE
	};
	int fd = case_open("f", O_CREAT | O_RDWR, 0644);

	check_is(100000, sys(write(fd, pattern(100000, 1), 100000)), "write");
	for (size_t i = 0; i < COUNT(advice); i++) {
		check_is(0, posix_fadvise(fd, 0, 0, advice[i]), "advice %zu",
			 i);
		check_that(holds_pattern(fd, 0, 100000, 1), "all is there");
	}
	check_is(EINVAL, posix_fadvise(fd, 0, 0, 77), "no such advice");
	check_is(0, sys(readahead(fd, 0, 100000)), "readahead");
	check_is(0, sys(syncfs(fd)), "syncfs");
	check_is(0,
		 sys(sync_file_range(fd, 0, 100000,
				     SYNC_FILE_RANGE_WRITE |
					 SYNC_FILE_RANGE_WAIT_AFTER)),
		 "sync_file_range");
	check_that(holds_pattern(fd, 0, 100000, 1), "all is there");
	(void)close(fd);
}

static const struct test_case cases[] = {
	RUN(fifos),           RUN(sockets), RUN(devices),
	RUN(past_user_space), RUN(hints),   { 0 },
};
const struct check_group group_special = { "special", cases };
