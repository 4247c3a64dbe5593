/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names for policy: the attributes user.dynfs.*, which are no rows but are
 * made from the record, and from the extents.
 *
 *	user.dynfs.policy            set by hand on this file or directory
 *	user.dynfs.policy.effective  what new content gets, however it came by it
 *	user.dynfs.extents           how the content is stored now
 *
 * None is ever listed.  Programs that copy attributes take what is listed: to a
 * pool that lacks a policy of that name they would fail, and from a place without
 * dynfs rsync -X would take away what somebody set by hand, since it removes
 * what its source has not.
 *
 * A policy is copied from the directory when something is made in it, and at no
 * other time: not by a rename, and not to what was there before.
 */
#include <tree/private.h>

#include <base/fail.h>
#include <base/log.h>
#include <base/str.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define OWN_POLICY    XATTR_OWN_PREFIX "policy"
#define OWN_EFFECTIVE XATTR_OWN_PREFIX "policy.effective"
#define OWN_EXTENTS   XATTR_OWN_PREFIX "extents"

#define POLICIES_SHOWN 256u
#define EXTENTS_MOST   65536u /* one answer looks at so many */
#define COMPLAIN_SEC   1
#define PATH_SHOWN     256u

bool caller_in_group(const struct dynfs_caller *who, uint32_t gid)
{
	return who->gid == gid || (who->in_group && who->in_group(who, gid));
}

static bool computed(const char *name)
{
	return !strcmp(name, OWN_EFFECTIVE) || !strcmp(name, OWN_EXTENTS);
}

static bool may_have_policy(uint32_t mode)
{
	return S_ISREG(mode) || S_ISDIR(mode);
}

/* ---- how content is stored --------------------------------------------- */

struct pieces {
	struct extent_id *ids; /* owned */
	size_t n;
	uint64_t n_inline;
	bool more;
};

static int piece_row(void *ctx, const struct file_extent *row)
{
	struct pieces *p = ctx;

	if (row->kind == SLICE_INLINE)
		p->n_inline++;
	if (row->kind != SLICE_EXTENT)
		return 0;
	if (p->n == EXTENTS_MOST) {
		p->more = true;
		return 1;
	}
	p->ids[p->n++] = row->extent;
	return 0;
}

static int by_id(const void *a, const void *b)
{
	const struct extent_id *x = a, *y = b;

	if (x->epoch != y->epoch)
		return x->epoch < y->epoch ? -1 : 1;
	return x->counter < y->counter ? -1 : x->counter > y->counter;
}

static void pieces_unique(struct pieces *p)
{
	size_t n = 0;

	qsort(p->ids, p->n, sizeof(*p->ids), by_id);
	for (size_t i = 0; i < p->n; i++)
		if (!n || by_id(&p->ids[n - 1], &p->ids[i]) != 0)
			p->ids[n++] = p->ids[i];
	p->n = n;
}

struct tally {
	uint32_t *disks; /* owned, ascending */
	size_t n_disks, cap;
	uint64_t whole, degraded, lost;
};

static int tally_disk(struct tally *t, uint32_t disk)
{
	size_t at = 0, end = t->n_disks;

	while (at < end) {
		size_t middle = at + (end - at) / 2;

		if (t->disks[middle] < disk)
			at = middle + 1;
		else
			end = middle;
	}
	if (at < t->n_disks && t->disks[at] == disk)
		return 0;
	if (t->n_disks == t->cap) {
		size_t cap = t->cap ? 2 * t->cap : 16;
		uint32_t *disks = realloc(t->disks, cap * sizeof(*disks));

		if (!disks)
			return -ENOMEM;
		t->disks = disks;
		t->cap = cap;
	}
	memmove(t->disks + at + 1, t->disks + at,
		(t->n_disks - at) * sizeof(*t->disks));
	t->disks[at] = disk;
	t->n_disks++;
	return 0;
}

static int tally_extent(struct extents *x, struct extent_id id, struct tally *t)
{
	struct extent_rec rec;
	struct extent_state s = { 0 };
	int r = extent_record(x, id, &rec);

	if (r == -ENOENT)
		return 0; /* overwritten meanwhile */
	if (!r)
		r = extent_state(x, &rec, &s);
	for (uint32_t i = 0; !r && i < rec.k + rec.m; i++)
		if (rec.fragments[i].disk)
			r = tally_disk(t, rec.fragments[i].disk);
	if (r < 0)
		return r;
	if (!s.readable || (rec.flags & EXTENT_POISONED))
		t->lost++;
	else if (s.full)
		t->whole++;
	else
		t->degraded++;
	return 0;
}

