/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The segment store when its files are damaged, or cannot be read, or are of
 * another program: what is not known is never taken for nothing.
 */
#include "segrig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define N(a) (sizeof(a) / sizeof((a)[0]))

static void flip_all(struct rig *r, const char *path, uint64_t from,
		     uint64_t step, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		(void)simos_flip(r->sim, path, from + i * step, i % 8);
}

static void a_lost_superblock_is_made_again(void **state)
{
	struct rig *r = *state;
	struct frag f[30], g = frag_make(99, 0, 100);

	write_all(r, f, N(f), 1, 100000);
	rig_close(r);
	flip_all(r, STORE "/store.dynfs", 30, 4096, 2);
	assert_int_equal(rig_open(r, DYNFS_STORE_OPEN_RDONLY), 0);
	rig_close(r);
	assert_int_equal(rig_open(r, 0), 0);
	assert_int_equal(frag_write(r, &g), 0);
	/* above all that may have been there and gone */
	assert_true(g.place.w[0] >> 24 >=
		    (f[N(f) - 1].place.w[0] >> 24) + (1u << 24));
	for (uint32_t i = 0; i < N(f); i++)
		assert_int_equal(frag_check(r, &f[i]), 0);
	assert_int_equal(rig_list_total(r, 64), N(f) + 1);
}

/* A fragment in a segment that is gone again; the newer half says so. */
static struct frag spend_a_number(struct rig *r)
{
	struct frag f = frag_make(1, 600, 100000);

	assert_int_equal(frag_write(r, &f), 0);
	sync_all(r);
	assert_int_equal(frag_free(r, &f), 0);
	sync_all(r);
	power_cut(r, SIMOS_LOSE);
	assert_int_equal(rig_open(r, 0), 0);
	power_cut(r, SIMOS_KEEP);
	assert_int_equal(names(r).n_open + names(r).n_seg, 0);
	return f;
}

static void half_page(struct rig *r, uint64_t half, uint8_t page[4096])
{
	int fd = r->os->open(r->os, STORE "/store.dynfs", DYNFS_OS_RDONLY, 0);
	struct iovec v = { page, 4096 };

	assert_true(fd >= 0);
	assert_int_equal(r->os->preadv(r->os, fd, &v, 1, half * 4096), 4096);
	assert_int_equal(r->os->close(r->os, fd), 0);
}

static void fail_reads(struct rig *r, uint64_t nth, uint64_t times)
{
	struct simos_fault f = { .call = SIMOS_PREADV,
				 .prefix = "/disk",
				 .nth = nth,
				 .times = times,
				 .err = -EIO };

	assert_int_equal(simos_inject(r->sim, &f), 0);
}

/* It may be the newer one, and there again tomorrow. */
static void an_unreadable_half_of_the_superblock_is_not_replaced(void **state)
{
	struct rig *r = *state;
	struct frag f = spend_a_number(r), g = frag_make(1, 600, 100000);
	uint8_t before[2][4096], after[4096];

	for (uint64_t i = 0; i < 2; i++)
		half_page(r, i, before[i]);
	for (uint64_t i = 0; i < 3; i++) {
		/* one, the other, both */
		fail_reads(r, i == 1 ? 2 : 1, 1 + i / 2);
		assert_int_equal(rig_open(r, 0), -EIO);
		simos_heal(r->sim);
	}
	for (uint64_t i = 0; i < 2; i++) {
		half_page(r, i, after);
		assert_memory_equal(after, before[i], 4096);
	}
	fail_reads(r, 2, 1);
	assert_int_equal(rig_open(r, DYNFS_STORE_OPEN_RDONLY), 0);
	rig_close(r);
	assert_int_equal(rig_open(r, 0), 0);
	assert_int_equal(frag_write(r, &g), 0);
	assert_true(g.place.w[0] >> 24 > f.place.w[0] >> 24);
}

