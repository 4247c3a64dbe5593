/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What calls.c and calls_fd.c share.
 */
#ifndef POSIX_CALLS_H
#define POSIX_CALLS_H

#include "posix.h"

#include <time.h>

#define SCRATCH_BYTES (1u << 20)
extern uint8_t scratch[SCRATCH_BYTES]; /* what is read goes here */

static inline const char *path_p(const struct step *s)
{
	return s->p ? expand(s->p) : NULL;
}

static inline const char *path_q(const struct step *s)
{
	return s->q ? expand(s->q) : NULL;
}

struct timespec step_time(int64_t t);
const void *xattr_bytes(const struct step *s);

call_fn do_fchmod, do_fchown, do_open, do_close, do_dup, do_ftruncate,
    do_futimens, do_read, do_write, do_pread, do_pwrite, do_lseek, do_fsync,
    do_drop, do_fdatasync, do_fallocate, do_posix_fallocate, do_fsetxattr,
    do_fgetxattr, do_frmxattr;

#endif
