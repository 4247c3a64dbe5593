/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuse: the pool as a mounted file system, through libfuse's low-level API.
 *
 * Low-level, since the kernel speaks in inode numbers and so does the view:
 * the high-level API would build a path for each request and walk it again.
 * Not through io_uring or /dev/fuse by hand: libfuse keeps up with the
 * protocol, and its cost is small beside the copy and the switch.
 *
 * The life: open() mounts, serve() starts the loop and waits for the first
 * answer, close() unmounts and joins.  See front.h for the files.
 */
#include "front.h"

#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

static int front_create_instance(const struct dynfs_host *h, const void *config,
				 void **ret_self)
{
	struct front *f = h->alloc(h, sizeof(*f), 0);
	pthread_condattr_t attr;

	if (!f)
		return -ENOMEM;
	f->host = h;
	memcpy(&f->config, config, sizeof(f->config));
	TAILQ_INIT(&f->line);
	TAILQ_INIT(&f->gone);
	TAILQ_INIT(&f->interrupted);
	if (pthread_condattr_init(&attr))
		goto no_attr;
	if (pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) ||
	    pthread_cond_init(&f->idle, &attr))
		goto no_cond;
	if (pthread_cond_init(&f->watch, &attr))
		goto no_watch;
	if (pthread_cond_init(&f->seek, NULL))
		goto no_seek;
	if (pthread_mutex_init(&f->lock, NULL))
		goto no_lock;
	(void)pthread_condattr_destroy(&attr); /* has no state */
	*ret_self = f;
	return 0;
no_lock:
	(void)pthread_cond_destroy(&f->seek); /* nobody waits */
no_seek:
	(void)pthread_cond_destroy(&f->watch); /* nobody waits */
no_watch:
	(void)pthread_cond_destroy(&f->idle); /* nobody waits */
no_cond:
	(void)pthread_condattr_destroy(&attr); /* has no state */
no_attr:
	h->free(h, f);
	return -ENOMEM;
}

static void front_destroy(void *self)
{
	struct front *f = self;

	(void)pthread_mutex_destroy(&f->lock); /* is not held */
	(void)pthread_cond_destroy(&f->watch); /* nobody waits */
	(void)pthread_cond_destroy(&f->idle);  /* nobody waits */
	(void)pthread_cond_destroy(&f->seek);  /* nobody waits */
	f->host->free(f->host, f);
}

static void front_release_session(struct front *f)
{
	if (f->session) {
		fuse_session_unmount(f->session); /* only if fusermount3 did */
		fuse_session_destroy(f->session);
	}
	if (f->loop_config)
		fuse_loop_cfg_destroy(f->loop_config);
	f->host->free(f->host, f->mountpoint);
	f->session = NULL;
	f->loop_config = NULL;
	f->mountpoint = NULL;
}

/* A core that is older than this plugin has a shorter env. */
static void front_take_env(struct front *f,
			   const struct dynfs_frontend_env *env)
{
	memset(&f->env, 0, sizeof(f->env));
	memcpy(&f->env, env,
	       env->size < sizeof(f->env) ? env->size : sizeof(f->env));
	f->fs = f->env.fs;
	f->source =
	    f->env.mount_source ? f->env.mount_source : f->env.pool_name;
	f->mount_flags = (unsigned long)f->env.mount_flags;
	if (!f->config.suid)
		f->mount_flags |= MS_NOSUID;
	if (!f->config.dev)
		f->mount_flags |= MS_NODEV;
	if (!f->config.exec)
		f->mount_flags |= MS_NOEXEC;
	if (f->env.readonly)
		f->mount_flags |= MS_RDONLY;
}

static int front_open_mount(void *self, const struct dynfs_frontend_env *env)
{
	struct front *f = self;
	int err;

	if (f->session)
		return f->host->fail(f->host, -EBUSY, "%s is mounted",
				     f->mountpoint);
	if (!env->mountpoint || !*env->mountpoint)
		return f->host->fail(f->host, -EINVAL,
				     "no mount point is given");
	front_take_env(f, env);
	f->closing = false;
	f->ended = false;
	err = front_session_new(f);
	if (!err)
		err = front_mount(f);
	if (err)
		front_release_session(f);
	else
		front_rights_attach(f);
	return err;
}

static int front_serve(void *self)
{
	struct front *f = self;
	struct stat st;
	int err = front_loop_start(f);

	if (err)
		return err;
	/* an answer proves that the kernel and the loop have met */
	if (stat(f->mountpoint, &st)) {
		err = -errno;
		return f->host->fail(f->host, err, "%s does not answer",
				     f->mountpoint);
	}
	front_tune(f);
	if (f->env.ready)
		f->env.ready(f->env.ctx);
	return 0;
}