static void tally_print(const struct pieces *p, const struct tally *t,
			struct buf *out)
{
	buf_printf(out, "extents=%" PRIu64 " inline=%" PRIu64 " disks=",
		   t->whole + t->degraded + t->lost, p->n_inline);
	for (size_t i = 0; i < t->n_disks; i++)
		buf_printf(out, i ? ",%" PRIu32 : "%" PRIu32, t->disks[i]);
	buf_printf(out,
		   " whole=%" PRIu64 " degraded=%" PRIu64 " lost=%" PRIu64
		   " more=%d",
		   t->whole, t->degraded, t->lost, p->more);
}

static int extents_get(struct tree *t, struct inode *in, struct buf *out)
{
	struct pieces p = { 0 };
	struct tally tally = { 0 };
	int r;

	if (!S_ISREG(inode_mode(in)))
		return -ENODATA;
	p.ids = malloc(EXTENTS_MOST * sizeof(*p.ids));
	if (!p.ids)
		return -ENOMEM;
	r = file_map(in, piece_row, &p);
	pieces_unique(&p);
	for (size_t i = 0; r >= 0 && i < p.n; i++)
		r = tally_extent(t->extents, p.ids[i], &tally);
	if (r >= 0)
		tally_print(&p, &tally, out);
	free(tally.disks);
	free(p.ids);
	return r < 0 ? r : buf_error(out);
}

/* ---- reading ----------------------------------------------------------- */

int tree_policy_get(struct inode *in, struct tree_policy *ret)
{
	const struct policy *p;

	AUTOLOCK(&in->lock);
	if (!may_have_policy(in->rec.mode))
		return -ENODATA;
	p = inode_policy(in);
	*ret =
	    (struct tree_policy){ .by_hand = in->rec.flags & INODE_POLICY_SET };
	memcpy(ret->name, p->name, sizeof(ret->name));
	memcpy(ret->spec, p->spec, sizeof(ret->spec));
	return 0;
}

int own_get(struct tree *t, struct inode *in, const char *name, struct buf *out)
{
	struct tree_policy p;
	int r;

	if (!strcmp(name, OWN_EXTENTS))
		return extents_get(t, in, out);
	if (strcmp(name, OWN_POLICY) != 0 && strcmp(name, OWN_EFFECTIVE) != 0)
		return -ENODATA;
	r = tree_policy_get(in, &p);
	if (r < 0)
		return r;
	if (!strcmp(name, OWN_POLICY) && !p.by_hand)
		return -ENODATA;
	buf_put(out, p.name, strlen(p.name));
	return buf_error(out);
}

/* ---- setting ----------------------------------------------------------- */

static int policy_unknown(struct tree *t, const char *name)
{
	const struct policy *all[POLICIES_SHOWN];
	uint32_t n = extents_policies(t->extents, all, POLICIES_SHOWN);
	AUTOBUF struct buf list = BUF_INIT;
	char quoted[80];

	for (uint32_t i = 0; i < n; i++)
		if (!all[i]->automatic)
			buf_printf(&list, "%s%s", list.len ? ", " : "",
				   all[i]->name);
	buf_put8(&list, 0);
	if (buf_error(&list) < 0)
		return -ENOMEM;
	return fail(-EINVAL, "there is no policy \"%s\"; there are %s",
		    str_quote(name, strlen(name), quoted, sizeof(quoted)),
		    (const char *)list.data);
}

static bool policy_allows(const struct policy *p,
			  const struct dynfs_caller *who)
{
	for (uint32_t i = 0; i < p->users.n_uids; i++)
		if (p->users.uids[i] == who->uid)
			return true;
	for (uint32_t i = 0; i < p->users.n_gids; i++)
		if (caller_in_group(who, p->users.gids[i]))
			return true;
	return false;
}

static int policy_check(struct tree *t, const struct policy *p,
			const struct dynfs_caller *who)
{
	const struct policy *usual = extents_policy_default(t->extents);

	if (who->uid && policy_costs_more(p, usual) && !policy_allows(p, who))
		return fail(-EPERM,
			    "policy %s (%s) costs more than %s (%s), and "
			    "policies.%s.users does not name uid %u",
			    p->name, p->spec, usual->name, usual->spec, p->name,
			    who->uid);
	return extents_policy_fits(t->extents, p);
}

