/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One row of the control table: asked of the daemon that has the pool, or run
 * here on the pool that this process opens for it.
 */
#include "dynfs.h"

#include <base/fail.h>
#include <base/log.h>
#include <base/os.h>
#include <pool/pool.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

int no_daemon(const struct conf *conf)
{
	return fail(-ENOTCONN, "no daemon is running for pool %s",
		    conf->pool.name);
}

/* *code: what the exit code is if it fails; see exit_code_of(). */
static int call_here(const struct command *c, const struct conf *conf,
		     struct reg *reg, json_t *args, json_t **ret_reply,
		     int *code)
{
	struct pool_how how = { .conf = conf,
				.reg = reg,
				.os = os_real(),
				.readonly = c->flags & COMMAND_READS };
	struct control_env env = { .reg = reg,
				   .conf = conf,
				   .progress = patience_print };
	int r, e;

	if (c->flags & COMMAND_NO_POOL)
		return control_run(&env, c, args, ret_reply);
	if (c->flags & COMMAND_DAEMON)
		return no_daemon(conf);
	r = pool_exists(&how);
	if (r == 0 && (c->flags & COMMAND_FIRST))
		return control_run(&env, c, args, ret_reply);
	*code = EXIT_NO_POOL;
	if (r == 0)
		return fail(-ENOENT,
			    "none of the disks that %s names has a label: "
			    "there is no pool yet; dynfs disk add begins one",
			    conf->path);
	if (r > 0)
		r = pool_open(&how, &env.pool);
	if (r < 0)
		return r;
	*code = EXIT_FAILED;
	r = control_run(&env, c, args, ret_reply);
	e = pool_close(env.pool);
	if (r >= 0 && e < 0) {
		json_decref(*ret_reply);
		return e;
	}
	return r;
}

static int call_load(struct options *o, const struct command *c, json_t *args,
		     struct conf **ret)
{
	const json_t *file = json_object_get(args, "file");
	bool named = o->config || o->pool;

	if ((c->flags & COMMAND_NO_POOL) && !(c->flags & COMMAND_CONFIG))
		return 0;
	if ((c->flags & COMMAND_CONFIG) && file)
		return conf_load(json_string_value(file), o->set, o->n_set,
				 ret);
	if ((c->flags & COMMAND_NO_POOL) && !named)
		return 0;
	if (options_config_path(o) < 0) {
		fail_clear(); /* it is said */
		return -EINVAL;
	}
	return conf_load(o->config_path, o->set, o->n_set, ret);
}

static int call_once(const struct command *c, const struct conf *conf,
		     struct reg *reg, json_t *args, json_t **ret_reply,
		     int *code)
{
	int r;

	if (!(c->flags & COMMAND_NO_POOL)) {
		r = control_ask(conf->pool.dir, c->name, args, patience_print,
				NULL, ret_reply);
		if (r >= 0 || fail_has_text())
			return r;
	}
	return call_here(c, conf, reg, args, ret_reply, code);
}

/*
 * Without a daemon one command at a time has the disks; another is over soon,
 * and a daemon that is just starting or ending answers soon or is gone.
 */
static int call_anywhere(const struct command *c, const struct conf *conf,
			 struct reg *reg, json_t *args, json_t **ret_reply,
			 int *code)
{
	struct timespec pause = { 0, 50000000 };
	int r;

	for (int i = 0; i < 100; ++i) {
		r = call_once(c, conf, reg, args, ret_reply, code);
		if (r != -EBUSY || *code != EXIT_NO_POOL)
			break;
		*code = EXIT_FAILED;
		(void)nanosleep(&pause, NULL);
	}
	return r;
}

/* Scripts ask status how the pool is by the exit code. */
static int call_done(const struct options *o, const struct command *c,
		     const json_t *reply)
{
	const char *state = json_string_value(json_object_get(reply, "state"));

	if (o->json)
		print_json(reply);
	else
		print_reply(c, reply);
	return !strcmp(c->name, "status") && state && !strcmp(state, "degraded")
		   ? EXIT_DEGRADED
		   : EXIT_OK;
}

int call_command(struct options *o, const struct command *c, int argc,
		 char **argv)
{
	json_t *args, *reply = NULL;
	struct conf *conf = NULL;
	struct reg *reg = NULL;
	/* a config that is looked at is wrong, whatever the reason */
	int r, code = c->flags & COMMAND_CONFIG ? EXIT_USAGE : EXIT_FAILED;

	if (args_parse(o, c, argc, argv, &args) < 0)
		return EXIT_USAGE;
	log_to_stderr(DYNFS_ERR);
	fail_clear();
	r = call_load(o, c, args, &conf);
	if (r < 0) {
		json_decref(args);
		if (c->flags & COMMAND_CONFIG || !fail_has_text())
			code = EXIT_USAGE;
		else
			code = exit_code_of_config(r);
		return fail_has_text() ? complain(o, r, code) : code;
	}
	r = reg_open(NULL, &reg);
	if (r >= 0)
		r = call_anywhere(c, conf, reg, args, &reply, &code);
	patience_over();
	code = r < 0 ? complain(o, r, exit_code_of(r, code))
		     : call_done(o, c, reply);
	json_decref(reply);
	json_decref(args);
	conf_free(conf);
	reg_close(reg);
	return code;
}
