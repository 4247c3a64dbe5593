/* SPDX-License-Identifier: Apache-2.0 */
#include "simseeds.h"

#include <base/log.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SEED_SECONDS 300u /* then it hangs */
#define SEEDS_JUDGED 100u /* so many ought to meet everything */
#define JOBS_MAX     8u
#define LINES        60u /* of the log, when one fails */

/* The last lines of the log of this seed, for who wants to know why. */
static struct {
	pthread_mutex_t lock;
	char line[LINES][200];
	unsigned n;
} kept = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void keep_line(int level, const char *area, const char *text)
{
	(void)level;
	(void)pthread_mutex_lock(&kept.lock);
	(void)snprintf(kept.line[kept.n++ % LINES], sizeof(kept.line[0]),
		       "# %s: %s", area, text);
	(void)pthread_mutex_unlock(&kept.lock);
}

void seed_note(const char *text)
{
	keep_line(DYNFS_INFO, "sim", text);
}

static void print_kept(void)
{
	(void)pthread_mutex_lock(&kept.lock);
	for (unsigned i = kept.n > LINES ? kept.n - LINES : 0; i < kept.n; i++)
		(void)fprintf(stderr, "%s\n", kept.line[i % LINES]);
	(void)pthread_mutex_unlock(&kept.lock);
}

void seed_fail(const char *fmt, ...)
{
	va_list ap;

	print_kept();
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
	_exit(1);
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name); /* NOLINT(concurrency-mt-unsafe) */

	return text ? strtoull(text, NULL, 0) : otherwise;
}

struct job {
	pid_t pid; /* 0: none */
	uint64_t seed;
	uint64_t *sums; /* shared with the process */
};

static void job_start(struct job *j, const struct seeds_how *how, uint64_t seed)
{
	j->seed = seed;
	memset(j->sums, 0, SEEDS_SUMS * sizeof(*j->sums));
	(void)fflush(stdout);
	j->pid = fork();
	if (j->pid < 0)
		seed_fail("no process can be made");
	if (j->pid)
		return;
	(void)alarm(SEED_SECONDS);
	how->run(seed, j->sums);
	exit(0); /* NOLINT(concurrency-mt-unsafe): its threads have ended */
}

/* Waits for one of them; true: it failed. */
static bool job_end(struct job *jobs, uint64_t sums[SEEDS_SUMS])
{
	struct job *j = jobs;
	int status = 0;
	pid_t pid = wait(&status);
	bool bad = !WIFEXITED(status) || WEXITSTATUS(status);

	if (pid < 0)
		seed_fail("a process is lost");
	while (j->pid != pid)
		j++;
	j->pid = 0;
	for (unsigned i = 0; i < SEEDS_SUMS; i++)
		sums[i] += j->sums[i];
	if (bad)
		printf("seed %" PRIu64 " failed: %s %d\n", j->seed,
		       WIFSIGNALED(status) ? "signal" : "exit",
		       WIFSIGNALED(status) ? WTERMSIG(status)
					   : WEXITSTATUS(status));
	return bad;
}

static uint64_t run_all(const struct seeds_how *how, uint64_t first, uint64_t n,
			uint64_t sums[SEEDS_SUMS])
{
	uint64_t n_jobs = number_from("DYNFS_JOBS", 1), bad = 0, running = 0;
	struct job jobs[JOBS_MAX] = { { 0 } };
	uint64_t *shared = (uint64_t *)mmap(
	    NULL, JOBS_MAX * SEEDS_SUMS * sizeof(uint64_t),
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (shared == MAP_FAILED)
		seed_fail("no memory to share");
	if (!n_jobs || n_jobs > JOBS_MAX)
		n_jobs = JOBS_MAX;
	for (unsigned i = 0; i < JOBS_MAX; i++)
		jobs[i].sums = shared + (size_t)i * SEEDS_SUMS;
	for (uint64_t i = 0; i < n || running;) {
		struct job *j = jobs;

		if (i == n || running == n_jobs) {
			bad += job_end(jobs, sums);
			running--;
			continue;
		}
		while (j->pid)
			j++;
		job_start(j, how, first + i++);
		running++;
	}
	(void)munmap(shared, JOBS_MAX * SEEDS_SUMS * sizeof(uint64_t));
	return bad;
}

int seeds_main(const struct seeds_how *how)
{
	uint64_t first =
	    number_from("DYNFS_SEED", (uint64_t)time(NULL) % 100000000);
	uint64_t n = number_from("DYNFS_SEEDS",
				 number_from("DYNFS_SEED", 0) ? 1 : how->n);
	uint64_t sums[SEEDS_SUMS] = { 0 }, bad = 0;
	bool little = false;

	log_set(keep_line, DYNFS_DEBUG);
	printf("DYNFS_SEED=%" PRIu64 " DYNFS_SEEDS=%" PRIu64 "\n", first, n);
	if (n == 1)
		how->run(first, sums);
	else
		bad = run_all(how, first, n, sums);
	for (unsigned i = 0; how->met[i]; i++) {
		printf("%s%" PRIu64 " %s", i ? ", " : "", sums[i], how->met[i]);
		little = little || !sums[i];
	}
	little = little && n >= SEEDS_JUDGED;
	printf("%s\n%s: %" PRIu64 " seeds run, %" PRIu64 " failed\n",
	       little ? ": too little was met" : "", how->name, n, bad);
	return bad || little;
}
