/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ranges of content through the FUSE frontend: what the kernel keeps to
 * itself, and what the view hears of.
 */
#include "mounted.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE    4096
#define PAGES   1000
#define SECONDS 100 /* for all tests */

static struct mounted the;

static int setup(void **state)
{
	static const char *const kv[] = { "threads=1", NULL };

	(void)state;
	return mounted_begin(&the, kv);
}

static int setup_writeback(void **state)
{
	static const char *const kv[] = { "writeback=true", NULL };

	(void)state;
	return mounted_begin(&the, kv);
}

static int teardown(void **state)
{
	(void)state;
	mounted_done(&the);
	return 0;
}

static int open_file(int flags)
{
	int fd = open(mounted_path(&the, "file"), flags | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	return fd;
}

/* In the child; what it has open of ours would keep the mount alive. */
static void be_mapper(off_t page, int say, int hear)
{
	char *map, c;
	int fd;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)dup2(say, STDOUT_FILENO);
	(void)dup2(hear, STDIN_FILENO);
	(void)close_range(STDERR_FILENO, ~0U, 0);
	fd = open(mounted_path(&the, "file"), O_RDWR | O_CLOEXEC);
	map = mmap(NULL, (size_t)PAGES * PAGE, PROT_READ | PROT_WRITE,
		   MAP_SHARED, fd, 0);
	(void)close(fd);
	if (map == MAP_FAILED)
		_exit(1);
	map[page * PAGE + 7] = 'x';
	if (write(STDOUT_FILENO, "x", 1) != 1)
		_exit(1);
	(void)!read(STDIN_FILENO, &c, 1); /* until it is told to end */
	_exit(0);
}

struct mapper {
	pid_t pid;
	int say;
};

/* Another process changes a page of a mapping and keeps it. */
static struct mapper dirty_page(off_t page)
{
	int up[2], down[2];
	struct mapper m;
	char c;

	assert_int_equal(pipe2(up, O_CLOEXEC), 0);
	assert_int_equal(pipe2(down, O_CLOEXEC), 0);
	m.pid = fork();
	if (!m.pid)
		be_mapper(page, up[1], down[0]);
	assert_true(m.pid > 0);
	(void)close(up[1]);
	(void)close(down[0]);
	assert_int_equal(read(up[0], &c, 1), 1);
	(void)close(up[0]);
	m.say = down[1];
	return m;
}

static void end_mapper(const struct mapper *m)
{
	int status;

	assert_int_equal(write(m->say, "x", 1), 1);
	(void)close(m->say);
	assert_int_equal(waitpid(m->pid, &status, 0), m->pid);
	assert_int_equal(status, 0);
}

static void a_page_that_another_process_changed_is_data(void **state)
{
	static const off_t at[] = { 17, 500, PAGES - 1 };
	int fd = open_file(O_RDWR | O_CREAT);

	(void)state;
	assert_int_equal(ftruncate(fd, (off_t)PAGES * PAGE), 0);
	(void)close(fd);
	fd = open_file(O_RDONLY);
	assert_int_equal(lseek(fd, 0, SEEK_DATA), -1);
	assert_int_equal(errno, ENXIO);
	for (size_t i = 0; i < sizeof(at) / sizeof(*at); i++) {
		struct mapper m = dirty_page(at[i]);
		off_t from = i ? (at[i - 1] + 1) * PAGE : 0;

		assert_int_equal(lseek(fd, from, SEEK_DATA), at[i] * PAGE);
		assert_int_equal(lseek(fd, at[i] * PAGE, SEEK_HOLE),
				 (at[i] + 1) * PAGE);
		end_mapper(&m);
	}
	assert_int_equal(lseek(fd, 0, SEEK_HOLE), 0);
	assert_int_equal(lseek(fd, PAGES * PAGE, SEEK_DATA), -1);
	assert_int_equal(errno, ENXIO);
	(void)close(fd);
}

/* The end that the view knows is not the kernel's. */
static void pages_behind_the_end_of_the_view_are_data(void **state)
{
	int fd = open_file(O_RDWR | O_CREAT);
	char page[PAGE];

	(void)state;
	(void)memset(page, 'd', sizeof(page));
	assert_int_equal(pwrite(fd, page, PAGE, 0), PAGE);
	assert_int_equal(lseek(fd, 0, SEEK_DATA), 0);
	assert_int_equal(pwrite(fd, page, PAGE, 5 * PAGE), PAGE);
	assert_int_equal(lseek(fd, PAGE, SEEK_DATA), 5 * PAGE);
	assert_int_equal(pwrite(fd, page, PAGE, 6 * PAGE), PAGE);
	assert_int_equal(lseek(fd, 5 * PAGE, SEEK_HOLE), 7 * PAGE);
	assert_int_equal(pwrite(fd, page, PAGE, 7 * PAGE), PAGE);
	assert_int_equal(lseek(fd, 7 * PAGE, SEEK_HOLE), 8 * PAGE);
	assert_int_equal(lseek(fd, 8 * PAGE, SEEK_HOLE), -1);
	assert_int_equal(errno, ENXIO);
	(void)close(fd);
}

