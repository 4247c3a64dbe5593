/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inodes, names and attributes of the pass-through.
 *
 * The kernel's number of an inode is the address of a struct node, which
 * holds an O_PATH handle: so names are looked up below their folder and never
 * as a path, and a number below cannot be used again while the kernel knows
 * the inode.  One inode is one node, however many names it has: a table finds
 * it by what it is below.
 */
#include "passthrough.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define N_CHAINS    65536u
#define N_LOCKS     64u
#define XATTR_BYTES 65536u
#define PROC_ROOM   32u

struct node {
	struct node *next;
	ino_t ino;
	dev_t dev;
	uint64_t n_lookup;
	int fd;
};

/* chain i is guarded by lock i % N_LOCKS, with n_lookup of its nodes */
static struct node *chains[N_CHAINS];
static pthread_mutex_t locks[N_LOCKS];
static struct node root = { .fd = -1 };
static int proc_fd = -1;

_Static_assert(sizeof(fuse_ino_t) == sizeof(struct node *), "an address");

static struct node *node_of(fuse_ino_t ino)
{
	struct node *n = &root;

	if (ino != FUSE_ROOT_ID)
		memcpy(&n, &ino, sizeof(n));
	return n;
}

int pass_fd(fuse_ino_t ino)
{
	return node_of(ino)->fd;
}

int pass_root(const char *path)
{
	for (size_t i = 0; i < N_LOCKS; i++)
		(void)pthread_mutex_init(&locks[i], NULL); /* cannot fail */
	proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc_fd < 0)
		return -errno;
	root.fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return root.fd < 0 ? -errno : 0;
}

static void node_proc(fuse_ino_t ino, char path[PROC_ROOM])
{
	(void)snprintf(path, PROC_ROOM, "/proc/self/fd/%d", pass_fd(ino));
}

int pass_reopen(fuse_ino_t ino, int flags)
{
	char name[PROC_ROOM];
	int fd;

	(void)snprintf(name, sizeof(name), "%d", pass_fd(ino));
	fd = openat(proc_fd, name, (flags & ~O_NOFOLLOW) | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static size_t chain_of(const struct stat *st)
{
	uint64_t h =
	    (st->st_ino ^ st->st_dev << 48) * UINT64_C(0x9e3779b97f4a7c15);

	return h >> 48;
}

/* Takes fd over. */
static struct node *node_get(int fd, const struct stat *st)
{
	size_t chain = chain_of(st);
	pthread_mutex_t *lock = &locks[chain % N_LOCKS];
	struct node *n;
	bool known;

	pthread_mutex_lock(lock);
	for (n = chains[chain]; n; n = n->next)
		if (n->ino == st->st_ino && n->dev == st->st_dev)
			break;
	known = n;
	if (!known && (n = calloc(1, sizeof(*n)))) {
		*n = (struct node){ .next = chains[chain],
				    .ino = st->st_ino,
				    .dev = st->st_dev,
				    .fd = fd };
		chains[chain] = n;
	}
	if (n)
		n->n_lookup++;
	pthread_mutex_unlock(lock);
	if (known || !n)
		(void)close(fd); /* O_PATH: nothing was written */
	return n;
}

void pass_drop(fuse_ino_t ino, uint64_t n_lookup)
{
	struct node *n = node_of(ino), **at;
	struct stat key = { .st_ino = n->ino, .st_dev = n->dev };
	size_t chain = chain_of(&key);
	bool last;

	if (n == &root)
		return;
	pthread_mutex_lock(&locks[chain % N_LOCKS]);
	n->n_lookup -= n_lookup;
	last = !n->n_lookup;
	for (at = &chains[chain]; last && *at; at = &(*at)->next)
		if (*at == n) {
			*at = n->next;
			break;
		}
	pthread_mutex_unlock(&locks[chain % N_LOCKS]);
	if (last) {
		(void)close(n->fd); /* O_PATH: nothing was written */
		free(n);
	}
}

int pass_find(fuse_ino_t parent, const char *name, struct fuse_entry_param *ret)
{
	struct node *n;
	int fd;

	memset(ret, 0, sizeof(*ret));
	ret->attr_timeout = ret->entry_timeout = PASS_TIMEOUT;
	fd = openat(pass_fd(parent), name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstatat(fd, "", &ret->attr, AT_EMPTY_PATH) < 0) {
		int err = -errno;

		(void)close(fd); /* O_PATH: nothing was written */
		return err;
	}
	n = node_get(fd, &ret->attr);
	if (!n)
		return -ENOMEM;
	ret->ino = (fuse_ino_t)n;
	return 0;
}

/* err may be what a call returned, with errno */
static void answer(fuse_req_t req, int err)
{
	(void)fuse_reply_err(req, err < 0 ? errno : 0); /* it may have gone */
}

static void answer_entry(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e;
	int err = pass_find(parent, name, &e);

	if (err)
		(void)fuse_reply_err(req, -err); /* it may have gone */
	else if (fuse_reply_entry(req, &e) == -ENOENT)
		pass_drop(e.ino, 1);
}

void pass_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e;
	int err = pass_find(parent, name, &e);

	if (err && err != -ENOENT)
		(void)fuse_reply_err(req, -err); /* it may have gone */
	else if (fuse_reply_entry(req, &e) == -ENOENT && !err)
		pass_drop(e.ino, 1); /* without e.ino: there is none */
}

void pass_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
	pass_drop(ino, n);
	fuse_reply_none(req);
}

