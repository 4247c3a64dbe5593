/* SPDX-License-Identifier: Apache-2.0 */
/* plugin list, show and check: they need no pool. */
#include <control/private.h>

#include <base/fail.h>
#include <errno.h>
#include <registry/registry.h>
#include <string.h>

static const struct command_field list_columns[] = {
	{ "kind", "KIND", FIELD_TEXT, NULL },
	{ "name", "NAME", FIELD_TEXT, NULL },
	{ "version", "VERSION", FIELD_TEXT, NULL },
	{ "summary", "SUMMARY", FIELD_TEXT, NULL },
	{ 0 },
};

static const struct command_field list_fields[] = {
	{ "plugins", "", FIELD_TABLE, list_columns },
	{ 0 },
};

static json_t *entry_row(const struct reg_entry *e)
{
	const struct reg_plugin *p = e->plugin;

	if (!p)
		return json_pack("{ss ss so so}", "kind",
				 reg_kind_name(e->kind), "name", e->name,
				 "version", json_null(), "summary",
				 control_text(e->error ? e->error : "broken"));
	return json_pack("{ss ss ss? ss? so}", "kind", reg_kind_name(e->kind),
			 "name", e->name, "version", p->desc.version, "summary",
			 p->desc.summary, "path", control_text(p->path));
}

static int list_run(struct call *c)
{
	json_t *rows = json_array();
	struct reg_entry *list;
	size_t n;
	int r = reg_list(call_reg(c), &list, &n);

	if (r < 0) {
		json_decref(rows);
		return r;
	}
	for (size_t i = 0; i < n; ++i)
		(void)json_array_append_new(rows, entry_row(&list[i]));
	reg_list_free(list, n);
	return json_object_set_new(call_reply(c), "plugins", rows) < 0 ? -ENOMEM
								       : 0;
}

static const struct command_field text_fields[] = {
	{ "text", NULL, FIELD_TEXT, NULL },
	{ 0 },
};

static int reply_text(struct call *c, struct buf *text)
{
	buf_put8(text, 0);
	if (buf_error(text) < 0)
		return -ENOMEM;
	return json_object_set_new(call_reply(c), "text",
				   json_string((const char *)text->data)) < 0
		   ? -ENOMEM
		   : 0;
}

static const struct command_arg show_args[] = {
	{ "plugin", ARG_STRING, ARG_REQUIRED | ARG_POSITIONAL, "KIND/NAME",
	  "such as redundancy/erasure; NAME alone if it is the only one" },
	{ 0 },
};

static int plugin_named(struct call *c, const char *word,
			struct reg_plugin **ret)
{
	const char *slash = strchr(word, '/');
	char kind[REG_NAME_MAX + 1];
	int r = -ENOENT;

	if (slash && (size_t)(slash - word) < sizeof(kind)) {
		memcpy(kind, word, (size_t)(slash - word));
		kind[slash - word] = '\0';
		r = reg_kind_parse(kind);
		if (r < 0)
			return fail(-EINVAL,
				    "there is no kind of plugin "
				    "\"%s\"",
				    kind);
		return reg_load(call_reg(c), (enum reg_kind)r, slash + 1, ret);
	}
	for (int k = 0; k < REG_N_KINDS && r == -ENOENT; ++k)
		r = reg_load(call_reg(c), (enum reg_kind)k, word, ret);
	if (r != -ENOENT)
		return r;
	return fail(r,
		    "there is no plugin \"%s\" of any kind; plugin list "
		    "shows them",
		    word);
}

static int show_run(struct call *c)
{
	AUTOBUF struct buf text = BUF_INIT;
	struct reg_plugin *plugin = NULL;
	int r = plugin_named(c, call_string(c, "plugin"), &plugin);

	if (r < 0)
		return r;
	reg_describe(plugin, &text);
	return reply_text(c, &text);
}

static const struct command_arg check_args[] = {
	{ "file", ARG_STRING, ARG_REQUIRED | ARG_POSITIONAL | ARG_PATH, "FILE",
	  "a plugin's .so; it is loaded in a process of its own" },
	{ 0 },
};

static int check_run(struct call *c)
{
	AUTOBUF struct buf text = BUF_INIT;
	int r = reg_check_child(call_string(c, "file"), &text);

	return r < 0 ? r : reply_text(c, &text);
}

const struct command commands_plugin[] = {
	{ "plugin list", "list-plugins", "the plugins that were found",
	  COMMAND_NO_POOL, NULL, list_fields, list_run },
	{ "plugin show", "show-plugin", "what a plugin is and its options",
	  COMMAND_NO_POOL, show_args, text_fields, show_run },
	{ "plugin check", "check-plugin", "whether a file is a sound plugin",
	  COMMAND_NO_POOL, check_args, text_fields, check_run },
	{ 0 },
};
