/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operations.  Each takes the locks that it needs, looks at the model,
 * does to the file what it does to the model, and compares what it is told.
 *
 * Several processes at work hold locks of just the bytes that they are about,
 * so that one writes next to where another reads, also within one page.  What
 * changes a size holds the whole file.
 */
#include "opcheck.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define SMALL 16384u

static const struct range whole_of[FILES] = { { 0, 0, 0 }, { 1, 0, 0 } };

static struct model *model_of(struct worker *w, const struct range *r)
{
	return &w->s->file[r->file];
}

static uint64_t round_down(uint64_t n, uint64_t to)
{
	return n - n % to;
}

/* Often small, often on a page's edge, sometimes large, within max. */
static struct range any_range(struct worker *w)
{
	uint64_t max = w->s->max, dice = random_below(w, 100);
	struct range r = { .file = (unsigned)random_below(w, FILES) };
	uint64_t most = dice < 60 ? SMALL : dice < 95 ? max / 8 : max;

	r.off = random_below(w, max);
	if (random_below(w, 4) == 0)
		r.off = round_down(r.off, PAGE);
	r.len = 1 + random_below(w, most);
	if (random_below(w, 4) == 0)
		r.len = round_down(r.len, PAGE) + PAGE;
	if (r.len > max - r.off)
		r.len = max - r.off;
	return r;
}

/* Of what the file holds now; len 0 when there is nothing. */
static void within_size(struct worker *w, struct range *r)
{
	uint64_t size = model_of(w, r)->size;

	if (r->off >= size)
		r->len = 0;
	else if (r->len > size - r->off)
		r->len = size - r->off;
}

/* While any byte is locked nobody can move the end of the file. */
static bool locked_within(struct worker *w, struct range *r, bool exclusive,
			  struct range *ret_lock)
{
	*ret_lock = *r;
	if (!lock_range(w, r, exclusive))
		return false;
	within_size(w, r);
	return true;
}

static void new_bytes(struct worker *w, uint8_t *to, uint64_t len)
{
	uint64_t seed = random_next(&w->rng), i = 0;

	for (; i + 8 <= len; i += 8) {
		uint64_t v = random_next(&seed);

		memcpy(to + i, &v, 8);
	}
	for (; i < len; i++)
		to[i] = (uint8_t)random_next(&seed);
}

static bool lacking(struct worker *w)
{
	if (errno != EOPNOTSUPP && errno != ENOSYS)
		return false;
	w->n_unknown++;
	return true;
}

/* ---- reading --------------------------------------------------------- */

static bool do_read(struct worker *w)
{
	struct range r = any_range(w), lock;
	ssize_t n;
	bool ok;

	if (!locked_within(w, &r, false, &lock))
		return false;
	note(w, "read   f%u %#9llx + %#llx", r.file, (unsigned long long)r.off,
	     (unsigned long long)lock.len);
	n = pread(w->fd[r.file], w->buf, lock.len, (off_t)r.off);
	ok = n >= 0 && (uint64_t)n == r.len
		 ? same_bytes(w, &r, w->buf, "read")
		 : wrong(w, "read of %llu gave %lld", (unsigned long long)r.len,
			 (long long)n);
	return unlock_range(w, &lock) && ok;
}

static bool do_read_direct(struct worker *w)
{
	struct range r = any_range(w), lock;
	ssize_t n;
	bool ok = true;

	if (w->direct[r.file] < 0)
		return true;
	r.off = round_down(r.off, PAGE);
	r.len = round_down(r.len, PAGE) + PAGE;
	if (r.len > w->s->max - r.off)
		return true;
	lock = r;
	if (!lock_range(w, &lock, false))
		return false;
	within_size(w, &r);
	note(w, "direct read f%u %#9llx + %#llx", r.file,
	     (unsigned long long)r.off, (unsigned long long)lock.len);
	n = pread(w->direct[r.file], w->buf, lock.len, (off_t)r.off);
	ok = n >= 0 && (uint64_t)n == r.len
		 ? same_bytes(w, &r, w->buf, "direct read")
		 : wrong(w, "direct read of %llu gave %lld",
			 (unsigned long long)r.len, (long long)n);
	return unlock_range(w, &lock) && ok;
}

