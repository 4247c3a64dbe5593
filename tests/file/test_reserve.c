/* SPDX-License-Identifier: Apache-2.0 */
/* Room that is reserved for a file, and zeros over ranges of it. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#define KEEP FALLOC_FL_KEEP_SIZE
#define ZERO FALLOC_FL_ZERO_RANGE
#define HOLE (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define MIB  ((uint64_t)1 << 20)

/* Small disks, and workers that make room. */
static int set_up_small(void **state)
{
	return rig_begin(state, 2, 48 * MIB);
}

/* The same, but nothing is stored by itself. */
static int set_up_still(void **state)
{
	return rig_begin(state, 0, 48 * MIB);
}

/* Disks on which there is plenty of room. */
static int set_up_large(void **state)
{
	return rig_begin(state, 0, 256 * MIB);
}

/* What is dirty over what is stored is a guess until it is stored itself. */
static uint64_t stored(struct inode *in)
{
	struct dynfs_attr a;

	inode_attr(in, &a);
	if (!a.unsettled)
		return a.stored_bytes;
	assert_int_equal(file_settle(in), 0);
	inode_attr(in, &a);
	assert_false(a.unsettled);
	return a.stored_bytes;
}

static void is_hole(struct inode *in, uint64_t off)
{
	uint64_t at = 0;

	assert_int_equal(file_seek(in, off, false, &at), 0);
	assert_int_equal(at, off);
}

static void reserved_room_is_zeros_and_counts_as_stored(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);
	uint64_t ino = in->ino, size = 3 * CHUNK;

	assert_int_equal(file_allocate(in, 0, 0, size, NULL), 0);
	for (int pass = 0; pass < 2; pass++) {
		assert_int_equal(rig_size(in), size);
		assert_int_equal(stored(in), size);
		assert_int_equal(files_reserved(r->files), size);
		rig_check(in, 0, size, 0);
		is_hole(in, 0);
		assert_int_equal(rig_slices(r, ino, SLICE_RESERVED), 3);
		assert_int_equal(file_sync(in, false), 0);
		inode_put(in);
		rig_crash(r);
		in = rig_get(r, ino);
	}
	/* what is written takes its place */
	assert_int_equal(rig_write(in, CHUNK - 500, 1000, 1), 0);
	assert_false(rig_is_clean(in));
	assert_int_equal(stored(in), size);
	assert_int_equal(files_reserved(r->files), size - 1000);
	rig_check(in, 0, CHUNK - 500, 0);
	rig_check(in, CHUNK - 500, 1000, 1);
	rig_check(in, CHUNK + 500, size - CHUNK - 500, 0);
	/* twice is once */
	assert_int_equal(file_allocate(in, 0, 0, size, NULL), 0);
	assert_int_equal(files_reserved(r->files), size - 1000);
	inode_put(in);
}

static bool nothing_reserved(struct rig *r)
{
	return !files_reserved(r->files);
}

static void it_is_given_back_by_holes_cuts_and_removal(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);
	uint64_t size = 8 * CHUNK;

	assert_int_equal(file_allocate(in, KEEP, 0, size, NULL), 0);
	assert_int_equal(rig_size(in), 0);
	assert_int_equal(stored(in), size);
	assert_int_equal(file_allocate(in, HOLE, 6 * CHUNK, 10 * CHUNK, NULL),
			 0);
	assert_int_equal(files_reserved(r->files), 6 * CHUNK);
	assert_int_equal(file_truncate(in, 3 * CHUNK), 0);
	assert_int_equal(files_reserved(r->files), 6 * CHUNK);
	assert_int_equal(file_truncate(in, CHUNK + 5), 0);
	assert_int_equal(files_reserved(r->files), CHUNK + 5);
	assert_int_equal(file_allocate(in, KEEP, 0, size, NULL), 0);
	/* to the same size: what is behind it goes, as on ext4 */
	assert_int_equal(file_truncate(in, CHUNK + 5), 0);
	assert_int_equal(files_reserved(r->files), CHUNK + 5);
	assert_int_equal(stored(in), CHUNK + 5);
	rig_unlink(r, in);
	inode_put(in);
	rig_wait(r, nothing_reserved);
}

