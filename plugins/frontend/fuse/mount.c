/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounting, unmounting, and what of the mount is set through sysfs.
 *
 * The mount is made here, with mount(2), so that a refusal can be explained;
 * libfuse is then given the open device.  Who may not mount is helped by
 * fusermount3, through libfuse.
 *
 * A file system whose daemon was killed stays mounted and answers every call
 * with ENOTCONN.  On the mount point of a new daemon it is in the way, and
 * nobody misses it: it is detached.  Whether it is dead is asked by statfs(),
 * for that is the one call that the kernel never answers from what it keeps.
 *
 * To leave, the mount is asked to go the ordinary way while it is still being
 * served.  If somebody stays in it, it is detached and its connection aborted
 * through fusectl: libfuse's loop ends when its connection does, and by
 * nothing else that another thread could do.  fusectl is mounted nowhere for
 * that, since not every system has it in its place.
 */
#include "front.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOUNT_DEVICE     "/dev/fuse"
#define MOUNT_STACK_MAX  16 /* dead mounts on one another */
#define MOUNT_RETRY_NS   50000000
#define MOUNT_NS_PER_SEC 1000000000u

static int mount_fusermount(const char *path, bool lazy)
{
	char program[] = "fusermount3", u[] = "-u", q[] = "-q", z[] = "-z";
	char dashes[] = "--", target[PATH_MAX];
	char *argv[] = { program, u, q, lazy ? z : q, dashes, target, NULL };
	int status = 0;
	pid_t pid;

	(void)snprintf(target, sizeof(target), "%s", path);
	if (posix_spawnp(&pid, program, NULL, NULL, argv, environ))
		return -EPERM;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -EBUSY;
}

static int mount_detach(const char *path, int how)
{
	if (!umount2(path, how | UMOUNT_NOFOLLOW))
		return 0;
	if (errno != EPERM)
		return -errno;
	return mount_fusermount(path, how & MNT_DETACH);
}

/* A mount point below which a dead mount lies cannot be resolved itself. */
static int mount_canonical(const char *path, char ret[PATH_MAX])
{
	char parent[PATH_MAX], *slash;
	size_t len;

	if (realpath(path, ret))
		return 0;
	if (errno != ENOTCONN && errno != ECONNABORTED)
		return -errno;
	len = (size_t)snprintf(parent, sizeof(parent), "%s", path);
	if (len >= sizeof(parent))
		return -ENAMETOOLONG;
	while (len > 1 && parent[len - 1] == '/')
		parent[--len] = '\0';
	slash = strrchr(parent, '/');
	if (slash)
		*slash = '\0';
	if (!realpath(!slash ? "." : slash == parent ? "/" : parent, ret))
		return -errno;
	len = strlen(ret);
	if (len == 1)
		len = 0;
	if ((size_t)snprintf(ret + len, PATH_MAX - len, "/%s",
			     slash ? slash + 1 : path) >= PATH_MAX - len)
		return -ENAMETOOLONG;
	return 0;
}

static bool mount_is_dead(const char *path)
{
	struct statfs s;

	return statfs(path, &s) && (errno == ENOTCONN || errno == ECONNABORTED);
}

/* Nothing of ours may lie on the mount point, alive or dead. */
static int mount_clear(const struct front *f, const char *path)
{
	struct front_mount_entry e;
	int err;

	for (int i = 0; i < MOUNT_STACK_MAX; i++) {
		err = front_mount_find(path, &e);
		if (err == -ENOENT || (!err && strcmp(e.type, FRONT_TYPE) != 0))
			return 0;
		if (err)
			return f->host->fail(f->host, err,
					     "cannot read the list of mounts");
		if (!mount_is_dead(path))
			return f->host->fail(
			    f->host, -EBUSY,
			    "pool '%s' is already mounted on %s", e.source,
			    path);
		err = mount_detach(path, MNT_DETACH);
		if (err)
			return f->host->fail(
			    f->host, err,
			    "the dead mount of pool '%s' on %s cannot be "
			    "detached",
			    e.source, path);
		f->host->log(f->host, DYNFS_WARN,
			     "detached a dead mount of pool '%s' from %s",
			     e.source, path);
	}
	return f->host->fail(f->host, -EBUSY, "too many dead mounts on %s",
			     path);
}

