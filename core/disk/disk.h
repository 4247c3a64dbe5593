/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks: who belongs to the pool, which of them are here, how much room they
 * have, and I/O on their stores.
 *
 * The set (struct disks) is one per open pool.  A struct disk lives as long as
 * the set: pointers stay good, members are added and never taken away.
 * Everything here may be called from any thread.
 */
#ifndef DISK_DISK_H
#define DISK_DISK_H

#include <base/tpool.h>
#include <disk/label.h>
#include <dynfs/store.h>
#include <registry/registry.h>
#include <stdatomic.h>

/* What can be done with a member now; only ever gets worse, but by reopening
 * or an operator's command. */
enum disk_health {
	DISK_ONLINE = 1,
	DISK_SUSPECT, /* had a failed sync or write: read, do not write */
	DISK_MISSING, /* not there */
	DISK_FAILED,  /* by the operator's word: never touched again */
};

struct disk {
	uint32_t id;
	struct uuid uuid;
	char *path;         /* where it is now; the hint when missing */
	uint8_t role;       /* MEMBER_* bits */
	atomic_uint state;  /* enum member_state */
	atomic_uint health; /* enum disk_health */
	bool stale;         /* its label was older than the newest */
	/*
	 * Interned tags: same number, same text.  A disk without a domain has
	 * one of its own, one without a tier has tier 0.
	 */
	atomic_uint domain, tier;
	uint64_t limit_bytes;
	uint64_t device;        /* st_dev: disks on one device share room */
	struct reg_inst *store; /* NULL: none (missing, or log only) */
	atomic_uint_fast64_t reserved_bytes; /* promised to writes in flight */
	atomic_uint_fast64_t reads, writes, read_bytes, write_bytes, errors;
	atomic_uint inflight; /* operations now: how busy it is */
};

struct disks;

/* One disk that the config names. */
struct disks_entry {
	const char *path; /* absolute */
	uint64_t limit_bytes;
	uint8_t role;
	const struct member_tag *tags;
	uint32_t n_tags;
};

/* os and reg must live as long as the set; the rest is borrowed for the call. */
struct disks_how {
	const struct dynfs_os *os;
	struct reg *reg;
	const struct disks_entry *entries;
	uint32_t n_entries;
	const char *pool_name;  /* must match the labels' unless NULL */
	const char *avoid_path; /* mount point: no disk in it; may be NULL */
	const char *store_plugin;
	const struct reg_setting *store_options;
	uint32_t n_store_options;
	uint32_t extent_bytes; /* create only */
	unsigned n_io_threads;
	bool readonly;
	bool force_rollback;
};

enum disks_there {
	DISKS_NONE,
	DISKS_UNFINISHED, /* making the pool was cut short: create it again */
	DISKS_POOL,
};

/* What the labels of the entries say, as far as they can be read. */
enum disks_there disks_look(const struct disks_how *how);

/*
 * Label all entries as a new pool, which is unfinished until disks_finish().  A
 * directory that is missing is made, its parent must be there.  Refuses one
 * that has a label, or that is not empty (lost+found apart), or lies inside
 * another or in avoid_path; but what a pool left that was never finished is
 * taken, if all of it is there.  On failure nothing is left behind.
 */
int disks_create(const struct disks_how *how);
/* Everything that makes the pool real is durable: from here on it is one. */
int disks_finish(struct disks *d);
/* It is not: nothing in it may be believed, nor anybody served. */
bool disks_unfinished(const struct disks *d);

/*
 * Read all labels, find the newest epoch, check every entry (another pool,
 * twice, nested, not a member, damaged, unknown features), lock the disks
 * (-EBUSY names the pid that holds them), open the stores.  Members that the
 * config does not name are looked for where they were last.  Members that are
 * not there are DISK_MISSING and logged once.  Writes nothing but dynfs.lock:
 * the epoch is still the old one.  -EROFS when there are too few for writing
 * and how->readonly is not set; the message says which are missing.
 * With force_rollback what is there is taken for the pool: the next epoch
 * begins another history, in which the missing disks have failed.
 */
int disks_open(const struct disks_how *how, struct disks **ret);
/* Say, once for a set, when two of its disks lie on one device. */
void disks_warn_shared(struct disks *d);
/* No operation is in flight.  NULL is fine. */
void disks_close(struct disks *d);

/*
 * The label in force (as of open: the newest seen), for its facts about the
 * pool and the members.  Stays valid, and as it is, until disks_close(); ask
 * again for what changed.  disk, disk_id, sequence, promised and store are
 * those of some disk.
 */
const struct label *disks_label(const struct disks *d);
uint64_t disks_epoch(const struct disks *d);
uint64_t disks_epoch_bits(const struct disks *d);
bool disks_readonly(const struct disks *d);
/* In rising order; returns how many there are, fills at most max. */
uint32_t disks_insync(const struct disks *d, uint32_t *ids, uint32_t max);

