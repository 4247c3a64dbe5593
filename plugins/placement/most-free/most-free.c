/* SPDX-License-Identifier: Apache-2.0 */
/*
 * most-free: the disks with the most free bytes, whatever the key.
 *
 * Simple to foresee: the biggest disks fill first, until all are level.  It
 * reaches the bound of what a pool of unequal disks can hold, because the
 * fullest disk is never used while an emptier one can be.  Its price: while
 * one disk is emptier than the others, every new extent lies on it, so load
 * is not spread.  rendezvous holds as much and spreads; this one is for pools
 * whose owner wants to know where the next bytes go.
 *
 * Equal disks are taken by tier, then by id.
 */
#include "../common/offer.h"

struct most_free {
	const struct dynfs_host *host;
};

static int most_free_create(const struct dynfs_host *h, const void *config,
			    void **ret_self)
{
	struct most_free *f = h->alloc(h, sizeof(*f), 0);

	(void)config; /* no options */
	if (!f)
		return -ENOMEM;
	f->host = h;
	*ret_self = f;
	return 0;
}

static void most_free_destroy(void *self)
{
	struct most_free *f = self;

	if (f)
		f->host->free(f->host, f);
}

static int most_free_pick(void *self,
			  const struct dynfs_placement_request *request,
			  uint32_t *out)
{
	const struct most_free *f = self;
	struct offer o;
	int err = offer_open(&o, f->host, request);

	if (err < 0)
		return err;
	for (uint32_t i = 0; i < o.n_disks; i++)
		o.disk[i].rank = UINT64_MAX - o.disk[i].free_bytes;
	offer_pick_by_rank(&o, request->n_pick, out);
	offer_close(&o);
	return 0;
}

static const struct dynfs_placement_ops most_free_ops = {
	.size = sizeof(most_free_ops),
	.pick = most_free_pick,
};

static const struct dynfs_plugin most_free_plugin = {
	DYNFS_PLUGIN_HEADER,
	.threading = DYNFS_PARALLEL,
	.name = "most-free",
	.version = "1.0",
	.summary = "the disks with the most free space",
	.create = most_free_create,
	.destroy = most_free_destroy,
	.placement = &most_free_ops,
};

const struct dynfs_plugin *dynfs_plugin_entry(void)
{
	return &most_free_plugin;
}
