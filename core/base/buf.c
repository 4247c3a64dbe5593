/* SPDX-License-Identifier: Apache-2.0 */
#include <base/buf.h>

#include <base/le.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void buf_init(struct buf *b)
{
	*b = (struct buf)BUF_INIT;
}

void buf_done(struct buf *b)
{
	free(b->data);
	buf_init(b);
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	b->error = 0;
}

int buf_error(const struct buf *b)
{
	return b->error;
}

int buf_reserve(struct buf *b, size_t more)
{
	size_t cap = b->cap ? b->cap : 64;
	uint8_t *data;

	if (b->error)
		return b->error;
	if (more <= b->cap - b->len)
		return 0;
	if (more > SIZE_MAX / 4 - b->len)
		return b->error = -ENOMEM;
	while (cap < b->len + more)
		cap *= 2;
	data = (uint8_t *)realloc(b->data, cap);
	if (!data)
		return b->error = -ENOMEM;
	b->data = data;
	b->cap = cap;
	return 0;
}

void *buf_extend(struct buf *b, size_t len)
{
	void *at;

	if (buf_reserve(b, len) < 0)
		return NULL;
	at = b->data + b->len;
	b->len += len;
	return at;
}

void buf_put(struct buf *b, const void *data, size_t len)
{
	void *at = buf_extend(b, len);

	if (at && len)
		memcpy(at, data, len);
}

void buf_put_zero(struct buf *b, size_t len)
{
	void *at = buf_extend(b, len);

	if (at && len)
		memset(at, 0, len);
}

void buf_put8(struct buf *b, uint8_t v)
{
	buf_put(b, &v, 1);
}

#define BUF_PUT(name, bits, put)                                               \
	void name(struct buf *b, uint##bits##_t v)                             \
	{                                                                      \
		void *at = buf_extend(b, sizeof(v));                           \
		if (at)                                                        \
			put(at, v);                                            \
	}

BUF_PUT(buf_put16, 16, put_le16)
BUF_PUT(buf_put32, 32, put_le32)
BUF_PUT(buf_put64, 64, put_le64)
BUF_PUT(buf_put16be, 16, put_be16)
BUF_PUT(buf_put32be, 32, put_be32)
BUF_PUT(buf_put64be, 64, put_be64)

void buf_put_var(struct buf *b, uint64_t v)
{
	while (v >= 0x80) {
		buf_put8(b, (uint8_t)(v | 0x80));
		v >>= 7;
	}
	buf_put8(b, (uint8_t)v);
}

void buf_put_str(struct buf *b, const char *s, size_t len)
{
	if (len > UINT16_MAX) {
		if (!b->error)
			b->error = -EINVAL;
		return;
	}
	buf_put16(b, (uint16_t)len);
	buf_put(b, s, len);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || buf_reserve(b, (size_t)n + 1) < 0)
		return;
	va_start(ap, fmt);
	(void)vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
}

int rd_error(const struct rd *r)
{
	return r->error;
}

int rd_end(const struct rd *r)
{
	return r->error || r->pos != r->len ? -EUCLEAN : 0;
}

size_t rd_left(const struct rd *r)
{
	return r->error ? 0 : r->len - r->pos;
}

const void *rd_bytes(struct rd *r, size_t len)
{
	const void *at;

	if (r->error || len > r->len - r->pos) {
		r->error = -EUCLEAN;
		return NULL;
	}
	at = r->data + r->pos;
	r->pos += len;
	return at;
}

void rd_copy(struct rd *r, void *to, size_t len)
{
	const void *at = rd_bytes(r, len);

	if (at && len)
		memcpy(to, at, len);
	else if (len)
		memset(to, 0, len);
}

uint8_t rd8(struct rd *r)
{
	const uint8_t *at = (const uint8_t *)rd_bytes(r, 1);

	return at ? *at : 0;
}

#define RD_GET(name, bits, get)                                                \
	uint##bits##_t name(struct rd *r)                                      \
	{                                                                      \
		const void *at = rd_bytes(r, bits / 8);                        \
		return at ? get(at) : 0;                                       \
	}

RD_GET(rd16, 16, get_le16)
RD_GET(rd32, 32, get_le32)
RD_GET(rd64, 64, get_le64)
RD_GET(rd16be, 16, get_be16)
RD_GET(rd32be, 32, get_be32)
RD_GET(rd64be, 64, get_be64)

uint64_t rd_var(struct rd *r)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t byte = rd8(r);

		/* the tenth byte has one bit of room */
		if (shift == 63 && byte > 1)
			break;
		v |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return r->error ? 0 : v;
	}
	r->error = -EUCLEAN;
	return 0;
}

const char *rd_str(struct rd *r, size_t *ret_len)
{
	size_t len = rd16(r);
	const char *s = (const char *)rd_bytes(r, len);

	*ret_len = s ? len : 0;
	return s;
}
