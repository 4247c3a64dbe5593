/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on the stores of a set. */
#include "diskfrag.h"
#include "seeded.h"

#include <pthread.h>

#define FRAG (64u << 10)

/* The payload of what was written, into fresh memory. */
static void frag_read(struct frag *f, uint8_t *to)
{
	f->iov[0] = (struct iovec){ to, f->len };
	f->o.op.kind = DYNFS_STORE_READ;
	f->o.op.part = DYNFS_STORE_PAYLOAD;
	f->o.op.offset = 0;
	f->o.op.n_iov = 1;
}

static void frag_free(struct frag *f)
{
	f->o.op.kind = DYNFS_STORE_FREE;
	f->o.op.n_iov = 0;
}

static void check_traffic(const char *plugin)
{
	struct lab lab;
	struct disks *d;
	enum { N = 200 };
	struct frag *f = (struct frag *)calloc(N, sizeof(*f));
	struct disk_op *ops[N];
	AUTOFREE uint8_t *back = (uint8_t *)malloc((size_t)N * 4096);
	uint64_t n_writes = 0;

	lab_open(&lab, 4, GIB, 31);
	(void)lab_how(&lab, LAB_ALL);
	lab.how.store_plugin = plugin;
	assert_int_equal(disks_create(&lab.how), 0);
	assert_int_equal(lab_session(&lab, LAB_ALL, &d), 0);
	for (uint32_t i = 0; i < N; ++i) {
		frag_write(&f[i], disks_at(d, i * i % 4), i, 1 + i * 20);
		ops[i] = &f[i].o;
	}
	disks_submit(d, ops, N, true);
	for (uint32_t i = 0; i < N; ++i) {
		assert_int_equal(f[i].o.op.result, 0);
		assert_int_equal(f[i].n_done, 1);
		frag_read(&f[i], back + (size_t)i * 4096);
	}
	disks_submit(d, ops, N, true);
	for (uint32_t i = 0; i < N; ++i) {
		assert_int_equal(f[i].o.op.result, 0);
		assert_memory_equal(back + (size_t)i * 4096, f[i].payload,
				    f[i].len);
		frag_free(&f[i]);
		f[i].o.done = NULL;
	}
	disks_submit(d, ops, N, true);
	for (uint32_t i = 0; i < 4; ++i) {
		struct disk *k = disks_at(d, i);

		assert_int_equal(k->inflight, 0);
		assert_int_equal(k->errors, 0);
		assert_int_equal(k->reads, k->writes);
		n_writes += k->writes;
		assert_int_equal(disk_sync(k, disk_mark(k)), 0);
	}
	assert_int_equal(n_writes, N);
	for (uint32_t i = 0; i < N; ++i) {
		assert_int_equal(f[i].o.op.result, 0);
		assert_int_equal(f[i].n_done, 2);
		free(f[i].payload);
	}
	free(f);
	disks_close(d);
	lab_close(&lab);
}

static void what_is_written_on_any_store_is_read_again(void **state)
{
	(void)state;
	check_traffic("segment");
	check_traffic("dir");
	check_traffic("mem");
}

/* Records the thread that completed it. */
struct seen {
	struct frag f;
	pthread_t by;
};

static void seen_done(struct disk_op *o)
{
	struct frag *f = container_of(o, struct frag, o);

	container_of(f, struct seen, f)->by = pthread_self();
	atomic_fetch_add(&f->n_done, 1);
}

static void one_disk_is_served_by_the_thread_that_waits(void **state)
{
	struct lab lab;
	struct disks *d;
	struct seen s[3] = { 0 };
	struct disk_op *ops[3];

	(void)state;
	lab_open(&lab, 2, GIB, 32);
	lab_create(&lab);
	assert_int_equal(lab_session(&lab, LAB_ALL, &d), 0);
	for (int i = 0; i < 3; ++i) {
		frag_write(&s[i].f, disks_at(d, 1), (uint64_t)i, FRAG);
		s[i].f.o.done = seen_done;
		ops[i] = &s[i].f.o;
	}
	disks_submit(d, ops, 3, true);
	for (int i = 0; i < 3; ++i) {
		assert_int_equal(s[i].f.o.op.result, 0);
		assert_true(pthread_equal(s[i].by, pthread_self()));
	}
	/* without waiting it is never the caller */
	for (int i = 0; i < 3; ++i) {
		frag_free(&s[i].f);
		s[i].by = pthread_self();
	}
	disks_submit(d, ops, 3, false);
	for (int i = 0; i < 3; ++i) {
		while (atomic_load(&s[i].f.n_done) < 2)
			(void)sched_yield();
		assert_false(pthread_equal(s[i].by, pthread_self()));
		free(s[i].f.payload);
	}
	disks_close(d);
	lab_close(&lab);
}

