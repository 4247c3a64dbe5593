/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As mount(8) and umount(8) call us, through links of these names: a line of
 * fstab, "mount -t fuse.dynfs" and a mount unit of systemd all end here.
 *
 *	mount.fuse.dynfs SOURCE DIR [-sfnv] [-o OPTIONS] [-t TYPE]
 *	umount.fuse.dynfs DIR [-flnrv] [-t TYPE]
 *
 * Mounting is what "dynfs mount" does.  A remount is asked of the kernel and of
 * the daemon: to read-only the kernel goes first, for it knows whether a file
 * is open for writing and lets no change begin after; then the daemon stores
 * what it has.  Back it is the other way round.
 *
 * Unmounting waits for the daemon, so that, as with any file system on a disk,
 * all is stored when umount(8) returns and the disks may go.
 */
#include "daemon.h"

#include <base/fail.h>
#include <base/str.h>

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#define HELPER_TYPE "fuse.dynfs"

/* Exit codes of mount(8). */
enum { MOUNT_OK = 0, MOUNT_USAGE = 1, MOUNT_SYSTEM = 2, MOUNT_FAILED = 32 };

struct helper {
	struct mount_words words;
	const char *source, *dir;
	bool fake, verbose, sloppy, lazy, force;
};

static int helper_failed(const struct helper *h, int err)
{
	return complain(&h->words.conf, err,
			err == -ENOMEM || err == -EAGAIN || err == -EMFILE ||
				err == -ENFILE
			    ? MOUNT_SYSTEM
			    : MOUNT_FAILED);
}

/* Two names of one mount point that is alive. */
static bool same_place(const char *a, const char *b)
{
	char path_a[PATH_MAX], path_b[PATH_MAX];

	return a && b && realpath(a, path_a) && realpath(b, path_b) &&
	       !strcmp(path_a, path_b);
}

/* ---- remount --------------------------------------------------------- */

/* Its daemon, which must be the one of the mount in hand. */
static int remount_find(const struct helper *h, const struct conf *conf)
{
	json_t *args = json_object(), *reply = NULL;
	const char *where;
	int r = control_ask(conf->pool.dir, "status", args, patience_print,
			    NULL, &reply);

	json_decref(args);
	patience_over();
	if (r < 0)
		return fail_has_text() ? r : no_daemon(conf);
	where = json_string_value(json_object_get(reply, "mountpoint"));
	if (!same_place(where, h->dir))
		r = fail(-EINVAL, "pool %s is not mounted on %s but on %s",
			 conf->pool.name, h->dir, where ? where : "nothing");
	json_decref(reply);
	return r;
}

static int remount_kernel(const struct helper *h, uint64_t flags)
{
	int r;

	if (mount(h->source, h->dir, NULL, (unsigned long)flags, NULL) == 0)
		return 0;
	r = -errno;
	return fail(r,
		    r == -EBUSY ? "%s is busy: files on it are open for writing"
				: "%s: the kernel refuses the remount: %s",
		    h->dir, strerrordesc_np(-r));
}

static int remount_daemon(const struct helper *h, const struct conf *conf,
			  bool readonly)
{
	const char *atime = mount_words_atime(&h->words);
	json_t *args = json_pack("{sb}", "readonly", readonly), *reply = NULL;
	int r;

	if (atime)
		(void)json_object_set_new(args, "atime", json_string(atime));
	r = control_ask(conf->pool.dir, "remount", args, patience_print, NULL,
			&reply);
	patience_over();
	json_decref(args);
	json_decref(reply);
	return r;
}

/* What was done is taken back when the other half fails; the reason stays. */
static int remount_both(const struct helper *h, const struct conf *conf)
{
	uint64_t flags = h->words.flags;
	bool readonly = flags & MS_RDONLY;
	char why[FAIL_TEXT_MAX];
	int r;

	r = readonly ? remount_kernel(h, flags)
		     : remount_daemon(h, conf, false);
	if (r < 0)
		return r;
	r = readonly ? remount_daemon(h, conf, true) : remount_kernel(h, flags);
	if (r >= 0)
		return 0;
	(void)snprintf(why, sizeof(why), "%s", fail_text(r));
	if (readonly)
		(void)remount_kernel(h, flags & ~(uint64_t)MS_RDONLY);
	return fail(r, "%s", why);
}

static int helper_remount(const struct helper *h, const struct conf *conf)
{
	int r;

	if (h->words.log || h->words.force_rollback)
		return fail(-EINVAL, "log= and force-rollback can not change "
				     "while the pool is mounted");
	r = remount_find(h, conf);
	return r < 0 || h->fake ? r : remount_both(h, conf);
}

