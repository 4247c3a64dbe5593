/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Set-user-ID and set-group-ID through the FUSE frontend, when content is
 * changed: what the kernel leaves to the frontend.
 *
 * Where the kernel knows of such a bit, it says so before a change.  So the
 * mode is changed behind its back here, after a first write has told it that
 * there is nothing to take: then only the request itself says what is due.
 */
#include "mounted.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define USER    65534
#define GROUP   70009
#define SECONDS 100 /* for all tests */

static struct mounted the;

/* since Linux 5.11 */
static bool kernel_leaves_it(void)
{
	struct utsname u;
	char *dot;
	long major;

	assert_int_equal(uname(&u), 0);
	major = strtol(u.release, &dot, 10);
	if (major != 5)
		return major > 5;
	return *dot == '.' && strtol(dot + 1, NULL, 10) >= 11;
}

static int setup(void **state)
{
	static const char *const kv[] = { NULL };

	(void)state;
	return mounted_begin(&the, kv);
}

static int teardown(void **state)
{
	(void)state;
	mounted_done(&the);
	return 0;
}

/* The kernel knows that there is nothing to take from it. */
static int plain_file(void)
{
	int fd = open(mounted_path(&the, "file"),
		      O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0777);

	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, 0777), 0);
	assert_int_equal(fchown(fd, USER + 1, GROUP), 0);
	assert_int_equal(pwrite(fd, "content", 7, 0), 7);
	return fd;
}

static long by_write(int fd)
{
	return pwrite(fd, "x", 1, 0);
}

static long by_fallocate(int fd)
{
	return fallocate(fd, 0, 0, 100) + 1;
}

static long by_copy(int fd)
{
	off_t from = 6, to = 0;

	return copy_file_range(fd, &from, fd, &to, 1, 0);
}

/* 0: it did; else errno */
static int as_user(const gid_t *group, long (*change)(int fd), int fd)
{
	int status = -1;
	pid_t pid = fork();

	if (!pid) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (setgroups(group ? 1 : 0, group) ||
		    setresgid(USER, USER, USER) || setresuid(USER, USER, USER))
			_exit(255);
		_exit(change(fd) == 1 ? 0 : errno);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* By what the kernel has, unless it was told to forget. */
static mode_t mode_of(int fd)
{
	struct statx st;

	assert_int_equal(statx(fd, "", AT_EMPTY_PATH, STATX_MODE, &st), 0);
	return st.stx_mode & 07777;
}

static void small_writes_ask_for_no_capabilities(void **state)
{
	int fd = plain_file();
	unsigned long before;

	(void)state;
	if (!kernel_leaves_it())
		skip();
	before = atomic_load(&the.fs->n_getxattr);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(pwrite(fd, "x", 1, i), 1);
	assert_int_equal(atomic_load(&the.fs->n_getxattr), before);
	(void)close(fd);
}

static void a_write_takes_what_the_kernel_knows_nothing_of(void **state)
{
	static const struct {
		unsigned int before, after;
	} modes[] = { { 06777, 0777 }, { 04700, 0700 }, { 02775, 0775 },
		      { 0770, 0770 },  { 02767, 0767 }, { 06666, 0666 } };

	(void)state;
	if (!kernel_leaves_it())
		skip();
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		int fd = plain_file();

		assert_true(fakefs_chmod(the.fs, "file", modes[i].before));
		assert_int_equal(by_write(fd), 1); /* root may keep it */
		assert_int_equal(fakefs_mode(the.fs, "file"), modes[i].before);
		assert_int_equal(mode_of(fd), 0777);
		assert_int_equal(as_user(NULL, by_write, fd), 0);
		assert_int_equal(fakefs_mode(the.fs, "file"), modes[i].after);
		/* and it runs nothing by what it knew */
		assert_int_equal(mode_of(fd), modes[i].before == modes[i].after
						  ? 0777
						  : modes[i].after);
		(void)close(fd);
	}
}

static void set_gid_without_execution_stays_for_the_group(void **state)
{
	const gid_t other = GROUP + 1, its = GROUP;
	int fd = plain_file();

	(void)state;
	if (!kernel_leaves_it())
		skip();
	assert_true(fakefs_chmod(the.fs, "file", 06767));
	assert_int_equal(as_user(&its, by_write, fd), 0);
	assert_int_equal(fakefs_mode(the.fs, "file"), 02767);
	assert_int_equal(as_user(&other, by_write, fd), 0);
	assert_int_equal(fakefs_mode(the.fs, "file"), 0767);
	(void)close(fd);
}

static void allocations_and_copies_take_it_too(void **state)
{
	static long (*const ways[])(int fd) = { by_fallocate, by_copy };

	(void)state;
	if (!kernel_leaves_it())
		skip();
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		int fd = plain_file();

		assert_true(fakefs_chmod(the.fs, "file", 06777));
		assert_int_equal(ways[i](fd), 1);
		assert_int_equal(fakefs_mode(the.fs, "file"), 06777);
		assert_int_equal(as_user(NULL, ways[i], fd), 0);
		assert_int_equal(fakefs_mode(the.fs, "file"), 0777);
		assert_int_equal(mode_of(fd), 0777);
		(void)close(fd);
	}
}

static void what_keeps_its_rights_keeps_its_content(void **state)
{
	static long (*const ways[])(int fd) = { by_write, by_fallocate,
						by_copy };
	char got[8] = "";

	(void)state;
	if (!kernel_leaves_it())
		skip();
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		int fd = plain_file();

		assert_true(fakefs_chmod(the.fs, "file", 06777));
		atomic_store(&the.fs->setattr_err, -ENOSPC);
		assert_int_equal(as_user(NULL, ways[i], fd), ENOSPC);
		atomic_store(&the.fs->setattr_err, 0);
		assert_int_equal(fakefs_mode(the.fs, "file"), 06777);
		assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED),
				 0);
		assert_int_equal(pread(fd, got, sizeof(got), 0), 7);
		assert_string_equal(got, "content");
		(void)close(fd);
	}
}

static int run_all(void)
{
#define MOUNTED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		MOUNTED(small_writes_ask_for_no_capabilities),
		MOUNTED(a_write_takes_what_the_kernel_knows_nothing_of),
		MOUNTED(set_gid_without_execution_stays_for_the_group),
		MOUNTED(allocations_and_copies_take_it_too),
		MOUNTED(what_keeps_its_rights_keeps_its_content),
	};

	(void)alarm(SECONDS);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return mounted_main(run_all);
}
