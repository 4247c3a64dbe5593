/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking slices away that no map shows any more: what a large cut has left,
 * and the content of an inode without a name.  Batch by batch, a turn of a few
 * for each file, so that the largest keeps nobody waiting; the content.flush
 * of the inode is held for each, and so nobody else takes its rows away.
 *
 * A batch holds whole chunks: what the inode counts for them is what is shown
 * of their dead slices together.
 */
#include <file/private.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/log.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* times the slices that one batch takes away */
#define ROWS_LOOK  16u /* others that are passed by */
#define ROWS_COUNT 8u  /* looked at to know what is stored */

/* ---- rows ------------------------------------------------------------- */

struct look {
	struct files *f;
	struct rows *rows;
	uint64_t below; /* only sequences lower than this */
	uint32_t passed;
};

static int rows_grow(struct rows *rows)
{
	uint32_t cap = rows->cap ? rows->cap * 2 : 64;
	struct row *at;

	if (rows->n < rows->cap)
		return 0;
	at = (struct row *)realloc(rows->at, cap * sizeof(*at));
	if (!at)
		return -ENOMEM;
	rows->at = at;
	rows->cap = cap;
	return 0;
}

static int rows_each(void *ctx, const void *key, size_t key_len,
		     const void *value, size_t value_len)
{
	struct look *l = (struct look *)ctx;
	struct rows *rows = l->rows;
	uint32_t step = l->f->how.cut_rows;
	struct row row;
	int r = row_get(l->f, key, key_len, value, value_len, &row);

	if (r < 0)
		return r;
	if (row.chunk != rows->next &&
	    (rows->n >= step || l->passed >= ROWS_LOOK * step)) {
		rows->next = row.chunk;
		rows->more = true;
		return 1;
	}
	rows->next = row.chunk;
	if (row.s.sequence >= l->below) {
		l->passed++;
		return 0;
	}
	if (rows_grow(rows) < 0)
		return -ENOMEM;
	rows->at[rows->n++] = row;
	return 0;
}

int rows_find(struct files *f, uint64_t ino, uint64_t chunk, uint64_t below,
	      struct rows *rows)
{
	struct key from = key_slice(ino, chunk, 0);
	struct key to = key_slice(ino, UINT64_MAX, UINT64_MAX);
	struct look l = { .f = f, .rows = rows, .below = below };

	rows->n = 0;
	rows->more = false;
	rows->next = chunk;
	return meta_scan(f->how.meta, from.data, from.len, to.data, to.len,
			 rows_each, &l);
}

void rows_done(struct rows *rows)
{
	free(rows->at);
	*rows = (struct rows){ 0 };
}

int rows_drop(struct files *f, uint64_t ino, const struct rows *rows,
	      struct batch *b)
{
	for (uint32_t i = 0; i < rows->n; ++i) {
		const struct row *row = &rows->at[i];
		const struct slice *s = &row->s;
		struct key key = key_slice(ino, row->chunk, s->sequence);
		int r;

		batch_delete(b, key.data, key.len);
		if (s->kind != SLICE_EXTENT)
			continue;
		r = extent_unref(f->how.extents, s->extent, ino, row->chunk,
				 s->sequence, s->len, b);
		if (r < 0)
			return r;
	}
	return b->error;
}

/* ---- what they store ---------------------------------------------------- */

struct sum {
	struct map map;
	uint64_t chunk;
	struct amount amount;
	uint32_t n;
};

static void sum_chunk(struct sum *t, uint64_t next)
{
	struct amount now = map_amount(&t->map);

	if (next == t->chunk)
		return;
	t->amount.stored += now.stored;
	t->amount.reserved += now.reserved;
	map_done(&t->map);
	t->chunk = next;
}

int rows_amount(const struct rows *rows, struct amount *ret)
{
	struct sum t = { .chunk = UINT64_MAX };
	int r = 0;

	for (uint32_t i = 0; i < rows->n && r >= 0; ++i) {
		sum_chunk(&t, rows->at[i].chunk);
		r = map_add(&t.map, &rows->at[i].s);
	}
	sum_chunk(&t, UINT64_MAX - 1);
	*ret = t.amount;
	return r;
}

