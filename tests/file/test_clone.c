/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges that are copied by sharing extents. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define SIZE (3ull * CHUNK + 20000)

static uint64_t copy(struct inode *from, uint64_t off, struct inode *to,
		     uint64_t to_off, uint64_t len)
{
	uint64_t n = 0;

	assert_int_equal(file_copy_range(from, off, to, to_off, len, &n), 0);
	return n;
}

static unsigned extents(struct rig *r)
{
	struct key all = key_kind('E');

	return rig_rows(r, &all);
}

/* What was at from_off of a file of that version is at off now. */
static void check_moved(struct inode *in, uint64_t off, uint64_t from_off,
			size_t len, unsigned version)
{
	uint8_t *have = malloc(len), *want = malloc(len);
	size_t n = 0;

	assert_non_null(have);
	assert_non_null(want);
	rig_fill(want, from_off, len, version);
	assert_int_equal(file_read(in, off, len, have, &n), 0);
	assert_int_equal(n, len);
	assert_memory_equal(have, want, len);
	free(have);
	free(want);
}

static void a_copy_shares_every_extent(void **state)
{
	struct rig *r = *state;
	struct inode *a = rig_make(r), *b = rig_make(r);
	uint64_t ino_a = a->ino, ino_b = b->ino;
	unsigned n;

	assert_int_equal(rig_write(a, 0, SIZE, 1), 0);
	assert_int_equal(file_settle(a), 0);
	n = extents(r);
	assert_int_equal(copy(a, 0, b, 0, UINT32_MAX), SIZE);
	assert_true(rig_is_clean(b));
	assert_int_equal(extents(r), n);
	assert_int_equal(rig_size(b), SIZE);
	assert_int_equal(rig_stored(b), SIZE);
	rig_check(b, 0, SIZE, 1);
	assert_int_equal(file_sync(b, false), 0);
	/* each goes on alone */
	assert_int_equal(rig_write(a, 1000, CHUNK, 2), 0);
	assert_int_equal(file_settle(a), 0);
	assert_int_equal(file_truncate(a, 500), 0);
	rig_check(b, 0, SIZE, 1);
	inode_put(a);
	inode_put(b);
	rig_crash(r);
	a = rig_get(r, ino_a);
	b = rig_get(r, ino_b);
	rig_check(b, 0, SIZE, 1);
	rig_unlink(r, b);
	inode_put(b);
	inode_put(a);
	/* what has no name goes at the next open */
	rig_refresh(r);
}

/* The first to go leaves everything to the other, the second nothing. */
static void the_last_of_two_files_frees_what_they_share(void **state)
{
	struct rig *r = *state;
	struct inode *a = rig_make(r), *b = rig_make(r);
	struct key refs = key_kind('R'), live = key_kind('L');
	unsigned n = extents(r);

	assert_int_equal(rig_write(a, 0, SIZE, 1), 0);
	assert_int_equal(copy(a, 0, b, 0, SIZE), SIZE);
	assert_int_equal(file_truncate(a, 0), 0);
	rig_check(b, 0, SIZE, 1);
	assert_int_equal(extents(r), n + 4);
	assert_int_equal(copy(b, 0, a, 0, SIZE), SIZE);
	assert_int_equal(file_truncate(b, 0), 0);
	rig_check(a, 0, SIZE, 1);
	assert_int_equal(file_truncate(a, 0), 0);
	assert_int_equal(extents(r), n);
	assert_int_equal(rig_rows(r, &refs), n);
	assert_int_equal(rig_rows(r, &live), n);
	inode_put(a);
	inode_put(b);
}

static void a_copy_need_not_be_aligned(void **state)
{
	struct rig *r = *state;
	struct inode *a = rig_make(r), *b = rig_make(r);
	uint64_t from = 777, to = CHUNK / 2 + 13, len = 2 * CHUNK + 5000;

	assert_int_equal(rig_write(a, 0, SIZE, 1), 0);
	assert_int_equal(rig_write(b, 0, SIZE, 2), 0);
	assert_int_equal(file_settle(b), 0);
	/* dirty below the copy, and on both of its edges */
	assert_int_equal(rig_write(b, to - 50, 100, 3), 0);
	assert_int_equal(rig_write(b, to + len - 50, 100, 3), 0);
	assert_int_equal(copy(a, from, b, to, len), len);
	for (int pass = 0; pass < 2; pass++) {
		assert_int_equal(rig_size(b), SIZE);
		rig_check(b, 0, to - 50, 2);
		rig_check(b, to - 50, 50, 3);
		check_moved(b, to, from, len, 1);
		rig_check(b, to + len, 50, 3);
		rig_check(b, to + len + 50, SIZE - to - len - 50, 2);
		assert_int_equal(file_settle(b), 0);
	}
	assert_int_equal(rig_stored(b), SIZE);
	inode_put(a);
	inode_put(b);
}

