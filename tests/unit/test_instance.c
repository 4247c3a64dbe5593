/* SPDX-License-Identifier: Apache-2.0 */
/* Options, instances and typed calls, against plugins of tests/abi that do as
 * they are told. */
#include <base/fail.h>
#include <base/os.h>
#include <registry/checksum.h>
#include <registry/meta.h>
#include <registry/placement.h>
#include <registry/redundancy.h>
#include <registry/store.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants the ones above before it */
#include <cmocka.h>

static struct reg *liars;

static int set_up(void **state)
{
	(void)state;
	return reg_open(LIAR_DIR, &liars);
}

static int tear_down(void **state)
{
	(void)state;
	reg_close(liars);
	return 0;
}

static void assert_says(int err, const char *part)
{
	if (!strstr(fail_text(err), part))
		fail_msg("\"%s\" does not say \"%s\"", fail_text(err), part);
}

static struct reg_plugin *load(const char *name)
{
	struct reg_plugin *p = NULL;
	int r = reg_load(liars, REG_CHECKSUM, name, &p);

	if (r < 0)
		fail_msg("%s: %s", name, fail_text(r));
	return p;
}

/* ---- options --------------------------------------------------------- */

#define SET(k, f, t)                                                           \
	{                                                                      \
		.key = (k), .text = (t), .form = (f), .file = "pool.conf",     \
		.line = 12                                                     \
	}

static struct reg_inst *inst_with(const struct reg_setting *set, size_t n)
{
	struct reg_inst *inst = NULL;
	int r = reg_new(load("honest"), "disk a", set, n, os_real(), &inst);

	if (r < 0)
		fail_msg("%s", fail_text(r));
	return inst;
}

static void settings_that_do_not_fit_say_where_and_what(void **state)
{
	static const struct {
		struct reg_setting set;
		const char *says;
	} bad[] = {
		{ SET("level", REG_NUMBER, "33"),
		  "pool.conf:12: option level of plugin checksum/honest: "
		  "expected integer 1..32, got 33" },
		{ SET("level", REG_STRING, "8"), "got \"8\"" },
		{ SET("level", REG_NUMBER, "0"), "expected integer 1..32" },
		{ SET("level", REG_BOOL, "true"), "got true" },
		{ SET("level", REG_OTHER, ""), "got a group or list" },
		{ SET("flag", REG_NUMBER, "1"), "expected true or false" },
		{ SET("block-size", REG_STRING, "1K"),
		  "expected size 4K..16M, got \"1K\"" },
		{ SET("block-size", REG_NUMBER, "-1"), "expected size" },
		{ SET("mood", REG_STRING, "bad"),
		  "one of \"good\", \"positive\"" },
		{ SET("key", REG_NUMBER, "424242"),
		  "expected string, got something else" },
		{ SET("lvel", REG_NUMBER, "3"),
		  "pool.conf:12: plugin checksum/honest has no option lvel; "
		  "did you mean level?" },
		{ SET("xyzzy", REG_NUMBER, "3"), "has no option xyzzy" },
		{ SET("level", REG_NUMBER, "13"), "brings bad luck" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); ++i) {
		struct reg_inst *inst;
		int r;

		fail_clear();
		r = reg_new(load("honest"), "disk a", &bad[i].set, 1, os_real(),
			    &inst);
		assert_int_equal(r, -EINVAL);
		assert_says(r, bad[i].says);
		assert_null(strstr(fail_text(r), "424242"));
	}
}

static void a_key_given_twice_is_refused(void **state)
{
	const struct reg_setting set[] = { SET("level", REG_NUMBER, "4"),
					   SET("level", REG_NUMBER, "5") };

	(void)state;
	assert_int_equal(reg_check_settings(load("honest"), set, 2), -EINVAL);
	assert_says(-EINVAL, "level is there twice");
}

