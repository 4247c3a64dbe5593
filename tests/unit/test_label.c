/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Labels: bytes there and back, damage, power cuts at every call, features
 * of newer programs, and mutations of a valid label by a seed (taken from
 * DYNFS_TEST_SEED, printed).
 */
#include "seeded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/hash.h>
#include <base/le.h>
#include <disk/private.h>
#include <errno.h>
#include <simos.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* last: it makes fail() a macro */

#define DIR "/d"

static void uuid_of(struct uuid *u, uint32_t n)
{
	memset(u->b, 0, sizeof(u->b));
	put_le32(u->b, n);
	u->b[15] = 1;
}

static char *dup(const char *s)
{
	char *d = strdup(s);

	assert_non_null(d);
	return d;
}

static uint32_t *ids(uint32_t n)
{
	uint32_t *v = (uint32_t *)calloc(n, sizeof(*v));

	assert_non_null(v);
	for (uint32_t i = 0; i < n; ++i)
		v[i] = i + 1;
	return v;
}

/* n members with a tag or two; this is disk 1. */
static void make(struct label *l, uint32_t n)
{
	*l = (struct label){ .extent_bytes = 1u << 20,
			     .created_ns = 1700000000000000000,
			     .disk_id = 1,
			     .promised = 9,
			     .epoch = 7,
			     .epoch_bits = 0x1122334455667788 };
	assert_int_equal(features_base(&l->features), 0);
	uuid_of(&l->pool, 2000);
	uuid_of(&l->history, 2001);
	uuid_of(&l->disk, 1);
	l->pool_name = dup("home");
	l->store = dup("segment\nalign=4K\n");
	memset(l->name_key, 0x5a, sizeof(l->name_key));
	l->n_insync = n > 2 ? 2 : n;
	l->insync = ids(l->n_insync);
	l->n_before = n;
	l->before = ids(n);
	l->members = (struct member *)calloc(n, sizeof(*l->members));
	assert_non_null(l->members);
	l->n_members = n;
	for (uint32_t i = 0; i < n; ++i) {
		struct member *m = &l->members[i];
		char path[32];

		(void)snprintf(path, sizeof(path), "/mnt/disk%u", i + 1);
		m->id = i + 1;
		uuid_of(&m->disk, i + 1);
		/* those in sync are the first two */
		m->state =
		    i == 1 ? MEMBER_DRAINING : (uint8_t)(MEMBER_ACTIVE + i % 4);
		m->role = (uint8_t)(1 + i % 3);
		m->limit_bytes = i * 1000000ull;
		m->path = dup(path);
		m->n_tags = i % 3;
		if (m->n_tags)
			m->tags = (struct member_tag *)calloc(m->n_tags,
							      sizeof(*m->tags));
		for (uint32_t t = 0; t < m->n_tags; ++t) {
			m->tags[t].key = dup(t ? "tier" : "domain");
			m->tags[t].value = dup(t ? "" : "shelf a");
		}
	}
}

static void assert_same(const struct label *a, const struct label *b)
{
	AUTOBUF struct buf x = BUF_INIT;
	AUTOBUF struct buf y = BUF_INIT;

	assert_int_equal(label_encode(a, &x), 0);
	assert_int_equal(label_encode(b, &y), 0);
	assert_int_equal(x.len, y.len);
	assert_memory_equal(x.data, y.data, x.len);
}

static void a_label_comes_back_as_it_was(void **state)
{
	(void)state;
	for (uint32_t n = 1; n < 70; n += 3) {
		CLEANUP(label_done) struct label l, back = { 0 };
		CLEANUP(label_done) struct label copy = { 0 };
		AUTOBUF struct buf b = BUF_INIT;

		make(&l, n);
		l.sequence = n;
		assert_int_equal(label_encode(&l, &b), 0);
		assert_int_equal(label_decode(b.data, b.len, &back), 0);
		assert_same(&l, &back);
		assert_int_equal(back.sequence, n);
		assert_int_equal(back.promised, 9);
		assert_string_equal(back.store, "segment\nalign=4K\n");
		assert_string_equal(label_member(&back, n)->path,
				    label_member(&l, n)->path);
		assert_null(label_member(&back, n + 1));
		assert_int_equal(label_copy(&back, &copy), 0);
		assert_same(&l, &copy);
	}
}

