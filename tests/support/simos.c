/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls of the simulated operating system.  Each takes the one lock,
 * passes the gate (count, armed crash, injected faults), and then works on
 * nodes.  A single mutex is enough: what is tested is the code above, and its
 * races show as well when the calls below are atomic.
 */
#include "simos_priv.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* 2023-11-14, so that wall time looks like wall time. */
#define SIM_EPOCH_NS 1700000000000000000ll

uint64_t sim_rand(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static struct simos *sim_of(const struct dynfs_os *os)
{
	return os->ctx;
}

static int gate_result(const struct sim_gate *g, int r)
{
	return g->cut ? -EIO : r;
}

/* The handle's node, or NULL with *ret_err. */
static struct sim_node *handle_node(struct simos *s, int fd, int *ret_err)
{
	struct sim_handle *h;

	if (fd < 0 || (size_t)fd >= s->n_handle || !s->handle[fd]) {
		*ret_err = s->down ? -EIO : -EBADF;
		return NULL;
	}
	h = s->handle[fd];
	if (h->node->disk->gone || h->epoch != h->node->disk->epoch) {
		*ret_err = h->node->disk->gone ? h->node->disk->gone : -EIO;
		return NULL;
	}
	return h->node;
}

static int handle_new(struct simos *s, struct sim_node *n, uint32_t flags)
{
	struct sim_handle *h;

	if (s->n_handle == s->cap_handle) {
		size_t cap = s->cap_handle ? 2 * s->cap_handle : 16;
		struct sim_handle **v = realloc(s->handle, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		s->handle = v;
		s->cap_handle = cap;
	}
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	sim_node_get(n);
	*h = (struct sim_handle){ n, n->disk->epoch, flags };
	s->handle[s->n_handle] = h;
	s->open_handles++;
	n->n_open++;
	sim_node_weigh(n);
	return (int)s->n_handle++;
}

static void handle_free(struct simos *s, int fd)
{
	struct sim_handle *h = s->handle[fd];

	s->handle[fd] = NULL;
	s->open_handles--;
	if (h->node->locked_by == fd)
		h->node->locked_by = -1;
	h->node->n_open--;
	sim_node_weigh(h->node);
	sim_node_put(s, h->node);
	free(h);
}

static int open_locked(struct simos *s, const char *path, uint32_t flags,
		       uint32_t mode)
{
	char name[256];
	int err = 0;
	struct sim_node *n = sim_lookup(s, path, &err), *dir;

	if (!n) {
		if (err != -ENOENT || !(flags & DYNFS_OS_CREATE))
			return err;
		dir = sim_lookup_parent(s, path, name, &err);
		if (!dir)
			return err;
		n = sim_node_new(s, dir, false, mode);
		if (!n)
			return -ENOMEM;
		err = sim_change(s, &(struct sim_edit){ dir, name, n }, 1);
		if (!err)
			err = handle_new(s, n, flags);
		sim_node_put(s, n);
		return err;
	}
	if ((flags & DYNFS_OS_CREATE) && (flags & DYNFS_OS_EXCL))
		return -EEXIST;
	if (n->is_dir && (flags & (DYNFS_OS_RDWR | DYNFS_OS_CREATE)))
		return -EISDIR;
	if (flags & DYNFS_OS_TRUNC) {
		err = sim_file_truncate(n, 0);
		if (err < 0)
			return err;
	}
	return handle_new(s, n, flags);
}

static int sim_open(const struct dynfs_os *os, const char *path, uint32_t flags,
		    uint32_t mode)
{
	struct simos *s = sim_of(os);
	struct sim_gate g;
	int r;

	pthread_mutex_lock(&s->lock);
	g = sim_gate_pass(s, SIMOS_OPEN, flags, path, NULL);
	r = g.err ? g.err : open_locked(s, path, flags, mode);
	if (g.cut && r >= 0)
		handle_free(s, r);
	r = gate_result(&g, r);
	pthread_mutex_unlock(&s->lock);
	return r;
}

static int sim_close(const struct dynfs_os *os, int fd)
{
	struct simos *s = sim_of(os);
	int r = 0;

	pthread_mutex_lock(&s->lock);
	s->calls[SIMOS_CLOSE]++;
	if (fd < 0 || (size_t)fd >= s->n_handle || !s->handle[fd])
		r = -EBADF;
	else
		handle_free(s, fd);
	pthread_mutex_unlock(&s->lock);
	return r;
}

/* What a call on a handle begins with: the node and the gate's word. */
static struct sim_node *begin_fd(struct simos *s, enum simos_call call, int fd,
				 struct sim_gate *ret_gate)
{
	struct sim_node *n;
	int err = 0;

	pthread_mutex_lock(&s->lock);
	n = handle_node(s, fd, &err);
	*ret_gate = sim_gate_pass(s, call, 0, NULL, n ? n->disk : NULL);
	if (!n && !ret_gate->err)
		ret_gate->err = err;
	return n;
}

static int check_io(struct simos *s, int fd, const struct iovec *iov, int n,
		    uint64_t off, bool write)
{
	uint32_t flags = s->handle[fd]->flags;
	uint64_t len = 0;

	if (n < 0 || n > 1024 || off > INT64_MAX)
		return -EINVAL;
	if (write && !(flags & DYNFS_OS_RDWR))
		return -EBADF;
	if (s->handle[fd]->node->is_dir)
		return -EISDIR;
	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	if ((flags & DYNFS_OS_DIRECT) && (off | len) % SIM_SECTOR)
		return -EINVAL;
	return 0;
}

static ssize_t sim_preadv(const struct dynfs_os *os, int fd,
			  const struct iovec *iov, int n, uint64_t off)
{
	struct simos *s = sim_of(os);
	struct sim_gate g;
	struct sim_node *f = begin_fd(s, SIMOS_PREADV, fd, &g);
	ssize_t r = g.err;

	if (!r)
		r = check_io(s, fd, iov, n, off, false);
	if (!r)
		r = sim_file_read(f, iov, n, off, g.most);
	pthread_mutex_unlock(&s->lock);
	return r;
}

static ssize_t sim_pwritev(const struct dynfs_os *os, int fd,
			   const struct iovec *iov, int n, uint64_t off)
{
	struct simos *s = sim_of(os);
	struct sim_gate g;
	struct sim_node *f = begin_fd(s, SIMOS_PWRITEV, fd, &g);
	ssize_t r = g.err;

	if (!r)
		r = check_io(s, fd, iov, n, off, true);
	if (!r) {
		r = sim_file_write(f, iov, n, off, g.most);
		f->mtime_ns = (int64_t)s->clock_ns;
	}
	if (g.cut)
		r = -EIO;
	pthread_mutex_unlock(&s->lock);
	return r;
}

static int sim_sync(const struct dynfs_os *os, int fd)
{
	struct simos *s = sim_of(os);
	struct sim_gate g;
	struct sim_node *f = begin_fd(s, SIMOS_SYNC, fd, &g);

	if (!g.err)
		sim_file_sync(f);
	else if (f && !g.cut && !s->down)
		sim_file_fail(f, s->lost, &s->rng);
	pthread_mutex_unlock(&s->lock);
	return g.err;
}

static int sim_drop(const struct dynfs_os *os, int fd)
{
	struct simos *s = sim_of(os);
	struct sim_gate g;
	struct sim_node *f = begin_fd(s, SIMOS_DROP, fd, &g);

	if (!g.err)
		sim_file_drop(f);
	pthread_mutex_unlock(&s->lock);
	return g.err;
}

static int sim_allocate(const struct dynfs_os *os, int fd, uint32_t mode,
			uint64_t off, uint64_t len)
{
	struct simos *s = sim_of(os);
	struct sim_gate g;
	struct sim_node *f = begin_fd(s, SIMOS_ALLOCATE, fd, &g);
	int r = g.err;

	if (!r)
		r = check_io(s, fd, NULL, 0, off, true);
	if (!r)
		r = sim_file_allocate(f, mode, off, len);
	r = gate_result(&g, r);
	pthread_mutex_unlock(&s->lock);
	return r;
}

static int sim_truncate(const struct dynfs_os *os, int fd, uint64_t len)
{
	struct simos *s = sim_of(os);
	struct sim_gate g;
	struct sim_node *f = begin_fd(s, SIMOS_TRUNCATE, fd, &g);
	int r = g.err;

	if (!r)
		r = check_io(s, fd, NULL, 0, 0, true);
	if (!r)
		r = sim_file_truncate(f, len);
	r = gate_result(&g, r);
	pthread_mutex_unlock(&s->lock);
	return r;
}

static void node_stat(const struct sim_node *n, struct dynfs_os_stat *out)
{
	*out = (struct dynfs_os_stat){
		.type = n->is_dir ? DYNFS_OS_DIR : DYNFS_OS_FILE,
		.mode = n->mode,
		.dev = n->disk->id,
		.ino = n->ino,
		.size_bytes = n->size,
		.alloc_bytes = n->n_alloc * SIM_PAGE,
		.mtime_ns = SIM_EPOCH_NS + n->mtime_ns,
	};
}

static int sim_fstat(const struct dynfs_os *os, int fd,
		     struct dynfs_os_stat *out)
{
	struct simos *s = sim_of(os);
	struct sim_gate g;
	struct sim_node *f = begin_fd(s, SIMOS_FSTAT, fd, &g);

	if (!g.err)
		node_stat(f, out);
	pthread_mutex_unlock(&s->lock);
	return g.err;
}

static int sim_lock(const struct dynfs_os *os, int fd)
{
	struct simos *s = sim_of(os);
	struct sim_gate g;
	struct sim_node *f = begin_fd(s, SIMOS_LOCK, fd, &g);
	int r = g.err;

	if (!r) {
		if (f->locked_by >= 0 && f->locked_by != fd)
			r = -EWOULDBLOCK;
		else
			f->locked_by = fd;
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

static int sim_stat(const struct dynfs_os *os, const char *path,
		    struct dynfs_os_stat *out)
{
	struct simos *s = sim_of(os);
	struct sim_node *n;
	struct sim_gate g;

	pthread_mutex_lock(&s->lock);
	g = sim_gate_pass(s, SIMOS_STAT, 0, path, NULL);
	if (!g.err) {
		n = sim_lookup(s, path, &g.err);
		if (n)
			node_stat(n, out);
	}
	pthread_mutex_unlock(&s->lock);
	return g.err;
}

static int mkdir_locked(struct simos *s, const char *path, uint32_t mode)
{
	char name[256];
	int err = 0;
	struct sim_node *dir = sim_lookup_parent(s, path, name, &err), *n;

	if (!dir)
		return err;
	if (sim_map_find(&dir->now, name))
		return -EEXIST;
	n = sim_node_new(s, dir, true, mode);
	if (!n)
		return -ENOMEM;
	err = sim_change(s, &(struct sim_edit){ dir, name, n }, 1);
	sim_node_put(s, n);
	return err;
}

static int sim_mkdir(const struct dynfs_os *os, const char *path, uint32_t mode)
{
	struct simos *s = sim_of(os);
	struct sim_gate g;
	int r;

	pthread_mutex_lock(&s->lock);
	g = sim_gate_pass(s, SIMOS_MKDIR, 0, path, NULL);
	r = gate_result(&g, g.err ? g.err : mkdir_locked(s, path, mode));
	pthread_mutex_unlock(&s->lock);
	return r;
}

static int remove_locked(struct simos *s, const char *path, bool want_dir)
{
	char name[256];
	int err = 0;
	struct sim_node *dir = sim_lookup_parent(s, path, name, &err), *n;

	if (!dir)
		return err;
	n = sim_map_find(&dir->now, name);
	if (!n)
		return -ENOENT;
	if (n->is_dir != want_dir)
		return want_dir ? -ENOTDIR : -EISDIR;
	if (n->is_dir && n->now.n)
		return -ENOTEMPTY;
	if (n == n->disk->root)
		return -EBUSY;
	return sim_change(s, &(struct sim_edit){ dir, name, NULL }, 1);
}

static int sim_remove(const struct dynfs_os *os, const char *path, bool dir)
{
	struct simos *s = sim_of(os);
	struct sim_gate g;
	int r;

	pthread_mutex_lock(&s->lock);
	g = sim_gate_pass(s, dir ? SIMOS_RMDIR : SIMOS_UNLINK, 0, path, NULL);
	r = gate_result(&g, g.err ? g.err : remove_locked(s, path, dir));
	pthread_mutex_unlock(&s->lock);
	return r;
}

static int sim_rmdir(const struct dynfs_os *os, const char *path)
{
	return sim_remove(os, path, true);
}

static int sim_unlink(const struct dynfs_os *os, const char *path)
{
	return sim_remove(os, path, false);
}

static int rename_locked(struct simos *s, const char *from, const char *to)
{
	char fname[256], tname[256];
	int err = 0;
	struct sim_node *fd = sim_lookup_parent(s, from, fname, &err);
	struct sim_node *td = fd ? sim_lookup_parent(s, to, tname, &err) : NULL;
	struct sim_node *n, *old;

	if (!fd || !td)
		return err;
	n = sim_map_find(&fd->now, fname);
	old = sim_map_find(&td->now, tname);
	if (!n)
		return -ENOENT;
	if (fd->disk != td->disk)
		return -EXDEV;
	if (n == n->disk->root)
		return -EBUSY;
	if (n == old)
		return 0;
	if (old && old->is_dir != n->is_dir)
		return n->is_dir ? -ENOTDIR : -EISDIR;
	if (old && old->is_dir && old->now.n)
		return -ENOTEMPTY;
	for (struct sim_node *up = td; n->is_dir && up; up = up->up)
		if (up == n)
			return -EINVAL;
	err = sim_change(
	    s, (struct sim_edit[]){ { td, tname, n }, { fd, fname, NULL } }, 2);
	if (!err && n->is_dir)
		n->up = td;
	return err;
}

static int link_locked(struct simos *s, const char *from, const char *to)
{
	char name[256];
	int err = 0;
	struct sim_node *n = sim_lookup(s, from, &err);
	struct sim_node *dir = n ? sim_lookup_parent(s, to, name, &err) : NULL;

	if (!n || !dir)
		return err;
	if (n->is_dir)
		return -EPERM;
	if (n->disk != dir->disk)
		return -EXDEV;
	if (sim_map_find(&dir->now, name))
		return -EEXIST;
	return sim_change(s, &(struct sim_edit){ dir, name, n }, 1);
}

static int sim_rename(const struct dynfs_os *os, const char *from,
		      const char *to)
{
	struct simos *s = sim_of(os);
	struct sim_gate g;
	int r;

	pthread_mutex_lock(&s->lock);
	g = sim_gate_pass(s, SIMOS_RENAME, 0, to, NULL);
	r = gate_result(&g, g.err ? g.err : rename_locked(s, from, to));
	pthread_mutex_unlock(&s->lock);
	return r;
}

static int sim_link(const struct dynfs_os *os, const char *from, const char *to)
{
	struct simos *s = sim_of(os);
	struct sim_gate g;
	int r;

	pthread_mutex_lock(&s->lock);
	g = sim_gate_pass(s, SIMOS_LINK, 0, to, NULL);
	r = gate_result(&g, g.err ? g.err : link_locked(s, from, to));
	pthread_mutex_unlock(&s->lock);
	return r;
}

static int sim_syncdir(const struct dynfs_os *os, const char *path)
{
	struct simos *s = sim_of(os);
	struct sim_node *n;
	struct sim_gate g;

	pthread_mutex_lock(&s->lock);
	g = sim_gate_pass(s, SIMOS_SYNCDIR, 0, path, NULL);
	if (!g.err) {
		n = sim_lookup(s, path, &g.err);
		if (n && !n->is_dir)
			g.err = -ENOTDIR;
		else if (n)
			sim_dir_sync(s, n);
	}
	pthread_mutex_unlock(&s->lock);
	return g.err;
}

static int sim_syncfs(const struct dynfs_os *os, const char *path)
{
	struct simos *s = sim_of(os);
	struct sim_node *at;
	struct sim_gate g;
	int err = 0;

	pthread_mutex_lock(&s->lock);
	g = sim_gate_pass(s, SIMOS_SYNCFS, 0, path, NULL);
	at = s->down ? NULL : sim_lookup(s, path, &err);
	if (at && g.err != -EOPNOTSUPP)
		sim_disk_sync(s, at->disk, !g.err);
	if (!g.err)
		g.err = err;
	pthread_mutex_unlock(&s->lock);
	return g.err;
}

/* A copy of the names, so that each() may call back into the table. */
static int list_copy(struct simos *s, const char *path, struct sim_map *out)
{
	int err = 0;
	struct sim_node *dir = sim_lookup(s, path, &err);

	if (!dir)
		return err;
	if (!dir->is_dir)
		return -ENOTDIR;
	for (size_t i = 0; i < dir->now.n && !err; i++)
		err =
		    sim_map_set(s, out, dir->now.v[i].name, dir->now.v[i].node);
	return err;
}

static int sim_list(const struct dynfs_os *os, const char *path,
		    int (*each)(void *ctx, const char *name, uint32_t type),
		    void *ctx)
{
	struct simos *s = sim_of(os);
	struct sim_map m = { 0 };
	struct sim_gate g;
	int r;

	pthread_mutex_lock(&s->lock);
	g = sim_gate_pass(s, SIMOS_LIST, 0, path, NULL);
	r = g.err ? g.err : list_copy(s, path, &m);
	pthread_mutex_unlock(&s->lock);
	for (size_t i = 0; i < m.n && !r; i++)
		r = each(ctx, m.v[i].name,
			 m.v[i].node->is_dir ? DYNFS_OS_DIR : DYNFS_OS_FILE);
	pthread_mutex_lock(&s->lock);
	sim_map_free(s, &m);
	pthread_mutex_unlock(&s->lock);
	return r;
}

static int sim_space(const struct dynfs_os *os, const char *path,
		     struct dynfs_os_space *out)
{
	struct simos *s = sim_of(os);
	struct sim_node *n;
	struct sim_gate g;

	pthread_mutex_lock(&s->lock);
	g = sim_gate_pass(s, SIMOS_SPACE, 0, path, NULL);
	n = g.err ? NULL : sim_lookup(s, path, &g.err);
	if (n) {
		uint64_t total = n->disk->limit;

		if (!total)
			total = 1ull << 40;
		*out = (struct dynfs_os_space){
			.total_bytes = total,
			.block_bytes = SIM_PAGE,
		};
		if (total > n->disk->used)
			out->free_bytes = total - n->disk->used;
	}
	pthread_mutex_unlock(&s->lock);
	return g.err;
}

static uint64_t sim_now_ns(const struct dynfs_os *os)
{
	struct simos *s = sim_of(os);
	uint64_t t;

	pthread_mutex_lock(&s->lock);
	t = s->clock_ns += 100;
	pthread_mutex_unlock(&s->lock);
	return t;
}

static int64_t sim_wall_ns(const struct dynfs_os *os)
{
	return SIM_EPOCH_NS + (int64_t)sim_now_ns(os);
}

static int sim_random(const struct dynfs_os *os, void *buf, size_t len)
{
	struct simos *s = sim_of(os);
	uint8_t *b = buf;
	struct sim_gate g;

	pthread_mutex_lock(&s->lock);
	g = sim_gate_pass(s, SIMOS_RANDOM, 0, NULL, NULL);
	for (size_t i = 0; !g.err && i < len; i++)
		b[i] = (uint8_t)(sim_rand(&s->rng) >> 24);
	pthread_mutex_unlock(&s->lock);
	return g.err;
}

static const struct dynfs_os sim_table = {
	.size = sizeof(struct dynfs_os),
	.open = sim_open,
	.close = sim_close,
	.preadv = sim_preadv,
	.pwritev = sim_pwritev,
	.sync = sim_sync,
	.allocate = sim_allocate,
	.truncate = sim_truncate,
	.fstat = sim_fstat,
	.lock = sim_lock,
	.stat = sim_stat,
	.mkdir = sim_mkdir,
	.rmdir = sim_rmdir,
	.unlink = sim_unlink,
	.rename = sim_rename,
	.link = sim_link,
	.syncdir = sim_syncdir,
	.list = sim_list,
	.space = sim_space,
	.now_ns = sim_now_ns,
	.wall_ns = sim_wall_ns,
	.random = sim_random,
	.syncfs = sim_syncfs,
	.drop = sim_drop,
};

void simos_calls_init(struct simos *s)
{
	s->os = sim_table;
	s->os.ctx = s;
}
