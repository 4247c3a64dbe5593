/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the segment store share: one on a simulated disk. */
#ifndef TESTS_STORES_SEGRIG_H
#define TESTS_STORES_SEGRIG_H

#include "rig.h"

#define STORE "/disk/store"

extern uint64_t seed; /* of the run; main() sets it */

/* cmocka's; the state is a rig whose store is made and open */
int setup(void **state);
int teardown(void **state);

/* Segments by the names of their files, and one of them. */
struct names {
	uint32_t n_open, n_seg;
	char last[64];
};

struct names names(struct rig *r);

void sync_all(struct rig *r);
/* n fragments, numbered from first on. */
void write_all(struct rig *r, struct frag *f, uint32_t n, uint64_t first,
	       uint32_t payload);
void power_cut(struct rig *r, enum simos_survival how);

#endif
