/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a store costs beside what it stands on.
 *   bench_store STORE DIR [MiB] [THREADS] [FRAGMENT]
 * writes so much in fragments of that size, syncs, reads all in another
 * order, frees.  STORE "plain" is one preallocated file and pwrite, "memcpy"
 * a ring of buffers.
 */
#include "testhost.h"

#include "base/os.h"
#include <dynfs/store.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD  640u
#define BATCH 4u

struct bench {
	const struct dynfs_os *os;
	const struct dynfs_store_ops *ops; /* NULL: plain or memcpy */
	void *self;
	int fd;
	uint8_t *ring;
	uint32_t n, size, n_threads;
	struct dynfs_place *place;
};

struct job {
	struct bench *b;
	uint32_t first, n;
	int err;
};

static void nothing(struct dynfs_store_op *op)
{
	(void)op;
}

static int run_plain(struct job *j, uint32_t kind, uint32_t i, uint8_t *buf)
{
	struct bench *b = j->b;
	uint64_t at = (uint64_t)i * (b->size + 4096);
	struct iovec v = { buf, b->size + HEAD };
	ssize_t r;

	if (kind == DYNFS_STORE_FREE)
		return 0;
	if (b->ring) {
		uint8_t *slot = b->ring + at % (64u << 20);

		if (kind == DYNFS_STORE_WRITE)
			memcpy(slot, buf, b->size + HEAD);
		else
			memcpy(buf, slot, b->size + HEAD);
		return 0;
	}
	r = kind == DYNFS_STORE_WRITE ? b->os->pwritev(b->os, b->fd, &v, 1, at)
				      : b->os->preadv(b->os, b->fd, &v, 1, at);
	return r == (ssize_t)v.iov_len ? 0 : -EIO;
}

static int run_store(struct job *j, uint32_t kind, uint32_t i, uint32_t n,
		     uint8_t *buf)
{
	struct bench *b = j->b;
	struct dynfs_store_op op[BATCH], *ops[BATCH];
	struct iovec iov[BATCH][2];

	for (uint32_t k = 0; k < n; k++) {
		bool write = kind == DYNFS_STORE_WRITE;

		iov[k][0] = (struct iovec){ buf, HEAD };
		iov[k][1] = (struct iovec){ buf + HEAD, b->size };
		op[k] = (struct dynfs_store_op){
			.size = sizeof(op[k]),
			.kind = kind,
			.id = { 1, i + k + 1, 0, 0 },
			.place = b->place[i + k],
			.iov = write ? iov[k] : &iov[k][1],
			.n_iov = write ? 2 : 1,
			.head_len = write ? HEAD : 0,
			.part = DYNFS_STORE_PAYLOAD,
			.done = nothing,
		};
		ops[k] = &op[k];
	}
	(void)b->ops->submit(b->self, ops, n);
	for (uint32_t k = 0; k < n; k++) {
		if (op[k].result)
			return op[k].result;
		b->place[i + k] = op[k].place;
	}
	return 0;
}

static int job_run(struct job *j, uint32_t kind)
{
	uint32_t n_batches = j->n / BATCH;
	uint8_t *buf = aligned_alloc(4096, j->b->size + 4096);
	int r = 0;

	if (!buf)
		return -ENOMEM;
	memset(buf, 0x42, j->b->size + 4096);
	for (uint32_t k = 0; k < n_batches && !r; k++) {
		uint32_t at = k;

		/* another order: every 17th batch, then the rest */
		if (kind == DYNFS_STORE_READ && n_batches % 17)
			at = (uint32_t)((uint64_t)k * 17 % n_batches);
		at = j->first + at * BATCH;
		if (j->b->ops)
			r = run_store(j, kind, at, BATCH, buf);
		for (uint32_t i = 0; !j->b->ops && i < BATCH && !r; i++)
			r = run_plain(j, kind, at + i, buf);
	}
	free(buf);
	return r;
}

static void *write_all(void *arg)
{
	((struct job *)arg)->err = job_run(arg, DYNFS_STORE_WRITE);
	return NULL;
}

