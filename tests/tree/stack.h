/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole pool on a simulated system: five disks with segment stores, two
 * copies of everything, the mem engine as the index.
 */
#ifndef TESTS_TREE_STACK_H
#define TESTS_TREE_STACK_H

#include "simos.h"

#include <meta/keys.h>
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
/* No key that begins so is left. */
void stack_await(struct stack *s, struct key prefix);
/* Nothing that was written is in memory only. */
void stack_await_flush(struct stack *s);
/* Nothing is left to be done in the background, all is durable. */
void stack_settle(struct stack *s);

#endif
