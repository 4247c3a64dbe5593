/* SPDX-License-Identifier: Apache-2.0 */
/* See mounted.h. */
#include "mounted.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

#define PATHS 4

static void mounted_ready(void *ctx)
{
	struct mounted *m = ctx;

	atomic_fetch_add(&m->n_ready, 1);
}

static void mounted_ended(void *ctx, int err)
{
	struct mounted *m = ctx;

	atomic_store(&m->ended_err, err);
	atomic_fetch_add(&m->n_ended, 1);
}

void mounted_init(struct mounted *m, const char *dir, const char *const *kv)
{
	memset(m, 0, sizeof(*m));
	m->fs = fakefs_new();
	assert_non_null(m->fs);
	testhost_init(&m->host, NULL);
	assert_int_equal(
	    testinst_start(&m->inst, &m->host, "frontend", "fuse", kv), 0);
	(void)snprintf(m->dir, sizeof(m->dir), "%s",
		       dir ? dir : "/tmp/dynfs-mount-XXXXXX");
	if (!dir)
		assert_non_null(mkdtemp(m->dir));
	m->env = (struct dynfs_frontend_env){
		.size = sizeof(m->env),
		.fs = &m->fs->view,
		.pool_name = "test pool",
		.mountpoint = m->dir,
		.ready = mounted_ready,
		.ended = mounted_ended,
		.ctx = m,
	};
}

int mounted_start(struct mounted *m)
{
	const struct dynfs_frontend_ops *ops = m->inst.plugin->frontend;
	int err = ops->open(m->inst.self, &m->env);

	if (err)
		return err;
	m->open = true;
	return ops->serve(m->inst.self);
}

void mounted_stop(struct mounted *m)
{
	if (m->open)
		m->inst.plugin->frontend->close(m->inst.self);
	m->open = false;
}

void mounted_done(struct mounted *m)
{
	mounted_stop(m);
	testinst_stop(&m->inst);
	fakefs_free(m->fs);
	while (!umount2(m->dir, MNT_DETACH))
		; /* what a failed test may have left */
	assert_int_equal(rmdir(m->dir), 0);
	assert_int_equal(testhost_done(&m->host), 0);
}

const char *mounted_path(const struct mounted *m, const char *name)
{
	static _Thread_local char path[PATHS][2 * PATH_MAX];
	static _Thread_local unsigned int at;

	at = (at + 1) % PATHS;
	(void)snprintf(path[at], sizeof(path[at]), "%s/%s", m->dir, name);
	return path[at];
}

bool mounted_wait(atomic_int *count, int value)
{
	struct timespec pause = { .tv_nsec = 10000000 };

	for (int i = 0; i < 500; i++) {
		if (atomic_load(count) == value)
			return true;
		(void)nanosleep(&pause, NULL);
	}
	return false;
}