void pass_forget_multi(fuse_req_t req, size_t n, struct fuse_forget_data *v)
{
	for (size_t i = 0; i < n; i++)
		pass_drop(v[i].ino, v[i].nlookup);
	fuse_reply_none(req);
}

void pass_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	(void)fi; /* the inode says it all */
	if (fstatat(pass_fd(ino), "", &st, AT_EMPTY_PATH) < 0)
		answer(req, -1);
	else
		(void)fuse_reply_attr(req, &st, PASS_TIMEOUT);
}

static struct timespec set_time(int to_set, int now, int given,
				struct timespec t)
{
	if (to_set & now)
		t.tv_nsec = UTIME_NOW;
	else if (!(to_set & given))
		t.tv_nsec = UTIME_OMIT;
	return t;
}

static int set_size(fuse_ino_t ino, off_t size, const struct fuse_file_info *fi)
{
	char path[PROC_ROOM];

	if (fi)
		return ftruncate((int)fi->fh, size);
	node_proc(ino, path);
	return truncate(path, size);
}

static int set_all(fuse_ino_t ino, const struct stat *st, int to_set,
		   const struct fuse_file_info *fi)
{
	int fd = pass_fd(ino);
	char path[PROC_ROOM];
	struct timespec times[2] = {
		set_time(to_set, FUSE_SET_ATTR_ATIME_NOW, FUSE_SET_ATTR_ATIME,
			 st->st_atim),
		set_time(to_set, FUSE_SET_ATTR_MTIME_NOW, FUSE_SET_ATTR_MTIME,
			 st->st_mtim),
	};

	node_proc(ino, path);
	if (to_set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID) &&
	    fchownat(fd, "",
		     to_set & FUSE_SET_ATTR_UID ? st->st_uid : (uid_t)-1,
		     to_set & FUSE_SET_ATTR_GID ? st->st_gid : (gid_t)-1,
		     AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	if (to_set & FUSE_SET_ATTR_MODE && chmod(path, st->st_mode) < 0)
		return -1;
	if (to_set & FUSE_SET_ATTR_SIZE && set_size(ino, st->st_size, fi) < 0)
		return -1;
	if (times[0].tv_nsec == UTIME_OMIT && times[1].tv_nsec == UTIME_OMIT)
		return 0;
	return utimensat(fd, "", times, AT_EMPTY_PATH);
}

void pass_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set,
		  struct fuse_file_info *fi)
{
	if (set_all(ino, st, to_set, fi) < 0)
		answer(req, -1);
	else
		pass_getattr(req, ino, fi);
}