/*
 * Begin the next epoch with this in-sync set, durable on a majority of the
 * members before and after (format.md 2.1) before it returns 0.  -EROFS when
 * no majority could be written: then nothing may be answered any more, and
 * the set is read-only from there on.  A disk whose label could not be
 * written turns suspect.
 */
int disks_next_epoch(struct disks *d, const uint32_t *insync, uint32_t n);

/* All members, also missing ones, in the order of ids. */
uint32_t disks_count(const struct disks *d);
struct disk *disks_at(const struct disks *d, uint32_t i);
struct disk *disks_find(const struct disks *d, uint32_t id);
/* NULL: none.  Valid until disks_close(). */
const char *disk_tag(const struct disks *d, const struct disk *k,
		     const char *key);
/* What its store leaves to the log and the index; 0: it has not both. */
uint64_t disk_room(const struct disk *k);
/* Its fragments can be read. */
bool disk_readable(const struct disk *k);
/* Takes new fragments; one without a store: new files. */
bool disk_writable(const struct disk *k);

/*
 * Membership, by the operator.  Each is an epoch of its own, with the in-sync
 * set as it was; a failed disk leaves it.  Errors are refusals that change
 * nothing, but for -EROFS as in disks_next_epoch().
 */
int disks_add(struct disks *d, const struct disks_entry *e, uint32_t *ret_id);
/* Its fragments are lost, whatever it says: it is never touched again. */
int disks_fail(struct disks *d, uint32_t id);
/* Whether it may; -EINVAL with the reason. */
int disks_may_fail(struct disks *d, uint32_t id);
int disks_tag(struct disks *d, uint32_t id, const char *key,
	      const char *value); /* value NULL: remove */

/* A sync or write failed: no new fragments go there.  Logs once.  Any errno. */
void disk_suspect(struct disk *k, const char *why, int err);

/* ---- I/O ------------------------------------------------------------- */

/*
 * A store operation on its way; embedded in the caller's object.  The caller
 * sets disk, done, and of op: kind, id, place, iov, n_iov, head_len, part,
 * offset.
 */
struct disk_op {
	struct dynfs_store_op op; /* size, done and ctx are the disk layer's */
	struct disk *disk;
	/*
	 * Any thread; op.result is set; the object is the caller's again.
	 * Must not start or wait for another operation.  NULL: nothing.
	 */
	void (*done)(struct disk_op *o);

	/* the disk layer's */
	struct work work;
	struct disk_op *next, *last;
	struct disk_wait *wait;
};

/*
 * Start n operations, on any disks.  Those on one disk go to its store as one
 * vector.  Operations on disks that are not readable (or, for WRITE, not
 * writable) complete with -ENODEV; FREE needs a disk that is online.  With
 * wait the call returns after all done() calls returned, and runs a part of
 * the work itself: all of it when it is for one disk.  Not to be called with
 * wait from a done() or from the set's own threads.
 */
void disks_submit(struct disks *d, struct disk_op *const *ops, uint32_t n,
		  bool wait);

/* A token for what completed on the disk, and making it durable. */
uint64_t disk_mark(struct disk *k);
/* A failure makes the disk suspect, and is that of every later one, too. */
int disk_sync(struct disk *k, uint64_t token);

/* ---- room ------------------------------------------------------------ */

struct disk_space {
	uint64_t total_bytes; /* of fragments, never more than limit */
	uint64_t free_bytes;  /* less reservations */
	uint64_t stuck_bytes;
};

int disk_space(struct disk *k, struct disk_space *ret);
/* The same for bytes that were let in: a little more. */
int disk_space_to_place(struct disk *k, struct disk_space *ret);
/* Its room counts: also where just now nothing may be written. */
bool disk_has_place(const struct disk *k);
/* What a fragment of these lengths occupies there; 0: no store. */
uint64_t disk_cost(struct disk *k, uint32_t head_len, uint64_t payload_len);

/*
 * Promise bytes to a write in flight, so that parallel writers do not count
 * on the same room: -ENOSPC when that much is not free.  Given back when the
 * write is over, however it ended.
 */
int disk_reserve(struct disk *k, uint64_t bytes);
void disk_unreserve(struct disk *k, uint64_t bytes);

/*
 * Give the room of the ballast to the log and the index.  -ENOENT: it was
 * given up before.
 */
int disk_release_ballast(struct disk *k);

/*
 * The largest x with sum(min(free_i, x)) >= n * x over n_free entries: how
 * many fragments-worth bytes each of n distinct places can take (the plan's
 * formula).  0 if there are fewer than n entries with room.  n_free is at
 * most DISKS_MAX.
 */
uint64_t space_water_fill(const uint64_t *free_bytes, uint32_t n_free,
			  uint32_t n);

/*
 * Free and total bytes of content that k of n fragments could hold on the
 * disks that are online, domains respected, disks on one device counted once.
 * Both are 0 when there are fewer than n such disks.
 */
void disks_capacity(struct disks *d, uint32_t k, uint32_t n,
		    uint64_t *ret_total, uint64_t *ret_free);

#endif
