/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding the disks of a pool: those the configuration names, then those
 * that the newest label says belong to them, where they were last.  What is
 * found may know a newer label with other members, so this goes on until
 * nothing new turns up.
 */
#include <disk/private.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/log.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void opening_done(struct opening *o)
{
	for (uint32_t i = 0; o->found && i < o->n; ++i)
		found_done(o->how->os, &o->found[i]);
	free(o->found);
	for (uint32_t i = 0; o->absent && i < o->n_absent; ++i)
		free(o->absent[i].why);
	free(o->absent);
}

static void opening_drop(struct opening *o, uint32_t i)
{
	found_done(o->how->os, &o->found[i]);
	o->found[i] = o->found[--o->n];
	o->found[o->n] = (struct found){ .fd = -1 };
}

/* ---- entries --------------------------------------------------------- */

/* The disk's fault, not the configuration's. */
static bool is_absence(int r)
{
	return r == -ENOENT || r == -ENOMEDIUM || r == -EUCLEAN || r == -EIO ||
	       r == -ENODEV || r == -ENXIO || r == -ESTALE || r == -ENOTCONN ||
	       r == -ETIMEDOUT || r == -EREMOTEIO;
}

/* Against those found before. */
static int check_found(const struct opening *o, const struct found *f)
{
	const char *name = o->how->pool_name;

	if (name && strcmp(name, f->label.pool_name) != 0)
		return fail(-EINVAL, "disk %s belongs to pool '%s', not '%s'",
			    f->path, f->label.pool_name, name);
	for (uint32_t i = 0; i < o->n; ++i) {
		const struct found *g = &o->found[i];

		if (!uuid_equal(&f->label.pool, &g->label.pool))
			return fail(-EINVAL,
				    "disk %s belongs to another pool than "
				    "disk %s",
				    f->path, g->path);
		if (uuid_equal(&f->label.disk, &g->label.disk))
			return fail(-EINVAL,
				    "disks %s and %s are the same disk, number "
				    "%u: one is a copy of the other",
				    g->path, f->path, f->label.disk_id);
	}
	return 0;
}

/* Before the lock, which we would not get twice. */
static int check_twice(const struct opening *o, const char *path)
{
	struct dir_id at;

	if (path_dir_id(o->how->os, path, &at) < 0)
		return 0; /* said by whoever needs it */
	for (uint32_t i = 0; i < o->n; ++i)
		if (at.dev == o->found[i].at.dev &&
		    at.ino == o->found[i].at.ino)
			return fail(-EINVAL,
				    "disks %s and %s are the same directory",
				    o->found[i].path, path);
	return 0;
}

static int open_one(struct opening *o, const char *path,
		    const struct disks_entry *e)
{
	struct found f = { .fd = -1 };
	int r = check_twice(o, path);

	if (r >= 0)
		r = found_probe(o->how->os, path, o->how->readonly, &f);
	if (r < 0)
		return r;
	f.entry = e;
	r = check_found(o, &f);
	if (r < 0) {
		found_done(o->how->os, &f);
		return r;
	}
	o->found[o->n++] = f;
	return 0;
}

static int open_entry(struct opening *o, const struct disks_entry *e)
{
	int r = entry_check(e);
	struct absent *a = &o->absent[o->n_absent];

	if (r < 0)
		return r;
	r = open_one(o, e->path, e);
	if (!is_absence(r))
		return r;
	a->entry = e;
	a->err = r;
	a->why = strdup(fail_text(r));
	if (!a->why)
		return -ENOMEM;
	o->n_absent++;
	return 0;
}

int opening_entries(struct opening *o)
{
	const struct disks_how *how = o->how;

	for (uint32_t i = 0; i < how->n_entries; ++i) {
		int r = open_entry(o, &how->entries[i]);

		if (r < 0)
			return r;
	}
	if (o->n)
		return 0;
	for (uint32_t i = 0; i < o->n_absent; ++i)
		if (o->absent[i].err != -ENOENT &&
		    o->absent[i].err != -ENOMEDIUM)
			return fail(o->absent[i].err, "%s", o->absent[i].why);
	return fail(-ENOENT, "no disk of the pool is there: %s",
		    o->n_absent ? o->absent[0].why : "none is configured");
}

