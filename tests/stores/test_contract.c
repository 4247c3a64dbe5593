/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every store promises (dynfs/store.h).
 * test_contract STORE sim|real
 */
#include "rig.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MIB (1u << 20)

static const char *store_name;
static bool real_disk;
static uint64_t seed;

static bool is_volatile(const struct rig *r)
{
	return r->ops->caps & DYNFS_STORE_VOLATILE;
}

static int setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	*state = r;
	if (!r || rig_init(r, store_name, real_disk, seed))
		return -1;
	if (!rig_open(r, DYNFS_STORE_OPEN_CREATE))
		return 0;
	/* there is no teardown for what was not set up */
	rig_done(r);
	free(r);
	return -1;
}

static int teardown(void **state)
{
	rig_done(*state);
	free(*state);
	return 0;
}

static const uint32_t sizes[] = { 0,     1,     64,     100,    4032,    4096,
				  65535, 65536, 100000, 262144, MIB - 1, MIB };
static const uint32_t heads[] = { 0, 1, 100, 4032, 5000 };

#define N(a) (sizeof(a) / sizeof((a)[0]))

static void every_part_of_what_is_written_is_read_back(void **state)
{
	struct rig *r = *state;
	struct frag f[N(sizes) * N(heads)];
	uint64_t rng = seed;

	for (uint32_t i = 0; i < N(f); i++) {
		f[i] =
		    frag_make(i + 1, heads[i % N(heads)], sizes[i / N(heads)]);
		assert_int_equal(frag_write(r, &f[i]), 0);
	}
	for (uint32_t i = 0; i < N(f); i++) {
		assert_int_equal(frag_check(r, &f[i]), 0);
		for (int k = 0; k < 8; k++) {
			bool head = k & 1;
			uint64_t len = head ? f[i].head_len : f[i].payload_len;
			uint64_t off = rnd(&rng) % (len + 1);

			assert_int_equal(frag_read(r, &f[i], head, off,
						   rnd(&rng) % (len - off + 1)),
					 0);
		}
	}
}

static void reading_more_than_there_is_is_refused(void **state)
{
	struct rig *r = *state;
	struct frag f = frag_make(1, 100, 70000), other;

	assert_int_equal(frag_write(r, &f), 0);
	assert_int_equal(frag_read(r, &f, false, 1, 70000), -EUCLEAN);
	assert_int_equal(frag_read(r, &f, false, 70001, 0), -EUCLEAN);
	assert_int_equal(frag_read(r, &f, true, 0, 101), -EUCLEAN);
	assert_int_equal(frag_read(r, &f, true, UINT64_MAX, 2), -EUCLEAN);
	other = f;
	other.id.counter++;
	assert_int_equal(frag_read(r, &other, true, 0, 100), -EUCLEAN);
}

static void a_strange_place_is_harmless(void **state)
{
	struct rig *r = *state;
	struct frag f = frag_make(1, 100, 70000), x = f;
	uint64_t rng = seed;

	assert_int_equal(frag_write(r, &f), 0);
	for (int i = 0; i < 2000; i++) {
		x.place = f.place;
		if (i & 1)
			x.place.w[i / 2 & 1] ^= 1ull << (rnd(&rng) % 64);
		else
			x.place =
			    (struct dynfs_place){ { rnd(&rng), rnd(&rng) } };
		assert_int_equal(frag_free(r, &x), 0);
		(void)frag_read(r, &x, false, 0, 1000);
		(void)frag_read(r, &x, true, 0, 100);
	}
	x = f;
	x.id.index ^= 1;
	assert_int_equal(frag_free(r, &x), 0);
	assert_int_equal(frag_check(r, &f), 0);
}

