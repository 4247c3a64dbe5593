/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole core in one process on six simulated disks: random operations
 * through the view, then the power goes at a random call, or the process
 * dies (and the power goes after the pool was opened again), or all is closed; then disks go away or the index is deleted; then
 * the pool is opened again, three times for each seed.
 *
 * What is there must be: names as a prefix of the operations left them, that
 * reaches the last sync that was answered; files whole if they were synced
 * and not changed since, else each block of a version since then; and all of
 * it readable.
 */
#include "poolops.h"
#include "poolview.h"

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/log.h>
#include <meta/files.h>

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#define LIVES   3
#define STEPS   90
#define N_DISKS 6u

static const char *disk_path(unsigned i)
{
	static const char *const path[] = { "/d1", "/d2", "/d3",
					    "/d4", "/d5", "/d6" };

	return path[i];
}

/* ---- what is there ---------------------------------------------------- */

static size_t find_step(struct world *w, const struct pv_names *names)
{
	AUTOBUF struct buf b = BUF_INIT;

	for (size_t i = w->m->n_past; i-- > w->m->synced;) {
		if (pv_are(names, w->m, &w->m->past[i]))
			return i;
	}
	pv_explain(names, w->m, &w->m->past[w->m->n_past - 1], &b);
	print_error("%s", (const char *)b.data);
	for (size_t i = w->m->synced; i-- > 0;) {
		if (pv_are(names, w->m, &w->m->past[i]))
			print_error("it is step %zu\n", i);
	}
	fail_msg("DYNFS_SEED=%" PRIu64 " life %u (%s): the names are of no "
		 "step from %zu to %zu",
		 w->seed, w->life, w->doing, w->m->synced, w->m->n_past - 1);
	return 0;
}

static void check_file(struct world *w, uint32_t node, size_t step,
		       struct buf *b)
{
	const struct pm_node *n = &w->m->node[node];
	const char *wrong;
	size_t off;
	int r = pv_read_all(w->fs, n->ino, b);

	if (r)
		fail_msg("DYNFS_SEED=%" PRIu64 " life %u (%s): inode %" PRIu64
			 " is not readable at %zu: %s",
			 w->seed, w->life, w->doing, n->ino, b->len,
			 fail_text(r));
	wrong = pm_judge(w->m, node, step, b->data, b->len, &off);
	if (!wrong)
		return;
	for (size_t i = 0; i < n->n_v; i++)
		print_error("  version %zu: step %zu, %zu bytes\n", i,
			    n->v[i].step, n->v[i].len);
	fail_msg("DYNFS_SEED=%" PRIu64 " life %u (%s): inode %" PRIu64
		 ": %s, at %zu of %zu; names of step %zu, floor %zu at %zu",
		 w->seed, w->life, w->doing, n->ino, wrong, off, b->len, step,
		 n->floor_v, n->floor_step);
}

/* Judge everything, then take it as the model of the next life. */
static void check_all(struct world *w)
{
	struct extents_status status;
	struct pv_names names;
	size_t step;
	int r = pv_names(w->fs, &names);

	if (r)
		fail_msg("DYNFS_SEED=%" PRIu64 " life %u (%s): %s: %s", w->seed,
			 w->life, w->doing, names.why, fail_text(r));
	step = find_step(w, &names);
	w->n_lost += (unsigned)(w->m->n_past - 1 - step);
	for (uint32_t i = 0; i < w->m->n_nodes; i++) {
		AUTOBUF struct buf b = BUF_INIT;

		if (w->m->node[i].type == S_IFREG &&
		    pm_links(&w->m->past[step], i))
			check_file(w, i, step, &b);
	}
	pm_restart(w->m, step);
	for (uint32_t i = 0; i < w->m->n_nodes; i++) {
		AUTOBUF struct buf b = BUF_INIT;

		if (w->m->node[i].type != S_IFREG)
			continue;
		CHECK(w, !pv_read_all(w->fs, w->m->node[i].ino, &b));
		pm_settle_as(w->m, i, b.data, b.len);
	}
	/* all was read: what is weak is known now */
	extents_status(pool_extents(w->pool), &status);
	w->frail = status.queued_repair;
}

/* ---- lives ------------------------------------------------------------ */

static struct pool_how how_of(const struct world *w)
{
	return (struct pool_how){ .conf = w->conf,
				  .reg = w->reg,
				  .os = simos_os(w->sim) };
}

