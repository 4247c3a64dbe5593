/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dynfs plugin ABI.  See dynfs-plugin(3).
 *
 * A plugin is one shared object that exports one function,
 * dynfs_plugin_entry(), which returns a constant description of itself.
 * The entry function allocates nothing, starts nothing, and may be called
 * from any process that only wants to print the description.
 *
 * Growth rule: every struct that crosses the boundary carries its own
 * size.  Fields are only ever appended.  A field the reader's copy is too
 * short to hold does not exist for that reader.
 *
 * Errors: int results are 0 or a negative errno.  Meanings that hold for
 * every kind:
 *   -EINVAL      the caller's fault: an argument or option is wrong
 *   -EUCLEAN     stored data is wrong, or too little of it is left
 *   -ENOSPC      no room
 *   -ENOMEM      no memory
 *   -ECANCELED   given up because host->stopping() said so
 *   -EOPNOTSUPP  an optional part is missing
 *   -EIO         the device below failed
 * -EINVAL and -EUCLEAN come with a message through host->fail().
 *
 * Ownership: arguments are borrowed for the call; what comes back through
 * a ret_ parameter belongs to the caller until it is given to the function
 * that its comment names; only the side that allocated frees.
 */
#ifndef DYNFS_PLUGIN_H
#define DYNFS_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DYNFS_PLUGIN_MAGIC 0x44594e46u /* "DYNF" */
#define DYNFS_ABI_MAJOR    1           /* must be equal on both sides */
#define DYNFS_ABI_MINOR    0           /* grows with every appended field */

#define DYNFS_EXPORT       __attribute__((visibility("default")))
#define DYNFS_PRINTF(f, a) __attribute__((format(printf, f, a)))

/*
 * True when the sized struct at tab reaches as far as member and has it.
 * type is the struct's type, as this side was compiled.
 */
#define DYNFS_HAS(type, tab, member)                                           \
	((tab)->size >= offsetof(type, member) + sizeof((tab)->member) &&      \
	 (tab)->member)

/* ---- services the core lends to one instance ------------------------- */

enum dynfs_log_level { DYNFS_ERR, DYNFS_WARN, DYNFS_INFO, DYNFS_DEBUG };

struct dynfs_os; /* dynfs/os.h: disks, clocks and random numbers */

/*
 * One table per instance.  Borrowed: valid from create() until destroy()
 * returns.  Every member may be called from any thread at any time in that
 * window.  Test members newer than minor 0 with DYNFS_HAS().
 */
struct dynfs_host {
	size_t size;
	void *ctx; /* the core's; pass the table back, never look inside */

	/* level is an enum dynfs_log_level; int, for enums have no fixed size */
	void (*log)(const struct dynfs_host *h, int level, const char *fmt, ...)
	    DYNFS_PRINTF(3, 4);
	/*
	 * Attach a message for a person to the call in progress on this
	 * thread and return err, so that "return h->fail(h, -EINVAL, ...)" is
	 * one line.  The core copies the text.  It decides whether to log or
	 * to reply.
	 */
	int (*fail)(const struct dynfs_host *h, int err, const char *fmt, ...)
	    DYNFS_PRINTF(3, 4);

	/*
	 * Counted against the instance; align is a power of two or 0.  The
	 * memory is zeroed.  NULL when there is none.
	 */
	void *(*alloc)(const struct dynfs_host *h, size_t len, size_t align);
	void (*free)(const struct dynfs_host *h, void *p);

	uint64_t (*now_ns)(const struct dynfs_host *h); /* monotonic */

	/* Add to a counter declared in the plugin's counter list. */
	void (*count)(const struct dynfs_host *h, unsigned counter,
		      uint64_t by);

	/* Non-zero once the instance must give up long work (-ECANCELED). */
	int (*stopping)(const struct dynfs_host *h);

	/* The one way to disks, clocks and random numbers. */
	const struct dynfs_os *os;
};

/* ---- configuration: a schema, not a parser --------------------------- */

