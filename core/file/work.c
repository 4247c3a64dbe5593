/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who flushes what, and when.
 *
 * An inode with dirty runs stands in one list, oldest first, and in a second
 * one when a chunk of it is full. Workers take full chunks first, then what is
 * old or, when memory runs short, what is oldest. Writers wait for memory
 * before they take any lock; workers never wait for writers.
 */
#include <file/private.h>

#include <base/cleanup.h>
#include <base/cond.h>
#include <base/fail.h>
#include <base/log.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#define MANY_INODES    256u /* in one flush */
#define FAILURES_MAX   10u
#define FAILING_NS     30000000000u
#define ROOM_CHECK_NS  100000000u
#define REST_NS        2000000000u
#define RETRY_LEAST_NS 10000000000u
#define RETRY_MOST_NS  3600000000000u
#define ROOM_PLENTY    (256ull << 20)
#define ADMIT_LOOK_NS  50000000u
#define ROOM_PAUSE_NS  20000000
#define ROOM_LOOKS     250u

void dirty_add(struct files *f, uint64_t bytes)
{
	AUTOLOCK(&f->dirty_lock);
	f->dirty_bytes += bytes;
}

void dirty_sub(struct files *f, uint64_t bytes)
{
	AUTOLOCK(&f->dirty_lock);
	f->dirty_bytes -= bytes;
	(void)pthread_cond_broadcast(&f->room);
}

/* Both lists hold one reference, from when it is in one until in none. */
void work_dirty(struct inode *in, bool ready)
{
	struct files *f = in->files;
	struct dirty *d = inode_dirty(in);
	bool held;

	AUTOLOCK(&f->dirty_lock);
	held = d->queued || d->ready;
	if (!d->queued && !d->ready) {
		d->queued = true;
		d->failed = false;
		d->since_ns = f->how.os->now_ns(f->how.os);
		list_push(&f->dirty, &d->link);
	}
	if (ready && !d->ready) {
		d->ready = true;
		d->queued = false;
		list_remove(&d->link);
		list_push(&f->ready, &d->link);
		(void)pthread_cond_signal(&f->work);
	}
	if (!held)
		inode_hold(in);
}

/* The flush did not take all, or failed. */
static void work_again(struct inode *in, bool failed)
{
	work_dirty(in, false);
	AUTOLOCK(&in->files->dirty_lock);
	inode_dirty(in)->failed = failed;
}

static bool work_stops(struct files *f)
{
	AUTOLOCK(&f->dirty_lock);
	return f->stop;
}

/* Takes over the caller's reference, the only one: lru is nobody else's. */
void work_gone(struct inode *in)
{
	struct files *f = in->files;
	bool room;

	(void)pthread_mutex_lock(&f->dirty_lock);
	room = f->n_gone < GONE_MOST;
	if (room) {
		f->n_gone++;
		list_push(&f->gone, &in->lru);
		(void)pthread_cond_signal(&f->work);
	} else {
		f->gone_more = true; /* its intent record tells of it */
	}
	(void)pthread_mutex_unlock(&f->dirty_lock);
	if (!room)
		idle_leave(in);
}

void work_drain(struct inode *in)
{
	struct files *f = in->files;
	struct list *l = &holder_of(in->content)->cut;

	AUTOLOCK(&f->dirty_lock);
	if (!list_empty(l))
		return;
	if (f->n_cuts >= GONE_MOST) {
		f->gone_more = true; /* its intent record tells of it */
		return;
	}
	inode_hold(in);
	f->n_cuts++;
	list_push(&f->cuts, l);
	(void)pthread_cond_signal(&f->work);
}

/* Has what would make it dirty again?  flush is held. */
static bool still_dirty(struct inode *in)
{
	bool dirty;

	(void)pthread_rwlock_rdlock(&in->io);
	dirty = in->content->n_runs ||
		(in->content->has_inline &&
		 in->rec.size > in->files->how.inline_file_bytes);
	(void)pthread_rwlock_unlock(&in->io);
	return dirty;
}

