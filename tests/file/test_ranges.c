/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges of a file: data, holes, and all that changes them at once. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define TIB ((uint64_t)1 << 40)

static int set_up_crowd(void **state)
{
	return rig_begin(state, 2, 0);
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

static void a_slice_that_can_not_be_is_no_answer(void **state)
{
	struct rig *r = *state;
	struct slice_rec rec = { .kind = SLICE_HOLE,
				 .offset = 100,
				 .length = CHUNK };
	struct inode *in = rig_make(r);
	struct key key = key_slice(in->ino, 0, 1);
	struct buf value = BUF_INIT;
	uint64_t at = 0;

	assert_int_equal(rig_write(in, 0, 1000, 1), 0);
	assert_int_equal(file_settle(in), 0);
	slice_rec_put(&value, &rec);
	rig_exchange(r, &key, &value);
	assert_int_equal(file_seek(in, 0, true, &at), -EUCLEAN);
	rig_exchange(r, &key, &value);
	buf_done(&value);
	assert_int_equal(file_seek(in, 0, true, &at), 0);
	/* behind the end of the largest file */
	assert_int_equal(file_truncate(in, 2 * CHUNK), 0);
	put_slice(r, in->ino, INT64_MAX / CHUNK + 1);
	assert_int_equal(file_seek(in, 1000, true, &at), -EUCLEAN);
	inode_put(in);
}

/* ---- holes --------------------------------------------------------------- */

static int punch(struct inode *in, uint64_t off, uint64_t len)
{
	return file_allocate(in, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			     off, len, NULL);
}

/* Dirty, stored, or a part each; across a crash or not. */
static void a_hole_reads_as_zeros_and_frees_what_was_there(void **state)
{
	struct rig *r = *state;
	uint64_t size = 4 * CHUNK, from = CHUNK - 700, to = 3 * CHUNK + 50;

	for (int how = 0; how < 6; how++) {
		struct inode *in = rig_make(r);
		uint64_t ino = in->ino;
		struct key extents = key_kind('E');
		unsigned before = rig_rows(r, &extents);

		assert_int_equal(rig_write(in, 0, size, 1), 0);
		if (how % 3)
			assert_int_equal(file_settle(in), 0);
		if (how % 3 == 2)
			assert_int_equal(
			    rig_write(in, CHUNK - 1000, 2 * CHUNK, 2), 0);
		assert_int_equal(punch(in, from, to - from), 0);
		for (int pass = 0; pass < 2; pass++) {
			uint64_t edge = how % 3 == 2 ? CHUNK - 1000 : from;

			assert_int_equal(rig_size(in), size);
			rig_check(in, 0, edge, 1);
			rig_check(in, edge, from - edge, 2);
			rig_check(in, from, to - from, 0);
			rig_check(in, to, size - to, 1);
			check_seek(in, 0, 0, from);
			check_seek(in, from + 5, to, from + 5);
			assert_int_equal(file_sync(in, false), 0);
			assert_int_equal(rig_stored(in), size - (to - from));
			inode_put(in);
			if (how < 3)
				rig_refresh(r);
			else
				rig_crash(r);
			in = rig_get(r, ino);
		}
		assert_int_equal(punch(in, 0, INT64_MAX), 0);
		assert_int_equal(rig_size(in), size);
		rig_check(in, 0, size, 0);
		assert_int_equal(rig_stored(in), 0);
		assert_int_equal(rig_rows(r, &extents), before);
		check_seek(in, 0, NONE, 0);
		inode_put(in);
	}
}

/* The size was promised by bytes that are punched away before any flush. */
static void a_size_outlives_the_bytes_that_made_it(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);
	uint64_t ino = in->ino;

	assert_int_equal(rig_write(in, 0, 3 * CHUNK, 1), 0);
	assert_int_equal(punch(in, 0, 3 * CHUNK), 0);
	assert_int_equal(file_sync(in, false), 0);
	inode_put(in);
	rig_crash(r);
	in = rig_get(r, ino);
	assert_int_equal(rig_size(in), 3 * CHUNK);
	rig_check(in, 0, 3 * CHUNK, 0);
	inode_put(in);
}

