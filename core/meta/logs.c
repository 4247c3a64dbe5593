/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which disks hold the log.
 *
 * A disk that another log lies on (the same device below, the same domain)
 * adds little safety, so it comes last; disks without fragments come before
 * those with, for they are the fast ones.
 */
#include <meta/internal.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/str.h>
#include <meta/files.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static bool is_log(const struct meta *m, const struct disk *k)
{
	for (uint32_t i = 0; i < m->n_logs; i++)
		if (m->logs[i]->disk == k)
			return true;
	return false;
}

static unsigned badness(const struct meta *m, const struct disk *k)
{
	unsigned bad = k->role & MEMBER_STORES ? 1 : 0;

	for (uint32_t i = 0; i < m->n_logs; i++) {
		const struct disk *other = m->logs[i]->disk;

		if (other->device == k->device)
			bad |= 4;
		if (k->domain && other->domain == k->domain)
			bad |= 2;
	}
	return bad;
}

int logs_choose(struct meta *m, struct log_disk **ret)
{
	struct disk *best = NULL;

	*ret = NULL;
	for (uint32_t i = 0; i < disks_count(m->disks); i++) {
		struct disk *k = disks_at(m->disks, i);

		if (!(k->role & MEMBER_LOGS) || !disk_writable(k) ||
		    is_log(m, k) || k == m->leaving)
			continue;
		if (!best || badness(m, k) < badness(m, best))
			best = k;
	}
	return best ? log_disk_new(m->os, best, &m->pool, ret) : 0;
}

/* Nothing of an older log may be left when one is made there. */
int logs_prepare(struct meta *m, struct log_disk *d)
{
	static const char *const below[] = { "index", "index.new",
					     "checkpoint" };
	int r = log_wipe(d);

	for (size_t i = 0; !r && i < sizeof(below) / sizeof(below[0]); i++) {
		AUTOFREE char *path = str_path(d->disk->path, below[i]);

		r = path ? tree_remove(m->os, path) : -ENOMEM;
	}
	return r;
}

int logs_epoch(struct meta *m, const struct log_disk *also)
{
	uint32_t ids[LOGS_MAX + 1], n = 0;

	for (uint32_t i = 0; i < m->n_logs; i++)
		ids[n++] = m->logs[i]->disk->id;
	if (also)
		ids[n++] = also->disk->id;
	return disks_next_epoch(m->disks, ids, n);
}

/* ---- leaving a disk -------------------------------------------------- */

void logs_kill(struct meta *m, struct log_disk *d)
{
	d->next_dead = m->dead;
	m->dead = d;
}

/*
 * Beside who has the turn, who puts them there when done with them, only those
 * use logs who hold ckpt_lock.  A log that stayed open would keep
 * the file system of a disk that is long gone from being unmounted.
 */
void logs_bury(struct meta *m)
{
	struct log_disk *d, *next;

	(void)pthread_mutex_lock(&m->ckpt_lock);
	(void)pthread_mutex_lock(&m->lock);
	d = m->dead;
	m->dead = NULL;
	(void)pthread_mutex_unlock(&m->lock);
	(void)pthread_mutex_unlock(&m->ckpt_lock);
	/* closing a file on a bad disk may take long: nobody waits for it */
	for (; d; d = next) {
		next = d->next_dead;
		log_disk_free(d);
	}
}

bool logs_is_leaving(struct meta *m, const struct disk *k)
{
	AUTOLOCK(&m->lock);

	return m->leaving == k;
}

/* lock is held.  Out of the list; -EBUSY: there is no other. */
static int take_out(struct meta *m, bool *ret_was)
{
	uint32_t kept = 0;

	*ret_was = is_log(m, m->leaving);
	if (*ret_was && m->n_logs == 1)
		return -EBUSY;
	for (uint32_t i = 0; i < m->n_logs; i++) {
		if (m->logs[i]->disk == m->leaving)
			logs_kill(m, m->logs[i]);
		else
			m->logs[kept++] = m->logs[i];
	}
	m->n_logs = kept;
	return 0;
}

void logs_leave(struct meta *m)
{
	bool was = false;
	int r;

	(void)pthread_mutex_lock(&m->lock);
	r = take_out(m, &was);
	(void)pthread_mutex_unlock(&m->lock);
	if (!r && was) {
		r = logs_epoch(m, NULL);
		if (r)
			meta_fail(m, r, "no majority of labels");
	}
	if (!r && m->engine && m->engine->disk == m->leaving)
		r = index_move(m, -ENODEV);
	(void)pthread_mutex_lock(&m->lock);
	m->leave = false;
	m->left = r;
	m->want_recruit |= was;
	(void)pthread_cond_signal(&m->chores);
	(void)pthread_cond_broadcast(&m->changed);
	(void)pthread_mutex_unlock(&m->lock);
}

int meta_leave(struct meta *m, const struct disk *k)
{
	struct timespec pause = { 0, 1000000 };
	int r;

	if (m->readonly)
		return 0;
	(void)pthread_mutex_lock(&m->lock);
	m->leaving = k;
	(void)pthread_mutex_unlock(&m->lock);
	/* a checkpoint or a new log that is being made there comes to its end */
	(void)pthread_mutex_lock(&m->ckpt_lock);
	(void)pthread_mutex_unlock(&m->ckpt_lock);
	(void)pthread_mutex_lock(&m->lock);
	m->leave = true;
	commit_wake(m);
	while (m->leave && !m->failed && !m->stop)
		(void)pthread_cond_wait(&m->changed, &m->lock);
	r = m->failed || m->leave ? -EROFS : m->left;
	m->leave = false;
	(void)pthread_mutex_unlock(&m->lock);
	while (!r && index_old_in_use(m))
		(void)nanosleep(&pause, NULL);
	/* nor does a checkpoint that began meanwhile */
	logs_bury(m);
	if (!r)
		return 0;
	meta_stay(m);
	if (r == -EBUSY)
		return fail(r,
			    "disk %u has the only copy of the metadata; it can "
			    "be given up when another disk has one, too",
			    k->id);
	return fail(r, "the metadata can not leave disk %u: %s", k->id,
		    strerrordesc_np(-r));
}

void meta_stay(struct meta *m)
{
	AUTOLOCK(&m->lock);

	m->leaving = NULL;
	m->want_recruit = true;
	(void)pthread_cond_signal(&m->chores);
}
