/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names for policy over the whole pool: that new content really takes the form
 * that was named, beside content of other forms, and after a restart.
 */
#include "driver.h"
#include "stack.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define POLICY "user.dynfs.policy"

static const struct dynfs_caller root = { .uid = 0 };
static uint64_t seed;

static uint64_t make_dir(struct stack *s, const char *name)
{
	struct dynfs_attr a;

	assert_int_equal(s->fs->mkdir(s->fs->ctx, 1, name, 0755, &root, &a), 0);
	s->fs->forget(s->fs->ctx, a.ino, 1);
	return a.ino;
}

static uint64_t make_file(struct stack *s, uint64_t dir, const char *name)
{
	struct dynfs_attr a;

	assert_int_equal(
	    s->fs->mknod(s->fs->ctx, dir, name, S_IFREG | 0644, 0, &root, &a),
	    0);
	s->fs->forget(s->fs->ctx, a.ino, 1);
	return a.ino;
}

static void put(struct stack *s, uint64_t ino, uint64_t off, size_t len)
{
	static char data[64 << 10];
	struct iovec iov = { data, len };
	int r = 1;
	struct dynfs_call call = TAKE_RESULT(&r);

	assert_true(len <= sizeof(data));
	s->fs->write(s->fs->ctx, ino, NULL, off, &iov, 1, 0, &call);
	assert_int_equal(r, 0);
}

static void flush(struct stack *s)
{
	simos_advance(s->sim, UINT64_C(3000000000));
	stack_await_flush(s);
}

static int set(struct stack *s, uint64_t ino, const char *name,
	       const struct dynfs_caller *who)
{
	return s->fs->setxattr(s->fs->ctx, ino, POLICY, name, strlen(name), 0,
			       who);
}

static void says(struct stack *s, uint64_t ino, const char *name,
		 const char *want)
{
	char value[256] = "";
	size_t len = 0;

	assert_int_equal(s->fs->getxattr(s->fs->ctx, ino, name, value,
					 sizeof(value) - 1, &len),
			 0);
	assert_string_equal(value, want);
}

/* ---- the forms of a file's extents ------------------------------------- */

struct forms {
	struct extents *x;
	char text[256]; /* "c2 c3", in the order of the file */
};

static int form_row(void *ctx, const struct file_extent *row)
{
	struct forms *f = ctx;
	size_t at = strlen(f->text);
	struct extent_rec rec;
	uint32_t n = 0;

	assert_int_equal(row->kind, SLICE_EXTENT);
	assert_int_equal(extent_record(f->x, row->extent, &rec), 0);
	for (uint32_t i = 0; i < rec.k + rec.m; i++)
		n += rec.fragments[i].disk != 0;
	/* by what lies on disks, not by what the record calls it */
	(void)snprintf(f->text + at, sizeof(f->text) - at, "%s%s:%u",
		       at ? " " : "", extents_policy(f->x, rec.policy)->name,
		       n);
	return 0;
}

static void is_stored_as(struct stack *s, uint64_t ino, const char *want)
{
	struct forms f = { .x = pool_extents(s->pool) };
	struct inode *in;

	assert_int_equal(inode_get(pool_files(s->pool), ino, &in), 0);
	assert_int_equal(file_map(in, form_row, &f), 0);
	inode_put(in);
	assert_string_equal(f.text, want);
}

/* ---- cases ------------------------------------------------------------- */

static void new_content_takes_the_form_and_old_content_stays(void **state)
{
	struct stack s;
	uint64_t dir, file;

	(void)state;
	stack_new(&s, seed);
	dir = make_dir(&s, "dir");
	file = make_file(&s, dir, "file");
	put(&s, file, 0, 64 << 10);
	assert_int_equal(set(&s, file, "c3", &root), 0);
	put(&s, file, 64 << 10, 64 << 10);
	flush(&s);
	/* what was not on the disks yet was settled by the change */
	is_stored_as(&s, file, "c2:2 c3:3");
	assert_int_equal(set(&s, dir, "c5", &root), 0);
	stack_close(&s);
	stack_open(&s);
	says(&s, file, POLICY, "c3");
	says(&s, dir, POLICY ".effective", "c5");
	put(&s, file, 128 << 10, 64 << 10);
	file = make_file(&s, dir, "second");
	put(&s, file, 0, 64 << 10);
	flush(&s);
	is_stored_as(&s, file, "c5:5");
	says(&s, file, "user.dynfs.extents",
	     "extents=1 inline=0 disks=1,2,3,4,5 whole=1 degraded=0 lost=0 "
	     "more=0");
	stack_settle(&s);
	stack_free(&s);
}

