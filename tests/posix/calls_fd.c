/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls that steps name, those that take an open file.
 */
#include "calls.h"

#include <errno.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

int files[N_FILES] = { -1, -1, -1, -1, -1, -1, -1, -1 };
uint8_t scratch[SCRATCH_BYTES];

struct timespec step_time(int64_t t)
{
	struct timespec ret = { .tv_sec = t / SEC, .tv_nsec = t % SEC };

	if (t == T_NOW)
		return (struct timespec){ .tv_nsec = UTIME_NOW };
	if (t == T_OMIT)
		return (struct timespec){ .tv_nsec = UTIME_OMIT };
	if (t == T_BAD || t == T_NULL)
		return (struct timespec){ .tv_nsec = SEC };
	if (ret.tv_nsec < 0) {
		ret.tv_sec--;
		ret.tv_nsec += SEC;
	}
	return ret;
}

const void *xattr_bytes(const struct step *s)
{
	static uint8_t most[SCRATCH_BYTES];

	if (s->a < 0 || (size_t)s->a > sizeof(most))
		die("an attribute of %lld bytes", (long long)s->a);
	memset(most, 'v', (size_t)s->a);
	return most;
}

int64_t do_open(const struct step *s)
{
	int fd = open(path_p(s), (int)s->a | O_CLOEXEC, (mode_t)s->b);

	if (fd < 0)
		return -errno;
	if (files[s->fd] >= 0)
		(void)close(files[s->fd]);
	files[s->fd] = fd;
	return 0;
}

int64_t do_close(const struct step *s)
{
	int fd = files[s->fd];

	files[s->fd] = -1;
	return sys(close(fd));
}

int64_t do_dup(const struct step *s)
{
	int fd = fcntl(files[s->fd], F_DUPFD_CLOEXEC, 3);

	if (fd < 0)
		return -errno;
	if (files[s->a] >= 0)
		(void)close(files[s->a]);
	files[s->a] = fd;
	return 0;
}

int64_t do_fchmod(const struct step *s)
{
	return sys(fchmod(files[s->fd], (mode_t)s->a));
}

int64_t do_fchown(const struct step *s)
{
	return sys(fchown(files[s->fd], (uid_t)s->a, (gid_t)s->b));
}

int64_t do_ftruncate(const struct step *s)
{
	return sys(ftruncate(files[s->fd], s->a));
}

int64_t do_futimens(const struct step *s)
{
	struct timespec t[2] = { step_time(s->a), step_time(s->b) };

	return sys(futimens(files[s->fd], s->a == T_NULL ? NULL : t));
}

static size_t room(int64_t len)
{
	return (size_t)len < sizeof(scratch) ? (size_t)len : sizeof(scratch);
}

int64_t do_read(const struct step *s)
{
	return sys(read(files[s->fd], scratch, room(s->a)));
}

int64_t do_write(const struct step *s)
{
	return sys(write(files[s->fd], s->q, strlen(s->q)));
}

int64_t do_pread(const struct step *s)
{
	return sys(pread(files[s->fd], scratch, room(s->a), s->b));
}

int64_t do_pwrite(const struct step *s)
{
	return sys(pwrite(files[s->fd], s->q, strlen(s->q), s->b));
}

int64_t do_lseek(const struct step *s)
{
	return sys(lseek(files[s->fd], s->a, s->flags));
}

int64_t do_fsync(const struct step *s)
{
	return sys(fsync(files[s->fd]));
}

/* What the kernel keeps of the file: so that the next read is seen. */
int64_t do_drop(const struct step *s)
{
	int64_t r = sys(fsync(files[s->fd]));

	if (r)
		return r;
	return -posix_fadvise(files[s->fd], 0, 0, POSIX_FADV_DONTNEED);
}

int64_t do_fdatasync(const struct step *s)
{
	return sys(fdatasync(files[s->fd]));
}

int64_t do_fallocate(const struct step *s)
{
	return sys(fallocate(files[s->fd], s->flags, s->a, s->b));
}

int64_t do_posix_fallocate(const struct step *s)
{
	return -posix_fallocate(files[s->fd], s->a, s->b);
}

int64_t do_fsetxattr(const struct step *s)
{
	return sys(fsetxattr(files[s->fd], path_q(s), xattr_bytes(s),
			     (size_t)s->a, s->flags));
}

int64_t do_fgetxattr(const struct step *s)
{
	return sys(fgetxattr(files[s->fd], path_q(s), scratch, (size_t)s->a));
}

int64_t do_frmxattr(const struct step *s)
{
	return sys(fremovexattr(files[s->fd], path_q(s)));
}
