/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole of core/meta on five simulated disks: random batches and syncs,
 * then the power goes at a random call, or a disk fails, or all is closed;
 * then something is broken by hand; then it is opened again.  What is there
 * must be exactly what a prefix of the groups made, and the prefix must reach
 * the last sync that was answered.  Extents that are named must be readable.
 */
#include "seeded.h"
#include "simdisks.h"
#include "simmodel.h"
#include "simpick.h"
#include "simseeds.h"

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/le.h>
#include <base/log.h>
#include <meta/files.h>
#include <meta/meta.h>
#include <registry/registry.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GENERATIONS 6

enum { SUM_CRASHES, SUM_REPLAYS, SUM_DROPS, SUM_FIXUPS, SUM_WITHOUT };

static struct reg *reg;

struct world {
	uint64_t seed;
	atomic_uint_fast64_t rng;
	struct simos *sim;
	uint64_t *sums;
	struct disks *disks;
	struct meta *meta;
	uint32_t missing;     /* the disk that is away; 0 */
	bool killed;          /* what is there may be in caches only */
	unsigned torn;        /* checkpoints */
	pthread_mutex_t lock; /* commits and the model in one step */
	struct model model;
	uint64_t answered; /* the last sync that returned 0 */
	uint32_t next_slot;
	uint64_t next_value;
	unsigned n_fixups;
};

static uint64_t dice(struct world *w, uint64_t n)
{
	/* hooks throw it, too: each draws from a state of its own */
	uint64_t rng = atomic_fetch_add(&w->rng, RND_STEP) - RND_STEP;

	return rnd(&rng) % n;
}

static void check(const struct world *w, bool ok, const char *what, int line)
{
	if (!ok)
		seed_fail("DYNFS_SEED=%" PRIu64 ": %s (line %d): %s", w->seed,
			  what, line, fail_text(0));
}
#define CHECK(w, cond) check(w, cond, #cond, __LINE__)

/*
 * A checkpoint is looked at when it is needed: should one be broken, the
 * others must stay.  So a run breaks one or has disks go away, not both.
 */
static bool tears(const struct world *w)
{
	return w->seed % 2;
}

static size_t key_of(unsigned i, uint8_t key[32])
{
	int n = snprintf((char *)key, 32, "%c%03u",
			 i < MODEL_KEYS / 2 ? 'a' + (int)(i % 5) : 'E', i);

	return (size_t)n;
}

static unsigned index_of(const void *key)
{
	const char *s = (const char *)key + 1;

	return (unsigned)((s[0] - '0') * 100 + (s[1] - '0') * 10 + s[2] - '0');
}

/* The bytes that an operation puts. */
static void value_of(const struct model_op *op, struct buf *b)
{
	uint64_t x = op->value;

	buf_clear(b);
	buf_put8(b, 1);
	buf_put8(b, 0);
	buf_put64(b, op->value);
	if (op->key >= MODEL_KEYS / 2) {
		for (int i = 0; i < 2; i++) {
			buf_put32(b, op->disk[i]);
			buf_put32(b, op->slot[i]);
		}
		return;
	}
	for (uint64_t n = x % 200; n; n--)
		buf_put8(b, (uint8_t)(x = x * 6364136223846793005u + 1));
}

static int hook_verify(void *ctx, const void *key, size_t key_len,
		       const void *value, size_t value_len)
{
	struct world *w = (struct world *)ctx;
	struct rd r = rd_of(value, value_len);
	uint64_t v;
	int worst = -EUCLEAN;

	(void)key;
	(void)key_len;
	(void)rd16(&r);
	v = rd64(&r);
	for (int i = 0; i < 2; i++) {
		uint32_t disk = rd32(&r), slot = rd32(&r);
		int one = simdisks_check(w->disks, disk, slot, v);

		if (!one)
			return 0;
		if (one == -ENODEV)
			worst = one;
	}
	return worst;
}

static uint32_t pick_disk(struct world *w, uint32_t not )
{
	for (unsigned i = 0; i < 50; i++) {
		uint32_t id = 1 + (uint32_t)dice(w, SIM_DISKS);

		if (id != not &&disk_writable(disks_find(w->disks, id)))
			return id;
	}
	return 0;
}

