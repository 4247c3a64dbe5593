/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool: composes disks, metadata, extents, files and names as a config
 * says, and lets frontends at them.
 */
#ifndef POOL_POOL_H
#define POOL_POOL_H

#include <config/config.h>
#include <tree/tree.h>

struct pool;

struct pool_how {
	const struct conf *conf; /* valid until pool_close() */
	struct reg *reg;
	const struct dynfs_os *os;
	bool readonly;
	bool force_rollback;
	/* For a frontend that mounts; see struct dynfs_frontend_env. */
	const char *mount_source;
	uint64_t mount_flags;
	uint32_t cut_rows; /* for tests: struct files_how's; 0: the usual */
};

/*
 * Label the config's disks and make an empty pool on them.  A crash at any
 * point leaves no pool, or an unfinished one, which the next create or open
 * makes again, or the pool.
 */
int pool_create(const struct pool_how *how);
/*
 * The same on one disk that the config does not name; more are added.  The
 * pool stays open: look at it, then close it.
 */
int pool_create_first(const struct pool_how *how, const char *path,
		      uint64_t limit_bytes, const struct member_tag *tags,
		      uint32_t n_tags, struct pool **ret);
/*
 * 1: at least one of the config's disks has a label (of an unfinished pool,
 * perhaps: pool_open() makes it again); 0: none has.
 */
int pool_exists(const struct pool_how *how);
int pool_open(const struct pool_how *how, struct pool **ret);
/* Everything is durable when this returns 0. */
int pool_close(struct pool *p);
/* Stops as a crash would: for tests. */
void pool_abandon(struct pool *p);

/*
 * Open the config's frontends; ended() is called once, from any thread, when
 * one of them ended by itself (unmounted from outside).
 */
int pool_serve(struct pool *p, void (*ended)(void *ctx, int err), void *ctx);
void pool_unserve(struct pool *p);

/* Attributes changed on no frontend's behalf: who keeps them asks again. */
void pool_changed(struct pool *p, uint64_t ino);

/*
 * Readonly: what was answered becomes durable, and no more changes are taken;
 * -EBUSY while a file is open for writing.  The pool stays open as it was, so
 * the room of what was deleted is still given back, and it can be made to take
 * changes again; one that was opened for reading only can not (-EROFS).
 */
int pool_remount(struct pool *p, bool readonly, enum conf_atime atime);

/* All that was answered before the call is durable after. */
int pool_sync(struct pool *p);
/* What is kept to be used again, and what the heap has free, to the system. */
void pool_trim(struct pool *p);

const struct conf *pool_conf(struct pool *p);
struct reg *pool_reg(struct pool *p);
struct disks *pool_disks(struct pool *p);
struct meta *pool_meta(struct pool *p);
struct extents *pool_extents(struct pool *p);
struct files *pool_files(struct pool *p);
struct tree *pool_tree(struct pool *p);
const char *pool_name(struct pool *p);
/* Opened so, or made so since. */
bool pool_readonly(struct pool *p);

/* Things an operator should know, the newest last. */
struct pool_event {
	int64_t wall_ns;
	char kind[32];
	char text[512];
};
uint32_t pool_events(struct pool *p, struct pool_event *out, uint32_t max);
void pool_say(struct pool *p, const char *kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * A disk added or given up on the running pool; the config file is not
 * touched.  When pool_disk_fail() returns 0 nothing touches the disk any more.
 */
int pool_disk_add(struct pool *p, const char *path, uint64_t limit_bytes,
		  const struct member_tag *tags, uint32_t n_tags,
		  uint32_t *ret_id);
int pool_disk_fail(struct pool *p, struct disk *k);

#endif
