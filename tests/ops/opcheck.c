/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random operations on two files, each compared with a model in memory.
 *
 *	opcheck DIR [OPTIONS]
 *	  --seed N     the first seed (1)
 *	  --seeds N    how many, one after the other, each with new files (1)
 *	  --ops N      operations of each seed, of all processes together (20000)
 *	  --procs N    processes on the same two files, under locks (1)
 *	  --max BYTES  how large a file may get (3 MiB)
 *	  --without A,B  leave these operations out; --list names them
 *	  --drop       drop the system's caches now and then (root)
 *	  --pause N    after N operations of each seed: say "paused" and wait
 *	               for a line; --close: with the files closed
 *
 * What is read, mapped, sought and asked for must be what the model says.
 * After all, every byte is read once more: as it is, with nothing cached, and
 * after the files were opened again.  One line is printed for each seed; when
 * something is wrong, the operations that led there.  The same seed does the
 * same operations, with several processes but for their order.
 *
 * Rejected: a list of operations that is shrunk until it is small.  The last
 * operations on a range say enough, and several processes can not be replayed.
 */
#include "opcheck.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCS_MAX   64u
#define DEFAULT_MAX (3u << 20)

struct options {
	const char *dir;
	uint64_t seed, seeds, ops, max, pause;
	unsigned procs;
	bool close, drop;
	char without[512];
};

uint64_t random_next(uint64_t *s)
{
	uint64_t z = *s += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

uint64_t random_below(struct worker *w, uint64_t n)
{
	uint64_t dice = random_next(&w->rng);

	return n ? dice % n : 0;
}

static void *shared_memory(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		perror("opcheck: mmap");
		exit(2);
	}
	return p;
}

static struct shared *shared_new(const struct options *o)
{
	struct shared *s = shared_memory(sizeof(*s));

	s->max = o->max;
	for (unsigned i = 0; i < FILES; i++)
		s->file[i].bytes = shared_memory(o->max);
	return s;
}

static void shared_reset(struct shared *s, const struct options *o,
			 uint64_t seed)
{
	s->n_ops = 0;
	memset(s->log, 0, sizeof(s->log));
	for (unsigned i = 0; i < FILES; i++) {
		struct model *m = &s->file[i];

		memset(m->bytes, 0, o->max);
		m->size = 0;
		(void)snprintf(m->path, sizeof(m->path), "%s/op%llu.%u", o->dir,
			       (unsigned long long)seed, i);
		if (unlink(m->path) < 0 && errno != ENOENT) {
			perror(m->path);
			exit(2);
		}
	}
}

/* Whoever drives this may do to the pool what it wants meanwhile. */
static bool pause_here(struct worker *w, const struct options *o)
{
	char line[16];

	if (o->close)
		files_close(w);
	(void)printf("paused\n");
	(void)fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return wrong(w, "nobody said to go on");
	return !o->close || files_open(w);
}

static bool work(struct worker *w, const struct options *o)
{
	uint64_t mine = o->ops / w->n_workers, done = 0;
	bool ok = files_open(w);

	while (ok && done < mine) {
		uint64_t before = w->number;

		ok = op_any(w) && !w->s->failed;
		/* one that found nothing to do is none */
		if (w->number == before)
			continue;
		if (++done == o->pause)
			ok = ok && pause_here(w, o);
	}
	return ok;
}

static bool check_at_end(struct worker *w)
{
	bool ok = files_verify(w);

	for (unsigned i = 0; ok && i < FILES; i++) {
		ok = !fsync(w->fd[i]) || wrong(w, "the last fsync");
		(void)posix_fadvise(w->fd[i], 0, 0, POSIX_FADV_DONTNEED);
	}
	ok = ok && files_verify(w);
	files_close(w);
	ok = ok && files_open(w) && files_verify(w);
	files_close(w);
	for (unsigned i = 0; ok && i < FILES; i++)
		ok = !unlink(w->s->file[i].path) || wrong(w, "unlink");
	return ok && !w->s->failed;
}

