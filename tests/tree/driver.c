/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps.  Names come from a small set, so that they collide, and nodes
 * are taken from all that the test still holds: files without a name and
 * removed directories are asked too.
 */
#include "driver.h"

#include "seeded.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#define N_NAMES   24
#define WRITE_MAX 9000

uint64_t random_next(uint64_t *state)
{
	return rnd(state);
}

uint64_t random_below(uint64_t *state, uint64_t n)
{
	return random_next(state) % n;
}

uint64_t driver_seed(void)
{
	const char *given =
	    getenv("DYNFS_TEST_SEED"); /* NOLINT(concurrency-mt-unsafe) */
	uint64_t seed =
	    given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 1000003u;

	print_message("DYNFS_TEST_SEED=%llu\n", (unsigned long long)seed);
	return seed;
}

void driver_init(struct driver *d, const struct dynfs_fs_view *fs,
		 uint64_t seed)
{
	*d = (struct driver){ .fs = fs, .random = seed };
	model_init(&d->m);
}

static uint64_t below(struct driver *d, uint64_t n)
{
	return random_below(&d->random, n);
}

/* A node that a frontend would know the number of. */
static struct node *any_node(struct driver *d)
{
	for (int i = 0; i < 1000; i++) {
		struct node *n = d->m.nodes[below(d, d->m.n)];

		if (n->lookups || n->opens || n == d->m.nodes[0])
			return n;
	}
	return d->m.nodes[0];
}

static struct node *any_dir(struct driver *d)
{
	for (int i = 0; i < 8; i++) {
		struct node *n = any_node(d);

		if (S_ISDIR(n->mode))
			return n;
	}
	return below(d, 4) ? d->m.nodes[0] : any_node(d);
}

static struct node *any_file(struct driver *d)
{
	for (int i = 0; i < 8; i++) {
		struct node *n = any_node(d);

		if (S_ISREG(n->mode))
			return n;
	}
	return NULL;
}

static const char *any_name(struct driver *d, char buf[300])
{
	uint64_t i = below(d, N_NAMES + 2);

	if (i < N_NAMES) {
		(void)snprintf(buf, 300, "n%u", (unsigned)i);
		return buf;
	}
	/* the longest, and one too long */
	memset(buf, 'x', 299);
	buf[i == N_NAMES ? 255 : 256] = 0;
	return buf;
}

/* The answer to something that makes a node or a name. */
static void made(struct driver *d, int want, int have, struct node *in,
		 const struct dynfs_attr *a)
{
	assert_int_equal(want, have);
	if (want)
		return;
	if (!in->ino)
		in->ino = a->ino;
	assert_int_equal(in->ino, a->ino);
	assert_int_equal(in->mode, a->mode);
	assert_int_equal(in->nlink, a->nlink);
	assert_int_equal(in->uid, a->uid);
	assert_int_equal(in->gid, a->gid);
	in->lookups++;
	d->n_done++;
}

static struct dynfs_caller any_caller(struct driver *d)
{
	return (struct dynfs_caller){ .uid = (uint32_t)below(d, 3),
				      .gid = (uint32_t)below(d, 3),
				      .umask = below(d, 2) ? 022 : 0 };
}

static void step_mknod(struct driver *d)
{
	static const uint32_t types[] = { S_IFREG, S_IFREG,  S_IFREG, S_IFREG,
					  S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK };
	struct dynfs_caller who = any_caller(d);
	uint32_t mode = types[below(d, 8)] | 0666;
	uint64_t dev = S_ISCHR(mode) || S_ISBLK(mode) ? below(d, 1000) : 0;
	struct node *dir = any_dir(d), *in = NULL;
	struct dynfs_attr a;
	char name[300];
	int r;

	any_name(d, name);
	r = model_make(&d->m, dir, name, mode, dev, NULL, &who, &in);
	made(d, r,
	     d->fs->mknod(d->fs->ctx, dir->ino, name, mode, dev, &who, &a), in,
	     &a);
}

