/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One fakefs, mounted on a folder of its own by the real plugin.
 */
#ifndef TESTS_MOUNT_MOUNTED_H
#define TESTS_MOUNT_MOUNTED_H

#include "fakefs.h"
#include "testhost.h"

#include <limits.h>

struct mounted {
	struct fakefs *fs;
	struct testhost host;
	struct testinst inst;
	struct dynfs_frontend_env env;
	bool open; /* to be closed */
	atomic_int n_ready, n_ended, ended_err;
	char dir[PATH_MAX];
};

/* Makes the folder, unless dir names one; does not open the plugin. */
void mounted_init(struct mounted *m, const char *dir, const char *const *kv);
/* open() and serve(): 0 or a negative errno. */
int mounted_start(struct mounted *m);
/* Both, on a folder that it makes. */
int mounted_begin(struct mounted *m, const char *const *kv);
void mounted_stop(struct mounted *m);
/* Stops and frees; leaves nothing mounted and no folder. */
void mounted_done(struct mounted *m);

/* dir/name in a static buffer of the thread, one for each of a few calls. */
const char *mounted_path(const struct mounted *m, const char *name);
/* In the list of mounts by this name, as /proc/mounts writes it. */
bool mounted_as(const struct mounted *m, const char *source);
/* Waits up to 5 s for a count. */
bool mounted_wait(atomic_int *count, int value);

/* Makes a file, writes it in uneven pieces, reads it back uncached. */
bool file_survives(const char *path, unsigned int seed, size_t size);

/*
 * Runs them in a child, so that what they leave mounted when they crash is
 * still removed; skips where nothing can be mounted.  For main() to return.
 */
int mounted_main(int (*run)(void));

#endif
