/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations: what is read, what is refused and with which words, and
 * what is printed. */
#include <base/cleanup.h>
#include <base/fail.h>
#include <base/str.h>
#include <config/config.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka wants the ones above before it */
#include <cmocka.h>

#ifdef __SANITIZE_ADDRESS__
/* libconfig forgets the string in hand when it meets a syntax error. */
__attribute__((visibility("default"))) const char *
__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:strbuf_append\nleak:libconfig_yylex\n";
}
#endif

static char dir[64];

static const char whole[] =
    "# all kinds of values\n"
    "pool = {\n"
    "  name = \"tank\";\n"
    "  dir = \"data\"; mountpoint = \"mnt\";\n"
    "  extent-size = \"256K\"; create = true;\n"
    "  disks = (\n"
    "    { path = \"a\"; limit = \"4G\"; labels = { tier = \"hdd\"; bay = 3; "
    "}; },\n"
    "    { path = \"/srv/b/../c//d/\"; }\n"
    "  );\n"
    "};\n"
    "metadata = { engine = { plugin = \"mem\"; }; copies = 2;\n"
    "  dirs = ( \"idx\" ); memory = \"32M\"; group-ms = 250; };\n"
    "policies = { default = \"wide\";\n"
    "  wide = { k = 4; m = 2; degraded = \"two\"; block-size = \"4K\"; };\n"
    "  two = { copies = 2; checksum = \"xxh3\"; options = { };\n"
    "    users = ( \"alice\", \"@staff\", \"1000\", \"@50\" ); };\n"
    "};\n"
    "placement = { plugin = \"most-free\"; };\n"
    "store = { plugin = \"dir\"; depth = 2; word = \"a \\\"b\\\"\"; };\n"
    "frontends = ( { plugin = \"fuse\"; threads = 8; } );\n"
    "jobs = ( );\n"
    "limits = { memory = \"512M\"; threads = 4; };\n"
    "log = { level = \"debug\"; file = \"dynfs.log\"; };\n";

static const char small[] = "pool = { name = \"p\"; disks = ( { path = \"a\"; "
			    "} ); };\n";

static int set_up(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/dynfs-conf-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
	static const char *const names[] = { "pool.conf", "disks.conf",
					     "loop.conf", "out.conf", "link" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); ++i) {
		AUTOFREE char *path = str_path(dir, names[i]);

		(void)unlink(path);
	}
	return rmdir(dir);
}

