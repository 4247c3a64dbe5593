/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a plugin makes of fixed inputs, compared line by line with a file that
 * was recorded when it was released.  The lines hold digests, so that a
 * recorded file stays small; the digest is FNV-1a, for nobody attacks here.
 */
#include "conform.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

uint64_t golden_fold(uint64_t hash, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ p[i]) * 0x100000001b3ull;
	return hash;
}

static char *golden_made(struct conform *c)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	bool good = out && c->kind->golden(c, out);

	if (!out || fclose(out) || !good) {
		free(text);
		return NULL;
	}
	return text;
}

static bool golden_record(struct conform *c, const char *text)
{
	FILE *out = fopen(c->golden, "we");
	bool good = out && fputs(text, out) >= 0;

	if (out && fclose(out))
		good = false;
	return good ||
	       no(c, "%s cannot be written: errno %d", c->golden, errno);
}

static bool golden_compare(struct conform *c, const char *text)
{
	FILE *in = fopen(c->golden, "re");
	char *line = NULL;
	const char *at = text;
	size_t room = 0;
	ssize_t len;
	bool good = true;

	if (!in)
		return no(c, "%s cannot be read: errno %d", c->golden, errno);
	while (good && (len = getline(&line, &room, in)) > 0) {
		good = !strncmp(at, line, (size_t)len);
		if (!good)
			(void)no(c, "it is no longer %.*s", (int)len - 1, line);
		else
			at += len;
	}
	if (good && *at)
		good = no(c, "not recorded: %.*s", (int)strcspn(at, "\n"), at);
	free(line);
	(void)fclose(in); /* was read only */
	return good;
}

bool golden_check(struct conform *c)
{
	char *text;
	bool good;

	if (!c->kind->golden)
		return skipped(c, "nothing of this kind has to stay");
	text = golden_made(c);
	if (!text)
		return false;
	good = c->skip     ? true
	       : c->record ? golden_record(c, text)
			   : golden_compare(c, text);
	free(text);
	return good;
}
