/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rocksdb: the index of the metadata in RocksDB, the default engine.
 *
 * The commit log is the core's, so RocksDB runs without its own.  What it
 * then promises is enough: a batch is put into one memtable whole, memtables
 * reach the disk in order, so after a crash the data base is at some batch.
 * Which one says a row that every batch writes, under the key of one zero
 * byte, which no key of the core can be.
 *
 * RocksDB does its own input and output and its background threads belong to
 * the process: neither goes through host->os, and a simulation uses the mem
 * engine.  C++ that finds no memory ends the process; that can not be caught
 * on this side of the C interface.
 */
#include "rocks.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#define ROCKS_BATCH_KEEP (1u << 20) /* a larger buffer is given back */
#define ROCKS_GET_STACK  16

static const char rocks_first_key[1] = { 1 };

struct dynfs_meta_iter {
	rocksdb_readoptions_t *read;
	rocksdb_iterator_t *it;
	int begun;
	size_t to_len;
	char to[]; /* RocksDB borrows it */
};

static const char *const rocks_counters[] = { [ROCKS_APPLIED] = "batches",
					      [ROCKS_GETS] = "gets",
					      [ROCKS_SCANS] = "scans",
					      [ROCKS_CHECKPOINTS] =
						  "checkpoints",
					      NULL };

static int rocks_create(const struct dynfs_host *h, const void *config,
			void **ret_self)
{
	struct rocks *r = h->alloc(h, sizeof(*r), 0);

	if (!r)
		return -ENOMEM;
	r->host = h;
	r->config = *(const struct rocks_config *)config;
	*ret_self = r;
	return 0;
}

static void rocks_close(void *self)
{
	struct rocks *r = self;

	rocks_db_close(&r->db);
	if (r->write)
		rocksdb_writeoptions_destroy(r->write);
	if (r->flush)
		rocksdb_flushoptions_destroy(r->flush);
	if (r->batch)
		rocksdb_writebatch_destroy(r->batch);
	r->write = NULL;
	r->flush = NULL;
	r->batch = NULL;
	r->host->free(r->host, r->path);
	r->path = NULL;
	r->applied = 0;
}

static void rocks_destroy(void *self)
{
	struct rocks *r = self;

	rocks_close(r);
	r->host->free(r->host, r);
}

static int rocks_open_path(struct rocks *r, uint64_t memory_bytes)
{
	int err = rocks_prepare(r);

	if (!err)
		err = rocks_db_open(r, r->path, r->flags, memory_bytes, &r->db);
	if (!err)
		err = rocks_db_applied(r, &r->db, &r->applied);
	if (err)
		return err;
	r->write = rocksdb_writeoptions_create();
	rocksdb_writeoptions_disable_WAL(r->write, 1);
	r->flush = rocksdb_flushoptions_create();
	rocksdb_flushoptions_set_wait(r->flush, 1);
	r->batch = rocksdb_writebatch_create();
	return 0;
}

static int rocks_open(void *self, const struct dynfs_meta_open *how,
		      uint64_t *ret_applied)
{
	struct rocks *r = self;
	uint64_t memory = how->memory_bytes;
	size_t len = strlen(how->path) + 1;
	int err;

	if (r->path)
		return r->host->fail(r->host, -EBUSY, "%s is open", r->path);
	if (!memory)
		memory = ROCKS_MEMORY_DEFAULT;
	if (memory < ROCKS_MEMORY_MIN)
		return r->host->fail(r->host, -EINVAL,
				     "%llu bytes of memory are too few, "
				     "it takes %llu",
				     (unsigned long long)memory,
				     (unsigned long long)ROCKS_MEMORY_MIN);
	r->path = r->host->alloc(r->host, len, 0);
	if (!r->path)
		return -ENOMEM;
	memcpy(r->path, how->path, len);
	r->flags = how->flags;
	err = rocks_open_path(r, memory);
	if (err) {
		rocks_close(r);
		return err;
	}
	*ret_applied = r->applied;
	return 0;
}

static int rocks_key_check(struct rocks *r, struct dynfs_meta_span key)
{
	if (key.len && key.len <= DYNFS_META_KEY_MAX &&
	    *(const uint8_t *)key.data)
		return 0;
	return r->host->fail(r->host, -EINVAL,
			     "a key of %zu bytes or one that begins with 0",
			     key.len);
}

typedef void rocks_found(void *ctx, uint32_t i, struct dynfs_meta_span value);

static int rocks_get_one(struct rocks *r, struct dynfs_meta_span key,
			 rocks_found *found, void *ctx)
{
	struct dynfs_meta_span value;
	rocksdb_pinnableslice_t *row;
	char *text = NULL;

	row = rocksdb_get_pinned_cf(r->db.db, r->db.read, r->db.family,
				    key.data, key.len, &text);
	if (text)
		return rocks_fail(r, text, "read");
	if (!row)
		return 0;
	value.data = rocksdb_pinnableslice_value(row, &value.len);
	found(ctx, 0, value);
	rocksdb_pinnableslice_destroy(row);
	return 0;
}

