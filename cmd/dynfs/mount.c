/* SPDX-License-Identifier: Apache-2.0 */
/* dynfs mount and umount: a daemon in the background, and its end. */
#include "daemon.h"

#include <base/fail.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <unistd.h>

static int mount_done(const struct options *o, const struct conf *conf)
{
	const char *at = conf->pool.mountpoint;
	json_t *reply;

	if (!o->json) {
		(void)printf("pool %s is mounted on %s\n", conf->pool.name,
			     at ? at : "nothing");
		return EXIT_OK;
	}
	reply = json_pack("{ssso}", "pool", conf->pool.name, "mountpoint",
			  control_text(at));
	print_json(reply);
	json_decref(reply);
	return EXIT_OK;
}

int verb_mount(struct options *o, int argc, char **argv)
{
	struct daemon d = { .o = o, .claim = -1, .make_mountpoint = true };
	int r, code = EXIT_USAGE; /* it is said */

	/* what we were started with is not the daemon's */
	(void)close_range(STDERR_FILENO + 1, ~0u, 0);
	if (words_parse(o, "mount", &d.words, argc, argv) >= 0) {
		r = daemon_load(&d);
		if (r >= 0)
			r = background_start(&d, false);
		code = r < 0 ? complain(o, r, d.code) : mount_done(o, d.conf);
	}
	daemon_done(&d);
	return code;
}

/*
 * The socket goes just before the process does.  A process that is over and
 * that its parent has not asked about is over, too, which kill() does not say.
 */
bool daemon_gone(int pidfd, unsigned s)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	if (pidfd < 0 || poll(&p, 1, 1000) > 0) {
		patience_over();
		return true;
	}
	if (s >= PATIENCE_S)
		patience_show("what was written is put on the disks; %u s", s);
	return false;
}

int daemon_handle(const json_t *reply)
{
	json_int_t pid = json_integer_value(json_object_get(reply, "pid"));

	return pid > 1 ? pidfd_open((pid_t)pid, 0) : -1;
}

int verb_umount(struct options *o, int argc, char **argv)
{
	json_t *args, *reply = NULL;
	struct conf *conf = NULL;
	int r, pidfd = -1;

	if (words_parse(o, "umount", NULL, argc, argv) < 0)
		return EXIT_USAGE;
	r = conf_load(o->config_path, o->set, o->n_set, &conf);
	if (r < 0)
		return complain(o, r, exit_code_of_config(r));
	args = json_object();
	r = control_ask(conf->pool.dir, "quit", args, patience_print, NULL,
			&reply);
	if ((r == -ENOENT || r == -ECONNREFUSED) && !fail_has_text())
		r = no_daemon(conf);
	if (r >= 0)
		pidfd = daemon_handle(reply);
	if (r >= 0)
		r = control_wait_gone(conf->pool.dir, patience_print, NULL);
	patience_over();
	for (unsigned n = 1; r >= 0 && !daemon_gone(pidfd, n); ++n)
		;
	if (pidfd >= 0)
		(void)close(pidfd);
	if (r >= 0 && o->json)
		print_json(reply);
	json_decref(reply);
	json_decref(args);
	conf_free(conf);
	return r < 0 ? complain(o, r, EXIT_FAILED) : EXIT_OK;
}
