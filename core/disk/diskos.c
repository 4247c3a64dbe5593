/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operating system as the store of one disk sees it: the one below, until
 * the disk is given up; from then on every call but close() is -ENODEV.
 *
 * So "never touched again" is a property of this file and not of each place
 * in each store that might still write a summary at the end.  Nor does a store
 * keep the file system of such a disk from being unmounted: all that was opened
 * through this table is closed as soon as no call is under way, by whoever was
 * in the last one.  The numbers that the store still has lead nowhere.
 */
#include <disk/private.h>

#include <base/cleanup.h>
#include <base/log.h>
#include <base/os.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define QUIET_TRIES 5000u /* of a millisecond */

static struct disk_in *disk_of(const struct dynfs_os *os)
{
	return (struct disk_in *)os->ctx;
}

/* ---- what is open ---------------------------------------------------- */

static int handle_note(struct disk_in *k, int fd)
{
	size_t at = (size_t)fd / 64, n;
	AUTOLOCK(&k->open_lock);

	n = k->n_open_words;
	if (at >= n) {
		uint64_t *v =
		    (uint64_t *)realloc(k->open, (at + 1) * sizeof(*v));

		if (!v)
			return -ENOMEM;
		memset(v + n, 0, (at + 1 - n) * sizeof(*v));
		k->open = v;
		k->n_open_words = at + 1;
	}
	k->open[at] |= 1ull << (fd % 64);
	return 0;
}

/* False: it is not open, or no longer. */
static bool handle_forget(struct disk_in *k, int fd)
{
	size_t at = (size_t)fd / 64;
	uint64_t bit = 1ull << (fd % 64);
	bool was;
	AUTOLOCK(&k->open_lock);

	was = at < k->n_open_words && (k->open[at] & bit);
	if (was)
		k->open[at] &= ~bit;
	return was;
}

static int handle_pop(struct disk_in *k)
{
	AUTOLOCK(&k->open_lock);

	for (size_t i = 0; i < k->n_open_words; ++i) {
		uint64_t bits = k->open[i];

		if (!bits)
			continue;
		k->open[i] = bits & (bits - 1);
		return (int)(i * 64) + __builtin_ctzll(bits);
	}
	return -1;
}

/*
 * Once the disk is given up nobody comes in any more: with nobody inside, no
 * handle is in use.  The order of the two questions matters.
 */
static bool close_if_left(struct disk_in *k)
{
	const struct dynfs_os *below = k->set->os;
	int fd;

	if (atomic_load(&k->pub.health) != DISK_FAILED ||
	    atomic_load(&k->inside))
		return false;
	while ((fd = handle_pop(k)) >= 0)
		(void)below->close(below,
				   fd); /* it is lost, whatever it says */
	return true;
}

/* ---- the table ------------------------------------------------------- */

/* First in, then look: who gives up sets the state, then counts. */
static void leave(struct disk_in *k)
{
	atomic_fetch_sub(&k->inside, 1);
	(void)close_if_left(k);
}

static const struct dynfs_os *enter(const struct dynfs_os *os)
{
	struct disk_in *k = disk_of(os);

	atomic_fetch_add(&k->inside, 1);
	if (atomic_load(&k->pub.health) != DISK_FAILED)
		return k->set->os;
	leave(k);
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
		leave(disk_of(os));                                            \
		return r;                                                      \
	} while (0)

static int do_open(const struct dynfs_os *os, const char *path, uint32_t flags,
		   uint32_t mode)
{
	const struct dynfs_os *below = enter(os);
	struct disk_in *k = disk_of(os);
	int fd, r;

	if (!below)
		return -ENODEV;
	fd = below->open(below, path, flags, mode);
	r = fd < 0 ? fd : handle_note(k, fd);
	if (fd >= 0 && r < 0)
		(void)below->close(below, fd); /* nothing was done with it */
	leave(k);
	return r < 0 ? r : fd;
}

static int do_close(const struct dynfs_os *os, int fd)
{
	struct disk_in *k = disk_of(os);
	const struct dynfs_os *below = k->set->os;

	return handle_forget(k, fd) ? below->close(below, fd) : 0;
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

static int do_drop(const struct dynfs_os *os, int fd)
{
	FORWARD(os, int, drop, fd);
}

static void do_expect(const struct dynfs_os *os, int fd, uint64_t off,
		      uint64_t len)
{
	const struct dynfs_os *below = enter(os);

	if (!below)
		return;
	if (below->expect)
		below->expect(below, fd, off, len);
	leave(disk_of(os));
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
	(void)pthread_mutex_init(&k->open_lock, NULL);
	(void)pthread_mutex_init(&k->sync_lock, NULL);
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
		.drop = do_drop,
		.expect = do_expect,
	};
}

void disk_os_done(struct disk_in *k)
{
	(void)pthread_mutex_destroy(&k->sync_lock);
	(void)pthread_mutex_destroy(&k->open_lock);
	free(k->open);
}

void disk_os_leave(struct disk_in *k)
{
	struct timespec pause = { 0, 1000000 };
	int fd = k->fd;

	k->fd = -1;
	/* the label's handle goes with the others */
	if (fd >= 0 && handle_note(k, fd) < 0)
		(void)k->set->os->close(k->set->os, fd); /* never read again */
	for (unsigned i = 0; i < QUIET_TRIES; ++i) {
		if (close_if_left(k))
			return;
		(void)nanosleep(&pause, NULL);
	}
	log_warn(DISK_AREA,
		 "disk %s: %u calls have not come back from it; its files stay "
		 "open until they do",
		 k->pub.path, atomic_load(&k->inside));
}
