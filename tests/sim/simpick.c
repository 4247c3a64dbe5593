/* SPDX-License-Identifier: Apache-2.0 */
#include "simpick.h"

#include "seeded.h"

#include <stdio.h>
#include <string.h>

#define DEPTH_MAX 6u
#define USED      100000u /* most of a long file was never written */

struct pick {
	uint64_t random;
	char name[128];
	unsigned n;
};

static uint64_t next(uint64_t *random, uint64_t n)
{
	return rnd(random) % n;
}

static int pick_name(void *ctx, const char *name, uint32_t type)
{
	struct pick *p = (struct pick *)ctx;

	(void)type;
	if (strlen(name) < sizeof(p->name) && next(&p->random, ++p->n) == 0)
		(void)snprintf(p->name, sizeof(p->name), "%s", name);
	return 0;
}

uint64_t simpick_file(struct simos *s, char path[SIMPICK_PATH], uint64_t seed)
{
	const struct dynfs_os *os = simos_os(s);
	struct pick p = { .random = seed };

	for (unsigned depth = 0; depth < DEPTH_MAX; depth++) {
		struct dynfs_os_stat st;
		size_t len = strlen(path);

		if (os->stat(os, path, &st))
			return 0;
		if (st.type == DYNFS_OS_FILE)
			return st.size_bytes;
		p.n = 0;
		if (os->list(os, path, pick_name, &p) || !p.n ||
		    len + strlen(p.name) + 2 > SIMPICK_PATH)
			return 0;
		(void)snprintf(path + len, SIMPICK_PATH - len, "/%s", p.name);
	}
	return 0;
}

bool simpick_flip(struct simos *s, char path[SIMPICK_PATH], uint64_t seed)
{
	uint64_t size = simpick_file(s, path, seed);

	if (!size)
		return false;
	if (size > USED && next(&seed, 2))
		size = USED;
	return !simos_flip(s, path, next(&seed, size),
			   (unsigned)next(&seed, 8));
}
