/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of one configuration: pieces in a chain that die together, so that
 * no path through the loader has anything to give back.  They are wiped, for
 * a configuration may hold keys.
 */
#include <config/internal.h>

#include <stdlib.h>
#include <string.h>

struct conf_block {
	struct conf_block *next;
	size_t bytes;
	max_align_t data[];
};

void *conf_alloc(struct conf *conf, size_t n, size_t size)
{
	struct conf_block *b;
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes) || bytes > SIZE_MAX / 2)
		return NULL;
	b = calloc(1, sizeof(*b) + bytes);
	if (!b)
		return NULL;
	b->bytes = bytes;
	b->next = conf->blocks;
	conf->blocks = b;
	return b->data;
}

char *conf_dup(struct conf *conf, const char *text)
{
	size_t n = strlen(text) + 1;
	char *copy = conf_alloc(conf, n, 1);

	if (copy)
		memcpy(copy, text, n);
	return copy;
}

void conf_free_blocks(struct conf *conf)
{
	while (conf->blocks) {
		struct conf_block *b = conf->blocks;

		conf->blocks = b->next;
		explicit_bzero(b->data, b->bytes);
		free(b);
	}
}
