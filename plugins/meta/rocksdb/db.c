/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and closing a data base, and its last batch.
 *
 * RocksDB is generous when it opens with the leave to create: a folder full
 * of tables whose CURRENT is lost is an empty data base to it, and the tables
 * are rubbish.  So what is there is looked at before RocksDB is asked.
 */
#include "error.h"
#include "rocks.h"

#include <dynfs/os.h>

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

const char rocks_mark_key[1] = { 0 };

int rocks_fail(struct rocks *r, char *text, const char *what)
{
	int err;

	if (!text)
		return 0;
	err = rocks_errno(text);
	err = r->host->fail(r->host, err, "%s %s: %s", what, r->path, text);
	rocksdb_free(text);
	return err;
}

char *rocks_path(struct rocks *r, const char *dir, const char *name)
{
	size_t len = strlen(dir), room = len + (name ? strlen(name) : 0) + 3;
	char *path = r->host->alloc(r->host, room, 0);

	if (!path)
		return NULL;
	if (name) {
		(void)snprintf(path, room, "%s/%s", dir, name);
		return path;
	}
	while (len > 1 && dir[len - 1] == '/')
		--len;
	while (len && dir[len - 1] != '/')
		--len;
	if (len)
		memcpy(path, dir, len);
	else
		path[0] = '.';
	return path;
}

int rocks_sync_parent(struct rocks *r, const char *path)
{
	char *parent = rocks_path(r, path, NULL);
	int err = -ENOMEM;

	if (parent)
		err = r->host->os->syncdir(r->host->os, parent);
	r->host->free(r->host, parent);
	return err;
}

int rocks_is_table(const char *name)
{
	size_t digits = strspn(name, "0123456789");

	return digits && !strcmp(name + digits, ".sst");
}

static int rocks_see_table(void *ctx, const char *name, uint32_t type)
{
	(void)ctx;
	(void)type; /* whatever has that name is one too many */
	return rocks_is_table(name);
}

/*
 * CURRENT is the last file that making a data base writes.  Without it there
 * is none, unless there are tables: RocksDB would then begin anew and delete
 * them.
 */
int rocks_prepare(struct rocks *r)
{
	const struct dynfs_os *os = r->host->os;
	char *current = rocks_path(r, r->path, "CURRENT");
	struct dynfs_os_stat st;
	int err;

	if (!current)
		return -ENOMEM;
	err = os->stat(os, current, &st);
	r->host->free(r->host, current);
	if (err != -ENOENT)
		return err;
	err = os->list(os, r->path, rocks_see_table, NULL);
	if (err > 0)
		return r->host->fail(r->host, -EUCLEAN,
				     "%s has tables but no CURRENT", r->path);
	if (err && err != -ENOENT)
		return err;
	if (!(r->flags & DYNFS_META_OPEN_CREATE) ||
	    (r->flags & DYNFS_META_OPEN_RDONLY))
		return r->host->fail(r->host, -ENOENT, "no data base in %s",
				     r->path);
	if (err == -ENOENT) {
		err = os->mkdir(os, r->path, 0700);
		if (!err)
			err = rocks_sync_parent(r, r->path);
	}
	return err;
}

void rocks_db_close(struct rocks_db *d)
{
	if (d->family)
		rocksdb_column_family_handle_destroy(d->family);
	if (d->db)
		rocksdb_close(d->db);
	if (d->read)
		rocksdb_readoptions_destroy(d->read);
	rocks_tuning_done(&d->tuning);
	*d = (struct rocks_db){ 0 };
}

/* 1: the library lacks this compression. */
static int rocks_db_try(struct rocks *r, const char *path, uint32_t flags,
			struct rocks_db *d)
{
	const char *names[] = { "default" };
	const rocksdb_options_t *options[] = { d->tuning.options };
	rocksdb_column_family_handle_t *family = NULL;
	char *text = NULL;
	int err;

	if (flags & DYNFS_META_OPEN_RDONLY) {
		rocks_tuning_silent(&d->tuning);
		d->db = rocksdb_open_for_read_only_column_families(
		    d->tuning.options, path, 1, names, options, &family, 0,
		    &text);
	} else {
		rocksdb_options_set_create_if_missing(
		    d->tuning.options, !!(flags & DYNFS_META_OPEN_CREATE));
		d->db = rocksdb_open_column_families(
		    d->tuning.options, path, 1, names, options, &family, &text);
	}
	if (!text) {
		d->family = family;
		d->read = rocksdb_readoptions_create();
		return 0;
	}
	d->db = NULL;
	err = rocks_open_errno(text);
	if (err == -EOPNOTSUPP && r->config.compression == ROCKS_AUTO)
		err = 1;
	else
		err = r->host->fail(r->host, err, "cannot open %s: %s", path,
				    text);
	rocksdb_free(text);
	return err;
}

int rocks_db_open(struct rocks *r, const char *path, uint32_t flags,
		  uint64_t memory_bytes, struct rocks_db *d)
{
	struct rocks_config config = r->config;
	int err;

	*d = (struct rocks_db){ 0 };
	err = rocks_tables_check(r, path);
	if (err)
		return err;
	rocks_tuning_init(&d->tuning, &config, memory_bytes);
	err = rocks_db_try(r, path, flags, d);
	if (err > 0) {
		rocks_tuning_done(&d->tuning);
		config.compression = ROCKS_NONE;
		rocks_tuning_init(&d->tuning, &config, memory_bytes);
		err = rocks_db_try(r, path, flags, d);
		err = err > 0 ? -EUCLEAN : err;
	}
	if (err)
		rocks_db_close(d);
	return err;
}

static int rocks_mark_check(struct rocks *r, const char *data, size_t len,
			    uint64_t *ret_number)
{
	struct rocks_mark mark;

	if (len == sizeof(mark)) {
		memcpy(&mark, data, sizeof(mark));
		if (le32toh(mark.magic) == ROCKS_MARK_MAGIC &&
		    le32toh(mark.version) == ROCKS_MARK_VERSION) {
			*ret_number = le64toh(mark.number);
			return 0;
		}
	}
	return r->host->fail(r->host, -EUCLEAN,
			     "%s: the number of the last batch is damaged",
			     r->path);
}

/* Without the row that names the last batch there may be no row at all. */
static int rocks_check_empty(struct rocks *r, struct rocks_db *d)
{
	rocksdb_iterator_t *it = rocksdb_create_iterator(d->db, d->read);
	char *text = NULL;
	int err = 0;

	rocksdb_iter_seek_to_first(it);
	if (rocksdb_iter_valid(it))
		err = r->host->fail(r->host, -EUCLEAN,
				    "%s has rows but no number of a batch",
				    r->path);
	rocksdb_iter_get_error(it, &text);
	if (err)
		rocksdb_free(text);
	else
		err = rocks_fail(r, text, "read");
	rocksdb_iter_destroy(it);
	return err;
}

int rocks_db_applied(struct rocks *r, struct rocks_db *d, uint64_t *ret_applied)
{
	rocksdb_pinnableslice_t *row;
	char *text = NULL;
	const char *data;
	size_t len;
	int err;

	row = rocksdb_get_pinned_cf(d->db, d->read, d->family, rocks_mark_key,
				    sizeof(rocks_mark_key), &text);
	if (text)
		return rocks_fail(r, text, "read");
	if (!row) {
		err = rocks_check_empty(r, d);
		if (!err)
			*ret_applied = 0;
		return err;
	}
	data = rocksdb_pinnableslice_value(row, &len);
	err = rocks_mark_check(r, data, len, ret_applied);
	rocksdb_pinnableslice_destroy(row);
	return err;
}
