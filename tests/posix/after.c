/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must be true after a call: words with blanks between, each a check.
 *
 *	!NAME             there is nothing of that name
 *	NAME:mode=0644    also type=, uid=, gid=, nlink=, size=, rdev=, blocks=
 *	NAME:ino=OTHER    both names lead to one inode
 *	NAME:text=WORD    what is in it
 *	NAME:link=WORD    where it leads
 *	NAME:mtime=       as it was before the call; atime, ctime alike
 *	NAME:mtime+       later than before; at or after the call of a new one
 *	NAME:mtime=5.25   seconds
 *	NAME:same         type, mode, owner, links, size, mtime, ctime
 *
 * A call whose words speak of times is made after a tick of the clock.
 */
#include "posix.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WORDS_MAX  16
#define WORD_BYTES 512

struct snap {
	bool there;
	struct stat st;
};

struct word {
	char text[WORD_BYTES];
	char *attr, *value; /* in text; NULL: none */
	char op;            /* '!', '=', '+', or 0 for "same" */
	struct snap was;
};

static struct {
	struct word words[WORDS_MAX];
	size_t n;
	struct snap p, q; /* what the call names */
	struct timespec start;
} before;

static struct snap snap_of(const char *name)
{
	struct snap s = { .there = false };

	if (name)
		s.there = !lstat(expand(name), &s.st);
	return s;
}

static bool is_time(const struct word *w)
{
	return w->attr && strlen(w->attr) == 5 &&
	       strcmp(w->attr + 1, "time") == 0;
}

static void word_parse(struct word *w, const char *from, size_t len)
{
	char *end;

	if (len >= WORD_BYTES)
		die("'%s': a word is too long", from);
	memcpy(w->text, from, len);
	w->text[len] = '\0';
	w->attr = w->value = NULL;
	w->op = '\0';
	if (w->text[0] == '!') {
		w->op = '!';
		return;
	}
	w->attr = strchr(w->text, ':');
	if (!w->attr)
		die("'%s': nothing is said of it", w->text);
	*w->attr++ = '\0';
	end = w->attr + strcspn(w->attr, "=+");
	w->op = *end;
	if (!*end)
		return;
	*end = '\0';
	if (end[1])
		w->value = end + 1;
}

void after_begin(const struct step *s)
{
	const char *at = s->after ? s->after : "";
	bool timed = false;

	before.n = 0;
	while (*(at += strspn(at, " "))) {
		size_t len = strcspn(at, " ");
		struct word *w = &before.words[before.n];

		if (before.n++ == WORDS_MAX)
			die("'%s': more than %d words", s->after, WORDS_MAX);
		word_parse(w, at, len);
		if (w->op != '!')
			w->was = snap_of(w->text);
		timed = timed || is_time(w) || !w->op;
		at += len;
	}
	if (timed)
		tick();
	if (s->want < 0) {
		before.p = snap_of(s->p);
		before.q = snap_of(s->q);
	}
	(void)clock_gettime(CLOCK_REALTIME_COARSE, &before.start);
}

static int time_order(const struct timespec *a, const struct timespec *b)
{
	if (a->tv_sec != b->tv_sec)
		return a->tv_sec < b->tv_sec ? -1 : 1;
	return a->tv_nsec == b->tv_nsec ? 0 : a->tv_nsec < b->tv_nsec ? -1 : 1;
}

static bool snap_same(const struct snap *a, const struct snap *b)
{
	const struct stat *x = &a->st, *y = &b->st;

	if (!a->there || !b->there)
		return a->there == b->there;
	return x->st_ino == y->st_ino && x->st_mode == y->st_mode &&
	       x->st_uid == y->st_uid && x->st_gid == y->st_gid &&
	       x->st_nlink == y->st_nlink && x->st_size == y->st_size &&
	       x->st_rdev == y->st_rdev &&
	       !time_order(&x->st_mtim, &y->st_mtim) &&
	       !time_order(&x->st_ctim, &y->st_ctim);
}

bool after_untouched(const struct step *s)
{
	struct snap p, q;

	if (s->want >= 0) /* a limit of the kernel */
		return true;
	p = snap_of(s->p);
	q = snap_of(s->q);
	return snap_same(&before.p, &p) && snap_same(&before.q, &q);
}

static const struct timespec *which_time(const struct word *w,
					 const struct stat *st)
{
	return w->attr[0] == 'a'   ? &st->st_atim
	       : w->attr[0] == 'm' ? &st->st_mtim
				   : &st->st_ctim;
}

