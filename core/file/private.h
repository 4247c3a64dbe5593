/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of file/ share; nobody else includes it. */
#ifndef FILE_PRIVATE_H
#define FILE_PRIVATE_H

#include <file/file.h>

#define CHUNK_SLICES_MAX 64u   /* more are compacted into one */
#define GONE_MOST        4096u /* to be reclaimed, in memory */
#define RESERVE_BLOCK    4096u /* room is reserved in whole ones */
#define DAMAGED_KEPT     64u
#define SEQUENCE_FIRST   1u /* of a slice */

/* ---- memory of runs, space.c ----------------------------------------- */

#define SPACE_CLASSES 8u /* 512 bytes to 64 KiB */
#define ROOMS         4u /* policies whose room is remembered */

struct slab;

struct space {
	uint8_t *data;     /* owned, aligned to 64 */
	uint32_t cap;      /* of data */
	struct slab *slab; /* it is a piece of; NULL: a buffer of its own */
};

/* ---- runs, runs.c ---------------------------------------------------- */

/*
 * Bytes of one chunk that are not in a slice yet.  Runs that can still change
 * never overlap within a chunk, and touch each other only where an edit cut one
 * in two or there was no memory to join them; one that is being flushed does
 * not change, and newer runs may lie over it.
 */
struct run {
	struct list link;     /* of the content, oldest first */
	struct list in_chunk; /* of the chunk, oldest first */
	struct chunk *chunk;
	uint32_t off, len; /* in the chunk */
	bool flushing;
	bool moves;       /* all of its bytes are in slices, too */
	uint32_t counted; /* bytes of it in content.pending */
	uint64_t born_ns;
	uint64_t sequence; /* of its slice, while flushing */
	struct space at;   /* owned */
};

/* ---- slices, map.c --------------------------------------------------- */

struct slice {
	uint64_t sequence;
	uint8_t kind; /* enum slice_kind */
	uint32_t off, len;
	struct extent_id extent;
	uint32_t extent_off;
	uint8_t *bytes; /* INLINE: owned */
};

/* A part of a slice that nothing hides.  Sorted, never overlapping. */
struct shown {
	uint32_t off, len;
	uint32_t slice; /* index of the map's slices */
};

struct map {
	struct slice *slices; /* owned, by sequence */
	uint32_t n_slices, cap_slices;
	struct shown *shown; /* owned */
	uint32_t n_shown, cap_shown;
	bool loaded;
};

struct chunk {
	struct hnode node; /* of the content */
	uint64_t number;
	uint64_t weight; /* bytes of memory that are accounted for */
	struct map map;
	struct list runs; /* struct run */
	bool rewritten;   /* its slices are in runs, on their way */
};

void map_done(struct map *m);
/* Takes over bytes (also on failure).  Sequences only grow. */
int map_add(struct map *m, const struct slice *s);
/* What counts as stored; what of it only keeps room, or is in the metadata. */
struct amount {
	uint64_t stored, reserved, inlined;
};
/* Of what is shown. */
struct amount map_amount(const struct map *m);
/* Slices that would be fewer if the chunk were written anew. */
uint32_t map_pieces(const struct map *m);
/* Is any part of slice i shown? */
bool map_shows(const struct map *m, uint32_t i);
/* Forget slices of which nothing is shown. */
void map_prune(struct map *m);
bool map_has_inline(const struct map *m);
/* Does slice i lie over anything of a slice that stays? */
bool map_hides(const struct map *m, uint32_t i);
/* Nothing of a slice is shown any more; it lies over nothing. */
void map_unshow(struct map *m, uint32_t slice);

/* ---- both, span.c ---------------------------------------------------- */

/* What is at some place of a chunk, and up to where it is that. */
struct span {
	uint32_t end;
	bool run;     /* dirty bytes lie over it */
	uint8_t kind; /* of the slice that is shown; 0: none is */
};

