/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Epochs: how a new label comes into force.  format.md 2.1 has the rule and
 * the reason; in short, Paxos with the disks as acceptors and this process as
 * the only proposer that can reach the disks it has locked.
 *
 * Labels are written one disk after the other.  It happens at open and when
 * membership changes, costs two syncs of one sector a disk, and the order makes
 * a crash at the nth call repeatable in tests.
 */
#include <disk/private.h>

#include <base/cleanup.h>
#include <base/fail.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A round of writes: who took it. */
struct round {
	uint32_t ids[DISKS_MAX];
	uint32_t n;
};

/* Its label can be written, and counts. */
static bool takes_labels(const struct disks *d, const struct disk_in *k)
{
	const struct member *m = label_member(&d->next, k->pub.id);

	return k->fd >= 0 && m && member_votes(m);
}

static int write_one(struct disks *d, struct disk_in *k, struct label *l)
{
	int r = label_write_fd(d->os, k->fd, k->pub.path, l);

	if (r < 0)
		disk_suspect(&k->pub, "writing its label", r);
	return r;
}

static void promise(struct disks *d, uint64_t epoch, struct round *ret)
{
	ret->n = 0;
	for (uint32_t i = 0; i < disks_count(d); ++i) {
		struct disk_in *k = d->disk[i];
		uint64_t old = k->label.promised;

		if (!takes_labels(d, k))
			continue;
		k->label.promised = epoch;
		if (write_one(d, k, &k->label) >= 0)
			ret->ids[ret->n++] = k->pub.id;
		else
			k->label.promised = old;
	}
}

/* l as the label of one disk. */
static int label_for(const struct label *l, uint32_t id,
		     const struct uuid *disk, const char *store,
		     uint64_t sequence, struct label *ret)
{
	CLEANUP(label_done) struct label mine = { 0 };
	int r = label_copy(l, &mine);

	if (r < 0)
		return r;
	free(mine.store);
	mine.store = strdup(store);
	if (!mine.store)
		return -ENOMEM;
	mine.disk_id = id;
	mine.disk = *disk;
	mine.sequence = sequence;
	*ret = mine;
	mine = (struct label){ 0 };
	return 0;
}

static void accept_label(struct disks *d, const struct label *l,
			 struct round *ret)
{
	for (uint32_t i = 0; i < disks_count(d); ++i) {
		CLEANUP(label_done) struct label mine = { 0 };
		struct disk_in *k = d->disk[i];

		if (!takes_labels(d, k) ||
		    label_for(l, k->pub.id, &k->pub.uuid, k->label.store,
			      k->label.sequence, &mine) < 0 ||
		    write_one(d, k, &mine) < 0)
			continue;
		label_done(&k->label);
		k->label = mine;
		mine = (struct label){ 0 };
		ret->ids[ret->n++] = k->pub.id;
	}
}

static int no_majority(struct disks *d, const struct round *got)
{
	atomic_store(&d->readonly, true);
	return fail(-EROFS,
		    "pool '%s': only %u disks took the new label, which is "
		    "not the majority: nothing can be written any more",
		    d->next.pool_name, got->n);
}

static bool is_enough(const struct round *got, const uint32_t *a, uint32_t n_a,
		      const uint32_t *b, uint32_t n_b)
{
	return is_majority(a, n_a, got->ids, got->n) &&
	       (!n_b || is_majority(b, n_b, got->ids, got->n));
}

static int draw_bits(struct disks *d, uint64_t *bits)
{
	int r = 0;

	do {
		r = d->os->random(d->os, bits, sizeof(*bits));
	} while (r >= 0 && !*bits);
	return r < 0 ? fail(r, "no random numbers: %s", fail_name(r)) : 0;
}

/* The label of the next epoch, and who votes on it. */
static int epoch_propose(struct disks *d, struct label *ret,
			 uint32_t **ret_voters, uint32_t *ret_n)
{
	const struct label *now = disks_label(d);
	CLEANUP(label_done) struct label l = { 0 };
	AUTOFREE uint32_t *voters = NULL;
	uint32_t n;
	int r = label_copy(&d->next, &l);

	if (r >= 0)
		r = label_voters(&l, &voters, &n);
	if (r < 0)
		return r;
	free(l.before);
	l.before = NULL;
	l.n_before = 0;
	if (d->rollback)
		r = label_voters(&l, &l.before, &l.n_before);
	else if (d->in_force)
		r = label_voters(now, &l.before, &l.n_before);
	else if (now->n_before) {
		l.before =
		    (uint32_t *)malloc(now->n_before * sizeof(*l.before));
		if (!l.before)
			return -ENOMEM;
		memcpy(l.before, now->before,
		       now->n_before * sizeof(*l.before));
		l.n_before = now->n_before;
	}
	if (r >= 0)
		r = draw_bits(d, &l.epoch_bits);
	if (r >= 0 && d->rollback)
		r = uuid_new(d->os, &l.history);
	l.epoch = l.promised = d->seen + 1;
	if (r >= 0)
		r = label_check(&l);
	if (r < 0)
		return r;
	*ret = l;
	l = (struct label){ 0 };
	*ret_voters = TAKE(voters);
	*ret_n = n;
	return 0;
}

