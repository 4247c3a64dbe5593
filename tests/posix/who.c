/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Being another user.  Between two steps the program only changes its
 * effective and real numbers and keeps the saved one, so that it can go back;
 * to the kernel's checks of files that is the same as having no way back, and
 * group "real-users" compares the two.
 */
#include "posix.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

const char *const user_names[N_USERS] = { "root", "A", "B", "PEER", "MEMBER" };

static const struct {
	uid_t uid;
	gid_t gid;
	gid_t others[2];
	size_t n_others;
} users[N_USERS] = {
	[ROOT] = { 0, 0, { 0 }, 0 },
	[A] = { UID_A, GID_A, { 0 }, 0 },
	[B] = { UID_B, GID_B, { 0 }, 0 },
	[PEER] = { UID_PEER, GID_A, { 0 }, 0 },
	[MEMBER] = { UID_MEMBER, GID_MEMBER, { GID_OTHER, GID_A }, 2 },
};

uid_t user_uid(enum user u)
{
	return users[u].uid;
}

gid_t user_gid(enum user u)
{
	return users[u].gid;
}

void become(enum user u)
{
	static enum user now = N_USERS;

	if (u == now)
		return;
	if (geteuid() != 0 && setresuid(0, 0, 0))
		die("back to root: %m");
	if (setgroups(users[u].n_others, users[u].others) ||
	    setresgid(users[u].gid, users[u].gid, 0) ||
	    setresuid(users[u].uid, users[u].uid, 0))
		die("to become %s: %m", user_names[u]);
	now = u;
}

void become_for_good(enum user u)
{
	become(ROOT);
	if (setgroups(users[u].n_others, users[u].others) ||
	    setresgid(users[u].gid, users[u].gid, users[u].gid) ||
	    setresuid(users[u].uid, users[u].uid, users[u].uid))
		_exit(251);
}

long in_child(enum user u, long (*f)(void *arg), void *arg)
{
	int status = 0;
	pid_t pid = fork();

	if (pid < 0)
		die("fork: %m");
	if (!pid) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		become_for_good(u);
		_exit((int)f(arg));
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			die("waitpid: %m");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + status;
}
