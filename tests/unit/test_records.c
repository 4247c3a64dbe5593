/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys and records: what is put comes back, bounds hold, and damage is told
 * from data.  DYNFS_SEED repeats a run of the random part.
 */
#include "seeded.h"

#include <meta/keys.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#define MUTATIONS 20000

static const struct extent_id some_extent = { 0x1122334455667788u, 42 };

static int key_order(struct key a, struct key b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int r = memcmp(a.data, b.data, n);

	return r ? r : (int)a.len - (int)b.len;
}

static void keys_sort_as_their_numbers(void **state)
{
	(void)state;
	assert_true(key_order(key_inode(255), key_inode(256)) < 0);
	assert_true(key_order(key_slice(1, 2, 0xff), key_slice(1, 2, 0x100)) <
		    0);
	assert_true(key_order(key_slice(1, 0xff, 9), key_slice(1, 0x100, 0)) <
		    0);
	assert_true(key_order(key_slice_chunk(7, 3), key_slice(7, 3, 0)) < 0);
	assert_true(key_order(key_dirent(1, 1), key_dirent(1, 1ull << 40)) < 0);
	assert_true(key_order(key_on_disk(1, some_extent, 9),
			      key_on_disk(2, some_extent, 0)) < 0);
}

static void keys_come_back_from_their_bytes(void **state)
{
	uint64_t a, b, c;
	struct extent_id x;
	uint32_t disk;
	uint16_t index;
	uint8_t kind;
	struct key k;

	(void)state;
	k = key_slice(1ull << 60, 5, UINT64_MAX);
	assert_int_equal(key_parse_slice(k.data, k.len, &a, &b, &c), 0);
	assert_true(a == 1ull << 60 && b == 5 && c == UINT64_MAX);
	k = key_dirent(9, INT64_MAX);
	assert_int_equal(key_parse_dirent(k.data, k.len, &a, &b), 0);
	assert_true(a == 9 && b == INT64_MAX);
	k = key_parent(2, 3, 4);
	assert_int_equal(key_parse_parent(k.data, k.len, &a, &b, &c), 0);
	assert_true(a == 2 && b == 3 && c == 4);
	k = key_live(some_extent);
	assert_int_equal(key_parse_extent(k.data, k.len, &x), 0);
	assert_true(x.epoch == some_extent.epoch && x.counter == 42);
	k = key_ref(some_extent, 6, 7, 8);
	assert_int_equal(key_parse_ref(k.data, k.len, &x, &a, &b, &c), 0);
	assert_true(x.counter == 42 && a == 6 && b == 7 && c == 8);
	k = key_on_disk(77, some_extent, 31);
	assert_int_equal(key_parse_on_disk(k.data, k.len, &disk, &x, &index),
			 0);
	assert_true(disk == 77 && x.counter == 42 && index == 31);
	k = key_intent(12, INTENT_CUT);
	assert_int_equal(key_parse_intent(k.data, k.len, &a, &kind), 0);
	assert_true(a == 12 && kind == INTENT_CUT);
	k = key_inode(1ull << 56 | 3);
	assert_int_equal(key_parse_inode(k.data, k.len, &a), 0);
	assert_true(a == (1ull << 56 | 3));
	k = key_usage(USAGE_RESERVED, 0x01020304);
	assert_int_equal(key_parse_usage(k.data, k.len, &kind, &disk), 0);
	assert_true(kind == USAGE_RESERVED && disk == 0x01020304);
}

static void a_key_of_another_shape_is_refused(void **state)
{
	struct key k = key_slice(1, 2, 3);
	uint64_t a = 0, b = 0, c = 0;
	uint32_t id;
	uint8_t kind;

	(void)state;
	assert_int_equal(key_parse_slice(k.data, k.len - 1, &a, &b, &c),
			 -EUCLEAN);
	assert_int_equal(key_parse_parent(k.data, k.len, &a, &b, &c), -EUCLEAN);
	k.data[4] = 1; /* a tree that is not the live one */
	assert_int_equal(key_parse_slice(k.data, k.len, &a, &b, &c), -EUCLEAN);
	assert_true(!a && !b && !c);
	k = key_dirent(1, 1ull << 63);
	assert_int_equal(key_parse_dirent(k.data, k.len, &a, &b), -EUCLEAN);
	assert_int_equal(key_parse_intent("", 0, &a, &kind), -EUCLEAN);
	k = key_inode(5);
	assert_int_equal(key_parse_inode(k.data, k.len - 1, &a), -EUCLEAN);
	k.data[k.len++] = 0;
	assert_int_equal(key_parse_inode(k.data, k.len, &a), -EUCLEAN);
	k = key_usage(USAGE_UID, 1);
	assert_int_equal(key_parse_usage(k.data, k.len - 1, &kind, &id),
			 -EUCLEAN);
	k.data[k.len++] = 0;
	assert_int_equal(key_parse_usage(k.data, k.len, &kind, &id), -EUCLEAN);
}