enum dynfs_opt_type {
	DYNFS_OPT_BOOL = 1, /* int32_t, 0 or 1 */
	DYNFS_OPT_INT,      /* int64_t, min <= v <= max */
	DYNFS_OPT_SIZE,     /* uint64_t bytes; "64K", "2M" accepted */
	DYNFS_OPT_STR,      /* const char *, borrowed until destroy() */
	DYNFS_OPT_ENUM,     /* int32_t index into choices */
};

#define DYNFS_OPT_REQUIRED (1u << 0)
#define DYNFS_OPT_RELOAD   (1u << 1) /* may change while running */
#define DYNFS_OPT_SECRET   (1u << 2) /* never logged, never dumped */
#define DYNFS_OPT_FORMAT   (1u << 3) /* frozen once data is written with it */

struct dynfs_option {
	const char *name;
	uint32_t type; /* enum dynfs_opt_type */
	uint32_t flags;
	uint32_t offset;            /* where the core stores the value */
	uint32_t width;             /* sizeof the member: the core checks it */
	const char *def;            /* as in a config file; NULL: zero */
	int64_t min, max;           /* both 0: no limit */
	const char *const *choices; /* NULL-terminated, for ENUM */
	const char *help;           /* one sentence; also the manual's text */
	const char *unit;           /* "ms", "bytes", ...; NULL: none */
};

#define DYNFS_FIELD(type, member)                                              \
	(uint32_t) offsetof(type, member), (uint32_t)sizeof(((type *)0)->member)

/* ---- what a plugin can be -------------------------------------------- */

struct dynfs_store_ops;      /* dynfs/store.h      */
struct dynfs_meta_ops;       /* dynfs/meta.h       */
struct dynfs_redundancy_ops; /* dynfs/redundancy.h */
struct dynfs_checksum_ops;   /* dynfs/checksum.h   */
struct dynfs_placement_ops;  /* dynfs/placement.h  */
struct dynfs_frontend_ops;   /* dynfs/frontend.h   */

/* Zero is the safest, so that forgetting the field is not a race. */
enum dynfs_threading {
	DYNFS_SERIAL_PLUGIN = 0, /* one call at a time, all instances */
	DYNFS_SERIAL_INSTANCE,   /* one call at a time per instance    */
	DYNFS_PARALLEL,          /* any number of calls at once        */
};

struct dynfs_plugin {
	uint32_t magic;
	uint16_t abi_major, abi_minor;
	size_t size;
	uint32_t threading;   /* enum dynfs_threading */
	uint32_t option_size; /* see options */

	const char *name; /* [a-z][a-z0-9-]*, equals the file name */
	const char *version;
	const char *summary; /* one line, no full stop */

	/*
	 * Ends at name == NULL.  An array has a stride, so growing the element
	 * needs its size too: the core steps by option_size.  NULL: none.
	 */
	const struct dynfs_option *options;
	const char *const *counters; /* NULL-terminated names, or NULL */
	size_t config_size;          /* the struct the offsets point into */

	/*
	 * create: check the values, get memory; no threads, no writes.
	 * start:  after the daemon has forked; threads are allowed here.
	 * stop:   no call is in flight; join every thread started.
	 * destroy: free everything.  Always called if create() succeeded.
	 * start and stop may be NULL.
	 */
	int (*create)(const struct dynfs_host *h, const void *config,
		      void **ret_self);
	int (*start)(void *self);
	void (*stop)(void *self);
	void (*destroy)(void *self);

	/* Exactly one is set: a plugin is of one kind. */
	const struct dynfs_store_ops *store;
	const struct dynfs_meta_ops *meta;
	const struct dynfs_redundancy_ops *redundancy;
	const struct dynfs_checksum_ops *checksum;
	const struct dynfs_placement_ops *placement;
	const struct dynfs_frontend_ops *frontend;
};

#define DYNFS_PLUGIN_HEADER                                                    \
	.magic = DYNFS_PLUGIN_MAGIC, .abi_major = DYNFS_ABI_MAJOR,             \
	.abi_minor = DYNFS_ABI_MINOR, .size = sizeof(struct dynfs_plugin),     \
	.option_size = sizeof(struct dynfs_option)

DYNFS_EXPORT const struct dynfs_plugin *dynfs_plugin_entry(void);

#ifdef __cplusplus
}
#endif

#endif
