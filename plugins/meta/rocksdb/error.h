/* SPDX-License-Identifier: Apache-2.0 */
/* RocksDB's texts as errno values. */
#ifndef ROCKS_ERROR_H
#define ROCKS_ERROR_H

#include <dynfs/plugin.h>

/* The negative errno that a status text of RocksDB means. */
int rocks_errno(const char *text);

/* The same when the text came from opening: then a hole is damage. */
int rocks_open_errno(const char *text);

#endif
