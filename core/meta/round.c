/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One group to the disks: the record to every log, and a sync of every store
 * that the group wrote to, all at once.
 *
 * Rounds do not overlap: the record of a group is written when the one before
 * is synced.  Two records in flight would gain little (the device syncs one
 * thing at a time) and cost much thought about what may be torn.
 *
 * A log that fails leaves the in-sync set before anything is answered.  A
 * store that fails lost fragments of this group: the layer above writes them
 * elsewhere in a later group, and this one waits until that is durable.
 */
#include <meta/internal.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/le.h>
#include <base/log.h>

#include <errno.h>
#include <inttypes.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

struct round {
	struct meta *m;
	struct group *g;
	bool roll; /* the logs begin a new file */
	uint64_t epoch;
	atomic_uint n_left;
	sem_t done; /* posted by the last */
};

/* A log to write, or a store to sync. */
struct task {
	struct work work;
	struct round *round;
	struct log_disk *log;
	struct disk *disk;
	uint64_t token;
	int result;
};

static bool reachable(const struct disk *k)
{
	unsigned h = atomic_load(&k->health);

	return h == DISK_ONLINE || h == DISK_SUSPECT;
}

static int write_log(struct round *r, struct log_disk *d)
{
	int err = 0;

	if (!reachable(d->disk))
		return -ENODEV;
	if (r->roll)
		err = log_begin(d, r->g->number, r->m->last_sum, r->epoch, NULL,
				NULL);
	if (!err)
		err = log_append(d, &r->g->rec);
	return err ? err : log_sync(d);
}

static void task_run(struct work *w)
{
	struct task *t = container_of(w, struct task, work);
	struct round *r = t->round;

	if (t->log)
		t->log->result = t->result = write_log(r, t->log);
	else if (!t->disk)
		t->result = -ENODEV;
	else
		t->result = disk_sync(t->disk, t->token);
	if (atomic_fetch_sub(&r->n_left, 1) == 1)
		(void)sem_post(&r->done);
}

static void run_all(struct round *r, struct task *tasks, unsigned n)
{
	atomic_store(&r->n_left, n);
	(void)sem_init(&r->done, 0, 0);
	/* the last one is ours: a thread less to wake */
	for (unsigned i = 0; i < n; i++) {
		tasks[i].round = r;
		tasks[i].work.run = task_run;
		if (i + 1 < n)
			tpool_add(r->m->pool_io, &tasks[i].work);
		else
			task_run(&tasks[i].work);
	}
	while (sem_wait(&r->done) && errno == EINTR)
		;
	(void)sem_destroy(&r->done);
}

/* Only whole files are cut: one must not outgrow what a checkpoint bounds. */
static bool any_full(const struct meta *m, uint64_t more)
{
	uint64_t most =
	    m->how.log_bytes < LOG_ROLL ? m->how.log_bytes : LOG_ROLL;

	for (uint32_t i = 0; i < m->n_logs; i++)
		if (m->logs[i]->end > LOG_BLOCK &&
		    m->logs[i]->end + more > most)
			return true;
	return false;
}

static int seal(struct meta *m, struct group *g)
{
	struct log_head h = { .n_ops = g->n_ops,
			      .epoch = disks_epoch(m->disks),
			      .number = g->number,
			      .confirmed = m->durable,
			      .wall_ns = m->os->wall_ns(m->os) };
	int r;

	memcpy(h.chain, m->last_sum, SUM128_LEN);
	r = log_seal(&g->rec, &h);
	if (r)
		return r;
	memcpy(g->sum, h.sum, SUM128_LEN);
	g->confirmed = h.confirmed;
	return 0;
}

int logs_drop(struct meta *m)
{
	struct log_disk *failed[LOGS_MAX];
	uint32_t n_failed = 0, kept = 0;
	int r;

	(void)pthread_mutex_lock(&m->lock);
	for (uint32_t i = 0; i < m->n_logs; i++) {
		if (m->logs[i]->result)
			failed[n_failed++] = m->logs[i];
		else
			m->logs[kept++] = m->logs[i];
	}
	m->n_logs = kept;
	for (uint32_t i = 0; i < n_failed; i++)
		if (m->engine && m->engine->disk == failed[i]->disk)
			m->move = failed[i]->result;
	(void)pthread_mutex_unlock(&m->lock);
	if (!n_failed)
		return 0;
	for (uint32_t i = 0; i < n_failed; i++) {
		disk_suspect(failed[i]->disk, "the commit log",
			     failed[i]->result);
		log_error("meta", "%s left the log: %s", failed[i]->disk->path,
			  fail_name(failed[i]->result));
	}
	/* without any log the labels keep the old set: its logs are the truth
	 * up to here, and nothing after is answered */
	r = kept ? logs_epoch(m, NULL) : -EROFS;
	(void)pthread_mutex_lock(&m->lock);
	for (uint32_t i = 0; i < n_failed; i++)
		logs_kill(m, failed[i]);
	m->want_recruit = true;
	(void)pthread_cond_signal(&m->chores);
	(void)pthread_mutex_unlock(&m->lock);
	return r;
}

