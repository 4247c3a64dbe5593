/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configurations as text: the one in effect, and that of a new pool.  Both
 * are written along the table of keys, so a comment says what the loader
 * checks.  What is printed is loaded again by a test.
 */
#include <config/internal.h>

#include <base/fail.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct printer {
	struct buf *out;
	struct reg *reg; /* NULL: secrets are shown */
	unsigned indent;
};

static void print_indent(const struct printer *p)
{
	for (unsigned i = 0; i < p->indent; ++i)
		buf_put8(p->out, '\t');
}

static void print_string(const struct printer *p, const char *s)
{
	buf_put8(p->out, '"');
	for (; *s; ++s) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			buf_printf(p->out, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			buf_printf(p->out, "\\x%02x", c);
		else
			buf_put8(p->out, c);
	}
	buf_put8(p->out, '"');
}

/* "64K" where that is exact. */
static void print_size(const struct printer *p, uint64_t bytes)
{
	static const char units[] = "KMGTPE";
	int unit = -1;

	while (bytes && bytes % 1024 == 0 && unit < 5) {
		bytes /= 1024;
		unit++;
	}
	buf_printf(p->out, "\"%" PRIu64, bytes);
	if (unit >= 0)
		buf_put8(p->out, (uint8_t)units[unit]);
	buf_put8(p->out, '"');
}

static void print_comment(const struct printer *p, const struct conf_key *key)
{
	print_indent(p);
	buf_printf(p->out, "# %s (", key->o.help);
	conf_expect(key, p->out);
	if (key->o.def)
		buf_printf(p->out, "; default %s", key->o.def);
	buf_printf(p->out, ")\n");
}

static void print_words(const struct printer *p, const struct conf_words *w)
{
	buf_printf(p->out, "(");
	for (size_t i = 0; i < w->n; ++i) {
		buf_printf(p->out, i ? ", " : " ");
		print_string(p, w->list[i]);
	}
	buf_printf(p->out, " )");
}

static void print_value(const struct printer *p, const struct conf_key *key,
			const void *at)
{
	const char *str;
	uint64_t bytes;
	int64_t number;
	int32_t small;

	switch (key->o.type) {
	case DYNFS_OPT_BOOL:
		memcpy(&small, at, sizeof(small));
		buf_printf(p->out, small ? "true" : "false");
		break;
	case DYNFS_OPT_ENUM:
		memcpy(&small, at, sizeof(small));
		print_string(p, key->o.choices[small]);
		break;
	case DYNFS_OPT_INT:
		memcpy(&number, at, sizeof(number));
		buf_printf(p->out, "%" PRId64, number);
		break;
	case DYNFS_OPT_SIZE:
		memcpy(&bytes, at, sizeof(bytes));
		print_size(p, bytes);
		break;
	default:
		memcpy(&str, at, sizeof(str));
		print_string(p, str);
		break;
	}
}

/* May the value be seen, and is it one that can be loaded again? */
static bool print_may(const struct printer *p, int kind,
		      const struct conf_plugin *plugin, const char *key)
{
	const struct dynfs_option *o;
	struct reg_plugin *loaded;

	if (!p->reg)
		return true;
	if (kind < 0 ||
	    reg_load(p->reg, (enum reg_kind)kind, plugin->name, &loaded) < 0)
		return false;
	o = reg_find_option(loaded, key);
	return o && !(o->flags & DYNFS_OPT_SECRET);
}

static void print_settings(const struct printer *p, int kind,
			   const struct conf_plugin *plugin)
{
	for (size_t i = 0; i < plugin->n_options; ++i) {
		const struct reg_setting *s = &plugin->options[i];

		print_indent(p);
		if (s->form == REG_OTHER ||
		    !print_may(p, kind, plugin, s->key)) {
			buf_printf(p->out, "# %s is not shown\n", s->key);
			continue;
		}
		buf_printf(p->out, "%s = ", s->key);
		if (s->form == REG_NUMBER || s->form == REG_BOOL)
			buf_printf(p->out, "%s", s->text);
		else
			print_string(p, s->text);
		buf_printf(p->out, ";\n");
	}
}

