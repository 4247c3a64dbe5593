/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libconfig, wrapped.  A --set word becomes a setting like any other, so
 * that it meets the same checks; libconfig's hook, a pointer for the user,
 * marks it, for such a value was written without quotes and has no line.
 *
 * Numbers in libconfig that do not fit 32 bits need an L; we do not ask for
 * that, for the library reads them as 64 bits by itself.
 */
#include <config/tree.h>

#include <base/cleanup.h>
#include <base/fail.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TREE_MAX_WORD 4096

static char tree_from_word[] = "--set"; /* its address is the mark */

int tree_init(struct tree *t, const char *text, const char *path,
	      const char *folder)
{
	config_init(&t->cfg);
	t->path = path;
	config_set_include_dir(&t->cfg, folder);
	if (config_read_string(&t->cfg, text) == CONFIG_TRUE)
		return 0;
	return fail(-EINVAL, "%s:%d: %s",
		    config_error_file(&t->cfg) ? config_error_file(&t->cfg)
					       : path,
		    config_error_line(&t->cfg), config_error_text(&t->cfg));
}

void tree_done(struct tree *t)
{
	config_destroy(&t->cfg);
}

struct conf_place tree_place(const struct tree *t, const config_setting_t *s)
{
	struct conf_place place = { t->path, 0 };

	if (config_setting_get_hook(s) == tree_from_word) {
		place.file = tree_from_word;
		return place;
	}
	if (config_setting_source_file(s))
		place.file = config_setting_source_file(s);
	place.line = config_setting_source_line(s);
	return place;
}

enum reg_form tree_value(const config_setting_t *s,
			 char room[static TREE_NUMBER_MAX],
			 const char **ret_text)
{
	*ret_text = room;
	switch (config_setting_type(s)) {
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		(void)snprintf(room, TREE_NUMBER_MAX, "%lld",
			       config_setting_get_int64(s));
		return REG_NUMBER;
	case CONFIG_TYPE_FLOAT:
		(void)snprintf(room, TREE_NUMBER_MAX, "%g",
			       config_setting_get_float(s));
		return REG_OTHER;
	case CONFIG_TYPE_BOOL:
		*ret_text = config_setting_get_bool(s) ? "true" : "false";
		return REG_BOOL;
	case CONFIG_TYPE_STRING:
		*ret_text = config_setting_get_string(s);
		return config_setting_get_hook(s) == tree_from_word
			   ? REG_WORD
			   : REG_STRING;
	default:
		room[0] = '\0';
		return REG_OTHER;
	}
}

static config_setting_t *tree_add(config_setting_t *parent, const char *name,
				  int type)
{
	config_setting_t *s = config_setting_add(parent, name, type);

	if (s)
		config_setting_set_hook(s, tree_from_word);
	return s;
}

/* The group or list element below at, made if it is not there. */
static config_setting_t *tree_descend(config_setting_t *at, const char *name)
{
	config_setting_t *s;
	char *end;

	if (tree_is_list(at)) {
		unsigned long i = strtoul(name, &end, 10);

		if (*end || end == name ||
		    i >= (unsigned long)config_setting_length(at))
			return NULL;
		return config_setting_get_elem(at, (unsigned)i);
	}
	if (!tree_is_group(at))
		return NULL;
	s = config_setting_get_member(at, name);
	return s ? s : tree_add(at, name, CONFIG_TYPE_GROUP);
}

static int tree_replace(config_setting_t *group, const char *name,
			const char *value)
{
	config_setting_t *s;

	if (!tree_is_group(group))
		return -EINVAL;
	s = config_setting_get_member(group, name);
	if (s && tree_is_group(s))
		return -EINVAL;
	if (s && config_setting_remove(group, name) != CONFIG_TRUE)
		return -EINVAL;
	s = tree_add(group, name, CONFIG_TYPE_STRING);
	return s && config_setting_set_string(s, value) == CONFIG_TRUE
		   ? 0
		   : -EINVAL;
}

int tree_set(struct tree *t, const char *word)
{
	const char *eq = strchr(word, '=');
	config_setting_t *at = config_root_setting(&t->cfg);
	AUTOFREE char *copy = NULL;
	char *key, *dot;

	if (!eq || eq == word || eq - word > TREE_MAX_WORD)
		return fail(-EINVAL, "--set: expected KEY.KEY=VALUE");
	copy = strndup(word, (size_t)(eq - word));
	if (!copy)
		return -ENOMEM;
	for (key = copy; at && (dot = strchr(key, '.')); key = dot + 1) {
		*dot = '\0';
		at = tree_descend(at, key);
	}
	if (!at || !*key || tree_replace(at, key, eq + 1) < 0)
		return fail(-EINVAL, "--set: there is no key %.*s",
			    (int)(eq - word), word);
	return 0;
}
