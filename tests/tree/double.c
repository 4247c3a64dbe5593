/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metadata double: a sorted array of rows under one lock.  A scan takes
 * one row after the other by its key, so that rows may come and go meanwhile
 * as the contract allows.
 */
#include "double.h"
#include "double_priv.h"

#include <base/cleanup.h>

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct row {
	struct buf key, value;
};

struct meta {
	pthread_mutex_t closing; /* one group closes at a time */
	pthread_mutex_t lock;
	struct row **rows; /* sorted */
	size_t n, cap;
	unsigned fail_in;
	int fail_err;
	unsigned close_every, in_group;
	uint64_t commits;
	atomic_uint_fast64_t reads;
	struct batch sum; /* deltas of the open group */
	struct tree *tree;
};

static uint64_t room_total, room_free;

static int compare(const struct row *r, const void *key, size_t len)
{
	size_t both = r->key.len < len ? r->key.len : len;
	int d = memcmp(r->key.data, key, both);

	return d ? d : (r->key.len > len) - (r->key.len < len);
}

/* The first row that is not below key. */
static size_t row_at(const struct meta *m, const void *key, size_t len)
{
	size_t from = 0, to = m->n;

	while (from < to) {
		size_t mid = (from + to) / 2;

		if (compare(m->rows[mid], key, len) < 0)
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

static bool row_is(const struct meta *m, size_t i, const void *key, size_t len)
{
	return i < m->n && compare(m->rows[i], key, len) == 0;
}

static void row_put(struct meta *m, const void *key, size_t key_len,
		    const void *value, size_t value_len)
{
	size_t i = row_at(m, key, key_len);

	if (!row_is(m, i, key, key_len)) {
		if (m->n == m->cap) {
			m->cap = m->cap ? m->cap * 2 : 64;
			m->rows = realloc(m->rows, m->cap * sizeof(*m->rows));
			assert(m->rows);
		}
		memmove(m->rows + i + 1, m->rows + i,
			(m->n - i) * sizeof(*m->rows));
		m->rows[i] = calloc(1, sizeof(**m->rows));
		assert(m->rows[i]);
		buf_put(&m->rows[i]->key, key, key_len);
		m->n++;
	}
	buf_clear(&m->rows[i]->value);
	buf_put(&m->rows[i]->value, value, value_len);
}

static void row_delete(struct meta *m, const void *key, size_t key_len)
{
	size_t i = row_at(m, key, key_len);

	if (!row_is(m, i, key, key_len))
		return;
	buf_done(&m->rows[i]->key);
	buf_done(&m->rows[i]->value);
	free(m->rows[i]);
	m->n--;
	memmove(m->rows + i, m->rows + i + 1, (m->n - i) * sizeof(*m->rows));
}

struct meta *double_meta_new(void)
{
	struct meta *m = calloc(1, sizeof(*m));

	assert(m);
	(void)pthread_mutex_init(&m->closing, NULL);
	(void)pthread_mutex_init(&m->lock, NULL);
	batch_init(&m->sum);
	return m;
}

void double_meta_free(struct meta *m)
{
	for (size_t i = 0; i < m->n; i++) {
		buf_done(&m->rows[i]->key);
		buf_done(&m->rows[i]->value);
		free(m->rows[i]);
	}
	free(m->rows);
	batch_done(&m->sum);
	(void)pthread_mutex_destroy(&m->lock);
	(void)pthread_mutex_destroy(&m->closing);
	free(m);
}

void double_fail_commit(struct meta *m, unsigned nth, int err)
{
	AUTOLOCK(&m->lock);
	m->fail_in = nth;
	m->fail_err = err;
}

void double_close_every(struct meta *m, unsigned n)
{
	AUTOLOCK(&m->lock);
	m->close_every = n;
}

uint64_t double_commits(struct meta *m)
{
	AUTOLOCK(&m->lock);
	return m->commits;
}

uint64_t double_reads(struct meta *m)
{
	return atomic_load(&m->reads);
}

uint64_t double_keys(struct meta *m, char kind)
{
	uint64_t n = 0;

	AUTOLOCK(&m->lock);
	for (size_t i = 0; i < m->n; i++)
		n += m->rows[i]->key.data[0] == (uint8_t)kind;
	return n;
}

/* ---- the contract of meta.h ------------------------------------------ */

int meta_get(struct meta *m, const void *key, size_t key_len,
	     struct buf *ret_value)
{
	size_t i;

	atomic_fetch_add(&m->reads, 1);
	AUTOLOCK(&m->lock);
	i = row_at(m, key, key_len);
	if (!row_is(m, i, key, key_len))
		return -ENOENT;
	buf_clear(ret_value);
	buf_put(ret_value, m->rows[i]->value.data, m->rows[i]->value.len);
	return buf_error(ret_value);
}

/* Copies the next row at or after key; false: there is none. */
static bool next_row(struct meta *m, const struct buf *key, struct row *ret)
{
	size_t i;

	AUTOLOCK(&m->lock);
	i = row_at(m, key->data, key->len);
	if (i == m->n)
		return false;
	buf_clear(&ret->key);
	buf_clear(&ret->value);
	buf_put(&ret->key, m->rows[i]->key.data, m->rows[i]->key.len);
	buf_put(&ret->value, m->rows[i]->value.data, m->rows[i]->value.len);
	return true;
}

int meta_scan(struct meta *m, const void *from, size_t from_len, const void *to,
	      size_t to_len,
	      int (*each)(void *ctx, const void *key, size_t key_len,
			  const void *value, size_t value_len),
	      void *ctx)
{
	AUTOBUF struct buf at = BUF_INIT;
	struct row row = { BUF_INIT, BUF_INIT };
	int r = 0;

	atomic_fetch_add(&m->reads, 1);
	buf_put(&at, from, from_len);
	while (!r && next_row(m, &at, &row)) {
		bool inside =
		    to_len ? compare(&row, to, to_len) < 0
			   : row.key.len >= from_len &&
				 memcmp(row.key.data, from, from_len) == 0;

		if (!inside)
			break;
		r = each(ctx, row.key.data, row.key.len, row.value.data,
			 row.value.len);
		buf_clear(&at);
		buf_put(&at, row.key.data, row.key.len);
		buf_put8(&at, 0);
	}
	buf_done(&row.key);
	buf_done(&row.value);
	return r == 1 ? 0 : r;
}

static void apply(struct meta *m, const struct batch *b)
{
	struct rd rd = rd_of(b->ops.data, b->ops.len);
	const void *key, *value;
	size_t key_len, value_len;
	uint8_t kind;

	while (batch_next(&rd, &kind, &key, &key_len, &value, &value_len) > 0) {
		if (kind == 1)
			row_put(m, key, key_len, value, value_len);
		else
			row_delete(m, key, key_len);
	}
	for (uint32_t i = 0; i < b->n_deltas; i++)
		batch_count(&m->sum, b->deltas[i].kind, b->deltas[i].id,
			    b->deltas[i].inodes, b->deltas[i].bytes);
}

/* All commits wait meanwhile, as in a group that takes no more. */
void double_close_group(struct meta *m)
{
	struct batch last;

	AUTOLOCK(&m->closing);
	(void)pthread_mutex_lock(&m->lock);
	last = m->sum;
	batch_init(&m->sum);
	m->in_group = 0;
	(void)pthread_mutex_unlock(&m->lock);
	if (m->tree)
		tree_closing_hook(m->tree, &last);
	last.n_deltas = 0;
	(void)pthread_mutex_lock(&m->lock);
	apply(m, &last);
	(void)pthread_mutex_unlock(&m->lock);
	batch_done(&last);
}

static int commit_locked(struct meta *m, struct batch *b)
{
	AUTOLOCK(&m->lock);
	if (b->error)
		return b->error;
	if (m->fail_in && --m->fail_in == 0)
		return m->fail_err;
	apply(m, b);
	m->commits++;
	return m->close_every && ++m->in_group >= m->close_every;
}

int meta_admit(struct meta *m)
{
	(void)m;
	return 0;
}

int meta_commit(struct meta *m, struct batch *b, uint64_t *ret_number)
{
	int r = commit_locked(m, b);

	if (r < 0)
		return r;
	batch_clear(b);
	if (r)
		double_close_group(m);
	if (ret_number)
		*ret_number = 1;
	return 0;
}

int meta_sync(struct meta *m, uint64_t number)
{
	(void)m;
	return number == 1 ? 0 : -EINVAL;
}

uint64_t meta_open_number(struct meta *m)
{
	(void)m;
	return 1;
}

/* ---- what else the tree asks ----------------------------------------- */

uint64_t extents_reserve(uint64_t total)
{
	return total / 64;
}

void extents_capacity(struct extents *x, const struct policy *p,
		      uint64_t *ret_total, uint64_t *ret_free)
{
	(void)x;
	(void)p;
	*ret_total = room_total;
	*ret_free = room_free;
}

void double_room(uint64_t total, uint64_t free_bytes)
{
	room_total = total;
	room_free = free_bytes;
}

void double_open(struct meta *m, struct files **ret_files,
		 struct tree **ret_tree)
{
	struct tree_how how = { .meta = m, .files = double_files_new(m) };
	int r;

	if (!room_total)
		double_room(UINT64_C(1) << 40, UINT64_C(1) << 39);
	for (unsigned i = 0; i < sizeof(how.name_key); i++)
		how.name_key[i] = (uint8_t)i;
	r = tree_new(&how, ret_tree);
	assert(r == 0);
	(void)r;
	m->tree = *ret_tree;
	*ret_files = how.files;
}

void double_close(struct meta *m, struct files *f, struct tree *t)
{
	tree_close_files(t);
	double_files_flush(f);
	double_close_group(m);
	m->tree = NULL;
	tree_free(t);
	double_files_free(f);
}
