/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this plugin share.  The prefix is front_, since fuse_ is
 * libfuse's own.
 *
 *	fuse.c       the description, the life of an instance
 *	session.c    what is agreed with the kernel, the loop
 *	names.c      requests about names and attributes
 *	content.c    requests about content
 *	ranges.c     requests about ranges of content, data and holes
 *	list.c       lists of names
 *	slow.c       requests that may take long
 *	gaveup.c     who does not wait for them any more
 *	rights.c     what a change of content takes away
 *	reply.c      attributes in the kernel's form
 *	groups.c     who belongs to which group
 *	mount.c      mounting, unmounting, read-ahead
 *	mountinfo.c  what is mounted where
 */
#ifndef FRONT_H
#define FRONT_H

#include <dynfs/frontend.h>

#include <fuse_lowlevel.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/queue.h>

#define FRONT_TYPE     "fuse.dynfs"
#define FRONT_IO_BYTES (1u << 20) /* largest read or write of the kernel */
#define SLOW_MAX       64u        /* see slow.c; front_ops' background too */

struct front_config {
	int64_t threads;
	int64_t attr_timeout, entry_timeout, negative_timeout;
	int64_t unmount_wait;
	uint64_t read_ahead;
	int32_t writeback, acl, suid, dev, exec;
};

struct front_slow;
TAILQ_HEAD(front_slow_list, front_slow);

struct front {
	const struct dynfs_host *host;
	struct front_config config;

	/* from open() to close() */
	struct dynfs_frontend_env env;
	const struct dynfs_fs_view *fs;
	const char *source;        /* as the list of mounts shows it */
	unsigned long mount_flags; /* of mount(2) */
	char *mountpoint;          /* canonical; NULL: not open */
	struct fuse_session *session;
	unsigned int major, minor; /* device number of the mount */
	/* set by init, before any request */
	bool no_opendir;
	bool acl;             /* the kernel heeds ACLs */
	bool rights;          /* it leaves rights to us; see rights.c */
	uint64_t init_unique; /* number of the request that began it */

	struct fuse_loop_config *loop_config;
	pthread_t loop;
	bool loop_started;
	unsigned int threads; /* in the loop, beside those that wait */

	pthread_t seeker; /* ranges.c's */
	bool seeker_started;

	atomic_size_t copied_bytes; /* of writes that stand in line */

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t idle;  /* n_pending became 0, or the loop ended */
	unsigned long n_pending;
	bool closing, ended;
	unsigned int n_slow;         /* of slow.c, inside the view */
	struct front_slow_list line; /* those that wait for that */
	struct front_slow_list gone; /* answered, and inside the view */

	pthread_t watcher; /* of gaveup.c */
	bool watching;
	pthread_cond_t watch; /* somebody was interrupted, or it ends */
	bool watch_ends;
	unsigned int look;
	struct front_slow_list interrupted; /* those not looked at in front */
	struct front_seek *seeks, **seeks_end; /* wait for the seeker */
	pthread_cond_t seek;                   /* there is one, or no more */
	bool seeker_stops;
};

static inline struct front *front_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/*
 * Around what the view answers later: the session must outlive the reply.
 * The request may not be touched after front_unpin().
 */
void front_pin(struct front *f);
void front_unpin(struct front *f);

/* slow.c */
enum front_slow_state {
	FRONT_NEW,
	FRONT_WAITS, /* in line */
	FRONT_RUNS,  /* inside the view, or waits for its answer */
	FRONT_GONE,  /* was answered EINTR, may run still */
	FRONT_OVER,  /* is being answered */
};

struct front_slow {
	struct front *front;
	fuse_req_t req;     /* good until it was answered */
	pid_t pid;          /* the thread that waits */
	bool may_end_alone; /* may go on when its asker was answered EINTR */
	/* Calls the view; front_slow_over() is due after. */
	void (*begin)(struct front_slow *s);

	/* under front's lock */
	enum front_slow_state state;
	TAILQ_ENTRY(front_slow) link;    /* of the line */
	TAILQ_ENTRY(front_slow) watched; /* of the interrupted, or the gone */
	bool interrupted;                /* is among them */
	bool releases;                   /* gives the file back in the end */
	bool held, unwanted;             /* by the watcher; it is to free it */
	unsigned int look;               /* of the watcher, the last at it */

	struct dynfs_call call;
	fuse_ino_t ino;
	struct dynfs_file *file;
	uint64_t off;
	size_t len;
	uint32_t flags; /* of a write */
	int data_only;  /* of a sync */
	size_t copied;  /* bytes that follow, of a write */
	struct iovec iov;
	uint8_t bytes[];
};

/* With room for so many bytes; NULL: no memory. */
struct front_slow *front_slow_new(fuse_req_t req, fuse_ino_t ino,
				  struct dynfs_file *file, size_t room);
/* Takes it over: begins it, and others that stand in line, or puts it there. */
void front_slow_run(struct front_slow *s);
/* When nobody asks through it any more. */
void front_slow_release(struct front *f, struct dynfs_file *file);
/* True: the request is to be answered; false: it was.  Then free it. */
bool front_slow_over(struct front_slow *s, fuse_req_t *ret);
void front_slow_free(struct front_slow *s);
/* For its call, if it may not end alone: the request is good until then. */
int front_slow_gone(void *ctx);
/* May one more be inside the view, now?  It is, until it leaves. */
bool front_slow_room(struct front *f);
void front_slow_leave(struct front *f);
/*
 * The lock is held: its asker has given up.  True: the caller answers it, and
 * frees it if it is unwanted then.
 */
