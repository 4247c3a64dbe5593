/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's side of the socket: a thread that accepts, and one for each
 * connection, few at a time. A client that says nothing is cut off; one that
 * is not root or us is not heard.
 */
#include <control/private.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/list.h>
#include <base/log.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SERVER_CLIENTS    16u
#define SERVER_TIMEOUT_MS 10000

struct server_client {
	struct list link;
	struct control_server *server;
	int fd;
	pthread_t thread;
	bool over; /* its thread is about to end */
};

struct control_server {
	struct control_env env;
	int fd, dirfd, stop_pipe[2];
	pthread_t thread;
	pthread_mutex_t lock; /* all below */
	struct list clients;
	unsigned n_clients;
	bool quitting, draining;
	unsigned n_calls; /* in progress */
	pthread_cond_t no_calls;
	void (*quit)(void *ctx);
	void *quit_ctx;
};

void control_on_quit(struct control_server *s, void (*quit)(void *ctx),
		     void *ctx)
{
	AUTOLOCK(&s->lock);
	s->quit = quit;
	s->quit_ctx = ctx;
}

void server_quit(struct control_server *s)
{
	void (*quit)(void *ctx) = NULL;
	void *ctx;

	(void)pthread_mutex_lock(&s->lock);
	if (!s->quitting)
		quit = s->quit;
	ctx = s->quit_ctx;
	s->quitting = true;
	(void)pthread_mutex_unlock(&s->lock);
	if (quit)
		quit(ctx);
}

static void server_progress(void *ctx, json_t *progress)
{
	struct server_client *c = (struct server_client *)ctx;
	json_t *line = json_pack("{sO}", "progress", progress);

	if (line)
		(void)msg_write(c->fd, line);
	json_decref(line);
}

static json_t *server_error(int err)
{
	const char *text = fail_text(err);

	return json_pack("{s{sssiso}}", "error", "errno", fail_name(err),
			 "code", -err, "text", control_text(text));
}

/* A call is counted, so that the pool is not closed under it. */
static int server_call(struct control_server *s, struct call *call)
{
	int r = 0;

	(void)pthread_mutex_lock(&s->lock);
	if (s->draining)
		r = fail(-ESHUTDOWN, "the daemon is ending");
	else
		s->n_calls++;
	(void)pthread_mutex_unlock(&s->lock);
	if (r < 0)
		return r;
	r = call_run(call);
	(void)pthread_mutex_lock(&s->lock);
	if (!--s->n_calls)
		(void)pthread_cond_broadcast(&s->no_calls);
	(void)pthread_mutex_unlock(&s->lock);
	return r;
}

void control_drain(struct control_server *s)
{
	if (!s)
		return;
	AUTOLOCK(&s->lock);
	s->draining = true;
	while (s->n_calls)
		(void)pthread_cond_wait(&s->no_calls, &s->lock);
}

int request_parse(const json_t *request, const struct command **ret_cmd,
		  json_t **ret_args)
{
	const char *name =
	    json_string_value(json_object_get(request, "command"));
	json_t *args = json_object_get(request, "args");
	const struct command *cmd = name ? control_find(name) : NULL;

	if (!cmd)
		return fail(-EINVAL, "the daemon does not know this command; "
				     "is it of another version?");
	args = json_is_object(args) ? json_incref(args) : json_object();
	if (!args)
		return -ENOMEM;
	*ret_cmd = cmd;
	*ret_args = args;
	return 0;
}

static int server_answer(struct server_client *c, json_t *request)
{
	struct control_env env = c->server->env;
	struct call call = { .env = &env,
			     .server = c->server,
			     .reply = json_object() };
	json_t *line;
	int r = request_parse(request, &call.command, &call.args);

	env.progress = server_progress;
	env.progress_ctx = c;
	if (r >= 0)
		r = server_call(c->server, &call);
	line = r < 0 ? server_error(r) : json_pack("{sO}", "reply", call.reply);
	if (line)
		r = msg_write(c->fd, line);
	json_decref(line);
	json_decref(call.reply);
	json_decref(call.args);
	return r;
}

/* Root, or the user that the daemon runs as. */
static bool server_trusts(int fd)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 &&
	       (who.uid == 0 || who.uid == geteuid());
}

