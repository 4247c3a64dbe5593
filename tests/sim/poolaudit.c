/* SPDX-License-Identifier: Apache-2.0 */
#include "poolaudit.h"

#include "check.h"

#include <base/cleanup.h>
#include <base/fail.h>
#include <extent/private.h>
#include <file/private.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct audit {
	struct world *w;
	struct meta *m;
	struct extents *x;
	uint64_t n_slices, n_refs, n_on_disk, n_fragments, n_weak, at_risk;
	/* of the extent that is being looked at */
	struct extent_id id;
	uint64_t live;
	/* of the inode that is being looked at */
	struct map map;
	uint64_t chunk;
	struct amount amount;
	uint64_t reserved, used; /* of all; and as it is counted */
};

typedef int row_fn(void *ctx, const void *key, size_t key_len,
		   const void *value, size_t value_len);

static void extent_wrong(const struct audit *a, struct extent_id id,
			 const char *what)
{
	char where[160];

	seed_fail("%s: extent %" PRIx64 ".%" PRIu64 " %s",
		  world_where(a->w, where), id.epoch, id.counter, what);
}

static void scan(struct audit *a, struct key prefix, row_fn *each)
{
	CHECK(a->w,
	      !meta_scan(a->m, prefix.data, prefix.len, NULL, 0, each, a));
}

static bool there(struct audit *a, struct key key)
{
	AUTOBUF struct buf v = BUF_INIT;
	int r = meta_get(a->m, key.data, key.len, &v);

	CHECK(a->w, !r || r == -ENOENT);
	return !r;
}

static int count_row(void *ctx, const void *key, size_t key_len,
		     const void *value, size_t value_len)
{
	(void)key;
	(void)key_len;
	(void)value;
	(void)value_len;
	++*(uint64_t *)ctx;
	return 0;
}

static uint64_t count(struct audit *a, char kind)
{
	struct key all = key_kind(kind);
	uint64_t n = 0;

	CHECK(a->w,
	      !meta_scan(a->m, all.data, all.len, NULL, 0, count_row, &n));
	return n;
}

/* Every slice of an extent: it is there, long enough, and knows of it. */
static int see_slice(void *ctx, const void *key, size_t key_len,
		     const void *value, size_t value_len)
{
	struct audit *a = (struct audit *)ctx;
	uint64_t ino, chunk, sequence;
	struct extent_rec rec;
	struct slice_rec s;

	CHECK(a->w, !key_parse_slice(key, key_len, &ino, &chunk, &sequence));
	CHECK(a->w, !slice_rec_get(value, value_len, &s));
	CHECK(a->w, there(a, key_inode(ino)));
	if (s.kind != SLICE_EXTENT)
		return 0;
	a->n_slices++;
	if (extent_record(a->x, s.extent, &rec))
		extent_wrong(a, s.extent, "has a slice and is not there");
	if (s.extent_offset + (uint64_t)s.length > rec.plain_len)
		extent_wrong(a, s.extent, "is shorter than its slice");
	if (!there(a, key_ref(s.extent, ino, chunk, sequence)))
		extent_wrong(a, s.extent, "does not know of its slice");
	return 0;
}

static void end_chunk(struct audit *a)
{
	struct amount n = map_amount(&a->map);

	a->amount.stored += n.stored;
	a->amount.reserved += n.reserved;
	map_done(&a->map);
}

static int add_slice(void *ctx, const void *key, size_t key_len,
		     const void *value, size_t value_len)
{
	struct audit *a = (struct audit *)ctx;
	struct slice s = { 0 };
	struct slice_rec rec;
	uint64_t ino, chunk;

	CHECK(a->w, !key_parse_slice(key, key_len, &ino, &chunk, &s.sequence));
	CHECK(a->w, !slice_rec_get(value, value_len, &rec));
	if (chunk != a->chunk)
		end_chunk(a);
	a->chunk = chunk;
	s.kind = rec.kind;
	s.off = rec.offset;
	s.len = rec.length;
	CHECK(a->w, !map_add(&a->map, &s));
	return 0;
}

/* What an inode counts is what its slices show. */
static int see_inode(void *ctx, const void *key, size_t key_len,
		     const void *value, size_t value_len)
{
	struct audit *a = (struct audit *)ctx;
	struct inode_rec rec;
	uint64_t ino;
	char where[160];

	CHECK(a->w, !key_parse_inode(key, key_len, &ino));
	CHECK(a->w, !inode_rec_get(value, value_len, &rec));
	a->amount = (struct amount){ 0 };
	scan(a, key_slice_ino(ino), add_slice);
	end_chunk(a);
	if (a->amount.stored != rec.stored ||
	    a->amount.reserved != rec.reserved)
		seed_fail("%s: inode %" PRIu64 " counts %" PRIu64
			  " and %" PRIu64 ", its slices %" PRIu64
			  " and %" PRIu64,
			  world_where(a->w, where), ino, rec.stored,
			  rec.reserved, a->amount.stored, a->amount.reserved);
	a->reserved += rec.reserved;
	return 0;
}

