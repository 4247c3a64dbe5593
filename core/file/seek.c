/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where data and holes are.
 *
 * One scan over the rows of slices, from the place that was asked for, so that
 * the terabytes between two slices cost nothing; dirty runs are laid over each
 * chunk.  Maps are not loaded: a walk over a large file must not take away
 * those of others.  Under inode.io, which is let go after some thousand rows,
 * that a writer need not wait for the end of a dense file.
 */
#include <file/private.h>

#include <base/cleanup.h>
#include <base/fail.h>

#include <errno.h>
#include <sys/stat.h>

#define SEEK_ROWS 4096u /* at a time */

struct seek {
	struct inode *in;
	struct content *c;
	struct cut_left cut; /* a drain may end meanwhile */
	bool data;
	uint64_t at, end;
	uint64_t chunk; /* whose slices are in the map */
	bool any;       /* there is one */
	struct map map;
	uint32_t n_rows;
	bool found, more;
};

static bool span_is_data(const struct span *s)
{
	return s->run || s->kind == SLICE_EXTENT || s->kind == SLICE_INLINE;
}

/* True: w->at is in it; else it goes to where the chunk ends. */
static bool seek_chunk(struct seek *w, uint64_t number, const struct map *m)
{
	uint32_t size = w->in->files->how.extent_bytes;
	uint64_t base = number * size;
	uint32_t off = w->at > base ? (uint32_t)(w->at - base) : 0;
	const struct chunk *k;

	(void)pthread_mutex_lock(&w->c->map_lock);
	k = chunk_find(w->c, number);
	(void)pthread_mutex_unlock(&w->c->map_lock);
	while (off < size) {
		struct span s = chunk_span(m, k, off, size);

		if (span_is_data(&s) == w->data) {
			w->at = base + off;
			w->found = true;
			return true;
		}
		off = s.end;
	}
	w->at = base + size;
	return false;
}

/* Chunks that have no slices, up to another one. */
static bool seek_bare(struct seek *w, uint64_t upto)
{
	static const struct map none = { 0 };
	const struct files *f = w->in->files;

	while (w->at < w->end && chunk_number(f, w->at) < upto) {
		uint64_t next = chunk_number(f, w->at);

		if (w->data)
			next = runs_next(w->c, next);
		if (next >= upto) {
			w->at = upto == UINT64_MAX ? w->end
						   : upto * f->how.extent_bytes;
			return false;
		}
		if (seek_chunk(w, next, &none))
			return true;
	}
	return false;
}

/* What comes before chunk number; true: the answer is there. */
static bool seek_until(struct seek *w, uint64_t number)
{
	if (w->any && seek_chunk(w, w->chunk, &w->map))
		return true;
	w->any = false;
	map_done(&w->map);
	return seek_bare(w, number);
}

static int seek_row(void *ctx, const void *key, size_t key_len,
		    const void *value, size_t value_len)
{
	struct seek *w = (struct seek *)ctx;
	struct row row;
	int r = row_get(w->in->files, key, key_len, value, value_len, &row);

	if (r < 0)
		return r;
	if (!w->any || row.chunk != w->chunk) {
		if (seek_until(w, row.chunk))
			return 1;
		w->more = w->n_rows >= SEEK_ROWS || w->at >= w->end;
		if (w->more)
			return 1;
		w->chunk = row.chunk;
		w->any = true;
	}
	w->n_rows++;
	if (cut_hides(&w->cut, row.chunk, row.s.sequence))
		return 0;
	return map_add(&w->map, &row.s);
}

/* A stretch of rows; inode.io is held. */
static int seek_some(struct seek *w)
{
	struct inode *in = w->in;
	struct key from = key_slice(in->ino, chunk_number(in->files, w->at), 0);
	struct key to = key_slice(in->ino, UINT64_MAX, UINT64_MAX);
	int r = cut_look_up(in, w->c, &w->cut);

	w->any = w->more = false;
	w->n_rows = 0;
	if (r >= 0)
		r = meta_scan(in->files->how.meta, from.data, from.len, to.data,
			      to.len, seek_row, w);
	if (r >= 0 && !w->found && !w->more)
		(void)seek_until(w, UINT64_MAX);
	map_done(&w->map);
	return r < 0 ? r : 0;
}

int file_seek(struct inode *in, uint64_t off, bool data, uint64_t *ret)
{
	struct seek w = { .in = in, .data = data, .at = off, .more = true };
	int r = content_ready(in);

	w.c = content_of(in);
	while (r >= 0 && w.more) {
		AUTORDLOCK(&in->io);
		w.end = in->rec.size;
		if (in->gone)
			return -ENOENT;
		if (off >= w.end)
			return -ENXIO;
		w.more = false;
		if (w.at < w.end)
			r = seek_some(&w);
		w.more = w.more && w.at < w.end;
	}
	if (r < 0)
		return r;
	if (w.found && w.at < w.end)
		*ret = w.at;
	else if (data)
		return -ENXIO;
	else
		*ret = w.end;
	return 0;
}
