/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dir: one file per fragment, easy to look into with ls and xxd.
 *
 * A fragment is written under a name in tmp/ and renamed, so that a name in
 * fragments/ is never a write that was given up.  Written files stay open
 * until a sync, for the kernel tells of a failed write-back only those who
 * had the file open; when too many wait, a write syncs its own file at once.
 *
 * It costs a handful of metadata blocks and a sync for each fragment: for
 * disks where the segment store does not fit, for file systems without
 * fallocate, and for people who want to see.
 */
#include "dir.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../common/iov.h"

#define IOV_LOCAL 64u

static int dir_create(const struct dynfs_host *h, const void *config,
		      void **ret_self)
{
	struct dir *d = h->alloc(h, sizeof(*d), 0);

	(void)config; /* no options */
	if (!d)
		return -ENOMEM;
	d->host = h;
	d->os = h->os;
	d->lock_fd = -1;
	pthread_mutex_init(&d->lock, NULL);
	pthread_mutex_init(&d->list_lock, NULL);
	pthread_cond_init(&d->changed, NULL);
	*ret_self = d;
	return 0;
}

static void dir_destroy(void *self)
{
	struct dir *d = self;

	pthread_cond_destroy(&d->changed);
	pthread_mutex_destroy(&d->list_lock);
	pthread_mutex_destroy(&d->lock);
	d->host->free(d->host, d);
}

static uint64_t dir_mark(void *self)
{
	struct dir *d = self;
	uint64_t token;

	pthread_mutex_lock(&d->lock);
	token = d->done_seq;
	pthread_mutex_unlock(&d->lock);
	return token;
}

static int sync_files(struct dir *d, struct dir_unsynced *list)
{
	int err = 0, r;

	while (list) {
		struct dir_unsynced *next = list->next;

		r = d->os->sync(d->os, list->fd);
		if (r < 0 && !err)
			err = r;
		(void)d->os->close(d->os, list->fd); /* the sync told all */
		d->host->free(d->host, list);
		list = next;
	}
	return err;
}

static int sync_dirs(struct dir *d, const bool touched[DIR_FANOUT])
{
	char path[4096];
	int err = 0, r;

	for (uint32_t i = 0; i < DIR_FANOUT; i++) {
		if (!touched[i])
			continue;
		(void)snprintf(path, sizeof(path), "%s/fragments/%02x", d->path,
			       i);
		r = d->os->syncdir(d->os, path);
		if (r < 0 && !err)
			err = r;
	}
	return err;
}

/* With the lock held; gives it up meanwhile. */
static void sync_lead(struct dir *d)
{
	struct dir_unsynced *list = d->unsynced;
	uint64_t upto = d->done_seq;
	bool touched[DIR_FANOUT], unsure = d->unsure;
	int r, e;

	d->syncing = true;
	d->unsure = false;
	memcpy(touched, d->touched, sizeof(touched));
	memset(d->touched, 0, sizeof(d->touched));
	d->unsynced = NULL;
	d->n_unsynced = 0;
	pthread_mutex_unlock(&d->lock);
	r = sync_files(d, list);
	e = sync_dirs(d, touched);
	if (unsure && !e)
		e = dir_sync_found(d);
	pthread_mutex_lock(&d->lock);
	if (r < 0 || e < 0) {
		upto = d->done_seq;
		lost_add(&d->lost, d->durable_seq, upto);
		d->failed_syncs++; /* and those in flight must fail */
	}
	d->durable_seq = upto;
	d->syncing = false;
	pthread_cond_broadcast(&d->changed);
}

static int dir_sync(void *self, uint64_t token)
{
	struct dir *d = self;
	int r;

	pthread_mutex_lock(&d->lock);
	if (token > d->done_seq)
		token = d->done_seq;
	while (token > d->durable_seq) {
		if (d->syncing)
			pthread_cond_wait(&d->changed, &d->lock);
		else
			sync_lead(d);
	}
	r = lost_has(&d->lost, token) ? -EIO : 0;
	pthread_mutex_unlock(&d->lock);
	return r;
}

