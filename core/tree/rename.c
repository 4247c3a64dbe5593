/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rename: move, replace, exchange.
 *
 * Up to five inodes change together: both directories, what moves, what is
 * replaced or exchanged, and what stays behind.  They are found first, then
 * locked, then both names are looked at again.
 *
 * Directories change their parent only under rename_lock, so while it is held
 * the way from any directory to the root stands still, and a directory can be
 * kept from moving below itself by walking that way.  Renames inside one
 * directory need no such lock.
 *
 * Bytes of the moving file that are not in slices yet are settled before:
 * programs write a new file and rename it over the old one, and after a crash
 * there must be the old content or the new, not an empty file.
 *
 * Overlay mounts leave a whiteout where a name was, which hides that of the
 * layer below: a character device 0:0, made in the same operation.
 */
#include <tree/private.h>

#include <base/fail.h>

#include <errno.h>
#include <sys/stat.h>

#define DEPTH_MAX 100000u /* deeper is damage */

struct move {
	struct tree *t;
	struct inode *from_dir, *to_dir;
	const char *from, *to;
	uint32_t flags;
	struct inode *in;     /* what moves */
	struct inode *victim; /* what has the new name, or NULL */
	struct inode *white;  /* what gets the old name, or NULL */
	const struct dynfs_caller *who;
	struct slot from_slot, to_slot;
	uint64_t from_names, to_names; /* before the slots were found */
};

/* Is dir above or the same as ino?  rename_lock is held. */
static int is_above(struct tree *t, const struct inode *dir, uint64_t ino)
{
	for (unsigned i = 0; i < DEPTH_MAX; i++) {
		AUTOINODE struct inode *in = NULL;
		int r;

		if (ino == dir->ino)
			return 1;
		if (ino == DYNFS_ROOT_INO)
			return 0;
		r = inode_get(t->files, ino, &in);
		if (r < 0)
			return r;
		AUTOLOCK(&in->lock);
		ino = in->rec.parent;
	}
	return fail(-EUCLEAN, "directory %llu does not lead to the root",
		    (unsigned long long)ino);
}

/* No directory may end up below itself. */
static int check_loop(const struct move *m)
{
	bool exchange = m->flags & DYNFS_RENAME_EXCHANGE;
	int r = 0;

	if (m->from_dir == m->to_dir)
		return 0;
	if (S_ISDIR(inode_mode(m->in)))
		r = is_above(m->t, m->in, m->to_dir->ino);
	if (!r && exchange && S_ISDIR(inode_mode(m->victim)))
		r = is_above(m->t, m->victim, m->from_dir->ino);
	return r > 0 ? -EINVAL : r;
}

static int check_replace(const struct move *m)
{
	bool is_dir = S_ISDIR(m->in->rec.mode);

	if (!m->victim || (m->flags & DYNFS_RENAME_EXCHANGE))
		return 0;
	if (is_dir != S_ISDIR(m->victim->rec.mode))
		return is_dir ? -ENOTDIR : -EISDIR;
	return is_dir ? name_none(m->t, m->victim->ino) : 0;
}

/* A directory has gone from one parent to another, or just left one. */
static void change_parent(struct op *op, const struct inode *in,
			  struct inode *from, struct inode *to)
{
	if (!S_ISDIR(in->rec.mode))
		return;
	if (from)
		op_change(op, from)->nlink--;
	if (to)
		op_change(op, to)->nlink++;
}

static void moved(struct op *op, struct inode *in, struct inode *from,
		  struct inode *to)
{
	struct inode_rec *rec = op_change(op, in);

	rec->ctime = op->now;
	change_parent(op, in, from, to);
	if (S_ISDIR(rec->mode))
		rec->parent = to->ino;
}

/* Give the name at s to another inode. */
static void name_replace(struct op *op, const struct inode *dir,
			 const struct slot *s, const char *name,
			 const struct inode *in)
{
	struct key key = key_parent(s->ino, dir->ino, s->cookie);

	batch_delete(&op->batch, key.data, key.len);
	name_put(&op->batch, dir->ino, s->cookie, name, in->ino, in->rec.mode);
}

