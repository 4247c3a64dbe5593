/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The FUSE frontend over a pool that is not there: open files, what it keeps
 * and must not, and requests that wait while somebody gives up.
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
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SECONDS 200 /* for all tests */

static struct mounted the;

static int setup(void **state)
{
	static const char *const kv[] = { "unmount-wait=1", NULL };

	(void)state;
	return mounted_begin(&the, kv);
}

static int setup_writeback(void **state)
{
	static const char *const kv[] = { "unmount-wait=1", "writeback=true",
					  NULL };

	(void)state;
	return mounted_begin(&the, kv);
}

static int teardown(void **state)
{
	(void)state;
	atomic_store(&the.fs->hang, false); /* of a test that failed */
	mounted_done(&the);
	return 0;
}

static void open_files_are_given_back_as_they_were_given(void **state)
{
	const char *path = mounted_path(&the, "file");
	int fd[20];

	(void)state;
	assert_true(file_survives(path, 1, 5000));
	for (int i = 0; i < 20; i++) {
		fd[i] = open(path, (i % 2 ? O_RDWR : O_RDONLY) | O_CLOEXEC);
		assert_true(fd[i] >= 0);
	}
	assert_int_equal(fakefs_opens(the.fs), 20);
	for (int i = 0; i < 20; i++) {
		char byte;

		assert_int_equal(
		    posix_fadvise(fd[i], 0, 0, POSIX_FADV_DONTNEED), 0);
		assert_int_equal(pread(fd[i], &byte, 1, i), 1);
		if (i % 2)
			assert_int_equal(pwrite(fd[i], &byte, 1, i), 1);
		assert_int_equal(fsync(fd[i]), 0);
		assert_int_equal(close(fd[i]), 0);
	}
	fd[0] = open(the.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(fsync(fd[0]), 0);
	assert_int_equal(close(fd[0]), 0);
	mounted_stop(&the); /* releases come late */
	assert_int_equal(fakefs_opens(the.fs), 0);
	assert_int_equal(atomic_load(&the.fs->n_mistaken), 0);
}

static void who_only_read_closes_without_a_word(void **state)
{
	const char *path = mounted_path(&the, "file");
	unsigned long before;
	int fd;

	(void)state;
	assert_true(file_survives(path, 1, 100));
	before = atomic_load(&the.fs->n_flush);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(close(fd), 0);
	assert_int_equal(atomic_load(&the.fs->n_flush), before);
	/* who may have written is told what became of it */
	for (int i = 0; i < 2; i++) {
		fd = open(path, (i ? O_RDWR : O_WRONLY) | O_CLOEXEC);
		assert_true(fakefs_lose(the.fs, "file", -EIO));
		assert_int_equal(close(fd), -1);
		assert_int_equal(errno, EIO);
	}
	assert_int_equal(atomic_load(&the.fs->n_flush), before + 2);
}

static void what_changed_behind_its_back_the_kernel_reads_again(void **state)
{
	const struct dynfs_frontend_ops *ops = the.inst.plugin->frontend;
	const char *path = mounted_path(&the, "file");
	char text[16] = "";
	struct stat st;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	(void)state;
	assert_int_equal(write(fd, "what is lost", 12), 12);
	assert_int_equal(pread(fd, text, sizeof(text), 0), 12);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(fakefs_change(the.fs, "file", "before"));
	/* so far it is what the kernel keeps */
	assert_int_equal(pread(fd, text, sizeof(text), 0), 12);
	assert_string_equal(text, "what is lost");
	ops->changed(the.inst.self, st.st_ino, 0, 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 6);
	memset(text, 0, sizeof(text));
	assert_int_equal(pread(fd, text, sizeof(text), 0), 6);
	assert_string_equal(text, "before");
	assert_int_equal(close(fd), 0);
	/* one that the kernel does not know */
	ops->changed(the.inst.self, 12345, 0, 0);
}

/* ---- who gives up ------------------------------------------------------ */

static void on_alarm(int number)
{
	(void)number;
}

enum wish { READ_DIRECT, WRITE, ALLOCATE, FSYNC, SEEK, CLOSE };

/* Makes one call that waits, in a thread to which a signal can be sent. */
struct impatient {
	pthread_t thread;
	enum wish wish;
	int fd, err;
	atomic_bool done;
};

static void *impatient_main(void *arg)
{
	static _Alignas(4096) char page[4096];
	struct impatient *p = arg;
	ssize_t r = 0;

	switch (p->wish) {
	case READ_DIRECT:
		r = pread(p->fd, page, sizeof(page), 0);
		break;
	case WRITE:
		r = pwrite(p->fd, page, sizeof(page), 0);
		break;
	case ALLOCATE:
		r = fallocate(p->fd, 0, 0, 1 << 20);
		break;
	case FSYNC:
		r = fsync(p->fd);
		break;
	case SEEK:
		r = lseek(p->fd, 0, SEEK_HOLE);
		break;
	case CLOSE:
		r = close(p->fd);
		break;
	}
	p->err = r < 0 ? errno : 0;
	atomic_store(&p->done, true);
	return NULL;
}

/* How many of them wait inside of the view, in the end. */
static void start_to_hang(struct impatient *p, enum wish wish, const char *path,
			  int inside)
{
	*p = (struct impatient){ .wish = wish };
	p->fd =
	    open(path, O_CLOEXEC | (wish == READ_DIRECT ? O_RDONLY | O_DIRECT
							: O_RDWR));
	assert_true(p->fd >= 0);
	assert_int_equal(pthread_create(&p->thread, NULL, impatient_main, p),
			 0);
	assert_true(mounted_wait(&the.fs->n_hanging, inside));
}

/* A signal that ends nothing: the call returns. */
static bool gives_up(struct impatient *p)
{
	struct timespec pause = { .tv_nsec = 10000000 };

	for (int i = 0; i < 300 && !atomic_load(&p->done); i++) {
		(void)pthread_kill(p->thread, SIGINT);
		(void)nanosleep(&pause, NULL);
	}
	return atomic_load(&p->done);
}

/* Nothing that one would give up for. */
static void disturb(struct impatient *p)
{
	for (int i = 0; i < 5; i++) {
		(void)pthread_kill(p->thread, SIGUSR1);
		(void)usleep(50000);
	}
}

static void stop_hanging(struct impatient *p)
{
	atomic_store(&the.fs->hang, false);
	assert_int_equal(pthread_join(p->thread, NULL), 0);
	if (p->wish != CLOSE)
		assert_int_equal(close(p->fd), 0);
}

static void hanging_file(const char *name)
{
	struct sigaction act = { .sa_handler = on_alarm };

	assert_int_equal(sigaction(SIGUSR1, &act, NULL), 0);
	assert_int_equal(sigaction(SIGINT, &act, NULL), 0);
	assert_true(file_survives(mounted_path(&the, name), 1, 8192));
	atomic_store(&the.fs->hang, true);
}

static void who_gives_up_waiting_is_answered_at_once(void **state)
{
	static const enum wish wishes[] = { READ_DIRECT, FSYNC, SEEK, CLOSE };
	struct impatient p;

	(void)state;
	for (size_t i = 0; i < sizeof(wishes) / sizeof(wishes[0]); i++) {
		atomic_store(&the.fs->hang, false);
		(void)unlink(mounted_path(&the, "hang"));
		hanging_file("hang");
		start_to_hang(&p, wishes[i], mounted_path(&the, "hang"), 1);
		/* the kernel tells of one signal only, and not of which */
		disturb(&p);
		assert_false(atomic_load(&p.done));
		assert_true(gives_up(&p));
		assert_int_equal(p.err, EINTR);
		/* what it began goes on, and its end disturbs nobody */
		assert_int_equal(atomic_load(&the.fs->n_hanging), 1);
		stop_hanging(&p);
		assert_true(mounted_wait(&the.fs->n_hanging, 0));
	}
	mounted_stop(&the);
	assert_int_equal(fakefs_opens(the.fs), 0);
	assert_int_equal(atomic_load(&the.fs->n_mistaken), 0);
}

/* A loss that was told to one who had gone is told to the next. */
static void what_was_answered_to_nobody_counts_as_not_told(void **state)
{
	struct impatient p;
	int fd;

	(void)state;
	hanging_file("hang");
	start_to_hang(&p, CLOSE, mounted_path(&the, "hang"), 1);
	assert_true(fakefs_lose(the.fs, "hang", -EIO));
	assert_true(gives_up(&p));
	assert_int_equal(p.err, EINTR);
	stop_hanging(&p);
	assert_true(mounted_wait(&the.fs->n_hanging, 0));
	for (int i = 0; i < 2; i++) {
		fd = open(mounted_path(&the, "hang"), O_RDWR | O_CLOEXEC);
		assert_true(fd >= 0);
		assert_int_equal(close(fd), i ? 0 : -1);
	}
}

/* What waits for room gives up, and the core is asked once for it. */
static void is_asked_to_stop(struct impatient *p, enum wish wish)
{
	hanging_file("room");
	start_to_hang(p, wish, mounted_path(&the, "room"), 1);
	disturb(p);
	assert_false(atomic_load(&p->done));
	assert_true(gives_up(p));
	assert_int_equal(p->err, EINTR);
	assert_int_equal(atomic_load(&the.fs->n_gone), 1);
}

/* Else it could land on what is written next. */
static void a_write_stops_only_where_nothing_of_it_is_done(void **state)
{
	struct impatient p;

	(void)state;
	is_asked_to_stop(&p, WRITE);
	stop_hanging(&p);
	hanging_file("hang");
	start_to_hang(&p, WRITE, mounted_path(&the, "hang"), 1);
	(void)pthread_kill(p.thread, SIGINT);
	(void)usleep(300000);
	assert_false(atomic_load(&p.done));
	stop_hanging(&p);
	assert_int_equal(p.err, 0);
}

/* It may take long, and what is done of it does no harm. */
static void a_reservation_is_asked_to_stop(void **state)
{
	struct impatient p;

	(void)state;
	is_asked_to_stop(&p, ALLOCATE);
	assert_true(mounted_wait(&the.fs->n_hanging, 0));
	stop_hanging(&p);
}

#define CROWD 90 /* more than may wait inside of the view */

static void a_crowd_that_waits_keeps_nobody_out(void **state)
{
	static struct impatient p[CROWD];
	struct timespec a, b;
	int n_inside = 0;
	char name[32];

	(void)state;
	/* of files of their own: the kernel lets one writer at a file at once */
	for (int i = 0; i < CROWD; i++) {
		(void)snprintf(name, sizeof(name), "hang-%d", i);
		atomic_store(&the.fs->hang, false);
		hanging_file(name);
	}
	for (int i = 0; i < CROWD; i++) {
		(void)snprintf(name, sizeof(name), "hang-%d", i);
		n_inside += n_inside < 64;
		start_to_hang(&p[i], i % 3 ? FSYNC : WRITE,
			      mounted_path(&the, name), n_inside);
	}
	(void)clock_gettime(CLOCK_MONOTONIC, &a);
	for (int i = 0; i < 20; i++)
		assert_int_equal(access(mounted_path(&the, "none"), F_OK), -1);
	assert_int_equal(mkdir(mounted_path(&the, "new"), 0700), 0);
	(void)clock_gettime(CLOCK_MONOTONIC, &b);
	assert_true(b.tv_sec - a.tv_sec < 2);
	/* the last ones stand in line, the first are inside */
	assert_true(gives_up(&p[CROWD - 1]));
	assert_int_equal(p[CROWD - 1].err, EINTR);
	assert_true(gives_up(&p[CROWD - 3]));
	assert_int_equal(p[CROWD - 3].err, EINTR);
	assert_true(gives_up(&p[1]));
	assert_int_equal(p[1].err, EINTR);
	assert_int_equal(atomic_load(&the.fs->n_hanging), 64);
	for (int i = 0; i < CROWD; i++)
		stop_hanging(&p[i]);
	for (int i = 0; i < CROWD - 3; i++)
		assert_true(!p[i].err || i == 1);
	assert_int_equal(p[CROWD - 2].err, 0);
	mounted_stop(&the);
	assert_int_equal(fakefs_opens(the.fs), 0);
	assert_int_equal(atomic_load(&the.fs->n_mistaken), 0);
}

#define MOUNTED(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static int run_all(void)
{
	const struct CMUnitTest tests[] = {
		MOUNTED(open_files_are_given_back_as_they_were_given),
		cmocka_unit_test_setup_teardown(
		    open_files_are_given_back_as_they_were_given,
		    setup_writeback, teardown),
		MOUNTED(who_only_read_closes_without_a_word),
		MOUNTED(what_changed_behind_its_back_the_kernel_reads_again),
		MOUNTED(who_gives_up_waiting_is_answered_at_once),
		MOUNTED(what_was_answered_to_nobody_counts_as_not_told),
		MOUNTED(a_write_stops_only_where_nothing_of_it_is_done),
		MOUNTED(a_reservation_is_asked_to_stop),
		MOUNTED(a_crowd_that_waits_keeps_nobody_out),
	};

	(void)alarm(SECONDS);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return mounted_main(run_all);
}
