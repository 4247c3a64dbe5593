/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the segment store: what its files share.  The bytes on disk
 * are described in docs/design/store-segment.md.
 *
 * Locks.  store->lock guards every member of struct store and struct seg
 * that does not say otherwise; no system call is made under it.  seg->freeing
 * makes "is it there? then destroy it" one step; it is taken before
 * store->lock, never inside.  list_lock is taken before both.
 */
#ifndef STORE_SEGMENT_H
#define STORE_SEGMENT_H

#include <dynfs/os.h>
#include <dynfs/store.h>
#include <pthread.h>
#include <stdbool.h>

#include "../common/tokens.h"
#include "../common/whole.h"

#define SEG_PAGE        4096u
#define SEG_UNIT        64u          /* records begin at multiples of it */
#define SEG_ALIGN_FROM  (64u << 10)  /* payloads that start on a page */
#define SEG_NUMBER_MAX  (1ull << 36) /* so that a cursor fits 64 bits */
#define SEG_SIZE_MAX    (1ull << 34) /* 28 bits of units in a place */
#define SEG_HEAD_MAX    ((1u << 24) - 1)
#define SEG_PAYLOAD_MAX ((1ull << 36) - 1)
#define SEG_NAME_MAX    32
#define SEG_BATCH       32 /* operations merged at most */
#define SEG_WHY         96 /* bytes of what a newer store needs */

enum seg_frame_state {
	SEG_FRAME_GOOD,    /* a record of this segment begins here */
	SEG_FRAME_FREED,   /* one did, and was freed */
	SEG_FRAME_ZERO,    /* nothing: a hole or never written */
	SEG_FRAME_GARBAGE, /* anything else */
};

enum seg_rec_state {
	SEG_REC_PENDING,
	SEG_REC_LIVE,
	SEG_REC_DEAD, /* freed: its place is spent */
	SEG_REC_VOID, /* its write failed: nobody was told of the place */
};

/* A record; in an index they are sorted by offset. */
struct seg_rec {
	uint32_t unit; /* offset / SEG_UNIT */
	uint32_t head_len;
	uint64_t payload_len;
	uint64_t epoch, counter;
	uint32_t index;
	uint32_t state; /* enum seg_rec_state; not on disk */
};

struct seg_recs {
	struct seg_rec *v;
	uint32_t n, cap;
	bool partial; /* there may be more: not all could be read */
};

struct seg_super {
	uint64_t sequence;
	uint8_t uuid[16];
	uint64_t next_number; /* none at or above was ever used */
	uint64_t fragments;
};

struct seg_footer {
	uint32_t n;
	uint64_t index_off;
	uint64_t packed_bytes; /* in records below SEG_ALIGN_FROM */
};

struct seg {
	uint64_t number;
	uint32_t refs;    /* the table holds one, each user one */
	int fd;           /* -1: not open */
	uint32_t fd_pins; /* users of fd right now */
	struct seg *lru_prev, *lru_next; /* of those with an fd */
	struct seg *dirty_next;
	struct seg *sync_next; /* the syncing thread's */
	bool on_dirty;         /* in the list of what sync() must look at */
	bool data_dirty;       /* written since the last good sync: keep fd */
	bool open_name;        /* N.open, else N.seg */
	bool ours;             /* made since open() */
	bool append;           /* the tail may still move */
	bool sealing;          /* becomes sealed when n_flight is 0 */
	bool sealed;           /* index and footer are there */
	bool bad;              /* a sync failed: unsynced content is lost */
	bool gone;             /* unlinked */
	bool live_known;       /* n_live, live_bytes are exact */
	uint32_t n_flight;
	uint32_t n_live;
	uint64_t live_bytes;
	uint64_t size; /* of the file */
	uint64_t tail; /* end of the last record */
	uint64_t packed_bytes;
	uint64_t alloc_bytes;
	struct seg_recs recs; /* of a segment that is not sealed */
	pthread_mutex_t freeing;
	/* Freed, not punched out yet; freeing guards it; 0, 0: nothing. */
	uint64_t punch_from, punch_to;
};

