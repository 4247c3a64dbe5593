/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A look at the text before libconfig gets it.
 *
 * libconfig opens what @include names by itself, recurses as deep as groups
 * are nested, and compares each setting's name with all of its group; a file
 * that was made to hurt could read any file, use up the stack or take
 * minutes.  So the text is walked once by the few rules that decide what is a
 * comment, a string or a bracket, in the file and in what it includes.
 */
#include <config/internal.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/str.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCAN_MAX_BYTES    (1u << 20)
#define SCAN_MAX_DEPTH    32
#define SCAN_MAX_SETTINGS 20000
#define SCAN_MAX_INCLUDES 64
#define SCAN_MAX_LEVELS   8 /* of includes; libconfig has 10 */

struct scan {
	const char *folder; /* resolved */
	size_t bytes, settings, includes;
	unsigned level;
};

/* One text that is being walked. */
struct scan_text {
	const char *at, *end;
	struct conf_place place;
	unsigned depth;
};

static int scan_text(struct scan *s, const char *text, size_t len,
		     const char *path);

static void scan_close(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

int scan_read(const char *path, struct buf *out)
{
	CLEANUP(scan_close)
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return fail(-errno, "configuration %s can not be read: %s",
			    path, strerrordesc_np(errno));
	if (!S_ISREG(st.st_mode))
		return fail(-EINVAL, "configuration %s is not a regular file",
			    path);
	for (;;) {
		char some[8192];
		ssize_t n = read(fd, some, sizeof(some));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(-errno,
				    "configuration %s can not be read: %s",
				    path, strerrordesc_np(errno));
		if (n == 0)
			return buf_error(out);
		buf_put(out, some, (size_t)n);
		if (out->len > SCAN_MAX_BYTES)
			return fail(-EINVAL,
				    "configuration %s is longer than 1 MiB",
				    path);
	}
}

static void scan_step(struct scan_text *t)
{
	if (*t->at == '\n')
		t->place.line++;
	t->at++;
}

static bool scan_sees(const struct scan_text *t, const char *word)
{
	size_t n = strlen(word);

	return (size_t)(t->end - t->at) >= n && !memcmp(t->at, word, n);
}

static void scan_skip_to(struct scan_text *t, const char *word)
{
	while (t->at < t->end && !scan_sees(t, word))
		scan_step(t);
	for (size_t i = strlen(word); i && t->at < t->end; --i)
		scan_step(t);
}

/* One slash and star are not the end of a comment that they begin. */
static void scan_skip_comment(struct scan_text *t)
{
	t->at += 2;
	scan_skip_to(t, "*/");
}

/* Behind the closing quote; a backslash keeps the next byte from ending it. */
static void scan_skip_string(struct scan_text *t)
{
	scan_step(t);
	while (t->at < t->end && *t->at != '"') {
		if (*t->at == '\\' && t->at + 1 < t->end)
			scan_step(t);
		scan_step(t);
	}
	if (t->at < t->end)
		scan_step(t);
}

static int scan_resolve(struct scan *s, const struct scan_text *t,
			const char *name, char **ret)
{
	AUTOFREE char *joined = str_path(s->folder, name);
	AUTOFREE char *real = NULL;

	if (!joined)
		return -ENOMEM;
	if (*name == '/')
		return conf_fail(&t->place,
				 "@include \"%s\": expected a path below %s",
				 name, s->folder);
	real = realpath(joined, NULL);
	if (!real)
		return conf_fail(&t->place, "@include \"%s\": %s", name,
				 strerrordesc_np(errno));
	if (!path_inside(s->folder, real))
		return conf_fail(&t->place, "@include \"%s\" leads out of %s",
				 name, s->folder);
	*ret = TAKE(real);
	return 0;
}

static int scan_include_file(struct scan *s, const struct scan_text *t,
			     const char *name)
{
	AUTOBUF struct buf text = BUF_INIT;
	AUTOFREE char *path = NULL;
	int r = scan_resolve(s, t, name, &path);

	if (r == 0 && path)
		r = scan_read(path, &text);
	if (r < 0)
		return r;
	if (s->level == SCAN_MAX_LEVELS || ++s->includes > SCAN_MAX_INCLUDES)
		return conf_fail(&t->place,
				 "@include \"%s\": too many includes", name);
	s->level++;
	r = scan_text(s, (const char *)text.data, text.len, path);
	s->level--;
	return r;
}

static int scan_include(struct scan *s, struct scan_text *t)
{
	char name[PATH_MAX];
	const char *from;
	size_t n;

	t->at += strlen("@include");
	while (t->at < t->end && (*t->at == ' ' || *t->at == '\t'))
		t->at++;
	if (t->at == t->end || *t->at != '"')
		return conf_fail(&t->place, "@include: expected \"path\"");
	from = t->at + 1;
	scan_skip_string(t);
	n = t->at > from ? (size_t)(t->at - from - 1) : 0;
	if (!n || n >= sizeof(name) || memchr(from, '\\', n) ||
	    memchr(from, '\n', n))
		return conf_fail(&t->place, "@include: expected \"path\"");
	memcpy(name, from, n);
	name[n] = '\0';
	return scan_include_file(s, t, name);
}

static int scan_byte(struct scan *s, struct scan_text *t)
{
	switch (*t->at) {
	case '{':
	case '(':
	case '[':
		if (++t->depth > SCAN_MAX_DEPTH)
			return conf_fail(&t->place, "nested more than %d deep",
					 SCAN_MAX_DEPTH);
		break;
	case '}':
	case ')':
	case ']':
		t->depth -= t->depth > 0;
		break;
	case ',':
	case '=':
	case ':':
		if (++s->settings > SCAN_MAX_SETTINGS)
			return conf_fail(&t->place, "more than %d settings",
					 SCAN_MAX_SETTINGS);
		break;
	case '\0':
		return conf_fail(&t->place, "a zero byte; is this text?");
	default:
		break;
	}
	scan_step(t);
	return 0;
}

static int scan_text(struct scan *s, const char *text, size_t len,
		     const char *path)
{
	struct scan_text t = { text, text + len, { path, 1 }, 0 };
	int r = 0;

	s->bytes += len;
	if (s->bytes > SCAN_MAX_BYTES || (len && memchr(text, 0, len)))
		return fail(-EINVAL,
			    "configuration %s is no text of 1 MiB or less",
			    path);
	while (r == 0 && t.at < t.end) {
		if (*t.at == '#' || scan_sees(&t, "//"))
			scan_skip_to(&t, "\n");
		else if (scan_sees(&t, "/*"))
			scan_skip_comment(&t);
		else if (*t.at == '"')
			scan_skip_string(&t);
		else if (scan_sees(&t, "@include"))
			r = scan_include(s, &t);
		else
			r = scan_byte(s, &t);
	}
	return r;
}

int scan_check(const char *text, size_t len, const char *path,
	       const char *folder)
{
	AUTOFREE char *real = realpath(folder, NULL);
	struct scan s = { .folder = real };

	if (!real)
		return fail(-errno, "folder %s can not be read: %s", folder,
			    strerrordesc_np(errno));
	return scan_text(&s, text, len, path);
}