static void write_file(const char *name, const char *text)
{
	AUTOFREE char *path = str_path(dir, name);
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int parse_with(const char *text, const char *const *sets, size_t n,
		      struct conf **ret)
{
	AUTOFREE char *path = str_path(dir, "pool.conf");

	fail_clear();
	return conf_parse(text, strlen(text), path, sets, n, ret);
}

static struct conf *parse(const char *text)
{
	struct conf *conf = NULL;
	int r = parse_with(text, NULL, 0, &conf);

	if (r < 0)
		fail_msg("%s", fail_text(r));
	return conf;
}

static void assert_says(int err, const char *part)
{
	if (!strstr(fail_text(err), part))
		fail_msg("\"%s\" does not say \"%s\"", fail_text(err), part);
}

static void assert_path(const char *path, const char *below)
{
	AUTOFREE char *real = realpath(dir, NULL);
	AUTOFREE char *want =
	    str_printf(*below ? "%s/%s" : "%s%s", real, below);

	assert_string_equal(path, want);
}

static void every_section_is_read(void **state)
{
	struct conf *c = parse(whole);

	(void)state;
	assert_string_equal(c->pool.name, "tank");
	assert_path(c->pool.dir, "data");
	assert_path(c->pool.mountpoint, "data/mnt");
	assert_int_equal(c->pool.extent_bytes, 256 << 10);
	assert_int_equal(c->pool.create, 1);
	assert_int_equal(c->pool.readonly, 0);
	assert_int_equal(c->pool.n_disks, 2);
	assert_path(c->pool.disks[0].path, "data/a");
	assert_int_equal(c->pool.disks[0].limit_bytes, 4ull << 30);
	assert_int_equal(c->pool.disks[0].n_labels, 2);
	assert_string_equal(c->pool.disks[0].labels[1].key, "bay");
	assert_string_equal(c->pool.disks[0].labels[1].value, "3");
	assert_string_equal(c->pool.disks[1].path, "/srv/c/d");
	assert_int_equal(c->pool.disks[1].place.line, 8);
	assert_string_equal(c->metadata.engine.name, "mem");
	assert_int_equal(c->metadata.copies, 2);
	assert_path(c->metadata.dirs.list[0], "data/idx");
	assert_int_equal(c->metadata.group_ms, 250);
	assert_string_equal(c->policies.default_name, "wide");
	assert_int_equal(c->policies.n, 2);
	assert_int_equal(conf_policy(c, "wide")->k, 4);
	assert_string_equal(conf_policy(c, "wide")->redundancy.name, "erasure");
	assert_string_equal(conf_policy(c, "two")->redundancy.name, "replica");
	assert_int_equal(conf_policy(c, "two")->k, 1);
	assert_int_equal(conf_policy(c, "two")->m, 1);
	assert_int_equal(conf_policy(c, "two")->users.n, 4);
	assert_string_equal(conf_policy(c, "two")->users.list[1], "@staff");
	assert_null(conf_policy(c, "three"));
	assert_string_equal(c->store.options[0].key, "depth");
	assert_int_equal(c->store.options[0].form, REG_NUMBER);
	assert_int_equal(c->store.options[0].line, 19);
	assert_string_equal(c->store.options[1].text, "a \"b\"");
	assert_int_equal(c->frontends.n, 1);
	assert_int_equal(c->jobs.n, 0);
	assert_int_equal(c->limits.threads, 4);
	assert_int_equal(c->log.level, DYNFS_DEBUG);
	assert_path(c->log.file, "data/dynfs.log");
	conf_free(c);
}

static void only_the_pool_must_be_there(void **state)
{
	struct conf *c = parse(small);

	(void)state;
	assert_path(c->pool.dir, "");
	assert_null(c->pool.mountpoint);
	assert_int_equal(c->pool.extent_bytes, 1 << 20);
	assert_string_equal(c->metadata.engine.name, "rocksdb");
	assert_int_equal(c->metadata.copies, 3);
	assert_string_equal(c->policies.default_name, "ec42");
	assert_int_equal(conf_policy(c, "ec42")->k, 4);
	assert_string_equal(conf_policy(c, "ec42")->checksum, "blake3");
	assert_string_equal(c->store.name, "segment");
	assert_int_equal(c->frontends.n, 1);
	assert_string_equal(c->frontends.list[0].name, "fuse");
	assert_int_equal(c->limits.memory_bytes, 256 << 20);
	assert_int_equal(c->log.level, DYNFS_INFO);
	conf_free(c);
}

#define POOL "pool={name=\"p\";disks=({path=\"a\";},{path=\"b\";});};\n"

static const char *const refused[][2] = {
	{ "", "pool.conf: there is no pool" },
	{ "pool = 3;", "pool.conf:1: pool: expected group, got 3" },
	{ "pool = { };", "pool.conf:1: pool needs the key name" },
	{ "pool={\nname=\"p\";\nnmae=\"q\";};", "pool.conf:3: pool has no key "
						"nmae; did you mean name?" },
	{ "pool={name=\"P!\";disks=({path=\"a\";});};",
	  "name: expected name [a-z][a-z0-9-]*, got \"P!\"" },
	{ "pool={name=\"p\";disks=({});};", "a disk needs the key path" },
	{ "pool={name=\"p\";disks=({path=\"\";});};", "expected path" },
	{ "pool={name=\"p\";disks=(3);};", "list of groups, one for each" },
	{ "pool={name=\"p\";extent-size=\"96K\";disks=({path=\"a\";});};",
	  "extent-size: expected size 64K..16M, a power of two, got \"96K\"" },
	{ "pool={name=\"p\";extent-size=\"32K\";disks=({path=\"a\";});};",
	  "got \"32K\"" },
	{ "pool={name=\"p\";create=1;disks=({path=\"a\";});};",
	  "create: expected true or false, got 1" },
	{ "pool={name=\"p\";disks=({path=\"a\";},\n{path=\"./x/../a\";});};",
	  "pool.conf:2: disk " },
	{ "pool={name=\"p\";disks=({path=\"a\";},\n{path=\"a/b\";});};",
	  "lies inside another disk" },
	{ "pool={name=\"p\";disks=({path=\"a/b\";},\n{path=\"a\";});};",
	  "holds another disk" },
	{ "pool={name=\"p\";mountpoint=\"m\";disks=({path=\"m/a\";});};",
	  "inside the mountpoint" },
	{ "pool={name=\"p\";mountpoint=\"m\";disks=({path=\"m\";});};",
	  "is also the mountpoint" },
	{ "pool={name=\"p\";disks=({path=\".\";});};",
	  "holds this configuration" },
	{ "pool={name=\"p\";mountpoint=\"m\";disks=({path=\"a\";});};"
	  "metadata={dirs=(\"m/x\");};",
	  "metadata.dirs: " },
	{ POOL "metdata = { };", "pool.conf:2: the configuration has no key "
				 "metdata; did you mean metadata?" },
	{ POOL "metadata={copies=0;};",
	  "pool.conf:2: copies: expected integer 1..16, got 0" },
	{ POOL "metadata={copies=2.5;};", "got 2.5" },
	{ POOL "metadata={copies=\"2\";};", "got \"2\"" },
	{ POOL "metadata={memory=\"64X\";};", "memory: expected size 8M..1T" },
	{ POOL "metadata={memory=\"300M\";};", "more than limits.memory" },
	{ POOL "metadata={engine=\"x\";};",
	  "engine: expected group with plugin" },
	{ POOL "metadata={engine={plugin=\"X/..\";};};",
	  "plugin: expected the name of a plugin" },
	{ POOL "metadata={dirs=\"x\";};", "dirs: expected list of paths" },
	{ POOL "metadata={dirs=(\"x\",\"x\");};", "twice" },
	{ POOL "metadata={group-bytes=\"1M\";};\npool.x=1;", "pool.conf:3: " },
	{ POOL "policies={a={copies=2;};};",
	  "expected default = \"NAME\", for example \"a\"" },
	{ POOL "policies={default=\"aa\";\nab={copies=2;};};",
	  "pool.conf:2: there is no policy aa; did you mean ab?" },
	{ POOL "policies={default=\"a\";a={copies=2;};\na={copies=3;};};",
	  "pool.conf:3: duplicate setting name" },
	{ POOL "policies={default=\"a\";a={};};",
	  "policy a: expected either copies, or k and m" },
	{ POOL "policies={default=\"a\";a={k=2;m=1;copies=2;};};",
	  "expected either copies, or k" },
	{ POOL "policies={default=\"a\";a={copies=2;m=1;};};", "m goes with" },
	{ POOL "policies={default=\"a\";a={k=30;m=30;};};", "32 or less" },
	{ POOL "policies={default=\"a\";a={copies=2;degraded=\"b\";};};",
	  "there is no policy b" },
	{ POOL "policies={default=\"a\";a={copies=2;degraded=\"a\";};};",
	  "its degraded policy a needs 2 disks" },
	{ POOL "policies={default=\"a\";a={copies=2;blocksize=\"4K\";};};",
	  "a has no key blocksize; did you mean block-size?" },
	{ POOL "policies={default=\"a\";a={copies=2;transforms=(\"Z!\");};};",
	  "transforms: expected list of names" },
	{ POOL "policies={default=\"none\";none={copies=2;};};", "no name" },
	{ POOL "policies={defalt=\"a\";};", "defalt: expected" },
	{ POOL "frontends={plugin=\"fuse\";};", "frontends: expected list" },
	{ POOL "frontends=({threads=1;});", "expected plugin = \"NAME\"" },
	{ POOL "log={level=\"loud\";};",
	  "level: expected one of \"error\", \"warning\"" },
	{ POOL "limits={threads=2000;};", "integer 0..1024, got 2000" },
	{ POOL "limits={threads=99999999999999999999;};", "pool.conf:2: " },
	{ POOL "}", "pool.conf:2: syntax error" },
	{ POOL "@include \"/etc/passwd\"\n", "expected a path below" },
	{ POOL "@include \"../../etc/passwd\"\n", "@include" },
	{ POOL "@include \"absent.conf\"\n", "No such file" },
};

static void a_pool_may_have_no_disks_yet(void **state)
{
	static const char text[] = "pool = { name = \"p\"; };\n";
	struct conf *c;

	(void)state;
	assert_int_equal(
	    conf_parse(text, sizeof(text) - 1, "/tmp/pool.conf", NULL, 0, &c),
	    0);
	assert_int_equal(c->pool.n_disks, 0);
	conf_free(c);
}

static void what_is_wrong_is_said_with_file_and_line(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); ++i) {
		struct conf *c = NULL;
		int r = parse_with(refused[i][0], NULL, 0, &c);

		if (r >= 0)
			fail_msg("accepted: %s", refused[i][0]);
		assert_int_equal(r, -EINVAL);
		assert_says(r, refused[i][1]);
		assert_says(r, dir + 5);
	}
}

