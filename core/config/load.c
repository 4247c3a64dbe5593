/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the tree to the structs, by the table of keys.
 *
 * One function walks a group: every member must be a key of the section, and
 * every key of the section is filled, from the member or from the default.
 * What differs between keys is their shape; each shape has one function.
 */
#include <config/tree.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/str.h>
#include <registry/value.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOAD_MAX_ELEMS 4096
#define LOAD_SHOWN     80

struct loader {
	struct conf *conf;
	struct tree tree;
	char *folder; /* of the file: absolute, owned */
};

/* A group of the file (NULL: not given) that becomes a struct. */
struct loader_group {
	const char *section, *title; /* title: for messages */
	const config_setting_t *at;
	struct conf_place place;
	void *base;
};

static int load_group(struct loader *l, const struct loader_group *g);

/* Where s was said, for longer than the tree lives. */
static struct conf_place load_place(struct loader *l, const config_setting_t *s)
{
	struct conf_place p = tree_place(&l->tree, s);
	const char *file = conf_dup(l->conf, p.file);

	p.file = file ? file : "";
	return p;
}

static int load_fail(struct loader *l, const struct conf_key *key,
		     const config_setting_t *s)
{
	struct conf_place place = tree_place(&l->tree, s);
	AUTOBUF struct buf expect = BUF_INIT;
	char room[TREE_NUMBER_MAX], shown[LOAD_SHOWN];
	const char *text;
	enum reg_form form = tree_value(s, room, &text);

	conf_expect(key, &expect);
	buf_put8(&expect, 0);
	if (buf_error(&expect))
		return -ENOMEM;
	(void)str_quote(text, strlen(text), shown, sizeof(shown));
	if (form == REG_OTHER && !*text)
		(void)snprintf(shown, sizeof(shown), "a %s",
			       tree_is_group(s) ? "group" : "list");
	return conf_fail(&place,
			 form == REG_STRING ? "%s: expected %s, got \"%s\""
					    : "%s: expected %s, got %s",
			 key->o.name, (const char *)expect.data, shown);
}

/* ---- the shapes ------------------------------------------------------ */

static int load_value(struct loader *l, const struct conf_key *key,
		      const config_setting_t *s, void *base)
{
	char room[TREE_NUMBER_MAX];
	const char *text = key->o.def;
	enum reg_form form = s ? tree_value(s, room, &text) : REG_WORD;
	struct value v = { 0 };

	if (text && value_parse(&key->o, form, text, &v) < 0)
		return s ? load_fail(l, key, s) : -EINVAL;
	if ((key->o.flags & CONF_POWER_OF_TWO) && (v.bytes & (v.bytes - 1)))
		return load_fail(l, key, s);
	if (v.str) {
		v.str = conf_dup(l->conf, v.str);
		if (!v.str)
			return -ENOMEM;
	}
	value_store(&key->o, &v, base);
	return 0;
}

static int load_name(struct loader *l, const struct conf_key *key,
		     const config_setting_t *s, void *base)
{
	const char *name;
	int r = load_value(l, key, s, base);

	if (r < 0)
		return r;
	memcpy(&name, (char *)base + key->o.offset, sizeof(name));
	return s && !str_is_name(name, REG_NAME_MAX) ? load_fail(l, key, s) : 0;
}

static int load_clean(struct loader *l, const char *begin, const char **path)
{
	AUTOFREE char *clean = path_clean(begin, *path);

	*path = clean ? conf_dup(l->conf, clean) : NULL;
	return *path ? 0 : -ENOMEM;
}

static int load_path(struct loader *l, const struct conf_key *key,
		     const config_setting_t *s, void *base)
{
	const char *begin = l->conf->pool.dir;
	const char *path;
	int r;

	if (base == &l->conf->pool && !strcmp(key->o.name, "dir")) {
		/* filled by load_begin(), before all that depends on it */
		if (begin)
			return 0;
		begin = l->folder;
	}
	r = load_value(l, key, s, base);
	if (r < 0)
		return r;
	memcpy(&path, (char *)base + key->o.offset, sizeof(path));
	if (!path)
		return 0;
	if (!*path)
		return load_fail(l, key, s);
	r = load_clean(l, begin, &path);
	memcpy((char *)base + key->o.offset, &path, sizeof(path));
	return r;
}

/* On a command line, a list of words is written with commas. */
static int load_split(struct loader *l, const char *text,
		      struct conf_words *out)
{
	size_t n = 1;

