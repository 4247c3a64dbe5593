/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names, places, frames.  A name says everything that a listing wants, so
 * listing and opening read directories only.  The serial is random: the same
 * fragment written twice has two names, so a late free of the first cannot hit
 * the second.
 */
#include "dir.h"

#include <stdio.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "../common/le.h"

#define FRAME_MAGIC 0x4d524644u /* "DFRM" */

uint32_t dir_fan(const struct dynfs_fragment_id *id)
{
	return (uint32_t)((id->counter * 0x9e3779b97f4a7c15ull) >> 56);
}

uint64_t dir_bytes(uint32_t head_len, uint64_t payload_len)
{
	return DIR_FRAME + head_len + payload_len;
}

uint64_t dir_cost_of(uint32_t head_len, uint64_t payload_len)
{
	/* whole blocks; the name and the inode are not counted */
	return (dir_bytes(head_len, payload_len) + 4095) & ~4095ull;
}

void dir_name_put(const struct dir_name *n, char out[DIR_NAME])
{
	(void)snprintf(out, DIR_NAME, "%016llx%016llx-%u.%014llx.%x.%llx",
		       (unsigned long long)n->id.epoch,
		       (unsigned long long)n->id.counter, n->id.index,
		       (unsigned long long)n->serial, n->head_len,
		       (unsigned long long)n->payload_len);
}

/* Digits of a base up to max; NULL when there are none or too many. */
static const char *number_get(const char *s, unsigned base, uint64_t max,
			      uint64_t *ret)
{
	uint64_t v = 0;
	const char *start = s;

	for (;; s++) {
		unsigned d;

		if (*s >= '0' && *s <= '9')
			d = (unsigned)(*s - '0');
		else if (base == 16 && *s >= 'a' && *s <= 'f')
			d = (unsigned)(*s - 'a') + 10;
		else
			break;
		if (v > (max - d) / base)
			return NULL;
		v = v * base + d;
	}
	*ret = v;
	return s == start ? NULL : s;
}

bool dir_name_get(const char *s, struct dir_name *ret)
{
	char again[DIR_NAME], half[17] = { 0 };
	uint64_t index = 0, head = 0;
	const char *p;

	*ret = (struct dir_name){ .serial = 0 };
	if (strlen(s) < 33 || s[32] != '-')
		return false;
	memcpy(half, s, 16);
	p = number_get(half, 16, UINT64_MAX, &ret->id.epoch);
	if (!p || *p)
		return false;
	memcpy(half, s + 16, 16);
	p = number_get(half, 16, UINT64_MAX, &ret->id.counter);
	if (!p || *p)
		return false;
	p = number_get(s + 33, 10, UINT32_MAX, &index);
	if (p && *p == '.')
		p = number_get(p + 1, 16, DIR_SERIAL_MAX, &ret->serial);
	if (p && *p == '.')
		p = number_get(p + 1, 16, DIR_HEAD_MAX, &head);
	if (p && *p == '.')
		p = number_get(p + 1, 16, DIR_PAYLOAD_MAX, &ret->payload_len);
	if (!p || *p || !ret->serial)
		return false;
	ret->id.index = (uint32_t)index;
	ret->head_len = (uint32_t)head;
	/* one spelling only: a place leads to exactly one name */
	dir_name_put(ret, again);
	return !strcmp(again, s);
}

void dir_place_put(const struct dir_name *n, struct dynfs_place *ret)
{
	ret->w[0] = n->serial;
	ret->w[1] = (uint64_t)n->head_len << 40 | n->payload_len;
}

bool dir_place_get(const struct dynfs_fragment_id *id,
		   const struct dynfs_place *p, struct dir_name *ret)
{
	*ret = (struct dir_name){
		.id = *id,
		.serial = p->w[0],
		.head_len = (uint32_t)(p->w[1] >> 40),
		.payload_len = p->w[1] & DIR_PAYLOAD_MAX,
	};
	return ret->serial && ret->serial <= DIR_SERIAL_MAX;
}

void dir_frame_put(const struct dir_name *n, uint8_t f[DIR_FRAME])
{
	memset(f, 0, DIR_FRAME);
	le32_put(f, FRAME_MAGIC);
	f[4] = 1;
	le32_put(f + 8, n->head_len);
	le32_put(f + 12, n->id.index);
	le64_put(f + 16, n->payload_len);
	le64_put(f + 24, n->id.epoch);
	le64_put(f + 32, n->id.counter);
	le64_put(f + 40, n->serial);
	le64_put(f + 56, XXH3_64bits(f, 56));
}

bool dir_frame_matches(const struct dir_name *n, const uint8_t f[DIR_FRAME])
{
	uint8_t want[DIR_FRAME];

	dir_frame_put(n, want);
	return !memcmp(f, want, DIR_FRAME);
}

void dir_path(const struct dir *d, const struct dir_name *n, char *out,
	      size_t len)
{
	char name[DIR_NAME];

	dir_name_put(n, name);
	(void)snprintf(out, len, "%s/fragments/%02x/%s", d->path,
		       dir_fan(&n->id), name);
}
