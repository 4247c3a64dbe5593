/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors for people.  A function that knows the cause of a failure says it
 * once, "return fail(-EINVAL, "disk %s: ...", path)"; callers pass the number
 * on.  The text belongs to the thread and stays until the next fail() or
 * fail_clear() on it; whoever ends the chain (the command table, the log of
 * the daemon) reads it with fail_text().
 */
#ifndef BASE_FAIL_H
#define BASE_FAIL_H

#include <stdarg.h>
#include <stddef.h>

#define FAIL_TEXT_MAX 1024

/* Keep the text, return err.  err is negative. */
int fail(int err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int fail_va(int err, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

/* Put "fmt: " before the text in hand (or before strerror(err)). */
int fail_wrap(int err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * The text of the last failure on this thread; with none, strerror(err).
 * Borrowed until the next call of this module on the thread.
 */
const char *fail_text(int err);
int fail_has_text(void);
void fail_clear(void);
/* Around work for others, which leaves texts of its own or clears them. */
void fail_keep(char ret[FAIL_TEXT_MAX]); /* and clear */
void fail_back(const char kept[FAIL_TEXT_MAX]);

/* "EIO" for -EIO; "E123" for what has no name. */
const char *fail_name(int err);

#endif
