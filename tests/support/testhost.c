/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See testhost.h.  Each block carries its size and its start in front, so
 * that freeing checks and accounts; memory is filled with garbage when freed,
 * so that a use after free shows in a build without sanitizers too.
 */
#include "testhost.h"
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BLOCK_MAGIC 0x7465737462ull
#define N_COUNTERS  64

struct block {
	uint64_t magic;
	size_t len;
	void *start; /* what free() wants */
};

static struct testhost *host_of(const struct dynfs_host *h)
{
	return h->ctx;
}

static void host_log(const struct dynfs_host *h, int level, const char *fmt,
		     ...)
{
	va_list ap;

	if (level >= DYNFS_ERR && level <= DYNFS_DEBUG)
		atomic_fetch_add(&host_of(h)->n_logs[level], 1);
	if (!getenv("DYNFS_TEST_VERBOSE")) /* NOLINT(concurrency-mt-unsafe) */
		return;
	va_start(ap, fmt);
	/* the analyzer of clang 14 does not know va_start here */
	(void)vfprintf(stderr, fmt, ap); /* NOLINT(clang-analyzer-valist*) */
	va_end(ap);
	(void)fputc('\n', stderr);
}

static int host_fail(const struct dynfs_host *h, int err, const char *fmt, ...)
{
	struct testhost *t = host_of(h);
	va_list ap;

	pthread_mutex_lock(&t->lock);
	t->n_fails++;
	t->fail_err = err;
	va_start(ap, fmt);
	/* NOLINTNEXTLINE(clang-analyzer-valist*) */
	(void)vsnprintf(t->fail_text, sizeof(t->fail_text), fmt, ap);
	va_end(ap);
	pthread_mutex_unlock(&t->lock);
	return err;
}

static bool alloc_account(struct testhost *t, size_t len)
{
	bool fails;

	pthread_mutex_lock(&t->lock);
	t->n_allocs++;
	fails = t->fail_alloc && !--t->fail_alloc;
	if (!fails) {
		t->live_blocks++;
		t->live_bytes += len;
		if (t->live_bytes > t->peak_bytes)
			t->peak_bytes = t->live_bytes;
	}
	pthread_mutex_unlock(&t->lock);
	return !fails;
}

static void *host_alloc(const struct dynfs_host *h, size_t len, size_t align)
{
	struct block b = { .magic = BLOCK_MAGIC, .len = len };
	uint8_t *p;
	size_t off;

	if (align < 16)
		align = 16;
	off = (sizeof(b) + align - 1) & ~(align - 1);
	if (len > SIZE_MAX - off - align || !alloc_account(host_of(h), len))
		return NULL;
	b.start = aligned_alloc(align, (off + len + align - 1) & ~(align - 1));
	if (!b.start) {
		struct testhost *t = host_of(h);

		pthread_mutex_lock(&t->lock);
		t->live_blocks--;
		t->live_bytes -= len;
		pthread_mutex_unlock(&t->lock);
		return NULL;
	}
	p = (uint8_t *)b.start + off;
	memcpy(p - sizeof(b), &b, sizeof(b));
	memset(p, 0, len);
	return p;
}

static void host_free(const struct dynfs_host *h, void *p)
{
	struct testhost *t = host_of(h);
	struct block b;

	if (!p)
		return;
	memcpy(&b, (uint8_t *)p - sizeof(b), sizeof(b));
	if (b.magic != BLOCK_MAGIC) {
		(void)fprintf(stderr, "testhost: %p was never allocated\n", p);
		abort();
	}
	pthread_mutex_lock(&t->lock);
	t->live_blocks--;
	t->live_bytes -= b.len;
	pthread_mutex_unlock(&t->lock);
	memset((uint8_t *)p - sizeof(b), 0x5a,
	       b.len < 65536 ? sizeof(b) + b.len : sizeof(b));
	free(b.start);
}

static uint64_t host_now_ns(const struct dynfs_host *h)
{
	struct timespec ts;

	if (h->os)
		return h->os->now_ns(h->os);
	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void host_count(const struct dynfs_host *h, unsigned counter,
		       uint64_t by)
{
	if (counter < N_COUNTERS)
		atomic_fetch_add(&host_of(h)->counter[counter], by);
}

static int host_stopping(const struct dynfs_host *h)
{
	return atomic_load(&host_of(h)->stopping);
}

void testhost_init(struct testhost *t, const struct dynfs_os *os)
{
	memset(t, 0, sizeof(*t));
	pthread_mutex_init(&t->lock, NULL);
	t->host = (struct dynfs_host){
		.size = sizeof(struct dynfs_host),
		.ctx = t,
		.log = host_log,
		.fail = host_fail,
		.alloc = host_alloc,
		.free = host_free,
		.now_ns = host_now_ns,
		.count = host_count,
		.stopping = host_stopping,
		.os = os,
	};
}

uint64_t testhost_done(struct testhost *t)
{
	pthread_mutex_destroy(&t->lock);
	return t->live_blocks;
}

void testhost_fail_alloc(struct testhost *t, uint64_t nth)
{
	pthread_mutex_lock(&t->lock);
	t->fail_alloc = nth;
	pthread_mutex_unlock(&t->lock);
}

const struct dynfs_plugin *testhost_load(const char *kind, const char *name)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe) */
	const char *dir = getenv("DYNFS_PLUGIN_DIR");
	const struct dynfs_plugin *(*entry)(void);
	char path[4096];
	void *so;

	if (!dir) {
		(void)fprintf(stderr, "DYNFS_PLUGIN_DIR is not set\n");
		return NULL;
	}
	(void)snprintf(path, sizeof(path), "%s/%s/%s.so", dir, kind, name);
	so = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (!so) {
		/* NOLINTNEXTLINE(concurrency-mt-unsafe) */
		(void)fprintf(stderr, "%s\n", dlerror());
		return NULL;
	}
	*(void **)&entry = dlsym(so, "dynfs_plugin_entry");
	if (!entry)
		(void)fprintf(stderr, "%s: no dynfs_plugin_entry\n", path);
	return entry ? entry() : NULL;
}

