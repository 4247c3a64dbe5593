/* SPDX-License-Identifier: Apache-2.0 */
/* What fails half way, and what is left of it: in memory as on disk. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Allocations of this size fail while it is not 0; and how often they did. */
static atomic_size_t refused_size;
static atomic_uint n_refused;

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *__wrap_calloc(size_t n, size_t size)
{
	if (size == atomic_load(&refused_size)) {
		atomic_fetch_add(&n_refused, 1);
		return NULL;
	}
	return __real_calloc(n, size);
}

/* No buffer is had while it is so; and how often none was. */
static atomic_bool no_pages;
static atomic_uint n_no_pages;

void *__real_pages_new(size_t size);
void *__wrap_pages_new(size_t size);

void *__wrap_pages_new(size_t size)
{
	if (atomic_load(&no_pages)) {
		atomic_fetch_add(&n_no_pages, 1);
		return NULL;
	}
	return __real_pages_new(size);
}

static int tear_down(void **state)
{
	atomic_store(&refused_size, 0);
	atomic_store(&no_pages, false);
	atomic_store(&n_no_pages, 0);
	atomic_store(&n_refused, 0);
	rig_free(*state);
	return 0;
}

static void nap(long ms)
{
	struct timespec t = { .tv_nsec = ms * 1000000 };

	(void)nanosleep(&t, NULL);
}

static void with_a_worker(struct rig *r)
{
	rig_free(r);
	rig_new(r, 1, 0);
}

static unsigned intents(struct rig *r)
{
	struct key all = key_kind('O');

	return rig_rows(r, &all);
}

static bool no_intent(struct rig *r)
{
	return !intents(r);
}

/* ---- cuts ---------------------------------------------------------------- */

#define PARTS     600u /* chunks with a slice: more than one batch cuts */
#define PART      600u
#define PARTS_END ((uint64_t)PARTS * CHUNK)

static struct inode *file_of_parts(struct rig *r)
{
	struct inode *in = rig_make(r);

	for (unsigned i = 0; i < PARTS; i++) {
		assert_int_equal(rig_write(in, (uint64_t)i * CHUNK, PART, 1),
				 0);
		if (i % 50 == 49)
			assert_int_equal(file_settle(in), 0);
	}
	assert_int_equal(file_sync(in, false), 0);
	return in;
}

static void check_cut(struct inode *in)
{
	for (unsigned i = 0; i < PARTS; i++)
		rig_check(in, (uint64_t)i * CHUNK, PART, i ? 0 : 1);
}

/* The slices behind the first 512 that are cut can not go. */
static struct key damage_last(struct rig *r, struct inode *in,
			      struct buf *ret_value)
{
	struct key extent = key_extent(rig_extent(r, in->ino, PARTS - 1));

	*ret_value = (struct buf)BUF_INIT;
	buf_put8(ret_value, 99);
	rig_exchange(r, &extent, ret_value);
	/* a group of its own: an open that doubts it would end the log there */
	assert_int_equal(meta_sync(r->meta, meta_open_number(r->meta)), 0);
	return extent;
}

static void a_cut_that_can_not_end_shows_no_cut_byte(void **state)
{
	struct rig *r = *state;
	struct inode *in = file_of_parts(r);
	struct key slices = key_slice_ino(in->ino), extent;
	uint64_t ino = in->ino, last = PARTS_END - CHUNK;
	struct buf value;

	extent = damage_last(r, in, &value);
	assert_int_equal(file_truncate(in, CHUNK), 0);
	assert_int_equal(rig_size(in), CHUNK);
	assert_true(rig_rows(r, &slices) > 1);
	assert_int_equal(file_truncate(in, PARTS_END), 0);
	check_cut(in);
	/* nothing of it is in memory any more */
	inode_put(in);
	in = rig_get(r, ino);
	check_cut(in);
	assert_int_equal(rig_write(in, last + PART, 10, 2), 0);
	assert_int_equal(file_sync(in, false), 0);
	inode_put(in);
	rig_crash(r);
	in = rig_get(r, ino);
	check_cut(in);
	rig_check(in, last + PART, 10, 2);
	rig_exchange(r, &extent, &value);
	buf_done(&value);
	inode_put(in);
	/* the next open ends it, and takes nothing that was written since */
	rig_refresh(r);
	assert_int_equal(intents(r), 0);
	assert_int_equal(rig_rows(r, &slices), 2);
	in = rig_get(r, ino);
	check_cut(in);
	rig_check(in, last + PART, 10, 2);
	inode_put(in);
}