struct worker {
	struct disks *d;
	uint64_t id;
	pthread_t thread;
	int bad;
};

static void *worker_main(void *arg)
{
	struct worker *w = (struct worker *)arg;
	uint8_t *back = (uint8_t *)malloc(FRAG);

	for (uint64_t round = 0; round < 60; ++round) {
		struct frag f[3];
		struct disk_op *ops[3];

		for (uint32_t i = 0; i < 3; ++i) {
			frag_write(&f[i],
				   disks_at(w->d, (uint32_t)(w->id + i) % 4),
				   w->id << 32 | round << 8 | i, 3000);
			ops[i] = &f[i].o;
		}
		disks_submit(w->d, ops, 3, true);
		frag_read(&f[round % 3], back);
		w->bad |=
		    f[0].o.op.result | f[1].o.op.result | f[2].o.op.result;
		disks_submit(w->d, &ops[round % 3], 1, true);
		w->bad |= f[round % 3].o.op.result;
		w->bad |= memcmp(back, f[round % 3].payload, 3000) != 0;
		w->bad |= disk_sync(f[0].o.disk, disk_mark(f[0].o.disk));
		for (uint32_t i = 0; i < 3; ++i)
			free(f[i].payload);
	}
	free(back);
	return NULL;
}

static void
many_threads_and_changing_labels_do_not_disturb_each_other(void **state)
{
	struct lab lab;
	struct disks *d;
	struct worker w[6];
	uint32_t id;

	(void)state;
	lab_open(&lab, 5, GIB, 33);
	assert_int_equal(disks_create(lab_how(&lab, 0xf)), 0);
	assert_int_equal(lab_session(&lab, 0xf, &d), 0);
	for (uint64_t i = 0; i < 6; ++i) {
		w[i] = (struct worker){ .d = d, .id = i };
		assert_int_equal(
		    pthread_create(&w[i].thread, NULL, worker_main, &w[i]), 0);
	}
	for (int i = 0; i < 20; ++i) {
		uint64_t total = 0, left = 0;

		assert_int_equal(disks_tag(d, 1, "tier", i % 2 ? "a" : "b"), 0);
		disks_capacity(d, 2, 3, &total, &left);
		assert_true(left <= total);
	}
	assert_int_equal(disks_add(d, &lab.entry[4], &id), 0);
	for (int i = 0; i < 6; ++i) {
		assert_int_equal(pthread_join(w[i].thread, NULL), 0);
		assert_int_equal(w[i].bad, 0);
	}
	disks_close(d);
	lab_close(&lab);
}