static void whole_blocks_are_reserved_and_neighbours_are_one(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);
	uint64_t ino = in->ino;

	assert_int_equal(file_allocate(in, KEEP, 100, 1, NULL), 0);
	assert_int_equal(stored(in), 4096);
	for (unsigned i = 0; i < CHUNK; i += 2)
		if (i / 4096 % 2 == 0)
			assert_int_equal(file_allocate(in, KEEP, i, 1, NULL),
					 0);
	assert_int_equal(stored(in), CHUNK / 2);
	assert_int_equal(rig_slices(r, ino, SLICE_RESERVED), 8);
	for (unsigned i = 0; i < CHUNK / 4; i += 2)
		assert_int_equal(
		    file_allocate(in, ZERO, 3 * CHUNK / 4 + i, 1, NULL), 0);
	assert_true(rig_slices(r, ino, SLICE_RESERVED) <= 8);
	assert_int_equal(file_allocate(in, 0, 0, 2 * CHUNK, NULL), 0);
	assert_int_equal(rig_slices(r, ino, SLICE_RESERVED), 2);
	assert_int_equal(stored(in), 2 * CHUNK);
	inode_put(in);
}

/* Dirty, stored or nothing: zeros, for which room is kept. */
static void a_zeroed_range_is_reserved(void **state)
{
	struct rig *r = *state;
	struct key extents = key_kind('E');
	unsigned before = rig_rows(r, &extents);

	for (int how = 0; how < 6; how++) {
		struct inode *in = rig_make(r);
		uint64_t ino = in->ino, from = CHUNK - 7, to = 3 * CHUNK + 77;

		assert_int_equal(rig_write(in, 0, 3 * CHUNK, 1), 0);
		if (how % 2)
			assert_int_equal(file_settle(in), 0);
		assert_int_equal(file_allocate(in, ZERO | (how < 3 ? KEEP : 0),
					       from, to - from, NULL),
				 0);
		for (int pass = 0; pass < 2; pass++) {
			uint64_t size = how < 3 ? 3 * CHUNK : to;

			assert_int_equal(rig_size(in), size);
			rig_check(in, 0, from, 1);
			rig_check(in, from, size - from, 0);
			is_hole(in, from);
			assert_int_equal(stored(in), 3 * CHUNK + 4096);
			assert_int_equal(file_sync(in, false), 0);
			inode_put(in);
			rig_crash(r);
			in = rig_get(r, ino);
		}
		assert_int_equal(rig_rows(r, &extents), before + 1);
		assert_int_equal(file_truncate(in, 0), 0);
		inode_put(in);
	}
}

static void many_small_zeroed_ranges_keep_a_chunk_small(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);
	struct key slices = key_slice_ino(in->ino);

	assert_int_equal(rig_write(in, 0, CHUNK, 1), 0);
	assert_int_equal(file_settle(in), 0);
	for (unsigned i = 0; i < 500; i++) {
		assert_int_equal(file_allocate(in, ZERO, 100 * i, 50, NULL), 0);
		if (i % 10 == 9)
			assert_int_equal(file_settle(in), 0);
		assert_true(rig_rows(r, &slices) < 2 * CHUNK_SLICES_MAX);
	}
	for (unsigned i = 0; i < 500; i++) {
		rig_check(in, 100 * i, 50, 0);
		rig_check(in, 100 * i + 50, 50, 1);
	}
	assert_int_equal(stored(in), CHUNK);
	inode_put(in);
}

/* Bytes until there is no room for more. */
static uint64_t fill(struct inode *in)
{
	uint64_t off = 0;
	int r = 0;

	for (uint64_t n = MIB; n >= 4096; n /= 4)
		while ((r = rig_write(in, off, n, 3)) == 0)
			off += n;
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(file_sync(in, false), 0);
	return off;
}

static void room_that_is_reserved_is_there_on_a_full_pool(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r), *other = rig_make(r);
	uint64_t size = 12 * MIB, ino = in->ino, filled;

	assert_int_equal(file_allocate(in, 0, 0, size, NULL), 0);
	filled = fill(other);
	assert_true(filled > 10 * MIB);
	/* others get nothing, and nobody gets more than was reserved */
	assert_int_equal(rig_write(other, filled, 65536, 4), -ENOSPC);
	assert_int_equal(rig_write(in, size, 65536, 4), -ENOSPC);
	inode_put(in);
	inode_put(other);
	rig_crash(r);
	in = rig_get(r, ino);
	/* in small pieces, in no order, with syncs */
	for (uint64_t i = 0; i < 64; i++) {
		assert_int_equal(rig_write(in, i * 37 % 64 * 65536, 4096, 5),
				 0);
		if (i % 8 == 7)
			assert_int_equal(file_sync(in, false), 0);
	}
	/* what is stored is written anew elsewhere, so leave that alone */
	for (uint64_t i = 0; i < 64; i++)
		assert_int_equal(
		    rig_write(in, i * 65536 + 4096, 65536 - 4096, 5), 0);
	for (uint64_t off = 4 * MIB; off < size; off += MIB / 2)
		assert_int_equal(rig_write(in, off, MIB / 2, 5), 0);
	assert_int_equal(file_sync(in, false), 0);
	assert_int_equal(files_reserved(r->files), 0);
	assert_int_equal(rig_write(in, size, 65536, 4), -ENOSPC);
	rig_check(in, 0, size, 5);
	inode_put(in);
}

