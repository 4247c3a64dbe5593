/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Placement: pools that are filled to the end reach the bound, domains are
 * respected, and the same request gives the same answer.
 */
#include "host.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DISKS_MAX 200
#define FRAGMENT  262144u

static const char *const names[] = { "rendezvous", "most-free", "round-robin" };
#define N_NAMES (sizeof(names) / sizeof(*names))

struct pool {
	struct dynfs_placement_disk disk[DISKS_MAX];
	uint32_t n;
};

/* Disks of so many fragments, each its own domain; the list ends with 0. */
static void pool_init(struct pool *p, const uint64_t *fragments)
{
	memset(p, 0, sizeof(*p));
	for (; fragments[p->n]; p->n++)
		p->disk[p->n] = (struct dynfs_placement_disk){
			.id = 100 + p->n,
			.domain = p->n,
			.free_bytes = fragments[p->n] * FRAGMENT,
			.total_bytes = fragments[p->n] * FRAGMENT,
		};
}

static int pick(struct test_plugin *t, const struct pool *p, uint64_t key,
		uint32_t n_pick, uint32_t *out)
{
	const struct dynfs_placement_request r = {
		.size = sizeof(r),
		.key = key,
		.fragment_bytes = FRAGMENT,
		.disks = p->disk,
		.disk_size = sizeof(p->disk[0]),
		.n_disks = p->n,
		.n_pick = n_pick,
	};

	return t->plugin->placement->pick(t->self, &r, out);
}

/* No disk twice, none in use, and no domain used before an emptier one. */
static void check_picks(const struct pool *p, const uint32_t *out, uint32_t n)
{
	uint32_t domains[DISKS_MAX] = { 0 }, room[DISKS_MAX] = { 0 };
	uint32_t n_domains = 0, fewest = UINT32_MAX, most = 0;

	for (uint32_t i = 0; i < n; i++) {
		assert_true(out[i] < p->n);
		assert_int_equal(p->disk[out[i]].in_use, 0);
		for (uint32_t j = 0; j < i; j++)
			assert_int_not_equal(out[i], out[j]);
		domains[p->disk[out[i]].domain]++;
	}
	for (uint32_t i = 0; i < p->n; i++) {
		uint32_t d = p->disk[i].domain;

		domains[d] += p->disk[i].in_use != 0;
		room[d]++;
		n_domains = d >= n_domains ? d + 1 : n_domains;
	}
	for (uint32_t d = 0; d < n_domains; d++)
		if (room[d] > domains[d] && domains[d] < fewest)
			fewest = domains[d];
	/* a pick that made its domain fuller than one with room by two */
	for (uint32_t i = 0; i < n; i++)
		if (domains[p->disk[out[i]].domain] > most)
			most = domains[p->disk[out[i]].domain];
	assert_true(n == 0 || most <= 1 || fewest == UINT32_MAX ||
		    most - 1 <= fewest);
}

/* ---- the bound ---------------------------------------------------------- */

/* The largest x with sum(min(free_i, x)) >= n * x. */
static uint64_t bound(const struct pool *p, uint32_t n)
{
	uint64_t low = 0, high = UINT32_MAX;

	while (low < high) {
		uint64_t x = (low + high + 1) / 2, sum = 0;

		for (uint32_t i = 0; i < p->n; i++) {
			uint64_t f = p->disk[i].free_bytes / FRAGMENT;

			sum += f < x ? f : x;
		}
		if (sum >= n * x)
			low = x;
		else
			high = x - 1;
	}
	return low;
}

/* Writes extents until n disks with room are not left; the number written. */
static uint64_t fill(struct test_plugin *t, struct pool *p, uint32_t n,
		     uint64_t *seed)
{
	uint64_t n_extents = 0;
	uint32_t out[32];

	for (;;) {
		uint32_t n_offer = 0;
		struct pool offer = { .n = 0 };
		uint32_t place[DISKS_MAX];

		for (uint32_t i = 0; i < p->n; i++) {
			if (p->disk[i].free_bytes < FRAGMENT)
				continue;
			place[n_offer] = i;
			offer.disk[n_offer++] = p->disk[i];
		}
		offer.n = n_offer;
		if (n_offer < n)
			return n_extents;
		assert_int_equal(pick(t, &offer, test_random(seed), n, out), 0);
		check_picks(&offer, out, n);
		for (uint32_t i = 0; i < n; i++)
			p->disk[place[out[i]]].free_bytes -= FRAGMENT;
		n_extents++;
	}
}

