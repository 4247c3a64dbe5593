/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The set of disks as the layers above see it.
 *
 * Readers take no lock: disks are only ever added (the count is published
 * after the disk), and labels are replaced whole, the old ones kept to the
 * end.  An epoch is a rare event, so what is kept is small, and whoever holds
 * a string or a member of a label need not ask whose it is.
 */
#include <disk/private.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/log.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

uint32_t disks_count(const struct disks *d)
{
	return atomic_load_explicit(&d->n, memory_order_acquire);
}

struct disk *disks_at(const struct disks *d, uint32_t i)
{
	return i < disks_count(d) ? &d->disk[i]->pub : NULL;
}

struct disk *disks_find(const struct disks *d, uint32_t id)
{
	uint32_t lo = 0, hi = disks_count(d);

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (d->disk[mid]->pub.id == id)
			return &d->disk[mid]->pub;
		if (d->disk[mid]->pub.id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

const struct label *disks_label(const struct disks *d)
{
	return &atomic_load(&d->label)->label;
}

uint64_t disks_epoch(const struct disks *d)
{
	return disks_label(d)->epoch;
}

uint64_t disks_epoch_bits(const struct disks *d)
{
	return disks_label(d)->epoch_bits;
}

bool disks_readonly(const struct disks *d)
{
	return atomic_load(&d->readonly);
}

bool disks_unfinished(const struct disks *d)
{
	return features_need(&disks_label(d)->features, FEATURE_UNFINISHED);
}

uint32_t disks_insync(const struct disks *d, uint32_t *ids, uint32_t max)
{
	const struct label *l = disks_label(d);

	for (uint32_t i = 0; i < l->n_insync && i < max; ++i)
		ids[i] = l->insync[i];
	return l->n_insync;
}

static const char *member_tag(const struct member *m, const char *key)
{
	for (uint32_t i = 0; m && i < m->n_tags; ++i)
		if (!strcmp(m->tags[i].key, key))
			return m->tags[i].value;
	return NULL;
}

const char *disk_tag(const struct disks *d, const struct disk *k,
		     const char *key)
{
	return member_tag(label_member(disks_label(d), k->id), key);
}

static bool is_member(const struct disk *k)
{
	unsigned state = atomic_load(&k->state);

	return state == MEMBER_ACTIVE || state == MEMBER_DRAINING;
}

bool disk_readable(const struct disk *k)
{
	unsigned health = atomic_load(&k->health);

	return k->store && is_member(k) &&
	       (health == DISK_ONLINE || health == DISK_SUSPECT);
}

bool disk_writable(const struct disk *k)
{
	return atomic_load(&k->health) == DISK_ONLINE &&
	       atomic_load(&k->state) == MEMBER_ACTIVE &&
	       (k->store || !(k->role & MEMBER_STORES)) &&
	       !disks_readonly(disk_in_const(k)->set);
}

void disk_suspect(struct disk *k, const char *why, int err)
{
	unsigned online = DISK_ONLINE;

	if (!atomic_compare_exchange_strong(&k->health, &online, DISK_SUSPECT))
		return;
	log_error(DISK_AREA,
		  "disk %s is suspect: %s failed with %s; it is still read, "
		  "but nothing new is written to it",
		  k->path, why, fail_name(err));
}

/* ---- making the set -------------------------------------------------- */

void disk_in_free(struct disk_in *k)
{
	struct disks *d = k->set;

	store_close(k);
	if (k->fd >= 0) {
		if (k->signed_here &&
		    atomic_load(&k->pub.health) != DISK_FAILED)
			found_unsign(d->os, k->pub.path);
		(void)d->os->close(d->os, k->fd); /* synced at each write */
	}
	disk_os_done(k);
	label_done(&k->label);
	free(k->pub.path);
	free(k);
}

static void disk_take(struct disk_in *k, struct found *f)
{
	k->fd = f->fd;
	k->pub.device = f->at.dev;
	k->label = f->label;
	f->label = (struct label){ 0 };
	f->fd = -1;
}

int disk_in_new(struct disks *d, const struct member *m, struct found *f,
		struct disk_in **ret)
{
	struct disk_in *k = (struct disk_in *)calloc(1, sizeof(*k));

	if (!k)
		return -ENOMEM;
	k->pub.path = strdup(f ? f->path : m->path);
	if (!k->pub.path) {
		free(k);
		return -ENOMEM;
	}
	k->set = d;
	disk_os_init(k);
	k->fd = -1;
	k->pub.id = m->id;
	k->pub.uuid = m->disk;
	k->pub.role = m->role;
	k->pub.limit_bytes =
	    f && f->entry ? f->entry->limit_bytes : m->limit_bytes;
	atomic_init(&k->pub.state, m->state);
	atomic_init(&k->pub.health, f                 ? DISK_ONLINE
				    : member_votes(m) ? DISK_MISSING
						      : DISK_FAILED);
	if (f)
		disk_take(k, f);
	*ret = k;
	return 0;
}

int disk_in_start(struct disk_in *k)
{
	if (!atomic_load(&k->set->readonly)) {
		found_sign(k->set->os, k->pub.path);
		k->signed_here = true;
	}
	return k->pub.role & MEMBER_STORES ? store_open(k->set, k) : 0;
}

int disks_publish(struct disks *d, struct disk_in *k)
{
	uint32_t n = disks_count(d);

	if (n == DISKS_MAX)
		return fail(-E2BIG, "a pool has at most %u disks", DISKS_MAX);
	d->disk[n] = k;
	atomic_store_explicit(&d->n, n + 1, memory_order_release);
	return 0;
}

/* The number of a word, from 1; 0 when there is no memory for a new one. */
static uint32_t word_number(struct disks *d, const char *word)
{
	char **words;

	for (uint32_t i = 0; i < d->n_words; ++i)
		if (!strcmp(d->words[i], word))
			return i + 1;
	words =
	    (char **)realloc(d->words, (d->n_words + 1u) * sizeof(*d->words));
	if (!words)
		return 0;
	d->words = words;
	words[d->n_words] = strdup(word);
	return words[d->n_words] ? ++d->n_words : 0;
}

void disks_refresh_tags(struct disks *d)
{
	const struct label *l = disks_label(d);

	for (uint32_t i = 0; i < disks_count(d); ++i) {
		struct disk *k = &d->disk[i]->pub;
		const struct member *m = label_member(l, k->id);
		const char *domain = member_tag(m, "domain");
		const char *tier = member_tag(m, "tier");
		uint32_t number = domain ? word_number(d, domain) : 0;

		/* alone in a domain of its own: above all words */
		atomic_store(&k->domain, number ? number : UINT32_MAX - k->id);
		atomic_store(&k->tier, tier ? word_number(d, tier) : 0);
	}
}

int disks_show_label(struct disks *d, struct label *l)
{
	struct label_version *v = (struct label_version *)calloc(1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	v->label = *l;
	*l = (struct label){ 0 };
	v->older = atomic_load(&d->label);
	atomic_store(&d->label, v);
	return 0;
}

static bool shares_with_earlier(const struct disks *d, uint32_t at,
				uint32_t *ret)
{
	for (uint32_t i = 0; i < at; ++i)
		if (d->disk[i]->pub.store &&
		    d->disk[i]->pub.device == d->disk[at]->pub.device) {
			*ret = i;
			return true;
		}
	return false;
}

void disks_warn_shared(struct disks *d)
{
	uint32_t with;
	AUTOLOCK(&d->change);

	for (uint32_t i = 0; i < disks_count(d) && !d->said_shared; ++i) {
		if (!d->disk[i]->pub.store || !shares_with_earlier(d, i, &with))
			continue;
		log_warn(DISK_AREA,
			 "disks %s and %s lie on one device: they share its "
			 "room, and fail together",
			 d->disk[with]->pub.path, d->disk[i]->pub.path);
		d->said_shared = true;
	}
}

void disks_close(struct disks *d)
{
	struct label_version *v;

	if (!d)
		return;
	tpool_free(d->io);
	for (uint32_t i = 0; i < disks_count(d); ++i)
		disk_in_free(d->disk[i]);
	while ((v = atomic_load(&d->label))) {
		atomic_store(&d->label, v->older);
		label_done(&v->label);
		free(v);
	}
	for (uint32_t i = 0; i < d->n_words; ++i)
		free(d->words[i]);
	free(d->words);
	label_done(&d->next);
	store_kind_done(&d->kind);
	free(d->avoid_path);
	(void)pthread_mutex_destroy(&d->change);
	free(d);
}
