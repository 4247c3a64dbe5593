/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where plugins lie and which ones are loaded.
 *
 * The path is a list of folders; the first that has KIND/NAME.so gives it, so
 * a developer's folder in front hides what is installed.  A program in its
 * build tree and one that was installed somewhere else both find their own
 * plugins by looking beside themselves, before the folder that was compiled
 * in.
 *
 * A plugin that loaded is kept for the process, in a list that only grows:
 * two registries (a program that checks a configuration and then opens it)
 * share it, for the dynamic loader would give both the same code anyway, and
 * DYNFS_SERIAL_PLUGIN is a promise about the code.
 */
#include <registry/internal.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/str.h>

#include <dirent.h>
#include <dynfs_build.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REGISTRY_MAX_DIRS 32
#define REGISTRY_SUFFIX   ".so"

struct reg {
	char *dirs[REGISTRY_MAX_DIRS + 1]; /* owned; NULL ends */
	size_t n_dirs;
};

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
/* guarded by the lock */
static struct list registry_loaded = { &registry_loaded, &registry_loaded };

static int registry_add_dir(struct reg *reg, const char *dir, size_t len)
{
	AUTOFREE char *cwd = getcwd(NULL, 0);
	AUTOFREE char *name = strndup(dir, len);
	char *copy;

	if (!len)
		return 0;
	if (reg->n_dirs == REGISTRY_MAX_DIRS)
		return fail(-EINVAL, "the plugin path has more than %d folders",
			    REGISTRY_MAX_DIRS);
	/* a daemon that goes to the background leaves the folder it is in */
	copy = name ? str_path(cwd ? cwd : "", name) : NULL;
	if (!copy)
		return -ENOMEM;
	reg->dirs[reg->n_dirs++] = copy;
	return 0;
}

static int registry_add_path(struct reg *reg, const char *path)
{
	for (;;) {
		size_t n = strcspn(path, ":");
		int r = registry_add_dir(reg, path, n);

		if (r < 0 || !path[n])
			return r;
		path += n + 1;
	}
}

/* ../lib/dynfs beside the program's folder; NULL: no such folder. */
static char *registry_beside_program(void)
{
	AUTOFREE char *self = realpath("/proc/self/exe", NULL);
	AUTOFREE char *dir = NULL;
	struct stat st;
	char *slash;

	for (int up = 0; self && up < 2; ++up) {
		slash = strrchr(self, '/');
		if (!slash)
			return NULL;
		*slash = '\0';
	}
	if (self)
		dir = str_printf("%s/lib/dynfs", self);
	if (!dir || stat(dir, &st) < 0 || !S_ISDIR(st.st_mode))
		return NULL;
	return TAKE(dir);
}

int reg_open(const char *path, struct reg **ret)
{
	struct reg *reg = calloc(1, sizeof(*reg));
	int r;

	if (!reg)
		return -ENOMEM;
	if (!path)
		path = secure_getenv("DYNFS_PLUGIN_DIR");
	if (path && *path) {
		r = registry_add_path(reg, path);
	} else {
		AUTOFREE char *beside = registry_beside_program();

		r = registry_add_path(reg, beside ? beside : BUILD_PLUGIN_DIR);
	}
	if (r < 0) {
		reg_close(reg);
		return r;
	}
	*ret = reg;
	return 0;
}

void reg_close(struct reg *reg)
{
	if (!reg)
		return;
	for (size_t i = 0; i < reg->n_dirs; ++i)
		free(reg->dirs[i]);
	free(reg);
}

const char *reg_dir(const struct reg *reg, size_t i)
{
	return i < reg->n_dirs ? reg->dirs[i] : NULL;
}

static int registry_find(const struct reg *reg, enum reg_kind kind,
			 const char *name, char **ret)
{
	for (size_t i = 0; i < reg->n_dirs; ++i) {
		AUTOFREE char *path =
		    str_printf("%s/%s/%s" REGISTRY_SUFFIX, reg->dirs[i],
			       reg_kind_name(kind), name);

		if (!path)
			return -ENOMEM;
		if (access(path, F_OK) == 0) {
			*ret = TAKE(path);
			return 0;
		}
	}
	return -ENOENT;
}

/* What is there of this kind, for a message: "a, b, c". */
static void registry_names(struct reg *reg, enum reg_kind kind, struct buf *out)
{
	const char *between = "; there is ";

	for (size_t i = 0; i < reg->n_dirs; ++i) {
		AUTOFREE char *path =
		    str_path(reg->dirs[i], reg_kind_name(kind));
		DIR *dir = path ? opendir(path) : NULL;
		const struct dirent *e;

		/* NOLINTNEXTLINE(concurrency-mt-unsafe): a stream of our own */
		while (dir && (e = readdir(dir))) {
			size_t n = strlen(e->d_name);

			if (n <= 3 ||
			    strcmp(e->d_name + n - 3, REGISTRY_SUFFIX) != 0)
				continue;
			buf_printf(out, "%s%.*s", between, (int)n - 3,
				   e->d_name);
			between = ", ";
		}
		if (dir)
			(void)closedir(dir);
	}
	buf_put8(out, 0);
}

