/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A files layer of the test's own over the rest of a pool on a simulated
 * system: five disks with segment stores, two copies of everything, extents of
 * 64 KiB, the mem engine as the index.  Without threads nothing is flushed but
 * what the test flushes.
 */
#ifndef TESTS_FILE_RIG_H
#define TESTS_FILE_RIG_H

#include "simos.h"

#include <base/fail.h>
#include <file/private.h>
#include <pool/pool.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h> /* last: it makes fail() a macro */

#define CHUNK 65536u

struct rig {
	struct dynfs_os os; /* the simulated one, but for hooks */
	struct simos *sim;
	struct reg *reg;
	struct conf *conf;
	struct pool *pool;
	struct meta *meta;
	struct extents *extents;
	struct files *files;
	struct files_how how; /* what the next rig_open() takes */
	/* called before each write or sync of a disk; once: set to NULL first */
	void (*_Atomic on_write)(struct rig *r);
	void (*_Atomic on_sync)(struct rig *r);
	/* the same, after the last disk was asked for its room */
	void (*_Atomic on_space)(struct rig *r);
	void *ctx; /* the test's own, for the hooks */
};

/* Open, with so many flush threads; 0 disk_bytes: plenty. */
void rig_new(struct rig *r, unsigned n_threads, uint64_t disk_bytes);
void rig_free(struct rig *r);
/* For cmocka, which gives *state to each test: the rig of rig_new(). */
int rig_begin(void **state, unsigned n_threads, uint64_t disk_bytes);
/* Without threads, with plenty of room. */
int rig_set_up(void **state);
int rig_tear_down(void **state);
void rig_open(struct rig *r);
void rig_close(struct rig *r);
/* Close the files only, and open them again: nothing is left in memory. */
void rig_refresh(struct rig *r);
/* The power goes; what was not synced is lost. */
void rig_crash(struct rig *r);

/* A regular file with one (imagined) name, held. */
struct inode *rig_make(struct rig *r);
struct inode *rig_get(struct rig *r, uint64_t ino);
/* As unlink() does it; the reference stays the caller's. */
void rig_unlink(struct rig *r, struct inode *in);

/* Bytes that tell where they belong and which version they are. */
void rig_fill(uint8_t *to, uint64_t off, size_t len, unsigned version);
int rig_write(struct inode *in, uint64_t off, size_t len, unsigned version);
/* Fails the test unless [off, off + len) is of that version; 0: zeros. */
void rig_check(struct inode *in, uint64_t off, size_t len, unsigned version);
/* What was lost of it, which is told by this. */
int rig_lost(struct inode *in);
uint64_t rig_size(struct inode *in);
uint64_t rig_stored(struct inode *in);
/* All of its bytes are in slices. */
bool rig_is_clean(struct inode *in);

/* Rows of the metadata that begin so. */
unsigned rig_rows(struct rig *r, const struct key *prefix);
unsigned rig_slices(struct rig *r, uint64_t ino, uint8_t kind);
/* Of the one slice of a chunk. */
struct extent_id rig_extent(struct rig *r, uint64_t ino, uint64_t chunk);
/* Put something else in the place of a row; gives back what was there. */
void rig_exchange(struct rig *r, const struct key *key, struct buf *value);
/* Waits (10 s) until it is so. */
void rig_wait(struct rig *r, bool (*is)(struct rig *r));

#endif
