/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Redundancy: every loss that the limits promise to survive is survived, to
 * the bit, whatever the bytes and their length.
 */
#include "conform.h"

#include <dynfs/redundancy.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TOTAL      DYNFS_REDUNDANCY_MAX
#define SMALL_MAX  12 /* up to here every loss is tried */
#define SAMPLES    400
#define GUARD      64 /* bytes behind each shard that nobody may touch */
#define GUARD_BYTE 0xc5
#define SHARD_MAX  8192

struct stripe {
	uint8_t *memory;
	uint8_t *shard[TOTAL];
	uint8_t *right[TOTAL]; /* what each should hold, without guards */
	uint32_t k, m;
	size_t len, room;
};

static const struct dynfs_redundancy_ops *ops_of(const struct inst *i)
{
	return i->plugin->redundancy;
}

static int limits_of(const struct inst *i, struct dynfs_redundancy_limits *l)
{
	memset(l, 0, sizeof(*l));
	l->size = sizeof(*l);
	return ops_of(i)->limits(i->self, l);
}

/* shards at exactly the alignment asked for, no better */
static bool stripe_init(struct stripe *s, uint32_t k, uint32_t m, size_t len,
			uint32_t align)
{
	size_t step = (len + GUARD + 2 * (size_t)align - 1) / align * align;

	*s = (struct stripe){ .k = k, .m = m, .len = len };
	step += step / align % 2 ? 0 : align; /* an odd multiple */
	s->room = step;
	s->memory = NULL;
	if (posix_memalign((void **)&s->memory,
			   align * 2ul < 64 ? 64 : align * 2ul,
			   (2 * TOTAL + 3) * step + 64))
		return false;
	for (uint32_t i = 0; i < TOTAL; i++) {
		s->shard[i] = s->memory + align + i * step;
		s->right[i] = s->memory + align + (TOTAL + i) * step;
		memset(s->shard[i], GUARD_BYTE, step);
	}
	return true;
}

static void stripe_done(struct stripe *s)
{
	free(s->memory);
}

static bool stripe_guarded(const struct stripe *s)
{
	for (uint32_t i = 0; i < s->k + s->m; i++)
		for (size_t b = s->len; b < s->len + GUARD && b < s->room; b++)
			if (s->shard[i][b] != GUARD_BYTE)
				return false;
	return true;
}

static int stripe_encode(struct inst *i, struct stripe *s)
{
	int err = ops_of(i)->encode(i->self, s->k, s->m, s->shard, s->len);

	for (uint32_t n = 0; !err && n < s->k + s->m; n++)
		memcpy(s->right[n], s->shard[n], s->len);
	return err;
}

/*
 * Loses what is not in have, wants some of it back.  What is in neither is
 * NULL, and half of the times so is what have holds beyond the k needed.
 */
static int stripe_rebuild(struct inst *i, struct stripe *s, uint32_t have,
			  uint32_t want)
{
	uint8_t *shard[TOTAL] = { NULL };
	int err;

	for (uint32_t n = 0; n < s->k + s->m; n++) {
		if (!(have >> n & 1))
			memset(s->shard[n], 0xdb, s->len);
		if ((have | want) >> n & 1)
			shard[n] = s->shard[n];
	}
	err =
	    ops_of(i)->rebuild(i->self, s->k, s->m, shard, s->len, have, want);
	for (uint32_t n = 0; n < s->k + s->m; n++) {
		bool due = (have | want) >> n & 1;

		if (!err && due &&
		    memcmp(s->shard[n], s->right[n], s->len) != 0)
			err = 1;
		memcpy(s->shard[n], s->right[n], s->len);
	}
	return err;
}

static bool stripe_loses(struct conform *c, struct inst *i, struct stripe *s,
			 uint32_t have, uint32_t want)
{
	int err = stripe_rebuild(i, s, have, want);

	if (!err && stripe_guarded(s))
		return true;
	return no(c, "%u+%u shards of %zu bytes, have %#x, want %#x: %s", s->k,
		  s->m, s->len, have, want,
		  err > 0   ? "wrong bytes"
		  : err < 0 ? i->host.fail_text
			    : "it wrote beyond a shard");
}

static uint32_t low_bits(uint32_t n)
{
	return n < 32 ? (1u << n) - 1 : UINT32_MAX;
}

static uint32_t some_of(uint32_t mask, uint64_t *rng)
{
	return mask & (uint32_t)rnd(rng);
}

