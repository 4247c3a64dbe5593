/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metadata: an ordered map whose truth is a replicated log of commit groups
 * and whose index is a `meta` plugin.  docs/design/format.md sections 3 to 5.
 *
 * A batch is visible to gets and scans as soon as meta_commit() returns, and
 * durable when its group is: meta_sync().  Groups are closed in order, by a
 * sync, by size, or by time, and written while the next one fills.
 */
#ifndef META_META_H
#define META_META_H

#include <base/buf.h>
#include <disk/disk.h>

struct meta;

/* ---- batches --------------------------------------------------------- */

/* Puts and deletes that take effect together.  One thread at a time. */
struct batch {
	struct buf ops; /* in the log's encoding */
	uint32_t n_ops;
	/* disks whose store must be synced with the group, and up to where */
	struct batch_touch {
		uint32_t disk;
		uint64_t token;
	} * touched; /* owned */
	uint32_t n_touched, cap_touched;
	/* what the operations change in the usage records (format.md 4.9) */
	struct batch_delta {
		uint8_t kind; /* enum usage_kind */
		uint32_t id;
		int64_t inodes, bytes;
	} * deltas; /* owned; one for each (kind, id) */
	uint32_t n_deltas, cap_deltas;
	int error;
};

void batch_init(struct batch *b);
void batch_done(struct batch *b);
void batch_clear(struct batch *b);
void batch_put(struct batch *b, const void *key, size_t key_len,
	       const void *value, size_t value_len);
void batch_delete(struct batch *b, const void *key, size_t key_len);
/* The group is not durable before the disk has synced up to token. */
void batch_touch(struct batch *b, uint32_t disk, uint64_t token);
/*
 * Account for what the operations do.  meta_commit() sums the deltas up for
 * the group; the closing hook turns the sum into U records.  So a group holds
 * absolute counters that are exact for it, at one record for each owner and
 * group rather than three for each operation.
 */
void batch_count(struct batch *b, uint8_t kind, uint32_t id, int64_t inodes,
		 int64_t bytes);
#define AUTOBATCH __attribute__((cleanup(batch_done)))

/* Walk encoded operations; 1: one, 0: the end, -EUCLEAN. */
int batch_next(struct rd *r, uint8_t *ret_kind, const void **ret_key,
	       size_t *ret_key_len, const void **ret_value,
	       size_t *ret_value_len);

/* ---- life ------------------------------------------------------------ */

/*
 * What the layers above do at the turns of a group.  All are called from the
 * commit thread, or in meta_sync(), one at a time, with no lock of this module
 * held, and may call gets and scans; only sync_failed may commit.  A lock that
 * a hook takes is never held across meta_admit() or meta_sync(), which wait for
 * them.
 */
struct meta_hooks {
	void *ctx;
	/*
	 * Early in meta_open(): gets and scans work from here on, on the
	 * state that replay has reached.
	 */
	void (*opened)(void *ctx, struct meta *m);
	/*
	 * The open group takes no more batches (a commit meanwhile goes to the
	 * next one): last operations to put in.  b is empty but for the sum
	 * of all deltas of the group.
	 */
	void (*closing)(void *ctx, struct batch *b);
	/*
	 * All is replayed that will be; what is committed now is durable no
	 * later than that nobody need judge it again.  May be NULL.
	 */
	int (*replayed)(void *ctx);
	/*
	 * The store of disk failed to sync what the group (its operations,
	 * encoded) wrote there.  Commit a batch that makes the extents safe
	 * elsewhere; the group is answered when that, and all that was
	 * committed until the hook returned, is durable too.
	 */
	int (*sync_failed)(void *ctx, struct disk *disk, uint64_t number,
			   const void *ops, size_t len);
	/* Everything up to number is durable and in the index. */
	void (*durable)(void *ctx, uint64_t number);
	/*
	 * Replay: is this extent record's content readable (format.md 3)?
	 * 0: yes; -EUCLEAN: no; other: could not tell (a disk is away): if
	 * that decides where the log ends, the pool opens read-only.
	 */
	int (*verify_extent)(void *ctx, const void *key, size_t key_len,
			     const void *value, size_t value_len);
};

