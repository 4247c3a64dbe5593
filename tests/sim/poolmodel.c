/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A version is a whole copy of the content: files are small here, and nothing
 * is easier to trust.  A block of a crashed file may come from any version
 * since the last sync, so what is judged is each block alone, and where writes
 * begin or end inside of one, each part of it: nothing orders writes to
 * different bytes.  The size lies between those of the versions, for a long
 * write may be committed in parts.
 */
#include "poolmodel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

/* It is new from off to end. */
static void push(struct pm *m, struct pm_node *n, uint8_t *data, size_t len,
		 size_t off, size_t end)
{
	n->v = (struct pm_version *)must(
	    realloc(n->v, (n->n_v + 1) * sizeof(*n->v)));
	n->v[n->n_v++] =
	    (struct pm_version){ data, len, m->n_past - 1, off, end };
}

/* Only the newest stays. */
static void collapse(struct pm_node *n)
{
	if (!n->n_v)
		return;
	for (size_t i = 0; i + 1 < n->n_v; i++)
		free(n->v[i].data);
	n->v[0] = n->v[n->n_v - 1];
	n->v[0].step = 0;
	n->n_v = 1;
	n->floor_step = n->floor_v = 0;
}

static void node_done(struct pm_node *n)
{
	for (size_t i = 0; i < n->n_v; i++)
		free(n->v[i].data);
	free(n->v);
}

struct pm *pm_new(uint64_t root_ino)
{
	struct pm *m = (struct pm *)must(calloc(1, sizeof(*m)));

	(void)pm_add(m, S_IFDIR, root_ino, 0, "");
	pm_step(m);
	return m;
}

void pm_free(struct pm *m)
{
	for (uint32_t i = 0; i < m->n_nodes; i++)
		node_done(&m->node[i]);
	free(m->past);
	free(m);
}

void pm_step(struct pm *m)
{
	m->past = (struct pm_space *)must(
	    realloc(m->past, (m->n_past + 1) * sizeof(*m->past)));
	m->past[m->n_past++] = m->now;
}

void pm_synced_names(struct pm *m)
{
	m->synced = m->n_past - 1;
}

void pm_synced_file(struct pm *m, uint32_t node)
{
	collapse(&m->node[node]);
}

void pm_synced(struct pm *m)
{
	pm_synced_names(m);
	for (uint32_t i = 0; i < m->n_nodes; i++)
		collapse(&m->node[i]);
}

void pm_restart(struct pm *m, size_t step)
{
	uint32_t to[PM_NODES] = { 0 }, n = 1;
	struct pm_space s = m->past[step];

	for (uint32_t i = 1; i < m->n_nodes; i++) {
		if (!pm_links(&s, i)) {
			node_done(&m->node[i]);
			continue;
		}
		to[i] = n;
		m->node[n] = m->node[i];
		s.xattr[n++] = s.xattr[i];
	}
	memset(m->node + n, 0, (PM_NODES - n) * sizeof(*m->node));
	memset(s.xattr + n, 0, (PM_NODES - n) * sizeof(*s.xattr));
	m->n_nodes = n;
	for (size_t i = 0; i < s.n; i++) {
		s.e[i].parent = to[s.e[i].parent];
		s.e[i].node = to[s.e[i].node];
	}
	m->now = s;
	m->n_past = m->synced = 0;
	pm_step(m);
}

uint32_t pm_add(struct pm *m, uint32_t type, uint64_t ino, uint64_t generation,
		const char *target)
{
	struct pm_node *n = &m->node[m->n_nodes];

	if (m->n_nodes == PM_NODES)
		abort();
	*n = (struct pm_node){ .ino = ino,
			       .generation = generation,
			       .type = type };
	(void)snprintf(n->target, sizeof(n->target), "%s", target);
	m->now.xattr[m->n_nodes] = 0;
	if (type == S_IFREG) {
		push(m, n, (uint8_t *)must(calloc(1, 1)), 0, 0, 0);
		n->v[0].step = 0;
	}
	return m->n_nodes++;
}

void pm_enter(struct pm *m, uint32_t parent, const char *name, uint32_t node)
{
	struct pm_entry *e = &m->now.e[m->now.n++];

	if (m->now.n > PM_ENTRIES)
		abort();
	memset(e, 0, sizeof(*e));
	e->parent = parent;
	e->node = node;
	(void)snprintf(e->name, sizeof(e->name), "%s", name);
}

struct pm_entry *pm_find(struct pm *m, uint32_t parent, const char *name)
{
	for (size_t i = 0; i < m->now.n; i++) {
		struct pm_entry *e = &m->now.e[i];

		if (e->parent == parent && !strcmp(e->name, name))
			return e;
	}
	return NULL;
}

