/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ranges of files.  What the power cuts short has happened in any part of it,
 * as a write has.
 */
#include "poolops.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEEKS     200u /* in a file of many pieces */
#define COPY_MAX  400000u
#define ALLOC_MAX 300000u
#define FAR_MAX   (UINT64_C(128) << 20) /* a row for each chunk of it */

/* Some of a file, and now and then more than it has. */
static void some_range(struct actor *a, uint32_t node, uint64_t *off,
		       uint64_t *len)
{
	size_t size = pm_newest(a->m, node)->len;

	*off = dice(&a->rng, size + 1000);
	*len = 1 + dice(&a->rng, dice(&a->rng, 2) ? 5000 : size + 1);
	if (dice(&a->rng, 8) == 0)
		*len = (uint64_t)1 << 40;
}

void do_punch(struct actor *a)
{
	const struct dynfs_fs_view *fs = a->w->p.fs;
	uint32_t node = some_node(a, S_IFREG);
	uint64_t off, len;

	if (!node)
		return;
	some_range(a, node, &off, &len);
	(void)answered(a,
		       fs->fallocate(fs->ctx, ino_of(a, node),
				     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				     off, len, NULL),
		       "punch");
	pm_zero(a->m, node, off, off + len);
}

/* As cp(1) does it: again and again, as long as something comes of it. */
void do_copy(struct actor *a)
{
	const struct dynfs_fs_view *fs = a->w->p.fs;
	uint32_t node = some_node(a, S_IFREG), to = some_node(a, S_IFREG);
	uint64_t off, len, to_off, n = 1;
	size_t size;
	int r = 0;

	if (!node || !to)
		return;
	some_range(a, node, &off, &len);
	size = pm_newest(a->m, node)->len;
	if (off >= size)
		return;
	len = len < size - off ? len : size - off;
	/* not aligned to chunks; pieces end where they do in the source, and
	 * the model knows of no part of a block that is not written alone */
	to_off = off;
	if (dice(&a->rng, 3) == 0)
		to_off = dice(&a->rng, COPY_MAX) / PM_BLOCK * PM_BLOCK +
			 off % PM_BLOCK;
	if (node == to && off < to_off + len && to_off < off + len)
		return;
	for (; len && !r && n; off += n, to_off += n, len -= n) {
		n = 0;
		r = fs->copy_range(fs->ctx, ino_of(a, node), off, ino_of(a, to),
				   to_off, len, &n);
		if (refused(a, r))
			return;
		if (!answered(a, r, "copy"))
			n = len; /* or any part of it */
		CHECK(a->w, r || (n && n <= len));
		pm_write(a->m, to, to_off, pm_newest(a->m, node)->data + off,
			 n);
	}
}

/* Zeros, and a size that may grow; or there is no room and nothing has. */
void do_allocate(struct actor *a)
{
	static const uint32_t modes[] = {
		0,
		FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_ZERO_RANGE,
		FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
	};
	const struct dynfs_fs_view *fs = a->w->p.fs;
	uint32_t mode = modes[dice(&a->rng, 4)], node = some_node(a, S_IFREG);
	uint64_t off, len;
	int r;

	if (!node)
		return;
	some_range(a, node, &off, &len);
	len = len < ALLOC_MAX ? len : ALLOC_MAX;
	r = fs->fallocate(fs->ctx, ino_of(a, node), mode, off, len, NULL);
	if (refused(a, r))
		return;
	(void)answered(a, r, "fallocate");
	if (mode & FALLOC_FL_ZERO_RANGE)
		pm_zero(a->m, node, off, off + len);
	if (!(mode & FALLOC_FL_KEEP_SIZE) &&
	    off + len > pm_newest(a->m, node)->len)
		pm_truncate(a->m, node, off + len);
}

/* Behind the end nothing is seen of it, but there is much to take away. */
void do_cut_far(struct actor *a)
{
	const struct dynfs_fs_view *fs = a->w->p.fs;
	uint32_t node = some_node(a, S_IFREG);
	struct dynfs_attr in = { 0 }, out;
	int r;

	if (!node)
		return;
	in.size_bytes = pm_newest(a->m, node)->len;
	r = fs->fallocate(fs->ctx, ino_of(a, node), FALLOC_FL_KEEP_SIZE,
			  in.size_bytes, 1 + dice(&a->rng, FAR_MAX), NULL);
	if (refused(a, r) || !answered(a, r, "fallocate far"))
		return;
	if (dice(&a->rng, 4) == 0)
		in.size_bytes = dice(&a->rng, in.size_bytes + 1);
	r = fs->setattr(fs->ctx, ino_of(a, node), DYNFS_SET_SIZE, &in, &out);
	(void)answered(a, r, "cut far");
	pm_truncate(a->m, node, in.size_bytes);
}

static bool all_zero(const struct pm_version *v, uint64_t off, uint64_t end)
{
	for (; off < end; off++)
		if (v->data[off])
			return false;
	return true;
}

/* Where it is said to be no data there is none. */
void do_seek(struct actor *a)
{
	const struct dynfs_fs_view *fs = a->w->p.fs;
	uint32_t node = some_node(a, S_IFREG);
	const struct pm_version *v;
	uint64_t at, data, hole;

	if (!node)
		return;
	v = pm_newest(a->m, node);
	at = dice(&a->rng, v->len + 1);
	for (unsigned i = 0; i < SEEKS; i++) {
		int r =
		    fs->seek(fs->ctx, ino_of(a, node), at, SEEK_DATA, &data);

		if (r == -ENXIO)
			data = v->len;
		else if (!answered(a, r, "seek data"))
			return;
		CHECK(a->w, data >= at && data <= v->len);
		CHECK(a->w, all_zero(v, at, data));
		if (data == v->len)
			return;
		r = fs->seek(fs->ctx, ino_of(a, node), data, SEEK_HOLE, &hole);
		if (!answered(a, r, "seek hole"))
			return;
		CHECK(a->w, hole > data && hole <= v->len);
		at = hole;
	}
}
