/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole core in one process on six simulated disks: random operations
 * through the view, then the power goes at a random call, or the process
 * dies, or all is closed; then disks go away or the index is deleted; then
 * the pool is opened again, three times for each seed.
 *
 * What is there must be: names as a prefix of the operations left them, that
 * reaches the last sync that was answered; files whole if they were synced
 * and not changed since, else each block of a version since then; and all of
 * it readable.
 */
#include "poolmodel.h"
#include "poolview.h"
#include "simos.h"

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/log.h>
#include <meta/files.h>
#include <pool/pool.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#define LIVES     3
#define STEPS     90
#define N_DISKS   6u
#define FILE_MAX  300000u
#define ENTRY_MAX 40u
#define ANY_TYPE  0u

struct world {
	uint64_t seed, rng;
	unsigned life, step;
	const char *doing;
	struct simos *sim;
	struct reg *reg;
	struct conf *conf;
	struct pool *pool;
	const struct dynfs_fs_view *fs;
	struct pm *m;
	unsigned weak[2], n_weak; /* disks that come and go */
	bool away;
	bool frail; /* something was below its strength and is not repaired */
	uint64_t next_byte;
	unsigned n_cuts, n_lost; /* cut short by power; steps lost */
};

static const struct dynfs_caller who = { .uid = 0 };

static uint64_t dice(struct world *w, uint64_t n)
{
	uint64_t x = w->rng += 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return (x ^ x >> 31) % n;
}

static void check(const struct world *w, bool ok, const char *what, int line)
{
	if (!ok)
		fail_msg("DYNFS_SEED=%" PRIu64 " life %u step %u (%s): %s "
			 "(line %d): %s",
			 w->seed, w->life, w->step, w->doing, what, line,
			 fail_text(0));
}
#define CHECK(w, cond) check(w, cond, #cond, __LINE__)

/* An answer: false if nobody knows, as the power is gone. */
static bool answered(struct world *w, int r, const char *what)
{
	if (!r)
		return true;
	if (!simos_is_down(w->sim))
		fail_msg("DYNFS_SEED=%" PRIu64 " life %u step %u: %s: %s",
			 w->seed, w->life, w->step, what, fail_text(r));
	return false;
}

static const char *disk_path(unsigned i)
{
	static const char *const path[] = { "/d1", "/d2", "/d3",
					    "/d4", "/d5", "/d6" };

	return path[i];
}

/* ---- operations ------------------------------------------------------- */

/* A node of a type that has a name, by chance; 0: none (or the root). */
static uint32_t some_node(struct world *w, uint32_t type)
{
	const struct pm_space *s = &w->m->now;

	for (unsigned i = 0; s->n && i < 20; i++) {
		uint32_t node = s->e[dice(w, s->n)].node;

		if (type == ANY_TYPE || w->m->node[node].type == type)
			return node;
	}
	return 0;
}

static uint32_t some_dir(struct world *w)
{
	return dice(w, 2) ? some_node(w, S_IFDIR) : 0;
}

static void some_name(struct world *w, char name[PM_NAME])
{
	(void)snprintf(name, PM_NAME, "n%u", (unsigned)dice(w, 14));
}

/* A place for a new name; false: it is taken, or there are too many. */
static bool free_place(struct world *w, uint32_t *dir, char name[PM_NAME])
{
	*dir = some_dir(w);
	some_name(w, name);
	return w->m->now.n < ENTRY_MAX && !pm_find(w->m, *dir, name);
}

static uint64_t ino_of(const struct world *w, uint32_t node)
{
	return w->m->node[node].ino;
}

/* New objects; after a cut they may be there, with whatever number. */
static void do_make(struct world *w, uint32_t type)
{
	const struct dynfs_fs_view *fs = w->fs;
	struct dynfs_attr a = { 0 };
	char name[PM_NAME], target[PM_NAME] = "";
	uint32_t dir;
	int r;

	if (!free_place(w, &dir, name))
		return;
	if (type == S_IFDIR) {
		r = fs->mkdir(fs->ctx, ino_of(w, dir), name, 0755, &who, &a);
	} else if (type == S_IFLNK) {
		some_name(w, target);
		r = fs->symlink(fs->ctx, ino_of(w, dir), name, target, &who,
				&a);
	} else {
		r = fs->create(fs->ctx, ino_of(w, dir), name, 0644, O_RDWR,
			       &who, &a);
		if (!r)
			fs->release(fs->ctx, a.ino, O_RDWR);
	}
	if (answered(w, r, "make"))
		fs->forget(fs->ctx, a.ino, 1);
	else
		a = (struct dynfs_attr){ 0 };
	pm_enter(w->m, dir, name,
		 pm_add(w->m, type, a.ino, a.generation, target));
	pm_step(w->m);
}

