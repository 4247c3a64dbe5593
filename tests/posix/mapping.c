/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mmap: shared and private, and that they and read and write see the same.
 */
#include "posix.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096

static char *map(int fd, size_t len, int prot, int flags)
{
	char *at = mmap(NULL, len, prot, flags, fd, 0);

	if (at == MAP_FAILED)
		die("mmap: %m");
	return at;
}

#define RW (PROT_READ | PROT_WRITE)

static void shared(void)
{
	const size_t len = 16 * PAGE;
	int fd = case_open("f", O_CREAT | O_RDWR, 0644), second;
	char *a, *b, c;

	check_is((int64_t)len, sys(write(fd, pattern(len, 1), len)), "write");
	a = map(fd, len, RW, MAP_SHARED);
	second = case_open("f", O_RDWR, 0);
	b = map(second, len, PROT_READ, MAP_SHARED);
	check_that(memcmp(a, pattern(len, 1), len) == 0,
		   "what was written is mapped");
	for (size_t off = 0; off < len; off += PAGE / 2 + 7) {
		a[off] = 'm';
		check_is(1, sys(pread(second, &c, 1, (off_t)off)), "pread");
		check_is('m', c, "read sees the mapping at %zu", off);
		check_is('m', b[off], "so does the other mapping");
		check_is(1, sys(pwrite(second, "w", 1, (off_t)off)), "pwrite");
		check_is('w', a[off], "the mapping sees write at %zu", off);
		check_is('w', b[off], "so does the other mapping");
	}
	/* the file grows under the mapping's last page */
	check_is(0, sys(msync(a, len, MS_SYNC)), "msync");
	check_is(0, sys(msync(a, len, MS_ASYNC)), "msync, later");
	check_is(0, sys(munmap(a, len)), "munmap");
	(void)close(fd);
	check_is(1, sys(pwrite(second, "z", 1, 0)), "pwrite");
	check_is('z', b[0], "a mapping outlives its descriptor");
	(void)close(second);
	(void)munmap(b, len);
	STEP(TRUNCATE, "f", .a = 1, .after = "f:text=z");
}

static void private(void)
{
	const size_t len = 4 * PAGE;
	int fd = case_open("f", O_CREAT | O_RDWR, 0644);
	char *a, *b, c;

	check_is((int64_t)len, sys(write(fd, pattern(len, 2), len)), "write");
	a = map(fd, len, RW, MAP_PRIVATE);
	b = map(fd, len, RW, MAP_SHARED);
	for (size_t off = 5; off < len; off += PAGE) {
		char was = b[off];

		a[off] = 'p';
		check_is('p', a[off], "the private page");
		check_is(was, b[off], "the shared one is as it was");
		check_is(1, sys(pread(fd, &c, 1, (off_t)off)), "pread");
		check_is(was, c, "so is the file");
	}
	/* pages that were not written yet show what happens to the file */
	check_is(0, sys(munmap(a, len)), "munmap");
	a = map(fd, len, RW, MAP_PRIVATE);
	check_is(1, sys(pwrite(fd, "q", 1, PAGE)), "pwrite");
	check_is('q', a[PAGE], "a private page that nobody wrote");
	(void)munmap(a, len);
	(void)munmap(b, len);
	(void)close(fd);
}

/* Behind the end of the file the last page is zeros, and stays out. */
static void last_page(void)
{
	int fd = case_open("f", O_CREAT | O_RDWR, 0644);
	struct stat st;
	char *a;

	check_is(100, sys(write(fd, pattern(100, 3), 100)), "write");
	a = map(fd, PAGE, RW, MAP_SHARED);
	for (size_t i = 100; i < PAGE; i += 97)
		check_is(0, a[i], "byte %zu behind the end", i);
	memset(a + 100, 'X', PAGE - 100);
	check_is(0, sys(msync(a, PAGE, MS_SYNC)), "msync");
	check_is(0, sys(fstat(fd, &st)), "fstat");
	check_is(100, st.st_size, "the size, when more was written");
	(void)munmap(a, PAGE);
	check_is(0, sys(ftruncate(fd, 2 * PAGE)), "grow");
	check_that(holds_zeros(fd, 100, PAGE), "what was written is not there");
	check_that(holds_pattern(fd, 0, 100, 3), "the file is as it was");
	(void)close(fd);
}

static long touch(void *arg)
{
	const struct {
		int fd;
		size_t len, at;
	} *t = arg;
	volatile char *a = map(t->fd, t->len, RW, MAP_SHARED);

	(void)signal(SIGBUS, SIG_DFL);
	a[t->at] = 1;
	return 0;
}

