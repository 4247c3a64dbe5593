/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The segment store on hostile files.  An input is a superblock (two slots)
 * and a segment behind it; it is laid into a store as an open or a sealed
 * segment, which is opened for reading or for writing, listed, and of which
 * all that is listed is read and freed.  The plugin's sources are compiled in,
 * so that the fuzzer sees their branches.
 */
#include "fuzz.h"

#include <simos.h>
#include <testhost.h>

#include <errno.h>
#include <string.h>

#include "../../plugins/store/common/le.h"
#include "../../plugins/store/segment/segment.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define STORE  "/disk/store"
#define SUPER  (2 * SEG_PAGE)
#define NUMBER 1u

static void put_file(const struct dynfs_os *os, const char *path,
		     const uint8_t *data, size_t len)
{
	uint8_t *copy = fuzz_alloc(len);
	struct iovec v = { copy, len };
	int fd = os->open(os, path, DYNFS_OS_RDWR | DYNFS_OS_CREATE, 0600);

	FUZZ_MUST(fd >= 0);
	memcpy(copy, data, len);
	if (len)
		FUZZ_MUST(os->pwritev(os, fd, &v, 1, 0) == (ssize_t)len);
	FUZZ_MUST(!os->close(os, fd));
	free(copy);
}

static void no_done(struct dynfs_store_op *op)
{
	(void)op;
}

static void submit(const struct dynfs_store_ops *ops, void *self,
		   const struct dynfs_store_entry *e, uint32_t kind,
		   uint32_t part, uint64_t len)
{
	uint8_t *to = fuzz_alloc((size_t)len);
	struct iovec v = { to, (size_t)len };
	struct dynfs_store_op op = { .size = sizeof(op),
				     .kind = kind,
				     .id = e->id,
				     .place = e->place,
				     .part = part,
				     .iov = &v,
				     .n_iov = 1,
				     .done = no_done };
	struct dynfs_store_op *all[1] = { &op };

	ops->submit(self, all, 1);
	free(to);
}

/* Read, and if it may be written free, what the store says it has. */
static void use_all(const struct dynfs_store_ops *ops, void *self, bool write)
{
	struct dynfs_store_entry e[32];
	uint64_t cursor = 0;
	uint32_t n = 0, total = 0;

	do {
		n = 0;
		if (ops->list(self, &cursor, e, 32, &n) < 0)
			return;
		FUZZ_MUST(n <= 32);
		total += n;
		/* a record takes a unit of the file at least */
		FUZZ_MUST(total <= FUZZ_LEN_MAX / SEG_UNIT);
		for (uint32_t i = 0; i < n; i++) {
			uint64_t len = e[i].payload_len;

			submit(ops, self, &e[i], DYNFS_STORE_READ,
			       DYNFS_STORE_HEAD,
			       e[i].head_len < 4096 ? e[i].head_len : 4096);
			submit(ops, self, &e[i], DYNFS_STORE_READ,
			       DYNFS_STORE_PAYLOAD, len < 4096 ? len : 4096);
			if (write && i % 2)
				submit(ops, self, &e[i], DYNFS_STORE_FREE, 0,
				       0);
		}
	} while (n);
}

static void open_store(const uint8_t *data, size_t len, bool sealed,
		       bool rdonly)
{
	const struct dynfs_plugin *p = dynfs_plugin_entry();
	struct simos *s = simos_new(1);
	struct testhost host;
	struct dynfs_store_open how = { .size = sizeof(how),
					.path = STORE,
					.flags = rdonly
						     ? DYNFS_STORE_OPEN_RDONLY
						     : 0,
					.limit_bytes = 64u << 20,
					.max_fragment_bytes = 100000 };
	void *config = testhost_config(p, NULL), *self;
	size_t super = len < SUPER ? len : SUPER;

	FUZZ_MUST(s && config && !simos_limit(s, STORE, 0));
	put_file(simos_os(s), STORE "/store.dynfs", data, super);
	put_file(simos_os(s),
		 sealed ? STORE "/0000000000000001.seg"
			: STORE "/0000000000000001.open",
		 data + super, len - super);
	testhost_init(&host, simos_os(s));
	FUZZ_MUST(!p->create(&host.host, config, &self));
	if (!p->store->open(self, &how)) {
		use_all(p->store, self, !rdonly);
		if (!rdonly)
			(void)p->store->sync(self, p->store->mark(self));
		use_all(p->store, self, false);
		p->store->close(self);
	}
	p->destroy(self);
	FUZZ_MUST(!testhost_done(&host));
	free(config);
	simos_free(s);
}

/* ---- sums made right ------------------------------------------------- */

static void fix_page(uint8_t *page)
{
	uint32_t len = le32_get(page + 12);

	if (len < 64 || len > SEG_PAGE)
		le32_put(page + 12, len = SEG_PAGE);
	memset(page + 16, 0, 8);
	le64_put(page + 16, XXH3_64bits(page, len));
}

