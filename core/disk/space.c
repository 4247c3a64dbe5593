/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much fits.
 *
 * n fragments of an extent go to n distinct places, so a large disk among
 * small ones is worth only what the others can match.  With x fragments on
 * the fullest-used place, place i holds min(free_i, x) of them, and x extents
 * fit as long as these add up to n * x.  Counting whole fragments, with what
 * the store says one costs, and not bytes, keeps the promise of statfs close
 * to what a copy really gets in.
 */
#include <disk/private.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <registry/store.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * Of the room for log and index a half is not promised to anybody; but bytes
 * that were promised room may be placed in a half of that, because log and
 * index have grown into the other since.
 */
#define KEEP_PROMISED 2u
#define KEEP_PLACED   4u

#define BELOW_AGE_NS 100000000ull /* how old a look at the device may be */
#define BLOCK_BYTES  16384u       /* of a typical policy */
#define DIGEST_BYTES 32u
#define HEAD_BYTES   320u /* fixed part, one owner, names */

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

uint64_t space_water_fill(const uint64_t *free_bytes, uint32_t n_free,
			  uint32_t n)
{
	unsigned __int128 sum = 0; /* of the j smallest */
	uint64_t f[DISKS_MAX];

	if (!n || n_free < n || n_free > DISKS_MAX)
		return 0;
	memcpy(f, free_bytes, n_free * sizeof(*f));
	qsort(f, n_free, sizeof(*f), compare_u64);
	/*
	 * With x between the j smallest and the rest, sum + (n_free - j) x
	 * must reach n x.  While n or more places are above x that is no
	 * limit; after, the first x that its own segment contains is it, for
	 * the difference of both sides is concave.
	 */
	for (uint32_t j = 0; j < n_free; ++j) {
		uint32_t above = n_free - j - 1;
		unsigned __int128 x;

		sum += f[j];
		if (above >= n)
			continue;
		x = sum / (n - above);
		if (!above || x <= f[j + 1])
			return x > UINT64_MAX ? UINT64_MAX : (uint64_t)x;
	}
	return 0;
}

/* ---- one disk -------------------------------------------------------- */

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* Free bytes of the device below, as of a moment ago. */
static uint64_t below_free(struct disk_in *k)
{
	const struct dynfs_os *os = k->set->os;
	uint64_t now = os->now_ns(os), at = atomic_load(&k->below_at_ns);
	struct dynfs_os_space below;

	if (at && now - at < BELOW_AGE_NS)
		return atomic_load(&k->below_free);
	if (os->space(os, k->pub.path, &below) < 0)
		return UINT64_MAX; /* the store's own word must do */
	atomic_store(&k->below_free, below.free_bytes);
	atomic_store(&k->below_at_ns, now);
	return below.free_bytes;
}

/*
 * What the store says.  What is not the disk's fault passes, and one that said
 * nothing meanwhile would make the pool look full: its last answer does.
 */
static int store_space(struct disk_in *k, struct dynfs_store_space *ret)
{
	int r = reg_store_space(k->pub.store, ret);

	if (r >= 0) {
		atomic_store(&k->last_total, ret->total_bytes);
		atomic_store(&k->last_free, ret->free_bytes);
		return 0;
	}
	if (disk_is_at_fault(r)) {
		/* or it would count as one that takes fragments, and take none */
		disk_suspect(&k->pub, "asking for its room", r);
		return r;
	}
	*ret = (struct dynfs_store_space){
		.total_bytes = atomic_load(&k->last_total),
		.free_bytes = atomic_load(&k->last_free),
	};
	return ret->total_bytes ? 0 : r;
}

/*
 * Reservations not counted.  keep: the part of the room for log and index that
 * others on the device must leave, one in so many.
 */
static int plain_space(struct disk *k, uint64_t keep, struct disk_space *ret)
{
	struct disk_in *in = disk_in(k);
	struct dynfs_store_space s;
	int r;

	if (!disk_readable(k))
		return -ENODEV;
	r = store_space(in, &s);
	if (r < 0)
		return r;
	/*
	 * A limit bounds the store already.  Without one other files on the
	 * device may have taken what is meant for the log; what can not be had
	 * is not part of the total either.
	 */
	if (in->room_bytes && !k->limit_bytes) {
		uint64_t free = less(below_free(in), in->room_bytes / keep);

		if (s.free_bytes > free) {
			s.total_bytes =
			    less(s.total_bytes, s.free_bytes - free);
			s.free_bytes = free;
		}
	}
	*ret = (struct disk_space){
		.total_bytes = s.total_bytes,
		.free_bytes = s.free_bytes,
		.stuck_bytes = s.stuck_bytes,
	};
	return 0;
}

uint64_t disk_room(const struct disk *k)
{
	return disk_in_const(k)->room_bytes;
}

static int space_beyond(struct disk *k, uint64_t keep, struct disk_space *ret)
{
	struct disk_space s;
	int r = plain_space(k, keep, &s);

	if (r < 0)
		return r;
	s.free_bytes = less(s.free_bytes, atomic_load(&k->reserved_bytes));
	*ret = s;
	return 0;
}

int disk_space(struct disk *k, struct disk_space *ret)
{
	return space_beyond(k, KEEP_PROMISED, ret);
}

int disk_space_to_place(struct disk *k, struct disk_space *ret)
{
	return space_beyond(k, KEEP_PLACED, ret);
}

uint64_t disk_cost(struct disk *k, uint32_t head_len, uint64_t payload_len)
{
	return k->store ? reg_store_cost(k->store, head_len, payload_len) : 0;
}

