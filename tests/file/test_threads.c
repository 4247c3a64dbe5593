/* SPDX-License-Identifier: Apache-2.0 */
/* Two things at once.  Hooks put the second into the middle of the first. */
#include "rig.h"
#include "seeded.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void nap(long ms)
{
	struct timespec t = { .tv_nsec = ms * 1000000 };

	(void)nanosleep(&t, NULL);
}

/* Which version does a range have throughout?  0: neither of 1 to n. */
static unsigned version_of(struct inode *in, uint64_t off, size_t len,
			   unsigned n)
{
	uint8_t *have = malloc(len), *want = malloc(len);
	unsigned found = 0;
	size_t got = 0;

	assert_non_null(have);
	assert_non_null(want);
	assert_int_equal(file_read(in, off, len, have, &got), 0);
	assert_int_equal(got, len);
	for (unsigned v = 1; v <= n && !found; v++) {
		rig_fill(want, off, len, v);
		if (!memcmp(have, want, len))
			found = v;
	}
	free(have);
	free(want);
	return found;
}

/* ---- writers ----------------------------------------------------------- */

#define ROUNDS 300

struct writer {
	struct inode *in;
	unsigned version;
};

static void *write_rounds(void *arg)
{
	struct writer *w = arg;

	for (int i = 0; i < ROUNDS; i++)
		if (rig_write(w->in, CHUNK - 2000, 4000, w->version))
			return w;
	return NULL;
}

static void overlapping_writes_are_one_or_the_other(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);
	struct writer w[2] = { { in, 1 }, { in, 2 } };
	uint64_t ino = in->ino;
	pthread_t t[2];
	void *bad;

	assert_int_equal(rig_write(in, CHUNK - 2000, 4000, 1), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(
		    pthread_create(&t[i], NULL, write_rounds, &w[i]), 0);
	for (int i = 0; i < ROUNDS; i++) {
		assert_int_not_equal(version_of(in, CHUNK - 2000, 4000, 2), 0);
		assert_int_equal(file_settle(in), 0);
	}
	for (int i = 0; i < 2; i++) {
		(void)pthread_join(t[i], &bad);
		assert_null(bad);
	}
	assert_int_equal(file_sync(in, false), 0);
	inode_put(in);
	rig_crash(r);
	in = rig_get(r, ino);
	assert_int_not_equal(version_of(in, CHUNK - 2000, 4000, 2), 0);
	inode_put(in);
}

static void write_inside_a_flush(struct rig *r)
{
	struct inode *in = r->ctx;

	atomic_store(&r->on_write, NULL);
	assert_int_equal(rig_write(in, 1000, 2000, 2), 0);
	assert_int_equal(rig_write(in, CHUNK, 100, 2), 0);
	rig_check(in, 0, 1000, 1);
	rig_check(in, 1000, 2000, 2);
	rig_check(in, 3000, CHUNK - 3000, 1);
}

static void a_write_during_a_flush_lies_over_it(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);
	uint64_t ino = in->ino;

	assert_int_equal(rig_write(in, 0, CHUNK, 1), 0);
	r->ctx = in;
	atomic_store(&r->on_write, write_inside_a_flush);
	assert_int_equal(file_sync(in, false), 0);
	assert_null(atomic_load(&r->on_write));
	rig_check(in, 1000, 2000, 2);
	assert_int_equal(file_sync(in, false), 0);
	inode_put(in);
	rig_crash(r);
	in = rig_get(r, ino);
	assert_int_equal(rig_size(in), CHUNK + 100);
	rig_check(in, 0, 1000, 1);
	rig_check(in, 1000, 2000, 2);
	rig_check(in, 3000, CHUNK - 3000, 1);
	rig_check(in, CHUNK, 100, 2);
	inode_put(in);
}

/* The flush fails when newer bytes lie over what it took. */
static void write_and_fail(struct rig *r)
{
	static const char *const path[] = { "/d1/store", "/d2/store",
					    "/d3/store", "/d4/store",
					    "/d5/store" };

	atomic_store(&r->on_write, NULL);
	assert_int_equal(rig_write(r->ctx, 1000, 2000, 2), 0);
	for (int i = 0; i < 5; i++) {
		struct simos_fault f = { .call = SIMOS_PWRITEV,
					 .prefix = path[i],
					 .nth = 1,
					 .err = -ENOSPC };

		assert_int_equal(simos_inject(r->sim, &f), 0);
	}
}

