/* SPDX-License-Identifier: Apache-2.0 */
/* A placement whose description is right and whose answers need not be. */
#include <dynfs/placement.h>
#include <errno.h>

enum picker_mood { GOOD, TWICE, RANGE, IN_USE, DOMAIN_TWICE };

static const char *const picker_moods[] = { "good",   "twice",        "range",
					    "in-use", "domain-twice", NULL };

struct picker_config {
	int32_t mood;
	const char *key;
};

struct picker {
	const struct dynfs_host *h;
	int32_t mood;
};

static int picker_create(const struct dynfs_host *h, const void *config,
			 void **ret_self)
{
	struct picker *p = h->alloc(h, sizeof(*p), 0);

	if (!p)
		return -ENOMEM;
	p->h = h;
	p->mood = ((const struct picker_config *)config)->mood;
	*ret_self = p;
	return 0;
}

static void picker_destroy(void *self)
{
	struct picker *p = self;

	p->h->free(p->h, p);
}

/* Disks as they come; the offer of the test is made so that this is right. */
static int picker_pick(void *self, const struct dynfs_placement_request *q,
		       uint32_t *out)
{
	const struct picker *p = self;
	uint32_t n = 0;

	for (uint32_t i = 0; i < q->n_disks && n < q->n_pick; ++i)
		if (!q->disks[i].in_use)
			out[n++] = i;
	if (p->mood == TWICE)
		out[1] = out[0];
	else if (p->mood == RANGE)
		out[0] = q->n_disks;
	else if (p->mood == IN_USE)
		out[0] = q->n_disks - 1;
	else if (p->mood == DOMAIN_TWICE)
		out[1] = q->n_disks - 2;
	return 0;
}

static const struct dynfs_placement_ops picker_ops = {
	.size = sizeof(picker_ops),
	.pick = picker_pick,
};

static const struct dynfs_option picker_options[] = {
	{ .name = "mood",
	  .type = DYNFS_OPT_ENUM,
	  .flags = 0,
	  DYNFS_FIELD(struct picker_config, mood),
	  .def = "good",
	  .choices = picker_moods,
	  .help = "What pick does" },
	{ .name = "key",
	  .type = DYNFS_OPT_STR,
	  .flags = DYNFS_OPT_SECRET,
	  DYNFS_FIELD(struct picker_config, key),
	  .help = "What nobody may see" },
	{ .name = NULL },
};

static const struct dynfs_plugin picker_plugin = {
	DYNFS_PLUGIN_HEADER,
	.threading = DYNFS_PARALLEL,
	.name = "picker",
	.version = "1.0",
	.summary = "picks as it is told",
	.options = picker_options,
	.config_size = sizeof(struct picker_config),
	.create = picker_create,
	.destroy = picker_destroy,
	.placement = &picker_ops,
};

DYNFS_EXPORT const struct dynfs_plugin *dynfs_plugin_entry(void)
{
	return &picker_plugin;
}
