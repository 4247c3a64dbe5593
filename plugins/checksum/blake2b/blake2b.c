/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blake2b: BLAKE2b (RFC 7693) with 32-byte digests, by libtomcrypt.
 *
 * For those who want a hash that standards name.  It is about eight times
 * slower than blake3.  libtomcrypt calls its argument handler, which may end
 * the process, on a null pointer; so nothing is ever fed to it when there is
 * nothing to feed.
 */
#include <dynfs/checksum.h>

#include <errno.h>
#include <tomcrypt.h>

#define BLAKE2B_DIGEST_LEN 32u

struct blake2b {
	const struct dynfs_host *host;
};

static int blake2b_create(const struct dynfs_host *h, const void *config,
			  void **ret_self)
{
	struct blake2b *b = h->alloc(h, sizeof(*b), 0);

	(void)config; /* no options */
	if (!b)
		return -ENOMEM;
	b->host = h;
	*ret_self = b;
	return 0;
}

static void blake2b_destroy(void *self)
{
	struct blake2b *b = self;

	if (b)
		b->host->free(b->host, b);
}

static int blake2b_sum(void *self, const void *data, size_t len, uint8_t *out)
{
	const struct blake2b *b = self;
	hash_state state;
	int rc = blake2b_256_init(&state);

	if (rc == CRYPT_OK && len)
		rc = blake2b_process(&state, data, len);
	if (rc == CRYPT_OK)
		rc = blake2b_done(&state, out);
	if (rc == CRYPT_OK)
		return 0;
	return b->host->fail(b->host, -EINVAL, "blake2b: libtomcrypt: %s",
			     error_to_string(rc));
}

static const struct dynfs_checksum_ops blake2b_ops = {
	.size = sizeof(blake2b_ops),
	.caps = DYNFS_CHECKSUM_CRYPTO,
	.digest_len = BLAKE2B_DIGEST_LEN,
	.sum = blake2b_sum,
};

static const struct dynfs_plugin blake2b_plugin = {
	DYNFS_PLUGIN_HEADER,
	.threading = DYNFS_PARALLEL,
	.name = "blake2b",
	.version = "1.0",
	.summary = "BLAKE2b, 256 bits, collision resistant (RFC 7693)",
	.create = blake2b_create,
	.destroy = blake2b_destroy,
	.checksum = &blake2b_ops,
};

const struct dynfs_plugin *dynfs_plugin_entry(void)
{
	return &blake2b_plugin;
}
