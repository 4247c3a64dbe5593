/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs: what runs can not be written (ETXTBSY), what is being written can
 * not be run, and the permission to run.
 */
#include "posix.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct running {
	pid_t pid;
	int in;
};

/* Comes back when it runs: it writes a byte, then waits for one. */
static struct running start(const char *path)
{
	int to[2], from[2];
	struct running r;
	char c;

	if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC))
		die("pipe: %m");
	r.pid = fork();
	if (r.pid < 0)
		die("fork: %m");
	if (!r.pid) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)dup2(to[0], STDIN_FILENO);
		(void)dup2(from[1], STDOUT_FILENO);
		(void)execl(path, path, "--wait", NULL);
		_exit(250);
	}
	(void)close(to[0]);
	(void)close(from[1]);
	check_is(1, sys(read(from[0], &c, 1)), "%s runs", path);
	(void)close(from[0]);
	r.in = to[1];
	return r;
}

static void stop(struct running *r)
{
	int status;

	(void)close(r->in);
	(void)waitpid(r->pid, &status, 0);
	check_is(0, status, "it ends well");
}

static void busy_text(void)
{
	struct running r;

	copy_program("p");
	r = start("./p");
	STEP(OPEN, "p", .a = O_WRONLY, .want = -ETXTBSY);
	STEP(OPEN, "p", .a = O_RDWR, .want = -ETXTBSY);
	STEP(OPEN, "p", .a = O_WRONLY | O_TRUNC, .want = -ETXTBSY);
	STEP(OPEN, "p", .a = O_RDWR | O_CREAT, .b = 0755, .want = -ETXTBSY);
	STEP(TRUNCATE, "p", .a = 0, .want = -ETXTBSY);
	STEP(OPEN, "p", .a = O_RDONLY);
	STEP(CHMOD, "p", .a = 0700);
	STEP(LINK, "p", "q");
	STEP(OPEN, "q", .a = O_WRONLY, .want = -ETXTBSY);
	STEP(RENAME, "q", "s");
	STEP(OPEN, "s", .a = O_WRONLY, .want = -ETXTBSY);
	STEP(UTIMENS, "p", .a = T_NULL);
	STEP(UNLINK, "p", .after = "!p");
	STEP(FILL, "p", "another", .after = "p:text=another");
	stop(&r);
	STEP(OPEN, "s", .a = O_WRONLY);
	STEP(TRUNCATE, "s", .a = 0);
}

static long run(void *arg)
{
	char *path = arg, who[] = "--who";
	char *argv[] = { path, who, NULL };

	(void)execv(path, argv);
	return 100 + errno;
}

static void written_while_run(void)
{
	char path[] = "./p";
	int fd;

	copy_program("p");
	fd = case_open("p", O_WRONLY, 0);
	check_is(100 + ETXTBSY, in_child(ROOT, run, path),
		 "run what is open for writing");
	(void)close(fd);
	check_is(0, in_child(ROOT, run, path), "run it when it is closed");
	fd = case_open("p", O_RDONLY, 0);
	check_is(0, in_child(ROOT, run, path), "run what is open for reading");
	(void)close(fd);
}

static void who_may_run(void)
{
	static const unsigned modes[] = { 0700, 0070, 0007, 0111, 0100,
					  0010, 0001, 0666, 0555, 0 };
	char path[] = "./p";

	copy_program("p");
	MAKE(CHOWN, "p", .a = UID_A, .b = GID_A);
	for (size_t i = 0; i < COUNT(modes); i++)
		for (enum user u = ROOT; u < N_USERS; u++) {
			unsigned shift = u == A                     ? 6
					 : u == PEER || u == MEMBER ? 3
								    : 0;
			bool may =
			    u == ROOT ? modes[i] & 0111 : modes[i] >> shift & 1;

			MAKE(CHMOD, "p", .a = modes[i]);
			check_is(may ? user_uid(u) % 97 : 100 + EACCES,
				 in_child(u, run, path),
				 "run with mode 0%o as %s", modes[i],
				 user_names[u]);
		}
}

static void not_programs(void)
{
	static const struct {
		char kind;
		long want;
	} kinds[] = {
		{ 'd', 100 + EACCES },
		{ 'p', 100 + EACCES },
		{ 'c', 100 + EACCES },
		{ 's', 100 + EACCES },
	};
	char path[] = "./p";

	for (size_t i = 0; i < COUNT(kinds); i++) {
		make_kind(kinds[i].kind, "p");
		MAKE(CHMOD, "p", .a = 0777);
		check_is(kinds[i].want, in_child(ROOT, run, path), "run a %s",
			 kind_name(kinds[i].kind));
		remove_tree("p");
	}
	MAKE(FILL, "p", "no program");
	MAKE(CHMOD, "p", .a = 0777);
	check_is(100 + ENOEXEC, in_child(ROOT, run, path), "run a text");
	check_is(0, sys(unlink("p")), "unlink");
	check_is(100 + ENOENT, in_child(ROOT, run, path), "run nothing");
	MAKE(SYMLINK, "p", "p");
	check_is(100 + ELOOP, in_child(ROOT, run, path), "run a loop");
}

static const struct test_case cases[] = {
	RUN(busy_text),
	RUN(written_while_run),
	RUN(who_may_run),
	RUN(not_programs),
	{ 0 },
};
const struct check_group group_exec = { "exec", cases };
