/* SPDX-License-Identifier: Apache-2.0 */
/* Frontends: opened in the config's order, closed in the other. */
#include <pool/private.h>

#include <base/fail.h>
#include <base/log.h>

#include <errno.h>
#include <registry/frontend.h>
#include <stdlib.h>
#include <sys/mount.h>

static void serve_ready(void *ctx)
{
	(void)ctx;
}

static void serve_ended(void *ctx, int err)
{
	struct pool *p = (struct pool *)ctx;

	if (p->ended)
		p->ended(p->ended_ctx, err);
}

/* What a mount shows of it; who updates the times is the tree. */
static uint64_t serve_atime(const struct conf *conf)
{
	static const uint64_t flags[] = {
		[CONF_ATIME_RELATIVE] = MS_RELATIME,
		[CONF_ATIME_STRICT] = MS_STRICTATIME,
		[CONF_ATIME_FILES] = MS_RELATIME | MS_NODIRATIME,
		[CONF_ATIME_NONE] = MS_NOATIME,
	};

	return flags[conf->pool.atime];
}

static int serve_one(struct pool *p, const struct conf_plugin *c,
		     struct frontend_slot *slot)
{
	const struct conf *conf = p->how.conf;
	struct dynfs_frontend_env env = {
		.size = sizeof(env),
		.fs = tree_view(p->tree),
		.pool_name = pool_name(p),
		.mountpoint = conf->pool.mountpoint,
		.max_dirty_bytes = conf->limits.memory_bytes / 4,
		.threads = parts_requests(conf),
		.readonly = p->readonly,
		.mount_source = p->how.mount_source,
		.mount_flags = p->how.mount_flags | serve_atime(conf),
		.ready = serve_ready,
		.ended = serve_ended,
		.ctx = p,
	};
	struct reg_plugin *plugin;
	int r = reg_load(p->how.reg, REG_FRONTEND, c->name, &plugin);

	if (r >= 0)
		r = reg_new(plugin, c->name, c->options, c->n_options,
			    p->how.os, &slot->inst);
	if (r >= 0)
		r = reg_start(slot->inst);
	if (r >= 0)
		r = reg_frontend_open(slot->inst, &env);
	if (r < 0)
		return r;
	slot->open = true;
	r = reg_frontend_serve(slot->inst);
	(void)pthread_rwlock_wrlock(&p->serving);
	slot->serves = r >= 0;
	(void)pthread_rwlock_unlock(&p->serving);
	return r;
}

static void serve_changed(struct pool *p, uint64_t ino, uint64_t off)
{
	(void)pthread_rwlock_rdlock(&p->serving);
	for (uint32_t i = 0; i < p->n_frontends; ++i)
		if (p->frontends[i].serves)
			reg_frontend_changed(p->frontends[i].inst, ino, off, 0);
	(void)pthread_rwlock_unlock(&p->serving);
}

/* The kernel keeps pages, and must not show what was lost as if it were there. */
void pool_lost(void *ctx, uint64_t ino)
{
	serve_changed((struct pool *)ctx, ino, 0);
}

void pool_changed(struct pool *p, uint64_t ino)
{
	serve_changed(p, ino, UINT64_MAX);
}

/*
 * The default policy needs as many disks as it has fragments.  Disks that
 * failed count: a pool that lost some is served below strength, one that never
 * had enough is not.
 */
static int pool_ever_fits(struct pool *p)
{
	const struct policy *d = extents_policy_default(p->extents);
	uint32_t have = 0, want = d->k + d->m;

	for (uint32_t i = 0; i < disks_count(p->disks); ++i) {
		const struct disk *k = disks_at(p->disks, i);

		have += (k->role & MEMBER_STORES) &&
			atomic_load(&k->state) != MEMBER_REMOVED;
	}
	if (have >= want)
		return 0;
	return fail(-ENOSPC,
		    "policy %s (%s) needs %u more disk%s: add them "
		    "with \"dynfs disk add\", or choose another "
		    "default policy",
		    d->name, d->spec, want - have, want - have == 1 ? "" : "s");
}

int pool_serve(struct pool *p, void (*ended)(void *ctx, int err), void *ctx)
{
	const struct conf_plugins *c = &p->how.conf->frontends;
	struct frontend_slot *slots;

	if (!p->readonly) {
		int r = pool_ever_fits(p);

		if (r < 0)
			return r;
	}
	p->ended = ended;
	p->ended_ctx = ctx;
	slots = (struct frontend_slot *)calloc(c->n + 1, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	(void)pthread_rwlock_wrlock(&p->serving);
	p->frontends = slots;
	p->n_frontends = (uint32_t)c->n;
	(void)pthread_rwlock_unlock(&p->serving);
	for (size_t i = 0; i < c->n; ++i) {
		int r = serve_one(p, &c->list[i], &slots[i]);

		if (r < 0)
			return r; /* the caller closes the pool */
	}
	return 0;
}

void pool_unserve(struct pool *p)
{
	struct frontend_slot *slots = p->frontends;
	uint32_t n = p->n_frontends;

	/* who tells them of changes is through after this */
	(void)pthread_rwlock_wrlock(&p->serving);
	p->frontends = NULL;
	p->n_frontends = 0;
	(void)pthread_rwlock_unlock(&p->serving);
	while (n--) {
		if (slots[n].open)
			reg_frontend_close(slots[n].inst);
		if (slots[n].inst)
			reg_free(slots[n].inst);
	}
	free(slots);
	if (p->tree)
		tree_close_files(p->tree);
}
