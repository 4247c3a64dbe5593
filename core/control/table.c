/* SPDX-License-Identifier: Apache-2.0 */
/* Finding a command, checking its arguments, running it. */
#include <control/private.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/str.h>

#include <errno.h>
#include <string.h>

static const struct command *const control_groups[] = {
	commands_pool,   commands_disk,   commands_extent,
	commands_policy, commands_plugin, commands_config,
};

#define N_GROUPS (sizeof(control_groups) / sizeof(*control_groups))

const struct command *control_at(size_t i)
{
	for (size_t g = 0; g < N_GROUPS; ++g)
		for (const struct command *c = control_groups[g]; c->name; ++c)
			if (!i--)
				return c;
	return NULL;
}

const struct command *control_find(const char *name)
{
	const struct command *c;

	for (size_t i = 0; (c = control_at(i)); ++i)
		if (!strcmp(c->name, name) ||
		    (c->alias && !strcmp(c->alias, name)))
			return c;
	return NULL;
}

json_t *control_text(const char *s)
{
	AUTOFREE char *text = s ? str_utf8(s) : NULL;

	return s ? json_string(text) : json_null();
}

static const struct command_arg *arg_find(const struct command *cmd,
					  const char *name)
{
	for (const struct command_arg *a = cmd->args; a && a->name; ++a)
		if (!strcmp(a->name, name))
			return a;
	return NULL;
}

static bool arg_fits(const struct command_arg *a, const json_t *v)
{
	switch (a->type) {
	case ARG_FLAG:
		return json_is_boolean(v);
	case ARG_INT:
		return json_is_integer(v);
	case ARG_SIZE:
		return json_is_integer(v) && json_integer_value(v) >= 0;
	case ARG_STRING:
		break;
	}
	return json_is_string(v);
}

int args_check(const struct command *cmd, json_t *args)
{
	const char *name;
	json_t *value;

	json_object_foreach(args, name, value)
	{
		const struct command_arg *a = arg_find(cmd, name);
		char quoted[80];

		if (!a)
			return fail(-EINVAL, "%s has no argument \"%s\"",
				    cmd->name,
				    str_quote(name, strlen(name), quoted,
					      sizeof(quoted)));
		if (!arg_fits(a, value))
			return fail(-EINVAL, "%s: --%s is of the wrong type",
				    cmd->name, a->name);
	}
	for (const struct command_arg *a = cmd->args; a && a->name; ++a)
		if ((a->flags & ARG_REQUIRED) &&
		    !json_object_get(args, a->name))
			return fail(-EINVAL, "%s wants %s%s", cmd->name,
				    a->flags & ARG_POSITIONAL ? "" : "--",
				    a->flags & ARG_POSITIONAL ? a->value
							      : a->name);
	return 0;
}

struct pool *call_pool(struct call *c)
{
	return c->env->pool;
}

struct reg *call_reg(struct call *c)
{
	return c->env->reg;
}

const struct conf *call_conf(struct call *c)
{
	return c->env->conf;
}

json_t *call_reply(struct call *c)
{
	return c->reply;
}

const char *call_string(struct call *c, const char *name)
{
	return json_string_value(json_object_get(c->args, name));
}

int64_t call_int(struct call *c, const char *name, int64_t missing)
{
	const json_t *v = json_object_get(c->args, name);

	return v ? json_integer_value(v) : missing;
}

bool call_flag(struct call *c, const char *name)
{
	return json_is_true(json_object_get(c->args, name));
}

void call_progress(struct call *c, json_t *progress)
{
	if (c->env->progress)
		c->env->progress(c->env->progress_ctx, progress);
	json_decref(progress);
}

int call_quit(struct call *c)
{
	if (!c->server)
		return fail(-ENOTCONN, "no daemon is running for this pool");
	server_quit(c->server);
	return 0;
}

int call_run(struct call *c)
{
	int r;

	fail_clear();
	r = args_check(c->command, c->args);
	if (r < 0)
		return r;
	if (!(c->command->flags & (COMMAND_NO_POOL | COMMAND_FIRST)) &&
	    !c->env->pool)
		return fail(-ENOENT, "%s needs a pool", c->command->name);
	return c->command->run(c);
}

int control_run(const struct control_env *env, const struct command *cmd,
		json_t *args, json_t **ret_reply)
{
	struct call c = {
		.env = env, .command = cmd, .args = args, .reply = json_object()
	};
	int r;

	if (!c.reply)
		return -ENOMEM;
	r = call_run(&c);
	if (r < 0)
		json_decref(c.reply);
	else
		*ret_reply = c.reply;
	return r;
}
