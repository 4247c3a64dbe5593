/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding what a segment holds: from its index, or, where there is none, by
 * looking for frames.  The scan jumps from record to record; where there is
 * no frame it reads on in large pieces and tries every 64 bytes, so it finds
 * its way after holes, torn writes and damage.
 *
 * An index says what was there when the segment was sealed; the frames say
 * what was freed since.  A damaged frame counts as live: its payload may
 * still be whole.
 */
#include "segment.h"

#include <errno.h>
#include <string.h>

#define WINDOW (256u << 10)

struct scan {
	struct store *s;
	struct seg *g;
	int fd;
	uint64_t seed, size;
	uint8_t *buf; /* the window */
	uint64_t at;  /* where it begins */
	uint64_t len;
	bool partial; /* some of it could not be read */
};

/* Fill the window from off; a page that cannot be read is zeros. */
static void window_fill(struct scan *c, uint64_t off, uint32_t want)
{
	uint64_t left = c->size - off;

	c->at = off;
	c->len = left < want ? left : want;
	if (!read_whole_at(c->s->os, c->fd, c->buf, c->len, off))
		return;
	for (uint64_t i = 0; i < c->len; i += SEG_PAGE) {
		uint64_t k = c->len - i < SEG_PAGE ? c->len - i : SEG_PAGE;

		if (read_whole_at(c->s->os, c->fd, c->buf + i, k, off + i)) {
			memset(c->buf + i, 0, k);
			c->partial = true;
		}
	}
}

static bool is_zero(const uint8_t *p, size_t n)
{
	return !p[0] && !memcmp(p, p + 1, n - 1);
}

/*
 * The next frame at or after *off: true, and it is in rec.  tail follows the
 * last byte that is not zero.
 */
static bool scan_next(struct scan *c, uint64_t *off, struct seg_rec *rec,
		      uint64_t *tail)
{
	/* right after a record comes the next one, most of the time */
	uint32_t want = SEG_UNIT;

	while (*off + SEG_UNIT <= c->size) {
		const uint8_t *f;
		enum seg_frame_state st;

		if (*off < c->at || *off + SEG_UNIT > c->at + c->len) {
			window_fill(c, *off, want);
			want = WINDOW;
		}
		f = c->buf + (*off - c->at);
		if (*off % SEG_PAGE == 0 && *off + SEG_PAGE <= c->at + c->len &&
		    is_zero(f, SEG_PAGE)) {
			*off += SEG_PAGE;
			continue;
		}
		st = seg_frame_get(f, rec, c->g->number, *off, c->seed);
		if (st != SEG_FRAME_ZERO)
			*tail = *off + SEG_UNIT;
		if (st == SEG_FRAME_GOOD || st == SEG_FRAME_FREED) {
			uint64_t len =
			    seg_rec_len(rec->head_len, rec->payload_len);

			if (len <= c->size - *off)
				return true;
		}
		*off += SEG_UNIT;
	}
	return false;
}

int seg_scan(struct store *s, struct seg *g, int fd, struct seg_recs *ret,
	     uint64_t *ret_tail)
{
	struct scan c = { .s = s,
			  .g = g,
			  .fd = fd,
			  .seed = seg_seed(s, g->number),
			  .size = g->size };
	uint64_t off = SEG_PAGE, tail = SEG_PAGE;
	struct seg_rec rec;
	int r = 0;

	c.buf = s->host->alloc(s->host, WINDOW, SEG_PAGE);
	if (!c.buf)
		return -ENOMEM;
	while (!r && scan_next(&c, &off, &rec, &tail)) {
		r = seg_recs_add(s, ret, &rec);
		off += seg_rec_len(rec.head_len, rec.payload_len);
		tail = off;
		if (s->host->stopping(s->host))
			r = -ECANCELED;
	}
	s->host->free(s->host, c.buf);
	ret->partial |= c.partial;
	*ret_tail = tail;
	return r;
}

/* The footer's bytes and their meaning; -EUCLEAN when there is none. */
static int footer_read(struct store *s, struct seg *g, int fd,
		       uint8_t bytes[SEG_UNIT], struct seg_footer *ret)
{
	int r;

	if (g->size < 2 * (uint64_t)SEG_PAGE)
		return -EUCLEAN;
	r = read_whole_at(s->os, fd, bytes, SEG_UNIT, g->size - SEG_UNIT);
	if (r < 0)
		return r;
	return seg_footer_get(bytes, ret, g->number, g->size,
			      seg_seed(s, g->number))
		   ? 0
		   : -EUCLEAN;
}

