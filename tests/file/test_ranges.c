/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges of a file: data and holes. */
#include "rig.h"

#include <errno.h>

#define TIB ((uint64_t)1 << 40)

static int set_up(void **state)
{
	static struct rig r;

	rig_new(&r, 0, 0);
	*state = &r;
	return 0;
}

static int tear_down(void **state)
{
	rig_free(*state);
	return 0;
}

static void check_seek(struct inode *in, uint64_t off, uint64_t data,
		       uint64_t hole)
{
	uint64_t at = 0;
	int r = file_seek(in, off, true, &at);

	if (data == UINT64_MAX) {
		assert_int_equal(r, -ENXIO);
	} else {
		assert_int_equal(r, 0);
		assert_int_equal(at, data);
	}
	r = file_seek(in, off, false, &at);
	if (hole == UINT64_MAX) {
		assert_int_equal(r, -ENXIO);
	} else {
		assert_int_equal(r, 0);
		assert_int_equal(at, hole);
	}
}

#define NONE UINT64_MAX

static void data_and_holes_are_found_dirty_or_stored(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);
	uint64_t ino = in->ino, far = 7ull * CHUNK + 10, size = 9ull * CHUNK;

	check_seek(in, 0, NONE, NONE);
	assert_int_equal(rig_write(in, 1000, 100, 1), 0);
	/* the second chunk to its end, and the beginning of the third */
	assert_int_equal(rig_write(in, CHUNK + 500, CHUNK, 1), 0);
	assert_int_equal(rig_write(in, far, 600, 1), 0);
	assert_int_equal(file_truncate(in, size), 0);
	for (int pass = 0; pass < 3; pass++) {
		check_seek(in, 0, 1000, 0);
		check_seek(in, 1000, 1000, 1100);
		check_seek(in, 1099, 1099, 1100);
		check_seek(in, 1100, CHUNK + 500, 1100);
		check_seek(in, CHUNK + 500, CHUNK + 500, 2 * CHUNK + 500);
		check_seek(in, 2 * CHUNK - 1, 2 * CHUNK - 1, 2 * CHUNK + 500);
		check_seek(in, 2 * CHUNK + 500, far, 2 * CHUNK + 500);
		check_seek(in, 4 * CHUNK, far, 4 * CHUNK);
		check_seek(in, far + 5, far + 5, far + 600);
		check_seek(in, far + 600, NONE, far + 600);
		check_seek(in, size - 1, NONE, size - 1);
		check_seek(in, size, NONE, NONE);
		check_seek(in, UINT64_MAX, NONE, NONE);
		if (pass == 0)
			assert_int_equal(file_settle(in), 0);
		inode_put(in);
		if (pass == 1)
			rig_refresh(r);
		in = rig_get(r, ino);
	}
	inode_put(in);
}

static void dirty_bytes_are_data_beside_stored_ones(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);

	assert_int_equal(rig_write(in, 0, 1000, 1), 0);
	assert_int_equal(rig_write(in, 2000, 1000, 1), 0);
	assert_int_equal(file_settle(in), 0);
	check_seek(in, 500, 500, 1000);
	assert_int_equal(rig_write(in, 900, 1200, 2), 0);
	check_seek(in, 0, 0, 3000);
	/* whole chunks that are dirty only, behind one that is stored */
	assert_int_equal(rig_write(in, 3000, 3 * CHUNK - 3000, 2), 0);
	check_seek(in, 0, 0, 3 * CHUNK);
	check_seek(in, 2 * CHUNK, 2 * CHUNK, 3 * CHUNK);
	inode_put(in);
}

static void what_was_cut_is_no_data(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);

	assert_int_equal(rig_write(in, 0, 2 * CHUNK, 1), 0);
	assert_int_equal(file_settle(in), 0);
	assert_int_equal(file_truncate(in, 700), 0);
	assert_int_equal(file_truncate(in, 3 * CHUNK), 0);
	check_seek(in, 0, 0, 700);
	check_seek(in, 700, NONE, 700);
	inode_put(in);
}

static void the_end_of_a_huge_file_is_near(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);

	assert_int_equal(rig_write(in, 0, 10, 1), 0);
	assert_int_equal(rig_write(in, 16 * TIB - 10, 10, 1), 0);
	for (int pass = 0; pass < 2; pass++) {
		check_seek(in, 0, 0, 10);
		check_seek(in, 10, 16 * TIB - 10, 10);
		check_seek(in, 16 * TIB - 5, 16 * TIB - 5, 16 * TIB);
		assert_int_equal(file_settle(in), 0);
	}
	assert_int_equal(file_truncate(in, INT64_MAX), 0);
	check_seek(in, 16 * TIB, NONE, 16 * TIB);
	check_seek(in, INT64_MAX - 1, NONE, INT64_MAX - 1);
	check_seek(in, INT64_MAX, NONE, NONE);
	inode_put(in);
}

/* A slice of the whole chunk in an extent that nobody reads. */
static void put_slice(struct rig *r, uint64_t ino, uint64_t chunk)
{
	struct slice_rec rec = { .kind = SLICE_EXTENT,
				 .length = CHUNK,
				 .extent = { 1, chunk + 1 } };
	struct key key = key_slice(ino, chunk, 1);
	struct buf value = BUF_INIT;
	struct batch b;

	batch_init(&b);
	slice_rec_put(&value, &rec);
	batch_put(&b, key.data, key.len, value.data, value.len);
	assert_int_equal(meta_commit(r->meta, &b, NULL), 0);
	batch_done(&b);
	buf_done(&value);
}

/* More rows than are looked at in one go. */
static void a_dense_file_has_its_hole_at_the_end(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);
	uint64_t n = 10000, size = n * CHUNK;

	assert_int_equal(file_truncate(in, size), 0);
	for (uint64_t i = 0; i < n; i++)
		put_slice(r, in->ino, i);
	check_seek(in, 0, 0, size);
	assert_int_equal(file_truncate(in, size + 5 * CHUNK), 0);
	assert_int_equal(rig_write(in, size + 3 * CHUNK, 5, 1), 0);
	check_seek(in, 1, 1, size);
	check_seek(in, size + 1, size + 3 * CHUNK, size + 1);
	inode_put(in);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(data_and_holes_are_found_dirty_or_stored),
		TEST(dirty_bytes_are_data_beside_stored_ones),
		TEST(what_was_cut_is_no_data),
		TEST(the_end_of_a_huge_file_is_near),
		TEST(a_dense_file_has_its_hole_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
