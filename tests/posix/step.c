/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One step: become the user, call, look.  And its words for a person.
 */
#include "posix.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPAND_BYTES 16384
#define EXPAND_RING  4
#define TEXT_BYTES   512

static const struct {
	const char *name, *args;
} call_words[N_CALLS] = {
#define X(name, what, args) [name] = { #what, args },
	CALLS(X)
#undef X
};

/* {x300} at text: how many, or 0 when it is no such thing. */
static size_t run_length(const char *text, const char **ret_end)
{
	char *end;
	size_t n;

	if (text[0] != '{' || !text[1] || text[2] < '0' || text[2] > '9')
		return 0;
	n = strtoul(text + 2, &end, 10);
	*ret_end = end + 1;
	return *end == '}' ? n : 0;
}

/* left: bytes of the run from here on; the last of a path is a slash */
static char run_byte(char what, size_t left)
{
	if (what != '/')
		return what;
	return left % 2 ? '/' : '.';
}

const char *expand(const char *text)
{
	static char ring[EXPAND_RING][EXPAND_BYTES];
	static unsigned next;
	char *to = ring[next++ % EXPAND_RING];
	const char *end = text;
	size_t at = 0;

	while (*text) {
		size_t n = run_length(text, &end);

		if (at + n + 2 > EXPAND_BYTES)
			die("a text of more than %d bytes", EXPAND_BYTES);
		if (!n) {
			to[at++] = *text++;
			continue;
		}
		for (size_t i = 0; i < n; i++)
			to[at + i] = run_byte(text[1], n - i);
		at += n;
		text = end;
	}
	to[at] = '\0';
	return to;
}

struct words {
	char *to;
	size_t room, at;
};

__attribute__((format(printf, 2, 3))) static void add(struct words *w,
						      const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(w->to + w->at, w->room - w->at, fmt, ap);
	va_end(ap);
	if (n > 0)
		w->at += (size_t)n;
	if (w->at >= w->room)
		w->at = w->room - 1;
}

static void add_time(struct words *w, int64_t t)
{
	static const char *const special[] = { "now", "omit", "NULL", "bad" };

	if (t < T_NOW + (int64_t)COUNT(special))
		add(w, "%s", special[t - T_NOW]);
	else
		add(w, "%lld.%09llds", (long long)(t / SEC),
		    (long long)(t % SEC));
}

static void add_open_flags(struct words *w, int flags)
{
	static const struct {
		int flag;
		const char *name;
	} names[] = {
		{ O_CREAT, "CREAT" },         { O_EXCL, "EXCL" },
		{ O_TRUNC, "TRUNC" },         { O_APPEND, "APPEND" },
		{ O_NOFOLLOW, "NOFOLLOW" },   { O_TMPFILE, "TMPFILE" },
		{ O_DIRECTORY, "DIRECTORY" }, { O_DIRECT, "DIRECT" },
		{ O_SYNC, "SYNC" },           { O_DSYNC, "DSYNC" },
		{ O_NONBLOCK, "NONBLOCK" },   { O_PATH, "PATH" },
		{ O_NOATIME, "NOATIME" },
	};
	static const char *const modes[] = { "RDONLY", "WRONLY", "RDWR", "3" };

	add(w, "%s", modes[flags & O_ACCMODE]);
	for (size_t i = 0; i < COUNT(names); i++) {
		if ((flags & names[i].flag) != names[i].flag)
			continue;
		add(w, "|%s", names[i].name);
		flags &= ~names[i].flag;
	}
}

static void add_arg(struct words *w, const struct step *s, char what)
{
	switch (what) {
	case 'p':
	case 'q':
		what == 'p' ? add(w, s->p ? "\"%s\"" : "NULL", s->p)
			    : add(w, s->q ? "\"%s\"" : "NULL", s->q);
		break;
	case 'f':
		add(w, "#%d", s->fd);
		break;
	case 'o':
		add(w, "0%llo", (unsigned long long)s->a);
		break;
	case 'm':
		add(w, "0%llo", (unsigned long long)s->b);
		break;
	case 'd':
		add(w, "%lld", (long long)s->a);
		break;
	case 'D':
		add(w, "%lld", (long long)s->b);
		break;
	case 'N':
		add(w, "0x%llx", (unsigned long long)s->b);
		break;
	case 'F':
		add_open_flags(w, (int)s->a);
		break;
	case 'h':
		add(w, "0x%x", (unsigned)s->flags);
		break;
	case 't':
		add_time(w, s->a);
		break;
	case 'T':
		add_time(w, s->b);
		break;
	default:
		add(w, "?");
	}
}

void step_describe(const struct step *s, char *to, size_t room)
{
	struct words w = { .to = to, .room = room };

	add(&w, "%s(", call_words[s->call].name);
	for (const char *a = call_words[s->call].args; *a; a++) {
		add_arg(&w, s, *a);
		if (a[1])
			add(&w, ", ");
	}
	add(&w, ") as %s", user_names[s->as]);
}

static int64_t call(const struct step *s)
{
	int64_t r;

	become(s->as);
	r = call_table[s->call](s);
	become(ROOT);
	return r;
}

int64_t step_run(const struct step *s)
{
	char text[TEXT_BYTES];
	int64_t r;

	step_describe(s, text, sizeof(text));
	after_begin(s);
	r = call(s);
	if (check_limit(s->limit, s->want, r, "%s", text) && r < 0 &&
	    !after_untouched(s))
		(void)check_that(false,
				 "%s: it failed, but has changed "
				 "something",
				 text);
	checks_limit(s->limit);
	if (r == s->want)
		after_end(s, text);
	checks_limit(NO_LIMIT);
	return r;
}

void step_make(const struct step *s)
{
	char text[TEXT_BYTES], got[32];
	int64_t r = call(s);

	if (r >= 0)
		return;
	step_describe(s, text, sizeof(text));
	result_text(r, got, sizeof(got));
	die("to prepare, %s: %s", text, got);
}
