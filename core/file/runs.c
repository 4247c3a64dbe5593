/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dirty runs: what was written and is in no slice yet.
 *
 * A run grows in place while writes touch it; a write that joins two runs
 * merges them into the older, whose place in the order of flushes it keeps.
 * Its memory doubles until 64 KiB and then has the size of a chunk, where a
 * stream of small writes ends.
 */
#include <file/private.h>

#include <base/cleanup.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RUN_COST 1024u /* what it keeps in memory beside its bytes */

void run_count(struct content *c, struct run *r, bool in_slices)
{
	uint32_t n = in_slices || r->moves ? 0 : r->len;

	atomic_fetch_add(&c->pending, (uint64_t)n - r->counted);
	r->counted = n;
}

void run_free(struct files *f, struct content *c, struct run *r)
{
	run_count(c, r, true);
	list_remove(&r->link);
	list_remove(&r->in_chunk);
	if (!--c->n_runs)
		atomic_store(&c->guess, false);
	c->run_bytes -= r->at.cap;
	dirty_sub(f, RUN_COST + r->at.cap);
	space_free(f, &r->at);
	free(r);
}

bool runs_matter(const struct content *c)
{
	list_for(l, &c->runs)
	{
		if (!container_of(l, struct run, link)->moves)
			return true;
	}
	return false;
}

uint64_t runs_drop(struct files *f, struct content *c)
{
	uint64_t lost = 0;

	list_for_safe(l, &c->runs)
	{
		struct run *run = container_of(l, struct run, link);

		lost += run->moves ? 0 : run->len;
		run->chunk->rewritten = false;
		run_free(f, c, run);
	}
	return lost;
}

static int run_reserve(struct files *f, struct content *c, struct run *r,
		       uint32_t want)
{
	uint32_t cap = space_cap(f, want);
	struct space at;
	int err;

	if (want <= r->at.cap)
		return 0;
	err = space_new(f, cap, &at);
	if (err < 0)
		return err;
	if (r->len)
		memcpy(at.data, r->at.data, r->len);
	c->run_bytes += cap - r->at.cap;
	dirty_add(f, cap - r->at.cap);
	space_free(f, &r->at);
	r->at = at;
	return 0;
}

static int run_new(struct files *f, struct content *c, struct chunk *k,
		   uint32_t off, uint32_t len, uint64_t born_ns,
		   struct run **ret)
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
	dirty_add(f, RUN_COST);
	r->chunk = k;
	r->off = off;
	r->born_ns = born_ns;
	r->moves = !born_ns;
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
	if (from < r->off && r->len)
		memmove(r->at.data + (r->off - from), r->at.data, r->len);
	r->off = from;
	r->len = to - from;
	return 0;
}

static bool run_touches(const struct run *r, uint32_t off, uint32_t end)
{
	return !r->flushing && r->off <= end && r->off + r->len >= off;
}

/* The oldest run that can change and touches the range, and all they cover. */
static struct run *run_first(const struct chunk *k, uint32_t *off,
			     uint32_t *end)
{
	uint32_t from = *off, to = *end;
	struct run *first = NULL;

	list_for(l, &k->runs)
	{
		struct run *r = container_of(l, struct run, in_chunk);

		if (!run_touches(r, *off, *end))
			continue;
		if (!first)
			first = r;
		from = r->off < from ? r->off : from;
		to = r->off + r->len > to ? r->off + r->len : to;
	}
	*off = from;
	*end = to;
	return first;
}

/* It covers them: their bytes are put into it. */
static void run_gather(struct files *f, struct content *c, struct run *first,
		       uint32_t off, uint32_t end)
{
	list_for_safe(l, &first->chunk->runs)
	{
		struct run *r = container_of(l, struct run, in_chunk);

		if (r == first || !run_touches(r, off, end))
			continue;
		memcpy(first->at.data + (r->off - first->off), r->at.data,
		       r->len);
		first->moves = first->moves && r->moves;
		run_free(f, c, r);
	}
}

