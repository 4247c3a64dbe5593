/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations on the stores of a set, and what fits: the formula against
 * brute force, the promise of statfs against filling the disks.
 */
#include "disklab.h"

#include <pthread.h>

#define MIB  (1ull << 20)
#define GIB  (1ull << 30)
#define FRAG (64u << 10)

static uint64_t rnd(uint64_t *s)
{
	uint64_t z = *s += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static uint64_t seed_of_run(void)
{
	const char *s = getenv("DYNFS_TEST_SEED");
	uint64_t seed = s ? strtoull(s, NULL, 0) : 4711;

	print_message("seed %llu (DYNFS_TEST_SEED)\n",
		      (unsigned long long)seed);
	return seed;
}

/* ---- what fits ------------------------------------------------------- */

static bool fits(const uint64_t *f, uint32_t n_free, uint32_t n, uint64_t x)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < n_free; ++i)
		sum += f[i] < x ? f[i] : x;
	return sum >= n * x;
}

static void the_water_level_is_the_largest_that_fits(void **state)
{
	uint64_t seed = seed_of_run();

	(void)state;
	for (int round = 0; round < 20000; ++round) {
		uint64_t f[9], x = 0, top = 1 + rnd(&seed) % 60;
		uint32_t n_free = (uint32_t)(rnd(&seed) % 9);
		uint32_t n = 1 + (uint32_t)(rnd(&seed) % 7);

		for (uint32_t i = 0; i < n_free; ++i)
			f[i] = rnd(&seed) % 4 ? rnd(&seed) % top : 0;
		/* never more than the sum of all, which is below 540 */
		for (uint64_t y = 1; y < 600; ++y)
			if (fits(f, n_free, n, y))
				x = y;
		assert_int_equal(space_water_fill(f, n_free, n), x);
	}
}

static void the_water_level_is_right_for_huge_disks(void **state)
{
	uint64_t f[] = { UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX };
	uint64_t g[] = { 1ull << 62, 3ull << 61, 5 };

	(void)state;
	assert_true(space_water_fill(f, 4, 4) == UINT64_MAX);
	assert_true(space_water_fill(f, 4, 2) == UINT64_MAX);
	assert_true(space_water_fill(f, 4, 5) == 0);
	assert_true(space_water_fill(f, 0, 1) == 0);
	assert_true(space_water_fill(f, 4, 0) == 0);
	assert_true(space_water_fill(g, 3, 2) == (1ull << 62) + 5);
	assert_true(space_water_fill(g, 3, 3) == 5);
}

/* ---- operations ------------------------------------------------------ */

struct frag {
	struct disk_op o;
	struct iovec iov[2];
	uint8_t head[1024];
	uint8_t *payload;
	uint32_t len;
	atomic_uint n_done;
};

static void frag_done(struct disk_op *o)
{
	atomic_fetch_add(&container_of(o, struct frag, o)->n_done, 1);
}

static void frag_write(struct frag *f, struct disk *k, uint64_t counter,
		       uint32_t len)
{
	*f = (struct frag){ .len = len };
	f->payload = (uint8_t *)malloc(len);
	assert_non_null(f->payload);
	memset(f->head, 0x11, sizeof(f->head));
	for (uint32_t i = 0; i < len; ++i)
		f->payload[i] = (uint8_t)(counter * 31 + i * 7);
	f->iov[0] = (struct iovec){ f->head, sizeof(f->head) };
	f->iov[1] = (struct iovec){ f->payload, len };
	f->o.disk = k;
	f->o.done = frag_done;
	f->o.op.kind = DYNFS_STORE_WRITE;
	f->o.op.id = (struct dynfs_fragment_id){ 7, counter, 0, 0 };
	f->o.op.iov = f->iov;
	f->o.op.n_iov = 2;
	f->o.op.head_len = sizeof(f->head);
}

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

/* ---- capacity -------------------------------------------------------- */

/* The disks with most room, which is what reaches the formula. */
static uint32_t pick(struct disks *d, uint32_t n, uint64_t cost,
		     struct disk **out)
{
	uint64_t room[LAB_MAX] = { 0 };
	uint32_t n_out = 0;

