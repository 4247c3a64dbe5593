/* SPDX-License-Identifier: Apache-2.0 */
/* What only the segment store promises: files, space, calls. */
#include "segrig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N(a) (sizeof(a) / sizeof((a)[0]))

static void a_payload_is_read_with_one_call(void **state)
{
	struct rig *r = *state;
	struct frag f = frag_make(1, 600, 262144);
	uint64_t reads, any;

	assert_int_equal(frag_write(r, &f), 0);
	reads = simos_calls(r->sim, SIMOS_PREADV);
	any = simos_calls(r->sim, SIMOS_ANY);
	assert_int_equal(frag_read(r, &f, false, 0, 262144), 0);
	assert_int_equal(frag_read(r, &f, false, 16384, 16384), 0);
	assert_int_equal(simos_calls(r->sim, SIMOS_PREADV), reads + 2);
	assert_int_equal(simos_calls(r->sim, SIMOS_ANY), any + 2);
}

static void small_writes_of_one_vector_share_a_call(void **state)
{
	struct rig *r = *state;
	struct frag f[16];
	int res[16];
	uint64_t writes;

	write_all(r, f, 1, 1, 100);
	writes = simos_calls(r->sim, SIMOS_PWRITEV);
	for (uint32_t i = 0; i < N(f); i++)
		f[i] = frag_make(10 + i, 600, 4096);
	frags_write(r, f, res, N(f));
	assert_int_equal(simos_calls(r->sim, SIMOS_PWRITEV), writes + 1);
	for (uint32_t i = 0; i < N(f); i++)
		assert_int_equal(frag_check(r, &f[i]), 0);
}

static void one_sync_covers_a_group_of_writes(void **state)
{
	struct rig *r = *state;
	struct frag f[12];
	uint64_t syncs;

	write_all(r, f, 1, 1, 100);
	sync_all(r);
	syncs = simos_calls(r->sim, SIMOS_SYNC) +
		simos_calls(r->sim, SIMOS_SYNCDIR);
	write_all(r, f, N(f), 2, 262144);
	sync_all(r);
	assert_int_equal(simos_calls(r->sim, SIMOS_SYNC) +
			     simos_calls(r->sim, SIMOS_SYNCDIR),
			 syncs + 1);
}

static void full_segments_are_sealed_and_empty_ones_removed(void **state)
{
	struct rig *r = *state;
	enum { COUNT = 200 };
	static struct frag f[COUNT];
	struct names n;

	write_all(r, f, COUNT, 1, 262144);
	sync_all(r);
	n = names(r);
	assert_in_range(n.n_seg, 4, 12);
	assert_int_equal(n.n_open, 1);
	rig_close(r);
	assert_int_equal(names(r).n_open, 0);
	assert_int_equal(rig_open(r, 0), 0);
	for (uint32_t i = 0; i < COUNT; i++) {
		assert_int_equal(frag_check(r, &f[i]), 0);
		assert_int_equal(frag_free(r, &f[i]), 0);
	}
	sync_all(r);
	n = names(r);
	assert_int_equal(n.n_open + n.n_seg, 0);
	assert_in_range(simos_used(r->sim, "/disk"), 0, 16384);
}

static void frees_give_their_blocks_back(void **state)
{
	struct rig *r = *state;
	struct frag f[100];
	uint64_t full;

	write_all(r, f, N(f), 1, 262144);
	rig_close(r);
	assert_int_equal(rig_open(r, 0), 0);
	full = simos_used(r->sim, "/disk");
	for (uint32_t i = 0; i < N(f); i += 2)
		assert_int_equal(frag_free(r, &f[i]), 0);
	sync_all(r);
	assert_true(simos_used(r->sim, "/disk") < full - 50ull * 262144);
	for (uint32_t i = 1; i < N(f); i += 2)
		assert_int_equal(frag_check(r, &f[i]), 0);
}

static void small_fragments_share_pages_and_give_them_back(void **state)
{
	struct rig *r = *state;
	enum { COUNT = 500 };
	static struct frag f[COUNT];
	struct dynfs_store_space sp = { .size = sizeof(sp) };
	uint64_t full;

	write_all(r, f, COUNT, 1, 1000);
	rig_close(r);
	assert_int_equal(rig_open(r, 0), 0);
	full = simos_used(r->sim, "/disk");
	for (uint32_t i = 0; i < COUNT; i += 2)
		assert_int_equal(frag_free(r, &f[i]), 0);
	assert_int_equal(r->ops->space(r->self, &sp), 0);
	sync_all(r);
	assert_int_equal(r->ops->space(r->self, &sp), 0);
	assert_true(sp.stuck_bytes > COUNT / 2 * 1000);
	/* the reverse order, too, makes one hole */
	for (uint32_t i = COUNT - 1; i > 1; i -= 2)
		assert_int_equal(frag_free(r, &f[i]), 0);
	sync_all(r);
	assert_int_equal(frag_check(r, &f[1]), 0);
	assert_true(simos_used(r->sim, "/disk") < full - COUNT * 800ull);
}

