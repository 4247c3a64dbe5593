/* SPDX-License-Identifier: Apache-2.0 */
/* Checksums: the same bytes, the same digest; any change, another. */
#include "conform.h"

#include <dynfs/checksum.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DATA_MAX (256u << 10)
#define GUARD    16
#define FLIPS    2000

static const struct dynfs_checksum_ops *ops_of(const struct inst *i)
{
	return i->plugin->checksum;
}

static const size_t lens[] = {
	0,    1,    7,    8,     31,    63,    64,           65,      1023,
	1024, 1025, 4096, 16383, 16384, 65537, DATA_MAX - 1, DATA_MAX
};

static int sum(struct inst *i, const void *data, size_t len, uint8_t *out)
{
	return ops_of(i)->sum(i->self, data, len, out);
}

/* Two instances, two places in memory. */
static bool digests_agree(struct conform *c, struct inst *x, struct inst *y,
			  const uint8_t *data, uint8_t *moved)
{
	uint8_t a[DYNFS_CHECKSUM_MAX + GUARD], b[DYNFS_CHECKSUM_MAX + GUARD];
	bool good = true;

	for (size_t n = 0; good && n < COUNT(lens); n++) {
		uint32_t len = ops_of(x)->digest_len;

		memset(a, 0xa5, sizeof(a));
		memset(b, 0xa5, sizeof(b));
		memcpy(moved + n % 8, data, lens[n]);
		if (sum(x, data, lens[n], a) ||
		    sum(y, moved + n % 8, lens[n], b))
			good = no(c, "sum() of %zu bytes fails", lens[n]);
		else if (memcmp(a, b, sizeof(a)) != 0)
			good = no(c, "two digests of the same %zu bytes differ",
				  lens[n]);
		for (size_t g = len; good && g < sizeof(a); g++)
			if (a[g] != 0xa5)
				good = no(c, "it wrote beyond digest_len");
	}
	return good;
}

static bool digests_follow_from_the_bytes(struct conform *c)
{
	uint8_t *data = malloc(DATA_MAX), *moved = malloc(DATA_MAX + 8);
	uint64_t rng = c->seed;
	struct inst x, y;
	bool good = false;

	if (!data || !moved || inst_new(c, &x, NULL))
		goto out;
	if (!inst_new(c, &y, NULL)) {
		rnd_bytes(&rng, data, DATA_MAX);
		good = digests_agree(c, &x, &y, data, moved);
		good = inst_free(c, &y) && good;
	}
	good = inst_free(c, &x) && good;
out:
	free(data);
	free(moved);
	return good;
}

static bool blocks_equal(struct conform *c, struct inst *i, const uint8_t *data,
			 size_t len, size_t block)
{
	uint32_t digest = ops_of(i)->digest_len;
	size_t n = (len + block - 1) / block;
	uint8_t *out = malloc(n * digest + GUARD), one[DYNFS_CHECKSUM_MAX];
	bool good = out;

	if (!good)
		return no(c, "no memory");
	memset(out, 0xa5, n * digest + GUARD);
	if (ops_of(i)->sum_blocks(i->self, data, len, block, out))
		good =
		    no(c, "sum_blocks() of %zu bytes by %zu fails", len, block);
	for (size_t k = 0; good && k < n; k++) {
		size_t at = k * block;

		(void)sum(i, data + at, len - at < block ? len - at : block,
			  one);
		good = !memcmp(one, out + k * digest, digest) ||
		       no(c, "%zu bytes by %zu: block %zu is not its sum()",
			  len, block, k);
	}
	for (size_t g = 0; good && g < GUARD; g++)
		good = out[n * digest + g] == 0xa5 ||
		       no(c, "sum_blocks() wrote beyond the last digest");
	free(out);
	return good;
}

static bool blocks_are_sums(struct conform *c)
{
	static const size_t blocks[] = { 512, 1000, 4096, 16384, 65536 };
	uint8_t *data = malloc(DATA_MAX);
	uint64_t rng = c->seed;
	struct inst i;
	bool good = true;

	if (!data || inst_new(c, &i, NULL))
		return false;
	if (!ops_of(&i)->sum_blocks) {
		free(data);
		return inst_free(c, &i) && skipped(c, "it has no sum_blocks()");
	}
	rnd_bytes(&rng, data, DATA_MAX);
	for (size_t b = 0; good && b < COUNT(blocks); b++)
		for (size_t n = 0; good && n < COUNT(lens); n++)
			good = blocks_equal(c, &i, data, lens[n], blocks[b]);
	free(data);
	return inst_free(c, &i) && good;
}

