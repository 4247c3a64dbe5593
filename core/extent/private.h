/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of extent/ share; nobody else includes it. */
#ifndef EXTENT_PRIVATE_H
#define EXTENT_PRIVATE_H

#include <extent/extent.h>

#include <base/hmap.h>
#include <pthread.h>

#define HEAD_FIXED_BYTES 160u /* the table follows, format.md 6.1 */
#define CACHE_SHARDS     16u

/* ---- policies, policy.c ---------------------------------------------- */

struct policy_entry {
	struct policy pub; /* first */
	struct policy_rec rec;
	struct buf names; /* the last part of every head */
	char *degraded;   /* what the config says; NULL: the default rule */
	bool current;     /* the config defines it now */
};

/* ---- records in memory, cache.c -------------------------------------- */

/* A record and the block sums that were verified against it. */
struct xentry {
	struct hnode node;
	struct list lru;
	struct extent_id id;
	uint32_t refs; /* under the shard's lock; the cache holds one */
	bool cached;
	atomic_bool queued; /* for repair, by this process */
	struct extent_rec rec;
	_Atomic(uint8_t *) tables[FRAGMENTS_MAX]; /* owned; set once */
};

struct xshard {
	pthread_mutex_t lock; /* all below, and refs of the entries */
	struct hmap map;
	struct list lru; /* least recently used first */
	uint64_t bytes;
};

/* ---- frees, reclaim.c ------------------------------------------------ */

struct pending_free {
	struct list link;
	struct extent_id id;
	uint64_t salt;
	uint64_t number; /* the group that dropped it; 0: due now */
	struct free_rec rec;
};

/* One extent that the drop in progress touches. */
struct dropping {
	struct hnode node;
	struct extent_id id;
	uint32_t n_unrefs; /* in the batch */
	uint32_t n_refs;   /* in the metadata, as many as were counted */
	struct key last;   /* of those that the batch takes away */
	uint64_t live_bytes;
	uint64_t queued_bytes; /* of the repair queue that end with it */
	bool freed;
	bool referred; /* by the batch: it stays */
	struct free_rec free;
};

struct scratch {
	struct scratch *next;
	size_t cap;
	uint8_t *data; /* aligned to 4096 */
};

struct extents {
	struct extents_how how; /* texts are borrowed until extents_start() */
	struct meta *meta;
	struct reg_inst *placement;
	bool readonly;

	pthread_mutex_t policy_lock; /* the two below */
	struct policy_entry **policies;
	uint32_t n_policies;
	const struct policy *default_policy;

	struct xshard shards[CACHE_SHARDS];

	pthread_mutex_t id_lock; /* next id */
	uint64_t id_epoch, id_counter;

	pthread_mutex_t scratch_lock;
	struct scratch *scratch;
	unsigned n_scratch;

	/* held from extent_drop_begin() to _end(), and to change a record */
	pthread_mutex_t drop_lock;
	struct hmap dropping; /* struct dropping */

	/* readers inside, by phase; the reclaimer flips it and waits */
	atomic_uint phase;
	atomic_uint readers[2];

	pthread_mutex_t free_lock; /* the list and the flags */
	pthread_cond_t free_wake;
	struct list frees;           /* struct pending_free, oldest first */
	uint64_t n_frees, confirmed; /* a durable record says so */
	bool free_stop, free_running;
	pthread_t free_thread;

	pthread_mutex_t repair_lock; /* makes W records read-modify-write */
	/* what replay found weak, before it could be queued; repair_lock */
	struct weak_extent {
		struct extent_id id;
		uint32_t mask;
	} * weak;
	size_t n_weak;

	atomic_uint_fast64_t queued_repair, bytes_at_risk;
	atomic_uint_fast64_t n_reads, n_writes, n_degraded_reads,
	    n_degraded_writes, n_checksum_errors, n_unreadable;

	pthread_mutex_t event_lock;
	extents_event event;
	void *event_ctx;
};

/* head.c */
struct extent_shape { /* what all fragments of an extent have in common */
	struct extent_id id;
	const struct policy *policy;
	uint64_t plain_len, stored_len, payload_len, epoch, number;
	int64_t wall_ns;
	const struct extent_owner *owners;
	uint32_t n_owners;
};
uint32_t head_blocks(uint64_t payload_len, uint32_t block_bytes);
/*
 * A head with room for its table: *ret_table points into out, to be filled
 * before head_seal().
 */
int head_build(const struct extent_shape *s, const struct uuid *pool,
	       uint32_t index, struct buf *out, uint8_t **ret_table);
void head_seal(struct buf *head);
/* The digest of format.md 6.2 to root; of the shape: id, policy, lengths. */
int head_root(const struct extent_shape *s, uint32_t index,
	      const uint8_t *table, uint32_t n_blocks, uint8_t *root);