static struct conf *with_users(const char *users, int *ret)
{
	AUTOFREE char *text = str_printf(
	    "pool = { name = \"p\"; };\npolicies = { default = \"a\";\n"
	    "a = { copies = 1;\nusers = %s; }; };\n",
	    users);
	struct conf *c = NULL;

	assert_non_null(text);
	*ret = parse_with(text, NULL, 0, &c);
	return c;
}

static void users_are_names_and_numbers(void **state)
{
	static const char *const bad[] = {
		"( \"\" )",
		"( \"@\" )",
		"( \"@@a\" )",
		"( \"a b\" )",
		"( \"a:b\" )",
		"( \"a,b\" )",
		"( \"../a\" )",
		"( \"a\\x01\" )",
		"( \"4294967295\" )",
		"( \"@4294967296\" )",
		"( \"99999999999999999999999\" )",
		"( 1000 )",
		"{ a = 1; }",
		"( \"a\", ( ) )",
	};
	int r;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); ++i) {
		assert_null(with_users(bad[i], &r));
		assert_int_equal(r, -EINVAL);
		assert_says(r, "pool.conf:4: users: expected list of users and "
			       "@groups, by name or number");
	}
	assert_null(with_users("( \"root\", \"a b\" )", &r));
	assert_says(r, "got \"a b\"");
}

