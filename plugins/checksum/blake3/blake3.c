/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blake3: BLAKE3 with 32-byte digests, the default checksum.
 *
 * The code is the official C implementation with its SIMD assembly: the
 * system's libblake3 where there is one, else the sources that Debian ships
 * for Rust, compiled from where they lie (see CMakeLists.txt).  It picks the
 * instruction set at its first call and remembers it in a plain variable; so
 * create() makes that first call, before any second thread can.
 *
 * A block of 16 KiB is 16 of BLAKE3's chunks, which fill every lane of AVX2
 * twice, and reaches 95 % of the speed of one long piece.  So sum_blocks is a
 * loop that saves the core the calls.  Rejected: hashing the inner nodes of
 * many blocks side by side, which gains the other 5 % but needs the private
 * header of the sources; and prefetching the next block, which gains nothing.
 */
#include <dynfs/checksum.h>

#include <blake3.h>
#include <errno.h>

_Static_assert(BLAKE3_OUT_LEN == 32, "the digest length is part of the format");

struct blake3 {
	const struct dynfs_host *host;
};

static void blake3_digest(const void *data, size_t len, uint8_t *out)
{
	blake3_hasher hasher;

	blake3_hasher_init(&hasher);
	blake3_hasher_update(&hasher, data, len);
	blake3_hasher_finalize(&hasher, out, BLAKE3_OUT_LEN);
}

static int blake3_create(const struct dynfs_host *h, const void *config,
			 void **ret_self)
{
	struct blake3 *b = h->alloc(h, sizeof(*b), 0);
	uint8_t first[BLAKE3_OUT_LEN];

	(void)config; /* no options */
	if (!b)
		return -ENOMEM;
	b->host = h;
	blake3_digest("", 0, first);
	*ret_self = b;
	return 0;
}

static void blake3_destroy(void *self)
{
	struct blake3 *b = self;

	if (b)
		b->host->free(b->host, b);
}

static int blake3_sum(void *self, const void *data, size_t len, uint8_t *out)
{
	(void)self;
	blake3_digest(data, len, out);
	return 0;
}

static int blake3_sum_blocks(void *self, const void *data, size_t len,
			     size_t block, uint8_t *out)
{
	const struct blake3 *b = self;
	const uint8_t *p = data;

	if (!block)
		return b->host->fail(b->host, -EINVAL,
				     "blake3: blocks of 0 bytes");
	for (size_t at = 0; at < len; at += block, out += BLAKE3_OUT_LEN) {
		size_t rest = len - at;

		blake3_digest(p + at, rest < block ? rest : block, out);
		if (rest <= block)
			break;
	}
	return 0;
}

static const struct dynfs_checksum_ops blake3_ops = {
	.size = sizeof(blake3_ops),
	.caps = DYNFS_CHECKSUM_CRYPTO,
	.digest_len = BLAKE3_OUT_LEN,
	.sum = blake3_sum,
	.sum_blocks = blake3_sum_blocks,
};

static const struct dynfs_plugin blake3_plugin = {
	DYNFS_PLUGIN_HEADER,
	.threading = DYNFS_PARALLEL,
	.name = "blake3",
	.version = "1.0",
	.summary = "BLAKE3, 256 bits, collision resistant and fast",
	.create = blake3_create,
	.destroy = blake3_destroy,
	.checksum = &blake3_ops,
};

const struct dynfs_plugin *dynfs_plugin_entry(void)
{
	return &blake3_plugin;
}
