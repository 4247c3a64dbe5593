/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct dynfs_os as system calls.  sync is fdatasync: it carries the size,
 * and nothing here needs the times.  lock is flock and not a record lock,
 * because record locks of one process never exclude each other and vanish
 * when any handle of the file is closed.
 */
#include "base/os.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

/* Repeat a call that returns -1 with EINTR. */
#define RETRY(expr)                                                            \
	({                                                                     \
		__typeof__(expr) r_;                                           \
		do                                                             \
			r_ = (expr);                                           \
		while (r_ == -1 && errno == EINTR);                            \
		r_;                                                            \
	})

#define RESULT(expr)                                                           \
	({                                                                     \
		__typeof__(expr) v_ = RETRY(expr);                             \
		v_ == -1 ? -errno : v_;                                        \
	})

static int os_real_open(const struct dynfs_os *os, const char *path,
			uint32_t flags, uint32_t mode)
{
	int f = O_CLOEXEC | O_NOCTTY;

	(void)os;
	f |= flags & DYNFS_OS_RDWR ? O_RDWR : O_RDONLY;
	if (flags & DYNFS_OS_CREATE)
		f |= O_CREAT;
	if (flags & DYNFS_OS_EXCL)
		f |= O_EXCL;
	if (flags & DYNFS_OS_TRUNC)
		f |= O_TRUNC;
	if (flags & DYNFS_OS_DIRECT)
		f |= O_DIRECT;
	return RESULT(open(path, f, (mode_t)mode));
}

static int os_real_close(const struct dynfs_os *os, int fd)
{
	(void)os;
	/* Linux has let go of the handle even when it says EINTR. */
	return close(fd) == -1 && errno != EINTR ? -errno : 0;
}

static ssize_t os_real_preadv(const struct dynfs_os *os, int fd,
			      const struct iovec *iov, int n, uint64_t off)
{
	(void)os;
	if (off > INT64_MAX)
		return -EINVAL;
	return RESULT(preadv(fd, iov, n, (off_t)off));
}

static ssize_t os_real_pwritev(const struct dynfs_os *os, int fd,
			       const struct iovec *iov, int n, uint64_t off)
{
	(void)os;
	if (off > INT64_MAX)
		return -EINVAL;
	return RESULT(pwritev(fd, iov, n, (off_t)off));
}

static int os_real_sync(const struct dynfs_os *os, int fd)
{
	(void)os;
	return RESULT(fdatasync(fd));
}

static int os_real_allocate(const struct dynfs_os *os, int fd, uint32_t mode,
			    uint64_t off, uint64_t len)
{
	int m;

	(void)os;
	if (off > INT64_MAX || len > INT64_MAX - off)
		return -EINVAL;
	switch (mode) {
	case DYNFS_OS_ALLOC:
		m = 0;
		break;
	case DYNFS_OS_KEEP_SIZE:
		m = FALLOC_FL_KEEP_SIZE;
		break;
	case DYNFS_OS_PUNCH:
		m = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
		break;
	default:
		return -EINVAL;
	}
	return RESULT(fallocate(fd, m, (off_t)off, (off_t)len));
}

static int os_real_truncate(const struct dynfs_os *os, int fd, uint64_t len)
{
	(void)os;
	if (len > INT64_MAX)
		return -EINVAL;
	return RESULT(ftruncate(fd, (off_t)len));
}

static uint32_t type_of(mode_t mode)
{
	if (S_ISREG(mode))
		return DYNFS_OS_FILE;
	return S_ISDIR(mode) ? DYNFS_OS_DIR : DYNFS_OS_OTHER;
}

static void stat_convert(const struct stat *st, struct dynfs_os_stat *out)
{
	*out = (struct dynfs_os_stat){
		.type = type_of(st->st_mode),
		.mode = st->st_mode & 07777,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.dev = st->st_dev,
		.ino = st->st_ino,
		.size_bytes = (uint64_t)st->st_size,
		.alloc_bytes = (uint64_t)st->st_blocks * 512,
		.mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 +
			    st->st_mtim.tv_nsec,
	};
}

static int os_real_fstat(const struct dynfs_os *os, int fd,
			 struct dynfs_os_stat *out)
{
	struct stat st;

	(void)os;
	if (RETRY(fstat(fd, &st)) == -1)
		return -errno;
	stat_convert(&st, out);
	return 0;
}

static int os_real_lock(const struct dynfs_os *os, int fd)
{
	(void)os;
	return RESULT(flock(fd, LOCK_EX | LOCK_NB));
}

static int os_real_stat(const struct dynfs_os *os, const char *path,
			struct dynfs_os_stat *out)
{
	struct stat st;

	(void)os;
	if (RETRY(stat(path, &st)) == -1)
		return -errno;
	stat_convert(&st, out);
	return 0;
}

static int os_real_mkdir(const struct dynfs_os *os, const char *path,
			 uint32_t mode)
{
	(void)os;
	return RESULT(mkdir(path, (mode_t)mode));
}

static int os_real_rmdir(const struct dynfs_os *os, const char *path)
{
	(void)os;
	return RESULT(rmdir(path));
}

static int os_real_unlink(const struct dynfs_os *os, const char *path)
{
	(void)os;
	return RESULT(unlink(path));
}

