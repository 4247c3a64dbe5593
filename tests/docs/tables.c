/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables that manuals and messages come from, for check-pages.py:
 *
 *	tables conf            the keys of dynfs.conf(5), in mdoc
 *	tables plugin K/NAME   the options of a plugin, in mdoc
 *	tables load FILE       whether a configuration loads, plugins included
 *	tables check FILE      whether a file is a sound plugin
 *
 * A page holds what the first two print, between two marks.  Printing mdoc
 * here rather than parsing "plugin show" in the script means that one piece
 * of code knows how an option looks, and that the pages need no parser of
 * mdoc.
 */
#include <config/config.h>

#include <base/fail.h>

#include <stdio.h>
#include <string.h>

#define PAGE_WIDTH 79u

/* A letter that mdoc would take for something else. */
static void print_letter(char c)
{
	if (c == '\\')
		(void)fputs("\\e", stdout);
	else if (c == '"')
		(void)fputs("\\(dq", stdout);
	else
		(void)putchar(c);
}

/* One sentence as lines of mdoc: none begins with a control character. */
static void print_text(const char *text, bool stop)
{
	size_t at = 0, len;

	while (*text) {
		len = strcspn(text, " ");
		if (at && at + 1 + len >= PAGE_WIDTH) {
			(void)putchar('\n');
			at = 0;
		} else if (at) {
			(void)putchar(' ');
			at++;
		}
		if (!at && (*text == '.' || *text == '\''))
			(void)fputs("\\&", stdout);
		for (size_t i = 0; i < len; ++i)
			print_letter(text[i]);
		at += len;
		if (stop && !text[len] && text[len - 1] != '.')
			(void)putchar('.');
		text += len;
		text += strspn(text, " ");
	}
	(void)putchar('\n');
}

/* What must be said beside range and help. */
static void print_flags(const struct dynfs_option *o)
{
	if (o->flags & DYNFS_OPT_REQUIRED)
		(void)puts("Required.");
	if (o->def && *o->def && !(o->flags & DYNFS_OPT_SECRET)) {
		(void)puts("Default:");
		/* a dot alone would be lost beside the full stop */
		(void)printf(*o->def == '.' ? ".Ql \\&%s .\n" : ".Cm %s .\n",
			     o->def);
	}
	if (o->flags & DYNFS_OPT_RELOAD)
		(void)puts("May change while running.");
	if (o->flags & DYNFS_OPT_SECRET)
		(void)puts("Never printed.");
	if (o->flags & DYNFS_OPT_FORMAT)
		(void)puts("Fixed once data is written with it.");
}

static int print_option(const struct dynfs_option *o, struct buf *expect)
{
	if (o->unit && o->type == DYNFS_OPT_INT)
		buf_printf(expect, " (%s)", o->unit);
	buf_put8(expect, 0);
	if (buf_error(expect))
		return fail(buf_error(expect), "out of memory");
	(void)printf(".It Cm %s No = Ar \"", o->name);
	for (const char *p = (const char *)expect->data; *p; ++p)
		print_letter(*p);
	(void)puts("\"");
	print_text(o->help, true);
	print_flags(o);
	return 0;
}

static int show_keys(void)
{
	const struct conf_key *key;
	const char *section = NULL;
	int r = 0;

	for (size_t i = 0; r == 0 && (key = conf_keys(i)); ++i) {
		AUTOBUF struct buf expect = BUF_INIT;

		if (!section || strcmp(section, key->section) != 0) {
			if (section)
				(void)puts(".El");
			(void)printf(".Ss %s\n.Bl -tag -width Ds\n",
				     *key->section ? key->section
						   : "The whole file");
		}
		section = key->section;
		conf_expect(key, &expect);
		r = print_option(&key->o, &expect);
	}
	if (section)
		(void)puts(".El");
	return r;
}

static int open_plugin(struct reg *reg, const char *word,
		       struct reg_plugin **ret)
{
	const char *slash = strchr(word, '/');
	char kind[REG_NAME_MAX + 1];
	int k = -1;

	if (slash && (size_t)(slash - word) < sizeof(kind)) {
		memcpy(kind, word, (size_t)(slash - word));
		kind[slash - word] = '\0';
		k = reg_kind_parse(kind);
	}
	if (k < 0)
		return fail(k, "%s is not KIND/NAME", word);
	return reg_load(reg, (enum reg_kind)k, slash + 1, ret);
}

static int show_plugin(struct reg *reg, const char *word)
{
	struct reg_plugin *p = NULL;
	int r = open_plugin(reg, word, &p);

	if (!p)
		return r;
	if (!p->n_options) {
		(void)puts("None.");
		return 0;
	}
	(void)puts(".Bl -tag -width Ds");
	for (size_t i = 0; r == 0 && i < p->n_options; ++i) {
		AUTOBUF struct buf expect = BUF_INIT;

		reg_expect(&p->options[i], &expect);
		r = print_option(&p->options[i], &expect);
	}
	(void)puts(".El");
	return r;
}

static int load_file(struct reg *reg, const char *path)
{
	struct conf *conf;
	int r = conf_load(path, NULL, 0, &conf);

	if (r < 0)
		return r;
	r = conf_check(conf, reg);
	conf_free(conf);
	return r;
}

static int check_file(const char *path)
{
	AUTOBUF struct buf out = BUF_INIT;

	return reg_check_child(path, &out);
}

int main(int argc, char **argv)
{
	struct reg *reg = NULL;
	int r = reg_open(NULL, &reg);

	if (r == 0 && argc == 2 && !strcmp(argv[1], "conf"))
		r = show_keys();
	else if (r == 0 && argc == 3 && !strcmp(argv[1], "plugin"))
		r = show_plugin(reg, argv[2]);
	else if (r == 0 && argc == 3 && !strcmp(argv[1], "load"))
		r = load_file(reg, argv[2]);
	else if (r == 0 && argc == 3 && !strcmp(argv[1], "check"))
		r = check_file(argv[2]);
	else if (r == 0)
		r = fail(-1, "conf, plugin KIND/NAME, load FILE or check FILE");
	if (r < 0)
		(void)fprintf(stderr, "%s\n", fail_text(r));
	reg_close(reg);
	return r < 0;
}
