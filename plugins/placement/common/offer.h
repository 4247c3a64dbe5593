/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The offer of one placement request, checked and grouped by failure domain.
 * Shared source of the placement plugins: everything is static inline, so no
 * symbol is shared between two of them.
 *
 * The domain rule, for all of them: a fragment goes to a domain that holds
 * the fewest fragments of this extent so far and still has a disk that can
 * take one.  So no domain is used twice while one is unused, none three times
 * while one is used once, and so on: losing a whole domain costs as few
 * fragments as the offer allows.
 *
 * Pools of up to OFFER_INLINE disks need no memory but the stack.
 */
#ifndef PLACEMENT_OFFER_H
#define PLACEMENT_OFFER_H

#include <dynfs/placement.h>

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define OFFER_INLINE 64u

/* A disk that may be picked. */
struct offer_disk {
	uint32_t index;  /* into request->disks */
	uint32_t domain; /* the request's number, then a place in domain[] */
	uint32_t id, tier;
	uint64_t free_bytes;
	uint64_t rank; /* the plugin's order: the lowest first */
	uint32_t taken;
	uint32_t in_use; /* only while the offer is opened */
};

struct offer_domain {
	uint32_t number;  /* the request's */
	uint32_t first;   /* its disks are disk[first .. first + n_disks) */
	uint32_t n_disks; /* that may be picked */
	uint32_t n_used;  /* fragments of this extent in it */
};

struct offer {
	const struct dynfs_host *host;
	struct offer_disk *disk; /* by domain */
	struct offer_domain *domain;
	uint32_t n_disks, n_domains;
	struct offer_disk disk_inline[OFFER_INLINE];
	struct offer_domain domain_inline[OFFER_INLINE];
};

static inline int offer_by_domain(const void *a, const void *b)
{
	const struct offer_disk *x = a, *y = b;

	if (x->domain != y->domain)
		return x->domain < y->domain ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

static inline const struct dynfs_placement_disk *
offer_request_disk(const struct dynfs_placement_request *r, uint32_t i)
{
	const char *base = (const char *)r->disks;

	return (const void *)(base + (size_t)i * r->disk_size);
}

static inline int offer_check(const struct dynfs_host *h,
			      const struct dynfs_placement_request *r)
{
	if (r->size < sizeof(*r) ||
	    r->disk_size < sizeof(struct dynfs_placement_disk) ||
	    r->disk_size % _Alignof(struct dynfs_placement_disk))
		return h->fail(h, -EINVAL,
			       "placement: request of %zu bytes with disks of "
			       "%u bytes, need %zu and %zu",
			       r->size, r->disk_size, sizeof(*r),
			       sizeof(struct dynfs_placement_disk));
	if (!r->fragment_bytes)
		return h->fail(h, -EINVAL, "placement: fragment of 0 bytes");
	return 0;
}

static inline int offer_alloc(struct offer *o, uint32_t n)
{
	o->disk = o->disk_inline;
	o->domain = o->domain_inline;
	if (n <= OFFER_INLINE)
		return 0;
	o->disk = o->host->alloc(
	    o->host, (size_t)n * (sizeof(*o->disk) + sizeof(*o->domain)), 0);
	if (!o->disk)
		return -ENOMEM;
	o->domain = (void *)(o->disk + n);
	return 0;
}

static inline void offer_close(struct offer *o)
{
	if (o->disk != o->disk_inline)
		o->host->free(o->host, o->disk);
}

/* From all disks by domain to those that may be picked, and the domains. */
static inline void offer_group(struct offer *o, uint32_t n_all)
{
	struct offer_domain *d = NULL;

	o->n_disks = o->n_domains = 0;
	for (uint32_t i = 0; i < n_all; i++) {
		struct offer_disk disk = o->disk[i];

		if (!d || d->number != disk.domain) {
			d = &o->domain[o->n_domains++];
			*d = (struct offer_domain){ .number = disk.domain,
						    .first = o->n_disks };
		}
		if (disk.in_use) {
			d->n_used++;
			continue;
		}
		disk.domain = o->n_domains - 1;
		o->disk[o->n_disks++] = disk;
		d->n_disks++;
	}
}

/* Close it after use, but not when this fails. */
static inline int offer_open(struct offer *o, const struct dynfs_host *h,
			     const struct dynfs_placement_request *r)
{
	int err = offer_check(h, r);

	if (err < 0)
		return err;
	o->host = h;
	err = offer_alloc(o, r->n_disks);
	if (err < 0)
		return err;
	for (uint32_t i = 0; i < r->n_disks; i++) {
		const struct dynfs_placement_disk *d = offer_request_disk(r, i);

		o->disk[i] = (struct offer_disk){
			.index = i,
			.domain = d->domain,
			.id = d->id,
			.tier = d->tier,
			.free_bytes = d->free_bytes,
			.in_use = d->in_use,
		};
	}
	qsort(o->disk, r->n_disks, sizeof(*o->disk), offer_by_domain);
	offer_group(o, r->n_disks);
	if (r->n_pick <= o->n_disks)
		return 0;
	offer_close(o);
	return h->fail(h, -EINVAL, "placement: %u disks wanted, %u offered",
		       r->n_pick, o->n_disks);
}

/* Lowest rank first, then lowest tier, then lowest id. */
static inline int offer_by_rank(const struct offer_disk *a,
				const struct offer_disk *b)
{
	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	if (a->tier != b->tier)
		return a->tier < b->tier ? -1 : 1;
	return a->id < b->id ? -1 : a->id > b->id;
}

/* The best disks by rank that the domain rule allows, one after another. */
static inline void offer_pick_by_rank(struct offer *o, uint32_t n,
				      uint32_t *out)
{
	for (uint32_t p = 0; p < n; p++) {
		struct offer_disk *best = NULL;
		uint32_t best_used = 0;

		for (uint32_t i = 0; i < o->n_disks; i++) {
			struct offer_disk *d = &o->disk[i];
			uint32_t used = o->domain[d->domain].n_used;

			if (d->taken || (best && used > best_used) ||
			    (best && used == best_used &&
			     offer_by_rank(d, best) >= 0))
				continue;
			best = d;
			best_used = used;
		}
		assert(best); /* offer_open() counted the disks */
		best->taken = 1;
		o->domain[best->domain].n_used++;
		out[p] = best->index;
	}
}

#endif
