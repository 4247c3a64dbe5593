/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories that a new pool takes: empty ones, and those of an attempt that
 * did not come to its end.
 *
 * Making a pool writes labels with the feature "unfinished" on all disks, then
 * all the rest, and when that is durable begins an epoch without the feature.
 * Nobody is served by a pool before it was opened as a finished one, which
 * writes both halves of the labels again.  So a disk whose label says
 * "unfinished" holds nothing that anybody was promised, unless it is one that
 * missed that epoch while the others took part.  Hence the rule: what is on it
 * goes only when every disk of its pool is here and says the same.  A disk
 * that has no label yet can not be one of a pool that got further, for then
 * no disk had more than a label.
 *
 * It is made again rather than finished: there is one way to make a pool, and
 * it is the tested one.  Only what dynfs itself makes is removed; anything else
 * is in the way, as in a directory that was never tried.
 */
#include <disk/private.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/str.h>

#include <errno.h>
#include <string.h>

/* What may lie beside a label before anything is stored; format.md 2. */
static const char *const own_names[] = { DISK_LOCK,    DISK_BALLAST,
					 DISK_STORE,   "log",
					 "index",      "index.new",
					 "checkpoint", NULL };

struct look {
	bool full;
	char other[64]; /* what is not ours; empty: nothing */
};

static int look_at(void *ctx, const char *name, uint32_t type)
{
	struct look *l = (struct look *)ctx;
	const char *const *own = own_names;

	(void)type;
	if (!strcmp(name, "lost+found") || !strcmp(name, LABEL_FILE) ||
	    !strcmp(name, DISK_LOCK))
		return 0;
	l->full = true;
	while (*own && strcmp(*own, name) != 0)
		own++;
	if (!*own)
		(void)str_quote(name, strlen(name), l->other, sizeof(l->other));
	return 0;
}

static int look(const struct dynfs_os *os, const char *path, struct look *ret)
{
	int r;

	*ret = (struct look){ .full = false };
	r = os->list(os, path, look_at, ret);
	return r < 0
		   ? fail(r, "disk %s: cannot list it: %s", path, fail_name(r))
		   : 0;
}

/* There is a label that can be read. */
static int claim_old(const struct dynfs_os *os, struct claim *c)
{
	const char *path = c->p.path;
	struct look l;
	int r = features_check(&c->was.features, path);

	if (r < 0)
		return r;
	if (!features_need(&c->was.features, FEATURE_UNFINISHED))
		return fail(-EEXIST,
			    "disk %s has a label already: it is part of a "
			    "pool",
			    path);
	r = look(os, path, &l);
	if (r < 0)
		return r;
	if (l.other[0])
		return fail(-ENOTEMPTY,
			    "disk %s is of a pool that was never finished, "
			    "but there is '%s' in it",
			    path, l.other);
	c->full = l.full;
	return 0;
}

int claim_dir(const struct dynfs_os *os, const char *path, struct claim *ret)
{
	struct look l;
	int r = prepare_path(os, path, &ret->p);

	if (r < 0)
		return r;
	ret->fd = found_lock(os, path, false);
	if (ret->fd == -ENOMEDIUM) {
		ret->fd = -1;
		return path_must_be_empty(os, path);
	}
	if (ret->fd < 0)
		return ret->fd;
	r = label_read_fd(os, ret->fd, path, &ret->was, NULL);
	ret->labelled = r >= 0;
	if (r == -EUCLEAN && !look(os, path, &l) && !l.full)
		return 0; /* the very first write was cut short */
	return r < 0 ? r : claim_old(os, ret);
}

static bool is_among(const struct claim *c, uint32_t n, const struct uuid *pool,
		     const struct member *m)
{
	for (uint32_t i = 0; i < n; ++i)
		if (c[i].labelled && uuid_equal(&c[i].was.pool, pool) &&
		    uuid_equal(&c[i].was.disk, &m->disk))
			return true;
	return false;
}