int disk_reserve(struct disk *k, uint64_t bytes)
{
	struct disk_space s;
	int r;

	/* first, so that two who ask at once see each other */
	atomic_fetch_add(&k->reserved_bytes, bytes);
	r = plain_space(k, KEEP_PLACED, &s);
	if (r >= 0 && s.free_bytes < atomic_load(&k->reserved_bytes))
		r = -ENOSPC;
	if (r < 0)
		disk_unreserve(k, bytes);
	return r;
}

void disk_unreserve(struct disk *k, uint64_t bytes)
{
	atomic_fetch_sub(&k->reserved_bytes, bytes);
}

/* ---- all of them ----------------------------------------------------- */

/* What counts as one place: a disk, later a domain. */
struct place {
	struct disk *disk;
	uint32_t domain;
	uint64_t cost; /* of one full fragment */
	uint64_t free, total;
};

/* A full fragment of an extent cut into k, with head and rounding. */
static uint64_t full_cost(struct disks *d, struct disk *k, uint32_t pieces)
{
	uint64_t payload = (disks_label(d)->extent_bytes + pieces - 1) / pieces;
	uint64_t blocks;

	payload = (payload + 63) / 64 * 64;
	blocks = (payload + BLOCK_BYTES - 1) / BLOCK_BYTES;
	return disk_cost(k, (uint32_t)(HEAD_BYTES + blocks * DIGEST_BYTES),
			 payload);
}

bool disk_has_place(const struct disk *k)
{
	return k->store && atomic_load(&k->health) == DISK_ONLINE &&
	       atomic_load(&k->state) == MEMBER_ACTIVE;
}

static uint32_t places_find(struct disks *d, uint32_t pieces,
			    struct place *places, uint32_t max)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < max; ++i) {
		struct disk *k = disks_at(d, i);
		struct disk_space s;

		if (!disk_has_place(k) || disk_space(k, &s) < 0)
			continue;
		places[n] = (struct place){
			.disk = k,
			.domain = atomic_load(&k->domain),
			.cost = full_cost(d, k, pieces),
			.free = s.free_bytes,
			.total = s.total_bytes,
		};
		n += places[n].cost > 0;
	}
	return n;
}

static uint64_t share_of(uint64_t part, uint64_t sum, uint64_t of)
{
	return (uint64_t)((unsigned __int128)part * of / sum);
}

/* Disks of one device that promise more than it has: each its share. */
static void cap_device(struct place *p, uint32_t n, uint64_t device,
		       uint64_t below_free)
{
	uint64_t free = 0, total = 0, held = 0, room = 0;

	for (uint32_t i = 0; i < n; ++i) {
		if (p[i].disk->device != device)
			continue;
		free += p[i].free;
		total += p[i].total;
		held += less(p[i].total, p[i].free);
		room += disk_in(p[i].disk)->room_bytes / KEEP_PROMISED;
	}
	below_free = less(below_free, room);
	for (uint32_t i = 0; i < n; ++i) {
		if (p[i].disk->device != device)
			continue;
		if (total > held + below_free)
			p[i].total =
			    share_of(p[i].total, total, held + below_free);
		if (free > below_free)
			p[i].free = share_of(p[i].free, free, below_free);
	}
}

static void cap_shared(struct disks *d, struct place *p, uint32_t n)
{
	for (uint32_t i = 0; i < n; ++i) {
		uint64_t device = p[i].disk->device;
		struct dynfs_os_space below;
		uint32_t first = 0;

		while (p[first].disk->device != device)
			first++;
		if (first != i || /* was done with the first of them */
		    d->os->space(d->os, p[i].disk->path, &below) < 0)
			continue;
		cap_device(p, n, device, below.free_bytes);
	}
}

/* From bytes to fragments; then one place for each domain if these suffice. */
static uint32_t places_merge(struct place *p, uint32_t n, uint32_t want)
{
	uint32_t n_domains = 0;

	for (uint32_t i = 0; i < n; ++i) {
		uint32_t first = 0;

		p[i].free /= p[i].cost;
		p[i].total /= p[i].cost;
		while (p[first].domain != p[i].domain)
			first++;
		n_domains += first == i;
	}
	if (n_domains < want || n_domains == n)
		return n;
	n_domains = 0;
	for (uint32_t i = 0; i < n; ++i) {
		uint32_t at = 0;

		while (at < n_domains && p[at].domain != p[i].domain)
			at++;
		if (at == n_domains) {
			p[n_domains++] = p[i];
			continue;
		}
		p[at].free += p[i].free;
		p[at].total += p[i].total;
	}
	return n_domains;
}

void disks_capacity(struct disks *d, uint32_t k, uint32_t n,
		    uint64_t *ret_total, uint64_t *ret_free)
{
	uint32_t max = disks_count(d); /* one may be added meanwhile */
	AUTOFREE struct place *p = (struct place *)calloc(max + 1u, sizeof(*p));
	AUTOFREE uint64_t *v = (uint64_t *)calloc(max + 1u, sizeof(*v));
	uint64_t extent = disks_label(d)->extent_bytes;
	uint32_t n_places;

	*ret_total = *ret_free = 0;
	if (!p || !v || !k || !n)
		return;
	n_places = places_find(d, k, p, max);
	cap_shared(d, p, n_places);
	n_places = places_merge(p, n_places, n);
	for (uint32_t i = 0; i < n_places; ++i)
		v[i] = p[i].total;
	*ret_total = space_water_fill(v, n_places, n) * extent;
	for (uint32_t i = 0; i < n_places; ++i)
		v[i] = p[i].free;
	*ret_free = space_water_fill(v, n_places, n) * extent;
}
