/* SPDX-License-Identifier: Apache-2.0 */
/*
 * liberasurecode without its copies.
 *
 * liberasurecode_encode() allocates every fragment, copies the data into it
 * and puts an 80-byte header of its own before it; decode wants those headers
 * back and copies again.  dynfs has headers, sums and buffers of its own, so
 * only the arithmetic in the middle is wanted.  The library's development
 * package installs <liberasurecode/erasurecode_backend.h>, the interface
 * between its front end and its back ends: an instance made by the public
 * liberasurecode_instance_create() is looked up by its descriptor, and its
 * operations take bare pointers to data and checks.  That is what the front
 * end itself calls, so the bytes are the same, at the full speed of ISA-L.
 *
 * Those structs are less public than the rest, so trust is earned: a new
 * instance must show the descriptor, back end, k and m it was made with where
 * our headers say they are, and then a small stripe is encoded both ways and
 * compared.  If either differs, the codec is refused; nothing is ever written
 * with a code that the public interface does not confirm.
 *
 * The library's own Vandermonde code is called directly through its installed
 * header <liberasurecode/liberasurecode_rs_vand.h>.  It can not go through an
 * instance: in 1.6.2 each new instance replaces the field tables of the whole
 * process before they are filled, under the feet of running encoders, and
 * each destroyed one frees them whether others use them or not.  Here the
 * tables are made once, and stay: a plugin is never unloaded.
 *
 * Rejected: linking ISA-L itself.  It saves about 100 ns a call (the tables
 * that the back end makes each time) and costs a second source of truth.
 */
#include "codec.h"

#include <dynfs/plugin.h>

#include <errno.h>
#include <liberasurecode/erasurecode_backend.h>
#include <liberasurecode/liberasurecode_rs_vand.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>

struct erasure_codec {
	int k, m;
	ec_backend_t instance; /* the library's, by desc; NULL: rs-vand */
	int desc;
	int *matrix; /* rs-vand: (k+m) x k, the library's */
};

/*
 * The library's registry of instances and its field tables are one per
 * process, and it guards them only in part.  So this is the one mutable
 * global of the plugin: it is held while codecs are made and freed, never
 * while they work.
 */
static pthread_mutex_t erasure_library_lock = PTHREAD_MUTEX_INITIALIZER;
static int erasure_field_ready; /* under the lock: rs-vand's tables are made */

int erasure_codec_probe(const struct dynfs_host *h, int backend)
{
	if (backend == ERASURE_RS_VAND)
		return 0;
	if (liberasurecode_backend_available(EC_BACKEND_ISA_L_RS_CAUCHY))
		return 0;
	return h->fail(h, -EOPNOTSUPP,
		       "erasure: back end isa-l-rs-cauchy needs libisal.so.2 "
		       "(Debian: libisal2)");
}

/* Fills data and parity with the shards as the library wants them. */
static void codec_split(const struct erasure_codec *c, uint8_t **shard,
			char **data, char **parity)
{
	for (int i = 0; i < c->k; i++)
		data[i] = (char *)shard[i];
	for (int i = 0; i < c->m; i++)
		parity[i] = (char *)shard[c->k + i];
}

/* rs-vand adds to what is in its output; ISA-L overwrites it. */
static void codec_clear(const struct erasure_codec *c, uint8_t **shard,
			size_t len, uint32_t which)
{
	for (int i = 0; !c->instance && i < c->k + c->m; i++)
		if (which & 1u << i)
			memset(shard[i], 0, len);
}

int erasure_codec_encode(const struct erasure_codec *c, uint8_t **shard,
			 size_t len)
{
	char *data[ERASURE_TOTAL_MAX], *parity[ERASURE_TOTAL_MAX];
	int ret;

	codec_split(c, shard, data, parity);
	codec_clear(c, shard, len, UINT32_MAX << c->k);
	if (c->instance)
		ret = c->instance->common.ops->encode(
		    c->instance->desc.backend_desc, data, parity, (int)len);
	else
		ret = liberasurecode_rs_vand_encode(c->matrix, data, parity,
						    c->k, c->m, (int)len);
	return ret < 0 ? -ENOMEM : 0; /* it fails for want of memory only */
}

static int codec_decode_all(const struct erasure_codec *c, char **data,
			    char **parity, int *missing, int len)
{
	if (c->instance)
		return c->instance->common.ops->decode(
		    c->instance->desc.backend_desc, data, parity, missing, len);
	return liberasurecode_rs_vand_decode(c->matrix, data, parity, c->k,
					     c->m, missing, len, 1);
}

static int codec_decode_one(const struct erasure_codec *c, char **data,
			    char **parity, int *missing, int target, int len)
{
	if (c->instance)
		return c->instance->common.ops->reconstruct(
		    c->instance->desc.backend_desc, data, parity, missing,
		    target, len);
	return liberasurecode_rs_vand_reconstruct(c->matrix, data, parity, c->k,
						  c->m, missing, target, len);
}

/*
 * The library's decode fills every shard that is missing.  When all of them
 * are wanted that is one pass over the data; else each wanted one is
 * reconstructed alone, so that the others need no memory.
 */
