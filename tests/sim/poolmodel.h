/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What should be in a pool: names after each operation, and every version of
 * each file's content since it was last known to be durable.
 */
#ifndef TESTS_SIM_POOLMODEL_H
#define TESTS_SIM_POOLMODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PM_NODES   512u
#define PM_ENTRIES 48u
#define PM_NAME    16u
#define PM_BLOCK   512u

struct pm_version {
	uint8_t *data; /* owned */
	size_t len;
	size_t step;     /* of the names, when it was written */
	size_t off, end; /* where it may differ from the version before */
};

struct pm_node {
	uint64_t ino; /* 0: was never answered */
	uint64_t generation;
	uint32_t type; /* S_IFMT bits */
	char target[PM_NAME];
	struct pm_version *v; /* files: oldest first, owned; at least one */
	size_t n_v;
	/* when the names are of this step or later, so must be the content */
	size_t floor_step, floor_v;
};

struct pm_entry {
	uint32_t parent, node; /* numbers of nodes; the root is 0 */
	char name[PM_NAME];
};

struct pm_space {
	struct pm_entry e[PM_ENTRIES];
	size_t n;
	uint64_t xattr[PM_NODES]; /* of nodes; 0: none */
};

struct pm {
	struct pm_space now;
	struct pm_node node[PM_NODES];
	uint32_t n_nodes;
	struct pm_space *past; /* owned: past[i] after i steps */
	size_t n_past;
	size_t synced; /* the step that is known to be durable */
};

struct pm *pm_new(uint64_t root_ino);
void pm_free(struct pm *m);

/* A step of the names is done: the state now is remembered. */
void pm_step(struct pm *m);
/* Everything is durable, or only the names and one file. */
void pm_synced(struct pm *m);
void pm_synced_names(struct pm *m);
void pm_synced_file(struct pm *m, uint32_t node);
/* The pool came up with the names of past[step]. */
void pm_restart(struct pm *m, size_t step);

uint32_t pm_add(struct pm *m, uint32_t type, uint64_t ino, uint64_t generation,
		const char *target);
void pm_enter(struct pm *m, uint32_t parent, const char *name, uint32_t node);
struct pm_entry *pm_find(struct pm *m, uint32_t parent, const char *name);
void pm_remove(struct pm *m, struct pm_entry *e);
uint32_t pm_links(const struct pm_space *s, uint32_t node);
bool pm_is_empty(const struct pm *m, uint32_t dir);
/* dir is top or somewhere below it. */
bool pm_is_below(const struct pm *m, uint32_t dir, uint32_t top);

const struct pm_version *pm_newest(const struct pm *m, uint32_t node);
/* A new version: data NULL cuts or extends to len. */
void pm_write(struct pm *m, uint32_t node, size_t off, const void *data,
	      size_t len);
/* Zeros from off to end, but no farther than it goes. */
void pm_zero(struct pm *m, uint32_t node, size_t off, size_t end);
void pm_truncate(struct pm *m, uint32_t node, size_t len);
/* It must be as it is now once the names are of this step, or of the next. */
void pm_settled(struct pm *m, uint32_t node);
void pm_settled_next(struct pm *m, uint32_t node);

/*
 * NULL: a file may have this content when the names are of step first, or of
 * a later one up to last; else what is wrong with it, and where.
 */
const char *pm_judge(const struct pm *m, uint32_t node, size_t first,
		     size_t last, const uint8_t *data, size_t len,
		     size_t *ret_off);
/* That content is what the file has now, in a new life. */
void pm_settle_as(struct pm *m, uint32_t node, const uint8_t *data, size_t len);

#endif