/* Two copies of fresh content; false: no two disks take it. */
static bool make_extent(struct world *w, struct model_op *op, struct batch *b)
{
	op->value = ++w->next_value << 32 | w->seed;
	for (int i = 0; i < 2; i++) {
		op->disk[i] = pick_disk(w, i ? op->disk[0] : 0);
		op->slot[i] = w->next_slot++;
		if (!op->disk[i] ||
		    simdisks_put(w->disks, op->disk[i], op->slot[i], op->value))
			return false;
		batch_touch(b, op->disk[i], 1);
	}
	return true;
}

static void put_op(struct batch *b, const struct model_op *op)
{
	AUTOBUF struct buf v = BUF_INIT;
	uint8_t key[32];
	size_t n = key_of(op->key, key);

	value_of(op, &v);
	if (op->is_put)
		batch_put(b, key, n, v.data, v.len);
	else
		batch_delete(b, key, n);
}

/* Commit and model, with one number; the lock is held. */
static int commit(struct world *w, struct batch *b, struct model_op *ops,
		  unsigned n)
{
	uint64_t number;
	int r = meta_commit(w->meta, b, &number);

	for (unsigned i = 0; !r && i < n; i++) {
		ops[i].group = number;
		model_add(&w->model, &ops[i]);
	}
	return r;
}

/* What the disk lost of the group is written elsewhere. */
static int hook_sync_failed(void *ctx, struct disk *disk, uint64_t number,
			    const void *data, size_t len)
{
	struct world *w = (struct world *)ctx;
	struct model_op fixed[MODEL_KEYS];
	struct rd rd = rd_of(data, len);
	unsigned n = 0;
	const void *key, *value;
	size_t key_len, value_len;
	uint8_t kind;
	AUTOBATCH struct batch b;
	AUTOLOCK(&w->lock);

	batch_init(&b);
	w->n_fixups++;
	while (batch_next(&rd, &kind, &key, &key_len, &value, &value_len) > 0 &&
	       n < MODEL_KEYS) {
		const struct model_op *last;
		struct model_op op = { .is_put = true };

		if (*(const char *)key != 'E' || kind != 1)
			continue;
		op.key = index_of(key);
		last = model_last(&w->model, op.key);
		if (!last || !last->is_put || last->group != number ||
		    (last->disk[0] != disk->id && last->disk[1] != disk->id))
			continue;
		if (!make_extent(w, &op, &b))
			return -EIO;
		put_op(&b, &op);
		fixed[n++] = op;
	}
	return commit(w, &b, fixed, n);
}

static void hook_closing(void *ctx, struct batch *b)
{
	struct world *w = (struct world *)ctx;

	/* every delta that went in comes out once: counted in the model */
	(void)w;
	for (uint32_t i = 0; i < b->n_deltas; i++)
		if (b->deltas[i].kind != 1 || b->deltas[i].inodes < 1)
			b->error = -EINVAL;
}

static int open_meta(struct world *w, bool create, bool readonly)
{
	struct meta_how how = {
		.os = simos_os(w->sim),
		.reg = reg,
		.disks = w->disks,
		.engine_plugin = "mem",
		.copies = 3,
		.memory_bytes = 64u << 20,
		.pending_bytes = 4u << 20,
		.group_bytes = 1u << 20,
		.group_ns = 2000000,
		.log_bytes = 40000,
		.readonly = readonly,
		.create = create,
		.hooks = { .ctx = w,
			   .closing = hook_closing,
			   .sync_failed = hook_sync_failed,
			   .verify_extent = hook_verify },
	};

	fail_clear();
	return meta_open(&how, &w->meta);
}

/* One batch of a few operations; 0 or why it was not taken. */
static int random_batch(struct world *w)
{
	struct model_op ops[6];
	unsigned n = 1 + (unsigned)dice(w, 6);
	AUTOBATCH struct batch b;
	AUTOLOCK(&w->lock);

	batch_init(&b);
	for (unsigned i = 0; i < n; i++) {
		ops[i] = (struct model_op){
			.key = (unsigned)dice(w, MODEL_KEYS),
			.is_put = dice(w, 4) > 0,
			.value = dice(w, UINT64_MAX),
		};
		if (ops[i].key >= MODEL_KEYS / 2 && ops[i].is_put &&
		    !make_extent(w, &ops[i], &b))
			return -EIO;
		put_op(&b, &ops[i]);
	}
	batch_count(&b, 1, (uint32_t)dice(w, 3), 1, -5);
	return commit(w, &b, ops, n);
}

