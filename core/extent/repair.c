/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The repair queue, and moving a fragment to another disk.
 *
 * A W record says that an extent is below full strength; it is put by the
 * write that made it so, by a read that found a fragment missing or wrong, and
 * by a sync that failed.  A job works the queue off later.  Moving a fragment
 * is write new, verify against the root, switch the record in one batch, free
 * the old one: a crash in between leaves the old state.
 */
#include <extent/private.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/le.h>
#include <base/log.h>

#include <errno.h>
#include <inttypes.h>
#include <registry/checksum.h>
#include <stdlib.h>

void repair_count(struct extents *x, int64_t extents, int64_t bytes)
{
	atomic_fetch_add(&x->queued_repair, (uint64_t)extents);
	atomic_fetch_add(&x->bytes_at_risk, (uint64_t)bytes);
}

/* Adds to what is queued already; repair_lock is held. */
static int repair_put(struct extents *x, struct extent_id id,
		      uint64_t plain_len, uint32_t mask,
		      enum repair_reason reason, struct batch *b)
{
	AUTOBUF struct buf value = BUF_INIT;
	struct key key = key_repair(id);
	struct repair_rec rec = {
		.reason = (uint8_t)reason,
		.mask = mask,
		.since_ns = x->how.os->wall_ns(x->how.os),
	}, was;
	int r = meta_get(x->meta, key.data, key.len, &value);

	if (r >= 0 && repair_rec_get(value.data, value.len, &was) >= 0) {
		if ((was.mask | mask) == was.mask)
			return 0;
		rec.mask |= was.mask;
		rec.since_ns = was.since_ns;
	} else {
		repair_count(x, 1, (int64_t)plain_len);
	}
	buf_clear(&value);
	repair_rec_put(&value, &rec);
	batch_put(b, key.data, key.len, value.data, value.len);
	return buf_error(&value) < 0 ? -ENOMEM : b->error;
}

void repair_queue(struct extents *x, struct xentry *e, uint32_t mask,
		  enum repair_reason reason)
{
	AUTOBUF struct buf value = BUF_INIT;
	struct key key = key_extent(e->id);
	AUTOBATCH struct batch b;
	int r;

	batch_init(&b);
	if (!mask || x->readonly || atomic_exchange(&e->queued, true))
		return;
	AUTOLOCK(&x->repair_lock);
	/* it may have been dropped meanwhile: no W without an E */
	r = meta_get(x->meta, key.data, key.len, &value);
	if (r >= 0)
		r = repair_put(x, e->id, e->rec.plain_len, mask, reason, &b);
	if (r >= 0 && b.n_ops)
		r = meta_commit(x->meta, &b, NULL);
	/* a disk that is away is told once, not for each extent on it */
	if (r >= 0 && reason == REPAIR_CHECKSUM)
		extents_say(x, "damaged", e->id,
			    "fragments %#x missing or wrong; read from the "
			    "others and queued for repair",
			    mask);
}

int repair_remember(struct extents *x, struct extent_id id, uint32_t mask)
{
	struct weak_extent *v;
	AUTOLOCK(&x->repair_lock);

	v = (struct weak_extent *)realloc(x->weak,
					  (x->n_weak + 1) * sizeof(*v));
	if (!v)
		return -ENOMEM;
	v[x->n_weak++] = (struct weak_extent){ id, mask };
	x->weak = v;
	return 0;
}

/* As far as it was not dropped after all. */
int extents_replayed_hook(void *ctx)
{
	struct extents *x = (struct extents *)ctx;

	for (size_t i = 0; i < x->n_weak; ++i) {
		struct extent_rec rec;
		struct xentry *e;

		if (extent_record(x, x->weak[i].id, &rec) < 0)
			continue;
		e = xentry_new(x->weak[i].id, &rec);
		if (!e)
			return -ENOMEM;
		repair_queue(x, e, x->weak[i].mask, REPAIR_UNREADABLE);
		xentry_free(e);
	}
	if (x->n_weak)
		log_info("extent",
			 "%zu extents are weak after replay and queued for "
			 "repair",
			 x->n_weak);
	free(x->weak);
	x->weak = NULL;
	x->n_weak = 0;
	return 0;
}

