/* SPDX-License-Identifier: Apache-2.0 */
/* Full disks, disks that fail, and damaged records. */
#include "rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

/* All stores fail to write from now on; the logs do not. */
static void stores_fail(struct rig *r, int err)
{
	char path[16];

	for (int i = 1; i <= 5; i++) {
		struct simos_fault f = { .call = SIMOS_PWRITEV,
					 .prefix = path,
					 .nth = 1,
					 .err = err };

		(void)snprintf(path, sizeof(path), "/d%d/store", i);
		assert_int_equal(simos_inject(r->sim, &f), 0);
	}
}

static bool nothing_to_free(struct rig *r)
{
	struct key frees = key_kind('Z');

	return !rig_rows(r, &frees);
}

static void a_full_pool_is_told_at_write(void **state)
{
	struct rig *r = *state;
	struct inode *in;
	uint64_t n = 0;
	int e;

	rig_free(r);
	rig_new(r, 1, 24u << 20);
	in = rig_make(r);
	while (!(e = rig_write(in, n * CHUNK, CHUNK, 1)))
		assert_true(++n < 10000);
	assert_int_equal(e, -ENOSPC);
	/* all that was accepted is stored */
	assert_int_equal(file_sync(in, false), 0);
	assert_int_equal(rig_size(in), n * CHUNK);
	for (uint64_t i = 0; i < n; i++)
		rig_check(in, i * CHUNK, CHUNK, 1);
	/* room for the checkpoint of the end */
	assert_int_equal(file_truncate(in, 0), 0);
	assert_int_equal(meta_sync(r->meta, meta_open_number(r->meta)), 0);
	inode_put(in);
	rig_wait(r, nothing_to_free);
}

static void a_failed_flush_keeps_the_bytes_and_fsync_says_so(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);
	uint64_t ino = in->ino;

	assert_int_equal(rig_write(in, 0, CHUNK, 1), 0);
	stores_fail(r, -ENOSPC);
	assert_int_equal(file_sync(in, false), -ENOSPC);
	rig_check(in, 0, CHUNK, 1);
	/* later bytes win over those that could not be stored */
	assert_int_equal(rig_write(in, 100, 10, 2), 0);
	assert_int_equal(file_sync(in, false), -ENOSPC);
	simos_heal(r->sim);
	assert_int_equal(file_sync(in, false), 0);
	inode_put(in);
	rig_crash(r);
	in = rig_get(r, ino);
	rig_check(in, 0, 100, 1);
	rig_check(in, 100, 10, 2);
	rig_check(in, 110, CHUNK - 110, 1);
	inode_put(in);
}

static void a_batch_that_fails_frees_nothing(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);
	uint64_t ino = in->ino;
	struct key second;
	struct buf value = BUF_INIT;

	assert_int_equal(rig_write(in, 0, 2 * CHUNK, 1), 0);
	assert_int_equal(file_sync(in, false), 0);
	second = key_extent(rig_extent(r, ino, 1));
	buf_put8(&value, 99);
	rig_exchange(r, &second, &value);
	/* hides the first extent whole, and then meets the second's record */
	assert_int_equal(rig_write(in, 0, 2 * CHUNK, 2), 0);
	assert_int_equal(file_sync(in, false), -EUCLEAN);
	/* groups that confirm, so that what is to be freed is */
	for (int i = 0; i < 5; i++) {
		struct inode *other = rig_make(r);

		assert_int_equal(file_sync(other, false), 0);
		assert_int_equal(meta_sync(r->meta, meta_open_number(r->meta)),
				 0);
		inode_put(other);
	}
	rig_exchange(r, &second, &value);
	assert_int_equal(meta_sync(r->meta, meta_open_number(r->meta)), 0);
	buf_done(&value);
	extents_stop(r->extents); /* what was due is freed now */
	inode_put(in);
	rig_crash(r);
	in = rig_get(r, ino);
	rig_check(in, 0, 2 * CHUNK, 1);
	inode_put(in);
}

