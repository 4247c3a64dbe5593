/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The option table, and instances at and beyond the bounds it names.  The core
 * never passes a value beyond them; a plugin that is passed one all the same
 * may refuse it, with a message, or live with it.
 */
#include "conform.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const struct dynfs_option *option_at(const struct dynfs_plugin *p, size_t i)
{
	const char *base = (const char *)p->options;
	const struct dynfs_option *o;

	if (!base)
		return NULL;
	o = (const struct dynfs_option *)(const void *)(base +
							i * p->option_size);
	return o->name ? o : NULL;
}

static size_t option_width(uint32_t type)
{
	switch (type) {
	case DYNFS_OPT_BOOL:
	case DYNFS_OPT_ENUM:
		return sizeof(int32_t);
	case DYNFS_OPT_INT:
	case DYNFS_OPT_SIZE:
		return sizeof(int64_t);
	case DYNFS_OPT_STR:
		return sizeof(const char *);
	default:
		return 0;
	}
}

static const char *option_choices_wrong(const struct dynfs_option *o)
{
	size_t n = 0;
	bool found = !o->def;

	if (o->type != DYNFS_OPT_ENUM)
		return o->choices ? "has choices, and is no ENUM" : NULL;
	for (; o->choices && o->choices[n]; n++)
		found = found || !strcmp(o->choices[n], o->def);
	return !n       ? "is an ENUM without choices"
	       : !found ? "has a default that is no choice"
			: NULL;
}

static const char *option_wrong(const struct dynfs_plugin *p,
				const struct dynfs_option *o)
{
	const char *kv[2] = { NULL, NULL };
	char text[600];
	void *config;

	if (strspn(o->name, "abcdefghijklmnopqrstuvwxyz0123456789-") !=
		strlen(o->name) ||
	    !*o->name)
		return "is not named [a-z0-9-]*";
	if (!option_width(o->type))
		return "is of an unknown type";
	if (o->width != option_width(o->type))
		return "has a member of another width than its type";
	if ((uint64_t)o->offset + o->width > p->config_size)
		return "lies beyond config_size";
	if (o->offset % o->width)
		return "is not aligned";
	if (o->min > o->max)
		return "has a minimum above its maximum";
	if (!o->help || !*o->help)
		return "has no help";
	if (o->flags & ~(DYNFS_OPT_REQUIRED | DYNFS_OPT_RELOAD |
			 DYNFS_OPT_SECRET | DYNFS_OPT_FORMAT))
		return "has an unknown flag";
	if ((o->flags & DYNFS_OPT_REQUIRED) && o->def)
		return "is required, and has a default";
	if (o->def) {
		(void)snprintf(text, sizeof(text), "%s=%s", o->name, o->def);
		kv[0] = text;
		config = testhost_config(p, kv);
		free(config);
		if (!config)
			return "has a default that cannot be read";
	}
	return option_choices_wrong(o);
}

static bool options_agree(struct conform *c)
{
	const struct dynfs_option *o, *other;
	const char *wrong;

	if (c->plugin.options &&
	    c->plugin.option_size < offsetof(struct dynfs_option, unit))
		return no(c, "option_size is %u", c->plugin.option_size);
	for (size_t i = 0; (o = option_at(&c->plugin, i)); i++) {
		wrong = option_wrong(&c->plugin, o);
		if (wrong)
			return no(c, "option '%s' %s", o->name, wrong);
		for (size_t k = 0; k < i; k++) {
			other = option_at(&c->plugin, k);
			if (!strcmp(o->name, other->name))
				return no(c, "option '%s' is there twice",
					  o->name);
			if (o->offset < other->offset + other->width &&
			    other->offset < o->offset + o->width)
				return no(c, "options '%s' and '%s' overlap",
					  o->name, other->name);
		}
	}
	return true;
}

/*
 * One instance with the setting; refused: whether it may be refused.  A choice
 * may be: what it stands for can be missing on this machine.
 */
