/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Users and groups that a policy names: "alice", "1000", "@staff", "@50".
 *
 * How a word looks is checked when the file is loaded.  Whether the system knows
 * the name is asked when the pool is opened, since the numbers are what
 * requests have; there an unknown one is told of and left out, but no reason to
 * refuse the pool: an account may be deleted, and a directory service be late,
 * while the data is wanted.
 */
#include <config/internal.h>

#include <base/cleanup.h>
#include <base/fail.h>

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#define WORD_MAX   255u
#define LOOKUP_MIN 1024u
#define LOOKUP_MAX (1u << 20)

static bool all_digits(const char *s)
{
	return s[strspn(s, "0123456789")] == '\0';
}

/* (uid_t)-1 stands for none. */
static bool number_of(const char *s, uint32_t *ret)
{
	char *end;
	unsigned long long v;

	errno = 0;
	v = strtoull(s, &end, 10);
	if (errno || *end || v >= UINT32_MAX)
		return false;
	*ret = (uint32_t)v;
	return true;
}

bool users_word(const char *word)
{
	const char *s = *word == '@' ? word + 1 : word;
	size_t len = strlen(s);
	uint32_t id;

	if (!len || len > WORD_MAX || *s == '@')
		return false;
	for (const char *c = s; *c; ++c)
		if ((unsigned char)*c <= ' ' || *c == 0x7f || strchr(",:/", *c))
			return false;
	return !all_digits(s) || number_of(s, &id);
}

/* 0, -ENOENT; room grows as the system's lists want it. */
static int lookup(const char *word, uint32_t *ret)
{
	for (size_t len = LOOKUP_MIN; len <= LOOKUP_MAX; len *= 2) {
		AUTOFREE char *room = malloc(len);
		struct passwd user, *u = NULL;
		struct group group, *g = NULL;
		int err;

		if (!room)
			return -ENOMEM;
		if (*word == '@')
			err = getgrnam_r(word + 1, &group, room, len, &g);
		else
			err = getpwnam_r(word, &user, room, len, &u);
		if (err == ERANGE)
			continue;
		if (!u && !g)
			return -ENOENT;
		*ret = u ? u->pw_uid : g->gr_gid;
		return 0;
	}
	return -ENOENT;
}

static int find(const char *word, uint32_t *ret)
{
	const char *s = *word == '@' ? word + 1 : word;

	if (all_digits(s))
		return number_of(s, ret) ? 0 : -ENOENT;
	return lookup(word, ret);
}

void conf_ids_done(struct conf_ids *ids)
{
	free(ids->uids);
	free(ids->gids);
	*ids = (struct conf_ids){ 0 };
}

static int find_all(const struct conf_policy *p, struct conf_ids *ids)
{
	for (size_t i = 0; i < p->users.n; ++i) {
		const char *word = p->users.list[i];
		uint32_t id = 0;
		int r = find(word, &id);

		if (r == 0 && *word == '@')
			ids->gids[ids->n_gids++] = id;
		else if (r == 0)
			ids->uids[ids->n_uids++] = id;
		else if (r != -ENOENT)
			return r;
	}
	return 0;
}

int conf_users(const struct conf_policy *p, struct conf_ids *ret)
{
	struct conf_ids ids = { 0 };
	int r = -ENOMEM;

	ids.uids = calloc(p->users.n + 1, sizeof(*ids.uids));
	ids.gids = calloc(p->users.n + 1, sizeof(*ids.gids));
	if (ids.uids && ids.gids)
		r = find_all(p, &ids);
	if (r < 0)
		conf_ids_done(&ids);
	else
		*ret = ids;
	return r;
}

static int check_policy(const struct conf_policy *p)
{
	for (size_t i = 0; i < p->users.n; ++i) {
		const char *word = p->users.list[i];
		bool group = *word == '@';
		uint32_t id;
		int r = find(word, &id);

		if (r == -ENOENT)
			return conf_fail(&p->place,
					 "policy %s: users: the system knows "
					 "no %s \"%s\"",
					 p->name, group ? "group" : "user",
					 word + group);
		if (r < 0)
			return r;
	}
	return 0;
}

int conf_check_users(const struct conf *conf)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < conf->policies.n; ++i)
		r = check_policy(&conf->policies.list[i]);
	return r;
}