static void do_exchange(struct op *op, const struct move *m,
			const struct slot *from, const struct slot *to)
{
	name_replace(op, m->from_dir, from, m->from, m->victim);
	name_replace(op, m->to_dir, to, m->to, m->in);
	moved(op, m->in, m->from_dir, m->to_dir);
	moved(op, m->victim, m->to_dir, m->from_dir);
}

static bool same_chain(const struct move *m, const struct slot *a,
		       const struct slot *b)
{
	return m->from_dir == m->to_dir && a->cookie >> 8 == b->cookie >> 8;
}

static int leave_white(struct op *op, const struct move *m,
		       const struct slot *from)
{
	name_replace(op, m->from_dir, from, m->from, m->white);
	return node_fill(op, m->white, m->from_dir, m->who->umask);
}

static int do_move(struct op *op, const struct move *m, const struct slot *from,
		   const struct slot *to)
{
	int r = 0;

	if (m->victim) {
		name_replace(op, m->to_dir, to, m->to, m->in);
		node_unlink(op, m->victim);
		change_parent(op, m->victim, m->to_dir, NULL);
	} else if (!m->white && same_chain(m, from, to)) {
		/* one batch can not see its own gap: stay in the place */
		name_replace(op, m->from_dir, from, m->to, m->in);
		moved(op, m->in, m->from_dir, m->to_dir);
		return 0;
	} else {
		name_put(&op->batch, m->to_dir->ino, to->cookie, m->to,
			 m->in->ino, m->in->rec.mode);
	}
	if (m->white)
		r = leave_white(op, m, from);
	else
		r = name_drop(m->t, &op->batch, m->from_dir->ino, from->cookie,
			      m->in->ino);
	moved(op, m->in, m->from_dir, m->to_dir);
	return r;
}

/* All are locked: do the names still say what was found? */
static int move_locked(struct op *op, struct move *m)
{
	const struct slot *from = &m->from_slot, *to = &m->to_slot;
	int r = dir_check(m->from_dir);

	if (!r)
		r = dir_check(m->to_dir);
	if (!r)
		r = name_again(m->t, m->from_dir, m->from, m->from_names,
			       &m->from_slot);
	if (!r)
		r = name_again(m->t, m->to_dir, m->to, m->to_names,
			       &m->to_slot);
	if (r < 0)
		return r;
	if (!from->found || from->ino != m->in->ino ||
	    to->found != (m->victim != NULL) ||
	    (m->victim && to->ino != m->victim->ino))
		return -EAGAIN;
	r = check_replace(m);
	if (r < 0)
		return r;
	(void)op_change_names(op, m->from_dir);
	(void)op_change_names(op, m->to_dir);
	if (m->victim && (m->flags & DYNFS_RENAME_EXCHANGE))
		do_exchange(op, m, from, to);
	else
		r = do_move(op, m, from, to);
	return r < 0 ? r : op_commit(op);
}

static int move_try(struct move *m)
{
	struct inode *all[] = { m->from_dir, m->to_dir, m->in, m->victim,
				m->white };
	AUTOOP struct op op;

	op_begin(&op, m->t, all, 5);
	return move_locked(&op, m);
}

static int find_inode(struct tree *t, const struct inode *dir, const char *name,
		      struct slot *slot, struct inode **ret)
{
	int r = name_find(t, dir->ino, name, slot);

	if (r < 0)
		return r;
	if (!slot->found)
		return -ENOENT;
	r = inode_get(t->files, slot->ino, ret);
	return r == -ENOENT ? -EAGAIN : r;
}

/* What is said before anything is locked; 1: nothing is to be done. */
static int move_check(const struct move *m)
{
	if (!m->victim)
		return m->flags & DYNFS_RENAME_EXCHANGE ? -ENOENT : 0;
	if (m->flags & DYNFS_RENAME_NOREPLACE)
		return -EEXIST;
	if (m->victim == m->in)
		return 1; /* two names of one file: POSIX wants both kept */
	return 0;
}

