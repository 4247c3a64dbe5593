/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of the metadata, encoded as docs/design/format.md section 4 says and
 * decoded with every field checked.
 *
 * A get believes nothing: a value may come from an index that rotted or from
 * a log that somebody made.  What passes is safe to use as it is: counts are
 * below their arrays, lengths agree with each other, names hold no slash, and
 * nothing is left over.  Flags that this program does not know are refused
 * too: a program that needs them says so in the feature sets.
 */
#include <meta/keys.h>

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define RECORD_VERSION 1u
#define CHUNK_MAX      (16u << 20) /* the largest extent size */
#define STORED_MAX     (32u << 20) /* transforms may make it longer */
#define BLOCK_MIN      4096u
#define DIGEST_MIN     8u
#define TARGET_MAX     4095u /* as PATH_MAX allows for a link */

static struct rd open_record(const void *data, size_t len)
{
	struct rd r = rd_of(data, len);

	if (rd8(&r) != RECORD_VERSION)
		r.error = -EUCLEAN;
	return r;
}

static void bad_if(struct rd *r, bool wrong)
{
	if (wrong)
		r->error = -EUCLEAN;
}

/* A var that must fit 32 bits. */
static uint32_t rd_var32(struct rd *r)
{
	uint64_t v = rd_var(r);

	bad_if(r, v > UINT32_MAX);
	return r->error ? 0 : (uint32_t)v;
}

static void put_time(struct buf *b, const struct dynfs_time *t)
{
	buf_put64(b, (uint64_t)t->sec);
	buf_put32(b, t->nsec);
}

static struct dynfs_time rd_time(struct rd *r)
{
	struct dynfs_time t = { .sec = (int64_t)rd64(r) };

	t.nsec = rd32(r);
	bad_if(r, t.nsec >= 1000000000u);
	return t;
}

void inode_rec_put(struct buf *b, const struct inode_rec *i)
{
	buf_put8(b, RECORD_VERSION);
	buf_put8(b, (uint8_t)(i->flags | (i->reserved ? INODE_RESERVES : 0)));
	buf_put_var(b, i->policy);
	buf_put_var(b, i->mode);
	buf_put_var(b, i->uid);
	buf_put_var(b, i->gid);
	buf_put_var(b, i->nlink);
	buf_put_var(b, i->project);
	buf_put64(b, i->generation);
	buf_put_var(b, i->size);
	buf_put_var(b, i->stored);
	buf_put_var(b, i->rdev);
	buf_put_var(b, i->parent);
	buf_put_var(b, i->sequence);
	put_time(b, &i->atime);
	put_time(b, &i->mtime);
	put_time(b, &i->ctime);
	put_time(b, &i->btime);
	buf_put_var(b, i->target_len);
	buf_put(b, i->target, i->target_len);
	if (i->reserved)
		buf_put_var(b, i->reserved);
}

static bool mode_is_known(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
	case S_IFDIR:
	case S_IFLNK:
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return !(mode & ~(uint32_t)(S_IFMT | 07777));
	default:
		return false;
	}
}

int inode_rec_get(const void *data, size_t len, struct inode_rec *ret)
{
	struct rd r = open_record(data, len);
	struct inode_rec i = { .flags = rd8(&r) };

	i.policy = rd_var32(&r);
	i.mode = rd_var32(&r);
	i.uid = rd_var32(&r);
	i.gid = rd_var32(&r);
	i.nlink = rd_var32(&r);
	i.project = rd_var32(&r);
	i.generation = rd64(&r);
	i.size = rd_var(&r);
	i.stored = rd_var(&r);
	i.rdev = rd_var(&r);
	i.parent = rd_var(&r);
	i.sequence = rd_var(&r);
	i.atime = rd_time(&r);
	i.mtime = rd_time(&r);
	i.ctime = rd_time(&r);
	i.btime = rd_time(&r);
	i.target_len = rd_var32(&r);
	i.target = (const char *)rd_bytes(&r, i.target_len);
	if (i.flags & INODE_RESERVES) {
		i.reserved = rd_var(&r);
		bad_if(&r, !i.reserved || i.reserved > i.stored);
	}
	i.flags &= (uint8_t)~INODE_RESERVES;
	bad_if(&r, i.flags & ~(INODE_POLICY_SET | INODE_PLAIN));
	bad_if(&r, !mode_is_known(i.mode));
	bad_if(&r, i.size > INT64_MAX || i.stored > INT64_MAX);
	bad_if(&r, i.target_len > TARGET_MAX);
	bad_if(&r, i.target_len && !S_ISLNK(i.mode));
	bad_if(&r, i.target && memchr(i.target, 0, i.target_len));
	if (rd_end(&r) < 0)
		return -EUCLEAN;
	*ret = i;
	return 0;
}

