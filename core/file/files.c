/* SPDX-License-Identifier: Apache-2.0 */
/* The life of the layer, and syncing all of it. */
#include <file/private.h>

#include <base/cleanup.h>
#include <base/fail.h>

#include <errno.h>
#include <stdlib.h>

static void files_init_locks(struct files *f)
{
	(void)pthread_mutex_init(&f->lock, NULL);
	(void)pthread_mutex_init(&f->ino_lock, NULL);
	(void)pthread_mutex_init(&f->dirty_lock, NULL);
	(void)pthread_mutex_init(&f->spare_lock, NULL);
	(void)pthread_mutex_init(&f->room_lock, NULL);
	(void)pthread_mutex_init(&f->reserved_lock, NULL);
	(void)pthread_cond_init(&f->work, NULL);
	(void)pthread_cond_init(&f->room, NULL);
	(void)pthread_cond_init(&f->to_tell, NULL);
	list_init(&f->idle);
	list_init(&f->stale);
	list_init(&f->mapped);
	list_init(&f->ready);
	list_init(&f->dirty);
	list_init(&f->cuts);
	list_init(&f->gone);
	list_init(&f->changed);
	for (unsigned i = 0; i < SPACE_CLASSES; ++i)
		list_init(&f->slabs[i]);
}

static void files_destroy(struct files *f)
{
	struct hnode *n, *next;

	for (n = hmap_iter(&f->inodes, NULL); n; n = next) {
		struct inode *in = container_of(n, struct inode, node);

		/* from the start each time would pass all that went before */
		next = hmap_iter(&f->inodes, n);
		hmap_remove(&f->inodes, n);
		inode_destroy(in);
	}
	hmap_done(&f->inodes);
	files_trim(f);
	known_done(f);
	free(f->reserves);
	(void)pthread_cond_destroy(&f->to_tell);
	(void)pthread_cond_destroy(&f->room);
	(void)pthread_cond_destroy(&f->work);
	(void)pthread_mutex_destroy(&f->reserved_lock);
	(void)pthread_mutex_destroy(&f->room_lock);
	(void)pthread_mutex_destroy(&f->spare_lock);
	(void)pthread_mutex_destroy(&f->dirty_lock);
	(void)pthread_mutex_destroy(&f->ino_lock);
	(void)pthread_mutex_destroy(&f->lock);
	free(f);
}

int files_new(const struct files_how *how, struct files **ret)
{
	struct files *f = (struct files *)calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	f->how = *how;
	f->dirty_limit = how->memory_bytes / 2;
	if (f->dirty_limit < 4ull * how->extent_bytes)
		f->dirty_limit = 4ull * how->extent_bytes;
	f->idle_limit = f->map_limit = how->memory_bytes / 8;
	f->most_buffers = (unsigned)((f->dirty_limit + how->memory_bytes / 8) /
				     how->extent_bytes);
	files_init_locks(f);
	known_init(f);
	r = hmap_init(&f->inodes, 1024);
	if (r >= 0)
		r = reserved_load(f);
	if (r >= 0)
		r = work_start(f);
	if (r < 0) {
		work_stop(f, true);
		files_destroy(f);
		return r;
	}
	*ret = f;
	return 0;
}

/* All inodes with something in memory that is not in the log. */
static int files_collect(struct files *f, struct inode ***ret, size_t *ret_n)
{
	struct inode **all;
	size_t n = 0;

	AUTOLOCK(&f->lock);
	all =
	    (struct inode **)malloc((f->n_inodes + 1) * sizeof(struct inode *));
	if (!all)
		return -ENOMEM;
	for (struct hnode *h = hmap_iter(&f->inodes, NULL); h;
	     h = hmap_iter(&f->inodes, h)) {
		struct inode *in = container_of(h, struct inode, node);

		/* what nobody uses is stored, but for its times */
		if (!in->refs && !in->stale)
			continue;
		inode_use(f, in);
		all[n++] = in;
	}
	*ret = all;
	*ret_n = n;
	return 0;
}

int files_sync(struct files *f)
{
	struct inode **all;
	size_t n;
	int r, first = 0;

	if (f->how.readonly)
		return 0;
	r = files_collect(f, &all, &n);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; ++i) {
		r = file_settle(all[i]);
		if (r < 0 && !first)
			first = r;
		inode_put(all[i]);
	}
	free(all);
	r = meta_sync(f->how.meta, meta_open_number(f->how.meta));
	return first < 0 ? first : r;
}

int files_free(struct files *f)
{
	int r = files_sync(f);

	work_stop(f, false);
	files_destroy(f);
	return r;
}

void files_abandon(struct files *f)
{
	work_stop(f, true);
	files_destroy(f);
}

uint64_t files_writers(struct files *f)
{
	uint64_t n = 0;

	AUTOLOCK(&f->lock);
	for (struct hnode *h = hmap_iter(&f->inodes, NULL); h;
	     h = hmap_iter(&f->inodes, h))
		n += atomic_load(
			 &container_of(h, struct inode, node)->writers) > 0;
	return n;
}

void files_status(struct files *f, struct files_status *ret)
{
	struct files_status s = { 0 };
	uint64_t bytes;

	(void)pthread_mutex_lock(&f->lock);
	s.inodes = f->n_inodes;
	(void)pthread_mutex_unlock(&f->lock);
	(void)pthread_mutex_lock(&f->dirty_lock);
	s.dirty_bytes = f->dirty_bytes;
	(void)pthread_mutex_unlock(&f->dirty_lock);
	s.known = known_count(f, &bytes);
	s.buffer_bytes = space_bytes(f);
	s.memory_bytes = bytes + s.inodes * sizeof(struct inode) +
			 s.buffer_bytes + atomic_load(&f->map_bytes);
	*ret = s;
}
