/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every form of redundancy through the extent layer: what was written is read
 * back to the bit, whichever m disks are away, whatever the length.  A pool of
 * its own for each form, on simulated disks; k = 1 with checks that are no
 * copies is among them, for there the two ways to read part.
 */
#include "simos.h"

#include <base/fail.h>
#include <pool/pool.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DISK_BYTES (UINT64_C(1) << 30)
#define EXTENT     (1u << 20)

struct form {
	const char *text; /* of the policy, in the configuration */
	uint32_t k, m;
};

struct rig {
	struct simos *sim;
	struct reg *reg;
	struct conf *conf;
	struct pool *pool;
	struct extents *x;
	uint8_t *data, *back;
};

static const uint32_t lengths[] = { 1,     511,      4096,   16384,
				    16385, 64 << 10, 262145, EXTENT };

#define N_LENGTHS (sizeof(lengths) / sizeof(*lengths))

static void must(int r, const char *what)
{
	if (r < 0)
		fail_msg("%s: %s", what, fail_text(r));
}

static void rig_parse(struct rig *g, const struct form *f)
{
	char text[2048];
	int n = snprintf(text, sizeof(text),
			 "pool = { name = \"codes\"; disks = (");

	for (uint32_t i = 0; i < f->k + f->m; ++i)
		n += snprintf(text + n, sizeof(text) - (size_t)n,
			      "%s { path = \"/d%u\"; }", i ? "," : "", i);
	n += snprintf(text + n, sizeof(text) - (size_t)n,
		      "); };\n"
		      "metadata = { engine = { plugin = \"mem\"; }; };\n"
		      "policies = { default = \"p\"; p = { %s\n"
		      "  checksum = \"xxh3\"; }; };\n",
		      f->text);
	assert_true((size_t)n < sizeof(text));
	must(conf_parse(text, (size_t)n, "/codes.conf", NULL, 0, &g->conf),
	     "config");
}

static void rig_new(struct rig *g, const struct form *f)
{
	const char *dir =
	    getenv("DYNFS_PLUGIN_DIR"); /* NOLINT(concurrency-mt-unsafe) */
	struct pool_how how;
	uint32_t x = 1;

	assert_non_null(dir);
	*g = (struct rig){ .sim = simos_new(1) };
	must(reg_open(dir, &g->reg), "registry");
	rig_parse(g, f);
	for (uint32_t i = 0; i < f->k + f->m; ++i) {
		char path[16];

		(void)snprintf(path, sizeof(path), "/d%u", i);
		must(simos_limit(g->sim, path, DISK_BYTES), path);
	}
	how = (struct pool_how){ .conf = g->conf,
				 .reg = g->reg,
				 .os = simos_os(g->sim) };
	must(pool_create(&how), "create");
	must(pool_open(&how, &g->pool), "open");
	g->x = pool_extents(g->pool);
	g->data = aligned_alloc(4096, EXTENT);
	g->back = malloc(EXTENT);
	assert_non_null(g->data);
	assert_non_null(g->back);
	for (uint32_t i = 0; i < EXTENT; ++i) {
		x = x * 1664525u + 1013904223u;
		g->data[i] = (uint8_t)(x >> 24);
	}
}

static void rig_free(struct rig *g)
{
	must(pool_close(g->pool), "close");
	conf_free(g->conf);
	reg_close(g->reg);
	simos_free(g->sim);
	free(g->data);
	free(g->back);
}

static struct extent_id put(struct rig *g, uint32_t len, uint64_t n)
{
	struct extent_owner owner = { .ino = 1000 + n, .length = len };
	struct meta *m = pool_meta(g->pool);
	struct extent_id id;
	struct batch b;
	uint64_t number;

	batch_init(&b);
	must(extent_write(g->x, extents_policy_default(g->x), g->data, len,
			  &owner, 1, &b, &id),
	     "write");
	must(meta_commit(m, &b, &number), "commit");
	must(meta_sync(m, number), "sync");
	batch_done(&b);
	return id;
}

/* All of it, and a part in the middle that fits no block. */
static void check(struct rig *g, struct extent_id id, uint32_t len)
{
	uint32_t from = len / 3,
		 n = len / 2 + 1 < len - from ? len / 2 + 1 : len - from;

	memset(g->back, 0, len);
	must(extent_read(g->x, id, 0, len, g->back), "read");
	assert_memory_equal(g->back, g->data, len);
	must(extent_read(g->x, id, from, n, g->back), "read a part");
	assert_memory_equal(g->back, g->data + from, n);
}

static void away(struct rig *g, uint32_t n_disks, uint32_t mask, bool back)
{
	for (uint32_t i = 0; i < n_disks; ++i) {
		char path[16];

		(void)snprintf(path, sizeof(path), "/d%u", i);
		if (!(mask >> i & 1))
			continue;
		if (back)
			simos_heal(g->sim);
		else
			must(simos_inject(
				 g->sim,
				 &(struct simos_fault){ .call = SIMOS_PREADV,
							.prefix = path,
							.nth = 1,
							.err = -EIO }),
			     "inject");
	}
}

static void survives(const struct form *f)
{
	struct extent_id id[N_LENGTHS];
	uint32_t n = f->k + f->m;
	struct extents_status st;
	struct rig g;

	rig_new(&g, f);
	for (uint32_t i = 0; i < N_LENGTHS; ++i)
		id[i] = put(&g, lengths[i], i);
	for (uint32_t i = 0; i < N_LENGTHS; ++i)
		check(&g, id[i], lengths[i]);
	extents_status(g.x, &st);
	assert_int_equal(st.degraded_reads, 0);
	assert_int_equal(st.checksum_errors, 0);
	for (uint32_t lost = 1; lost < 1u << n; ++lost) {
		if ((uint32_t)__builtin_popcount(lost) > f->m)
			continue;
		away(&g, n, lost, false);
		for (uint32_t i = 0; i < N_LENGTHS; ++i)
			check(&g, id[i], lengths[i]);
		away(&g, n, lost, true);
	}
	extents_status(g.x, &st);
	/* not one fragment was other than what its sums say */
	assert_int_equal(st.checksum_errors, 0);
	rig_free(&g);
}

static void copies_of_an_extent_survive(void **state)
{
	(void)state;
	survives(
	    &(struct form){ "redundancy = \"replica\"; copies = 3;", 1, 2 });
}

static void erasure_4_2_survives(void **state)
{
	(void)state;
	survives(
	    &(struct form){ "redundancy = \"erasure\"; k = 4; m = 2;", 4, 2 });
}

static void one_piece_with_checks_survives(void **state)
{
	(void)state;
	survives(
	    &(struct form){ "redundancy = \"erasure\"; k = 1; m = 1;", 1, 1 });
	survives(
	    &(struct form){ "redundancy = \"erasure\"; k = 1; m = 3;", 1, 3 });
}

static void odd_numbers_of_pieces_survive(void **state)
{
	(void)state;
	survives(
	    &(struct form){ "redundancy = \"erasure\"; k = 3; m = 1;", 3, 1 });
	survives(
	    &(struct form){ "redundancy = \"erasure\"; k = 5; m = 3;", 5, 3 });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_of_an_extent_survive),
		cmocka_unit_test(erasure_4_2_survives),
		cmocka_unit_test(one_piece_with_checks_survives),
		cmocka_unit_test(odd_numbers_of_pieces_survive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