static void format_options_are_canonical_and_compared(void **state)
{
	const struct reg_setting set[] = { SET("flag", REG_WORD, "yes"),
					   SET("block-size", REG_STRING, "8K"),
					   SET("word", REG_STRING, "a\nb") };
	struct reg_inst *inst = inst_with(set, 3);
	AUTOBUF struct buf out = BUF_INIT;
	const char *text = "flag=true\nblock-size=8192\nword=a\\x0ab\n";
	const char *other = "flag=true\nblock-size=4096\nword=a\\x0ab\n";
	const char *part = "flag=true\nblock-size=8192\n";

	(void)state;
	reg_format_options(inst, &out);
	buf_put8(&out, 0);
	assert_string_equal((char *)out.data, text);
	assert_int_equal(reg_format_check(inst, text, strlen(text)), 0);
	assert_int_equal(reg_format_check(inst, other, strlen(other)), -EINVAL);
	assert_says(-EINVAL, "written with block-size=4096, which can not "
			     "change to block-size=8192");
	/* what is not there had its default, and the default is no word */
	assert_int_equal(reg_format_check(inst, part, strlen(part)), -EINVAL);
	assert_int_equal(reg_format_check(inst, "shape=7\n", 8), -EINVAL);
	assert_says(-EINVAL, "does not know");
	reg_free(inst);
	inst = inst_with(set, 2);
	assert_int_equal(reg_format_check(inst, part, strlen(part)), 0);
	reg_free(inst);
}

/* ---- instances ------------------------------------------------------- */

static void an_instance_starts_once_and_stops_once(void **state)
{
	struct reg_inst *inst = inst_with(NULL, 0);

	(void)state;
	assert_true(reg_memory(inst) > 0);
	assert_int_equal(reg_start(inst), 0);
	assert_int_equal(reg_start(inst), -EINVAL);
	reg_stop(inst);
	reg_stop(inst);
	assert_int_equal(reg_counter(inst, 1), 1);
	assert_int_equal(reg_start(inst), -EINVAL);
	reg_free(inst);
}

static struct reg_inst *moody(const char *name, const char *mood)
{
	const struct reg_setting set = SET("mood", REG_STRING, mood);
	struct reg_inst *inst = NULL;

	assert_int_equal(
	    reg_new(load(name), "disk a", &set, 1, os_real(), &inst), 0);
	return inst;
}

static void answers_that_mean_nothing_become_errors_with_texts(void **state)
{
	struct reg_inst *inst = moody("honest", "positive");
	uint8_t out[32];

	(void)state;
	assert_int_equal(reg_checksum_sum(inst, "x", 1, out), -EIO);
	assert_says(-EIO, "answered 5 to sum()");
	reg_free(inst);
	/* in parentheses: cmocka has a macro of that name */
	(void)(fail)(-EPERM, "an older text");
	inst = moody("honest", "silent");
	assert_int_equal(reg_checksum_sum(inst, "x", 1, out), -EUCLEAN);
	assert_says(-EUCLEAN, "checksum/honest disk a: sum() failed");
	reg_free(inst);
	inst = moody("honest", "says");
	assert_int_equal(reg_checksum_sum(inst, "x", 1, out), -EUCLEAN);
	assert_string_equal(fail_text(-EUCLEAN), "disk a: the block is odd");
	reg_free(inst);
}

static void memory_is_counted_limited_and_aligned(void **state)
{
	struct reg_inst *inst = moody("honest", "hoards");
	size_t before = reg_memory(inst);
	uint8_t out[32];

	(void)state;
	assert_int_equal(reg_checksum_sum(inst, "x", 100000, out), 0);
	assert_int_equal(reg_memory(inst), before);
	assert_int_equal(reg_memory_peak(inst), before + 100000);
	reg_limit_memory(inst, before + 1000);
	assert_int_equal(reg_checksum_sum(inst, "x", 1001, out), -ENOMEM);
	assert_int_equal(reg_checksum_sum(inst, "x", 1000, out), 0);
	assert_int_equal(reg_memory(inst), before);
	assert_int_equal(reg_counter(inst, 0), 3);
	assert_int_equal(reg_counter(inst, 99), 0);
	reg_free(inst);
}

