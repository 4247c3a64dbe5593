/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole pool of 4+2 on six simulated disks.  What fails that should not
 * fails the test.
 */
#ifndef TESTS_SIM_SIMPOOL_H
#define TESTS_SIM_SIMPOOL_H

#include "simos.h"

#include <pool/pool.h>

#define SIMPOOL_DISKS 6u

struct simpool {
	struct simos *sim;
	struct dynfs_os os; /* lent; a test may replace a function */
	struct reg *reg;    /* borrowed */
	struct conf *conf;
	uint32_t cut_rows; /* for struct pool_how */
	struct pool *pool; /* NULL: not open */
	const struct dynfs_fs_view *fs;
};

/* "/dN", from 0 on */
const char *simpool_disk(unsigned i);
/*
 * Disks of 1 GiB, of which the pool may use as much as limit says ("16M";
 * NULL: all), and a config with these settings ("KEY=VALUE") on top; nothing
 * is on the disks yet.
 */
void simpool_new(struct simpool *p, struct reg *reg, uint64_t seed,
		 const char *limit, const char *const *settings,
		 unsigned n_settings);
void simpool_free(struct simpool *p);
/* 0 or what pool_create() and pool_open() say. */
int simpool_create(struct simpool *p);
int simpool_open(struct simpool *p);

#endif
