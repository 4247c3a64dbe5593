/* SPDX-License-Identifier: Apache-2.0 */
/* Large cuts and removals: what is seen at once, and what goes later. */
#include "rig.h"

#include <base/log.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PARTS   6000u /* chunks with a slice: many batches */
#define EXTENTS 60u

static uint64_t the_ino;

static int set_up(void **state)
{
	return rig_begin(state, 2, 0);
}

static bool no_intent(struct rig *r)
{
	struct key all = key_kind('O');

	return !rig_rows(r, &all);
}

/* Slices of a few shared extents, put there by hand: writing takes long. */
static struct inode *file_of_parts(struct rig *r)
{
	struct inode *in = rig_make(r), *from = rig_make(r);
	struct extent_id ids[EXTENTS];
	struct batch b;

	assert_int_equal(rig_write(from, 0, EXTENTS * CHUNK, 1), 0);
	assert_int_equal(file_settle(from), 0);
	for (uint64_t i = 0; i < EXTENTS; i++)
		ids[i] = rig_extent(r, from->ino, i);
	the_ino = from->ino;
	inode_put(from);
	batch_init(&b);
	extent_drop_begin(r->extents);
	(void)pthread_mutex_lock(&in->lock);
	for (uint64_t i = 0; i < PARTS; i++) {
		struct slice_rec rec = { .kind = SLICE_EXTENT,
					 .length = CHUNK,
					 .extent = ids[i % EXTENTS] };
		uint64_t sequence = in->rec.sequence++;
		struct key key = key_slice(in->ino, i, sequence);
		struct buf value = BUF_INIT;

		slice_rec_put(&value, &rec);
		batch_put(&b, key.data, key.len, value.data, value.len);
		buf_done(&value);
		assert_int_equal(extent_ref(r->extents, rec.extent, in->ino, i,
					    sequence, CHUNK, &b),
				 0);
	}
	in->rec.size = in->disk_size = (uint64_t)PARTS * CHUNK;
	in->rec.stored = in->rec.size;
	inode_record(in, &b);
	assert_int_equal(meta_commit(r->meta, &b, NULL), 0);
	(void)pthread_mutex_unlock(&in->lock);
	extent_drop_end(r->extents, true);
	batch_done(&b);
	assert_int_equal(file_sync(in, false), 0);
	return in;
}

/* The file that the extent was made for shows it to the end. */
static void check_source(struct rig *r)
{
	struct inode *in = rig_get(r, the_ino);
	struct key live = key_live(rig_extent(r, the_ino, 0));
	struct buf value = BUF_INIT;
	uint64_t bytes = 0;

	rig_check(in, 0, CHUNK, 1);
	assert_int_equal(meta_get(r->meta, live.data, live.len, &value), 0);
	assert_int_equal(live_rec_get(value.data, value.len, &bytes), 0);
	assert_int_equal(bytes, CHUNK);
	buf_done(&value);
	inode_put(in);
}

static void a_large_cut_is_seen_at_once_and_drained_later(void **state)
{
	struct rig *r = *state;
	struct inode *in = file_of_parts(r);
	struct key slices = key_slice_ino(in->ino);

	assert_int_equal(content_ready(in), 0);
	assert_int_equal(file_truncate(in, 0), 0);
	assert_int_equal(rig_size(in), 0);
	assert_int_equal(rig_stored(in), 0);
	assert_false(no_intent(r));
	assert_true(rig_rows(r, &slices) > PARTS / 2);
	/* growth and writes over what is not gone yet */
	assert_int_equal(file_truncate(in, 16ull << 40), 0);
	assert_int_equal(rig_write(in, 5000ull * CHUNK + 10, 700, 2), 0);
	assert_int_equal(file_settle(in), 0);
	rig_check(in, 0, CHUNK, 0);
	rig_check(in, 5000ull * CHUNK, 10, 0);
	rig_check(in, 5000ull * CHUNK + 10, 700, 2);
	rig_wait(r, no_intent);
	assert_int_equal(rig_rows(r, &slices), 1);
	assert_int_equal(rig_stored(in), 700);
	rig_check(in, 5000ull * CHUNK + 10, 700, 2);
	check_source(r);
	inode_put(in);
}

