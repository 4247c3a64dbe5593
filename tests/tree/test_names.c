/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree alone, case by case: times, collision chains, listings that change
 * while they are read, paths.
 */
#include "driver.h"
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static int rename_to(struct world *w, uint64_t from, const char *name,
		     uint64_t to, const char *new_name, uint32_t flags)
{
	return w->fs->rename(w->fs->ctx, from, name, to, new_name, flags, NULL);
}

/* ---- times ------------------------------------------------------------- */

enum moved { NOTHING = 0, CTIME = 1, MTIME = 2 };

static unsigned what_moved(const struct dynfs_attr *before,
			   const struct dynfs_attr *after)
{
	return (later(after->ctime, before->ctime) ? CTIME : 0) |
	       (later(after->mtime, before->mtime) ? MTIME : 0);
}

static void times_move_as_on_ext4(void **state)
{
	struct world *w = *state;
	const struct dynfs_fs_view *fs = w->fs;
	uint64_t dir = make(w, 1, "dir", S_IFDIR | 0755);
	uint64_t to = make(w, 1, "to", S_IFDIR | 0755);
	uint64_t file = make(w, dir, "file", S_IFREG | 0644);
	struct dynfs_attr set = { .mode = 0600 }, a;
	struct dynfs_attr d = attr_of(w, dir), f = attr_of(w, file),
			  t = attr_of(w, to);

#define MOVED(before, ino, want)                                               \
	do {                                                                   \
		struct dynfs_attr now_ = attr_of(w, ino);                      \
		assert_int_equal(what_moved(&(before), &now_), want);          \
		(before) = now_;                                               \
	} while (0)

	assert_memory_equal(&f.btime, &f.mtime, sizeof(f.mtime));
	assert_int_equal(fs->link(fs->ctx, file, dir, "two", &a), 0);
	fs->forget(fs->ctx, file, 1);
	MOVED(d, dir, CTIME | MTIME);
	MOVED(f, file, CTIME);
	assert_int_equal(fs->unlink(fs->ctx, dir, "two"), 0);
	MOVED(d, dir, CTIME | MTIME);
	MOVED(f, file, CTIME);
	assert_int_equal(rename_to(w, dir, "file", to, "file", 0), 0);
	MOVED(d, dir, CTIME | MTIME);
	MOVED(t, to, CTIME | MTIME);
	MOVED(f, file, CTIME);
	assert_int_equal(fs->setattr(fs->ctx, file, DYNFS_SET_MODE, &set, &a),
			 0);
	MOVED(f, file, CTIME);
	MOVED(t, to, NOTHING);
	set.size_bytes = 10;
	assert_int_equal(fs->setattr(fs->ctx, file, DYNFS_SET_SIZE, &set, &a),
			 0);
	MOVED(f, file, CTIME | MTIME);
	assert_int_equal(
	    fs->setxattr(fs->ctx, file, "user.x", "", 0, 0, &as_root), 0);
	MOVED(f, file, CTIME);
	assert_int_equal(fs->removexattr(fs->ctx, file, "user.x"), 0);
	MOVED(f, file, CTIME);
	assert_int_equal(fs->lookup(fs->ctx, to, "file", &a), 0);
	fs->forget(fs->ctx, file, 1);
	MOVED(f, file, NOTHING);
	MOVED(t, to, NOTHING);
	set.mtime = (struct dynfs_time){ -5, 999999999, 0 };
	assert_int_equal(fs->setattr(fs->ctx, file, DYNFS_SET_MTIME, &set, &a),
			 0);
	assert_int_equal(a.mtime.sec, -5);
	assert_true(later(a.ctime, f.ctime));
	set.mtime.nsec++;
	assert_int_equal(fs->setattr(fs->ctx, file, DYNFS_SET_MTIME, &set, &a),
			 -EINVAL);
#undef MOVED
}

static void take_read(void *ctx, int err, const struct iovec *iov, uint32_t n)
{
	(void)iov;
	(void)n;
	*(int *)ctx = err;
}

static int read_by(struct world *w, uint64_t ino, struct dynfs_file *file)
{
	int r = 1;

	w->fs->read(w->fs->ctx, ino, file, 0, 100, take_read, &r);
	return r;
}

