/* SPDX-License-Identifier: Apache-2.0 */
#include <base/str.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int str_unit(const char *unit, unsigned *ret_shift)
{
	static const char letters[] = "KMGTPE";
	const char *at;

	if (!*unit || !strcmp(unit, "B")) {
		*ret_shift = 0;
		return 0;
	}
	at = strchr(letters, *unit >= 'a' ? *unit - 32 : *unit);
	if (!at)
		return -EINVAL;
	*ret_shift = 10 * (unsigned)(at - letters + 1);
	unit++;
	if (!*unit || !strcmp(unit, "B") || !strcmp(unit, "iB"))
		return 0;
	return -EINVAL;
}

int str_parse_size(const char *text, uint64_t *ret)
{
	uint64_t whole = 0, frac = 0, scale = 1, bytes;
	const char *p = text;
	unsigned shift;
	int r;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; ++p)
		if (__builtin_mul_overflow(whole, 10, &whole) ||
		    __builtin_add_overflow(whole, *p - '0', &whole))
			return -ERANGE;
	if (*p == '.')
		for (++p; *p >= '0' && *p <= '9'; ++p)
			if (scale < 1000) {
				frac = frac * 10 + (uint64_t)(*p - '0');
				scale *= 10;
			}
	while (*p == ' ')
		p++;
	r = str_unit(p, &shift);
	if (r < 0)
		return r;
	if (whole > UINT64_MAX >> shift)
		return -ERANGE;
	bytes = whole << shift;
	if (__builtin_add_overflow(bytes, (frac << shift) / scale, &bytes))
		return -ERANGE;
	*ret = bytes;
	return 0;
}

int str_parse_int(const char *text, int64_t *ret)
{
	char *end;
	long long v;

	if (!((*text >= '0' && *text <= '9') ||
	      ((*text == '-' || *text == '+') && text[1] >= '0' &&
	       text[1] <= '9')))
		return -EINVAL;
	errno = 0;
	v = strtoll(text, &end, 10);
	if (errno)
		return -ERANGE;
	if (*end)
		return -EINVAL;
	*ret = v;
	return 0;
}

char *str_size(uint64_t bytes, char *out, size_t len)
{
	static const char *const unit[] = { "B",   "KiB", "MiB", "GiB",
					    "TiB", "PiB", "EiB" };
	double v = (double)bytes;
	size_t i = 0;

	while (v >= 1024 && i + 1 < sizeof(unit) / sizeof(*unit)) {
		v /= 1024;
		i++;
	}
	(void)snprintf(out, len, i && v < 100 ? "%.1f %s" : "%.0f %s", v,
		       unit[i]);
	return out;
}

char *str_copy(const char *s, size_t n)
{
	char *copy = (char *)malloc(n + 1);

	if (!copy)
		return NULL;
	if (n)
		memcpy(copy, s, n);
	copy[n] = '\0';
	return copy;
}

char *str_printf(const char *fmt, ...)
{
	va_list ap;
	char *s;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	return n < 0 ? NULL : s;
}

char *str_path(const char *a, const char *b)
{
	size_t n = strlen(a);

	if (*b == '/' || !n)
		return strdup(b);
	return str_printf(a[n - 1] == '/' ? "%s%s" : "%s/%s", a, b);
}

char *str_quote(const char *s, size_t n, char *out, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	size_t o = 0;

	for (size_t i = 0; i < n; ++i) {
		unsigned char c = (unsigned char)s[i];
		bool plain = c >= 0x20 && c != 0x7f && c != '"' && c != '\\';

		/* room for this one, "..." and the end */
		if (o + (plain ? 1 : 4) + 4 > len) {
			if (len >= 4 && o + 4 <= len) {
				memcpy(out + o, "...", 3);
				o += 3;
			}
			break;
		}
		if (plain) {
			out[o++] = (char)c;
			continue;
		}
		out[o++] = '\\';
		out[o++] = 'x';
		out[o++] = hex[c >> 4];
		out[o++] = hex[c & 15];
	}
	if (len)
		out[o < len ? o : len - 1] = '\0';
	return out;
}

/* Bytes of the character that begins at s; 0: none does. */
static size_t utf8_len(const unsigned char *s)
{
	unsigned char least = 0x80, most = 0xbf; /* of the second byte */
	size_t n = *s < 0x80 ? 1 : *s < 0xe0 ? 2 : *s < 0xf0 ? 3 : 4;

	if (n == 1)
		return 1;
	if (*s < 0xc2 || *s > 0xf4)
		return 0;
	if (*s == 0xe0) /* too long */
		least = 0xa0;
	else if (*s == 0xed) /* surrogates */
		most = 0x9f;
	else if (*s == 0xf0)
		least = 0x90;
	else if (*s == 0xf4) /* too large */
		most = 0x8f;
	if (s[1] < least || s[1] > most)
		return 0;
	for (size_t i = 2; i < n; ++i)
		if (s[i] < 0x80 || s[i] > 0xbf)
			return 0;
	return n;
}

char *str_utf8(const char *s)
{
	static const char hex[] = "0123456789abcdef";
	char *copy = (char *)malloc(4 * strlen(s) + 1), *to = copy;

	while (copy && *s) {
		unsigned char c = (unsigned char)*s;
		size_t n = utf8_len((const unsigned char *)s);

		if (n) {
			memcpy(to, s, n);
			to += n;
			s += n;
			continue;
		}
		*to++ = '\\';
		*to++ = 'x';
		*to++ = hex[c >> 4];
		*to++ = hex[c & 15];
		s++;
	}
	if (copy)
		*to = '\0';
	return copy;
}

bool str_is_name(const char *s, size_t max)
{
	size_t n = strlen(s);

	if (!n || n > max || *s < 'a' || *s > 'z')
		return false;
	return strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}
