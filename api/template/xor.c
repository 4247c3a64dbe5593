/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xor: one check shard, the exclusive or of the data shards.
 *
 * The smallest plugin that does something, to be copied: rename the file,
 * the prefix and the name at the end, keep the order.  What each function
 * promises is said in dynfs/redundancy.h; dynfs-conform sees whether it does.
 *
 * Folding byte by byte is slow and leaves the compiler to make it fast;
 * dynfs-redundancy-erasure(7) is what a pool should use.
 */
#include <dynfs/redundancy.h>

#include <errno.h>
#include <string.h>

/* What the options fill; nothing else belongs here. */
struct xor_config {
	int64_t data_max;
};

struct xor {
	const struct dynfs_host *host;
	struct xor_config config;
};

enum { XOR_BYTES };
static const char *const xor_counters[] = { [XOR_BYTES] = "bytes", NULL };

static int xor_create(const struct dynfs_host *h, const void *config,
		      void **ret_self)
{
	struct xor *x = (struct xor *)h->alloc(h, sizeof(*x), 0);

	if (!x)
		return -ENOMEM;
	x->host = h;
	memcpy(&x->config, config, sizeof(x->config));
	*ret_self = x;
	return 0;
}

static void xor_destroy(void *self)
{
	struct xor *x = (struct xor *)self;

	x->host->free(x->host, x);
}

static int xor_limits(void *self, struct dynfs_redundancy_limits *out)
{
	struct xor *x = (struct xor *)self;

	out->data_min = 1;
	out->data_max = (uint32_t)x->config.data_max;
	out->check_min = 1;
	out->check_max = 1;
	out->total_max = out->data_max + 1;
	out->align = 1;
	out->quantum = 1;
	return 0;
}

static int xor_check(void *self, uint32_t k, uint32_t m)
{
	struct xor *x = (struct xor *)self;

	if (m != 1)
		return x->host->fail(x->host, -EINVAL,
				     "xor makes 1 check shard, not %u", m);
	if (!k || k > x->config.data_max)
		return x->host->fail(x->host, -EINVAL,
				     "xor takes 1 to %lld data shards, not %u",
				     (long long)x->config.data_max, k);
	return 0;
}

/* shard[to] = the exclusive or of the other n - 1 shards */
static void xor_fold(uint8_t **shard, uint32_t n, uint32_t to, size_t len)
{
	memset(shard[to], 0, len);
	for (uint32_t i = 0; i < n; i++)
		for (size_t b = 0; i != to && b < len; b++)
			shard[to][b] ^= shard[i][b];
}

static int xor_encode(void *self, uint32_t k, uint32_t m, uint8_t **shard,
		      size_t len)
{
	struct xor *x = (struct xor *)self;

	xor_fold(shard, k + m, k, len);
	x->host->count(x->host, XOR_BYTES, (uint64_t)k * len);
	return 0;
}

static int xor_rebuild(void *self, uint32_t k, uint32_t m, uint8_t **shard,
		       size_t len, uint32_t have, uint32_t want)
{
	struct xor *x = (struct xor *)self;
	uint32_t n = k + m;

	for (uint32_t i = 0; i < n; i++) {
		/* any shard is the fold of all the others */
		if (!(want >> i & 1))
			continue;
		if ((have | 1u << i) != (n < 32 ? (1u << n) - 1 : UINT32_MAX))
			return x->host->fail(
			    x->host, -EUCLEAN,
			    "xor mends 1 lost shard, not more");
		xor_fold(shard, n, i, len);
	}
	return 0;
}

static const struct dynfs_redundancy_ops xor_ops = {
	.size = sizeof(xor_ops),
	.limits = xor_limits,
	.check = xor_check,
	.encode = xor_encode,
	.rebuild = xor_rebuild,
};

static const struct dynfs_option xor_options[] = {
	{ "data-max", DYNFS_OPT_INT, DYNFS_OPT_FORMAT,
	  DYNFS_FIELD(struct xor_config, data_max), "8", 1, 31, NULL,
	  "Most data shards of one extent.", NULL },
	{ 0 },
};

static const struct dynfs_plugin xor_plugin = {
	DYNFS_PLUGIN_HEADER,
	.threading = DYNFS_PARALLEL,
	.name = "xor",
	.version = "0.1",
	.summary = "one check shard, the exclusive or of the data shards",
	.options = xor_options,
	.counters = xor_counters,
	.config_size = sizeof(struct xor_config),
	.create = xor_create,
	.destroy = xor_destroy,
	.redundancy = &xor_ops,
};

DYNFS_EXPORT const struct dynfs_plugin *dynfs_plugin_entry(void)
{
	return &xor_plugin;
}
