/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys and records of the metadata: docs/design/format.md section 4.
 *
 * Keys are built in a struct key; records are encoded to a buf and decoded
 * with every field checked (-EUCLEAN), for an index is hostile too.
 */
#ifndef META_KEYS_H
#define META_KEYS_H

#include <base/buf.h>
#include <dynfs/checksum.h>
#include <dynfs/frontend.h>
#include <dynfs/redundancy.h>
#include <dynfs/store.h>

#define TREE_LIVE     0u
#define KEY_MAX       (1u + 4 + 8 + DYNFS_NAME_MAX + 8)
#define FRAGMENTS_MAX DYNFS_REDUNDANCY_MAX

struct extent_id {
	uint64_t epoch, counter;
};

struct key {
	uint8_t data[KEY_MAX];
	size_t len;
};

/* Prefixes end where the missing arguments begin. */
struct key key_inode(uint64_t ino);
struct key key_slice(uint64_t ino, uint64_t chunk, uint64_t sequence);
struct key key_slice_chunk(uint64_t ino, uint64_t chunk); /* prefix */
struct key key_slice_ino(uint64_t ino);                   /* prefix */
struct key key_dirent(uint64_t parent, uint64_t cookie);
struct key key_dirent_parent(uint64_t parent); /* prefix */
struct key key_parent(uint64_t ino, uint64_t parent, uint64_t cookie);
struct key key_parent_ino(uint64_t ino); /* prefix */
struct key key_extent(struct extent_id x);
struct key key_live(struct extent_id x);
struct key key_ref(struct extent_id x, uint64_t ino, uint64_t chunk,
		   uint64_t sequence);
struct key key_ref_extent(struct extent_id x); /* prefix */
struct key key_on_disk(uint32_t disk, struct extent_id x, uint16_t index);
struct key key_on_disk_prefix(uint32_t disk);
struct key key_repair(struct extent_id x);
struct key key_free(struct extent_id x, uint64_t salt);
struct key key_intent(uint64_t ino, uint8_t kind);
struct key key_xattr(uint64_t ino, const char *name, size_t len);
struct key key_xattr_ino(uint64_t ino); /* prefix */
struct key key_usage(uint8_t kind, uint32_t id);
struct key key_fact(const char *text);
#define FACT_FEATURES "features/" /* and the kind; see features.c */
struct key key_kind(char kind);   /* prefix of all keys of a kind */

int key_parse_inode(const void *key, size_t len, uint64_t *ret_ino);
int key_parse_slice(const void *key, size_t len, uint64_t *ret_ino,
		    uint64_t *ret_chunk, uint64_t *ret_sequence);
int key_parse_dirent(const void *key, size_t len, uint64_t *ret_parent,
		     uint64_t *ret_cookie);
int key_parse_parent(const void *key, size_t len, uint64_t *ret_ino,
		     uint64_t *ret_parent, uint64_t *ret_cookie);
/* kinds E, L, W: the extent */
int key_parse_extent(const void *key, size_t len, struct extent_id *ret);
int key_parse_free(const void *key, size_t len, struct extent_id *ret,
		   uint64_t *ret_salt);
int key_parse_ref(const void *key, size_t len, struct extent_id *ret_extent,
		  uint64_t *ret_ino, uint64_t *ret_chunk,
		  uint64_t *ret_sequence);
int key_parse_on_disk(const void *key, size_t len, uint32_t *ret_disk,
		      struct extent_id *ret_extent, uint16_t *ret_index);
int key_parse_intent(const void *key, size_t len, uint64_t *ret_ino,
		     uint8_t *ret_kind);
int key_parse_usage(const void *key, size_t len, uint8_t *ret_kind,
		    uint32_t *ret_id);

struct inode_rec {
	uint8_t flags;
#define INODE_POLICY_SET 1u
#define INODE_PLAIN      2u /* has no extended attributes; unset: who knows */
#define INODE_RESERVES   4u /* in the record only */
	uint32_t policy;    /* 0: inherited */
	uint32_t mode, uid, gid, nlink, project;
	uint64_t generation, size, stored, rdev, parent, sequence;
	uint64_t reserved; /* of stored: no bytes yet */
	struct dynfs_time atime, mtime, ctime, btime;
	const char *target; /* symlinks: borrowed from the record */
	uint32_t target_len;
};
void inode_rec_put(struct buf *b, const struct inode_rec *i);
int inode_rec_get(const void *data, size_t len, struct inode_rec *ret);

