/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An operation that the power cut short may have happened or not: the model
 * takes it as done, as a step that nobody was answered.
 */
#include "poolops.h"
#include "poolview.h"

#include <base/cleanup.h>
#include <base/fail.h>

#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#define FILE_MAX  300000u
#define ENTRY_MAX 40u
#define ANY_TYPE  0u

static const struct dynfs_caller who = { .uid = 0 };

uint64_t dice(struct world *w, uint64_t n)
{
	uint64_t x = w->rng += 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return (x ^ x >> 31) % n;
}

void check(const struct world *w, bool ok, const char *what, int line)
{
	if (!ok)
		fail_msg("DYNFS_SEED=%" PRIu64 " life %u step %u (%s): %s "
			 "(line %d): %s",
			 w->seed, w->life, w->step, w->doing, what, line,
			 fail_text(0));
}

bool answered(struct world *w, int r, const char *what)
{
	if (!r)
		return true;
	if (!simos_is_down(w->sim))
		fail_msg("DYNFS_SEED=%" PRIu64 " life %u step %u: %s: %s",
			 w->seed, w->life, w->step, what, fail_text(r));
	return false;
}

/* A node of a type that has a name, by chance; 0: none (or the root). */
static uint32_t some_node(struct world *w, uint32_t type)
{
	const struct pm_space *s = &w->m->now;

	for (unsigned i = 0; s->n && i < 20; i++) {
		uint32_t node = s->e[dice(w, s->n)].node;

		if (type == ANY_TYPE || w->m->node[node].type == type)
			return node;
	}
	return 0;
}

static uint32_t some_dir(struct world *w)
{
	return dice(w, 2) ? some_node(w, S_IFDIR) : 0;
}

static void some_name(struct world *w, char name[PM_NAME])
{
	(void)snprintf(name, PM_NAME, "n%u", (unsigned)dice(w, 14));
}

/* A place for a new name; false: it is taken, or there are too many. */
static bool free_place(struct world *w, uint32_t *dir, char name[PM_NAME])
{
	*dir = some_dir(w);
	some_name(w, name);
	return w->m->now.n < ENTRY_MAX && !pm_find(w->m, *dir, name);
}

static uint64_t ino_of(const struct world *w, uint32_t node)
{
	return w->m->node[node].ino;
}

/* New objects; after a cut they may be there, with whatever number. */
static void do_make(struct world *w, uint32_t type)
{
	const struct dynfs_fs_view *fs = w->fs;
	struct dynfs_attr a = { 0 };
	char name[PM_NAME], target[PM_NAME] = "";
	uint32_t dir;
	int r;

	if (!free_place(w, &dir, name))
		return;
	if (type == S_IFDIR) {
		r = fs->mkdir(fs->ctx, ino_of(w, dir), name, 0755, &who, &a);
	} else if (type == S_IFLNK) {
		some_name(w, target);
		r = fs->symlink(fs->ctx, ino_of(w, dir), name, target, &who,
				&a);
	} else {
		r = fs->create(fs->ctx, ino_of(w, dir), name, 0644, O_RDWR,
			       &who, &a);
		if (!r)
			fs->release(fs->ctx, a.ino, O_RDWR);
	}
	if (answered(w, r, "make"))
		fs->forget(fs->ctx, a.ino, 1);
	else
		a = (struct dynfs_attr){ 0 };
	pm_enter(w->m, dir, name,
		 pm_add(w->m, type, a.ino, a.generation, target));
	pm_step(w->m);
}

static void do_write(struct world *w)
{
	const struct dynfs_fs_view *fs = w->fs;
	uint32_t node = some_node(w, S_IFREG);
	size_t len = 1 + dice(w, dice(w, 5) ? 4000 : FILE_MAX / 2);
	size_t off = dice(w, 3) ? dice(w, FILE_MAX / 2) : 0;
	uint64_t x = w->seed << 32 | ++w->next_byte;
	uint8_t *data;
	int r;

	if (!node)
		return;
	if (dice(w, 4) == 0)
		off = pm_newest(w->m, node)->len % (FILE_MAX / 2);
	data = (uint8_t *)malloc(len);
	CHECK(w, data);
	for (size_t i = 0; i < len; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		data[i] = (uint8_t)(x >> 56);
	}
	r = fs->open(fs->ctx, ino_of(w, node), O_RDWR);
	if (answered(w, r, "open")) {
		r = pv_write(fs, ino_of(w, node), off, data, len);
		(void)answered(w, r, "write");
		pm_write(w->m, node, off, data, len);
		if (dice(w, 2))
			(void)answered(w, fs->flush(fs->ctx, ino_of(w, node)),
				       "flush");
		fs->release(fs->ctx, ino_of(w, node), O_RDWR);
	}
	free(data);
}

static void do_truncate(struct world *w)
{
	const struct dynfs_fs_view *fs = w->fs;
	uint32_t node = some_node(w, S_IFREG);
	struct dynfs_attr in = { 0 }, out;
	int r;

	if (!node)
		return;
	in.size_bytes = dice(w, 2) ? dice(w, FILE_MAX)
				   : dice(w, pm_newest(w->m, node)->len + 1);
	r = fs->setattr(fs->ctx, ino_of(w, node), DYNFS_SET_SIZE, &in, &out);
	(void)answered(w, r, "truncate");
	pm_truncate(w->m, node, in.size_bytes);
}

