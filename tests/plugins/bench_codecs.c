/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the codecs, checksums and placements cost on one core: run it by hand,
 * best of five rounds of a fifth of a second each.  Data is 64 MiB, more than
 * the caches hold, unless the line says warm.
 */
#include "host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define EXTENT    (1u << 20)
#define N_EXTENTS 64u
#define K         4u
#define M         2u
#define SHARD     (EXTENT / K)
#define BLOCK     16384u

struct bench {
	struct test_plugin redundancy, checksum, placement;
	uint8_t *memory; /* N_EXTENTS stripes of K + M shards */
	uint8_t sums[EXTENT / BLOCK * DYNFS_CHECKSUM_MAX];
	struct dynfs_placement_disk disk[6];
};

static void stripe(const struct bench *b, unsigned i, uint8_t **shard)
{
	for (unsigned s = 0; s < K + M; s++)
		shard[s] =
		    b->memory + ((size_t)(i % N_EXTENTS) * (K + M) + s) * SHARD;
}

static void do_encode(struct bench *b, unsigned i)
{
	uint8_t *shard[K + M];

	stripe(b, i, shard);
	b->redundancy.plugin->redundancy->encode(b->redundancy.self, K, M,
						 shard, SHARD);
}

static void do_encode_warm(struct bench *b, unsigned i)
{
	(void)i;
	do_encode(b, 0);
}

static void do_rebuild(struct bench *b, unsigned i)
{
	uint8_t *shard[K + M];

	stripe(b, i, shard);
	b->redundancy.plugin->redundancy->rebuild(b->redundancy.self, K, M,
						  shard, SHARD, 0x3c, 0x03);
}

static void do_rebuild_one(struct bench *b, unsigned i)
{
	uint8_t *shard[K + M];

	stripe(b, i, shard);
	b->redundancy.plugin->redundancy->rebuild(b->redundancy.self, K, M,
						  shard, SHARD, 0x1e, 0x01);
}

static void sum_shards(struct bench *b, unsigned i, unsigned n)
{
	const struct dynfs_checksum_ops *ops = b->checksum.plugin->checksum;
	uint8_t *shard[K + M];

	stripe(b, i, shard);
	for (unsigned s = 0; s < n; s++) {
		if (ops->sum_blocks) {
			ops->sum_blocks(b->checksum.self, shard[s], SHARD,
					BLOCK, b->sums);
			continue;
		}
		for (unsigned at = 0; at < SHARD; at += BLOCK)
			ops->sum(b->checksum.self, shard[s] + at, BLOCK,
				 b->sums);
	}
}

static void do_sum(struct bench *b, unsigned i)
{
	sum_shards(b, i, K);
}

static void do_pick(struct bench *b, unsigned i)
{
	struct dynfs_placement_request r = {
		.size = sizeof(r),
		.key = i * 0x9e3779b97f4a7c15u,
		.fragment_bytes = SHARD,
		.disks = b->disk,
		.disk_size = sizeof(b->disk[0]),
		.n_disks = 6,
		.n_pick = 3,
	};
	uint32_t out[6];

	b->placement.plugin->placement->pick(b->placement.self, &r, out);
}

static void do_write_path(struct bench *b, unsigned i)
{
	do_encode(b, i);
	sum_shards(b, i, K + M);
	do_pick(b, i);
}

/* Nanoseconds of one call, the best of some rounds. */
static double measure(struct bench *b, void (*fn)(struct bench *, unsigned))
{
	const struct dynfs_host *h = &b->redundancy.host.host;
	double best = 1e18;

	for (int round = 0; round < 5; round++) {
		uint64_t start = h->now_ns(h), now = start;
		unsigned n = 0;

		for (; now - start < 200000000; now = h->now_ns(h))
			for (unsigned i = 0; i < 16; i++)
				fn(b, n++);
		if ((double)(now - start) / n < best)
			best = (double)(now - start) / n;
	}
	return best;
}

static void row(struct bench *b, const char *what,
		void (*fn)(struct bench *, unsigned))
{
	double ns = measure(b, fn);

	(void)printf("%-44s %9.0f ns %7.2f GB/s\n", what, ns, EXTENT / ns);
}

static void measure_all(void **state)
{
	static const char *const sums[] = { "xxh3", "blake2b", "blake3" };
	static const char *const places[] = { "most-free", "round-robin",
					      "rendezvous" };
	size_t len = (size_t)N_EXTENTS * (K + M) * SHARD;
	struct bench *b = calloc(1, sizeof(*b));
	uint64_t seed = 1;
	char what[64];

	(void)state;
	b->memory = aligned_alloc(4096, len);
	test_random_bytes(&seed, b->memory, len);
	for (unsigned i = 0; i < 6; i++)
		b->disk[i] = (struct dynfs_placement_disk){
			.id = i,
			.domain = i,
			.free_bytes = (i + 1ull) << 40,
		};
	test_open(&b->redundancy, "redundancy", "erasure");
	row(b, "encode 4+2, 1 MiB, warm", do_encode_warm);
	row(b, "encode 4+2, 1 MiB", do_encode);
	row(b, "rebuild 2 of 4+2, 1 MiB", do_rebuild);
	row(b, "rebuild 1 of 4+2, 1 MiB", do_rebuild_one);
	for (size_t i = 0; i < 3; i++) {
		test_open(&b->checksum, "checksum", sums[i]);
		(void)snprintf(what, sizeof(what), "%s, 16 KiB blocks of 1 MiB",
			       sums[i]);
		row(b, what, do_sum);
		if (i < 2)
			test_close(&b->checksum);
	}
	for (size_t i = 0; i < 3; i++) {
		test_open(&b->placement, "placement", places[i]);
		(void)printf("%-11s 3 of 6 %26s %9.0f ns\n", places[i], "",
			     measure(b, do_pick));
		if (i < 2)
			test_close(&b->placement);
	}
	row(b, "encode + blake3 of 6 fragments + rendezvous", do_write_path);
	test_close(&b->placement);
	test_close(&b->checksum);
	test_close(&b->redundancy);
	free(b->memory);
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(measure_all) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