/* k: whose runs; NULL: none. */
struct span chunk_span(const struct map *m, const struct chunk *k, uint32_t off,
		       uint32_t chunk_bytes);

/* ---- content of an inode, under inode.io ----------------------------- */

/*
 * What a cut left to be removed: slices of chunk and of later ones with a
 * sequence below are dead, as the inode's intent record says.
 */
struct cut_left {
	bool known;
	bool counted;          /* in what the inode says is stored */
	uint64_t chunk, below; /* below 0: nothing */
	uint64_t at;           /* chunks before it were looked at */
	uint32_t damaged;      /* of these; they stay */
};

static inline bool cut_hides(const struct cut_left *cut, uint64_t chunk,
			     uint64_t sequence)
{
	return chunk >= cut->chunk && sequence < cut->below;
}

struct content {
	struct hmap chunks;       /* struct chunk; map_lock to look or add */
	pthread_mutex_t map_lock; /* readers load maps under it */
	struct list runs;         /* struct run, oldest first */
	/* capacity of the runs; the queue looks at it without a lock */
	atomic_uint_fast64_t run_bytes;
	/* what the runs will add to what is stored; getattr asks for both */
	atomic_uint_fast64_t pending;
	atomic_bool guess;  /* some lie over slices: it will be less */
	uint64_t map_bytes; /* weight of the chunks */
	uint32_t n_runs, n_chunks;
	bool has_inline;       /* synced inline slices wait to be moved */
	struct cut_left cut;   /* flush or map_lock to look, both to set */
	unsigned failures;     /* flushes in a row that failed */
	uint64_t failing_ns;   /* since when */
	atomic_int trouble;    /* of the last; 0: what was written is stored */
	pthread_mutex_t flush; /* one flush at a time; before inode.io */
};

/* ---- the whole ------------------------------------------------------- */

struct spare { /* memory to use again, chained through itself */
	struct spare *next;
};

#define KNOWN_SHARDS 16u

struct known_row;

struct known { /* of known.c */
	pthread_mutex_t lock;
	struct known_row *rows; /* owned */
	uint32_t cap, n;
	uint64_t uncounted; /* references that found no room */
};

struct files {
	struct files_how how;

	pthread_mutex_t lock; /* the table, refs, lists of inodes */
	struct hmap inodes;
	struct list idle;   /* struct inode.lru, refs 0, oldest first */
	struct list stale;  /* the same, not stored as they are */
	struct list mapped; /* struct holder: has maps, oldest load first */
	uint64_t n_inodes, n_stale, stale_ns;
	uint64_t idle_bytes, idle_limit;
	atomic_bool asked; /* something, since the last look */

	struct known known[KNOWN_SHARDS];
	uint64_t known_bytes; /* what they may take */

	pthread_mutex_t reserved_lock; /* the two below; below all */
	struct policy_reserve {
		uint32_t policy; /* as inodes have it: 0: the default */
		uint64_t bytes;
	} * reserves; /* owned */
	uint32_t n_reserves;
	/* the sum of all: who writes looks here first, without the lock */
	atomic_uint_fast64_t reserved_bytes;
	atomic_uint_fast64_t inlined_bytes; /* of that: of all inodes */
	atomic_uint_fast64_t claims; /* so many there were, under dirty_lock */

	atomic_uint_fast64_t map_bytes; /* of all contents */
	uint64_t map_limit;

	pthread_mutex_t ino_lock; /* numbers from a range */
	uint64_t next_ino, end_ino;