/* The hole that is asked for is not one any more. */
static void changed_pages_are_no_hole(void **state)
{
	int fd = open_file(O_RDWR | O_CREAT);
	struct mapper m[3];
	char page[PAGE];

	(void)state;
	(void)memset(page, 'd', sizeof(page));
	assert_int_equal(ftruncate(fd, (off_t)PAGES * PAGE), 0);
	assert_int_equal(pwrite(fd, page, PAGE, 0), PAGE);
	for (int i = 0; i < 3; i++)
		m[i] = dirty_page(i + 1);
	assert_int_equal(lseek(fd, 5, SEEK_HOLE), 4 * PAGE);
	assert_int_equal(lseek(fd, 4 * PAGE, SEEK_DATA), -1);
	for (int i = 0; i < 3; i++)
		end_mapper(&m[i]);
	(void)close(fd);
}

/* What the kernel passes on arrives, and what it has cached agrees. */
static void holes_are_punched_and_other_modes_refused(void **state)
{
	static const int refused[] = { FALLOC_FL_COLLAPSE_RANGE,
				       FALLOC_FL_INSERT_RANGE,
				       FALLOC_FL_UNSHARE_RANGE };
	int fd = open_file(O_RDWR | O_CREAT);
	char page[PAGE], got[PAGE] = "";

	(void)state;
	(void)memset(page, 'd', sizeof(page));
	for (int i = 0; i < 4; i++)
		assert_int_equal(pwrite(fd, page, PAGE, i * PAGE), PAGE);
	assert_int_equal(pread(fd, got, PAGE, PAGE), PAGE);
	assert_int_equal(fallocate(fd,
				   FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				   PAGE, 2 * PAGE),
			 0);
	assert_int_equal(atomic_load(&the.fs->last_mode),
			 FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
	assert_int_equal(pread(fd, got, PAGE, PAGE), PAGE);
	assert_int_equal(got[100], 0);
	assert_int_equal(lseek(fd, 0, SEEK_HOLE), PAGE);
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		assert_int_equal(fallocate(fd, refused[i], 0, PAGE), -1);
		assert_int_equal(errno, EOPNOTSUPP);
	}
	(void)close(fd);
}

/* Dirty pages of both sides, in the kernel only, are where they belong. */
static void a_copied_range_is_the_view_s_business(void **state)
{
	int fd = open_file(O_RDWR | O_CREAT), to;
	char page[PAGE], got[PAGE];
	loff_t in = PAGE - 100, out = 50;

	(void)state;
	to = open(mounted_path(&the, "to"), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	assert_true(to >= 0);
	(void)memset(page, 'd', sizeof(page));
	assert_int_equal(pwrite(fd, page, PAGE, 0), PAGE);
	assert_int_equal(pwrite(to, page, 10, 0), 10);
	(void)memset(page, 'e', sizeof(page));
	assert_int_equal(pwrite(fd, page, PAGE, PAGE), PAGE);
	assert_int_equal(copy_file_range(fd, &in, to, &out, 5000, 0),
			 PAGE + 100);
	assert_true(atomic_load(&the.fs->n_copies) > 0);
	assert_int_equal(in, 2 * PAGE);
	assert_int_equal(out, PAGE + 150);
	assert_int_equal(pread(to, got, 200, 0), 200);
	assert_int_equal(got[9], 'd');
	assert_int_equal(got[10], 0);
	assert_int_equal(got[149], 'd');
	assert_int_equal(got[150], 'e');
	(void)close(to);
	(void)close(fd);
}

#define MOUNTED(test)                                                          \
	cmocka_unit_test_setup_teardown(test, setup, teardown),                \
	    cmocka_unit_test_setup_teardown(test, setup_writeback, teardown)

static int run_all(void)
{
	const struct CMUnitTest tests[] = {
		MOUNTED(a_page_that_another_process_changed_is_data),
		MOUNTED(pages_behind_the_end_of_the_view_are_data),
		MOUNTED(changed_pages_are_no_hole),
		MOUNTED(holes_are_punched_and_other_modes_refused),
		MOUNTED(a_copied_range_is_the_view_s_business),
	};

	(void)alarm(SECONDS);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return mounted_main(run_all);
}
