/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated system itself: what a power cut keeps, and what it may. */
#include "simos.h"
#include "testhost.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int setup(void **state)
{
	*state = simos_new(7);
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	simos_free(*state);
	return 0;
}

static int make(const struct dynfs_os *os, const char *path)
{
	int fd = os->open(os, path, DYNFS_OS_RDWR | DYNFS_OS_CREATE, 0600);

	assert_true(fd >= 0);
	return fd;
}

static void put(const struct dynfs_os *os, int fd, uint64_t off, int c,
		size_t len)
{
	char *b = malloc(len);
	struct iovec v = { b, len };

	assert_non_null(b);
	memset(b, c, len);
	assert_int_equal(os->pwritev(os, fd, &v, 1, off), len);
	free(b);
}

/* The one byte at off, or -1 at the end of the file. */
static int get(const struct dynfs_os *os, const char *path, uint64_t off)
{
	int fd = os->open(os, path, DYNFS_OS_RDONLY, 0);
	uint8_t c;
	struct iovec v = { &c, 1 };
	ssize_t r;

	if (fd < 0)
		return fd;
	r = os->preadv(os, fd, &v, 1, off);
	os->close(os, fd);
	return r == 1 ? c : -1;
}

static bool exists(const struct dynfs_os *os, const char *path)
{
	struct dynfs_os_stat st;

	return os->stat(os, path, &st) == 0;
}

static void synced_bytes_and_names_survive_a_power_cut(void **state)
{
	struct simos *s = *state;
	const struct dynfs_os *os = simos_os(s);
	int fd = make(os, "/a");

	put(os, fd, 100, 'x', 10000);
	assert_int_equal(os->sync(os, fd), 0);
	assert_int_equal(os->syncdir(os, "/"), 0);
	put(os, fd, 100, 'y', 10000);
	simos_crash(s, SIMOS_LOSE, 1);
	assert_int_equal(get(os, "/a", 100), 'x');
	assert_int_equal(get(os, "/a", 10099), 'x');
	assert_int_equal(get(os, "/a", 10100), -1);
	assert_int_equal(get(os, "/a", 0), 0);
	assert_int_equal(os->sync(os, fd), -EBADF);
}

static void a_name_is_lost_without_syncdir(void **state)
{
	struct simos *s = *state;
	const struct dynfs_os *os = simos_os(s);
	int fd = make(os, "/a");

	put(os, fd, 0, 'x', 10);
	assert_int_equal(os->sync(os, fd), 0);
	simos_crash(s, SIMOS_LOSE, 1);
	assert_false(exists(os, "/a"));
}

static void a_killed_process_leaves_what_the_next_cut_may_take(void **state)
{
	struct simos *s = *state;
	const struct dynfs_os *os = simos_os(s);
	int fd = make(os, "/a");

	put(os, fd, 0, 'o', 1000);
	assert_int_equal(os->sync(os, fd), 0);
	assert_int_equal(os->syncdir(os, "/"), 0);
	put(os, fd, 0, 'n', 1000);
	(void)make(os, "/b");
	simos_crash(s, SIMOS_CACHED, 1);
	assert_int_equal(os->sync(os, fd), -EBADF);
	assert_int_equal(get(os, "/a", 0), 'n');
	assert_true(exists(os, "/b"));
	simos_crash(s, SIMOS_LOSE, 1);
	assert_int_equal(get(os, "/a", 0), 'o');
	assert_false(exists(os, "/b"));
}

static void syncfs_covers_all_of_one_disk_and_nothing_else(void **state)
{
	struct simos *s = *state;
	const struct dynfs_os *os = simos_os(s);

	assert_int_equal(simos_limit(s, "/d1", 0), 0);
	assert_int_equal(simos_limit(s, "/d2", 0), 0);
	assert_int_equal(os->mkdir(os, "/d1/sub", 0700), 0);
	put(os, make(os, "/d1/sub/a"), 0, 'x', 1000);
	put(os, make(os, "/d2/b"), 0, 'x', 1000);
	assert_int_equal(os->syncfs(os, "/d1"), 0);
	simos_crash(s, SIMOS_LOSE, 1);
	assert_int_equal(get(os, "/d1/sub/a", 999), 'x');
	assert_false(exists(os, "/d2/b"));
}

