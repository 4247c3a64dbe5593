/* SPDX-License-Identifier: Apache-2.0 */
/* Checksums: the digest of blocks and tables.  See dynfs-checksum(3). */
#ifndef DYNFS_CHECKSUM_H
#define DYNFS_CHECKSUM_H

#include <dynfs/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DYNFS_CHECKSUM_MAX 32 /* longest digest, bytes */

#define DYNFS_CHECKSUM_CRYPTO (1ull << 0) /* collision resistant */

struct dynfs_checksum_ops {
	size_t size;
	uint64_t caps;       /* DYNFS_CHECKSUM_* */
	uint32_t digest_len; /* 8 .. DYNFS_CHECKSUM_MAX; never changes */
	uint32_t reserved;

	/* digest_len bytes to out. */
	int (*sum)(void *self, const void *data, size_t len, uint8_t *out);

	/*
	 * Digests of the consecutive blocks of block bytes each (the last may
	 * be shorter) of data, digest_len bytes apart, to out.  The same as
	 * that many sum() calls; may be faster.  NULL: the core makes them.
	 */
	int (*sum_blocks)(void *self, const void *data, size_t len,
			  size_t block, uint8_t *out);
};

#ifdef __cplusplus
}
#endif

#endif
