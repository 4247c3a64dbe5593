/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fragments for the checks of stores.  Their bytes follow from their id, so
 * that a wrong one is seen at once.  All functions may be called from any
 * thread; results are 0, a negative errno, or 1 for wrong bytes.
 */
#ifndef CONFORM_FRAGMENT_H
#define CONFORM_FRAGMENT_H

#include "conform.h"

#include <dynfs/store.h>

#define FRAG_MAX (1u << 20) /* head and payload */

struct frag {
	struct dynfs_fragment_id id;
	uint32_t head_len, payload_len;
	struct dynfs_place place;
};

struct frag frag_make(uint64_t number, uint32_t head_len, uint32_t payload_len);
/* One submit() for all; a result for each. */
void frags_write(struct inst *i, struct frag *f, int *res, uint32_t n);
void frags_free(struct inst *i, const struct frag *f, int *res, uint32_t n);
int frag_write(struct inst *i, struct frag *f);
int frag_free(struct inst *i, const struct frag *f);
int frag_read(struct inst *i, const struct frag *f, bool head, uint64_t off,
	      uint64_t len);
int frag_check(struct inst *i, const struct frag *f); /* both parts, whole */
int frag_check_uncached(struct inst *i, const struct frag *f);

/* Why the store broke the rules of submit() and done(), or NULL. */
const char *frag_wrong(void);

const struct dynfs_store_ops *store_ops(const struct inst *i);
/* open() below the instance's disk; limit 0: none */
int store_open(struct inst *i, const char *name, uint32_t flags,
	       uint64_t limit);
int store_sync(struct inst *i);
/* How often f is listed, n rows at a time; -1: wrongly, -2: an error. */
int store_listed(struct inst *i, const struct frag *f, uint32_t n_rows,
		 uint64_t *ret_total);

/* store_crash.c */
conform_fn store_sync_is_remembered, store_failed_sync_stays,
    store_survives_power_cuts, store_first_sync_covers_what_was_found,
    store_survives_failing_calls;
bool store_golden(struct conform *c, FILE *out);

#endif