static int os_real_rename(const struct dynfs_os *os, const char *from,
			  const char *to)
{
	(void)os;
	return RESULT(rename(from, to));
}

static int os_real_link(const struct dynfs_os *os, const char *from,
			const char *to)
{
	(void)os;
	return RESULT(link(from, to));
}

static int os_real_syncdir(const struct dynfs_os *os, const char *path)
{
	int fd, r;

	(void)os;
	fd = RETRY(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	if (fd == -1)
		return -errno;
	r = RESULT(fsync(fd));
	(void)close(fd); /* read only: nothing can be lost here */
	return r;
}

/*
 * A file system in user space is not told of syncfs(2): its pages would be
 * handed to its daemon, and nobody would ask whether that has synced them.
 */
static int os_real_syncfs(const struct dynfs_os *os, const char *path)
{
	struct statfs st;
	int fd, r;

	(void)os;
	fd = RETRY(open(path, O_RDONLY | O_CLOEXEC));
	if (fd == -1)
		return -errno;
	r = RESULT(fstatfs(fd, &st));
	if (!r && st.f_type == FUSE_SUPER_MAGIC)
		r = -EOPNOTSUPP;
	if (!r)
		r = RESULT(syncfs(fd));
	(void)close(fd); /* read only: nothing can be lost here */
	return r;
}

/* All of it: pages at the ends of a range would stay. */
static int os_real_drop(const struct dynfs_os *os, int fd)
{
	(void)os;
	return -posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

static void os_real_expect(const struct dynfs_os *os, int fd, uint64_t off,
			   uint64_t len)
{
	(void)os;
	(void)posix_fadvise(fd, (off_t)off, (off_t)len, POSIX_FADV_WILLNEED);
}

/* Some file systems do not tell the type with the name. */
static uint32_t entry_type(DIR *d, const struct dirent *e)
{
	struct stat st;

	if (e->d_type == DT_REG)
		return DYNFS_OS_FILE;
	if (e->d_type == DT_DIR)
		return DYNFS_OS_DIR;
	if (e->d_type != DT_UNKNOWN ||
	    fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return DYNFS_OS_OTHER;
	return type_of(st.st_mode);
}

static int os_real_list(const struct dynfs_os *os, const char *path,
			int (*each)(void *ctx, const char *name, uint32_t type),
			void *ctx)
{
	struct dirent *e;
	DIR *d;
	int r = 0;

	(void)os;
	d = opendir(path);
	if (!d)
		return -errno;
	while (!r) {
		errno = 0;
		/* one stream, one thread: readdir(3) is safe here */
		e = readdir(d); /* NOLINT(concurrency-mt-unsafe) */
		if (!e) {
			r = -errno;
			break;
		}
		if (e->d_name[0] == '.' &&
		    (!e->d_name[1] || (e->d_name[1] == '.' && !e->d_name[2])))
			continue;
		r = each(ctx, e->d_name, entry_type(d, e));
	}
	(void)closedir(d);
	return r;
}

static int os_real_space(const struct dynfs_os *os, const char *path,
			 struct dynfs_os_space *out)
{
	struct statvfs v;

	(void)os;
	if (RETRY(statvfs(path, &v)) == -1)
		return -errno;
	*out = (struct dynfs_os_space){
		.total_bytes = (uint64_t)v.f_blocks * v.f_frsize,
		.free_bytes = (uint64_t)v.f_bavail * v.f_frsize,
		.block_bytes = (uint32_t)v.f_frsize,
	};
	return 0;
}

static uint64_t os_real_now_ns(const struct dynfs_os *os)
{
	struct timespec ts;

	(void)os;
	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail */
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int64_t os_real_wall_ns(const struct dynfs_os *os)
{
	struct timespec ts;

	(void)os;
	(void)clock_gettime(CLOCK_REALTIME, &ts); /* cannot fail */
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int os_real_random(const struct dynfs_os *os, void *buf, size_t len)
{
	uint8_t *b = buf;

	(void)os;
	while (len > 0) {
		ssize_t r = RETRY(getrandom(b, len, 0));

		if (r == -1)
			return -errno;
		b += r;
		len -= (size_t)r;
	}
	return 0;
}

static const struct dynfs_os real = {
	.size = sizeof(struct dynfs_os),
	.open = os_real_open,
	.close = os_real_close,
	.preadv = os_real_preadv,
	.pwritev = os_real_pwritev,
	.sync = os_real_sync,
	.allocate = os_real_allocate,
	.truncate = os_real_truncate,
	.fstat = os_real_fstat,
	.lock = os_real_lock,
	.stat = os_real_stat,
	.mkdir = os_real_mkdir,
	.rmdir = os_real_rmdir,
	.unlink = os_real_unlink,
	.rename = os_real_rename,
	.link = os_real_link,
	.syncdir = os_real_syncdir,
	.list = os_real_list,
	.space = os_real_space,
	.now_ns = os_real_now_ns,
	.wall_ns = os_real_wall_ns,
	.random = os_real_random,
	.syncfs = os_real_syncfs,
	.drop = os_real_drop,
	.expect = os_real_expect,
};

const struct dynfs_os *os_real(void)
{
	return &real;
}

int os_settle(const struct dynfs_os *os, int fd)
{
	int r = os->sync(os, fd);

	return r < 0 ? r : os->drop(os, fd);
}
