/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Life and status of the metadata.  The work is done elsewhere: open.c finds
 * the state, group.c and round.c commit, keeper.c looks after checkpoints and
 * log disks, read.c reads.
 */
#include <meta/open.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/log.h>
#include <registry/meta.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define ROUND_THREADS 12u

static void init_locks(struct meta *m)
{
	(void)pthread_mutex_init(&m->lock, NULL);
	(void)pthread_mutex_init(&m->engine_lock, NULL);
	(void)pthread_mutex_init(&m->ckpt_lock, NULL);
	(void)pthread_cond_init(&m->work, NULL);
	(void)pthread_cond_init(&m->chores, NULL);
	(void)pthread_cond_init(&m->changed, NULL);
}

static int meta_new(const struct meta_how *how, struct meta **ret)
{
	struct meta *m = (struct meta *)calloc(1, sizeof(*m));
	int r;

	if (!m)
		return -ENOMEM;
	m->how = *how;
	m->os = how->os;
	m->disks = how->disks;
	m->pool = disks_label(how->disks)->pool;
	m->readonly = how->readonly;
	if (m->how.copies > LOGS_MAX)
		m->how.copies = LOGS_MAX;
	list_init(&m->closed);
	list_init(&m->written);
	list_init(&m->lost);
	r = overlay_init(&m->overlay);
	if (r) {
		free(m);
		return r;
	}
	init_locks(m);
	*ret = m;
	return 0;
}

static void free_groups(struct list *groups)
{
	struct list *l;

	while ((l = list_pop(groups)))
		group_free(container_of(l, struct group, link));
}

/* The threads are gone. */
static void meta_free(struct meta *m)
{
	/* entries before the groups that they are chained to */
	overlay_done(&m->overlay);
	free_groups(&m->closed);
	free_groups(&m->written);
	free_groups(&m->lost);
	group_free(m->open);
	for (uint32_t i = 0; i < m->n_logs; i++)
		log_disk_free(m->logs[i]);
	logs_bury(m);
	if (m->joining && (!m->joining_done || m->joining_result))
		log_disk_free(m->joining);
	index_put(m, m->engine);
	tpool_free(m->pool_io);
	free(m->sums);
	(void)pthread_cond_destroy(&m->work);
	(void)pthread_cond_destroy(&m->chores);
	(void)pthread_cond_destroy(&m->changed);
	(void)pthread_mutex_destroy(&m->lock);
	(void)pthread_mutex_destroy(&m->engine_lock);
	(void)pthread_mutex_destroy(&m->ckpt_lock);
	free(m);
}

/* Signals are for the thread that waits for them. */
static int spawn(pthread_t *t, void *(*run)(void *), struct meta *m)
{
	sigset_t all, old;
	int r;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(t, NULL, run, m);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -r;
}

static void stop_keeper(struct meta *m)
{
	(void)pthread_mutex_lock(&m->lock);
	m->keeper_stop = true;
	(void)pthread_cond_signal(&m->chores);
	(void)pthread_cond_broadcast(&m->changed);
	(void)pthread_mutex_unlock(&m->lock);
	(void)pthread_join(m->keeper, NULL);
}

static void stop_committer(struct meta *m)
{
	(void)pthread_mutex_lock(&m->lock);
	m->stop = true;
	commit_wake(m);
	(void)pthread_cond_broadcast(&m->changed);
	(void)pthread_mutex_unlock(&m->lock);
	(void)pthread_join(m->committer, NULL);
}

static int start_threads(struct meta *m)
{
	int r = spawn(&m->committer, commit_main, m);

	if (r)
		return r;
	m->want_recruit = m->n_logs < m->how.copies;
	m->want_checkpoint = m->log_since > m->how.log_bytes;
	r = spawn(&m->keeper, keeper_main, m);
	if (r)
		stop_committer(m);
	else
		m->threads = true;
	return r;
}

int meta_open(const struct meta_how *how, struct meta **ret)
{
	struct meta *m;
	unsigned n = disks_count(how->disks) + how->copies;
	int r = meta_new(how, &m);

	if (r)
		return r;
	fail_clear();
	r = tpool_new("meta-io", n < ROUND_THREADS ? n : ROUND_THREADS,
		      &m->pool_io);
	if (!r)
		r = how->create ? open_fresh(m) : open_existing(m);
	if (!r && !m->readonly)
		r = start_threads(m);
	if (r) {
		meta_free(m);
		return fail_wrap(r, "the metadata can not be opened");
	}
	*ret = m;
	return 0;
}

/*
 * All is in the index: the log is not needed any more where that is safe.
 * It is where a disk that is full or bad has no checkpoint or index: the next
 * open takes longer, and nothing is lost.
 */
static void last_checkpoint(struct meta *m)
{
	int r = 0;

	if (m->applied != m->checkpoint)
		r = snapshot_make(m, NULL, NULL);
	if (!r)
		r = reg_meta_flush(m->engine->inst);
	if (r)
		log_warn("meta",
			 "no checkpoint at the end, the next open reads the "
			 "log: %s",
			 fail_text(r));
	for (uint32_t i = 0; !r && i < m->n_logs; i++) {
		/* of nothing there is no checkpoint, and the log stays */
		if (!m->applied || m->logs[i]->ckpt != m->applied)
			continue;
		r = log_trim_last(m->logs[i]);
		if (r)
			log_warn("meta", "the log stays on %s: %s",
				 m->logs[i]->disk->path, fail_text(r));
	}
}

/* The threads are gone.  Is every batch that was taken in a log? */
static bool all_durable(const struct meta *m)
{
	return !m->open->n_ops && m->durable + 1 == m->open->number;
}

int meta_close(struct meta *m)
{
	int r = 0;

	if (!m)
		return 0;
	if (m->threads) {
		stop_keeper(m);
		stop_committer(m);
		if (!m->failed && m->applied == m->durable)
			last_checkpoint(m);
		if (!all_durable(m))
			r = m->failed ? m->failed : -EIO;
	}
	meta_free(m);
	return r;
}

void meta_abandon(struct meta *m)
{
	if (!m)
		return;
	if (m->threads) {
		(void)pthread_mutex_lock(&m->lock);
		m->abandon = true;
		if (!m->failed)
			m->failed = -EROFS;
		(void)pthread_mutex_unlock(&m->lock);
		stop_keeper(m);
		stop_committer(m);
	}
	meta_free(m);
}

uint32_t meta_copies(struct meta *m)
{
	AUTOLOCK(&m->lock);
	return m->n_logs;
}

void meta_status(struct meta *m, struct meta_status *ret)
{
	struct meta_status s = { .copies_wanted = m->how.copies };
	struct dynfs_meta_stats stats = { 0 };
	struct engine *e = index_get(m);

	if (e) {
		s.index_disk = e->disk->id;
		if (!reg_meta_stats(e->inst, &stats)) {
			s.index_bytes = stats.disk_bytes;
			s.memory_bytes = stats.memory_bytes;
		}
		index_put(m, e);
	}
	s.overlay_bytes = overlay_bytes(&m->overlay);
	(void)pthread_mutex_lock(&m->lock);
	s.number = m->open ? m->open->number : m->durable + 1;
	s.durable = m->durable;
	s.checkpoint = m->checkpoint;
	s.copies = m->n_logs;
	s.log_bytes = m->log_since;
	s.replayed = m->replayed;
	s.dropped = m->dropped;
	s.readonly = m->readonly || m->failed;
	(void)pthread_mutex_unlock(&m->lock);
	*ret = s;
}
