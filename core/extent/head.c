/* SPDX-License-Identifier: Apache-2.0 */
/* Heads of fragments and their roots: docs/design/format.md section 6. */
#include <extent/private.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/hash.h>
#include <base/le.h>

#include <errno.h>
#include <registry/checksum.h>
#include <stdlib.h>

#define OWNER_BYTES      64u
#define HEAD_PAYLOAD_MAX (32ull << 20) /* of a record, too */
#define ROOT_BYTES       48u           /* of the input before the table */

enum head_at {
	HEAD_VERSION = 8,
	HEAD_LEN = 12,
	HEAD_EXTENT = 16,
	HEAD_INDEX = 32,
	HEAD_K = 34,
	HEAD_M = 35,
	HEAD_BLOCK = 36,
	HEAD_PAYLOAD = 40,
	HEAD_STORED = 48,
	HEAD_PLAIN = 56,
	HEAD_POOL = 64,
	HEAD_EPOCH = 80,
	HEAD_NUMBER = 88,
	HEAD_WALL = 96,
	HEAD_POLICY = 104,
	HEAD_DIGEST = 108,
	HEAD_BLOCKS = 112,
	HEAD_OWNERS = 116,
	HEAD_N_OWNERS = 120,
	HEAD_NAMES = 124,
	HEAD_SUM = 144,
};

uint32_t head_blocks(uint64_t payload_len, uint32_t block_bytes)
{
	return (uint32_t)((payload_len + block_bytes - 1) / block_bytes);
}

uint32_t head_len(const struct policy *p, uint64_t payload_len,
		  uint32_t n_owners)
{
	return HEAD_FIXED_BYTES +
	       head_blocks(payload_len, p->block_bytes) * p->digest_len +
	       n_owners * OWNER_BYTES + (uint32_t)policy_entry_of(p)->names.len;
}

static void head_put_owners(uint8_t *at, const struct extent_shape *s)
{
	for (uint32_t i = 0; i < s->n_owners; ++i, at += OWNER_BYTES) {
		const struct extent_owner *o = &s->owners[i];

		put_le64(at, o->ino);
		put_le64(at + 8, o->generation);
		put_le64(at + 16, o->file_offset);
		put_le64(at + 24, o->sequence);
		put_le64(at + 32, o->epoch ? o->epoch : s->epoch);
		put_le64(at + 40, o->epoch ? o->number : s->number);
		put_le32(at + 48, o->length);
		put_le32(at + 52, o->extent_offset);
		put_le32(at + 56, TREE_LIVE);
		put_le32(at + 60, 0);
	}
}

int head_build(const struct extent_shape *s, const struct uuid *pool,
	       uint32_t index, struct buf *out, uint8_t **ret_table)
{
	const struct policy *p = s->policy;
	const struct buf *names = &policy_entry_of(p)->names;
	uint32_t n_blocks = head_blocks(s->payload_len, p->block_bytes);
	uint32_t owners = HEAD_FIXED_BYTES + n_blocks * p->digest_len;
	uint32_t text = owners + s->n_owners * OWNER_BYTES;
	uint8_t *h;

	buf_clear(out);
	h = (uint8_t *)buf_extend(out, text + names->len);
	if (!h)
		return -ENOMEM;
	memset(h, 0, HEAD_FIXED_BYTES);
	memcpy(h, "DYNFFRAG", 8);
	put_le32(h + HEAD_VERSION, 1);
	put_le32(h + HEAD_LEN, (uint32_t)out->len);
	put_le64(h + HEAD_EXTENT, s->id.epoch);
	put_le64(h + HEAD_EXTENT + 8, s->id.counter);
	put_le16(h + HEAD_INDEX, (uint16_t)index);
	h[HEAD_K] = (uint8_t)p->k;
	h[HEAD_M] = (uint8_t)p->m;
	put_le32(h + HEAD_BLOCK, p->block_bytes);
	put_le64(h + HEAD_PAYLOAD, s->payload_len);
	put_le64(h + HEAD_STORED, s->stored_len);
	put_le64(h + HEAD_PLAIN, s->plain_len);
	memcpy(h + HEAD_POOL, pool->b, sizeof(pool->b));
	put_le64(h + HEAD_EPOCH, s->epoch);
	put_le64(h + HEAD_NUMBER, s->number);
	put_le64(h + HEAD_WALL, (uint64_t)s->wall_ns);
	put_le32(h + HEAD_POLICY, p->id);
	put_le32(h + HEAD_DIGEST, p->digest_len);
	put_le32(h + HEAD_BLOCKS, n_blocks);
	put_le32(h + HEAD_OWNERS, owners);
	put_le32(h + HEAD_N_OWNERS, s->n_owners);
	put_le32(h + HEAD_NAMES, text);
	head_put_owners(h + owners, s);
	memcpy(h + text, names->data, names->len);
	*ret_table = h + HEAD_FIXED_BYTES;
	return 0;
}