static int index_read(struct store *s, struct seg *g, int fd,
		      struct seg_recs *ret)
{
	uint8_t bytes[SEG_UNIT], *buf;
	struct seg_footer footer;
	uint64_t len;
	int r;

	r = footer_read(s, g, fd, bytes, &footer);
	if (r < 0)
		return r;
	len = seg_index_len(footer.n);
	buf = s->host->alloc(s->host, len, 0);
	ret->v = s->host->alloc(s->host,
				((size_t)footer.n + 1) * sizeof(*ret->v), 0);
	if (!buf || !ret->v)
		r = -ENOMEM;
	if (!r)
		r = read_whole_at(s->os, fd, buf, len, footer.index_off);
	if (!r &&
	    !seg_index_get(buf, bytes, &footer, ret->v, seg_seed(s, g->number)))
		r = -EUCLEAN;
	s->host->free(s->host, buf);
	if (r < 0) {
		seg_recs_free(s, ret);
		return r;
	}
	ret->n = footer.n;
	ret->cap = footer.n + 1;
	return 0;
}

/* Which of the indexed records were freed since. */
static int recs_check(struct store *s, struct seg *g, int fd,
		      struct seg_recs *recs)
{
	uint64_t seed = seg_seed(s, g->number);

	for (uint32_t i = 0; i < recs->n; i++) {
		struct seg_rec *r = &recs->v[i], found;
		uint64_t off = (uint64_t)r->unit * SEG_UNIT;
		uint8_t f[SEG_UNIT];
		enum seg_frame_state st;
		int e;

		e = read_whole_at(s->os, fd, f, sizeof(f), off);
		if (e == -EUCLEAN) {
			r->state = SEG_REC_DEAD;
			continue;
		}
		if (e < 0)
			continue; /* unreadable: not known to be freed */
		st = seg_frame_get(f, &found, g->number, off, seed);
		r->state = st == SEG_FRAME_ZERO || st == SEG_FRAME_FREED
			       ? SEG_REC_DEAD
			       : SEG_REC_LIVE;
	}
	return 0;
}

static int recs_copy(struct store *s, const struct seg *g, struct seg_recs *ret)
{
	int r = 0;

	for (uint32_t i = 0; i < g->recs.n && !r; i++)
		r = seg_recs_add(s, ret, &g->recs.v[i]);
	ret->partial = g->recs.partial;
	return r;
}

int seg_load(struct store *s, struct seg *g, struct seg_recs *ret)
{
	bool in_memory;
	uint64_t tail;
	int fd, r = 0;

	pthread_mutex_lock(&s->lock);
	in_memory = g->recs.v || !g->sealed;
	if (in_memory)
		r = recs_copy(s, g, ret);
	pthread_mutex_unlock(&s->lock);
	if (in_memory)
		return r;
	r = seg_fd_get(s, g, &fd);
	if (r < 0)
		return r;
	r = index_read(s, g, fd, ret);
	if (!r) {
		r = recs_check(s, g, fd, ret);
	} else if (r != -ENOMEM) {
		/* the index is damaged; the records need not be */
		r = seg_scan(s, g, fd, ret, &tail);
	}
	seg_fd_put(s, g);
	if (r < 0)
		seg_recs_free(s, ret);
	return r;
}

/* How many records the index names; 0 when it cannot be read. */
uint32_t seg_count(struct store *s, struct seg *g)
{
	struct seg_footer footer = { 0 };
	uint8_t bytes[SEG_UNIT];
	int fd, r;

	if (seg_fd_get(s, g, &fd) < 0)
		return 0;
	r = footer_read(s, g, fd, bytes, &footer);
	seg_fd_put(s, g);
	return r < 0 ? 0 : footer.n;
}

/*
 * A segment of page-aligned records alone that still occupies more than its
 * own pages holds something: no need to look at each frame.
 */
