/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Heads of fragments: owners come back from what was built, and a head that
 * is damaged, another's, or of a newer program gives none.
 */
#include <base/cleanup.h>
#include <base/fail.h>
#include <base/hash.h>
#include <base/le.h>
#include <extent/private.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct uuid pool = { "the pool of test" };
static const struct extent_id id = { 77, 88 };

static const struct extent_owner owned[2] = {
	{ .ino = 9,
	  .generation = 1u << 31,
	  .file_offset = 1ull << 40,
	  .sequence = 3,
	  .epoch = 4,
	  .number = 5,
	  .length = 60000,
	  .extent_offset = 0 },
	{ .ino = 10,
	  .generation = 8,
	  .sequence = 1,
	  .length = 5536,
	  .extent_offset = 60000 },
};

/* Of fragment 2 of 2+1, with a table of two digests. */
static void build(struct buf *head)
{
	struct policy_entry e = { .pub = { .id = 6,
					   .k = 2,
					   .m = 1,
					   .block_bytes = 16384,
					   .digest_len = 16 } };
	struct extent_shape s = { .id = id,
				  .policy = &e.pub,
				  .plain_len = 65536,
				  .stored_len = 65536,
				  .payload_len = 32768,
				  .epoch = 11,
				  .number = 12,
				  .owners = owned,
				  .n_owners = 2 };
	uint8_t *table;

	head_put_names(&e.names, "erasure:2+1 backend=isa", "blake3");
	assert_int_equal(buf_error(&e.names), 0);
	assert_int_equal(head_build(&s, &pool, 2, head, &table), 0);
	memset(table, 0x55, 32);
	head_seal(head);
	buf_done(&e.names);
}

static void seal_again(struct buf *head)
{
	memset(head->data + 144, 0, SUM128_LEN);
	head_seal(head);
}

static int owners_of(const struct buf *head)
{
	AUTOFREE struct extent_owner *o = NULL;
	uint32_t n;

	return head_owners(head->data, head->len, &pool, id, &o, &n);
}

static void owners_come_back_from_a_head(void **state)
{
	AUTOFREE struct extent_owner *o = NULL;
	AUTOBUF struct buf head = BUF_INIT;
	struct extent_owner want = owned[1];
	uint32_t n;

	(void)state;
	build(&head);
	assert_int_equal(head_owners(head.data, head.len, &pool, id, &o, &n),
			 0);
	assert_int_equal(n, 2);
	assert_memory_equal(&o[0], &owned[0], sizeof(o[0]));
	/* bytes that are written now are of the head's own group */
	want.epoch = 11;
	want.number = 12;
	assert_memory_equal(&o[1], &want, sizeof(o[1]));
}

static void no_flipped_bit_of_a_head_is_believed(void **state)
{
	AUTOBUF struct buf head = BUF_INIT;

	(void)state;
	build(&head);
	for (size_t i = 0; i < head.len * 8; ++i) {
		head.data[i / 8] ^= (uint8_t)(1u << i % 8);
		assert_int_equal(owners_of(&head), -EUCLEAN);
		head.data[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	assert_int_equal(owners_of(&head), 0);
	while (head.len--)
		assert_int_equal(owners_of(&head), -EUCLEAN);
	head.len = 0;
}

static void a_head_of_something_else_gives_no_owners(void **state)
{
	static const struct uuid strange = { "another pool ..." };
	struct extent_id other = { 77, 89 };
	AUTOFREE struct extent_owner *o = NULL;
	AUTOBUF struct buf head = BUF_INIT;
	uint32_t n;

	(void)state;
	build(&head);
	assert_int_equal(head_owners(head.data, head.len, &pool, other, &o, &n),
			 -EUCLEAN);
	assert_int_equal(head_owners(head.data, head.len, &strange, id, &o, &n),
			 -EUCLEAN);
}

static void numbers_that_do_not_add_up_are_damage(void **state)
{
	static const struct {
		size_t at;
		uint32_t value;
	} bad[] = {
		{ 12, 99 },          /* length */
		{ 32, 3 },           /* index, k, m: index 3, k 0 */
		{ 32, 0x01020003 },  /* index 3 of 3 */
		{ 32, 0xff020002 },  /* too many */
		{ 36, 0 },           /* block */
		{ 40, 0 },           /* payload */
		{ 40, 32769 },       /* a block more */
		{ 44, 1 },           /* a payload of gigabytes */
		{ 108, 33 },         /* digest */
		{ 112, 0xffffffff }, /* blocks */
		{ 116, 0x80000000 }, /* owners */
		{ 120, 0x04000000 }, /* their number, 64 times: 0 */
		{ 124, 0xfffffff0 }, /* names */
		{ 192 + 56, 1 },     /* the first owner: another tree */
		{ 192 + 48, 65537 }, /* longer than all */
		{ 192 + 32, 0 },     /* of no epoch */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); ++i) {
		AUTOBUF struct buf head = BUF_INIT;

		build(&head);
		put_le32(head.data + bad[i].at, bad[i].value);
		seal_again(&head);
		if (owners_of(&head) != -EUCLEAN)
			fail_msg("case %zu was believed", i);
	}
}

static void features_of_a_head_decide_by_their_class(void **state)
{
	static const int want[3] = { 0, -EROFS, -EOPNOTSUPP };
	char *names[] = { (char[]){ "tea-1" }, NULL };

	(void)state;
	for (int class = 0; class < 3; ++class) {
		struct features f = { 0 };
		AUTOBUF struct buf old = BUF_INIT;
		AUTOBUF struct buf head = BUF_INIT;
		struct features have;
		uint32_t at;
		struct rd r;

		if (class == 0)
			f.compat = names;
		else if (class == 1)
			f.ro_compat = names;
		else
			f.incompat = names;
		build(&old);
		at = get_le32(old.data + 124);
		r = rd_of(old.data + at, old.len - at);
		assert_int_equal(features_get(&r, &have), 0);
		features_done(&have);
		buf_put(&head, old.data, at);
		features_put(&head, &f);
		buf_put(&head, r.data + r.pos, rd_left(&r));
		put_le32(head.data + 12, (uint32_t)head.len);
		seal_again(&head);
		assert_int_equal(owners_of(&head), want[class]);
		if (want[class])
			assert_non_null(
			    strstr(fail_text(want[class]), "'tea-1'"));
	}
}

static void a_head_of_another_version_is_said_to_be_one(void **state)
{
	AUTOBUF struct buf head = BUF_INIT;

	(void)state;
	build(&head);
	put_le32(head.data + 8, 2);
	seal_again(&head);
	assert_int_equal(owners_of(&head), -EOPNOTSUPP);
	assert_non_null(strstr(fail_text(-EOPNOTSUPP), "version 2"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(owners_come_back_from_a_head),
		cmocka_unit_test(no_flipped_bit_of_a_head_is_believed),
		cmocka_unit_test(a_head_of_something_else_gives_no_owners),
		cmocka_unit_test(numbers_that_do_not_add_up_are_damage),
		cmocka_unit_test(features_of_a_head_decide_by_their_class),
		cmocka_unit_test(a_head_of_another_version_is_said_to_be_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