/* every loss of up to m, or a sample of them */
static bool stripe_all(struct conform *c, struct inst *i, struct stripe *s,
		       uint64_t *rng)
{
	uint32_t n = s->k + s->m, all = low_bits(n), lost;
	bool good = true;

	if (n <= SMALL_MAX) {
		for (lost = 0; good && lost <= all; lost++)
			if ((uint32_t)__builtin_popcount(lost) <= s->m)
				good =
				    stripe_loses(c, i, s, all & ~lost, lost) &&
				    stripe_loses(c, i, s, all & ~lost,
						 some_of(lost, rng));
		return good;
	}
	for (int round = 0; good && round < SAMPLES; round++) {
		lost = 0;
		for (uint32_t k = rnd(rng) % (s->m + 1); k; k--)
			lost |= 1u << rnd(rng) % n;
		good = stripe_loses(c, i, s, all & ~lost,
				    round % 3 ? lost : some_of(lost, rng));
	}
	return good;
}

/* Ranges one by one give what the whole gave; and copies are copies. */
static bool stripe_by_ranges(struct conform *c, struct inst *i,
			     struct stripe *s, size_t step)
{
	uint8_t *shard[TOTAL];

	for (uint32_t n = s->k; n < s->k + s->m; n++)
		memset(s->shard[n], 0xdb, s->len);
	for (size_t at = 0; at < s->len; at += step) {
		size_t len = s->len - at < step ? s->len - at : step;

		for (uint32_t n = 0; n < s->k + s->m; n++)
			shard[n] = s->shard[n] + at;
		if (ops_of(i)->encode(i->self, s->k, s->m, shard, len))
			return no(c, "%u+%u: encode() of a range fails: %s",
				  s->k, s->m, i->host.fail_text);
	}
	for (uint32_t n = 0; n < s->k + s->m; n++)
		if (memcmp(s->shard[n], s->right[n], s->len) != 0)
			return no(c,
				  "%u+%u: shard %u made in ranges of %zu "
				  "bytes is not that made at once",
				  s->k, s->m, n, step);
	for (uint32_t n = 1;
	     ops_of(i)->caps & DYNFS_REDUNDANCY_COPIES && n < s->k + s->m; n++)
		if (memcmp(s->right[n], s->right[0], s->len) != 0)
			return no(c,
				  "COPIES is declared, but shard %u of %u "
				  "is none",
				  n, s->k + s->m);
	return true;
}

static bool geometry_works(struct conform *c, struct inst *i, uint32_t k,
			   uint32_t m, const struct dynfs_redundancy_limits *l)
{
	/* one unit, a few, and more than the vector units take at once */
	size_t quantum = l->quantum, lens[] = { quantum, 3 * quantum, 0 };
	uint64_t rng = c->seed + (uint64_t)k * 64 + m;
	struct stripe s;
	bool good = true;

	lens[2] = k + m <= SMALL_MAX ? 300 : 4000;
	lens[2] = (lens[2] / quantum + 1) * quantum;
	for (size_t n = 0; good && n < COUNT(lens); n++) {
		if (!stripe_init(&s, k, m, lens[n], l->align))
			return no(c, "no memory");
		if (n != 1) /* the second is all zeros */
			for (uint32_t d = 0; d < k; d++)
				rnd_bytes(&rng, s.shard[d], s.len);
		else
			for (uint32_t d = 0; d < k; d++)
				memset(s.shard[d], 0, s.len);
		for (uint32_t d = 0; d < k; d++)
			memcpy(s.right[d], s.shard[d], s.len);
		good =
		    !stripe_encode(i, &s) ||
		    no(c, "%u+%u: encode() fails: %s", k, m, i->host.fail_text);
		good = good &&
		       stripe_by_ranges(c, i, &s,
					quantum % l->align ? quantum * l->align
							   : quantum);
		good = good && stripe_all(c, i, &s, &rng);
		stripe_done(&s);
	}
	return good;
}

/* ---- checks ------------------------------------------------------------ */

