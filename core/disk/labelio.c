/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Labels on disks.
 *
 * Two slots in one preallocated file and never a rename: the file keeps its
 * identity (it carries the pool's lock), a write needs no room, and a torn
 * one leaves the slot before.  The sequence decides which slot is the newer,
 * before anybody looks at what it says: a newer label that this program can
 * not read must stop it, not send it back to the older one.
 */
#include <disk/label.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/str.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LABEL_FILE_BYTES (2ull * LABEL_SLOT_BYTES)

static int open_label(const struct dynfs_os *os, const char *dir,
		      uint32_t flags)
{
	AUTOFREE char *path = str_path(dir, LABEL_FILE);

	return path ? os->open(os, path, flags, 0600) : -ENOMEM;
}

/* What there is of a slot; the rest stays zero. */
static int read_slot(const struct dynfs_os *os, int fd, unsigned slot,
		     uint8_t *to)
{
	uint64_t off = (uint64_t)slot * LABEL_SLOT_BYTES;
	size_t done = 0;

	while (done < LABEL_SLOT_BYTES) {
		struct iovec v = { to + done, LABEL_SLOT_BYTES - done };
		ssize_t r = os->preadv(os, fd, &v, 1, off + done);

		if (r < 0)
			return (int)r;
		if (!r)
			break;
		done += (size_t)r;
	}
	return 0;
}

static int write_all(const struct dynfs_os *os, int fd, uint8_t *data,
		     size_t len, uint64_t off)
{
	while (len > 0) {
		struct iovec v = { data, len };
		ssize_t r = os->pwritev(os, fd, &v, 1, off);

		if (r <= 0)
			return r < 0 ? (int)r : -EIO;
		data += r;
		len -= (size_t)r;
		off += (uint64_t)r;
	}
	return 0;
}

/* 0 and a label; -EUCLEAN; what stopped us otherwise. */
static int load_slot(const struct dynfs_os *os, int fd, unsigned slot,
		     struct label *ret)
{
	AUTOFREE uint8_t *data = (uint8_t *)calloc(1, LABEL_SLOT_BYTES);
	int r;

	if (!data)
		return -ENOMEM;
	r = read_slot(os, fd, slot, data);
	if (r < 0)
		return r;
	r = label_decode(data, LABEL_SLOT_BYTES, ret);
	/* a slot whose number does not say its place was copied there */
	if (!r && ret->sequence % 2 != slot) {
		label_done(ret);
		r = -EUCLEAN;
	}
	return r;
}

static int slots_failed(const char *dir, int a, int b)
{
	int err = a == -EUCLEAN ? b : a;

	if (a == -ENOMEM || b == -ENOMEM)
		return -ENOMEM;
	if (err == -EUCLEAN)
		return fail(
		    err, "disk %s: both halves of its label are damaged", dir);
	return fail(err, "disk %s: cannot read its label: %s", dir,
		    fail_name(err));
}

int label_read_fd(const struct dynfs_os *os, int fd, const char *dir,
		  struct label *ret, unsigned *ret_halves)
{
	CLEANUP(label_done) struct label a = { 0 };
	CLEANUP(label_done) struct label b = { 0 };
	struct label *best = NULL;
	int ra = load_slot(os, fd, 0, &a), rb;

	/* Two programs wrote here; which slot is the newer cannot matter. */
	if (ra == -EOPNOTSUPP)
		return fail_wrap(ra, "disk %s", dir);
	rb = load_slot(os, fd, 1, &b);
	if (rb == -EOPNOTSUPP)
		return fail_wrap(rb, "disk %s", dir);
	if (!ra)
		best = &a;
	if (!rb && (!best || b.sequence > a.sequence))
		best = &b;
	if (!best)
		return slots_failed(dir, ra, rb);
	if (ret_halves)
		*ret_halves = (ra == 0) + (rb == 0);
	*ret = *best;
	*best = (struct label){ 0 };
	return 0;
}

int label_read(const struct dynfs_os *os, const char *dir, struct label *ret,
	       unsigned *ret_halves)
{
	int fd = open_label(os, dir, DYNFS_OS_RDONLY), r;

	if (fd == -ENOENT)
		return fail(fd, "disk %s has no label", dir);
	if (fd < 0)
		return fail(fd, "disk %s: cannot open its label: %s", dir,
			    fail_name(fd));
	r = label_read_fd(os, fd, dir, ret, ret_halves);
	(void)os->close(os, fd); /* was only read */
	return r;
}

int label_write_fd(const struct dynfs_os *os, int fd, const char *dir,
		   struct label *l)
{
	AUTOBUF struct buf b = BUF_INIT;
	uint64_t slot = (l->sequence + 1) % 2;
	int r;

	l->sequence++;
	r = label_encode(l, &b);
	l->sequence--;
	if (r < 0)
		return r;
	r = write_all(os, fd, b.data, b.len, slot * LABEL_SLOT_BYTES);
	if (!r)
		r = os->sync(os, fd);
	if (r < 0)
		return fail(r, "disk %s: cannot write its label: %s", dir,
			    fail_name(r));
	l->sequence++;
	return 0;
}

int label_write(const struct dynfs_os *os, const char *dir, struct label *l)
{
	int fd = open_label(os, dir, DYNFS_OS_RDWR), r;

	if (fd < 0)
		return fail(fd, "disk %s: cannot open its label: %s", dir,
			    fail_name(fd));
	r = label_write_fd(os, fd, dir, l);
	(void)os->close(os, fd); /* synced, or failed already */
	return r;
}

/* So that no later label needs room; zeros where that is not to be had. */
static int reserve_file(const struct dynfs_os *os, int fd)
{
	AUTOFREE uint8_t *zero = NULL;
	int r = os->allocate(os, fd, DYNFS_OS_ALLOC, 0, LABEL_FILE_BYTES);

	if (r != -EOPNOTSUPP)
		return r;
	zero = (uint8_t *)calloc(1, LABEL_FILE_BYTES);
	if (!zero)
		return -ENOMEM;
	return write_all(os, fd, zero, LABEL_FILE_BYTES, 0);
}

int label_fill_fd(const struct dynfs_os *os, int fd, const char *dir,
		  struct label *l)
{
	int r = reserve_file(os, fd);

	if (r < 0)
		return fail(r, "disk %s: no room for its label: %s", dir,
			    fail_name(r));
	r = label_write_fd(os, fd, dir, l);
	if (!r)
		r = label_write_fd(os, fd, dir, l);
	if (r < 0)
		return r;
	r = os->syncdir(os, dir);
	return r < 0 ? fail(r, "disk %s: cannot sync it: %s", dir, fail_name(r))
		     : 0;
}

int label_create_fd(const struct dynfs_os *os, const char *dir, struct label *l,
		    int *ret_fd)
{
	AUTOFREE char *path = str_path(dir, LABEL_FILE);
	int fd, r;

	if (!path)
		return -ENOMEM;
	fd = os->open(os, path, DYNFS_OS_RDWR | DYNFS_OS_CREATE | DYNFS_OS_EXCL,
		      0600);
	if (fd < 0)
		return fail(fd, "disk %s: cannot make its label: %s", dir,
			    fail_name(fd));
	if (os->lock(os, fd) == -EWOULDBLOCK) {
		/* somebody found it before we could hold it: it is theirs */
		(void)os->close(os, fd);
		return fail(-EBUSY, "disk %s is in use by another process",
			    dir);
	}
	r = label_fill_fd(os, fd, dir, l);
	if (r < 0) {
		(void)os->unlink(os, path); /* the cause is said already */
		(void)os->close(os, fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

int label_create(const struct dynfs_os *os, const char *dir, struct label *l)
{
	int fd = -1, r = label_create_fd(os, dir, l, &fd);

	if (!r)
		(void)os->close(os, fd); /* synced */
	return r;
}
