/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log on one disk, written: records, file headers, appending.
 *
 * A file is begun under another name, with its header and what belongs into
 * it from the start, and renamed when all that is durable: a file N.log that
 * is there has a valid header.  Space is taken ahead in steps, so that a sync
 * need not write the size of the file each time.  Ahead of small records it is
 * filled with zeros, too: the first write to a block that is only allocated
 * changes what the file system knows of it, and the sync of that waits for its
 * journal (on ext4 a sync takes 200 us then, and 130 us without).  The same
 * goes for the sync after a step, so steps are large.
 *
 * Direct I/O was tried on paper and left: records are written once and read
 * hardly ever, and a sync follows at once.
 */
#include <meta/log.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/le.h>
#include <base/log.h>
#include <base/str.h>
#include <meta/files.h>
#include <meta/internal.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define AHEAD     (1u << 20)  /* space taken at a time */
#define SMALL_MAX (32u << 10) /* a record that is worth filling for */

static const char rec_magic[8] = { 'D', 'Y', 'N', 'F', 'G', 'R', 'U', 'P' };

uint64_t log_span(uint64_t body_len)
{
	uint64_t n = LOG_HEAD + body_len + LOG_BLOCK - 1;

	return n - n % LOG_BLOCK;
}

int log_seal(struct buf *rec, struct log_head *h)
{
	size_t len = rec->len;
	uint8_t *p;

	if (len < LOG_HEAD || len - LOG_HEAD > LOG_BODY_MAX)
		return -E2BIG;
	h->body_len = len - LOG_HEAD;
	buf_put_zero(rec, (size_t)log_span(h->body_len) - len);
	if (buf_error(rec))
		return buf_error(rec);
	p = rec->data;
	memset(p, 0, LOG_HEAD);
	memcpy(p, rec_magic, 8);
	put_le32(p + 8, 1);
	put_le32(p + 12, h->n_ops);
	put_le64(p + 16, h->epoch);
	put_le64(p + 24, h->number);
	put_le64(p + 32, h->confirmed);
	put_le64(p + 40, h->body_len);
	put_le64(p + 48, (uint64_t)h->wall_ns);
	memcpy(p + 56, h->chain, SUM128_LEN);
	sum128(p, len, h->sum);
	memcpy(p + 72, h->sum, SUM128_LEN);
	return 0;
}

static int ops_check(const void *body, size_t len, uint32_t n_ops)
{
	struct rd r = rd_of(body, len);
	const void *k, *v;
	size_t kl, vl;
	uint64_t n = 0;
	uint8_t kind;
	int more;

	while ((more = batch_next(&r, &kind, &k, &kl, &v, &vl)) > 0)
		n++;
	return more < 0 || n != n_ops ? -EUCLEAN : 0;
}

int log_unseal(const void *rec, size_t len, struct log_head *ret)
{
	static const uint8_t zero[SUM128_LEN];
	const uint8_t *p = (const uint8_t *)rec;
	uint8_t sum[SUM128_LEN];
	struct sum128_run *run;
	struct log_head h;

	if (len < LOG_HEAD || memcmp(p, rec_magic, 8) != 0 ||
	    get_le32(p + 8) != 1)
		return -EUCLEAN;
	h.n_ops = get_le32(p + 12);
	h.epoch = get_le64(p + 16);
	h.number = get_le64(p + 24);
	h.confirmed = get_le64(p + 32);
	h.body_len = get_le64(p + 40);
	h.wall_ns = (int64_t)get_le64(p + 48);
	memcpy(h.chain, p + 56, SUM128_LEN);
	memcpy(h.sum, p + 72, SUM128_LEN);
	if (h.body_len > LOG_BODY_MAX || h.body_len > len - LOG_HEAD ||
	    !h.number || h.number > INT64_MAX || h.confirmed >= h.number)
		return -EUCLEAN;
	run = sum128_begin();
	if (!run)
		return -ENOMEM;
	sum128_add(run, p, 72);
	sum128_add(run, zero, SUM128_LEN);
	sum128_add(run, p + 88, LOG_HEAD - 88 + (size_t)h.body_len);
	sum128_end(run, sum);
	if (!sum_equal(sum, h.sum) ||
	    ops_check(p + LOG_HEAD, (size_t)h.body_len, h.n_ops))
		return -EUCLEAN;
	*ret = h;
	return 0;
}

int log_disk_new(const struct dynfs_os *os, struct disk *disk,
		 const struct uuid *pool, struct log_disk **ret)
{
	struct log_disk *d = (struct log_disk *)calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->os = os;
	d->disk = disk;
	d->pool = *pool;
	d->fd = -1;
	(void)pthread_mutex_init(&d->lock, NULL);
	d->dir = str_path(disk->path, "log");
	if (!d->dir) {
		log_disk_free(d);
		return -ENOMEM;
	}
	*ret = d;
	return 0;
}

void log_forget(struct log_disk *d)
{
	free(d->refs);
	d->refs = NULL;
	d->n_refs = d->cap_refs = 0;
}

void log_disk_free(struct log_disk *d)
{
	if (!d)
		return;
	if (d->fd >= 0)
		(void)d->os->close(d->os, d->fd); /* what counts is synced */
	log_forget(d);
	free(d->files);
	free(d->dir);
	(void)pthread_mutex_destroy(&d->lock);
	free(d);
}