static bool surely_live(struct store *s, struct seg *g)
{
	struct seg_footer footer;
	uint8_t bytes[SEG_UNIT];
	uint64_t alloc;
	bool yes;
	int fd;

	if (seg_fd_get(s, g, &fd) < 0)
		return true;
	yes = !footer_read(s, g, fd, bytes, &footer);
	seg_fd_put(s, g);
	if (!yes)
		return false;
	pthread_mutex_lock(&s->lock);
	alloc = g->alloc_bytes;
	pthread_mutex_unlock(&s->lock);
	return !footer.packed_bytes &&
	       alloc > SEG_PAGE + seg_index_len(footer.n) + SEG_ALIGN_FROM;
}

int seg_learn_live(struct store *s, struct seg *g)
{
	struct seg_recs recs = { 0 };
	uint64_t bytes = 0;
	uint32_t n = 0;
	int r;

	if (surely_live(s, g))
		return 0;
	/* frees wait meanwhile, so that none is missed or counted twice */
	pthread_mutex_lock(&g->freeing);
	seg_stretch_punch(s, g);
	r = seg_load(s, g, &recs);
	for (uint32_t i = 0; i < recs.n; i++) {
		if (recs.v[i].state != SEG_REC_LIVE)
			continue;
		n++;
		bytes += seg_rec_len(recs.v[i].head_len, recs.v[i].payload_len);
	}
	/* what could not be read may hold something */
	if (!r && !recs.partial) {
		pthread_mutex_lock(&s->lock);
		g->n_live = n;
		g->live_bytes = bytes;
		g->live_known = true;
		pthread_mutex_unlock(&s->lock);
	}
	pthread_mutex_unlock(&g->freeing);
	seg_recs_free(s, &recs);
	return r;
}

#define CURSOR_UNITS 28

/* Append the live records from unit on; the cursor after the last. */
static uint32_t list_emit(const struct seg_recs *recs, uint64_t number,
			  uint64_t *cursor, struct dynfs_store_entry *out,
			  uint32_t n)
{
	uint64_t from = *cursor & ((1u << CURSOR_UNITS) - 1);
	uint32_t got = 0;

	for (uint32_t i = 0; i < recs->n && got < n; i++) {
		const struct seg_rec *r = &recs->v[i];

		if (r->unit < from)
			continue;
		*cursor = number << CURSOR_UNITS | (r->unit + 1);
		if (r->state != SEG_REC_LIVE)
			continue;
		out[got] = (struct dynfs_store_entry){
			.id = { .epoch = r->epoch,
				.counter = r->counter,
				.index = r->index },
			.head_len = r->head_len,
			.payload_len = r->payload_len,
		};
		seg_place_put(&out[got].place, number, r);
		got++;
	}
	return got;
}

/* The records of g; those read last are kept for the next call. */
static int list_load(struct store *s, struct seg *g, bool fresh)
{
	bool grows;

	pthread_mutex_lock(&s->lock);
	grows = !g->sealed;
	pthread_mutex_unlock(&s->lock);
	if (!grows && !fresh && s->list_number == g->number)
		return 0;
	seg_punch(s, g); /* or freed records look as if they lived */
	seg_recs_free(s, &s->list_recs);
	s->list_number = grows ? 0 : g->number;
	return seg_load(s, g, &s->list_recs);
}

int segment_list(void *self, uint64_t *cursor, struct dynfs_store_entry *out,
		 uint32_t n, uint32_t *ret_n)
{
	struct store *s = self;
	uint64_t at = *cursor;
	uint32_t got = 0;
	int r = 0;

	pthread_mutex_lock(&s->list_lock);
	while (got < n) {
		struct seg *g = seg_find_from(s, at >> CURSOR_UNITS);
		bool fresh;

		if (!g)
			break;
		fresh = at >> CURSOR_UNITS != g->number ||
			!(at & ((1u << CURSOR_UNITS) - 1));
		if (fresh)
			at = g->number << CURSOR_UNITS;
		r = list_load(s, g, fresh);
		if (!r)
			got += list_emit(&s->list_recs, g->number, &at,
					 out + got, n - got);
		else
			s->list_number = 0;
		/* a segment removed meanwhile has nothing to show */
		if (r == -ENOENT)
			r = 0;
		if (got < n)
			at = (g->number + 1) << CURSOR_UNITS;
		seg_unref(s, g);
		if (r < 0)
			break;
	}
	pthread_mutex_unlock(&s->list_lock);
	if (r < 0)
		return r;
	*cursor = at;
	*ret_n = got;
	return 0;
}
