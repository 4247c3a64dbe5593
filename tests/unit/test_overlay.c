/* SPDX-License-Identifier: Apache-2.0 */
/* The overlay against a sorted array, from a seed; and with threads. */
#include "seeded.h"

#include <meta/meta.h>
#include <meta/overlay.h>

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define KEYS   200
#define GROUPS 40

static uint64_t rng;

static uint64_t dice(uint64_t n)
{
	return rnd(&rng) % n;
}

static size_t key_of(unsigned i, char key[16])
{
	/* of several lengths, so that one begins another */
	return (size_t)snprintf(key, 16, "%.*s%u", (int)(i % 4), "kkkk", i);
}

static void insert(struct overlay *o, struct batch *b, uint64_t number,
		   struct list *group)
{
	struct list nodes;

	assert_int_equal(b->error, 0);
	assert_int_equal(overlay_prepare(b->ops.data, b->ops.len, &nodes), 0);
	overlay_insert(o, &nodes, number, group);
	assert_true(list_empty(&nodes));
	batch_clear(b);
}

static void an_entry_is_seen_until_its_group_leaves(void **state)
{
	struct overlay o;
	struct list one, two;
	AUTOBATCH struct batch b;
	AUTOBUF struct buf v = BUF_INIT;

	(void)state;
	batch_init(&b);
	list_init(&one);
	list_init(&two);
	assert_int_equal(overlay_init(&o), 0);
	batch_put(&b, "a", 1, "1", 1);
	batch_put(&b, "b", 1, "1", 1);
	insert(&o, &b, 1, &one);
	batch_put(&b, "a", 1, "2", 1);
	batch_delete(&b, "c", 1);
	insert(&o, &b, 2, &two);
	assert_int_equal(overlay_get(&o, "a", 1, &v), 1);
	assert_memory_equal(v.data, "2", 1);
	assert_int_equal(overlay_get(&o, "c", 1, &v), 0);
	assert_int_equal(overlay_get(&o, "d", 1, &v), -ENOENT);
	overlay_drop(&o, &one);
	assert_int_equal(overlay_get(&o, "b", 1, &v), -ENOENT);
	assert_int_equal(overlay_get(&o, "a", 1, &v), 1);
	overlay_drop(&o, &two);
	assert_int_equal(overlay_get(&o, "a", 1, &v), -ENOENT);
	assert_int_equal(overlay_bytes(&o), 0);
	overlay_done(&o);
}

static void an_older_group_does_not_hide_a_newer_one(void **state)
{
	struct overlay o;
	struct list one, two;
	AUTOBATCH struct batch b;
	AUTOBUF struct buf v = BUF_INIT;

	(void)state;
	batch_init(&b);
	list_init(&one);
	list_init(&two);
	assert_int_equal(overlay_init(&o), 0);
	batch_put(&b, "a", 1, "new", 3);
	insert(&o, &b, 2, &two);
	batch_put(&b, "a", 1, "old", 3);
	insert(&o, &b, 1, &one);
	assert_int_equal(overlay_get(&o, "a", 1, &v), 1);
	assert_memory_equal(v.data, "new", 3);
	assert_true(list_empty(&one));
	overlay_done(&o);
}

/* What the overlay should hold: the newest operation on each key. */
struct cell {
	uint64_t number; /* 0: none */
	bool is_put;
	uint64_t value;
};

/* All rows of a range in small pieces, against the cells. */
static void compare(struct overlay *o, const struct cell *cells)
{
	AUTOBUF struct buf rows = BUF_INIT;
	AUTOBUF struct buf from = BUF_INIT;
	struct overlay_range range = { .from = "", .from_len = 0 };
	unsigned n = 0, want = 0;
	uint64_t gen;
	bool more = true;

	for (unsigned i = 0; i < KEYS; i++)
		want += cells[i].number > 0;
	while (more) {
		const void *key, *value, *last = NULL;
		size_t key_len, value_len, last_len = 0;
		struct rd r;
		uint8_t kind;

		buf_clear(&rows);
		assert_int_equal(
		    overlay_copy(o, &range, dice(200), &rows, &more, &gen), 0);
		r = rd_of(rows.data, rows.len);
		while (batch_next(&r, &kind, &key, &key_len, &value,
				  &value_len) > 0) {
			if (last)
				assert_true(key_compare(last, last_len, key,
							key_len) < 0);
			last = key;
			last_len = key_len;
			n++;
		}
		if (!last)
			break;
		buf_clear(&from);
		buf_put(&from, last, last_len);
		buf_put8(&from, 0);
		range.from = from.data;
		range.from_len = from.len;
	}
	assert_int_equal(n, want);
}

