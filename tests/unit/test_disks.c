/* SPDX-License-Identifier: Apache-2.0 */
/* Creating, opening and changing sets of disks, on simulated ones. */
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
	assert_fails(disks_create(lab_how(&lab, LAB_ALL)), -EEXIST,
		     "has a label already");
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

static void
a_crash_while_creating_never_leaves_half_a_pool_writable(void **state)
{
	bool down;
	uint64_t nth = 1;

	(void)state;
	do {
		struct lab lab;
		struct disks *d = NULL;
		int r;

		lab_open(&lab, 3, GIB, 6 + nth);
		simos_crash_at(lab.s, nth++);
		r = disks_create(lab_how(&lab, LAB_ALL));
		down = simos_is_down(lab.s);
		assert_int_equal(r < 0, down);
		simos_restart(lab.s, SIMOS_COIN, nth);
		r = disks_open(lab_how(&lab, LAB_ALL), &d);
		if (r >= 0) {
			/* all labels, so all stores, or a majority */
			assert_true(disks_count(d) == 3);
			disks_close(d);
		} else {
			assert_true(r == -ENOENT || r == -EROFS ||
				    r == -EUCLEAN);
		}
		lab_close(&lab);
	} while (down);
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
		free(l.features.incompat[0]);
		free(l.features.incompat);
		l.features.incompat = names;
	}
	assert_int_equal(label_write(lab->os, dir, &l), 0);
}

