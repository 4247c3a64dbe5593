/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of membership by the operator.  Each builds the members of the next
 * epoch beside those in force and swaps them in, so that a refusal leaves
 * everything as it was.
 */
#include <disk/private.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/log.h>
#include <base/str.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * Under change: nothing stands in the way of a new epoch.  One that is not
 * known to be in force has to be made so first, with the members it has.
 */
static int change_begin(struct disks *d)
{
	if (disks_readonly(d))
		return fail(-EROFS, "pool '%s' is read-only",
			    d->next.pool_name);
	if (d->rollback)
		return fail(-EBUSY,
			    "pool '%s' is being rolled back, its members can "
			    "be changed after that",
			    d->next.pool_name);
	return d->in_force ? 0 : epoch_make(d, NULL);
}

/* Make l (taken over) the next label; on failure go back to the one before. */
static int change_make(struct disks *d, struct label *l,
		       const struct fresh *fresh)
{
	struct label before = d->next;
	int r;

	d->next = *l;
	*l = (struct label){ 0 };
	r = epoch_make(d, fresh);
	if (r < 0) {
		label_done(&d->next);
		d->next = before;
	} else {
		label_done(&before);
	}
	return r;
}

/* ---- making it real -------------------------------------------------- */

int disks_finish(struct disks *d)
{
	CLEANUP(label_done) struct label l = { 0 };
	int r;
	AUTOLOCK(&d->change);

	r = change_begin(d);
	if (r >= 0)
		r = label_copy(&d->next, &l);
	if (r < 0)
		return r;
	features_release(&l.features, FEATURE_UNFINISHED);
	return change_make(d, &l, NULL);
}

/* ---- failing --------------------------------------------------------- */

static void leave_insync(struct label *l, uint32_t id)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < l->n_insync; ++i)
		if (l->insync[i] != id)
			l->insync[n++] = l->insync[i];
	l->n_insync = n;
}

/* Who is left must be able to say so. */
static int check_left(struct disks *d, uint32_t id)
{
	const struct label *now = disks_label(d);
	AUTOFREE uint32_t *voters = NULL;
	uint32_t have[DISKS_MAX], n_have = 0, n;
	int r = label_voters(now, &voters, &n);

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < disks_count(d); ++i)
		if (d->disk[i]->pub.id != id &&
		    atomic_load(&d->disk[i]->pub.health) == DISK_ONLINE)
			have[n_have++] = d->disk[i]->pub.id;
	if (is_majority(voters, n, have, n_have))
		return 0;
	return fail(-EINVAL,
		    "disk %u cannot be given up: more than half of the %u "
		    "disks must agree, and without it there would be %u",
		    id, n, n_have);
}

int disks_may_fail(struct disks *d, uint32_t id)
{
	AUTOLOCK(&d->change);

	return check_left(d, id);
}

int disks_fail(struct disks *d, uint32_t id)
{
	CLEANUP(label_done) struct label l = { 0 };
	struct disk *k = disks_find(d, id);
	struct member *m;
	int r;
	AUTOLOCK(&d->change);

	if (!k)
		return fail(-ENOENT, "there is no disk %u", id);
	m = label_member(&d->next, id);
	if (m->state == MEMBER_FAILED)
		return 0;
	if (m->state == MEMBER_REMOVED)
		return fail(-EINVAL, "disk %u was removed before", id);
	r = change_begin(d);
	if (r >= 0)
		r = check_left(d, id);
	if (r >= 0)
		r = label_copy(&d->next, &l);
	if (r < 0)
		return r;
	label_member(&l, id)->state = MEMBER_FAILED;
	leave_insync(&l, id);
	r = change_make(d, &l, NULL);
	if (r < 0)
		return r;
	log_warn(DISK_AREA, "disk %s is given up as failed", k->path);
	disk_os_leave(disk_in(k));
	return 0;
}

/* ---- tags ------------------------------------------------------------ */

static int tag_add(struct member *m, const char *key, const char *value)
{
	struct member_tag *tags, t;

	tags = (struct member_tag *)realloc(m->tags,
					    (m->n_tags + 1u) * sizeof(*tags));
	if (!tags)
		return -ENOMEM;
	m->tags = tags;
	t = (struct member_tag){ strdup(key), strdup(value) };
	if (!t.key || !t.value) {
		free(t.key);
		free(t.value);
		return -ENOMEM;
	}
	tags[m->n_tags++] = t;
	return 0;
}

static void tag_remove(struct member *m, const char *key)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < m->n_tags; ++i) {
		if (strcmp(m->tags[i].key, key) != 0) {
			m->tags[n++] = m->tags[i];
			continue;
		}
		free(m->tags[i].key);
		free(m->tags[i].value);
	}
	m->n_tags = n;
}