static void newer_bytes_win_over_a_flush_that_failed(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);

	assert_int_equal(rig_write(in, 500, CHUNK - 500, 1), 0);
	r->ctx = in;
	atomic_store(&r->on_write, write_and_fail);
	assert_int_equal(file_sync(in, false), -ENOSPC);
	for (int pass = 0; pass < 2; pass++) {
		rig_check(in, 500, 500, 1);
		rig_check(in, 1000, 2000, 2);
		rig_check(in, 3000, CHUNK - 3000, 1);
		simos_heal(r->sim);
		assert_int_equal(file_sync(in, false), 0);
	}
	inode_put(in);
}

static void *truncate_it(void *arg)
{
	struct rig *r = arg;

	return file_truncate(r->ctx, 700) ? arg : NULL;
}

static pthread_t truncater;

static void truncate_inside_a_flush(struct rig *r)
{
	atomic_store(&r->on_write, NULL);
	assert_int_equal(pthread_create(&truncater, NULL, truncate_it, r), 0);
	nap(20); /* it waits for the flush, or does harm now */
}

static void a_cut_during_a_flush_comes_after_it(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);
	uint64_t ino = in->ino;
	void *bad;

	assert_int_equal(rig_write(in, 0, 2 * CHUNK, 1), 0);
	r->ctx = in;
	atomic_store(&r->on_write, truncate_inside_a_flush);
	assert_int_equal(file_settle(in), 0);
	(void)pthread_join(truncater, &bad);
	assert_null(bad);
	assert_int_equal(rig_size(in), 700);
	assert_int_equal(file_truncate(in, CHUNK), 0);
	assert_int_equal(file_sync(in, false), 0);
	inode_put(in);
	rig_crash(r);
	in = rig_get(r, ino);
	rig_check(in, 0, 700, 1);
	rig_check(in, 700, CHUNK - 700, 0);
	inode_put(in);
}

/* ---- syncs ------------------------------------------------------------- */

#define SYNCERS 12

struct syncer {
	struct rig *r;
	struct inode *in;
	atomic_uint *n_there;
};

static void *sync_it(void *arg)
{
	struct syncer *s = arg;

	atomic_fetch_add(s->n_there, 1);
	return file_sync(s->in, false) ? arg : NULL;
}

static atomic_uint n_syncers;

/* The first round waits until all want one. */
static void wait_for_syncers(struct rig *r)
{
	atomic_store(&r->on_sync, NULL);
	for (int i = 0; i < 1000 && atomic_load(&n_syncers) < SYNCERS; i++)
		nap(5);
	nap(50);
}

static void syncs_at_once_share_a_group(void **state)
{
	struct rig *r = *state;
	struct syncer s[SYNCERS];
	pthread_t t[SYNCERS];
	uint64_t before;
	void *bad;

	for (int i = 0; i < SYNCERS; i++) {
		s[i] = (struct syncer){ r, rig_make(r), &n_syncers };
		assert_int_equal(rig_write(s[i].in, 0, 3000, 1), 0);
	}
	assert_int_equal(meta_sync(r->meta, meta_open_number(r->meta)), 0);
	before = meta_durable_number(r->meta);
	atomic_store(&n_syncers, 0);
	atomic_store(&r->on_sync, wait_for_syncers);
	for (int i = 0; i < SYNCERS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, sync_it, &s[i]),
				 0);
	for (int i = 0; i < SYNCERS; i++) {
		(void)pthread_join(t[i], &bad);
		assert_null(bad);
	}
	/* the one that was held up, one for all the others, one to spare */
	assert_true(meta_durable_number(r->meta) <= before + 3);
	for (int i = 0; i < SYNCERS; i++)
		inode_put(s[i].in);
}

#define STREAM_MOST 500

struct stream {
	struct inode *in;
	atomic_uint n; /* chunks that were written */
};

static void write_on(struct rig *r)
{
	struct stream *s = r->ctx;
	unsigned i = atomic_fetch_add(&s->n, 1);

	if (i < STREAM_MOST)
		assert_int_equal(
		    rig_write(s->in, (uint64_t)i * CHUNK, CHUNK, 1), 0);
}

static void a_sync_ends_though_a_writer_is_as_fast_as_the_disks(void **state)
{
	struct rig *r = *state;
	struct stream s = { .n = 20 };

	r->how.memory_bytes = 128u << 20;
	rig_refresh(r);
	s.in = rig_make(r);
	assert_int_equal(rig_write(s.in, 0, 20ull * CHUNK, 1), 0);
	r->ctx = &s;
	atomic_store(&r->on_write, write_on);
	assert_int_equal(file_sync(s.in, false), 0);
	atomic_store(&r->on_write, NULL);
	assert_true(atomic_load(&s.n) > 20);
	assert_true(atomic_load(&s.n) < STREAM_MOST);
	inode_put(s.in);
}