static void do_write(struct world *w)
{
	const struct dynfs_fs_view *fs = w->fs;
	uint32_t node = some_node(w, S_IFREG);
	size_t len = 1 + dice(w, dice(w, 5) ? 4000 : FILE_MAX / 2);
	size_t off = dice(w, 3) ? dice(w, FILE_MAX / 2) : 0;
	uint64_t x = w->seed << 32 | ++w->next_byte;
	uint8_t *data;
	int r;

	if (!node)
		return;
	if (dice(w, 4) == 0)
		off = pm_newest(w->m, node)->len % (FILE_MAX / 2);
	data = (uint8_t *)malloc(len);
	CHECK(w, data);
	for (size_t i = 0; i < len; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		data[i] = (uint8_t)(x >> 56);
	}
	r = fs->open(fs->ctx, ino_of(w, node), O_RDWR);
	if (answered(w, r, "open")) {
		r = pv_write(fs, ino_of(w, node), off, data, len);
		(void)answered(w, r, "write");
		pm_write(w->m, node, off, data, len);
		if (dice(w, 2))
			(void)answered(w, fs->flush(fs->ctx, ino_of(w, node)),
				       "flush");
		fs->release(fs->ctx, ino_of(w, node), O_RDWR);
	}
	free(data);
}

static void do_truncate(struct world *w)
{
	const struct dynfs_fs_view *fs = w->fs;
	uint32_t node = some_node(w, S_IFREG);
	struct dynfs_attr in = { 0 }, out;
	int r;

	if (!node)
		return;
	in.size_bytes = dice(w, 2) ? dice(w, FILE_MAX)
				   : dice(w, pm_newest(w->m, node)->len + 1);
	r = fs->setattr(fs->ctx, ino_of(w, node), DYNFS_SET_SIZE, &in, &out);
	(void)answered(w, r, "truncate");
	pm_truncate(w->m, node, in.size_bytes);
}

static void do_rename(struct world *w)
{
	const struct dynfs_fs_view *fs = w->fs;
	struct pm_space *s = &w->m->now;
	struct pm_entry from, *over;
	uint32_t dir = some_dir(w);
	char name[PM_NAME];
	bool replaces;
	int r;

	if (!s->n)
		return;
	from = s->e[dice(w, s->n)];
	some_name(w, name);
	over = pm_find(w->m, dir, name);
	replaces = over;
	if (w->m->node[from.node].type == S_IFDIR &&
	    (over || pm_is_below(w->m, dir, from.node)))
		return;
	if (over &&
	    (over->node == from.node || w->m->node[over->node].type == S_IFDIR))
		return;
	r = fs->rename(fs->ctx, ino_of(w, from.parent), from.name,
		       ino_of(w, dir), name, 0);
	(void)answered(w, r, "rename");
	if (over)
		pm_remove(w->m, over);
	pm_remove(w->m, pm_find(w->m, from.parent, from.name));
	pm_enter(w->m, dir, name, from.node);
	pm_step(w->m);
	if (replaces && !r)
		pm_settled(w->m, from.node);
}

static void do_link(struct world *w)
{
	const struct dynfs_fs_view *fs = w->fs;
	uint32_t dir, node = some_node(w, S_IFREG);
	struct dynfs_attr a;
	char name[PM_NAME];
	int r;

	if (!node || !free_place(w, &dir, name))
		return;
	r = fs->link(fs->ctx, ino_of(w, node), ino_of(w, dir), name, &a);
	if (answered(w, r, "link"))
		fs->forget(fs->ctx, a.ino, 1);
	pm_enter(w->m, dir, name, node);
	pm_step(w->m);
}

