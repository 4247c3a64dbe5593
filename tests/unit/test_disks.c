/* SPDX-License-Identifier: Apache-2.0 */
/* Creating and opening sets of disks, on simulated ones. */
#include "disklab.h"

#include <unistd.h>

#define GIB (1ull << 30)

static void a_new_pool_opens_with_all_its_disks(void **state)
{
	struct lab lab;
	struct disks *d;
	char pid[32];

	(void)state;
	lab_open(&lab, 3, GIB, 1);
	lab_create(&lab);
	assert_int_equal(disks_open(lab_how(&lab, LAB_ALL), &d), 0);
	assert_int_equal(disks_count(d), 3);
	assert_int_equal(disks_epoch(d), 1);
	assert_int_equal(disks_insync(d, NULL, 0), 0);
	assert_string_equal(disks_label(d)->pool_name, "home");
	assert_int_equal(disks_label(d)->extent_bytes, 256 << 10);
	for (uint32_t i = 0; i < 3; ++i) {
		struct disk *k = disks_at(d, i);

		assert_int_equal(k->id, i + 1);
		assert_ptr_equal(disks_find(d, i + 1), k);
		assert_string_equal(k->path, lab.path[i]);
		assert_true(disk_writable(k) && disk_readable(k));
		assert_false(k->stale);
		assert_int_equal(k->tier, 0);
	}
	assert_null(disks_find(d, 4));
	assert_null(disks_find(d, 0));
	assert_null(disks_at(d, 3));
	assert_int_not_equal(disks_at(d, 0)->domain, disks_at(d, 1)->domain);
	/* a second one is told who has it */
	{
		struct disks *other;

		(void)snprintf(pid, sizeof(pid), "process %ld", (long)getpid());
		assert_fails(disks_open(lab_how(&lab, LAB_ALL), &other), -EBUSY,
			     pid);
		assert_fails(disks_open(lab_how(&lab, 2), &other), -EBUSY,
			     "/d2");
	}
	disks_close(d);
	assert_int_equal(simos_handles(lab.s), 0);
	assert_int_equal(
	    lab.os->open(lab.os, "/d1/dynfs.lock", DYNFS_OS_RDONLY, 0),
	    -ENOENT);
	lab_close(&lab);
}

static void an_open_of_a_readonly_set_writes_nothing(void **state)
{
	struct lab lab;
	struct disks *d;
	uint64_t before;

	(void)state;
	lab_open(&lab, 3, GIB, 2);
	lab_create(&lab);
	before = simos_calls(lab.s, SIMOS_MUTATING);
	(void)lab_how(&lab, LAB_ALL);
	lab.how.readonly = true;
	assert_int_equal(disks_open(&lab.how, &d), 0);
	assert_true(disks_readonly(d));
	assert_false(disk_writable(disks_at(d, 0)));
	assert_true(disk_readable(disks_at(d, 0)));
	assert_fails(disks_next_epoch(d, NULL, 0), -EROFS, "read-only");
	assert_fails(disks_tag(d, 1, "a", "b"), -EROFS, "read-only");
	disks_close(d);
	assert_int_equal(simos_calls(lab.s, SIMOS_MUTATING), before);
	lab_close(&lab);
}

/* ---- creating -------------------------------------------------------- */

static void touch(struct lab *lab, const char *path)
{
	int fd =
	    lab->os->open(lab->os, path, DYNFS_OS_RDWR | DYNFS_OS_CREATE, 0600);

	assert_true(fd >= 0);
	assert_int_equal(lab->os->close(lab->os, fd), 0);
}

static uint64_t n_names(struct lab *lab, const char *path);

static int count_name(void *ctx, const char *name, uint32_t type)
{
	(void)name;
	(void)type;
	++*(uint64_t *)ctx;
	return 0;
}

static uint64_t n_names(struct lab *lab, const char *path)
{
	uint64_t n = 0;

	assert_int_equal(lab->os->list(lab->os, path, count_name, &n), 0);
	return n;
}

