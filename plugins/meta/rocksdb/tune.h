/* SPDX-License-Identifier: Apache-2.0 */
/* RocksDB's options, derived from a memory budget. */
#ifndef ROCKS_TUNE_H
#define ROCKS_TUNE_H

#include <rocksdb/c.h>
#include <stdint.h>

#define ROCKS_TABLE_FORMAT   5
#define ROCKS_MEMORY_MIN     (1ull << 20)
#define ROCKS_MEMORY_DEFAULT (64ull << 20)

enum rocks_compression { ROCKS_AUTO, ROCKS_NONE, ROCKS_LZ4, ROCKS_ZSTD };

struct rocks_config {
	int32_t compression; /* enum rocks_compression */
	int64_t bloom_bits;
	uint64_t block_size;
};

struct rocks_tuning {
	rocksdb_options_t *options;
	rocksdb_cache_t *cache;
};

/* memory_bytes >= ROCKS_MEMORY_MIN; release with rocks_tuning_done(). */
void rocks_tuning_init(struct rocks_tuning *t, const struct rocks_config *c,
		       uint64_t memory_bytes);
void rocks_tuning_done(struct rocks_tuning *t);

/* No file but those of the data base: for reading what is not ours. */
void rocks_tuning_silent(struct rocks_tuning *t);

#endif
