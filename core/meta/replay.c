/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replay: groups of the true log into the index, one in memory at a time; and
 * finding the end among the groups that nobody confirmed.
 *
 * When the pool is read-only nothing may be written, so groups go into the
 * overlay instead: memory then grows with the log since the last checkpoint,
 * which is bounded by log_bytes.
 *
 * The unconfirmed groups are in the overlay while they are judged: what the
 * judge reads (policies, say) is the state that it judges.
 */
#include <meta/internal.h>

#include <base/fail.h>
#include <base/log.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static int overlay_group(struct overlay *o, uint64_t number, const void *ops,
			 size_t len)
{
	struct list nodes, kept;
	int r = overlay_prepare(ops, len, &nodes);

	if (r)
		return r;
	list_init(&kept);
	overlay_insert(o, &nodes, number, &kept);
	/* they stay on a ring without a head; see overlay_clear() */
	list_remove(&kept);
	return 0;
}

int replay(struct meta *m, struct engine *e, const struct truth *t,
	   uint64_t from, uint64_t to)
{
	AUTOBUF struct buf rec = BUF_INIT;
	struct log_head h;
	int r = 0;

	for (uint64_t n = from; !r && n <= to; n++) {
		r = truth_read(t, n, &rec, &h);
		if (r)
			return fail(r, "group %" PRIu64 " can not be read", n);
		if (!e)
			r = overlay_group(&m->overlay, n, rec.data + LOG_HEAD,
					  (size_t)h.body_len);
		else
			r = engine_apply(e, n, h.sum, rec.data + LOG_HEAD,
					 (size_t)h.body_len, h.n_ops);
	}
	return r;
}

/* 0, -EUCLEAN, or the hook could not tell. */
static int judge_rows(struct meta *m, struct buf *rows)
{
	struct rd r = rd_of(rows->data, rows->len);
	const uint8_t *value;
	const void *key, *v;
	size_t key_len, value_len;
	uint8_t kind;
	int err = 0;

	while (!err &&
	       batch_next(&r, &kind, &key, &key_len, &v, &value_len) > 0) {
		value = (const uint8_t *)v;
		if (kind != DYNFS_META_PUT)
			continue;
		if (value_len >= 2 && value[1] & EXTENT_POISONED)
			continue;
		err = m->how.hooks.verify_extent(m->how.hooks.ctx, key, key_len,
						 value, value_len);
	}
	return err;
}

/* Every extent that is in the overlay fresh. */
static int judge(struct meta *m, struct overlay *fresh)
{
	AUTOBUF struct buf rows = BUF_INIT;
	AUTOBUF struct buf from = BUF_INIT;
	struct key first = key_kind('E'), end = key_kind('E' + 1);
	struct overlay_range range = { .to = end.data, .to_len = end.len };
	bool more = m->how.hooks.verify_extent != NULL;
	uint64_t gen;
	int r = 0;

	buf_put(&from, first.data, first.len);
	while (!r && more) {
		buf_clear(&rows);
		range.from = from.data;
		range.from_len = from.len;
		r = overlay_copy(fresh, &range, 1u << 20, &rows, &more, &gen);
		if (!r)
			r = judge_rows(m, &rows);
		if (!r)
			r = rows_after(&rows, &from);
	}
	return r;
}

static int show(struct overlay *o, const struct truth *t, uint64_t from,
		uint64_t to)
{
	AUTOBUF struct buf rec = BUF_INIT;
	struct log_head h;
	int r = 0;

	for (uint64_t n = from; !r && n <= to; n++) {
		r = truth_read(t, n, &rec, &h);
		if (!r)
			r = overlay_group(o, n, rec.data + LOG_HEAD,
					  (size_t)h.body_len);
	}
	return r;
}

/* The state at end: what is new in it beyond confirmed is judged. */
static int try_end(struct meta *m, const struct truth *t, uint64_t confirmed,
		   uint64_t end, int *ret_verdict)
{
	struct overlay fresh;
	int r = overlay_init(&fresh);

	if (r)
		return r;
	overlay_clear(&m->overlay);
	/* read-only: what is confirmed is not in the index either */
	r = show(&m->overlay, t, m->applied + 1, end);
	if (!r)
		r = show(&fresh, t, confirmed + 1, end);
	/* records that we misread are not missing */
	if (!r)
		r = features_settle(m);
	if (!r)
		*ret_verdict = judge(m, &fresh);
	overlay_done(&fresh);
	return r;
}

int replay_verify(struct meta *m, const struct truth *t, uint64_t confirmed,
		  uint64_t *ret_end)
{
	uint64_t end;
	bool unsure = false;
	int verdict = 0, r = 0;

	for (end = t->last; end > confirmed; end--) {
		r = try_end(m, t, confirmed, end, &verdict);
		if (r || !verdict)
			break;
		if (verdict == -ENOMEM)
			return verdict;
		if (verdict == -EUCLEAN) {
			log_info("meta",
				 "group %" PRIu64 " was never answered and is "
				 "not whole",
				 end);
			continue;
		}
		unsure = true;
		log_error("meta",
			  "whether group %" PRIu64 " is whole can not be told: "
			  "%s",
			  end, fail_text(verdict));
	}
	if (r)
		return r;
	if (unsure && !m->readonly) {
		m->readonly = true;
		m->why = "a disk that is away decides where the log ends";
	}
	overlay_clear(&m->overlay);
	*ret_end = end;
	return 0;
}
