/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening: from paths to a set of disks that are one pool.
 *
 * What is wrong with the configuration (another pool, a disk twice, one that
 * never belonged) is refused with a sentence; what is wrong with a disk (not
 * there, damaged, not readable) makes it missing, and redundancy is for that.
 * The configuration need not be complete: members know from the labels where
 * the others were last.
 */
#include <disk/private.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPEN_NAMES 400u /* bytes of names in a message */

/* ---- is it enough? --------------------------------------------------- */

/* Something is missing, so that any path may have been its. */
static bool misses_any(const struct opening *o)
{
	const struct label *l = &o->newest.found->label;

	for (uint32_t i = 0; i < l->n_members; ++i)
		if (member_votes(&l->members[i]) &&
		    !opening_member(o, &l->members[i]))
			return true;
	return false;
}

/*
 * The place of a disk that is not here, be it missing or given up: a new one
 * put in its stead must not keep the pool from opening.
 */
static bool is_place(const struct opening *o, const char *path)
{
	const struct label *l = &o->newest.found->label;

	for (uint32_t i = 0; i < l->n_members; ++i)
		if (!opening_member(o, &l->members[i]) &&
		    !strcmp(l->members[i].path, path))
			return true;
	return false;
}

static int check_absent(const struct opening *o)
{
	for (uint32_t i = 0; i < o->n_absent; ++i) {
		const struct absent *a = &o->absent[i];
		bool place = is_place(o, a->entry->path);

		if (a->err == -ENOMEDIUM && !place)
			return fail(-EINVAL,
				    "disk %s has no label, so it is not part "
				    "of pool '%s': add it with 'dynfs disk "
				    "add %s'",
				    a->entry->path,
				    o->newest.found->label.pool_name,
				    a->entry->path);
		if (a->err == -ENOENT && !place && !misses_any(o))
			return fail(-ENOENT,
				    "disk %s is not there, and pool '%s' "
				    "misses none",
				    a->entry->path,
				    o->newest.found->label.pool_name);
		log_error(DISK_AREA, "%s; the pool opens without it", a->why);
	}
	return 0;
}

/* "2 of 3 disks are missing: number 2 (/b), number 3 (/c)" */
static void name_missing(const struct opening *o, char *out, size_t len)
{
	const struct label *l = &o->newest.found->label;
	AUTOBUF struct buf b = BUF_INIT;
	uint32_t n = 0, all = 0;

	for (uint32_t i = 0; i < l->n_members; ++i) {
		const struct member *m = &l->members[i];

		all += member_votes(m);
		if (!member_votes(m) || opening_member(o, m))
			continue;
		buf_printf(&b, "%s number %u (%s)", n ? "," : "", m->id,
			   m->path);
		n++;
	}
	buf_put8(&b, 0);
	(void)snprintf(out, len, "%u of %u disks are missing:%.300s", n, all,
		       buf_error(&b) ? "" : (const char *)b.data);
}

static bool insync_is_there(const struct opening *o)
{
	const struct label *l = &o->newest.found->label;

	for (uint32_t i = 0; i < l->n_insync; ++i)
		if (opening_member(o, label_member(l, l->insync[i])))
			return true;
	return !l->n_insync;
}

static int check_quorum(struct opening *o)
{
	const char *pool = o->newest.found->label.pool_name;
	char missing[OPEN_NAMES];
	bool enough = o->newest.quorum && !o->newest.ambiguous;

	if (enough && insync_is_there(o) && !o->rollback)
		return 0;
	name_missing(o, missing, sizeof(missing));
	if (o->how->force_rollback) {
		o->rollback = true;
		log_warn(DISK_AREA,
			 "pool '%s' is rolled back by force to what the disks "
			 "that are here know (%s)",
			 pool, missing);
		return 0;
	}
	if (enough || o->how->readonly)
		return 0; /* whether the log can be read is not asked here */
	if (o->newest.quorum)
		return fail(-EROFS,
			    "pool '%s': disks of one epoch disagree, and which "
			    "are right only missing ones know (%s); it can be "
			    "opened for reading only",
			    pool, missing);
	return fail(-EROFS,
		    "pool '%s': %s; more than half must be there to write, it "
		    "can be opened for reading only",
		    pool, missing);
}

static int check_places(const struct opening *o)
{
	AUTOFREE const char **paths =
	    (const char **)calloc(o->n, sizeof(*paths));
	AUTOFREE struct dir_id *dirs =
	    (struct dir_id *)calloc(o->n, sizeof(*dirs));

	if (!paths || !dirs)
		return -ENOMEM;
	/* as they were found: one that fails by now is not looked at again */
	for (uint32_t i = 0; i < o->n; ++i) {
		paths[i] = o->found[i].path;
		dirs[i] = o->found[i].at;
	}
	return path_check_dirs(o->how->os, paths, dirs, o->n,
			       o->how->avoid_path);
}

/* ---- the set --------------------------------------------------------- */