/* One flipped bit should flip half of the digest's: never none, by far. */
static bool every_bit_matters(struct conform *c)
{
	uint8_t data[1500], a[DYNFS_CHECKSUM_MAX], b[DYNFS_CHECKSUM_MAX];
	uint64_t rng = c->seed, flipped = 0;
	uint32_t bits;
	struct inst i;
	bool good = true;

	if (inst_new(c, &i, NULL))
		return false;
	bits = ops_of(&i)->digest_len * 8;
	for (int n = 0; good && n < FLIPS; n++) {
		size_t len = 1 + rnd(&rng) % sizeof(data);
		size_t at = rnd(&rng) % len;
		uint32_t differ = 0;

		rnd_bytes(&rng, data, len);
		(void)sum(&i, data, len, a);
		data[at] ^= (uint8_t)(1u << rnd(&rng) % 8);
		(void)sum(&i, data, len, b);
		for (uint32_t k = 0; k < bits / 8; k++)
			differ += (uint32_t)__builtin_popcount(a[k] ^ b[k]);
		flipped += differ;
		good = differ >= bits / 8 ||
		       no(c, "one bit of %zu bytes changed %u of %u bits", len,
			  differ, bits);
	}
	flipped = flipped * 100 / FLIPS / bits;
	good = good && ((flipped >= 45 && flipped <= 55) ||
			no(c, "one bit changes %llu %% of the digest",
			   (unsigned long long)flipped));
	return inst_free(c, &i) && good;
}

static bool lengths_matter(struct conform *c)
{
	uint8_t zero[256] = { 0 }, digest[256][DYNFS_CHECKSUM_MAX];
	struct inst i;
	bool good = true;
	uint32_t len;

	if (inst_new(c, &i, NULL))
		return false;
	len = ops_of(&i)->digest_len;
	for (size_t n = 0; good && n < 256; n++) {
		(void)sum(&i, zero, n, digest[n]);
		for (size_t k = 0; good && k < n; k++)
			good = memcmp(digest[n], digest[k], len) != 0 ||
			       no(c, "%zu and %zu zeros have one digest", n, k);
	}
	return inst_free(c, &i) && good;
}

static bool golden(struct conform *c, FILE *out)
{
	uint8_t *data = malloc(DATA_MAX), digest[DYNFS_CHECKSUM_MAX];
	uint64_t rng = 1;
	struct inst i;

	if (!data || inst_new(c, &i, NULL))
		return false;
	rnd_bytes(&rng, data, DATA_MAX);
	for (size_t n = 0; n < COUNT(lens); n++) {
		if (sum(&i, data, lens[n], digest))
			return no(c, "sum() fails");
		(void)fprintf(out, "sum/%zu ", lens[n]);
		for (uint32_t k = 0; k < ops_of(&i)->digest_len; k++)
			(void)fprintf(out, "%02x", digest[k]);
		(void)fputc('\n', out);
	}
	free(data);
	return inst_free(c, &i);
}

static int use(struct inst *i, uint64_t salt)
{
	uint8_t data[5000], a[DYNFS_CHECKSUM_MAX], b[DYNFS_CHECKSUM_MAX];
	uint64_t rng = salt;
	int err;

	rnd_bytes(&rng, data, sizeof(data));
	err = sum(i, data, sizeof(data), a);
	if (!err)
		err = sum(i, data, sizeof(data), b);
	if (!err && memcmp(a, b, ops_of(i)->digest_len) != 0)
		err = 1;
	return err;
}

static const char *incomplete(const struct dynfs_plugin *p)
{
	const struct dynfs_checksum_ops *o = p->checksum;

	return o->size < sizeof(*o)               ? "size is too short"
	       : o->caps & ~DYNFS_CHECKSUM_CRYPTO ? "a capability is unknown"
	       : o->digest_len < 8 || o->digest_len > DYNFS_CHECKSUM_MAX
		   ? "digest_len is not 8 to 32"
	       : o->caps && o->digest_len < 16
		   ? "so short a digest is not collision resistant"
	       : !o->sum ? "sum() is missing"
			 : NULL;
}

static const struct check checks[] = {
	{ "Digests follow from the bytes alone",
	  digests_follow_from_the_bytes },
	{ "sum_blocks() gives what sum() gives", blocks_are_sums },
	{ "Every bit matters, half of the digest for each", every_bit_matters },
	{ "Zeros of different lengths have different digests", lengths_matter },
	{ NULL, NULL },
};

const struct kind kind_checksum = {
	.name = "checksum",
	.incomplete = incomplete,
	.use = use,
	.checks = checks,
	.golden = golden,
};
