/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the rocksdb engine share. */
#ifndef ROCKS_H
#define ROCKS_H

#include "tune.h"

#include <dynfs/meta.h>

#define ROCKS_MARK_MAGIC   0x6b72616du /* "mark" */
#define ROCKS_MARK_VERSION 1u

/* The row that says which batch was the last. */
struct rocks_mark {
	uint32_t magic;
	uint32_t version;
	uint64_t number;
};

/* An open data base. */
struct rocks_db {
	struct rocks_tuning tuning;
	rocksdb_t *db;
	rocksdb_column_family_handle_t *family;
	rocksdb_readoptions_t *read;
};

struct rocks {
	const struct dynfs_host *host;
	struct rocks_config config;
	struct rocks_db db; /* db.db NULL: not open */
	char *path;
	uint32_t flags;
	rocksdb_writeoptions_t *write;
	rocksdb_flushoptions_t *flush;
	rocksdb_writebatch_t *batch; /* apply's own */
	uint64_t applied;            /* apply's own */
};

enum { ROCKS_APPLIED, ROCKS_GETS, ROCKS_SCANS, ROCKS_CHECKPOINTS };

extern const char rocks_mark_key[1];

/* Takes over RocksDB's text; 0 when there is none. */
int rocks_fail(struct rocks *r, char *text, const char *what);

/* dir/name, or the folder that dir is in when name is NULL; host->free() it */
char *rocks_path(struct rocks *r, const char *dir, const char *name);
int rocks_sync_parent(struct rocks *r, const char *path);

/* [0-9]+.sst: RocksDB counts up and never takes a number twice. */
int rocks_is_table(const char *name);

/* Is there a data base in r->path, or may one be made? */
int rocks_prepare(struct rocks *r);

/* -EUCLEAN for damage that RocksDB would not survive. */
int rocks_tables_check(struct rocks *r, const char *path);

/* flags are those of struct dynfs_meta_open. */
int rocks_db_open(struct rocks *r, const char *path, uint32_t flags,
		  uint64_t memory_bytes, struct rocks_db *d);
void rocks_db_close(struct rocks_db *d);
int rocks_db_applied(struct rocks *r, struct rocks_db *d,
		     uint64_t *ret_applied);

int rocks_checkpoint(void *self, const char *path, uint64_t *ret_applied);
int rocks_stats(void *self, struct dynfs_meta_stats *out);

#endif
