/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store plugin below a disk.
 *
 * A disk is of one kind for life: its label says which plugin made it and
 * with which FORMAT options, and that wins over the configuration, which is
 * for new disks.  A configuration that contradicts the label is refused by
 * name rather than followed or ignored.
 *
 * On disks that may hold the log the store gets less than the whole, so that
 * fragments can fill a disk to the brim and groups can still be committed:
 * deleting needs room in the log.
 */
#include <disk/private.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/log.h>
#include <base/str.h>
#include <registry/store.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_SHARE 32u /* one part in so many */
#define ROOM_MIN   (4ull << 20)
#define ROOM_MAX   (8ull << 30)
/* the largest head: digests of small blocks, many packed owners */
#define FRAGMENT_HEAD_MAX (1u << 20)

void store_kind_done(struct store_kind *k)
{
	for (uint32_t i = 0; k->strings && i < 3 * k->n; ++i)
		free(k->strings[i]);
	free(k->strings);
	free(k->settings);
	free(k->plugin);
	*k = (struct store_kind){ 0 };
}

/* A copy that slot owns; NULL stays NULL. */
static const char *keep_text(const char *s, char **slot, bool *bad)
{
	*slot = s ? strdup(s) : NULL;
	*bad |= s && !*slot;
	return *slot;
}

int store_kind_copy(const struct disks_how *how, struct store_kind *ret)
{
	struct store_kind k = { 0 };
	uint32_t n = how->n_store_options;
	bool bad;

	k.plugin = strdup(how->store_plugin ? how->store_plugin : "segment");
	k.settings = (struct reg_setting *)calloc(n + 1u, sizeof(*k.settings));
	k.strings = (char **)calloc(3 * (size_t)n + 1, sizeof(*k.strings));
	bad = !k.plugin || !k.settings || !k.strings;
	for (; !bad && k.n < n; ++k.n) {
		struct reg_setting *s = &k.settings[k.n];
		char **keep = &k.strings[3 * (size_t)k.n];

		*s = how->store_options[k.n];
		s->key = keep_text(s->key, keep, &bad);
		s->text = keep_text(s->text, keep + 1, &bad);
		s->file = keep_text(s->file, keep + 2, &bad);
	}
	if (bad)
		store_kind_done(&k);
	else
		*ret = k;
	return bad ? -ENOMEM : 0;
}

uint64_t store_room(uint8_t role, uint64_t limit_bytes, uint64_t device_bytes)
{
	uint64_t base = limit_bytes ? limit_bytes : device_bytes;
	uint64_t room = base / ROOM_SHARE;

	if (!(role & MEMBER_LOGS) || !(role & MEMBER_STORES))
		return 0;
	if (room < ROOM_MIN)
		room = ROOM_MIN;
	if (room > ROOM_MAX)
		room = ROOM_MAX;
	return room < base / 4 ? room : base / 4;
}

uint64_t store_limit(uint64_t limit_bytes, uint64_t device_bytes,
		     uint64_t room_bytes)
{
	uint64_t base = limit_bytes ? limit_bytes : device_bytes;

	return room_bytes ? base - room_bytes : limit_bytes;
}

/* The name that a label begins with, and where the options begin. */
static const char *spec_options(const char *spec, char *name, size_t len)
{
	size_t n = strcspn(spec, "\n");

	if (n >= len)
		n = len - 1;
	memcpy(name, spec, n);
	name[n] = '\0';
	spec += strcspn(spec, "\n");
	return *spec ? spec + 1 : spec;
}

static bool is_set(const struct reg_setting *set, uint32_t n, const char *key)
{
	for (uint32_t i = 0; i < n; ++i)
		if (!strcmp(set[i].key, key))
			return true;
	return false;
}

/*
 * The label's "name=value" lines as settings where the configuration is
 * silent.  text is cut up in place; out has room for all.
 */
static uint32_t spec_settings(char *text, const struct reg_setting *set,
			      uint32_t n, struct reg_setting *out)
{
	uint32_t n_out = 0;

	while (*text) {
		char *end = text + strcspn(text, "\n");
		char *next = *end ? end + 1 : end, *eq;

		*end = '\0';
		eq = strchr(text, '=');
		if (eq) {
			*eq = '\0';
			if (!is_set(set, n, text))
				out[n_out++] = (struct reg_setting){
					.key = text,
					.text = eq + 1,
					.form = REG_WORD,
				};
		}
		text = next;
	}
	return n_out;
}

static uint32_t count_lines(const char *text)
{
	uint32_t n = 1;

	for (; *text; ++text)
		n += *text == '\n';
	return n;
}

