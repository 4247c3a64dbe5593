/* SPDX-License-Identifier: Apache-2.0 */
/* The program's side of the socket. */
#include <control/private.h>

#include <base/fail.h>

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define WAIT_QUIET_S 2

static int client_connect(const char *dir)
{
	struct sockaddr_un at;
	int dirfd, fd, r = control_address(dir, false, &at, &dirfd);

	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		r = -errno;
	(void)close(dirfd);
	if (r < 0 && fd >= 0)
		(void)close(fd);
	return r < 0 ? r : fd;
}

static int client_error(const json_t *error)
{
	json_int_t code = json_integer_value(json_object_get(error, "code"));
	const char *text = json_string_value(json_object_get(error, "text"));

	if (code <= 0 || code > 4095)
		code = EIO;
	return fail((int)-code, "%s",
		    text ? text : "the daemon gave no reason");
}

/* Nothing is wrong; somebody may wonder, though. */
static void client_waits(unsigned s, const char *what,
			 void (*progress)(void *ctx, json_t *progress),
			 void *ctx)
{
	json_t *text = json_sprintf("%s; %u s", what, s);
	json_t *o = json_pack("{so}", "text", text);

	if (progress && o)
		progress(ctx, o);
	json_decref(o);
}

static int client_answer(json_t *line,
			 void (*progress)(void *ctx, json_t *progress),
			 void *ctx, json_t **ret_reply)
{
	json_t *reply = json_object_get(line, "reply");
	json_t *error = json_object_get(line, "error");
	json_t *more = json_object_get(line, "progress");

	if (reply) {
		*ret_reply = json_incref(reply);
		return 1;
	}
	if (error)
		return client_error(error);
	if (more && progress)
		progress(ctx, more);
	return 0;
}

int control_ask_within(const char *dir, const char *command, json_t *args,
		       unsigned max_s,
		       void (*progress)(void *ctx, json_t *progress), void *ctx,
		       json_t **ret_reply)
{
	struct msg_stream in = { .fd = client_connect(dir) };
	json_t *request, *line;
	unsigned s = WAIT_QUIET_S;
	int r, ms = WAIT_QUIET_S * 1000;

	fail_clear();
	if (in.fd < 0)
		return in.fd;
	request = json_pack("{sssO}", "command", command, "args", args);
	r = request ? msg_write(in.fd, request) : -ENOMEM;
	json_decref(request);
	while (r == 0) {
		r = msg_read(&in, ms, &line);
		if (r == -ETIMEDOUT && s < max_s) {
			client_waits(s++, "the daemon is at it", progress, ctx);
			ms = 1000;
			r = 0;
			continue;
		}
		if (r < 0)
			break;
		r = client_answer(line, progress, ctx, ret_reply);
		json_decref(line);
	}
	if (r < 0 && !fail_has_text())
		r = fail(r == -ENOENT || r == -ECONNREFUSED ? -EIO : r,
			 "the daemon did not answer: %s", strerrordesc_np(-r));
	msg_done(&in);
	(void)close(in.fd);
	return r < 0 ? r : 0;
}

int control_ask(const char *dir, const char *command, json_t *args,
		void (*progress)(void *ctx, json_t *progress), void *ctx,
		json_t **ret_reply)
{
	return control_ask_within(dir, command, args, UINT_MAX, progress, ctx,
				  ret_reply);
}

int control_wait_gone(const char *dir,
		      void (*progress)(void *ctx, json_t *progress), void *ctx)
{
	struct timespec pause = { 0, 20000000 };

	for (unsigned i = 0;; ++i) {
		int fd = client_connect(dir);

		if (fd < 0)
			return 0;
		(void)close(fd);
		if (i >= WAIT_QUIET_S * 50 && i % 50 == 0)
			client_waits(i / 50,
				     "what was written is put on the disks",
				     progress, ctx);
		(void)nanosleep(&pause, NULL);
	}
}
