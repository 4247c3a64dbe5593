/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree itself, its operations, and references to inodes.
 *
 * An operation works on inodes in memory under their locks: it changes their
 * records, puts the changed ones and the names into one batch and commits it
 * while the locks are held, so that the order of records in the log is the
 * order of the changes.  If the commit fails the records are put back: an
 * operation happened as a whole or not at all.
 *
 * Names are looked up without a lock.  An entry never moves while its name
 * exists, so a walk of a collision chain can not miss it; what may happen is
 * that the inode found has lost its last name meanwhile, which shows in nlink
 * once the lookup reference keeps it from being reclaimed.  Then the walk is
 * done again.  The alternative, the directory's lock around each lookup, made
 * lookups wait for commits.
 *
 * What a frontend knows is counted by number (file/known.c) and need not be in
 * memory: numbers are stable.
 */
#include <tree/private.h>

#include <base/fail.h>
#include <base/hash.h>

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static void op_add(struct op *op, struct inode *in)
{
	unsigned i = op->n;

	for (unsigned j = 0; j < op->n; j++)
		if (op->at[j].in == in)
			return;
	for (; i > 0 && op->at[i - 1].in->ino > in->ino; i--)
		op->at[i].in = op->at[i - 1].in;
	op->at[i].in = in;
	op->n++;
}

void op_begin(struct op *op, struct tree *t, struct inode *const *in,
	      unsigned n)
{
	op->t = t;
	op->n = 0;
	op->committed = false;
	batch_init(&op->batch);
	for (unsigned i = 0; i < n; i++)
		if (in[i])
			op_add(op, in[i]);
	for (unsigned i = 0; i < op->n; i++) {
		struct op_inode *o = &op->at[i];

		(void)pthread_mutex_lock(&o->in->lock);
		o->was = o->in->rec;
		o->counted = o->in->counted;
		o->fresh = o->in->fresh;
		o->changed = false;
		o->names = false;
	}
	/* with the locks: times of one inode never run backwards */
	op->now = files_now(t->files);
}

struct inode_rec *op_change(struct op *op, struct inode *in)
{
	for (unsigned i = 0; i < op->n; i++)
		if (op->at[i].in == in)
			op->at[i].changed = true;
	return &in->rec;
}

struct inode_rec *op_change_names(struct op *op, struct inode *dir)
{
	struct inode_rec *rec = op_change(op, dir);

	for (unsigned i = 0; i < op->n; i++)
		if (op->at[i].in == dir)
			op->at[i].names = true;
	rec->mtime = op->now;
	rec->ctime = op->now;
	return rec;
}

int op_commit(struct op *op)
{
	int r;

	for (unsigned i = 0; i < op->n; i++)
		if (op->at[i].changed)
			inode_record(op->at[i].in, &op->batch);
	r = meta_commit(op->t->meta, &op->batch, NULL);
	op->committed = r == 0;
	return r;
}

void op_end(struct op *op)
{
	for (unsigned i = op->n; i-- > 0;) {
		struct op_inode *o = &op->at[i];

		if (!op->committed && o->changed) {
			o->in->rec = o->was;
			inode_uncount(o->in, &o->counted);
			o->in->fresh = o->fresh;
			o->in->dirty_attr = !o->fresh;
		}
		/* after the commit: who saw it grown sees the names, too */
		if (op->committed && o->names)
			atomic_fetch_add(&o->in->names, 1);
		(void)pthread_mutex_unlock(&o->in->lock);
	}
	op->n = 0;
	if (op->t)
		batch_done(&op->batch);
}

uint32_t inode_mode(struct inode *in)
{
	AUTOLOCK(&in->lock);
	return in->rec.mode;
}

int inode_there(const struct inode *in)
{
	return in->rec.nlink || in->counted.exists ? 0 : -ENOENT;
}

int dir_check(const struct inode *dir)
{
	if (!S_ISDIR(dir->rec.mode))
		return -ENOTDIR;
	return dir->rec.nlink ? 0 : -ENOENT;
}

int tree_writable(const struct tree *t)
{
	return atomic_load(&t->readonly) ? -EROFS : 0;
}

int tree_admit(struct tree *t)
{
	return atomic_load(&t->readonly) ? -EROFS : meta_admit(t->meta);
}

void tree_set_readonly(struct tree *t, bool readonly)
{
	atomic_store(&t->readonly, readonly);
}

void tree_set_atime(struct tree *t, enum tree_atime atime)
{
	atomic_store(&t->atime, atime);
}

/* "." and "..", which have no entries */
static int lookup_dot(struct tree *t, uint64_t ino, bool up,
		      struct dynfs_attr *ret)
{
	AUTOINODE struct inode *dir = NULL;
	AUTOINODE struct inode *in = NULL;
	uint64_t parent;
	int r = inode_get(t->files, ino, &dir);

