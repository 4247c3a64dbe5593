/* SPDX-License-Identifier: Apache-2.0 */
/*
 * segment: fragments appended to large preallocated files.
 *
 * Appending turns the writes of a commit group, whatever their number, into
 * one stretch of disk and one sync.  Nothing is ever overwritten, so a place
 * stays good until it is freed, and a crash can only hurt what was not
 * synced.  Space comes back by punching holes and by removing files.
 *
 * Rejected: a file per fragment (the dir store: a sync and several metadata
 * blocks for each), one huge file (fallocate's holes would be its free list,
 * and nothing would ever be sequential again), reuse of holes (a place would
 * be handed out twice, and a late free would destroy the second owner).
 *
 * This file is what the core sees; the parts: format.c bytes, super.c,
 * open.c, table.c files and handles, append.c, seal.c, read.c, free.c,
 * scan.c, sync.c.
 */
#include "segment.h"

#include <errno.h>

static const struct dynfs_option segment_options[] = {
	{ .name = "segment-size",
	  .type = DYNFS_OPT_SIZE,
	  .offset = offsetof(struct seg_config, segment_size),
	  .width = sizeof(((struct seg_config *)0)->segment_size),
	  .def = "64M",
	  .min = 4 << 20,
	  .max = 4ll << 30,
	  .unit = "bytes",
	  .help = "Size of a segment file; smaller ones are made on small "
		  "disks." },
	{ .name = "open-segments",
	  .type = DYNFS_OPT_INT,
	  .offset = offsetof(struct seg_config, open_segments),
	  .width = sizeof(((struct seg_config *)0)->open_segments),
	  .def = "1",
	  .min = 1,
	  .max = 16,
	  .help = "Segments appended to at once: more let more threads write "
		  "to one disk, and cost a sync each." },
	{ .name = "open-files",
	  .type = DYNFS_OPT_INT,
	  .offset = offsetof(struct seg_config, open_files),
	  .width = sizeof(((struct seg_config *)0)->open_files),
	  .def = "64",
	  .min = 4,
	  .max = 65536,
	  .help = "Segment files kept open for reading." },
	{ .name = NULL },
};

static int segment_create(const struct dynfs_host *h, const void *config,
			  void **ret_self)
{
	struct store *s = h->alloc(h, sizeof(*s), 0);

	if (!s)
		return -ENOMEM;
	s->host = h;
	s->os = h->os;
	s->config = *(const struct seg_config *)config;
	s->super_fd = -1;
	s->lru.lru_next = s->lru.lru_prev = &s->lru;
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->list_lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	*ret_self = s;
	return 0;
}

static void segment_destroy(void *self)
{
	struct store *s = self;

	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->list_lock);
	pthread_mutex_destroy(&s->lock);
	s->host->free(s->host, s);
}

/* How many operations from ops on are of the same kind. */
static uint32_t same_kind(struct dynfs_store_op *const *ops, uint32_t n)
{
	uint32_t k = 1;

	while (k < n && ops[k]->kind == ops[0]->kind)
		k++;
	return k;
}

static int segment_submit(void *self, struct dynfs_store_op *const *ops,
			  uint32_t n)
{
	struct store *s = self;

	while (n > 0) {
		uint32_t k = same_kind(ops, n);

		if (ops[0]->kind == DYNFS_STORE_WRITE) {
			segment_write(s, ops, k);
		} else if (ops[0]->kind == DYNFS_STORE_FREE) {
			segment_free(s, ops, k);
		} else if (ops[0]->kind == DYNFS_STORE_READ) {
			segment_read(s, ops, k);
		} else {
			k = 1;
			ops[0]->result = s->host->fail(
			    s->host, -EINVAL, "segment: no operation %u",
			    ops[0]->kind);
			ops[0]->done(ops[0]);
		}
		ops += k;
		n -= k;
	}
	return 0;
}

/* What open segments have left: preallocated, not written. */
static uint64_t unwritten(const struct store *s)
{
	uint64_t rest = 0;

	for (uint32_t i = 0; i < 16; i++) {
		const struct seg *g = s->slot[i];
		uint64_t used;

		if (!g)
			continue;
		used = ((g->tail + SEG_PAGE - 1) & ~(uint64_t)(SEG_PAGE - 1)) +
		       seg_index_len(g->recs.n + 1);
		if (used < g->size)
			rest += g->size - used;
	}
	return rest;
}

/* Dead bytes that still occupy blocks, where that is known. */
static uint64_t stuck(const struct store *s)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < s->n_segs; i++) {
		const struct seg *g = s->segs[i];
		uint64_t kept = g->live_bytes + SEG_PAGE;

		if (!g->live_known)
			continue;
		if (!g->sealed && g->size > g->tail)
			kept += g->size - g->tail;
		else if (g->sealed)
			kept += seg_index_len(g->n_live);
		if (g->alloc_bytes > kept)
			sum += g->alloc_bytes - kept;
	}
	return sum;
}

static int segment_space(void *self, struct dynfs_store_space *out)
{
	struct store *s = self;
	struct dynfs_store_space sp = { .size = out->size };
	struct dynfs_os_space below;
	uint64_t room, overhead;
	int r;

	r = s->os->space(s->os, s->path, &below);
	if (r < 0)
		return r;
	pthread_mutex_lock(&s->lock);
	sp.total_bytes = s->alloc_bytes + below.free_bytes;
	if (sp.total_bytes > s->limit_bytes)
		sp.total_bytes = s->limit_bytes;
	room = sp.total_bytes > s->alloc_bytes ? sp.total_bytes - s->alloc_bytes
					       : 0;
	/* header and index of each segment that will be made there */
	overhead = (room / s->segment_size + 1) * 4 * SEG_PAGE;
	room += s->punch_bytes;
	sp.free_bytes = unwritten(s) + (room > overhead ? room - overhead : 0);
	sp.stuck_bytes = stuck(s);
	sp.fragments = s->fragments;
	pthread_mutex_unlock(&s->lock);
	if (out->size < sizeof(sp))
		return s->host->fail(s->host, -EINVAL,
				     "segment: space of %zu bytes", out->size);
	*out = sp;
	return 0;
}

static uint64_t segment_cost(void *self, uint32_t head_len,
			     uint64_t payload_len)
{
	(void)self;
	/* and its row in the index */
	return seg_rec_len(head_len, payload_len) + SEG_UNIT;
}

static const struct dynfs_store_ops segment_ops = {
	.size = sizeof(struct dynfs_store_ops),
	.caps = DYNFS_STORE_BLOCKS,
	.open = segment_open,
	.close = segment_close,
	.submit = segment_submit,
	.mark = segment_mark,
	.sync = segment_sync,
	.space = segment_space,
	.cost = segment_cost,
	.list = segment_list,
};

static const struct dynfs_plugin segment_plugin = {
	DYNFS_PLUGIN_HEADER,
	.threading = DYNFS_PARALLEL,
	.name = "segment",
	.version = "0.1.0",
	.summary = "fragments appended to large preallocated files",
	.options = segment_options,
	.config_size = sizeof(struct seg_config),
	.create = segment_create,
	.destroy = segment_destroy,
	.store = &segment_ops,
};

const struct dynfs_plugin *dynfs_plugin_entry(void)
{
	return &segment_plugin;
}