/* Time goes on until it is so; false: it is not in an hour. */
static bool comes_to(struct rig *r, bool (*is)(struct rig *r))
{
	for (int i = 0; i < 720 && !is(r); i++) {
		simos_advance(r->sim, 5000000000);
		nap(5);
	}
	return is(r);
}

/* What fails is tried again, ever more seldom, and ends without an open. */
static void a_drain_that_fails_goes_on_by_itself(void **state)
{
	struct rig *r = *state;
	struct inode *in, *gone;
	struct key slices, record, extent, other;
	struct buf value, removed;

	with_a_worker(r);
	in = file_of_parts(r);
	gone = file_of_parts(r);
	slices = key_slice_ino(in->ino);
	record = key_inode(gone->ino);
	extent = damage_last(r, in, &value);
	other = damage_last(r, gone, &removed);
	assert_int_equal(file_truncate(in, CHUNK), 0);
	rig_unlink(r, gone);
	inode_put(gone);
	nap(300);
	assert_int_equal(intents(r), 2);
	for (int i = 0; i < 20; i++) {
		simos_advance(r->sim, 5000000000);
		nap(5);
	}
	assert_int_equal(intents(r), 2);
	rig_exchange(r, &extent, &value);
	rig_exchange(r, &other, &removed);
	buf_done(&value);
	buf_done(&removed);
	assert_true(comes_to(r, no_intent));
	assert_int_equal(rig_rows(r, &slices), 1);
	assert_int_equal(rig_rows(r, &record), 0);
	rig_check(in, 0, PART, 1);
	inode_put(in);
}

/* One intent record can not tell of two cuts. */
static void a_cut_ends_the_one_before_it_or_changes_nothing(void **state)
{
	struct rig *r = *state;
	struct inode *in = file_of_parts(r);
	struct key slices = key_slice_ino(in->ino), extent;
	struct buf value;
	struct dynfs_attr a;

	extent = damage_last(r, in, &value);
	assert_int_equal(file_truncate(in, CHUNK), 0);
	assert_int_equal(file_truncate(in, PARTS_END), 0);
	assert_int_equal(rig_write(in, 10ull * CHUNK, PART, 2), 0);
	assert_int_equal(file_truncate(in, PARTS_END - CHUNK), -EUCLEAN);
	assert_int_equal(rig_size(in), PARTS_END);
	rig_check(in, 10ull * CHUNK, PART, 2);
	rig_exchange(r, &extent, &value);
	buf_done(&value);
	assert_int_equal(file_truncate(in, PARTS_END - CHUNK), 0);
	assert_int_equal(rig_size(in), PARTS_END - CHUNK);
	assert_int_equal(intents(r), 0);
	assert_int_equal(rig_rows(r, &slices), 2);
	inode_attr(in, &a);
	assert_int_equal(a.stored_bytes, 2 * PART);
	rig_check(in, 0, PART, 1);
	rig_check(in, CHUNK, PART, 0);
	rig_check(in, 10ull * CHUNK, PART, 2);
	inode_put(in);
}

/* ---- runs of a flush that failed ----------------------------------------- */

static const struct over { /* what is written over bytes that are flushed */
	uint64_t from, from_len, off, len;
} overs[] = {
	{ 1000, 300, 0, 40000 },    /* all of them */
	{ 1000, 300, 1200, 40000 }, /* their end */
	{ 35000, 300, 0, 35100 },   /* their beginning */
	{ 35000, 300, 35100, 100 }, /* the middle, which takes no memory */
	{ 1000, 300, 1300, 40000 }, /* none of them, beside */
};

struct written_over {
	struct inode *in;
	struct over over;
};

/* The flush fails, and has no memory to make one run of two. */
static void write_over(struct rig *r)
{
	const struct written_over *w = r->ctx;

	atomic_store(&r->on_write, NULL);
	assert_int_equal(rig_write(w->in, w->over.off, w->over.len, 2), 0);
	atomic_store(&no_pages, true);
	atomic_store(&refused_size, sizeof(struct before));
}