static int repair_load_one(void *ctx, const void *key, size_t key_len,
			   const void *value, size_t value_len)
{
	struct extents *x = (struct extents *)ctx;
	struct extent_rec rec;
	struct extent_id id;

	(void)value;
	(void)value_len;
	if (key_parse_extent(key, key_len, &id) < 0)
		return fail(-EUCLEAN, "a key of the repair queue is damaged");
	repair_count(
	    x, 1, extent_record(x, id, &rec) < 0 ? 0 : (int64_t)rec.plain_len);
	return 0;
}

int repair_load(struct extents *x)
{
	struct key all = key_kind('W');

	/* those that replay queued are among them */
	atomic_store(&x->queued_repair, 0);
	atomic_store(&x->bytes_at_risk, 0);
	return meta_scan(x->meta, all.data, all.len, NULL, 0, repair_load_one,
			 x);
}

/* ---- moving a fragment ----------------------------------------------- */

static int read_part(struct extents *x, struct xentry *e, uint32_t index,
		     uint64_t offset, void *to, size_t len)
{
	struct iovec iov = { to, len };
	struct disk_op op = {
		.disk = disks_find(x->how.disks, e->rec.fragments[index].disk),
		.op = {
			.size = sizeof(struct dynfs_store_op),
			.kind = DYNFS_STORE_READ,
			.id = { e->id.epoch, e->id.counter, index, 0 },
			.place = e->rec.fragments[index].place,
			.iov = &iov,
			.n_iov = 1,
			.part = DYNFS_STORE_HEAD,
			.offset = offset,
		},
	};
	struct disk_op *ops[1] = { &op };

	disks_submit(x->how.disks, ops, 1, true);
	return op.op.result;
}

/* The owners as some other fragment's head has them. */
static int read_owners(struct extents *x, struct xentry *e, uint32_t not,
		       struct extent_owner **ret, uint32_t *ret_n)
{
	int r = -EIO;

	for (uint32_t i = 0; i < e->rec.k + e->rec.m && r < 0; ++i) {
		AUTOFREE uint8_t *head = NULL;
		uint8_t fixed[HEAD_FIXED_BYTES];
		uint32_t len;

		if (i == not || !fragment_reachable(x, &e->rec.fragments[i]))
			continue;
		r = read_part(x, e, i, 0, fixed, sizeof(fixed));
		if (r < 0)
			continue;
		len = get_le32(fixed + 12);
		if (len < sizeof(fixed) || len > 16u << 20) {
			r = -EUCLEAN;
			continue;
		}
		head = (uint8_t *)malloc(len);
		if (!head)
			return -ENOMEM;
		r = read_part(x, e, i, 0, head, len);
		if (r >= 0)
			r = head_owners(head, len,
					&disks_label(x->how.disks)->pool, e->id,
					ret, ret_n);
	}
	return r;
}

static int move_write(struct extents *x, struct xentry *e, uint32_t index,
		      const struct policy *p, uint8_t *payload, struct disk *to,
		      struct fragment_rec *ret)
{
	struct extent_owner *owners = NULL;
	struct extent_shape shape = xentry_shape(e, p);
	AUTOBUF struct buf head = BUF_INIT;
	struct disk_op op, *ops[1] = { &op };
	struct iovec iov[2];
	uint8_t *table, root[DYNFS_CHECKSUM_MAX];
	int r;

