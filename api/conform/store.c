/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores: what is written is there, whole, until it is freed.  What a power
 * cut may do is in store_crash.c.
 */
#include "fragment.h"

#include <errno.h>
#include <string.h>

#define MIB ((uint64_t)1 << 20)

static const uint32_t payloads[] = { 0,     1,     64,     4095,   4096,
				     65535, 65536, 100001, 524288, 1000000 };
static const uint32_t heads[] = { 0, 1, 100, 4096, 5000 };

/* An instance with an open store; the check's function ends with done(). */
static bool ready(struct conform *c, struct inst *i, uint64_t limit)
{
	int err;

	if (inst_new(c, i, NULL))
		return false;
	err = store_open(i, "store", DYNFS_STORE_OPEN_CREATE, limit);
	if (!err)
		return true;
	return no(c, "open(CREATE) of nothing: errno %d, %s", -err,
		  i->host.fail_text);
}

static bool done(struct conform *c, struct inst *i, bool good)
{
	store_ops(i)->close(i->self);
	if (!inst_free(c, i) || !good)
		return false;
	return !frag_wrong() || no(c, "%s", frag_wrong());
}

static bool is_volatile(const struct inst *i)
{
	return store_ops(i)->caps & DYNFS_STORE_VOLATILE;
}

static int reopen(struct conform *c, struct inst *i, uint32_t flags)
{
	struct simos *sim = i->sim;

	/* a new instance on the disk of the old one */
	store_ops(i)->close(i->self);
	if (i->plugin->stop)
		i->plugin->stop(i->self);
	i->plugin->destroy(i->self);
	if (i->host.live_blocks || simos_handles(sim))
		(void)no(c, "close() left memory or files");
	if (inst_start(i))
		return -ECANCELED;
	return store_open(i, "store", flags, 0);
}

static bool every_range_reads_back(struct conform *c)
{
	struct frag f[COUNT(payloads) * COUNT(heads)];
	uint64_t rng = c->seed;
	struct inst i;
	bool good = ready(c, &i, 0);

	for (uint32_t n = 0; good && n < COUNT(f); n++) {
		f[n] = frag_make(n + 1, heads[n % COUNT(heads)],
				 payloads[n / COUNT(heads)]);
		good = !frag_write(&i, &f[n]) ||
		       no(c, "%u+%u bytes are not written", f[n].head_len,
			  f[n].payload_len);
	}
	for (uint32_t n = 0; good && n < COUNT(f); n++) {
		good = !frag_check(&i, &f[n]) ||
		       no(c, "%u+%u bytes read back wrong", f[n].head_len,
			  f[n].payload_len);
		for (int k = 0; good && k < 12; k++) {
			bool head = k & 1;
			uint64_t len = head ? f[n].head_len : f[n].payload_len;
			uint64_t off = rnd(&rng) % (len + 1);
			uint64_t some = rnd(&rng) % (len - off + 1);

			good = !frag_read(&i, &f[n], head, off, some) ||
			       no(c, "%llu bytes at %llu of %llu are wrong",
				  (unsigned long long)some,
				  (unsigned long long)off,
				  (unsigned long long)len);
		}
	}
	return done(c, &i, good);
}

/* every offset and length of a small fragment, across 512 and 4096 */
static bool every_byte_range_of_one(struct conform *c)
{
	struct frag f = frag_make(1, 40, 4200);
	struct inst i;
	bool good = ready(c, &i, 0) && !frag_write(&i, &f);

	for (uint64_t off = 0; good && off <= 4200; off += off < 40 ? 1 : 29)
		for (uint64_t len = 0; good && off + len <= 4200;
		     len += len < 20 ? 1 : 317)
			good =
			    !frag_read(&i, &f, false, off, len) ||
			    no(c, "%llu bytes at %llu", (unsigned long long)len,
			       (unsigned long long)off);
	return done(c, &i, good);
}

static bool too_much_is_refused(struct conform *c)
{
	struct frag f = frag_make(1, 100, 70000), other;
	struct inst i;
	bool good = ready(c, &i, 0) && !frag_write(&i, &f);

	other = f;
	other.id.counter++;
	good = good && ((frag_read(&i, &f, false, 1, 70000) == -EUCLEAN &&
			 frag_read(&i, &f, true, 0, 101) == -EUCLEAN &&
			 frag_read(&i, &f, true, UINT64_MAX, 2) == -EUCLEAN) ||
			no(c, "a read beyond the end is not EUCLEAN"));
	good = good && (frag_read(&i, &other, true, 0, 100) == -EUCLEAN ||
			no(c, "a place is read under another's id"));
	return done(c, &i, good);
}

