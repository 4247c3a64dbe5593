/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The FUSE frontend over a pool that is not there: what arrives at the view,
 * what comes back, and how it comes and goes.  The tests run in a child, so
 * that what they leave mounted when they crash is still removed.
 */
#include "mounted.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define ENTRIES   10000
#define WORKERS   8
#define FILE_SIZE ((3u << 20) + 12345u)
#define SECONDS   200 /* for all tests */

static struct mounted the;

static int setup(void **state)
{
	static const char *const kv[] = { "unmount-wait=1", NULL };

	(void)state;
	return mounted_begin(&the, kv);
}

static int setup_stopped(void **state)
{
	static const char *const kv[] = { "unmount-wait=0", NULL };

	(void)state;
	mounted_init(&the, NULL, kv);
	return 0;
}

static int setup_writeback(void **state)
{
	static const char *const kv[] = { "writeback=true", NULL };

	(void)state;
	return mounted_begin(&the, kv);
}

static int teardown(void **state)
{
	(void)state;
	mounted_done(&the);
	return 0;
}

static void what_is_written_is_read_back(void **state)
{
	const char *path = mounted_path(&the, "file");
	struct stat st;

	(void)state;
	assert_true(file_survives(path, 1, FILE_SIZE));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, FILE_SIZE);
	assert_int_equal(st.st_blocks, (FILE_SIZE + 511) / 512);
	assert_true(atomic_load(&the.fs->n_flush) > 0);
	assert_true(atomic_load(&the.fs->n_fsync) > 0);
	assert_int_equal(truncate(path, 100), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 100);
}

static void opening_with_truncation_empties_the_file(void **state)
{
	const char *path = mounted_path(&the, "file");
	struct stat st;
	int fd;

	(void)state;
	assert_true(file_survives(path, 2, 5000));
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 0);
	assert_int_equal(write(fd, "abc", 3), 3);
	assert_int_equal(close(fd), 0);
	fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(write(fd, "def", 3), 3);
	assert_int_equal(close(fd), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 6);
}

static void names_do_what_they_do_elsewhere(void **state)
{
	char target[16] = "", name[DYNFS_NAME_MAX + 2];
	const char *a = mounted_path(&the, "a"), *b = mounted_path(&the, "b");
	struct stat st;
	int cwd;

	(void)state;
	assert_int_equal(mkdir(a, 0700), 0);
	assert_int_equal(mkdir(a, 0700), -1);
	assert_int_equal(errno, EEXIST);
	assert_int_equal(symlink("over there", b), 0);
	assert_int_equal(readlink(b, target, sizeof(target)), 10);
	assert_string_equal(target, "over there");
	assert_int_equal(renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_NOREPLACE),
			 -1);
	assert_int_equal(errno, EEXIST);
	assert_int_equal(renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE),
			 0);
	assert_int_equal(lstat(a, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	cwd = open(b, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(cwd >= 0);
	assert_int_equal(mknodat(cwd, "fifo", S_IFIFO | 0600, 0), 0);
	assert_int_equal(rmdir(b), -1);
	assert_int_equal(errno, ENOTEMPTY);
	assert_int_equal(unlinkat(cwd, "fifo", 0), 0);
	assert_int_equal(close(cwd), 0);
	assert_int_equal(rmdir(b), 0);
	assert_int_equal(stat(b, &st), -1);
	assert_int_equal(errno, ENOENT);
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(mkdir(mounted_path(&the, name), 0700), -1);
	assert_int_equal(errno, ENAMETOOLONG);
}

static void attributes_go_both_ways(void **state)
{
	const char *path = mounted_path(&the, "file");
	struct timespec t[2] = { { 5, 6 }, { 7, 8 } };
	struct timespec now[2] = { { 0, UTIME_OMIT }, { 0, UTIME_NOW } };
	struct stat st;

	(void)state;
	assert_true(file_survives(path, 3, 10));
	assert_int_equal(chmod(path, 04751), 0);
	assert_int_equal(chown(path, 11, 12), 0);
	assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_uid, 11);
	assert_int_equal(st.st_gid, 12);
	assert_int_equal(st.st_atim.tv_sec, 5);
	assert_int_equal(st.st_mtim.tv_nsec, 8);
	assert_int_equal(utimensat(AT_FDCWD, path, now, 0), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_atim.tv_sec, 5);
	assert_true(st.st_mtim.tv_sec > 1000000); /* the view's own clock */
	assert_int_equal(link(path, mounted_path(&the, "other")), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_nlink, 2);
}

static void extended_attributes_go_both_ways(void **state)
{
	const char *path = mounted_path(&the, "file");
	char value[16] = "", list[32] = "";

	(void)state;
	assert_true(file_survives(path, 4, 10));
	assert_int_equal(getxattr(path, "user.k", value, sizeof(value)), -1);
	assert_int_equal(errno, ENODATA);
	assert_int_equal(setxattr(path, "user.k", "v123", 4, XATTR_CREATE), 0);
	assert_int_equal(setxattr(path, "user.k", "v", 1, XATTR_CREATE), -1);
	assert_int_equal(errno, EEXIST);
	assert_int_equal(getxattr(path, "user.k", NULL, 0), 4);
	assert_int_equal(getxattr(path, "user.k", value, 2), -1);
	assert_int_equal(errno, ERANGE);
	assert_int_equal(getxattr(path, "user.k", value, sizeof(value)), 4);
	assert_memory_equal(value, "v123", 4);
	assert_int_equal(listxattr(path, list, sizeof(list)), 7);
	assert_string_equal(list, "user.k");
	assert_int_equal(removexattr(path, "user.k"), 0);
	assert_int_equal(listxattr(path, list, sizeof(list)), 0);
}

static void what_is_not_supported_is_refused_as_elsewhere(void **state)
{
	const char *path = mounted_path(&the, "file");
	struct statvfs s;
	int fd, argument = 0;

	(void)state;
	assert_true(file_survives(path, 5, 100));
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(ioctl(fd, _IOR('z', 1, int), &argument), -1);
	assert_int_equal(errno, ENOTTY);
	assert_int_equal(lseek(fd, 0, SEEK_DATA), 0);
	assert_int_equal(lseek(fd, 0, SEEK_HOLE), 100);
	assert_int_equal(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096), -1);
	assert_int_equal(errno, EOPNOTSUPP);
	assert_int_equal(close(fd), 0);
	assert_int_equal(statvfs(the.dir, &s), 0);
	assert_int_equal(s.f_blocks, 1ull << 28);
	assert_int_equal(s.f_bavail, 1ull << 26);
	assert_int_equal(s.f_namemax, DYNFS_NAME_MAX);
}