void pass_readlink(fuse_req_t req, fuse_ino_t ino)
{
	char target[PATH_MAX + 1];
	ssize_t n = readlinkat(pass_fd(ino), "", target, PATH_MAX);

	if (n < 0) {
		answer(req, -1);
		return;
	}
	target[n] = '\0';
	(void)fuse_reply_readlink(req, target); /* the caller may have gone */
}

/* A default ACL would stand in for the umask; no row has one. */
mode_t pass_mode(fuse_req_t req, mode_t mode)
{
	return mode & ~fuse_req_ctx(req)->umask;
}

int pass_give(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	const struct fuse_ctx *who = fuse_req_ctx(req);
	gid_t gid = who->gid;
	struct stat st;

	if (!who->uid && !who->gid)
		return 0;
	if (fstatat(pass_fd(parent), "", &st, AT_EMPTY_PATH) < 0)
		return -errno;
	if (st.st_mode & S_ISGID)
		gid = (gid_t)-1; /* the folder's, as the file has it */
	return fchownat(pass_fd(parent), name, who->uid, gid,
			AT_SYMLINK_NOFOLLOW) < 0
		   ? -errno
		   : 0;
}

static void answer_made(fuse_req_t req, fuse_ino_t parent, const char *name,
			int result)
{
	int err = result < 0 ? -errno : pass_give(req, parent, name);

	if (err)
		(void)fuse_reply_err(req, -err); /* it may have gone */
	else
		answer_entry(req, parent, name);
}

void pass_mknod(fuse_req_t req, fuse_ino_t parent, const char *name,
		mode_t mode, dev_t rdev)
{
	answer_made(req, parent, name,
		    mknodat(pass_fd(parent), name, pass_mode(req, mode), rdev));
}

void pass_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name,
		mode_t mode)
{
	answer_made(req, parent, name,
		    mkdirat(pass_fd(parent), name, pass_mode(req, mode)));
}

void pass_symlink(fuse_req_t req, const char *target, fuse_ino_t parent,
		  const char *name)
{
	answer_made(req, parent, name,
		    symlinkat(target, pass_fd(parent), name));
}

void pass_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	answer(req, unlinkat(pass_fd(parent), name, 0));
}

void pass_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	answer(req, unlinkat(pass_fd(parent), name, AT_REMOVEDIR));
}

void pass_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
		 fuse_ino_t new_parent, const char *new_name,
		 unsigned int flags)
{
	answer(req, renameat2(pass_fd(parent), name, pass_fd(new_parent),
			      new_name, flags));
}

void pass_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent,
	       const char *name)
{
	if (linkat(pass_fd(ino), "", pass_fd(parent), name, AT_EMPTY_PATH) < 0)
		answer(req, -1);
	else
		answer_entry(req, parent, name);
}

void pass_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
		   const char *value, size_t len, int flags)
{
	char path[PROC_ROOM];

	node_proc(ino, path);
	answer(req, setxattr(path, name, value, len, flags));
}

/* name NULL: the list of all names */
static void answer_xattr(fuse_req_t req, fuse_ino_t ino, const char *name,
			 size_t len)
{
	static _Thread_local char value[XATTR_BYTES];
	char path[PROC_ROOM];
	ssize_t n;

	if (len > sizeof(value))
		len = sizeof(value);
	/* the link below proc ends at the inode itself, be it a symlink */
	node_proc(ino, path);
	n = name ? getxattr(path, name, value, len)
		 : listxattr(path, value, len);
	if (n < 0)
		answer(req, -1);
	else if (!len)
		(void)fuse_reply_xattr(req, (size_t)n);
	else
		(void)fuse_reply_buf(req, value, (size_t)n);
}

void pass_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t len)
{
	answer_xattr(req, ino, name, len);
}

void pass_listxattr(fuse_req_t req, fuse_ino_t ino, size_t len)
{
	answer_xattr(req, ino, NULL, len);
}

void pass_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	char path[PROC_ROOM];

	node_proc(ino, path);
	answer(req, removexattr(path, name));
}
