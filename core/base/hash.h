/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hashes of the core's own structures.
 *
 * siphash: SipHash-2-4 (Aumasson and Bernstein, 2012), keyed, for names that
 * a user chooses: without the key nobody can aim for collisions.
 * sum128: XXH3-128, for labels, log records and manifests: it finds damage.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SUM128_LEN 16

uint64_t siphash(const uint8_t key[16], const void *data, size_t len);

/* 16 bytes in canonical (big-endian) order, the same on every machine. */
void sum128(const void *data, size_t len, uint8_t out[SUM128_LEN]);

static inline bool sum_equal(const void *a, const void *b)
{
	return memcmp(a, b, SUM128_LEN) == 0;
}

/* The same sum of bytes that come in pieces. */
struct sum128_run;
struct sum128_run *sum128_begin(void); /* NULL: no memory */
void sum128_add(struct sum128_run *r, const void *data, size_t len);
/* out may be NULL; frees r, which may be NULL when out is. */
void sum128_end(struct sum128_run *r, uint8_t out[SUM128_LEN]);

#endif
