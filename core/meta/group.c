/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups: batches join the open one, the commit thread closes and writes it,
 * callers wait for it.
 *
 * A request to sync does not close the group; it says that it should be
 * closed, and everybody who comes until the commit thread gets to it shares
 * the round.  One thread writes, so groups become durable in order by
 * themselves.
 *
 * An empty open group is never written, with one exception: when the pool
 * goes idle, or closes, and the last record is not confirmed by another, an
 * empty one follows, so that the next open need not doubt the last.
 */
#include <meta/internal.h>

#include <base/cleanup.h>
#include <base/cond.h>
#include <base/fail.h>
#include <base/log.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* What batches may fill; the closing hook may add as much again. */
#define GROUP_MAX (LOG_BODY_MAX / 2)

#define HOUR_NS 3600000000000u

/* The pool whose commit thread this is. */
static _Thread_local struct meta *committing;

int group_new(struct meta *m, uint64_t number, struct group **ret)
{
	struct group *g = (struct group *)calloc(1, sizeof(*g));

	(void)m;
	if (!g)
		return -ENOMEM;
	g->number = number;
	list_init(&g->link);
	list_init(&g->nodes);
	batch_init(&g->sum_of);
	buf_put_zero(&g->rec, LOG_HEAD);
	if (buf_error(&g->rec)) {
		group_free(g);
		return -ENOMEM;
	}
	*ret = g;
	return 0;
}

void group_free(struct group *g)
{
	if (!g)
		return;
	/* nodes that are still there belong to the overlay */
	list_remove(&g->nodes);
	batch_done(&g->sum_of);
	buf_done(&g->rec);
	free(g);
}

static size_t group_len(const struct group *g)
{
	return g->rec.len - LOG_HEAD;
}

void meta_fail(struct meta *m, int err, const char *why)
{
	AUTOLOCK(&m->lock);

	if (!m->failed) {
		log_error("meta", "nothing more can be committed: %s: %s", why,
			  fail_text(err));
		m->failed = -EROFS;
	}
	(void)pthread_cond_broadcast(&m->changed);
	(void)pthread_cond_signal(&m->work);
}

/* lock is held.  The open group waits for its turn; there is a new one. */
static int close_open(struct meta *m)
{
	struct group *next;
	int r = group_new(m, m->open->number + 1, &next);

	if (r)
		return r;
	list_push(&m->closed, &m->open->link);
	m->open = next;
	return 0;
}

/* lock is held.  Operations, disks and deltas; all or nothing. */
static int group_add(struct meta *m, struct group *g, const struct batch *b)
{
	int r;

	if (!g->n_ops && b->n_ops)
		g->born_ns = m->os->now_ns(m->os);
	r = buf_reserve(&g->rec, b->ops.len);
	if (!r)
		r = batch_sum(&g->sum_of, b);
	if (r) {
		g->rec.error = 0;
		return r;
	}
	buf_put(&g->rec, b->ops.data, b->ops.len);
	g->n_ops += b->n_ops;
	g->bytes += b->ops.len;
	m->pending_bytes += b->ops.len;
	return 0;
}

/* lock is held */
static int check_open(const struct meta *m)
{
	if (m->failed || m->readonly)
		return -EROFS;
	/* the layers above are gone when a pool stops, but for the hooks */
	return m->stop && committing != m ? -EROFS : 0;
}

int meta_admit(struct meta *m)
{
	AUTOLOCK(&m->lock);

	while (!m->failed && !m->stop && committing != m &&
	       m->pending_bytes >= m->limit) {
		if (m->open->n_ops && m->want < m->open->number) {
			m->want = m->open->number;
			(void)pthread_cond_signal(&m->work);
		}
		(void)pthread_cond_wait(&m->changed, &m->lock);
	}
	return check_open(m);
}