static void unsynced_sectors_survive_each_on_its_own(void **state)
{
	struct simos *s = *state;
	const struct dynfs_os *os = simos_os(s);
	int kept = 0, lost = 0;

	for (uint64_t seed = 0; seed < 20; seed++) {
		int fd = make(os, "/a");

		put(os, fd, 0, 'o', 64 * 512);
		assert_int_equal(os->sync(os, fd), 0);
		assert_int_equal(os->syncdir(os, "/"), 0);
		put(os, fd, 0, 'n', 64 * 512);
		simos_crash(s, SIMOS_COIN, seed);
		for (uint64_t i = 0; i < 64; i++) {
			int c = get(os, "/a", i * 512);

			assert_int_equal(get(os, "/a", i * 512 + 511), c);
			kept += c == 'n';
			lost += c == 'o';
		}
	}
	assert_int_equal(kept + lost, 20 * 64);
	assert_true(kept > 64 && lost > 64);
}

static void a_rename_is_old_or_new_after_a_cut(void **state)
{
	struct simos *s = *state;
	const struct dynfs_os *os = simos_os(s);
	int old = 0, new = 0;

	for (uint64_t seed = 0; seed < 40; seed++) {
		int fd = make(os, "/f");
		int c;

		put(os, fd, 0, 'o', 1);
		assert_int_equal(os->sync(os, fd), 0);
		assert_int_equal(os->syncdir(os, "/"), 0);
		fd = make(os, "/tmp");
		put(os, fd, 0, 'n', 1);
		assert_int_equal(os->sync(os, fd), 0);
		assert_int_equal(os->rename(os, "/tmp", "/f"), 0);
		simos_crash(s, SIMOS_COIN, seed);
		c = get(os, "/f", 0);
		assert_true(c == 'o' || c == 'n');
		old += c == 'o';
		new += c == 'n';
		if (exists(os, "/tmp"))
			assert_int_equal(os->unlink(os, "/tmp"), 0);
	}
	assert_true(old && new);
}

static void a_cut_can_be_armed_for_the_nth_change(void **state)
{
	struct simos *s = *state;
	const struct dynfs_os *os = simos_os(s);
	int fd = make(os, "/a");
	struct iovec v = { "hello", 5 };

	assert_int_equal(os->syncdir(os, "/"), 0);
	simos_crash_at(s, 2);
	put(os, fd, 0, 'x', 5);
	assert_int_equal(os->sync(os, fd), -EIO);
	assert_true(simos_is_down(s));
	assert_int_equal(os->pwritev(os, fd, &v, 1, 0), -EIO);
	simos_restart(s, SIMOS_LOSE, 1);
	assert_true(exists(os, "/a"));
	assert_int_equal(get(os, "/a", 0), -1);
}

static void a_failed_sync_drops_the_pages_and_the_next_succeeds(void **state)
{
	struct simos *s = *state;
	const struct dynfs_os *os = simos_os(s);
	int fd;

	simos_lost(s, SIMOS_LOSE);
	assert_int_equal(simos_limit(s, "/d", 0), 0);
	fd = make(os, "/d/a");
	put(os, fd, 0, 'x', 4096);
	assert_int_equal(os->sync(os, fd), 0);
	put(os, fd, 0, 'y', 4096);
	assert_int_equal(simos_fail_sync(s, "/d"), 0);
	assert_int_equal(os->sync(os, fd), -EIO);
	assert_int_equal(os->sync(os, fd), 0);
	assert_int_equal(get(os, "/d/a", 0), 'x');
}

/* /d/a: 8192 times x on the disk, y in the cache, and clean */
static int lose_pages(struct simos *s)
{
	const struct dynfs_os *os = simos_os(s);
	int fd;

	simos_lost(s, SIMOS_CACHED);
	assert_int_equal(simos_limit(s, "/d", 0), 0);
	fd = make(os, "/d/a");
	put(os, fd, 0, 'x', 8192);
	assert_int_equal(os->sync(os, fd), 0);
	assert_int_equal(os->syncdir(os, "/d"), 0);
	put(os, fd, 0, 'y', 8192);
	assert_int_equal(simos_fail_sync(s, "/d"), 0);
	assert_int_equal(os->sync(os, fd), -EIO);
	return fd;
}

