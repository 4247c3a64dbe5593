/* SPDX-License-Identifier: Apache-2.0 */
/*
 * New names: for new inodes of every type, and for old ones (link).
 *
 * A new inode begins with nlink 0 and gets its owner, group and policy from
 * the parent under the parent's lock, in the operation that names it.  If the
 * operation fails it is an inode without a name and without a record, which
 * vanishes with the last put.
 *
 * The mode is that which was asked for, less the umask, or less what the default
 * ACL of the directory leaves out.
 *
 * The policy id is copied from the parent at birth (without the flag that
 * says it was set by hand), as the group of a set-gid directory is: content
 * then needs no walk to the root to know how it is stored, and a file keeps
 * its form when it is moved.
 */
#include <tree/private.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

struct node_spec {
	const char *name;
	const char *target; /* of a symbolic link, else NULL */
	const struct dynfs_caller *who;
	uint64_t rdev;
	uint32_t mode;
};

int node_fill(struct op *op, struct inode *in, struct inode *dir,
	      uint32_t umask)
{
	struct inode_rec *rec = op_change(op, in);
	bool is_dir = S_ISDIR(rec->mode);

	rec->flags = INODE_PLAIN;
	rec->nlink = is_dir ? 2 : 1;
	rec->parent = is_dir ? dir->ino : 0;
	rec->policy = dir->rec.policy;
	rec->project = dir->rec.project;
	if (dir->rec.mode & S_ISGID) {
		rec->gid = dir->rec.gid;
		if (is_dir)
			rec->mode |= S_ISGID;
	}
	rec->atime = op->now;
	rec->mtime = op->now;
	rec->ctime = op->now;
	rec->btime = op->now;
	in->disk_size = rec->size;
	return acl_inherit(op, dir, in, umask);
}

/* Both are locked. */
static int node_enter(struct op *op, struct inode *dir, struct inode *in,
		      const struct node_spec *spec)
{
	struct slot s;
	int r = dir_check(dir);

	if (r < 0)
		return r;
	r = name_find(op->t, dir->ino, spec->name, &s);
	if (r < 0)
		return r;
	if (s.found)
		return -EEXIST;
	r = node_fill(op, in, dir, spec->who->umask);
	if (r < 0)
		return r;
	if (S_ISDIR(in->rec.mode))
		op_change(op, dir)->nlink++;
	(void)op_change_names(op, dir);
	name_put(&op->batch, dir->ino, s.cookie, spec->name, in->ino,
		 in->rec.mode);
	return op_commit(op);
}

static int node_add(struct tree *t, struct inode *dir, struct inode *in,
		    const struct node_spec *spec)
{
	struct inode *both[] = { dir, in };
	AUTOOP struct op op;

	op_begin(&op, t, both, 2);
	return node_enter(&op, dir, in, spec);
}

static int new_name_check(struct tree *t, const char *name)
{
	int r = tree_admit(t);

	if (!r)
		r = name_check(name);
	if (!r && name_is_dot(name))
		r = -EEXIST;
	return r ? r : tree_room_check(t);
}

/*
 * The new inode, got, with a lookup reference: that is taken before the name
 * can be seen, else who unlinks it at once would have it reclaimed.
 */
static int node_make(struct tree *t, uint64_t parent,
		     const struct node_spec *spec, struct inode **ret)
{
	struct inode_rec rec = { .mode = spec->mode,
				 .uid = spec->who->uid,
				 .gid = spec->who->gid,
				 .rdev = spec->rdev };
	AUTOINODE struct inode *dir = NULL;
	AUTOINODE struct inode *in = NULL;
	int r = new_name_check(t, spec->name);

	if (r < 0)
		return r;
	if (spec->target) {
		rec.target = spec->target;
		rec.target_len = (uint32_t)strlen(spec->target);
		rec.size = rec.target_len;
	}
	r = inode_get(t->files, parent, &dir);
	if (r < 0)
		return r;
	r = inode_new(t->files, &rec, &in);
	if (r < 0)
		return r;
	inode_know(in);
	r = node_add(t, dir, in, spec);
	if (r < 0) {
		files_forget(t->files, in->ino, 1);
		return r;
	}
	*ret = TAKE(in);
	return 0;
}