static void users_are_found_in_the_lists_of_the_system(void **state)
{
	struct conf_ids ids = { 0 };
	struct conf *c;
	int r;

	(void)state;
	c = with_users("( \"root\", \"@root\", \"4294967294\", \"@7\" )", &r);
	assert_int_equal(r, 0);
	assert_int_equal(conf_check_users(c), 0);
	assert_int_equal(conf_users(conf_policy(c, "a"), &ids), 0);
	assert_int_equal(ids.n_uids, 2);
	assert_int_equal(ids.uids[0], 0);
	assert_int_equal(ids.uids[1], 4294967294u);
	assert_int_equal(ids.n_gids, 2);
	assert_int_equal(ids.gids[0], 0);
	assert_int_equal(ids.gids[1], 7);
	conf_ids_done(&ids);
	conf_free(c);
	/* one that is not there is left out, and told of */
	c = with_users("( \"@no-such-group\", \"no-such-user\", \"3\" )", &r);
	assert_int_equal(r, 0);
	assert_int_equal(conf_users(conf_policy(c, "a"), &ids), 0);
	assert_int_equal(ids.n_uids, 1);
	assert_int_equal(ids.n_gids, 0);
	conf_ids_done(&ids);
	fail_clear();
	r = conf_check_users(c);
	assert_int_equal(r, -EINVAL);
	assert_says(r, "pool.conf:3: policy a: users: the system knows no "
		       "group \"no-such-group\"");
	conf_free(c);
}

