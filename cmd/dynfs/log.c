/* SPDX-License-Identifier: Apache-2.0 */
/* Where log lines go: stderr, with a priority when the journal listens, or a
 * file. */
#include "dynfs.h"

#include <base/fail.h>
#include <base/log.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static FILE *log_file; /* set once, before threads start */
static bool log_journal;

static void log_print(int level, const char *area, const char *text)
{
	/* syslog's numbers, which the journal takes from the line's start */
	static const int priority[] = { 3, 4, 6, 7 };
	FILE *to = log_file ? log_file : stderr;
	struct timespec now;
	struct tm tm;
	char when[32] = "";

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
