/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policies: the config's definitions, and those that stored extents have.
 *
 * A definition gets an id when it is first seen; the record of an id never
 * changes, so an extent can be read for as long as the plugins it names are
 * there, whatever the config says by then.
 */
#include <extent/private.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/ids.h>
#include <base/list.h>
#include <base/log.h>

#include <errno.h>
#include <registry/checksum.h>
#include <registry/redundancy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POLICIES_MAX  4096u
#define OPTIONS_MAX   16u
#define AUTO_DEGRADED "auto-copies-"
#define POLICY_FACT   "policy/" /* and eight digits of the id */

const struct policy_entry *policy_entry_of(const struct policy *p)
{
	/* pub is its first member */
	return (const struct policy_entry *)(const void *)p;
}

uint64_t policy_payload_len(const struct policy *p, uint64_t stored_len)
{
	uint64_t len = (stored_len + p->k - 1) / p->k;

	return (len + p->quantum - 1) / p->quantum * p->quantum;
}

/* The least common multiple of the plugin's quantum and 64. */
static uint32_t policy_quantum(const struct reg_inst *redundancy)
{
	uint32_t q = reg_redundancy_limits(redundancy)->quantum, lcm;

	for (lcm = q ? q : 1; lcm % 64; lcm += q)
		;
	return lcm;
}

static void policy_entry_free(struct policy_entry *e)
{
	if (!e)
		return;
	reg_free(e->pub.redundancy);
	reg_free(e->pub.checksum);
	buf_done(&e->names);
	free(e->degraded);
	free(e->pub.users.uids);
	free(e->pub.users.gids);
	free(e);
}

/* "name=value" lines of FORMAT options, in place, to settings. */
static uint32_t policy_settings(char *text, struct reg_setting *out)
{
	uint32_t n = 0;
	char *line, *value, *rest = text;

	while ((line = strsep(&rest, "\n")) && n < OPTIONS_MAX) {
		value = strchr(line, '=');
		if (!value)
			continue;
		*value++ = '\0';
		out[n++] = (struct reg_setting){ .key = line,
						 .text = value,
						 .form = REG_WORD,
						 .file = "stored policy" };
	}
	return n;
}

static int policy_plugin(struct extents *x, enum reg_kind kind,
			 const char *plugin_name, const char *label,
			 const struct reg_setting *set, uint32_t n,
			 struct reg_inst **ret)
{
	struct reg_plugin *plugin;
	struct reg_inst *inst;
	int r = reg_load(x->how.reg, kind, plugin_name, &plugin);

	if (r < 0)
		return r;
	r = reg_new(plugin, label, set, n, x->how.os, &inst);
	if (r < 0)
		return r;
	r = reg_start(inst);
	if (r < 0)
		reg_free(inst);
	else
		*ret = inst;
	return r;
}

static void policy_names(struct policy_entry *e)
{
	char text[400];

	(void)snprintf(text, sizeof(text), "%s %s", e->pub.spec,
		       e->rec.options);
	for (char *c = text; *c; ++c)
		if (*c == '\n')
			*c = ' ';
	head_put_names(&e->names, text, e->rec.checksum);
}

/* What the plugins make of it.  Blocks are encoded and read one by one. */
static int policy_units(struct policy *p)
{
	const struct dynfs_redundancy_limits *l =
	    reg_redundancy_limits(p->redundancy);

	p->digest_len = reg_checksum_len(p->checksum);
	p->quantum = policy_quantum(p->redundancy);
	p->align = l->align;
	p->copies =
	    reg_redundancy_caps(p->redundancy) & DYNFS_REDUNDANCY_COPIES;
	if (p->block_bytes % l->quantum)
		return fail(-EINVAL,
			    "blocks of %u bytes are no multiple of the %u "
			    "that the redundancy works in",
			    p->block_bytes, l->quantum);
	return 0;
}

/* Instances and derived facts; rec, and settings for the options. */
static int policy_make(struct extents *x, const struct policy_rec *rec,
		       const struct reg_setting *set, uint32_t n_set,
		       struct policy_entry **ret)
{
	struct policy_entry *e = (struct policy_entry *)calloc(1, sizeof(*e));
	struct policy *p;
	int r;

