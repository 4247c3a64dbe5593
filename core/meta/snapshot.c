/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A checkpoint of the running pool: made by the engine on the disk of the
 * index, mirrored to the other logs, then the logs are cut on every disk that
 * has it.  A disk where mirroring fails keeps its log and older checkpoint,
 * and is as good as before.
 */
#include <meta/internal.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/log.h>
#include <base/str.h>
#include <meta/files.h>
#include <registry/meta.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/*
 * What disk k has, to take files over from: one that cannot be read costs
 * that only.  It must not keep the next from being made, in whose stead it goes.
 */
static int find_old(struct meta *m, struct disk *k, struct ckpt_list *ret)
{
	int r = ckpt_find(m->os, k, &m->pool, ret);

	if (r != -EIO)
		return r;
	log_warn("meta", "a checkpoint on %s cannot be read: %s", k->path,
		 fail_name(r));
	return 0;
}

/* The newest one on disk k before number, or NULL. */
static const struct ckpt *older(const struct ckpt_list *l, const struct disk *k,
				uint64_t number)
{
	for (size_t i = l->n; i--;)
		if (l->v[i].disk == k && l->v[i].number < number)
			return &l->v[i];
	return NULL;
}

static bool never_changes(struct engine *e, const char *name)
{
	return e->inst->ops.meta->immutable &&
	       REG_CALL(e->inst, meta, immutable, name);
}

/* Size and sum of one file; what is known from old is not read again. */
static int describe(struct meta *m, struct engine *e, const struct ckpt *c,
		    const struct ckpt *old, struct ckpt_file *f)
{
	AUTOFREE char *path = str_path(c->path, f->name);
	struct dynfs_os_stat st;
	int r = path ? m->os->stat(m->os, path, &st) : -ENOMEM;

	if (r)
		return r;
	for (uint32_t i = 0; old && i < old->n_files; i++) {
		const struct ckpt_file *o = &old->files[i];

		if (old->number != e->last_ckpt || o->size != st.size_bytes ||
		    strcmp(o->name, f->name) != 0 || !never_changes(e, f->name))
			continue;
		f->size = o->size;
		memcpy(f->sum, o->sum, SUM128_LEN);
		return 0;
	}
	r = meta_file_sync(m->os, path);
	return r ? r : file_sum(m->os, path, &f->size, f->sum);
}

static int describe_all(struct meta *m, struct engine *e, struct ckpt *c,
			const struct ckpt *old)
{
	char **names = NULL;
	size_t n = 0;
	int r = dir_names(m->os, c->path, &names, &n);

	if (r)
		return r;
	c->files = (struct ckpt_file *)calloc(n + 1, sizeof(*c->files));
	if (!c->files)
		r = -ENOMEM;
	for (size_t i = 0; !r && i < n; i++) {
		struct ckpt_file *f = &c->files[c->n_files++];

		f->name = TAKE(names[i]);
		r = describe(m, e, c, old, f);
	}
	names_free(names, n);
	return r ? r : m->os->syncdir(m->os, c->path);
}

/* The sum of a group that is in the index. */
static int sum_of(struct meta *m, uint64_t number, uint8_t ret[SUM128_LEN])
{
	AUTOLOCK(&m->lock);

	if (number < m->sums_first || number - m->sums_first >= m->n_sums)
		return -EUCLEAN;
	memcpy(ret, m->sums[number - m->sums_first], SUM128_LEN);
	return 0;
}

static void forget_sums(struct meta *m, uint64_t before)
{
	size_t n;
	AUTOLOCK(&m->lock);

	n = (size_t)(before - m->sums_first);
	memmove(m->sums, m->sums + n, (m->n_sums - n) * SUM128_LEN);
	m->n_sums -= n;
	m->sums_first = before;
}

/* By the engine, in a directory that has no number yet. */
static int make_files(struct meta *m, struct engine *e, const char *fresh,
		      struct ckpt *ret)
{
	AUTOFREE char *dir = meta_path_parent(fresh);
	int r = dir ? dir_make(m->os, dir) : -ENOMEM;