static void check_over(struct inode *in, const struct over *o)
{
	uint64_t end = o->off + o->len, from_end = o->from + o->from_len;

	rig_check(in, o->off, o->len, 2);
	if (o->from < o->off)
		rig_check(in, o->from, o->off - o->from, 1);
	if (end < from_end)
		rig_check(in, end, from_end - end, 1);
}

static void fail_under_a_write(struct rig *r, const struct over *o)
{
	struct inode *in = rig_make(r);
	struct written_over w = { in, *o };

	assert_int_equal(file_sync(in, false), 0);
	assert_int_equal(rig_write(in, o->from, o->from_len, 1), 0);
	r->ctx = &w;
	atomic_store(&r->on_write, write_over);
	assert_int_equal(file_settle(in), -ENOMEM);
	atomic_store(&refused_size, 0);
	atomic_store(&no_pages, false);
	check_over(in, o);
	/* and once more, while it can not be stored */
	assert_int_equal(rig_write(in, o->off, 10, 2), 0);
	check_over(in, o);
	assert_int_equal(file_settle(in), 0);
	assert_true(rig_is_clean(in));
	check_over(in, o);
	inode_put(in);
}

static int check_referred(void *ctx, const void *key, size_t key_len,
			  const void *value, size_t value_len)
{
	struct extent_id id;
	struct key refs;

	(void)value, (void)value_len;
	assert_int_equal(key_parse_extent(key, key_len, &id), 0);
	refs = key_ref_extent(id);
	assert_true(rig_rows(ctx, &refs) > 0);
	return 0;
}

/*
 * One that another hides would become a slice that is hidden in the batch that
 * makes its extent, which nobody would ever free.
 */
static void runs_never_overlap_though_there_is_no_memory(void **state)
{
	struct rig *r = *state;
	struct key all = key_kind('E');

	for (unsigned i = 0; i < sizeof(overs) / sizeof(*overs); i++) {
		fail_under_a_write(r, &overs[i]);
		assert_int_equal(meta_scan(r->meta, all.data, all.len, NULL, 0,
					   check_referred, r),
				 0);
	}
	assert_true(atomic_load(&n_no_pages) > 0);
}

/* ---- inodes without a name --------------------------------------------- */

static bool tried_twice(struct rig *r)
{
	(void)r;
	return atomic_load(&n_refused) >= 2;
}

static void reclaiming_without_memory_waits(void **state)
{
	struct rig *r = *state;
	struct inode *in;
	struct key record;

	with_a_worker(r);
	in = rig_make(r);
	record = key_inode(in->ino);
	rig_unlink(r, in);
	atomic_store(&refused_size, sizeof(struct holder));
	inode_put(in);
	nap(300);
	assert_int_equal(atomic_load(&n_refused), 1);
	/* and is tried again some time */
	for (int i = 0; i < 1000 && !tried_twice(r); i++) {
		simos_advance(r->sim, 1000000000);
		nap(5);
	}
	assert_true(tried_twice(r));
	assert_true(atomic_load(&n_refused) < 20);
	/* nobody waits for it at the end */
	rig_refresh(r);
	assert_int_equal(intents(r), 1);
	atomic_store(&refused_size, 0);
	rig_refresh(r);
	rig_wait(r, no_intent);
	assert_int_equal(rig_rows(r, &record), 0);
}

/* ---- bytes that are given up ------------------------------------------- */

/* Until the workers have given up what can not be stored. */
static void wait_given_up(struct rig *r, struct inode *in)
{
	for (int i = 0; i < 500 && !rig_is_clean(in); i++) {
		simos_advance(r->sim, 2000000000);
		nap(10);
	}
	assert_true(rig_is_clean(in));
}

/* Nothing goes into an extent; the metadata works. */
static void no_extents(void)
{
	atomic_store(&refused_size, sizeof(struct extent_owner));
}

static void extents_again(void)
{
	atomic_store(&refused_size, 0);
}

