/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening goes from the ground up (disks, extents so that replay can verify,
 * metadata, policies, files, names, frontends), closing the other way; every
 * step that fails takes down what stands.
 *
 * The hooks of the metadata go to the extents and to the tree, which is above
 * them: the pool is the one place that knows both, so the closing hook passes
 * through here.
 */
#include <pool/private.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/log.h>

#include <errno.h>
#include <malloc.h>
#include <registry/frontend.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void pool_closing(void *ctx, struct batch *b)
{
	struct pool *p = (struct pool *)ctx;

	if (p->tree)
		tree_closing_hook(p->tree, b);
}

static void pool_opened(void *ctx, struct meta *m)
{
	extents_opened_hook(((struct pool *)ctx)->extents, m);
}

static int pool_replayed(void *ctx)
{
	return extents_replayed_hook(((struct pool *)ctx)->extents);
}

static int pool_sync_failed(void *ctx, struct disk *disk, uint64_t number,
			    const void *ops, size_t len)
{
	struct pool *p = (struct pool *)ctx;

	pool_say(p, "sync-failed", "disk %u (%s) failed to sync", disk->id,
		 disk->path);
	return extents_sync_failed_hook(p->extents, disk, number, ops, len);
}

static void pool_durable(void *ctx, uint64_t number)
{
	extents_durable_hook(((struct pool *)ctx)->extents, number);
}

static int pool_verify(void *ctx, const void *key, size_t key_len,
		       const void *value, size_t value_len)
{
	return extents_verify_hook(((struct pool *)ctx)->extents, key, key_len,
				   value, value_len);
}

static int pool_open_meta(struct pool *p, bool create)
{
	struct meta_how how = parts_meta(&p->how, p->disks, p->extents);

	how.create = create;
	how.hooks = (struct meta_hooks){
		.ctx = p,
		.opened = pool_opened,
		.closing = pool_closing,
		.replayed = pool_replayed,
		.sync_failed = pool_sync_failed,
		.durable = pool_durable,
		.verify_extent = pool_verify,
	};
	return meta_open(&how, &p->meta);
}

static enum tree_atime pool_atime(int32_t atime)
{
	static const enum tree_atime how[] = {
		[CONF_ATIME_RELATIVE] = TREE_ATIME_RELATIVE,
		[CONF_ATIME_STRICT] = TREE_ATIME_STRICT,
		[CONF_ATIME_FILES] = TREE_ATIME_FILES,
		[CONF_ATIME_NONE] = TREE_ATIME_NONE,
	};

	return how[atime];
}

static int pool_open_upper(struct pool *p, bool create)
{
	struct files_how files = parts_files(&p->how, p);
	struct tree_how tree = { .meta = p->meta,
				 .files = NULL,
				 .extents = p->extents,
				 .disks = p->disks,
				 .readonly = p->readonly,
				 .atime = pool_atime(p->how.conf->pool.atime) };
	int r = extents_start(p->extents, p->meta,
			      p->how.conf->policies.default_name);

	if (r < 0)
		return r;
	r = files_new(&files, &p->files);
	if (r < 0)
		return r;
	tree.files = p->files;
	memcpy(tree.name_key, disks_label(p->disks)->name_key,
	       sizeof(tree.name_key));
	r = tree_new(&tree, &p->tree);
	if (r >= 0 && create)
		r = tree_make_root(p->tree, 0, 0);
	if (r >= 0 && !p->readonly)
		r = files_recover(p->files);
	return r;
}

/*
 * Between making the labels and opening them nobody held them: another process
 * may have taken the disks.
 */
static int pool_is_ours(struct pool *p, bool create)
{
	if (disks_unfinished(p->disks) == create)
		return 0;
	return fail(-EBUSY, "pool '%s' is being made by another process",
		    pool_name(p));
}

static int pool_open_parts(struct pool *p, const struct pool_parts *parts,
			   bool create)
{
	struct disks_how disks = parts_disks(parts, &p->how);
	struct extents_how extents;
	struct meta_status status;
	int r = disks_open(&disks, &p->disks);

	if (r >= 0)
		r = pool_is_ours(p, create);
	if (r < 0)
		return r;
	p->readonly = disks_readonly(p->disks);
	extents = parts_extents(parts, &p->how, p->disks);
	r = extents_new(&extents, &p->extents);
	if (r < 0)
		return r;
	extents_on_event(p->extents, pool_extent_event, p);
	r = pool_open_meta(p, create);
	if (r < 0)
		return r;
	/* a damaged log opens for reading only, and one whose end is not clear:
	 * a write that is taken then could never be committed */
	meta_status(p->meta, &status);
	p->readonly =
	    p->readonly || disks_readonly(p->disks) || status.readonly;
	return pool_open_upper(p, create);
}

