/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often a frontend was told of an inode: the kernel looks up millions and
 * forgets them when it likes, so a lookup must not keep an inode in memory.
 *
 * One row of 16 bytes for a number, in open tables that grow and shrink by a
 * quarter: 21 to 32 bytes for an inode that the kernel remembers (which costs
 * the kernel itself more than a thousand).  That could be saved too, as
 * numbers are stable; but an inode without a name has to go at the last
 * forget, and only counting tells which one that is.
 *
 * The tables have a share of the memory.  References beyond it are counted
 * together.  While there are such, an inode without a row may be known, and
 * is taken to be until something is forgotten of it: it goes a reference too
 * early at worst, and who holds that reference finds no inode.
 */
#include <file/private.h>

#include <base/cleanup.h>

#include <stdlib.h>

#define KNOWN_MIN 16u

struct known_row {
	uint64_t ino; /* 0: free */
	uint64_t n;
};

static struct known *known_shard(struct files *f, uint64_t hash)
{
	return &f->known[hash % KNOWN_SHARDS];
}

/* Where the probing for it starts; in the order of hashes. */
static uint32_t known_home(const struct known *k, uint64_t ino)
{
	return (uint32_t)(((hash_u64(ino) >> 32) * k->cap) >> 32);
}

static uint32_t known_next(const struct known *k, uint32_t i)
{
	return i + 1 == k->cap ? 0 : i + 1;
}

/* Its row, or the free one where it would be; there always is a free one. */
static struct known_row *known_find(const struct known *k, uint64_t ino)
{
	uint32_t i = known_home(k, ino);

	while (k->rows[i].ino && k->rows[i].ino != ino)
		i = known_next(k, i);
	return &k->rows[i];
}

/* False: no memory, all is as before. */
static bool known_resize(struct known *k, uint32_t cap)
{
	struct known now = { .cap = cap };

	now.rows = (struct known_row *)calloc(cap, sizeof(*now.rows));
	if (!now.rows)
		return false;
	for (uint32_t i = 0; i < k->cap; ++i)
		if (k->rows[i].ino)
			*known_find(&now, k->rows[i].ino) = k->rows[i];
	free(k->rows);
	k->rows = now.rows;
	k->cap = cap;
	return true;
}

/* Rows behind it move up, else they were not found again. */
static void known_remove(struct known *k, struct known_row *row)
{
	uint32_t hole = (uint32_t)(row - k->rows), i = hole;

	for (;;) {
		uint32_t home;

		i = known_next(k, i);
		if (!k->rows[i].ino)
			break;
		home = known_home(k, k->rows[i].ino);
		/* does its way from home to i pass the hole? */
		if (hole <= i ? home > hole && home <= i
			      : home > hole || home <= i)
			continue;
		k->rows[hole] = k->rows[i];
		hole = i;
	}
	k->rows[hole] = (struct known_row){ 0 };
	k->n--;
	if (k->cap > KNOWN_MIN && k->n < k->cap / 2)
		(void)known_resize(k, k->cap - k->cap / 4);
}

/* Three quarters full, it grows, unless its share is used up. */
static bool known_room(const struct files *f, struct known *k)
{
	uint64_t most = f->known_bytes / KNOWN_SHARDS / sizeof(*k->rows);
	uint64_t cap = k->cap + k->cap / 4;

	if (k->cap && k->n < k->cap - k->cap / 4)
		return true;
	cap = cap < KNOWN_MIN ? KNOWN_MIN : cap;
	return cap <= most && known_resize(k, (uint32_t)cap);
}

void known_init(struct files *f)
{
	f->known_bytes = f->how.memory_bytes / 8;
	for (unsigned i = 0; i < KNOWN_SHARDS; ++i)
		(void)pthread_mutex_init(&f->known[i].lock, NULL);
}

void known_done(struct files *f)
{
	for (unsigned i = 0; i < KNOWN_SHARDS; ++i) {
		free(f->known[i].rows);
		(void)pthread_mutex_destroy(&f->known[i].lock);
	}
}

void known_add(struct files *f, uint64_t ino)
{
	struct known *k = known_shard(f, hash_u64(ino));
	struct known_row *row;

	AUTOLOCK(&k->lock);
	row = k->cap ? known_find(k, ino) : NULL;
	if (!row || !row->ino) {
		if (!known_room(f, k)) {
			k->uncounted++;
			return;
		}
		row = known_find(k, ino);
		row->ino = ino;
		k->n++;
	}
	row->n++;
}

bool known_sub(struct files *f, uint64_t ino, uint64_t n)
{
	struct known *k = known_shard(f, hash_u64(ino));
	struct known_row *row;

	AUTOLOCK(&k->lock);
	row = k->cap ? known_find(k, ino) : NULL;
	if (row && row->ino && row->n > n) {
		row->n -= n;
		return false;
	}
	if (row && row->ino) {
		n -= row->n;
		known_remove(k, row);
	}
	/* more than it was given is a frontend's mistake, not ours */
	k->uncounted -= n < k->uncounted ? n : k->uncounted;
	return true;
}

enum known_state known_state(struct files *f, uint64_t ino)
{
	struct known *k = known_shard(f, hash_u64(ino));

	AUTOLOCK(&k->lock);
	if (k->cap && known_find(k, ino)->ino)
		return KNOWN_YES;
	return k->uncounted ? KNOWN_MAYBE : KNOWN_NO;
}

uint64_t known_count(struct files *f, uint64_t *ret_bytes)
{
	uint64_t n = 0, bytes = 0;

	for (unsigned i = 0; i < KNOWN_SHARDS; ++i) {
		struct known *k = &f->known[i];

		AUTOLOCK(&k->lock);
		n += k->n;
		bytes += k->cap * sizeof(*k->rows);
	}
	*ret_bytes = bytes;
	return n;
}
