/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a pool, cut short at each of its calls that change a disk, by the
 * power or by a kill, and once more while it is picked up: the next start must
 * come up with an empty pool by itself.  And the other side of it: a pool that
 * is one is never made again, whatever its disks have gone through.
 */
#include "poolview.h"
#include "simos.h"

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/log.h>
#include <pool/pool.h>

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N_DISKS 3u

static const char three_disks[] =
    "pool = { name = \"sim\"; extent-size = \"64K\"; disks = (\n"
    " { path = \"/d1\"; }, { path = \"/d2\"; }, { path = \"/d3\"; } ); };\n"
    "metadata = { engine = { plugin = \"mem\"; }; copies = 2;\n"
    "  memory = \"16M\"; };\n"
    "policies = { default = \"ec\"; ec = { k = 2; m = 1;\n"
    "  checksum = \"xxh3\"; }; };\n"
    "frontends = ( );\n"
    "limits = { memory = \"64M\"; threads = 1; };\n";

/* Disks come by "disk add", and policies for one. */
static const char no_disks[] =
    "pool = { name = \"sim\"; extent-size = \"64K\"; disks = ( ); };\n"
    "metadata = { engine = { plugin = \"mem\"; }; copies = 1;\n"
    "  memory = \"16M\"; };\n"
    "policies = { default = \"one\"; one = { redundancy = \"replica\";\n"
    "  copies = 1; checksum = \"xxh3\"; }; };\n"
    "frontends = ( );\n"
    "limits = { memory = \"64M\"; threads = 1; };\n";

struct lab {
	struct simos *sim;
	struct reg *reg;
	struct conf *conf;
	struct pool *pool;
	bool first; /* no disk in the config */
};

static struct pool_how how_of(const struct lab *lab)
{
	return (struct pool_how){ .conf = lab->conf,
				  .reg = lab->reg,
				  .os = simos_os(lab->sim) };
}

static void lab_begin(struct lab *lab, struct reg *reg, bool first,
		      uint64_t seed)
{
	const char *text = first ? no_disks : three_disks;
	char path[8];

	*lab =
	    (struct lab){ .sim = simos_new(seed), .reg = reg, .first = first };
	assert_non_null(lab->sim);
	if (conf_parse(text, strlen(text), "/sim.conf", NULL, 0, &lab->conf))
		fail_msg("config: %s", fail_text(0));
	for (unsigned i = 1; i <= N_DISKS; i++) {
		(void)snprintf(path, sizeof(path), "/d%u", i);
		assert_int_equal(simos_limit(lab->sim, path, 256u << 20), 0);
	}
}

static void lab_end(struct lab *lab)
{
	assert_int_equal(simos_handles(lab->sim), 0);
	conf_free(lab->conf);
	simos_free(lab->sim);
}

/* As "dynfs run" with pool.create, or "disk add" and then "run". */
static int start(struct lab *lab)
{
	struct pool_how how = how_of(lab);
	int r = pool_exists(&how);

	if (!r && lab->first) {
		r = pool_create_first(&how, "/d1", 0, NULL, 0, &lab->pool);
		if (!r)
			r = pool_close(lab->pool);
	} else if (!r) {
		r = pool_create(&how);
	}
	return r < 0 ? r : pool_open(&how, &lab->pool);
}

/* Its operations cut the power at the nth call, if they get so far. */
static bool start_cut(struct lab *lab, uint64_t nth, enum simos_survival how)
{
	int r;

	simos_crash_at(lab->sim, nth);
	r = start(lab);
	if (!simos_is_down(lab->sim)) {
		simos_crash_at(lab->sim, 0);
		if (r)
			fail_msg("start: %s", fail_text(r));
		return false;
	}
	if (!r)
		pool_abandon(lab->pool);
	lab->pool = NULL;
	simos_restart(lab->sim, how, nth);
	return true;
}

static size_t count_names(struct lab *lab)
{
	struct pv_names names;
	int r =
	    pv_names(tree_view(pool_tree(lab->pool)), DYNFS_ROOT_INO, &names);

	if (r)
		fail_msg("names: %s: %s", names.why, fail_text(r));
	return names.n;
}

static void make_dir(struct lab *lab, const char *name)
{
	const struct dynfs_fs_view *fs = tree_view(pool_tree(lab->pool));
	struct dynfs_caller root = { .uid = 0 };
	struct dynfs_attr attr;
	int r = fs->mkdir(fs->ctx, DYNFS_ROOT_INO, name, 0755, &root, &attr);

	if (!r)
		r = pool_sync(lab->pool);
	if (r)
		fail_msg("mkdir: %s", fail_text(r));
}

static void must_start(struct lab *lab)
{
	int r = start(lab);

	if (r)
		fail_msg("start: %s", fail_text(r));
	assert_false(pool_readonly(lab->pool));
}

/* It holds what is put into it, over a power cut. */
static void check_works(struct lab *lab)
{
	assert_int_equal(count_names(lab), 0);
	make_dir(lab, "kept");
	simos_crash_at(lab->sim, 1);
	pool_abandon(lab->pool);
	simos_restart(lab->sim, SIMOS_LOSE, 1);
	must_start(lab);
	assert_int_equal(count_names(lab), 1);
	assert_int_equal(pool_close(lab->pool), 0);
}