static void create_refuses_what_is_not_empty_and_leaves_no_trace(void **state)
{
	struct lab lab;
	struct disks *d;

	(void)state;
	lab_open(&lab, 3, GIB, 3);
	touch(&lab, "/d3/photo.jpg");
	assert_fails(disks_create(lab_how(&lab, LAB_ALL)), -ENOTEMPTY,
		     "photo.jpg");
	assert_int_equal(n_names(&lab, "/d1"), 0);
	assert_int_equal(n_names(&lab, "/d3"), 1);
	assert_int_equal(lab.os->unlink(lab.os, "/d3/photo.jpg"), 0);
	assert_int_equal(lab.os->mkdir(lab.os, "/d3/lost+found", 0700), 0);
	lab_create(&lab);
	assert_int_equal(disks_open(lab_how(&lab, LAB_ALL), &d), 0);
	assert_fails(disks_create(lab_how(&lab, LAB_ALL)), -EBUSY, "in use");
	assert_int_equal(disks_finish(d), 0);
	assert_false(disks_unfinished(d));
	disks_close(d);
	assert_fails(disks_create(lab_how(&lab, LAB_ALL)), -EEXIST,
		     "has a label already");
	assert_int_equal(disks_look(&lab.how), DISKS_POOL);
	lab_close(&lab);
}

static void create_makes_missing_directories_but_not_their_parents(void **state)
{
	struct lab lab;
	struct disks *d;

	(void)state;
	lab_open(&lab, 1, GIB, 4);
	(void)lab_how(&lab, LAB_ALL);
	lab.given[0].path = "/d1/a/b";
	assert_fails(disks_create(&lab.how), -ENOENT, "/d1/a/b");
	lab.given[0].path = "/d1/a/";
	assert_int_equal(disks_create(&lab.how), 0);
	simos_crash(lab.s, SIMOS_LOSE, 1);
	assert_int_equal(disks_open(&lab.how, &d), 0);
	disks_close(d);
	lab_close(&lab);
}

/* Creates on /d1 and the new /p/x with the nth changing call failing. */
static uint64_t create_failing(uint64_t nth)
{
	struct lab lab;
	struct simos_fault f = {
		.call = SIMOS_MUTATING, .nth = nth, .times = 1, .err = -EIO
	};
	uint64_t calls;
	int r;

	lab_open(&lab, 2, GIB, 5);
	(void)lab_how(&lab, LAB_ALL);
	assert_int_equal(lab.os->mkdir(lab.os, "/p", 0700), 0);
	lab.given[1].path = "/p/x";
	if (nth)
		assert_int_equal(simos_inject(lab.s, &f), 0);
	calls = simos_calls(lab.s, SIMOS_MUTATING);
	r = disks_create(&lab.how);
	calls = simos_calls(lab.s, SIMOS_MUTATING) - calls;
	simos_heal(lab.s);
	if (r < 0) {
		assert_int_equal(n_names(&lab, "/d1"), 0);
		assert_int_equal(n_names(&lab, "/p"), 0);
		assert_int_equal(disks_create(&lab.how), 0);
	}
	assert_int_equal(simos_handles(lab.s), 0);
	lab_close(&lab);
	return r < 0 ? 0 : calls;
}

static void create_that_fails_anywhere_takes_back_all_it_did(void **state)
{
	uint64_t n = create_failing(0), failed = 0;

	(void)state;
	assert_true(n > 20);
	for (uint64_t nth = 1; nth <= n; ++nth)
		failed += !create_failing(nth);
	assert_true(failed > 15);
}

/* What is there is an unfinished pool or nothing, and can be taken again. */
static void create_again(struct lab *lab, uint64_t second)
{
	struct disks *d;
	int r;

	assert_int_not_equal(disks_look(lab_how(lab, LAB_ALL)), DISKS_POOL);
	simos_crash_at(lab->s, second);
	r = disks_create(lab_how(lab, LAB_ALL));
	if (simos_is_down(lab->s)) {
		simos_restart(lab->s, SIMOS_COIN, second);
		assert_int_not_equal(disks_look(lab_how(lab, LAB_ALL)),
				     DISKS_POOL);
		r = disks_create(lab_how(lab, LAB_ALL));
	}
	if (r < 0)
		print_error("again: %s\n", fail_text(r));
	assert_int_equal(r, 0);
	assert_int_equal(disks_look(lab_how(lab, LAB_ALL)), DISKS_UNFINISHED);
	assert_int_equal(lab_session(lab, LAB_ALL, &d), 0);
	assert_true(disks_unfinished(d));
	for (uint32_t i = 0; i < 3; ++i)
		assert_true(disk_writable(disks_at(d, i)));
	disks_close(d);
	assert_int_equal(simos_handles(lab->s), 0);
}