/* Takes down what stands; crash: without writing anything. */
static int pool_take_down(struct pool *p, bool crash)
{
	int r = 0, e = 0;

	if (p->files && crash)
		files_abandon(p->files);
	else if (p->files)
		r = files_free(p->files);
	if (p->extents)
		extents_stop(p->extents);
	if (p->meta && crash)
		meta_abandon(p->meta);
	else if (p->meta)
		e = meta_close(p->meta);
	tree_free(p->tree);
	extents_free(p->extents);
	disks_close(p->disks);
	(void)pthread_rwlock_destroy(&p->serving);
	(void)pthread_mutex_destroy(&p->event_lock);
	(void)pthread_mutex_destroy(&p->member_lock);
	free(p);
	return r < 0 ? r : e;
}

/* All that makes an empty pool is durable before a label says so. */
static int pool_finish(struct pool *p)
{
	int r = meta_sync(p->meta, meta_open_number(p->meta));

	return r < 0 ? r : disks_finish(p->disks);
}

static int pool_open_on(const struct pool_how *how,
			const struct pool_parts *parts, bool create,
			struct pool **ret)
{
	struct pool *p = (struct pool *)calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->how = *how;
	(void)pthread_mutex_init(&p->event_lock, NULL);
	(void)pthread_rwlock_init(&p->serving, NULL);
	(void)pthread_mutex_init(&p->member_lock, NULL);
	r = pool_open_parts(p, parts, create);
	if (r >= 0 && !p->readonly)
		hints_save(p);
	if (r >= 0 && create)
		r = pool_finish(p);
	if (r < 0) {
		/* the reason is the first one, not what taking down says */
		char text[FAIL_TEXT_MAX];

		fail_keep(text);
		(void)pool_take_down(p, true);
		fail_back(text);
		return r;
	}
	*ret = p;
	return 0;
}

/*
 * To be closed, and served only after another open: that writes both halves of
 * the labels again, and neither says "unfinished" any more.
 */
static int pool_create_on(const struct pool_how *how, struct pool_parts *parts,
			  struct pool **ret)
{
	struct disks_how disks = parts_disks(parts, how);
	int r = disks_create(&disks);

	return r < 0 ? r : pool_open_on(how, parts, true, ret);
}

/* A crash has cut its making short; nothing is in it. */
static int pool_again(const struct pool_how *how, struct pool_parts *parts)
{
	const char *name = how->conf->pool.name;
	struct pool *p;
	int r;

	if (how->readonly || how->conf->pool.readonly)
		return fail(-EROFS,
			    "pool '%s' was never finished: open it for "
			    "writing, then it is made again",
			    name);
	log_warn("pool", "pool '%s' was never finished: it is made again",
		 name);
	r = pool_create_on(how, parts, &p);
	return r < 0 ? r : pool_close(p);
}

int pool_open(const struct pool_how *how, struct pool **ret)
{
	struct pool_parts parts;
	struct disks_how disks;
	int r = parts_init(&parts, how->conf);

	if (r >= 0)
		r = hints_add(&parts, how);
	if (r >= 0) {
		disks = parts_disks(&parts, how);
		if (disks_look(&disks) == DISKS_UNFINISHED)
			r = pool_again(how, &parts);
	}
	if (r >= 0)
		r = pool_open_on(how, &parts, false, ret);
	parts_done(&parts);
	/* not while it is made: it is opened after that */
	if (r >= 0)
		disks_warn_shared((*ret)->disks);
	return r;
}

/* "needs 2 more disks" before anything is written. */
static int pool_default_fits(const struct conf *conf)
{
	const struct conf_policy *d =
	    conf_policy(conf, conf->policies.default_name);
	size_t want = d ? (size_t)(d->k + d->m) : 0;

	if (want <= conf->pool.n_disks)
		return 0;
	return fail(-ENOSPC,
		    "policy %s wants %zu disks and the config names "
		    "%zu: it needs %zu more disk%s, or another "
		    "default policy",
		    d->name, want, conf->pool.n_disks,
		    want - conf->pool.n_disks,
		    want - conf->pool.n_disks == 1 ? "" : "s");
}

int pool_create(const struct pool_how *how)
{
	struct pool_parts parts;
	struct pool *p;
	int r = pool_default_fits(how->conf);

	if (r < 0)
		return r;
	r = parts_init(&parts, how->conf);
	if (r < 0)
		return r;
	r = pool_create_on(how, &parts, &p);
	parts_done(&parts);
	return r < 0 ? r : pool_close(p);
}

int pool_create_first(const struct pool_how *how, const char *path,
		      uint64_t limit_bytes, const struct member_tag *tags,
		      uint32_t n_tags, struct pool **ret)
{
	struct pool_parts parts;
	int r = parts_init(&parts, how->conf);

	if (r < 0)
		return r;
	parts.entries[0] = (struct disks_entry){
		.path = path,
		.limit_bytes = limit_bytes,
		.role = MEMBER_STORES | MEMBER_LOGS,
		.tags = tags,
		.n_tags = n_tags,
	};
	parts.n_entries = 1;
	r = pool_create_on(how, &parts, ret);
	parts_done(&parts);
	return r;
}