/* lock is held */
static int join(struct meta *m, const struct batch *b, struct list *nodes)
{
	int r = check_open(m);

	if (!r && group_len(m->open) + b->ops.len > GROUP_MAX)
		r = close_open(m);
	if (!r)
		r = group_add(m, m->open, b);
	if (r)
		return r;
	overlay_insert(&m->overlay, nodes, m->open->number, &m->open->nodes);
	/* the first sets the clock, the last is one too many */
	if (m->open->n_ops == b->n_ops || !list_empty(&m->closed) ||
	    group_len(m->open) >= m->how.group_bytes)
		(void)pthread_cond_signal(&m->work);
	return 0;
}

int meta_commit(struct meta *m, struct batch *b, uint64_t *ret_number)
{
	struct list nodes;
	uint64_t number;
	int r = b->error;

	if (!r && b->ops.len > GROUP_MAX)
		r = fail(-E2BIG, "a batch of %zu bytes", b->ops.len);
	if (r)
		return r;
	r = overlay_prepare(b->ops.data, b->ops.len, &nodes);
	if (r)
		return r;
	(void)pthread_mutex_lock(&m->lock);
	r = join(m, b, &nodes);
	number = m->open ? m->open->number : 0;
	(void)pthread_mutex_unlock(&m->lock);
	if (r) {
		overlay_discard(&nodes);
		return r == -EROFS ? fail(r, "the pool is read-only") : r;
	}
	batch_clear(b);
	if (ret_number)
		*ret_number = number;
	return 0;
}

int meta_sync(struct meta *m, uint64_t number)
{
	AUTOLOCK(&m->lock);

	if (!m->open)
		return 0; /* read-only: there is nothing else */
	if (number >= m->open->number) {
		/* nothing in it: what was before it is meant */
		if (!m->open->n_ops)
			number = m->open->number - 1;
		else
			number = m->open->number;
	}
	if (m->want < number) {
		m->want = number;
		(void)pthread_cond_signal(&m->work);
	}
	while (m->durable < number && !m->failed && !m->abandon)
		(void)pthread_cond_wait(&m->changed, &m->lock);
	return m->durable >= number ? 0 : -EROFS;
}

uint64_t meta_open_number(struct meta *m)
{
	AUTOLOCK(&m->lock);

	return m->open ? m->open->number : m->durable + 1;
}

uint64_t meta_durable_number(struct meta *m)
{
	AUTOLOCK(&m->lock);

	return m->durable;
}

uint64_t meta_confirmed_number(struct meta *m)
{
	AUTOLOCK(&m->lock);

	return m->confirmed;
}

void meta_hurry(struct meta *m)
{
	AUTOLOCK(&m->lock);

	m->hurry = true;
	(void)pthread_cond_signal(&m->work);
}

/* Last operations of the layers above, in a group that is closed. */
static int closing(struct meta *m, struct group *g)
{
	const struct meta_hooks *h = &m->how.hooks;
	AUTOBATCH struct batch b = { .ops = BUF_INIT };
	struct list nodes;
	int r;

	if (!h->closing || !g->n_ops)
		return 0;
	b.deltas = g->sum_of.deltas;
	b.n_deltas = g->sum_of.n_deltas;
	b.cap_deltas = g->sum_of.cap_deltas;
	g->sum_of.deltas = NULL;
	g->sum_of.n_deltas = g->sum_of.cap_deltas = 0;
	h->closing(h->ctx, &b);
	r = b.error ? b.error : overlay_prepare(b.ops.data, b.ops.len, &nodes);
	if (r)
		return r;
	b.n_deltas = 0;
	(void)pthread_mutex_lock(&m->lock);
	r = group_add(m, g, &b);
	if (!r)
		overlay_insert(&m->overlay, &nodes, g->number, &g->nodes);
	(void)pthread_mutex_unlock(&m->lock);
	if (r)
		overlay_discard(&nodes);
	return r;
}

