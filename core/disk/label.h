/* SPDX-License-Identifier: Apache-2.0 */
/* The label of a disk: docs/design/format.md section 2.1. */
#ifndef DISK_LABEL_H
#define DISK_LABEL_H

#include <base/buf.h>
#include <base/uuid.h>
#include <dynfs/os.h>

#define LABEL_FILE       "dynfs.label"
#define LABEL_SLOT_BYTES (128u << 10)
#define LABEL_NAME_MAX   64u
#define LABEL_STORE_MAX  4096u

#define DISKS_MAX  1024u /* members of a pool, removed ones included */
#define INSYNC_MAX 16u   /* disks that hold the log */

/* Three lists of names; see format.md section 1. */
struct features {
	char **compat, **ro_compat, **incompat; /* owned, NULL-terminated */
};

/*
 * Of labels, incompatible: the pool is being made, nothing was ever stored in
 * it or answered.  It goes with the epoch that makes the pool real.
 */
#define FEATURE_UNFINISHED "unfinished"

void features_done(struct features *f);
int features_base(struct features *ret); /* what this program writes */
int features_copy(const struct features *from, struct features *ret);
/* Is name among the incompatible ones?  Put it there; take it away. */
bool features_need(const struct features *f, const char *name);
int features_require(struct features *f, const char *name);
void features_release(struct features *f, const char *name);
void features_put(struct buf *b, const struct features *f);
int features_get(struct rd *r, struct features *ret);
/*
 * 0: may be opened for writing; -EROFS: only for reading; -EOPNOTSUPP: not
 * at all.  Both failures name the feature and what (a path) carries it.
 */
int features_check(const struct features *f, const char *what);
/* The same for something of which this program knows nothing at all. */
int features_check_strange(const struct features *f, const char *what);

enum member_state {
	MEMBER_ACTIVE = 1,
	MEMBER_FAILED,
	MEMBER_REMOVED,
	MEMBER_DRAINING,
};
#define MEMBER_STORES 1u /* role: has a store */
#define MEMBER_LOGS   2u /* role: may hold the log */

struct member_tag {
	char *key, *value; /* owned */
};

struct member {
	uint32_t id;
	struct uuid disk;
	uint8_t state; /* enum member_state */
	uint8_t role;  /* MEMBER_* bits */
	uint64_t limit_bytes;
	char *path; /* owned; absolute or empty; a hint */
	struct member_tag *tags;
	uint32_t n_tags;
};

struct label {
	uint64_t sequence;
	struct features features;
	struct uuid pool, history;
	char *pool_name; /* owned */
	uint8_t name_key[16];
	uint32_t extent_bytes;
	int64_t created_ns;
	struct uuid disk;
	uint32_t disk_id;
	uint64_t promised; /* this disk took part in proposals up to here */
	uint64_t epoch, epoch_bits;
	char *store;      /* owned: plugin and its FORMAT options */
	uint32_t *insync; /* owned: disk ids */
	uint32_t n_insync;
	uint32_t *before; /* owned: ids of the voters of the epoch before */
	uint32_t n_before;
	struct member *members; /* owned */
	uint32_t n_members;
};

void label_done(struct label *l);
int label_copy(const struct label *from, struct label *ret);
/* NULL: no member of that number.  Borrowed from l. */
struct member *label_member(const struct label *l, uint32_t id);
/* Votes on epochs: active or draining. */
bool member_votes(const struct member *m);
void member_done(struct member *m);
int member_copy(const struct member *from, struct member *ret);

/*
 * The newer valid slot of dir/dynfs.label.  -ENOENT: no label; -EUCLEAN: one
 * is there and neither half is valid; -EOPNOTSUPP: made by a newer program.
 * ret_halves (may be NULL): how many of the two were valid; the next write
 * goes to the one that is not.
 */
int label_read(const struct dynfs_os *os, const char *dir, struct label *ret,
	       unsigned *ret_halves);

/*
 * To the older slot, with l->sequence raised by one, synced.  After an error
 * the disk has the label from before, or this one, and l is as it was.
 * Never makes the file: where a disk is not mounted there must be no label.
 */
int label_write(const struct dynfs_os *os, const char *dir, struct label *l);

/* Make dir/dynfs.label, both halves, durably; -EEXIST when there is one. */
int label_create(const struct dynfs_os *os, const char *dir, struct label *l);
/* The same, and the file stays open and locked. */
int label_create_fd(const struct dynfs_os *os, const char *dir, struct label *l,
		    int *ret_fd);
/* Both halves of an open label file anew, its room, its name. */
int label_fill_fd(const struct dynfs_os *os, int fd, const char *dir,
		  struct label *l);

/* The same on an open label file; dir is for messages. */
int label_read_fd(const struct dynfs_os *os, int fd, const char *dir,
		  struct label *ret, unsigned *ret_halves);
int label_write_fd(const struct dynfs_os *os, int fd, const char *dir,
		   struct label *l);

/*
 * The bytes of one slot.  Encode: -E2BIG when it does not fit.  Decode:
 * -EUCLEAN for what is not a label, -EOPNOTSUPP for one of a newer program.
 */
int label_encode(const struct label *l, struct buf *out);
int label_decode(const void *data, size_t len, struct label *ret);

#endif
