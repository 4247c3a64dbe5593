/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dynfs run, mount and umount.
 *
 * run opens the pool, serves it and waits: for a signal, for the frontend to
 * end (unmounted from outside), or for a quit over the socket. All three come
 * through one pipe to the main thread, which then takes everything down in
 * order. mount is the same in a child; the parent waits until the child says
 * that it serves, or why not.
 */
#include "dynfs.h"

#include <base/fail.h>
#include <base/log.h>
#include <base/os.h>
#include <base/str.h>
#include <pool/pool.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#else
#define sd_notify(unset, state) ((void)(unset), (void)(state), 0)
#endif

/* What run and mount take, besides what every command does. */
struct words {
	char *mountpoint, *log; /* owned; whole paths, or NULL */
	bool readonly, force_rollback;
};

struct daemon {
	struct options *o;
	struct words words;
	struct conf *conf;
	struct reg *reg;
	struct pool *pool;
	struct control_server *server;
	int wake[2]; /* a byte: time to end */
	int signals; /* signalfd */
	int parent;  /* mount: where to say how it went; -1: nobody */
	int code;    /* of the exit, if what is being done fails */
	bool created;
};

static void daemon_wake(struct daemon *d, char why)
{
	(void)!write(d->wake[1], &why, 1);
}

static void daemon_quit(void *ctx)
{
	daemon_wake((struct daemon *)ctx, 'q');
}

static void daemon_ended(void *ctx, int err)
{
	(void)err;
	daemon_wake((struct daemon *)ctx, 'u');
}

/* Before any thread is made, so that all of them inherit the mask. */
static int daemon_signals(struct daemon *d)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	sigset_t set;
	int r;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGHUP);
	r = pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (r > 0)
		return -r;
	(void)sigaction(SIGPIPE, &ignore, NULL);
	d->signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (d->signals < 0 || pipe2(d->wake, O_CLOEXEC) < 0)
		return -errno;
	return 0;
}

static int daemon_open(struct daemon *d)
{
	struct pool_how how = { .conf = d->conf,
				.reg = d->reg,
				.os = os_real(),
				.readonly = d->words.readonly,
				.force_rollback = d->words.force_rollback };
	int r = pool_exists(&how);

	if (r == 0 && !d->conf->pool.create)
		return fail(-ENOENT,
			    "none of the disks that %s names has a label: "
			    "there is no pool yet; dynfs disk add begins one, "
			    "or pool.create = true in the file",
			    d->conf->path);
	if (r == 0) {
		d->created = true;
		r = pool_create(&how);
	}
	return r < 0 ? r : pool_open(&how, &d->pool);
}

static int daemon_serve(struct daemon *d)
{
	struct control_env env = { .pool = d->pool,
				   .reg = d->reg,
				   .conf = d->conf };
	int r = control_serve(&env, d->conf->pool.dir, &d->server);

	if (r < 0)
		return r;
	control_on_quit(d->server, daemon_quit, d);
	return pool_serve(d->pool, daemon_ended, d);
}

int make_folders(const char *path)
{
	char *copy = strdup(path);
	int r = 0;

	if (!copy)
		return -ENOMEM;
	for (char *p = copy + 1; r >= 0; ++p) {
		char was = *p;

		if (was && was != '/')
			continue;
		*p = '\0';
		if (mkdir(copy, 0755) < 0 && errno != EEXIST)
			r = fail(-errno, "%s: %s", copy,
				 strerrordesc_np(errno));
		*p = was;
		if (!was)
			break;
	}
	free(copy);
	return r;
}