static void a_crash_while_creating_is_made_good_by_creating_again(void **state)
{
	static const enum simos_survival how[] = { SIMOS_COIN, SIMOS_LOSE,
						   SIMOS_KEEP, SIMOS_CACHED };
	bool down;
	uint64_t nth = 1;

	(void)state;
	do {
		struct lab lab;
		int r;

		lab_open(&lab, 3, GIB, 6 + nth);
		simos_crash_at(lab.s, nth);
		r = disks_create(lab_how(&lab, LAB_ALL));
		down = simos_is_down(lab.s);
		assert_int_equal(r < 0, down);
		simos_restart(lab.s, how[nth % 4], nth);
		create_again(&lab, 1 + nth * 7 % 60);
		lab_close(&lab);
		nth++;
	} while (down);
	assert_true(nth > 40);
}

/* Of three disks, with something that only the operator can decide. */
static void unfinished_disks_are_cleared_only_when_all_are_there(void **state)
{
	struct lab lab;
	struct disks *d;

	(void)state;
	lab_open(&lab, 4, GIB, 60);
	assert_int_equal(disks_create(lab_how(&lab, 0x7)), 0);
	assert_fails(disks_create(lab_how(&lab, 0x3)), -ENOENT, "disk 3 (/d3)");
	touch(&lab, "/d2/photo.jpg");
	assert_fails(disks_create(lab_how(&lab, 0x7)), -ENOTEMPTY, "photo.jpg");
	assert_int_equal(lab.os->unlink(lab.os, "/d2/photo.jpg"), 0);
	/* one that missed the epoch in which the others became a pool */
	assert_int_equal(disks_open(lab_how(&lab, 0x7), &d), 0);
	assert_int_equal(simos_vanish(lab.s, "/d1", -EIO), 0);
	assert_int_equal(disks_finish(d), 0);
	disks_close(d);
	simos_reappear(lab.s, "/d1");
	assert_int_equal(disks_look(lab_how(&lab, 0x1)), DISKS_UNFINISHED);
	assert_fails(disks_create(lab_how(&lab, 0x9)), -ENOENT, "disk 2");
	assert_int_equal(disks_look(lab_how(&lab, 0x7)), DISKS_POOL);
	assert_fails(disks_create(lab_how(&lab, 0x7)), -EEXIST, "/d2 has");
	assert_int_equal(disks_open(lab_how(&lab, 0x7), &d), 0);
	assert_false(disks_unfinished(d));
	assert_true(disks_at(d, 0)->stale);
	disks_close(d);
	lab_close(&lab);
}

static void nested_and_repeated_directories_are_refused(void **state)
{
	struct lab lab;
	struct disks *d;

	(void)state;
	lab_open(&lab, 2, GIB, 7);
	(void)lab_how(&lab, LAB_ALL);
	lab.given[1].path = "/d1/../d1/";
	assert_fails(disks_create(&lab.how), -EINVAL, "same directory");
	lab.given[1].path = "/d1/in";
	assert_fails(disks_create(&lab.how), -EINVAL,
		     "/d1/in is inside disk /d1");
	lab.given[1].path = "/d2";
	lab.how.avoid_path = "/";
	assert_fails(disks_create(&lab.how), -EINVAL, "mount point");
	lab.how.avoid_path = "/d2/../d2";
	assert_fails(disks_create(&lab.how), -EINVAL, "mount point");
	lab.given[0].path = "d1";
	assert_fails(disks_create(&lab.how), -EINVAL, "slash");
	lab_create(&lab);
	(void)lab_how(&lab, LAB_ALL);
	lab.how.avoid_path = "/d1/store";
	assert_fails(disks_open(&lab.how, &d), -EINVAL,
		     "mount point /d1/store is inside disk /d1");
	(void)lab_how(&lab, LAB_ALL);
	lab.given[1].path = "/d2/../d1";
	assert_fails(disks_open(&lab.how, &d), -EINVAL, "same directory");
	assert_int_equal(simos_handles(lab.s), 0);
	lab_close(&lab);
}