static void set_words_replace_what_the_file_says(void **state)
{
	const char *const sets[] = {
		"limits.memory=768M",    "pool.mountpoint=/x",
		"policies.default=two",  "policies.three.copies=3",
		"pool.disks.1.limit=1G", "metadata.dirs=/m1,/m2",
		"store.depth=3",         "pool.readonly=yes"
	};
	struct conf *c = NULL;

	(void)state;
	assert_int_equal(parse_with(whole, sets, 8, &c), 0);
	assert_int_equal(c->limits.memory_bytes, 768 << 20);
	assert_string_equal(c->pool.mountpoint, "/x");
	assert_string_equal(c->policies.default_name, "two");
	assert_int_equal(conf_policy(c, "three")->m, 2);
	assert_int_equal(c->pool.disks[1].limit_bytes, 1 << 30);
	assert_int_equal(c->metadata.dirs.n, 2);
	assert_string_equal(c->metadata.dirs.list[1], "/m2");
	assert_int_equal(c->store.options[1].form, REG_WORD);
	assert_string_equal(c->store.options[1].file, "--set");
	assert_int_equal(c->pool.readonly, 1);
	conf_free(c);
}

static void set_words_are_checked_like_the_file(void **state)
{
	static const char *const bad[][2] = {
		{ "limits.memory=1", "--set: memory: expected size 64M..1T" },
		{ "limits.memroy=1", "--set: limits has no key memroy; did you "
				     "mean memory?" },
		{ "limits", "--set: expected KEY.KEY=VALUE" },
		{ "=3", "--set: expected" },
		{ "limits.=3", "--set: there is no key limits." },
		{ "pool.disks.7.limit=1G", "--set: there is no key" },
		{ "pool.name.x=1", "--set: there is no key pool.name.x" },
		{ "pool=1", "--set: there is no key pool" },
		{ "pool.disks.x.limit=1G", "--set: there is no key" },
		{ "policies.default=wid", "there is no policy wid; did you "
					  "mean wide?" },
		{ "b!d=1", "--set: there is no key" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); ++i) {
		struct conf *c = NULL;
		int r = parse_with(whole, &bad[i][0], 1, &c);

		assert_int_equal(r, -EINVAL);
		assert_says(r, bad[i][1]);
	}
}

static void an_include_stays_in_the_folder_and_keeps_its_lines(void **state)
{
	struct conf *c = NULL;
	int r;

	(void)state;
	write_file("disks.conf", "disks = ( { path = \"a\"; },\n"
				 "{ path = \"b\"; limitt = \"1G\"; } );\n");
	r = parse_with("pool = { name = \"p\";\n@include \"disks.conf\"\n};",
		       NULL, 0, &c);
	assert_int_equal(r, -EINVAL);
	assert_says(r, "disks.conf:2: a disk has no key limitt");
	write_file("disks.conf", "disks = ( { path = \"a\"; } );\n");
	assert_int_equal(
	    parse_with("pool = { name = \"p\";\n@include \"disks.conf\"\n};",
		       NULL, 0, &c),
	    0);
	assert_int_equal(c->pool.n_disks, 1);
	assert_non_null(strstr(c->pool.disks[0].place.file, "disks.conf"));
	conf_free(c);
}