/* A started instance of the kind that spec (NULL: a new one) says. */
static int store_inst(struct reg *reg, const struct store_kind *kind,
		      const struct dynfs_os *os, const char *dir,
		      const char *spec, struct reg_inst **ret)
{
	AUTOFREE struct reg_setting *set = NULL;
	AUTOFREE char *label = str_printf("disk %s", dir);
	AUTOFREE char *options = NULL;
	char name[REG_NAME_MAX + 1];
	const char *rest =
	    spec_options(spec ? spec : kind->plugin, name, sizeof(name));
	/* options of the configuration are those of the plugin it names */
	uint32_t n = !strcmp(name, kind->plugin) ? kind->n : 0;
	struct reg_plugin *plugin;
	struct reg_inst *inst;
	int r;

	options = strdup(rest);
	set = (struct reg_setting *)calloc(n + count_lines(rest) + 1u,
					   sizeof(*set));
	if (!label || !options || !set)
		return -ENOMEM;
	memcpy(set, kind->settings, n * sizeof(*set));
	n += spec_settings(options, set, n, set + n);
	r = reg_load(reg, REG_STORE, name, &plugin);
	if (r >= 0)
		r = reg_new(plugin, label, set, n, os, &inst);
	if (r < 0)
		return r;
	r = spec ? reg_format_check(inst, rest, strlen(rest)) : 0;
	if (r >= 0)
		r = reg_start(inst);
	if (r < 0) {
		reg_free(inst);
		return r;
	}
	*ret = inst;
	return 0;
}

static int inst_spec(const struct reg_inst *inst, char **ret)
{
	AUTOBUF struct buf b = BUF_INIT;

	buf_printf(&b, "%s\n", inst->plugin->name);
	reg_format_options(inst, &b);
	buf_put8(&b, 0);
	if (buf_error(&b))
		return buf_error(&b);
	*ret = strdup((const char *)b.data);
	return *ret ? 0 : -ENOMEM;
}

/* A disk that can hold nothing is a typing mistake. */
static int store_fits(struct reg_inst *inst, const char *dir, uint64_t fragment)
{
	struct dynfs_store_space s;
	char have[STR_SIZE_MAX], want[STR_SIZE_MAX];
	int r = reg_store_space(inst, &s);

	if (r < 0 || s.total_bytes >= fragment)
		return r;
	return fail(-EINVAL,
		    "disk %s: its store would have %s, and needs %s for the "
		    "smallest use; give it more room or a higher limit",
		    dir, str_size(s.total_bytes, have, sizeof(have)),
		    str_size(fragment, want, sizeof(want)));
}

int store_make(const struct dynfs_os *os, struct reg *reg,
	       const struct store_kind *kind, const char *dir, uint8_t role,
	       uint64_t limit_bytes, uint32_t extent_bytes, char **ret_spec)
{
	AUTOFREE char *path = str_path(dir, DISK_STORE);
	struct dynfs_os_space below = { 0 };
	struct dynfs_store_open how = {
		.size = sizeof(how),
		.path = path,
		.flags = DYNFS_STORE_OPEN_CREATE,
		.max_fragment_bytes =
		    (uint64_t)extent_bytes + FRAGMENT_HEAD_MAX,
	};
	struct reg_inst *inst;
	int r = path ? os->space(os, dir, &below) : -ENOMEM;

	if (r >= 0)
		r = os->mkdir(os, path, 0700);
	if (r < 0)
		return fail(r, "disk %s: cannot make its store: %s", dir,
			    fail_name(r));
	how.limit_bytes =
	    store_limit(limit_bytes, below.total_bytes,
			store_room(role, limit_bytes, below.total_bytes));
	r = store_inst(reg, kind, os, dir, NULL, &inst);
	if (r < 0)
		return r;
	r = reg_store_open(inst, &how);
	if (r >= 0) {
		r = store_fits(inst, dir, how.max_fragment_bytes);
		if (r >= 0)
			r = inst_spec(inst, ret_spec);
		reg_store_close(inst);
	}
	reg_free(inst);
	return r;
}

/* What the operator or the program must put right before anything else. */
static bool is_callers_fault(int r)
{
	return r == -EINVAL || r == -ENOMEM || r == -EMFILE || r == -ENFILE;
}

int store_open(struct disks *d, struct disk_in *k)
{
	const struct label *l = &k->label;
	AUTOFREE char *path = str_path(k->pub.path, DISK_STORE);
	struct dynfs_os_space below;
	struct dynfs_store_open how = {
		.size = sizeof(how),
		.path = path,
		.flags =
		    atomic_load(&d->readonly) ? DYNFS_STORE_OPEN_RDONLY : 0,
		.max_fragment_bytes =
		    (uint64_t)l->extent_bytes + FRAGMENT_HEAD_MAX,
	};
	struct reg_inst *inst;
	int r;

	if (!path)
		return -ENOMEM;
	r = store_inst(d->reg, &d->kind, &k->os, k->pub.path, l->store, &inst);
	if (r < 0)
		return r;
	r = d->os->space(d->os, k->pub.path, &below);
	if (r >= 0) {
		k->room_bytes = store_room(k->pub.role, k->pub.limit_bytes,
					   below.total_bytes);
		how.limit_bytes = store_limit(k->pub.limit_bytes,
					      below.total_bytes, k->room_bytes);
		r = reg_store_open(inst, &how);
	}
	if (r >= 0) {
		k->pub.store = inst;
		return 0;
	}
	reg_free(inst);
	if (is_callers_fault(r))
		return r;
	log_error(DISK_AREA,
		  "disk %s: its store cannot be opened, the disk counts as "
		  "missing: %s",
		  k->pub.path, fail_text(r));
	atomic_store(&k->pub.health, DISK_MISSING);
	return 0;
}

void store_close(struct disk_in *k)
{
	if (!k->pub.store)
		return;
	reg_store_close(k->pub.store);
	reg_free(k->pub.store);
	k->pub.store = NULL;
}