/* Tags of the configuration that the pool does not have yet. */
static int take_tags(struct member *m, const struct disks_entry *e)
{
	for (uint32_t i = 0; i < e->n_tags; ++i) {
		const struct member_tag *t = &e->tags[i];
		struct member_tag *tags;
		uint32_t j = 0;

		while (j < m->n_tags && strcmp(m->tags[j].key, t->key) != 0)
			j++;
		if (j < m->n_tags) {
			if (strcmp(m->tags[j].value, t->value) != 0)
				log_warn(DISK_AREA,
					 "disk %s keeps its label %s=%s; the "
					 "configuration says %s, 'dynfs disk "
					 "label' changes it",
					 e->path, t->key, m->tags[j].value,
					 t->value);
			continue;
		}
		tags = (struct member_tag *)realloc(m->tags, (m->n_tags + 1u) *
								 sizeof(*tags));
		if (!tags)
			return -ENOMEM;
		m->tags = tags;
		tags[m->n_tags] =
		    (struct member_tag){ strdup(t->key), strdup(t->value) };
		if (!tags[m->n_tags++].value || !tags[m->n_tags - 1].key)
			return -ENOMEM;
	}
	return 0;
}

/* What the next label will say of a disk that is here. */
static int take_entry(struct member *m, const struct found *f)
{
	char *path = strdup(f->path);

	if (!path)
		return -ENOMEM;
	free(m->path);
	m->path = path;
	if (!f->entry)
		return 0;
	m->limit_bytes = f->entry->limit_bytes;
	return take_tags(m, f->entry);
}

static void set_facts(struct disks *d, struct disk_in *k)
{
	const struct label *newest = disks_label(d);

	k->pub.stale =
	    !d->rollback && (k->label.epoch != newest->epoch ||
			     k->label.epoch_bits != newest->epoch_bits);
	if (k->label.promised > d->seen)
		d->seen = k->label.promised;
}

static int set_member(struct disks *d, struct opening *o, struct member *m)
{
	struct found *f = member_votes(m) ? opening_member(o, m) : NULL;
	struct disk_in *k;
	int r = f ? take_entry(m, f) : 0;

	if (!f && member_votes(m))
		log_error(DISK_AREA, "disk %u is missing (last at %s)", m->id,
			  m->path);
	if (r >= 0)
		r = disk_in_new(d, m, f, &k);
	if (r < 0)
		return r;
	if (f) {
		set_facts(d, k);
		r = disk_in_start(k);
	}
	if (r >= 0)
		r = disks_publish(d, k);
	if (r < 0)
		disk_in_free(k);
	return r;
}

static int set_label(struct disks *d, struct opening *o)
{
	CLEANUP(label_done) struct label l = { 0 };
	int r = label_copy(&o->newest.found->label, &l);

	if (r >= 0 && o->rollback) {
		free(l.insync);
		l.insync = NULL;
		l.n_insync = 0;
		r = rollback_insync(o->found, o->n, &l.insync, &l.n_insync);
	}
	if (r >= 0)
		r = label_copy(&l, &d->next);
	return r < 0 ? r : disks_show_label(d, &l);
}

static int set_fill(struct disks *d, struct opening *o)
{
	const struct disks_how *how = o->how;
	int r = store_kind_copy(how, &d->kind);

	d->in_force = o->newest.in_force;
	d->rollback = o->rollback;
	if (r >= 0 && how->avoid_path) {
		d->avoid_path = strdup(how->avoid_path);
		r = d->avoid_path ? 0 : -ENOMEM;
	}
	if (r >= 0)
		r = tpool_new("dynfs-io",
			      how->n_io_threads + !how->n_io_threads, &d->io);
	if (r >= 0)
		r = set_label(d, o);
	for (uint32_t i = 0; r >= 0 && i < d->next.n_members; ++i)
		r = set_member(d, o, &d->next.members[i]);
	if (r >= 0)
		disks_refresh_tags(d);
	return r;
}

static int set_new(struct opening *o, struct disks **ret)
{
	struct disks *d = (struct disks *)calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	d->os = o->how->os;
	d->reg = o->how->reg;
	(void)pthread_mutex_init(&d->change, NULL);
	atomic_init(&d->readonly, o->how->readonly);
	r = set_fill(d, o);
	if (r < 0) {
		disks_close(d);
		return r;
	}
	*ret = d;
	return 0;
}

int disks_open(const struct disks_how *how, struct disks **ret)
{
	struct opening o = { .how = how, .max = DISKS_MAX + how->n_entries };
	int r = 0;

	o.found = (struct found *)calloc(o.max, sizeof(*o.found));
	o.absent =
	    (struct absent *)calloc(how->n_entries + 1u, sizeof(*o.absent));
	if (!o.found || !o.absent)
		r = -ENOMEM;
	if (r >= 0)
		r = opening_entries(&o);
	if (r >= 0)
		r = opening_settle(&o);
	if (r >= 0)
		r = check_absent(&o);
	if (r >= 0)
		r = check_places(&o);
	if (r >= 0)
		r = check_quorum(&o);
	if (r >= 0)
		r = set_new(&o, ret);
	opening_done(&o);
	return r;
}
