/* SPDX-License-Identifier: Apache-2.0 */
/*
 * erasure: the in-place path gives the bytes of liberasurecode's public
 * interface, stays the same for ever (fixed digests), and undoes every loss.
 */
#include "host.h"

#include <errno.h>
#include <liberasurecode/erasurecode.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define TOTAL 32

/* A stripe of 32 shards in one aligned piece of memory. */
struct stripe {
	uint8_t *memory;
	uint8_t *shard[TOTAL];
	size_t len;
};

static void stripe_init(struct stripe *s, size_t len)
{
	s->memory = aligned_alloc(64, TOTAL * len);
	s->len = len;
	assert_non_null(s->memory);
	for (size_t i = 0; i < TOTAL; i++)
		s->shard[i] = s->memory + i * len;
}

static void stripe_done(struct stripe *s)
{
	free(s->memory);
}

static int encode(struct test_plugin *t, uint32_t k, uint32_t m,
		  struct stripe *s)
{
	return t->plugin->redundancy->encode(t->self, k, m, s->shard, s->len);
}

/* ---- the reference --------------------------------------------------- */

/* Number of shards that differ from what liberasurecode_encode() makes. */
static int differs_from_public(int desc, uint32_t k, uint32_t m,
			       const struct stripe *s)
{
	char **data = NULL, **parity = NULL;
	uint64_t fragment_len = 0;
	int n = 0;

	if (liberasurecode_encode(desc, (const char *)s->memory,
				  (uint64_t)k * s->len, &data, &parity,
				  &fragment_len) != 0)
		return -1;
	for (uint32_t i = 0; i < k + m; i++) {
		const char *fragment = i < k ? data[i] : parity[i - k];

		n += fragment_len != s->len + sizeof(fragment_header_t) ||
		     memcmp(fragment + sizeof(fragment_header_t), s->shard[i],
			    s->len) != 0;
	}
	(void)liberasurecode_encode_cleanup(desc, data, parity);
	return n;
}

static int compare_all(struct test_plugin *t, ec_backend_id_t id,
		       uint32_t total, size_t len, uint64_t *seed)
{
	struct stripe s;
	int bad = 0;

	stripe_init(&s, len);
	for (uint32_t k = 1; k < total; k++) {
		for (uint32_t m = 1; k + m <= total; m++) {
			struct ec_args args = { .k = (int)k,
						.m = (int)m,
						.hd = (int)m,
						.ct = CHKSUM_NONE };
			int desc = liberasurecode_instance_create(id, &args);

			memset(s.memory, 0xee, TOTAL * len);
			test_random_bytes(seed, s.memory, k * len);
			bad += desc <= 0 || encode(t, k, m, &s) != 0 ||
			       differs_from_public(desc, k, m, &s) != 0;
			/* rs-vand frees tables that others still use */
			if (id == EC_BACKEND_ISA_L_RS_CAUCHY)
				(void)liberasurecode_instance_destroy(desc);
		}
	}
	stripe_done(&s);
	return bad;
}

static void cauchy_bytes_equal_those_of_the_public_interface(void **state)
{
	static const size_t lens[] = { 64, 4096, 43712 };
	uint64_t seed = test_seed();
	struct test_plugin t;

	(void)state;
	test_open(&t, "redundancy", "erasure");
	for (size_t i = 0; i < sizeof(lens) / sizeof(*lens); i++)
		assert_int_equal(compare_all(&t, EC_BACKEND_ISA_L_RS_CAUCHY, 12,
					     lens[i], &seed),
				 0);
	assert_int_equal(
	    compare_all(&t, EC_BACKEND_ISA_L_RS_CAUCHY, 32, 192, &seed), 0);
	test_close(&t);
}

