/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of the segment store and nothing else: no system calls, no
 * state.  Everything that is read here may be garbage; a structure is
 * believed only after its sum, and its lengths only within the file.
 *
 * Sums of frames and indexes are seeded by the store's uuid and the number of
 * the segment, so a frame copied from elsewhere (a pool stored inside a pool)
 * is not one.  64 bits suffice: they guard against accidents only, and what
 * they lead to is verified again by the core.
 */
#include "segment.h"

#include <dynfs/plugin.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "../common/le.h"

#define FRAME_MAGIC   0x4d524653u /* "SFRM" */
#define FRAME_VERSION 1u
#define INDEX_ENTRY   40u
#define PAGE_FIELDS   64u /* of a header or superblock, before features */

static const char header_magic[8] = "DYNFSEGM";
static const char footer_magic[8] = "DYNFSEGX";
static const char super_magic[8] = "DYNFSEGS";
static const char base_feature[] = "base-1";
const uint8_t seg_tombstone[4] = { 'F', 'R', 'E', 'E' };

static uint64_t round_up(uint64_t v, uint64_t to)
{
	return (v + to - 1) & ~(to - 1);
}

uint64_t seg_rec_len(uint32_t head_len, uint64_t payload_len)
{
	uint64_t front = (uint64_t)SEG_UNIT + head_len;

	if (payload_len >= SEG_ALIGN_FROM)
		return round_up(front, SEG_PAGE) +
		       round_up(payload_len, SEG_PAGE);
	return round_up(front + payload_len, SEG_UNIT);
}

uint64_t seg_payload_off(const struct seg_rec *r)
{
	uint64_t front = (uint64_t)SEG_UNIT + r->head_len;

	if (r->payload_len >= SEG_ALIGN_FROM)
		front = round_up(front, SEG_PAGE);
	return (uint64_t)r->unit * SEG_UNIT + front;
}

uint64_t seg_index_len(uint32_t n)
{
	return round_up((uint64_t)n * INDEX_ENTRY + SEG_UNIT, SEG_PAGE);
}

uint64_t seg_seed(const struct store *s, uint64_t number)
{
	return XXH3_64bits_withSeed(s->super.uuid, sizeof(s->super.uuid),
				    number);
}

void seg_frame_put(uint8_t f[SEG_UNIT], const struct seg_rec *r,
		   uint64_t number, uint64_t seed)
{
	memset(f, 0, SEG_UNIT);
	le32_put(f, FRAME_MAGIC);
	f[4] = FRAME_VERSION;
	le32_put(f + 8, r->head_len);
	le32_put(f + 12, r->index);
	le64_put(f + 16, r->payload_len);
	le64_put(f + 24, r->epoch);
	le64_put(f + 32, r->counter);
	le64_put(f + 40, number);
	le32_put(f + 48, r->unit);
	le64_put(f + 56, XXH3_64bits_withSeed(f, SEG_TOMBSTONE_AT, seed));
}

static bool all_zero(const uint8_t *p, size_t n)
{
	return !p[0] && !memcmp(p, p + 1, n - 1);
}

enum seg_frame_state seg_frame_get(const uint8_t f[SEG_UNIT],
				   struct seg_rec *ret, uint64_t number,
				   uint64_t off, uint64_t seed)
{
	if (le32_get(f) != FRAME_MAGIC)
		return all_zero(f, SEG_UNIT) ? SEG_FRAME_ZERO
					     : SEG_FRAME_GARBAGE;
	if (f[4] != FRAME_VERSION ||
	    le64_get(f + 56) !=
		XXH3_64bits_withSeed(f, SEG_TOMBSTONE_AT, seed) ||
	    le64_get(f + 40) != number ||
	    (uint64_t)le32_get(f + 48) * SEG_UNIT != off)
		return SEG_FRAME_GARBAGE;
	*ret = (struct seg_rec){
		.unit = le32_get(f + 48),
		.head_len = le32_get(f + 8),
		.payload_len = le64_get(f + 16),
		.epoch = le64_get(f + 24),
		.counter = le64_get(f + 32),
		.index = le32_get(f + 12),
		.state = SEG_REC_LIVE,
	};
	if (ret->head_len > SEG_HEAD_MAX || ret->payload_len > SEG_PAYLOAD_MAX)
		return SEG_FRAME_GARBAGE;
	if (!memcmp(f + SEG_TOMBSTONE_AT, seg_tombstone, 4)) {
		ret->state = SEG_REC_DEAD;
		return SEG_FRAME_FREED;
	}
	return SEG_FRAME_GOOD;
}