	if (r < 0)
		return r;
	if (!S_ISDIR(inode_mode(dir)))
		return -ENOTDIR;
	(void)pthread_mutex_lock(&dir->lock);
	parent = dir->rec.parent;
	(void)pthread_mutex_unlock(&dir->lock);
	r = inode_get(t->files, up && ino != DYNFS_ROOT_INO ? parent : ino,
		      &in);
	if (r < 0)
		return r;
	inode_attr(in, ret);
	inode_know(in);
	return 0;
}

/* Why there is no such name: the parent may be no directory. */
static int lookup_missed(struct tree *t, uint64_t parent)
{
	AUTOINODE struct inode *dir = NULL;
	int r = inode_get(t->files, parent, &dir);

	if (r < 0)
		return r;
	return S_ISDIR(inode_mode(dir)) ? -ENOENT : -ENOTDIR;
}

/* -EAGAIN: the inode lost its last name meanwhile. */
static int lookup_take(struct tree *t, uint64_t ino, struct dynfs_attr *ret)
{
	AUTOINODE struct inode *in = NULL;
	struct dynfs_attr attr;
	int r = inode_get(t->files, ino, &in);

	if (r < 0)
		return r == -ENOENT ? -EAGAIN : r;
	inode_know(in);
	inode_attr(in, &attr);
	if (!attr.nlink) {
		files_forget(t->files, ino, 1);
		return -EAGAIN;
	}
	*ret = attr;
	return 0;
}

int tree_lookup(struct tree *t, uint64_t parent, const char *name,
		struct dynfs_attr *ret)
{
	struct slot s;
	int r = name_check(name);

	if (r < 0)
		return r;
	if (name_is_dot(name))
		return lookup_dot(t, parent, name[1] == '.', ret);
	for (int i = 0; i < OP_TRIES; i++) {
		r = name_find(t, parent, name, &s);
		if (r < 0)
			return r;
		if (!s.found)
			return lookup_missed(t, parent);
		r = lookup_take(t, s.ino, ret);
		if (r != -EAGAIN)
			return r;
	}
	return fail(-EUCLEAN, "directory %llu names inode %llu, which is not",
		    (unsigned long long)parent, (unsigned long long)s.ino);
}

int view_lookup(void *ctx, uint64_t parent, const char *name,
		struct dynfs_attr *ret)
{
	return tree_lookup(ctx, parent, name, ret);
}

void view_forget(void *ctx, uint64_t ino, uint64_t n)
{
	const struct tree *t = ctx;

	files_forget(t->files, ino, n);
}

int tree_new(const struct tree_how *how, struct tree **ret)
{
	struct tree *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->meta = how->meta;
	t->files = how->files;
	t->extents = how->extents;
	t->disks = how->disks;
	memcpy(t->name_key, how->name_key, sizeof(t->name_key));
	atomic_init(&t->readonly, how->readonly);
	atomic_init(&t->atime, how->atime);
	t->hash = siphash;
	(void)pthread_mutex_init(&t->rename_lock, NULL);
	(void)pthread_mutex_init(&t->room.lock, NULL);
	view_init(t);
	r = usage_init(t);
	if (r < 0) {
		tree_free(t);
		return r;
	}
	*ret = t;
	return 0;
}

void tree_free(struct tree *t)
{
	if (!t)
		return;
	usage_done(t);
	view_done(t);
	(void)pthread_mutex_destroy(&t->room.lock);
	(void)pthread_mutex_destroy(&t->rename_lock);
	free(t);
}

const struct dynfs_fs_view *tree_view(struct tree *t)
{
	return &t->view;
}

int tree_make_root(struct tree *t, uint32_t uid, uint32_t gid)
{
	struct dynfs_time now = files_now(t->files);
	struct inode_rec rec = { .flags = INODE_PLAIN,
				 .mode = S_IFDIR | 0755,
				 .uid = uid,
				 .gid = gid,
				 .nlink = 2,
				 .generation = 1,
				 .parent = DYNFS_ROOT_INO,
				 .atime = now,
				 .mtime = now,
				 .ctime = now,
				 .btime = now };
	struct key key = key_inode(DYNFS_ROOT_INO);
	AUTOBATCH struct batch b;
	AUTOBUF struct buf value = BUF_INIT;
	int r;

	batch_init(&b);
	r = meta_get(t->meta, key.data, key.len, &value);
	if (r != -ENOENT)
		return r < 0 ? r : -EEXIST;
	buf_clear(&value);
	inode_rec_put(&value, &rec);
	if (buf_error(&value))
		return buf_error(&value);
	batch_put(&b, key.data, key.len, value.data, value.len);
	batch_count(&b, USAGE_UID, uid, 1, 0);
	batch_count(&b, USAGE_GID, gid, 1, 0);
	batch_count(&b, USAGE_PROJECT, rec.project, 1, 0);
	return meta_commit(t->meta, &b, NULL);
}