struct below {
	struct files *f;
	struct sum sum;
	const struct cut_left *cut;
};

static int below_each(void *ctx, const void *key, size_t key_len,
		      const void *value, size_t value_len)
{
	struct below *w = (struct below *)ctx;
	struct row row;
	int r = row_get(w->f, key, key_len, value, value_len, &row);

	if (r < 0)
		return r;
	if (w->sum.n++ >= ROWS_COUNT * w->f->how.cut_rows)
		return 1;
	if (cut_hides(w->cut, row.chunk, row.s.sequence))
		return 0;
	sum_chunk(&w->sum, row.chunk);
	return map_add(&w->sum.map, &row.s);
}

int stored_below(struct inode *in, const struct content *c, uint64_t chunk,
		 struct amount *ret, bool *ret_all)
{
	struct key from = key_slice(in->ino, 0, 0);
	struct key to = key_slice(in->ino, chunk, 0);
	struct below w = { .f = in->files,
			   .sum = { .chunk = UINT64_MAX },
			   .cut = &c->cut };
	int r = 0;

	if (chunk)
		r = meta_scan(in->files->how.meta, from.data, from.len, to.data,
			      to.len, below_each, &w);
	sum_chunk(&w.sum, UINT64_MAX - 1);
	*ret = w.sum.amount;
	*ret_all = w.sum.n <= ROWS_COUNT * in->files->how.cut_rows;
	return r;
}

/* ---- draining ------------------------------------------------------------ */

void cut_is(struct content *c, const struct cut_left *cut)
{
	AUTOLOCK(&c->map_lock);
	c->cut = *cut;
}

static int drain_commit(struct inode *in, const struct content *c,
			const struct rows *rows, struct batch *b)
{
	struct files *f = in->files;
	struct key key = key_intent(in->ino, INTENT_CUT);
	struct amount dead = { 0 };
	int r = rows_drop(f, in->ino, rows, b);

	if (r >= 0 && c->cut.counted)
		r = rows_amount(rows, &dead);
	if (r < 0)
		return r;
	if (!rows->more)
		batch_delete(b, key.data, key.len);
	if (dead.stored) {
		rec_move(&in->rec, dead, (struct amount){ 0 });
		inode_record(in, b);
	}
	return meta_commit(f->how.meta, b, NULL);
}

/* One batch; 1: there is more. */
static int drain_batch(struct inode *in, struct content *c, struct rows *rows)
{
	struct files *f = in->files;
	struct cut_left left = { .known = true };
	AUTOBATCH struct batch b;
	struct before was;
	int r = meta_admit(f->how.meta);

	batch_init(&b);
	if (r >= 0)
		r = rows_find(f, in->ino, c->cut.at, c->cut.below, rows);
	if (r < 0)
		return r;
	if (rows->more) {
		left = c->cut;
		left.at = rows->next;
	}
	was = change_begin(in);
	r = drain_commit(in, c, rows, &b);
	change_end(in, &was, r);
	if (r < 0)
		return r;
	cut_is(c, &left);
	return rows->more;
}

int drain_some(struct inode *in, struct content *c, unsigned batches)
{
	struct rows rows = { 0 };
	int r = 1;

	while (r == 1 && batches--)
		r = drain_batch(in, c, &rows);
	rows_done(&rows);
	return r;
}

int drain_step(struct inode *in)
{
	struct content *c = content_of(in);
	struct cut_left cut;
	int r;

	AUTOLOCK(&c->flush);
	/* what is gone goes as a whole, in reclaim.c */
	if (in->gone)
		return 0;
	r = cut_look_up(in, c, &cut);
	if (r >= 0 && cut.below)
		r = drain_some(in, c, DRAIN_TURN);
	if (r < 0) {
		log_warn("file",
			 "inode %" PRIu64 ": what was cut away is not removed "
			 "yet: %s",
			 in->ino, fail_text(r));
		fail_clear();
	}
	return r;
}

int drain_all(struct inode *in)
{
	int r;

	do
		r = drain_step(in);
	while (r == 1);
	return r;
}

int drain_begin(struct inode *in)
{
	int r = content_ready(in);

	if (r < 0)
		return r;
	if (!in->files->n_threads)
		return drain_all(in);
	work_drain(in);
	return 0;
}