static void dir_close(void *self)
{
	struct dir *d = self;

	if (!d->rdonly && dir_sync(d, dir_mark(d)) < 0)
		d->host->log(d->host, DYNFS_WARN,
			     "dir: %s: not everything could be synced",
			     d->path);
	(void)sync_files(d, d->unsynced); /* of tokens that were lost */
	d->unsynced = NULL;
	dir_forget(d);
}

static int room_take(struct dir *d, uint64_t bytes)
{
	int r = 0;

	pthread_mutex_lock(&d->lock);
	if (bytes > d->limit_bytes || d->used_bytes > d->limit_bytes - bytes) {
		r = -ENOSPC;
	} else {
		d->used_bytes += bytes;
		d->fragments++;
	}
	pthread_mutex_unlock(&d->lock);
	return r;
}

static void room_give(struct dir *d, uint64_t bytes)
{
	pthread_mutex_lock(&d->lock);
	d->used_bytes -= bytes < d->used_bytes ? bytes : d->used_bytes;
	if (d->fragments)
		d->fragments--;
	pthread_mutex_unlock(&d->lock);
}

static int serial_new(struct dir *d, uint64_t *ret)
{
	int r;

	do {
		r = d->os->random(d->os, ret, sizeof(*ret));
		*ret &= DIR_SERIAL_MAX;
	} while (!r && !*ret);
	return r;
}

/* Frame and op's vector into the file. */
static int write_bytes(struct dir *d, int fd, const struct dir_name *n,
		       const struct dynfs_store_op *op)
{
	struct iovec local[IOV_LOCAL], *v = local;
	uint8_t frame[DIR_FRAME];
	int r;

	if (op->n_iov >= IOV_LOCAL)
		v = d->host->alloc(d->host, (op->n_iov + 1) * sizeof(*v), 0);
	if (!v)
		return -ENOMEM;
	dir_frame_put(n, frame);
	v[0] = iov_from(frame, sizeof(frame));
	if (op->n_iov)
		memcpy(v + 1, op->iov, op->n_iov * sizeof(*v));
	r = write_whole(d->os, fd, v, op->n_iov + 1, 0);
	if (v != local)
		d->host->free(d->host, v);
	return r;
}

/* A new file under its name; its handle. */
static int write_file(struct dir *d, const struct dir_name *n,
		      const struct dynfs_store_op *op)
{
	char tmp[4096], path[4096];
	int fd, r;

	(void)snprintf(tmp, sizeof(tmp), "%s/tmp/%014llx", d->path,
		       (unsigned long long)n->serial);
	dir_path(d, n, path, sizeof(path));
	fd = d->os->open(d->os, tmp,
			 DYNFS_OS_RDWR | DYNFS_OS_CREATE | DYNFS_OS_EXCL, 0600);
	if (fd < 0)
		return fd;
	r = write_bytes(d, fd, n, op);
	if (!r)
		r = d->os->rename(d->os, tmp, path);
	if (r < 0) {
		(void)d->os->close(d->os, fd); /* to be removed */
		(void)d->os->unlink(d->os, tmp);
		return r;
	}
	return fd;
}

/* The file waits for a sync, or is synced now. */
static int write_note(struct dir *d, const struct dir_name *n, int fd)
{
	struct dir_unsynced *u;
	bool full;
	int r = 0;

	u = d->host->alloc(d->host, sizeof(*u), 0);
	pthread_mutex_lock(&d->lock);
	full = d->n_unsynced >= DIR_OPEN_MAX;
	if (u && !full) {
		*u = (struct dir_unsynced){ d->unsynced, n->serial, fd };
		d->unsynced = u;
		d->n_unsynced++;
	}
	d->touched[dir_fan(&n->id)] = true;
	pthread_mutex_unlock(&d->lock);
	if (u && !full)
		return 0;
	d->host->free(d->host, u);
	r = d->os->sync(d->os, fd);
	(void)d->os->close(d->os, fd); /* the sync told all */
	return r;
}

