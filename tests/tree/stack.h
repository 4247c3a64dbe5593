/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole pool on a simulated system: five disks with segment stores, two
 * copies of everything, the mem engine as the index.
 */
#ifndef TESTS_TREE_STACK_H
#define TESTS_TREE_STACK_H

#include "simos.h"

#include <pool/pool.h>

struct stack {
	struct simos *sim;
	struct reg *reg;
	struct conf *conf;
	struct pool *pool;
	const struct dynfs_fs_view *fs;
};

/* Made and opened; all failures fail the test, with their text. */
void stack_new(struct stack *s, uint64_t seed);
void stack_free(struct stack *s);
void stack_open(struct stack *s);
void stack_close(struct stack *s);
/* The power goes: what was not synced survives by a coin. */
void stack_crash(struct stack *s, uint64_t seed);
/* Nothing is left to be done in the background, all is durable. */
void stack_settle(struct stack *s);

#endif
