/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model of the engine tests.  Keys are short strings over few bytes,
 * 0x00 and 0xff among them, so that many begin with one another; an order
 * that compares as signed bytes or longer first shows at once.
 */
#include "model.h"

#include "seeded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

uint64_t random_next(uint64_t *state)
{
	return rnd(state);
}

uint64_t random_seed(void)
{
	const char *given =
	    getenv("DYNFS_TEST_SEED"); /* NOLINT(concurrency-mt-unsafe) */
	struct timespec ts;
	uint64_t seed;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	seed = (uint64_t)ts.tv_sec * 1000003u + (uint64_t)ts.tv_nsec;
	if (given)
		seed = strtoull(given, NULL, 0);
	print_message("DYNFS_TEST_SEED=%llu\n", (unsigned long long)seed);
	return seed;
}

static int key_order(const void *a, const void *b)
{
	const struct model_key *x = a, *y = b;

	for (int i = 0; i < x->len && i < y->len; ++i)
		if (x->bytes[i] != y->bytes[i])
			return x->bytes[i] < y->bytes[i] ? -1 : 1;
	return x->len - y->len;
}

static void key_make(struct model_key *k, uint64_t *state)
{
	static const uint8_t alphabet[] = { 1, 0xff, 'a', 'b', 0x7f, 0x80, 0 };

	k->len = (uint8_t)(1 + random_next(state) % 12);
	if (random_next(state) % 8 == 0)
		k->len = MODEL_KEY_MAX;
	for (int i = 0; i < k->len; ++i)
		k->bytes[i] =
		    alphabet[random_next(state) % (sizeof(alphabet) - !i)];
}

struct model *model_new(uint64_t seed, int n)
{
	struct model *m = calloc(1, sizeof(*m));
	uint64_t state = seed;
	int kept = 1;

	assert_non_null(m);
	m->keys = calloc((size_t)n, sizeof(m->keys[0]));
	m->version = calloc((size_t)n, sizeof(m->version[0]));
	assert_non_null(m->keys);
	assert_non_null(m->version);
	for (int i = 0; i < n; ++i)
		key_make(&m->keys[i], &state);
	qsort(m->keys, (size_t)n, sizeof(m->keys[0]), key_order);
	for (int i = 1; i < n; ++i)
		if (key_order(&m->keys[kept - 1], &m->keys[i]) != 0)
			m->keys[kept++] = m->keys[i];
	m->n = kept;
	m->seed = seed;
	return m;
}

struct model *model_copy(const struct model *m)
{
	struct model *c = calloc(1, sizeof(*c));
	size_t n = (size_t)m->n;

	assert_non_null(c);
	*c = *m;
	c->keys = calloc(n, sizeof(c->keys[0]));
	c->version = calloc(n, sizeof(c->version[0]));
	assert_non_null(c->keys);
	assert_non_null(c->version);
	memcpy(c->keys, m->keys, n * sizeof(c->keys[0]));
	memcpy(c->version, m->version, n * sizeof(c->version[0]));
	return c;
}

void model_free(struct model *m)
{
	free(m->keys);
	free(m->version);
	free(m);
}

struct dynfs_meta_span model_key(const struct model *m, int i)
{
	return (struct dynfs_meta_span){ m->keys[i].bytes, m->keys[i].len };
}

size_t model_value(const struct model *m, int i, uint64_t version,
		   uint8_t out[MODEL_VALUE_MAX])
{
	uint64_t state = m->seed ^ (version << 20) ^ (uint64_t)i;
	size_t len = random_next(&state) % 100;

	if (random_next(&state) % 16 == 0)
		len = random_next(&state) % MODEL_VALUE_MAX;
	for (size_t k = 0; k < len; ++k)
		out[k] = (uint8_t)random_next(&state);
	return len;
}

void model_batch(const struct model *m, uint64_t number, struct model_batch *b)
{
	uint64_t state = m->seed + number * 0x1000193u;
	/* times of growth and times of decay */
	uint64_t deletes = number / 200 % 2 ? 6 : 3;

	b->number = number;
	b->n = (uint32_t)(random_next(&state) % (MODEL_OPS_MAX + 1));
	for (uint32_t i = 0; i < b->n; ++i) {
		int k = (int)(random_next(&state) % (uint64_t)m->n);
		struct dynfs_meta_op *op = &b->ops[i];

		b->index[i] = k;
		*op = (struct dynfs_meta_op){ .kind = DYNFS_META_PUT,
					      .key = model_key(m, k) };
		if (random_next(&state) % 10 < deletes) {
			op->kind = DYNFS_META_DELETE;
			continue;
		}
		op->value.data = b->values[i];
		op->value.len = model_value(m, k, number, b->values[i]);
	}
}