	for (uint32_t i = 0; i < disks_count(d); ++i) {
		struct disk_space s = { 0 };

		(void)disk_space(disks_at(d, i), &s);
		room[i] = s.free_bytes;
	}
	while (n_out < n) {
		uint32_t best = 0;

		for (uint32_t i = 1; i < disks_count(d); ++i)
			if (room[i] > room[best])
				best = i;
		if (room[best] < cost)
			return n_out;
		room[best] = 0;
		out[n_out++] = disks_at(d, best);
	}
	return n_out;
}

/* Full extents until one has no room; returns the bytes that fit. */
static uint64_t fill(struct disks *d, uint32_t k, uint32_t n)
{
	uint32_t len = disks_label(d)->extent_bytes / k;
	uint32_t head = 320 + (len + 16383) / 16384 * 32;
	uint64_t bytes = 0, counter = 0;

	for (;;) {
		struct frag f[8];
		struct disk_op *ops[8];
		struct disk *to[8];
		bool full = false;

		if (pick(d, n, disk_cost(disks_at(d, 0), head, len), to) < n)
			return bytes;
		for (uint32_t i = 0; i < n; ++i) {
			frag_write(&f[i], to[i], ++counter, len);
			f[i].iov[0].iov_len = head;
			f[i].o.op.head_len = head;
			ops[i] = &f[i].o;
		}
		disks_submit(d, ops, n, true);
		for (uint32_t i = 0; i < n; ++i) {
			full |= f[i].o.op.result == -ENOSPC;
			assert_true(!f[i].o.op.result || full);
			free(f[i].payload);
		}
		if (full)
			return bytes;
		bytes += disks_label(d)->extent_bytes;
	}
}

static void check_promise(const char *plugin, const uint64_t *mib, uint32_t n,
			  uint32_t k, uint32_t m, bool limits)
{
	struct lab lab;
	struct disks *d;
	uint64_t total, promise, got, after;

	lab_open(&lab, n, GIB, 40);
	(void)lab_how(&lab, LAB_ALL);
	for (uint32_t i = 0; i < n; ++i) {
		lab.given[i].limit_bytes = limits ? mib[i] * MIB : 0;
		if (!limits)
			assert_int_equal(
			    simos_limit(lab.s, lab.path[i], mib[i] * MIB), 0);
	}
	lab.how.store_plugin = plugin;
	assert_int_equal(disks_create(&lab.how), 0);
	assert_int_equal(disks_open(&lab.how, &d), 0);
	assert_int_equal(disks_next_epoch(d, NULL, 0), 0);
	disks_capacity(d, k, k + m, &total, &promise);
	assert_true(promise <= total);
	got = fill(d, k, k + m);
	disks_capacity(d, k, k + m, &total, &after);
	print_message("%s, %u+%u on %u disks%s: promised %llu KiB, took %llu, "
		      "then promised %llu\n",
		      plugin, k, m, n, limits ? " with limits" : "",
		      (unsigned long long)promise >> 10,
		      (unsigned long long)got >> 10,
		      (unsigned long long)after >> 10);
	assert_true(got >= promise - promise / 50);
	assert_true(got <= promise + promise / 50);
	assert_true(after <= promise / 50);
	disks_close(d);
	lab_close(&lab);
}

static void what_statfs_promises_is_what_fits(void **state)
{
	static const uint64_t equal[] = { 48, 48, 48, 48, 48, 48 };
	static const uint64_t unequal[] = { 96, 64, 32, 32, 24, 24, 16 };
	static const uint64_t lone[] = { 200, 16, 16 };

	(void)state;
	check_promise("segment", equal, 6, 4, 2, true);
	check_promise("segment", equal, 6, 4, 2, false);
	check_promise("segment", unequal, 7, 4, 2, true);
	check_promise("segment", unequal, 7, 1, 1, true);
	check_promise("dir", equal, 6, 4, 2, true);
	check_promise("dir", unequal, 7, 2, 1, true);
	check_promise("segment", lone, 3, 1, 1, true);
	check_promise("mem", unequal, 7, 4, 2, true);
}

