/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks: flock, POSIX record locks, open file description locks; that they
 * keep others out, and that a signal wakes who waits.
 */
#include "lock.h"

#include <errno.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

static int64_t record(int fd, int cmd, short type, off_t start, off_t len)
{
	struct flock l = { .l_type = type,
			   .l_whence = SEEK_SET,
			   .l_start = start,
			   .l_len = len };

	return sys(fcntl(fd, cmd, &l));
}

static void flocks(void)
{
	static const int ops[] = { LOCK_SH, LOCK_EX };
	int a, b;

	MAKE(FILL, "f", "x");
	a = case_open("f", O_RDWR, 0);
	b = case_open("f", O_RDONLY, 0);
	for (size_t i = 0; i < COUNT(ops); i++)
		for (size_t j = 0; j < COUNT(ops); j++) {
			bool both = ops[i] == LOCK_SH && ops[j] == LOCK_SH;

			check_is(0, sys(flock(a, ops[i])), "flock %d", ops[i]);
			check_is(both ? 0 : -EWOULDBLOCK,
				 sys(flock(b, ops[j] | LOCK_NB)),
				 "flock %d against %d", ops[j], ops[i]);
			check_is(0, sys(flock(a, LOCK_UN)), "unlock");
			check_is(0, sys(flock(b, ops[j] | LOCK_NB)),
				 "flock %d when it is free", ops[j]);
			check_is(0, sys(flock(b, LOCK_UN)), "unlock");
		}
	check_is(-EINVAL, sys(flock(a, 77)), "flock with no such operation");
	/* up and down */
	check_is(0, sys(flock(a, LOCK_SH)), "shared");
	check_is(0, sys(flock(b, LOCK_SH)), "shared by both");
	check_is(-EWOULDBLOCK, sys(flock(a, LOCK_EX | LOCK_NB)),
		 "exclusive while two share");
	check_is(0, sys(flock(b, LOCK_UN)), "unlock");
	check_is(0, sys(flock(a, LOCK_EX | LOCK_NB)), "exclusive, alone");
	/* a duplicate is the same lock, and the last close frees it */
	(void)close(b);
	b = dup(a);
	check_is(0, sys(flock(b, LOCK_EX | LOCK_NB)), "by a duplicate");
	(void)close(a);
	a = case_open("f", O_RDWR, 0);
	check_is(-EWOULDBLOCK, sys(flock(a, LOCK_EX | LOCK_NB)),
		 "while the duplicate is open");
	(void)close(b);
	check_is(0, sys(flock(a, LOCK_EX | LOCK_NB)), "when all are closed");
	(void)close(a);
	a = case_open(".", O_RDONLY | O_DIRECTORY, 0);
	check_is(0, sys(flock(a, LOCK_EX | LOCK_NB)), "of a directory");
	(void)close(a);
}

struct asking {
	int cmd;
	short type;
	off_t start, len;
};

static long ask(void *arg)
{
	const struct asking *q = arg;
	int fd = open("f", O_RDWR | O_CLOEXEC);

	return -record(fd, q->cmd, q->type, q->start, q->len);
}

/* What a child is told that wants this range. */
static void other(int64_t want, int cmd, short type, off_t start, off_t len)
{
	struct asking q = { cmd, type, start, len };

	check_is(-want, in_child(ROOT, ask, &q),
		 "another process, %s %lld+%lld",
		 type == F_RDLCK ? "read" : "write", (long long)start,
		 (long long)len);
}

static void ranges(int fd, int set, int other_set)
{
	check_is(0, record(fd, set, F_WRLCK, 100, 100), "write 100+100");
	other(-EAGAIN, other_set, F_WRLCK, 100, 100);
	other(-EAGAIN, other_set, F_RDLCK, 100, 100);
	other(-EAGAIN, other_set, F_WRLCK, 199, 1);
	other(-EAGAIN, other_set, F_WRLCK, 0, 101);
	other(-EAGAIN, other_set, F_WRLCK, 0, 0);
	other(0, other_set, F_WRLCK, 200, 1);
	other(0, other_set, F_WRLCK, 0, 100);
	other(0, other_set, F_WRLCK, 200, 0);
	check_is(0, record(fd, set, F_UNLCK, 150, 10), "unlock 150+10");
	other(0, other_set, F_WRLCK, 150, 10);
	other(-EAGAIN, other_set, F_WRLCK, 149, 1);
	other(-EAGAIN, other_set, F_WRLCK, 160, 1);
	check_is(0, record(fd, set, F_RDLCK, 100, 100), "read 100+100");
	other(0, other_set, F_RDLCK, 0, 0);
	other(-EAGAIN, other_set, F_WRLCK, 150, 1);
	check_is(0, record(fd, set, F_UNLCK, 0, 0), "unlock all");
	other(0, other_set, F_WRLCK, 0, 0);
	check_is(0, record(fd, set, F_WRLCK, INT64_C(1) << 40, 5),
		 "write far out");
	other(-EAGAIN, other_set, F_WRLCK, (INT64_C(1) << 40) + 4, 1);
	other(0, other_set, F_WRLCK, 5, 1);
	check_is(0, record(fd, set, F_UNLCK, 0, 0), "unlock all");
	check_is(-EINVAL, record(fd, set, F_WRLCK, -5, 1), "a start below 0");
	check_is(-EINVAL, record(fd, set, 99, 0, 1), "no such type");
}