static bool limits_make_sense(struct conform *c)
{
	struct dynfs_redundancy_limits l;
	struct inst i;
	bool good;

	if (inst_new(c, &i, NULL))
		return false;
	if (limits_of(&i, &l))
		return no(c, "limits() fails: %s", i.host.fail_text);
	good =
	    (l.size == sizeof(l) || no(c, "it changed size")) &&
	    ((l.data_min && l.data_min <= l.data_max) ||
	     no(c, "k from %u to %u", l.data_min, l.data_max)) &&
	    (l.data_max == 1 || !(ops_of(&i)->caps & DYNFS_REDUNDANCY_COPIES) ||
	     no(c, "COPIES is declared, but k goes up to %u", l.data_max)) &&
	    (l.check_min <= l.check_max ||
	     no(c, "m from %u to %u", l.check_min, l.check_max)) &&
	    ((l.total_max && l.total_max <= TOTAL) ||
	     no(c, "k+m up to %u", l.total_max)) &&
	    ((l.align && !(l.align & (l.align - 1)) && l.align <= 4096) ||
	     no(c, "alignment %u", l.align)) &&
	    ((l.quantum && l.quantum <= SHARD_MAX) ||
	     no(c, "quantum %u", l.quantum));
	return inst_free(c, &i) && good;
}

static bool check_agrees_with_limits(struct conform *c)
{
	struct dynfs_redundancy_limits l;
	struct inst i;
	bool good = true;
	uint64_t before;

	if (inst_new(c, &i, NULL) || limits_of(&i, &l))
		return false;
	for (uint32_t k = 0; good && k <= TOTAL + 1; k++) {
		for (uint32_t m = 0; good && m <= TOTAL + 1; m++) {
			bool in = k >= l.data_min && k <= l.data_max &&
				  m >= l.check_min && m <= l.check_max &&
				  k + m <= l.total_max;
			char what[32];
			int r;

			before = i.host.n_fails;
			r = ops_of(&i)->check(i.self, k, m);
			(void)snprintf(what, sizeof(what), "check(%u, %u)", k,
				       m);
			/* within the limits a plugin may still say no */
			good = answered(c, &i, before, what, r,
					in && !r ? 0 : -EINVAL);
		}
	}
	before = i.host.n_fails;
	good =
	    good && answered(c, &i, before, "check(4294967295, 2)",
			     ops_of(&i)->check(i.self, UINT32_MAX, 2), -EINVAL);
	return inst_free(c, &i) && good;
}

static bool over_geometries(struct conform *c, uint32_t from, uint32_t to,
			    uint32_t step)
{
	struct dynfs_redundancy_limits l;
	struct inst i;
	bool good = true;

	if (inst_new(c, &i, NULL) || limits_of(&i, &l))
		return false;
	for (uint32_t n = from; good && n <= to && n <= l.total_max; n++) {
		for (uint32_t m = n % step; good && m < n; m += step) {
			if (ops_of(&i)->check(i.self, n - m, m))
				continue;
			good = geometry_works(c, &i, n - m, m, &l);
		}
	}
	return inst_free(c, &i) && good;
}

static bool small_geometries_survive(struct conform *c)
{
	return over_geometries(c, 1, SMALL_MAX, 1);
}

static bool large_geometries_survive(struct conform *c)
{
	return over_geometries(c, SMALL_MAX + 1, TOTAL, 3);
}

static bool too_few_are_refused(struct conform *c)
{
	struct dynfs_redundancy_limits l;
	struct stripe s;
	struct inst i;
	bool good = true;

	if (inst_new(c, &i, NULL) || limits_of(&i, &l))
		return false;
	for (uint32_t n = 2; good && n <= l.total_max && n <= SMALL_MAX; n++) {
		for (uint32_t m = 0; good && m < n; m++) {
			uint32_t k = n - m, all = low_bits(n);
			uint32_t have = low_bits(k - 1) << m;
			uint64_t before;

			if (ops_of(&i)->check(i.self, k, m) ||
			    !stripe_init(&s, k, m, l.quantum, l.align))
				continue;
			before = i.host.n_fails;
			good =
			    answered(c, &i, before, "rebuild() of too few",
				     stripe_rebuild(&i, &s, have, all & ~have),
				     -EUCLEAN);
			stripe_done(&s);
		}
	}
	return inst_free(c, &i) && good;
}

