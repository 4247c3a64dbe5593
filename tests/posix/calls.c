/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls that steps name, those that take a path; calls_fd.c has those
 * that take an open file.  struct step says where the arguments lie.
 */
#include "calls.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

static int64_t do_chmod(const struct step *s)
{
	return sys(chmod(path_p(s), (mode_t)s->a));
}

static int64_t do_chown(const struct step *s)
{
	return sys(chown(path_p(s), (uid_t)s->a, (gid_t)s->b));
}

static int64_t do_lchown(const struct step *s)
{
	return sys(lchown(path_p(s), (uid_t)s->a, (gid_t)s->b));
}

static int64_t do_link(const struct step *s)
{
	return sys(link(path_p(s), path_q(s)));
}

static int64_t do_linkat(const struct step *s)
{
	return sys(linkat(AT_FDCWD, path_p(s), AT_FDCWD, path_q(s), s->flags));
}

static int64_t do_mkdir(const struct step *s)
{
	return sys(mkdir(path_p(s), (mode_t)s->a));
}

static int64_t do_mkfifo(const struct step *s)
{
	return sys(mkfifo(path_p(s), (mode_t)s->a));
}

static int64_t do_mknod(const struct step *s)
{
	return sys(mknod(path_p(s), (mode_t)s->a, (dev_t)s->b));
}

static int64_t do_mkfile(const struct step *s)
{
	int fd = open(path_p(s), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC,
		      (mode_t)s->a);

	return fd < 0 ? -errno : sys(close(fd));
}

static int64_t do_fill(const struct step *s)
{
	int fd =
	    open(path_p(s), O_WRONLY | O_TRUNC | O_CREAT | O_CLOEXEC, 0644);
	int64_t r;

	if (fd < 0)
		return -errno;
	r = sys(write(fd, s->q, strlen(s->q)));
	(void)close(fd);
	return r < 0 ? r : 0;
}

static int64_t do_rename(const struct step *s)
{
	return sys(rename(path_p(s), path_q(s)));
}

static int64_t do_renameat2(const struct step *s)
{
	return sys(renameat2(AT_FDCWD, path_p(s), AT_FDCWD, path_q(s),
			     (unsigned int)s->flags));
}

static int64_t do_rmdir(const struct step *s)
{
	return sys(rmdir(path_p(s)));
}

static int64_t do_unlink(const struct step *s)
{
	return sys(unlink(path_p(s)));
}

static int64_t do_unlinkat(const struct step *s)
{
	return sys(unlinkat(AT_FDCWD, path_p(s), s->flags));
}

static int64_t do_symlink(const struct step *s)
{
	return sys(symlink(path_q(s), path_p(s)));
}

static int64_t do_readlink(const struct step *s)
{
	static char to[8192];

	return sys(readlink(path_p(s), to, sizeof(to)));
}

static int64_t do_truncate(const struct step *s)
{
	return sys(truncate(path_p(s), s->a));
}

static int64_t do_stat(const struct step *s)
{
	struct stat st;

	return sys(stat(path_p(s), &st));
}

static int64_t do_lstat(const struct step *s)
{
	struct stat st;

	return sys(lstat(path_p(s), &st));
}

static int64_t do_statfs(const struct step *s)
{
	struct statfs st;

	return sys(statfs(path_p(s), &st));
}

static int64_t do_access(const struct step *s)
{
	return sys(access(path_p(s), (int)s->a));
}

/* and back: later steps go on where they were */
static int64_t do_chdir(const struct step *s)
{
	int back = case_open(".", O_PATH | O_DIRECTORY, 0);
	int64_t r = sys(chdir(path_p(s)));

	if (fchdir(back))
		die("going back: %m");
	(void)close(back);
	return r;
}

static int64_t do_readdir(const struct step *s)
{
	DIR *dir = opendir(path_p(s));
	int64_t r = 0;

	if (!dir)
		return -errno;
	errno = 0;
	while (readdir(dir))
		r++;
	if (errno)
		r = -errno;
	(void)closedir(dir);
	return r;
}

