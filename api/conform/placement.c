/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Placement: never a disk twice, never one that is in use, as many domains as
 * there are; and a pool of unequal disks can be filled.
 */
#include "conform.h"

#include <dynfs/placement.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DISKS    40
#define FRAGMENT 262144u
#define ROUNDS   3000

struct pool {
	struct dynfs_placement_disk disk[DISKS];
	uint32_t n;
};

static int pick(struct inst *i, const struct pool *p, uint64_t key,
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

	return i->plugin->placement->pick(i->self, &r, out);
}

/* Disks of random sizes in so many domains, some of them in use. */
static void pool_random(struct pool *p, uint64_t *rng)
{
	uint32_t domains;

	p->n = 1 + (uint32_t)(rnd(rng) % DISKS);
	domains = 1 + (uint32_t)(rnd(rng) % p->n);
	for (uint32_t i = 0; i < p->n; i++)
		p->disk[i] = (struct dynfs_placement_disk){
			.id = i * 3 + 1,
			.domain = (uint32_t)(rnd(rng) % domains),
			.tier = (uint32_t)(rnd(rng) % 3),
			.in_use = rnd(rng) % 5 == 0,
			.free_bytes = rnd(rng) % (1ull << (20 + i % 20)),
			.total_bytes = 1ull << 42,
		};
}

static uint32_t pool_idle(const struct pool *p)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->n; i++)
		n += !p->disk[i].in_use;
	return n;
}

static const char *picks_wrong(const struct pool *p, const uint32_t *out,
			       uint32_t n)
{
	uint32_t used[DISKS] = { 0 }, idle[DISKS] = { 0 };
	bool taken[DISKS] = { false };

	for (uint32_t i = 0; i < p->n; i++) {
		used[p->disk[i].domain] += p->disk[i].in_use;
		idle[p->disk[i].domain] += !p->disk[i].in_use;
	}
	for (uint32_t i = 0; i < n; i++) {
		if (out[i] >= p->n)
			return "a disk that was not offered";
		if (p->disk[out[i]].in_use)
			return "a disk that is in use";
		if (taken[out[i]])
			return "a disk twice";
		taken[out[i]] = true;
		used[p->disk[out[i]].domain]++;
		idle[p->disk[out[i]].domain]--;
	}
	/* a domain is used again while another is not used at all */
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t d = 0; d < DISKS; d++)
			if (used[p->disk[out[i]].domain] > 1 && !used[d] &&
			    idle[d])
				return "a domain again, while one is unused";
	return NULL;
}

static bool picks_keep_the_rules(struct conform *c)
{
	uint32_t out[DISKS + 1];
	uint64_t rng = c->seed;
	struct pool p;
	struct inst i;
	bool good = true;

	if (inst_new(c, &i, NULL))
		return false;
	for (int round = 0; good && round < ROUNDS; round++) {
		const char *wrong;
		uint32_t n;

		pool_random(&p, &rng);
		n = pool_idle(&p) ? 1 + (uint32_t)(rnd(&rng) % pool_idle(&p))
				  : 0;
		out[n] = 0xa5a5a5a5;
		if (pick(&i, &p, rnd(&rng), n, out)) {
			good = no(c, "%u of %u disks: %s", n, p.n,
				  i.host.fail_text);
			break;
		}
		wrong = picks_wrong(&p, out, n);
		if (!wrong && out[n] != 0xa5a5a5a5)
			wrong = "more than was asked for";
		good = !wrong ||
		       no(c, "%u of %u disks: it takes %s", n, p.n, wrong);
	}
	return inst_free(c, &i) && good;
}

static bool equal_histories_pick_equally(struct conform *c)
{
	uint32_t a[DISKS], b[DISKS];
	uint64_t rng = c->seed;
	struct pool p;
	struct inst x, y;
	bool good = true;

	if (inst_new(c, &x, NULL) || inst_new(c, &y, NULL))
		return false;
	for (int round = 0; good && round < 500; round++) {
		uint64_t key = rnd(&rng);
		uint32_t n;

		pool_random(&p, &rng);
		n = pool_idle(&p) < 6 ? pool_idle(&p) : 6;
		good = !pick(&x, &p, key, n, a) && !pick(&y, &p, key, n, b);
		good = good && (!memcmp(a, b, n * sizeof(a[0])) ||
				no(c, "request %d has two answers", round));
	}
	return inst_free(c, &x) && inst_free(c, &y) && good;
}

/* A core with larger structs than this plugin knows. */
static bool longer_structs_are_stepped_over(struct conform *c)
{
	struct wide {
		struct dynfs_placement_disk disk;
		uint64_t later[3];
	} wide[12];
	struct dynfs_placement_request r = { .size = sizeof(r) + 16,
					     .key = 99,
					     .fragment_bytes = FRAGMENT,
					     .disk_size = sizeof(wide[0]),
					     .n_disks = 12,
					     .n_pick = 6 };
	uint32_t a[12], b[12];
	struct pool p = { .n = 12 };
	struct inst x, y;
	bool good;

	memset(wide, 0x5a, sizeof(wide));
	for (uint32_t n = 0; n < 12; n++)
		wide[n].disk = p.disk[n] = (struct dynfs_placement_disk){
			.id = n + 1,
			.domain = n / 2,
			.free_bytes = (n + 4ull) << 30,
			.total_bytes = 1ull << 36,
		};
	r.disks = &wide[0].disk;
	if (inst_new(c, &x, NULL) || inst_new(c, &y, NULL))
		return false;
	good = (!pick(&x, &p, 99, 6, a) &&
		!y.plugin->placement->pick(y.self, &r, b) &&
		!memcmp(a, b, 6 * sizeof(a[0]))) ||
	       no(c, "disk_size is not the step from disk to disk");
	return inst_free(c, &x) && inst_free(c, &y) && good;
}

