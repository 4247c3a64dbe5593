/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Batches: operations in the encoding of the log, so that a commit is one
 * copy of bytes into the open group and a replay is the same walk as any.
 * The first error sticks and is what meta_commit() answers.
 */
#include <meta/internal.h>

#include <errno.h>
#include <stdlib.h>

void batch_init(struct batch *b)
{
	*b = (struct batch){ .ops = BUF_INIT };
}

void batch_done(struct batch *b)
{
	buf_done(&b->ops);
	free(b->touched);
	free(b->deltas);
	batch_init(b);
}

void batch_clear(struct batch *b)
{
	buf_clear(&b->ops);
	b->n_ops = 0;
	b->n_touched = 0;
	b->n_deltas = 0;
	b->error = 0;
}

static void batch_fail(struct batch *b, int err)
{
	if (!b->error)
		b->error = err;
}

static void batch_op(struct batch *b, uint8_t kind, const void *key,
		     size_t key_len)
{
	if (!key_len || key_len > META_KEY_MAX || !*(const uint8_t *)key)
		batch_fail(b, -EINVAL);
	if (b->error)
		return;
	buf_put8(&b->ops, kind);
	buf_put_var(&b->ops, key_len);
	buf_put(&b->ops, key, key_len);
	b->n_ops++;
}

void batch_put(struct batch *b, const void *key, size_t key_len,
	       const void *value, size_t value_len)
{
	if (value_len > META_VALUE_MAX)
		batch_fail(b, -EINVAL);
	batch_op(b, DYNFS_META_PUT, key, key_len);
	if (b->error)
		return;
	buf_put_var(&b->ops, value_len);
	buf_put(&b->ops, value, value_len);
	if (buf_error(&b->ops))
		batch_fail(b, buf_error(&b->ops));
}

void batch_delete(struct batch *b, const void *key, size_t key_len)
{
	batch_op(b, DYNFS_META_DELETE, key, key_len);
	if (buf_error(&b->ops))
		batch_fail(b, buf_error(&b->ops));
}

void batch_touch(struct batch *b, uint32_t disk, uint64_t token)
{
	struct batch_touch *v;

	for (uint32_t i = 0; i < b->n_touched; i++) {
		if (b->touched[i].disk != disk)
			continue;
		if (b->touched[i].token < token)
			b->touched[i].token = token;
		return;
	}
	if (b->n_touched == b->cap_touched) {
		uint32_t cap = b->cap_touched ? b->cap_touched * 2 : 8;

		v = (struct batch_touch *)realloc(b->touched, cap * sizeof(*v));
		if (!v) {
			batch_fail(b, -ENOMEM);
			return;
		}
		b->touched = v;
		b->cap_touched = cap;
	}
	b->touched[b->n_touched++] = (struct batch_touch){ disk, token };
}

void batch_count(struct batch *b, uint8_t kind, uint32_t id, int64_t inodes,
		 int64_t bytes)
{
	struct batch_delta *d;

	for (uint32_t i = 0; i < b->n_deltas; i++) {
		d = &b->deltas[i];
		if (d->kind != kind || d->id != id)
			continue;
		/* sums may wrap on the way and be right in the end */
		d->inodes = (int64_t)((uint64_t)d->inodes + (uint64_t)inodes);
		d->bytes = (int64_t)((uint64_t)d->bytes + (uint64_t)bytes);
		return;
	}
	if (b->n_deltas == b->cap_deltas) {
		uint32_t cap = b->cap_deltas ? b->cap_deltas * 2 : 4;

		d = (struct batch_delta *)realloc(b->deltas, cap * sizeof(*d));
		if (!d) {
			batch_fail(b, -ENOMEM);
			return;
		}
		b->deltas = d;
		b->cap_deltas = cap;
	}
	b->deltas[b->n_deltas++] = (struct batch_delta){
		.kind = kind, .id = id, .inodes = inodes, .bytes = bytes
	};
}

int batch_sum(struct batch *sum, const struct batch *b)
{
	/* room first: a sum of half a batch would be wrong for ever */
	uint32_t cap_t = sum->n_touched + b->n_touched;
	uint32_t cap_d = sum->n_deltas + b->n_deltas;
	void *v;

	if (cap_t > sum->cap_touched) {
		v = realloc(sum->touched,
			    (size_t)cap_t * 2 * sizeof(*sum->touched));
		if (!v)
			return -ENOMEM;
		sum->touched = (struct batch_touch *)v;
		sum->cap_touched = 2 * cap_t;
	}
	if (cap_d > sum->cap_deltas) {
		v = realloc(sum->deltas,
			    (size_t)cap_d * 2 * sizeof(*sum->deltas));
		if (!v)
			return -ENOMEM;
		sum->deltas = (struct batch_delta *)v;
		sum->cap_deltas = 2 * cap_d;
	}
	for (uint32_t i = 0; i < b->n_touched; i++)
		batch_touch(sum, b->touched[i].disk, b->touched[i].token);
	for (uint32_t i = 0; i < b->n_deltas; i++)
		batch_count(sum, b->deltas[i].kind, b->deltas[i].id,
			    b->deltas[i].inodes, b->deltas[i].bytes);
	return 0;
}

int batch_next(struct rd *r, uint8_t *ret_kind, const void **ret_key,
	       size_t *ret_key_len, const void **ret_value,
	       size_t *ret_value_len)
{
	const void *key, *value = NULL;
	size_t key_len, value_len = 0;
	uint64_t len;
	uint8_t kind;

	if (r->error)
		return -EUCLEAN;
	if (!rd_left(r))
		return 0;
	kind = rd8(r);
	len = rd_var(r);
	if ((kind != DYNFS_META_PUT && kind != DYNFS_META_DELETE) || !len ||
	    len > META_KEY_MAX)
		r->error = -EUCLEAN;
	key_len = (size_t)len;
	key = rd_bytes(r, key_len);
	if (kind == DYNFS_META_PUT) {
		len = rd_var(r);
		if (len > META_VALUE_MAX)
			r->error = -EUCLEAN;
		value_len = (size_t)len;
		value = rd_bytes(r, value_len);
	}
	if (r->error || !*(const uint8_t *)key) {
		r->error = -EUCLEAN;
		return -EUCLEAN;
	}
	*ret_kind = kind;
	*ret_key = key;
	*ret_key_len = key_len;
	*ret_value = value;
	*ret_value_len = value_len;
	return 1;
}