static void ten_thousand_names_are_listed_once_each(void **state)
{
	char name[32], *seen = calloc(1, ENTRIES);
	const struct dirent *d;
	unsigned long number;
	long n = 0, middle = 0;
	DIR *dir;

	(void)state;
	for (int i = 0; i < ENTRIES; i++) {
		(void)snprintf(name, sizeof(name), "entry-%d", i);
		assert_true(fakefs_add(the.fs, DYNFS_ROOT_INO, name,
				       S_IFREG | 0644) > 0);
	}
	for (int round = 1; round <= 2; round++) { /* fresh, then kept */
		dir = opendir(the.dir);
		assert_non_null(dir);
		for (n = 0; (d = readdir(dir)); n++) {
			if (n == ENTRIES / 2)
				middle = telldir(dir);
			if (strncmp(d->d_name, "entry-", 6) != 0)
				continue;
			number = strtoul(d->d_name + 6, NULL, 10);
			assert_true(number < ENTRIES);
			assert_int_equal(++seen[number], round);
			assert_int_equal(d->d_type, DT_REG);
		}
		assert_int_equal(n, ENTRIES + 2);
		seekdir(dir, middle);
		for (n = 0; readdir(dir); n++)
			;
		assert_int_equal(n, ENTRIES / 2 + 1);
		assert_int_equal(closedir(dir), 0);
	}
	free(seen);
}

static void a_new_name_shows_in_a_listing_that_was_kept(void **state)
{
	const struct dirent *d;
	bool seen = false;
	DIR *dir = opendir(the.dir);

	(void)state;
	while (readdir(dir))
		;
	assert_int_equal(mkdir(mounted_path(&the, "new"), 0700), 0);
	rewinddir(dir);
	while ((d = readdir(dir)))
		seen = seen || !strcmp(d->d_name, "new");
	assert_true(seen);
	assert_int_equal(closedir(dir), 0);
}

