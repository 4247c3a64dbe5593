/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Room that files have reserved, for the whole pool: a sum for each policy, as
 * a byte of content takes more room in one form than in another.  There are
 * few; the record of one is a usage record, which says what all inodes of that
 * policy count.  In memory the sums have claims, too, which no inode has yet.
 */
#include <file/private.h>

#include <base/cleanup.h>
#include <base/fail.h>

#include <errno.h>
#include <stdlib.h>

uint64_t in_form(uint64_t bytes, const struct policy *of,
		 const struct policy *as)
{
	uint64_t num = (uint64_t)(of->k + of->m) * as->k;
	uint64_t den = (uint64_t)(as->k + as->m) * of->k;

	return (bytes * num + den - 1) / den;
}

/* reserved_lock is held; NULL: no memory. */
static struct policy_reserve *reserve_of(struct files *f, uint32_t policy)
{
	struct policy_reserve *r;

	for (uint32_t i = 0; i < f->n_reserves; ++i)
		if (f->reserves[i].policy == policy)
			return &f->reserves[i];
	r = (struct policy_reserve *)realloc(f->reserves,
					     (f->n_reserves + 1) * sizeof(*r));
	if (!r)
		return NULL;
	f->reserves = r;
	f->reserves[f->n_reserves] = (struct policy_reserve){ policy, 0 };
	return &f->reserves[f->n_reserves++];
}

int reserved_add(struct files *f, uint32_t policy, uint64_t bytes)
{
	struct policy_reserve *r;

	AUTOLOCK(&f->reserved_lock);
	r = reserve_of(f, policy);
	if (!r)
		return -ENOMEM;
	r->bytes += bytes;
	atomic_fetch_add(&f->reserved_bytes, bytes);
	return 0;
}

void reserved_sub(struct files *f, uint32_t policy, uint64_t bytes)
{
	struct policy_reserve *r;

	AUTOLOCK(&f->reserved_lock);
	r = reserve_of(f, policy);
	if (!r)
		return;
	bytes = bytes < r->bytes ? bytes : r->bytes;
	r->bytes -= bytes;
	atomic_fetch_sub(&f->reserved_bytes, bytes);
}

uint64_t reserved_as(struct files *f, const struct policy *as)
{
	struct extents *x = f->how.extents;
	uint64_t sum = 0;

	if (!atomic_load(&f->reserved_bytes))
		return 0;
	AUTOLOCK(&f->reserved_lock);
	for (uint32_t i = 0; i < f->n_reserves; ++i) {
		const struct policy_reserve *r = &f->reserves[i];

		if (r->bytes)
			sum +=
			    in_form(r->bytes, policy_of_id(x, r->policy), as);
	}
	return sum;
}

uint64_t files_reserved(struct files *f)
{
	return reserved_as(f, extents_policy_default(f->how.extents));
}

static int load_row(void *ctx, const void *key, size_t key_len,
		    const void *value, size_t value_len)
{
	struct usage_rec rec;
	uint32_t policy;
	uint8_t kind;

	if (key_parse_usage(key, key_len, &kind, &policy) < 0 ||
	    usage_rec_get(value, value_len, &rec) < 0)
		return fail(-EUCLEAN,
			    "a record of what is reserved is damaged");
	return reserved_add((struct files *)ctx, policy, rec.bytes);
}

int reserved_load(struct files *f)
{
	struct key all = key_usage(USAGE_RESERVED, 0);

	/* kind and its byte, without the id */
	return meta_scan(f->how.meta, all.data, all.len - sizeof(uint32_t),
			 NULL, 0, load_row, f);
}