	for (const char *p = text; *p; ++p)
		n += *p == ',';
	out->list = conf_alloc(l->conf, n, sizeof(*out->list));
	if (!out->list)
		return -ENOMEM;
	while (*text) {
		size_t len = strcspn(text, ",");
		char *word = conf_alloc(l->conf, len + 1, 1);

		if (!word)
			return -ENOMEM;
		memcpy(word, text, len);
		if (len)
			out->list[out->n++] = word;
		text += len + (text[len] == ',');
	}
	return 0;
}

static int load_words(struct loader *l, const struct conf_key *key,
		      const config_setting_t *s, struct conf_words *out)
{
	char room[TREE_NUMBER_MAX];
	const char *text;
	int n;

	if (!tree_is_list(s))
		return tree_value(s, room, &text) == REG_WORD
			   ? load_split(l, text, out)
			   : load_fail(l, key, s);
	n = config_setting_length(s);
	if (n > LOAD_MAX_ELEMS)
		return load_fail(l, key, s);
	out->list = conf_alloc(l->conf, (size_t)n, sizeof(*out->list));
	if (!out->list)
		return -ENOMEM;
	for (int i = 0; i < n; ++i) {
		const config_setting_t *e =
		    config_setting_get_elem(s, (unsigned)i);

		if (tree_value(e, room, &text) != REG_STRING)
			return load_fail(l, key, e);
		out->list[out->n] = conf_dup(l->conf, text);
		if (!out->list[out->n++])
			return -ENOMEM;
	}
	return 0;
}

/* Where the word i of a list was said. */
static const config_setting_t *load_word_at(const config_setting_t *s, size_t i)
{
	return s && tree_is_list(s) ? config_setting_get_elem(s, (unsigned)i)
				    : s;
}

static int load_list(struct loader *l, const struct conf_key *key,
		     const config_setting_t *s, void *base)
{
	struct conf_words *out = (void *)((char *)base + key->o.offset);
	int r = s ? load_words(l, key, s, out) : 0;

	for (size_t i = 0; r == 0 && i < out->n; ++i) {
		const char *word = out->list[i];

		if (key->shape == CONF_PATHS && *word)
			r = load_clean(l, l->conf->pool.dir, &out->list[i]);
		else if (key->shape == CONF_USERS
			     ? !users_word(word)
			     : !str_is_name(word, REG_NAME_MAX))
			r = load_fail(l, key, load_word_at(s, i));
	}
	return r;
}

static int load_setting(struct loader *l, const config_setting_t *s,
			struct reg_setting *out)
{
	char room[TREE_NUMBER_MAX];
	const char *text;
	struct conf_place place = load_place(l, s);

	out->form = tree_value(s, room, &text);
	out->key = conf_dup(l->conf, config_setting_name(s));
	out->text = conf_dup(l->conf, text);
	out->file = place.file;
	out->line = place.line;
	return out->key && out->text ? 0 : -ENOMEM;
}

/* All members but one, which may be NULL. */
static int load_settings(struct loader *l, const config_setting_t *s,
			 const char *but, struct conf_plugin *out)
{
	int n = config_setting_length(s);

	out->options =
	    conf_alloc(l->conf, (size_t)n + 1, sizeof(*out->options));
	if (!out->options)
		return -ENOMEM;
	for (int i = 0; i < n; ++i) {
		const config_setting_t *e =
		    config_setting_get_elem(s, (unsigned)i);
		int r;

		if (but && !strcmp(config_setting_name(e), but))
			continue;
		r = load_setting(l, e, &out->options[out->n_options++]);
		if (r < 0)
			return r;
	}
	return 0;
}

static int load_plugin(struct loader *l, const struct conf_key *key,
		       const config_setting_t *s, struct conf_plugin *out)
{
	const config_setting_t *name = NULL;
	char room[TREE_NUMBER_MAX];

	if (s && !tree_is_group(s))
		return load_fail(l, key, s);
	out->place =
	    s ? load_place(l, s) : (struct conf_place){ l->conf->path, 0 };
	out->name = key->o.def;
	if (s)
		name = config_setting_get_member(s, "plugin");
	if (name) {
		enum reg_form form = tree_value(name, room, &out->name);

		if ((form != REG_STRING && form != REG_WORD) ||
		    !str_is_name(out->name, REG_NAME_MAX)) {
			struct conf_place at = tree_place(&l->tree, name);

			return conf_fail(&at, "plugin: expected the name of a "
					      "plugin, [a-z][a-z0-9-]*");
		}
	}
	if (!out->name)
		return conf_fail(&out->place, "%s: expected plugin = \"NAME\"",
				 key->o.name);
	out->name = conf_dup(l->conf, out->name);
	if (!out->name)
		return -ENOMEM;
	return s ? load_settings(l, s, "plugin", out) : 0;
}

