/* SPDX-License-Identifier: Apache-2.0 */
/* Replies and help as text: all of it comes from the rows of the tables. */
#include "dynfs.h"

#include <base/str.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COLUMNS_MAX 24u

void print_json(const json_t *object)
{
	char *text = json_dumps(object, JSON_INDENT(2));

	if (text)
		(void)puts(text);
	free(text);
}

static void text_of_time(int64_t ns, char *out, size_t len)
{
	time_t s = (time_t)(ns / 1000000000);
	struct tm tm;

	if (!localtime_r(&s, &tm) ||
	    !strftime(out, len, "%Y-%m-%d %H:%M:%S", &tm))
		(void)snprintf(out, len, "-");
}

static void text_of_array(const json_t *array, char *out, size_t len);

static void text_of(const json_t *v, enum field_kind kind, char *out,
		    size_t len)
{
	if (!v || json_is_null(v))
		(void)snprintf(out, len, "-");
	else if (json_is_array(v))
		text_of_array(v, out, len);
	else if (json_is_string(v))
		(void)str_quote(json_string_value(v), json_string_length(v),
				out, len);
	else if (json_is_boolean(v))
		(void)snprintf(out, len, json_is_true(v) ? "yes" : "no");
	else if (json_is_integer(v) && kind == FIELD_BYTES)
		(void)str_size((uint64_t)json_integer_value(v), out, len);
	else if (json_is_integer(v) && kind == FIELD_NS)
		text_of_time(json_integer_value(v), out, len);
	else if (json_is_integer(v))
		(void)snprintf(out, len, "%" JSON_INTEGER_FORMAT,
			       json_integer_value(v));
	else if (json_is_real(v))
		(void)snprintf(out, len, "%.1f", json_real_value(v));
	else
		(void)snprintf(out, len, "{...}");
}

static void text_of_array(const json_t *array, char *out, size_t len)
{
	size_t at = 0;

	(void)snprintf(out, len, json_array_size(array) ? "" : "-");
	for (size_t i = 0; i < json_array_size(array) && at + 1 < len; ++i) {
		char one[256];
		int n;

		text_of(json_array_get(array, i), FIELD_TEXT, one, sizeof(one));
		n = snprintf(out + at, len - at, "%s%s", i ? ", " : "", one);
		at += n > 0 ? (size_t)n : 0;
	}
}

/* Numbers to the right. */
static bool field_is_number(enum field_kind kind)
{
	return kind == FIELD_BYTES || kind == FIELD_COUNT;
}

static void print_cell(const char *text, int width, bool right, bool last)
{
	if (right)
		(void)printf("%*s%s", width, text, last ? "" : "  ");
	else if (last)
		(void)printf("%s", text);
	else
		(void)printf("%-*s  ", width, text);
}

static void print_row(const struct command_field *c, const json_t *row,
		      const int *width)
{
	char text[4200];

	for (size_t i = 0; c[i].key; ++i) {
		if (row)
			text_of(json_object_get(row, c[i].key), c[i].kind, text,
				sizeof(text));
		else
			(void)snprintf(text, sizeof(text), "%s", c[i].title);
		print_cell(text, width[i], field_is_number(c[i].kind),
			   !c[i + 1].key);
	}
	(void)putchar('\n');
}

static void print_table(const struct command_field *f, const json_t *rows)
{
	const struct command_field *c = f->columns;
	int width[COLUMNS_MAX] = { 0 };
	char text[4200];

	if (f->title && *f->title)
		(void)printf("%s\n", f->title);
	if (!json_array_size(rows)) {
		(void)printf("(none)\n");
		return;
	}
	for (size_t i = 0; i < COLUMNS_MAX && c[i].key; ++i) {
		width[i] = (int)strlen(c[i].title);
		for (size_t j = 0; j < json_array_size(rows); ++j) {
			text_of(
			    json_object_get(json_array_get(rows, j), c[i].key),
			    c[i].kind, text, sizeof(text));
			if ((int)strlen(text) > width[i])
				width[i] = (int)strlen(text);
		}
	}
	print_row(c, NULL, width);
	for (size_t j = 0; j < json_array_size(rows); ++j)
		print_row(c, json_array_get(rows, j), width);
}

void print_reply(const struct command *c, const json_t *reply)
{
	int width = 0;
	char text[4200];

	for (const struct command_field *f = c->fields; f && f->key; ++f)
		if (f->kind != FIELD_TABLE && f->title &&
		    json_object_get(reply, f->key) &&
		    (int)strlen(f->title) > width)
			width = (int)strlen(f->title);
	for (const struct command_field *f = c->fields; f && f->key; ++f) {
		const json_t *v = json_object_get(reply, f->key);

		if (!v)
			continue;
		if (f->kind == FIELD_TABLE) {
			print_table(f, v);
			continue;
		}
		/* whole texts stand by themselves */
		if (!f->title) {
			(void)fputs(json_string_value(v) ? json_string_value(v)
							 : "",
				    stdout);
			continue;
		}
		text_of(v, f->kind, text, sizeof(text));
		(void)printf("%-*s  %s\n", width, f->title, text);
	}
}

static void print_arg(const struct command_arg *a)
{
	char left[80];

	if (a->flags & ARG_POSITIONAL)
		(void)snprintf(left, sizeof(left), "%s", a->value);
	else
		(void)snprintf(left, sizeof(left), "--%s%s%s", a->name,
			       a->type == ARG_FLAG ? "" : " ",
			       a->type == ARG_FLAG ? "" : a->value);
	(void)printf("  %-22s %s\n", left, a->help);
}

static void print_common_options(void)
{
	(void)puts("  -c FILE                the pool's config file\n"
		   "  --pool DIR             the same as -c DIR/pool.conf; "
		   "dynfs:NAME\n"
		   "                         is one in " CONFIG_DIR "\n"
		   "  --set KEY=VALUE        change the config for this run\n"
		   "  --json                 print the reply as JSON\n"
		   "  --help                 this text");
}

void print_command_help(const struct command *c)
{
	(void)printf("dynfs %s: %s\n\nusage: dynfs %s [options]", c->name,
		     c->summary, c->name);
	for (const struct command_arg *a = c->args; a && a->name; ++a)
		if (a->flags & ARG_POSITIONAL)
			(void)printf(a->flags & ARG_REQUIRED ? " %s" : " [%s]",
				     a->value);
	(void)puts("\n");
	for (const struct command_arg *a = c->args; a && a->name; ++a)
		print_arg(a);
	print_common_options();
	if (c->alias)
		(void)printf("\nAlso called: dynfs %s\n", c->alias);
}

void print_verb_help(const struct verb *v)
{
	(void)printf("dynfs %s: %s\n\nusage: dynfs %s %s\n\n%s\n", v->name,
		     v->summary, v->name, v->usage, v->help);
	print_common_options();
	if (v->alias)
		(void)printf("\nAlso called: dynfs %s\n", v->alias);
}

void print_overview(void)
{
	const struct command *c;

	(void)puts("dynfs: one file system over disks of any size, with "
		   "redundancy per file\n\n"
		   "usage: dynfs COMMAND [options]\n");
	for (const struct verb *v = verbs; v->name; ++v)
		(void)printf("  %-18s %s\n", v->name, v->summary);
	for (size_t i = 0; (c = control_at(i)); ++i)
		(void)printf("  %-18s %s\n", c->name, c->summary);
	(void)puts("\nA pool is named by -c FILE or --pool DIR.  "
		   "dynfs COMMAND --help says more;\n"
		   "the manual is dynfs(1).");
}
