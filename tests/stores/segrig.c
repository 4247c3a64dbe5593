/* SPDX-License-Identifier: Apache-2.0 */
#include "segrig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

uint64_t seed;

int setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	*state = r;
	if (!r || rig_init(r, "segment", false, seed))
		return -1;
	r->max_fragment = 300000;
	r->limit = 512u << 20;
	if (!rig_open(r, DYNFS_STORE_OPEN_CREATE))
		return 0;
	/* there is no teardown for what was not set up */
	rig_done(r);
	free(r);
	return -1;
}

int teardown(void **state)
{
	rig_done(*state);
	free(*state);
	return 0;
}

static int each_name(void *ctx, const char *name, uint32_t type)
{
	struct names *n = ctx;
	const char *dot = strchr(name, '.');

	(void)type;
	n->n_open += dot && !strcmp(dot, ".open");
	n->n_seg += dot && !strcmp(dot, ".seg");
	if (dot == name + 16)
		(void)snprintf(n->last, sizeof(n->last), "%s/%s", STORE, name);
	return 0;
}

struct names names(struct rig *r)
{
	struct names n = { 0 };

	assert_int_equal(r->os->list(r->os, STORE, each_name, &n), 0);
	return n;
}

void sync_all(struct rig *r)
{
	assert_int_equal(r->ops->sync(r->self, r->ops->mark(r->self)), 0);
}

void write_all(struct rig *r, struct frag *f, uint32_t n, uint64_t first,
	       uint32_t payload)
{
	for (uint32_t i = 0; i < n; i++) {
		f[i] = frag_make(first + i, 600, payload);
		assert_int_equal(frag_write(r, &f[i]), 0);
	}
}

void power_cut(struct rig *r, enum simos_survival how)
{
	simos_crash_at(r->sim, 1);
	rig_abandon(r);
	simos_restart(r->sim, how, seed);
}
