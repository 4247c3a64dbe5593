/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dynfs run, and the life of every daemon.
 *
 * It opens the pool, serves it and waits: for a signal, for the frontend to
 * end (unmounted from outside), or for a quit over the socket. All three come
 * through one pipe to the main thread, which then takes everything down in
 * order.
 */
#include "daemon.h"

#include <base/fail.h>
#include <base/log.h>
#include <base/os.h>
#include <base/str.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

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

static int daemon_open_once(struct daemon *d)
{
	struct pool_how how = { .conf = d->conf,
				.reg = d->reg,
				.os = os_real(),
				.readonly = d->words.readonly,
				.force_rollback = d->words.force_rollback,
				.mount_source = d->source,
				.mount_flags = d->mount_flags };
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

/* A command that opened the pool for itself is over soon. */
static int daemon_open(struct daemon *d)
{
	struct timespec pause = { .tv_nsec = 50000000 };
	int r;

	for (int i = 0; (r = daemon_open_once(d)) == -EBUSY && i < 100; ++i)
		(void)nanosleep(&pause, NULL); /* sooner does no harm */
	return r;
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

static void daemon_ready(struct daemon *d)
{
	char state[128];

	if (!d->background)
		say_ready(d);
	/* Ctrl-C while it waited for us */
	else if (!background_ready())
		daemon_wake(d, 'c');
	(void)snprintf(state, sizeof(state),
		       "READY=1\nSTATUS=serving pool %s\nMAINPID=%ld",
		       d->conf->pool.name, (long)getpid());
	notify(state);
}

static void daemon_wait(struct daemon *d, struct watch *watch)
{
	struct pollfd p[2] = { { .fd = d->wake[0], .events = POLLIN },
			       { .fd = d->signals, .events = POLLIN } };
	struct signalfd_siginfo info;

	for (;;) {
		int n = poll(p, 2, memory_look(watch, d->pool));

		if (n < 0 && errno != EINTR)
			return;
		if (n <= 0)
			continue;
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

int daemon_down(struct daemon *d)
{
	int r = 0;

	notify("STOPPING=1");
	control_drain(d->server);
	if (d->pool)
		r = pool_close(d->pool);
	/* last: a client waits for the socket to go */
	control_stop(d->server);
	return r;
}

static int daemon_up(struct daemon *d)
{
	int r;

	d->code = EXIT_USAGE;
	r = conf_check(d->conf, d->reg);
	if (r < 0)
		return r;
	if (conf_check_users(d->conf) < 0)
		log_warn("config", "%s", fail_text(-EINVAL));
	d->code = EXIT_NO_POOL;
	if (d->make_mountpoint && d->conf->pool.create &&
	    d->conf->pool.mountpoint)
		r = make_folders(d->conf->pool.mountpoint);
	if (r >= 0)
		r = daemon_open(d);
	if (r < 0)
		return r;
	d->code = EXIT_FAILED;
	return daemon_serve(d);
}

int daemon_main(struct daemon *d)
{
	struct watch watch;
	int r;

	d->code = EXIT_FAILED;
	r = daemon_signals(d);
	if (r < 0)
		return r;
	memory_init(d->conf, &watch);
	r = daemon_up(d);
	if (r >= 0) {
		daemon_ready(d);
		daemon_wait(d, &watch);
	}
	memory_done(&watch);
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

int words_parse(struct options *o, const char *verb, struct words *w, int argc,
		char **argv)
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

int daemon_load(struct daemon *d)
{
	struct words *w = &d->words;
	struct conf *conf = NULL;
	int r = run_load(d->o, w, &conf);

	d->claim = -1;
	d->code = exit_code_of_config(r);
	if (r < 0)
		return r;
	d->conf = conf;
	if (!w->log && conf->log.file)
		r = word_path(conf->log.file, &w->log);
	/* here, for its folders may be relative to where we are now */
	if (r >= 0)
		r = reg_open(NULL, &d->reg);
	if (r < 0)
		return r;
	d->code = EXIT_NO_POOL;
	r = make_folders(conf->pool.dir);
	return r < 0 ? r : claim_take(conf, &d->claim);
}

void daemon_done(struct daemon *d)
{
	reg_close(d->reg);
	conf_free(d->conf);
	words_done(&d->words);
	if (d->claim >= 0)
		(void)close(d->claim);
}

int verb_run(struct options *o, int argc, char **argv)
{
	struct daemon d = { .o = o, .claim = -1, .make_mountpoint = true };
	int r = words_parse(o, "run", &d.words, argc, argv);

	d.code = EXIT_USAGE;
	if (r < 0) {
		words_done(&d.words);
		return EXIT_USAGE; /* it is said */
	}
	r = daemon_load(&d);
	if (r >= 0) {
		log_to_stderr(d.conf->log.level);
		d.code = EXIT_USAGE;
		if (d.words.log)
			r = log_to_file(d.words.log, d.conf->log.level);
	}
	if (r >= 0)
		r = daemon_main(&d);
	if (r < 0)
		r = complain(o, r, exit_code_of(r, d.code));
	if (daemon_down(&d) < 0)
		r = complain(o, -EIO, EXIT_FAILED);
	daemon_done(&d);
	return r;
}
