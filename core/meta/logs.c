/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which disks hold the log.
 *
 * A disk that another log lies on (the same device below, the same domain)
 * adds little safety, so it comes last; disks without fragments come before
 * those with, for they are the fast ones.
 */
#include <meta/internal.h>

#include <base/cleanup.h>
#include <base/str.h>
#include <meta/files.h>

#include <errno.h>
#include <stdlib.h>

static bool is_log(const struct meta *m, const struct disk *k)
{
	for (uint32_t i = 0; i < m->n_logs; i++)
		if (m->logs[i]->disk == k)
			return true;
	return false;
}

static unsigned badness(const struct meta *m, const struct disk *k)
{
	unsigned bad = k->role & MEMBER_STORES ? 1 : 0;

	for (uint32_t i = 0; i < m->n_logs; i++) {
		const struct disk *other = m->logs[i]->disk;

		if (other->device == k->device)
			bad |= 4;
		if (k->domain && other->domain == k->domain)
			bad |= 2;
	}
	return bad;
}

int logs_choose(struct meta *m, struct log_disk **ret)
{
	struct disk *best = NULL;

	*ret = NULL;
	for (uint32_t i = 0; i < disks_count(m->disks); i++) {
		struct disk *k = disks_at(m->disks, i);

		if (!(k->role & MEMBER_LOGS) || !disk_writable(k) ||
		    is_log(m, k))
			continue;
		if (!best || badness(m, k) < badness(m, best))
			best = k;
	}
	return best ? log_disk_new(m->os, best, &m->pool, ret) : 0;
}

/* Nothing of an older log may be left when one is made there. */
int logs_prepare(struct meta *m, struct log_disk *d)
{
	static const char *const below[] = { "index", "index.new",
					     "checkpoint" };
	int r = log_wipe(d);

	for (size_t i = 0; !r && i < sizeof(below) / sizeof(below[0]); i++) {
		AUTOFREE char *path = str_path(d->disk->path, below[i]);

		r = path ? tree_remove(m->os, path) : -ENOMEM;
	}
	return r;
}

int logs_epoch(struct meta *m, const struct log_disk *also)
{
	uint32_t ids[LOGS_MAX + 1], n = 0;

	for (uint32_t i = 0; i < m->n_logs; i++)
		ids[n++] = m->logs[i]->disk->id;
	if (also)
		ids[n++] = also->disk->id;
	return disks_next_epoch(m->disks, ids, n);
}