int run_write(struct inode *in, struct content *c, struct chunk *k,
	      uint32_t off, const void *data, uint32_t len, uint64_t born_ns,
	      bool *ret_full)
{
	struct files *f = in->files;
	uint32_t from = off, to = off + len;
	struct run *r = run_first(k, &from, &to);
	int err = r ? 0 : run_new(f, c, k, off, len, born_ns, &r);

	/* the last that can fail: what it makes room for is not set yet */
	if (err >= 0)
		err = run_extend(f, c, r, from, to);
	if (err < 0)
		return err;
	run_gather(f, c, r, off, off + len);
	memcpy(r->at.data + (off - r->off), data, len);
	r->moves = r->moves && !born_ns;
	run_count(c, r, false);
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
		if (r->off >= off) {
			run_free(f, c, r);
			continue;
		}
		r->len = off - r->off;
		run_count(c, r, false);
	}
}

/*
 * There is no memory for one run of the two: what the newer one hides goes, and
 * they touch, which does no harm.  A slice of what is hidden would be dropped
 * by the batch that makes its extent.  True: nothing of it is left.
 */
static bool run_yield(struct run *r, const struct run *newer)
{
	uint32_t end = r->off + r->len, newer_end = newer->off + newer->len;

	if (newer->off <= r->off && newer_end >= end)
		return true;
	/* so it goes beyond the end: within, there was no need of memory */
	if (newer->off > r->off) {
		r->len = newer->off - r->off;
		return false;
	}
	memmove(r->at.data, r->at.data + (newer_end - r->off), end - newer_end);
	r->off = newer_end;
	r->len = end - newer_end;
	return false;
}

/* Flushed no later than it would have been. */
static void run_replace(struct files *f, struct content *c, struct run *r,
			struct run *newer)
{
	if (newer->born_ns > r->born_ns) {
		newer->born_ns = r->born_ns;
		list_remove(&newer->link);
		list_add_before(&r->link, &newer->link);
		list_remove(&newer->in_chunk);
		list_add_before(&r->in_chunk, &newer->in_chunk);
	}
	run_free(f, c, r);
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
		    0) {
			if (!run_yield(r, newer))
				continue;
			run_replace(f, c, r, newer);
			return;
		}
		memcpy(r->at.data + (newer->off - r->off), newer->at.data,
		       newer->len);
		r->moves = r->moves && newer->moves;
		run_free(f, c, newer);
	}
	r->flushing = false;
	run_count(c, r, false);
}

uint64_t runs_next(const struct content *c, uint64_t number)
{
	uint64_t first = UINT64_MAX;

	list_for(l, &c->runs)
	{
		const struct run *r = container_of(l, struct run, link);

		if (r->chunk->number >= number && r->chunk->number < first)
			first = r->chunk->number;
	}
	return first;
}

/* The part of the run from at on becomes one of its own, as old as it is. */
static int run_halve(struct files *f, struct content *c, struct run *r,
		     uint32_t at)
{
	uint32_t head = at - r->off;
	struct run *tail;
	int err = run_new(f, c, r->chunk, at, r->len - head, r->born_ns, &tail);

	if (err < 0)
		return err;
	/* at lies within the run, so there are bytes, and memory for them */
	/* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker) */
	memcpy(tail->at.data, r->at.data + head, r->len - head);
	tail->len = r->len - head;
	tail->moves = r->moves;
	r->len = head;
	run_count(c, r, false);
	run_count(c, tail, false);
	list_remove(&tail->link);
	list_add_before(r->link.next, &tail->link);
	list_remove(&tail->in_chunk);
	list_add_before(r->in_chunk.next, &tail->in_chunk);
	return 0;
}

int run_split(struct files *f, struct content *c, struct chunk *k, uint32_t at)
{
	list_for_safe(l, &k->runs)
	{
		struct run *r = container_of(l, struct run, in_chunk);
		int err;

		if (r->off >= at || r->off + r->len <= at)
			continue;
		err = run_halve(f, c, r, at);
		if (err < 0)
			return err;
	}
	return 0;
}

void runs_remove(struct files *f, struct content *c, struct chunk *k,
		 uint32_t off, uint32_t end)
{
	list_for_safe(l, &k->runs)
	{
		struct run *r = container_of(l, struct run, in_chunk);

		if (r->off >= off && r->off + r->len <= end)
			run_free(f, c, r);
	}
	k->rewritten = k->rewritten && !list_empty(&k->runs);
}
