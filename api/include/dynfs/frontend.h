/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frontends: ways in.  See dynfs-frontend(3).
 *
 * A frontend gets a view: the table of what it may do with the running
 * pool.  Inodes are numbers; 1 is the root.  All names are borrowed for the
 * call.  All functions may be called from any thread.  Permission bits are
 * the kernel's business (default_permissions); the view acts as root.
 *
 * Reads, writes, fsyncs and flushes answer through a callback from any thread,
 * at the latest when the pool closes and possibly before the call returns, and
 * may wait for disks; the rest answer at once.  Results are 0 or a negative
 * errno.
 */
#ifndef DYNFS_FRONTEND_H
#define DYNFS_FRONTEND_H

#include <dynfs/plugin.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DYNFS_ROOT_INO 1u
#define DYNFS_NAME_MAX 255u /* bytes in one name */

struct dynfs_time {
	int64_t sec;
	uint32_t nsec;
	uint32_t reserved;
};

struct dynfs_attr {
	uint64_t ino;
	uint64_t generation; /* ino and generation together are never reused */
	uint64_t size_bytes;
	uint64_t stored_bytes; /* of content, before redundancy */
	uint32_t mode;         /* type and permission bits as in stat(2) */
	uint32_t nlink;
	uint32_t uid, gid;
	uint64_t rdev;
	struct dynfs_time atime, mtime, ctime, btime;
	uint32_t
	    unsettled; /* stored_bytes is a guess: ask again, keep it not */
};

/* Who asks: new objects belong to them.  uid 0 is root and may do anything. */
struct dynfs_caller {
	uint32_t uid, gid;
	uint32_t pid;
	uint32_t umask;
	/*
	 * Is the caller in that group by a supplementary one?  Asked only where
	 * it decides, for the answer costs.  NULL: gid is all there is.
	 */
	int (*in_group)(const struct dynfs_caller *who, uint32_t gid);
};

/* bits of setattr() */
#define DYNFS_SET_MODE      (1u << 0)
#define DYNFS_SET_UID       (1u << 1)
#define DYNFS_SET_GID       (1u << 2)
#define DYNFS_SET_SIZE      (1u << 3)
#define DYNFS_SET_ATIME     (1u << 4)
#define DYNFS_SET_MTIME     (1u << 5)
#define DYNFS_SET_ATIME_NOW (1u << 6)
#define DYNFS_SET_MTIME_NOW (1u << 7)
#define DYNFS_SET_CTIME     (1u << 8)

/* flags of rename() and setxattr(): as the system calls have them */
#define DYNFS_RENAME_NOREPLACE 1u
#define DYNFS_RENAME_EXCHANGE  2u
#define DYNFS_RENAME_WHITEOUT  4u
#define DYNFS_XATTR_CREATE     1u
#define DYNFS_XATTR_REPLACE    2u

struct dynfs_statfs {
	size_t size;
	uint64_t total_bytes, free_bytes, avail_bytes; /* of user data */
	uint64_t files, files_free;
	uint32_t block_bytes;
	uint32_t name_max;
};

struct dynfs_dirent {
	const char *name;
	size_t name_len;
	uint64_t ino;
	uint64_t cookie;   /* where to go on after this entry */
	uint32_t type;     /* S_IFMT bits of the mode */
	uint32_t has_attr; /* attr is filled (readdirplus) */
	struct dynfs_attr attr;
};

/*
 * An open file, from open() or create() to release(); the core's, which knows
 * more of it.  What is done through it needs no lookup, and each open file
 * hears of lost bytes once (see fsync).
 */
struct dynfs_file {
	size_t size;
	uint64_t ino;
	uint32_t flags; /* as it was opened */
	uint32_t reserved;
};

/* An answer to read(): the bytes, borrowed for the call of done(). */
typedef void (*dynfs_read_done)(void *ctx, int err, const struct iovec *iov,
				uint32_t n_iov);

/* Who waits for what may take long.  Borrowed until done(). */
struct dynfs_call {
	size_t size;
	void *ctx; /* first argument of both */
	/*
	 * The answer, once.  Returns 0 when it reached whoever asked; else
	 * nobody was there any more, and a loss counts as not told.
	 */
	int (*done)(void *ctx, int err);
	/*
	 * Optional: not 0 when nobody waits any more.  Asked now and then by a
	 * call that waits; it ends with -EINTR if nothing of it was done yet.
	 */
	int (*gone)(void *ctx);
};