static void what_does_not_fit_changes_nothing(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);
	uint64_t n;

	assert_int_equal(file_allocate(in, 0, 0, 1ull << 40, NULL), -ENOSPC);
	assert_int_equal(file_allocate(in, ZERO, 5, 16ull << 40, NULL),
			 -ENOSPC);
	assert_int_equal(rig_size(in), 0);
	assert_int_equal(stored(in), 0);
	assert_int_equal(files_reserved(r->files), 0);
	/* half, and again, as long as it fits */
	for (n = 0; file_allocate(in, 0, n * MIB, MIB, NULL) == 0; n++)
		assert_int_equal(files_reserved(r->files), (n + 1) * MIB);
	assert_true(n > 20);
	assert_int_equal(rig_size(in), n * MIB);
	/* and all of it goes at once */
	assert_int_equal(file_allocate(in, HOLE, 0, INT64_MAX, NULL), 0);
	assert_int_equal(files_reserved(r->files), 0);
	assert_int_equal(file_allocate(in, 0, 0, n * MIB, NULL), 0);
	inode_put(in);
}

/* Somebody who has gone when he is asked once more than so often. */
struct patience {
	struct dynfs_call call;
	unsigned left;
};

static int patience_is_over(void *ctx)
{
	struct patience *p = ctx;

	if (!p->left)
		return 1;
	p->left--;
	return 0;
}

static int allocate_until(struct inode *in, int mode, uint64_t len,
			  unsigned asked)
{
	struct patience p = { .call = { .size = sizeof(p.call),
					.ctx = &p,
					.gone = patience_is_over },
			      .left = asked };

	return file_allocate(in, mode, 0, len, &p.call);
}

/* In steps: what is done by then is done, and nothing else is kept. */
static void who_is_gone_reserves_no_more(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);
	uint64_t all = 64 * MIB, ino = in->ino, part;
	unsigned parts = 0, asked = 0;

	while (allocate_until(in, 0, all, asked) == -EINTR) {
		part = stored(in);
		assert_true(part < all);
		parts += part > 0;
		assert_int_equal(files_reserved(r->files), part);
		assert_int_equal(rig_size(in), 0);
		assert_int_equal(file_sync(in, false), 0);
		inode_put(in);
		rig_crash(r);
		in = rig_get(r, ino);
		assert_int_equal(files_reserved(r->files), part);
		assert_int_equal(stored(in), part);
		asked++;
		assert_int_equal(file_allocate(in, HOLE, 0, all, NULL), 0);
		assert_int_equal(files_reserved(r->files), 0);
	}
	assert_true(parts > 1);
	assert_int_equal(rig_size(in), all);
	assert_int_equal(files_reserved(r->files), all);
	/* and a hole is no more than a part of it, too */
	assert_int_equal(allocate_until(in, HOLE, all, 2), -EINTR);
	part = files_reserved(r->files);
	assert_true(part > 0 && part < all);
	assert_int_equal(allocate_until(in, HOLE, all, 100), 0);
	assert_int_equal(files_reserved(r->files), 0);
	inode_put(in);
}

/* What one file has reserved is no matter of others. */
static void what_others_reserve_makes_no_size_a_guess(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r), *other = rig_make(r);
	struct dynfs_attr a;

	assert_int_equal(file_allocate(in, 0, 0, CHUNK, NULL), 0);
	assert_int_equal(rig_write(other, 0, 5000, 1), 0);
	inode_attr(other, &a);
	assert_int_equal(a.stored_bytes, 5000);
	assert_false(a.unsettled);
	assert_int_equal(rig_write(in, CHUNK - 1000, 3000, 1), 0);
	inode_attr(in, &a);
	assert_true(a.unsettled);
	assert_int_equal(stored(in), CHUNK + 2000);
	inode_put(in);
	inode_put(other);
}

