/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What core/meta does with structures of newer programs, with logs of
 * different length, and with a checkpoint that cannot be read back, on five
 * simulated disks.
 */
#include "simdisks.h"

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/le.h>
#include <base/log.h>
#include <meta/files.h>
#include <meta/internal.h>

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum class { COMPAT, RO_COMPAT, INCOMPAT };

static struct simos *sim;
static struct reg *reg;
static struct disks *disks;
static struct meta *meta;

#define PATIENCE_S 30

static char warnings[4096];

static void keep_warnings(int level, const char *area, const char *text)
{
	size_t n = strlen(warnings);

	(void)level;
	(void)area;
	if (n + 2 < sizeof(warnings))
		(void)snprintf(warnings + n, sizeof(warnings) - n, "%s\n",
			       text);
}

static void hook_closing(void *ctx, struct batch *b)
{
	(void)ctx;
	(void)b;
}

static int start(bool create)
{
	struct meta_how how = {
		.os = simos_os(sim),
		.reg = reg,
		.engine_plugin = "mem",
		.copies = 2,
		.memory_bytes = 64u << 20,
		.pending_bytes = 4u << 20,
		.group_bytes = 1u << 20,
		.group_ns = 1000000000,
		.log_bytes = 64u << 20,
		.create = create,
		.hooks = { .closing = hook_closing },
	};

	assert_int_equal(simdisks_open(sim, &disks), 0);
	how.disks = disks;
	fail_clear();
	return meta_open(&how, &meta);
}

static void leave(bool crash)
{
	if (meta && crash)
		meta_abandon(meta);
	else if (meta)
		assert_int_equal(meta_close(meta), 0);
	meta = NULL;
	simdisks_close(disks);
	disks = NULL;
}

static int setup(void **state)
{
	(void)state;
	sim = simos_new(1);
	return simdisks_create(sim) || start(true);
}

static int teardown(void **state)
{
	(void)state;
	if (disks)
		leave(true);
	simos_free(sim);
	sim = NULL;
	return 0;
}

static void put(const char *name, const void *value, size_t len)
{
	AUTOBATCH struct batch b;
	uint64_t number;

	batch_init(&b);
	batch_put(&b, name, strlen(name), value, len);
	assert_int_equal(meta_commit(meta, &b, &number), 0);
	assert_int_equal(meta_sync(meta, number), 0);
}

static bool has(const char *name)
{
	AUTOBUF struct buf value = BUF_INIT;
	int r = meta_get(meta, name, strlen(name), &value);

	assert_true(!r || r == -ENOENT);
	return !r;
}

static bool is_readonly(void)
{
	struct meta_status st;

	meta_status(meta, &st);
	return st.readonly;
}

static void sets_put(struct buf *b, enum class class, char *name)
{
	char *names[] = { name, NULL };
	struct features f = { .compat = class == COMPAT ? names : NULL,
			      .ro_compat = class == RO_COMPAT ? names : NULL,
			      .incompat = class == INCOMPAT ? names : NULL };

	features_put(b, &f);
	assert_int_equal(buf_error(b), 0);
}

static void put_features(const char *kind, enum class class, char *name)
{
	AUTOBUF struct buf value = BUF_INIT;
	char key[32];

	buf_put8(&value, 1);
	sets_put(&value, class, name);
	(void)snprintf(key, sizeof(key), "Mfeatures/%s", kind);
	put(key, value.data, value.len);
}

/* The indexes of all disks: what is known then is in the log alone. */
static void lose_indexes(void)
{
	for (uint32_t id = 1; id <= SIM_DISKS; id++) {
		AUTOFREE char *path = NULL;

		assert_true(asprintf(&path, "%s/index", simdisks_path(id)) > 0);
		assert_int_equal(tree_remove(simos_os(sim), path), 0);
	}
}

static void a_pool_whose_logs_are_all_away_names_their_disks(void **state)
{
	(void)state;
	put("before", "x", 1);
	leave(true);
	assert_int_equal(simos_vanish(sim, "/d1", -EIO), 0);
	assert_int_equal(simos_vanish(sim, "/d2", -EIO), 0);
	assert_int_equal(start(false), -ENODEV);
	assert_non_null(strstr(fail_text(-ENODEV), "number 1 (/d1)"));
	assert_non_null(strstr(fail_text(-ENODEV), "number 2 (/d2)"));
	meta = NULL;
}

/* ---- records --------------------------------------------------------- */

