/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the dir store; the layout is in docs/design/store-dir.md. */
#ifndef STORE_DIR_H
#define STORE_DIR_H

#include <dynfs/os.h>
#include <dynfs/store.h>
#include <pthread.h>
#include <stdbool.h>

#include "../common/tokens.h"
#include "../common/whole.h"

#define DIR_FANOUT      256u
#define DIR_FRAME       64u
#define DIR_HEAD_MAX    ((1u << 24) - 1)
#define DIR_PAYLOAD_MAX ((1ull << 40) - 1)
#define DIR_SERIAL_MAX  ((1ull << 56) - 1)
#define DIR_NAME        96  /* room for a file's name */
#define DIR_OPEN_MAX    128 /* written files that wait for a sync, open */

/* What a file's name says: the whole of a place and its fragment. */
struct dir_name {
	struct dynfs_fragment_id id;
	uint64_t serial; /* 1 to DIR_SERIAL_MAX */
	uint32_t head_len;
	uint64_t payload_len;
};

/* A file that was written and not synced. */
struct dir_unsynced {
	struct dir_unsynced *next;
	uint64_t serial;
	int fd;
};

struct dir_rows {
	struct dir_name *v;
	uint32_t n, cap;
};

struct dir {
	const struct dynfs_host *host;
	const struct dynfs_os *os;
	char *path;
	bool rdonly;
	int lock_fd;
	uint64_t limit_bytes;
	uint64_t max_bytes; /* of a fragment */

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t changed;
	uint64_t used_bytes, fragments;
	struct dir_unsynced *unsynced;
	uint32_t n_unsynced;
	bool touched[DIR_FANOUT]; /* directories to sync */
	bool unsure;              /* what open() found may be in caches only */
	bool syncing;
	uint64_t done_seq, durable_seq;
	struct lost_tokens lost;
	uint64_t failed_syncs;

	pthread_mutex_t list_lock; /* guards the rest */
	uint32_t list_fan;         /* the directory that rows are of, + 1 */
	struct dir_rows rows;
};

/* name.c */
uint32_t dir_fan(const struct dynfs_fragment_id *id);
uint64_t dir_bytes(uint32_t head_len, uint64_t payload_len); /* of the file */
uint64_t dir_cost_of(uint32_t head_len, uint64_t payload_len);
void dir_name_put(const struct dir_name *n, char out[DIR_NAME]);
bool dir_name_get(const char *s, struct dir_name *ret);
void dir_place_put(const struct dir_name *n, struct dynfs_place *ret);
/* false: no fragment of that id can be there */
bool dir_place_get(const struct dynfs_fragment_id *id,
		   const struct dynfs_place *p, struct dir_name *ret);
void dir_frame_put(const struct dir_name *n, uint8_t f[DIR_FRAME]);
bool dir_frame_matches(const struct dir_name *n, const uint8_t f[DIR_FRAME]);
void dir_path(const struct dir *d, const struct dir_name *n, char *out,
	      size_t len);

/* open.c */
int dir_open(void *self, const struct dynfs_store_open *how);
void dir_forget(struct dir *d);
int dir_sync_found(struct dir *d);
int dir_list(void *self, uint64_t *cursor, struct dynfs_store_entry *out,
	     uint32_t n, uint32_t *ret_n);

#endif
