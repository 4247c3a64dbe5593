/* SPDX-License-Identifier: Apache-2.0 */
/* A few simulated disks /d1, /d2, ... and how to make a pool of them. */
#ifndef TESTS_UNIT_DISKLAB_H
#define TESTS_UNIT_DISKLAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/log.h>
#include <disk/disk.h>
#include <errno.h>
#include <simos.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* last: it makes fail() a macro */

#define LAB_MAX 12u
#define LAB_ALL 0xffffu

struct lab {
	struct simos *s;
	const struct dynfs_os *os;
	struct reg *reg;
	uint32_t n;
	char path[LAB_MAX][16];
	struct disks_entry entry[LAB_MAX];
	struct disks_entry given[LAB_MAX]; /* what the last how named */
	struct disks_how how;
};

static char lab_log[8192]; /* lines of warnings and errors */

static inline void lab_sink(int level, const char *area, const char *text)
{
	size_t n = strlen(lab_log);

	(void)area;
	if (level <= DYNFS_WARN && n + 2 < sizeof(lab_log))
		(void)snprintf(lab_log + n, sizeof(lab_log) - n, "%s\n", text);
}

static inline bool lab_logged(const char *what)
{
	return strstr(lab_log, what) != NULL;
}

static inline void lab_open(struct lab *lab, uint32_t n, uint64_t bytes,
			    uint64_t seed)
{
	*lab = (struct lab){ .n = n };
	lab->s = simos_new(seed);
	assert_non_null(lab->s);
	lab->os = simos_os(lab->s);
	assert_int_equal(reg_open(NULL, &lab->reg), 0);
	for (uint32_t i = 0; i < n; ++i) {
		(void)snprintf(lab->path[i], sizeof(lab->path[i]), "/d%u",
			       i + 1);
		assert_int_equal(simos_limit(lab->s, lab->path[i], bytes), 0);
		lab->entry[i] = (struct disks_entry){
			.path = lab->path[i],
			.role = MEMBER_STORES | MEMBER_LOGS,
		};
	}
	lab_log[0] = '\0';
	log_set(lab_sink, DYNFS_INFO);
}

static inline void lab_close(struct lab *lab)
{
	reg_close(lab->reg);
	simos_free(lab->s);
	log_set(NULL, DYNFS_ERR);
}

/* With the disks of the mask (bit 0: /d1). */
static inline struct disks_how *lab_how(struct lab *lab, unsigned mask)
{
	lab->how = (struct disks_how){
		.os = lab->os,
		.reg = lab->reg,
		.entries = lab->given,
		.pool_name = "home",
		.store_plugin = "segment",
		.extent_bytes = 256u << 10,
		.n_io_threads = 3,
	};
	for (uint32_t i = 0; i < lab->n; ++i)
		if (mask >> i & 1)
			lab->given[lab->how.n_entries++] = lab->entry[i];
	return &lab->how;
}

static inline void lab_create(struct lab *lab)
{
	int r = disks_create(lab_how(lab, LAB_ALL));

	if (r < 0)
		print_error("create: %s\n", fail_text(r));
	assert_int_equal(r, 0);
}

/* Open with these disks, begin an epoch with all of them in sync. */
static inline int lab_session(struct lab *lab, unsigned mask, struct disks **d)
{
	uint32_t ids[LAB_MAX], n = 0;
	int r = disks_open(lab_how(lab, mask), d);

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < disks_count(*d); ++i)
		if (disk_writable(disks_at(*d, i)))
			ids[n++] = disks_at(*d, i)->id;
	r = disks_next_epoch(*d, ids, n);
	if (r < 0) {
		disks_close(*d);
		*d = NULL;
	}
	return r;
}

/* A disk that can be reached only when the config names it. */
static inline void lab_hide(struct lab *lab, unsigned mask)
{
	for (uint32_t i = 0; i < lab->n; ++i)
		if (mask >> i & 1)
			assert_int_equal(
			    simos_vanish(lab->s, lab->path[i], -ENOENT), 0);
}

static inline void lab_show(struct lab *lab)
{
	for (uint32_t i = 0; i < lab->n; ++i)
		simos_reappear(lab->s, lab->path[i]);
}

#define assert_fails(call, err, text)                                          \
	do {                                                                   \
		int r_ = (call);                                               \
		assert_int_equal(r_, err);                                     \
		if (!strstr(fail_text(r_), text)) {                            \
			print_error("not \"%s\": %s\n", text, fail_text(r_));  \
			assert_true(false);                                    \
		}                                                              \
	} while (0)

#endif
