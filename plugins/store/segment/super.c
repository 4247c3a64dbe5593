/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The superblock: who the store is, and which segment numbers are spent.
 *
 * A number is never used twice, because a free may arrive long after its
 * segment is gone, and would find the same fragment at the same place again.
 * So numbers are taken from a range that is durable here before the first of
 * it is used.  Two slots are written in turn; when one is damaged it may have
 * been the newer, so numbers are skipped; when both are, the headers of the
 * segments say who the store is.  A slot that cannot be read is not lost yet:
 * it may be readable tomorrow, so nothing is written in its stead.
 */
#include "segment.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NUMBERS_AHEAD  4096u
#define NUMBERS_UNSURE (1u << 24) /* skipped when a superblock is lost */
#define UNCLEAN        UINT64_MAX /* fragments: not known */

static void super_path(const struct store *s, const char *name, char *out,
		       size_t len)
{
	(void)snprintf(out, len, "%s/%s", s->path, name);
}

/* One that failed may have torn its slot: the same is tried the next time. */
int seg_super_write(struct store *s)
{
	uint8_t page[SEG_PAGE];
	struct iovec v = { page, sizeof(page) };
	int r;

	s->super.sequence++;
	seg_super_put(page, &s->super);
	r = write_whole(s->os, s->super_fd, &v, 1,
			s->super.sequence % 2 * SEG_PAGE);
	if (!r)
		r = s->os->sync(s->os, s->super_fd);
	if (r < 0)
		s->super.sequence--;
	return r;
}

/* Spent numbers, and how many, are not known for sure. */
static void numbers_skip(struct store *s, uint64_t from)
{
	s->super.next_number = from + NUMBERS_UNSURE;
	if (s->super.next_number >= SEG_NUMBER_MAX)
		s->super.next_number = SEG_NUMBER_MAX - 1;
	s->super.fragments = UNCLEAN;
}

int seg_number_take(struct store *s, uint64_t *ret)
{
	int r;

	if (s->next_number == s->super.next_number) {
		if (s->next_number + NUMBERS_AHEAD >= SEG_NUMBER_MAX)
			return s->host->fail(s->host, -ENOSPC,
					     "segment: all numbers are spent");
		s->super.next_number += NUMBERS_AHEAD;
		s->super.fragments = UNCLEAN;
		r = seg_super_write(s);
		if (r < 0) {
			s->super.next_number -= NUMBERS_AHEAD;
			return r;
		}
	}
	*ret = s->next_number++;
	return 0;
}

static int parent_sync(struct store *s)
{
	char up[4096];
	char *slash;

	(void)snprintf(up, sizeof(up), "%s", s->path);
	slash = strrchr(up, '/');
	if (!slash)
		return s->os->syncdir(s->os, ".");
	slash[slash == up] = 0;
	return s->os->syncdir(s->os, up);
}

/* Both slots into a new file, which then takes the name. */
static int super_make(struct store *s)
{
	uint8_t pages[2 * SEG_PAGE];
	struct iovec v = { pages, sizeof(pages) };
	char tmp[4096], path[4096];
	int fd, r;

	super_path(s, "store.new", tmp, sizeof(tmp));
	super_path(s, "store.dynfs", path, sizeof(path));
	seg_super_put(pages + SEG_PAGE, &s->super); /* 1: the odd slot */
	s->super.sequence++;
	seg_super_put(pages, &s->super);
	fd = s->os->open(
	    s->os, tmp, DYNFS_OS_RDWR | DYNFS_OS_CREATE | DYNFS_OS_TRUNC, 0600);
	if (fd < 0)
		return fd;
	r = write_whole(s->os, fd, &v, 1, 0);
	if (!r)
		r = s->os->sync(s->os, fd);
	(void)s->os->close(s->os, fd); /* synced, or to be thrown away */
	if (!r)
		r = s->os->rename(s->os, tmp, path);
	if (!r)
		r = s->os->syncdir(s->os, s->path);
	return r;
}

int seg_super_create(struct store *s)
{
	struct dynfs_os_stat st;
	char path[4096];
	int r;

	r = s->os->mkdir(s->os, s->path, 0700);
	if (!r)
		r = parent_sync(s);
	if (r < 0 && r != -EEXIST)
		return s->host->fail(s->host, r, "segment: cannot make %s",
				     s->path);
	super_path(s, "store.dynfs", path, sizeof(path));
	if (!s->os->stat(s->os, path, &st))
		return s->host->fail(s->host, -EEXIST,
				     "segment: %s is a store already", s->path);
	s->super = (struct seg_super){ .sequence = 1, .next_number = 1 };
	r = s->os->random(s->os, s->super.uuid, sizeof(s->super.uuid));
	return r < 0 ? r : super_make(s);
}

static int is_newer(struct store *s, int r, const char *why)
{
	return s->host->fail(s->host, r,
			     "segment: %s needs %s, which this version does "
			     "not have",
			     s->path, why);
}

/* What the segments know of a store that lost its superblock. */
struct recovery {
	struct store *s;
	uint64_t highest; /* number */
	bool found;
};

