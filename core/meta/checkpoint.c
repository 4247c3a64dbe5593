/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints as files: found, verified, mirrored, restored, pruned.
 *
 * The manifest makes a directory a checkpoint, so it is written when all else
 * is durable.  Files of an earlier checkpoint on the same disk are linked
 * instead of copied when name, size and sum agree: an index of gigabytes
 * costs its changes only.  The sum decides and not the engine's word that a
 * name is never used twice, for that word ends with its directory.
 */
#include <meta/checkpoint.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/log.h>
#include <base/str.h>
#include <meta/files.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MANIFEST     "MANIFEST"
#define MANIFEST_MAX (16u << 20)

void ckpt_done(struct ckpt *c)
{
	for (uint32_t i = 0; i < c->n_files; i++)
		free(c->files[i].name);
	free(c->files);
	free(c->engine);
	free(c->path);
	*c = (struct ckpt){ 0 };
}

void ckpt_list_done(struct ckpt_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		ckpt_done(&l->v[i]);
	free(l->v);
	*l = (struct ckpt_list){ 0 };
}

char *ckpt_path(const struct disk *k, uint64_t number)
{
	return str_printf("%s/checkpoint/%016" PRIx64, k->path, number);
}

static bool parse_number(const char *name, uint64_t *ret)
{
	char *end;

	if (strlen(name) != 16 || strspn(name, "0123456789abcdef") != 16)
		return false;
	*ret = strtoull(name, &end, 16);
	return !*end;
}

/* As manifest_decode(), or the disk's error. */
static int load(const struct dynfs_os *os, struct disk *k, uint64_t number,
		const struct uuid *pool, struct ckpt *ret)
{
	AUTOBUF struct buf b = BUF_INIT;
	AUTOFREE char *path = ckpt_path(k, number);
	AUTOFREE char *file = path ? str_path(path, MANIFEST) : NULL;
	int r = file ? file_load(os, file, MANIFEST_MAX, &b) : -ENOMEM;

	if (r)
		return r == -ENOENT || r == -EFBIG ? -EUCLEAN : r;
	r = manifest_decode(b.data, b.len, pool, ret);
	if (r && r != -EROFS)
		return r == -EOPNOTSUPP ? fail_wrap(r, "%s", path) : r;
	if (ret->number != number) {
		ckpt_done(ret);
		return -EUCLEAN;
	}
	if (r)
		(void)fail_wrap(r, "%s", path);
	ret->disk = k;
	ret->path = TAKE(path);
	return r;
}

static int by_number(const void *a, const void *b)
{
	const struct ckpt *x = (const struct ckpt *)a;
	const struct ckpt *y = (const struct ckpt *)b;

	return (x->number > y->number) - (x->number < y->number);
}

int ckpt_find(const struct dynfs_os *os, struct disk *k,
	      const struct uuid *pool, struct ckpt_list *l)
{
	AUTOFREE char *dir = str_path(k->path, "checkpoint");
	char **names = NULL;
	size_t n = 0;
	struct ckpt *v;
	bool readonly = false;
	int r = dir ? dir_names(os, dir, &names, &n) : -ENOMEM;

	if (r)
		return r == -ENOENT ? 0 : r;
	v = (struct ckpt *)realloc(l->v, (l->n + n + 1) * sizeof(*v));
	if (v)
		l->v = v;
	else
		r = -ENOMEM;
	for (size_t i = 0; !r && i < n; i++) {
		uint64_t number;

		if (!parse_number(names[i], &number))
			continue;
		r = load(os, k, number, pool, &l->v[l->n]);
		if (!r || r == -EROFS)
			l->n++;
		readonly |= r == -EROFS;
		if (r == -EUCLEAN || r == -EROFS)
			r = 0;
	}
	names_free(names, n);
	if (l->n)
		qsort(l->v, l->n, sizeof(*l->v), by_number);
	return !r && readonly ? -EROFS : r;
}

/* Files are synced before they get a name that counts; names may not be. */
int ckpt_settle(const struct dynfs_os *os, const struct disk *k)
{
	AUTOFREE char *dir = str_path(k->path, "checkpoint");
	char **names = NULL;
	size_t n = 0;
	int r = dir ? dir_names(os, dir, &names, &n) : -ENOMEM;

	if (r)
		return r == -ENOENT ? 0 : r;
	for (size_t i = 0; !r && i < n; i++) {
		AUTOFREE char *path = str_path(dir, names[i]);
		uint64_t number;

		if (!path)
			r = -ENOMEM;
		else if (parse_number(names[i], &number))
			r = os->syncdir(os, path);
	}
	names_free(names, n);
	return r ? r : os->syncdir(os, dir);
}

static bool matches(const struct ckpt_file *f, uint64_t size,
		    const uint8_t *sum)
{
	return size == f->size && sum_equal(sum, f->sum);
}

/* A file of old with the same name, size and sum. */
static bool has_file(const struct ckpt *old, const struct ckpt_file *f)
{
	for (uint32_t i = 0; old && i < old->n_files; i++)
		if (matches(&old->files[i], f->size, f->sum) &&
		    !strcmp(old->files[i].name, f->name))
			return true;
	return false;
}

/* Every file that old has not. */
static int verify_new(const struct dynfs_os *os, const struct ckpt *c,
		      const struct ckpt *old)
{
	int r = 0;

	for (uint32_t i = 0; !r && i < c->n_files; i++) {
		AUTOFREE char *path = str_path(c->path, c->files[i].name);
		uint8_t sum[SUM128_LEN];
		uint64_t size = 0;

		if (has_file(old, &c->files[i]))
			continue;
		r = path ? file_sum(os, path, &size, sum) : -ENOMEM;
		if (r == -ENOENT || (!r && !matches(&c->files[i], size, sum)))
			r = -EUCLEAN;
	}
	return r;
}

