/* SPDX-License-Identifier: Apache-2.0 */
/* Fragments of a lab's disks. */
#ifndef TESTS_UNIT_DISKFRAG_H
#define TESTS_UNIT_DISKFRAG_H

#include "disklab.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)

struct frag {
	struct disk_op o;
	struct iovec iov[2];
	uint8_t head[1024];
	uint8_t *payload;
	uint32_t len;
	atomic_uint n_done;
};

static inline void frag_done(struct disk_op *o)
{
	atomic_fetch_add(&container_of(o, struct frag, o)->n_done, 1);
}

static inline void frag_write(struct frag *f, struct disk *k, uint64_t counter,
			      uint32_t len)
{
	*f = (struct frag){ .len = len };
	f->payload = (uint8_t *)malloc(len);
	assert_non_null(f->payload);
	memset(f->head, 0x11, sizeof(f->head));
	for (uint32_t i = 0; i < len; ++i)
		f->payload[i] = (uint8_t)(counter * 31 + i * 7);
	f->iov[0] = (struct iovec){ f->head, sizeof(f->head) };
	f->iov[1] = (struct iovec){ f->payload, len };
	f->o.disk = k;
	f->o.done = frag_done;
	f->o.op.kind = DYNFS_STORE_WRITE;
	f->o.op.id = (struct dynfs_fragment_id){ 7, counter, 0, 0 };
	f->o.op.iov = f->iov;
	f->o.op.n_iov = 2;
	f->o.op.head_len = sizeof(f->head);
}

#endif