struct seen {
	struct world *w;
	bool is[MODEL_KEYS];
	unsigned n;
};

static int see(void *ctx, const void *key, size_t key_len, const void *value,
	       size_t value_len)
{
	struct seen *s = (struct seen *)ctx;
	AUTOBUF struct buf v = BUF_INIT;
	const struct model_op *op;
	unsigned i;

	if (*(const char *)key == 'M')
		return 0;
	CHECK(s->w, key_len == 4);
	i = index_of(key);
	CHECK(s->w, i < MODEL_KEYS);
	CHECK(s->w, !s->is[i]);
	s->is[i] = true;
	op = model_last(&s->w->model, i);
	CHECK(s->w, op && op->is_put);
	value_of(op, &v);
	CHECK(s->w, value_len == v.len && !memcmp(value, v.data, v.len));
	s->n++;
	return 0;
}

/* Scan and gets agree with the model. */
static void compare(struct world *w)
{
	struct seen s = { .w = w };
	AUTOBUF struct buf v = BUF_INIT;

	CHECK(w, !meta_scan(w->meta, "", 0, NULL, 0, see, &s));
	for (unsigned i = 0; i < MODEL_KEYS; i++) {
		const struct model_op *op = model_last(&w->model, i);
		uint8_t key[32];
		size_t n = key_of(i, key);
		int r = meta_get(w->meta, key, n, &v);

		CHECK(w, s.is[i] == (op && op->is_put));
		CHECK(w, r == (s.is[i] ? 0 : -ENOENT));
	}
}

static void check_extents(struct world *w)
{
	AUTOBUF struct buf v = BUF_INIT;

	for (unsigned i = MODEL_KEYS / 2; i < MODEL_KEYS; i++) {
		const struct model_op *op = model_last(&w->model, i);

		if (!op || !op->is_put)
			continue;
		value_of(op, &v);
		CHECK(w, hook_verify(w, "", 0, v.data, v.len) != -EUCLEAN);
	}
}

/* Something goes wrong while it runs. */
static void arm(struct world *w)
{
	struct simos_fault f = { .nth = 1 + dice(w, 20),
				 .times = 1,
				 .err = -EIO };
	char prefix[32];
	uint32_t id = 1 + (uint32_t)dice(w, SIM_DISKS);

	switch (dice(w, 6)) {
	case 0:
	case 1:
		simos_crash_at(w->sim, 1 + dice(w, 400));
		break;
	case 2:
		if (w->torn)
			break;
		(void)snprintf(prefix, sizeof(prefix), "%s/log",
			       simdisks_path(id));
		f.call = dice(w, 2) ? SIMOS_SYNC : SIMOS_PWRITEV;
		f.prefix = prefix;
		(void)simos_inject(w->sim, &f);
		break;
	case 3:
		(void)snprintf(prefix, sizeof(prefix), "%s/store",
			       simdisks_path(id));
		f.call = SIMOS_SYNC;
		f.prefix = prefix;
		(void)simos_inject(w->sim, &f);
		break;
	case 4:
		/* the only log is not to go: nobody could open then */
		if (!tears(w) && !w->missing && dice(w, 2) &&
		    disks_insync(w->disks, NULL, 0) > 1) {
			w->missing = id;
			(void)simos_vanish(w->sim, simdisks_path(id), -EIO);
		}
		break;
	default:
		break;
	}
}

static void work(struct world *w)
{
	unsigned steps = (unsigned)dice(w, 80);
	uint64_t number;
	int r = 0;

	for (unsigned i = 0; i < steps && !r; i++) {
		r = random_batch(w);
		if (dice(w, 3) == 0)
			simos_advance(w->sim, dice(w, 3000000));
		if (r || dice(w, 4))
			continue;
		number = meta_open_number(w->meta);
		r = meta_sync(w->meta, number);
		if (!r) {
			struct meta_status st;

			meta_status(w->meta, &st);
			CHECK(w, st.durable + 1 >= number);
			w->answered = st.durable;
		}
		if (!r && dice(w, 12) == 0)
			(void)meta_checkpoint(w->meta);
	}
	if (!simos_is_down(w->sim) && dice(w, 3) == 0) {
		/* a fix-up may be on its way */
		AUTOLOCK(&w->lock);

		compare(w);
	}
}

