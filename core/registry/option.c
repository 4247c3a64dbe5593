/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings against a plugin's table: the config struct is filled, or one
 * sentence says where, which option, what was expected and what was there.
 * A secret's value is in no message, and is overwritten before it is freed.
 */
#include <registry/internal.h>
#include <registry/value.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/str.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPTION_SHOWN 80 /* bytes of a wrong value in a message */

const struct dynfs_option *reg_find_option(const struct reg_plugin *plugin,
					   const char *name)
{
	for (size_t i = 0; i < plugin->n_options; ++i)
		if (!strcmp(plugin->options[i].name, name))
			return &plugin->options[i];
	return NULL;
}

/* "pool.conf:12: ", "--set: " or nothing. */
static const char *option_place(const struct reg_setting *s, char *out,
				size_t len)
{
	out[0] = '\0';
	if (s->file && s->line)
		(void)snprintf(out, len, "%s:%u: ", s->file, s->line);
	else if (s->file)
		(void)snprintf(out, len, "%s: ", s->file);
	return out;
}

static int option_fail_value(const struct reg_plugin *p,
			     const struct dynfs_option *o,
			     const struct reg_setting *s)
{
	char place[512], shown[OPTION_SHOWN];
	AUTOBUF struct buf expect = BUF_INIT;
	const char *quote = s->form == REG_STRING ? "\"" : "";

	reg_expect(o, &expect);
	buf_put8(&expect, 0);
	if (buf_error(&expect))
		return -ENOMEM;
	(void)str_quote(s->text, strlen(s->text), shown, sizeof(shown));
	if (o->flags & DYNFS_OPT_SECRET) {
		(void)snprintf(shown, sizeof(shown), "something else");
		quote = "";
	} else if (s->form == REG_OTHER && !*s->text) {
		(void)snprintf(shown, sizeof(shown), "a group or list");
	}
	return fail(-EINVAL,
		    "%soption %s of plugin %s/%s: expected %s, got %s%s%s",
		    option_place(s, place, sizeof(place)), o->name,
		    reg_kind_name(p->kind), p->name, (char *)expect.data, quote,
		    shown, quote);
}

static const char *option_name(const void *ctx, size_t i)
{
	return ((const struct reg_plugin *)ctx)->options[i].name;
}

static int option_fail_unknown(const struct reg_plugin *p,
			       const struct reg_setting *s)
{
	const char *near = reg_nearest(s->key, p->n_options, option_name, p);
	char place[512], shown[OPTION_SHOWN];

	return fail(
	    -EINVAL, "%splugin %s/%s has no option %s%s%s%s",
	    option_place(s, place, sizeof(place)), reg_kind_name(p->kind),
	    p->name, str_quote(s->key, strlen(s->key), shown, sizeof(shown)),
	    near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

static int option_keep(const struct dynfs_option *o, struct value *v,
		       void *config, char **slot)
{
	if (o->type == DYNFS_OPT_STR && v->str) {
		*slot = strdup(v->str);
		if (!*slot)
			return -ENOMEM;
		v->str = *slot;
	}
	value_store(o, v, config);
	return 0;
}

static int option_set(const struct reg_plugin *p, const struct reg_setting *s,
		      bool *seen, void *config, char **strings)
{
	const struct dynfs_option *o = reg_find_option(p, s->key);
	char place[512];
	struct value v;

	if (!o)
		return option_fail_unknown(p, s);
	if (seen[o - p->options])
		return fail(-EINVAL, "%soption %s is there twice",
			    option_place(s, place, sizeof(place)), o->name);
	seen[o - p->options] = true;
	if (value_parse(o, s->form, s->text, &v) < 0)
		return option_fail_value(p, o, s);
	return option_keep(o, &v, config, &strings[o - p->options]);
}

static int option_default(const struct reg_plugin *p,
			  const struct dynfs_option *o, void *config,
			  char **strings)
{
	struct value v = { 0 };

	if (o->flags & DYNFS_OPT_REQUIRED)
		return fail(-EINVAL, "plugin %s/%s needs the option %s: %s",
			    reg_kind_name(p->kind), p->name, o->name, o->help);
	if (o->def && value_parse(o, REG_WORD, o->def, &v) < 0)
		return -EINVAL; /* the table was checked */
	return option_keep(o, &v, config, &strings[o - p->options]);
}

int option_fill(const struct reg_plugin *p, const struct reg_setting *set,
		size_t n, void *config, char **strings)
{
	AUTOFREE bool *seen = calloc(p->n_options + 1, sizeof(*seen));
	int r = seen ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < n; ++i)
		r = option_set(p, &set[i], seen, config, strings);
	for (size_t i = 0; r == 0 && i < p->n_options; ++i)
		if (!seen[i])
			r = option_default(p, &p->options[i], config, strings);
	return r;
}

void option_clear(const struct reg_plugin *p, char **strings)
{
	if (!strings)
		return;
	for (size_t i = 0; i < p->n_options; ++i) {
		if (strings[i] && (p->options[i].flags & DYNFS_OPT_SECRET))
			explicit_bzero(strings[i], strlen(strings[i]));
		free(strings[i]);
	}
	free(strings);
}

int reg_check_settings(const struct reg_plugin *plugin,
		       const struct reg_setting *set, size_t n)
{
	AUTOFREE void *config = calloc(1, plugin->desc.config_size + 1);
	char **strings = calloc(plugin->n_options + 1, sizeof(*strings));
	int r = -ENOMEM;

	if (config && strings)
		r = option_fill(plugin, set, n, config, strings);
	option_clear(plugin, strings);
	return r;
}