static void parts_of_one_file_are_copied_within_it(void **state)
{
	struct rig *r = *state;
	struct inode *a = rig_make(r);
	uint64_t n = 9;

	assert_int_equal(rig_write(a, 0, SIZE, 1), 0);
	assert_int_equal(file_copy_range(a, 0, a, 100, 101, &n), -EINVAL);
	assert_int_equal(file_copy_range(a, 100, a, 0, 101, &n), -EINVAL);
	assert_int_equal(copy(a, 0, a, CHUNK / 2, CHUNK / 2), CHUNK / 2);
	check_moved(a, CHUNK / 2, 0, CHUNK / 2, 1);
	rig_check(a, 0, CHUNK / 2, 1);
	rig_check(a, CHUNK, SIZE - CHUNK, 1);
	/* to behind its end, with a hole between */
	assert_int_equal(copy(a, CHUNK, a, SIZE + CHUNK, SIZE - CHUNK),
			 SIZE - CHUNK);
	check_moved(a, SIZE + CHUNK, CHUNK, SIZE - CHUNK, 1);
	rig_check(a, SIZE, CHUNK, 0);
	/* both in one slice, whose other parts stay */
	assert_int_equal(copy(a, 2 * CHUNK, a, 2 * CHUNK + 20000, 20000),
			 20000);
	check_moved(a, 2 * CHUNK + 20000, 2 * CHUNK, 20000, 1);
	rig_check(a, 2 * CHUNK, 20000, 1);
	rig_check(a, 2 * CHUNK + 40000, CHUNK - 40000, 1);
	inode_put(a);
}

static void holes_are_copied_as_holes(void **state)
{
	struct rig *r = *state;
	struct inode *a = rig_make(r), *b = rig_make(r);
	uint64_t far = 1ull << 44, at = 9;

	assert_int_equal(rig_write(a, 0, CHUNK, 1), 0);
	assert_int_equal(rig_write(a, far, CHUNK, 1), 0);
	assert_int_equal(rig_write(b, 0, 4 * CHUNK, 2), 0);
	assert_int_equal(copy(a, 100, b, 100, far + CHUNK - 100),
			 far + CHUNK - 100);
	rig_check(b, 0, 100, 2);
	rig_check(b, 100, CHUNK - 100, 1);
	rig_check(b, CHUNK, 4 * CHUNK, 0);
	rig_check(b, far, CHUNK, 1);
	assert_int_equal(file_seek(b, CHUNK, true, &at), 0);
	assert_int_equal(at, far);
	assert_int_equal(file_settle(b), 0);
	assert_int_equal(rig_stored(b), 2 * CHUNK);
	/* a hole at the end makes a file as long */
	assert_int_equal(file_truncate(a, far), 0);
	assert_int_equal(file_truncate(b, 0), 0);
	assert_int_equal(copy(a, 0, b, 0, far), far);
	assert_int_equal(rig_size(b), far);
	inode_put(a);
	inode_put(b);
}

/* Inline, packed, small: the bytes go, and no slice is left too many. */
static void small_pieces_are_copied(void **state)
{
	struct rig *r = *state;
	struct inode *a = rig_make(r), *b = rig_make(r);
	struct key slices = key_slice_ino(b->ino);

	assert_int_equal(rig_write(a, 0, 300, 1), 0);
	assert_int_equal(copy(a, 0, b, 0, CHUNK), 300);
	rig_check(b, 0, 300, 1);
	for (unsigned i = 0; i < 50; i++) {
		assert_int_equal(rig_write(a, 300 + 1000 * i, 900, 2), 0);
		assert_int_equal(file_settle(a), 0);
	}
	assert_int_equal(copy(a, 0, b, 0, CHUNK), 300 + 49 * 1000 + 900);
	assert_int_equal(file_settle(b), 0);
	assert_true(rig_rows(r, &slices) < 5);
	for (unsigned i = 0; i < 50; i++)
		rig_check(b, 300 + 1000 * i, 900, 2);
	inode_put(a);
	inode_put(b);
}