	if (!r)
		r = tree_remove(m->os, fresh);
	if (!r)
		r = reg_meta_checkpoint(e->inst, fresh, &ret->number);
	return r ? r : sum_of(m, ret->number, ret->chain);
}

/* Give it its number, describe it, make it count. */
static int finish(struct meta *m, struct engine *e, const char *fresh,
		  struct ckpt *ret)
{
	struct ckpt_list l = { 0 };
	const struct ckpt *old;
	int r;

	ret->disk = e->disk;
	ret->engine = strdup(m->how.engine_plugin);
	ret->path = ckpt_path(e->disk, ret->number);
	if (!ret->engine || !ret->path)
		return -ENOMEM;
	r = find_old(m, e->disk, &l);
	if (!r)
		r = tree_remove(m->os, ret->path);
	if (!r)
		r = m->os->rename(m->os, fresh, ret->path);
	old = older(&l, e->disk, ret->number);
	if (!r)
		r = describe_all(m, e, ret, old);
	if (!r)
		r = ckpt_seal(m->os, ret, old, &m->pool);
	ckpt_list_done(&l);
	return r;
}

/* On the disk of the index. */
static int make_here(struct meta *m, struct engine *e, struct ckpt *ret)
{
	AUTOFREE char *dir = str_path(e->disk->path, "checkpoint");
	AUTOFREE char *fresh = dir ? str_path(dir, "new") : NULL;
	struct ckpt have;
	int r = fresh ? make_files(m, e, fresh, ret) : -ENOMEM;

	if (r)
		return r;
	/* a good one is not broken to make the same again */
	if (!ckpt_get(m->os, e->disk, ret->number, ret->chain, &m->pool,
		      &have)) {
		*ret = have;
		return tree_remove(m->os, fresh);
	}
	r = finish(m, e, fresh, ret);
	if (!r)
		r = m->os->syncdir(m->os, dir);
	if (!r)
		e->last_ckpt = ret->number;
	return r;
}

/* To the disk of log d; then its log is cut. */
static int mirror(struct meta *m, const struct ckpt *c, struct log_disk *d)
{
	struct ckpt_list l = { 0 };
	const struct ckpt *old;
	int r = 0;

	if (d->disk != c->disk) {
		r = find_old(m, d->disk, &l);
		old = r ? NULL : older(&l, d->disk, c->number);
		if (!r)
			r = ckpt_mirror(m->os, c, d->disk, old, &m->pool);
		ckpt_list_done(&l);
	}
	if (r) {
		log_warn("meta", "checkpoint %" PRIu64 " is not on %s: %s",
			 c->number, d->disk->path, fail_name(r));
		return r;
	}
	d->ckpt = c->number;
	r = log_trim(d, c->number);
	if (!r)
		r = ckpt_prune(m->os, d->disk, c->number);
	if (r)
		log_warn("meta",
			 "what checkpoint %" PRIu64 " covers stays "
			 "on %s: %s",
			 c->number, d->disk->path, fail_name(r));
	return 0;
}

int snapshot_make(struct meta *m, struct log_disk *also, struct ckpt *ret)
{
	struct engine *e = index_get(m);
	struct log_disk *logs[LOGS_MAX];
	struct ckpt c = { 0 };
	uint64_t since;
	uint32_t n;
	int r;

	if (!e)
		return -EROFS;
	(void)pthread_mutex_lock(&m->lock);
	n = m->n_logs;
	memcpy(logs, m->logs, n * sizeof(logs[0]));
	since = m->log_since;
	(void)pthread_mutex_unlock(&m->lock);
	fail_clear();
	r = make_here(m, e, &c);
	if (!r) {
		for (uint32_t i = 0; i < n; i++)
			(void)mirror(m, &c, logs[i]); /* said, and harmless */
		r = also ? mirror(m, &c, also) : 0;
		(void)pthread_mutex_lock(&m->lock);
		m->checkpoint = c.number;
		m->log_since -= since;
		(void)pthread_mutex_unlock(&m->lock);
		forget_sums(m, c.number);
	}
	index_put(m, e);
	if (r || !ret)
		ckpt_done(&c);
	else
		*ret = c;
	return r;
}
