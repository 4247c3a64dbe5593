/* SPDX-License-Identifier: Apache-2.0 */
/* The table of real system calls, in a directory of its own. */
#include "base/os.h"

#include <errno.h>
#include <linux/magic.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/dynfs-test-os-XXXXXX";
static char path_a[64], path_b[64];

static int setup(void **state)
{
	(void)state;
	memcpy(dir + sizeof(dir) - 7, "XXXXXX", 6);
	if (!mkdtemp(dir))
		return -1;
	(void)snprintf(path_a, sizeof(path_a), "%s/a", dir);
	(void)snprintf(path_b, sizeof(path_b), "%s/b", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	(void)unlink(path_a);
	(void)unlink(path_b);
	(void)rmdir(path_b);
	return rmdir(dir);
}

static int open_a(uint32_t flags)
{
	const struct dynfs_os *os = os_real();

	return os->open(os, path_a, flags, 0600);
}

static void what_is_written_is_read(void **state)
{
	const struct dynfs_os *os = os_real();
	char in[12] = { 0 };
	struct iovec w[2] = { { "hello ", 6 }, { "world", 5 } };
	struct iovec r[2] = { { in, 3 }, { in + 3, 9 } };
	struct dynfs_os_stat st;
	int fd;

	(void)state;
	fd = open_a(DYNFS_OS_RDWR | DYNFS_OS_CREATE | DYNFS_OS_EXCL);
	assert_true(fd >= 0);
	assert_int_equal(os->pwritev(os, fd, w, 2, 5), 11);
	assert_int_equal(os->sync(os, fd), 0);
	assert_int_equal(os->preadv(os, fd, r, 2, 5), 11);
	assert_string_equal(in, "hello world");
	assert_int_equal(os->fstat(os, fd, &st), 0);
	assert_int_equal(st.size_bytes, 16);
	assert_int_equal(st.type, DYNFS_OS_FILE);
	assert_int_equal(st.mode, 0600);
	assert_int_equal(os->close(os, fd), 0);
	assert_int_equal(open_a(DYNFS_OS_CREATE | DYNFS_OS_EXCL), -EEXIST);
	assert_int_equal(os->syncdir(os, dir), 0);
}

static void errors_are_negative_errno(void **state)
{
	const struct dynfs_os *os = os_real();
	struct dynfs_os_stat st;
	struct iovec v = { &st, sizeof(st) };

	(void)state;
	assert_int_equal(open_a(DYNFS_OS_RDONLY), -ENOENT);
	assert_int_equal(os->stat(os, path_a, &st), -ENOENT);
	assert_int_equal(os->preadv(os, -1, &v, 1, 0), -EBADF);
	assert_int_equal(os->preadv(os, -1, &v, 1, UINT64_MAX), -EINVAL);
	assert_int_equal(os->sync(os, -1), -EBADF);
	assert_int_equal(os->unlink(os, path_a), -ENOENT);
	assert_int_equal(os->allocate(os, -1, 9, 0, 1), -EINVAL);
}

static void a_lock_excludes_another_handle_of_the_same_process(void **state)
{
	const struct dynfs_os *os = os_real();
	int a, b;

	(void)state;
	a = open_a(DYNFS_OS_RDWR | DYNFS_OS_CREATE);
	b = open_a(DYNFS_OS_RDWR);
	assert_int_equal(os->lock(os, a), 0);
	assert_int_equal(os->lock(os, b), -EWOULDBLOCK);
	assert_int_equal(os->close(os, a), 0);
	assert_int_equal(os->lock(os, b), 0);
	assert_int_equal(os->close(os, b), 0);
}

static void punching_gives_blocks_back(void **state)
{
	const struct dynfs_os *os = os_real();
	struct dynfs_os_stat st;
	uint64_t before;
	int fd, r;

	(void)state;
	fd = open_a(DYNFS_OS_RDWR | DYNFS_OS_CREATE);
	r = os->allocate(os, fd, DYNFS_OS_ALLOC, 0, 1 << 20);
	if (r == -EOPNOTSUPP) {
		(void)os->close(os, fd);
		skip();
	}
	assert_int_equal(r, 0);
	assert_int_equal(os->fstat(os, fd, &st), 0);
	assert_int_equal(st.size_bytes, 1 << 20);
	before = st.alloc_bytes;
	r = os->allocate(os, fd, DYNFS_OS_PUNCH, 0, 1 << 19);
	assert_int_equal(r, 0);
	assert_int_equal(os->fstat(os, fd, &st), 0);
	assert_true(st.alloc_bytes <= before - (1 << 19));
	assert_int_equal(st.size_bytes, 1 << 20);
	assert_int_equal(os->truncate(os, fd, 10), 0);
	assert_int_equal(os->fstat(os, fd, &st), 0);
	assert_int_equal(st.size_bytes, 10);
	assert_int_equal(os->close(os, fd), 0);
}

static int count_name(void *ctx, const char *name, uint32_t type)
{
	int *n = ctx;

	if (!strcmp(name, "a"))
		*n += type == DYNFS_OS_FILE ? 1 : 100;
	else
		*n += type == DYNFS_OS_DIR ? 10 : 100;
	return 0;
}

static int stop_at_once(void *ctx, const char *name, uint32_t type)
{
	(void)ctx;
	(void)name;
	(void)type;
	return 42;
}

static void names_are_made_listed_and_removed(void **state)
{
	const struct dynfs_os *os = os_real();
	int n = 0;

	(void)state;
	(void)os->close(os, open_a(DYNFS_OS_RDWR | DYNFS_OS_CREATE));
	assert_int_equal(os->mkdir(os, path_b, 0700), 0);
	assert_int_equal(os->list(os, dir, count_name, &n), 0);
	assert_int_equal(n, 11);
	assert_int_equal(os->list(os, dir, stop_at_once, NULL), 42);
	assert_int_equal(os->rmdir(os, path_b), 0);
	assert_int_equal(os->link(os, path_a, path_b), 0);
	assert_int_equal(os->unlink(os, path_a), 0);
	assert_int_equal(os->rename(os, path_b, path_a), 0);
	assert_int_equal(os->unlink(os, path_a), 0);
	assert_int_equal(os->list(os, path_a, count_name, &n), -ENOENT);
}

static void a_whole_file_system_is_synced_or_says_that_it_can_not(void **state)
{
	const struct dynfs_os *os = os_real();
	int r = os->syncfs(os, dir);

	(void)state;
	/* the second where the test runs on a file system in user space */
	assert_true(r == 0 || r == -EOPNOTSUPP);
	assert_int_equal(os->syncfs(os, path_b), -ENOENT);
}

#define CACHED_PAGES 16u

/* Of a file of that many pages. */
static unsigned pages_cached(int fd)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned char in[CACHED_PAGES];
	unsigned n = 0;
	void *at =
	    mmap(NULL, CACHED_PAGES * page, PROT_READ, MAP_SHARED, fd, 0);

	assert_true(at != MAP_FAILED);
	assert_int_equal(mincore(at, CACHED_PAGES * page, in), 0);
	assert_int_equal(munmap(at, CACHED_PAGES * page), 0);
	for (unsigned i = 0; i < CACHED_PAGES; i++)
		n += in[i] & 1;
	return n;
}

