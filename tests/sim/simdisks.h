/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A double of core/disk for tests of the layers above it: the functions of
 * disk/disk.h that core/meta uses, over a simulated system.  A label is two
 * slots with epoch and in-sync set; a majority is more than half of all.  A
 * store is one file of 512-byte slots.
 */
#ifndef TESTS_SIM_SIMDISKS_H
#define TESTS_SIM_SIMDISKS_H

#include "simos.h"
#include <disk/disk.h>

#define SIM_DISKS 5u

/* Label them all as a new pool. */
int simdisks_create(struct simos *s);
/* As disks_open(): -EROFS without a majority. */
int simdisks_open(struct simos *s, struct disks **ret);
void simdisks_close(struct disks *d);
/* "/dN" */
const char *simdisks_path(uint32_t id);

/* Content of a slot of a disk's store; written, not synced. */
int simdisks_put(struct disks *d, uint32_t id, uint32_t slot, uint64_t value);
/* 0; -EUCLEAN: another content; -ENODEV: the disk is not there */
int simdisks_check(struct disks *d, uint32_t id, uint32_t slot, uint64_t value);

#endif