static void
an_include_that_leaves_by_a_link_or_never_ends_is_refused(void **state)
{
	AUTOFREE char *link = str_path(dir, "link");
	struct conf *c = NULL;

	(void)state;
	assert_int_equal(symlink("/etc/passwd", link), 0);
	assert_int_equal(parse_with("@include \"link\"\n", NULL, 0, &c),
			 -EINVAL);
	assert_says(-EINVAL, "leads out of");
	write_file("loop.conf", "@include \"loop.conf\"\n");
	assert_int_equal(parse_with("@include \"loop.conf\"\n", NULL, 0, &c),
			 -EINVAL);
	assert_says(-EINVAL, "too many includes");
}

static void the_printed_configuration_loads_to_the_same(void **state)
{
	static const char *const texts[] = { whole, small };

	(void)state;
	for (size_t i = 0; i < 2; ++i) {
		AUTOBUF struct buf one = BUF_INIT;
		AUTOBUF struct buf two = BUF_INIT;
		struct conf *c = parse(texts[i]), *again;

		conf_print(c, NULL, &one);
		buf_put8(&one, 0);
		again = parse((const char *)one.data);
		conf_print(again, NULL, &two);
		buf_put8(&two, 0);
		assert_string_equal((char *)one.data, (char *)two.data);
		assert_string_equal(again->pool.disks[0].path,
				    c->pool.disks[0].path);
		assert_int_equal(again->policies.n, c->policies.n);
		assert_int_equal(again->store.n_options, c->store.n_options);
		conf_free(c);
		conf_free(again);
	}
}

static void a_new_configuration_loads_for_any_number_of_disks(void **state)
{
	static const char *const disks[] = { "d1", "d2", "d3",     "d4",
					     "d5", "d6", "d \"7\"" };
	static const char *const best[] = { "single", "copies2", "ec21", "ec21",
					    "ec21",   "ec42",    "ec42" };

	(void)state;
	for (size_t n = 1; n <= 7; ++n) {
		const struct conf_init init = { "tank", n % 2 ? "mnt" : NULL,
						disks,  n,
						0,      0 };
		AUTOBUF struct buf text = BUF_INIT;
		struct conf *c;

		conf_write_default(&init, &text);
		buf_put8(&text, 0);
		c = parse((const char *)text.data);
		assert_int_equal(c->pool.n_disks, n);
		assert_string_equal(c->policies.default_name, best[n - 1]);
		conf_free(c);
	}
}

/* Every line of the default file that shows a key can be put in force. */
static void the_hints_of_a_new_configuration_are_true(void **state)
{
	static const char *const disks[] = { "d1", "d2" };
	const struct conf_init init = { "tank", "mnt", disks, 2, 0, 0 };
	AUTOBUF struct buf text = BUF_INIT;
	struct conf *c;
	size_t shown = 0;

	(void)state;
	conf_write_default(&init, &text);
	buf_put8(&text, 0);
	for (char *p = (char *)text.data; (p = strchr(p, '#')); ++p) {
		char *end = strchr(p, '\n'), *eq = strstr(p, " = ");

		if (!eq || eq > end || end[-1] != ';' || end[-2] == '.')
			continue;
		*p = ' ';
		shown++;
	}
	assert_true(shown > 10);
	c = parse((const char *)text.data);
	assert_int_equal(c->metadata.copies, 3);
	conf_free(c);
}

static void every_key_has_a_help_text_and_a_default_that_fits(void **state)
{
	size_t n = 0;

	(void)state;
	for (const struct conf_key *k; (k = conf_keys(n)); ++n) {
		AUTOBUF struct buf expect = BUF_INIT;

		assert_non_null(k->o.help);
		assert_ptr_equal(conf_find_key(k->section, k->o.name), k);
		conf_expect(k, &expect);
		assert_true(expect.len > 0);
		if (k->shape == CONF_VALUE)
			assert_true(k->o.width == 4 || k->o.width == 8);
	}
	assert_true(n > 30);
}

/* ---- with plugins ---------------------------------------------------- */

static int check_text(const char *text)
{
	struct conf *c = parse(text);
	struct reg *reg;
	int r;

	assert_int_equal(reg_open(NULL, &reg), 0);
	r = conf_check(c, reg);
	conf_free(c);
	reg_close(reg);
	return r;
}