static void what_is_given_up_leaves_the_file_as_it_is_stored(void **state)
{
	struct rig *r = *state;
	struct inode *in;
	struct dynfs_attr was, now;
	uint64_t ino;

	with_a_worker(r);
	in = rig_make(r);
	ino = in->ino;
	assert_int_equal(rig_write(in, 0, CHUNK, 1), 0);
	assert_int_equal(file_sync(in, false), 0);
	no_extents();
	assert_int_equal(rig_write(in, 100, CHUNK, 2), 0);
	assert_int_equal(rig_write(in, 5ull * CHUNK, 1000, 2), 0);
	wait_given_up(r, in);
	extents_again();
	assert_int_equal(file_sync(in, false), 0);
	assert_int_equal(rig_lost(in), -ENOMEM);
	assert_int_equal(rig_lost(in), 0);
	assert_int_equal(rig_size(in), CHUNK);
	rig_check(in, 0, CHUNK, 1);
	/* the next write is of the file as it is now */
	assert_int_equal(rig_write(in, CHUNK, 10, 3), 0);
	assert_int_equal(file_sync(in, false), 0);
	inode_attr(in, &was);
	inode_put(in);
	rig_crash(r);
	in = rig_get(r, ino);
	inode_attr(in, &now);
	assert_int_equal(now.size_bytes, CHUNK + 10);
	assert_int_equal(now.size_bytes, was.size_bytes);
	assert_int_equal(now.stored_bytes, was.stored_bytes);
	assert_memory_equal(&now.mtime, &was.mtime, sizeof(now.mtime));
	rig_check(in, 0, CHUNK, 1);
	rig_check(in, CHUNK, 10, 3);
	inode_put(in);
}

/* Where the frontends of the rig stand. */
struct listener {
	struct rig *r;
	atomic_uint n;
	atomic_uint_fast64_t ino, size;
	atomic_bool locked; /* something that must not be, when it was told */
};

static void listen_changed(void *ctx, uint64_t ino)
{
	struct listener *l = ctx;
	struct inode *in = rig_get(l->r, ino);
	struct content *c = content_of(in);

	/* by another thread these are taken for a moment only */
	for (int i = 0; i < 100 && pthread_rwlock_trywrlock(&in->io); i++)
		nap(10);
	if (pthread_rwlock_unlock(&in->io) || pthread_mutex_lock(&c->flush) ||
	    pthread_mutex_unlock(&c->flush))
		atomic_store(&l->locked, true);
	atomic_store(&l->ino, ino);
	atomic_store(&l->size, rig_size(in));
	atomic_fetch_add(&l->n, 1);
	inode_put(in);
}

static void a_loss_is_told_to_frontends_with_no_lock_held(void **state)
{
	struct rig *r = *state;
	struct listener l = { .r = r };
	struct inode *in, *other;

	with_a_worker(r);
	rig_close(r);
	r->how.changed = listen_changed;
	r->how.ctx = &l;
	rig_open(r);
	in = rig_make(r);
	other = rig_make(r);
	assert_int_equal(rig_write(in, 0, 1000, 1), 0);
	assert_int_equal(rig_write(other, 0, 1000, 1), 0);
	assert_int_equal(file_sync(in, false), 0);
	assert_int_equal(file_sync(other, false), 0);
	assert_int_equal(atomic_load(&l.n), 0);
	no_extents();
	assert_int_equal(rig_write(in, 0, CHUNK, 2), 0);
	wait_given_up(r, in);
	extents_again();
	for (int i = 0; i < 500 && !atomic_load(&l.n); i++)
		nap(10);
	assert_int_equal(atomic_load(&l.n), 1);
	assert_int_equal(atomic_load(&l.ino), in->ino);
	assert_int_equal(atomic_load(&l.size), 1000);
	assert_false(atomic_load(&l.locked));
	rig_check(in, 0, 1000, 1);
	inode_put(in);
	inode_put(other);
	rig_close(r);
	r->how.changed = NULL;
	r->how.ctx = NULL;
	rig_open(r);
}

