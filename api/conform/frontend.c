/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frontends: what can be said without a pool and without rights.  That one
 * serves is seen by mounting or connecting, in tests of its own.
 */
#include "conform.h"

#include <dynfs/frontend.h>

static bool close_without_open(struct conform *c)
{
	struct inst i;

	if (inst_new(c, &i, NULL))
		return false;
	i.plugin->frontend->close(i.self);
	i.plugin->frontend->close(i.self);
	return inst_free(c, &i);
}

static const char *incomplete(const struct dynfs_plugin *p)
{
	const struct dynfs_frontend_ops *o = p->frontend;

	return o->size < offsetof(struct dynfs_frontend_ops, changed)
		   ? "size is too short"
	       : o->caps   ? "a capability is unknown"
	       : !o->open  ? "open() is missing"
	       : !o->serve ? "serve() is missing"
	       : !o->close ? "close() is missing"
			   : NULL;
}

static const struct check checks[] = {
	{ "close() of what was never opened does nothing", close_without_open },
	{ NULL, NULL },
};

const struct kind kind_frontend = {
	.name = "frontend",
	.incomplete = incomplete,
	.checks = checks,
};