static void say_ready(struct daemon *d)
{
	const struct conf *conf = d->conf;
	struct extents *x = pool_extents(d->pool);
	const struct policy *def = extents_policy_default(x);
	char total[STR_SIZE_MAX], avail[STR_SIZE_MAX];
	uint64_t t, f;

	extents_capacity(x, def, &t, &f);
	(void)printf("dynfs: pool %s is %s%s on %s\n", conf->pool.name,
		     d->created ? "made and " : "",
		     pool_readonly(d->pool) ? "mounted read-only" : "mounted",
		     conf->pool.mountpoint ? conf->pool.mountpoint : "nothing");
	(void)printf("  disks    %u, usable %s, free %s as %s (%s)\n",
		     disks_count(pool_disks(d->pool)),
		     str_size(t, total, sizeof(total)),
		     str_size(f, avail, sizeof(avail)), def->name, def->spec);
	(void)printf("  plugins  store %s, metadata %s, placement %s",
		     conf->store.name, conf->metadata.engine.name,
		     conf->placement.name);
	for (size_t i = 0; i < conf->frontends.n; ++i)
		(void)printf("%s %s", i ? "," : ", frontend",
			     conf->frontends.list[i].name);
	(void)printf("\n  try      cp -a /usr/include %s/; dynfs status -c %s; "
		     "dynfs extent list -c %s include/stdio.h\n",
		     conf->pool.mountpoint ? conf->pool.mountpoint : "DIR",
		     conf->path, conf->path);
	(void)printf("  end      Ctrl-C, or dynfs umount -c %s\n", conf->path);
	(void)fflush(stdout);
}

/* mount: the parent hears "ok" or the reason.  False: it is gone. */
static bool tell_parent(struct daemon *d, const char *text)
{
	bool heard;

	if (d->parent < 0)
		return true;
	heard = write(d->parent, text, strlen(text)) >= 0;
	(void)close(d->parent);
	d->parent = -1;
	return heard;
}

static void daemon_ready(struct daemon *d)
{
	char state[128];

	if (d->parent < 0)
		say_ready(d);
	/* Ctrl-C while it waited for us */
	if (!tell_parent(d, "ok"))
		daemon_wake(d, 'c');
	(void)snprintf(state, sizeof(state),
		       "READY=1\nSTATUS=serving pool %s\nMAINPID=%ld",
		       d->conf->pool.name, (long)getpid());
	(void)sd_notify(0, state);
}

static void daemon_wait(struct daemon *d)
{
	struct pollfd p[2] = { { .fd = d->wake[0], .events = POLLIN },
			       { .fd = d->signals, .events = POLLIN } };
	struct signalfd_siginfo info;

	for (;;) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return;
		if (p[0].revents)
			return;
		if (!p[1].revents ||
		    read(d->signals, &info, sizeof(info)) != sizeof(info))
			continue;
		/* a closed terminal is no reason to stop in the background */
		if (info.ssi_signo != SIGHUP)
			return;
	}
}

static int daemon_down(struct daemon *d, int r)
{
	int e = 0;

	(void)sd_notify(0, "STOPPING=1");
	control_drain(d->server);
	if (d->pool)
		e = pool_close(d->pool);
	/* last: a client waits for the socket to go */
	control_stop(d->server);
	return r < 0 ? r : e;
}

static int daemon_main(struct daemon *d)
{
	int r = daemon_signals(d);

	d->code = EXIT_FAILED;
	if (r >= 0) {
		d->code = EXIT_USAGE;
		r = conf_check(d->conf, d->reg);
	}
	if (r < 0)
		return r;
	if (conf_check_users(d->conf) < 0)
		log_warn("config", "%s", fail_text(-EINVAL));
	d->code = EXIT_NO_POOL;
	if (r >= 0)
		r = make_folders(d->conf->pool.dir);
	if (r >= 0 && d->conf->pool.create && d->conf->pool.mountpoint)
		r = make_folders(d->conf->pool.mountpoint);
	if (r >= 0)
		r = daemon_open(d);
	if (r >= 0) {
		d->code = EXIT_FAILED;
		r = daemon_serve(d);
	}
	if (r >= 0) {
		daemon_ready(d);
		daemon_wait(d);
	}
	return r;
}

static void words_done(struct words *w)
{
	free(w->mountpoint);
	free(w->log);
	*w = (struct words){ 0 };
}

