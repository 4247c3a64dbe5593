/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plugins: found, loaded, checked, described, and turned into instances.
 *
 * A registry knows where plugins lie (KIND/NAME.so below each folder of its
 * path) and which ones are loaded.  A loaded plugin stays until the process
 * ends: threads, destructors and static strings outlive any unloading.
 *
 * An instance is a plugin with checked options, a label for people and a
 * table of services of its own.  Its life is reg_new, reg_start, reg_stop,
 * reg_free; calls go through the typed functions of store.h, meta.h,
 * redundancy.h, checksum.h, placement.h and frontend.h, which lock as the
 * plugin declared, supply what is optional and doubt the answers.
 *
 * Errors are negative errno with fail() texts.  A registry and its plugins
 * may be used from any thread; an instance as its functions say.
 */
#ifndef REGISTRY_REGISTRY_H
#define REGISTRY_REGISTRY_H

#include <base/buf.h>
#include <base/list.h>
#include <dynfs/checksum.h>
#include <dynfs/frontend.h>
#include <dynfs/meta.h>
#include <dynfs/placement.h>
#include <dynfs/plugin.h>
#include <dynfs/redundancy.h>
#include <dynfs/store.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

enum reg_kind {
	REG_STORE,
	REG_META,
	REG_REDUNDANCY,
	REG_CHECKSUM,
	REG_PLACEMENT,
	REG_FRONTEND,
	REG_N_KINDS,
};

#define REG_NAME_MAX 64 /* bytes in the name of a plugin or an option */

/* "store", ...; NULL when kind is none. */
const char *reg_kind_name(enum reg_kind kind);
/* The kind of that name, or -EINVAL (no text). */
int reg_kind_parse(const char *name);

/* ---- plugins --------------------------------------------------------- */

/*
 * A plugin that passed every check.  All structs are the core's own copies,
 * as long as the core knows them, zero where the plugin's are shorter.
 * Read only; valid until the process ends.
 */
struct reg_plugin {
	struct list link; /* the registry's */
	enum reg_kind kind;
	const char *name;
	char *path;                   /* absolute, links resolved; owned */
	char *warning;                /* a sentence, or NULL; owned */
	struct dynfs_plugin desc;     /* options and ops point to the copies */
	struct dynfs_option *options; /* owned */
	size_t n_options;
	size_t n_counters; /* of desc.counters */
	union {
		struct dynfs_store_ops store;
		struct dynfs_meta_ops meta;
		struct dynfs_redundancy_ops redundancy;
		struct dynfs_checksum_ops checksum;
		struct dynfs_placement_ops placement;
		struct dynfs_frontend_ops frontend;
	} ops;
	pthread_mutex_t lock; /* held in every call if DYNFS_SERIAL_PLUGIN */
};

struct reg;

/*
 * The path is path if not NULL (folders, colons between), else
 * $DYNFS_PLUGIN_DIR, else ../lib/dynfs beside the folder of the program if
 * that exists, else the folder of the installation.
 */
int reg_open(const char *path, struct reg **ret);
/* Instances are gone; plugins stay loaded.  NULL is fine. */
void reg_close(struct reg *reg);
/* Folders of the path, the first wins; NULL beyond the last. */
const char *reg_dir(const struct reg *reg, size_t i);

/* -ENOENT when there is none of that name; borrowed, see above. */
int reg_load(struct reg *reg, enum reg_kind kind, const char *name,
	     struct reg_plugin **ret);

/* One file found in the path: a plugin, or the reason why it is not. */
struct reg_entry {
	enum reg_kind kind;
	char *name, *path;
	struct reg_plugin *plugin; /* NULL: broken */
	char *error;               /* a sentence, NULL unless broken */
};

/* Everything found, by kind and name; given back with reg_list_free(). */
int reg_list(struct reg *reg, struct reg_entry **ret, size_t *ret_n);
void reg_list_free(struct reg_entry *list, size_t n);

/* What `dynfs plugin show` prints: plain text, lines end with newlines. */
void reg_describe(const struct reg_plugin *plugin, struct buf *out);
const char *reg_threading_word(uint32_t threading);

/*
 * Load the file path, of any kind, in a child process, so that one that
 * crashes or hangs does not do it here.  0: out holds what reg_describe()
 * writes.  Else a sentence.  The caller has no threads that matter.
 */
int reg_check_child(const char *path, struct buf *out);

/* ---- options --------------------------------------------------------- */

/* How a value was written: decides what it can be. */
enum reg_form {
	REG_WORD,   /* on a command line or as a default: anything */
	REG_STRING, /* "quoted" */
	REG_NUMBER, /* an integer */
	REG_BOOL,   /* true, false */
	REG_OTHER,  /* a list or group: fits no option */
};

/* One setting from a file or command line; all borrowed. */
struct reg_setting {
	const char *key;
	const char *text;
	enum reg_form form;
	unsigned line;    /* 0: none */
	const char *file; /* or "--set"; NULL: nothing to say */
};

