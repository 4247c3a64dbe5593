/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One directory: is it a disk, whose, and is anybody using it?
 *
 * The lock is on the label file, which is never replaced and which every disk
 * has, so it holds also where nothing may be written.  It ends with the
 * process however that ends.  The number in dynfs.lock is only for the message
 * to the second one; a lock by the presence of that file would outlive a
 * crash, or not hold, and one per pool would have no home that all disks see.
 */
#include <disk/private.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/os.h>
#include <base/str.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void found_done(const struct dynfs_os *os, struct found *f)
{
	if (f->path && f->fd >= 0)
		(void)os->close(os, f->fd); /* nothing unsynced in it */
	label_done(&f->label);
	free(f->path);
	*f = (struct found){ .fd = -1 };
}

/* The number that the holder left, or 0. */
static int64_t holder(const struct dynfs_os *os, const char *path)
{
	AUTOFREE char *file = str_path(path, DISK_LOCK);
	char text[24] = "";
	struct iovec v = { text, sizeof(text) - 1 };
	int64_t pid;
	int fd;

	if (!file)
		return 0;
	fd = os->open(os, file, DYNFS_OS_RDONLY, 0);
	if (fd < 0)
		return 0;
	if (os->preadv(os, fd, &v, 1, 0) < 0)
		text[0] = '\0';
	(void)os->close(os, fd); /* was only read */
	text[strcspn(text, "\n")] = '\0';
	return str_parse_int(text, &pid) < 0 || pid <= 0 ? 0 : pid;
}

void found_sign(const struct dynfs_os *os, const char *path)
{
	AUTOFREE char *file = str_path(path, DISK_LOCK);
	char text[24];
	struct iovec v = { text, 0 };
	int fd;

	if (!file)
		return;
	fd = os->open(os, file,
		      DYNFS_OS_RDWR | DYNFS_OS_CREATE | DYNFS_OS_TRUNC, 0644);
	if (fd < 0)
		return;
	v.iov_len =
	    (size_t)snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	(void)os->pwritev(os, fd, &v, 1, 0); /* a message, not a lock */
	(void)os->close(os, fd);
}

void found_unsign(const struct dynfs_os *os, const char *path)
{
	AUTOFREE char *file = str_path(path, DISK_LOCK);

	if (file)
		(void)os->unlink(os, file); /* a message, not a lock */
}

static int lock_label(const struct dynfs_os *os, int fd, const char *path)
{
	int r = os->lock(os, fd);
	int64_t pid;

	if (r >= 0)
		return 0;
	if (r != -EWOULDBLOCK)
		return fail(r, "disk %s: cannot lock its label: %s", path,
			    fail_name(r));
	pid = holder(os, path);
	if (pid)
		return fail(-EBUSY, "disk %s is in use by process %lld", path,
			    (long long)pid);
	return fail(-EBUSY, "disk %s is in use by another process", path);
}

int found_lock(const struct dynfs_os *os, const char *path, bool readonly)
{
	AUTOFREE char *file = str_path(path, LABEL_FILE);
	int fd, r;

	if (!file)
		return -ENOMEM;
	fd = os->open(os, file, readonly ? DYNFS_OS_RDONLY : DYNFS_OS_RDWR, 0);
	if (fd == -ENOENT)
		return fail(-ENOMEDIUM,
			    "disk %s has no label: it is not mounted, or not "
			    "part of a pool yet",
			    path);
	/* a file system that turned read-only is a failed disk to us */
	if (fd < 0)
		return fail(fd == -EROFS ? -EIO : fd,
			    "disk %s: cannot open its label: %s", path,
			    fail_name(fd));
	r = lock_label(os, fd, path);
	if (r < 0) {
		(void)os->close(os, fd); /* nothing was done with it */
		return r;
	}
	return fd;
}

/* Its label, as the disk has it: what follows from it has to outlive us. */
static int read_settled(const struct dynfs_os *os, int fd, const char *path,
			bool readonly, struct label *ret)
{
	int r = readonly ? 0 : os_settle(os, fd);

	/* whatever it is: the disk's fault */
	if (r < 0)
		return fail(-EIO, "disk %s: cannot sync its label: %s", path,
			    fail_name(r));
	return label_read_fd(os, fd, path, ret, NULL);
}

int found_probe(const struct dynfs_os *os, const char *path, bool readonly,
		struct found *ret)
{
	struct found f = { .fd = -1 };
	int r = path_dir_id(os, path, &f.at);

	if (r == -ENOTDIR)
		return fail(r, "disk %s is not a directory", path);
	if (r < 0)
		return fail(r, "disk %s is not there: %s", path, fail_name(r));
	f.fd = found_lock(os, path, readonly);
	if (f.fd < 0)
		return f.fd;
	f.path = strdup(path);
	r = f.path ? read_settled(os, f.fd, path, readonly, &f.label) : -ENOMEM;
	if (r >= 0) {
		r = features_check(&f.label.features, path);
		if (r == -EROFS && readonly)
			r = 0;
	}
	if (r < 0) {
		(void)os->close(os, f.fd); /* was only read */
		f.fd = -1;
		found_done(os, &f);
		return r;
	}
	*ret = f;
	return 0;
}