/* The three feature sets as version 1 writes them; the end of them. */
static uint8_t *features_put(uint8_t *p)
{
	size_t n = sizeof(base_feature) - 1;

	le16_put(p, 0);
	le16_put(p + 2, 0);
	le16_put(p + 4, 1);
	le16_put(p + 6, (uint16_t)n);
	memcpy(p + 8, base_feature, n);
	return p + 8 + n;
}

/* Visible ASCII, as everywhere: it is shown to people. */
static bool name_is_good(const uint8_t *p, uint16_t len)
{
	for (uint16_t i = 0; i < len; i++)
		if (p[i] <= ' ' || p[i] > '~')
			return false;
	return len && len <= 64;
}

/* What stands in the way into why; -EUCLEAN if malformed. */
static int features_check(const uint8_t *p, const uint8_t *end, bool rdonly,
			  char why[SEG_WHY])
{
	bool stands = false;

	for (int set = 0; set < 3; set++) {
		uint16_t n, len;

		if (end - p < 2)
			return -EUCLEAN;
		n = le16_get(p);
		p += 2;
		for (; n; n--, p += len) {
			if (end - p < 2 || end - p - 2 < le16_get(p))
				return -EUCLEAN;
			len = le16_get(p);
			p += 2;
			if (!name_is_good(p, len))
				return -EUCLEAN;
			if (!set || (set == 1 && rdonly) ||
			    (set == 2 && len == sizeof(base_feature) - 1 &&
			     !memcmp(p, base_feature, len)))
				continue;
			(void)snprintf(why, SEG_WHY, "the feature '%.*s'", len,
				       (const char *)p);
			stands = true;
		}
	}
	return p != end ? -EUCLEAN : stands ? -EOPNOTSUPP : 0;
}

/*
 * Pages of header and superblock: magic, version, length of what is used, sum
 * of that with the sum field zero, then the fields.
 */
static void page_finish(uint8_t page[SEG_PAGE], const uint8_t *end)
{
	uint32_t len = (uint32_t)(end - page);

	le32_put(page + 8, 1);
	le32_put(page + 12, len);
	memset(page + 16, 0, 8);
	le64_put(page + 16, XXH3_64bits(page, len));
}

/* 1: one that we know; 0: not one; -EOPNOTSUPP, and why not. */
static int page_check(const uint8_t page[SEG_PAGE], const char magic[8],
		      bool rdonly, char why[SEG_WHY])
{
	uint32_t len = le32_get(page + 12);
	uint8_t copy[SEG_PAGE];
	int r;

	if (memcmp(page, magic, 8) != 0 || len < PAGE_FIELDS || len > SEG_PAGE)
		return 0;
	memcpy(copy, page, len);
	memset(copy + 16, 0, 8);
	if (XXH3_64bits(copy, len) != le64_get(page + 16))
		return 0;
	if (le32_get(page + 8) != 1) {
		(void)snprintf(why, SEG_WHY, "version %u", le32_get(page + 8));
		return -EOPNOTSUPP;
	}
	r = features_check(page + PAGE_FIELDS, page + len, rdonly, why);
	return r == -EUCLEAN ? 0 : r < 0 ? r : 1;
}

void seg_header_put(uint8_t page[SEG_PAGE], const struct store *s,
		    uint64_t number, uint64_t size)
{
	memset(page, 0, SEG_PAGE);
	memcpy(page, header_magic, 8);
	memcpy(page + 24, s->super.uuid, 16);
	le64_put(page + 40, number);
	le64_put(page + 48, size);
	le64_put(page + 56, (uint64_t)s->os->wall_ns(s->os));
	page_finish(page, features_put(page + PAGE_FIELDS));
}

int seg_header_get(const uint8_t page[SEG_PAGE], uint64_t number,
		   uint8_t uuid[16], bool rdonly, char why[SEG_WHY])
{
	int r = page_check(page, header_magic, rdonly, why);

	if (r <= 0 || le64_get(page + 40) != number)
		return r < 0 ? r : 0;
	memcpy(uuid, page + 24, 16);
	return 1;
}

void seg_super_put(uint8_t page[SEG_PAGE], const struct seg_super *super)
{
	memset(page, 0, SEG_PAGE);
	memcpy(page, super_magic, 8);
	memcpy(page + 24, super->uuid, 16);
	le64_put(page + 40, super->sequence);
	le64_put(page + 48, super->next_number);
	le64_put(page + 56, super->fragments);
	page_finish(page, features_put(page + PAGE_FIELDS));
}