static bool strange_places_do_no_harm(struct conform *c)
{
	struct frag f = frag_make(1, 100, 70000), x;
	uint64_t rng = c->seed;
	struct inst i;
	bool good = ready(c, &i, 0) && !frag_write(&i, &f);

	for (int n = 0; good && n < 2000; n++) {
		x = f;
		if (n & 1)
			x.place.w[n / 2 & 1] ^= 1ull << rnd(&rng) % 64;
		else
			x.place =
			    (struct dynfs_place){ { rnd(&rng), rnd(&rng) } };
		(void)frag_read(&i, &x, false, 0, 1000);
		good = !frag_free(&i, &x) ||
		       no(c, "freeing a place that holds nothing is an error");
	}
	good = good &&
	       (!frag_check(&i, &f) || no(c, "the fragment did not survive"));
	return done(c, &i, good);
}

static bool vectors_complete(struct conform *c)
{
	enum { N = 150 };
	static struct frag f[N];
	uint64_t rng = c->seed, total = 0;
	int res[N];
	struct inst i;
	bool good = ready(c, &i, 0);

	for (uint32_t n = 0; n < N; n++)
		f[n] =
		    frag_make(n + 1, (uint32_t)(rnd(&rng) % 300),
			      (uint32_t)(rnd(&rng) % (n % 3 ? 5000 : 200000)));
	if (good)
		frags_write(&i, f, res, N);
	for (uint32_t n = 0; good && n < N; n++)
		good = (!res[n] && !frag_check(&i, &f[n])) ||
		       no(c, "fragment %u of a vector: %d", n, res[n]);
	for (int round = 0; good && round < 3; round++) {
		frags_free(&i, f, res, N / 2);
		for (uint32_t n = 0; good && n < N / 2; n++)
			good =
			    !res[n] || no(c, "free %d gives %d", round, res[n]);
	}
	for (uint32_t n = 0; good && n < N; n++)
		good =
		    store_listed(&i, &f[n], 7, &total) == (n >= N / 2) ||
		    no(c, "fragment %u is not listed %d times", n, n >= N / 2);
	good = good && (total == N - N / 2 ||
			no(c, "%llu are listed", (unsigned long long)total));
	for (uint32_t n = N / 2; good && n < N; n++)
		good = !frag_check(&i, &f[n]) || no(c, "a neighbour's free");
	return done(c, &i, good);
}

static bool one_id_twice_has_two_places(struct conform *c)
{
	struct frag a = frag_make(5, 100, 3000), b = a;
	uint64_t total;
	struct inst i;
	bool good = ready(c, &i, 0);

	good = good && ((!frag_write(&i, &a) && !frag_write(&i, &b)) ||
			no(c, "the second write is refused"));
	good = good && (memcmp(&a.place, &b.place, sizeof(a.place)) != 0 ||
			no(c, "both have one place"));
	good = good && ((!frag_check(&i, &a) && !frag_check(&i, &b)) ||
			no(c, "one of them is wrong"));
	good = good && ((store_listed(&i, &a, 1, &total) == 1 && total == 2) ||
			no(c, "they are not listed once each"));
	good = good && ((!frag_free(&i, &a) && !frag_check(&i, &b)) ||
			no(c, "freeing one freed the other"));
	return done(c, &i, good);
}

static bool a_clean_close_keeps_all(struct conform *c)
{
	struct dynfs_store_space sp = { .size = sizeof(sp) };
	struct frag f[60];
	uint64_t total;
	struct inst i;
	bool good = ready(c, &i, 0);
	int err;

	if (good && is_volatile(&i))
		return skipped(c, "it says that it is volatile");
	for (uint32_t k = 0; good && k < 3; k++) {
		for (uint32_t n = 20 * k; good && n < 20 * k + 20; n++) {
			f[n] = frag_make(n + 1, 50 * k, n & 1 ? 100000 : 1000);
			good = !frag_write(&i, &f[n]) || no(c, "a write fails");
		}
		err = good ? reopen(c, &i, 0) : 0;
		if (err)
			return no(c, "open() after close(): errno %d, %s", -err,
				  i.host.fail_text);
		for (uint32_t n = 0; good && n < 20 * k + 20; n++)
			good = !frag_check(&i, &f[n]) ||
			       no(c, "fragment %u is gone", n);
		good = good && ((store_listed(&i, f, 5, &total) == 1 &&
				 total == 20ull * k + 20) ||
				no(c, "the listing is wrong after open()"));
		good = good && ((!store_ops(&i)->space(i.self, &sp) &&
				 sp.fragments == 20ull * k + 20) ||
				no(c, "space() counts %llu fragments",
				   (unsigned long long)sp.fragments));
	}
	return done(c, &i, good);
}

