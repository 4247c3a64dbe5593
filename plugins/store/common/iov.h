/* SPDX-License-Identifier: Apache-2.0 */
/* A piece of a vector that is only written from. */
#ifndef STORE_COMMON_IOV_H
#define STORE_COMMON_IOV_H

#include <string.h>
#include <sys/uio.h>

/* struct iovec serves both directions, so its pointer cannot be const. */
static inline struct iovec iov_from(const void *p, size_t len)
{
	struct iovec v = { .iov_len = len };

	memcpy(&v.iov_base, &p, sizeof(p));
	return v;
}

#endif