/* The last part of every head; redundancy as "erasure:4+2 backend=...". */
void head_put_names(struct buf *b, const char *redundancy,
		    const char *checksum);
/*
 * Owners from a head that was read back; malloc'd.  -EUCLEAN: it is damaged
 * or another extent's; -EROFS, -EOPNOTSUPP: of a newer program, not to be
 * made again by this one.
 */
int head_owners(const void *head, size_t len, const struct uuid *pool,
		struct extent_id id, struct extent_owner **ret,
		uint32_t *ret_n);
/* Length of the head of a fragment with n_owners under the policy. */
uint32_t head_len(const struct policy *p, uint64_t payload_len,
		  uint32_t n_owners);

/* policy.c */
int policies_init(struct extents *x);
void policies_done(struct extents *x);
int policies_start(struct extents *x, const char *default_name);
/* Also before extents_start(): looks into the metadata. */
const struct policy *policies_find(struct extents *x, uint32_t id);
/*
 * The form of an extent.  NULL: it can not be used, or the record does not
 * have it: lengths are taken from both, so they must agree.
 */
const struct policy *policies_of(struct extents *x, const struct extent_rec *r);
uint64_t policy_payload_len(const struct policy *p, uint64_t stored_len);
const struct policy_entry *policy_entry_of(const struct policy *p);

/* cache.c */
int cache_init(struct extents *x);
void cache_done(struct extents *x);
/* -ENOENT; each get wants a put. */
int cache_get(struct extents *x, struct extent_id id, struct xentry **ret);
void cache_put(struct extents *x, struct xentry *e);
/* The record changed or is gone. */
void cache_drop(struct extents *x, struct extent_id id);
/* An entry that is in no cache, for records in hand. */
struct xentry *xentry_new(struct extent_id id, const struct extent_rec *rec);
void xentry_free(struct xentry *e);

/* place.c */
struct place_want {
	uint64_t fragment_bytes, key;
	uint32_t n;               /* how many more disks */
	struct disk *const *used; /* NULL entries are skipped */
	uint32_t n_used;
	struct disk *const *bad; /* not to be tried again */
	uint32_t n_bad;
};
/* ret: n disks; -ENOSPC when there are fewer (*ret_have: how many). */
int place_pick(struct extents *x, const struct place_want *w, struct disk **ret,
	       uint32_t *ret_have);

/* fragio.c */
/* What its record says; no owners, epoch, number and time. */
struct extent_shape xentry_shape(const struct xentry *e,
				 const struct policy *p);

struct fragio { /* reading a range of the payload of one fragment */
	uint32_t index;
	uint64_t from, to; /* multiples of the block, or the end */
	uint8_t *buf;      /* to - from bytes; the caller's */
	int result;        /* 0: read and verified */
	bool uncached;     /* as the disk has it, not as a cache shows it */
};
/* All at once; each has its own result.  -ENOMEM only. */
int fragio_read(struct extents *x, struct xentry *e, struct fragio *io,
		uint32_t n);
/*
 * k good fragments for [from, to), reconstructing the rest as wanted: bit i
 * of want: bufs[i] (to - from bytes) is filled.  have: those that are right
 * already.  bad: not to be tried; grows.
 */
int fragio_rebuild(struct extents *x, struct xentry *e, uint64_t from,
		   uint64_t to, uint8_t **bufs, uint32_t have, uint32_t want,
		   uint32_t *bad);
bool fragment_reachable(struct extents *x, const struct fragment_rec *f);

/* repair.c */
void repair_queue(struct extents *x, struct xentry *e, uint32_t mask,
		  enum repair_reason reason);
/*
 * Replay found fragments of mask missing or wrong; queued by the replayed
 * hook, as nothing can be committed yet.
 */
int repair_remember(struct extents *x, struct extent_id id, uint32_t mask);
/* Count W records at open. */
int repair_load(struct extents *x);
void repair_count(struct extents *x, int64_t extents, int64_t bytes);
void extents_say(struct extents *x, const char *kind, struct extent_id id,
		 const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* reclaim.c */
int reclaim_start(struct extents *x);
void reclaim_stop(struct extents *x);
/* salt: of its Z key; 0 when the whole extent goes, else a fresh number. */
void reclaim_add(struct extents *x, struct extent_id id, uint64_t salt,
		 uint64_t number, const struct free_rec *r);

/* extents.c */
struct scratch *scratch_get(struct extents *x, size_t bytes);
void scratch_put(struct extents *x, struct scratch *s);
struct extent_id extent_new_id(struct extents *x);

static inline uint64_t extent_hash(struct extent_id id)
{
	return hash_u64(id.epoch ^ hash_u64(id.counter));
}

static inline bool extent_same(struct extent_id a, struct extent_id b)
{
	return a.epoch == b.epoch && a.counter == b.counter;
}

#endif
