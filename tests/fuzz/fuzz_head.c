/* SPDX-License-Identifier: Apache-2.0 */
/* The head of a fragment, from which owners are copied. */
#include "fuzz.h"

#include <base/hash.h>
#include <base/le.h>
#include <extent/private.h>

#include <errno.h>
#include <string.h>

static const struct uuid pool = { "the pool of test" };
static const struct extent_id id = { 77, 88 };

static void decode(const uint8_t *data, size_t len)
{
	struct extent_owner *o = NULL;
	uint32_t n = 0;
	int r = head_owners(data, len, &pool, id, &o, &n);

	FUZZ_MUST(!r || r == -EUCLEAN || r == -EROFS || r == -EOPNOTSUPP);
	for (uint32_t i = 0; i < n; i++)
		FUZZ_MUST(o[i].epoch);
	FUZZ_MUST((uint64_t)n * 64 <= len);
	free(o);
}

void fuzz_run(const uint8_t *data, size_t len)
{
	struct buf fixed = { .data = fuzz_alloc(len), .len = len };

	decode(data, len);
	memcpy(fixed.data, data, len);
	if (len >= HEAD_FIXED_BYTES) {
		memcpy(fixed.data, "DYNFFRAG", 8);
		put_le32(fixed.data + 12, (uint32_t)len);
		put_le64(fixed.data + 16, id.epoch);
		put_le64(fixed.data + 24, id.counter);
		memcpy(fixed.data + 64, pool.b, 16);
		memset(fixed.data + 144, 0, SUM128_LEN);
		head_seal(&fixed);
		decode(fixed.data, len);
	}
	free(fixed.data);
}

static void seed(fuzz_put *put, void *ctx, uint32_t n_owners)
{
	struct extent_owner owners[] = {
		{ .ino = 9, .sequence = 3, .length = 60000 },
		{ .ino = 10, .length = 5536, .extent_offset = 60000 },
	};
	struct policy_entry e = { .pub = { .id = 6,
					   .k = 2,
					   .m = 1,
					   .block_bytes = 16384,
					   .digest_len = 16 } };
	struct extent_shape s = { .id = id,
				  .policy = &e.pub,
				  .plain_len = 65536,
				  .stored_len = 65536,
				  .payload_len = 32768,
				  .epoch = 11,
				  .number = 12,
				  .owners = owners,
				  .n_owners = n_owners };
	AUTOBUF struct buf head = BUF_INIT;
	char name[16];
	uint8_t *table;

	head_put_names(&e.names, "erasure:2+1 backend=isa", "blake3");
	FUZZ_MUST(!head_build(&s, &pool, 2, &head, &table));
	memset(table, 0x55, 32);
	head_seal(&head);
	buf_done(&e.names);
	(void)snprintf(name, sizeof(name), "owners-%u", n_owners);
	put(ctx, name, head.data, head.len);
}

void fuzz_seeds(fuzz_put *put, void *ctx)
{
	for (uint32_t n = 0; n <= 2; n++)
		seed(put, ctx, n);
}