/* Too many on both sides: what is stored is known when all has gone. */
static void a_cut_in_the_middle_counts_down(void **state)
{
	struct rig *r = *state;
	struct inode *in = file_of_parts(r);
	struct key slices = key_slice_ino(in->ino);
	uint64_t size = 5000ull * CHUNK + 100;

	assert_int_equal(file_truncate(in, size), 0);
	assert_true(rig_stored(in) >= size);
	rig_wait(r, no_intent);
	assert_int_equal(rig_stored(in), size);
	assert_int_equal(rig_rows(r, &slices), 5002);
	/* few behind: at once */
	assert_int_equal(file_truncate(in, 4900ull * CHUNK), 0);
	assert_true(no_intent(r));
	assert_int_equal(rig_stored(in), 4900ull * CHUNK);
	/* few before: what is left is known at once */
	assert_int_equal(file_truncate(in, 100ull * CHUNK + 5), 0);
	assert_int_equal(rig_stored(in), 100ull * CHUNK + 5);
	/* and a second one takes over */
	assert_int_equal(file_truncate(in, 50), 0);
	assert_int_equal(rig_stored(in), 50);
	assert_int_equal(file_truncate(in, 5000ull * CHUNK), 0);
	/* that is beyond: the first ends before it */
	assert_int_equal(file_truncate(in, 3000ull * CHUNK), 0);
	rig_check(in, 0, 50, 1);
	rig_check(in, 50, CHUNK, 0);
	rig_wait(r, no_intent);
	assert_int_equal(rig_stored(in), 50);
	assert_int_equal(rig_rows(r, &slices), 2);
	assert_int_equal(file_truncate(in, 0), 0);
	check_source(r);
	inode_put(in);
}

static void a_crash_leaves_the_rest_to_the_next_open(void **state)
{
	struct rig *r = *state;
	struct inode *in = file_of_parts(r), *other = file_of_parts(r);
	uint64_t ino = in->ino;
	struct key slices = key_slice_ino(ino), gone;

	assert_int_equal(file_truncate(in, 300), 0);
	assert_int_equal(rig_write(in, 2 * CHUNK, 100, 3), 0);
	assert_int_equal(file_sync(in, false), 0);
	gone = key_slice_ino(other->ino);
	rig_unlink(r, other);
	inode_put(other);
	assert_int_equal(meta_sync(r->meta, meta_open_number(r->meta)), 0);
	inode_put(in);
	rig_crash(r);
	in = rig_get(r, ino);
	assert_int_equal(rig_size(in), 2 * CHUNK + 100);
	rig_check(in, 0, 300, 1);
	rig_check(in, 300, 2 * CHUNK - 300, 0);
	rig_check(in, 2 * CHUNK, 100, 3);
	rig_wait(r, no_intent);
	assert_int_equal(rig_rows(r, &slices), 3);
	assert_int_equal(rig_rows(r, &gone), 0);
	assert_int_equal(rig_stored(in), 400);
	rig_check(in, 2 * CHUNK, 100, 3);
	inode_put(in);
}

/* Closing does not wait for the end of it. */
static void what_is_not_drained_at_the_end_is_later(void **state)
{
	struct rig *r = *state;
	struct inode *in = file_of_parts(r);
	uint64_t ino = in->ino;
	struct key slices = key_slice_ino(ino);

	assert_int_equal(file_truncate(in, 100), 0);
	inode_put(in);
	rig_refresh(r);
	rig_wait(r, no_intent);
	assert_int_equal(rig_rows(r, &slices), 2);
	in = rig_get(r, ino);
	assert_int_equal(rig_stored(in), 100);
	rig_unlink(r, in);
	inode_put(in);
	rig_wait(r, no_intent);
	assert_int_equal(rig_rows(r, &slices), 0);
	check_source(r);
}

