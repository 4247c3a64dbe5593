/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole core in one process on six simulated disks: random operations
 * through the view, by one to three threads, while calls of up to two weak
 * disks fail, bits flip on them, and they go away; then the power goes at a
 * random call, or the process dies, perhaps while syncs of half of the disks
 * fail (and the power goes after the pool was opened again), or all is closed;
 * then weak disks go or come back stale, or the index is deleted; then the pool
 * is opened again, where the power may go once more; three times for each seed.
 *
 * What is there must be: names as a prefix of the operations left them, that
 * reaches the last sync that was answered; files whole if they were synced
 * and not changed since, else each block of a version since then; all of it
 * readable; and the metadata in agreement with itself and with each fragment
 * on the disks that are not weak.
 */
#include "poolaudit.h"
#include "poolfaults.h"
#include "poolops.h"
#include "poolview.h"
#include "poolwitness.h"
#include "seeded.h"

#include <base/cleanup.h>
#include <base/fail.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define LIVES      3
#define STEPS      90
#define OPEN_CUTS  3
#define FILL_PIECE (1u << 20)

#define TIGHT_ROOM (UINT64_C(3) << 19) /* left to actors */

static struct reg *reg;

/* ---- what is there ---------------------------------------------------- */

/* Names may have come back to what they were: one of these steps it is. */
struct steps {
	size_t first, last;
};

static struct steps find_steps(struct actor *a, const struct pv_names *names)
{
	AUTOBUF struct buf b = BUF_INIT;
	const struct pm *m = a->m;
	struct steps found = { .first = SIZE_MAX };
	char where[160];

	for (size_t i = m->n_past; i-- > m->synced;) {
		if (!pv_are(names, a->m, &m->past[i]))
			continue;
		if (found.first == SIZE_MAX)
			found.last = i;
		found.first = i;
	}
	if (found.first != SIZE_MAX)
		return found;
	pv_explain(names, m, &m->past[m->n_past - 1], &b);
	(void)fputs((const char *)b.data, stderr);
	for (size_t i = m->synced; i-- > 0;) {
		if (pv_are(names, a->m, &m->past[i]))
			(void)fprintf(stderr, "it is step %zu\n", i);
	}
	seed_fail("%s: the names of actor %u are of no step from %zu to %zu",
		  world_where(a->w, where), a->number, m->synced,
		  m->n_past - 1);
}

static struct steps names_steps(struct actor *a)
{
	struct pv_names names;
	char where[160];
	int r = pv_names(a->w->p.fs, a->root, &names);

	if (r)
		seed_fail("%s: %s: %s", world_where(a->w, where), names.why,
			  fail_text(r));
	return find_steps(a, &names);
}

static void check_file(struct actor *a, uint32_t node, struct steps of,
		       struct buf *b)
{
	const struct pm_node *n = &a->m->node[node];
	char where[160];
	const char *wrong;
	size_t off;
	int r = pv_read_all(a->w->p.fs, n->ino, b);

	if (r)
		seed_fail("%s: inode %" PRIu64 " is not readable at %zu: %s",
			  world_where(a->w, where), n->ino, b->len,
			  fail_text(r));
	wrong = pm_judge(a->m, node, of.first, of.last, b->data, b->len, &off);
	if (!wrong)
		return;
	for (size_t i = 0; i < n->n_v; i++)
		(void)fprintf(stderr, "  version %zu: step %zu, %zu bytes\n", i,
			      n->v[i].step, n->v[i].len);
	seed_fail("%s: inode %" PRIu64 ": %s, at %zu of %zu; names of steps "
		  "%zu to %zu, floor %zu at %zu",
		  world_where(a->w, where), n->ino, wrong, off, b->len,
		  of.first, of.last, n->floor_v, n->floor_step);
}

/* Judge everything, then take it as the model of the next life. */
static void check_actor(struct actor *a)
{
	struct steps of = names_steps(a);

	met(a->w, SUM_LOST, a->m->n_past - 1 - of.last);
	for (uint32_t i = 0; i < a->m->n_nodes; i++) {
		AUTOBUF struct buf b = BUF_INIT;

		if (a->m->node[i].type == S_IFREG &&
		    pm_links(&a->m->past[of.last], i))
			check_file(a, i, of, &b);
	}
	pm_restart(a->m, of.last);
	for (uint32_t i = 0; i < a->m->n_nodes; i++) {
		AUTOBUF struct buf b = BUF_INIT;

		if (a->m->node[i].type != S_IFREG)
			continue;
		CHECK(a->w, !pv_read_all(a->w->p.fs, a->m->node[i].ino, &b));
		pm_settle_as(a->m, i, b.data, b.len);
	}
}

