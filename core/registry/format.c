/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FORMAT options: what data was written with is stored beside the data as
 * lines "name=value" and compared at each open, so that an edited
 * configuration can not make a store misread itself.
 *
 * An option that the text does not name came with a later version of the
 * plugin; what the older version did is the default, by the rule that a
 * default must keep old data readable.
 */
#include <registry/internal.h>
#include <registry/value.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/str.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT_SHOWN 128

void reg_format_options(const struct reg_inst *inst, struct buf *out)
{
	const struct reg_plugin *p = inst->plugin;

	for (size_t i = 0; i < p->n_options; ++i)
		if (p->options[i].flags & DYNFS_OPT_FORMAT)
			value_print(&p->options[i], inst->config, out);
}

/* The line "name=" of text, without its end; NULL: none. */
static const char *format_find(const char *text, size_t len, const char *name,
			       size_t *ret_len)
{
	size_t n = strlen(name);

	while (len) {
		const char *end = memchr(text, '\n', len);
		size_t line = end ? (size_t)(end - text) : len;

		if (line > n && !memcmp(text, name, n) && text[n] == '=') {
			*ret_len = line;
			return text;
		}
		line += end != NULL;
		text += line;
		len -= line;
	}
	return NULL;
}

/* "name=value\n" of the default. */
static int format_default(const struct reg_plugin *p,
			  const struct dynfs_option *o, struct buf *out)
{
	AUTOFREE void *config = calloc(1, p->desc.config_size + 1);
	struct value v = { 0 };

	if (!config)
		return -ENOMEM;
	if (o->def && value_parse(o, REG_WORD, o->def, &v) < 0)
		return -EINVAL;
	value_store(o, &v, config);
	value_print(o, config, out);
	return buf_error(out);
}

static int format_check_option(const struct reg_inst *inst,
			       const struct dynfs_option *o, const char *text,
			       size_t len)
{
	char then[FORMAT_SHOWN], now[FORMAT_SHOWN];
	AUTOBUF struct buf have = BUF_INIT;
	AUTOBUF struct buf old = BUF_INIT;
	size_t stored_len = 0;
	const char *stored = format_find(text, len, o->name, &stored_len);

	value_print(o, inst->config, &have);
	if (!stored) {
		int r = format_default(inst->plugin, o, &old);

		if (r < 0)
			return r;
		stored = (const char *)old.data;
		stored_len = old.len - 1;
	}
	if (buf_error(&have))
		return buf_error(&have);
	if (have.len - 1 == stored_len &&
	    !memcmp(have.data, stored, stored_len))
		return 0;
	return fail(
	    -EINVAL,
	    "%s: the data was written with %s, which can not change "
	    "to %s",
	    inst->label, str_quote(stored, stored_len, then, sizeof(then)),
	    str_quote((const char *)have.data, have.len - 1, now, sizeof(now)));
}

/* Every line names an option that this plugin still has. */
static int format_check_names(const struct reg_inst *inst, const char *text,
			      size_t len)
{
	while (len) {
		const char *end = memchr(text, '\n', len);
		size_t line = end ? (size_t)(end - text) : len;
		const char *eq = memchr(text, '=', line);
		char shown[FORMAT_SHOWN];
		const struct dynfs_option *o = NULL;

		for (size_t i = 0; eq && i < inst->plugin->n_options; ++i) {
			o = &inst->plugin->options[i];
			if ((o->flags & DYNFS_OPT_FORMAT) &&
			    strlen(o->name) == (size_t)(eq - text) &&
			    !memcmp(o->name, text, (size_t)(eq - text)))
				break;
			o = NULL;
		}
		if (!o && line)
			return fail(-EINVAL,
				    "%s: the data was written with %s, which "
				    "this version of plugin %s/%s does not "
				    "know",
				    inst->label,
				    str_quote(text, line, shown, sizeof(shown)),
				    reg_kind_name(inst->plugin->kind),
				    inst->plugin->name);
		line += end != NULL;
		text += line;
		len -= line;
	}
	return 0;
}

int reg_format_check(const struct reg_inst *inst, const char *text, size_t len)
{
	const struct reg_plugin *p = inst->plugin;
	int r = format_check_names(inst, text, len);

	for (size_t i = 0; r == 0 && i < p->n_options; ++i)
		if (p->options[i].flags & DYNFS_OPT_FORMAT)
			r = format_check_option(inst, &p->options[i], text,
						len);
	return r;
}