/* What rocksdb_batched_multi_get_cf() wants of each key, as it wants it. */
struct rocks_many {
	const char **keys;
	size_t *lens;
	rocksdb_pinnableslice_t **rows;
	char **texts;
};

/* RocksDB takes all keys of one call from one state. */
static int rocks_get_many(struct rocks *r, const struct rocks_many *many,
			  uint32_t n, rocks_found *found, void *ctx)
{
	char *first = NULL;

	rocksdb_batched_multi_get_cf(r->db.db, r->db.read, r->db.family, n,
				     many->keys, many->lens, many->rows,
				     many->texts, 0);
	for (uint32_t i = 0; i < n; ++i) {
		if (many->texts[i] && !first)
			first = many->texts[i];
		else if (many->texts[i])
			rocksdb_free(many->texts[i]);
	}
	for (uint32_t i = 0; i < n; ++i) {
		struct dynfs_meta_span value;

		if (!many->rows[i])
			continue;
		value.data =
		    rocksdb_pinnableslice_value(many->rows[i], &value.len);
		if (!first)
			found(ctx, i, value);
		rocksdb_pinnableslice_destroy(many->rows[i]);
	}
	return rocks_fail(r, first, "read");
}

static int rocks_get_arrays(struct rocks *r, const struct dynfs_meta_span *keys,
			    uint32_t n, rocks_found *found, void *ctx)
{
	void *small[ROCKS_GET_STACK * 4] = { 0 };
	void **room = small;
	struct rocks_many many;
	int err;

	_Static_assert(sizeof(size_t) == sizeof(void *), "one array for all");
	if (n > ROCKS_GET_STACK) {
		room = r->host->alloc(r->host, sizeof(*room) * 4 * n, 0);
		if (!room)
			return -ENOMEM;
	}
	many.keys = (const char **)room;
	many.lens = (size_t *)(room + n);
	many.rows = (rocksdb_pinnableslice_t **)(room + 2 * (size_t)n);
	many.texts = (char **)(room + 3 * (size_t)n);
	for (uint32_t i = 0; i < n; ++i) {
		many.keys[i] = keys[i].data;
		many.lens[i] = keys[i].len;
	}
	err = rocks_get_many(r, &many, n, found, ctx);
	if (room != small)
		r->host->free(r->host, room);
	return err;
}

static int rocks_get(void *self, const struct dynfs_meta_span *keys, uint32_t n,
		     rocks_found *found, void *ctx)
{
	struct rocks *r = self;
	int err = 0;

	for (uint32_t i = 0; i < n && !err; ++i)
		err = rocks_key_check(r, keys[i]);
	if (err || !n)
		return err;
	r->host->count(r->host, ROCKS_GETS, n);
	if (n == 1)
		return rocks_get_one(r, keys[0], found, ctx);
	return rocks_get_arrays(r, keys, n, found, ctx);
}

static int rocks_scan(void *self, struct dynfs_meta_span from,
		      struct dynfs_meta_span to, struct dynfs_meta_iter **ret)
{
	struct rocks *r = self;
	struct dynfs_meta_iter *it =
	    r->host->alloc(r->host, sizeof(*it) + to.len, 0);

	if (!it)
		return -ENOMEM;
	it->read = rocksdb_readoptions_create();
	it->to_len = to.len;
	if (to.len) {
		memcpy(it->to, to.data, to.len);
		rocksdb_readoptions_set_iterate_upper_bound(it->read, it->to,
							    to.len);
	}
	it->it = rocksdb_create_iterator_cf(r->db.db, it->read, r->db.family);
	/* the engine's own row comes before all others */
	if (!from.len || !*(const char *)from.data)
		rocksdb_iter_seek(it->it, rocks_first_key,
				  sizeof(rocks_first_key));
	else
		rocksdb_iter_seek(it->it, from.data, from.len);
	r->host->count(r->host, ROCKS_SCANS, 1);
	*ret = it;
	return 0;
}

static int rocks_next(void *self, struct dynfs_meta_iter *it,
		      struct dynfs_meta_span *key,
		      struct dynfs_meta_span *value)
{
	struct rocks *r = self;
	char *text = NULL;

	if (it->begun && rocksdb_iter_valid(it->it))
		rocksdb_iter_next(it->it);
	it->begun = 1;
	if (!rocksdb_iter_valid(it->it)) {
		rocksdb_iter_get_error(it->it, &text);
		return rocks_fail(r, text, "scan");
	}
	key->data = rocksdb_iter_key(it->it, &key->len);
	value->data = rocksdb_iter_value(it->it, &value->len);
	return 1;
}

static void rocks_scan_end(void *self, struct dynfs_meta_iter *it)
{
	struct rocks *r = self;

	rocksdb_iter_destroy(it->it);
	rocksdb_readoptions_destroy(it->read);
	r->host->free(r->host, it);
}