/* "integer 1..32", "size 64K..16M", "one of a, b", ...; appended to out. */
void reg_expect(const struct dynfs_option *option, struct buf *out);
/* "string", "integer", ... */
const char *reg_type_word(uint32_t type);
/* Settings checked against the table, without an instance. */
int reg_check_settings(const struct reg_plugin *plugin,
		       const struct reg_setting *set, size_t n);
const struct dynfs_option *reg_find_option(const struct reg_plugin *plugin,
					   const char *name);

/*
 * The one of n names nearest to word, or NULL when none is near.
 * name(ctx, i) is the i-th; it may be NULL to skip one.
 */
const char *reg_nearest(const char *word, size_t n,
			const char *(*name)(const void *ctx, size_t i),
			const void *ctx);

/* ---- instances ------------------------------------------------------- */

enum reg_state { REG_CREATED, REG_STARTED, REG_STOPPED };

struct reg_inst {
	/* what every call reads */
	union {
		const struct dynfs_store_ops *store;
		const struct dynfs_meta_ops *meta;
		const struct dynfs_redundancy_ops *redundancy;
		const struct dynfs_checksum_ops *checksum;
		const struct dynfs_placement_ops *placement;
		const struct dynfs_frontend_ops *frontend;
	} ops;
	void *self;
	pthread_mutex_t *lock; /* NULL: DYNFS_PARALLEL */

	struct reg_plugin *plugin;
	struct dynfs_host host;
	char *label; /* what messages begin with; owned */
	char *area;  /* of log lines; owned */
	void *config;
	char **strings; /* of the config; one per option, owned */
	enum reg_state state;
	atomic_int stopping;
	atomic_size_t mem_bytes, mem_peak_bytes;
	atomic_size_t mem_limit; /* 0: none */
	_Atomic uint64_t *counters;
	pthread_mutex_t own_lock;              /* DYNFS_SERIAL_INSTANCE */
	struct dynfs_redundancy_limits limits; /* of REG_REDUNDANCY */
	bool serving;                          /* of REG_FRONTEND: is open */
};

/*
 * label: "disk a", what a person calls it; settings are borrowed for the
 * call, os until reg_free().  os NULL: reg_os_none().
 */
int reg_new(struct reg_plugin *plugin, const char *label,
	    const struct reg_setting *set, size_t n, const struct dynfs_os *os,
	    struct reg_inst **ret);
/* After the fork.  A second start, or one after stop, is -EINVAL. */
int reg_start(struct reg_inst *inst);
/* No call is in flight.  Nothing when it was not started. */
void reg_stop(struct reg_inst *inst);
/* Stops it if need be.  NULL is fine. */
void reg_free(struct reg_inst *inst);
/* From now on host->stopping() says yes; any thread. */
void reg_cancel(struct reg_inst *inst);

/* 0: no limit.  What is allocated already stays. */
void reg_limit_memory(struct reg_inst *inst, size_t bytes);
size_t reg_memory(const struct reg_inst *inst);
size_t reg_memory_peak(const struct reg_inst *inst);
/* Of plugin->desc.counters; 0 beyond the last. */
uint64_t reg_counter(const struct reg_inst *inst, size_t i);

/*
 * The FORMAT options, "name=value\n" each, in the order of the table: what
 * is stored with the data.
 */
void reg_format_options(const struct reg_inst *inst, struct buf *out);
/*
 * Compare with what was stored: -EINVAL and which option differs.  One that
 * is not in the text had its default when the data was written.
 */
int reg_format_check(const struct reg_inst *inst, const char *text, size_t len);

/* An operating system without files: for instances that only get checked. */
const struct dynfs_os *reg_os_none(void);

/* ---- the common part of the typed calls ------------------------------ */

/* Grows with every host->fail() of this thread. */
extern _Thread_local unsigned reg_said
    __attribute__((tls_model("initial-exec")));

/*
 * An answer other than 0: what is below zero passes, with a text that belongs
 * to this call; what is above is -EIO, for no call here may return that.
 */
int reg_blame(const struct reg_inst *inst, const char *op, int r,
	      unsigned said_before);

static inline void reg_enter(struct reg_inst *inst)
{
	if (inst->lock)
		(void)pthread_mutex_lock(inst->lock);
}

static inline void reg_leave(struct reg_inst *inst)
{
	if (inst->lock)
		(void)pthread_mutex_unlock(inst->lock);
}

/* Lock, call, unlock; the plain answer. */
#define REG_CALL(inst, kind, op, ...)                                          \
	({                                                                     \
		reg_enter(inst);                                               \
		__auto_type answer_ =                                          \
		    (inst)->ops.kind->op((inst)->self, ##__VA_ARGS__);         \
		reg_leave(inst);                                               \
		answer_;                                                       \
	})

/* The same for 0 or a negative errno; anything else is not believed. */
#define REG_ASK(inst, kind, op, ...)                                           \
	({                                                                     \
		unsigned said_ = reg_said;                                     \
		int r_ = REG_CALL(inst, kind, op, ##__VA_ARGS__);              \
		__builtin_expect(r_ == 0, 1)                                   \
		    ? 0                                                        \
		    : reg_blame(inst, #op, r_, said_);                         \
	})

#endif