static void blocks_are_summed_one_by_one_where_the_plugin_can_not(void **state)
{
	struct reg_inst *inst = inst_with(NULL, 0);
	uint8_t data[1000], each[32], all[32];

	(void)state;
	for (size_t i = 0; i < sizeof(data); ++i)
		data[i] = (uint8_t)(i * 7);
	for (size_t i = 0; i < 4; ++i)
		assert_int_equal(reg_checksum_sum(inst, data + i * 300,
						  i < 3 ? 300 : 100,
						  each + 8 * i),
				 0);
	assert_int_equal(reg_checksum_sum_blocks(inst, data, 1000, 300, all),
			 0);
	assert_memory_equal(each, all, 32);
	assert_int_equal(reg_checksum_sum_blocks(inst, data, 1000, 0, all),
			 -EINVAL);
	reg_free(inst);
}

struct caller {
	pthread_t thread;
	struct reg_inst *inst;
	int own, all; /* calls that met another of the instance, the plugin */
};

static void *call_often(void *arg)
{
	struct caller *c = arg;

	for (int i = 0; i < 20; ++i) {
		uint8_t out[32];

		if (reg_checksum_sum(c->inst, "x", 1, out) < 0)
			return (void *)1;
		c->own += out[0];
		c->all += out[1];
	}
	return NULL;
}

static void overlap(const char *name, int *ret_own, int *ret_all)
{
	struct reg_inst *a = moody(name, "overlap");
	struct reg_inst *b = moody(name, "overlap");
	struct caller c[4] = { { 0 } };

	*ret_own = *ret_all = 0;
	for (int i = 0; i < 4; ++i) {
		c[i].inst = i % 2 ? b : a;
		assert_int_equal(
		    pthread_create(&c[i].thread, NULL, call_often, &c[i]), 0);
	}
	for (int i = 0; i < 4; ++i) {
		void *bad;

		assert_int_equal(pthread_join(c[i].thread, &bad), 0);
		assert_null(bad);
		*ret_own += c[i].own;
		*ret_all += c[i].all;
	}
	reg_free(a);
	reg_free(b);
}

static void the_core_locks_as_the_plugin_declared(void **state)
{
	int own, all;

	(void)state;
	overlap("serial", &own, &all);
	assert_int_equal(own, 0);
	assert_int_equal(all, 0);
	overlap("honest", &own, &all);
	assert_int_equal(own, 0);
	assert_true(all > 0);
	overlap("parallel", &own, &all);
	assert_true(own > 0);
}

static void picks_that_break_a_rule_are_not_believed(void **state)
{
	static const struct {
		const char *mood, *says;
	} moods[] = { { "good", NULL },
		      { "twice", "a disk twice" },
		      { "range", "disk 5 of 5" },
		      { "in-use", "holds a fragment" },
		      { "domain-twice", "domain twice" } };
	const struct dynfs_placement_disk disks[5] = {
		{ .id = 1, .domain = 1 },
		{ .id = 2, .domain = 2 },
		{ .id = 3, .domain = 3 },
		{ .id = 4, .domain = 1 },
		{ .id = 5, .domain = 4, .in_use = 1 },
	};
	struct dynfs_placement_request q = { .size = sizeof(q),
					     .disks = disks,
					     .disk_size = sizeof(*disks),
					     .n_disks = 5,
					     .n_pick = 3 };
	struct reg_plugin *p;
	uint32_t out[32];

	(void)state;
	assert_int_equal(reg_load(liars, REG_PLACEMENT, "picker", &p), 0);
	for (size_t i = 0; i < sizeof(moods) / sizeof(*moods); ++i) {
		const struct reg_setting set =
		    SET("mood", REG_STRING, moods[i].mood);
		struct reg_inst *inst;
		int r;

		assert_int_equal(reg_new(p, "here", &set, 1, os_real(), &inst),
				 0);
		q.n_pick = 3;
		r = reg_placement_pick(inst, &q, out);
		assert_int_equal(r, moods[i].says ? -EIO : 0);
		if (moods[i].says)
			assert_says(r, moods[i].says);
		q.n_pick = 5;
		assert_int_equal(reg_placement_pick(inst, &q, out), -EINVAL);
		assert_says(-EINVAL, "5 disks are needed, 4 can");
		reg_free(inst);
	}
}