	if (!e)
		return -ENOMEM;
	p = &e->pub;
	e->rec = *rec;
	(void)snprintf(p->name, sizeof(p->name), "%s", rec->name);
	p->k = rec->k;
	p->m = rec->m;
	p->block_bytes = rec->block_bytes;
	r = policy_plugin(x, REG_REDUNDANCY, rec->redundancy, rec->name, set,
			  n_set, &p->redundancy);
	if (r >= 0)
		r = reg_redundancy_check(p->redundancy, p->k, p->m);
	if (r >= 0)
		r = policy_plugin(x, REG_CHECKSUM, rec->checksum, rec->name,
				  NULL, 0, &p->checksum);
	if (r >= 0)
		r = policy_units(p);
	if (r < 0) {
		policy_entry_free(e);
		return fail_wrap(r, "policy %s", rec->name);
	}
	if (p->copies)
		(void)snprintf(p->spec, sizeof(p->spec), "%s:%u",
			       rec->redundancy, p->m + 1);
	else
		(void)snprintf(p->spec, sizeof(p->spec), "%s:%u+%u",
			       rec->redundancy, p->k, p->m);
	policy_names(e);
	if (buf_error(&e->names) < 0) {
		policy_entry_free(e);
		return -ENOMEM;
	}
	*ret = e;
	return 0;
}

/* The lock is held, or nobody else is there yet. */
static int policies_add(struct extents *x, struct policy_entry *e)
{
	struct policy_entry **p;

	if (x->n_policies == POLICIES_MAX)
		return fail(-ENOSPC,
			    "the pool has had %u policies, more are "
			    "not possible",
			    POLICIES_MAX);
	p = (struct policy_entry **)realloc(
	    x->policies, (x->n_policies + 1) * sizeof(struct policy_entry *));
	if (!p)
		return -ENOMEM;
	x->policies = p;
	p[x->n_policies++] = e;
	return 0;
}

/* What only the config says of it, and no record. */
static int policy_config(struct policy_entry *e, const struct policy_def *d)
{
	struct policy_users *users = &e->pub.users;
	int r = ids_copy(d->users.uids, d->users.n_uids, &users->uids);

	if (r >= 0)
		r = ids_copy(d->users.gids, d->users.n_gids, &users->gids);
	if (r < 0)
		return r;
	users->n_uids = d->users.n_uids;
	users->n_gids = d->users.n_gids;
	e->current = true;
	e->pub.automatic = d->automatic;
	if (!d->degraded)
		return 0;
	e->degraded = strdup(d->degraded);
	return e->degraded ? 0 : -ENOMEM;
}

static int policies_define(struct extents *x, const struct policy_def *d)
{
	struct policy_rec rec = { .k = d->k,
				  .m = d->m,
				  .block_bytes = d->block_bytes };
	AUTOBUF struct buf text = BUF_INIT;
	struct policy_entry *e;
	int r;

	(void)snprintf(rec.name, sizeof(rec.name), "%s", d->name);
	(void)snprintf(rec.redundancy, sizeof(rec.redundancy), "%s",
		       d->redundancy);
	(void)snprintf(rec.checksum, sizeof(rec.checksum), "%s", d->checksum);
	r = policy_make(x, &rec, d->options, d->n_options, &e);
	if (r < 0)
		return r;
	reg_format_options(e->pub.redundancy, &text);
	if (buf_error(&text) < 0 || text.len >= sizeof(e->rec.options)) {
		policy_entry_free(e);
		return fail(-EINVAL, "policy %s: its options are too long",
			    d->name);
	}
	if (text.len)
		memcpy(e->rec.options, text.data, text.len);
	r = policy_config(e, d);
	if (r < 0) {
		policy_entry_free(e);
		return r;
	}
	buf_clear(&e->names);
	policy_names(e);
	r = policies_add(x, e);
	if (r < 0)
		policy_entry_free(e);
	return r;
}

static struct policy_entry *policies_current(struct extents *x,
					     const char *name)
{
	for (uint32_t i = 0; i < x->n_policies; ++i)
		if (x->policies[i]->current &&
		    !strcmp(x->policies[i]->pub.name, name))
			return x->policies[i];
	return NULL;
}

/* What new extents of a policy become when its disks are not all there. */
static int policies_auto_degraded(struct extents *x, struct policy_entry *e)
{
	char name[POLICY_NAME_MAX + 1];
	struct policy_def d = { .name = name,
				.redundancy = "replica",
				.k = 1,
				.m = e->pub.m,
				.checksum = e->rec.checksum,
				.block_bytes = e->pub.block_bytes,
				.automatic = true };
	int r;

	/* copies lose a disk by having one copy less */
	if (e->pub.k == 1) {
		e->pub.degraded = &e->pub;
		return 0;
	}
	(void)snprintf(name, sizeof(name), AUTO_DEGRADED "%u-%.40s",
		       e->pub.m + 1, e->rec.checksum);
	if (!policies_current(x, name)) {
		r = policies_define(x, &d);
		if (r < 0)
			return r;
		policies_current(x, name)->pub.degraded =
		    &policies_current(x, name)->pub;
	}
	e->pub.degraded = &policies_current(x, name)->pub;
	return 0;
}

