/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The namespace: names, links, attributes and extended attributes, and the
 * view (dynfs/frontend.h) through which frontends use the pool.
 *
 * Each operation is one batch: a name, the inodes it touches and the parents'
 * times are committed together.
 */
#ifndef TREE_TREE_H
#define TREE_TREE_H

#include <dynfs/frontend.h>
#include <file/file.h>

struct tree;

/* Which reads move the time of last access. */
enum tree_atime {
	TREE_ATIME_RELATIVE,
	TREE_ATIME_STRICT,
	TREE_ATIME_FILES, /* relative, and of files only */
	TREE_ATIME_NONE,
};

struct tree_how {
	struct meta *meta;
	struct files *files;
	struct extents *extents;
	struct disks *disks;
	uint8_t name_key[16];
	bool readonly;
	enum tree_atime atime;
};

int tree_new(const struct tree_how *how, struct tree **ret);
void tree_free(struct tree *t);
/* A new pool: the root directory, owned by uid and gid, mode 0755. */
int tree_make_root(struct tree *t, uint32_t uid, uint32_t gid);

/*
 * From now on, for any thread.  What was answered before is not touched, and
 * an operation that is under way may still be done: who wants to be sure that
 * none is has to keep them from beginning, as the kernel does for a mount.
 */
void tree_set_readonly(struct tree *t, bool readonly);
void tree_set_atime(struct tree *t, enum tree_atime atime);

/* For frontends; valid until tree_free(). */
const struct dynfs_fs_view *tree_view(struct tree *t);
/* What they have left open is closed; none uses the view any more. */
void tree_close_files(struct tree *t);
uint64_t tree_open_files(struct tree *t); /* how many there are */
/* Buffers that are kept to be used again go. */
void tree_trim(struct tree *t);
/* For struct meta_hooks: usage counters of the group. */
void tree_closing_hook(void *ctx, struct batch *b);

/* By path from the root, for commands; each get wants an inode_put(). */
int tree_walk(struct tree *t, const char *path, struct inode **ret);
/* All paths of an inode, one call each. */
int tree_paths(struct tree *t, uint64_t ino,
	       int (*each)(void *ctx, const char *path), void *ctx);

/*
 * The policy that new content of a file, or new files of a directory, get; each
 * is called by its name in the config.  -ENODATA: neither file nor directory.
 */
struct tree_policy {
	bool by_hand; /* set here, not copied from above */
	char name[POLICY_NAME_MAX + 1];
	char spec[128];
};
int tree_policy_get(struct inode *in, struct tree_policy *ret);
/*
 * NULL: as if it had been made now.  -EINVAL: no such policy, -ENOSPC: too few
 * disks for it, -EPERM: too dear for who asks; with a text.
 */
int tree_policy_set(struct tree *t, struct inode *in, const char *name,
		    const struct dynfs_caller *who);

#endif