static void
a_failed_write_makes_a_disk_suspect_and_a_failed_read_does_not(void **state)
{
	struct lab lab;
	struct disks *d;
	struct frag f, g;
	struct disk_op *ops[2] = { &f.o, &g.o };
	AUTOFREE uint8_t *back = (uint8_t *)malloc(FRAG);
	struct simos_fault fault = {
		.prefix = "/d1", .nth = 1, .times = 1, .err = -EIO
	};
	struct disk *k;

	(void)state;
	lab_open(&lab, 2, GIB, 34);
	lab_create(&lab);
	assert_int_equal(lab_session(&lab, LAB_ALL, &d), 0);
	k = disks_at(d, 0);
	frag_write(&f, k, 1, FRAG);
	frag_write(&g, disks_at(d, 1), 1, FRAG);
	disks_submit(d, ops, 2, true);
	assert_int_equal(f.o.op.result, 0);
	frag_read(&f, back);
	fault.call = SIMOS_PREADV;
	assert_int_equal(simos_inject(lab.s, &fault), 0);
	disks_submit(d, ops, 1, true);
	assert_int_equal(f.o.op.result, -EIO);
	assert_int_equal(k->errors, 1);
	assert_int_equal(k->health, DISK_ONLINE);
	free(f.payload);
	frag_write(&f, k, 2, FRAG);
	fault.call = SIMOS_PWRITEV;
	assert_int_equal(simos_inject(lab.s, &fault), 0);
	lab_log[0] = '\0';
	disks_submit(d, ops, 1, true);
	assert_int_equal(f.o.op.result, -EIO);
	assert_int_equal(k->health, DISK_SUSPECT);
	assert_true(lab_logged("/d1 is suspect"));
	lab_log[0] = '\0';
	disk_suspect(k, "sync", -EIO);
	assert_string_equal(lab_log, ""); /* once */
	/* from here on: reads yes, writes and frees no */
	disks_submit(d, ops, 1, true);
	assert_int_equal(f.o.op.result, -ENODEV);
	frag_free(&f);
	disks_submit(d, ops, 1, true);
	assert_int_equal(f.o.op.result, -ENODEV);
	assert_true(disk_readable(k) && !disk_writable(k));
	free(f.payload);
	free(g.payload);
	disks_close(d);
	lab_close(&lab);
}

static void a_failed_sync_makes_a_disk_suspect(void **state)
{
	struct lab lab;
	struct disks *d;
	struct frag f;
	struct disk_op *op = &f.o;

	(void)state;
	lab_open(&lab, 2, GIB, 35);
	lab_create(&lab);
	assert_int_equal(lab_session(&lab, LAB_ALL, &d), 0);
	frag_write(&f, disks_at(d, 0), 1, FRAG);
	disks_submit(d, &op, 1, true);
	assert_int_equal(simos_fail_sync(lab.s, "/d1"), 0);
	assert_int_equal(disk_sync(disks_at(d, 0), disk_mark(disks_at(d, 0))),
			 -EIO);
	assert_int_equal(disks_at(d, 0)->health, DISK_SUSPECT);
	assert_int_equal(disks_at(d, 1)->health, DISK_ONLINE);
	free(f.payload);
	disks_close(d);
	lab_close(&lab);
}

/*
 * A write that had looked at the disk before the sync failed, and began after
 * it: the sync that it waits for must not cover what was lost below it.
 */
static void a_later_sync_says_nothing_good_of_what_was_lost(void **state)
{
	struct lab lab;
	struct disks *d;
	struct frag f[3];
	struct disk_op *ops[] = { &f[0].o, &f[1].o, &f[2].o };
	uint64_t durable;
	struct disk *k;

	(void)state;
	lab_open(&lab, 2, GIB, 36);
	lab_create(&lab);
	assert_int_equal(lab_session(&lab, LAB_ALL, &d), 0);
	k = disks_at(d, 0);
	for (uint32_t i = 0; i < 3; ++i)
		frag_write(&f[i], k, i + 1, FRAG);
	disks_submit(d, &ops[0], 1, true);
	durable = disk_mark(k);
	assert_int_equal(disk_sync(k, durable), 0);
	disks_submit(d, &ops[1], 1, true);
	assert_int_equal(simos_fail_sync(lab.s, "/d1"), 0);
	assert_int_equal(disk_sync(k, disk_mark(k)), -EIO);
	atomic_store(&k->health, DISK_ONLINE); /* what that write has seen */
	disks_submit(d, &ops[2], 1, true);
	assert_int_equal(f[2].o.op.result, 0);
	assert_int_equal(disk_sync(k, disk_mark(k)), -EIO);
	assert_int_equal(disk_sync(k, durable), 0);
	for (uint32_t i = 0; i < 3; ++i)
		free(f[i].payload);
	disks_close(d);
	lab_close(&lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_on_any_store_is_read_again),
		cmocka_unit_test(one_disk_is_served_by_the_thread_that_waits),
		cmocka_unit_test(
		    many_threads_and_changing_labels_do_not_disturb_each_other),
		cmocka_unit_test(
		    a_failed_write_makes_a_disk_suspect_and_a_failed_read_does_not),
		cmocka_unit_test(a_failed_sync_makes_a_disk_suspect),
		cmocka_unit_test(
		    a_later_sync_says_nothing_good_of_what_was_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
