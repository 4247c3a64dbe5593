/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checksums against the vectors their authors publish, so that stored
 * digests mean the same for ever.
 */
#include "host.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct vector {
	size_t len;
	const char *hex;
};

static void expect(struct test_plugin *t, const uint8_t *data, size_t len,
		   const char *hex)
{
	const struct dynfs_checksum_ops *ops = t->plugin->checksum;
	uint8_t digest[DYNFS_CHECKSUM_MAX];
	char got[2 * DYNFS_CHECKSUM_MAX + 1];

	assert_int_equal(ops->sum(t->self, data, len, digest), 0);
	test_hex(digest, ops->digest_len, got);
	assert_string_equal(got, hex);
}

/* The input of BLAKE3's own vectors: bytes that count to 250, repeating. */
static uint8_t *counting_bytes(size_t len)
{
	uint8_t *p = malloc(len);

	assert_non_null(p);
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i % 251);
	return p;
}

static void blake3_gives_the_official_digests(void **state)
{
	static const struct vector vectors[] = {
		{ 0, "af1349b9f5f9a1a6a0404dea36dcc949"
		     "9bcb25c9adc112b7cc9a93cae41f3262" },
		{ 1, "2d3adedff11b61f14c886e35afa03673"
		     "6dcd87a74d27b5c1510225d0f592e213" },
		{ 1023, "10108970eeda3eb932baac1428c7a216"
			"3b0e924c9a9e25b35bba72b28f70bd11" },
		{ 1024, "42214739f095a406f3fc83deb889744a"
			"c00df831c10daa55189b5d121c855af7" },
		{ 1025, "d00278ae47eb27b34faecf67b4fe263f"
			"82d5412916c1ffd97c8cb7fb814b8444" },
		{ 2048, "e776b6028c7cd22a4d0ba182a8bf6220"
			"5d2ef576467e838ed6f2529b85fba24a" },
		{ 8192, "aae792484c8efe4f19e2ca7d371d8c46"
			"7ffb10748d8a5a1ae579948f718a2a63" },
		{ 16384, "f875d6646de28985646f34ee13be9a57"
			 "6fd515f76b5b0a26bb324735041ddde4" },
		{ 31744, "62b6960e1a44bcc1eb1a611a8d6235b6"
			 "b4b78f32e7abc4fb4c6cdcce94895c47" },
		{ 102400, "bc3e3d41a1146b069abffad3c0d44860"
			  "cf664390afce4d9661f7902e7943e085" },
	};
	uint8_t *data = counting_bytes(102400);
	struct test_plugin t;

	(void)state;
	test_open(&t, "checksum", "blake3");
	assert_int_equal(t.plugin->checksum->digest_len, 32);
	assert_true(t.plugin->checksum->caps & DYNFS_CHECKSUM_CRYPTO);
	for (size_t i = 0; i < sizeof(vectors) / sizeof(*vectors); i++)
		expect(&t, data, vectors[i].len, vectors[i].hex);
	test_close(&t);
	free(data);
}

/* "abc" and "" are in RFC 7693's tools; the rest agrees with b2sum -l 256. */
static void blake2b_gives_the_published_digests(void **state)
{
	static const struct vector vectors[] = {
		{ 0, "0e5751c026e543b2e8ab2eb06099daa1"
		     "d1e5df47778f7787faab45cdf12fe3a8" },
		{ 1, "03170a2e7597b7b7e3d84c05391d139a"
		     "62b157e78786d8c082f29dcf4c111314" },
		{ 128, "c3582f71ebb2be66fa5dd750f80baae9"
		       "7554f3b015663c8be377cfcb2488c1d1" },
		{ 129, "f7f3c46ba2564ff4c4c162da1f5b605f"
		       "9f1c4aa6a20652a9f9a337c1a2f5b9c9" },
		{ 16384, "96bf38f5a0d5df76b3de7ee5b137eb7a"
			 "f5a1d86b5b1b0eab2f91d18b76f035e8" },
		{ 102400, "3e296275877fb01eb568accdfab32835"
			  "9abfde8cfcfed8f3eb290399ae36d9c7" },
	};
	uint8_t *data = counting_bytes(102400);
	struct test_plugin t;

	(void)state;
	test_open(&t, "checksum", "blake2b");
	assert_int_equal(t.plugin->checksum->digest_len, 32);
	expect(&t, (const uint8_t *)"abc", 3,
	       "bddd813c634239723171ef3fee98579b"
	       "94964e3bb1cb3e427262c8c068d52319");
	for (size_t i = 0; i < sizeof(vectors) / sizeof(*vectors); i++)
		expect(&t, data, vectors[i].len, vectors[i].hex);
	test_close(&t);
	free(data);
}

