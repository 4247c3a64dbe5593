/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the disk layer share. */
#ifndef DISK_PRIVATE_H
#define DISK_PRIVATE_H

#include <base/list.h>
#include <disk/disk.h>
#include <dynfs/os.h>
#include <pthread.h>

#define DISK_AREA    "disk" /* of log lines */
#define DISK_STORE   "store"
#define DISK_BALLAST "ballast"
#define DISK_LOCK    "dynfs.lock"

/* A disk and what only this layer sees of it. */
struct disk_in {
	struct disk pub; /* first */
	struct disks *set;
	int fd;              /* of its label, locked; -1: not here */
	bool signed_here;    /* dynfs.lock names us */
	struct label label;  /* what its newer half says; under change */
	uint64_t room_bytes; /* kept for log and index, see store_limit() */
	atomic_uint_fast64_t below_at_ns, below_free; /* see space.c */
	atomic_uint_fast64_t last_total, last_free;   /* likewise */
	struct dynfs_os os;                           /* lent to the store */
	atomic_uint inside;                           /* its calls now */
	pthread_mutex_t open_lock;                    /* guards what follows */
	uint64_t *open; /* a bit for each handle that it has */
	size_t n_open_words;
	pthread_mutex_t sync_lock; /* guards what follows */
	uint64_t durable_end;      /* tokens below have had a good sync */
	bool sync_failed;
};

static inline struct disk_in *disk_in(struct disk *k)
{
	return (struct disk_in *)(void *)k;
}

static inline const struct disk_in *disk_in_const(const struct disk *k)
{
	return (const struct disk_in *)(const void *)k;
}

/* A label that was in force; readers may hold on to it until the end. */
struct label_version {
	struct label label; /* first */
	struct label_version *older;
};

/* How stores are made: a copy of what the caller lent. */
struct store_kind {
	char *plugin;
	struct reg_setting *settings;
	char **strings; /* what settings point to: three each */
	uint32_t n;
};

struct disks {
	const struct dynfs_os *os;
	struct reg *reg;
	struct tpool *io;
	struct store_kind kind;
	char *avoid_path; /* owned, may be NULL */
	_Atomic(struct label_version *) label;
	atomic_bool readonly;
	atomic_uint n;
	struct disk_in *disk[DISKS_MAX]; /* the first n; never changed */

	/* One change of epoch or membership at a time; guards what follows. */
	pthread_mutex_t change;
	struct label next; /* what the next epoch starts from */
	bool in_force;     /* the label's epoch is known to be */
	bool rollback;     /* the next epoch begins another history */
	uint64_t seen;     /* highest epoch or promise seen */
	bool said_shared;  /* see disks_warn_shared() */
	char **words;      /* of domains and tiers; owned */
	uint32_t n_words;
};

/* ---- paths.c --------------------------------------------------------- */

struct dir_id {
	uint64_t dev, ino;
};

int path_dir_id(const struct dynfs_os *os, const char *path,
		struct dir_id *ret);
/* The index of the first of n directories that path is in or is; -1. */
int disk_path_inside(const struct dynfs_os *os, const char *path,
		     const struct dir_id *dirs, uint32_t n);
/* 0, or -ENOTEMPTY (or an error) with a text; lost+found does not count. */
int path_must_be_empty(const struct dynfs_os *os, const char *path);
/* Everything below path but lost+found, as far as it goes. */
void path_clear(const struct dynfs_os *os, const char *path);
/* A file, or a directory with all in it, as far as it goes. */
void path_remove(const struct dynfs_os *os, const char *path);
/* The folder that path is in; malloc'd. */
char *disk_path_parent(const char *path);
/* Several disks, none inside another or in avoid (NULL: no such place). */
int path_check_nesting(const struct dynfs_os *os, const char *const *paths,
		       uint32_t n, const char *avoid);
/* The same with what path_dir_id() said of each. */
int path_check_dirs(const struct dynfs_os *os, const char *const *paths,
		    const struct dir_id *dirs, uint32_t n, const char *avoid);

/* ---- probe.c --------------------------------------------------------- */

/* A directory with a label that we hold. */
struct found {
	const struct disks_entry *entry; /* NULL: by a member's hint */
	char *path;
	struct dir_id at;
	int fd;
	struct label label;
};

void found_done(const struct dynfs_os *os, struct found *f);
/*
 * 0; -ENOENT: no directory; -ENOMEDIUM: a directory without a label (also a
 * disk that is not mounted); -EUCLEAN, -EIO and the like: a label that can
 * not be read; -EBUSY: held by another process; -EROFS: has a feature with
 * which it may only be read; others are for the caller to pass on.  All with a text.
 */
int found_probe(const struct dynfs_os *os, const char *path, bool readonly,
		struct found *ret);
/* The handle of the label, locked; errors as below. */
int found_lock(const struct dynfs_os *os, const char *path, bool readonly);
/* Whose the disk is, for the next process that wants it. */
void found_sign(const struct dynfs_os *os, const char *path);
void found_unsign(const struct dynfs_os *os, const char *path);

/* ---- newest.c -------------------------------------------------------- */

struct newest {
	const struct found *found; /* borrowed: whose label it is */
	bool ambiguous;            /* another of the same epoch may be it */
	bool in_force;             /* seen on enough disks */
	bool quorum;               /* enough disks here to write */
};

void newest_pick(const struct found *found, uint32_t n, struct newest *ret);
/* Ids of those who vote; malloc'd. */
int label_voters(const struct label *l, uint32_t **ret, uint32_t *ret_n);
/* More than half of ids are among have (n_have, in any order). */
bool is_majority(const uint32_t *ids, uint32_t n, const uint32_t *have,
		 uint32_t n_have);
