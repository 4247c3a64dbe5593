/* SPDX-License-Identifier: Apache-2.0 */
/* Errors that several listeners hear of, each of them once. */
#include <base/errseq.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static int hear(errseq *e, uint64_t *since)
{
	uint64_t now;
	int err = errseq_look(e, *since, &now);

	if (err)
		*since = errseq_heard(e, now);
	return err;
}

static void each_listener_hears_each_error_once(void **state)
{
	errseq e = 0;
	uint64_t a = errseq_begin(&e), b = errseq_begin(&e), c;

	(void)state;
	assert_int_equal(hear(&e, &a), 0);
	for (int i = 0; i < 3; i++) {
		errseq_set(&e, -EIO);
		assert_int_equal(hear(&e, &a), -EIO);
		assert_int_equal(hear(&e, &a), 0);
		c = errseq_begin(&e);
		assert_int_equal(hear(&e, &c), 0);
		assert_int_equal(hear(&e, &b), -EIO);
		assert_int_equal(hear(&e, &b), 0);
	}
}

static void who_comes_before_an_error_was_heard_hears_it_too(void **state)
{
	errseq e = 0;
	uint64_t a, b;

	(void)state;
	errseq_set(&e, -ENOSPC);
	a = errseq_begin(&e);
	b = errseq_begin(&e);
	assert_int_equal(hear(&e, &a), -ENOSPC);
	assert_int_equal(hear(&e, &b), -ENOSPC);
	errseq_set(&e, -EIO);
	errseq_set(&e, -EDQUOT);
	assert_int_equal(hear(&e, &a), -EDQUOT);
	assert_int_equal(hear(&e, &a), 0);
}

static void
an_error_that_comes_while_one_is_told_is_not_taken_for_it(void **state)
{
	errseq e = 0;
	uint64_t a = errseq_begin(&e), b, now;

	(void)state;
	errseq_set(&e, -EIO);
	assert_int_equal(errseq_look(&e, a, &now), -EIO);
	errseq_set(&e, -EIO); /* the same, but another */
	a = errseq_heard(&e, now);
	b = errseq_begin(&e);
	assert_int_equal(hear(&e, &a), -EIO);
	assert_int_equal(hear(&e, &b), -EIO);
}

static void what_was_only_looked_at_was_not_heard(void **state)
{
	errseq e = 0;
	uint64_t a = errseq_begin(&e), now;

	(void)state;
	errseq_set(&e, -EIO);
	assert_int_equal(errseq_look(&e, a, &now), -EIO);
	assert_int_equal(errseq_look(&e, errseq_begin(&e), &now), -EIO);
	assert_int_equal(hear(&e, &a), -EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_listener_hears_each_error_once),
		cmocka_unit_test(
		    who_comes_before_an_error_was_heard_hears_it_too),
		cmocka_unit_test(
		    an_error_that_comes_while_one_is_told_is_not_taken_for_it),
		cmocka_unit_test(what_was_only_looked_at_was_not_heard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