/* In a child: the library can not destroy its instances of this back end. */
static void vandermonde_bytes_equal_those_of_the_public_interface(void **state)
{
	uint64_t seed = test_seed();
	int status = -1;
	pid_t pid;

	(void)state;
	(void)fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct test_plugin t;

		if (test_create(&t, "redundancy", "erasure", "backend",
				"rs-vand") != 0)
			_exit(2);
		_exit(compare_all(&t, EC_BACKEND_LIBERASURECODE_RS_VAND, 12,
				  4096, &seed) != 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- bytes on disk never change --------------------------------------- */

struct golden {
	const char *backend;
	uint32_t k, m;
	const char *hex; /* the fold of all check shards */
};

/*
 * Made once, with liberasurecode 1.6.2 and ISA-L 2.30, from 4 KiB shards; a
 * difference means that stored pools can not be read any more.
 *
 * All check shards folded to 16 bytes: position and value both count. */
static void fold(const struct stripe *s, uint32_t k, uint32_t m, char *hex)
{
	uint64_t a = 0xcbf29ce484222325u, b = 0x9e3779b97f4a7c15u;
	uint8_t out[16];

	for (uint32_t i = k; i < k + m; i++) {
		for (size_t j = 0; j < s->len; j++) {
			a = (a ^ s->shard[i][j]) * 0x100000001b3u;
			b = (b ^ a) * 0xbf58476d1ce4e5b9u + 1;
		}
	}
	for (size_t i = 0; i < 8; i++) {
		out[i] = (uint8_t)(a >> (8 * i));
		out[8 + i] = (uint8_t)(b >> (8 * i));
	}
	test_hex(out, sizeof(out), hex);
}

static void check_shards_have_the_bytes_they_always_had(void **state)
{
	static const struct golden golden[] = {
		{ "isa-l-rs-cauchy", 1, 1, "e7d328a4def26d927b2a4f990473b084" },
		{ "isa-l-rs-cauchy", 2, 1, "a27bc89ff53113829a5bb6263bc0b501" },
		{ "isa-l-rs-cauchy", 3, 2, "6250600019bd9574e1692f9d8ce0a408" },
		{ "isa-l-rs-cauchy", 4, 2, "b47ca44da8fcc830fcd6b76471f8198b" },
		{ "isa-l-rs-cauchy", 6, 3, "e739dfde4e52e5ac2a1dad31afccf03a" },
		{ "isa-l-rs-cauchy", 8, 3, "9476b848b7eb07552589d5a02802ccc7" },
		{ "isa-l-rs-cauchy", 10, 4,
		  "41392411497cd9c39fe21ce1668bd989" },
		{ "isa-l-rs-cauchy", 16, 16,
		  "eeabf57f132def8e6c2dbf87b808d31b" },
		{ "rs-vand", 2, 1, "743a063e6367f292f0a513b1f9065668" },
		{ "rs-vand", 4, 2, "cee9d57e8140fc58918213adb0f960bf" },
		{ "rs-vand", 8, 3, "19676859f7e80aae3a96515627b79c09" },
	};
	struct stripe s;

	(void)state;
	stripe_init(&s, 4096);
	for (size_t g = 0; g < sizeof(golden) / sizeof(*golden); g++) {
		const struct golden *v = &golden[g];
		uint64_t seed = 4711;
		struct test_plugin t;
		char hex[33];

		assert_int_equal(test_create(&t, "redundancy", "erasure",
					     "backend", v->backend),
				 0);
		memset(s.memory, 0xee, TOTAL * s.len);
		test_random_bytes(&seed, s.memory, v->k * s.len);
		assert_int_equal(encode(&t, v->k, v->m, &s), 0);
		fold(&s, v->k, v->m, hex);
		assert_string_equal(hex, v->hex);
		test_close(&t);
	}
	stripe_done(&s);
}

/* ---- losses ------------------------------------------------------------ */

/*
 * Loses the shards of lost, wants those of want back, and checks that nothing
 * else was touched.  The lost that are not wanted have no memory at all.
 */
static void lose(struct test_plugin *t, uint32_t k, uint32_t m,
		 const struct stripe *whole, struct stripe *work, uint32_t lost,
		 uint32_t want)
{
	uint32_t all = UINT32_MAX >> (TOTAL - k - m);
	uint8_t *shard[TOTAL];

	for (uint32_t i = 0; i < k + m; i++) {
		shard[i] = work->shard[i];
		if (lost & 1u << i) {
			memset(shard[i], 0xee, work->len);
			if (!(want & 1u << i))
				shard[i] = NULL;
		}
	}
	assert_int_equal(t->plugin->redundancy->rebuild(t->self, k, m, shard,
							work->len, all & ~lost,
							want),
			 0);
	for (uint32_t i = 0; i < k + m; i++) {
		if (!(lost & ~want & 1u << i))
			assert_memory_equal(work->shard[i], whole->shard[i],
					    work->len);
		else
			memcpy(work->shard[i], whole->shard[i], work->len);
	}
}

static void lose_every_pattern(struct test_plugin *t, uint32_t total,
			       size_t len, uint64_t *seed)
{
	struct stripe whole, work;

	stripe_init(&whole, len);
	stripe_init(&work, len);
	for (uint32_t k = 1; k < total; k++) {
		for (uint32_t m = 1; k + m <= total; m++) {
			test_random_bytes(seed, whole.memory, k * len);
			assert_int_equal(encode(t, k, m, &whole), 0);
			memcpy(work.memory, whole.memory, TOTAL * len);
			for (uint32_t x = 0; x < 1u << (k + m); x++) {
				uint32_t some;

				if ((uint32_t)__builtin_popcount(x) > m)
					continue;
				some = x & (uint32_t)test_random(seed);
				lose(t, k, m, &whole, &work, x, x);
				lose(t, k, m, &whole, &work, x, some);
			}
		}
	}
	stripe_done(&work);
	stripe_done(&whole);
}

static void every_loss_up_to_m_is_undone(void **state)
{
	static const char *const backends[] = { "isa-l-rs-cauchy", "rs-vand" };
	uint64_t seed = test_seed();

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct test_plugin t;

		assert_int_equal(test_create(&t, "redundancy", "erasure",
					     "backend", backends[i]),
				 0);
		lose_every_pattern(&t, i ? 6 : 8, 192, &seed);
		test_close(&t);
	}
}

static void random_losses_of_wide_codes_are_undone(void **state)
{
	static const uint32_t shapes[][2] = {
		{ 16, 16 }, { 31, 1 }, { 1, 31 },
		{ 24, 8 },  { 20, 4 }, { 29, 3 }
	};
	uint64_t seed = test_seed();
	struct stripe whole, work;
	struct test_plugin t;

	(void)state;
	test_open(&t, "redundancy", "erasure");
	stripe_init(&whole, 320);
	stripe_init(&work, 320);
	for (uint32_t round = 0; round < 600; round++) {
		uint32_t k = shapes[round % 6][0], m = shapes[round % 6][1];
		uint32_t lost = 0;

		test_random_bytes(&seed, whole.memory, k * whole.len);
		assert_int_equal(encode(&t, k, m, &whole), 0);
		memcpy(work.memory, whole.memory, TOTAL * whole.len);
		while ((uint32_t)__builtin_popcount(lost) < m)
			lost |= 1u << test_random(&seed) % (k + m);
		lose(&t, k, m, &whole, &work, lost, lost);
		lose(&t, k, m, &whole, &work, lost,
		     lost & (uint32_t)test_random(&seed));
	}
	stripe_done(&work);
	stripe_done(&whole);
	test_close(&t);
}

/* ---- refusals ----------------------------------------------------------- */

static void the_matrix_that_is_not_mds_is_refused_with_a_reason(void **state)
{
	struct test_plugin t;

	(void)state;
	assert_int_equal(test_create(&t, "redundancy", "erasure", "backend",
				     "isa-l-rs-vand"),
			 -EINVAL);
	assert_null(t.self);
	assert_int_equal(t.host.n_messages, 1);
	assert_non_null(strstr(t.host.message, "isa-l-rs-vand"));
	test_close(&t);
}

static void impossible_shapes_and_too_few_shards_are_refused(void **state)
{
	const struct dynfs_redundancy_ops *ops;
	struct dynfs_redundancy_limits limits = { .size = sizeof(limits) };
	struct test_plugin t;
	struct stripe s;

	(void)state;
	test_open(&t, "redundancy", "erasure");
	stripe_init(&s, 64);
	memset(s.memory, 0, TOTAL * s.len);
	ops = t.plugin->redundancy;
	assert_int_equal(ops->limits(t.self, &limits), 0);
	assert_int_equal(limits.total_max, 32);
	assert_int_equal(limits.align, 64);
	assert_int_equal(limits.quantum, 64);
	assert_int_equal(ops->check(t.self, 4, 2), 0);
	assert_int_equal(ops->check(t.self, 16, 16), 0);
	assert_int_equal(ops->check(t.self, 0, 2), -EINVAL);
	assert_int_equal(ops->check(t.self, 4, 0), -EINVAL);
	assert_int_equal(ops->check(t.self, 16, 17), -EINVAL);
	assert_int_equal(ops->check(t.self, 32, 0), -EINVAL);
	assert_int_equal(ops->check(t.self, 2, UINT32_MAX), -EINVAL);
	assert_int_equal(ops->encode(t.self, 4, 2, s.shard, 63), -EINVAL);
	assert_int_equal(
	    ops->encode(t.self, 4, 2, s.shard, (size_t)INT_MAX + 1), -EINVAL);
	assert_int_equal(ops->encode(t.self, 4, 2, s.shard, 0), 0);
	assert_int_equal(ops->rebuild(t.self, 4, 2, s.shard, 64, 7, 8),
			 -EUCLEAN);
	assert_int_equal(ops->rebuild(t.self, 4, 2, s.shard, 64, 15, 8),
			 -EINVAL);
	assert_int_equal(ops->rebuild(t.self, 4, 2, s.shard, 64, 15, 64),
			 -EINVAL);
	assert_int_equal(t.host.n_messages, 10);
	stripe_done(&s);
	test_close(&t);
}

static void
failing_memory_at_any_place_is_an_error_and_leaks_nothing(void **state)
{
	struct stripe s;
	int err = -1;

	(void)state;
	stripe_init(&s, 64);
	memset(s.memory, 1, TOTAL * s.len);
	for (long n = 1; err; n++) {
		const struct dynfs_plugin *plugin;
		int32_t config[4] = { 0 };
		struct test_plugin t;

		assert_true(n < 10);
		test_host_init(&t.host);
		plugin = t.plugin = test_load("redundancy", "erasure");
		t.self = NULL;
		t.host.fail_alloc = n;
		err = plugin->create(&t.host.host, config, &t.self);
		if (!err)
			err = encode(&t, 4, 2, &s);
		assert_true(err == 0 || err == -ENOMEM);
		t.host.fail_alloc = 0;
		if (t.self)
			assert_int_equal(encode(&t, 4, 2, &s), 0);
		test_close(&t);
	}
	stripe_done(&s);
}

/* ---- threads and descriptors -------------------------------------------- */

struct worker {
	struct test_plugin *t;
	uint64_t seed;
	int bad;
};

static void *work_on_many_codes(void *arg)
{
	struct worker *w = arg;
	struct stripe s, back;

	stripe_init(&s, 128);
	stripe_init(&back, 128);
	for (uint32_t round = 0; round < 400; round++) {
		uint32_t k = 1 + (uint32_t)(test_random(&w->seed) % 10);
		uint32_t m = 1 + (uint32_t)(test_random(&w->seed) % 4);
		uint32_t all = UINT32_MAX >> (TOTAL - k - m);

		test_random_bytes(&w->seed, s.memory, k * s.len);
		w->bad += encode(w->t, k, m, &s) != 0;
		memcpy(back.memory, s.memory, TOTAL * s.len);
		memset(back.shard[0], 0, s.len);
		w->bad += w->t->plugin->redundancy->rebuild(w->t->self, k, m,
							    back.shard, s.len,
							    all & ~1u, 1) != 0;
		w->bad += memcmp(back.shard[0], s.shard[0], s.len) != 0;
	}
	stripe_done(&back);
	stripe_done(&s);
	return NULL;
}

static void threads_of_two_instances_share_and_make_codecs_safely(void **state)
{
	static const char *const backends[] = { "isa-l-rs-cauchy", "rs-vand" };
	struct test_plugin t[4];
	struct worker w[8];
	pthread_t thread[8];

	(void)state;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(test_create(&t[i], "redundancy", "erasure",
					     "backend", backends[i % 2]),
				 0);
	for (size_t i = 0; i < 8; i++) {
		w[i] = (struct worker){ &t[i % 4], 99 + i, 0 };
		assert_int_equal(
		    pthread_create(&thread[i], NULL, work_on_many_codes, &w[i]),
		    0);
	}
	for (size_t i = 0; i < 8; i++) {
		assert_int_equal(pthread_join(thread[i], NULL), 0);
		assert_int_equal(w[i].bad, 0);
	}
	for (size_t i = 0; i < 4; i++)
		test_close(&t[i]);
}

/* Descriptors are numbered upwards; a leak per stripe would show. */
static void a_codec_is_made_once_and_freed_with_its_instance(void **state)
{
	struct ec_args args = { .k = 2, .m = 1, .hd = 1, .ct = CHKSUM_NONE };
	int before, after;
	struct test_plugin t;
	struct stripe s;

	(void)state;
	stripe_init(&s, 64);
	memset(s.memory, 3, TOTAL * s.len);
	before =
	    liberasurecode_instance_create(EC_BACKEND_ISA_L_RS_CAUCHY, &args);
	assert_true(before > 0);
	test_open(&t, "redundancy", "erasure");
	for (int i = 0; i < 1000; i++)
		assert_int_equal(encode(&t, 4, 2, &s), 0);
	after =
	    liberasurecode_instance_create(EC_BACKEND_ISA_L_RS_CAUCHY, &args);
	assert_int_equal(after, before + 2);
	test_close(&t);
	assert_int_equal(liberasurecode_get_minimum_encode_size(before + 1),
			 -EBACKENDNOTAVAIL);
	(void)liberasurecode_instance_destroy(before);
	(void)liberasurecode_instance_destroy(after);
	stripe_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    cauchy_bytes_equal_those_of_the_public_interface),
		cmocka_unit_test(
		    vandermonde_bytes_equal_those_of_the_public_interface),
		cmocka_unit_test(check_shards_have_the_bytes_they_always_had),
		cmocka_unit_test(every_loss_up_to_m_is_undone),
		cmocka_unit_test(random_losses_of_wide_codes_are_undone),
		cmocka_unit_test(
		    the_matrix_that_is_not_mds_is_refused_with_a_reason),
		cmocka_unit_test(
		    impossible_shapes_and_too_few_shards_are_refused),
		cmocka_unit_test(
		    failing_memory_at_any_place_is_an_error_and_leaks_nothing),
		cmocka_unit_test(
		    threads_of_two_instances_share_and_make_codecs_safely),
		cmocka_unit_test(
		    a_codec_is_made_once_and_freed_with_its_instance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
