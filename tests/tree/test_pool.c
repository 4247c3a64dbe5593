/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree over the whole pool on a simulated system: reopening, threads, and
 * power cuts.  After a cut the name space is what some prefix of the
 * operations made, at least up to the last sync that was answered.
 */
#include "check.h"
#include "crowd.h"
#include "driver.h"
#include "stack.h"

#include <base/hash.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define STEPS       1500
#define CRASHES     12
#define CRASH_STEPS 250

static uint64_t seed;

static void random_operations_survive_reopening(void **state)
{
	struct stack s;
	struct driver d;

	(void)state;
	stack_new(&s, seed);
	driver_init(&d, s.fs, seed);
	for (int i = 0; i < STEPS; i++) {
		driver_step(&d);
		if (i % 250 == 249)
			driver_compare(&d, true);
		if (i % 500 != 499)
			continue;
		driver_forget(&d);
		stack_close(&s);
		stack_open(&s);
		d.fs = s.fs;
		driver_compare(&d, true);
		driver_relook(&d);
	}
	driver_forget(&d);
	stack_settle(&s);
	check_names(pool_meta(s.pool));
	driver_done(&d);
	stack_free(&s);
}

static void eight_threads_leave_a_whole_pool(void **state)
{
	struct stack s;

	(void)state;
	stack_new(&s, seed);
	crowd_run(s.fs, 8, 1000, seed);
	stack_settle(&s);
	check_names(pool_meta(s.pool));
	stack_close(&s);
	stack_open(&s);
	check_names(pool_meta(s.pool));
	stack_free(&s);
}

/* ---- power cuts -------------------------------------------------------- */

struct history {
	uint64_t sums[CRASH_STEPS + 1]; /* of the name space after each step */
	unsigned n, synced;
};

static uint64_t sum_of(const struct buf *dump)
{
	static const uint8_t key[16] = { 2 };

	return siphash(key, dump->data, dump->len);
}

static void remember(struct history *h, const struct driver *d)
{
	struct buf dump = BUF_INIT;

	model_dump(&d->m, false, &dump);
	h->sums[h->n++] = sum_of(&dump);
	buf_done(&dump);
}

/* From the newest on: a state may come back.  How many steps are lost. */
static unsigned is_a_prefix(const struct history *h,
			    const struct dynfs_fs_view *fs)
{
	struct buf dump = BUF_INIT;
	uint64_t sum;

	view_dump(fs, false, &dump);
	sum = sum_of(&dump);
	for (unsigned i = h->n; i-- > h->synced;) {
		if (h->sums[i] == sum) {
			buf_done(&dump);
			return h->n - 1 - i;
		}
	}
	print_error("synced up to step %u of %u; there is:\n%s", h->synced,
		    h->n, (const char *)dump.data);
	fail();
	return 0;
}

static unsigned crash_once(uint64_t random)
{
	struct history h = { .n = 0 };
	struct stack s;
	struct driver d;
	unsigned steps, lost;

	stack_new(&s, random);
	driver_init(&d, s.fs, random);
	d.names_only = true;
	steps = (unsigned)random_below(&random, CRASH_STEPS - 1) + 1;
	remember(&h, &d);
	for (unsigned i = 0; i < steps; i++) {
		driver_step(&d);
		remember(&h, &d);
		if (random_below(&random, 40) == 0 && pool_sync(s.pool) == 0)
			h.synced = h.n - 1;
	}
	if (random_below(&random, 2)) {
		simos_crash_at(s.sim, 1 + random_below(&random, 40));
		if (pool_sync(s.pool) == 0)
			h.synced = h.n - 1;
	}
	stack_crash(&s, random_next(&random));
	stack_open(&s);
	lost = is_a_prefix(&h, s.fs);
	stack_settle(&s);
	check_names(pool_meta(s.pool));
	assert_int_equal(is_a_prefix(&h, s.fs), lost);
	driver_done(&d);
	stack_free(&s);
	return lost;
}

static void a_power_cut_leaves_a_prefix_of_what_was_answered(void **state)
{
	unsigned lost = 0;

	(void)state;
	for (uint64_t i = 0; i < CRASHES; i++)
		lost += crash_once(seed * 1000 + i);
	/* or the cuts came when there was nothing left to cut */
	print_message("%u steps were lost in %d cuts\n", lost, CRASHES);
	assert_true(lost > 0);
}

static void take_version(void *ctx, int err, const struct iovec *iov,
			 uint32_t n)
{
	struct buf *to = ctx;

	assert_int_equal(err, 0);
	for (uint32_t i = 0; i < n; i++)
		buf_put(to, iov[i].iov_base, iov[i].iov_len);
}

/* As editors save: a new file, written and closed, renamed over the old. */
static void save(const struct dynfs_fs_view *fs, unsigned version)
{
	static const struct dynfs_caller who = { .uid = 0 };
	size_t len = 100 + version * 997 % 70000;
	char *data = malloc(len);
	struct iovec iov = { data, len };
	struct dynfs_file *file;
	struct dynfs_attr a;
	int r = 1;
	const struct dynfs_call call = TAKE_RESULT(&r);

	assert_non_null(data);
	memset(data, (int)('a' + version % 26), len);
	assert_int_equal(fs->create(fs->ctx, 1, "new", 0644, O_WRONLY | O_TRUNC,
				    &who, &a, &file),
			 0);
	fs->write(fs->ctx, a.ino, file, 0, &iov, 1, 0, &call);
	assert_int_equal(r, 0);
	r = 1;
	fs->flush(fs->ctx, file, &call);
	assert_int_equal(r, 0);
	fs->release(fs->ctx, file);
	assert_int_equal(fs->rename(fs->ctx, 1, "new", 1, "file", 0, NULL), 0);
	fs->forget(fs->ctx, a.ino, 1);
	free(data);
}

