/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The groups, in the order in which they run.  A new one is added here.
 */
#include "posix.h"

#define GROUPS(X)                                                              \
	X(path_errors)                                                         \
	X(kinds)                                                               \
	X(chmod)                                                               \
	X(chown)                                                               \
	X(link)                                                                \
	X(rename)                                                              \
	X(rename_pairs)                                                        \
	X(sticky)                                                              \
	X(permission)                                                          \
	X(open_flags)                                                          \
	X(create)                                                              \
	X(remove)                                                              \
	X(at)                                                                  \
	X(symlink)                                                             \
	X(truncate)                                                            \
	X(utimens)                                                             \
	X(times)                                                               \
	X(setid)                                                               \
	X(names)                                                               \
	X(directory)                                                           \
	X(xattr)                                                               \
	X(acl)                                                                 \
	X(lock)                                                                \
	X(mapping)                                                             \
	X(allocate)                                                            \
	X(seek)                                                                \
	X(copy_range)                                                          \
	X(io)                                                                  \
	X(big)                                                                 \
	X(handle)                                                              \
	X(exec)                                                                \
	X(special)                                                             \
	X(space)                                                               \
	X(readonly)

#define X(name) extern const struct check_group group_##name;
GROUPS(X)
#undef X

const struct check_group *const groups[] = {
#define X(name) &group_##name,
	GROUPS(X)
#undef X
	    NULL,
};