static void names_fit_a_key_and_longer_ones_do_not_overrun_it(void **state)
{
	char name[600];
	struct key k;

	(void)state;
	memset(name, 'n', sizeof(name));
	k = key_xattr(1, name, DYNFS_NAME_MAX);
	assert_int_equal(k.len, 1 + 4 + 8 + DYNFS_NAME_MAX);
	k = key_xattr(1, name, sizeof(name));
	assert_int_equal(k.len, KEY_MAX);
	name[sizeof(name) - 1] = 0;
	k = key_fact(name);
	assert_int_equal(k.len, KEY_MAX);
}

static struct inode_rec sample_inode(void)
{
	return (struct inode_rec){
		.flags = INODE_POLICY_SET,
		.policy = 3,
		.mode = S_IFLNK | 0777,
		.uid = UINT32_MAX,
		.gid = 1000,
		.nlink = 2,
		.project = 9,
		.generation = UINT64_MAX,
		.size = INT64_MAX,
		.stored = 12,
		.rdev = 0x801,
		.parent = 1,
		.sequence = 77,
		.atime = { -1, 999999999, 0 },
		.btime = { 1700000000, 1, 0 },
		.target = "to/there",
		.target_len = 8,
	};
}

static struct extent_rec sample_extent(void)
{
	struct extent_rec x = {
		.flags = EXTENT_PACKED | EXTENT_DEGRADED,
		.policy = 1,
		.stored_as = 2,
		.k = 4,
		.m = 2,
		.block_bytes = 16384,
		.digest_len = 32,
		.plain_len = 1000000,
		.stored_len = 1000000,
		.payload_len = 250048,
		.epoch = 5,
	};

	for (uint32_t i = 0; i < 6; i++) {
		x.fragments[i].disk = i == 3 ? 0 : i + 1;
		x.fragments[i].place.w[0] = i == 3 ? 0 : i + 100;
		memset(x.fragments[i].root, (int)i, 32);
	}
	return x;
}

static struct policy_rec sample_policy(void)
{
	return (struct policy_rec){ .name = "safe",
				    .redundancy = "erasure",
				    .checksum = "blake3",
				    .options = "backend=isa",
				    .k = 4,
				    .m = 2,
				    .block_bytes = 16384 };
}

static void an_inode_comes_back_from_its_record(void **state)
{
	struct inode_rec in = sample_inode(), out;
	AUTOBUF struct buf b = BUF_INIT;

	(void)state;
	inode_rec_put(&b, &in);
	assert_int_equal(inode_rec_get(b.data, b.len, &out), 0);
	assert_true(out.flags == in.flags && out.policy == 3 &&
		    out.mode == in.mode && out.uid == UINT32_MAX &&
		    out.gid == 1000 && out.nlink == 2 && out.project == 9);
	assert_true(out.generation == UINT64_MAX && out.size == INT64_MAX &&
		    out.stored == 12 && out.rdev == 0x801 && out.parent == 1 &&
		    out.sequence == 77);
	assert_true(out.atime.sec == -1 && out.atime.nsec == 999999999 &&
		    out.btime.sec == 1700000000 && out.btime.nsec == 1 &&
		    !out.mtime.sec);
	assert_int_equal(out.target_len, 8);
	assert_memory_equal(out.target, "to/there", 8);
	assert_true(!out.reserved);
	in.reserved = 7;
	buf_clear(&b);
	inode_rec_put(&b, &in);
	assert_int_equal(inode_rec_get(b.data, b.len, &out), 0);
	assert_true(out.reserved == 7 && out.flags == in.flags);
	in.reserved = 13; /* more than is stored */
	buf_clear(&b);
	inode_rec_put(&b, &in);
	assert_int_equal(inode_rec_get(b.data, b.len, &out), -EUCLEAN);
	for (size_t n = 0; n < b.len; n++)
		assert_int_equal(inode_rec_get(b.data, n, &out), -EUCLEAN);
	buf_put8(&b, 0);
	assert_int_equal(inode_rec_get(b.data, b.len, &out), -EUCLEAN);
}

