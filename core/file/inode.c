/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inodes in memory: one object for a number, found in a table.
 *
 * Whoever finds a number absent adds an object whose lock it holds while it
 * loads the record; others find the object and wait at that lock.  What
 * becomes of one that nobody refers to is decided in idle.c.
 */
#include <file/private.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/unconst.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define INO_RANGE 4096u

struct dynfs_time files_now(struct files *f)
{
	int64_t ns = f->how.os->wall_ns(f->how.os);

	return (struct dynfs_time){ .sec = ns / 1000000000,
				    .nsec = (uint32_t)(ns % 1000000000) };
}

struct inode *inode_find(struct files *f, uint64_t ino)
{
	struct hnode *n = hmap_find(&f->inodes, hash_u64(ino));

	for (; n; n = hmap_next(n)) {
		struct inode *in = container_of(n, struct inode, node);

		if (in->ino == ino)
			return in;
	}
	return NULL;
}

static struct inode *inode_alloc(struct files *f, uint64_t ino)
{
	struct inode *in = (struct inode *)calloc(1, sizeof(*in));

	if (!in)
		return NULL;
	in->files = f;
	in->ino = ino;
	in->refs = 1;
	list_init(&in->lru);
	(void)pthread_mutex_init(&in->lock, NULL);
	(void)pthread_rwlock_init(&in->io, NULL);
	return in;
}

/* What is in the metadata stays there: nobody is left who would move it. */
static void inode_unclaim(struct inode *in)
{
	if (!in->counted.exists || !in->counted.inlined)
		return;
	atomic_fetch_sub(&in->files->inlined_bytes, in->counted.inlined);
	reserved_sub(in->files, in->counted.policy, in->counted.inlined);
}

void inode_destroy(struct inode *in)
{
	if (in->content)
		content_free(in->files, in->content);
	inode_unclaim(in);
	free(unconst(in->rec.target));
	(void)pthread_rwlock_destroy(&in->io);
	(void)pthread_mutex_destroy(&in->lock);
	free(in);
}

static int inode_load(struct inode *in)
{
	struct key key = key_inode(in->ino);
	AUTOBUF struct buf value = BUF_INIT;
	struct inode_rec rec;
	char *target = NULL;
	int r = meta_get(in->files->how.meta, key.data, key.len, &value);

	if (r >= 0)
		r = inode_rec_get(value.data, value.len, &rec);
	if (r < 0)
		return r;
	if (rec.target_len) {
		target = (char *)malloc(rec.target_len);
		if (!target)
			return -ENOMEM;
		memcpy(target, rec.target, rec.target_len);
	}
	in->rec = rec;
	in->rec.target = target;
	in->disk_size = rec.size;
	in->counted.exists = true;
	in->counted.uid = rec.uid;
	in->counted.gid = rec.gid;
	in->counted.project = rec.project;
	in->counted.stored = rec.stored;
	in->counted.reserved = rec.reserved;
	in->counted.policy = rec.policy;
	in->loaded = true;
	return 0;
}

/* The one in the table, held; or fresh, whose lock is held, put into it. */
static struct inode *inode_enter(struct files *f, uint64_t ino,
				 struct inode *fresh)
{
	struct inode *in;

	files_asked(f);
	AUTOLOCK(&f->lock);
	in = inode_find(f, ino);
	if (in) {
		inode_use(f, in);
		return in;
	}
	if (!fresh)
		return NULL;
	hmap_add(&f->inodes, &fresh->node, hash_u64(ino));
	f->n_inodes++;
	return fresh;
}

/* Not there, a moment ago. */
static struct inode *inode_add(struct files *f, uint64_t ino)
{
	struct inode *fresh = inode_alloc(f, ino), *in;

	if (!fresh)
		return NULL;
	(void)pthread_mutex_lock(&fresh->lock);
	in = inode_enter(f, ino, fresh);
	if (in == fresh)
		return in;
	(void)pthread_mutex_unlock(&fresh->lock);
	inode_destroy(fresh);
	(void)pthread_mutex_lock(&in->lock);
	return in;
}

int inode_get(struct files *f, uint64_t ino, struct inode **ret)
{
	struct inode *in = inode_enter(f, ino, NULL);
	int r = 0;

	if (in)
		(void)pthread_mutex_lock(&in->lock);
	else
		in = inode_add(f, ino);
	if (!in)
		return -ENOMEM;
	if (!in->loaded)
		r = inode_load(in);
	(void)pthread_mutex_unlock(&in->lock);
	if (r < 0) {
		inode_put(in);
		return r;
	}
	*ret = in;
	return 0;
}

