/* SPDX-License-Identifier: Apache-2.0 */
/*
 * testhost: the smallest complete host for one plugin instance under test.
 *
 * It accounts for memory, can fail the nth allocation, keeps the last
 * message and counts, and loads plugins from $DYNFS_PLUGIN_DIR.  All
 * members of the lent table may be called from any thread; the rest belongs
 * to the thread of the test.
 */
#ifndef TESTS_SUPPORT_TESTHOST_H
#define TESTS_SUPPORT_TESTHOST_H

#include <dynfs/os.h>
#include <dynfs/plugin.h>
#include <pthread.h>
#include <stdatomic.h>

struct testhost {
	struct dynfs_host host; /* lend &t.host */
	atomic_ullong counter[64];
	atomic_int stopping;
	atomic_ullong n_logs[4]; /* by level */
	pthread_mutex_t lock;    /* guards what follows */
	uint64_t live_blocks, live_bytes, peak_bytes, n_allocs;
	uint64_t fail_alloc; /* counts down to the one that fails; 0: none */
	uint64_t n_fails;    /* calls of fail() */
	int fail_err;        /* of the last */
	char fail_text[256];
};

/* os is borrowed. */
void testhost_init(struct testhost *t, const struct dynfs_os *os);
/* The number of blocks that were never freed. */
uint64_t testhost_done(struct testhost *t);
/* The nth allocation from now (1: the next) returns NULL, once; 0: none. */
void testhost_fail_alloc(struct testhost *t, uint64_t nth);

/* NULL, with a line on stderr, when it cannot be loaded.  Never unloaded. */
const struct dynfs_plugin *testhost_load(const char *kind, const char *name);

/*
 * The plugin's config struct with its defaults and the settings
 * "name=value" in kv (NULL-terminated, or NULL), for free().  Strings in it
 * point into kv and the option table.  NULL for an unknown name or a value
 * that cannot be read; ranges are not checked, so a test can break them.
 */
void *testhost_config(const struct dynfs_plugin *p, const char *const *kv);

/* One created and started instance. */
struct testinst {
	const struct dynfs_plugin *plugin;
	void *self;
	void *config;
};

/* Load, configure, create, start: 0 or a negative errno. */
int testinst_start(struct testinst *i, struct testhost *t, const char *kind,
		   const char *name, const char *const *kv);
void testinst_stop(struct testinst *i);

#endif