/* 0: it opened for writing; -EROFS: for reading; else the error. */
static int reopened(const char *kind, enum class class, char *name, bool crash,
		    bool index)
{
	int r;

	assert_int_equal(teardown(NULL), 0);
	assert_int_equal(setup(NULL), 0);
	put("before", "x", 1);
	put("after", "x", 1);
	/* after a crash nothing confirms this one */
	put_features(kind, class, name);
	leave(crash);
	if (!index)
		lose_indexes();
	r = start(false);
	if (r) {
		meta = NULL;
		if (r == -EOPNOTSUPP) {
			assert_non_null(strstr(fail_text(r), name));
			assert_non_null(strstr(fail_text(r), kind));
		}
		leave(true);
		return r;
	}
	/* whatever may be done with it, all is there */
	assert_true(has("before") && has("after"));
	r = is_readonly() ? -EROFS : 0;
	leave(false);
	return r;
}

static void features_of_records_decide_by_their_class(void **state)
{
	char tea[] = "tea-1", base[] = "base-1";

	(void)state;
	/* after a crash and not, from the index and from the log */
	for (int how = 0; how < 4; how++) {
		bool crash = how & 1, index = how & 2;

		assert_int_equal(reopened("E", COMPAT, tea, crash, index), 0);
		assert_int_equal(reopened("E", RO_COMPAT, tea, crash, index),
				 -EROFS);
		assert_int_equal(reopened("E", INCOMPAT, tea, crash, index),
				 -EOPNOTSUPP);
		assert_int_equal(reopened("E", INCOMPAT, base, crash, index),
				 0);
		/* of a kind that is not known no feature is */
		assert_int_equal(reopened("N", INCOMPAT, base, crash, index),
				 -EOPNOTSUPP);
		assert_int_equal(reopened("N", COMPAT, base, crash, index), 0);
		assert_int_equal(reopened("EE", INCOMPAT, base, crash, index),
				 -EOPNOTSUPP);
	}
}

static void a_damaged_record_of_features_is_not_passed_over(void **state)
{
	(void)state;
	put("Mfeatures/E", "\1\0", 2);
	leave(true);
	assert_int_equal(start(false), -EUCLEAN);
	assert_non_null(strstr(fail_text(-EUCLEAN), "damaged"));
	meta = NULL;
}

/* ---- logs and manifests ---------------------------------------------- */

static void load(const char *path, struct buf *b)
{
	assert_int_equal(file_load(simos_os(sim), path, 64u << 20, b), 0);
}

static void store(const char *path, const struct buf *b)
{
	const struct dynfs_os *os = simos_os(sim);
	int fd = os->open(os, path, DYNFS_OS_RDWR, 0);

	assert_true(fd >= 0);
	assert_int_equal(os->truncate(os, fd, b->len), 0);
	assert_int_equal(meta_file_write(os, fd, b->data, b->len, 0), 0);
	assert_int_equal(os->sync(os, fd), 0);
	assert_int_equal(os->close(os, fd), 0);
}

/*
 * Other features into a structure whose head has a length at 12, a sum at
 * sum_at, features at at; pad: the bytes that it fills.
 */
static void refeature(const char *path, size_t sum_at, size_t at, size_t pad,
		      enum class class)
{
	AUTOBUF struct buf old = BUF_INIT;
	AUTOBUF struct buf b = BUF_INIT;
	struct features f;
	struct rd r;

	load(path, &old);
	r = rd_of(old.data + at, get_le32(old.data + 12) - at);
	assert_int_equal(features_get(&r, &f), 0);
	features_done(&f);
	buf_put(&b, old.data, at);
	sets_put(&b, class, (char[]){ "tea-1" });
	buf_put(&b, r.data + r.pos, rd_left(&r));
	put_le32(b.data + 12, (uint32_t)b.len);
	memset(b.data + sum_at, 0, SUM128_LEN);
	sum128(b.data, b.len, b.data + sum_at);
	if (pad) {
		buf_put_zero(&b, pad - b.len);
		buf_put(&b, old.data + pad, old.len - pad);
	}
	store(path, &b);
}

struct below {
	char name[64];
};

static int take_name(void *ctx, const char *name, uint32_t type)
{
	struct below *b = (struct below *)ctx;

	(void)type;
	(void)snprintf(b->name, sizeof(b->name), "%s", name);
	return 0;
}

/* The only thing in a directory; "" when there is none. */
static char *only(const char *dir)
{
	struct below b = { "" };
	char *path;

	(void)simos_os(sim)->list(simos_os(sim), dir, take_name, &b);
	assert_true(asprintf(&path, "%s/%s", dir, b.name) > 0);
	if (!b.name[0])
		path[0] = '\0';
	return path;
}

