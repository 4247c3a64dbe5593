/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration of a pool: a libconfig file and "--set key=value" words
 * become checked structs, or one sentence with file and line.
 *
 * conf_load() checks all that can be seen in the file; conf_check() also asks
 * the plugins it names, without touching a pool.  Everything in struct conf
 * belongs to it and lives until conf_free(); it is never changed after it was
 * loaded, so any thread may read it.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <registry/registry.h>

#define CONF_MAX_DISKS    1024
#define CONF_MAX_POLICIES 256

/* Where something was said; line 0: on the command line, or by default. */
struct conf_place {
	const char *file;
	unsigned line;
};

/* A plugin by name and its options, ready for reg_new(). */
struct conf_plugin {
	const char *name;
	struct reg_setting *options;
	size_t n_options;
	struct conf_place place;
};

struct conf_label {
	const char *key, *value; /* "tier", "domain", or any other */
};

struct conf_disk {
	const char *path;     /* absolute, without "." and ".." */
	uint64_t limit_bytes; /* 0: none */
	struct conf_label *labels;
	size_t n_labels;
	struct conf_place place;
};

struct conf_words {
	const char **list;
	size_t n;
};

struct conf_policy {
	const char *name;
	struct conf_plugin redundancy; /* with the policy's "options" */
	int64_t k, m;                  /* copies = N is 1 and N-1 */
	int64_t copies;                /* 0: it was given as k and m */
	const char *checksum;
	struct conf_words transforms; /* names of plugins, in order */
	struct conf_words users;      /* "alice", "1000", "@staff", "@50" */
	const char *degraded;         /* a policy, "none", or NULL: built in */
	uint64_t block_bytes;
	struct conf_place place;
};

/* Which reads move the time of last access; the words of mount(8). */
enum conf_atime {
	CONF_ATIME_RELATIVE, /* when it is older than a change, or than a day */
	CONF_ATIME_STRICT,   /* each */
	CONF_ATIME_FILES,    /* as the first, but for directories */
	CONF_ATIME_NONE,
};
const char *conf_atime_word(enum conf_atime atime);

struct conf_pool {
	const char *name;
	const char *dir;        /* absolute; what relative paths begin at */
	const char *mountpoint; /* absolute, or NULL */
	uint64_t extent_bytes;
	int32_t create, readonly;
	int32_t atime; /* enum conf_atime */
	struct conf_disk *disks;
	size_t n_disks;
};

struct conf_metadata {
	struct conf_plugin engine;
	int64_t copies;
	struct conf_words dirs; /* absolute */
	uint64_t memory_bytes;
	uint64_t group_bytes;
	int64_t group_ms;
};

struct conf_policies {
	const char *default_name;
	struct conf_policy *list;
	size_t n;
	struct conf_place place;
};

struct conf_plugins {
	struct conf_plugin *list;
	size_t n;
};

struct conf_limits {
	uint64_t memory_bytes;
	int64_t threads; /* 0: as many as there are processors */
};

struct conf_log {
	int32_t level;    /* enum dynfs_log_level */
	const char *file; /* absolute, or NULL: where the program logs */
};

struct conf_block; /* memory of one conf */

struct conf {
	const char *path; /* of the file, absolute */
	struct conf_pool pool;
	struct conf_metadata metadata;
	struct conf_policies policies;
	struct conf_plugin placement;
	struct conf_plugin store;
	struct conf_plugins frontends;
	struct conf_plugins jobs;
	struct conf_limits limits;
	struct conf_log log;
	struct conf_block *blocks;
};

/*
 * sets: words "key.key=value" that replace what the file says; an element of
 * a list is named by its number ("pool.disks.0.limit=4G").
 */
int conf_load(const char *path, const char *const *sets, size_t n_sets,
	      struct conf **ret);
/* The same from len bytes that stand for the file path. */
int conf_parse(const char *text, size_t len, const char *path,
	       const char *const *sets, size_t n_sets, struct conf **ret);
void conf_free(struct conf *conf);

/* By name; NULL when there is none. */
const struct conf_policy *conf_policy(const struct conf *conf,
				      const char *name);

/*
 * Load every plugin that is named and let it check its options, and what the
 * policies ask of it.  No file of the pool is touched.
 */
int conf_check(const struct conf *conf, struct reg *reg);

/* The numbers of those that a policy names. */
struct conf_ids {
	uint32_t *uids, *gids; /* owned */
	uint32_t n_uids, n_gids;
};
/* Asks the system's lists; a name that they have not is left out. */
int conf_users(const struct conf_policy *p, struct conf_ids *ret);
void conf_ids_done(struct conf_ids *ids);
/* -EINVAL, with file and line, when there is such a name. */
int conf_check_users(const struct conf *conf);

/*
 * The whole configuration as it is in effect, commented, such that loading
 * the text gives the same.  With reg secrets are left out, and options of
 * plugins that do not load too; with NULL everything is there.
 */
void conf_print(const struct conf *conf, struct reg *reg, struct buf *out);

/* What a new configuration is made from. */
struct conf_init {
	const char *name;
	const char *mountpoint; /* may be NULL */
	const char *const *disks;
	size_t n_disks;
	uint32_t k, m; /* the default policy; k 0: the best that fits */
};

/* The commented pool.conf of a new pool, with policies that its disks can
 * hold; without disks, with all that are usual. */
void conf_write_default(const struct conf_init *init, struct buf *out);

/* ---- the table of keys ----------------------------------------------- */

enum conf_shape {
	CONF_VALUE,    /* one value, as o.type says */
	CONF_NAME,     /* [a-z][a-z0-9-]* */
	CONF_PATH,     /* relative ones begin at pool.dir */
	CONF_WORDS,    /* ( "a", "b" ): names */
	CONF_PATHS,    /* ( "a", "b" ): paths */
	CONF_USERS,    /* ( "user", "@group", "1000" ) */
	CONF_LABELS,   /* { any = "value"; ... } */
	CONF_OPTIONS,  /* { option = value; ... } of a plugin */
	CONF_PLUGIN,   /* { plugin = "name"; option = value; ... } */
	CONF_PLUGINS,  /* ( { plugin ... }, ... ) */
	CONF_GROUP,    /* the section of that name */
	CONF_DISKS,    /* ( { section "pool.disks" }, ... ) */
	CONF_POLICIES, /* section "policies", and groups of "policies.NAME" */
};

#define CONF_POWER_OF_TWO (1u << 31) /* in o.flags */

/*
 * One key: what the loader, the messages, `config show` and dynfs.conf(5)
 * are made from.  o.offset and o.width are of the section's struct.
 */
struct conf_key {
	const char *section; /* "" is the top */
	enum conf_shape shape;
	struct dynfs_option o;
};

/* The key i, in the order of the manual; NULL beyond the last. */
const struct conf_key *conf_keys(size_t i);
const struct conf_key *conf_find_key(const char *section, const char *name);
/* "size 64K..16M, a power of two", "list of paths", ...; appended. */
void conf_expect(const struct conf_key *key, struct buf *out);

#endif
