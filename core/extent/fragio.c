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

#define PART_BYTES (64u << 10)
#define PARTS_MAX  8u /* of one range */

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

static int range_verify(const struct xentry *e, const struct policy *p,
			const uint8_t *table, const uint8_t *data,
			uint64_t from, uint64_t to)
{
	uint32_t block = e->rec.block_bytes, len = e->rec.digest_len;
	uint64_t first = from / block, at = from;
	uint8_t sums[16 * DYNFS_CHECKSUM_MAX];

	while (at < to) {
		uint64_t end = at + 16ull * block;
		uint32_t n;
		int r;

		if (end > to)
			end = to;
		r = reg_checksum_sum_blocks(p->checksum, data + (at - from),
					    end - at, block, sums);
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

/* A part of a range: whole blocks, but at the end of the payload. */
struct fragpart {
	struct disk_op op;
	struct iovec iov;
	struct fragread *of;
	uint64_t from, to;
	bool judged; /* result says whether the bytes are right */
	int result;
};

/* One fragment's operations: its table, if not known, and the parts. */
struct fragread {
	struct xentry *e;
	const struct policy *policy;
	struct fragio *io;
	struct disk_op table_op;
	struct iovec table_iov;
	uint8_t *table; /* owned; NULL when it was known, or was taken */
	int table_result;
	struct fragpart *part; /* n_parts of them, of those for all fragments */
	uint32_t n_parts;
};

static struct disk_op fragread_op(const struct fragread *f, struct disk *k,
				  const struct iovec *iov,
				  enum dynfs_store_part part, uint64_t offset)
{
	const struct xentry *e = f->e;
	uint32_t index = f->io->index;

	return (struct disk_op){
		.disk = k,
		.op = {
			.size = sizeof(struct dynfs_store_op),
			.kind = DYNFS_STORE_READ,
			.id = { e->id.epoch, e->id.counter, index, 0 },
			.place = e->rec.fragments[index].place,
			.iov = iov,
			.n_iov = 1,
			.part = part,
			.flags = f->io->uncached ? DYNFS_STORE_UNCACHED : 0,
			.offset = offset,
		},
	};
}

static void table_done(struct disk_op *o)
{
	struct fragread *f = container_of(o, struct fragread, table_op);

	f->table_result = o->op.result;
	if (f->table_result >= 0)
		f->table_result =
		    table_accept(f->e, f->policy, f->io->index, &f->table);
}

static void part_verify(struct fragpart *p, const uint8_t *table)
{
	const struct fragread *f = p->of;

	p->result =
	    range_verify(f->e, f->policy, table,
			 (const uint8_t *)p->iov.iov_base, p->from, p->to);
	p->judged = true;
}

/* A store may answer the table last: then it is done at the end. */
static void part_done(struct disk_op *o)
{
	struct fragpart *p = container_of(o, struct fragpart, op);
	const uint8_t *table = atomic_load(&p->of->e->tables[p->of->io->index]);

	if (o->op.result >= 0 && table)
		part_verify(p, table);
}

static uint64_t part_bytes(const struct xentry *e, const struct fragio *io)
{
	uint64_t n = (io->to - io->from + PARTS_MAX - 1) / PARTS_MAX;

	if (n < PART_BYTES)
		n = PART_BYTES;
	return (n + e->rec.block_bytes - 1) / e->rec.block_bytes *
	       e->rec.block_bytes;
}

static uint32_t part_count(const struct xentry *e, const struct fragio *io)
{
	uint64_t n = part_bytes(e, io);

	return (uint32_t)((io->to - io->from + n - 1) / n);
}

/* Adds its operations to ops; sets io->result when there is nothing to do. */
static int fragread_start(struct extents *x, struct fragread *f,
			  struct disk_op **ops, uint32_t *n_ops)
{
	struct xentry *e = f->e;
	struct fragio *io = f->io;
	const struct fragment_rec *rec = &e->rec.fragments[io->index];
	size_t table_len = (size_t)xentry_blocks(e) * e->rec.digest_len;
	uint64_t each = part_bytes(e, io);
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
		f->table_op = fragread_op(f, k, &f->table_iov, DYNFS_STORE_HEAD,
					  HEAD_FIXED_BYTES);
		f->table_op.done = table_done;
		ops[(*n_ops)++] = &f->table_op;
	}
	for (uint64_t at = io->from; at < io->to; at += each) {
		struct fragpart *p = &f->part[f->n_parts++];

		p->of = f;
		p->from = at;
		p->to = at + each < io->to ? at + each : io->to;
		p->iov = (struct iovec){ io->buf + (at - io->from),
					 p->to - p->from };
		p->op = fragread_op(f, k, &p->iov, DYNFS_STORE_PAYLOAD, at);
		p->op.done = part_done;
		ops[(*n_ops)++] = &p->op;
	}
	return 0;
}

static void fragread_finish(struct extents *x, struct fragread *f)
{
	int r = f->io->result;

	for (uint32_t i = 0; i < f->n_parts && r >= 0; ++i)
		r = f->part[i].op.op.result;
	if (r >= 0)
		r = f->table_result;
	for (uint32_t i = 0; i < f->n_parts && r >= 0; ++i) {
		struct fragpart *p = &f->part[i];

		if (!p->judged)
			part_verify(p,
				    atomic_load(&f->e->tables[f->io->index]));
		r = p->result;
	}
	if (r == -EUCLEAN)
		atomic_fetch_add(&x->n_checksum_errors, 1);
	f->io->result = r;
}

/*
 * Parts of a range are verified by the thread that read them, one by one: the
 * bytes are in the processor's nearest cache then, and what comes from several
 * disks is hashed side by side.
 */
int fragio_read(struct extents *x, struct xentry *e, struct fragio *io,
		uint32_t n)
{
	const struct policy *p = policies_of(x, &e->rec);
	struct disk_op *ops[(PARTS_MAX + 1) * FRAGMENTS_MAX];
	struct fragread f[FRAGMENTS_MAX];
	AUTOFREE struct fragpart *parts = NULL;
	struct fragpart *next;
	uint32_t n_parts = 0, n_ops = 0;
	int r = 0;

	if (!p)
		return fail(-EIO, "the policy of an extent is not usable, or "
				  "its record is of another");
	for (uint32_t i = 0; i < n; ++i)
		n_parts += part_count(e, &io[i]);
	parts = (struct fragpart *)calloc(n_parts, sizeof(*parts));
	if (!parts)
		return -ENOMEM;
	next = parts;
	for (uint32_t i = 0; i < n; ++i) {
		f[i] = (struct fragread){
			.e = e, .policy = p, .io = &io[i], .part = next
		};
		if (r >= 0)
			r = fragread_start(x, &f[i], ops, &n_ops);
		next += f[i].n_parts;
	}
	if (r >= 0 && n_ops)
		disks_submit(x->how.disks, ops, n_ops, true);
	for (uint32_t i = 0; i < n; ++i) {
		if (r >= 0)
			fragread_finish(x, &f[i]);
		free(f[i].table);
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
