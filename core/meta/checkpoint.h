/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints on disks and their manifests: docs/design/format.md section 5. */
#ifndef META_CHECKPOINT_H
#define META_CHECKPOINT_H

#include <base/buf.h>
#include <base/hash.h>
#include <base/uuid.h>
#include <disk/disk.h>

struct ckpt_file {
	char *name; /* owned */
	uint64_t size;
	uint8_t sum[SUM128_LEN];
};

struct ckpt {
	struct disk *disk;
	char *path; /* owned */
	uint64_t number;
	uint8_t chain[SUM128_LEN];
	char *engine;            /* owned */
	struct ckpt_file *files; /* owned */
	uint32_t n_files;
};

struct ckpt_list {
	struct ckpt *v; /* owned, by number */
	size_t n;
};

void ckpt_done(struct ckpt *c);
void ckpt_list_done(struct ckpt_list *l);

/* The files are sorted by name. */
int manifest_encode(const struct ckpt *c, const struct uuid *pool,
		    struct buf *out);
/*
 * Fills number, chain, engine and files, also when the answer is -EROFS: it
 * may only be read.  -EUCLEAN: none; -EOPNOTSUPP: of a newer program.
 */
int manifest_decode(const void *data, size_t len, const struct uuid *pool,
		    struct ckpt *ret);

/* What is there is made durable: a process that died may have left it so. */
int ckpt_settle(const struct dynfs_os *os, const struct disk *k);
char *ckpt_path(const struct disk *k, uint64_t number);
/*
 * Those of a disk that have a valid manifest, appended.  -EROFS: one of them
 * may only be read; -EOPNOTSUPP: one is of a newer program.
 */
int ckpt_find(const struct dynfs_os *os, struct disk *k,
	      const struct uuid *pool, struct ckpt_list *l);
/* The one of that number and chain, with every file verified. */
int ckpt_get(const struct dynfs_os *os, struct disk *k, uint64_t number,
	     const uint8_t chain[SUM128_LEN], const struct uuid *pool,
	     struct ckpt *ret);
/* 0: every file has its size and sum. */
int ckpt_verify(const struct dynfs_os *os, const struct ckpt *c);
/*
 * Write the manifest of files that are there and durable; then read back it
 * and all files that old (may be NULL) has not.  0: what it covers may go.
 */
int ckpt_seal(const struct dynfs_os *os, const struct ckpt *c,
	      const struct ckpt *old, const struct uuid *pool);
/*
 * Make c on disk k too; files that old (may be NULL, on k) has are linked.
 * ret->disk and path are k's.
 */
int ckpt_mirror(const struct dynfs_os *os, const struct ckpt *c, struct disk *k,
		const struct ckpt *old, const struct uuid *pool);
/* Copy its files to a directory that is not there yet, verified, durable. */
int ckpt_restore(const struct dynfs_os *os, const struct ckpt *c,
		 const char *to);
/* Remove everything below checkpoint/ but number. */
int ckpt_prune(const struct dynfs_os *os, const struct disk *k,
	       uint64_t number);

#endif