static void a_vector_of_mixed_sizes_is_written_and_freed(void **state)
{
	struct rig *r = *state;
	enum { COUNT = 150 };
	static struct frag f[COUNT];
	int res[COUNT];
	uint64_t rng = seed;

	for (uint32_t i = 0; i < COUNT; i++)
		f[i] = frag_make(i + 1, rnd(&rng) % 300,
				 rnd(&rng) % (i % 3 ? 5000 : 200000));
	frags_write(r, f, res, COUNT);
	for (uint32_t i = 0; i < COUNT; i++) {
		assert_int_equal(res[i], 0);
		assert_int_equal(frag_check(r, &f[i]), 0);
	}
	assert_int_equal(rig_list_total(r, 7), COUNT);
	frags_free(r, f, res, COUNT / 2);
	for (uint32_t i = 0; i < COUNT; i++) {
		if (i < COUNT / 2)
			assert_int_equal(res[i], 0);
		else
			assert_int_equal(frag_check(r, &f[i]), 0);
		assert_int_equal(rig_listed(r, &f[i], 64), i >= COUNT / 2);
	}
}

static void a_free_may_be_repeated(void **state)
{
	struct rig *r = *state;
	struct frag f[40];

	for (uint32_t i = 0; i < N(f); i++) {
		f[i] = frag_make(i + 1, 50, i & 1 ? 100000 : 1000);
		assert_int_equal(frag_write(r, &f[i]), 0);
	}
	for (uint32_t k = 0; k < 3; k++) {
		for (uint32_t i = 0; i < 20; i++)
			assert_int_equal(frag_free(r, &f[i]), 0);
		if (k == 1 && !is_volatile(r)) {
			rig_close(r);
			assert_int_equal(rig_open(r, 0), 0);
		}
	}
	assert_int_equal(rig_list_total(r, 64), 20);
	for (uint32_t i = 20; i < N(f); i++)
		assert_int_equal(frag_check(r, &f[i]), 0);
}

static void fragments_outlive_a_clean_close(void **state)
{
	struct rig *r = *state;
	struct frag f[60];
	struct dynfs_store_space sp = { .size = sizeof(sp) };

	if (is_volatile(r))
		skip();
	for (uint32_t k = 0; k < 3; k++) {
		for (uint32_t i = 20 * k; i < 20 * k + 20; i++) {
			f[i] = frag_make(i + 1, 50 * k, i & 1 ? 100000 : 1000);
			assert_int_equal(frag_write(r, &f[i]), 0);
		}
		rig_close(r);
		assert_int_equal(rig_open(r, 0), 0);
		for (uint32_t i = 0; i < 20 * k + 20; i++)
			assert_int_equal(frag_check(r, &f[i]), 0);
		assert_int_equal(rig_list_total(r, 5), 20 * k + 20);
		assert_int_equal(r->ops->space(r->self, &sp), 0);
		assert_int_equal(sp.fragments, 20 * k + 20);
	}
	rig_close(r);
	assert_int_equal(rig_open(r, DYNFS_STORE_OPEN_CREATE), -EEXIST);
}

static void what_is_no_store_is_refused(void **state)
{
	struct rig *r = *state;

	if (is_volatile(r))
		skip();
	rig_close(r);
	(void)snprintf(r->path, sizeof(r->path), "%s",
		       r->sim ? "/disk/other" : r->dir);
	assert_int_equal(rig_open(r, 0), r->sim ? -ENOENT : -EUCLEAN);
	if (r->sim) {
		assert_int_equal(r->os->mkdir(r->os, r->path, 0700), 0);
		assert_int_equal(rig_open(r, 0), -EUCLEAN);
		assert_int_equal(rig_open(r, DYNFS_STORE_OPEN_RDONLY),
				 -EUCLEAN);
	}
}

static void marker_write(struct rig *r, char *line, uint64_t off)
{
	struct iovec v = { line, strlen(line) };
	char path[128];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/store.dynfs", r->path);
	fd = r->os->open(r->os, path, DYNFS_OS_RDWR, 0);
	assert_true(fd >= 0);
	assert_int_equal(r->os->pwritev(r->os, fd, &v, 1, off), v.iov_len);
	assert_int_equal(r->os->close(r->os, fd), 0);
}

static void a_marker_of_another_version_refuses_the_dir_store(void **state)
{
	struct rig *r = *state;
	char line[] = "dynfs store dir 3\n";

	/* what the segment store does is in test_segment */
	if (strcmp(r->name, "dir") != 0)
		skip();
	rig_close(r);
	marker_write(r, line, 0);
	marker_write(r, line, strlen(line));
	assert_int_equal(rig_open(r, 0), -EOPNOTSUPP);
	assert_int_equal(rig_open(r, DYNFS_STORE_OPEN_RDONLY), -EOPNOTSUPP);
}

