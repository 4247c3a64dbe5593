/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One open index: an instance of the engine plugin on one directory, and the
 * fact "chain" in it, which says which group of which log it has reached.
 */
#ifndef META_ENGINE_H
#define META_ENGINE_H

#include <base/hash.h>
#include <meta/meta.h>

struct engine {
	struct reg_inst *inst; /* owned */
	struct disk *disk;     /* that its directory is on */
	char *path;            /* owned */
	uint64_t number;       /* of the fact, when it was opened */
	uint8_t sum[SUM128_LEN];
	unsigned refs;      /* guarded by the lock of whoever shares it */
	bool old;           /* so is this: another took its place */
	uint64_t last_ckpt; /* number of the last checkpoint it made; 0 */
};

/* -EUCLEAN: it opens, but does not say where it is; or the engine's error. */
int engine_open(const struct meta_how *how, struct disk *disk, const char *path,
		uint32_t flags, struct engine **ret);
void engine_free(struct engine *e);
/* One group and its number and sum, atomically. */
int engine_apply(struct engine *e, uint64_t number,
		 const uint8_t sum[SUM128_LEN], const void *ops, size_t len,
		 uint32_t n_ops);
/* -ENOENT; replaces value's content. */
int engine_get(struct engine *e, const void *key, size_t len,
	       struct buf *value);

#endif
