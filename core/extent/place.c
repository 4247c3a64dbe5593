/* SPDX-License-Identifier: Apache-2.0 */
/* Offers the disks that can take a fragment now to the placement plugin. */
#include <extent/private.h>

#include <base/fail.h>

#include <errno.h>
#include <registry/placement.h>
#include <stdlib.h>

static bool place_in(const struct disk *k, struct disk *const *set, uint32_t n)
{
	for (uint32_t i = 0; i < n; ++i)
		if (set[i] == k)
			return true;
	return false;
}

static bool place_room(struct disk *k, const struct place_want *w,
		       struct disk_space *space)
{
	return disk_writable(k) && !place_in(k, w->bad, w->n_bad) &&
	       disk_space_to_place(k, space) >= 0 &&
	       space->free_bytes >= w->fragment_bytes;
}

/* Both arrays hold disks_count(); returns how many were offered. */
static uint32_t place_offer(struct extents *x, const struct place_want *w,
			    struct dynfs_placement_disk *offer,
			    struct disk **of, uint32_t *ret_free)
{
	uint32_t n = 0, n_free = 0;

	for (uint32_t i = 0; i < disks_count(x->how.disks); ++i) {
		struct disk *k = disks_at(x->how.disks, i);
		bool used = place_in(k, w->used, w->n_used);
		struct disk_space space = { 0 };

		if (!k->store || (!used && !place_room(k, w, &space)))
			continue;
		n_free += !used;
		of[n] = k;
		offer[n++] = (struct dynfs_placement_disk){
			.id = k->id,
			.domain = k->domain,
			.tier = k->tier,
			.in_use = used,
			.free_bytes = space.free_bytes,
			.total_bytes = space.total_bytes,
		};
	}
	*ret_free = n_free;
	return n;
}

int place_pick(struct extents *x, const struct place_want *w, struct disk **ret,
	       uint32_t *ret_have)
{
	uint32_t n_all = disks_count(x->how.disks), pick[FRAGMENTS_MAX];
	struct dynfs_placement_disk small[32], *offer = small;
	struct disk *small_of[32], **of = small_of;
	struct dynfs_placement_request req = {
		.size = sizeof(req),
		.key = w->key,
		.fragment_bytes = w->fragment_bytes,
		.disk_size = sizeof(*offer),
		.n_pick = w->n,
	};
	uint32_t have;
	int r;

	if (n_all > 32) {
		offer = (struct dynfs_placement_disk *)calloc(n_all,
							      sizeof(*offer));
		of = (struct disk **)calloc(n_all, sizeof(struct disk *));
	}
	r = offer && of ? 0 : -ENOMEM;
	if (r >= 0) {
		req.disks = offer;
		req.n_disks = place_offer(x, w, offer, of, &have);
		*ret_have = have;
		if (have < w->n)
			r = -ENOSPC;
		else
			r = reg_placement_pick(x->placement, &req, pick);
	}
	for (uint32_t i = 0; r >= 0 && i < w->n; ++i)
		ret[i] = of[pick[i]];
	if (offer != small)
		free(offer);
	if (of != small_of)
		free(of);
	return r;
}
