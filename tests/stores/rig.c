/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include "base/os.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

uint64_t test_seed(void)
{
	const char *env = getenv("DYNFS_TEST_SEED");
	uint64_t seed = env ? strtoull(env, NULL, 0) : (uint64_t)time(NULL);

	(void)fprintf(stderr, "DYNFS_TEST_SEED=%llu\n",
		      (unsigned long long)seed);
	return seed;
}

int rig_init(struct rig *r, const char *name, bool real, uint64_t seed)
{
	*r = (struct rig){ .name = name, .max_fragment = 2 << 20 };
	if (real) {
		(void)snprintf(r->dir, sizeof(r->dir),
			       "/var/tmp/dynfs-store-XXXXXX");
		if (!mkdtemp(r->dir))
			return -errno;
		(void)snprintf(r->path, sizeof(r->path), "%s/store", r->dir);
		r->os = os_real();
		return 0;
	}
	r->sim = simos_new(seed);
	if (!r->sim)
		return -ENOMEM;
	(void)snprintf(r->path, sizeof(r->path), "/disk/store");
	r->os = simos_os(r->sim);
	return simos_limit(r->sim, "/disk", 0);
}

struct removal {
	const struct dynfs_os *os;
	const char *dir;
};

static int remove_tree(void *ctx, const char *name, uint32_t type)
{
	const struct removal *up = ctx;
	char path[512];
	struct removal r = { up->os, path };

	(void)snprintf(path, sizeof(path), "%s/%s", up->dir, name);
	if (type != DYNFS_OS_DIR)
		return up->os->unlink(up->os, path);
	(void)up->os->list(up->os, path, remove_tree, &r);
	return up->os->rmdir(up->os, path);
}

void rig_done(struct rig *r)
{
	if (r->open)
		rig_close(r);
	if (r->dir[0]) {
		struct removal rm = { r->os, r->dir };

		(void)r->os->list(r->os, r->dir, remove_tree, &rm);
		(void)r->os->rmdir(r->os, r->dir);
	}
	simos_free(r->sim);
	r->sim = NULL;
}

int rig_open(struct rig *r, uint32_t flags)
{
	struct dynfs_store_open how = {
		.size = sizeof(how),
		.path = r->path,
		.flags = flags,
		.limit_bytes = r->limit,
		.max_fragment_bytes = r->max_fragment,
	};
	int e;

	testhost_init(&r->host, r->os);
	e = testinst_start(&r->inst, &r->host, "store", r->name, r->kv);
	if (e)
		return e;
	r->ops = r->inst.plugin->store;
	r->self = r->inst.self;
	e = r->ops->open(r->self, &how);
	if (e) {
		testinst_stop(&r->inst);
		assert_int_equal(testhost_done(&r->host), 0);
		return e;
	}
	r->open = true;
	return 0;
}

void rig_close(struct rig *r)
{
	r->open = false;
	r->ops->close(r->self);
	testinst_stop(&r->inst);
	assert_int_equal(testhost_done(&r->host), 0);
}

void rig_abandon(struct rig *r)
{
	/* down as it is, the disk takes nothing: only memory is given back */
	rig_close(r);
}

struct frag frag_make(uint64_t n, uint32_t head_len, uint32_t payload_len)
{
	return (struct frag){
		.id = { .epoch = 0x1234567890abcdefull,
			.counter = n,
			.index = (uint32_t)(n % 6) },
		.head_len = head_len,
		.payload_len = payload_len,
	};
}

uint8_t frag_byte(const struct frag *f, bool head, uint64_t at)
{
	uint64_t x = f->id.counter * 0x9e3779b97f4a7c15ull + at / 8 +
		     (head ? 0x5555 : 0);

	x ^= x >> 29;
	x *= 0xbf58476d1ce4e5b9ull;
	return (uint8_t)(x >> (at % 8 * 8));
}

static void count_done(struct dynfs_store_op *op)
{
	__atomic_add_fetch((int *)op->ctx, 1, __ATOMIC_SEQ_CST);
}

struct buffers {
	uint8_t *bytes;
	struct iovec iov[5];
	int n_done;
};

/* All bytes of f in a few uneven pieces. */
static void fill(struct buffers *b, const struct frag *f)
{
	uint64_t len = (uint64_t)f->head_len + f->payload_len, at = 0;

	b->bytes = malloc(len + 1);
	assert_non_null(b->bytes);
	for (uint64_t i = 0; i < f->head_len; i++)
		b->bytes[i] = frag_byte(f, true, i);
	for (uint64_t i = 0; i < f->payload_len; i++)
		b->bytes[f->head_len + i] = frag_byte(f, false, i);
	for (int i = 0; i < 5; i++) {
		uint64_t k = i < 4 ? len * (uint64_t)i / 7 : len - at;

		b->iov[i] = (struct iovec){ b->bytes + at, k };
		at += k;
	}
	b->n_done = 0;
}

