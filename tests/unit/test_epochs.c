/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Majorities, epochs, rollback and membership, on simulated disks that come
 * and go.
 */
#include "disklab.h"
#include "seeded.h"

#define GIB (1ull << 30)

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

/* What an observer of all answers knows. */
struct truth {
	uint64_t epoch, bits, x;
	long tried, answered; /* of a number that each life writes anew */
	uint32_t n_ok, n_died, n_failed;
	uint32_t doomed;
};

static uint64_t draw(struct truth *t)
{
	return rnd(&t->x);
}

static void learn(struct truth *t, const struct disks *d, int r)
{
	if (r < 0) {
		t->n_died++;
		return;
	}
	assert_true(disks_epoch(d) > t->epoch);
	t->epoch = disks_epoch(d);
	t->bits = disks_epoch_bits(d);
	t->n_ok++;
}

/* Whatever was answered is what we go on from. */
static void check_truth(const struct truth *t, const struct disks *d)
{
	const char *text = disk_tag(d, disks_at(d, 0), "life");

	assert_true(disks_epoch(d) >= t->epoch);
	if (disks_epoch(d) == t->epoch && t->bits)
		assert_true(disks_epoch_bits(d) == t->bits);
	assert_true((text ? strtol(text, NULL, 10) : 0) >= t->answered);
}

/* So many of four lives end while labels of one epoch are written. */
static void doom(struct lab *lab, struct truth *t, uint64_t n)
{
	struct simos_fault f = { .call = SIMOS_MUTATING,
				 .prefix = lab->path[draw(t) % lab->n],
				 .nth = 1 + draw(t) % 4,
				 .err = -EIO };

	if (draw(t) % 4 < t->doomed)
		simos_crash_at(lab->s, 1 + draw(t) % (4 * n));
	else if (draw(t) % 4 < t->doomed)
		assert_int_equal(simos_inject(lab->s, &f), 0);
}

static void change(struct lab *lab, struct truth *t, struct disks *d,
		   uint64_t n)
{
	uint32_t id = 1 + (uint32_t)(draw(t) % lab->n);
	uint64_t before = disks_epoch(d);
	char text[24];
	int r;

	if (draw(t) % 8) {
		(void)snprintf(text, sizeof(text), "%ld", ++t->tried);
		doom(lab, t, n);
		r = disks_tag(d, 1, "life", text);
		learn(t, d, r);
		if (r >= 0)
			t->answered = t->tried;
		return;
	}
	doom(lab, t, n);
	r = disks_fail(d, id);
	if (r < 0 || disks_epoch(d) > before)
		learn(t, d, r);
	t->n_failed += r >= 0;
}

static void live(struct lab *lab, struct truth *t, unsigned mask)
{
	uint64_t n = (uint64_t)__builtin_popcount(mask);
	struct disks *d;
	int r;

	if (disks_open(lab_how(lab, LAB_ALL), &d) < 0)
		return;
	check_truth(t, d);
	doom(lab, t, n);
	r = disks_next_epoch(d, NULL, 0);
	learn(t, d, r);
	if (r >= 0)
		change(lab, t, d, n);
	disks_close(d);
}

/* As few disks as may do, or one more; not those of never. */
static unsigned some_disks(struct truth *t, uint32_t n, unsigned never)
{
	unsigned want = n / 2 + 1 + (unsigned)(draw(t) % 2);
	unsigned mask = (1u << n) - 1;

	mask &= ~never;
	while ((unsigned)__builtin_popcount(mask) > want)
		mask &= ~(1u << draw(t) % n);
	return mask;
}

/*
 * What Paxos is for: lives that see about a majority and end at any call
 * must never find what was answered forgotten by a later one.  The worst is
 * a row of lives that all die with the same disks, and then others go on
 * without the first of these; pure chance rarely hits on it.
 */