static int load_plugins(struct loader *l, const struct conf_key *key,
			const config_setting_t *s, void *base)
{
	struct conf_plugins *out = (void *)((char *)base + key->o.offset);
	struct conf_key each = *key;
	int n = s ? config_setting_length(s) : key->o.def != NULL;

	if (s && (!tree_is_list(s) || n > LOAD_MAX_ELEMS))
		return load_fail(l, key, s);
	out->list = conf_alloc(l->conf, (size_t)n, sizeof(*out->list));
	if (!out->list)
		return -ENOMEM;
	if (s) /* the default is for a list that is not there */
		each.o.def = NULL;
	for (int i = 0; i < n; ++i) {
		int r = load_plugin(
		    l, &each, s ? config_setting_get_elem(s, (unsigned)i) : s,
		    &out->list[out->n++]);

		if (r < 0)
			return r;
	}
	return 0;
}

static int load_labels(struct loader *l, const struct conf_key *key,
		       const config_setting_t *s, struct conf_disk *disk)
{
	char room[TREE_NUMBER_MAX];
	const char *text;
	int n;

	if (!s)
		return 0;
	if (!tree_is_group(s))
		return load_fail(l, key, s);
	n = config_setting_length(s);
	disk->labels = conf_alloc(l->conf, (size_t)n, sizeof(*disk->labels));
	if (!disk->labels)
		return -ENOMEM;
	for (int i = 0; i < n; ++i) {
		const config_setting_t *e =
		    config_setting_get_elem(s, (unsigned)i);
		struct conf_label *label = &disk->labels[disk->n_labels++];

		if (tree_value(e, room, &text) == REG_OTHER || !*text)
			return load_fail(l, key, e);
		label->key = conf_dup(l->conf, config_setting_name(e));
		label->value = conf_dup(l->conf, text);
		if (!label->key || !label->value)
			return -ENOMEM;
	}
	return 0;
}

static int load_options(struct loader *l, const struct conf_key *key,
			const config_setting_t *s, struct conf_policy *policy)
{
	if (!s)
		return 0;
	return tree_is_group(s) ? load_settings(l, s, NULL, &policy->redundancy)
				: load_fail(l, key, s);
}

static int load_disks(struct loader *l, const struct conf_key *key,
		      const config_setting_t *s)
{
	struct conf_pool *pool = &l->conf->pool;
	int n = s ? config_setting_length(s) : 0;

	if (s && (!tree_is_list(s) || n > CONF_MAX_DISKS))
		return load_fail(l, key, s);
	pool->disks = conf_alloc(l->conf, (size_t)n + 1, sizeof(*pool->disks));
	if (!pool->disks)
		return -ENOMEM;
	for (int i = 0; i < n; ++i) {
		struct conf_disk *disk = &pool->disks[pool->n_disks++];
		struct loader_group g = { .section = "pool.disks",
					  .title = "a disk",
					  .base = disk };
		int r;

		g.at = config_setting_get_elem(s, (unsigned)i);
		if (!tree_is_group(g.at))
			return load_fail(l, key, g.at);
		disk->place = g.place = load_place(l, g.at);
		r = load_group(l, &g);
		if (r < 0)
			return r;
	}
	return 0;
}

static int load_policy(struct loader *l, const config_setting_t *s,
		       struct conf_policy *policy)
{
	struct loader_group g = { .section = "policies.NAME",
				  .at = s,
				  .base = policy };

	policy->place = g.place = load_place(l, s);
	policy->name = g.title = conf_dup(l->conf, config_setting_name(s));
	if (!policy->name)
		return -ENOMEM;
	if (!tree_is_group(s))
		return conf_fail(&g.place,
				 "%s: expected \"default\" or the group of a "
				 "policy",
				 policy->name);
	if (!str_is_name(policy->name, REG_NAME_MAX) ||
	    !strcmp(policy->name, "none"))
		return conf_fail(&g.place,
				 "\"%s\" is no name for a policy: expected "
				 "[a-z][a-z0-9-]*, not \"none\"",
				 policy->name);
	policy->redundancy.place = g.place;
	return load_group(l, &g);
}

