/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree alone, case by case: links, open files, renames, and what is
 * refused.
 */
#include "driver.h"
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static int write_some(struct world *w, uint64_t ino, struct dynfs_file *file,
		      uint64_t off, size_t len)
{
	static char bytes[100];
	struct iovec iov = { bytes, len };
	int r = 1;

	memset(bytes, 'b', sizeof(bytes));
	w->fs->write(w->fs->ctx, ino, file, off, &iov, 1, 0,
		     &(struct dynfs_call)TAKE_RESULT(&r));
	return r;
}

static int flushed(struct world *w, struct dynfs_file *file)
{
	int r = 1;

	w->fs->flush(w->fs->ctx, file, &(struct dynfs_call)TAKE_RESULT(&r));
	return r;
}

static struct dynfs_file *opened(struct world *w, uint64_t ino, uint32_t flags)
{
	struct dynfs_file *file = NULL;

	assert_int_equal(w->fs->open(w->fs->ctx, ino, flags, &file), 0);
	assert_int_equal(file->ino, ino);
	assert_int_equal(file->flags, flags);
	return file;
}

static void links_end_at_their_limit(void **state)
{
	struct world *w = *state;
	uint64_t file = make(w, 1, "file", S_IFREG | 0644);
	struct dynfs_attr a;
	struct inode *in;

	assert_int_equal(inode_get(w->files, file, &in), 0);
	in->rec.nlink = LINKS_MAX;
	assert_int_equal(w->fs->link(w->fs->ctx, file, 1, "more", &a), -EMLINK);
	in->rec.nlink = LINKS_MAX - 1;
	assert_int_equal(w->fs->link(w->fs->ctx, file, 1, "more", &a), 0);
	assert_int_equal(a.nlink, LINKS_MAX);
	in->rec.nlink = 2;
	w->fs->forget(w->fs->ctx, file, 1);
	inode_put(in);
}

static void an_open_file_outlives_its_name_and_takes_no_new_one(void **state)
{
	struct world *w = *state;
	const struct dynfs_fs_view *fs = w->fs;
	struct dynfs_attr a, gone;
	struct dynfs_file *file;

	assert_int_equal(
	    fs->create(fs->ctx, 1, "file", 0644, O_RDWR, &as_root, &a, &file),
	    0);
	assert_int_equal(write_some(w, a.ino, file, 0, 5), 0);
	assert_int_equal(fs->unlink(fs->ctx, 1, "file"), 0);
	assert_int_equal(double_keys(w->meta, 'O'), 1);
	assert_int_equal(attr_of(w, a.ino).nlink, 0);
	assert_int_equal(fs->link(fs->ctx, a.ino, 1, "again", &gone), -ENOENT);
	fs->forget(fs->ctx, a.ino, 1);
	assert_int_equal(write_some(w, a.ino, file, 5, 5), 0);
	assert_int_equal(attr_of(w, a.ino).size_bytes, 10);
	fs->release(fs->ctx, file);
	assert_int_equal(double_keys(w->meta, 'O'), 0);
	assert_int_equal(double_keys(w->meta, 'C'), 0);
	assert_int_equal(fs->getattr(fs->ctx, a.ino, &gone), -ENOENT);
}

static void settling_is_asked_for_where_files_could_end_up_empty(void **state)
{
	struct world *w = *state;
	const struct dynfs_fs_view *fs = w->fs;
	struct dynfs_file *open;
	uint64_t file;

	make(w, 1, "file", S_IFREG | 0644);
	make(w, 1, "new", S_IFREG | 0644);
	assert_int_equal(fs->rename(fs->ctx, 1, "new", 1, "newer", 0, NULL), 0);
	assert_int_equal(double_settled(w->files), 0);
	assert_int_equal(fs->rename(fs->ctx, 1, "newer", 1, "file", 0, NULL),
			 0);
	assert_int_equal(double_settled(w->files), 1);
	file = make(w, 1, "other", S_IFREG | 0644);
	open = opened(w, file, O_WRONLY);
	assert_int_equal(flushed(w, open), 0);
	assert_int_equal(double_settled(w->files), 1);
	fs->release(fs->ctx, open);
	open = opened(w, file, O_WRONLY | O_TRUNC);
	assert_int_equal(flushed(w, open), 0);
	assert_int_equal(double_settled(w->files), 2);
	fs->release(fs->ctx, open);
	open = opened(w, file, O_RDONLY | O_TRUNC);
	assert_int_equal(flushed(w, open), 0);
	assert_int_equal(double_settled(w->files), 2);
	fs->release(fs->ctx, open);
	/* neither for reading nor for writing: Linux has it for ioctl(2) */
	open = opened(w, file, O_ACCMODE);
	assert_int_equal(flushed(w, open), 0);
	fs->release(fs->ctx, open);
}

