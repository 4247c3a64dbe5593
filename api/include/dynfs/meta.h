/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metadata engines: an ordered map from byte strings to byte strings.
 * See dynfs-meta(3).
 *
 * A key has 1 to DYNFS_META_KEY_MAX bytes and does not begin with a zero
 * byte: those belong to the engine.  A value has 0 to DYNFS_META_VALUE_MAX.
 * Anything else is -EINVAL.  Keys are compared as unsigned bytes; of two
 * keys where one begins the other the shorter is first.  The core gives
 * batches in the order of their numbers, from one thread at a time; gets and
 * scans come from any thread meanwhile.  The truth is the core's commit log:
 * an engine needs no log of its own, only to remember, atomically with the
 * data, the number of the last batch applied.  After a crash it may be at any
 * earlier batch, but at one as a whole: the core replays the rest.
 */
#ifndef DYNFS_META_H
#define DYNFS_META_H

#include <dynfs/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DYNFS_META_KEY_MAX   4096u
#define DYNFS_META_VALUE_MAX (16u << 20)

struct dynfs_meta_span {
	const void *data;
	size_t len;
};

enum dynfs_meta_op_kind {
	DYNFS_META_PUT = 1,
	DYNFS_META_DELETE, /* of a key that is not there: nothing */
};

struct dynfs_meta_op {
	uint32_t kind; /* enum dynfs_meta_op_kind */
	uint32_t reserved;
	struct dynfs_meta_span key;
	struct dynfs_meta_span value; /* PUT */
};

/* What became of a batch.  Zero and up: see each; below zero: nothing of it
 * was applied. */
enum dynfs_meta_result {
	DYNFS_META_DONE = 0,
	DYNFS_META_CONFLICT = 1, /* nothing applied; try again */
	DYNFS_META_UNKNOWN = 2,  /* applied or not: read to find out */
};

#define DYNFS_META_OPEN_CREATE (1u << 0) /* empty when nothing is there */
#define DYNFS_META_OPEN_RDONLY (1u << 1)

struct dynfs_meta_open {
	size_t size;
	const char *path; /* a directory of the engine's own */
	uint32_t flags;
	uint32_t reserved;
	uint64_t memory_bytes; /* caches and buffers together stay below */
};

struct dynfs_meta_stats {
	size_t size;
	uint64_t disk_bytes;
	uint64_t memory_bytes;
	uint64_t keys; /* an estimate will do */
};

#define DYNFS_META_DURABLE (1ull << 0) /* apply() is durable: no log needed */
/* close() forgets what no flush() and no checkpoint() kept */
#define DYNFS_META_VOLATILE (1ull << 1)

struct dynfs_meta_iter; /* the engine's */

struct dynfs_meta_ops {
	size_t size;
	uint64_t caps; /* DYNFS_META_* */

	/*
	 * ret_applied: the number of the last batch in there, 0 when empty.
	 * -ENOENT when nothing is there, unless CREATE comes without RDONLY;
	 * -EBUSY when another open has it; -EUCLEAN when what is there is
	 * damaged: the core then starts from a checkpoint.  path may be a
	 * checkpoint that the core has copied.  With RDONLY nothing below
	 * path is written, and apply() and checkpoint() are -EROFS.
	 */
	int (*open)(void *self, const struct dynfs_meta_open *how,
		    uint64_t *ret_applied);
	void (*close)(void *self); /* no call or iterator is left */

	/*
	 * For each of n keys, in order, calls found(ctx, i, value) if it is
	 * there; the value is borrowed for that call.  All n see one state
	 * between two batches.
	 */
	int (*get)(void *self, const struct dynfs_meta_span *keys, uint32_t n,
		   void (*found)(void *ctx, uint32_t i,
				 struct dynfs_meta_span value),
		   void *ctx);

	/*
	 * An ordered walk over from <= key < to (to.len 0: to the end), seeing
	 * the state of the moment.  next(): 1 and a row, borrowed until the
	 * next call on the iterator; 0 at the end.
	 */
	int (*scan)(void *self, struct dynfs_meta_span from,
		    struct dynfs_meta_span to, struct dynfs_meta_iter **ret);
	int (*next)(void *self, struct dynfs_meta_iter *it,
		    struct dynfs_meta_span *key, struct dynfs_meta_span *value);
	void (*scan_end)(void *self, struct dynfs_meta_iter *it);

	/*
	 * All of ops, in order, and the number, atomically.  A number at or
	 * below the last one applied is -EINVAL.  Returns a dynfs_meta_result
	 * or a negative errno.
	 */
	int (*apply)(void *self, uint64_t number,
		     const struct dynfs_meta_op *ops, uint32_t n);

	/* All that was applied is durable when this returns 0. */
	int (*flush)(void *self);

	/*
	 * Make the directory path, which does not exist, a set of immutable
	 * files from which open() restores the state of the last applied
	 * batch; all of them and the directory are durable.  The files may
	 * share blocks with the engine's own (links), so nobody writes to
	 * them.  Applies may go on meanwhile.  After an error nothing is left
	 * at path.
	 */
	int (*checkpoint)(void *self, const char *path, uint64_t *ret_applied);

	int (*stats)(void *self, struct dynfs_meta_stats *out);

	/*
	 * Optional.  Non-zero: of all checkpoints made from one engine
	 * directory, none has other content in a file of this name, so a
	 * mirror that has it need not read it again.  The promise ends with
	 * the directory: one that was made anew, also from a copied
	 * checkpoint, may give the name to other content.  Without it, and
	 * for names where it is 0, the content has to be compared.
	 */
	int (*immutable)(void *self, const char *name);
};

#ifdef __cplusplus
}
#endif

#endif
