/* SPDX-License-Identifier: Apache-2.0 */
/* Finding, loading, checking and listing plugins, mostly those that lie
 * (tests/abi). */
#include <base/cleanup.h>
#include <base/fail.h>
#include <base/str.h>
#include <registry/registry.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka wants the ones above before it */
#include <cmocka.h>

#define LIARS LIAR_DIR

struct fixture {
	struct reg *reg;
	char dir[64]; /* dir/checksum: for copies */
};

static struct fixture fix;

static char *in_dir(const char *name)
{
	char *path = str_printf("%s/checksum/%s", fix.dir, name);

	assert_non_null(path);
	return path;
}

static void copy_file(const char *from, const char *to, size_t max)
{
	FILE *in = fopen(from, "re"), *out = fopen(to, "we");
	char some[4096];
	size_t n;

	assert_non_null(in);
	assert_non_null(out);
	while (max && (n = fread(some, 1, sizeof(some), in)) > 0) {
		n = n < max ? n : max;
		assert_int_equal(fwrite(some, 1, n, out), n);
		max -= n;
	}
	assert_int_equal(fclose(in), 0);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(chmod(to, 0644), 0);
}

static int set_up(void **state)
{
	(void)state;
	(void)snprintf(fix.dir, sizeof(fix.dir), "/tmp/dynfs-reg-XXXXXX");
	if (!mkdtemp(fix.dir))
		return -1;
	return reg_open(LIARS, &fix.reg);
}

static int tear_down(void **state)
{
	AUTOFREE char *command = str_printf("%s/checksum", fix.dir);
	static const char *const names[] = {
		"honest.so", "absent.so", "cut.so",   "text.so",
		"pipe.so",   "Bad.so",    "crash.so",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); ++i) {
		AUTOFREE char *path = in_dir(names[i]);

		(void)unlink(path);
	}
	(void)rmdir(command);
	(void)rmdir(fix.dir);
	reg_close(fix.reg);
	fix.reg = NULL;
	return 0;
}

static void make_own_dir(struct reg **ret)
{
	AUTOFREE char *sub = str_printf("%s/checksum", fix.dir);

	assert_int_equal(mkdir(sub, 0755), 0);
	assert_int_equal(reg_open(fix.dir, ret), 0);
}

static void assert_says(int err, const char *part)
{
	if (!strstr(fail_text(err), part))
		fail_msg("\"%s\" does not say \"%s\"", fail_text(err), part);
}

static void assert_refused(const char *name, const char *part)
{
	struct reg_plugin *p;
	int r;

	fail_clear();
	r = reg_load(fix.reg, REG_CHECKSUM, name, &p);
	if (r >= 0)
		fail_msg("%s was loaded", name);
	assert_says(r, part);
	/* a sentence names the file */
	assert_says(r, name);
}

static struct reg_plugin *load(const char *name)
{
	struct reg_plugin *p = NULL;
	int r = reg_load(fix.reg, REG_CHECKSUM, name, &p);

	if (r < 0)
		fail_msg("%s: %s", name, fail_text(r));
	return p;
}

