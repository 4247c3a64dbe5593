/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of pool/ share. */
#ifndef POOL_PRIVATE_H
#define POOL_PRIVATE_H

#include <pool/pool.h>

#include <pthread.h>
#include <stdatomic.h>

#define POOL_EVENTS 64u

struct frontend_slot {
	struct reg_inst *inst;
	bool open;
	bool serves; /* and can be told of changes; under pool.serving */
};

struct pool {
	struct pool_how how;
	struct disks *disks;
	struct extents *extents;
	struct meta *meta;
	struct files *files;
	struct tree *tree;
	bool readonly;      /* since it was opened */
	atomic_bool halted; /* no more changes are taken: pool_remount() */

	struct frontend_slot *frontends;
	uint32_t n_frontends;
	pthread_rwlock_t serving; /* read: one of them is told something */
	void (*ended)(void *ctx, int err);
	void *ended_ctx;

	/* one disk is given up at a time, and not while halted changes */
	pthread_mutex_t member_lock;
	pthread_mutex_t event_lock; /* all below */
	struct pool_event events[POOL_EVENTS];
	uint32_t n_events, next_event;
};

/* compose.c: the config's words to those of the modules. */
struct pool_parts {
	struct disks_entry *entries; /* owned; tags too */
	uint32_t n_entries;
	struct member_tag *tags;
	struct policy_def *defs;
	uint32_t n_defs;
	char *hints; /* owned: paths that the config does not name */
};
int parts_init(struct pool_parts *parts, const struct conf *conf);
void parts_done(struct pool_parts *parts);
struct disks_how parts_disks(const struct pool_parts *parts,
			     const struct pool_how *how);
struct extents_how parts_extents(const struct pool_parts *parts,
				 const struct pool_how *how,
				 struct disks *disks);
struct meta_how parts_meta(const struct pool_how *how, struct disks *disks,
			   struct extents *extents);
struct files_how parts_files(const struct pool_how *how, struct pool *p);

/* How many requests are worked on at once, but for those that wait long. */
unsigned parts_requests(const struct conf *conf);

/* pool.c: for struct files_how */
void pool_rest(void *ctx);
/* serve.c: too */
void pool_lost(void *ctx, uint64_t ino);

/* hints.c */
int hints_add(struct pool_parts *parts, const struct pool_how *how);
void hints_save(struct pool *p);

/* events.c */
void pool_extent_event(void *ctx, const char *kind, struct extent_id id,
		       const char *text);

#endif