static void features_of_a_log_decide_by_their_class(void **state)
{
	(void)state;
	for (int class = COMPAT; class <= INCOMPAT; class ++) {
		AUTOFREE char *path = NULL;
		int r;

		assert_int_equal(teardown(NULL), 0);
		assert_int_equal(setup(NULL), 0);
		put("before", "x", 1);
		put("after", "x", 1);
		leave(true);
		lose_indexes();
		path = only("/d1/log");
		refeature(path, 72, 88, LOG_BLOCK, (enum class) class);
		r = start(false);
		if (class == INCOMPAT) {
			assert_int_equal(r, -EOPNOTSUPP);
			assert_non_null(strstr(fail_text(r), "'tea-1'"));
			assert_non_null(strstr(fail_text(r), "/d1/log"));
			meta = NULL;
			continue;
		}
		assert_int_equal(r, 0);
		assert_true(has("before") && has("after"));
		assert_int_equal(is_readonly(), class == RO_COMPAT);
	}
}

static void features_of_a_checkpoint_decide_by_their_class(void **state)
{
	(void)state;
	for (int class = COMPAT; class <= INCOMPAT; class ++) {
		AUTOFREE char *dir = NULL;
		AUTOFREE char *path = NULL;
		int r;

		assert_int_equal(teardown(NULL), 0);
		assert_int_equal(setup(NULL), 0);
		put("before", "x", 1);
		leave(false);
		lose_indexes();
		dir = only("/d2/checkpoint");
		assert_true(asprintf(&path, "%s/MANIFEST", dir) > 0);
		refeature(path, 56, 72, 0, (enum class) class);
		r = start(false);
		if (class == INCOMPAT) {
			assert_int_equal(r, -EOPNOTSUPP);
			assert_non_null(strstr(fail_text(r), "'tea-1'"));
			assert_non_null(strstr(fail_text(r), "/d2/checkpoint"));
			meta = NULL;
			continue;
		}
		assert_int_equal(r, 0);
		assert_true(has("before"));
		assert_int_equal(is_readonly(), class == RO_COMPAT);
	}
}

static void a_checkpoint_of_another_version_is_not_thrown_away(void **state)
{
	AUTOBUF struct buf b = BUF_INIT;
	AUTOFREE char *dir = NULL;
	AUTOFREE char *path = NULL;

	(void)state;
	put("before", "x", 1);
	leave(false);
	dir = only("/d1/checkpoint");
	assert_true(asprintf(&path, "%s/MANIFEST", dir) > 0);
	load(path, &b);
	put_le32(b.data + 8, 3);
	memset(b.data + 56, 0, SUM128_LEN);
	sum128(b.data, b.len, b.data + 56);
	store(path, &b);
	assert_int_equal(start(false), -EOPNOTSUPP);
	assert_non_null(strstr(fail_text(-EOPNOTSUPP), "version 3"));
	meta = NULL;
	buf_clear(&b);
	load(path, &b);
}

/* ---- what a log is cut for ------------------------------------------- */

static void no_log_goes_for_a_checkpoint_that_reads_back_wrong(void **state)
{
	struct simos_fault f = { .call = SIMOS_PREADV, .nth = 1, .err = -EIO };
	AUTOFREE char *manifest = NULL;
	struct meta_status st;

	(void)state;
	put("before", "x", 1);
	put("after", "x", 1);
	meta_status(meta, &st);
	assert_true(asprintf(&manifest, "%s/checkpoint/%016" PRIx64 "/MANIFEST",
			     simdisks_path(st.index_disk), st.durable) > 0);
	f.prefix = manifest;
	assert_int_equal(simos_inject(sim, &f), 0);
	f.times = 0;
	assert_true(meta_checkpoint(meta) < 0);
	assert_int_equal(meta_close(meta), 0);
	meta = NULL;
	leave(true);
	simos_heal(sim);
	/* it closed without one, and the log is still there */
	for (uint32_t id = 1; id <= 2; id++) {
		AUTOFREE char *dir = NULL;
		AUTOFREE char *log = NULL;

		assert_true(asprintf(&dir, "%s/log", simdisks_path(id)) > 0);
		log = only(dir);
		assert_true(log[0]);
	}
	for (uint32_t id = 1; id <= 2; id++) {
		AUTOFREE char *dir = NULL;

		assert_true(asprintf(&dir, "%s/checkpoint", simdisks_path(id)) >
			    0);
		assert_int_equal(tree_remove(simos_os(sim), dir), 0);
	}
	lose_indexes();
	assert_int_equal(start(false), 0);
	assert_true(has("before") && has("after") && !is_readonly());
}

static char *manifest_of(uint32_t id, uint64_t number)
{
	char *path;

	assert_true(asprintf(&path, "%s/checkpoint/%016" PRIx64 "/MANIFEST",
			     simdisks_path(id), number) > 0);
	return path;
}