/* Above it, where it has (one of) its names: what it would be born with. */
static int policy_above(struct tree *t, const struct inode *in, uint32_t *ret)
{
	AUTOINODE struct inode *dir = NULL;
	uint64_t parent;
	int r = path_parent(t, in->ino, &parent);

	*ret = 0; /* the root, or what has no name */
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = inode_get(t->files, parent, &dir);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	AUTOLOCK(&dir->lock);
	*ret = dir->rec.policy;
	return 0;
}

static int policy_put(struct tree *t, struct inode *in, uint32_t id, bool set,
		      uint32_t flags)
{
	AUTOOP struct op op;
	struct inode_rec *rec;
	bool was;
	int r;

	/* what was written before was let in as the old policy costs; if it can
	 * not be stored now, it is later, as the new one says */
	if (S_ISREG(inode_mode(in)))
		(void)file_settle(in);
	op_begin(&op, t, &in, 1);
	r = inode_there(in);
	if (r < 0)
		return r;
	was = in->rec.flags & INODE_POLICY_SET;
	if (set && !may_have_policy(in->rec.mode))
		return -EPERM;
	if (was && (flags & DYNFS_XATTR_CREATE))
		return -EEXIST;
	if (!was && (!set || (flags & DYNFS_XATTR_REPLACE)))
		return -ENODATA;
	rec = op_change(&op, in);
	rec->policy = id;
	rec->flags &= (uint8_t)~INODE_POLICY_SET;
	if (set)
		rec->flags |= INODE_POLICY_SET;
	rec->ctime = op.now;
	return op_commit(&op);
}

static int policy_set(struct tree *t, struct inode *in, const char *name,
		      uint32_t flags, const struct dynfs_caller *who)
{
	const struct policy *p = extents_policy_named(t->extents, name);
	int r;

	if (!p || p->automatic)
		return policy_unknown(t, name);
	r = policy_check(t, p, who);
	return r < 0 ? r : policy_put(t, in, p->id, true, flags);
}

static int policy_unset(struct tree *t, struct inode *in)
{
	uint32_t id;
	int r = policy_above(t, in, &id);

	return r < 0 ? r : policy_put(t, in, id, false, 0);
}

int tree_policy_set(struct tree *t, struct inode *in, const char *name,
		    const struct dynfs_caller *who)
{
	int r = tree_admit(t);

	if (r < 0)
		return r;
	return name ? policy_set(t, in, name, 0, who) : policy_unset(t, in);
}

static int complain_path(void *ctx, const char *path)
{
	char quoted[PATH_SHOWN];

	log_warn("tree", "the policy of %s stays: %s",
		 str_quote(path, strlen(path), quoted, sizeof(quoted)),
		 (const char *)ctx);
	return 1;
}

/* Who set it gets but a number; the reason is for the log, not too often. */
static void complain(struct tree *t, const struct inode *in, int err)
{
	int64_t now = files_now(t->files).sec;
	int64_t last = atomic_load(&t->complained);
	char why[FAIL_TEXT_MAX];

	if (now - last < COMPLAIN_SEC ||
	    !atomic_compare_exchange_strong(&t->complained, &last, now))
		return;
	(void)snprintf(why, sizeof(why), "%s", fail_text(err));
	(void)tree_paths(t, in->ino, complain_path, why);
}

int own_set(struct tree *t, struct inode *in, const char *name,
	    const void *value, size_t len, uint32_t flags,
	    const struct dynfs_caller *who)
{
	char text[POLICY_NAME_MAX + 1] = "";
	int r;

	if (computed(name))
		return -EPERM;
	if (strcmp(name, OWN_POLICY) != 0)
		return -EINVAL;
	if (!may_have_policy(inode_mode(in)))
		return -EPERM;
	fail_clear();
	if (len > POLICY_NAME_MAX || (len && memchr(value, 0, len)))
		len = 0; /* no policy is called so */
	if (len)
		memcpy(text, value, len);
	r = policy_set(t, in, text, flags, who);
	if (r == -EINVAL || r == -EPERM || r == -ENOSPC)
		complain(t, in, r);
	return r;
}

int own_remove(struct tree *t, struct inode *in, const char *name)
{
	if (computed(name))
		return -EPERM;
	return strcmp(name, OWN_POLICY) != 0 ? -ENODATA : policy_unset(t, in);
}
