/* SPDX-License-Identifier: Apache-2.0 */
/* The engines of the tests, and their files. */
#include "engine.h"

#include <base/os.h>
#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct engine *engine_new(const char *name, const struct dynfs_os *os)
{
	return engine_new_with(name, os, NULL);
}

struct engine *engine_new_with(const char *name, const struct dynfs_os *os,
			       const char *const *options)
{
	struct engine *e = calloc(1, sizeof(*e));

	assert_non_null(e);
	testhost_init(&e->host, os ? os : os_real());
	assert_int_equal(
	    testinst_start(&e->inst, &e->host, "meta", name, options), 0);
	e->ops = e->inst.plugin->meta;
	e->self = e->inst.self;
	return e;
}

void engine_free(struct engine *e)
{
	engine_close(e);
	testinst_stop(&e->inst);
	assert_int_equal(testhost_done(&e->host), 0);
	free(e);
}

int engine_open(struct engine *e, const char *path, uint32_t flags,
		uint64_t memory_bytes, uint64_t *ret_applied)
{
	struct dynfs_meta_open how = { .size = sizeof(how),
				       .path = path,
				       .flags = flags,
				       .memory_bytes = memory_bytes };
	uint64_t before = e->host.n_fails;
	int err = e->ops->open(e->self, &how, ret_applied);

	e->is_open = !err;
	assert_true(err <= 0);
	if (err == -EUCLEAN || err == -EINVAL)
		assert_true(e->host.n_fails > before);
	return err;
}

void engine_close(struct engine *e)
{
	if (e->is_open)
		e->ops->close(e->self);
	e->is_open = 0;
}

char *folder_join(const char *path, const char *name)
{
	char *joined;

	if (asprintf(&joined, "%s/%s", path, name) < 0)
		fail_msg("no memory");
	return joined;
}

char *folder_new(void)
{
	const char *tmp = getenv("TMPDIR"); /* NOLINT(concurrency-mt-unsafe) */
	char *path;

	/* RocksDB syncs a lot, which no test here depends on */
	if (!tmp)
		tmp = access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm";
	path = folder_join(tmp, "dynfs-engine-XXXXXX");
	assert_non_null(mkdtemp(path));
	return path;
}

static int remove_each(const char *path, const struct stat *st, int type,
		       struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

void folder_remove(const char *path)
{
	(void)nftw(path, remove_each, 16, FTW_DEPTH | FTW_PHYS);
}

void folder_drop(char *path)
{
	folder_remove(path);
	free(path);
}

static int names_order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

struct names {
	char **names;
	int n;
};

static int names_add(void *ctx, const char *name, uint32_t type)
{
	struct names *s = ctx;

	(void)type;
	s->names = realloc(s->names, (size_t)(s->n + 1) * sizeof(s->names[0]));
	assert_non_null(s->names);
	s->names[s->n++] = strdup(name);
	return 0;
}

char **names_new(const char *path, int *ret_n)
{
	struct names s = { NULL, 0 };

	assert_int_equal(os_real()->list(os_real(), path, names_add, &s), 0);
	if (s.n)
		qsort(s.names, (size_t)s.n, sizeof(s.names[0]), names_order);
	*ret_n = s.n;
	return s.names;
}

void names_free(char **names, int n)
{
	for (int i = 0; i < n; ++i)
		free(names[i]);
	free(names);
}

uint8_t *file_read(const char *path, size_t *ret_len)
{
	FILE *f = fopen(path, "rbe");
	struct stat st;
	uint8_t *data;

	assert_non_null(f);
	assert_int_equal(fstat(fileno(f), &st), 0);
	data = malloc((size_t)st.st_size + 1);
	assert_non_null(data);
	*ret_len = fread(data, 1, (size_t)st.st_size, f);
	(void)fclose(f);
	assert_int_equal(*ret_len, st.st_size);
	return data;
}

/* A new file, for the old one may be a link to another's. */
void file_write(const char *path, const uint8_t *data, size_t len)
{
	FILE *f;

	(void)unlink(path);
	f = fopen(path, "wbe");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

void folder_copy(const char *from, const char *to)
{
	int n;
	char **names = names_new(from, &n);

	assert_int_equal(mkdir(to, 0700), 0);
	for (int i = 0; i < n; ++i) {
		char *a = folder_join(from, names[i]);
		char *b = folder_join(to, names[i]);
		size_t len;
		uint8_t *data = file_read(a, &len);

		file_write(b, data, len);
		free(data);
		free(a);
		free(b);
	}
	names_free(names, n);
}

static uint64_t hash_add(uint64_t h, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; ++i)
		h = (h ^ p[i]) * 0x100000001b3ull;
	return h;
}

uint64_t folder_hash(const char *path)
{
	uint64_t h = 0xcbf29ce484222325ull;
	int n;
	char **names = names_new(path, &n);

	for (int i = 0; i < n; ++i) {
		char *file = folder_join(path, names[i]);
		size_t len;
		uint8_t *data = file_read(file, &len);

		h = hash_add(h, names[i], strlen(names[i]) + 1);
		h = hash_add(h, data, len);
		free(data);
		free(file);
	}
	names_free(names, n);
	return h;
}