/* Else no log would be cut any more, until it fills its disk. */
static void an_old_checkpoint_that_cannot_be_read_stops_no_new_one(void **state)
{
	struct simos_fault f = { .call = SIMOS_OPEN, .nth = 1, .err = -EIO };
	struct meta_status st;
	uint64_t first;

	(void)state;
	put("before", "x", 1);
	assert_int_equal(meta_checkpoint(meta), 0);
	meta_status(meta, &st);
	first = st.checkpoint;
	for (uint32_t id = 1; id <= 2; id++) {
		AUTOFREE char *path = manifest_of(id, first);
		struct dynfs_os_stat was;

		assert_int_equal(simos_os(sim)->stat(simos_os(sim), path, &was),
				 0);
		f.prefix = path;
		assert_int_equal(simos_inject(sim, &f), 0);
	}
	put("after", "x", 1);
	assert_int_equal(meta_checkpoint(meta), 0);
	meta_status(meta, &st);
	assert_true(st.checkpoint > first);
	for (uint32_t id = 1; id <= 2; id++) {
		AUTOFREE char *path = manifest_of(id, st.checkpoint);
		AUTOFREE char *old = manifest_of(id, first);
		struct dynfs_os_stat is;

		assert_int_equal(simos_os(sim)->stat(simos_os(sim), path, &is),
				 0);
		assert_int_equal(simos_os(sim)->stat(simos_os(sim), old, &is),
				 -ENOENT);
	}
}

/* It is made again from the others, and is as good as before. */
static void a_log_that_cannot_be_read_at_open_is_made_again(void **state)
{
	struct simos_fault f = { .call = SIMOS_OPEN, .nth = 1, .err = -EIO };
	AUTOFREE char *path = NULL;
	struct meta_status st;

	(void)state;
	put("before", "x", 1);
	assert_int_equal(meta_checkpoint(meta), 0);
	meta_status(meta, &st);
	path = manifest_of(1, st.checkpoint);
	put("after", "x", 1);
	leave(true);
	f.prefix = path;
	assert_int_equal(simos_inject(sim, &f), 0);
	/* from that one alone nothing is concluded */
	assert_int_equal(simos_vanish(sim, "/d2", -EIO), 0);
	assert_true(start(false) < 0);
	leave(true);
	simos_reappear(sim, "/d2");
	warnings[0] = '\0';
	log_set(keep_warnings, DYNFS_WARN);
	assert_int_equal(start(false), 0);
	log_set(NULL, DYNFS_ERR);
	assert_non_null(strstr(warnings, "the log on /d1 is left out: read"));
	assert_true(has("before") && has("after") && !is_readonly());
	simos_heal(sim);
	(void)alarm(PATIENCE_S);
	do {
		put("more", "x", 1);
		meta_status(meta, &st);
	} while (st.copies < 2);
	(void)alarm(0);
	leave(true);
	/* the one that was there all the time goes */
	lose_indexes();
	assert_int_equal(simos_vanish(sim, "/d2", -EIO), 0);
	assert_int_equal(start(false), 0);
	assert_true(has("before") && has("after") && has("more"));
}

static void a_log_that_is_shorter_than_the_other_is_made_level(void **state)
{
	AUTOBUF struct buf b = BUF_INIT;
	AUTOFREE char *path = NULL;

	(void)state;
	for (int i = 0; i < 9; i++)
		put(i % 2 ? "odd" : "even", "value", 5);
	put("last", "x", 1);
	leave(true);
	lose_indexes();
	path = only("/d1/log");
	load(path, &b);
	/* header and three records */
	b.len = 4 * LOG_BLOCK;
	store(path, &b);
	assert_int_equal(start(false), 0);
	assert_true(has("odd") && has("last") && !is_readonly());
	leave(true);
	/* now the first one does it alone */
	lose_indexes();
	assert_int_equal(tree_remove(simos_os(sim), "/d2/log"), 0);
	assert_int_equal(start(false), 0);
	assert_true(has("odd") && has("last") && !is_readonly());
}

static int open_all(void **state)
{
	(void)state;
	return reg_open(NULL, &reg);
}

static int close_all(void **state)
{
	(void)state;
	reg_close(reg);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(features_of_records_decide_by_their_class),
		TEST(a_damaged_record_of_features_is_not_passed_over),
		TEST(features_of_a_log_decide_by_their_class),
		TEST(features_of_a_checkpoint_decide_by_their_class),
		TEST(a_checkpoint_of_another_version_is_not_thrown_away),
		TEST(no_log_goes_for_a_checkpoint_that_reads_back_wrong),
		TEST(an_old_checkpoint_that_cannot_be_read_stops_no_new_one),
		TEST(a_log_that_cannot_be_read_at_open_is_made_again),
		TEST(a_log_that_is_shorter_than_the_other_is_made_level),
		TEST(a_pool_whose_logs_are_all_away_names_their_disks),
	};

	return cmocka_run_group_tests(tests, open_all, close_all);
}
