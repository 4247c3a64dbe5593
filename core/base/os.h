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

#endif
