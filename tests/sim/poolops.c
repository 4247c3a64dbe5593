/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An operation that the power cut short may have happened or not: the model
 * takes it as done, as a step that nobody was answered.
 */
#include "poolops.h"

#include "poolview.h"

#include <base/fail.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#define ENTRY_MAX 40u
#define NAMES     14u

static const struct dynfs_caller who = { .uid = 0 };

bool answered(struct actor *a, int r, const char *what)
{
	char where[160];

	if (!r)
		return true;
	if (!simos_is_down(a->w->p.sim))
		seed_fail("%s actor %u step %u: %s: %s: %s",
			  world_where(a->w, where), a->number, a->step, what,
			  fail_name(r), fail_text(r));
	return false;
}

bool refused(struct actor *a, int r)
{
	if (r != -ENOSPC || !a->w->tight)
		return false;
	met(a->w, SUM_FULL, 1);
	return true;
}

uint32_t some_node(struct actor *a, uint32_t type)
{
	const struct pm_space *s = &a->m->now;
	uint32_t held = a->held[dice(&a->rng, HELD_MAX)];

	if (type == S_IFREG && held && dice(&a->rng, 6) == 0)
		return held;
	for (unsigned i = 0; s->n && i < 20; i++) {
		uint32_t node = s->e[dice(&a->rng, s->n)].node;

		if (type == ANY_TYPE || a->m->node[node].type == type)
			return node;
	}
	return 0;
}

static uint32_t some_dir(struct actor *a)
{
	return dice(&a->rng, 2) ? some_node(a, S_IFDIR) : 0;
}

static void some_name(struct actor *a, char name[PM_NAME])
{
	(void)snprintf(name, PM_NAME, "n%u", (unsigned)dice(&a->rng, NAMES));
}

/* A place for a new name; false: it is taken, or there are too many. */
static bool free_place(struct actor *a, uint32_t *dir, char name[PM_NAME])
{
	*dir = some_dir(a);
	some_name(a, name);
	return a->m->now.n < ENTRY_MAX && !pm_find(a->m, *dir, name);
}

uint64_t ino_of(const struct actor *a, uint32_t node)
{
	return a->m->node[node].ino;
}

static int make(struct actor *a, uint32_t type, uint32_t dir, const char *name,
		const char *target, struct dynfs_attr *ret)
{
	const struct dynfs_fs_view *fs = a->w->p.fs;
	uint64_t in = ino_of(a, dir);
	struct dynfs_file *file;
	int r;

	if (type == S_IFDIR)
		return fs->mkdir(fs->ctx, in, name, 0755, &who, ret);
	if (type == S_IFLNK)
		return fs->symlink(fs->ctx, in, name, target, &who, ret);
	r = fs->create(fs->ctx, in, name, 0644, O_RDWR, &who, ret, &file);
	if (!r)
		fs->release(fs->ctx, file);
	return r;
}

/* New objects; after a cut they may be there, with whatever number. */
static void do_make(struct actor *a, uint32_t type)
{
	const struct dynfs_fs_view *fs = a->w->p.fs;
	struct dynfs_attr at = { 0 };
	char name[PM_NAME], target[PM_NAME] = "";
	uint32_t dir;
	int r;

	if (!free_place(a, &dir, name))
		return;
	if (type == S_IFLNK)
		some_name(a, target);
	r = make(a, type, dir, name, target, &at);
	if (refused(a, r))
		return;
	if (answered(a, r, "make"))
		fs->forget(fs->ctx, at.ino, 1);
	else
		at = (struct dynfs_attr){ 0 };
	pm_enter(a->m, dir, name,
		 pm_add(a->m, type, at.ino, at.generation, target));
	pm_step(a->m);
}

/* May from take the name that over has? */
static bool may_replace(const struct actor *a, const struct pm_entry *from,
			const struct pm_entry *over, uint32_t dir)
{
	bool from_dir = a->m->node[from->node].type == S_IFDIR;
	bool over_dir = over && a->m->node[over->node].type == S_IFDIR;

	if (from_dir && pm_is_below(a->m, dir, from->node))
		return false;
	if (!over)
		return true;
	return over->node != from->node && from_dir == over_dir &&
	       (!over_dir || pm_is_empty(a->m, over->node));
}

static void do_rename(struct actor *a)
{
	const struct dynfs_fs_view *fs = a->w->p.fs;
	struct pm_space *s = &a->m->now;
	struct pm_entry from, *over;
	uint32_t dir = some_dir(a);
	char name[PM_NAME];
	bool replaces;
	int r;

	if (!s->n)
		return;
	from = s->e[dice(&a->rng, s->n)];
	some_name(a, name);
	over = pm_find(a->m, dir, name);
	replaces = over;
	if (!may_replace(a, &from, over, dir))
		return;
	r = fs->rename(fs->ctx, ino_of(a, from.parent), from.name,
		       ino_of(a, dir), name, 0, NULL);
	(void)answered(a, r, "rename");
	if (over)
		pm_remove(a->m, over);
	pm_remove(a->m, pm_find(a->m, from.parent, from.name));
	pm_enter(a->m, dir, name, from.node);
	pm_step(a->m);
	if (replaces && !r)
		pm_settled(a->m, from.node);
}

static void do_exchange(struct actor *a)
{
	const struct dynfs_fs_view *fs = a->w->p.fs;
	struct pm_space *s = &a->m->now;
	struct pm_entry *x, *y;
	uint32_t node;
	int r;

	if (!s->n)
		return;
	x = &s->e[dice(&a->rng, s->n)];
	y = &s->e[dice(&a->rng, s->n)];
	if (x->node == y->node || pm_is_below(a->m, y->parent, x->node) ||
	    pm_is_below(a->m, x->parent, y->node))
		return;
	r = fs->rename(fs->ctx, ino_of(a, x->parent), x->name,
		       ino_of(a, y->parent), y->name, DYNFS_RENAME_EXCHANGE,
		       NULL);
	(void)answered(a, r, "exchange");
	node = x->node;
	x->node = y->node;
	y->node = node;
	pm_step(a->m);
}

