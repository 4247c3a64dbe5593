/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree that libconfig made, with --set words worked into it, as the
 * loader wants to see it: values as text with a form and a place.
 */
#ifndef CONFIG_TREE_H
#define CONFIG_TREE_H

#include <config/internal.h>
#include <libconfig.h>

struct tree {
	config_t cfg;
	const char *path; /* of the file, for places; borrowed */
};

int tree_init(struct tree *t, const char *text, const char *path,
	      const char *folder);
void tree_done(struct tree *t);
/* One "key.key=value". */
int tree_set(struct tree *t, const char *word);

struct conf_place tree_place(const struct tree *t, const config_setting_t *s);

/* Long enough for any number. */
#define TREE_NUMBER_MAX 32

/*
 * The value of a setting as text, which is the setting's or in room; a list
 * or group is REG_OTHER and "".
 */
enum reg_form tree_value(const config_setting_t *s,
			 char room[static TREE_NUMBER_MAX],
			 const char **ret_text);

static inline bool tree_is_group(const config_setting_t *s)
{
	return config_setting_type(s) == CONFIG_TYPE_GROUP;
}

static inline bool tree_is_list(const config_setting_t *s)
{
	return config_setting_type(s) == CONFIG_TYPE_LIST ||
	       config_setting_type(s) == CONFIG_TYPE_ARRAY;
}

#endif
