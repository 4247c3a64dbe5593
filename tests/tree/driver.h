/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random operations on a view and on a model at once.  Each step checks that
 * both answer the same, errors included.
 */
#ifndef TESTS_TREE_DRIVER_H
#define TESTS_TREE_DRIVER_H

#include "model.h"

struct driver {
	const struct dynfs_fs_view *fs;
	struct model m;
	uint64_t random; /* state */
	uint64_t n_done; /* steps that changed something */
	bool names_only; /* no content, so that a step is one batch */
};

/* The answer of a call goes to an int. */
int take_result(void *ctx, int err);
#define TAKE_RESULT(ret)                                                       \
	{                                                                      \
		.size = sizeof(struct dynfs_call), .ctx = (ret),               \
		.done = take_result                                            \
	}

/* An ACL: owner rwx, user 5 rwx, group r-x, mask rwx, other --- */
#define SOME_ACL_BYTES 44u
extern const char some_acl[SOME_ACL_BYTES];

/* From DYNFS_TEST_SEED or the clock; printed. */
uint64_t driver_seed(void);
uint64_t random_next(uint64_t *state);
uint64_t random_below(uint64_t *state, uint64_t n);

void driver_init(struct driver *d, const struct dynfs_fs_view *fs,
		 uint64_t seed);
void driver_step(struct driver *d);
/* Give back all lookups and opens, as an unmount does. */
void driver_forget(struct driver *d);
/* Look up all that has a name, as after a mount. */
void driver_relook(struct driver *d);
void driver_compare(struct driver *d, bool content);
void driver_done(struct driver *d);

#endif