static void one_bad_inode_does_not_keep_others_from_the_disks(void **state)
{
	struct rig *r = *state;
	struct inode *bad = rig_make(r), *good = rig_make(r);
	uint64_t ino = good->ino, bad_ino = bad->ino;
	struct buf value = BUF_INIT;
	struct key key;

	assert_int_equal(rig_write(bad, 0, CHUNK, 1), 0);
	assert_int_equal(file_sync(bad, false), 0);
	key = key_extent(rig_extent(r, bad->ino, 0));
	buf_put8(&value, 99);
	rig_exchange(r, &key, &value);
	/* both in one flush of the background */
	inode_put(bad);
	inode_put(good);
	r->how.n_threads = 1;
	rig_refresh(r);
	bad = rig_get(r, bad_ino);
	good = rig_get(r, ino);
	assert_int_equal(rig_write(bad, 0, CHUNK, 2), 0);
	assert_int_equal(rig_write(good, 0, 1000, 2), 0);
	for (int i = 0; i < 300 && !rig_is_clean(good); i++) {
		struct timespec t = { .tv_nsec = 10000000 };

		simos_advance(r->sim, 10000000);
		(void)nanosleep(&t, NULL);
	}
	assert_int_equal(file_trouble(good), 0);
	assert_int_equal(rig_lost(good), 0);
	assert_int_equal(rig_slices(r, ino, SLICE_EXTENT), 1);
	rig_check(good, 0, 1000, 2);
	rig_exchange(r, &key, &value);
	buf_done(&value);
	assert_int_equal(file_sync(bad, false), 0);
	inode_put(bad);
	inode_put(good);
}

static void an_unreadable_slice_does_not_stop_writes_to_its_chunk(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);
	struct buf value = BUF_INIT;
	struct key key;

	assert_int_equal(rig_write(in, 0, CHUNK, 1), 0);
	assert_int_equal(file_sync(in, false), 0);
	key = key_extent(rig_extent(r, in->ino, 0));
	buf_put8(&value, 99);
	rig_exchange(r, &key, &value);
	for (unsigned i = 0; i < CHUNK_SLICES_MAX + 5; i++) {
		assert_int_equal(rig_write(in, 200 * i, 100, 2), 0);
		assert_int_equal(file_sync(in, false), 0);
	}
	rig_check(in, 200 * (CHUNK_SLICES_MAX + 4), 100, 2);
	rig_exchange(r, &key, &value);
	buf_done(&value);
	inode_put(in);
}

static void a_slice_beyond_its_chunk_is_damage(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);
	struct slice_rec rec = { .kind = SLICE_HOLE,
				 .offset = 10,
				 .length = CHUNK };
	struct key key = key_slice(in->ino, 0, 1);
	struct buf value = BUF_INIT;
	struct batch b;
	uint8_t byte;
	size_t n;

	assert_int_equal(file_truncate(in, CHUNK), 0);
	batch_init(&b);
	slice_rec_put(&value, &rec);
	batch_put(&b, key.data, key.len, value.data, value.len);
	assert_int_equal(meta_commit(r->meta, &b, NULL), 0);
	in->rec.sequence++; /* as of one that has a slice */
	assert_int_equal(file_read(in, 0, 1, &byte, &n), -EUCLEAN);
	batch_delete(&b, key.data, key.len);
	assert_int_equal(meta_commit(r->meta, &b, NULL), 0);
	batch_done(&b);
	buf_done(&value);
	inode_put(in);
}

static unsigned intents(struct rig *r)
{
	struct key all = key_kind('O');

	return rig_rows(r, &all);
}

static bool one_removal_is_done(struct rig *r)
{
	return intents(r) == 2;
}

static bool all_is_done(struct rig *r)
{
	return !intents(r);
}

/* What a cut that a crash has interrupted leaves, and a row that is damaged. */
static struct key interrupted_cut(struct rig *r, uint64_t ino)
{
	struct intent_rec rec = { .kind = INTENT_CUT, .sequence = 100 };
	struct key intent = key_intent(ino, INTENT_CUT);
	struct key slice = key_slice(ino, 5, 1);
	struct buf value = BUF_INIT;
	struct batch b;

	batch_init(&b);
	intent_rec_put(&value, &rec);
	batch_put(&b, intent.data, intent.len, value.data, value.len);
	batch_put(&b, slice.data, slice.len, "\xff", 1);
	assert_int_equal(meta_commit(r->meta, &b, NULL), 0);
	batch_done(&b);
	buf_done(&value);
	return slice;
}