/* In force: what the set says from here on. */
static int epoch_enter(struct disks *d, struct label *l)
{
	CLEANUP(label_done) struct label next = { 0 };

	if (label_copy(l, &next) < 0 || disks_show_label(d, l) < 0) {
		/* durable, but we can not go on from it */
		atomic_store(&d->readonly, true);
		return -ENOMEM;
	}
	label_done(&d->next);
	d->next = next;
	next = (struct label){ 0 };
	d->in_force = true;
	d->rollback = false;
	for (uint32_t i = 0; i < disks_count(d); ++i) {
		struct disk *k = &d->disk[i]->pub;
		const struct member *m = label_member(&d->next, k->id);

		atomic_store(&k->state, m->state);
		if (!member_votes(m))
			atomic_store(&k->health, DISK_FAILED);
	}
	disks_refresh_tags(d);
	return 0;
}

int epoch_make(struct disks *d, const struct fresh *fresh)
{
	const struct label *now = disks_label(d);
	CLEANUP(label_done) struct label l = { 0 };
	AUTOFREE uint32_t *voters = NULL;
	AUTOFREE uint32_t *old = NULL;
	struct round got = { .n = 0 };
	uint32_t n, n_old;
	int r = epoch_propose(d, &l, &voters, &n);

	if (r >= 0)
		r = label_voters(now, &old, &n_old);
	if (r < 0)
		return r;
	d->seen = l.epoch;
	if (!d->rollback) {
		/* those before matter until the label is known in force */
		promise(d, l.epoch, &got);
		if (!is_enough(&got, old, n_old, now->before,
			       d->in_force ? 0 : now->n_before))
			return no_majority(d, &got);
	}
	got.n = 0;
	if (fresh) {
		CLEANUP(label_done) struct label mine = { 0 };

		r = label_for(&l, fresh->id, &fresh->disk, fresh->store, 0,
			      &mine);
		if (r >= 0)
			r = label_create(d->os, fresh->path, &mine);
		if (r < 0)
			return r;
		got.ids[got.n++] = fresh->id;
	}
	accept_label(d, &l, &got);
	if (!is_enough(&got, voters, n, l.before, l.n_before))
		return no_majority(d, &got);
	return epoch_enter(d, &l);
}

static int compare_ids(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Sorted, each once, all of members who vote. */
static int set_insync(struct disks *d, const uint32_t *insync, uint32_t n)
{
	uint32_t *ids = (uint32_t *)calloc(n + 1u, sizeof(*ids));
	uint32_t n_ids = 0;

	if (!ids)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; ++i) {
		const struct member *m = label_member(&d->next, insync[i]);

		if (!m || !member_votes(m)) {
			free(ids);
			return fail(-EINVAL,
				    "disk %u cannot hold the log: it is not "
				    "an active member",
				    insync[i]);
		}
		ids[i] = insync[i];
	}
	qsort(ids, n, sizeof(*ids), compare_ids);
	for (uint32_t i = 0; i < n; ++i)
		if (!n_ids || ids[n_ids - 1] != ids[i])
			ids[n_ids++] = ids[i];
	free(d->next.insync);
	d->next.insync = ids;
	d->next.n_insync = n_ids;
	return 0;
}

/* In another history what is not here has failed. */
static void leave_missing(struct disks *d)
{
	for (uint32_t i = 0; i < disks_count(d); ++i) {
		struct member *m = label_member(&d->next, d->disk[i]->pub.id);

		if (m && member_votes(m) && d->disk[i]->fd < 0)
			m->state = MEMBER_FAILED;
	}
}

int disks_next_epoch(struct disks *d, const uint32_t *insync, uint32_t n)
{
	int r;
	AUTOLOCK(&d->change);

	if (disks_readonly(d))
		return fail(-EROFS, "pool '%s' is read-only",
			    d->next.pool_name);
	if (d->rollback)
		leave_missing(d);
	r = set_insync(d, insync, n);
	return r < 0 ? r : epoch_make(d, NULL);
}