/* The last one counts. */
static int word_path(const char *value, char **to)
{
	free(*to);
	*to = args_path(value);
	return *to ? 0 : -ENOMEM;
}

/* A word of run and mount: how many it used, or complains. */
static int words_one(struct options *o, struct words *w, int argc, char **argv)
{
	static const char *const names[] = { "--mountpoint", "--log" };
	char **to[] = { &w->mountpoint, &w->log };
	const char *value = NULL;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); ++i) {
		int used = args_value(names[i], argc, argv, &value);

		if (used < 0)
			continue;
		if (!value || !*value)
			return complain_usage(o, "%s wants a value", names[i]);
		if (word_path(value, to[i]) < 0)
			return complain_usage(o, "out of memory");
		return used;
	}
	if (!strcmp(argv[0], "--readonly"))
		w->readonly = true;
	else if (!strcmp(argv[0], "--force-rollback"))
		w->force_rollback = true;
	else
		return 0;
	return 1;
}

/* w NULL: only the options of every command. */
static int words_parse(struct options *o, const char *verb, struct words *w,
		       int argc, char **argv)
{
	while (argc > 0) {
		int used = 1, r = args_global(o, argc, argv, &used);

		if (r == 0 && w)
			r = used = words_one(o, w, argc, argv);
		if (r == 0)
			r = complain_usage(o, "dynfs %s: what is \"%s\"?", verb,
					   argv[0]);
		if (r < 0)
			return r;
		argc -= used;
		argv += used;
	}
	return options_config_path(o);
}

static int run_load(struct options *o, const struct words *w, struct conf **ret)
{
	char *mountpoint = w->mountpoint
			       ? str_printf("pool.mountpoint=%s", w->mountpoint)
			       : NULL;
	const char **sets = (const char **)calloc(o->n_set + 1, sizeof(char *));
	int r = -ENOMEM;

	if (sets && (mountpoint || !w->mountpoint)) {
		for (size_t i = 0; i < o->n_set; ++i)
			sets[i] = o->set[i];
		sets[o->n_set] = mountpoint;
		r = conf_load(o->config_path, sets,
			      o->n_set + (mountpoint != NULL), ret);
	}
	free(sets);
	free(mountpoint);
	return r;
}

/* The words and the configuration; else an exit code, and it is said. */
static int run_begin(struct daemon *d, const char *verb, int argc, char **argv)
{
	struct words *w = &d->words;
	int r = words_parse(d->o, verb, w, argc, argv);

	if (r >= 0)
		r = run_load(d->o, w, &d->conf);
	else
		fail_clear(); /* it is said */
	if (r >= 0 && !w->log && d->conf->log.file)
		r = word_path(d->conf->log.file, &w->log);
	/* here, for its folders may be relative to where we are now */
	if (r >= 0)
		r = reg_open(NULL, &d->reg);
	if (r >= 0)
		return 0;
	conf_free(d->conf);
	words_done(w);
	return fail_has_text() ? complain(d->o, r, exit_code_of_config(r))
			       : EXIT_USAGE;
}

static void run_end(struct daemon *d)
{
	reg_close(d->reg);
	conf_free(d->conf);
	words_done(&d->words);
}

int verb_run(struct options *o, int argc, char **argv)
{
	struct daemon d = { .o = o, .parent = -1 };
	int r;

	r = run_begin(&d, "run", argc, argv);
	if (r)
		return r;
	log_to_stderr(d.conf->log.level);
	r = 0;
	if (d.words.log)
		r = log_to_file(d.words.log, d.conf->log.level);
	d.code = EXIT_USAGE;
	if (r >= 0)
		r = daemon_main(&d);
	if (r < 0)
		r = complain(o, r, exit_code_of(r, d.code));
	if (daemon_down(&d, 0) < 0)
		r = complain(o, -EIO, EXIT_FAILED);
	run_end(&d);
	return r;
}

