/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for locks, in children; see lock_wait.c.
 */
#ifndef POSIX_LOCK_H
#define POSIX_LOCK_H

#include "posix.h"

enum wait_for { WAIT_FLOCK, WAIT_POSIX, WAIT_OFD, N_WAITS };
extern const char *const wait_names[N_WAITS];

/* The errno that the waiter was given, 0, or a number above 200: it hung. */
long wait_interrupted(enum wait_for kind);
long wait_granted(enum wait_for kind);
long wait_killed(enum wait_for kind);
long wait_holder_dies(enum wait_for kind);
long wait_deadlock(void);

#endif