/* Room is remembered for a while, but not what was stored meanwhile. */
static void room_that_was_there_a_moment_ago_is_not_reserved(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r), *other = rig_make(r);
	uint64_t total, room, keep;

	assert_int_equal(rig_write(other, 0, CHUNK, 1), 0);
	extents_capacity(r->extents, extents_policy_default(r->extents), &total,
			 &room);
	keep = extents_reserve(total);
	for (uint64_t off = 0; off < 32 * MIB; off += MIB) {
		assert_int_equal(rig_write(other, off, MIB, 1), 0);
		assert_int_equal(file_settle(other), 0);
	}
	assert_int_equal(file_allocate(in, 0, 0, room - keep - 16 * MIB, NULL),
			 -ENOSPC);
	assert_int_equal(files_reserved(r->files), 0);
	assert_int_equal(file_allocate(in, 0, 0, room - keep - 64 * MIB, NULL),
			 0);
	inode_put(in);
	inode_put(other);
}

/* By who writes: others ask, too, and what they are told is known a while. */
static struct asked {
	pthread_t writer;
	struct inode *in;
	unsigned left;
} asked;

/* What others may take; the log gives nothing back for a while. */
static uint64_t room_now(struct rig *r)
{
	uint64_t total, room;

	assert_int_equal(meta_checkpoint(r->meta), 0);
	simos_advance(r->sim, 1000000000); /* what was known is old */
	extents_capacity(r->extents, extents_policy_default(r->extents), &total,
			 &room);
	return room - extents_reserve(total) - files_reserved(r->files);
}

static void settle_while_it_is_asked(struct rig *r)
{
	if (!pthread_equal(asked.writer, pthread_self()) || asked.left--)
		return;
	atomic_store(&r->on_space, NULL);
	assert_int_equal(file_settle(asked.in), 0);
}

/*
 * What others store in their reserved room while the disks are asked is in
 * neither sum, if these are asked first.
 */
static void room_that_is_used_meanwhile_is_nobody_elses(void **state)
{
	struct rig *r = *state;
	struct inode *other = rig_make(r);

	for (unsigned i = 0; i < 3; i++) {
		struct inode *in = rig_make(r);
		uint64_t more;

		assert_int_equal(file_allocate(in, 0, 0, 8 * MIB, NULL), 0);
		assert_int_equal(rig_write(in, 0, 8 * MIB, 2), 0);
		/* half of that is too much, whatever the log takes */
		more = room_now(r) + 4 * MIB;
		asked = (struct asked){ pthread_self(), in, i };
		atomic_store(&r->on_space, settle_while_it_is_asked);
		for (int j = 0; j < 100 && atomic_load(&r->on_space); j++) {
			simos_advance(r->sim, 1000000000);
			assert_int_equal(rig_write(other, 0, more, 1), -ENOSPC);
		}
		assert_null(atomic_load(&r->on_space));
		assert_true(rig_is_clean(in));
		assert_int_equal(files_reserved(r->files), 0);
		inode_put(in);
	}
	inode_put(other);
}

#define PIECE 16384u /* goes into the metadata, with a sync */

/* What is reserved is kept until there are extents, and not only a record. */
static void synced_bytes_keep_their_room_until_they_have_moved(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r), *other = rig_make(r);
	uint64_t ino = in->ino, synced = 0;

	assert_int_equal(file_allocate(in, 0, 0, 8 * MIB, NULL), 0);
	for (; synced < 4 * MIB; synced += PIECE) {
		assert_int_equal(rig_write(in, synced, PIECE, 1), 0);
		assert_int_equal(file_sync(in, false), 0);
		assert_true(rig_is_clean(in));
	}
	assert_int_equal(rig_slices(r, ino, SLICE_EXTENT), 0);
	assert_int_equal(files_reserved(r->files), 8 * MIB);
	assert_int_equal(rig_write(other, 0, room_now(r) + 3 * MIB, 2),
			 -ENOSPC);
	/* a hole and a cut take it away like anything else */
	assert_int_equal(file_allocate(in, HOLE, 0, MIB, NULL), 0);
	assert_int_equal(files_reserved(r->files), 7 * MIB);
	assert_int_equal(file_settle(in), 0);
	assert_int_equal(rig_slices(r, ino, SLICE_INLINE), 0);
	assert_int_equal(files_reserved(r->files), 4 * MIB);
	assert_int_equal(stored(in), 7 * MIB);
	rig_check(in, MIB, 3 * MIB, 1);
	assert_int_equal(rig_write(in, 4 * MIB, PIECE, 1), 0);
	assert_int_equal(file_sync(in, false), 0);
	assert_int_equal(files_reserved(r->files), 4 * MIB);
	assert_int_equal(file_truncate(in, 4 * MIB), 0);
	assert_int_equal(files_reserved(r->files), 0);
	assert_int_equal(rig_write(in, 4 * MIB, PIECE, 1), 0);
	assert_int_equal(file_sync(in, false), 0);
	assert_int_equal(files_reserved(r->files), PIECE);
	rig_unlink(r, in);
	inode_put(in);
	inode_put(other);
	rig_refresh(r);
	assert_int_equal(files_reserved(r->files), 0);
}

