/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is agreed with the kernel, and the loop that serves it.
 *
 * One daemon owns the pool and everything that changes comes through this
 * mount, so the kernel may keep what it knows: attributes, names, names that
 * do not exist, content over an open, lists of folders, targets of links.
 * Its habit of dropping content when a modification time moves is switched
 * off for the same reason: the time moves because it wrote.
 *
 * The loop is libfuse's, with a device handle for each thread.  It has no way
 * to be stopped from another thread but by the end of the connection, which
 * is what mount.c brings about.
 */
#include "front.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define SESSION_BACKGROUND SLOW_MAX
#define SESSION_BACK_LEAST 8u
#define SESSION_THREADS    4u /* where the core wants no number */
#define SESSION_FLAG_BYTES 160u

static void session_want(struct fuse_conn_info *conn, unsigned int caps)
{
	conn->want |= caps & conn->capable;
}

/* Each is a buffer here: what is read ahead must fit where little memory is. */
static unsigned int session_background(const struct front *f)
{
	uint64_t n = f->env.max_dirty_bytes / FRONT_IO_BYTES;

	if (!n || n > SESSION_BACKGROUND)
		return SESSION_BACKGROUND;
	return n < SESSION_BACK_LEAST ? SESSION_BACK_LEAST : (unsigned int)n;
}

static void session_init(void *userdata, struct fuse_conn_info *conn)
{
	struct front *f = userdata;

	conn->max_read = FRONT_IO_BYTES;
	conn->max_write = FRONT_IO_BYTES;
	conn->max_background = session_background(f);
	conn->congestion_threshold = conn->max_background / 4 * 3;
	conn->time_gran = 1;

	/* truncation is a setattr of its own, never part of an open */
	conn->want &= ~(unsigned int)FUSE_CAP_ATOMIC_O_TRUNC;
	/* which tells too little: rights.c has a better one */
	conn->want &= ~(unsigned int)FUSE_CAP_HANDLE_KILLPRIV;
	if (conn->capable & FUSE_CAP_EXPLICIT_INVAL_DATA)
		conn->want &= ~(unsigned int)FUSE_CAP_AUTO_INVAL_DATA;
	/* who waits for a direct read sent so can not be killed */
	conn->want &= ~(unsigned int)FUSE_CAP_ASYNC_DIO;
	session_want(
	    conn, FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS |
		      FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO |
		      FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_EXPLICIT_INVAL_DATA);
	if (f->config.writeback)
		session_want(conn, FUSE_CAP_WRITEBACK_CACHE);
	/* with ACLs the umask may not count, so it is the pool that applies it */
	f->acl = f->config.acl && (conn->capable & FUSE_CAP_POSIX_ACL) &&
		 (conn->capable & FUSE_CAP_DONT_MASK);
	if (f->acl)
		session_want(conn, FUSE_CAP_POSIX_ACL | FUSE_CAP_DONT_MASK);
	f->no_opendir = conn->capable & FUSE_CAP_NO_OPENDIR_SUPPORT;
}

/* What is absent here the kernel does itself, as it does for ext4. */
const struct fuse_lowlevel_ops front_ops = {
	.init = session_init,
	.lookup = front_lookup,
	.forget = front_forget,
	.forget_multi = front_forget_multi,
	.getattr = front_getattr,
	.setattr = front_setattr,
	.readlink = front_readlink,
	.mknod = front_mknod,
	.mkdir = front_mkdir,
	.symlink = front_symlink,
	.unlink = front_unlink,
	.rmdir = front_rmdir,
	.rename = front_rename,
	.link = front_link,
	.open = front_open,
	.create = front_create,
	.release = front_release,
	.flush = front_flush,
	.read = front_read,
	.write = front_write,
	.fsync = front_fsync,
	.opendir = front_opendir,
	.readdir = front_readdir,
	.readdirplus = front_readdirplus,
	.fsyncdir = front_fsyncdir,
	.statfs = front_statfs,
	.setxattr = front_setxattr,
	.getxattr = front_getxattr,
	.listxattr = front_listxattr,
	.removexattr = front_removexattr,
	.ioctl = front_ioctl,
	.lseek = front_lseek,
	.fallocate = front_fallocate,
	.copy_file_range = front_copy_file_range,
};