static void slices_come_back_and_stay_inside_a_chunk(void **state)
{
	struct slice_rec in = { .kind = SLICE_EXTENT,
				.offset = 4096,
				.length = 100,
				.extent = some_extent,
				.extent_offset = 17 };
	struct slice_rec out;
	AUTOBUF struct buf b = BUF_INIT;

	(void)state;
	slice_rec_put(&b, &in);
	assert_int_equal(slice_rec_get(b.data, b.len, &out), 0);
	assert_true(out.kind == SLICE_EXTENT && out.offset == 4096 &&
		    out.length == 100 && out.extent.counter == 42 &&
		    out.extent_offset == 17);
	buf_clear(&b);
	in = (struct slice_rec){ .kind = SLICE_INLINE,
				 .length = 3,
				 .bytes = "abc" };
	slice_rec_put(&b, &in);
	assert_int_equal(slice_rec_get(b.data, b.len, &out), 0);
	assert_memory_equal(out.bytes, "abc", 3);
	assert_int_equal(slice_rec_get(b.data, b.len - 1, &out), -EUCLEAN);
	buf_clear(&b);
	in = (struct slice_rec){ .kind = SLICE_HOLE,
				 .offset = 16u << 20,
				 .length = 1 };
	slice_rec_put(&b, &in);
	assert_int_equal(slice_rec_get(b.data, b.len, &out), -EUCLEAN);
	buf_clear(&b);
	in = (struct slice_rec){ .kind = SLICE_HOLE, .length = 0 };
	slice_rec_put(&b, &in);
	assert_int_equal(slice_rec_get(b.data, b.len, &out), -EUCLEAN);
}

static void names_with_a_slash_or_nul_are_refused(void **state)
{
	struct dirent_rec in = {
		.type = 8, .ino = 5, .name = "file", .name_len = 4
	};
	struct dirent_rec out;
	AUTOBUF struct buf b = BUF_INIT;

	(void)state;
	dirent_rec_put(&b, &in);
	assert_int_equal(dirent_rec_get(b.data, b.len, &out), 0);
	assert_true(!out.dead && out.type == 8 && out.ino == 5 &&
		    out.name_len == 4 && !memcmp(out.name, "file", 4));
	b.data[b.len - 1] = '/';
	assert_int_equal(dirent_rec_get(b.data, b.len, &out), -EUCLEAN);
	b.data[b.len - 1] = 0;
	assert_int_equal(dirent_rec_get(b.data, b.len, &out), -EUCLEAN);
	assert_int_equal(dirent_rec_get(b.data, b.len - 4, &out), -EUCLEAN);
	buf_clear(&b);
	in = (struct dirent_rec){ .dead = true };
	dirent_rec_put(&b, &in);
	assert_int_equal(dirent_rec_get(b.data, b.len, &out), 0);
	assert_true(out.dead && !out.name_len);
}

static void an_extent_comes_back_from_its_record(void **state)
{
	struct extent_rec in = sample_extent(), out;
	AUTOBUF struct buf b = BUF_INIT;

	(void)state;
	extent_rec_put(&b, &in);
	assert_int_equal(extent_rec_get(b.data, b.len, &out), 0);
	assert_memory_equal(&in, &out, sizeof(in));
}

static int extent_gives(struct extent_rec x)
{
	AUTOBUF struct buf b = BUF_INIT;
	struct extent_rec out;

	extent_rec_put(&b, &x);
	return buf_error(&b) ? buf_error(&b)
			     : extent_rec_get(b.data, b.len, &out);
}

static void extents_that_do_not_add_up_are_refused(void **state)
{
	struct extent_rec x = sample_extent();

	(void)state;
	x.payload_len = 64; /* 4 * 64 is less than what is stored */
	assert_int_equal(extent_gives(x), -EUCLEAN);
	x = sample_extent();
	x.plain_len = 5 * 250048; /* more than lies in four pieces */
	assert_int_equal(extent_gives(x), -EUCLEAN);
	x = sample_extent();
	x.k = 0;
	assert_int_equal(extent_gives(x), -EUCLEAN);
	x = sample_extent();
	x.k = FRAGMENTS_MAX;
	assert_int_equal(extent_gives(x), -EINVAL);
	x = sample_extent();
	x.block_bytes = 5000;
	assert_int_equal(extent_gives(x), -EUCLEAN);
	x = sample_extent();
	x.digest_len = DYNFS_CHECKSUM_MAX + 1;
	assert_int_equal(extent_gives(x), -EINVAL);
	x = sample_extent();
	x.fragments[0].place.w[0] = 0; /* on a disk, but nowhere */
	assert_int_equal(extent_gives(x), -EUCLEAN);
	x = sample_extent();
	x.flags = 0x80;
	assert_int_equal(extent_gives(x), -EUCLEAN);
}