static int dir_write(struct dir *d, struct dynfs_store_op *op)
{
	struct dir_name n = { .id = op->id, .head_len = op->head_len };
	uint64_t total = 0, cost;
	char path[4096];
	int fd, r;

	if (d->rdonly)
		return -EROFS;
	for (uint32_t i = 0; i < op->n_iov; i++)
		total += op->iov[i].iov_len;
	if (total < op->head_len || op->head_len > DIR_HEAD_MAX ||
	    total > d->max_bytes)
		return d->host->fail(d->host, -EINVAL,
				     "dir: a write of %llu bytes, head of %u",
				     (unsigned long long)total, op->head_len);
	n.payload_len = total - op->head_len;
	cost = dir_cost_of(n.head_len, n.payload_len);
	r = serial_new(d, &n.serial);
	if (!r)
		r = room_take(d, cost);
	if (r)
		return r;
	fd = write_file(d, &n, op);
	r = fd < 0 ? fd : write_note(d, &n, fd);
	if (r < 0) {
		if (fd >= 0) {
			dir_path(d, &n, path, sizeof(path));
			(void)d->os->unlink(d->os, path); /* nothing knows it */
		}
		room_give(d, cost);
		return r;
	}
	dir_place_put(&n, &op->place);
	return 0;
}

/* No such file: is it not there, or is the disk not? */
static bool store_there(struct dir *d)
{
	struct dynfs_os_stat st;
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/store.dynfs", d->path);
	return !d->os->stat(d->os, path, &st);
}

static int open_to_read(struct dir *d, const char *path, uint32_t flags)
{
	int fd = d->os->open(d->os, path, DYNFS_OS_RDONLY, 0);
	int r = 0;

	if (fd >= 0 && flags & DYNFS_STORE_UNCACHED)
		r = d->os->drop(d->os, fd);
	if (!r)
		return fd;
	(void)d->os->close(d->os, fd); /* read only */
	return r;
}

static int dir_read(struct dir *d, struct dynfs_store_op *op)
{
	bool head = op->part == DYNFS_STORE_HEAD;
	uint8_t frame[DIR_FRAME];
	struct dir_name n;
	char path[4096];
	uint64_t want = 0, have;
	int fd, r = -EUCLEAN;

	for (uint32_t i = 0; i < op->n_iov; i++)
		want += op->iov[i].iov_len;
	fd = -ENOENT;
	if (dir_place_get(&op->id, &op->place, &n)) {
		dir_path(d, &n, path, sizeof(path));
		fd = open_to_read(d, path, op->flags);
	}
	if (fd == -ENOENT && !store_there(d))
		fd = -EIO;
	if (fd < 0 && fd != -ENOENT)
		return fd;
	have = head ? n.head_len : n.payload_len;
	if (fd >= 0 && op->offset <= have && want <= have - op->offset) {
		r = head ? read_whole_at(d->os, fd, frame, sizeof(frame), 0)
			 : 0;
		if (!r && head && !dir_frame_matches(&n, frame))
			r = -EUCLEAN;
		if (!r)
			r = read_whole(d->os, fd, op->iov, op->n_iov,
				       DIR_FRAME + op->offset +
					   (head ? 0 : n.head_len));
	}
	if (fd >= 0)
		(void)d->os->close(d->os, fd); /* read only */
	if (r == -EUCLEAN)
		return d->host->fail(d->host, r,
				     "dir: the place holds no such fragment "
				     "or not so much of it");
	return r;
}

/* A removed file occupies its blocks as long as it is open. */
static void unsynced_drop(struct dir *d, const struct dir_name *n)
{
	struct dir_unsynced **at, *u = NULL;

	pthread_mutex_lock(&d->lock);
	for (at = &d->unsynced; *at; at = &(*at)->next) {
		if ((*at)->serial != n->serial)
			continue;
		u = *at;
		*at = u->next;
		d->n_unsynced--;
		break;
	}
	d->touched[dir_fan(&n->id)] = true;
	pthread_mutex_unlock(&d->lock);
	if (!u)
		return;
	(void)d->os->close(d->os, u->fd); /* its name is gone */
	d->host->free(d->host, u);
}