	shape.epoch = disks_epoch(x->how.disks);
	shape.number = meta_open_number(x->meta);
	shape.wall_ns = x->how.os->wall_ns(x->how.os);
	r = read_owners(x, e, index, &owners, &shape.n_owners);
	if (r < 0)
		return r;
	shape.owners = owners;
	r = head_build(&shape, &disks_label(x->how.disks)->pool, index, &head,
		       &table);
	free(owners);
	if (r >= 0)
		r = reg_checksum_sum_blocks(p->checksum, payload,
					    shape.payload_len, p->block_bytes,
					    table);
	if (r >= 0)
		r = head_root(&shape, index, table,
			      head_blocks(shape.payload_len, p->block_bytes),
			      root);
	if (r < 0)
		return r;
	/* what was reconstructed must be what was written once */
	if (memcmp(root, e->rec.fragments[index].root, e->rec.digest_len) != 0)
		return fail(-EUCLEAN, "a rebuilt fragment does not match its "
				      "root");
	head_seal(&head);
	iov[0] = (struct iovec){ head.data, head.len };
	iov[1] = (struct iovec){ payload, shape.payload_len };
	op = (struct disk_op){
		.disk = to,
		.op = {
			.size = sizeof(struct dynfs_store_op),
			.kind = DYNFS_STORE_WRITE,
			.id = { e->id.epoch, e->id.counter, index, 0 },
			.iov = iov,
			.n_iov = 2,
			.head_len = (uint32_t)head.len,
		},
	};
	disks_submit(x->how.disks, ops, 1, true);
	if (op.op.result < 0)
		return op.op.result;
	*ret = e->rec.fragments[index];
	ret->disk = to->id;
	ret->place = op.op.place;
	return 0;
}

/* Rebuild fragment index from the others and write it to a free disk. */
static int move_fragment(struct extents *x, struct xentry *e, uint32_t index,
			 struct fragment_rec *ret)
{
	const struct policy *p = policies_of(x, &e->rec);
	struct disk *used[FRAGMENTS_MAX], *to;
	uint8_t *bufs[FRAGMENTS_MAX] = { NULL };
	uint32_t have, bad = 1u << index;
	struct place_want want = {
		.fragment_bytes = e->rec.payload_len + 8192,
		.key = extent_hash(e->id),
		.n = 1,
		.used = used,
		.n_used = e->rec.k + e->rec.m,
	};
	struct scratch *s;
	int r;

	if (!p)
		return -EIO;
	for (uint32_t i = 0; i < want.n_used; ++i)
		used[i] = disks_find(x->how.disks, e->rec.fragments[i].disk);
	r = place_pick(x, &want, &to, &have);
	if (r < 0)
		return r;
	s = scratch_get(x, e->rec.payload_len);
	if (!s)
		return -ENOMEM;
	bufs[index] = s->data;
	r = fragio_rebuild(x, e, 0, e->rec.payload_len, bufs, 0, 1u << index,
			   &bad);
	if (r >= 0)
		r = move_write(x, e, index, p, s->data, to, ret);
	scratch_put(x, s);
	return r;
}

/*
 * The place that a fragment leaves is freed like a dropped one.  The batch
 * goes into the open group or the one after it.
 */
static int free_place(struct extents *x, struct extent_id id, uint32_t index,
		      const struct fragment_rec *old, struct batch *b)
{
	struct extent_id fresh = extent_new_id(x);
	uint64_t salt = hash_u64(fresh.epoch) ^ fresh.counter;
	struct key key = key_free(id, salt ? salt : 1);
	struct free_rec rec = { .n = 1 };
	AUTOBUF struct buf value = BUF_INIT;

	rec.at[0].disk = old->disk;
	rec.at[0].index = index;
	rec.at[0].place = old->place;
	free_rec_put(&value, &rec);
	if (buf_error(&value) < 0)
		return -ENOMEM;
	batch_put(b, key.data, key.len, value.data, value.len);
	reclaim_add(x, id, salt ? salt : 1, meta_open_number(x->meta) + 1,
		    &rec);
	return b->error;
}

static uint32_t count_placed(const struct extent_rec *rec)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < rec->k + rec->m; ++i)
		n += rec->fragments[i].disk != 0;
	return n;
}