struct dynfs_fs_view {
	size_t size;
	void *ctx; /* the core's: first argument of every function */

	/*
	 * Everything that returns an attr for a name takes one lookup
	 * reference on its inode; forget() gives n of them back.
	 */
	int (*lookup)(void *ctx, uint64_t parent, const char *name,
		      struct dynfs_attr *ret);
	void (*forget)(void *ctx, uint64_t ino, uint64_t n);
	int (*getattr)(void *ctx, uint64_t ino, struct dynfs_attr *ret);
	int (*setattr)(void *ctx, uint64_t ino, uint32_t mask,
		       const struct dynfs_attr *in, struct dynfs_attr *ret);
	/* Up to len bytes, no end mark; ret_len: the whole target's length. */
	int (*readlink)(void *ctx, uint64_t ino, char *buf, size_t len,
			size_t *ret_len);
	int (*mknod)(void *ctx, uint64_t parent, const char *name,
		     uint32_t mode, uint64_t rdev,
		     const struct dynfs_caller *who, struct dynfs_attr *ret);
	int (*mkdir)(void *ctx, uint64_t parent, const char *name,
		     uint32_t mode, const struct dynfs_caller *who,
		     struct dynfs_attr *ret);
	int (*symlink)(void *ctx, uint64_t parent, const char *name,
		       const char *target, const struct dynfs_caller *who,
		       struct dynfs_attr *ret);
	int (*link)(void *ctx, uint64_t ino, uint64_t parent, const char *name,
		    struct dynfs_attr *ret);
	int (*unlink)(void *ctx, uint64_t parent, const char *name);
	int (*rmdir)(void *ctx, uint64_t parent, const char *name);
	/* who: for the whiteout that stays where the name was, else NULL */
	int (*rename)(void *ctx, uint64_t parent, const char *name,
		      uint64_t new_parent, const char *new_name, uint32_t flags,
		      const struct dynfs_caller *who);

	/*
	 * open flags as in open(2); each success is matched by one release(),
	 * when all calls that name the file have been answered by done().
	 * create makes and opens; it takes a lookup reference too.
	 */
	int (*open)(void *ctx, uint64_t ino, uint32_t flags,
		    struct dynfs_file **ret);
	int (*create)(void *ctx, uint64_t parent, const char *name,
		      uint32_t mode, uint32_t flags,
		      const struct dynfs_caller *who, struct dynfs_attr *ret,
		      struct dynfs_file **ret_file);
	void (*release)(void *ctx, struct dynfs_file *file);
	/* For close(2): answers at once, but after a cut to nothing. */
	void (*flush)(void *ctx, struct dynfs_file *file,
		      const struct dynfs_call *call);

	/*
	 * Through an open file of ino, or with file NULL.  -EBADF: the file is
	 * of another inode, or not open for that.
	 */
	/* Short only at the end of the file. */
	void (*read)(void *ctx, uint64_t ino, struct dynfs_file *file,
		     uint64_t off, size_t len, dynfs_read_done done,
		     void *done_ctx);
	/*
	 * All of iov or an error; iov is borrowed until done().  flags: those
	 * of open(2) that hold for this write; O_APPEND: off is ignored.
	 */
	void (*write)(void *ctx, uint64_t ino, struct dynfs_file *file,
		      uint64_t off, const struct iovec *iov, uint32_t n_iov,
		      uint32_t flags, const struct dynfs_call *call);
	/*
	 * Bytes that could not be stored are an error of fsync and flush: while
	 * they are tried again, for whoever asks; when they are lost, once for
	 * each file that was open, and for the next to be opened if it was told
	 * to nobody.  Without a file: as if it had been opened for the call.
	 */
	void (*fsync)(void *ctx, uint64_t ino, struct dynfs_file *file,
		      int data_only, const struct dynfs_call *call);

	/*
	 * Entries with a cookie above cursor (0: from the start), "." and ".."
	 * first, until each() returns non-zero.  With plus every entry but
	 * those two has its attr, and takes a lookup reference if each()
	 * returned 0 for it.
	 */
	int (*readdir)(void *ctx, uint64_t ino, uint64_t cursor, int plus,
		       int (*each)(void *each_ctx,
				   const struct dynfs_dirent *entry),
		       void *each_ctx);

