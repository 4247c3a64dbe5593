/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of core/meta share.
 *
 * Threads.  Who has the turn alone closes groups, writes them, changes the
 * set of log disks and feeds the index: the commit thread, or for the first
 * two a caller of meta_sync() that found it asleep.  The keeper makes
 * checkpoints and brings new log disks up to date.  Anybody commits, syncs and
 * reads.
 *
 * Locks, outer before inner: ckpt_lock, lock, overlay.lock; engine_lock is
 * innermost.  No lock is held across a call of a hook or of the system, but
 * for ckpt_lock.
 */
#ifndef META_INTERNAL_H
#define META_INTERNAL_H

#include <base/list.h>
#include <base/tpool.h>
#include <dynfs/meta.h>
#include <meta/engine.h>
#include <meta/keys.h>
#include <meta/log.h>
#include <meta/meta.h>
#include <meta/overlay.h>
#include <meta/truth.h>

#define META_KEY_MAX   1024u
#define META_VALUE_MAX (1u << 20)

/* How the commit thread waits: nobody wakes it for what it sees in time. */
enum rest {
	REST_NOT,  /* it is awake, or woken, or waits for the turn */
	REST_NAP,  /* a moment, then what is durable goes into the index */
	REST_AGE,  /* until a group has its age */
	REST_LONG, /* until it is woken */
};

/* Operations that become durable together. */
struct group {
	struct list link;
	uint64_t number;
	struct buf rec; /* LOG_HEAD bytes, then operations */
	uint32_t n_ops;
	struct batch
	    sum_of;       /* touched and deltas of its batches, no operations */
	uint64_t born_ns; /* when the first operation came */
	struct list nodes; /* in the overlay, see there */
	uint64_t bytes;    /* counted in meta.pending_bytes */
	uint64_t needs;    /* not durable before this group is; 0: none */
	uint64_t confirmed;
	uint8_t sum[SUM128_LEN];
};

struct meta {
	struct meta_how how;
	const struct dynfs_os *os;
	struct disks *disks;
	struct uuid pool;
	bool readonly;   /* since the open */
	const char *why; /* it is read-only though nobody asked for it */
	uint64_t replayed, dropped;

	struct overlay overlay;

	pthread_mutex_t lock;   /* what follows up to engine_lock */
	pthread_cond_t work;    /* for the commit thread, see commit_wake() */
	pthread_cond_t changed; /* durable, failed, pending_bytes */
	pthread_cond_t chores;  /* for the keeper */
	enum rest rest;         /* the commit thread's */
	bool turn;              /* somebody has it */
	struct group *open;
	struct list closed;  /* full before their turn, in order */
	struct list written; /* not durable or not in the index yet */
	struct list lost;    /* after the failure */
	uint64_t want;       /* close groups up to this number */
	uint64_t written_number, durable, applied, confirmed;
	uint64_t last_write_ns;
	bool hurry;      /* see meta_hurry() */
	bool last_empty; /* nothing in the last record is to confirm */
	uint64_t pending_bytes;
	uint64_t log_since;  /* bytes of log since the last checkpoint */
	uint64_t checkpoint; /* number of the newest */
	int failed;          /* nothing can be written any more */
	bool stop, abandon, keeper_stop;
	int move; /* why the index has to be moved; 0: it has not */
	uint64_t n_moves;
	atomic_bool stuck; /* the last move failed: there is no other */
	bool want_checkpoint, want_recruit;
	const struct disk *leaving; /* takes no log any more, may be NULL */
	bool leave;                 /* the commit thread is asked to leave it */
	int left;                   /* how that went */
	struct log_disk *logs[LOGS_MAX]; /* in sync; of the turn */
	uint32_t n_logs;
	struct log_disk *dead;    /* left the log; see logs_bury() */
	struct log_disk *joining; /* up to joining_upto; the keeper's until
				   * the commit thread answers */
	uint64_t joining_upto;
	bool joining_done;
	int joining_result;
	/* sums of groups sums_first and on, up to applied */
	uint8_t (*sums)[SUM128_LEN];
	uint64_t sums_first;
	size_t n_sums, cap_sums;