#define MEM "metadata={engine={plugin=\"mem\";};};\n"

static void plugins_are_asked_about_what_the_file_says(void **state)
{
	(void)state;
	assert_true(check_text(POOL "metadata={engine={plugin=\"mme\";};};") <
		    0);
	assert_says(-1, "pool.conf:2: there is no plugin meta/mme");
	assert_true(
	    check_text(POOL "metadata={engine={plugin=\"mem\";\nxyz=1;};};") <
	    0);
	assert_says(-1, "pool.conf:3: plugin meta/mem has no option xyz");
	assert_true(check_text(POOL MEM "placement={plugin=\"nearest\";};") <
		    0);
	assert_says(-1, "pool.conf:3: there is no plugin placement/nearest");
}

static void a_configuration_of_shipped_plugins_passes_the_check(void **state)
{
	static const char text[] = POOL MEM
	    "frontends=();\npolicies={default=\"a\";a={k=4;m=2;};"
	    "b={copies=3;checksum=\"xxh3\";degraded=\"c\";};c={copies=2;};};\n";
	const char *path = getenv("DYNFS_PLUGIN_DIR");
	char store[4096];

	(void)state;
	(void)snprintf(store, sizeof(store), "%s/store/segment.so",
		       path ? path : "/nowhere");
	if (access(store, R_OK) < 0)
		skip(); /* not all was built */
	if (check_text(text) < 0)
		fail_msg("%s", fail_text(-1));
	assert_true(check_text(POOL MEM
			       "frontends=();policies={default=\"a\";"
			       "a={redundancy=\"replica\";k=2;m=1;};};") < 0);
	assert_says(-1, "pool.conf:3: ");
	assert_true(
	    check_text(POOL MEM "frontends=();jobs=({plugin=\"x\";});") < 0);
	assert_says(-1, "pool.conf:3: this version has no plugins of the kind "
			"job");
}

static void a_secret_is_printed_only_to_its_owner(void **state)
{
	struct conf *c = parse(
	    POOL "placement={plugin=\"picker\";mood=\"twice\";"
		 "key=\"sesame\";};store={plugin=\"absent\";depth=7;};\n");
	AUTOBUF struct buf all = BUF_INIT;
	AUTOBUF struct buf some = BUF_INIT;
	struct reg *reg;

	(void)state;
	assert_int_equal(reg_open(LIAR_DIR, &reg), 0);
	conf_print(c, NULL, &all);
	conf_print(c, reg, &some);
	buf_put8(&all, 0);
	buf_put8(&some, 0);
	assert_non_null(strstr((char *)all.data, "key = \"sesame\";"));
	assert_non_null(strstr((char *)some.data, "mood = \"twice\";"));
	assert_null(strstr((char *)some.data, "sesame"));
	/* who can not be asked may have secrets */
	assert_null(strstr((char *)some.data, "depth = 7"));
	conf_free(c);
	c = parse((const char *)some.data);
	conf_free(c);
	reg_close(reg);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(every_section_is_read),
		T(only_the_pool_must_be_there),
		T(a_pool_may_have_no_disks_yet),
		T(what_is_wrong_is_said_with_file_and_line),
		T(users_are_names_and_numbers),
		T(users_are_found_in_the_lists_of_the_system),
		T(set_words_replace_what_the_file_says),
		T(set_words_are_checked_like_the_file),
		T(an_include_stays_in_the_folder_and_keeps_its_lines),
		T(an_include_that_leaves_by_a_link_or_never_ends_is_refused),
		T(the_printed_configuration_loads_to_the_same),
		T(a_new_configuration_loads_for_any_number_of_disks),
		T(the_hints_of_a_new_configuration_are_true),
		T(every_key_has_a_help_text_and_a_default_that_fits),
		T(plugins_are_asked_about_what_the_file_says),
		T(a_configuration_of_shipped_plugins_passes_the_check),
		T(a_secret_is_printed_only_to_its_owner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
