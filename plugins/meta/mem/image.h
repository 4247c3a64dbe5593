/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A state of the mem engine as one file: what checkpoint() and flush()
 * write and open() reads.
 *
 *   header   48 bytes: magic "DYNFSMAP", version, header bytes, applied,
 *            keys, reserved, sum
 *   block    24 bytes: payload bytes, records, reserved, sum; then payload
 *   record   key length, value length (32 bits each), key, value
 *
 * Numbers are little-endian.  Records are in the order of their keys and
 * never cross a block.  A block's sum is the XXH3 of header and payload with
 * the sum as zero, seeded with the sum before: so a block fits in one place
 * of one file only.
 */
#ifndef MEM_IMAGE_H
#define MEM_IMAGE_H

#include "tree.h"

/*
 * Writes and syncs the file path, which does not exist.  keys is the number
 * of rows in root.  After an error nothing is left at path.
 */
int image_write(const struct dynfs_host *h, const char *path,
		const struct mem_node *root, uint64_t keys, uint64_t applied);

/*
 * Puts all rows into edit, which is empty.  -EUCLEAN when the file is not
 * whole, to the bit.  After an error drop edit->root.
 */
int image_read(const struct dynfs_host *h, const char *path,
	       struct mem_edit *edit, uint64_t *ret_applied);

#endif
