/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mem: the index as an ordered map in memory.
 *
 * For simulations, which open and drop thousands of pools a minute, for
 * tests, and for pools so small that their metadata fits in memory twice.
 * All files go through host->os, so a simulated disk serves it.
 *
 * The state is one pointer, root, with the number that belongs to it; a
 * reader takes a reference to the root under the lock and needs no lock
 * after that.  See tree.c.
 *
 * flush() writes the whole map beside the old one and renames it: correct,
 * slow, and rarely called, since the core's log is the truth.  An engine that
 * writes each batch would be a second log.
 */
#include "image.h"

#include <dynfs/os.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define MEM_FILE     "map"
#define MEM_FILE_NEW "map.new"

struct mem {
	const struct dynfs_host *host;
	struct mem_heap heap;
	char *path; /* of the directory; NULL: not open */
	uint32_t flags;
	uint64_t gen; /* of the last edit; apply's own */

	pthread_mutex_t flushing; /* one flush() at a time */
	uint64_t flushed;         /* by flushing: the file's number */

	pthread_mutex_t lock; /* guards what follows */
	struct mem_node *root;
	uint64_t applied, keys;
};

struct mem_state {
	struct mem_node *root; /* a reference */
	uint64_t applied, keys;
};

struct dynfs_meta_iter {
	struct mem_node *root;
	struct mem_cursor cursor;
	size_t to_len;
	uint8_t to[];
};

enum { MEM_APPLIED, MEM_GETS, MEM_SCANS };
static const char *const mem_counters[] = { [MEM_APPLIED] = "batches",
					    [MEM_GETS] = "gets",
					    [MEM_SCANS] = "scans",
					    NULL };

static int mem_create(const struct dynfs_host *h, const void *config,
		      void **ret_self)
{
	struct mem *m = h->alloc(h, sizeof(*m), 0);

	(void)config; /* there are no options */
	if (!m)
		return -ENOMEM;
	m->host = h;
	m->heap.host = h;
	if (pthread_mutex_init(&m->lock, NULL)) {
		h->free(h, m);
		return -ENOMEM;
	}
	if (pthread_mutex_init(&m->flushing, NULL)) {
		(void)pthread_mutex_destroy(&m->lock); /* is not held */
		h->free(h, m);
		return -ENOMEM;
	}
	*ret_self = m;
	return 0;
}

static void mem_close(void *self)
{
	struct mem *m = self;

	mem_tree_drop(&m->heap, m->root);
	m->host->free(m->host, m->path);
	m->root = NULL;
	m->path = NULL;
	m->applied = 0;
	m->keys = 0;
}

static void mem_destroy(void *self)
{
	struct mem *m = self;

	mem_close(m);
	(void)pthread_mutex_destroy(&m->lock);     /* is not held */
	(void)pthread_mutex_destroy(&m->flushing); /* is not held */
	m->host->free(m->host, m);
}

/* dir/name, or the folder that dir is in when name is NULL */
static char *mem_path(struct mem *m, const char *dir, const char *name)
{
	size_t len = strlen(dir), room = len + (name ? strlen(name) : 0) + 3;
	char *path = m->host->alloc(m->host, room, 0);

	if (!path)
		return NULL;
	if (name) {
		(void)snprintf(path, room, "%s/%s", dir, name);
		return path;
	}
	while (len > 1 && dir[len - 1] == '/')
		--len;
	while (len && dir[len - 1] != '/')
		--len;
	if (len)
		memcpy(path, dir, len);
	else
		path[0] = '.';
	return path;
}

static int mem_sync_parent(struct mem *m, const char *path)
{
	char *parent = mem_path(m, path, NULL);
	int err = -ENOMEM;

	if (parent)
		err = m->host->os->syncdir(m->host->os, parent);
	m->host->free(m->host, parent);
	return err;
}

static int mem_make_dir(struct mem *m, const char *path)
{
	int err = m->host->os->mkdir(m->host->os, path, 0700);

	return err ? err : mem_sync_parent(m, path);
}

static int mem_load(struct mem *m)
{
	struct mem_edit edit = { .heap = &m->heap, .gen = ++m->gen };
	char *file = mem_path(m, m->path, MEM_FILE);
	uint64_t applied = 0;
	int err;

	if (!file)
		return -ENOMEM;
	err = image_read(m->host, file, &edit, &applied);
	m->host->free(m->host, file);
	if (err) {
		mem_tree_drop(&m->heap, edit.root);
		return err;
	}
	m->root = edit.root;
	m->keys = edit.keys;
	m->applied = applied;
	return 0;
}

static int mem_open_dir(struct mem *m)
{
	const struct dynfs_os *os = m->host->os;
	struct dynfs_os_stat st;
	int err = mem_load(m);

	if (err != -ENOENT)
		return err;
	if (!(m->flags & DYNFS_META_OPEN_CREATE) ||
	    (m->flags & DYNFS_META_OPEN_RDONLY))
		return m->host->fail(m->host, -ENOENT, "no map in %s", m->path);
	err = os->stat(os, m->path, &st);
	return err == -ENOENT ? mem_make_dir(m, m->path) : err;
}