	pthread_mutex_t dirty_lock; /* all below */
	pthread_cond_t work;        /* for the workers */
	pthread_cond_t room;        /* for writers that wait */
	struct list ready;          /* struct dirty: a chunk is full */
	struct list dirty;          /* struct dirty: oldest first */
	uint64_t dirty_bytes, dirty_limit;
	const struct policy *dearest; /* that anything dirty may have */
	bool stop, abandon, pressure;
	struct list cuts; /* struct holder.cut: to be drained, held */
	uint32_t n_cuts;  /* and those that just are */
	bool cut_first;   /* before what is to be reclaimed */
	struct list gone; /* struct inode.lru: to be reclaimed, held */
	uint32_t n_gone;  /* and those that just are */
	bool gone_more;   /* there are others, in the metadata only */
	bool gone_pass;   /* they are looked for, from the cursor on */
	uint64_t gone_cursor;
	uint64_t retry_ns; /* when those that failed are looked for; 0: none */
	uint64_t retried_ns, retry_pause_ns; /* the last time, and after what */
	uint64_t damaged[DAMAGED_KEPT];      /* inodes of which it was said */
	unsigned next_damaged;
	uint64_t quiet_ns; /* since when there was nothing to do */
	bool rested;
	struct list changed;    /* struct holder: a frontend is to be told */
	pthread_cond_t to_tell; /* there are such, or nobody adds any more */
	bool no_more_changes;

	pthread_mutex_t spare_lock; /* space.c's: all below */
	struct spare *spares;       /* whole buffers */
	unsigned n_spares, n_buffers, most_buffers;
	struct list slabs[SPACE_CLASSES]; /* those with a free piece */

	pthread_t *threads; /* n_threads of them */
	unsigned n_threads;
	pthread_t teller; /* changed.c's */
	bool telling;

	pthread_mutex_t room_lock; /* the two below */
	struct policy_room {
		const struct policy *policy;
		uint64_t checked_ns;
		uint64_t bytes; /* of content that the disks take in its form */
	} rooms[ROOMS]; /* the default policy's, and those asked for last */
	unsigned next_room;
};

/* An inode's place in the lists of work; it holds a reference. */
struct dirty {
	struct list link;
	struct inode *in;
	bool queued, ready;
	bool failed; /* not again at once */
	uint64_t since_ns;
};

/* The content and what belongs to it, one allocation. */
struct holder {
	struct content c;
	struct dirty dirty;
	struct list mapped;  /* of files, under its lock */
	struct list changed; /* of files, under dirty_lock: holds a reference */
	struct list cut;     /* of files, under dirty_lock: holds one, too */
};

/* What could not be stored is, or is not wanted any more. */
static inline void trouble_over(struct content *c)
{
	c->failures = 0;
	atomic_store(&c->trouble, 0);
}

static inline struct holder *holder_of(struct content *c)
{
	return container_of(c, struct holder, c);
}

/* So that memory is kept that will be used again; see work_rest(). */
static inline void files_asked(struct files *f)
{
	/* who only finds it set does not take it from the others' caches */
	if (!atomic_load_explicit(&f->asked, memory_order_relaxed))
		atomic_store_explicit(&f->asked, true, memory_order_relaxed);
}

/* inode.c */
int content_get(struct inode *in, struct content **ret);
/* As content_get(), with no lock held. */
int content_ready(struct inode *in);
/* NULL: it never had any in memory. */
static inline struct content *content_of(struct inode *in)
{
	return __atomic_load_n(&in->content, __ATOMIC_ACQUIRE);
}
void count_gone(struct inode *in, struct batch *b);
/* What an inode's number of a policy means today. */
const struct policy *policy_of_id(struct extents *x, uint32_t id);
/* inode_policy(), with no lock held. */
const struct policy *policy_of(struct inode *in);
/* The inode counts what is now in the place of what was; lock is held. */
void amount_move(struct inode *in, struct amount was, struct amount is);
/* files.lock is held, for all three */
struct inode *inode_find(struct files *f, uint64_t ino);
void inode_use(struct files *f, struct inode *in);
struct content *content_detach(struct inode *in);
void inode_hold(struct inode *in); /* one more reference */
/* It is in no table any more; its content goes too, runs and all. */
void inode_destroy(struct inode *in);
/* What a commit that fails must give back; lock is held until it has. */
struct before {
	struct inode_rec rec;
	struct inode_counted counted;
	uint64_t disk_size, inlined;
	bool fresh, dirty_attr;
};
struct before inode_before(const struct inode *in);
void inode_undo(struct inode *in, const struct before *was);
/*
 * One batch that takes slices away: what they refer to is asked for, and lock
 * is held, from the one until the other.  r: what became of the batch; when it
 * is an error the inode is again as it was.
 */