static int look_at_header(void *ctx, const char *name, uint32_t type)
{
	struct recovery *c = ctx;
	struct store *s = c->s;
	uint8_t page[SEG_PAGE];
	char path[4096], why[SEG_WHY];
	uint64_t number;
	bool open_name;
	int fd, r;

	(void)type;
	if (!seg_name_parse(name, &number, &open_name))
		return 0;
	if (number > c->highest)
		c->highest = number;
	if (c->found)
		return 0;
	seg_path(s, number, open_name, path, sizeof(path));
	fd = s->os->open(s->os, path, DYNFS_OS_RDONLY, 0);
	if (fd < 0)
		return 0;
	r = read_whole_at(s->os, fd, page, sizeof(page), 0);
	(void)s->os->close(s->os, fd); /* read only */
	if (r < 0)
		return 0;
	r = seg_header_get(page, number, s->super.uuid, s->rdonly, why);
	c->found = r > 0;
	return r < 0 ? is_newer(s, r, why) : 0;
}

static int super_recover(struct store *s)
{
	struct recovery c = { .s = s };
	int r = s->os->list(s->os, s->path, look_at_header, &c);

	if (r == -EOPNOTSUPP)
		return r; /* said already */
	if (r < 0 || !c.found)
		return s->host->fail(s->host, r < 0 ? r : -EUCLEAN,
				     "segment: %s is not a store", s->path);
	s->super.sequence = 1;
	numbers_skip(s, c.highest);
	s->host->log(s->host, DYNFS_WARN,
		     "segment: %s: the superblock is lost, the segments say "
		     "who the store is",
		     s->path);
	return s->rdonly ? 0 : super_make(s);
}

/*
 * The newer good slot, and how many are good.  To write, both must be read:
 * what is in the other may be newer, or forbid it.
 */
static int super_read(struct store *s, int fd, uint32_t *ret_good)
{
	uint8_t page[SEG_PAGE];
	struct seg_super super;
	char why[SEG_WHY];
	uint32_t good = 0;
	int r;

	for (uint32_t i = 0; i < 2; i++) {
		r = read_whole_at(s->os, fd, page, sizeof(page),
				  (uint64_t)i * SEG_PAGE);
		if (r < 0 && r != -EUCLEAN && !s->rdonly)
			return s->host->fail(
			    s->host, r,
			    "segment: %s/store.dynfs: half %u of the "
			    "superblock cannot be read: %s",
			    s->path, i + 1, strerrordesc_np(-r));
		if (r < 0)
			continue;
		r = seg_super_get(page, &super, s->rdonly, why);
		if (r < 0)
			return is_newer(s, r, why);
		if (r && (!good || super.sequence > s->super.sequence))
			s->super = super;
		good += r > 0;
	}
	*ret_good = good;
	return 0;
}

/* The slot that was damaged may have been the newer one. */
static void super_mend(struct store *s)
{
	s->host->log(s->host, DYNFS_WARN,
		     "segment: %s: half of the superblock is damaged, the "
		     "other is taken",
		     s->path);
	numbers_skip(s, s->super.next_number);
	if (!s->rdonly)
		(void)seg_super_write(s); /* or with the first number taken */
}

/* Numbers are taken below what it says: not if only a cache says so. */
static int super_settle(struct store *s, int fd)
{
	int r = s->os->sync(s->os, fd);

	if (!r)
		r = s->os->drop(s->os, fd);
	return r < 0 ? s->host->fail(s->host, -EIO,
				     "segment: %s: the superblock can not be "
				     "synced: %s",
				     s->path, strerrordesc_np(-r))
		     : 0;
}

int seg_super_open(struct store *s, bool found)
{
	uint32_t flags = s->rdonly ? DYNFS_OS_RDONLY : DYNFS_OS_RDWR;
	uint32_t good = 0;
	char path[4096];
	int r, fd;

	super_path(s, "store.dynfs", path, sizeof(path));
	fd = s->os->open(s->os, path, flags, 0);
	r = fd >= 0 && found && !s->rdonly ? super_settle(s, fd) : 0;
	if (!r)
		r = fd < 0 ? fd : super_read(s, fd, &good);
	if (fd == -ENOENT || (!r && !good)) {
		if (fd >= 0)
			(void)s->os->close(s->os, fd); /* nothing written */
		r = super_recover(s);
		fd = r < 0 ? r : s->os->open(s->os, path, flags, 0);
		/* to read, what the headers say is enough */
		if (!r && fd < 0 && !s->rdonly)
			r = fd;
	}
	if (r >= 0 && fd >= 0 && s->os->lock(s->os, fd) == -EWOULDBLOCK)
		r = s->host->fail(s->host, -EBUSY, "segment: %s is in use",
				  s->path);
	if (r < 0) {
		if (fd >= 0)
			(void)s->os->close(s->os, fd); /* nothing written */
		return r;
	}
	s->super_fd = fd;
	if (good == 1)
		super_mend(s);
	return 0;
}