static uint64_t seed_of(const uint8_t *super)
{
	return XXH3_64bits_withSeed(super + 24, 16, NUMBER);
}

static void fix_frame(uint8_t *f, uint64_t off, uint64_t seed)
{
	f[4] = 1;
	le64_put(f + 40, NUMBER);
	le32_put(f + 48, (uint32_t)(off / SEG_UNIT));
	le64_put(f + 56, XXH3_64bits_withSeed(f, SEG_TOMBSTONE_AT, seed));
}

static void fix_footer(uint8_t *seg, size_t len, uint64_t seed)
{
	uint8_t *f = seg + len - SEG_UNIT;
	uint32_t n = le32_get(f + 12);
	uint64_t at = le64_get(f + 16);

	if (memcmp(f, "DYNFSEGX", 8) != 0)
		return;
	if (at < len && n <= (len - at) / 40)
		le64_put(f + 48,
			 XXH3_64bits_withSeed(seg + at, (size_t)n * 40, seed));
	le64_put(f + 24, NUMBER);
	le64_put(f + 56, XXH3_64bits_withSeed(f, 56, seed));
}

static void fix(uint8_t *p, size_t len)
{
	uint8_t *seg = p + SUPER;
	uint64_t seed = seed_of(p);
	size_t n = len - SUPER;

	fix_page(p);
	memcpy(p + SEG_PAGE + 24, p + 24, 16);
	fix_page(p + SEG_PAGE);
	if (n >= SEG_PAGE) {
		memcpy(seg + 24, p + 24, 16);
		fix_page(seg);
	}
	for (size_t at = SEG_PAGE; at + SEG_UNIT <= n; at += SEG_UNIT)
		if (!memcmp(seg + at, "SFRM", 4))
			fix_frame(seg + at, at, seed);
	if (n >= 2 * SEG_PAGE)
		fix_footer(seg, n, seed);
}

void fuzz_run(const uint8_t *data, size_t len)
{
	/* one of the ways for each input, always the same: time is short */
	uint64_t how = XXH3_64bits(data, len);
	uint8_t *fixed;

	if (len <= SUPER || how % 8 == 0) {
		open_store(data, len, how & 8, how & 16);
		return;
	}
	fixed = fuzz_alloc(len);
	memcpy(fixed, data, len);
	fix(fixed, len);
	open_store(fixed, len, how & 8, how & 16);
	free(fixed);
}

/* ---- seeds ----------------------------------------------------------- */

/* n records from the header on; the bytes that they take. */
static size_t put_records(uint8_t *seg, const struct store *s,
			  struct seg_rec *rec, uint32_t n, uint32_t payload)
{
	size_t at = SEG_PAGE;

	for (uint32_t i = 0; i < n; i++) {
		rec[i] = (struct seg_rec){ .unit = (uint32_t)(at / SEG_UNIT),
					   .head_len = 200,
					   .payload_len = payload,
					   .epoch = 5,
					   .counter = i + 1,
					   .index = i % 6 };
		seg_frame_put(seg + at, &rec[i], NUMBER, seg_seed(s, NUMBER));
		if (i == 1)
			memcpy(seg + at + SEG_TOMBSTONE_AT, seg_tombstone, 4);
		at += (size_t)seg_rec_len(rec[i].head_len, rec[i].payload_len);
	}
	return (at + SEG_PAGE - 1) / SEG_PAGE * SEG_PAGE;
}

static void seed(fuzz_put *put, void *ctx, const char *name, uint32_t n,
		 uint32_t payload, bool index)
{
	struct simos *sim = simos_new(1);
	struct store s = { .os = simos_os(sim),
			   .super = { .sequence = 1,
				      .next_number = 4097,
				      .fragments = UINT64_MAX } };
	uint8_t *p = calloc(1, FUZZ_LEN_MAX), *seg = p + SUPER;
	struct seg_rec rec[8];
	size_t len;

	FUZZ_MUST(sim && p);
	memset(s.super.uuid, 7, sizeof(s.super.uuid));
	seg_super_put(p, &s.super);
	s.super.sequence++;
	seg_super_put(p + SEG_PAGE, &s.super);
	seg_header_put(seg, &s, NUMBER, 1u << 20);
	len = put_records(seg, &s, rec, n, payload);
	if (index) {
		seg_index_put(seg + len, rec, n, len, 0, NUMBER,
			      seg_seed(&s, NUMBER));
		len += (size_t)seg_index_len(n);
	}
	put(ctx, name, p, SUPER + len);
	free(p);
	simos_free(sim);
}

void fuzz_seeds(fuzz_put *put, void *ctx)
{
	seed(put, ctx, "open-small", 5, 1000, false);
	seed(put, ctx, "open-large", 2, 70000, false);
	seed(put, ctx, "sealed-small", 5, 1000, true);
	seed(put, ctx, "sealed-large", 2, 70000, true);
	seed(put, ctx, "empty", 0, 0, false);
}