void pm_remove(struct pm *m, struct pm_entry *e)
{
	*e = m->now.e[--m->now.n];
}

uint32_t pm_links(const struct pm_space *s, uint32_t node)
{
	uint32_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += s->e[i].node == node;
	return n;
}

bool pm_is_empty(const struct pm *m, uint32_t dir)
{
	for (size_t i = 0; i < m->now.n; i++) {
		if (m->now.e[i].parent == dir)
			return false;
	}
	return true;
}

bool pm_is_below(const struct pm *m, uint32_t dir, uint32_t top)
{
	while (dir && dir != top) {
		size_t i = 0;

		while (m->now.e[i].node != dir)
			i++;
		dir = m->now.e[i].parent;
	}
	return dir == top;
}

const struct pm_version *pm_newest(const struct pm *m, uint32_t node)
{
	return &m->node[node].v[m->node[node].n_v - 1];
}

static uint8_t *resized(const struct pm_version *v, size_t len)
{
	uint8_t *data = (uint8_t *)must(calloc(1, len + 1));

	memcpy(data, v->data, len < v->len ? len : v->len);
	return data;
}

void pm_write(struct pm *m, uint32_t node, size_t off, const void *data,
	      size_t len)
{
	const struct pm_version *v = pm_newest(m, node);
	size_t whole = off + len > v->len ? off + len : v->len;
	uint8_t *copy = resized(v, whole);

	memcpy(copy + off, data, len);
	push(m, &m->node[node], copy, whole, off, off + len);
}

void pm_zero(struct pm *m, uint32_t node, size_t off, size_t end)
{
	const struct pm_version *v = pm_newest(m, node);
	size_t len = v->len;
	uint8_t *copy = resized(v, len);

	end = end < len ? end : len;
	off = off < end ? off : end;
	memset(copy + off, 0, end - off);
	push(m, &m->node[node], copy, len, off, end);
}

void pm_truncate(struct pm *m, uint32_t node, size_t len)
{
	size_t was = pm_newest(m, node)->len;

	push(m, &m->node[node], resized(pm_newest(m, node), len), len,
	     was < len ? was : len, was < len ? len : was);
}

void pm_settled(struct pm *m, uint32_t node)
{
	struct pm_node *n = &m->node[node];

	if (n->type != S_IFREG)
		return;
	n->floor_step = m->n_past - 1;
	n->floor_v = n->n_v - 1;
}

void pm_settled_next(struct pm *m, uint32_t node)
{
	struct pm_node *n = &m->node[node];

	n->floor_step = m->n_past;
	n->floor_v = n->n_v - 1;
}

/* It must reach that far itself: the size never runs ahead of the bytes. */
static bool has_part(const struct pm_version *v, const uint8_t *data,
		     size_t off, size_t end)
{
	return end <= v->len &&
	       memcmp(v->data + off, data + off, end - off) == 0;
}

/* Up to the next end of a block, or edge of a write of these versions. */
static size_t part_end(const struct pm_node *n, size_t from, size_t to,
		       size_t off, size_t len)
{
	size_t end = off - off % PM_BLOCK + PM_BLOCK;

	end = end < len ? end : len;
	for (size_t i = from + 1; i < to; i++) {
		if (n->v[i].off > off && n->v[i].off < end)
			end = n->v[i].off;
		if (n->v[i].end > off && n->v[i].end < end)
			end = n->v[i].end;
	}
	return end;
}

const char *pm_judge(const struct pm *m, uint32_t node, size_t first,
		     size_t last, const uint8_t *data, size_t len,
		     size_t *ret_off)
{
	const struct pm_node *n = &m->node[node];
	size_t from = n->floor_step && first >= n->floor_step ? n->floor_v : 0;
	size_t to = n->n_v, least = SIZE_MAX, most = 0;

	while (to - 1 > from && n->v[to - 1].step > last)
		to--;
	for (size_t i = from; i < to; i++) {
		least = n->v[i].len < least ? n->v[i].len : least;
		most = n->v[i].len > most ? n->v[i].len : most;
	}
	*ret_off = len;
	if (len < least || len > most)
		return "its size is of no version";
	for (size_t off = 0, end; off < len; off = end) {
		size_t i = from;

		end = part_end(n, from, to, off, len);
		while (i < to && !has_part(&n->v[i], data, off, end))
			i++;
		*ret_off = off;
		if (i == to)
			return "a part of a block is of no version";
	}
	return NULL;
}

void pm_settle_as(struct pm *m, uint32_t node, const uint8_t *data, size_t len)
{
	struct pm_node *n = &m->node[node];
	uint8_t *copy = (uint8_t *)must(calloc(1, len + 1));

	if (len)
		memcpy(copy, data, len);
	push(m, n, copy, len, 0, len);
	collapse(n);
}