static bool mount_point_empty(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *d;
	bool empty = true;

	if (!dir)
		return true;
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is our own */
	while (empty && (d = readdir(dir)))
		empty = !strcmp(d->d_name, ".") || !strcmp(d->d_name, "..");
	(void)closedir(dir); /* was read only */
	return empty;
}

static int mount_point(const struct front *f, const char *path, mode_t *ret)
{
	struct stat st;
	int err;

	if (stat(path, &st)) {
		err = -errno;
		return f->host->fail(
		    f->host, err,
		    err == -ENOENT     ? "mount point %s does not exist"
		    : err == -ENOTCONN ? "on %s lies a mount of another kind "
					 "that is dead: unmount it"
				       : "cannot look at mount point %s",
		    path);
	}
	if (!S_ISDIR(st.st_mode))
		return f->host->fail(f->host, -ENOTDIR,
				     "mount point %s is not a directory", path);
	if (!mount_point_empty(path))
		f->host->log(f->host, DYNFS_WARN,
			     "mount point %s is not empty: what is in it is "
			     "hidden while the pool is mounted",
			     path);
	*ret = st.st_mode & S_IFMT;
	return 0;
}

static int mount_device(const struct front *f)
{
	int fd = open(MOUNT_DEVICE, O_RDWR | O_CLOEXEC), err = -errno;

	if (fd >= 0)
		return fd;
	if (err == -ENOENT || err == -ENODEV || err == -ENXIO)
		return f->host->fail(f->host, err,
				     MOUNT_DEVICE " is missing: is the kernel "
						  "module fuse loaded?");
	return f->host->fail(f->host, err,
			     "not permitted to open " MOUNT_DEVICE);
}

static int mount_by_helper(const struct front *f)
{
	if (!fuse_session_mount(f->session, f->mountpoint))
		return 0;
	return f->host->fail(f->host, -EPERM,
			     "not permitted to mount on %s: it takes root, or "
			     "fusermount3 and user_allow_other in "
			     "/etc/fuse.conf",
			     f->mountpoint);
}

static int mount_direct(struct front *f, mode_t mode)
{
	char options[160], name[32];
	int fd = mount_device(f), err;

	if (fd < 0)
		return fd;
	(void)snprintf(options, sizeof(options),
		       "fd=%d,rootmode=%o,user_id=%u,group_id=%u,"
		       "default_permissions,allow_other,max_read=%u",
		       fd, mode, getuid(), getgid(), FRONT_IO_BYTES);
	if (mount(f->source, f->mountpoint, FRONT_TYPE, f->mount_flags,
		  options)) {
		err = -errno;
		(void)close(fd); /* nothing was written to it */
		if (err == -EPERM)
			return mount_by_helper(f);
		return f->host->fail(
		    f->host, err,
		    err == -ENODEV ? "the kernel knows no FUSE: mounting on %s"
				   : "the kernel refuses to mount on %s",
		    f->mountpoint);
	}
	(void)snprintf(name, sizeof(name), "/dev/fd/%d", fd);
	if (fuse_session_mount(f->session, name)) { /* takes fd over */
		(void)umount2(f->mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW);
		(void)close(fd);
		return f->host->fail(f->host, -EIO,
				     "libfuse does not take the device");
	}
	return 0;
}

int front_mount(struct front *f)
{
	struct front_mount_entry e;
	char path[PATH_MAX];
	mode_t mode = 0;
	int err = mount_canonical(f->env.mountpoint, path);

	if (err)
		return f->host->fail(f->host, err,
				     err == -ENOENT
					 ? "mount point %s does not exist"
					 : "mount point %s cannot be reached",
				     f->env.mountpoint);
	err = mount_clear(f, path);
	if (!err)
		err = mount_point(f, path, &mode);
	if (err)
		return err;
	f->mountpoint = f->host->alloc(f->host, strlen(path) + 1, 0);
	if (!f->mountpoint)
		return -ENOMEM;
	memcpy(f->mountpoint, path, strlen(path) + 1);
	err = mount_direct(f, mode);
	if (err)
		return err;
	if (!front_mount_find(path, &e)) {
		f->major = e.major;
		f->minor = e.minor;
	}
	return 0;
}