static struct worker worker_new(struct shared *s, const struct options *o,
				uint64_t seed, unsigned id)
{
	struct worker w = { .s = s,
			    .rng = seed * 1000 + id,
			    .id = id,
			    .n_workers = o->procs,
			    .fd = { -1, -1 },
			    .direct = { -1, -1 },
			    .ofd = id % 2,
			    .without = o->without,
			    .drop_all = o->drop };

	w.buf = aligned_alloc(PAGE, o->max + PAGE);
	if (!w.buf) {
		perror("opcheck");
		exit(2);
	}
	return w;
}

static bool run_processes(struct shared *s, const struct options *o,
			  uint64_t seed)
{
	pid_t child[PROCS_MAX];
	bool ok = true;

	for (unsigned i = 0; i < o->procs; i++) {
		child[i] = fork();
		if (child[i] < 0) {
			perror("opcheck: fork");
			exit(2);
		}
		if (!child[i]) {
			struct worker w = worker_new(s, o, seed, i);

			_exit(work(&w, o) ? 0 : 1);
		}
	}
	for (unsigned i = 0; i < o->procs; i++) {
		int status = 0;

		ok = waitpid(child[i], &status, 0) == child[i] && !status && ok;
	}
	return ok;
}

static bool run_seed(struct shared *s, const struct options *o, uint64_t seed)
{
	struct worker w;
	bool ok;

	shared_reset(s, o, seed);
	w = worker_new(s, o, seed, o->procs == 1 ? 0 : o->procs);
	ok = o->procs == 1 ? work(&w, o)
			   : run_processes(s, o, seed) && files_open(&w);
	ok = ok && check_at_end(&w);
	free(w.buf);
	(void)printf("seed %llu: %llu operations, %s", (unsigned long long)seed,
		     (unsigned long long)s->n_ops, ok ? "ok" : "WRONG");
	if (w.n_unknown)
		(void)printf(" (%u not supported)", w.n_unknown);
	(void)printf("\n");
	(void)fflush(stdout);
	return ok;
}

static uint64_t number(const char *text)
{
	char *end;
	unsigned long long n;

	errno = 0;
	n = strtoull(text, &end, 0);
	if (errno || *end || end == text || *text == '-') {
		(void)fprintf(stderr, "opcheck: %s is not a number\n", text);
		exit(2);
	}
	return n;
}

static int usage(void)
{
	(void)fprintf(stderr,
		      "usage: opcheck DIR [--seed N] [--seeds N] [--ops N] "
		      "[--procs N] [--max BYTES]\n"
		      "       [--without A,B] [--drop] [--pause N [--close]] "
		      "| --list\n");
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option names[] = {
		{ "seed", 1, NULL, 's' },  { "seeds", 1, NULL, 'n' },
		{ "ops", 1, NULL, 'o' },   { "procs", 1, NULL, 'p' },
		{ "max", 1, NULL, 'm' },   { "without", 1, NULL, 'w' },
		{ "drop", 0, NULL, 'd' },  { "pause", 1, NULL, 'P' },
		{ "close", 0, NULL, 'c' }, { "list", 0, NULL, 'l' },
		{ NULL, 0, NULL, 0 },
	};
	struct options o = { .seed = 1,
			     .seeds = 1,
			     .ops = 20000,
			     .max = DEFAULT_MAX,
			     .procs = 1 };
	struct shared *s;
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case 's':
			o.seed = number(optarg);
			break;
		case 'n':
			o.seeds = number(optarg);
			break;
		case 'o':
			o.ops = number(optarg);
			break;
		case 'p':
			o.procs = (unsigned)number(optarg);
			break;
		case 'm':
			o.max = number(optarg);
			break;
		case 'w':
			(void)snprintf(o.without, sizeof(o.without), ",%s,",
				       optarg);
			break;
		case 'd':
			o.drop = true;
			break;
		case 'P':
			o.pause = number(optarg);
			break;
		case 'c':
			o.close = true;
			break;
		case 'l':
			ops_list();
			return 0;
		default:
			return usage();
		}
	}
	if (optind + 1 != argc || !o.procs || o.procs > PROCS_MAX ||
	    o.max < 8 * PAGE || (o.pause && o.procs > 1))
		return usage();
	o.dir = argv[optind];
	s = shared_new(&o);
	for (uint64_t i = 0; i < o.seeds; i++)
		if (!run_seed(s, &o, o.seed + i))
			return 1;
	return 0;
}
