/* SPDX-License-Identifier: Apache-2.0 */
/* The manifest of a checkpoint; what is believed can be written again. */
#include "fuzz.h"

#include <base/le.h>
#include <meta/checkpoint.h>

#include <errno.h>
#include <string.h>

static const struct uuid pool = { "the pool of test" };

static void decode(const uint8_t *data, size_t len)
{
	struct ckpt c = { 0 }, again = { 0 };
	AUTOBUF struct buf b = BUF_INIT;
	int r = manifest_decode(data, len, &pool, &c);

	if (r && r != -EROFS) {
		FUZZ_MUST(r == -EUCLEAN || r == -EOPNOTSUPP);
		return;
	}
	for (uint32_t i = 0; i < c.n_files; i++)
		FUZZ_MUST(c.files[i].name[0] && !strchr(c.files[i].name, '/'));
	FUZZ_MUST(!manifest_encode(&c, &pool, &b));
	FUZZ_MUST(!manifest_decode(b.data, b.len, &pool, &again));
	FUZZ_MUST(again.number == c.number && again.n_files == c.n_files &&
		  !strcmp(again.engine, c.engine));
	ckpt_done(&again);
	ckpt_done(&c);
}

void fuzz_run(const uint8_t *data, size_t len)
{
	uint8_t *fixed;

	decode(data, len);
	if (len < 72)
		return;
	fixed = fuzz_alloc(len);
	memcpy(fixed, data, len);
	memcpy(fixed, "DYNFCKPT", 8);
	put_le32(fixed + 12, (uint32_t)len);
	memcpy(fixed + 16, pool.b, 16);
	memset(fixed + 56, 0, SUM128_LEN);
	sum128(fixed, len, fixed + 56);
	decode(fixed, len);
	free(fixed);
}

void fuzz_seeds(fuzz_put *put, void *ctx)
{
	char engine[] = "rocksdb", a[] = "000007.sst", b[] = "CURRENT",
	     c[] = "MANIFEST-000004";
	struct ckpt_file files[] = { { .name = a, .size = 1u << 20 },
				     { .name = b, .size = 16 },
				     { .name = c, .size = 300 } };

	for (uint32_t n = 0; n <= 3; n++) {
		struct ckpt k = { .number = 9u * n,
				  .engine = engine,
				  .files = files,
				  .n_files = n };
		AUTOBUF struct buf out = BUF_INIT;
		char name[16];

		FUZZ_MUST(!manifest_encode(&k, &pool, &out));
		(void)snprintf(name, sizeof(name), "files-%u", n);
		put(ctx, name, out.data, out.len);
	}
}
