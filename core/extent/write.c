/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing an extent: encode, sum, place, write, and record.
 *
 * The caller's bytes are cut into pieces in place; only a short tail and the
 * checks need memory of their own, and copies not even that: all of them are
 * written from the caller's bytes. A fragment whose disk fails is placed again
 * on another. An extent is good enough to be answered with k+1 fragments (or
 * two copies); with fewer its degraded policy is tried, and the last resort is
 * what the pool can hold at all, with an event. Sums are made for all
 * fragments, also for those that could not be written: the roots are what a
 * later rebuild is checked against.
 */
#include <extent/private.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/unconst.h>

#include <errno.h>
#include <inttypes.h>
#include <registry/checksum.h>
#include <registry/redundancy.h>
#include <string.h>

#define RESERVE_SHARE 64u /* one part in so many */
#define RESERVE_MAX   (16ull << 20)

struct writing {
	struct extents *x;
	const struct policy *p;
	struct extent_shape shape;
	uint32_t n; /* k + m */
	struct scratch *scratch;
	uint8_t *shard[FRAGMENTS_MAX];
	struct buf head[FRAGMENTS_MAX];
	uint8_t *table[FRAGMENTS_MAX]; /* of block sums, inside head */
	struct iovec iov[FRAGMENTS_MAX][2];
	struct disk_op op[FRAGMENTS_MAX];
	struct disk *disk[FRAGMENTS_MAX]; /* holds it, or NULL */
	struct disk *bad[FRAGMENTS_MAX];
	uint32_t n_bad;
	uint64_t cost; /* of one fragment on a disk */
	struct extent_rec rec;
};

/* Pieces of the caller's bytes, zero-filled tails and checks of our own. */
static int writing_cut(struct writing *w, const void *data, uint32_t len)
{
	uint64_t piece = w->shape.payload_len;
	uint32_t whole = (uint32_t)(len / piece), own;
	uint8_t *to;

	if (whole > w->p->k)
		whole = w->p->k;
	/* encode() takes shard pointers that are not const, and reads k */
	for (uint32_t i = 0; i < whole; ++i)
		w->shard[i] = (uint8_t *)unconst(data) + i * piece;
	own = w->p->copies ? w->p->k - whole : w->n - whole;
	w->scratch = scratch_get(w->x, (size_t)(own * piece));
	if (!w->scratch)
		return -ENOMEM;
	to = w->scratch->data;
	for (uint32_t i = whole; i < w->n; ++i) {
		w->shard[i] = i && w->p->copies ? w->shard[0] : to;
		to += w->shard[i] == to ? piece : 0;
	}
	if (whole < w->p->k) {
		uint64_t tail = len - whole * piece;

		/* the data shards of our own are the first of the scratch */
		to = w->scratch->data;
		memcpy(to, (const uint8_t *)data + whole * piece, tail);
		memset(to + tail, 0, (w->p->k - whole) * piece - tail);
	}
	return 0;
}

/* The checks of one block of every shard, and the sums of all of them. */
static int writing_column(struct writing *w, uint64_t at)
{
	const struct policy *p = w->p;
	uint64_t len = w->shape.payload_len - at;
	size_t sum = at / p->block_bytes * p->digest_len;
	uint32_t distinct = p->copies ? 1 : w->n;
	uint8_t *shard[FRAGMENTS_MAX];
	int r = 0;

	if (len > p->block_bytes)
		len = p->block_bytes;
	for (uint32_t i = 0; i < w->n; ++i)
		shard[i] = w->shard[i] + at;
	if (!p->copies)
		r = reg_redundancy_encode(p->redundancy, p->k, p->m, shard,
					  len);
	for (uint32_t i = 0; i < distinct && r >= 0; ++i)
		r = reg_checksum_sum(p->checksum, w->shard[i] + at, len,
				     w->table[i] + sum);
	return r;
}

/*
 * Block by block, not shard by shard: what was encoded is summed while it is
 * still in the processor's nearest caches.
 */
static int writing_encode(struct writing *w)
{
	const struct uuid *pool = &disks_label(w->x->how.disks)->pool;
	uint64_t len = w->shape.payload_len;
	int r = 0;

	for (uint32_t i = 0; i < w->n && r >= 0; ++i)
		r = head_build(&w->shape, pool, i, &w->head[i], &w->table[i]);
	for (uint64_t at = 0; at < len && r >= 0; at += w->p->block_bytes)
		r = writing_column(w, at);
	return r;
}

