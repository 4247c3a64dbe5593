/* SPDX-License-Identifier: Apache-2.0 */
#include "simdisks.h"

#include <base/cleanup.h>
#include <base/hash.h>
#include <base/le.h>
#include <base/list.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOT 512u

struct simdisk {
	struct disk k;
	struct disks *set;
};

struct disks {
	struct simos *sim;
	const struct dynfs_os *os;
	struct label label;
	pthread_mutex_t *lock; /* epoch, insync; owned */
	uint64_t epoch;
	uint32_t insync[SIM_DISKS], n_insync;
	struct simdisk *disk; /* SIM_DISKS of them; owned */
};

const char *simdisks_path(uint32_t id)
{
	static const char *const path[] = { "/d1", "/d2", "/d3", "/d4", "/d5" };

	return path[id - 1];
}

static int rw(const struct dynfs_os *os, uint32_t id, const char *name,
	      bool write, void *data, uint64_t off)
{
	struct iovec v = { data, SLOT };
	char path[32];
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", simdisks_path(id), name);
	fd = os->open(os, path, DYNFS_OS_RDWR, 0600);
	if (fd < 0)
		return fd;
	/* nothing is read that only a cache has */
	n = write ? os->pwritev(os, fd, &v, 1, off) : os->drop(os, fd);
	if (!write && !n)
		n = os->preadv(os, fd, &v, 1, off);
	if (n == SLOT && write && !strcmp(name, "label")) {
		int r = os->sync(os, fd);

		n = r ? r : n;
	}
	(void)os->close(os, fd);
	return n < 0 ? (int)n : n == SLOT ? 0 : -EUCLEAN;
}

static int label_put(const struct dynfs_os *os, uint32_t id, uint64_t epoch,
		     const uint32_t *insync, uint32_t n)
{
	uint8_t b[SLOT] = { 0 };

	put_le64(b + 16, epoch);
	put_le32(b + 24, n);
	for (uint32_t i = 0; i < n; i++)
		put_le32(b + 28 + 4 * i, insync[i]);
	sum128(b + 16, SLOT - 16, b);
	return rw(os, id, "label", true, b, epoch % 2 * SLOT);
}

/* The newer of the two slots into d, if it is newer than what d knows. */
static int label_get(struct disks *d, uint32_t id)
{
	uint8_t b[SLOT], sum[16];
	int r = -EUCLEAN;

	for (uint32_t half = 0; half < 2; half++) {
		int one = rw(d->os, id, "label", false, b, half * SLOT);

		if (one == -EIO)
			return one;
		sum128(b + 16, SLOT - 16, sum);
		if (one || !sum_equal(sum, b))
			continue;
		r = 0;
		if (get_le64(b + 16) <= d->epoch)
			continue;
		d->epoch = get_le64(b + 16);
		d->n_insync = get_le32(b + 24);
		for (uint32_t i = 0; i < d->n_insync; i++)
			d->insync[i] = get_le32(b + 28 + 4 * i);
	}
	return r;
}

static int make(const struct dynfs_os *os, const char *path)
{
	int fd = os->open(os, path, DYNFS_OS_RDWR | DYNFS_OS_CREATE, 0600);
	int r;

	if (fd < 0)
		return fd;
	r = os->truncate(os, fd, 2 * SLOT);
	if (!r)
		r = os->sync(os, fd);
	(void)os->close(os, fd);
	return r;
}

int simdisks_create(struct simos *s)
{
	const struct dynfs_os *os = simos_os(s);
	int r = 0;

	for (uint32_t id = 1; !r && id <= SIM_DISKS; id++) {
		char path[32];

		r = simos_limit(s, simdisks_path(id), 0);
		(void)snprintf(path, sizeof(path), "%s/label",
			       simdisks_path(id));
		if (!r)
			r = make(os, path);
		(void)snprintf(path, sizeof(path), "%s/store",
			       simdisks_path(id));
		if (!r)
			r = make(os, path);
		if (!r)
			r = os->syncdir(os, simdisks_path(id));
		if (!r)
			r = label_put(os, id, 1, NULL, 0);
	}
	return r;
}

