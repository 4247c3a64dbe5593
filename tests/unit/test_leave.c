/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is left open on a disk that was given up: nothing, so that its file
 * system can be unmounted, also where a call hangs in it for a while.
 */
#include "disklab.h"

#include <base/os.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

/* The simulated system with a gate before what is read, once it is shut. */
struct gate {
	struct dynfs_os os;
	struct simos *sim;
	atomic_bool shut;
	atomic_uint n_waiting;
};

static void nap(void)
{
	struct timespec t = { 0, 1000000 };

	(void)nanosleep(&t, NULL);
}

static struct gate the_gate;

static ssize_t gate_preadv(const struct dynfs_os *os, int fd,
			   const struct iovec *iov, int n, uint64_t off)
{
	const struct dynfs_os *below = simos_os(the_gate.sim);

	(void)os;
	atomic_fetch_add(&the_gate.n_waiting, 1);
	while (atomic_load(&the_gate.shut))
		nap();
	atomic_fetch_sub(&the_gate.n_waiting, 1);
	return below->preadv(below, fd, iov, n, off);
}

static void gate_init(struct gate *g, struct simos *sim)
{
	g->sim = sim;
	g->os = *simos_os(sim);
	g->os.preadv = gate_preadv;
	atomic_init(&g->shut, false);
	atomic_init(&g->n_waiting, 0);
}

struct frag {
	struct disk_op o;
	struct iovec iov;
	uint8_t bytes[100000];
	pthread_t thread;
	struct disks *d;
};

static void frag_on(struct frag *f, struct disks *d, struct disk *k,
		    uint32_t kind)
{
	f->d = d;
	f->iov = (struct iovec){ f->bytes, sizeof(f->bytes) };
	f->o.disk = k;
	f->o.op.kind = kind;
	f->o.op.id = (struct dynfs_fragment_id){ 7, k->id, 0, 0 };
	f->o.op.iov = &f->iov;
	f->o.op.n_iov = 1;
	f->o.op.part = DYNFS_STORE_PAYLOAD;
}

static void *submit(void *arg)
{
	struct frag *f = (struct frag *)arg;
	struct disk_op *op = &f->o;

	disks_submit(f->d, &op, 1, true);
	return NULL;
}

static void open_lab(struct lab *lab, const char *store, struct frag *f,
		     struct disks **ret)
{
	lab_open(lab, 4, 1ull << 30, 7);
	gate_init(&the_gate, lab->s);
	lab->os = &the_gate.os;
	(void)lab_how(lab, LAB_ALL);
	lab->how.store_plugin = store;
	assert_int_equal(disks_create(&lab->how), 0);
	assert_int_equal(lab_session(lab, LAB_ALL, ret), 0);
	for (uint32_t i = 0; i < 4; ++i) {
		memset(f->bytes, (int)i, sizeof(f->bytes));
		frag_on(f, *ret, disks_at(*ret, i), DYNFS_STORE_WRITE);
		(void)submit(f);
		assert_int_equal(f->o.op.result, 0);
	}
}

static void a_disk_that_is_given_up_has_nothing_open(void **state)
{
	static const char *const stores[] = { "segment", "dir" };
	static struct frag f;

	(void)state;
	for (int i = 0; i < 2; ++i) {
		struct lab lab;
		struct disks *d;
		uint64_t n;

		open_lab(&lab, stores[i], &f, &d);
		n = simos_handles(lab.s);
		/* label, store, what was written */
		assert_true(n % 4 == 0 && n >= 12);
		assert_int_equal(disks_fail(d, 4), 0);
		assert_int_equal(simos_handles(lab.s), n - n / 4);
		disks_close(d);
		assert_int_equal(simos_handles(lab.s), 0);
		lab_close(&lab);
	}
}

static void a_call_that_hangs_closes_the_disk_when_it_returns(void **state)
{
	static struct frag f, g;
	struct lab lab;
	struct disks *d;
	uint64_t n;

	(void)state;
	open_lab(&lab, "segment", &f, &d);
	n = simos_handles(lab.s);
	frag_on(&f, d, disks_at(d, 3), DYNFS_STORE_READ);
	memset(f.bytes, 0xff, sizeof(f.bytes));
	atomic_store(&the_gate.shut, true);
	assert_int_equal(pthread_create(&f.thread, NULL, submit, &f), 0);
	while (!atomic_load(&the_gate.n_waiting))
		nap();
	lab_log[0] = '\0';
	assert_int_equal(disks_fail(d, 4), 0);
	assert_true(lab_logged("/d4: 1 calls have not come back"));
	/* nobody else comes in, and what it uses is not taken from under it */
	frag_on(&g, d, disks_at(d, 3), DYNFS_STORE_READ);
	(void)submit(&g);
	assert_int_equal(g.o.op.result, -ENODEV);
	assert_int_equal(simos_handles(lab.s), n);
	atomic_store(&the_gate.shut, false);
	assert_int_equal(pthread_join(f.thread, NULL), 0);
	assert_int_equal(f.o.op.result, 0);
	for (uint32_t i = 0; i < sizeof(f.bytes); ++i)
		assert_int_equal(f.bytes[i], 3);
	assert_int_equal(simos_handles(lab.s), n - n / 4);
	disks_close(d);
	assert_int_equal(simos_handles(lab.s), 0);
	lab_close(&lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_disk_that_is_given_up_has_nothing_open),
		cmocka_unit_test(
		    a_call_that_hangs_closes_the_disk_when_it_returns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
