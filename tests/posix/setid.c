/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Set-user-ID and set-group-ID: what drops them, and what they do.
 */
#include "posix.h"

#include <errno.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
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
					/* kept by Linux before 6.2 */
					if (!(modes[m] & 010) &&
					    !kernel_at_least(6, 2))
						s.after = NULL;
				}
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

/* ---- by each way to change what is open --------------------------------- */

/* Something behind the end, which a program does not miss. */

static int64_t by_pwrite(int fd, off_t end)
{
	return sys(pwrite(fd, "x", 1, end));
}

static int64_t by_direct(int fd, off_t end)
{
	static _Alignas(4096) char page[4096] = "x";

	if (fcntl(fd, F_SETFL, O_DIRECT))
		die("fcntl: %m");
	end = (end + 4095) / 4096 * 4096;
	return sys(pwrite(fd, page, sizeof(page), end)) / 4096;
}

static int64_t by_sendfile(int fd, off_t end)
{
	int from = case_open("from", O_RDONLY, 0);
	int64_t r;

	if (lseek(fd, end, SEEK_SET) != end)
		die("lseek: %m");
	r = sys(sendfile(fd, from, NULL, 1));
	(void)close(from);
	return r;
}

static int64_t by_splice(int fd, off_t end)
{
	int ends[2];
	int64_t r;

	if (pipe2(ends, O_CLOEXEC) || write(ends[1], "x", 1) != 1)
		die("a pipe: %m");
	r = sys(splice(ends[0], NULL, fd, &end, 1, 0));
	(void)close(ends[0]);
	(void)close(ends[1]);
	return r;
}

static int64_t by_copy(int fd, off_t end)
{
	int from = case_open("from", O_RDONLY, 0);
	off_t at = 0;
	int64_t r = sys(copy_file_range(from, &at, fd, &end, 1, 0));

	(void)close(from);
	return r;
}

static int64_t by_fallocate(int fd, off_t end)
{
	return sys(fallocate(fd, 0, end, 1)) + 1;
}

static int64_t by_punching(int fd, off_t end)
{
	return sys(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			     end, 4096)) +
	       1;
}

static int64_t by_ftruncate(int fd, off_t end)
{
	return sys(ftruncate(fd, end + 1)) + 1;
}

static int64_t by_writev(int fd, off_t end)
{
	struct iovec iov = { (char[]){ "x" }, 1 };

	return sys(pwritev2(fd, &iov, 1, end, RWF_DSYNC));
}

static const struct {
	const char *name;
	int64_t (*change)(int fd, off_t end); /* 1: it did */
} ways[] = {
	{ "pwrite", by_pwrite },     { "O_DIRECT", by_direct },
	{ "sendfile", by_sendfile }, { "splice", by_splice },
	{ "copy", by_copy },         { "fallocate", by_fallocate },
	{ "punching", by_punching }, { "ftruncate", by_ftruncate },
	{ "RWF_DSYNC", by_writev },
};

/* As this user, with what root has open: the end of it may be changed. */
static void change(const char *path, size_t way, enum user who)
{
	int fd = case_open(path, O_RDWR, 0);
	struct stat st;

	if (fstat(fd, &st))
		die("fstat: %m");
	become(who);
	check_is(1, ways[way].change(fd, st.st_size), "%s as %s",
		 ways[way].name, user_names[who]);
	become(ROOT);
	(void)close(fd);
}

/* root keeps them, B is of the group, A is not */
static void dropped_by_each_way(void)
{
	MAKE(FILL, "from", "content");
	for (size_t w = 0; w < COUNT(ways); w++)
		for (size_t m = 0; m < COUNT(modes); m++)
			for (enum user u = ROOT; u <= B; u++) {
				unsigned left = modes[m];

				if (u == A && !(left & 010) &&
				    !kernel_at_least(6, 2))
					continue;
				prepare(modes[m]);
				if (u != ROOT)
					left = u == B ? dropped(left)
						      : left & ~06000u;
				change("f", w, u);
				STEP(LSTAT, "f", .after = mode_is(left));
			}
}

/* Also not at once, by what is known of the file from before. */
static void changed_programs_have_no_rights(void)
{
	char u[] = "u";
	struct statvfs st;

	if (statvfs(".", &st) || (st.f_flag & ST_NOSUID))
		return;
	MAKE(FILL, "from", "content");
	copy_program("u");
	MAKE(CHOWN, "u", .a = UID_B, .b = GID_OTHER);
	for (size_t w = 0; w < COUNT(ways); w++) {
		MAKE(CHMOD, "u", .a = 06777);
		check_is(UID_B % 97, in_child(A, run_it, u),
			 "user of a program before %s", ways[w].name);
		change("u", w, A);
		check_is(user_uid(A) % 97, in_child(A, run_it, u),
			 "user of a program after %s", ways[w].name);
		change("u", w, A); /* nor by being changed again */
		check_is(user_uid(A) % 97, in_child(A, run_it, u),
			 "user of a program after %s twice", ways[w].name);
	}
}

/* by root's, too; but directories keep them */
static void dropped_by_a_chown_that_changes_nothing(void)
{
	char of_d[32];

	for (size_t m = 0; m < COUNT(modes); m++) {
		prepare(modes[m]);
		STEP(CHOWN, "f", .a = -1, .b = -1,
		     .after = mode_is(dropped(modes[m])));
		MAKE(MKDIR, "d", .a = 0);
		MAKE(CHMOD, "d", .a = modes[m]);
		(void)snprintf(of_d, sizeof(of_d), "d:mode=0%o", modes[m]);
		STEP(CHOWN, "d", .a = -1, .b = -1, .after = of_d);
		remove_tree("d");
	}
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
	RUN(dropped_by_each_way),
	RUN(changed_programs_have_no_rights),
	RUN(dropped_by_a_chown_that_changes_nothing),
	RUN(dropped_by_mapping),
	{ 0 },
};
const struct check_group group_setid = { "setid", cases };
