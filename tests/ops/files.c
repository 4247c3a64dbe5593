/* SPDX-License-Identifier: Apache-2.0 */
/* Open files, their locks, the log, and what is said when bytes are wrong. */
#include "opcheck.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SAID_LINES 60u /* of the log, when something is wrong */

void note(struct worker *w, const char *fmt, ...)
{
	struct log_line *l;
	va_list ap;
	int n;

	w->number = __atomic_add_fetch(&w->s->n_ops, 1, __ATOMIC_RELAXED);
	l = &w->s->log[w->number % LOG_LINES];
	l->number = w->number;
	n = snprintf(l->text, LOG_TEXT, "[%u] ", w->id);
	va_start(ap, fmt);
	(void)vsnprintf(l->text + n, LOG_TEXT - (size_t)n, fmt, ap);
	va_end(ap);
}

static void say_log(const struct worker *w)
{
	uint64_t last = w->s->n_ops;
	uint64_t first = last > SAID_LINES ? last - SAID_LINES + 1 : 1;

	for (uint64_t n = first; n <= last; n++) {
		const struct log_line *l = &w->s->log[n % LOG_LINES];

		if (l->number == n)
			(void)fprintf(stderr, "%8llu %s\n",
				      (unsigned long long)n, l->text);
	}
}

bool wrong(struct worker *w, const char *fmt, ...)
{
	int err = errno;
	va_list ap;

	if (__atomic_exchange_n(&w->s->failed, true, __ATOMIC_RELAXED))
		return false;
	say_log(w);
	(void)fprintf(stderr, "WRONG at operation %llu of process %u: ",
		      (unsigned long long)w->number, w->id);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fprintf(stderr, " (errno %s)\n", strerror(err));
	return false;
}

static uint64_t equal_bytes(const uint8_t *a, const uint8_t *b, uint64_t n)
{
	uint64_t i = 0;

	while (i < n && a[i] == b[i])
		i++;
	return i;
}

static uint64_t unequal_bytes(const uint8_t *a, const uint8_t *b, uint64_t n)
{
	uint64_t i = 0;

	while (i < n && a[i] != b[i])
		i++;
	return i;
}

bool same_bytes(struct worker *w, const struct range *r, const uint8_t *got,
		const char *how)
{
	const uint8_t *want = w->s->file[r->file].bytes + r->off;
	uint64_t at = equal_bytes(want, got, r->len), first = r->off + at, n;

	if (at == r->len)
		return true;
	n = unequal_bytes(want + at, got + at, r->len - at);
	errno = 0;
	return wrong(w,
		     "file %u, %s of %llu bytes at %llu: from %llu on %llu "
		     "bytes differ, the first is %02x and should be %02x",
		     r->file, how, (unsigned long long)r->len,
		     (unsigned long long)r->off, (unsigned long long)first,
		     (unsigned long long)n, got[at], want[at]);
}

bool files_open(struct worker *w)
{
	for (unsigned i = 0; i < FILES; i++) {
		const char *path = w->s->file[i].path;

		w->fd[i] = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (w->fd[i] < 0)
			return wrong(w, "cannot open %s", path);
		/* not every file system has it */
		w->direct[i] = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	}
	return true;
}

void files_close(struct worker *w)
{
	for (unsigned i = 0; i < FILES; i++) {
		if (w->direct[i] >= 0)
			(void)close(w->direct[i]); /* writes were whole */
		if (w->fd[i] >= 0 && close(w->fd[i]) < 0)
			(void)wrong(w, "close of file %u", i);
		w->fd[i] = w->direct[i] = -1;
	}
}

bool files_verify(struct worker *w)
{
	for (unsigned i = 0; i < FILES; i++) {
		struct range r = { i, 0, w->s->file[i].size };
		struct stat st;
		ssize_t n;

		if (fstat(w->fd[i], &st) < 0)
			return wrong(w, "fstat of file %u", i);
		if ((uint64_t)st.st_size != r.len)
			return wrong(w, "file %u has %llu bytes, not %llu", i,
				     (unsigned long long)st.st_size,
				     (unsigned long long)r.len);
		n = pread(w->fd[i], w->buf, r.len + 1, 0);
		if (n < 0 || (uint64_t)n != r.len)
			return wrong(w, "reading all of file %u gave %lld", i,
				     (long long)n);
		if (!same_bytes(w, &r, w->buf, "check"))
			return false;
	}
	return true;
}

static bool lock_set(struct worker *w, const struct range *r, int type)
{
	struct flock l = { .l_type = (short)type,
			   .l_whence = SEEK_SET,
			   .l_start = (off_t)r->off,
			   .l_len = (off_t)r->len };

	if (w->n_workers == 1)
		return true;
	while (fcntl(w->fd[r->file], w->ofd ? F_OFD_SETLKW : F_SETLKW, &l) <
	       0) {
		if (errno != EINTR && errno != EDEADLK)
			return wrong(w, "lock of file %u", r->file);
	}
	return true;
}

bool lock_range(struct worker *w, const struct range *r, bool exclusive)
{
	return lock_set(w, r, exclusive ? F_WRLCK : F_RDLCK);
}

bool unlock_range(struct worker *w, const struct range *r)
{
	return lock_set(w, r, F_UNLCK);
}
