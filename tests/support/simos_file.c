/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Content of a simulated file: a two-level table of pages, each with what is
 * seen and, while dirty, what is durable.  A clean page keeps one copy, so a
 * large file costs its data once; reserved and punched pages cost no data.
 */
#include "simos_priv.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct sim_page *page_at(struct sim_node *f, uint64_t index, bool make)
{
	size_t l = (size_t)(index / SIM_LEAF);

	if (l >= f->n_leaf) {
		struct sim_leaf **v;

		if (!make)
			return NULL;
		v = realloc(f->leaf, (l + 1) * sizeof(*v));
		if (!v)
			return NULL;
		memset(v + f->n_leaf, 0, (l + 1 - f->n_leaf) * sizeof(*v));
		f->leaf = v;
		f->n_leaf = l + 1;
	}
	if (!f->leaf[l] && make)
		f->leaf[l] = calloc(1, sizeof(*f->leaf[l]));
	return f->leaf[l] ? &f->leaf[l]->page[index % SIM_LEAF] : NULL;
}

static int page_charge(struct sim_node *f, struct sim_page *p)
{
	struct sim_disk *d = f->disk;

	if (p->alloc)
		return 0;
	if (d->limit && d->used + SIM_PAGE > d->limit)
		return -ENOSPC;
	d->used += SIM_PAGE;
	f->n_alloc++;
	p->alloc = true;
	return 0;
}

static void page_refund(struct sim_node *f, struct sim_page *p)
{
	if (!p->alloc)
		return;
	f->disk->used -= SIM_PAGE;
	f->n_alloc--;
	p->alloc = false;
}

/* Remember what is durable before the page changes the first time. */
static int page_touch(struct sim_page *p, uint8_t sectors)
{
	if (!p->dirty && !p->lost) {
		p->was = NULL;
		if (p->now) {
			p->was = malloc(SIM_PAGE);
			if (!p->was)
				return -ENOMEM;
			memcpy(p->was, p->now, SIM_PAGE);
		}
		p->was_alloc = p->alloc;
	}
	p->dirty |= sectors;
	p->lost &= (uint8_t)~sectors;
	return 0;
}

static uint8_t sector_mask(uint32_t from, uint32_t len)
{
	uint32_t first = from / SIM_SECTOR;
	uint32_t last = (from + len - 1) / SIM_SECTOR;

	return (uint8_t)((0xffu << first) & (0xffu >> (7 - last)));
}

static void page_clean(struct sim_page *p)
{
	free(p->was);
	p->was = NULL;
	p->dirty = p->lost = 0;
}

static int page_put(struct sim_node *f, uint64_t off, const uint8_t *buf,
		    uint32_t len)
{
	struct sim_page *p = page_at(f, off / SIM_PAGE, true);
	uint32_t in = (uint32_t)(off % SIM_PAGE);
	int r;

	if (!p)
		return -ENOMEM;
	/* the durable side must be taken before the page counts as used */
	r = page_touch(p, sector_mask(in, len));
	if (r < 0)
		return r;
	r = page_charge(f, p);
	if (r < 0)
		return r;
	if (!p->now) {
		p->now = calloc(1, SIM_PAGE);
		if (!p->now)
			return -ENOMEM;
	}
	memcpy(p->now + in, buf, len);
	return 0;
}

ssize_t sim_file_write(struct sim_node *f, const struct iovec *iov, int n,
		       uint64_t off, uint64_t most)
{
	uint64_t done = 0;
	int r = 0;

	if (off > SIM_MAX_SIZE)
		return -EFBIG;
	for (int i = 0; i < n && !r && done < most; i++) {
		const uint8_t *b = iov[i].iov_base;
		uint64_t left = iov[i].iov_len;

		if (left > most - done)
			left = most - done;
		while (left > 0) {
			uint64_t at = off + done;
			uint64_t k = SIM_PAGE - at % SIM_PAGE;

			if (k > left)
				k = left;
			r = page_put(f, at, b, (uint32_t)k);
			if (r < 0)
				break;
			b += k;
			left -= k;
			done += k;
		}
	}
	if (off + done > f->size && done)
		f->size = off + done;
	return done ? (ssize_t)done : r;
}