void slice_rec_put(struct buf *b, const struct slice_rec *s)
{
	buf_put8(b, RECORD_VERSION);
	buf_put8(b, s->kind);
	buf_put_var(b, s->offset);
	buf_put_var(b, s->length);
	if (s->kind == SLICE_EXTENT) {
		buf_put64(b, s->extent.epoch);
		buf_put64(b, s->extent.counter);
		buf_put_var(b, s->extent_offset);
	} else if (s->kind == SLICE_INLINE) {
		buf_put(b, s->bytes, s->length);
	}
}

int slice_rec_get(const void *data, size_t len, struct slice_rec *ret)
{
	struct rd r = open_record(data, len);
	struct slice_rec s = { .kind = rd8(&r) };

	s.offset = rd_var32(&r);
	s.length = rd_var32(&r);
	bad_if(&r, s.length == 0 || s.length > CHUNK_MAX ||
		       s.offset > CHUNK_MAX - s.length);
	switch (s.kind) {
	case SLICE_EXTENT:
		s.extent.epoch = rd64(&r);
		s.extent.counter = rd64(&r);
		s.extent_offset = rd_var32(&r);
		bad_if(&r, s.length > CHUNK_MAX ||
			       s.extent_offset > CHUNK_MAX - s.length);
		break;
	case SLICE_HOLE:
	case SLICE_RESERVED:
		break;
	case SLICE_INLINE:
		s.bytes = rd_bytes(&r, s.length);
		break;
	default:
		return -EUCLEAN;
	}
	if (rd_end(&r) < 0)
		return -EUCLEAN;
	*ret = s;
	return 0;
}

void dirent_rec_put(struct buf *b, const struct dirent_rec *d)
{
	buf_put8(b, RECORD_VERSION);
	buf_put8(b, d->dead ? 1 : 0);
	if (d->dead)
		return;
	buf_put8(b, d->type);
	buf_put_var(b, d->ino);
	buf_put(b, d->name, d->name_len);
}

int dirent_rec_get(const void *data, size_t len, struct dirent_rec *ret)
{
	struct rd r = open_record(data, len);
	struct dirent_rec d = { 0 };
	uint8_t flags = rd8(&r);
	size_t left;

	bad_if(&r, flags > 1);
	d.dead = flags & 1;
	if (!d.dead) {
		d.type = rd8(&r);
		d.ino = rd_var(&r);
		left = rd_left(&r);
		bad_if(&r,
		       d.type > 15 || !d.ino || !left || left > DYNFS_NAME_MAX);
		d.name = (const char *)rd_bytes(&r, left);
		d.name_len = (uint32_t)left;
		bad_if(&r, d.name && (memchr(d.name, '/', left) ||
				      memchr(d.name, 0, left)));
	}
	if (rd_end(&r) < 0)
		return -EUCLEAN;
	*ret = d;
	return 0;
}

void extent_rec_put(struct buf *b, const struct extent_rec *x)
{
	uint32_t n = x->k + x->m;

	if (n > FRAGMENTS_MAX || x->digest_len > DYNFS_CHECKSUM_MAX) {
		b->error = b->error ? b->error : -EINVAL;
		return;
	}
	buf_put8(b, RECORD_VERSION);
	buf_put8(b, x->flags);
	buf_put_var(b, x->policy);
	buf_put_var(b, x->stored_as);
	buf_put_var(b, x->k);
	buf_put_var(b, x->m);
	buf_put_var(b, x->block_bytes);
	buf_put_var(b, x->digest_len);
	buf_put_var(b, x->plain_len);
	buf_put_var(b, x->stored_len);
	buf_put_var(b, x->payload_len);
	buf_put_var(b, x->epoch);
	buf_put_var(b, n);
	for (uint32_t i = 0; i < n; i++) {
		const struct fragment_rec *f = &x->fragments[i];

		buf_put_var(b, f->disk);
		buf_put64(b, f->place.w[0]);
		buf_put64(b, f->place.w[1]);
		buf_put(b, f->root, x->digest_len);
	}
}

/* The numbers before the fragments, against each other. */
static void extent_check(struct rd *r, const struct extent_rec *x, uint32_t n)
{
	bad_if(r,
	       x->flags & ~(EXTENT_PACKED | EXTENT_DEGRADED | EXTENT_POISONED));
	bad_if(r, !x->k || x->k > FRAGMENTS_MAX || x->m > FRAGMENTS_MAX ||
		      n > FRAGMENTS_MAX || n != x->k + x->m);
	bad_if(r, x->block_bytes < BLOCK_MIN || x->block_bytes > CHUNK_MAX ||
		      (x->block_bytes & (x->block_bytes - 1)));
	bad_if(r, x->digest_len < DIGEST_MIN ||
		      x->digest_len > DYNFS_CHECKSUM_MAX);
	bad_if(r, !x->plain_len || x->plain_len > CHUNK_MAX);
	bad_if(r, !x->stored_len || x->stored_len > STORED_MAX);
	/* there are no transforms: a read finds its piece by the plain offset */
	bad_if(r, x->stored_len != x->plain_len);
	bad_if(r, x->payload_len > STORED_MAX || x->payload_len % 64);
	/* payload below its bound and k below 33: no overflow */
	bad_if(r, !r->error && x->payload_len * x->k < x->stored_len);
}