static int read_some(struct world *w, uint64_t ino)
{
	return read_by(w, ino, NULL);
}

static void access_time_moves_once_a_day_or_after_a_change(void **state)
{
	struct world *w = *state;
	uint64_t file = make(w, 1, "file", S_IFREG | 0644);
	struct dynfs_attr before = attr_of(w, file), after;
	struct dynfs_file *open;

	assert_int_equal(
	    w->fs->open(w->fs->ctx, file, O_RDONLY | O_NOATIME, &open), 0);
	assert_int_equal(read_by(w, file, open), 0);
	w->fs->release(w->fs->ctx, open);
	after = attr_of(w, file);
	assert_false(later(after.atime, before.atime));
	assert_int_equal(read_some(w, file), 0);
	after = attr_of(w, file);
	assert_true(later(after.atime, before.atime));
	assert_int_equal(read_some(w, file), 0);
	before = attr_of(w, file);
	assert_false(later(before.atime, after.atime));
	double_advance(w->files, 23 * 3600);
	assert_int_equal(read_some(w, file), 0);
	after = attr_of(w, file);
	assert_false(later(after.atime, before.atime));
	double_advance(w->files, 3600);
	assert_int_equal(read_some(w, file), 0);
	after = attr_of(w, file);
	assert_true(later(after.atime, before.atime));
	assert_int_equal(read_some(w, 1), -EISDIR);
}

/* ---- names ------------------------------------------------------------- */

static uint64_t one_hash(const uint8_t key[16], const void *name, size_t len)
{
	(void)key;
	(void)name;
	(void)len;
	return 0;
}

static void a_dead_entry_stays_while_a_higher_one_lives(void **state)
{
	struct world *w = *state;
	const struct dynfs_fs_view *fs = w->fs;
	struct dynfs_attr a;
	const char *const names[] = { "a", "b", "c", "d" };

	w->tree->hash = one_hash;
	for (int i = 0; i < 4; i++)
		make(w, 1, names[i], S_IFREG | 0644);
	assert_int_equal(double_keys(w->meta, 'D'), 4);
	assert_int_equal(fs->unlink(fs->ctx, 1, "c"), 0);
	assert_int_equal(fs->unlink(fs->ctx, 1, "b"), 0);
	assert_int_equal(double_keys(w->meta, 'D'), 4);
	assert_int_equal(fs->lookup(fs->ctx, 1, "b", &a), -ENOENT);
	assert_int_equal(fs->lookup(fs->ctx, 1, "d", &a), 0);
	fs->forget(fs->ctx, a.ino, 1);
	/* a new name takes a dead place */
	make(w, 1, "e", S_IFREG | 0644);
	assert_int_equal(double_keys(w->meta, 'D'), 4);
	assert_int_equal(fs->unlink(fs->ctx, 1, "e"), 0);
	/* the last one takes the dead ones before it along */
	assert_int_equal(fs->unlink(fs->ctx, 1, "d"), 0);
	assert_int_equal(double_keys(w->meta, 'D'), 1);
	assert_int_equal(rename_to(w, 1, "a", 1, "z", 0), 0);
	assert_int_equal(double_keys(w->meta, 'D'), 1);
	assert_int_equal(fs->unlink(fs->ctx, 1, "z"), 0);
	assert_int_equal(double_keys(w->meta, 'D'), 0);
	assert_int_equal(double_keys(w->meta, 'P'), 0);
}

static void a_full_chain_is_enospc_and_nothing_breaks(void **state)
{
	struct world *w = *state;
	const struct dynfs_fs_view *fs = w->fs;
	struct dynfs_attr a;
	char name[16];

	w->tree->hash = one_hash;
	for (int i = 0; i < 256; i++) {
		(void)snprintf(name, sizeof(name), "n%d", i);
		make(w, 1, name, S_IFREG | 0644);
	}
	assert_int_equal(
	    fs->mknod(fs->ctx, 1, "x", S_IFREG | 0644, 0, &as_root, &a),
	    -ENOSPC);
	assert_int_equal(fs->lookup(fs->ctx, 1, "n255", &a), 0);
	fs->forget(fs->ctx, a.ino, 1);
	for (int i = 255; i >= 0; i -= 2) {
		(void)snprintf(name, sizeof(name), "n%d", i);
		assert_int_equal(fs->unlink(fs->ctx, 1, name), 0);
	}
	assert_int_equal(double_keys(w->meta, 'D'), 255);
	for (int i = 0; i < 256; i += 2) {
		(void)snprintf(name, sizeof(name), "n%d", i);
		assert_int_equal(fs->unlink(fs->ctx, 1, name), 0);
	}
	assert_int_equal(double_keys(w->meta, 'D'), 0);
}

