/* SPDX-License-Identifier: Apache-2.0 */
/*
 * liar: one check shard by exclusive or, and one broken promise, which the
 * option "lie" names.  check-liar.py knows which check has to notice.
 */
#include <dynfs/redundancy.h>

#include <errno.h>
#include <signal.h>
#include <string.h>

enum lie {
	NONE,
	WRONG_BYTE,
	LAST_BYTE,
	BEYOND,
	TOUCHES_DATA,
	NO_MESSAGE,
	LOOSE_CHECK,
	MESSAGE,
	LEAK,
	CRASH,
	TOO_FEW,
	BAD_LIMITS,
	NO_MEMORY,
	SHARED,
};

static const char *const lies[] = {
	"none",       "wrong-byte",  "last-byte", "beyond", "touches-data",
	"no-message", "loose-check", "message",   "leak",   "crash",
	"too-few",    "bad-limits",  "no-memory", "shared", NULL,
};

struct liar_config {
	int32_t lie;
};

struct liar {
	const struct dynfs_host *host;
	int32_t lie;
	uint8_t scratch[65536]; /* what a lock should guard */
};

static int liar_create(const struct dynfs_host *h, const void *config,
		       void **ret_self)
{
	const struct liar_config *c = config;
	struct liar *l = h->alloc(h, sizeof(*l), 0);

	if (!l)
		return c->lie == NO_MEMORY ? -EIO : -ENOMEM;
	l->host = h;
	l->lie = c->lie;
	*ret_self = l;
	return 0;
}

static void liar_destroy(void *self)
{
	struct liar *l = self;

	l->host->free(l->host, l);
}

static int liar_limits(void *self, struct dynfs_redundancy_limits *out)
{
	const struct liar *l = self;

	out->data_min = 1;
	out->data_max = 8;
	out->check_min = 1;
	out->check_max = 1;
	out->total_max = l->lie == BAD_LIMITS ? 99 : 9;
	out->align = 1;
	out->quantum = 1;
	return 0;
}

static int liar_check(void *self, uint32_t k, uint32_t m)
{
	const struct liar *l = self;

	if (k && k <= 8 && (m == 1 || l->lie == LOOSE_CHECK))
		return 0;
	if (l->lie == NO_MESSAGE)
		return -EINVAL;
	return l->host->fail(l->host, -EINVAL, "not %u+%u", k, m);
}

static void liar_fold(struct liar *l, uint8_t **shard, uint32_t n, uint32_t to,
		      size_t len)
{
	volatile uint8_t *sum = l->lie == SHARED && len <= sizeof(l->scratch)
				    ? l->scratch
				    : shard[to];

	for (size_t b = 0; b < len; b++) {
		sum[b] = 0;
		for (uint32_t i = 0; i < n; i++)
			if (i != to)
				sum[b] ^= shard[i][b];
	}
	for (size_t b = 0; b < len; b++)
		shard[to][b] = sum[b];
}

static int liar_encode(void *self, uint32_t k, uint32_t m, uint8_t **shard,
		       size_t len)
{
	struct liar *l = self;

	liar_fold(l, shard, k + m, k, len);
	if (l->lie == MESSAGE)
		(void)l->host->fail(l->host, -EIO, "all is well");
	if (l->lie == LEAK)
		(void)l->host->alloc(l->host, 7, 0);
	if (l->lie == BEYOND)
		shard[k][len] = 1;
	if (l->lie == TOUCHES_DATA)
		shard[0][len - 1] ^= 1;
	return 0;
}

static int liar_rebuild(void *self, uint32_t k, uint32_t m, uint8_t **shard,
			size_t len, uint32_t have, uint32_t want)
{
	struct liar *l = self;
	uint32_t n = k + m;

	if ((uint32_t)__builtin_popcount(have) < k)
		return l->lie == TOO_FEW
			   ? 0
			   : l->host->fail(l->host, -EUCLEAN, "too few shards");
	for (uint32_t i = 0; i < n; i++) {
		if (!(want >> i & 1))
			continue;
		if (l->lie == CRASH)
			(void)raise(SIGSEGV);
		liar_fold(l, shard, n, i, len);
		if (l->lie == WRONG_BYTE && i == 2)
			shard[i][0] ^= 0x10;
		if (l->lie == LAST_BYTE && len % 8 == 5)
			shard[i][len - 1] = 0;
	}
	return 0;
}

static const struct dynfs_redundancy_ops liar_ops = {
	.size = sizeof(liar_ops),
	.limits = liar_limits,
	.check = liar_check,
	.encode = liar_encode,
	.rebuild = liar_rebuild,
};

static const struct dynfs_option liar_options[] = {
	{ "lie", DYNFS_OPT_ENUM, 0, DYNFS_FIELD(struct liar_config, lie),
	  "none", 0, 0, lies, "Which promise to break.", NULL },
	{ 0 },
};

static const struct dynfs_plugin liar_plugin = {
	DYNFS_PLUGIN_HEADER,
	.threading = DYNFS_PARALLEL,
	.name = "liar",
	.version = "1",
	.summary = "breaks the promise that it is told to",
	.options = liar_options,
	.config_size = sizeof(struct liar_config),
	.create = liar_create,
	.destroy = liar_destroy,
	.redundancy = &liar_ops,
};

DYNFS_EXPORT const struct dynfs_plugin *dynfs_plugin_entry(void)
{
	return &liar_plugin;
}
