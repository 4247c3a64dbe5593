/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the configuration share. */
#ifndef CONFIG_INTERNAL_H
#define CONFIG_INTERNAL_H

#include <config/config.h>

/* ---- memory.c ---- */

/* Zeroed, the conf's until conf_free(); NULL when there is none. */
void *conf_alloc(struct conf *conf, size_t n, size_t size);
char *conf_dup(struct conf *conf, const char *text);
void conf_free_blocks(struct conf *conf);

/* ---- scan.c ---- */

/* A file as text; at most as much as a configuration may have. */
int scan_read(const char *path, struct buf *out);
/*
 * What libconfig itself would not refuse, or not survive: depth, number of
 * settings, includes from outside of folder.  The text ends with a 0.
 */
int scan_check(const char *text, size_t len, const char *path,
	       const char *folder);

/* ---- path.c ---- */

/* base/path (or path) without "//", "." and ".."; malloc'd or NULL. */
char *path_clean(const char *base, const char *path);
/* inner is outer or lies below it; both clean. */
bool path_inside(const char *outer, const char *inner);

/* ---- users.c ---- */

/* It may be the name or number of a user, or of a group behind a "@". */
bool users_word(const char *word);

/* ---- rules.c ---- */

/* What no single key can say: names that exist, paths that do not meet. */
int rules_check(const struct conf *conf);

/* fail(-EINVAL, "file:line: ...") */
int conf_fail(const struct conf_place *at, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