static void settling_is_asked_for_until_the_last_writer_closes(void **state)
{
	struct world *w = *state;
	const struct dynfs_fs_view *fs = w->fs;
	uint64_t ino = make(w, 1, "file", S_IFREG | 0644);
	struct dynfs_file *reader = opened(w, ino, O_RDONLY);
	struct dynfs_file *cutter = opened(w, ino, O_WRONLY | O_TRUNC);
	struct dynfs_file *writer = opened(w, ino, O_RDWR);

	assert_int_equal(flushed(w, cutter), 0);
	fs->release(fs->ctx, cutter);
	assert_int_equal(double_settled(w->files), 1);
	assert_int_equal(flushed(w, writer), 0);
	assert_int_equal(double_settled(w->files), 2);
	fs->release(fs->ctx, writer);
	assert_int_equal(flushed(w, reader), 0);
	assert_int_equal(double_settled(w->files), 2);
	fs->release(fs->ctx, reader);
}

/* Asks for a sync, and may have gone when the answer comes. */
struct asker {
	bool gone;
	int told;
};

static int asker_done(void *ctx, int err)
{
	struct asker *a = ctx;

	a->told = err;
	return a->gone ? -ENOENT : 0;
}

static int told(struct world *w, uint64_t ino, struct dynfs_file *file,
		bool gone)
{
	struct asker a = { .gone = gone, .told = 1 };
	struct dynfs_call call = { .size = sizeof(call),
				   .ctx = &a,
				   .done = asker_done };

	/* both ways to ask in turn */
	if (file && (ino + gone) % 2)
		w->fs->flush(w->fs->ctx, file, &call);
	else
		w->fs->fsync(w->fs->ctx, ino, file, 0, &call);
	return a.told;
}

static void lose(struct world *w, uint64_t ino, int err)
{
	struct inode *in;

	assert_int_equal(inode_get(w->files, ino, &in), 0);
	errseq_set(&in->losses, err);
	inode_put(in);
}

static void a_loss_is_told_once_to_each_file_that_was_open(void **state)
{
	struct world *w = *state;
	uint64_t ino = make(w, 1, "file", S_IFREG | 0644);
	struct dynfs_file *a = opened(w, ino, O_RDWR);
	struct dynfs_file *b = opened(w, ino, O_RDONLY), *c, *d;

	assert_int_equal(told(w, ino, a, false), 0);
	lose(w, ino, -EIO);
	c = opened(w, ino, O_RDWR); /* nobody was told yet */
	/* an answer that nobody took is none */
	assert_int_equal(told(w, ino, a, true), -EIO);
	assert_int_equal(told(w, ino, a, true), -EIO);
	assert_int_equal(told(w, ino, a, false), -EIO);
	assert_int_equal(told(w, ino, a, false), 0);
	d = opened(w, ino, O_RDWR); /* somebody was */
	assert_int_equal(told(w, ino, d, false), 0);
	assert_int_equal(told(w, ino, NULL, false), 0);
	assert_int_equal(told(w, ino, b, false), -EIO);
	assert_int_equal(told(w, ino, c, false), -EIO);
	assert_int_equal(told(w, ino, b, false), 0);
	assert_int_equal(told(w, ino, c, false), 0);
	/* two at once are told as one, and the same error again is another */
	lose(w, ino, -EIO);
	lose(w, ino, -ENOSPC);
	assert_int_equal(told(w, ino, d, false), -ENOSPC);
	lose(w, ino, -ENOSPC);
	assert_int_equal(told(w, ino, d, false), -ENOSPC);
	assert_int_equal(told(w, ino, a, false), -ENOSPC);
	assert_int_equal(told(w, ino, a, false), 0);
	w->fs->release(w->fs->ctx, a);
	w->fs->release(w->fs->ctx, b);
	w->fs->release(w->fs->ctx, c);
	w->fs->release(w->fs->ctx, d);
}

