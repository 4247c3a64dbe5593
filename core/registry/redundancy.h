/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls of a redundancy plugin.  k, m and lengths are compared with the
 * plugin's limits, which were asked once, before each call.
 */
#ifndef REGISTRY_REDUNDANCY_H
#define REGISTRY_REDUNDANCY_H

#include <registry/registry.h>

#include <errno.h>

static inline const struct dynfs_redundancy_limits *
reg_redundancy_limits(const struct reg_inst *inst)
{
	return &inst->limits;
}

static inline uint64_t reg_redundancy_caps(const struct reg_inst *inst)
{
	return inst->ops.redundancy->caps;
}

static inline bool reg_redundancy_fits(const struct reg_inst *inst, uint32_t k,
				       uint32_t m)
{
	const struct dynfs_redundancy_limits *l = &inst->limits;

	return k >= l->data_min && k <= l->data_max && m >= l->check_min &&
	       m <= l->check_max && k + m <= l->total_max;
}

/* 0 if the plugin does k+m, else -EINVAL and why. */
int reg_redundancy_check(struct reg_inst *inst, uint32_t k, uint32_t m);

/* Why encode() or rebuild() was refused before it reached the plugin. */
int reg_redundancy_refuse(const struct reg_inst *inst, uint32_t k, uint32_t m,
			  size_t len);

static inline int reg_redundancy_encode(struct reg_inst *inst, uint32_t k,
					uint32_t m, uint8_t **shard, size_t len)
{
	if (!reg_redundancy_fits(inst, k, m) || len % inst->limits.quantum)
		return reg_redundancy_refuse(inst, k, m, len);
	return REG_ASK(inst, redundancy, encode, k, m, shard, len);
}

/* -EUCLEAN, with a text, when fewer than k shards are there. */
int reg_redundancy_rebuild(struct reg_inst *inst, uint32_t k, uint32_t m,
			   uint8_t **shard, size_t len, uint32_t have,
			   uint32_t want);

#endif
