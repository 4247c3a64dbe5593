/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making, opening, listing.  The marker file is made last and says that all
 * directories are there.  Opening reads every directory once, to know what is
 * used; what a crash left in tmp/ is removed.
 */
#include "dir.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARKER "dynfs store dir 1\n"
#define HALF   (sizeof(MARKER) - 1)

/* Twice, for one damaged character must not make a newer version of it. */
static const char marker[] = MARKER MARKER;

static int mkdir_any(struct dir *d, const char *path)
{
	int r = d->os->mkdir(d->os, path, 0700);

	return r == -EEXIST ? 0 : r;
}

static void sub_path(const struct dir *d, const char *name, char *out,
		     size_t len)
{
	(void)snprintf(out, len, "%s/%s", d->path, name);
}

static int note_fan(void *ctx, const char *name, uint32_t type)
{
	bool *there = ctx;
	char *end;
	unsigned long v;

	(void)type;
	v = strtoul(name, &end, 16);
	if (end == name + 2 && !*end && v < DIR_FANOUT)
		there[v] = true;
	return 0;
}

/* All directories of the store, whichever are missing. */
static int make_dirs(struct dir *d)
{
	bool there[DIR_FANOUT] = { false };
	uint32_t n_made = 0;
	char path[4096];
	int r;

	sub_path(d, "tmp", path, sizeof(path));
	r = mkdir_any(d, path);
	sub_path(d, "fragments", path, sizeof(path));
	if (!r)
		r = mkdir_any(d, path);
	if (!r)
		r = d->os->list(d->os, path, note_fan, there);
	for (uint32_t i = 0; i < DIR_FANOUT && !r; i++) {
		if (there[i])
			continue;
		n_made++;
		(void)snprintf(path, sizeof(path), "%s/fragments/%02x", d->path,
			       i);
		r = mkdir_any(d, path);
	}
	sub_path(d, "fragments", path, sizeof(path));
	if (r || !n_made)
		return r;
	r = d->os->syncdir(d->os, path);
	return r ? r : d->os->syncdir(d->os, d->path);
}

static int make_marker(struct dir *d)
{
	struct iovec v = { NULL, sizeof(marker) - 1 };
	char tmp[4096], path[4096], text[sizeof(marker)];
	int fd, r;

	memcpy(text, marker, sizeof(marker));
	v.iov_base = text;
	sub_path(d, "tmp/marker", tmp, sizeof(tmp));
	sub_path(d, "store.dynfs", path, sizeof(path));
	fd = d->os->open(
	    d->os, tmp, DYNFS_OS_RDWR | DYNFS_OS_CREATE | DYNFS_OS_TRUNC, 0600);
	if (fd < 0)
		return fd;
	r = write_whole(d->os, fd, &v, 1, 0);
	if (!r)
		r = d->os->sync(d->os, fd);
	(void)d->os->close(d->os, fd); /* synced, or to be thrown away */
	if (!r)
		r = d->os->rename(d->os, tmp, path);
	return r ? r : d->os->syncdir(d->os, d->path);
}

static int parent_sync(struct dir *d)
{
	char up[4096];
	char *slash;

	(void)snprintf(up, sizeof(up), "%s", d->path);
	slash = strrchr(up, '/');
	if (!slash)
		return d->os->syncdir(d->os, ".");
	slash[slash == up] = 0;
	return d->os->syncdir(d->os, up);
}

static int dir_make(struct dir *d)
{
	struct dynfs_os_stat st;
	char path[4096];
	int r;

	r = mkdir_any(d, d->path);
	if (!r)
		r = parent_sync(d);
	if (r < 0)
		return d->host->fail(d->host, r, "dir: cannot make %s",
				     d->path);
	sub_path(d, "store.dynfs", path, sizeof(path));
	if (!d->os->stat(d->os, path, &st))
		return d->host->fail(d->host, -EEXIST,
				     "dir: %s is a store already", d->path);
	r = make_dirs(d);
	return r ? r : make_marker(d);
}

/* Damaged text is no reason to lose what the names of fragments still say. */
static bool is_of_another_version(struct dir *d, int fd)
{
	char text[2 * HALF];

	return !read_whole_at(d->os, fd, text, sizeof(text), 0) &&
	       !memcmp(text, text + HALF, HALF) &&
	       !memcmp(text, MARKER, HALF - 2) &&
	       memcmp(text, MARKER, HALF) != 0;
}

