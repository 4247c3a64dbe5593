/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens whose sync failed.  They stay lost, whatever later syncs say: the
 * kernel has dropped the pages and forgotten that it did.
 */
#ifndef STORE_COMMON_TOKENS_H
#define STORE_COMMON_TOKENS_H

#include <stdbool.h>
#include <stdint.h>

#define LOST_RANGES 16

/* Tokens lo < t <= hi of each range; the caller's lock guards it. */
struct lost_tokens {
	struct {
		uint64_t lo, hi;
	} range[LOST_RANGES];
	uint32_t n;
};

static inline bool lost_has(const struct lost_tokens *l, uint64_t token)
{
	for (uint32_t i = 0; i < l->n; i++)
		if (token > l->range[i].lo && token <= l->range[i].hi)
			return true;
	return false;
}

static inline void lost_add(struct lost_tokens *l, uint64_t lo, uint64_t hi)
{
	if (lo == hi)
		return;
	if (l->n == LOST_RANGES) {
		/* too many: what lay between the first two counts as lost */
		l->range[0].hi = l->range[1].hi;
		for (uint32_t i = 1; i + 1 < LOST_RANGES; i++)
			l->range[i] = l->range[i + 1];
		l->n--;
	}
	l->range[l->n].lo = lo;
	l->range[l->n].hi = hi;
	l->n++;
}

#endif