static void do_link(struct actor *a)
{
	const struct dynfs_fs_view *fs = a->w->p.fs;
	uint32_t dir, node = some_node(a, S_IFREG);
	struct dynfs_attr at;
	char name[PM_NAME];
	int r;

	if (!node || !pm_links(&a->m->now, node) || !free_place(a, &dir, name))
		return;
	r = fs->link(fs->ctx, ino_of(a, node), ino_of(a, dir), name, &at);
	if (refused(a, r))
		return;
	if (answered(a, r, "link"))
		fs->forget(fs->ctx, at.ino, 1);
	pm_enter(a->m, dir, name, node);
	pm_step(a->m);
}

static void do_remove(struct actor *a, bool is_dir)
{
	const struct dynfs_fs_view *fs = a->w->p.fs;
	struct pm_space *s = &a->m->now;
	struct pm_entry *e;
	int r;

	if (!s->n)
		return;
	e = &s->e[dice(&a->rng, s->n)];
	if (is_dir != (a->m->node[e->node].type == S_IFDIR) ||
	    (is_dir && !pm_is_empty(a->m, e->node)))
		return;
	r = is_dir ? fs->rmdir(fs->ctx, ino_of(a, e->parent), e->name)
		   : fs->unlink(fs->ctx, ino_of(a, e->parent), e->name);
	(void)answered(a, r, "remove");
	pm_remove(a->m, e);
	pm_step(a->m);
}

static void do_setxattr(struct actor *a)
{
	const struct dynfs_fs_view *fs = a->w->p.fs;
	uint32_t node = some_node(a, dice(&a->rng, 2) ? S_IFREG : S_IFDIR);
	uint64_t value = 1 + dice(&a->rng, 1000000);
	int r;

	if (!node)
		return;
	r = fs->setxattr(fs->ctx, ino_of(a, node), "user.sim", &value,
			 sizeof(value), 0, &who);
	if (refused(a, r))
		return;
	(void)answered(a, r, "setxattr");
	a->m->now.xattr[node] = value;
	pm_step(a->m);
}

static void do_sync(struct actor *a)
{
	if (answered(a, pool_sync(a->w->p.pool), "sync"))
		pm_synced(a->m);
}

/* A weak disk may spoil it: then there is none. */
static void do_checkpoint(struct actor *a)
{
	if (!meta_checkpoint(pool_meta(a->w->p.pool)))
		met(a->w, SUM_CHECKPOINT, 1);
}

/* Old enough to be flushed; the workers look now and then. */
static void do_wait(struct actor *a)
{
	const struct timespec t = { .tv_nsec = 2000000 };

	simos_advance(a->w->p.sim, 2000000000);
	(void)nanosleep(&t, NULL);
}

static void do_statfs(struct actor *a)
{
	const struct dynfs_fs_view *fs = a->w->p.fs;
	struct dynfs_statfs st;

	if (!answered(a, fs->statfs(fs->ctx, &st), "statfs"))
		return;
	CHECK(a->w, st.avail_bytes <= st.free_bytes);
	CHECK(a->w, st.free_bytes <= st.total_bytes);
	CHECK(a->w, st.files_free <= st.files);
}

static void make_file(struct actor *a)
{
	do_make(a, S_IFREG);
}

static void make_dir(struct actor *a)
{
	do_make(a, S_IFDIR);
}

static void make_link(struct actor *a)
{
	do_make(a, S_IFLNK);
}

static void remove_file(struct actor *a)
{
	do_remove(a, false);
}

static void remove_dir(struct actor *a)
{
	do_remove(a, true);
}

void actor_step(struct actor *a)
{
	static const struct {
		unsigned weight;
		void (*fn)(struct actor *a);
		const char *name;
	} ops[] = {
		{ 24, do_write, "write" },
		{ 3, do_save, "save" },
		{ 1, do_shred, "shred" },
		{ 6, do_truncate, "truncate" },
		{ 4, do_punch, "punch" },
		{ 6, do_copy, "copy" },
		{ 4, do_allocate, "fallocate" },
		{ 4, do_seek, "seek" },
		{ 3, do_cut_far, "cut far" },
		{ 14, make_file, "create" },
		{ 9, do_rename, "rename" },
		{ 2, do_exchange, "exchange" },
		{ 4, do_link, "link" },
		{ 6, remove_file, "unlink" },
		{ 5, make_dir, "mkdir" },
		{ 3, remove_dir, "rmdir" },
		{ 3, make_link, "symlink" },
		{ 4, do_setxattr, "setxattr" },
		{ 6, do_fsync, "fsync" },
		{ 2, do_sync, "sync" },
		{ 6, do_read, "read" },
		{ 2, do_hold, "open" },
		{ 2, do_let_go, "release" },
		{ 3, do_wait, "wait" },
		{ 1, do_checkpoint, "checkpoint" },
		{ 1, do_statfs, "statfs" },
	};
	unsigned sum = 0, i = 0;
	uint64_t x;

	for (unsigned j = 0; j < sizeof(ops) / sizeof(*ops); j++)
		sum += ops[j].weight;
	for (x = dice(&a->rng, sum); x >= ops[i].weight; i++)
		x -= ops[i].weight;
	a->doing = ops[i].name;
	ops[i].fn(a);
}
