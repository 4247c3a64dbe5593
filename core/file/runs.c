/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dirty runs: what was written and is in no slice yet.
 *
 * A run grows in place while writes touch it; a write that joins two runs
 * merges them into the older, whose place in the order of flushes it keeps.
 * Buffers double until 64 KiB and then have the size of a chunk: a stream of
 * small writes ends in one full buffer, which a later stream uses again.
 */
#include <file/private.h>

#include <base/cleanup.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DATA_SMALL  (64u << 10)
#define SPARES_KEEP 32u

uint8_t *data_new(struct files *f, uint32_t cap)
{
	struct spare *s = NULL;

	if (cap == f->how.extent_bytes) {
		AUTOLOCK(&f->spare_lock);
		s = f->spares;
		if (s) {
			f->spares = s->next;
			f->n_spares--;
		}
	}
	if (s)
		return (uint8_t *)s;
	return (uint8_t *)aligned_alloc(cap < 4096 ? 64 : 4096, cap);
}

void data_free(struct files *f, uint8_t *data, uint32_t cap)
{
	if (data && cap == f->how.extent_bytes) {
		struct spare *s = (struct spare *)(void *)data;

		AUTOLOCK(&f->spare_lock);
		if (f->n_spares < SPARES_KEEP) {
			s->next = f->spares;
			f->spares = s;
			f->n_spares++;
			return;
		}
	}
	free(data);
}

static uint32_t data_cap(const struct files *f, uint32_t want)
{
	uint32_t cap = 512;

	if (want > DATA_SMALL)
		return f->how.extent_bytes;
	while (cap < want)
		cap *= 2;
	return cap < f->how.extent_bytes ? cap : f->how.extent_bytes;
}

void run_free(struct files *f, struct content *c, struct run *r)
{
	list_remove(&r->link);
	list_remove(&r->in_chunk);
	c->n_runs--;
	c->run_bytes -= r->cap;
	dirty_sub(f, r->cap);
	data_free(f, r->data, r->cap);
	free(r);
}

static int run_reserve(struct files *f, struct content *c, struct run *r,
		       uint32_t want)
{
	uint32_t cap = data_cap(f, want);
	uint8_t *data;

	if (want <= r->cap)
		return 0;
	data = data_new(f, cap);
	if (!data)
		return -ENOMEM;
	if (r->len)
		memcpy(data, r->data, r->len);
	data_free(f, r->data, r->cap);
	c->run_bytes += cap - r->cap;
	dirty_add(f, cap - r->cap);
	r->data = data;
	r->cap = cap;
	return 0;
}

static int run_new(struct files *f, struct content *c, struct chunk *k,
		   uint32_t off, uint32_t len, struct run **ret)
{
	struct run *r = (struct run *)calloc(1, sizeof(*r));
	int err;

	if (!r)
		return -ENOMEM;
	list_init(&r->link);
	list_init(&r->in_chunk);
	err = run_reserve(f, c, r, len);
	if (err < 0) {
		free(r);
		return err;
	}
	r->chunk = k;
	r->off = off;
	r->born_ns = f->how.os->now_ns(f->how.os);
	list_push(&c->runs, &r->link);
	list_push(&k->runs, &r->in_chunk);
	c->n_runs++;
	*ret = r;
	return 0;
}

/* The run covers [off, end) too; new bytes in between are not set. */
static int run_extend(struct files *f, struct content *c, struct run *r,
		      uint32_t off, uint32_t end)
{
	uint32_t from = off < r->off ? off : r->off;
	uint32_t to = end > r->off + r->len ? end : r->off + r->len;
	int err = run_reserve(f, c, r, to - from);

	if (err < 0)
		return err;
	if (from < r->off)
		memmove(r->data + (r->off - from), r->data, r->len);
	r->off = from;
	r->len = to - from;
	return 0;
}

static bool run_touches(const struct run *r, uint32_t off, uint32_t end)
{
	return !r->flushing && r->off <= end && r->off + r->len >= off;
}

/* The oldest run that can change and touches the range takes in the others. */
static int run_gather(struct files *f, struct content *c, struct chunk *k,
		      uint32_t off, uint32_t end, struct run **ret)
{
	struct run *first = NULL;

	list_for_safe(l, &k->runs)
	{
		struct run *r = container_of(l, struct run, in_chunk);
		int err;

		if (!run_touches(r, off, end))
			continue;
		if (!first) {
			first = r;
			continue;
		}
		err = run_extend(f, c, first, r->off, r->off + r->len);
		if (err < 0)
			return err;
		memcpy(first->data + (r->off - first->off), r->data, r->len);
		run_free(f, c, r);
	}
	*ret = first;
	return 0;
}

int run_write(struct inode *in, struct content *c, struct chunk *k,
	      uint32_t off, const void *data, uint32_t len, bool *ret_full)
{
	struct files *f = in->files;
	struct run *r = NULL;
	int err = run_gather(f, c, k, off, off + len, &r);

	if (err >= 0 && !r)
		err = run_new(f, c, k, off, len, &r);
	if (err >= 0)
		err = run_extend(f, c, r, off, off + len);
	if (err < 0)
		return err;
	memcpy(r->data + (off - r->off), data, len);
	*ret_full = r->len == f->how.extent_bytes;
	return 0;
}

void runs_cut(struct files *f, struct content *c, struct chunk *k, uint32_t off)
{
	list_for_safe(l, &k->runs)
	{
		struct run *r = container_of(l, struct run, in_chunk);

		if (r->flushing || r->off + r->len <= off)
			continue;
		if (r->off >= off)
			run_free(f, c, r);
		else
			r->len = off - r->off;
	}
}

/*
 * The run can change again.  What was written over it meanwhile is newer and
 * wins where they meet.
 */
void run_unflush(struct files *f, struct content *c, struct run *r)
{
	struct chunk *k = r->chunk;

	list_for_safe(l, &k->runs)
	{
		struct run *newer = container_of(l, struct run, in_chunk);

		if (newer == r || !run_touches(newer, r->off, r->off + r->len))
			continue;
		if (run_extend(f, c, r, newer->off, newer->off + newer->len) <
		    0)
			continue; /* two runs that touch do no harm */
		memcpy(r->data + (newer->off - r->off), newer->data,
		       newer->len);
		run_free(f, c, newer);
	}
	r->flushing = false;
}