static void disks_on_one_device_share_its_room(void **state)
{
	struct lab lab;
	struct disks *d;
	uint64_t total, promise, got;

	(void)state;
	lab_open(&lab, 1, 200 * MIB, 41);
	(void)lab_how(&lab, LAB_ALL);
	for (uint32_t i = 0; i < 3; ++i) {
		static const char *const path[] = { "/d1/a", "/d1/b", "/d1/c" };

		lab.given[i] = lab.entry[0];
		lab.given[i].path = path[i];
		lab.given[i].limit_bytes = 150 * MIB;
	}
	lab.how.n_entries = 3;
	assert_int_equal(disks_create(&lab.how), 0);
	lab_log[0] = '\0';
	assert_int_equal(disks_open(&lab.how, &d), 0);
	disks_warn_shared(d);
	assert_true(lab_logged("lie on one device"));
	disks_warn_shared(d);
	assert_null(strstr(strstr(lab_log, "one device") + 1, "one device"));
	assert_int_equal(disks_next_epoch(d, NULL, 0), 0);
	disks_capacity(d, 2, 3, &total, &promise);
	/* 450 MiB of limits on a device of 200: two thirds of that at most */
	assert_true(total <= 134 * MIB && total > 110 * MIB);
	assert_true(promise <= total && promise > 110 * MIB);
	got = fill(d, 2, 3);
	print_message("promised %llu KiB, took %llu\n",
		      (unsigned long long)promise >> 10,
		      (unsigned long long)got >> 10);
	assert_true(got >= promise - promise / 50);
	disks_close(d);
	lab_close(&lab);
}

/* Nobody wrote anything, so all that can be had at all can be had now. */
static void what_an_empty_pool_can_hold_is_free(void **state)
{
	static const char *const path[] = { "/d1/a", "/d1/b", "/d1/c" };
	uint64_t total, promise;
	struct lab lab;
	struct disks *d;
	int fd;

	(void)state;
	lab_open(&lab, 1, 2 * GIB, 45);
	(void)lab_how(&lab, LAB_ALL);
	for (uint32_t i = 0; i < 3; ++i) {
		lab.given[i] = lab.entry[0];
		lab.given[i].path = path[i];
		lab.given[i].limit_bytes = 0;
	}
	lab.how.n_entries = 3;
	assert_int_equal(disks_create(&lab.how), 0);
	/* somebody else's */
	fd = lab.os->open(lab.os, "/d1/other", DYNFS_OS_RDWR | DYNFS_OS_CREATE,
			  0600);
	assert_int_equal(
	    lab.os->allocate(lab.os, fd, DYNFS_OS_ALLOC, 0, 500 * MIB), 0);
	assert_int_equal(lab.os->close(lab.os, fd), 0);
	assert_int_equal(disks_open(&lab.how, &d), 0);
	assert_int_equal(disks_next_epoch(d, NULL, 0), 0);
	disks_capacity(d, 2, 3, &total, &promise);
	print_message("total %llu KiB, promised %llu\n",
		      (unsigned long long)total >> 10,
		      (unsigned long long)promise >> 10);
	assert_true(promise <= total);
	assert_true(promise >= total - total / 50);
	assert_true(promise > 800 * MIB);
	disks_close(d);
	lab_close(&lab);
}

static void a_domain_takes_one_fragment_if_there_are_enough(void **state)
{
	struct lab lab;
	struct disks *d;
	uint64_t total, apart, together;

	(void)state;
	lab_open(&lab, 6, 64 * MIB, 42);
	lab_create(&lab);
	assert_int_equal(lab_session(&lab, LAB_ALL, &d), 0);
	disks_capacity(d, 1, 2, &total, &apart);
	/* five in one shelf, one outside: copies are bound by the one */
	for (uint32_t id = 1; id <= 5; ++id)
		assert_int_equal(disks_tag(d, id, "domain", "shelf"), 0);
	disks_capacity(d, 1, 2, &total, &together);
	assert_in_range(together, apart / 3 - MIB, apart / 3 + MIB);
	/* three of two domains: no more than as far as possible */
	disks_capacity(d, 1, 3, &total, &together);
	assert_in_range(together, apart / 3 * 2 - MIB, apart / 3 * 2 + MIB);
	/* more than there are disks */
	disks_capacity(d, 5, 7, &total, &together);
	assert_int_equal(together, 0);
	assert_int_equal(total, 0);
	disks_close(d);
	lab_close(&lab);
}

