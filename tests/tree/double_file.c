/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files double: inodes in a hash table, content as one row of metadata
 * ('C' and the inode's key) that is written at once.
 */
#include "double_priv.h"

#include <base/cleanup.h>

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct files {
	struct meta *meta;
	pthread_mutex_t lock;
	struct hmap map;
	struct hmap known; /* struct known */
	uint64_t next_ino;
	atomic_uint_fast64_t settled;
	atomic_int_fast64_t tick;
	int64_t skew;
};

struct known { /* to the frontend; n may be 0 */
	struct hnode node;
	uint64_t ino, n;
};

static struct key content_key(uint64_t ino)
{
	struct key k = key_inode(ino);

	k.data[0] = 'C';
	return k;
}

static int last_row(void *ctx, const void *key, size_t key_len,
		    const void *value, size_t value_len)
{
	(void)value;
	(void)value_len;
	return key_parse_inode(key, key_len, ctx);
}

struct files *double_files_new(struct meta *m)
{
	struct files *f = calloc(1, sizeof(*f));
	struct key all = key_kind('I');
	uint64_t last = 1;
	int r;

	assert(f);
	f->meta = m;
	(void)pthread_mutex_init(&f->lock, NULL);
	r = hmap_init(&f->map, 16);
	assert(r == 0);
	r = hmap_init(&f->known, 16);
	assert(r == 0);
	r = meta_scan(m, all.data, all.len, NULL, 0, last_row, &last);
	assert(r == 0);
	(void)r;
	f->next_ino = last + 1;
	return f;
}

static void inode_free(struct inode *in)
{
	char *target;

	memcpy(&target, &in->rec.target, sizeof(target));
	free(target);
	(void)pthread_mutex_destroy(&in->lock);
	(void)pthread_rwlock_destroy(&in->io);
	free(in);
}

static void inode_flush(struct inode *in)
{
	struct batch b;

	batch_init(&b);
	(void)pthread_mutex_lock(&in->lock);
	if (in->dirty_attr && !in->fresh) {
		inode_record(in, &b);
		(void)meta_commit(in->files->meta, &b, NULL);
	}
	(void)pthread_mutex_unlock(&in->lock);
	batch_done(&b);
}

void double_files_flush(struct files *f)
{
	for (struct hnode *n = hmap_iter(&f->map, NULL); n;
	     n = hmap_iter(&f->map, n))
		inode_flush(container_of(n, struct inode, node));
}

void double_files_free(struct files *f)
{
	struct hnode *n;

	while ((n = hmap_iter(&f->map, NULL)) != NULL) {
		struct inode *in = container_of(n, struct inode, node);
		uint32_t held = (uint32_t)atomic_load(&in->opens);

		if (in->refs != held)
			(void)fprintf(stderr, "inode %llu: %u refs, %u held\n",
				      (unsigned long long)in->ino, in->refs,
				      held);
		assert(in->refs == held);
		assert(!in->fresh || !held);
		hmap_remove(&f->map, n);
		inode_free(in);
	}
	hmap_done(&f->map);
	while ((n = hmap_iter(&f->known, NULL)) != NULL) {
		hmap_remove(&f->known, n);
		free(container_of(n, struct known, node));
	}
	hmap_done(&f->known);
	(void)pthread_mutex_destroy(&f->lock);
	free(f);
}

void double_evict(struct files *f)
{
	double_files_flush(f);
	for (;;) {
		struct hnode *n = hmap_iter(&f->map, NULL);

		while (n && container_of(n, struct inode, node)->refs)
			n = hmap_iter(&f->map, n);
		if (!n)
			return;
		hmap_remove(&f->map, n);
		inode_free(container_of(n, struct inode, node));
	}
}

uint64_t double_settled(struct files *f)
{
	return atomic_load(&f->settled);
}

void double_advance(struct files *f, int64_t seconds)
{
	f->skew += seconds;
}

/* ---- the contract of file.h ------------------------------------------ */

static struct inode *find(const struct files *f, uint64_t ino)
{
	struct hnode *n = hmap_find(&f->map, hash_u64(ino));

	for (; n; n = hmap_next(n))
		if (container_of(n, struct inode, node)->ino == ino)
			return container_of(n, struct inode, node);
	return NULL;
}

static struct inode *inode_make(struct files *f, uint64_t ino,
				const struct inode_rec *rec)
{
	struct inode *in = calloc(1, sizeof(*in));

	assert(in);
	in->files = f;
	in->ino = ino;
	in->refs = 1;
	in->rec = *rec;
	if (rec->target_len) {
		/* strndup() looks for an end mark behind the last byte */
		char *target = calloc(1, (size_t)rec->target_len + 1);

		assert(target);
		memcpy(target, rec->target, rec->target_len);
		in->rec.target = target;
	} else {
		in->rec.target = NULL;
	}
	in->loaded = true;
	in->disk_size = rec->size;
	(void)pthread_mutex_init(&in->lock, NULL);
	(void)pthread_rwlock_init(&in->io, NULL);
	hmap_add(&f->map, &in->node, hash_u64(ino));
	return in;
}

int inode_get(struct files *f, uint64_t ino, struct inode **ret)
{
	struct key key = key_inode(ino);
	AUTOBUF struct buf value = BUF_INIT;
	struct inode_rec rec = { .mode = 0 };
	struct inode *in;
	int r;

	AUTOLOCK(&f->lock);
	in = find(f, ino);
	if (in) {
		in->refs++;
		*ret = in;
		return 0;
	}
	r = meta_get(f->meta, key.data, key.len, &value);
	if (!r)
		r = inode_rec_get(value.data, value.len, &rec);
	if (r < 0)
		return r;
	in = inode_make(f, ino, &rec);
	in->counted =
	    (struct inode_counted){ true,       rec.uid, rec.gid, rec.project,
				    rec.stored, 0,       0,       0 };
	*ret = in;
	return 0;
}

int inode_new(struct files *f, const struct inode_rec *init, struct inode **ret)
{
	AUTOLOCK(&f->lock);
	*ret = inode_make(f, f->next_ino++, init);
	(*ret)->rec.generation = 7;
	(*ret)->fresh = true;
	(*ret)->disk_size = 0;
	return 0;
}

static void count(struct batch *b, const struct inode_counted *c, int sign)
{
	const uint32_t ids[] = { c->uid, c->gid, c->project };

	for (uint8_t k = 0; c->exists && k < 3; k++)
		batch_count(b, (uint8_t)(k + 1), ids[k], sign,
			    sign * (int64_t)c->stored);
}

static int delete_row(void *ctx, const void *key, size_t key_len,
		      const void *value, size_t value_len)
{
	(void)value;
	(void)value_len;
	batch_delete(ctx, key, key_len);
	return 0;
}

static void reclaim(struct inode *in)
{
	struct files *f = in->files;
	struct key key = key_inode(in->ino);
	struct batch b;

	batch_init(&b);
	batch_delete(&b, key.data, key.len);
	key = content_key(in->ino);
	batch_delete(&b, key.data, key.len);
	key = key_intent(in->ino, INTENT_REMOVE);
	batch_delete(&b, key.data, key.len);
	key = key_xattr_ino(in->ino);
	(void)meta_scan(f->meta, key.data, key.len, NULL, 0, delete_row, &b);
	count(&b, &in->counted, -1);
	in->counted.exists = false;
	(void)meta_commit(f->meta, &b, NULL);
	batch_done(&b);
}

static struct known *known_of(struct files *f, uint64_t ino)
{
	struct hnode *n = hmap_find(&f->known, hash_u64(ino));
	struct known *k;

	for (; n; n = hmap_next(n))
		if (container_of(n, struct known, node)->ino == ino)
			return container_of(n, struct known, node);
	k = calloc(1, sizeof(*k));
	assert(k);
	k->ino = ino;
	hmap_add(&f->known, &k->node, hash_u64(ino));
	return k;
}

uint64_t double_known(struct files *f, uint64_t ino)
{
	AUTOLOCK(&f->lock);
	return known_of(f, ino)->n;
}

void inode_know(struct inode *in)
{
	AUTOLOCK(&in->files->lock);
	known_of(in->files, in->ino)->n++;
}

/* lock is held, refs is 0 */
static void rest(struct inode *in)
{
	struct files *f = in->files;

	if (!in->rec.nlink && in->counted.exists && !known_of(f, in->ino)->n)
		reclaim(in);
	if (in->counted.exists)
		return;
	hmap_remove(&f->map, &in->node);
	inode_free(in);
}

void files_forget(struct files *f, uint64_t ino, uint64_t n)
{
	struct known *k;
	struct inode *in;

	AUTOLOCK(&f->lock);
	k = known_of(f, ino);
	k->n -= n < k->n ? n : k->n;
	in = find(f, ino);
	if (in && !in->refs)
		rest(in);
}

void inode_put(struct inode *in)
{
	struct files *f = in->files;

	AUTOLOCK(&f->lock);
	assert(in->refs > 0);
	if (--in->refs)
		return;
	assert(!atomic_load(&in->opens));
	rest(in);
}

void inode_record(struct inode *in, struct batch *b)
{
	struct key key = key_inode(in->ino);
	struct inode_rec rec = in->rec;
	AUTOBUF struct buf value = BUF_INIT;

	assert(pthread_mutex_trylock(&in->lock) == EBUSY);
	rec.size = in->disk_size;
	inode_rec_put(&value, &rec);
	batch_put(b, key.data, key.len, value.data, value.len);
	count(b, &in->counted, -1);
	in->counted =
	    (struct inode_counted){ true,       rec.uid, rec.gid, rec.project,
				    rec.stored, 0,       0,       0 };
	count(b, &in->counted, 1);
	in->fresh = false;
	in->dirty_attr = false;
}

void inode_attr(struct inode *in, struct dynfs_attr *ret)
{
	const struct inode_rec *r = &in->rec;

	AUTOLOCK(&in->lock);
	*ret = (struct dynfs_attr){ .ino = in->ino,
				    .generation = r->generation,
				    .size_bytes = r->size,
				    .stored_bytes = r->stored,
				    .mode = r->mode,
				    .nlink = r->nlink,
				    .uid = r->uid,
				    .gid = r->gid,
				    .rdev = r->rdev,
				    .atime = r->atime,
				    .mtime = r->mtime,
				    .ctime = r->ctime,
				    .btime = r->btime };
}

/* Never the same twice, so that tests can tell before from after. */
bool files_room_comes(struct files *f, unsigned *looks)
{
	(void)f;
	(void)looks;
	return false;
}

struct dynfs_time files_now(struct files *f)
{
	int64_t tick = atomic_fetch_add(&f->tick, 1) + 1;

	return (struct dynfs_time){ .sec = 1000000 + f->skew + tick / 1000,
				    .nsec = (uint32_t)(tick % 1000) };
}

static void content_load(const struct inode *in, struct buf *ret)
{
	struct key key = content_key(in->ino);

	(void)meta_get(in->files->meta, key.data, key.len, ret);
}

static int content_store(struct inode *in, const struct buf *content)
{
	struct key key = content_key(in->ino);
	struct batch b;
	int r;

	batch_init(&b);
	batch_put(&b, key.data, key.len, content->data, content->len);
	(void)pthread_mutex_lock(&in->lock);
	in->rec.size = in->disk_size = content->len;
	in->rec.stored = content->len;
	in->rec.mtime = in->rec.ctime = files_now(in->files);
	inode_record(in, &b);
	r = meta_commit(in->files->meta, &b, NULL);
	(void)pthread_mutex_unlock(&in->lock);
	batch_done(&b);
	return r;
}

int file_read(struct inode *in, uint64_t off, size_t len, void *to,
	      size_t *ret_len)
{
	AUTOBUF struct buf content = BUF_INIT;
	AUTORDLOCK(&in->io);
	size_t n = 0;

	content_load(in, &content);
	if (off < content.len)
		n = content.len - off < len ? content.len - off : len;
	if (n)
		memcpy(to, content.data + off, n);
	*ret_len = n;
	return 0;
}

int file_write(struct inode *in, uint64_t off, const struct iovec *iov,
	       uint32_t n_iov, bool append, const struct dynfs_call *call)
{
	AUTOBUF struct buf content = BUF_INIT;
	AUTOWRLOCK(&in->io);

	(void)call; /* nothing waits here */
	content_load(in, &content);
	if (append)
		off = content.len;
	for (uint32_t i = 0; i < n_iov; i++) {
		if (off + iov[i].iov_len > content.len)
			buf_put_zero(&content,
				     off + iov[i].iov_len - content.len);
		assert(!buf_error(&content));
		if (iov[i].iov_len)
			memcpy(content.data + off, iov[i].iov_base,
			       iov[i].iov_len);
		off += iov[i].iov_len;
	}
	return content_store(in, &content);
}

int file_truncate(struct inode *in, uint64_t size)
{
	AUTOBUF struct buf content = BUF_INIT;
	AUTOWRLOCK(&in->io);

	content_load(in, &content);
	if (size > content.len)
		buf_put_zero(&content, size - content.len);
	content.len = size;
	return content_store(in, &content);
}

/* All of it is data. */
int file_seek(struct inode *in, uint64_t off, bool data, uint64_t *ret)
{
	AUTOBUF struct buf content = BUF_INIT;
	AUTORDLOCK(&in->io);

	content_load(in, &content);
	if (off >= content.len)
		return -ENXIO;
	*ret = data ? off : content.len;
	return 0;
}

void inode_uncount(struct inode *in, const struct inode_counted *was)
{
	in->counted = *was;
}

uint64_t files_reserved(struct files *f)
{
	(void)f;
	return 0;
}

int file_allocate(struct inode *in, int mode, uint64_t off, uint64_t len,
		  const struct dynfs_call *call)
{
	(void)in, (void)mode, (void)off, (void)len, (void)call;
	return -EOPNOTSUPP;
}

int file_copy_range(struct inode *from, uint64_t from_off, struct inode *to,
		    uint64_t to_off, uint64_t len, uint64_t *ret_len)
{
	(void)from, (void)from_off, (void)to, (void)to_off, (void)len;
	(void)ret_len;
	return -EOPNOTSUPP;
}

int file_sync(struct inode *in, bool data_only)
{
	(void)in;
	(void)data_only;
	return 0;
}

int file_settle(struct inode *in)
{
	atomic_fetch_add(&in->files->settled, 1);
	return 0;
}

int file_trouble(struct inode *in)
{
	(void)in;
	return 0;
}
