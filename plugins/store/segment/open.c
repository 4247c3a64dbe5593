/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and closing.  A segment named N.seg was sealed and synced: its
 * size is all that is asked at first, its content when something of it is
 * freed or listed.  One named N.open was being written when the store went
 * down: it is scanned and sealed, never appended to, for nobody knows which
 * of the places behind its last record were handed out already.
 */
#include "segment.h"

#include <errno.h>
#include <string.h>

#define COUNT_SEGMENTS 4096u /* looked into after a crash, to count */

bool seg_name_parse(const char *name, uint64_t *ret, bool *ret_open)
{
	uint64_t v = 0;

	for (int i = 0; i < 16; i++) {
		char c = name[i];

		if (c >= '0' && c <= '9')
			v = v << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v << 4 | (uint64_t)(c - 'a' + 10);
		else
			return false;
	}
	*ret = v;
	*ret_open = !strcmp(name + 16, ".open");
	return v && v < SEG_NUMBER_MAX &&
	       (*ret_open || !strcmp(name + 16, ".seg"));
}

static int found_segment(void *ctx, const char *name, uint32_t type)
{
	struct store *s = ctx;
	struct dynfs_os_stat st;
	uint64_t number;
	char path[4096];
	bool open_name;
	struct seg *g;
	int r;

	if (type == DYNFS_OS_DIR || !seg_name_parse(name, &number, &open_name))
		return 0;
	seg_path(s, number, open_name, path, sizeof(path));
	r = s->os->stat(s->os, path, &st);
	if (r < 0)
		return r;
	g = seg_new(s, number);
	if (!g)
		return -ENOMEM;
	g->open_name = open_name;
	g->sealed = !open_name;
	g->size = st.size_bytes < SEG_SIZE_MAX ? st.size_bytes : SEG_SIZE_MAX;
	pthread_mutex_lock(&s->lock);
	r = seg_table_add(s, g);
	if (!r)
		seg_alloc_set(s, g, st.alloc_bytes);
	if (number >= s->next_number)
		s->next_number = number + 1;
	pthread_mutex_unlock(&s->lock);
	if (r < 0)
		seg_unref(s, g);
	return r == -EEXIST ? 0 : r;
}

static void take_records(struct store *s, struct seg *g,
			 const struct seg_recs *recs, uint64_t tail)
{
	pthread_mutex_lock(&s->lock);
	g->recs = *recs;
	g->tail = tail;
	g->live_known = !recs->partial;
	for (uint32_t i = 0; i < recs->n; i++) {
		const struct seg_rec *r = &recs->v[i];
		uint64_t len = seg_rec_len(r->head_len, r->payload_len);

		if (r->payload_len < SEG_ALIGN_FROM)
			g->packed_bytes += len;
		if (r->state != SEG_REC_LIVE)
			continue;
		g->n_live++;
		g->live_bytes += len;
	}
	pthread_mutex_unlock(&s->lock);
}

/*
 * A sync of it may have failed before: what is in a cache only is neither
 * believed nor sealed.
 */
static int forget_cached(struct store *s, struct seg *g)
{
	int fd, r = seg_fd_get(s, g, &fd);

	if (r < 0)
		return r;
	r = s->os->drop(s->os, fd);
	seg_fd_put(s, g);
	return r;
}

/* A segment that was open when the store went down. */
static int adopt(struct store *s, struct seg *g)
{
	struct seg_recs recs = { 0 };
	uint64_t tail;
	int fd, r = s->rdonly ? 0 : forget_cached(s, g);

	if (r < 0)
		return r;
	if (seg_count(s, g)) {
		/* sealed, but its name does not say so */
		pthread_mutex_lock(&s->lock);
		g->sealed = true;
		if (!s->rdonly)
			seg_dirty(s, g, true);
		pthread_mutex_unlock(&s->lock);
		return 0;
	}
	r = seg_fd_get(s, g, &fd);
	if (r < 0)
		return r;
	r = seg_scan(s, g, fd, &recs, &tail);
	seg_fd_put(s, g);
	if (r < 0) {
		seg_recs_free(s, &recs);
		return r;
	}
	take_records(s, g, &recs, tail);
	if (recs.partial || s->rdonly) {
		/* what cannot be read now may be read another time */
		g->bad = true;
		return 0;
	}
	g->sealing = true;
	s->n_sealing++;
	seg_seal(s, g);
	return 0;
}

/* A sealed segment that occupies next to nothing may hold nothing. */
static int weigh(struct store *s, struct seg *g)
{
	bool empty;
	int r;

	if (s->rdonly || g->alloc_bytes > SEG_ALIGN_FROM)
		return 0;
	r = seg_learn_live(s, g);
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	pthread_mutex_lock(&s->lock);
	empty = g->live_known && !g->n_live;
	pthread_mutex_unlock(&s->lock);
	if (empty)
		(void)seg_remove(s, g);
	return 0;
}

