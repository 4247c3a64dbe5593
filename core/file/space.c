/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of dirty runs: whole buffers of the size of a chunk, and pieces.
 *
 * A buffer is one large run's, or a slab: cut into pieces of one size for
 * small runs.  So unwritten bytes never lie among the small objects of the
 * heap, where a hole of 16 KiB next to an inode that stays is lost for as
 * long as the inode; and whatever is free is free as a whole buffer, which
 * serves any size next.  A slab is cut as pieces are asked for: what nobody
 * touched costs nothing.
 *
 * A few free buffers are kept, for fresh memory is cleared page by page, as long
 * as all are within the share of dirty bytes and what comes with it; they
 * go when nothing was written for a while, or memory is short (files_trim()).
 */
#include <file/private.h>

#include <base/cleanup.h>
#include <base/pages.h>

#include <errno.h>
#include <stdlib.h>

#define PIECE_MIN   512u
#define PIECE_MAX   (64u << 10)
#define SPARES_KEEP 32u

/* A buffer, cut; in the list of its size while a piece is free. */
struct slab {
	struct list link;
	uint8_t *data;
	uint32_t piece; /* bytes of one */
	uint32_t n, n_cut, n_used;
	struct spare *free; /* pieces that were given back */
};

static unsigned slab_class(uint32_t piece)
{
	return (unsigned)__builtin_ctz(piece / PIECE_MIN);
}

uint32_t space_cap(const struct files *f, uint32_t want)
{
	uint32_t cap = PIECE_MIN;

	if (want > PIECE_MAX)
		return f->how.extent_bytes;
	while (cap < want)
		cap *= 2;
	return cap < f->how.extent_bytes ? cap : f->how.extent_bytes;
}

/* spare_lock is held, here and below. */
static uint8_t *buffer_new(struct files *f)
{
	struct spare *s = f->spares;

	if (s) {
		f->spares = s->next;
		f->n_spares--;
		return (uint8_t *)s;
	}
	s = (struct spare *)pages_new(f->how.extent_bytes);
	if (s)
		f->n_buffers++;
	return (uint8_t *)s;
}

static void buffer_free(struct files *f, uint8_t *data)
{
	struct spare *s = (struct spare *)(void *)data;

	if (f->n_spares < SPARES_KEEP && f->n_buffers <= f->most_buffers) {
		s->next = f->spares;
		f->spares = s;
		f->n_spares++;
		return;
	}
	pages_free(data, f->how.extent_bytes);
	f->n_buffers--;
}

static struct slab *slab_new(struct files *f, uint32_t piece)
{
	struct slab *s = (struct slab *)calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->data = buffer_new(f);
	if (!s->data) {
		free(s);
		return NULL;
	}
	s->piece = piece;
	s->n = f->how.extent_bytes / piece;
	list_push(&f->slabs[slab_class(piece)], &s->link);
	return s;
}

/* The one that was given back last is still in the processor's cache. */
static uint8_t *slab_take(struct slab *s)
{
	struct spare *p = s->free;

	s->n_used++;
	if (p)
		s->free = p->next;
	if (s->n_used == s->n)
		list_remove(&s->link);
	return p ? (uint8_t *)p : s->data + (size_t)s->n_cut++ * s->piece;
}

static void slab_give(struct files *f, struct slab *s, uint8_t *data)
{
	struct spare *p = (struct spare *)(void *)data;

	p->next = s->free;
	s->free = p;
	if (s->n_used-- == s->n)
		list_push_front(&f->slabs[slab_class(s->piece)], &s->link);
	if (s->n_used)
		return;
	list_remove(&s->link);
	buffer_free(f, s->data);
	free(s);
}

int space_new(struct files *f, uint32_t cap, struct space *ret)
{
	struct space s = { .cap = cap };

	AUTOLOCK(&f->spare_lock);
	if (cap == f->how.extent_bytes) {
		s.data = buffer_new(f);
	} else {
		struct list *l = list_first(&f->slabs[slab_class(cap)]);

		s.slab =
		    l ? container_of(l, struct slab, link) : slab_new(f, cap);
		s.data = s.slab ? slab_take(s.slab) : NULL;
	}
	if (!s.data)
		return -ENOMEM;
	*ret = s;
	return 0;
}

void space_free(struct files *f, struct space *s)
{
	if (!s->data)
		return;
	AUTOLOCK(&f->spare_lock);
	if (s->slab)
		slab_give(f, s->slab, s->data);
	else
		buffer_free(f, s->data);
	*s = (struct space){ 0 };
}

void files_trim(struct files *f)
{
	struct spare *s;

	AUTOLOCK(&f->spare_lock);
	while ((s = f->spares)) {
		f->spares = s->next;
		f->n_spares--;
		f->n_buffers--;
		pages_free(s, f->how.extent_bytes);
	}
}

uint64_t space_bytes(struct files *f)
{
	AUTOLOCK(&f->spare_lock);
	return (uint64_t)f->n_buffers * f->how.extent_bytes;
}
