/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The config in the words of the modules, and who gets how much memory.
 *
 * limits.memory is shared out, so that all shares used up at once are below it.
 * First comes what nobody counts: the program, buffers of the threads that
 * take requests, and a sixteenth for the holes of the heap.  Of what is left
 * the index gets what metadata.memory says, at most a third.  The rest: three
 * quarters to unwritten bytes, inodes and maps (file.h says how much for each),
 * an eighth to extent records, one to batches on their way to log and index.
 */
#include <pool/private.h>

#include <base/str.h>
#include <base/unconst.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define MIB 1048576ull

#define MEMORY_PROGRAM (24 * MIB) /* measured: 15 of code, 2 of stacks */
#define MEMORY_REQUEST (4 * MIB)  /* 1 in, 1 out, what is decoded and encoded */
#define MEMORY_THREAD  (32 * MIB) /* a processor used for so much, at most */
#define BATCH_COST     5u /* record, rows, the engine's copy: bytes for one */
#define BATCH_LEAST    (MIB / 2)

#define LOG_BYTES_MAX (64ull << 20)
#define LOG_SHARE     8u /* of the room for log and index, one part in so many */

static uint32_t count_tags(const struct conf *conf)
{
	size_t n = 0;

	for (size_t i = 0; i < conf->pool.n_disks; ++i)
		n += conf->pool.disks[i].n_labels;
	return (uint32_t)n;
}

static void parts_entries(struct pool_parts *p, const struct conf *conf)
{
	struct member_tag *tag = p->tags;

	for (size_t i = 0; i < conf->pool.n_disks; ++i) {
		const struct conf_disk *d = &conf->pool.disks[i];
		struct disks_entry *e = &p->entries[p->n_entries++];

		*e = (struct disks_entry){
			.path = d->path,
			.limit_bytes = d->limit_bytes,
			.role = MEMBER_STORES | MEMBER_LOGS,
			.tags = tag,
			.n_tags = (uint32_t)d->n_labels,
		};
		/* borrowed: whoever keeps a tag copies it */
		for (size_t j = 0; j < d->n_labels; ++j)
			*tag++ = (struct member_tag){
				unconst(d->labels[j].key),
				unconst(d->labels[j].value),
			};
	}
	for (size_t i = 0; i < conf->metadata.dirs.n; ++i)
		p->entries[p->n_entries++] = (struct disks_entry){
			.path = conf->metadata.dirs.list[i],
			.role = MEMBER_LOGS,
		};
}

static int parts_defs(struct pool_parts *p, const struct conf *conf)
{
	for (size_t i = 0; i < conf->policies.n; ++i) {
		const struct conf_policy *c = &conf->policies.list[i];
		struct conf_ids ids;
		int r = conf_users(c, &ids);

		if (r < 0)
			return r;
		p->defs[p->n_defs++] = (struct policy_def){
			.name = c->name,
			.redundancy = c->redundancy.name,
			.options = c->redundancy.options,
			.n_options = (uint32_t)c->redundancy.n_options,
			.k = (uint32_t)c->k,
			.m = (uint32_t)c->m,
			.checksum = c->checksum,
			.block_bytes = (uint32_t)c->block_bytes,
			.degraded = c->degraded,
			.users = { ids.uids, ids.gids, ids.n_uids, ids.n_gids },
		};
	}
	return 0;
}

int parts_init(struct pool_parts *parts, const struct conf *conf)
{
	size_t n = conf->pool.n_disks + conf->metadata.dirs.n;
	int r = -ENOMEM;

	*parts = (struct pool_parts){ 0 };
	parts->entries =
	    (struct disks_entry *)calloc(n + 1, sizeof(*parts->entries));
	parts->tags = (struct member_tag *)calloc(count_tags(conf) + 1,
						  sizeof(*parts->tags));
	parts->defs = (struct policy_def *)calloc(conf->policies.n + 1,
						  sizeof(*parts->defs));
	if (parts->entries && parts->tags && parts->defs) {
		parts_entries(parts, conf);
		r = parts_defs(parts, conf);
	}
	if (r < 0)
		parts_done(parts);
	return r;
}

void parts_done(struct pool_parts *parts)
{
	for (uint32_t i = 0; parts->defs && i < parts->n_defs; ++i) {
		free(parts->defs[i].users.uids);
		free(parts->defs[i].users.gids);
	}
	free(parts->entries);
	free(parts->tags);
	free(parts->defs);
	free(parts->hints);
	*parts = (struct pool_parts){ 0 };
}

static unsigned pool_threads(const struct conf *conf)
{
	long n = conf->limits.threads;
	long most = (long)(conf->limits.memory_bytes / MEMORY_THREAD);

	if (!n) {
		n = sysconf(_SC_NPROCESSORS_ONLN);
		n = n < most ? n : most;
	}
	return n < 1 ? 1 : n > 256 ? 256 : (unsigned)n;
}

/* With few processors several still wait for disks at once. */
unsigned parts_requests(const struct conf *conf)
{
	unsigned n = pool_threads(conf);

	if (conf->limits.threads)
		return n;
	return n > 2 ? 2 * n : 4;
}

