/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Feature sets: which program may open what.
 *
 * Names and not bits, so that a program that is too old can say what it
 * lacks, and so that two branches of the code never give one bit two
 * meanings.  A list is a NULL-terminated array because its readers only walk
 * it; an empty one is NULL.
 */
#include <disk/label.h>

#include <base/fail.h>
#include <base/str.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FEATURES_MAX  256u /* names in one list */
#define FEATURES_NAME 64u  /* bytes in a name */

static const char *const base_incompat[] = { "base-1", NULL };
static const char *const known_incompat[] = { "base-1", FEATURE_UNFINISHED,
					      NULL };
static const char *const known_ro_compat[] = { NULL };

static void names_free(char **names)
{
	for (char **n = names; n && *n; ++n)
		free(*n);
	free(names);
}

void features_done(struct features *f)
{
	names_free(f->compat);
	names_free(f->ro_compat);
	names_free(f->incompat);
	*f = (struct features){ 0 };
}

static int names_copy(const char *const *from, char ***ret)
{
	size_t n = 0;
	char **to;

	while (from && from[n])
		n++;
	if (!n) {
		*ret = NULL;
		return 0;
	}
	to = (char **)calloc(n + 1, sizeof(*to));
	if (!to)
		return -ENOMEM;
	for (size_t i = 0; i < n; ++i) {
		to[i] = strdup(from[i]);
		if (!to[i]) {
			names_free(to);
			return -ENOMEM;
		}
	}
	*ret = to;
	return 0;
}

int features_copy(const struct features *from, struct features *ret)
{
	struct features f = { 0 };
	int r = names_copy((const char *const *)from->compat, &f.compat);

	if (!r)
		r = names_copy((const char *const *)from->ro_compat,
			       &f.ro_compat);
	if (!r)
		r = names_copy((const char *const *)from->incompat,
			       &f.incompat);
	if (r < 0)
		features_done(&f);
	else
		*ret = f;
	return r;
}

int features_base(struct features *ret)
{
	char **incompat;
	int r = names_copy(base_incompat, &incompat);

	if (r < 0)
		return r;
	*ret = (struct features){ .incompat = incompat };
	return 0;
}

static void names_put(struct buf *b, char *const *names)
{
	uint16_t n = 0;

	while (names && names[n])
		n++;
	buf_put16(b, n);
	for (uint16_t i = 0; i < n; ++i)
		buf_put_str(b, names[i], strlen(names[i]));
}

bool features_need(const struct features *f, const char *name)
{
	for (char **n = f->incompat; n && *n; ++n)
		if (!strcmp(*n, name))
			return true;
	return false;
}

int features_require(struct features *f, const char *name)
{
	size_t n = 0;
	char **to;

	if (features_need(f, name))
		return 0;
	while (f->incompat && f->incompat[n])
		n++;
	to = (char **)realloc(f->incompat, (n + 2) * sizeof(*to));
	if (!to)
		return -ENOMEM;
	f->incompat = to;
	to[n + 1] = NULL;
	to[n] = strdup(name);
	return to[n] ? 0 : -ENOMEM;
}

void features_release(struct features *f, const char *name)
{
	size_t kept = 0;

	for (size_t i = 0; f->incompat && f->incompat[i]; ++i) {
		if (strcmp(f->incompat[i], name) != 0)
			f->incompat[kept++] = f->incompat[i];
		else
			free(f->incompat[i]);
	}
	if (f->incompat)
		f->incompat[kept] = NULL;
}

void features_put(struct buf *b, const struct features *f)
{
	names_put(b, f->compat);
	names_put(b, f->ro_compat);
	names_put(b, f->incompat);
}

/* Visible ASCII: a name is meant to be shown to a person. */
static bool name_is_good(const char *s, size_t len)
{
	if (!len || len > FEATURES_NAME)
		return false;
	for (size_t i = 0; i < len; ++i)
		if (s[i] <= ' ' || s[i] > '~')
			return false;
	return true;
}

static int names_get(struct rd *r, char ***ret)
{
	uint16_t n = rd16(r);
	char **names;

	*ret = NULL;
	if (rd_error(r) || n > FEATURES_MAX)
		return -EUCLEAN;
	if (!n)
		return 0;
	names = (char **)calloc(n + 1u, sizeof(*names));
	if (!names)
		return -ENOMEM;
	*ret = names; /* the caller frees it in every case */
	for (uint16_t i = 0; i < n; ++i) {
		size_t len;
		const char *s = rd_str(r, &len);

		if (!s || !name_is_good(s, len))
			return -EUCLEAN;
		names[i] = str_copy(s, len);
		if (!names[i])
			return -ENOMEM;
	}
	return 0;
}

int features_get(struct rd *r, struct features *ret)
{
	struct features f = { 0 };
	int e = names_get(r, &f.compat);

	if (!e)
		e = names_get(r, &f.ro_compat);
	if (!e)
		e = names_get(r, &f.incompat);
	if (e < 0)
		features_done(&f);
	else
		*ret = f;
	return e;
}

static const char *names_unknown(char *const *names, const char *const *known)
{
	for (; names && *names; ++names) {
		const char *const *k = known;

		while (*k && strcmp(*k, *names) != 0)
			k++;
		if (!*k)
			return *names;
	}
	return NULL;
}

static int check(const struct features *f, const char *const *incompat,
		 const char *const *ro_compat, const char *what)
{
	const char *name = names_unknown(f->incompat, incompat);

	if (name)
		return fail(-EOPNOTSUPP,
			    "%s needs the feature '%s', which this version of "
			    "dynfs does not have",
			    what, name);
	name = names_unknown(f->ro_compat, ro_compat);
	if (name)
		return fail(-EROFS,
			    "%s has the feature '%s', with which this version "
			    "of dynfs may only read it",
			    what, name);
	return 0;
}

int features_check(const struct features *f, const char *what)
{
	return check(f, known_incompat, known_ro_compat, what);
}

int features_check_strange(const struct features *f, const char *what)
{
	static const char *const none[] = { NULL };

	return check(f, none, none, what);
}