static int rocks_batch_add(struct rocks *r, const struct dynfs_meta_op *op)
{
	int err = rocks_key_check(r, op->key);

	if (err)
		return err;
	if (op->kind == DYNFS_META_DELETE) {
		rocksdb_writebatch_delete(r->batch, op->key.data, op->key.len);
		return 0;
	}
	if (op->kind != DYNFS_META_PUT || op->value.len > DYNFS_META_VALUE_MAX)
		return r->host->fail(r->host, -EINVAL,
				     "operation %u with %zu bytes", op->kind,
				     op->value.len);
	rocksdb_writebatch_put(r->batch, op->key.data, op->key.len,
			       op->value.data, op->value.len);
	return 0;
}

static int rocks_batch_write(struct rocks *r, uint64_t number)
{
	struct rocks_mark mark = { htole32(ROCKS_MARK_MAGIC),
				   htole32(ROCKS_MARK_VERSION),
				   htole64(number) };
	char *text = NULL;

	rocksdb_writebatch_put(r->batch, rocks_mark_key, sizeof(rocks_mark_key),
			       (const char *)&mark, sizeof(mark));
	rocksdb_write(r->db.db, r->write, r->batch, &text);
	return rocks_fail(r, text, "write to");
}

static int rocks_apply(void *self, uint64_t number,
		       const struct dynfs_meta_op *ops, uint32_t n)
{
	struct rocks *r = self;
	size_t len;
	int err = 0;

	if (r->flags & DYNFS_META_OPEN_RDONLY)
		return -EROFS;
	if (number <= r->applied)
		return r->host->fail(
		    r->host, -EINVAL, "batch %llu after batch %llu",
		    (unsigned long long)number, (unsigned long long)r->applied);
	for (uint32_t i = 0; i < n && !err; ++i)
		err = rocks_batch_add(r, &ops[i]);
	if (!err)
		err = rocks_batch_write(r, number);
	(void)rocksdb_writebatch_data(r->batch, &len);
	if (len > ROCKS_BATCH_KEEP) {
		rocksdb_writebatch_destroy(r->batch);
		r->batch = rocksdb_writebatch_create();
	} else {
		rocksdb_writebatch_clear(r->batch);
	}
	if (err)
		return err;
	r->applied = number;
	r->host->count(r->host, ROCKS_APPLIED, 1);
	return DYNFS_META_DONE;
}

static int rocks_flush(void *self)
{
	struct rocks *r = self;
	char *text = NULL;

	if (r->flags & DYNFS_META_OPEN_RDONLY)
		return 0;
	rocksdb_flush(r->db.db, r->flush, &text);
	return rocks_fail(r, text, "flush");
}

static int rocks_immutable(void *self, const char *name)
{
	(void)self; /* so it is with every data base */
	return rocks_is_table(name);
}

static const char *const rocks_compressions[] = {
	[ROCKS_AUTO] = "auto",
	[ROCKS_NONE] = "none",
	[ROCKS_LZ4] = "lz4",
	[ROCKS_ZSTD] = "zstd",
	NULL,
};

static const struct dynfs_option rocks_options[] = {
	{ .name = "compression",
	  .type = DYNFS_OPT_ENUM,
	  .flags = 0,
	  DYNFS_FIELD(struct rocks_config, compression),
	  .def = "auto",
	  .choices = rocks_compressions,
	  .help = "How tables are compressed; auto is LZ4, and ZSTD for the "
		  "level that holds most." },
	{ .name = "bloom-bits",
	  .type = DYNFS_OPT_INT,
	  .flags = 0,
	  DYNFS_FIELD(struct rocks_config, bloom_bits),
	  .def = "10",
	  .min = 0,
	  .max = 32,
	  .help = "Bits a key in the filter that spares reads for keys that "
		  "are not there; 0 is no filter.",
	  .unit = "bits" },
	{ .name = "block-size",
	  .type = DYNFS_OPT_SIZE,
	  .flags = 0,
	  DYNFS_FIELD(struct rocks_config, block_size),
	  .def = "8K",
	  .min = 1024,
	  .max = 1 << 20,
	  .help = "Plain bytes that are compressed, cached and read as one; "
		  "more saves space, less saves time.",
	  .unit = "bytes" },
	{ 0 },
};

static const struct dynfs_meta_ops rocks_ops = {
	.size = sizeof(rocks_ops),
	.open = rocks_open,
	.close = rocks_close,
	.get = rocks_get,
	.scan = rocks_scan,
	.next = rocks_next,
	.scan_end = rocks_scan_end,
	.apply = rocks_apply,
	.flush = rocks_flush,
	.checkpoint = rocks_checkpoint,
	.stats = rocks_stats,
	.immutable = rocks_immutable,
};

static const struct dynfs_plugin rocks_plugin = {
	DYNFS_PLUGIN_HEADER,
	.threading = DYNFS_PARALLEL,
	.name = "rocksdb",
	.version = "1.0",
	.summary = "Metadata index in RocksDB",
	.options = rocks_options,
	.counters = rocks_counters,
	.config_size = sizeof(struct rocks_config),
	.create = rocks_create,
	.destroy = rocks_destroy,
	.meta = &rocks_ops,
};

const struct dynfs_plugin *dynfs_plugin_entry(void)
{
	return &rocks_plugin;
}
