/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dynfs-conform: does a plugin keep the promises of its kind?
 *
 * A check is a function that returns true, or false through no(), which takes
 * the reason.  Each runs in a child process of its own: a plugin that crashes
 * or hangs fails that check and no other, and no check sees what an earlier
 * one left behind.
 *
 *	main.c      arguments, which checks run
 *	report.c    one check in a child, the lines of the report
 *	load.c      from a file to a description
 *	options.c   the option table, values at and beyond their bounds
 *	instance.c  an instance with a host double and a disk of its own
 *	common.c    checks for every kind
 *	KIND.c      checks for one kind
 *	golden.c    what must never change from one version to the next
 */
#ifndef CONFORM_H
#define CONFORM_H

#include <dynfs/plugin.h>

#include <stdbool.h>
#include <stdio.h>

#include "simos.h"
#include "testhost.h"

struct conform;

typedef bool conform_fn(struct conform *c);

struct check {
	const char *says; /* what is promised, one sentence */
	conform_fn *fn;
};

/* One instance with all that it is lent. */
struct inst {
	struct testhost host;
	const struct dynfs_plugin *plugin;
	struct simos *sim; /* NULL: the machine's own files */
	char dir[96];      /* exists, is empty at first */
	void *config, *self;
};

/* What is particular about one kind of plugin. */
struct kind {
	const char *name;
	/* Required callbacks and known capabilities: NULL or what is wrong. */
	const char *(*incomplete)(const struct dynfs_plugin *p);
	/*
	 * Simple use of an instance, for checks that go through all kinds:
	 * begin, use any number of times (from threads: each a salt of its
	 * own, 0 for the first), end.  0 or a negative errno, or 1 when
	 * something came out wrong; begin and end may be NULL.
	 */
	int (*begin)(struct inst *i);
	int (*use)(struct inst *i, uint64_t salt);
	void (*end)(struct inst *i);
	bool simulated; /* files lie on a simulated disk, which can crash */
	const struct check *checks; /* ends at says == NULL */
	/* Lines "name value" that must stay the same for ever; may be NULL. */
	bool (*golden)(struct conform *c, FILE *out);
};

struct conform {
	const char *file;
	char stem[64]; /* of the file's name */
	/* A copy, with zeros for what the plugin is too old to have. */
	struct dynfs_plugin plugin;
	const struct dynfs_plugin *own; /* the plugin's */
	const struct kind *kind;
	const char **set; /* "name=value", ends at NULL */
	uint64_t seed;
	char tmp[64]; /* a folder of the machine's, removed at the end */
	bool json;
	const char *golden;
	bool record;
	unsigned int n_passed, n_failed, n_skipped, n_shown;
	char why[480];
	bool skip; /* why says why */
};

/* report.c */
bool no(struct conform *c, const char *fmt, ...) DYNFS_PRINTF(2, 3);
/* The check does not apply; returns true. */
bool skipped(struct conform *c, const char *why);
void check_run(struct conform *c, const struct check *check);
void report_begin(struct conform *c);
void report_end(struct conform *c);

/* load.c: NULL or what is wrong */
const char *load_plugin(struct conform *c);
extern const struct check load_checks[];

/* options.c */
extern const struct check option_checks[];
const struct dynfs_option *option_at(const struct dynfs_plugin *p, size_t i);

/* instance.c */
/* 0 or the errno of create() or start(); nothing is left then. */
int inst_new(struct conform *c, struct inst *i, const char *const *more);
/* False when the plugin left memory or handles. */
bool inst_free(struct conform *c, struct inst *i);
/* The two halves, for what comes between. */
int inst_prepare(struct conform *c, struct inst *i, const char *const *more);
int inst_start(struct inst *i);
/*
 * A call came back with got where want was due; -EINVAL and -EUCLEAN come
 * with a message, success without.  before: host.n_fails before the call.
 */
bool answered(struct conform *c, const struct inst *i, uint64_t before,
	      const char *what, int got, int want);

uint64_t rnd(uint64_t *state);
void rnd_bytes(uint64_t *state, void *p, size_t len);

extern const struct check common_checks[];
extern const struct kind kind_redundancy, kind_checksum, kind_placement,
    kind_store, kind_meta, kind_frontend;

/* golden.c */
bool golden_check(struct conform *c);
uint64_t golden_fold(uint64_t hash, const void *data, size_t len);
#define GOLDEN_START 0xcbf29ce484222325ull

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#endif