ssize_t sim_file_read(struct sim_node *f, const struct iovec *iov, int n,
		      uint64_t off, uint64_t most)
{
	uint64_t done = 0;

	if (off >= f->size)
		return 0;
	if (most > f->size - off)
		most = f->size - off;
	for (int i = 0; i < n && done < most; i++) {
		uint8_t *b = iov[i].iov_base;
		uint64_t left = iov[i].iov_len;

		if (left > most - done)
			left = most - done;
		while (left > 0) {
			uint64_t at = off + done;
			uint64_t k = SIM_PAGE - at % SIM_PAGE;
			struct sim_page *p = page_at(f, at / SIM_PAGE, false);

			if (k > left)
				k = left;
			if (p && p->now)
				memcpy(b, p->now + at % SIM_PAGE, k);
			else
				memset(b, 0, k);
			b += k;
			left -= k;
			done += k;
		}
	}
	return (ssize_t)done;
}

/* Zero a part of one page; a whole one is given back. */
static int page_zero(struct sim_node *f, uint64_t off, uint32_t len)
{
	struct sim_page *p = page_at(f, off / SIM_PAGE, false);
	uint32_t in = (uint32_t)(off % SIM_PAGE);
	int r;

	if (!p || (!p->now && !p->alloc))
		return 0;
	r = page_touch(p, sector_mask(in, len));
	if (r < 0)
		return r;
	if (len == SIM_PAGE) {
		free(p->now);
		p->now = NULL;
		page_refund(f, p);
	} else if (p->now) {
		memset(p->now + in, 0, len);
	}
	return 0;
}

static int file_zero(struct sim_node *f, uint64_t off, uint64_t end)
{
	uint64_t most = (uint64_t)f->n_leaf * SIM_LEAF * SIM_PAGE;
	int r = 0;

	if (end > most)
		end = most;
	while (off < end && !r) {
		uint64_t k = SIM_PAGE - off % SIM_PAGE;

		if (k > end - off)
			k = end - off;
		r = page_zero(f, off, (uint32_t)k);
		off += k;
	}
	return r;
}

int sim_file_allocate(struct sim_node *f, uint32_t mode, uint64_t off,
		      uint64_t len)
{
	uint64_t end = off + len;

	if (!len || end < off || mode > DYNFS_OS_PUNCH)
		return -EINVAL;
	if (end > SIM_MAX_SIZE)
		return -EFBIG;
	if (mode == DYNFS_OS_PUNCH)
		return file_zero(f, off, end);
	for (uint64_t i = off / SIM_PAGE; i <= (end - 1) / SIM_PAGE; i++) {
		struct sim_page *p = page_at(f, i, true);
		int r;

		if (!p)
			return -ENOMEM;
		if (p->alloc)
			continue;
		r = page_touch(p, 0xff);
		if (!r)
			r = page_charge(f, p);
		if (r < 0)
			return r;
	}
	if (mode == DYNFS_OS_ALLOC && end > f->size)
		f->size = end;
	return 0;
}

int sim_file_truncate(struct sim_node *f, uint64_t len)
{
	int r = 0;

	if (len > SIM_MAX_SIZE)
		return -EFBIG;
	if (len < f->size)
		r = file_zero(f, len, UINT64_MAX);
	if (!r)
		f->size = len;
	return r;
}

typedef void page_fn(struct sim_node *f, struct sim_page *p, void *arg);

/* Each page that is not the same on the disk. */
static void for_dirty(struct sim_node *f, page_fn *fn, void *arg)
{
	for (size_t l = 0; l < f->n_leaf; l++) {
		if (!f->leaf[l])
			continue;
		for (size_t i = 0; i < SIM_LEAF; i++)
			if (f->leaf[l]->page[i].dirty |
			    f->leaf[l]->page[i].lost)
				fn(f, &f->leaf[l]->page[i], arg);
	}
}

/* from NULL: zeros */
static void sectors_copy(uint8_t *to, const uint8_t *from, uint8_t sectors)
{
	for (unsigned i = 0; i < 8; i++) {
		size_t at = (size_t)i * SIM_SECTOR;

		if (!(sectors & (1u << i)))
			continue;
		if (from)
			memcpy(to + at, from + at, SIM_SECTOR);
		else
			memset(to + at, 0, SIM_SECTOR);
	}
}

/* What a sync writes; what an earlier one lost stays so. */
static void page_sync(struct sim_node *f, struct sim_page *p, void *arg)
{
	(void)f;
	(void)arg;
	if (!p->lost) {
		page_clean(p);
		return;
	}
	if (!p->was)
		p->was = calloc(1, SIM_PAGE);
	if (!p->was)
		abort();
	sectors_copy(p->was, p->now, p->dirty);
	p->dirty = 0;
	p->was_alloc = p->alloc;
}

