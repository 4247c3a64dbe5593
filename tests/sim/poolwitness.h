/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that testify for themselves: each word names its file and the pass
 * that wrote it.  Threads read them while another overwrites them, and while
 * what was overwritten is freed; after a cut they tell whether each word is
 * as new as it has to be.
 */
#ifndef TESTS_SIM_POOLWITNESS_H
#define TESTS_SIM_POOLWITNESS_H

#include "poolworld.h"

/* Made and durable. */
void witness_new(struct world *w);
void witness_free(struct world *w);
/* Threads that write and read, until they are stopped. */
void witness_start(struct world *w);
void witness_stop(struct world *w);
/* Every word, after an open. */
void witness_check(struct world *w);
/* Everything so far is durable. */
void witness_synced(struct world *w);

#endif
