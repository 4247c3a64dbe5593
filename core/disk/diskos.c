/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operating system as the store of one disk sees it: the one below, until
 * the disk is given up; from then on every call but close() is -ENODEV.
 *
 * So "never touched again" is a property of this file and not of each place
 * in each store that might still write a summary at the end.
 */
#include <disk/private.h>

#include <base/os.h>

#include <errno.h>
#include <time.h>

#define QUIET_TRIES 5000u /* of a millisecond */

static struct disk_in *disk_of(const struct dynfs_os *os)
{
	return (struct disk_in *)os->ctx;
}

/* First in, then look: who gives up sets the state, then counts. */
static const struct dynfs_os *enter(const struct dynfs_os *os)
{
	struct disk_in *k = disk_of(os);

	atomic_fetch_add(&k->inside, 1);
	if (atomic_load(&k->pub.health) != DISK_FAILED)
		return k->set->os;
	atomic_fetch_sub(&k->inside, 1);
	return NULL;
}

/* In a macro, for the arguments differ and the rest must not. */
#define FORWARD(os, type, member, ...)                                         \
	do {                                                                   \
		const struct dynfs_os *below = enter(os);                      \
		type r;                                                        \
                                                                               \
		if (!below)                                                    \
			return -ENODEV;                                        \
		r = below->member(below, __VA_ARGS__);                         \
		atomic_fetch_sub(&disk_of(os)->inside, 1);                     \
		return r;                                                      \
	} while (0)

static int do_open(const struct dynfs_os *os, const char *path, uint32_t flags,
		   uint32_t mode)
{
	FORWARD(os, int, open, path, flags, mode);
}

static int do_close(const struct dynfs_os *os, int fd)
{
	const struct dynfs_os *below = disk_of(os)->set->os;

	return below->close(below, fd);
}

static ssize_t do_preadv(const struct dynfs_os *os, int fd,
			 const struct iovec *iov, int n, uint64_t off)
{
	FORWARD(os, ssize_t, preadv, fd, iov, n, off);
}

static ssize_t do_pwritev(const struct dynfs_os *os, int fd,
			  const struct iovec *iov, int n, uint64_t off)
{
	FORWARD(os, ssize_t, pwritev, fd, iov, n, off);
}

static int do_sync(const struct dynfs_os *os, int fd)
{
	FORWARD(os, int, sync, fd);
}

static int do_allocate(const struct dynfs_os *os, int fd, uint32_t mode,
		       uint64_t off, uint64_t len)
{
	FORWARD(os, int, allocate, fd, mode, off, len);
}

static int do_truncate(const struct dynfs_os *os, int fd, uint64_t len)
{
	FORWARD(os, int, truncate, fd, len);
}

static int do_fstat(const struct dynfs_os *os, int fd,
		    struct dynfs_os_stat *out)
{
	FORWARD(os, int, fstat, fd, out);
}

static int do_lock(const struct dynfs_os *os, int fd)
{
	FORWARD(os, int, lock, fd);
}

static int do_stat(const struct dynfs_os *os, const char *path,
		   struct dynfs_os_stat *out)
{
	FORWARD(os, int, stat, path, out);
}

static int do_mkdir(const struct dynfs_os *os, const char *path, uint32_t mode)
{
	FORWARD(os, int, mkdir, path, mode);
}

static int do_rmdir(const struct dynfs_os *os, const char *path)
{
	FORWARD(os, int, rmdir, path);
}

static int do_unlink(const struct dynfs_os *os, const char *path)
{
	FORWARD(os, int, unlink, path);
}

static int do_rename(const struct dynfs_os *os, const char *from,
		     const char *to)
{
	FORWARD(os, int, rename, from, to);
}

static int do_link(const struct dynfs_os *os, const char *from, const char *to)
{
	FORWARD(os, int, link, from, to);
}

static int do_syncdir(const struct dynfs_os *os, const char *path)
{
	FORWARD(os, int, syncdir, path);
}

static int do_syncfs(const struct dynfs_os *os, const char *path)
{
	FORWARD(os, int, syncfs, path);
}

static int do_list(const struct dynfs_os *os, const char *path,
		   int (*each)(void *ctx, const char *name, uint32_t type),
		   void *ctx)
{
	FORWARD(os, int, list, path, each, ctx);
}

static int do_space(const struct dynfs_os *os, const char *path,
		    struct dynfs_os_space *out)
{
	FORWARD(os, int, space, path, out);
}

static uint64_t do_now_ns(const struct dynfs_os *os)
{
	const struct dynfs_os *below = disk_of(os)->set->os;

	return below->now_ns(below);
}

static int64_t do_wall_ns(const struct dynfs_os *os)
{
	const struct dynfs_os *below = disk_of(os)->set->os;

	return below->wall_ns(below);
}

static int do_random(const struct dynfs_os *os, void *buf, size_t len)
{
	const struct dynfs_os *below = disk_of(os)->set->os;

	return below->random(below, buf, len);
}

void disk_os_init(struct disk_in *k)
{
	k->os = (struct dynfs_os){
		.size = sizeof(k->os),
		.ctx = k,
		.open = do_open,
		.close = do_close,
		.preadv = do_preadv,
		.pwritev = do_pwritev,
		.sync = do_sync,
		.allocate = do_allocate,
		.truncate = do_truncate,
		.fstat = do_fstat,
		.lock = do_lock,
		.stat = do_stat,
		.mkdir = do_mkdir,
		.rmdir = do_rmdir,
		.unlink = do_unlink,
		.rename = do_rename,
		.link = do_link,
		.syncdir = do_syncdir,
		.list = do_list,
		.space = do_space,
		.now_ns = do_now_ns,
		.wall_ns = do_wall_ns,
		.random = do_random,
		.syncfs = do_syncfs,
	};
}

void disk_os_quiet(struct disk_in *k)
{
	struct timespec pause = { 0, 1000000 };

	for (unsigned i = 0; i < QUIET_TRIES && atomic_load(&k->inside); ++i)
		(void)nanosleep(&pause, NULL);
}
