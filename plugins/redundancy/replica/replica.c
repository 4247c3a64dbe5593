/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replica: 1 to 16 whole copies of an extent.
 *
 * k is always 1, so the one data shard is the extent itself and every check
 * shard is a copy of it.  memcpy is the whole code: a copy may therefore have
 * any length and lie anywhere.  Any copy rebuilds any other.  A caller who
 * reads DYNFS_REDUNDANCY_COPIES writes one buffer several times instead.
 */
#include <dynfs/redundancy.h>

#include <errno.h>
#include <string.h>

#define REPLICA_COPIES_MAX 16u

struct replica {
	const struct dynfs_host *host;
};

static int replica_create(const struct dynfs_host *h, const void *config,
			  void **ret_self)
{
	struct replica *r = h->alloc(h, sizeof(*r), 0);

	(void)config; /* no options */
	if (!r)
		return -ENOMEM;
	r->host = h;
	*ret_self = r;
	return 0;
}

static void replica_destroy(void *self)
{
	struct replica *r = self;

	if (r)
		r->host->free(r->host, r);
}

static int replica_limits(void *self, struct dynfs_redundancy_limits *out)
{
	const struct replica *r = self;

	if (out->size < sizeof(*out))
		return r->host->fail(r->host, -EINVAL,
				     "replica: limits of %zu bytes, need %zu",
				     out->size, sizeof(*out));
	out->data_min = out->data_max = 1;
	out->check_min = 0;
	out->check_max = REPLICA_COPIES_MAX - 1;
	out->total_max = REPLICA_COPIES_MAX;
	out->align = 1;
	out->quantum = 1;
	out->reserved = 0;
	return 0;
}

static int replica_check(void *self, uint32_t k, uint32_t m)
{
	const struct replica *r = self;

	if (k != 1)
		return r->host->fail(r->host, -EINVAL,
				     "replica: data shards must be 1, not %u",
				     k);
	if (m >= REPLICA_COPIES_MAX)
		return r->host->fail(
		    r->host, -EINVAL, "replica: at most %u copies, not %llu",
		    REPLICA_COPIES_MAX, (unsigned long long)m + 1);
	return 0;
}

static int replica_encode(void *self, uint32_t k, uint32_t m, uint8_t **shard,
			  size_t len)
{
	int err = replica_check(self, k, m);

	if (err < 0)
		return err;
	for (uint32_t i = 1; i <= m && len; i++)
		memcpy(shard[i], shard[0], len);
	return 0;
}

static int replica_rebuild(void *self, uint32_t k, uint32_t m, uint8_t **shard,
			   size_t len, uint32_t have, uint32_t want)
{
	const struct replica *r = self;
	int err = replica_check(self, k, m);
	uint32_t all, source;

	if (err < 0)
		return err;
	all = (1u << (m + 1)) - 1;
	if ((have | want) & ~all || have & want)
		return r->host->fail(r->host, -EINVAL,
				     "replica: have %#x and want %#x do not "
				     "fit %u copies",
				     have, want, m + 1);
	if (!have)
		return r->host->fail(r->host, -EUCLEAN,
				     "replica: no copy of %u is left", m + 1);
	source = (uint32_t)__builtin_ctz(have);
	for (uint32_t i = 0; i <= m && len; i++)
		if (want & 1u << i)
			memcpy(shard[i], shard[source], len);
	return 0;
}

static const struct dynfs_redundancy_ops replica_ops = {
	.size = sizeof(replica_ops),
	.caps = DYNFS_REDUNDANCY_COPIES,
	.limits = replica_limits,
	.check = replica_check,
	.encode = replica_encode,
	.rebuild = replica_rebuild,
};

static const struct dynfs_plugin replica_plugin = {
	DYNFS_PLUGIN_HEADER,
	.threading = DYNFS_PARALLEL,
	.name = "replica",
	.version = "1.0",
	.summary = "whole copies, 1 to 16",
	.create = replica_create,
	.destroy = replica_destroy,
	.redundancy = &replica_ops,
};

const struct dynfs_plugin *dynfs_plugin_entry(void)
{
	return &replica_plugin;
}