static void check_fill(const char *name, const uint64_t *fragments, uint32_t n)
{
	uint64_t seed = test_seed(), best, got;
	struct test_plugin t;
	struct pool p;

	test_open(&t, "placement", name);
	pool_init(&p, fragments);
	best = bound(&p, n);
	got = fill(&t, &p, n, &seed);
	print_message("%s: %u of %u disks, %llu of %llu extents\n", name, n,
		      p.n, (unsigned long long)got, (unsigned long long)best);
	assert_true(got <= best);
	assert_true(got >= best - best / 100);
	test_close(&t);
}

static void unequal_disks_fill_to_the_bound(void **state)
{
	static const uint64_t six[] = { 9000, 7000, 5000, 4000, 3000, 2500, 0 };
	static const uint64_t copies[] = {
		8000, 4000, 2000, 2000, 2000, 2000, 0
	};
	static const uint64_t eight[] = { 12000, 8000, 8000, 4000, 3000,
					  2000,  1000, 500,  0 };
	static const uint64_t huge[] = { 1000000000, 3000, 2000, 1000, 0 };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		check_fill(names[i], six, 6);
		check_fill(names[i], six, 4);
		check_fill(names[i], six, 2);
		check_fill(names[i], copies, 3);
		check_fill(names[i], eight, 6);
		check_fill(names[i], huge, 3);
	}
}

/* The share of keys in which a disk is taken, against min(free, x) / x. */
static void each_disk_is_taken_as_often_as_its_share(void **state)
{
	static const uint64_t fragments[] = { 4000, 2000, 1000, 1000,
					      1000, 1000, 0 };
	enum { ROUNDS = 200000 };
	uint64_t seed = test_seed();
	uint32_t count[6] = { 0 }, first[6] = { 0 }, out[6];
	struct test_plugin t;
	struct pool p;

	(void)state;
	test_open(&t, "placement", "rendezvous");
	pool_init(&p, fragments);
	for (int i = 0; i < ROUNDS; i++) {
		assert_int_equal(pick(&t, &p, test_random(&seed), 3, out), 0);
		for (uint32_t j = 0; j < 3; j++)
			count[out[j]]++;
		first[out[0]]++;
	}
	/* x = 3000 */
	for (uint32_t i = 0; i < 6; i++) {
		double f = (double)fragments[i];
		double want = f >= 3000 ? 1 : f / 3000;
		double got = (double)count[i] / ROUNDS;
		double front = (double)first[i] / ROUNDS;

		assert_true(got > want - 0.01 && got < want + 0.01);
		if (i == 0)
			assert_int_equal(count[i], ROUNDS);
		/* and a third of the time it comes first */
		assert_true(front > want / 3 - 0.02 && front < want / 3 + 0.02);
	}
	test_close(&t);
}

/* With the same disks always together, one pair's loss would hit them all. */
static void small_disks_meet_in_every_pair(void **state)
{
	static const uint64_t fragments[] = { 1000, 1000, 1000, 1000, 1000, 0 };
	uint32_t pairs[5][5] = { { 0 } }, out[2];
	uint64_t seed = test_seed();
	struct test_plugin t;
	struct pool p;

	(void)state;
	test_open(&t, "placement", "rendezvous");
	pool_init(&p, fragments);
	for (int i = 0; i < 10000; i++) {
		assert_int_equal(pick(&t, &p, test_random(&seed), 2, out), 0);
		pairs[out[0]][out[1]]++;
	}
	for (uint32_t i = 0; i < 5; i++)
		for (uint32_t j = 0; j < 5; j++)
			if (i != j)
				assert_true(pairs[i][j] > 300 &&
					    pairs[i][j] < 700);
	test_close(&t);
}

/* ---- domains ------------------------------------------------------------ */

static void random_offers_get_distinct_disks_and_domains(void **state)
{
	uint64_t seed = test_seed();

	(void)state;
	for (size_t i = 0; i < N_NAMES; i++) {
		struct test_plugin t;

		test_open(&t, "placement", names[i]);
		for (int round = 0; round < 20000; round++) {
			uint32_t out[DISKS_MAX], n_free = 0, n;
			struct pool p = { .n = 0 };

			p.n = 1 + test_random(&seed) % 20;
			if (round % 50 == 0)
				p.n = 60 + test_random(&seed) % 140;
			for (uint32_t d = 0; d < p.n; d++) {
				p.disk[d].id = d;
				p.disk[d].domain =
				    (uint32_t)(test_random(&seed) %
					       (1 + p.n / 2));
				p.disk[d].in_use = test_random(&seed) % 5 == 0;
				p.disk[d].free_bytes =
				    test_random(&seed) >>
				    (test_random(&seed) % 64);
				n_free += !p.disk[d].in_use;
			}
			n = n_free ? test_random(&seed) % (n_free + 1) : 0;
			n = n > 32 ? 32 : n;
			assert_int_equal(
			    pick(&t, &p, test_random(&seed), n, out), 0);
			check_picks(&p, out, n);
		}
		test_close(&t);
	}
}