static int registry_fail_absent(struct reg *reg, enum reg_kind kind,
				const char *name)
{
	AUTOBUF struct buf others = BUF_INIT;

	registry_names(reg, kind, &others);
	return fail(-ENOENT, "there is no plugin %s/%s in %s%s%s",
		    reg_kind_name(kind), name,
		    reg->n_dirs ? reg->dirs[0] : "an empty path",
		    reg->n_dirs > 1 ? " and the folders after it" : "",
		    buf_error(&others) ? "" : (const char *)others.data);
}

static struct reg_plugin *registry_known(const char *path)
{
	list_for(it, &registry_loaded)
	{
		struct reg_plugin *p =
		    container_of(it, struct reg_plugin, link);

		if (!strcmp(p->path, path))
			return p;
	}
	return NULL;
}

static int registry_load_path(const char *path, enum reg_kind kind,
			      const char *name, struct reg_plugin **ret)
{
	AUTOFREE char *resolved = realpath(path, NULL);
	struct reg_plugin *p;
	int r;

	AUTOLOCK(&registry_lock);
	p = resolved ? registry_known(resolved) : NULL;
	if (!p || p->kind != kind || strcmp(p->name, name) != 0) {
		r = load_file(path, (int)kind, name, &p);
		if (r < 0)
			return r;
		list_push(&registry_loaded, &p->link);
	}
	*ret = p;
	return 0;
}

int reg_load(struct reg *reg, enum reg_kind kind, const char *name,
	     struct reg_plugin **ret)
{
	AUTOFREE char *path = NULL;
	int r;

	if (!reg_kind_name(kind))
		return fail(-EINVAL, "there is no such kind of plugin");
	if (!str_is_name(name, REG_NAME_MAX)) {
		char shown[REG_NAME_MAX];

		return fail(-EINVAL,
			    "\"%s\" is not a name of a %s plugin: "
			    "[a-z][a-z0-9-]*",
			    str_quote(name, strlen(name), shown, sizeof(shown)),
			    reg_kind_name(kind));
	}
	r = registry_find(reg, kind, name, &path);
	if (r == -ENOENT)
		return registry_fail_absent(reg, kind, name);
	return r < 0 ? r : registry_load_path(path, kind, name, ret);
}

/* ---- listing --------------------------------------------------------- */

struct registry_found {
	struct reg_entry *list;
	size_t n, cap;
};

static bool registry_has(const struct registry_found *f, enum reg_kind kind,
			 const char *name)
{
	for (size_t i = 0; i < f->n; ++i)
		if (f->list[i].kind == kind && !strcmp(f->list[i].name, name))
			return true;
	return false;
}

/* One file; name and path are taken also when it fails. */
static int registry_add_entry(struct registry_found *f, enum reg_kind kind,
			      char *name, char *path)
{
	struct reg_entry e = { .kind = kind, .name = name, .path = path };
	struct reg_entry *list;
	int r = 0;

	if (!name || !path)
		r = -ENOMEM;
	if (r == 0 && f->n == f->cap) {
		f->cap = f->cap ? 2 * f->cap : 16;
		list = reallocarray(f->list, f->cap, sizeof(*list));
		if (!list)
			r = -ENOMEM;
		else
			f->list = list;
	}
	if (r < 0) {
		free(name);
		free(path);
		return r;
	}
	r = str_is_name(name, REG_NAME_MAX)
		? registry_load_path(path, kind, name, &e.plugin)
		: fail(-EINVAL, "plugin %s: no file of that name is a plugin",
		       path);
	if (r < 0) {
		e.error = strdup(fail_text(r));
		fail_clear();
	}
	f->list[f->n++] = e;
	return 0;
}

static int registry_scan(struct registry_found *f, const char *dir,
			 enum reg_kind kind)
{
	AUTOFREE char *path = str_path(dir, reg_kind_name(kind));
	const struct dirent *e;
	DIR *d;
	int r = 0;

	if (!path)
		return -ENOMEM;
	d = opendir(path);
	if (!d)
		return 0; /* no plugins of this kind here */
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): a stream of our own */
	while (r == 0 && (e = readdir(d))) {
		size_t n = strlen(e->d_name);
		char *name;

		if (n <= 3 || strcmp(e->d_name + n - 3, REGISTRY_SUFFIX) != 0)
			continue;
		name = strndup(e->d_name, n - 3);
		if (name && registry_has(f, kind, name))
			free(name);
		else
			r = registry_add_entry(f, kind, name,
					       str_path(path, e->d_name));
	}
	(void)closedir(d);
	return r;
}

static int registry_compare(const void *a, const void *b)
{
	const struct reg_entry *x = a, *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return strcmp(x->name, y->name);
}

int reg_list(struct reg *reg, struct reg_entry **ret, size_t *ret_n)
{
	struct registry_found f = { NULL, 0, 0 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < reg->n_dirs; ++i)
		for (int k = 0; r == 0 && k < REG_N_KINDS; ++k)
			r = registry_scan(&f, reg->dirs[i], (enum reg_kind)k);
	if (r < 0) {
		reg_list_free(f.list, f.n);
		return r;
	}
	if (f.n)
		qsort(f.list, f.n, sizeof(*f.list), registry_compare);
	*ret = f.list;
	*ret_n = f.n;
	return 0;
}

void reg_list_free(struct reg_entry *list, size_t n)
{
	for (size_t i = 0; i < n; ++i) {
		free(list[i].name);
		free(list[i].path);
		free(list[i].error);
	}
	free(list);
}