static void a_hole_over_nothing_leaves_nothing(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);
	struct key slices = key_slice_ino(in->ino);

	assert_int_equal(rig_write(in, 1000, 1000, 1), 0);
	assert_int_equal(file_settle(in), 0);
	assert_int_equal(punch(in, 5000, 3 * CHUNK), 0);
	assert_int_equal(punch(in, 0, 1000), 0);
	assert_int_equal(rig_rows(r, &slices), 1);
	assert_int_equal(punch(in, 1500, 100), 0);
	assert_int_equal(rig_rows(r, &slices), 2);
	/* what it lay over goes: the hole does, too */
	assert_int_equal(punch(in, 900, 3000), 0);
	assert_int_equal(rig_rows(r, &slices), 0);
	inode_put(in);
}

/* Each lies over the one before it, and all over one slice. */
static void holes_over_one_another_go_together(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);
	struct key slices = key_slice_ino(in->ino);

	assert_int_equal(rig_write(in, 0, 4000, 1), 0);
	assert_int_equal(file_settle(in), 0);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(punch(in, 1000 + i * 200, 300), 0);
	assert_int_equal(rig_rows(r, &slices), 6);
	assert_int_equal(rig_write(in, 0, 1000, 2), 0);
	assert_int_equal(rig_write(in, 2100, 1900, 2), 0);
	assert_int_equal(file_settle(in), 0);
	assert_int_equal(rig_rows(r, &slices), 2);
	rig_check(in, 0, 1000, 2);
	rig_check(in, 1000, 1100, 0);
	rig_check(in, 2100, 1900, 2);
	inode_put(in);
}

static void a_hole_of_many_slices_goes_in_steps(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);
	struct key slices = key_slice_ino(in->ino), all = key_kind('E');
	unsigned before = rig_rows(r, &all);

	for (unsigned i = 0; i < 1300; i++) {
		assert_int_equal(rig_write(in, (uint64_t)i * CHUNK, 600, 1), 0);
		if (i % 100 == 99)
			assert_int_equal(file_settle(in), 0);
	}
	assert_int_equal(rig_rows(r, &slices), 1300);
	assert_int_equal(punch(in, 300, (uint64_t)1298 * CHUNK), 0);
	assert_int_equal(rig_rows(r, &slices), 5);
	assert_int_equal(rig_stored(in), 300 + 300 + 600);
	rig_check(in, 0, 300, 1);
	rig_check(in, 300, 300, 0);
	rig_check(in, 1298ull * CHUNK + 300, 300, 1);
	rig_check(in, 1299ull * CHUNK, 600, 1);
	assert_int_equal(punch(in, 0, 16 * TIB), 0);
	assert_int_equal(rig_rows(r, &slices), 0);
	assert_int_equal(rig_rows(r, &all), before);
	inode_put(in);
}

static void many_small_holes_keep_a_chunk_small(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);
	struct key slices = key_slice_ino(in->ino);
	uint64_t ino = in->ino;

	assert_int_equal(rig_write(in, 0, CHUNK, 1), 0);
	assert_int_equal(file_settle(in), 0);
	for (unsigned i = 0; i < 500; i++) {
		assert_int_equal(punch(in, 100 * i, 50), 0);
		if (i % 10 == 9)
			assert_int_equal(file_settle(in), 0);
		assert_true(rig_rows(r, &slices) < 2 * CHUNK_SLICES_MAX);
	}
	inode_put(in);
	rig_refresh(r);
	in = rig_get(r, ino);
	for (unsigned i = 0; i < 500; i++) {
		rig_check(in, 100 * i, 50, 0);
		rig_check(in, 100 * i + 50, 50, 1);
	}
	inode_put(in);
}

static void ranges_that_can_not_be_are_refused(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);

	assert_int_equal(punch(in, 0, 0), -EINVAL);
	assert_int_equal(punch(in, INT64_MAX, 1), -EFBIG);
	assert_int_equal(punch(in, UINT64_MAX, 1), -EFBIG);
	assert_int_equal(punch(in, 1, UINT64_MAX), -EFBIG);
	assert_int_equal(punch(in, INT64_MAX - 1, 1), 0);
	assert_int_equal(
	    file_allocate(in, FALLOC_FL_COLLAPSE_RANGE, 0, CHUNK, NULL),
	    -EOPNOTSUPP);
	inode_put(in);
}

/* ---- all at once ------------------------------------------------------- */

#define BLOCK    4096u
#define BLOCKS   64u /* of each of two files */
#define VERSIONS 9u
#define OPS      200u

struct crowd {
	struct inode *in[2];
	atomic_uint seed;
	atomic_bool bad;
};

