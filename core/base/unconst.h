/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dropping const, in the open.
 *
 * Some structures hold a pointer that is not const for one of their users and
 * are only read by the other: an iovec to write from, a shard to encode.  A
 * cast would say so too quietly (-Wcast-qual refuses it), and a detour over
 * an integer hides from the compiler where the pointer came from.  The caller
 * vouches that nobody writes through it, or that the thing is its own.
 */
#ifndef BASE_UNCONST_H
#define BASE_UNCONST_H

static inline void *unconst(const void *p)
{
	union {
		const void *in;
		void *out;
	} u = { .in = p };

	return u.out;
}

#endif
