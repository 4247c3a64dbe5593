/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a chunk is at some place: its dirty runs and its slices seen together.
 * Runs and shown parts of slices are few, so both are walked from the start.
 */
#include <file/private.h>

static void span_end(struct span *s, uint32_t off, uint32_t edge)
{
	if (edge > off && edge < s->end)
		s->end = edge;
}

struct span chunk_span(const struct map *m, const struct chunk *k, uint32_t off,
		       uint32_t chunk_bytes)
{
	struct span s = { .end = chunk_bytes };

	for (uint32_t i = 0; i < m->n_shown; ++i) {
		const struct shown *p = &m->shown[i];

		if (p->off + p->len <= off)
			continue;
		if (p->off <= off) {
			s.kind = m->slices[p->slice].kind;
			s.end = p->off + p->len;
		} else {
			s.end = p->off;
		}
		break;
	}
	if (!k)
		return s;
	list_for(l, &k->runs)
	{
		const struct run *r = container_of(l, struct run, in_chunk);

		s.run = s.run || (r->off <= off && r->off + r->len > off);
		span_end(&s, off, r->off);
		span_end(&s, off, r->off + r->len);
	}
	return s;
}
