/* SPDX-License-Identifier: Apache-2.0 */
/* The life of the extent layer, and what its parts share. */
#include <extent/private.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/log.h>
#include <base/pages.h>

#include <errno.h>
#include <inttypes.h>
#include <registry/placement.h>
#include <stdarg.h>
#include <stdio.h>

#define SCRATCH_KEEP 16u

static void extents_init_locks(struct extents *x)
{
	(void)pthread_mutex_init(&x->policy_lock, NULL);
	(void)pthread_mutex_init(&x->id_lock, NULL);
	(void)pthread_mutex_init(&x->scratch_lock, NULL);
	(void)pthread_mutex_init(&x->drop_lock, NULL);
	(void)pthread_mutex_init(&x->free_lock, NULL);
	(void)pthread_mutex_init(&x->repair_lock, NULL);
	(void)pthread_mutex_init(&x->event_lock, NULL);
	(void)pthread_cond_init(&x->free_wake, NULL);
	list_init(&x->frees);
}

static int extents_load_placement(struct extents *x)
{
	struct reg_plugin *plugin;
	int r = reg_load(x->how.reg, REG_PLACEMENT, x->how.placement_plugin,
			 &plugin);

	if (r < 0)
		return r;
	r = reg_new(plugin, "placement", x->how.placement_options,
		    x->how.n_placement_options, x->how.os, &x->placement);
	return r < 0 ? r : reg_start(x->placement);
}

int extents_new(const struct extents_how *how, struct extents **ret)
{
	struct extents *x = (struct extents *)calloc(1, sizeof(*x));
	int r;

	if (!x)
		return -ENOMEM;
	x->how = *how;
	extents_init_locks(x);
	r = hmap_init(&x->dropping, 64);
	if (r >= 0)
		r = cache_init(x);
	if (r >= 0)
		r = extents_load_placement(x);
	if (r >= 0)
		r = policies_init(x);
	if (r < 0) {
		extents_free(x);
		return r;
	}
	*ret = x;
	return 0;
}

void extents_opened_hook(void *ctx, struct meta *m)
{
	((struct extents *)ctx)->meta = m;
}

int extents_start(struct extents *x, struct meta *m, const char *default_name)
{
	int r;

	x->meta = m;
	x->readonly = disks_readonly(x->how.disks);
	r = policies_start(x, default_name);
	if (r < 0)
		return r;
	r = repair_load(x);
	if (r < 0 || x->readonly)
		return r;
	return reclaim_start(x);
}

struct disks *extents_disks(struct extents *x)
{
	return x->how.disks;
}

void extents_stop(struct extents *x)
{
	reclaim_stop(x);
}

void extents_free(struct extents *x)
{
	struct list *l;

	if (!x)
		return;
	reclaim_stop(x);
	while ((l = list_pop(&x->frees)))
		free(container_of(l, struct pending_free, link));
	policies_done(x);
	cache_done(x);
	free(x->weak);
	reg_free(x->placement);
	hmap_done(&x->dropping);
	extents_rest(x);
	(void)pthread_cond_destroy(&x->free_wake);
	(void)pthread_mutex_destroy(&x->event_lock);
	(void)pthread_mutex_destroy(&x->repair_lock);
	(void)pthread_mutex_destroy(&x->free_lock);
	(void)pthread_mutex_destroy(&x->drop_lock);
	(void)pthread_mutex_destroy(&x->scratch_lock);
	(void)pthread_mutex_destroy(&x->id_lock);
	(void)pthread_mutex_destroy(&x->policy_lock);
	free(x);
}

static void scratch_free(struct scratch *s)
{
	pages_free(s->data, s->cap);
	free(s);
}

/*
 * Working memory of an encode or decode.  A few are kept: fresh memory of
 * half a megabyte costs more in page faults than the encoding does.  All are
 * large enough for nearly any use; what is not touched costs nothing.
 */
struct scratch *scratch_get(struct extents *x, size_t bytes)
{
	struct scratch *s = NULL, **at;

	(void)pthread_mutex_lock(&x->scratch_lock);
	for (at = &x->scratch; *at; at = &(*at)->next)
		if ((*at)->cap >= bytes) {
			s = *at;
			*at = s->next;
			x->n_scratch--;
			break;
		}
	(void)pthread_mutex_unlock(&x->scratch_lock);
	if (s)
		return s;
	s = (struct scratch *)malloc(sizeof(*s));
	if (!s)
		return NULL;
	if (bytes < x->how.extent_bytes)
		bytes = x->how.extent_bytes;
	s->cap = (bytes + 4095) & ~(size_t)4095;
	s->data = (uint8_t *)pages_new(s->cap);
	if (!s->data) {
		free(s);
		return NULL;
	}
	return s;
}