/* Numbers of a range are used only after the fact that says so is queued. */
static int ino_next(struct files *f, uint64_t *ret)
{
	struct key key = key_fact("ino");
	AUTOBUF struct buf value = BUF_INIT;
	AUTOBATCH struct batch b;
	uint64_t next = 2;
	int r;

	batch_init(&b);
	AUTOLOCK(&f->ino_lock);
	if (f->next_ino == f->end_ino) {
		r = meta_get(f->how.meta, key.data, key.len, &value);
		if (r >= 0 && ino_rec_get(value.data, value.len, &next) < 0)
			return fail(-EUCLEAN, "the record of the next inode is "
					      "damaged");
		if (r < 0 && r != -ENOENT)
			return r;
		buf_clear(&value);
		ino_rec_put(&value, next + INO_RANGE);
		batch_put(&b, key.data, key.len, value.data, value.len);
		r = meta_commit(f->how.meta, &b, NULL);
		if (r < 0)
			return r;
		f->next_ino = next;
		f->end_ino = next + INO_RANGE;
	}
	*ret = f->next_ino++;
	return 0;
}

int inode_new(struct files *f, const struct inode_rec *init, struct inode **ret)
{
	struct inode *in;
	uint64_t ino = 0;
	int r;

	if (f->how.readonly)
		return -EROFS;
	r = ino_next(f, &ino);
	if (r < 0)
		return r;
	in = inode_alloc(f, ino);
	if (!in)
		return -ENOMEM;
	in->rec = *init;
	in->rec.target = NULL;
	if (init->target_len) {
		char *target = (char *)malloc(init->target_len);

		if (!target) {
			inode_destroy(in);
			return -ENOMEM;
		}
		memcpy(target, init->target, init->target_len);
		in->rec.target = target;
	}
	r = f->how.os->random(f->how.os, &in->rec.generation,
			      sizeof(in->rec.generation));
	if (r < 0) {
		inode_destroy(in);
		return r;
	}
	in->rec.sequence = SEQUENCE_FIRST;
	in->fresh = true;
	in->loaded = true;
	in->disk_size = in->rec.size;
	(void)pthread_mutex_lock(&f->lock);
	hmap_add(&f->inodes, &in->node, hash_u64(ino));
	f->n_inodes++;
	(void)pthread_mutex_unlock(&f->lock);
	*ret = in;
	return 0;
}

int content_get(struct inode *in, struct content **ret)
{
	struct holder *h;

	if (!in->content) {
		h = (struct holder *)calloc(1, sizeof(*h));
		if (!h || hmap_init(&h->c.chunks, 1) < 0) {
			free(h);
			return -ENOMEM;
		}
		list_init(&h->c.runs);
		list_init(&h->dirty.link);
		list_init(&h->mapped);
		list_init(&h->changed);
		list_init(&h->cut);
		h->dirty.in = in;
		(void)pthread_mutex_init(&h->c.map_lock, NULL);
		(void)pthread_mutex_init(&h->c.flush, NULL);
		__atomic_store_n(&in->content, &h->c, __ATOMIC_RELEASE);
	}
	*ret = in->content;
	return 0;
}

struct content *content_detach(struct inode *in)
{
	struct content *c = in->content;

	if (c) {
		list_remove(&holder_of(c)->mapped);
		in->content = NULL;
	}
	return c;
}

/* Content is made under inode.io held alone, once. */
int content_ready(struct inode *in)
{
	struct content *c;

	if (content_of(in))
		return 0;
	AUTOWRLOCK(&in->io);
	return content_get(in, &c);
}

struct dirty *inode_dirty(struct inode *in)
{
	return &holder_of(in->content)->dirty;
}

/* ---- records --------------------------------------------------------- */

static void count_owner(struct batch *b, const struct inode_counted *c,
			int64_t sign)
{
	int64_t bytes = sign * (int64_t)c->stored;

	batch_count(b, USAGE_UID, c->uid, sign, bytes);
	batch_count(b, USAGE_GID, c->gid, sign, bytes);
	batch_count(b, USAGE_PROJECT, c->project, sign, bytes);
}

void inode_put_record(struct inode *in, struct batch *b)
{
	struct key key = key_inode(in->ino);
	struct inode_rec rec = in->rec;
	AUTOBUF struct buf value = BUF_INIT;

	rec.size = S_ISREG(rec.mode) ? in->disk_size : rec.size;
	inode_rec_put(&value, &rec);
	if (buf_error(&value) < 0)
		b->error = -ENOMEM;
	batch_put(b, key.data, key.len, value.data, value.len);
}

static uint64_t reserved_of(const struct inode_counted *c)
{
	return c->exists ? c->reserved : 0;
}

static uint64_t inlined_of(const struct inode_counted *c)
{
	return c->exists ? c->inlined : 0;
}

/* Of had bytes before, and has now: are they kept as they were? */
static bool is_kept(const struct inode_counted *was, uint64_t had,
		    const struct inode_counted *now, uint64_t has)
{
	return had == has && (!has || was->policy == now->policy);
}

/* Bytes that are in the metadata so far will take the room of extents, too. */
static int count_claims(struct inode *in, const struct inode_counted *now)
{
	const struct inode_counted *was = &in->counted;
	uint64_t had = reserved_of(was) + inlined_of(was);
	uint64_t has = reserved_of(now) + inlined_of(now);
	struct files *f = in->files;
	int r;

	if (inlined_of(was) != inlined_of(now))
		atomic_fetch_add(&f->inlined_bytes,
				 inlined_of(now) - inlined_of(was));
	if (is_kept(was, had, now, has))
		return 0;
	/* first, so that the room is nobody's for no moment */
	r = reserved_add(f, now->policy, has);
	reserved_sub(f, was->policy, had);
	return r;
}