/* ---- members --------------------------------------------------------- */

struct found *opening_member(const struct opening *o, const struct member *m)
{
	for (uint32_t i = 0; i < o->n; ++i)
		if (uuid_equal(&o->found[i].label.disk, &m->disk))
			return &o->found[i];
	return NULL;
}

/* One pool, but two continuations of it? */
static int check_history(struct opening *o)
{
	const struct label *l = &o->newest.found->label;

	for (uint32_t i = 0; i < o->n; ++i) {
		const struct found *f = &o->found[i];

		if (uuid_equal(&f->label.history, &l->history))
			continue;
		if (!o->how->force_rollback)
			return fail(
			    -EINVAL,
			    "disks %s and %s have gone apart at a forced "
			    "rollback: take those that were left behind out "
			    "of the configuration and empty them, or give up "
			    "what only they know with --force-rollback",
			    o->newest.found->path, f->path);
		log_warn(DISK_AREA,
			 "disk %s is of another history: what it knows alone "
			 "is given up",
			 f->path);
		o->rollback = true;
	}
	return 0;
}

/* Those who do not belong: -EINVAL, or out of the set. */
static int check_members(struct opening *o)
{
	for (uint32_t i = o->n; i-- > 0;) {
		struct found *f = &o->found[i];
		const struct label *l = &o->newest.found->label;
		const struct member *m = label_member(l, f->label.disk_id);

		if (!m || !uuid_equal(&m->disk, &f->label.disk))
			return fail(-EINVAL,
				    "disk %s, number %u, is not a member of "
				    "pool '%s' as disk %s knows it",
				    f->path, f->label.disk_id, l->pool_name,
				    o->newest.found->path);
		if (member_votes(m))
			continue;
		log_warn(DISK_AREA,
			 "disk %s is not used: it was %s; take it out of the "
			 "configuration, empty it before it is added again",
			 f->path,
			 m->state == MEMBER_FAILED ? "given up as failed"
						   : "removed");
		opening_drop(o, i);
		newest_pick(o->found, o->n, &o->newest);
	}
	return 0;
}

static bool is_entry(const struct disks_how *how, const char *path)
{
	for (uint32_t i = 0; i < how->n_entries; ++i)
		if (!strcmp(how->entries[i].path, path))
			return true;
	return false;
}

/* A member that the configuration does not name, where it was last. */
static int open_hinted(struct opening *o, const struct member *m)
{
	CLEANUP(label_done) struct label l = { 0 };
	int r;

	if (!m->path[0] || is_entry(o->how, m->path) || o->n == o->max)
		return 0;
	/* without the lock: it may be somebody else's by now */
	r = label_read(o->how->os, m->path, &l, NULL);
	if (r < 0 || !uuid_equal(&l.disk, &m->disk) ||
	    !uuid_equal(&l.pool, &o->newest.found->label.pool))
		return 0;
	r = open_one(o, m->path, NULL);
	if (is_absence(r))
		return 0;
	if (r >= 0)
		log_info(DISK_AREA,
			 "disk %s: found where it was last, though the "
			 "configuration does not name it",
			 m->path);
	return r;
}

static int open_hints(struct opening *o)
{
	/* a copy: what is found may be newer, or drop the newest */
	CLEANUP(label_done) struct label l = { 0 };
	int r = label_copy(&o->newest.found->label, &l);

	for (uint32_t i = 0; i < l.n_members && r >= 0; ++i)
		if (member_votes(&l.members[i]) &&
		    !opening_member(o, &l.members[i]))
			r = open_hinted(o, &l.members[i]);
	return r;
}

int opening_settle(struct opening *o)
{
	uint32_t n;
	int r;

	do {
		n = o->n;
		newest_pick(o->found, o->n, &o->newest);
		r = check_history(o);
		if (r >= 0)
			r = check_members(o);
		if (r >= 0)
			r = open_hints(o);
	} while (r >= 0 && o->n > n);
	newest_pick(o->found, o->n, &o->newest);
	return r;
}
