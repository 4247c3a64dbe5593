/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What dynfs/meta.h promises, for each engine: `test_contract ENGINE`.
 */
#include "model.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define KEYS   600
#define MEMORY (16u << 20)
#define CREATE DYNFS_META_OPEN_CREATE

static const char *engine_name;

struct rig {
	struct engine *e;
	struct model *m;
	char *top;  /* a folder */
	char *path; /* the engine's, in top */
	uint64_t seed;
};

static int rig_up(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));
	uint64_t applied = 77;

	assert_non_null(r);
	r->seed = random_seed();
	r->m = model_new(r->seed, KEYS);
	r->e = engine_new(engine_name, NULL);
	r->top = folder_new();
	r->path = folder_join(r->top, "engine");
	assert_int_equal(engine_open(r->e, r->path, CREATE, MEMORY, &applied),
			 0);
	assert_int_equal(applied, 0);
	*state = r;
	return 0;
}

static int rig_down(void **state)
{
	struct rig *r = *state;

	engine_free(r->e);
	model_free(r->m);
	folder_drop(r->top);
	free(r->path);
	free(r);
	return 0;
}

static int rig_apply(struct rig *r, uint64_t number,
		     const struct dynfs_meta_op *ops, uint32_t n)
{
	return r->e->ops->apply(r->e->self, number, ops, n);
}

static void an_empty_engine_has_nothing(void **state)
{
	struct rig *r = *state;

	assert_int_equal(model_compare(r->m, r->e), 0);
}

static void random_batches_read_back_as_in_the_model(void **state)
{
	struct rig *r = *state;

	for (int i = 0; i < 1200; ++i) {
		model_step(r->m, r->e);
		if (i % 100 == 7)
			assert_int_equal(r->e->ops->flush(r->e->self), 0);
		if (i % 60 == 0)
			assert_int_equal(model_compare(r->m, r->e), 0);
	}
	assert_int_equal(model_compare(r->m, r->e), 0);
}

static void a_scan_sees_the_moment_it_was_opened(void **state)
{
	struct rig *r = *state;
	struct dynfs_meta_span none = { NULL, 0 };
	struct dynfs_meta_iter *its[8];
	struct model *then[8];

	for (int i = 0; i < 8; ++i) {
		for (int k = 0; k < 100; ++k)
			model_step(r->m, r->e);
		then[i] = model_copy(r->m);
		assert_int_equal(
		    r->e->ops->scan(r->e->self, none, none, &its[i]), 0);
		if (i == 4)
			assert_int_equal(r->e->ops->flush(r->e->self), 0);
	}
	for (int i = 0; i < 8; ++i) {
		assert_int_equal(
		    model_compare_iter(then[i], r->e, its[i], 0, then[i]->n),
		    0);
		model_free(then[i]);
		for (int k = 0; k < 30; ++k)
			model_step(r->m, r->e);
	}
}

static void an_iterator_stays_at_its_end(void **state)
{
	struct rig *r = *state;
	struct dynfs_meta_span none = { NULL, 0 }, key, value;
	struct dynfs_meta_iter *it;

	model_step(r->m, r->e);
	assert_int_equal(r->e->ops->scan(r->e->self, none, none, &it), 0);
	while (r->e->ops->next(r->e->self, it, &key, &value) > 0)
		;
	for (int i = 0; i < 3; ++i)
		assert_int_equal(r->e->ops->next(r->e->self, it, &key, &value),
				 0);
	r->e->ops->scan_end(r->e->self, it);
}

static void numbers_only_grow(void **state)
{
	struct rig *r = *state;
	struct dynfs_meta_op put = { .kind = DYNFS_META_PUT,
				     .key = { "k", 1 },
				     .value = { "v", 1 } };
	uint64_t applied;

	for (int i = 0; i < 10; ++i)
		model_step(r->m, r->e);
	assert_int_equal(rig_apply(r, 10, &put, 1), -EINVAL);
	assert_int_equal(rig_apply(r, 3, &put, 1), -EINVAL);
	assert_int_equal(rig_apply(r, 0, &put, 1), -EINVAL);
	assert_int_equal(model_compare(r->m, r->e), 0);
	/* gaps are the core's business, and a batch may be empty */
	assert_int_equal(rig_apply(r, 1ull << 40, NULL, 0), 0);
	assert_int_equal(rig_apply(r, 1ull << 40, NULL, 0), -EINVAL);
	assert_int_equal(r->e->ops->flush(r->e->self), 0);
	engine_close(r->e);
	assert_int_equal(engine_open(r->e, r->path, 0, MEMORY, &applied), 0);
	assert_int_equal(applied, 1ull << 40);
	assert_int_equal(rig_apply(r, 1ull << 40, NULL, 0), -EINVAL);
	assert_int_equal(model_compare(r->m, r->e), 0);
}