/* What it keeps of the pool's room is another now, under the same lock. */
static void count_reserved(struct inode *in, const struct inode_counted *now,
			   struct batch *b)
{
	const struct inode_counted *was = &in->counted;
	uint64_t had = reserved_of(was), has = reserved_of(now);
	int r = count_claims(in, now);

	if (!b)
		return;
	if (r < 0)
		b->error = -ENOMEM;
	if (is_kept(was, had, now, has))
		return;
	batch_count(b, USAGE_RESERVED, was->policy, 0, -(int64_t)had);
	batch_count(b, USAGE_RESERVED, now->policy, 0, (int64_t)has);
}

void count_gone(struct inode *in, struct batch *b)
{
	struct inode_counted gone = in->counted;

	gone.exists = false;
	count_reserved(in, &gone, b);
	if (in->counted.exists)
		count_owner(b, &in->counted, -1);
	in->counted.exists = false;
}

void inode_uncount(struct inode *in, const struct inode_counted *was)
{
	count_reserved(in, was, NULL);
	in->counted = *was;
}

static uint64_t moved(uint64_t n, uint64_t was, uint64_t is)
{
	return is >= was ? n + (is - was) : n - (n < was - is ? n : was - is);
}

void amount_move(struct inode *in, struct amount was, struct amount is)
{
	struct inode_rec *rec = &in->rec;

	rec->stored = moved(rec->stored, was.stored, is.stored);
	rec->reserved = moved(rec->reserved, was.reserved, is.reserved);
	if (rec->reserved > rec->stored) /* damage of long ago */
		rec->reserved = rec->stored;
	/* what a crash has left there is not known of */
	in->inlined = moved(in->inlined, was.inlined, is.inlined);
}

bool inode_is_dir(struct inode *in)
{
	AUTOLOCK(&in->lock);

	return S_ISDIR(in->rec.mode);
}

void inode_record(struct inode *in, struct batch *b)
{
	bool moves = in->rec.size > in->files->how.inline_file_bytes;
	struct inode_counted now = { true,           in->rec.uid,
				     in->rec.gid,    in->rec.project,
				     in->rec.stored, in->rec.reserved,
				     in->rec.policy, moves ? in->inlined : 0 };

	inode_put_record(in, b);
	if (in->counted.exists)
		count_owner(b, &in->counted, -1);
	count_owner(b, &now, 1);
	count_reserved(in, &now, b);
	in->counted = now;
	in->dirty_attr = false;
	in->fresh = false;
}

struct before inode_before(const struct inode *in)
{
	return (struct before){ in->rec,     in->counted, in->disk_size,
				in->inlined, in->fresh,   in->dirty_attr };
}

void inode_undo(struct inode *in, const struct before *was)
{
	inode_uncount(in, &was->counted);
	in->rec = was->rec;
	in->disk_size = was->disk_size;
	in->inlined = was->inlined;
	in->fresh = was->fresh;
	in->dirty_attr = was->dirty_attr;
}

struct before change_begin(struct inode *in)
{
	extent_drop_begin(in->files->how.extents);
	(void)pthread_mutex_lock(&in->lock);
	return inode_before(in);
}

void change_end(struct inode *in, const struct before *was, int r)
{
	if (r < 0)
		inode_undo(in, was);
	(void)pthread_mutex_unlock(&in->lock);
	extent_drop_end(in->files->how.extents, r >= 0);
}

void inode_attr(struct inode *in, struct dynfs_attr *ret)
{
	struct content *c = content_of(in);

	AUTOLOCK(&in->lock);
	*ret = (struct dynfs_attr){
		.ino = in->ino,
		.generation = in->rec.generation,
		.size_bytes = in->rec.size,
		.stored_bytes = in->rec.stored,
		.mode = in->rec.mode,
		.nlink = in->rec.nlink,
		.uid = in->rec.uid,
		.gid = in->rec.gid,
		.rdev = in->rec.rdev,
		.atime = in->rec.atime,
		.mtime = in->rec.mtime,
		.ctime = in->rec.ctime,
		.btime = in->rec.btime,
	};
	if (!c)
		return;
	ret->stored_bytes += atomic_load(&c->pending);
	ret->unsettled = atomic_load(&c->guess);
}

const struct policy *policy_of_id(struct extents *x, uint32_t id)
{
	const struct policy *p = id ? extents_policy(x, id) : NULL, *now;

	if (!p)
		return extents_policy_default(x);
	/* what the config makes of that name today */
	now = extents_policy_named(x, p->name);
	return now ? now : p;
}

const struct policy *inode_policy(struct inode *in)
{
	return policy_of_id(in->files->how.extents, in->rec.policy);
}

const struct policy *policy_of(struct inode *in)
{
	AUTOLOCK(&in->lock);
	return inode_policy(in);
}
