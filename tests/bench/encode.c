/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What core/extent costs without disks: encode, sum and place extents of
 * 1 MiB as 4+2, for each checksum, and hand them to stores: the mem plugin's,
 * which copy them into memory, and ones that keep nothing (sink.c).
 *
 *	DYNFS_PLUGIN_DIR=build/release/lib/dynfs bench_encode [SECONDS]
 *
 * A whole pool on a simulated system, so that nothing is left on any disk.
 * An extent is written as the file layer writes it, then forgotten instead of
 * committed.  The rate is for a core: content by processor time of the whole
 * process, the threads that hand fragments to the stores too.  Content is
 * 64 MiB, more than caches hold.
 */
#include "simos.h"

#include <base/fail.h>
#include <pool/pool.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EXTENT    (1u << 20)
#define N_EXTENTS 64u
#define N_DISKS   6
#define DISK      (UINT64_C(1) << 31)
#define ROUNDS    3

struct rig {
	struct simos *sim;
	struct conf *conf;
	struct pool *pool;
	const struct policy *policy;
	uint8_t *data; /* N_EXTENTS of them */
};

struct cost {
	double cpu, wall; /* seconds */
	uint64_t n;
};

static double seconds(clockid_t clock)
{
	struct timespec t;

	(void)clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int rig_parse(struct rig *g, const char *checksum, const char *store)
{
	char text[1024];
	int n =
	    snprintf(text, sizeof(text),
		     "pool = { name = \"bench\"; disks = (\n"
		     " { path = \"/d1\"; }, { path = \"/d2\"; },\n"
		     " { path = \"/d3\"; }, { path = \"/d4\"; },\n"
		     " { path = \"/d5\"; }, { path = \"/d6\"; } ); };\n"
		     "metadata = { engine = { plugin = \"mem\"; }; };\n"
		     "store = { plugin = \"%s\"; };\n"
		     "policies = { default = \"p\"; p = { k = 4; m = 2;\n"
		     "  redundancy = \"erasure\"; checksum = \"%s\"; }; };\n",
		     store, checksum);

	return conf_parse(text, (size_t)n, "/bench.conf", NULL, 0, &g->conf);
}

static int rig_disks(struct rig *g)
{
	char path[8];
	int r = 0;

	for (int i = 1; r >= 0 && i <= N_DISKS; i++) {
		(void)snprintf(path, sizeof(path), "/d%d", i);
		r = simos_limit(g->sim, path, DISK);
	}
	return r;
}

static int rig_open(struct rig *g, struct reg *reg, const char *checksum,
		    const char *store)
{
	struct pool_how how;
	int r = rig_parse(g, checksum, store);

	if (r < 0)
		return r;
	g->sim = simos_new(1);
	if (!g->sim)
		return -ENOMEM;
	how = (struct pool_how){ .conf = g->conf,
				 .reg = reg,
				 .os = simos_os(g->sim) };
	r = rig_disks(g);
	if (r >= 0)
		r = pool_create(&how);
	if (r >= 0)
		r = pool_open(&how, &g->pool);
	if (r >= 0)
		g->policy = extents_policy_default(pool_extents(g->pool));
	return r;
}

static void rig_close(struct rig *g)
{
	if (g->pool)
		(void)pool_close(g->pool);
	if (g->sim)
		simos_free(g->sim);
	conf_free(g->conf);
}

static int write_one(struct rig *g, uint64_t i)
{
	struct extents *x = pool_extents(g->pool);
	struct extent_owner owner = { .ino = 2, .generation = 1 };
	AUTOBATCH struct batch b;
	struct extent_id id;
	int r;

	batch_init(&b);
	owner.file_offset = i * EXTENT;
	owner.sequence = i + 1;
	owner.length = EXTENT;
	r = extent_write(x, g->policy, g->data + i % N_EXTENTS * EXTENT, EXTENT,
			 &owner, 1, &b, &id);
	if (r >= 0)
		extent_forget(x, id, &b);
	return r;
}

static int measure(struct rig *g, double limit, struct cost *ret)
{
	double cpu, wall;
	uint64_t n = 0;
	int r = 0;

	for (; r >= 0 && n < N_EXTENTS; n++)
		r = write_one(g, n);
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
	wall = seconds(CLOCK_MONOTONIC);
	for (n = 0; r >= 0 && seconds(CLOCK_MONOTONIC) - wall < limit; n++)
		r = write_one(g, n);
	ret->cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	ret->wall = seconds(CLOCK_MONOTONIC) - wall;
	ret->n = n;
	return r;
}

/* The best of some rounds: others' work on the machine only slows it. */
static int bench(struct reg *reg, const char *checksum, const char *store,
		 double limit, uint8_t *data)
{
	struct rig g = { .data = data };
	double core = 0, clock = 0;
	int r = rig_open(&g, reg, checksum, store);

	for (int i = 0; r >= 0 && i < ROUNDS; i++) {
		struct cost c;
		double bytes;

		r = measure(&g, limit, &c);
		bytes = (double)c.n * EXTENT / 1e9;
		if (bytes / c.cpu > core)
			core = bytes / c.cpu;
		if (bytes / c.wall > clock)
			clock = bytes / c.wall;
	}
	if (r < 0)
		(void)fprintf(stderr, "bench_encode: %s: %s\n", checksum,
			      fail_text(r));
	else
		(void)printf("extent 4+2, %-6s store %-4s %6.2f GB/s per core, "
			     "%6.2f GB/s by the clock\n",
			     checksum, store, core, clock);
	rig_close(&g);
	return r;
}

int main(int argc, char **argv)
{
	static const char *const sums[] = { "blake3", "xxh3" };
	static const char *const stores[] = { "mem", "sink" };
	const char *dir =
	    getenv("DYNFS_PLUGIN_DIR"); /* NOLINT(concurrency-mt-unsafe) */
	char path[4096];
	double limit = argc > 1 ? strtod(argv[1], NULL) : 2;
	size_t len = (size_t)N_EXTENTS * EXTENT;
	uint8_t *data = aligned_alloc(4096, len);
	struct reg *reg = NULL;
	uint64_t v = 1;
	int r = -ENOMEM;

	if (!dir || limit <= 0) {
		(void)fprintf(stderr, "usage: DYNFS_PLUGIN_DIR=DIR "
				      "bench_encode [SECONDS]\n");
		free(data);
		return 2;
	}
	(void)snprintf(path, sizeof(path), "%s:" SINK_DIR, dir);
	if (data)
		r = reg_open(path, &reg);
	for (size_t i = 0; r >= 0 && i < len; i += 8) {
		v ^= v << 13;
		v ^= v >> 7;
		v ^= v << 17;
		memcpy(data + i, &v, 8);
	}
	for (size_t i = 0; r >= 0 && i < 4; i++)
		r = bench(reg, sums[i / 2], stores[i % 2], limit, data);
	reg_close(reg);
	free(data);
	return r < 0;
}