static void try_open(struct world *w)
{
	struct pool_how how = how_of(w);
	int r = pool_open(&how, &w->pool);

	if (r)
		fail_msg("DYNFS_SEED=%" PRIu64 " life %u (%s): open: %s",
			 w->seed, w->life, w->doing, fail_text(r));
	w->fs = tree_view(pool_tree(w->pool));
}

static void bring_back(struct world *w)
{
	for (unsigned i = 0; i < w->n_weak; i++)
		simos_reappear(w->sim, disk_path(w->weak[i]));
	w->away = false;
}

/*
 * With disks away it may be open who decides where the log ends: then all
 * that was answered is readable, and they may not be written without.
 */
static void open_pool(struct world *w)
{
	struct pv_names names;

	try_open(w);
	if (pool_readonly(w->pool) && (w->away || w->unsure)) {
		CHECK(w, !pv_names(w->fs, &names));
		if (w->away)
			(void)find_step(w, &names);
		pool_abandon(w->pool);
		if (w->unsure)
			simos_crash(w->sim, SIMOS_LOSE, 0);
		bring_back(w);
		try_open(w);
	}
	w->unsure = false;
	CHECK(w, !pool_readonly(w->pool));
}

static void make_config(struct world *w)
{
	static const char text[] =
	    "pool = { name = \"sim\"; extent-size = \"64K\"; disks = (\n"
	    " { path = \"/d1\"; }, { path = \"/d2\"; }, { path = \"/d3\"; },\n"
	    " { path = \"/d4\"; }, { path = \"/d5\"; }, { path = \"/d6\"; }\n"
	    "); };\n"
	    "metadata = { engine = { plugin = \"mem\"; }; copies = 3;\n"
	    "  memory = \"16M\"; };\n"
	    "policies = { default = \"ec\"; ec = { k = 4; m = 2;\n"
	    "  checksum = \"xxh3\"; }; };\n"
	    "frontends = ( );\n"
	    "limits = { memory = \"64M\"; threads = 2; };\n";
	const char *sets[3] = {
		w->seed / 2 % 2 ? "metadata.group-ms=2"
				: "metadata.group-ms=1000",
		w->seed % 2 ? "store.plugin=dir" : "store.plugin=segment",
		"store.segment-size=4M",
	};

	CHECK(w, !conf_parse(text, sizeof(text) - 1, "/sim.conf", sets,
			     w->seed % 2 ? 2 : 3, &w->conf));
}

static void begin(struct world *w)
{
	struct pool_how how;

	w->doing = "create";
	w->rng = w->seed * 0x9e3779b97f4a7c15u;
	w->sim = simos_new(w->seed);
	CHECK(w, w->sim);
	make_config(w);
	for (unsigned i = 0; i < N_DISKS; i++)
		CHECK(w, !simos_limit(w->sim, disk_path(i), 1u << 30));
	/* a disk may fail a sync, or two go away: no more than two are lost */
	w->n_weak = (unsigned)(w->seed % 3);
	w->weak[0] = (unsigned)dice(w, N_DISKS);
	w->weak[1] =
	    (w->weak[0] + 1 + (unsigned)dice(w, N_DISKS - 1)) % N_DISKS;
	how = how_of(w);
	CHECK(w, !pool_create(&how));
	open_pool(w);
	w->m = pm_new(DYNFS_ROOT_INO);
}

static void restart(struct world *w)
{
	enum simos_survival how = dice(w, 4) ? SIMOS_COIN : SIMOS_LOSE;

	simos_crash_at(w->sim, 0);
	if (simos_is_down(w->sim)) {
		w->n_cuts++;
		simos_restart(w->sim, how, dice(w, UINT64_MAX));
	} else {
		simos_crash(w->sim, how, dice(w, UINT64_MAX));
	}
}

/* How it ends; the names say what the checks after it are about. */
static void end_life(struct world *w)
{
	uint64_t how = dice(w, 8);
	int r;

	if (simos_is_down(w->sim) && how > 2) {
		w->doing = "power cut";
		pool_abandon(w->pool);
		restart(w);
	} else if (simos_is_down(w->sim) || how < 2) {
		w->doing = "kill";
		/* nothing that it would still do on its way out */
		simos_crash_at(w->sim, 1);
		pool_abandon(w->pool);
		simos_restart(w->sim, SIMOS_CACHED, 0);
		w->killed = true;
	} else if (how < 4) {
		w->doing = "close";
		r = pool_close(w->pool);
		if (answered(w, r, "close"))
			pm_synced(w->m);
		restart(w);
	} else {
		w->doing = "power cut while idle";
		pool_abandon(w->pool);
		restart(w);
	}
	w->pool = NULL;
	CHECK(w, !simos_handles(w->sim));
	simos_heal(w->sim);
}

