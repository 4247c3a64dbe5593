/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Putting slices over ranges of a file that no run became: holes, reserved
 * room, parts of other files' extents.
 *
 * An edit is one batch.  What lies dirty in a range is older than the edit:
 * runs are cut in two at its edges first, which changes nothing, and those
 * inside go once the batch is committed, which can not fail.  If it is not
 * committed all is as it was.
 */
#include <file/private.h>

#include <base/cleanup.h>
#include <base/fail.h>

#include <errno.h>

static int next_row(void *ctx, const void *key, size_t key_len,
		    const void *value, size_t value_len)
{
	uint64_t ino, sequence;

	(void)value;
	(void)value_len;
	if (key_parse_slice(key, key_len, &ino, (uint64_t *)ctx, &sequence) < 0)
		return fail(-EUCLEAN, "a key of a slice is damaged");
	return 1;
}

int chunk_next(struct inode *in, const struct content *c, uint64_t from,
	       uint64_t *ret)
{
	struct key first = key_slice(in->ino, from, 0);
	struct key to = key_slice(in->ino, UINT64_MAX, UINT64_MAX);
	uint64_t row = UINT64_MAX, run = runs_next(c, from);
	int r = meta_scan(in->files->how.meta, first.data, first.len, to.data,
			  to.len, next_row, &row);

	*ret = row < run ? row : run;
	return r < 0 ? r : 0;
}

void edit_begin(struct edit *e, struct inode *in, struct content *c)
{
	*e = (struct edit){ .in = in, .c = c };
	batch_init(&e->batch);
	e->was = change_begin(in);
}

/* The runs that a range cuts are two; how many lie in it. */
static int edit_runs(struct edit *e, struct chunk *k, uint32_t off,
		     uint32_t end)
{
	struct files *f = e->in->files;
	int r = run_split(f, e->c, k, off);

	if (r >= 0)
		r = run_split(f, e->c, k, end);
	if (r < 0)
		return r;
	list_for(l, &k->runs)
	{
		const struct run *run = container_of(l, struct run, in_chunk);

		e->n_runs += run->off >= off && run->off + run->len <= end;
	}
	return 0;
}

int edit_range(struct edit *e, struct chunk *k, uint32_t off, uint32_t end)
{
	if (e->n == EDIT_RANGES)
		return -EOVERFLOW;
	/* first: when it fails its map is loaded again */
	e->at[e->n++] = (struct edit_part){ k, off, end };
	return off < end ? edit_runs(e, k, off, end) : 0;
}

int edit_put(struct edit *e, struct chunk *k, struct slice *s)
{
	uint32_t n = k->map.n_slices;
	int r = slice_put(e->in, e->c, k, s, &e->batch);

	e->n_rows += 2 + n - k->map.n_slices;
	return r;
}

/* What the file shows where there is a hole is no different. */
int edit_hole(struct edit *e, struct chunk *k, uint32_t off, uint32_t end)
{
	struct slice s = { .kind = SLICE_HOLE, .off = off, .len = end - off };
	uint32_t at = off;

	while (at < end) {
		struct span p = chunk_span(&k->map, NULL, at,
					   e->in->files->how.extent_bytes);

		if (p.kind && p.kind != SLICE_HOLE)
			return edit_put(e, k, &s);
		at = p.end;
	}
	return 0;
}

static void edit_done(struct edit *e, bool committed)
{
	struct files *f = e->in->files;

	for (uint32_t i = 0; i < e->n; ++i) {
		struct chunk *k = e->at[i].k;

		if (committed) {
			runs_remove(f, e->c, k, e->at[i].off, e->at[i].end);
			continue;
		}
		/* it may have run ahead of the index: load it again */
		map_done(&k->map);
		chunk_weigh(f, e->c, k);
	}
	if (committed && !e->c->n_runs)
		trouble_over(e->c);
	else if (committed)
		atomic_store(&e->c->guess, true);
}

int edit_end(struct edit *e, int r)
{
	struct inode *in = e->in;
	bool writes =
	    e->n_runs || e->batch.n_ops || e->was.rec.size != in->rec.size;

	if (r >= 0 && writes) {
		/* with no run left nothing else would commit the size */
		if (e->n_runs == e->c->n_runs)
			in->disk_size = in->rec.size;
		in->rec.mtime = in->rec.ctime = files_now(in->files);
		inode_record(in, &e->batch);
		r = e->batch.error;
		if (r >= 0)
			r = meta_commit(in->files->how.meta, &e->batch, NULL);
	}
	change_end(in, &e->was, r);
	edit_done(e, r >= 0);
	batch_done(&e->batch);
	return r;
}

void edit_trim(const struct edit *e)
{
	bool dirty = false;

	for (uint32_t i = 0; i < e->n; ++i) {
		struct chunk *k = e->at[i].k;

		if (i + 1 < e->n && e->at[i + 1].k == k)
			continue;
		if (chunk_compact(e->in, e->c, k))
			dirty = true;
		else if (list_empty(&k->runs) && !k->map.n_slices)
			chunk_free(e->in->files, e->c, k);
	}
	if (dirty)
		work_dirty(e->in, false);
}