static void damage_in_the_way_of_an_intent_does_not_stop_the_open(void **state)
{
	struct rig *r = *state;
	struct inode *cut = rig_make(r), *bad = rig_make(r), *in = rig_make(r);
	struct key slice = interrupted_cut(r, cut->ino);
	struct key record = key_inode(bad->ino), whole = key_inode(in->ino);
	struct slice_rec hole = { .kind = SLICE_HOLE, .length = CHUNK };
	struct buf value = BUF_INIT, good = BUF_INIT;

	rig_unlink(r, bad);
	rig_unlink(r, in);
	buf_put8(&value, 99);
	rig_exchange(r, &record, &value);
	assert_int_equal(meta_sync(r->meta, meta_open_number(r->meta)), 0);
	r->how.n_threads = 1;
	rig_crash(r);
	rig_wait(r, one_removal_is_done);
	assert_int_equal(rig_rows(r, &whole), 0);
	/* both end when the damage does */
	rig_exchange(r, &record, &value);
	slice_rec_put(&good, &hole);
	rig_exchange(r, &slice, &good);
	buf_done(&value);
	buf_done(&good);
	rig_refresh(r);
	rig_wait(r, all_is_done);
	assert_int_equal(rig_rows(r, &slice), 0);
}

/* The lengths of a record and those of its policy are used side by side. */
static void an_extent_in_another_form_than_its_policy_is_damage(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);
	uint64_t ino = in->ino;
	struct extents_status was, now;
	struct extent_rec rec;
	struct buf value = BUF_INIT;
	struct key key;
	uint8_t byte;
	size_t n;

	assert_int_equal(rig_write(in, 0, CHUNK, 1), 0);
	assert_int_equal(file_sync(in, false), 0);
	key = key_extent(rig_extent(r, in->ino, 0));
	assert_int_equal(meta_get(r->meta, key.data, key.len, &value), 0);
	assert_int_equal(extent_rec_get(value.data, value.len, &rec), 0);
	buf_clear(&value);
	rec.digest_len = 8; /* half of it: tables are half as long */
	extent_rec_put(&value, &rec);
	rig_exchange(r, &key, &value);
	extents_status(r->extents, &was);
	assert_int_equal(file_read(in, 0, 1, &byte, &n), -EIO);
	extents_status(r->extents, &now);
	/* nothing was read and compared */
	assert_int_equal(now.checksum_errors, was.checksum_errors);
	rig_exchange(r, &key, &value);
	buf_done(&value);
	inode_put(in);
	rig_close(r);
	rig_open(r);
	in = rig_get(r, ino);
	rig_check(in, 0, CHUNK, 1);
	inode_put(in);
}

static void a_cut_that_fails_changes_nothing(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);
	struct buf value = BUF_INIT;
	struct dynfs_attr was, now;
	struct key key;

	assert_int_equal(rig_write(in, 0, 2 * CHUNK, 1), 0);
	assert_int_equal(file_sync(in, false), 0);
	key = key_extent(rig_extent(r, in->ino, 1));
	buf_put8(&value, 99);
	rig_exchange(r, &key, &value);
	assert_int_equal(rig_write(in, CHUNK + 100, 10, 2), 0);
	inode_attr(in, &was);
	assert_int_equal(file_truncate(in, 0), -EUCLEAN);
	rig_exchange(r, &key, &value);
	buf_done(&value);
	inode_attr(in, &now);
	assert_int_equal(now.size_bytes, was.size_bytes);
	assert_int_equal(now.stored_bytes, was.stored_bytes);
	rig_check(in, 0, CHUNK + 100, 1);
	rig_check(in, CHUNK + 100, 10, 2);
	rig_check(in, CHUNK + 110, CHUNK - 110, 1);
	assert_int_equal(file_truncate(in, 0), 0);
	inode_put(in);
}

static void a_short_failure_loses_nothing_however_often_it_is_met(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);
	struct timespec t = { .tv_nsec = 30000000 };
	struct buf value = BUF_INIT;
	uint64_t ino = in->ino;
	struct key key;

	assert_int_equal(rig_write(in, 0, CHUNK, 1), 0);
	assert_int_equal(file_sync(in, false), 0);
	key = key_extent(rig_extent(r, ino, 0));
	inode_put(in);
	r->how.n_threads = 2;
	r->how.flush_ns = 200000000;
	rig_refresh(r);
	in = rig_get(r, ino);
	/* what it would hide can not be dropped for ten seconds, 20 tries */
	buf_put8(&value, 99);
	rig_exchange(r, &key, &value);
	assert_int_equal(rig_write(in, 0, CHUNK, 2), 0);
	for (int i = 0; i < 40; i++) {
		simos_advance(r->sim, 250000000);
		(void)nanosleep(&t, NULL);
	}
	assert_int_equal(file_trouble(in), -EUCLEAN);
	rig_exchange(r, &key, &value);
	buf_done(&value);
	assert_int_equal(file_sync(in, false), 0);
	/* it is stored now: nothing is left to be told */
	assert_int_equal(file_trouble(in), 0);
	assert_int_equal(rig_lost(in), 0);
	rig_check(in, 0, CHUNK, 2);
	inode_put(in);
}