bool front_slow_may_end(struct front_slow *s);

/* gaveup.c */
/* Of a thread of which the kernel says that it was interrupted. */
bool front_gave_up(pid_t thread);
int front_gaveup_start(struct front *f);
void front_gaveup_stop(struct front *f);

/* session.c */
extern const struct fuse_lowlevel_ops front_ops;
int front_session_new(struct front *f);
int front_loop_start(struct front *f);

/* names.c */
void front_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void front_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n);
void front_forget_multi(fuse_req_t req, size_t n, struct fuse_forget_data *v);
void front_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void front_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set,
		   struct fuse_file_info *fi);
void front_readlink(fuse_req_t req, fuse_ino_t ino);
void front_mknod(fuse_req_t req, fuse_ino_t parent, const char *name,
		 mode_t mode, dev_t rdev);
void front_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name,
		 mode_t mode);
void front_symlink(fuse_req_t req, const char *target, fuse_ino_t parent,
		   const char *name);
void front_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void front_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void front_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
		  fuse_ino_t new_parent, const char *new_name,
		  unsigned int flags);
void front_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent,
		const char *name);
void front_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
		    const char *value, size_t len, int flags);
void front_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
		    size_t len);
void front_listxattr(fuse_req_t req, fuse_ino_t ino, size_t len);
void front_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);

/* content.c */
void front_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void front_create(fuse_req_t req, fuse_ino_t parent, const char *name,
		  mode_t mode, struct fuse_file_info *fi);
void front_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void front_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void front_read(fuse_req_t req, fuse_ino_t ino, size_t len, off_t off,
		struct fuse_file_info *fi);
void front_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t len,
		 off_t off, struct fuse_file_info *fi);
void front_fsync(fuse_req_t req, fuse_ino_t ino, int data_only,
		 struct fuse_file_info *fi);
void front_fsyncdir(fuse_req_t req, fuse_ino_t ino, int data_only,
		    struct fuse_file_info *fi);
void front_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void front_readdir(fuse_req_t req, fuse_ino_t ino, size_t len, off_t off,
		   struct fuse_file_info *fi);
void front_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t len, off_t off,
		       struct fuse_file_info *fi);
void front_statfs(fuse_req_t req, fuse_ino_t ino);
void front_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int cmd, void *arg,
		 struct fuse_file_info *fi, unsigned int flags,
		 const void *in_buf, size_t in_len, size_t out_len);

/* ranges.c */
void front_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
		 struct fuse_file_info *fi);
void front_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off,
		     off_t len, struct fuse_file_info *fi);
void front_copy_file_range(fuse_req_t req, fuse_ino_t from, off_t from_off,
			   struct fuse_file_info *fi, fuse_ino_t to,
			   off_t to_off, struct fuse_file_info *to_fi,
			   size_t len, int flags);
int front_seeker_start(struct front *f);
/* No request comes any more; those that wait are answered. */
void front_seeker_stop(struct front *f);

/* rights.c: 0 or a negative errno */
/* The session has its device, and reads nothing yet. */
void front_rights_attach(struct front *f);
/* What a setattr of in->ino takes, too: changes in->mode and the mask then. */
int front_rights_setattr(fuse_req_t req, struct dynfs_attr *in, int to_set,
			 uint32_t *mask);
/* Before a write; fi->flags are those of open(2) only after it. */
int front_rights_write(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi);
/* Before another change of content. */
int front_rights_range(fuse_req_t req, fuse_ino_t ino);

/* reply.c: errors are negative here, 0 is success */
void front_reply_err(fuse_req_t req, int err);
/* Not 0: nobody was there to take it. */
int front_answer_err(fuse_req_t req, int err);
void front_reply_entry(fuse_req_t req, int err, const struct dynfs_attr *a);
void front_reply_attr(fuse_req_t req, int err, const struct dynfs_attr *a);
void front_stat(const struct dynfs_attr *a, struct stat *ret);
void front_entry(const struct front *f, const struct dynfs_attr *a,
		 struct fuse_entry_param *ret);
struct dynfs_caller front_caller(fuse_req_t req);
/* 0, or -ENAMETOOLONG: the kernel lets longer names pass than a pool has. */
int front_name(const char *name);

/* groups.c: for struct dynfs_caller */
int front_in_group(const struct dynfs_caller *who, uint32_t gid);

/* mount.c */
int front_mount(struct front *f);
void front_unmount(struct front *f);
/* End the connection: every user of the mount gets an error from then on. */
void front_abort(const struct front *f);
/* Raise what the kernel sets low for FUSE; serving must have begun. */
void front_tune(struct front *f);

/* mountinfo.c */
struct front_mount_entry {
	unsigned int major, minor;
	char type[64];
	char source[256];
};
/* The topmost mount at path, which is canonical; -ENOENT: none. */
int front_mount_find(const char *path, struct front_mount_entry *ret);

#endif
