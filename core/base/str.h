/* SPDX-License-Identifier: Apache-2.0 */
/* Strings: sizes as people write them, formatted allocation, safe printing. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "4096", "64K", "1.5G", "2MiB": powers of 1024; -EINVAL or -ERANGE. */
int str_parse_size(const char *text, uint64_t *ret);
/* A whole decimal number, with sign; nothing before or after it. */
int str_parse_int(const char *text, int64_t *ret);
/* "512 B", "1.5 GiB"; returns out. */
char *str_size(uint64_t bytes, char *out, size_t len);
#define STR_SIZE_MAX 24

/* n bytes that need not end with a zero, as a string; malloc'd, or NULL. */
char *str_copy(const char *s, size_t n);
/* malloc'd, or NULL. */
char *str_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* a/b, or b when b begins with a slash; malloc'd, or NULL. */
char *str_path(const char *a, const char *b);

/*
 * A name from outside, printable: control bytes, quotes and backslashes as
 * \xNN, cut with "..." when out is too short; returns out.
 */
char *str_quote(const char *s, size_t n, char *out, size_t len);

/*
 * A copy that is UTF-8: bytes that are not, as \xNN; malloc'd, or NULL.  Names
 * of files may have any bytes, and texts that were cut may end in half a
 * character.
 */
char *str_utf8(const char *s);

/* [a-z][a-z0-9-]*, at most max bytes: names of plugins, policies, pools. */
bool str_is_name(const char *s, size_t max);

#endif
