/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the pass-through share.
 *
 *	passthrough.c    the session, content, lists
 *	pass_names.c     inodes, names, attributes
 */
#ifndef PASSTHROUGH_H
#define PASSTHROUGH_H

#include <fuse_lowlevel.h>

#include <stdint.h>

#define PASS_TIMEOUT 3600.0 /* of attributes, names, and their absence */

/* pass_names.c; errors are negative errnos */
int pass_root(const char *path);
/* The inode as the kernel knows it: its O_PATH handle. */
int pass_fd(fuse_ino_t ino);
/* A handle for content of what pass_fd() names. */
int pass_reopen(fuse_ino_t ino, int flags);
/* Takes a reference for the kernel unless it fails. */
int pass_find(fuse_ino_t parent, const char *name,
	      struct fuse_entry_param *ret);
void pass_drop(fuse_ino_t ino, uint64_t n);
/* Less the caller's umask: with ACLs the kernel leaves that to the daemon. */
mode_t pass_mode(fuse_req_t req, mode_t mode);
/* What root made for a caller belongs to the caller. */
int pass_give(fuse_req_t req, fuse_ino_t parent, const char *name);

void pass_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void pass_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n);
void pass_forget_multi(fuse_req_t req, size_t n, struct fuse_forget_data *v);
void pass_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void pass_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set,
		  struct fuse_file_info *fi);
void pass_readlink(fuse_req_t req, fuse_ino_t ino);
void pass_mknod(fuse_req_t req, fuse_ino_t parent, const char *name,
		mode_t mode, dev_t rdev);
void pass_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name,
		mode_t mode);
void pass_symlink(fuse_req_t req, const char *target, fuse_ino_t parent,
		  const char *name);
void pass_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void pass_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void pass_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
		 fuse_ino_t new_parent, const char *new_name,
		 unsigned int flags);
void pass_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent,
	       const char *name);
void pass_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
		   const char *value, size_t len, int flags);
void pass_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
		   size_t len);
void pass_listxattr(fuse_req_t req, fuse_ino_t ino, size_t len);
void pass_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);

#endif
