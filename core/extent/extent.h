/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extents: immutable runs of bytes, made redundant by a policy and kept as
 * fragments on different disks.  docs/design/format.md sections 4.5 to 4.8, 6.
 *
 * Everything may be called from any thread.
 */
#ifndef EXTENT_EXTENT_H
#define EXTENT_EXTENT_H

#include <disk/disk.h>
#include <meta/keys.h>
#include <meta/meta.h>

struct extents;

/* ---- policies -------------------------------------------------------- */

#define POLICY_NAME_MAX 64u

/* Who may choose a policy though it costs more than the default one. */
struct policy_users {
	uint32_t *uids, *gids;
	uint32_t n_uids, n_gids;
};

/* One wanted form of extents, as the config defines it. */
struct policy_def {
	const char *name;
	const char *redundancy; /* plugin */
	const struct reg_setting *options;
	uint32_t n_options;
	uint32_t k, m;
	const char *checksum; /* plugin */
	uint32_t block_bytes;
	const char *degraded;      /* a policy, "none", or NULL: m+1 copies */
	struct policy_users users; /* copied */
	bool automatic;
};

/* A definition at work.  Immutable; lives as long as the pool. */
struct policy {
	uint32_t id; /* in the metadata; never changes meaning */
	char name[POLICY_NAME_MAX + 1];
	uint32_t k, m, block_bytes, digest_len;
	uint32_t quantum, align; /* of the redundancy plugin */
	bool copies;             /* every fragment has the same payload */
	bool automatic; /* for degraded writes; the config has no name for it */
	struct policy_users users;
	struct reg_inst *redundancy, *checksum;
	const struct policy *degraded; /* NULL: refuse */
	char spec[128];                /* "erasure:4+2" */
};

/* In stored bytes for a byte of content. */
static inline bool policy_costs_more(const struct policy *p,
				     const struct policy *than)
{
	return (uint64_t)(p->k + p->m) * than->k >
	       (uint64_t)(than->k + than->m) * p->k;
}

/* ---- life ------------------------------------------------------------ */

struct extents_how {
	const struct dynfs_os *os;
	struct reg *reg;
	struct disks *disks;
	const char *placement_plugin;
	const struct reg_setting *placement_options;
	uint32_t n_placement_options;
	const struct policy_def *defs;
	uint32_t n_defs;
	uint64_t cache_bytes; /* records and tables kept in memory */
	uint32_t extent_bytes;
};

/* Before the metadata is open: enough to verify extents in replay. */
int extents_new(const struct extents_how *how, struct extents **ret);
/*
 * With the metadata open: load policies, give ids to new or changed ones (not
 * when read-only), take up what is queued to be freed.  default_name: NULL
 * keeps the pool's.
 */
int extents_start(struct extents *x, struct meta *m, const char *default_name);
/* No call is in flight; frees that are due are done, the rest stays queued. */
void extents_stop(struct extents *x);
/* Memory that is only kept to be used again goes. */
void extents_rest(struct extents *x);
void extents_free(struct extents *x);

struct disks *extents_disks(struct extents *x);

/* For struct meta_hooks; ctx is the struct extents. */
void extents_opened_hook(void *ctx, struct meta *m);
int extents_replayed_hook(void *ctx);
int extents_verify_hook(void *ctx, const void *key, size_t key_len,
			const void *value, size_t value_len);
int extents_sync_failed_hook(void *ctx, struct disk *disk, uint64_t number,
			     const void *ops, size_t len);
void extents_durable_hook(void *ctx, uint64_t number);

const struct policy *extents_policy(struct extents *x, uint32_t id);
const struct policy *extents_policy_named(struct extents *x, const char *name);
const struct policy *extents_policy_default(struct extents *x);
uint32_t extents_policies(struct extents *x, const struct policy **out,
			  uint32_t max);
/*
 * 0 if the members (present or not) can hold the policy; else -ENOSPC and
 * "policy X (4+2) needs 2 more disks: ...".
 */
int extents_policy_fits(struct extents *x, const struct policy *p);

/*
 * Bytes of content that the disks can hold, and still can, in the form that
 * new extents of the policy take now: its degraded one while disks are away.
 */