static int policies_link(struct extents *x)
{
	for (uint32_t i = 0; i < x->n_policies; ++i) {
		struct policy_entry *e = x->policies[i], *to;
		int r = 0;

		if (!e->current || e->pub.degraded)
			continue;
		if (!e->degraded) {
			r = policies_auto_degraded(x, e);
		} else if (strcmp(e->degraded, "none") != 0) {
			to = policies_current(x, e->degraded);
			if (!to)
				r = fail(-EINVAL,
					 "policy %s: degraded policy "
					 "%s is not defined",
					 e->pub.name, e->degraded);
			else
				e->pub.degraded = &to->pub;
		}
		if (r < 0)
			return r;
	}
	return 0;
}

int policies_init(struct extents *x)
{
	for (uint32_t i = 0; i < x->how.n_defs; ++i) {
		int r = policies_define(x, &x->how.defs[i]);

		if (r < 0)
			return r;
	}
	return policies_link(x);
}

void policies_done(struct extents *x)
{
	for (uint32_t i = 0; i < x->n_policies; ++i)
		policy_entry_free(x->policies[i]);
	free(x->policies);
	x->policies = NULL;
	x->n_policies = 0;
}

static struct key policy_key(uint32_t id)
{
	char text[32];

	(void)snprintf(text, sizeof(text), POLICY_FACT "%08x", id);
	return key_fact(text);
}

static bool policy_same(const struct policy_rec *a, const struct policy_rec *b)
{
	return !strcmp(a->name, b->name) &&
	       !strcmp(a->redundancy, b->redundancy) &&
	       !strcmp(a->checksum, b->checksum) &&
	       !strcmp(a->options, b->options) && a->k == b->k &&
	       a->m == b->m && a->block_bytes == b->block_bytes;
}

/* A stored definition: the id of a current one, or one of its own. */
static int policies_stored(struct extents *x, uint32_t id,
			   const struct policy_rec *rec)
{
	struct reg_setting set[OPTIONS_MAX];
	char text[sizeof(rec->options)];
	struct policy_entry *fresh = NULL;
	int r;

	for (uint32_t i = 0; i < x->n_policies; ++i) {
		struct policy_entry *e = x->policies[i];

		if (e->pub.id == id)
			return 0;
		if (!e->pub.id && policy_same(&e->rec, rec)) {
			e->pub.id = id;
			return 0;
		}
	}
	memcpy(text, rec->options, sizeof(text));
	r = policy_make(x, rec, set, policy_settings(text, set), &fresh);
	if (!fresh)
		return r;
	fresh->pub.id = id;
	r = policies_add(x, fresh);
	if (r < 0)
		policy_entry_free(fresh);
	return r;
}

static const struct policy *policies_known(struct extents *x, uint32_t id)
{
	for (uint32_t i = 0; i < x->n_policies; ++i)
		if (x->policies[i]->pub.id == id)
			return &x->policies[i]->pub;
	return NULL;
}

const struct policy *policies_find(struct extents *x, uint32_t id)
{
	AUTOBUF struct buf value = BUF_INIT;
	struct policy_rec rec;
	struct key key = policy_key(id);
	const struct policy *p;
	int r;

	if (!id)
		return NULL;
	AUTOLOCK(&x->policy_lock);
	p = policies_known(x, id);
	if (p || !x->meta)
		return p;
	r = meta_get(x->meta, key.data, key.len, &value);
	if (r >= 0)
		r = policy_rec_get(value.data, value.len, &rec);
	if (r >= 0)
		r = policies_stored(x, id, &rec);
	if (r < 0)
		log_error("extent", "policy %u is not usable: %s", id,
			  fail_text(r));
	return r < 0 ? NULL : policies_known(x, id);
}

const struct policy *policies_of(struct extents *x, const struct extent_rec *r)
{
	const struct policy *p = policies_find(x, r->stored_as);

	if (!p || p->k != r->k || p->m != r->m ||
	    p->digest_len != r->digest_len || p->block_bytes != r->block_bytes)
		return NULL;
	return p;
}

struct policies_scan {
	struct extents *x;
	uint32_t last;
};

static int policies_each(void *ctx, const void *key, size_t key_len,
			 const void *value, size_t value_len)
{
	struct policies_scan *s = (struct policies_scan *)ctx;
	struct policy_rec rec;
	char text[32] = "";
	struct key same;
	uint32_t id;
	int r;

	if (key_len - 1 >= sizeof(text))
		return 0;
	memcpy(text, (const char *)key + 1, key_len - 1);
	if (strncmp(text, POLICY_FACT, strlen(POLICY_FACT)) != 0)
		return 0;
	id = (uint32_t)strtoul(text + strlen(POLICY_FACT), NULL, 16);
	if (!id)
		return 0;
	/* one spelling only, or an id could mean two things */
	same = policy_key(id);
	if (same.len != key_len || memcmp(same.data, key, key_len) != 0)
		return 0;
	r = policy_rec_get(value, value_len, &rec);
	if (r == -EOPNOTSUPP)
		return fail(r,
			    "policy %u has transforms, which this version of "
			    "dynfs does not have",
			    id);
	if (r < 0)
		return fail(r, "the record of policy %u is damaged", id);
	if (id > s->last)
		s->last = id;
	return policies_stored(s->x, id, &rec);
}