static void a_loss_that_nobody_was_there_for_is_told_to_the_next(void **state)
{
	struct world *w = *state;
	uint64_t ino = make(w, 1, "file", S_IFREG | 0644);
	struct dynfs_file *file;

	lose(w, ino, -EIO);
	assert_int_equal(told(w, ino, NULL, true), -EIO);
	assert_int_equal(told(w, ino, NULL, false), -EIO);
	assert_int_equal(told(w, ino, NULL, false), 0);
	lose(w, ino, -EIO);
	file = opened(w, ino, O_RDONLY);
	w->fs->release(w->fs->ctx, file); /* it did not ask */
	file = opened(w, ino, O_RDONLY);
	assert_int_equal(told(w, ino, file, false), -EIO);
	w->fs->release(w->fs->ctx, file);
	file = opened(w, ino, O_RDONLY);
	assert_int_equal(told(w, ino, file, false), 0);
	w->fs->release(w->fs->ctx, file);
}

static void take_read(void *ctx, int err, const struct iovec *iov, uint32_t n)
{
	(void)iov, (void)n;
	*(int *)ctx = err;
}

static void an_open_file_is_good_for_what_it_was_opened_for(void **state)
{
	struct world *w = *state;
	const struct dynfs_fs_view *fs = w->fs;
	uint64_t ino = make(w, 1, "file", S_IFREG | 0644);
	uint64_t other = make(w, 1, "other", S_IFREG | 0644);
	struct dynfs_file *r = opened(w, ino, O_RDONLY);
	struct dynfs_file *wr = opened(w, ino, O_WRONLY);
	int err = 1;

	assert_int_equal(write_some(w, ino, r, 0, 1), -EBADF);
	assert_int_equal(write_some(w, other, wr, 0, 1), -EBADF);
	assert_int_equal(write_some(w, ino, wr, 0, 1), 0);
	fs->read(fs->ctx, ino, wr, 0, 1, take_read, &err);
	assert_int_equal(err, -EBADF);
	fs->read(fs->ctx, other, r, 0, 1, take_read, &err);
	assert_int_equal(err, -EBADF);
	fs->read(fs->ctx, ino, r, 0, 1, take_read, &err);
	assert_int_equal(err, 0);
	err = 1;
	fs->fsync(fs->ctx, other, r, 0, &(struct dynfs_call)TAKE_RESULT(&err));
	assert_int_equal(err, -EBADF);
	fs->release(fs->ctx, r);
	fs->release(fs->ctx, wr);
}

/* As a frontend does that was cut off from those who had files open. */
static void files_that_were_left_open_are_closed(void **state)
{
	struct world *w = *state;
	uint64_t ino = make(w, 1, "file", S_IFREG | 0644);

	(void)opened(w, ino, O_RDWR);
	(void)opened(w, ino, O_RDONLY);
	(void)opened(w, 1, O_RDONLY);
	assert_int_equal(tree_open_files(w->tree), 3);
	assert_int_equal(w->fs->unlink(w->fs->ctx, 1, "file"), 0);
	assert_int_equal(double_keys(w->meta, 'O'), 1);
	tree_close_files(w->tree);
	assert_int_equal(tree_open_files(w->tree), 0);
	assert_int_equal(double_keys(w->meta, 'O'), 0);
}