struct before change_begin(struct inode *in);
void change_end(struct inode *in, const struct before *was, int r);
/* rec without counting; lock is held */
void inode_put_record(struct inode *in, struct batch *b);
struct dirty *inode_dirty(struct inode *in);
bool inode_is_dir(struct inode *in); /* takes lock */

/* idle.c: one step of storing what only waits in memory; false: nothing */
bool idle_settle(struct files *f);
/* No name, not open, and nobody knows its number: none can come back. */
bool inode_is_doomed(struct inode *in);
/* Give up the last reference, and reclaim it some other time. */
void idle_leave(struct inode *in);
/* write.c: attributes that no flush has carried */
int settle_attr(struct inode *in);

/* known.c */
enum known_state { KNOWN_NO, KNOWN_YES, KNOWN_MAYBE };
void known_init(struct files *f);
void known_done(struct files *f);
void known_add(struct files *f, uint64_t ino);
/* True: none is left, as far as is known. */
bool known_sub(struct files *f, uint64_t ino, uint64_t n);
enum known_state known_state(struct files *f, uint64_t ino);
uint64_t known_count(struct files *f, uint64_t *ret_bytes);

/* content.c: inode.io is held, for writing unless it says otherwise */
struct row { /* of the index */
	uint64_t chunk;
	struct slice s; /* without bytes */
};

/* -EUCLEAN: damaged, or not within a chunk of a file. */
int row_get(const struct files *f, const void *key, size_t key_len,
	    const void *value, size_t value_len, struct row *ret);
/* The same in two steps: the place and the sequence, then the rest. */
int row_key(const struct files *f, const void *key, size_t key_len,
	    struct row *ret);
int row_value(const struct files *f, const void *value, size_t value_len,
	      struct row *row);
struct chunk *chunk_find(struct content *c, uint64_t number);
int chunk_get(struct content *c, uint64_t number, struct chunk **ret);
/* What c->cut is now; reading is enough. */
int cut_look_up(struct inode *in, struct content *c, struct cut_left *ret);
/* Its map, loaded; reading is enough. */
int chunk_load(struct inode *in, struct content *c, uint64_t number,
	       struct chunk **ret);
/* Into the batch of a drop that has begun; prunes the map. */
int drop_hidden(struct inode *in, struct chunk *k, struct batch *b);
/*
 * One that no run became (so not inline) goes over what is there, and gets its
 * sequence; the inode counts it.  As in drop_hidden(), with inode.lock held.
 */
int slice_put(struct inode *in, struct content *c, struct chunk *k,
	      struct slice *s, struct batch *b);
/* Its map has changed: how much memory is it now? */
void chunk_weigh(struct files *f, struct content *c, struct chunk *k);
void chunk_free(struct files *f, struct content *c, struct chunk *k);
void content_free(struct files *f, struct content *c);
/* No lock is held: maps go until all of them are within their share. */
void maps_trim(struct files *f);

/* space.c */
/* The size that is taken for so many bytes. */
uint32_t space_cap(const struct files *f, uint32_t want);
/* cap: a size that space_cap() gives.  -ENOMEM. */
int space_new(struct files *f, uint32_t cap, struct space *ret);
void space_free(struct files *f, struct space *s); /* zeroes s */
uint64_t space_bytes(struct files *f);             /* in use and kept */

/* runs.c */
/*
 * The bytes lie over what there is; ret_full: the chunk is one full run.
 * born_ns: now, or 0 for old bytes that only move.
 */