static int add_usage(void *ctx, const void *key, size_t key_len,
		     const void *value, size_t value_len)
{
	struct audit *a = (struct audit *)ctx;
	struct usage_rec rec;

	(void)key;
	(void)key_len;
	CHECK(a->w, !usage_rec_get(value, value_len, &rec));
	a->used += rec.bytes;
	return 0;
}

static void see_reserved(struct audit *a)
{
	struct key key = key_usage(USAGE_RESERVED, 0);

	key.len -= sizeof(uint32_t); /* of whatever policy */
	scan(a, key_kind('I'), see_inode);
	scan(a, key, add_usage);
	CHECK(a->w, a->used == a->reserved);
	CHECK(a->w, files_reserved(pool_files(a->w->p.pool)) == a->reserved);
}

/* Adds up what the slices of one extent say that they want of it. */
static int see_ref(void *ctx, const void *key, size_t key_len,
		   const void *value, size_t value_len)
{
	struct audit *a = (struct audit *)ctx;
	uint64_t ino, chunk, sequence;
	struct extent_id id;
	AUTOBUF struct buf v = BUF_INIT;
	struct slice_rec s;
	struct key of;

	(void)value;
	(void)value_len;
	a->n_refs++;
	CHECK(a->w, !key_parse_ref(key, key_len, &id, &ino, &chunk, &sequence));
	of = key_slice(ino, chunk, sequence);
	if (meta_get(a->m, of.data, of.len, &v) ||
	    slice_rec_get(v.data, v.len, &s) || !extent_same(s.extent, id))
		extent_wrong(a, id, "has a reference from no slice");
	a->live += s.length;
	return 0;
}

static uint64_t live_of(struct audit *a, struct extent_id id)
{
	struct key key = key_live(id);
	AUTOBUF struct buf v = BUF_INIT;
	struct rd rd;
	uint64_t n;

	if (meta_get(a->m, key.data, key.len, &v))
		extent_wrong(a, id, "has no count of live bytes");
	rd = rd_of(v.data, v.len);
	(void)rd8(&rd);
	n = rd_var(&rd);
	CHECK(a->w, !rd_end(&rd));
	return n;
}

/* Fragments that are known to be missing or wrong. */
static uint32_t queued_mask(struct audit *a, struct extent_id id)
{
	struct key key = key_repair(id);
	AUTOBUF struct buf v = BUF_INIT;
	struct repair_rec rec;

	if (meta_get(a->m, key.data, key.len, &v))
		return 0;
	CHECK(a->w, !repair_rec_get(v.data, v.len, &rec));
	return rec.mask;
}

static bool is_weak(const struct world *w, uint32_t id)
{
	const struct disk *k = disks_find(pool_disks(w->p.pool), id);

	CHECK(w, k);
	for (unsigned i = 0; i < w->n_weak; i++)
		if (!strcmp(k->path, simpool_disk(w->weak[i])))
			return true;
	return false;
}

/*
 * What is on a weak disk may be out of reach, or flipped; but that its calls
 * fail is no reason to lose there what was answered.
 */
static bool may_be_bad(const struct audit *a, uint32_t id)
{
	const struct disk *k = disks_find(pool_disks(a->w->p.pool), id);

	return is_weak(a->w, id) && (a->w->flips || a->w->away[0] ||
				     a->w->away[1] || !disk_writable(k));
}

static void see_fragment(struct audit *a, const struct extent_rec *rec,
			 uint32_t i)
{
	const struct fragment_rec *f = &rec->fragments[i];
	struct fragio io = { .index = i, .to = rec->payload_len };
	AUTOFREE uint8_t *buf = (uint8_t *)malloc(rec->payload_len);
	struct xentry *e = xentry_new(a->id, rec);

	CHECK(a->w, buf && e);
	if (!there(a, key_on_disk(f->disk, a->id, (uint16_t)i)))
		extent_wrong(a, a->id, "is not among those of its disk");
	for (uint32_t j = 0; j < i; j++)
		if (rec->fragments[j].disk == f->disk)
			extent_wrong(a, a->id, "has two on one disk");
	io.buf = buf;
	if (!may_be_bad(a, f->disk)) {
		int r = fragio_read(a->x, e, &io, 1);

		r = r < 0 ? r : io.result;
		if (r < 0)
			(void)fprintf(stderr, "fragment %u on disk %u: %s\n", i,
				      f->disk, fail_name(r));
		if (r < 0)
			extent_wrong(a, a->id,
				     "has a bad fragment that nobody knows");
	}
	xentry_free(e);
	met(a->w, SUM_FRAGMENTS, 1);
}