/* Nothing is mapped while it is forbidden; freed small blocks may be used. */
static int write_without_memory(struct inode *in, void *data, size_t len)
{
	struct iovec iov = { data, len };
	struct rlimit was, none;
	int e;

	assert_int_equal(getrlimit(RLIMIT_AS, &was), 0);
	none = (struct rlimit){ 1, was.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_AS, &none), 0);
	e = file_write(in, 0, &iov, 1, false, NULL);
	assert_int_equal(setrlimit(RLIMIT_AS, &was), 0);
	return e;
}

static void a_write_without_memory_changes_nothing(void **state)
{
	struct rig *r = *state;
	struct inode *in, *other;
	struct space old[4];
	uint8_t *data;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
	skip(); /* they need memory of their own */
#endif
	in = rig_make(r);
	other = rig_make(r);
	data = malloc(10000);
	assert_non_null(data);
	rig_fill(data, 0, 10000, 3);
	/* pieces of 2 KiB are there, and full of old bytes; larger are not */
	for (int i = 0; i < 4; i++) {
		assert_int_equal(space_new(r->files, 2048, &old[i]), 0);
		memset(old[i].data, 0xee, 2048);
	}
	assert_int_equal(rig_write(other, 0, 2000, 1), 0);
	for (int i = 0; i < 4; i++)
		space_free(r->files, &old[i]);
	files_trim(r->files);
	for (uint64_t i = 0; i < 5; i++)
		assert_int_equal(rig_write(in, 1500 * i, 500, 1), 0);
	assert_int_equal(write_without_memory(in, data, 10000), -ENOMEM);
	free(data);
	for (uint64_t i = 0; i < 5; i++)
		rig_check(in, 1500 * i, 500, 1);
	for (uint64_t i = 0; i < 4; i++)
		rig_check(in, 1500 * i + 500, 1000, 0);
	assert_int_equal(rig_size(in), 6500);
	inode_put(other);
	inode_put(in);
}

static void
what_can_not_be_stored_at_all_is_told_once_and_given_up(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);
	struct timespec t = { .tv_nsec = 10000000 };
	struct buf value = BUF_INIT;
	uint64_t ino = in->ino;
	struct key key;

	assert_int_equal(rig_write(in, 0, CHUNK, 1), 0);
	assert_int_equal(file_sync(in, false), 0);
	key = key_extent(rig_extent(r, ino, 0));
	inode_put(in);
	r->how.n_threads = 1;
	rig_refresh(r);
	in = rig_get(r, ino);
	buf_put8(&value, 99);
	rig_exchange(r, &key, &value);
	assert_int_equal(rig_write(in, 0, CHUNK, 2), 0);
	for (int i = 0; i < 500 && !rig_is_clean(in); i++) {
		simos_advance(r->sim, 2000000000);
		(void)nanosleep(&t, NULL);
	}
	rig_exchange(r, &key, &value);
	buf_done(&value);
	assert_int_equal(rig_lost(in), -EUCLEAN);
	assert_int_equal(rig_lost(in), 0);
	assert_int_equal(file_trouble(in), 0);
	rig_check(in, 0, CHUNK, 1);
	inode_put(in);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_full_pool_is_told_at_write),
		TEST(a_failed_flush_keeps_the_bytes_and_fsync_says_so),
		TEST(a_batch_that_fails_frees_nothing),
		TEST(one_bad_inode_does_not_keep_others_from_the_disks),
		TEST(an_unreadable_slice_does_not_stop_writes_to_its_chunk),
		TEST(a_slice_beyond_its_chunk_is_damage),
		TEST(damage_in_the_way_of_an_intent_does_not_stop_the_open),
		TEST(an_extent_in_another_form_than_its_policy_is_damage),
		TEST(a_cut_that_fails_changes_nothing),
		TEST(a_short_failure_loses_nothing_however_often_it_is_met),
		TEST(a_write_without_memory_changes_nothing),
		TEST(what_can_not_be_stored_at_all_is_told_once_and_given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