/* Write down what the config defines and the pool has not seen. */
static int policies_save(struct extents *x, uint32_t last, struct batch *b)
{
	for (uint32_t i = 0; i < x->n_policies; ++i) {
		struct policy_entry *e = x->policies[i];
		AUTOBUF struct buf value = BUF_INIT;
		struct key key;

		if (e->pub.id)
			continue;
		e->pub.id = ++last;
		policy_rec_put(&value, &e->rec);
		key = policy_key(last);
		batch_put(b, key.data, key.len, value.data, value.len);
	}
	return b->error;
}

static int policies_pick_default(struct extents *x, const char *name,
				 struct batch *b)
{
	struct key key = key_fact("policy-default");
	AUTOBUF struct buf value = BUF_INIT;
	const struct policy_entry *e;
	uint32_t stored = 0;
	int r;

	r = meta_get(x->meta, key.data, key.len, &value);
	if (r >= 0)
		r = default_rec_get(value.data, value.len, &stored);
	if (r < 0 && r != -ENOENT)
		return fail(r, "the record of the default policy: %s",
			    fail_name(r));
	if (name) {
		e = policies_current(x, name);
		if (!e)
			return fail(-EINVAL, "default policy %s is not defined",
				    name);
		x->default_policy = &e->pub;
	} else {
		x->default_policy = policies_known(x, stored);
	}
	if (!x->default_policy)
		return fail(-EINVAL, "the pool has no default policy");
	if (x->default_policy->id != stored) {
		buf_clear(&value);
		default_rec_put(&value, x->default_policy->id);
		batch_put(b, key.data, key.len, value.data, value.len);
	}
	return b->error;
}

/*
 * What the config defines no more keeps its form for what has it, and while
 * disks are away it takes the default policy's: nobody says which else.
 */
static void policies_retire(struct extents *x)
{
	for (uint32_t i = 0; i < x->n_policies; ++i) {
		struct policy_entry *e = x->policies[i];

		if (e->current || e->pub.degraded)
			continue;
		e->pub.degraded =
		    e->pub.k == 1 ? &e->pub : x->default_policy->degraded;
	}
}

int policies_start(struct extents *x, const char *default_name)
{
	struct policies_scan scan = { .x = x };
	AUTOBATCH struct batch b;
	struct key from = key_fact(POLICY_FACT);
	int r;

	batch_init(&b);
	AUTOLOCK(&x->policy_lock);
	r = meta_scan(x->meta, from.data, from.len, NULL, 0, policies_each,
		      &scan);
	if (r >= 0 && !x->readonly)
		r = policies_save(x, scan.last, &b);
	if (r >= 0)
		r = policies_pick_default(x, default_name, &b);
	if (r >= 0)
		policies_retire(x);
	if (r >= 0 && b.n_ops && !x->readonly)
		r = meta_commit(x->meta, &b, NULL);
	return r;
}

const struct policy *extents_policy(struct extents *x, uint32_t id)
{
	return policies_find(x, id);
}

const struct policy *extents_policy_named(struct extents *x, const char *name)
{
	const struct policy_entry *e;

	AUTOLOCK(&x->policy_lock);
	e = policies_current(x, name);
	return e ? &e->pub : NULL;
}

const struct policy *extents_policy_default(struct extents *x)
{
	return x->default_policy;
}

uint32_t extents_policies(struct extents *x, const struct policy **out,
			  uint32_t max)
{
	uint32_t n = 0;

	AUTOLOCK(&x->policy_lock);
	for (uint32_t i = 0; i < x->n_policies && n < max; ++i)
		if (x->policies[i]->current)
			out[n++] = &x->policies[i]->pub;
	return n;
}

int extents_policy_fits(struct extents *x, const struct policy *p)
{
	uint32_t have = 0, want = p->k + p->m;

	for (uint32_t i = 0; i < disks_count(x->how.disks); ++i) {
		struct disk *k = disks_at(x->how.disks, i);
		uint32_t state = atomic_load(&k->state);

		if ((k->role & MEMBER_STORES) && state == MEMBER_ACTIVE)
			have++;
	}
	if (have >= want)
		return 0;
	return fail(-ENOSPC,
		    "policy %s (%s) needs %u more disk%s: it wants "
		    "%u, the pool has %u",
		    p->name, p->spec, want - have, want - have == 1 ? "" : "s",
		    want, have);
}
