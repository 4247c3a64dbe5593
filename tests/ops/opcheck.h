/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the checker share; see opcheck.c. */
#ifndef OPCHECK_H
#define OPCHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FILES     2u /* bytes are copied between them */
#define LOG_LINES 4096u
#define LOG_TEXT  96u
#define PAGE      4096u

/* What a file must hold; shared by all processes that work on it. */
struct model {
	uint64_t size;
	uint8_t *bytes; /* max of them; beyond size all are zero */
	char path[512];
};

struct log_line {
	uint64_t number; /* of the operation, over all processes; 0: unused */
	char text[LOG_TEXT];
};

/* In shared memory. */
struct shared {
	uint64_t max; /* no file grows beyond it */
	uint64_t n_ops;
	bool failed; /* somebody has: the others end */
	struct model file[FILES];
	struct log_line log[LOG_LINES];
};

/* One process. */
struct worker {
	struct shared *s;
	uint64_t rng;
	unsigned id, n_workers;
	int fd[FILES];
	int direct[FILES];   /* with O_DIRECT; -1 where that can not be had */
	bool ofd;            /* the kind of locks it takes */
	uint64_t number;     /* of the operation under way */
	uint8_t *buf;        /* max bytes, on a page */
	const char *without; /* ",NAME,NAME," */
	bool drop_all;       /* may drop the system's caches */
	unsigned n_unknown;  /* operations that the file system lacks */
};

/* The range of a file that an operation is about. */
struct range {
	unsigned file;
	uint64_t off, len;
};

uint64_t random_next(uint64_t *state);
uint64_t random_below(struct worker *w, uint64_t n); /* 0 for n 0 */

/* files.c: all of them false, with words, when something is wrong */
bool files_open(struct worker *w);
void files_close(struct worker *w);
/* The whole content and size, read afresh. */
bool files_verify(struct worker *w);
/* exclusive; len 0: all of the file.  No-ops for a single process. */
bool lock_range(struct worker *w, const struct range *r, bool exclusive);
bool unlock_range(struct worker *w, const struct range *r);
/* Remember what is about to be done. */
void note(struct worker *w, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
bool wrong(struct worker *w, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
bool same_bytes(struct worker *w, const struct range *r, const uint8_t *got,
		const char *how);

/* ops.c: one operation, chosen by the dice */
bool op_any(struct worker *w);
void ops_list(void);

#endif