static void *worker(void *arg)
{
	unsigned int id = (unsigned int)(uintptr_t)arg;
	char name[32];
	bool good = true;

	for (unsigned int i = 0; good && i < 6; i++) {
		(void)snprintf(name, sizeof(name), "w-%u-%u", id, i);
		good = file_survives(mounted_path(&the, name), id * 100 + i,
				     200000 + id * 4097 + i);
		good = good && (i % 2 || !unlink(mounted_path(&the, name)));
	}
	return good ? NULL : arg;
}

static void eight_threads_do_not_disturb_one_another(void **state)
{
	pthread_t thread[WORKERS];
	void *bad;

	(void)state;
	for (uintptr_t i = 0; i < WORKERS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, worker,
						(void *)(i + 1)), /* NOLINT */
				 0);
	for (int i = 0; i < WORKERS; i++) {
		assert_int_equal(pthread_join(thread[i], &bad), 0);
		assert_null(bad);
	}
	mounted_stop(&the);
	assert_int_equal(fakefs_opens(the.fs), 0);
}

static void the_mount_bears_the_name_of_its_pool(void **state)
{
	char line[64], path[128];
	unsigned long kib = 0;
	struct stat st;
	FILE *in;

	(void)state;
	assert_true(mounted_as(&the, "test\\040pool"));
	assert_int_equal(stat(the.dir, &st), 0);
	(void)snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb",
		       major(st.st_dev), minor(st.st_dev));
	in = fopen(path, "re");
	if (!in)
		skip(); /* no sysfs here */
	if (fgets(line, sizeof(line), in))
		kib = strtoul(line, NULL, 10);
	assert_int_equal(fclose(in), 0);
	assert_int_equal(kib, 4096);
}

static unsigned long getattrs_of_two_stats(const char *timeout)
{
	const char *kv[] = { timeout, "entry-timeout=0", NULL };
	unsigned long before;
	struct stat st;

	assert_int_equal(mounted_begin(&the, kv), 0);
	assert_int_equal(stat(the.dir, &st), 0);
	before = atomic_load(&the.fs->n_getattr);
	assert_int_equal(stat(the.dir, &st), 0);
	assert_int_equal(stat(the.dir, &st), 0);
	before = atomic_load(&the.fs->n_getattr) - before;
	(void)teardown(NULL);
	return before;
}

static void attributes_are_kept_as_long_as_the_option_says(void **state)
{
	(void)state;
	assert_int_equal(getattrs_of_two_stats("attr-timeout=3600"), 0);
	assert_int_equal(getattrs_of_two_stats("attr-timeout=0"), 2);
}