/* ---- mount ----------------------------------------------------------- */

static int helper_start(struct helper *h, struct daemon *d)
{
	int r = daemon_load(d);

	if (r >= 0 && !d->conf->frontends.n)
		r = fail(-EINVAL,
			 "pool %s has no frontend that could mount it: see "
			 "frontends in %s",
			 d->conf->pool.name, d->conf->path);
	if (r >= 0)
		r = background_start(d, true);
	if (r >= 0 && h->verbose)
		(void)printf("pool %s is mounted on %s\n", d->conf->pool.name,
			     d->conf->pool.mountpoint);
	return r;
}

static int helper_mount(struct helper *h)
{
	struct mount_words *m = &h->words;
	struct daemon d = {
		.o = &m->conf,
		.claim = -1,
		.source = h->source,
		.mount_flags = m->flags & ~(uint64_t)(MS_RDONLY | MOUNT_ATIME),
		.words = { .mountpoint = args_path(h->dir),
			   .log = m->log ? args_path(m->log) : NULL,
			   .readonly = m->flags & MS_RDONLY,
			   .force_rollback = m->force_rollback },
	};
	int r = -ENOMEM;

	if (d.words.mountpoint && (d.words.log || !m->log))
		r = helper_start(h, &d);
	daemon_done(&d);
	return r;
}

static int helper_config(struct helper *h)
{
	struct options *o = &h->words.conf;
	const char *atime = mount_words_atime(&h->words);
	char *set = atime ? str_printf("pool.atime=%s", atime) : NULL;
	int r = -ENOMEM;

	o->config_path = config_of_pool(h->source);
	if (set)
		h->words.text[h->words.n_text++] = set;
	if (o->config_path && (set || !atime))
		r = set ? options_add_set(o, set) : 0;
	return r;
}

static int helper_do(struct helper *h)
{
	struct options *o = &h->words.conf;
	bool remount = h->words.flags & MS_REMOUNT;
	struct conf *conf = NULL;
	int r = helper_config(h);

	if (r >= 0 && (remount || h->fake))
		r = conf_load(o->config_path, o->set, o->n_set, &conf);
	if (r >= 0 && remount)
		r = helper_remount(h, conf);
	else if (r >= 0 && !h->fake)
		r = helper_mount(h);
	conf_free(conf);
	return r < 0 ? helper_failed(h, r) : MOUNT_OK;
}

/* ---- unmount --------------------------------------------------------- */

/* The topmost mount there; the text is malloc'd, NULL: none of ours. */
static char *umount_source(const char *dir)
{
	FILE *in = setmntent("/proc/self/mounts", "re");
	char text[2 * PATH_MAX], *source = NULL;
	struct mntent m;

	if (!in)
		return NULL;
	while (getmntent_r(in, &m, text, sizeof(text))) {
		if (strcmp(m.mnt_dir, dir) != 0)
			continue;
		free(source);
		source = strcmp(m.mnt_type, HELPER_TYPE) != 0
			     ? NULL
			     : strdup(m.mnt_fsname);
	}
	(void)endmntent(in);
	return source;
}

/* Who serves the mount; fd -1: it can not be told, or does not answer. */
struct umount_of {
	struct conf *conf;
	int fd; /* its process */
};

static bool umount_serves(const struct umount_of *u, const char *dir,
			  int *ret_fd)
{
	json_t *args = json_object(), *reply = NULL;
	int r = control_ask_within(u->conf->pool.dir, "status", args,
				   PATIENCE_S, NULL, NULL, &reply);

	json_decref(args);
	fail_clear();
	if (r < 0)
		return false;
	if (ret_fd &&
	    same_place(json_string_value(json_object_get(reply, "mountpoint")),
		       dir))
		*ret_fd = daemon_handle(reply);
	json_decref(reply);
	return true;
}

static void umount_find(struct umount_of *u, const char *dir)
{
	char *source = umount_source(dir);
	char *path = source ? config_of_pool(source) : NULL;

	if (path && conf_load(path, NULL, 0, &u->conf) >= 0)
		(void)umount_serves(u, dir, &u->fd);
	fail_clear();
	free(path);
	free(source);
}

/*
 * A daemon that still serves after a while has not lost its mount: a copy of
 * it is in another name space.  Then what was written is stored, and the rest
 * is for who unmounts that.
 */
static void umount_wait(const struct umount_of *u, const char *dir)
{
	json_t *args, *reply = NULL;

	for (unsigned s = 1; !daemon_gone(u->fd, s); ++s) {
		if (s < PATIENCE_S || !umount_serves(u, dir, NULL))
			continue;
		patience_over();
		say("pool %s is still mounted, in another name space",
		    u->conf->pool.name);
		args = json_object();
		(void)control_ask(u->conf->pool.dir, "sync", args,
				  patience_print, NULL, &reply);
		patience_over();
		json_decref(args);
		json_decref(reply);
		return;
	}
}

