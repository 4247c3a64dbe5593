/* SPDX-License-Identifier: Apache-2.0 */
#include <base/hash.h>

#include <base/le.h>

#include <xxhash.h>

static inline uint64_t rotl(uint64_t x, unsigned b)
{
	return x << b | x >> (64 - b);
}

static inline void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

static void sip_word(uint64_t v[4], uint64_t m)
{
	v[3] ^= m;
	sip_round(v);
	sip_round(v);
	v[0] ^= m;
}

uint64_t siphash(const uint8_t key[16], const void *data, size_t len)
{
	const uint8_t *p = (const uint8_t *)data;
	uint64_t k0 = get_le64(key), k1 = get_le64(key + 8);
	uint64_t v[4] = { k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du,
			  k0 ^ 0x6c7967656e657261u, k1 ^ 0x7465646279746573u };
	uint8_t last[8] = { 0 };
	size_t whole = len & ~(size_t)7;

	for (size_t i = 0; i < whole; i += 8)
		sip_word(v, get_le64(p + i));
	if (len > whole)
		memcpy(last, p + whole, len - whole);
	last[7] = (uint8_t)len;
	sip_word(v, get_le64(last));
	v[2] ^= 0xff;
	for (int i = 0; i < 4; ++i)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void sum128(const void *data, size_t len, uint8_t out[SUM128_LEN])
{
	XXH128_canonical_t c;

	XXH128_canonicalFromHash(&c, XXH3_128bits(data, len));
	memcpy(out, c.digest, SUM128_LEN);
}

struct sum128_run *sum128_begin(void)
{
	XXH3_state_t *s = XXH3_createState();

	if (s)
		(void)XXH3_128bits_reset(s); /* fails for NULL only */
	return (struct sum128_run *)s;
}

void sum128_add(struct sum128_run *r, const void *data, size_t len)
{
	/* fails for NULL only */
	(void)XXH3_128bits_update((XXH3_state_t *)r, data, len);
}

void sum128_end(struct sum128_run *r, uint8_t out[SUM128_LEN])
{
	XXH3_state_t *s = (XXH3_state_t *)r;
	XXH128_canonical_t c;

	if (out) {
		XXH128_canonicalFromHash(&c, XXH3_128bits_digest(s));
		memcpy(out, c.digest, SUM128_LEN);
	}
	(void)XXH3_freeState(s);
}
