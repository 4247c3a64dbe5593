/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counting checks, and saying which one failed.
 */
#include "posix.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TEXT_BYTES 1024

struct options options;

static struct {
	const char *group;
	unsigned number; /* in the group */
	unsigned passed, failed, limits;
	unsigned of_limit[N_LIMITS];
	enum limit now;
} checks;

void result_text(int64_t r, char *to, size_t room)
{
	const char *name = r < 0 ? strerrorname_np((int)-r) : NULL;

	if (name)
		(void)snprintf(to, room, "%s", name);
	else if (r >= 0 && r < 10)
		(void)snprintf(to, room, r ? "%lld" : "success", (long long)r);
	else
		(void)snprintf(to, room, "%lld", (long long)r);
}

static void show(const char *verdict, const char *text, const char *want,
		 const char *got)
{
	FILE *to = options.json ? stderr : stdout;

	(void)fprintf(to, "%s %s %u: %s", verdict, checks.group, checks.number,
		      text);
	if (want)
		(void)fprintf(to, ": expected %s, got %s", want, got);
	(void)fputc('\n', to);
}

static void report(bool good, const char *want, const char *got,
		   const char *fmt, va_list ap)
{
	char text[TEXT_BYTES];

	if (good && !options.verbose)
		return;
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	show(good ? "ok  " : "FAIL", text, good ? NULL : want, got);
}

static bool count(bool good)
{
	checks.number++;
	if (good)
		checks.passed++;
	else
		checks.failed++;
	return good;
}

bool check_is(int64_t want, int64_t got, const char *fmt, ...)
{
	char wanted[32], gotten[32];
	bool good = count(want == got);
	va_list ap;

	result_text(want, wanted, sizeof(wanted));
	result_text(got, gotten, sizeof(gotten));
	va_start(ap, fmt);
	report(good, wanted, gotten, fmt, ap);
	va_end(ap);
	return good;
}

static void count_limit(enum limit limit)
{
	checks.number++;
	checks.limits++;
	checks.of_limit[limit]++;
}

void checks_limit(enum limit limit)
{
	checks.now = options.is_fuse ? limit : NO_LIMIT;
}

bool check_that(bool holds, const char *fmt, ...)
{
	va_list ap;

	if (!holds && checks.now) {
		count_limit(checks.now);
		return true;
	}
	(void)count(holds);
	va_start(ap, fmt);
	report(holds, NULL, NULL, fmt, ap);
	va_end(ap);
	return holds;
}

bool check_limit(enum limit limit, int64_t want, int64_t got, const char *fmt,
		 ...)
{
	const struct kernel_limit *l = &kernel_limits[limit];
	bool limited = options.is_fuse && limit && l->gives && got == l->gives;
	bool good = limited || want == got;
	char wanted[32], gotten[32];
	va_list ap;

	result_text(want, wanted, sizeof(wanted));
	result_text(got, gotten, sizeof(gotten));
	if (limited)
		count_limit(limit);
	else
		(void)count(good);
	va_start(ap, fmt);
	report(good, wanted, gotten, fmt, ap);
	va_end(ap);
	return good;
}

static sigjmp_buf guard;
static pid_t guarded; /* not the children's */

bool checks_guard(void (*f)(const void *arg), const void *arg)
{
	if (sigsetjmp(guard, 1)) {
		guarded = 0;
		return false;
	}
	guarded = getpid();
	f(arg);
	guarded = 0;
	return true;
}

void die(const char *fmt, ...)
{
	char text[TEXT_BYTES];
	int err = errno;
	va_list ap;

	va_start(ap, fmt);
	errno = err; /* %m */
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (guarded == getpid()) {
		(void)count(false);
		show("FAIL", text, NULL, NULL);
		siglongjmp(guard, 1);
	}
	(void)fprintf(stderr, "posixcheck: %s\n", text);
	_exit(guarded ? 252 : 2); /* a child's, or ours */
}

void checks_group(const char *group)
{
	checks.group = group;
	checks.number = 0;
}

static void summary_json(void)
{
	const char *comma = "";

	(void)printf("{\"passed\": %u, \"failed\": %u, \"kernel_limits\": %u, "
		     "\"limits\": [",
		     checks.passed, checks.failed, checks.limits);
	for (int i = 1; i < N_LIMITS; i++) {
		if (!checks.of_limit[i])
			continue;
		(void)printf("%s{\"name\": \"%s\", \"checks\": %u, "
			     "\"why\": \"%s\"}",
			     comma, kernel_limits[i].name, checks.of_limit[i],
			     kernel_limits[i].why);
		comma = ", ";
	}
	(void)printf("]}\n");
}

static void summary_text(void)
{
	(void)printf("%u passed, %u failed, %u are known kernel limits\n",
		     checks.passed, checks.failed, checks.limits);
	for (int i = 1; i < N_LIMITS; i++)
		if (checks.of_limit[i])
			(void)printf("  limit, %u checks: %s: %s\n",
				     checks.of_limit[i], kernel_limits[i].name,
				     kernel_limits[i].why);
}

int checks_summary(void)
{
	if (options.json)
		summary_json();
	else
		summary_text();
	return checks.failed || !checks.passed;
}