int pool_exists(const struct pool_how *how)
{
	struct pool_parts parts;
	struct disks_how disks;
	int r = parts_init(&parts, how->conf);

	if (r < 0)
		return r;
	(void)hints_add(&parts, how);
	disks = parts_disks(&parts, how);
	r = disks_look(&disks) != DISKS_NONE;
	parts_done(&parts);
	return r;
}

int pool_close(struct pool *p)
{
	pool_unserve(p);
	return pool_take_down(p, false);
}

void pool_abandon(struct pool *p)
{
	pool_unserve(p);
	(void)pool_take_down(p, true);
}

int pool_sync(struct pool *p)
{
	return p->readonly ? 0 : files_sync(p->files);
}

/* What the heap holds in arenas for many threads, nobody needs now. */
void pool_rest(void *ctx)
{
	extents_rest(((struct pool *)ctx)->extents);
	(void)malloc_trim(0);
}

void pool_trim(struct pool *p)
{
	tree_trim(p->tree);
	files_trim(p->files);
	pool_rest(p);
}

const struct conf *pool_conf(struct pool *p)
{
	return p->how.conf;
}

struct reg *pool_reg(struct pool *p)
{
	return p->how.reg;
}

struct disks *pool_disks(struct pool *p)
{
	return p->disks;
}

struct meta *pool_meta(struct pool *p)
{
	return p->meta;
}

struct extents *pool_extents(struct pool *p)
{
	return p->extents;
}

struct files *pool_files(struct pool *p)
{
	return p->files;
}

struct tree *pool_tree(struct pool *p)
{
	return p->tree;
}

const char *pool_name(struct pool *p)
{
	return disks_label(p->disks)->pool_name;
}

bool pool_readonly(struct pool *p)
{
	return p->readonly || atomic_load(&p->halted);
}

/*
 * A frontend may tell of a close later than whoever closed knows of it.  No
 * flag is set meanwhile: if it is a writer after all, nothing happened to it.
 */
static void pool_await_closes(struct pool *p)
{
	struct timespec pause = { .tv_nsec = 10000000 };

	for (int i = 0; i < 100 && files_writers(p->files); ++i)
		(void)nanosleep(&pause, NULL); /* sooner does no harm */
}

/*
 * The flag first, then the look and the sync: what comes after the flag is
 * refused, what came before is seen.
 */
static int pool_halt(struct pool *p)
{
	uint64_t writers;
	int r;

	pool_await_closes(p);
	tree_set_readonly(p->tree, true);
	writers = files_writers(p->files);
	if (writers)
		r = fail(-EBUSY, "%llu file%s open for writing",
			 (unsigned long long)writers,
			 writers == 1 ? " is" : "s are");
	else
		r = files_sync(p->files);
	if (r < 0)
		tree_set_readonly(p->tree, false);
	else
		atomic_store(&p->halted, true);
	return r;
}

int pool_remount(struct pool *p, bool readonly, enum conf_atime atime)
{
	int r = 0;

	AUTOLOCK(&p->member_lock);
	if (!readonly && p->readonly)
		return fail(-EROFS,
			    "pool '%s' was opened for reading only: unmount it "
			    "and mount it for writing",
			    pool_name(p));
	if (readonly && !pool_readonly(p))
		r = pool_halt(p);
	if (r < 0)
		return r;
	if (!readonly) {
		atomic_store(&p->halted, false);
		tree_set_readonly(p->tree, false);
	}
	tree_set_atime(p->tree, pool_atime(atime));
	return 0;
}

int pool_disk_add(struct pool *p, const char *path, uint64_t limit_bytes,
		  const struct member_tag *tags, uint32_t n_tags,
		  uint32_t *ret_id)
{
	struct disks_entry e = {
		.path = path,
		.limit_bytes = limit_bytes,
		.role = MEMBER_STORES | MEMBER_LOGS,
		.tags = tags,
		.n_tags = n_tags,
	};
	int r;

	if (pool_readonly(p))
		return fail(-EROFS, "the pool is open for reading only");
	r = disks_add(p->disks, &e, ret_id);
	if (r >= 0) {
		hints_save(p);
		disks_warn_shared(p->disks);
	}
	return r;
}

int pool_disk_fail(struct pool *p, struct disk *k)
{
	int r;

	AUTOLOCK(&p->member_lock);
	if (pool_readonly(p))
		return fail(-EROFS, "the pool is open for reading only");
	if (atomic_load(&k->state) == MEMBER_FAILED)
		return 0;
	r = disks_may_fail(p->disks, k->id);
	if (r >= 0)
		r = meta_leave(p->meta, k);
	if (r < 0)
		return r;
	r = disks_fail(p->disks, k->id);
	if (r < 0) {
		meta_stay(p->meta);
		return r;
	}
	hints_save(p);
	pool_say(p, "disk-failed",
		 "disk %u (%s) was marked failed and is not touched again",
		 k->id, k->path ? k->path : "missing");
	return 0;
}