/*
 * Bytes that can not be stored: told by sync and close while it is so.  They
 * are tried again and again for a while, for disks come back and room is made,
 * and dropped in the end, for memory is not for ever. The file is then what the
 * next open would find, its size too.
 */
static void work_failed(struct inode *in, int r)
{
	struct files *f = in->files;
	struct content *c = in->content;
	uint64_t now = f->how.os->now_ns(f->how.os), lost;

	AUTOWRLOCK(&in->io);
	atomic_store(&c->trouble, runs_matter(c) ? r : 0);
	if (!c->failures++)
		c->failing_ns = now;
	if (c->failures < FAILURES_MAX ||
	    (now - c->failing_ns < FAILING_NS && !work_stops(f)))
		return;
	lost = runs_drop(in->files, c);
	trouble_over(c);
	if (!lost)
		return;
	(void)pthread_mutex_lock(&in->lock);
	in->rec.size = in->disk_size;
	(void)pthread_mutex_unlock(&in->lock);
	errseq_set(&in->losses, r);
	changed_add(in);
	log_error("file",
		  "inode %" PRIu64 ": %" PRIu64 " bytes could "
		  "not be stored and are lost: %s",
		  in->ino, lost, fail_text(r));
}

static void work_after(struct inode *in, int r)
{
	if (r < 0)
		work_failed(in, r);
	if (still_dirty(in))
		work_again(in, r < 0);
	(void)pthread_mutex_unlock(&in->content->flush);
	inode_put(in);
}

static void work_ready(struct files *f, struct dirty *d)
{
	struct inode *in = d->in;

	list_remove(&d->link);
	d->ready = false;
	(void)pthread_mutex_unlock(&f->dirty_lock);
	(void)pthread_mutex_lock(&in->content->flush);
	work_after(in, flush_inode(in, FLUSH_FULL));
	(void)pthread_mutex_lock(&f->dirty_lock);
}

static bool work_is_due(struct files *f, const struct dirty *d, uint64_t now)
{
	if (f->stop || now - d->since_ns >= f->how.flush_ns)
		return true;
	return !d->failed &&
	       (f->pressure || f->dirty_bytes > f->dirty_limit / 2);
}

/* The oldest inodes, as many as fill an extent or two together. */
static uint32_t work_collect(struct files *f, struct inode **in)
{
	uint64_t now = f->how.os->now_ns(f->how.os), bytes = 0;
	uint32_t n = 0;

	list_for_safe(l, &f->dirty)
	{
		struct dirty *d = container_of(l, struct dirty, link);

		if (n == MANY_INODES || bytes >= 4ull * f->how.extent_bytes)
			break;
		if (!work_is_due(f, d, now)) {
			if (d->failed)
				continue;
			break;
		}
		/* a flush of it is on its way already */
		if (pthread_mutex_trylock(&d->in->content->flush))
			continue;
		list_remove(&d->link);
		d->queued = false;
		bytes += d->in->content->run_bytes;
		in[n++] = d->in;
	}
	return n;
}

static void work_aged(struct files *f, struct inode **in, uint32_t n)
{
	int r;

	(void)pthread_mutex_unlock(&f->dirty_lock);
	r = flush_many(in, n);
	for (uint32_t i = 0; i < n; ++i) {
		/* one that can not be stored must not keep back the others */
		if (r < 0 && n > 1)
			work_after(in[i], flush_inode(in[i], FLUSH_AGED));
		else
			work_after(in[i], r);
	}
	(void)pthread_mutex_lock(&f->dirty_lock);
}

/*
 * What could not be taken away is found by its intent record again: memory
 * comes, and damage is repaired.  The pause doubles while it is in vain.  A
 * pool that has become read-only stays so until the next open.
 */