/* 1 and 3 are a bit apart. */
static void a_damaged_marker_does_not_cost_the_dir_store(void **state)
{
	struct rig *r = *state;
	char line[] = "dynfs store dir 3\n", none[] = "dynfs Store dir 1\n";

	if (strcmp(r->name, "dir") != 0)
		skip();
	for (uint64_t half = 0; half < 2; half++) {
		rig_close(r);
		marker_write(r, line, half * strlen(line));
		assert_int_equal(rig_open(r, 0), 0);
		rig_close(r);
		marker_write(r, none, half * strlen(none));
		assert_int_equal(rig_open(r, 0), 0);
	}
}

static void a_read_only_store_writes_nothing(void **state)
{
	struct rig *r = *state;
	struct frag f[20], x = frag_make(99, 0, 10);
	uint64_t before;

	if (is_volatile(r) || !r->sim)
		skip();
	for (uint32_t i = 0; i < N(f); i++) {
		f[i] = frag_make(i + 1, 50, i & 1 ? 100000 : 1000);
		assert_int_equal(frag_write(r, &f[i]), 0);
	}
	assert_int_equal(r->ops->sync(r->self, r->ops->mark(r->self)), 0);
	simos_crash_at(r->sim, 1);
	rig_abandon(r);
	simos_restart(r->sim, SIMOS_LOSE, 1);
	before = simos_calls(r->sim, SIMOS_MUTATING);
	assert_int_equal(rig_open(r, DYNFS_STORE_OPEN_RDONLY), 0);
	for (uint32_t i = 0; i < N(f); i++)
		assert_int_equal(frag_check(r, &f[i]), 0);
	assert_int_equal(rig_list_total(r, 3), N(f));
	assert_int_equal(frag_write(r, &x), -EROFS);
	assert_int_equal(frag_free(r, &f[0]), -EROFS);
	rig_close(r);
	assert_int_equal(simos_calls(r->sim, SIMOS_MUTATING), before);
	assert_int_equal(rig_open(r, 0), 0);
}

static void a_full_store_says_so_and_takes_more_after_frees(void **state)
{
	struct rig *r = *state;
	enum { MOST = 2000 };
	static struct frag f[MOST];
	struct dynfs_store_space sp = { .size = sizeof(sp) };
	uint64_t bytes[4] = { 0 };

	rig_close(r);
	r->limit = 64 * MIB;
	(void)snprintf(r->path, sizeof(r->path), "%s/full",
		       r->sim ? "/disk" : r->dir);
	assert_int_equal(rig_open(r, DYNFS_STORE_OPEN_CREATE), 0);
	for (uint32_t round = 0; round < 4; round++) {
		uint32_t n = 0;
		int e = 0;

		while (n < MOST) {
			f[n] = frag_make(round * MOST + n + 1, 600,
					 n % 3 ? 262144 : 10000);
			e = frag_write(r, &f[n]);
			if (e)
				break;
			bytes[round] += r->ops->cost(r->self, f[n].head_len,
						     f[n].payload_len);
			n++;
		}
		assert_int_equal(e, -ENOSPC);
		assert_int_equal(rig_listed(r, &f[n], 64), 0);
		if (r->sim)
			assert_in_range(simos_used(r->sim, "/disk"), 0,
					r->limit + MIB);
		assert_int_equal(r->ops->space(r->self, &sp), 0);
		assert_true(sp.total_bytes <= r->limit);
		assert_true(sp.free_bytes < MIB);
		assert_int_equal(sp.fragments, n);
		for (uint32_t i = 0; i < n; i++) {
			assert_int_equal(frag_check(r, &f[i]), 0);
			assert_int_equal(frag_free(r, &f[i]), 0);
		}
		assert_int_equal(r->ops->space(r->self, &sp), 0);
		assert_int_equal(sp.fragments, 0);
		assert_true(sp.free_bytes > r->limit * 9 / 10);
		assert_true(bytes[round] > r->limit * 9 / 10);
	}
}

