/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening: from what lies on the disks to a state that may be served.
 *
 * The order matters and is that of docs/design/format.md section 3.  What is
 * there is made durable before it is believed; nothing is cut before the end
 * is known; the labels name the new set before anything is appended; and the
 * end is confirmed by a record before anybody acts on it.
 */
#include <meta/open.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/log.h>
#include <base/str.h>
#include <meta/files.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t no_sum[SUM128_LEN];

/* Log disk i is not used; its log stays as it is. */
static void leave_out(struct meta *m, uint32_t i, const char *why, int err)
{
	struct log_disk *d = m->logs[i];

	log_warn("meta", "the log on %s is left out: %s: %s", d->disk->path,
		 why, fail_text(err));
	fail_clear();
	/* the truth may still be read from it */
	logs_kill(m, d);
	memmove(m->logs + i, m->logs + i + 1,
		(m->n_logs - i - 1) * sizeof(m->logs[0]));
	m->n_logs--;
}

/* None of the disks that hold the log is here: which are they? */
static int no_logs(const struct meta *m, const uint32_t *ids, uint32_t n)
{
	AUTOBUF struct buf b = BUF_INIT;

	for (uint32_t i = 0; i < n && i < LOGS_MAX; i++) {
		const struct disk *k = disks_find(m->disks, ids[i]);

		buf_printf(&b, "%s number %u (%s)", i ? "," : "", ids[i],
			   k ? k->path : "?");
	}
	buf_put8(&b, 0);
	return fail(-ENODEV,
		    "none of the %u disks that hold the log of this pool is "
		    "here:%.300s",
		    n, buf_error(&b) ? "" : (const char *)b.data);
}

/* The logs that the label names and that are here. */
static int gather(struct meta *m)
{
	uint32_t ids[LOGS_MAX];
	uint32_t n = disks_insync(m->disks, ids, LOGS_MAX);
	int r = 0;

	for (uint32_t i = 0; i < n && i < LOGS_MAX && !r; i++) {
		struct disk *k = disks_find(m->disks, ids[i]);

		if (!k || !disk_readable(k))
			continue;
		r = log_disk_new(m->os, k, &m->pool, &m->logs[m->n_logs]);
		m->n_logs += !r;
	}
	return !r && !m->n_logs ? no_logs(m, ids, n) : r;
}

/*
 * What a crash left in caches could be lost by the next one, and what a failed
 * sync left there is on no disk at all.
 */
static void settle(struct meta *m)
{
	for (uint32_t i = m->n_logs; i--;) {
		int r = log_settle(m->logs[i]);

		if (!r)
			r = ckpt_settle(m->os, m->logs[i]->disk);
		if (r)
			leave_out(m, i, "sync", r);
	}
	for (uint32_t i = 0; i < disks_count(m->disks); i++) {
		struct disk *k = disks_at(m->disks, i);
		int r;

		if (!(k->role & MEMBER_STORES) || !disk_readable(k))
			continue;
		r = disk_sync(k, disk_mark(k));
		if (r)
			disk_suspect(k, "sync", r);
	}
}

/* It may be read, and by a newer program written. */
static int only_read(struct meta *m, int r)
{
	if (r != -EROFS)
		return r;
	log_error("meta", "%s", fail_text(r));
	fail_clear();
	m->readonly = true;
	m->why = "the log or a checkpoint has a feature of a newer program";
	return 0;
}

/* Read logs and manifests. */
static int survey(struct meta *m, struct ckpt_list *ckpts)
{
	bool any = false;

	for (uint32_t i = m->n_logs; i--;) {
		size_t n = ckpts->n;
		int r = only_read(m, log_scan(m->logs[i]));

		if (!r)
			r = only_read(m, ckpt_find(m->os, m->logs[i]->disk,
						   &m->pool, ckpts));
		if (r == -ENOMEM || r == -EOPNOTSUPP)
			return r;
		if (!r && !m->logs[i]->n_files && ckpts->n == n)
			r = fail(-EUCLEAN, "there is no log");
		if (r)
			leave_out(m, i, "read", r);
		else
			any = true;
	}
	return any ? 0
		   : fail(-EUCLEAN, "no disk that should hold the log of this "
				    "pool has one");
}

/* An index that can not say what its records are is no better than none. */
static int probe(struct meta *m, struct engine *e)
{
	bool readonly;
	int r;

	m->engine = e;
	r = features_of_state(m, &readonly);
	m->engine = NULL;
	return r == -EOPNOTSUPP ? 0 : r;
}

