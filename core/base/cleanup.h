/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resources that are released when their scope ends.
 *
 *	AUTOFREE char *name = strdup(...);
 *	AUTOLOCK(&m->lock);		until the end of the block
 *	return TAKE(name);		hands the pointer over
 */
#ifndef BASE_CLEANUP_H
#define BASE_CLEANUP_H

#include <pthread.h>
#include <stdlib.h>

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_unlock(pthread_mutex_t **m)
{
	if (*m)
		(void)pthread_mutex_unlock(*m);
}

static inline pthread_mutex_t *cleanup_lock(pthread_mutex_t *m)
{
	(void)pthread_mutex_lock(m);
	return m;
}

static inline void cleanup_rwunlock(pthread_rwlock_t **l)
{
	if (*l)
		(void)pthread_rwlock_unlock(*l);
}

static inline pthread_rwlock_t *cleanup_rdlock(pthread_rwlock_t *l)
{
	(void)pthread_rwlock_rdlock(l);
	return l;
}

static inline pthread_rwlock_t *cleanup_wrlock(pthread_rwlock_t *l)
{
	(void)pthread_rwlock_wrlock(l);
	return l;
}

#define CLEANUP_CAT2(a, b) a##b
#define CLEANUP_CAT(a, b)  CLEANUP_CAT2(a, b)
#define CLEANUP_NAME       CLEANUP_CAT(cleanup_at_, __LINE__)

#define CLEANUP(fn) __attribute__((cleanup(fn)))
#define AUTOFREE    CLEANUP(cleanup_free)
#define AUTOLOCK(m)                                                            \
	pthread_mutex_t *CLEANUP_NAME                                          \
	    __attribute__((cleanup(cleanup_unlock), unused)) = cleanup_lock(m)
#define AUTORDLOCK(l)                                                          \
	pthread_rwlock_t *CLEANUP_NAME                                         \
	    __attribute__((cleanup(cleanup_rwunlock), unused)) =               \
		cleanup_rdlock(l)
#define AUTOWRLOCK(l)                                                          \
	pthread_rwlock_t *CLEANUP_NAME                                         \
	    __attribute__((cleanup(cleanup_rwunlock), unused)) =               \
		cleanup_wrlock(l)

#define TAKE(p)                                                                \
	({                                                                     \
		__typeof__(p) taken_ = (p);                                    \
		(p) = NULL;                                                    \
		taken_;                                                        \
	})

#endif