static int load_builtin_policy(struct loader *l)
{
	struct conf_policies *p = &l->conf->policies;
	struct loader_group g = { .section = "policies.NAME",
				  .title = "ec42",
				  .place = p->place };
	int r;

	g.base = p->list = conf_alloc(l->conf, 1, sizeof(*p->list));
	if (!p->list)
		return -ENOMEM;
	r = load_group(l, &g);
	if (r < 0)
		return r;
	p->n = 1;
	p->list->name = g.title;
	p->list->k = 4;
	p->list->m = 2;
	p->list->place = p->list->redundancy.place = p->place;
	if (!p->default_name)
		p->default_name = p->list->name;
	return 0;
}

static int load_policies(struct loader *l, const struct conf_key *key,
			 const config_setting_t *s)
{
	struct conf_policies *p = &l->conf->policies;
	const config_setting_t *name;
	int n = s ? config_setting_length(s) : 0, r = 0;

	p->place = (struct conf_place){ l->conf->path, 0 };
	if (s && (!tree_is_group(s) || n > CONF_MAX_POLICIES))
		return load_fail(l, key, s);
	if (s)
		p->place = load_place(l, s);
	name = s ? config_setting_get_member(s, "default") : NULL;
	if (name)
		r = load_name(l, conf_find_key("policies", "default"), name, p);
	if (r < 0)
		return r;
	if (n - (name != NULL) == 0)
		return load_builtin_policy(l);
	p->list = conf_alloc(l->conf, (size_t)n, sizeof(*p->list));
	if (!p->list)
		return -ENOMEM;
	for (int i = 0; r == 0 && i < n; ++i) {
		const config_setting_t *e =
		    config_setting_get_elem(s, (unsigned)i);

		if (e != name)
			r = load_policy(l, e, &p->list[p->n++]);
	}
	return r;
}

/* ---- groups ---------------------------------------------------------- */

static int load_section(struct loader *l, const struct conf_key *key,
			const config_setting_t *s, void *base)
{
	struct loader_group g = { .section = key->o.name,
				  .title = key->o.name,
				  .at = s,
				  .place = { l->conf->path, 0 },
				  .base = base };

	if (s && !tree_is_group(s))
		return load_fail(l, key, s);
	if (s)
		g.place = load_place(l, s);
	return load_group(l, &g);
}

static int load_key(struct loader *l, const struct conf_key *key,
		    const config_setting_t *s, void *base)
{
	switch (key->shape) {
	case CONF_VALUE:
		return load_value(l, key, s, base);
	case CONF_NAME:
		return load_name(l, key, s, base);
	case CONF_PATH:
		return load_path(l, key, s, base);
	case CONF_WORDS:
	case CONF_PATHS:
	case CONF_USERS:
		return load_list(l, key, s, base);
	case CONF_LABELS:
		return load_labels(l, key, s, base);
	case CONF_OPTIONS:
		return load_options(l, key, s, base);
	case CONF_PLUGIN:
		return load_plugin(l, key, s,
				   (void *)((char *)base + key->o.offset));
	case CONF_PLUGINS:
		return load_plugins(l, key, s, base);
	case CONF_DISKS:
		return load_disks(l, key, s);
	case CONF_POLICIES:
		return load_policies(l, key, s);
	default:
		return load_section(l, key, s, (char *)base + key->o.offset);
	}
}

static const char *load_key_name(const void *ctx, size_t i)
{
	const struct conf_key *key = conf_keys(i);

	return strcmp(key->section, ctx) != 0 ? NULL : key->o.name;
}

static int load_unknown(struct loader *l, const struct loader_group *g,
			const config_setting_t *s)
{
	struct conf_place place = tree_place(&l->tree, s);
	const char *name = config_setting_name(s), *near;
	size_t n = 0;

	while (conf_keys(n))
		n++;
	near = reg_nearest(name, n, load_key_name, g->section);
	return conf_fail(&place, "%s has no key %.64s%s%s%s",
			 *g->title ? g->title : "the configuration", name,
			 near ? "; did you mean " : "", near ? near : "",
			 near ? "?" : "");
}

