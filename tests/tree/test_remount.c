/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A running pool that is made read-only, and writable again: what was answered
 * before is durable, what comes after is refused, and who writes keeps it from
 * happening and notices nothing.
 */
#include "check.h"
#include "driver.h"
#include "stack.h"

#include <base/fail.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#define STEPS   300
#define ROUNDS  8
#define WRITERS 4
#define TURNS   20

static uint64_t seed;
static const struct dynfs_caller who = { .uid = 0 };

static int remount(struct stack *s, bool readonly)
{
	return pool_remount(s->pool, readonly, CONF_ATIME_RELATIVE);
}

static void take_length(void *ctx, int err, const struct iovec *iov, uint32_t n)
{
	assert_int_equal(err, 0);
	for (uint32_t i = 0; i < n; i++)
		*(size_t *)ctx += iov[i].iov_len;
}

static int put(const struct dynfs_fs_view *fs, uint64_t ino)
{
	char byte = 'x';
	struct iovec iov = { &byte, 1 };
	int r = 1;
	struct dynfs_call call = TAKE_RESULT(&r);

	fs->write(fs->ctx, ino, NULL, 0, &iov, 1, 0, &call);
	return r;
}

/* It stays open. */
static uint64_t make(const struct dynfs_fs_view *fs, const char *name,
		     struct dynfs_file **ret)
{
	struct dynfs_attr a;

	assert_int_equal(
	    fs->create(fs->ctx, 1, name, 0644, O_RDWR, &who, &a, ret), 0);
	assert_int_equal(put(fs, a.ino), 0);
	return a.ino;
}

static void what_was_answered_is_durable_when_it_is_read_only(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < ROUNDS; i++) {
		uint64_t random = seed * 1000 + i;
		struct stack s;
		struct driver d;

		stack_new(&s, random);
		driver_init(&d, s.fs, random);
		for (int n = 0; n < STEPS; n++)
			driver_step(&d);
		driver_forget(&d);
		assert_int_equal(remount(&s, true), 0);
		assert_true(pool_readonly(s.pool));
		driver_compare(&d, true);
		stack_crash(&s, random_next(&random));
		stack_open(&s);
		d.fs = s.fs;
		driver_compare(&d, true);
		stack_settle(&s);
		check_names(pool_meta(s.pool));
		driver_done(&d);
		stack_free(&s);
	}
}

static void every_change_is_refused(const struct dynfs_fs_view *fs,
				    uint64_t ino)
{
	const struct dynfs_attr in = { .mode = 0600 };
	struct dynfs_file *file;
	struct dynfs_attr a;

	assert_int_equal(fs->open(fs->ctx, ino, O_WRONLY, &file), -EROFS);
	assert_int_equal(fs->open(fs->ctx, ino, O_RDWR | O_TRUNC, &file),
			 -EROFS);
	assert_int_equal(put(fs, ino), -EROFS);
	assert_int_equal(
	    fs->create(fs->ctx, 1, "n", 0600, O_RDWR, &who, &a, &file), -EROFS);
	assert_int_equal(fs->mknod(fs->ctx, 1, "n", S_IFIFO, 0, &who, &a),
			 -EROFS);
	assert_int_equal(fs->mkdir(fs->ctx, 1, "n", 0700, &who, &a), -EROFS);
	assert_int_equal(fs->symlink(fs->ctx, 1, "n", "x", &who, &a), -EROFS);
	assert_int_equal(fs->link(fs->ctx, ino, 1, "n", &a), -EROFS);
	assert_int_equal(fs->rename(fs->ctx, 1, "file", 1, "n", 0, NULL),
			 -EROFS);
	assert_int_equal(fs->unlink(fs->ctx, 1, "file"), -EROFS);
	assert_int_equal(fs->rmdir(fs->ctx, 1, "dir"), -EROFS);
	assert_int_equal(fs->setattr(fs->ctx, ino, DYNFS_SET_MODE, &in, &a),
			 -EROFS);
	assert_int_equal(fs->setattr(fs->ctx, ino, DYNFS_SET_SIZE, &in, &a),
			 -EROFS);
	assert_int_equal(fs->setxattr(fs->ctx, ino, "user.a", "b", 1, 0, &who),
			 -EROFS);
	assert_int_equal(fs->removexattr(fs->ctx, ino, "user.a"), -EROFS);
}

