/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of keys.  The loader fills structs from it, messages quote it,
 * conf_print() and the manual are written from it: four stories that can not
 * differ.  A key once released keeps its name and meaning.
 */
#include <config/config.h>

#include <base/log.h>

#include <string.h>

#define KIB 1024ll
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define TIB (1024 * GIB)

static const char *const keys_levels[] = {
	[DYNFS_ERR] = "error",
	[DYNFS_WARN] = "warning",
	[DYNFS_INFO] = "info",
	[DYNFS_DEBUG] = "debug",
	NULL,
};

static const char *const keys_atime[] = {
	[CONF_ATIME_RELATIVE] = "relatime",
	[CONF_ATIME_STRICT] = "strictatime",
	[CONF_ATIME_FILES] = "nodiratime",
	[CONF_ATIME_NONE] = "noatime",
	NULL,
};

const char *conf_atime_word(enum conf_atime atime)
{
	return keys_atime[atime];
}

#define AT(type, member)                                                       \
	.offset = (uint32_t)offsetof(struct type, member),                     \
	.width = (uint32_t)sizeof(((struct type *)0)->member)

#define TOP(member_, shape_, def_, help_)                                      \
	{                                                                      \
		"", shape_,                                                    \
		{                                                              \
			.name = #member_, AT(conf, member_), .def = (def_),    \
			.help = (help_)                                        \
		}                                                              \
	}
#define KEY(section_, shape_, ...)                                             \
	{                                                                      \
		section_, shape_,                                              \
		{                                                              \
			__VA_ARGS__                                            \
		}                                                              \
	}

