/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log on one disk, read: what is there, record by record.
 *
 * A scan does not stop at damage.  It looks for the next whole record at each
 * block, because what lies behind a damaged one says how far the log was
 * durable: a log that just ended early would lose answered groups in silence.
 * What the records mean together is decided in truth.c.
 *
 * A body holds bytes that users chose, so behind damage a forged record could
 * be found inside one.  It has to fit its place by number, and in the true
 * log by the chain, which nobody can see from inside the file system.
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
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char file_magic[8] = { 'D', 'Y', 'N', 'F', 'L', 'O', 'G', 'F' };

char *log_path(const struct log_disk *d, uint64_t first)
{
	return str_printf("%s/%016" PRIx64 ".log", d->dir, first);
}

static void head_sum(const uint8_t *p, size_t len, uint8_t out[SUM128_LEN])
{
	uint8_t copy[LOG_BLOCK];

	memcpy(copy, p, len);
	memset(copy + 72, 0, SUM128_LEN);
	sum128(copy, len, out);
}

int log_file_head(const struct log_disk *d, uint64_t first,
		  const uint8_t chain[SUM128_LEN], uint64_t epoch,
		  struct buf *out)
{
	struct features f;
	uint8_t *p;
	int r = features_base(&f);

	if (r)
		return r;
	buf_put_zero(out, 88);
	features_put(out, &f);
	features_done(&f);
	if (buf_error(out) || out->len > LOG_BLOCK)
		return buf_error(out) ? buf_error(out) : -E2BIG;
	p = out->data;
	memcpy(p, file_magic, 8);
	put_le32(p + 8, 1);
	put_le32(p + 12, (uint32_t)out->len);
	memcpy(p + 16, d->pool.b, 16);
	put_le32(p + 32, d->disk->id);
	put_le64(p + 40, epoch);
	put_le64(p + 48, first);
	memcpy(p + 56, chain, SUM128_LEN);
	head_sum(p, out->len, p + 72);
	buf_put_zero(out, LOG_BLOCK - out->len);
	return buf_error(out);
}

int log_file_check(const struct log_disk *d, const uint8_t p[LOG_BLOCK],
		   uint64_t first, struct log_file *ret)
{
	uint32_t len = get_le32(p + 12);
	uint8_t sum[SUM128_LEN];
	struct features f;
	struct rd r;
	int err;

	if (memcmp(p, file_magic, 8) != 0 || len < 88 || len > LOG_BLOCK)
		return -EUCLEAN;
	head_sum(p, len, sum);
	if (!sum_equal(sum, p + 72) || memcmp(p + 16, d->pool.b, 16) != 0 ||
	    get_le32(p + 32) != d->disk->id || get_le64(p + 48) != first)
		return -EUCLEAN;
	if (get_le32(p + 8) != 1)
		return fail(-EOPNOTSUPP,
			    "a file in %s has version %u, which this version "
			    "of dynfs does not know",
			    d->dir, get_le32(p + 8));
	r = rd_of(p + 88, len - 88);
	err = features_get(&r, &f);
	if (err)
		return err;
	err = rd_end(&r);
	if (!err)
		err = features_check(&f, d->dir);
	features_done(&f);
	ret->first = first;
	memcpy(ret->chain, p + 56, SUM128_LEN);
	return err;
}

/* "0123456789abcdef.log", nothing else */
static bool parse_name(const char *name, uint64_t *ret)
{
	uint64_t v = 0;

	if (strlen(name) != 20 || strcmp(name + 16, ".log") != 0)
		return false;
	for (int i = 0; i < 16; i++) {
		const char *hex = "0123456789abcdef";
		const char *at = strchr(hex, name[i]);

		if (!at)
			return false;
		v = v << 4 | (uint64_t)(at - hex);
	}
	*ret = v;
	return v > 0;
}

static int head_load(const struct log_disk *d, const char *path,
		     struct buf *head)
{
	int fd, r;

	if (!buf_extend(head, LOG_BLOCK))
		return -ENOMEM;
	fd = d->os->open(d->os, path, DYNFS_OS_RDONLY, 0);
	if (fd < 0)
		return fd;
	r = meta_file_read(d->os, fd, head->data, LOG_BLOCK, 0);
	(void)d->os->close(d->os, fd); /* was read only */
	return r;
}