static bool data_shards_stay(struct conform *c)
{
	struct dynfs_redundancy_limits l;
	struct stripe s;
	struct inst i;
	uint64_t rng = c->seed;
	bool good = true;

	if (inst_new(c, &i, NULL) || limits_of(&i, &l))
		return false;
	for (uint32_t k = l.data_min; good && k <= l.data_max && k < 10; k++) {
		uint32_t m = l.check_max < 3 ? l.check_max : 3;

		if (ops_of(&i)->check(i.self, k, m) ||
		    !stripe_init(&s, k, m, 4ul * l.quantum, l.align))
			continue;
		for (uint32_t d = 0; d < k; d++) {
			rnd_bytes(&rng, s.shard[d], s.len);
			memcpy(s.right[d], s.shard[d], s.len);
		}
		good = !ops_of(&i)->encode(i.self, k, m, s.shard, s.len) ||
		       no(c, "encode() fails: %s", i.host.fail_text);
		for (uint32_t d = 0; good && d < k; d++)
			good = !memcmp(s.shard[d], s.right[d], s.len) ||
			       no(c, "encode() changed data shard %u", d);
		good = good && (stripe_guarded(&s) ||
				no(c, "encode() wrote beyond a shard"));
		stripe_done(&s);
	}
	return inst_free(c, &i) && good;
}

static bool golden(struct conform *c, FILE *out)
{
	struct dynfs_redundancy_limits l;
	uint64_t rng = 1;
	struct inst i;
	struct stripe s;

	if (inst_new(c, &i, NULL) || limits_of(&i, &l))
		return false;
	for (uint32_t k = 1; k <= 16; k += k < 6 ? 1 : 5) {
		for (uint32_t m = 1; m <= 4; m++) {
			uint64_t hash = GOLDEN_START;

			if (ops_of(&i)->check(i.self, k, m))
				continue;
			if (!stripe_init(&s, k, m, 64ul * l.quantum, l.align))
				return no(c, "no memory");
			for (uint32_t d = 0; d < k; d++)
				rnd_bytes(&rng, s.shard[d], s.len);
			if (stripe_encode(&i, &s))
				return no(c, "%s", i.host.fail_text);
			for (uint32_t n = k; n < k + m; n++)
				hash = golden_fold(hash, s.shard[n], s.len);
			(void)fprintf(out, "%u+%u/%zu %016llx\n", k, m, s.len,
				      (unsigned long long)hash);
			stripe_done(&s);
		}
	}
	return inst_free(c, &i);
}

static int use(struct inst *i, uint64_t salt)
{
	struct dynfs_redundancy_limits l;
	struct stripe s;
	uint64_t rng = salt;
	uint32_t k, m, lost;
	int err = limits_of(i, &l);

	if (err)
		return err;
	m = l.check_max < 2 ? l.check_max : 2;
	k = l.data_max < 4 ? l.data_max : 4;
	err = ops_of(i)->check(i->self, k, m);
	if (err)
		return err;
	/* long enough for threads to meet */
	if (!stripe_init(&s, k, m, (8192ul / l.quantum + 1) * l.quantum,
			 l.align))
		return -ENOMEM;
	for (uint32_t d = 0; d < k; d++)
		rnd_bytes(&rng, s.shard[d], s.len);
	err = stripe_encode(i, &s);
	lost = m ? 1u << salt % (k + m) : 0;
	if (!err)
		err = stripe_rebuild(i, &s, low_bits(k + m) & ~lost, lost);
	stripe_done(&s);
	return err;
}

static const char *incomplete(const struct dynfs_plugin *p)
{
	const struct dynfs_redundancy_ops *o = p->redundancy;

	return o->size < sizeof(*o)                 ? "size is too short"
	       : o->caps & ~DYNFS_REDUNDANCY_COPIES ? "a capability is unknown"
	       : !o->limits                         ? "limits() is missing"
	       : !o->check                          ? "check() is missing"
	       : !o->encode                         ? "encode() is missing"
	       : !o->rebuild                        ? "rebuild() is missing"
						    : NULL;
}

static const struct check checks[] = {
	{ "The limits make sense", limits_make_sense },
	{ "check() agrees with the limits and says why not",
	  check_agrees_with_limits },
	{ "encode() leaves data shards and memory beyond them alone",
	  data_shards_stay },
	{ "Up to 12 shards, every loss is undone", small_geometries_survive },
	{ "Beyond 12 shards, random losses are undone",
	  large_geometries_survive },
	{ "Fewer than k shards are refused with a message",
	  too_few_are_refused },
	{ NULL, NULL },
};

const struct kind kind_redundancy = {
	.name = "redundancy",
	.incomplete = incomplete,
	.use = use,
	.checks = checks,
	.golden = golden,
};