static int mem_open(void *self, const struct dynfs_meta_open *how,
		    uint64_t *ret_applied)
{
	struct mem *m = self;
	size_t len = strlen(how->path) + 1;
	int err;

	if (m->path)
		return m->host->fail(m->host, -EBUSY, "%s is open", m->path);
	m->path = m->host->alloc(m->host, len, 0);
	if (!m->path)
		return -ENOMEM;
	memcpy(m->path, how->path, len);
	m->flags = how->flags;
	err = mem_open_dir(m);
	if (err) {
		mem_close(m);
		return err;
	}
	m->flushed = m->applied;
	*ret_applied = m->applied;
	return 0;
}

static struct mem_state mem_state_get(struct mem *m)
{
	struct mem_state s;

	(void)pthread_mutex_lock(&m->lock); /* a plain mutex can not fail */
	s.root = mem_tree_ref(m->root);
	s.applied = m->applied;
	s.keys = m->keys;
	(void)pthread_mutex_unlock(&m->lock);
	return s;
}

static int mem_key_check(struct mem *m, struct dynfs_meta_span key)
{
	if (key.len && key.len <= DYNFS_META_KEY_MAX &&
	    *(const uint8_t *)key.data)
		return 0;
	return m->host->fail(m->host, -EINVAL,
			     "a key of %zu bytes or one that begins with 0",
			     key.len);
}

static int mem_get(void *self, const struct dynfs_meta_span *keys, uint32_t n,
		   void (*found)(void *ctx, uint32_t i,
				 struct dynfs_meta_span value),
		   void *ctx)
{
	struct mem *m = self;
	struct mem_state s;
	int err = 0;

	for (uint32_t i = 0; i < n && !err; ++i)
		err = mem_key_check(m, keys[i]);
	if (err)
		return err;
	s = mem_state_get(m);
	for (uint32_t i = 0; i < n; ++i) {
		const struct mem_entry *e = mem_tree_get(s.root, keys[i]);

		if (e)
			found(ctx, i, mem_entry_value(e));
	}
	mem_tree_drop(&m->heap, s.root);
	m->host->count(m->host, MEM_GETS, n);
	return 0;
}

static int mem_scan(void *self, struct dynfs_meta_span from,
		    struct dynfs_meta_span to, struct dynfs_meta_iter **ret)
{
	struct mem *m = self;
	struct dynfs_meta_iter *it =
	    m->host->alloc(m->host, sizeof(*it) + to.len, 0);

	if (!it)
		return -ENOMEM;
	it->to_len = to.len;
	if (to.len)
		memcpy(it->to, to.data, to.len);
	it->root = mem_state_get(m).root;
	mem_cursor_seek(&it->cursor, it->root, from);
	m->host->count(m->host, MEM_SCANS, 1);
	*ret = it;
	return 0;
}

static int mem_next(void *self, struct dynfs_meta_iter *it,
		    struct dynfs_meta_span *key, struct dynfs_meta_span *value)
{
	struct dynfs_meta_span to = { it->to, it->to_len };
	const struct mem_entry *e = mem_cursor_next(&it->cursor);

	(void)self; /* all is in the iterator */
	if (!e || (to.len && mem_compare(mem_entry_key(e), to) >= 0)) {
		it->cursor.depth = 0;
		return 0;
	}
	*key = mem_entry_key(e);
	*value = mem_entry_value(e);
	return 1;
}

static void mem_scan_end(void *self, struct dynfs_meta_iter *it)
{
	struct mem *m = self;

	mem_tree_drop(&m->heap, it->root);
	m->host->free(m->host, it);
}

static int mem_op(struct mem *m, struct mem_edit *edit,
		  const struct dynfs_meta_op *op)
{
	struct mem_entry *e;
	int err = mem_key_check(m, op->key);

	if (err)
		return err;
	if (op->kind == DYNFS_META_DELETE)
		return mem_edit_delete(edit, op->key);
	if (op->kind != DYNFS_META_PUT || op->value.len > DYNFS_META_VALUE_MAX)
		return m->host->fail(m->host, -EINVAL,
				     "operation %u with %zu bytes", op->kind,
				     op->value.len);
	e = mem_entry_new(&m->heap, op->key, op->value);
	return e ? mem_edit_put(edit, e) : -ENOMEM;
}

