/* SPDX-License-Identifier: Apache-2.0 */
/* Reading: slices first, then the dirty runs over them, oldest first. */
#include <file/private.h>

#include <base/cleanup.h>
#include <base/fail.h>

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static int read_shown(struct inode *in, const struct map *m,
		      const struct shown *s, uint32_t from, uint32_t end,
		      uint8_t *to)
{
	const struct slice *of = &m->slices[s->slice];
	uint32_t skip = from - of->off;

	if (of->kind == SLICE_EXTENT)
		return extent_read(in->files->how.extents, of->extent,
				   of->extent_off + skip, end - from, to);
	if (of->kind == SLICE_INLINE)
		memcpy(to, of->bytes + skip, end - from);
	else
		memset(to, 0, end - from);
	return 0;
}

static int read_slices(struct inode *in, const struct map *m, uint32_t off,
		       uint32_t len, uint8_t *to)
{
	uint32_t at = off, end = off + len;

	for (uint32_t i = 0; i < m->n_shown && at < end; ++i) {
		const struct shown *s = &m->shown[i];
		uint32_t from = s->off > at ? s->off : at;
		uint32_t stop = s->off + s->len < end ? s->off + s->len : end;
		int r;

		if (stop <= at)
			continue;
		if (from >= end)
			break;
		memset(to + (at - off), 0, from - at);
		r = read_shown(in, m, s, from, stop, to + (from - off));
		if (r < 0)
			return r;
		at = stop;
	}
	memset(to + (at - off), 0, end - at);
	return 0;
}

static bool run_covers(const struct chunk *k, uint32_t off, uint32_t len)
{
	list_for(l, &k->runs)
	{
		const struct run *r = container_of(l, struct run, in_chunk);

		if (r->off <= off && r->off + r->len >= off + len)
			return true;
	}
	return false;
}

static void read_runs(const struct chunk *k, uint32_t off, uint32_t len,
		      uint8_t *to)
{
	list_for(l, &k->runs)
	{
		const struct run *r = container_of(l, struct run, in_chunk);
		uint32_t from = r->off > off ? r->off : off;
		uint32_t end =
		    r->off + r->len < off + len ? r->off + r->len : off + len;

		if (from < end)
			memcpy(to + (from - off), r->at.data + (from - r->off),
			       end - from);
	}
}

static int read_chunk(struct inode *in, struct content *c, uint64_t number,
		      uint32_t off, uint32_t len, uint8_t *to)
{
	struct chunk *k;
	int r = chunk_load(in, c, number, &k);

	if (r < 0)
		return r;
	if (!run_covers(k, off, len)) {
		r = read_slices(in, &k->map, off, len, to);
		if (r < 0)
			return r;
	}
	read_runs(k, off, len, to);
	return 0;
}

/* The size changes only under inode.io held alone. */
static int file_read_locked(struct inode *in, uint64_t off, size_t len,
			    uint8_t *to)
{
	uint32_t chunk = in->files->how.extent_bytes;
	uint64_t ticket = extent_enter(in->files->how.extents);
	int r = 0;

	while (len && r >= 0) {
		uint32_t at = (uint32_t)(off % chunk);
		uint32_t n = chunk - at < len ? chunk - at : (uint32_t)len;

		r = read_chunk(in, in->content, off / chunk, at, n, to);
		off += n;
		to += n;
		len -= n;
	}
	extent_leave(in->files->how.extents, ticket);
	/* a slice names an extent that is not there: damage, not absence */
	return r == -ENOENT ? fail(-EIO, "a slice names a lost extent") : r;
}

int file_read(struct inode *in, uint64_t off, size_t len, void *to,
	      size_t *ret_len)
{
	int r;

	if (inode_is_dir(in))
		return -EISDIR;
	r = content_ready(in);
	if (r < 0)
		return r;
	files_asked(in->files);
	(void)pthread_rwlock_rdlock(&in->io);
	if (off >= in->rec.size)
		len = 0;
	else if (len > in->rec.size - off)
		len = (size_t)(in->rec.size - off);
	if (in->gone)
		r = -ENOENT;
	else if (len)
		r = file_read_locked(in, off, len, (uint8_t *)to);
	(void)pthread_rwlock_unlock(&in->io);
	maps_trim(in->files);
	if (r >= 0)
		*ret_len = len;
	return r;
}

/* ---- extent list ----------------------------------------------------- */

struct map_walk {
	struct inode *in;
	uint64_t from; /* chunks below were shown */
	uint64_t found;
	bool any;
};

static int map_next_chunk(void *ctx, const void *key, size_t key_len,
			  const void *value, size_t value_len)
{
	struct map_walk *w = (struct map_walk *)ctx;
	uint64_t ino, sequence;

	(void)value;
	(void)value_len;
	if (key_parse_slice(key, key_len, &ino, &w->found, &sequence) < 0)
		return fail(-EUCLEAN, "a key of a slice is damaged");
	w->any = true;
	return 1;
}

static int map_chunk(struct inode *in, uint64_t number,
		     int (*each)(void *ctx, const struct file_extent *row),
		     void *ctx)
{
	struct chunk *k;
	int r = chunk_load(in, in->content, number, &k);

	for (uint32_t i = 0; r == 0 && i < k->map.n_shown; ++i) {
		const struct shown *s = &k->map.shown[i];
		const struct slice *of = &k->map.slices[s->slice];
		struct file_extent row = {
			.offset = number * in->files->how.extent_bytes + s->off,
			.length = s->len,
			.kind = of->kind,
			.extent = of->extent,
			.extent_offset = of->extent_off + (s->off - of->off),
		};

		r = each(ctx, &row);
	}
	return r;
}

int file_map(struct inode *in,
	     int (*each)(void *ctx, const struct file_extent *row), void *ctx)
{
	struct map_walk w = { .in = in };
	int r = content_ready(in);

	while (r == 0) {
		struct key from = key_slice(in->ino, w.from, 0);
		struct key to = key_slice(in->ino, UINT64_MAX, UINT64_MAX);

		w.any = false;
		r = meta_scan(in->files->how.meta, from.data, from.len, to.data,
			      to.len, map_next_chunk, &w);
		if (r < 0 || !w.any)
			break;
		(void)pthread_rwlock_rdlock(&in->io);
		r = map_chunk(in, w.found, each, ctx);
		(void)pthread_rwlock_unlock(&in->io);
		maps_trim(in->files);
		w.from = w.found + 1;
	}
	return r < 0 ? r : 0;
}
