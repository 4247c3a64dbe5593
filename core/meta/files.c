/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files and directories as log, checkpoints and index need them.
 *
 * Whatever makes or removes a name syncs the directory before it returns:
 * the order of two names on a disk is then the order of two calls here, and
 * nobody above has to think of it.
 */
#include <meta/files.h>

#include <base/cleanup.h>
#include <base/os.h>
#include <base/str.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PIECE (1u << 20)
#define DEPTH 8 /* of a tree that is removed: nobody makes deeper ones */

int meta_file_read(const struct dynfs_os *os, int fd, void *data, size_t len,
		   uint64_t off)
{
	uint8_t *at = (uint8_t *)data;

	while (len) {
		struct iovec v = { at, len };
		ssize_t n = os->preadv(os, fd, &v, 1, off);

		if (n < 0)
			return (int)n;
		if (!n || (size_t)n > len)
			return -EUCLEAN;
		at += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int meta_file_write(const struct dynfs_os *os, int fd, const void *data,
		    size_t len, uint64_t off)
{
	const uint8_t *at = (const uint8_t *)data;

	while (len) {
		struct iovec v = { .iov_len = len };
		ssize_t n;

		/* an iovec has no const */
		memcpy(&v.iov_base, &at, sizeof(at));
		n = os->pwritev(os, fd, &v, 1, off);
		if (n < 0)
			return (int)n;
		if (!n || (size_t)n > len)
			return -EIO;
		at += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int file_load(const struct dynfs_os *os, const char *path, size_t max,
	      struct buf *out)
{
	struct dynfs_os_stat st;
	void *at;
	int fd = os->open(os, path, DYNFS_OS_RDONLY, 0);
	int r;

	if (fd < 0)
		return fd;
	r = os->fstat(os, fd, &st);
	if (!r && st.size_bytes > max)
		r = -EFBIG;
	if (!r) {
		at = buf_extend(out, (size_t)st.size_bytes);
		r = at ? meta_file_read(os, fd, at, (size_t)st.size_bytes, 0)
		       : buf_error(out);
	}
	(void)os->close(os, fd); /* was read only */
	return r;
}

/* Pieces of in, to out unless it is -1, into the sum. */
static int pump(const struct dynfs_os *os, int in, int out, uint64_t size,
		uint8_t sum[SUM128_LEN])
{
	struct sum128_run *run = sum128_begin();
	AUTOFREE uint8_t *piece = (uint8_t *)malloc(PIECE);
	int r = run && piece ? 0 : -ENOMEM;

	for (uint64_t off = 0; !r && off < size;) {
		size_t n = size - off < PIECE ? (size_t)(size - off) : PIECE;

		r = meta_file_read(os, in, piece, n, off);
		if (!r && out >= 0)
			r = meta_file_write(os, out, piece, n, off);
		if (!r)
			sum128_add(run, piece, n);
		off += n;
	}
	sum128_end(run, r ? NULL : sum);
	return r;
}

int file_sum(const struct dynfs_os *os, const char *path, uint64_t *ret_size,
	     uint8_t ret_sum[SUM128_LEN])
{
	struct dynfs_os_stat st;
	int fd = os->open(os, path, DYNFS_OS_RDONLY, 0);
	int r;

	if (fd < 0)
		return fd;
	r = os->fstat(os, fd, &st);
	if (!r)
		r = pump(os, fd, -1, st.size_bytes, ret_sum);
	if (!r)
		*ret_size = st.size_bytes;
	(void)os->close(os, fd); /* was read only */
	return r;
}

int file_copy(const struct dynfs_os *os, const char *from, const char *to,
	      uint64_t *ret_size, uint8_t ret_sum[SUM128_LEN])
{
	struct dynfs_os_stat st;
	int in = os->open(os, from, DYNFS_OS_RDONLY, 0), out, r;

	if (in < 0)
		return in;
	out = os->open(os, to, DYNFS_OS_RDWR | DYNFS_OS_CREATE | DYNFS_OS_EXCL,
		       0600);
	r = out < 0 ? out : os->fstat(os, in, &st);
	if (!r)
		r = pump(os, in, out, st.size_bytes, ret_sum);
	if (!r)
		r = os->sync(os, out);
	if (!r)
		*ret_size = st.size_bytes;
	if (out >= 0)
		(void)os->close(os, out); /* was synced, or does not count */
	(void)os->close(os, in);
	return r;
}

static int with_file(const struct dynfs_os *os, const char *path,
		     int (*call)(const struct dynfs_os *os, int fd))
{
	int fd = os->open(os, path, DYNFS_OS_RDONLY, 0);
	int r;

	if (fd < 0)
		return fd;
	r = call(os, fd);
	(void)os->close(os, fd); /* was synced, or does not count */
	return r;
}

int meta_file_sync(const struct dynfs_os *os, const char *path)
{
	return with_file(os, path, os->sync);
}

int meta_file_settle(const struct dynfs_os *os, const char *path)
{
	return with_file(os, path, os_settle);
}

char *meta_path_parent(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return strdup(".");
	return slash == path ? strdup("/")
			     : strndup(path, (size_t)(slash - path));
}

static int sync_parent(const struct dynfs_os *os, const char *path)
{
	AUTOFREE char *up = meta_path_parent(path);

	return up ? os->syncdir(os, up) : -ENOMEM;
}

int dir_make(const struct dynfs_os *os, const char *path)
{
	int r = os->mkdir(os, path, 0700);

	/* one that was there may still be waiting for its sync */
	return r && r != -EEXIST ? r : sync_parent(os, path);
}

struct names {
	char **v;
	size_t n, cap;
};

static int names_add(void *ctx, const char *name, uint32_t type)
{
	struct names *l = (struct names *)ctx;

	(void)type;
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 16;
		char **v = (char **)realloc(l->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n] = strdup(name);
	return l->v[l->n] ? (l->n++, 0) : -ENOMEM;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void names_free(char **names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

int dir_names(const struct dynfs_os *os, const char *path, char ***ret,
	      size_t *ret_n)
{
	struct names l = { 0 };
	int r = os->list(os, path, names_add, &l);

	if (r) {
		names_free(l.v, l.n);
		return r;
	}
	if (l.n)
		qsort(l.v, l.n, sizeof(*l.v), by_name);
	*ret = l.v;
	*ret_n = l.n;
	return 0;
}

static int remove_at(const struct dynfs_os *os, const char *path, int depth)
{
	struct dynfs_os_stat st;
	char **names = NULL;
	size_t n = 0;
	int r = os->stat(os, path, &st);

	if (r)
		return r == -ENOENT ? 0 : r;
	if (st.type != DYNFS_OS_DIR) {
		r = os->unlink(os, path);
		return r == -ENOENT ? 0 : r;
	}
	if (!depth)
		return -ELOOP;
	r = dir_names(os, path, &names, &n);
	for (size_t i = 0; !r && i < n; i++) {
		AUTOFREE char *below = str_path(path, names[i]);

		r = below ? remove_at(os, below, depth - 1) : -ENOMEM;
	}
	names_free(names, n);
	if (!r)
		r = os->rmdir(os, path);
	return r == -ENOENT ? 0 : r;
}

int tree_remove(const struct dynfs_os *os, const char *path)
{
	int r = remove_at(os, path, DEPTH);

	if (r)
		return r;
	r = sync_parent(os, path);
	return r == -ENOENT ? 0 : r;
}