static void print_plugin(struct printer *p, const char *kind,
			 const struct conf_plugin *plugin)
{
	buf_printf(p->out, "{\n");
	p->indent++;
	print_indent(p);
	buf_printf(p->out, "plugin = ");
	print_string(p, plugin->name);
	buf_printf(p->out, ";\n");
	print_settings(p, reg_kind_parse(kind), plugin);
	p->indent--;
	print_indent(p);
	buf_printf(p->out, "}");
}

static void print_plugins(struct printer *p, const char *kind,
			  const struct conf_plugins *plugins)
{
	buf_printf(p->out, "(");
	for (size_t i = 0; i < plugins->n; ++i) {
		buf_printf(p->out, i ? ", " : " ");
		print_plugin(p, kind, &plugins->list[i]);
	}
	buf_printf(p->out, " )");
}

static void print_labels(const struct printer *p, const struct conf_disk *d)
{
	buf_printf(p->out, "{");
	for (size_t i = 0; i < d->n_labels; ++i) {
		buf_printf(p->out, " %s = ", d->labels[i].key);
		print_string(p, d->labels[i].value);
		buf_put8(p->out, ';');
	}
	buf_printf(p->out, " }");
}

static void print_section(struct printer *p, const char *section,
			  const void *base, bool comments);

static void print_disks(struct printer *p, const struct conf_pool *pool)
{
	buf_printf(p->out, "(");
	for (size_t i = 0; i < pool->n_disks; ++i) {
		buf_printf(p->out, i ? ", {\n" : " {\n");
		p->indent++;
		/* once is enough */
		print_section(p, "pool.disks", &pool->disks[i], i == 0);
		p->indent--;
		print_indent(p);
		buf_put8(p->out, '}');
	}
	buf_printf(p->out, " )");
}

static void print_policies(struct printer *p, const struct conf_policies *all)
{
	buf_printf(p->out, "{\n");
	p->indent++;
	print_section(p, "policies", all, true);
	for (size_t i = 0; i < all->n; ++i) {
		print_indent(p);
		buf_printf(p->out, "%s = {\n", all->list[i].name);
		p->indent++;
		print_section(p, "policies.NAME", &all->list[i], i == 0);
		p->indent--;
		print_indent(p);
		buf_printf(p->out, "};\n");
	}
	p->indent--;
	print_indent(p);
	buf_printf(p->out, "}");
}

/* Which kind of plugin a key of the top or of metadata names. */
static const char *print_kind(const char *key)
{
	static const char *const kinds[][2] = {
		{ "engine", "meta" },
		{ "frontends", "frontend" },
		{ "jobs", "job" },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); ++i)
		if (!strcmp(kinds[i][0], key))
			return kinds[i][1];
	return key;
}

static void print_options(struct printer *p, const struct conf_policy *policy)
{
	buf_printf(p->out, "{\n");
	p->indent++;
	print_settings(p, REG_REDUNDANCY, &policy->redundancy);
	p->indent--;
	print_indent(p);
	buf_printf(p->out, "}");
}

static void print_shape(struct printer *p, const struct conf_key *key,
			const void *base)
{
	const void *at = (const char *)base + key->o.offset;

	switch (key->shape) {
	case CONF_WORDS:
	case CONF_PATHS:
	case CONF_USERS:
		print_words(p, at);
		break;
	case CONF_LABELS:
		print_labels(p, base);
		break;
	case CONF_OPTIONS:
		print_options(p, base);
		break;
	case CONF_PLUGIN:
		print_plugin(p, print_kind(key->o.name), at);
		break;
	case CONF_PLUGINS:
		print_plugins(p, print_kind(key->o.name), at);
		break;
	case CONF_DISKS:
		print_disks(p, base);
		break;
	case CONF_POLICIES:
		print_policies(p, at);
		break;
	case CONF_GROUP:
		buf_printf(p->out, "{\n");
		p->indent++;
		print_section(p, key->o.name, at, true);
		p->indent--;
		print_indent(p);
		buf_put8(p->out, '}');
		break;
	default:
		print_value(p, key, at);
		break;
	}
}