static void check_all(struct world *w)
{
	/* what the log ended with may be frail: it is spared from here on */
	simos_heal(w->p.sim);
	for (unsigned i = 0; i < w->n_actors; i++)
		check_actor(&w->actor[i]);
	witness_check(w);
	audit(w);
}

static void all_synced(struct world *w)
{
	for (unsigned i = 0; i < w->n_actors; i++)
		pm_synced(w->actor[i].m);
	witness_synced(w);
}

/* ---- opening and ending ------------------------------------------------ */

static void abandon(struct world *w)
{
	struct extents_status st;

	extents_status(pool_extents(w->p.pool), &st);
	met(w, SUM_CHECKSUM, st.checksum_errors);
	met(w, SUM_DEGRADED, st.degraded_writes);
	met(w, SUM_DRAINS, drains_under_way(w));
	pool_abandon(w->p.pool);
	w->p.pool = NULL;
}

/* Nothing survives that was not made durable. */
static void power_goes(struct world *w)
{
	simos_crash_at(w->p.sim, 1);
	abandon(w);
	simos_restart(w->p.sim, SIMOS_LOSE, 0);
}

/* True: the power went meanwhile, or right after, and is back. */
static bool open_cut_short(struct world *w)
{
	int r;

	simos_crash_at(w->p.sim, 1 + dice(&w->rng, 250));
	r = simpool_open(&w->p);
	simos_crash_at(w->p.sim, 0);
	CHECK(w, !r || simos_is_down(w->p.sim));
	if (!simos_is_down(w->p.sim) && dice(&w->rng, 2))
		return false;
	if (!r)
		abandon(w);
	CHECK(w, !simos_handles(w->p.sim));
	faults_restart(w);
	met(w, SUM_OPEN_CUTS, 1);
	return true;
}

static void try_open(struct world *w)
{
	char where[160];
	int r;

	for (unsigned i = 0; i < OPEN_CUTS && dice(&w->rng, 2) == 0; i++)
		if (!open_cut_short(w))
			return;
	r = simpool_open(&w->p);
	if (r)
		seed_fail("%s: open: %s", world_where(w, where), fail_text(r));
}

/*
 * Without weak disks it may be open who decides where the log ends: then all
 * that was answered is readable, and they may not be written without.
 */
static void open_pool(struct world *w)
{
	if (w->worn && dice(&w->rng, 4) == 0)
		faults_strike(w);
	try_open(w);
	if (w->unsure) {
		w->unsure = false;
		power_goes(w);
		try_open(w);
	} else if (pool_readonly(w->p.pool) && w->worn) {
		for (unsigned i = 0; i < w->n_actors; i++)
			(void)names_steps(&w->actor[i]);
		abandon(w);
		simos_heal(w->p.sim);
		faults_bring_back(w);
		try_open(w);
	}
	CHECK(w, !pool_readonly(w->p.pool));
}

/* Half of the disks can not make durable what a killed process left there. */
static void fail_settling(struct world *w)
{
	for (unsigned i = w->seed % 2; i < SIMPOOL_DISKS; i += 2)
		CHECK(w, !simos_inject(w->p.sim, &(struct simos_fault){
						     .call = SIMOS_SYNCFS,
						     .prefix = simpool_disk(i),
						     .nth = 1,
						     .times = 1,
						     .err = -EIO }));
	w->unsure = true;
}

/* What the pool came up with after a kill must not be in caches only. */
static void cut_after_kill(struct world *w)
{
	w->killed = false;
	w->doing = "power cut after a kill";
	power_goes(w);
	open_pool(w);
	check_all(w);
}

/*
 * Its last syncs fail on half of the disks, and whoever comes next is shown
 * what no disk has.  Nothing of that was answered.
 */
static void lose_last_syncs(struct world *w)
{
	simos_lost(w->p.sim, dice(&w->rng, 2) ? SIMOS_CACHED : SIMOS_COIN);
	for (unsigned i = w->seed % 2; i < SIMPOOL_DISKS; i += 2)
		CHECK(w,
		      !simos_inject(w->p.sim, &(struct simos_fault){
						  .call = SIMOS_SYNC,
						  .prefix = simpool_disk(i),
						  .nth = 1 + dice(&w->rng, 3),
						  .err = -EIO }));
	simos_crash_at(w->p.sim, 1 + dice(&w->rng, 60));
	(void)pool_sync(w->p.pool);
	met(w, SUM_LOST_SYNCS, 1);
}

