/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The true log out of the logs of several disks.
 *
 * A record belongs to it when its chain is the sum of the record before, so
 * it is enough to walk from a known start and to ask each disk for the next
 * number: damage on one disk is covered by any other, and a record of another
 * history does not fit.  The start is the oldest checkpoint from which the
 * walk reaches the newest one: an older start keeps older checkpoints usable
 * should the files of the newest be damaged.
 *
 * To take the longest single log as the truth, and its prefixes for granted,
 * was the first plan; two disks damaged in two places defeat it.
 */
#include <meta/truth.h>

#include <base/fail.h>
#include <base/log.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A record of d that follows on sum; NULL: none. */
static struct log_ref *follower(const struct log_disk *d, uint64_t number,
				const uint8_t *sum, uint64_t epoch)
{
	for (size_t i = log_lower(d, number);
	     i < d->n_refs && d->refs[i].head.number == number; i++)
		if (sum_equal(d->refs[i].head.chain, sum) &&
		    d->refs[i].head.epoch >= epoch)
			return &d->refs[i];
	return NULL;
}

static int add(struct truth *t, struct log_disk *d, const struct log_ref *ref)
{
	if (t->n_refs == t->cap_refs) {
		size_t cap = t->cap_refs ? t->cap_refs * 2 : 64;
		struct truth_ref *v =
		    (struct truth_ref *)realloc(t->refs, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		t->refs = v;
		t->cap_refs = cap;
	}
	t->refs[t->n_refs++] = (struct truth_ref){ d, ref };
	t->last++;
	return 0;
}

/* The next record, from the first disk that has it; 0 when none has. */
static int step(struct truth *t, uint64_t epoch)
{
	uint8_t sum[SUM128_LEN];
	struct log_disk *at = NULL;
	struct log_ref *ref = NULL;

	memcpy(sum, truth_sum(t, t->last), SUM128_LEN);
	for (uint32_t i = 0; i < t->n_disks; i++) {
		struct log_ref *x =
		    follower(t->disks[i], t->last + 1, sum, epoch);

		if (x && ref && !sum_equal(x->head.sum, ref->head.sum)) {
			return fail(-EUCLEAN,
				    "the logs on %s and %s tell two stories "
				    "from group %" PRIu64 " on",
				    at->disk->path, t->disks[i]->disk->path,
				    t->last + 1);
		}
		if (x && !ref) {
			ref = x;
			at = t->disks[i];
		}
	}
	if (!ref)
		return 0;
	return add(t, at, ref) ? -ENOMEM : 1;
}

static int walk(struct truth *t, uint64_t base, const uint8_t *sum)
{
	int r = 1;

	t->base = t->last = base;
	memcpy(t->base_sum, sum, SUM128_LEN);
	t->n_refs = 0;
	while (r > 0)
		r = step(t, t->n_refs ? t->refs[t->n_refs - 1].ref->head.epoch
				      : 0);
	return r;
}

const uint8_t *truth_sum(const struct truth *t, uint64_t number)
{
	if (number < t->base || number > t->last)
		return NULL;
	if (number == t->base)
		return t->base_sum;
	return t->refs[number - t->base - 1].ref->head.sum;
}

static bool agrees(const struct truth *t, const struct ckpt *c)
{
	const uint8_t *sum = truth_sum(t, c->number);

	return sum && sum_equal(sum, c->chain);
}

/* A checkpoint of another chain than the log beside it is none. */
static void drop_strange(struct truth *t)
{
	size_t kept = 0;

	for (size_t i = 0; i < t->ckpts.n; i++) {
		struct ckpt *c = &t->ckpts.v[i];
		bool strange = false;

		for (uint32_t k = 0; k < t->n_disks; k++) {
			const struct log_disk *d = t->disks[k];
			size_t at = log_lower(d, c->number);

			if (d->disk == c->disk && at < d->n_refs &&
			    d->refs[at].head.number == c->number)
				strange =
				    !sum_equal(d->refs[at].head.sum, c->chain);
		}
		if (strange) {
			log_warn("meta",
				 "%s is not of the log beside it: "
				 "left aside",
				 c->path);
			ckpt_done(c);
		} else {
			t->ckpts.v[kept++] = *c;
		}
	}
	t->ckpts.n = kept;
}

/* Walk from the oldest start that leads to the newest checkpoint. */
static int find_base(struct truth *t)
{
	static const uint8_t zero[SUM128_LEN];
	const struct ckpt *newest =
	    t->ckpts.n ? &t->ckpts.v[t->ckpts.n - 1] : NULL;
	int r = walk(t, 0, zero);

	for (size_t i = 0; !r && newest && !agrees(t, newest); i++) {
		if (i == t->ckpts.n)
			return fail(-EUCLEAN, "%s is of no log", newest->path);
		r = walk(t, t->ckpts.v[i].number, t->ckpts.v[i].chain);
	}
	return r;
}

static void mark_good(struct truth *t)
{
	for (uint32_t k = 0; k < t->n_disks; k++) {
		struct log_disk *d = t->disks[k];

		for (size_t i = 0; i < d->n_refs; i++) {
			const uint8_t *sum =
			    truth_sum(t, d->refs[i].head.number);

			d->refs[i].good =
			    sum && sum_equal(sum, d->refs[i].head.sum);
		}
		if (d->confirmed > t->confirmed)
			t->confirmed = d->confirmed;
	}
}

int truth_build(struct truth *t, struct log_disk *const *disks,
		uint32_t n_disks, struct ckpt_list *ckpts)
{
	size_t kept = 0;
	int r;

	*t = (struct truth){ .n_disks = n_disks, .ckpts = *ckpts };
	memcpy(t->disks, disks, n_disks * sizeof(*disks));
	*ckpts = (struct ckpt_list){ 0 };
	drop_strange(t);
	r = find_base(t);
	if (r)
		return r;
	mark_good(t);
	for (size_t i = 0; i < t->ckpts.n; i++) {
		struct ckpt *c = &t->ckpts.v[i];

		if (!agrees(t, c) && c->number >= t->base)
			return fail(-EUCLEAN, "%s is of another history",
				    c->path);
		if (c->number < t->base) {
			ckpt_done(c);
			continue;
		}
		if (c->number > t->confirmed)
			t->confirmed = c->number;
		t->ckpts.v[kept++] = *c;
	}
	t->ckpts.n = kept;
	return 0;
}

void truth_done(struct truth *t)
{
	ckpt_list_done(&t->ckpts);
	free(t->refs);
	*t = (struct truth){ 0 };
}

static int read_from(struct log_disk *d, const struct log_ref *ref,
		     struct buf *rec, struct log_head *ret)
{
	int r = log_read(d, ref, rec);

	if (!r)
		*ret = ref->head;
	return r;
}

int truth_read(const struct truth *t, uint64_t number, struct buf *rec,
	       struct log_head *ret)
{
	const uint8_t *sum = truth_sum(t, number);
	int r;

	if (!sum || number == t->base)
		return -ENOENT;
	r = read_from(t->refs[number - t->base - 1].disk,
		      t->refs[number - t->base - 1].ref, rec, ret);
	for (uint32_t k = 0; r && r != -ENOMEM && k < t->n_disks; k++) {
		struct log_disk *d = t->disks[k];

		for (size_t i = log_lower(d, number);
		     r && i < d->n_refs && d->refs[i].head.number == number;
		     i++)
			if (d->refs[i].good)
				r = read_from(d, &d->refs[i], rec, ret);
	}
	return r;
}

/* The disk has the true record of that number. */
static bool good_at(const struct log_disk *d, uint64_t number)
{
	for (size_t i = log_lower(d, number);
	     i < d->n_refs && d->refs[i].head.number == number; i++)
		if (d->refs[i].good)
			return true;
	return false;
}

int truth_whole(const struct truth *t, const struct log_disk *d, uint64_t end,
		uint64_t *ret_after, uint64_t *ret_upto)
{
	uint64_t after = 0, upto;
	bool start = !t->base;

	for (size_t i = 0; i < t->ckpts.n; i++) {
		if (t->ckpts.v[i].disk != d->disk || t->ckpts.v[i].number > end)
			continue;
		after = t->ckpts.v[i].number;
		start = true;
	}
	if (!start)
		return -EUCLEAN;
	for (upto = after; upto < end && good_at(d, upto + 1); upto++)
		;
	/* what is older stays as long as it can: nobody has read the files
	 * of the checkpoint yet */
	while (after > t->base && good_at(d, after))
		after--;
	*ret_after = after;
	*ret_upto = upto;
	return 0;
}