int disks_tag(struct disks *d, uint32_t id, const char *key, const char *value)
{
	CLEANUP(label_done) struct label l = { 0 };
	int r;
	AUTOLOCK(&d->change);

	if (!disks_find(d, id))
		return fail(-ENOENT, "there is no disk %u", id);
	if (!*key)
		return fail(-EINVAL, "a label needs a name");
	r = change_begin(d);
	if (r >= 0)
		r = label_copy(&d->next, &l);
	if (r < 0)
		return r;
	tag_remove(label_member(&l, id), key);
	if (value)
		r = tag_add(label_member(&l, id), key, value);
	return r < 0 ? r : change_make(d, &l, NULL);
}

/* ---- adding ---------------------------------------------------------- */

/* Not inside what we have, nor around it. */
static int check_place(struct disks *d, const char *path)
{
	uint32_t n = disks_count(d), n_paths = 0;
	AUTOFREE const char **paths =
	    (const char **)calloc(n + 1u, sizeof(*paths));

	if (!paths)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; ++i)
		if (d->disk[i]->fd >= 0)
			paths[n_paths++] = d->disk[i]->pub.path;
	paths[n_paths++] = path;
	return path_check_nesting(d->os, paths, n_paths, d->avoid_path);
}

static int add_member(struct disks *d, const struct disks_entry *e,
		      struct label *l)
{
	uint32_t id = l->members[l->n_members - 1].id + 1;
	struct member *members;
	int r;

	if (l->n_members == DISKS_MAX || !id)
		return fail(-E2BIG, "a pool has at most %u disks", DISKS_MAX);
	members = (struct member *)realloc(l->members, (l->n_members + 1u) *
							   sizeof(*members));
	if (!members)
		return -ENOMEM;
	l->members = members;
	r = member_of_entry(d->os, e, id, &members[l->n_members]);
	if (r < 0)
		return r;
	l->n_members++;
	return label_check(l);
}

/* It is a member; what fails from here on leaves it missing till reopened. */
static int add_to_set(struct disks *d, const struct disks_entry *e, uint32_t id)
{
	const struct member *m = label_member(disks_label(d), id);
	struct found f = { .fd = -1 };
	struct disk_in *k;
	int r = found_probe(d->os, e->path, false, &f);

	if (r < 0)
		return r;
	f.entry = e;
	r = disk_in_new(d, m, &f, &k);
	found_done(d->os, &f);
	if (r < 0)
		return r;
	r = disk_in_start(k);
	if (r >= 0)
		r = disks_publish(d, k);
	if (r < 0) {
		disk_in_free(k);
		return r;
	}
	disks_refresh_tags(d);
	return 0;
}

static bool has_label(const struct dynfs_os *os, const char *dir)
{
	AUTOFREE char *path = str_path(dir, LABEL_FILE);
	struct dynfs_os_stat st;

	return path && os->stat(os, path, &st) >= 0;
}

/* Before anything is made there: in our own mount that would be for us. */
static int check_mount(struct disks *d, const char *path)
{
	AUTOFREE char *parent = disk_path_parent(path);
	struct dir_id mount, at;

	if (!parent)
		return -ENOMEM;
	if (!d->avoid_path || path_dir_id(d->os, d->avoid_path, &mount) < 0)
		return 0;
	if (path_dir_id(d->os, path, &at) < 0)
		path = parent;
	if (disk_path_inside(d->os, path, &mount, 1) < 0)
		return 0;
	return fail(-EINVAL,
		    "%s is inside the mount point %s of the pool itself", path,
		    d->avoid_path);
}

static int add_prepared(struct disks *d, const struct disks_entry *e,
			struct prepared *p, uint32_t *ret_id)
{
	const struct disks_how how = { .os = d->os,
				       .reg = d->reg,
				       .extent_bytes = d->next.extent_bytes };
	CLEANUP(label_done) struct label l = { 0 };
	struct fresh fresh = { .path = e->path };
	const struct member *m;
	int r = check_place(d, e->path);

	if (r >= 0)
		r = label_copy(&d->next, &l);
	if (r >= 0)
		r = add_member(d, e, &l);
	if (r >= 0)
		r = prepare_disk(&how, &d->kind, e, p);
	if (r < 0)
		return r;
	m = &l.members[l.n_members - 1];
	fresh.id = m->id;
	fresh.disk = m->disk;
	fresh.store = p->store;
	r = change_make(d, &l, &fresh);
	if (r < 0)
		return r;
	*ret_id = fresh.id;
	return 0;
}

int disks_add(struct disks *d, const struct disks_entry *e, uint32_t *ret_id)
{
	struct prepared p = { 0 };
	uint32_t id;
	int r = entry_check(e);
	AUTOLOCK(&d->change);

	if (r >= 0)
		r = change_begin(d);
	if (r >= 0)
		r = check_mount(d, e->path);
	if (r >= 0)
		r = prepare_dir(d->os, e->path, &p);
	if (r >= 0)
		r = add_prepared(d, e, &p, &id);
	/* once it has a label the others may know it, so that stays */
	if (r < 0 && !has_label(d->os, e->path))
		prepare_undo(d->os, &p);
	prepare_done(&p);
	if (r < 0)
		return r;
	r = add_to_set(d, e, id);
	if (r >= 0)
		*ret_id = id;
	return r;
}
