/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which label is the truth: format.md 2.1.
 *
 * The highest epoch, and that is enough because an epoch is promised by a
 * majority before any label has it: whoever proposed after the one in force
 * has seen it, whoever proposed before has a lower number.  (Counting how
 * many disks have a label, without promises, lets proposals that died on one
 * disk outgrow the truth.)
 */
#include <disk/private.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int label_voters(const struct label *l, uint32_t **ret, uint32_t *ret_n)
{
	uint32_t *ids = (uint32_t *)calloc(l->n_members + 1u, sizeof(*ids));
	uint32_t n = 0;

	if (!ids)
		return -ENOMEM;
	for (uint32_t i = 0; i < l->n_members; ++i)
		if (member_votes(&l->members[i]))
			ids[n++] = l->members[i].id;
	*ret = ids;
	*ret_n = n;
	return 0;
}

static bool has_id(const uint32_t *ids, uint32_t n, uint32_t id)
{
	for (uint32_t i = 0; i < n; ++i)
		if (ids[i] == id)
			return true;
	return false;
}

bool is_majority(const uint32_t *ids, uint32_t n, const uint32_t *have,
		 uint32_t n_have)
{
	uint32_t hit = 0;

	for (uint32_t i = 0; i < n; ++i)
		hit += has_id(have, n_have, ids[i]);
	return 2 * (uint64_t)hit > n;
}

static bool same_label(const struct label *a, const struct label *b)
{
	return a->epoch == b->epoch && a->epoch_bits == b->epoch_bits &&
	       uuid_equal(&a->history, &b->history);
}

/*
 * Do disks that have l itself (or, all: just any label) make up more than
 * half of those who vote now, and of those who did before?
 */
static bool is_held(const struct label *l, const struct found *found,
		    uint32_t n, bool all)
{
	uint32_t voters = 0, before = 0, n_voters = 0;

	for (uint32_t i = 0; i < l->n_members; ++i)
		n_voters += member_votes(&l->members[i]);
	for (uint32_t i = 0; i < n; ++i) {
		const struct member *m =
		    label_member(l, found[i].label.disk_id);

		if (!m || !member_votes(m) ||
		    !uuid_equal(&m->disk, &found[i].label.disk) ||
		    (!all && !same_label(l, &found[i].label)))
			continue;
		voters++;
		before += has_id(l->before, l->n_before, m->id);
	}
	return 2 * voters > n_voters &&
	       (!l->n_before || 2 * before > l->n_before);
}

static uint32_t copies_of(const struct label *l, const struct found *found,
			  uint32_t n)
{
	uint32_t copies = 0;

	for (uint32_t i = 0; i < n; ++i)
		copies += same_label(l, &found[i].label);
	return copies;
}

/* Of two labels of one epoch: the one that is held; else the commoner. */
static bool is_better(const struct label *a, const struct label *b,
		      const struct found *found, uint32_t n)
{
	bool held = is_held(a, found, n, false);
	uint32_t ca, cb;

	if (a->epoch != b->epoch)
		return a->epoch > b->epoch;
	if (held != is_held(b, found, n, false))
		return held;
	ca = copies_of(a, found, n);
	cb = copies_of(b, found, n);
	return ca != cb ? ca > cb : a->epoch_bits > b->epoch_bits;
}

void newest_pick(const struct found *found, uint32_t n, struct newest *ret)
{
	const struct found *best = NULL;
	const struct label *l;

	*ret = (struct newest){ 0 };
	for (uint32_t i = 0; i < n; ++i)
		if (!best || is_better(&found[i].label, &best->label, found, n))
			best = &found[i];
	if (!best)
		return;
	l = &best->label;
	ret->found = best;
	ret->in_force = is_held(l, found, n, false);
	ret->quorum = is_held(l, found, n, true);
	for (uint32_t i = 0; i < n && !ret->in_force; ++i)
		if (found[i].label.epoch == l->epoch &&
		    !same_label(l, &found[i].label))
			ret->ambiguous = true;
}

int rollback_insync(const struct found *found, uint32_t n, uint32_t **ret,
		    uint32_t *ret_n)
{
	uint32_t *best = (uint32_t *)calloc(DISKS_MAX, sizeof(*best));
	uint64_t best_epoch = 0;
	uint32_t n_best = 0;

	if (!best)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; ++i) {
		const struct label *l = &found[i].label;
		uint32_t hits = 0, ids[DISKS_MAX];

		for (uint32_t j = 0; j < n; ++j)
			if (has_id(l->insync, l->n_insync,
				   found[j].label.disk_id))
				ids[hits++] = found[j].label.disk_id;
		if (!hits || l->epoch <= best_epoch)
			continue;
		memcpy(best, ids, hits * sizeof(*ids));
		n_best = hits;
		best_epoch = l->epoch;
	}
	*ret = best;
	*ret_n = n_best;
	return 0;
}
