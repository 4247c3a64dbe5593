/* SPDX-License-Identifier: Apache-2.0 */
/* See mounted.h. */
#include "mounted.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATHS   4
#define SKIPPED 77

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

int mounted_begin(struct mounted *m, const char *const *kv)
{
	mounted_init(m, NULL, kv);
	return mounted_start(m);
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

bool mounted_as(const struct mounted *m, const char *source)
{
	char line[4 * PATH_MAX], want[2 * PATH_MAX];
	bool seen = false;
	FILE *in = fopen("/proc/mounts", "re");

	assert_non_null(in);
	(void)snprintf(want, sizeof(want), "%s %s fuse.dynfs ", source, m->dir);
	while (fgets(line, sizeof(line), in))
		if (!strncmp(line, want, strlen(want)))
			seen = strstr(line, "default_permissions") &&
			       strstr(line, "allow_other");
	assert_int_equal(fclose(in), 0);
	return seen;
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

static uint8_t *random_bytes(unsigned int seed, size_t len)
{
	uint8_t *p = malloc(len);
	uint32_t x = seed * 2654435761u + 1;

	assert_non_null(p);
	for (size_t i = 0; i < len; i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		p[i] = (uint8_t)x;
	}
	return p;
}

bool file_survives(const char *path, unsigned int seed, size_t size)
{
	uint8_t *data = random_bytes(seed, size), *back = malloc(size + 1);
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	size_t at = 0, piece = 1;
	bool good = fd >= 0 && back;

	while (good && at < size) {
		size_t n = piece < size - at ? piece : size - at;

		good = pwrite(fd, data + at, n, (off_t)at) == (ssize_t)n;
		at += n;
		piece = piece * 3 + 1;
	}
	good =
	    good && !fsync(fd) && !posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	for (at = 0; good && at < size;) {
		ssize_t n = pread(fd, back + at, size + 1 - at, (off_t)at);

		good = n > 0;
		at += good ? (size_t)n : 0;
	}
	good = good && at == size && !memcmp(data, back, size);
	if (fd >= 0 && close(fd))
		good = false;
	free(data);
	free(back);
	return good;
}

/* Below /tmp, what the child left mounted. */
static void clean_up(void)
{
	char line[4 * PATH_MAX], path[PATH_MAX];
	FILE *in = fopen("/proc/mounts", "re");

	while (in && fgets(line, sizeof(line), in)) {
		if (sscanf(line, "%*s %4095s fuse.dynfs", path) == 1 &&
		    !strncmp(path, "/tmp/dynfs-mount-", 17) &&
		    !umount2(path, MNT_DETACH))
			(void)rmdir(path); /* if it is empty */
	}
	if (in)
		(void)fclose(in); /* was read only */
}

int mounted_main(int (*run)(void))
{
	int status = 1;
	pid_t pid;

	if (geteuid() || access("/dev/fuse", R_OK | W_OK)) {
		(void)fprintf(stderr, "skipped: needs root and /dev/fuse\n");
		return SKIPPED;
	}
	(void)fflush(NULL);
	pid = fork();
	if (!pid)
		_exit(run());
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 1;
	if (!WIFEXITED(status))
		clean_up();
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