/* ---- a crowd ----------------------------------------------------------- */

struct crowd {
	struct rig *r;
	uint64_t ino, seed;
};

/* Each owns every fourth block: what it wrote last is what it reads. */
static void *crowd_member(void *arg)
{
	struct crowd *c = arg;
	uint64_t seed = c->seed, me = c->seed % 4;
	uint8_t version[64] = { 0 };

	for (int i = 0; i < 400; i++) {
		struct inode *in = rig_get(c->r, c->ino);
		uint64_t b = rnd(&seed) % 64, off = (b * 4 + me) * 1500;

		switch (rnd(&seed) % 6) {
		case 0:
			assert_int_equal(file_sync(in, false), 0);
			break;
		case 1:
			assert_int_equal(file_settle(in), 0);
			break;
		case 2:
			assert_int_equal(file_truncate(in, 64 * 4 * 1500), 0);
			break;
		case 3:
		case 4:
			version[b] = (uint8_t)(1 + rnd(&seed) % 200);
			assert_int_equal(rig_write(in, off, 1500, version[b]),
					 0);
			break;
		default:
			rig_check(in, off, 1500, version[b]);
		}
		inode_put(in);
	}
	return NULL;
}

static void a_crowd_on_one_file_reads_what_it_wrote(void **state)
{
	struct rig *r = *state;
	struct crowd c[4];
	pthread_t t[4];
	struct inode *in;
	uint64_t ino;

	r->how.n_threads = 2;
	r->how.memory_bytes = 1 << 20;
	rig_refresh(r);
	in = rig_make(r);
	ino = in->ino;
	assert_int_equal(file_truncate(in, 64 * 4 * 1500), 0);
	inode_put(in);
	for (unsigned i = 0; i < 4; i++) {
		c[i] = (struct crowd){ r, ino, 100 + i };
		assert_int_equal(
		    pthread_create(&t[i], NULL, crowd_member, &c[i]), 0);
	}
	for (int i = 0; i < 4; i++)
		(void)pthread_join(t[i], NULL);
}

/* Each flush meets bytes that are newer than it, below what is resized. */
static void append_inside(struct rig *r)
{
	struct inode *in = r->ctx;

	assert_int_equal(rig_write(in, rig_size(in), 1000, 1), 0);
}

static void a_size_never_runs_ahead_of_a_writer_that_never_rests(void **state)
{
	struct rig *r = *state;
	struct inode *in = rig_make(r);
	uint64_t ino = in->ino, end;

	assert_int_equal(rig_write(in, 0, 1000, 1), 0);
	r->ctx = in;
	atomic_store(&r->on_write, append_inside);
	assert_int_equal(file_truncate(in, 7 * CHUNK), 0);
	atomic_store(&r->on_write, NULL);
	assert_int_equal(rig_size(in), 7 * CHUNK);
	assert_false(rig_is_clean(in));
	/* what was committed so far, and nothing else */
	assert_int_equal(meta_sync(r->meta, meta_open_number(r->meta)), 0);
	inode_put(in);
	rig_crash(r);
	in = rig_get(r, ino);
	end = rig_size(in);
	assert_true(end >= 1000);
	rig_check(in, 0, end, 1);
	/* the same, and what was dirty comes to be stored */
	r->ctx = in;
	atomic_store(&r->on_write, append_inside);
	assert_int_equal(rig_write(in, end, 1000, 1), 0);
	assert_int_equal(file_truncate(in, 7 * CHUNK), 0);
	atomic_store(&r->on_write, NULL);
	assert_int_equal(file_sync(in, false), 0);
	inode_put(in);
	rig_crash(r);
	in = rig_get(r, ino);
	assert_int_equal(rig_size(in), 7 * CHUNK);
	rig_check(in, 0, end + 1000, 1);
	rig_check(in, 5 * CHUNK, 2 * CHUNK, 0);
	inode_put(in);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(overlapping_writes_are_one_or_the_other),
		TEST(a_write_during_a_flush_lies_over_it),
		TEST(newer_bytes_win_over_a_flush_that_failed),
		TEST(a_cut_during_a_flush_comes_after_it),
		TEST(syncs_at_once_share_a_group),
		TEST(a_sync_ends_though_a_writer_is_as_fast_as_the_disks),
		TEST(a_size_never_runs_ahead_of_a_writer_that_never_rests),
		TEST(a_crowd_on_one_file_reads_what_it_wrote),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