static int node_answer(struct tree *t, uint64_t parent,
		       const struct node_spec *spec, struct dynfs_attr *ret)
{
	AUTOINODE struct inode *in = NULL;
	int r = node_make(t, parent, spec, &in);

	if (r < 0)
		return r;
	inode_attr(in, ret);
	return 0;
}

int view_mknod(void *ctx, uint64_t parent, const char *name, uint32_t mode,
	       uint64_t rdev, const struct dynfs_caller *who,
	       struct dynfs_attr *ret)
{
	uint32_t type = mode & S_IFMT ? mode & S_IFMT : S_IFREG;
	bool device = type == S_IFCHR || type == S_IFBLK;
	struct node_spec spec = { .name = name,
				  .who = who,
				  .mode = type | (mode & 07777u),
				  .rdev = device ? rdev : 0 };

	if (type == S_IFDIR)
		return -EPERM;
	if (!device && type != S_IFREG && type != S_IFIFO && type != S_IFSOCK)
		return -EINVAL;
	return node_answer(ctx, parent, &spec, ret);
}

int view_mkdir(void *ctx, uint64_t parent, const char *name, uint32_t mode,
	       const struct dynfs_caller *who, struct dynfs_attr *ret)
{
	struct node_spec spec = { .name = name,
				  .who = who,
				  .mode = S_IFDIR | (mode & 07777u) };

	return node_answer(ctx, parent, &spec, ret);
}

int view_symlink(void *ctx, uint64_t parent, const char *name,
		 const char *target, const struct dynfs_caller *who,
		 struct dynfs_attr *ret)
{
	struct node_spec spec = { .name = name,
				  .target = target,
				  .who = who,
				  .mode = S_IFLNK | 0777 };
	size_t len = strnlen(target, SYMLINK_MAX + 1);

	if (!len)
		return -ENOENT;
	if (len > SYMLINK_MAX)
		return -ENAMETOOLONG;
	return node_answer(ctx, parent, &spec, ret);
}

int view_create(void *ctx, uint64_t parent, const char *name, uint32_t mode,
		uint32_t flags, const struct dynfs_caller *who,
		struct dynfs_attr *ret, struct dynfs_file **ret_file)
{
	struct tree *t = ctx;
	struct node_spec spec = { .name = name,
				  .who = who,
				  .mode = S_IFREG | (mode & 07777u) };
	/* before the name: a file that was made is opened, too */
	struct open_file *file = open_alloc(flags);
	struct inode *in;
	int r;

	if (!file)
		return -ENOMEM;
	r = node_make(t, parent, &spec, &in);
	if (r < 0) {
		open_free(file);
		return r;
	}
	inode_attr(in, ret);
	*ret_file = open_enter(t, file, in);
	return 0;
}

static int link_enter(struct op *op, struct inode *dir, struct inode *in,
		      const char *name)
{
	struct inode_rec *rec;
	struct slot s;
	int r = dir_check(dir);

	if (r < 0)
		return r;
	if (S_ISDIR(in->rec.mode))
		return -EPERM;
	r = name_find(op->t, dir->ino, name, &s);
	if (r < 0)
		return r;
	if (s.found)
		return -EEXIST;
	if (!in->rec.nlink)
		return -ENOENT;
	if (in->rec.nlink >= LINKS_MAX)
		return -EMLINK;
	rec = op_change(op, in);
	rec->nlink++;
	rec->ctime = op->now;
	(void)op_change_names(op, dir);
	name_put(&op->batch, dir->ino, s.cookie, name, in->ino, rec->mode);
	return op_commit(op);
}

static int link_add(struct tree *t, struct inode *dir, struct inode *in,
		    const char *name)
{
	struct inode *both[] = { dir, in };
	AUTOOP struct op op;

	op_begin(&op, t, both, 2);
	return link_enter(&op, dir, in, name);
}

int view_link(void *ctx, uint64_t ino, uint64_t parent, const char *name,
	      struct dynfs_attr *ret)
{
	struct tree *t = ctx;
	AUTOINODE struct inode *dir = NULL;
	AUTOINODE struct inode *in = NULL;
	int r = new_name_check(t, name);

	if (r < 0)
		return r;
	r = inode_get(t->files, parent, &dir);
	if (r < 0)
		return r;
	r = inode_get(t->files, ino, &in);
	if (r < 0)
		return r;
	r = link_add(t, dir, in, name);
	if (r < 0)
		return r;
	inode_attr(in, ret);
	inode_know(in);
	return 0;
}
