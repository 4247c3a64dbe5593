/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RocksDB as an index below a budget.
 *
 * Of the budget half is the block cache, a quarter memtables, and a quarter
 * is left for what RocksDB does not count: table readers, iterators, the
 * buffers of compactions.  Index and filter blocks live in the cache and are
 * partitioned; whole ones grow with the file until they do not fit in a shard
 * of a small cache and are read anew for each key (measured with a million
 * rows and 64 MiB: 114 us a get instead of 6).
 *
 * There is no log (the core has one), so nothing may need it: one column
 * family, for only then a flush is a prefix of the batches.
 *
 * Upper levels are rewritten soon and take LZ4; the last level holds nine
 * tenths of the data and takes ZSTD.
 *
 * New rows come at the ends of their kinds, of which a table of level 0 has some
 * of each: with it the whole of the next level is merged, far from the new rows
 * though most of it is.  So that level is small, a few small tables, and below
 * it a merge finds few tables in its range.  When it was as large as the budget
 * the index was all of it, and the merges of a create took 57 us of processor
 * time with half a million files, and more with each; now 12, and no more.
 */
#include "tune.h"

#include <stddef.h>

#define ROCKS_MEMTABLES  3
#define ROCKS_OPEN_FILES 256
#define ROCKS_JOBS       2
#define ROCKS_FIRST      4 /* tables in the level below 0 */

#define KIB (1ull << 10)
#define MIB (1ull << 20)

static uint64_t clamp(uint64_t v, uint64_t lo, uint64_t hi)
{
	if (v < lo)
		return lo;
	return v > hi ? hi : v;
}

static void tune_table(struct rocks_tuning *t, const struct rocks_config *c)
{
	rocksdb_block_based_table_options_t *b =
	    rocksdb_block_based_options_create();

	rocksdb_block_based_options_set_block_cache(b, t->cache);
	rocksdb_block_based_options_set_block_size(b, c->block_size);
	rocksdb_block_based_options_set_format_version(b, ROCKS_TABLE_FORMAT);
	rocksdb_block_based_options_set_index_type(
	    b, rocksdb_block_based_table_index_type_two_level_index_search);
	rocksdb_block_based_options_set_metadata_block_size(b, 4 * KIB);
	rocksdb_block_based_options_set_cache_index_and_filter_blocks(b, 1);
	rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(
	    b, 1);
	rocksdb_block_based_options_set_pin_top_level_index_and_filter(b, 1);
	if (c->bloom_bits) {
		/* the table options own the policy from here */
		rocksdb_block_based_options_set_filter_policy(
		    b, rocksdb_filterpolicy_create_bloom_full(
			   (double)c->bloom_bits));
		rocksdb_block_based_options_set_whole_key_filtering(b, 1);
		rocksdb_block_based_options_set_partition_filters(b, 1);
	}
	rocksdb_options_set_block_based_table_factory(t->options, b);
	rocksdb_block_based_options_destroy(b);
}

static void tune_memory(rocksdb_options_t *o, uint64_t memory)
{
	uint64_t memtables = memory / 4;
	uint64_t file = clamp(memory / 32, 512 * KIB, 8 * MIB);

	rocksdb_options_set_write_buffer_size(o, memtables / ROCKS_MEMTABLES);
	rocksdb_options_set_max_write_buffer_number(o, ROCKS_MEMTABLES);
	rocksdb_options_set_db_write_buffer_size(o, memtables);
	rocksdb_options_set_memtable_prefix_bloom_size_ratio(o, 0.05);
	rocksdb_options_set_memtable_whole_key_filtering(o, 1);
	rocksdb_options_set_target_file_size_base(o, file);
	/* deeper ones are larger, else a large index had too many */
	rocksdb_options_set_target_file_size_multiplier(o, 2);
	rocksdb_options_set_max_bytes_for_level_base(o, ROCKS_FIRST * file);
	rocksdb_options_set_max_open_files(o, ROCKS_OPEN_FILES);
	rocksdb_options_set_writable_file_max_buffer_size(
	    o, clamp(memory / 64, 64 * KIB, 1 * MIB));
	rocksdb_options_compaction_readahead_size(
	    o, clamp(memory / 128, 64 * KIB, 512 * KIB));
}

static void tune_compression(rocksdb_options_t *o, int kind)
{
	switch (kind) {
	case ROCKS_AUTO:
		rocksdb_options_set_compression(o, rocksdb_lz4_compression);
		rocksdb_options_set_bottommost_compression(
		    o, rocksdb_zstd_compression);
		break;
	case ROCKS_LZ4:
		rocksdb_options_set_compression(o, rocksdb_lz4_compression);
		break;
	case ROCKS_ZSTD:
		rocksdb_options_set_compression(o, rocksdb_zstd_compression);
		break;
	default:
		rocksdb_options_set_compression(o, rocksdb_no_compression);
		break;
	}
}

/* Threads, syncs, and files that grow beside the data. */
static void tune_housekeeping(rocksdb_options_t *o)
{
	rocksdb_options_set_paranoid_checks(o, 1);
	rocksdb_options_set_level_compaction_dynamic_level_bytes(o, 1);
	rocksdb_options_set_max_background_jobs(o, ROCKS_JOBS);
	/* batches come from one thread */
	rocksdb_options_set_allow_concurrent_memtable_write(o, 0);
	rocksdb_options_set_enable_write_thread_adaptive_yield(o, 0);
	rocksdb_options_set_bytes_per_sync(o, 1 * MIB);
	/* checkpoints copy the manifest, so it is kept short */
	rocksdb_options_set_max_manifest_file_size(o, 4 * MIB);
	rocksdb_options_set_manifest_preallocation_size(o, 64 * KIB);
	rocksdb_options_set_info_log_level(o, 2); /* warn */
	rocksdb_options_set_keep_log_file_num(o, 2);
	rocksdb_options_set_max_log_file_size(o, 1 * MIB);
	rocksdb_options_set_stats_dump_period_sec(o, 0);
	rocksdb_options_set_stats_persist_period_sec(o, 0);
}

void rocks_tuning_init(struct rocks_tuning *t, const struct rocks_config *c,
		       uint64_t memory_bytes)
{
	t->options = rocksdb_options_create();
	t->cache = rocksdb_cache_create_lru(memory_bytes / 2);
	tune_table(t, c);
	tune_memory(t->options, memory_bytes);
	tune_compression(t->options, c->compression);
	tune_housekeeping(t->options);
}

void rocks_tuning_done(struct rocks_tuning *t)
{
	if (t->options)
		rocksdb_options_destroy(t->options);
	if (t->cache)
		rocksdb_cache_destroy(t->cache);
	*t = (struct rocks_tuning){ 0 };
}

void rocks_tuning_silent(struct rocks_tuning *t)
{
	/*
	 * RocksDB makes its LOG also when it opens to read, and goes without
	 * one where it can not: below a file no folder can be made.
	 */
	rocksdb_options_set_db_log_dir(t->options, "/dev/null/none");
}