static int check_marker(struct dir *d)
{
	char path[4096];
	int fd;

	sub_path(d, "store.dynfs", path, sizeof(path));
	fd = d->os->open(d->os, path, DYNFS_OS_RDONLY, 0);
	if (fd == -ENOENT) {
		struct dynfs_os_stat st;
		int r = d->os->stat(d->os, d->path, &st);

		return d->host->fail(d->host, r < 0 ? r : -EUCLEAN,
				     "dir: %s is not a store", d->path);
	}
	if (fd < 0)
		return fd;
	if (is_of_another_version(d, fd)) {
		(void)d->os->close(d->os, fd); /* read only */
		return d->host->fail(d->host, -EOPNOTSUPP,
				     "dir: %s is of another version", d->path);
	}
	if (d->os->lock(d->os, fd) == -EWOULDBLOCK) {
		(void)d->os->close(d->os, fd); /* read only */
		return d->host->fail(d->host, -EBUSY, "dir: %s is in use",
				     d->path);
	}
	d->lock_fd = fd;
	return 0;
}

static int remove_temp(void *ctx, const char *name, uint32_t type)
{
	struct dir *d = ctx;
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/tmp/%s", d->path, name);
	if (type == DYNFS_OS_FILE)
		(void)d->os->unlink(d->os, path); /* or the next time */
	return 0;
}

static int count_file(void *ctx, const char *name, uint32_t type)
{
	struct dir *d = ctx;
	struct dir_name n;

	(void)type;
	if (!dir_name_get(name, &n))
		return 0;
	d->used_bytes += dir_cost_of(n.head_len, n.payload_len);
	d->fragments++;
	return 0;
}

static int count_all(struct dir *d)
{
	char path[4096];
	int r = 0;

	for (uint32_t i = 0; i < DIR_FANOUT && !r; i++) {
		(void)snprintf(path, sizeof(path), "%s/fragments/%02x", d->path,
			       i);
		r = d->os->list(d->os, path, count_file, d);
		if (r == -ENOENT)
			r = 0;
	}
	return r;
}

int dir_open(void *self, const struct dynfs_store_open *how)
{
	struct dir *d = self;
	size_t len = strlen(how->path);
	char path[4096];
	int r = 0;

	if (!len || len > 3900)
		return d->host->fail(d->host, -EINVAL,
				     "dir: a path of %zu bytes", len);
	d->rdonly = how->flags & DYNFS_STORE_OPEN_RDONLY;
	d->limit_bytes = how->limit_bytes ? how->limit_bytes : UINT64_MAX;
	d->max_bytes =
	    how->max_fragment_bytes ? how->max_fragment_bytes : DIR_PAYLOAD_MAX;
	d->path = d->host->alloc(d->host, len + 1, 0);
	if (!d->path)
		return -ENOMEM;
	memcpy(d->path, how->path, len + 1);
	while (len > 1 && d->path[len - 1] == '/')
		d->path[--len] = 0;
	if ((how->flags & DYNFS_STORE_OPEN_CREATE) && !d->rdonly)
		r = dir_make(d);
	if (!r)
		r = check_marker(d);
	if (!r && !d->rdonly) {
		r = make_dirs(d);
		sub_path(d, "tmp", path, sizeof(path));
		if (!r)
			r = d->os->list(d->os, path, remove_temp, d);
	}
	if (!r)
		r = count_all(d);
	if (r)
		dir_forget(d);
	/* a token for all of it, that no sync has covered */
	d->unsure = !d->rdonly;
	d->done_seq = d->unsure;
	return r;
}

struct found_dir {
	struct dir *d;
	const char *path;
};

static int sync_found_file(void *ctx, const char *name, uint32_t type)
{
	const struct found_dir *at = ctx;
	const struct dynfs_os *os = at->d->os;
	char path[4096];
	int fd, r;

	(void)type;
	(void)snprintf(path, sizeof(path), "%s/%s", at->path, name);
	fd = os->open(os, path, DYNFS_OS_RDONLY, 0);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd; /* freed meanwhile */
	r = os->sync(os, fd);
	(void)os->close(os, fd); /* the sync told all */
	return r;
}

/*
 * What open() found: a process that was killed may have written or removed it
 * without a sync.  One call for the file system; a sync of each file, which may
 * take minutes, only where there is no such call.
 */
