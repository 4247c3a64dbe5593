/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree alone, over doubles, from a seed: whether it agrees with the model
 * also after reopening and eviction, whether a failed commit leaves no trace,
 * and whether its counters are exact.  Repeated with a hash so weak that
 * names collide.
 */
#include "driver.h"
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static uint64_t seed;

/* ---- usage: records against what the inodes say ------------------------ */

struct count {
	uint64_t uid, gid, project;
	uint64_t inodes[8], bytes[8];
};

static int count_inode(void *ctx, const void *key, size_t key_len,
		       const void *value, size_t value_len)
{
	struct inode_rec r;
	struct count *c = (struct count *)ctx;

	(void)key;
	(void)key_len;
	assert_int_equal(inode_rec_get(value, value_len, &r), 0);
	assert_true(r.uid < 8);
	c->inodes[r.uid]++;
	c->bytes[r.uid] += r.stored;
	return 0;
}

static void usage_is_exact(struct world *w)
{
	struct key all = key_kind('I');
	struct count c = { 0 };
	struct dynfs_statfs s;
	uint64_t sum = 0;

	double_close_group(w->meta);
	assert_int_equal(
	    meta_scan(w->meta, all.data, all.len, NULL, 0, count_inode, &c), 0);
	for (uint32_t uid = 0; uid < 8; uid++) {
		struct key key = key_usage(USAGE_UID, uid);
		struct buf value = BUF_INIT;
		struct usage_rec u = { 0, 0 };

		if (meta_get(w->meta, key.data, key.len, &value) == 0)
			assert_int_equal(
			    usage_rec_get(value.data, value.len, &u), 0);
		assert_int_equal(u.inodes, c.inodes[uid]);
		assert_int_equal(u.bytes, c.bytes[uid]);
		sum += u.inodes;
		buf_done(&value);
	}
	assert_int_equal(w->fs->statfs(w->fs->ctx, &s), 0);
	assert_int_equal(s.files - s.files_free, sum);
}

/* ---- random ------------------------------------------------------------ */

static void random_run(name_hash *hash, bool evict)
{
	struct world w;
	struct driver d;

	world_new(&w);
	if (hash)
		w.tree->hash = hash;
	double_close_every(w.meta, 7);
	driver_init(&d, w.fs, seed);
	for (int i = 0; i < 6000; i++) {
		driver_step(&d);
		if (i % 500 == 499)
			driver_compare(&d, true);
		if (i % 1500 != 1499)
			continue;
		driver_forget(&d);
		if (evict) {
			double_evict(w.files);
		} else {
			world_close(&w);
			world_open(&w);
			if (hash)
				w.tree->hash = hash;
			d.fs = w.fs;
		}
		driver_compare(&d, true);
		driver_relook(&d);
	}
	assert_true(d.n_done > 500);
	driver_forget(&d);
	usage_is_exact(&w);
	/* nothing is left of what is gone */
	assert_int_equal(double_keys(w.meta, 'O'), 0);
	driver_done(&d);
	world_free(&w);
}

static void random_operations_match_the_model(void **state)
{
	(void)state;
	random_run(NULL, false);
	random_run(NULL, true);
}

static void random_operations_match_when_names_collide(void **state)
{
	(void)state;
	random_run(weak_hash, false);
}

static int any_row(void *ctx, const void *key, size_t key_len,
		   const void *value, size_t value_len)
{
	struct buf *out = (struct buf *)ctx;

	/* counters follow with the next group */
	if (*(const uint8_t *)key == 'U')
		return 0;
	buf_put(out, key, key_len);
	buf_put(out, value, value_len);
	return 0;
}

static void all_rows(struct world *w, struct buf *out)
{
	static const char kinds[] = "CDIOPX";

	for (const char *k = kinds; *k; k++) {
		struct key all = key_kind(*k);

		assert_int_equal(meta_scan(w->meta, all.data, all.len, NULL, 0,
					   any_row, out),
				 0);
	}
}

static struct dynfs_file *created; /* by try_one() */

/* Things to try, their names in the root. */
static void make_things(struct world *w)
{
	const struct dynfs_fs_view *fs = w->fs;
	uint64_t ino;

	make(w, 1, "dir", S_IFDIR | 0755);
	make(w, 1, "empty", S_IFDIR | 0755);
	make(w, 1, "other", S_IFREG | 0644);
	ino = make(w, 1, "file", S_IFREG | 0644);
	assert_int_equal(
	    fs->setxattr(fs->ctx, ino, "user.old", "1", 1, 0, &as_root), 0);
	ino = make(w, 1, "acl", S_IFDIR | 0755);
	assert_int_equal(fs->setxattr(fs->ctx, ino, "system.posix_acl_default",
				      some_acl, sizeof(some_acl), 0, &as_root),
			 0);
	assert_int_equal(fs->setxattr(fs->ctx, ino, "system.posix_acl_access",
				      some_acl, sizeof(some_acl), 0, &as_root),
			 0);
}

