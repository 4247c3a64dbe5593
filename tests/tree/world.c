/* SPDX-License-Identifier: Apache-2.0 */
/* Assertions inside: a world that does not come up fails the test. */
#include "world.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

const struct dynfs_caller as_root = { .umask = 0 };

void world_open(struct world *w)
{
	double_open(w->meta, &w->files, &w->tree);
	w->fs = tree_view(w->tree);
}

void world_close(struct world *w)
{
	double_close(w->meta, w->files, w->tree);
}

void world_new(struct world *w)
{
	w->meta = double_meta_new();
	world_open(w);
	assert_int_equal(tree_make_root(w->tree, 0, 0), 0);
	assert_int_equal(tree_make_root(w->tree, 0, 0), -EEXIST);
}

void world_free(struct world *w)
{
	world_close(w);
	double_meta_free(w->meta);
}

uint64_t weak_hash(const uint8_t key[16], const void *name, size_t len)
{
	const uint8_t *s = (const uint8_t *)name;

	(void)key;
	return len ? s[len - 1] % 4u : 0;
}

uint64_t make(struct world *w, uint64_t dir, const char *name, uint32_t mode)
{
	struct dynfs_attr a;
	int r = S_ISDIR(mode) ? w->fs->mkdir(w->fs->ctx, dir, name,
					     mode & 07777u, &as_root, &a)
			      : w->fs->mknod(w->fs->ctx, dir, name, mode, 0,
					     &as_root, &a);

	assert_int_equal(r, 0);
	w->fs->forget(w->fs->ctx, a.ino, 1);
	return a.ino;
}

struct dynfs_attr attr_of(struct world *w, uint64_t ino)
{
	struct dynfs_attr a;

	assert_int_equal(w->fs->getattr(w->fs->ctx, ino, &a), 0);
	return a;
}

bool later(struct dynfs_time a, struct dynfs_time b)
{
	return a.sec > b.sec || (a.sec == b.sec && a.nsec > b.nsec);
}

int world_set_up(void **state)
{
	static struct world w;

	world_new(&w);
	*state = &w;
	return 0;
}

int world_tear_down(void **state)
{
	world_free(*state);
	return 0;
}
