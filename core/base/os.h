/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real operating system behind struct dynfs_os: each member is the
 * system call, retried on EINTR, its error negative.  The table is constant,
 * has no state, and may be used from any thread.
 */
#ifndef CORE_BASE_OS_H
#define CORE_BASE_OS_H

#include <dynfs/os.h>

const struct dynfs_os *os_real(void);

/*
 * What is read from the file after this is on its device.  A sync alone is not
 * enough: an earlier one may have failed, and what it could not write is read
 * as if it had been, and counts as clean.
 */
int os_settle(const struct dynfs_os *os, int fd);

#endif