static void domains_may_repeat_when_there_are_too_few(void **state)
{
	const struct dynfs_placement_disk disks[4] = {
		{ .id = 1, .domain = 1 },
		{ .id = 2, .domain = 2 },
		{ .id = 3, .domain = 1 },
		{ .id = 4, .domain = 2 },
	};
	const struct dynfs_placement_request q = { .size = sizeof(q),
						   .disks = disks,
						   .disk_size = sizeof(*disks),
						   .n_disks = 4,
						   .n_pick = 4 };
	struct reg_inst *inst;
	struct reg_plugin *p;
	uint32_t out[32];

	(void)state;
	assert_int_equal(reg_load(liars, REG_PLACEMENT, "picker", &p), 0);
	assert_int_equal(reg_new(p, "", NULL, 0, NULL, &inst), 0);
	assert_int_equal(reg_placement_pick(inst, &q, out), 0);
	reg_free(inst);
}

static struct reg_inst *twister(enum reg_kind kind)
{
	struct reg_inst *inst = NULL;
	struct reg_plugin *p;

	assert_int_equal(reg_load(liars, kind, "twister", &p), 0);
	assert_int_equal(reg_new(p, "x", NULL, 0, NULL, &inst), 0);
	return inst;
}

static unsigned ops_done;

static void op_done(struct dynfs_store_op *op)
{
	assert_int_equal(op->result, 0);
	ops_done++;
}

static void a_store_is_not_believed_what_can_not_be(void **state)
{
	struct reg_inst *inst = twister(REG_STORE);
	struct dynfs_store_op op = { .size = sizeof(op), .done = op_done };
	struct dynfs_store_op *const ops[] = { &op };
	struct dynfs_store_space space;
	struct dynfs_store_entry row;
	uint64_t cursor = 0;
	uint32_t n = 99;

	(void)state;
	assert_int_equal(
	    reg_store_open(inst, &(struct dynfs_store_open){ .path = "/" }),
	    -EIO);
	assert_says(-EIO, "answered 1 to open()");
	ops_done = 0;
	assert_int_equal(reg_store_submit(inst, ops, 0), 0);
	assert_int_equal(reg_store_submit(inst, ops, 1), -EIO);
	assert_int_equal(ops_done, 1);
	assert_int_equal(reg_store_sync(inst, reg_store_mark(inst)), 0);
	assert_int_equal(reg_store_sync(inst, 1), -EIO);
	assert_says(-EIO, "sync() failed");
	assert_int_equal(reg_store_space(inst, &space), -EIO);
	assert_says(-EIO, "more is free than there is");
	assert_int_equal(reg_store_list(inst, &cursor, &row, 1, &n), -EIO);
	assert_says(-EIO, "2 fragments into room for 1");
	cursor = 5;
	assert_int_equal(reg_store_list(inst, &cursor, &row, 1, &n), -EIO);
	assert_says(-EIO, "without getting on");
	assert_int_equal(n, 99);
	assert_int_equal(reg_store_cost(inst, 3, 4), 7);
	reg_store_close(inst);
	reg_free(inst);
}

