/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who waits for a group while the commit thread sleeps writes it; the commit
 * thread then brings it into the index without being asked; and when several
 * wait at once, or the log fails, nobody is left behind.
 */
#include "simdisks.h"

#include <base/cleanup.h>
#include <base/fail.h>
#include <meta/internal.h>
#include <registry/registry.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_S 60
#define SYNCS      100u
#define WRITERS    4u

struct turn {
	struct simos *sim;
	struct disks *disks;
	struct reg *reg;
	struct meta *meta;
	atomic_uint n_own;    /* rounds of a thread that waited for them */
	atomic_uint n_rounds; /* all */
	atomic_ullong in_index;
};

static _Thread_local bool waits;

/* So many groups find no memory. */
static atomic_int poor;

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *__wrap_calloc(size_t n, size_t size)
{
	if (n == 1 && size == sizeof(struct group) && atomic_load(&poor)) {
		atomic_fetch_sub(&poor, 1);
		return NULL;
	}
	return __real_calloc(n, size);
}

static void hook_closing(void *ctx, struct batch *b)
{
	struct turn *t = (struct turn *)ctx;

	(void)b;
	atomic_fetch_add(&t->n_rounds, 1);
	if (waits)
		atomic_fetch_add(&t->n_own, 1);
}

static void hook_durable(void *ctx, uint64_t number)
{
	atomic_store(&((struct turn *)ctx)->in_index, number);
}

static void turn_start(struct turn *t, bool create)
{
	struct meta_how how = {
		.engine_plugin = "mem",
		.copies = 3,
		.memory_bytes = 64u << 20,
		.group_bytes = 1u << 20,
		.group_ns = 3600000000000u, /* nothing happens by itself */
		.log_bytes = 1u << 30,
		.create = create,
		.hooks = { .ctx = t,
			   .closing = hook_closing,
			   .durable = hook_durable },
	};

	assert_int_equal(simdisks_open(t->sim, &t->disks), 0);
	how.os = simos_os(t->sim);
	how.disks = t->disks;
	how.reg = t->reg;
	assert_int_equal(meta_open(&how, &t->meta), 0);
	(void)alarm(PATIENCE_S);
}

static void turn_open(struct turn *t)
{
	memset(t, 0, sizeof(*t));
	assert_int_equal(reg_open(NULL, &t->reg), 0);
	t->sim = simos_new(1);
	assert_non_null(t->sim);
	assert_int_equal(simdisks_create(t->sim), 0);
	turn_start(t, true);
}

static int turn_stop(struct turn *t)
{
	int r = meta_close(t->meta);

	(void)alarm(0);
	simdisks_close(t->disks);
	return r;
}

static void turn_close(struct turn *t)
{
	(void)turn_stop(t);
	simos_free(t->sim);
	reg_close(t->reg);
}

static void nap(void)
{
	const struct timespec pause = { 0, 1000000 };

	(void)nanosleep(&pause, NULL);
}

static int put(struct turn *t, unsigned who, unsigned i, uint64_t *ret_number)
{
	AUTOBATCH struct batch b;
	char key[32];

	batch_init(&b);
	(void)snprintf(key, sizeof(key), "k%u-%06u", who, i);
	batch_put(&b, key, strlen(key), "v", 1);
	return meta_commit(t->meta, &b, ret_number);
}

static int put_one_and_wait(struct turn *t, unsigned who, unsigned i)
{
	uint64_t number = 0;
	int r = put(t, who, i, &number);

	if (!r)
		r = meta_sync(t->meta, number);
	return r || meta_durable_number(t->meta) >= number ? r : -EBADMSG;
}

/* 0, or the first error. */
static int put_and_wait(struct turn *t, unsigned who)
{
	int r = 0;

	waits = true;
	for (unsigned i = 0; !r && i < SYNCS; i++)
		r = put_one_and_wait(t, who, i);
	waits = false;
	return r;
}

/* Everything that is durable, and nobody asks. */
static void wait_for_index(struct turn *t)
{
	while (atomic_load(&t->in_index) < meta_durable_number(t->meta))
		nap();
}

