/* SPDX-License-Identifier: Apache-2.0 */
/* config check and show: they need a config and no pool. */
#include <control/private.h>

#include <base/fail.h>
#include <config/config.h>
#include <errno.h>

static const struct command_field check_fields[] = {
	{ "result", "Config", FIELD_TEXT, NULL },
	{ "file", "File", FIELD_TEXT, NULL },
	{ "disks", "Disks", FIELD_COUNT, NULL },
	{ "policies", "Policies", FIELD_COUNT, NULL },
	{ 0 },
};

static int config_wanted(struct call *c)
{
	return call_conf(c) ? 0
			    : fail(-EINVAL, "which config? name it with -c "
					    "FILE or --pool DIR");
}

static int check_run(struct call *c)
{
	const struct conf *conf = call_conf(c);
	json_t *reply = call_reply(c);
	int r = config_wanted(c);

	if (r >= 0)
		r = conf_check(conf, call_reg(c));
	if (r >= 0)
		r = conf_check_users(conf);
	if (r < 0)
		return r;
	(void)json_object_set_new(reply, "result", json_string("sound"));
	(void)json_object_set_new(reply, "file", control_text(conf->path));
	(void)json_object_set_new(reply, "disks",
				  json_integer((json_int_t)conf->pool.n_disks));
	(void)json_object_set_new(reply, "policies",
				  json_integer((json_int_t)conf->policies.n));
	return 0;
}

static const struct command_field text_fields[] = {
	{ "text", NULL, FIELD_TEXT, NULL },
	{ 0 },
};

static int show_run(struct call *c)
{
	AUTOBUF struct buf text = BUF_INIT;
	int r = config_wanted(c);

	if (r < 0)
		return r;
	conf_print(call_conf(c), call_reg(c), &text);
	buf_put8(&text, 0);
	if (buf_error(&text) < 0)
		return -ENOMEM;
	return json_object_set_new(call_reply(c), "text",
				   control_text((const char *)text.data)) < 0
		   ? -ENOMEM
		   : 0;
}

static const struct command_arg file_args[] = {
	{ "file", ARG_STRING, ARG_POSITIONAL | ARG_PATH, "FILE",
	  "the config file; or -c FILE, --pool DIR" },
	{ 0 },
};

const struct command commands_config[] = {
	{ "config check", "check-config",
	  "whether a config is sound, plugins included",
	  COMMAND_NO_POOL | COMMAND_CONFIG, file_args, check_fields,
	  check_run },
	{ "config show", "show-config",
	  "the whole config as it is in effect, commented",
	  COMMAND_NO_POOL | COMMAND_CONFIG, file_args, text_fields, show_run },
	{ 0 },
};