static uint8_t *map_range(struct worker *w, const struct range *r, int prot,
			  int flags, size_t *ret_len)
{
	uint64_t from = round_down(r->off, PAGE);
	void *p;

	*ret_len = (size_t)(r->off + r->len - from);
	p = mmap(NULL, *ret_len, prot, flags, w->fd[r->file], (off_t)from);
	return p == MAP_FAILED ? NULL : (uint8_t *)p;
}

static bool do_map_read(struct worker *w)
{
	struct range r = any_range(w), lock;
	bool ok = true, private = random_below(w, 2);
	size_t len;
	uint8_t *p;

	if (!locked_within(w, &r, false, &lock))
		return false;
	if (r.len) {
		note(w, "mapped read f%u %#9llx + %#llx", r.file,
		     (unsigned long long)r.off, (unsigned long long)r.len);
		p = map_range(w, &r, PROT_READ,
			      private ? MAP_PRIVATE : MAP_SHARED, &len);
		if (!p)
			ok = wrong(w, "mmap");
		else
			ok = same_bytes(w, &r, p + r.off % PAGE,
					private ? "private map" : "shared map");
		if (p)
			(void)munmap(p, len); /* it was mapped */
	}
	return unlock_range(w, &lock) && ok;
}

/* ---- writing --------------------------------------------------------- */

static bool put_bytes(struct worker *w, int fd, const struct range *r)
{
	uint64_t cut = random_below(w, r->len + 1);
	struct iovec v[2] = { { w->buf, cut }, { w->buf + cut, r->len - cut } };
	ssize_t n = random_below(w, 2)
			? pwritev(fd, v, 2, (off_t)r->off)
			: pwrite(fd, w->buf, r->len, (off_t)r->off);

	if (n < 0 || (uint64_t)n != r->len)
		return wrong(w, "write of %llu at %llu gave %lld",
			     (unsigned long long)r->len,
			     (unsigned long long)r->off, (long long)n);
	return true;
}

static void model_write(struct worker *w, const struct range *r,
			const uint8_t *from)
{
	struct model *m = model_of(w, r);

	memcpy(m->bytes + r->off, from, r->len);
	if (r->off + r->len > m->size)
		m->size = r->off + r->len;
}

static bool write_at(struct worker *w, const struct range *r, int fd,
		     const char *how)
{
	note(w, "%s f%u %#9llx + %#llx", how, r->file,
	     (unsigned long long)r->off, (unsigned long long)r->len);
	new_bytes(w, w->buf, r->len);
	if (!put_bytes(w, fd, r))
		return false;
	model_write(w, r, w->buf);
	return true;
}

/* One in three may make the file longer. */
static bool do_write(struct worker *w)
{
	struct range r = any_range(w), lock = whole_of[r.file];
	bool grow = random_below(w, 3) == 0, ok;

	if (grow ? !lock_range(w, &lock, true)
		 : !locked_within(w, &r, true, &lock))
		return false;
	ok = !r.len || write_at(w, &r, w->fd[r.file], "write ");
	return unlock_range(w, &lock) && ok;
}

