/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instances and the services they are lent.
 *
 * The host table is inside of the instance, so that every service knows whom
 * it serves without a lookup.  Memory is counted by a header in front of each
 * piece: asking the allocator what a piece weighs would tie us to one
 * allocator, and a limit that counts only the asked-for bytes is one that an
 * operator can reason about.
 *
 * The order create, start, stop, destroy is kept here and nowhere else; with
 * DYNFS_SERIAL_PLUGIN these calls take the lock like all others.
 */
#include <registry/internal.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/log.h>
#include <base/str.h>

#include <dynfs/os.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

_Thread_local unsigned reg_said;

static struct reg_inst *inst_of(const struct dynfs_host *h)
{
	return h->ctx;
}

static void inst_log(const struct dynfs_host *h, int level, const char *fmt,
		     ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line_va(level, inst_of(h)->area, fmt, ap);
	va_end(ap);
}

static int inst_fail(const struct dynfs_host *h, int err, const char *fmt, ...)
{
	const struct reg_inst *inst = inst_of(h);
	va_list ap;

	reg_said++;
	va_start(ap, fmt);
	(void)fail_va(err, fmt, ap);
	va_end(ap);
	return *inst->label ? fail_wrap(err, "%s", inst->label) : err;
}

/* In front of every piece; the piece itself is aligned as asked. */
struct inst_piece {
	size_t bytes;
	void *start;
};

/* 0 when it would pass the limit. */
static bool inst_charge(struct reg_inst *inst, size_t bytes)
{
	size_t limit =
	    atomic_load_explicit(&inst->mem_limit, memory_order_relaxed);
	size_t now = atomic_fetch_add_explicit(&inst->mem_bytes, bytes,
					       memory_order_relaxed) +
		     bytes;
	size_t peak;

	if (limit && now > limit) {
		atomic_fetch_sub_explicit(&inst->mem_bytes, bytes,
					  memory_order_relaxed);
		return false;
	}
	peak =
	    atomic_load_explicit(&inst->mem_peak_bytes, memory_order_relaxed);
	while (now > peak && !atomic_compare_exchange_weak_explicit(
				 &inst->mem_peak_bytes, &peak, now,
				 memory_order_relaxed, memory_order_relaxed))
		continue;
	return true;
}

static void inst_discharge(struct reg_inst *inst, size_t bytes)
{
	atomic_fetch_sub_explicit(&inst->mem_bytes, bytes,
				  memory_order_relaxed);
}

static void *inst_alloc(const struct dynfs_host *h, size_t len, size_t align)
{
	struct reg_inst *inst = inst_of(h);
	struct inst_piece *piece;
	void *start;
	char *at;
	size_t pad;

	if (align & (align - 1) || align > SIZE_MAX / 4 || len > SIZE_MAX / 4)
		return NULL;
	if (align < _Alignof(max_align_t))
		align = _Alignof(max_align_t);
	pad = sizeof(*piece) > align ? sizeof(*piece) : align;
	if (!inst_charge(inst, len))
		return NULL;
	if (posix_memalign(&start, align, pad + len) != 0) {
		inst_discharge(inst, len);
		return NULL;
	}
	at = (char *)start + pad;
	memset(at, 0, len);
	piece = (struct inst_piece *)(void *)at - 1;
	piece->bytes = len;
	piece->start = start;
	return at;
}

static void inst_free(const struct dynfs_host *h, void *p)
{
	struct inst_piece *piece = p;

	if (!p)
		return;
	piece--;
	inst_discharge(inst_of(h), piece->bytes);
	free(piece->start);
}

static uint64_t inst_now_ns(const struct dynfs_host *h)
{
	return h->os->now_ns(h->os);
}

static void inst_count(const struct dynfs_host *h, unsigned counter,
		       uint64_t by)
{
	struct reg_inst *inst = inst_of(h);

	if (counter < inst->plugin->n_counters)
		atomic_fetch_add_explicit(&inst->counters[counter], by,
					  memory_order_relaxed);
}

static int inst_stopping(const struct dynfs_host *h)
{
	return atomic_load_explicit(&inst_of(h)->stopping,
				    memory_order_relaxed);
}

static void inst_lend(struct reg_inst *inst, const struct dynfs_os *os)
{
	inst->host = (struct dynfs_host){
		.size = sizeof(inst->host),
		.ctx = inst,
		.log = inst_log,
		.fail = inst_fail,
		.alloc = inst_alloc,
		.free = inst_free,
		.now_ns = inst_now_ns,
		.count = inst_count,
		.stopping = inst_stopping,
		.os = os ? os : reg_os_none(),
	};
}

static void inst_choose_lock(struct reg_inst *inst)
{
	switch (inst->plugin->desc.threading) {
	case DYNFS_PARALLEL:
		inst->lock = NULL;
		break;
	case DYNFS_SERIAL_INSTANCE:
		inst->lock = &inst->own_lock;
		break;
	default:
		inst->lock = &inst->plugin->lock;
		break;
	}
}

/* Frees what reg_new() made, before or after the plugin's destroy(). */
static void inst_drop(struct reg_inst **pp)
{
	struct reg_inst *inst = *pp;

	if (!inst)
		return;
	option_clear(inst->plugin, inst->strings);
	if (inst->config)
		explicit_bzero(inst->config, inst->plugin->desc.config_size);
	free(inst->config);
	free(inst->counters);
	free(inst->label);
	free(inst->area);
	(void)pthread_mutex_destroy(&inst->own_lock);
	free(inst);
}

