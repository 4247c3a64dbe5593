/* SPDX-License-Identifier: Apache-2.0 */
/* See fragment.h. */
#include "fragment.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WAIT_SECONDS 20
#define PIECES       4

/* One submit(): how often each operation was said to be done. */
struct batch {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint32_t n_done; /* by lock */
};

struct fop { /* an operation, with what it needs */
	struct dynfs_store_op op;
	struct batch *batch;
	int times; /* by the batch's lock */
	struct iovec iov[PIECES];
	uint8_t *bytes;
};

static const char *volatile wrong;

const char *frag_wrong(void)
{
	return wrong;
}

const struct dynfs_store_ops *store_ops(const struct inst *i)
{
	return i->plugin->store;
}

struct frag frag_make(uint64_t number, uint32_t head_len, uint32_t payload_len)
{
	return (struct frag){
		.id = { .epoch = 0x6cf1a7d2b3951e08ull,
			.counter = number,
			.index = (uint32_t)(number % 7) },
		.head_len = head_len,
		.payload_len = payload_len,
	};
}

static uint8_t frag_byte(const struct frag *f, uint64_t at)
{
	uint64_t x = (f->id.counter + 1) * 0x9e3779b97f4a7c15ull + at / 8;

	x ^= x >> 29;
	x *= 0xbf58476d1ce4e5b9ull;
	return (uint8_t)(x >> at % 8 * 8);
}

static void fop_done(struct dynfs_store_op *op)
{
	struct fop *o = op->ctx;

	pthread_mutex_lock(&o->batch->lock);
	if (o->times++)
		wrong = "done() came twice for one operation";
	o->batch->n_done++;
	pthread_cond_signal(&o->batch->changed);
	pthread_mutex_unlock(&o->batch->lock);
}

/* len bytes of memory in uneven pieces, some of them empty */
static void fop_memory(struct fop *o, size_t len)
{
	size_t at = 0;

	o->bytes = malloc(len + 1);
	if (!o->bytes)
		abort();
	memset(o->bytes, 0xa5, len + 1);
	for (size_t p = 0; p < PIECES; p++) {
		size_t n = p + 1 < PIECES ? len * p / 7 : len - at;

		o->iov[p] = (struct iovec){ o->bytes + at, n };
		at += n;
	}
	o->op.iov = o->iov;
	o->op.n_iov = PIECES;
}

static void fop_set(struct fop *o, const struct frag *f, uint32_t kind)
{
	size_t len = (size_t)f->head_len + f->payload_len;

	o->op = (struct dynfs_store_op){
		.size = sizeof(o->op),
		.kind = kind,
		.result = 12345,
		.id = f->id,
		.place = f->place,
		.done = fop_done,
		.ctx = o,
	};
	if (kind != DYNFS_STORE_WRITE)
		return;
	o->op.head_len = f->head_len;
	memset(&o->op.place, 0, sizeof(o->op.place));
	fop_memory(o, len);
	for (size_t b = 0; b < len; b++)
		o->bytes[b] = frag_byte(f, b);
}

static void fops_run(struct inst *i, struct fop *o, uint32_t n)
{
	struct dynfs_store_op **ops =
	    calloc(n, sizeof(struct dynfs_store_op *));
	struct batch b = { .lock = PTHREAD_MUTEX_INITIALIZER,
			   .changed = PTHREAD_COND_INITIALIZER };
	struct timespec until;
	int late = 0;

	if (!ops)
		abort();
	for (uint32_t k = 0; k < n; k++) {
		o[k].batch = &b;
		ops[k] = &o[k].op;
	}
	(void)store_ops(i)->submit(i->self, ops, n);
	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += WAIT_SECONDS;
	pthread_mutex_lock(&b.lock);
	while (b.n_done < n && !late)
		late = pthread_cond_timedwait(&b.changed, &b.lock, &until);
	pthread_mutex_unlock(&b.lock);
	if (late) {
		wrong = "done() did not come for an operation";
		(void)fprintf(stderr, "%s\n", wrong);
		_Exit(3); /* its memory must not go away */
	}
	for (uint32_t k = 0; k < n; k++) {
		if (o[k].op.result > 0)
			wrong = "done() came without a result";
	}
	free(ops);
}

static struct fop *fops_new(uint32_t n)
{
	struct fop *o = calloc(n, sizeof(*o));

	if (!o)
		abort();
	return o;
}

static void fops_free(struct fop *o, uint32_t n)
{
	for (uint32_t k = 0; k < n; k++)
		free(o[k].bytes);
	free(o);
}

