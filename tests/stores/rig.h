/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store under test, on a simulated or a real disk, and fragments whose
 * bytes follow from their id, so that a wrong one is seen at once.
 */
#ifndef TESTS_STORES_RIG_H
#define TESTS_STORES_RIG_H

#include "seeded.h"
#include "simos.h"
#include "testhost.h"
#include <dynfs/store.h>

struct rig {
	const char *name;  /* of the store */
	struct simos *sim; /* NULL: the real system */
	const struct dynfs_os *os;
	struct testhost host;
	struct testinst inst;
	const struct dynfs_store_ops *ops;
	void *self;
	bool open;
	char dir[64]; /* for the real system */
	char path[96];
	const char *const *kv;
	uint64_t limit;
	uint64_t max_fragment;
};

/* What a fragment is made of. */
struct frag {
	struct dynfs_fragment_id id;
	uint32_t head_len;
	uint32_t payload_len;
	struct dynfs_place place;
};

/* A fresh disk; no store on it yet. */
int rig_init(struct rig *r, const char *name, bool real, uint64_t seed);
void rig_done(struct rig *r);
/* Load, create, start, open(): 0 or what open() said. */
int rig_open(struct rig *r, uint32_t flags);
void rig_close(struct rig *r);
/* As after a crash: the instance is thrown away without close(). */
void rig_abandon(struct rig *r);

struct frag frag_make(uint64_t n, uint32_t head_len, uint32_t payload_len);
uint8_t frag_byte(const struct frag *f, bool head, uint64_t at);
/* 0 or the result of the operation; asserts that done() came once. */
int frag_write(struct rig *r, struct frag *f);
int frag_free(struct rig *r, const struct frag *f);
/* len bytes at off of a part, compared; -EBADMSG when they are wrong. */
int frag_read(struct rig *r, const struct frag *f, bool head, uint64_t off,
	      uint64_t len);
int frag_check(struct rig *r, const struct frag *f); /* both parts, whole */
/* Vectors: results in res[], which has room for n. */
void frags_write(struct rig *r, struct frag *f, int *res, uint32_t n);
void frags_free(struct rig *r, const struct frag *f, int *res, uint32_t n);

/* How often a fragment id shows in the listing, read n rows at a time. */
uint32_t rig_listed(struct rig *r, const struct frag *f, uint32_t n_rows);
uint64_t rig_list_total(struct rig *r, uint32_t n_rows);

/* $DYNFS_TEST_SEED or one from the clock; printed. */
uint64_t test_seed(void);

#endif
