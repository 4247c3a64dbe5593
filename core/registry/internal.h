/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the registry share. */
#ifndef REGISTRY_INTERNAL_H
#define REGISTRY_INTERNAL_H

#include <registry/registry.h>

/* ---- elf.c ---- */

/*
 * fd is a shared object for this machine whose headers and segments lie
 * inside the file.  ret_constructors: those that the compiler did not add.
 */
int elf_check(int fd, const char *path, unsigned *ret_constructors);

/* ---- load.c ---- */

/*
 * The file path as a plugin; name is what it must be called, kind what it
 * must be, or -1.  The caller's to keep for ever.
 */
int load_file(const char *path, int kind, const char *name,
	      struct reg_plugin **ret);

/* ---- kinds.c ---- */

/* Which kind of ops desc has: the only one, else -EINVAL and a text. */
int kinds_of(const struct dynfs_plugin *desc, const char *path);
/* Own copies of the kind's ops; every required callback is there. */
int kinds_adopt(struct reg_plugin *p);
/* Copy what both sides know of a sized struct; -EINVAL if size is odd. */
int kinds_copy_sized(void *to, size_t to_size, const void *from,
		     size_t from_size);

/* ---- option.c ---- */

/* Own copy of the table at from; every row makes sense. */
int option_adopt(struct reg_plugin *p, const struct dynfs_option *from,
		 size_t stride);
/* Defaults and settings into config and strings (one slot per option). */
int option_fill(const struct reg_plugin *p, const struct reg_setting *set,
		size_t n, void *config, char **strings);
/* Overwrite what is secret, free the rest. */
void option_clear(const struct reg_plugin *p, char **strings);

#endif