static void free_space_is_a_promise(void **state)
{
	struct rig *r = *state;
	uint64_t rng = seed;

	rig_close(r);
	r->limit = 40 * MIB;
	(void)snprintf(r->path, sizeof(r->path), "%s/promise",
		       r->sim ? "/disk" : r->dir);
	assert_int_equal(rig_open(r, DYNFS_STORE_OPEN_CREATE), 0);
	for (uint32_t i = 1; i < 5000; i++) {
		struct frag f = frag_make(
		    i, 600, rnd(&rng) % (rnd(&rng) & 1 ? 5000 : 400000));
		struct dynfs_store_space sp = { .size = sizeof(sp) };
		int e;

		assert_int_equal(r->ops->space(r->self, &sp), 0);
		e = frag_write(r, &f);
		if (!e)
			continue;
		assert_int_equal(e, -ENOSPC);
		/* an end piece of a segment may be too short for it */
		assert_true(sp.free_bytes < 2 * r->ops->cost(r->self,
							     f.head_len,
							     f.payload_len));
		if (sp.free_bytes < 100000)
			return;
	}
	fail_msg("it never filled");
}

static void listing_while_writing_leaves_nothing_out(void **state)
{
	struct rig *r = *state;
	enum { COUNT = 300 };
	static struct frag f[3 * COUNT];
	static uint8_t seen[3 * COUNT + 1];
	struct dynfs_store_entry e[10];
	uint64_t cursor = 0;
	uint32_t n, added = COUNT;

	memset(seen, 0, sizeof(seen));
	for (uint32_t i = 0; i < 3 * COUNT; i++)
		f[i] = frag_make(i + 1, 50, i % 5 ? 3000 : 70000);
	for (uint32_t i = 0; i < COUNT; i++)
		assert_int_equal(frag_write(r, &f[i]), 0);
	/* the last third of the first ones is freed meanwhile */
	for (uint32_t k = 0;; k++) {
		assert_int_equal(r->ops->list(r->self, &cursor, e, 10, &n), 0);
		if (!n)
			break;
		for (uint32_t i = 0; i < n; i++) {
			assert_in_range(e[i].id.counter, 1, 3 * COUNT);
			seen[e[i].id.counter]++;
		}
		for (uint32_t i = 0; i < 5 && added < 3 * COUNT; i++)
			assert_int_equal(frag_write(r, &f[added++]), 0);
		if (2 * COUNT / 3 + k < COUNT)
			assert_int_equal(frag_free(r, &f[2 * COUNT / 3 + k]),
					 0);
	}
	for (uint32_t i = 1; i <= 3 * COUNT; i++) {
		assert_true(seen[i] <= 1);
		if (i <= 2 * COUNT / 3)
			assert_int_equal(seen[i], 1);
	}
}

static void a_sync_covers_its_token_and_is_cheap_again(void **state)
{
	struct rig *r = *state;
	struct frag f = frag_make(1, 50, 1000), g = frag_make(2, 50, 1000);
	uint64_t a, before = 0;

	assert_int_equal(frag_write(r, &f), 0);
	a = r->ops->mark(r->self);
	assert_int_equal(r->ops->sync(r->self, a), 0);
	if (r->sim)
		before = simos_calls(r->sim, SIMOS_SYNC);
	assert_int_equal(r->ops->sync(r->self, a), 0);
	assert_int_equal(frag_write(r, &g), 0);
	assert_int_equal(r->ops->sync(r->self, a), 0);
	if (r->sim)
		assert_int_equal(simos_calls(r->sim, SIMOS_SYNC), before);
}

