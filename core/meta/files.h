/* SPDX-License-Identifier: Apache-2.0 */
/* Small errands on files and directories, through the table of the system. */
#ifndef META_FILES_H
#define META_FILES_H

#include <base/buf.h>
#include <base/hash.h>
#include <dynfs/os.h>

/* All of it, or an error; a file that ends before is -EUCLEAN. */
int meta_file_read(const struct dynfs_os *os, int fd, void *data, size_t len,
		   uint64_t off);
int meta_file_write(const struct dynfs_os *os, int fd, const void *data,
		    size_t len, uint64_t off);
/* The whole file to the end of out; -EFBIG above max. */
int file_load(const struct dynfs_os *os, const char *path, size_t max,
	      struct buf *out);
/* Size and sum of what is there. */
int file_sum(const struct dynfs_os *os, const char *path, uint64_t *ret_size,
	     uint8_t ret_sum[SUM128_LEN]);
/* To a new file, synced; the sum is of the bytes that were written. */
int file_copy(const struct dynfs_os *os, const char *from, const char *to,
	      uint64_t *ret_size, uint8_t ret_sum[SUM128_LEN]);
int meta_file_sync(const struct dynfs_os *os, const char *path);
/* And what a cache shows that the device has not is gone: see os_settle(). */
int meta_file_settle(const struct dynfs_os *os, const char *path);

/* The directory is there after, durably. */
int dir_make(const struct dynfs_os *os, const char *path);
/* What the path leads to is gone after, durably; no error when it was not. */
int tree_remove(const struct dynfs_os *os, const char *path);
/* The names in a directory, sorted; free each and the array. */
int dir_names(const struct dynfs_os *os, const char *path, char ***ret,
	      size_t *ret_n);
void names_free(char **names, size_t n);

/* The directory above; malloc'd. */
char *meta_path_parent(const char *path);

#endif
