/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations on stores.
 *
 * What belongs to one disk is one chain, run by one thread and given to the
 * store as one vector, so that a store can merge it and disks do not wait for
 * each other.  Whoever waits runs one of the chains, so a read from one disk
 * never leaves the caller's thread; the others are offered to the set's
 * threads and taken back if none has begun.  When the pages are in memory the
 * caller is done before a thread wakes up, and when they are not the disks
 * work at once: nobody has to guess which it will be.
 */
#include <disk/private.h>

#include <base/cleanup.h>
#include <registry/store.h>

#include <errno.h>

#define IO_VECTOR 64u /* operations of one store call */
#define IO_SHARES 16u /* chains that can be taken back */

struct disk_wait {
	pthread_mutex_t lock; /* guards pending */
	pthread_cond_t over;
	uint32_t pending;
};

static void wait_less(struct disk_wait *w)
{
	(void)pthread_mutex_lock(&w->lock);
	if (!--w->pending)
		(void)pthread_cond_signal(&w->over);
	/* the waiter can not go on, and take w with it, before this */
	(void)pthread_mutex_unlock(&w->lock);
}

static bool failed_for_good(int r)
{
	return r == -EIO || r == -EROFS || r == -ENODEV || r == -ENXIO;
}

/*
 * A write, and a question for room, reads nothing that could be damaged, so
 * what is not want of room or of memory is the disk's fault: one whose directory
 * is gone, say, finds no place for a new file.
 */
bool disk_is_at_fault(int r)
{
	return r < 0 && r != -ENOSPC && r != -EDQUOT && r != -ENOMEM &&
	       r != -EMFILE && r != -ENFILE && r != -EINVAL && r != -EINTR &&
	       r != -EAGAIN;
}

static uint64_t op_bytes(const struct dynfs_store_op *op)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < op->n_iov; ++i)
		n += op->iov[i].iov_len;
	return n;
}

static void op_account(struct disk *k, const struct dynfs_store_op *op)
{
	int r = op->result;

	if (r < 0 && r != -ENOSPC)
		atomic_fetch_add_explicit(&k->errors, 1, memory_order_relaxed);
	if (op->kind == DYNFS_STORE_READ) {
		atomic_fetch_add_explicit(&k->reads, 1, memory_order_relaxed);
		if (r >= 0)
			atomic_fetch_add_explicit(&k->read_bytes, op_bytes(op),
						  memory_order_relaxed);
		return;
	}
	if (op->kind == DYNFS_STORE_WRITE) {
		atomic_fetch_add_explicit(&k->writes, 1, memory_order_relaxed);
		if (r >= 0)
			atomic_fetch_add_explicit(&k->write_bytes, op_bytes(op),
						  memory_order_relaxed);
	}
	if (op->kind == DYNFS_STORE_WRITE ? disk_is_at_fault(r)
					  : failed_for_good(r))
		disk_suspect(k, "a write", r);
}

static void op_over(struct disk_op *o)
{
	struct disk_wait *wait = o->wait;

	if (o->done)
		o->done(o); /* o may be gone after it */
	if (wait)
		wait_less(wait);
}

static void op_done(struct dynfs_store_op *op)
{
	struct disk_op *o = container_of(op, struct disk_op, op);

	op_account(o->disk, op);
	atomic_fetch_sub_explicit(&o->disk->inflight, 1, memory_order_relaxed);
	op_over(o);
}

static bool op_allowed(const struct disk_op *o)
{
	const struct disk *k = o->disk;

	if (!k || !disk_readable(k))
		return false;
	if (o->op.kind == DYNFS_STORE_READ)
		return true;
	if (o->op.kind == DYNFS_STORE_WRITE)
		return disk_writable(k);
	return atomic_load(&k->health) == DISK_ONLINE &&
	       !disks_readonly(disk_in_const(k)->set);
}

/* Every operation of the chain is the store's after this. */
static void chain_run(struct disk_op *o)
{
	struct reg_inst *store = o->disk->store;

	while (o) {
		struct dynfs_store_op *vector[IO_VECTOR];
		uint32_t n = 0;

		for (; o && n < IO_VECTOR; o = o->next)
			vector[n++] = &o->op;
		/* what went wrong is in each operation's result */
		(void)reg_store_submit(store, vector, n);
	}
}

static void chain_work(struct work *w)
{
	chain_run(container_of(w, struct disk_op, work));
}

static struct disk_op *chain_of(struct list *chains, const struct disk *k)
{
	list_for(it, chains)
	{
		struct disk_op *head =
		    container_of(it, struct disk_op, work.link);

		if (head->disk == k)
			return head;
	}
	return NULL;
}

