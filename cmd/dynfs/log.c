/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where log lines go: stderr, with a priority when the journal listens, a file,
 * or the system's log.  What somebody should see who is just waiting for us
 * goes to a second place as well.
 */
#include "dynfs.h"

#include <base/fail.h>
#include <base/log.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

static FILE *log_file; /* set once, before threads start */
static bool log_journal;
static _Atomic(log_second) log_second_to;

void log_also(log_second to)
{
	atomic_store(&log_second_to, to);
}

/* The area stays away: "extent: " tells a person at a terminal nothing. */
static void log_second_print(int level, const char *text)
{
	log_second to = atomic_load(&log_second_to);

	if (to && level <= DYNFS_WARN)
		to(text);
}

static void log_system(int level, const char *area, const char *text)
{
	static const int priority[] = { LOG_ERR, LOG_WARNING, LOG_INFO,
					LOG_DEBUG };

	log_second_print(level, text);
	syslog(priority[level], "%s: %s", area, text);
}

void log_to_system(int level)
{
	openlog("dynfs", LOG_PID, LOG_DAEMON);
	log_set(log_system, level);
}

static void log_print(int level, const char *area, const char *text)
{
	/* syslog's numbers, which the journal takes from the line's start */
	static const int priority[] = { 3, 4, 6, 7 };
	FILE *to = log_file ? log_file : stderr;
	struct timespec now;
	struct tm tm;
	char when[32] = "";

	log_second_print(level, text);
	if (log_journal) {
		(void)fprintf(to, "<%d>%s: %s\n", priority[level], area, text);
		return;
	}
	if (log_file && !clock_gettime(CLOCK_REALTIME, &now) &&
	    localtime_r(&now.tv_sec, &tm))
		(void)strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S ", &tm);
	(void)fprintf(to, "%s%s: %s: %s\n", when, log_level_word(level), area,
		      text);
	(void)fflush(to);
}

void log_to_stderr(int level)
{
	log_journal = secure_getenv("JOURNAL_STREAM") != NULL;
	log_set(log_print, level);
}

int log_to_file(const char *path, int level)
{
	FILE *f = fopen(path, "ae");

	if (!f)
		return fail(-errno, "log file %s: %s", path,
			    strerrordesc_np(errno));
	log_file = f;
	log_journal = false;
	log_set(log_print, level);
	return 0;
}