/* Bytes that nobody stored come before the end of the copy. */
static void the_size_of_a_copy_runs_ahead_of_no_byte(void **state)
{
	struct rig *r = *state;
	struct inode *a = rig_make(r), *b = rig_make(r);
	uint64_t ino = b->ino;

	assert_int_equal(rig_write(a, 0, CHUNK, 1), 0);
	assert_int_equal(rig_write(b, 0, 1000, 2), 0);
	assert_int_equal(copy(a, 0, b, 3 * CHUNK, CHUNK), CHUNK);
	assert_int_equal(meta_sync(r->meta, meta_open_number(r->meta)), 0);
	rig_crash(r);
	b = rig_get(r, ino);
	assert_int_equal(rig_size(b), 4 * CHUNK);
	rig_check(b, 0, 1000, 2);
	rig_check(b, 1000, 3 * CHUNK - 1000, 0);
	check_moved(b, 3 * CHUNK, 0, CHUNK, 1);
	inode_put(b);
}

/* Who asked for three copies has three, whatever the source has. */
static void a_file_of_another_policy_gets_its_own_extents(void **state)
{
	struct rig *r = *state;
	struct inode *a = rig_make(r), *b = rig_make(r);
	const struct policy *c3 = extents_policy_named(r->extents, "c3");
	struct extent_rec rec;
	unsigned n;

	assert_non_null(c3);
	b->rec.policy = c3->id;
	assert_int_equal(rig_write(a, 0, 50 * CHUNK, 1), 0);
	assert_int_equal(file_settle(a), 0);
	n = extents(r);
	assert_int_equal(copy(a, 0, b, 0, 50 * CHUNK), 50 * CHUNK);
	/* as other writes, it is stored when that is due */
	assert_int_equal(extents(r), n);
	assert_int_equal(file_settle(b), 0);
	rig_check(b, 0, 50 * CHUNK, 1);
	for (uint64_t i = 0; i < 50; i++) {
		assert_int_equal(
		    extent_record(r->extents, rig_extent(r, b->ino, i), &rec),
		    0);
		assert_int_equal(rec.policy, c3->id);
	}
	inode_put(a);
	inode_put(b);
}

static void a_large_copy_goes_in_steps(void **state)
{
	struct rig *r = *state;
	struct inode *a = rig_make(r), *b = rig_make(r);
	uint64_t size = 700ull * CHUNK;
	unsigned n;

	for (uint64_t off = 0; off < size; off += 10 * CHUNK) {
		assert_int_equal(rig_write(a, off, 10 * CHUNK, 1), 0);
		assert_int_equal(file_settle(a), 0);
	}
	n = extents(r);
	assert_int_equal(copy(a, 0, b, 100, size), size);
	assert_int_equal(extents(r), n);
	check_moved(b, 100, 0, size, 1);
	inode_put(a);
	inode_put(b);
}

/* So many slices of one extent that no batch takes all of them away. */
static void slices_of_one_extent_go_in_any_order(void **state)
{
	struct rig *r = *state;
	struct inode *a = rig_make(r), *b = rig_make(r);
	struct key refs = key_kind('R'), live = key_kind('L');
	unsigned n = extents(r), other = rig_rows(r, &refs);
	uint64_t len = CHUNK, all = 4096ull * CHUNK;

	assert_int_equal(rig_write(a, 0, CHUNK, 1), 0);
	assert_int_equal(copy(a, 0, b, 0, CHUNK), CHUNK);
	for (; len < all; len *= 2)
		assert_int_equal(copy(b, 0, b, len, len), len);
	assert_int_equal(copy(b, 0, a, 0, all / 2), all / 2);
	assert_int_equal(extents(r), n + 1);
	assert_int_equal(rig_rows(r, &refs), other + all / CHUNK / 2 * 3);
	/* some from the middle, from the end to the front, and the rest */
	assert_int_equal(
	    file_allocate(b, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			  all / 4, all / 2, NULL),
	    0);
	for (uint64_t off = all / 2; off > all / 4; off -= 100 * CHUNK)
		assert_int_equal(file_truncate(a, off), 0);
	check_moved(b, all - CHUNK, 0, CHUNK, 1);
	assert_int_equal(file_truncate(b, 0), 0);
	assert_int_equal(extents(r), n + 1);
	check_moved(a, all / 8, 0, CHUNK, 1);
	assert_int_equal(file_truncate(a, 1), 0);
	assert_int_equal(extents(r), n + 1);
	assert_int_equal(file_truncate(a, 0), 0);
	assert_int_equal(extents(r), n);
	assert_int_equal(rig_rows(r, &refs), other);
	assert_int_equal(rig_rows(r, &live), n);
	inode_put(a);
	inode_put(b);
}