/* libfuse writes to stderr else; what matters is said by mount.c */
static void session_quiet(enum fuse_log_level level, const char *fmt,
			  va_list ap)
{
	(void)level, (void)fmt, (void)ap;
}

/* The source as a mount option: a comma would end it. */
static void session_fsname(const char *name, char *ret, size_t room)
{
	size_t at = (size_t)snprintf(ret, room, "fsname=");

	for (; *name && at + 3 < room; name++) {
		if (*name == ',' || *name == '\\')
			ret[at++] = '\\';
		ret[at++] = *name;
	}
	ret[at] = '\0';
}

/* For fusermount3, where mount(2) is not ours to call. */
static void session_flags(unsigned long flags, char *ret, size_t room)
{
	static const struct {
		unsigned long flag;
		const char *set, *clear;
	} words[] = {
		{ MS_RDONLY, ",ro", "" },        { MS_NOSUID, "", ",suid" },
		{ MS_NODEV, "", ",dev" },        { MS_NOEXEC, ",noexec", "" },
		{ MS_SYNCHRONOUS, ",sync", "" }, { MS_NOATIME, ",noatime", "" },
	};
	size_t at = 0;

	*ret = '\0';
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		int n = snprintf(ret + at, room - at, "%s",
				 flags & words[i].flag ? words[i].set
						       : words[i].clear);

		at += (size_t)n < room - at ? (size_t)n : 0;
	}
}

int front_session_new(struct front *f)
{
	char limits[64 + SESSION_FLAG_BYTES], flags[SESSION_FLAG_BYTES];
	char fsname[2 * PATH_MAX];
	char program[] = "dynfs", o[] = "-o", subtype[] = "subtype=dynfs";
	char common[] = "default_permissions,allow_other";
	char *argv[] = { program, o,      fsname, o,      subtype,
			 o,       common, o,      limits, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(9, argv);

	fuse_set_log_func(session_quiet);
	session_fsname(f->source, fsname, sizeof(fsname));
	session_flags(f->mount_flags, flags, sizeof(flags));
	(void)snprintf(limits, sizeof(limits), "max_read=%u%s", FRONT_IO_BYTES,
		       flags);
	f->session = fuse_session_new(&args, &front_ops, sizeof(front_ops), f);
	fuse_opt_free_args(&args);
	return f->session ? 0
			  : f->host->fail(f->host, -ENOMEM,
					  "no FUSE session can be made");
}

static unsigned int session_threads(const struct front *f)
{
	if (f->config.threads)
		return (unsigned int)f->config.threads;
	return f->env.threads ? f->env.threads : SESSION_THREADS;
}

static void *session_loop(void *arg)
{
	struct front *f = arg;
	int err = fuse_session_loop_mt(f->session, f->loop_config);
	bool tell;

	/* nobody reads requests any more: they must not wait for ever */
	if (err)
		front_abort(f);
	pthread_mutex_lock(&f->lock);
	f->ended = true;
	tell = !f->closing;
	pthread_cond_broadcast(&f->idle);
	pthread_mutex_unlock(&f->lock);
	if (tell && f->env.ended)
		f->env.ended(f->env.ctx, err < 0 ? err : 0);
	return NULL;
}

int front_loop_start(struct front *f)
{
	sigset_t all, before;
	int err;

	f->threads = session_threads(f);
	f->loop_config = fuse_loop_cfg_create();
	if (!f->loop_config)
		return -ENOMEM;
	fuse_loop_cfg_set_clone_fd(f->loop_config, 1);
	/* those that wait inside the view come on top, for as long as they do */
	fuse_loop_cfg_set_max_threads(f->loop_config, f->threads + SLOW_MAX);
	/* and are not ended and started again for each crowd */
	fuse_loop_cfg_set_idle_threads(f->loop_config, f->threads * 2);

	/* signals are the program's, so its threads take them */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	err = -front_gaveup_start(f);
	if (!err)
		err = -front_seeker_start(f);
	if (!err)
		err = pthread_create(&f->loop, NULL, session_loop, f);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err)
		return f->host->fail(f->host, -err, "no thread can be started");
	f->loop_started = true;
	return 0;
}
