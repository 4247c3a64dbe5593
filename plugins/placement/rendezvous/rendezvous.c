/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rendezvous: a random choice, fixed by the extent's key, with probabilities
 * that let unequal disks fill up together.
 *
 * How much fits.  With n fragments of each extent on n distinct disks, disk i
 * takes at most min(free_i, x) of x extents, so the largest x with
 *
 *	sum(min(free_i, x)) >= n * x
 *
 * is the number of extents that can still come.  It is reached when disk i is
 * in an extent with probability p_i = min(free_i, x) / x: a disk with
 * free_i >= x always, the others so often that all run out at the same time.
 * The p_i add up to n.  x is computed anew for every extent from the free
 * space of the moment, so chance evens out and never adds up.
 *
 * How to draw.  Exactly n different disks must come out, disk i in exactly
 * the share p_i of all keys.  Drawing one after another with weights, which
 * includes picking the n best weighted rendezvous scores, does not do that:
 * big disks are then taken too seldom.  Systematic sampling does (Madow, "On
 * the theory of systematic sampling, II", 1949), here with the units in
 * random order (Hartley and Rao, "Sampling with unequal probabilities and
 * without replacement", 1962): lay intervals of the lengths p_i end to end,
 * and take those that hold one of the points u, u+1, ..., u+n-1.  As p_i <= 1
 * none is hit twice, and p_i = 1 is always hit.  The order is the rendezvous
 * rank, a hash of key and disk (Thaler and Ravishankar, 1998), and u is
 * another hash of the key: so the same request gives the same disks, no state
 * is kept, and different keys pair the disks in every way.
 *
 * Domains come first.  By the domain rule of offer.h each gets a base number
 * of fragments, and some of the least used get one more.  Which ones is drawn
 * as above: domain d has sum(min(free_i / x, 1)) over its disks as its fair
 * share, and the part of it above the base, at most 1, is its probability.
 * Then the disks inside a domain are drawn in the same way.  With one disk to
 * a domain this is exactly the formula above.
 *
 * Fragments are handed out in the order of rank, so that data fragments, the
 * ones that are read, lie on every chosen disk equally often.
 */
#include "../common/offer.h"

struct rendezvous {
	const struct dynfs_host *host;
};

/* Something to draw: a domain, or a disk in it. */
struct unit {
	uint32_t first, n_disks; /* its disks in the offer */
	uint32_t base;           /* fragments that it gets anyway */
	uint32_t place;          /* in domain[] or disk[] of the offer */
	uint64_t rank;
	double p;
	int hit;
};

struct draw {
	struct offer offer;
	struct unit *unit;
	double *free;     /* of each disk of the offer, in fragments */
	uint32_t *n_take; /* of each domain of the offer */
	uint64_t key;
	struct unit unit_inline[OFFER_INLINE];
	double free_inline[OFFER_INLINE];
	uint32_t n_take_inline[OFFER_INLINE];
};

/* A disk without room for one fragment is a last resort, not impossible. */
#define FREE_MIN 1e-6

enum draw_salt { SALT_DISK = 1, SALT_DOMAIN, SALT_START };

/* The finaliser of splitmix64, twice: every bit depends on every bit. */
static uint64_t draw_hash(uint64_t key, uint64_t salt, uint64_t number)
{
	uint64_t z = key;

	for (int i = 0; i < 2; i++) {
		z += 0x9e3779b97f4a7c15u + (salt << 32) + number;
		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
		z = (z ^ z >> 27) * 0x94d049bb133111ebu;
		z ^= z >> 31;
	}
	return z;
}

static int draw_alloc(struct draw *d)
{
	const struct dynfs_host *h = d->offer.host;
	size_t n = d->offer.n_disks;

	if (n < d->offer.n_domains) /* some only have disks in use */
		n = d->offer.n_domains;
	d->unit = d->unit_inline;
	d->free = d->free_inline;
	d->n_take = d->n_take_inline;
	if (n <= OFFER_INLINE)
		return 0;
	d->unit = h->alloc(
	    h, n * (sizeof(*d->unit) + sizeof(*d->free) + sizeof(*d->n_take)),
	    0);
	if (!d->unit)
		return -ENOMEM;
	d->free = (void *)(d->unit + n);
	d->n_take = (void *)(d->free + n);
	return 0;
}

static int draw_open(struct draw *d, const struct dynfs_host *h,
		     const struct dynfs_placement_request *r)
{
	int err = offer_open(&d->offer, h, r);

	if (err < 0)
		return err;
	err = draw_alloc(d);
	if (err < 0) {
		offer_close(&d->offer);
		return err;
	}
	d->key = r->key;
	for (uint32_t i = 0; i < d->offer.n_disks; i++) {
		struct offer_disk *disk = &d->offer.disk[i];
		uint64_t n = disk->free_bytes / r->fragment_bytes;

		disk->rank = draw_hash(r->key, SALT_DISK, disk->id);
		d->free[i] = n ? (double)n : FREE_MIN;
	}
	return 0;
}

static void draw_close(struct draw *d)
{
	if (d->unit != d->unit_inline)
		d->offer.host->free(d->offer.host, d->unit);
	offer_close(&d->offer);
}

/* The probability of a unit if x extents are to come. */
static double unit_share(const struct draw *d, const struct unit *u, double x)
{
	double share = -(double)u->base;

	for (uint32_t i = u->first; i < u->first + u->n_disks; i++)
		share += d->free[i] < x ? d->free[i] / x : 1;
	return share < 0 ? 0 : share > 1 ? 1 : share;
}

static double units_sum(struct draw *d, uint32_t n_units, double x)
{
	double sum = 0;

	for (uint32_t i = 0; i < n_units; i++) {
		d->unit[i].p = unit_share(d, &d->unit[i], x);
		sum += d->unit[i].p;
	}
	return sum;
}

/*
 * Give the units the probabilities that add up to n, 0 < n < n_units.  The
 * sum falls as x grows, from n_units near 0 to at most n where x is the n-th
 * part of all that is free; so x is bracketed by halving from there, and then
 * found by bisection.
 */
static void units_solve(struct draw *d, uint32_t n_units, uint32_t n)
{
	double low, high = 0;

	for (uint32_t u = 0; u < n_units; u++)
		for (uint32_t i = 0; i < d->unit[u].n_disks; i++)
			high += d->free[d->unit[u].first + i];
	high /= n;
	for (low = high / 2; units_sum(d, n_units, low) < n; low /= 2)
		high = low;
	while (high - low > 1e-9 * high) {
		double x = low + (high - low) / 2;

		if (units_sum(d, n_units, x) < n)
			high = x;
		else
			low = x;
	}
	(void)units_sum(d, n_units, low); /* leaves the p of low behind */
}

static int unit_by_rank(const void *a, const void *b)
{
	const struct unit *x = a, *y = b;

	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return x->place < y->place ? -1 : x->place > y->place;
}

/* Mark exactly n of the units as hit; start is the hash that u is made of. */
static void units_draw(struct draw *d, uint32_t n_units, uint32_t n,
		       uint64_t start)
{
	double point = (double)(start >> 11) * 0x1p-53, end = 0;
	uint32_t n_hit = 0;

	if (n == 0 || n >= n_units) {
		for (uint32_t i = 0; i < n_units; i++)
			d->unit[i].hit = n > 0;
		return;
	}
	units_solve(d, n_units, n);
	qsort(d->unit, n_units, sizeof(*d->unit), unit_by_rank);
	for (uint32_t i = 0; i < n_units && n_hit < n; i++) {
		end += d->unit[i].p;
		if (end <= point)
			continue;
		d->unit[i].hit = 1;
		point += 1;
		n_hit++;
	}
	/* low <= x makes the sum at least n, up to rounding: hence this */
	for (uint32_t i = 0; i < n_units && n_hit < n; i++) {
		n_hit += !d->unit[i].hit;
		d->unit[i].hit = 1;
	}
}

/*
 * The domains that come next by the domain rule: the least used of those that
 * have a disk left, as units.
 */
static uint32_t draw_next_domains(struct draw *d)
{
	const struct offer *o = &d->offer;
	uint32_t n_units = 0, least = UINT32_MAX;

	for (uint32_t i = 0; i < o->n_domains; i++) {
		const struct offer_domain *g = &o->domain[i];

		if (d->n_take[i] == g->n_disks || g->n_used > least)
			continue;
		if (g->n_used < least)
			n_units = 0;
		least = g->n_used;
		d->unit[n_units++] = (struct unit){
			.first = g->first,
			.n_disks = g->n_disks,
			.base = d->n_take[i],
			.place = i,
			.rank = draw_hash(d->key, SALT_DOMAIN, g->number),
		};
	}
	return n_units;
}

/* How many fragments each domain takes, to n_take. */
static void draw_domains(struct draw *d, uint32_t n_left)
{
	struct offer *o = &d->offer;

	for (uint32_t i = 0; i < o->n_domains; i++)
		d->n_take[i] = 0;
	while (n_left) {
		uint32_t n_units = draw_next_domains(d);
		uint32_t n = n_left < n_units ? n_left : n_units;

		units_draw(d, n_units, n, draw_hash(d->key, SALT_START, 0));
		for (uint32_t i = 0; i < n_units; i++) {
			if (!d->unit[i].hit)
				continue;
			d->n_take[d->unit[i].place]++;
			o->domain[d->unit[i].place].n_used++;
		}
		n_left -= n;
	}
}

/* Which disks of domain g take its fragments. */
static void draw_disks(struct draw *d, uint32_t g)
{
	struct offer *o = &d->offer;
	const struct offer_domain *domain = &o->domain[g];

	for (uint32_t i = 0; i < domain->n_disks; i++)
		d->unit[i] = (struct unit){
			.first = domain->first + i,
			.n_disks = 1,
			.place = domain->first + i,
			.rank = o->disk[domain->first + i].rank,
		};
	units_draw(d, domain->n_disks, d->n_take[g],
		   draw_hash(d->key, SALT_START, 1 + (uint64_t)domain->number));
	for (uint32_t i = 0; i < domain->n_disks; i++)
		o->disk[d->unit[i].place].taken = (uint32_t)d->unit[i].hit;
}

/* Hand the taken disks out by rank; n is small, so is the square of it. */
static void draw_emit(const struct draw *d, uint32_t *out)
{
	const struct offer *o = &d->offer;
	uint32_t n = 0;

	for (uint32_t i = 0; i < o->n_disks; i++) {
		uint32_t at = n;

		if (!o->disk[i].taken)
			continue;
		for (; at &&
		       offer_by_rank(&o->disk[i], &o->disk[out[at - 1]]) < 0;
		     at--)
			out[at] = out[at - 1];
		out[at] = i;
		n++;
	}
	for (uint32_t i = 0; i < n; i++)
		out[i] = o->disk[out[i]].index;
}

static int rendezvous_pick(void *self,
			   const struct dynfs_placement_request *request,
			   uint32_t *out)
{
	const struct rendezvous *r = self;
	struct draw d;
	int err = draw_open(&d, r->host, request);

	if (err < 0)
		return err;
	draw_domains(&d, request->n_pick);
	for (uint32_t g = 0; g < d.offer.n_domains; g++)
		if (d.n_take[g])
			draw_disks(&d, g);
	draw_emit(&d, out);
	draw_close(&d);
	return 0;
}

static int rendezvous_create(const struct dynfs_host *h, const void *config,
			     void **ret_self)
{
	struct rendezvous *r = h->alloc(h, sizeof(*r), 0);

	(void)config; /* no options */
	if (!r)
		return -ENOMEM;
	r->host = h;
	*ret_self = r;
	return 0;
}

static void rendezvous_destroy(void *self)
{
	struct rendezvous *r = self;

	if (r)
		r->host->free(r->host, r);
}

static const struct dynfs_placement_ops rendezvous_ops = {
	.size = sizeof(rendezvous_ops),
	.pick = rendezvous_pick,
};

static const struct dynfs_plugin rendezvous_plugin = {
	DYNFS_PLUGIN_HEADER,
	.threading = DYNFS_PARALLEL,
	.name = "rendezvous",
	.version = "1.0",
	.summary = "random disks, so that unequal ones fill up together",
	.create = rendezvous_create,
	.destroy = rendezvous_destroy,
	.placement = &rendezvous_ops,
};

const struct dynfs_plugin *dynfs_plugin_entry(void)
{
	return &rendezvous_plugin;
}
