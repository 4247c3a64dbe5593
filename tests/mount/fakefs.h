/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fakefs: the view of a pool that is not there.
 *
 * A tree of nodes in memory behind one lock, enough for a frontend's test.
 * Reads and syncs are answered by a thread of its own, and so is every other
 * write, as a pool would.  It counts what a frontend has to give back.
 */
#ifndef TESTS_MOUNT_FAKEFS_H
#define TESTS_MOUNT_FAKEFS_H

#include <dynfs/frontend.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#define FAKE_NODES 16384

struct fake_node {
	struct dynfs_attr attr; /* mode 0: the node is free */
	uint64_t parent;
	char name[DYNFS_NAME_MAX + 1];
	uint8_t *data;
	size_t room;
	char xattr_name[64], xattr_value[64];
	size_t xattr_len;
	long lookups, opens;
	int loss; /* to be told by the next sync or close; fake lock */
};

/* One that is open; the frontend must give back the very same. */
struct fake_file {
	struct dynfs_file pub;
	struct fakefs *fs;
};

struct fake_job; /* an answer that is due */

struct fakefs {
	struct dynfs_fs_view view;
	atomic_ulong n_getattr, n_lookup, n_flush, n_fsync, n_read;
	atomic_ulong n_getxattr;
	atomic_int setattr_err;  /* what a setattr of the mode gives */
	atomic_ulong n_gone;     /* calls that ended as nobody waited */
	atomic_ulong n_mistaken; /* requests through a wrong open file */
	atomic_uint last_mode;   /* of fallocate */
	atomic_ulong n_copies;   /* of ranges */
	atomic_int delay_ms;     /* before each answer of the thread */
	/*
	 * Reads, writes, syncs, seeks and closes of files whose name begins with
	 * "hang" wait inside of the call while it is so; writes of "room" only
	 * as long as somebody waits for them.
	 */
	atomic_bool hang;
	atomic_int n_hanging;

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t work;
	struct fake_job *jobs, **jobs_end;
	bool stop;
	bool later;        /* the next write is the thread's */
	uint64_t n_nodes;  /* highest used number plus one */
	int64_t clock_sec; /* a time that always grows */
	struct fake_node node[FAKE_NODES];

	pthread_t thread;
};

/* NULL: no memory. */
struct fakefs *fakefs_new(void);
void fakefs_free(struct fakefs *f);
/* An empty file or folder, without the frontend. */
uint64_t fakefs_add(struct fakefs *f, uint64_t parent, const char *name,
		    uint32_t mode);
/* Other content, behind the frontend's back; false: no such file. */
bool fakefs_change(struct fakefs *f, const char *name, const char *text);
/* Another mode in the same way, and the mode that it has. */
bool fakefs_chmod(struct fakefs *f, const char *name, uint32_t mode);
uint32_t fakefs_mode(struct fakefs *f, const char *name);
/* Bytes of it are lost. */
bool fakefs_lose(struct fakefs *f, const char *name, int err);
/* The number of files that are open now. */
long fakefs_opens(struct fakefs *f);

/* fakefs_ops.c: what the view has besides content */
void fakefs_fill_view(struct dynfs_fs_view *v);
/* fakefs_range.c: ranges of content */
void fakefs_fill_ranges(struct dynfs_fs_view *v);
struct fake_node *fakefs_node(struct fakefs *f, uint64_t ino);
struct fake_node *fakefs_find(struct fakefs *f, uint64_t parent,
			      const char *name);
struct fake_node *fakefs_make(struct fakefs *f, uint64_t parent,
			      const char *name, uint32_t mode);
int fakefs_resize(struct fake_node *n, uint64_t size);
void fakefs_touch(struct fakefs *f, struct fake_node *n);
/* Waits there, if it is one that hangs; -EINTR: nobody waits any more. */
int fakefs_hang(struct fakefs *f, uint64_t ino, const struct dynfs_call *call);
/* Counts, when a request came through what it should not have. */
void fakefs_through(struct fakefs *f, uint64_t ino, struct dynfs_file *file);

#endif
