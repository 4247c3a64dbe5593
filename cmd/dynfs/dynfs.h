/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the program share. */
#ifndef CMD_DYNFS_H
#define CMD_DYNFS_H

#include <control/control.h>
#include <registry/registry.h>

/* Exit codes that scripts can use; dynfs(1) lists them. */
enum {
	EXIT_OK = 0,
	EXIT_FAILED = 1,   /* the command ran and could not do it */
	EXIT_USAGE = 2,    /* the command line or config is wrong */
	EXIT_NO_POOL = 3,  /* no such pool, or it can not be opened */
	EXIT_DEGRADED = 4, /* done, but the pool is below full strength */
};

/* Options before and after the command's name. */
struct options {
	const char *config; /* -c FILE */
	const char *pool;   /* --pool DIR: see config_of_pool() */
	const char **set;   /* --set key=value, n_set times */
	size_t n_set;
	bool json, help;
	char *config_path; /* owned: what the two above come to */
};

/* One command of the program itself. */
struct verb {
	const char *name;
	const char *alias;
	const char *summary;
	const char *usage; /* what follows the name */
	const char *help;  /* paragraphs */
	int (*run)(struct options *o, int argc, char **argv);
};
extern const struct verb verbs[]; /* ends at name == NULL */

/* "dynfs", or what mount(8) called us. */
extern const char *program;
/* "dynfs: text" to stderr. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same of an error and, with --json, {"error": ...} to stdout. */
int complain(const struct options *o, int err, int exit_code);
int complain_usage(const struct options *o, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* otherwise: for errors that are not the caller's fault. */
int exit_code_of(int err, int otherwise);
/* Of a config that was not loaded. */
int exit_code_of_config(int err);

/* print.c */
void print_reply(const struct command *c, const json_t *reply);
void print_json(const json_t *object);
void print_command_help(const struct command *c);
void print_verb_help(const struct verb *v);
void print_overview(void);

/* args.c: the words after the command's name to the arguments of its row. */
int args_parse(struct options *o, const struct command *c, int argc,
	       char **argv, json_t **ret);
/* "--name=value", "--name value" or "-c value": words used; -1: another. */
int args_value(const char *name, int argc, char **argv, const char **ret);
/* The path as seen from any folder; malloc'd, NULL: no memory. */
char *args_path(const char *text);
/* An option that every command takes?  1: used argv[0..*ret_used). */
int args_global(struct options *o, int argc, char **argv, int *ret_used);
int options_config_path(struct options *o);
void options_done(struct options *o);

/* Borrows the word, as --set has it. */
int options_add_set(struct options *o, const char *set);
/*
 * The file of the pool that is called so: a file, a folder with pool.conf, or
 * a name in the folder of configurations, "dynfs:NAME" or, unless there is such
 * a path, NAME.  malloc'd.
 */
char *config_of_pool(const char *what);

/* run.c */
/* The missing folders above it too, as mkdir -p. */
int make_folders(const char *path);
int verb_run(struct options *o, int argc, char **argv);
/* mount.c */
int verb_mount(struct options *o, int argc, char **argv);
int verb_umount(struct options *o, int argc, char **argv);
/* init.c */
int verb_init(struct options *o, int argc, char **argv);
/* call.c: a row of the control table, by the daemon or here. */
int call_command(struct options *o, const struct command *c, int argc,
		 char **argv);
/* -ENOTCONN, with the text. */
int no_daemon(const struct conf *conf);

/*
 * patience.c: who waits longer than PATIENCE_S at a terminal is told what for,
 * in one line of stderr that is taken away again.
 */
#define PATIENCE_S 2
void patience_show(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void patience_over(void);
/* For control_ask() and commands run here. */
void patience_print(void *ctx, json_t *progress);

/* log.c: lines to stderr, as the journal likes them when it listens. */
void log_to_stderr(int level);
int log_to_file(const char *path, int level);
void log_to_system(int level);
/* Warnings and errors go there as well; NULL: no more. */
typedef void (*log_second)(const char *text);
void log_also(log_second to);

#endif