/* ---- damage ------------------------------------------------------------- */

/* The row of a part is none that can be read, or is again what it was. */
static void exchange_part(struct rig *r, const struct inode *in, uint64_t part,
			  struct buf *value)
{
	struct key slice = key_slice(in->ino, part, part + 1);

	if (!value->len)
		buf_put8(value, 99);
	rig_exchange(r, &slice, value);
}

static atomic_uint n_said;
static char said_of[32];

static void count_lines(int level, const char *area, const char *text)
{
	(void)level;
	if (!strcmp(area, "file") && strstr(text, said_of))
		atomic_fetch_add(&n_said, 1);
}

static void listen_for(const struct inode *in)
{
	(void)snprintf(said_of, sizeof(said_of), "inode %" PRIu64, in->ino);
	atomic_store(&n_said, 0);
	log_set(count_lines, DYNFS_WARN);
}

static int tear_down(void **state)
{
	log_set(NULL, DYNFS_ERR);
	return rig_tear_down(state);
}

static void wait_rows(struct rig *r, struct key slices, unsigned n)
{
	const struct timespec wait = { .tv_nsec = 10000000 };

	for (int i = 0; rig_rows(r, &slices) != n; i++) {
		assert_true(i < 1000);
		(void)nanosleep(&wait, NULL);
	}
}

/* As much as it takes until what has failed is tried again. */
static void hours_go(struct rig *r, bool (*is)(struct rig *r))
{
	const struct timespec wait = { .tv_nsec = 5000000 };

	for (int i = 0; i < 300 && !is(r); i++) {
		simos_advance(r->sim, 60000000000);
		(void)nanosleep(&wait, NULL);
	}
}

/* Of the extents that only this file has, the last slice can not go. */
static struct key damage_extent(struct rig *r, struct inode *in, uint64_t part,
				struct buf *value)
{
	struct inode *from = rig_get(r, the_ino);
	struct key extent = key_extent(rig_extent(r, in->ino, part));

	rig_unlink(r, from);
	inode_put(from);
	rig_wait(r, no_intent);
	buf_put8(value, 99);
	rig_exchange(r, &extent, value);
	return extent;
}

static void a_damaged_record_keeps_back_nothing_behind_it(void **state)
{
	struct rig *r = *state;
	struct inode *in = file_of_parts(r);
	struct buf slice = BUF_INIT, value = BUF_INIT;
	struct key slices = key_slice_ino(in->ino), extent;

	extent = damage_extent(r, in, 5990, &value);
	exchange_part(r, in, 600, &slice);
	listen_for(in);
	assert_int_equal(file_truncate(in, 0), 0);
	wait_rows(r, slices, 2);
	assert_int_equal(rig_stored(in), 0);
	/* they are as dead as if they had gone */
	assert_int_equal(file_truncate(in, (uint64_t)PARTS * CHUNK), 0);
	assert_int_equal(rig_write(in, 600ull * CHUNK + 10, 2000, 2), 0);
	assert_int_equal(file_settle(in), 0);
	hours_go(r, no_intent);
	assert_false(no_intent(r));
	assert_int_equal(rig_rows(r, &slices), 3);
	assert_int_equal(atomic_load(&n_said), 1);
	rig_check(in, 600ull * CHUNK, 10, 0);
	rig_check(in, 600ull * CHUNK + 10, 2000, 2);
	rig_check(in, 5990ull * CHUNK, CHUNK, 0);
	/* and go when they can be read */
	exchange_part(r, in, 600, &slice);
	rig_exchange(r, &extent, &value);
	buf_done(&slice);
	buf_done(&value);
	hours_go(r, no_intent);
	assert_true(no_intent(r));
	assert_int_equal(rig_rows(r, &slices), 1);
	assert_int_equal(rig_stored(in), 2000);
	rig_check(in, 600ull * CHUNK + 10, 2000, 2);
	inode_put(in);
}

