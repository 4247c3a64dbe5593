/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories as what they are, not as what they are called.
 *
 * Two paths are one place when device and inode are the same, whatever links
 * and bind mounts lie between; a directory is inside another when walking up
 * from it by ".." meets that one.  Comparing the strings would miss both.
 */
#include <disk/private.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/str.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PATH_DEPTH 256 /* directories above one */

int path_dir_id(const struct dynfs_os *os, const char *path, struct dir_id *ret)
{
	struct dynfs_os_stat st;
	int r = os->stat(os, path, &st);

	if (r < 0)
		return r;
	if (st.type != DYNFS_OS_DIR)
		return -ENOTDIR;
	*ret = (struct dir_id){ st.dev, st.ino };
	return 0;
}

static bool same_dir(const struct dir_id *a, const struct dir_id *b)
{
	return a->dev == b->dev && a->ino == b->ino;
}

static int find_dir(const struct dir_id *id, const struct dir_id *dirs,
		    uint32_t n)
{
	for (uint32_t i = 0; i < n; ++i)
		if (same_dir(id, &dirs[i]))
			return (int)i;
	return -1;
}

int disk_path_inside(const struct dynfs_os *os, const char *path,
		     const struct dir_id *dirs, uint32_t n)
{
	AUTOBUF struct buf up = BUF_INIT;
	struct dir_id at, before = { 0 };

	buf_put(&up, path, strlen(path) + 1);
	for (int i = 0; i < PATH_DEPTH && !buf_error(&up); ++i) {
		int hit;

		if (path_dir_id(os, (const char *)up.data, &at) < 0 ||
		    (i && same_dir(&at, &before)))
			break; /* the root, or no way further up */
		hit = find_dir(&at, dirs, n);
		if (hit >= 0)
			return hit;
		before = at;
		up.len--; /* the terminator */
		buf_put(&up, "/..", 4);
	}
	return -1;
}

static int one_entry(void *ctx, const char *name, uint32_t type)
{
	char *first = (char *)ctx;

	(void)type;
	if (!strcmp(name, "lost+found"))
		return 0;
	(void)str_quote(name, strlen(name), first, 64);
	return -ENOTEMPTY;
}

int path_must_be_empty(const struct dynfs_os *os, const char *path)
{
	char first[64];
	int r = os->list(os, path, one_entry, first);

	if (r == -ENOTEMPTY)
		return fail(r,
			    "disk %s is not empty: there is '%s' in it; a new "
			    "disk starts with an empty directory",
			    path, first);
	if (r < 0)
		return fail(r, "disk %s: cannot list it: %s", path,
			    fail_name(r));
	return 0;
}

struct clearing {
	const struct dynfs_os *os;
	const char *path;
	int depth;
	struct buf names; /* of what is in it, each with its terminator */
};

static int clear_note(void *ctx, const char *name, uint32_t type)
{
	struct clearing *c = (struct clearing *)ctx;

	(void)type;
	if (c->depth || strcmp(name, "lost+found") != 0)
		buf_put(&c->names, name, strlen(name) + 1);
	return buf_error(&c->names);
}

static void clear_below(const struct dynfs_os *os, const char *path, int depth)
{
	struct clearing c = { os, path, depth, BUF_INIT };
	size_t at = 0;

	if (depth < 8)
		(void)os->list(os, path, clear_note, &c); /* what is there */
	while (at < c.names.len) {
		const char *name = (const char *)c.names.data + at;
		AUTOFREE char *below = str_path(path, name);

		at += strlen(name) + 1;
		if (!below || os->unlink(os, below) >= 0)
			continue;
		clear_below(os, below, depth + 1);
		(void)os->rmdir(os, below); /* stays if something in it did */
	}
	buf_done(&c.names);
}

void path_remove(const struct dynfs_os *os, const char *path)
{
	if (os->unlink(os, path) >= 0)
		return;
	clear_below(os, path, 1);
	(void)os->rmdir(os, path); /* stays if something in it did */
}

void path_clear(const struct dynfs_os *os, const char *path)
{
	clear_below(os, path, 0);
}

char *disk_path_parent(const char *path)
{
	size_t n = strlen(path);

	while (n > 1 && path[n - 1] == '/')
		n--;
	while (n > 1 && path[n - 1] != '/')
		n--;
	while (n > 1 && path[n - 1] == '/')
		n--;
	return strndup(path, n);
}

static int check_one(const struct dynfs_os *os, const char *const *paths,
		     const struct dir_id *dirs, uint32_t n, uint32_t i)
{
	AUTOFREE struct dir_id *others =
	    (struct dir_id *)malloc(n * sizeof(*others));
	int hit;

	if (!others)
		return -ENOMEM;
	memcpy(others, dirs, n * sizeof(*others));
	others[i] = (struct dir_id){ 0 };
	hit = disk_path_inside(os, paths[i], others, n);
	if (hit >= 0)
		return fail(-EINVAL, "disk %s is inside disk %s", paths[i],
			    paths[hit]);
	return 0;
}

static int check_avoid(const struct dynfs_os *os, const char *const *paths,
		       const struct dir_id *dirs, uint32_t n, const char *avoid)
{
	struct dir_id mount;
	int hit = disk_path_inside(os, avoid, dirs, n);

	if (hit >= 0)
		return fail(-EINVAL, "the mount point %s is inside disk %s",
			    avoid, paths[hit]);
	if (path_dir_id(os, avoid, &mount) < 0)
		return 0; /* not there yet, so nothing is inside it */
	for (uint32_t i = 0; i < n; ++i)
		if (disk_path_inside(os, paths[i], &mount, 1) == 0)
			return fail(-EINVAL,
				    "disk %s is inside the mount point %s, "
				    "where it would be hidden",
				    paths[i], avoid);
	return 0;
}

int path_check_nesting(const struct dynfs_os *os, const char *const *paths,
		       uint32_t n, const char *avoid)
{
	AUTOFREE struct dir_id *dirs =
	    (struct dir_id *)calloc(n + 1u, sizeof(*dirs));

	if (!dirs)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; ++i) {
		int r = path_dir_id(os, paths[i], &dirs[i]);

		if (r < 0)
			return fail(r, "disk %s: cannot look at it: %s",
				    paths[i], fail_name(r));
	}
	return path_check_dirs(os, paths, dirs, n, avoid);
}

int path_check_dirs(const struct dynfs_os *os, const char *const *paths,
		    const struct dir_id *dirs, uint32_t n, const char *avoid)
{
	int r = 0;

	for (uint32_t i = 0; i < n; ++i) {
		int twin = find_dir(&dirs[i], dirs, i);

		if (twin >= 0)
			return fail(-EINVAL,
				    "disks %s and %s are the same directory",
				    paths[twin], paths[i]);
	}
	for (uint32_t i = 0; i < n && r >= 0; ++i)
		r = check_one(os, paths, dirs, n, i);
	if (r >= 0 && avoid)
		r = check_avoid(os, paths, dirs, n, avoid);
	return r;
}