struct seg_config {
	uint64_t segment_size;
	int64_t open_segments;
	int64_t open_files;
};

struct store {
	const struct dynfs_host *host;
	const struct dynfs_os *os;
	struct seg_config config;
	char *path;
	bool rdonly;
	int super_fd;
	struct seg_super super;
	uint64_t limit_bytes;  /* UINT64_MAX: none */
	uint64_t segment_size; /* of new ones */
	uint64_t max_record;   /* bytes of the largest record */

	pthread_mutex_t lock;
	pthread_cond_t changed; /* a segment was made or sealed, a sync ended */
	struct seg **segs;      /* sorted by number */
	uint32_t n_segs, cap_segs;
	struct seg *slot[16]; /* open for append */
	bool creating;
	uint32_t n_sealing;
	uint64_t next_number;
	struct seg lru; /* ring; newest after it */
	uint32_t n_fds;
	uint64_t alloc_bytes; /* of all segments */
	uint64_t fragments;
	uint64_t punch_bytes; /* that punching will give back */

	struct seg *dirty;
	bool dir_dirty;
	bool unsure; /* what open() found may be in caches only */
	bool syncing;
	uint64_t done_seq; /* one more with each batch of completions */
	uint64_t durable_seq;
	struct lost_tokens lost;

	pthread_mutex_t list_lock; /* guards what follows */
	uint64_t list_number;
	struct seg_recs list_recs;
};

/* format.c: bytes */
uint64_t seg_rec_len(uint32_t head_len, uint64_t payload_len);
uint64_t seg_payload_off(const struct seg_rec *r); /* within the segment */
uint64_t seg_index_len(uint32_t n); /* index and footer of n records */
uint64_t seg_seed(const struct store *s, uint64_t number);
void seg_frame_put(uint8_t f[SEG_UNIT], const struct seg_rec *r,
		   uint64_t number, uint64_t seed);
enum seg_frame_state seg_frame_get(const uint8_t f[SEG_UNIT],
				   struct seg_rec *ret, uint64_t number,
				   uint64_t off, uint64_t seed);
extern const uint8_t seg_tombstone[4];
#define SEG_TOMBSTONE_AT 52u
void seg_header_put(uint8_t page[SEG_PAGE], const struct store *s,
		    uint64_t number, uint64_t size);
/*
 * 1: good; 0: not one of this number (not a superblock); -EOPNOTSUPP: of a
 * newer program, and why says what it needs.
 */
int seg_header_get(const uint8_t page[SEG_PAGE], uint64_t number,
		   uint8_t uuid[16], bool rdonly, char why[SEG_WHY]);
void seg_index_put(uint8_t *buf, const struct seg_rec *v, uint32_t n,
		   uint64_t index_off, uint64_t packed, uint64_t number,
		   uint64_t seed);
bool seg_footer_get(const uint8_t f[SEG_UNIT], struct seg_footer *ret,
		    uint64_t number, uint64_t file_size, uint64_t seed);
bool seg_index_get(const uint8_t *buf, const uint8_t footer[SEG_UNIT],
		   const struct seg_footer *f, struct seg_rec *out,
		   uint64_t seed);
void seg_super_put(uint8_t page[SEG_PAGE], const struct seg_super *super);
int seg_super_get(const uint8_t page[SEG_PAGE], struct seg_super *ret,
		  bool rdonly, char why[SEG_WHY]);
void seg_place_put(struct dynfs_place *p, uint64_t number,
		   const struct seg_rec *r);
void seg_place_get(const struct dynfs_place *p, uint64_t *ret_number,
		   struct seg_rec *ret);

