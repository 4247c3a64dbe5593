/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines: options of every command, and arguments by a row's table. */
#include "dynfs.h"

#include <base/str.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int args_value(const char *name, int argc, char **argv, const char **ret)
{
	size_t n = strlen(name);

	if (strncmp(argv[0], name, n) != 0)
		return -1;
	if (argv[0][n] == '=') {
		*ret = argv[0] + n + 1;
		return 1;
	}
	if (argv[0][n])
		return -1;
	*ret = argc > 1 ? argv[1] : NULL;
	return 2;
}

int options_add_set(struct options *o, const char *set)
{
	const char **all =
	    (const char **)realloc(o->set, (o->n_set + 1) * sizeof(char *));

	if (!all)
		return -ENOMEM;
	o->set = all;
	o->set[o->n_set++] = set;
	return 0;
}

static bool args_global_flag(struct options *o, const char *word)
{
	if (!strcmp(word, "--json"))
		o->json = true;
	else if (!strcmp(word, "--help") || !strcmp(word, "-h"))
		o->help = true;
	else
		return false;
	return true;
}

int args_global(struct options *o, int argc, char **argv, int *ret_used)
{
	static const char *const names[] = { "-c", "--config", "--pool",
					     "--set" };
	const char *value = NULL;

	*ret_used = 1;
	if (args_global_flag(o, argv[0]))
		return 1;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); ++i) {
		int used = args_value(names[i], argc, argv, &value);

		if (used < 0)
			continue;
		if (!value || !*value)
			return complain_usage(o, "%s wants a value", names[i]);
		*ret_used = used;
		if (i < 2)
			o->config = value;
		else if (i == 2)
			o->pool = value;
		else if (options_add_set(o, value) < 0)
			return complain_usage(o, "out of memory");
		return 1;
	}
	return 0;
}

#define CONFIG_FILE "pool.conf"
#define POOL_PREFIX "dynfs:" /* what follows is no path, whatever is here */

static char *config_by_name(const char *name)
{
	const char *dir = secure_getenv("DYNFS_CONFIG_DIR");
	char *file, *folder;

	dir = dir && *dir ? dir : CONFIG_DIR;
	file = str_printf("%s/%s.conf", dir, name);
	folder = str_printf("%s/%s/" CONFIG_FILE, dir, name);
	if (file && folder && access(file, F_OK) < 0 &&
	    access(folder, F_OK) == 0) {
		free(file);
		return folder;
	}
	free(folder);
	return file;
}

char *config_of_pool(const char *what)
{
	size_t n = strlen(what), end = strlen(".conf");
	struct stat st;

	if (!strncmp(what, POOL_PREFIX, strlen(POOL_PREFIX)) &&
	    !strchr(what, '/'))
		return config_by_name(what + strlen(POOL_PREFIX));
	if (stat(what, &st) == 0)
		return S_ISDIR(st.st_mode) ? str_path(what, CONFIG_FILE)
					   : strdup(what);
	if (!strchr(what, '/'))
		return config_by_name(what);
	/* not there: the message should name what was meant */
	return n > end && !strcmp(what + n - end, ".conf")
		   ? strdup(what)
		   : str_path(what, CONFIG_FILE);
}

int options_config_path(struct options *o)
{
	if (o->config && o->pool)
		return complain_usage(o, "-c and --pool name the pool twice");
	if (!o->config && !o->pool)
		return complain_usage(o, "which pool? name it with -c FILE or "
					 "--pool DIR");
	if (o->config)
		o->config_path = strdup(o->config);
	else
		o->config_path = config_of_pool(o->pool);
	return o->config_path ? 0 : complain_usage(o, "out of memory");
}

void options_done(struct options *o)
{
	free(o->set);
	free(o->config_path);
}

/*
 * The text of a path that means the same from any folder: whole, and without
 * "//", "/./" and a slash at the end.  ".." stays, for what it leads to may
 * be another place than the text says.
 */
