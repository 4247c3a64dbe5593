/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From dirty runs to slices.
 *
 * A flush takes a row of runs, oldest first, of one inode or of several; big
 * runs become extents of their own, small ones share; what is tiny, or has to
 * be durable now, goes into the metadata itself. One batch then holds the
 * slices, the extents, the sizes and the references that the new slices hide.
 * Because the runs of an inode are taken in order, and one flush of an inode
 * runs at a time, its size on disk never runs ahead of its bytes.
 *
 * Encoding happens with no lock but content.flush held: writers go on, over
 * the runs in flight. Only the commit takes inode.io.
 */
#include <file/private.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/log.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FLUSH_RUNS_MAX 1024u
#define FLUSH_EXTENTS  16u /* payloads of one batch, in extents */

struct item { /* one run on its way */
	struct inode *in;
	struct run *run;
	const struct policy *policy;
	struct slice slice; /* what it becomes */
	bool small;         /* of a file that stays in the metadata */
	bool placed;
};

struct flush {
	struct files *f;
	struct inode **inodes; /* that gave runs, ascending by number; owned */
	uint32_t n_inodes;
	struct item *items; /* by inode, then by age */
	uint32_t n, cap;
	uint64_t bytes;
	uint64_t before_ns; /* younger runs wait for the next flush */
	struct batch batch;
	struct extent_id extents[FLUSH_RUNS_MAX];
	uint32_t n_extents;
	struct space staging; /* one extent; owned */
};

/* ---- taking ---------------------------------------------------------- */

/* A file that is small enough to stay in the metadata for good. */
static bool stays_inline(const struct inode *in)
{
	return in->rec.size <= in->files->how.inline_file_bytes;
}

static int take_inline(struct inode *in, struct content *c)
{
	struct hnode *n;
	int r = 0;

	if (!c->has_inline || stays_inline(in))
		return 0;
	for (n = hmap_iter(&c->chunks, NULL); n && r >= 0;
	     n = hmap_iter(&c->chunks, n)) {
		struct chunk *k = container_of(n, struct chunk, node);

		if (k->map.loaded && map_has_inline(&k->map))
			r = chunk_rewrite(in, c, k, false);
	}
	if (r >= 0)
		c->has_inline = false;
	return r;
}

/* Maps of all chunks with runs; those with too many slices are rewritten. */
static int take_maps(struct inode *in, struct content *c)
{
	int r = 0;

	list_for(l, &c->runs)
	{
		struct run *run = container_of(l, struct run, link);
		struct chunk *k;

		r = chunk_load(in, c, run->chunk->number, &k);
		if (r < 0)
			return r;
	}
	list_for(l, &c->runs)
	{
		struct chunk *k = container_of(l, struct run, link)->chunk;

		/* runs may have merged: the next of l may be gone */
		if (chunk_compact(in, c, k))
			return 1;
	}
	return 0;
}

static int take_run(struct flush *g, struct inode *in, struct run *run)
{
	if (g->n == g->cap) {
		uint32_t cap = g->cap ? g->cap * 2 : 16;
		struct item *items =
		    (struct item *)realloc(g->items, cap * sizeof(*items));

		if (!items)
			return -ENOMEM;
		g->items = items;
		g->cap = cap;
	}
	run->flushing = true;
	run->sequence = in->rec.sequence++;
	g->items[g->n++] = (struct item){
		.in = in,
		.run = run,
		.policy = inode_policy(in),
		.small = stays_inline(in),
		.slice = { .sequence = run->sequence,
			   .off = run->off,
			   .len = run->len },
	};
	g->bytes += run->len;
	return 0;
}

static struct list *newest_full(struct files *f, struct content *c)
{
	for (struct list *l = c->runs.prev; l != &c->runs; l = l->prev)
		if (container_of(l, struct run, link)->len ==
		    f->how.extent_bytes)
			return l;
	return NULL;
}