	int (*statfs)(void *ctx, struct dynfs_statfs *ret);

	/*
	 * An access ACL changes the mode, a mode the ACL, and new objects take
	 * the default ACL of their directory in place of the umask.  Names
	 * below user.dynfs. are the pool's own; see dynfs-frontend(3).
	 */
	int (*setxattr)(void *ctx, uint64_t ino, const char *name,
			const void *value, size_t len, uint32_t flags,
			const struct dynfs_caller *who);
	/* -ERANGE when len is not 0 and too short; ret_len: the length. */
	int (*getxattr)(void *ctx, uint64_t ino, const char *name, void *value,
			size_t len, size_t *ret_len);
	/* trusted. is listed for root only */
	int (*listxattr)(void *ctx, uint64_t ino, char *list, size_t len,
			 const struct dynfs_caller *who, size_t *ret_len);
	int (*removexattr)(void *ctx, uint64_t ino, const char *name);

	/*
	 * whence: SEEK_DATA or SEEK_HOLE of lseek(2).  The view answers from
	 * what it was given: a frontend that keeps dirty pages of its own
	 * writes back those in a hole before it believes in it.
	 */
	int (*seek)(void *ctx, uint64_t ino, uint64_t off, uint32_t whence,
		    uint64_t *ret);
	/* How often it is open for writing. */
	uint32_t (*writers)(void *ctx, uint64_t ino);
	/*
	 * mode as in fallocate(2); -EOPNOTSUPP: none that the pool has.  A
	 * large range goes in steps, of which an error leaves those that were
	 * done.  Of call (or NULL) gone() is asked between them: then it ends
	 * with -EINTR.
	 */
	int (*fallocate)(void *ctx, uint64_t ino, uint32_t mode, uint64_t off,
			 uint64_t len, const struct dynfs_call *call);
	/*
	 * From one file to another or within one, sharing what can be shared.
	 * ret_len: how many bytes; fewer at the end of the source, or when
	 * the caller should ask for the rest.  -EINVAL: the ranges overlap.
	 */
	int (*copy_range)(void *ctx, uint64_t from, uint64_t from_off,
			  uint64_t to, uint64_t to_off, uint64_t len,
			  uint64_t *ret_len);
};

/* What a frontend is given when it opens. */
struct dynfs_frontend_env {
	size_t size;
	const struct dynfs_fs_view *fs; /* valid until close() returns */
	const char *pool_name;
	const char *mountpoint;   /* NULL: none wanted */
	uint64_t max_dirty_bytes; /* what the kernel may hold unwritten */
	uint32_t threads;         /* workers wanted; 0: the plugin decides */
	uint32_t readonly;
	/* Tell the core that requests are being served, or that it is over. */
	void (*ready)(void *ctx);
	void (*ended)(void *ctx, int err);
	void *ctx;
	/* For the list of mounts; NULL: pool_name. */
	const char *mount_source;
	/*
	 * What mount(2) is to be told besides, as the system has it (MS_NOEXEC
	 * and the like); an option of the plugin that forbids the same wins.
	 */
	uint64_t mount_flags;
};

struct dynfs_frontend_ops {
	size_t size;
	uint64_t caps; /* none yet */

	/* Get in place (mount); a message says what is in the way. */
	int (*open)(void *self, const struct dynfs_frontend_env *env);
	/*
	 * Serve on threads of its own, from start() of serving to the end: the
	 * call returns once serving has begun, env->ended() says when it
	 * ended by itself (unmounted from outside).
	 */
	int (*serve)(void *self);
	/*
	 * Leave: unmount, finish what is in flight, join the threads.  What is
	 * still open or referenced then counts as given back.  Not from inside
	 * ended().
	 */
	void (*close)(void *self);

	/*
	 * Attributes and content of len bytes (0: all) from off on changed
	 * behind the frontend's back, for example because bytes were lost: then
	 * a file is what it was before they were written.  off UINT64_MAX:
	 * attributes only.  Called by a thread that holds no lock and that no
	 * call of the view waits for, between serve() and close().  Optional.
	 */
	void (*changed)(void *self, uint64_t ino, uint64_t off, uint64_t len);
};

#ifdef __cplusplus
}
#endif

#endif
