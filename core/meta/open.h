/* SPDX-License-Identifier: Apache-2.0 */
/* The two ways to open; see meta_open(). */
#ifndef META_OPEN_H
#define META_OPEN_H

#include <meta/internal.h>

int open_existing(struct meta *m);
int open_fresh(struct meta *m);

#endif