void sim_file_sync(struct sim_node *f)
{
	for_dirty(f, page_sync, NULL);
	f->was_size = f->size;
}

/* Take the durable content, keeping the sectors of the mask. */
static void page_revert(struct sim_node *f, struct sim_page *p, uint8_t keep)
{
	uint8_t changed = p->dirty | p->lost;

	if ((keep & changed) != changed) {
		if (!p->now && p->was)
			p->now = calloc(1, SIM_PAGE);
		if (p->now)
			sectors_copy(p->now, p->was, changed & (uint8_t)~keep);
		if (!p->was_alloc && !(keep & changed)) {
			free(p->now);
			p->now = NULL;
			page_refund(f, p);
		} else if (!p->alloc) {
			/* what was there before fits again: no limit check */
			f->disk->used += SIM_PAGE;
			f->n_alloc++;
			p->alloc = true;
		}
	}
	page_clean(p);
}

struct luck {
	enum simos_survival how;
	uint64_t *rng;
	uint32_t odds; /* of 256 */
};

static void page_fail(struct sim_node *f, struct sim_page *p, void *arg)
{
	struct luck *luck = arg;
	bool stays = luck->how == SIMOS_CACHED ||
		     (luck->how == SIMOS_COIN &&
		      (sim_rand(luck->rng) & 255) < luck->odds);

	/* The allocation of an extent is the file system's: it stays. */
	p->was_alloc = p->alloc;
	p->lost |= p->dirty;
	p->dirty = 0;
	if (!stays || !p->alloc)
		page_revert(f, p, 0);
}

static const uint32_t odds_of[] = { 128, 250, 6, 255 };

void sim_file_fail(struct sim_node *f, enum simos_survival how, uint64_t *rng)
{
	struct luck luck = { how, rng, odds_of[sim_rand(rng) % 4] };

	for_dirty(f, page_fail, &luck);
}

static void page_drop(struct sim_node *f, struct sim_page *p, void *arg)
{
	uint8_t dirty = p->dirty;

	(void)arg;
	if (!dirty)
		page_revert(f, p, 0);
	else if (p->now)
		sectors_copy(p->now, p->was, p->lost);
	p->lost = 0;
}

void sim_file_drop(struct sim_node *f)
{
	for_dirty(f, page_drop, NULL);
}

static void page_crash(struct sim_node *f, struct sim_page *p, void *arg)
{
	struct luck *luck = arg;
	uint8_t keep = 0;

	if (luck->how == SIMOS_KEEP)
		keep = 0xff;
	for (unsigned i = 0; luck->how == SIMOS_COIN && i < 8; i++)
		if ((sim_rand(luck->rng) & 255) < luck->odds)
			keep |= (uint8_t)(1u << i);
	page_revert(f, p, keep);
}

void sim_file_crash(struct sim_node *f, enum simos_survival how, uint64_t *rng)
{
	struct luck luck = { how, rng, odds_of[sim_rand(rng) % 4] };
	uint64_t size = f->was_size;

	if (how == SIMOS_KEEP || (how == SIMOS_COIN && (sim_rand(rng) & 1)))
		size = f->size;
	else if (how == SIMOS_COIN && f->size > size && (sim_rand(rng) & 1))
		size +=
		    sim_rand(rng) % (f->size - size) / SIM_SECTOR * SIM_SECTOR;
	for_dirty(f, page_crash, &luck);
	f->size = size;
	(void)file_zero(f, size, UINT64_MAX);
	sim_file_sync(f);
	f->locked_by = -1;
}

int sim_file_flip(struct sim_node *f, uint64_t off, unsigned bit)
{
	struct sim_page *p = page_at(f, off / SIM_PAGE, false);

	if (off >= f->size || !p || !p->now)
		return -ENXIO;
	p->now[off % SIM_PAGE] ^= (uint8_t)(1u << bit % 8);
	if ((p->dirty | p->lost) && p->was)
		p->was[off % SIM_PAGE] ^= (uint8_t)(1u << bit % 8);
	return 0;
}

void sim_file_free(struct sim_node *f)
{
	for (size_t l = 0; l < f->n_leaf; l++) {
		for (size_t i = 0; f->leaf[l] && i < SIM_LEAF; i++) {
			free(f->leaf[l]->page[i].now);
			free(f->leaf[l]->page[i].was);
		}
		free(f->leaf[l]);
	}
	free(f->leaf);
	if (f->disk && !f->hidden)
		f->disk->used -= f->n_alloc * SIM_PAGE;
}
