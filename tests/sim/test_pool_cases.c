/* SPDX-License-Identifier: Apache-2.0 */
/* What the simulation found once, as cases that need no luck. */
#include "simpool.h"

#include "poolview.h"

#include <base/fail.h>
#include <base/le.h>
#include <meta/log.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

struct case_pool {
	struct simpool p;
	struct reg *reg;
	uint64_t sum; /* of add_alloc() */
};

static void case_open(struct case_pool *c, const char *limit,
		      const char *setting)
{
	assert_int_equal(reg_open(NULL, &c->reg), 0);
	simpool_new(&c->p, c->reg, 1, limit, &setting, setting != NULL);
	assert_int_equal(simpool_create(&c->p), 0);
	assert_int_equal(simpool_open(&c->p), 0);
}

static void case_close(struct case_pool *c)
{
	assert_int_equal(pool_close(c->p.pool), 0);
	simpool_free(&c->p);
	reg_close(c->reg);
}

static const struct dynfs_caller who = { .uid = 0 };

/* It stays open until it is released, or the pool closes. */
static struct dynfs_file *new_open(struct case_pool *c, const char *name)
{
	struct dynfs_file *file;
	struct dynfs_attr a;

	assert_int_equal(c->p.fs->create(c->p.fs->ctx, DYNFS_ROOT_INO, name,
					 0644, O_RDWR, &who, &a, &file),
			 0);
	return file;
}

static uint64_t new_file(struct case_pool *c, const char *name)
{
	return new_open(c, name)->ino;
}

/* The pool whose last disk turns suspect when the first is asked. */
static struct case_pool *suspecting;

static int space_and_suspect(const struct dynfs_os *os, const char *path,
			     struct dynfs_os_space *out)
{
	if (suspecting) {
		struct disks *d = pool_disks(suspecting->p.pool);

		suspecting = NULL;
		disk_suspect(disks_at(d, disks_count(d) - 1), "a test", -EIO);
	}
	return simos_os((struct simos *)os->ctx)->space(os, path, out);
}

static void
a_disk_that_fails_while_room_is_counted_does_not_fill_the_pool(void **state)
{
	struct case_pool c;
	uint64_t total = 0, left = 0;
	struct extents *x;

	(void)state;
	case_open(&c, NULL, NULL);
	x = pool_extents(c.p.pool);
	c.p.os.space = space_and_suspect;
	suspecting = &c;
	extents_capacity(x, extents_policy_default(x), &total, &left);
	assert_null(suspecting);
	assert_true(left > 0);
	assert_true(total >= left);
	case_close(&c);
}

static uint8_t bytes[100000];

/* A file whose bytes are durable, though something fails meanwhile. */
static void write_file(struct case_pool *c, const char *name, size_t len)
{
	struct dynfs_file *file = new_open(c, name);
	uint64_t ino = file->ino;

	assert_int_equal(pv_write(c->p.fs, ino, file, 0, bytes, len), 0);
	assert_int_equal(pv_fsync(c->p.fs, ino, file, false), 0);
	c->p.fs->release(c->p.fs->ctx, file);
	c->p.fs->forget(c->p.fs->ctx, ino, 1);
}

/* Nothing was written since, so only the placement of a write can notice. */
static void a_disk_that_went_away_unnoticed_does_not_stop_writes(void **state)
{
	struct case_pool c;
	struct dynfs_statfs st;

	case_open(&c, NULL, (const char *)*state);
	assert_int_equal(pool_sync(c.p.pool), 0);
	assert_int_equal(simos_vanish(c.p.sim, simpool_disk(5), -EIO), 0);
	assert_int_equal(c.p.fs->statfs(c.p.fs->ctx, &st), 0);
	assert_true(st.avail_bytes > 0);
	write_file(&c, "f", sizeof(bytes));
	case_close(&c);
}

/* It says how much room it has, but has no directory any more. */
static void a_disk_without_its_directory_does_not_stop_writes(void **state)
{
	struct simos_fault f = { .call = SIMOS_MUTATING,
				 .prefix = simpool_disk(5),
				 .nth = 1,
				 .err = -ENOENT };
	struct case_pool c;

	case_open(&c, NULL, (const char *)*state);
	assert_int_equal(pool_sync(c.p.pool), 0);
	assert_int_equal(simos_inject(c.p.sim, &f), 0);
	write_file(&c, "f", sizeof(bytes));
	simos_heal(c.p.sim);
	case_close(&c);
}