/* End this run: by a crash, or in order. */
static void stop(struct world *w)
{
	const struct model *m = &w->model;
	uint64_t last = m->n ? m->v[m->n - 1].group : 0;

	if (!simos_is_down(w->sim) && dice(w, 2)) {
		if (!meta_close(w->meta) && last > w->answered)
			w->answered = last;
	} else {
		w->sums[SUM_CRASHES]++;
		simos_crash_at(w->sim, 1);
		meta_abandon(w->meta);
	}
	log_debug("sim",
		  "stopped: answered %" PRIu64 " of %" PRIu64
		  ", disk %u is away, %u fix-ups",
		  w->answered, last, w->missing, w->n_fixups);
	w->meta = NULL;
	simdisks_close(w->disks);
	w->disks = NULL;
	/* the power, or only the process */
	w->killed = dice(w, 3) == 0;
	simos_crash(w->sim, w->killed ? SIMOS_CACHED : SIMOS_COIN,
		    dice(w, UINT64_MAX));
}

static void flip_below(struct world *w, uint32_t id, const char *what)
{
	char path[SIMPICK_PATH];

	(void)snprintf(path, sizeof(path), "%s/%s", simdisks_path(id), what);
	(void)simpick_flip(w->sim, path, dice(w, UINT64_MAX));
}

/* Break what one disk holds; the others have to make up for it. */
static void damage(struct world *w)
{
	const struct dynfs_os *os = simos_os(w->sim);
	uint32_t ids[SIM_DISKS], n = disks_insync(w->disks, ids, SIM_DISKS);
	uint32_t id = 1 + (uint32_t)dice(w, SIM_DISKS);
	char path[200];

	if (dice(w, 3) == 0) {
		for (uint32_t i = 1; i <= SIM_DISKS; i++) {
			(void)snprintf(path, sizeof(path), "%s/index",
				       simdisks_path(i));
			CHECK(w, !tree_remove(os, path) || i == w->missing);
		}
	}
	if (n < 2 || w->missing)
		return;
	switch (dice(w, 4)) {
	case 0:
		if (tears(w) && !w->torn++)
			flip_below(w, id, "checkpoint");
		break;
	case 1:
		flip_below(w, id, "log");
		break;
	case 2:
		flip_below(w, id, "index");
		break;
	default:
		if (tears(w))
			break;
		w->missing = id;
		(void)simos_vanish(w->sim, simdisks_path(id), -EIO);
		break;
	}
}

/* What is there is what the groups up to end made. */
static void compare_at(struct world *w, uint64_t end)
{
	struct model whole = w->model, cut = { 0 };

	for (size_t i = 0; i < whole.n; i++)
		model_add(&cut, &whole.v[i]);
	model_cut(&cut, end);
	w->model = cut;
	CHECK(w, end >= w->answered);
	compare(w);
	check_extents(w);
	w->model = whole;
	model_done(&cut);
}

static void open_again(struct world *w, bool readonly, struct meta_status *st)
{
	int r = simdisks_open(w->sim, &w->disks);

	CHECK(w, !r);
	r = open_meta(w, false, readonly);
	CHECK(w, !r);
	meta_status(w->meta, st);
}

static void close_again(struct world *w)
{
	CHECK(w, !meta_close(w->meta));
	w->meta = NULL;
	simdisks_close(w->disks);
	w->disks = NULL;
}

/*
 * Two disks are away for a while.  It may not open, or for reading only; but
 * if it opens, then not at an old end because who knows better is away.
 */