static int try_one(struct world *w, int which)
{
	const struct dynfs_fs_view *fs = w->fs;
	struct dynfs_attr a, in = { .mode = 0600, .uid = 5 };
	uint64_t dir, file, with_acl;

	assert_int_equal(fs->lookup(fs->ctx, 1, "dir", &a), 0);
	fs->forget(fs->ctx, dir = a.ino, 1);
	assert_int_equal(fs->lookup(fs->ctx, 1, "file", &a), 0);
	fs->forget(fs->ctx, file = a.ino, 1);
	assert_int_equal(fs->lookup(fs->ctx, 1, "acl", &a), 0);
	fs->forget(fs->ctx, with_acl = a.ino, 1);
	switch (which) {
	case 0:
		return fs->mknod(fs->ctx, dir, "n", S_IFREG, 0, &as_root, &a);
	case 1:
		return fs->mkdir(fs->ctx, dir, "n", 0755, &as_root, &a);
	case 2:
		return fs->create(fs->ctx, 1, "n", 0755, O_RDWR, &as_root, &a,
				  &created);
	case 3:
		return fs->link(fs->ctx, file, dir, "n", &a);
	case 4:
		return fs->unlink(fs->ctx, 1, "file");
	case 5:
		return fs->rmdir(fs->ctx, 1, "empty");
	case 6:
		return fs->rename(fs->ctx, 1, "empty", dir, "moved", 0, NULL);
	case 7:
		return fs->rename(fs->ctx, 1, "file", 1, "other", 0, NULL);
	case 8:
		return fs->rename(fs->ctx, 1, "file", 1, "empty", 2, NULL);
	case 9:
		return fs->setattr(fs->ctx, file, 3, &in, &a);
	case 10:
		return fs->setxattr(fs->ctx, file, "user.a", "x", 1, 0,
				    &as_root);
	case 11:
		return fs->removexattr(fs->ctx, file, "user.old");
	case 12:
		return fs->symlink(fs->ctx, dir, "s", "to", &as_root, &a);
	case 13:
		return fs->setxattr(fs->ctx, file, "system.posix_acl_access",
				    some_acl, sizeof(some_acl), 0, &as_root);
	case 14:
		return fs->setxattr(fs->ctx, file, "user.dynfs.policy", "one",
				    3, 0, &as_root);
	case 15:
		return fs->mkdir(fs->ctx, with_acl, "n", 0707, &as_root, &a);
	case 16:
		return fs->setattr(fs->ctx, with_acl, 1, &in, &a);
	case 17:
		return fs->removexattr(fs->ctx, with_acl,
				       "system.posix_acl_default");
	default:
		return 1;
	}
}

static void a_failed_commit_leaves_no_trace(void **state)
{
	struct buf before = BUF_INIT, after = BUF_INIT;
	struct buf shown = BUF_INIT, shown_after = BUF_INIT;
	struct world w;

	(void)state;
	world_new(&w);
	make_things(&w);
	view_dump(w.fs, true, &shown);
	all_rows(&w, &before);
	for (int which = 0;; which++) {
		int r;

		double_fail_commit(w.meta, 1, -EIO);
		r = try_one(&w, which);
		double_fail_commit(w.meta, 0, 0);
		if (r == 1)
			break;
		assert_int_equal(r, -EIO);
	}
	view_dump(w.fs, true, &shown_after);
	dumps_equal(&shown, &shown_after);
	all_rows(&w, &after);
	assert_int_equal(before.len, after.len);
	assert_memory_equal(before.data, after.data, after.len);
	usage_is_exact(&w);
	buf_done(&before);
	buf_done(&after);
	buf_done(&shown);
	buf_done(&shown_after);
	world_free(&w);
}

static void every_operation_is_one_batch(void **state)
{
	struct world w;

	(void)state;
	for (int which = 0;; which++) {
		uint64_t before;
		int r;

		world_new(&w);
		make_things(&w);
		before = double_commits(w.meta);
		r = try_one(&w, which);
		/* what has no name left is reclaimed at once, as a second */
		if (r == 0 && which != 4 && which != 5 && which != 7)
			assert_int_equal(double_commits(w.meta), before + 1);
		if (r == 0 && which == 2)
			w.fs->release(w.fs->ctx, created);
		world_free(&w);
		if (r == 1)
			break;
		assert_int_equal(r, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_operations_match_the_model),
		cmocka_unit_test(random_operations_match_when_names_collide),
		cmocka_unit_test(a_failed_commit_leaves_no_trace),
		cmocka_unit_test(every_operation_is_one_batch),
	};

	seed = driver_seed();
	return cmocka_run_group_tests_name("tree alone", tests, NULL, NULL);
}