int simdisks_open(struct simos *s, struct disks **ret)
{
	struct disks *d = (struct disks *)calloc(1, sizeof(*d));
	unsigned here = 0;

	if (!d)
		abort();
	d->sim = s;
	d->os = simos_os(s);
	memcpy(d->label.pool.b, "the pool of test", 16);
	d->lock = (pthread_mutex_t *)calloc(1, sizeof(*d->lock));
	d->disk = (struct simdisk *)calloc(SIM_DISKS, sizeof(*d->disk));
	if (!d->lock || !d->disk)
		abort();
	(void)pthread_mutex_init(d->lock, NULL);
	for (uint32_t id = 1; id <= SIM_DISKS; id++) {
		struct disk *k = &d->disk[id - 1].k;
		int r = label_get(d, id);

		d->disk[id - 1].set = d;
		k->id = id;
		k->path = strdup(simdisks_path(id));
		k->role = MEMBER_STORES | MEMBER_LOGS;
		k->device = id;
		atomic_store(&k->health, r ? DISK_MISSING : DISK_ONLINE);
		here += !r;
	}
	*ret = d;
	return here > SIM_DISKS / 2 ? 0 : -EROFS;
}

void simdisks_close(struct disks *d)
{
	if (!d)
		return;
	for (uint32_t i = 0; i < SIM_DISKS; i++)
		free(d->disk[i].k.path);
	(void)pthread_mutex_destroy(d->lock);
	free(d->lock);
	free(d->disk);
	free(d);
}

int simdisks_put(struct disks *d, uint32_t id, uint32_t slot, uint64_t value)
{
	uint8_t b[SLOT] = { 0 };

	put_le64(b, value);
	put_le64(b + SLOT - 8, value);
	return rw(d->os, id, "store", true, b, (uint64_t)slot * SLOT);
}

int simdisks_check(struct disks *d, uint32_t id, uint32_t slot, uint64_t value)
{
	uint8_t b[SLOT];
	int r;

	if (!disk_readable(&d->disk[id - 1].k))
		return -ENODEV;
	r = rw(d->os, id, "store", false, b, (uint64_t)slot * SLOT);
	if (r && r != -EUCLEAN)
		return -ENODEV;
	return r || get_le64(b) != value || get_le64(b + SLOT - 8) != value
		   ? -EUCLEAN
		   : 0;
}

const struct label *disks_label(const struct disks *d)
{
	return &d->label;
}

uint64_t disks_epoch(const struct disks *d)
{
	AUTOLOCK(d->lock);

	return d->epoch;
}

uint32_t disks_insync(const struct disks *d, uint32_t *ids, uint32_t max)
{
	uint32_t n;
	AUTOLOCK(d->lock);

	n = d->n_insync < max ? d->n_insync : max;
	if (n)
		memcpy(ids, d->insync, n * sizeof(*ids));
	return d->n_insync;
}

int disks_next_epoch(struct disks *d, const uint32_t *insync, uint32_t n)
{
	unsigned wrote = 0;
	AUTOLOCK(d->lock);

	for (uint32_t id = 1; id <= SIM_DISKS; id++)
		wrote +=
		    atomic_load(&d->disk[id - 1].k.health) != DISK_MISSING &&
		    !label_put(d->os, id, d->epoch + 1, insync, n);
	if (wrote <= SIM_DISKS / 2)
		return -EROFS;
	d->epoch++;
	d->n_insync = n;
	memcpy(d->insync, insync, n * sizeof(*insync));
	return 0;
}

uint32_t disks_count(const struct disks *d)
{
	(void)d;
	return SIM_DISKS;
}

struct disk *disks_at(const struct disks *d, uint32_t i)
{
	return &d->disk[i].k;
}

struct disk *disks_find(const struct disks *d, uint32_t id)
{
	return id && id <= SIM_DISKS ? disks_at(d, id - 1) : NULL;
}

bool disk_readable(const struct disk *k)
{
	unsigned h = atomic_load(&k->health);

	return h == DISK_ONLINE || h == DISK_SUSPECT;
}

bool disk_writable(const struct disk *k)
{
	return atomic_load(&k->health) == DISK_ONLINE;
}

void disk_suspect(struct disk *k, const char *why, int err)
{
	unsigned online = DISK_ONLINE;

	(void)why;
	(void)err;
	(void)atomic_compare_exchange_strong(&k->health, &online, DISK_SUSPECT);
}

int disk_release_ballast(struct disk *k)
{
	(void)k;
	return -ENOENT;
}

uint64_t disk_mark(struct disk *k)
{
	(void)k;
	return 1;
}

int disk_sync(struct disk *k, uint64_t token)
{
	const struct disks *d = container_of(k, struct simdisk, k)->set;
	char path[32];
	int fd, r;

	(void)token;
	(void)snprintf(path, sizeof(path), "%s/store", k->path);
	fd = d->os->open(d->os, path, DYNFS_OS_RDWR, 0600);
	if (fd < 0)
		return fd;
	r = d->os->sync(d->os, fd);
	(void)d->os->close(d->os, fd);
	return r;
}
