/* SPDX-License-Identifier: Apache-2.0 */
/* What an actor does: operations on the pool and on its model. */
#ifndef TESTS_SIM_POOLOPS_H
#define TESTS_SIM_POOLOPS_H

#include "poolworld.h"

#define ANY_TYPE 0u

/* A random one. */
void actor_step(struct actor *a);
/* Lets go of what it has open. */
void actor_release(struct actor *a);

/* ---- shared by poolops.c (names), poolbytes.c (content), poolranges.c --- */

/* Is it an answer?  Not when the power is gone; else an error fails. */
bool answered(struct actor *a, int r, const char *what);
/* No room on small disks: it did not happen. */
bool refused(struct actor *a, int r);
/* A node of a type that has a name, or that is open, by chance; 0: none. */
uint32_t some_node(struct actor *a, uint32_t type);
uint64_t ino_of(const struct actor *a, uint32_t node);

void do_write(struct actor *a);
void do_save(struct actor *a); /* open with O_TRUNC, write, close */
void do_shred(struct actor *a);
void do_truncate(struct actor *a);
void do_fsync(struct actor *a);
void do_read(struct actor *a);
void do_hold(struct actor *a);
void do_allocate(struct actor *a);
void do_cut_far(struct actor *a);
void do_copy(struct actor *a);
void do_punch(struct actor *a);
void do_seek(struct actor *a);
void do_let_go(struct actor *a);

#endif