static void a_directory_can_not_move_below_itself(void **state)
{
	struct world *w = *state;
	const struct dynfs_fs_view *fs = w->fs;
	uint64_t a = make(w, 1, "a", S_IFDIR | 0755);
	uint64_t b = make(w, a, "b", S_IFDIR | 0755);
	uint64_t c = make(w, b, "c", S_IFDIR | 0755);

	assert_int_equal(fs->rename(fs->ctx, 1, "a", c, "x", 0, NULL), -EINVAL);
	assert_int_equal(fs->rename(fs->ctx, 1, "a", a, "x", 0, NULL), -EINVAL);
	assert_int_equal(fs->rename(fs->ctx, b, "c", 1, "a", 0, NULL),
			 -ENOTEMPTY);
	assert_int_equal(fs->rename(fs->ctx, b, "c", 1, "a", 2, NULL), -EINVAL);
	assert_int_equal(fs->rename(fs->ctx, 1, "a", 1, "a", 0, NULL), 0);
	assert_int_equal(fs->rename(fs->ctx, 1, "a", 1, "b", 3, NULL), -EINVAL);
	assert_int_equal(fs->rename(fs->ctx, 1, "a", 1, "b", 4, NULL), -EINVAL);
	assert_int_equal(fs->rename(fs->ctx, a, "b", 1, "b", 0, NULL), 0);
	assert_int_equal(attr_of(w, 1).nlink, 4);
	assert_int_equal(attr_of(w, a).nlink, 2);
	assert_int_equal(fs->rename(fs->ctx, 1, "a", c, "a", 0, NULL), 0);
	assert_int_equal(attr_of(w, 1).nlink, 3);
}

static void new_things_inherit_the_group_of_a_set_gid_directory(void **state)
{
	struct world *w = *state;
	const struct dynfs_fs_view *fs = w->fs;
	const struct dynfs_caller who = { .uid = 4, .gid = 5, .umask = 022 };
	struct dynfs_attr a, set = { .gid = 9 };
	uint64_t dir = make(w, 1, "dir", S_IFDIR | 02755);

	assert_int_equal(fs->setattr(fs->ctx, dir, DYNFS_SET_GID, &set, &a), 0);
	/* chown of a directory keeps its bits */
	assert_int_equal(a.mode, S_IFDIR | 02755);
	assert_int_equal(
	    fs->mknod(fs->ctx, dir, "f", S_IFREG | 0666, 0, &who, &a), 0);
	fs->forget(fs->ctx, a.ino, 1);
	assert_int_equal(a.gid, 9);
	assert_int_equal(a.uid, 4);
	assert_int_equal(a.mode, S_IFREG | 0644);
	assert_int_equal(fs->mkdir(fs->ctx, dir, "d", 0777, &who, &a), 0);
	fs->forget(fs->ctx, a.ino, 1);
	assert_int_equal(a.gid, 9);
	assert_int_equal(a.mode, S_IFDIR | 02755);
}

static void a_full_pool_makes_nothing_new_but_deletes(void **state)
{
	struct world *w = *state;
	const struct dynfs_fs_view *fs = w->fs;
	uint64_t file = make(w, 1, "file", S_IFREG | 0644);
	struct dynfs_statfs s;
	struct dynfs_attr a;

	double_room(UINT64_C(1) << 30, 1 << 20);
	double_advance(w->files, 1);
	assert_int_equal(fs->mkdir(fs->ctx, 1, "d", 0755, &as_root, &a),
			 -ENOSPC);
	assert_int_equal(fs->link(fs->ctx, file, 1, "l", &a), -ENOSPC);
	assert_int_equal(
	    fs->setxattr(fs->ctx, file, "user.x", "", 0, 0, &as_root), -ENOSPC);
	assert_int_equal(fs->statfs(fs->ctx, &s), 0);
	assert_int_equal(s.avail_bytes, 0);
	assert_int_equal(s.free_bytes, 1 << 20);
	assert_int_equal(fs->rename(fs->ctx, 1, "file", 1, "moved", 0, NULL),
			 0);
	assert_int_equal(fs->unlink(fs->ctx, 1, "moved"), 0);
	double_room(UINT64_C(1) << 40, UINT64_C(1) << 39);
	double_advance(w->files, 1);
	assert_int_equal(fs->mkdir(fs->ctx, 1, "d", 0755, &as_root, &a), 0);
	fs->forget(fs->ctx, a.ino, 1);
}