static void step_create(struct driver *d)
{
	struct dynfs_caller who = any_caller(d);
	struct node *dir = any_dir(d), *in = NULL;
	struct dynfs_file *file = NULL;
	struct dynfs_attr a;
	char name[300];
	int r;

	any_name(d, name);
	r = model_make(&d->m, dir, name, S_IFREG | 0644, 0, NULL, &who, &in);
	made(d, r,
	     d->fs->create(d->fs->ctx, dir->ino, name, 0644, O_RDWR, &who, &a,
			   &file),
	     in, &a);
	if (!r)
		in->open[in->opens++] = file;
}

static void step_mkdir(struct driver *d)
{
	struct dynfs_caller who = any_caller(d);
	struct node *dir = any_dir(d), *in = NULL;
	uint32_t mode = below(d, 4) ? 0755 : 02775;
	struct dynfs_attr a;
	char name[300];
	int r;

	any_name(d, name);
	r = model_make(&d->m, dir, name, S_IFDIR | mode, 0, NULL, &who, &in);
	made(d, r, d->fs->mkdir(d->fs->ctx, dir->ino, name, mode, &who, &a), in,
	     &a);
}

static void step_symlink(struct driver *d)
{
	struct dynfs_caller who = any_caller(d);
	struct node *dir = any_dir(d), *in = NULL;
	size_t len = 1 + below(d, below(d, 8) ? 40 : 4095);
	static _Thread_local char target[4096];
	struct dynfs_attr a;
	char name[300];
	int r;

	any_name(d, name);
	memset(target, 'a' + (int)below(d, 26), len);
	target[len] = 0;
	r = model_make(&d->m, dir, name, S_IFLNK | 0777, 0, target, &who, &in);
	made(d, r, d->fs->symlink(d->fs->ctx, dir->ino, name, target, &who, &a),
	     in, &a);
}

static void step_link(struct driver *d)
{
	struct node *dir = any_dir(d), *in = any_node(d);
	struct dynfs_attr a;
	char name[300];
	int r;

	any_name(d, name);
	r = model_link(in, dir, name);
	made(d, r, d->fs->link(d->fs->ctx, in->ino, dir->ino, name, &a), in,
	     &a);
}

static void step_remove(struct driver *d)
{
	struct node *dir = any_dir(d);
	bool is_dir = below(d, 3) == 0;
	char name[300];
	int want, have;

	any_name(d, name);
	want = model_remove(dir, name, is_dir);
	have = is_dir ? d->fs->rmdir(d->fs->ctx, dir->ino, name)
		      : d->fs->unlink(d->fs->ctx, dir->ino, name);
	assert_int_equal(want, have);
	d->n_done += !want;
}

/* Where the name was is a whiteout. */
static void left(struct driver *d, struct node *dir, const char *name,
		 const struct dynfs_caller *who)
{
	struct node *in = NULL;
	struct dynfs_attr a;
	int r = model_make(&d->m, dir, name, S_IFCHR, 0, NULL, who, &in);

	made(d, r, d->fs->lookup(d->fs->ctx, dir->ino, name, &a), in, &a);
	assert_int_equal(a.rdev, 0);
}

static void step_rename(struct driver *d)
{
	struct node *from = any_dir(d);
	struct node *to = below(d, 2) ? from : any_dir(d);
	static const uint32_t some[] = { 0, DYNFS_RENAME_NOREPLACE,
					 DYNFS_RENAME_EXCHANGE,
					 DYNFS_RENAME_WHITEOUT };
	uint32_t flags = below(d, 4) ? 0 : some[below(d, 4)];
	struct dynfs_caller who = any_caller(d);
	char name[300], new_name[300];
	int want;

	any_name(d, name);
	any_name(d, new_name);
	want = model_rename(from, name, to, new_name, flags);
	assert_int_equal(want, d->fs->rename(d->fs->ctx, from->ino, name,
					     to->ino, new_name, flags, &who));
	d->n_done += !want;
	/* two names of one file stay as they are */
	if (!want && (flags & DYNFS_RENAME_WHITEOUT) && !model_find(from, name))
		left(d, from, name, &who);
}