/* The index of a small pool has no room for all that somebody syncs. */
static void only_so_much_of_it_waits_in_the_metadata(void **state)
{
	struct rig *r = *state;
	struct inode *in, *other;

	r->how.inline_most_bytes = 4ull * PIECE;
	rig_refresh(r);
	in = rig_make(r);
	other = rig_make(r);
	assert_int_equal(file_allocate(in, 0, 0, MIB, NULL), 0);
	for (unsigned i = 0; i < 10; i++) {
		struct inode *of = i % 2 ? in : other;

		assert_int_equal(rig_write(of, i * PIECE, PIECE, 1), 0);
		assert_int_equal(file_sync(of, false), 0);
	}
	assert_int_equal(rig_slices(r, in->ino, SLICE_INLINE), 2);
	assert_int_equal(rig_slices(r, other->ino, SLICE_INLINE), 2);
	for (unsigned i = 0; i < 10; i++)
		rig_check(i % 2 ? in : other, i * PIECE, PIECE, 1);
	assert_int_equal(file_settle(in), 0);
	assert_int_equal(file_settle(other), 0);
	assert_int_equal(rig_write(in, 0, PIECE, 2), 0);
	assert_int_equal(file_sync(in, false), 0);
	assert_int_equal(rig_slices(r, in->ino, SLICE_INLINE), 1);
	/* those that stay there for good do not count */
	for (unsigned i = 0; i < 300; i++) {
		struct inode *small = rig_make(r);

		assert_int_equal(rig_write(small, 0, 512, 3), 0);
		assert_int_equal(file_sync(small, false), 0);
		assert_int_equal(rig_slices(r, small->ino, SLICE_INLINE), 1);
		inode_put(small);
	}
	assert_int_equal(rig_write(other, 0, PIECE, 2), 0);
	assert_int_equal(file_sync(other, false), 0);
	assert_int_equal(rig_slices(r, other->ino, SLICE_INLINE), 1);
	inode_put(in);
	inode_put(other);
}

static void ranges_that_can_not_be_are_refused(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);
	static const int modes[] = { 0, KEEP, ZERO, ZERO | KEEP };

	for (unsigned i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		assert_int_equal(file_allocate(in, modes[i], 0, 0, NULL),
				 -EINVAL);
		assert_int_equal(
		    file_allocate(in, modes[i], INT64_MAX, 1, NULL), -EFBIG);
		assert_int_equal(
		    file_allocate(in, modes[i], 1, UINT64_MAX, NULL), -EFBIG);
		assert_int_equal(
		    file_allocate(in, modes[i], INT64_MAX - 1, 1, NULL), 0);
	}
	assert_int_equal(file_allocate(in, FALLOC_FL_PUNCH_HOLE, 0, 1, NULL),
			 -EOPNOTSUPP);
	assert_int_equal(
	    file_allocate(in, ZERO | FALLOC_FL_PUNCH_HOLE, 0, 1, NULL),
	    -EOPNOTSUPP);
	inode_put(in);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)
#define SMALL(name)                                                            \
	cmocka_unit_test_setup_teardown(name, set_up_small, rig_tear_down)
#define STILL(name)                                                            \
	cmocka_unit_test_setup_teardown(name, set_up_still, rig_tear_down)
#define LARGE(name)                                                            \
	cmocka_unit_test_setup_teardown(name, set_up_large, rig_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(reserved_room_is_zeros_and_counts_as_stored),
		SMALL(it_is_given_back_by_holes_cuts_and_removal),
		TEST(whole_blocks_are_reserved_and_neighbours_are_one),
		TEST(a_zeroed_range_is_reserved),
		TEST(many_small_zeroed_ranges_keep_a_chunk_small),
		SMALL(room_that_is_reserved_is_there_on_a_full_pool),
		SMALL(what_does_not_fit_changes_nothing),
		LARGE(who_is_gone_reserves_no_more),
		TEST(what_others_reserve_makes_no_size_a_guess),
		LARGE(room_that_was_there_a_moment_ago_is_not_reserved),
		STILL(room_that_is_used_meanwhile_is_nobody_elses),
		STILL(synced_bytes_keep_their_room_until_they_have_moved),
		TEST(only_so_much_of_it_waits_in_the_metadata),
		TEST(ranges_that_can_not_be_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
