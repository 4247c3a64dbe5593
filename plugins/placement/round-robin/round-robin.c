/* SPDX-License-Identifier: Apache-2.0 */
/*
 * round-robin: disks in turn, whatever their size.
 *
 * Each extent starts one disk further than the one before and takes what
 * follows in the order of the offer.  So all disks get the same number of
 * fragments and the same share of data fragments, which come first.  Free
 * space is not looked at: for disks of one size, or to spread load alone.
 *
 * The turn moves by one and not by the number picked: six picks on six disks
 * would else put the data fragments on the same disks for ever.  It is kept
 * in the instance only; after a restart it starts anew, and nothing depends
 * on it.
 */
#include "../common/offer.h"

#include <stdatomic.h>

struct round_robin {
	const struct dynfs_host *host;
	_Atomic uint32_t turn;
};

static int round_robin_create(const struct dynfs_host *h, const void *config,
			      void **ret_self)
{
	struct round_robin *r = h->alloc(h, sizeof(*r), 0);

	(void)config; /* no options */
	if (!r)
		return -ENOMEM;
	r->host = h;
	*ret_self = r;
	return 0;
}

static void round_robin_destroy(void *self)
{
	struct round_robin *r = self;

	if (r)
		r->host->free(r->host, r);
}

static int round_robin_pick(void *self,
			    const struct dynfs_placement_request *request,
			    uint32_t *out)
{
	struct round_robin *r = self;
	uint32_t n = request->n_disks, turn;
	struct offer o;
	int err = offer_open(&o, r->host, request);

	if (err < 0)
		return err;
	turn = atomic_fetch_add_explicit(&r->turn, 1, memory_order_relaxed);
	for (uint32_t i = 0; i < o.n_disks; i++)
		o.disk[i].rank = (o.disk[i].index + n - turn % n) % n;
	offer_pick_by_rank(&o, request->n_pick, out);
	offer_close(&o);
	return 0;
}

static const struct dynfs_placement_ops round_robin_ops = {
	.size = sizeof(round_robin_ops),
	.pick = round_robin_pick,
};

static const struct dynfs_plugin round_robin_plugin = {
	DYNFS_PLUGIN_HEADER,
	.threading = DYNFS_PARALLEL,
	.name = "round-robin",
	.version = "1.0",
	.summary = "the disks in turn, whatever their size",
	.create = round_robin_create,
	.destroy = round_robin_destroy,
	.placement = &round_robin_ops,
};

const struct dynfs_plugin *dynfs_plugin_entry(void)
{
	return &round_robin_plugin;
}