static void too_many_members_for_a_slot_are_refused(void **state)
{
	CLEANUP(label_done) struct label l;
	AUTOBUF struct buf b = BUF_INIT;

	(void)state;
	make(&l, 1);
	free(l.members[0].path);
	l.members[0].path = (char *)malloc(65001);
	assert_non_null(l.members[0].path);
	memset(l.members[0].path, 'x', 65000);
	l.members[0].path[65000] = '\0';
	free(l.store);
	l.store = dup(l.members[0].path);
	assert_int_equal(label_encode(&l, &b), 0);
	buf_clear(&b);
	free(l.pool_name);
	l.pool_name = dup(l.store);
	assert_int_equal(label_encode(&l, &b), -E2BIG);
	assert_non_null(strstr(fail_text(-E2BIG), "does not fit"));
}

static void a_label_that_fits_some_disks_only_is_not_made(void **state)
{
	CLEANUP(label_done) struct label l;
	AUTOBUF struct buf b = BUF_INIT;
	size_t room;

	(void)state;
	make(&l, 33);
	assert_int_equal(label_check(&l), 0);
	for (uint32_t i = 0; i < 31; ++i) {
		free(l.members[i].path);
		l.members[i].path = (char *)calloc(1, 4097);
		assert_non_null(l.members[i].path);
		memset(l.members[i].path, '/', 4096);
	}
	assert_int_equal(label_encode(&l, &b), 0);
	room = LABEL_SLOT_BYTES - b.len;
	assert_in_range(room, 1, 4095);
	assert_int_equal(label_check(&l), -E2BIG);
	/* its own store is not counted twice */
	l.members[0].path[room] = '\0';
	l.members[1].path[0] = '\0';
	assert_int_equal(label_check(&l), 0);
}

static struct simos *new_sim(uint64_t seed)
{
	struct simos *s = simos_new(seed);

	assert_non_null(s);
	assert_int_equal(simos_limit(s, DIR, 0), 0);
	return s;
}

static void create_writes_both_halves(void **state)
{
	struct simos *s = new_sim(1);
	const struct dynfs_os *os = simos_os(s);
	CLEANUP(label_done) struct label l, back = { 0 };
	unsigned halves = 0;

	(void)state;
	make(&l, 3);
	assert_int_equal(label_read(os, DIR, &back, NULL), -ENOENT);
	assert_int_equal(label_write(os, DIR, &l), -ENOENT);
	assert_int_equal(label_create(os, DIR, &l), 0);
	assert_int_equal(label_create(os, DIR, &l), -EEXIST);
	simos_crash(s, SIMOS_LOSE, 1);
	assert_int_equal(label_read(os, DIR, &back, &halves), 0);
	assert_int_equal(halves, 2);
	assert_same(&l, &back);
	assert_int_equal(simos_handles(s), 0);
	simos_free(s);
}

static void one_damaged_half_leaves_the_other_and_is_mended(void **state)
{
	(void)state;
	for (unsigned half = 0; half < 2; ++half) {
		struct simos *s = new_sim(2);
		const struct dynfs_os *os = simos_os(s);
		CLEANUP(label_done) struct label l, back = { 0 };
		unsigned halves = 9;

		make(&l, 2);
		assert_int_equal(label_create(os, DIR, &l), 0);
		assert_int_equal(simos_flip(s, DIR "/" LABEL_FILE,
					    half * LABEL_SLOT_BYTES + 60, 3),
				 0);
		assert_int_equal(label_read(os, DIR, &back, &halves), 0);
		assert_int_equal(halves, 1);
		/* sequence 1 is in slot 1, 2 in slot 0 */
		assert_int_equal(back.sequence, half == 0 ? 1 : 2);
		assert_int_equal(label_write(os, DIR, &back), 0);
		label_done(&back);
		assert_int_equal(label_read(os, DIR, &back, &halves), 0);
		assert_int_equal(halves, 2);
		simos_free(s);
	}
}

static void two_damaged_halves_are_no_label(void **state)
{
	struct simos *s = new_sim(3);
	const struct dynfs_os *os = simos_os(s);
	CLEANUP(label_done) struct label l, back = { 0 };

	(void)state;
	make(&l, 2);
	assert_int_equal(label_create(os, DIR, &l), 0);
	assert_int_equal(simos_flip(s, DIR "/" LABEL_FILE, 25, 0), 0);
	assert_int_equal(
	    simos_flip(s, DIR "/" LABEL_FILE, LABEL_SLOT_BYTES + 100, 7), 0);
	assert_int_equal(label_read(os, DIR, &back, NULL), -EUCLEAN);
	assert_non_null(strstr(fail_text(-EUCLEAN), DIR));
	simos_free(s);
}