static void unexpected(void *ctx, uint32_t i, struct dynfs_meta_span value)
{
	(void)ctx;
	(void)value;
	fail_msg("found key %u", i);
}

static void what_breaks_the_limits_is_refused_whole(void **state)
{
	static const uint8_t big[DYNFS_META_KEY_MAX + 1] = { 1 };
	struct rig *r = *state;
	struct dynfs_meta_op good = { .kind = DYNFS_META_PUT,
				      .key = { "good", 4 },
				      .value = { "v", 1 } };
	struct dynfs_meta_op bad[6] = { good, good, good, good, good, good };

	bad[0].key.len = 0;
	bad[1].key = (struct dynfs_meta_span){ "\0", 1 };
	bad[2].key = (struct dynfs_meta_span){ "\0abc", 4 };
	bad[3].key = (struct dynfs_meta_span){ big, sizeof(big) };
	bad[4].kind = 3;
	bad[5].value.len = DYNFS_META_VALUE_MAX + 1;
	for (int i = 0; i < 6; ++i) {
		struct dynfs_meta_op ops[3] = { good, bad[i], good };
		uint64_t before = r->e->host.n_fails;

		assert_int_equal(rig_apply(r, 5, ops, 3), -EINVAL);
		assert_true(r->e->host.n_fails > before);
		if (i < 4)
			assert_int_equal(r->e->ops->get(r->e->self, &bad[i].key,
							1, unexpected, NULL),
					 -EINVAL);
	}
	assert_int_equal(
	    r->e->ops->get(r->e->self, &good.key, 1, unexpected, NULL), 0);
	assert_int_equal(model_compare(r->m, r->e), 0);
}

struct taken {
	const void *data;
	size_t len;
	int n;
};

static void take(void *ctx, uint32_t i, struct dynfs_meta_span value)
{
	struct taken *t = ctx;

	(void)i;
	++t->n;
	assert_int_equal(value.len, t->len);
	assert_memory_equal(value.data, t->data, t->len);
}

static void the_largest_key_and_value_fit(void **state)
{
	struct rig *r = *state;
	uint8_t *key = malloc(DYNFS_META_KEY_MAX);
	uint8_t *value = malloc(DYNFS_META_VALUE_MAX);
	struct dynfs_meta_op op = { .kind = DYNFS_META_PUT };
	struct taken t = { value, DYNFS_META_VALUE_MAX, 0 };
	uint64_t rnd = r->seed, applied;

	assert_non_null(key);
	assert_non_null(value);
	memset(key, 0xff, DYNFS_META_KEY_MAX);
	for (size_t i = 0; i + 8 <= DYNFS_META_VALUE_MAX; i += 8) {
		uint64_t v = random_next(&rnd);

		memcpy(value + i, &v, sizeof(v));
	}
	op.key = (struct dynfs_meta_span){ key, DYNFS_META_KEY_MAX };
	op.value = (struct dynfs_meta_span){ value, DYNFS_META_VALUE_MAX };
	assert_int_equal(rig_apply(r, 1, &op, 1), 0);
	assert_int_equal(r->e->ops->flush(r->e->self), 0);
	engine_close(r->e);
	assert_int_equal(engine_open(r->e, r->path, 0, MEMORY, &applied), 0);
	assert_int_equal(r->e->ops->get(r->e->self, &op.key, 1, take, &t), 0);
	assert_int_equal(t.n, 1);
	free(key);
	free(value);
}

static void flush_survives_close_and_open(void **state)
{
	struct rig *r = *state;
	uint64_t applied = 0;

	for (int round = 0; round < 5; ++round) {
		for (int i = 0; i < 150; ++i)
			model_step(r->m, r->e);
		assert_int_equal(r->e->ops->flush(r->e->self), 0);
		assert_int_equal(r->e->ops->flush(r->e->self), 0);
		engine_close(r->e);
		assert_int_equal(engine_open(r->e, r->path, round % 2 * CREATE,
					     MEMORY, &applied),
				 0);
		assert_int_equal(applied, r->m->applied);
		assert_int_equal(model_compare(r->m, r->e), 0);
	}
}