static bool mount_is_ours(const struct front *f)
{
	struct front_mount_entry e;

	return !front_mount_find(f->mountpoint, &e) && e.major == f->major &&
	       e.minor == f->minor && !strcmp(e.type, FRONT_TYPE);
}

/* True once the loop has ended; false when it has not within ns. */
static bool mount_ended(struct front *f, uint64_t ns)
{
	struct timespec until;
	bool ended;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(ns / MOUNT_NS_PER_SEC);
	until.tv_nsec += (long)(ns % MOUNT_NS_PER_SEC);
	if (until.tv_nsec >= (long)MOUNT_NS_PER_SEC) {
		until.tv_sec++;
		until.tv_nsec -= (long)MOUNT_NS_PER_SEC;
	}
	pthread_mutex_lock(&f->lock);
	while (!f->ended && !pthread_cond_timedwait(&f->idle, &f->lock, &until))
		;
	ended = f->ended || !f->loop_started;
	pthread_mutex_unlock(&f->lock);
	return ended;
}

/* The folder in which each FUSE connection can be aborted. */
static int mount_control(void)
{
	int fs = fsopen("fusectl", FSOPEN_CLOEXEC), dir = -1;

	if (fs >= 0) {
		if (!fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
			dir = fsmount(fs, FSMOUNT_CLOEXEC, 0);
		(void)close(fs); /* a context, nothing is written */
	}
	if (dir < 0)
		dir = open("/sys/fs/fuse/connections",
			   O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir;
}

void front_abort(const struct front *f)
{
	int dir = mount_control(), fd = -1;
	char name[48];

	(void)snprintf(name, sizeof(name), "%u/abort", f->minor);
	if (dir >= 0)
		fd = openat(dir, name, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "1", 1) != 1)
		f->host->log(f->host, DYNFS_WARN,
			     "the connection of %s cannot be cut: waiting for "
			     "its users to leave",
			     f->mountpoint);
	if (fd >= 0)
		(void)close(fd); /* it acted at the write */
	if (dir >= 0)
		(void)close(dir); /* nothing is written */
}

static int mount_ask_to_go(const struct front *f)
{
	uint64_t until = f->host->now_ns(f->host) +
			 (uint64_t)f->config.unmount_wait * MOUNT_NS_PER_SEC;
	struct timespec pause = { .tv_nsec = MOUNT_RETRY_NS };
	int err;

	while ((err = mount_detach(f->mountpoint, 0)) == -EBUSY &&
	       f->host->now_ns(f->host) < until)
		(void)nanosleep(&pause, NULL); /* sooner does no harm */
	return err;
}

void front_unmount(struct front *f)
{
	if (mount_is_ours(f) && mount_ask_to_go(f)) {
		f->host->log(f->host, DYNFS_WARN,
			     "%s is in use: detached from its users",
			     f->mountpoint);
		(void)mount_detach(f->mountpoint, MNT_DETACH);
	}
	/* what is under way is answered before the connection is cut */
	if (!mount_ended(f, MOUNT_NS_PER_SEC / 2))
		front_abort(f);
}

static void mount_write(const struct front *f, const char *name, uint64_t value)
{
	char path[128], text[32];
	int fd, len;

	(void)snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/%s", f->major,
		       f->minor, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	len = snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	if (fd < 0 || write(fd, text, (size_t)len) != len)
		f->host->log(f->host, DYNFS_DEBUG, "cannot write %s: %m", path);
	if (fd >= 0)
		(void)close(fd); /* sysfs took it at the write */
}

void front_tune(struct front *f)
{
	mount_write(f, "read_ahead_kb", f->config.read_ahead / 1024);
	if (!f->config.writeback)
		return;
	/* what the kernel may hold dirty for this mount; see the manual */
	mount_write(f, "strict_limit", 0);
	mount_write(f, "max_ratio", 100);
}