static bool do_append(struct worker *w)
{
	struct range r = any_range(w), lock = whole_of[r.file];
	struct model *m = model_of(w, &r);
	int fd = open(m->path, O_WRONLY | O_APPEND | O_CLOEXEC);
	bool ok = true;
	ssize_t n;

	if (fd < 0)
		return wrong(w, "open to append");
	if (!w->ofd && w->n_workers > 1) {
		/* to close it would end the locks of this process */
		(void)close(fd); /* nothing was written */
		return true;
	}
	if (!lock_range(w, &lock, true))
		return false;
	r.off = m->size;
	if (r.len > w->s->max - r.off)
		r.len = w->s->max - r.off;
	if (r.len) {
		note(w, "append f%u %#9llx + %#llx", r.file,
		     (unsigned long long)r.off, (unsigned long long)r.len);
		new_bytes(w, w->buf, r.len);
		n = write(fd, w->buf, r.len);
		ok = n >= 0 && (uint64_t)n == r.len;
		if (ok)
			model_write(w, &r, w->buf);
		else
			(void)wrong(w, "append gave %lld", (long long)n);
	}
	if (close(fd) < 0)
		ok = wrong(w, "close after append");
	return unlock_range(w, &lock) && ok;
}

static bool do_write_direct(struct worker *w)
{
	struct range r = any_range(w), lock = whole_of[r.file];
	bool ok;

	r.off = round_down(r.off, PAGE);
	r.len = round_down(r.len, PAGE) + PAGE;
	if (w->direct[r.file] < 0 || r.len > w->s->max - r.off)
		return true;
	if (!lock_range(w, &lock, true))
		return false;
	ok = write_at(w, &r, w->direct[r.file], "direct write");
	return unlock_range(w, &lock) && ok;
}

static bool do_map_write(struct worker *w)
{
	struct range r = any_range(w), lock;
	bool ok = true;
	uint8_t *p = NULL;
	size_t len;

	if (!locked_within(w, &r, true, &lock))
		return false;
	if (r.len) {
		note(w, "mapped write f%u %#9llx + %#llx", r.file,
		     (unsigned long long)r.off, (unsigned long long)r.len);
		p = map_range(w, &r, PROT_READ | PROT_WRITE, MAP_SHARED, &len);
		ok = p || wrong(w, "mmap");
	}
	if (p) {
		new_bytes(w, w->buf, r.len);
		memcpy(p + r.off % PAGE, w->buf, r.len);
		model_write(w, &r, w->buf);
		if (random_below(w, 2) && msync(p, len, MS_SYNC) < 0)
			ok = wrong(w, "msync");
		(void)munmap(p, len); /* it was mapped */
	}
	return unlock_range(w, &lock) && ok;
}

/* ---- sizes and holes ------------------------------------------------- */

static void model_resize(struct model *m, uint64_t size)
{
	if (size < m->size)
		memset(m->bytes + size, 0, m->size - size);
	m->size = size;
}

static bool do_truncate(struct worker *w)
{
	struct range r = any_range(w), lock = whole_of[r.file];
	struct model *m = model_of(w, &r);
	bool ok = true;

	if (!lock_range(w, &lock, true))
		return false;
	/* by itself a file would stay small */
	if (r.off < m->size / 2 && random_below(w, 2))
		r.off += m->size / 2;
	note(w, "truncate f%u to %#llx from %#llx", r.file,
	     (unsigned long long)r.off, (unsigned long long)m->size);
	if (ftruncate(w->fd[r.file], (off_t)r.off) < 0)
		ok = wrong(w, "truncate");
	else
		model_resize(m, r.off);
	return unlock_range(w, &lock) && ok;
}

static void model_zero(struct model *m, const struct range *r)
{
	uint64_t len = r->len;

	if (r->off >= m->size)
		return;
	if (len > m->size - r->off)
		len = m->size - r->off;
	memset(m->bytes + r->off, 0, len);
}