static void a_number_is_never_used_twice(void **state)
{
	struct rig *r = *state;
	uint64_t last = 0;

	for (uint32_t k = 0; k < 6; k++) {
		struct frag f = frag_make(1, 100, 100000);

		assert_int_equal(frag_write(r, &f), 0);
		assert_true(f.place.w[0] >> 24 > last);
		last = f.place.w[0] >> 24;
		if (k % 2) {
			sync_all(r);
			assert_int_equal(frag_free(r, &f), 0);
			rig_close(r);
			assert_int_equal(names(r).n_seg, 0);
		} else {
			power_cut(r, k == 2 ? SIMOS_COIN : SIMOS_LOSE);
		}
		assert_int_equal(rig_open(r, 0), 0);
		/* late, and of a place that may have a new owner */
		assert_int_equal(frag_free(r, &f), 0);
	}
}

static void few_handles_are_kept_open(void **state)
{
	struct rig *r = *state;
	static const char *const kv[] = { "open-files=4", NULL };
	enum { COUNT = 400 };
	static struct frag f[COUNT];
	uint64_t rng = seed;

	rig_close(r);
	r->kv = kv;
	assert_int_equal(rig_open(r, 0), 0);
	write_all(r, f, COUNT, 1, 262144);
	sync_all(r);
	assert_in_range(names(r).n_seg, 10, 30);
	for (uint32_t i = 0; i < 300; i++) {
		assert_int_equal(
		    frag_read(r, &f[rnd(&rng) % COUNT], false, 1000, 5000), 0);
		/* and the superblock's */
		assert_in_range(simos_handles(r->sim), 1, 6);
	}
}

static void several_segments_can_be_open(void **state)
{
	struct rig *r = *state;
	static const char *const kv[] = { "open-segments=3", NULL };
	struct frag f[40];

	rig_close(r);
	r->kv = kv;
	assert_int_equal(rig_open(r, 0), 0);
	write_all(r, f, N(f), 1, 100000);
	for (uint32_t i = 0; i < N(f); i++)
		assert_int_equal(frag_check(r, &f[i]), 0);
	rig_close(r);
	assert_int_equal(rig_open(r, 0), 0);
	assert_int_equal(rig_list_total(r, 64), N(f));
}

static void short_transfers_are_completed(void **state)
{
	struct rig *r = *state;
	struct frag f[20];

	for (uint32_t i = 0; i < N(f); i++) {
		struct simos_fault w = { .call = SIMOS_PWRITEV,
					 .nth = 1,
					 .times = 3,
					 .short_bytes = 1 + i * 37 };
		struct simos_fault d = w;

		d.call = SIMOS_PREADV;
		assert_int_equal(simos_inject(r->sim, &w), 0);
		f[i] = frag_make(i + 1, 600, i % 2 ? 1000 : 100000);
		assert_int_equal(frag_write(r, &f[i]), 0);
		assert_int_equal(simos_inject(r->sim, &d), 0);
		assert_int_equal(frag_check(r, &f[i]), 0);
	}
}

static void a_vanished_disk_gives_errors_and_comes_back(void **state)
{
	struct rig *r = *state;
	struct frag f[10], x = frag_make(77, 0, 1000);

	write_all(r, f, N(f), 1, 100000);
	sync_all(r);
	assert_int_equal(simos_vanish(r->sim, "/disk", -EIO), 0);
	assert_int_equal(frag_write(r, &x), -EIO);
	assert_int_equal(frag_read(r, &f[0], false, 0, 10), -EIO);
	assert_int_equal(frag_free(r, &f[0]), -EIO);
	rig_close(r);
	simos_reappear(r->sim, "/disk");
	assert_int_equal(rig_open(r, 0), 0);
	for (uint32_t i = 0; i < N(f); i++)
		assert_int_equal(frag_check(r, &f[i]), 0);
}

static void fail_calls(struct rig *r, enum simos_call call, uint64_t nth,
		       uint64_t times)
{
	struct simos_fault f = {
		.call = call, .nth = nth, .times = times, .err = -ENOSPC
	};

	assert_int_equal(simos_inject(r->sim, &f), 0);
}