static void unknown_features_decide_how_a_pool_opens(void **state)
{
	(void)state;
	for (int class = 0; class < 3; ++class) {
		struct lab lab;
		struct disks *d;

		lab_open(&lab, 2, GIB, 12);
		lab_create(&lab);
		add_feature(&lab, "/d2", class);
		if (class == 0) {
			assert_int_equal(disks_open(lab_how(&lab, LAB_ALL), &d),
					 0);
			disks_close(d);
		} else {
			assert_fails(disks_open(lab_how(&lab, LAB_ALL), &d),
				     class == 1 ? -EROFS : -EOPNOTSUPP,
				     "tea-1");
			assert_non_null(strstr(fail_text(-1), "/d2"));
		}
		(void)lab_how(&lab, LAB_ALL);
		lab.how.readonly = true;
		if (class == 1) {
			assert_int_equal(disks_open(&lab.how, &d), 0);
			disks_close(d);
		}
		if (class == 2)
			assert_fails(disks_open(&lab.how, &d), -EOPNOTSUPP,
				     "tea-1");
		assert_int_equal(simos_handles(lab.s), 0);
		lab_close(&lab);
	}
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

/* ---- majorities ------------------------------------------------------ */

static void too_few_disks_open_for_reading_only(void **state)
{
	struct lab lab;
	struct disks *d;

	(void)state;
	lab_open(&lab, 5, GIB, 14);
	lab_create(&lab);
	lab_hide(&lab, 0x1c);
	assert_fails(disks_open(lab_how(&lab, LAB_ALL), &d), -EROFS,
		     "3 of 5 disks are missing: number 3 (/d3)");
	(void)lab_how(&lab, LAB_ALL);
	lab.how.readonly = true;
	assert_int_equal(disks_open(&lab.how, &d), 0);
	assert_int_equal(disks_at(d, 4)->health, DISK_MISSING);
	disks_close(d);
	simos_reappear(lab.s, "/d3");
	assert_int_equal(lab_session(&lab, LAB_ALL, &d), 0);
	disks_close(d);
	lab_close(&lab);
}

static void a_pool_of_one_disk_and_of_two(void **state)
{
	struct lab lab;
	struct disks *d;

	(void)state;
	lab_open(&lab, 1, GIB, 15);
	lab_create(&lab);
	for (int i = 0; i < 3; ++i) {
		assert_int_equal(lab_session(&lab, LAB_ALL, &d), 0);
		assert_int_equal(disks_epoch(d), i + 2);
		disks_close(d);
	}
	lab_close(&lab);
	lab_open(&lab, 2, GIB, 16);
	lab_create(&lab);
	assert_int_equal(lab_session(&lab, LAB_ALL, &d), 0);
	disks_close(d);
	lab_hide(&lab, 1);
	assert_fails(lab_session(&lab, LAB_ALL, &d), -EROFS, "1 of 2");
	lab_show(&lab);
	assert_int_equal(lab_session(&lab, LAB_ALL, &d), 0);
	/* one goes while we run */
	lab_hide(&lab, 2);
	assert_fails(disks_next_epoch(d, (uint32_t[]){ 1 }, 1), -EROFS,
		     "majority");
	assert_true(disks_readonly(d));
	assert_false(disk_writable(disks_at(d, 0)));
	disks_close(d);
	lab_close(&lab);
}

static void a_pulled_disk_cannot_bring_the_old_state_back(void **state)
{
	struct lab lab;
	struct disks *d;
	uint32_t ids[4];

	(void)state;
	lab_open(&lab, 3, GIB, 17);
	lab_create(&lab);
	assert_int_equal(lab_session(&lab, LAB_ALL, &d), 0);
	/* pull one, go on with the others */
	lab_hide(&lab, 1);
	assert_int_equal(disks_next_epoch(d, (uint32_t[]){ 3, 2 }, 2), 0);
	assert_int_equal(disks_at(d, 0)->health, DISK_SUSPECT);
	assert_int_equal(disks_insync(d, ids, 4), 2);
	assert_int_equal(ids[0], 2);
	assert_int_equal(ids[1], 3);
	disks_close(d);
	/* come back with only that one */
	lab_show(&lab);
	lab_hide(&lab, 6);
	assert_fails(lab_session(&lab, LAB_ALL, &d), -EROFS, "2 of 3");
	lab_show(&lab);
	/* with another it is stale, and no longer in sync */
	lab_hide(&lab, 4);
	assert_int_equal(disks_open(lab_how(&lab, LAB_ALL), &d), 0);
	assert_true(disks_at(d, 0)->stale);
	assert_false(disks_at(d, 1)->stale);
	assert_true(disk_writable(disks_at(d, 0)));
	assert_int_equal(disks_insync(d, ids, 4), 2);
	assert_int_equal(ids[0], 2);
	disks_close(d);
	lab_close(&lab);
}

static void labels_of_one_epoch_say_the_same(void **state)
{
	struct lab lab;
	struct disks *d;
	AUTOBUF struct buf first = BUF_INIT;

	(void)state;
	lab_open(&lab, 4, GIB, 18);
	lab_create(&lab);
	lab_hide(&lab, 8);
	assert_int_equal(lab_session(&lab, LAB_ALL, &d), 0);
	disks_close(d);
	for (uint32_t i = 0; i < 3; ++i) {
		CLEANUP(label_done) struct label l = { 0 };
		AUTOBUF struct buf b = BUF_INIT;

		assert_int_equal(label_read(lab.os, lab.path[i], &l, NULL), 0);
		assert_int_equal(l.disk_id, i + 1);
		assert_int_equal(l.promised, l.epoch);
		assert_int_equal(l.n_before, 4);
		assert_string_equal(l.store, "segment\n");
		/* all but the disk's own facts */
		l.disk_id = 1;
		l.disk = l.members[0].disk;
		l.sequence = 0;
		assert_int_equal(label_encode(&l, i ? &b : &first), 0);
		if (i) {
			assert_int_equal(b.len, first.len);
			assert_memory_equal(b.data, first.data, b.len);
		}
	}
	lab_close(&lab);
}

/*
 * What Paxos is for: sessions that see any majority, die at any call, and
 * must never find an epoch in force forgotten by a later one.
 */
static void run_sessions(uint64_t seed, uint32_t n_disks)
{
	struct lab lab;
	uint64_t x = seed, in_force = 1, bits = 0;
	int n_ok = 0;

	lab_open(&lab, n_disks, 0, seed);
	lab_create(&lab);
	for (int round = 0; round < 40; ++round) {
		struct disks *d = NULL;
		unsigned mask;
		int r;

		x = x * 6364136223846793005u + 1442695040888963407u;
		mask = (unsigned)(x >> 33) & ((1u << n_disks) - 1);
		lab_show(&lab);
		lab_hide(&lab, ~mask & ((1u << n_disks) - 1));
		if (x >> 50 & 3)
			simos_crash_at(lab.s, 1 + (x >> 40) % (8 * n_disks));
		r = disks_open(lab_how(&lab, LAB_ALL), &d);
		if (r >= 0) {
			/* whatever was in force is what we go on from */
			assert_true(disks_epoch(d) >= in_force);
			if (disks_epoch(d) == in_force && bits)
				assert_true(disks_epoch_bits(d) == bits);
			r = disks_next_epoch(d, NULL, 0);
			if (r >= 0) {
				assert_true(disks_epoch(d) > in_force);
				in_force = disks_epoch(d);
				bits = disks_epoch_bits(d);
				n_ok++;
			}
			disks_close(d);
		}
		simos_crash_at(lab.s, 0);
		simos_restart(lab.s, SIMOS_COIN, x);
	}
	assert_true(n_ok > 0);
	lab_close(&lab);
}

static void no_session_forgets_an_epoch_in_force(void **state)
{
	const char *s = getenv("DYNFS_TEST_SEED");
	uint64_t seed = s ? strtoull(s, NULL, 0) : 99;

	(void)state;
	print_message("seed %llu (DYNFS_TEST_SEED)\n",
		      (unsigned long long)seed);
	for (uint32_t i = 0; i < 60; ++i)
		run_sessions(seed + i, 3 + i % 3);
}

static void
a_proposal_that_died_on_one_disk_cannot_outgrow_the_truth(void **state)
{
	struct lab lab;
	struct disks *d;
	uint64_t epoch, bits;

	(void)state;
	lab_open(&lab, 5, GIB, 20);
	lab_create(&lab);
	/* with 3, 4, 5: each time the power goes when one has the new label */
	lab_hide(&lab, 0x3);
	for (int i = 0; i < 6; ++i) {
		assert_int_equal(disks_open(lab_how(&lab, LAB_ALL), &d), 0);
		simos_crash_at(lab.s, 6 + 3); /* promises: 3 writes, 3 syncs */
		assert_true(disks_next_epoch(d, NULL, 0) < 0);
		disks_close(d);
		simos_restart(lab.s, SIMOS_KEEP, 1);
		lab_hide(&lab, 0x3);
	}
	/* with 1, 2, 3 something is answered */
	lab_show(&lab);
	lab_hide(&lab, 0x18);
	assert_int_equal(lab_session(&lab, LAB_ALL, &d), 0);
	epoch = disks_epoch(d);
	bits = disks_epoch_bits(d);
	disks_close(d);
	/* back to 3, 4, 5 */
	lab_show(&lab);
	lab_hide(&lab, 0x3);
	assert_int_equal(disks_open(lab_how(&lab, LAB_ALL), &d), 0);
	assert_true(disks_epoch(d) == epoch && disks_epoch_bits(d) == bits);
	assert_true(disks_at(d, 3)->stale);
	disks_close(d);
	lab_close(&lab);
}

static void a_forced_rollback_begins_another_history(void **state)
{
	struct lab lab;
	struct disks *d;
	uint32_t ids[4];

	(void)state;
	lab_open(&lab, 5, GIB, 21);
	lab_create(&lab);
	assert_int_equal(lab_session(&lab, LAB_ALL, &d), 0);
	/* the log goes on on 4 and 5 only; then these are lost, and 3 */
	assert_int_equal(disks_next_epoch(d, (uint32_t[]){ 4, 5 }, 2), 0);
	disks_close(d);
	lab_hide(&lab, 0x1c);
	assert_fails(lab_session(&lab, LAB_ALL, &d), -EROFS, "3 of 5");
	(void)lab_how(&lab, LAB_ALL);
	lab.how.force_rollback = true;
	lab_log[0] = '\0';
	assert_int_equal(disks_open(&lab.how, &d), 0);
	assert_true(lab_logged("rolled back by force"));
	assert_false(disks_at(d, 0)->stale);
	/* neither knows a log that is whole: it is for meta to refuse */
	assert_int_equal(disks_insync(d, ids, 4), 0);
	assert_fails(disks_fail(d, 2), -EBUSY, "rolled back");
	assert_int_equal(disks_next_epoch(d, (uint32_t[]){ 1, 2 }, 2), 0);
	assert_int_equal(disks_at(d, 3)->state, MEMBER_FAILED);
	assert_int_equal(disks_at(d, 3)->health, DISK_FAILED);
	disks_close(d);
	/* the two are enough now */
	assert_int_equal(lab_session(&lab, LAB_ALL, &d), 0);
	disks_close(d);
	/* the others, left behind, never join them, nor overrule them */
	lab_show(&lab);
	assert_fails(lab_session(&lab, LAB_ALL, &d), -EINVAL,
		     "forced rollback");
	/* by their hints they are not even asked */
	assert_int_equal(lab_session(&lab, 0x3, &d), 0);
	disks_close(d);
	assert_int_equal(simos_handles(lab.s), 0);
	lab_close(&lab);
}

static void rollback_trusts_the_newest_log_that_is_there(void **state)
{
	struct lab lab;
	struct disks *d;
	uint32_t ids[4];

	(void)state;
	lab_open(&lab, 4, GIB, 22);
	lab_create(&lab);
	/* disk 1 misses the epochs in which 1 left and 4 was alone */
	assert_int_equal(lab_session(&lab, LAB_ALL, &d), 0);
	assert_int_equal(disks_next_epoch(d, (uint32_t[]){ 1, 4 }, 2), 0);
	lab_hide(&lab, 1);
	assert_int_equal(disks_next_epoch(d, (uint32_t[]){ 4 }, 1), 0);
	disks_close(d);
	lab_show(&lab);
	/* 1, 2, 3 are a majority, but the log they know of is on 4 alone */
	lab_hide(&lab, 8);
	(void)lab_how(&lab, LAB_ALL);
	lab.how.force_rollback = true;
	assert_int_equal(disks_open(&lab.how, &d), 0);
	assert_int_equal(disks_insync(d, ids, 4), 1);
	assert_int_equal(ids[0], 1);
	disks_close(d);
	lab_show(&lab);
	/* where nothing forces it the word does nothing */
	(void)lab_how(&lab, LAB_ALL);
	lab.how.force_rollback = true;
	assert_int_equal(disks_open(&lab.how, &d), 0);
	assert_int_equal(disks_insync(d, ids, 4), 1);
	assert_int_equal(ids[0], 4);
	assert_int_equal(disks_next_epoch(d, ids, 1), 0);
	disks_close(d);
	assert_int_equal(lab_session(&lab, LAB_ALL, &d), 0);
	disks_close(d);
	lab_close(&lab);
}

/* ---- membership ------------------------------------------------------ */

static void a_failed_disk_leaves_and_the_rest_is_a_pool(void **state)
{
	struct lab lab;
	struct disks *d;
	uint32_t ids[4];

	(void)state;
	lab_open(&lab, 4, GIB, 23);
	lab_create(&lab);
	assert_int_equal(lab_session(&lab, LAB_ALL, &d), 0);
	lab_hide(&lab, 8);
	assert_fails(disks_fail(d, 9), -ENOENT, "no disk 9");
	assert_int_equal(disks_fail(d, 4), 0);
	assert_int_equal(disks_fail(d, 4), 0);
	assert_int_equal(disks_insync(d, ids, 4), 3);
	assert_int_equal(disks_at(d, 3)->state, MEMBER_FAILED);
	assert_int_equal(disks_at(d, 3)->health, DISK_FAILED);
	/* two of three, though two of the four of before */
	lab_hide(&lab, 4);
	assert_int_equal(disks_next_epoch(d, (uint32_t[]){ 1, 2 }, 2), 0);
	assert_fails(disks_fail(d, 2), -EINVAL, "cannot be given up");
	assert_fails(disks_next_epoch(d, (uint32_t[]){ 4 }, 1), -EINVAL,
		     "disk 4");
	disks_close(d);
	lab_show(&lab);
	lab_log[0] = '\0';
	assert_int_equal(lab_session(&lab, LAB_ALL, &d), 0);
	assert_true(lab_logged("/d4 is not used"));
	assert_false(disk_readable(disks_at(d, 3)));
	disks_close(d);
	assert_int_equal(simos_handles(lab.s), 0);
	lab_close(&lab);
}

static void a_disk_is_added_and_is_there_after_reopening(void **state)
{
	struct lab lab;
	struct disks *d;
	struct member_tag tags[] = { { (char[]){ "tier" },
				       (char[]){ "ssd" } } };
	struct disks_entry e;
	const struct label *before;
	uint32_t id = 0;

	(void)state;
	lab_open(&lab, 4, GIB, 24);
	assert_int_equal(disks_create(lab_how(&lab, 0x7)), 0);
	assert_int_equal(lab_session(&lab, 0x7, &d), 0);
	before = disks_label(d);
	e = lab.entry[0];
	assert_fails(disks_add(d, &e, &id), -EEXIST, "label already");
	e.path = "/d1/store/x";
	assert_fails(disks_add(d, &e, &id), -EINVAL, "inside disk /d1");
	assert_int_equal(
	    lab.os->stat(lab.os, e.path, &(struct dynfs_os_stat){ 0 }),
	    -ENOENT);
	e = lab.entry[3];
	e.tags = tags;
	e.n_tags = 1;
	e.limit_bytes = 200 << 20;
	assert_int_equal(disks_add(d, &e, &id), 0);
	assert_int_equal(id, 4);
	assert_int_equal(disks_count(d), 4);
	assert_true(disk_writable(disks_find(d, 4)));
	assert_string_equal(disk_tag(d, disks_find(d, 4), "tier"), "ssd");
	assert_null(disk_tag(d, disks_find(d, 4), "domain"));
	assert_int_not_equal(disks_find(d, 4)->tier, 0);
	assert_int_equal(before->n_members, 3);
	assert_int_equal(disks_insync(d, NULL, 0), 3);
	disks_close(d);
	assert_int_equal(lab_session(&lab, 0xf, &d), 0);
	assert_int_equal(disks_find(d, 4)->limit_bytes, 0);
	disks_close(d);
	assert_int_equal(lab_session(&lab, 0x1, &d), 0);
	assert_true(disk_writable(disks_find(d, 4)));
	disks_close(d);
	lab_close(&lab);
}

static void adding_that_dies_at_any_call_leaves_a_pool_that_opens(void **state)
{
	uint64_t nth = 1;
	bool down;

	(void)state;
	do {
		struct lab lab;
		struct disks *d;
		uint32_t id;
		int r;

		lab_open(&lab, 4, GIB, 25 + nth);
		assert_int_equal(disks_create(lab_how(&lab, 0x7)), 0);
		assert_int_equal(lab_session(&lab, 0x7, &d), 0);
		simos_crash_at(lab.s, nth++);
		r = disks_add(d, &lab.entry[3], &id);
		down = simos_is_down(lab.s);
		disks_close(d);
		simos_restart(lab.s, SIMOS_COIN, nth);
		assert_int_equal(lab_session(&lab, 0x7, &d), 0);
		if (r >= 0)
			assert_int_equal(disks_count(d), 4);
		disks_close(d);
		lab_close(&lab);
	} while (down);
}

static void tags_are_durable_and_the_operators_word_stands(void **state)
{
	struct lab lab;
	struct disks *d;
	struct member_tag tags[] = { { (char[]){ "domain" },
				       (char[]){ "shelf 1" } } };

	(void)state;
	lab_open(&lab, 3, GIB, 26);
	lab.entry[0].tags = lab.entry[1].tags = tags;
	lab.entry[0].n_tags = lab.entry[1].n_tags = 1;
	lab_create(&lab);
	assert_int_equal(lab_session(&lab, LAB_ALL, &d), 0);
	assert_int_equal(disks_at(d, 0)->domain, disks_at(d, 1)->domain);
	assert_int_not_equal(disks_at(d, 0)->domain, disks_at(d, 2)->domain);
	assert_int_equal(disks_tag(d, 2, "domain", "shelf 2"), 0);
	assert_int_equal(disks_tag(d, 3, "domain", "shelf 1"), 0);
	assert_int_equal(disks_tag(d, 3, "color", "red"), 0);
	assert_int_equal(disks_tag(d, 3, "color", NULL), 0);
	assert_fails(disks_tag(d, 3, "a\nb", "x"), -EINVAL, "control");
	assert_fails(disks_tag(d, 7, "a", "x"), -ENOENT, "no disk 7");
	assert_int_equal(disks_at(d, 0)->domain, disks_at(d, 2)->domain);
	assert_int_not_equal(disks_at(d, 0)->domain, disks_at(d, 1)->domain);
	disks_close(d);
	lab_log[0] = '\0';
	assert_int_equal(lab_session(&lab, LAB_ALL, &d), 0);
	assert_true(lab_logged("/d2 keeps its label domain=shelf 2"));
	assert_string_equal(disk_tag(d, disks_at(d, 1), "domain"), "shelf 2");
	assert_null(disk_tag(d, disks_at(d, 2), "color"));
	disks_close(d);
	lab_close(&lab);
}

static void a_store_that_cannot_be_opened_makes_its_disk_missing(void **state)
{
	struct lab lab;
	struct disks *d;
	struct simos_fault f = { .call = SIMOS_PREADV,
				 .prefix = "/d2",
				 .nth = 3, /* two are the label's */
				 .err = -EIO };

	(void)state;
	lab_open(&lab, 3, GIB, 27);
	lab_create(&lab);
	assert_int_equal(simos_inject(lab.s, &f), 0);
	lab_log[0] = '\0';
	assert_int_equal(disks_open(lab_how(&lab, LAB_ALL), &d), 0);
	assert_int_equal(disks_at(d, 1)->health, DISK_MISSING);
	assert_true(lab_logged("/d2: its store cannot be opened"));
	simos_heal(lab.s);
	disks_close(d);
	(void)lab_how(&lab, LAB_ALL);
	lab.how.store_plugin = "nothing";
	/* what disks are made of stands in their labels */
	assert_int_equal(disks_open(&lab.how, &d), 0);
	assert_true(disk_writable(disks_at(d, 1)));
	disks_close(d);
	lab_close(&lab);
}

static void a_disk_for_the_log_alone_has_no_store_but_a_vote(void **state)
{
	struct lab lab;
	struct disks *d;

	(void)state;
	lab_open(&lab, 3, GIB, 28);
	lab.entry[2].role = MEMBER_LOGS;
	lab_create(&lab);
	assert_int_equal(lab_session(&lab, LAB_ALL, &d), 0);
	assert_null(disks_at(d, 2)->store);
	assert_true(disk_writable(disks_at(d, 2)));
	assert_false(disk_readable(disks_at(d, 2)));
	assert_int_equal(disk_release_ballast(disks_at(d, 2)), 0);
	assert_int_equal(disk_release_ballast(disks_at(d, 2)), -ENOENT);
	disks_close(d);
	lab_hide(&lab, 1);
	assert_int_equal(lab_session(&lab, LAB_ALL, &d), 0);
	disks_close(d);
	lab_close(&lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_pool_opens_with_all_its_disks),
		cmocka_unit_test(an_open_of_a_readonly_set_writes_nothing),
		cmocka_unit_test(
		    create_refuses_what_is_not_empty_and_leaves_no_trace),
		cmocka_unit_test(
		    create_makes_missing_directories_but_not_their_parents),
		cmocka_unit_test(
		    create_that_fails_anywhere_takes_back_all_it_did),
		cmocka_unit_test(
		    a_crash_while_creating_never_leaves_half_a_pool_writable),
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
		cmocka_unit_test(too_few_disks_open_for_reading_only),
		cmocka_unit_test(a_pool_of_one_disk_and_of_two),
		cmocka_unit_test(a_pulled_disk_cannot_bring_the_old_state_back),
		cmocka_unit_test(labels_of_one_epoch_say_the_same),
		cmocka_unit_test(no_session_forgets_an_epoch_in_force),
		cmocka_unit_test(
		    a_proposal_that_died_on_one_disk_cannot_outgrow_the_truth),
		cmocka_unit_test(a_forced_rollback_begins_another_history),
		cmocka_unit_test(rollback_trusts_the_newest_log_that_is_there),
		cmocka_unit_test(a_failed_disk_leaves_and_the_rest_is_a_pool),
		cmocka_unit_test(a_disk_is_added_and_is_there_after_reopening),
		cmocka_unit_test(
		    adding_that_dies_at_any_call_leaves_a_pool_that_opens),
		cmocka_unit_test(
		    tags_are_durable_and_the_operators_word_stands),
		cmocka_unit_test(
		    a_store_that_cannot_be_opened_makes_its_disk_missing),
		cmocka_unit_test(
		    a_disk_for_the_log_alone_has_no_store_but_a_vote),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