static void a_pool_opens_whatever_call_of_a_disk_fails(void **state)
{
	struct simos_fault f = { .call = SIMOS_ANY,
				 .prefix = simpool_disk(0),
				 .times = 1,
				 .err = -EIO };
	struct case_pool c;
	uint64_t calls = 1;

	case_open(&c, NULL, (const char *)*state);
	write_file(&c, "f", sizeof(bytes));
	for (f.nth = 1; f.nth < calls + 20; f.nth++) {
		uint64_t before;

		assert_int_equal(pool_close(c.p.pool), 0);
		before = simos_calls(c.p.sim, SIMOS_ANY);
		assert_int_equal(simos_inject(c.p.sim, &f), 0);
		if (simpool_open(&c.p))
			fail_msg("call %u: %s", (unsigned)f.nth, fail_text(0));
		simos_heal(c.p.sim);
		/* no more than these can have been on that disk */
		calls = (simos_calls(c.p.sim, SIMOS_ANY) - before) / 3;
	}
	case_close(&c);
}

/* Of a full extent: the opening of a store reads other lengths. */
#define PAYLOAD 16384u

static ssize_t read_no_payload(const struct dynfs_os *os, int fd,
			       const struct iovec *iov, int n, uint64_t off)
{
	if (n == 1 && iov->iov_len == PAYLOAD)
		return -EIO;
	return simos_os((struct simos *)os->ctx)->preadv(os, fd, iov, n, off);
}

/*
 * What was answered last and nothing has confirmed is verified at the next
 * open.  That its disks can not be read just now does not make it untrue.
 */
static void what_can_not_be_read_at_replay_is_not_dropped(void **state)
{
	struct case_pool c;
	struct dynfs_attr a;

	(void)state;
	case_open(&c, NULL, "store.plugin=dir");
	write_file(&c, "f", sizeof(bytes));
	simos_crash_at(c.p.sim, 1);
	pool_abandon(c.p.pool);
	simos_restart(c.p.sim, SIMOS_LOSE, 1);
	c.p.os.preadv = read_no_payload;
	if (simpool_open(&c.p))
		fail_msg("%s", fail_text(0));
	/* who may write would cut the log */
	assert_true(pool_readonly(c.p.pool));
	pool_abandon(c.p.pool);
	c.p.os.preadv = simos_os(c.p.sim)->preadv;
	assert_int_equal(simpool_open(&c.p), 0);
	assert_false(pool_readonly(c.p.pool));
	assert_int_equal(c.p.fs->lookup(c.p.fs->ctx, DYNFS_ROOT_INO, "f", &a),
			 0);
	assert_int_equal(a.size_bytes, sizeof(bytes));
	c.p.fs->forget(c.p.fs->ctx, a.ino, 1);
	case_close(&c);
}

static int add_alloc(void *ctx, const char *name, uint32_t type)
{
	struct case_pool *c = (struct case_pool *)ctx;
	const struct dynfs_os *os = simos_os(c->p.sim);
	struct dynfs_os_stat st;
	char path[300];
	int r;

	(void)type;
	(void)snprintf(path, sizeof(path), "/d1/log/%s", name);
	r = os->stat(os, path, &st);
	if (r == -ENOENT)
		return 0; /* the pool dropped it since it was listed */
	assert_int_equal(r, 0);
	c->sum += st.alloc_bytes;
	return 0;
}

/* The room that stores leave is 4 MiB here, and the log is not alone in it. */
static void the_log_of_a_small_pool_stays_small(void **state)
{
	struct case_pool c = { 0 };
	const struct dynfs_os *os;
	uint64_t value, most = 0;

	(void)state;
	case_open(&c, "16M", "metadata.group-ms=2");
	os = simos_os(c.p.sim);
	for (value = 0; value < 1500; value++) {
		assert_int_equal(c.p.fs->setxattr(c.p.fs->ctx, DYNFS_ROOT_INO,
						  "user.x", &value,
						  sizeof(value), 0, &who),
				 0);
		assert_int_equal(pool_sync(c.p.pool), 0);
		c.sum = 0;
		assert_int_equal(os->list(os, "/d1/log", add_alloc, &c), 0);
		most = c.sum > most ? c.sum : most;
	}
	print_message("%u KiB of log at most\n", (unsigned)(most >> 10));
	assert_true(most <= 3u << 20);
	case_close(&c);
}