/*
 * What a return to this state trusts: of the disks found, those with a log
 * that the newest label which names any of them calls whole.
 */
int rollback_insync(const struct found *found, uint32_t n, uint32_t **ret,
		    uint32_t *ret_n);

/* ---- find.c ---------------------------------------------------------- */

/* An entry of the configuration that is no disk we could read. */
struct absent {
	const struct disks_entry *entry;
	int err;
	char *why; /* owned */
};

struct opening {
	const struct disks_how *how;
	struct found *found; /* never moves; room for all */
	uint32_t n, max;
	struct absent *absent;
	uint32_t n_absent;
	struct newest newest;
	bool rollback;
};

void opening_done(struct opening *o);
/* What the configuration names, into found and absent. */
int opening_entries(struct opening *o);
/* All members that are here and nothing else; the newest label. */
int opening_settle(struct opening *o);
/* NULL: it is not here. */
struct found *opening_member(const struct opening *o, const struct member *m);

/* ---- stores.c -------------------------------------------------------- */

int store_kind_copy(const struct disks_how *how, struct store_kind *ret);
void store_kind_done(struct store_kind *k);
/* How many bytes of a disk with that role are kept for log and index. */
uint64_t store_room(uint8_t role, uint64_t limit_bytes, uint64_t device_bytes);
uint64_t store_limit(uint64_t limit_bytes, uint64_t device_bytes,
		     uint64_t room_bytes);
/* An empty store in dir/store; what to write in the label; malloc'd. */
int store_make(const struct dynfs_os *os, struct reg *reg,
	       const struct store_kind *kind, const char *dir, uint8_t role,
	       uint64_t limit_bytes, uint32_t extent_bytes, char **ret_spec);
/*
 * Opens the store of a disk that is here.  -EINVAL and missing plugins fail;
 * a store that is damaged or can not be read makes the disk DISK_MISSING.
 */
int store_open(struct disks *d, struct disk_in *k);
void store_close(struct disk_in *k);

/* ---- create.c -------------------------------------------------------- */

/* What is done to a directory, to be taken back. */
struct prepared {
	const char *path;
	bool made_dir;
	bool touched;
	char *store; /* for the label; owned */
};

/* The directory is there, or made. */
int prepare_path(const struct dynfs_os *os, const char *path,
		 struct prepared *ret);
/* And there is nothing in it. */
int prepare_dir(const struct dynfs_os *os, const char *path,
		struct prepared *ret);
int prepare_disk(const struct disks_how *how, const struct store_kind *kind,
		 const struct disks_entry *e, struct prepared *p);
void prepare_undo(const struct dynfs_os *os, struct prepared *p);
void prepare_done(struct prepared *p);
/* A member as the entry wants it, with a new uuid. */
int member_of_entry(const struct dynfs_os *os, const struct disks_entry *e,
		    uint32_t id, struct member *ret);
int entry_check(const struct disks_entry *e);
/* The first half of a label that this program could not read back. */
int label_check(const struct label *l);

/* ---- claim.c --------------------------------------------------------- */

/* A directory that a new pool takes. */
struct claim {
	struct prepared p;
	int fd; /* of its label, locked; -1: it has none yet */
	/* an earlier attempt got as far as this: */
	bool labelled; /* was is valid */
	bool full;     /* there is more than a label */
	struct label was;
};

/*
 * Is it empty, or left behind by a pool that was never finished?  -ENOTEMPTY,
 * -EEXIST (part of a pool), -EBUSY and others say what is in the way.
 */
int claim_dir(const struct dynfs_os *os, const char *path, struct claim *ret);
/* What is full may go: all disks of its pool are among them. */
int claims_check(const struct claim *c, uint32_t n);
/* Everything but the label is gone, durably. */
int claim_clear(const struct dynfs_os *os, struct claim *c);
/* Its label is l; the file stays locked. */
int claim_label(const struct dynfs_os *os, struct claim *c, struct label *l);
void claims_undo(const struct dynfs_os *os, struct claim *c, uint32_t n);
void claim_done(const struct dynfs_os *os, struct claim *c);

/* ---- set.c ----------------------------------------------------------- */

/* The disk of a member; f (NULL: it is missing) is taken over. */
int disk_in_new(struct disks *d, const struct member *m, struct found *f,
		struct disk_in **ret);
void disk_in_free(struct disk_in *k);
/* Opens the store of one that is here. */
int disk_in_start(struct disk_in *k);
/* From here on everybody sees it; in the order of ids. */
int disks_publish(struct disks *d, struct disk_in *k);
/* Under change: domain and tier from the tags of the label. */
void disks_refresh_tags(struct disks *d);
/* Under change: l (taken over) is what readers see from here on. */
int disks_show_label(struct disks *d, struct label *l);

/* ---- io.c ------------------------------------------------------------ */

/* What a write failed with says that the disk can not take any. */
bool disk_is_at_fault(int r);

/* ---- diskos.c -------------------------------------------------------- */

/* Makes k->os; k->set is there. */
void disk_os_init(struct disk_in *k);
void disk_os_done(struct disk_in *k);
/*
 * Under change: k was given up.  Waits, but not for ever, until its store is
 * out of calls; all that is open on it is closed then, or when the last of them
 * returns.
 */
void disk_os_leave(struct disk_in *k);

/* ---- epoch.c --------------------------------------------------------- */

/* A member of the next epoch that has no label yet. */
struct fresh {
	uint32_t id;
	struct uuid disk;
	const char *path, *store;
};

/*
 * Under change: make d->next, with in-sync set, members and tags as they
 * are in it, the label in force; fresh may be NULL.  -EROFS: no majority, the
 * set is read-only from here on; other errors changed nothing in force.
 */
int epoch_make(struct disks *d, const struct fresh *fresh);

#endif