	pthread_mutex_t engine_lock; /* engine, engine->refs */
	struct engine *engine;       /* NULL: the overlay is all */
	unsigned n_old;              /* engines that were, and are in use */

	/* of the turn */
	uint8_t last_sum[SUM128_LEN]; /* of the last record written */
	struct tpool *pool_io;
	pthread_t committer, keeper;
	atomic_bool threads; /* they run */

	pthread_mutex_t ckpt_lock; /* one checkpoint at a time */
};

/* batch.c */
/* Touched disks and deltas of b into sum, all or nothing. */
int batch_sum(struct batch *sum, const struct batch *b);

/* group.c: what is filled and waited for */
int group_new(struct meta *m, uint64_t number, struct group **ret);
void group_free(struct group *g);
void *commit_main(void *meta);
bool commit_is_self(const struct meta *m);
/* Write the open group, though it be empty, before there are threads. */
int commit_now(struct meta *m);
/* lock is held: there is something to do. */
void commit_wake(struct meta *m);
/* Nothing is answered any more; lock is not held. */
void meta_fail(struct meta *m, int err, const char *why);

/* round.c: making a group durable; in the turn */
int round_write(struct meta *m, struct group *g);
void round_apply(struct meta *m);
/* Take the logs that failed out of the in-sync set. */
int logs_drop(struct meta *m);
int sums_push(struct meta *m, const uint8_t sum[SUM128_LEN]);

/* index.c */
struct engine *index_get(struct meta *m); /* a reference, or NULL */
void index_put(struct meta *m, struct engine *e);
void index_swap(struct meta *m, struct engine *e);
/* One that was moved away from still has a reader. */
bool index_old_in_use(struct meta *m);
/* The live index of one of the log disks, if it can be opened at all. */
int index_find(struct meta *m, const struct truth *t, struct engine **ret);
/* One that was made from a checkpoint, or in place when read-only. */
int index_make(struct meta *m, const struct truth *t, const struct disk *avoid,
	       struct engine **ret);
int index_clean(struct meta *m);
/* While running: the engine does not work any more. */
int index_move(struct meta *m, int why);
/* A read failed: true, after a while, when it should be tried again. */
bool index_repair(struct meta *m, int why);

/* replay.c */
/* Groups into e; NULL: into the overlay. */
int replay(struct meta *m, struct engine *e, const struct truth *t,
	   uint64_t from, uint64_t to);
/* Find the end: the greatest n whose new extents are all readable. */
int replay_verify(struct meta *m, const struct truth *t, uint64_t confirmed,
		  uint64_t *ret_end);

/*
 * features.c: do we know what the records of the state say?  -EOPNOTSUPP: no;
 * -EUCLEAN: it can not be told; readonly: enough to read them.
 */
int features_of_state(struct meta *m, bool *ret_readonly);
/* The same; m is read-only after it where it has to be. */
int features_settle(struct meta *m);

/* read.c: from becomes the first key after those in rows */
int rows_after(const struct buf *rows, struct buf *from);

/* logs.c */
int logs_choose(struct meta *m, struct log_disk **ret); /* NULL: none free */
int logs_prepare(struct meta *m, struct log_disk *d);
int logs_epoch(struct meta *m, const struct log_disk *also);
bool logs_is_leaving(struct meta *m, const struct disk *k);
/* In the turn: leave m->leaving, and say so. */
void logs_leave(struct meta *m);
/* lock is held, or there are no threads.  It is in m->logs no more. */
void logs_kill(struct meta *m, struct log_disk *d);
/* Close and free those that left; not to be called in the turn. */
void logs_bury(struct meta *m);

/* snapshot.c; ckpt_lock is held.  also: one more disk to mirror to, or NULL */
int snapshot_make(struct meta *m, struct log_disk *also, struct ckpt *ret);

/* keeper.c */
void *keeper_main(void *meta);
/* in the turn: the last step of a disk that joins the log */
void join_finish(struct meta *m);

#endif