static void lost_pages_are_read_until_they_are_dropped(void **state)
{
	struct simos *s = *state;
	const struct dynfs_os *os = simos_os(s);
	int fd = lose_pages(s);

	/* what is written later is durable, and only that */
	put(os, fd, 512, 'z', 512);
	assert_int_equal(os->sync(os, fd), 0);
	put(os, fd, 4096, 'w', 512);
	simos_crash(s, SIMOS_CACHED, 1);
	assert_int_equal(get(os, "/d/a", 0), 'y');
	fd = os->open(os, "/d/a", DYNFS_OS_RDONLY, 0);
	assert_int_equal(os->drop(os, fd), 0);
	assert_int_equal(get(os, "/d/a", 0), 'x');
	assert_int_equal(get(os, "/d/a", 512), 'z');
	assert_int_equal(get(os, "/d/a", 1024), 'x');
	/* what is dirty stays */
	assert_int_equal(get(os, "/d/a", 4096), 'w');
	assert_int_equal(get(os, "/d/a", 4608), 'x');
	assert_int_equal(os->sync(os, fd), 0);
	simos_crash(s, SIMOS_LOSE, 1);
	assert_int_equal(get(os, "/d/a", 0), 'x');
	assert_int_equal(get(os, "/d/a", 512), 'z');
	assert_int_equal(get(os, "/d/a", 4096), 'w');
	assert_int_equal(os->drop(os, fd), -EBADF);
}

static void no_sync_saves_lost_pages_from_a_power_cut(void **state)
{
	struct simos *s = *state;
	const struct dynfs_os *os = simos_os(s);
	int fd = lose_pages(s);

	put(os, fd, 4096, 'z', 4096);
	simos_crash(s, SIMOS_CACHED, 1);
	assert_int_equal(get(os, "/d/a", 0), 'y');
	fd = os->open(os, "/d/a", DYNFS_OS_RDONLY, 0);
	assert_int_equal(os->sync(os, fd), 0);
	assert_int_equal(os->syncfs(os, "/d"), 0);
	assert_int_equal(get(os, "/d/a", 0), 'y');
	simos_crash(s, SIMOS_LOSE, 1);
	assert_int_equal(get(os, "/d/a", 0), 'x');
	assert_int_equal(get(os, "/d/a", 4096), 'z');
}

static void the_nth_call_of_a_type_fails_so_many_times(void **state)
{
	struct simos *s = *state;
	const struct dynfs_os *os = simos_os(s);
	struct simos_fault f = {
		.call = SIMOS_PWRITEV, .nth = 2, .times = 2, .err = -ENOSPC
	};
	struct iovec v = { "hello", 5 };
	int fd = make(os, "/a");

	assert_int_equal(simos_inject(s, &f), 0);
	assert_int_equal(os->pwritev(os, fd, &v, 1, 0), 5);
	assert_int_equal(os->pwritev(os, fd, &v, 1, 0), -ENOSPC);
	assert_int_equal(os->pwritev(os, fd, &v, 1, 0), -ENOSPC);
	assert_int_equal(os->pwritev(os, fd, &v, 1, 0), 5);
	f = (struct simos_fault){
		.call = SIMOS_PWRITEV, .nth = 1, .times = 1, .short_bytes = 3
	};
	assert_int_equal(simos_inject(s, &f), 0);
	assert_int_equal(os->pwritev(os, fd, &v, 1, 10), 3);
	assert_int_equal(os->pwritev(os, fd, &v, 1, 13), 5);
	assert_int_equal(simos_calls(s, SIMOS_PWRITEV), 6);
}

