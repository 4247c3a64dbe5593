/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files: inodes in memory, their content, and when it reaches the disks.
 *
 * A write lands in the inode's dirty runs (contiguous bytes of one chunk, in
 * memory, bounded for the whole pool).  A flush turns runs into slices: whole
 * chunks into an extent each, small runs packed into shared extents, tiny ones
 * (and syncs) into inline slices, and commits slices, sizes and extents in one
 * batch.  Flushes of one inode commit in the order of its runs, so that its
 * size on disk never runs ahead of its bytes.  Reads lay dirty runs over
 * slices.
 *
 * Locks, in this order: inode.io, inode.lock, then those of lower modules.
 * Two inodes: by ascending number.
 */
#ifndef FILE_FILE_H
#define FILE_FILE_H

#include <base/errseq.h>
#include <base/hmap.h>
#include <dynfs/frontend.h>
#include <extent/extent.h>
#include <pthread.h>
#include <sys/uio.h>

struct files;

/* One inode in memory; there is never more than one for a number. */
struct inode {
	struct hnode node; /* of files */
	struct list lru;   /* of files, while refs is 0 or it is to go */
	struct files *files;
	uint64_t ino;
	uint32_t refs; /* under files' lock, and stale too */
	bool stale;    /* waits in memory with times that are not stored */
	atomic_uint opens, writers;
	atomic_bool forgotten; /* by the frontend, since it was last known */

	/*
	 * Names below a directory, attributes, xattrs.  Whoever changes rec
	 * holds it; rec.size is the size readers see.
	 */
	pthread_mutex_t lock;
	struct inode_rec rec; /* target owned */
	bool loaded;
	atomic_bool fresh;  /* not in the metadata yet */
	bool dirty_attr;    /* rec is newer than what was committed */
	uint64_t disk_size; /* the size that a commit may write now */
	uint64_t inlined;   /* of stored: syncs put it into the metadata */
	atomic_uint marks;  /* tree's own; 0 when it comes into memory */
	/* tree's own: grows when a change of the names below is committed */
	atomic_uint_fast64_t names;
	/* as inode_record() last counted it; exists: not fresh, not gone */
	struct inode_counted {
		bool exists;
		uint32_t uid, gid, project;
		uint64_t stored, reserved;
		uint32_t policy;
		uint64_t inlined; /* that is to become extents yet */
	} counted;

	/* Content: dirty runs and chunk maps; writers exclude all others. */
	pthread_rwlock_t io;
	struct content *content; /* file/'s own */
	bool gone;               /* its content was taken away for good */
	errseq losses;           /* of bytes that were accepted */
};

struct files_how {
	const struct dynfs_os *os;
	struct meta *meta;
	struct extents *extents;
	uint32_t extent_bytes;
	/*
	 * Half is for dirty runs, an eighth each for chunk maps, for inodes
	 * that nobody uses, for what the frontend knows, and for buffers that
	 * are kept or used in part.
	 */
	uint64_t memory_bytes;
	uint32_t inline_file_bytes; /* files up to this stay inline (512) */
	uint32_t inline_sync_bytes; /* synced runs up to this (16 KiB) */
	uint64_t inline_most_bytes; /* of them, until they have moved */
	uint32_t cut_rows;          /* slices that one batch takes away (512) */
	unsigned n_threads;         /* flush workers */
	uint64_t flush_ns;          /* dirty runs older than this are flushed */
	bool readonly;
	/* Nobody asked for anything for a while: memory may go.  Or NULL. */
	void (*rest)(void *ctx);
	/*
	 * Content is not any more what a frontend was told, for bytes were
	 * lost, or a part of what failed was done.  From a thread that holds no
	 * lock, and that nothing of the files waits for but files_free().  Or
	 * NULL.
	 */
	void (*changed)(void *ctx, uint64_t ino);
	void *ctx; /* of both */
};

int files_new(const struct files_how *how, struct files **ret);
/* Flushes everything, then stops its threads. */
int files_free(struct files *f);
/* Stops without flushing, as a crash would.  For tests. */
void files_abandon(struct files *f);
/* Everything that was written before the call is durable after. */
int files_sync(struct files *f);

/* ---- inodes ---------------------------------------------------------- */

/* -ENOENT: no such inode, or removed; each get wants a put. */
int inode_get(struct files *f, uint64_t ino, struct inode **ret);
/* A new number and generation, held by the caller, not in a batch yet. */
int inode_new(struct files *f, const struct inode_rec *init,
	      struct inode **ret);
