/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Placement: which disks take the fragments of one extent.
 * See dynfs-placement(3).
 *
 * The core offers the disks that can take a fragment of this size now; the
 * plugin picks.  It must not pick a disk twice, and must use as many distinct
 * failure domains as the offer allows before it uses one twice.  The core
 * checks both.
 */
#ifndef DYNFS_PLACEMENT_H
#define DYNFS_PLACEMENT_H

#include <dynfs/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

struct dynfs_placement_disk {
	uint32_t id;     /* stable for the life of the pool */
	uint32_t domain; /* equal numbers share a fate */
	uint32_t tier;   /* the core has already filtered by it; for ties */
	uint32_t in_use; /* non-zero: holds a fragment of this extent
			    * already; counts for its domain, not to be
			    * picked */
	uint64_t free_bytes;
	uint64_t total_bytes;
};

struct dynfs_placement_request {
	size_t size;
	uint64_t key;            /* random bits of this extent */
	uint64_t fragment_bytes; /* what one fragment occupies */
	const struct dynfs_placement_disk *disks;
	uint32_t disk_size; /* stride of disks, bytes */
	uint32_t n_disks;
	uint32_t n_pick; /* how many to pick, <= disks not in use */
	uint32_t reserved;
};

struct dynfs_placement_ops {
	size_t size;
	uint64_t caps; /* none yet */

	/*
	 * Write n_pick indexes into request->disks to out, the preferred
	 * first (data fragments go there).  The same request gives the same
	 * answer unless the plugin keeps a turn (round-robin).
	 */
	int (*pick)(void *self, const struct dynfs_placement_request *request,
		    uint32_t *out);
};

#ifdef __cplusplus
}
#endif

#endif