static void reads_go_on(const struct dynfs_fs_view *fs, uint64_t ino)
{
	struct dynfs_attr before, after;
	struct dynfs_file *file;
	size_t len = 0;
	int r = 1;
	struct dynfs_call call = TAKE_RESULT(&r);

	assert_int_equal(fs->open(fs->ctx, ino, O_RDONLY, &file), 0);
	assert_int_equal(fs->getattr(fs->ctx, ino, &before), 0);
	fs->read(fs->ctx, ino, file, 0, 10, take_length, &len);
	assert_int_equal(len, 1);
	assert_int_equal(fs->getattr(fs->ctx, ino, &after), 0);
	assert_memory_equal(&before, &after, sizeof(before));
	fs->fsync(fs->ctx, ino, file, 0, &call);
	assert_int_equal(r, 0);
	fs->release(fs->ctx, file);
}

static void it_refuses_every_change_until_it_is_writable_again(void **state)
{
	struct dynfs_attr dir;
	struct dynfs_file *file;
	struct stack s;
	uint32_t id;
	uint64_t ino;

	(void)state;
	stack_new(&s, seed);
	ino = make(s.fs, "file", &file);
	s.fs->release(s.fs->ctx, file);
	assert_int_equal(s.fs->mkdir(s.fs->ctx, 1, "dir", 0755, &who, &dir), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(remount(&s, true), 0);
		assert_int_equal(remount(&s, true), 0); /* is so already */
		every_change_is_refused(s.fs, ino);
		reads_go_on(s.fs, ino);
		assert_int_equal(pool_disk_add(s.pool, "/d9", 0, NULL, 0, &id),
				 -EROFS);
		assert_int_equal(remount(&s, false), 0);
		assert_false(pool_readonly(s.pool));
		assert_int_equal(put(s.fs, ino), 0);
	}
	stack_free(&s);
}

static void who_writes_keeps_it_writable_and_notices_nothing(void **state)
{
	struct dynfs_file *file;
	struct stack s;
	uint64_t ino;

	(void)state;
	stack_new(&s, seed);
	ino = make(s.fs, "file", &file);
	assert_int_equal(remount(&s, true), -EBUSY);
	assert_string_equal(fail_text(-EBUSY), "1 file is open for writing");
	assert_false(pool_readonly(s.pool));
	assert_int_equal(put(s.fs, ino), 0);
	s.fs->release(s.fs->ctx, file);
	assert_int_equal(s.fs->open(s.fs->ctx, ino, O_RDONLY, &file), 0);
	assert_int_equal(remount(&s, true), 0);
	s.fs->release(s.fs->ctx, file);
	stack_free(&s);
}

static void one_that_can_not_store_stays_as_it_was(void **state)
{
	struct dynfs_file *file;
	struct stack s;

	(void)state;
	stack_new(&s, seed);
	(void)make(s.fs, "file", &file);
	s.fs->release(s.fs->ctx, file);
	simos_crash_at(s.sim, 1);
	assert_true(remount(&s, true) < 0);
	assert_false(pool_readonly(s.pool));
	stack_crash(&s, seed);
	stack_open(&s);
	check_names(pool_meta(s.pool));
	stack_free(&s);
}