static int64_t do_utimens(const struct step *s)
{
	struct timespec t[2] = { step_time(s->a), step_time(s->b) };

	return sys(utimensat(AT_FDCWD, path_p(s), s->a == T_NULL ? NULL : t,
			     s->flags));
}

static int64_t do_setxattr(const struct step *s)
{
	return sys(setxattr(path_p(s), path_q(s), xattr_bytes(s), (size_t)s->a,
			    s->flags));
}

static int64_t do_lsetxattr(const struct step *s)
{
	return sys(lsetxattr(path_p(s), path_q(s), xattr_bytes(s), (size_t)s->a,
			     s->flags));
}

static int64_t do_getxattr(const struct step *s)
{
	return sys(getxattr(path_p(s), path_q(s), scratch, (size_t)s->a));
}

static int64_t do_lgetxattr(const struct step *s)
{
	return sys(lgetxattr(path_p(s), path_q(s), scratch, (size_t)s->a));
}

static int64_t do_rmxattr(const struct step *s)
{
	return sys(removexattr(path_p(s), path_q(s)));
}

static int64_t do_lrmxattr(const struct step *s)
{
	return sys(lremovexattr(path_p(s), path_q(s)));
}

static int64_t do_umask(const struct step *s)
{
	return umask((mode_t)s->a);
}

static int64_t do_bind(const struct step *s)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const char *name = path_p(s);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int64_t r;

	if (strlen(name) >= sizeof(to.sun_path))
		die("%s is too long for a socket", name);
	memcpy(to.sun_path, name, strlen(name) + 1);
	r = sys(bind(fd, (struct sockaddr *)&to, sizeof(to)));
	(void)close(fd);
	return r;
}

call_fn *const call_table[N_CALLS] = {
	[CHMOD] = do_chmod,
	[FCHMOD] = do_fchmod,
	[CHOWN] = do_chown,
	[LCHOWN] = do_lchown,
	[FCHOWN] = do_fchown,
	[LINK] = do_link,
	[LINKAT] = do_linkat,
	[MKDIR] = do_mkdir,
	[MKFIFO] = do_mkfifo,
	[MKNOD] = do_mknod,
	[MKFILE] = do_mkfile,
	[FILL] = do_fill,
	[OPEN] = do_open,
	[CLOSE] = do_close,
	[DUP] = do_dup,
	[RENAME] = do_rename,
	[RENAMEAT2] = do_renameat2,
	[RMDIR] = do_rmdir,
	[UNLINK] = do_unlink,
	[UNLINKAT] = do_unlinkat,
	[SYMLINK] = do_symlink,
	[READLINK] = do_readlink,
	[TRUNCATE] = do_truncate,
	[FTRUNCATE] = do_ftruncate,
	[STAT] = do_stat,
	[LSTAT] = do_lstat,
	[STATFS] = do_statfs,
	[ACCESS] = do_access,
	[CHDIR] = do_chdir,
	[READDIR] = do_readdir,
	[UTIMENS] = do_utimens,
	[FUTIMENS] = do_futimens,
	[READ] = do_read,
	[WRITE] = do_write,
	[PREAD] = do_pread,
	[PWRITE] = do_pwrite,
	[LSEEK] = do_lseek,
	[FSYNC] = do_fsync,
	[DROP] = do_drop,
	[FDATASYNC] = do_fdatasync,
	[FALLOCATE] = do_fallocate,
	[PFALLOC] = do_posix_fallocate,
	[SETXATTR] = do_setxattr,
	[LSETXATTR] = do_lsetxattr,
	[FSETXATTR] = do_fsetxattr,
	[GETXATTR] = do_getxattr,
	[LGETXATTR] = do_lgetxattr,
	[FGETXATTR] = do_fgetxattr,
	[RMXATTR] = do_rmxattr,
	[LRMXATTR] = do_lrmxattr,
	[FRMXATTR] = do_frmxattr,
	[UMASK] = do_umask,
	[BIND] = do_bind,
};
