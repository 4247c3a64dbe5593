/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values and keys of the metadata.  Each input is given to every decoder;
 * what passes one can be encoded, and then decodes to the same bytes again.
 */
#include "fuzz.h"

#include <meta/keys.h>

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* Encode what was decoded, decode that and encode it: nothing changes. */
#define ROUND(kind, type)                                                      \
	static void round_##kind(const void *data, size_t len)                 \
	{                                                                      \
		AUTOBUF struct buf a = BUF_INIT;                               \
		AUTOBUF struct buf b = BUF_INIT;                               \
		type v, w;                                                     \
		int r = kind##_rec_get(data, len, &v);                         \
                                                                               \
		if (r) {                                                       \
			FUZZ_MUST(r == -EUCLEAN || r == -EOPNOTSUPP);          \
			return;                                                \
		}                                                              \
		kind##_rec_put(&a, ROUND_BY(v));                               \
		FUZZ_MUST(!buf_error(&a));                                     \
		FUZZ_MUST(!kind##_rec_get(a.data, a.len, &w));                 \
		kind##_rec_put(&b, ROUND_BY(w));                               \
		FUZZ_MUST(!buf_error(&b) && a.len == b.len &&                  \
			  !memcmp(a.data, b.data, a.len));                     \
	}

#define ROUND_BY(v) &(v)
ROUND(inode, struct inode_rec)
ROUND(slice, struct slice_rec)
ROUND(dirent, struct dirent_rec)
ROUND(extent, struct extent_rec)
ROUND(repair, struct repair_rec)
ROUND(free, struct free_rec)
ROUND(intent, struct intent_rec)
ROUND(policy, struct policy_rec)
ROUND(usage, struct usage_rec)
#undef ROUND_BY
#define ROUND_BY(v) (v)
ROUND(ino, uint64_t)
ROUND(default, uint32_t)
ROUND(live, uint64_t)

static void same_key(const struct key *k, const void *data, size_t len)
{
	FUZZ_MUST(k->len == len && !memcmp(k->data, data, len));
}

/* A key that is taken for one is the one that is built. */
static void keys(const void *data, size_t len)
{
	uint64_t a, b, c;
	struct extent_id x;
	struct key k;
	uint32_t disk;
	uint16_t index;
	uint8_t kind;

	if (!key_parse_inode(data, len, &a)) {
		k = key_inode(a);
		same_key(&k, data, len);
	}
	if (!key_parse_usage(data, len, &kind, &disk)) {
		k = key_usage(kind, disk);
		same_key(&k, data, len);
	}
	if (!key_parse_slice(data, len, &a, &b, &c)) {
		k = key_slice(a, b, c);
		same_key(&k, data, len);
	}
	if (!key_parse_dirent(data, len, &a, &b)) {
		k = key_dirent(a, b);
		same_key(&k, data, len);
	}
	if (!key_parse_parent(data, len, &a, &b, &c)) {
		k = key_parent(a, b, c);
		same_key(&k, data, len);
	}
	if (!key_parse_free(data, len, &x, &a)) {
		k = key_free(x, a);
		same_key(&k, data, len);
	}
	if (!key_parse_ref(data, len, &x, &a, &b, &c)) {
		k = key_ref(x, a, b, c);
		same_key(&k, data, len);
	}
	if (!key_parse_on_disk(data, len, &disk, &x, &index)) {
		k = key_on_disk(disk, x, index);
		same_key(&k, data, len);
	}
	if (!key_parse_intent(data, len, &a, &kind)) {
		k = key_intent(a, kind);
		same_key(&k, data, len);
	}
	(void)key_parse_extent(data, len, &x);
}

void fuzz_run(const uint8_t *data, size_t len)
{
	round_inode(data, len);
	round_slice(data, len);
	round_dirent(data, len);
	round_extent(data, len);
	round_repair(data, len);
	round_free(data, len);
	round_intent(data, len);
	round_policy(data, len);
	round_usage(data, len);
	round_ino(data, len);
	round_default(data, len);
	round_live(data, len);
	keys(data, len);
}

#define PUT(name, kind, value)                                                 \
	do {                                                                   \
		AUTOBUF struct buf out = BUF_INIT;                             \
                                                                               \
		kind##_rec_put(&out, value);                                   \
		FUZZ_MUST(!buf_error(&out));                                   \
		put(ctx, name, out.data, out.len);                             \
	} while (0)

static void seed_values(fuzz_put *put, void *ctx)
{
	struct inode_rec i = { .mode = S_IFLNK | 0777,
			       .nlink = 1,
			       .size = 7,
			       .target = "../here",
			       .target_len = 7 };
	struct slice_rec s = { .kind = SLICE_EXTENT,
			       .length = 65536,
			       .extent = { 5, 6 },
			       .extent_offset = 4096 };
	struct slice_rec in = { .kind = SLICE_INLINE,
				.length = 8,
				.bytes = "inlined!" };
	struct dirent_rec d = {
		.type = 4, .ino = 300, .name = "folder", .name_len = 6
	};
	struct dirent_rec dead = { .dead = true };
	struct extent_rec x = { .policy = 1,
				.stored_as = 1,
				.k = 2,
				.m = 1,
				.block_bytes = 16384,
				.digest_len = 32,
				.plain_len = 100000,
				.stored_len = 100000,
				.payload_len = 50048,
				.epoch = 3 };
	struct repair_rec p = { REPAIR_CHECKSUM, 5, 1 };
	struct free_rec f = {
		.n = 2, .at = { { 1, 0, { { 1, 2 } } }, { 9, 5, { { 3, 4 } } } }
	};
	struct intent_rec cut = { INTENT_CUT, 7, 8, true };
	struct policy_rec po = { .name = "wide",
				 .redundancy = "erasure",
				 .checksum = "blake3",
				 .options = "backend=isa\n",
				 .k = 4,
				 .m = 2,
				 .block_bytes = 16384 };
	struct usage_rec u = { 3, 1ull << 40 };

	for (uint32_t n = 0; n < 3; n++)
		x.fragments[n] =
		    (struct fragment_rec){ .disk = n, .place = { { 1, n } } };
	PUT("inode", inode, &i);
	PUT("slice", slice, &s);
	PUT("inline", slice, &in);
	PUT("dirent", dirent, &d);
	PUT("dead", dirent, &dead);
	PUT("extent", extent, &x);
	PUT("repair", repair, &p);
	PUT("free", free, &f);
	PUT("intent", intent, &cut);
	PUT("policy", policy, &po);
	PUT("usage", usage, &u);
	PUT("ino", ino, 4098);
	PUT("default", default, 3);
	PUT("live", live, 1234567);
}

void fuzz_seeds(fuzz_put *put, void *ctx)
{
	struct extent_id x = { 5, 6 };
	struct key all[] = {
		key_inode(1),           key_slice(2, 3, 4),   key_dirent(5, 6),
		key_parent(7, 8, 9),    key_extent(x),        key_free(x, 10),
		key_ref(x, 1, 2, 3),    key_on_disk(4, x, 5), key_intent(6, 1),
		key_fact("features/E"),
	};

	seed_values(put, ctx);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "key-%zu", i);
		put(ctx, name, all[i].data, all[i].len);
	}
}
