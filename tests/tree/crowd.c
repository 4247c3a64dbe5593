/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each thread walks by name from the root, as programs do, so it works on
 * whatever is there at the moment.  Answers are judged by what a race may
 * make of them; what must hold at the end is the caller's to check.
 */
#include "crowd.h"

#include "driver.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#define THREADS_MAX 16u

struct member {
	const struct dynfs_fs_view *fs;
	uint64_t random;
	unsigned n_steps;
	atomic_int *bad; /* the first answer that no race explains */
};

static const struct dynfs_caller nobody = { .uid = 3, .gid = 3 };

static uint64_t pick(struct member *m, uint64_t n)
{
	return random_below(&m->random, n);
}

/* A directory at depth 0 to 2, with a lookup reference. */
static uint64_t any_dir(struct member *m)
{
	uint64_t ino = DYNFS_ROOT_INO;
	struct dynfs_attr a;
	char name[8];

	for (uint64_t depth = pick(m, 3); depth > 0; depth--) {
		(void)snprintf(name, sizeof(name), "d%u", (unsigned)pick(m, 3));
		if (m->fs->lookup(m->fs->ctx, ino, name, &a) < 0)
			break;
		if (ino != DYNFS_ROOT_INO)
			m->fs->forget(m->fs->ctx, ino, 1);
		ino = a.ino;
		if (!S_ISDIR(a.mode))
			break;
	}
	return ino;
}

static void leave(struct member *m, uint64_t ino)
{
	if (ino != DYNFS_ROOT_INO)
		m->fs->forget(m->fs->ctx, ino, 1);
}

static void judge(struct member *m, int r)
{
	static const int fine[] = { 0,       -ENOENT,    -EEXIST, -ENOTDIR,
				    -EISDIR, -ENOTEMPTY, -EINVAL, -EPERM };
	int none = 0;

	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
		if (r == fine[i])
			return;
	(void)atomic_compare_exchange_strong(m->bad, &none, r);
}

static int take_plus(void *ctx, const struct dynfs_dirent *e)
{
	struct member *m = (struct member *)ctx;

	if (e->has_attr)
		m->fs->forget(m->fs->ctx, e->attr.ino, 1);
	return 0;
}

static void take_read(void *ctx, int err, const struct iovec *iov, uint32_t n)
{
	(void)iov;
	(void)n;
	judge((struct member *)ctx, err);
}

static void use_file(struct member *m, uint64_t dir, const char *name)
{
	struct dynfs_file *file;
	struct dynfs_attr a;
	int r = m->fs->lookup(m->fs->ctx, dir, name, &a);

	judge(m, r);
	if (r < 0)
		return;
	r = S_ISREG(a.mode) ? m->fs->open(m->fs->ctx, a.ino, O_RDONLY, &file)
			    : 1;
	if (!r) {
		m->fs->read(m->fs->ctx, a.ino, file, 0, 100, take_read, m);
		m->fs->release(m->fs->ctx, file);
	}
	/* what was found by name is held: it can not be gone */
	judge(m, r < 0 ? -EBADF : 0);
	m->fs->forget(m->fs->ctx, a.ino, 1);
}

static void use_link(struct member *m, uint64_t dir, const char *name)
{
	struct dynfs_attr a, b;
	uint64_t from = any_dir(m);

	if (m->fs->lookup(m->fs->ctx, from, "n1", &a) == 0) {
		int r = m->fs->link(m->fs->ctx, a.ino, dir, name, &b);

		judge(m, r);
		m->fs->forget(m->fs->ctx, a.ino, r ? 1 : 2);
	}
	leave(m, from);
}