static int look_at_segments(struct store *s)
{
	bool count = s->super.fragments == UINT64_MAX;
	struct seg *g;
	uint64_t number = 0;
	uint32_t looked = 0;
	int r = 0;

	s->fragments = count ? 0 : s->super.fragments;
	while (!r && (g = seg_find_from(s, number))) {
		number = g->number + 1;
		if (g->open_name)
			r = adopt(s, g);
		else
			r = weigh(s, g);
		if (count && !r && !g->gone && looked++ < COUNT_SEGMENTS)
			s->fragments += g->sealed && !g->live_known
					    ? seg_count(s, g)
					    : g->n_live;
		seg_unref(s, g);
	}
	return r;
}

static uint64_t clamp(uint64_t v, uint64_t lo, uint64_t hi)
{
	if (v > hi)
		v = hi;
	return v < lo ? lo : v;
}

/*
 * A 64th of the disk at most, so that what is unused at the ends stays
 * small, but room for a few of the largest fragments.
 */
static int choose_sizes(struct store *s, const struct dynfs_store_open *how)
{
	uint64_t most = how->max_fragment_bytes, total, least;
	struct dynfs_os_space space;
	int r;

	if (!most)
		most = 16u << 20;
	if (most > SEG_SIZE_MAX / 4)
		return s->host->fail(s->host, -EINVAL,
				     "segment: fragments of %llu bytes are "
				     "too large",
				     (unsigned long long)most);
	s->max_record = (most + SEG_UNIT + 3 * (uint64_t)SEG_PAGE) &
			~(uint64_t)(SEG_PAGE - 1);
	s->limit_bytes = how->limit_bytes ? how->limit_bytes : UINT64_MAX;
	r = s->os->space(s->os, s->path, &space);
	if (r < 0)
		return r;
	total = clamp(space.total_bytes, 0, s->limit_bytes);
	least = 2 * s->max_record + 4 * (uint64_t)SEG_PAGE;
	s->segment_size = clamp(total / 64, 4u << 20, s->config.segment_size);
	s->segment_size = clamp(s->segment_size, least, SEG_SIZE_MAX);
	return 0;
}

static void forget_all(struct store *s)
{
	struct seg *g;

	while ((g = s->dirty)) {
		s->dirty = g->dirty_next;
		seg_unref(s, g);
	}
	while (s->n_segs) {
		g = s->segs[--s->n_segs];
		seg_unref(s, g);
	}
	s->host->free(s->host, s->segs);
	s->segs = NULL;
	s->cap_segs = 0;
	seg_recs_free(s, &s->list_recs);
	if (s->super_fd >= 0)
		(void)s->os->close(s->os, s->super_fd); /* synced */
	s->super_fd = -1;
	s->host->free(s->host, s->path);
	s->path = NULL;
}

int segment_open(void *self, const struct dynfs_store_open *how)
{
	struct store *s = self;
	size_t len = strlen(how->path);
	bool create;
	int r = 0;

	if (!len || len > 4000)
		return s->host->fail(s->host, -EINVAL,
				     "segment: a path of %zu bytes", len);
	s->rdonly = how->flags & DYNFS_STORE_OPEN_RDONLY;
	s->path = s->host->alloc(s->host, len + 1, 0);
	if (!s->path)
		return -ENOMEM;
	memcpy(s->path, how->path, len + 1);
	while (len > 1 && s->path[len - 1] == '/')
		s->path[--len] = 0;
	create = (how->flags & DYNFS_STORE_OPEN_CREATE) && !s->rdonly;
	if (create)
		r = seg_super_create(s);
	if (!r)
		r = seg_super_open(s, !create);
	if (!r)
		r = choose_sizes(s, how);
	s->next_number = s->super.next_number;
	if (!r)
		r = s->os->list(s->os, s->path, found_segment, s);
	if (s->super.next_number < s->next_number)
		s->super.next_number = s->next_number;
	/* a token for all of it, that no sync has covered */
	s->unsure = !s->rdonly;
	s->done_seq = s->unsure;
	if (!r)
		r = look_at_segments(s);
	if (r)
		forget_all(s);
	return r;
}

static void slots_seal(struct store *s)
{
	for (uint32_t i = 0; i < 16; i++) {
		struct seg *g = s->slot[i];

		if (!g)
			continue;
		s->slot[i] = NULL;
		g->append = false;
		g->sealing = true;
		s->n_sealing++;
		seg_seal(s, g);
		seg_unref(s, g);
	}
}

void segment_close(void *self)
{
	struct store *s = self;
	int r = 0;

	if (!s->rdonly) {
		slots_seal(s);
		pthread_mutex_lock(&s->lock);
		s->done_seq++;
		pthread_mutex_unlock(&s->lock);
		r = segment_sync(s, segment_mark(s));
		s->super.fragments = s->fragments;
		s->super.next_number = s->next_number;
		if (!r)
			r = seg_super_write(s);
		if (r < 0)
			s->host->log(s->host, DYNFS_WARN,
				     "segment: %s: not closed cleanly: %s",
				     s->path, strerrordesc_np(-r));
	}
	forget_all(s);
}