static void a_vanished_disk_is_not_a_missing_fragment(void **state)
{
	struct rig *r = *state;
	static const int errors[] = { -EIO, -ENOENT };
	struct frag f = frag_make(1, 50, 100000), x = frag_make(2, 50, 1000);

	if (is_volatile(r) || !r->sim)
		skip();
	assert_int_equal(frag_write(r, &f), 0);
	for (uint32_t i = 0; i < N(errors); i++) {
		assert_int_equal(r->ops->sync(r->self, r->ops->mark(r->self)),
				 0);
		assert_int_equal(simos_vanish(r->sim, "/disk", errors[i]), 0);
		for (uint32_t k = 0; k < 2; k++) {
			int e = frag_read(r, &f, k, 0, 10);

			assert_true(e == -EIO || e == -ENOENT);
			assert_true(frag_write(r, &x) < 0);
			assert_true(frag_free(r, &f) < 0);
		}
		rig_close(r);
		simos_reappear(r->sim, "/disk");
		assert_int_equal(rig_open(r, 0), 0);
		assert_int_equal(frag_check(r, &f), 0);
	}
}

static void a_failed_sync_is_never_made_good(void **state)
{
	struct rig *r = *state;
	struct frag f[3];
	uint64_t t[3];

	if (is_volatile(r) || !r->sim)
		skip();
	for (uint32_t i = 0; i < 3; i++) {
		f[i] = frag_make(i + 1, 50, 100000);
		assert_int_equal(frag_write(r, &f[i]), 0);
		t[i] = r->ops->mark(r->self);
		if (i == 1)
			assert_int_equal(simos_fail_sync(r->sim, "/disk"), 0);
		assert_int_equal(r->ops->sync(r->self, t[i]),
				 i == 1 ? -EIO : 0);
	}
	assert_int_equal(r->ops->sync(r->self, t[0]), 0);
	assert_int_equal(r->ops->sync(r->self, t[1]), -EIO);
	assert_int_equal(r->ops->sync(r->self, t[2]), 0);
	simos_crash_at(r->sim, 1);
	rig_abandon(r);
	simos_restart(r->sim, SIMOS_LOSE, 1);
	assert_int_equal(rig_open(r, 0), 0);
	assert_int_equal(frag_check(r, &f[0]), 0);
	assert_int_equal(frag_check(r, &f[2]), 0);
	assert_int_not_equal(frag_read(r, &f[1], false, 0, 100000), 0);
}

static struct rig *hooked;
static const struct dynfs_os *below;

/* What the sync drops may be part of the write: it can not succeed. */
static ssize_t sync_fails_first(const struct dynfs_os *os, int fd,
				const struct iovec *iov, int n, uint64_t off)
{
	struct rig *r = hooked;

	hooked = NULL;
	if (r) {
		assert_int_equal(simos_fail_sync(r->sim, "/disk"), 0);
		assert_int_equal(r->ops->sync(r->self, r->ops->mark(r->self)),
				 -EIO);
	}
	return below->pwritev(os, fd, iov, n, off);
}

static void a_write_that_a_failed_sync_hit_leaves_nothing(void **state)
{
	struct rig *r = *state;
	struct dynfs_store_space sp = { .size = sizeof(sp) };
	struct frag f = frag_make(1, 50, 100000), x = frag_make(2, 50, 70000);
	struct dynfs_os os;

	if (is_volatile(r) || !r->sim)
		skip();
	rig_close(r);
	below = r->os;
	os = *below;
	os.pwritev = sync_fails_first;
	r->os = &os;
	assert_int_equal(rig_open(r, 0), 0);
	assert_int_equal(frag_write(r, &f), 0);
	hooked = r;
	assert_int_equal(frag_write(r, &x), -EIO);
	assert_int_equal(r->ops->space(r->self, &sp), 0);
	assert_int_equal(sp.fragments, 1);
	assert_int_equal(rig_list_total(r, 64), 1);
	rig_close(r);
	r->os = below;
	assert_int_equal(rig_open(r, 0), 0);
	assert_int_equal(rig_list_total(r, 64), 1);
}