static bool do_allocate(struct worker *w)
{
	static const struct {
		int mode;
		bool zeros;
		const char *name;
	} kind[] = {
		{ FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, true, "punch" },
		{ FALLOC_FL_ZERO_RANGE, true, "zero" },
		{ FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, true,
		  "zero, same size" },
		{ 0, false, "allocate" },
		{ FALLOC_FL_KEEP_SIZE, false, "allocate, same size" },
	};
	struct range r = any_range(w), lock = whole_of[r.file];
	size_t i = random_below(w, sizeof(kind) / sizeof(kind[0]));
	struct model *m = model_of(w, &r);
	bool ok = true;

	if (!lock_range(w, &lock, true))
		return false;
	note(w, "%s f%u %#9llx + %#llx", kind[i].name, r.file,
	     (unsigned long long)r.off, (unsigned long long)r.len);
	if (fallocate(w->fd[r.file], kind[i].mode, (off_t)r.off, (off_t)r.len) <
	    0) {
		ok = lacking(w) || wrong(w, "%s", kind[i].name);
		return unlock_range(w, &lock) && ok;
	}
	if (kind[i].zeros)
		model_zero(m, &r);
	if (!(kind[i].mode & FALLOC_FL_KEEP_SIZE) && r.off + r.len > m->size)
		m->size = r.off + r.len;
	return unlock_range(w, &lock) && ok;
}

static bool all_zero(const uint8_t *p, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

/* What is called a hole must be zeros: more than that is not promised. */
static bool do_seek(struct worker *w)
{
	struct range r = any_range(w), lock = whole_of[r.file];
	const struct model *m = model_of(w, &r);
	off_t data, hole;
	bool ok = true;

	if (!lock_range(w, &lock, false))
		return false;
	note(w, "seek   f%u %#9llx of %#llx", r.file, (unsigned long long)r.off,
	     (unsigned long long)m->size);
	errno = 0;
	data = lseek(w->fd[r.file], (off_t)r.off, SEEK_DATA);
	if (data < 0 && errno != ENXIO)
		ok = wrong(w, "SEEK_DATA");
	else if (r.off >= m->size)
		ok = data < 0 ||
		     wrong(w, "data at %lld beyond the end", (long long)data);
	else if (data >= 0 &&
		 ((uint64_t)data < r.off || (uint64_t)data >= m->size))
		ok = wrong(w, "data at %lld", (long long)data);
	else if (!all_zero(m->bytes + r.off,
			   (data < 0 ? m->size : (uint64_t)data) - r.off))
		ok = wrong(w, "SEEK_DATA says %lld and leaves data out",
			   (long long)data);
	errno = 0;
	hole = lseek(w->fd[r.file], (off_t)r.off, SEEK_HOLE);
	if (ok && r.off >= m->size)
		ok = (hole < 0 && errno == ENXIO) ||
		     wrong(w, "hole at %lld beyond the end", (long long)hole);
	else if (ok && (hole < 0 || (uint64_t)hole < r.off ||
			(uint64_t)hole > m->size))
		ok = wrong(w, "SEEK_HOLE says %lld", (long long)hole);
	return unlock_range(w, &lock) && ok;
}

/* ---- copying --------------------------------------------------------- */

static bool overlap(const struct range *a, const struct range *b)
{
	return a->file == b->file && a->off < b->off + b->len &&
	       b->off < a->off + a->len;
}

static bool copy_all(struct worker *w, const struct range *from,
		     const struct range *to)
{
	off_t in = (off_t)from->off, out = (off_t)to->off;
	uint64_t left = from->len;

	while (left) {
		ssize_t n = copy_file_range(w->fd[from->file], &in,
					    w->fd[to->file], &out, left, 0);

		if (n < 0 && left == from->len && lacking(w))
			return true;
		if (n <= 0 || (uint64_t)n > left)
			return wrong(w, "copy_file_range gave %lld",
				     (long long)n);
		left -= (uint64_t)n;
	}
	memcpy(w->buf, model_of(w, from)->bytes + from->off, from->len);
	model_write(w, to, w->buf);
	return true;
}

static bool do_copy(struct worker *w)
{
	struct range from = any_range(w), to = any_range(w);
	bool ok = true;

	for (unsigned i = 0; i < FILES; i++)
		if (!lock_range(w, &whole_of[i], true))
			return false;
	within_size(w, &from);
	if (random_below(w, 2)) {
		from.off = round_down(from.off, PAGE);
		to.off = round_down(to.off, PAGE);
		within_size(w, &from);
	}
	to.len = from.len;
	if (from.len && to.len <= w->s->max - to.off && !overlap(&from, &to)) {
		note(w, "copy   f%u %#9llx + %#llx to f%u %#llx", from.file,
		     (unsigned long long)from.off, (unsigned long long)from.len,
		     to.file, (unsigned long long)to.off);
		ok = copy_all(w, &from, &to);
	}
	for (unsigned i = 0; i < FILES; i++)
		ok = unlock_range(w, &whole_of[i]) && ok;
	return ok;
}

/* ---- the rest -------------------------------------------------------- */

static bool do_sync(struct worker *w)
{
	unsigned i = (unsigned)random_below(w, FILES);
	bool data = random_below(w, 2);

	note(w, "%s f%u", data ? "fdatasync" : "fsync", i);
	if ((data ? fdatasync(w->fd[i]) : fsync(w->fd[i])) < 0)
		return wrong(w, "sync of file %u", i);
	return true;
}

static bool do_reopen(struct worker *w)
{
	note(w, "reopen");
	files_close(w);
	return files_open(w);
}

static bool do_forget(struct worker *w)
{
	unsigned i = (unsigned)random_below(w, FILES);
	int fd;

	note(w, "drop the cache of f%u", i);
	(void)posix_fadvise(w->fd[i], 0, 0, POSIX_FADV_DONTNEED);
	if (!w->drop_all || random_below(w, 8))
		return true;
	fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "3", 1) != 1)
		w->drop_all = false; /* not permitted: without, then */
	if (fd >= 0)
		(void)close(fd); /* it acted at the write */
	return true;
}