static void times_of_access_move_as_told(void **state)
{
	static const struct {
		enum conf_atime how;
		bool moves;
	} cases[] = {
		{ CONF_ATIME_NONE, false },
		{ CONF_ATIME_RELATIVE, false }, /* it is newer already */
		{ CONF_ATIME_STRICT, true },
		{ CONF_ATIME_FILES, false },
	};
	struct dynfs_attr before, after, in = { .mode = 0 };
	struct dynfs_file *file;
	struct stack s;
	uint64_t ino;
	size_t len = 0;

	(void)state;
	stack_new(&s, seed);
	ino = make(s.fs, "file", &file);
	s.fs->release(s.fs->ctx, file);
	assert_int_equal(s.fs->getattr(s.fs->ctx, ino, &in), 0);
	in.atime.sec++;
	assert_int_equal(s.fs->setattr(s.fs->ctx, ino,
				       DYNFS_SET_ATIME | DYNFS_SET_CTIME, &in,
				       &before),
			 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(pool_remount(s.pool, false, cases[i].how), 0);
		simos_advance(s.sim, UINT64_C(2000000000));
		assert_int_equal(s.fs->getattr(s.fs->ctx, ino, &before), 0);
		s.fs->read(s.fs->ctx, ino, NULL, 0, 10, take_length, &len);
		assert_int_equal(s.fs->getattr(s.fs->ctx, ino, &after), 0);
		assert_int_equal(after.atime.sec > before.atime.sec,
				 cases[i].moves);
	}
	stack_free(&s);
}

/* ---- threads ----------------------------------------------------------- */

struct writer {
	const struct dynfs_fs_view *fs;
	unsigned number;
	atomic_bool *stop;
	unsigned n_done, n_refused;
	int bad; /* an answer that is neither done nor refused */
};

static void *writer_main(void *arg)
{
	struct writer *w = arg;
	struct dynfs_file *file;
	struct dynfs_attr a;
	char name[32];

	for (unsigned i = 0; !atomic_load(w->stop) && !w->bad; i++) {
		int r;

		(void)snprintf(name, sizeof(name), "w%u-%u", w->number, i % 8);
		r = w->fs->create(w->fs->ctx, 1, name, 0600, O_WRONLY | O_TRUNC,
				  &who, &a, &file);
		if (r == 0) {
			r = put(w->fs, a.ino);
			w->fs->release(w->fs->ctx, file);
			w->fs->forget(w->fs->ctx, a.ino, 1);
		}
		if (r == 0 || r == -EEXIST)
			r = w->fs->unlink(w->fs->ctx, 1, name);
		w->n_done += r == 0;
		w->n_refused += r == -EROFS;
		if (r != 0 && r != -EROFS && r != -EEXIST)
			w->bad = r;
	}
	return NULL;
}

static void nap(void)
{
	const struct timespec wait = { .tv_nsec = 3000000 };

	(void)nanosleep(&wait, NULL);
}

static void writers_at_the_same_time_are_refused_or_done(void **state)
{
	struct writer w[WRITERS];
	pthread_t threads[WRITERS];
	atomic_bool stop = false;
	unsigned n_done = 0, n_refused = 0, n_halts = 0;
	struct stack s;

	(void)state;
	stack_new(&s, seed);
	for (unsigned i = 0; i < WRITERS; i++) {
		w[i] =
		    (struct writer){ .fs = s.fs, .number = i, .stop = &stop };
		assert_int_equal(
		    pthread_create(&threads[i], NULL, writer_main, &w[i]), 0);
	}
	for (int i = 0; i < TURNS; i++) {
		int r = remount(&s, true);

		assert_true(r == 0 || r == -EBUSY);
		n_halts += r == 0;
		nap();
		assert_int_equal(remount(&s, false), 0);
		nap();
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < WRITERS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(w[i].bad, 0);
		n_done += w[i].n_done;
		n_refused += w[i].n_refused;
	}
	print_message("%u done, %u refused, read-only %u times of %u\n", n_done,
		      n_refused, n_halts, TURNS);
	assert_true(n_done > 0 && n_refused > 0);
	simos_advance(s.sim, UINT64_C(3000000000)); /* what is dirty is old */
	stack_settle(&s);
	check_names(pool_meta(s.pool));
	stack_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    what_was_answered_is_durable_when_it_is_read_only),
		cmocka_unit_test(
		    it_refuses_every_change_until_it_is_writable_again),
		cmocka_unit_test(
		    who_writes_keeps_it_writable_and_notices_nothing),
		cmocka_unit_test(one_that_can_not_store_stays_as_it_was),
		cmocka_unit_test(times_of_access_move_as_told),
		cmocka_unit_test(writers_at_the_same_time_are_refused_or_done),
	};

	seed = driver_seed();
	return cmocka_run_group_tests_name("a pool made read-only", tests, NULL,
					   NULL);
}
