/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commit log on one disk: docs/design/format.md section 3.
 *
 * A log_disk is scanned once, by one thread, and then appended to, by one
 * thread at a time; log_trim() and log_copy() may run beside appends.
 */
#ifndef META_LOG_H
#define META_LOG_H

#include <base/buf.h>
#include <base/hash.h>
#include <base/uuid.h>
#include <disk/disk.h>
#include <pthread.h>

#define LOGS_MAX     INSYNC_MAX /* disks that hold the log */
#define LOG_BLOCK    4096u
#define LOG_HEAD     96u /* bytes of a record before its body */
#define LOG_BODY_MAX (64u << 20)
#define LOG_ROLL     (64u << 20) /* a file that is longer is followed by one */

struct log_head {
	uint32_t n_ops;
	uint64_t epoch, number, confirmed, body_len;
	int64_t wall_ns;
	uint8_t chain[SUM128_LEN], sum[SUM128_LEN];
};

/*
 * rec holds LOG_HEAD bytes for the head and then the body: fill in the head,
 * pad to whole blocks.  h->sum and h->body_len are set.
 */
int log_seal(struct buf *rec, struct log_head *h);
/* A record that is whole by itself in len bytes, or -EUCLEAN. */
int log_unseal(const void *rec, size_t len, struct log_head *ret);
/* Bytes of a record with such a body on the disk. */
uint64_t log_span(uint64_t body_len);

/* Where a whole record lies. */
struct log_ref {
	struct log_head head;
	uint64_t file; /* its first number */
	uint64_t off;
	bool good; /* it is of the true log */
};

struct log_file {
	uint64_t first;
	uint8_t chain[SUM128_LEN];
	uint64_t limit; /* records from here on were cut; of the scan */
};

struct log_disk {
	const struct dynfs_os *os;
	struct disk *disk;
	struct uuid pool;
	char *dir; /* .../log; owned */

	pthread_mutex_t lock;   /* files, n_files */
	struct log_file *files; /* with a valid header, by number; owned */
	size_t n_files;

	/* of the scan, by number, until log_forget(); owned */
	struct log_ref *refs;
	size_t n_refs, cap_refs;
	uint64_t confirmed; /* the highest of all whole records */

	/* the file that is appended to */
	int fd;
	uint64_t end, room; /* used, and preallocated */
	int result;         /* of the last round */
	uint64_t ckpt;      /* the last checkpoint that was put there; 0 */
	struct log_disk *next_dead;
};

/* log.c and scan.c */
char *log_path(const struct log_disk *d, uint64_t first);
int log_file_head(const struct log_disk *d, uint64_t first,
		  const uint8_t chain[SUM128_LEN], uint64_t epoch,
		  struct buf *out);
/*
 * What lies at the beginning of file first.  -EUCLEAN: not a header of this
 * pool, disk and number; -EROFS: one, in ret, that may only be read;
 * -EOPNOTSUPP: of a newer program.
 */
int log_file_check(const struct log_disk *d, const uint8_t p[LOG_BLOCK],
		   uint64_t first, struct log_file *ret);
int log_delete(struct log_disk *d, uint64_t from, uint64_t to);
/* The first ref of that number or a higher one. */
size_t log_lower(const struct log_disk *d, uint64_t number);

int log_disk_new(const struct dynfs_os *os, struct disk *disk,
		 const struct uuid *pool, struct log_disk **ret);
void log_disk_free(struct log_disk *d);

/*
 * Read all that is there.  Damage is no error: what is whole is in refs.
 * -EROFS: all is there, but a file has a feature with which it may only be
 * read; -EOPNOTSUPP: a file of a newer program.
 */
int log_scan(struct log_disk *d);
void log_forget(struct log_disk *d);
/* Make what is there durable, before it is believed. */
int log_settle(struct log_disk *d);
/* The whole record of a ref to rec. */
int log_read(struct log_disk *d, const struct log_ref *ref, struct buf *rec);

/*
 * Begin the file with record number first and go on appending there; fill()
 * may append records that belong into it before it counts.
 */
int log_begin(struct log_disk *d, uint64_t first,
	      const uint8_t chain[SUM128_LEN], uint64_t epoch,
	      int (*fill)(void *ctx, struct log_disk *d), void *ctx);
int log_append(struct log_disk *d, const struct buf *rec);
int log_sync(struct log_disk *d);
/*
 * After a scan: keep the files with good records of (after, upto], cut behind
 * the last of them, and the file upto+1; remove everything else.
 */
int log_mend(struct log_disk *d, uint64_t after, uint64_t upto);
/* Delete files whose records are all at or below covered. */
int log_trim(struct log_disk *d, uint64_t covered);
/* The same for the file that is appended to; nothing is appended after. */
int log_trim_last(struct log_disk *d);
/* Delete everything. */
int log_wipe(struct log_disk *d);

/*
 * Walk records from..to of the log, which are all there and synced, and give
 * each, as it lies on the disk, to each().
 */
int log_copy(struct log_disk *d, uint64_t from, uint64_t to,
	     int (*each)(void *ctx, const struct log_head *h,
			 const struct buf *rec),
	     void *ctx);

#endif