/*
 * Puts the record with fragment index elsewhere, or missing and queued.  -EIO
 * when too few are left: then what was written may not be answered.
 */
static int resettle(struct extents *x, struct xentry *e, uint32_t index,
		    struct batch *b)
{
	static const uint8_t version[1] = { 1 };
	struct extent_rec rec = e->rec;
	struct fragment_rec moved = { 0 };
	AUTOBUF struct buf value = BUF_INIT;
	struct key key;
	int r = move_fragment(x, e, index, &moved);

	key = key_on_disk(rec.fragments[index].disk, e->id, (uint16_t)index);
	batch_delete(b, key.data, key.len);
	if (free_place(x, e->id, index, &rec.fragments[index], b) < 0)
		return -ENOMEM;
	if (r >= 0) {
		rec.fragments[index] = moved;
		key = key_on_disk(moved.disk, e->id, (uint16_t)index);
		batch_put(b, key.data, key.len, version, sizeof(version));
		batch_touch(b, moved.disk,
			    disk_mark(disks_find(x->how.disks, moved.disk)));
	} else {
		rec.fragments[index].disk = 0;
		rec.flags |= EXTENT_DEGRADED;
		if (count_placed(&rec) < rec.k)
			return fail(-EIO, "an extent lost more fragments than "
					  "it can do without");
		(void)pthread_mutex_lock(&x->repair_lock);
		r = repair_put(x, e->id, rec.plain_len, 1u << index,
			       REPAIR_WRITTEN_DEGRADED, b);
		(void)pthread_mutex_unlock(&x->repair_lock);
		if (r < 0)
			return r;
	}
	extent_rec_put(&value, &rec);
	key = key_extent(e->id);
	batch_put(b, key.data, key.len, value.data, value.len);
	return buf_error(&value) < 0 ? -ENOMEM : b->error;
}

static int resettle_if_on(struct extents *x, struct extent_id id,
			  struct disk *disk, struct batch *b)
{
	AUTOBUF struct buf value = BUF_INIT;
	struct key key = key_extent(id);
	struct extent_rec rec;
	struct xentry *e;
	int r = meta_get(x->meta, key.data, key.len, &value);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = extent_rec_get(value.data, value.len, &rec);
	if (r < 0)
		return r;
	e = xentry_new(id, &rec);
	if (!e)
		return -ENOMEM;
	for (uint32_t i = 0; i < rec.k + rec.m && r >= 0; ++i) {
		if (rec.fragments[i].disk != disk->id)
			continue;
		r = resettle(x, e, i, b);
		break; /* no two fragments of an extent share a disk */
	}
	xentry_free(e);
	cache_drop(x, id);
	return r;
}

int extents_sync_failed_hook(void *ctx, struct disk *disk, uint64_t number,
			     const void *ops, size_t len)
{
	struct extents *x = (struct extents *)ctx;
	struct rd rd = rd_of(ops, len);
	const void *key, *value;
	size_t key_len, value_len;
	AUTOBATCH struct batch b;
	struct extent_id id;
	uint64_t n = 0;
	uint8_t kind;
	int r;

	disk_suspect(disk, "syncing fragments", -EIO);
	batch_init(&b);
	extent_drop_begin(x);
	while ((r = batch_next(&rd, &kind, &key, &key_len, &value,
			       &value_len)) == 1) {
		if (kind != DYNFS_META_PUT || *(const char *)key != 'E' ||
		    key_parse_extent(key, key_len, &id) < 0)
			continue;
		r = resettle_if_on(x, id, disk, &b);
		if (r < 0)
			break;
		n++;
	}
	if (r >= 0 && b.n_ops)
		r = meta_commit(x->meta, &b, NULL);
	extent_drop_end(x, r >= 0);
	log_warn("extent",
		 "disk %u lost what group %" PRIu64 " wrote there: "
		 "%" PRIu64 " extents looked at, %s",
		 disk->id, number, n, r < 0 ? fail_text(r) : "made safe");
	return r;
}