static int umount_do(const struct helper *h)
{
	int how = UMOUNT_NOFOLLOW | (h->lazy ? MNT_DETACH : 0) |
		  (h->force ? MNT_FORCE : 0);
	int r;

	if (umount2(h->dir, how) == 0)
		return 0;
	r = -errno;
	return fail(r, r == -EBUSY ? "%s is in use" : "%s: %s", h->dir,
		    strerrordesc_np(-r));
}

static int helper_umount(struct helper *h)
{
	struct umount_of u = { .fd = -1 };
	int r;

	/* who forces it, or lets it go, does not want to wait */
	if (!h->lazy && !h->force)
		umount_find(&u, h->dir);
	r = umount_do(h);
	if (r >= 0 && u.fd >= 0)
		umount_wait(&u, h->dir);
	if (u.fd >= 0)
		(void)close(u.fd);
	conf_free(u.conf);
	if (r >= 0 && h->verbose)
		(void)printf("%s is unmounted\n", h->dir);
	return r < 0 ? helper_failed(h, r) : MOUNT_OK;
}

/* ---- the command line ------------------------------------------------ */

static int helper_usage(void)
{
	(void)printf("usage: %s\n"
		     "This is called by mount(8) and umount(8): see "
		     "mount.fuse.dynfs(8).\n",
		     *program == 'u' ? "umount.fuse.dynfs DIR [-flnv]"
				     : "mount.fuse.dynfs SOURCE DIR [-sfnv] "
				       "[-o OPTIONS]");
	return MOUNT_USAGE;
}

static int helper_option(struct helper *h, int option)
{
	const struct options *o = &h->words.conf;
	bool un = *program == 'u';

	switch (option) {
	case 'o':
		return mount_words_add(&h->words, optarg, h->sloppy);
	case 'r':
		/* of umount: when it is busy; then it stays as it is */
		return un ? 0 : mount_words_add(&h->words, "ro", false);
	case 'w':
		return mount_words_add(&h->words, "rw", false);
	case 's':
		h->sloppy = true;
		return 0;
	case 'f':
		*(un ? &h->force : &h->fake) = true;
		return 0;
	case 'l':
		h->lazy = true;
		return 0;
	case 'v':
		h->verbose = true;
		return 0;
	case 'n':
		return 0; /* nobody writes an mtab any more */
	case 't':
		if (!strcmp(optarg, HELPER_TYPE) || !strcmp(optarg, "dynfs"))
			return 0;
		return complain_usage(o,
				      "%s is not a type that is mounted "
				      "here: " HELPER_TYPE " is",
				      optarg);
	case 'N':
		return complain_usage(o, "-N: not in another name space; use "
					 "nsenter(1)");
	default:
		break;
	}
	return complain_usage(o, "there is no option -%c", optopt);
}

static int helper_words(struct helper *h, int argc, char **argv)
{
	int want = *program == 'u' ? 1 : 2, option, r = 0;

	opterr = 0;
	/* sloppy may come after what it is for */
	for (int i = 1; i < argc; ++i)
		h->sloppy |= !strcmp(argv[i], "-s");
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread yet */
	while (r >= 0 && (option = getopt(argc, argv, "o:t:N:rwsflvn")) != -1)
		r = helper_option(h, option);
	if (r < 0)
		return r;
	if (argc - optind != want)
		return 1;
	h->dir = argv[argc - 1];
	h->source = argv[optind];
	return 0;
}

bool is_helper(const char *called)
{
	const char *slash = strrchr(called, '/');

	called = slash ? slash + 1 : called;
	return !strcmp(called, "mount." HELPER_TYPE) ||
	       !strcmp(called, "umount." HELPER_TYPE);
}

int helper_main(int argc, char **argv)
{
	struct helper h = { 0 };
	const char *slash = strrchr(argv[0], '/');
	int code = MOUNT_USAGE, r;

	/* what we were started with is not the daemon's */
	(void)close_range(STDERR_FILENO + 1, ~0u, 0);
	program = slash ? slash + 1 : argv[0];
	r = helper_words(&h, argc, argv);
	if (r > 0)
		code = helper_usage();
	else if (r == 0)
		code = *program == 'u' ? helper_umount(&h) : helper_do(&h);
	mount_words_done(&h.words);
	return fflush(stdout) != 0 ? MOUNT_SYSTEM : code;
}