static void an_engine_is_not_believed_what_can_not_be(void **state)
{
	struct reg_inst *inst = twister(REG_META);
	const struct dynfs_meta_span none = { NULL, 0 }, one = { "k", 1 };
	struct dynfs_meta_span key = none, value = none;
	struct dynfs_meta_iter *it = NULL;
	struct dynfs_meta_stats stats;
	uint64_t applied;

	(void)state;
	assert_int_equal(reg_meta_get(inst, &one, 1, NULL, NULL), -EIO);
	assert_int_equal(reg_meta_get(inst, &one, 0, NULL, NULL), 0);
	assert_int_equal(reg_meta_scan(inst, none, none, &it), -EIO);
	assert_null(it);
	assert_int_equal(reg_meta_scan(inst, one, none, &it), 0);
	assert_int_equal(reg_meta_next(inst, it, &key, &value), -EIO);
	assert_says(-EIO, "answered 7 to next()");
	key = one;
	assert_int_equal(reg_meta_next(inst, it, &key, &value), 1);
	reg_meta_scan_end(inst, it);
	assert_int_equal(reg_meta_apply(inst, 1, NULL, 0), DYNFS_META_CONFLICT);
	assert_int_equal(reg_meta_apply(inst, 2, NULL, 0), DYNFS_META_UNKNOWN);
	assert_int_equal(reg_meta_apply(inst, 3, NULL, 0), -EIO);
	assert_int_equal(reg_meta_flush(inst), -EIO);
	assert_int_equal(reg_meta_checkpoint(inst, "/x", &applied),
			 -EOPNOTSUPP);
	assert_says(-EOPNOTSUPP, "meta/twister x: checkpoint() failed");
	assert_int_equal(reg_meta_stats(inst, &stats), 0);
	reg_free(inst);
}

static void a_rebuild_that_can_not_be_is_refused_before_the_plugin(void **state)
{
	uint8_t bytes[3][64] = { { 1, 2, 3 } };
	uint8_t *shard[3] = { bytes[0], bytes[1], bytes[2] };
	struct reg_inst *inst;
	struct reg_plugin *p;
	struct reg *own;

	(void)state;
	assert_int_equal(reg_open(NULL, &own), 0);
	if (reg_load(own, REG_REDUNDANCY, "replica", &p) == -ENOENT) {
		reg_close(own);
		skip(); /* not all was built */
	}
	assert_int_equal(reg_new(p, "", NULL, 0, NULL, &inst), 0);
	assert_int_equal(reg_redundancy_check(inst, 1, 2), 0);
	assert_int_equal(reg_redundancy_check(inst, 2, 1), -EINVAL);
	assert_says(-EINVAL, "does not do 2+1");
	assert_int_equal(reg_redundancy_encode(inst, 1, 2, shard, 64), 0);
	assert_int_equal(bytes[2][2], 3);
	assert_int_equal(reg_redundancy_encode(inst, 1, 40, shard, 64),
			 -EINVAL);
	assert_int_equal(reg_redundancy_rebuild(inst, 1, 2, shard, 64, 0, 2),
			 -EUCLEAN);
	assert_says(-EUCLEAN, "only 0 of 3 fragments are left");
	assert_int_equal(reg_redundancy_rebuild(inst, 1, 2, shard, 64, 3, 2),
			 -EINVAL);
	assert_int_equal(reg_redundancy_rebuild(inst, 1, 2, shard, 64, 1, 8),
			 -EINVAL);
	bytes[0][0] = 9;
	assert_int_equal(reg_redundancy_rebuild(inst, 1, 2, shard, 64, 1, 2),
			 0);
	assert_int_equal(bytes[1][0], 9);
	assert_int_equal(bytes[2][0], 1);
	reg_free(inst);
	reg_close(own);
}

#define T(f) cmocka_unit_test(f)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(settings_that_do_not_fit_say_where_and_what),
		T(a_key_given_twice_is_refused),
		T(format_options_are_canonical_and_compared),
		T(an_instance_starts_once_and_stops_once),
		T(answers_that_mean_nothing_become_errors_with_texts),
		T(memory_is_counted_limited_and_aligned),
		T(blocks_are_summed_one_by_one_where_the_plugin_can_not),
		T(the_core_locks_as_the_plugin_declared),
		T(picks_that_break_a_rule_are_not_believed),
		T(a_store_is_not_believed_what_can_not_be),
		T(an_engine_is_not_believed_what_can_not_be),
		T(a_rebuild_that_can_not_be_is_refused_before_the_plugin),
		T(domains_may_repeat_when_there_are_too_few),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
