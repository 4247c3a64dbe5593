/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host double, just large enough for plugins that only compute: memory that
 * is counted, the last message, and a way to load what was built.
 */
#ifndef TEST_PLUGINS_HOST_H
#define TEST_PLUGINS_HOST_H

#include <dynfs/checksum.h>
#include <dynfs/placement.h>
#include <dynfs/plugin.h>
#include <dynfs/redundancy.h>

struct test_host {
	struct dynfs_host host;  /* first */
	_Atomic long n_live;     /* allocations not freed */
	_Atomic long fail_alloc; /* count down; the one that reaches 0 fails */
	_Atomic long n_messages;
	char message[512]; /* the last one; not for threads */
};

/* One plugin with an instance of it. */
struct test_plugin {
	struct test_host host;
	const struct dynfs_plugin *plugin;
	void *self;
};

void test_host_init(struct test_host *t);

/* NULL when the plugin was not built. */
const struct dynfs_plugin *test_load(const char *kind, const char *name);

/*
 * Loads it and makes an instance; option and value override one ENUM or INT
 * default.  Skips the running test when the plugin was not built.
 */
int test_create(struct test_plugin *t, const char *kind, const char *name,
		const char *option, const char *value);
void test_open(struct test_plugin *t, const char *kind, const char *name);

/* Destroys the instance and fails the test when memory is left. */
void test_close(struct test_plugin *t);

/* The seed of a random test: DYNFS_TEST_SEED or the clock; printed. */
uint64_t test_seed(void);
uint64_t test_random(uint64_t *state);
void test_random_bytes(uint64_t *state, uint8_t *p, size_t len);

void test_hex(const uint8_t *p, size_t len, char *out);

#endif
