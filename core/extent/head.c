/* SPDX-License-Identifier: Apache-2.0 */
/* Heads of fragments and their roots: docs/design/format.md section 6. */
#include <base/hash.h>
#include <base/le.h>
#include <extent/private.h>

#include <errno.h>
#include <registry/checksum.h>
#include <stdlib.h>

#define OWNER_BYTES 64u
#define ROOT_BYTES  48u /* of the input before the table */

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

int head_root(const struct policy *p, struct extent_id id, uint32_t index,
	      uint64_t payload_len, uint64_t stored_len, uint64_t plain_len,
	      const uint8_t *table, uint32_t n_blocks, uint8_t *root)
{
	size_t table_len = (size_t)n_blocks * p->digest_len;
	uint8_t small[ROOT_BYTES + 2048], *in = small;
	int r;

	if (ROOT_BYTES + table_len > sizeof(small)) {
		in = (uint8_t *)malloc(ROOT_BYTES + table_len);
		if (!in)
			return -ENOMEM;
	}
	put_le64(in, id.epoch);
	put_le64(in + 8, id.counter);
	put_le32(in + 16, index);
	put_le32(in + 20, p->block_bytes);
	put_le64(in + 24, payload_len);
	put_le64(in + 32, stored_len);
	put_le64(in + 40, plain_len);
	memcpy(in + ROOT_BYTES, table, table_len);
	r = reg_checksum_sum(p->checksum, in, ROOT_BYTES + table_len, root);
	if (in != small)
		free(in);
	return r;
}

/* The sum is made with its own field zero. */
static int head_check(const uint8_t *h, size_t len)
{
	uint8_t sum[SUM128_LEN], *copy = (uint8_t *)malloc(len);

	if (!copy)
		return -ENOMEM;
	memcpy(copy, h, len);
	memset(copy + HEAD_SUM, 0, SUM128_LEN);
	sum128(copy, len, sum);
	free(copy);
	return memcmp(sum, h + HEAD_SUM, SUM128_LEN) ? -EUCLEAN : 0;
}

int head_owners(const void *head, size_t len, struct extent_owner **ret,
		uint32_t *ret_n)
{
	const uint8_t *h = (const uint8_t *)head;
	struct extent_owner *o;
	uint64_t at;
	uint32_t n;

	if (len < HEAD_FIXED_BYTES || memcmp(h, "DYNFFRAG", 8) != 0 ||
	    head_check(h, len) < 0)
		return -EUCLEAN;
	at = get_le32(h + HEAD_OWNERS);
	n = get_le32(h + HEAD_N_OWNERS);
	if (at < HEAD_FIXED_BYTES || at + (uint64_t)n * OWNER_BYTES > len)
		return -EUCLEAN;
	o = (struct extent_owner *)calloc(n ? n : 1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; ++i, at += OWNER_BYTES)
		o[i] = (struct extent_owner){
			.ino = get_le64(h + at),
			.generation = get_le64(h + at + 8),
			.file_offset = get_le64(h + at + 16),
			.sequence = get_le64(h + at + 24),
			.epoch = get_le64(h + at + 32),
			.number = get_le64(h + at + 40),
			.length = get_le32(h + at + 48),
			.extent_offset = get_le32(h + at + 52),
		};
	*ret = o;
	*ret_n = n;
	return 0;
}
