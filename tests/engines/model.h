/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an engine should hold, as an array: for each of a fixed, sorted set of
 * keys the number of the batch that wrote it, 0 when it is not there.  Value
 * and batch follow from (seed, number), so the state after any batch can be
 * computed again: that is how a test tells whether a state is a whole prefix.
 */
#ifndef TEST_ENGINES_MODEL_H
#define TEST_ENGINES_MODEL_H

#include "engine.h"

#define MODEL_KEY_MAX   48
#define MODEL_VALUE_MAX 600
#define MODEL_OPS_MAX   40

struct model_key {
	uint8_t len;
	uint8_t bytes[MODEL_KEY_MAX];
};

struct model {
	uint64_t seed;
	uint64_t applied;
	int n;
	struct model_key *keys;
	uint64_t *version;
};

struct model_batch {
	uint64_t number;
	uint32_t n;
	int index[MODEL_OPS_MAX]; /* of the key */
	struct dynfs_meta_op ops[MODEL_OPS_MAX];
	uint8_t values[MODEL_OPS_MAX][MODEL_VALUE_MAX];
};

uint64_t random_next(uint64_t *state);

/* DYNFS_TEST_SEED or the clock; printed. */
uint64_t random_seed(void);

struct model *model_new(uint64_t seed, int n);
struct model *model_copy(const struct model *m);
void model_free(struct model *m);

/* The batch of this number; pointers into m and b. */
void model_batch(const struct model *m, uint64_t number, struct model_batch *b);
void model_apply(struct model *m, const struct model_batch *b);

/* Applies batch m->applied + 1 to both. */
void model_step(struct model *m, struct engine *e);

/* A fresh model after the batches 1..number. */
struct model *model_at(uint64_t seed, int n, uint64_t number);

struct dynfs_meta_span model_key(const struct model *m, int i);
size_t model_value(const struct model *m, int i, uint64_t version,
		   uint8_t out[MODEL_VALUE_MAX]);

/*
 * 0 when it holds just that: by a scan of all, by scans of parts and by
 * gets.  The error of a call; 1 when a row is wrong, extra or missing.
 */
int model_compare(const struct model *m, struct engine *e);

/* The rest of an open iterator against keys from..to-1.  Ends it. */
int model_compare_iter(const struct model *m, struct engine *e,
		       struct dynfs_meta_iter *it, int from, int to);

#endif
