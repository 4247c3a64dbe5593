/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading ranges of fragments and verifying them; reconstructing ranges.
 *
 * A range is verified block by block against the fragment's table, and the
 * table once against the root in the metadata, after which it is kept with
 * the record.  Erasure codes work byte for byte at the same position of all
 * shards, so a range is reconstructed from the same range of k others: a
 * 4 KiB read of a lost fragment reads k blocks, not k fragments.
 */
#include <extent/private.h>

#include <base/cleanup.h>
#include <base/fail.h>

#include <errno.h>
#include <registry/checksum.h>
#include <registry/redundancy.h>
#include <stdlib.h>
#include <string.h>

bool fragment_reachable(struct extents *x, const struct fragment_rec *f)
{
	struct disk *k = f->disk ? disks_find(x->how.disks, f->disk) : NULL;

	return k && k->store && disk_readable(k);
}

static uint32_t xentry_blocks(const struct xentry *e)
{
	return head_blocks(e->rec.payload_len, e->rec.block_bytes);
}

struct extent_shape xentry_shape(const struct xentry *e, const struct policy *p)
{
	return (struct extent_shape){
		.id = e->id,
		.policy = p,
		.plain_len = e->rec.plain_len,
		.stored_len = e->rec.stored_len,
		.payload_len = e->rec.payload_len,
	};
}

/* Believe the table if it gives the root; then it is everybody's. */
static int table_accept(struct xentry *e, const struct policy *p,
			uint32_t index, uint8_t **table)
{
	struct extent_shape shape = xentry_shape(e, p);
	uint8_t root[DYNFS_CHECKSUM_MAX], *none = NULL;
	int r = head_root(&shape, index, *table, xentry_blocks(e), root);

	if (r < 0)
		return r;
	if (memcmp(root, e->rec.fragments[index].root, e->rec.digest_len) != 0)
		return -EUCLEAN;
	if (atomic_compare_exchange_strong(&e->tables[index], &none, *table))
		*table = NULL;
	return 0;
}

static int range_verify(struct xentry *e, const struct policy *p,
			const struct fragio *io)
{
	const uint8_t *table = atomic_load(&e->tables[io->index]);
	uint32_t block = e->rec.block_bytes, len = e->rec.digest_len;
	uint64_t first = io->from / block, at = io->from;
	uint8_t sums[16 * DYNFS_CHECKSUM_MAX];

	while (at < io->to) {
		uint64_t end = at + 16ull * block;
		uint32_t n;
		int r;

		if (end > io->to)
			end = io->to;
		r = reg_checksum_sum_blocks(p->checksum,
					    io->buf + (at - io->from), end - at,
					    block, sums);
		if (r < 0)
			return r;
		n = head_blocks(end - at, block);
		if (memcmp(sums, table + first * len, (size_t)n * len) != 0)
			return -EUCLEAN;
		first += n;
		at = end;
	}
	return 0;
}

/* One fragment's two operations: its table, if not known, and the range. */
struct fragread {
	struct disk_op table_op, op;
	struct iovec table_iov, iov;
	uint8_t *table;
};

static struct disk_op fragread_op(struct xentry *e, const struct fragio *io,
				  struct disk *k, const struct iovec *iov,
				  enum dynfs_store_part part, uint64_t offset)
{
	return (struct disk_op){
		.disk = k,
		.op = {
			.size = sizeof(struct dynfs_store_op),
			.kind = DYNFS_STORE_READ,
			.id = { e->id.epoch, e->id.counter, io->index, 0 },
			.place = e->rec.fragments[io->index].place,
			.iov = iov,
			.n_iov = 1,
			.part = part,
			.flags = io->uncached ? DYNFS_STORE_UNCACHED : 0,
			.offset = offset,
		},
	};
}

/* Adds its operations to ops; sets io->result when there is nothing to do. */
static int fragread_start(struct extents *x, struct xentry *e,
			  struct fragio *io, struct fragread *f,
			  struct disk_op **ops, uint32_t *n_ops)
{
	const struct fragment_rec *rec = &e->rec.fragments[io->index];
	size_t table_len = (size_t)xentry_blocks(e) * e->rec.digest_len;
	struct disk *k;

	io->result = 0;
	if (!fragment_reachable(x, rec)) {
		io->result = -ENODEV;
		return 0;
	}
	k = disks_find(x->how.disks, rec->disk);
	if (!atomic_load(&e->tables[io->index])) {
		f->table = (uint8_t *)malloc(table_len);
		if (!f->table)
			return -ENOMEM;
		f->table_iov = (struct iovec){ f->table, table_len };
		f->table_op = fragread_op(e, io, k, &f->table_iov,
					  DYNFS_STORE_HEAD, HEAD_FIXED_BYTES);
		ops[(*n_ops)++] = &f->table_op;
	}
	f->iov = (struct iovec){ io->buf, io->to - io->from };
	f->op = fragread_op(e, io, k, &f->iov, DYNFS_STORE_PAYLOAD, io->from);
	ops[(*n_ops)++] = &f->op;
	return 0;
}