static void policies_come_back_and_transforms_are_not_supported(void **state)
{
	struct policy_rec in = sample_policy(), out;
	AUTOBUF struct buf b = BUF_INIT;

	(void)state;
	policy_rec_put(&b, &in);
	assert_int_equal(policy_rec_get(b.data, b.len, &out), 0);
	assert_memory_equal(&in, &out, sizeof(in));
	b.data[b.len - 2] = 1;
	buf_put_str(&b, "zstd", 4);
	assert_int_equal(policy_rec_get(b.data, b.len, &out), -EOPNOTSUPP);
}

static void small_records_come_back(void **state)
{
	struct repair_rec p = { REPAIR_CHECKSUM, 0x80000001u, -5 }, p2;
	struct free_rec f = { .n = 2,
			      .at = { { 1, 0, { { 1, 2 } } },
				      { 300, 31, { { 0, 9 } } } } },
			f2;
	struct intent_rec i = { INTENT_CUT, 1ull << 50, 77, true }, i2;
	struct usage_rec u = { UINT64_MAX, 128 }, u2;
	AUTOBUF struct buf b = BUF_INIT;

	(void)state;
	repair_rec_put(&b, &p);
	assert_int_equal(repair_rec_get(b.data, b.len, &p2), 0);
	assert_true(p2.reason == p.reason && p2.mask == p.mask &&
		    p2.since_ns == -5);
	buf_clear(&b);
	free_rec_put(&b, &f);
	assert_int_equal(free_rec_get(b.data, b.len, &f2), 0);
	assert_memory_equal(&f, &f2, sizeof(f));
	buf_clear(&b);
	intent_rec_put(&b, &i);
	assert_int_equal(intent_rec_get(b.data, b.len, &i2), 0);
	assert_true(i2.kind == INTENT_CUT && i2.counted &&
		    i2.chunk == 1ull << 50 && i2.sequence == 77);
	buf_clear(&b);
	usage_rec_put(&b, &u);
	assert_int_equal(usage_rec_get(b.data, b.len, &u2), 0);
	assert_true(u2.inodes == UINT64_MAX && u2.bytes == 128);
}

static void numbers_come_back_and_wrong_ones_are_refused(void **state)
{
	AUTOBUF struct buf b = BUF_INIT;
	uint64_t v;
	uint32_t id;

	(void)state;
	ino_rec_put(&b, 4098);
	assert_int_equal(ino_rec_get(b.data, b.len, &v), 0);
	assert_int_equal(v, 4098);
	assert_int_equal(ino_rec_get(b.data, b.len - 1, &v), -EUCLEAN);
	b.data[0] = 2;
	assert_int_equal(ino_rec_get(b.data, b.len, &v), -EUCLEAN);
	buf_clear(&b);
	ino_rec_put(&b, 1);
	assert_int_equal(ino_rec_get(b.data, b.len, &v), -EUCLEAN);
	buf_clear(&b);
	ino_rec_put(&b, UINT64_MAX - 9);
	assert_int_equal(ino_rec_get(b.data, b.len, &v), -EUCLEAN);
	buf_clear(&b);
	default_rec_put(&b, 7);
	assert_int_equal(default_rec_get(b.data, b.len, &id), 0);
	assert_int_equal(id, 7);
	buf_clear(&b);
	default_rec_put(&b, 0);
	assert_int_equal(default_rec_get(b.data, b.len, &id), -EUCLEAN);
	buf_clear(&b);
	live_rec_put(&b, UINT64_MAX);
	assert_int_equal(live_rec_get(b.data, b.len, &v), 0);
	assert_true(v == UINT64_MAX);
	buf_put8(&b, 0);
	assert_int_equal(live_rec_get(b.data, b.len, &v), -EUCLEAN);
}

static uint64_t rng;

static uint64_t random_u64(void)
{
	return rnd(&rng);
}