static int dir_drop(struct dir *d, struct dynfs_store_op *op)
{
	struct dir_name n;
	char path[4096];
	int r;

	if (d->rdonly)
		return -EROFS;
	if (!dir_place_get(&op->id, &op->place, &n))
		return 0;
	dir_path(d, &n, path, sizeof(path));
	r = d->os->unlink(d->os, path);
	if (r == -ENOENT)
		return store_there(d) ? 0 : -EIO;
	if (r < 0)
		return r;
	room_give(d, dir_cost_of(n.head_len, n.payload_len));
	unsynced_drop(d, &n);
	return 0;
}

/*
 * The operation gets its place among those that a sync makes durable.  Its
 * file or directory may have been on the list of a sync that failed while it
 * was not over: no later one would tell of it, so it fails itself.
 */
static int op_over(struct dir *d, uint64_t failed_syncs,
		   struct dynfs_store_op *op)
{
	bool hit;

	pthread_mutex_lock(&d->lock);
	d->done_seq++;
	hit = !op->result && d->failed_syncs != failed_syncs;
	pthread_mutex_unlock(&d->lock);
	if (!hit)
		return op->result;
	if (op->kind == DYNFS_STORE_WRITE)
		(void)dir_drop(d, op); /* nobody will know its place */
	return -EIO;
}

static uint64_t op_begins(struct dir *d)
{
	uint64_t n;

	pthread_mutex_lock(&d->lock);
	n = d->failed_syncs;
	pthread_mutex_unlock(&d->lock);
	return n;
}

static int dir_submit(void *self, struct dynfs_store_op *const *ops, uint32_t n)
{
	struct dir *d = self;

	for (uint32_t i = 0; i < n; i++) {
		struct dynfs_store_op *op = ops[i];
		uint64_t failed_syncs = op_begins(d);

		switch (op->kind) {
		case DYNFS_STORE_WRITE:
			op->result = dir_write(d, op);
			break;
		case DYNFS_STORE_READ:
			op->result = dir_read(d, op);
			break;
		case DYNFS_STORE_FREE:
			op->result = dir_drop(d, op);
			break;
		default:
			op->result = d->host->fail(
			    d->host, -EINVAL, "dir: no operation %u", op->kind);
		}
		if (op->kind != DYNFS_STORE_READ)
			op->result = op_over(d, failed_syncs, op);
		op->done(op);
	}
	return 0;
}

static int dir_space(void *self, struct dynfs_store_space *out)
{
	struct dir *d = self;
	struct dynfs_store_space sp = { .size = out->size };
	struct dynfs_os_space below;
	int r;

	if (out->size < sizeof(sp))
		return d->host->fail(d->host, -EINVAL,
				     "dir: space of %zu bytes", out->size);
	r = d->os->space(d->os, d->path, &below);
	if (r < 0)
		return r;
	pthread_mutex_lock(&d->lock);
	sp.total_bytes = d->used_bytes + below.free_bytes;
	if (sp.total_bytes > d->limit_bytes)
		sp.total_bytes = d->limit_bytes;
	if (sp.total_bytes > d->used_bytes)
		sp.free_bytes = sp.total_bytes - d->used_bytes;
	sp.fragments = d->fragments;
	pthread_mutex_unlock(&d->lock);
	*out = sp;
	return 0;
}

static uint64_t dir_cost(void *self, uint32_t head_len, uint64_t payload_len)
{
	(void)self;
	return dir_cost_of(head_len, payload_len);
}

static const struct dynfs_store_ops dir_ops = {
	.size = sizeof(struct dynfs_store_ops),
	.caps = DYNFS_STORE_BLOCKS,
	.open = dir_open,
	.close = dir_close,
	.submit = dir_submit,
	.mark = dir_mark,
	.sync = dir_sync,
	.space = dir_space,
	.cost = dir_cost,
	.list = dir_list,
};

static const struct dynfs_plugin dir_plugin = {
	DYNFS_PLUGIN_HEADER,
	.threading = DYNFS_PARALLEL,
	.name = "dir",
	.version = "0.1.0",
	.summary = "one file per fragment",
	.create = dir_create,
	.destroy = dir_destroy,
	.store = &dir_ops,
};

const struct dynfs_plugin *dynfs_plugin_entry(void)
{
	return &dir_plugin;
}
