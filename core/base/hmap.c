/* SPDX-License-Identifier: Apache-2.0 */
#include <base/hmap.h>

#include <errno.h>
#include <stdlib.h>

int hmap_init(struct hmap *m, size_t n_hint)
{
	size_t n = 16;

	while (n < n_hint)
		n *= 2;
	m->buckets = (struct hnode **)calloc(n, sizeof(*m->buckets));
	m->n_buckets = m->buckets ? n : 0;
	m->n = 0;
	return m->buckets ? 0 : -ENOMEM;
}

void hmap_done(struct hmap *m)
{
	free(m->buckets);
	*m = (struct hmap){ 0 };
}

static void hmap_grow(struct hmap *m)
{
	size_t n = m->n_buckets * 2;
	struct hnode **b = (struct hnode **)calloc(n, sizeof(struct hnode *));

	if (!b)
		return;
	for (size_t i = 0; i < m->n_buckets; ++i) {
		struct hnode *next, *it = m->buckets[i];

		for (; it; it = next) {
			next = it->next;
			it->next = b[it->hash & (n - 1)];
			b[it->hash & (n - 1)] = it;
		}
	}
	free(m->buckets);
	m->buckets = b;
	m->n_buckets = n;
}

void hmap_add(struct hmap *m, struct hnode *n, uint64_t hash)
{
	struct hnode **at;

	if (m->n >= m->n_buckets)
		hmap_grow(m);
	at = &m->buckets[hash & (m->n_buckets - 1)];
	n->hash = hash;
	n->next = *at;
	*at = n;
	m->n++;
}

void hmap_remove(struct hmap *m, struct hnode *n)
{
	struct hnode **at = &m->buckets[n->hash & (m->n_buckets - 1)];

	while (*at && *at != n)
		at = &(*at)->next;
	if (!*at)
		return;
	*at = n->next;
	n->next = NULL;
	m->n--;
}

static struct hnode *hmap_same(struct hnode *n, uint64_t hash)
{
	while (n && n->hash != hash)
		n = n->next;
	return n;
}

struct hnode *hmap_find(const struct hmap *m, uint64_t hash)
{
	if (!m->n_buckets)
		return NULL;
	return hmap_same(m->buckets[hash & (m->n_buckets - 1)], hash);
}

struct hnode *hmap_next(const struct hnode *n)
{
	return hmap_same(n->next, n->hash);
}

struct hnode *hmap_iter(const struct hmap *m, const struct hnode *after)
{
	size_t i = 0;

	if (after) {
		if (after->next)
			return after->next;
		i = (after->hash & (m->n_buckets - 1)) + 1;
	}
	for (; i < m->n_buckets; ++i)
		if (m->buckets[i])
			return m->buckets[i];
	return NULL;
}
