/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Set-user-ID and set-group-ID: what drops them, and what they do.
 */
#include "posix.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

static const unsigned modes[] = { 06777, 04777, 02777, 02767, 06767,
				  07777, 01777, 0777,  06666, 02676 };

/* inode(7): set-gid without group execution is not the same bit */
static unsigned dropped(unsigned mode)
{
	mode &= ~04000u;
	return mode & 010 ? mode & ~02000u : mode;
}

static void prepare(unsigned mode)
{
	MAKE(FILL, "f", "content");
	MAKE(CHOWN, "f", .a = UID_B, .b = GID_B);
	MAKE(CHMOD, "f", .a = mode);
}

static const char *mode_is(unsigned mode)
{
	static char text[32];

	(void)snprintf(text, sizeof(text), "f:mode=0%o", mode);
	return text;
}

static void dropped_by_content(void)
{
	static const struct step changes[] = {
		{ WRITE, .q = "x", .want = 1 },
		{ PWRITE, .q = "x", .b = 5, .want = 1 },
		{ PWRITE, .q = "x", .b = 100000, .want = 1 },
		{ FTRUNCATE, .a = 3 },
		{ FTRUNCATE, .a = 300 },
		{ FTRUNCATE, .a = 0 },
		{ TRUNCATE, "f", .a = 3 },
		{ TRUNCATE, "f", .a = 300 },
		{ OPEN, "f", .a = O_RDWR | O_TRUNC },
		{ OPEN, "f", .a = O_WRONLY | O_TRUNC | O_CREAT, .b = 0 },
	};

	for (size_t c = 0; c < COUNT(changes); c++)
		for (size_t m = 0; m < COUNT(modes); m++)
			for (enum user u = ROOT; u <= A; u++) {
				struct step s = changes[c];

				prepare(modes[m]);
				MAKE(OPEN, "f", .a = O_RDWR);
				s.as = u;
				/* root's CAP_FSETID keeps them */
				if (u == ROOT) {
					s.after = mode_is(modes[m]);
				} else {
					/* A is not of its group */
					s.after = mode_is(modes[m] & ~06000u);
					if (!(modes[m] & 010))
						s.limit = LIMIT_SETGID;
				}
				/* Linux before 6.2 does as FUSE */
				if (s.limit && !kernel_at_least(6, 2))
					s.after = mode_is(dropped(modes[m]));
				(void)step_run(&s);
			}
}

static void kept_by_the_rest(void)
{
	static const struct step others[] = {
		{ OPEN, "f", .a = O_RDWR },
		{ OPEN, "f", .a = O_RDWR | O_CREAT, .b = 0644 },
		{ PREAD, .a = 1, .want = 1 },
		{ FSYNC },
		{ WRITE, .q = "", .want = 0 },
		{ UTIMENS, "f", .a = T_NULL },
		{ SETXATTR, "f", "user.x", .a = 3 },
		{ RMXATTR, "f", "user.x" },
		{ LINK, "f", "g" },
		{ RENAME, "f", "f2" },
		{ RENAME, "f2", "f" },
	};

	for (size_t m = 0; m < COUNT(modes); m++) {
		prepare(modes[m]);
		MAKE(OPEN, "f", .a = O_RDWR);
		for (size_t i = 0; i < COUNT(others); i++) {
			struct step s = others[i];

			s.as = B;
			(void)step_run(&s);
			if (s.call != RENAME)
				STEP(LSTAT, "f", .after = mode_is(modes[m]));
		}
		remove_tree("g");
	}
	/* the owner's own write drops them too */
	for (size_t m = 0; m < COUNT(modes); m++) {
		prepare(modes[m]);
		STEP(OPEN, "f", .a = O_RDWR, .as = B);
		STEP(WRITE, .q = "x", .want = 1, .as = B,
		     .after = mode_is(dropped(modes[m])));
	}
}

static long run_it(void *arg)
{
	char *path = arg, who[] = "--who", group[] = "--group";
	char *argv[] = { path, path[0] == 'g' ? group : who, NULL };

	(void)execv(path, argv);
	return 240;
}

static void what_they_do(void)
{
	struct statvfs st;
	char u[] = "u", g[] = "g";

	copy_program("u");
	MAKE(LINK, "u", "g");
	MAKE(CHOWN, "u", .a = UID_B, .b = GID_OTHER);
	check_is(user_uid(A) % 97, in_child(A, run_it, u),
		 "user of a program without set-uid");
	check_is(user_gid(A) % 97, in_child(A, run_it, g),
		 "group of a program without set-gid");
	MAKE(CHMOD, "u", .a = 06755);
	if (statvfs(".", &st) || (st.f_flag & ST_NOSUID))
		return;
	check_is(UID_B % 97, in_child(A, run_it, u),
		 "user of a program with set-uid");
	check_is(GID_OTHER % 97, in_child(A, run_it, g),
		 "group of a program with set-gid");
	MAKE(CHMOD, "u", .a = 02755);
	check_is(user_uid(A) % 97, in_child(A, run_it, u),
		 "user of a program that lost set-uid");
	MAKE(CHMOD, "u", .a = 0744);
	check_is(240, in_child(A, run_it, u), "a program that A may not run");
	MAKE(CHMOD, "u", .a = 0711);
	check_is(user_uid(A) % 97, in_child(A, run_it, u),
		 "a program that A may run but not read");
}

static void dropped_by_mapping(void)
{
	int fd;
	char *at;

	prepare(06777);
	become(A);
	fd = case_open("f", O_RDWR, 0);
	at = mmap(NULL, 7, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		die("mmap: %m");
	at[0] = 'X';
	check_is(0, sys(msync(at, 7, MS_SYNC)), "msync");
	(void)munmap(at, 7);
	(void)close(fd);
	become(ROOT);
	/* Linux leaves them: only write(2) and its kin drop */
	STEP(LSTAT, "f", .after = "f:mode=06777 f:text=Xontent");
}

static const struct test_case cases[] = {
	RUN(dropped_by_content),
	RUN(kept_by_the_rest),
	RUN(what_they_do),
	RUN(dropped_by_mapping),
	{ 0 },
};
const struct check_group group_setid = { "setid", cases };