static void a_vanished_disk_fails_and_old_handles_stay_dead(void **state)
{
	struct simos *s = *state;
	const struct dynfs_os *os = simos_os(s);
	int fd, other = make(os, "/o");
	struct iovec v = { "hello", 5 };

	assert_int_equal(simos_limit(s, "/d", 0), 0);
	fd = make(os, "/d/a");
	put(os, fd, 0, 'x', 1);
	assert_int_equal(os->sync(os, fd), 0);
	assert_int_equal(os->syncdir(os, "/d"), 0);
	assert_int_equal(simos_vanish(s, "/d", -EIO), 0);
	assert_int_equal(os->pwritev(os, fd, &v, 1, 0), -EIO);
	assert_int_equal(get(os, "/d/a", 0), -EIO);
	assert_int_equal(os->pwritev(os, other, &v, 1, 0), 5);
	simos_reappear(s, "/d");
	assert_int_equal(os->pwritev(os, fd, &v, 1, 0), -EIO);
	assert_int_equal(get(os, "/d/a", 0), 'x');
}

static void a_full_disk_gives_enospc_and_punching_gives_room(void **state)
{
	struct simos *s = *state;
	const struct dynfs_os *os = simos_os(s);
	struct dynfs_os_space sp;
	struct iovec v = { "hello", 5 };
	int fd;

	assert_int_equal(simos_limit(s, "/d", 8 * 4096), 0);
	fd = make(os, "/d/a");
	assert_int_equal(os->allocate(os, fd, DYNFS_OS_ALLOC, 0, 6 * 4096), 0);
	put(os, fd, 6 * 4096, 'x', 2 * 4096);
	assert_int_equal(os->pwritev(os, fd, &v, 1, 8 * 4096), -ENOSPC);
	assert_int_equal(os->pwritev(os, fd, &v, 1, 0), 5);
	assert_int_equal(os->allocate(os, fd, DYNFS_OS_PUNCH, 4096, 8192), 0);
	assert_int_equal(simos_used(s, "/d/a"), 6 * 4096);
	assert_int_equal(os->pwritev(os, fd, &v, 1, 8 * 4096), 5);
	assert_int_equal(os->space(os, "/d", &sp), 0);
	assert_int_equal(sp.free_bytes, 4096);
	assert_int_equal(os->unlink(os, "/d/a"), 0);
	assert_int_equal(simos_used(s, "/d"), 7 * 4096);
	assert_int_equal(os->close(os, fd), 0);
	assert_int_equal(simos_used(s, "/d"), 0);
}

static void a_sparse_file_of_one_gib_costs_little(void **state)
{
	struct simos *s = *state;
	const struct dynfs_os *os = simos_os(s);
	int fd = make(os, "/a");

	put(os, fd, (1ull << 30) - 1, 'z', 1);
	assert_int_equal(simos_used(s, "/a"), 4096);
	assert_int_equal(get(os, "/a", (1ull << 30) - 1), 'z');
	assert_int_equal(get(os, "/a", 12345), 0);
}

static void a_flipped_bit_shows_and_stays(void **state)
{
	struct simos *s = *state;
	const struct dynfs_os *os = simos_os(s);
	int fd = make(os, "/a");

	put(os, fd, 0, 0, 4096);
	assert_int_equal(os->sync(os, fd), 0);
	assert_int_equal(os->syncdir(os, "/"), 0);
	assert_int_equal(simos_flip(s, "/a", 77, 3), 0);
	assert_int_equal(get(os, "/a", 77), 8);
	simos_crash(s, SIMOS_LOSE, 1);
	assert_int_equal(get(os, "/a", 77), 8);
}

static void a_lock_is_exclusive_and_ends_with_its_handle(void **state)
{
	struct simos *s = *state;
	const struct dynfs_os *os = simos_os(s);
	int a = make(os, "/l"), b = make(os, "/l");

	assert_int_equal(os->lock(os, a), 0);
	assert_int_equal(os->lock(os, b), -EWOULDBLOCK);
	assert_int_equal(os->close(os, a), 0);
	assert_int_equal(os->lock(os, b), 0);
}