/* A version of its place, or zeros. */
static bool block_is_whole(const uint8_t *have, uint64_t off)
{
	uint8_t want[BLOCK];

	for (unsigned v = 0; v <= VERSIONS; v++) {
		rig_fill(want, off, BLOCK, v);
		if (!memcmp(have, want, BLOCK))
			return true;
	}
	return false;
}

static bool blocks_are_whole(struct inode *in, uint64_t off, unsigned n)
{
	uint8_t have[BLOCK];
	size_t got = 0;

	for (unsigned i = 0; i < n; i++, off += BLOCK) {
		if (file_read(in, off, BLOCK, have, &got))
			return false;
		memset(have + got, 0, BLOCK - got);
		if (!block_is_whole(have, off))
			return false;
	}
	return true;
}

static bool crowd_op(struct crowd *c, uint64_t dice)
{
	struct inode *in = c->in[dice & 1], *other = c->in[~dice & 1];
	uint64_t at = (dice >> 8) % BLOCKS, n = 1 + (dice >> 16) % 20, end = 0;
	uint64_t off = at * BLOCK, len = n * BLOCK;
	int r = 0;

	switch ((dice >> 4) % 8) {
	case 0:
	case 1:
		r = rig_write(in, off, len, 1 + (dice >> 24) % VERSIONS);
		break;
	case 2:
		r = file_allocate(in,
				  FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				  off, len, NULL);
		break;
	case 3:
		r = file_allocate(in, dice & 8 ? FALLOC_FL_ZERO_RANGE : 0, off,
				  len, NULL);
		break;
	case 4:
	case 5:
		r = file_copy_range(in, off, other, off, len, &end);
		break;
	case 6:
		if (dice & 8)
			r = file_truncate(in, off);
		else
			r = file_settle(in);
		break;
	default:
		r = file_seek(in, off, dice & 8, &end);
		r = r == -ENXIO ? 0 : r;
	}
	return !r && blocks_are_whole(in, off, 3);
}

static void *crowd_main(void *arg)
{
	struct crowd *c = arg;
	uint64_t rng = hash_u64(atomic_fetch_add(&c->seed, 1));

	for (unsigned i = 0; i < OPS && !atomic_load(&c->bad); i++) {
		rng = hash_u64(rng + i);
		if (!crowd_op(c, rng))
			atomic_store(&c->bad, true);
	}
	return NULL;
}

/* Copies in both directions, and workers that flush meanwhile. */
static void ranges_change_beside_one_another(void **state)
{
	struct rig *r = *state;
	struct crowd c = { .in = { rig_make(r), rig_make(r) }, .seed = 1 };
	uint64_t ino[2] = { c.in[0]->ino, c.in[1]->ino };
	pthread_t t[4];

	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, crowd_main, &c),
				 0);
	for (unsigned i = 0; i < 4; i++)
		(void)pthread_join(t[i], NULL);
	assert_false(atomic_load(&c.bad));
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(file_sync(c.in[i], false), 0);
		inode_put(c.in[i]);
	}
	rig_crash(r);
	for (unsigned i = 0; i < 2; i++) {
		struct inode *in = rig_get(r, ino[i]);

		assert_true(blocks_are_whole(in, 0, BLOCKS + 20));
		assert_int_equal(file_truncate(in, 0), 0);
		assert_int_equal(rig_stored(in), 0);
		inode_put(in);
	}
	assert_int_equal(files_reserved(r->files), 0);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(data_and_holes_are_found_dirty_or_stored),
		TEST(dirty_bytes_are_data_beside_stored_ones),
		TEST(what_was_cut_is_no_data),
		TEST(the_end_of_a_huge_file_is_near),
		TEST(a_dense_file_has_its_hole_at_the_end),
		TEST(a_slice_that_can_not_be_is_no_answer),
		TEST(a_hole_reads_as_zeros_and_frees_what_was_there),
		TEST(a_size_outlives_the_bytes_that_made_it),
		TEST(a_hole_over_nothing_leaves_nothing),
		TEST(holes_over_one_another_go_together),
		TEST(a_hole_of_many_slices_goes_in_steps),
		TEST(many_small_holes_keep_a_chunk_small),
		TEST(ranges_that_can_not_be_are_refused),
		cmocka_unit_test_setup_teardown(
		    ranges_change_beside_one_another, set_up_crowd,
		    rig_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