struct meta_how {
	const struct dynfs_os *os;
	struct reg *reg;
	struct disks *disks;
	const char *engine_plugin;
	const struct reg_setting *engine_options;
	uint32_t n_engine_options;
	uint32_t copies;       /* log disks wanted */
	uint64_t memory_bytes; /* the engine's share */
	/* batches so long together that are not in the index: others wait */
	uint64_t pending_bytes;
	uint64_t group_bytes; /* close a group at this size */
	uint64_t group_ns;    /* and at this age */
	uint64_t log_bytes;   /* checkpoint when the log since the last one
				 * is longer than this */
	bool readonly;
	bool create; /* a new pool: there is no log yet */
	struct meta_hooks hooks;
};

/*
 * Find the true log, its end, and an index; replay; if not readonly bring the
 * other logs level and begin a new epoch.  Logs what it did in a line.
 */
int meta_open(const struct meta_how *how, struct meta **ret);
/*
 * Closes and syncs the last group, checkpoints, stops the threads.  0: all that
 * was committed is durable; a checkpoint that could not be made is a warning.
 */
int meta_close(struct meta *m);
/* Stops as a crash would: nothing is flushed.  For tests. */
void meta_abandon(struct meta *m);

/* ---- reading --------------------------------------------------------- */

/* Replaces *ret_value's content; -ENOENT. */
int meta_get(struct meta *m, const void *key, size_t key_len,
	     struct buf *ret_value);

/*
 * Rows with from <= key < to in order (to_len 0: all with prefix from), until
 * each() returns non-zero, which is returned (1: stop quietly, gives 0).
 * Rows committed meanwhile may or may not show.  No lock is held in each().
 */
int meta_scan(struct meta *m, const void *from, size_t from_len, const void *to,
	      size_t to_len,
	      int (*each)(void *ctx, const void *key, size_t key_len,
			  const void *value, size_t value_len),
	      void *ctx);

/* ---- committing ------------------------------------------------------ */

/*
 * Before a batch is begun, with no lock held that a hook takes: waits while too
 * much is not durable yet.  -EROFS when nothing can be committed any more.  In
 * a hook it never waits.
 *
 * It does not reserve: what the threads that were let in then commit comes on
 * top of the limit, a batch or two each.  A long job asks before each step.
 */
int meta_admit(struct meta *m);
/*
 * Put the batch into the open group; ret_number (may be NULL): which it is.
 * The batch is empty after.  Never waits for the log, so that it may be called
 * under locks that hooks take.  -EROFS when the log can not be written any more.
 */
int meta_commit(struct meta *m, struct batch *b, uint64_t *ret_number);
/* Wait until group number is durable; closes it if it is open. */
int meta_sync(struct meta *m, uint64_t number);
/* The number of the open group, and of the last durable one. */
uint64_t meta_open_number(struct meta *m);
uint64_t meta_durable_number(struct meta *m);
/*
 * The number of the last group that a durable record confirms: no crash makes
 * the next open doubt it, so what it dropped may be freed (format.md 4.8).
 */
uint64_t meta_confirmed_number(struct meta *m);
/*
 * All that was committed is made durable and confirmed at once, not at its
 * age: somebody waits for what is freed by that.  Returns before it is.
 */
void meta_hurry(struct meta *m);

int meta_checkpoint(struct meta *m); /* now, and cut the log */

/*
 * k is to be given up: when this returns 0 neither log, index nor checkpoints
 * on it are in use, nor will be.  -EBUSY, and all as before: it has the only
 * log.  One disk at a time; meta_stay() takes it back.
 */
int meta_leave(struct meta *m, const struct disk *k);
void meta_stay(struct meta *m);

struct meta_status {
	uint64_t number, durable, checkpoint;
	uint32_t copies_wanted, copies; /* log disks in sync */
	uint64_t log_bytes, index_bytes, memory_bytes, overlay_bytes;
	uint32_t index_disk;        /* where the live index is */
	uint64_t replayed, dropped; /* groups at open */
	bool readonly; /* asked for, or since damage or a failure */
};
void meta_status(struct meta *m, struct meta_status *ret); /* asks disks */
/* Log disks in sync. */
uint32_t meta_copies(struct meta *m);

#endif