/* Also where all names share one place in the order. */
static void a_whiteout_stays_where_the_name_was(void **state)
{
	const struct dynfs_caller who = { .uid = 7, .gid = 8 };
	struct world *w = *state;
	const struct dynfs_fs_view *fs = w->fs;
	struct dynfs_attr a;
	uint64_t file;

	w->tree->hash = one_hash;
	file = make(w, 1, "a", S_IFREG | 0644);
	make(w, 1, "b", S_IFREG | 0644);
	assert_int_equal(
	    fs->rename(fs->ctx, 1, "a", 1, "c", DYNFS_RENAME_WHITEOUT, &who),
	    0);
	assert_int_equal(fs->lookup(fs->ctx, 1, "c", &a), 0);
	assert_int_equal(a.ino, file);
	fs->forget(fs->ctx, a.ino, 1);
	assert_int_equal(fs->lookup(fs->ctx, 1, "a", &a), 0);
	assert_int_equal(a.mode, S_IFCHR);
	assert_int_equal(a.rdev, 0);
	assert_int_equal(a.uid, 7);
	assert_int_equal(a.gid, 8);
	fs->forget(fs->ctx, a.ino, 1);
	assert_int_equal(rename_to(w, 1, "c", 1, "d", DYNFS_RENAME_WHITEOUT),
			 -EINVAL);
	assert_int_equal(fs->unlink(fs->ctx, 1, "a"), 0);
	assert_int_equal(fs->unlink(fs->ctx, 1, "b"), 0);
	assert_int_equal(fs->unlink(fs->ctx, 1, "c"), 0);
	assert_int_equal(double_keys(w->meta, 'D'), 0);
	assert_int_equal(double_keys(w->meta, 'P'), 0);
}

struct some {
	char names[8][16];
	unsigned n, want;
	uint64_t last;
};

static int take_some(void *ctx, const struct dynfs_dirent *e)
{
	struct some *s = ctx;

	if (s->n == s->want)
		return 1;
	(void)snprintf(s->names[s->n++], 16, "%s", e->name);
	s->last = e->cookie;
	return 0;
}

/*
 * Names that are there from the beginning to the end are seen once and only
 * once, whatever comes and goes between the calls.
 */
