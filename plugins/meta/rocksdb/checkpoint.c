/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints, and how much room a data base takes.
 *
 * A checkpoint is links to RocksDB's immutable files and copies of the small
 * ones.  Batches go on while it is made, so its number is read back from the
 * finished checkpoint, which proves besides that it opens.  Rejected: holding
 * batches up meanwhile, which would stop commits for as long as a flush.
 */
#include "rocks.h"

#include <dynfs/os.h>

#include <errno.h>
#include <string.h>

struct rocks_folder {
	struct rocks *r;
	const char *path;
	uint64_t bytes;
};

static int rocks_remove_each(void *ctx, const char *name, uint32_t type)
{
	struct rocks_folder *f = ctx;
	char *path = rocks_path(f->r, f->path, name);

	(void)type; /* there are only files */
	if (!path)
		return -ENOMEM;
	/* what can not be removed keeps the folder, which tells */
	(void)f->r->host->os->unlink(f->r->host->os, path);
	f->r->host->free(f->r->host, path);
	return 0;
}

static void rocks_remove(struct rocks *r, const char *path)
{
	struct rocks_folder f = { r, path, 0 };
	const struct dynfs_os *os = r->host->os;

	/* after an error already: there is no better one to report */
	(void)os->list(os, path, rocks_remove_each, &f);
	(void)os->rmdir(os, path);
}

static int rocks_checkpoint_make(struct rocks *r, const char *path)
{
	rocksdb_checkpoint_t *c;
	char *text = NULL;

	c = rocksdb_checkpoint_object_create(r->db.db, &text);
	if (text)
		return rocks_fail(r, text, "checkpoint of");
	/* 0: flush always, for there is no log to take along */
	rocksdb_checkpoint_create(c, path, 0, &text);
	rocksdb_checkpoint_object_destroy(c);
	return rocks_fail(r, text, "checkpoint of");
}

static int rocks_checkpoint_number(struct rocks *r, const char *path,
				   uint64_t *ret_applied)
{
	struct rocks_db d;
	int err = rocks_db_open(r, path, DYNFS_META_OPEN_RDONLY,
				ROCKS_MEMORY_MIN, &d);

	if (err)
		return err;
	err = rocks_db_applied(r, &d, ret_applied);
	rocks_db_close(&d);
	return err;
}

int rocks_checkpoint(void *self, const char *path, uint64_t *ret_applied)
{
	struct rocks *r = self;
	const struct dynfs_os *os = r->host->os;
	struct dynfs_os_stat st;
	uint64_t applied = 0;
	int err;

	if (r->flags & DYNFS_META_OPEN_RDONLY)
		return -EROFS;
	err = os->stat(os, path, &st);
	if (err != -ENOENT)
		return err ? err
			   : r->host->fail(r->host, -EEXIST, "%s exists", path);
	err = rocks_checkpoint_make(r, path);
	if (!err)
		err = rocks_checkpoint_number(r, path, &applied);
	if (!err)
		err = rocks_sync_parent(r, path);
	if (err) {
		rocks_remove(r, path);
		return err;
	}
	r->host->count(r->host, ROCKS_CHECKPOINTS, 1);
	*ret_applied = applied;
	return 0;
}

static int rocks_size_each(void *ctx, const char *name, uint32_t type)
{
	struct rocks_folder *f = ctx;
	const struct dynfs_os *os = f->r->host->os;
	char *path = rocks_path(f->r, f->path, name);
	struct dynfs_os_stat st;

	(void)type; /* there are only files */
	if (!path)
		return -ENOMEM;
	/* compactions remove files while we look */
	if (!os->stat(os, path, &st))
		f->bytes += st.alloc_bytes;
	f->r->host->free(f->r->host, path);
	return 0;
}

static uint64_t rocks_property(struct rocks *r, const char *name)
{
	uint64_t v = 0;

	return rocksdb_property_int(r->db.db, name, &v) ? 0 : v;
}

int rocks_stats(void *self, struct dynfs_meta_stats *out)
{
	struct rocks *r = self;
	struct rocks_folder f = { r, r->path, 0 };
	int err = r->host->os->list(r->host->os, r->path, rocks_size_each, &f);

	if (err)
		return err;
	out->disk_bytes = f.bytes;
	out->memory_bytes =
	    rocks_property(r, "rocksdb.size-all-mem-tables") +
	    rocks_property(r, "rocksdb.block-cache-usage") +
	    rocks_property(r, "rocksdb.estimate-table-readers-mem");
	out->keys = rocks_property(r, "rocksdb.estimate-num-keys");
	if (out->keys) /* our own */
		--out->keys;
	return 0;
}
