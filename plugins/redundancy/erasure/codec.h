/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One Reed-Solomon code of k data and m check shards, as liberasurecode does
 * it, working in place on the caller's shards.
 *
 * A codec belongs to the instance that made it.  Once made it is constant:
 * any number of threads may encode and rebuild with it at once.
 */
#ifndef ERASURE_CODEC_H
#define ERASURE_CODEC_H

#include <stddef.h>
#include <stdint.h>

#define ERASURE_TOTAL_MAX 32u /* EC_MAX_FRAGMENTS of the library */

struct dynfs_host;
struct erasure_codec;

/* The order is that of the choices of the option backend. */
enum erasure_backend {
	ERASURE_ISA_L_RS_CAUCHY,
	ERASURE_RS_VAND,
	ERASURE_ISA_L_RS_VAND,
};

/* 0 if the back end can be used here, else -EOPNOTSUPP and why. */
int erasure_codec_probe(const struct dynfs_host *h, int backend);

/*
 * Make the code for k+m, which the caller has checked.  -EOPNOTSUPP when the
 * library that was loaded is not the one this was built for.
 */
int erasure_codec_new(const struct dynfs_host *h, int backend, uint32_t k,
		      uint32_t m, struct erasure_codec **ret_codec);
void erasure_codec_free(const struct dynfs_host *h, struct erasure_codec *c);

/* As in dynfs/redundancy.h; len is at most INT_MAX and a whole quantum. */
int erasure_codec_encode(const struct erasure_codec *c, uint8_t **shard,
			 size_t len);

/* have, want: checked by the caller, have is enough, want is not empty. */
int erasure_codec_rebuild(const struct erasure_codec *c, uint8_t **shard,
			  size_t len, uint32_t have, uint32_t want);

#endif
