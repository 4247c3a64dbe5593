/* SPDX-License-Identifier: Apache-2.0 */
#include <base/cond.h>

#include <time.h>

#define NS_PER_S 1000000000u

int cond_wait_ns(pthread_cond_t *c, pthread_mutex_t *held, uint64_t ns)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_MONOTONIC, &until); /* cannot fail */
	ns += (uint64_t)until.tv_nsec;
	until.tv_sec += (time_t)(ns / NS_PER_S);
	until.tv_nsec = (long)(ns % NS_PER_S);
	return -pthread_cond_clockwait(c, held, CLOCK_MONOTONIC, &until);
}