/* What was not given and has no default stands as a comment. */
static bool print_absent(const struct conf_key *key, const void *base)
{
	const char *str;

	if (key->shape == CONF_NAME || key->shape == CONF_PATH) {
		memcpy(&str, (const char *)base + key->o.offset, sizeof(str));
		return !str;
	}
	/* a policy has either copies, or k and m */
	if (!strcmp(key->section, "policies.NAME") &&
	    key->o.type == DYNFS_OPT_INT) {
		const struct conf_policy *policy = base;

		return (policy->copies != 0) != !strcmp(key->o.name, "copies");
	}
	return false;
}

static void print_section(struct printer *p, const char *section,
			  const void *base, bool comments)
{
	const struct conf_key *key;

	for (size_t i = 0; (key = conf_keys(i)); ++i) {
		bool absent;

		if (strcmp(key->section, section) != 0)
			continue;
		absent = print_absent(key, base);
		if (!*section && i)
			buf_put8(p->out, '\n');
		if (comments)
			print_comment(p, key);
		if (absent && !comments)
			continue;
		print_indent(p);
		if (absent) {
			buf_printf(p->out, "# %s = ...;\n", key->o.name);
			continue;
		}
		buf_printf(p->out, "%s = ", key->o.name);
		print_shape(p, key, base);
		buf_printf(p->out, ";\n");
	}
}

void conf_print(const struct conf *conf, struct reg *reg, struct buf *out)
{
	struct printer p = { .out = out, .reg = reg };

	print_section(&p, "", conf, true);
}

/* ---- a new pool ------------------------------------------------------ */

struct print_template {
	const char *name;
	uint32_t k, m;
	const char *what;
};

/* The first that the disks can hold is the default. */
static const struct print_template templates[] = {
	{ "ec42", 4, 2, "4 data and 2 check fragments: any 2 disks may fail" },
	{ "ec21", 2, 1, "2 data and 1 check fragment: any disk may fail" },
	{ "copies3", 1, 2, "3 copies: any 2 disks may fail" },
	{ "copies2", 1, 1, "2 copies: any disk may fail" },
	{ "single", 1, 0, "one copy: a disk that fails takes its data along" },
};

/* The form that the caller chose; its name, which may be in name. */
static const char *init_chosen(const struct printer *p,
			       const struct conf_init *init, char *name,
			       size_t len)
{
	if (!init->k)
		return NULL;
	for (size_t i = 0; i < sizeof(templates) / sizeof(*templates); ++i)
		if (templates[i].k == init->k && templates[i].m == init->m) {
			buf_printf(p->out, "\tdefault = \"%s\";\n",
				   templates[i].name);
			return templates[i].name;
		}
	if (init->k == 1)
		(void)snprintf(name, len, "copies-%u", init->m + 1);
	else
		(void)snprintf(name, len, "ec-%u-%u", init->k, init->m);
	buf_printf(p->out, "\tdefault = \"%s\";\n\t%s = { ", name, name);
	if (init->k == 1)
		buf_printf(p->out, "copies = %u; };\n", init->m + 1);
	else
		buf_printf(p->out, "k = %u; m = %u; };\n", init->k, init->m);
	return name;
}

static void init_policies(const struct printer *p, const struct conf_init *init)
{
	size_t n_disks = init->n_disks ? init->n_disks : SIZE_MAX;
	const char *best;
	char chosen[32];

	buf_printf(p->out, "\n# How data is made redundant.  Each folder may "
			   "have its own.\npolicies = {\n");
	best = init_chosen(p, init, chosen, sizeof(chosen));
	for (size_t i = 0; i < sizeof(templates) / sizeof(*templates); ++i) {
		const struct print_template *t = &templates[i];

		/* the chosen one stays: who chose it may add disks */
		if (t->k + t->m > n_disks && !(best && !strcmp(best, t->name)))
			continue;
		if (!best) {
			best = t->name;
			buf_printf(p->out, "\tdefault = \"%s\";\n", best);
		}
		buf_printf(p->out, "\t# %s\n\t%s = { ", t->what, t->name);
		if (t->k == 1)
			buf_printf(p->out, "copies = %u; };\n", t->m + 1);
		else
			buf_printf(p->out, "k = %u; m = %u; };\n", t->k, t->m);
	}
	buf_printf(p->out, "};\n");
}