static int see_extent(void *ctx, const void *key, size_t key_len,
		      const void *value, size_t value_len)
{
	struct audit *a = (struct audit *)ctx;
	struct extent_rec rec;
	uint32_t queued, strong = 0;

	CHECK(a->w, !key_parse_extent(key, key_len, &a->id));
	CHECK(a->w, !extent_rec_get(value, value_len, &rec));
	a->live = 0;
	scan(a, key_ref_extent(a->id), see_ref);
	if (!a->live)
		extent_wrong(a, a->id, "is wanted by nobody");
	if (a->live != live_of(a, a->id))
		extent_wrong(a, a->id, "counts its live bytes wrongly");
	queued = queued_mask(a, a->id);
	for (uint32_t i = 0; i < rec.k + rec.m; i++)
		strong += !(queued & 1u << i) && rec.fragments[i].disk &&
			  !is_weak(a->w, rec.fragments[i].disk);
	/* one that is not recorded any more was on a disk, too */
	a->w->frail |= strong < rec.k;
	a->n_weak += there(a, key_repair(a->id));
	a->at_risk += there(a, key_repair(a->id)) ? rec.plain_len : 0;
	if ((rec.flags & EXTENT_DEGRADED) && !there(a, key_repair(a->id)))
		extent_wrong(a, a->id, "is degraded and not to be repaired");
	for (uint32_t i = 0; i < rec.k + rec.m; i++) {
		if (!rec.fragments[i].disk && !(queued & 1u << i))
			extent_wrong(a, a->id, "lacks one, unknown to repair");
		a->n_fragments += rec.fragments[i].disk != 0;
		if (rec.fragments[i].disk && !(queued & 1u << i))
			see_fragment(a, &rec, i);
		else if (rec.fragments[i].disk)
			CHECK(a->w, there(a, key_on_disk(rec.fragments[i].disk,
							 a->id, (uint16_t)i)));
	}
	return 0;
}

/*
 * The background has nothing left to do.  Frees wait for a record that
 * confirms, which an idle pool writes when it is time, and for disks.
 */
static void settle(struct audit *a)
{
	unsigned tries = 0;

	while (count(a, 'O'))
		CHECK(a->w, world_nap(&tries));
	CHECK(a->w, !pool_sync(a->w->p.pool));
	while (!a->w->worn && count(a, 'Z')) {
		simos_advance(a->w->p.sim, 2000000000);
		CHECK(a->w, world_nap(&tries));
	}
	CHECK(a->w, !pool_sync(a->w->p.pool));
}

static void statfs_agrees(struct audit *a)
{
	const struct dynfs_fs_view *fs = a->w->p.fs;
	struct dynfs_statfs st;

	CHECK(a->w, !fs->statfs(fs->ctx, &st));
	CHECK(a->w, st.files - st.files_free == count(a, 'I'));
}

void audit(struct world *w)
{
	struct audit a = { .w = w,
			   .m = pool_meta(w->p.pool),
			   .x = pool_extents(w->p.pool) };
	struct extents_status st;

	settle(&a);
	check_names(a.m);
	statfs_agrees(&a);
	scan(&a, key_kind('S'), see_slice);
	scan(&a, key_kind('E'), see_extent);
	see_reserved(&a);
	a.n_on_disk = count(&a, 'Q');
	CHECK(w, a.n_slices == a.n_refs && a.n_refs == count(&a, 'R'));
	CHECK(w, a.n_on_disk == a.n_fragments);
	CHECK(w, count(&a, 'L') == count(&a, 'E'));
	CHECK(w, a.n_weak == count(&a, 'W'));
	extents_status(a.x, &st);
	CHECK(w, st.queued_repair == a.n_weak);
	CHECK(w, st.bytes_at_risk == a.at_risk);
}

void audit_empty(struct world *w)
{
	static const char kinds[] = "SELRQW";
	struct audit a = { .w = w,
			   .m = pool_meta(w->p.pool),
			   .x = pool_extents(w->p.pool) };

	settle(&a);
	for (const char *k = kinds; *k; k++)
		CHECK(w, count(&a, *k) == 0);
	CHECK(w, w->worn || count(&a, 'Z') == 0);
}

/* What is busy is not waited for: a map is loaded under this lock. */
static bool drain_is_under_way(struct content *c)
{
	bool is;

	if (pthread_mutex_trylock(&c->map_lock))
		return false;
	is = c->cut.known && c->cut.below && c->cut.at > c->cut.chunk;
	(void)pthread_mutex_unlock(&c->map_lock);
	return is;
}

uint64_t drains_under_way(struct world *w)
{
	struct files *f = pool_files(w->p.pool);
	uint64_t n = 0;

	AUTOLOCK(&f->lock);
	for (struct hnode *h = hmap_iter(&f->inodes, NULL); h;
	     h = hmap_iter(&f->inodes, h)) {
		struct content *c =
		    content_of(container_of(h, struct inode, node));

		n += c && drain_is_under_way(c);
	}
	return n;
}