static void is_one_version(const struct dynfs_fs_view *fs, unsigned newest)
{
	struct dynfs_attr a;
	struct buf body = BUF_INIT;
	unsigned version = 0;

	assert_int_equal(fs->lookup(fs->ctx, 1, "file", &a), 0);
	assert_true(a.size_bytes > 0);
	fs->read(fs->ctx, a.ino, NULL, 0, 1 << 20, take_version, &body);
	assert_int_equal(body.len, a.size_bytes);
	while (version < newest && 100 + version * 997 % 70000 != body.len)
		version++;
	assert_true(version < newest);
	for (size_t i = 0; i < body.len; i++)
		assert_int_equal(body.data[i], 'a' + version % 26);
	fs->forget(fs->ctx, a.ino, 1);
	buf_done(&body);
}

static void a_file_saved_by_rename_is_never_empty_after_a_cut(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < CRASHES; i++) {
		uint64_t random = seed * 1000 + i;
		unsigned n = 2 + (unsigned)random_below(&random, 40);
		struct stack s;

		stack_new(&s, random);
		save(s.fs, 0);
		assert_int_equal(pool_sync(s.pool), 0);
		for (unsigned v = 1; v < n; v++)
			save(s.fs, v);
		stack_crash(&s, random_next(&random));
		stack_open(&s);
		is_one_version(s.fs, n);
		stack_settle(&s);
		check_names(pool_meta(s.pool));
		stack_free(&s);
	}
}

/* ---- removed files ------------------------------------------------------ */

/* A new file of so many bytes, open and looked up no more; its number. */
static uint64_t put_file(const struct dynfs_fs_view *fs, const char *name,
			 size_t len, bool sync)
{
	static const struct dynfs_caller who = { .uid = 0 };
	static char data[4096];
	struct iovec iov = { data, len };
	struct dynfs_file *file;
	struct dynfs_attr a;
	int r = 1;
	const struct dynfs_call call = TAKE_RESULT(&r);

	assert_true(len <= sizeof(data));
	assert_int_equal(
	    fs->create(fs->ctx, 1, name, 0644, O_WRONLY, &who, &a, &file), 0);
	fs->write(fs->ctx, a.ino, file, 0, &iov, 1, 0, &call);
	assert_int_equal(r, 0);
	if (sync) {
		fs->fsync(fs->ctx, a.ino, file, 0, &call);
		assert_int_equal(r, 0);
	}
	fs->release(fs->ctx, file);
	fs->forget(fs->ctx, a.ino, 1);
	return a.ino;
}

static void a_reclaimed_file_is_not_written_back_with_others(void **state)
{
	struct extents_status before, after;
	struct stack s;

	(void)state;
	stack_new(&s, seed);
	/* both wait for their age, and one flush takes both */
	(void)put_file(s.fs, "gone", 4000, false);
	assert_int_equal(s.fs->unlink(s.fs->ctx, 1, "gone"), 0);
	(void)put_file(s.fs, "kept", 4000, false);
	extents_status(pool_extents(s.pool), &before);
	simos_advance(s.sim, UINT64_C(3000000000));
	stack_await_flush(&s);
	stack_await(&s, key_kind('O'));
	/* nobody will ever read the bytes of the first */
	extents_status(pool_extents(s.pool), &after);
	assert_int_equal(after.writes, before.writes + 1);
	stack_settle(&s);
	check_names(pool_meta(s.pool));
	stack_free(&s);
}

static void a_reclaimed_file_is_not_moved_out_of_the_metadata(void **state)
{
	struct stack s;
	struct dynfs_attr a = { .size_bytes = 10 };
	uint64_t ino;
	int r = 1;

	(void)state;
	stack_new(&s, seed);
	/* the sync left the bytes inline, and the file on its way to a worker */
	ino = put_file(s.fs, "gone", 4000, true);
	assert_int_equal(s.fs->unlink(s.fs->ctx, 1, "gone"), 0);
	simos_advance(s.sim, UINT64_C(3000000000));
	stack_await(&s, key_kind('O'));
	assert_int_equal(pool_sync(s.pool), 0);
	check_names(pool_meta(s.pool));
	/* nor by a number that nobody should know any more */
	assert_int_equal(s.fs->setattr(s.fs->ctx, ino, DYNFS_SET_SIZE, &a, &a),
			 -ENOENT);
	a.size_bytes = 10000;
	assert_int_equal(s.fs->setattr(s.fs->ctx, ino, DYNFS_SET_SIZE, &a, &a),
			 -ENOENT);
	s.fs->write(s.fs->ctx, ino, NULL, 0, &(struct iovec){ &a, sizeof(a) },
		    1, 0, &(struct dynfs_call)TAKE_RESULT(&r));
	assert_int_equal(r, -ENOENT);
	assert_int_equal(pool_sync(s.pool), 0);
	check_names(pool_meta(s.pool));
	stack_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_operations_survive_reopening),
		cmocka_unit_test(eight_threads_leave_a_whole_pool),
		cmocka_unit_test(
		    a_power_cut_leaves_a_prefix_of_what_was_answered),
		cmocka_unit_test(
		    a_file_saved_by_rename_is_never_empty_after_a_cut),
		cmocka_unit_test(
		    a_reclaimed_file_is_not_written_back_with_others),
		cmocka_unit_test(
		    a_reclaimed_file_is_not_moved_out_of_the_metadata),
	};

	seed = driver_seed();
	return cmocka_run_group_tests_name("tree over a pool", tests, NULL,
					   NULL);
}
