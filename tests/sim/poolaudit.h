/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the metadata of an open pool agrees with itself and with what lies
 * on the disks.  Nobody may be using the pool.
 */
#ifndef TESTS_SIM_POOLAUDIT_H
#define TESTS_SIM_POOLAUDIT_H

#include "poolworld.h"

/*
 * After what is to be done in the background is done: inodes, names and usage
 * agree; each slice has its extent and reference and the other way round;
 * live bytes, fragments by disk and the repair queue are as the extents say;
 * and each fragment that should be good, and is on a disk that nothing ever
 * happens to, is.
 */
void audit(struct world *w);
/*
 * Files of which a worker takes away slices in steps, and has done some and
 * not all.  Somebody may be using the pool.
 */
uint64_t drains_under_way(struct world *w);
/* Of a pool in which nothing is left: nothing is left. */
void audit_empty(struct world *w);

#endif
