/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept in memory, and that it is bounded. */
#include "rig.h"

#include <errno.h>
#include <string.h>
#include <time.h>

/* Again with so much memory and so many threads. */
static void again(struct rig *r, uint64_t memory, unsigned n_threads)
{
	r->how.memory_bytes = memory;
	r->how.n_threads = n_threads;
	rig_refresh(r);
}

static void lookups_are_counted_by_number(void **state)
{
	struct rig *r = *state;
	uint64_t bytes;

	for (uint64_t ino = 2; ino < 20002; ino++)
		for (uint64_t i = 0; i < 1 + ino % 3; i++)
			known_add(r->files, ino);
	assert_int_equal(known_count(r->files, &bytes), 20000);
	assert_true(bytes <= 20000 * 28);
	for (uint64_t ino = 2; ino < 20002; ino++)
		assert_int_equal(known_state(r->files, ino), KNOWN_YES);
	assert_int_equal(known_state(r->files, 20002), KNOWN_NO);
	/* in another order, in two steps, and more than there are */
	for (uint64_t i = 0; i < 20000; i++) {
		uint64_t ino = 2 + i * 7919 % 20000;
		bool left = ino % 3 != 0;

		assert_int_equal(known_sub(r->files, ino, 1), !left);
		assert_int_equal(known_state(r->files, ino),
				 left ? KNOWN_YES : KNOWN_NO);
	}
	for (uint64_t ino = 2; ino < 20002; ino++)
		assert_true(known_sub(r->files, ino, 9));
	assert_int_equal(known_count(r->files, &bytes), 0);
	assert_true(bytes <= 16 * 32 * 16);
}

static void a_frontend_that_knows_too_many_costs_no_more(void **state)
{
	struct rig *r = *state;
	uint64_t bytes, n;

	for (uint64_t ino = 2; ino < 200002; ino++)
		known_add(r->files, ino);
	n = known_count(r->files, &bytes);
	assert_true(n > 30000 && n < 200000);
	assert_true(bytes <= r->how.memory_bytes / 8);
	for (uint64_t ino = 2; ino < 200002; ino++)
		assert_int_not_equal(known_state(r->files, ino), KNOWN_NO);
	/* as many given back as given: all is exact again */
	for (uint64_t ino = 2; ino < 200002; ino++)
		assert_true(known_sub(r->files, ino, 1));
	for (uint64_t ino = 2; ino < 200002; ino++)
		assert_int_equal(known_state(r->files, ino), KNOWN_NO);
}

static bool few_inodes(struct rig *r)
{
	struct files_status s;

	files_status(r->files, &s);
	return s.inodes * sizeof(struct inode) <= r->how.memory_bytes / 8;
}

static void an_inode_that_nobody_uses_goes_when_memory_is_short(void **state)
{
	struct rig *r = *state;
	struct files_status s;
	uint64_t first = 0, last = 0;

	again(r, 1 << 20, 1);
	for (int i = 0; i < 2000; i++) {
		struct inode *in = rig_make(r);

		inode_know(in);
		assert_int_equal(rig_write(in, 0, 300, 1), 0);
		first = first ? first : in->ino;
		last = in->ino;
		inode_put(in);
	}
	assert_int_equal(files_sync(r->files), 0);
	rig_wait(r, few_inodes);
	files_status(r->files, &s);
	assert_int_equal(s.known, 2000);
	assert_true(s.inodes > 50);
	for (uint64_t ino = first; ino <= last; ino++) {
		struct inode *in = rig_get(r, ino);

		rig_check(in, 0, 300, 1);
		inode_put(in);
		files_forget(r->files, ino, 1);
	}
	files_status(r->files, &s);
	assert_int_equal(s.known, 0);
	assert_true(few_inodes(r));
}

