/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores: how fragments rest on one disk.  See dynfs-store(3).
 *
 * A fragment is a head (self-describing, opaque to the store) and a payload.
 * It is written once, never changed, read in any part, and freed.  The store
 * answers a write with a place: 128 bits that only it understands.
 *
 * The interface is asynchronous: submit() takes a vector of operations, each
 * completes by its done() from any thread, in any order, possibly before
 * submit() returns.  A store that blocks inside submit() says so
 * (DYNFS_STORE_BLOCKS); the core then calls it from threads kept for that.
 *
 * After a crash a store holds every fragment whose write completed before a
 * sync() that returned 0, whole, at the same place; any other fragment is
 * there whole, or absent, or reads wrong: the core finds out by checksum.
 * Whatever is there, open() succeeds and new writes never touch old places.
 *
 * What open() finds is not durable for being there: a process that was killed
 * leaves what it wrote in the system's caches, where it can be read, and a
 * power cut still takes it.  The first sync() after open() covers that, too,
 * but for what an earlier sync has failed to write: the system may show it for
 * as long as it runs, and no sync tells of it any more.  DYNFS_STORE_UNCACHED
 * is how the core asks for what is really there.
 */
#ifndef DYNFS_STORE_H
#define DYNFS_STORE_H

#include <dynfs/plugin.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct dynfs_fragment_id {
	uint64_t epoch;   /* extent id, high half: random bits of its epoch */
	uint64_t counter; /* extent id, low half */
	uint32_t index;   /* 0 .. k+m-1 */
	uint32_t reserved;
};

struct dynfs_place {
	uint64_t w[2]; /* never both zero for a stored fragment */
};

enum dynfs_store_op_kind {
	DYNFS_STORE_WRITE = 1,
	DYNFS_STORE_READ,
	DYNFS_STORE_FREE,
};

enum dynfs_store_part { DYNFS_STORE_HEAD = 0, DYNFS_STORE_PAYLOAD };

/*
 * READ: not what a cache shows, but what the disk has: where the system keeps
 * bytes that need not be written, they are dropped first (os->drop()).  After
 * a sync() that returned 0, whatever is read so survives a power cut.
 */
#define DYNFS_STORE_UNCACHED (1u << 0)

/*
 * One operation.  The caller owns it and everything it points to until done()
 * is called; after done() the store never touches it again.
 */
struct dynfs_store_op {
	size_t size;
	uint32_t kind; /* enum dynfs_store_op_kind */
	/* Set by the store before done(): 0 or a negative errno. */
	int32_t result;
	struct dynfs_fragment_id id; /* all kinds */
	struct dynfs_place place;    /* WRITE: set by the store; else given */

	/*
	 * WRITE: head_len bytes of head, then the payload, in this vector.
	 * READ: filled; all of it or an error (-EUCLEAN: the place does not
	 * hold this fragment, or holds fewer bytes).
	 */
	const struct iovec *iov;
	uint32_t n_iov;
	uint32_t head_len; /* WRITE */
	uint32_t part;     /* READ: enum dynfs_store_part */
	uint32_t flags;    /* DYNFS_STORE_* above; others are ignored */
	uint64_t offset;   /* READ: where in the part to begin */

	void (*done)(struct dynfs_store_op *op);
	void *ctx; /* the caller's */
};

#define DYNFS_STORE_OPEN_CREATE (1u << 0) /* make an empty store */
#define DYNFS_STORE_OPEN_RDONLY (1u << 1) /* write nothing at all */

struct dynfs_store_open {
	size_t size;
	const char *path; /* a directory that is the store's alone */
	uint32_t flags;
	uint32_t reserved;
	uint64_t limit_bytes; /* use no more than this; 0: what the disk has */
	uint64_t max_fragment_bytes; /* head and payload of the largest write */
};

struct dynfs_store_space {
	size_t size;
	/* What fragments can occupy in all, and what is left of that. */
	uint64_t total_bytes;
	uint64_t free_bytes;
	/* Freed bytes that the store can not hand out again yet. */
	uint64_t stuck_bytes;
	uint64_t fragments; /* stored and not freed, as far as is known */
};

/* One row of a listing. */
struct dynfs_store_entry {
	struct dynfs_fragment_id id;
	struct dynfs_place place;
	uint32_t head_len;
	uint32_t reserved;
	uint64_t payload_len;
};

#define DYNFS_STORE_BLOCKS   (1ull << 0) /* submit() and sync() may sleep */
#define DYNFS_STORE_VOLATILE (1ull << 1) /* holds nothing after close() */

struct dynfs_store_ops {
	size_t size;
	uint64_t caps; /* DYNFS_STORE_* */

	/* Once, before any other call; -EUCLEAN when it is not a store. */
	int (*open)(void *self, const struct dynfs_store_open *how);
	/* No operation is in flight.  Not called when open() failed. */
	void (*close)(void *self);

	/*
	 * n operations on any fragments.  Every op gets its done(), also when
	 * this call fails; the result is 0 unless none could be taken.  FREE of
	 * a place that holds nothing, or that was freed before, is 0.  WRITE
	 * gives -ENOSPC before it passes limit_bytes, and leaves nothing.
	 */
	int (*submit)(void *self, struct dynfs_store_op *const *ops,
		      uint32_t n);

	/*
	 * mark: a token for all operations completed so far, and for all that
	 * open() found.
	 * sync: makes everything up to token durable.  0 at once if an earlier
	 * sync since open() did.  A negative errno means that what was not durable before
	 * must be taken as lost; it is never retried.
	 */
	uint64_t (*mark)(void *self);
	int (*sync)(void *self, uint64_t token);

	/* The core fills out->size; write no further than that. */
	int (*space)(void *self, struct dynfs_store_space *out);

	/* What a fragment of these lengths occupies, rounding included. */
	uint64_t (*cost)(void *self, uint32_t head_len, uint64_t payload_len);

	/*
	 * Up to n entries from *cursor on (0: the beginning), in an order of
	 * the store's; ret_n 0: the end.  Fragments written or freed meanwhile
	 * may or may not show; no other is left out or shown twice.
	 */
	int (*list)(void *self, uint64_t *cursor, struct dynfs_store_entry *out,
		    uint32_t n, uint32_t *ret_n);
};

#ifdef __cplusplus
}
#endif

#endif
