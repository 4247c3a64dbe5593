/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log on one disk and the truth out of several: records, damage, cutting,
 * rolling, and forged or mutated bytes.
 */
#include <base/cleanup.h>
#include <base/fail.h>
#include <base/le.h>
#include <meta/internal.h>

#include "seeded.h"
#include "simos.h"
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define DISKS 3

static struct simos *sim;
static struct disk disks[DISKS];
static struct log_disk *logs[DISKS];
static const struct uuid pool = { "the pool of test" };
static uint8_t sums[64][SUM128_LEN]; /* by number */

/* The disks here are no members of a pool. */
int disk_release_ballast(struct disk *k)
{
	const struct dynfs_os *os = simos_os(sim);

	assert_string_equal(k->path, "/a");
	return os->unlink(os, "/a/ballast");
}

static int setup(void **state)
{
	static char *const path[DISKS] = { "/a", "/b", "/c" };

	(void)state;
	sim = simos_new(1);
	for (uint32_t i = 0; i < DISKS; i++) {
		disks[i].id = i + 1;
		disks[i].path = path[i];
		if (simos_limit(sim, path[i], 0) ||
		    log_disk_new(simos_os(sim), &disks[i], &pool, &logs[i]) ||
		    log_wipe(logs[i]))
			return -1;
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (int i = 0; i < DISKS; i++) {
		log_disk_free(logs[i]);
		logs[i] = NULL;
	}
	simos_free(sim);
	return 0;
}

/* A record of some operations; number's chain is sums[number - 1]. */
static void make(struct buf *rec, uint64_t number, size_t value_len)
{
	struct log_head h = { .n_ops = 2,
			      .epoch = 1,
			      .number = number,
			      .confirmed = number - 1 };
	AUTOBATCH struct batch b;
	AUTOFREE uint8_t *value = (uint8_t *)calloc(1, value_len + 1);

	batch_init(&b);
	batch_put(&b, "key", 3, value, value_len);
	batch_delete(&b, "other", 5);
	memcpy(h.chain, sums[number - 1], SUM128_LEN);
	buf_clear(rec);
	buf_put_zero(rec, LOG_HEAD);
	buf_put(rec, b.ops.data, b.ops.len);
	assert_int_equal(log_seal(rec, &h), 0);
	assert_int_equal(rec->len % LOG_BLOCK, 0);
	memcpy(sums[number], h.sum, SUM128_LEN);
}

/* Records from..to to log i, a new file first when begin is set. */
static void append(int i, uint64_t from, uint64_t to, bool begin)
{
	AUTOBUF struct buf rec = BUF_INIT;

	if (begin)
		assert_int_equal(
		    log_begin(logs[i], from, sums[from - 1], 1, NULL, NULL), 0);
	for (uint64_t n = from; n <= to; n++) {
		make(&rec, n, n % 3 ? 10 : 9000);
		assert_int_equal(log_append(logs[i], &rec), 0);
	}
	assert_int_equal(log_sync(logs[i]), 0);
}

static void reopen(void)
{
	simos_crash(sim, SIMOS_LOSE, 1);
	for (int i = 0; i < DISKS; i++) {
		log_disk_free(logs[i]);
		assert_int_equal(
		    log_disk_new(simos_os(sim), &disks[i], &pool, &logs[i]), 0);
		assert_int_equal(log_scan(logs[i]), 0);
	}
}

static int build(struct truth *t, uint32_t n)
{
	struct ckpt_list none = { 0 };

	return truth_build(t, logs, n, &none);
}

static void what_is_appended_is_found(void **state)
{
	struct truth t;
	struct log_head h;
	AUTOBUF struct buf rec = BUF_INIT;

	(void)state;
	append(0, 1, 5, true);
	append(0, 6, 9, true);
	reopen();
	assert_int_equal(logs[0]->n_files, 2);
	assert_int_equal(logs[0]->n_refs, 9);
	assert_int_equal(logs[0]->confirmed, 8);
	assert_int_equal(build(&t, 1), 0);
	assert_int_equal(t.last, 9);
	for (uint64_t n = 1; n <= 9; n++) {
		assert_int_equal(truth_read(&t, n, &rec, &h), 0);
		assert_int_equal(h.number, n);
		assert_memory_equal(h.sum, sums[n], SUM128_LEN);
	}
	assert_int_equal(truth_read(&t, 10, &rec, &h), -ENOENT);
	truth_done(&t);
}

static void a_flipped_bit_ends_a_single_log_and_is_not_forgotten(void **state)
{
	struct truth t;

	(void)state;
	append(0, 1, 9, true);
	/* record 1 is a block long and behind the header */
	assert_int_equal(simos_flip(sim, "/a/log/0000000000000001.log",
				    2 * LOG_BLOCK + 100, 3),
			 0);
	reopen();
	assert_int_equal(build(&t, 1), 0);
	assert_int_equal(t.last, 1);
	assert_int_equal(t.confirmed, 8);
	truth_done(&t);
}

static void damage_in_two_places_is_mended_from_each_other(void **state)
{
	uint64_t after, upto;
	struct truth t;

	(void)state;
	append(0, 1, 9, true);
	append(1, 1, 9, true);
	assert_int_equal(simos_flip(sim, "/a/log/0000000000000001.log",
				    2 * LOG_BLOCK + 100, 3),
			 0);
	assert_int_equal(simos_flip(sim, "/b/log/0000000000000001.log",
				    8 * LOG_BLOCK + 50, 1),
			 0);
	reopen();
	assert_int_equal(build(&t, 2), 0);
	assert_int_equal(t.last, 9);
	assert_int_equal(truth_whole(&t, logs[0], 9, &after, &upto), 0);
	assert_int_equal(upto, 1);
	assert_int_equal(truth_whole(&t, logs[1], 9, &after, &upto), 0);
	assert_true(upto > 1 && upto < 9);
	truth_done(&t);
}

static void two_stories_are_refused(void **state)
{
	uint8_t keep[SUM128_LEN];
	struct truth t;

	(void)state;
	append(0, 1, 4, true);
	append(1, 1, 3, true);
	/* another record 4 */
	memcpy(keep, sums[4], SUM128_LEN);
	AUTOBUF struct buf rec = BUF_INIT;
	make(&rec, 4, 11);
	assert_memory_not_equal(keep, sums[4], SUM128_LEN);
	assert_int_equal(log_append(logs[1], &rec), 0);
	assert_int_equal(log_sync(logs[1]), 0);
	reopen();
	assert_int_equal(build(&t, 2), -EUCLEAN);
	truth_done(&t);
}

/* The first blocks of a log file, as they lie there. */
static void rewrite_head(const char *path, uint32_t version, int class)
{
	const struct dynfs_os *os = simos_os(sim);
	AUTOBUF struct buf sets = BUF_INIT;
	char *names[] = { (char[]){ "tea-1" }, NULL };
	struct features f = { .compat = class == 0 ? names : NULL,
			      .ro_compat = class == 1 ? names : NULL,
			      .incompat = class == 2 ? names : NULL };
	uint8_t p[LOG_BLOCK] = { 0 };
	struct iovec v = { p, sizeof(p) };
	int fd = os->open(os, path, DYNFS_OS_RDWR, 0);

	assert_true(fd >= 0);
	assert_int_equal(os->preadv(os, fd, &v, 1, 0), sizeof(p));
	features_put(&sets, &f);
	assert_int_equal(buf_error(&sets), 0);
	put_le32(p + 8, version);
	put_le32(p + 12, 88 + (uint32_t)sets.len);
	memcpy(p + 88, sets.data, sets.len);
	memset(p + 72, 0, SUM128_LEN);
	sum128(p, 88 + sets.len, p + 72);
	assert_int_equal(os->pwritev(os, fd, &v, 1, 0), sizeof(p));
	assert_int_equal(os->sync(os, fd), 0);
	assert_int_equal(os->close(os, fd), 0);
}

static int rescan(int i)
{
	log_disk_free(logs[i]);
	assert_int_equal(
	    log_disk_new(simos_os(sim), &disks[i], &pool, &logs[i]), 0);
	return log_scan(logs[i]);
}

static void unknown_features_of_a_log_decide_by_their_class(void **state)
{
	static const char path[] = "/a/log/0000000000000001.log";

	(void)state;
	append(0, 1, 4, true);
	append(0, 5, 9, true);
	rewrite_head(path, 1, 0);
	assert_int_equal(rescan(0), 0);
	assert_int_equal(logs[0]->n_refs, 9);
	/* read all the same, what comes after it too */
	rewrite_head(path, 1, 1);
	assert_int_equal(rescan(0), -EROFS);
	assert_non_null(strstr(fail_text(-EROFS), "'tea-1'"));
	assert_int_equal(logs[0]->n_files, 2);
	assert_int_equal(logs[0]->n_refs, 9);
	rewrite_head(path, 1, 2);
	assert_int_equal(rescan(0), -EOPNOTSUPP);
	assert_non_null(strstr(fail_text(-EOPNOTSUPP), "'tea-1'"));
	assert_non_null(strstr(fail_text(-EOPNOTSUPP), "/a/log"));
	rewrite_head(path, 7, 0);
	assert_int_equal(rescan(0), -EOPNOTSUPP);
	assert_non_null(strstr(fail_text(-EOPNOTSUPP), "version 7"));
}

static void a_file_of_another_history_hides_no_records(void **state)
{
	static const uint8_t other[SUM128_LEN] = { 1, 2, 3 };
	struct truth t;

	(void)state;
	append(0, 1, 9, true);
	assert_int_equal(log_begin(logs[0], 4, other, 1, NULL, NULL), 0);
	reopen();
	assert_int_equal(logs[0]->n_files, 2);
	assert_int_equal(logs[0]->confirmed, 8);
	assert_int_equal(build(&t, 1), 0);
	assert_int_equal(t.last, 9);
	truth_done(&t);
}

static void the_next_file_cuts_the_one_before(void **state)
{
	struct truth t;

	(void)state;
	append(0, 1, 9, true);
	/* as a crash leaves it before the older file is cut */
	assert_int_equal(log_begin(logs[0], 4, sums[3], 1, NULL, NULL), 0);
	reopen();
	assert_int_equal(logs[0]->confirmed, 2);
	assert_int_equal(build(&t, 1), 0);
	assert_int_equal(t.last, 3);
	truth_done(&t);
	/* also when the record that it follows on is damaged there */
	assert_int_equal(simos_flip(sim, "/a/log/0000000000000001.log",
				    3 * LOG_BLOCK + 100, 3),
			 0);
	reopen();
	for (size_t i = 0; i < logs[0]->n_refs; i++)
		assert_true(logs[0]->refs[i].head.number < 4);
}

static void mending_cuts_behind_the_end_and_removes_strangers(void **state)
{
	const struct dynfs_os *os = simos_os(sim);
	uint64_t after, upto;
	struct truth t;
	int fd;

	(void)state;
	append(0, 1, 4, true);
	append(0, 5, 9, true);
	fd = os->open(os, "/a/log/0000000000000003.log",
		      DYNFS_OS_RDWR | DYNFS_OS_CREATE, 0600);
	assert_true(fd >= 0);
	assert_int_equal(os->close(os, fd), 0);
	assert_int_equal(os->syncdir(os, "/a/log"), 0);
	reopen();
	assert_int_equal(build(&t, 1), 0);
	assert_int_equal(truth_whole(&t, logs[0], 6, &after, &upto), 0);
	assert_int_equal(upto, 6);
	assert_int_equal(log_begin(logs[0], 7, truth_sum(&t, 6), 2, NULL, NULL),
			 0);
	assert_int_equal(log_mend(logs[0], after, upto), 0);
	truth_done(&t);
	append(0, 7, 8, false);
	reopen();
	assert_int_equal(logs[0]->n_files, 3);
	assert_int_equal(build(&t, 1), 0);
	assert_int_equal(t.last, 8);
	assert_int_equal(os->open(os, "/a/log/0000000000000003.log", 0, 0),
			 -ENOENT);
	truth_done(&t);
}

static void a_power_cut_while_appending_leaves_a_prefix(void **state)
{
	struct truth t;

	(void)state;
	for (uint64_t seed = 1; seed < 40; seed++) {
		AUTOBUF struct buf rec = BUF_INIT;
		uint64_t synced = 0;

		simos_heal(sim);
		assert_int_equal(log_wipe(logs[0]), 0);
		append(0, 1, 3, true);
		simos_crash_at(sim, 1 + seed % 13);
		for (uint64_t n = 4; n < 10; n++) {
			make(&rec, n, 5000);
			if (log_append(logs[0], &rec) || log_sync(logs[0]))
				break;
			synced = n;
		}
		simos_crash(sim, SIMOS_COIN, seed);
		log_disk_free(logs[0]);
		assert_int_equal(
		    log_disk_new(simos_os(sim), &disks[0], &pool, &logs[0]), 0);
		assert_int_equal(log_scan(logs[0]), 0);
		assert_int_equal(build(&t, 1), 0);
		assert_true(t.last >= synced && t.last >= 3);
		assert_memory_equal(truth_sum(&t, t.last), sums[t.last],
				    SUM128_LEN);
		truth_done(&t);
	}
}

static void a_log_is_trimmed_by_whole_files(void **state)
{
	(void)state;
	append(0, 1, 4, true);
	append(0, 5, 6, true);
	append(0, 7, 9, true);
	assert_int_equal(log_trim(logs[0], 5), 0);
	assert_int_equal(logs[0]->n_files, 2);
	assert_int_equal(log_trim(logs[0], 6), 0);
	assert_int_equal(logs[0]->n_files, 1);
	assert_int_equal(logs[0]->files[0].first, 7);
	/* the newest stays though it be covered */
	assert_int_equal(log_trim(logs[0], 9), 0);
	assert_int_equal(logs[0]->n_files, 1);
	append(0, 10, 10, false);
	assert_int_equal(log_trim_last(logs[0]), 0);
	reopen();
	assert_int_equal(logs[0]->n_files, 0);
}

static void a_full_disk_gives_up_its_ballast_for_the_log(void **state)
{
	const struct dynfs_os *os = simos_os(sim);
	AUTOBUF struct buf rec = BUF_INIT;
	int fd, r = 0;

	(void)state;
	append(0, 1, 1, true);
	fd = os->open(os, "/a/ballast", DYNFS_OS_RDWR | DYNFS_OS_CREATE, 0600);
	assert_true(fd >= 0);
	assert_int_equal(os->allocate(os, fd, DYNFS_OS_ALLOC, 0, 1u << 20), 0);
	assert_int_equal(os->close(os, fd), 0);
	assert_int_equal(simos_limit(sim, "/a", simos_used(sim, "/a")), 0);
	/* more than what was preallocated */
	make(&rec, 2, 1u << 20);
	for (int i = 0; i < 5 && !r; i++)
		r = log_append(logs[0], &rec);
	assert_int_equal(os->open(os, "/a/ballast", 0, 0), -ENOENT);
}

static uint64_t rng;

static uint64_t dice(uint64_t n)
{
	uint64_t x = rnd(&rng);

	return n ? x % n : 0;
}

static void mutated_records_and_manifests_are_never_believed(void **state)
{
	const char *given = getenv("DYNFS_SEED");
	struct ckpt c = { .number = 7, .engine = (char[]){ "mem" } }, out;
	struct ckpt_file f = { .name = (char[]){ "map" }, .size = 9 };
	AUTOBUF struct buf rec = BUF_INIT;
	AUTOBUF struct buf man = BUF_INIT;
	struct log_head h;

	(void)state;
	rng = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
	print_message("DYNFS_SEED=%" PRIu64 "\n", rng);
	make(&rec, 1, 300);
	c.files = &f;
	c.n_files = 1;
	assert_int_equal(manifest_encode(&c, &pool, &man), 0);
	assert_int_equal(manifest_decode(man.data, man.len, &pool, &out), 0);
	assert_int_equal(out.number, 7);
	assert_string_equal(out.files[0].name, "map");
	ckpt_done(&out);
	for (int i = 0; i < 20000; i++) {
		struct buf *b = i % 2 ? &rec : &man;
		size_t len = dice(4) ? b->len : dice(b->len);
		uint8_t *exact = (uint8_t *)malloc(len + 1);
		uint64_t at = dice(len ? len : 1);
		bool same = true;

		assert_non_null(exact);
		memcpy(exact, b->data, len);
		if (len)
			exact[at] = (uint8_t)dice(256);
		/* what is padded is not summed */
		same = len == b->len && (exact[at] == b->data[at] ||
					 (i % 2 && at >= LOG_HEAD + 300));
		if (i % 2 && !log_unseal(exact, len, &h))
			assert_true(same || len > LOG_HEAD + 300);
		if (!(i % 2) && !manifest_decode(exact, len, &pool, &out)) {
			assert_true(same);
			ckpt_done(&out);
		}
		free(exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_appended_is_found,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
		    a_flipped_bit_ends_a_single_log_and_is_not_forgotten, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(
		    damage_in_two_places_is_mended_from_each_other, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(two_stories_are_refused, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
		    unknown_features_of_a_log_decide_by_their_class, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(
		    a_file_of_another_history_hides_no_records, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(
		    the_next_file_cuts_the_one_before, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    mending_cuts_behind_the_end_and_removes_strangers, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(
		    a_power_cut_while_appending_leaves_a_prefix, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(a_log_is_trimmed_by_whole_files,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
		    a_full_disk_gives_up_its_ballast_for_the_log, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(
		    mutated_records_and_manifests_are_never_believed, setup,
		    teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