static void maps_of_open_files_have_their_share(void **state)
{
	struct rig *r = *state;
	struct inode *in[8];

	again(r, 1 << 20, 0);
	for (int i = 0; i < 8; i++) {
		in[i] = rig_make(r);
		for (uint64_t k = 0; k < 300; k++) {
			assert_int_equal(rig_write(in[i], k * CHUNK, 600, 1),
					 0);
			if (k % 100 == 99)
				assert_int_equal(file_settle(in[i]), 0);
		}
	}
	for (int pass = 0; pass < 2; pass++)
		for (int i = 0; i < 8; i++)
			for (uint64_t k = 0; k < 300; k++) {
				rig_check(in[i], k * CHUNK, 600, 1);
				assert_true(atomic_load(&r->files->map_bytes) <=
					    (1 << 17) + 1024);
			}
	for (int i = 0; i < 8; i++)
		inode_put(in[i]);
}

static uint64_t stale(struct files *f)
{
	uint64_t n;

	(void)pthread_mutex_lock(&f->lock);
	n = f->n_stale;
	(void)pthread_mutex_unlock(&f->lock);
	return n;
}

static void a_time_of_access_is_stored_before_the_inode_goes(void **state)
{
	struct rig *r = *state;
	uint64_t ino[600];
	struct inode *in;

	again(r, 1 << 20, 1);
	for (int i = 0; i < 600; i++) {
		in = rig_make(r);
		ino[i] = in->ino;
		(void)pthread_mutex_lock(&in->lock);
		in->rec.atime.sec = 77;
		in->dirty_attr = true;
		(void)pthread_mutex_unlock(&in->lock);
		inode_put(in);
		if (i % 100 == 99) { /* the worker gets its time */
			simos_advance(r->sim, 20000000000u);
			for (int j = 0; j < 1000 && stale(r->files); j++) {
				struct timespec t = { .tv_nsec = 1000000 };

				(void)nanosleep(&t, NULL);
			}
		}
	}
	assert_true(few_inodes(r)); /* so some came from the disks */
	for (int i = 0; i < 600; i++) {
		in = rig_get(r, ino[i]);
		assert_int_equal(in->rec.atime.sec, 77);
		inode_put(in);
	}
}

/* Is the row of an inode there? */
static bool there(struct rig *r, uint64_t ino)
{
	struct key key = key_inode(ino);
	struct buf value = BUF_INIT;
	int e = meta_get(r->meta, key.data, key.len, &value);

	buf_done(&value);
	return e == 0;
}

static bool nothing_to_reclaim(struct rig *r)
{
	struct key intents = key_kind('O');

	return !rig_rows(r, &intents);
}

static void an_unlinked_file_stays_while_it_is_open_or_known(void **state)
{
	struct rig *r = *state;
	struct inode *in;
	struct key slices;
	uint64_t ino;

	again(r, 8 << 20, 1);
	in = rig_make(r);
	ino = in->ino;
	slices = key_slice_ino(ino);
	inode_know(in);
	inode_know(in);
	assert_int_equal(rig_write(in, 0, CHUNK + 100, 1), 0);
	rig_unlink(r, in);
	assert_int_equal(rig_write(in, CHUNK, 1000, 2), 0);
	assert_int_equal(file_sync(in, false), 0);
	rig_check(in, 0, CHUNK, 1);
	rig_check(in, CHUNK, 1000, 2);
	files_forget(r->files, ino, 1);
	inode_put(in);
	/* not open, known once: its number is good */
	in = rig_get(r, ino);
	rig_check(in, 0, CHUNK, 1);
	files_forget(r->files, ino, 1);
	/* not known, held: as an open file is */
	rig_check(in, CHUNK, 1000, 2);
	assert_true(there(r, ino));
	inode_put(in);
	rig_wait(r, nothing_to_reclaim);
	assert_false(there(r, ino));
	assert_int_equal(rig_rows(r, &slices), 0);
	assert_int_equal(inode_get(r->files, ino, &in), -ENOENT);
}

