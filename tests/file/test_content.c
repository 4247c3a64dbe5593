/* SPDX-License-Identifier: Apache-2.0 */
/* What a file shows and where its bytes lie, with nothing in the background. */
#include "rig.h"

#include <errno.h>
#include <string.h>

static void a_read_is_short_at_the_end_only(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);
	uint8_t buf[300];
	size_t n = 99;

	assert_int_equal(file_read(in, 0, sizeof(buf), buf, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(rig_write(in, 0, 100, 1), 0);
	for (int pass = 0; pass < 2; pass++) {
		assert_int_equal(file_read(in, 60, sizeof(buf), buf, &n), 0);
		assert_int_equal(n, 40);
		assert_int_equal(file_read(in, 100, 1, buf, &n), 0);
		assert_int_equal(n, 0);
		assert_int_equal(file_read(in, UINT64_MAX, 1, buf, &n), 0);
		assert_int_equal(n, 0);
		assert_int_equal(file_settle(in), 0);
	}
	inode_put(in);
}

static void what_was_never_written_reads_as_zeros(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);
	uint64_t far = 5ull * CHUNK + 1000, ino = in->ino;

	assert_int_equal(rig_write(in, 0, 10, 1), 0);
	assert_int_equal(rig_write(in, far, 10, 1), 0);
	for (int pass = 0; pass < 2; pass++) {
		assert_int_equal(rig_size(in), far + 10);
		rig_check(in, 0, 10, 1);
		rig_check(in, 10, far - 10, 0);
		rig_check(in, far, 10, 1);
		inode_put(in);
		rig_refresh(r);
		in = rig_get(r, ino);
	}
	inode_put(in);
}

static void cut_bytes_never_come_back(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);
	uint64_t ino = in->ino;

	for (int stored = 0; stored < 2; stored++) {
		assert_int_equal(rig_write(in, 0, 3 * CHUNK, 1), 0);
		if (stored)
			assert_int_equal(file_settle(in), 0);
		assert_int_equal(file_truncate(in, CHUNK + 100), 0);
		assert_int_equal(rig_size(in), CHUNK + 100);
		assert_int_equal(file_truncate(in, 3 * CHUNK), 0);
		rig_check(in, 0, CHUNK + 100, 1);
		rig_check(in, CHUNK + 100, 2 * CHUNK - 100, 0);
		/* a write behind the end uncovers nothing either */
		assert_int_equal(file_truncate(in, 50), 0);
		assert_int_equal(rig_write(in, CHUNK / 2, 10, 2), 0);
		rig_check(in, 50, CHUNK / 2 - 50, 0);
		rig_check(in, CHUNK / 2, 10, 2);
		inode_put(in);
		rig_refresh(r);
		in = rig_get(r, ino);
		rig_check(in, 0, 50, 1);
		rig_check(in, 50, CHUNK / 2 - 50, 0);
		rig_check(in, CHUNK / 2, 10, 2);
	}
	inode_put(in);
}

static void dirty_bytes_lie_over_slices(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);
	uint64_t ino = in->ino;

	assert_int_equal(rig_write(in, 0, 2 * CHUNK, 1), 0);
	assert_int_equal(file_settle(in), 0);
	assert_int_equal(rig_write(in, 100, 1000, 2), 0);
	assert_int_equal(rig_write(in, CHUNK - 50, 100, 3), 0);
	/* touches the first run, and joins it */
	assert_int_equal(rig_write(in, 1100, 10, 4), 0);
	assert_int_equal(rig_write(in, 500, 100, 5), 0);
	for (int pass = 0; pass < 2; pass++) {
		rig_check(in, 0, 100, 1);
		rig_check(in, 100, 400, 2);
		rig_check(in, 500, 100, 5);
		rig_check(in, 600, 500, 2);
		rig_check(in, 1100, 10, 4);
		rig_check(in, 1110, CHUNK - 50 - 1110, 1);
		rig_check(in, CHUNK - 50, 100, 3);
		rig_check(in, CHUNK + 50, CHUNK - 50, 1);
		inode_put(in);
		rig_refresh(r);
		in = rig_get(r, ino);
	}
	inode_put(in);
}

/* Slices of 100 bytes, one for each flush, that do not touch. */
static void many_slices(struct inode *in, unsigned n, unsigned version)
{
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(rig_write(in, 1000 + 200 * i, 100, version),
				 0);
		assert_int_equal(file_settle(in), 0);
	}
}

static void a_chunk_of_many_slices_is_compacted(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);
	uint64_t ino = in->ino;
	struct key key = key_slice_ino(ino);

	assert_int_equal(rig_write(in, 0, CHUNK, 1), 0);
	assert_int_equal(file_settle(in), 0);
	many_slices(in, CHUNK_SLICES_MAX - 1, 2);
	assert_int_equal(rig_rows(r, &key), CHUNK_SLICES_MAX);
	many_slices(in, 1, 3);
	assert_int_equal(rig_rows(r, &key), 1);
	inode_put(in);
	rig_refresh(r);
	in = rig_get(r, ino);
	rig_check(in, 0, 1000, 1);
	rig_check(in, 1000, 100, 3);
	rig_check(in, 1100, 100, 1);
	for (unsigned i = 1; i < CHUNK_SLICES_MAX - 1; i++) {
		rig_check(in, 1000 + 200 * i, 100, 2);
		rig_check(in, 1100 + 200 * i, 100, 1);
	}
	inode_put(in);
}

