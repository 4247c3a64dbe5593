/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths: from one to its inode, and from an inode to all of its paths.
 *
 * The parent keys (format.md 4.4) say under which directories and cookies an
 * inode has names; a directory has one, so the rest of the way up is single.
 * Names move while the way is walked: what does not fit together is walked
 * again a few times, and left out when it goes on moving or has gone.
 */
#include <tree/private.h>

#include <base/fail.h>

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define PATH_BYTES 65536u
#define PATH_TRIES 3

/* One step down; the name is not terminated. */
static int step_down(struct tree *t, uint64_t dir, const char *name, size_t len,
		     uint64_t *ret)
{
	char text[DYNFS_NAME_MAX + 1];
	struct slot s;
	int r;

	if (len > DYNFS_NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(text, name, len);
	text[len] = 0;
	if (name_is_dot(text)) {
		AUTOINODE struct inode *in = NULL;

		r = inode_get(t->files, dir, &in);
		if (r < 0)
			return r;
		AUTOLOCK(&in->lock);
		if (!S_ISDIR(in->rec.mode))
			return -ENOTDIR;
		*ret = text[1] && dir != DYNFS_ROOT_INO ? in->rec.parent : dir;
		return 0;
	}
	r = name_find(t, dir, text, &s);
	if (r < 0)
		return r;
	if (!s.found)
		return -ENOENT;
	*ret = s.ino;
	return 0;
}

int tree_walk(struct tree *t, const char *path, struct inode **ret)
{
	uint64_t ino = DYNFS_ROOT_INO;
	const char *at = path;

	fail_clear();
	for (;;) {
		size_t len;
		int r;

		at += strspn(at, "/");
		len = strcspn(at, "/");
		if (!len)
			break;
		r = step_down(t, ino, at, len, &ino);
		if (r < 0)
			return fail_wrap(r, "%s", path);
		at += len;
	}
	return inode_get(t->files, ino, ret);
}

/* A path that grows at its front. */
struct way {
	char text[PATH_BYTES];
	size_t at;
};

static int way_add(struct way *w, const char *name, size_t len)
{
	if (len + 1 > w->at)
		return -ENAMETOOLONG;
	w->at -= len;
	memcpy(w->text + w->at, name, len);
	w->text[--w->at] = '/';
	return 0;
}

struct place {
	uint64_t parent, cookie;
};

static int place_row(void *ctx, const void *key, size_t key_len,
		     const void *value, size_t value_len)
{
	struct place *p = ctx;
	uint64_t ino;
	int r = key_parse_parent(key, key_len, &ino, &p->parent, &p->cookie);

	(void)value;
	(void)value_len;
	return r < 0 ? r : 1;
}

/* Where it has a name; a directory has but one. */
static int place_get(const struct tree *t, uint64_t ino, struct place *ret)
{
	struct key from = key_parent_ino(ino);
	struct place p = { 0, 0 };
	int r = meta_scan(t->meta, from.data, from.len, NULL, 0, place_row, &p);

	if (!r && !p.parent)
		r = -ENOENT;
	if (!r)
		*ret = p;
	return r;
}

int path_parent(const struct tree *t, uint64_t ino, uint64_t *ret)
{
	struct place p;
	int r = place_get(t, ino, &p);

	if (!r)
		*ret = p.parent;
	return r;
}

/* -EAGAIN: the entry is not (any more) one of ino. */
static int way_up(const struct tree *t, struct way *w, uint64_t ino,
		  const struct place *p)
{
	struct key key = key_dirent(p->parent, p->cookie);
	AUTOBUF struct buf value = BUF_INIT;
	struct dirent_rec e = { .dead = true };
	int r = meta_get(t->meta, key.data, key.len, &value);

	if (!r)
		r = dirent_rec_get(value.data, value.len, &e);
	if (r < 0)
		return r == -ENOENT ? -EAGAIN : r;
	if (e.dead || e.ino != ino)
		return -EAGAIN;
	return way_add(w, e.name, e.name_len);
}

static int way_make(const struct tree *t, struct way *w, uint64_t ino,
		    struct place p)
{
	w->at = sizeof(w->text) - 1;
	w->text[w->at] = 0;
	/* each step adds two bytes at least, so a ring ends too */
	for (;;) {
		int r = way_up(t, w, ino, &p);

		if (r < 0 || p.parent == DYNFS_ROOT_INO)
			return r;
		ino = p.parent;
		r = place_get(t, ino, &p);
		if (r < 0)
			return r == -ENOENT ? -EAGAIN : r;
	}
}

struct paths {
	const struct tree *t;
	struct way *way;
	int (*each)(void *ctx, const char *path);
	void *ctx;
};

static int path_row(void *ctx, const void *key, size_t key_len,
		    const void *value, size_t value_len)
{
	const struct paths *p = ctx;
	struct place place;
	uint64_t ino;
	int r =
	    key_parse_parent(key, key_len, &ino, &place.parent, &place.cookie);

	(void)value;
	(void)value_len;
	if (r < 0)
		return r;
	for (int i = 0; i < PATH_TRIES; i++) {
		r = way_make(p->t, p->way, ino, place);
		if (r != -EAGAIN)
			break;
	}
	if (r < 0)
		return r == -EAGAIN ? 0 : r;
	return p->each(p->ctx, p->way->text + p->way->at);
}

int tree_paths(struct tree *t, uint64_t ino,
	       int (*each)(void *ctx, const char *path), void *ctx)
{
	struct paths p = { .t = t, .each = each, .ctx = ctx };
	struct key from = key_parent_ino(ino);
	int r;

	if (ino == DYNFS_ROOT_INO)
		return each(ctx, "/");
	p.way = malloc(sizeof(*p.way));
	if (!p.way)
		return -ENOMEM;
	r = meta_scan(t->meta, from.data, from.len, NULL, 0, path_row, &p);
	free(p.way);
	return r;
}