static void cut_everywhere(bool first)
{
	static const enum simos_survival how[] = { SIMOS_COIN, SIMOS_LOSE,
						   SIMOS_KEEP, SIMOS_CACHED };
	struct reg *reg;
	uint64_t nth = 1;
	bool cut = true;

	assert_int_equal(reg_open(NULL, &reg), 0);
	for (; cut; nth++) {
		struct lab lab;

		lab_begin(&lab, reg, first, nth);
		cut = start_cut(&lab, nth, how[nth % 4]);
		/* and again, anywhere, while it is picked up */
		if (!cut || !start_cut(&lab, 1 + nth * 31 % 150, SIMOS_COIN)) {
			check_works(&lab);
		} else {
			must_start(&lab);
			check_works(&lab);
		}
		lab_end(&lab);
	}
	reg_close(reg);
	assert_true(nth > 100);
}

static void a_pool_of_three_disks_is_made_over_any_crash(void **state)
{
	(void)state;
	cut_everywhere(false);
}

static void
a_pool_that_begins_with_one_disk_is_made_over_any_crash(void **state)
{
	(void)state;
	cut_everywhere(true);
}

static void flip_half(struct lab *lab, const char *disk, unsigned half)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "%s/" LABEL_FILE, disk);
	assert_int_equal(simos_flip(lab->sim, path,
				    half * (uint64_t)LABEL_SLOT_BYTES + 99, 1),
			 0);
}

/* Each half of the label alone still knows that the pool is one. */
static void a_pool_that_was_served_is_never_made_again(void **state)
{
	struct reg *reg;

	(void)state;
	assert_int_equal(reg_open(NULL, &reg), 0);
	for (unsigned half = 0; half < 2; half++) {
		struct lab lab;

		lab_begin(&lab, reg, true, half);
		must_start(&lab);
		make_dir(&lab, "kept");
		simos_crash_at(lab.sim, 1);
		pool_abandon(lab.pool);
		simos_restart(lab.sim, SIMOS_LOSE, 1);
		flip_half(&lab, "/d1", half);
		must_start(&lab);
		assert_int_equal(count_names(&lab), 1);
		assert_int_equal(pool_close(lab.pool), 0);
		lab_end(&lab);
	}
	reg_close(reg);
}

/* Whatever the start says, the data is there when the disks are back. */
static void a_pool_with_lost_labels_is_left_alone(void **state)
{
	struct reg *reg;
	struct lab lab;

	(void)state;
	assert_int_equal(reg_open(NULL, &reg), 0);
	lab_begin(&lab, reg, false, 7);
	must_start(&lab);
	make_dir(&lab, "kept");
	assert_int_equal(pool_close(lab.pool), 0);
	for (unsigned half = 0; half < 2; half++)
		for (char disk[] = "/d1"; disk[2] <= '3'; disk[2]++)
			flip_half(&lab, disk, half);
	assert_true(start(&lab) < 0);
	for (unsigned half = 0; half < 2; half++)
		for (char disk[] = "/d1"; disk[2] <= '2'; disk[2]++)
			flip_half(&lab, disk, half); /* the same bit */
	must_start(&lab);
	assert_int_equal(count_names(&lab), 1);
	assert_int_equal(pool_close(lab.pool), 0);
	lab_end(&lab);
	reg_close(reg);
}

static void an_unfinished_pool_is_not_opened_for_reading(void **state)
{
	struct pool_how how;
	struct reg *reg;
	struct lab lab;
	uint64_t before;

	(void)state;
	assert_int_equal(reg_open(NULL, &reg), 0);
	lab_begin(&lab, reg, false, 8);
	assert_true(start_cut(&lab, 80, SIMOS_KEEP));
	how = how_of(&lab);
	how.readonly = true;
	before = simos_calls(lab.sim, SIMOS_MUTATING);
	assert_int_equal(pool_open(&how, &lab.pool), -EROFS);
	assert_non_null(strstr(fail_text(-EROFS), "never finished"));
	assert_int_equal(simos_calls(lab.sim, SIMOS_MUTATING), before);
	must_start(&lab);
	assert_int_equal(pool_close(lab.pool), 0);
	lab_end(&lab);
	reg_close(reg);
}

static void print_line(int level, const char *area, const char *text)
{
	(void)level;
	print_message("# %s: %s\n", area, text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pool_of_three_disks_is_made_over_any_crash),
		cmocka_unit_test(
		    a_pool_that_begins_with_one_disk_is_made_over_any_crash),
		cmocka_unit_test(a_pool_that_was_served_is_never_made_again),
		cmocka_unit_test(a_pool_with_lost_labels_is_left_alone),
		cmocka_unit_test(an_unfinished_pool_is_not_opened_for_reading),
	};

	/* NOLINTNEXTLINE(concurrency-mt-unsafe) */
	if (getenv("DYNFS_TEST_VERBOSE"))
		log_set(print_line, DYNFS_DEBUG);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