int dir_sync_found(struct dir *d)
{
	char path[4096];
	struct found_dir at = { d, path };
	int r = d->os->syncfs(d->os, d->path);

	if (r != -EOPNOTSUPP)
		return r;
	r = 0;
	for (uint32_t i = 0; i < DIR_FANOUT && !r; i++) {
		(void)snprintf(path, sizeof(path), "%s/fragments/%02x", d->path,
			       i);
		r = d->os->list(d->os, path, sync_found_file, &at);
		if (!r)
			r = d->os->syncdir(d->os, path);
	}
	return r;
}

void dir_forget(struct dir *d)
{
	if (d->lock_fd >= 0)
		(void)d->os->close(d->os, d->lock_fd); /* read only */
	d->lock_fd = -1;
	d->host->free(d->host, d->rows.v);
	d->rows = (struct dir_rows){ 0 };
	d->host->free(d->host, d->path);
	d->path = NULL;
}

struct row_reader {
	struct dir *d;
	uint32_t fan;
};

static int add_row(void *ctx, const char *name, uint32_t type)
{
	struct row_reader *rr = ctx;
	struct dir_rows *rows = &rr->d->rows;
	struct dir_name n;

	(void)type;
	if (!dir_name_get(name, &n) || dir_fan(&n.id) != rr->fan)
		return 0;
	if (rows->n == rows->cap) {
		uint32_t cap = rows->cap ? 2 * rows->cap : 64;
		struct dir_name *v =
		    rr->d->host->alloc(rr->d->host, cap * sizeof(*v), 0);

		if (!v)
			return -ENOMEM;
		if (rows->v)
			memcpy(v, rows->v, rows->n * sizeof(*v));
		rr->d->host->free(rr->d->host, rows->v);
		rows->v = v;
		rows->cap = cap;
	}
	rows->v[rows->n++] = n;
	return 0;
}

static int by_serial(const void *a, const void *b)
{
	const struct dir_name *x = a, *y = b;

	return (x->serial > y->serial) - (x->serial < y->serial);
}

/* The rows of one directory, by serial; read again when it is begun. */
static int rows_load(struct dir *d, uint32_t fan, bool fresh)
{
	struct row_reader rr = { d, fan };
	char path[4096];
	int r;

	if (!fresh && d->list_fan == fan + 1)
		return 0;
	d->rows.n = 0;
	d->list_fan = 0;
	(void)snprintf(path, sizeof(path), "%s/fragments/%02x", d->path, fan);
	r = d->os->list(d->os, path, add_row, &rr);
	if (r == -ENOENT)
		r = 0;
	if (r)
		return r;
	if (d->rows.n)
		qsort(d->rows.v, d->rows.n, sizeof(*d->rows.v), by_serial);
	d->list_fan = fan + 1;
	return 0;
}

/*
 * The cursor is the directory and the serial to go on from; serials are
 * random numbers of 56 bits, so two in one directory are not the same.
 */
int dir_list(void *self, uint64_t *cursor, struct dynfs_store_entry *out,
	     uint32_t n, uint32_t *ret_n)
{
	struct dir *d = self;
	uint64_t at = *cursor;
	uint32_t got = 0;
	int r = 0;

	pthread_mutex_lock(&d->list_lock);
	while (got < n && at != UINT64_MAX && !r) {
		uint32_t fan = (uint32_t)(at >> 56), i = 0;
		uint64_t from = at & DIR_SERIAL_MAX;

		r = rows_load(d, fan, !from);
		while (!r && i < d->rows.n && got < n) {
			const struct dir_name *row = &d->rows.v[i++];

			if (row->serial < from)
				continue;
			out[got] = (struct dynfs_store_entry){
				.id = row->id,
				.head_len = row->head_len,
				.payload_len = row->payload_len,
			};
			dir_place_put(row, &out[got++].place);
			from = row->serial + 1;
		}
		if (r)
			break;
		at = (uint64_t)fan << 56 | from;
		if (i == d->rows.n || from > DIR_SERIAL_MAX)
			at = fan + 1 < DIR_FANOUT ? (uint64_t)(fan + 1) << 56
						  : UINT64_MAX;
	}
	pthread_mutex_unlock(&d->list_lock);
	if (r)
		return r;
	*cursor = at;
	*ret_n = got;
	return 0;
}