static void do_rename(struct world *w)
{
	const struct dynfs_fs_view *fs = w->fs;
	struct pm_space *s = &w->m->now;
	struct pm_entry from, *over;
	uint32_t dir = some_dir(w);
	char name[PM_NAME];
	bool replaces;
	int r;

	if (!s->n)
		return;
	from = s->e[dice(w, s->n)];
	some_name(w, name);
	over = pm_find(w->m, dir, name);
	replaces = over;
	if (w->m->node[from.node].type == S_IFDIR &&
	    (over || pm_is_below(w->m, dir, from.node)))
		return;
	if (over &&
	    (over->node == from.node || w->m->node[over->node].type == S_IFDIR))
		return;
	r = fs->rename(fs->ctx, ino_of(w, from.parent), from.name,
		       ino_of(w, dir), name, 0);
	(void)answered(w, r, "rename");
	if (over)
		pm_remove(w->m, over);
	pm_remove(w->m, pm_find(w->m, from.parent, from.name));
	pm_enter(w->m, dir, name, from.node);
	pm_step(w->m);
	if (replaces && !r)
		pm_settled(w->m, from.node);
}

static void do_link(struct world *w)
{
	const struct dynfs_fs_view *fs = w->fs;
	uint32_t dir, node = some_node(w, S_IFREG);
	struct dynfs_attr a;
	char name[PM_NAME];
	int r;

	if (!node || !free_place(w, &dir, name))
		return;
	r = fs->link(fs->ctx, ino_of(w, node), ino_of(w, dir), name, &a);
	if (answered(w, r, "link"))
		fs->forget(fs->ctx, a.ino, 1);
	pm_enter(w->m, dir, name, node);
	pm_step(w->m);
}

static void do_remove(struct world *w, bool is_dir)
{
	const struct dynfs_fs_view *fs = w->fs;
	struct pm_space *s = &w->m->now;
	struct pm_entry *e;
	int r;

	if (!s->n)
		return;
	e = &s->e[dice(w, s->n)];
	if (is_dir != (w->m->node[e->node].type == S_IFDIR) ||
	    (is_dir && !pm_is_empty(w->m, e->node)))
		return;
	r = is_dir ? fs->rmdir(fs->ctx, ino_of(w, e->parent), e->name)
		   : fs->unlink(fs->ctx, ino_of(w, e->parent), e->name);
	(void)answered(w, r, "remove");
	pm_remove(w->m, e);
	pm_step(w->m);
}

static void do_setxattr(struct world *w)
{
	uint32_t node = some_node(w, dice(w, 2) ? S_IFREG : S_IFDIR);
	uint64_t value = 1 + dice(w, 1000000);
	int r;

	if (!node)
		return;
	r = w->fs->setxattr(w->fs->ctx, ino_of(w, node), "user.sim", &value,
			    sizeof(value), 0);
	(void)answered(w, r, "setxattr");
	w->m->now.xattr[node] = value;
	pm_step(w->m);
}

static void do_fsync(struct world *w)
{
	uint32_t node = some_node(w, S_IFREG);
	bool data_only = dice(w, 4) == 0;

	if (!node ||
	    !answered(w, pv_fsync(w->fs, ino_of(w, node), data_only), "fsync"))
		return;
	pm_synced_file(w->m, node);
	if (!data_only)
		pm_synced_names(w->m);
}

static void do_sync(struct world *w)
{
	if (answered(w, pool_sync(w->pool), "sync"))
		pm_synced(w->m);
}

static void do_read(struct world *w)
{
	uint32_t node = some_node(w, S_IFREG);
	const struct pm_version *v;
	AUTOBUF struct buf b = BUF_INIT;

	if (!node ||
	    !answered(w, pv_read_all(w->fs, ino_of(w, node), &b), "read"))
		return;
	v = pm_newest(w->m, node);
	CHECK(w, b.len == v->len);
	CHECK(w, !b.len || !memcmp(b.data, v->data, b.len));
}

/* Old enough to be flushed; the workers look now and then. */
static void do_wait(struct world *w)
{
	const struct timespec t = { .tv_nsec = 2000000 };

	simos_advance(w->sim, 2000000000);
	(void)nanosleep(&t, NULL);
}

void do_something(struct world *w)
{
	uint64_t x = dice(w, 100);

	w->doing = "operations";
	if (x < 28)
		do_write(w);
	else if (x < 34)
		do_truncate(w);
	else if (x < 48)
		do_make(w, S_IFREG);
	else if (x < 58)
		do_rename(w);
	else if (x < 62)
		do_link(w);
	else if (x < 68)
		do_remove(w, false);
	else if (x < 73)
		do_make(w, S_IFDIR);
	else if (x < 76)
		do_remove(w, true);
	else if (x < 79)
		do_make(w, S_IFLNK);
	else if (x < 83)
		do_setxattr(w);
	else if (x < 89)
		do_fsync(w);
	else if (x < 91)
		do_sync(w);
	else if (x < 97)
		do_read(w);
	else
		do_wait(w);
}