void extents_capacity(struct extents *x, const struct policy *p,
		      uint64_t *ret_total, uint64_t *ret_free);
/*
 * What nobody who adds something is given of a capacity: small pieces cost
 * more than their bytes, and cutting and removing must always find room.
 */
uint64_t extents_reserve(uint64_t total);

/* ---- writing --------------------------------------------------------- */

/* Whose bytes they are: one for each slice that will point into the extent. */
struct extent_owner {
	uint64_t ino, generation, file_offset, sequence;
	/* when the bytes were first written; epoch 0: now */
	uint64_t epoch, number;
	uint32_t length, extent_offset;
};

/*
 * Store len bytes (at most extent_bytes) as one new extent: encode, sum, place
 * and write the fragments, all at once; on a failed disk place again on
 * another.  data must be aligned to 64 and is only read; pieces are taken from
 * it without a copy where lengths allow.  Into the batch go the E, L, Q, R (one
 * for each owner) and if need be W records, and the disks to sync.  Nothing
 * is visible before the batch is committed; if it never is, extent_forget().
 * -ENOSPC: no room for the policy nor for its degraded form.
 */
int extent_write(struct extents *x, const struct policy *p, const void *data,
		 uint32_t len, const struct extent_owner *owners,
		 uint32_t n_owners, struct batch *b, struct extent_id *ret);
/* The batch will not be committed: free the fragments. */
void extent_forget(struct extents *x, struct extent_id id,
		   const struct batch *b);

/* ---- reading --------------------------------------------------------- */

/*
 * len plain bytes from offset on into to.  Verifies every byte to the root in
 * the metadata, reads the fewest blocks that cover the range, reconstructs
 * what is missing or wrong and queues the extent for repair.  -EIO when fewer
 * than k fragments are good: an event names the file.  -ENOENT: there is no
 * such extent (any more): the caller looks at its slices again.
 */
int extent_read(struct extents *x, struct extent_id id, uint32_t offset,
		uint32_t len, void *to);

/*
 * Bracket the time in which extent ids taken from slices are used: extents
 * dropped meanwhile keep their fragments until the last bracket that began
 * before has ended.  Cheap; may nest.
 */
uint64_t extent_enter(struct extents *x);
void extent_leave(struct extents *x, uint64_t ticket);

/* ---- dropping -------------------------------------------------------- */

/*
 * Drops of references are serialised: begin, then any number of unref into
 * the batch, the caller's other operations, meta_commit, then end.  Whether
 * that committed decides: else nothing was dropped, and nothing is freed.
 */
void extent_drop_begin(struct extents *x);
int extent_unref(struct extents *x, struct extent_id id, uint64_t ino,
		 uint64_t chunk, uint64_t sequence, uint32_t length,
		 struct batch *b);
/*
 * One more slice points into it (clones), for as long as some slice that the
 * batch does not take away does.  Between begin and end of a drop, before any
 * reference to it is dropped in the batch.
 */
int extent_ref(struct extents *x, struct extent_id id, uint64_t ino,
	       uint64_t chunk, uint64_t sequence, uint32_t length,
	       struct batch *b);
void extent_drop_end(struct extents *x, bool committed);

/* ---- looking --------------------------------------------------------- */

int extent_record(struct extents *x, struct extent_id id,
		  struct extent_rec *ret);

struct extent_state {     /* of one extent now */
	uint32_t present; /* mask of fragments on disks that are here */
	uint32_t missing; /* mask */
	bool readable, full;
};
int extent_state(struct extents *x, const struct extent_rec *r,
		 struct extent_state *ret);

/* Fragments wait to be freed on disks that are here. */
bool extents_frees(struct extents *x);

struct extents_status {
	uint64_t queued_repair, queued_free;
	uint64_t reads, writes, degraded_reads, degraded_writes;
	uint64_t bytes_at_risk;
	uint64_t checksum_errors, unreadable;
};
void extents_status(struct extents *x, struct extents_status *ret);

/* Something an operator should hear of: an unreadable range, say. */
typedef void (*extents_event)(void *ctx, const char *kind, struct extent_id id,
			      const char *text);
void extents_on_event(struct extents *x, extents_event fn, void *ctx);

#endif