/* ---- whose disks are these? ------------------------------------------ */

static void copy_label(struct lab *lab, const char *from, const char *to)
{
	static uint8_t data[2 * LABEL_SLOT_BYTES];
	struct iovec v = { data, sizeof(data) };
	int a = lab->os->open(lab->os, from, DYNFS_OS_RDONLY, 0);
	int b =
	    lab->os->open(lab->os, to, DYNFS_OS_RDWR | DYNFS_OS_CREATE, 0600);

	assert_true(a >= 0 && b >= 0);
	assert_int_equal(lab->os->preadv(lab->os, a, &v, 1, 0), sizeof(data));
	assert_int_equal(lab->os->pwritev(lab->os, b, &v, 1, 0), sizeof(data));
	assert_int_equal(lab->os->close(lab->os, a), 0);
	assert_int_equal(lab->os->close(lab->os, b), 0);
}

static void disks_of_other_pools_and_copies_are_refused_by_name(void **state)
{
	struct lab lab;
	struct disks *d;

	(void)state;
	lab_open(&lab, 5, GIB, 8);
	assert_int_equal(disks_create(lab_how(&lab, 0x3)), 0);
	assert_int_equal(disks_create(lab_how(&lab, 0x4)), 0);
	(void)lab_how(&lab, 0x8);
	lab.how.pool_name = "work";
	assert_int_equal(disks_create(&lab.how), 0);
	assert_fails(disks_open(lab_how(&lab, 0xb), &d), -EINVAL,
		     "/d4 belongs to pool 'work', not 'home'");
	assert_fails(disks_open(lab_how(&lab, 0x7), &d), -EINVAL,
		     "/d3 belongs to another pool than disk /d1");
	copy_label(&lab, "/d2/" LABEL_FILE, "/d5/" LABEL_FILE);
	assert_fails(disks_open(lab_how(&lab, 0x13), &d), -EINVAL,
		     "/d2 and /d5 are the same disk");
	assert_int_equal(simos_handles(lab.s), 0);
	lab_close(&lab);
}

static void an_unlabelled_directory_is_to_be_added_not_opened(void **state)
{
	struct lab lab;
	struct disks *d;

	(void)state;
	lab_open(&lab, 4, GIB, 9);
	assert_fails(disks_open(lab_how(&lab, LAB_ALL), &d), -ENOENT,
		     "no disk of the pool");
	assert_int_equal(disks_create(lab_how(&lab, 0x7)), 0);
	assert_fails(disks_open(lab_how(&lab, 0xf), &d), -EINVAL,
		     "dynfs disk add /d4");
	(void)lab_how(&lab, 0xf);
	lab.given[3].path = "/nowhere";
	assert_fails(disks_open(&lab.how, &d), -ENOENT, "/nowhere");
	touch(&lab, "/file");
	lab.given[3].path = "/file";
	assert_fails(disks_open(&lab.how, &d), -ENOTDIR, "/file");
	lab_close(&lab);
}

static void a_disk_that_is_not_mounted_is_missing(void **state)
{
	struct lab lab;
	struct disks *d;

	(void)state;
	lab_open(&lab, 3, GIB, 10);
	lab_create(&lab);
	/* the empty directory below the mount */
	assert_int_equal(lab.os->rename(lab.os, "/d3/" LABEL_FILE, "/d3/x"), 0);
	lab_log[0] = '\0';
	assert_int_equal(disks_open(lab_how(&lab, LAB_ALL), &d), 0);
	assert_int_equal(disks_at(d, 2)->health, DISK_MISSING);
	assert_false(disk_readable(disks_at(d, 2)));
	assert_true(lab_logged("disk 3 is missing"));
	assert_true(lab_logged("not mounted"));
	disks_close(d);
	lab_close(&lab);
}

static void damage(struct lab *lab, const char *path, unsigned half)
{
	assert_int_equal(
	    simos_flip(lab->s, path, half * (uint64_t)LABEL_SLOT_BYTES + 99, 1),
	    0);
}