void head_seal(struct buf *head)
{
	uint8_t sum[SUM128_LEN];

	sum128(head->data, head->len, sum);
	memcpy(head->data + HEAD_SUM, sum, sizeof(sum));
}

int head_root(const struct extent_shape *s, uint32_t index,
	      const uint8_t *table, uint32_t n_blocks, uint8_t *root)
{
	const struct policy *p = s->policy;
	size_t table_len = (size_t)n_blocks * p->digest_len;
	uint8_t small[ROOT_BYTES + 2048], *in = small;
	int r;

	if (ROOT_BYTES + table_len > sizeof(small)) {
		in = (uint8_t *)malloc(ROOT_BYTES + table_len);
		if (!in)
			return -ENOMEM;
	}
	put_le64(in, s->id.epoch);
	put_le64(in + 8, s->id.counter);
	put_le32(in + 16, index);
	put_le32(in + 20, p->block_bytes);
	put_le64(in + 24, s->payload_len);
	put_le64(in + 32, s->stored_len);
	put_le64(in + 40, s->plain_len);
	memcpy(in + ROOT_BYTES, table, table_len);
	r = reg_checksum_sum(p->checksum, in, ROOT_BYTES + table_len, root);
	if (in != small)
		free(in);
	return r;
}

void head_put_names(struct buf *b, const char *redundancy, const char *checksum)
{
	struct features f;

	if (features_base(&f) < 0) {
		b->error = -ENOMEM;
		return;
	}
	features_put(b, &f);
	features_done(&f);
	buf_put_str(b, redundancy, strlen(redundancy));
	buf_put_str(b, checksum, strlen(checksum));
	buf_put16(b, 0);       /* transforms */
	buf_put_str(b, "", 0); /* key */
	buf_put_str(b, "", 0); /* nonce rule */
}

/* ---- reading --------------------------------------------------------- */

/* The sum is made with its own field zero. */
static int check_sum(const uint8_t *h, size_t len)
{
	static const uint8_t zero[SUM128_LEN];
	struct sum128_run *run = sum128_begin();
	uint8_t sum[SUM128_LEN];

	if (!run)
		return -ENOMEM;
	sum128_add(run, h, HEAD_SUM);
	sum128_add(run, zero, SUM128_LEN);
	sum128_add(run, h + HEAD_FIXED_BYTES, len - HEAD_FIXED_BYTES);
	sum128_end(run, sum);
	return sum_equal(sum, h + HEAD_SUM) ? 0 : -EUCLEAN;
}

