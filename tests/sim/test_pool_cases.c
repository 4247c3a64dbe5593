/* SPDX-License-Identifier: Apache-2.0 */
/* What the simulation found once, as cases that need no luck. */
#include "simpool.h"

#include "poolview.h"

#include <base/fail.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DISK_BYTES (UINT64_C(1) << 30)

struct case_pool {
	struct simpool p;
	struct reg *reg;
};

static void case_open(struct case_pool *c, const char *setting)
{
	assert_int_equal(reg_open(NULL, &c->reg), 0);
	simpool_new(&c->p, c->reg, 1, DISK_BYTES, &setting, setting != NULL);
	assert_int_equal(simpool_create(&c->p), 0);
	assert_int_equal(simpool_open(&c->p), 0);
}

static void case_close(struct case_pool *c)
{
	assert_int_equal(pool_close(c->p.pool), 0);
	simpool_free(&c->p);
	reg_close(c->reg);
}

static uint64_t new_file(struct case_pool *c, const char *name)
{
	static const struct dynfs_caller who = { .uid = 0 };
	struct dynfs_attr a;

	assert_int_equal(c->p.fs->create(c->p.fs->ctx, DYNFS_ROOT_INO, name,
					 0644, O_RDWR, &who, &a),
			 0);
	return a.ino;
}

/* The pool whose last disk turns suspect when the first is asked. */
static struct case_pool *suspecting;

static int space_and_suspect(const struct dynfs_os *os, const char *path,
			     struct dynfs_os_space *out)
{
	if (suspecting) {
		struct disks *d = pool_disks(suspecting->p.pool);

		suspecting = NULL;
		disk_suspect(disks_at(d, disks_count(d) - 1), "a test", -EIO);
	}
	return simos_os((struct simos *)os->ctx)->space(os, path, out);
}

static void
a_disk_that_fails_while_room_is_counted_does_not_fill_the_pool(void **state)
{
	struct case_pool c;
	uint64_t total = 0, left = 0;
	struct extents *x;

	(void)state;
	case_open(&c, NULL);
	x = pool_extents(c.p.pool);
	c.p.os.space = space_and_suspect;
	suspecting = &c;
	extents_capacity(x, extents_policy_default(x), &total, &left);
	assert_null(suspecting);
	assert_true(left > 0);
	assert_true(total >= left);
	case_close(&c);
}

/* Nothing was written since, so only the placement of a write can notice. */
static void a_disk_that_went_away_unnoticed_does_not_stop_writes(void **state)
{
	struct case_pool c;
	char data[100000];
	uint64_t ino;
	struct dynfs_statfs st;

	case_open(&c, (const char *)*state);
	memset(data, 'x', sizeof(data));
	ino = new_file(&c, "f");
	assert_int_equal(pool_sync(c.p.pool), 0);
	assert_int_equal(simos_vanish(c.p.sim, simpool_disk(5), -EIO), 0);
	assert_int_equal(c.p.fs->statfs(c.p.fs->ctx, &st), 0);
	assert_true(st.avail_bytes > 0);
	assert_int_equal(pv_write(c.p.fs, ino, 0, data, sizeof(data)), 0);
	assert_int_equal(pv_fsync(c.p.fs, ino, false), 0);
	c.p.fs->release(c.p.fs->ctx, ino, O_RDWR);
	c.p.fs->forget(c.p.fs->ctx, ino, 1);
	case_close(&c);
}

int main(void)
{
	static char segment[] = "store.plugin=segment",
		    dir[] = "store.plugin=dir";
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_disk_that_fails_while_room_is_counted_does_not_fill_the_pool),
		cmocka_unit_test_prestate(
		    a_disk_that_went_away_unnoticed_does_not_stop_writes,
		    segment),
		cmocka_unit_test_prestate(
		    a_disk_that_went_away_unnoticed_does_not_stop_writes, dir),
	};

	return cmocka_run_group_tests_name("pool: cases", tests, NULL, NULL);
}
