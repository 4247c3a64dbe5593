/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores and power cuts, and failing system calls: a random history is cut
 * at each of its calls in turn, on the simulated system.
 * test_crash STORE
 */
#include "rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N(a) (sizeof(a) / sizeof((a)[0]))

static const char *store_name;
static uint64_t seed;

/* A little history of a store, told so that a crash may cut it anywhere. */
struct story {
	struct frag f[128];
	bool synced[128], freed[128], tried[128], lost[128];
	uint32_t n;
};

static void story_write(struct rig *r, struct story *s, uint64_t *rng)
{
	uint32_t k = 1 + (uint32_t)(rnd(rng) % 4);
	int res[4];

	for (uint32_t i = 0; i < k; i++)
		s->f[s->n + i] = frag_make(
		    s->n + i + 1, (uint32_t)(rnd(rng) % 200),
		    (uint32_t)(rnd(rng) % (rnd(rng) & 1 ? 3000 : 150000)));
	frags_write(r, s->f + s->n, res, k);
	for (uint32_t i = 0; i < k; i++)
		s->tried[s->n + i] = !res[i];
	s->n += k;
}

static void story_sync(struct rig *r, struct story *s)
{
	uint64_t t = r->ops->mark(r->self);
	uint32_t n = s->n;

	if (r->ops->sync(r->self, t)) {
		/* for ever, whatever a later sync says */
		for (uint32_t i = 0; i < n; i++)
			s->lost[i] = s->lost[i] || !s->synced[i];
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		s->synced[i] = s->synced[i] || (s->tried[i] && !s->lost[i]);
}

static void story_run(struct rig *r, struct story *s, uint64_t run_seed)
{
	uint64_t rng = run_seed;

	while (s->n < 120 && !simos_is_down(r->sim)) {
		uint32_t i = (uint32_t)(rnd(&rng) % 128);

		switch (rnd(&rng) % 8) {
		case 0:
			story_sync(r, s);
			break;
		case 1:
			if (i >= s->n || !s->tried[i])
				break;
			s->freed[i] = true;
			(void)frag_free(r, &s->f[i]);
			break;
		case 2:
			if (rnd(&rng) % 4)
				break;
			story_sync(r, s);
			rig_close(r);
			if (rig_open(r, 0))
				return;
			break;
		default:
			story_write(r, s, &rng);
		}
	}
}

/* All rows of the listing, at most n. */
static uint32_t list_all(struct rig *r, struct dynfs_store_entry *e, uint32_t n)
{
	uint64_t cursor = 0;
	uint32_t got = 0, k;

	do {
		assert_true(got < n);
		assert_int_equal(r->ops->list(r->self, &cursor, e + got,
					      n - got < 50 ? n - got : 50, &k),
				 0);
		got += k;
	} while (k);
	return got;
}

static uint32_t shown(const struct dynfs_store_entry *e, uint32_t n,
		      const struct frag *f)
{
	uint32_t found = 0;

	for (uint32_t i = 0; i < n; i++)
		if (!memcmp(&e[i].id, &f->id, sizeof(f->id)) &&
		    !memcmp(&e[i].place, &f->place, sizeof(f->place)) &&
		    e[i].head_len == f->head_len &&
		    e[i].payload_len == f->payload_len)
			found++;
	return found;
}

static void story_check(struct rig *r, const struct story *s)
{
	static struct dynfs_store_entry rows[400];
	uint32_t n_rows = list_all(r, rows, N(rows));

	for (uint32_t i = 0; i < s->n; i++) {
		const struct frag *f = &s->f[i];
		int e;

		if (s->synced[i] && !s->freed[i]) {
			assert_int_equal(frag_check(r, f), 0);
			assert_int_equal(shown(rows, n_rows, f), 1);
		} else if (s->tried[i]) {
			/* whole, absent or wrong: but a head is never
			 * another fragment's, and a free is always right */
			e = frag_read(r, f, true, 0, f->head_len);
			assert_true(e == 0 || e == -EUCLEAN || e == -EBADMSG);
			assert_int_equal(frag_free(r, f), 0);
		}
	}
}

/* After a crash the store must go on as if nothing had been. */
static void story_goes_on(struct rig *r)
{
	struct frag f[10];

	for (uint32_t i = 0; i < N(f); i++) {
		f[i] = frag_make(1000 + i, 100, i & 1 ? 100000 : 500);
		assert_int_equal(frag_write(r, &f[i]), 0);
	}
	assert_int_equal(r->ops->sync(r->self, r->ops->mark(r->self)), 0);
	simos_crash_at(r->sim, 1);
	rig_abandon(r);
	simos_restart(r->sim, SIMOS_LOSE, 5);
	assert_int_equal(rig_open(r, 0), 0);
	for (uint32_t i = 0; i < N(f); i++)
		assert_int_equal(frag_check(r, &f[i]), 0);
}

/* Each of the first calls, then ever fewer, others with another seed. */
static uint64_t next_call(uint64_t nth)
{
	uint64_t rng = seed + nth;

	return nth + 1 + (nth > 60 ? rnd(&rng) % (nth / 15) : 0);
}

static void a_crash_at_any_call_loses_nothing_synced(void **state)
{
	uint64_t nth = 1;

	(void)state;
	for (;; nth = next_call(nth)) {
		struct rig r;
		struct story s = { .n = 0 };
		uint64_t run_seed = seed + nth % 7;
		bool down;

		assert_int_equal(rig_init(&r, store_name, false, run_seed), 0);
		r.max_fragment = 200000;
		assert_int_equal(rig_open(&r, DYNFS_STORE_OPEN_CREATE), 0);
		simos_crash_at(r.sim, nth);
		story_run(&r, &s, run_seed);
		if (r.open)
			rig_abandon(&r);
		down = simos_is_down(r.sim);
		simos_restart(r.sim, nth % 3 ? SIMOS_COIN : SIMOS_LOSE, nth);
		/* and once more, while it picks up the pieces */
		if (nth % 2) {
			simos_crash_at(r.sim, 1 + nth % 5);
			if (!rig_open(&r, 0))
				rig_abandon(&r);
			simos_restart(r.sim, SIMOS_COIN, nth + 1);
		}
		assert_int_equal(rig_open(&r, 0), 0);
		story_check(&r, &s);
		story_goes_on(&r);
		story_check(&r, &s);
		rig_done(&r);
		if (!down)
			break;
	}
	assert_true(nth > 20);
}

static void creation_can_be_cut_anywhere_and_repeated(void **state)
{
	(void)state;
	for (uint64_t nth = 1;; nth++) {
		struct rig r;
		int e;

		assert_int_equal(rig_init(&r, store_name, false, nth), 0);
		simos_crash_at(r.sim, nth);
		e = rig_open(&r, DYNFS_STORE_OPEN_CREATE);
		if (!simos_is_down(r.sim)) {
			assert_int_equal(e, 0);
			rig_done(&r);
			break;
		}
		if (r.open)
			rig_abandon(&r);
		simos_restart(r.sim, SIMOS_COIN, nth);
		e = rig_open(&r, DYNFS_STORE_OPEN_CREATE);
		if (e == -EEXIST)
			e = rig_open(&r, 0);
		assert_int_equal(e, 0);
		story_goes_on(&r);
		rig_done(&r);
	}
}

/* Every call fails once: what was answered with 0 must be there. */
static void an_io_error_at_any_call_is_survived(void **state)
{
	uint64_t nth;

	(void)state;
	for (nth = 1; nth < 4000; nth = next_call(nth)) {
		struct simos_fault fault = { .call = SIMOS_ANY,
					     .nth = nth,
					     .times = 1,
					     .err = nth & 1 ? -EIO : -ENOSPC };
		struct story s = { .n = 0 };
		uint64_t all;
		struct rig r;

		assert_int_equal(rig_init(&r, store_name, false, seed), 0);
		r.max_fragment = 200000;
		assert_int_equal(rig_open(&r, DYNFS_STORE_OPEN_CREATE), 0);
		all = simos_calls(r.sim, SIMOS_ANY);
		assert_int_equal(simos_inject(r.sim, &fault), 0);
		story_run(&r, &s, seed);
		all = simos_calls(r.sim, SIMOS_ANY) - all;
		simos_heal(r.sim);
		if (r.open)
			rig_close(&r);
		assert_int_equal(rig_open(&r, 0), 0);
		story_check(&r, &s);
		rig_done(&r);
		if (all < nth)
			break;
	}
	assert_true(nth > 50 && nth < 4000);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_crash_at_any_call_loses_nothing_synced),
		cmocka_unit_test(creation_can_be_cut_anywhere_and_repeated),
		cmocka_unit_test(an_io_error_at_any_call_is_survived),
	};

	if (argc != 2)
		return 2;
	store_name = argv[1];
	seed = test_seed();
	return cmocka_run_group_tests_name(store_name, tests, NULL, NULL);
}
