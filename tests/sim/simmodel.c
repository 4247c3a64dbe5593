/* SPDX-License-Identifier: Apache-2.0 */
#include "simmodel.h"

#include <stdlib.h>

void model_add(struct model *m, const struct model_op *op)
{
	if (m->n == m->cap) {
		m->cap = m->cap ? m->cap * 2 : 256;
		m->v = (struct model_op *)realloc(m->v, m->cap * sizeof(*m->v));
		if (!m->v)
			abort();
	}
	m->v[m->n++] = *op;
}

void model_cut(struct model *m, uint64_t end)
{
	size_t kept = 0;

	for (size_t i = 0; i < m->n; i++)
		if (m->v[i].group <= end)
			m->v[kept++] = m->v[i];
	m->n = kept;
}

const struct model_op *model_last(const struct model *m, unsigned key)
{
	for (size_t i = m->n; i--;)
		if (m->v[i].key == key)
			return &m->v[i];
	return NULL;
}

void model_done(struct model *m)
{
	free(m->v);
	*m = (struct model){ 0 };
}