static int writing_seal(struct writing *w)
{
	const struct extent_shape *s = &w->shape;
	uint32_t blocks = head_blocks(s->payload_len, w->p->block_bytes);

	for (uint32_t i = 0; i < w->n; ++i) {
		int r;

		if (i && w->p->copies)
			memcpy(w->table[i], w->table[0],
			       (size_t)blocks * w->p->digest_len);
		r = head_root(s, i, w->table[i], blocks,
			      w->rec.fragments[i].root);
		if (r < 0)
			return r;
		head_seal(&w->head[i]);
	}
	return 0;
}

static void writing_op(struct writing *w, uint32_t i, struct disk *k)
{
	w->iov[i][0] = (struct iovec){ w->head[i].data, w->head[i].len };
	w->iov[i][1] = (struct iovec){ w->shard[i], w->shape.payload_len };
	w->op[i] = (struct disk_op){
		.disk = k,
		.op = {
			.size = sizeof(struct dynfs_store_op),
			.kind = DYNFS_STORE_WRITE,
			.id = { w->shape.id.epoch, w->shape.id.counter, i, 0 },
			.iov = w->iov[i],
			.n_iov = 2,
			.head_len = (uint32_t)w->head[i].len,
		},
	};
}

/* One round: the fragments not written yet, on disks that were picked. */
static void writing_round(struct writing *w, struct disk **to, uint32_t n)
{
	struct disk_op *ops[FRAGMENTS_MAX];
	uint32_t index[FRAGMENTS_MAX], at = 0;

	for (uint32_t i = 0; i < w->n && at < n; ++i) {
		if (w->disk[i])
			continue;
		index[at] = i;
		writing_op(w, i, to[at]);
		ops[at] = &w->op[i];
		atomic_fetch_add(&to[at]->reserved_bytes, w->cost);
		at++;
	}
	disks_submit(w->x->how.disks, ops, at, true);
	for (uint32_t j = 0; j < at; ++j) {
		uint32_t i = index[j];

		atomic_fetch_sub(&to[j]->reserved_bytes, w->cost);
		if (w->op[i].op.result >= 0) {
			w->disk[i] = to[j];
			w->rec.fragments[i].place = w->op[i].op.place;
		} else if (w->n_bad < FRAGMENTS_MAX) {
			w->bad[w->n_bad++] = to[j];
		}
	}
}

static uint32_t writing_done(const struct writing *w)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < w->n; ++i)
		n += w->disk[i] != NULL;
	return n;
}

/*
 * Write until all fragments are somewhere or no disk is left for the rest;
 * at_least: begin only if that many disks are there.
 */
static int writing_store(struct writing *w, uint32_t at_least)
{
	struct disk *to[FRAGMENTS_MAX];

	for (;;) {
		uint32_t done = writing_done(w), have = 0;
		struct place_want want = {
			.fragment_bytes = w->cost,
			.key = extent_hash(w->shape.id),
			.n = w->n - done,
			.used = w->disk,
			.n_used = w->n,
			.bad = w->bad,
			.n_bad = w->n_bad,
		};
		int r;

		if (done == w->n || w->n_bad == FRAGMENTS_MAX)
			return 0;
		r = place_pick(w->x, &want, to, &have);
		if (r == -ENOSPC && done + have >= at_least && have) {
			want.n = have;
			r = place_pick(w->x, &want, to, &have);
		}
		if (r == -ENOSPC)
			return done >= at_least && done ? 0 : -ENOSPC;
		if (r < 0)
			return r;
		writing_round(w, to, want.n);
	}
}

static void writing_free_fragments(struct writing *w)
{
	struct disk_op *ops[FRAGMENTS_MAX];
	uint32_t n = 0;

	for (uint32_t i = 0; i < w->n; ++i) {
		if (!w->disk[i])
			continue;
		w->op[i].op.kind = DYNFS_STORE_FREE;
		w->op[i].done = NULL;
		ops[n++] = &w->op[i];
		w->disk[i] = NULL;
	}
	if (n)
		disks_submit(w->x->how.disks, ops, n, true);
}

static void writing_end(struct writing *w)
{
	scratch_put(w->x, w->scratch);
	for (uint32_t i = 0; i < w->n; ++i)
		buf_done(&w->head[i]);
}