static void a_domain_in_use_comes_last(void **state)
{
	static const uint64_t fragments[] = { 9000, 9000, 10, 10, 0 };
	uint64_t seed = test_seed();

	(void)state;
	for (size_t i = 0; i < N_NAMES; i++) {
		struct test_plugin t;
		struct pool p;
		uint32_t out[3];

		test_open(&t, "placement", names[i]);
		pool_init(&p, fragments);
		p.disk[0].in_use = 1;
		p.disk[1].domain = p.disk[0].domain;
		for (int round = 0; round < 100; round++) {
			assert_int_equal(
			    pick(&t, &p, test_random(&seed), 2, out), 0);
			assert_int_equal(out[0] + out[1], 2 + 3);
			assert_int_equal(
			    pick(&t, &p, test_random(&seed), 3, out), 0);
			check_picks(&p, out, 3);
		}
		test_close(&t);
	}
}

/* Two domains of (big, small) and (middle): as much as the formula allows. */
static void domains_fill_to_the_bound_of_their_sums(void **state)
{
	static const uint64_t fragments[] = { 3000, 1000, 2000, 1500, 1500, 0 };
	static const uint32_t domain[] = { 0, 0, 1, 2, 2 };
	static const uint64_t sums[] = { 4000, 2000, 3000, 0 };
	uint64_t seed = test_seed(), got;
	struct pool p, by_domain;
	struct test_plugin t;

	(void)state;
	test_open(&t, "placement", "rendezvous");
	pool_init(&p, fragments);
	pool_init(&by_domain, sums);
	for (uint32_t i = 0; i < p.n; i++)
		p.disk[i].domain = domain[i];
	got = 0;
	for (uint32_t out[2]; got < bound(&by_domain, 2) * 99 / 100; got++) {
		assert_int_equal(pick(&t, &p, test_random(&seed), 2, out), 0);
		for (uint32_t i = 0; i < 2; i++) {
			assert_true(p.disk[out[i]].free_bytes >= FRAGMENT);
			p.disk[out[i]].free_bytes -= FRAGMENT;
		}
		assert_int_not_equal(p.disk[out[0]].domain,
				     p.disk[out[1]].domain);
	}
	assert_int_equal(got, 4500 * 99 / 100);
	test_close(&t);
}

/* ---- the rest ----------------------------------------------------------- */

static void the_same_key_gives_the_same_disks(void **state)
{
	static const uint64_t fragments[] = { 9, 8, 7, 6, 5, 4, 3, 2, 1, 0 };
	uint32_t a[4], b[4], n_different = 0;
	struct test_plugin one, two;
	struct pool p;

	(void)state;
	test_open(&one, "placement", "rendezvous");
	test_open(&two, "placement", "rendezvous");
	pool_init(&p, fragments);
	for (uint64_t key = 0; key < 1000; key++) {
		assert_int_equal(pick(&one, &p, key, 4, a), 0);
		assert_int_equal(pick(&two, &p, key, 4, b), 0);
		assert_memory_equal(a, b, sizeof(a));
		assert_int_equal(pick(&two, &p, key + 1, 4, b), 0);
		n_different += memcmp(a, b, sizeof(a)) != 0;
	}
	assert_true(n_different > 900);
	test_close(&one);
	test_close(&two);
}

static void turns_use_all_disks_equally_and_first_equally(void **state)
{
	static const uint64_t fragments[] = { 9, 9, 9, 9, 9, 9, 9, 0 };
	uint32_t out[3], count[7] = { 0 }, first[7] = { 0 };
	struct test_plugin t;
	struct pool p;

	(void)state;
	test_open(&t, "placement", "round-robin");
	pool_init(&p, fragments);
	for (int i = 0; i < 700; i++) {
		assert_int_equal(pick(&t, &p, 0, 3, out), 0);
		for (uint32_t j = 0; j < 3; j++)
			count[out[j]]++;
		first[out[0]]++;
	}
	for (uint32_t i = 0; i < 7; i++) {
		assert_int_equal(count[i], 300);
		assert_int_equal(first[i], 100);
	}
	test_close(&t);
}