/* xxHash's sanity check: its buffer, seed 0, high half first. */
static void xxh3_gives_the_official_digests(void **state)
{
	static const struct vector vectors[] = {
		{ 0, "99aa06d3014798d86001c324468d497f" },
		{ 1, "a6cd5e9392000f6ac44bdff4074eecdb" },
		{ 3, "20efc49ff02422ea54247382a8d6b94d" },
		{ 9, "564ef6078950d457ed7ccbc501eb7501" },
		{ 17, "955fa78643ed3669abbc12d11973d7db" },
		{ 128, "39992220e045260aebb15e34a7fb5ab1" },
		{ 129, "03815fc91f1b30b686c9e3bc8f0a3b5c" },
		{ 241, "99a80ecf0ecfc647c5a639ecd2030e5e" },
		{ 256, "8b1c66091423d28855de574ad89d0ac5" },
		{ 512, "18d2d110dcc9bca1617e49599013cb6b" },
	};
	uint64_t gen = 2654435761u;
	struct test_plugin t;
	uint8_t data[512];

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++) {
		data[i] = (uint8_t)(gen >> 56);
		gen *= 11400714785074694797u;
	}
	test_open(&t, "checksum", "xxh3");
	assert_int_equal(t.plugin->checksum->digest_len, 16);
	assert_false(t.plugin->checksum->caps & DYNFS_CHECKSUM_CRYPTO);
	expect(&t, (const uint8_t *)"abc", 3,
	       "06b05ab6733a618578af5f94892f3950");
	for (size_t i = 0; i < sizeof(vectors) / sizeof(*vectors); i++)
		expect(&t, data, vectors[i].len, vectors[i].hex);
	test_close(&t);
}

static void check_blocks(struct test_plugin *t, const uint8_t *data, size_t len,
			 size_t block)
{
	const struct dynfs_checksum_ops *ops = t->plugin->checksum;
	size_t n = (len + block - 1) / block;
	uint8_t *many = calloc(n + 1, ops->digest_len);
	uint8_t one[DYNFS_CHECKSUM_MAX], guard[DYNFS_CHECKSUM_MAX] = { 0 };

	assert_non_null(many);
	assert_int_equal(ops->sum_blocks(t->self, data, len, block, many), 0);
	for (size_t i = 0; i < n; i++) {
		size_t part = len - i * block < block ? len - i * block : block;

		assert_int_equal(ops->sum(t->self, data + i * block, part, one),
				 0);
		assert_memory_equal(many + i * ops->digest_len, one,
				    ops->digest_len);
	}
	assert_memory_equal(many + n * ops->digest_len, guard, ops->digest_len);
	free(many);
}

static void sums_of_blocks_equal_sums_of_each_block(void **state)
{
	static const char *const names[] = { "blake3", "xxh3" };
	static const size_t lens[] = { 0, 1, 16384, 16385, 100000 };
	static const size_t blocks[] = { 1000, 4096, 16384, SIZE_MAX / 2 };
	uint8_t *data = counting_bytes(100000);

	(void)state;
	for (size_t p = 0; p < sizeof(names) / sizeof(*names); p++) {
		struct test_plugin t;

		test_open(&t, "checksum", names[p]);
		for (size_t i = 0; i < 20; i++)
			check_blocks(&t, data, lens[i / 4], blocks[i % 4]);
		assert_int_equal(
		    t.plugin->checksum->sum_blocks(t.self, data, 10, 0, data),
		    -EINVAL);
		assert_int_equal(t.host.n_messages, 1);
		test_close(&t);
	}
	free(data);
}

static void creation_without_memory_fails_and_leaks_nothing(void **state)
{
	static const char *const names[] = { "blake3", "xxh3", "blake2b" };

	(void)state;
	for (size_t p = 0; p < sizeof(names) / sizeof(*names); p++) {
		const struct dynfs_plugin *plugin =
		    test_load("checksum", names[p]);
		struct test_host host;
		void *self = NULL;

		if (!plugin)
			continue;
		test_host_init(&host);
		host.fail_alloc = 1;
		assert_int_equal(plugin->create(&host.host, NULL, &self),
				 -ENOMEM);
		assert_null(self);
		assert_int_equal(host.n_live, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blake3_gives_the_official_digests),
		cmocka_unit_test(blake2b_gives_the_published_digests),
		cmocka_unit_test(xxh3_gives_the_official_digests),
		cmocka_unit_test(sums_of_blocks_equal_sums_of_each_block),
		cmocka_unit_test(
		    creation_without_memory_fails_and_leaks_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
