/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simos: a simulated operating system behind struct dynfs_os, in memory.
 *
 * It keeps two states: what a running process sees, and what a power cut
 * would leave.  Data is durable (in sectors of 512 bytes) after sync() of
 * the file, a name after syncdir() of its directory.  A cut lets each
 * unsynced sector, size and name change survive by a coin from a seed; a
 * rename stays one change.  Fresh names do not ride along with sync() of
 * their file, as they do on some file systems: the weak reading of POSIX.
 *
 * A "disk" is a path prefix with a size of its own; it can vanish, come
 * back, fail its syncs.  Files are sparse: holes and reserved blocks cost
 * next to nothing.  All functions may be called from any thread.
 */
#ifndef TESTS_SUPPORT_SIMOS_H
#define TESTS_SUPPORT_SIMOS_H

#include <dynfs/os.h>
#include <stdbool.h>

struct simos;

enum simos_call {
	SIMOS_OPEN,
	SIMOS_CLOSE,
	SIMOS_PREADV,
	SIMOS_PWRITEV,
	SIMOS_SYNC,
	SIMOS_ALLOCATE,
	SIMOS_TRUNCATE,
	SIMOS_FSTAT,
	SIMOS_LOCK,
	SIMOS_STAT,
	SIMOS_MKDIR,
	SIMOS_RMDIR,
	SIMOS_UNLINK,
	SIMOS_RENAME,
	SIMOS_LINK,
	SIMOS_SYNCDIR,
	SIMOS_LIST,
	SIMOS_SPACE,
	SIMOS_RANDOM,
	SIMOS_SYNCFS,
	SIMOS_DROP,
	SIMOS_N_CALLS,
	SIMOS_MUTATING, /* in a fault: any call that changes a disk */
	SIMOS_ANY,      /* in a fault: any call at all */
};

enum simos_survival {
	SIMOS_COIN, /* each unsynced change by a coin */
	SIMOS_LOSE, /* nothing unsynced survives */
	SIMOS_KEEP, /* everything survives, and is durable */
	/*
	 * Not the power: the process was killed.  All is seen as before, and
	 * what was not synced is not durable yet.
	 */
	SIMOS_CACHED,
};

/*
 * Calls of one type from the nth matching one on (1: the next) fail with
 * err (negative), `times` of them (0: for ever).  With err 0 a read or write
 * transfers short_bytes at most.  A failing sync loses what was dirty, as on
 * Linux: the next sync returns 0, and simos_lost() says what is read meanwhile.
 */
struct simos_fault {
	enum simos_call call;
	const char *prefix; /* only there; NULL: everywhere; copied */
	uint64_t nth;
	uint64_t times;
	int err;
	size_t short_bytes;
};

/* NULL when memory ran out.  The root directory is all there is. */
struct simos *simos_new(uint64_t seed);
void simos_free(struct simos *s);

/* The table to lend.  Valid until simos_free(). */
const struct dynfs_os *simos_os(struct simos *s);

/* An end and a restart: handles and locks vanish, faults are healed. */
void simos_crash(struct simos *s, enum simos_survival how, uint64_t seed);

/*
 * The nth mutating call from now (1: the next; 0: disarm) is cut short by a
 * power failure.  From then on every call returns -EIO, until simos_restart()
 * decides what survived.
 */
void simos_crash_at(struct simos *s, uint64_t nth);
bool simos_is_down(struct simos *s);
void simos_restart(struct simos *s, enum simos_survival how, uint64_t seed);

/* At most 16 at a time; heal removes all.  Returns 0 or -ENOSPC. */
int simos_inject(struct simos *s, const struct simos_fault *f);
void simos_heal(struct simos *s);
/* The next sync below prefix fails and loses the dirty pages. */
int simos_fail_sync(struct simos *s, const char *prefix);
/*
 * What becomes of a page that a sync could not write, and that counts as clean
 * from then on.  SIMOS_CACHED: it is read as it was written until the file is
 * dropped, the power goes or the disk does, also by who comes after a kill.
 * SIMOS_LOSE: it reads as before at once.  SIMOS_COIN, the default: some so,
 * some so, for memory may run short at any time.
 */
void simos_lost(struct simos *s, enum simos_survival how);

/*
 * Make prefix (created durably with its parents) a disk of its own with so
 * many bytes (0: no limit), or change the limit of one.  Punched and unlinked
 * blocks are given back at once.
 */
int simos_limit(struct simos *s, const char *prefix, uint64_t bytes);
/*
 * All calls below prefix give err (-EIO, -ENOENT).  What was unsynced there
 * meets the fate of a power cut; handles from before never work again.
 */
int simos_vanish(struct simos *s, const char *prefix, int err);
void simos_reappear(struct simos *s, const char *prefix);
/* Allocated bytes on the disk that holds path. */
uint64_t simos_used(struct simos *s, const char *path);

/* Flip one bit at rest, in what is seen and in what is durable. */
int simos_flip(struct simos *s, const char *path, uint64_t offset,
	       unsigned bit);

/* Calls so far, failed ones included; SIMOS_MUTATING and SIMOS_ANY: sums. */
uint64_t simos_calls(struct simos *s, enum simos_call call);
/* Handles open now; locks end with them. */
uint64_t simos_handles(struct simos *s);
void simos_advance(struct simos *s, uint64_t ns);

#endif
