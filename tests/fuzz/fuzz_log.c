/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file of the commit log, scanned on a simulated disk, and the true log out
 * of it.  An input is tried as it is, or with all sums made right, or with
 * numbers and chains made right, too.
 */
#include "fuzz.h"

#include <base/le.h>
#include <meta/internal.h>
#include <simos.h>

#include <errno.h>
#include <string.h>

#define PATH "/a/log/0000000000000001.log"

static const struct uuid pool = { "the pool of test" };
static char disk_path[] = "/a";
static struct disk disk = { .id = 1, .path = disk_path };

/* Nobody has a ballast here. */
int disk_release_ballast(struct disk *k)
{
	(void)k;
	return -ENOENT;
}

static void fix_head(uint8_t *p)
{
	uint32_t len = get_le32(p + 12);

	if (len < 88 || len > LOG_BLOCK)
		put_le32(p + 12, len = LOG_BLOCK);
	memcpy(p + 16, pool.b, 16);
	put_le32(p + 32, 1);
	put_le64(p + 48, 1);
	memset(p + 72, 0, SUM128_LEN);
	sum128(p, len, p + 72);
}

/* chain: number and chain follow on the record before. */
static void fix_records(uint8_t *p, size_t len, bool chain)
{
	uint8_t before[SUM128_LEN] = { 0 };
	uint64_t number = 0;

	for (size_t at = LOG_BLOCK; at + LOG_BLOCK <= len; at += LOG_BLOCK) {
		uint8_t *r = p + at;
		uint64_t body = get_le64(r + 40);

		if (memcmp(r, "DYNFGRUP", 8) != 0 || body > len - at - LOG_HEAD)
			continue;
		if (chain) {
			put_le64(r + 24, ++number);
			put_le64(r + 32, number - 1);
			memcpy(r + 56, before, SUM128_LEN);
		}
		memset(r + 72, 0, SUM128_LEN);
		sum128(r, LOG_HEAD + (size_t)body, r + 72);
		memcpy(before, r + 72, SUM128_LEN);
		at += (size_t)log_span(body) - LOG_BLOCK;
	}
}

static void put_file(const struct dynfs_os *os, const uint8_t *data, size_t len)
{
	uint8_t *copy = fuzz_alloc(len);
	struct iovec v = { copy, len };
	int fd = os->open(os, PATH, DYNFS_OS_RDWR | DYNFS_OS_CREATE, 0600);

	FUZZ_MUST(fd >= 0);
	memcpy(copy, data, len);
	if (len)
		FUZZ_MUST(os->pwritev(os, fd, &v, 1, 0) == (ssize_t)len);
	FUZZ_MUST(!os->close(os, fd));
	free(copy);
}

/* What the records of the true log say is what was promised. */
static void check_truth(struct log_disk *d)
{
	struct ckpt_list none = { 0 };
	struct log_head h;
	struct truth t;
	int r = truth_build(&t, &d, 1, &none);

	FUZZ_MUST(!r || r == -EUCLEAN);
	for (uint64_t n = t.base + 1; !r && n <= t.last; n++) {
		AUTOBUF struct buf rec = BUF_INIT;

		FUZZ_MUST(!truth_read(&t, n, &rec, &h));
		FUZZ_MUST(h.number == n && h.confirmed < n);
		FUZZ_MUST(sum_equal(h.chain, truth_sum(&t, n - 1)));
	}
	truth_done(&t);
}

static void scan(const uint8_t *data, size_t len)
{
	struct simos *s = simos_new(1);
	struct log_disk *d;
	int r;

	FUZZ_MUST(s && !simos_limit(s, "/a/log", 0));
	put_file(simos_os(s), data, len);
	FUZZ_MUST(!log_disk_new(simos_os(s), &disk, &pool, &d));
	r = log_scan(d);
	FUZZ_MUST(!r || r == -EROFS || r == -EOPNOTSUPP);
	for (size_t i = 0; i < d->n_refs; i++)
		FUZZ_MUST(d->refs[i].off + log_span(d->refs[i].head.body_len) <=
			  len);
	if (r != -EOPNOTSUPP)
		check_truth(d);
	log_disk_free(d);
	simos_free(s);
}

void fuzz_run(const uint8_t *data, size_t len)
{
	/* one of the ways for each input, always the same: time is short */
	uint8_t how[SUM128_LEN], *fixed;
	struct log_head h;

	sum128(data, len, how);
	(void)log_unseal(data, len, &h);
	if (len < LOG_BLOCK || how[0] % 8 == 0) {
		scan(data, len);
		return;
	}
	fixed = fuzz_alloc(len);
	memcpy(fixed, data, len);
	fix_head(fixed);
	fix_records(fixed, len, how[1] % 2);
	scan(fixed, len);
	free(fixed);
}

void fuzz_seeds(fuzz_put *put, void *ctx)
{
	static const uint8_t zero[SUM128_LEN];
	struct log_head h = { .epoch = 1, .n_ops = 2 };
	AUTOBUF struct buf file = BUF_INIT;
	struct log_disk *d;

	FUZZ_MUST(!log_disk_new(NULL, &disk, &pool, &d));
	FUZZ_MUST(!log_file_head(d, 1, zero, 1, &file));
	log_disk_free(d);
	put(ctx, "empty", file.data, file.len);
	for (uint64_t n = 1; n <= 6; n++) {
		AUTOBATCH struct batch b;
		AUTOBUF struct buf rec = BUF_INIT;
		char name[16], value[5000] = { 0 };

		batch_init(&b);
		batch_put(&b, "key", 3, value, n == 3 ? sizeof(value) : n);
		batch_delete(&b, "other", 5);
		memcpy(h.chain, h.sum, SUM128_LEN);
		h.number = n;
		h.confirmed = n - 1;
		buf_put_zero(&rec, LOG_HEAD);
		buf_put(&rec, b.ops.data, b.ops.len);
		FUZZ_MUST(!log_seal(&rec, &h));
		buf_put(&file, rec.data, rec.len);
		(void)snprintf(name, sizeof(name), "records-%u", (unsigned)n);
		put(ctx, name, file.data, file.len);
	}
}
