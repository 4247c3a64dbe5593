/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mem engine on a simulated disk: a power cut, a failing call and a full
 * disk at every place of flush() and checkpoint().  RocksDB makes its own
 * system calls, so it can not be here.
 */
#include "model.h"

#include <errno.h>
#include <setjmp.h>
#include <simos.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define KEYS   200
#define MEMORY (16u << 20)
#define FIRST  60
#define SECOND 90
#define HOME   "/disk/engine"
#define COPY   "/disk/copy"

struct power {
	struct simos *os;
	struct engine *e;
	struct model *m;
	uint64_t seed;
};

/* FIRST batches flushed, SECOND in memory. */
static struct power power_up(uint64_t seed)
{
	struct power p = { .seed = seed };
	uint64_t applied;

	p.os = simos_new(seed);
	assert_non_null(p.os);
	assert_int_equal(simos_limit(p.os, "/disk", 0), 0);
	p.e = engine_new("mem", simos_os(p.os));
	p.m = model_new(seed, KEYS);
	assert_int_equal(
	    engine_open(p.e, HOME, DYNFS_META_OPEN_CREATE, MEMORY, &applied),
	    0);
	while (p.m->applied < FIRST)
		model_step(p.m, p.e);
	assert_int_equal(p.e->ops->flush(p.e->self), 0);
	while (p.m->applied < SECOND)
		model_step(p.m, p.e);
	return p;
}

static void power_down(struct power *p)
{
	engine_free(p->e);
	assert_int_equal(simos_handles(p->os), 0);
	model_free(p->m);
	simos_free(p->os);
}

/* The number of the state at path, which must be that after a batch. */
static int power_state(struct power *p, const char *path, uint64_t *ret_number)
{
	struct engine *e = engine_new("mem", simos_os(p->os));
	int err = engine_open(e, path, 0, MEMORY, ret_number);

	if (!err) {
		struct model *m = model_at(p->seed, KEYS, *ret_number);

		assert_int_equal(model_compare(m, e), 0);
		model_free(m);
	}
	engine_free(e);
	return err;
}

static void power_restart(struct power *p, uint64_t salt)
{
	engine_close(p->e);
	simos_restart(p->os, SIMOS_COIN, p->seed + salt);
}

static void a_power_cut_in_a_flush_leaves_the_old_or_the_new_state(void **state)
{
	uint64_t seed = random_seed(), number = 0, old = 0, cuts = 0;

	(void)state;
	for (uint64_t nth = 1;; ++nth) {
		struct power p = power_up(seed);
		int err, down;

		simos_crash_at(p.os, nth);
		err = p.e->ops->flush(p.e->self);
		down = simos_is_down(p.os);
		simos_crash_at(p.os, 0);
		power_restart(&p, nth);
		assert_int_equal(power_state(&p, HOME, &number), 0);
		assert_true(number == SECOND || (err && number == FIRST));
		old += number == FIRST;
		cuts += down != 0;
		power_down(&p);
		if (!down)
			break;
	}
	assert_true(cuts >= 5); /* open, two writes, sync, rename, syncdir */
	assert_true(old >= 3);
}

static void a_power_cut_in_a_checkpoint_hurts_nothing_else(void **state)
{
	uint64_t seed = random_seed(), number = 0, cuts = 0;

	(void)state;
	for (uint64_t nth = 1;; ++nth) {
		struct power p = power_up(seed);
		int err, down;

		simos_crash_at(p.os, nth);
		err = p.e->ops->checkpoint(p.e->self, COPY, &number);
		down = simos_is_down(p.os);
		simos_crash_at(p.os, 0);
		power_restart(&p, nth);
		assert_int_equal(power_state(&p, HOME, &number), 0);
		assert_int_equal(number, FIRST);
		if (!err) {
			assert_int_equal(power_state(&p, COPY, &number), 0);
			assert_int_equal(number, SECOND);
		} else {
			int left = power_state(&p, COPY, &number);

			assert_true(left == -ENOENT || left == -EUCLEAN ||
				    (!left && number == SECOND));
		}
		cuts += down != 0;
		power_down(&p);
		if (!down)
			break;
	}
	assert_true(cuts >= 5);
}

static int call_flush(struct power *p)
{
	return p->e->ops->flush(p->e->self);
}

static int call_checkpoint(struct power *p)
{
	uint64_t number = 0;

	return p->e->ops->checkpoint(p->e->self, COPY, &number);
}

