/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for a condition, but not for ever. */
#ifndef BASE_COND_H
#define BASE_COND_H

#include <pthread.h>
#include <stdint.h>

/*
 * Like pthread_cond_wait(), for at most ns nanoseconds of the monotonic clock
 * whatever clock the condition was made with.  0: woken, perhaps for nothing.
 * -ETIMEDOUT: the time has passed.
 */
int cond_wait_ns(pthread_cond_t *c, pthread_mutex_t *held, uint64_t ns);

#endif
