/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of control/ share. */
#ifndef CONTROL_PRIVATE_H
#define CONTROL_PRIVATE_H

#include <control/control.h>

#define CONTROL_LINE_MAX (16u << 20) /* bytes of one message */

struct call {
	const struct control_env *env;
	const struct command *command;
	json_t *args, *reply;
	struct control_server *server; /* NULL: not over a socket */
};

/* Unknown, missing or of the wrong type: -EINVAL with a sentence. */
int args_check(const struct command *cmd, json_t *args);
int call_run(struct call *c); /* checks its args */
/*
 * What a line from the socket asks for: args is a new reference, not checked
 * yet.  -EINVAL: not a request that we know.
 */
int request_parse(const json_t *request, const struct command **ret_cmd,
		  json_t **ret_args);
void server_quit(struct control_server *s);

/*
 * msg.c: one JSON object a line.  msg_read: -EPIPE at the end, -EBADMSG for
 * what is not one, -E2BIG, -ETIMEDOUT; the caller frees the object.
 */
struct msg_stream {
	int fd;
	char *data; /* read and not used yet; owned */
	size_t len, cap;
};
void msg_done(struct msg_stream *s); /* does not close */
int msg_read(struct msg_stream *s, int timeout_ms, json_t **ret);
int msg_write(int fd, const json_t *object);

/*
 * address.c: an AF_UNIX address for the socket of dir, good while ret_dirfd is
 * open.  make: the folder below CONTROL_RUN too, if it takes one.
 */
struct sockaddr_un;
int control_address(const char *dir, bool make, struct sockaddr_un *ret,
		    int *ret_dirfd);
/* Takes the socket away, and what was made for it; does not close. */
void control_forget(int dirfd);

/* Tables of the groups, one file each. */
extern const struct command commands_pool[], commands_disk[], commands_extent[],
    commands_policy[], commands_plugin[], commands_config[];

#endif