void model_apply(struct model *m, const struct model_batch *b)
{
	for (uint32_t i = 0; i < b->n; ++i)
		m->version[b->index[i]] =
		    b->ops[i].kind == DYNFS_META_PUT ? b->number : 0;
	m->applied = b->number;
}

void model_step(struct model *m, struct engine *e)
{
	struct model_batch b;

	model_batch(m, m->applied + 1, &b);
	assert_int_equal(e->ops->apply(e->self, b.number, b.ops, b.n), 0);
	model_apply(m, &b);
}

struct model *model_at(uint64_t seed, int n, uint64_t number)
{
	struct model *m = model_new(seed, n);
	struct model_batch b;

	while (m->applied < number) {
		model_batch(m, m->applied + 1, &b);
		model_apply(m, &b);
	}
	return m;
}

static int key_differs(const struct model *m, int i, struct dynfs_meta_span key)
{
	return key.len != m->keys[i].len ||
	       memcmp(key.data, m->keys[i].bytes, key.len) != 0;
}

static int value_differs(const struct model *m, int i,
			 struct dynfs_meta_span value)
{
	uint8_t want[MODEL_VALUE_MAX] = { 0 };
	size_t len = model_value(m, i, m->version[i], want);

	return value.len != len || (len && memcmp(value.data, want, len) != 0);
}

int model_compare_iter(const struct model *m, struct engine *e,
		       struct dynfs_meta_iter *it, int from, int to)
{
	struct dynfs_meta_span key, value;
	int r = 0, wrong = 0;

	for (int i = from; i < to && !wrong && r >= 0; ++i) {
		if (!m->version[i])
			continue;
		r = e->ops->next(e->self, it, &key, &value);
		if (r < 0)
			break;
		wrong = r != 1 || key_differs(m, i, key) ||
			value_differs(m, i, value);
	}
	if (!wrong && r >= 0) {
		r = e->ops->next(e->self, it, &key, &value);
		wrong = r > 0;
	}
	e->ops->scan_end(e->self, it);
	return r < 0 ? r : wrong;
}

static int compare_range(const struct model *m, struct engine *e, int from,
			 int to)
{
	struct dynfs_meta_span none = { NULL, 0 };
	struct dynfs_meta_iter *it;
	int err = e->ops->scan(e->self, from ? model_key(m, from) : none,
			       to < m->n ? model_key(m, to) : none, &it);

	return err ? err : model_compare_iter(m, e, it, from, to);
}

struct compare_gets {
	const struct model *m;
	int index[64];
	uint32_t n, next; /* found() comes in order */
	int wrong;
};

static void compare_found(void *ctx, uint32_t i, struct dynfs_meta_span value)
{
	struct compare_gets *g = ctx;
	int k = g->index[i];

	while (g->next < i)
		g->wrong |= g->m->version[g->index[g->next++]] != 0;
	g->wrong |= g->next++ != i || !g->m->version[k] ||
		    value_differs(g->m, k, value);
}

static int compare_gets(const struct model *m, struct engine *e,
			uint64_t *state)
{
	struct compare_gets g = { .m = m };
	struct dynfs_meta_span keys[64];
	int err;

	g.n = (uint32_t)(random_next(state) % 64);
	if (random_next(state) % 2)
		g.n = 1;
	for (uint32_t i = 0; i < g.n; ++i) {
		g.index[i] = (int)(random_next(state) % (uint64_t)m->n);
		keys[i] = model_key(m, g.index[i]);
	}
	err = e->ops->get(e->self, keys, g.n, compare_found, &g);
	while (g.next < g.n)
		g.wrong |= m->version[g.index[g.next++]] != 0;
	return err ? err : g.wrong;
}

int model_compare(const struct model *m, struct engine *e)
{
	uint64_t state = m->seed ^ m->applied;
	int r = compare_range(m, e, 0, m->n);

	for (int i = 0; i < 20 && !r; ++i) {
		int a = (int)(random_next(&state) % (uint64_t)m->n);
		int b = (int)(random_next(&state) % (uint64_t)m->n);

		/* also ranges that are empty or the wrong way round */
		r = compare_range(m, e, a, b);
		if (!r)
			r = compare_gets(m, e, &state);
	}
	return r;
}