static bool impossible_is_refused(struct conform *c)
{
	struct pool p = { .n = 4 };
	uint32_t out[8];
	struct inst i;
	uint64_t before;
	bool good;

	if (inst_new(c, &i, NULL))
		return false;
	for (uint32_t n = 0; n < 4; n++)
		p.disk[n] =
		    (struct dynfs_placement_disk){ .id = n,
						   .domain = n,
						   .in_use = n == 0,
						   .free_bytes = 1u << 30,
						   .total_bytes = 1u << 30 };
	before = i.host.n_fails;
	good = answered(c, &i, before, "4 of 3 idle disks",
			pick(&i, &p, 1, 4, out), -EINVAL);
	return inst_free(c, &i) && good;
}

/* The largest x with sum(min(free_i, x)) >= n * x. */
static uint64_t pool_bound(const uint64_t *room, uint32_t n_disks, uint32_t n)
{
	uint64_t low = 0, high = 1u << 30;

	while (low < high) {
		uint64_t x = (low + high + 1) / 2, sum = 0;

		for (uint32_t i = 0; i < n_disks; i++)
			sum += room[i] < x ? room[i] : x;
		if (sum >= n * x)
			low = x;
		else
			high = x - 1;
	}
	return low;
}

/* Extents of n fragments until there are not n disks with room. */
static uint64_t pool_fill(struct inst *i, const uint64_t *room,
			  uint32_t n_disks, uint32_t n, uint64_t *rng)
{
	uint64_t left[DISKS], extents = 0;
	uint32_t out[DISKS], place[DISKS];
	struct pool p;

	memcpy(left, room, n_disks * sizeof(left[0]));
	for (;; extents++) {
		p.n = 0;
		for (uint32_t d = 0; d < n_disks; d++) {
			if (!left[d])
				continue;
			place[p.n] = d;
			p.disk[p.n++] = (struct dynfs_placement_disk){
				.id = d + 1,
				.domain = d,
				.free_bytes = left[d] * FRAGMENT,
				.total_bytes = room[d] * FRAGMENT,
			};
		}
		if (p.n < n || pick(i, &p, rnd(rng), n, out))
			return extents;
		for (uint32_t k = 0; k < n; k++)
			left[place[out[k]]]--;
	}
}

static bool unequal_disks_are_filled(struct conform *c)
{
	static const uint64_t rooms[][8] = {
		{ 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000 },
		{ 250, 500, 750, 1000, 1250, 1500, 1750, 2000 },
		{ 100, 100, 100, 100, 100, 100, 2000, 2000 },
		{ 4000, 100, 300, 300, 300, 300, 300, 300 },
	};
	uint64_t rng = c->seed;
	struct inst i;
	bool good = true;

	if (inst_new(c, &i, NULL))
		return false;
	for (size_t r = 0; good && r < COUNT(rooms); r++) {
		for (uint32_t n = 2; good && n <= 6; n += 2) {
			uint64_t best = pool_bound(rooms[r], 8, n);
			uint64_t got = pool_fill(&i, rooms[r], 8, n, &rng);

			good = got * 100 >= best * 50 ||
			       no(c,
				  "pool %zu, %u fragments: %llu of %llu "
				  "extents found room",
				  r, n, (unsigned long long)got,
				  (unsigned long long)best);
		}
	}
	return inst_free(c, &i) && good;
}

static void pool_fixed(struct pool *p)
{
	p->n = 10;
	for (uint32_t n = 0; n < p->n; n++)
		p->disk[n] = (struct dynfs_placement_disk){
			.id = 10 + n,
			.domain = n % 7,
			.tier = n & 1,
			.in_use = n == 4,
			.free_bytes = (n + 1ull) << 32,
			.total_bytes = 1ull << 40,
		};
}

static bool golden(struct conform *c, FILE *out)
{
	uint64_t rng = 1;
	uint32_t picked[DISKS];
	struct pool p;
	struct inst i;

	if (inst_new(c, &i, NULL))
		return false;
	pool_fixed(&p);
	for (int round = 0; round < 24; round++) {
		uint64_t key = rnd(&rng);

		if (pick(&i, &p, key, 6, picked))
			return no(c, "%s", i.host.fail_text);
		(void)fprintf(out, "key/%016llx", (unsigned long long)key);
		for (int k = 0; k < 6; k++)
			(void)fprintf(out, " %u", picked[k]);
		(void)fputc('\n', out);
	}
	return inst_free(c, &i);
}

static int use(struct inst *i, uint64_t salt)
{
	uint32_t out[DISKS];
	struct pool p;
	int err;

	pool_fixed(&p);
	err = pick(i, &p, salt, 6, out);
	return err ? err : picks_wrong(&p, out, 6) != NULL;
}

static const char *incomplete(const struct dynfs_plugin *p)
{
	const struct dynfs_placement_ops *o = p->placement;

	return o->size < sizeof(*o) ? "size is too short"
	       : o->caps            ? "a capability is unknown"
	       : !o->pick           ? "pick() is missing"
				    : NULL;
}

static const struct check checks[] = {
	{ "Picks are offered, idle, distinct, and spread over the domains",
	  picks_keep_the_rules },
	{ "The same history of requests has the same answers",
	  equal_histories_pick_equally },
	{ "Longer structs of a later core are stepped over",
	  longer_structs_are_stepped_over },
	{ "More than there are is refused with a message",
	  impossible_is_refused },
	{ "Unequal disks are filled to half of what is possible or more",
	  unequal_disks_are_filled },
	{ NULL, NULL },
};

const struct kind kind_placement = {
	.name = "placement",
	.incomplete = incomplete,
	.use = use,
	.checks = checks,
	.golden = golden,
};
