/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines for the operator.  The program sets one sink at start; until then,
 * and in tests, lines go nowhere.  Library code logs events of the running
 * pool only (a disk turned suspect, an extent could not be read); a failed
 * call returns its error instead.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <dynfs/plugin.h>
#include <stdarg.h>

/* area: "disk", "meta", "store/segment"; text: one line, no newline. */
typedef void (*log_sink)(int level, const char *area, const char *text);

/* Lines above level are dropped; sink NULL drops all. */
void log_set(log_sink sink, int level);
int log_level(void);
/* "error", "warning", "info", "debug" to the number; -EINVAL if none. */
int log_level_parse(const char *word);
const char *log_level_word(int level);

void log_line(int level, const char *area, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void log_line_va(int level, const char *area, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));

#define log_error(area, ...) log_line(DYNFS_ERR, area, __VA_ARGS__)
#define log_warn(area, ...)  log_line(DYNFS_WARN, area, __VA_ARGS__)
#define log_info(area, ...)  log_line(DYNFS_INFO, area, __VA_ARGS__)
#define log_debug(area, ...) log_line(DYNFS_DEBUG, area, __VA_ARGS__)

#endif