#define SMALL_FILES 25u

/*
 * Small files that are stored one by one cost far more than their bytes, and
 * who was let in finds room all the same.
 */
static void what_a_full_pool_took_is_stored(void **state)
{
	uint64_t small[SMALL_FILES], large, at = 0;
	struct case_pool c;
	struct dynfs_statfs st;
	int r = 0;

	case_open(&c, "16M", (const char *)*state);
	for (unsigned i = 0; i < SMALL_FILES; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "small%u", i);
		small[i] = new_file(&c, name);
	}
	large = new_file(&c, "large");
	for (; !r; at += sizeof(bytes))
		r = pv_write(c.p.fs, large, NULL, at, bytes, sizeof(bytes));
	assert_int_equal(r, -ENOSPC);
	for (unsigned i = 0; i < SMALL_FILES; i++) {
		r = pv_write(c.p.fs, small[i], NULL, 0, bytes, 600);
		assert_true(!r || r == -ENOSPC);
	}
	assert_int_equal(pool_sync(c.p.pool), 0);
	simos_advance(c.p.sim, 1000000000); /* the last answer is too old */
	assert_int_equal(c.p.fs->statfs(c.p.fs->ctx, &st), 0);
	assert_true(st.avail_bytes < sizeof(bytes) * 4);
	assert_int_equal(c.p.fs->unlink(c.p.fs->ctx, DYNFS_ROOT_INO, "large"),
			 0);
	assert_int_equal(pool_sync(c.p.pool), 0);
	case_close(&c);
}

static void expect_file(struct case_pool *c, const char *name, size_t len)
{
	struct buf got = BUF_INIT;
	struct dynfs_attr a;

	assert_int_equal(
	    c->p.fs->lookup(c->p.fs->ctx, DYNFS_ROOT_INO, name, &a), 0);
	assert_int_equal(pv_read_all(c->p.fs, a.ino, &got), 0);
	assert_int_equal(got.len, len);
	assert_memory_equal(got.data, bytes, len);
	buf_done(&got);
	c->p.fs->forget(c->p.fs->ctx, a.ino, 1);
}

/* Nothing below this folder of any disk can be opened. */
static void fail_folder(struct case_pool *c, const char *name, int err)
{
	for (unsigned i = 0; i < SIMPOOL_DISKS; i++) {
		char prefix[40];
		struct simos_fault f = { .call = SIMOS_OPEN,
					 .prefix = prefix,
					 .nth = 1,
					 .err = err };

		(void)snprintf(prefix, sizeof(prefix), "%s/%s", simpool_disk(i),
			       name);
		assert_int_equal(simos_inject(c->p.sim, &f), 0);
	}
}

/* What the checkpoint or the index would have kept is in the log. */
static void a_pool_closes_whole_without_a_checkpoint_or_an_index(void **state)
{
	static const char *const folder[] = { "checkpoint", "index" };
	struct case_pool c;

	(void)state;
	case_open(&c, NULL, NULL);
	for (unsigned i = 0; i < 2; i++) {
		write_file(&c, folder[i], sizeof(bytes));
		fail_folder(&c, folder[i], i ? -EIO : -ENOSPC);
		assert_int_equal(pool_close(c.p.pool), 0);
		simos_heal(c.p.sim);
		assert_int_equal(simpool_open(&c.p), 0);
		assert_false(pool_readonly(c.p.pool));
		expect_file(&c, folder[i], sizeof(bytes));
	}
	case_close(&c);
}

