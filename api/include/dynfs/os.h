/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operating system as dynfs sees it: files, clocks, random numbers.
 *
 * Stores, log, labels and core reach disks only through this table.  In
 * production each member is the system call of that name; in a test it
 * counts, fails the nth call, cuts the power, tears a write, or is a
 * simulated disk.  A plugin that calls open(2) itself cannot be tested
 * against a power cut, so it does not pass review.
 *
 * Results are 0, a count, or a negative errno.  Any member may be called
 * from any thread.  Short reads and writes are possible as with the system
 * calls; dynfs_os_read_full() style loops belong to the caller.  Paths are
 * borrowed for the call.
 *
 * Durability is POSIX's, taken at its weakest: written bytes are durable
 * after sync() of that file; a created, renamed, linked or removed name is
 * durable after syncdir() of its directory; unsynced writes may survive in
 * any order, whole or in part.
 */
#ifndef DYNFS_OS_H
#define DYNFS_OS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* flags of open(); close-on-exec is implied, links are followed */
#define DYNFS_OS_RDONLY 0u
#define DYNFS_OS_RDWR   (1u << 0)
#define DYNFS_OS_CREATE (1u << 1) /* make the file if it is not there */
#define DYNFS_OS_EXCL   (1u << 2) /* with CREATE: -EEXIST if it is there */
#define DYNFS_OS_TRUNC  (1u << 3)
#define DYNFS_OS_DIRECT (1u << 4) /* O_DIRECT where there is such a thing */

/* modes of allocate() */
#define DYNFS_OS_ALLOC     0u /* grow the file, reserve its blocks */
#define DYNFS_OS_KEEP_SIZE 1u /* reserve blocks, leave the size */
#define DYNFS_OS_PUNCH     2u /* give blocks back, leave the size */

enum dynfs_os_type { DYNFS_OS_OTHER, DYNFS_OS_FILE, DYNFS_OS_DIR };

struct dynfs_os_stat {
	uint32_t type; /* enum dynfs_os_type */
	uint32_t mode; /* permission bits */
	uint32_t uid, gid;
	uint64_t dev, ino; /* identity of the file below */
	uint64_t size_bytes;
	uint64_t alloc_bytes; /* what its blocks occupy */
	int64_t mtime_ns;     /* since 1970 */
};

struct dynfs_os_space {
	uint64_t total_bytes;
	uint64_t free_bytes; /* what an ordinary process may still use */
	uint32_t block_bytes;
	uint32_t reserved;
};

struct dynfs_os {
	size_t size;
	void *ctx; /* the lender's */

	/* A handle >= 0. */
	int (*open)(const struct dynfs_os *os, const char *path, uint32_t flags,
		    uint32_t mode);
	int (*close)(const struct dynfs_os *os, int fd);
	ssize_t (*preadv)(const struct dynfs_os *os, int fd,
			  const struct iovec *iov, int n, uint64_t off);
	ssize_t (*pwritev)(const struct dynfs_os *os, int fd,
			   const struct iovec *iov, int n, uint64_t off);
	int (*sync)(const struct dynfs_os *os, int fd); /* data and size */
	int (*allocate)(const struct dynfs_os *os, int fd, uint32_t mode,
			uint64_t off, uint64_t len);
	int (*truncate)(const struct dynfs_os *os, int fd, uint64_t len);
	int (*fstat)(const struct dynfs_os *os, int fd,
		     struct dynfs_os_stat *out);
	/* Exclusive, at once or -EWOULDBLOCK; ends with the handle. */
	int (*lock)(const struct dynfs_os *os, int fd);

	int (*stat)(const struct dynfs_os *os, const char *path,
		    struct dynfs_os_stat *out);
	int (*mkdir)(const struct dynfs_os *os, const char *path,
		     uint32_t mode);
	int (*rmdir)(const struct dynfs_os *os, const char *path);
	int (*unlink)(const struct dynfs_os *os, const char *path);
	int (*rename)(const struct dynfs_os *os, const char *from,
		      const char *to);
	int (*link)(const struct dynfs_os *os, const char *from,
		    const char *to);
	int (*syncdir)(const struct dynfs_os *os, const char *path);
	/*
	 * Every name but "." and "..", in no order; a non-zero return of each()
	 * ends the listing and is returned.
	 */
	int (*list)(const struct dynfs_os *os, const char *path,
		    int (*each)(void *ctx, const char *name, uint32_t type),
		    void *ctx);
	int (*space)(const struct dynfs_os *os, const char *path,
		     struct dynfs_os_space *out);

	uint64_t (*now_ns)(const struct dynfs_os *os); /* monotonic */
	int64_t (*wall_ns)(const struct dynfs_os *os); /* since 1970 */
	int (*random)(const struct dynfs_os *os, void *buf, size_t len);

	/*
	 * Everything on the file system that path lies on: what sync() and
	 * syncdir() of all that it holds would make durable.  -EOPNOTSUPP where
	 * that can not be promised: then sync one by one.
	 */
	int (*syncfs)(const struct dynfs_os *os, const char *path);
	/*
	 * Forget what the system caches of the file and need not write: what is
	 * read next comes from the device.  A failed sync leaves pages that read
	 * as if they were written, and that every later sync calls durable;
	 * after a sync() and this only what is on the device can be read.
	 */
	int (*drop)(const struct dynfs_os *os, int fd);
	/*
	 * This will be read in a moment: begin to fetch it, and do not wait.
	 * A hint: nothing is told of what becomes of it.
	 */
	void (*expect)(const struct dynfs_os *os, int fd, uint64_t off,
		       uint64_t len);
};

#ifdef __cplusplus
}
#endif

#endif