static void most_free_takes_the_biggest_and_breaks_ties_by_tier(void **state)
{
	static const uint64_t fragments[] = { 5, 9, 5, 7, 0 };
	static const uint32_t want[] = { 1, 3, 2, 0 };
	struct test_plugin t;
	struct pool p;
	uint32_t out[4];

	(void)state;
	test_open(&t, "placement", "most-free");
	pool_init(&p, fragments);
	p.disk[0].tier = 1;
	assert_int_equal(pick(&t, &p, 12345, 4, out), 0);
	assert_memory_equal(out, want, sizeof(want));
	test_close(&t);
}

static void requests_that_can_not_be_met_are_refused(void **state)
{
	static const uint64_t fragments[] = { 5, 5, 5, 0 };

	(void)state;
	for (size_t i = 0; i < N_NAMES; i++) {
		struct test_plugin t;
		struct dynfs_placement_request r;
		uint32_t out[4];
		struct pool p;

		test_open(&t, "placement", names[i]);
		pool_init(&p, fragments);
		p.disk[1].in_use = 1;
		assert_int_equal(pick(&t, &p, 1, 3, out), -EINVAL);
		assert_int_equal(t.host.n_messages, 1);
		assert_int_equal(pick(&t, &p, 1, 2, out), 0);
		assert_int_equal(pick(&t, &p, 1, 0, out), 0);
		r = (struct dynfs_placement_request){
			.size = sizeof(r),
			.disks = p.disk,
			.disk_size = sizeof(p.disk[0]),
			.n_disks = 3,
			.n_pick = 1,
		};
		assert_int_equal(t.plugin->placement->pick(t.self, &r, out),
				 -EINVAL);
		r.fragment_bytes = 1;
		r.disk_size = 8;
		assert_int_equal(t.plugin->placement->pick(t.self, &r, out),
				 -EINVAL);
		assert_int_equal(t.host.n_messages, 3);
		test_close(&t);
	}
}

/* A newer core has longer structs; the stride says how long. */
static void longer_disks_of_a_newer_core_are_understood(void **state)
{
	struct {
		struct dynfs_placement_disk disk;
		uint64_t newer;
	} disks[3] = { { .disk.id = 1, .disk.free_bytes = 1 },
		       { .disk.id = 2, .disk.free_bytes = 1ull << 40 },
		       { .disk.id = 3, .disk.free_bytes = 1 } };
	struct dynfs_placement_request r = {
		.size = sizeof(r),
		.fragment_bytes = 1,
		.disks = &disks[0].disk,
		.disk_size = sizeof(disks[0]),
		.n_disks = 3,
		.n_pick = 1,
	};
	struct test_plugin t;
	uint32_t out = 9;

	(void)state;
	test_open(&t, "placement", "most-free");
	assert_int_equal(t.plugin->placement->pick(t.self, &r, &out), 0);
	assert_int_equal(out, 1);
	test_close(&t);
}

static void big_offers_without_memory_fail_and_leak_nothing(void **state)
{
	struct pool p = { .n = DISKS_MAX };

	(void)state;
	for (uint32_t i = 0; i < p.n; i++)
		p.disk[i].id = p.disk[i].domain = i;
	for (size_t i = 0; i < N_NAMES; i++) {
		struct test_plugin t;
		int err = -ENOMEM;
		uint32_t out[6];

		test_open(&t, "placement", names[i]);
		for (long n = 1; err; n++) {
			assert_true(n < 5);
			t.host.fail_alloc = n;
			err = pick(&t, &p, 1, 6, out);
			assert_true(err == 0 || err == -ENOMEM);
			assert_int_equal(t.host.n_live, 1);
		}
		t.host.fail_alloc = 0;
		test_close(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unequal_disks_fill_to_the_bound),
		cmocka_unit_test(each_disk_is_taken_as_often_as_its_share),
		cmocka_unit_test(small_disks_meet_in_every_pair),
		cmocka_unit_test(random_offers_get_distinct_disks_and_domains),
		cmocka_unit_test(a_domain_in_use_comes_last),
		cmocka_unit_test(domains_fill_to_the_bound_of_their_sums),
		cmocka_unit_test(the_same_key_gives_the_same_disks),
		cmocka_unit_test(turns_use_all_disks_equally_and_first_equally),
		cmocka_unit_test(
		    most_free_takes_the_biggest_and_breaks_ties_by_tier),
		cmocka_unit_test(requests_that_can_not_be_met_are_refused),
		cmocka_unit_test(longer_disks_of_a_newer_core_are_understood),
		cmocka_unit_test(
		    big_offers_without_memory_fail_and_leak_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