static bool do_stat(struct worker *w)
{
	struct range lock = whole_of[random_below(w, FILES)];
	struct stat st;
	bool ok = true;

	if (!lock_range(w, &lock, false))
		return false;
	if (fstat(w->fd[lock.file], &st) < 0)
		ok = wrong(w, "fstat");
	else if ((uint64_t)st.st_size != w->s->file[lock.file].size)
		ok = wrong(w, "the size of file %u is %lld, not %llu",
			   lock.file, (long long)st.st_size,
			   (unsigned long long)w->s->file[lock.file].size);
	return unlock_range(w, &lock) && ok;
}

static const struct {
	const char *name;
	unsigned weight;
	bool (*run)(struct worker *w);
} ops[] = {
	{ "read", 18, do_read },
	{ "direct-read", 4, do_read_direct },
	{ "map-read", 8, do_map_read },
	{ "write", 18, do_write },
	{ "append", 3, do_append },
	{ "direct-write", 4, do_write_direct },
	{ "map-write", 8, do_map_write },
	{ "truncate", 5, do_truncate },
	{ "allocate", 10, do_allocate },
	{ "seek", 6, do_seek },
	{ "copy", 6, do_copy },
	{ "sync", 3, do_sync },
	{ "reopen", 2, do_reopen },
	{ "forget", 2, do_forget },
	{ "stat", 3, do_stat },
};

#define N_OPS (sizeof(ops) / sizeof(ops[0]))

void ops_list(void)
{
	for (size_t i = 0; i < N_OPS; i++)
		(void)printf("%s%s", i ? " " : "", ops[i].name);
	(void)printf("\n");
}

static bool left_out(const struct worker *w, const char *name)
{
	char key[32];

	(void)snprintf(key, sizeof(key), ",%s,", name);
	return strstr(w->without, key) != NULL;
}

bool op_any(struct worker *w)
{
	unsigned sum = 0, dice;

	for (size_t i = 0; i < N_OPS; i++)
		sum += ops[i].weight;
	dice = (unsigned)random_below(w, sum);
	for (size_t i = 0; i < N_OPS; i++) {
		if (dice < ops[i].weight)
			return left_out(w, ops[i].name) || ops[i].run(w);
		dice -= ops[i].weight;
	}
	return true;
}