static void close_without_flush_leaves_a_whole_prefix(void **state)
{
	struct rig *r = *state;
	uint64_t applied = 0, flushed = 0;

	for (int i = 0; i < 300; ++i) {
		model_step(r->m, r->e);
		if (i == 200) {
			assert_int_equal(r->e->ops->flush(r->e->self), 0);
			flushed = r->m->applied;
		}
	}
	engine_close(r->e);
	assert_int_equal(engine_open(r->e, r->path, 0, MEMORY, &applied), 0);
	assert_true(applied >= flushed && applied <= r->m->applied);
	model_free(r->m);
	r->m = model_at(r->seed, KEYS, applied);
	assert_int_equal(model_compare(r->m, r->e), 0);
}

static void what_is_not_there_is_not_opened(void **state)
{
	struct rig *r = *state;
	char *none = folder_join(r->top, "none");
	struct engine *e = engine_new(engine_name, NULL);
	struct stat st;
	uint64_t applied;

	assert_int_equal(engine_open(e, none, 0, MEMORY, &applied), -ENOENT);
	assert_int_equal(
	    engine_open(e, none, DYNFS_META_OPEN_RDONLY, MEMORY, &applied),
	    -ENOENT);
	assert_int_equal(engine_open(e, none, DYNFS_META_OPEN_RDONLY | CREATE,
				     MEMORY, &applied),
			 -ENOENT);
	assert_int_equal(stat(none, &st), -1);
	assert_int_equal(mkdir(none, 0700), 0);
	assert_int_equal(engine_open(e, none, 0, MEMORY, &applied), -ENOENT);
	assert_int_equal(engine_open(e, none, CREATE, MEMORY, &applied), 0);
	assert_int_equal(applied, 0);
	/* a second open of one instance */
	e->is_open = 0;
	assert_int_equal(engine_open(e, none, CREATE, MEMORY, &applied),
			 -EBUSY);
	e->is_open = 1;
	engine_free(e);
	free(none);
}

static void reading_only_writes_nothing(void **state)
{
	struct rig *r = *state;
	struct dynfs_meta_op put = { .kind = DYNFS_META_PUT,
				     .key = { "k", 1 },
				     .value = { "v", 1 } };
	char *to = folder_join(r->top, "to");
	uint64_t applied, before;

	for (int i = 0; i < 200; ++i)
		model_step(r->m, r->e);
	assert_int_equal(r->e->ops->flush(r->e->self), 0);
	engine_close(r->e);
	before = folder_hash(r->path);
	assert_int_equal(engine_open(r->e, r->path, DYNFS_META_OPEN_RDONLY,
				     MEMORY, &applied),
			 0);
	assert_int_equal(applied, r->m->applied);
	assert_int_equal(model_compare(r->m, r->e), 0);
	assert_int_equal(rig_apply(r, applied + 1, &put, 1), -EROFS);
	assert_int_equal(r->e->ops->checkpoint(r->e->self, to, &applied),
			 -EROFS);
	assert_int_equal(r->e->ops->flush(r->e->self), 0);
	engine_close(r->e);
	assert_true(folder_hash(r->path) == before);
	free(to);
}

/* Opens a checkpoint and compares it with the model after its number. */
static void checkpoint_check(struct rig *r, const char *path, uint64_t number)
{
	struct engine *e = engine_new(engine_name, NULL);
	struct model *m = model_at(r->seed, KEYS, number);
	uint64_t applied = 0;

	assert_int_equal(engine_open(e, path, 0, MEMORY, &applied), 0);
	assert_int_equal(applied, number);
	assert_int_equal(model_compare(m, e), 0);
	/* it is an engine like any other */
	model_step(m, e);
	assert_int_equal(model_compare(m, e), 0);
	engine_free(e);
	model_free(m);
}

static void a_checkpoint_opens_elsewhere_as_the_state_it_names(void **state)
{
	struct rig *r = *state;
	char *to = folder_join(r->top, "checkpoint");
	char *copy = folder_join(r->top, "copy");
	uint64_t number = 0;

	for (int i = 0; i < 300; ++i)
		model_step(r->m, r->e);
	assert_int_equal(r->e->ops->checkpoint(r->e->self, to, &number), 0);
	assert_int_equal(number, 300);
	assert_int_equal(r->e->ops->checkpoint(r->e->self, to, &number),
			 -EEXIST);
	for (int i = 0; i < 300; ++i)
		model_step(r->m, r->e);
	assert_int_equal(r->e->ops->flush(r->e->self), 0);
	folder_copy(to, copy);
	checkpoint_check(r, copy, number);
	folder_remove(copy);
	assert_int_equal(model_compare(r->m, r->e), 0);
	/* the engine did not write to the files that it shares */
	folder_copy(to, copy);
	checkpoint_check(r, copy, number);
	free(copy);
	free(to);
}

struct checkpointer {
	struct rig *r;
	atomic_int stop;
	uint64_t number[6];
};