/* -EROFS: all are there, and one may only be read */
static int scan_names(struct log_disk *d)
{
	char **names = NULL;
	size_t n = 0;
	bool readonly = false;
	int r = dir_names(d->os, d->dir, &names, &n);

	if (r)
		return r == -ENOENT ? 0 : r;
	d->files = (struct log_file *)calloc(n + 1, sizeof(*d->files));
	if (!d->files)
		r = -ENOMEM;
	/* names are sorted, and so are their numbers */
	for (size_t i = 0; !r && i < n; i++) {
		AUTOFREE char *path = str_path(d->dir, names[i]);
		AUTOBUF struct buf head = BUF_INIT;
		uint64_t first;

		if (!parse_name(names[i], &first))
			continue;
		r = path ? head_load(d, path, &head) : -ENOMEM;
		if (!r)
			r = log_file_check(d, head.data, first,
					   &d->files[d->n_files]);
		if (!r || r == -EROFS)
			d->n_files++;
		readonly |= r == -EROFS;
		if (r == -EUCLEAN || r == -EROFS)
			r = 0;
	}
	names_free(names, n);
	return !r && readonly ? -EROFS : r;
}

static int add_ref(struct log_disk *d, const struct log_head *h, uint64_t file,
		   uint64_t off)
{
	if (d->n_refs == d->cap_refs) {
		size_t cap = d->cap_refs ? d->cap_refs * 2 : 64;
		struct log_ref *v =
		    (struct log_ref *)realloc(d->refs, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		d->refs = v;
		d->cap_refs = cap;
	}
	d->refs[d->n_refs++] =
	    (struct log_ref){ .head = *h, .file = file, .off = off };
	return 0;
}

/*
 * The record at off: 0 and its head, -EUCLEAN when there is no whole one.
 * rec is room to read into.
 */
static int read_record(const struct dynfs_os *os, int fd, uint64_t off,
		       uint64_t size, struct buf *rec, struct log_head *ret)
{
	uint64_t body;
	int r;

	if (off + LOG_BLOCK > size)
		return -EUCLEAN;
	buf_clear(rec);
	if (!buf_extend(rec, LOG_BLOCK))
		return -ENOMEM;
	r = meta_file_read(os, fd, rec->data, LOG_BLOCK, off);
	if (r)
		return r;
	body = get_le64(rec->data + 40);
	if (get_le64(rec->data) == 0 || body > LOG_BODY_MAX ||
	    log_span(body) > size - off)
		return -EUCLEAN;
	if (log_span(body) > LOG_BLOCK) {
		size_t rest = (size_t)log_span(body) - LOG_BLOCK;
		void *at = buf_extend(rec, rest);

		r = at ? meta_file_read(os, fd, at, rest, off + LOG_BLOCK)
		       : -ENOMEM;
		if (r)
			return r;
	}
	return log_unseal(rec->data, rec->len, ret);
}

static int scan_file(struct log_disk *d, const struct log_file *f,
		     struct buf *rec)
{
	AUTOFREE char *path = log_path(d, f->first);
	struct dynfs_os_stat st;
	struct log_head h;
	uint64_t off = LOG_BLOCK;
	int fd = path ? d->os->open(d->os, path, DYNFS_OS_RDONLY, 0) : -ENOMEM;
	int r;

	if (fd < 0)
		return fd;
	r = d->os->fstat(d->os, fd, &st);
	while (!r && off + LOG_BLOCK <= st.size_bytes) {
		r = read_record(d->os, fd, off, st.size_bytes, rec, &h);
		if (r == -EUCLEAN) {
			off += LOG_BLOCK;
			r = 0;
			continue;
		}
		if (r)
			break;
		/* each record before it took at least a block */
		if (h.number >= f->first &&
		    h.number - f->first < off / LOG_BLOCK)
			r = add_ref(d, &h, f->first, off);
		off += log_span(h.body_len);
	}
	(void)d->os->close(d->os, fd); /* was read only */
	return r;
}

size_t log_lower(const struct log_disk *d, uint64_t number)
{
	size_t a = 0, b = d->n_refs;

	while (a < b) {
		size_t mid = a + (b - a) / 2;

		if (d->refs[mid].head.number < number)
			a = mid + 1;
		else
			b = mid;
	}
	return a;
}

static int by_number(const void *a, const void *b)
{
	const struct log_ref *x = (const struct log_ref *)a;
	const struct log_ref *y = (const struct log_ref *)b;

	if (x->head.number != y->head.number)
		return x->head.number < y->head.number ? -1 : 1;
	return (x->off > y->off) - (x->off < y->off);
}

/*
 * The header of f bounds older files if it follows on what they hold: a file
 * of another history must not hide theirs.  Where the record before it is
 * lost on this disk, its number has to do.
 */
static bool bounds(const struct log_disk *d, const struct log_file *f)
{
	bool seen = false;

	for (size_t i = log_lower(d, f->first - 1);
	     i < d->n_refs && d->refs[i].head.number == f->first - 1; i++) {
		if (d->refs[i].file >= f->first)
			continue;
		if (sum_equal(d->refs[i].head.sum, f->chain))
			return true;
		seen = true;
	}
	return !seen;
}

static uint64_t limit_of(const struct log_disk *d, uint64_t file)
{
	size_t a = 0, b = d->n_files;

	while (b - a > 1) {
		size_t mid = a + (b - a) / 2;

		if (d->files[mid].first <= file)
			a = mid;
		else
			b = mid;
	}
	return d->files[a].limit;
}

/* Records that were cut are none, and confirm nothing. */
static void drop_cut(struct log_disk *d)
{
	uint64_t limit = UINT64_MAX;
	size_t kept = 0;

	for (size_t i = d->n_files; i--;) {
		d->files[i].limit = limit;
		if (bounds(d, &d->files[i]))
			limit = d->files[i].first;
	}
	for (size_t i = 0; i < d->n_refs; i++) {
		const struct log_ref *x = &d->refs[i];

		if (x->head.number >= limit_of(d, x->file))
			continue;
		if (x->head.confirmed > d->confirmed)
			d->confirmed = x->head.confirmed;
		d->refs[kept++] = *x;
	}
	d->n_refs = kept;
}

int log_scan(struct log_disk *d)
{
	AUTOBUF struct buf rec = BUF_INIT;
	int names = scan_names(d), r = names == -EROFS ? 0 : names;

	for (size_t i = 0; !r && i < d->n_files; i++)
		r = scan_file(d, &d->files[i], &rec);
	if (r)
		return r;
	if (d->n_refs)
		qsort(d->refs, d->n_refs, sizeof(*d->refs), by_number);
	drop_cut(d);
	return names;
}

int log_settle(struct log_disk *d)
{
	char **names = NULL;
	size_t n = 0;
	int r = dir_names(d->os, d->dir, &names, &n);

	if (r)
		return r == -ENOENT ? 0 : r;
	for (size_t i = 0; !r && i < n; i++) {
		AUTOFREE char *path = str_path(d->dir, names[i]);

		r = path ? meta_file_settle(d->os, path) : -ENOMEM;
	}
	names_free(names, n);
	return r ? r : d->os->syncdir(d->os, d->dir);
}

int log_read(struct log_disk *d, const struct log_ref *ref, struct buf *rec)
{
	AUTOFREE char *path = log_path(d, ref->file);
	struct log_head h;
	int fd = path ? d->os->open(d->os, path, DYNFS_OS_RDONLY, 0) : -ENOMEM;
	int r;

	if (fd < 0)
		return fd;
	r = read_record(d->os, fd, ref->off,
			ref->off + log_span(ref->head.body_len), rec, &h);
	(void)d->os->close(d->os, fd); /* was read only */
	/* it was whole a moment ago */
	if (!r && !sum_equal(h.sum, ref->head.sum))
		r = -EUCLEAN;
	return r;
}

static int cut_file(struct log_disk *d, uint64_t first, uint64_t end)
{
	AUTOFREE char *path = log_path(d, first);
	int fd = path ? d->os->open(d->os, path, DYNFS_OS_RDWR, 0) : -ENOMEM;
	int r;

	if (fd < 0)
		return fd;
	r = d->os->truncate(d->os, fd, end);
	if (!r)
		r = d->os->sync(d->os, fd);
	(void)d->os->close(d->os, fd); /* was synced, or does not count */
	return r;
}

/* Remove what is in the directory and in no list. */
static int remove_strangers(struct log_disk *d)
{
	char **names = NULL;
	size_t n = 0;
	int r = dir_names(d->os, d->dir, &names, &n);

	for (size_t i = 0; !r && i < n; i++) {
		AUTOFREE char *path = str_path(d->dir, names[i]);
		bool known = false;
		uint64_t first;

		if (parse_name(names[i], &first))
			for (size_t k = 0; k < d->n_files; k++)
				known |= d->files[k].first == first;
		if (!known)
			r = path ? tree_remove(d->os, path) : -ENOMEM;
	}
	names_free(names, n);
	return r;
}

int log_mend(struct log_disk *d, uint64_t after, uint64_t upto)
{
	const struct log_ref *last = NULL;
	uint64_t from = 0;
	int r = 0;

	for (size_t i = 0; i < d->n_refs; i++) {
		const struct log_ref *x = &d->refs[i];

		if (!x->good || x->head.number <= after ||
		    x->head.number > upto)
			continue;
		/* whatever lies between two good files is none */
		if (!last || x->file != last->file)
			r = log_delete(d, last ? last->file + 1 : 0, x->file);
		if (r)
			return r;
		if (!last)
			from = x->file;
		last = x;
	}
	if (last)
		from = last->file + 1;
	r = log_delete(d, from, upto + 1);
	if (!r)
		r = log_delete(d, upto + 2, UINT64_MAX);
	if (!r && last)
		r = cut_file(d, last->file,
			     last->off + log_span(last->head.body_len));
	return r ? r : remove_strangers(d);
}

int log_wipe(struct log_disk *d)
{
	int r = tree_remove(d->os, d->dir);

	return r ? r : dir_make(d->os, d->dir);
}

/* The file that record number is in, and where the next one begins. */
static int locate(struct log_disk *d, uint64_t number, uint64_t *ret_first,
		  uint64_t *ret_bound)
{
	AUTOLOCK(&d->lock);

	for (size_t i = d->n_files; i--;) {
		if (d->files[i].first > number)
			continue;
		*ret_first = d->files[i].first;
		*ret_bound =
		    i + 1 < d->n_files ? d->files[i + 1].first : UINT64_MAX;
		return 0;
	}
	return -ENOENT;
}

struct copying {
	uint64_t from, to; /* from: the next one */
	int (*each)(void *ctx, const struct log_head *h, const struct buf *rec);
	void *ctx;
};

static int copy_file(struct log_disk *d, struct copying *c, struct buf *rec)
{
	AUTOFREE char *path = NULL;
	struct dynfs_os_stat st;
	struct log_head h;
	uint64_t first, bound, off = LOG_BLOCK;
	int fd, r = locate(d, c->from, &first, &bound);

	path = r ? NULL : log_path(d, first);
	if (!path)
		return r ? r : -ENOMEM;
	fd = d->os->open(d->os, path, DYNFS_OS_RDONLY, 0);
	if (fd < 0)
		return fd;
	r = d->os->fstat(d->os, fd, &st);
	while (!r && c->from <= c->to && c->from < bound) {
		r = read_record(d->os, fd, off, st.size_bytes, rec, &h);
		off += r ? 0 : log_span(h.body_len);
		if (r || h.number < c->from)
			continue;
		r = h.number == c->from ? c->each(c->ctx, &h, rec) : -EUCLEAN;
		c->from++;
	}
	(void)d->os->close(d->os, fd); /* was read only */
	return r;
}

int log_copy(struct log_disk *d, uint64_t from, uint64_t to,
	     int (*each)(void *ctx, const struct log_head *h,
			 const struct buf *rec),
	     void *ctx)
{
	AUTOBUF struct buf rec = BUF_INIT;
	struct copying c = { from, to, each, ctx };
	int r = 0;

	while (!r && c.from <= to)
		r = copy_file(d, &c, &rec);
	return r;
}