static int take_room(struct log_disk *d, uint64_t upto)
{
	uint64_t room = upto - upto % AHEAD + AHEAD;
	int r;

	r = d->os->allocate(d->os, d->fd, DYNFS_OS_ALLOC, d->room,
			    room - d->room);
	if (r == -ENOSPC) {
		/* without the luxury of a whole step */
		room = upto;
		r = d->os->allocate(d->os, d->fd, DYNFS_OS_ALLOC, d->room,
				    room - d->room);
	}
	/* without log nobody could even delete */
	if (r == -ENOSPC && !disk_release_ballast(d->disk))
		r = d->os->allocate(d->os, d->fd, DYNFS_OS_ALLOC, d->room,
				    room - d->room);
	if (r && r != -EOPNOTSUPP)
		return r;
	d->room = room;
	return 0;
}

static int fill_room(struct log_disk *d, uint64_t from)
{
	static const uint8_t zeros[64u << 10];
	int r = 0;

	while (!r && from < d->room) {
		uint64_t left = d->room - from;
		size_t n = left < sizeof(zeros) ? left : sizeof(zeros);

		r = meta_file_write(d->os, d->fd, zeros, n, from);
		from += n;
	}
	/* a luxury, where nothing could be allocated */
	return r == -ENOSPC ? 0 : r;
}

static int make_room(struct log_disk *d, uint64_t len)
{
	uint64_t upto = d->end + len;
	int r;

	if (upto <= d->room)
		return 0;
	r = take_room(d, upto);
	return r || len > SMALL_MAX ? r : fill_room(d, upto);
}

int log_append(struct log_disk *d, const struct buf *rec)
{
	int r = make_room(d, rec->len);

	if (!r)
		r = meta_file_write(d->os, d->fd, rec->data, rec->len, d->end);
	if (!r)
		d->end += rec->len;
	return r;
}

int log_sync(struct log_disk *d)
{
	return d->os->sync(d->os, d->fd);
}

static int add_file(struct log_disk *d, uint64_t first,
		    const uint8_t chain[SUM128_LEN])
{
	struct log_file *v;
	size_t i;
	AUTOLOCK(&d->lock);

	for (i = d->n_files; i && d->files[i - 1].first >= first; i--)
		;
	if (i == d->n_files || d->files[i].first != first) {
		v = (struct log_file *)realloc(d->files,
					       (d->n_files + 1) * sizeof(*v));
		if (!v)
			return -ENOMEM;
		memmove(v + i + 1, v + i, (d->n_files - i) * sizeof(*v));
		d->files = v;
		d->n_files++;
	}
	d->files[i].first = first;
	memcpy(d->files[i].chain, chain, SUM128_LEN);
	return 0;
}

/* Give back what was preallocated; not worth an error. */
static void close_file(struct log_disk *d)
{
	if (d->fd < 0)
		return;
	if (d->room > d->end)
		(void)d->os->truncate(d->os, d->fd, d->end);
	(void)d->os->close(d->os, d->fd); /* what counts is synced */
	d->fd = -1;
}

int log_begin(struct log_disk *d, uint64_t first,
	      const uint8_t chain[SUM128_LEN], uint64_t epoch,
	      int (*fill)(void *ctx, struct log_disk *d), void *ctx)
{
	AUTOFREE char *path = log_path(d, first);
	AUTOFREE char *fresh = path ? str_printf("%s.new", path) : NULL;
	AUTOBUF struct buf head = BUF_INIT;
	int r = log_file_head(d, first, chain, epoch, &head);

	if (r || !fresh)
		return r ? r : -ENOMEM;
	close_file(d);
	d->end = d->room = 0;
	d->fd =
	    d->os->open(d->os, fresh,
			DYNFS_OS_RDWR | DYNFS_OS_CREATE | DYNFS_OS_TRUNC, 0600);
	if (d->fd < 0)
		return d->fd;
	r = log_append(d, &head);
	if (!r && fill)
		r = fill(ctx, d);
	if (!r)
		r = log_sync(d);
	if (!r)
		r = d->os->rename(d->os, fresh, path);
	if (!r)
		r = d->os->syncdir(d->os, d->dir);
	return r ? r : add_file(d, first, chain);
}

/* Files that begin in [from, to) leave the disk and the list. */
int log_delete(struct log_disk *d, uint64_t from, uint64_t to)
{
	size_t kept = 0;
	bool some = false;
	int r = 0;
	AUTOLOCK(&d->lock);

	for (size_t i = 0; i < d->n_files; i++) {
		AUTOFREE char *path = log_path(d, d->files[i].first);

		if (!r && d->files[i].first >= from && d->files[i].first < to) {
			r = path ? d->os->unlink(d->os, path) : -ENOMEM;
			some = true;
			if (!r || r == -ENOENT) {
				r = 0;
				continue;
			}
		}
		d->files[kept++] = d->files[i];
	}
	d->n_files = kept;
	return r || !some ? r : d->os->syncdir(d->os, d->dir);
}

int log_trim(struct log_disk *d, uint64_t covered)
{
	uint64_t upto = 0;

	(void)pthread_mutex_lock(&d->lock);
	for (size_t i = 1; i < d->n_files; i++)
		if (d->files[i].first <= covered + 1)
			upto = d->files[i].first;
	(void)pthread_mutex_unlock(&d->lock);
	return upto ? log_delete(d, 0, upto) : 0;
}

int log_trim_last(struct log_disk *d)
{
	close_file(d);
	return log_delete(d, 0, UINT64_MAX);
}
