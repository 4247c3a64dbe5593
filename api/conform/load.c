/* SPDX-License-Identifier: Apache-2.0 */
/* From a file to a description, and what can be said without an instance. */
#include "conform.h"

#include <ctype.h>
#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const struct kind *kind;
	size_t offset; /* of the pointer to the operations */
} load_kinds[] = {
	{ &kind_store, offsetof(struct dynfs_plugin, store) },
	{ &kind_meta, offsetof(struct dynfs_plugin, meta) },
	{ &kind_redundancy, offsetof(struct dynfs_plugin, redundancy) },
	{ &kind_checksum, offsetof(struct dynfs_plugin, checksum) },
	{ &kind_placement, offsetof(struct dynfs_plugin, placement) },
	{ &kind_frontend, offsetof(struct dynfs_plugin, frontend) },
};

static const void *load_ops(const struct dynfs_plugin *p, size_t offset)
{
	const void *ops;

	memcpy(&ops, (const char *)p + offset, sizeof(ops));
	return ops;
}

static void load_stem(struct conform *c)
{
	const char *slash = strrchr(c->file, '/');
	const char *name = slash ? slash + 1 : c->file;
	size_t len = strlen(name);

	if (len > 3 && !strcmp(name + len - 3, ".so"))
		len -= 3;
	(void)snprintf(c->stem, sizeof(c->stem), "%.*s", (int)len, name);
}

static const char *load_adopt(struct conform *c, const struct dynfs_plugin *p)
{
	size_t n = p->size < sizeof(c->plugin) ? p->size : sizeof(c->plugin);

	if (p->magic != DYNFS_PLUGIN_MAGIC)
		return "the description does not begin with the magic number";
	if (p->abi_major != DYNFS_ABI_MAJOR)
		return "it was built for another major version of the ABI";
	if (p->size < offsetof(struct dynfs_plugin, store))
		return "the description is shorter than any ever was";
	memcpy(&c->plugin, p, n);
	c->own = p;
	return NULL;
}

const char *load_plugin(struct conform *c)
{
	const struct dynfs_plugin *(*entry)(void);
	const char *wrong;
	char path[PATH_MAX];
	Dl_info where;
	void *so;

	if (!realpath(c->file, path))
		return "there is no such file";
	load_stem(c);
	so = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (!so)
		/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
		return dlerror();
	*(void **)&entry = dlsym(so, "dynfs_plugin_entry");
	if (!entry || !dladdr(*(void **)&entry, &where))
		return "it does not export dynfs_plugin_entry()";
	if (strcmp(where.dli_fname, path) != 0)
		return "dynfs_plugin_entry() is that of a library it links to";
	if (!entry())
		return "dynfs_plugin_entry() returns NULL";
	wrong = load_adopt(c, entry());
	if (wrong)
		return wrong;
	if (entry() != c->own)
		return "dynfs_plugin_entry() does not always return the same";
	for (size_t i = 0; i < COUNT(load_kinds); i++)
		if (load_ops(&c->plugin, load_kinds[i].offset))
			c->kind = load_kinds[i].kind;
	return c->kind ? NULL : "it is of no kind that this program knows";
}

static bool is_name(const char *s)
{
	if (!s || !islower((unsigned char)*s))
		return false;
	while (islower((unsigned char)*s) || isdigit((unsigned char)*s) ||
	       *s == '-')
		s++;
	return !*s;
}

static bool is_line(const char *s)
{
	return s && *s && !strpbrk(s, "\n\r\t") && s[strlen(s) - 1] != '.';
}

static bool description_is_true(struct conform *c)
{
	const struct dynfs_plugin *p = &c->plugin;
	int kinds = 0;

	for (size_t i = 0; i < COUNT(load_kinds); i++)
		kinds += !!load_ops(p, load_kinds[i].offset);
	if (kinds != 1)
		return no(c, "it is of %d kinds at once", kinds);
	if (!is_name(p->name))
		return no(c, "the name is not [a-z][a-z0-9-]*");
	if (strcmp(p->name, c->stem) != 0)
		return no(c, "the name is '%s', the file's '%s'", p->name,
			  c->stem);
	if (!p->version || !*p->version)
		return no(c, "there is no version");
	if (!is_line(p->summary))
		return no(c, "the summary is not one line without a full stop");
	if (p->threading > DYNFS_PARALLEL)
		return no(c, "threading is %u, unknown", p->threading);
	if (!p->create || !p->destroy)
		return no(c, "create() or destroy() is missing");
	if (p->start && !p->stop)
		return no(c, "there is start(), but no stop()");
	return true;
}

static bool operations_are_there(struct conform *c)
{
	const char *wrong = c->kind->incomplete(&c->plugin);

	return !wrong || no(c, "%s", wrong);
}

static bool counters_have_names(struct conform *c)
{
	const char *const *n = c->plugin.counters;

	for (size_t i = 0; n && n[i]; i++) {
		if (!is_name(n[i]))
			return no(c,
				  "counter %zu: '%s' is not "
				  "[a-z][a-z0-9-]*",
				  i, n[i]);
		for (size_t k = 0; k < i; k++)
			if (!strcmp(n[i], n[k]))
				return no(c, "two counters are named '%s'",
					  n[i]);
	}
	return true;
}

const struct check load_checks[] = {
	{ "The description is complete and true", description_is_true },
	{ "The operations that the kind needs are there",
	  operations_are_there },
	{ "Counters have names of their own", counters_have_names },
	{ NULL, NULL },
};