void frags_write(struct inst *i, struct frag *f, int *res, uint32_t n)
{
	struct fop *o = fops_new(n);

	for (uint32_t k = 0; k < n; k++)
		fop_set(&o[k], &f[k], DYNFS_STORE_WRITE);
	fops_run(i, o, n);
	for (uint32_t k = 0; k < n; k++) {
		res[k] = o[k].op.result;
		f[k].place = o[k].op.place;
		if (!res[k] && !f[k].place.w[0] && !f[k].place.w[1])
			wrong = "a write got a place of zeros";
	}
	fops_free(o, n);
}

void frags_free(struct inst *i, const struct frag *f, int *res, uint32_t n)
{
	struct fop *o = fops_new(n);

	for (uint32_t k = 0; k < n; k++)
		fop_set(&o[k], &f[k], DYNFS_STORE_FREE);
	fops_run(i, o, n);
	for (uint32_t k = 0; k < n; k++)
		res[k] = o[k].op.result;
	fops_free(o, n);
}

int frag_write(struct inst *i, struct frag *f)
{
	int res;

	frags_write(i, f, &res, 1);
	return res;
}

int frag_free(struct inst *i, const struct frag *f)
{
	int res;

	frags_free(i, f, &res, 1);
	return res;
}

static int read_part(struct inst *i, const struct frag *f, bool head,
		     uint64_t off, uint64_t len, uint32_t flags)
{
	struct fop *o = fops_new(1);
	uint64_t from = head ? off : f->head_len + off;
	int res;

	fop_set(o, f, DYNFS_STORE_READ);
	o->op.flags = flags;
	o->op.part = head ? DYNFS_STORE_HEAD : DYNFS_STORE_PAYLOAD;
	o->op.offset = off;
	fop_memory(o, len);
	fops_run(i, o, 1);
	res = o->op.result;
	for (uint64_t b = 0; !res && b < len; b++)
		res = o->bytes[b] != frag_byte(f, from + b);
	if (o->bytes[len] != 0xa5)
		wrong = "a read wrote beyond its vector";
	fops_free(o, 1);
	return res;
}

int frag_read(struct inst *i, const struct frag *f, bool head, uint64_t off,
	      uint64_t len)
{
	return read_part(i, f, head, off, len, 0);
}

int frag_check(struct inst *i, const struct frag *f)
{
	int res = frag_read(i, f, true, 0, f->head_len);

	return res ? res : frag_read(i, f, false, 0, f->payload_len);
}

int frag_check_uncached(struct inst *i, const struct frag *f)
{
	int res = read_part(i, f, true, 0, f->head_len, DYNFS_STORE_UNCACHED);

	return res ? res
		   : read_part(i, f, false, 0, f->payload_len,
			       DYNFS_STORE_UNCACHED);
}

int store_open(struct inst *i, const char *name, uint32_t flags, uint64_t limit)
{
	char path[160];
	struct dynfs_store_open how = { .size = sizeof(how),
					.path = path,
					.flags = flags,
					.limit_bytes = limit,
					.max_fragment_bytes = FRAG_MAX };

	(void)snprintf(path, sizeof(path), "%s/%s", i->dir, name);
	return store_ops(i)->open(i->self, &how);
}

int store_sync(struct inst *i)
{
	return store_ops(i)->sync(i->self, store_ops(i)->mark(i->self));
}

static bool entry_is(const struct dynfs_store_entry *e, const struct frag *f)
{
	return e->id.counter == f->id.counter && e->id.epoch == f->id.epoch &&
	       e->id.index == f->id.index &&
	       !memcmp(&e->place, &f->place, sizeof(f->place));
}

int store_listed(struct inst *i, const struct frag *f, uint32_t n_rows,
		 uint64_t *ret_total)
{
	struct dynfs_store_entry e[32];
	uint64_t cursor = 0, total = 0;
	uint32_t n = 0;
	int found = 0;

	do {
		n = 0;
		if (store_ops(i)->list(i->self, &cursor, e, n_rows, &n))
			return -2;
		if (n > n_rows)
			return -1;
		for (uint32_t k = 0; k < n; k++) {
			if (!f || !entry_is(&e[k], f))
				continue;
			if (e[k].head_len != f->head_len ||
			    e[k].payload_len != f->payload_len)
				return -1;
			found++;
		}
		total += n;
	} while (n);
	*ret_total = total;
	return found;
}
