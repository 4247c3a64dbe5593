/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xxh3: XXH3 with 128 bits, for pools that want speed and fear accidents
 * only.  It is no cryptographic hash: someone who may choose the data can
 * make two pieces with the same digest, so it can not serve dedupe.
 *
 * Digests are stored in xxHash's canonical form (big-endian, high half
 * first), the one that does not depend on the machine.
 *
 * Where the library has it, the variant that picks the widest vectors at run
 * time is used; its first call remembers the choice in a plain variable, so
 * create() makes that call before any second thread can.
 */
#include <dynfs/checksum.h>

#include <errno.h>
#ifdef XXH3_HAS_DISPATCH
#include <xxh_x86dispatch.h>
#else
#include <xxhash.h>
#endif

#define XXH3_DIGEST_LEN 16u

_Static_assert(sizeof(XXH128_canonical_t) == XXH3_DIGEST_LEN,
	       "the digest length is part of the format");

struct xxh3 {
	const struct dynfs_host *host;
};

static void xxh3_digest(const void *data, size_t len, uint8_t *out)
{
	XXH128_canonical_t canonical;

	XXH128_canonicalFromHash(&canonical, XXH3_128bits(data, len));
	for (size_t i = 0; i < XXH3_DIGEST_LEN; i++)
		out[i] = canonical.digest[i];
}

static int xxh3_create(const struct dynfs_host *h, const void *config,
		       void **ret_self)
{
	struct xxh3 *x = h->alloc(h, sizeof(*x), 0);
	uint8_t first[XXH3_DIGEST_LEN];

	(void)config; /* no options */
	if (!x)
		return -ENOMEM;
	x->host = h;
	xxh3_digest("", 0, first);
	*ret_self = x;
	return 0;
}

static void xxh3_destroy(void *self)
{
	struct xxh3 *x = self;

	if (x)
		x->host->free(x->host, x);
}

static int xxh3_sum(void *self, const void *data, size_t len, uint8_t *out)
{
	(void)self;
	xxh3_digest(data, len, out);
	return 0;
}

static int xxh3_sum_blocks(void *self, const void *data, size_t len,
			   size_t block, uint8_t *out)
{
	const struct xxh3 *x = self;
	const uint8_t *p = data;

	if (!block)
		return x->host->fail(x->host, -EINVAL,
				     "xxh3: blocks of 0 bytes");
	for (size_t at = 0; at < len; at += block, out += XXH3_DIGEST_LEN) {
		size_t rest = len - at;

		xxh3_digest(p + at, rest < block ? rest : block, out);
		if (rest <= block)
			break;
	}
	return 0;
}

static const struct dynfs_checksum_ops xxh3_ops = {
	.size = sizeof(xxh3_ops),
	.digest_len = XXH3_DIGEST_LEN,
	.sum = xxh3_sum,
	.sum_blocks = xxh3_sum_blocks,
};

static const struct dynfs_plugin xxh3_plugin = {
	DYNFS_PLUGIN_HEADER,
	.threading = DYNFS_PARALLEL,
	.name = "xxh3",
	.version = "1.0",
	.summary = "XXH3, 128 bits, against accidents only",
	.create = xxh3_create,
	.destroy = xxh3_destroy,
	.checksum = &xxh3_ops,
};

const struct dynfs_plugin *dynfs_plugin_entry(void)
{
	return &xxh3_plugin;
}
