/* SPDX-License-Identifier: Apache-2.0 */
#include <base/uuid.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

int uuid_new(const struct dynfs_os *os, struct uuid *ret)
{
	struct uuid u;
	int r = os->random(os, u.b, sizeof(u.b));

	if (r < 0)
		return r;
	u.b[6] = (uint8_t)((u.b[6] & 0x0f) | 0x40);
	u.b[8] = (uint8_t)((u.b[8] & 0x3f) | 0x80);
	*ret = u;
	return 0;
}

bool uuid_equal(const struct uuid *a, const struct uuid *b)
{
	return !memcmp(a->b, b->b, sizeof(a->b));
}

bool uuid_is_zero(const struct uuid *u)
{
	static const struct uuid zero;

	return uuid_equal(u, &zero);
}

static bool uuid_dash_before(int i)
{
	return i == 4 || i == 6 || i == 8 || i == 10;
}

char *uuid_text(const struct uuid *u, char *out)
{
	static const char hex[] = "0123456789abcdef";
	char *p = out;

	for (int i = 0; i < 16; ++i) {
		if (uuid_dash_before(i))
			*p++ = '-';
		*p++ = hex[u->b[i] >> 4];
		*p++ = hex[u->b[i] & 15];
	}
	*p = '\0';
	return out;
}

static int uuid_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int uuid_parse(const char *text, struct uuid *ret)
{
	struct uuid u;

	if (strlen(text) != UUID_TEXT_LEN)
		return -EINVAL;
	for (int i = 0; i < 16; ++i) {
		int hi, lo;

		if (uuid_dash_before(i) && *text++ != '-')
			return -EINVAL;
		hi = uuid_digit(*text++);
		lo = uuid_digit(*text++);
		if (hi < 0 || lo < 0)
			return -EINVAL;
		u.b[i] = (uint8_t)(hi << 4 | lo);
	}
	*ret = u;
	return 0;
}
