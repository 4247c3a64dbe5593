/* SPDX-License-Identifier: Apache-2.0 */
/* The manifest of a checkpoint: docs/design/format.md section 5. */
#include <meta/checkpoint.h>

#include <base/fail.h>
#include <base/le.h>
#include <base/str.h>
#include <disk/label.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HEAD       72u
#define SUM_AT     56u
#define LEN_MAX    (16u << 20)
#define FILE_LEAST (2u + 1 + 8 + SUM128_LEN) /* bytes of one entry */

static const char magic[8] = { 'D', 'Y', 'N', 'F', 'C', 'K', 'P', 'T' };

static int seal(const uint8_t *p, size_t len, uint8_t out[SUM128_LEN])
{
	static const uint8_t zero[SUM128_LEN];
	struct sum128_run *run = sum128_begin();

	if (!run)
		return -ENOMEM;
	sum128_add(run, p, SUM_AT);
	sum128_add(run, zero, SUM128_LEN);
	sum128_add(run, p + HEAD, len - HEAD);
	sum128_end(run, out);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct ckpt_file *x = (const struct ckpt_file *)a;
	const struct ckpt_file *y = (const struct ckpt_file *)b;

	return strcmp(x->name, y->name);
}

/* Two contents of one name can not both be there. */
static bool names_differ(const struct ckpt *c)
{
	for (uint32_t i = 1; i < c->n_files; i++)
		if (by_name(&c->files[i - 1], &c->files[i]) >= 0)
			return false;
	return true;
}

int manifest_encode(const struct ckpt *c, const struct uuid *pool,
		    struct buf *out)
{
	struct features f;
	size_t at = out->len;
	uint8_t *p;
	int r = features_base(&f);

	if (r)
		return r;
	if (!names_differ(c)) {
		features_done(&f);
		return -EINVAL;
	}
	buf_put_zero(out, HEAD);
	features_put(out, &f);
	features_done(&f);
	buf_put_str(out, c->engine, strlen(c->engine));
	buf_put32(out, c->n_files);
	for (uint32_t i = 0; i < c->n_files; i++) {
		buf_put_str(out, c->files[i].name, strlen(c->files[i].name));
		buf_put64(out, c->files[i].size);
		buf_put(out, c->files[i].sum, SUM128_LEN);
	}
	if (buf_error(out))
		return buf_error(out);
	if (out->len - at > LEN_MAX)
		return -EFBIG;
	p = out->data + at;
	memcpy(p, magic, 8);
	put_le32(p + 8, 1);
	put_le32(p + 12, (uint32_t)(out->len - at));
	memcpy(p + 16, pool->b, 16);
	put_le64(p + 32, c->number);
	memcpy(p + 40, c->chain, SUM128_LEN);
	return seal(p, out->len - at, p + SUM_AT);
}

static bool name_is_plain(const char *s, size_t len)
{
	static const char *const taken[] = { ".", "..", "MANIFEST",
					     "MANIFEST.new" };

	if (!len || len > 255 || memchr(s, '/', len) || memchr(s, 0, len))
		return false;
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		if (strlen(taken[i]) == len && !memcmp(s, taken[i], len))
			return false;
	return true;
}

static int get_files(struct rd *r, struct ckpt *c)
{
	uint32_t n = rd32(r);

	if (r->error || n > rd_left(r) / FILE_LEAST)
		return -EUCLEAN;
	c->files = (struct ckpt_file *)calloc((size_t)n + 1, sizeof(*c->files));
	if (!c->files)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		struct ckpt_file *f = &c->files[i];
		size_t len;
		const char *s = rd_str(r, &len);

		f->size = rd64(r);
		rd_copy(r, f->sum, SUM128_LEN);
		if (r->error || !name_is_plain(s, len))
			return -EUCLEAN;
		f->name = str_copy(s, len);
		if (!f->name)
			return -ENOMEM;
		c->n_files++;
	}
	return rd_end(r) ? -EUCLEAN : names_differ(c) ? 0 : -EUCLEAN;
}

static int get_body(struct rd *r, struct ckpt *c)
{
	struct features f;
	const char *s;
	size_t len;
	int err = features_get(r, &f), only;

	if (err)
		return err;
	only = features_check(&f, "a checkpoint");
	features_done(&f);
	if (only && only != -EROFS)
		return only;
	s = rd_str(r, &len);
	if (!s || memchr(s, 0, len))
		return -EUCLEAN;
	c->engine = str_copy(s, len);
	err = c->engine ? get_files(r, c) : -ENOMEM;
	return err ? err : only;
}

int manifest_decode(const void *data, size_t len, const struct uuid *pool,
		    struct ckpt *ret)
{
	const uint8_t *p = (const uint8_t *)data;
	struct ckpt c = { 0 };
	uint8_t sum[SUM128_LEN];
	struct rd r;
	int err;

	if (len < HEAD || len > LEN_MAX || memcmp(p, magic, 8) != 0 ||
	    get_le32(p + 12) != len || memcmp(p + 16, pool->b, 16) != 0)
		return -EUCLEAN;
	err = seal(p, len, sum);
	if (err)
		return err;
	if (!sum_equal(sum, p + SUM_AT))
		return -EUCLEAN;
	if (get_le32(p + 8) != 1)
		return fail(-EOPNOTSUPP,
			    "a checkpoint has version %u, which this version "
			    "of dynfs does not know",
			    get_le32(p + 8));
	c.number = get_le64(p + 32);
	memcpy(c.chain, p + 40, SUM128_LEN);
	r = rd_of(p + HEAD, len - HEAD);
	err = get_body(&r, &c);
	if (err && err != -EROFS)
		ckpt_done(&c);
	else
		*ret = c;
	return err;
}