/* content.flush is held; takes and leaves inode.io. */
static int take_inode(struct flush *g, struct inode *in, enum flush_mode mode)
{
	struct content *c = in->content;
	struct list *last;
	uint64_t most = (uint64_t)FLUSH_EXTENTS * g->f->how.extent_bytes;
	int r = 0;

	AUTOWRLOCK(&in->io);
	if (in->gone)
		return 0;
	if (inode_is_doomed(in)) {
		/* it is reclaimed when the queue lets go of it */
		(void)runs_drop(in->files, c);
		c->has_inline = false;
		return 0;
	}
	if (mode == FLUSH_AGED)
		r = take_inline(in, c);
	while (r >= 0 && (r = take_maps(in, c)) == 1)
		;
	if (r < 0)
		return r;
	last = mode == FLUSH_FULL ? newest_full(g->f, c) : c->runs.prev;
	if (!last || list_empty(&c->runs))
		return 0;
	AUTOLOCK(&in->lock);
	list_for(l, &c->runs)
	{
		struct run *run = container_of(l, struct run, link);

		if (g->n >= FLUSH_RUNS_MAX || g->bytes >= most)
			break;
		if (run->born_ns <= g->before_ns)
			r = take_run(g, in, run);
		if (r < 0 || l == last)
			break;
	}
	return r;
}

/*
 * Only who gave runs takes part in the commit.  The others may have been
 * reclaimed since they were queued, and their records would be back.
 */
static int take_all(struct flush *g, struct inode *const *in, uint32_t n,
		    enum flush_mode mode)
{
	int r = 0;

	g->inodes = (struct inode **)calloc(n, sizeof(struct inode *));
	if (!g->inodes)
		return -ENOMEM;
	for (uint32_t i = 0; i < n && r >= 0; ++i) {
		uint32_t before = g->n;

		r = take_inode(g, in[i], mode);
		if (g->n > before)
			g->inodes[g->n_inodes++] = in[i];
	}
	return r;
}

/* ---- placing --------------------------------------------------------- */

static struct extent_owner owner_of(const struct flush *g,
				    const struct item *it, uint32_t at)
{
	return (struct extent_owner){
		.ino = it->in->ino,
		.generation = it->in->rec.generation,
		.file_offset = it->run->chunk->number * g->f->how.extent_bytes +
			       it->run->off,
		.sequence = it->run->sequence,
		.length = it->run->len,
		.extent_offset = at,
	};
}

static int place_extent(struct flush *g, const struct policy *p,
			const void *data, uint32_t len, struct item **items,
			const uint32_t *at, uint32_t n)
{
	AUTOFREE struct extent_owner *owners = NULL;
	struct extent_id id;
	int r;

	/* n is not 0: the item that a pack begins with always fits */
	/* NOLINTNEXTLINE(clang-analyzer-optin.portability.UnixAPI) */
	owners = (struct extent_owner *)calloc(n, sizeof(*owners));
	if (!owners)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; ++i)
		owners[i] = owner_of(g, items[i], at[i]);
	r = extent_write(g->f->how.extents, p, data, len, owners, n, &g->batch,
			 &id);
	if (r < 0)
		return r;
	g->extents[g->n_extents++] = id;
	for (uint32_t i = 0; i < n; ++i) {
		items[i]->slice.kind = SLICE_EXTENT;
		items[i]->slice.extent = id;
		items[i]->slice.extent_off = at[i];
		items[i]->placed = true;
	}
	return 0;
}

static int place_inline(struct item *it)
{
	it->slice.bytes = (uint8_t *)malloc(it->run->len);
	if (!it->slice.bytes)
		return -ENOMEM;
	memcpy(it->slice.bytes, it->run->at.data, it->run->len);
	it->slice.kind = SLICE_INLINE;
	it->placed = true;
	return 0;
}

/* The first that is not placed and all small ones of its policy that fit. */
static int place_packed(struct flush *g, uint32_t first)
{
	const struct policy *p = g->items[first].policy;
	struct item *items[FLUSH_RUNS_MAX];
	uint32_t at[FLUSH_RUNS_MAX], n = 0, len = 0;
	uint32_t big = g->f->how.extent_bytes / 2;

	if (!g->staging.data) {
		int r = space_new(g->f, g->f->how.extent_bytes, &g->staging);

		if (r < 0)
			return r;
	}
	for (uint32_t i = first; i < g->n; ++i) {
		struct item *it = &g->items[i];

		if (it->placed || it->run->len >= big ||
		    it->run->len > g->f->how.extent_bytes - len ||
		    it->policy != p)
			continue;
		memcpy(g->staging.data + len, it->run->at.data, it->run->len);
		items[n] = it;
		at[n++] = len;
		len += it->run->len;
	}
	return place_extent(g, p, g->staging.data, len, items, at, n);
}

