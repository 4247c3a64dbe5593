/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Freeing fragments: a thread that waits until it is safe.
 *
 * A fragment may go when (1) the group that dropped it is durable and a later
 * durable record says so (a replay then never looks for it), and (2) every
 * reader that was inside at that time has left.  The stores' frees are synced
 * before the Z record goes, so a crash at any point repeats a free (which is
 * idempotent) and never forgets one.  Fragments on disks that are away stay
 * queued in their Z records.
 */
#include <extent/private.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/log.h>

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define RECLAIM_BATCH    256u
#define RECLAIM_PAUSE_NS 20000000L

void reclaim_add(struct extents *x, struct extent_id id, uint64_t salt,
		 uint64_t number, const struct free_rec *r)
{
	struct pending_free *f;

	f = (struct pending_free *)calloc(1, sizeof(*f));
	if (!f)
		return; /* the Z record is found at the next open */
	f->id = id;
	f->salt = salt;
	f->number = number;
	f->rec = *r;
	AUTOLOCK(&x->free_lock);
	list_push(&x->frees, &f->link);
	x->n_frees++;
	(void)pthread_cond_signal(&x->free_wake);
}

void extents_durable_hook(void *ctx, uint64_t number)
{
	struct extents *x = (struct extents *)ctx;
	uint64_t confirmed = meta_confirmed_number(x->meta);

	(void)number;
	AUTOLOCK(&x->free_lock);
	x->confirmed = confirmed;
	(void)pthread_cond_signal(&x->free_wake);
}

/*
 * Readers count themselves in under the current phase.  After the flip new
 * ones count in the other; when the old count is zero everybody who could
 * have seen the extents is out.
 */
static void reclaim_wait_readers(struct extents *x)
{
	unsigned old = atomic_fetch_add(&x->phase, 1) & 1;
	struct timespec pause = { 0, 200000 };

	while (atomic_load(&x->readers[old]))
		(void)nanosleep(&pause, NULL);
}

/* Disks whose frees must be synced. */
struct touched {
	struct disk **disks; /* room for disks_count() */
	uint32_t n;
};

static void touched_add(struct touched *t, struct disk *k)
{
	for (uint32_t i = 0; i < t->n; ++i)
		if (t->disks[i] == k)
			return;
	t->disks[t->n++] = k;
}

/* A fragment on its way out. */
struct freeing {
	struct disk_op op;
	struct pending_free *of;
	struct dynfs_place place;
};

static void freeing_init(struct freeing *g, struct pending_free *f, uint32_t i,
			 struct disk *k)
{
	*g = (struct freeing){
		.op = {
			.disk = k,
			.op = {
				.size = sizeof(struct dynfs_store_op),
				.kind = DYNFS_STORE_FREE,
				.id = { f->id.epoch, f->id.counter,
					f->rec.at[i].index, 0 },
				.place = f->rec.at[i].place,
			},
		},
		.of = f,
		.place = f->rec.at[i].place,
	};
}

/* What is here goes to g, what is away stays in f->rec; how many went. */
static uint32_t reclaim_one(struct extents *x, struct pending_free *f,
			    struct freeing *g)
{
	struct free_rec left = { 0 };
	uint32_t n = 0;

	for (uint32_t i = 0; i < f->rec.n; ++i) {
		struct disk *k = disks_find(x->how.disks, f->rec.at[i].disk);

		if (!k || atomic_load(&k->state) == MEMBER_FAILED ||
		    atomic_load(&k->state) == MEMBER_REMOVED)
			continue; /* gone for good, and its room with it */
		if (k->store && disk_readable(k))
			freeing_init(&g[n++], f, i, k);
		else
			left.at[left.n++] = f->rec.at[i];
	}
	f->rec = left;
	return n;
}

static int by_place(const void *a, const void *b)
{
	const struct freeing *x = (const struct freeing *)a;
	const struct freeing *y = (const struct freeing *)b;
	const uint64_t *v = x->place.w, *w = y->place.w;
	uint32_t i = x->op.disk->id, j = y->op.disk->id;

	if (i != j)
		return i < j ? -1 : 1;
	if (v[0] != w[0])
		return v[0] < w[0] ? -1 : 1;
	return v[1] < w[1] ? -1 : v[1] > w[1];
}

/*
 * All fragments of a round at once, by disk and place: a store gives back
 * neighbours with one call, and threads write them in no exact order.  What a
 * place means is the store's; where its order means nothing this costs nothing.
 */
static void reclaim_submit(struct extents *x, struct freeing *g, uint32_t n,
			   struct disk_op **ops, struct touched *t)
{
	qsort(g, n, sizeof(*g), by_place);
	for (uint32_t i = 0; i < n; ++i)
		ops[i] = &g[i].op;
	if (n)
		disks_submit(x->how.disks, ops, n, true);
	for (uint32_t i = 0; i < n; ++i) {
		struct free_rec *rec = &g[i].of->rec;

		if (g[i].op.op.result >= 0) {
			touched_add(t, g[i].op.disk);
			continue;
		}
		rec->at[rec->n].disk = g[i].op.disk->id;
		rec->at[rec->n].index = (uint32_t)g[i].op.op.id.index;
		rec->at[rec->n++].place = g[i].place;
	}
}

