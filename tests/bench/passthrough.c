/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ceiling that FUSE sets: a file system that hands every request to the
 * folder below it and does nothing else, mounted as the frontend fuse mounts a
 * pool: the same options, capabilities, time-outs, request sizes, threads,
 * cloned devices and read-ahead, and the same requests left to the kernel. What
 * dynfs loses against it is dynfs's own.  Only of set-user-ID the kernel asks
 * it by itself, by a getxattr before each write; the frontend spares that.
 * Content goes through a buffer of the thread: splice() was measured and costs
 * the daemon twice the processor time for reads of 1 MiB, and the same for
 * writes (Linux 6.18, tmpfs below).
 *
 *	bench_passthrough FOLDER MOUNTPOINT
 *
 * Stays in the foreground, says "ready" once it serves, and leaves at SIGTERM
 * or at an unmount.
 */
#include "passthrough.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define IO_BYTES      (1u << 20)
#define BACKGROUND    64u
#define CONGESTED     48u
#define READ_AHEAD_KB 4096u
#define LIST_BYTES    65536u
#define LIST_ENTRY    128u /* bytes at least, with attributes */

static bool no_opendir;

static void pass_init(void *userdata, struct fuse_conn_info *conn)
{
	unsigned int caps = FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS |
			    FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO |
			    FUSE_CAP_CACHE_SYMLINKS |
			    FUSE_CAP_EXPLICIT_INVAL_DATA | FUSE_CAP_POSIX_ACL |
			    FUSE_CAP_DONT_MASK;

	(void)userdata; /* none was given */
	conn->max_read = IO_BYTES;
	conn->max_write = IO_BYTES;
	conn->max_background = BACKGROUND;
	conn->congestion_threshold = CONGESTED;
	conn->time_gran = 1;
	conn->want &=
	    ~(unsigned int)(FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_HANDLE_KILLPRIV |
			    FUSE_CAP_SPLICE_READ | FUSE_CAP_ASYNC_DIO);
	if (conn->capable & FUSE_CAP_EXPLICIT_INVAL_DATA)
		conn->want &= ~(unsigned int)FUSE_CAP_AUTO_INVAL_DATA;
	conn->want |= caps & conn->capable;
	no_opendir = conn->capable & FUSE_CAP_NO_OPENDIR_SUPPORT;
}

/* ---- content ----------------------------------------------------------- */

/* Where to append, the kernel says; whether past its cache is its matter. */
static int below(int flags)
{
	return flags & ~(O_APPEND | O_DIRECT);
}

static void pass_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	int fd = pass_reopen(ino, below(fi->flags));

	if (fd < 0) {
		(void)fuse_reply_err(req, -fd); /* the caller may have gone */
		return;
	}
	fi->fh = (uint64_t)fd;
	fi->keep_cache = 1;
	if (fuse_reply_open(req, fi) == -ENOENT)
		(void)close(fd); /* nothing was written */
}

static void pass_create(fuse_req_t req, fuse_ino_t parent, const char *name,
			mode_t mode, struct fuse_file_info *fi)
{
	struct fuse_entry_param e;
	int fd = openat(pass_fd(parent), name,
			below(fi->flags) | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
			pass_mode(req, mode));
	int err = fd < 0 ? -errno : pass_give(req, parent, name);

	if (!err)
		err = pass_find(parent, name, &e);
	if (err) {
		if (fd >= 0)
			(void)close(fd);         /* nothing was written */
		(void)fuse_reply_err(req, -err); /* it may have gone */
		return;
	}
	fi->fh = (uint64_t)fd;
	fi->keep_cache = 1;
	if (fuse_reply_create(req, &e, fi) == -ENOENT) {
		(void)close(fd); /* nothing was written */
		pass_drop(e.ino, 1);
	}
}

static void pass_release(fuse_req_t req, fuse_ino_t ino,
			 struct fuse_file_info *fi)
{
	(void)ino;
	(void)close((int)fi->fh); /* flush has told of errors */
	(void)fuse_reply_err(req, 0);
}

static void pass_flush(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	(void)ino;
	(void)fuse_reply_err(req, close(dup((int)fi->fh)) < 0 ? errno : 0);
}

static void pass_read(fuse_req_t req, fuse_ino_t ino, size_t len, off_t off,
		      struct fuse_file_info *fi)
{
	static _Thread_local char bytes[IO_BYTES];
	ssize_t n;

	(void)ino;
	if (len > sizeof(bytes))
		len = sizeof(bytes);
	n = pread((int)fi->fh, bytes, len, off);
	if (n < 0)
		(void)fuse_reply_err(req, errno); /* it may have gone */
	else
		(void)fuse_reply_buf(req, bytes, (size_t)n);
}