static void *checkpoint_often(void *arg)
{
	struct checkpointer *c = arg;

	for (int i = 0; i < 6; ++i) {
		char name[16], *to;

		(void)snprintf(name, sizeof(name), "cp%d", i);
		to = folder_join(c->r->top, name);
		assert_int_equal(
		    c->r->e->ops->checkpoint(c->r->e->self, to, &c->number[i]),
		    0);
		free(to);
	}
	c->stop = 1;
	return NULL;
}

/* Remembers the contents of immutable names and compares the next's. */
static void immutable_check(struct rig *r, const char *a, const char *b)
{
	int n;
	char **names = names_new(a, &n);

	for (int i = 0; i < n && r->e->ops->immutable; ++i) {
		char *fa = folder_join(a, names[i]);
		char *fb = folder_join(b, names[i]);
		uint8_t *da, *db;
		size_t la, lb;
		struct stat st;

		if (r->e->ops->immutable(r->e->self, names[i]) &&
		    stat(fb, &st) == 0) {
			da = file_read(fa, &la);
			db = file_read(fb, &lb);
			assert_int_equal(la, lb);
			assert_memory_equal(da, db, la);
			free(da);
			free(db);
		}
		free(fa);
		free(fb);
	}
	names_free(names, n);
}

static void checkpoints_while_applying_are_whole(void **state)
{
	struct rig *r = *state;
	struct checkpointer c = { .r = r };
	pthread_t thread;

	model_step(r->m, r->e);
	assert_int_equal(pthread_create(&thread, NULL, checkpoint_often, &c),
			 0);
	while (!c.stop && r->m->applied < 30000)
		model_step(r->m, r->e);
	assert_int_equal(pthread_join(thread, NULL), 0);
	for (int i = 0; i < 6; ++i) {
		char a[16], b[16], *pa, *pb;

		(void)snprintf(a, sizeof(a), "cp%d", i);
		(void)snprintf(b, sizeof(b), "cp%d", i ? i - 1 : 0);
		pa = folder_join(r->top, a);
		pb = folder_join(r->top, b);
		assert_true(!i || c.number[i] >= c.number[i - 1]);
		immutable_check(r, pa, pb);
		free(pb);
		free(pa);
	}
	for (int i = 0; i < 6; ++i) {
		char a[16], *pa;

		(void)snprintf(a, sizeof(a), "cp%d", i);
		pa = folder_join(r->top, a);
		checkpoint_check(r, pa, c.number[i]);
		free(pa);
	}
}

#define TWINS 24

static void twin_ops(struct dynfs_meta_op *ops, char keys[TWINS][8],
		     const uint64_t *number)
{
	for (int i = 0; i < TWINS; ++i) {
		(void)snprintf(keys[i], sizeof(keys[i]), "t%02d", i);
		ops[i] = (struct dynfs_meta_op){
			.kind = DYNFS_META_PUT,
			.key = { keys[i], 3 },
			.value = { number, sizeof(*number) },
		};
	}
}

struct twins {
	uint64_t first;
	uint32_t n;
	int bad;
};

static void twin_found(void *ctx, uint32_t i, struct dynfs_meta_span value)
{
	struct twins *t = ctx;
	uint64_t v = 0;

	(void)i;
	if (value.len != sizeof(v)) {
		t->bad = 1;
		return;
	}
	memcpy(&v, value.data, sizeof(v));
	if (!t->n++)
		t->first = v;
	t->bad |= v != t->first;
}

struct reader {
	struct rig *r;
	atomic_int *stop;
	uint64_t rounds;
	int bad;
};

static int twin_scan(struct rig *r, struct twins *t)
{
	struct dynfs_meta_span key, value;
	struct dynfs_meta_span from = { "t", 1 }, to = { "u", 1 };
	struct dynfs_meta_iter *it;
	int err = r->e->ops->scan(r->e->self, from, to, &it);

	if (err)
		return err;
	while ((err = r->e->ops->next(r->e->self, it, &key, &value)) > 0)
		twin_found(t, 0, value);
	r->e->ops->scan_end(r->e->self, it);
	return err;
}

/* All twins are written by each batch, so every reader sees them equal. */
static void *read_twins(void *arg)
{
	struct reader *me = arg;
	struct dynfs_meta_op ops[TWINS];
	struct dynfs_meta_span keys[TWINS];
	char names[TWINS][8];
	uint64_t last = 0;

	twin_ops(ops, names, &last);
	for (int i = 0; i < TWINS; ++i)
		keys[i] = ops[i].key;
	while (!*me->stop && !me->bad) {
		struct twins t = { 0 };
		int err = me->rounds % 4 == 3
			      ? twin_scan(me->r, &t)
			      : me->r->e->ops->get(me->r->e->self, keys, TWINS,
						   twin_found, &t);

		me->bad = err || t.bad || t.n != TWINS || t.first < last;
		last = t.first;
		++me->rounds;
	}
	return NULL;
}