int run_write(struct inode *in, struct content *c, struct chunk *k,
	      uint32_t off, const void *data, uint32_t len, uint64_t born_ns,
	      bool *ret_full);
void run_free(struct files *f, struct content *c, struct run *r);
/* Its bytes are what content.pending counts, unless slices have them. */
void run_count(struct content *c, struct run *r, bool in_slices);
/* The first chunk from number on that has runs; UINT64_MAX: none. */
uint64_t runs_next(const struct content *c, uint64_t number);
/* No run of the chunk goes over that place any more.  content.flush is held. */
int run_split(struct files *f, struct content *c, struct chunk *k, uint32_t at);
/* Those that lie in [off, end) go. */
void runs_remove(struct files *f, struct content *c, struct chunk *k,
		 uint32_t off, uint32_t end);
/* Is there what nothing else holds? */
bool runs_matter(const struct content *c);
/* All that waits to be stored; what is lost.  content.flush is held too. */
uint64_t runs_drop(struct files *f, struct content *c);
void run_unflush(struct files *f, struct content *c, struct run *r);
/* Nothing at and beyond off of the chunk is wanted any more. */
void runs_cut(struct files *f, struct content *c, struct chunk *k,
	      uint32_t off);

/* work.c */
int work_start(struct files *f);
void work_stop(struct files *f, bool abandon);
void work_dirty(struct inode *in, bool ready);
void work_gone(struct inode *in);
/* A cut has left something. */
void work_drain(struct inode *in);
void dirty_add(struct files *f, uint64_t bytes);
void dirty_sub(struct files *f, uint64_t bytes);
/*
 * Before any lock: wait until there is memory; -ENOSPC: no room on disks for so
 * many bytes of this file beside what is reserved; -EINTR: nobody waits for the
 * call (or NULL) any more.
 */
int write_admit(struct inode *in, uint64_t bytes,
		const struct dynfs_call *call);
/* The same, and they are reserved from here on, by reserved_add(). */
int reserve_admit(struct inode *in, uint32_t policy, uint64_t bytes,
		  const struct dynfs_call *call);
/* Nobody waits for it any more; NULL: somebody always does. */
bool call_is_gone(const struct dynfs_call *call);

/* changed.c: tell frontends what has changed behind their back */
int changed_start(struct files *f);
/* When nothing adds to it any more. */
void changed_stop(struct files *f);
/* The inode has content, and is held. */
void changed_add(struct inode *in);

/* truncate.c: grow: never shorter */
int file_resize(struct inode *in, uint64_t size, bool grow);

/* reserved.c */
/* So many bytes of content in the form "of" take the room of as many "as". */
uint64_t in_form(uint64_t bytes, const struct policy *of,
		 const struct policy *as);
int reserved_load(struct files *f);
/* -ENOMEM */
int reserved_add(struct files *f, uint32_t policy, uint64_t bytes);
void reserved_sub(struct files *f, uint32_t policy, uint64_t bytes);
/* All of it, in the form of one policy. */
uint64_t reserved_as(struct files *f, const struct policy *as);

/* flush.c */
enum flush_mode {
	FLUSH_FULL, /* up to the newest full run */
	FLUSH_AGED, /* all; inline slices of syncs too */
	FLUSH_SYNC, /* all; small ones inline */
};
/* One inode; content.flush is held. */
int flush_inode(struct inode *in, enum flush_mode mode);
/* Several with small runs share extents; each flush is held. */
int flush_many(struct inode **in, uint32_t n);

/* compact.c */
/*
 * Bring slices back into runs: the inline ones that a sync left, or all of a
 * chunk.  What can not be read stays where it is.
 */
int chunk_rewrite(struct inode *in, struct content *c, struct chunk *k,
		  bool all);
/* Too many slices: they become runs, on their way to be few.  1: they did. */
int chunk_compact(struct inode *in, struct content *c, struct chunk *k);