static void half_a_label_is_mended_and_a_whole_one_lost_is_missing(void **state)
{
	struct lab lab;
	struct disks *d;
	CLEANUP(label_done) struct label l = { 0 };
	unsigned halves;

	(void)state;
	lab_open(&lab, 3, GIB, 11);
	lab_create(&lab);
	damage(&lab, "/d2/" LABEL_FILE, 1);
	damage(&lab, "/d3/" LABEL_FILE, 0);
	damage(&lab, "/d3/" LABEL_FILE, 1);
	assert_int_equal(lab_session(&lab, LAB_ALL, &d), 0);
	assert_int_equal(disks_at(d, 1)->health, DISK_ONLINE);
	assert_int_equal(disks_at(d, 2)->health, DISK_MISSING);
	assert_true(lab_logged("both halves of its label are damaged"));
	disks_close(d);
	assert_int_equal(label_read(lab.os, "/d2", &l, &halves), 0);
	assert_int_equal(halves, 2);
	label_done(&l);
	/* never labelled anew */
	assert_int_equal(label_read(lab.os, "/d3", &l, NULL), -EUCLEAN);
	lab_close(&lab);
}

static void add_feature(struct lab *lab, const char *dir, int class)
{
	CLEANUP(label_done) struct label l = { 0 };
	char **names = (char **)calloc(2, sizeof(*names));

	assert_non_null(names);
	names[0] = strdup("tea-1");
	assert_int_equal(label_read(lab->os, dir, &l, NULL), 0);
	if (class == 0)
		l.features.compat = names;
	if (class == 1)
		l.features.ro_compat = names;
	if (class == 2) {
		for (char **old = l.features.incompat; *old; old++)
			free(*old);
		free(l.features.incompat);
		l.features.incompat = names;
	}
	assert_int_equal(label_write(lab->os, dir, &l), 0);
}

static void check_feature(int class, bool readonly, int want)
{
	struct lab lab;
	struct disks *d;

	lab_open(&lab, 2, GIB, 12);
	lab_create(&lab);
	add_feature(&lab, "/d2", class);
	(void)lab_how(&lab, LAB_ALL);
	lab.how.readonly = readonly;
	if (want < 0) {
		assert_fails(disks_open(&lab.how, &d), want, "tea-1");
		assert_non_null(strstr(fail_text(want), "/d2"));
	} else {
		assert_int_equal(disks_open(&lab.how, &d), 0);
		disks_close(d);
	}
	assert_int_equal(simos_handles(lab.s), 0);
	lab_close(&lab);
}

static void unknown_features_decide_how_a_pool_opens(void **state)
{
	(void)state;
	check_feature(0, false, 0);
	check_feature(0, true, 0);
	check_feature(1, false, -EROFS);
	check_feature(1, true, 0);
	check_feature(2, false, -EOPNOTSUPP);
	check_feature(2, true, -EOPNOTSUPP);
}

static void
members_the_config_does_not_name_are_found_by_their_hint(void **state)
{
	struct lab lab;
	struct disks *d;

	(void)state;
	lab_open(&lab, 4, GIB, 13);
	lab_create(&lab);
	assert_int_equal(disks_open(lab_how(&lab, 0x1), &d), 0);
	for (uint32_t i = 0; i < 4; ++i)
		assert_true(disk_writable(disks_at(d, i)));
	disks_close(d);
	/* moved: the config says where, the label learns it */
	assert_int_equal(lab.os->mkdir(lab.os, "/d4/new", 0700), 0);
	assert_int_equal(
	    lab.os->rename(lab.os, "/d4/" LABEL_FILE, "/d4/new/" LABEL_FILE),
	    0);
	assert_int_equal(lab.os->rename(lab.os, "/d4/store", "/d4/new/store"),
			 0);
	(void)lab_how(&lab, LAB_ALL);
	lab.given[3].path = "/d4/new";
	assert_int_equal(disks_open(&lab.how, &d), 0);
	assert_int_equal(disks_next_epoch(d, NULL, 0), 0);
	disks_close(d);
	assert_int_equal(disks_open(lab_how(&lab, 0x1), &d), 0);
	assert_string_equal(disks_at(d, 3)->path, "/d4/new");
	assert_true(disk_writable(disks_at(d, 3)));
	disks_close(d);
	lab_close(&lab);
}