static void change_disks(struct world *w)
{
	if (w->away) {
		bring_back(w);
	} else if (w->n_weak && !w->frail && dice(w, 2)) {
		for (unsigned i = 0; i < w->n_weak; i++)
			CHECK(w, !simos_vanish(w->sim, disk_path(w->weak[i]),
					       dice(w, 2) ? -EIO : -ENOENT));
		w->away = true;
	}
	if (dice(w, 4))
		return;
	for (unsigned i = 0; i < N_DISKS; i++) {
		char path[32];

		(void)snprintf(path, sizeof(path), "%s/index", disk_path(i));
		(void)tree_remove(simos_os(w->sim), path);
	}
}

static void live(struct world *w)
{
	unsigned steps = 1 + (unsigned)dice(w, STEPS);
	unsigned cut = dice(w, 2) ? (unsigned)dice(w, steps) : STEPS;
	/* with two weak disks a third would be one too many */
	unsigned bad =
	    w->n_weak < 2 && dice(w, 3) == 0 ? (unsigned)dice(w, steps) : STEPS;

	for (w->step = 0; w->step < steps && !simos_is_down(w->sim);
	     w->step++) {
		if (w->step == cut)
			simos_crash_at(w->sim, 1 + dice(w, 250));
		if (w->step == bad)
			CHECK(w, !simos_fail_sync(
				     w->sim,
				     disk_path((unsigned)dice(w, N_DISKS))));
		do_something(w);
	}
}

/* Half of the disks can not make durable what a killed process left there. */
static void fail_settling(struct world *w)
{
	for (unsigned i = w->seed % 2; i < N_DISKS; i += 2)
		CHECK(w, !simos_inject(w->sim, &(struct simos_fault){
						   .call = SIMOS_SYNCFS,
						   .prefix = disk_path(i),
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
	simos_crash_at(w->sim, 1);
	pool_abandon(w->pool);
	simos_restart(w->sim, SIMOS_LOSE, 0);
	open_pool(w);
	check_all(w);
}

static void run_seed(struct world *w)
{
	begin(w);
	for (w->life = 0; w->life < LIVES; w->life++) {
		live(w);
		end_life(w);
		change_disks(w);
		if (w->killed && !w->away && dice(w, 2))
			fail_settling(w);
		open_pool(w);
		check_all(w);
		if (w->killed)
			cut_after_kill(w);
	}
	w->doing = "close at the end";
	pm_synced(w->m);
	CHECK(w, !pool_close(w->pool));
	simos_crash(w->sim, SIMOS_LOSE, 1);
	open_pool(w);
	check_all(w);
	CHECK(w, !pool_close(w->pool));
	CHECK(w, !simos_handles(w->sim));
	pm_free(w->m);
	conf_free(w->conf);
	simos_free(w->sim);
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name); /* NOLINT(concurrency-mt-unsafe) */

	return text ? strtoull(text, NULL, 0) : otherwise;
}

static void what_was_answered_survives_all_that_may_happen(void **state)
{
	uint64_t first =
	    number_from("DYNFS_SEED", (uint64_t)time(NULL) % 100000000);
	uint64_t n =
	    number_from("DYNFS_SEEDS", number_from("DYNFS_SEED", 0) ? 1 : 40);
	struct world sum = { .doing = "start" };

	(void)state;
	print_message("DYNFS_SEED=%" PRIu64 " DYNFS_SEEDS=%" PRIu64 "\n", first,
		      n);
	CHECK(&sum, !reg_open(NULL, &sum.reg));
	for (uint64_t i = 0; i < n; i++) {
		struct world w = { .seed = first + i, .reg = sum.reg };

		run_seed(&w);
		sum.n_cuts += w.n_cuts;
		sum.n_lost += w.n_lost;
	}
	reg_close(sum.reg);
	print_message("%u power cuts in the middle, %u steps lost\n",
		      sum.n_cuts, sum.n_lost);
	/* or nothing was put to the test */
	assert_true(n < 40 || (sum.n_cuts && sum.n_lost));
}

static void print_line(int level, const char *area, const char *text)
{
	(void)level;
	print_message("# %s: %s\n", area, text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    what_was_answered_survives_all_that_may_happen),
	};

	/* NOLINTNEXTLINE(concurrency-mt-unsafe) */
	if (getenv("DYNFS_TEST_VERBOSE"))
		log_set(print_line, DYNFS_DEBUG);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