/* And what is not in the log either is told. */
static void a_pool_that_can_not_write_its_log_says_so_at_close(void **state)
{
	struct case_pool c;
	uint64_t value = 1;

	(void)state;
	case_open(&c, NULL, NULL);
	assert_int_equal(pool_sync(c.p.pool), 0);
	assert_int_equal(c.p.fs->setxattr(c.p.fs->ctx, DYNFS_ROOT_INO, "user.x",
					  &value, sizeof(value), 0, &who),
			 0);
	for (unsigned i = 0; i < SIMPOOL_DISKS; i++) {
		struct simos_fault f = { .call = SIMOS_PWRITEV,
					 .prefix = simpool_disk(i),
					 .nth = 1,
					 .err = -EIO };

		assert_int_equal(simos_inject(c.p.sim, &f), 0);
	}
	assert_true(pool_close(c.p.pool) < 0);
	simos_heal(c.p.sim);
	assert_int_equal(simpool_open(&c.p), 0);
	case_close(&c);
}

/* Not a byte is left for the checkpoint: logs have their room already. */
static void a_pool_without_any_room_closes(void **state)
{
	struct case_pool c;

	case_open(&c, "16M", (const char *)*state);
	write_file(&c, "f", sizeof(bytes));
	assert_int_equal(pool_sync(c.p.pool), 0);
	for (unsigned i = 0; i < SIMPOOL_DISKS; i++) {
		const char *disk = simpool_disk(i);
		uint64_t used = simos_used(c.p.sim, disk);

		assert_int_equal(simos_limit(c.p.sim, disk, used), 0);
	}
	assert_int_equal(pool_close(c.p.pool), 0);
	for (unsigned i = 0; i < SIMPOOL_DISKS; i++)
		assert_int_equal(
		    simos_limit(c.p.sim, simpool_disk(i), 1u << 30), 0);
	assert_int_equal(simpool_open(&c.p), 0);
	expect_file(&c, "f", sizeof(bytes));
	case_close(&c);
}

/* ---- what a failed sync left in the system's cache -------------------- */

#define HANDLES 10000

/* What the process has open, and how far the syncs of one group are. */
static struct {
	char path[HANDLES][40];
	unsigned n_failing;  /* disks; 0: nothing is to happen */
	atomic_uint failed;  /* a bit for each disk */
	atomic_bool written; /* the group, to a log */
	atomic_bool logged;  /* and synced there */
} seen;

static const struct dynfs_os *below(const struct dynfs_os *os)
{
	return simos_os((struct simos *)os->ctx);
}

static int open_seen(const struct dynfs_os *os, const char *path,
		     uint32_t flags, uint32_t mode)
{
	int fd = below(os)->open(os, path, flags, mode);

	assert_true(fd < HANDLES);
	if (fd >= 0)
		(void)snprintf(seen.path[fd], sizeof(seen.path[fd]), "%s",
			       path);
	return fd;
}

static bool is_log(int fd)
{
	return strstr(seen.path[fd], "/log/");
}

/* One that says nothing, only confirms, is not the one. */
static ssize_t pwritev_seen(const struct dynfs_os *os, int fd,
			    const struct iovec *iov, int n, uint64_t off)
{
	if (is_log(fd) && iov->iov_len > LOG_HEAD &&
	    get_le32((const uint8_t *)iov->iov_base + 12) > 4)
		atomic_store(&seen.written, true);
	return below(os)->pwritev(os, fd, iov, n, off);
}

/*
 * The process is no more when the group is in a log, and the last of the disks
 * has failed to sync it: before what is lost is written elsewhere.
 */
static int sync_seen(const struct dynfs_os *os, int fd)
{
	int r = below(os)->sync(os, fd);
	const struct timespec nap = { .tv_nsec = 1000000 };
	unsigned failed, tries = 0;

	if (is_log(fd) && !r && atomic_load(&seen.written))
		atomic_store(&seen.logged, true);
	if (!seen.n_failing || r >= 0 || is_log(fd))
		return r;
	failed = 1u << (seen.path[fd][2] - '0');
	failed |= atomic_fetch_or(&seen.failed, failed);
	if ((unsigned)__builtin_popcount(failed) < seen.n_failing)
		return r;
	while (!atomic_load(&seen.logged) && tries++ < 10000)
		(void)nanosleep(&nap, NULL);
	simos_crash_at((struct simos *)os->ctx, 1);
	return r;
}

