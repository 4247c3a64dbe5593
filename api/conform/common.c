/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What holds for every kind: memory, instances that do not know of one
 * another, threads.  What "use" is, the kind says.
 */
#include "conform.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#define THREADS   8
#define ROUNDS    40
#define ALLOC_MAX 3000 /* give up: nobody allocates that often */

static int use_once(const struct kind *k, struct inst *i, uint64_t salt)
{
	int err = k->begin ? k->begin(i) : 0;

	if (err)
		return err;
	err = k->use ? k->use(i, salt) : 0;
	if (k->end)
		k->end(i);
	return err;
}

static bool defaults_make_an_instance(struct conform *c)
{
	struct inst i;
	int err;

	if (inst_new(c, &i, NULL))
		return false;
	if (!i.self && c->plugin.config_size)
		return no(c, "create() returns 0 and no instance");
	err = use_once(c->kind, &i, 0);
	if (err) {
		(void)no(c, "simple use fails: %d, %s", err, i.host.fail_text);
		(void)inst_free(c, &i);
		return false;
	}
	if (i.host.n_fails)
		return no(c, "a message without an error: %s",
			  i.host.fail_text);
	return inst_free(c, &i);
}

/* Fails the nth allocation from create() on; true in ret_end: there was none */
static bool alloc_fails(struct conform *c, uint64_t nth, bool *ret_end)
{
	struct inst i;
	int err;

	if (inst_prepare(c, &i, NULL))
		return no(c, "no instance can be prepared");
	testhost_fail_alloc(&i.host, nth);
	err = inst_start(&i);
	*ret_end = !err && i.host.fail_alloc;
	testhost_fail_alloc(&i.host, 0);
	if (err && err != -ENOMEM) {
		(void)no(c, "allocation %llu fails: errno %d, not ENOMEM",
			 (unsigned long long)nth, -err);
		(void)inst_free(c, &i);
		return false;
	}
	return inst_free(c, &i);
}

static bool creation_survives_no_memory(struct conform *c)
{
	bool end = false;

	for (uint64_t n = 1; !end && n <= ALLOC_MAX; n++)
		if (!alloc_fails(c, n, &end))
			return false;
	return end || no(c, "it allocates without end");
}

/* The same while it is used; afterwards it must work. */
static bool use_fails(struct conform *c, uint64_t nth, bool *ret_end)
{
	struct inst i;
	bool good = true;
	int err;

	if (inst_new(c, &i, NULL))
		return false;
	testhost_fail_alloc(&i.host, nth);
	err = use_once(c->kind, &i, 1);
	*ret_end = i.host.fail_alloc;
	testhost_fail_alloc(&i.host, 0);
	if (err > 0)
		good = no(c, "allocation %llu fails: wrong results",
			  (unsigned long long)nth);
	/* what is on the disk then may be half made: only in memory again */
	if (good && err && !c->kind->begin) {
		err = use_once(c->kind, &i, 2);
		if (err)
			good = no(c, "after failed allocation %llu: errno %d",
				  (unsigned long long)nth, -err);
	}
	return inst_free(c, &i) && good;
}

static bool use_survives_no_memory(struct conform *c)
{
	bool end = false;

	if (!c->kind->use)
		return skipped(c, "this kind is not used here");
	for (uint64_t n = 1; !end && n <= ALLOC_MAX; n++)
		if (!use_fails(c, n, &end))
			return false;
	return end || no(c, "it allocates without end");
}

static bool two_instances_do_not_meet(struct conform *c)
{
	const struct kind *k = c->kind;
	struct inst a, b;
	int err;

	if (inst_new(c, &a, NULL) || inst_new(c, &b, NULL))
		return false;
	err = k->begin ? k->begin(&a) : 0;
	if (!err && k->begin)
		err = k->begin(&b);
	for (uint64_t n = 0; !err && k->use && n < 6; n++)
		err = k->use(n % 2 ? &b : &a, n);
	if (k->end)
		k->end(&a);
	if (!inst_free(c, &a))
		return false;
	if (!err && k->use)
		err = k->use(&b, 100);
	if (k->end)
		k->end(&b);
	if (err)
		(void)no(c, "errno %d: %s", -err, b.host.fail_text);
	return inst_free(c, &b) && !err;
}

struct thread {
	pthread_t id;
	const struct kind *kind;
	struct inst *inst;
	uint64_t number;
	int err;
};

static void *thread_main(void *arg)
{
	struct thread *t = arg;

	for (uint64_t n = 0; !t->err && n < ROUNDS; n++)
		t->err = t->kind->use(t->inst, t->number + THREADS * n);
	return NULL;
}

/* Each thread with its own instance, or all with the first. */
static bool threads_run(struct conform *c, struct inst *inst, bool one)
{
	struct thread t[THREADS];
	bool good = true;

	for (uint64_t i = 0; i < THREADS; i++) {
		t[i] = (struct thread){ .kind = c->kind,
					.inst = one ? inst : &inst[i],
					.number = i };
		if (pthread_create(&t[i].id, NULL, thread_main, &t[i]))
			return no(c, "no thread can be started");
	}
	for (int i = 0; i < THREADS; i++) {
		(void)pthread_join(t[i].id, NULL); /* it is ours */
		if (t[i].err)
			good = no(c, "thread %d: %d", i, t[i].err);
	}
	return good;
}

static bool threads_do_not_meet(struct conform *c)
{
	bool one = c->plugin.threading == DYNFS_PARALLEL, good = true;
	struct inst inst[THREADS];
	int n = one ? 1 : THREADS, err = 0;

	if (c->plugin.threading == DYNFS_SERIAL_PLUGIN)
		return skipped(c, "it asks for one call at a time");
	if (!c->kind->use)
		return skipped(c, "this kind is not used here");
	for (int i = 0; i < n; i++) {
		if (inst_new(c, &inst[i], NULL))
			return false;
		err = c->kind->begin && !err ? c->kind->begin(&inst[i]) : err;
	}
	good = err ? no(c, "it cannot be opened: errno %d", -err)
		   : threads_run(c, inst, one);
	for (int i = 0; i < n; i++) {
		if (c->kind->end)
			c->kind->end(&inst[i]);
		good = inst_free(c, &inst[i]) && good;
	}
	return good;
}

const struct check common_checks[] = {
	{ "An instance is made with the defaults, used, and freed whole",
	  defaults_make_an_instance },
	{ "Whichever allocation fails in create(), it says ENOMEM and leaves "
	  "nothing",
	  creation_survives_no_memory },
	{ "Whichever allocation fails in use, nothing leaks and it works again",
	  use_survives_no_memory },
	{ "Two instances do not disturb one another",
	  two_instances_do_not_meet },
	{ "Eight threads do not disturb one another", threads_do_not_meet },
	{ NULL, NULL },
};
