/* SPDX-License-Identifier: Apache-2.0 */
/* The view of a pool as calls that wait for their answer, for tests. */
#ifndef TESTS_SIM_POOLVIEW_H
#define TESTS_SIM_POOLVIEW_H

#include "poolmodel.h"

#include <base/buf.h>
#include <dynfs/frontend.h>

/* Through an open file, or NULL. */
int pv_read(const struct dynfs_fs_view *fs, uint64_t ino,
	    struct dynfs_file *file, uint64_t off, size_t len, struct buf *out);
/* The whole file, in pieces. */
int pv_read_all(const struct dynfs_fs_view *fs, uint64_t ino, struct buf *out);
int pv_write(const struct dynfs_fs_view *fs, uint64_t ino,
	     struct dynfs_file *file, uint64_t off, const void *data,
	     size_t len);
int pv_fsync(const struct dynfs_fs_view *fs, uint64_t ino,
	     struct dynfs_file *file, bool data_only);
int pv_flush(const struct dynfs_fs_view *fs, struct dynfs_file *file);

/* All names below a directory as they are found through the view. */
struct pv_entry {
	uint64_t parent;
	char name[PM_NAME];
	struct dynfs_attr attr;
	uint64_t xattr;
	char target[PM_NAME];
};
struct pv_names {
	struct pv_entry e[PM_ENTRIES];
	size_t n;
	char why[160]; /* when a function below returned an error */
};

/* Every entry is looked up, listed and asked for: an error if one dangles. */
int pv_names(const struct dynfs_fs_view *fs, uint64_t root,
	     struct pv_names *ret);
/* Are they what s says?  Takes numbers of inodes that the model lacks. */
bool pv_are(const struct pv_names *names, struct pm *m,
	    const struct pm_space *s);
/* Both as text, for a message. */
void pv_explain(const struct pv_names *names, const struct pm *m,
		const struct pm_space *s, struct buf *out);

#endif