static bool read_only_writes_nothing(struct conform *c)
{
	struct frag f = frag_make(1, 100, 70000), g = frag_make(2, 1, 1);
	uint64_t before;
	struct inst i;
	bool good = ready(c, &i, 0) && !frag_write(&i, &f);

	if (good && is_volatile(&i))
		return skipped(c, "it says that it is volatile");
	if (good && reopen(c, &i, 0))
		return no(c, "open() after close() fails");
	store_ops(&i)->close(i.self);
	i.plugin->destroy(i.self);
	before = simos_calls(i.sim, SIMOS_MUTATING);
	if (inst_start(&i) ||
	    store_open(&i, "store", DYNFS_STORE_OPEN_RDONLY, 0))
		return no(c, "open(RDONLY) fails: %s", i.host.fail_text);
	good = good && (!frag_check(&i, &f) || no(c, "it cannot be read"));
	good = good && (frag_write(&i, &g) < 0 || no(c, "it takes a write"));
	good = good && (frag_free(&i, &f) < 0 || no(c, "it takes a free"));
	good = done(c, &i,
		    good && (simos_calls(i.sim, SIMOS_MUTATING) == before ||
			     no(c, "it wrote to the disk")));
	return good;
}

static bool what_is_no_store_is_refused(struct conform *c)
{
	struct inst i;
	bool good;
	int err;

	if (inst_new(c, &i, NULL))
		return false;
	if (is_volatile(&i))
		return skipped(c, "it says that it is volatile");
	err = store_open(&i, "none", 0, 0);
	good = err < 0 || no(c, "what is not there is opened");
	good = good && !i.host.host.os->mkdir(i.host.host.os, "/disk/e", 0700);
	i.host.n_fails = 0;
	err = good ? store_open(&i, "e", 0, 0) : 0;
	good = good &&
	       answered(c, &i, 0, "open() of an empty folder", err, -EUCLEAN);
	return inst_free(c, &i) && good;
}

/* Writes until it is full; the number written. */
static uint32_t fill(struct inst *i, struct frag *f, uint32_t most,
		     uint64_t first, int *ret_err)
{
	uint32_t n = 0;

	for (*ret_err = 0; n < most; n++) {
		f[n] = frag_make(first + n, 600, n % 3 ? 262144 : 10000);
		*ret_err = frag_write(i, &f[n]);
		if (*ret_err)
			break;
	}
	return n;
}

static bool a_full_store_says_so(struct conform *c)
{
	enum { MOST = 1500 };
	static struct frag f[MOST];
	struct dynfs_store_space sp = { .size = sizeof(sp) };
	const uint64_t limit = 48 * MIB;
	uint64_t total;
	struct inst i;
	bool good = ready(c, &i, limit);
	int err;

	for (uint64_t round = 0; good && round < 3; round++) {
		uint32_t n = fill(&i, f, MOST, round * MOST + 1, &err);

		good = err == -ENOSPC || no(c, "a full store gives %d", err);
		good = good && (n > 100 || no(c, "it takes %u fragments", n));
		good = good && (!store_listed(&i, &f[n], 32, &total) ||
				no(c, "the refused write left something"));
		good = good && (total == n || no(c, "%llu of %u are listed",
						 (unsigned long long)total, n));
		good = good && (simos_used(i.sim, "/disk") <= limit + MIB ||
				no(c, "it uses more than its limit"));
		good = good &&
		       ((!store_ops(&i)->space(i.self, &sp) &&
			 sp.total_bytes <= limit && sp.free_bytes < 2 * MIB) ||
			no(c, "space() does not say that it is full"));
		for (uint32_t k = 0; good && k < n; k++)
			good =
			    (!frag_check(&i, &f[k]) && !frag_free(&i, &f[k])) ||
			    no(c, "fragment %u of a full store", k);
	}
	return done(c, &i, good);
}

static bool costs_are_not_less_than_bytes(struct conform *c)
{
	struct inst i;
	bool good = ready(c, &i, 0);

	for (size_t p = 0; good && p < COUNT(payloads); p++)
		for (size_t h = 0; good && h < COUNT(heads); h++)
			good = store_ops(&i)->cost(i.self, heads[h],
						   payloads[p]) >=
				   (uint64_t)heads[h] + payloads[p] ||
			       no(c, "%u+%u bytes cost less", heads[h],
				  payloads[p]);
	return done(c, &i, good);
}

