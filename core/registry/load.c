/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One file becomes one plugin, or one sentence.
 *
 * The order matters: who may have written the file is asked before a byte of
 * it is executed; that it is whole, before the loader maps it; that it speaks
 * our ABI, before anything beyond the first words of its description is read.
 *
 * RTLD_NODELETE: a refused plugin is not unloaded either, its constructors
 * may have left something behind.  RTLD_DEEPBIND would break replacements of
 * malloc, RTLD_GLOBAL would let plugins see each other.
 */
#include <registry/internal.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/log.h>
#include <base/str.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOAD_MAX_COUNTERS 256

/* what a 1.0 plugin has in any case; the kinds behind it may be fewer */
#define LOAD_MIN_SIZE offsetof(struct dynfs_plugin, store)

static void load_close(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

static int load_check_owner(const struct stat *st, const char *what,
			    const char *path)
{
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return fail(-EPERM,
			    "%s %s belongs to user %u; only root's and one's "
			    "own are trusted",
			    what, path, (unsigned)st->st_uid);
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return fail(-EPERM,
			    "%s %s can be written by others; chmod go-w it",
			    what, path);
	return 0;
}

static int load_check_file(int fd, const char *path)
{
	AUTOFREE char *dir = NULL;
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return fail(-errno, "plugin %s can not be read", path);
	if (!S_ISREG(st.st_mode))
		return fail(-EINVAL, "plugin %s is not a regular file", path);
	r = load_check_owner(&st, "plugin", path);
	if (r < 0)
		return r;
	dir = strndup(path, (size_t)(strrchr(path, '/') - path) + 1);
	if (!dir)
		return -ENOMEM;
	if (stat(dir, &st) < 0)
		return fail(-errno, "folder %s can not be read", dir);
	return load_check_owner(&st, "folder", dir);
}

/* The entry function that file itself has; dlsym() would also find one in a
 * library that the file was linked with. */
static int load_entry(const char *path, int fd,
		      const struct dynfs_plugin *(**ret)(void))
{
	void *dl = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	struct stat want, have;
	Dl_info info;
	void *sym;

	if (!dl)
		/* it begins with the path, and is the thread's own here;
		 * NOLINTNEXTLINE(concurrency-mt-unsafe) */
		return fail(-EINVAL, "plugin %s", dlerror());
	sym = dlsym(dl, "dynfs_plugin_entry");
	if (!sym)
		return fail(-EINVAL,
			    "plugin %s has no function dynfs_plugin_entry()",
			    path);
	if (!dladdr(sym, &info) || !info.dli_fname ||
	    stat(info.dli_fname, &have) < 0 || fstat(fd, &want) < 0 ||
	    have.st_dev != want.st_dev || have.st_ino != want.st_ino)
		return fail(-EINVAL,
			    "plugin %s has no dynfs_plugin_entry() of its own",
			    path);
	memcpy(ret, &sym, sizeof(sym));
	return 0;
}

static int load_adopt(struct reg_plugin *p, const struct dynfs_plugin *desc)
{
	if (!desc)
		return fail(-EINVAL, "plugin %s describes nothing", p->path);
	if (desc->magic != DYNFS_PLUGIN_MAGIC)
		return fail(-EINVAL,
			    "plugin %s: its description begins with %08x, "
			    "expected %08x",
			    p->path, desc->magic, DYNFS_PLUGIN_MAGIC);
	if (desc->abi_major != DYNFS_ABI_MAJOR)
		return fail(-EINVAL,
			    "plugin %s was built for ABI %u, this program has "
			    "%u; build it again",
			    p->path, desc->abi_major, DYNFS_ABI_MAJOR);
	if (desc->size < LOAD_MIN_SIZE ||
	    kinds_copy_sized(&p->desc, sizeof(p->desc), desc, desc->size) < 0)
		return fail(-EINVAL,
			    "plugin %s: its description says it is %zu bytes "
			    "long, expected %zu or more",
			    p->path, desc->size, LOAD_MIN_SIZE);
	if (p->desc.size > sizeof(p->desc))
		p->desc.size = sizeof(p->desc);
	return 0;
}

static int load_check_name(struct reg_plugin *p, const char *name)
{
	const char *own = p->desc.name;

	if (!own || !str_is_name(own, REG_NAME_MAX))
		return fail(-EINVAL,
			    "plugin %s: its name is not [a-z][a-z0-9-]*",
			    p->path);
	if (strcmp(own, name) != 0)
		return fail(-EINVAL, "plugin %s calls itself %s", p->path, own);
	p->name = own;
	return 0;
}

static int load_check_words(struct reg_plugin *p)
{
	const struct dynfs_plugin *d = &p->desc;

	if (!d->version || !*d->version || !d->summary || !*d->summary)
		return fail(-EINVAL, "plugin %s has no version or summary",
			    p->path);
	if (d->threading > DYNFS_PARALLEL)
		return fail(-EINVAL,
			    "plugin %s declares a way of threading that is "
			    "not known",
			    p->path);
	if (!d->create || !d->destroy)
		return fail(-EINVAL,
			    "plugin %s lacks the function %s(), which is "
			    "required",
			    p->path, d->create ? "destroy" : "create");
	if (d->config_size > 65536)
		return fail(-EINVAL,
			    "plugin %s has a config struct of %zu bytes",
			    p->path, d->config_size);
	return 0;
}

/* As the names of options, or with underscores as Prometheus has them. */
static bool load_is_counter(const char *s)
{
	size_t n = strlen(s);

	return n && n <= REG_NAME_MAX && *s >= 'a' && *s <= 'z' &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-_") == n;
}

static int load_check_counters(struct reg_plugin *p)
{
	const char *const *names = p->desc.counters;

	for (size_t i = 0; names && names[i]; ++i) {
		if (i == LOAD_MAX_COUNTERS)
			return fail(-EINVAL,
				    "plugin %s has more than %d counters",
				    p->path, LOAD_MAX_COUNTERS);
		if (!load_is_counter(names[i]))
			return fail(-EINVAL,
				    "plugin %s: a counter's name is not "
				    "[a-z][a-z0-9_-]*",
				    p->path);
		for (size_t j = 0; j < i; ++j)
			if (!strcmp(names[i], names[j]))
				return fail(-EINVAL,
					    "plugin %s: counter %s is there "
					    "twice",
					    p->path, names[i]);
		p->n_counters = i + 1;
	}
	return 0;
}

static int load_describe(struct reg_plugin *p, int kind, const char *name)
{
	const struct dynfs_option *options = p->desc.options;
	size_t stride = p->desc.option_size;
	int r = load_check_name(p, name);

	if (r == 0)
		r = load_check_words(p);
	if (r < 0)
		return r;
	r = kinds_of(&p->desc, p->path);
	if (r < 0)
		return r;
	if (kind >= 0 && r != kind)
		return fail(-EINVAL, "plugin %s is a %s, not a %s", p->path,
			    reg_kind_name((enum reg_kind)r),
			    reg_kind_name((enum reg_kind)kind));
	p->kind = (enum reg_kind)r;
	r = kinds_adopt(p);
	if (r == 0)
		r = option_adopt(p, options, stride);
	return r < 0 ? r : load_check_counters(p);
}

static void load_warn(struct reg_plugin *p, unsigned constructors)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	constructors = 0; /* the sanitizers' own */
#endif
	if (!constructors)
		return;
	p->warning = str_printf("runs %u constructor%s when it is loaded, "
				"before it can be checked",
				constructors, constructors > 1 ? "s" : "");
	if (p->warning)
		log_warn("registry", "plugin %s %s", p->path, p->warning);
}