static void random_group(struct overlay *o, uint64_t number, struct list *group,
			 struct cell *cells)
{
	AUTOBATCH struct batch b;

	batch_init(&b);
	list_init(group);
	for (unsigned n = (unsigned)dice(300); n; n--) {
		unsigned i = (unsigned)dice(KEYS);
		char key[16];
		size_t len = key_of(i, key);

		cells[i] = (struct cell){ number, dice(3) > 0, dice(1000) };
		if (cells[i].is_put)
			batch_put(&b, key, len, &cells[i].value, 8);
		else
			batch_delete(&b, key, len);
	}
	insert(o, &b, number, group);
}

static void drop_group(struct overlay *o, uint64_t number, struct list *group,
		       struct cell *cells)
{
	overlay_drop(o, group);
	for (unsigned i = 0; i < KEYS; i++)
		if (cells[i].number == number)
			cells[i].number = 0;
}

static void get_all(struct overlay *o, const struct cell *cells)
{
	AUTOBUF struct buf v = BUF_INIT;

	for (unsigned i = 0; i < KEYS; i++) {
		char key[16];
		size_t len = key_of(i, key);
		int r = overlay_get(o, key, len, &v);
		int want = cells[i].is_put ? 1 : 0;

		assert_int_equal(r, cells[i].number ? want : -ENOENT);
		if (r == 1)
			assert_memory_equal(v.data, &cells[i].value, 8);
	}
}

static void random_groups_come_and_go_as_in_a_model(void **state)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe) */
	const char *given = getenv("DYNFS_SEED");
	struct cell cells[KEYS] = { 0 };
	struct list groups[GROUPS + 1];
	struct overlay o;
	uint64_t oldest = 1;

	(void)state;
	rng = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
	print_message("DYNFS_SEED=%" PRIu64 "\n", rng);
	assert_int_equal(overlay_init(&o), 0);
	for (uint64_t g = 1; g <= GROUPS; g++) {
		random_group(&o, g, &groups[g], cells);
		for (; oldest < g && dice(2); oldest++)
			drop_group(&o, oldest, &groups[oldest], cells);
		compare(&o, cells);
		get_all(&o, cells);
	}
	overlay_done(&o);
}

struct race {
	struct overlay o;
	atomic_bool stop;
	atomic_uint rows;
};

static void *read_on(void *arg)
{
	struct race *x = (struct race *)arg;
	struct buf rows = BUF_INIT;
	struct overlay_range all = { .from = "" };
	uint64_t gen;
	bool more;

	while (!atomic_load(&x->stop)) {
		buf_clear(&rows);
		if (!overlay_copy(&x->o, &all, 1u << 16, &rows, &more, &gen))
			atomic_fetch_add(&x->rows, 1);
	}
	buf_done(&rows);
	return NULL;
}

static void readers_and_writers_do_not_disturb_each_other(void **state)
{
	struct race x = { .stop = false };
	struct list group;
	pthread_t t[2];
	AUTOBATCH struct batch b;

	(void)state;
	batch_init(&b);
	list_init(&group);
	assert_int_equal(overlay_init(&x.o), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&t[i], NULL, read_on, &x), 0);
	for (uint64_t g = 1; g < 200 || !atomic_load(&x.rows); g++) {
		for (unsigned i = 0; i < KEYS; i++) {
			char key[16];

			batch_put(&b, key, key_of(i, key), &g, sizeof(g));
		}
		insert(&x.o, &b, g, &group);
		overlay_drop(&x.o, &group);
	}
	atomic_store(&x.stop, true);
	for (int i = 0; i < 2; i++)
		(void)pthread_join(t[i], NULL);
	assert_int_equal(overlay_bytes(&x.o), 0);
	overlay_done(&x.o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_entry_is_seen_until_its_group_leaves),
		cmocka_unit_test(an_older_group_does_not_hide_a_newer_one),
		cmocka_unit_test(random_groups_come_and_go_as_in_a_model),
		cmocka_unit_test(readers_and_writers_do_not_disturb_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