static bool meta_is_as_safe(const struct flush *g, const struct policy *p)
{
	return meta_copies(g->f->how.meta) > p->m;
}

/* Not more than moves from there in time: it keeps room for little. */
static bool metadata_takes(struct files *f, uint64_t bytes)
{
	return bytes <= f->how.inline_sync_bytes &&
	       atomic_load(&f->inlined_bytes) + bytes <=
		   f->how.inline_most_bytes;
}

/* First what goes into the metadata, then the rest. */
static int place_all(struct flush *g, enum flush_mode mode)
{
	uint32_t big = g->f->how.extent_bytes / 2, zero = 0;
	bool sync_inline = mode == FLUSH_SYNC && metadata_takes(g->f, g->bytes);
	int r = 0;

	for (uint32_t i = 0; i < g->n && r >= 0; ++i) {
		struct item *it = &g->items[i];

		if ((sync_inline || it->small) &&
		    it->run->len <= g->f->how.inline_sync_bytes &&
		    meta_is_as_safe(g, it->policy))
			r = place_inline(it);
	}
	for (uint32_t i = 0; i < g->n && r >= 0; ++i) {
		struct item *it = &g->items[i], *one = it;

		if (it->placed)
			continue;
		if (it->run->len >= big)
			r = place_extent(g, it->policy, it->run->at.data,
					 it->run->len, &one, &zero, 1);
		else
			r = place_packed(g, i);
	}
	return r;
}

/* ---- committing ------------------------------------------------------ */

static int commit_slice(struct flush *g, struct item *it)
{
	struct chunk *k = it->run->chunk;
	struct slice_rec rec = {
		.kind = it->slice.kind,
		.offset = it->slice.off,
		.length = it->slice.len,
		.extent = it->slice.extent,
		.extent_offset = it->slice.extent_off,
		.bytes = it->slice.bytes,
	};
	struct key key = key_slice(it->in->ino, k->number, it->run->sequence);
	AUTOBUF struct buf value = BUF_INIT;
	struct amount before = map_amount(&k->map);
	int r;

	slice_rec_put(&value, &rec);
	if (buf_error(&value) < 0)
		return -ENOMEM;
	batch_put(&g->batch, key.data, key.len, value.data, value.len);
	if (rec.kind == SLICE_INLINE)
		it->in->content->has_inline = true;
	r = map_add(&k->map, &it->slice);
	it->slice.bytes = NULL; /* the map's, whatever came of it */
	if (r >= 0)
		r = drop_hidden(it->in, k, &g->batch);
	amount_move(it->in, before, map_amount(&k->map));
	run_count(it->in->content, it->run, true);
	chunk_weigh(g->f, it->in->content, k);
	return r;
}

/* How far the file's bytes are on disk when all that was taken is. */
static void commit_size(struct flush *g, struct inode *in)
{
	struct content *c = in->content;
	bool all = true;

	list_for(l, &c->runs) if (!container_of(l, struct run, link)->flushing)
	    all = false;
	if (all) {
		in->disk_size = in->rec.size;
		return;
	}
	list_for(l, &c->runs)
	{
		const struct run *run = container_of(l, struct run, link);
		uint64_t end = run->chunk->number * g->f->how.extent_bytes +
			       run->off + run->len;

		if (run->flushing && end > in->disk_size)
			in->disk_size = end;
	}
}

static int commit_batch(struct flush *g)
{
	int r = 0;

	for (uint32_t i = 0; i < g->n && r >= 0; ++i)
		r = commit_slice(g, &g->items[i]);
	for (uint32_t i = 0; i < g->n_inodes && r >= 0; ++i) {
		commit_size(g, g->inodes[i]);
		inode_record(g->inodes[i], &g->batch);
	}
	if (r >= 0)
		r = g->batch.error;
	return r;
}