static const struct conf_key keys[] = {
	TOP(pool, CONF_GROUP, NULL, "The pool and its disks"),
	TOP(metadata, CONF_GROUP, NULL, "Where names and maps are kept"),
	TOP(policies, CONF_POLICIES, NULL, "How data is made redundant"),
	TOP(placement, CONF_PLUGIN, "rendezvous",
	    "Which disks take the fragments of an extent"),
	TOP(store, CONF_PLUGIN, "segment", "How fragments rest on a disk"),
	TOP(frontends, CONF_PLUGINS, "fuse", "Ways into the pool"),
	TOP(jobs, CONF_PLUGINS, NULL, "Maintenance that runs by itself"),
	TOP(limits, CONF_GROUP, NULL, "What the daemon may use"),
	TOP(log, CONF_GROUP, NULL, "Lines for the operator"),

	KEY("pool", CONF_NAME, .name = "name", .type = DYNFS_OPT_STR,
	    .flags = DYNFS_OPT_REQUIRED, AT(conf_pool, name),
	    .help = "What the pool is called"),
	KEY("pool", CONF_PATH, .name = "dir", .type = DYNFS_OPT_STR,
	    AT(conf_pool, dir), .def = ".",
	    .help = "The folder that relative paths begin at; itself relative "
		    "to the folder of this file"),
	KEY("pool", CONF_PATH, .name = "mountpoint", .type = DYNFS_OPT_STR,
	    AT(conf_pool, mountpoint), .help = "Where the pool is mounted"),
	KEY("pool", CONF_VALUE, .name = "extent-size", .type = DYNFS_OPT_SIZE,
	    .flags = CONF_POWER_OF_TWO, AT(conf_pool, extent_bytes),
	    .def = "1M", .min = 64 * KIB, .max = 16 * MIB,
	    .help = "The most content that one extent holds; fixed when the "
		    "pool is made",
	    .unit = "bytes"),
	KEY("pool", CONF_VALUE, .name = "create", .type = DYNFS_OPT_BOOL,
	    AT(conf_pool, create), .def = "false",
	    .help = "Make the pool when its disks are empty"),
	KEY("pool", CONF_VALUE, .name = "readonly", .type = DYNFS_OPT_BOOL,
	    AT(conf_pool, readonly), .def = "false",
	    .help = "Write nothing to any disk"),
	KEY("pool", CONF_VALUE, .name = "atime", .type = DYNFS_OPT_ENUM,
	    AT(conf_pool, atime), .def = "relatime", .choices = keys_atime,
	    .help = "Which reads move the time of last access: those after a "
		    "change or a day, each, none of directories, none"),
	KEY("pool", CONF_DISKS, .name = "disks", AT(conf_pool, disks),
	    .help = "The disks of the pool"),

	KEY("pool.disks", CONF_PATH, .name = "path", .type = DYNFS_OPT_STR,
	    .flags = DYNFS_OPT_REQUIRED, AT(conf_disk, path),
	    .help = "A folder that is the pool's alone"),
	KEY("pool.disks", CONF_VALUE, .name = "limit", .type = DYNFS_OPT_SIZE,
	    AT(conf_disk, limit_bytes),
	    .help = "Use no more of the disk than this; 0 is all of it",
	    .unit = "bytes"),
	KEY("pool.disks", CONF_LABELS, .name = "labels", AT(conf_disk, labels),
	    .help = "Words about the disk; disks of one \"domain\" share a "
		    "fate, \"tier\" groups them by speed"),

	KEY("metadata", CONF_PLUGIN, .name = "engine",
	    AT(conf_metadata, engine), .def = "rocksdb",
	    .help = "The index of the metadata"),
	KEY("metadata", CONF_VALUE, .name = "copies", .type = DYNFS_OPT_INT,
	    AT(conf_metadata, copies), .def = "3", .min = 1, .max = 16,
	    .help = "On how many disks the commit log is kept",
	    .unit = "disks"),
	KEY("metadata", CONF_PATHS, .name = "dirs", AT(conf_metadata, dirs),
	    .help = "Folders for the index, best on an SSD; none: on the "
		    "disks of the pool"),
	KEY("metadata", CONF_VALUE, .name = "memory", .type = DYNFS_OPT_SIZE,
	    AT(conf_metadata, memory_bytes), .def = "64M", .min = 8 * MIB,
	    .max = 1 * TIB, .help = "Caches and buffers of the index",
	    .unit = "bytes"),
	KEY("metadata", CONF_VALUE, .name = "group-bytes",
	    .type = DYNFS_OPT_SIZE, AT(conf_metadata, group_bytes),
	    .def = "16M", .min = 1 * MIB, .max = 256 * MIB,
	    .help = "A commit group is closed when it holds so much",
	    .unit = "bytes"),
	KEY("metadata", CONF_VALUE, .name = "group-ms", .type = DYNFS_OPT_INT,
	    AT(conf_metadata, group_ms), .def = "1000", .min = 1, .max = 60000,
	    .help = "A commit group is closed when it is so old", .unit = "ms"),

	KEY("policies", CONF_NAME, .name = "default", .type = DYNFS_OPT_STR,
	    AT(conf_policies, default_name),
	    .help = "The policy of what has no other; required where "
		    "policies are given, else a built-in erasure 4+2 called "
		    "ec42"),

	KEY("policies.NAME", CONF_NAME, .name = "redundancy",
	    .type = DYNFS_OPT_STR, AT(conf_policy, redundancy.name),
	    .help = "The plugin; without it \"replica\" for copies and "
		    "\"erasure\" for k and m"),
	KEY("policies.NAME", CONF_VALUE, .name = "k", .type = DYNFS_OPT_INT,
	    AT(conf_policy, k), .min = 0, .max = DYNFS_REDUNDANCY_MAX,
	    .help = "Fragments of data", .unit = "fragments"),
	KEY("policies.NAME", CONF_VALUE, .name = "m", .type = DYNFS_OPT_INT,
	    AT(conf_policy, m), .min = 0, .max = DYNFS_REDUNDANCY_MAX - 1,
	    .help = "Fragments that may be lost", .unit = "fragments"),
	KEY("policies.NAME", CONF_VALUE, .name = "copies",
	    .type = DYNFS_OPT_INT, AT(conf_policy, copies), .min = 0,
	    .max = DYNFS_REDUNDANCY_MAX,
	    .help = "Whole copies, in place of k and m", .unit = "copies"),
	KEY("policies.NAME", CONF_NAME, .name = "checksum",
	    .type = DYNFS_OPT_STR, AT(conf_policy, checksum), .def = "blake3",
	    .help = "The plugin that sums every stored block"),
	KEY("policies.NAME", CONF_WORDS, .name = "transforms",
	    AT(conf_policy, transforms),
	    .help = "Plugins that data passes on its way to the disks"),
	KEY("policies.NAME", CONF_NAME, .name = "degraded",
	    .type = DYNFS_OPT_STR, AT(conf_policy, degraded),
	    .help = "The policy while too few disks are there; \"none\" "
		    "refuses writes then; without it copies are made"),
	KEY("policies.NAME", CONF_VALUE, .name = "block-size",
	    .type = DYNFS_OPT_SIZE, .flags = CONF_POWER_OF_TWO,
	    AT(conf_policy, block_bytes), .def = "16K", .min = 4 * KIB,
	    .max = 1 * MIB, .help = "What one checksum covers",
	    .unit = "bytes"),
	KEY("policies.NAME", CONF_OPTIONS, .name = "options",
	    AT(conf_policy, redundancy.options),
	    .help = "Options of the redundancy plugin"),
	KEY("policies.NAME", CONF_USERS, .name = "users",
	    AT(conf_policy, users),
	    .help = "Who besides root may choose the policy by hand though it "
		    "stores more for a byte than the default one does"),

	KEY("limits", CONF_VALUE, .name = "memory", .type = DYNFS_OPT_SIZE,
	    AT(conf_limits, memory_bytes), .def = "256M", .min = 64 * MIB,
	    .max = 1 * TIB, .help = "Memory of the daemon, all included",
	    .unit = "bytes"),
	KEY("limits", CONF_VALUE, .name = "threads", .type = DYNFS_OPT_INT,
	    AT(conf_limits, threads), .def = "0", .min = 0, .max = 1024,
	    .help =
		"Worker threads; 0: one a processor, at most one for 32M of "
		"memory",
	    .unit = "threads"),

	KEY("log", CONF_VALUE, .name = "level", .type = DYNFS_OPT_ENUM,
	    AT(conf_log, level), .def = "info", .choices = keys_levels,
	    .help = "The least important lines that are written"),
	KEY("log", CONF_PATH, .name = "file", .type = DYNFS_OPT_STR,
	    AT(conf_log, file),
	    .help = "Append lines to this file; without it they go to the "
		    "journal or the terminal"),
};

