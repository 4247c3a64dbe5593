/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of tree/: operations (struct op), names (struct slot), and what the
 * view's functions share.
 *
 * Locks: tree.rename_lock, then inode.lock of every inode that an operation
 * changes by ascending number, then those of the modules below.  No inode is
 * got, put or looked up by name from disk with a wish to lock it later while
 * a lock is held: an operation finds its inodes first, locks them all, and
 * looks whether the names still say the same.
 */
#ifndef TREE_PRIVATE_H
#define TREE_PRIVATE_H

#include <base/cleanup.h>
#include <base/hmap.h>
#include <tree/tree.h>

#define LINKS_MAX   65000u
#define SYMLINK_MAX 4095u
#define XATTR_VALUE 65536u
#define XATTR_LIST  65536u
#define XATTR_TOTAL (1u << 20) /* names and values of one inode */

#define READ_BUFFER_BYTES (1u << 20)
#define READ_BUFFERS      16u /* are kept at most */
#define READ_BYTES_MAX    (16u << 20)

#define USAGE_CACHE 4096u /* counters in memory */
#define ROOM_NS     100000000

/* inode.marks: what is known or due, in memory only */
#define MARK_NO_XATTR   1u /* it has none at all */
#define MARK_NO_CAPS    2u /* no security.capability */
#define MARK_SETTLE     4u /* was cut to nothing: settle at close */
#define MARK_NO_ACL     8u
#define MARK_NO_DEFAULT 16u /* no default ACL */

#define XATTR_ACL_ACCESS  "system.posix_acl_access"
#define XATTR_ACL_DEFAULT "system.posix_acl_default"
#define XATTR_OWN_PREFIX  "user.dynfs."

struct usage {
	pthread_mutex_t lock;
	struct hmap map;
	uint64_t n_inodes; /* of all uids */
};

struct room { /* what disks_capacity() said last */
	pthread_mutex_t lock;
	bool known;
	struct dynfs_time at;
	uint64_t total_bytes, free_bytes, reserve_bytes;
};

struct buffers { /* for reads */
	pthread_mutex_t lock;
	void *idle[READ_BUFFERS];
	unsigned n_idle;
};

struct opens { /* open files */
	pthread_mutex_t lock;
	struct list list; /* struct open_file */
	uint64_t n;
};

typedef uint64_t name_hash(const uint8_t key[16], const void *name, size_t len);

struct tree {
	struct meta *meta;
	struct files *files;
	struct extents *extents;
	struct disks *disks;
	uint8_t name_key[16];
	atomic_bool readonly;
	atomic_uint atime; /* enum tree_atime */
	name_hash *hash;   /* tests put a weak one here */
	/* directories change their parent under it only */
	pthread_mutex_t rename_lock;
	struct usage usage;
	struct room room;
	struct buffers buffers;
	struct opens opens;
	atomic_int_fast64_t complained; /* in the log, of a policy */
	struct dynfs_fs_view view;
};

static inline void cleanup_inode(struct inode **in)
{
	if (*in)
		inode_put(*in);
}
#define AUTOINODE CLEANUP(cleanup_inode)

/* ---- operations: tree.c ---------------------------------------------- */

#define OP_INODES 5u
#define OP_TRIES  1000 /* another thread was faster */

/* One change of the name space: locks, the batch, and the way back. */
struct op {
	struct tree *t;
	struct batch batch;
	struct dynfs_time now;
	struct op_inode {
		struct inode *in; /* locked */
		struct inode_rec was;
		struct inode_counted counted;
		bool fresh, changed, names;
	} at[OP_INODES]; /* ascending, no twins */
	unsigned n;
	bool committed;
};

/* Locks all of in (NULLs and twins are left out). */
void op_begin(struct op *op, struct tree *t, struct inode *const *in,
	      unsigned n);
/* Its record goes into the batch at the end. */
struct inode_rec *op_change(struct op *op, struct inode *in);
/* mtime and ctime, of a directory whose names change: inode.names too */
struct inode_rec *op_change_names(struct op *op, struct inode *dir);
int op_commit(struct op *op);
/* Unlocks; what was not committed is as it was before. */
void op_end(struct op *op); /* also of one that is all zero */
#define AUTOOP CLEANUP(op_end)