static void run_lives(uint64_t seed, uint32_t n_disks)
{
	struct truth t = { .epoch = 1, .x = seed };
	unsigned all = (1u << n_disks) - 1, row = 0;
	struct lab lab;

	lab_open(&lab, n_disks, 0, seed);
	lab_create(&lab);
	for (int round = 0; round < 120; ++round) {
		int turn = round % 12;
		unsigned mask = some_disks(&t, n_disks, 0);

		if (turn == 0)
			row = mask;
		if (turn < 8)
			mask = row;
		else if (turn < 10)
			mask = some_disks(&t, n_disks, row & (0u - row));
		t.doomed = turn < 8 ? 4 : turn < 10 ? 0 : 2;
		lab_show(&lab);
		lab_hide(&lab, all & ~mask);
		live(&lab, &t, mask);
		simos_crash_at(lab.s, 0);
		simos_restart(lab.s, draw(&t) % 2 ? SIMOS_KEEP : SIMOS_COIN,
			      draw(&t));
	}
	assert_true(t.n_ok > 0 && t.n_died > 0);
	lab_close(&lab);
}

static void no_session_forgets_an_epoch_in_force(void **state)
{
	uint64_t seed = seed_of_run(99);

	(void)state;
	for (uint32_t i = 0; i < 60; ++i)
		run_lives(seed + i, 3 + i % 4);
}

static void those_who_left_vote_until_it_is_known_that_they_left(void **state)
{
	struct lab lab;
	struct disks *d;

	(void)state;
	lab_open(&lab, 3, GIB, 19);
	lab_create(&lab);
	assert_int_equal(lab_session(&lab, LAB_ALL, &d), 0);
	/* promises on 1 and 2, the label on 1: then the power goes */
	simos_crash_at(lab.s, 4 + 3);
	assert_true(disks_fail(d, 3) < 0);
	disks_close(d);
	simos_restart(lab.s, SIMOS_KEEP, 1);
	/* 2 and 3 know nothing of it, and are a majority */
	lab_hide(&lab, 1);
	assert_int_equal(disks_open(lab_how(&lab, LAB_ALL), &d), 0);
	assert_int_equal(disks_at(d, 2)->state, MEMBER_ACTIVE);
	disks_close(d);
	lab_show(&lab);
	/* 1 does; that it goes on needs more than half of the three */
	assert_int_equal(disks_open(lab_how(&lab, LAB_ALL), &d), 0);
	assert_int_equal(disks_at(d, 2)->state, MEMBER_FAILED);
	assert_int_equal(disks_label(d)->n_before, 3);
	assert_int_equal(disks_next_epoch(d, NULL, 0), 0);
	assert_int_equal(disks_label(d)->n_before, 3);
	assert_int_equal(disks_next_epoch(d, NULL, 0), 0);
	assert_int_equal(disks_label(d)->n_before, 2);
	disks_close(d);
	lab_close(&lab);
}

static void no_disk_has_a_label_that_too_few_promised(void **state)
{
	struct lab lab;
	struct disks *d;
	CLEANUP(label_done) struct label l = { 0 };

	(void)state;
	lab_open(&lab, 3, GIB, 29);
	lab_create(&lab);
	assert_int_equal(lab_session(&lab, LAB_ALL, &d), 0);
	for (int i = 1; i < 3; ++i) {
		struct simos_fault f = { .call = SIMOS_PWRITEV,
					 .prefix = lab.path[i],
					 .nth = 1,
					 .times = 1,
					 .err = -EIO };

		assert_int_equal(simos_inject(lab.s, &f), 0);
	}
	assert_fails(disks_next_epoch(d, NULL, 0), -EROFS, "only 1 disks");
	disks_close(d);
	assert_int_equal(label_read(lab.os, "/d1", &l, NULL), 0);
	assert_int_equal(l.epoch, 2);
	assert_int_equal(l.promised, 3);
	assert_int_equal(lab_session(&lab, LAB_ALL, &d), 0);
	assert_int_equal(disks_epoch(d), 4);
	disks_close(d);
	lab_close(&lab);
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
		cmocka_unit_test(too_few_disks_open_for_reading_only),
		cmocka_unit_test(a_pool_of_one_disk_and_of_two),
		cmocka_unit_test(a_pulled_disk_cannot_bring_the_old_state_back),
		cmocka_unit_test(labels_of_one_epoch_say_the_same),
		cmocka_unit_test(no_session_forgets_an_epoch_in_force),
		cmocka_unit_test(no_disk_has_a_label_that_too_few_promised),
		cmocka_unit_test(
		    those_who_left_vote_until_it_is_known_that_they_left),
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