char *args_path(const char *text)
{
	char cwd[PATH_MAX], *path, *to;

	if (!getcwd(cwd, sizeof(cwd)))
		return NULL;
	path = to = *text == '/' ? strdup(text) : str_path(cwd, text);
	for (const char *p = path; p && *p;) {
		size_t n = strspn(p, "/");

		if (n) {
			if (to == path || to[-1] != '/')
				*to++ = '/';
			p += n;
			continue;
		}
		n = strcspn(p, "/");
		if (n == 1 && *p == '.') {
			p += n + (p[n] == '/');
			continue;
		}
		memmove(to, p, n);
		to += n;
		p += n;
	}
	while (path && to > path + 1 && to[-1] == '/')
		to--;
	if (path)
		*to = '\0';
	return path;
}

/* A number and a uuid stay what they are; a folder that is here is meant. */
static bool is_path(const struct command_arg *a, const char *text)
{
	int64_t number;

	return (a->flags & ARG_PATH) ||
	       ((a->flags & ARG_OR_PATH) && str_parse_int(text, &number) < 0 &&
		(strchr(text, '/') || access(text, F_OK) == 0));
}

static json_t *arg_text(const struct command_arg *a, const char *text)
{
	char *path;
	json_t *v;

	if (!*text)
		return NULL;
	if (!is_path(a, text))
		return json_string(text);
	path = args_path(text);
	v = path ? json_string(path) : NULL;
	free(path);
	return v;
}

static json_t *arg_value(const struct command_arg *a, const char *text)
{
	uint64_t size;
	int64_t number;

	switch (a->type) {
	case ARG_INT:
		return str_parse_int(text, &number) < 0 ? NULL
							: json_integer(number);
	case ARG_SIZE:
		return str_parse_size(text, &size) < 0 || size > INT64_MAX
			   ? NULL
			   : json_integer((json_int_t)size);
	case ARG_FLAG:
	case ARG_STRING:
		break;
	}
	return arg_text(a, text);
}

/* The n-th positional argument of the row. */
static const struct command_arg *arg_positional(const struct command *c, int n)
{
	for (const struct command_arg *a = c->args; a && a->name; ++a)
		if ((a->flags & ARG_POSITIONAL) && !n--)
			return a;
	return NULL;
}

/* The row's option that argv begins with; *ret_used 0: there is none. */
static const struct command_arg *arg_named(const struct command *c, int argc,
					   char **argv, const char **ret_value,
					   int *ret_used)
{
	for (const struct command_arg *a = c->args; a && a->name; ++a) {
		char name[64];
		int used;

		(void)snprintf(name, sizeof(name), "--%s", a->name);
		used = args_value(name, argc, argv, ret_value);
		if (used < 0)
			continue;
		*ret_used = a->type == ARG_FLAG ? 1 : used;
		return a;
	}
	return NULL;
}

static int arg_take(struct options *o, const struct command *c, int argc,
		    char **argv, int *positional, json_t *args)
{
	const struct command_arg *a;
	const char *value = NULL;
	int used = 1;
	json_t *v;

	a = arg_named(c, argc, argv, &value, &used);
	if (!a && argv[0][0] == '-' && argv[0][1])
		return complain_usage(o, "dynfs %s has no option %s", c->name,
				      argv[0]);
	if (!a) {
		a = arg_positional(c, (*positional)++);
		value = argv[0];
		if (!a)
			return complain_usage(o, "dynfs %s: what is \"%s\"?",
					      c->name, argv[0]);
	}
	if (a->type == ARG_FLAG)
		v = json_true();
	else if (!value)
		return complain_usage(o, "--%s wants %s", a->name, a->value);
	else
		v = arg_value(a, value);
	if (!v)
		return complain_usage(
		    o, "%s%s: \"%s\" is not %s",
		    a->flags & ARG_POSITIONAL ? "" : "--",
		    a->flags & ARG_POSITIONAL ? a->value : a->name, value,
		    a->type == ARG_INT    ? "a number"
		    : a->type == ARG_SIZE ? "a size such as 4G"
					  : "a text that can be used");
	(void)json_object_set_new(args, a->name, v);
	return used;
}

int args_parse(struct options *o, const struct command *c, int argc,
	       char **argv, json_t **ret)
{
	json_t *args = json_object();
	int positional = 0, used, r = 0;

	while (argc > 0 && r >= 0) {
		used = 1;
		r = args_global(o, argc, argv, &used);
		if (r == 0) {
			r = arg_take(o, c, argc, argv, &positional, args);
			used = r;
		}
		argc -= used;
		argv += used;
	}
	if (r < 0) {
		json_decref(args);
		return r;
	}
	*ret = args;
	return 0;
}
