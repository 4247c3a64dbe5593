/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slices that become runs again: what a sync left inline, and chunks of too
 * many slices, which are written anew.
 *
 * Of a chunk with too many, short holes between data are filled with zeros.
 * Else pieces that do not touch would stay as many slices, be read and
 * written with each flush, and be no fewer after it.
 */
#include <file/private.h>

#include <base/cleanup.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int read_slice(struct inode *in, const struct slice *s, uint32_t skip,
		      uint32_t len, uint8_t *to)
{
	if (s->kind == SLICE_EXTENT)
		return extent_read(in->files->how.extents, s->extent,
				   s->extent_off + skip, len, to);
	if (s->kind == SLICE_INLINE)
		memcpy(to, s->bytes + skip, len);
	else
		memset(to, 0, len);
	return 0;
}

/* What is shown of [off, end) becomes a run, below the runs that are there. */
static int rewrite_shown(struct inode *in, struct content *c, struct chunk *k,
			 const struct shown *s)
{
	const struct slice *of = &k->map.slices[s->slice];
	AUTOFREE uint8_t *data = NULL;
	bool full;
	int r;

	data = (uint8_t *)malloc(s->len);
	if (!data)
		return -ENOMEM;
	r = read_slice(in, of, s->off - of->off, s->len, data);
	if (r < 0)
		return r;
	atomic_store(&c->guess, true); /* one that it joins has them twice */
	/* newer bytes win: put the old ones only where no run is */
	for (uint32_t at = s->off; at < s->off + s->len;) {
		uint32_t end = s->off + s->len;
		bool covered = false;

		list_for(l, &k->runs)
		{
			const struct run *run =
			    container_of(l, struct run, in_chunk);

			if (run->off <= at && run->off + run->len > at) {
				at = run->off + run->len;
				covered = true;
				break;
			}
			if (run->off > at && run->off < end)
				end = run->off;
		}
		if (covered)
			continue;
		r = run_write(in, c, k, at, data + (at - s->off), end - at, 0,
			      &full);
		if (r < 0)
			return r;
		at = end;
	}
	return 0;
}

int chunk_rewrite(struct inode *in, struct content *c, struct chunk *k,
		  bool all)
{
	uint32_t n = k->map.n_shown;
	AUTOFREE struct shown *shown = NULL;

	shown = (struct shown *)malloc((n ? n : 1) * sizeof(*shown));
	if (!shown)
		return -ENOMEM;
	memcpy(shown, k->map.shown, n * sizeof(*shown));
	for (uint32_t i = 0; i < n; ++i) {
		uint8_t kind = k->map.slices[shown[i].slice].kind;
		int r;

		if (kind == SLICE_HOLE || kind == SLICE_RESERVED ||
		    (!all && kind != SLICE_INLINE))
			continue;
		r = rewrite_shown(in, c, k, &shown[i]);
		/* what can not be read stays where it is */
		if (r == -ENOMEM)
			return r;
	}
	return 0;
}

/* Zeros in what is between two runs, and short; so fewer than half are left. */
static int chunk_fill(struct inode *in, struct content *c, struct chunk *k)
{
	uint32_t size = in->files->how.extent_bytes;
	uint32_t most = size / (CHUNK_SLICES_MAX / 2);
	AUTOFREE uint8_t *zeros = (uint8_t *)calloc(1, most);
	bool after_run = false, full;

	if (!zeros)
		return -ENOMEM;
	for (uint32_t off = 0; off < size;) {
		struct span s = chunk_span(&k->map, k, off, size);

		/* what could not be read is an extent still */
		if (!s.run && after_run && s.end < size && s.end - off < most &&
		    s.kind != SLICE_EXTENT && s.kind != SLICE_INLINE &&
		    chunk_span(&k->map, k, s.end, size).run) {
			int r = run_write(in, c, k, off, zeros, s.end - off, 0,
					  &full);

			if (r < 0)
				return r;
			s.run = true;
		}
		after_run = s.run;
		off = s.end;
	}
	return 0;
}

int chunk_compact(struct inode *in, struct content *c, struct chunk *k)
{
	if (map_pieces(&k->map) < CHUNK_SLICES_MAX || k->rewritten)
		return 0;
	k->rewritten = true;
	/* for the better only: without it things go on as they can */
	if (chunk_rewrite(in, c, k, true) == 0)
		(void)chunk_fill(in, c, k);
	return 1;
}
