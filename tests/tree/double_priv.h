/* SPDX-License-Identifier: Apache-2.0 */
/* Between the halves of the double. */
#ifndef TESTS_TREE_DOUBLE_PRIV_H
#define TESTS_TREE_DOUBLE_PRIV_H

#include "double.h"

/* Commit every record that is newer in memory. */
void double_files_flush(struct files *f);

#endif