static void a_half_that_cannot_be_read_does_not_hide_the_other(void **state)
{
	struct simos *s = new_sim(4);
	const struct dynfs_os *os = simos_os(s);
	CLEANUP(label_done) struct label l, back = { 0 };
	struct simos_fault f = {
		.call = SIMOS_PREADV, .nth = 1, .times = 1, .err = -EIO
	};

	(void)state;
	make(&l, 2);
	assert_int_equal(label_create(os, DIR, &l), 0);
	assert_int_equal(simos_inject(s, &f), 0);
	assert_int_equal(label_read(os, DIR, &back, NULL), 0);
	f.times = 0;
	assert_int_equal(simos_inject(s, &f), 0);
	label_done(&back);
	assert_int_equal(label_read(os, DIR, &back, NULL), -EIO);
	simos_free(s);
}

/* In a world that loses power at call n: what a reader finds after it. */
static bool crash_at(uint64_t n, uint64_t seed, enum simos_survival how)
{
	struct simos *s = new_sim(seed);
	const struct dynfs_os *os = simos_os(s);
	CLEANUP(label_done) struct label l, back = { 0 };
	bool down;
	int r;

	make(&l, 40); /* a label of several sectors */
	assert_int_equal(label_create(os, DIR, &l), 0);
	simos_crash_at(s, n);
	l.epoch = 8;
	r = label_write(os, DIR, &l);
	if (!r) {
		l.epoch = 9;
		r = label_write(os, DIR, &l);
	}
	down = simos_is_down(s);
	assert_int_equal(down, r < 0);
	simos_restart(s, how, seed);
	assert_int_equal(label_read(os, DIR, &back, NULL), 0);
	assert_true(back.epoch >= (l.epoch == 9 ? 8 : 7));
	assert_true(back.epoch <= l.epoch);
	if (!r)
		assert_int_equal(back.epoch, 9);
	/* and it can be written again, whatever was there */
	assert_int_equal(label_write(os, DIR, &back), 0);
	simos_free(s);
	return down;
}

static void a_power_cut_leaves_the_old_or_the_new_label(void **state)
{
	uint64_t seed = seed_of_run(20240607);

	(void)state;
	for (uint64_t n = 1;; ++n) {
		bool down = false;

		for (int i = 0; i < 50; ++i) {
			enum simos_survival how = i % 3 == 0   ? SIMOS_LOSE
						  : i % 3 == 1 ? SIMOS_KEEP
							       : SIMOS_COIN;

			down |= crash_at(n, rnd(&seed), how);
		}
		if (!down)
			break;
	}
}

/* The new label torn: its first k sectors, then what was there before. */
static void a_write_torn_at_any_sector_leaves_the_label_before(void **state)
{
	struct simos *s = new_sim(5);
	const struct dynfs_os *os = simos_os(s);
	CLEANUP(label_done) struct label l;
	AUTOBUF struct buf b = BUF_INIT;
	int fd;

	(void)state;
	make(&l, 60);
	assert_int_equal(label_create(os, DIR, &l), 0);
	l.epoch = 8;
	l.sequence++;
	/* a change in every sector, so that a torn one is a different one */
	for (uint32_t i = 0; i < l.n_members; ++i)
		l.members[i].limit_bytes += 77;
	assert_int_equal(label_encode(&l, &b), 0);
	fd = os->open(os, DIR "/" LABEL_FILE, DYNFS_OS_RDWR, 0);
	assert_true(fd >= 0);
	assert_true(b.len > 3 * 512);
	for (size_t cut = 512;; cut += 512) {
		CLEANUP(label_done) struct label back = { 0 };
		struct iovec v = { b.data, cut < b.len ? cut : b.len };

		assert_int_equal(
		    os->pwritev(os, fd, &v, 1,
				(l.sequence % 2) * (uint64_t)LABEL_SLOT_BYTES),
		    v.iov_len);
		assert_int_equal(label_read(os, DIR, &back, NULL), 0);
		assert_int_equal(back.epoch, cut < b.len ? 7 : 8);
		if (cut >= b.len)
			break;
	}
	assert_int_equal(os->close(os, fd), 0);
	simos_free(s);
}