/* False: not all frees are known to be durable. */
static bool reclaim_sync(struct touched *t)
{
	bool all = true;

	for (uint32_t i = 0; i < t->n; ++i) {
		struct disk *k = t->disks[i];
		int r = disk_sync(k, disk_mark(k));

		if (r >= 0)
			continue;
		disk_suspect(k, "syncing frees", r);
		all = false;
	}
	return all;
}

static int reclaim_record(struct pending_free *f, struct batch *b)
{
	struct key key = key_free(f->id, f->salt);
	AUTOBUF struct buf value = BUF_INIT;

	if (!f->rec.n) {
		batch_delete(b, key.data, key.len);
		return b->error;
	}
	free_rec_put(&value, &f->rec);
	batch_put(b, key.data, key.len, value.data, value.len);
	return b->error;
}

static uint32_t count_fragments(const struct list *due)
{
	uint32_t n = 0;

	list_for(l, due) n += container_of(l, struct pending_free, link)->rec.n;
	return n;
}

/* A round over the list that it was given. */
static void reclaim_round(struct extents *x, struct list *due)
{
	uint32_t most = count_fragments(due), n = 0;
	AUTOFREE struct freeing *g =
	    (struct freeing *)calloc(most + 1, sizeof(*g));
	AUTOFREE struct disk_op **ops =
	    (struct disk_op **)calloc(most + 1, sizeof(struct disk_op *));
	AUTOFREE struct disk **disks = (struct disk **)calloc(
	    disks_count(x->how.disks) + 1, sizeof(struct disk *));
	struct touched t = { .disks = disks };
	AUTOBATCH struct batch b;
	int r = 0;

	batch_init(&b);
	if (!g || !ops || !disks)
		return;            /* found again at the next open */
	(void)meta_admit(x->meta); /* the commit says the same */
	reclaim_wait_readers(x);
	list_for(l, due) n +=
	    reclaim_one(x, container_of(l, struct pending_free, link), g + n);
	reclaim_submit(x, g, n, ops, &t);
	if (reclaim_sync(&t))
		list_for(l, due) if (r >= 0) r = reclaim_record(
		    container_of(l, struct pending_free, link), &b);
	if (r >= 0 && b.n_ops)
		r = meta_commit(x->meta, &b, NULL);
	if (r < 0)
		log_warn("extent", "freed fragments stay queued: %s",
			 fail_text(r));
}

static uint32_t reclaim_take(struct extents *x, struct list *due)
{
	uint32_t n = 0;
	struct list *l;

	while (n < RECLAIM_BATCH && (l = list_first(&x->frees))) {
		struct pending_free *f =
		    container_of(l, struct pending_free, link);

		if (f->number && x->confirmed < f->number)
			break;
		list_remove(l);
		list_push(due, l);
		n++;
	}
	return n;
}

static void *reclaim_main(void *arg)
{
	struct extents *x = (struct extents *)arg;
	struct list due, *l;

	list_init(&due);
	(void)pthread_setname_np(pthread_self(), "dynfs-reclaim");
	(void)pthread_mutex_lock(&x->free_lock);
	while (!x->free_stop) {
		struct timespec pause = { 0, RECLAIM_PAUSE_NS };
		uint32_t n = reclaim_take(x, &due);

		if (!n) {
			(void)pthread_cond_wait(&x->free_wake, &x->free_lock);
			continue;
		}
		(void)pthread_mutex_unlock(&x->free_lock);
		reclaim_round(x, &due);
		while ((l = list_pop(&due)))
			free(container_of(l, struct pending_free, link));
		(void)pthread_mutex_lock(&x->free_lock);
		x->n_frees -= n;
		(void)pthread_mutex_unlock(&x->free_lock);
		/* let some come together: each round costs a sync */
		(void)nanosleep(&pause, NULL);
		(void)pthread_mutex_lock(&x->free_lock);
	}
	(void)pthread_mutex_unlock(&x->free_lock);
	return NULL;
}

bool extents_frees(struct extents *x)
{
	AUTOLOCK(&x->free_lock);

	return x->free_running && x->n_frees;
}

static int reclaim_load(void *ctx, const void *key, size_t key_len,
			const void *value, size_t value_len)
{
	struct extents *x = (struct extents *)ctx;
	struct free_rec rec;
	struct extent_id id;
	uint64_t salt;

	if (key_parse_free(key, key_len, &id, &salt) < 0 ||
	    free_rec_get(value, value_len, &rec) < 0)
		return fail(-EUCLEAN, "a record of the free queue is damaged");
	reclaim_add(x, id, salt, 0, &rec);
	return 0;
}

int reclaim_start(struct extents *x)
{
	struct key all = key_kind('Z');
	int r = meta_scan(x->meta, all.data, all.len, NULL, 0, reclaim_load, x);

	if (r < 0)
		return r;
	r = -pthread_create(&x->free_thread, NULL, reclaim_main, x);
	x->free_running = r >= 0;
	return r;
}

void reclaim_stop(struct extents *x)
{
	if (!x->free_running)
		return;
	(void)pthread_mutex_lock(&x->free_lock);
	x->free_stop = true;
	(void)pthread_cond_broadcast(&x->free_wake);
	(void)pthread_mutex_unlock(&x->free_lock);
	(void)pthread_join(x->free_thread, NULL);
	x->free_running = false;
}