static void
a_damaged_half_of_the_superblock_spends_no_number_twice(void **state)
{
	struct rig *r = *state;
	struct frag f = spend_a_number(r), g;

	/* the newer of those that are there, twice */
	for (uint64_t i = 0; i < 2; i++) {
		flip_all(r, STORE "/store.dynfs", 4096 * !i + 30, 4096, 1);
		assert_int_equal(rig_open(r, 0), 0);
		g = frag_make(1, 600, 100000);
		assert_int_equal(frag_write(r, &g), 0);
		assert_true(g.place.w[0] >> 24 > f.place.w[0] >> 24);
		/* late, and of a place that may have a new owner */
		assert_int_equal(frag_free(r, &f), 0);
		assert_int_equal(frag_check(r, &g), 0);
		assert_int_equal(frag_free(r, &g), 0);
		f = g;
		power_cut(r, SIMOS_LOSE);
	}
}

/* The other one is all there is until it is through. */
static void a_superblock_that_failed_goes_to_the_same_half_again(void **state)
{
	struct rig *r = *state;
	struct frag f = frag_make(1, 600, 100000);
	uint8_t before[4096], after[4096];

	/* closing writes the fourth, into the first half */
	assert_int_equal(frag_write(r, &f), 0);
	rig_close(r);
	assert_int_equal(rig_open(r, 0), 0);
	half_page(r, 0, before);
	assert_int_equal(simos_fail_sync(r->sim, "/disk"), 0);
	assert_int_equal(frag_write(r, &f), -EIO);
	assert_int_equal(frag_write(r, &f), 0);
	half_page(r, 0, after);
	assert_memory_equal(before, after, 4096);
}

/* One more name in a class, or another version, in the page at off. */
static void rewrite_page(struct rig *r, const char *path, uint64_t off,
			 int class, uint32_t version)
{
	uint8_t page[4096], sets[64] = { 0 };
	struct iovec v = { page, sizeof(page) };
	int fd = r->os->open(r->os, path, DYNFS_OS_RDWR, 0);
	uint32_t len = 0;
	uint64_t sum;

	assert_true(fd >= 0);
	assert_int_equal(r->os->preadv(r->os, fd, &v, 1, off), sizeof(page));
	for (int i = 0; i < 3; i++) {
		sets[len] = i == class;
		len += 2;
		if (i != class)
			continue;
		sets[len] = 5;
		memcpy(sets + len + 2, "tea-1", 5);
		len += 7;
	}
	memcpy(page + 64, sets, len);
	page[8] = (uint8_t)version;
	page[12] = (uint8_t)(64 + len);
	page[13] = page[14] = page[15] = 0;
	memset(page + 16, 0, 8);
	sum = XXH3_64bits(page, 64 + len);
	for (int i = 0; i < 8; i++)
		page[16 + i] = (uint8_t)(sum >> 8 * i);
	assert_int_equal(r->os->pwritev(r->os, fd, &v, 1, off), sizeof(page));
	assert_int_equal(r->os->close(r->os, fd), 0);
}

static void unknown_features_decide_how_a_store_opens(void **state)
{
	static const int want[3][2] = { { 0, 0 },
					{ -EOPNOTSUPP, 0 },
					{ -EOPNOTSUPP, -EOPNOTSUPP } };
	struct rig *r = *state;

	rig_close(r);
	for (int class = 0; class < 3; class ++) {
		for (uint32_t rdonly = 0; rdonly < 2; rdonly++) {
			/* in one slot only, be it the older */
			rewrite_page(r, STORE "/store.dynfs", 0, class, 1);
			assert_int_equal(
			    rig_open(r, rdonly ? DYNFS_STORE_OPEN_RDONLY : 0),
			    want[class][rdonly]);
			if (!want[class][rdonly])
				rig_close(r);
		}
	}
	rewrite_page(r, STORE "/store.dynfs", 0, 0, 2);
	assert_int_equal(rig_open(r, 0), -EOPNOTSUPP);
	assert_int_equal(rig_open(r, DYNFS_STORE_OPEN_RDONLY), -EOPNOTSUPP);
}

