/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listing a directory in the order of cookies.
 *
 * Entries lie in the metadata in that order, so a listing is a scan from the
 * cursor on, holds nothing between calls, and goes on at the right place
 * after deletes, inserts and restarts.  With plus each entry takes a lookup
 * reference as a lookup would; an entry whose inode went away meanwhile is
 * left out, one whose inode can not be read is given without attributes.
 */
#include <tree/private.h>

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

struct listing {
	struct tree *t;
	bool plus;
	int (*each)(void *ctx, const struct dynfs_dirent *entry);
	void *ctx;
};

static int give_plus(const struct listing *l, struct dynfs_dirent *entry)
{
	AUTOINODE struct inode *in = NULL;
	int r = inode_get(l->t->files, entry->ino, &in);

	if (r < 0)
		return r == -ENOENT ? 0 : l->each(l->ctx, entry);
	inode_know(in);
	inode_attr(in, &entry->attr);
	entry->has_attr = 1;
	/* nlink 0: unlinked while we came here */
	r = entry->attr.nlink ? l->each(l->ctx, entry) : 0;
	if (r || !entry->attr.nlink)
		files_forget(l->t->files, in->ino, 1);
	return r;
}

static int give_row(void *ctx, const void *key, size_t key_len,
		    const void *value, size_t value_len)
{
	const struct listing *l = ctx;
	struct dirent_rec e = { .dead = true };
	struct dynfs_dirent entry = { .has_attr = 0 };
	char name[DYNFS_NAME_MAX + 1];
	uint64_t parent;
	int r = key_parse_dirent(key, key_len, &parent, &entry.cookie);

	if (!r)
		r = dirent_rec_get(value, value_len, &e);
	if (r < 0)
		return r;
	if (e.dead)
		return 0;
	memcpy(name, e.name, e.name_len); /* terminated, for who needs it */
	name[e.name_len] = 0;
	entry.name = name;
	entry.name_len = e.name_len;
	entry.ino = e.ino;
	entry.type = (uint32_t)e.type << 12;
	r = l->plus ? give_plus(l, &entry) : l->each(l->ctx, &entry);
	return r ? 1 : 0;
}

/* "." and ".."; non-zero: enough. */
static int give_dots(const struct listing *l, const struct inode *dir,
		     uint64_t parent, uint64_t cursor)
{
	for (uint64_t cookie = cursor + 1; cookie <= 2; cookie++) {
		struct dynfs_dirent entry = { .name = "..",
					      .name_len = cookie,
					      .ino = cookie == 1 ? dir->ino
								 : parent,
					      .cookie = cookie,
					      .type = S_IFDIR };
		int r;

		if (cookie == 1)
			entry.name = ".";
		r = l->each(l->ctx, &entry);
		if (r)
			return r;
	}
	return 0;
}

int view_readdir(void *ctx, uint64_t ino, uint64_t cursor, int plus,
		 int (*each)(void *each_ctx, const struct dynfs_dirent *entry),
		 void *each_ctx)
{
	struct tree *t = ctx;
	struct listing l = {
		.t = t, .plus = plus != 0, .each = each, .ctx = each_ctx
	};
	AUTOINODE struct inode *dir = NULL;
	struct key from, to;
	uint64_t parent;
	int r = inode_get(t->files, ino, &dir);

	if (r < 0)
		return r;
	(void)pthread_mutex_lock(&dir->lock);
	r = dir_check(dir);
	parent = dir->rec.parent;
	(void)pthread_mutex_unlock(&dir->lock);
	if (r == -ENOTDIR || cursor >= INT64_MAX)
		return r == -ENOTDIR ? r : 0;
	/* a removed directory has not even dots */
	if (r < 0 || give_dots(&l, dir, parent, cursor))
		return 0;
	from = key_dirent(ino, cursor + 1);
	to = key_dirent(ino, UINT64_MAX);
	r = meta_scan(t->meta, from.data, from.len, to.data, to.len, give_row,
		      &l);
	inode_accessed(t, dir);
	return r;
}
