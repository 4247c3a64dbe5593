/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls of a frontend: open, serve, close, in that order and from one thread;
 * changed from any.  close of one that is not open does nothing.
 */
#ifndef REGISTRY_FRONTEND_H
#define REGISTRY_FRONTEND_H

#include <registry/registry.h>

int reg_frontend_open(struct reg_inst *inst,
		      const struct dynfs_frontend_env *env);
int reg_frontend_serve(struct reg_inst *inst);
void reg_frontend_close(struct reg_inst *inst);

/*
 * Nothing when the plugin does not care.  Never from inside a view call, and
 * not after reg_frontend_close() began.
 */
static inline void reg_frontend_changed(struct reg_inst *inst, uint64_t ino,
					uint64_t off, uint64_t len)
{
	if (!inst->ops.frontend->changed)
		return;
	reg_enter(inst);
	inst->ops.frontend->changed(inst->self, ino, off, len);
	reg_leave(inst);
}

#endif