static void writing_fill_rec(struct writing *w, uint32_t wanted)
{
	struct extent_rec *r = &w->rec;

	r->flags = (uint8_t)((w->shape.n_owners > 1 ? EXTENT_PACKED : 0) |
			     (wanted != w->p->id || writing_done(w) < w->n
				  ? EXTENT_DEGRADED
				  : 0));
	r->policy = wanted;
	r->stored_as = w->p->id;
	r->k = w->p->k;
	r->m = w->p->m;
	r->block_bytes = w->p->block_bytes;
	r->digest_len = w->p->digest_len;
	r->plain_len = w->shape.plain_len;
	r->stored_len = w->shape.stored_len;
	r->payload_len = w->shape.payload_len;
	r->epoch = w->shape.epoch;
	for (uint32_t i = 0; i < w->n; ++i)
		r->fragments[i].disk = w->disk[i] ? w->disk[i]->id : 0;
}

static void put_one(struct batch *b, struct key key, const void *v, size_t n)
{
	batch_put(b, key.data, key.len, v, n);
}

static int writing_record(struct writing *w, struct batch *b)
{
	static const uint8_t version[1] = { 1 };
	struct extent_id id = w->shape.id;
	AUTOBUF struct buf value = BUF_INIT;
	uint64_t live = 0;

	extent_rec_put(&value, &w->rec);
	put_one(b, key_extent(id), value.data, value.len);
	for (uint32_t i = 0; i < w->n; ++i) {
		if (!w->disk[i])
			continue;
		put_one(b, key_on_disk(w->disk[i]->id, id, (uint16_t)i),
			version, 1);
		batch_touch(b, w->disk[i]->id, disk_mark(w->disk[i]));
	}
	for (uint32_t i = 0; i < w->shape.n_owners; ++i) {
		const struct extent_owner *o = &w->shape.owners[i];

		live += o->length;
		put_one(b,
			key_ref(id, o->ino,
				o->file_offset / w->x->how.extent_bytes,
				o->sequence),
			version, 1);
	}
	buf_clear(&value);
	live_rec_put(&value, live);
	put_one(b, key_live(id), value.data, value.len);
	if (w->rec.flags & EXTENT_DEGRADED) {
		struct repair_rec repair = {
			.reason = REPAIR_WRITTEN_DEGRADED,
			.since_ns = w->shape.wall_ns,
		};

		for (uint32_t i = 0; i < w->n; ++i)
			repair.mask |= w->disk[i] ? 0 : 1u << i;
		buf_clear(&value);
		repair_rec_put(&value, &repair);
		put_one(b, key_repair(id), value.data, value.len);
	}
	return buf_error(&value) < 0 ? -ENOMEM : b->error;
}

/* One attempt under one policy, with at least so many fragments. */
static int extent_write_as(struct extents *x, const struct policy *p,
			   uint32_t wanted, uint32_t at_least,
			   const struct extent_shape *shape, const void *data,
			   struct batch *b)
{
	AUTOFREE struct writing *w = NULL;
	int r;

	w = (struct writing *)calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->x = x;
	w->p = p;
	w->n = p->k + p->m;
	w->shape = *shape;
	w->shape.policy = p;
	w->shape.payload_len = policy_payload_len(p, shape->stored_len);
	w->cost = w->shape.payload_len + 4096 +
		  head_len(p, w->shape.payload_len, shape->n_owners);
	r = writing_cut(w, data, (uint32_t)shape->plain_len);
	if (r >= 0)
		r = writing_encode(w);
	if (r >= 0)
		r = writing_seal(w);
	if (r >= 0)
		r = writing_store(w, at_least);
	if (r >= 0 && writing_done(w) < at_least)
		r = -ENOSPC;
	if (r >= 0) {
		writing_fill_rec(w, wanted);
		r = writing_record(w, b);
	}
	if (r >= 0 && (w->rec.flags & EXTENT_DEGRADED)) {
		atomic_fetch_add(&x->n_degraded_writes, 1);
		repair_count(x, 1, (int64_t)shape->plain_len);
		if (writing_done(w) <= p->k)
			extents_say(x, "no-redundancy", shape->id,
				    "written as %s with %u of %u fragments: "
				    "no disk may be lost",
				    p->spec, writing_done(w), w->n);
	}
	if (r < 0)
		writing_free_fragments(w);
	writing_end(w);
	return r;
}

