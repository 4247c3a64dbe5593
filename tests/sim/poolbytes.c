/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Content of files.  A write that there is no room for has not happened; one
 * that the power cut short may have, in any part of it.
 */
#include "poolops.h"

#include "poolview.h"

#include <base/cleanup.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_MAX    300000u  /* of most files */
#define BIG_MAX     1200000u /* of one write, now and then */
#define SHREDS      600u     /* more slices than one batch cuts */
#define SHRED_SPACE 1216u

/* Bytes that no other write of any actor has. */
static uint8_t *fresh_bytes(struct actor *a, size_t len)
{
	uint64_t x =
	    a->w->seed << 32 | (uint64_t)a->number << 28 | ++a->next_byte;
	uint8_t *data = (uint8_t *)malloc(len);

	CHECK(a->w, data);
	for (size_t i = 0; i < len; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		data[i] = (uint8_t)(x >> 56);
	}
	return data;
}

static size_t some_length(struct actor *a)
{
	unsigned big = a->w->tight ? 6 : 40;

	if (dice(&a->rng, big) == 0)
		return 1 + dice(&a->rng, BIG_MAX);
	return 1 + dice(&a->rng, dice(&a->rng, 5) ? 4000 : FILE_MAX / 2);
}

/* What is written is in the model before anything else may look. */
static void write_model(struct actor *a, uint32_t node, struct dynfs_file *file,
			size_t off, const uint8_t *data, size_t len)
{
	int r = pv_write(a->w->p.fs, ino_of(a, node), file, off, data, len);

	if (refused(a, r))
		return;
	(void)answered(a, r, "write");
	pm_write(a->m, node, off, data, len);
}

void do_write(struct actor *a)
{
	const struct dynfs_fs_view *fs = a->w->p.fs;
	uint32_t node = some_node(a, S_IFREG);
	size_t len = some_length(a);
	size_t off = dice(&a->rng, 3) ? dice(&a->rng, FILE_MAX / 2) : 0;
	struct dynfs_file *file;
	AUTOFREE uint8_t *data = NULL;

	if (!node)
		return;
	if (dice(&a->rng, 4) == 0)
		off = pm_newest(a->m, node)->len % (FILE_MAX / 2);
	data = fresh_bytes(a, len);
	if (!answered(a, fs->open(fs->ctx, ino_of(a, node), O_RDWR, &file),
		      "open"))
		return;
	write_model(a, node, file, off, data, len);
	if (dice(&a->rng, 2))
		(void)answered(a, pv_flush(fs, file), "flush");
	fs->release(fs->ctx, file);
}

/* Whoever sees a name that was made after the close sees the new content. */
void do_save(struct actor *a)
{
	const struct dynfs_fs_view *fs = a->w->p.fs;
	uint32_t node = some_node(a, S_IFREG);
	size_t len = some_length(a);
	AUTOFREE uint8_t *data = NULL;
	struct dynfs_file *file;
	int r;

	if (!node)
		return;
	data = fresh_bytes(a, len);
	r = fs->open(fs->ctx, ino_of(a, node), O_RDWR | O_TRUNC, &file);
	(void)answered(a, r, "open and cut");
	pm_truncate(a->m, node, 0);
	if (r)
		return;
	write_model(a, node, file, 0, data, len);
	r = pv_flush(fs, file);
	if (answered(a, r, "flush"))
		pm_settled_next(a->m, node);
	fs->release(fs->ctx, file);
}

/*
 * Many small pieces, which become as many slices.  As no two touch, one
 * version before and one after is all that the model has to know.
 */
void do_shred(struct actor *a)
{
	const struct dynfs_fs_view *fs = a->w->p.fs;
	uint32_t node = some_node(a, S_IFREG);
	const size_t most = (size_t)SHREDS * SHRED_SPACE;
	AUTOFREE uint8_t *whole = NULL;
	size_t done = 0;
	int r = 0;

	if (!node || a->w->tight || pm_newest(a->m, node)->len > most)
		return;
	whole = (uint8_t *)calloc(1, most);
	CHECK(a->w, whole);
	memcpy(whole, pm_newest(a->m, node)->data, pm_newest(a->m, node)->len);
	for (unsigned i = 0; i < SHREDS && !r; i++) {
		AUTOFREE uint8_t *data = fresh_bytes(a, PM_BLOCK);
		size_t off = (size_t)i * SHRED_SPACE;

		r = pv_write(fs, ino_of(a, node), NULL, off, data, PM_BLOCK);
		memcpy(whole + off, data, PM_BLOCK);
		done = off + PM_BLOCK;
	}
	(void)answered(a, r, "shred");
	pm_write(a->m, node, 0, whole, done);
}

void do_truncate(struct actor *a)
{
	const struct dynfs_fs_view *fs = a->w->p.fs;
	uint32_t node = some_node(a, S_IFREG);
	struct dynfs_attr in = { 0 }, out;
	int r;

	if (!node)
		return;
	in.size_bytes = dice(&a->rng, 2)
			    ? dice(&a->rng, FILE_MAX)
			    : dice(&a->rng, pm_newest(a->m, node)->len + 1);
	r = fs->setattr(fs->ctx, ino_of(a, node), DYNFS_SET_SIZE, &in, &out);
	(void)answered(a, r, "truncate");
	pm_truncate(a->m, node, in.size_bytes);
}

void do_fsync(struct actor *a)
{
	uint32_t node = some_node(a, S_IFREG);
	bool data_only = dice(&a->rng, 4) == 0;

	if (!node ||
	    !answered(a, pv_fsync(a->w->p.fs, ino_of(a, node), NULL, data_only),
		      "fsync"))
		return;
	pm_synced_file(a->m, node);
	if (!data_only)
		pm_synced_names(a->m);
}

void do_read(struct actor *a)
{
	uint32_t node = some_node(a, S_IFREG);
	const struct pm_version *v;
	AUTOBUF struct buf b = BUF_INIT;

	if (!node ||
	    !answered(a, pv_read_all(a->w->p.fs, ino_of(a, node), &b), "read"))
		return;
	v = pm_newest(a->m, node);
	CHECK(a->w, b.len == v->len);
	CHECK(a->w, !b.len || !memcmp(b.data, v->data, b.len));
}

/* Stays open, though it may lose its names. */
void do_hold(struct actor *a)
{
	const struct dynfs_fs_view *fs = a->w->p.fs;
	uint32_t node = some_node(a, S_IFREG);

	for (unsigned i = 0; node && i < HELD_MAX; i++) {
		if (a->held[i] == node)
			return;
		if (a->held[i])
			continue;
		if (answered(a,
			     fs->open(fs->ctx, ino_of(a, node), O_RDWR,
				      &a->files[i]),
			     "open to hold"))
			a->held[i] = node;
		return;
	}
}

void do_let_go(struct actor *a)
{
	const struct dynfs_fs_view *fs = a->w->p.fs;
	unsigned i = (unsigned)dice(&a->rng, HELD_MAX);

	if (a->held[i])
		fs->release(fs->ctx, a->files[i]);
	a->held[i] = 0;
}

void actor_release(struct actor *a)
{
	const struct dynfs_fs_view *fs = a->w->p.fs;

	for (unsigned i = 0; i < HELD_MAX; i++) {
		if (a->held[i])
			fs->release(fs->ctx, a->files[i]);
		a->held[i] = 0;
	}
}