static int load_group(struct loader *l, const struct loader_group *g)
{
	int n = g->at ? config_setting_length(g->at) : 0;

	for (int i = 0; i < n; ++i) {
		const config_setting_t *s =
		    config_setting_get_elem(g->at, (unsigned)i);

		if (!conf_find_key(g->section, config_setting_name(s)))
			return load_unknown(l, g, s);
	}
	for (size_t i = 0; conf_keys(i); ++i) {
		const struct conf_key *key = conf_keys(i);
		const config_setting_t *s = NULL;
		int r;

		if (strcmp(key->section, g->section) != 0)
			continue;
		if (g->at)
			s = config_setting_get_member(g->at, key->o.name);
		if (!s && (key->o.flags & DYNFS_OPT_REQUIRED))
			return conf_fail(&g->place, "%s needs the key %s: %s",
					 g->title, key->o.name, key->o.help);
		r = load_key(l, key, s, g->base);
		if (r < 0)
			return r;
	}
	return 0;
}

/* pool.dir first: all other paths begin there. */
static int load_begin(struct loader *l)
{
	const config_setting_t *root = config_root_setting(&l->tree.cfg);
	const config_setting_t *pool = config_setting_get_member(root, "pool");
	const config_setting_t *dir = NULL;

	if (!pool)
		return conf_fail(&(struct conf_place){ l->conf->path, 0 },
				 "there is no pool = { ... }");
	if (tree_is_group(pool))
		dir = config_setting_get_member(pool, "dir");
	return load_path(l, conf_find_key("pool", "dir"), dir, &l->conf->pool);
}

static int load_tree(struct loader *l, const char *text,
		     const char *const *sets, size_t n_sets)
{
	int r = tree_init(&l->tree, text, l->conf->path, l->folder);

	for (size_t i = 0; r == 0 && i < n_sets; ++i)
		r = tree_set(&l->tree, sets[i]);
	if (r == 0)
		r = load_begin(l);
	if (r == 0)
		r = load_group(l, &(struct loader_group){
				      .section = "",
				      .title = "",
				      .at = config_root_setting(&l->tree.cfg),
				      .place = { l->conf->path, 0 },
				      .base = l->conf });
	tree_done(&l->tree);
	return r < 0 ? r : rules_check(l->conf);
}

/* ---- outside --------------------------------------------------------- */

static void load_drop(struct conf **conf)
{
	conf_free(*conf);
}

/* The folder of path, absolute and resolved; malloc'd or NULL and errno. */
static char *load_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	AUTOFREE char *folder = NULL;

	if (!slash)
		return realpath(".", NULL);
	folder = strndup(path, (size_t)(slash - path) + 1);
	return folder ? realpath(folder, NULL) : NULL;
}

int conf_parse(const char *text, size_t len, const char *path,
	       const char *const *sets, size_t n_sets, struct conf **ret)
{
	CLEANUP(load_drop) struct conf *conf = calloc(1, sizeof(*conf));
	AUTOFREE char *folder = load_folder(path);
	AUTOFREE char *copy = malloc(len + 1);
	struct loader l = { .conf = conf, .folder = folder };
	const char *slash = strrchr(path, '/');
	AUTOFREE char *whole = NULL;
	int r;

	if (!folder)
		return fail(-errno, "the folder of %s can not be read: %s",
			    path, strerrordesc_np(errno));
	whole = str_path(folder, slash ? slash + 1 : path);
	if (!conf || !copy || !whole)
		return -ENOMEM;
	conf->path = conf_dup(conf, whole);
	if (!conf->path)
		return -ENOMEM;
	if (len)
		memcpy(copy, text, len);
	copy[len] = '\0';
	r = scan_check(copy, len, conf->path, folder);
	if (r == 0)
		r = load_tree(&l, copy, sets, n_sets);
	explicit_bzero(copy, len);
	if (r < 0)
		return r;
	*ret = TAKE(conf);
	return 0;
}

int conf_load(const char *path, const char *const *sets, size_t n_sets,
	      struct conf **ret)
{
	AUTOBUF struct buf text = BUF_INIT;
	int r = scan_read(path, &text);

	if (r == 0)
		r = conf_parse((const char *)text.data, text.len, path, sets,
			       n_sets, ret);
	if (text.data)
		explicit_bzero(text.data, text.len);
	return r;
}

void conf_free(struct conf *conf)
{
	if (!conf)
		return;
	conf_free_blocks(conf);
	free(conf);
}