static void readers_see_whole_batches_in_order(void **state)
{
	struct rig *r = *state;
	atomic_int stop = 0;
	struct reader readers[4];
	pthread_t threads[4];
	struct dynfs_meta_op ops[TWINS];
	char names[TWINS][8];
	uint64_t number = 1;

	twin_ops(ops, names, &number);
	assert_int_equal(rig_apply(r, number, ops, TWINS), 0);
	for (int i = 0; i < 4; ++i) {
		readers[i] = (struct reader){ .r = r, .stop = &stop };
		assert_int_equal(
		    pthread_create(&threads[i], NULL, read_twins, &readers[i]),
		    0);
	}
	while (number < 8000) {
		++number;
		assert_int_equal(rig_apply(r, number, ops, TWINS), 0);
		if (number % 1000 == 0)
			assert_int_equal(r->e->ops->flush(r->e->self), 0);
	}
	stop = 1;
	for (int i = 0; i < 4; ++i) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(readers[i].bad, 0);
		assert_true(readers[i].rounds > 0);
	}
}

/* Each allocation of an apply fails in turn. */
static void without_memory_nothing_of_a_batch_is_applied(void **state)
{
	struct rig *r = *state;
	struct model_batch b;
	long failed = 0;

	for (int i = 0; i < 300; ++i)
		model_step(r->m, r->e);
	for (int round = 0; round < 20; ++round) {
		int err;

		model_batch(r->m, r->m->applied + 1, &b);
		for (long nth = 1;; ++nth) {
			testhost_fail_alloc(&r->e->host, (uint64_t)nth);
			err = rig_apply(r, b.number, b.ops, b.n);
			if (r->e->host.fail_alloc > 0)
				break; /* it took fewer */
			assert_true(err == -ENOMEM || err == 0);
			if (!err)
				break;
			++failed;
			assert_int_equal(model_compare(r->m, r->e), 0);
		}
		testhost_fail_alloc(&r->e->host, 0);
		assert_int_equal(err, 0);
		model_apply(r->m, &b);
		assert_int_equal(model_compare(r->m, r->e), 0);
	}
	if (!strcmp(engine_name, "mem"))
		assert_true(failed > 100);
}

static void stats_count_what_is_there(void **state)
{
	struct rig *r = *state;
	struct dynfs_meta_stats before = { .size = sizeof(before) };
	struct dynfs_meta_stats after = { .size = sizeof(after) };
	struct dynfs_meta_op op = { .kind = DYNFS_META_PUT,
				    .value = { "value", 5 } };
	uint64_t n = (uint64_t)r->m->n;

	assert_int_equal(r->e->ops->stats(r->e->self, &before), 0);
	assert_int_equal(before.keys, 0);
	for (uint64_t i = 0; i < n; ++i) {
		op.key = model_key(r->m, (int)i);
		assert_int_equal(rig_apply(r, i + 1, &op, 1), 0);
	}
	assert_int_equal(r->e->ops->flush(r->e->self), 0);
	assert_int_equal(r->e->ops->stats(r->e->self, &after), 0);
	assert_in_range(after.keys, n - 1, n + 1);
	assert_true(after.disk_bytes > 4096);
	assert_true(after.memory_bytes > 0 && after.memory_bytes < MEMORY);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, rig_up, rig_down)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(an_empty_engine_has_nothing),
		CASE(random_batches_read_back_as_in_the_model),
		CASE(a_scan_sees_the_moment_it_was_opened),
		CASE(an_iterator_stays_at_its_end),
		CASE(numbers_only_grow),
		CASE(what_breaks_the_limits_is_refused_whole),
		CASE(the_largest_key_and_value_fit),
		CASE(flush_survives_close_and_open),
		CASE(close_without_flush_leaves_a_whole_prefix),
		CASE(what_is_not_there_is_not_opened),
		CASE(reading_only_writes_nothing),
		CASE(a_checkpoint_opens_elsewhere_as_the_state_it_names),
		CASE(checkpoints_while_applying_are_whole),
		CASE(readers_see_whole_batches_in_order),
		CASE(without_memory_nothing_of_a_batch_is_applied),
		CASE(stats_count_what_is_there),
	};

	engine_name = argc > 1 ? argv[1] : "mem";
	return cmocka_run_group_tests_name(engine_name, tests, NULL, NULL);
}
