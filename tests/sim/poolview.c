/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names are compared entry by entry with the numbers of their inodes, not as
 * a sum of paths: a state in which another file has the name is another
 * state.  An inode whose making nobody answered has no number in the model
 * and takes the one that is found.
 */
#include "poolview.h"

#include <base/unconst.h>
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define PIECE 50000u

struct answer {
	sem_t came;
	int err;
	struct buf *to;
};

static int await(struct answer *a)
{
	while (sem_wait(&a->came) && errno == EINTR)
		continue;
	(void)sem_destroy(&a->came);
	return a->err;
}

static int answered(void *ctx, int err)
{
	struct answer *a = (struct answer *)ctx;

	a->err = err;
	(void)sem_post(&a->came);
	return 0;
}

static struct dynfs_call calling(struct answer *a)
{
	(void)sem_init(&a->came, 0, 0);
	return (struct dynfs_call){ .size = sizeof(struct dynfs_call),
				    .ctx = a,
				    .done = answered };
}

static void answered_read(void *ctx, int err, const struct iovec *iov,
			  uint32_t n)
{
	struct answer *a = (struct answer *)ctx;

	for (uint32_t i = 0; !err && i < n; i++)
		buf_put(a->to, iov[i].iov_base, iov[i].iov_len);
	(void)answered(ctx, err);
}

int pv_read(const struct dynfs_fs_view *fs, uint64_t ino,
	    struct dynfs_file *file, uint64_t off, size_t len, struct buf *out)
{
	struct answer a = { .to = out };

	(void)sem_init(&a.came, 0, 0);
	fs->read(fs->ctx, ino, file, off, len, answered_read, &a);
	return await(&a);
}

int pv_read_all(const struct dynfs_fs_view *fs, uint64_t ino, struct buf *out)
{
	size_t before;
	int r;

	buf_clear(out);
	do {
		before = out->len;
		r = pv_read(fs, ino, NULL, before, PIECE, out);
	} while (!r && out->len - before == PIECE);
	return r;
}

int pv_write(const struct dynfs_fs_view *fs, uint64_t ino,
	     struct dynfs_file *file, uint64_t off, const void *data,
	     size_t len)
{
	struct iovec iov = { unconst(data), len };
	struct answer a = { 0 };
	struct dynfs_call call = calling(&a);

	fs->write(fs->ctx, ino, file, off, &iov, 1, O_WRONLY, &call);
	return await(&a);
}

int pv_fsync(const struct dynfs_fs_view *fs, uint64_t ino,
	     struct dynfs_file *file, bool data_only)
{
	struct answer a = { 0 };
	struct dynfs_call call = calling(&a);

	fs->fsync(fs->ctx, ino, file, data_only, &call);
	return await(&a);
}

int pv_flush(const struct dynfs_fs_view *fs, struct dynfs_file *file)
{
	struct answer a = { 0 };
	struct dynfs_call call = calling(&a);

	fs->flush(fs->ctx, file, &call);
	return await(&a);
}

struct listing {
	struct pv_names *names;
	uint64_t dir;
};

static int take(void *ctx, const struct dynfs_dirent *d)
{
	const struct listing *l = (const struct listing *)ctx;
	struct pv_entry *e = &l->names->e[l->names->n];

	if (d->cookie <= 2)
		return 0;
	if (l->names->n == PM_ENTRIES || d->name_len >= PM_NAME)
		return 1;
	*e = (struct pv_entry){ .parent = l->dir };
	memcpy(e->name, d->name, d->name_len);
	e->attr.ino = d->ino;
	e->attr.mode = d->type;
	l->names->n++;
	return 0;
}

static int fill_more(const struct dynfs_fs_view *fs, struct pv_entry *e)
{
	size_t len = 0;
	int r = fs->getxattr(fs->ctx, e->attr.ino, "user.sim", &e->xattr,
			     sizeof(e->xattr), &len);

	if (r == -ENODATA)
		r = 0;
	if (!r && S_ISLNK(e->attr.mode))
		r = fs->readlink(fs->ctx, e->attr.ino, e->target,
				 sizeof(e->target) - 1, &len);
	return r;
}

