/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls of a metadata engine.  As dynfs/meta.h says, and on top of it: the
 * plugin's locking, texts for every error, and answers that can not be true
 * are -EIO.  found() may run with the instance's lock held: it must not call
 * the engine.
 */
#ifndef REGISTRY_META_H
#define REGISTRY_META_H

#include <registry/registry.h>

static inline uint64_t reg_meta_caps(const struct reg_inst *inst)
{
	return inst->ops.meta->caps;
}

static inline int reg_meta_open(struct reg_inst *inst,
				const struct dynfs_meta_open *how,
				uint64_t *ret_applied)
{
	return REG_ASK(inst, meta, open, how, ret_applied);
}

static inline void reg_meta_close(struct reg_inst *inst)
{
	reg_enter(inst);
	inst->ops.meta->close(inst->self);
	reg_leave(inst);
}

static inline int reg_meta_get(struct reg_inst *inst,
			       const struct dynfs_meta_span *keys, uint32_t n,
			       void (*found)(void *ctx, uint32_t i,
					     struct dynfs_meta_span value),
			       void *ctx)
{
	return n ? REG_ASK(inst, meta, get, keys, n, found, ctx) : 0;
}

/* Each iterator is used by one thread at a time. */
int reg_meta_scan(struct reg_inst *inst, struct dynfs_meta_span from,
		  struct dynfs_meta_span to, struct dynfs_meta_iter **ret);

/* 1 and a row, 0 at the end, or a negative errno. */
static inline int reg_meta_next(struct reg_inst *inst,
				struct dynfs_meta_iter *it,
				struct dynfs_meta_span *key,
				struct dynfs_meta_span *value)
{
	unsigned said = reg_said;
	int r = REG_CALL(inst, meta, next, it, key, value);

	return r == 0 || r == 1 ? r : reg_blame(inst, "next", r, said);
}

static inline void reg_meta_scan_end(struct reg_inst *inst,
				     struct dynfs_meta_iter *it)
{
	reg_enter(inst);
	inst->ops.meta->scan_end(inst->self, it);
	reg_leave(inst);
}

/* A dynfs_meta_result or a negative errno. */
static inline int reg_meta_apply(struct reg_inst *inst, uint64_t number,
				 const struct dynfs_meta_op *ops, uint32_t n)
{
	unsigned said = reg_said;
	int r = REG_CALL(inst, meta, apply, number, ops, n);

	return r >= 0 && r <= DYNFS_META_UNKNOWN
		   ? r
		   : reg_blame(inst, "apply", r, said);
}

static inline int reg_meta_flush(struct reg_inst *inst)
{
	return REG_ASK(inst, meta, flush);
}

static inline int reg_meta_checkpoint(struct reg_inst *inst, const char *path,
				      uint64_t *ret_applied)
{
	return REG_ASK(inst, meta, checkpoint, path, ret_applied);
}

/* out needs no preparation. */
static inline int reg_meta_stats(struct reg_inst *inst,
				 struct dynfs_meta_stats *out)
{
	*out = (struct dynfs_meta_stats){ .size = sizeof(*out) };
	return REG_ASK(inst, meta, stats, out);
}

#endif
