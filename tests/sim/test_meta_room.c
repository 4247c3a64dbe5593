/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Back-pressure with tiny limits: batches are committed under a lock that the
 * hook for a failed sync wants, too, while every sync of a store fails.  Should
 * a commit wait for room, the commit thread would wait for the lock, and
 * nobody would ever go on.  And: who only reads waits for nobody.
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
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_S  30
#define WRITERS     3
#define ROUNDS      60
#define GROUP_BYTES 4096u
#define BATCH_BYTES 9000u /* two of them are more than the limit */

struct room {
	struct simos *sim;
	struct disks *disks;
	struct meta *meta;
	pthread_mutex_t lock; /* as that of drops in core/extent */
	atomic_uint n_failed, n_waits;
	uint64_t most; /* not durable at once; lock */
};

static int hook_sync_failed(void *ctx, struct disk *disk, uint64_t number,
			    const void *ops, size_t len)
{
	struct room *w = (struct room *)ctx;
	AUTOBATCH struct batch b;

	(void)disk;
	(void)number;
	(void)ops;
	(void)len;
	atomic_fetch_add(&w->n_failed, 1);
	batch_init(&b);
	AUTOLOCK(&w->lock);
	batch_put(&b, "fixed", 5, "", 0);
	return meta_commit(w->meta, &b, NULL);
}

static int put_one(struct room *w, unsigned key)
{
	static const uint8_t value[BATCH_BYTES];
	AUTOBATCH struct batch b;
	char name[16];

	batch_init(&b);
	(void)snprintf(name, sizeof(name), "k%03u", key);
	batch_put(&b, name, strlen(name), value, sizeof(value));
	batch_touch(&b, 1, 1);
	return meta_commit(w->meta, &b, NULL);
}

/* An operation of several batches under one lock. */
static void *writer(void *arg)
{
	struct room *w = (struct room *)arg;
	struct meta_status st;

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct timespec a, b;

		(void)clock_gettime(CLOCK_MONOTONIC, &a);
		if (meta_admit(w->meta))
			return "not admitted";
		(void)clock_gettime(CLOCK_MONOTONIC, &b);
		if (b.tv_sec > a.tv_sec || b.tv_nsec - a.tv_nsec > 50000)
			atomic_fetch_add(&w->n_waits, 1);
		AUTOLOCK(&w->lock);
		for (unsigned k = 0; k < 3; k++)
			if (put_one(w, 3 * i + k))
				return "not committed";
		meta_status(w->meta, &st);
		if (st.overlay_bytes > w->most)
			w->most = st.overlay_bytes;
	}
	return NULL;
}

static struct meta_how small_groups(struct reg *reg)
{
	return (struct meta_how){
		.reg = reg,
		.engine_plugin = "mem",
		.copies = 3,
		.memory_bytes = 64u << 20,
		.pending_bytes = 4 * GROUP_BYTES,
		.group_bytes = GROUP_BYTES,
		.group_ns = 1000000,
		.log_bytes = 1u << 30,
	};
}

static void open_meta(struct room *w, struct reg *reg, bool create)
{
	struct meta_how how = small_groups(reg);

	how.create = create;
	how.readonly = !create;
	how.hooks.ctx = w;
	how.hooks.sync_failed = hook_sync_failed;
	assert_int_equal(simdisks_open(w->sim, &w->disks), 0);
	how.os = simos_os(w->sim);
	how.disks = w->disks;
	assert_int_equal(meta_open(&how, &w->meta), 0);
}

static void close_meta(struct room *w)
{
	assert_int_equal(meta_close(w->meta), 0);
	simdisks_close(w->disks);
}

static void open_room(struct room *w, struct reg *reg)
{
	w->sim = simos_new(1);
	assert_non_null(w->sim);
	(void)pthread_mutex_init(&w->lock, NULL);
	assert_int_equal(simdisks_create(w->sim), 0);
	open_meta(w, reg, true);
}

static void close_room(struct room *w)
{
	close_meta(w);
	(void)pthread_mutex_destroy(&w->lock);
	simos_free(w->sim);
}