int seg_super_get(const uint8_t page[SEG_PAGE], struct seg_super *ret,
		  bool rdonly, char why[SEG_WHY])
{
	int r = page_check(page, super_magic, rdonly, why);

	if (r <= 0)
		return r;
	memcpy(ret->uuid, page + 24, 16);
	ret->sequence = le64_get(page + 40);
	ret->next_number = le64_get(page + 48);
	ret->fragments = le64_get(page + 56);
	return ret->next_number && ret->next_number < SEG_NUMBER_MAX;
}

/* buf holds seg_index_len(n) bytes, zeroed. */
void seg_index_put(uint8_t *buf, const struct seg_rec *v, uint32_t n,
		   uint64_t index_off, uint64_t packed, uint64_t number,
		   uint64_t seed)
{
	uint8_t *f = buf + seg_index_len(n) - SEG_UNIT, *p = buf;

	for (uint32_t i = 0; i < n; i++, p += INDEX_ENTRY) {
		le32_put(p, v[i].unit);
		le32_put(p + 4, v[i].head_len);
		le64_put(p + 8, v[i].payload_len);
		le64_put(p + 16, v[i].epoch);
		le64_put(p + 24, v[i].counter);
		le32_put(p + 32, v[i].index);
	}
	memcpy(f, footer_magic, 8);
	le32_put(f + 8, 1);
	le32_put(f + 12, n);
	le64_put(f + 16, index_off);
	le64_put(f + 24, number);
	le64_put(f + 32, packed);
	le64_put(f + 48,
		 XXH3_64bits_withSeed(buf, (size_t)n * INDEX_ENTRY, seed));
	le64_put(f + 56, XXH3_64bits_withSeed(f, 56, seed));
}

bool seg_footer_get(const uint8_t f[SEG_UNIT], struct seg_footer *ret,
		    uint64_t number, uint64_t file_size, uint64_t seed)
{
	if (memcmp(f, footer_magic, 8) != 0 || le32_get(f + 8) != 1 ||
	    le64_get(f + 56) != XXH3_64bits_withSeed(f, 56, seed) ||
	    le64_get(f + 24) != number)
		return false;
	ret->n = le32_get(f + 12);
	ret->index_off = le64_get(f + 16);
	ret->packed_bytes = le64_get(f + 32);
	return ret->index_off >= SEG_PAGE && ret->index_off < file_size &&
	       file_size - ret->index_off == seg_index_len(ret->n);
}

bool seg_index_get(const uint8_t *buf, const uint8_t footer[SEG_UNIT],
		   const struct seg_footer *f, struct seg_rec *out,
		   uint64_t seed)
{
	const uint8_t *p = buf;
	uint64_t at = SEG_PAGE;

	if (le64_get(footer + 48) !=
	    XXH3_64bits_withSeed(buf, (size_t)f->n * INDEX_ENTRY, seed))
		return false;
	for (uint32_t i = 0; i < f->n; i++, p += INDEX_ENTRY) {
		struct seg_rec *r = &out[i];
		uint64_t off, len;

		*r = (struct seg_rec){
			.unit = le32_get(p),
			.head_len = le32_get(p + 4),
			.payload_len = le64_get(p + 8),
			.epoch = le64_get(p + 16),
			.counter = le64_get(p + 24),
			.index = le32_get(p + 32),
			.state = SEG_REC_LIVE,
		};
		if (r->head_len > SEG_HEAD_MAX ||
		    r->payload_len > SEG_PAYLOAD_MAX)
			return false;
		off = (uint64_t)r->unit * SEG_UNIT;
		len = seg_rec_len(r->head_len, r->payload_len);
		if (off < at || off > f->index_off || len > f->index_off - off)
			return false;
		at = off + len;
	}
	return true;
}

void seg_place_put(struct dynfs_place *p, uint64_t number,
		   const struct seg_rec *r)
{
	p->w[0] = number << 24 | r->head_len;
	p->w[1] = (uint64_t)r->unit << 36 | r->payload_len;
}

void seg_place_get(const struct dynfs_place *p, uint64_t *ret_number,
		   struct seg_rec *ret)
{
	*ret_number = p->w[0] >> 24;
	*ret = (struct seg_rec){
		.unit = (uint32_t)(p->w[1] >> 36),
		.head_len = (uint32_t)(p->w[0] & SEG_HEAD_MAX),
		.payload_len = p->w[1] & SEG_PAYLOAD_MAX,
	};
}
