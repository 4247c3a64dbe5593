/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls of a store.  As dynfs/store.h says, and on top of it: the plugin's
 * locking, texts for every error, and answers that can not be true are -EIO.
 *
 * done() of an operation may run inside reg_store_submit(), with the
 * instance's lock held when the store is not DYNFS_PARALLEL: it must not
 * call the store again, only note that the operation is over.
 */
#ifndef REGISTRY_STORE_H
#define REGISTRY_STORE_H

#include <registry/registry.h>

static inline uint64_t reg_store_caps(const struct reg_inst *inst)
{
	return inst->ops.store->caps;
}

static inline int reg_store_open(struct reg_inst *inst,
				 const struct dynfs_store_open *how)
{
	return REG_ASK(inst, store, open, how);
}

static inline void reg_store_close(struct reg_inst *inst)
{
	reg_enter(inst);
	inst->ops.store->close(inst->self);
	reg_leave(inst);
}

static inline int reg_store_submit(struct reg_inst *inst,
				   struct dynfs_store_op *const *ops,
				   uint32_t n)
{
	return n ? REG_ASK(inst, store, submit, ops, n) : 0;
}

static inline uint64_t reg_store_mark(struct reg_inst *inst)
{
	return REG_CALL(inst, store, mark);
}

static inline int reg_store_sync(struct reg_inst *inst, uint64_t token)
{
	return REG_ASK(inst, store, sync, token);
}

static inline uint64_t reg_store_cost(struct reg_inst *inst, uint32_t head_len,
				      uint64_t payload_len)
{
	return REG_CALL(inst, store, cost, head_len, payload_len);
}

/* out needs no preparation; free_bytes <= total_bytes. */
int reg_store_space(struct reg_inst *inst, struct dynfs_store_space *out);

/* *ret_n <= n, and the cursor moved unless *ret_n is 0. */
int reg_store_list(struct reg_inst *inst, uint64_t *cursor,
		   struct dynfs_store_entry *out, uint32_t n, uint32_t *ret_n);

#endif