/* What stays of it counts as stored, as before. */
static void a_damaged_record_is_counted_until_it_goes(void **state)
{
	struct rig *r = *state;
	struct inode *in = file_of_parts(r);
	struct buf slice = BUF_INIT;
	struct key slices = key_slice_ino(in->ino);
	uint64_t size = 4500ull * CHUNK;

	exchange_part(r, in, 5000, &slice);
	assert_int_equal(file_truncate(in, size), 0);
	wait_rows(r, slices, 4501);
	assert_int_equal(rig_stored(in), size + CHUNK);
	exchange_part(r, in, 5000, &slice);
	buf_done(&slice);
	hours_go(r, no_intent);
	assert_int_equal(rig_rows(r, &slices), 4500);
	assert_int_equal(rig_stored(in), size);
	inode_put(in);
}

/* Few slices go: not at once, if one can not be read. */
static void a_small_cut_over_damage_is_seen_at_once(void **state)
{
	struct rig *r = *state;
	struct inode *in = file_of_parts(r);
	struct buf slice = BUF_INIT;
	struct key slices = key_slice_ino(in->ino);

	exchange_part(r, in, 5950, &slice);
	assert_int_equal(file_truncate(in, 5900ull * CHUNK), 0);
	assert_int_equal(file_truncate(in, (uint64_t)PARTS * CHUNK), 0);
	rig_check(in, 5900ull * CHUNK, 100 * CHUNK, 0);
	wait_rows(r, slices, 5901);
	assert_false(no_intent(r));
	exchange_part(r, in, 5950, &slice);
	buf_done(&slice);
	hours_go(r, no_intent);
	assert_int_equal(rig_rows(r, &slices), 5900);
	assert_int_equal(rig_stored(in), 5900ull * CHUNK);
	inode_put(in);
}

static void of_a_removed_file_only_what_is_damaged_stays(void **state)
{
	struct rig *r = *state;
	struct inode *in = file_of_parts(r);
	struct buf slice = BUF_INIT, was = BUF_INIT;
	struct key slices = key_slice_ino(in->ino), record = key_inode(in->ino);
	struct key bad = key_slice(in->ino, 600, 601);

	exchange_part(r, in, 600, &slice);
	listen_for(in);
	rig_unlink(r, in);
	inode_put(in);
	wait_rows(r, slices, 1);
	hours_go(r, no_intent);
	assert_false(no_intent(r));
	assert_int_equal(rig_rows(r, &record), 1);
	assert_int_equal(atomic_load(&n_said), 1);
	assert_int_equal(meta_get(r->meta, bad.data, bad.len, &was), 0);
	buf_done(&was);
	rig_exchange(r, &bad, &slice);
	buf_done(&slice);
	hours_go(r, no_intent);
	assert_true(no_intent(r));
	assert_int_equal(rig_rows(r, &slices), 0);
	assert_int_equal(rig_rows(r, &record), 0);
	check_source(r);
}

/* ---- cuts over cuts ----------------------------------------------------- */

/* A large cut of which much could not go, and nothing is wrong any more. */
static struct inode *file_with_a_rest(struct rig *r)
{
	struct inode *in = file_of_parts(r);
	static struct buf value[PARTS];

	for (unsigned i = 600; i < PARTS; i++)
		exchange_part(r, in, i, &value[i]);
	assert_int_equal(file_truncate(in, CHUNK), 0);
	for (unsigned i = 600; i < PARTS; i++) {
		exchange_part(r, in, i, &value[i]);
		buf_done(&value[i]);
	}
	assert_false(no_intent(r));
	assert_int_equal(file_truncate(in, (uint64_t)PARTS * CHUNK), 0);
	return in;
}