static void reservations_are_seen_by_the_next_writer(void **state)
{
	struct lab lab;
	struct disks *d;
	struct disk *k;
	struct disk_space s, t;

	(void)state;
	lab_open(&lab, 1, 64 * MIB, 43);
	lab_create(&lab);
	assert_int_equal(lab_session(&lab, LAB_ALL, &d), 0);
	k = disks_at(d, 0);
	assert_int_equal(disk_space(k, &s), 0);
	/* the log's share is not for fragments */
	assert_true(s.total_bytes <= 60 * MIB);
	assert_int_equal(disk_reserve(k, s.free_bytes - 10), 0);
	assert_int_equal(disk_space(k, &t), 0);
	assert_int_equal(t.free_bytes, 10);
	assert_int_equal(disk_reserve(k, 11), -ENOSPC);
	assert_int_equal(disk_reserve(k, 10), 0);
	disk_unreserve(k, 10);
	disk_unreserve(k, s.free_bytes - 10);
	assert_int_equal(disk_space(k, &t), 0);
	assert_int_equal(t.free_bytes, s.free_bytes);
	assert_int_equal(disk_reserve(k, s.free_bytes + 1), -ENOSPC);
	assert_int_equal(k->reserved_bytes, 0);
	disks_close(d);
	lab_close(&lab);
}

static void a_full_disk_still_has_room_for_the_log(void **state)
{
	struct lab lab;
	struct disks *d;
	struct dynfs_os_space below;
	int fd;

	(void)state;
	lab_open(&lab, 2, 64 * MIB, 44);
	lab_create(&lab);
	assert_int_equal(lab_session(&lab, LAB_ALL, &d), 0);
	assert_true(fill(d, 1, 2) > 40 * MIB);
	assert_int_equal(lab.os->space(lab.os, "/d1", &below), 0);
	assert_true(below.free_bytes >= 2 * MIB);
	fd = lab.os->open(lab.os, "/d1/n.log", DYNFS_OS_RDWR | DYNFS_OS_CREATE,
			  0600);
	assert_int_equal(
	    lab.os->allocate(lab.os, fd, DYNFS_OS_ALLOC, 0, below.free_bytes),
	    0);
	assert_int_equal(
	    lab.os->allocate(lab.os, fd, DYNFS_OS_ALLOC, below.free_bytes, MIB),
	    -ENOSPC);
	/* the last resort; labels need no room at all */
	assert_int_equal(disk_release_ballast(disks_at(d, 0)), 0);
	assert_int_equal(
	    lab.os->allocate(lab.os, fd, DYNFS_OS_ALLOC, below.free_bytes, MIB),
	    0);
	assert_int_equal(disks_next_epoch(d, NULL, 0), 0);
	assert_int_equal(disks_at(d, 0)->health, DISK_ONLINE);
	assert_int_equal(lab.os->close(lab.os, fd), 0);
	disks_close(d);
	lab_close(&lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_water_level_is_the_largest_that_fits),
		cmocka_unit_test(the_water_level_is_right_for_huge_disks),
		cmocka_unit_test(what_is_written_on_any_store_is_read_again),
		cmocka_unit_test(one_disk_is_served_by_the_thread_that_waits),
		cmocka_unit_test(
		    many_threads_and_changing_labels_do_not_disturb_each_other),
		cmocka_unit_test(
		    a_failed_write_makes_a_disk_suspect_and_a_failed_read_does_not),
		cmocka_unit_test(a_failed_sync_makes_a_disk_suspect),
		cmocka_unit_test(
		    a_later_sync_says_nothing_good_of_what_was_lost),
		cmocka_unit_test(what_statfs_promises_is_what_fits),
		cmocka_unit_test(disks_on_one_device_share_its_room),
		cmocka_unit_test(what_an_empty_pool_can_hold_is_free),
		cmocka_unit_test(
		    a_domain_takes_one_fragment_if_there_are_enough),
		cmocka_unit_test(reservations_are_seen_by_the_next_writer),
		cmocka_unit_test(a_full_disk_still_has_room_for_the_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