#define ROUNDS 300u

struct both {
	struct inode *in[2];
	unsigned which;
	atomic_bool failed;
};

static bool may_fail(int r)
{
	return r == 0 || r == -EINVAL;
}

/* Copies from one to the other, within it, writes, holes and cuts. */
static void *change_both(void *arg)
{
	struct both *b = arg;
	unsigned which = __atomic_fetch_add(&b->which, 1, __ATOMIC_RELAXED);
	struct inode *from = b->in[which % 2], *to = b->in[1 - which % 2];
	uint64_t rng = which + 1, n;

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t at, to_at, len;
		int r;

		rng = hash_u64(rng);
		at = rng % (8 * CHUNK);
		to_at = rng / 7 % (8 * CHUNK);
		len = rng / 77 % (4 * CHUNK);
		switch (rng / 777 % 6) {
		case 0:
			r = rig_write(from, at, len, 1);
			break;
		case 1:
			r = file_allocate(
			    to, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at,
			    len + 1, NULL);
			break;
		case 2:
			r = file_truncate(from, at);
			break;
		case 3:
			r = file_copy_range(to, at, to, to_at, len, &n);
			break;
		case 4:
			r = file_settle(from);
			break;
		default:
			r = file_copy_range(from, at, to, to_at, len, &n);
		}
		if (!may_fail(r))
			atomic_store(&b->failed, true);
	}
	return NULL;
}

static unsigned extents_before;

static bool all_is_freed(struct rig *r)
{
	return extents(r) == extents_before;
}

static void copies_both_ways_wait_for_each_other_in_turn(void **state)
{
	struct rig *r = *state;
	struct key refs = key_kind('R'), live = key_kind('L');
	struct both b = { .which = 0 };
	pthread_t threads[4];
	unsigned n;

	rig_free(r);
	rig_new(r, 2, 0);
	extents_before = extents(r);
	n = rig_rows(r, &refs);
	b.in[0] = rig_make(r);
	b.in[1] = rig_make(r);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, change_both, &b), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_false(atomic_load(&b.failed));
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(file_sync(b.in[i], false), 0);
	assert_int_equal(rig_rows(r, &refs) - n,
			 rig_slices(r, b.in[0]->ino, SLICE_EXTENT) +
			     rig_slices(r, b.in[1]->ino, SLICE_EXTENT));
	for (unsigned i = 0; i < 2; i++) {
		rig_unlink(r, b.in[i]);
		inode_put(b.in[i]);
	}
	rig_wait(r, all_is_freed);
	assert_int_equal(rig_rows(r, &refs), n);
	assert_int_equal(rig_rows(r, &live), extents_before);
}

static void ranges_that_can_not_be_are_refused(void **state)
{
	struct rig *r = *state;
	struct inode *a = rig_make(r), *b = rig_make(r);
	uint64_t n = 9;

	assert_int_equal(copy(a, 0, b, 0, 10), 0);
	assert_int_equal(rig_write(a, 0, 10, 1), 0);
	assert_int_equal(copy(a, 10, b, 0, 10), 0);
	assert_int_equal(rig_size(b), 0);
	assert_int_equal(file_copy_range(a, 0, b, INT64_MAX, 1, &n), -EFBIG);
	assert_int_equal(file_copy_range(a, UINT64_MAX, b, 0, 1, &n), -EFBIG);
	assert_int_equal(file_copy_range(a, 0, b, 0, UINT64_MAX, &n), -EFBIG);
	inode_put(a);
	inode_put(b);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_copy_shares_every_extent),
		TEST(the_last_of_two_files_frees_what_they_share),
		TEST(a_copy_need_not_be_aligned),
		TEST(parts_of_one_file_are_copied_within_it),
		TEST(holes_are_copied_as_holes),
		TEST(small_pieces_are_copied),
		TEST(the_size_of_a_copy_runs_ahead_of_no_byte),
		TEST(a_file_of_another_policy_gets_its_own_extents),
		TEST(a_large_copy_goes_in_steps),
		TEST(slices_of_one_extent_go_in_any_order),
		TEST(copies_both_ways_wait_for_each_other_in_turn),
		TEST(ranges_that_can_not_be_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