/* The child of mount: no terminal, no folder held busy. */
static int mount_child(struct daemon *d)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), r;
	char why[FAIL_TEXT_MAX];

	(void)setsid();
	(void)!chdir("/");
	r = log_to_file(d->words.log, d->conf->log.level);
	if (r < 0) {
		(void)tell_parent(d, fail_text(r));
		return EXIT_FAILED;
	}
	for (int fd = 0; fd < 3 && null >= 0; ++fd)
		(void)dup2(null, fd);
	r = daemon_main(d);
	(void)snprintf(why, sizeof(why), "%s", r < 0 ? fail_text(r) : "");
	if (r < 0)
		log_error("run", "%s", why);
	if (daemon_down(d, r) < 0 && r >= 0)
		log_error("run", "closing the pool: %s", fail_text(-EIO));
	/* whoever hears of the failure may start another daemon at once */
	(void)tell_parent(d, why);
	return exit_code_of(r, d->code);
}

/* It has said why it failed, and its exit code says what kind of failure. */
static int mount_code(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return EXIT_FAILED;
	return WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status)
							: EXIT_FAILED;
}

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

static int mount_parent(struct options *o, const struct conf *conf, int from,
			pid_t child)
{
	struct pollfd p = { .fd = from, .events = POLLIN };
	char text[FAIL_TEXT_MAX];
	ssize_t n, at = 0;

	for (unsigned s = PATIENCE_S;
	     !poll(&p, 1, s == PATIENCE_S ? PATIENCE_S * 1000 : 1000); ++s)
		patience_show("pool %s is being opened; %u s", conf->pool.name,
			      s);
	patience_over();
	while ((n = read(from, text + at, sizeof(text) - 1 - (size_t)at)) > 0)
		at += n;
	text[at] = '\0';
	if (!strcmp(text, "ok"))
		return mount_done(o, conf);
	return complain(o,
			fail(-EIO, "%s",
			     at ? text
				: "the daemon ended before it "
				  "served"),
			mount_code(child));
}

int verb_mount(struct options *o, int argc, char **argv)
{
	struct daemon d = { .o = o, .parent = -1 };
	int pipes[2], r, code;
	pid_t child;

	code = run_begin(&d, "mount", argc, argv);
	if (code)
		return code;
	r = make_folders(d.conf->pool.dir);
	if (r >= 0 && !d.words.log)
		d.words.log = str_path(d.conf->pool.dir, "dynfs.log");
	if (r >= 0 && (!d.words.log || pipe2(pipes, O_CLOEXEC) < 0))
		r = -ENOMEM;
	if (r < 0) {
		code = complain(o, r, EXIT_NO_POOL);
		run_end(&d);
		return code;
	}
	child = fork();
	if (child == 0) {
		(void)close(pipes[0]);
		d.parent = pipes[1];
		_exit(mount_child(&d));
	}
	(void)close(pipes[1]);
	if (child < 0)
		code = complain(o, -errno, EXIT_FAILED);
	else
		code = mount_parent(o, d.conf, pipes[0], child);
	(void)close(pipes[0]);
	run_end(&d);
	return code;
}

/*
 * The socket goes just before the process does.  A process that is over and
 * that its parent has not asked about is over, too, which kill() does not say.
 */
static void wait_for_end(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	while (pidfd >= 0 && poll(&p, 1, 10000) < 0 && errno == EINTR)
		;
}

static int daemon_handle(const json_t *reply)
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
		r = fail(-ENOTCONN, "no daemon is running for pool %s",
			 conf->pool.name);
	if (r >= 0)
		pidfd = daemon_handle(reply);
	if (r >= 0)
		r = control_wait_gone(conf->pool.dir, patience_print, NULL);
	patience_over();
	if (r >= 0)
		wait_for_end(pidfd);
	if (pidfd >= 0)
		(void)close(pidfd);
	if (r >= 0 && o->json)
		print_json(reply);
	json_decref(reply);
	json_decref(args);
	conf_free(conf);
	return r < 0 ? complain(o, r, EXIT_FAILED) : EXIT_OK;
}