static void a_failed_write_changes_nothing_in_hand(void **state)
{
	struct simos *s = new_sim(6);
	const struct dynfs_os *os = simos_os(s);
	CLEANUP(label_done) struct label l, back = { 0 };

	(void)state;
	make(&l, 2);
	assert_int_equal(label_create(os, DIR, &l), 0);
	assert_int_equal(simos_fail_sync(s, DIR), 0);
	l.epoch = 8;
	assert_int_equal(label_write(os, DIR, &l), -EIO);
	assert_int_equal(l.sequence, 2);
	assert_int_equal(label_write(os, DIR, &l), 0);
	assert_int_equal(l.sequence, 3);
	simos_crash(s, SIMOS_LOSE, 1);
	assert_int_equal(label_read(os, DIR, &back, NULL), 0);
	assert_int_equal(back.epoch, 8);
	simos_free(s);
}

static void add_name(char ***list, const char *name)
{
	*list = (char **)calloc(2, sizeof(char *));
	assert_non_null(*list);
	(*list)[0] = dup(name);
}

static void unknown_features_open_or_not_by_their_class(void **state)
{
	(void)state;
	for (int class = 0; class < 3; ++class) {
		CLEANUP(label_done) struct label l, back = { 0 };
		AUTOBUF struct buf b = BUF_INIT;
		int want = class == 2 ? -EOPNOTSUPP : 0;

		make(&l, 2);
		if (class == 0)
			add_name(&l.features.compat, "tea-1");
		if (class == 1)
			add_name(&l.features.ro_compat, "tea-1");
		if (class == 2) {
			features_done(&l.features);
			add_name(&l.features.incompat, "tea-1");
		}
		assert_int_equal(label_encode(&l, &b), 0);
		assert_int_equal(label_decode(b.data, b.len, &back), want);
		if (class == 2)
			assert_non_null(strstr(fail_text(want), "'tea-1'"));
		else
			assert_same(&l, &back);
		want = class == 1 ? -EROFS : want;
		assert_int_equal(features_check(&l.features, "/d"), want);
		if (want) {
			assert_non_null(strstr(fail_text(want), "'tea-1'"));
			assert_non_null(strstr(fail_text(want), "/d"));
		}
	}
}

static void a_newer_label_is_not_passed_over_for_the_older(void **state)
{
	struct simos *s = new_sim(7);
	const struct dynfs_os *os = simos_os(s);
	CLEANUP(label_done) struct label l, back = { 0 };

	(void)state;
	make(&l, 2);
	assert_int_equal(label_create(os, DIR, &l), 0);
	features_done(&l.features);
	add_name(&l.features.incompat, "tea-1");
	assert_int_equal(label_write(os, DIR, &l), 0);
	assert_int_equal(label_read(os, DIR, &back, NULL), -EOPNOTSUPP);
	assert_non_null(strstr(fail_text(-EOPNOTSUPP), "disk " DIR));
	simos_free(s);
}

static int decode_encoded(const struct label *l)
{
	CLEANUP(label_done) struct label back = { 0 };
	AUTOBUF struct buf b = BUF_INIT;

	assert_int_equal(label_encode(l, &b), 0);
	return label_decode(b.data, b.len, &back);
}

static void a_label_that_contradicts_itself_is_damaged(void **state)
{
	(void)state;
	for (int what = 0; what < 7; ++what) {
		CLEANUP(label_done) struct label l;

		make(&l, 20);
		assert_int_equal(decode_encoded(&l), 0);
		switch (what) {
		case 0: /* the log on a disk that failed */
			l.members[1].state = MEMBER_FAILED;
			break;
		case 1: /* more logs than there may be */
			free(l.insync);
			l.insync = ids(17);
			l.n_insync = 17;
			for (uint32_t i = 0; i < 17; ++i)
				l.members[i].state = MEMBER_ACTIVE;
			break;
		case 2: /* one disk twice */
			l.members[7].disk = l.members[3].disk;
			break;
		case 3:
			memset(&l.members[7].disk, 0, sizeof(struct uuid));
			break;
		case 4: /* one key twice */
			free(l.members[2].tags[1].key);
			l.members[2].tags[1].key = dup("domain");
			break;
		case 5: /* an epoch that was never promised */
			l.promised = l.epoch - 1;
			break;
		default:
			l.before[19] = 21;
			break;
		}
		if (decode_encoded(&l) != -EUCLEAN)
			fail_msg("case %d was believed", what);
	}
}

static void a_label_of_another_version_is_refused_not_damaged(void **state)
{
	CLEANUP(label_done) struct label l, back = { 0 };
	AUTOBUF struct buf b = BUF_INIT;

	(void)state;
	make(&l, 2);
	assert_int_equal(label_encode(&l, &b), 0);
	put_le32(b.data + 8, 2);
	assert_int_equal(label_decode(b.data, b.len, &back), -EUCLEAN);
	memset(b.data + 24, 0, 16);
	sum128(b.data, b.len, b.data + 24);
	assert_int_equal(label_decode(b.data, b.len, &back), -EOPNOTSUPP);
	assert_non_null(strstr(fail_text(-EOPNOTSUPP), "version 2"));
}

