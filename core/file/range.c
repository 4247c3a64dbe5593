/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holes in a file.
 *
 * A range may be the whole of a huge file: it goes in steps of some hundred
 * slices, each one batch, between which other work on the file goes on.  What
 * a crash leaves is a range of which a part is done, and nobody was answered.
 */
#include <file/private.h>

#include <base/cleanup.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

struct range {
	struct inode *in;
	struct content *c;
	uint64_t at, end;
};

/* The next chunk of the range that has something, and its part in it. */
static int range_chunk(struct range *g, struct chunk **ret, uint32_t *ret_off,
		       uint32_t *ret_end)
{
	uint32_t size = g->in->files->how.extent_bytes;
	uint64_t number, base;
	int r =
	    chunk_next(g->in, g->c, chunk_number(g->in->files, g->at), &number);

	if (r < 0)
		return r;
	if (number > (g->end - 1) / size) {
		g->at = g->end;
		return 0;
	}
	base = number * size;
	if (g->at < base)
		g->at = base;
	*ret_off = (uint32_t)(g->at - base);
	*ret_end = g->end - base < size ? (uint32_t)(g->end - base) : size;
	r = chunk_load(g->in, g->c, number, ret);
	return r < 0 ? r : 1;
}

/* One batch of holes; flush and io are held. */
static int punch_step(struct range *g)
{
	AUTOFREE struct edit *e = (struct edit *)malloc(sizeof(*e));
	int r;

	if (!e)
		return -ENOMEM;
	edit_begin(e, g->in, g->c);
	do {
		uint32_t off, end;
		struct chunk *k;

		r = range_chunk(g, &k, &off, &end);
		if (r <= 0)
			break;
		r = edit_range(e, k, off, end);
		if (r >= 0)
			r = edit_hole(e, k, off, end);
		g->at += end - off;
	} while (r >= 0 && g->at < g->end && !edit_is_full(e));
	r = edit_end(e, r);
	if (r >= 0)
		edit_trim(e);
	return r;
}

static int punch(struct inode *in, uint64_t off, uint64_t end)
{
	struct range g = { in, content_of(in), off, end };
	int r = 0;

	while (r >= 0 && g.at < end) {
		r = meta_admit(in->files->how.meta);
		if (r < 0)
			break;
		AUTOLOCK(&g.c->flush);
		AUTOWRLOCK(&in->io);
		r = in->gone ? -ENOENT : punch_step(&g);
	}
	maps_trim(in->files);
	return r;
}

static void range_touch(struct inode *in)
{
	AUTOLOCK(&in->lock);
	in->rec.mtime = in->rec.ctime = files_now(in->files);
	in->dirty_attr = true;
}

int file_allocate(struct inode *in, int mode, uint64_t off, uint64_t len)
{
	int r;

	if (mode != (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE))
		return -EOPNOTSUPP;
	if (in->files->how.readonly)
		return -EROFS;
	if (!len)
		return -EINVAL;
	if (off > (uint64_t)INT64_MAX || len > (uint64_t)INT64_MAX - off)
		return -EFBIG;
	r = content_ready(in);
	if (r >= 0)
		r = punch(in, off, off + len);
	if (r >= 0)
		range_touch(in);
	return r;
}
