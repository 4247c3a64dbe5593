/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What no single key can say: names that must exist, folders that must not
 * meet, numbers that must fit each other.  And what only the plugins know.
 */
#include <config/internal.h>

#include <base/fail.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

int conf_fail(const struct conf_place *at, const char *fmt, ...)
{
	char text[FAIL_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (at->line)
		return fail(-EINVAL, "%s:%u: %s", at->file, at->line, text);
	return fail(-EINVAL, "%s: %s", at->file, text);
}

const struct conf_policy *conf_policy(const struct conf *conf, const char *name)
{
	for (size_t i = 0; i < conf->policies.n; ++i)
		if (!strcmp(conf->policies.list[i].name, name))
			return &conf->policies.list[i];
	return NULL;
}

static const char *rules_policy_name(const void *ctx, size_t i)
{
	return ((const struct conf *)ctx)->policies.list[i].name;
}

static int rules_no_policy(const struct conf *conf, const struct conf_place *at,
			   const char *name)
{
	const char *near =
	    reg_nearest(name, conf->policies.n, rules_policy_name, conf);

	return conf_fail(at, "there is no policy %s%s%s%s", name,
			 near ? "; did you mean " : "", near ? near : "",
			 near ? "?" : "");
}

/* k, m and copies, of which the writer gives one half: made the same. */
static int rules_shards(struct conf_policy *p)
{
	if ((p->copies != 0) == (p->k != 0))
		return conf_fail(&p->place,
				 "policy %s: expected either copies, or k "
				 "and m",
				 p->name);
	if (p->copies && p->m)
		return conf_fail(&p->place,
				 "policy %s: m goes with k, not with copies",
				 p->name);
	if (p->copies) {
		p->k = 1;
		p->m = p->copies - 1;
	}
	if (p->k + p->m > DYNFS_REDUNDANCY_MAX)
		return conf_fail(&p->place,
				 "policy %s: expected k + m of %d or less",
				 p->name, DYNFS_REDUNDANCY_MAX);
	if (!p->redundancy.name)
		p->redundancy.name = p->copies ? "replica" : "erasure";
	return 0;
}

static int rules_degraded(const struct conf *conf, const struct conf_policy *p)
{
	const struct conf_policy *other;

	if (!p->degraded || !strcmp(p->degraded, "none"))
		return 0;
	other = conf_policy(conf, p->degraded);
	if (!other)
		return rules_no_policy(conf, &p->place, p->degraded);
	if (other->k + other->m >= p->k + p->m)
		return conf_fail(&p->place,
				 "policy %s: its degraded policy %s needs %d "
				 "disks, expected fewer than %d",
				 p->name, other->name,
				 (int)(other->k + other->m),
				 (int)(p->k + p->m));
	return 0;
}

static int rules_policies(const struct conf *conf)
{
	const struct conf_policies *all = &conf->policies;
	int r = 0;

	for (size_t i = 0; r == 0 && i < all->n; ++i) {
		r = rules_shards(&all->list[i]);
		if (r == 0 &&
		    all->list[i].block_bytes > conf->pool.extent_bytes)
			r = conf_fail(&all->list[i].place,
				      "policy %s: block-size is larger than "
				      "pool.extent-size",
				      all->list[i].name);
	}
	for (size_t i = 0; r == 0 && i < all->n; ++i)
		r = rules_degraded(conf, &all->list[i]);
	if (r < 0)
		return r;
	if (!all->default_name)
		return conf_fail(&all->place,
				 "policies: expected default = \"NAME\", for "
				 "example \"%s\"",
				 all->list[0].name);
	if (!conf_policy(conf, all->default_name))
		return rules_no_policy(conf, &all->place, all->default_name);
	return 0;
}

static int rules_meet(const struct conf_disk *a, const char *path,
		      const char *what)
{
	if (!strcmp(a->path, path))
		return conf_fail(&a->place, "disk %s is also %s", a->path,
				 what);
	if (path_inside(path, a->path))
		return conf_fail(&a->place, "disk %s lies inside %s %s",
				 a->path, what, path);
	if (path_inside(a->path, path))
		return conf_fail(&a->place, "disk %s holds %s %s", a->path,
				 what, path);
	return 0;
}

static int rules_disks(const struct conf *conf)
{
	const struct conf_pool *pool = &conf->pool;
	int r = 0;

	for (size_t i = 0; r == 0 && i < pool->n_disks; ++i) {
		const struct conf_disk *d = &pool->disks[i];

		if (pool->mountpoint)
			r = rules_meet(d, pool->mountpoint, "the mountpoint");
		if (r == 0 && path_inside(d->path, conf->path))
			r = conf_fail(&d->place,
				      "disk %s holds this configuration",
				      d->path);
		for (size_t j = 0; r == 0 && j < i; ++j)
			r = rules_meet(d, pool->disks[j].path, "another disk");
	}
	return r;
}

static int rules_dirs(const struct conf *conf)
{
	const struct conf_words *dirs = &conf->metadata.dirs;
	const char *mount = conf->pool.mountpoint;
	const struct conf_place at = { conf->path, 0 };

	for (size_t i = 0; i < dirs->n; ++i) {
		if (mount && path_inside(mount, dirs->list[i]))
			return conf_fail(&at,
					 "metadata.dirs: %s lies inside of "
					 "the mountpoint",
					 dirs->list[i]);
		for (size_t j = 0; j < i; ++j)
			if (!strcmp(dirs->list[i], dirs->list[j]))
				return conf_fail(&at,
						 "metadata.dirs: %s is there "
						 "twice",
						 dirs->list[i]);
	}
	if (mount && conf->log.file && path_inside(mount, conf->log.file))
		return conf_fail(&at,
				 "log.file: %s lies inside of the mountpoint",
				 conf->log.file);
	return 0;
}

static int rules_memory(const struct conf *conf)
{
	const struct conf_place at = { conf->path, 0 };

	if (conf->metadata.group_bytes < conf->pool.extent_bytes)
		return conf_fail(&at,
				 "metadata.group-bytes is less than "
				 "pool.extent-size: a group holds an extent "
				 "or more");
	if (conf->metadata.memory_bytes > conf->limits.memory_bytes)
		return conf_fail(&at,
				 "metadata.memory is more than limits.memory, "
				 "of which it is a part");
	return 0;
}

int rules_check(const struct conf *conf)
{
	int r = rules_policies(conf);

	if (r == 0)
		r = rules_disks(conf);
	if (r == 0)
		r = rules_dirs(conf);
	return r < 0 ? r : rules_memory(conf);
}
