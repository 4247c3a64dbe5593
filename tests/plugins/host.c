/* SPDX-License-Identifier: Apache-2.0 */
/* The host double of host.h. */
#include "host.h"

#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static struct test_host *host_of(const struct dynfs_host *h)
{
	return h->ctx;
}

static void host_log(const struct dynfs_host *h, int level, const char *fmt,
		     ...)
{
	(void)h, (void)level, (void)fmt;
}

static int host_fail(const struct dynfs_host *h, int err, const char *fmt, ...)
{
	struct test_host *t = host_of(h);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(t->message, sizeof(t->message), fmt, ap);
	va_end(ap);
	t->n_messages++;
	return err;
}

static void *host_alloc(const struct dynfs_host *h, size_t len, size_t align)
{
	struct test_host *t = host_of(h);
	void *p = NULL;

	if (t->fail_alloc && --t->fail_alloc == 0)
		return NULL;
	if (posix_memalign(&p, align < sizeof(void *) ? 16 : align,
			   len ? len : 1))
		return NULL;
	memset(p, 0, len);
	t->n_live++;
	return p;
}

static void host_free(const struct dynfs_host *h, void *p)
{
	if (!p)
		return;
	host_of(h)->n_live--;
	free(p);
}

static uint64_t host_now_ns(const struct dynfs_host *h)
{
	struct timespec ts;

	(void)h;
	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void host_count(const struct dynfs_host *h, unsigned counter,
		       uint64_t by)
{
	(void)h, (void)counter, (void)by;
}

static int host_stopping(const struct dynfs_host *h)
{
	(void)h;
	return 0;
}

void test_host_init(struct test_host *t)
{
	memset(t, 0, sizeof(*t));
	t->host = (struct dynfs_host){
		.size = sizeof(t->host),
		.ctx = t,
		.log = host_log,
		.fail = host_fail,
		.alloc = host_alloc,
		.free = host_free,
		.now_ns = host_now_ns,
		.count = host_count,
		.stopping = host_stopping,
	};
}

const struct dynfs_plugin *test_load(const char *kind, const char *name)
{
	const char *dir = secure_getenv("DYNFS_PLUGIN_DIR");
	union {
		void *symbol;
		const struct dynfs_plugin *(*entry)(void);
	} u;
	char path[4096];
	void *so;

	(void)snprintf(path, sizeof(path), "%s/%s/%s.so",
		       dir ? dir : PLUGIN_OUTPUT_DIR, kind, name);
	so = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (!so)
		return NULL;
	u.symbol = dlsym(so, "dynfs_plugin_entry");
	return u.symbol ? u.entry() : NULL;
}

/* The value of an option as the core would store it: ENUM and INT only. */
static void option_store(const struct dynfs_option *o, uint8_t *config,
			 const char *text)
{
	if (o->type == DYNFS_OPT_INT) {
		int64_t v = strtoll(text, NULL, 10);

		memcpy(config + o->offset, &v, sizeof(v));
		return;
	}
	assert_int_equal(o->type, DYNFS_OPT_ENUM);
	for (int32_t i = 0; o->choices[i]; i++) {
		if (strcmp(o->choices[i], text) != 0)
			continue;
		memcpy(config + o->offset, &i, sizeof(i));
		return;
	}
	fail_msg("option %s has no choice %s", o->name, text);
}

int test_create(struct test_plugin *t, const char *kind, const char *name,
		const char *option, const char *value)
{
	_Alignas(16) uint8_t config[256] = { 0 };
	const struct dynfs_option *o;

	test_host_init(&t->host);
	t->self = NULL;
	t->plugin = test_load(kind, name);
	if (!t->plugin) {
		skip();
		return -ENOENT;
	}
	assert_int_equal(t->plugin->magic, DYNFS_PLUGIN_MAGIC);
	assert_string_equal(t->plugin->name, name);
	assert_true(t->plugin->config_size <= sizeof(config));
	for (o = t->plugin->options; o && o->name; o++)
		option_store(o, config,
			     option && !strcmp(option, o->name) ? value
								: o->def);
	return t->plugin->create(&t->host.host, config, &t->self);
}

void test_open(struct test_plugin *t, const char *kind, const char *name)
{
	assert_int_equal(test_create(t, kind, name, NULL, NULL), 0);
	assert_non_null(t->self);
}

void test_close(struct test_plugin *t)
{
	if (t->self)
		t->plugin->destroy(t->self);
	t->self = NULL;
	assert_int_equal(t->host.n_live, 0);
}

uint64_t test_seed(void)
{
	const char *text = secure_getenv("DYNFS_TEST_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);

	(void)printf("DYNFS_TEST_SEED=%llu\n", (unsigned long long)seed);
	return seed;
}

/* splitmix64 */
uint64_t test_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

void test_random_bytes(uint64_t *state, uint8_t *p, size_t len)
{
	while (len) {
		uint64_t v = test_random(state);
		size_t n = len < sizeof(v) ? len : sizeof(v);

		memcpy(p, &v, n);
		p += n;
		len -= n;
	}
}

void test_hex(const uint8_t *p, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		*out++ = digits[p[i] >> 4];
		*out++ = digits[p[i] & 15];
	}
	*out = '\0';
}
