/* SPDX-License-Identifier: Apache-2.0 */
/* UUIDs of version 4 (RFC 9562): 16 bytes, printed in the usual 36. */
#ifndef BASE_UUID_H
#define BASE_UUID_H

#include <dynfs/os.h>
#include <stdbool.h>
#include <stdint.h>

struct uuid {
	uint8_t b[16];
};

#define UUID_TEXT_LEN 36

int uuid_new(const struct dynfs_os *os, struct uuid *ret);
bool uuid_equal(const struct uuid *a, const struct uuid *b);
bool uuid_is_zero(const struct uuid *u);
/* out holds UUID_TEXT_LEN + 1; returns out. */
char *uuid_text(const struct uuid *u, char *out);
int uuid_parse(const char *text, struct uuid *ret);

#endif