static void fix_sum(uint8_t *p, size_t len)
{
	size_t whole = get_le32(p + 12);
	uint8_t sum[16];

	if (whole > len || whole < 41) {
		whole = len;
		put_le32(p + 12, (uint32_t)len);
	}
	memset(p + 24, 0, 16);
	sum128(p, whole, sum);
	memcpy(p + 24, sum, 16);
}

static void mutate(uint8_t *p, size_t len, uint64_t *seed)
{
	static const uint32_t odd[] = { 0,      1,          0x7fff, 0xffff,
					0x8000, 0xffffffff, 0x7f,   0x80 };
	unsigned n = 1 + rnd(seed) % 4;

	for (unsigned i = 0; i < n; ++i) {
		size_t at = rnd(seed) % len;

		switch (rnd(seed) % 4) {
		case 0:
			p[at] ^= (uint8_t)(1u << rnd(seed) % 8);
			break;
		case 1:
			p[at] = (uint8_t)rnd(seed);
			break;
		case 2:
			if (at + 4 <= len)
				put_le32(p + at, odd[rnd(seed) % 8]);
			break;
		default:
			if (at + 2 <= len)
				put_le16(p + at, (uint16_t)odd[rnd(seed) % 8]);
			break;
		}
	}
}

/* What is accepted can be written, and is the same when read again. */
static bool survives(const uint8_t *data, size_t len)
{
	CLEANUP(label_done) struct label l = { 0 };
	CLEANUP(label_done) struct label again = { 0 };
	AUTOBUF struct buf b = BUF_INIT;
	int r = label_decode(data, len, &l);

	if (r < 0) {
		assert_true(r == -EUCLEAN || r == -EOPNOTSUPP);
		return false;
	}
	assert_int_equal(label_encode(&l, &b), 0);
	assert_int_equal(label_decode(b.data, b.len, &again), 0);
	assert_same(&l, &again);
	return true;
}

static void mutations_never_crash_the_reader(void **state)
{
	CLEANUP(label_done) struct label l;
	AUTOBUF struct buf b = BUF_INIT;
	uint64_t seed = seed_of_run(20240607);
	unsigned n_good = 0, n_fixed = 0;

	(void)state;
	make(&l, 12);
	assert_int_equal(label_encode(&l, &b), 0);
	for (int i = 0; i < 40000; ++i) {
		/* exactly as long as it is, so that ASan sees each overrun */
		size_t len = i % 5 ? b.len : rnd(&seed) % (b.len + 1);
		AUTOFREE uint8_t *p = (uint8_t *)malloc(len ? len : 1);

		assert_non_null(p);
		memcpy(p, b.data, len);
		if (len)
			mutate(p, len, &seed);
		if (i % 2 && len > 41) {
			memcpy(p, b.data, 12);
			fix_sum(p, len);
			n_fixed += survives(p, len);
		} else {
			n_good += survives(p, len);
		}
	}
	/* a sum finds every change; a fixed one reaches the body's checks */
	assert_true(n_good < 200);
	assert_in_range(n_fixed, 500, 19000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_label_comes_back_as_it_was),
		cmocka_unit_test(too_many_members_for_a_slot_are_refused),
		cmocka_unit_test(a_label_that_fits_some_disks_only_is_not_made),
		cmocka_unit_test(create_writes_both_halves),
		cmocka_unit_test(
		    one_damaged_half_leaves_the_other_and_is_mended),
		cmocka_unit_test(two_damaged_halves_are_no_label),
		cmocka_unit_test(
		    a_half_that_cannot_be_read_does_not_hide_the_other),
		cmocka_unit_test(a_power_cut_leaves_the_old_or_the_new_label),
		cmocka_unit_test(
		    a_write_torn_at_any_sector_leaves_the_label_before),
		cmocka_unit_test(a_failed_write_changes_nothing_in_hand),
		cmocka_unit_test(unknown_features_open_or_not_by_their_class),
		cmocka_unit_test(
		    a_newer_label_is_not_passed_over_for_the_older),
		cmocka_unit_test(a_label_that_contradicts_itself_is_damaged),
		cmocka_unit_test(
		    a_label_of_another_version_is_refused_not_damaged),
		cmocka_unit_test(mutations_never_crash_the_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