/* An index, at a group of the true log; c grows by what it knows. */
static int take_index(struct meta *m, const struct truth *t, uint64_t *c)
{
	struct engine *e = NULL;
	int r = index_find(m, t, &e);

	if (r == -ENOMEM)
		return r;
	if (!r && e->number > *c)
		*c = e->number;
	if (*c > t->last) {
		m->readonly = true;
		m->why = "the log ends before groups that were answered";
	}
	if (!r && (e->number > t->last || probe(m, e))) {
		engine_free(e);
		e = NULL;
		r = -ENOENT;
	}
	fail_clear();
	if (r)
		r = index_make(m, t, NULL, &e);
	if (r)
		return r;
	m->engine = e;
	/* nothing of the log is in none at all */
	m->applied = e ? e->number : t->base;
	return 0;
}

struct filling {
	const struct truth *t;
	uint64_t from, to;
};

static int fill(void *ctx, struct log_disk *d)
{
	struct filling *f = (struct filling *)ctx;
	AUTOBUF struct buf rec = BUF_INIT;
	struct log_head h;
	int r = 0;

	for (uint64_t n = f->from; !r && n <= f->to; n++) {
		r = truth_read(f->t, n, &rec, &h);
		if (!r)
			r = log_append(d, &rec);
	}
	return r;
}

/* One log: whole, cut at end, a new file begun. */
static int level(struct meta *m, const struct truth *t, struct log_disk *d,
		 uint64_t end)
{
	struct filling f = { .t = t, .to = end };
	uint64_t after, upto;
	int r = truth_whole(t, d, end, &after, &upto);

	if (r)
		return fail(r, "it begins too late to be mended");
	f.from = upto + 1;
	r = dir_make(m->os, d->dir);
	if (!r)
		r = log_begin(d, upto + 1, truth_sum(t, upto),
			      disks_epoch(m->disks), fill, &f);
	return r;
}

static int level_all(struct meta *m, const struct truth *t, uint64_t end)
{
	uint64_t after, upto;

	/* every log is made whole before any loses what others may need */
	for (uint32_t i = m->n_logs; i--;) {
		int r = level(m, t, m->logs[i], end);

		if (r == -ENOMEM)
			return r;
		m->logs[i]->result = r;
	}
	for (uint32_t i = m->n_logs; i--;) {
		int r = m->logs[i]->result;

		if (!r)
			r = truth_whole(t, m->logs[i], end, &after, &upto);
		if (!r)
			r = log_mend(m->logs[i], after, upto);
		if (r)
			leave_out(m, i, "mending", r);
	}
	return m->n_logs ? 0 : fail(-EROFS, "no log could be made whole");
}

static int apply_one(void *ctx, const struct log_head *h, const struct buf *rec)
{
	struct meta *m = (struct meta *)ctx;
	int r = 0;

	if (h->number > m->applied)
		r = engine_apply(m->engine, h->number, h->sum,
				 rec->data + LOG_HEAD, (size_t)h->body_len,
				 h->n_ops);
	if (!r && h->number > m->applied) {
		m->applied = h->number;
		m->replayed++;
	}
	return r;
}

/* Mending moved records, so they are not where the truth has seen them. */
static int replay_rest(struct meta *m, uint64_t end)
{
	int r = m->applied < end ? -ENODEV : 0;

	for (uint32_t i = 0; i < m->n_logs && m->applied < end; i++)
		r = log_copy(m->logs[i], m->applied + 1, end, apply_one, m);
	return r;
}

/* From here on the pool is ours. */
static int adopt(struct meta *m, const struct truth *t, uint64_t end)
{
	int r = level_all(m, t, end);

	if (!r)
		r = logs_epoch(m, NULL);
	if (!r)
		r = replay_rest(m, end);
	if (r)
		return r;
	(void)index_clean(m); /* what stays there only takes room */
	return 0;
}

static void say(struct meta *m, const struct truth *t, uint64_t end)
{
	if (m->why)
		log_error("meta", "read-only at group %" PRIu64 ": %s", end,
			  m->why);
	m->dropped = t->last - end;
	log_info("meta",
		 "opened at group %" PRIu64 ", checkpoint %" PRIu64 ", %" PRIu64
		 " replayed, %" PRIu64 " dropped, %u of %u logs",
		 end, m->checkpoint, m->replayed, m->dropped, m->n_logs,
		 m->how.copies);
}

