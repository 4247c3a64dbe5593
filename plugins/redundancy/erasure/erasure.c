/* SPDX-License-Identifier: Apache-2.0 */
/*
 * erasure: k data and m check shards, k+m <= 32, any k of which suffice.
 *
 * The code is Reed-Solomon by liberasurecode; codec.c says how it is reached
 * without copies.  This file is the plugin around it: limits, checks, and a
 * table of codecs, one per (k, m), made at first use and kept until the
 * instance goes.  The table has 32 x 32 places, so it bounds itself; a lookup
 * is one atomic load, and only making a codec takes a lock.
 *
 * Shards are multiples of 64 bytes at multiples of 64: every vector width
 * that ISA-L knows then runs without a tail, and rs-vand, which works on
 * 16-bit words and is wrong for odd lengths, is always right.
 *
 * Of ISA-L's two matrices only Cauchy's is offered.  Its Vandermonde matrix
 * has singular square parts for some k and m, which means a loss of m shards
 * that can not be undone.  The name is known, so that the refusal can say so.
 */
#include "codec.h"

#include <dynfs/redundancy.h>

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#define ERASURE_QUANTUM 64u

struct erasure_config {
	int32_t backend; /* enum erasure_backend */
};

struct erasure {
	const struct dynfs_host *host;
	int backend;
	pthread_mutex_t lock; /* held while a codec is added */
	_Atomic(struct erasure_codec *) codec[ERASURE_TOTAL_MAX]
					     [ERASURE_TOTAL_MAX]; /* [k][m] */
};

static int erasure_create(const struct dynfs_host *h, const void *config,
			  void **ret_self)
{
	const struct erasure_config *c = config;
	struct erasure *e;
	int err;

	if (c->backend == ERASURE_ISA_L_RS_VAND)
		return h->fail(h, -EINVAL,
			       "erasure: back end isa-l-rs-vand is refused: "
			       "for some k and m it can not undo the loss of "
			       "m shards; use isa-l-rs-cauchy");
	err = erasure_codec_probe(h, c->backend);
	if (err < 0)
		return err;
	e = h->alloc(h, sizeof(*e), 0);
	if (!e)
		return -ENOMEM;
	e->host = h;
	e->backend = c->backend;
	err = pthread_mutex_init(&e->lock, NULL);
	if (err) {
		h->free(h, e);
		return -err;
	}
	*ret_self = e;
	return 0;
}

static void erasure_destroy(void *self)
{
	struct erasure *e = self;

	if (!e)
		return;
	for (uint32_t k = 0; k < ERASURE_TOTAL_MAX; k++)
		for (uint32_t m = 0; m < ERASURE_TOTAL_MAX; m++)
			erasure_codec_free(e->host,
					   atomic_load(&e->codec[k][m]));
	(void)pthread_mutex_destroy(&e->lock);
	e->host->free(e->host, e);
}

static int erasure_limits(void *self, struct dynfs_redundancy_limits *out)
{
	const struct erasure *e = self;

	if (out->size < sizeof(*out))
		return e->host->fail(e->host, -EINVAL,
				     "erasure: limits of %zu bytes, need %zu",
				     out->size, sizeof(*out));
	out->data_min = out->check_min = 1;
	out->data_max = out->check_max = ERASURE_TOTAL_MAX - 1;
	out->total_max = ERASURE_TOTAL_MAX;
	out->align = ERASURE_QUANTUM;
	out->quantum = ERASURE_QUANTUM;
	out->reserved = 0;
	return 0;
}

static int erasure_check(void *self, uint32_t k, uint32_t m)
{
	const struct erasure *e = self;

	if (k >= 1 && m >= 1 && k < ERASURE_TOTAL_MAX &&
	    m <= ERASURE_TOTAL_MAX - k)
		return 0;
	return e->host->fail(e->host, -EINVAL,
			     "erasure: %u+%u is not possible: at least 1+1, "
			     "at most %u shards in all",
			     k, m, ERASURE_TOTAL_MAX);
}

static int erasure_add_codec(struct erasure *e, uint32_t k, uint32_t m,
			     struct erasure_codec **ret_codec)
{
	struct erasure_codec *c;
	int err = 0;