static bool wants_settling(const struct move *m)
{
	return m->victim && !(m->flags & DYNFS_RENAME_EXCHANGE) &&
	       S_ISREG(inode_mode(m->in));
}

/* Both names were found; rename_lock is held if a directory goes elsewhere. */
static int move_found(struct move *m)
{
	int r = check_loop(m);

	if (!r && wants_settling(m))
		r = file_settle(m->in);
	return r ? r : move_try(m);
}

static bool wants_lock(const struct move *m)
{
	return m->from_dir != m->to_dir &&
	       (S_ISDIR(inode_mode(m->in)) ||
		(m->victim && S_ISDIR(inode_mode(m->victim))));
}

static int move_once(struct move *m)
{
	AUTOINODE struct inode *in = NULL;
	AUTOINODE struct inode *victim = NULL;
	int r;

	m->from_names = atomic_load(&m->from_dir->names);
	m->to_names = atomic_load(&m->to_dir->names);
	r = find_inode(m->t, m->from_dir, m->from, &m->from_slot, &in);
	if (r)
		return r;
	r = find_inode(m->t, m->to_dir, m->to, &m->to_slot, &victim);
	if (r && r != -ENOENT)
		return r;
	m->in = in;
	m->victim = victim;
	r = move_check(m);
	if (r)
		return r < 0 ? r : 0;
	if (wants_lock(m)) {
		AUTOLOCK(&m->t->rename_lock);
		r = move_found(m);
	} else {
		r = move_found(m);
	}
	return r;
}

static int dir_alive(struct inode *dir)
{
	AUTOLOCK(&dir->lock);
	return dir_check(dir);
}

static int white_new(struct move *m, struct inode **ret)
{
	struct inode_rec rec = { .mode = S_IFCHR,
				 .uid = m->who->uid,
				 .gid = m->who->gid };
	int r = tree_room_check(m->t);

	return r ? r : inode_new(m->t->files, &rec, ret);
}

static int move_names(struct move *m)
{
	AUTOINODE struct inode *white = NULL;
	int r = dir_alive(m->from_dir);

	if (!r)
		r = dir_alive(m->to_dir);
	if (!r && (m->flags & DYNFS_RENAME_WHITEOUT))
		r = white_new(m, &white);
	if (r < 0)
		return r;
	m->white = white;
	for (int i = 0; i < OP_TRIES; i++) {
		r = move_once(m);
		if (r != -EAGAIN)
			return r;
	}
	return -EUCLEAN;
}

/* Of the system call: an exchange leaves nothing free, and replaces. */
static bool flags_fit(uint32_t flags)
{
	if (flags & DYNFS_RENAME_EXCHANGE)
		return flags == DYNFS_RENAME_EXCHANGE;
	return !(flags & ~(DYNFS_RENAME_NOREPLACE | DYNFS_RENAME_WHITEOUT));
}

int view_rename(void *ctx, uint64_t parent, const char *name,
		uint64_t new_parent, const char *new_name, uint32_t flags,
		const struct dynfs_caller *who)
{
	struct move m = { .t = ctx,
			  .from = name,
			  .to = new_name,
			  .flags = flags,
			  .who = who };
	AUTOINODE struct inode *from = NULL;
	AUTOINODE struct inode *to = NULL;
	int r = tree_admit(m.t);

	if (!r)
		r = name_check(name);
	if (!r)
		r = name_check(new_name);
	if (r < 0)
		return r;
	if (name_is_dot(name) || name_is_dot(new_name))
		return -EBUSY;
	if (!flags_fit(flags) || (flags & DYNFS_RENAME_WHITEOUT && !who))
		return -EINVAL;
	r = inode_get(m.t->files, parent, &from);
	if (!r)
		r = inode_get(m.t->files, new_parent, &to);
	if (r)
		return r;
	m.from_dir = from;
	m.to_dir = to;
	return move_names(&m);
}