static void do_remove(struct world *w, bool is_dir)
{
	const struct dynfs_fs_view *fs = w->fs;
	struct pm_space *s = &w->m->now;
	struct pm_entry *e;
	int r;

	if (!s->n)
		return;
	e = &s->e[dice(w, s->n)];
	if (is_dir != (w->m->node[e->node].type == S_IFDIR) ||
	    (is_dir && !pm_is_empty(w->m, e->node)))
		return;
	r = is_dir ? fs->rmdir(fs->ctx, ino_of(w, e->parent), e->name)
		   : fs->unlink(fs->ctx, ino_of(w, e->parent), e->name);
	(void)answered(w, r, "remove");
	pm_remove(w->m, e);
	pm_step(w->m);
}

static void do_setxattr(struct world *w)
{
	uint32_t node = some_node(w, dice(w, 2) ? S_IFREG : S_IFDIR);
	uint64_t value = 1 + dice(w, 1000000);
	int r;

	if (!node)
		return;
	r = w->fs->setxattr(w->fs->ctx, ino_of(w, node), "user.sim", &value,
			    sizeof(value), 0);
	(void)answered(w, r, "setxattr");
	w->m->now.xattr[node] = value;
	pm_step(w->m);
}

static void do_fsync(struct world *w)
{
	uint32_t node = some_node(w, S_IFREG);
	bool data_only = dice(w, 4) == 0;

	if (!node ||
	    !answered(w, pv_fsync(w->fs, ino_of(w, node), data_only), "fsync"))
		return;
	pm_synced_file(w->m, node);
	if (!data_only)
		pm_synced_names(w->m);
}

static void do_sync(struct world *w)
{
	if (answered(w, pool_sync(w->pool), "sync"))
		pm_synced(w->m);
}

static void do_read(struct world *w)
{
	uint32_t node = some_node(w, S_IFREG);
	const struct pm_version *v;
	AUTOBUF struct buf b = BUF_INIT;

	if (!node ||
	    !answered(w, pv_read_all(w->fs, ino_of(w, node), &b), "read"))
		return;
	v = pm_newest(w->m, node);
	CHECK(w, b.len == v->len);
	CHECK(w, !b.len || !memcmp(b.data, v->data, b.len));
}

/* Old enough to be flushed; the workers look now and then. */
static void do_wait(struct world *w)
{
	const struct timespec t = { .tv_nsec = 2000000 };

	simos_advance(w->sim, 2000000000);
	(void)nanosleep(&t, NULL);
}

static void do_something(struct world *w)
{
	uint64_t x = dice(w, 100);

	w->doing = "operations";
	if (x < 28)
		do_write(w);
	else if (x < 34)
		do_truncate(w);
	else if (x < 48)
		do_make(w, S_IFREG);
	else if (x < 58)
		do_rename(w);
	else if (x < 62)
		do_link(w);
	else if (x < 68)
		do_remove(w, false);
	else if (x < 73)
		do_make(w, S_IFDIR);
	else if (x < 76)
		do_remove(w, true);
	else if (x < 79)
		do_make(w, S_IFLNK);
	else if (x < 83)
		do_setxattr(w);
	else if (x < 89)
		do_fsync(w);
	else if (x < 91)
		do_sync(w);
	else if (x < 97)
		do_read(w);
	else
		do_wait(w);
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
		CHECK(w, !pv_read_all(w->fs, ino_of(w, i), &b));
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
	if (pool_readonly(w->pool) && w->away) {
		CHECK(w, !pv_names(w->fs, &names));
		(void)find_step(w, &names);
		pool_abandon(w->pool);
		bring_back(w);
		try_open(w);
	}
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

	if (simos_is_down(w->sim)) {
		w->doing = "power cut";
		pool_abandon(w->pool);
		restart(w);
	} else if (how < 2) {
		w->doing = "kill";
		pool_abandon(w->pool);
		if (simos_is_down(w->sim))
			restart(w);
		simos_crash_at(w->sim, 0);
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

static void run_seed(struct world *w)
{
	begin(w);
	for (w->life = 0; w->life < LIVES; w->life++) {
		live(w);
		end_life(w);
		change_disks(w);
		open_pool(w);
		check_all(w);
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