/* Numbers against each other; the parts follow without a gap. */
static bool shape_adds_up(const uint8_t *h, size_t len)
{
	uint32_t k = h[HEAD_K], n = k + h[HEAD_M];
	uint32_t block = get_le32(h + HEAD_BLOCK);
	uint64_t payload = get_le64(h + HEAD_PAYLOAD);
	uint64_t table, owners;

	if (get_le32(h + HEAD_LEN) != len || !k || n > FRAGMENTS_MAX ||
	    get_le16(h + HEAD_INDEX) >= n || !block || !payload ||
	    payload > HEAD_PAYLOAD_MAX ||
	    get_le32(h + HEAD_BLOCKS) != head_blocks(payload, block) ||
	    get_le32(h + HEAD_DIGEST) > DYNFS_CHECKSUM_MAX)
		return false;
	table = (uint64_t)get_le32(h + HEAD_BLOCKS) * get_le32(h + HEAD_DIGEST);
	owners = (uint64_t)get_le32(h + HEAD_N_OWNERS) * OWNER_BYTES;
	return get_le32(h + HEAD_OWNERS) == HEAD_FIXED_BYTES + table &&
	       get_le32(h + HEAD_NAMES) == HEAD_FIXED_BYTES + table + owners &&
	       get_le32(h + HEAD_NAMES) <= len;
}

/* The names are there and say nothing that we do not know. */
static int check_names(const uint8_t *h, size_t len)
{
	uint32_t at = get_le32(h + HEAD_NAMES);
	struct rd r = rd_of(h + at, len - at);
	struct features f;
	size_t n;
	int err = features_get(&r, &f);

	if (err < 0)
		return err;
	err = features_check(&f, "a fragment");
	features_done(&f);
	if (err < 0)
		return err;
	for (int i = 0; i < 2; ++i)
		(void)rd_str(&r, &n);
	for (uint32_t i = rd16(&r); i && !rd_error(&r); --i)
		(void)rd_str(&r, &n);
	for (int i = 0; i < 2; ++i)
		(void)rd_str(&r, &n);
	return rd_end(&r);
}

static bool get_owner(const uint8_t *at, uint64_t plain_len,
		      struct extent_owner *ret)
{
	*ret = (struct extent_owner){
		.ino = get_le64(at),
		.generation = get_le64(at + 8),
		.file_offset = get_le64(at + 16),
		.sequence = get_le64(at + 24),
		.epoch = get_le64(at + 32),
		.number = get_le64(at + 40),
		.length = get_le32(at + 48),
		.extent_offset = get_le32(at + 52),
	};
	return ret->epoch && get_le32(at + 56) == TREE_LIVE &&
	       (uint64_t)ret->extent_offset + ret->length <= plain_len;
}

/* Whole, of that extent, and in a form that we know. */
static int head_check(const uint8_t *h, size_t len, const struct uuid *pool,
		      struct extent_id id)
{
	int r;

	if (len < HEAD_FIXED_BYTES || memcmp(h, "DYNFFRAG", 8) != 0)
		return -EUCLEAN;
	r = check_sum(h, len);
	if (r < 0)
		return r;
	if (memcmp(h + HEAD_POOL, pool->b, sizeof(pool->b)) != 0 ||
	    get_le64(h + HEAD_EXTENT) != id.epoch ||
	    get_le64(h + HEAD_EXTENT + 8) != id.counter)
		return -EUCLEAN;
	if (get_le32(h + HEAD_VERSION) != 1)
		return fail(-EOPNOTSUPP,
			    "a fragment has version %u, which this version of "
			    "dynfs does not know",
			    get_le32(h + HEAD_VERSION));
	return shape_adds_up(h, len) ? check_names(h, len) : -EUCLEAN;
}

int head_owners(const void *head, size_t len, const struct uuid *pool,
		struct extent_id id, struct extent_owner **ret, uint32_t *ret_n)
{
	const uint8_t *h = (const uint8_t *)head;
	AUTOFREE struct extent_owner *o = NULL;
	uint64_t plain;
	uint32_t n;
	int r = head_check(h, len, pool, id);

	if (r < 0)
		return r;
	plain = get_le64(h + HEAD_PLAIN);
	n = get_le32(h + HEAD_N_OWNERS);
	o = (struct extent_owner *)calloc(n ? n : 1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	h += get_le32(h + HEAD_OWNERS);
	for (uint32_t i = 0; i < n; ++i, h += OWNER_BYTES)
		if (!get_owner(h, plain, &o[i]))
			return -EUCLEAN;
	*ret = TAKE(o);
	*ret_n = n;
	return 0;
}