static void who_waits_writes(void **state)
{
	struct turn t;

	(void)state;
	turn_open(&t);
	assert_int_equal(put_and_wait(&t, 0), 0);
	assert_true(atomic_load(&t.n_rounds) >= SYNCS);
	/* the commit thread is awake now and then, and writes what it sees */
	assert_true(atomic_load(&t.n_own) > 0);
	wait_for_index(&t);
	turn_close(&t);
}

/* A long sleep is cut short for what another has written. */
static void the_index_follows_a_single_one(void **state)
{
	struct turn t;

	(void)state;
	turn_open(&t);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(put_one_and_wait(&t, 0, i), 0);
		wait_for_index(&t);
		nap();
	}
	turn_close(&t);
}

struct writer {
	struct turn *t;
	unsigned who;
	int r;
};

static void *writer(void *arg)
{
	struct writer *w = (struct writer *)arg;

	w->r = put_and_wait(w->t, w->who);
	return NULL;
}

static void many_take_turns(struct turn *t, int wanted)
{
	struct writer w[WRITERS];
	pthread_t threads[WRITERS];

	for (unsigned i = 0; i < WRITERS; i++) {
		w[i] = (struct writer){ .t = t, .who = i };
		assert_int_equal(
		    pthread_create(&threads[i], NULL, writer, &w[i]), 0);
	}
	for (unsigned i = 0; i < WRITERS; i++)
		(void)pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < WRITERS; i++)
		assert_int_equal(w[i].r, wanted);
}

static void many_who_wait_all_go_on(void **state)
{
	struct turn t;

	(void)state;
	turn_open(&t);
	many_take_turns(&t, 0);
	wait_for_index(&t);
	assert_true(atomic_load(&t.n_rounds) <= WRITERS * SYNCS);
	turn_close(&t);
}

static void without_a_log_all_are_told(void **state)
{
	const struct simos_fault fault = { .call = SIMOS_SYNC,
					   .nth = 40,
					   .err = -EIO };
	struct turn t;

	(void)state;
	turn_open(&t);
	assert_int_equal(simos_inject(t.sim, &fault), 0);
	many_take_turns(&t, -EROFS);
	turn_close(&t);
}

static bool is_there(struct turn *t, const char *key)
{
	AUTOBUF struct buf value = BUF_INIT;

	return !meta_get(t->meta, key, strlen(key), &value);
}

/* The last group is closed when there is memory for it, not never. */
static void without_memory_at_the_end_nothing_is_lost(void **state)
{
	struct turn t;
	uint64_t number = 0;

	(void)state;
	for (int synced = 0; synced < 20; synced++) {
		turn_open(&t);
		assert_int_equal(put_and_wait(&t, 0), 0);
		assert_int_equal(put(&t, 1, 0, &number), 0);
		if (synced)
			assert_int_equal(meta_sync(t.meta, number), 0);
		atomic_store(&poor, 2);
		assert_int_equal(turn_stop(&t), 0);
		atomic_store(&poor, 0);
		turn_start(&t, false);
		assert_true(is_there(&t, "k0-000099"));
		assert_true(is_there(&t, "k1-000000"));
		turn_close(&t);
	}
}

/* What the caller was about to say is not lost in work for all. */
static void who_writes_keeps_its_words(void **state)
{
	struct turn t;
	uint64_t number = 0;

	(void)state;
	turn_open(&t);
	for (unsigned i = 0; i < 50; i++) {
		assert_int_equal(put(&t, 0, i, &number), 0);
		(void)(fail)(-EIO, "the first of two failures");
		assert_int_equal(meta_sync(t.meta, number), 0);
		assert_string_equal(fail_text(-EIO),
				    "the first of two failures");
		fail_clear();
	}
	turn_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_waits_writes),
		cmocka_unit_test(the_index_follows_a_single_one),
		cmocka_unit_test(many_who_wait_all_go_on),
		cmocka_unit_test(without_a_log_all_are_told),
		cmocka_unit_test(without_memory_at_the_end_nothing_is_lost),
		cmocka_unit_test(who_writes_keeps_its_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
