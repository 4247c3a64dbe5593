/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of JSON over a local socket. */
#include <control/private.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void msg_done(struct msg_stream *s)
{
	free(s->data);
	s->data = NULL;
	s->len = s->cap = 0;
}

static int msg_fill(struct msg_stream *s, int timeout_ms)
{
	struct pollfd p = { .fd = s->fd, .events = POLLIN };
	ssize_t n;
	int r;

	if (s->cap - s->len < 4096) {
		size_t cap = s->cap ? s->cap * 2 : 8192;
		char *data;

		if (cap > 2 * (size_t)CONTROL_LINE_MAX)
			return -E2BIG;
		data = (char *)realloc(s->data, cap);
		if (!data)
			return -ENOMEM;
		s->data = data;
		s->cap = cap;
	}
	do
		r = poll(&p, 1, timeout_ms);
	while (r < 0 && errno == EINTR);
	if (r <= 0)
		return r ? -errno : -ETIMEDOUT;
	n = read(s->fd, s->data + s->len, s->cap - s->len);
	if (n <= 0)
		return n ? -errno : -EPIPE;
	s->len += (size_t)n;
	return 0;
}

int msg_read(struct msg_stream *s, int timeout_ms, json_t **ret)
{
	size_t seen = 0, line;
	json_t *object;
	char *end;

	while (!s->len ||
	       !(end = (char *)memchr(s->data + seen, '\n', s->len - seen))) {
		int r;

		seen = s->len;
		if (seen > CONTROL_LINE_MAX)
			return -E2BIG;
		r = msg_fill(s, timeout_ms);
		if (r < 0)
			return r;
	}
	line = (size_t)(end - s->data);
	object = json_loadb(s->data, line, JSON_REJECT_DUPLICATES, NULL);
	memmove(s->data, end + 1, s->len - line - 1);
	s->len -= line + 1;
	if (!json_is_object(object)) {
		json_decref(object);
		return -EBADMSG;
	}
	*ret = object;
	return 0;
}

int msg_write(int fd, const json_t *object)
{
	char *text = json_dumps(object, JSON_COMPACT);
	size_t len, at = 0;
	int r = 0;

	if (!text)
		return -ENOMEM;
	len = strlen(text);
	text[len++] = '\n'; /* over the end mark: sent by length */
	while (at < len) {
		ssize_t n = send(fd, text + at, len - at, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			r = -errno;
			break;
		}
		at += (size_t)n;
	}
	free(text);
	return r;
}