/*
 * -ENOENT when its record was taken away: a number that nobody held was
 * asked for, and writing the record again would bring it back.  Locked.
 */
int inode_there(const struct inode *in);
/* The mode as it is now, for its type. */
uint32_t inode_mode(struct inode *in);
/* A directory that new names can go into, else an errno.  lock is held. */
int dir_check(const struct inode *dir);
int tree_writable(const struct tree *t);
/* The same, and there is room for a commit; no lock is held. */
int tree_admit(struct tree *t);
/* A lookup reference is taken, attributes filled. */
int tree_lookup(struct tree *t, uint64_t parent, const char *name,
		struct dynfs_attr *ret);

/* ---- names: name.c --------------------------------------------------- */

struct slot {
	bool found;
	uint64_t cookie; /* of the entry, or where a new one may go */
	uint64_t ino;
};

/* The length, or -ENAMETOOLONG, -EINVAL. */
int name_check(const char *name);
bool name_is_dot(const char *name); /* "." or ".." */
int name_find(struct tree *t, uint64_t parent, const char *name,
	      struct slot *ret);
/*
 * The same under the directory's lock, after a name_find() without it, before
 * which inode.names was as given: read again only if it has grown.
 */
int name_again(struct tree *t, const struct inode *dir, const char *name,
	       uint64_t names, struct slot *slot);
void name_put(struct batch *b, uint64_t parent, uint64_t cookie,
	      const char *name, uint64_t ino, uint32_t mode);
/* Of an entry of ino, with its parent key.  The directory is locked. */
int name_drop(struct tree *t, struct batch *b, uint64_t parent, uint64_t cookie,
	      uint64_t ino);
/* -ENOTEMPTY when it holds a name. */
int name_none(struct tree *t, uint64_t dir);

/* ---- new inodes, shared with rename: create.c -------------------------- */

/*
 * What a new inode takes from its directory and its birth.  In the op, both
 * are locked.
 */
int node_fill(struct op *op, struct inode *in, struct inode *dir,
	      uint32_t umask);

/* ---- removal, shared with rename: remove.c ---------------------------- */

/* One name less; the last one leaves an intent.  In the op, locked. */
void node_unlink(struct op *op, struct inode *in);

/* ---- extended attributes: xattr.c, acl.c, policy.c --------------------- */

/* A row, its version first, of an inode that is locked. */
int xattr_find(const struct tree *t, struct inode *in, const char *name,
	       struct buf *ret);
void xattr_row(struct op *op, struct inode *in, const char *name,
	       const struct buf *value);
/* -ENODATA: there is none.  Reads all of them. */
int xattr_drop(struct op *op, struct inode *in, const char *name);

/* May such a row be set?  Its entries are made canonical. */
int acl_check(const struct inode *in, const char *name, struct buf *value);
int acl_set(struct op *op, struct inode *in, const char *name,
	    struct buf *value, const struct dynfs_caller *who);
/* The mode of in is wished for; its directory, or else the umask, limits it. */
int acl_inherit(struct op *op, struct inode *dir, struct inode *in,
		uint32_t umask);
/* Before the mode changes to this one. */
int acl_follow_mode(struct op *op, struct inode *in, uint32_t mode);

bool caller_in_group(const struct dynfs_caller *who, uint32_t gid);
int own_get(struct tree *t, struct inode *in, const char *name,
	    struct buf *out);
int own_set(struct tree *t, struct inode *in, const char *name,
	    const void *value, size_t len, uint32_t flags,
	    const struct dynfs_caller *who);
int own_remove(struct tree *t, struct inode *in, const char *name);

/* path.c: a directory where it has a name; -ENOENT */
int path_parent(const struct tree *t, uint64_t ino, uint64_t *ret);

/* ---- usage and room: usage.c ------------------------------------------ */

int usage_init(struct tree *t);
void usage_done(struct tree *t);
/* -ENOSPC when nothing new may be made. */
int tree_room_check(struct tree *t);

/* ---- the view's functions --------------------------------------------- */

int view_lookup(void *ctx, uint64_t parent, const char *name,
		struct dynfs_attr *ret);
void view_forget(void *ctx, uint64_t ino, uint64_t n);
int view_getattr(void *ctx, uint64_t ino, struct dynfs_attr *ret);
int view_setattr(void *ctx, uint64_t ino, uint32_t mask,
		 const struct dynfs_attr *in, struct dynfs_attr *ret);