static void a_newer_store_is_not_taken_over_for_a_lost_superblock(void **state)
{
	struct rig *r = *state;
	struct frag f[1];

	write_all(r, f, 1, 1, 100000);
	rig_close(r);
	flip_all(r, STORE "/store.dynfs", 30, 4096, 2);
	rewrite_page(r, names(r).last, 0, 2, 1);
	assert_int_equal(rig_open(r, 0), -EOPNOTSUPP);
	rewrite_page(r, names(r).last, 0, 0, 2);
	assert_int_equal(rig_open(r, 0), -EOPNOTSUPP);
	rewrite_page(r, names(r).last, 0, 0, 1);
	assert_int_equal(rig_open(r, 0), 0);
	assert_int_equal(frag_check(r, f), 0);
}

/* Of the last segment, between two openings. */
static void damage_index(struct rig *r)
{
	struct dynfs_os_stat st;
	struct names n;

	rig_close(r);
	n = names(r);
	assert_int_equal(r->os->stat(r->os, n.last, &st), 0);
	flip_all(r, n.last, st.size_bytes - 4096, 7, 400);
	assert_int_equal(rig_open(r, 0), 0);
}

static void a_damaged_index_is_replaced_by_a_look(void **state)
{
	struct rig *r = *state;
	struct frag f[12];

	write_all(r, f, N(f), 1, 100000);
	damage_index(r);
	assert_int_equal(rig_list_total(r, 64), N(f));
	for (uint32_t i = 0; i < N(f); i++) {
		assert_int_equal(frag_check(r, &f[i]), 0);
		assert_int_equal(frag_free(r, &f[i]), 0);
	}
	sync_all(r);
	assert_int_equal(names(r).n_seg, 0);
}

/* What a page holds that cannot be read is not known to be nothing. */
static void a_segment_read_in_part_outlives_the_records_that_were(void **state)
{
	struct rig *r = *state;
	struct frag f[3];

	write_all(r, f, N(f), 1, 100000);
	sync_all(r);
	power_cut(r, SIMOS_KEEP);
	/* superblock, footer, the first frame; then the second, twice */
	fail_reads(r, 5, 2);
	assert_int_equal(rig_open(r, 0), 0);
	simos_heal(r->sim);
	assert_int_equal(rig_list_total(r, 64), 2);
	assert_int_equal(frag_free(r, &f[0]), 0);
	assert_int_equal(frag_free(r, &f[2]), 0);
	sync_all(r);
	assert_int_equal(frag_check(r, &f[1]), 0);
	/* the next open finds it */
	rig_close(r);
	assert_int_equal(rig_open(r, 0), 0);
	assert_int_equal(frag_check(r, &f[1]), 0);
	assert_int_equal(frag_free(r, &f[1]), 0);
	sync_all(r);
	assert_int_equal(names(r).n_open + names(r).n_seg, 0);
}

static void a_sealed_segment_that_cannot_be_read_is_not_empty(void **state)
{
	struct rig *r = *state;
	struct frag f[3];

	write_all(r, f, N(f), 1, 100000);
	damage_index(r);
	assert_int_equal(frag_free(r, &f[0]), 0);
	fail_reads(r, 1, 0);
	sync_all(r); /* asks what is left */
	simos_heal(r->sim);
	assert_int_equal(frag_check(r, &f[1]), 0);
	assert_int_equal(frag_check(r, &f[2]), 0);
	assert_int_equal(frag_free(r, &f[1]), 0);
	assert_int_equal(frag_free(r, &f[2]), 0);
	sync_all(r);
	assert_int_equal(names(r).n_seg, 0);
}

static void a_damaged_frame_hurts_its_head_only(void **state)
{
	struct rig *r = *state;
	struct frag f[12];
	struct names n;
	uint64_t off;

	write_all(r, f, N(f), 1, 100000);
	rig_close(r);
	n = names(r);
	off = (f[5].place.w[1] >> 36) * 64;
	assert_int_equal(simos_flip(r->sim, n.last, off + 25, 3), 0);
	assert_int_equal(rig_open(r, 0), 0);
	for (uint32_t i = 0; i < N(f); i++) {
		assert_int_equal(frag_read(r, &f[i], false, 0, 100000), 0);
		assert_int_equal(frag_read(r, &f[i], true, 0, 600),
				 i == 5 ? -EUCLEAN : 0);
	}
	/* all others go: it must not be taken for dead with them */
	for (uint32_t i = 0; i < N(f); i++)
		if (i != 5)
			assert_int_equal(frag_free(r, &f[i]), 0);
	sync_all(r);
	assert_int_equal(frag_read(r, &f[5], false, 0, 100000), 0);
	assert_int_equal(frag_free(r, &f[5]), 0);
	sync_all(r);
	assert_int_equal(names(r).n_seg, 0);
}