/* Attributes of a directory, while others make things in it. */
static int use_attrs(struct member *m, uint64_t ino)
{
	const struct dynfs_fs_view *fs = m->fs;
	struct dynfs_attr a, in = { .mode = (uint32_t)pick(m, 01000) };
	const char *name =
	    pick(m, 2) ? "system.posix_acl_default" : "system.posix_acl_access";
	char value[64];
	size_t len;
	int r;

	switch (pick(m, 6)) {
	case 0: /* a file has no default */
		r = fs->setxattr(fs->ctx, ino, name, some_acl, sizeof(some_acl),
				 0, &nobody);
		return r == -EACCES ? 0 : r;
	case 1:
		return fs->removexattr(fs->ctx, ino, name);
	case 2:
		return fs->setattr(fs->ctx, ino, DYNFS_SET_MODE, &in, &a);
	case 3: /* a policy of the doubles, and one of the stack */
		return pick(m, 2)
			   ? fs->setxattr(fs->ctx, ino, "user.dynfs.policy",
					  "one", 3, 0, &nobody)
			   : fs->setxattr(fs->ctx, ino, "user.dynfs.policy",
					  "c2", 2, 0, &nobody);
	case 4:
		r = fs->removexattr(fs->ctx, ino, "user.dynfs.policy");
		break;
	default:
		r = fs->getxattr(fs->ctx, ino, name, value, sizeof(value),
				 &len);
		if (!r && len != sizeof(some_acl))
			return -EBADF;
	}
	return r == -ENODATA ? 0 : r;
}

static void step(struct member *m)
{
	const struct dynfs_fs_view *fs = m->fs;
	uint64_t dir = any_dir(m), to;
	bool sub = pick(m, 2);
	struct dynfs_attr a;
	static const uint32_t flags[] = { 0, DYNFS_RENAME_NOREPLACE,
					  DYNFS_RENAME_EXCHANGE,
					  DYNFS_RENAME_WHITEOUT };
	char name[8], other[8];
	int r = 1;

	(void)snprintf(name, sizeof(name), "%c%u", sub ? 'd' : 'n',
		       (unsigned)pick(m, 3));
	(void)snprintf(other, sizeof(other), "%c%u", pick(m, 2) ? 'd' : 'n',
		       (unsigned)pick(m, 3));
	switch (pick(m, 9)) {
	case 0:
	case 1:
		r = sub ? fs->mkdir(fs->ctx, dir, name, 0755, &nobody, &a)
			: fs->mknod(fs->ctx, dir, name, S_IFREG | 0644, 0,
				    &nobody, &a);
		if (!r)
			fs->forget(fs->ctx, a.ino, 1);
		break;
	case 2:
		r = sub ? fs->rmdir(fs->ctx, dir, name)
			: fs->unlink(fs->ctx, dir, name);
		break;
	case 3:
	case 4:
		to = any_dir(m);
		r = fs->rename(fs->ctx, dir, name, to, other, flags[pick(m, 4)],
			       &nobody);
		leave(m, to);
		break;
	case 5:
		use_link(m, dir, name);
		break;
	case 6:
		r = fs->readdir(fs->ctx, dir, 0, 1, take_plus, m);
		break;
	case 7:
		r = use_attrs(m, dir);
		break;
	default:
		use_file(m, dir, name);
	}
	judge(m, r == 1 ? 0 : r);
	leave(m, dir);
}

static void *member_run(void *arg)
{
	struct member *m = (struct member *)arg;

	for (unsigned i = 0; i < m->n_steps; i++)
		step(m);
	return NULL;
}

void crowd_run(const struct dynfs_fs_view *fs, unsigned n_threads,
	       unsigned n_steps, uint64_t seed)
{
	struct member members[THREADS_MAX];
	pthread_t threads[THREADS_MAX];
	atomic_int bad = 0;

	assert_true(n_threads <= THREADS_MAX);
	for (unsigned i = 0; i < n_threads; i++) {
		members[i] = (struct member){ .fs = fs,
					      .random = seed + i,
					      .n_steps = n_steps,
					      .bad = &bad };
		assert_int_equal(
		    pthread_create(&threads[i], NULL, member_run, &members[i]),
		    0);
	}
	for (unsigned i = 0; i < n_threads; i++)
		(void)pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&bad), 0);
}
