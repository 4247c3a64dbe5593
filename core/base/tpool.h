/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that run work.  First come, first served; a worker may wait only
 * for what no other work of the same pool has to finish, or for work that
 * was queued before its own.
 */
#ifndef BASE_TPOOL_H
#define BASE_TPOOL_H

#include <base/list.h>

struct tpool;

/* Embedded in the caller's object; its alone once run() was entered. */
struct work {
	struct list link;
	void (*run)(struct work *w);
};

/* name: at most 15 bytes, shown by ps. */
int tpool_new(const char *name, unsigned n_threads, struct tpool **ret);
/* Runs what is queued, then ends the threads.  NULL is fine. */
void tpool_free(struct tpool *p);
void tpool_add(struct tpool *p, struct work *w);
/* Many at the price of one wake-up. */
void tpool_add_list(struct tpool *p, struct list *works);
/*
 * Take back what no worker has begun: true, and it is the caller's again.
 * False when it runs or ran: w must still be there to ask.
 */
bool tpool_take(struct tpool *p, struct work *w);
/* Wait until nothing is queued or running. */
void tpool_drain(struct tpool *p);

#endif