static void *server_client_main(void *arg)
{
	struct server_client *c = (struct server_client *)arg;
	struct msg_stream in = { .fd = c->fd };
	json_t *request;

	(void)pthread_setname_np(pthread_self(), "dynfs-control");
	if (server_trusts(c->fd))
		while (msg_read(&in, SERVER_TIMEOUT_MS, &request) >= 0) {
			int r = server_answer(c, request);

			json_decref(request);
			if (r < 0)
				break;
		}
	msg_done(&in);
	(void)pthread_mutex_lock(&c->server->lock);
	(void)shutdown(c->fd, SHUT_RDWR);
	c->over = true;
	(void)pthread_mutex_unlock(&c->server->lock);
	return NULL;
}

/* Joins those that are over, or all. */
static void server_reap(struct control_server *s, bool all)
{
	struct list gone;

	list_init(&gone);
	(void)pthread_mutex_lock(&s->lock);
	list_for_safe(l, &s->clients)
	{
		struct server_client *c =
		    container_of(l, struct server_client, link);

		if (!all && !c->over)
			continue;
		if (!c->over)
			(void)shutdown(c->fd, SHUT_RD);
		list_remove(l);
		list_push(&gone, l);
		s->n_clients--;
	}
	(void)pthread_mutex_unlock(&s->lock);
	for (struct list *l; (l = list_pop(&gone));) {
		struct server_client *c =
		    container_of(l, struct server_client, link);

		(void)pthread_join(c->thread, NULL);
		(void)close(c->fd);
		free(c);
	}
}

static void server_accept(struct control_server *s)
{
	struct server_client *c;
	int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	server_reap(s, false);
	c = (struct server_client *)calloc(1, sizeof(*c));
	AUTOLOCK(&s->lock);
	if (!c || s->n_clients >= SERVER_CLIENTS) {
		free(c);
		(void)close(fd);
		return;
	}
	c->server = s;
	c->fd = fd;
	if (pthread_create(&c->thread, NULL, server_client_main, c)) {
		free(c);
		(void)close(fd);
		return;
	}
	list_push(&s->clients, &c->link);
	s->n_clients++;
}

static void *server_main(void *arg)
{
	struct control_server *s = (struct control_server *)arg;
	struct pollfd p[2] = { { .fd = s->fd, .events = POLLIN },
			       { .fd = s->stop_pipe[0], .events = POLLIN } };

	(void)pthread_setname_np(pthread_self(), "dynfs-listen");
	for (;;) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			break;
		if (p[1].revents)
			break;
		if (p[0].revents)
			server_accept(s);
	}
	return NULL;
}

/* The lock on the disks says that no other daemon is alive. */
static int server_bind(struct control_server *s, const char *dir)
{
	struct sockaddr_un at;
	mode_t old;
	int r = control_address(dir, true, &at, &s->dirfd);

	if (r < 0)
		return fail(r, "%s: %s", dir, fail_text(r));
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		return -errno;
	(void)unlinkat(s->dirfd, CONTROL_SOCKET, 0);
	old = umask(0177);
	r = bind(s->fd, (struct sockaddr *)&at, sizeof(at)) < 0 ? -errno : 0;
	(void)umask(old);
	if (r < 0 || listen(s->fd, 16) < 0)
		return fail(r < 0 ? r : -errno, "%s/" CONTROL_SOCKET ": %s",
			    dir, strerrordesc_np(r < 0 ? -r : errno));
	return 0;
}

static void server_free(struct control_server *s)
{
	if (s->dirfd >= 0) {
		control_forget(s->dirfd);
		(void)close(s->dirfd);
	}
	for (int i = 0; i < 2; ++i)
		if (s->stop_pipe[i] >= 0)
			(void)close(s->stop_pipe[i]);
	if (s->fd >= 0)
		(void)close(s->fd);
	(void)pthread_cond_destroy(&s->no_calls);
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
}

int control_serve(const struct control_env *env, const char *dir,
		  struct control_server **ret)
{
	struct control_server *s;
	int r;

	s = (struct control_server *)calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->env = *env;
	s->fd = s->dirfd = s->stop_pipe[0] = s->stop_pipe[1] = -1;
	(void)pthread_mutex_init(&s->lock, NULL);
	(void)pthread_cond_init(&s->no_calls, NULL);
	list_init(&s->clients);
	r = server_bind(s, dir);
	if (r >= 0 && pipe2(s->stop_pipe, O_CLOEXEC) < 0)
		r = -errno;
	if (r >= 0)
		r = -pthread_create(&s->thread, NULL, server_main, s);
	if (r < 0) {
		server_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

void control_stop(struct control_server *s)
{
	if (!s)
		return;
	(void)!write(s->stop_pipe[1], "", 1);
	(void)pthread_join(s->thread, NULL);
	server_reap(s, true);
	server_free(s);
}