static void record_locks(void)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd, second;

	MAKE(FILL, "f", "x");
	fd = case_open("f", O_RDWR, 0);
	ranges(fd, F_SETLK, F_SETLK);
	ranges(fd, F_OFD_SETLK, F_OFD_SETLK);
	ranges(fd, F_SETLK, F_OFD_SETLK);
	ranges(fd, F_OFD_SETLK, F_SETLK);
	/* closing any descriptor of the file frees a process's locks */
	check_is(0, record(fd, F_SETLK, F_WRLCK, 0, 0), "write all");
	other(-EAGAIN, F_SETLK, F_WRLCK, 0, 1);
	second = case_open("f", O_RDONLY, 0);
	(void)close(second);
	other(0, F_SETLK, F_WRLCK, 0, 1);
	/* but not those of an open file */
	check_is(0, record(fd, F_OFD_SETLK, F_WRLCK, 0, 0), "write all, OFD");
	second = case_open("f", O_RDWR, 0);
	check_is(-EAGAIN, record(second, F_OFD_SETLK, F_WRLCK, 0, 1),
		 "another open file of this process");
	check_is(-EAGAIN, record(second, F_SETLK, F_WRLCK, 0, 1),
		 "this process against its own open file");
	(void)close(second);
	other(-EAGAIN, F_SETLK, F_WRLCK, 0, 1);
	check_is(0, sys(fcntl(fd, F_OFD_GETLK, &l)), "F_OFD_GETLK");
	check_is(F_UNLCK, l.l_type, "nothing is in its own way");
	(void)close(fd);
	fd = case_open("f", O_RDONLY, 0);
	check_is(-EBADF, record(fd, F_SETLK, F_WRLCK, 0, 1),
		 "write lock of a file open for reading");
	check_is(0, record(fd, F_SETLK, F_RDLCK, 0, 1), "read lock of it");
	(void)close(fd);
	fd = case_open("f", O_WRONLY, 0);
	check_is(-EBADF, record(fd, F_SETLK, F_RDLCK, 0, 1),
		 "read lock of a file open for writing");
	(void)close(fd);
}

static long who_holds(void *arg)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open("f", O_RDWR | O_CLOEXEC);

	(void)arg;
	if (fcntl(fd, F_GETLK, &l))
		return 1;
	return l.l_type == F_RDLCK && l.l_pid == getppid() && l.l_start == 10 &&
		       l.l_len == 5
		   ? 0
		   : 2;
}

static void who_is_told(void)
{
	int fd;

	MAKE(FILL, "f", "x");
	fd = case_open("f", O_RDWR, 0);
	check_is(0, record(fd, F_SETLK, F_RDLCK, 10, 5), "read 10+5");
	check_is(0, in_child(ROOT, who_holds, NULL),
		 "F_GETLK names type, range and holder");
	(void)close(fd);
}

static void waiting(void)
{
	static const enum wait_for kinds[] = { WAIT_FLOCK, WAIT_POSIX,
					       WAIT_OFD };

	for (size_t i = 0; i < COUNT(kinds); i++) {
		check_is(EINTR, wait_interrupted(kinds[i]),
			 "%s, woken by a signal", wait_names[kinds[i]]);
		check_is(0, wait_granted(kinds[i]), "%s, woken by the unlock",
			 wait_names[kinds[i]]);
		check_is(0, wait_killed(kinds[i]),
			 "%s, whose waiter is killed: it goes at once",
			 wait_names[kinds[i]]);
		check_is(0, wait_holder_dies(kinds[i]),
			 "%s, whose holder is killed", wait_names[kinds[i]]);
	}
	check_is(EDEADLK, wait_deadlock(), "two that wait for each other");
}

static const struct test_case cases[] = {
	RUN(flocks), RUN(record_locks), RUN(who_is_told), RUN(waiting), { 0 },
};
const struct check_group group_lock = { "lock", cases };