int ckpt_verify(const struct dynfs_os *os, const struct ckpt *c)
{
	return verify_new(os, c, NULL);
}

int ckpt_get(const struct dynfs_os *os, struct disk *k, uint64_t number,
	     const uint8_t chain[SUM128_LEN], const struct uuid *pool,
	     struct ckpt *ret)
{
	struct ckpt c = { 0 };
	int r = load(os, k, number, pool, &c);

	if (!r && !sum_equal(c.chain, chain))
		r = -EUCLEAN;
	if (!r)
		r = ckpt_verify(os, &c);
	if (r)
		ckpt_done(&c);
	else
		*ret = c;
	return r;
}

/* The manifest says what it should, and the files that old has not are so. */
static int read_back(const struct dynfs_os *os, const struct ckpt *c,
		     const struct ckpt *old, const struct uuid *pool)
{
	AUTOBUF struct buf want = BUF_INIT;
	AUTOBUF struct buf got = BUF_INIT;
	AUTOFREE char *path = str_path(c->path, MANIFEST);
	int r = path ? manifest_encode(c, pool, &want) : -ENOMEM;

	if (!r)
		r = file_load(os, path, MANIFEST_MAX, &got);
	if (!r &&
	    (got.len != want.len || memcmp(got.data, want.data, got.len) != 0))
		r = -EUCLEAN;
	return r ? r : verify_new(os, c, old);
}

int ckpt_seal(const struct dynfs_os *os, const struct ckpt *c,
	      const struct ckpt *old, const struct uuid *pool)
{
	AUTOFREE char *path = str_path(c->path, MANIFEST);
	AUTOFREE char *fresh = str_path(c->path, MANIFEST ".new");
	AUTOBUF struct buf b = BUF_INIT;
	int fd, r = manifest_encode(c, pool, &b);

	if (r || !path || !fresh)
		return r ? r : -ENOMEM;
	fd = os->open(os, fresh,
		      DYNFS_OS_RDWR | DYNFS_OS_CREATE | DYNFS_OS_TRUNC, 0600);
	if (fd < 0)
		return fd;
	r = meta_file_write(os, fd, b.data, b.len, 0);
	if (!r)
		r = os->sync(os, fd);
	(void)os->close(os, fd); /* was synced, or does not count */
	if (!r)
		r = os->rename(os, fresh, path);
	if (!r)
		r = os->syncdir(os, c->path);
	return r ? r : read_back(os, c, old, pool);
}

/* One file from c to dir; -EUCLEAN when c's is not what it was. */
static int bring(const struct dynfs_os *os, const struct ckpt *c,
		 const struct ckpt_file *f, const char *dir,
		 const struct ckpt *old)
{
	AUTOFREE char *from = str_path(c->path, f->name);
	AUTOFREE char *to = str_path(dir, f->name);
	AUTOFREE char *same = old ? str_path(old->path, f->name) : NULL;
	uint8_t sum[SUM128_LEN];
	uint64_t size = 0;
	int r;

	if (!from || !to || (old && !same))
		return -ENOMEM;
	if (same && has_file(old, f) && !os->link(os, same, to))
		return 0;
	r = file_copy(os, from, to, &size, sum);
	/* what was read is right, and what can be read back, too */
	if (!r && !matches(f, size, sum))
		r = -EUCLEAN;
	if (!r)
		r = file_sum(os, to, &size, sum);
	if (!r && !matches(f, size, sum))
		r = -EUCLEAN;
	return r;
}

static int bring_all(const struct dynfs_os *os, const struct ckpt *c,
		     const char *dir, const struct ckpt *old)
{
	int r = tree_remove(os, dir);

	if (!r)
		r = dir_make(os, dir);
	for (uint32_t i = 0; !r && i < c->n_files; i++)
		r = bring(os, c, &c->files[i], dir, old);
	if (!r)
		r = os->syncdir(os, dir);
	return r;
}

int ckpt_mirror(const struct dynfs_os *os, const struct ckpt *c, struct disk *k,
		const struct ckpt *old, const struct uuid *pool)
{
	struct ckpt there = *c, have; /* borrows all but the path */
	AUTOFREE char *up = str_path(k->path, "checkpoint");
	AUTOFREE char *path = ckpt_path(k, c->number);
	int r = up && path ? dir_make(os, up) : -ENOMEM;

	/* a good one is not broken to make the same again */
	if (!r && !ckpt_get(os, k, c->number, c->chain, pool, &have)) {
		ckpt_done(&have);
		return 0;
	}
	if (!r)
		r = bring_all(os, c, path, old);
	there.path = path;
	return r ? r : ckpt_seal(os, &there, old, pool);
}

int ckpt_restore(const struct dynfs_os *os, const struct ckpt *c,
		 const char *to)
{
	return bring_all(os, c, to, NULL);
}

int ckpt_prune(const struct dynfs_os *os, const struct disk *k, uint64_t number)
{
	AUTOFREE char *dir = str_path(k->path, "checkpoint");
	char **names = NULL;
	size_t n = 0;
	int r = dir ? dir_names(os, dir, &names, &n) : -ENOMEM;

	for (size_t i = 0; !r && i < n; i++) {
		AUTOFREE char *path = str_path(dir, names[i]);
		uint64_t v;

		if (parse_number(names[i], &v) && v == number)
			continue;
		r = path ? tree_remove(os, path) : -ENOMEM;
	}
	names_free(names, n);
	return r;
}