static void a_scan_finds_its_way_past_damage(void **state)
{
	struct rig *r = *state;
	struct frag f[60];
	struct names n;
	uint64_t off;

	for (uint32_t i = 0; i < N(f); i++) {
		f[i] = frag_make(i + 1, 600, i % 3 ? 3000 : 80000);
		assert_int_equal(frag_write(r, &f[i]), 0);
	}
	assert_int_equal(frag_free(r, &f[30]), 0);
	assert_int_equal(frag_free(r, &f[31]), 0);
	sync_all(r);
	power_cut(r, SIMOS_LOSE);
	n = names(r);
	assert_int_equal(n.n_open, 1);
	off = (f[10].place.w[1] >> 36) * 64;
	assert_int_equal(simos_flip(r->sim, n.last, off + 9, 7), 0);
	flip_all(r, n.last, 0, 5, 500);
	assert_int_equal(rig_open(r, 0), 0);
	for (uint32_t i = 0; i < N(f); i++) {
		if (i == 30 || i == 31)
			continue;
		assert_int_equal(
		    frag_read(r, &f[i], false, 0, f[i].payload_len), 0);
		assert_int_equal(rig_listed(r, &f[i], 64), i != 10);
	}
	sync_all(r);
	rig_close(r);
	assert_int_equal(names(r).n_seg, 1);
	assert_int_equal(rig_open(r, 0), 0);
	assert_int_equal(frag_read(r, &f[10], false, 0, f[10].payload_len), 0);
}

static void hostile_files_do_no_harm(void **state)
{
	struct rig *r = *state;
	struct frag f[12];
	uint64_t rng = seed;
	struct names n;

	write_all(r, f, N(f), 1, 3000);
	rig_close(r);
	n = names(r);
	for (uint32_t k = 0; k < 60; k++) {
		struct dynfs_os_stat st;
		char junk[512];
		struct iovec v = { junk, sizeof(junk) };
		int fd;

		for (uint32_t i = 0; i < sizeof(junk); i++)
			junk[i] = (char)rnd(&rng);
		assert_int_equal(r->os->stat(r->os, n.last, &st), 0);
		fd = r->os->open(r->os, n.last, DYNFS_OS_RDWR, 0);
		assert_true(fd >= 0);
		(void)r->os->pwritev(r->os, fd, &v, 1,
				     rnd(&rng) % st.size_bytes);
		if (k % 10 == 9)
			(void)r->os->truncate(r->os, fd,
					      rnd(&rng) % st.size_bytes);
		(void)r->os->close(r->os, fd);
		assert_int_equal(
		    rig_open(r, k % 2 ? 0 : DYNFS_STORE_OPEN_RDONLY), 0);
		(void)rig_list_total(r, 64);
		for (uint32_t i = 0; i < N(f); i++) {
			(void)frag_read(r, &f[i], false, 0, 3000);
			(void)frag_read(r, &f[i], true, 0, 600);
		}
		rig_close(r);
		n = names(r);
		if (!n.last[0])
			break;
	}
	assert_int_equal(rig_open(r, 0), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_lost_superblock_is_made_again),
		T(an_unreadable_half_of_the_superblock_is_not_replaced),
		T(a_damaged_half_of_the_superblock_spends_no_number_twice),
		T(a_superblock_that_failed_goes_to_the_same_half_again),
		T(unknown_features_decide_how_a_store_opens),
		T(a_newer_store_is_not_taken_over_for_a_lost_superblock),
		T(a_damaged_index_is_replaced_by_a_look),
		T(a_segment_read_in_part_outlives_the_records_that_were),
		T(a_sealed_segment_that_cannot_be_read_is_not_empty),
		T(a_damaged_frame_hurts_its_head_only),
		T(a_scan_finds_its_way_past_damage),
		T(hostile_files_do_no_harm),
	};

	seed = test_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
