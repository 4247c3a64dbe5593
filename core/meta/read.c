/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gets and scans over the overlay and the index.
 *
 * Entries move from the overlay to the index and never back, and they are in
 * the index before they leave the overlay.  So whoever looks into the overlay
 * first and at the index after that misses nothing: what had left the overlay
 * by then is in the index, a deletion as well as a put; what had not is in
 * the copy, and the copy wins.
 *
 * A scan looks many times.  Its view of the index is one moment's, and an
 * entry that leaves the overlay between that moment and the next look would
 * be in neither.  Therefore the overlay counts departures (gen): when the
 * count of a new look differs from the look before the view was opened, the
 * view is opened again, after the look.
 */
#include <meta/internal.h>

#include <base/cleanup.h>
#include <registry/meta.h>

#include <errno.h>

#define LOOK_BYTES (256u << 10)

int meta_get(struct meta *m, const void *key, size_t key_len,
	     struct buf *ret_value)
{
	int r = overlay_get(&m->overlay, key, key_len, ret_value);
	struct engine *e;

	if (r != -ENOENT)
		return r > 0 ? 0 : r ? r : -ENOENT;
	for (int i = 0; i < 2; i++) {
		e = index_get(m);
		if (!e)
			return -ENOENT;
		r = engine_get(e, key, key_len, ret_value);
		index_put(m, e);
		if (!r || r == -ENOENT || i || !index_repair(m, r))
			break;
	}
	return r;
}

int rows_after(const struct buf *rows, struct buf *from)
{
	struct rd r = rd_of(rows->data, rows->len);
	const void *key = NULL, *value;
	size_t key_len = 0, value_len;
	uint8_t kind;

	while (batch_next(&r, &kind, &key, &key_len, &value, &value_len) > 0)
		;
	if (key) {
		buf_clear(from);
		buf_put(from, key, key_len);
		buf_put8(from, 0);
	}
	return buf_error(from);
}

/* A row of the overlay's copy; or of the index. */
struct row {
	bool is;
	uint8_t kind;
	const void *key, *value;
	size_t key_len, value_len;
};

struct walk {
	struct meta *m;
	struct buf from, to;
	/* the copy of the overlay, and the next row in it */
	struct buf rows;
	struct rd rd;
	struct row mine;
	bool more; /* the overlay has more than the copy */
	uint64_t gen;
	/* the view of the index, and the next row in it */
	struct engine *engine;
	struct dynfs_meta_iter *it;
	struct row theirs;
	uint64_t it_gen;
	bool broken; /* the index gave an error */
	int (*each)(void *ctx, const void *key, size_t key_len,
		    const void *value, size_t value_len);
	void *ctx;
};

static void view_close(struct walk *w)
{
	if (w->engine && w->it)
		reg_meta_scan_end(w->engine->inst, w->it);
	index_put(w->m, w->engine);
	w->it = NULL;
	w->engine = NULL;
	w->theirs.is = false;
}

static int mine_next(struct walk *w)
{
	int r =
	    batch_next(&w->rd, &w->mine.kind, &w->mine.key, &w->mine.key_len,
		       &w->mine.value, &w->mine.value_len);

	w->mine.is = r > 0;
	return r < 0 ? r : 0;
}

static int theirs_next(struct walk *w)
{
	struct dynfs_meta_span key, value;
	int r = w->engine && w->it
		    ? reg_meta_next(w->engine->inst, w->it, &key, &value)
		    : 0;

	w->theirs.is = r > 0;
	if (r > 0) {
		w->theirs.key = key.data;
		w->theirs.key_len = key.len;
		w->theirs.value = value.data;
		w->theirs.value_len = value.len;
	}
	w->broken |= r < 0;
	return r < 0 ? r : 0;
}

static int view_open(struct walk *w)
{
	struct dynfs_meta_span from = { w->from.data, w->from.len };
	struct dynfs_meta_span to = { w->to.data, w->to.len };
	int r;

	if (w->engine && w->it_gen == w->gen)
		return 0;
	view_close(w);
	w->engine = index_get(w->m);
	w->it_gen = w->gen;
	if (!w->engine)
		return 0;
	r = reg_meta_scan(w->engine->inst, from, to, &w->it);
	if (r) {
		w->it = NULL;
		w->broken = true;
		return r;
	}
	return theirs_next(w);
}

/* Copy the next piece of the overlay, then see to the view. */
static int look(struct walk *w)
{
	struct overlay_range range = { w->from.data, w->to.data, w->from.len,
				       w->to.len };
	int r;

	buf_clear(&w->rows);
	r = overlay_copy(&w->m->overlay, &range, LOOK_BYTES, &w->rows, &w->more,
			 &w->gen);
	w->rd = rd_of(w->rows.data, w->rows.len);
	if (!r)
		r = mine_next(w);
	return r ? r : view_open(w);
}

static int emit(struct walk *w, const struct row *row)
{
	return w->each(w->ctx, row->key, row->key_len, row->value,
		       row->value_len);
}

/* One row out; 1: the piece is used up. */
static int step(struct walk *w)
{
	int order, r = 0;

	if (!w->mine.is && (w->more || !w->theirs.is))
		return 1;
	order = !w->mine.is     ? 1
		: !w->theirs.is ? -1
				: key_compare(w->mine.key, w->mine.key_len,
					      w->theirs.key, w->theirs.key_len);
	if (order > 0) {
		r = emit(w, &w->theirs);
		return r ? (r == 1 ? 2 : r) : theirs_next(w);
	}
	if (w->mine.kind == DYNFS_META_PUT)
		r = emit(w, &w->mine);
	if (!r && !order)
		r = theirs_next(w);
	else if (r == 1)
		r = 2;
	return r ? r : mine_next(w);
}

static int run(struct walk *w)
{
	int r;

	for (;;) {
		r = look(w);
		while (!r)
			r = step(w);
		if (r != 1)
			return r == 2 ? 0 : r;
		if (!w->more)
			return 0;
		r = rows_after(&w->rows, &w->from);
		if (r)
			return r;
	}
}

/* The first key that does not begin so; empty when there is none. */
static void prefix_end(const void *from, size_t len, struct buf *to)
{
	buf_put(to, from, len);
	while (to->len && to->data[to->len - 1] == 0xff)
		to->len--;
	if (to->len)
		to->data[to->len - 1]++;
}

int meta_scan(struct meta *m, const void *from, size_t from_len, const void *to,
	      size_t to_len,
	      int (*each)(void *ctx, const void *key, size_t key_len,
			  const void *value, size_t value_len),
	      void *ctx)
{
	struct walk w = { .m = m, .each = each, .ctx = ctx };
	int r;

	buf_put(&w.from, from, from_len);
	if (to_len)
		buf_put(&w.to, to, to_len);
	else
		prefix_end(from, from_len, &w.to);
	r = buf_error(&w.from) ? buf_error(&w.from) : buf_error(&w.to);
	if (!r)
		r = run(&w);
	view_close(&w);
	/* rows are out, so this scan has failed; the next shall not */
	if (w.broken)
		(void)index_repair(m, r);
	buf_done(&w.from);
	buf_done(&w.to);
	buf_done(&w.rows);
	return r;
}
