/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of a placement plugin; what it picks is checked every time. */
#ifndef REGISTRY_PLACEMENT_H
#define REGISTRY_PLACEMENT_H

#include <registry/registry.h>

/*
 * 0: out holds n_pick indexes, all in range, distinct, of disks that are not
 * in use, over as many failure domains as the offer has.  -EINVAL when the
 * request asks for more disks than it offers, -EIO when the plugin's answer
 * breaks a rule; both with a text.
 */
int reg_placement_pick(struct reg_inst *inst,
		       const struct dynfs_placement_request *request,
		       uint32_t *out);

#endif
