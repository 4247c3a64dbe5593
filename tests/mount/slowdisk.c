/* SPDX-License-Identifier: Apache-2.0 */
/*
 * To be preloaded into a daemon: disks that hang or are full while a file says
 * so.  Looked for in the folder that DYNFS_SLOW names:
 *
 *	reads, writes, syncs   such calls of stores wait
 *	full                   writes of stores fail with ENOSPC
 *
 * Only the stores: the log and the index below the same folders go on.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static bool is_so(const char *what)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody changes it */
	const char *dir = getenv("DYNFS_SLOW");
	char path[4096];

	if (!dir)
		return false;
	(void)snprintf(path, sizeof(path), "%s/%s", dir, what);
	return !access(path, F_OK);
}

static bool of_store(int fd)
{
	char link[64], path[4096];
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return false;
	path[n] = '\0';
	return strstr(path, "/store/");
}

static void hang(int fd, const char *what)
{
	struct timespec pause = { .tv_nsec = 10000000 };

	if (!is_so(what) || !of_store(fd))
		return;
	while (is_so(what))
		(void)nanosleep(&pause, NULL);
}

#define REAL(name, type)                                                       \
	({                                                                     \
		type real_;                                                    \
		void *found_ = dlsym(RTLD_NEXT, name);                         \
                                                                               \
		memcpy(&real_, &found_, sizeof(real_));                        \
		real_;                                                         \
	})

typedef int (*sync_call)(int);
typedef ssize_t (*vector_call)(int, const struct iovec *, int, off_t);

/* Under names of their own here, for the system's headers have those. */
EXPORT ssize_t slow_preadv(int fd, const struct iovec *iov, int n,
			   off_t off) __asm__("preadv64");
EXPORT ssize_t slow_pwritev(int fd, const struct iovec *iov, int n,
			    off_t off) __asm__("pwritev64");
EXPORT int slow_sync(int fd) __asm__("fdatasync");

ssize_t slow_preadv(int fd, const struct iovec *iov, int n, off_t off)
{
	hang(fd, "reads");
	return REAL("preadv64", vector_call)(fd, iov, n, off);
}

ssize_t slow_pwritev(int fd, const struct iovec *iov, int n, off_t off)
{
	hang(fd, "writes");
	if (is_so("full") && of_store(fd)) {
		errno = ENOSPC;
		return -1;
	}
	return REAL("pwritev64", vector_call)(fd, iov, n, off);
}

int slow_sync(int fd)
{
	hang(fd, "syncs");
	return REAL("fdatasync", sync_call)(fd);
}