static void rd_fragment(struct rd *r, uint32_t digest_len,
			struct fragment_rec *f)
{
	f->disk = rd_var32(r);
	f->place.w[0] = rd64(r);
	f->place.w[1] = rd64(r);
	rd_copy(r, f->root, digest_len);
	bad_if(r, f->disk && !f->place.w[0] && !f->place.w[1]);
}

int extent_rec_get(const void *data, size_t len, struct extent_rec *ret)
{
	struct rd r = open_record(data, len);
	struct extent_rec x;
	uint32_t n;

	memset(&x, 0, sizeof(x));
	x.flags = rd8(&r);
	x.policy = rd_var32(&r);
	x.stored_as = rd_var32(&r);
	x.k = rd_var32(&r);
	x.m = rd_var32(&r);
	x.block_bytes = rd_var32(&r);
	x.digest_len = rd_var32(&r);
	x.plain_len = rd_var(&r);
	x.stored_len = rd_var(&r);
	x.payload_len = rd_var(&r);
	x.epoch = rd_var(&r);
	n = rd_var32(&r);
	extent_check(&r, &x, n);
	for (uint32_t i = 0; !r.error && i < n; i++)
		rd_fragment(&r, x.digest_len, &x.fragments[i]);
	if (rd_end(&r) < 0)
		return -EUCLEAN;
	*ret = x;
	return 0;
}

void repair_rec_put(struct buf *b, const struct repair_rec *p)
{
	buf_put8(b, RECORD_VERSION);
	buf_put8(b, p->reason);
	buf_put32(b, p->mask);
	buf_put64(b, (uint64_t)p->since_ns);
}

int repair_rec_get(const void *data, size_t len, struct repair_rec *ret)
{
	struct rd r = open_record(data, len);
	struct repair_rec p = { .reason = rd8(&r) };

	p.mask = rd32(&r);
	p.since_ns = (int64_t)rd64(&r);
	bad_if(&r, p.reason < REPAIR_WRITTEN_DEGRADED ||
		       p.reason > REPAIR_DISK_FAILED);
	if (rd_end(&r) < 0)
		return -EUCLEAN;
	*ret = p;
	return 0;
}

void free_rec_put(struct buf *b, const struct free_rec *f)
{
	if (f->n > FRAGMENTS_MAX) {
		b->error = b->error ? b->error : -EINVAL;
		return;
	}
	buf_put8(b, RECORD_VERSION);
	buf_put_var(b, f->n);
	for (uint32_t i = 0; i < f->n; i++) {
		buf_put_var(b, f->at[i].disk);
		buf_put_var(b, f->at[i].index);
		buf_put64(b, f->at[i].place.w[0]);
		buf_put64(b, f->at[i].place.w[1]);
	}
}

int free_rec_get(const void *data, size_t len, struct free_rec *ret)
{
	struct rd r = open_record(data, len);
	struct free_rec f;

	memset(&f, 0, sizeof(f));
	f.n = rd_var32(&r);
	bad_if(&r, f.n > FRAGMENTS_MAX);
	for (uint32_t i = 0; !r.error && i < f.n; i++) {
		f.at[i].disk = rd_var32(&r);
		f.at[i].index = rd_var32(&r);
		f.at[i].place.w[0] = rd64(&r);
		f.at[i].place.w[1] = rd64(&r);
		bad_if(&r, !f.at[i].disk || f.at[i].index >= FRAGMENTS_MAX);
		bad_if(&r, !f.at[i].place.w[0] && !f.at[i].place.w[1]);
	}
	if (rd_end(&r) < 0)
		return -EUCLEAN;
	*ret = f;
	return 0;
}

void intent_rec_put(struct buf *b, const struct intent_rec *i)
{
	buf_put8(b, RECORD_VERSION);
	buf_put8(b, i->kind);
	if (i->kind == INTENT_CUT) {
		buf_put64(b, i->chunk);
		buf_put64(b, i->sequence);
		if (i->counted)
			buf_put8(b, 1);
	}
}

