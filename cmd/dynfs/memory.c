/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bound of the process's memory.
 *
 * Every layer has its share of limits.memory and counts what it uses (pool's
 * compose.c).  What the heap makes of that nobody counts: objects are made by
 * one thread and freed by another, and with an arena for each thread there are
 * holes in all of them.  After a million new files 15 arenas held 245 MB, of
 * which 72 were in use.  So there are few arenas, by the bound, and large
 * pieces get pages of their own, which go when they are freed.
 *
 * That leaves holes enough for a long life to add up.  The main thread has
 * nothing else to do: now and then it looks at what is resident, and near the
 * bound it has free memory given back.  Rejected: to count what is allocated,
 * which would not see the holes; and to look after each allocation.
 */
#include "daemon.h"

#include <base/os.h>

#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARENA_BYTES (128ull << 20) /* one for so much of the bound */
#define ARENAS_MAX  64
#define OWN_PAGES   (256 << 10) /* from here on a piece has its own */
#define TOP_BYTES   (1 << 20)
#define PAUSE_NS    1000000000u
#define LOOK_MS     250 /* near the bound */
#define IDLE_MS     2000
#define PAUSE_TIMES 50u /* a fiftieth of the time at most */

void memory_init(const struct conf *conf, struct watch *ret)
{
	uint64_t arenas = conf->limits.memory_bytes / ARENA_BYTES;

	arenas = arenas < 1 ? 1 : arenas > ARENAS_MAX ? ARENAS_MAX : arenas;
	/* nobody else has a thread yet; a heap that does not know these goes on */
	/* NOLINTBEGIN(concurrency-mt-unsafe) */
	(void)mallopt(M_ARENA_MAX, (int)arenas);
	(void)mallopt(M_MMAP_THRESHOLD, OWN_PAGES);
	(void)mallopt(M_TRIM_THRESHOLD, TOP_BYTES);
	/* NOLINTEND(concurrency-mt-unsafe) */
	*ret = (struct watch){
		.fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC),
		.page_bytes = (uint64_t)sysconf(_SC_PAGESIZE),
		.limit = conf->limits.memory_bytes / 16 * 15,
	};
}

/* 0: it can not be told. */
static uint64_t resident(const struct watch *w)
{
	char text[128], *second;
	ssize_t n = w->fd < 0 ? -1 : pread(w->fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return 0;
	text[n] = '\0';
	second = strchr(text, ' ');
	return second ? strtoull(second, NULL, 10) * w->page_bytes : 0;
}

int memory_look(struct watch *w, struct pool *p)
{
	const struct dynfs_os *os = os_real();
	uint64_t from, took, bytes = resident(w);

	/* holes do not grow to the other half in so short a time */
	if (bytes < w->limit / 2)
		return IDLE_MS;
	if (bytes <= w->limit)
		return LOOK_MS;
	from = os->now_ns(os);
	if (from < w->again_ns)
		return LOOK_MS;
	pool_trim(p);
	took = os->now_ns(os) - from;
	w->again_ns = from + took * PAUSE_TIMES;
	if (w->again_ns < from + PAUSE_NS)
		w->again_ns = from + PAUSE_NS;
	return LOOK_MS;
}

void memory_done(struct watch *w)
{
	if (w->fd >= 0)
		(void)close(w->fd);
	w->fd = -1;
}
