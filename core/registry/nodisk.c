/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An operating system without files, for instances that are made only to see
 * whether their options fit: create() must not touch a disk, and with this
 * table below it can not.
 */
#include <registry/registry.h>

#include <base/os.h>

#include <errno.h>

static int nodisk_open(const struct dynfs_os *os, const char *path,
		       uint32_t flags, uint32_t mode)
{
	(void)os;
	(void)path;
	(void)flags;
	(void)mode;
	return -EOPNOTSUPP;
}

static int nodisk_fd(const struct dynfs_os *os, int fd)
{
	(void)os;
	(void)fd;
	return -EBADF;
}

static ssize_t nodisk_vec(const struct dynfs_os *os, int fd,
			  const struct iovec *iov, int n, uint64_t off)
{
	(void)os;
	(void)fd;
	(void)iov;
	(void)n;
	(void)off;
	return -EBADF;
}

static int nodisk_allocate(const struct dynfs_os *os, int fd, uint32_t mode,
			   uint64_t off, uint64_t len)
{
	(void)os;
	(void)fd;
	(void)mode;
	(void)off;
	(void)len;
	return -EBADF;
}

static int nodisk_truncate(const struct dynfs_os *os, int fd, uint64_t len)
{
	(void)os;
	(void)fd;
	(void)len;
	return -EBADF;
}

static int nodisk_fstat(const struct dynfs_os *os, int fd,
			struct dynfs_os_stat *out)
{
	(void)os;
	(void)fd;
	(void)out;
	return -EBADF;
}

static int nodisk_stat(const struct dynfs_os *os, const char *path,
		       struct dynfs_os_stat *out)
{
	(void)os;
	(void)path;
	(void)out;
	return -EOPNOTSUPP;
}

static int nodisk_mkdir(const struct dynfs_os *os, const char *path,
			uint32_t mode)
{
	(void)os;
	(void)path;
	(void)mode;
	return -EOPNOTSUPP;
}

static int nodisk_path(const struct dynfs_os *os, const char *path)
{
	(void)os;
	(void)path;
	return -EOPNOTSUPP;
}

static int nodisk_paths(const struct dynfs_os *os, const char *from,
			const char *to)
{
	(void)os;
	(void)from;
	(void)to;
	return -EOPNOTSUPP;
}

static int nodisk_list(const struct dynfs_os *os, const char *path,
		       int (*each)(void *ctx, const char *name, uint32_t type),
		       void *ctx)
{
	(void)os;
	(void)path;
	(void)each;
	(void)ctx;
	return -EOPNOTSUPP;
}

static int nodisk_space(const struct dynfs_os *os, const char *path,
			struct dynfs_os_space *out)
{
	(void)os;
	(void)path;
	(void)out;
	return -EOPNOTSUPP;
}

static uint64_t nodisk_now_ns(const struct dynfs_os *os)
{
	(void)os;
	return os_real()->now_ns(os_real());
}

static int64_t nodisk_wall_ns(const struct dynfs_os *os)
{
	(void)os;
	return os_real()->wall_ns(os_real());
}

static int nodisk_random(const struct dynfs_os *os, void *buf, size_t len)
{
	(void)os;
	return os_real()->random(os_real(), buf, len);
}

static const struct dynfs_os nodisk = {
	.size = sizeof(nodisk),
	.open = nodisk_open,
	.close = nodisk_fd,
	.preadv = nodisk_vec,
	.pwritev = nodisk_vec,
	.sync = nodisk_fd,
	.allocate = nodisk_allocate,
	.truncate = nodisk_truncate,
	.fstat = nodisk_fstat,
	.lock = nodisk_fd,
	.stat = nodisk_stat,
	.mkdir = nodisk_mkdir,
	.rmdir = nodisk_path,
	.unlink = nodisk_path,
	.rename = nodisk_paths,
	.link = nodisk_paths,
	.syncdir = nodisk_path,
	.list = nodisk_list,
	.space = nodisk_space,
	.now_ns = nodisk_now_ns,
	.wall_ns = nodisk_wall_ns,
	.random = nodisk_random,
	.syncfs = nodisk_path,
	.drop = nodisk_fd,
};

const struct dynfs_os *reg_os_none(void)
{
	return &nodisk;
}
