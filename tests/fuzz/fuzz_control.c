/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes in at the control socket, through a real one: lines, requests,
 * arguments.  A request that is sound is not run, for it would need a pool;
 * its answer is an error or "it would run", and can be written.
 */
#include "fuzz.h"

#include <base/fail.h>
#include <control/private.h>

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void take(json_t *request)
{
	const struct command *cmd;
	json_t *args;
	int r;

	fail_clear();
	r = request_parse(request, &cmd, &args);
	if (r) {
		FUZZ_MUST(r == -EINVAL && fail_has_text());
		return;
	}
	r = args_check(cmd, args);
	if (r) {
		FUZZ_MUST(r == -EINVAL && fail_has_text());
		json_decref(args);
		return;
	}
	/* commands look at their arguments without a second thought */
	for (const struct command_arg *a = cmd->args; a && a->name; a++) {
		json_t *v = json_object_get(args, a->name);

		FUZZ_MUST(v || !(a->flags & ARG_REQUIRED));
		if (v && a->type == ARG_STRING)
			FUZZ_MUST(json_string_value(v));
	}
	json_decref(args);
}

/* Smaller than what a socket holds unread. */
#define LINE_MAX_HERE (64u << 10)

void fuzz_run(const uint8_t *data, size_t len)
{
	struct msg_stream in = { 0 };
	json_t *request;
	int fd[2], r;

	if (len > LINE_MAX_HERE)
		return;
	FUZZ_MUST(!socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	FUZZ_MUST(send(fd[0], data, len, MSG_DONTWAIT) == (ssize_t)len);
	FUZZ_MUST(!shutdown(fd[0], SHUT_WR));
	in.fd = fd[1];
	while (!(r = msg_read(&in, 1000, &request))) {
		take(request);
		json_decref(request);
	}
	FUZZ_MUST(r == -EPIPE || r == -EBADMSG);
	msg_done(&in);
	(void)close(fd[0]);
	(void)close(fd[1]);
}

void fuzz_seeds(fuzz_put *put, void *ctx)
{
	static const char odd[] =
	    "{\"command\": 5}\n{\"command\": \"status\", \"args\": []}\n"
	    "{\"command\":\"disk add\",\"args\":{\"path\":7}}\n[1]\n";
	const struct command *cmd;

	for (size_t i = 0; (cmd = control_at(i)); i++) {
		json_t *args = json_object(), *request;
		char *text, name[16];
		size_t len;

		for (const struct command_arg *a = cmd->args; a && a->name; a++)
			(void)json_object_set_new(
			    args, a->name,
			    a->type == ARG_FLAG     ? json_true()
			    : a->type == ARG_STRING ? json_string("/x/y")
						    : json_integer(4096));
		request =
		    json_pack("{ss so}", "command", cmd->name, "args", args);
		text = json_dumps(request, JSON_COMPACT);
		FUZZ_MUST(text);
		json_decref(request);
		/* a request ends with a newline, in the place of the zero */
		len = strlen(text);
		text[len] = '\n';
		(void)snprintf(name, sizeof(name), "command-%zu", i);
		put(ctx, name, text, len + 1);
		free(text);
	}
	put(ctx, "odd", odd, sizeof(odd) - 1);
}