static void bus_errors(void)
{
	int fd = case_open("f", O_CREAT | O_RDWR, 0644);
	struct {
		int fd;
		size_t len, at;
	} t = { .fd = fd, .len = 4 * PAGE };

	check_is(10, sys(write(fd, pattern(10, 3), 10)), "write");
	t.at = PAGE - 1;
	check_is(0, in_child(ROOT, touch, &t), "within the last page");
	t.at = PAGE;
	check_is(SIGBUS, (in_child(ROOT, touch, &t) - 256) & 0x7f,
		 "behind the last page");
	t.at = 3 * PAGE;
	check_is(SIGBUS, (in_child(ROOT, touch, &t) - 256) & 0x7f,
		 "far behind it");
	check_is(0, sys(ftruncate(fd, 4 * PAGE)), "grow");
	check_is(0, in_child(ROOT, touch, &t), "when the file has grown");
	check_is(0, sys(ftruncate(fd, PAGE)), "shrink");
	check_is(SIGBUS, (in_child(ROOT, touch, &t) - 256) & 0x7f,
		 "when the file has shrunk");
	(void)close(fd);
}

static void cut_under_mapping(void)
{
	int fd = case_open("f", O_CREAT | O_RDWR, 0644);
	char *a;

	check_is(3 * PAGE, sys(write(fd, pattern(3 * PAGE, 3), 3 * PAGE)),
		 "write");
	a = map(fd, 3 * PAGE, RW, MAP_SHARED);
	check_that(a[2 * PAGE] != 0, "it is mapped");
	check_is(0, sys(ftruncate(fd, PAGE + 10)), "cut");
	check_is(0, a[PAGE + 10], "behind the cut");
	check_that(a[PAGE + 9] != 0, "before the cut");
	check_is(0, sys(ftruncate(fd, 3 * PAGE)), "grow");
	for (size_t i = PAGE + 10; i < 3 * PAGE; i += 333)
		check_is(0, a[i], "byte %zu after it has grown", i);
	a[2 * PAGE] = 'n';
	check_is(0, sys(msync(a, 3 * PAGE, MS_SYNC)), "msync");
	check_that(holds_zeros(fd, PAGE + 10, PAGE - 10), "zeros in the file");
	(void)munmap(a, 3 * PAGE);
	(void)close(fd);
}

static void permissions(void)
{
	static const struct {
		int open, prot, flags, err;
	} tries[] = {
		{ O_RDONLY, PROT_READ, MAP_SHARED, 0 },
		{ O_RDONLY, PROT_READ, MAP_PRIVATE, 0 },
		{ O_RDONLY, RW, MAP_PRIVATE, 0 },
		{ O_RDONLY, RW, MAP_SHARED, -EACCES },
		{ O_RDONLY, PROT_WRITE, MAP_SHARED, -EACCES },
		{ O_WRONLY, PROT_WRITE, MAP_SHARED, -EACCES },
		{ O_WRONLY, PROT_READ, MAP_SHARED, -EACCES },
		{ O_WRONLY, PROT_READ, MAP_PRIVATE, -EACCES },
		{ O_RDWR, RW, MAP_SHARED, 0 },
		{ O_RDWR, PROT_READ | PROT_EXEC, MAP_PRIVATE, 0 },
		{ O_RDWR, RW, MAP_SHARED_VALIDATE, 0 },
		{ O_RDWR | O_APPEND, RW, MAP_SHARED, 0 },
		{ O_PATH, PROT_READ, MAP_SHARED, -EBADF },
	};

	make_kind('r', "f");
	for (size_t i = 0; i < COUNT(tries); i++) {
		int fd = case_open("f", tries[i].open, 0);
		char *a =
		    mmap(NULL, PAGE, tries[i].prot, tries[i].flags, fd, 0);

		check_is(tries[i].err, a == MAP_FAILED ? -errno : 0, "mmap %zu",
			 i);
		if (a != MAP_FAILED)
			(void)munmap(a, PAGE);
		(void)close(fd);
	}
	check_is(-ENODEV,
		 mmap(NULL, PAGE, PROT_READ, MAP_SHARED,
		      case_open(".", O_RDONLY, 0), 0) == MAP_FAILED
		     ? -errno
		     : 0,
		 "mmap of a directory");
}

static const struct test_case cases[] = {
	RUN(shared),     RUN(private),           RUN(last_page),
	RUN(bus_errors), RUN(cut_under_mapping), RUN(permissions),
	{ 0 },
};
const struct check_group group_mapping = { "mapping", cases };