/* Up to what is certain; then find the end; then up to there. */
static int catch_up(struct meta *m, const struct truth *t, uint64_t c,
		    uint64_t *ret_end)
{
	struct engine *to = m->readonly ? NULL : m->engine;
	uint64_t certain = c < t->last ? c : t->last;
	int r = 0;

	if (to) {
		r = replay(m, to, t, m->applied + 1, certain);
		if (!r && m->applied < certain) {
			m->replayed += certain - m->applied;
			m->applied = certain;
		}
		if (!r)
			r = features_settle(m);
	}
	if (!r)
		r = replay_verify(m, t, certain, ret_end);
	if (r)
		return r;
	if (!m->readonly)
		return adopt(m, t, *ret_end);
	/* also when the judge has made it so */
	if (*ret_end > m->applied)
		m->replayed += *ret_end - m->applied;
	r = replay(m, NULL, t, m->applied + 1, *ret_end);
	return r ? r : features_settle(m);
}

static int start_at(struct meta *m, const struct truth *t, uint64_t end,
		    uint64_t confirmed)
{
	const uint8_t *sum = t ? truth_sum(t, end) : no_sum;

	memcpy(m->last_sum, sum, SUM128_LEN);
	m->durable = m->written_number = end;
	m->confirmed = confirmed < end ? confirmed : end;
	m->last_empty = true;
	m->sums_first = end;
	if (m->readonly)
		return 0;
	if (sums_push(m, sum))
		return -ENOMEM;
	return group_new(m, end + 1, &m->open);
}

static int open_with(struct meta *m, struct ckpt_list *ckpts)
{
	struct truth t;
	uint64_t end = 0, c;
	int r = truth_build(&t, m->logs, m->n_logs, ckpts);

	c = t.confirmed;
	if (!r)
		r = take_index(m, &t, &c);
	if (!r && m->how.hooks.opened)
		m->how.hooks.opened(m->how.hooks.ctx, m);
	if (!r)
		r = catch_up(m, &t, c, &end);
	if (!r)
		r = start_at(m, &t, end, t.confirmed);
	if (!r) {
		if (t.ckpts.n)
			m->checkpoint = t.ckpts.v[t.ckpts.n - 1].number;
		for (uint64_t n = m->checkpoint + 1; n <= end; n++)
			m->log_since +=
			    log_span(t.refs[n - t.base - 1].ref->head.body_len);
		say(m, &t, end);
	}
	for (uint32_t i = 0; i < m->n_logs; i++)
		log_forget(m->logs[i]);
	truth_done(&t);
	/* whoever opens next need not doubt the end */
	if (!r && !m->readonly && m->confirmed < end) {
		if (m->how.hooks.replayed)
			r = m->how.hooks.replayed(m->how.hooks.ctx);
		if (!r)
			r = commit_now(m);
	}
	return r;
}

int open_existing(struct meta *m)
{
	struct ckpt_list ckpts = { 0 };
	int r = gather(m);

	if (!r && !m->readonly) {
		settle(m);
		if (!m->n_logs)
			r = fail(-EIO, "no log can be synced");
	}
	if (!r)
		r = survey(m, &ckpts);
	if (!r)
		r = open_with(m, &ckpts);
	ckpt_list_done(&ckpts);
	return r;
}

/* A log of nothing on as many disks as are wanted. */
static int found_logs(struct meta *m)
{
	struct log_disk *d;
	int r = 0;

	while (m->n_logs < m->how.copies && m->n_logs < LOGS_MAX) {
		r = logs_choose(m, &d);
		if (r || !d)
			break;
		m->logs[m->n_logs++] = d;
		r = logs_prepare(m, d);
		if (!r)
			r = log_begin(d, 1, no_sum, disks_epoch(m->disks), NULL,
				      NULL);
		if (r)
			return fail(r, "no log can be made on %s: %s",
				    d->disk->path, fail_text(r));
	}
	if (!r && !m->n_logs)
		r = fail(-ENODEV, "no disk may hold the log");
	return r ? r : logs_epoch(m, NULL);
}

int open_fresh(struct meta *m)
{
	struct truth none = { 0 };
	int r = found_logs(m);

	if (!r)
		r = index_make(m, &none, NULL, &m->engine);
	if (!r && m->how.hooks.opened)
		m->how.hooks.opened(m->how.hooks.ctx, m);
	return r ? r : start_at(m, NULL, 0, 0);
}
