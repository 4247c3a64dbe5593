/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is the name space that the records say whole?  Works on any struct meta,
 * double or real, at rest.
 */
#ifndef TESTS_TREE_CHECK_H
#define TESTS_TREE_CHECK_H

#include <meta/meta.h>

/*
 * Fails the test unless: every entry has its parent key and the other way
 * round; links are as many as names (directories: one name, two links and one
 * for each directory below); every directory leads to the root; chains have
 * no gaps, dead entries only below living ones; inodes without a name have an
 * intent; usage counters are the sum of the inodes.
 */
void check_names(struct meta *m);

#endif