static void small_files_live_in_the_metadata(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);

	assert_int_equal(rig_write(in, 0, 512, 1), 0);
	assert_int_equal(file_settle(in), 0);
	assert_int_equal(rig_slices(r, in->ino, SLICE_INLINE), 1);
	assert_int_equal(rig_slices(r, in->ino, SLICE_EXTENT), 0);
	/* one byte more, and they move */
	assert_int_equal(rig_write(in, 512, 1, 1), 0);
	assert_int_equal(file_settle(in), 0);
	assert_int_equal(rig_slices(r, in->ino, SLICE_INLINE), 0);
	assert_int_equal(rig_slices(r, in->ino, SLICE_EXTENT), 1);
	rig_check(in, 0, 513, 1);
	inode_put(in);
}

static void small_syncs_are_inline_until_the_next_flush(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);

	assert_int_equal(rig_write(in, 0, 16384, 1), 0);
	assert_int_equal(file_sync(in, false), 0);
	assert_int_equal(rig_slices(r, in->ino, SLICE_INLINE), 1);
	assert_int_equal(file_settle(in), 0);
	assert_int_equal(rig_slices(r, in->ino, SLICE_INLINE), 0);
	assert_int_equal(rig_slices(r, in->ino, SLICE_EXTENT), 1);
	assert_int_equal(rig_write(in, 0, 16385, 2), 0);
	assert_int_equal(file_sync(in, false), 0);
	assert_int_equal(rig_slices(r, in->ino, SLICE_INLINE), 0);
	rig_check(in, 0, 16385, 2);
	inode_put(in);
}

static void what_was_synced_survives_a_crash(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);
	uint64_t ino = in->ino;

	assert_int_equal(rig_write(in, 0, CHUNK + 500, 1), 0);
	assert_int_equal(file_sync(in, false), 0);
	assert_int_equal(rig_write(in, 100, 2 * CHUNK, 2), 0);
	rig_crash(r);
	in = rig_get(r, ino);
	assert_int_equal(rig_size(in), CHUNK + 500);
	rig_check(in, 0, CHUNK + 500, 1);
	inode_put(in);
}

static void a_write_at_the_largest_offset_is_refused(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);

	assert_int_equal(rig_write(in, INT64_MAX, 1, 1), -EFBIG);
	assert_int_equal(rig_write(in, UINT64_MAX, 1, 1), -EFBIG);
	assert_int_equal(file_truncate(in, (uint64_t)INT64_MAX + 1), -EFBIG);
	assert_int_equal(rig_size(in), 0);
	assert_int_equal(rig_write(in, INT64_MAX - 1, 1, 1), 0);
	assert_int_equal(file_settle(in), 0);
	rig_check(in, INT64_MAX - 1, 1, 1);
	assert_int_equal(file_truncate(in, 0), 0);
	inode_put(in);
}

static void a_large_cut_goes_in_steps_and_counts_what_is_left(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);
	struct key slices = key_slice_ino(in->ino), intents = key_kind('O');
	struct dynfs_attr a;

	for (unsigned i = 0; i < 600; i++) {
		assert_int_equal(rig_write(in, (uint64_t)i * CHUNK, 600, 1), 0);
		if (i % 50 == 49)
			assert_int_equal(file_settle(in), 0);
	}
	assert_int_equal(rig_rows(r, &slices), 600);
	assert_int_equal(file_truncate(in, CHUNK + 1), 0);
	/* one byte of the second is left, under a hole over the rest */
	assert_int_equal(rig_rows(r, &slices), 3);
	assert_int_equal(rig_rows(r, &intents), 0);
	inode_attr(in, &a);
	assert_int_equal(a.stored_bytes, 601);
	rig_check(in, 0, 600, 1);
	rig_check(in, 600, CHUNK - 600, 0);
	rig_check(in, CHUNK, 1, 1);
	inode_put(in);
}

static void what_is_not_stored_yet_is_counted(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);
	struct dynfs_attr a;

	assert_int_equal(rig_write(in, 0, 5000, 1), 0);
	assert_int_equal(rig_write(in, 5000, CHUNK, 1), 0);
	for (int pass = 0; pass < 2; pass++) {
		inode_attr(in, &a);
		assert_int_equal(a.stored_bytes, 5000 + CHUNK);
		assert_false(a.unsettled);
		assert_int_equal(file_settle(in), 0);
	}
	/* how much of it is new shows when it is stored */
	assert_int_equal(rig_write(in, 100, 1000, 2), 0);
	inode_attr(in, &a);
	assert_true(a.stored_bytes >= 5000 + CHUNK);
	assert_true(a.unsettled);
	assert_int_equal(file_settle(in), 0);
	inode_attr(in, &a);
	assert_int_equal(a.stored_bytes, 5000 + CHUNK);
	assert_false(a.unsettled);
	/* what is cut before it was stored counts no more */
	assert_int_equal(rig_write(in, 5000 + CHUNK, 3000, 1), 0);
	assert_int_equal(file_truncate(in, 1000), 0);
	inode_attr(in, &a);
	assert_int_equal(a.stored_bytes, 1000);
	assert_int_equal(rig_write(in, 1000, 10, 1), 0);
	assert_int_equal(file_truncate(in, 0), 0);
	inode_attr(in, &a);
	assert_int_equal(a.stored_bytes, 0);
	inode_put(in);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_read_is_short_at_the_end_only),
		TEST(what_is_not_stored_yet_is_counted),
		TEST(what_was_never_written_reads_as_zeros),
		TEST(cut_bytes_never_come_back),
		TEST(dirty_bytes_lie_over_slices),
		TEST(a_chunk_of_many_slices_is_compacted),
		TEST(small_files_live_in_the_metadata),
		TEST(small_syncs_are_inline_until_the_next_flush),
		TEST(what_was_synced_survives_a_crash),
		TEST(a_write_at_the_largest_offset_is_refused),
		TEST(a_large_cut_goes_in_steps_and_counts_what_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
