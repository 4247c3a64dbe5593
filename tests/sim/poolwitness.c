/* SPDX-License-Identifier: Apache-2.0 */
#include "poolwitness.h"

#include "poolview.h"

#include <base/cleanup.h>
#include <base/fail.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILES   2u
#define BYTES   200000u /* of each, some chunks and a part */
#define PIECE   40000u  /* of one write */
#define READERS 2u

struct file {
	uint64_t ino;
	/* passes: the last that began, was whole, was known to be durable */
	atomic_uint_fast64_t begun, whole, synced;
};

struct witness {
	struct file file[FILES];
	atomic_bool stop;
	pthread_t writer, reader[READERS];
	uint64_t rng, reader_rng[READERS];
	atomic_uint next_reader;
};

static uint64_t word_of(unsigned file, uint64_t pass)
{
	return UINT64_C(0xda7a) << 48 | (uint64_t)file << 40 | pass;
}

/* All of it from passes lowest to highest of this file? */
static void judge(struct world *w, unsigned file, uint64_t off,
		  const struct buf *b, uint64_t lowest, uint64_t highest)
{
	char where[160];

	for (size_t i = 0; i + 8 <= b->len; i += 8) {
		uint64_t word;

		memcpy(&word, b->data + i, 8);
		if (word >= word_of(file, lowest) &&
		    word <= word_of(file, highest))
			continue;
		seed_fail("%s: witness %u at %" PRIu64 ": %" PRIx64
			  ", passes %" PRIu64 " to %" PRIu64,
			  world_where(w, where), file, off + i, word, lowest,
			  highest);
	}
}

/* False: the power is gone, or the disks are full. */
static bool can_go_on(struct world *w, int r, const char *what)
{
	char where[160];

	if (!r)
		return true;
	if (r == -ENOSPC && w->tight)
		return false;
	if (!simos_is_down(w->p.sim))
		seed_fail("%s: witness: %s: %s", world_where(w, where), what,
			  fail_text(r));
	return false;
}

static bool write_pass(struct world *w, unsigned i, uint64_t pass)
{
	struct file *f = &w->witness->file[i];
	uint64_t words[PIECE / 8], word = word_of(i, pass);

	for (size_t j = 0; j < PIECE / 8; j++)
		words[j] = word;
	for (uint64_t at = 0; at < BYTES; at += PIECE)
		if (!can_go_on(
			w, pv_write(w->p.fs, f->ino, NULL, at, words, PIECE),
			"write"))
			return false;
	return true;
}

static void pass(struct world *w, unsigned i, bool sync)
{
	struct file *f = &w->witness->file[i];
	uint64_t number = atomic_load(&f->begun) + 1;

	atomic_store(&f->begun, number);
	if (!write_pass(w, i, number))
		return;
	atomic_store(&f->whole, number);
	if (sync &&
	    can_go_on(w, pv_fsync(w->p.fs, f->ino, NULL, false), "fsync"))
		atomic_store(&f->synced, number);
}

static void *write_main(void *arg)
{
	struct world *w = (struct world *)arg;
	struct witness *t = w->witness;

	while (!atomic_load(&t->stop) && !simos_is_down(w->p.sim))
		pass(w, (unsigned)dice(&t->rng, FILES), dice(&t->rng, 2) == 0);
	return NULL;
}

static void read_once(struct world *w, uint64_t *rng)
{
	unsigned i = (unsigned)dice(rng, FILES);
	struct file *f = &w->witness->file[i];
	uint64_t off = dice(rng, BYTES / 8) * 8, len = 8 + dice(rng, 70000);
	uint64_t lowest = atomic_load(&f->whole);
	AUTOBUF struct buf b = BUF_INIT;

	if (!can_go_on(w, pv_read(w->p.fs, f->ino, NULL, off, len, &b), "read"))
		return;
	CHECK(w, b.len == (len < BYTES - off ? len : BYTES - off));
	judge(w, i, off, &b, lowest, atomic_load(&f->begun));
	met(w, SUM_READS, 1);
}

static void *read_main(void *arg)
{
	struct world *w = (struct world *)arg;
	struct witness *t = w->witness;
	uint64_t *rng =
	    &t->reader_rng[atomic_fetch_add(&t->next_reader, 1) % READERS];

	while (!atomic_load(&t->stop) && !simos_is_down(w->p.sim))
		read_once(w, rng);
	return NULL;
}

void witness_new(struct world *w)
{
	static const struct dynfs_caller who = { .uid = 0 };
	const struct dynfs_fs_view *fs = w->p.fs;
	struct witness *t;

	if (!w->crowded)
		return;
	t = w->witness = (struct witness *)calloc(1, sizeof(*t));
	CHECK(w, t);
	t->rng = w->seed * 31;
	for (unsigned i = 0; i < FILES; i++) {
		struct dynfs_file *file;
		char name[8];
		struct dynfs_attr a;

		(void)snprintf(name, sizeof(name), "w%u", i);
		CHECK(w, !fs->create(fs->ctx, DYNFS_ROOT_INO, name, 0644,
				     O_RDWR, &who, &a, &file));
		fs->release(fs->ctx, file);
		fs->forget(fs->ctx, a.ino, 1);
		t->file[i].ino = a.ino;
		pass(w, i, true);
	}
	for (unsigned i = 0; i < READERS; i++)
		t->reader_rng[i] = w->seed * 37 + i;
}

void witness_free(struct world *w)
{
	free(w->witness);
}

void witness_start(struct world *w)
{
	struct witness *t = w->witness;

	if (!t)
		return;
	atomic_store(&t->stop, false);
	CHECK(w, !pthread_create(&t->writer, NULL, write_main, w));
	for (unsigned i = 0; i < READERS; i++)
		CHECK(w, !pthread_create(&t->reader[i], NULL, read_main, w));
}

void witness_stop(struct world *w)
{
	struct witness *t = w->witness;

	if (!t)
		return;
	atomic_store(&t->stop, true);
	(void)pthread_join(t->writer, NULL);
	for (unsigned i = 0; i < READERS; i++)
		(void)pthread_join(t->reader[i], NULL);
}

void witness_check(struct world *w)
{
	for (unsigned i = 0; w->witness && i < FILES; i++) {
		struct file *f = &w->witness->file[i];
		AUTOBUF struct buf b = BUF_INIT;

		CHECK(w, !pv_read_all(w->p.fs, f->ino, &b));
		CHECK(w, b.len == BYTES);
		judge(w, i, 0, &b, atomic_load(&f->synced),
		      atomic_load(&f->begun));
		/* a pass that was whole may be so no more */
		atomic_store(&f->whole, atomic_load(&f->synced));
	}
}

void witness_synced(struct world *w)
{
	for (unsigned i = 0; w->witness && i < FILES; i++) {
		struct file *f = &w->witness->file[i];

		atomic_store(&f->synced, atomic_load(&f->whole));
	}
}
