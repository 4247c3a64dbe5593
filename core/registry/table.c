/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The option table of a plugin, checked once when it is loaded: after this
 * nothing that a configuration says can make the core write outside of the
 * plugin's struct, and no default can fail later.
 *
 * The table is copied row by row in the plugin's stride, so a plugin whose
 * rows are longer than ours is read as far as we know them.
 */
#include <registry/internal.h>
#include <registry/value.h>

#include <base/fail.h>
#include <base/str.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_MAX_OPTIONS 256
#define TABLE_MAX_STRIDE  1024
#define TABLE_FLAGS                                                            \
	(DYNFS_OPT_REQUIRED | DYNFS_OPT_RELOAD | DYNFS_OPT_SECRET |            \
	 DYNFS_OPT_FORMAT)

/* the rows of ABI 1.0 end with the unit */
#define TABLE_MIN_STRIDE                                                       \
	(offsetof(struct dynfs_option, unit) + sizeof(const char *))

static int table_bad(const struct reg_plugin *p, const struct dynfs_option *o,
		     const char *what)
{
	return fail(-EINVAL, "plugin %s: option %s %s", p->path, o->name, what);
}

static int table_check_member(const struct reg_plugin *p,
			      const struct dynfs_option *o)
{
	size_t width = value_width(o->type);

	if (!width)
		return table_bad(p, o, "is of no type that is known");
	if (o->width != width)
		return table_bad(p, o, "has a member of the wrong width");
	if (o->offset % width)
		return table_bad(p, o, "has a member that is not aligned");
	if (o->offset > p->desc.config_size ||
	    width > p->desc.config_size - o->offset)
		return table_bad(p, o, "lies outside of the config struct");
	return 0;
}

static int table_check_words(const struct reg_plugin *p,
			     const struct dynfs_option *o)
{
	if (!str_is_name(o->name, REG_NAME_MAX))
		return fail(
		    -EINVAL,
		    "plugin %s: an option's name is not [a-z][a-z0-9-]*",
		    p->path);
	if (!o->help || !*o->help)
		return table_bad(p, o, "has no help text");
	if (o->flags & ~TABLE_FLAGS)
		return table_bad(p, o, "has flags that are not known");
	if ((o->flags & DYNFS_OPT_SECRET) && (o->flags & DYNFS_OPT_FORMAT))
		return table_bad(p, o,
				 "is secret, so must not be stored with data");
	if (o->type == DYNFS_OPT_ENUM && (!o->choices || !o->choices[0]))
		return table_bad(p, o, "has no choices");
	if (o->min > o->max)
		return table_bad(p, o, "has a range with nothing in it");
	if (o->type == DYNFS_OPT_SIZE && o->min < 0)
		return table_bad(p, o, "is a size with a negative minimum");
	return 0;
}

static int table_check_default(const struct reg_plugin *p,
			       const struct dynfs_option *o)
{
	struct dynfs_option any = *o;
	struct value v;

	if (o->flags & DYNFS_OPT_REQUIRED)
		return o->def ? table_bad(p, o, "is required and has a default")
			      : 0;
	if (o->def && value_parse(o, REG_WORD, o->def, &v) < 0)
		return table_bad(p, o, "has a default that it does not allow");
	/* zero stands for what is not set: it must be in the range too */
	if (o->def || o->type == DYNFS_OPT_STR || o->type == DYNFS_OPT_ENUM)
		return 0;
	any.def = "0";
	if (value_parse(&any, REG_WORD, any.def, &v) < 0)
		return table_bad(p, o, "has no default, and 0 is not allowed");
	return 0;
}

static int table_check_pair(const struct reg_plugin *p,
			    const struct dynfs_option *a,
			    const struct dynfs_option *b)
{
	if (!strcmp(a->name, b->name))
		return table_bad(p, a, "is there twice");
	if (a->offset < b->offset + b->width &&
	    b->offset < a->offset + a->width)
		return fail(-EINVAL,
			    "plugin %s: options %s and %s share a member",
			    p->path, a->name, b->name);
	return 0;
}

static int table_check(const struct reg_plugin *p)
{
	for (size_t i = 0; i < p->n_options; ++i) {
		const struct dynfs_option *o = &p->options[i];
		int r = table_check_words(p, o);

		if (r == 0)
			r = table_check_member(p, o);
		if (r == 0)
			r = table_check_default(p, o);
		for (size_t j = 0; r == 0 && j < i; ++j)
			r = table_check_pair(p, o, &p->options[j]);
		if (r < 0)
			return r;
	}
	return 0;
}

int option_adopt(struct reg_plugin *p, const struct dynfs_option *from,
		 size_t stride)
{
	const char *row = (const char *)from;
	const char *name;
	size_t n = 0;

	if (!from)
		return 0;
	if (stride < TABLE_MIN_STRIDE || stride > TABLE_MAX_STRIDE ||
	    stride % sizeof(void *))
		return fail(-EINVAL,
			    "plugin %s: its options say they are %zu bytes "
			    "long, which can not be",
			    p->path, stride);
	for (;; ++n, row += stride) {
		memcpy(&name, row, sizeof(name));
		if (!name)
			break;
		if (n == TABLE_MAX_OPTIONS)
			return fail(-EINVAL,
				    "plugin %s has more than %d options",
				    p->path, TABLE_MAX_OPTIONS);
	}
	p->options = calloc(n + 1, sizeof(*p->options));
	if (!p->options)
		return -ENOMEM;
	row = (const char *)from;
	for (size_t i = 0; i < n; ++i, row += stride)
		(void)kinds_copy_sized(&p->options[i], sizeof(*p->options), row,
				       stride);
	p->n_options = n;
	p->desc.options = p->options;
	p->desc.option_size = sizeof(*p->options);
	return table_check(p);
}