/* The syncs of these disks fail, and what they lost is read as before. */
static void lose_syncs(struct case_pool *c, unsigned from, unsigned to)
{
	simos_lost(c->p.sim, SIMOS_CACHED);
	for (unsigned i = from; i < to; i++) {
		struct simos_fault f = { .call = SIMOS_SYNC,
					 .prefix = simpool_disk(i),
					 .nth = 1,
					 .err = -EIO };

		assert_int_equal(simos_inject(c->p.sim, &f), 0);
	}
}

/* The process is killed, and another opens the pool. */
static void kill_and_open(struct case_pool *c, enum simos_survival how)
{
	simos_crash_at(c->p.sim, 1);
	pool_abandon(c->p.pool);
	simos_restart(c->p.sim, how, 1);
	if (simpool_open(&c->p))
		fail_msg("%s", fail_text(0));
	assert_false(pool_readonly(c->p.pool));
}

/* So that all handles are known. */
static void reopen_seen(struct case_pool *c)
{
	assert_int_equal(pool_close(c->p.pool), 0);
	c->p.os.open = open_seen;
	c->p.os.sync = sync_seen;
	c->p.os.pwritev = pwritev_seen;
	assert_int_equal(simpool_open(&c->p), 0);
}

/* The content of f that is there, if any: durable, or known to lack some. */
static void lose_fragments(struct case_pool *c, unsigned n)
{
	uint64_t ino;

	/* a new segment begins with a sync of its own */
	write_file(c, "before", sizeof(bytes));
	assert_int_equal(pool_sync(c->p.pool), 0);
	ino = new_file(c, "f");
	assert_int_equal(pool_sync(c->p.pool), 0);
	/* three of the others hold the log */
	lose_syncs(c, SIMPOOL_DISKS - n, SIMPOOL_DISKS);
	atomic_store(&seen.failed, 0);
	atomic_store(&seen.written, false);
	atomic_store(&seen.logged, false);
	seen.n_failing = n;
	(void)pv_write(c->p.fs, ino, NULL, 0, bytes, sizeof(bytes));
	assert_true(pv_fsync(c->p.fs, ino, NULL, false) < 0);
	/* others may have failed because there was nobody any more */
	assert_true((unsigned)__builtin_popcount(seen.failed) >= n);
	seen.n_failing = 0;
	kill_and_open(c, SIMOS_CACHED);
}

static uint64_t size_of(struct case_pool *c, const char *name)
{
	struct dynfs_attr a;
	int r = c->p.fs->lookup(c->p.fs->ctx, DYNFS_ROOT_INO, name, &a);

	assert_true(!r || r == -ENOENT);
	if (r)
		return 0;
	c->p.fs->forget(c->p.fs->ctx, a.ino, 1);
	return a.size_bytes;
}

static void what_an_open_found_in_a_cache_is_there_after_a_cut(void **state)
{
	struct case_pool c;
	uint64_t size;

	case_open(&c, NULL, (const char *)*state);
	reopen_seen(&c);
	lose_fragments(&c, 3);
	size = size_of(&c, "f");
	if (size)
		expect_file(&c, "f", size);
	assert_int_equal(pool_sync(c.p.pool), 0);
	kill_and_open(&c, SIMOS_LOSE);
	assert_int_equal(size_of(&c, "f"), size);
	if (size)
		expect_file(&c, "f", size);
	case_close(&c);
}

static void what_a_cache_has_and_a_disk_lacks_is_to_be_repaired(void **state)
{
	struct case_pool c;
	struct extents_status st;

	case_open(&c, NULL, (const char *)*state);
	reopen_seen(&c);
	lose_fragments(&c, 2);
	assert_int_equal(size_of(&c, "f"), sizeof(bytes));
	extents_status(pool_extents(c.p.pool), &st);
	assert_true(st.queued_repair > 0);
	assert_int_equal(pool_sync(c.p.pool), 0);
	kill_and_open(&c, SIMOS_LOSE);
	expect_file(&c, "f", sizeof(bytes));
	case_close(&c);
}