/* From this sync on none of any disk succeeds. */
static void fail_syncs(struct lab *lab, unsigned mask, uint64_t nth)
{
	for (uint32_t i = 0; i < lab->n; ++i) {
		struct simos_fault f = { .call = SIMOS_SYNC,
					 .prefix = lab->path[i],
					 .nth = nth,
					 .err = -EIO };

		if (mask >> i & 1)
			assert_int_equal(simos_inject(lab->s, &f), 0);
	}
}

static void end_and_open(struct lab *lab, enum simos_survival how,
			 struct disks **d)
{
	simos_crash_at(lab->s, 1);
	disks_close(*d);
	simos_restart(lab->s, how, 1);
	assert_int_equal(disks_open(lab_how(lab, LAB_ALL), d), 0);
}

static void a_label_that_only_caches_have_is_not_seen(void **state)
{
	struct lab lab;
	struct disks *d;

	(void)state;
	lab_open(&lab, 3, GIB, 41);
	lab_create(&lab);
	assert_int_equal(lab_session(&lab, LAB_ALL, &d), 0);
	assert_int_equal(disks_epoch(d), 2);
	/* it is promised, and then on no disk */
	simos_lost(lab.s, SIMOS_CACHED);
	fail_syncs(&lab, LAB_ALL, 2);
	assert_fails(disks_next_epoch(d, (uint32_t[]){ 1 }, 1), -EROFS,
		     "majority");
	end_and_open(&lab, SIMOS_CACHED, &d);
	assert_int_equal(disks_epoch(d), 2);
	assert_int_equal(disks_insync(d, NULL, 0), 3);
	end_and_open(&lab, SIMOS_LOSE, &d);
	assert_int_equal(disks_epoch(d), 2);
	assert_int_equal(disks_insync(d, NULL, 0), 3);
	disks_close(d);
	lab_close(&lab);
}

static void a_disk_whose_label_can_not_be_synced_is_missing(void **state)
{
	struct lab lab;
	struct disks *d;

	(void)state;
	lab_open(&lab, 3, GIB, 42);
	lab_create(&lab);
	fail_syncs(&lab, 1, 1);
	assert_int_equal(lab_session(&lab, LAB_ALL, &d), 0);
	assert_int_equal(disks_at(d, 0)->health, DISK_MISSING);
	assert_int_equal(disks_at(d, 1)->health, DISK_ONLINE);
	assert_true(lab_logged("cannot sync its label"));
	disks_close(d);
	simos_heal(lab.s);
	fail_syncs(&lab, 1, 1);
	/* who only reads needs no sync */
	lab_how(&lab, LAB_ALL)->readonly = true;
	assert_int_equal(disks_open(&lab.how, &d), 0);
	assert_int_equal(disks_at(d, 0)->health, DISK_ONLINE);
	disks_close(d);
	lab_close(&lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_label_that_only_caches_have_is_not_seen),
		cmocka_unit_test(
		    a_disk_whose_label_can_not_be_synced_is_missing),
		cmocka_unit_test(a_new_pool_opens_with_all_its_disks),
		cmocka_unit_test(an_open_of_a_readonly_set_writes_nothing),
		cmocka_unit_test(
		    create_refuses_what_is_not_empty_and_leaves_no_trace),
		cmocka_unit_test(
		    create_makes_missing_directories_but_not_their_parents),
		cmocka_unit_test(
		    create_that_fails_anywhere_takes_back_all_it_did),
		cmocka_unit_test(
		    a_crash_while_creating_is_made_good_by_creating_again),
		cmocka_unit_test(
		    unfinished_disks_are_cleared_only_when_all_are_there),
		cmocka_unit_test(nested_and_repeated_directories_are_refused),
		cmocka_unit_test(
		    disks_of_other_pools_and_copies_are_refused_by_name),
		cmocka_unit_test(
		    an_unlabelled_directory_is_to_be_added_not_opened),
		cmocka_unit_test(a_disk_that_is_not_mounted_is_missing),
		cmocka_unit_test(
		    half_a_label_is_mended_and_a_whole_one_lost_is_missing),
		cmocka_unit_test(unknown_features_decide_how_a_pool_opens),
		cmocka_unit_test(
		    members_the_config_does_not_name_are_found_by_their_hint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