static void
a_commit_never_waits_for_the_thread_that_wants_its_lock(void **state)
{
	struct simos_fault fault = {
		.call = SIMOS_SYNC, .prefix = "/d1/store", .nth = 1, .err = -EIO
	};
	struct room w = { .most = 0 };
	pthread_t t[WRITERS];
	struct timespec until;
	struct reg *reg;

	(void)state;
	assert_int_equal(reg_open(NULL, &reg), 0);
	open_room(&w, reg);
	assert_int_equal(simos_inject(w.sim, &fault), 0);
	for (unsigned i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, writer, &w), 0);
	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_S;
	for (unsigned i = 0; i < WRITERS; i++) {
		void *why = NULL;

		if (pthread_timedjoin_np(t[i], &why, &until)) {
			/* the threads can not be ended, the process can */
			print_error("nothing moves any more\n");
			_exit(1);
		}
		if (why)
			fail_msg("%s: %s", (const char *)why, fail_text(0));
	}
	/* or nothing was put to the test */
	assert_true(atomic_load(&w.n_failed) > 10);
	assert_true(atomic_load(&w.n_waits) > 10);
	/* the limit, and what each that was let in may add */
	assert_true(w.most < 4 * (4 * GROUP_BYTES + WRITERS * 3 * BATCH_BYTES));
	close_room(&w);
	reg_close(reg);
}

static void a_sync_of_a_readonly_pool_has_nothing_to_wait_for(void **state)
{
	struct room w = { .most = 0 };
	struct reg *reg;

	(void)state;
	assert_int_equal(reg_open(NULL, &reg), 0);
	open_room(&w, reg);
	assert_int_equal(put_one(&w, 1), 0);
	close_meta(&w);
	open_meta(&w, reg, false);
	(void)alarm(PATIENCE_S);
	assert_int_equal(meta_sync(w.meta, meta_open_number(w.meta)), 0);
	assert_int_equal(meta_admit(w.meta), -EROFS);
	(void)alarm(0);
	close_room(&w);
	reg_close(reg);
}

/* ---- leaving a disk that is just joining ------------------------------- */

#define FIRST   "/d1/log/"
#define JOINING "/d4/log/" /* the first that is free when a log leaves */

struct gate {
	struct dynfs_os
	    os; /* of the simulated system, but for open and close */
	struct simos *sim;
	struct meta *meta;
	const char *at; /* it is before this path */
	atomic_bool shut;
	atomic_uint n_waiting;
	atomic_bool is_open[1024]; /* handles below it */
};

static struct gate *gate_of(const struct dynfs_os *os)
{
	void *at;

	memcpy(&at, &os, sizeof(at)); /* the table is lent as const */
	return container_of(at, struct gate, os);
}

static void nap(void)
{
	struct timespec t = { 0, 1000000 };

	(void)nanosleep(&t, NULL);
}

static int gate_open(const struct dynfs_os *os, const char *path,
		     uint32_t flags, uint32_t mode)
{
	struct gate *g = gate_of(os);
	const struct dynfs_os *below = simos_os(g->sim);
	bool watched = !strncmp(path, g->at, strlen(g->at));
	int fd;

	if (watched) {
		atomic_fetch_add(&g->n_waiting, 1);
		while (atomic_load(&g->shut))
			nap();
	}
	fd = below->open(below, path, flags, mode);
	if (watched && fd >= 0) {
		assert_true(fd < 1024);
		atomic_store(&g->is_open[fd], true);
	}
	return fd;
}

static int gate_close(const struct dynfs_os *os, int fd)
{
	struct gate *g = gate_of(os);
	const struct dynfs_os *below = simos_os(g->sim);

	atomic_store(&g->is_open[fd], false);
	return below->close(below, fd);
}

static unsigned gate_handles(struct gate *g)
{
	unsigned n = 0;

	for (int i = 0; i < 1024; i++)
		n += atomic_load(&g->is_open[i]);
	return n;
}