static void fragread_finish(struct extents *x, struct xentry *e,
			    const struct policy *p, struct fragio *io,
			    struct fragread *f)
{
	int r = io->result;

	if (r >= 0)
		r = f->op.op.result;
	if (r >= 0 && f->table) {
		r = f->table_op.op.result;
		if (r >= 0)
			r = table_accept(e, p, io->index, &f->table);
	}
	if (r >= 0)
		r = range_verify(e, p, io);
	free(f->table);
	if (r == -EUCLEAN)
		atomic_fetch_add(&x->n_checksum_errors, 1);
	io->result = r;
}

int fragio_read(struct extents *x, struct xentry *e, struct fragio *io,
		uint32_t n)
{
	const struct policy *p = policies_of(x, &e->rec);
	struct disk_op *ops[2 * FRAGMENTS_MAX];
	AUTOFREE struct fragread *f = NULL;
	uint32_t n_ops = 0;
	int r = 0;

	if (!p)
		return fail(-EIO, "the policy of an extent is not usable, or "
				  "its record is of another");
	f = (struct fragread *)calloc(n, sizeof(*f));
	if (!f)
		return -ENOMEM;
	for (uint32_t i = 0; i < n && r >= 0; ++i)
		r = fragread_start(x, e, &io[i], &f[i], ops, &n_ops);
	if (r >= 0 && n_ops)
		disks_submit(x->how.disks, ops, n_ops, true);
	for (uint32_t i = 0; i < n; ++i) {
		if (r < 0)
			free(f[i].table);
		else
			fragread_finish(x, e, p, &io[i], &f[i]);
	}
	return r;
}

/* The least busy of the fragments that may still be tried. */
static int rebuild_choose(struct extents *x, struct xentry *e, uint32_t not )
{
	uint32_t least = UINT32_MAX;
	int best = -1;

	for (uint32_t i = 0; i < e->rec.k + e->rec.m; ++i) {
		uint32_t busy;

		if (not >> i & 1 ||
		    !fragment_reachable(x, &e->rec.fragments[i]))
			continue;
		busy = atomic_load(
		    &disks_find(x->how.disks, e->rec.fragments[i].disk)
			 ->inflight);
		/* data before checks: they may be wanted anyway */
		if (busy < least) {
			least = busy;
			best = (int)i;
		}
	}
	return best;
}

/* Read until k of have are right or none is left to try. */
static int rebuild_gather(struct extents *x, struct xentry *e, uint64_t from,
			  uint64_t to, uint8_t **bufs, uint32_t *have,
			  uint32_t *bad)
{
	struct fragio io[FRAGMENTS_MAX];

	while ((uint32_t)__builtin_popcount(*have) < e->rec.k) {
		uint32_t need = e->rec.k - (uint32_t)__builtin_popcount(*have);
		uint32_t tried = 0, n = 0;
		int r;

		do {
			int i = rebuild_choose(x, e, *have | *bad | tried);

			if (i < 0)
				return -EIO;
			tried |= 1u << i;
			io[n++] = (struct fragio){ .index = (uint32_t)i,
						   .from = from,
						   .to = to,
						   .buf = bufs[i] };
		} while (n < need);
		r = fragio_read(x, e, io, n);
		if (r < 0)
			return r;
		for (uint32_t j = 0; j < n; ++j)
			*(io[j].result < 0 ? bad : have) |= 1u << io[j].index;
	}
	return 0;
}

int fragio_rebuild(struct extents *x, struct xentry *e, uint64_t from,
		   uint64_t to, uint8_t **bufs, uint32_t have, uint32_t want,
		   uint32_t *bad)
{
	const struct policy *p = policies_of(x, &e->rec);
	uint32_t n = e->rec.k + e->rec.m, missing = 0;
	uint8_t *all[FRAGMENTS_MAX] = { NULL }, *own;
	struct scratch *s;
	uint64_t len = to - from;
	int r;

	if (!p)
		return fail(-EIO, "the policy of an extent is not usable, or "
				  "its record is of another");
	for (uint32_t i = 0; i < n; ++i)
		missing += !bufs[i];
	s = scratch_get(x, missing * len);
	if (!s)
		return -ENOMEM;
	own = s->data;
	for (uint32_t i = 0; i < n; ++i) {
		all[i] = bufs[i];
		if (!all[i]) {
			all[i] = own;
			own += len;
		}
	}
	r = rebuild_gather(x, e, from, to, all, &have, bad);
	want &= ~have;
	if (r >= 0 && want)
		r = reg_redundancy_rebuild(p->redundancy, p->k, p->m, all, len,
					   have, want);
	scratch_put(x, s);
	return r;
}