static int fill(const struct dynfs_fs_view *fs, struct pv_entry *e)
{
	uint64_t ino = e->attr.ino;
	uint32_t type = e->attr.mode & S_IFMT;
	int r = fs->lookup(fs->ctx, e->parent, e->name, &e->attr);

	if (r)
		return r;
	if (e->attr.ino != ino || (e->attr.mode & S_IFMT) != type)
		r = -EUCLEAN;
	if (!r)
		r = fill_more(fs, e);
	fs->forget(fs->ctx, e->attr.ino, 1);
	return r;
}

int pv_names(const struct dynfs_fs_view *fs, uint64_t root,
	     struct pv_names *ret)
{
	struct listing l = { ret, root };
	int r = 0;

	*ret = (struct pv_names){ 0 };
	/* what is found goes to the end: directories below follow */
	for (size_t i = 0;; i++) {
		if (!i || S_ISDIR(ret->e[i - 1].attr.mode)) {
			l.dir = i ? ret->e[i - 1].attr.ino : root;
			r = fs->readdir(fs->ctx, l.dir, 0, 0, take, &l);
			(void)snprintf(ret->why, sizeof(ret->why),
				       "readdir of inode %llu",
				       (unsigned long long)l.dir);
		}
		if (r || i == ret->n)
			return r;
		r = fill(fs, &ret->e[i]);
		(void)snprintf(ret->why, sizeof(ret->why),
			       "entry %s of inode %llu", ret->e[i].name,
			       (unsigned long long)ret->e[i].parent);
		if (r)
			return r;
	}
}

static const struct pv_entry *find(const struct pv_names *names,
				   uint64_t parent, const char *name)
{
	for (size_t i = 0; i < names->n; i++) {
		if (names->e[i].parent == parent &&
		    !strcmp(names->e[i].name, name))
			return &names->e[i];
	}
	return NULL;
}

static bool is_node(const struct pv_entry *e, const struct pm_node *n,
		    uint64_t xattr, uint32_t links)
{
	if (n->ino &&
	    (e->attr.ino != n->ino || e->attr.generation != n->generation))
		return false;
	return (e->attr.mode & S_IFMT) == n->type && e->xattr == xattr &&
	       !strcmp(e->target, n->target) &&
	       (n->type == S_IFDIR || e->attr.nlink == links);
}

bool pv_are(const struct pv_names *names, struct pm *m,
	    const struct pm_space *s)
{
	if (names->n != s->n)
		return false;
	for (size_t i = 0; i < s->n; i++) {
		struct pm_node *n = &m->node[s->e[i].node];
		const struct pv_entry *e =
		    find(names, m->node[s->e[i].parent].ino, s->e[i].name);

		if (!e || !is_node(e, n, s->xattr[s->e[i].node],
				   pm_links(s, s->e[i].node)))
			return false;
	}
	for (size_t i = 0; i < s->n; i++) {
		struct pm_node *n = &m->node[s->e[i].node];
		const struct pv_entry *e =
		    find(names, m->node[s->e[i].parent].ino, s->e[i].name);

		n->ino = e->attr.ino;
		n->generation = e->attr.generation;
	}
	return true;
}

void pv_explain(const struct pv_names *names, const struct pm *m,
		const struct pm_space *s, struct buf *out)
{
	for (size_t i = 0; i < names->n; i++) {
		const struct pv_entry *e = &names->e[i];

		buf_printf(out, "  is %llu/%s = %llu.%llx %o n%u x%llx %s\n",
			   (unsigned long long)e->parent, e->name,
			   (unsigned long long)e->attr.ino,
			   (unsigned long long)e->attr.generation, e->attr.mode,
			   e->attr.nlink, (unsigned long long)e->xattr,
			   e->target);
	}
	for (size_t i = 0; i < s->n; i++) {
		const struct pm_node *n = &m->node[s->e[i].node];

		buf_printf(out, "  be %llu/%s = %llu.%llx %o n%u x%llx %s\n",
			   (unsigned long long)m->node[s->e[i].parent].ino,
			   s->e[i].name, (unsigned long long)n->ino,
			   (unsigned long long)n->generation, n->type,
			   pm_links(s, s->e[i].node),
			   (unsigned long long)s->xattr[s->e[i].node],
			   n->target);
	}
	buf_put8(out, 0);
}
