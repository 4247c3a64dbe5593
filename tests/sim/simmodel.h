/* SPDX-License-Identifier: Apache-2.0 */
/* What should be in the metadata after each group: a list of operations. */
#ifndef TESTS_SIM_SIMMODEL_H
#define TESTS_SIM_SIMMODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODEL_KEYS 96 /* the first half plain, the second extents */

struct model_op {
	uint64_t group;
	unsigned key;
	bool is_put;
	uint64_t value; /* plain: its seed; extent: of the fragment */
	uint32_t disk[2], slot[2]; /* extent: two copies */
};

struct model {
	struct model_op *v;
	size_t n, cap;
};

void model_add(struct model *m, const struct model_op *op);
/* Forget what groups above end did. */
void model_cut(struct model *m, uint64_t end);
/* The last operation on key; NULL: none. */
const struct model_op *model_last(const struct model *m, unsigned key);
void model_done(struct model *m);

#endif