static void step_lookup(struct driver *d)
{
	struct node *dir = any_dir(d), *in;
	struct dynfs_attr a;
	char name[300];
	int r;

	any_name(d, name);
	r = d->fs->lookup(d->fs->ctx, dir->ino, name, &a);
	if (strlen(name) > DYNFS_NAME_MAX) {
		assert_int_equal(r, -ENAMETOOLONG);
		return;
	}
	if (!S_ISDIR(dir->mode)) {
		assert_int_equal(r, -ENOTDIR);
		return;
	}
	in = model_find(dir, name);
	assert_int_equal(r, in ? 0 : -ENOENT);
	if (!in)
		return;
	assert_int_equal(a.ino, in->ino);
	assert_int_equal(a.nlink, in->nlink);
	in->lookups++;
}

static void step_forget(struct driver *d)
{
	struct node *in = any_node(d);
	uint64_t n = in->lookups ? 1 + below(d, in->lookups) : 0;

	/* who is named stays known, or nothing could be done to it */
	if (in->nlink && n == in->lookups)
		n = n ? n - 1 : 0;
	if (!n)
		return;
	in->lookups -= n;
	d->fs->forget(d->fs->ctx, in->ino, n);
}

const char some_acl[SOME_ACL_BYTES] = "\2\0\0\0"
				      "\1\0\7\0\377\377\377\377"
				      "\2\0\7\0\5\0\0\0"
				      "\4\0\5\0\377\377\377\377"
				      "\20\0\7\0\377\377\377\377"
				      "\40\0\0\0\377\377\377\377";

int take_result(void *ctx, int err)
{
	*(int *)ctx = err;
	return 0;
}

static void step_open(struct driver *d)
{
	struct node *in = any_file(d);
	bool cut = !d->names_only && below(d, 4) == 0;
	int r = 1;

	if (!in)
		return;
	if (in->opens == OPENS_MAX || (in->opens && below(d, 2))) {
		struct dynfs_file *file = in->open[--in->opens];
		const struct dynfs_call call = TAKE_RESULT(&r);

		d->fs->flush(d->fs->ctx, file, &call);
		assert_int_equal(r, 0);
		d->fs->release(d->fs->ctx, file);
		return;
	}
	assert_int_equal(d->fs->open(d->fs->ctx, in->ino,
				     O_RDWR | (cut ? O_TRUNC : 0),
				     &in->open[in->opens]),
			 0);
	in->opens++;
	if (cut)
		in->content.len = 0;
}

static void step_write(struct driver *d)
{
	struct node *in = any_file(d);
	static _Thread_local char data[WRITE_MAX];
	size_t len = 1 + below(d, below(d, 3) ? 500 : WRITE_MAX);
	uint64_t off = below(d, 20000);
	bool append = below(d, 3) == 0;
	struct iovec iov[2] = { { data, len / 2 },
				{ data + len / 2, len - len / 2 } };
	int r = 1;

	if (!in || d->names_only)
		return;
	for (size_t i = 0; i < len; i++)
		data[i] = (char)random_next(&d->random);
	if (append)
		off = in->content.len;
	if (off + len > in->content.len)
		buf_put_zero(&in->content, off + len - in->content.len);
	memcpy(in->content.data + off, data, len);
	d->fs->write(d->fs->ctx, in->ino,
		     in->opens ? in->open[below(d, in->opens)] : NULL,
		     append ? 7 : off, iov, 2, append ? O_APPEND : 0,
		     &(struct dynfs_call)TAKE_RESULT(&r));
	assert_int_equal(r, 0);
}

