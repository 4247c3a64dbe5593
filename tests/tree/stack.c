/* SPDX-License-Identifier: Apache-2.0 */
#include "stack.h"

#include <base/fail.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define DISK_BYTES (UINT64_C(1) << 30)
#define N_DISKS    5
#define WAIT_MS    10
#define WAIT_TRIES 1000

static const char config[] =
    "pool = { name = \"tree\"; extent-size = \"64K\"; disks = (\n"
    "  { path = \"/d1\"; }, { path = \"/d2\"; }, { path = \"/d3\"; },\n"
    "  { path = \"/d4\"; }, { path = \"/d5\"; } ); };\n"
    "metadata = { engine = { plugin = \"mem\"; }; copies = 3;\n"
    "  memory = \"16M\"; };\n"
    "policies = { default = \"c2\";\n"
    "  c2 = { redundancy = \"replica\"; copies = 2; checksum = \"xxh3\"; };\n"
    "  c3 = { copies = 3; checksum = \"xxh3\"; users = ( \"7\", \"@8\" ); };\n"
    "  c5 = { copies = 5; checksum = \"xxh3\"; };\n"
    "  c6 = { copies = 6; checksum = \"xxh3\"; };\n"
    "};\n"
    "limits = { memory = \"128M\"; };\n";

static void must(int r, const char *what)
{
	if (r < 0)
		fail_msg("%s: %s", what, fail_text(r));
}

static struct pool_how how_of(const struct stack *s)
{
	return (struct pool_how){ .conf = s->conf,
				  .reg = s->reg,
				  .os = simos_os(s->sim) };
}

void stack_open(struct stack *s)
{
	struct pool_how how = how_of(s);

	must(pool_open(&how, &s->pool), "open");
	assert_false(pool_readonly(s->pool));
	s->fs = tree_view(pool_tree(s->pool));
}

void stack_close(struct stack *s)
{
	must(pool_close(s->pool), "close");
	s->pool = NULL;
}

void stack_new(struct stack *s, uint64_t seed)
{
	const char *dir =
	    getenv("DYNFS_PLUGIN_DIR"); /* NOLINT(concurrency-mt-unsafe) */
	struct pool_how how;
	char path[8];

	*s = (struct stack){ .sim = simos_new(seed) };
	assert_non_null(s->sim);
	assert_non_null(dir);
	must(reg_open(dir, &s->reg), "registry");
	must(conf_parse(config, sizeof(config) - 1, "/tree.conf", NULL, 0,
			&s->conf),
	     "config");
	for (int i = 1; i <= N_DISKS; i++) {
		(void)snprintf(path, sizeof(path), "/d%d", i);
		assert_int_equal(simos_limit(s->sim, path, DISK_BYTES), 0);
	}
	how = how_of(s);
	must(pool_create(&how), "create");
	stack_open(s);
}

void stack_free(struct stack *s)
{
	if (s->pool)
		stack_close(s);
	conf_free(s->conf);
	reg_close(s->reg);
	simos_free(s->sim);
}

void stack_crash(struct stack *s, uint64_t seed)
{
	bool down = simos_is_down(s->sim);

	if (!down)
		simos_crash_at(s->sim, 1 + seed % 7);
	pool_abandon(s->pool);
	s->pool = NULL;
	if (simos_is_down(s->sim)) {
		simos_restart(s->sim, SIMOS_COIN, seed);
	} else {
		simos_crash_at(s->sim, 0);
		simos_crash(s->sim, SIMOS_COIN, seed);
	}
}

static int count_row(void *ctx, const void *key, size_t key_len,
		     const void *value, size_t value_len)
{
	(void)key;
	(void)key_len;
	(void)value;
	(void)value_len;
	++*(unsigned *)ctx;
	return 0;
}

static void nap(int i)
{
	const struct timespec wait = { .tv_nsec = WAIT_MS * 1000000L };

	assert_true(i < WAIT_TRIES);
	(void)nanosleep(&wait, NULL);
}

void stack_await(struct stack *s, struct key prefix)
{
	unsigned n = 1;

	for (int i = 0; n; i++) {
		n = 0;
		must(meta_scan(pool_meta(s->pool), prefix.data, prefix.len,
			       NULL, 0, count_row, &n),
		     "scan");
		if (n)
			nap(i);
	}
}

void stack_await_flush(struct stack *s)
{
	struct files_status st;

	for (int i = 0;; i++) {
		files_status(pool_files(s->pool), &st);
		if (!st.dirty_bytes)
			return;
		nap(i);
	}
}

void stack_settle(struct stack *s)
{
	stack_await(s, key_kind('O'));
	must(pool_sync(s->pool), "sync");
}