void scratch_put(struct extents *x, struct scratch *s)
{
	if (!s)
		return;
	(void)pthread_mutex_lock(&x->scratch_lock);
	if (x->n_scratch < SCRATCH_KEEP) {
		s->next = x->scratch;
		x->scratch = TAKE(s);
		x->n_scratch++;
	}
	(void)pthread_mutex_unlock(&x->scratch_lock);
	if (s)
		scratch_free(s);
}

void extents_rest(struct extents *x)
{
	struct scratch *s;

	AUTOLOCK(&x->scratch_lock);
	while ((s = x->scratch)) {
		x->scratch = s->next;
		x->n_scratch--;
		scratch_free(s);
	}
}

/* The bits change with every epoch, so also when membership changes. */
struct extent_id extent_new_id(struct extents *x)
{
	uint64_t bits;

	/* read under the lock: an older answer must not set the counter back */
	AUTOLOCK(&x->id_lock);
	bits = disks_epoch_bits(x->how.disks);
	if (bits != x->id_epoch) {
		x->id_epoch = bits;
		x->id_counter = 0;
	}
	return (struct extent_id){ bits, ++x->id_counter };
}

uint64_t extent_enter(struct extents *x)
{
	unsigned phase;

	for (;;) {
		phase = atomic_load(&x->phase) & 1;
		atomic_fetch_add(&x->readers[phase], 1);
		if ((atomic_load(&x->phase) & 1) == phase)
			return phase;
		atomic_fetch_sub(&x->readers[phase], 1);
	}
}

void extent_leave(struct extents *x, uint64_t ticket)
{
	atomic_fetch_sub(&x->readers[ticket & 1], 1);
}

int extent_record(struct extents *x, struct extent_id id,
		  struct extent_rec *ret)
{
	struct xentry *e;
	int r = cache_get(x, id, &e);

	if (r < 0)
		return r;
	*ret = e->rec;
	cache_put(x, e);
	return 0;
}

int extent_state(struct extents *x, const struct extent_rec *r,
		 struct extent_state *ret)
{
	struct extent_state s = { 0 };

	for (uint32_t i = 0; i < r->k + r->m; ++i) {
		if (fragment_reachable(x, &r->fragments[i]))
			s.present |= 1u << i;
		else
			s.missing |= 1u << i;
	}
	s.readable = (uint32_t)__builtin_popcount(s.present) >= r->k;
	s.full = !s.missing && r->policy == r->stored_as;
	*ret = s;
	return 0;
}

void extents_status(struct extents *x, struct extents_status *ret)
{
	struct extents_status s = {
		.queued_repair = atomic_load(&x->queued_repair),
		.reads = atomic_load(&x->n_reads),
		.writes = atomic_load(&x->n_writes),
		.degraded_reads = atomic_load(&x->n_degraded_reads),
		.degraded_writes = atomic_load(&x->n_degraded_writes),
		.bytes_at_risk = atomic_load(&x->bytes_at_risk),
		.checksum_errors = atomic_load(&x->n_checksum_errors),
		.unreadable = atomic_load(&x->n_unreadable),
	};

	(void)pthread_mutex_lock(&x->free_lock);
	s.queued_free = x->n_frees;
	(void)pthread_mutex_unlock(&x->free_lock);
	*ret = s;
}

void extents_on_event(struct extents *x, extents_event fn, void *ctx)
{
	AUTOLOCK(&x->event_lock);
	x->event = fn;
	x->event_ctx = ctx;
}

void extents_say(struct extents *x, const char *kind, struct extent_id id,
		 const char *fmt, ...)
{
	char text[512];
	extents_event fn;
	va_list ap;
	void *ctx;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)pthread_mutex_lock(&x->event_lock);
	fn = x->event;
	ctx = x->event_ctx;
	(void)pthread_mutex_unlock(&x->event_lock);
	if (fn)
		fn(ctx, kind, id, text);
	else
		log_warn("extent",
			 "%s: extent %016" PRIx64 "%016" PRIx64 ": %s", kind,
			 id.epoch, id.counter, text);
}
