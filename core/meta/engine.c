/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine under one roof: a batch of the log becomes a batch of the
 * engine plus one put, the fact "chain".  The engine's own number would tell
 * how far it is, but not in which history; the sum does.
 */
#include <meta/engine.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <meta/internal.h>
#include <registry/meta.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHAIN_LEN   (1 + 8 + SUM128_LEN)
#define APPLY_TRIES 8

struct found {
	struct buf *value;
	int result;
};

static void on_found(void *ctx, uint32_t i, struct dynfs_meta_span value)
{
	struct found *f = (struct found *)ctx;

	(void)i;
	buf_clear(f->value);
	buf_put(f->value, value.data, value.len);
	f->result = buf_error(f->value);
}

int engine_get(struct engine *e, const void *key, size_t len, struct buf *value)
{
	struct dynfs_meta_span k = { key, len };
	struct found f = { value, -ENOENT };
	int r = reg_meta_get(e->inst, &k, 1, on_found, &f);

	return r ? r : f.result;
}

/* Nothing there: group 0, of which the sum is zero. */
static int get_chain(struct engine *e, uint64_t *ret_number,
		     uint8_t ret_sum[SUM128_LEN])
{
	AUTOBUF struct buf v = BUF_INIT;
	struct key k = key_fact("chain");
	struct rd r;
	int err = engine_get(e, k.data, k.len, &v);

	*ret_number = 0;
	memset(ret_sum, 0, SUM128_LEN);
	if (err)
		return err == -ENOENT ? 0 : err;
	r = rd_of(v.data, v.len);
	if (rd8(&r) != 1)
		return -EUCLEAN;
	*ret_number = rd64(&r);
	rd_copy(&r, ret_sum, SUM128_LEN);
	return rd_end(&r);
}

int engine_open(const struct meta_how *how, struct disk *disk, const char *path,
		uint32_t flags, struct engine **ret)
{
	struct dynfs_meta_open o = { .size = sizeof(o),
				     .path = path,
				     .flags = flags,
				     .memory_bytes = how->memory_bytes };
	struct engine *e = (struct engine *)calloc(1, sizeof(*e));
	struct reg_plugin *p;
	uint64_t applied;
	bool opened = false;
	int r;

	if (!e)
		return -ENOMEM;
	e->disk = disk;
	e->refs = 1;
	e->path = strdup(path);
	r = e->path ? reg_load(how->reg, REG_META, how->engine_plugin, &p)
		    : -ENOMEM;
	if (!r)
		r = reg_new(p, "index", how->engine_options,
			    how->n_engine_options, how->os, &e->inst);
	if (!r)
		r = reg_start(e->inst);
	if (!r) {
		r = reg_meta_open(e->inst, &o, &applied);
		opened = !r;
	}
	if (!r)
		r = get_chain(e, &e->number, e->sum);
	if (!r && e->number != applied)
		r = fail(-EUCLEAN, "the index in %s contradicts itself", path);
	if (!r) {
		*ret = e;
		return 0;
	}
	if (opened)
		reg_meta_close(e->inst);
	reg_free(e->inst);
	free(e->path);
	free(e);
	return r;
}

void engine_free(struct engine *e)
{
	if (!e)
		return;
	reg_meta_close(e->inst);
	reg_free(e->inst);
	free(e->path);
	free(e);
}

/* Until it is done; an answer that says nothing is asked for. */
static int apply_surely(struct engine *e, uint64_t number,
			const struct dynfs_meta_op *ops, uint32_t n)
{
	uint8_t sum[SUM128_LEN];
	uint64_t at;
	int r = 0;

	for (int i = 0; i < APPLY_TRIES; i++) {
		r = reg_meta_apply(e->inst, number, ops, n);
		if (r == DYNFS_META_UNKNOWN) {
			r = get_chain(e, &at, sum);
			if (!r && at < number)
				r = DYNFS_META_CONFLICT;
		}
		if (r != DYNFS_META_CONFLICT)
			return r;
	}
	return fail(-EIO, "the index takes no batch");
}

int engine_apply(struct engine *e, uint64_t number,
		 const uint8_t sum[SUM128_LEN], const void *ops, size_t len,
		 uint32_t n_ops)
{
	AUTOFREE struct dynfs_meta_op *v =
	    (struct dynfs_meta_op *)calloc((size_t)n_ops + 1, sizeof(*v));
	AUTOBUF struct buf chain = BUF_INIT;
	struct key k = key_fact("chain");
	struct rd r = rd_of(ops, len);
	uint32_t n = 0;
	uint8_t kind;
	int more = 0;

	buf_put8(&chain, 1);
	buf_put64(&chain, number);
	buf_put(&chain, sum, SUM128_LEN);
	if (!v || buf_error(&chain))
		return -ENOMEM;
	while (n < n_ops) {
		struct dynfs_meta_op *o = &v[n];

		more = batch_next(&r, &kind, &o->key.data, &o->key.len,
				  &o->value.data, &o->value.len);
		if (more <= 0)
			return -EUCLEAN;
		o->kind = kind;
		n++;
	}
	v[n++] = (struct dynfs_meta_op){ .kind = DYNFS_META_PUT,
					 .key = { k.data, k.len },
					 .value = { chain.data, chain.len } };
	return apply_surely(e, number, v, n);
}
