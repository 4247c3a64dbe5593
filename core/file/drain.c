/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking slices away that no map shows any more: what a large cut has left,
 * and the content of an inode without a name.  Batch by batch, a turn of a few
 * for each file, so that the largest keeps nobody waiting; the content.flush
 * of the inode is held for each, and so nobody else takes its rows away.
 *
 * A batch holds whole chunks: what the inode counts for them is what is shown
 * of their dead slices together.  So a record that is damaged keeps its chunk
 * as it is, and the intent that calls it dead; all others go.
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
	uint64_t chunk; /* that is looked at */
	uint32_t begin; /* of its rows */
	bool damaged;   /* none of them goes */
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

/* What can not be read counts as looked at, as what is alive does. */
static int rows_pass(struct look *l)
{
	fail_clear();
	l->rows->damaged++;
	l->passed++;
	return 0;
}

static int rows_add(struct look *l, const struct row *row, const void *value,
		    size_t value_len)
{
	struct rows *rows = l->rows;

	if (rows_grow(rows) < 0)
		return -ENOMEM;
	rows->at[rows->n] = *row;
	if (row_value(l->f, value, value_len, &rows->at[rows->n]) < 0) {
		l->damaged = true;
		rows->n = l->begin;
		return rows_pass(l);
	}
	rows->n++;
	return 0;
}

static int rows_each(void *ctx, const void *key, size_t key_len,
		     const void *value, size_t value_len)
{
	struct look *l = (struct look *)ctx;
	struct rows *rows = l->rows;
	uint32_t step = l->f->how.cut_rows;
	struct row row;

	if (row_key(l->f, key, key_len, &row) < 0)
		return rows_pass(l);
	if (row.chunk != l->chunk) {
		if (rows->n >= step || l->passed >= ROWS_LOOK * step) {
			rows->next = row.chunk;
			rows->more = true;
			return 1;
		}
		l->chunk = row.chunk;
		l->begin = rows->n;
		l->damaged = false;
	}
	if (row.s.sequence >= l->below || l->damaged) {
		l->passed++;
		return 0;
	}
	return rows_add(l, &row, value, value_len);
}

int rows_find(struct files *f, uint64_t ino, uint64_t chunk, uint64_t below,
	      struct rows *rows)
{
	struct key from = key_slice(ino, chunk, 0);
	struct key to = key_slice(ino, UINT64_MAX, UINT64_MAX);
	struct look l = {
		.f = f, .rows = rows, .below = below, .chunk = UINT64_MAX
	};

	rows->n = rows->damaged = 0;
	rows->more = false;
	return meta_scan(f->how.meta, from.data, from.len, to.data, to.len,
			 rows_each, &l);
}

void rows_done(struct rows *rows)
{
	free(rows->at);
	*rows = (struct rows){ 0 };
}

int rows_drop(struct files *f, uint64_t ino, const struct rows *rows,
	      struct batch *b, uint64_t *ret_chunk)
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
		if (r < 0 && ret_chunk)
			*ret_chunk = row->chunk;
		if (r < 0)
			return r;
	}
	return b->error;
}

/* One that stays. */
static void rows_leave_out(struct rows *rows, uint64_t chunk)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < rows->n; ++i)
		if (rows->at[i].chunk != chunk)
			rows->at[n++] = rows->at[i];
	rows->n = n;
	rows->damaged++;
	fail_clear();
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
	t->amount.inlined += now.inlined;
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

/* What is left of it when these have gone. */
static struct cut_left drain_left(const struct cut_left *cut,
				  const struct rows *rows)
{
	struct cut_left left = *cut;

	left.damaged += rows->damaged;
	if (rows->more) {
		left.at = rows->next;
	} else if (left.damaged) {
		/* the next time from the beginning */
		left.at = left.chunk;
		left.damaged = 0;
	} else {
		left = (struct cut_left){ .known = true };
	}
	return left;
}

/* -EUCLEAN: *ret_chunk can not go. */
static int drain_commit(struct inode *in, const struct content *c,
			const struct rows *rows, const struct cut_left *left,
			uint64_t *ret_chunk)
{
	struct files *f = in->files;
	struct key key = key_intent(in->ino, INTENT_CUT);
	struct amount dead = { 0 };
	AUTOBATCH struct batch b;
	int r;

	batch_init(&b);
	r = rows_drop(f, in->ino, rows, &b, ret_chunk);
	if (r >= 0 && c->cut.counted)
		r = rows_amount(rows, &dead);
	if (r < 0)
		return r;
	if (!left->below)
		batch_delete(&b, key.data, key.len);
	if (dead.stored) {
		amount_move(in, dead, (struct amount){ 0 });
		inode_record(in, &b);
	}
	return meta_commit(f->how.meta, &b, NULL);
}

/* One batch; 1: there is more. */
static int drain_batch(struct inode *in, struct content *c, struct rows *rows)
{
	struct files *f = in->files;
	uint32_t damaged = 0;
	int r = meta_admit(f->how.meta);

	if (r >= 0)
		r = rows_find(f, in->ino, c->cut.at, c->cut.below, rows);
	if (r < 0)
		return r;
	do {
		struct cut_left left = drain_left(&c->cut, rows);
		struct before was = change_begin(in);
		uint64_t chunk = UINT64_MAX;

		damaged = c->cut.damaged + rows->damaged;
		r = drain_commit(in, c, rows, &left, &chunk);
		change_end(in, &was, r);
		if (r >= 0)
			cut_is(c, &left);
		else if (r == -EUCLEAN && chunk != UINT64_MAX)
			rows_leave_out(rows, chunk);
		else
			return r;
	} while (r < 0);
	if (!rows->more && damaged)
		return fail(-EUCLEAN, "%u of its chunks are damaged, and stay",
			    damaged);
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

/* It is tried again and again; the first time for so many inodes. */
static bool damage_is_known(struct files *f, uint64_t ino)
{
	AUTOLOCK(&f->dirty_lock);
	for (unsigned i = 0; i < DAMAGED_KEPT; ++i)
		if (f->damaged[i] == ino)
			return true;
	f->damaged[f->next_damaged++ % DAMAGED_KEPT] = ino;
	return false;
}

void drain_failed(struct inode *in, const char *what, int r)
{
	if (r != -EUCLEAN || !damage_is_known(in->files, in->ino))
		log_warn("file", "inode %" PRIu64 ": %s: %s", in->ino, what,
			 fail_text(r));
	fail_clear();
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
	if (r < 0)
		drain_failed(in, "what was cut away is not removed yet", r);
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
