/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What no FUSE file system can do, since the kernel answers without asking
 * it.  A check that meets one of these is counted apart and named in the
 * summary; that the kernel really answers so is checked too.
 */
#include "posix.h"

#include <errno.h>

const struct kernel_limit kernel_limits[N_LIMITS] = {
	[LIMIT_TMPFILE] = { "O_TMPFILE",
			    "FUSE_TMPFILE is not known to libfuse before 3.17, "
			    "whose answer the kernel remembers",
			    -EOPNOTSUPP },
	[LIMIT_FALLOC_MODE] = { "fallocate: collapse, insert, unshare range",
				"fs/fuse lets only keep size, punch hole and "
				"zero range through",
				-EOPNOTSUPP },
	[LIMIT_CACHED_READ] = { "access times of cached reads",
				"the kernel reads from its cache without a "
				"word to the file system",
				0 },
	[LIMIT_BTIME] = { "the time of birth in statx",
			  "FUSE_STATX is not known to libfuse before 3.18", 0 },
};
