/* SPDX-License-Identifier: Apache-2.0 */
#include "simpool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DISK_BYTES (UINT64_C(1) << 30)

static const char config[] =
    "pool = { name = \"sim\"; extent-size = \"64K\"; disks = (\n"
    " { path = \"/d1\"; %s }, { path = \"/d2\"; %s },\n"
    " { path = \"/d3\"; %s }, { path = \"/d4\"; %s },\n"
    " { path = \"/d5\"; %s }, { path = \"/d6\"; %s }\n"
    "); };\n"
    "metadata = { engine = { plugin = \"mem\"; }; copies = 3;\n"
    "  memory = \"16M\"; };\n"
    "policies = { default = \"ec\"; ec = { k = 4; m = 2;\n"
    "  checksum = \"xxh3\"; }; };\n"
    "frontends = ( );\n"
    "limits = { memory = \"64M\"; threads = 2; };\n";

const char *simpool_disk(unsigned i)
{
	static const char *const path[] = { "/d1", "/d2", "/d3",
					    "/d4", "/d5", "/d6" };

	return path[i];
}

void simpool_new(struct simpool *p, struct reg *reg, uint64_t seed,
		 const char *limit, const char *const *settings,
		 unsigned n_settings)
{
	char text[2000], of[40] = "";

	if (limit)
		(void)snprintf(of, sizeof(of), "limit = \"%s\";", limit);
	(void)snprintf(text, sizeof(text), config, of, of, of, of, of, of);
	*p = (struct simpool){ .sim = simos_new(seed), .reg = reg };
	if (!p->sim || conf_parse(text, strlen(text), "/sim.conf", settings,
				  n_settings, &p->conf))
		abort();
	for (unsigned i = 0; i < SIMPOOL_DISKS; i++)
		if (simos_limit(p->sim, simpool_disk(i), DISK_BYTES))
			abort();
	p->os = *simos_os(p->sim);
}

void simpool_free(struct simpool *p)
{
	conf_free(p->conf);
	simos_free(p->sim);
}

static struct pool_how how_of(const struct simpool *p)
{
	return (struct pool_how){ .conf = p->conf,
				  .reg = p->reg,
				  .os = &p->os,
				  .cut_rows = p->cut_rows };
}

int simpool_create(struct simpool *p)
{
	struct pool_how how = how_of(p);

	return pool_create(&how);
}

int simpool_open(struct simpool *p)
{
	struct pool_how how = how_of(p);
	int r = pool_open(&how, &p->pool);

	if (r < 0) {
		p->pool = NULL;
		return r;
	}
	p->fs = tree_view(pool_tree(p->pool));
	return 0;
}
