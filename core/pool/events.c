/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Things an operator should know: logged, and the last few kept for status.
 * An event about an extent names the files that it belongs to.
 */
#include <pool/private.h>

#include <base/cleanup.h>
#include <base/log.h>
#include <base/str.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define EVENT_PATHS_MAX 4u

static void event_add(struct pool *p, const char *kind, const char *text)
{
	struct pool_event *e;

	AUTOLOCK(&p->event_lock);
	e = &p->events[p->next_event];
	p->next_event = (p->next_event + 1) % POOL_EVENTS;
	if (p->n_events < POOL_EVENTS)
		p->n_events++;
	e->wall_ns = p->how.os->wall_ns(p->how.os);
	(void)snprintf(e->kind, sizeof(e->kind), "%s", kind);
	(void)snprintf(e->text, sizeof(e->text), "%s", text);
}

void pool_say(struct pool *p, const char *kind, const char *fmt, ...)
{
	char text[sizeof(p->events[0].text)];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_warn("pool", "%s: %s", kind, text);
	event_add(p, kind, text);
}

uint32_t pool_events(struct pool *p, struct pool_event *out, uint32_t max)
{
	uint32_t n, first;

	AUTOLOCK(&p->event_lock);
	n = p->n_events < max ? p->n_events : max;
	first = (p->next_event + POOL_EVENTS - n) % POOL_EVENTS;
	for (uint32_t i = 0; i < n; ++i)
		out[i] = p->events[(first + i) % POOL_EVENTS];
	return n;
}

struct event_paths {
	struct pool *p;
	char text[300];
	size_t len;
	uint32_t n;
	uint64_t last_ino;
};

static int event_path(void *ctx, const char *path)
{
	struct event_paths *e = (struct event_paths *)ctx;
	char quoted[128];
	int n;

	if (e->n++ >= EVENT_PATHS_MAX)
		return 1;
	n = snprintf(e->text + e->len, sizeof(e->text) - e->len, "%s%s",
		     e->n > 1 ? ", " : "",
		     str_quote(path, strlen(path), quoted, sizeof(quoted)));
	if (n > 0 && (size_t)n < sizeof(e->text) - e->len)
		e->len += (size_t)n;
	return 0;
}

static int event_ref(void *ctx, const void *key, size_t key_len,
		     const void *value, size_t value_len)
{
	struct event_paths *e = (struct event_paths *)ctx;
	uint64_t ino, chunk, sequence;
	struct extent_id id;

	(void)value;
	(void)value_len;
	if (key_parse_ref(key, key_len, &id, &ino, &chunk, &sequence) < 0 ||
	    ino == e->last_ino)
		return 0;
	e->last_ino = ino;
	if (e->n >= EVENT_PATHS_MAX)
		return 1;
	return tree_paths(e->p->tree, ino, event_path, e) < 0 ? 1 : 0;
}

void pool_extent_event(void *ctx, const char *kind, struct extent_id id,
		       const char *text)
{
	struct pool *p = (struct pool *)ctx;
	struct event_paths e = { .p = p };
	struct key refs = key_ref_extent(id);

	if (p->meta && p->tree)
		(void)meta_scan(p->meta, refs.data, refs.len, NULL, 0,
				event_ref, &e);
	pool_say(p, kind, "%s%s%s (extent %016" PRIx64 "%016" PRIx64 ")",
		 e.len ? e.text : "", e.len ? ": " : "", text, id.epoch,
		 id.counter);
}
