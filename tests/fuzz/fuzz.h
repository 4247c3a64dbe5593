/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each fuzz target is: one file fuzz_NAME.c that defines the three things
 * below.  It is linked twice: with libFuzzer, and with a replay program that
 * any compiler builds and ctest runs.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define FUZZ_LEN_MAX (256u << 10)

typedef void fuzz_put(void *ctx, const char *name, const void *data,
		      size_t len);

/*
 * Give hostile bytes, which lie in memory of just that size, to the parser;
 * abort when it breaks a promise.  Leaves nothing behind.
 */
void fuzz_run(const uint8_t *data, size_t len);
/* Good inputs, made by the real encoders, each with a name of its own. */
void fuzz_seeds(fuzz_put *put, void *ctx);

/* A promise, also where assert() says nothing. */
#define FUZZ_MUST(cond)                                                        \
	do {                                                                   \
		if (!(cond)) {                                                 \
			(void)fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, \
				      __LINE__, #cond);                        \
			abort();                                               \
		}                                                              \
	} while (0)

/* malloc() that does not fail. */
static inline void *fuzz_alloc(size_t len)
{
	void *p = malloc(len ? len : 1);

	FUZZ_MUST(p);
	return p;
}

#endif