static void no_memory_at_any_time_is_survived(void **state)
{
	struct rig *r = *state;
	struct frag f[8];

	rig_close(r);
	for (uint64_t nth = 1; nth < 400; nth++) {
		int res[8], e;

		(void)snprintf(r->path, sizeof(r->path), "%s/mem%llu",
			       r->sim ? "/disk" : r->dir,
			       (unsigned long long)nth);
		assert_int_equal(rig_open(r, DYNFS_STORE_OPEN_CREATE), 0);
		testhost_fail_alloc(&r->host, nth);
		for (uint32_t i = 0; i < N(f); i++)
			f[i] = frag_make(i + 1, 50, i & 1 ? 100000 : 1000);
		frags_write(r, f, res, N(f));
		for (uint32_t i = 0; i < N(f); i++)
			if (!res[i])
				assert_int_equal(frag_check(r, &f[i]), 0);
		(void)r->ops->sync(r->self, r->ops->mark(r->self));
		frags_free(r, f, res, N(f) / 2);
		e = r->host.fail_alloc != 0; /* it was never reached */
		testhost_fail_alloc(&r->host, 0);
		rig_close(r);
		if (e)
			return;
	}
	fail_msg("it never ran out of places to fail");
}

struct worker {
	struct rig *r;
	uint32_t number;
	int errors;
};

static void *work(void *arg)
{
	struct worker *w = arg;
	struct frag f[24];
	uint64_t rng = seed + w->number;
	bool there[24] = { false };

	for (int round = 0; round < 400; round++) {
		uint32_t i = (uint32_t)(rnd(&rng) % 24);

		if (!there[i]) {
			f[i] = frag_make(
			    w->number * 1000000u + (uint32_t)round * 100u + i,
			    60,
			    (uint32_t)(rnd(&rng) % (i % 2 ? 3000 : 120000)));
			there[i] = !frag_write(w->r, &f[i]);
			w->errors += !there[i];
		} else if (rnd(&rng) % 3) {
			w->errors += frag_check(w->r, &f[i]) != 0;
		} else {
			w->errors += frag_free(w->r, &f[i]) != 0;
			there[i] = false;
		}
		if (round % 50 == 49)
			w->errors +=
			    w->r->ops->sync(w->r->self,
					    w->r->ops->mark(w->r->self)) != 0;
		if (round % 97 == 0) {
			struct dynfs_store_space sp = { .size = sizeof(sp) };

			w->errors += w->r->ops->space(w->r->self, &sp) != 0;
			(void)rig_list_total(w->r, 64);
		}
	}
	for (uint32_t i = 0; i < 24; i++)
		if (there[i])
			w->errors += frag_check(w->r, &f[i]) != 0 ||
				     frag_free(w->r, &f[i]) != 0;
	return NULL;
}

static void eight_threads_at_once_do_not_disturb_each_other(void **state)
{
	struct rig *r = *state;
	struct worker w[8];
	pthread_t t[8];

	for (uint32_t i = 0; i < 8; i++) {
		w[i] = (struct worker){ r, i + 1, 0 };
		assert_int_equal(pthread_create(&t[i], NULL, work, &w[i]), 0);
	}
	for (uint32_t i = 0; i < 8; i++) {
		pthread_join(t[i], NULL);
		assert_int_equal(w[i].errors, 0);
	}
	assert_int_equal(rig_list_total(r, 64), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		T(every_part_of_what_is_written_is_read_back),
		T(reading_more_than_there_is_is_refused),
		T(a_strange_place_is_harmless),
		T(a_vector_of_mixed_sizes_is_written_and_freed),
		T(a_free_may_be_repeated),
		T(fragments_outlive_a_clean_close),
		T(what_is_no_store_is_refused),
		T(a_marker_of_another_version_refuses_the_dir_store),
		T(a_damaged_marker_does_not_cost_the_dir_store),
		T(a_read_only_store_writes_nothing),
		T(a_full_store_says_so_and_takes_more_after_frees),
		T(free_space_is_a_promise),
		T(listing_while_writing_leaves_nothing_out),
		T(a_sync_covers_its_token_and_is_cheap_again),
		T(a_vanished_disk_is_not_a_missing_fragment),
		T(a_failed_sync_is_never_made_good),
		T(a_write_that_a_failed_sync_hit_leaves_nothing),
		T(no_memory_at_any_time_is_survived),
		T(eight_threads_at_once_do_not_disturb_each_other),
	};

	if (argc != 3)
		return 2;
	store_name = argv[1];
	real_disk = !strcmp(argv[2], "real");
	seed = test_seed();
	return cmocka_run_group_tests_name(store_name, tests, NULL, NULL);
}