static void writes_that_fail_use_nothing_up(void **state)
{
	struct rig *r = *state;
	struct frag kept[4], f = frag_make(50, 600, 262144);
	uint64_t used;

	write_all(r, kept, 2, 1, 262144);
	used = simos_used(r->sim, "/disk");
	fail_calls(r, SIMOS_PWRITEV, 1, 0);
	for (uint32_t i = 0; i < 300; i++)
		assert_int_equal(frag_write(r, &f), -ENOSPC);
	assert_int_equal(simos_used(r->sim, "/disk"), used);
	simos_heal(r->sim);
	write_all(r, kept + 2, 2, 3, 262144);
	assert_int_equal(simos_used(r->sim, "/disk"), used);
	sync_all(r);
	power_cut(r, SIMOS_LOSE);
	assert_int_equal(rig_open(r, 0), 0);
	assert_int_equal(rig_list_total(r, 64), N(kept));
	for (uint32_t i = 0; i < N(kept); i++)
		assert_int_equal(frag_check(r, &kept[i]), 0);
}

/* Small ones share pages, so the first of the two is not written with it. */
static void a_write_that_failed_before_another_is_given_back(void **state)
{
	struct rig *r = *state;
	struct frag f[2] = { frag_make(1, 600, 64000),
			     frag_make(2, 600, 70000) };
	struct frag before;
	int res[2];

	write_all(r, &before, 1, 3, 100);
	fail_calls(r, SIMOS_PWRITEV, 1, 1);
	frags_write(r, f, res, N(f));
	simos_heal(r->sim);
	assert_int_equal(res[0], -ENOSPC);
	assert_int_equal(res[1], 0);
	rig_close(r);
	assert_in_range(simos_used(r->sim, "/disk"), 70000, 70000 + 40000);
	assert_int_equal(rig_open(r, 0), 0);
	assert_int_equal(rig_list_total(r, 64), 2);
	assert_int_equal(frag_check(r, &f[1]), 0);
}

/* Nor can it be removed, as on file systems that write to delete. */
static void a_segment_that_can_not_begin_reserves_nothing(void **state)
{
	struct rig *r = *state;
	struct frag f = frag_make(1, 600, 262144);
	uint64_t used = simos_used(r->sim, "/disk");

	for (uint32_t i = 0; i < 60; i++) {
		fail_calls(r, SIMOS_MUTATING, i % 3 + 1, 0);
		assert_int_equal(frag_write(r, &f), -ENOSPC);
		simos_heal(r->sim);
	}
	assert_in_range(simos_used(r->sim, "/disk"), used, used + 60 * 4096);
	assert_int_equal(frag_write(r, &f), 0);
	rig_close(r);
	assert_int_equal(rig_open(r, 0), 0);
	assert_int_equal(names(r).n_open, 0);
	assert_int_equal(frag_check(r, &f), 0);
}

static void a_segment_without_an_index_keeps_only_its_records(void **state)
{
	struct rig *r = *state;
	struct frag f[3];

	write_all(r, f, N(f), 1, 262144);
	fail_calls(r, SIMOS_PWRITEV, 1, 0);
	rig_close(r);
	simos_heal(r->sim);
	assert_in_range(simos_used(r->sim, "/disk"), 0, N(f) * 300000);
	assert_int_equal(rig_open(r, 0), 0);
	for (uint32_t i = 0; i < N(f); i++)
		assert_int_equal(frag_check(r, &f[i]), 0);
}

/* Its records are known, so who frees the last one need not wait. */
static void a_segment_without_an_index_goes_with_its_last_record(void **state)
{
	struct rig *r = *state;
	struct frag f[64];
	uint32_t n = 0;

	fail_calls(r, SIMOS_TRUNCATE, 1, 0); /* no index without it */
	while (names(r).n_open < 2) {
		assert_true(n < N(f));
		write_all(r, f + n, 1, 1 + n, 262144);
		n++;
	}
	simos_heal(r->sim);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(frag_free(r, &f[i]), 0);
	assert_int_equal(names(r).n_open, 1); /* the one that is written */
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_payload_is_read_with_one_call),
		T(small_writes_of_one_vector_share_a_call),
		T(one_sync_covers_a_group_of_writes),
		T(full_segments_are_sealed_and_empty_ones_removed),
		T(frees_give_their_blocks_back),
		T(small_fragments_share_pages_and_give_them_back),
		T(a_number_is_never_used_twice),
		T(few_handles_are_kept_open),
		T(several_segments_can_be_open),
		T(short_transfers_are_completed),
		T(a_vanished_disk_gives_errors_and_comes_back),
		T(writes_that_fail_use_nothing_up),
		T(a_write_that_failed_before_another_is_given_back),
		T(a_segment_that_can_not_begin_reserves_nothing),
		T(a_segment_without_an_index_keeps_only_its_records),
		T(a_segment_without_an_index_goes_with_its_last_record),
	};

	seed = test_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