static void front_close(void *self)
{
	struct front *f = self;

	if (!f->session)
		return;
	pthread_mutex_lock(&f->lock);
	f->closing = true;
	pthread_mutex_unlock(&f->lock);
	front_unmount(f);
	if (f->loop_started)
		(void)pthread_join(f->loop, NULL); /* it is ours */
	f->loop_started = false;
	front_seeker_stop(f);
	pthread_mutex_lock(&f->lock);
	while (f->n_pending)
		pthread_cond_wait(&f->idle, &f->lock);
	pthread_mutex_unlock(&f->lock);
	front_gaveup_stop(f);
	front_release_session(f);
}

static void front_changed(void *self, uint64_t ino, uint64_t off, uint64_t len)
{
	struct front *f = self;

	/* -ENOENT: the kernel does not know it, so has nothing to forget; a
	 * negative offset is for attributes only, as ours is then */
	if (f->session)
		(void)fuse_lowlevel_notify_inval_inode(f->session, ino,
						       (off_t)off, (off_t)len);
}

static const struct dynfs_frontend_ops front_frontend = {
	.size = sizeof(front_frontend),
	.open = front_open_mount,
	.serve = front_serve,
	.close = front_close,
	.changed = front_changed,
};

#define FRONT_FIELD(member) DYNFS_FIELD(struct front_config, member)

static const struct dynfs_option front_options[] = {
	{ "threads", DYNFS_OPT_INT, 0, FRONT_FIELD(threads), "0", 0, 1024, NULL,
	  "Threads that answer requests, beside those that wait for disks; 0: "
	  "what limits.threads and limits.memory give.",
	  NULL },
	{ "attr-timeout", DYNFS_OPT_INT, 0, FRONT_FIELD(attr_timeout), "3600",
	  0, 31536000, NULL, "How long the kernel may keep attributes.", "s" },
	{ "entry-timeout", DYNFS_OPT_INT, 0, FRONT_FIELD(entry_timeout), "3600",
	  0, 31536000, NULL, "How long the kernel may keep names.", "s" },
	{ "negative-timeout", DYNFS_OPT_INT, 0, FRONT_FIELD(negative_timeout),
	  "3600", 0, 31536000, NULL,
	  "How long the kernel may keep that a name does not exist.", "s" },
	{ "read-ahead", DYNFS_OPT_SIZE, 0, FRONT_FIELD(read_ahead), "4M",
	  131072, 1073741824, NULL,
	  "How far the kernel reads ahead of a sequential reader.", "bytes" },
	{ "unmount-wait", DYNFS_OPT_INT, 0, FRONT_FIELD(unmount_wait), "5", 0,
	  600, NULL,
	  "How long to wait for users to leave before they are cut off.", "s" },
	{ "writeback", DYNFS_OPT_BOOL, 0, FRONT_FIELD(writeback), "false", 0, 0,
	  NULL, "Let the kernel keep written pages and send them later.",
	  NULL },
	{ "acl", DYNFS_OPT_BOOL, 0, FRONT_FIELD(acl), "true", 0, 0, NULL,
	  "Let the kernel heed POSIX access control lists.", NULL },
	{ "suid", DYNFS_OPT_BOOL, 0, FRONT_FIELD(suid), "true", 0, 0, NULL,
	  "Honour set-user-ID and set-group-ID bits of programs.", NULL },
	{ "dev", DYNFS_OPT_BOOL, 0, FRONT_FIELD(dev), "true", 0, 0, NULL,
	  "Honour device files.", NULL },
	{ "exec", DYNFS_OPT_BOOL, 0, FRONT_FIELD(exec), "true", 0, 0, NULL,
	  "Let programs be run.", NULL },
	{ 0 },
};

static const struct dynfs_plugin front_plugin = {
	DYNFS_PLUGIN_HEADER,
	.threading = DYNFS_PARALLEL,
	.name = "fuse",
	.version = "1.0",
	.summary = "mounts the pool as a file system through libfuse",
	.options = front_options,
	.config_size = sizeof(struct front_config),
	.create = front_create_instance,
	.destroy = front_destroy,
	.frontend = &front_frontend,
};

DYNFS_EXPORT const struct dynfs_plugin *dynfs_plugin_entry(void)
{
	return &front_plugin;
}
