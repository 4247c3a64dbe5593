/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints as files, on simulated disks. */
#include <base/cleanup.h>
#include <meta/checkpoint.h>
#include <meta/files.h>

#include "simos.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FILES 3u

static const struct uuid pool = { "the pool of test" };

static char *const paths[] = { "/a", "/b" };

static void put_file(const struct dynfs_os *os, struct ckpt_file *f, unsigned n)
{
	uint8_t bytes[5000];
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "/a/checkpoint/%016x/%s", 7,
		       f->name);
	memset(bytes, (int)n, sizeof(bytes));
	fd = os->open(os, path, DYNFS_OS_RDWR | DYNFS_OS_CREATE, 0600);
	assert_true(fd >= 0);
	assert_int_equal(meta_file_write(os, fd, bytes, sizeof(bytes), 0), 0);
	assert_int_equal(os->sync(os, fd), 0);
	assert_int_equal(os->close(os, fd), 0);
	assert_int_equal(file_sum(os, path, &f->size, f->sum), 0);
}

/* Number 7, on disk /a. */
static void make(const struct dynfs_os *os, struct disk *k, struct ckpt *c)
{
	*c = (struct ckpt){ .disk = k, .number = 7, .n_files = FILES };
	c->path = ckpt_path(k, 7);
	c->engine = strdup("mem");
	c->files = (struct ckpt_file *)calloc(FILES, sizeof(*c->files));
	assert_true(c->path && c->engine && c->files);
	assert_int_equal(dir_make(os, "/a/checkpoint"), 0);
	assert_int_equal(dir_make(os, c->path), 0);
	for (unsigned i = 0; i < FILES; i++) {
		char name[8];

		(void)snprintf(name, sizeof(name), "f%u", i);
		c->files[i].name = strdup(name);
		assert_non_null(c->files[i].name);
		put_file(os, &c->files[i], i);
	}
	assert_int_equal(os->syncdir(os, c->path), 0);
	assert_int_equal(ckpt_seal(os, c, NULL, &pool), 0);
}

static bool is_there(const struct dynfs_os *os, struct disk *k,
		     const struct ckpt *c)
{
	struct ckpt got;
	int r = ckpt_get(os, k, c->number, c->chain, &pool, &got);

	if (!r)
		ckpt_done(&got);
	return !r;
}

static void what_counts_after_a_kill_counts_after_a_power_cut(void **state)
{
	unsigned n_there = 0;
	bool end = false;

	(void)state;
	for (uint64_t nth = 1; !end; nth++) {
		struct simos *sim = simos_new(nth);
		const struct dynfs_os *os = simos_os(sim);
		struct disk k[2] = { { .path = paths[0] },
				     { .path = paths[1] } };
		struct ckpt c;

		assert_int_equal(simos_limit(sim, "/a", 0), 0);
		assert_int_equal(simos_limit(sim, "/b", 0), 0);
		make(os, &k[0], &c);
		simos_crash_at(sim, nth);
		(void)ckpt_mirror(os, &c, &k[1], NULL, &pool);
		end = !simos_is_down(sim);
		simos_restart(sim, SIMOS_CACHED, 0);
		assert_int_equal(ckpt_settle(os, &k[1]), 0);
		if (is_there(os, &k[1], &c)) {
			n_there++;
			simos_crash(sim, SIMOS_LOSE, 0);
			assert_true(is_there(os, &k[1], &c));
		}
		ckpt_done(&c);
		simos_free(sim);
	}
	/* also before the call that makes the last name durable */
	assert_true(n_there > 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    what_counts_after_a_kill_counts_after_a_power_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