static int inst_begin(struct reg_plugin *p, const char *label,
		      struct reg_inst **ret)
{
	CLEANUP(inst_drop) struct reg_inst *inst = calloc(1, sizeof(*inst));

	if (!inst)
		return -ENOMEM;
	inst->plugin = p;
	(void)pthread_mutex_init(&inst->own_lock, NULL);
	inst->label = strdup(label ? label : "");
	inst->area = str_printf("%s/%s%s%s", reg_kind_name(p->kind), p->name,
				inst->label && *inst->label ? " " : "",
				inst->label ? inst->label : "");
	inst->config = calloc(1, p->desc.config_size + 1);
	inst->strings = calloc(p->n_options + 1, sizeof(*inst->strings));
	inst->counters = calloc(p->n_counters + 1, sizeof(*inst->counters));
	if (!inst->label || !inst->area || !inst->config || !inst->strings ||
	    !inst->counters)
		return -ENOMEM;
	/* all members of the union are one pointer to the ops */
	inst->ops.store = &p->ops.store;
	inst_choose_lock(inst);
	*ret = TAKE(inst);
	return 0;
}

static int inst_bad_limits(const struct reg_inst *inst)
{
	return fail(-EINVAL, "%s gives limits that make no sense", inst->area);
}

/* Asked once: every encode and rebuild is compared with them. */
static int inst_get_limits(struct reg_inst *inst)
{
	struct dynfs_redundancy_limits *l = &inst->limits;
	int r;

	l->size = sizeof(*l);
	r = REG_ASK(inst, redundancy, limits, l);
	if (r < 0)
		return r;
	if (!l->data_min || l->data_min > l->data_max ||
	    l->check_min > l->check_max ||
	    l->total_max > DYNFS_REDUNDANCY_MAX ||
	    l->data_min + l->check_min > l->total_max)
		return inst_bad_limits(inst);
	if (!l->align || l->align & (l->align - 1) || l->align > 4096 ||
	    !l->quantum || l->quantum > 65536)
		return inst_bad_limits(inst);
	if (inst->ops.redundancy->caps & DYNFS_REDUNDANCY_COPIES &&
	    l->data_max > 1)
		return inst_bad_limits(inst);
	return 0;
}

static int inst_create(struct reg_inst *inst)
{
	const struct dynfs_plugin *d = &inst->plugin->desc;
	unsigned said = reg_said;
	void *self = NULL;
	int r;

	reg_enter(inst);
	r = d->create(&inst->host, inst->config, &self);
	reg_leave(inst);
	if (r != 0)
		return reg_blame(inst, "create", r, said);
	inst->self = self;
	return 0;
}

static void inst_destroy(struct reg_inst *inst)
{
	reg_enter(inst);
	inst->plugin->desc.destroy(inst->self);
	reg_leave(inst);
	if (reg_memory(inst))
		log_warn(inst->area, "%zu bytes were not freed",
			 reg_memory(inst));
}

int reg_new(struct reg_plugin *plugin, const char *label,
	    const struct reg_setting *set, size_t n, const struct dynfs_os *os,
	    struct reg_inst **ret)
{
	CLEANUP(inst_drop) struct reg_inst *inst = NULL;
	int r = inst_begin(plugin, label, &inst);

	if (r < 0)
		return r;
	r = option_fill(plugin, set, n, inst->config, inst->strings);
	if (r < 0)
		return r;
	inst_lend(inst, os);
	r = inst_create(inst);
	if (r < 0)
		return r;
	if (plugin->kind == REG_REDUNDANCY)
		r = inst_get_limits(inst);
	if (r < 0) {
		inst_destroy(inst);
		return r;
	}
	inst->state = REG_CREATED;
	*ret = TAKE(inst);
	return 0;
}

int reg_start(struct reg_inst *inst)
{
	const struct dynfs_plugin *d = &inst->plugin->desc;
	unsigned said = reg_said;
	int r = 0;

	if (inst->state != REG_CREATED)
		return fail(-EINVAL, "%s was started before", inst->area);
	if (d->start) {
		reg_enter(inst);
		r = d->start(inst->self);
		reg_leave(inst);
	}
	if (r != 0)
		return reg_blame(inst, "start", r, said);
	inst->state = REG_STARTED;
	return 0;
}

void reg_cancel(struct reg_inst *inst)
{
	atomic_store(&inst->stopping, 1);
}

void reg_stop(struct reg_inst *inst)
{
	if (inst->state != REG_STARTED)
		return;
	reg_cancel(inst);
	inst->state = REG_STOPPED;
	if (!inst->plugin->desc.stop)
		return;
	reg_enter(inst);
	inst->plugin->desc.stop(inst->self);
	reg_leave(inst);
}

void reg_free(struct reg_inst *inst)
{
	if (!inst)
		return;
	reg_stop(inst);
	inst_destroy(inst);
	inst_drop(&inst);
}

void reg_limit_memory(struct reg_inst *inst, size_t bytes)
{
	atomic_store(&inst->mem_limit, bytes);
}

size_t reg_memory(const struct reg_inst *inst)
{
	return atomic_load_explicit(&inst->mem_bytes, memory_order_relaxed);
}

size_t reg_memory_peak(const struct reg_inst *inst)
{
	return atomic_load_explicit(&inst->mem_peak_bytes,
				    memory_order_relaxed);
}

uint64_t reg_counter(const struct reg_inst *inst, size_t i)
{
	return i < inst->plugin->n_counters
		   ? atomic_load_explicit(&inst->counters[i],
					  memory_order_relaxed)
		   : 0;
}