static void end_time(const struct word *w, const struct snap *now,
		     const char *call)
{
	const struct timespec *is = which_time(w, &now->st);
	const struct timespec *was = which_time(w, &w->was.st);
	struct timespec want;
	char *dot;

	if (w->op == '+') {
		bool later = w->was.there ? time_order(was, is) < 0
					  : time_order(&before.start, is) <= 0;

		(void)check_that(later, "%s: %s of %s has moved", call, w->attr,
				 w->text);
		return;
	}
	if (!w->value) {
		(void)check_that(w->was.there && !time_order(was, is),
				 "%s: %s of %s has not moved", call, w->attr,
				 w->text);
		return;
	}
	want.tv_sec = strtoll(w->value, &dot, 10);
	want.tv_nsec = *dot == '.' ? strtol(dot + 1, NULL, 10) : 0;
	(void)check_that(!time_order(&want, is),
			 "%s: %s of %s is %s (it is %lld.%09ld)", call, w->attr,
			 w->text, w->value, (long long)is->tv_sec, is->tv_nsec);
}

static bool number_of(const struct word *w, const struct stat *st,
		      long long *ret)
{
	const struct {
		const char *name;
		long long value;
	} all[] = {
		{ "mode", st->st_mode & 07777 },
		{ "uid", st->st_uid },
		{ "gid", st->st_gid },
		{ "nlink", (long long)st->st_nlink },
		{ "size", st->st_size },
		{ "rdev", (long long)st->st_rdev },
		{ "blocks", st->st_blocks },
	};

	for (size_t i = 0; i < COUNT(all); i++) {
		if (strcmp(w->attr, all[i].name) != 0)
			continue;
		*ret = all[i].value;
		return true;
	}
	return false;
}

static void text_of(const struct word *w, char *to, size_t room)
{
	ssize_t n = -1;
	int fd;

	if (strcmp(w->attr, "link") == 0) {
		n = readlink(expand(w->text), to, room - 1);
	} else if (strcmp(w->attr, "text") == 0) {
		fd = open(expand(w->text), O_RDONLY | O_CLOEXEC);
		if (fd >= 0) {
			n = read(fd, to, room - 1);
			(void)close(fd);
		}
	} else {
		die("'%s': no such attribute", w->attr);
	}
	if (n < 0)
		(void)snprintf(to, room, "(%s)", strerrorname_np(errno));
	else
		to[n] = '\0';
}

static void end_value(const struct word *w, const struct snap *now,
		      const char *call)
{
	const char *value = w->value ? w->value : "";
	char text[WORD_BYTES];
	struct snap other;
	long long number;

	if (number_of(w, &now->st, &number)) {
		(void)check_that(number == strtoll(value, NULL, 0),
				 "%s: %s of %s is %s (it is %#llo, %lld)", call,
				 w->attr, w->text, value,
				 (unsigned long long)number, number);
	} else if (strcmp(w->attr, "type") == 0) {
		(void)check_that((now->st.st_mode & S_IFMT) ==
				     kind_mode(*value),
				 "%s: %s is a %s (its mode is 0%o)", call,
				 w->text, kind_name(*value), now->st.st_mode);
	} else if (strcmp(w->attr, "ino") == 0) {
		other = snap_of(value);
		(void)check_that(
		    other.there && other.st.st_ino == now->st.st_ino,
		    "%s: %s and %s are one inode", call, w->text, value);
	} else {
		text_of(w, text, sizeof(text));
		(void)check_that(strcmp(text, expand(value)) == 0,
				 "%s: %s of %s is '%s' (it is '%.64s')", call,
				 w->attr, w->text, value, text);
	}
}

void after_end(const struct step *s, const char *call)
{
	(void)s;
	for (size_t i = 0; i < before.n; i++) {
		const struct word *w = &before.words[i];
		struct snap now = snap_of(w->text + (w->op == '!'));

		if (w->op == '!')
			(void)check_that(!now.there, "%s: there is no %s", call,
					 w->text + 1);
		else if (!now.there)
			(void)check_that(false, "%s: %s is there", call,
					 w->text);
		else if (!w->op)
			(void)check_that(snap_same(&w->was, &now),
					 "%s: %s has not changed", call,
					 w->text);
		else if (is_time(w))
			end_time(w, &now, call);
		else
			end_value(w, &now, call);
	}
}