static int mem_apply(void *self, uint64_t number,
		     const struct dynfs_meta_op *ops, uint32_t n)
{
	struct mem *m = self;
	struct mem_state s;
	struct mem_edit edit;
	int err = 0;

	if (m->flags & DYNFS_META_OPEN_RDONLY)
		return -EROFS;
	s = mem_state_get(m);
	edit = (struct mem_edit){ .heap = &m->heap,
				  .root = s.root,
				  .gen = ++m->gen,
				  .keys = s.keys };
	if (number <= s.applied)
		err = m->host->fail(
		    m->host, -EINVAL, "batch %llu after batch %llu",
		    (unsigned long long)number, (unsigned long long)s.applied);
	for (uint32_t i = 0; i < n && !err; ++i)
		err = mem_op(m, &edit, &ops[i]);
	if (err) {
		mem_tree_drop(&m->heap, edit.root);
		return err;
	}
	(void)pthread_mutex_lock(&m->lock);
	s.root = m->root;
	m->root = edit.root;
	m->keys = edit.keys;
	m->applied = number;
	(void)pthread_mutex_unlock(&m->lock);
	mem_tree_drop(&m->heap, s.root);
	m->host->count(m->host, MEM_APPLIED, 1);
	return DYNFS_META_DONE;
}

/* Until the rename the old file is the one that open() reads. */
static int mem_replace(struct mem *m, const struct mem_state *s)
{
	const struct dynfs_os *os = m->host->os;
	char *fresh = mem_path(m, m->path, MEM_FILE_NEW);
	char *file = mem_path(m, m->path, MEM_FILE);
	int err = -ENOMEM;

	if (!fresh || !file)
		goto out;
	err = os->unlink(os, fresh); /* a crash may have left one */
	if (err && err != -ENOENT)
		goto out;
	err = image_write(m->host, fresh, s->root, s->keys, s->applied);
	if (!err)
		err = os->rename(os, fresh, file);
	if (!err)
		err = os->syncdir(os, m->path);
out:
	m->host->free(m->host, fresh);
	m->host->free(m->host, file);
	return err;
}

static int mem_flush(void *self)
{
	struct mem *m = self;
	struct mem_state s;
	int err = 0;

	if (m->flags & DYNFS_META_OPEN_RDONLY)
		return 0;
	(void)pthread_mutex_lock(&m->flushing);
	s = mem_state_get(m);
	if (s.applied != m->flushed)
		err = mem_replace(m, &s);
	if (!err)
		m->flushed = s.applied;
	(void)pthread_mutex_unlock(&m->flushing);
	mem_tree_drop(&m->heap, s.root);
	return err;
}

static int mem_checkpoint(void *self, const char *path, uint64_t *ret_applied)
{
	struct mem *m = self;
	const struct dynfs_os *os = m->host->os;
	struct mem_state s;
	char *file;
	int err;

	if (m->flags & DYNFS_META_OPEN_RDONLY)
		return -EROFS;
	file = mem_path(m, path, MEM_FILE);
	if (!file)
		return -ENOMEM;
	err = os->mkdir(os, path, 0700);
	if (err) {
		m->host->free(m->host, file);
		return m->host->fail(m->host, err, "cannot make %s", path);
	}
	s = mem_state_get(m);
	err = image_write(m->host, file, s.root, s.keys, s.applied);
	mem_tree_drop(&m->heap, s.root);
	if (!err)
		err = os->syncdir(os, path);
	if (!err)
		err = mem_sync_parent(m, path);
	if (err) {
		/* what is left over does not change the error */
		(void)os->unlink(os, file);
		(void)os->rmdir(os, path);
	}
	m->host->free(m->host, file);
	if (!err)
		*ret_applied = s.applied;
	return err;
}

static int mem_stats(void *self, struct dynfs_meta_stats *out)
{
	struct mem *m = self;
	const struct dynfs_os *os = m->host->os;
	char *file = mem_path(m, m->path, MEM_FILE);
	struct dynfs_os_stat st = { 0 };
	int err;

	if (!file)
		return -ENOMEM;
	err = os->stat(os, file, &st);
	m->host->free(m->host, file);
	if (err && err != -ENOENT)
		return err;
	out->disk_bytes = err ? 0 : st.alloc_bytes;
	out->memory_bytes =
	    atomic_load_explicit(&m->heap.bytes, memory_order_relaxed);
	(void)pthread_mutex_lock(&m->lock);
	out->keys = m->keys;
	(void)pthread_mutex_unlock(&m->lock);
	return 0;
}

static const struct dynfs_meta_ops mem_ops = {
	.size = sizeof(mem_ops),
	.caps = DYNFS_META_VOLATILE,
	.open = mem_open,
	.close = mem_close,
	.get = mem_get,
	.scan = mem_scan,
	.next = mem_next,
	.scan_end = mem_scan_end,
	.apply = mem_apply,
	.flush = mem_flush,
	.checkpoint = mem_checkpoint,
	.stats = mem_stats,
};

static const struct dynfs_plugin mem_plugin = {
	DYNFS_PLUGIN_HEADER,
	.threading = DYNFS_PARALLEL,
	.name = "mem",
	.version = "1.0",
	.summary = "Metadata index in memory, for tests and simulations",
	.counters = mem_counters,
	.create = mem_create,
	.destroy = mem_destroy,
	.meta = &mem_ops,
};

const struct dynfs_plugin *dynfs_plugin_entry(void)
{
	return &mem_plugin;
}