/* How many fragments make an extent that one more loss does not destroy. */
static uint32_t policy_safe(const struct policy *p)
{
	return p->m ? p->k + 1 : p->k;
}

static uint32_t disks_that_write(struct extents *x)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < disks_count(x->how.disks); ++i) {
		struct disk *k = disks_at(x->how.disks, i);

		n += disk_has_place(k);
	}
	return n;
}

/*
 * The form for so many disks, and how many fragments it must have: all that
 * there are disks for.  A disk that is full is no reason for less: that would
 * trade the redundancy of the newest data for room that statfs never promised.
 */
static const struct policy *policy_for(const struct policy *p, uint32_t disks,
				       uint32_t *ret_need)
{
	uint32_t n;

	if (p->degraded && disks < policy_safe(p))
		p = p->degraded;
	n = p->k + p->m;
	*ret_need = p->degraded && disks < n ? disks : n;
	return *ret_need < p->k ? NULL : p;
}

void extents_capacity(struct extents *x, const struct policy *p,
		      uint64_t *ret_total, uint64_t *ret_free)
{
	uint32_t need, disks;

	do {
		const struct policy *as;

		disks = disks_that_write(x);
		as = policy_for(p, disks, &need);
		*ret_total = *ret_free = 0;
		if (as)
			disks_capacity(x->how.disks, as->k, need, ret_total,
				       ret_free);
		/* for the form of more disks than there are nothing is free */
	} while (disks_that_write(x) < disks);
}

uint64_t extents_reserve(uint64_t total)
{
	uint64_t share = total / RESERVE_SHARE;

	return share < RESERVE_MAX ? share : RESERVE_MAX;
}

int extent_write(struct extents *x, const struct policy *p, const void *data,
		 uint32_t len, const struct extent_owner *owners,
		 uint32_t n_owners, struct batch *b, struct extent_id *ret)
{
	const struct dynfs_os *os = x->how.os;
	struct extent_shape shape = {
		.id = extent_new_id(x),
		.plain_len = len,
		.stored_len = len,
		.epoch = disks_epoch(x->how.disks),
		.number = meta_open_number(x->meta),
		.wall_ns = os->wall_ns(os),
		.owners = owners,
		.n_owners = n_owners,
	};
	uint32_t disks;
	int r;

	if (!len || len > x->how.extent_bytes)
		return -EINVAL;
	do {
		const struct policy *as;
		uint32_t need;

		disks = disks_that_write(x);
		as = policy_for(p, disks, &need);
		if (!as)
			return fail(-ENOSPC,
				    "policy %s needs %u disks that "
				    "take writes, there are %u",
				    p->name, p->k, disks);
		r = extent_write_as(x, as, p->id, need, &shape, data, b);
		/* a disk that failed meanwhile changes the question */
	} while (r == -ENOSPC && disks_that_write(x) < disks);
	if (r < 0)
		return r;
	atomic_fetch_add(&x->n_writes, 1);
	*ret = shape.id;
	return 0;
}

/* The fragments are named by the record that the batch would have put. */
void extent_forget(struct extents *x, struct extent_id id,
		   const struct batch *b)
{
	struct rd ops = rd_of(b->ops.data, b->ops.len);
	struct key want = key_extent(id);
	const void *key, *value;
	size_t key_len, value_len;
	struct extent_rec rec;
	uint8_t kind;

	while (batch_next(&ops, &kind, &key, &key_len, &value, &value_len) ==
	       1) {
		struct free_rec f = { 0 };

		if (kind != DYNFS_META_PUT || key_len != want.len ||
		    memcmp(key, want.data, want.len) != 0 ||
		    extent_rec_get(value, value_len, &rec) < 0)
			continue;
		if (rec.flags & EXTENT_DEGRADED)
			repair_count(x, -1, -(int64_t)rec.plain_len);
		for (uint32_t i = 0; i < rec.k + rec.m; ++i) {
			if (!rec.fragments[i].disk)
				continue;
			f.at[f.n].disk = rec.fragments[i].disk;
			f.at[f.n].index = i;
			f.at[f.n++].place = rec.fragments[i].place;
		}
		reclaim_add(x, id, 0, 0, &f);
		return;
	}
}