struct disks_how parts_disks(const struct pool_parts *parts,
			     const struct pool_how *how)
{
	const struct conf *conf = how->conf;

	return (struct disks_how){
		.os = how->os,
		.reg = how->reg,
		.entries = parts->entries,
		.n_entries = parts->n_entries,
		.pool_name = conf->pool.name,
		.avoid_path = conf->pool.mountpoint,
		.store_plugin = conf->store.name,
		.store_options = conf->store.options,
		.n_store_options = (uint32_t)conf->store.n_options,
		.extent_bytes = (uint32_t)conf->pool.extent_bytes,
		/* they wait for disks rather than compute */
		.n_io_threads = 4 + 2 * pool_threads(conf),
		.readonly = how->readonly || conf->pool.readonly,
		.force_rollback = how->force_rollback,
	};
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* More threads than that allows are asked for by name: a quarter stays to share. */
static uint64_t memory_shared(const struct conf *conf)
{
	uint64_t bytes = conf->limits.memory_bytes;
	uint64_t apart = bytes / 16 + MEMORY_PROGRAM +
			 (uint64_t)parts_requests(conf) * MEMORY_REQUEST;

	return bytes - least(apart, bytes / 4 * 3);
}

static uint64_t memory_of_index(const struct conf *conf)
{
	return least(conf->metadata.memory_bytes, memory_shared(conf) / 3);
}

/* So many eighths of what the index leaves. */
static uint64_t memory_of(const struct conf *conf, unsigned parts)
{
	return (memory_shared(conf) - memory_of_index(conf)) / 8 * parts;
}

/* How many bytes of batches may wait for log and index. */
static uint64_t batch_bytes_of(const struct conf *conf)
{
	uint64_t bytes = memory_of(conf, 1) / BATCH_COST;

	return bytes < BATCH_LEAST ? BATCH_LEAST : bytes;
}

struct extents_how parts_extents(const struct pool_parts *parts,
				 const struct pool_how *how,
				 struct disks *disks)
{
	const struct conf *conf = how->conf;

	return (struct extents_how){
		.os = how->os,
		.reg = how->reg,
		.disks = disks,
		.placement_plugin = conf->placement.name,
		.placement_options = conf->placement.options,
		.n_placement_options = (uint32_t)conf->placement.n_options,
		.defs = parts->defs,
		.n_defs = parts->n_defs,
		.cache_bytes = memory_of(conf, 1),
		.extent_bytes = disks_label(disks)->extent_bytes,
	};
}

/*
 * How much log may come together: with the index, two checkpoints and the log
 * that one of these has yet to cut it must fit into the room that stores
 * leave, or a full small pool could not even delete.
 */
static uint64_t log_bytes_of(const struct disks *disks)
{
	uint64_t bytes = LOG_BYTES_MAX;

	for (uint32_t i = 0; i < disks_count(disks); ++i) {
		uint64_t room = disk_room(disks_at(disks, i));

		if (room)
			bytes = least(bytes, room / LOG_SHARE);
	}
	return bytes;
}

struct meta_how parts_meta(const struct pool_how *how, struct disks *disks,
			   struct extents *extents)
{
	const struct conf *conf = how->conf;
	uint64_t log_bytes = log_bytes_of(disks);
	uint64_t pending = batch_bytes_of(conf);

	return (struct meta_how){
		.os = how->os,
		.reg = how->reg,
		.disks = disks,
		.engine_plugin = conf->metadata.engine.name,
		.engine_options = conf->metadata.engine.options,
		.n_engine_options = (uint32_t)conf->metadata.engine.n_options,
		.copies = (uint32_t)conf->metadata.copies,
		.memory_bytes = memory_of_index(conf),
		.pending_bytes = pending,
		/* one is written while the next is filled */
		.group_bytes = least(conf->metadata.group_bytes,
				     least(log_bytes, pending / 2)),
		.group_ns = (uint64_t)conf->metadata.group_ms * 1000000,
		.log_bytes = log_bytes,
		.readonly = disks_readonly(disks),
		.hooks = {
			.ctx = extents,
			.opened = extents_opened_hook,
			.sync_failed = extents_sync_failed_hook,
			.durable = extents_durable_hook,
			.verify_extent = extents_verify_hook,
		},
	};
}

struct files_how parts_files(const struct pool_how *how, struct pool *p)
{
	const struct conf *conf = how->conf;

	return (struct files_how){
		.os = how->os,
		.meta = p->meta,
		.extents = p->extents,
		.extent_bytes = disks_label(p->disks)->extent_bytes,
		.memory_bytes = memory_of(conf, 6),
		.inline_file_bytes = 512,
		.inline_sync_bytes = 16u << 10,
		/* the log has them, too, and the index for a while twice */
		.inline_most_bytes = log_bytes_of(p->disks) / 2,
		.cut_rows = how->cut_rows ? how->cut_rows : 512,
		.n_threads = 1 + pool_threads(conf),
		.flush_ns = 1000000000,
		.readonly = p->readonly,
		.rest = pool_rest,
		.changed = pool_lost,
		.ctx = p,
	};
}