static bool option_try(struct conform *c, const char *setting, bool refused)
{
	const char *kv[] = { setting, NULL };
	struct inst i;
	bool good = true;
	int err = inst_prepare(c, &i, kv);

	if (err)
		return no(c, "%s cannot be set", setting);
	err = inst_start(&i);
	if (err == -EINVAL || err == -EOPNOTSUPP)
		good = i.host.n_fails || err == -EOPNOTSUPP ||
		       no(c, "%s is refused without a message", setting);
	else if (!err && i.host.n_fails)
		good = no(c, "%s: a message without an error: %s", setting,
			  i.host.fail_text);
	if (good && err && err != -ENOMEM && !refused)
		good = no(c, "%s is refused: errno %d, %s", setting, -err,
			  i.host.fail_text);
	return inst_free(c, &i) && good;
}

static bool option_number(struct conform *c, const struct dynfs_option *o,
			  int64_t value, bool refused)
{
	char text[600];

	if (o->type == DYNFS_OPT_SIZE)
		(void)snprintf(text, sizeof(text), "%s=%llu", o->name,
			       (unsigned long long)value);
	else
		(void)snprintf(text, sizeof(text), "%s=%lld", o->name,
			       (long long)value);
	return option_try(c, text, refused);
}

static bool option_words(struct conform *c, const struct dynfs_option *o)
{
	char text[600];
	bool good = true;

	for (size_t i = 0; good && o->choices && o->choices[i]; i++) {
		(void)snprintf(text, sizeof(text), "%s=%s", o->name,
			       o->choices[i]);
		good = option_try(c, text, true);
	}
	return good;
}

static bool options_work_within(struct conform *c)
{
	const struct dynfs_option *o;
	char text[600];
	bool good = true;

	for (size_t i = 0; good && (o = option_at(&c->plugin, i)); i++) {
		switch (o->type) {
		case DYNFS_OPT_BOOL:
			(void)snprintf(text, sizeof(text), "%s=true", o->name);
			good = option_try(c, text, false);
			(void)snprintf(text, sizeof(text), "%s=false", o->name);
			good = good && option_try(c, text, false);
			break;
		case DYNFS_OPT_ENUM:
			good = option_words(c, o);
			break;
		case DYNFS_OPT_INT:
		case DYNFS_OPT_SIZE:
			if (o->min || o->max)
				good = option_number(c, o, o->min, false) &&
				       option_number(c, o, o->max, false);
			break;
		default:
			break;
		}
	}
	return good;
}

static bool option_long_text(struct conform *c, const struct dynfs_option *o)
{
	char text[600];
	size_t at = (size_t)snprintf(text, sizeof(text), "%s=", o->name);

	if (!option_try(c, text, true) || at >= sizeof(text))
		return at < sizeof(text) ? false : no(c, "its name is long");
	memset(text + at, '%', sizeof(text) - at - 1);
	text[sizeof(text) - 1] = '\0';
	return option_try(c, text, true);
}

static bool options_beyond_do_no_harm(struct conform *c)
{
	const struct dynfs_option *o;
	bool good = true;

	for (size_t i = 0; good && (o = option_at(&c->plugin, i)); i++) {
		bool bound = o->min || o->max;

		if (o->type == DYNFS_OPT_STR)
			good = option_long_text(c, o);
		else if (o->type == DYNFS_OPT_INT)
			good =
			    option_number(c, o, bound ? o->min - 1 : INT64_MIN,
					  true) &&
			    option_number(c, o, bound ? o->max + 1 : INT64_MAX,
					  true);
		else if (o->type == DYNFS_OPT_SIZE)
			good = option_number(c, o, 0, true) &&
			       option_number(c, o, -1, true);
	}
	return good;
}

const struct check option_checks[] = {
	{ "Options agree with the struct that they fill", options_agree },
	{ "Every option works at its bounds and with each choice, or says why "
	  "not",
	  options_work_within },
	{ "A value beyond the bounds is refused with a message, or harmless",
	  options_beyond_do_no_harm },
	{ NULL, NULL },
};