/* A step of many was done: who keeps what was there has to forget it. */
static void a_range_done_in_part_is_told_to_frontends(void **state)
{
	struct rig *r = *state;
	struct listener l = { .r = r };
	struct buf value = BUF_INIT;
	struct inode *in;
	struct key slice;
	uint64_t ino;

	with_a_worker(r);
	rig_close(r);
	r->how.changed = listen_changed;
	r->how.ctx = &l;
	rig_open(r);
	in = file_of_parts(r);
	ino = in->ino;
	inode_put(in);
	rig_refresh(r); /* no map is in memory */
	in = rig_get(r, ino);
	slice = key_slice(ino, PARTS - 1, PARTS);
	buf_put8(&value, 99);
	rig_exchange(r, &slice, &value);
	/* before anything was done */
	assert_int_equal(
	    file_allocate(in, FALLOC_FL_ZERO_RANGE, 0, PARTS_END, NULL),
	    -EUCLEAN);
	rig_check(in, 0, PART, 1);
	nap(100);
	assert_int_equal(atomic_load(&l.n), 0);
	/* and after some of it */
	assert_int_equal(
	    file_allocate(in, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			  PARTS_END, NULL),
	    -EUCLEAN);
	for (int i = 0; i < 500 && !atomic_load(&l.n); i++)
		nap(10);
	assert_int_equal(atomic_load(&l.n), 1);
	assert_int_equal(atomic_load(&l.ino), ino);
	assert_false(atomic_load(&l.locked));
	rig_check(in, 0, PART, 0);
	rig_exchange(r, &slice, &value);
	buf_done(&value);
	rig_check(in, PARTS_END - CHUNK, PART, 1);
	inode_put(in);
	rig_close(r);
	r->how.changed = NULL;
	r->how.ctx = NULL;
	rig_open(r);
}

static void a_loss_is_an_error_of_its_own_each_time(void **state)
{
	struct rig *r = *state;
	struct inode *in;
	uint64_t heard, now;

	with_a_worker(r);
	in = rig_make(r);
	heard = errseq_begin(&in->losses);
	for (int i = 0; i < 2; i++) {
		no_extents();
		assert_int_equal(rig_write(in, 0, CHUNK, 1), 0);
		wait_given_up(r, in);
		extents_again();
		assert_int_equal(file_sync(in, false), 0);
		assert_int_equal(errseq_look(&in->losses, heard, &now),
				 -ENOMEM);
		heard = errseq_heard(&in->losses, now);
		assert_int_equal(errseq_look(&in->losses, heard, &now), 0);
	}
	inode_put(in);
}

/* A cut below them takes the bytes that can not be stored, and the trouble. */
static void bytes_that_are_cut_are_no_trouble(void **state)
{
	struct rig *r = *state;
	struct inode *in;

	with_a_worker(r);
	in = rig_make(r);
	no_extents();
	assert_int_equal(rig_write(in, 0, CHUNK, 1), 0);
	for (int i = 0; i < 500 && !file_trouble(in); i++) {
		simos_advance(r->sim, 20000000);
		nap(10);
	}
	assert_int_equal(file_trouble(in), -ENOMEM);
	assert_int_equal(file_truncate(in, 0), 0);
	assert_int_equal(file_trouble(in), 0);
	assert_int_equal(rig_lost(in), 0);
	assert_int_equal(file_sync(in, false), 0);
	extents_again();
	inode_put(in);
}

/* Synced bytes that wait to be moved out of the metadata lie there safely. */
static void bytes_that_only_move_are_never_lost(void **state)
{
	struct rig *r = *state;
	struct inode *in;
	uint64_t ino;

	with_a_worker(r);
	in = rig_make(r);
	ino = in->ino;
	no_extents();
	assert_int_equal(rig_write(in, 0, 1000, 1), 0);
	assert_int_equal(file_sync(in, false), 0);
	for (int i = 0; i < 100; i++) {
		simos_advance(r->sim, 2000000000);
		nap(5);
		assert_int_equal(file_trouble(in), 0);
	}
	extents_again();
	rig_check(in, 0, 1000, 1);
	inode_put(in);
	rig_crash(r);
	in = rig_get(r, ino);
	rig_check(in, 0, 1000, 1);
	inode_put(in);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_cut_that_can_not_end_shows_no_cut_byte),
		TEST(a_drain_that_fails_goes_on_by_itself),
		TEST(a_cut_ends_the_one_before_it_or_changes_nothing),
		TEST(runs_never_overlap_though_there_is_no_memory),
		TEST(reclaiming_without_memory_waits),
		TEST(what_is_given_up_leaves_the_file_as_it_is_stored),
		TEST(a_loss_is_told_to_frontends_with_no_lock_held),
		TEST(a_range_done_in_part_is_told_to_frontends),
		TEST(a_loss_is_an_error_of_its_own_each_time),
		TEST(bytes_that_are_cut_are_no_trouble),
		TEST(bytes_that_only_move_are_never_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