/* The runs are in slices now, or can change again and are tried later. */
static void commit_settle(struct flush *g, int r)
{
	for (uint32_t i = 0; i < g->n; ++i) {
		struct item *it = &g->items[i];
		struct content *c = it->in->content;

		it->run->chunk->rewritten = false;
		if (r >= 0) {
			trouble_over(c);
			run_free(g->f, c, it->run);
			continue;
		}
		map_done(&it->run->chunk->map); /* to be loaded again */
		chunk_weigh(g->f, c, it->run->chunk);
		run_unflush(g->f, c, it->run);
	}
}

static int commit_locked(struct flush *g, int r)
{
	struct before *was =
	    (struct before *)calloc(g->n_inodes + 1, sizeof(*was));

	if (!was && r >= 0)
		r = -ENOMEM;
	extent_drop_begin(g->f->how.extents);
	for (uint32_t i = 0; i < g->n_inodes; ++i) {
		struct inode *in = g->inodes[i];

		(void)pthread_mutex_lock(&in->lock);
		if (was)
			was[i] = inode_before(in);
	}
	if (r >= 0)
		r = commit_batch(g);
	if (r >= 0)
		r = meta_commit(g->f->how.meta, &g->batch, NULL);
	for (uint32_t i = 0; i < g->n_inodes; ++i) {
		struct inode *in = g->inodes[i];

		if (r < 0 && was) {
			inode_undo(in, &was[i]);
			in->dirty_attr = true;
		}
		(void)pthread_mutex_unlock(&in->lock);
	}
	extent_drop_end(g->f->how.extents, r >= 0);
	commit_settle(g, r);
	free(was);
	return r;
}

static int flush_commit(struct flush *g, int r)
{
	/* take_all() has set all n_inodes of them */
	for (uint32_t i = 0; i < g->n_inodes; ++i)
		/* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker) */
		(void)pthread_rwlock_wrlock(&g->inodes[i]->io);
	r = commit_locked(g, r);
	for (uint32_t i = 0; i < g->n_inodes; ++i)
		(void)pthread_rwlock_unlock(&g->inodes[i]->io);
	maps_trim(g->f);
	return r;
}

/* ---- the whole ------------------------------------------------------- */

static void flush_end(struct flush *g, int r)
{
	for (uint32_t i = 0; i < g->n_extents && r < 0; ++i)
		extent_forget(g->f->how.extents, g->extents[i], &g->batch);
	for (uint32_t i = 0; i < g->n; ++i)
		free(g->items[i].slice.bytes);
	space_free(g->f, &g->staging);
	batch_done(&g->batch);
	free(g->items);
	free(g->inodes);
}

/* 1: took as much as one batch holds, there may be more. */
static int flush_once(struct files *f, struct inode *const *in, uint32_t n,
		      enum flush_mode mode, uint64_t before_ns)
{
	struct flush *g = (struct flush *)calloc(1, sizeof(*g));
	bool more;
	int r;

	if (!g)
		return -ENOMEM;
	g->f = f;
	g->before_ns = before_ns;
	batch_init(&g->batch);
	(void)meta_admit(f->how.meta); /* the commit says the same */
	r = take_all(g, in, n, mode);
	more = g->n >= FLUSH_RUNS_MAX ||
	       g->bytes >= (uint64_t)FLUSH_EXTENTS * f->how.extent_bytes;
	if (g->n) {
		if (r >= 0)
			r = place_all(g, mode);
		r = flush_commit(g, r);
	}
	flush_end(g, r);
	free(g);
	return r < 0 ? r : more;
}

int flush_inode(struct inode *in, enum flush_mode mode)
{
	const struct dynfs_os *os = in->files->how.os;
	uint64_t now = os->now_ns(os);
	int r;

	if (!content_of(in))
		return 0;
	do
		r = flush_once(in->files, &in, 1, mode, now);
	while (r == 1);
	return r;
}

static int by_number(const void *a, const void *b)
{
	const struct inode *x = *(struct inode *const *)a;
	const struct inode *y = *(struct inode *const *)b;

	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

int flush_many(struct inode **in, uint32_t n)
{
	const struct dynfs_os *os = in[0]->files->how.os;
	uint64_t now = os->now_ns(os);
	int r;

	qsort(in, n, sizeof(struct inode *), by_number);
	do
		r = flush_once(in[0]->files, in, n, FLUSH_AGED, now);
	while (r == 1);
	return r;
}
