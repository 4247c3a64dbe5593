/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Large buffers straight from the system, page-aligned and zero, given back
 * to it when freed.  On the heap they would leave holes between small objects
 * that live longer, and a process that keeps its largest size for ever.
 */
#ifndef BASE_PAGES_H
#define BASE_PAGES_H

#include <stddef.h>

/* NULL: no memory.  Cheap until touched. */
void *pages_new(size_t bytes);
void pages_free(void *p, size_t bytes); /* NULL is fine */

#endif
