/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of simos: nodes (files, directories), pages, pending changes. */
#ifndef TESTS_SUPPORT_SIMOS_PRIV_H
#define TESTS_SUPPORT_SIMOS_PRIV_H

#include "simos.h"
#include <pthread.h>

#define SIM_PAGE     4096u
#define SIM_SECTOR   512u
#define SIM_LEAF     512u /* pages per leaf of a file's page table */
#define SIM_FAULTS   16
#define SIM_MAX_SIZE (1ull << 44)

struct sim_page {
	uint8_t *now;   /* NULL: zeros */
	uint8_t *was;   /* durable; only if dirty or lost; NULL: zeros */
	uint8_t dirty;  /* a bit per sector */
	uint8_t lost;   /* likewise: a failed sync took them for clean */
	bool alloc;     /* occupies the disk */
	bool was_alloc; /* only if dirty or lost */
};

struct sim_leaf {
	struct sim_page page[SIM_LEAF];
};

struct sim_ent {
	char *name;
	struct sim_node *node;
};

/* Sorted by name; holds a reference on each node. */
struct sim_map {
	struct sim_ent *v;
	size_t n, cap;
};

struct sim_disk {
	struct sim_disk *next;
	struct sim_node *root;
	uint64_t id;
	uint64_t limit; /* 0: none */
	uint64_t used;
	int gone;       /* 0, or what every call returns */
	uint64_t epoch; /* grows when it vanishes: older handles are dead */
};

struct sim_node {
	struct sim_node *next, *prev; /* all nodes */
	struct sim_disk *disk;
	struct sim_node *up; /* directories: the parent, not a reference */
	uint32_t refs;
	uint32_t mode;
	uint64_t ino;
	int64_t mtime_ns;
	bool is_dir;
	int locked_by; /* handle or -1 */

	struct sim_map now, was; /* directories */

	struct sim_leaf **leaf; /* files */
	size_t n_leaf;
	uint64_t n_alloc; /* pages */
	uint32_t n_links; /* names that are seen */
	uint32_t n_open;  /* handles */
	bool hidden;      /* neither: its pages are not counted as used */
	uint64_t size, was_size;
};

/* A change of a name that is not durable yet: node NULL removes it. */
struct sim_edit {
	struct sim_node *dir;
	char *name;
	struct sim_node *node;
};

struct sim_op {
	struct sim_op *next;
	struct sim_edit edit[2];
	int n_edit;
};

struct sim_handle {
	struct sim_node *node;
	uint64_t epoch;
	uint32_t flags;
};

struct sim_fault {
	struct simos_fault f;
	char *prefix;
	bool on;
};

struct simos {
	struct dynfs_os os;
	pthread_mutex_t lock; /* guards everything below */
	uint64_t rng;
	uint64_t clock_ns;
	uint64_t next_ino, next_disk;
	struct sim_node *root;
	struct sim_node *nodes;
	struct sim_disk *disks;
	struct sim_op *ops, **ops_tail;
	struct sim_handle **handle;
	size_t n_handle, cap_handle, open_handles;
	struct sim_fault fault[SIM_FAULTS];
	uint64_t calls[SIMOS_N_CALLS];
	uint64_t mutations;
	uint64_t crash_at; /* in mutations; 0: not armed */
	bool down;
	enum simos_survival lost; /* pages that a sync could not write */
};

/* What the gate decided about one call. */
struct sim_gate {
	int err;       /* fail with this */
	uint64_t most; /* transfer no more than this */
	bool cut;      /* the power goes right after the call */
};

uint64_t sim_rand(uint64_t *state);
/* path: of the call; NULL: disk is that of its handle, if there is one */
struct sim_gate sim_gate_pass(struct simos *s, enum simos_call call,
			      uint32_t flags, const char *path,
			      const struct sim_disk *disk);

void simos_calls_init(struct simos *s);

/* files: all return 0, a count, or a negative errno */
ssize_t sim_file_read(struct sim_node *f, const struct iovec *iov, int n,
		      uint64_t off, uint64_t most);
ssize_t sim_file_write(struct sim_node *f, const struct iovec *iov, int n,
		       uint64_t off, uint64_t most);
int sim_file_allocate(struct sim_node *f, uint32_t mode, uint64_t off,
		      uint64_t len);
int sim_file_truncate(struct sim_node *f, uint64_t len);
void sim_file_sync(struct sim_node *f);
void sim_file_fail(struct sim_node *f, enum simos_survival how, uint64_t *rng);
void sim_file_drop(struct sim_node *f);
void sim_file_crash(struct sim_node *f, enum simos_survival how, uint64_t *rng);
int sim_file_flip(struct sim_node *f, uint64_t off, unsigned bit);
void sim_file_free(struct sim_node *f);

/* names */
struct sim_node *sim_node_new(struct simos *s, struct sim_node *up, bool is_dir,
			      uint32_t mode);
/* Count or stop counting its pages, after n_links or n_open changed. */
void sim_node_weigh(struct sim_node *n);
void sim_node_get(struct sim_node *n);
void sim_node_put(struct simos *s, struct sim_node *n);
struct sim_node *sim_map_find(const struct sim_map *m, const char *name);
int sim_map_set(struct simos *s, struct sim_map *m, const char *name,
		struct sim_node *node);
void sim_map_del(struct simos *s, struct sim_map *m, const char *name);
void sim_map_free(struct simos *s, struct sim_map *m);
/* The node at path; NULL with *ret_err set. */
struct sim_node *sim_lookup(struct simos *s, const char *path, int *ret_err);
/* The directory that path's last name is in; name has room for 256. */
struct sim_node *sim_lookup_parent(struct simos *s, const char *path,
				   char *name, int *ret_err);
/* Change the current state at once and queue the durable change. */
int sim_change(struct simos *s, const struct sim_edit *edit, int n);
int sim_dir_sync(struct simos *s, struct sim_node *dir);
/* All files and names of a disk; or a sync that fails for all files. */
void sim_disk_sync(struct simos *s, const struct sim_disk *disk, bool good);
void sim_tree_crash(struct simos *s, struct sim_disk *only,
		    enum simos_survival how, uint64_t *rng);
void sim_ops_free(struct simos *s);

#endif
