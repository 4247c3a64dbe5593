/* SPDX-License-Identifier: Apache-2.0 */
/* Little-endian (records) and big-endian (keys, for their order) integers. */
#ifndef BASE_LE_H
#define BASE_LE_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define LE_PUT(bits, name, conv)                                               \
	static inline void name(void *p, uint##bits##_t v)                     \
	{                                                                      \
		v = conv(v);                                                   \
		memcpy(p, &v, sizeof(v));                                      \
	}
#define LE_GET(bits, name, conv)                                               \
	static inline uint##bits##_t name(const void *p)                       \
	{                                                                      \
		uint##bits##_t v;                                              \
		memcpy(&v, p, sizeof(v));                                      \
		return conv(v);                                                \
	}

LE_PUT(16, put_le16, htole16)
LE_PUT(32, put_le32, htole32)
LE_PUT(64, put_le64, htole64)
LE_PUT(16, put_be16, htobe16)
LE_PUT(32, put_be32, htobe32)
LE_PUT(64, put_be64, htobe64)
LE_GET(16, get_le16, le16toh)
LE_GET(32, get_le32, le32toh)
LE_GET(64, get_le64, le64toh)
LE_GET(16, get_be16, be16toh)
LE_GET(32, get_be32, be32toh)
LE_GET(64, get_be64, be64toh)

#undef LE_PUT
#undef LE_GET

#endif
