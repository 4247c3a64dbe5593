/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Byte buffers that grow, and a reader that can not run over the end.
 *
 * Both carry their first error: a row of puts or gets is written without
 * checks between, and asked once at the end with buf_error() or rd_error().
 * After an error puts do nothing and gets give zero.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t *data; /* owned */
	size_t len, cap;
	int error; /* -ENOMEM or 0 */
};

#define BUF_INIT                                                               \
	{                                                                      \
		NULL, 0, 0, 0                                                  \
	}

void buf_init(struct buf *b);
void buf_done(struct buf *b);  /* accepts a buffer that was never used */
void buf_clear(struct buf *b); /* empty, keeps its memory, forgets errors */
int buf_error(const struct buf *b);
int buf_reserve(struct buf *b, size_t more);
/* len bytes at the end, not initialised; NULL after an error. */
void *buf_extend(struct buf *b, size_t len);
void buf_put(struct buf *b, const void *data, size_t len);
void buf_put_zero(struct buf *b, size_t len);
void buf_put8(struct buf *b, uint8_t v);
void buf_put16(struct buf *b, uint16_t v);
void buf_put32(struct buf *b, uint32_t v);
void buf_put64(struct buf *b, uint64_t v);
void buf_put16be(struct buf *b, uint16_t v);
void buf_put32be(struct buf *b, uint32_t v);
void buf_put64be(struct buf *b, uint64_t v);
void buf_put_var(struct buf *b, uint64_t v); /* LEB128, 1 to 10 bytes */
/* 16-bit length and bytes; len above 65535 is an error (-EINVAL). */
void buf_put_str(struct buf *b, const char *s, size_t len);
void buf_printf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

struct rd {
	const uint8_t *data; /* borrowed */
	size_t len, pos;
	int error; /* -EUCLEAN or 0 */
};

static inline struct rd rd_of(const void *data, size_t len)
{
	return (struct rd){ (const uint8_t *)data, len, 0, 0 };
}

int rd_error(const struct rd *r);
/* 0 if all was read without error, else -EUCLEAN. */
int rd_end(const struct rd *r);
size_t rd_left(const struct rd *r);
/* len bytes inside the data, or NULL. */
const void *rd_bytes(struct rd *r, size_t len);
void rd_copy(struct rd *r, void *to, size_t len);
uint8_t rd8(struct rd *r);
uint16_t rd16(struct rd *r);
uint32_t rd32(struct rd *r);
uint64_t rd64(struct rd *r);
uint16_t rd16be(struct rd *r);
uint32_t rd32be(struct rd *r);
uint64_t rd64be(struct rd *r);
uint64_t rd_var(struct rd *r);
/* What buf_put_str() wrote: not terminated. */
const char *rd_str(struct rd *r, size_t *ret_len);

#define AUTOBUF __attribute__((cleanup(buf_done)))

#endif