/* table.c: segments, their handles, whole reads and writes */
struct seg *seg_new(struct store *s, uint64_t number);
void seg_ref(struct seg *g);                            /* under the lock */
void seg_unref(struct store *s, struct seg *g);         /* not under it */
int seg_table_add(struct store *s, struct seg *g);      /* under the lock */
struct seg *seg_find(struct store *s, uint64_t number); /* with a ref */
struct seg *seg_find_from(struct store *s, uint64_t number); /* >= */
void seg_path(const struct store *s, uint64_t number, bool open_name, char *out,
	      size_t len);
/* The handle, opened if need be; pinned until seg_fd_put(). */
int seg_fd_get(struct store *s, struct seg *g, int *ret_fd);
void seg_fd_put(struct store *s, struct seg *g);
/* Under the lock; a handle to close after it, or -1. */
int seg_fd_adopt(struct store *s, struct seg *g, int fd);
int seg_fd_drop(struct store *s, struct seg *g);           /* likewise */
void seg_dirty(struct store *s, struct seg *g, bool data); /* under the lock */
void seg_alloc_set(struct store *s, struct seg *g, uint64_t bytes); /* same */
void seg_alloc_refresh(struct store *s, struct seg *g, int fd);
int seg_remove(struct store *s, struct seg *g); /* unlink, out of the table */
int seg_recs_add(struct store *s, struct seg_recs *recs,
		 const struct seg_rec *r);
struct seg_rec *seg_recs_find(const struct seg_recs *recs, uint32_t unit);
void seg_recs_free(struct store *s, struct seg_recs *recs);

/* append.c, seal.c */
void segment_write(struct store *s, struct dynfs_store_op *const *ops,
		   uint32_t n);
int seg_create(struct store *s, uint64_t need, struct seg **ret);
/*
 * n_flight is 0 and sealing was set by the caller.  When no index can be
 * written, the records are known all the same while the store is open, and a
 * scan finds them later.
 */
void seg_seal(struct store *s, struct seg *g);

/* read.c */
/* Every op gets its result and its done(). */
void segment_read(struct store *s, struct dynfs_store_op *const *ops,
		  uint32_t n);
/* The segment of a place, with a reference, if the place can be one. */
struct seg *seg_of_place(struct store *s, const struct dynfs_place *place,
			 struct seg_rec *ret);
bool seg_rec_matches(const struct seg_rec *a, const struct seg_rec *place,
		     const struct dynfs_fragment_id *id);

/* free.c */
/* Give back what was freed so far; removes what holds nothing any more. */
void seg_punch(struct store *s, struct seg *g);
void seg_punch_all(struct store *s);
void seg_stretch_punch(struct store *s, struct seg *g); /* g->freeing held */
void seg_stretch_drop(struct store *s, struct seg *g);  /* g->freeing held */
void segment_free(struct store *s, struct dynfs_store_op *const *ops,
		  uint32_t n);

/* scan.c */
/* All records of g, of its index or by looking; states are checked. */
int seg_load(struct store *s, struct seg *g, struct seg_recs *ret);
/* ret_tail: after the last byte that is not zero */
int seg_scan(struct store *s, struct seg *g, int fd, struct seg_recs *ret,
	     uint64_t *ret_tail);
uint32_t seg_count(struct store *s, struct seg *g);
int seg_learn_live(struct store *s, struct seg *g);
int segment_list(void *self, uint64_t *cursor, struct dynfs_store_entry *out,
		 uint32_t n, uint32_t *ret_n);

/* sync.c */
uint64_t segment_mark(void *self);
int segment_sync(void *self, uint64_t token);

/* open.c */
int segment_open(void *self, const struct dynfs_store_open *how);
void segment_close(void *self);
bool seg_name_parse(const char *name, uint64_t *ret, bool *ret_open);

/* super.c */
int seg_super_create(struct store *s);
/* found: it was there before us, and may be in caches only */
int seg_super_open(struct store *s, bool found);
int seg_super_write(struct store *s); /* the next sequence; synced */
int seg_number_take(struct store *s, uint64_t *ret);

#endif
