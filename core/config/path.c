/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths as text.  Whether two names are one folder by links or mounts is seen
 * when the disks are opened; here it is what the writer can see himself.
 */
#include <config/internal.h>

#include <base/cleanup.h>
#include <base/str.h>

#include <stdlib.h>
#include <string.h>

char *path_clean(const char *base, const char *path)
{
	AUTOFREE char *whole = str_path(base, path);
	char *out = whole ? malloc(strlen(whole) + 2) : NULL;
	size_t n = 0;

	if (!out)
		return NULL;
	for (const char *p = whole; *p;) {
		size_t len;

		while (*p == '/')
			p++;
		len = strcspn(p, "/");
		if (len == 2 && !memcmp(p, "..", 2)) {
			while (n && out[n - 1] != '/')
				n--;
			n -= n > 0;
		} else if (len && !(len == 1 && *p == '.')) {
			out[n++] = '/';
			memcpy(out + n, p, len);
			n += len;
		}
		p += len;
	}
	if (!n)
		out[n++] = '/';
	out[n] = '\0';
	return out;
}

bool path_inside(const char *outer, const char *inner)
{
	size_t n = strlen(outer);

	if (n == 1) /* the root holds everything */
		return true;
	return !strncmp(outer, inner, n) && (!inner[n] || inner[n] == '/');
}