int view_readlink(void *ctx, uint64_t ino, char *buf, size_t len,
		  size_t *ret_len);
int view_mknod(void *ctx, uint64_t parent, const char *name, uint32_t mode,
	       uint64_t rdev, const struct dynfs_caller *who,
	       struct dynfs_attr *ret);
int view_mkdir(void *ctx, uint64_t parent, const char *name, uint32_t mode,
	       const struct dynfs_caller *who, struct dynfs_attr *ret);
int view_symlink(void *ctx, uint64_t parent, const char *name,
		 const char *target, const struct dynfs_caller *who,
		 struct dynfs_attr *ret);
int view_link(void *ctx, uint64_t ino, uint64_t parent, const char *name,
	      struct dynfs_attr *ret);
int view_create(void *ctx, uint64_t parent, const char *name, uint32_t mode,
		uint32_t flags, const struct dynfs_caller *who,
		struct dynfs_attr *ret, struct dynfs_file **ret_file);
int view_open(void *ctx, uint64_t ino, uint32_t flags, struct dynfs_file **ret);
void view_release(void *ctx, struct dynfs_file *file);
void view_flush(void *ctx, struct dynfs_file *file,
		const struct dynfs_call *call);
void view_fsync(void *ctx, uint64_t ino, struct dynfs_file *file, int data_only,
		const struct dynfs_call *call);
int view_unlink(void *ctx, uint64_t parent, const char *name);
int view_rmdir(void *ctx, uint64_t parent, const char *name);
int view_rename(void *ctx, uint64_t parent, const char *name,
		uint64_t new_parent, const char *new_name, uint32_t flags,
		const struct dynfs_caller *who);
int view_readdir(void *ctx, uint64_t ino, uint64_t cursor, int plus,
		 int (*each)(void *each_ctx, const struct dynfs_dirent *entry),
		 void *each_ctx);
int view_statfs(void *ctx, struct dynfs_statfs *ret);
int view_setxattr(void *ctx, uint64_t ino, const char *name, const void *value,
		  size_t len, uint32_t flags, const struct dynfs_caller *who);
int view_getxattr(void *ctx, uint64_t ino, const char *name, void *value,
		  size_t len, size_t *ret_len);
int view_listxattr(void *ctx, uint64_t ino, char *list, size_t len,
		   const struct dynfs_caller *who, size_t *ret_len);
int view_removexattr(void *ctx, uint64_t ino, const char *name);

/* Ranges of content: range.c */
int view_seek(void *ctx, uint64_t ino, uint64_t off, uint32_t whence,
	      uint64_t *ret);
uint32_t view_writers(void *ctx, uint64_t ino);
int view_fallocate(void *ctx, uint64_t ino, uint32_t mode, uint64_t off,
		   uint64_t len, const struct dynfs_call *call);
int view_copy_range(void *ctx, uint64_t from, uint64_t from_off, uint64_t to,
		    uint64_t to_off, uint64_t len, uint64_t *ret_len);

void view_init(struct tree *t);
void view_done(struct tree *t);

/* ---- open files: open.c ----------------------------------------------- */

struct open_file;

struct open_file *open_alloc(uint32_t flags); /* NULL: no memory */
void open_free(struct open_file *f);          /* of one that was not entered */
/* Takes the get of the inode over. */
struct dynfs_file *open_enter(struct tree *t, struct open_file *f,
			      struct inode *in);
/* What a request is about. */
struct target {
	struct inode *in;
	struct open_file *file; /* through which it came; NULL: in was got */
};
#define UNFIT_NONE UINT32_MAX
/*
 * Of an open file, or by number (file NULL).  -EBADF: the file is of another
 * inode, or opened with access unfit, which is one of open(2) or UNFIT_NONE.
 */
int target_get(const struct tree *t, uint64_t ino, struct dynfs_file *file,
	       uint32_t unfit, struct target *ret);
void target_put(struct target *g); /* also of one that is all zero */
#define AUTOTARGET CLEANUP(target_put)

/* attr.c: set the length of a regular file; cut to 0 it wants settling */
int inode_cut(struct inode *in, uint64_t size);
/* A read of content, names or target happened. */
void inode_accessed(struct tree *t, struct inode *in);

#endif