enum slice_kind { SLICE_EXTENT = 1, SLICE_HOLE, SLICE_INLINE, SLICE_RESERVED };
struct slice_rec {
	uint8_t kind;
	uint32_t offset, length; /* in the chunk */
	struct extent_id extent;
	uint32_t extent_offset;
	const void *bytes; /* INLINE: length bytes, borrowed */
};
void slice_rec_put(struct buf *b, const struct slice_rec *s);
int slice_rec_get(const void *data, size_t len, struct slice_rec *ret);

struct dirent_rec {
	bool dead;
	uint8_t type; /* mode >> 12 */
	uint64_t ino;
	const char *name; /* borrowed */
	uint32_t name_len;
};
void dirent_rec_put(struct buf *b, const struct dirent_rec *d);
int dirent_rec_get(const void *data, size_t len, struct dirent_rec *ret);

struct fragment_rec {
	uint32_t disk; /* 0: missing */
	struct dynfs_place place;
	uint8_t root[DYNFS_CHECKSUM_MAX];
};
struct extent_rec {
	uint8_t flags;
#define EXTENT_PACKED   1u
#define EXTENT_DEGRADED 2u
#define EXTENT_POISONED 4u
	uint32_t policy, stored_as;
	uint32_t k, m, block_bytes, digest_len;
	uint64_t plain_len, stored_len, payload_len, epoch;
	struct fragment_rec fragments[FRAGMENTS_MAX]; /* k + m */
};
void extent_rec_put(struct buf *b, const struct extent_rec *x);
/* Checks all bounds: k+m, lengths against each other, digest length. */
int extent_rec_get(const void *data, size_t len, struct extent_rec *ret);

enum repair_reason {
	REPAIR_WRITTEN_DEGRADED = 1,
	REPAIR_UNREADABLE,
	REPAIR_CHECKSUM,
	REPAIR_DISK_FAILED,
};
struct repair_rec {
	uint8_t reason;
	uint32_t mask;
	int64_t since_ns;
};
void repair_rec_put(struct buf *b, const struct repair_rec *p);
int repair_rec_get(const void *data, size_t len, struct repair_rec *ret);

struct free_rec {
	uint32_t n;
	struct {
		uint32_t disk;
		uint32_t index;
		struct dynfs_place place;
	} at[FRAGMENTS_MAX];
};
void free_rec_put(struct buf *b, const struct free_rec *f);
int free_rec_get(const void *data, size_t len, struct free_rec *ret);

enum intent_kind { INTENT_REMOVE = 1, INTENT_CUT };
struct intent_rec {
	uint8_t kind;
	/* CUT: slices of this chunk and later ones, below the sequence */
	uint64_t chunk, sequence;
	bool counted; /* and the inode's stored has them still */
};
void intent_rec_put(struct buf *b, const struct intent_rec *i);
int intent_rec_get(const void *data, size_t len, struct intent_rec *ret);

struct policy_rec {
	char name[65], redundancy[65], checksum[65], options[256];
	uint32_t k, m, block_bytes;
};
void policy_rec_put(struct buf *b, const struct policy_rec *p);
/* -EOPNOTSUPP when it names transforms. */
int policy_rec_get(const void *data, size_t len, struct policy_rec *ret);

/* Facts and advice that are one number. */
void ino_rec_put(struct buf *b, uint64_t next);
int ino_rec_get(const void *data, size_t len, uint64_t *ret_next);
void default_rec_put(struct buf *b, uint32_t policy);
int default_rec_get(const void *data, size_t len, uint32_t *ret_policy);
void live_rec_put(struct buf *b, uint64_t bytes);
int live_rec_get(const void *data, size_t len, uint64_t *ret_bytes);

enum usage_kind {
	USAGE_UID = 1,
	USAGE_GID,
	USAGE_PROJECT,
	USAGE_RESERVED, /* id: of a policy */
};
struct usage_rec {
	uint64_t inodes, bytes;
};
void usage_rec_put(struct buf *b, const struct usage_rec *u);
int usage_rec_get(const void *data, size_t len, struct usage_rec *ret);

#endif