static void the_last_forget_reclaims_also_what_was_not_counted(void **state)
{
	struct rig *r = *state;
	struct inode *in;
	uint64_t ino;

	again(r, 8 << 20, 1);
	for (uint64_t i = 1000000; i < 1200000; i++)
		known_add(r->files, i);
	in = rig_make(r);
	ino = in->ino;
	inode_know(in);
	assert_int_equal(known_state(r->files, ino), KNOWN_MAYBE);
	rig_unlink(r, in);
	inode_put(in);
	assert_true(there(r, ino));
	in = rig_get(r, ino);
	assert_int_equal(rig_write(in, 0, 10, 1), 0);
	inode_put(in);
	files_forget(r->files, ino, 1);
	rig_wait(r, nothing_to_reclaim);
	assert_false(there(r, ino));
}

static void a_file_without_a_name_is_gone_after_a_crash(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);
	uint64_t ino = in->ino;

	inode_know(in);
	assert_int_equal(rig_write(in, 0, 3 * CHUNK, 1), 0);
	rig_unlink(r, in);
	assert_int_equal(file_sync(in, false), 0);
	r->how.n_threads = 1;
	rig_crash(r);
	rig_wait(r, nothing_to_reclaim);
	assert_false(there(r, ino));
}

static void many_removals_do_not_fill_the_memory(void **state)
{
	struct rig *r = *state;
	struct key intents = key_kind('O');

	for (int i = 0; i < 3 * (int)GONE_MOST; i++) {
		struct inode *in = rig_make(r);

		rig_unlink(r, in);
		inode_put(in);
	}
	/* nobody works on them yet */
	assert_true(r->files->n_inodes <= GONE_MOST);
	assert_int_equal(rig_rows(r, &intents), 3 * GONE_MOST);
	again(r, 8 << 20, 1);
	rig_wait(r, nothing_to_reclaim);
}

static void what_was_written_small_counts_with_what_describes_it(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);
	struct files_status s;

	for (uint64_t i = 0; i < 1000; i++)
		assert_int_equal(rig_write(in, i * CHUNK, 1, 1), 0);
	files_status(r->files, &s);
	assert_true(s.dirty_bytes >=
		    1000 * (512 + sizeof(struct run) + sizeof(struct chunk)));
	assert_int_equal(file_settle(in), 0);
	files_status(r->files, &s);
	assert_int_equal(s.dirty_bytes, 0);
	inode_put(in);
}

static void buffers_are_cut_and_come_together_again(void **state)
{
	struct rig *r = *state;
	struct space at[200];
	uint64_t all;

	for (unsigned i = 0; i < 200; i++) {
		assert_int_equal(space_new(r->files, 512u << i % 8, &at[i]), 0);
		memset(at[i].data, (int)i, at[i].cap);
	}
	all = space_bytes(r->files);
	for (unsigned i = 0; i < 200; i++) {
		for (uint32_t j = 0; j < at[i].cap; j++)
			assert_int_equal(at[i].data[j], (uint8_t)i);
		if (i % 3)
			space_free(r->files, &at[i]);
	}
	for (unsigned i = 0; i < 200; i++)
		if (i % 3)
			assert_int_equal(
			    space_new(r->files, 512u << i % 8, &at[i]), 0);
	assert_int_equal(space_bytes(r->files), all);
	for (unsigned i = 0; i < 200; i++)
		space_free(r->files, &at[i]);
	files_trim(r->files);
	assert_int_equal(space_bytes(r->files), 0);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lookups_are_counted_by_number),
		TEST(a_frontend_that_knows_too_many_costs_no_more),
		TEST(an_inode_that_nobody_uses_goes_when_memory_is_short),
		TEST(maps_of_open_files_have_their_share),
		TEST(a_time_of_access_is_stored_before_the_inode_goes),
		TEST(an_unlinked_file_stays_while_it_is_open_or_known),
		TEST(the_last_forget_reclaims_also_what_was_not_counted),
		TEST(a_file_without_a_name_is_gone_after_a_crash),
		TEST(many_removals_do_not_fill_the_memory),
		TEST(what_was_written_small_counts_with_what_describes_it),
		TEST(buffers_are_cut_and_come_together_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