/* edit.c: content.flush and inode.io are held, the latter alone */
#define EDIT_RANGES 256u
#define EDIT_ROWS   512u /* about as many in a batch */

struct edit {
	struct inode *in;
	struct content *c;
	struct batch batch;
	struct before was;
	struct edit_part {
		struct chunk *k;
		uint32_t off, end;
	} at[EDIT_RANGES]; /* where runs go */
	uint32_t n;
	uint32_t n_runs; /* that go */
	uint32_t n_rows;
};

/* Takes the extents' drop and inode.lock; edit_end() gives them back. */
void edit_begin(struct edit *e, struct inode *in, struct content *c);
/* What is dirty there goes with the commit, or nothing if off is end. */
int edit_range(struct edit *e, struct chunk *k, uint32_t off, uint32_t end);
/* A slice over a part of a range; gets its sequence. */
int edit_put(struct edit *e, struct chunk *k, struct slice *s);
int edit_hole(struct edit *e, struct chunk *k, uint32_t off, uint32_t end);
/* Commits, unless r says that it failed before. */
int edit_end(struct edit *e, int r);
/* After it, if it was good: chunks of too many slices, and of none. */
void edit_trim(const struct edit *e);
static inline bool edit_is_full(const struct edit *e)
{
	return e->n == EDIT_RANGES || e->n_rows >= EDIT_ROWS;
}
/* The first chunk from that number on with slices or runs; UINT64_MAX. */
int chunk_next(struct inode *in, const struct content *c, uint64_t from,
	       uint64_t *ret);

/* drain.c */
#define DRAIN_TURN 4u /* batches */

/* Of whole chunks. */
struct rows {
	struct row *at; /* owned */
	uint32_t n, cap;
	bool more; /* there are others, from chunk next on */
	uint64_t next;
	/* chunks, and rows of none, that are left out as they are damaged */
	uint32_t damaged;
};

/* Some hundred of those from chunk on with a sequence below. */
int rows_find(struct files *f, uint64_t ino, uint64_t chunk, uint64_t below,
	      struct rows *rows);
void rows_done(struct rows *rows);
/*
 * They leave the index with the batch of a drop that has begun.  An error:
 * *ret_chunk (or NULL) is where.
 */
int rows_drop(struct files *f, uint64_t ino, const struct rows *rows,
	      struct batch *b, uint64_t *ret_chunk);
/* What they show, for themselves. */
int rows_amount(const struct rows *rows, struct amount *ret);
/* What the file stores below a chunk; *ret_all: it could be counted. */
int stored_below(struct inode *in, const struct content *c, uint64_t chunk,
		 struct amount *ret, bool *ret_all);
/* That is what is left of a cut. */
void cut_is(struct content *c, const struct cut_left *cut);
/*
 * So many batches of what a cut has left; 1: more; -EUCLEAN: all has gone but
 * for what is damaged.  content.flush is held.
 */
int drain_some(struct inode *in, struct content *c, unsigned batches);
/* Into the log, but damage only once. */
void drain_failed(struct inode *in, const char *what, int r);
int drain_step(struct inode *in); /* a turn of it; no lock is held */
int drain_all(struct inode *in);  /* turn by turn, to the end */
/* By a worker, if there are any; no lock is held. */
int drain_begin(struct inode *in);

/* range.c: bytes of [off, end) that room is reserved for; io is held */
int range_reserved(struct inode *in, uint64_t off, uint64_t end, uint64_t *ret);

/* reclaim.c */
/*
 * One turn; 1: there is more.  Its intent record stays, if it fails: somebody
 * has to ask again.
 */
int reclaim_inode(struct inode *in);
/*
 * Some whose intent is in the metadata, from *cursor on, then 0: all were seen.
 * An error: one of them failed.
 */
int reclaim_more(struct files *f, uint64_t *cursor);

static inline uint64_t chunk_number(const struct files *f, uint64_t off)
{
	return off / f->how.extent_bytes;
}

#endif
