/* SPDX-License-Identifier: Apache-2.0 */
/* Transfers that are whole, over calls that may do a part. */
#ifndef STORE_COMMON_WHOLE_H
#define STORE_COMMON_WHOLE_H

#include <dynfs/os.h>
#include <errno.h>

#define WHOLE_IOV 512u /* pieces per call; the kernel takes 1024 */

/* -EUCLEAN when the file is shorter. */
static inline int read_whole(const struct dynfs_os *os, int fd,
			     const struct iovec *iov, uint32_t n, uint64_t off)
{
	uint64_t skip = 0;

	while (n > 0) {
		struct iovec first;
		ssize_t r;

		if (iov->iov_len <= skip) {
			skip -= iov->iov_len;
			iov++;
			n--;
			continue;
		}
		if (skip) {
			/* the rest of a piece that was read in part */
			first.iov_base = (uint8_t *)iov->iov_base + skip;
			first.iov_len = iov->iov_len - skip;
			r = os->preadv(os, fd, &first, 1, off);
		} else {
			r = os->preadv(os, fd, iov,
				       (int)(n < WHOLE_IOV ? n : WHOLE_IOV),
				       off);
		}
		if (r < 0)
			return (int)r;
		if (!r)
			return -EUCLEAN;
		off += (uint64_t)r;
		skip += (uint64_t)r;
	}
	return 0;
}

static inline int read_whole_at(const struct dynfs_os *os, int fd, void *buf,
				size_t len, uint64_t off)
{
	struct iovec v = { buf, len };

	return read_whole(os, fd, &v, 1, off);
}

/* Changes iov. */
static inline int write_whole(const struct dynfs_os *os, int fd,
			      struct iovec *iov, uint32_t n, uint64_t off)
{
	while (n > 0) {
		ssize_t r;

		if (!iov->iov_len) {
			iov++;
			n--;
			continue;
		}
		r = os->pwritev(os, fd, iov,
				(int)(n < WHOLE_IOV ? n : WHOLE_IOV), off);
		if (r <= 0)
			return r < 0 ? (int)r : -EIO;
		off += (uint64_t)r;
		while (n > 0 && (size_t)r >= iov->iov_len) {
			r -= (ssize_t)iov->iov_len;
			iov++;
			n--;
		}
		if (n > 0 && r > 0) {
			iov->iov_base = (uint8_t *)iov->iov_base + r;
			iov->iov_len -= (size_t)r;
		}
	}
	return 0;
}

#endif