void frags_write(struct rig *r, struct frag *f, int *res, uint32_t n)
{
	struct dynfs_store_op *op = calloc(n, sizeof(*op));
	struct dynfs_store_op **ops = calloc(n, sizeof(*ops));
	struct buffers *b = calloc(n, sizeof(*b));

	for (uint32_t i = 0; i < n; i++) {
		fill(&b[i], &f[i]);
		op[i] = (struct dynfs_store_op){
			.size = sizeof(*op),
			.kind = DYNFS_STORE_WRITE,
			.id = f[i].id,
			.iov = b[i].iov,
			.n_iov = 5,
			.head_len = f[i].head_len,
			.done = count_done,
			.ctx = &b[i].n_done,
		};
		ops[i] = &op[i];
	}
	(void)r->ops->submit(r->self, ops, n);
	for (uint32_t i = 0; i < n; i++) {
		assert_int_equal(
		    __atomic_load_n(&b[i].n_done, __ATOMIC_SEQ_CST), 1);
		res[i] = op[i].result;
		f[i].place = op[i].place;
		if (!res[i])
			assert_true(f[i].place.w[0] || f[i].place.w[1]);
		free(b[i].bytes);
	}
	free(op);
	free(ops);
	free(b);
}

int frag_write(struct rig *r, struct frag *f)
{
	int res;

	frags_write(r, f, &res, 1);
	return res;
}

void frags_free(struct rig *r, const struct frag *f, int *res, uint32_t n)
{
	struct dynfs_store_op *op = calloc(n, sizeof(*op));
	struct dynfs_store_op **ops = calloc(n, sizeof(*ops));
	int n_done = 0;

	for (uint32_t i = 0; i < n; i++) {
		op[i] = (struct dynfs_store_op){
			.size = sizeof(*op),
			.kind = DYNFS_STORE_FREE,
			.id = f[i].id,
			.place = f[i].place,
			.done = count_done,
			.ctx = &n_done,
		};
		ops[i] = &op[i];
	}
	(void)r->ops->submit(r->self, ops, n);
	assert_int_equal(n_done, n);
	for (uint32_t i = 0; i < n; i++)
		res[i] = op[i].result;
	free(op);
	free(ops);
}

int frag_free(struct rig *r, const struct frag *f)
{
	int res;

	frags_free(r, f, &res, 1);
	return res;
}

int frag_read(struct rig *r, const struct frag *f, bool head, uint64_t off,
	      uint64_t len)
{
	uint8_t *buf = malloc(len + 1);
	struct iovec iov[2] = { { buf, len / 3 },
				{ buf + len / 3, len - len / 3 } };
	int n_done = 0, e;
	struct dynfs_store_op op = {
		.size = sizeof(op),
		.kind = DYNFS_STORE_READ,
		.id = f->id,
		.place = f->place,
		.iov = iov,
		.n_iov = 2,
		.part = head ? DYNFS_STORE_HEAD : DYNFS_STORE_PAYLOAD,
		.offset = off,
		.done = count_done,
		.ctx = &n_done,
	};
	struct dynfs_store_op *ops[1] = { &op };

	assert_non_null(buf);
	memset(buf, 0xa5, len);
	(void)r->ops->submit(r->self, ops, 1);
	assert_int_equal(n_done, 1);
	e = op.result;
	for (uint64_t i = 0; !e && i < len; i++)
		if (buf[i] != frag_byte(f, head, off + i))
			e = -EBADMSG;
	free(buf);
	return e;
}

int frag_check(struct rig *r, const struct frag *f)
{
	int e = frag_read(r, f, true, 0, f->head_len);

	return e ? e : frag_read(r, f, false, 0, f->payload_len);
}

uint32_t rig_listed(struct rig *r, const struct frag *f, uint32_t n_rows)
{
	struct dynfs_store_entry e[64];
	uint64_t cursor = 0;
	uint32_t n, found = 0;

	assert_true(n_rows <= 64);
	for (;;) {
		assert_int_equal(r->ops->list(r->self, &cursor, e, n_rows, &n),
				 0);
		if (!n)
			return found;
		for (uint32_t i = 0; i < n; i++) {
			if (e[i].id.counter != f->id.counter ||
			    e[i].id.epoch != f->id.epoch ||
			    e[i].id.index != f->id.index)
				continue;
			assert_int_equal(e[i].head_len, f->head_len);
			assert_int_equal(e[i].payload_len, f->payload_len);
			assert_memory_equal(&e[i].place, &f->place,
					    sizeof(f->place));
			found++;
		}
	}
}

uint64_t rig_list_total(struct rig *r, uint32_t n_rows)
{
	struct dynfs_store_entry e[64];
	uint64_t cursor = 0, total = 0;
	uint32_t n;

	for (;;) {
		assert_int_equal(r->ops->list(r->self, &cursor, e, n_rows, &n),
				 0);
		if (!n)
			return total;
		total += n;
	}
}
