/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of a checksum plugin; sum_blocks is made from sum where missing. */
#ifndef REGISTRY_CHECKSUM_H
#define REGISTRY_CHECKSUM_H

#include <registry/registry.h>

static inline uint32_t reg_checksum_len(const struct reg_inst *inst)
{
	return inst->ops.checksum->digest_len;
}

static inline uint64_t reg_checksum_caps(const struct reg_inst *inst)
{
	return inst->ops.checksum->caps;
}

static inline int reg_checksum_sum(struct reg_inst *inst, const void *data,
				   size_t len, uint8_t *out)
{
	return REG_ASK(inst, checksum, sum, data, len, out);
}

/* The same as many sum() calls; block 0 is -EINVAL. */
int reg_checksum_sum_each(struct reg_inst *inst, const void *data, size_t len,
			  size_t block, uint8_t *out);

static inline int reg_checksum_sum_blocks(struct reg_inst *inst,
					  const void *data, size_t len,
					  size_t block, uint8_t *out)
{
	if (!inst->ops.checksum->sum_blocks || !block)
		return reg_checksum_sum_each(inst, data, len, block, out);
	return REG_ASK(inst, checksum, sum_blocks, data, len, block, out);
}

#endif