struct leaver {
	struct meta *meta;
	const struct disk *disk;
	pthread_t thread;
};

static void *leaver_main(void *arg)
{
	const struct leaver *l = (const struct leaver *)arg;

	return meta_leave(l->meta, l->disk) ? "it can not be left" : NULL;
}

/* It returns when the gate is open: what is made on a disk comes to its end. */
static void leave(struct leaver *l, struct gate *g, const struct disk *k)
{
	*l = (struct leaver){ .meta = g->meta, .disk = k };
	assert_int_equal(pthread_create(&l->thread, NULL, leaver_main, l), 0);
}

static void left(struct leaver *l)
{
	void *why = NULL;

	assert_int_equal(pthread_join(l->thread, &why), 0);
	assert_null(why);
}

static void open_gate(struct gate *g, struct reg *reg, struct disks **ret)
{
	struct meta_how how = small_groups(reg);

	g->sim = simos_new(1);
	assert_non_null(g->sim);
	g->os = *simos_os(g->sim);
	g->os.open = gate_open;
	g->os.close = gate_close;
	assert_int_equal(simdisks_create(g->sim), 0);
	assert_int_equal(simdisks_open(g->sim, ret), 0);
	how.os = &g->os;
	how.disks = *ret;
	how.create = true;
	assert_int_equal(meta_open(&how, &g->meta), 0);
}

static void a_log_on_a_disk_that_is_left_while_it_joins_is_closed(void **state)
{
	static struct gate g;
	struct leaver first, second;
	struct disks *disks;
	struct reg *reg;

	(void)state;
	assert_int_equal(reg_open(NULL, &reg), 0);
	g.at = JOINING;
	open_gate(&g, reg, &disks);
	(void)alarm(PATIENCE_S);
	atomic_store(&g.shut, true);
	leave(&first, &g, disks_find(disks, 1));
	while (!atomic_load(&g.n_waiting))
		nap();
	leave(&second, &g, disks_find(disks, 4));
	while (!logs_is_leaving(g.meta, second.disk))
		nap();
	atomic_store(&g.shut, false);
	left(&first);
	left(&second);
	while (gate_handles(&g))
		nap();
	(void)alarm(0);
	assert_int_equal(meta_close(g.meta), 0);
	simdisks_close(disks);
	simos_free(g.sim);
	reg_close(reg);
}

static void put_in_gate(struct gate *g, const char *key)
{
	AUTOBATCH struct batch b;
	uint64_t number;

	batch_init(&b);
	batch_put(&b, key, strlen(key), "", 0);
	assert_int_equal(meta_commit(g->meta, &b, &number), 0);
	assert_int_equal(meta_sync(g->meta, number), 0);
}

/* Its disk can be unmounted while the pool goes on. */
static void a_log_that_failed_is_closed(void **state)
{
	const struct simos_fault fault = {
		.call = SIMOS_SYNC, .prefix = "/d1", .nth = 1, .err = -EIO
	};
	static struct gate g;
	struct disks *disks;
	struct reg *reg;

	(void)state;
	assert_int_equal(reg_open(NULL, &reg), 0);
	g.at = FIRST;
	open_gate(&g, reg, &disks);
	put_in_gate(&g, "before");
	assert_int_equal(gate_handles(&g), 1);
	assert_int_equal(simos_inject(g.sim, &fault), 0);
	put_in_gate(&g, "after");
	(void)alarm(PATIENCE_S);
	while (gate_handles(&g))
		nap();
	(void)alarm(0);
	assert_int_equal(meta_close(g.meta), 0);
	simdisks_close(disks);
	simos_free(g.sim);
	reg_close(reg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_commit_never_waits_for_the_thread_that_wants_its_lock),
		cmocka_unit_test(
		    a_sync_of_a_readonly_pool_has_nothing_to_wait_for),
		cmocka_unit_test(
		    a_log_on_a_disk_that_is_left_while_it_joins_is_closed),
		cmocka_unit_test(a_log_that_failed_is_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