static unsigned long lookups_of_nothing(const char *timeout)
{
	const char *kv[] = { timeout, NULL };
	unsigned long n;

	assert_int_equal(mounted_begin(&the, kv), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(access(mounted_path(&the, "none"), F_OK), -1);
	n = atomic_load(&the.fs->n_lookup);
	assert_int_equal(mkdir(mounted_path(&the, "none"), 0700), 0);
	assert_int_equal(access(mounted_path(&the, "none"), F_OK), 0);
	(void)teardown(NULL);
	return n;
}

static void missing_names_are_kept_as_long_as_the_option_says(void **state)
{
	(void)state;
	assert_int_equal(lookups_of_nothing("negative-timeout=100"), 1);
	assert_int_equal(lookups_of_nothing("negative-timeout=0"), 3);
}

static void a_mount_that_is_read_only_takes_no_change(void **state)
{
	(void)state;
	the.env.readonly = 1;
	assert_int_equal(mounted_start(&the), 0);
	assert_int_equal(mkdir(mounted_path(&the, "a"), 0700), -1);
	assert_int_equal(errno, EROFS);
}

static void the_mount_is_as_it_was_asked_for(void **state)
{
	struct statvfs s;

	(void)state;
	the.env.mount_source = "a source, with everything";
	the.env.mount_flags = MS_NOEXEC | MS_NOATIME;
	assert_int_equal(mounted_start(&the), 0);
	assert_int_equal(statvfs(the.dir, &s), 0);
	assert_int_equal(s.f_flag & (ST_NOEXEC | ST_NOATIME | ST_NOSUID),
			 ST_NOEXEC | ST_NOATIME);
	assert_true(mounted_as(&the, "a\\040source,\\040with\\040everything"));
	mounted_stop(&the);
	/* of a core that knows neither, what lies there means nothing */
	the.env.size = offsetof(struct dynfs_frontend_env, mount_source);
	assert_int_equal(mounted_start(&the), 0);
	assert_int_equal(statvfs(the.dir, &s), 0);
	assert_int_equal(s.f_flag & (ST_NOEXEC | ST_NOATIME), 0);
	assert_true(mounted_as(&the, "test\\040pool"));
}

static void refusals_say_what_is_in_the_way(void **state)
{
	static const struct {
		const char *path;
		int err;
		const char *why;
	} cases[] = {
		{ NULL, -EINVAL, "no mount point" },
		{ "/nowhere/at/all", -ENOENT,
		  "/nowhere/at/all does not exist" },
		{ "/proc/version", -ENOTDIR, "is not a directory" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		the.env.mountpoint = cases[i].path;
		assert_int_equal(mounted_start(&the), cases[i].err);
		assert_non_null(strstr(the.host.fail_text, cases[i].why));
	}
}

static void a_live_mount_is_not_covered(void **state)
{
	struct mounted second;

	(void)state;
	mounted_init(&second, the.dir, NULL);
	assert_int_equal(mounted_start(&second), -EBUSY);
	assert_non_null(strstr(second.host.fail_text,
			       "pool 'test pool' is already mounted"));
	testinst_stop(&second.inst);
	fakefs_free(second.fs);
	assert_int_equal(testhost_done(&second.host), 0);
	assert_true(file_survives(mounted_path(&the, "file"), 6, 1000));
}

/* In a program of its own: a thread sanitizer dislikes threads after fork(). */
static int be_killed(const char *dir)
{
	static struct mounted m;

	mounted_init(&m, dir, NULL);
	if (!mounted_start(&m))
		(void)raise(SIGKILL);
	return 1;
}

static void mount_and_be_killed(const char *dir)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (!pid) {
		(void)execl("/proc/self/exe", "mount_test_fuse", dir,
			    (char *)NULL);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void a_dead_mount_is_replaced(void **state)
{
	unsigned long long warnings;
	struct statvfs s;

	(void)state;
	mount_and_be_killed(the.dir);
	assert_int_equal(statvfs(the.dir, &s), -1);
	assert_int_equal(errno, ENOTCONN);
	warnings = atomic_load(&the.host.n_logs[DYNFS_WARN]);
	assert_int_equal(mounted_start(&the), 0);
	assert_int_equal(atomic_load(&the.host.n_logs[DYNFS_WARN]),
			 warnings + 1);
	assert_true(file_survives(mounted_path(&the, "file"), 7, 1000));
	mounted_stop(&the);
	assert_int_equal(umount2(the.dir, MNT_DETACH), -1);
	assert_int_equal(errno, EINVAL); /* nothing was left below */
}

static void an_unmount_from_outside_is_told_once(void **state)
{
	(void)state;
	assert_int_equal(atomic_load(&the.n_ready), 1);
	assert_int_equal(umount2(the.dir, 0), 0);
	assert_true(mounted_wait(&the.n_ended, 1));
	assert_int_equal(atomic_load(&the.ended_err), 0);
	mounted_stop(&the);
	assert_int_equal(atomic_load(&the.n_ended), 1);
}

static void leaving_is_not_told_and_can_be_repeated(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		mounted_stop(&the);
		assert_int_equal(mounted_start(&the), 0);
		assert_true(file_survives(
		    mounted_path(&the, i ? i > 1 ? "c" : "b" : "a"), 8, 1000));
	}
	mounted_stop(&the);
	assert_int_equal(atomic_load(&the.n_ended), 0);
}

static void users_that_stay_are_cut_off(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(mounted_start(&the), 0);
	fd = open(mounted_path(&the, "file"), O_RDWR | O_CREAT | O_CLOEXEC,
		  0600);
	assert_true(fd >= 0);
	mounted_stop(&the);
	assert_int_equal(write(fd, "x", 1), -1);
	assert_true(errno == ENOTCONN || errno == ECONNABORTED);
	(void)close(fd); /* its flush cannot arrive */
	assert_int_equal(access(mounted_path(&the, "file"), F_OK), -1);
	assert_int_equal(errno, ENOENT);
}

static void *slow_reader(void *arg)
{
	char c;
	int fd = *(int *)arg;

	/* whatever comes of it: that it comes is what matters */
	return pread(fd, &c, 1, 0) < 0 ? arg : NULL;
}

static void *slow_writer(void *arg)
{
	unsigned int id = (unsigned int)(uintptr_t)arg;
	char name[32];

	(void)snprintf(name, sizeof(name), "s-%u", id);
	return file_survives(mounted_path(&the, name), id, 30000) ? NULL : arg;
}

static void writers_that_wait_do_not_keep_readers_out(void **state)
{
	pthread_t thread[WORKERS];
	struct timespec a, b;
	struct stat st;
	void *bad;

	(void)state;
	atomic_store(&the.fs->delay_ms, 60);
	for (uintptr_t i = 0; i < WORKERS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, slow_writer,
						(void *)(i + 1)), /* NOLINT */
				 0);
	(void)usleep(300000);
	(void)clock_gettime(CLOCK_MONOTONIC, &a);
	for (int i = 0; i < 20; i++)
		assert_int_equal(stat(the.dir, &st), 0);
	assert_int_equal(access(mounted_path(&the, "none"), F_OK), -1);
	(void)clock_gettime(CLOCK_MONOTONIC, &b);
	atomic_store(&the.fs->delay_ms, 0);
	assert_true((b.tv_sec - a.tv_sec) * 1000 +
			(b.tv_nsec - a.tv_nsec) / 1000000 <
		    60);
	for (int i = 0; i < WORKERS; i++) {
		assert_int_equal(pthread_join(thread[i], &bad), 0);
		assert_null(bad);
	}
}

static void leaving_waits_for_answers_that_are_due(void **state)
{
	pthread_t thread;
	int fd;

	(void)state;
	assert_int_equal(mounted_start(&the), 0);
	assert_true(file_survives(mounted_path(&the, "file"), 9, 1000));
	fd = open(mounted_path(&the, "file"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	atomic_store(&the.fs->delay_ms, 1500); /* beyond the cut */
	assert_int_equal(pthread_create(&thread, NULL, slow_reader, &fd), 0);
	(void)usleep(100000);
	mounted_stop(&the);
	pthread_mutex_lock(&the.fs->lock);
	assert_null(the.fs->jobs);
	pthread_mutex_unlock(&the.fs->lock);
	assert_int_equal(pthread_join(thread, NULL), 0);
	(void)close(fd); /* its flush cannot arrive */
}

static void an_instance_that_was_never_opened_closes(void **state)
{
	(void)state;
	the.inst.plugin->frontend->close(the.inst.self);
}

#define MOUNTED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
#define STOPPED(test)                                                          \
	cmocka_unit_test_setup_teardown(test, setup_stopped, teardown)

static int run_all(void)
{
	const struct CMUnitTest tests[] = {
		MOUNTED(what_is_written_is_read_back),
		MOUNTED(opening_with_truncation_empties_the_file),
		cmocka_unit_test_setup_teardown(
		    opening_with_truncation_empties_the_file, setup_writeback,
		    teardown),
		cmocka_unit_test_setup_teardown(what_is_written_is_read_back,
						setup_writeback, teardown),
		MOUNTED(names_do_what_they_do_elsewhere),
		MOUNTED(attributes_go_both_ways),
		MOUNTED(extended_attributes_go_both_ways),
		MOUNTED(what_is_not_supported_is_refused_as_elsewhere),
		MOUNTED(ten_thousand_names_are_listed_once_each),
		MOUNTED(a_new_name_shows_in_a_listing_that_was_kept),
		MOUNTED(eight_threads_do_not_disturb_one_another),
		MOUNTED(writers_that_wait_do_not_keep_readers_out),
		MOUNTED(the_mount_bears_the_name_of_its_pool),
		cmocka_unit_test(
		    attributes_are_kept_as_long_as_the_option_says),
		cmocka_unit_test(
		    missing_names_are_kept_as_long_as_the_option_says),
		STOPPED(a_mount_that_is_read_only_takes_no_change),
		STOPPED(the_mount_is_as_it_was_asked_for),
		STOPPED(refusals_say_what_is_in_the_way),
		MOUNTED(a_live_mount_is_not_covered),
		STOPPED(a_dead_mount_is_replaced),
		MOUNTED(an_unmount_from_outside_is_told_once),
		MOUNTED(leaving_is_not_told_and_can_be_repeated),
		STOPPED(users_that_stay_are_cut_off),
		STOPPED(leaving_waits_for_answers_that_are_due),
		STOPPED(an_instance_that_was_never_opened_closes),
	};

	(void)alarm(SECONDS);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
	return argc == 2 ? be_killed(argv[1]) : mounted_main(run_all);
}