static void away_failed(struct files *f, int r)
{
	uint64_t now = f->how.os->now_ns(f->how.os);

	if (r >= 0 || r == -EROFS || f->retry_ns)
		return;
	/* long after the last it is another trouble */
	if (now - f->retried_ns > f->retry_pause_ns)
		f->retry_pause_ns = 0;
	f->retry_pause_ns *= 2;
	if (f->retry_pause_ns < RETRY_LEAST_NS)
		f->retry_pause_ns = RETRY_LEAST_NS;
	if (f->retry_pause_ns > RETRY_MOST_NS)
		f->retry_pause_ns = RETRY_MOST_NS;
	f->retry_ns = now + f->retry_pause_ns;
}

static void away_retry(struct files *f)
{
	uint64_t now = f->how.os->now_ns(f->how.os);

	if (!f->retry_ns || now < f->retry_ns)
		return;
	f->retry_ns = 0;
	f->retried_ns = now;
	f->gone_more = true;
}

static bool work_reclaim(struct files *f)
{
	struct list *l = list_pop(&f->gone);
	struct inode *in;
	int r;

	if (!l)
		return false;
	in = container_of(l, struct inode, lru);
	(void)pthread_mutex_unlock(&f->dirty_lock);
	r = reclaim_inode(in);
	(void)pthread_mutex_lock(&f->dirty_lock);
	if (r == 1 && !f->stop) {
		list_push(&f->gone, &in->lru);
		return true;
	}
	(void)pthread_mutex_unlock(&f->dirty_lock);
	/* a put would have it tried again at once */
	if (r)
		idle_leave(in);
	else
		inode_put(in);
	(void)pthread_mutex_lock(&f->dirty_lock);
	f->n_gone--;
	away_failed(f, r);
	return true;
}

/* What is left when all stops is drained by the next open. */
static bool work_cut(struct files *f)
{
	struct list *l = list_pop(&f->cuts);
	struct inode *in;
	int r = 0;

	if (!l)
		return false;
	in = container_of(l, struct holder, cut)->dirty.in;
	(void)pthread_mutex_unlock(&f->dirty_lock);
	if (!work_stops(f))
		r = drain_step(in);
	(void)pthread_mutex_lock(&f->dirty_lock);
	if (r == 1 && list_empty(l)) {
		list_push(&f->cuts, l);
		return true;
	}
	f->n_cuts--;
	away_failed(f, r);
	(void)pthread_mutex_unlock(&f->dirty_lock);
	inode_put(in);
	(void)pthread_mutex_lock(&f->dirty_lock);
	return true;
}

/* A turn of one and of the other. */
static bool work_away(struct files *f)
{
	f->cut_first = !f->cut_first;
	if (f->cut_first)
		return work_cut(f) || work_reclaim(f);
	return work_reclaim(f) || work_cut(f);
}

/* A pass over the intent records, a piece at a time. */
static bool work_look_for_gone(struct files *f)
{
	uint64_t cursor;
	int r;

	away_retry(f);
	if (f->stop || !(f->gone_more || f->gone_pass))
		return false;
	if (!f->gone_pass) {
		f->gone_pass = true;
		f->gone_more = false;
		f->gone_cursor = 0;
	}
	cursor = f->gone_cursor;
	(void)pthread_mutex_unlock(&f->dirty_lock);
	r = reclaim_more(f, &cursor);
	(void)pthread_mutex_lock(&f->dirty_lock);
	f->gone_cursor = cursor;
	f->gone_pass = cursor;
	away_failed(f, r);
	return true;
}

static bool work_settle(struct files *f)
{
	bool did;

	if (f->stop)
		return false;
	(void)pthread_mutex_unlock(&f->dirty_lock);
	did = idle_settle(f);
	(void)pthread_mutex_lock(&f->dirty_lock);
	return did;
}

/*
 * The allocator and we keep what was used once, as it will be used again;
 * who waits for hours should not keep it.
 */
