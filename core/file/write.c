/* SPDX-License-Identifier: Apache-2.0 */
/* Writing, syncing, settling, cutting and growing. */
#include <file/private.h>

#include <base/cleanup.h>
#include <base/fail.h>

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_SIZE_MAX ((uint64_t)INT64_MAX)

static uint64_t iov_bytes(const struct iovec *iov, uint32_t n)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < n; ++i)
		sum += iov[i].iov_len;
	return sum;
}

/* One piece of memory to the chunks that it covers; off goes along. */
static int write_bytes(struct inode *in, struct content *c, uint64_t *off,
		       const uint8_t *data, size_t len, bool *ready)
{
	const struct dynfs_os *os = in->files->how.os;
	uint32_t size = in->files->how.extent_bytes;
	uint64_t now = os->now_ns(os);

	while (len) {
		uint32_t at = (uint32_t)(*off % size);
		uint32_t n = size - at < len ? size - at : (uint32_t)len;
		bool full = false;
		struct chunk *k;
		int r = chunk_get(c, *off / size, &k);

		if (r >= 0)
			r = run_write(in, c, k, at, data, n, now, &full);
		if (r < 0)
			return r;
		*ready = *ready || full;
		*off += n;
		data += n;
		len -= n;
	}
	return 0;
}

static void write_touch(struct inode *in, uint64_t end)
{
	AUTOLOCK(&in->lock);
	if (end > in->rec.size)
		in->rec.size = end;
	in->rec.mtime = in->rec.ctime = files_now(in->files);
	in->dirty_attr = true;
}

static bool has_reserved(struct inode *in)
{
	AUTOLOCK(&in->lock);
	return in->rec.reserved != 0;
}

static int write_locked(struct inode *in, uint64_t off, const struct iovec *iov,
			uint32_t n_iov, uint64_t len, bool append)
{
	struct content *c;
	bool ready = false;
	uint64_t from;
	int r = content_get(in, &c);

	if (r < 0)
		return r;
	if (append)
		off = in->rec.size;
	if (off > FILE_SIZE_MAX - len)
		return -EFBIG;
	from = off;
	/* what is stored there, or reserved, is so already */
	if (from < in->rec.size || has_reserved(in))
		atomic_store(&c->guess, true);
	for (uint32_t i = 0; i < n_iov && r >= 0; ++i)
		r = write_bytes(in, c, &off, (const uint8_t *)iov[i].iov_base,
				iov[i].iov_len, &ready);
	/* out of memory in the middle: what lies in runs is written all the
	 * same, for it can not be taken out of what it lies over */
	if (off == from)
		return r;
	write_touch(in, off);
	work_dirty(in, ready);
	return r;
}

/* Bytes of a write that do not lie where room is reserved for them. */
static uint64_t write_needs(struct inode *in, uint64_t off, uint64_t len,
			    bool append)
{
	uint64_t covered;

	if (!has_reserved(in) || content_ready(in) < 0)
		return len;
	AUTORDLOCK(&in->io);
	if (append)
		off = in->rec.size;
	if (off > FILE_SIZE_MAX - len)
		return len;
	/* what can not be told is asked for */
	if (range_reserved(in, off, off + len, &covered) < 0) {
		fail_clear();
		return len;
	}
	return len - covered;
}

int file_write(struct inode *in, uint64_t off, const struct iovec *iov,
	       uint32_t n_iov, bool append, const struct dynfs_call *call)
{
	uint64_t len = iov_bytes(iov, n_iov);
	int r;

	if (in->files->how.readonly)
		return -EROFS;
	if (inode_is_dir(in))
		return -EISDIR;
	if (!len)
		return 0;
	files_asked(in->files);
	r = write_admit(in, write_needs(in, off, len, append), call);
	if (r < 0)
		return r;
	AUTOWRLOCK(&in->io);
	if (in->gone)
		return -ENOENT;
	return write_locked(in, off, iov, n_iov, len, append);
}

int file_trouble(struct inode *in)
{
	struct content *c = content_of(in);

	return c ? atomic_load(&c->trouble) : 0;
}

int settle_attr(struct inode *in)
{
	AUTOBATCH struct batch b;
	struct before was;
	int r;

	batch_init(&b);
	AUTOLOCK(&in->lock);
	if (!in->dirty_attr || in->fresh || !in->counted.exists)
		return 0;
	was = inode_before(in);
	inode_record(in, &b);
	r = meta_commit(in->files->how.meta, &b, NULL);
	if (r < 0)
		inode_undo(in, &was);
	return r;
}

static int settle(struct inode *in, enum flush_mode mode)
{
	struct content *c = content_of(in);
	int r = meta_admit(in->files->how.meta);

	if (c && r >= 0) {
		AUTOLOCK(&c->flush);
		r = flush_inode(in, mode);
	}
	return r < 0 ? r : settle_attr(in);
}

int file_settle(struct inode *in)
{
	return settle(in, FLUSH_AGED);
}

/* An inline slice is moved to an extent soon after. */
static void inline_later(struct inode *in)
{
	struct content *c = content_of(in);
	bool later;

	if (!c)
		return;
	(void)pthread_rwlock_rdlock(&in->io);
	later =
	    c->has_inline && in->rec.size > in->files->how.inline_file_bytes;
	(void)pthread_rwlock_unlock(&in->io);
	if (later)
		work_dirty(in, false);
}

int file_sync(struct inode *in, bool data_only)
{
	struct meta *m = in->files->how.meta;
	int r;

	(void)data_only; /* the record goes with the bytes at no cost */
	if (in->files->how.readonly)
		return 0;
	r = settle(in, FLUSH_SYNC);
	if (r >= 0)
		r = file_trouble(in);
	if (r >= 0)
		r = meta_sync(m, meta_open_number(m));
	inline_later(in);
	return r;
}