/* lock is held.  Why the open group should be closed now, if at all. */
static bool is_due(struct meta *m, uint64_t now, uint64_t *ret_wait_ns)
{
	uint64_t age_ns;
	bool idle;

	*ret_wait_ns = UINT64_MAX;
	if (!list_empty(&m->closed))
		return true;
	if (m->open->n_ops) {
		age_ns = now - m->open->born_ns;
		if (m->want >= m->open->number || m->stop || m->hurry ||
		    group_len(m->open) >= m->how.group_bytes ||
		    age_ns >= m->how.group_ns)
			return true;
		*ret_wait_ns = m->how.group_ns - age_ns;
		return false;
	}
	idle = m->durable == m->written_number && !m->last_empty;
	if (!idle) {
		m->hurry = false;
		return false;
	}
	age_ns = now - m->last_write_ns;
	if (m->stop || m->hurry || age_ns >= m->how.group_ns)
		return true;
	*ret_wait_ns = m->how.group_ns - age_ns;
	return false;
}

/* lock is held.  At most a while, for the clock may be a simulated one. */
static void wait_for_work(struct meta *m, uint64_t ns)
{
	if (ns == UINT64_MAX)
		(void)pthread_cond_wait(&m->work, &m->lock);
	else
		(void)cond_wait_ns(&m->work, &m->lock,
				   ns > HOUR_NS ? HOUR_NS : ns + 1000);
}

/* lock is held.  The next group to write; NULL: no memory for another. */
static struct group *take(struct meta *m)
{
	if (list_empty(&m->closed) && close_open(m))
		return NULL;
	return container_of(list_pop(&m->closed), struct group, link);
}

static int commit_one(struct meta *m, struct group *g)
{
	int r;

	fail_clear();
	r = closing(m, g);
	if (!r)
		r = round_write(m, g);
	if (r) {
		meta_fail(m, r, "a group could not be written");
		(void)pthread_mutex_lock(&m->lock);
		list_push(&m->lost, &g->link);
		(void)pthread_mutex_unlock(&m->lock);
		return r;
	}
	round_apply(m);
	return 0;
}

bool commit_is_self(const struct meta *m)
{
	return committing == m;
}

int commit_now(struct meta *m)
{
	struct group *g;

	committing = m;
	(void)pthread_mutex_lock(&m->lock);
	g = take(m);
	(void)pthread_mutex_unlock(&m->lock);
	if (g)
		(void)commit_one(m, g);
	committing = NULL;
	return g ? m->failed : -ENOMEM;
}

/* lock is held, but not all the time.  What comes before groups; any? */
static bool chore(struct meta *m)
{
	int why = m->failed ? 0 : m->move;
	bool joins = m->joining && !m->joining_done;
	bool leaves = m->leave && !m->failed;

	if (!why && !joins && !leaves)
		return false;
	(void)pthread_mutex_unlock(&m->lock);
	if (joins)
		join_finish(m);
	else if (leaves)
		logs_leave(m);
	else
		(void)index_move(m,
				 why); /* it says so, and goes on as it was */
	(void)pthread_mutex_lock(&m->lock);
	return true;
}

void *commit_main(void *meta)
{
	struct meta *m = (struct meta *)meta;
	uint64_t wait_ns;

	committing = m;
	(void)pthread_setname_np(pthread_self(), "meta-commit");
	(void)pthread_mutex_lock(&m->lock);
	while (!m->abandon) {
		struct group *g = NULL;

		if (chore(m))
			continue;
		wait_ns = UINT64_MAX;
		if (!m->failed && is_due(m, m->os->now_ns(m->os), &wait_ns)) {
			g = take(m);
			wait_ns = 10000000;
		} else if (m->stop) {
			break;
		}
		if (!g) {
			wait_for_work(m, wait_ns);
			continue;
		}
		(void)pthread_mutex_unlock(&m->lock);
		(void)commit_one(m, g);
		(void)pthread_mutex_lock(&m->lock);
	}
	(void)pthread_mutex_unlock(&m->lock);
	return NULL;
}