static void small_files_share_extents_only_within_a_policy(void **state)
{
	struct extents_status before, after;
	struct stack s;
	uint64_t file[12];
	char name[8];

	(void)state;
	stack_new(&s, seed);
	for (unsigned i = 0; i < 12; i++) {
		(void)snprintf(name, sizeof(name), "%u", i);
		file[i] = make_file(&s, 1, name);
		if (i % 3)
			assert_int_equal(
			    set(&s, file[i], i % 3 == 1 ? "c3" : "c5", &root),
			    0);
	}
	extents_status(pool_extents(s.pool), &before);
	for (unsigned i = 0; i < 12; i++)
		put(&s, file[i], 0, 4000);
	flush(&s);
	extents_status(pool_extents(s.pool), &after);
	for (unsigned i = 0; i < 12; i++)
		is_stored_as(&s, file[i],
			     i % 3 == 0   ? "c2:2"
			     : i % 3 == 1 ? "c3:3"
					  : "c5:5");
	/* they were packed at all, though perhaps by more flushes than one */
	assert_true(after.writes - before.writes < 12);
	assert_true(after.writes - before.writes >= 3);
	stack_settle(&s);
	stack_free(&s);
}

static void who_may_choose_is_what_the_config_says(void **state)
{
	const struct dynfs_caller alice = { .uid = 7, .gid = 1 };
	const struct dynfs_caller bob = { .uid = 9, .gid = 8 };
	const struct dynfs_caller carol = { .uid = 8, .gid = 7 };
	struct stack s;
	uint64_t file;

	(void)state;
	stack_new(&s, seed);
	file = make_file(&s, 1, "file");
	assert_int_equal(set(&s, file, "c3", &carol), -EPERM);
	assert_int_equal(set(&s, file, "c3", &alice), 0);
	assert_int_equal(set(&s, file, "c2", &carol), 0);
	assert_int_equal(set(&s, file, "c3", &bob), 0);
	/* nobody but root is named there */
	assert_int_equal(set(&s, file, "c5", &alice), -EPERM);
	/* and not even root has six disks */
	assert_int_equal(set(&s, file, "c6", &root), -ENOSPC);
	says(&s, file, POLICY, "c3");
	stack_free(&s);
}

static void a_cut_leaves_the_policy_that_was_or_will_be(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 10; i++) {
		uint64_t random = seed * 1000 + i;
		struct inode_rec rec;
		struct inode *in;
		struct stack s;
		uint64_t file;

		stack_new(&s, random);
		file = make_file(&s, 1, "file");
		assert_int_equal(set(&s, file, "c3", &root), 0);
		assert_int_equal(pool_sync(s.pool), 0);
		assert_int_equal(set(&s, file, "c5", &root), 0);
		assert_int_equal(s.fs->removexattr(s.fs->ctx, file, POLICY), 0);
		stack_crash(&s, random_next(&random));
		stack_open(&s);
		assert_int_equal(inode_get(pool_files(s.pool), file, &in), 0);
		rec = in->rec;
		inode_put(in);
		/* never one without the other */
		assert_int_equal(rec.flags & INODE_POLICY_SET,
				 rec.policy ? INODE_POLICY_SET : 0);
		stack_free(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    new_content_takes_the_form_and_old_content_stays),
		cmocka_unit_test(
		    small_files_share_extents_only_within_a_policy),
		cmocka_unit_test(who_may_choose_is_what_the_config_says),
		cmocka_unit_test(a_cut_leaves_the_policy_that_was_or_will_be),
	};

	seed = driver_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