/* Every decoder on the same bytes; what passes must keep its promises. */
static unsigned decode_all(const uint8_t *data, size_t len)
{
	struct inode_rec i;
	struct slice_rec s;
	struct dirent_rec d;
	struct extent_rec x;
	struct repair_rec p;
	struct free_rec f;
	struct intent_rec in;
	struct policy_rec po;
	struct usage_rec u;
	unsigned passed = 0;

	if (!inode_rec_get(data, len, &i)) {
		assert_true(i.target_len <= len);
		passed++;
	}
	if (!slice_rec_get(data, len, &s)) {
		assert_true(s.length && s.offset + s.length <= 16u << 20);
		assert_true(s.kind != SLICE_INLINE || s.length < len);
		passed++;
	}
	if (!dirent_rec_get(data, len, &d)) {
		assert_true(d.dead || (d.name_len && d.name_len < len));
		passed++;
	}
	if (!extent_rec_get(data, len, &x)) {
		assert_true(x.k && x.k + x.m <= FRAGMENTS_MAX);
		assert_true(x.digest_len <= DYNFS_CHECKSUM_MAX);
		assert_true(x.payload_len * x.k >= x.stored_len);
		passed++;
	}
	passed += !repair_rec_get(data, len, &p);
	if (!free_rec_get(data, len, &f)) {
		assert_true(f.n <= FRAGMENTS_MAX);
		passed++;
	}
	passed += !intent_rec_get(data, len, &in);
	if (!policy_rec_get(data, len, &po)) {
		assert_true(strlen(po.name) < sizeof(po.name));
		assert_true(strlen(po.options) < sizeof(po.options));
		passed++;
	}
	passed += !usage_rec_get(data, len, &u);
	return passed;
}

static void put_sample(struct buf *b, unsigned which)
{
	struct inode_rec i = sample_inode();
	struct slice_rec s = { .kind = SLICE_INLINE,
			       .length = 8,
			       .bytes = "inlined!" };
	struct dirent_rec d = {
		.type = 4, .ino = 300, .name = "folder", .name_len = 6
	};
	struct extent_rec x = sample_extent();
	struct free_rec f = { .n = 1, .at = { { 1, 0, { { 1, 2 } } } } };
	struct policy_rec p = sample_policy();

	switch (which) {
	case 0:
		inode_rec_put(b, &i);
		break;
	case 1:
		slice_rec_put(b, &s);
		break;
	case 2:
		dirent_rec_put(b, &d);
		break;
	case 3:
		extent_rec_put(b, &x);
		break;
	case 4:
		free_rec_put(b, &f);
		break;
	default:
		policy_rec_put(b, &p);
		break;
	}
}

static void mutated_records_never_do_harm(void **state)
{
	const char *given = getenv("DYNFS_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
	unsigned passed = 0;

	(void)state;
	print_message("DYNFS_SEED=%llu\n", (unsigned long long)seed);
	rng = seed;
	for (unsigned n = 0; n < MUTATIONS; n++) {
		AUTOBUF struct buf b = BUF_INIT;
		uint8_t *exact;
		size_t len;

		put_sample(&b, (unsigned)(random_u64() % 6));
		for (uint64_t k = random_u64() % 4; k; k--)
			b.data[random_u64() % b.len] = (uint8_t)random_u64();
		len = random_u64() % 4 ? b.len : random_u64() % b.len;
		/* of exact size, so that a sanitizer sees one byte too far */
		exact = (uint8_t *)malloc(len ? len : 1);
		assert_non_null(exact);
		memcpy(exact, b.data, len);
		passed += decode_all(exact, len);
		free(exact);
	}
	assert_true(passed > MUTATIONS / 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_sort_as_their_numbers),
		cmocka_unit_test(keys_come_back_from_their_bytes),
		cmocka_unit_test(a_key_of_another_shape_is_refused),
		cmocka_unit_test(
		    names_fit_a_key_and_longer_ones_do_not_overrun_it),
		cmocka_unit_test(an_inode_comes_back_from_its_record),
		cmocka_unit_test(slices_come_back_and_stay_inside_a_chunk),
		cmocka_unit_test(names_with_a_slash_or_nul_are_refused),
		cmocka_unit_test(an_extent_comes_back_from_its_record),
		cmocka_unit_test(extents_that_do_not_add_up_are_refused),
		cmocka_unit_test(
		    policies_come_back_and_transforms_are_not_supported),
		cmocka_unit_test(small_records_come_back),
		cmocka_unit_test(numbers_come_back_and_wrong_ones_are_refused),
		cmocka_unit_test(mutated_records_never_do_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