void inode_put(struct inode *in);
/*
 * Into the batch: its record as it may stand on disk now, and batch_count()
 * of what changed since the last time: owner, stored bytes, being there at
 * all (an inode is counted until its record is deleted).  lock is held.
 */
void inode_record(struct inode *in, struct batch *b);
/* The batch of inode_record() is not committed: that is what counts. */
void inode_uncount(struct inode *in, const struct inode_counted *was);
void inode_attr(struct inode *in, struct dynfs_attr *ret); /* takes lock */
struct dynfs_time files_now(struct files *f);
const struct policy *inode_policy(struct inode *in);

/*
 * A frontend was told of the inode once more; it forgets n times.  Its number
 * stays good without: knowing only keeps an inode whose last name goes.  Once
 * it has none (nlink 0, the intent record is committed), is not known and the
 * last reference is put, its content and record are removed, in the
 * background, in steps.
 */
void inode_know(struct inode *in);
void files_forget(struct files *f, uint64_t ino, uint64_t n);
/* At open: finish what intent records say. */
int files_recover(struct files *f);

/* ---- content --------------------------------------------------------- */

/* Short only at the end of the file. */
int file_read(struct inode *in, uint64_t off, size_t len, void *to,
	      size_t *ret_len);
/*
 * The first byte from off on that is stored or dirty, or that is not, of
 * which the end of the file is one.  -ENXIO: off is not within the file, or no
 * data follows.
 */
int file_seek(struct inode *in, uint64_t off, bool data, uint64_t *ret);
/*
 * All or nothing.  append: off is ignored.  Sets mtime and ctime.  call (or
 * NULL) is asked while it waits for room: -EINTR when nobody waits any more.
 */
int file_write(struct inode *in, uint64_t off, const struct iovec *iov,
	       uint32_t n_iov, bool append, const struct dynfs_call *call);
/* Longer reads as zeros; shorter never shows the cut bytes again, ever. */
int file_truncate(struct inode *in, uint64_t size);
/*
 * As fallocate(2) with that mode.  In steps: an error leaves a part done.
 * -EOPNOTSUPP: no such mode; -EINTR: nobody waits for the call (or NULL).
 */
int file_allocate(struct inode *in, int mode, uint64_t off, uint64_t len,
		  const struct dynfs_call *call);
/*
 * The bytes of one file, or of another part of the same, shared or copied;
 * *ret_len: how many, fewer at the end of the source or when that took long.
 * In steps, each as a whole.  -EINVAL: the two overlap.
 */
int file_copy_range(struct inode *from, uint64_t from_off, struct inode *to,
		    uint64_t to_off, uint64_t len, uint64_t *ret_len);
/*
 * Its bytes and attributes so far are durable, or an error says that some can
 * not be stored so far.  What was lost before is in inode.losses.
 */
int file_sync(struct inode *in, bool data_only);
/*
 * The dirty runs are in slices in the batch's group or an earlier one, not
 * yet durable: for rename over an existing name, and close after truncation.
 */
int file_settle(struct inode *in);
/* Bytes can not be stored so far, and are tried again: why.  For close(2). */
int file_trouble(struct inode *in);

struct file_extent { /* one row of `extent list` */
	uint64_t offset, length;
	uint8_t kind; /* enum slice_kind */
	struct extent_id extent;
	uint32_t extent_offset;
};
int file_map(struct inode *in,
	     int (*each)(void *ctx, const struct file_extent *row), void *ctx);

/*
 * There is no room, but what was deleted may be about to give some back: true,
 * after a pause, when the caller should look again; false at last.  looks
 * begins at 0.  No lock is held.
 */
bool files_room_comes(struct files *f, unsigned *looks);

/* Buffers that are kept to be used again go. */
void files_trim(struct files *f);

struct files_status {
	uint64_t inodes;       /* in memory */
	uint64_t known;        /* to the frontend */
	uint64_t buffer_bytes; /* for what was written, in use and spare */
	uint64_t dirty_bytes;
	/* buffers, inodes, what is known of, maps: all together */
	uint64_t memory_bytes;
};
void files_status(struct files *f, struct files_status *ret);
/* How many inodes are open for writing. */
uint64_t files_writers(struct files *f);
/* Bytes of content that room is kept for, which nobody else may take. */
uint64_t files_reserved(struct files *f);

#endif