static void work_rest(struct files *f)
{
	uint64_t now = f->how.os->now_ns(f->how.os);

	if (atomic_exchange(&f->asked, false) || f->dirty_bytes) {
		f->quiet_ns = now;
		f->rested = false;
		return;
	}
	if (f->rested || now - f->quiet_ns < REST_NS)
		return;
	f->rested = true;
	(void)pthread_mutex_unlock(&f->dirty_lock);
	files_trim(f);
	if (f->how.rest)
		f->how.rest(f->how.ctx);
	(void)pthread_mutex_lock(&f->dirty_lock);
}

static void work_wait(struct files *f)
{
	(void)cond_wait_ns(&f->work, &f->dirty_lock,
			   f->how.flush_ns / 4 + 1000000);
}

static bool work_step(struct files *f)
{
	struct inode *in[MANY_INODES];
	struct list *l;
	uint32_t n;

	if ((l = list_first(&f->ready))) {
		work_ready(f, container_of(l, struct dirty, link));
		return true;
	}
	n = work_collect(f, in);
	if (n) {
		work_aged(f, in, n);
		return true;
	}
	return work_away(f) || work_look_for_gone(f) || work_settle(f);
}

static void *work_main(void *arg)
{
	struct files *f = (struct files *)arg;

	(void)pthread_setname_np(pthread_self(), "dynfs-flush");
	(void)pthread_mutex_lock(&f->dirty_lock);
	while (!f->abandon) {
		bool did;

		did = work_step(f);
		if (did)
			continue;
		if (f->stop)
			break;
		work_rest(f);
		work_wait(f);
	}
	(void)pthread_mutex_unlock(&f->dirty_lock);
	return NULL;
}

int work_start(struct files *f)
{
	unsigned n = f->how.readonly ? 0 : f->how.n_threads;
	int r = n ? changed_start(f) : 0;

	if (r < 0)
		return r;
	f->threads = (pthread_t *)calloc(n + 1, sizeof(*f->threads));
	if (!f->threads)
		return -ENOMEM;
	for (; f->n_threads < n; f->n_threads++) {
		r = -pthread_create(&f->threads[f->n_threads], NULL, work_main,
				    f);
		if (r < 0)
			return r;
	}
	return 0;
}

void work_stop(struct files *f, bool abandon)
{
	(void)pthread_mutex_lock(&f->dirty_lock);
	f->stop = true;
	f->abandon = abandon;
	(void)pthread_cond_broadcast(&f->work);
	(void)pthread_cond_broadcast(&f->room);
	(void)pthread_mutex_unlock(&f->dirty_lock);
	for (unsigned i = 0; i < f->n_threads; ++i)
		(void)pthread_join(f->threads[i], NULL);
	f->n_threads = 0;
	free(f->threads);
	f->threads = NULL;
	changed_stop(f);
}

/* room_lock is held. */
static struct policy_room *room_of(struct files *f, const struct policy *p)
{
	struct policy_room *room;

	for (unsigned i = 0; i < ROOMS; ++i)
		if (f->rooms[i].policy == p)
			return &f->rooms[i];
	room = &f->rooms[0];
	if (p != extents_policy_default(f->how.extents))
		room = &f->rooms[1 + f->next_room++ % (ROOMS - 1)];
	*room = (struct policy_room){ .policy = p };
	return room;
}

/* What the disks still take, looked up now and then, always when short of it. */
static uint64_t room_left(struct files *f, const struct policy *p,
			  uint64_t wanted)
{
	uint64_t now = f->how.os->now_ns(f->how.os), total, reserve;
	struct policy_room *room;

	AUTOLOCK(&f->room_lock);
	room = room_of(f, p);
	if (room->bytes < ROOM_PLENTY + wanted || !room->checked_ns ||
	    now - room->checked_ns > ROOM_CHECK_NS) {
		room->checked_ns = now ? now : 1;
		extents_capacity(f->how.extents, p, &total, &room->bytes);
		reserve = extents_reserve(total);
		room->bytes -= reserve < room->bytes ? reserve : room->bytes;
	}
	return room->bytes;
}