static int value_size(const char *s, uint64_t *ret)
{
	static const char units[] = "KMGT";
	const char *u;
	char *end;

	errno = 0;
	*ret = strtoull(s, &end, 0);
	if (end == s || errno)
		return -EINVAL;
	u = *end ? strchr(units, *end) : NULL;
	if (u) {
		*ret <<= 10 * (u - units + 1);
		end++;
	}
	return *end ? -EINVAL : 0;
}

static int value_choice(const struct dynfs_option *o, const char *s,
			int32_t *ret)
{
	for (int32_t i = 0; o->choices && o->choices[i]; i++) {
		if (!strcmp(o->choices[i], s)) {
			*ret = i;
			return 0;
		}
	}
	return -EINVAL;
}

static int value_put(const struct dynfs_option *o, void *config, const char *s)
{
	void *at = (uint8_t *)config + o->offset;
	int32_t i32 = 0;
	uint64_t u64 = 0;
	int64_t i64;
	char *end;
	int r = 0;

	switch (o->type) {
	case DYNFS_OPT_BOOL:
		i32 = !strcmp(s, "true") || !strcmp(s, "yes") ||
		      !strcmp(s, "on") || !strcmp(s, "1");
		break;
	case DYNFS_OPT_ENUM:
		r = value_choice(o, s, &i32);
		break;
	case DYNFS_OPT_INT:
		errno = 0;
		i64 = strtoll(s, &end, 0);
		r = end == s || *end || errno ? -EINVAL : 0;
		memcpy(&u64, &i64, sizeof(u64));
		break;
	case DYNFS_OPT_SIZE:
		r = value_size(s, &u64);
		break;
	case DYNFS_OPT_STR:
		memcpy(at, &s, sizeof(s));
		return 0;
	default:
		return -EINVAL;
	}
	if (r)
		return r;
	if (o->width == sizeof(i32))
		memcpy(at, &i32, sizeof(i32));
	else
		memcpy(at, &u64, sizeof(u64));
	return 0;
}

static const struct dynfs_option *option_at(const struct dynfs_plugin *p,
					    size_t i)
{
	const char *base = (const char *)p->options;
	const struct dynfs_option *o;

	if (!base)
		return NULL;
	o = (const struct dynfs_option *)(const void *)(base +
							i * p->option_size);
	return o->name ? o : NULL;
}

static int config_set(const struct dynfs_plugin *p, void *config,
		      const char *kv)
{
	const char *eq = strchr(kv, '=');
	const struct dynfs_option *o;

	for (size_t i = 0; eq && (o = option_at(p, i)); i++)
		if (!strncmp(o->name, kv, (size_t)(eq - kv)) &&
		    !o->name[eq - kv])
			return value_put(o, config, eq + 1);
	return -EINVAL;
}

void *testhost_config(const struct dynfs_plugin *p, const char *const *kv)
{
	void *config = calloc(1, p->config_size ? p->config_size : 1);
	const struct dynfs_option *o;
	int r = config ? 0 : -ENOMEM;

	for (size_t i = 0; !r && (o = option_at(p, i)); i++)
		if (o->def)
			r = value_put(o, config, o->def);
	for (size_t i = 0; !r && kv && kv[i]; i++)
		r = config_set(p, config, kv[i]);
	if (r) {
		free(config);
		return NULL;
	}
	return config;
}

int testinst_start(struct testinst *i, struct testhost *t, const char *kind,
		   const char *name, const char *const *kv)
{
	int r;

	*i = (struct testinst){ .plugin = testhost_load(kind, name) };
	if (!i->plugin)
		return -ENOENT;
	i->config = testhost_config(i->plugin, kv);
	if (!i->config)
		return -EINVAL;
	r = i->plugin->create(&t->host, i->config, &i->self);
	if (r) {
		free(i->config);
		return r;
	}
	r = i->plugin->start ? i->plugin->start(i->self) : 0;
	if (r) {
		i->plugin->destroy(i->self);
		free(i->config);
	}
	return r;
}

void testinst_stop(struct testinst *i)
{
	if (i->plugin->stop)
		i->plugin->stop(i->self);
	i->plugin->destroy(i->self);
	free(i->config);
	i->self = NULL;
}