static void *cut_behind(void *arg)
{
	struct inode *in = arg;

	return file_truncate(in, 3000ull * CHUNK) ? in : NULL;
}

static void a_cut_that_ends_another_lets_readers_in(void **state)
{
	struct rig *r = *state;
	struct inode *in;
	struct key slices;
	unsigned rows, before, after = PARTS;
	bool in_between = false;
	pthread_t t;
	void *bad;

	rig_free(r);
	rig_new(r, 0, 0);
	/* so many turns that a slow reader meets some */
	r->how.cut_rows = 8;
	rig_refresh(r);
	in = file_with_a_rest(r);
	slices = key_slice_ino(in->ino);
	rows = rig_rows(r, &slices);
	assert_true(rows > PARTS / 2);
	assert_int_equal(pthread_create(&t, NULL, cut_behind, in), 0);
	while (after > 1) {
		before = rig_rows(r, &slices);
		rig_check(in, 0, 100, 1);
		after = rig_rows(r, &slices);
		in_between = in_between || (before < rows && after > 1);
	}
	(void)pthread_join(t, &bad);
	assert_null(bad);
	assert_true(in_between);
	assert_true(no_intent(r));
	assert_int_equal(rig_size(in), 3000ull * CHUNK);
	inode_put(in);
}

/* Dead slices are no data, also while the last of them go. */
static void seeking_beside_it_finds_what_there_is(void **state)
{
	struct rig *r = *state;

	for (unsigned i = 0; i < 4; i++) {
		struct inode *in = file_of_parts(r);
		uint64_t at = 0;

		assert_int_equal(file_truncate(in, 5 * CHUNK), 0);
		assert_int_equal(file_truncate(in, (uint64_t)PARTS * CHUNK), 0);
		while (!no_intent(r)) {
			assert_int_equal(file_seek(in, 0, false, &at), 0);
			assert_int_equal(at, 5 * CHUNK);
			assert_int_equal(file_seek(in, at, true, &at), -ENXIO);
		}
		inode_put(in);
	}
}

/* Cuts, growth, holes, writes and copies over what is being drained. */
static void work_goes_on_beside_it(void **state)
{
	struct rig *r = *state;
	struct inode *in = file_of_parts(r), *from = rig_get(r, the_ino);
	uint64_t n;

	for (unsigned i = 1; i <= 20; i++) {
		uint64_t at = (uint64_t)(i * 997 % PARTS) * CHUNK;

		assert_int_equal(file_truncate(in, i % 3 ? at : 10), 0);
		assert_int_equal(file_truncate(in, (uint64_t)PARTS * CHUNK), 0);
		rig_check(in, i % 3 ? at : 10, 1000, 0);
		assert_int_equal(file_copy_range(from, 0, in, at, CHUNK, &n),
				 0);
		assert_int_equal(n, CHUNK);
		assert_int_equal(rig_write(in, at + CHUNK, 600, i + 10), 0);
		if (i % 2)
			assert_int_equal(file_settle(in), 0);
		rig_check(in, at + CHUNK, 600, i + 10);
	}
	assert_int_equal(file_truncate(in, 0), 0);
	rig_wait(r, no_intent);
	assert_int_equal(rig_stored(in), 0);
	inode_put(from);
	check_source(r);
	inode_put(in);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_large_cut_is_seen_at_once_and_drained_later),
		TEST(a_cut_in_the_middle_counts_down),
		TEST(a_crash_leaves_the_rest_to_the_next_open),
		TEST(what_is_not_drained_at_the_end_is_later),
		TEST(a_damaged_record_keeps_back_nothing_behind_it),
		TEST(a_damaged_record_is_counted_until_it_goes),
		TEST(a_small_cut_over_damage_is_seen_at_once),
		TEST(of_a_removed_file_only_what_is_damaged_stays),
		TEST(a_cut_that_ends_another_lets_readers_in),
		TEST(seeking_beside_it_finds_what_there_is),
		TEST(work_goes_on_beside_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