static bool listing_goes_on_while_writing(struct conform *c)
{
	enum { FIRST = 300, ALL = 600 };
	static struct frag f[ALL];
	static unsigned char seen[ALL + 1];
	struct dynfs_store_entry e[10];
	uint32_t n = 1, added = FIRST;
	uint64_t cursor = 0;
	struct inst i;
	bool good = ready(c, &i, 0);

	for (uint32_t k = 0; k < ALL; k++)
		f[k] = frag_make(k + 1, 50, k % 5 ? 3000 : 70000);
	for (uint32_t k = 0; good && k < FIRST; k++)
		good = !frag_write(&i, &f[k]);
	while (good && n) {
		good = !store_ops(&i)->list(i.self, &cursor, e, COUNT(e), &n);
		for (uint32_t k = 0; good && k < n; k++)
			good =
			    e[k].id.counter <= ALL && !seen[e[k].id.counter]++;
		for (uint32_t k = 0; good && k < 5 && added < ALL; k++)
			good = !frag_write(&i, &f[added++]);
	}
	for (uint32_t k = 1; good && k <= FIRST; k++)
		good = seen[k] || no(c, "fragment %u is left out", k);
	return done(c, &i,
		    good || (c->why[0] ? false : no(c, "one is shown twice")));
}

/* ---- for the checks of all kinds ----------------------------------------- */

static int begin(struct inst *i)
{
	return store_open(i, "common", DYNFS_STORE_OPEN_CREATE, 0);
}

static void end(struct inst *i)
{
	store_ops(i)->close(i->self);
}

static int use(struct inst *i, uint64_t salt)
{
	struct frag f[4];
	int res[4], err = 0;

	for (uint32_t n = 0; n < 4; n++)
		f[n] = frag_make(salt * 4 + n + 1, 60, n & 1 ? 90000 : 900);
	frags_write(i, f, res, 4);
	for (int n = 0; n < 4; n++) {
		if (!res[n])
			res[n] = frag_check(i, &f[n]);
		err = res[n] && err <= 0 ? res[n] : err;
	}
	if (!err)
		err = store_sync(i);
	frags_free(i, f, res, 4);
	return err ? err : frag_wrong() ? 1 : 0;
}

static const char *incomplete(const struct dynfs_plugin *p)
{
	const struct dynfs_store_ops *o = p->store;
	const uint64_t known = DYNFS_STORE_BLOCKS | DYNFS_STORE_VOLATILE;

	return o->size < sizeof(*o)    ? "size is too short"
	       : o->caps & ~known      ? "a capability is unknown"
	       : !o->open || !o->close ? "open() or close() is missing"
	       : !o->submit            ? "submit() is missing"
	       : !o->mark || !o->sync  ? "mark() or sync() is missing"
	       : !o->space || !o->cost || !o->list
		   ? "space(), cost() or list() is missing"
		   : NULL;
}

static const struct check checks[] = {
	{ "Every range of what was written reads back",
	  every_range_reads_back },
	{ "Every byte range of one fragment reads back",
	  every_byte_range_of_one },
	{ "Reading more than there is, or another's, is EUCLEAN",
	  too_much_is_refused },
	{ "Strange places are harmless", strange_places_do_no_harm },
	{ "Vectors complete, frees may be repeated, the listing agrees",
	  vectors_complete },
	{ "One id stored twice has two places", one_id_twice_has_two_places },
	{ "A clean close keeps everything", a_clean_close_keeps_all },
	{ "A store opened read-only writes nothing", read_only_writes_nothing },
	{ "What is no store is refused", what_is_no_store_is_refused },
	{ "A full store says ENOSPC, leaves nothing, takes more after frees",
	  a_full_store_says_so },
	{ "cost() is never less than the bytes",
	  costs_are_not_less_than_bytes },
	{ "A listing leaves nothing out while others write",
	  listing_goes_on_while_writing },
	{ "A sync covers its token and is remembered",
	  store_sync_is_remembered },
	{ "A failed sync is never made good", store_failed_sync_stays },
	{ "What was synced survives a power cut at any call",
	  store_survives_power_cuts },
	{ "The first sync covers what a killed process left",
	  store_first_sync_covers_what_was_found },
	{ "A failing call of the system is an error and nothing worse",
	  store_survives_failing_calls },
	{ NULL, NULL },
};

const struct kind kind_store = {
	.name = "store",
	.incomplete = incomplete,
	.begin = begin,
	.use = use,
	.end = end,
	.simulated = true,
	.checks = checks,
	.golden = store_golden,
};
