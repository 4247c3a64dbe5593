/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of names: the view goes by cookie, so there is nothing to keep open. */
#include "front.h"

#include <errno.h>
#include <linux/fuse.h>
#include <string.h>

#define LIST_MAX (1u << 20) /* bytes of names in one reply */

/*
 * Folders need no opening: the view goes by cookie.  Told so once, the kernel
 * neither opens nor closes them, and keeps the names that it has read until
 * it changes the folder itself.
 */
void front_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	if (front_of(req)->no_opendir) {
		front_reply_err(req, -ENOSYS);
		return;
	}
	fi->cache_readdir = 1;
	fi->keep_cache = 1;
	(void)fuse_reply_open(req, fi); /* nothing to take back */
}

struct listing {
	fuse_req_t req;
	const struct front *front;
	char *buf;
	size_t len, used;
	int plus, err;
};

static size_t list_add(struct listing *l, const char *name,
		       const struct dynfs_dirent *entry)
{
	struct fuse_entry_param e;

	if (l->plus && entry->has_attr) {
		front_entry(l->front, &entry->attr, &e);
	} else {
		/* no inode number in e: the kernel takes no reference */
		e = (struct fuse_entry_param){
			.attr = { .st_ino = entry->ino, .st_mode = entry->type }
		};
	}
	if (l->plus)
		return fuse_add_direntry_plus(l->req, l->buf + l->used,
					      l->len - l->used, name, &e,
					      (off_t)entry->cookie);
	return fuse_add_direntry(l->req, l->buf + l->used, l->len - l->used,
				 name, &e.attr, (off_t)entry->cookie);
}

static int list_each(void *ctx, const struct dynfs_dirent *entry)
{
	struct listing *l = ctx;
	char name[DYNFS_NAME_MAX + 1];
	size_t need;

	if (!entry->name_len || entry->name_len > DYNFS_NAME_MAX) {
		l->err = -EUCLEAN;
		return 1;
	}
	memcpy(name, entry->name, entry->name_len);
	name[entry->name_len] = '\0';
	need = list_add(l, name, entry);
	if (need > l->len - l->used)
		return 1;
	l->used += need;
	return 0;
}

/* The caller went away: references that nobody received go back. */
static void list_forget(const struct listing *l)
{
	const struct front *f = l->front;
	size_t at = 0;

	while (l->plus && at + FUSE_NAME_OFFSET_DIRENTPLUS <= l->used) {
		struct fuse_direntplus d;

		memcpy(&d, l->buf + at, FUSE_NAME_OFFSET_DIRENTPLUS);
		if (d.entry_out.nodeid)
			f->fs->forget(f->fs->ctx, d.entry_out.nodeid, 1);
		at += FUSE_DIRENTPLUS_SIZE(&d);
	}
}

static void list_reply(fuse_req_t req, fuse_ino_t ino, size_t len, off_t off,
		       int plus)
{
	struct front *f = front_of(req);
	struct listing l = { .req = req, .front = f, .plus = plus };
	int err;

	l.len = len < LIST_MAX ? len : LIST_MAX;
	l.buf = f->host->alloc(f->host, l.len, 0);
	if (!l.buf) {
		front_reply_err(req, -ENOMEM);
		return;
	}
	err =
	    f->fs->readdir(f->fs->ctx, ino, (uint64_t)off, plus, list_each, &l);
	if (err >= 0)
		err = l.err;
	/* what came before the error is answered; the next call meets it */
	if (err < 0 && !l.used)
		front_reply_err(req, err);
	else if (fuse_reply_buf(req, l.buf, l.used) == -ENOENT)
		list_forget(&l);
	f->host->free(f->host, l.buf);
}

void front_readdir(fuse_req_t req, fuse_ino_t ino, size_t len, off_t off,
		   struct fuse_file_info *fi)
{
	(void)fi;
	list_reply(req, ino, len, off, 0);
}

void front_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t len, off_t off,
		       struct fuse_file_info *fi)
{
	(void)fi;
	list_reply(req, ino, len, off, 1);
}