static void a_listing_is_stable_while_names_come_and_go(void **state)
{
	struct world *w = *state;
	const struct dynfs_fs_view *fs = w->fs;
	unsigned seen[100] = { 0 };
	uint64_t cursor = 0;
	char name[16];
	unsigned dots = 0, other = 0;

	w->tree->hash = weak_hash;
	for (int i = 0; i < 100; i++) {
		(void)snprintf(name, sizeof(name), "stay%02d", i);
		make(w, 1, name, S_IFREG | 0644);
		(void)snprintf(name, sizeof(name), "go%02d", i);
		make(w, 1, name, S_IFREG | 0644);
	}
	for (int round = 0;; round++) {
		struct some s = { .n = 0, .want = 3 };

		assert_int_equal(
		    fs->readdir(fs->ctx, 1, cursor, 0, take_some, &s), 0);
		for (unsigned i = 0; i < s.n; i++) {
			if (!strncmp(s.names[i], "stay", 4))
				seen[(s.names[i][4] - '0') * 10 +
				     s.names[i][5] - '0']++;
			else if (s.names[i][0] == '.')
				dots++;
			else
				other++;
		}
		if (s.n < s.want)
			break;
		cursor = s.last;
		(void)snprintf(name, sizeof(name), "go%02d", round * 37 % 100);
		(void)fs->unlink(fs->ctx, 1, name);
		(void)snprintf(name, sizeof(name), "new%d", round);
		make(w, 1, name, S_IFREG | 0644);
	}
	assert_int_equal(dots, 2);
	assert_true(other > 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(seen[i], 1);
}

static int take_plus(void *ctx, const struct dynfs_dirent *e)
{
	unsigned *n = ctx;

	if (e->cookie <= 2) {
		assert_false(e->has_attr);
		return 0;
	}
	assert_true(e->has_attr);
	assert_int_equal(e->attr.ino, e->ino);
	return ++*n == 3; /* the third is not taken */
}

static void readdirplus_counts_a_lookup_for_each_entry_taken(void **state)
{
	struct world *w = *state;
	const struct dynfs_fs_view *fs = w->fs;
	uint64_t held = 0, ino[3];
	unsigned n = 0;

	ino[0] = make(w, 1, "a", S_IFREG | 0644);
	ino[1] = make(w, 1, "b", S_IFREG | 0644);
	ino[2] = make(w, 1, "c", S_IFREG | 0644);
	assert_int_equal(fs->readdir(fs->ctx, 1, 0, 1, take_plus, &n), 0);
	assert_int_equal(n, 3);
	for (int i = 0; i < 3; i++) {
		held += double_known(w->files, ino[i]);
		fs->forget(fs->ctx, ino[i], double_known(w->files, ino[i]));
	}
	assert_int_equal(held, 2);
}

struct seen_paths {
	char text[4][64];
	unsigned n;
};

static int take_path(void *ctx, const char *path)
{
	struct seen_paths *s = ctx;

	(void)snprintf(s->text[s->n++ % 4], 64, "%s", path);
	return 0;
}

static int walk(struct world *w, const char *path, uint64_t *ret)
{
	struct inode *in;
	int r = tree_walk(w->tree, path, &in);

	if (r < 0)
		return r;
	*ret = in->ino;
	inode_put(in);
	return 0;
}

static void paths_lead_to_inodes_and_back(void **state)
{
	struct world *w = *state;
	uint64_t a = make(w, 1, "a", S_IFDIR | 0755);
	uint64_t b = make(w, a, "b", S_IFDIR | 0755);
	uint64_t file = make(w, b, "file", S_IFREG | 0644), ino = 0;
	struct seen_paths s = { .n = 0 };
	struct dynfs_attr attr;

	assert_int_equal(w->fs->link(w->fs->ctx, file, 1, "x", &attr), 0);
	w->fs->forget(w->fs->ctx, file, 1);
	assert_int_equal(walk(w, "/", &ino), 0);
	assert_int_equal(ino, 1);
	assert_int_equal(walk(w, "a//b/../b/./file", &ino), 0);
	assert_int_equal(ino, file);
	assert_int_equal(walk(w, "/../../a/b/", &ino), 0);
	assert_int_equal(ino, b);
	assert_int_equal(walk(w, "/a/c/file", &ino), -ENOENT);
	assert_int_equal(walk(w, "/x/y", &ino), -ENOENT);
	assert_int_equal(tree_paths(w->tree, file, take_path, &s), 0);
	assert_int_equal(s.n, 2);
	assert_string_equal(s.text[0], "/x");
	assert_string_equal(s.text[1], "/a/b/file");
	assert_int_equal(tree_paths(w->tree, 1, take_path, &s), 0);
	assert_string_equal(s.text[2], "/");
	assert_int_equal(rename_to(w, a, "b", 1, "c", 0), 0);
	s.n = 0;
	assert_int_equal(tree_paths(w->tree, file, take_path, &s), 0);
	assert_int_equal(s.n, 2);
	assert_string_equal(s.text[1], "/c/file");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_WORLD(times_move_as_on_ext4),
		WITH_WORLD(access_time_moves_once_a_day_or_after_a_change),
		WITH_WORLD(a_dead_entry_stays_while_a_higher_one_lives),
		WITH_WORLD(a_full_chain_is_enospc_and_nothing_breaks),
		WITH_WORLD(a_whiteout_stays_where_the_name_was),
		WITH_WORLD(a_listing_is_stable_while_names_come_and_go),
		WITH_WORLD(readdirplus_counts_a_lookup_for_each_entry_taken),
		WITH_WORLD(paths_lead_to_inodes_and_back),
	};

	return cmocka_run_group_tests_name("tree: names", tests, NULL, NULL);
}