static void a_lying_description_is_refused_with_its_reason(void **state)
{
	static const char *const lies[][2] = {
		{ "wrong-magic", "begins with 12345678" },
		{ "wrong-major", "built for ABI 2" },
		{ "short-size", "24 bytes long" },
		{ "odd-size", "bytes long" },
		{ "wrong-name", "calls itself somebody" },
		{ "no-kind", "of no kind" },
		{ "two-kinds", "two kinds, store and checksum" },
		{ "other-kind", "is a store, not a checksum" },
		{ "no-create", "function create()" },
		{ "no-version", "no version" },
		{ "bad-threading", "threading" },
		{ "short-ops", "function sum()" },
		{ "missing-callback", "function sum()" },
		{ "huge-digest", "200 bytes" },
		{ "short-stride", "16 bytes long" },
		{ "outside-config", "level lies outside" },
		{ "wrong-width", "level has a member of the wrong width" },
		{ "twice", "flag is there twice" },
		{ "same-member", "options level and mood share" },
		{ "bad-default", "level has a default that" },
		{ "zero-not-allowed", "level has no default, and 0" },
		{ "no-help", "flag has no help" },
		{ "no-choices", "mood has no choices" },
		{ "secret-format", "key is secret" },
		{ "counter-twice", "counter sums is there twice" },
		{ "null-entry", "describes nothing" },
		{ "no-entry", "has no function dynfs_plugin_entry()" },
		{ "borrowed-entry", "of its own" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(*lies); ++i)
		assert_refused(lies[i][0], lies[i][1]);
}

static void
longer_structs_of_a_later_release_are_read_as_far_as_known(void **state)
{
	struct reg_plugin *p = load("long-size");

	(void)state;
	assert_int_equal(p->desc.size, sizeof(struct dynfs_plugin));
	p = load("long-stride");
	assert_int_equal(p->n_options, 6);
	assert_string_equal(p->options[3].name, "block-size");
	assert_string_equal(p->options[5].help, "A secret");
}

static void
a_plugin_that_is_absent_is_named_with_those_that_are_there(void **state)
{
	struct reg_plugin *p;

	(void)state;
	assert_int_equal(reg_load(fix.reg, REG_PLACEMENT, "pikcer", &p),
			 -ENOENT);
	assert_says(-ENOENT, "no plugin placement/pikcer");
	assert_says(-ENOENT, "there is picker");
	assert_int_equal(reg_load(fix.reg, REG_STORE, "../x", &p), -EINVAL);
	assert_says(-EINVAL, "not a name");
}

static void a_plugin_is_loaded_once(void **state)
{
	struct reg *other;
	struct reg_plugin *a = load("honest"), *b = load("honest"), *c;

	(void)state;
	assert_ptr_equal(a, b);
	assert_int_equal(reg_open("/nowhere:" LIARS, &other), 0);
	assert_string_equal(reg_dir(other, 0), "/nowhere");
	assert_int_equal(reg_load(other, REG_CHECKSUM, "honest", &c), 0);
	assert_ptr_equal(a, c);
	reg_close(other);
}

static void a_file_that_others_may_write_is_refused(void **state)
{
	AUTOFREE char *path = in_dir("honest.so");
	AUTOFREE char *sub = str_printf("%s/checksum", fix.dir);
	struct reg_plugin *p;
	struct reg *own;

	(void)state;
	make_own_dir(&own);
	copy_file(LIARS "/checksum/honest.so", path, SIZE_MAX);
	assert_int_equal(chmod(path, 0664), 0);
	assert_int_equal(reg_load(own, REG_CHECKSUM, "honest", &p), -EPERM);
	assert_says(-EPERM, "can be written by others");
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(chmod(sub, 0777), 0);
	assert_int_equal(reg_load(own, REG_CHECKSUM, "honest", &p), -EPERM);
	assert_says(-EPERM, "folder");
	assert_int_equal(chmod(sub, 0755), 0);
	assert_int_equal(reg_load(own, REG_CHECKSUM, "honest", &p), 0);
	if (geteuid() == 0) {
		AUTOFREE char *absent = in_dir("absent.so");

		copy_file(LIARS "/checksum/honest.so", absent, SIZE_MAX);
		assert_int_equal(chown(absent, 12345, 0), 0);
		assert_int_equal(reg_load(own, REG_CHECKSUM, "absent", &p),
				 -EPERM);
		assert_says(-EPERM, "belongs to user 12345");
	}
	reg_close(own);
}

static void no_truncation_of_a_plugin_gets_past_the_checks(void **state)
{
	AUTOFREE char *path = in_dir("cut.so");
	const char *from = LIARS "/checksum/honest.so";
	struct reg_plugin *p;
	struct reg *own;
	struct stat st;

	(void)state;
	make_own_dir(&own);
	assert_int_equal(stat(from, &st), 0);
	for (size_t i = 0; i < 64; ++i) {
		int r;

		copy_file(from, path, (size_t)st.st_size * i / 64);
		r = reg_load(own, REG_CHECKSUM, "cut", &p);
		assert_true(r < 0);
		assert_says(r, "cut.so");
	}
	reg_close(own);
}

static void what_is_no_shared_object_is_refused(void **state)
{
	AUTOFREE char *text = in_dir("text.so");
	AUTOFREE char *pipe_path = in_dir("pipe.so");
	struct reg_plugin *p;
	struct reg *own;

	(void)state;
	make_own_dir(&own);
	copy_file("/proc/self/cmdline", text, SIZE_MAX);
	assert_true(reg_load(own, REG_CHECKSUM, "text", &p) < 0);
	assert_says(-1, "is not a shared object");
	copy_file("/proc/self/exe", text, 5000);
	assert_true(reg_load(own, REG_CHECKSUM, "text", &p) < 0);
	assert_int_equal(mkfifo(pipe_path, 0600), 0);
	assert_true(reg_load(own, REG_CHECKSUM, "pipe", &p) < 0);
	assert_says(-1, "not a regular file");
	reg_close(own);
}

static void the_list_has_every_file_and_why_the_broken_ones_are(void **state)
{
	struct reg_entry *list;
	size_t n, good = 0, broken = 0;

	(void)state;
	assert_int_equal(reg_list(fix.reg, &list, &n), 0);
	for (size_t i = 0; i < n; ++i) {
		good += list[i].plugin != NULL;
		broken += list[i].error != NULL;
		assert_true(!list[i].plugin == !!list[i].error);
		if (i && list[i].kind == list[i - 1].kind)
			assert_true(strcmp(list[i - 1].name, list[i].name) < 0);
	}
	assert_true(good >= 6);
	assert_true(broken >= 25);
	reg_list_free(list, n);
}

static void every_plugin_that_was_built_loads_without_a_warning(void **state)
{
	struct reg_entry *list;
	struct reg *own;
	size_t n;

	(void)state;
	assert_int_equal(reg_open(NULL, &own), 0);
	assert_int_equal(reg_list(own, &list, &n), 0);
	for (size_t i = 0; i < n; ++i) {
		if (list[i].error)
			fail_msg("%s", list[i].error);
		assert_null(list[i].plugin->warning);
	}
	reg_list_free(list, n);
	reg_close(own);
	if (!n)
		skip(); /* none was built */
}

static void a_description_shows_options_and_counters_but_no_secret(void **state)
{
	AUTOBUF struct buf out = BUF_INIT;

	(void)state;
	reg_describe(load("honest"), &out);
	buf_put8(&out, 0);
	assert_int_equal(buf_error(&out), 0);
	assert_non_null(strstr((char *)out.data, "level: integer 1..32"));
	assert_non_null(strstr((char *)out.data, "size 4K..16M"));
	assert_non_null(strstr((char *)out.data, "default 64K"));
	assert_non_null(strstr((char *)out.data, "sums, stops"));
	assert_non_null(strstr((char *)out.data, "secret"));
}

static void a_constructor_is_a_warning(void **state)
{
	struct reg_plugin *p = load("constructor");

	(void)state;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	assert_non_null(p->warning);
	assert_non_null(strstr(p->warning, "1 constructor "));
#endif
	assert_null(load("honest")->warning);
	assert_non_null(p);
}

static void a_file_is_tried_in_a_child_that_may_crash(void **state)
{
	AUTOBUF struct buf out = BUF_INIT;

	(void)state;
	assert_int_equal(reg_check_child(LIARS "/checksum/honest.so", &out), 0);
	buf_put8(&out, 0);
	assert_non_null(strstr((char *)out.data, "checksum/honest: lies"));
	assert_int_equal(reg_check_child(LIARS "/checksum/twice.so", &out),
			 -EINVAL);
	assert_says(-1, "flag is there twice");
	assert_int_equal(reg_check_child(LIARS "/crash/entry-exits.so", &out),
			 -EINVAL);
	assert_says(-1, "status 3");
	assert_int_equal(reg_check_child(LIARS "/crash/entry-crashes.so", &out),
			 -EINVAL);
	assert_says(-1, "crashed with SIGSEGV");
	assert_int_equal(reg_check_child(LIARS "/crash/load-crashes.so", &out),
			 -EINVAL);
	assert_says(-1, "crashed with SIGSEGV");
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_lying_description_is_refused_with_its_reason),
		T(longer_structs_of_a_later_release_are_read_as_far_as_known),
		T(a_plugin_that_is_absent_is_named_with_those_that_are_there),
		T(a_plugin_is_loaded_once),
		T(a_file_that_others_may_write_is_refused),
		T(no_truncation_of_a_plugin_gets_past_the_checks),
		T(what_is_no_shared_object_is_refused),
		T(the_list_has_every_file_and_why_the_broken_ones_are),
		T(every_plugin_that_was_built_loads_without_a_warning),
		T(a_description_shows_options_and_counters_but_no_secret),
		T(a_constructor_is_a_warning),
		T(a_file_is_tried_in_a_child_that_may_crash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
