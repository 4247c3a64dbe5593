/* SPDX-License-Identifier: Apache-2.0 */
/* A store (or, with TWISTER_META, a metadata engine) with every function and
 * no truth in its answers. */
#include <dynfs/meta.h>
#include <dynfs/store.h>

static int twister_create(const struct dynfs_host *h, const void *config,
			  void **ret_self)
{
	(void)config;
	(void)h;
	*ret_self = NULL; /* it keeps nothing in mind */
	return 0;
}

static void twister_destroy(void *self)
{
	(void)self;
}

static void twister_close(void *self)
{
	(void)self;
}

#ifndef TWISTER_META
static int twister_open(void *self, const struct dynfs_store_open *how)
{
	(void)self;
	(void)how;
	return 1;
}

static int twister_submit(void *self, struct dynfs_store_op *const *ops,
			  uint32_t n)
{
	(void)self;
	for (uint32_t i = 0; i < n; ++i) {
		ops[i]->result = 0;
		ops[i]->done(ops[i]);
	}
	return (int)n;
}

static uint64_t twister_mark(void *self)
{
	(void)self;
	return 42;
}

static int twister_sync(void *self, uint64_t token)
{
	(void)self;
	return token == 42 ? 0 : -5;
}

static int twister_space(void *self, struct dynfs_store_space *out)
{
	(void)self;
	out->total_bytes = 1;
	out->free_bytes = 2;
	return 0;
}

static uint64_t twister_cost(void *self, uint32_t head_len,
			     uint64_t payload_len)
{
	(void)self;
	return head_len + payload_len;
}

/* From cursor 0: too many; else: one, without getting on. */
static int twister_list(void *self, uint64_t *cursor,
			struct dynfs_store_entry *out, uint32_t n,
			uint32_t *ret_n)
{
	(void)self;
	(void)out;
	*ret_n = *cursor ? 1 : n + 1;
	return 0;
}

static const struct dynfs_store_ops twister_ops = {
	.size = sizeof(twister_ops),
	.open = twister_open,
	.close = twister_close,
	.submit = twister_submit,
	.mark = twister_mark,
	.sync = twister_sync,
	.space = twister_space,
	.cost = twister_cost,
	.list = twister_list,
};
#else
static int twister_open(void *self, const struct dynfs_meta_open *how,
			uint64_t *ret_applied)
{
	(void)self;
	(void)how;
	*ret_applied = 0;
	return 0;
}

static int
twister_get(void *self, const struct dynfs_meta_span *keys, uint32_t n,
	    void (*found)(void *ctx, uint32_t i, struct dynfs_meta_span value),
	    void *ctx)
{
	(void)self;
	(void)keys;
	(void)found;
	(void)ctx;
	return (int)n;
}

/* From an empty key: no iterator; else this one, which never ends well. */
static int twister_scan(void *self, struct dynfs_meta_span from,
			struct dynfs_meta_span to, struct dynfs_meta_iter **ret)
{
	static const char iterator;

	(void)self;
	(void)to;
	__builtin_memcpy(ret, &(const char *){ from.len ? &iterator : NULL },
			 sizeof(*ret));
	return 0;
}

static int twister_next(void *self, struct dynfs_meta_iter *it,
			struct dynfs_meta_span *key,
			struct dynfs_meta_span *value)
{
	(void)self;
	(void)it;
	(void)value;
	return key->len ? 1 : 7;
}

static void twister_scan_end(void *self, struct dynfs_meta_iter *it)
{
	(void)self;
	(void)it;
}

/* The answer is the number. */
static int twister_apply(void *self, uint64_t number,
			 const struct dynfs_meta_op *ops, uint32_t n)
{
	(void)self;
	(void)ops;
	(void)n;
	return (int)number;
}

static int twister_flush(void *self)
{
	(void)self;
	return 1;
}

static int twister_checkpoint(void *self, const char *path,
			      uint64_t *ret_applied)
{
	(void)self;
	(void)path;
	(void)ret_applied;
	return -95;
}

static int twister_stats(void *self, struct dynfs_meta_stats *out)
{
	(void)self;
	return out->size ? 0 : -22;
}

static const struct dynfs_meta_ops twister_ops = {
	.size = sizeof(twister_ops),
	.open = twister_open,
	.close = twister_close,
	.get = twister_get,
	.scan = twister_scan,
	.next = twister_next,
	.scan_end = twister_scan_end,
	.apply = twister_apply,
	.flush = twister_flush,
	.checkpoint = twister_checkpoint,
	.stats = twister_stats,
};
#endif

static const struct dynfs_plugin twister_plugin = {
	DYNFS_PLUGIN_HEADER,      .name = "twister",
	.version = "1.0",         .summary = "answers what can not be",
	.create = twister_create, .destroy = twister_destroy,
#ifdef TWISTER_META
	.meta = &twister_ops,
#else
	.store = &twister_ops,
#endif
};

DYNFS_EXPORT const struct dynfs_plugin *dynfs_plugin_entry(void)
{
	return &twister_plugin;
}