/* The nth changing call fails once; then the operation works. */
static uint64_t fail_each(int (*call)(struct power *p), const char *path,
			  int error, uint64_t seed)
{
	uint64_t failed = 0, number = 0;

	for (uint64_t nth = 1;; ++nth) {
		struct power p = power_up(seed);
		struct simos_fault fault = { .call = SIMOS_MUTATING,
					     .nth = nth,
					     .times = 1,
					     .err = error };
		int err;

		assert_int_equal(simos_inject(p.os, &fault), 0);
		err = call(&p);
		simos_heal(p.os);
		if (err) {
			++failed;
			assert_int_equal(err, error);
			assert_int_equal(power_state(&p, HOME, &number), 0);
			assert_int_equal(call(&p), 0);
		}
		assert_int_equal(model_compare(p.m, p.e), 0);
		assert_int_equal(power_state(&p, path, &number), 0);
		assert_int_equal(number, SECOND);
		power_down(&p);
		if (!err && nth > 20)
			return failed;
	}
}

static void after_a_failed_call_the_same_again_succeeds(void **state)
{
	uint64_t seed = random_seed();

	(void)state;
	assert_true(fail_each(call_flush, HOME, -EIO, seed) >= 5);
	assert_true(fail_each(call_flush, HOME, -ENOSPC, seed) >= 5);
	assert_true(fail_each(call_checkpoint, COPY, -EIO, seed) >= 5);
}

static void a_full_disk_keeps_the_old_state(void **state)
{
	struct power p = power_up(random_seed());
	uint64_t number = 0;

	(void)state;
	assert_int_equal(
	    simos_limit(p.os, "/disk", simos_used(p.os, HOME) + 512), 0);
	assert_int_equal(call_flush(&p), -ENOSPC);
	assert_int_equal(call_checkpoint(&p), -ENOSPC);
	assert_int_equal(model_compare(p.m, p.e), 0);
	assert_int_equal(power_state(&p, HOME, &number), 0);
	assert_int_equal(number, FIRST);
	assert_int_equal(simos_limit(p.os, "/disk", 0), 0);
	assert_int_equal(call_flush(&p), 0);
	assert_int_equal(power_state(&p, HOME, &number), 0);
	assert_int_equal(number, SECOND);
	power_down(&p);
}

static void short_reads_and_writes_are_gone_on_with(void **state)
{
	struct power p = power_up(random_seed());
	struct simos_fault put = { .call = SIMOS_PWRITEV,
				   .nth = 1,
				   .short_bytes = 100 };
	struct simos_fault take = { .call = SIMOS_PREADV,
				    .nth = 1,
				    .short_bytes = 7 };
	uint64_t number = 0;

	(void)state;
	assert_int_equal(simos_inject(p.os, &put), 0);
	assert_int_equal(simos_inject(p.os, &take), 0);
	assert_int_equal(call_flush(&p), 0);
	assert_int_equal(power_state(&p, HOME, &number), 0);
	assert_int_equal(number, SECOND);
	power_down(&p);
}

static void every_flipped_byte_is_damage(void **state)
{
	struct power p = power_up(random_seed());
	struct dynfs_os_stat st = { 0 };
	const struct dynfs_os *os = simos_os(p.os);
	uint64_t number;

	(void)state;
	assert_int_equal(os->stat(os, HOME "/map", &st), 0);
	assert_true(st.size_bytes > 500);
	for (uint64_t at = 0; at < st.size_bytes; at += at < 200 ? 1 : 13) {
		unsigned bit = (unsigned)(at % 8);

		assert_int_equal(simos_flip(p.os, HOME "/map", at, bit), 0);
		assert_int_equal(power_state(&p, HOME, &number), -EUCLEAN);
		assert_int_equal(simos_flip(p.os, HOME "/map", at, bit), 0);
	}
	assert_int_equal(power_state(&p, HOME, &number), 0);
	power_down(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_power_cut_in_a_flush_leaves_the_old_or_the_new_state),
		cmocka_unit_test(
		    a_power_cut_in_a_checkpoint_hurts_nothing_else),
		cmocka_unit_test(after_a_failed_call_the_same_again_succeeds),
		cmocka_unit_test(a_full_disk_keeps_the_old_state),
		cmocka_unit_test(short_reads_and_writes_are_gone_on_with),
		cmocka_unit_test(every_flipped_byte_is_damage),
	};

	return cmocka_run_group_tests_name("mem on a simulated disk", tests,
					   NULL, NULL);
}