static void chain_add(struct list *chains, struct disk_op *o,
		      struct disk_wait *wait)
{
	struct disk_op *head = chain_of(chains, o->disk);

	o->op.size = sizeof(o->op);
	o->op.done = op_done;
	o->op.result = 0;
	o->wait = wait;
	o->next = NULL;
	o->last = o;
	o->work.run = chain_work;
	atomic_fetch_add_explicit(&o->disk->inflight, 1, memory_order_relaxed);
	if (head) {
		head->last->next = o;
		head->last = o;
	} else {
		list_push(chains, &o->work.link);
	}
}

/* The chains that do not block are started; the others remain in blocking. */
static void start_async(struct list *chains, struct list *blocking)
{
	struct list *l;

	while ((l = list_pop(chains))) {
		struct disk_op *head =
		    container_of(l, struct disk_op, work.link);

		if (reg_store_caps(head->disk->store) & DYNFS_STORE_BLOCKS)
			list_push(blocking, l);
		else
			chain_run(head);
	}
}

/* A chain on offer.  Not in the operation: done() may have freed that. */
struct share {
	struct work work;
	struct disk_op *head;
};

static void share_work(struct work *w)
{
	chain_run(container_of(w, struct share, work)->head);
}

static struct disk_op *pop_chain(struct list *chains)
{
	return container_of(list_pop(chains), struct disk_op, work.link);
}

static void wait_all(struct disk_wait *w)
{
	(void)pthread_mutex_lock(&w->lock);
	while (w->pending)
		(void)pthread_cond_wait(&w->over, &w->lock);
	(void)pthread_mutex_unlock(&w->lock);
	(void)pthread_cond_destroy(&w->over);
	(void)pthread_mutex_destroy(&w->lock);
}

/*
 * All of them, by this thread as far as others are not faster, and wait for
 * everything.  A thread that has taken a share may not have looked at it yet
 * when we find it gone: shares live until the last operation is over.
 */
static void run_and_wait(struct disks *d, struct list *chains,
			 struct disk_wait *w)
{
	struct share share[IO_SHARES];
	struct disk_op *mine = NULL;
	struct list offer;
	uint32_t n = 0;

	list_init(&offer);
	if (!list_empty(chains))
		mine = pop_chain(chains);
	for (; n < IO_SHARES && !list_empty(chains); ++n) {
		share[n].head = pop_chain(chains);
		share[n].work.run = share_work;
		list_push(&offer, &share[n].work.link);
	}
	list_splice(&offer, chains);
	if (!list_empty(&offer))
		tpool_add_list(d->io, &offer);
	if (mine)
		chain_run(mine);
	/* from the end, where the others come last */
	for (uint32_t i = n; i-- > 0;)
		if (tpool_take(d->io, &share[i].work))
			chain_run(share[i].head);
	wait_all(w);
}

void disks_submit(struct disks *d, struct disk_op *const *ops, uint32_t n,
		  bool wait)
{
	struct disk_wait w = { .pending = n };
	struct list chains, blocking;

	list_init(&chains);
	list_init(&blocking);
	if (wait) {
		(void)pthread_mutex_init(&w.lock, NULL);
		(void)pthread_cond_init(&w.over, NULL);
	}
	for (uint32_t i = 0; i < n; ++i) {
		struct disk_op *o = ops[i];

		o->wait = wait ? &w : NULL;
		if (op_allowed(o)) {
			chain_add(&chains, o, o->wait);
		} else {
			o->op.result = -ENODEV;
			op_over(o);
		}
	}
	start_async(&chains, &blocking);
	if (!wait) {
		if (!list_empty(&blocking))
			tpool_add_list(d->io, &blocking);
		return;
	}
	run_and_wait(d, &blocking, &w);
}

uint64_t disk_mark(struct disk *k)
{
	return k->store ? reg_store_mark(k->store) : 0;
}

/*
 * The token of a group is the last of many, and some of what it stands for may
 * have been lost by a sync that failed below it: a write that looked at the
 * disk before that, and began after it, has drawn the token on. So from the
 * first failure on nothing counts as durable that was not before it, until the
 * disk is opened again.
 */
int disk_sync(struct disk *k, uint64_t token)
{
	struct disk_in *in = disk_in(k);
	int r;

	if (!disk_readable(k))
		return -ENODEV;
	AUTOLOCK(&in->sync_lock);
	if (in->sync_failed)
		return token < in->durable_end ? 0 : -EIO;
	r = reg_store_sync(k->store, token);
	if (r < 0) {
		in->sync_failed = true;
		atomic_fetch_add_explicit(&k->errors, 1, memory_order_relaxed);
		disk_suspect(k, "sync", r);
	} else if (token >= in->durable_end) {
		in->durable_end = token + 1;
	}
	return r;
}
