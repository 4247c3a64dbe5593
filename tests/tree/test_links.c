/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree alone, case by case: links, open files, renames, extended
 * attributes, and what is refused.
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

static void take_result(void *ctx, int err)
{
	*(int *)ctx = err;
}

static int write_some(struct world *w, uint64_t ino, uint64_t off, size_t len)
{
	static char bytes[100];
	struct iovec iov = { bytes, len };
	int r = 1;

	memset(bytes, 'b', sizeof(bytes));
	w->fs->write(w->fs->ctx, ino, off, &iov, 1, 0, take_result, &r);
	return r;
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

	assert_int_equal(
	    fs->create(fs->ctx, 1, "file", 0644, O_RDWR, &as_root, &a), 0);
	assert_int_equal(write_some(w, a.ino, 0, 5), 0);
	assert_int_equal(fs->unlink(fs->ctx, 1, "file"), 0);
	assert_int_equal(double_keys(w->meta, 'O'), 1);
	assert_int_equal(attr_of(w, a.ino).nlink, 0);
	assert_int_equal(fs->link(fs->ctx, a.ino, 1, "again", &gone), -ENOENT);
	fs->forget(fs->ctx, a.ino, 1);
	assert_int_equal(write_some(w, a.ino, 5, 5), 0);
	assert_int_equal(attr_of(w, a.ino).size_bytes, 10);
	fs->release(fs->ctx, a.ino, O_RDWR);
	assert_int_equal(double_keys(w->meta, 'O'), 0);
	assert_int_equal(double_keys(w->meta, 'C'), 0);
	assert_int_equal(fs->getattr(fs->ctx, a.ino, &gone), -ENOENT);
}

static void settling_is_asked_for_where_files_could_end_up_empty(void **state)
{
	struct world *w = *state;
	const struct dynfs_fs_view *fs = w->fs;
	uint64_t file;

	make(w, 1, "file", S_IFREG | 0644);
	make(w, 1, "new", S_IFREG | 0644);
	assert_int_equal(fs->rename(fs->ctx, 1, "new", 1, "newer", 0), 0);
	assert_int_equal(double_settled(w->files), 0);
	assert_int_equal(fs->rename(fs->ctx, 1, "newer", 1, "file", 0), 0);
	assert_int_equal(double_settled(w->files), 1);
	file = make(w, 1, "other", S_IFREG | 0644);
	assert_int_equal(fs->open(fs->ctx, file, O_WRONLY), 0);
	assert_int_equal(fs->flush(fs->ctx, file), 0);
	assert_int_equal(double_settled(w->files), 1);
	fs->release(fs->ctx, file, O_WRONLY);
	assert_int_equal(fs->open(fs->ctx, file, O_WRONLY | O_TRUNC), 0);
	assert_int_equal(fs->flush(fs->ctx, file), 0);
	assert_int_equal(double_settled(w->files), 2);
	fs->release(fs->ctx, file, O_WRONLY);
	assert_int_equal(fs->open(fs->ctx, file, O_RDONLY | O_TRUNC), 0);
	assert_int_equal(fs->flush(fs->ctx, file), 0);
	assert_int_equal(double_settled(w->files), 2);
	fs->release(fs->ctx, file, O_RDONLY);
}

static void only_the_last_writer_ends_the_writing(void **state)
{
	struct world *w = *state;
	const struct dynfs_fs_view *fs = w->fs;
	uint64_t file = make(w, 1, "file", S_IFREG | 0644);
	uint64_t before = double_ended(w->files);

	assert_int_equal(fs->open(fs->ctx, file, O_RDONLY), 0);
	assert_int_equal(fs->open(fs->ctx, file, O_WRONLY), 0);
	assert_int_equal(fs->open(fs->ctx, file, O_RDWR), 0);
	fs->release(fs->ctx, file, O_RDWR);
	assert_int_equal(double_ended(w->files), before);
	fs->release(fs->ctx, file, O_WRONLY);
	assert_int_equal(double_ended(w->files), before + 1);
	fs->release(fs->ctx, file, O_RDONLY);
	assert_int_equal(double_ended(w->files), before + 1);
}