int intent_rec_get(const void *data, size_t len, struct intent_rec *ret)
{
	struct rd r = open_record(data, len);
	struct intent_rec i = { .kind = rd8(&r) };

	bad_if(&r, i.kind != INTENT_REMOVE && i.kind != INTENT_CUT);
	if (i.kind == INTENT_CUT) {
		i.chunk = rd64(&r);
		i.sequence = rd64(&r);
		i.counted = rd_left(&r) != 0;
		bad_if(&r, i.counted && rd8(&r) != 1);
	}
	if (rd_end(&r) < 0)
		return -EUCLEAN;
	*ret = i;
	return 0;
}

void policy_rec_put(struct buf *b, const struct policy_rec *p)
{
	if (p->k > UINT8_MAX || p->m > UINT8_MAX) {
		b->error = b->error ? b->error : -EINVAL;
		return;
	}
	buf_put8(b, RECORD_VERSION);
	buf_put_str(b, p->name, strnlen(p->name, sizeof(p->name)));
	buf_put_str(b, p->redundancy,
		    strnlen(p->redundancy, sizeof(p->redundancy)));
	buf_put8(b, (uint8_t)p->k);
	buf_put8(b, (uint8_t)p->m);
	buf_put_str(b, p->options, strnlen(p->options, sizeof(p->options)));
	buf_put_str(b, p->checksum, strnlen(p->checksum, sizeof(p->checksum)));
	buf_put32(b, p->block_bytes);
	buf_put16(b, 0);
}

/* Into an array of size bytes, terminated; no NUL inside. */
static void rd_text(struct rd *r, char *to, size_t size, bool may_be_empty)
{
	size_t len;
	const char *s = rd_str(r, &len);

	bad_if(r, !s || len >= size || (!len && !may_be_empty));
	if (r->error)
		return;
	bad_if(r, memchr(s, 0, len) != NULL);
	memcpy(to, s, len);
	to[len] = 0;
}

int policy_rec_get(const void *data, size_t len, struct policy_rec *ret)
{
	struct rd r = open_record(data, len);
	struct policy_rec p;
	uint16_t n_transforms;

	memset(&p, 0, sizeof(p));
	rd_text(&r, p.name, sizeof(p.name), false);
	rd_text(&r, p.redundancy, sizeof(p.redundancy), false);
	p.k = rd8(&r);
	p.m = rd8(&r);
	rd_text(&r, p.options, sizeof(p.options), true);
	rd_text(&r, p.checksum, sizeof(p.checksum), false);
	p.block_bytes = rd32(&r);
	n_transforms = rd16(&r);
	bad_if(&r, !p.k || p.k + p.m > FRAGMENTS_MAX);
	bad_if(&r, p.block_bytes < BLOCK_MIN || p.block_bytes > CHUNK_MAX ||
		       (p.block_bytes & (p.block_bytes - 1)));
	if (r.error)
		return -EUCLEAN;
	if (n_transforms)
		return -EOPNOTSUPP;
	if (rd_end(&r) < 0)
		return -EUCLEAN;
	*ret = p;
	return 0;
}

void usage_rec_put(struct buf *b, const struct usage_rec *u)
{
	buf_put8(b, RECORD_VERSION);
	buf_put_var(b, u->inodes);
	buf_put_var(b, u->bytes);
}

int usage_rec_get(const void *data, size_t len, struct usage_rec *ret)
{
	struct rd r = open_record(data, len);
	struct usage_rec u = { .inodes = rd_var(&r) };

	u.bytes = rd_var(&r);
	if (rd_end(&r) < 0)
		return -EUCLEAN;
	*ret = u;
	return 0;
}

void ino_rec_put(struct buf *b, uint64_t next)
{
	buf_put8(b, RECORD_VERSION);
	buf_put64(b, next);
}

int ino_rec_get(const void *data, size_t len, uint64_t *ret_next)
{
	struct rd r = open_record(data, len);
	uint64_t next = rd64(&r);

	/* 1 is the root; above, ranges are added without overflow */
	if (rd_end(&r) < 0 || next < 2 || next > INT64_MAX)
		return -EUCLEAN;
	*ret_next = next;
	return 0;
}

void default_rec_put(struct buf *b, uint32_t policy)
{
	buf_put8(b, RECORD_VERSION);
	buf_put32(b, policy);
}

int default_rec_get(const void *data, size_t len, uint32_t *ret_policy)
{
	struct rd r = open_record(data, len);
	uint32_t policy = rd32(&r);

	if (rd_end(&r) < 0 || !policy)
		return -EUCLEAN;
	*ret_policy = policy;
	return 0;
}

void live_rec_put(struct buf *b, uint64_t bytes)
{
	buf_put8(b, RECORD_VERSION);
	buf_put_var(b, bytes);
}

int live_rec_get(const void *data, size_t len, uint64_t *ret_bytes)
{
	struct rd r = open_record(data, len);
	uint64_t bytes = rd_var(&r);

	if (rd_end(&r) < 0)
		return -EUCLEAN;
	*ret_bytes = bytes;
	return 0;
}