static void *read_all(void *arg)
{
	((struct job *)arg)->err = job_run(arg, DYNFS_STORE_READ);
	return NULL;
}

static void *free_all(void *arg)
{
	((struct job *)arg)->err = job_run(arg, DYNFS_STORE_FREE);
	return NULL;
}

static double in_parallel(struct bench *b, void *(*fn)(void *))
{
	struct job job[16];
	pthread_t t[16];
	uint64_t start = b->os->now_ns(b->os);

	for (uint32_t i = 0; i < b->n_threads; i++) {
		uint32_t n = b->n / b->n_threads;

		job[i] = (struct job){ b, i * n, n, 0 };
		if (pthread_create(&t[i], NULL, fn, &job[i]))
			exit(1);
	}
	for (uint32_t i = 0; i < b->n_threads; i++) {
		pthread_join(t[i], NULL);
		if (job[i].err) {
			(void)fprintf(stderr, "error %d\n", job[i].err);
			exit(1);
		}
	}
	return (double)(b->os->now_ns(b->os) - start) / 1e9;
}

static double sync_all(struct bench *b)
{
	uint64_t start = b->os->now_ns(b->os);

	if (b->ops)
		(void)b->ops->sync(b->self, b->ops->mark(b->self));
	else if (b->fd >= 0)
		(void)b->os->sync(b->os, b->fd);
	return (double)(b->os->now_ns(b->os) - start) / 1e9;
}

static void rounds(struct bench *b)
{
	double mib = (double)b->n * b->size / 1048576.0;

	for (int round = 0; round < 3; round++) {
		double w = in_parallel(b, write_all), s = sync_all(b);
		double r = in_parallel(b, read_all);
		double f = in_parallel(b, free_all);

		printf("write %6.0f MiB/s, with sync %6.0f, read %6.0f MiB/s, "
		       "free %7.0f/s\n",
		       mib / w, mib / (w + s), mib / r, b->n / f);
	}
}

int main(int argc, char **argv)
{
	struct bench b = { .os = os_real(), .fd = -1, .n_threads = 1 };
	struct testhost host;
	struct testinst inst;
	char path[4096];
	uint64_t mib = argc > 3 ? strtoull(argv[3], NULL, 0) : 256;

	if (argc < 3)
		return 2;
	if (argc > 4)
		b.n_threads = (uint32_t)strtoul(argv[4], NULL, 0) % 17;
	b.size = argc > 5 ? (uint32_t)strtoul(argv[5], NULL, 0) : 256u << 10;
	b.n = (uint32_t)((mib << 20) / b.size) / (BATCH * b.n_threads) *
	      (BATCH * b.n_threads);
	b.place = calloc(b.n + 1, sizeof(*b.place));
	(void)snprintf(path, sizeof(path), "%s/bench-%s", argv[2], argv[1]);
	testhost_init(&host, b.os);
	if (!strcmp(argv[1], "memcpy")) {
		b.ring = calloc(1, (64u << 20) + 2 * b.size + 65536);
	} else if (!strcmp(argv[1], "plain")) {
		b.fd = b.os->open(b.os, path, DYNFS_OS_RDWR | DYNFS_OS_CREATE,
				  0600);
		(void)b.os->allocate(b.os, b.fd, DYNFS_OS_ALLOC, 0,
				     (uint64_t)b.n * (b.size + 4096));
	} else {
		struct dynfs_store_open how = {
			.size = sizeof(how),
			.path = path,
			.flags = DYNFS_STORE_OPEN_CREATE,
			.max_fragment_bytes = b.size + HEAD,
		};

		if (testinst_start(&inst, &host, "store", argv[1], NULL))
			exit(1);
		b.ops = inst.plugin->store;
		b.self = inst.self;
		if (b.ops->open(b.self, &how)) {
			(void)fprintf(stderr, "%s\n", host.fail_text);
			exit(1);
		}
	}
	rounds(&b);
	if (b.ops) {
		b.ops->close(b.self);
		testinst_stop(&inst);
	}
	free(b.ring);
	free(b.place);
	return 0;
}