const struct conf_key *conf_keys(size_t i)
{
	return i < sizeof(keys) / sizeof(*keys) ? &keys[i] : NULL;
}

const struct conf_key *conf_find_key(const char *section, const char *name)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); ++i)
		if (!strcmp(keys[i].section, section) &&
		    !strcmp(keys[i].o.name, name))
			return &keys[i];
	return NULL;
}

void conf_expect(const struct conf_key *key, struct buf *out)
{
	static const char *const words[] = {
		[CONF_NAME] = "name [a-z][a-z0-9-]*",
		[CONF_PATH] = "path",
		[CONF_WORDS] = "list of names",
		[CONF_PATHS] = "list of paths",
		[CONF_USERS] = "list of users and @groups, by name or number",
		[CONF_LABELS] = "group of words",
		[CONF_OPTIONS] = "group of options",
		[CONF_PLUGIN] = "group with plugin and its options",
		[CONF_PLUGINS] = "list of groups with plugin and its options",
		[CONF_GROUP] = "group",
		[CONF_DISKS] = "list of groups, one for each disk",
		[CONF_POLICIES] = "group of policies",
	};

	if (key->shape == CONF_VALUE)
		reg_expect(&key->o, out);
	else
		buf_printf(out, "%s", words[key->shape]);
	if (key->o.flags & CONF_POWER_OF_TWO)
		buf_printf(out, ", a power of two");
}
