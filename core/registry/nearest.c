/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "Did you mean ...?": the smallest number of letters inserted, deleted,
 * replaced or swapped with their neighbour (optimal string alignment), by the
 * textbook table of three rows.  A name is near when fewer than about a third
 * of the word's letters had to change.
 */
#include <registry/registry.h>

#include <string.h>

static unsigned nearest_min(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

static unsigned nearest_distance(const char *a, const char *b)
{
	unsigned row[3][REG_NAME_MAX + 1];
	size_t n = strlen(a), m = strlen(b);

	if (n > REG_NAME_MAX || m > REG_NAME_MAX)
		return REG_NAME_MAX;
	for (size_t j = 0; j <= m; ++j)
		row[0][j] = (unsigned)j;
	for (size_t i = 1; i <= n; ++i) {
		unsigned *now = row[i % 3];
		const unsigned *last = row[(i - 1) % 3];

		now[0] = (unsigned)i;
		for (size_t j = 1; j <= m; ++j) {
			unsigned d = last[j - 1] + (a[i - 1] != b[j - 1]);

			d = nearest_min(d, last[j] + 1);
			d = nearest_min(d, now[j - 1] + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1])
				d = nearest_min(d, row[(i - 2) % 3][j - 2] + 1);
			now[j] = d;
		}
	}
	return row[n % 3][m];
}

const char *reg_nearest(const char *word, size_t n,
			const char *(*name)(const void *ctx, size_t i),
			const void *ctx)
{
	unsigned best = (unsigned)(strlen(word) + 2) / 3 + 1;
	const char *found = NULL;

	for (size_t i = 0; i < n; ++i) {
		const char *other = name(ctx, i);
		unsigned d = other ? nearest_distance(word, other) : best;

		if (d < best) {
			best = d;
			found = other;
		}
	}
	return found;
}
