/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors that more than one has to hear of, each of them once.
 *
 * A sequence is the last error, whether anybody has heard of it, and how many
 * there were, in one word; a listener keeps the word as it was when it listened
 * last.  Of several since then it hears the last one.  Who begins to listen
 * after an error of which nobody has heard yet hears of it too, so that none is
 * lost because there was no listener.
 */
#ifndef BASE_ERRSEQ_H
#define BASE_ERRSEQ_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define ERRSEQ_ERRNO 0xfffu /* 0: there was none */
#define ERRSEQ_HEARD 0x1000u
#define ERRSEQ_ONE   0x2000u

typedef atomic_uint_fast64_t errseq; /* zeroed: nothing happened */

/* err: a negative errno. */
static inline void errseq_set(errseq *e, int err)
{
	uint_fast64_t was = atomic_load(e), now;

	do {
		now = (was & ~(uint_fast64_t)(ERRSEQ_ONE - 1)) + ERRSEQ_ONE +
		      ((uint_fast64_t)-err & ERRSEQ_ERRNO);
	} while (!atomic_compare_exchange_weak(e, &was, now));
}

/* Where a new listener stands: before an error that nobody has heard. */
static inline uint64_t errseq_begin(const errseq *e)
{
	uint_fast64_t now = atomic_load(e);

	return now & ERRSEQ_HEARD ? now : 0;
}

/* What is new since, or 0; ret_now is for errseq_heard(). */
static inline int errseq_look(const errseq *e, uint64_t since,
			      uint64_t *ret_now)
{
	uint_fast64_t now = atomic_load(e);

	*ret_now = now;
	/* whether others have heard of the same error makes no difference */
	if ((now | ERRSEQ_HEARD) == (since | ERRSEQ_HEARD))
		return 0;
	return -(int)(now & ERRSEQ_ERRNO);
}

/* The listener was told what errseq_look() gave; where it stands now. */
static inline uint64_t errseq_heard(errseq *e, uint64_t now)
{
	uint_fast64_t was = now;

	/* if another came meanwhile, that one was not heard */
	(void)atomic_compare_exchange_strong(e, &was, now | ERRSEQ_HEARD);
	return now | ERRSEQ_HEARD;
}

#endif
