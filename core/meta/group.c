/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups: batches join the open one, whoever has the turn closes and writes
 * it, callers wait for it.
 *
 * A request to sync does not close the group; it says that it should be
 * closed, and everybody who comes until that is done shares the round.  Who
 * asks while the commit thread sleeps takes the turn and writes the round
 * itself: nobody has to be woken for it but those who write the logs.  Under
 * load the commit thread is awake, and goes on from round to round.  One at a
 * time has the turn, so groups become durable in order by themselves.
 *
 * The index is the commit thread's.  After the round of another it takes its
 * time: what many syncs made durable goes into the index at once.
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

/* What others have made durable waits as long for the index, see REST_NAP. */
#define NAP_NS 2000000u

/* The pool whose turn this thread has. */
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
	commit_wake(m);
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
	       m->pending_bytes >= m->how.pending_bytes) {
		if (m->open->n_ops && m->want < m->open->number) {
			m->want = m->open->number;
			commit_wake(m);
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
	/* the first sets the clock, if it does not run, the last is too much */
	if (m->rest == REST_LONG || !list_empty(&m->closed) ||
	    group_len(m->open) >= m->how.group_bytes)
		commit_wake(m);
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
	commit_wake(m);
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

/* lock is held.  Is anything durable that is not in the index? */
static bool is_unapplied(const struct meta *m)
{
	return m->applied < m->durable && !m->failed;
}

/* lock is held */
static bool apply_is_due(const struct meta *m, bool rested)
{
	return is_unapplied(m) &&
	       (rested || m->stop || m->pending_bytes >= m->how.group_bytes);
}

/*
 * lock is held.  At most a while, for the clock may be a simulated one; true
 * when it has passed.
 */
static bool wait_for_work(struct meta *m, uint64_t ns)
{
	int r;

	m->rest = ns == UINT64_MAX ? REST_LONG : REST_AGE;
	if (is_unapplied(m) && ns > NAP_NS) {
		m->rest = REST_NAP;
		ns = NAP_NS;
	}
	if (ns == UINT64_MAX)
		r = pthread_cond_wait(&m->work, &m->lock);
	else
		r = cond_wait_ns(&m->work, &m->lock,
				 ns > HOUR_NS ? HOUR_NS : ns + 1000);
	m->rest = REST_NOT;
	return r == -ETIMEDOUT;
}

/* lock is held.  The next group to write; NULL: no memory for another. */
static struct group *take(struct meta *m)
{
	if (list_empty(&m->closed) && close_open(m))
		return NULL;
	return container_of(list_pop(&m->closed), struct group, link);
}

void commit_wake(struct meta *m)
{
	m->rest = REST_NOT;
	(void)pthread_cond_signal(&m->work);
}

/* lock is held, the turn is free */
static void turn_begin(struct meta *m)
{
	m->turn = true;
	committing = m;
	(void)pthread_mutex_unlock(&m->lock);
	fail_clear();
}

/* Takes the lock.  The commit thread looks after what is left. */
static void turn_end(struct meta *m)
{
	uint64_t wait_ns;

	(void)pthread_mutex_lock(&m->lock);
	committing = NULL;
	m->turn = false;
	if (m->rest == REST_NOT || m->move || apply_is_due(m, false) ||
	    (is_unapplied(m) && m->rest != REST_NAP) ||
	    is_due(m, m->os->now_ns(m->os), &wait_ns))
		commit_wake(m);
}

/* In the turn. */
static int commit_group(struct meta *m, struct group *g)
{
	int r = closing(m, g);

	if (!r)
		r = round_write(m, g);
	if (r) {
		meta_fail(m, r, "a group could not be written");
		(void)pthread_mutex_lock(&m->lock);
		list_push(&m->lost, &g->link);
		(void)pthread_mutex_unlock(&m->lock);
	}
	return r;
}

bool commit_is_self(const struct meta *m)
{
	return committing == m;
}

int commit_now(struct meta *m)
{
	struct group *g;

	(void)pthread_mutex_lock(&m->lock);
	g = take(m);
	turn_begin(m);
	if (g && !commit_group(m, g))
		round_apply(m);
	turn_end(m);
	(void)pthread_mutex_unlock(&m->lock);
	return g ? m->failed : -ENOMEM;
}

/*
 * lock is held, but not all the time.  While the commit thread sleeps and the
 * open group is all there is to write, who waits for it does that; false: it
 * is not so, or there is no memory.
 */
static bool commit_own(struct meta *m)
{
	char said[FAIL_TEXT_MAX];
	struct group *g;
	uint64_t wait_ns;

	if (m->turn || m->rest == REST_NOT || !list_empty(&m->closed) ||
	    !is_due(m, m->os->now_ns(m->os), &wait_ns))
		return false;
	g = take(m);
	if (!g)
		return false;
	fail_keep(said);
	turn_begin(m);
	(void)commit_group(m, g);
	turn_end(m);
	fail_back(said);
	return true;
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
	if (m->want < number)
		m->want = number;
	while (m->durable < number && !m->failed && !m->abandon) {
		if (commit_own(m))
			continue;
		if (!m->turn)
			commit_wake(m);
		(void)pthread_cond_wait(&m->changed, &m->lock);
	}
	return m->durable >= number ? 0 : -EROFS;
}

/* In the turn.  What comes before groups; any? */
static bool chore(struct meta *m)
{
	int why = m->failed ? 0 : m->move;
	bool joins = m->joining && !m->joining_done;
	bool leaves = m->leave && !m->failed;

	if (!why && !joins && !leaves)
		return false;
	turn_begin(m);
	if (joins)
		join_finish(m);
	else if (leaves)
		logs_leave(m);
	else
		(void)index_move(m,
				 why); /* it says so, and goes on as it was */
	turn_end(m);
	return true;
}

/*
 * lock is held, but not all the time, the turn is free.  A step of what is due;
 * false: nothing is, for as long.
 */
static bool commit_step(struct meta *m, bool rested, uint64_t *ret_wait_ns)
{
	struct group *g = NULL;
	bool due;

	*ret_wait_ns = UINT64_MAX;
	if (chore(m))
		return true;
	if (m->failed)
		return false;
	due = is_due(m, m->os->now_ns(m->os), ret_wait_ns);
	if (due && !(g = take(m)))
		*ret_wait_ns = 10000000; /* what is applied gives memory back */
	if (!g && !apply_is_due(m, rested))
		return false;
	turn_begin(m);
	if (!g || !commit_group(m, g))
		round_apply(m);
	turn_end(m);
	return true;
}

void *commit_main(void *meta)
{
	struct meta *m = (struct meta *)meta;
	bool rested = false;
	uint64_t wait_ns;

	(void)pthread_setname_np(pthread_self(), "meta-commit");
	(void)pthread_mutex_lock(&m->lock);
	while (m->turn || !m->abandon) {
		if (m->turn) {
			(void)pthread_cond_wait(&m->work, &m->lock);
			continue;
		}
		if (commit_step(m, rested, &wait_ns)) {
			rested = false;
			continue;
		}
		if (m->stop && wait_ns == UINT64_MAX)
			break;
		rested = wait_for_work(m, wait_ns);
	}
	(void)pthread_mutex_unlock(&m->lock);
	return NULL;
}
