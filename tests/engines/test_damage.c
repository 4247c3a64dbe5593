/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Crashes and damaged files: `test_damage ENGINE`.
 *
 * What may kill a process is done by a child, which is this program again:
 * `test_damage ENGINE work PATH SEED` applies and flushes until it is killed,
 * `test_damage ENGINE probe PATH SEED MIN MAX` opens what is there and tells
 * by its exit code whether it is the state after a batch from MIN to MAX;
 * with `write` for `probe` it then writes on, whatever it found.
 */
#include "model.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define KEYS   600
#define MEMORY (1u << 20) /* so that tables are written all the time */
#define CREATE DYNFS_META_OPEN_CREATE

enum probe {
	PROBE_WHOLE = 10,
	PROBE_WRONG, /* a state that never was */
	PROBE_RANGE, /* a state that should not be */
	PROBE_OPEN,  /* -EUCLEAN at open */
	PROBE_READ,  /* -EUCLEAN later */
	PROBE_ERROR, /* another error */
};

static const char *engine_name;

/* ---- the children ---------------------------------------------------- */

static int probe_verdict(int r)
{
	if (!r)
		return PROBE_WHOLE;
	if (r == 1)
		return PROBE_WRONG;
	return r == -EUCLEAN ? PROBE_READ : PROBE_ERROR;
}

/*
 * Damage must not turn into a crash in the writing paths either.  Not every
 * time: RocksDB sleeps for a second when a compaction fails.
 */
static void probe_write(struct model *m, struct engine *e)
{
	struct model_batch b;

	for (int i = 0; i < 50; ++i) {
		model_batch(m, m->applied + 1, &b);
		if (e->ops->apply(e->self, b.number, b.ops, b.n))
			return;
		model_apply(m, &b);
	}
	(void)e->ops->flush(e->self);
}

static int probe(const char *path, uint64_t seed, uint64_t min, uint64_t max,
		 int write)
{
	struct engine *e = engine_new(engine_name, NULL);
	struct model *m;
	uint64_t applied = 0;
	int err = engine_open(e, path, 0, MEMORY, &applied), verdict;

	if (err) {
		engine_free(e);
		if (err != -EUCLEAN)
			(void)fprintf(stderr, "open: %d\n", err);
		return err == -EUCLEAN ? PROBE_OPEN : PROBE_ERROR;
	}
	if (applied < min || applied > max) {
		(void)fprintf(stderr, "batch %llu, not %llu to %llu\n",
			      (unsigned long long)applied,
			      (unsigned long long)min, (unsigned long long)max);
		engine_free(e);
		return PROBE_RANGE;
	}
	m = model_at(seed, KEYS, applied);
	verdict = probe_verdict(model_compare(m, e));
	if (write)
		probe_write(m, e);
	model_free(m);
	engine_free(e);
	return verdict;
}

/* Prints each number that is durable. */
static int work(const char *path, uint64_t seed)
{
	struct engine *e = engine_new(engine_name, NULL);
	struct model *m;
	uint64_t applied = 0, rnd;
	char line[32];

	if (engine_open(e, path, CREATE, MEMORY, &applied))
		return 1;
	m = model_at(seed, KEYS, applied);
	rnd = seed ^ applied;
	for (;;) {
		int n;

		model_step(m, e);
		if (random_next(&rnd) % 64)
			continue;
		if (e->ops->flush(e->self))
			return 1;
		n = snprintf(line, sizeof(line), "%llu\n",
			     (unsigned long long)m->applied);
		if (write(STDOUT_FILENO, line, (size_t)n) != n)
			return 1;
	}
}

/* ---- the parent ------------------------------------------------------ */

static pid_t child_start(const char *what, const char *path, uint64_t seed,
			 uint64_t min, uint64_t max, int out)
{
	char text[3][32];
	pid_t pid;

	(void)snprintf(text[0], 32, "%llu", (unsigned long long)seed);
	(void)snprintf(text[1], 32, "%llu", (unsigned long long)min);
	(void)snprintf(text[2], 32, "%llu", (unsigned long long)max);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		if (out >= 0)
			(void)dup2(out, STDOUT_FILENO);
		(void)execl("/proc/self/exe", "test_damage", engine_name, what,
			    path, text[0], out < 0 ? text[1] : NULL, text[2],
			    (char *)NULL);
		_exit(127);
	}
	return pid;
}

