/* SPDX-License-Identifier: Apache-2.0 */
/* A tree over doubles, and short ways to ask it. */
#ifndef TESTS_TREE_WORLD_H
#define TESTS_TREE_WORLD_H

#include "double.h"

#include <tree/private.h>

struct world {
	struct meta *meta;
	struct files *files;
	struct tree *tree;
	const struct dynfs_fs_view *fs;
};

/* An empty pool; then reopen by close and open. */
void world_new(struct world *w);
void world_free(struct world *w);
void world_open(struct world *w);
void world_close(struct world *w);

/* Each test in a world of its own, in *state. */
int world_set_up(void **state);
int world_tear_down(void **state);
#define WITH_WORLD(test)                                                       \
	cmocka_unit_test_setup_teardown(test, world_set_up, world_tear_down)

/* Three values and zero, which counts as one. */
uint64_t weak_hash(const uint8_t key[16], const void *name, size_t len);

/* root's, with mode as given and no lookup kept; its number. */
uint64_t make(struct world *w, uint64_t dir, const char *name, uint32_t mode);
struct dynfs_attr attr_of(struct world *w, uint64_t ino);
bool later(struct dynfs_time a, struct dynfs_time b);
extern const struct dynfs_caller as_root;

#endif