static void open_without_two(struct world *w)
{
	uint32_t ids[2] = { 1 + (uint32_t)dice(w, SIM_DISKS),
			    1 + (uint32_t)dice(w, SIM_DISKS) };
	struct meta_status st = { .readonly = true };
	uint64_t end;

	if (w->missing || tears(w))
		return;
	for (unsigned i = 0; i < 2; i++)
		(void)simos_vanish(w->sim, simdisks_path(ids[i]), -EIO);
	if (!simdisks_open(w->sim, &w->disks) && !open_meta(w, false, false))
		meta_status(w->meta, &st);
	if (!st.readonly) {
		end = meta_confirmed_number(w->meta);
		compare_at(w, end);
		model_cut(&w->model, end);
		w->answered = end;
		w->sums[SUM_WITHOUT]++;
	}
	if (w->meta)
		meta_abandon(w->meta);
	w->meta = NULL;
	simdisks_close(w->disks);
	w->disks = NULL;
	simos_crash(w->sim, SIMOS_COIN, dice(w, UINT64_MAX));
	for (unsigned i = 0; i < 2; i++)
		simos_reappear(w->sim, simdisks_path(ids[i]));
}

static void reopen(struct world *w)
{
	struct meta_status st;
	uint64_t end;

	if (w->missing && dice(w, 2)) {
		simos_reappear(w->sim, simdisks_path(w->missing));
		w->missing = 0;
	}
	if (dice(w, 3) == 0)
		open_without_two(w);
	CHECK(w, !simdisks_open(w->sim, &w->disks));
	damage(w);
	simdisks_close(w->disks);
	if (dice(w, 6) == 0) {
		uint64_t before = simos_calls(w->sim, SIMOS_MUTATING);

		open_again(w, true, &st);
		compare_at(w, st.durable);
		close_again(w);
		CHECK(w, before == simos_calls(w->sim, SIMOS_MUTATING));
	}
	open_again(w, false, &st);
	if (st.readonly) {
		/* only what nobody can know may do that */
		CHECK(w, w->missing);
		compare_at(w, st.durable);
		close_again(w);
		simos_reappear(w->sim, simdisks_path(w->missing));
		w->missing = 0;
		open_again(w, false, &st);
	}
	CHECK(w, !st.readonly);
	end = meta_confirmed_number(w->meta);
	compare_at(w, end);
	w->sums[SUM_REPLAYS] += st.replayed > 0;
	w->sums[SUM_DROPS] += st.dropped > 0;
	model_cut(&w->model, end);
	w->answered = end;
}

/* After a kill: what was made of caches is not lost with them. */
static void cut_and_reopen(struct world *w)
{
	struct meta_status st;

	if (dice(w, 2))
		(void)meta_checkpoint(w->meta);
	simos_crash_at(w->sim, 1);
	meta_abandon(w->meta);
	simdisks_close(w->disks);
	simos_crash(w->sim, SIMOS_LOSE, 0);
	w->killed = false;
	open_again(w, false, &st);
	CHECK(w, !st.readonly);
	compare_at(w, meta_confirmed_number(w->meta));
}

static void run_seed(uint64_t seed, uint64_t sums[SEEDS_SUMS])
{
	struct world world = { .seed = seed, .rng = seed, .sums = sums };
	struct world *w = &world;
	int r;

	w->sim = simos_new(w->seed);
	(void)pthread_mutex_init(&w->lock, NULL);
	CHECK(w, w->sim && !simdisks_create(w->sim));
	CHECK(w, !simdisks_open(w->sim, &w->disks));
	r = open_meta(w, true, false);
	CHECK(w, !r);
	for (unsigned i = 0; i < GENERATIONS; i++) {
		if (i)
			reopen(w);
		if (w->killed)
			cut_and_reopen(w);
		arm(w);
		work(w);
		stop(w);
	}
	sums[SUM_FIXUPS] += w->n_fixups;
	simos_free(w->sim);
	model_done(&w->model);
	(void)pthread_mutex_destroy(&w->lock);
}

int main(void)
{
	static const struct seeds_how how = {
		.name = "simulation of the metadata",
		.n = 300,
		.run = run_seed,
		.met = { [SUM_CRASHES] = "crashes",
			 [SUM_REPLAYS] = "replays",
			 [SUM_DROPS] = "with dropped groups",
			 [SUM_FIXUPS] = "fix-ups",
			 [SUM_WITHOUT] = "opened without two disks" },
	};
	int r;

	if (reg_open(NULL, &reg))
		return 1;
	r = seeds_main(&how);
	reg_close(reg);
	return r;
}