static void directories_follow_posix_rules(void **state)
{
	struct simos *s = *state;
	const struct dynfs_os *os = simos_os(s);

	assert_int_equal(os->mkdir(os, "/d", 0755), 0);
	assert_int_equal(os->mkdir(os, "/d", 0755), -EEXIST);
	assert_int_equal(os->mkdir(os, "/no/d", 0755), -ENOENT);
	(void)make(os, "/d/f");
	assert_int_equal(os->rmdir(os, "/d"), -ENOTEMPTY);
	assert_int_equal(os->unlink(os, "/d"), -EISDIR);
	assert_int_equal(os->rename(os, "/d", "/d/e"), -EINVAL);
	assert_int_equal(os->link(os, "/d/f", "/g"), 0);
	assert_int_equal(os->unlink(os, "/d/f"), 0);
	assert_int_equal(os->rmdir(os, "/d"), 0);
	assert_true(exists(os, "/g"));
	assert_int_equal(
	    os->open(os, "/g", DYNFS_OS_RDWR | DYNFS_OS_CREATE | DYNFS_OS_EXCL,
		     0600),
	    -EEXIST);
}

/* Any order of names lost and kept must leave maps that can be walked. */
static void names_stay_sound_after_random_changes_and_cuts(void **state)
{
	struct simos *s = *state;
	const struct dynfs_os *os = simos_os(s);
	uint64_t rng = 99;
	char a[16], b[16];

	for (int i = 0; i < 3000; i++) {
		rng = rng * 6364136223846793005ull + 1442695040888963407ull;
		memcpy(a, "/x0", 4);
		memcpy(b, "/x0", 4);
		a[2] = (char)('0' + (rng >> 40) % 8);
		b[2] = (char)('0' + (rng >> 50) % 8);
		switch ((rng >> 33) % 8) {
		case 0:
		case 1:
			os->close(os, make(os, a));
			break;
		case 2:
			(void)os->unlink(os, a);
			break;
		case 3:
			(void)os->link(os, a, b);
			break;
		case 4:
		case 5:
			(void)os->rename(os, a, b);
			break;
		case 6:
			assert_int_equal(os->syncdir(os, "/"), 0);
			break;
		default:
			simos_crash(s, SIMOS_COIN, rng);
		}
	}
	assert_int_equal(simos_handles(s), 0);
}

static void the_host_double_counts_and_fails_allocations(void **state)
{
	struct testhost t;
	void *p;

	(void)state;
	testhost_init(&t, NULL);
	testhost_fail_alloc(&t, 2);
	p = t.host.alloc(&t.host, 100, 64);
	assert_non_null(p);
	assert_int_equal((uintptr_t)p % 64, 0);
	assert_null(t.host.alloc(&t.host, 100, 0));
	assert_int_equal((t.host.fail)(&t.host, -EINVAL, "no %s", "way"),
			 -EINVAL);
	assert_string_equal(t.fail_text, "no way");
	assert_int_equal(t.live_bytes, 100);
	t.host.free(&t.host, p);
	assert_int_equal(testhost_done(&t), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(synced_bytes_and_names_survive_a_power_cut),
		T(a_name_is_lost_without_syncdir),
		T(a_killed_process_leaves_what_the_next_cut_may_take),
		T(syncfs_covers_all_of_one_disk_and_nothing_else),
		T(unsynced_sectors_survive_each_on_its_own),
		T(a_rename_is_old_or_new_after_a_cut),
		T(a_cut_can_be_armed_for_the_nth_change),
		T(a_failed_sync_drops_the_pages_and_the_next_succeeds),
		T(lost_pages_are_read_until_they_are_dropped),
		T(no_sync_saves_lost_pages_from_a_power_cut),
		T(the_nth_call_of_a_type_fails_so_many_times),
		T(a_vanished_disk_fails_and_old_handles_stay_dead),
		T(a_full_disk_gives_enospc_and_punching_gives_room),
		T(a_sparse_file_of_one_gib_costs_little),
		T(a_flipped_bit_shows_and_stays),
		T(a_lock_is_exclusive_and_ends_with_its_handle),
		T(directories_follow_posix_rules),
		T(names_stay_sound_after_random_changes_and_cuts),
		T(the_host_double_counts_and_fails_allocations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
