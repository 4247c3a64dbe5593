/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that start and end a daemon share. */
#ifndef CMD_DAEMON_H
#define CMD_DAEMON_H

#include "dynfs.h"

#include <pool/pool.h>
#include <sys/types.h>

/* What run and mount take, besides what every command does. */
struct words {
	char *mountpoint, *log; /* owned; whole paths, or NULL */
	bool readonly, force_rollback;
};

struct daemon {
	struct options *o;
	struct words words;
	const char *source; /* what the list of mounts shows; NULL: the name */
	uint64_t mount_flags; /* of mount(2) */
	bool make_mountpoint; /* of a pool that is to be made, too */
	struct conf *conf;
	struct reg *reg;
	struct pool *pool;
	struct control_server *server;
	int claim;   /* on the pool's folder; -1: none */
	int wake[2]; /* a byte: time to end */
	int signals; /* signalfd */
	int code;    /* of the exit, if what is being done fails */
	bool background;
	bool created;
};

/* run.c; d has its options: it is all zero else. */
/* w NULL: only the options of every command. */
int words_parse(struct options *o, const char *verb, struct words *w, int argc,
		char **argv);
/* The configuration, and that no other daemon has the pool; sets d->code. */
int daemon_load(struct daemon *d);
/* Opens, serves, and returns when it is time to end, or with the reason. */
int daemon_main(struct daemon *d);
/* Takes down what stands. */
int daemon_down(struct daemon *d);
void daemon_done(struct daemon *d);

/* memory.c: limits.memory, kept; see there. */
struct watch {
	int fd; /* what is resident; -1: it can not be told */
	uint64_t page_bytes;
	uint64_t limit;    /* near it what is free is given back */
	uint64_t again_ns; /* not before */
};
/* Before there are threads. */
void memory_init(const struct conf *conf, struct watch *ret);
/* Now and then; returns after how many milliseconds it wants to look again. */
int memory_look(struct watch *w, struct pool *p);
void memory_done(struct watch *w);

/*
 * claim.c: one daemon for a pool's folder, until its process is gone.  Waits
 * for one that is ending; *ret: to be closed at the end, -1 where there is no
 * such lock.  -EBUSY: another serves the pool, or does not end.
 */
int claim_take(const struct conf *conf, int *ret);

/* background.c */
/*
 * The rest of d's life in a process of its own.  0: it serves; else the reason
 * is the text in hand, and d->code says what kind it is.
 */
int background_start(struct daemon *d, bool system_log);
/* In that process: it serves.  False: who waited for that is gone. */
bool background_ready(void);

/* mount.c: the process that a reply names; -1: it can not be told. */
int daemon_handle(const json_t *reply);
/* Looks for a second; s: how many it took before, for who waits to see. */
bool daemon_gone(int pidfd, unsigned s);

/* notify.c: to the service manager, when there is one; see sd_notify(3). */
void notify(const char *state);

/* helper.c: as mount(8) and umount(8) call us; true: by such a name. */
bool is_helper(const char *called);
int helper_main(int argc, char **argv);

/* helper_words.c: what follows -o. */
#define MOUNT_LISTS 8
struct mount_words {
	uint64_t flags; /* of mount(2) */
	bool force_rollback;
	const char *log;             /* NULL: nothing was said, as for atime */
	struct options conf;         /* what was set; borrows from text */
	char *text[MOUNT_LISTS + 1]; /* owned: a copy of each list, and more */
	size_t n_text;
};
#define MOUNT_ATIME (MS_NOATIME | MS_NODIRATIME | MS_RELATIME | MS_STRICTATIME)
/*
 * Words of one -o; sloppy: those that nobody knows are passed over.  Else
 * -EINVAL, and it is said.
 */
int mount_words_add(struct mount_words *m, const char *list, bool sloppy);
/* As pool.atime has it; NULL: nothing was said. */
const char *mount_words_atime(const struct mount_words *m);
void mount_words_done(struct mount_words *m);

#endif
