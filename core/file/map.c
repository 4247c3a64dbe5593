/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The slices of one chunk, and what of them is to be seen.
 *
 * Slices are few (compaction keeps them near 64), so arrays that are made
 * anew beat trees.  The order of sequences decides who hides whom; slices
 * come in that order from the index and from flushes.
 */
#include <file/private.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void map_done(struct map *m)
{
	for (uint32_t i = 0; i < m->n_slices; ++i)
		free(m->slices[i].bytes);
	free(m->slices);
	free(m->shown);
	*m = (struct map){ 0 };
}

static int map_grow(struct map *m)
{
	if (m->n_slices == m->cap_slices) {
		uint32_t cap = m->cap_slices ? m->cap_slices * 2 : 2;
		struct slice *s =
		    (struct slice *)realloc(m->slices, cap * sizeof(*s));

		if (!s)
			return -ENOMEM;
		m->slices = s;
		m->cap_slices = cap;
	}
	/* one more slice cuts at most one part in two and adds itself */
	if (m->n_shown + 2 > m->cap_shown) {
		uint32_t cap = m->cap_shown ? m->cap_shown * 2 : 4;
		struct shown *s =
		    (struct shown *)realloc(m->shown, cap * sizeof(*s));

		if (!s)
			return -ENOMEM;
		m->shown = s;
		m->cap_shown = cap;
	}
	return 0;
}

static void shown_insert(struct map *m, uint32_t at, struct shown s)
{
	memmove(&m->shown[at + 1], &m->shown[at],
		(m->n_shown - at) * sizeof(s));
	m->shown[at] = s;
	m->n_shown++;
}

static void shown_remove(struct map *m, uint32_t at)
{
	m->n_shown--;
	memmove(&m->shown[at], &m->shown[at + 1],
		(m->n_shown - at) * sizeof(*m->shown));
}

/* Take [off, end) away from what is shown; returns where it would go. */
static uint32_t shown_clear(struct map *m, uint32_t off, uint32_t end)
{
	uint32_t i = 0;

	while (i < m->n_shown && m->shown[i].off + m->shown[i].len <= off)
		i++;
	if (i < m->n_shown && m->shown[i].off < off) {
		struct shown *s = &m->shown[i], right = *s;

		if (s->off + s->len > end) {
			right.len = s->off + s->len - end;
			right.off = end;
			s->len = off - s->off;
			shown_insert(m, i + 1, right);
			return i + 1;
		}
		s->len = off - s->off;
		i++;
	}
	while (i < m->n_shown && m->shown[i].off + m->shown[i].len <= end)
		shown_remove(m, i);
	if (i < m->n_shown && m->shown[i].off < end) {
		m->shown[i].len -= end - m->shown[i].off;
		m->shown[i].off = end;
	}
	return i;
}

int map_add(struct map *m, const struct slice *s)
{
	uint32_t at;

	if (map_grow(m) < 0) {
		free(s->bytes);
		return -ENOMEM;
	}
	m->slices[m->n_slices] = *s;
	at = shown_clear(m, s->off, s->off + s->len);
	shown_insert(m, at, (struct shown){ s->off, s->len, m->n_slices });
	m->n_slices++;
	return 0;
}

struct amount map_amount(const struct map *m)
{
	struct amount n = { 0 };

	for (uint32_t i = 0; i < m->n_shown; ++i) {
		uint8_t kind = m->slices[m->shown[i].slice].kind;

		if (kind != SLICE_HOLE)
			n.stored += m->shown[i].len;
		if (kind == SLICE_RESERVED)
			n.reserved += m->shown[i].len;
		if (kind == SLICE_INLINE)
			n.inlined += m->shown[i].len;
	}
	return n;
}

uint32_t map_pieces(const struct map *m)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < m->n_slices; ++i)
		n += m->slices[i].kind != SLICE_RESERVED ||
		     m->slices[i].len < RESERVE_BLOCK;
	return n;
}

bool map_shows(const struct map *m, uint32_t slice)
{
	for (uint32_t i = 0; i < m->n_shown; ++i)
		if (m->shown[i].slice == slice)
			return true;
	return false;
}

void map_prune(struct map *m)
{
	for (uint32_t i = m->n_slices; i-- > 0;) {
		if (map_shows(m, i))
			continue;
		free(m->slices[i].bytes);
		m->n_slices--;
		memmove(&m->slices[i], &m->slices[i + 1],
			(m->n_slices - i) * sizeof(*m->slices));
		for (uint32_t j = 0; j < m->n_shown; ++j)
			m->shown[j].slice -= m->shown[j].slice > i;
	}
}

bool map_has_inline(const struct map *m)
{
	for (uint32_t i = 0; i < m->n_slices; ++i)
		if (m->slices[i].kind == SLICE_INLINE)
			return true;
	return false;
}

bool map_hides(const struct map *m, uint32_t i)
{
	const struct slice *s = &m->slices[i];

	for (uint32_t j = 0; j < i; ++j) {
		const struct slice *o = &m->slices[j];

		if (o->off < s->off + s->len && s->off < o->off + o->len &&
		    map_shows(m, j))
			return true;
	}
	return false;
}

void map_unshow(struct map *m, uint32_t slice)
{
	for (uint32_t i = m->n_shown; i-- > 0;)
		if (m->shown[i].slice == slice)
			shown_remove(m, i);
}
