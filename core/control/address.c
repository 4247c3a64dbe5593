/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the socket of a pool is: in its folder, so that whoever may enter the
 * one finds the other.  A folder on a file system that is read-only has no
 * room for it, and a pool can be mounted from there all the same: then it lies
 * below /run, by the folder's device and inode number.
 */
#include <control/private.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int address_below_run(int fd, bool make)
{
	char path[128];
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	(void)snprintf(path, sizeof(path), CONTROL_RUN "/%llx-%llx",
		       (unsigned long long)st.st_dev,
		       (unsigned long long)st.st_ino);
	if (make) {
		(void)mkdir(CONTROL_RUN, 0755); /* is there already? */
		(void)mkdir(path, 0700);
	}
	r = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return r < 0 ? -errno : r;
}

/*
 * A socket's name has room for 107 bytes, a folder's path for 4095: the name
 * goes through the folder's handle.
 */
int control_address(const char *dir, bool make, struct sockaddr_un *ret,
		    int *ret_dirfd)
{
	int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (faccessat(fd, ".", W_OK, AT_EACCESS) < 0 && errno == EROFS) {
		int below = address_below_run(fd, make);

		(void)close(fd);
		if (below < 0)
			return below;
		fd = below;
	}
	memset(ret, 0, sizeof(*ret));
	ret->sun_family = AF_UNIX;
	(void)snprintf(ret->sun_path, sizeof(ret->sun_path),
		       "/proc/self/fd/%d/" CONTROL_SOCKET, fd);
	*ret_dirfd = fd;
	return 0;
}

void control_forget(int dirfd)
{
	char link[48], path[128];
	ssize_t n;

	(void)unlinkat(dirfd, CONTROL_SOCKET, 0);
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", dirfd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n <= 0 ||
	    strncmp(path, CONTROL_RUN "/", strlen(CONTROL_RUN) + 1) != 0)
		return;
	path[n] = '\0';
	(void)rmdir(path); /* made for this socket */
}
