/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The true log, put together from the logs of several disks, record by
 * record: docs/design/format.md section 3.
 */
#ifndef META_TRUTH_H
#define META_TRUTH_H

#include <meta/checkpoint.h>
#include <meta/log.h>

struct truth_ref {
	struct log_disk *disk;
	const struct log_ref *ref;
};

struct truth {
	struct log_disk *disks[LOGS_MAX]; /* borrowed, scanned */
	uint32_t n_disks;
	struct ckpt_list ckpts; /* that agree with it, by number; owned */
	uint64_t base;          /* records base+1 .. last are there */
	uint8_t base_sum[SUM128_LEN];
	struct truth_ref *refs; /* owned */
	size_t n_refs, cap_refs;
	uint64_t last;
	uint64_t confirmed; /* by records and checkpoints */
};

/* ckpts is taken over.  -EUCLEAN: two disks contradict each other. */
int truth_build(struct truth *t, struct log_disk *const *disks,
		uint32_t n_disks, struct ckpt_list *ckpts);
void truth_done(struct truth *t);
/* The sum of record number, base <= number <= last; NULL beyond. */
const uint8_t *truth_sum(const struct truth *t, uint64_t number);
/* The record, from any disk that can still read it. */
int truth_read(const struct truth *t, uint64_t number, struct buf *rec,
	       struct log_head *ret);
/*
 * Up to where the disk has the true log by itself, from its own newest
 * checkpoint (ret_after) on; -EUCLEAN: it can not be mended from the others.
 */
int truth_whole(const struct truth *t, const struct log_disk *d, uint64_t end,
		uint64_t *ret_after, uint64_t *ret_upto);

#endif