int erasure_codec_rebuild(const struct erasure_codec *c, uint8_t **shard,
			  size_t len, uint32_t have, uint32_t want)
{
	char *data[ERASURE_TOTAL_MAX], *parity[ERASURE_TOTAL_MAX];
	int missing[ERASURE_TOTAL_MAX + 1];
	int n = c->k + c->m, n_missing = 0, ret = 0;
	uint32_t lost = 0;

	codec_split(c, shard, data, parity);
	for (int i = 0; i < n; i++) {
		if (have & 1u << i)
			continue;
		missing[n_missing++] = i;
		lost |= 1u << i;
	}
	missing[n_missing] = -1;
	codec_clear(c, shard, len, want);
	if (want == lost)
		ret = codec_decode_all(c, data, parity, missing, (int)len);
	else
		for (int i = 0; i < n && ret >= 0; i++)
			if (want & 1u << i)
				ret = codec_decode_one(c, data, parity, missing,
						       i, (int)len);
	return ret < 0 ? -ENOMEM : 0;
}

/* Both ways to encode give the same k+m blocks of PROOF_LEN bytes. */
#define PROOF_LEN 64

static int codec_same_blocks(const struct erasure_codec *c, uint8_t **shard,
			     char **data, char **parity, uint64_t fragment_len)
{
	if (fragment_len != PROOF_LEN + sizeof(fragment_header_t))
		return 0;
	for (int i = 0; i < c->k + c->m; i++) {
		const char *fragment = i < c->k ? data[i] : parity[i - c->k];

		if (memcmp(fragment + sizeof(fragment_header_t), shard[i],
			   PROOF_LEN) != 0)
			return 0;
	}
	return 1;
}

static int codec_prove(const struct erasure_codec *c)
{
	uint8_t stripe[ERASURE_TOTAL_MAX * PROOF_LEN];
	uint8_t *shard[ERASURE_TOTAL_MAX];
	char **data = NULL, **parity = NULL;
	uint64_t fragment_len = 0;
	uint32_t x = 0x9e3779b9u;
	int same;

	for (size_t i = 0; i < sizeof(stripe); i++) {
		x = x * 1664525u + 1013904223u;
		stripe[i] = (uint8_t)(x >> 24);
	}
	for (int i = 0; i < c->k + c->m; i++)
		shard[i] = stripe + (size_t)i * PROOF_LEN;
	if (erasure_codec_encode(c, shard, PROOF_LEN) < 0)
		return 0;
	if (liberasurecode_encode(c->desc, (const char *)stripe,
				  (uint64_t)c->k * PROOF_LEN, &data, &parity,
				  &fragment_len) != 0)
		return 0;
	same = codec_same_blocks(c, shard, data, parity, fragment_len);
	(void)liberasurecode_encode_cleanup(c->desc, data, parity);
	return same;
}

static int codec_open_isal(struct erasure_codec *c)
{
	const ec_backend_id_t id = EC_BACKEND_ISA_L_RS_CAUCHY;
	struct ec_args args = {
		.k = c->k, .m = c->m, .hd = c->m, .ct = CHKSUM_NONE
	};
	const struct ec_backend *b;

	c->desc = liberasurecode_instance_create(id, &args);
	if (c->desc <= 0)
		return 0;
	b = c->instance = liberasurecode_backend_instance_get_by_desc(c->desc);
	return b && b->idesc == c->desc && b->common.id == id &&
	       b->args.uargs.k == c->k && b->args.uargs.m == c->m &&
	       b->common.ops && b->common.ops->encode &&
	       b->common.ops->decode && b->common.ops->reconstruct &&
	       codec_prove(c);
}

static int codec_open_rs_vand(struct erasure_codec *c)
{
	if (!erasure_field_ready)
		init_liberasurecode_rs_vand(c->k, c->m);
	erasure_field_ready = 1;
	c->matrix = make_systematic_matrix(c->k, c->m);
	return c->matrix != NULL;
}

int erasure_codec_new(const struct dynfs_host *h, int backend, uint32_t k,
		      uint32_t m, struct erasure_codec **ret_codec)
{
	struct erasure_codec *c = h->alloc(h, sizeof(*c), 0);
	int good;

	if (!c)
		return -ENOMEM;
	c->k = (int)k;
	c->m = (int)m;
	(void)pthread_mutex_lock(&erasure_library_lock);
	good = backend == ERASURE_RS_VAND ? codec_open_rs_vand(c)
					  : codec_open_isal(c);
	(void)pthread_mutex_unlock(&erasure_library_lock);
	if (!good) {
		erasure_codec_free(h, c);
		return h->fail(h, -EOPNOTSUPP,
			       "erasure: liberasurecode %#x does not give "
			       "%u+%u as version %#x that dynfs was built "
			       "with does",
			       liberasurecode_get_version(), k, m,
			       LIBERASURECODE_VERSION);
	}
	*ret_codec = c;
	return 0;
}

void erasure_codec_free(const struct dynfs_host *h, struct erasure_codec *c)
{
	if (!c)
		return;
	(void)pthread_mutex_lock(&erasure_library_lock);
	if (c->desc > 0)
		(void)liberasurecode_instance_destroy(c->desc);
	if (c->matrix)
		free_systematic_matrix(c->matrix);
	(void)pthread_mutex_unlock(&erasure_library_lock);
	h->free(h, c);
}
