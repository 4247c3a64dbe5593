/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open files: what a frontend holds from open() to release().
 *
 * Each holds its inode, so that a request through it looks nothing up, and its
 * place among the inode's losses, so that each is told of a loss once.  Whether
 * it was is known when the answer has gone out, and the file may be released
 * the moment it has: so a call keeps the file until it is through.  All of them
 * stand in a list, for a frontend that ends without giving them back.
 */
#include <tree/private.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

struct open_file {
	struct dynfs_file pub;
	struct tree *tree;
	struct inode *in; /* got */
	struct list link; /* of the tree, under opens.lock */
	atomic_uint refs; /* the frontend's, and of calls under way */
	pthread_mutex_t lock;
	uint64_t heard; /* of the inode's losses; under lock */
};

static struct open_file *open_of(struct dynfs_file *file)
{
	return container_of(file, struct open_file, pub);
}

static bool for_writing(uint32_t flags)
{
	return (flags & O_ACCMODE) != O_RDONLY;
}

struct open_file *open_alloc(uint32_t flags)
{
	struct open_file *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->pub.size = sizeof(f->pub);
	f->pub.flags = flags;
	atomic_init(&f->refs, 1);
	(void)pthread_mutex_init(&f->lock, NULL);
	return f;
}

void open_free(struct open_file *f)
{
	(void)pthread_mutex_destroy(&f->lock);
	free(f);
}

struct dynfs_file *open_enter(struct tree *t, struct open_file *f,
			      struct inode *in)
{
	f->tree = t;
	f->in = in;
	f->pub.ino = in->ino;
	f->heard = errseq_begin(&in->losses);
	atomic_fetch_add(&in->opens, 1);
	if (for_writing(f->pub.flags))
		atomic_fetch_add(&in->writers, 1);
	AUTOLOCK(&t->opens.lock);
	list_push(&t->opens.list, &f->link);
	t->opens.n++;
	return &f->pub;
}

static void open_put(struct open_file *f)
{
	struct opens *o = &f->tree->opens;
	struct inode *in = f->in;

	if (atomic_fetch_sub(&f->refs, 1) > 1)
		return;
	(void)pthread_mutex_lock(&o->lock);
	list_remove(&f->link);
	o->n--;
	(void)pthread_mutex_unlock(&o->lock);
	if (for_writing(f->pub.flags) && atomic_fetch_sub(&in->writers, 1) == 1)
		atomic_fetch_and(&in->marks, ~MARK_SETTLE);
	atomic_fetch_sub(&in->opens, 1);
	inode_put(in);
	open_free(f);
}

static int open_check(const struct tree *t, uint32_t mode, uint32_t flags)
{
	if (S_ISLNK(mode))
		return -ELOOP;
	if (S_ISDIR(mode))
		return for_writing(flags) ? -EISDIR : 0;
	if (!S_ISREG(mode))
		return -ENXIO; /* the kernel opens those itself */
	return for_writing(flags) ? tree_writable(t) : 0;
}

int view_open(void *ctx, uint64_t ino, uint32_t flags, struct dynfs_file **ret)
{
	struct tree *t = ctx;
	AUTOINODE struct inode *in = NULL;
	struct open_file *f;
	int r = inode_get(t->files, ino, &in);

	if (!r)
		r = open_check(t, inode_mode(in), flags);
	if (r < 0)
		return r;
	/* before the cut: one that can not be opened is not cut */
	f = open_alloc(flags);
	if (!f)
		return -ENOMEM;
	if ((flags & O_TRUNC) && for_writing(flags))
		r = inode_cut(in, 0);
	if (r < 0) {
		open_free(f);
		return r;
	}
	*ret = open_enter(t, f, TAKE(in));
	return 0;
}

void view_release(void *ctx, struct dynfs_file *file)
{
	(void)ctx;
	open_put(open_of(file));
}

int target_get(const struct tree *t, uint64_t ino, struct dynfs_file *file,
	       uint32_t unfit, struct target *ret)
{
	if (!file)
		return inode_get(t->files, ino, &ret->in);
	if (file->ino != ino || (file->flags & O_ACCMODE) == unfit)
		return -EBADF;
	ret->file = open_of(file);
	ret->in = ret->file->in;
	atomic_fetch_add(&ret->file->refs, 1);
	return 0;
}

void target_put(struct target *g)
{
	if (g->file)
		open_put(g->file);
	else if (g->in)
		inode_put(g->in);
}

void tree_close_files(struct tree *t)
{
	struct list *l;

	/* nobody uses the view any more: each has one reference */
	while ((l = list_first(&t->opens.list)))
		open_put(container_of(l, struct open_file, link));
}

uint64_t tree_open_files(struct tree *t)
{
	AUTOLOCK(&t->opens.lock);

	return t->opens.n;
}

/* ---- what went wrong -------------------------------------------------- */

/* r: of the call itself; heard: where the asker stands, and will. */
static void answer(struct inode *in, uint64_t *heard, int r,
		   const struct dynfs_call *call)
{
	uint64_t now = 0;
	int lost = r < 0 ? 0 : errseq_look(&in->losses, *heard, &now);

	/* a loss that nobody could be told of is still to be told */
	if (!call->done(call->ctx, lost ? lost : r) && lost)
		*heard = errseq_heard(&in->losses, now);
}

static void target_answer(const struct target *g, int r,
			  const struct dynfs_call *call)
{
	uint64_t as_new;

	if (g->file) {
		AUTOLOCK(&g->file->lock);
		answer(g->in, &g->file->heard, r, call);
		return;
	}
	as_new = errseq_begin(&g->in->losses);
	answer(g->in, &as_new, r, call);
}

void view_flush(void *ctx, struct dynfs_file *file,
		const struct dynfs_call *call)
{
	AUTOTARGET struct target g = { NULL, NULL };
	int r = target_get(ctx, file->ino, file, UNFIT_NONE, &g);

	if (!r && (atomic_load(&g.in->marks) & MARK_SETTLE))
		r = file_settle(g.in);
	if (!r)
		r = file_trouble(g.in);
	target_answer(&g, r, call);
}

/*
 * Of a directory it waits for the group that is open now: every operation that
 * was answered is in it or before it.
 */
static int sync_inode(const struct tree *t, struct inode *in, bool data_only)
{
	/* also while no more is taken: what was taken may be on its way */
	return S_ISREG(inode_mode(in))
		   ? file_sync(in, data_only)
		   : meta_sync(t->meta, meta_open_number(t->meta));
}

void view_fsync(void *ctx, uint64_t ino, struct dynfs_file *file, int data_only,
		const struct dynfs_call *call)
{
	const struct tree *t = ctx;
	AUTOTARGET struct target g = { NULL, NULL };
	int r = target_get(t, ino, file, UNFIT_NONE, &g);

	if (r < 0)
		(void)call->done(call->ctx, r); /* no loss is told */
	else
		target_answer(&g, sync_inode(t, g.in, data_only != 0), call);
}
