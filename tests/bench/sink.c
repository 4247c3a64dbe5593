/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sink: a store that takes every fragment and keeps none, so that what lies
 * above it can be measured alone.  Not installed.
 */
#include <dynfs/store.h>

#include <errno.h>
#include <stdatomic.h>

struct sink {
	const struct dynfs_host *host;
	atomic_ullong n;
};

static int sink_create(const struct dynfs_host *h, const void *config,
		       void **ret_self)
{
	struct sink *s = h->alloc(h, sizeof(*s), 0);

	(void)config; /* no options */
	if (!s)
		return -ENOMEM;
	s->host = h;
	*ret_self = s;
	return 0;
}

static void sink_destroy(void *self)
{
	struct sink *s = self;

	s->host->free(s->host, s);
}

static int sink_open(void *self, const struct dynfs_store_open *how)
{
	(void)self, (void)how;
	return 0;
}

static void sink_close(void *self)
{
	(void)self;
}

static int sink_submit(void *self, struct dynfs_store_op *const *ops,
		       uint32_t n)
{
	struct sink *s = self;

	for (uint32_t i = 0; i < n; i++) {
		struct dynfs_store_op *op = ops[i];

		op->result = 0;
		if (op->kind == DYNFS_STORE_WRITE)
			op->place.w[0] = atomic_fetch_add(&s->n, 1) + 1;
		else if (op->kind == DYNFS_STORE_READ)
			op->result = s->host->fail(s->host, -EUCLEAN,
						   "sink: keeps nothing");
		op->done(op);
	}
	return 0;
}

static uint64_t sink_mark(void *self)
{
	(void)self;
	return 0;
}

static int sink_sync(void *self, uint64_t token)
{
	(void)self, (void)token;
	return 0;
}

static int sink_space(void *self, struct dynfs_store_space *out)
{
	(void)self;
	*out = (struct dynfs_store_space){ .size = out->size,
					   .total_bytes = 1ull << 40,
					   .free_bytes = 1ull << 40 };
	return 0;
}

static uint64_t sink_cost(void *self, uint32_t head_len, uint64_t payload_len)
{
	(void)self;
	return head_len + payload_len;
}

static int sink_list(void *self, uint64_t *cursor,
		     struct dynfs_store_entry *out, uint32_t n, uint32_t *ret_n)
{
	(void)self, (void)cursor, (void)out, (void)n;
	*ret_n = 0;
	return 0;
}

static const struct dynfs_store_ops sink_ops = {
	.size = sizeof(sink_ops),
	.caps = DYNFS_STORE_VOLATILE,
	.open = sink_open,
	.close = sink_close,
	.submit = sink_submit,
	.mark = sink_mark,
	.sync = sink_sync,
	.space = sink_space,
	.cost = sink_cost,
	.list = sink_list,
};

static const struct dynfs_plugin sink_plugin = {
	DYNFS_PLUGIN_HEADER,
	.threading = DYNFS_PARALLEL,
	.name = "sink",
	.version = "1.0",
	.summary = "takes fragments and keeps none, for measuring",
	.create = sink_create,
	.destroy = sink_destroy,
	.store = &sink_ops,
};

const struct dynfs_plugin *dynfs_plugin_entry(void)
{
	return &sink_plugin;
}