/* How it ends; the names say what the checks after it are about. */
static void end_life(struct world *w)
{
	uint64_t how = dice(&w->rng, 8);
	int r;

	if (simos_is_down(w->p.sim) && how > 2) {
		w->doing = "power cut";
		met(w, SUM_CUTS, 1);
		abandon(w);
		faults_restart(w);
	} else if (simos_is_down(w->p.sim) || how < 2) {
		w->doing = "kill";
		if (!w->worn && !simos_is_down(w->p.sim) && dice(&w->rng, 2))
			lose_last_syncs(w);
		/* nothing that it would still do on its way out */
		simos_crash_at(w->p.sim, 1);
		abandon(w);
		simos_restart(w->p.sim, SIMOS_CACHED, 0);
		w->killed = true;
		met(w, SUM_KILLS, 1);
	} else if (how < 4) {
		w->doing = "close";
		r = pool_close(w->p.pool);
		w->p.pool = NULL;
		/* the index is not needed, and a weak disk may have it */
		if (!(r && w->worn) && answered(&w->actor[0], r, "close"))
			all_synced(w);
		faults_restart(w);
	} else {
		w->doing = "power cut while idle";
		abandon(w);
		faults_restart(w);
	}
	CHECK(w, !simos_handles(w->p.sim));
	simos_heal(w->p.sim);
}

/* ---- lives ------------------------------------------------------------- */

static void *actor_main(void *arg)
{
	struct actor *a = (struct actor *)arg;
	struct world *w = a->w;
	bool first = a == w->actor;
	unsigned cut = first && dice(&w->rng, 2)
			   ? (unsigned)dice(&w->rng, a->steps)
			   : STEPS;

	for (a->step = 0; a->step < a->steps && !simos_is_down(w->p.sim);
	     a->step++) {
		if (a->step == cut)
			simos_crash_at(w->p.sim, 1 + dice(&w->rng, 250));
		/* no dice: whether one is met is not the seed's alone */
		if (cut < STEPS && cut % 2 && drains_under_way(w))
			simos_crash_at(w->p.sim, 1 + cut / 2);
		if (first && dice(&w->rng, 25) == 0)
			faults_strike(w);
		actor_step(a);
	}
	actor_release(a);
	return NULL;
}

static void live(struct world *w)
{
	w->doing = "operations";
	witness_start(w);
	for (unsigned i = 0; i < w->n_actors; i++)
		w->actor[i].steps = 1 + (unsigned)dice(&w->rng, STEPS);
	for (unsigned i = 1; i < w->n_actors; i++)
		CHECK(w, !pthread_create(&w->actor[i].thread, NULL, actor_main,
					 &w->actor[i]));
	(void)actor_main(&w->actor[0]);
	for (unsigned i = 1; i < w->n_actors; i++)
		(void)pthread_join(w->actor[i].thread, NULL);
	witness_stop(w);
}

static void actor_new(struct world *w, unsigned i)
{
	static const struct dynfs_caller who = { .uid = 0 };
	const struct dynfs_fs_view *fs = w->p.fs;
	struct actor *a = &w->actor[i];
	struct dynfs_attr at;
	char name[8];

	(void)snprintf(name, sizeof(name), "a%u", i);
	CHECK(w, !fs->mkdir(fs->ctx, DYNFS_ROOT_INO, name, 0755, &who, &at));
	fs->forget(fs->ctx, at.ino, 1);
	*a = (struct actor){ .w = w,
			     .number = i,
			     .rng = w->seed * 11 + i,
			     .root = at.ino,
			     .m = pm_new(at.ino) };
}

/* Something else takes nearly all of the room. */
static void fill(struct world *w)
{
	static const struct dynfs_caller who = { .uid = 0 };
	static uint8_t piece[FILL_PIECE];
	const struct dynfs_fs_view *fs = w->p.fs;
	struct dynfs_file *file;
	struct dynfs_statfs st;
	struct dynfs_attr at;
	uint64_t end = 0;

	CHECK(w, !fs->create(fs->ctx, DYNFS_ROOT_INO, "filler", 0600, O_RDWR,
			     &who, &at, &file));
	CHECK(w, !fs->statfs(fs->ctx, &st));
	for (; end + TIGHT_ROOM < st.avail_bytes; end += sizeof(piece))
		CHECK(w,
		      !pv_write(fs, at.ino, file, end, piece, sizeof(piece)));
	fs->release(fs->ctx, file);
	fs->forget(fs->ctx, at.ino, 1);
}

