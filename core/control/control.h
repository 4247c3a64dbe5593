/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands: one table, served by the running daemon over its local socket,
 * or run by the program itself when no daemon has the pool.
 *
 * A command reads a JSON object of arguments and fills a JSON object, the
 * reply.  The program prints that reply as it is (--json) or as text, by the
 * layout that stands in the command's row; so both always say the same.
 *
 * On the socket: one line of JSON each way.  The client sends
 *	{"command": "disk list", "args": {...}}
 * and reads any number of {"progress": {...}} lines, then one of
 *	{"reply": {...}}  or  {"error": {"errno": "EINVAL", "text": "..."}}
 */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pool;
struct reg;
struct conf;

enum arg_type { ARG_STRING, ARG_INT, ARG_SIZE, ARG_FLAG };

#define ARG_REQUIRED   (1u << 0)
#define ARG_POSITIONAL (1u << 1) /* without its --name */
#define ARG_PATH       (1u << 2) /* made absolute by the program */
#define ARG_OR_PATH    (1u << 3) /* so is this, if it looks like a path */

struct command_arg {
	const char *name; /* "disk": --disk X; NULL ends */
	enum arg_type type;
	uint32_t flags;
	const char *value; /* what stands for it in the help: "PATH" */
	const char *help;
};

/* How a field of a reply is shown. */
enum field_kind {
	FIELD_TEXT = 1, /* any scalar as it is; arrays joined by commas */
	FIELD_BYTES,    /* "1.5 GiB" */
	FIELD_COUNT,
	FIELD_NS,    /* a time since 1970: "2026-01-31 12:00:00" */
	FIELD_TABLE, /* an array of objects, by columns */
};

struct command_field {
	const char *key;   /* of the reply; NULL ends */
	const char *title; /* before the value, or over the column */
	enum field_kind kind;
	const struct command_field *columns; /* of a FIELD_TABLE */
};

#define COMMAND_NO_POOL (1u << 0) /* needs none: config, plugins */
#define COMMAND_READS   (1u << 1) /* a pool opened read-only will do */
#define COMMAND_DAEMON  (1u << 2) /* only the running daemon can */
#define COMMAND_CONFIG  (1u << 3) /* a config is named, as -c or "file" */
#define COMMAND_FIRST   (1u << 4) /* also where there is no pool yet: makes it */

struct call; /* one call in progress */

struct command {
	const char *name;  /* "disk list" */
	const char *alias; /* "list-disks", or NULL */
	const char *summary;
	uint32_t flags;
	const struct command_arg *args;
	const struct command_field *fields;
	/* 0, or a negative errno with a fail() text; fills call_reply(). */
	int (*run)(struct call *c);
};

/* All of them in the order of the help; NULL beyond the last. */
const struct command *control_at(size_t i);
/* By name or alias; NULL: none. */
const struct command *control_find(const char *name);

/* ---- inside a command ------------------------------------------------ */

struct pool *call_pool(struct call *c); /* not for COMMAND_NO_POOL */
struct reg *call_reg(struct call *c);
const struct conf *call_conf(struct call *c); /* NULL: none was named */
json_t *call_reply(struct call *c);           /* borrowed: fill it */
/* Arguments were checked against the table: missing ones give the default. */
const char *call_string(struct call *c, const char *name);
int64_t call_int(struct call *c, const char *name, int64_t missing);
bool call_flag(struct call *c, const char *name);
/* Tell the client how far it is; takes over the object. */
void call_progress(struct call *c, json_t *progress);

/*
 * A text that may have bytes from outside, such as a path: JSON has only
 * UTF-8, and a reply must not be lost for the rest.  NULL gives null.
 */
json_t *control_text(const char *s);

/* ---- running commands ------------------------------------------------ */

struct control_env {
	struct pool *pool; /* NULL for COMMAND_NO_POOL */
	struct reg *reg;
	const struct conf *conf;
	/* May be NULL.  Borrows the object. */
	void (*progress)(void *ctx, json_t *progress);
	void *progress_ctx;
};

/*
 * Checks args against the row (unknown, missing, wrong type: -EINVAL with a
 * sentence) and runs it here.  ret_reply: a new reference.
 */
int control_run(const struct control_env *env, const struct command *cmd,
		json_t *args, json_t **ret_reply);

/* ---- the daemon's side ----------------------------------------------- */

struct control_server;

#define CONTROL_SOCKET "control.sock"
/* Here are the sockets of pools whose folder can not be written to. */
#define CONTROL_RUN "/run/dynfs"

/*
 * Serve on dir/control.sock (of a dir that is read-only: on a socket below
 * CONTROL_RUN), for root and our own user only.  A socket that a
 * dead daemon left is replaced.
 */
int control_serve(const struct control_env *env, const char *dir,
		  struct control_server **ret);
/*
 * Waits for the calls in progress and refuses new ones: the pool may be
 * closed after.  The socket stays, for clients that wait for the end.
 */
void control_drain(struct control_server *s);
/* Ends the threads, removes the socket.  NULL is fine. */
void control_stop(struct control_server *s);
/* A client asked the daemon to end ("umount"): called once, any thread. */
void control_on_quit(struct control_server *s, void (*quit)(void *ctx),
		     void *ctx);
/* For the umount command. */
int call_quit(struct call *c);

/* ---- the program's side ---------------------------------------------- */

/*
 * Ask the daemon of dir.  -ENOENT or -ECONNREFUSED without a text: there is
 * none.  Errors of the command come with its text.  A daemon that takes longer
 * than two seconds and tells no progress is reported as such, each second.
 */
int control_ask(const char *dir, const char *command, json_t *args,
		void (*progress)(void *ctx, json_t *progress), void *ctx,
		json_t **ret_reply);
/* The same for at most so many seconds: -ETIMEDOUT. */
int control_ask_within(const char *dir, const char *command, json_t *args,
		       unsigned max_s,
		       void (*progress)(void *ctx, json_t *progress), void *ctx,
		       json_t **ret_reply);
/* Wait until the daemon of dir is gone, however much it has to write. */
int control_wait_gone(const char *dir,
		      void (*progress)(void *ctx, json_t *progress), void *ctx);

#endif
