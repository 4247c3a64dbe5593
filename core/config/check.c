/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What only the plugins know: each one that is named is loaded, gets its
 * options and makes an instance on an operating system without files, so
 * that options which do not fit each other are found too.
 */
#include <config/internal.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <registry/redundancy.h>

#include <errno.h>
#include <string.h>

/* Say where, unless the text begins with a place already. */
static int check_at(const struct conf_place *at, int r)
{
	const char *text = fail_text(r);

	if (!strncmp(text, at->file, strlen(at->file)) ||
	    !strncmp(text, "--set", 5))
		return r;
	if (at->line)
		return fail_wrap(r, "%s:%u", at->file, at->line);
	return fail_wrap(r, "%s", at->file);
}

static void check_drop(struct reg_inst **inst)
{
	reg_free(*inst);
}

static int check_plugin(struct reg *reg, enum reg_kind kind,
			const struct conf_plugin *plugin, const char *label,
			struct reg_inst **ret)
{
	CLEANUP(check_drop) struct reg_inst *inst = NULL;
	struct reg_plugin *p;
	int r;

	fail_clear();
	r = reg_load(reg, kind, plugin->name, &p);
	if (r == 0)
		r = reg_new(p, label, plugin->options, plugin->n_options, NULL,
			    &inst);
	if (r < 0)
		return check_at(&plugin->place, r);
	if (ret)
		*ret = TAKE(inst);
	return 0;
}

/* A kind that this version may not have. */
static int check_named(struct reg *reg, const char *kind,
		       const struct conf_plugin *plugin)
{
	int k = reg_kind_parse(kind);

	if (k < 0)
		return conf_fail(&plugin->place,
				 "this version has no plugins of the kind "
				 "%s, so no %s",
				 kind, plugin->name);
	return check_plugin(reg, (enum reg_kind)k, plugin, plugin->name, NULL);
}

static int check_policy(struct reg *reg, const struct conf_policy *p)
{
	CLEANUP(check_drop) struct reg_inst *inst = NULL;
	struct conf_plugin other = { .place = p->place };
	int r =
	    check_plugin(reg, REG_REDUNDANCY, &p->redundancy, p->name, &inst);

	if (r < 0)
		return r;
	fail_clear();
	r = reg_redundancy_check(inst, (uint32_t)p->k, (uint32_t)p->m);
	if (r < 0)
		return check_at(&p->place, r);
	other.name = p->checksum;
	r = check_plugin(reg, REG_CHECKSUM, &other, p->name, NULL);
	for (size_t i = 0; r == 0 && i < p->transforms.n; ++i) {
		other.name = p->transforms.list[i];
		r = check_named(reg, "transform", &other);
	}
	return r;
}

int conf_check(const struct conf *conf, struct reg *reg)
{
	int r = check_plugin(reg, REG_META, &conf->metadata.engine,
			     "metadata.engine", NULL);

	if (r == 0)
		r = check_plugin(reg, REG_PLACEMENT, &conf->placement,
				 "placement", NULL);
	if (r == 0)
		r = check_plugin(reg, REG_STORE, &conf->store, "store", NULL);
	for (size_t i = 0; r == 0 && i < conf->policies.n; ++i)
		r = check_policy(reg, &conf->policies.list[i]);
	for (size_t i = 0; r == 0 && i < conf->frontends.n; ++i)
		r = check_plugin(reg, REG_FRONTEND, &conf->frontends.list[i],
				 "frontend", NULL);
	for (size_t i = 0; r == 0 && i < conf->jobs.n; ++i)
		r = check_named(reg, "job", &conf->jobs.list[i]);
	return r;
}
