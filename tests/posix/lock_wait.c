/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A holder and a waiter: the waiter is a child that blocks in the lock, and
 * is seen to block by /proc before anything is done to it.
 */
#include "lock.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HUNG     201
#define NO_BLOCK 202
#define PATIENCE 5000 /* ms */

const char *const wait_names[N_WAITS] = { "flock", "POSIX lock",
					  "open file lock" };

static void on_signal(int signal)
{
	(void)signal;
}

/* Not by close(): the waiter was given the descriptor too, by the fork. */
static int unlock(int fd, enum wait_for kind)
{
	struct flock l = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	if (kind == WAIT_FLOCK)
		return flock(fd, LOCK_UN);
	return fcntl(fd, kind == WAIT_POSIX ? F_SETLK : F_OFD_SETLK, &l);
}

static int lock(int fd, enum wait_for kind, bool wait, off_t start)
{
	struct flock l = { .l_type = F_WRLCK,
			   .l_whence = SEEK_SET,
			   .l_start = start,
			   .l_len = 1 };

	if (kind == WAIT_FLOCK)
		return flock(fd, LOCK_EX | (wait ? 0 : LOCK_NB));
	if (kind == WAIT_POSIX)
		return fcntl(fd, wait ? F_SETLKW : F_SETLK, &l);
	return fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &l);
}

static void pause_ms(int ms)
{
	const struct timespec t = { .tv_nsec = ms * 1000000L };

	(void)nanosleep(&t, NULL);
}

static pid_t child(void (*f)(enum wait_for kind), enum wait_for kind)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork: %m");
	if (pid)
		return pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	f(kind);
	_exit(0);
}

/* It ended within a while: its code, 0 if it was killed; else HUNG. */
static long end_of(pid_t pid)
{
	int status;

	for (int i = 0; i < PATIENCE / 2; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 0;
		pause_ms(2);
	}
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, &status, 0);
	return HUNG;
}

static bool sleeps(pid_t pid)
{
	char path[64], text[512];
	const char *at;
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	text[n > 0 ? n : 0] = '\0';
	at = strrchr(text, ')');
	return at && at[1] == ' ' && (at[2] == 'S' || at[2] == 'D');
}

static bool blocks(pid_t pid)
{
	int seen = 0;

	for (int i = 0; i < PATIENCE / 2 && seen < 10; i++) {
		seen = sleeps(pid) ? seen + 1 : 0;
		pause_ms(2);
	}
	return seen == 10;
}

static void waiter(enum wait_for kind)
{
	struct sigaction act = { .sa_handler = on_signal }; /* no SA_RESTART */
	int fd = open("f", O_RDWR | O_CLOEXEC);

	(void)sigaction(SIGUSR1, &act, NULL);
	_exit(lock(fd, kind, true, 0) ? errno : 0);
}

static long waits(enum wait_for kind, int signal)
{
	int fd;
	pid_t pid;
	long r;

	remove_tree("f");
	MAKE(FILL, "f", "x");
	fd = case_open("f", O_RDWR, 0);
	if (lock(fd, kind, false, 0))
		die("lock: %m");
	pid = child(waiter, kind);
	if (!blocks(pid)) {
		(void)kill(pid, SIGKILL);
		(void)end_of(pid);
		(void)close(fd);
		return NO_BLOCK;
	}
	if (signal)
		(void)kill(pid, signal);
	else if (unlock(fd, kind))
		die("unlock: %m");
	r = end_of(pid);
	(void)close(fd);
	return r;
}

long wait_interrupted(enum wait_for kind)
{
	return waits(kind, SIGUSR1);
}

long wait_granted(enum wait_for kind)
{
	return waits(kind, 0);
}

long wait_killed(enum wait_for kind)
{
	return waits(kind, SIGKILL);
}

static void holder(enum wait_for kind)
{
	int fd = open("f", O_RDWR | O_CLOEXEC);

	/* who looks whether it is held holds it for a moment */
	if (lock(fd, kind, true, 0))
		_exit(NO_BLOCK);
	(void)pause();
}

static bool is_locked(enum wait_for kind)
{
	int fd = case_open("f", O_RDWR, 0);
	bool locked = lock(fd, kind, false, 0) != 0;

	(void)close(fd);
	return locked;
}

long wait_holder_dies(enum wait_for kind)
{
	pid_t holds, waits_;
	long r;

	remove_tree("f");
	MAKE(FILL, "f", "x");
	holds = child(holder, kind);
	for (int i = 0; i < PATIENCE / 2 && !is_locked(kind); i++)
		pause_ms(2);
	waits_ = child(waiter, kind);
	r = blocks(waits_) ? 0 : NO_BLOCK;
	(void)kill(holds, SIGKILL);
	(void)end_of(holds);
	return end_of(waits_) ?: r;
}

/* Holds byte 1, and wants byte 0. */
static void other_side(enum wait_for kind)
{
	int fd = open("f", O_RDWR | O_CLOEXEC);

	if (lock(fd, kind, false, 1))
		_exit(NO_BLOCK);
	_exit(lock(fd, kind, true, 0) ? errno : 0);
}

long wait_deadlock(void)
{
	int fd, r;
	pid_t pid;

	remove_tree("f");
	MAKE(FILL, "f", "x");
	fd = case_open("f", O_RDWR, 0);
	if (lock(fd, WAIT_POSIX, false, 0))
		die("lock: %m");
	pid = child(other_side, WAIT_POSIX);
	r = blocks(pid) ? (lock(fd, WAIT_POSIX, true, 1) ? errno : 0)
			: NO_BLOCK;
	(void)close(fd);
	(void)end_of(pid);
	return r;
}