static int child_probe(const char *what, const char *path, uint64_t seed,
		       uint64_t min, uint64_t max)
{
	pid_t pid = child_start(what, path, seed, min, max, -1);
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* The last whole line of the pipe, to its end. */
static uint64_t pipe_last(int fd, uint64_t last)
{
	FILE *f = fdopen(fd, "r");
	char line[64];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (strchr(line, '\n'))
			last = strtoull(line, NULL, 10);
	(void)fclose(f);
	return last;
}

struct damage {
	uint64_t seed, rnd;
	char *top, *path;
	uint64_t number; /* of the state in path */
};

/* A checkpoint, for in it every file counts. */
static int damage_up(void **state)
{
	struct damage *d = calloc(1, sizeof(*d));
	struct engine *e = engine_new(engine_name, NULL);
	struct model *m;
	char *home;

	assert_non_null(d);
	d->seed = d->rnd = random_seed();
	d->top = folder_new();
	d->path = folder_join(d->top, "checkpoint");
	home = folder_join(d->top, "home");
	m = model_new(d->seed, KEYS);
	assert_int_equal(engine_open(e, home, CREATE, MEMORY, &d->number), 0);
	for (int i = 0; i < 400; ++i) {
		model_step(m, e);
		if (i % 150 == 50)
			assert_int_equal(e->ops->flush(e->self), 0);
	}
	assert_int_equal(e->ops->checkpoint(e->self, d->path, &d->number), 0);
	assert_int_equal(d->number, 400);
	engine_free(e);
	model_free(m);
	free(home);
	*state = d;
	return 0;
}

static int damage_down(void **state)
{
	struct damage *d = *state;

	folder_drop(d->top);
	free(d->path);
	free(d);
	return 0;
}

static void a_killed_process_leaves_what_it_flushed(void **state)
{
	struct damage *d = *state;
	uint64_t seed = d->seed, rnd = seed, flushed = 0;
	char *path = folder_join(d->top, "killed");
	int progress = 0;

	for (int round = 0; round < 12; ++round) {
		uint64_t before = flushed;
		struct timespec wait = { 0 };
		int fds[2], status;
		pid_t pid;

		assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
		pid = child_start("work", path, seed, 0, 0, fds[1]);
		(void)close(fds[1]);
		/* on a busy machine it may take long to do anything */
		if (round % 3) {
			struct pollfd ready = { fds[0], POLLIN, 0 };

			assert_int_equal(poll(&ready, 1, 60000), 1);
		}
		wait.tv_nsec = (long)(random_next(&rnd) % 120) * 1000000;
		(void)nanosleep(&wait, NULL);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		flushed = pipe_last(fds[0], flushed);
		progress += flushed > before;
		if (access(path, F_OK))
			continue; /* killed before it made anything */
		if (flushed)
			assert_int_equal(child_probe("write", path, seed,
						     flushed, UINT64_MAX),
					 PROBE_WHOLE);
		/* the probe wrote on a little */
	}
	assert_true(progress >= 8);
	free(path);
}

enum harm { HARM_FLIP, HARM_CUT, HARM_EMPTY, HARM_GONE, HARM_NOISE, N_HARMS };

/* Where it was harmed. */
static size_t harm_file(struct damage *d, const char *file, enum harm harm)
{
	size_t len;
	uint8_t *data = file_read(file, &len);
	size_t at = len ? random_next(&d->rnd) % len : 0;

	if (harm == HARM_FLIP && len)
		data[at] ^= (uint8_t)(1u << random_next(&d->rnd) % 8);
	if (harm == HARM_NOISE)
		for (size_t i = at; i < len && i < at + 64; ++i)
			data[i] = (uint8_t)random_next(&d->rnd);
	if (harm == HARM_CUT)
		len = at;
	if (harm == HARM_EMPTY)
		len = 0;
	if (harm == HARM_GONE)
		(void)unlink(file);
	else
		file_write(file, data, len);
	free(data);
	return at;
}

/* One file of a copy is harmed in one way; the verdict. */
static int harm_probe(struct damage *d, const char *name, enum harm harm)
{
	char *copy = folder_join(d->top, "copy");
	char *file = folder_join(copy, name);
	int verdict;
	size_t at;

	folder_copy(d->path, copy);
	at = harm_file(d, file, harm);
	verdict = child_probe(random_next(&d->rnd) % 5 ? "probe" : "write",
			      copy, d->seed, 0, d->number);
	folder_remove(copy);
	free(file);
	free(copy);
	if (verdict != PROBE_WHOLE && verdict != PROBE_OPEN &&
	    verdict != PROBE_READ &&
	    (verdict != PROBE_ERROR || harm != HARM_GONE))
		fail_msg("%s, harm %d at %zu: verdict %d", name, harm, at,
			 verdict);
	return verdict;
}

static const enum harm harms[20] = {
	HARM_FLIP,  HARM_FLIP,  HARM_FLIP,  HARM_FLIP,  HARM_FLIP,
	HARM_FLIP,  HARM_FLIP,  HARM_FLIP,  HARM_FLIP,  HARM_FLIP,
	HARM_FLIP,  HARM_FLIP,  HARM_CUT,   HARM_CUT,   HARM_CUT,
	HARM_NOISE, HARM_NOISE, HARM_NOISE, HARM_EMPTY, HARM_GONE,
};

static void damage_is_noticed_or_harmless(void **state)
{
	struct damage *d = *state;
	int n, seen[N_HARMS][PROBE_ERROR + 1] = { 0 };
	char **names = names_new(d->path, &n);
	/* every bit of the map counts; RocksDB has files that do not */
	int strict = !strcmp(engine_name, "mem");

	for (int i = 0; i < n; ++i) {
		for (int t = 0; t < 20; ++t) {
			enum harm harm = harms[t];
			int v = harm_probe(d, names[i], harm);

			++seen[harm][v];
			if (strict && harm != HARM_GONE)
				assert_int_equal(v, PROBE_OPEN);
		}
	}
	names_free(names, n);
	for (int h = 0; h < N_HARMS && n > 0; ++h)
		print_message("harm %d: harmless %d, open %d, read %d\n", h,
			      seen[h][PROBE_WHOLE], seen[h][PROBE_OPEN],
			      seen[h][PROBE_READ]);
	assert_true(seen[HARM_FLIP][PROBE_OPEN] + seen[HARM_FLIP][PROBE_READ] >
		    0);
	assert_true(strict || seen[HARM_GONE][PROBE_OPEN] > 1);
}

/* Some of what stands there is decoded before it is verified. */
static void no_top_bit_at_the_end_of_a_table_kills(void **state)
{
	struct damage *d = *state;
	int n, at = 0;
	char **names = names_new(d->path, &n), *file;
	char *copy = folder_join(d->top, "copy");
	uint8_t *data;
	size_t len;

	while (at < n - 1 && !strstr(names[at], ".sst"))
		++at;
	folder_copy(d->path, copy);
	file = folder_join(copy, names[at]);
	data = file_read(file, &len);
	assert_true(len > 250);
	for (size_t back = 100; back < 200; ++back) {
		int v;

		data[len - back] ^= 0x80;
		file_write(file, data, len);
		v = child_probe("probe", copy, d->seed, 0, d->number);
		data[len - back] ^= 0x80;
		if (v != PROBE_OPEN && v != PROBE_READ)
			fail_msg("%s, %zu from the end: %d", names[at], back,
				 v);
	}
	names_free(names, n);
	free(data);
	free(file);
	free(copy);
}

static void an_untouched_copy_is_whole(void **state)
{
	struct damage *d = *state;

	assert_int_equal(
	    child_probe("probe", d->path, d->seed, d->number, d->number),
	    PROBE_WHOLE);
}

#define DAMAGED(f) cmocka_unit_test_setup_teardown(f, damage_up, damage_down)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		DAMAGED(a_killed_process_leaves_what_it_flushed),
		DAMAGED(an_untouched_copy_is_whole),
		DAMAGED(damage_is_noticed_or_harmless),
		DAMAGED(no_top_bit_at_the_end_of_a_table_kills),
	};

	engine_name = argc > 1 ? argv[1] : "mem";
	if (argc > 6)
		return probe(argv[3], strtoull(argv[4], NULL, 10),
			     strtoull(argv[5], NULL, 10),
			     strtoull(argv[6], NULL, 10),
			     !strcmp(argv[2], "write"));
	if (argc > 4)
		return work(argv[3], strtoull(argv[4], NULL, 10));
	return cmocka_run_group_tests_name(engine_name, tests, NULL, NULL);
}
