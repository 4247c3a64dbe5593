/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inodes that nobody refers to.
 *
 * They lose their content (it is clean, and a map is one scan) and wait, the
 * least recently used first, within a share of the memory; whether a frontend
 * knows of them makes no difference.  Times of access that were not stored yet
 * are stored before such an inode goes, by a worker.
 *
 * An inode without a name is no cache: it stays while a frontend knows it.
 * When nobody does it is reclaimed; here alone that is decided, under the lock
 * of the table, so neither a forget nor a release can miss it.
 */
#include <file/private.h>

#include <base/cleanup.h>

#include <stdlib.h>

#define STALE_MOST  4096u
#define STALE_NS    10000000000u
#define SETTLE_MANY 256u

static uint64_t inode_weight(const struct inode *in)
{
	/* the allocator's own, and a place in the table */
	return sizeof(*in) + in->rec.target_len + 48;
}

void inode_use(struct files *f, struct inode *in)
{
	if (in->refs++ || list_empty(&in->lru))
		return;
	list_remove(&in->lru);
	f->idle_bytes -= inode_weight(in);
	f->n_stale -= in->stale;
	in->stale = false;
}

void inode_hold(struct inode *in)
{
	AUTOLOCK(&in->files->lock);
	inode_use(in->files, in);
}

/* The table's lock is held, here and below; refs is 0. */
static void idle_add(struct files *f, struct inode *in)
{
	in->stale = in->dirty_attr && !f->how.readonly;
	if (in->stale && !f->n_stale++)
		f->stale_ns = f->how.os->now_ns(f->how.os);
	list_push(in->stale ? &f->stale : &f->idle, &in->lru);
	f->idle_bytes += inode_weight(in);
}

static void idle_drop(struct files *f, struct inode *in, struct list *doomed)
{
	inode_use(f, in);
	in->refs = 0;
	hmap_remove(&f->inodes, &in->node);
	f->n_inodes--;
	list_push(doomed, &in->lru);
}

/* Stale ones only when the worker that should store them does not keep up. */
static void idle_evict(struct files *f, struct list *doomed)
{
	while (f->idle_bytes > f->idle_limit) {
		struct list *l = list_first(&f->idle);

		if (!l)
			l = list_first(&f->stale);
		idle_drop(f, container_of(l, struct inode, lru), doomed);
	}
}

static bool idle_is_known(struct inode *in)
{
	enum known_state s = known_state(in->files, in->ino);

	return s == KNOWN_YES ||
	       (s == KNOWN_MAYBE && !atomic_load(&in->forgotten));
}

bool inode_is_doomed(struct inode *in)
{
	bool nameless;

	(void)pthread_mutex_lock(&in->lock);
	nameless = in->loaded && !in->rec.nlink;
	(void)pthread_mutex_unlock(&in->lock);
	return nameless && !atomic_load(&in->opens) && !idle_is_known(in);
}

/* What becomes of it; true: it is to be reclaimed, and has a reference. */
static bool idle_rest(struct files *f, struct inode *in, struct list *doomed)
{
	bool nameless = in->loaded && !in->rec.nlink;

	if (!in->loaded || !in->counted.exists ||
	    (nameless && (f->how.readonly || in->gone))) {
		idle_drop(f, in, doomed);
		return false;
	}
	if (nameless) {
		if (idle_is_known(in))
			return false;
		in->refs = 1;
		return true;
	}
	idle_add(f, in);
	idle_evict(f, doomed);
	return false;
}

/* leave: the last one does not reclaim it either, and it is not kept. */
static void idle_put(struct inode *in, bool leave)
{
	struct files *f = in->files;
	struct content *c = NULL;
	struct list doomed, *l;
	bool reclaim = false;

	list_init(&doomed);
	(void)pthread_mutex_lock(&f->lock);
	if (!--in->refs) {
		c = content_detach(in);
		if (leave)
			idle_drop(f, in, &doomed);
		else
			reclaim = idle_rest(f, in, &doomed);
	}
	(void)pthread_mutex_unlock(&f->lock);
	if (c)
		content_free(f, c);
	if (reclaim)
		work_gone(in);
	while ((l = list_pop(&doomed)))
		inode_destroy(container_of(l, struct inode, lru));
}

void inode_put(struct inode *in)
{
	if (in)
		idle_put(in, false);
}

/* Who found it meanwhile puts it, and all is asked again. */
void idle_leave(struct inode *in)
{
	idle_put(in, true);
}

void inode_know(struct inode *in)
{
	atomic_store(&in->forgotten, false);
	known_add(in->files, in->ino);
}

/* One that has no name may wait for this. */
void files_forget(struct files *f, uint64_t ino, uint64_t n)
{
	struct inode *in;

	if (!known_sub(f, ino, n))
		return;
	(void)pthread_mutex_lock(&f->lock);
	in = inode_find(f, ino);
	if (in) {
		atomic_store(&in->forgotten, true);
		if (in->refs || in->rec.nlink)
			in = NULL; /* the last put finds out */
		else
			inode_use(f, in);
	}
	(void)pthread_mutex_unlock(&f->lock);
	inode_put(in);
}

/* ---- times of access ------------------------------------------------- */

static uint32_t stale_take(struct files *f, struct inode **in)
{
	uint64_t now = f->how.os->now_ns(f->how.os);
	struct list *l;
	uint32_t n = 0;

	AUTOLOCK(&f->lock);
	if (f->n_stale <= STALE_MOST && now - f->stale_ns < STALE_NS)
		return 0;
	while (n < SETTLE_MANY && (l = list_first(&f->stale))) {
		in[n] = container_of(l, struct inode, lru);
		inode_use(f, in[n++]);
	}
	return n;
}

/* Nothing can be committed any more, and a time of access is not worth it. */
static void stale_give_up(struct inode *in)
{
	AUTOLOCK(&in->lock);
	in->dirty_attr = false;
}

bool idle_settle(struct files *f)
{
	struct inode *in[SETTLE_MANY];
	uint32_t n = stale_take(f, in);

	for (uint32_t i = 0; i < n; ++i) {
		if (settle_attr(in[i]) < 0)
			stale_give_up(in[i]);
		inode_put(in[i]);
	}
	return n > 0;
}