static void init_disks(const struct printer *p, const struct conf_init *init)
{
	buf_printf(p->out, "\t# %s\n\tdisks = (\n",
		   conf_find_key("pool", "disks")->o.help);
	for (size_t i = 0; i < init->n_disks; ++i) {
		buf_printf(p->out, "\t\t{ path = ");
		print_string(p, init->disks[i]);
		buf_printf(p->out, "; }%s\n", i + 1 < init->n_disks ? "," : "");
	}
	buf_printf(p->out, "\t);\n");
}

static void init_hint(const struct printer *p, const struct conf_key *key)
{
	bool quoted = key->o.type == DYNFS_OPT_STR ||
		      key->o.type == DYNFS_OPT_SIZE ||
		      key->o.type == DYNFS_OPT_ENUM;

	print_comment(p, key);
	print_indent(p);
	if (key->shape == CONF_PLUGIN)
		buf_printf(p->out, "# %s = { plugin = \"%s\"; };\n",
			   key->o.name, key->o.def);
	else if (key->shape == CONF_PLUGINS)
		buf_printf(p->out,
			   key->o.def ? "# %s = ( { plugin = \"%s\"; } );\n"
				      : "# %s = ( );\n",
			   key->o.name, key->o.def);
	else if (key->shape == CONF_PATHS)
		buf_printf(p->out, "# %s = ( );\n", key->o.name);
	else if (!key->o.def)
		buf_printf(p->out, "# %s = ...;\n", key->o.name);
	else
		buf_printf(p->out, quoted ? "# %s = \"%s\";\n" : "# %s = %s;\n",
			   key->o.name, key->o.def);
}

/* The keys of a section that a new pool leaves as they are. */
static void init_hints(struct printer *p, const char *section,
		       const char *const *but)
{
	const struct conf_key *key;

	for (size_t i = 0; (key = conf_keys(i)); ++i) {
		bool skip = strcmp(key->section, section) != 0;

		for (size_t j = 0; !skip && but && but[j]; ++j)
			skip = !strcmp(key->o.name, but[j]);
		if (!skip)
			init_hint(p, key);
	}
}

static void init_pool(struct printer *p, const struct conf_init *init)
{
	static const char *const done[] = { "name", "mountpoint", "disks",
					    NULL };

	buf_printf(p->out, "# A dynfs pool; see dynfs.conf(5).  A line with # "
			   "before a key shows its default.\npool = {\n");
	p->indent = 1;
	print_comment(p, conf_find_key("pool", "name"));
	buf_printf(p->out, "\tname = ");
	print_string(p, init->name);
	buf_printf(p->out, ";\n");
	print_comment(p, conf_find_key("pool", "mountpoint"));
	buf_printf(p->out,
		   init->mountpoint ? "\tmountpoint = " : "\t# mountpoint = ");
	print_string(p, init->mountpoint ? init->mountpoint : "mnt");
	buf_printf(p->out, ";\n");
	init_hints(p, "pool", done);
	init_disks(p, init);
	buf_printf(p->out, "};\n");
}

void conf_write_default(const struct conf_init *init, struct buf *out)
{
	static const char *const groups[] = { "metadata", "limits", "log",
					      NULL };
	static const char *const done[] = { "pool",   "policies", "metadata",
					    "limits", "log",      NULL };
	struct printer p = { .out = out };

	init_pool(&p, init);
	init_policies(&p, init);
	for (size_t i = 0; groups[i]; ++i) {
		buf_printf(out, "\n# %s\n%s = {\n",
			   conf_find_key("", groups[i])->o.help, groups[i]);
		init_hints(&p, groups[i], NULL);
		buf_printf(out, "};\n");
	}
	p.indent = 0;
	buf_put8(out, '\n');
	init_hints(&p, "", done);
}
