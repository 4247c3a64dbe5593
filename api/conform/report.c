/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One check in a child of its own, and the lines of the report.  The child
 * sends its verdict and the reason through a pipe; without a verdict it
 * crashed or was stopped by its alarm.
 */
#include "conform.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK_SECONDS 240u

enum verdict { FAILED, PASSED, SKIPPED };

bool no(struct conform *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized) */
	(void)vsnprintf(c->why, sizeof(c->why), fmt, ap);
	va_end(ap);
	return false;
}

bool skipped(struct conform *c, const char *why)
{
	(void)snprintf(c->why, sizeof(c->why), "%s", why);
	c->skip = true;
	return true;
}

static void check_child(struct conform *c, conform_fn *fn, int fd)
{
	char verdict;
	bool good;

	(void)alarm(CHECK_SECONDS);
	c->why[0] = '\0';
	good = fn(c);
	verdict = (char)(!good ? FAILED : c->skip ? SKIPPED : PASSED);
	if (write(fd, &verdict, 1) != 1 ||
	    write(fd, c->why, strlen(c->why)) < 0)
		_exit(1);
	_exit(0);
}

static void check_ended(struct conform *c, int status)
{
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		(void)no(c, "it did not come back within %u s", CHECK_SECONDS);
	else if (WIFSIGNALED(status))
		/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
		(void)no(c, "it crashed: %s", strsignal(WTERMSIG(status)));
	else
		(void)no(c, "it ended the process with code %d",
			 WEXITSTATUS(status));
}

static enum verdict check_parent(struct conform *c, pid_t pid, int fd)
{
	size_t at = 0;
	char verdict = 0, *why = c->why;
	int status = 0;
	ssize_t n = read(fd, &verdict, 1);
	bool said = n == 1;

	while (said && at < sizeof(c->why) - 1 &&
	       (n = read(fd, why + at, sizeof(c->why) - 1 - at)) > 0)
		at += (size_t)n;
	why[at] = '\0';
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (said && WIFEXITED(status) && !WEXITSTATUS(status))
		return (enum verdict)verdict;
	check_ended(c, status);
	return FAILED;
}

static void print_json_string(const char *s)
{
	(void)putchar('"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			(void)printf("\\%c", *s);
		else if ((unsigned char)*s < 0x20)
			(void)printf("\\u%04x", (unsigned int)*s);
		else
			(void)putchar(*s);
	}
	(void)putchar('"');
}

static void check_show(struct conform *c, const char *says, enum verdict v)
{
	static const char *const words[] = { "FAIL", "PASS", "SKIP" };
	static const char *const names[] = { "fail", "pass", "skip" };

	if (!c->json) {
		(void)printf("%s  %s%s%s\n", words[v], says,
			     v == PASSED ? "" : ": ",
			     v == PASSED ? "" : c->why);
		(void)fflush(stdout);
		return;
	}
	(void)printf("%s\n  {\"result\": \"%s\", \"check\": ",
		     c->n_shown++ ? "," : "", names[v]);
	print_json_string(says);
	if (v != PASSED) {
		(void)printf(", \"why\": ");
		print_json_string(c->why);
	}
	(void)printf("}");
}

void check_run(struct conform *c, const struct check *check)
{
	enum verdict v = FAILED;
	int fd[2];
	pid_t pid = -1;

	(void)fflush(NULL);
	if (!pipe(fd)) {
		pid = fork();
		if (!pid) {
			(void)close(fd[0]); /* the parent's */
			check_child(c, check->fn, fd[1]);
		}
		(void)close(fd[1]); /* the child's */
	}
	if (pid < 0)
		(void)no(c, "no child process can be started");
	else
		v = check_parent(c, pid, fd[0]);
	(void)close(fd[0]); /* was read only */
	c->n_passed += v == PASSED;
	c->n_failed += v == FAILED;
	c->n_skipped += v == SKIPPED;
	check_show(c, check->says, v);
}

void report_begin(struct conform *c)
{
	if (!c->json) {
		(void)printf("%s: %s %s, seed %llu\n", c->file, c->kind->name,
			     c->plugin.name, (unsigned long long)c->seed);
		return;
	}
	(void)printf("{\"file\": ");
	print_json_string(c->file);
	(void)printf(", \"kind\": \"%s\", \"name\": ", c->kind->name);
	print_json_string(c->plugin.name);
	(void)printf(", \"seed\": %llu, \"checks\": [",
		     (unsigned long long)c->seed);
}

void report_end(struct conform *c)
{
	if (c->json)
		(void)printf("\n], \"passed\": %u, \"failed\": %u, "
			     "\"skipped\": %u}\n",
			     c->n_passed, c->n_failed, c->n_skipped);
	else
		(void)printf("%u passed, %u failed, %u skipped\n", c->n_passed,
			     c->n_failed, c->n_skipped);
}