	(void)pthread_mutex_lock(&e->lock);
	c = atomic_load_explicit(&e->codec[k][m], memory_order_relaxed);
	if (!c) {
		err = erasure_codec_new(e->host, e->backend, k, m, &c);
		if (!err)
			atomic_store_explicit(&e->codec[k][m], c,
					      memory_order_release);
	}
	(void)pthread_mutex_unlock(&e->lock);
	if (err < 0)
		return err;
	*ret_codec = c;
	return 0;
}

/* Checks the shape and finds the codec for it. */
static int erasure_get_codec(struct erasure *e, uint32_t k, uint32_t m,
			     size_t len, struct erasure_codec **ret_codec)
{
	struct erasure_codec *c;
	int err = erasure_check(e, k, m);

	if (err < 0)
		return err;
	if (len % ERASURE_QUANTUM || len > INT_MAX)
		return e->host->fail(e->host, -EINVAL,
				     "erasure: shards of %zu bytes: must be a "
				     "multiple of %u below 2 GiB",
				     len, ERASURE_QUANTUM);
	c = atomic_load_explicit(&e->codec[k][m], memory_order_acquire);
	if (!c)
		return erasure_add_codec(e, k, m, ret_codec);
	*ret_codec = c;
	return 0;
}

static int erasure_encode(void *self, uint32_t k, uint32_t m, uint8_t **shard,
			  size_t len)
{
	struct erasure_codec *c = NULL;
	int err = erasure_get_codec(self, k, m, len, &c);

	if (!c)
		return err;
	return len ? erasure_codec_encode(c, shard, len) : 0;
}

static int erasure_rebuild(void *self, uint32_t k, uint32_t m, uint8_t **shard,
			   size_t len, uint32_t have, uint32_t want)
{
	struct erasure *e = self;
	struct erasure_codec *c = NULL;
	uint32_t all;
	int err = erasure_get_codec(e, k, m, len, &c);

	if (!c)
		return err;
	all = UINT32_MAX >> (ERASURE_TOTAL_MAX - k - m);
	if ((have | want) & ~all || have & want)
		return e->host->fail(e->host, -EINVAL,
				     "erasure: have %#x and want %#x do not "
				     "fit %u+%u shards",
				     have, want, k, m);
	if ((uint32_t)__builtin_popcount(have) < k)
		return e->host->fail(e->host, -EUCLEAN,
				     "erasure: %d of %u+%u shards are left, "
				     "%u are needed",
				     __builtin_popcount(have), k, m, k);
	return want && len ? erasure_codec_rebuild(c, shard, len, have, want)
			   : 0;
}

static const char *const erasure_backends[] = { "isa-l-rs-cauchy", "rs-vand",
						"isa-l-rs-vand", NULL };

static const struct dynfs_option erasure_options[] = {
	{ "backend", DYNFS_OPT_ENUM, DYNFS_OPT_FORMAT,
	  DYNFS_FIELD(struct erasure_config, backend), "isa-l-rs-cauchy", 0, 0,
	  erasure_backends,
	  "Which code of liberasurecode makes the check shards; isa-l-rs-vand "
	  "is refused, because it can not undo every loss.",
	  NULL },
	{ .name = NULL },
};

static const struct dynfs_redundancy_ops erasure_ops = {
	.size = sizeof(erasure_ops),
	.limits = erasure_limits,
	.check = erasure_check,
	.encode = erasure_encode,
	.rebuild = erasure_rebuild,
};

static const struct dynfs_plugin erasure_plugin = {
	DYNFS_PLUGIN_HEADER,
	.threading = DYNFS_PARALLEL,
	.name = "erasure",
	.version = "1.0",
	.summary = "Reed-Solomon, k data and m check fragments",
	.options = erasure_options,
	.config_size = sizeof(struct erasure_config),
	.create = erasure_create,
	.destroy = erasure_destroy,
	.redundancy = &erasure_ops,
};

const struct dynfs_plugin *dynfs_plugin_entry(void)
{
	return &erasure_plugin;
}