static void begin(struct world *w)
{
	const char *sets[] = {
		w->seed / 2 % 2 ? "metadata.group-ms=2"
				: "metadata.group-ms=1000",
		w->seed % 2 ? "store.plugin=dir" : "store.plugin=segment",
		"store.segment-size=4M",
	};
	static const uint32_t cut_rows[] = { 1, 8, 512 };

	w->doing = "create";
	w->rng = w->seed * RND_STEP;
	w->n_weak = (unsigned)(w->seed % 3);
	w->n_actors = 1 + (unsigned)(w->seed / 3 % ACTORS_MAX);
	/* a disk that goes takes away room that was promised */
	w->tight = !w->n_weak && dice(&w->rng, 3) == 0;
	w->crowded = dice(&w->rng, 4) == 0;
	w->flips = dice(&w->rng, 2) == 0;
	w->weak[0] = (unsigned)dice(&w->rng, SIMPOOL_DISKS);
	w->weak[1] =
	    (w->weak[0] + 1 + (unsigned)dice(&w->rng, SIMPOOL_DISKS - 1)) %
	    SIMPOOL_DISKS;
	simpool_new(&w->p, reg, w->seed, w->tight ? "16M" : NULL, sets,
		    w->seed % 2 ? 2 : 3);
	/* a chunk, a few, or nearly always all of it in one batch */
	w->p.cut_rows = cut_rows[dice(&w->rng, 3)];
	CHECK(w, !simpool_create(&w->p));
	CHECK(w, !simpool_open(&w->p));
	for (unsigned i = 0; i < w->n_actors; i++)
		actor_new(w, i);
	witness_new(w);
	if (w->tight)
		fill(w);
	CHECK(w, !pool_sync(w->p.pool));
}

static void remove_below(struct world *w, uint64_t root)
{
	const struct dynfs_fs_view *fs = w->p.fs;
	struct pv_names names;

	CHECK(w, !pv_names(fs, root, &names));
	/* directories come before what is in them */
	for (size_t i = names.n; i-- > 0;) {
		const struct pv_entry *e = &names.e[i];

		CHECK(w, S_ISDIR(e->attr.mode)
			     ? !fs->rmdir(fs->ctx, e->parent, e->name)
			     : !fs->unlink(fs->ctx, e->parent, e->name));
	}
}

/* Nothing is kept of what is removed, though nothing else has room. */
static void remove_all(struct world *w)
{
	w->doing = "removal of everything";
	for (unsigned i = 0; i < w->n_actors; i++)
		remove_below(w, w->actor[i].root);
	remove_below(w, DYNFS_ROOT_INO);
	audit_empty(w);
}

static void run_seed(uint64_t seed, uint64_t sums[SEEDS_SUMS])
{
	struct world *w = (struct world *)calloc(1, sizeof(*w));

	if (!w)
		abort();
	w->seed = seed;
	w->sums = sums;
	begin(w);
	for (w->life = 0; w->life < LIVES; w->life++) {
		live(w);
		end_life(w);
		faults_between(w);
		if (w->killed && !w->worn && dice(&w->rng, 2))
			fail_settling(w);
		open_pool(w);
		check_all(w);
		if (w->killed)
			cut_after_kill(w);
	}
	w->doing = "close at the end";
	all_synced(w);
	CHECK(w, !pool_sync(w->p.pool));
	CHECK(w, !pool_close(w->p.pool) || w->worn);
	simos_crash(w->p.sim, SIMOS_LOSE, 1);
	open_pool(w);
	check_all(w);
	remove_all(w);
	CHECK(w, !pool_close(w->p.pool) || w->worn);
	CHECK(w, !simos_handles(w->p.sim));
	for (unsigned i = 0; i < w->n_actors; i++)
		pm_free(w->actor[i].m);
	witness_free(w);
	simpool_free(&w->p);
	free(w);
}

int main(void)
{
	static const struct seeds_how how = {
		.name = "pool simulation",
		.n = 100,
		.run = run_seed,
		.met = { [SUM_CUTS] = "power cuts",
			 [SUM_KILLS] = "kills",
			 [SUM_LOST_SYNCS] = "with failing syncs",
			 [SUM_OPEN_CUTS] = "while opening",
			 [SUM_LOST] = "steps lost",
			 [SUM_FAULTS] = "faults",
			 [SUM_FLIPS] = "flipped bits",
			 [SUM_CHECKSUM] = "wrong pieces seen",
			 [SUM_DEGRADED] = "degraded writes",
			 [SUM_FULL] = "times full",
			 [SUM_READS] = "reads beside writes",
			 [SUM_FRAGMENTS] = "fragments verified",
			 [SUM_CHECKPOINT] = "checkpoints",
			 [SUM_DRAINS] = "drains cut short" },
	};
	int r;

	if (reg_open(NULL, &reg))
		return 1;
	r = seeds_main(&how);
	reg_close(reg);
	return r;
}
