/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names that go: unlink and rmdir.
 *
 * The last name's going leaves an intent record in the same batch; what the
 * inode holds is given back in the background once nobody has it open or
 * looked up (file/idle.c), after a crash at the next open.
 *
 * The inode is not known before the name was looked up, and locks are taken
 * by ascending number: so look up, lock both, look up again; when the name
 * says something else by then, begin again.
 */
#include <tree/private.h>

#include <errno.h>
#include <sys/stat.h>

void node_unlink(struct op *op, struct inode *in)
{
	struct inode_rec *rec = op_change(op, in);
	struct intent_rec intent = { .kind = INTENT_REMOVE };
	struct key key = key_intent(in->ino, INTENT_REMOVE);
	AUTOBUF struct buf value = BUF_INIT;

	rec->ctime = op->now;
	rec->nlink = S_ISDIR(rec->mode) || !rec->nlink ? 0 : rec->nlink - 1;
	if (rec->nlink)
		return;
	intent_rec_put(&value, &intent);
	if (buf_error(&value) && !op->batch.error)
		op->batch.error = buf_error(&value);
	batch_put(&op->batch, key.data, key.len, value.data, value.len);
}

struct removal {
	struct tree *t;
	struct inode *dir, *in;
	const char *name;
	bool is_dir;
	uint64_t names; /* of dir, before slot was found */
	struct slot slot;
};

/* Both locked. */
static int remove_locked(struct op *op, struct removal *m)
{
	struct inode *dir = m->dir, *in = m->in;
	bool is_dir = m->is_dir;
	int r = dir_check(dir);

	if (!r)
		r = name_again(m->t, dir, m->name, m->names, &m->slot);
	if (r < 0)
		return r;
	if (!m->slot.found)
		return -ENOENT;
	if (m->slot.ino != in->ino)
		return -EAGAIN;
	if (is_dir != S_ISDIR(in->rec.mode))
		return is_dir ? -ENOTDIR : -EISDIR;
	r = is_dir ? name_none(op->t, in->ino) : 0;
	if (r < 0)
		return r;
	r = name_drop(op->t, &op->batch, dir->ino, m->slot.cookie, in->ino);
	if (r < 0)
		return r;
	node_unlink(op, in);
	if (is_dir)
		op_change(op, dir)->nlink--;
	(void)op_change_names(op, dir);
	return op_commit(op);
}

static int remove_try(struct removal *m)
{
	struct inode *both[] = { m->dir, m->in };
	AUTOOP struct op op;

	op_begin(&op, m->t, both, 2);
	return remove_locked(&op, m);
}

static int remove_once(struct removal *m)
{
	AUTOINODE struct inode *in = NULL;
	int r;

	m->names = atomic_load(&m->dir->names);
	r = name_find(m->t, m->dir->ino, m->name, &m->slot);
	if (r < 0)
		return r;
	if (!m->slot.found)
		return S_ISDIR(inode_mode(m->dir)) ? -ENOENT : -ENOTDIR;
	r = inode_get(m->t->files, m->slot.ino, &in);
	if (r < 0)
		return r == -ENOENT ? -EAGAIN : r;
	m->in = in;
	return remove_try(m);
}

static int remove_name(struct tree *t, uint64_t parent, const char *name,
		       bool is_dir)
{
	struct removal m = { .t = t, .name = name, .is_dir = is_dir };
	AUTOINODE struct inode *dir = NULL;
	int r = tree_admit(t);

	if (!r)
		r = name_check(name);
	if (r < 0)
		return r;
	r = inode_get(t->files, parent, &dir);
	if (r < 0)
		return r;
	m.dir = dir;
	for (int i = 0; i < OP_TRIES; i++) {
		r = remove_once(&m);
		if (r != -EAGAIN)
			return r;
	}
	return -EUCLEAN;
}

int view_unlink(void *ctx, uint64_t parent, const char *name)
{
	if (name_is_dot(name))
		return -EISDIR;
	return remove_name(ctx, parent, name, false);
}

int view_rmdir(void *ctx, uint64_t parent, const char *name)
{
	if (name_is_dot(name))
		return name[1] ? -ENOTEMPTY : -EINVAL;
	return remove_name(ctx, parent, name, true);
}
