/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that fight over the same few names. */
#ifndef TESTS_TREE_CROWD_H
#define TESTS_TREE_CROWD_H

#include <dynfs/frontend.h>

/*
 * n threads do n_steps each below the root: make, remove, link, rename across
 * directories, list, open and read.  All references are given back.  Any
 * answer but those of a race fails the test.
 */
void crowd_run(const struct dynfs_fs_view *fs, unsigned n_threads,
	       unsigned n_steps, uint64_t seed);

#endif
