/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One engine under test, loaded as the core would load it; and folders.
 */
#ifndef TEST_ENGINES_ENGINE_H
#define TEST_ENGINES_ENGINE_H

#include <dynfs/meta.h>
#include <dynfs/os.h>
#include <testhost.h>

struct engine {
	struct testhost host;
	struct testinst inst;
	const struct dynfs_meta_ops *ops;
	void *self; /* inst.self */
	int is_open;
};

/* os NULL: the machine's.  Ends the program when there is no such plugin. */
struct engine *engine_new(const char *name, const struct dynfs_os *os);
/* options: "name=value", NULL-terminated */
struct engine *engine_new_with(const char *name, const struct dynfs_os *os,
			       const char *const *options);
void engine_free(struct engine *e); /* closes; asserts that no memory is left */

/* 0 or the error of open(); asserts that a message goes with the error. */
int engine_open(struct engine *e, const char *path, uint32_t flags,
		uint64_t memory_bytes, uint64_t *ret_applied);
void engine_close(struct engine *e);

/* A fresh folder below TMPDIR, else in memory; folder_drop() removes all and frees. */
char *folder_new(void);
void folder_drop(char *path);
void folder_remove(const char *path);
char *folder_join(const char *path, const char *name); /* free() it */
void folder_copy(const char *from, const char *to);

/* A hash of all names and contents below path. */
uint64_t folder_hash(const char *path);

/* Sorted names; free with names_free(). */
char **names_new(const char *path, int *ret_n);
void names_free(char **names, int n);

uint8_t *file_read(const char *path, size_t *ret_len); /* free() it */
void file_write(const char *path, const uint8_t *data, size_t len);

#endif