static void load_free(struct reg_plugin **pp)
{
	struct reg_plugin *p = *pp;

	if (!p)
		return;
	(void)pthread_mutex_destroy(&p->lock);
	free(p->options);
	free(p->warning);
	free(p->path);
	free(p);
}

static int load_begin(const char *path, struct reg_plugin **ret)
{
	CLEANUP(load_free) struct reg_plugin *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	list_init(&p->link);
	(void)pthread_mutex_init(&p->lock, NULL);
	p->path = realpath(path, NULL);
	if (!p->path)
		return fail(-errno, "plugin %s is not there", path);
	*ret = TAKE(p);
	return 0;
}

int load_file(const char *path, int kind, const char *name,
	      struct reg_plugin **ret)
{
	CLEANUP(load_free) struct reg_plugin *p = NULL;
	CLEANUP(load_close) int fd = -1;
	const struct dynfs_plugin *(*entry)(void) = NULL;
	unsigned constructors = 0;
	int r = load_begin(path, &p);

	if (r < 0 || !p)
		return r;
	/* NONBLOCK: a pipe of that name must not hold us up */
	fd = open(p->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return fail(-errno, "plugin %s can not be read", p->path);
	r = load_check_file(fd, p->path);
	if (r == 0)
		r = elf_check(fd, p->path, &constructors);
	if (r == 0)
		r = load_entry(p->path, fd, &entry);
	if (r == 0 && entry)
		r = load_adopt(p, entry());
	if (r == 0)
		r = load_describe(p, kind, name);
	if (r < 0)
		return r;
	load_warn(p, constructors);
	*ret = TAKE(p);
	return 0;
}
