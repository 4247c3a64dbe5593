/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A daemon in the background: a child that has let go of the terminal, the
 * folder and the files of who started it, and a parent that waits until the
 * child says that it serves, or why not.
 *
 * They speak in packets, so that warnings (a disk that is missing, a mount
 * point that is not empty) reach the person who mounts, and not only a log.
 */
#include "daemon.h"

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/log.h>
#include <base/str.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define REPORT_SERVES  0
#define REPORT_WARNING 1 /* below zero: it failed so */

struct report {
	int what;
	char text[FAIL_TEXT_MAX];
};

/* The child's end; -1: nobody listens (any more). */
static pthread_mutex_t report_lock = PTHREAD_MUTEX_INITIALIZER;
static int report_fd = -1;

static bool report_send(int what, const char *text)
{
	struct report r = { .what = what };
	bool heard;

	(void)snprintf(r.text, sizeof(r.text), "%s", text);
	AUTOLOCK(&report_lock);
	if (report_fd < 0)
		return true;
	heard = send(report_fd, &r,
		     offsetof(struct report, text) + strlen(r.text) + 1,
		     MSG_NOSIGNAL) >= 0;
	if (what == REPORT_WARNING)
		return heard;
	(void)close(report_fd);
	report_fd = -1;
	return heard;
}

static void report_warning(const char *text)
{
	(void)report_send(REPORT_WARNING, text);
}

bool background_ready(void)
{
	log_also(NULL);
	return report_send(REPORT_SERVES, "");
}

/* No terminal, no folder held busy, no file of whoever started us. */
static int child_leave(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return fail(-errno, "/dev/null: %s", strerrordesc_np(errno));
	(void)setsid();    /* fails only for one that leads a group */
	(void)!chdir("/"); /* is always there */
	(void)umask(022);
	for (int fd = 0; fd < 3; ++fd)
		(void)dup2(null, fd);
	if (null > 2)
		(void)close(null);
	return 0;
}

static int child_log(struct daemon *d, bool system_log)
{
	int level = d->conf->log.level;
	const char *dir = d->conf->pool.dir;
	AUTOFREE char *path = NULL;

	if (d->words.log)
		return log_to_file(d->words.log, level);
	/* a folder that is read-only takes no lines */
	if ((system_log && access("/dev/log", W_OK) == 0) ||
	    access(dir, W_OK) < 0) {
		log_to_system(level);
		return 0;
	}
	path = str_path(dir, "dynfs.log");
	return path ? log_to_file(path, level) : -ENOMEM;
}

static int child_main(struct daemon *d, bool system_log)
{
	char why[FAIL_TEXT_MAX] = "";
	int r = child_log(d, system_log);

	if (r >= 0)
		r = child_leave();
	if (r >= 0) {
		log_also(report_warning);
		r = daemon_main(d);
	}
	log_also(NULL);
	if (r < 0) {
		(void)snprintf(why, sizeof(why), "%s", fail_text(r));
		log_error("run", "%s", why);
	}
	if (daemon_down(d) < 0 && r >= 0)
		log_error("run", "closing the pool: %s", fail_text(-EIO));
	/* whoever hears of the failure may start another daemon at once */
	if (r < 0)
		(void)report_send(r, why);
	return exit_code_of(r, d->code);
}

/* It has said why it failed, and its exit code says what kind of failure. */
static int child_code(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return EXIT_FAILED;
	return WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status)
							: EXIT_FAILED;
}

/* The next packet; 0: there will be none. */
static ssize_t parent_hear(const struct daemon *d, int from, struct report *ret)
{
	struct pollfd p = { .fd = from, .events = POLLIN };
	ssize_t n;

	for (unsigned s = PATIENCE_S;
	     !poll(&p, 1, s == PATIENCE_S ? PATIENCE_S * 1000 : 1000); ++s)
		patience_show("pool %s is being opened; %u s",
			      d->conf->pool.name, s);
	patience_over();
	do
		n = recv(from, ret, sizeof(*ret) - 1, 0);
	while (n < 0 && errno == EINTR);
	if (n <= (ssize_t)offsetof(struct report, text))
		return 0;
	ret->text[sizeof(ret->text) - 1] = '\0';
	return n;
}

static int parent_wait(struct daemon *d, int from, pid_t child)
{
	struct report report = { 0 };

	while (parent_hear(d, from, &report) > 0) {
		if (report.what == REPORT_SERVES)
			return 0;
		if (report.what < 0) {
			d->code = child_code(child);
			return fail(report.what, "%s", report.text);
		}
		say("warning: %s", report.text);
	}
	d->code = child_code(child);
	return fail(-EIO, "the daemon ended before it served");
}

int background_start(struct daemon *d, bool system_log)
{
	int pair[2], r;
	pid_t child;

	d->code = EXIT_FAILED;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return fail(-errno, "no socket: %s", strerrordesc_np(errno));
	child = fork();
	if (child == 0) {
		(void)close(pair[0]);
		report_fd = pair[1];
		d->background = true;
		_exit(child_main(d, system_log));
	}
	r = -errno;
	(void)close(pair[1]);
	/* it is the child's now, and goes when that does */
	if (d->claim >= 0)
		(void)close(d->claim);
	d->claim = -1;
	r = child < 0 ? fail(r, "no process: %s", strerrordesc_np(-r))
		      : parent_wait(d, pair[0], child);
	(void)close(pair[0]);
	return r;
}