static void pass_write(fuse_req_t req, fuse_ino_t ino, const char *bytes,
		       size_t len, off_t off, struct fuse_file_info *fi)
{
	ssize_t n = pwrite((int)fi->fh, bytes, len, off);

	(void)ino;
	if (n < 0)
		(void)fuse_reply_err(req, errno); /* it may have gone */
	else
		(void)fuse_reply_write(req, (size_t)n);
}

static void pass_fsync(fuse_req_t req, fuse_ino_t ino, int data_only,
		       struct fuse_file_info *fi)
{
	int fd = (int)fi->fh;

	(void)ino;
	(void)fuse_reply_err(
	    req, (data_only ? fdatasync(fd) : fsync(fd)) < 0 ? errno : 0);
}

/* ---- folders ----------------------------------------------------------- */

static void pass_opendir(fuse_req_t req, fuse_ino_t ino,
			 struct fuse_file_info *fi)
{
	(void)ino;
	if (no_opendir) {
		(void)fuse_reply_err(req, ENOSYS); /* it may have gone */
		return;
	}
	fi->cache_readdir = 1;
	fi->keep_cache = 1;
	(void)fuse_reply_open(req, fi); /* nothing to take back */
}

/* Folders are not open between requests: there is no opening to hang it on. */
static int open_folder(fuse_ino_t ino)
{
	return pass_reopen(ino, O_RDONLY | O_DIRECTORY);
}

static void pass_fsyncdir(fuse_req_t req, fuse_ino_t ino, int data_only,
			  struct fuse_file_info *fi)
{
	int fd = open_folder(ino), err = fd < 0 ? -fd : 0;

	(void)data_only, (void)fi;
	if (!err && fsync(fd) < 0)
		err = errno;
	if (fd >= 0)
		(void)close(fd); /* was opened for reading */
	(void)fuse_reply_err(req, err);
}

struct list {
	fuse_req_t req;
	fuse_ino_t ino;
	bool plus;
	size_t room, used;
	char out[LIST_BYTES];
	fuse_ino_t taken[LIST_BYTES / LIST_ENTRY];
	size_t n_taken;
};

/* false: there is no room for it */
static bool list_add(struct list *l, const struct dirent64 *d)
{
	struct fuse_entry_param e = {
		.attr = { .st_ino = d->d_ino, .st_mode = DTTOIF(d->d_type) }
	};
	bool dots = !strcmp(d->d_name, ".") || !strcmp(d->d_name, "..");
	char *to = l->out + l->used;
	size_t room = l->room - l->used, need;

	if (!l->plus) {
		need = fuse_add_direntry(l->req, to, room, d->d_name, &e.attr,
					 d->d_off);
	} else {
		/* gone since: without attributes it is looked up, and missed */
		if (!dots && pass_find(l->ino, d->d_name, &e) < 0)
			e.ino = 0;
		need = fuse_add_direntry_plus(l->req, to, room, d->d_name, &e,
					      d->d_off);
	}
	if (need <= room) {
		l->used += need;
		if (e.ino)
			l->taken[l->n_taken++] = e.ino;
		return true;
	}
	if (e.ino)
		pass_drop(e.ino, 1);
	return false;
}

static int list_fill(struct list *l, int fd, off_t off)
{
	char in[LIST_BYTES / 4];
	ssize_t n = 0;

	if (lseek(fd, off, SEEK_SET) < 0)
		return -errno;
	while ((n = getdents64(fd, in, sizeof(in))) > 0)
		for (ssize_t at = 0; at < n;) {
			struct dirent64 *d = (struct dirent64 *)(in + at);

			if (!list_add(l, d))
				return 0;
			at += d->d_reclen;
		}
	/* what came before the error is answered; the next call meets it */
	return n < 0 && !l->used ? -errno : 0;
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t len, off_t off,
		 bool plus)
{
	static _Thread_local struct list l;
	int fd = open_folder(ino), err = fd;

	l.req = req;
	l.ino = ino;
	l.plus = plus;
	l.room = len < LIST_BYTES ? len : LIST_BYTES;
	l.used = l.n_taken = 0;
	if (fd >= 0) {
		err = list_fill(&l, fd, off);
		(void)close(fd); /* was opened for reading */
	}
	if (err < 0)
		(void)fuse_reply_err(req, -err); /* it may have gone */
	else if (fuse_reply_buf(req, l.out, l.used) == -ENOENT)
		for (size_t i = 0; i < l.n_taken; i++)
			pass_drop(l.taken[i], 1);
}

static void pass_readdir(fuse_req_t req, fuse_ino_t ino, size_t len, off_t off,
			 struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, len, off, false);
}