static void step_setattr(struct driver *d)
{
	struct node *in = any_node(d);
	struct dynfs_attr want = { .mode = (uint32_t)below(d, 07777),
				   .uid = (uint32_t)below(d, 4),
				   .gid = (uint32_t)below(d, 4),
				   .size_bytes = below(d, 30000) };
	uint32_t mask = (uint32_t)below(d, 16);
	struct dynfs_attr a;
	int r;

	if (d->names_only)
		mask &= ~DYNFS_SET_SIZE;
	r = d->fs->setattr(d->fs->ctx, in->ino, mask, &want, &a);
	if ((mask & DYNFS_SET_SIZE) && !S_ISREG(in->mode)) {
		assert_int_equal(r, S_ISDIR(in->mode) ? -EISDIR : -EINVAL);
		return;
	}
	assert_int_equal(r, 0);
	model_setattr(in, mask, &want);
	assert_int_equal(a.mode, in->mode);
	assert_int_equal(a.uid, in->uid);
	assert_int_equal(a.gid, in->gid);
	d->n_done += mask != 0;
}

static void step_xattr(struct driver *d)
{
	static const char *const names[] = { "user.a", "user.b", "trusted.c",
					     "security.capability",
					     "security.selinux" };
	const char *name = names[below(d, 5)];
	struct node *in = any_node(d);
	uint32_t flags = (uint32_t)below(d, 3);
	size_t len = below(d, 300);
	char value[300];
	static const struct dynfs_caller root = { .uid = 0 };
	int want;

	memset(value, (int)below(d, 256), sizeof(value));
	if (below(d, 3)) {
		want = model_setxattr(in, name, value, len, flags);
		assert_int_equal(want,
				 d->fs->setxattr(d->fs->ctx, in->ino, name,
						 value, len, flags, &root));
	} else {
		want = model_removexattr(in, name);
		assert_int_equal(want,
				 d->fs->removexattr(d->fs->ctx, in->ino, name));
	}
	d->n_done += !want;
}

void driver_step(struct driver *d)
{
	static void (*const steps[])(struct driver *) = {
		step_mknod,  step_mknod,   step_create, step_mkdir,
		step_mkdir,  step_symlink, step_link,   step_remove,
		step_remove, step_remove,  step_rename, step_rename,
		step_rename, step_lookup,  step_forget, step_forget,
		step_open,   step_open,    step_write,  step_setattr,
		step_xattr,
	};

	steps[below(d, sizeof(steps) / sizeof(steps[0]))](d);
}

void driver_forget(struct driver *d)
{
	for (size_t i = 0; i < d->m.n; i++) {
		struct node *n = d->m.nodes[i];

		while (n->opens)
			d->fs->release(d->fs->ctx, n->open[--n->opens]);
		if (n->lookups)
			d->fs->forget(d->fs->ctx, n->ino, n->lookups);
		n->lookups = 0;
	}
}

static void relook(struct driver *d, struct node *dir)
{
	for (size_t i = 0; i < dir->n_kids; i++) {
		struct node *in = dir->kids[i].node;
		struct dynfs_attr a;

		assert_int_equal(
		    d->fs->lookup(d->fs->ctx, dir->ino, dir->kids[i].name, &a),
		    0);
		assert_int_equal(a.ino, in->ino);
		in->lookups++;
		if (S_ISDIR(in->mode))
			relook(d, in);
	}
}

void driver_relook(struct driver *d)
{
	relook(d, d->m.nodes[0]);
}

void driver_compare(struct driver *d, bool content)
{
	struct buf want = BUF_INIT, have = BUF_INIT;

	model_dump(&d->m, content, &want);
	view_dump(d->fs, content, &have);
	dumps_equal(&want, &have);
	buf_done(&want);
	buf_done(&have);
}

void driver_done(struct driver *d)
{
	model_done(&d->m);
}