/* dirty_lock is held: wait for flushes to make a difference. */
static void admit_wait(struct files *f)
{
	f->pressure = true;
	(void)pthread_cond_broadcast(&f->work);
	(void)cond_wait_ns(&f->room, &f->dirty_lock, ADMIT_LOOK_NS);
	f->pressure = false;
}

bool files_room_comes(struct files *f, unsigned *looks)
{
	struct timespec pause = { 0, ROOM_PAUSE_NS };
	bool comes;

	(void)pthread_mutex_lock(&f->dirty_lock);
	comes = (f->n_cuts || f->n_gone || f->gone_more || f->gone_pass) &&
		!f->stop;
	(void)pthread_mutex_unlock(&f->dirty_lock);
	comes = comes || extents_frees(f->how.extents);
	if (comes)
		meta_hurry(f->how.meta);
	/* a second look: the kernel lets go of a file a moment after its name */
	*looks += comes ? 1 : ROOM_LOOKS / 2;
	if (*looks >= ROOM_LOOKS)
		return false;
	(void)nanosleep(&pause, NULL);
	return true;
}

/*
 * What is dirty takes room that nobody has accounted for exactly yet: near
 * the end it is flushed first, and the disks are asked again (-EAGAIN).  Who
 * writes to what is reserved asks for none.
 */
static int admit(struct files *f, const struct policy *p, uint64_t bytes,
		 const uint32_t *reserve, unsigned tries)
{
	uint64_t claims = atomic_load(&f->claims);
	/* before the disks are asked: what is stored of it meanwhile counts
	 * twice then, and not as room that is nobody's */
	uint64_t reserved = reserved_as(f, p);
	uint64_t room = room_left(f, p, reserved + bytes), dirty;

	AUTOLOCK(&f->dirty_lock);
	if (f->stop)
		return -EROFS;
	/* others who reserve had the lock: all of it again */
	if (claims != atomic_load(&f->claims))
		return -EAGAIN;
	room -= reserved < room ? reserved : room;
	if (!f->dearest || policy_costs_more(p, f->dearest))
		f->dearest = p;
	dirty = in_form(f->dirty_bytes, f->dearest, p);
	if (f->dirty_bytes <= f->dirty_limit &&
	    (!bytes || (bytes <= room && dirty <= room - bytes))) {
		if (!reserve)
			return 0;
		atomic_fetch_add(&f->claims, 1);
		return reserved_add(f, *reserve, bytes);
	}
	if (bytes > room || (f->dirty_bytes <= f->dirty_limit &&
			     (!f->dirty_bytes || tries >= 100)))
		return -ENOSPC;
	admit_wait(f);
	return -EAGAIN;
}

bool call_is_gone(const struct dynfs_call *call)
{
	return call && call->gone && call->gone(call->ctx);
}

static int admit_until(struct inode *in, uint64_t bytes,
		       const uint32_t *reserve, const struct dynfs_call *call)
{
	struct files *f = in->files;
	const struct policy *p = policy_of(in);
	unsigned looks = 0;

	for (unsigned tries = 0;; ++tries) {
		int r = admit(f, p, bytes, reserve, tries);

		if (r != -EAGAIN &&
		    (r != -ENOSPC || !files_room_comes(f, &looks)))
			return r;
		/* nothing was taken yet */
		if (call_is_gone(call))
			return -EINTR;
	}
}

int write_admit(struct inode *in, uint64_t bytes, const struct dynfs_call *call)
{
	return admit_until(in, bytes, NULL, call);
}

int reserve_admit(struct inode *in, uint32_t policy, uint64_t bytes,
		  const struct dynfs_call *call)
{
	return admit_until(in, bytes, &policy, call);
}