static void pass_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t len,
			     off_t off, struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, len, off, true);
}

static void pass_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st;

	if (fstatvfs(pass_fd(ino), &st) < 0)
		(void)fuse_reply_err(req, errno); /* it may have gone */
	else
		(void)fuse_reply_statfs(req, &st);
}

/* ---- the session ------------------------------------------------------- */

static const struct fuse_lowlevel_ops pass_ops = {
	.init = pass_init,
	.lookup = pass_lookup,
	.forget = pass_forget,
	.forget_multi = pass_forget_multi,
	.getattr = pass_getattr,
	.setattr = pass_setattr,
	.readlink = pass_readlink,
	.mknod = pass_mknod,
	.mkdir = pass_mkdir,
	.symlink = pass_symlink,
	.unlink = pass_unlink,
	.rmdir = pass_rmdir,
	.rename = pass_rename,
	.link = pass_link,
	.open = pass_open,
	.create = pass_create,
	.release = pass_release,
	.flush = pass_flush,
	.read = pass_read,
	.write = pass_write,
	.fsync = pass_fsync,
	.opendir = pass_opendir,
	.readdir = pass_readdir,
	.readdirplus = pass_readdirplus,
	.fsyncdir = pass_fsyncdir,
	.statfs = pass_statfs,
	.setxattr = pass_setxattr,
	.getxattr = pass_getxattr,
	.listxattr = pass_listxattr,
	.removexattr = pass_removexattr,
};

/* Read-ahead is set through sysfs, once the mount answers. */
static void *raise_read_ahead(void *arg)
{
	const char *mountpoint = arg;
	char path[64];
	struct stat st;
	FILE *f;
	int bad = 1;

	if (stat(mountpoint, &st) < 0)
		return NULL; /* nobody is told that it is ready */
	(void)snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb",
		       major(st.st_dev), minor(st.st_dev));
	f = fopen(path, "we");
	if (f) {
		bad = fprintf(f, "%u", READ_AHEAD_KB) < 0;
		bad |= fclose(f) != 0;
	}
	(void)fprintf(bad ? stderr : stdout,
		      bad ? "no read-ahead\n" : "ready\n");
	(void)fflush(stdout);
	return NULL;
}

static int serve(struct fuse_session *s, char *mountpoint)
{
	struct fuse_loop_config *loop = fuse_loop_cfg_create();
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned int threads = cores > 2 ? (unsigned int)cores * 2 : 4;
	sigset_t all, before;
	pthread_t tuner;
	int err;

	if (!loop)
		return -ENOMEM;
	fuse_loop_cfg_set_clone_fd(loop, 1);
	fuse_loop_cfg_set_max_threads(loop, threads);
	fuse_loop_cfg_set_idle_threads(loop, threads);
	/* signals are for the loop */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&tuner, NULL, raise_read_ahead, mountpoint);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!err) {
		err = fuse_session_loop_mt(s, loop);
		(void)pthread_join(tuner, NULL);
	}
	fuse_loop_cfg_destroy(loop);
	return err;
}

static int run(char *mountpoint)
{
	char program[] = "passthrough", o[] = "-o";
	char options[] = "fsname=passthrough,subtype=passthrough,suid,dev,"
			 "default_permissions,allow_other,max_read=1048576";
	char *argv[] = { program, o, options, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(3, argv);
	struct fuse_session *s;
	int err = -1;

	s = fuse_session_new(&args, &pass_ops, sizeof(pass_ops), NULL);
	fuse_opt_free_args(&args);
	if (!s)
		return -1;
	if (!fuse_set_signal_handlers(s)) {
		if (!fuse_session_mount(s, mountpoint)) {
			err = serve(s, mountpoint);
			fuse_session_unmount(s);
		}
		fuse_remove_signal_handlers(s);
	}
	fuse_session_destroy(s);
	return err;
}

int main(int argc, char **argv)
{
	struct rlimit files = { 1u << 20, 1u << 20 };
	int err;

	if (argc != 3) {
		(void)fprintf(stderr,
			      "usage: bench_passthrough FOLDER MOUNTPOINT\n");
		return 2;
	}
	err = pass_root(argv[1]);
	if (err) {
		(void)fprintf(stderr, "bench_passthrough: %s: %s\n", argv[1],
			      strerror(-err));
		return 1;
	}
	/* a handle for each inode that the kernel knows */
	if (setrlimit(RLIMIT_NOFILE, &files) < 0 &&
	    !getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files); /* may be as it is */
	}
	(void)umask(0);          /* the kernel has applied the caller's */
	return run(argv[2]) < 0; /* above: the signal that ended it */
}
