/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of bench_work share.  A function of a row does its work once
 * and sets seconds; it returns 0, or -1 once it has said what went wrong.
 *
 *	work.c         the command line, content that can be checked
 *	work_big.c     rows of a few large files
 *	work_files.c   rows of many small files
 */
#ifndef WORK_H
#define WORK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MIB       (1u << 20)
#define SMALL     4096u
#define PATH_ROOM 4352
#define DIR_MAX   4096u
#define N_MARKS   3u
#define PARALLEL  4u /* writers, readers */
#define SYNCS_MAX 16u
#define PER_MIB   (MIB / SMALL)

struct work {
	const char *dir;
	uint64_t mib, ops, count, bytes, per_dir, syncs;
	uint8_t *noise, *back; /* MIB each */
	double seconds;
	double marks[N_MARKS]; /* files/s, of grow alone */
};

/* work.c */
int problem(const char *what, const char *path);
double now(void);
uint64_t next_random(uint64_t *s);
/* Each block of 4 KiB begins with its number: no two are alike. */
void stamp(uint8_t *data, size_t len, uint64_t first);
/* The bytes read are noise from noise_at on, numbered from first on. */
int same(struct work *w, size_t noise_at, size_t len, uint64_t first);
int write_all(int fd, const uint8_t *data, size_t len);
int read_all(int fd, uint8_t *to, size_t len, off_t at);
int buffers_new(struct work *w);
void buffers_free(struct work *w);

/* work_big.c */
int seq_write(struct work *w);
int seq_read(struct work *w);
int rand_read(struct work *w);
int rand_write(struct work *w);
int par_write(struct work *w);
int par_read(struct work *w);
int fsync_write(struct work *w);
int sync_yard(struct work *w);

/* work_files.c */
int create(struct work *w);
int grow(struct work *w);
int stat_all(struct work *w);
int read_files(struct work *w);
int unlink_all(struct work *w);

#endif
