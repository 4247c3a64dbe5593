/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper: checkpoints while commits go on, and new disks for the log.
 *
 * A disk joins in two steps.  The keeper gives it a checkpoint of this moment
 * and the records after it, which may take long; then the commit thread,
 * between two groups, adds what has come since and writes the labels.  So the
 * new log is whole before any label names it, and commits hardly wait.
 */
#include <meta/internal.h>

#include <base/cleanup.h>
#include <base/cond.h>
#include <base/fail.h>
#include <base/log.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* between attempts to find another disk for the log */
#define AGAIN_NS 60000000000u

static int append_one(void *ctx, const struct log_head *h,
		      const struct buf *rec)
{
	(void)h;
	return log_append((struct log_disk *)ctx, rec);
}

/* Records from any log that can be read to d. */
static int copy_records(struct log_disk *const *from, uint32_t n,
			struct log_disk *d, uint64_t first, uint64_t upto)
{
	uint64_t end = d->end;
	int r = -ENODEV;

	for (uint32_t i = 0; i < n && r; i++) {
		d->end = end;
		r = log_copy(from[i], first, upto, append_one, d);
	}
	return r;
}

struct filling {
	struct log_disk *logs[LOGS_MAX];
	uint32_t n;
	uint64_t first, upto;
};

static int fill(void *ctx, struct log_disk *d)
{
	struct filling *f = (struct filling *)ctx;

	return copy_records(f->logs, f->n, d, f->first, f->upto);
}

/* A log that is whole up to *ret_upto, on a disk that is in no label. */
static int prepare(struct meta *m, struct log_disk *d, uint64_t *ret_upto)
{
	struct filling f;
	struct ckpt c;
	int r = logs_prepare(m, d);

	if (!r)
		r = snapshot_make(m, d, &c);
	if (r)
		return r;
	(void)pthread_mutex_lock(&m->lock);
	f.n = m->n_logs;
	memcpy(f.logs, m->logs, f.n * sizeof(f.logs[0]));
	f.upto = m->durable;
	(void)pthread_mutex_unlock(&m->lock);
	f.first = c.number + 1;
	r = log_begin(d, f.first, c.chain, disks_epoch(m->disks), fill, &f);
	ckpt_done(&c);
	*ret_upto = f.upto;
	return r;
}

void join_finish(struct meta *m)
{
	struct log_disk *d = m->joining;
	uint64_t upto = m->written_number;
	int r = logs_is_leaving(m, d->disk) ? -ENODEV : 0;
	int epoch = 0;

	if (!r)
		r = copy_records(m->logs, m->n_logs, d, m->joining_upto + 1,
				 upto);
	if (!r)
		r = log_sync(d);
	if (!r && m->n_logs == LOGS_MAX)
		r = -ENOSPC;
	if (!r)
		r = epoch = logs_epoch(m, d);
	if (epoch)
		meta_fail(m, epoch, "no majority of labels");
	(void)pthread_mutex_lock(&m->lock);
	if (!r)
		m->logs[m->n_logs++] = d;
	m->joining_result = r;
	m->joining_done = true;
	(void)pthread_cond_broadcast(&m->changed);
	(void)pthread_mutex_unlock(&m->lock);
}

/* lock is held.  Hand the disk to the commit thread and wait for it. */
static int join(struct meta *m, struct log_disk *d, uint64_t upto)
{
	m->joining = d;
	m->joining_upto = upto;
	m->joining_done = false;
	commit_wake(m);
	while (!m->joining_done && !m->abandon)
		(void)pthread_cond_wait(&m->changed, &m->lock);
	if (!m->joining_done)
		return -ECANCELED; /* freed when the threads are gone */
	m->joining = NULL;
	return m->joining_result;
}

/* 0: there is one more, or none is free. */
static int recruit(struct meta *m, bool *ret_joined)
{
	struct log_disk *d = NULL;
	uint64_t upto = 0;
	int r;

	*ret_joined = false;
	(void)pthread_mutex_lock(&m->lock);
	r = m->failed ? m->failed : logs_choose(m, &d);
	(void)pthread_mutex_unlock(&m->lock);
	if (r || !d)
		return r;
	(void)pthread_mutex_lock(&m->ckpt_lock);
	r = prepare(m, d, &upto);
	(void)pthread_mutex_unlock(&m->ckpt_lock);
	if (!r) {
		(void)pthread_mutex_lock(&m->lock);
		r = join(m, d, upto);
		(void)pthread_mutex_unlock(&m->lock);
		if (r == -ECANCELED)
			return r;
	}
	if (!r) {
		log_info("meta", "%s holds the log now, too", d->disk->path);
		*ret_joined = true;
		return 0;
	}
	log_warn("meta", "%s can not hold the log: %s", d->disk->path,
		 fail_text(r));
	log_disk_free(d);
	return r;
}

int meta_checkpoint(struct meta *m)
{
	int r;

	if (m->readonly)
		return fail(-EROFS, "the pool is read-only");
	r = meta_sync(m, meta_open_number(m));
	if (r)
		return r;
	(void)pthread_mutex_lock(&m->lock);
	while (m->applied < m->durable && !m->failed)
		(void)pthread_cond_wait(&m->changed, &m->lock);
	r = m->failed;
	(void)pthread_mutex_unlock(&m->lock);
	if (r)
		return r;
	AUTOLOCK(&m->ckpt_lock);

	return snapshot_make(m, NULL, NULL);
}

static void chore_checkpoint(struct meta *m)
{
	int r;
	AUTOLOCK(&m->ckpt_lock);

	r = snapshot_make(m, NULL, NULL);
	if (r)
		log_warn("meta", "no checkpoint could be made: %s",
			 fail_text(r));
}

static void chore_recruit(struct meta *m)
{
	bool joined, more;
	int r = recruit(m, &joined);

	(void)pthread_mutex_lock(&m->lock);
	more = !r && joined && m->n_logs < m->how.copies;
	m->want_recruit |= more;
	(void)pthread_mutex_unlock(&m->lock);
}

/* lock is held */
static void rest(struct meta *m)
{
	if (cond_wait_ns(&m->chores, &m->lock, AGAIN_NS) &&
	    m->n_logs < m->how.copies)
		m->want_recruit = true;
}

void *keeper_main(void *meta)
{
	struct meta *m = (struct meta *)meta;

	(void)pthread_setname_np(pthread_self(), "meta-keeper");
	(void)pthread_mutex_lock(&m->lock);
	while (!m->keeper_stop) {
		bool checkpoint = m->want_checkpoint && !m->failed;
		bool more =
		    m->want_recruit && !m->failed && m->n_logs < m->how.copies;

		if (m->dead) {
			(void)pthread_mutex_unlock(&m->lock);
			logs_bury(m);
			(void)pthread_mutex_lock(&m->lock);
			continue;
		}
		if (!checkpoint && !more) {
			rest(m);
			continue;
		}
		m->want_checkpoint &= !checkpoint;
		m->want_recruit &= checkpoint;
		(void)pthread_mutex_unlock(&m->lock);
		if (checkpoint)
			chore_checkpoint(m);
		else
			chore_recruit(m);
		(void)pthread_mutex_lock(&m->lock);
	}
	(void)pthread_mutex_unlock(&m->lock);
	return NULL;
}