static void what_is_settled_is_read_from_the_device(void **state)
{
	const struct dynfs_os *os = os_real();
	size_t len = CACHED_PAGES * (size_t)sysconf(_SC_PAGESIZE);
	char *text = malloc(len), c = 0;
	struct iovec v = { text, len }, one = { &c, 1 };
	struct statfs st;
	int fd;

	(void)state;
	assert_non_null(text);
	memset(text, 'x', len);
	fd = open_a(DYNFS_OS_RDWR | DYNFS_OS_CREATE);
	assert_true(fd >= 0);
	assert_int_equal(os->pwritev(os, fd, &v, 1, 0), len);
	assert_int_equal(pages_cached(fd), CACHED_PAGES);
	assert_int_equal(os_settle(os, fd), 0);
	assert_int_equal(fstatfs(fd, &st), 0);
	/* that one has no device below */
	if (st.f_type != TMPFS_MAGIC)
		assert_int_equal(pages_cached(fd), 0);
	assert_int_equal(os->preadv(os, fd, &one, 1, len - 1), 1);
	assert_int_equal(c, 'x');
	assert_int_equal(os->close(os, fd), 0);
	assert_int_equal(os->drop(os, fd), -EBADF);
	free(text);
}

static void space_clocks_and_random_numbers_answer(void **state)
{
	const struct dynfs_os *os = os_real();
	struct dynfs_os_space sp;
	uint64_t t = os->now_ns(os), a[4] = { 0 }, b[4] = { 0 };

	(void)state;
	assert_int_equal(os->space(os, dir, &sp), 0);
	assert_true(sp.total_bytes >= sp.free_bytes && sp.block_bytes);
	assert_true(os->now_ns(os) >= t);
	assert_true(os->wall_ns(os) > 1600000000000000000ll);
	assert_int_equal(os->random(os, a, sizeof(a)), 0);
	assert_int_equal(os->random(os, b, sizeof(b)), 0);
	assert_memory_not_equal(a, b, sizeof(a));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_is_written_is_read),
		T(errors_are_negative_errno),
		T(a_lock_excludes_another_handle_of_the_same_process),
		T(punching_gives_blocks_back),
		T(names_are_made_listed_and_removed),
		T(a_whole_file_system_is_synced_or_says_that_it_can_not),
		T(what_is_settled_is_read_from_the_device),
		T(space_clocks_and_random_numbers_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