/* The layer above makes good what a store lost. */
static int make_good(struct meta *m, struct group *g, struct task *t, int err)
{
	const struct meta_hooks *h = &m->how.hooks;
	uint64_t needs;
	int r = -EIO;

	if (t->disk)
		disk_suspect(t->disk, "sync", err);
	if (h->sync_failed && t->disk)
		r = h->sync_failed(h->ctx, t->disk, g->number,
				   g->rec.data + LOG_HEAD,
				   (size_t)get_le64(g->rec.data + 40));
	(void)pthread_mutex_lock(&m->lock);
	/*
	 * Not only what the hook has just committed: an extent that it did
	 * not have to care for, because a later group dropped it, is only
	 * gone when that group is durable.
	 */
	needs = m->open->n_ops ? m->open->number : m->open->number - 1;
	if (needs > g->needs)
		g->needs = needs;
	if (needs > m->want)
		m->want = needs;
	(void)pthread_mutex_unlock(&m->lock);
	return r;
}

/* Durable is every group up to which none needs a later one. */
static void advance(struct meta *m)
{
	uint64_t needs = 0, upto = m->durable;
	uint64_t confirmed = m->confirmed;

	list_for(l, &m->written)
	{
		struct group *g = container_of(l, struct group, link);

		if (g->needs > needs)
			needs = g->needs;
		if (g->number < needs || g->number <= upto)
			continue;
		upto = g->number;
		confirmed = g->confirmed;
	}
	m->durable = upto;
	m->confirmed = confirmed;
}

static struct task *tasks_of(struct meta *m, struct group *g, unsigned *ret_n)
{
	unsigned n = 0;
	struct task *t = (struct task *)calloc(
	    m->n_logs + g->sum_of.n_touched + 1, sizeof(*t));

	if (!t)
		return NULL;
	for (uint32_t i = 0; i < m->n_logs; i++)
		t[n++].log = m->logs[i];
	for (uint32_t i = 0; i < g->sum_of.n_touched; i++) {
		t[n].disk = disks_find(m->disks, g->sum_of.touched[i].disk);
		t[n++].token = g->sum_of.touched[i].token;
	}
	*ret_n = n;
	return t;
}

int round_write(struct meta *m, struct group *g)
{
	struct round round = { .m = m, .g = g, .epoch = disks_epoch(m->disks) };
	AUTOFREE struct task *tasks = NULL;
	unsigned n = 0, n_logs = m->n_logs;
	int r = seal(m, g);

	tasks = r ? NULL : tasks_of(m, g, &n);
	if (!tasks || !n_logs)
		return r ? r : n_logs ? -ENOMEM : -EROFS;
	/* a file begins only behind what is durable */
	round.roll = m->durable + 1 == g->number && any_full(m, g->rec.len);
	run_all(&round, tasks, n);
	memcpy(m->last_sum, g->sum, SUM128_LEN);
	r = logs_drop(m);
	for (unsigned i = n_logs; !r && i < n; i++)
		if (tasks[i].result)
			r = make_good(m, g, &tasks[i], tasks[i].result);
	if (r)
		return r;
	(void)pthread_mutex_lock(&m->lock);
	list_push(&m->written, &g->link);
	m->written_number = g->number;
	m->last_empty = !g->n_ops;
	m->log_since += g->rec.len;
	m->last_write_ns = m->os->now_ns(m->os);
	advance(m);
	(void)pthread_cond_broadcast(&m->changed);
	(void)pthread_mutex_unlock(&m->lock);
	return 0;
}

int sums_push(struct meta *m, const uint8_t sum[SUM128_LEN])
{
	if (m->n_sums == m->cap_sums) {
		size_t cap = m->cap_sums ? m->cap_sums * 2 : 64;
		void *v = realloc(m->sums, cap * SUM128_LEN);

		if (!v)
			return -ENOMEM;
		m->sums = (uint8_t(*)[SUM128_LEN])v;
		m->cap_sums = cap;
	}
	memcpy(m->sums[m->n_sums++], sum, SUM128_LEN);
	return 0;
}

/* The next group that is durable and not in the index. */
static struct group *next_durable(struct meta *m)
{
	struct list *l;
	struct group *g;
	AUTOLOCK(&m->lock);

	l = list_first(&m->written);
	g = l ? container_of(l, struct group, link) : NULL;
	return g && g->number <= m->durable ? g : NULL;
}

static int apply(struct meta *m, struct group *g)
{
	size_t len = (size_t)get_le64(g->rec.data + 40);

	return engine_apply(m->engine, g->number, g->sum,
			    g->rec.data + LOG_HEAD, len, g->n_ops);
}

void round_apply(struct meta *m)
{
	struct group *g;
	uint64_t upto = 0;

	while ((g = next_durable(m))) {
		int r = apply(m, g);

		if (r)
			r = index_move(m, r) ? r : apply(m, g);
		if (r) {
			/* it stays in the overlay, and in the log */
			meta_fail(m, r, "the index takes no group");
			break;
		}
		overlay_drop(&m->overlay, &g->nodes);
		upto = g->number;
		(void)pthread_mutex_lock(&m->lock);
		list_remove(&g->link);
		m->pending_bytes -= g->bytes;
		m->applied = g->number;
		/* without its sum no checkpoint can be made of it */
		if (sums_push(m, g->sum))
			m->failed = m->failed ? m->failed : -ENOMEM;
		if (m->log_since > m->how.log_bytes) {
			m->want_checkpoint = true;
			(void)pthread_cond_signal(&m->chores);
		}
		(void)pthread_cond_broadcast(&m->changed);
		(void)pthread_mutex_unlock(&m->lock);
		group_free(g);
	}
	if (upto && m->how.hooks.durable)
		m->how.hooks.durable(m->how.hooks.ctx, upto);
}