static void a_read_only_tree_changes_nothing(void **state)
{
	struct world *w = *state;
	const struct dynfs_fs_view *fs = w->fs;
	uint64_t file = make(w, 1, "file", S_IFREG | 0644), before;
	struct dynfs_attr a, set = { .mode = 0 };
	struct dynfs_file *open;

	w->tree->readonly = true;
	before = double_commits(w->meta);
	assert_int_equal(fs->mkdir(fs->ctx, 1, "d", 0755, &as_root, &a),
			 -EROFS);
	assert_int_equal(fs->unlink(fs->ctx, 1, "file"), -EROFS);
	assert_int_equal(fs->rmdir(fs->ctx, 1, "file"), -EROFS);
	assert_int_equal(fs->rename(fs->ctx, 1, "file", 1, "x", 0, NULL),
			 -EROFS);
	assert_int_equal(fs->link(fs->ctx, file, 1, "x", &a), -EROFS);
	assert_int_equal(fs->setattr(fs->ctx, file, 1, &set, &a), -EROFS);
	assert_int_equal(
	    fs->setxattr(fs->ctx, file, "user.x", "", 0, 0, &as_root), -EROFS);
	assert_int_equal(fs->removexattr(fs->ctx, file, "user.x"), -EROFS);
	assert_int_equal(fs->open(fs->ctx, file, O_RDWR, &open), -EROFS);
	assert_int_equal(write_some(w, file, NULL, 0, 1), -EROFS);
	fs->release(fs->ctx, opened(w, file, O_RDONLY));
	assert_int_equal(double_commits(w->meta), before);
}

static void odd_names_are_refused(void **state)
{
	struct world *w = *state;
	const struct dynfs_fs_view *fs = w->fs;
	struct dynfs_attr a;
	uint64_t dir = make(w, 1, "dir", S_IFDIR | 0755);
	char *target = malloc(4097);
	struct dynfs_file *open;

	assert_non_null(target);
	memset(target, 't', 4097);
	target[4096] = 0;
	assert_int_equal(fs->mkdir(fs->ctx, 1, "", 0755, &as_root, &a),
			 -ENOENT);
	assert_int_equal(fs->mkdir(fs->ctx, 1, "a/b", 0755, &as_root, &a),
			 -EINVAL);
	assert_int_equal(fs->mkdir(fs->ctx, 1, "..", 0755, &as_root, &a),
			 -EEXIST);
	assert_int_equal(fs->rmdir(fs->ctx, 1, "."), -EINVAL);
	assert_int_equal(fs->rmdir(fs->ctx, 1, ".."), -ENOTEMPTY);
	assert_int_equal(fs->lookup(fs->ctx, dir, "..", &a), 0);
	assert_int_equal(a.ino, 1);
	assert_int_equal(fs->lookup(fs->ctx, 1, "..", &a), 0);
	assert_int_equal(a.ino, 1);
	fs->forget(fs->ctx, 1, 2);
	assert_int_equal(fs->symlink(fs->ctx, 1, "s", target, &as_root, &a),
			 -ENAMETOOLONG);
	assert_int_equal(fs->symlink(fs->ctx, 1, "s", "", &as_root, &a),
			 -ENOENT);
	target[4095] = 0;
	assert_int_equal(fs->symlink(fs->ctx, 1, "s", target, &as_root, &a), 0);
	assert_int_equal(a.size_bytes, 4095);
	assert_int_equal(fs->open(fs->ctx, a.ino, O_RDONLY, &open), -ELOOP);
	fs->forget(fs->ctx, a.ino, 1);
	free(target);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_WORLD(links_end_at_their_limit),
		WITH_WORLD(an_open_file_outlives_its_name_and_takes_no_new_one),
		WITH_WORLD(
		    settling_is_asked_for_where_files_could_end_up_empty),
		WITH_WORLD(settling_is_asked_for_until_the_last_writer_closes),
		WITH_WORLD(a_loss_is_told_once_to_each_file_that_was_open),
		WITH_WORLD(
		    a_loss_that_nobody_was_there_for_is_told_to_the_next),
		WITH_WORLD(an_open_file_is_good_for_what_it_was_opened_for),
		WITH_WORLD(files_that_were_left_open_are_closed),
		WITH_WORLD(a_directory_can_not_move_below_itself),
		WITH_WORLD(new_things_inherit_the_group_of_a_set_gid_directory),
		WITH_WORLD(a_full_pool_makes_nothing_new_but_deletes),
		WITH_WORLD(a_read_only_tree_changes_nothing),
		WITH_WORLD(odd_names_are_refused),
	};

	return cmocka_run_group_tests_name("tree: links", tests, NULL, NULL);
}