static void a_directory_can_not_move_below_itself(void **state)
{
	struct world *w = *state;
	const struct dynfs_fs_view *fs = w->fs;
	uint64_t a = make(w, 1, "a", S_IFDIR | 0755);
	uint64_t b = make(w, a, "b", S_IFDIR | 0755);
	uint64_t c = make(w, b, "c", S_IFDIR | 0755);

	assert_int_equal(fs->rename(fs->ctx, 1, "a", c, "x", 0), -EINVAL);
	assert_int_equal(fs->rename(fs->ctx, 1, "a", a, "x", 0), -EINVAL);
	assert_int_equal(fs->rename(fs->ctx, b, "c", 1, "a", 0), -ENOTEMPTY);
	assert_int_equal(fs->rename(fs->ctx, b, "c", 1, "a", 2), -EINVAL);
	assert_int_equal(fs->rename(fs->ctx, 1, "a", 1, "a", 0), 0);
	assert_int_equal(fs->rename(fs->ctx, 1, "a", 1, "b", 3), -EINVAL);
	assert_int_equal(fs->rename(fs->ctx, 1, "a", 1, "b", 4), -EINVAL);
	assert_int_equal(fs->rename(fs->ctx, a, "b", 1, "b", 0), 0);
	assert_int_equal(attr_of(w, 1).nlink, 4);
	assert_int_equal(attr_of(w, a).nlink, 2);
	assert_int_equal(fs->rename(fs->ctx, 1, "a", c, "a", 0), 0);
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

static void xattrs_keep_to_their_limits(void **state)
{
	struct world *w = *state;
	const struct dynfs_fs_view *fs = w->fs;
	uint64_t file = make(w, 1, "file", S_IFREG | 0644);
	static char value[65537];
	char name[300] = "user.", small[4];
	size_t len = 0;
	int r = 0;

	assert_int_equal(fs->setxattr(fs->ctx, file, "user.v", value, 65537, 0),
			 -E2BIG);
	assert_int_equal(fs->setxattr(fs->ctx, file, "user.v", value, 65536, 0),
			 0);
	assert_int_equal(fs->getxattr(fs->ctx, file, "user.v", small, 4, &len),
			 -ERANGE);
	assert_int_equal(fs->getxattr(fs->ctx, file, "user.v", NULL, 0, &len),
			 0);
	assert_int_equal(len, 65536);
	assert_int_equal(fs->listxattr(fs->ctx, file, small, 4, &len), -ERANGE);
	assert_int_equal(fs->setxattr(fs->ctx, file, "other.x", "", 0, 0),
			 -EOPNOTSUPP);
	assert_int_equal(fs->setxattr(fs->ctx, file, "user.", "", 0, 0),
			 -EOPNOTSUPP);
	assert_int_equal(
	    fs->setxattr(fs->ctx, file, "user.dynfs.policy", "", 0, 0),
	    -EOPNOTSUPP);
	assert_int_equal(
	    fs->getxattr(fs->ctx, file, "user.dynfs.policy", small, 4, &len),
	    -ENODATA);
	assert_int_equal(
	    fs->setxattr(fs->ctx, file, "system.posix_acl_access", "", 0, 0),
	    -EOPNOTSUPP);
	memset(name + 5, 'n', 251);
	assert_int_equal(fs->setxattr(fs->ctx, file, name, "", 0, 0), -ERANGE);
	name[255] = 0;
	for (unsigned i = 0; !r; i++) {
		(void)snprintf(name + 251, 5, "%04u", i % 10000);
		r = fs->setxattr(fs->ctx, file, name, "", 0, 0);
	}
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(fs->listxattr(fs->ctx, file, value, 65536, &len), 0);
	assert_true(len > 65000);
	/* a name that is there may still change its value */
	assert_int_equal(fs->setxattr(fs->ctx, file, "user.v", "1", 1, 2), 0);
}

static int get_caps(struct world *w, uint64_t ino)
{
	char value[8];
	size_t len;

	return w->fs->getxattr(w->fs->ctx, ino, "security.capability", value,
			       sizeof(value), &len);
}

static void what_is_absent_is_remembered_until_it_is_set(void **state)
{
	struct world *w = *state;
	const struct dynfs_fs_view *fs = w->fs;
	uint64_t file = make(w, 1, "file", S_IFREG | 0644);
	struct inode *in;

	assert_int_equal(get_caps(w, file), -ENODATA);
	assert_int_equal(fs->setxattr(fs->ctx, file, "user.x", "1", 1, 0), 0);
	double_evict(w->files);
	assert_int_equal(inode_get(w->files, file, &in), 0);
	assert_int_equal(atomic_load(&in->marks), 0);
	assert_int_equal(get_caps(w, file), -ENODATA);
	assert_int_equal(atomic_load(&in->marks), MARK_NO_CAPS);
	assert_int_equal(
	    fs->setxattr(fs->ctx, file, "security.capability", "1", 1, 0), 0);
	assert_int_equal(get_caps(w, file), 0);
	assert_int_equal(fs->removexattr(fs->ctx, file, "security.capability"),
			 0);
	assert_int_equal(fs->removexattr(fs->ctx, file, "user.x"), 0);
	assert_int_equal(get_caps(w, file), -ENODATA);
	assert_true(atomic_load(&in->marks) & MARK_NO_XATTR);
	inode_put(in);
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
	assert_int_equal(fs->setxattr(fs->ctx, file, "user.x", "", 0, 0),
			 -ENOSPC);
	assert_int_equal(fs->statfs(fs->ctx, &s), 0);
	assert_int_equal(s.avail_bytes, 0);
	assert_int_equal(s.free_bytes, 1 << 20);
	assert_int_equal(fs->rename(fs->ctx, 1, "file", 1, "moved", 0), 0);
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

	w->tree->readonly = true;
	before = double_commits(w->meta);
	assert_int_equal(fs->mkdir(fs->ctx, 1, "d", 0755, &as_root, &a),
			 -EROFS);
	assert_int_equal(fs->unlink(fs->ctx, 1, "file"), -EROFS);
	assert_int_equal(fs->rmdir(fs->ctx, 1, "file"), -EROFS);
	assert_int_equal(fs->rename(fs->ctx, 1, "file", 1, "x", 0), -EROFS);
	assert_int_equal(fs->link(fs->ctx, file, 1, "x", &a), -EROFS);
	assert_int_equal(fs->setattr(fs->ctx, file, 1, &set, &a), -EROFS);
	assert_int_equal(fs->setxattr(fs->ctx, file, "user.x", "", 0, 0),
			 -EROFS);
	assert_int_equal(fs->removexattr(fs->ctx, file, "user.x"), -EROFS);
	assert_int_equal(fs->open(fs->ctx, file, O_RDWR), -EROFS);
	assert_int_equal(write_some(w, file, 0, 1), -EROFS);
	assert_int_equal(fs->open(fs->ctx, file, O_RDONLY), 0);
	fs->release(fs->ctx, file, O_RDONLY);
	assert_int_equal(double_commits(w->meta), before);
}

static void odd_names_are_refused(void **state)
{
	struct world *w = *state;
	const struct dynfs_fs_view *fs = w->fs;
	struct dynfs_attr a;
	uint64_t dir = make(w, 1, "dir", S_IFDIR | 0755);
	char *target = malloc(4097);

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
	assert_int_equal(fs->open(fs->ctx, a.ino, O_RDONLY), -ELOOP);
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
		WITH_WORLD(only_the_last_writer_ends_the_writing),
		WITH_WORLD(a_directory_can_not_move_below_itself),
		WITH_WORLD(new_things_inherit_the_group_of_a_set_gid_directory),
		WITH_WORLD(xattrs_keep_to_their_limits),
		WITH_WORLD(what_is_absent_is_remembered_until_it_is_set),
		WITH_WORLD(a_full_pool_makes_nothing_new_but_deletes),
		WITH_WORLD(a_read_only_tree_changes_nothing),
		WITH_WORLD(odd_names_are_refused),
	};

	return cmocka_run_group_tests_name("tree: links", tests, NULL, NULL);
}