/* More disks at once than the redundancy can do without. */
static void a_sync_that_lost_too_much_is_not_answered(void **state)
{
	struct case_pool c;
	uint64_t ino;
	int r;

	case_open(&c, NULL, (const char *)*state);
	write_file(&c, "before", sizeof(bytes));
	ino = new_file(&c, "f");
	assert_int_equal(pool_sync(c.p.pool), 0);
	lose_syncs(&c, 3, SIMPOOL_DISKS);
	r = pv_write(c.p.fs, ino, NULL, 0, bytes, sizeof(bytes));
	if (!r)
		r = pv_fsync(c.p.fs, ino, NULL, false);
	kill_and_open(&c, SIMOS_LOSE);
	if (!r)
		expect_file(&c, "f", sizeof(bytes));
	expect_file(&c, "before", sizeof(bytes));
	case_close(&c);
}

static void a_log_that_is_in_caches_only_is_not_built_upon(void **state)
{
	struct case_pool c;
	char value[8];
	size_t len;

	(void)state;
	case_open(&c, NULL, NULL);
	assert_int_equal(pool_sync(c.p.pool), 0);
	lose_syncs(&c, 0, SIMPOOL_DISKS);
	assert_int_equal(c.p.fs->setxattr(c.p.fs->ctx, DYNFS_ROOT_INO, "user.x",
					  "before", 6, 0, &who),
			 0);
	assert_true(pool_sync(c.p.pool) < 0);
	kill_and_open(&c, SIMOS_CACHED);
	assert_int_equal(c.p.fs->setxattr(c.p.fs->ctx, DYNFS_ROOT_INO, "user.y",
					  "after", 5, 0, &who),
			 0);
	assert_int_equal(pool_sync(c.p.pool), 0);
	kill_and_open(&c, SIMOS_LOSE);
	assert_int_equal(c.p.fs->getxattr(c.p.fs->ctx, DYNFS_ROOT_INO, "user.y",
					  value, sizeof(value), &len),
			 0);
	assert_int_equal(len, 5);
	case_close(&c);
}

#define WITH_STORE(test, store) cmocka_unit_test_prestate(test, store)

int main(void)
{
	static char segment[] = "store.plugin=segment",
		    dir[] = "store.plugin=dir";
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_disk_that_fails_while_room_is_counted_does_not_fill_the_pool),
		WITH_STORE(a_disk_that_went_away_unnoticed_does_not_stop_writes,
			   segment),
		WITH_STORE(a_disk_that_went_away_unnoticed_does_not_stop_writes,
			   dir),
		WITH_STORE(a_disk_without_its_directory_does_not_stop_writes,
			   segment),
		WITH_STORE(a_disk_without_its_directory_does_not_stop_writes,
			   dir),
		WITH_STORE(a_pool_opens_whatever_call_of_a_disk_fails, segment),
		WITH_STORE(a_pool_opens_whatever_call_of_a_disk_fails, dir),
		cmocka_unit_test(what_can_not_be_read_at_replay_is_not_dropped),
		cmocka_unit_test(the_log_of_a_small_pool_stays_small),
		WITH_STORE(what_a_full_pool_took_is_stored, segment),
		WITH_STORE(what_a_full_pool_took_is_stored, dir),
		cmocka_unit_test(
		    a_pool_closes_whole_without_a_checkpoint_or_an_index),
		cmocka_unit_test(
		    a_pool_that_can_not_write_its_log_says_so_at_close),
		WITH_STORE(a_pool_without_any_room_closes, segment),
		WITH_STORE(a_pool_without_any_room_closes, dir),
		WITH_STORE(what_an_open_found_in_a_cache_is_there_after_a_cut,
			   segment),
		WITH_STORE(what_an_open_found_in_a_cache_is_there_after_a_cut,
			   dir),
		WITH_STORE(what_a_cache_has_and_a_disk_lacks_is_to_be_repaired,
			   segment),
		WITH_STORE(what_a_cache_has_and_a_disk_lacks_is_to_be_repaired,
			   dir),
		WITH_STORE(a_sync_that_lost_too_much_is_not_answered, segment),
		WITH_STORE(a_sync_that_lost_too_much_is_not_answered, dir),
		cmocka_unit_test(
		    a_log_that_is_in_caches_only_is_not_built_upon),
	};

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 31 + i / 256);
	return cmocka_run_group_tests_name("pool: cases", tests, NULL, NULL);
}