int claims_check(const struct claim *c, uint32_t n)
{
	for (uint32_t i = 0; i < n; ++i) {
		const struct label *l = &c[i].was;

		for (uint32_t j = 0; c[i].full && j < l->n_members; ++j)
			if (!is_among(c, n, &l->pool, &l->members[j]))
				return fail(-ENOENT,
					    "pool '%s' was never finished, and "
					    "is not made again while disk %u "
					    "(%s) is not there; without it, "
					    "empty %s",
					    l->pool_name, l->members[j].id,
					    l->members[j].path, c[i].p.path);
	}
	return 0;
}

static int remove_own(const struct dynfs_os *os, const char *path)
{
	struct look l;
	int r;

	for (const char *const *own = own_names; *own; ++own) {
		AUTOFREE char *below = str_path(path, *own);

		if (!below)
			return -ENOMEM;
		path_remove(os, below);
	}
	r = os->syncdir(os, path);
	if (r < 0)
		return fail(r, "disk %s: cannot sync it: %s", path,
			    fail_name(r));
	r = look(os, path, &l);
	return r < 0    ? r
	       : l.full ? fail(-ENOTEMPTY, "disk %s can not be emptied", path)
			: 0;
}

int claim_clear(const struct dynfs_os *os, struct claim *c)
{
	return c->full ? remove_own(os, c->p.path) : 0;
}

int claim_label(const struct dynfs_os *os, struct claim *c, struct label *l)
{
	int r;

	l->sequence = c->labelled ? c->was.sequence : 0;
	if (c->fd < 0)
		r = label_create_fd(os, c->p.path, l, &c->fd);
	else if (!c->p.touched)
		r = label_fill_fd(os, c->fd, c->p.path, l);
	else /* there is more on the disk by now: one half is always whole */
		r = label_write_fd(os, c->fd, c->p.path, l);
	if (!r && c->p.touched)
		r = label_write_fd(os, c->fd, c->p.path, l);
	if (r < 0)
		return r;
	c->p.touched = true;
	c->labelled = true;
	c->was.sequence = l->sequence;
	return 0;
}

/*
 * All else goes before any label does: else the next attempt would find a disk
 * with content, and miss another.
 */
void claims_undo(const struct dynfs_os *os, struct claim *c, uint32_t n)
{
	bool bare = true;

	for (uint32_t i = n; i-- > 0;)
		if (c[i].p.touched)
			bare &= remove_own(os, c[i].p.path) >= 0;
	for (uint32_t i = n; i-- > 0;) {
		AUTOFREE char *label =
		    c[i].p.path ? str_path(c[i].p.path, LABEL_FILE) : NULL;

		if (label && bare && c[i].p.touched)
			(void)os->unlink(os, label); /* as good as it goes */
		if (label && bare && c[i].p.made_dir)
			(void)os->rmdir(os, c[i].p.path);
	}
}

void claim_done(const struct dynfs_os *os, struct claim *c)
{
	if (c->fd >= 0)
		(void)os->close(os, c->fd); /* synced, or failed already */
	label_done(&c->was);
	prepare_done(&c->p);
	*c = (struct claim){ .fd = -1 };
}

enum disks_there disks_look(const struct disks_how *how)
{
	enum disks_there found = DISKS_NONE;

	for (uint32_t i = 0; i < how->n_entries; ++i) {
		const char *path = how->entries[i].path;
		CLEANUP(label_done) struct label label = { 0 };
		int r = label_read(how->os, path, &label, NULL);
		struct look l;

		/* one that can not be read is one all the same, unless it is
		 * all that there is */
		if (r == -EOPNOTSUPP ||
		    (r == -EUCLEAN && (look(how->os, path, &l) || l.full)))
			return DISKS_POOL;
		if (r < 0)
			continue;
		if (!features_need(&label.features, FEATURE_UNFINISHED))
			return DISKS_POOL;
		found = DISKS_UNFINISHED;
	}
	fail_clear();
	return found;
}
