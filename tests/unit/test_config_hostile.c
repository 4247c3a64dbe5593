/* SPDX-License-Identifier: Apache-2.0 */
/* Texts that nobody would write: no configuration, however broken, deep or
 * long, brings the program down or keeps it busy. */
#include <base/cleanup.h>
#include <base/fail.h>
#include <config/config.h>

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
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
    "  two = { copies = 2; checksum = \"xxh3\"; options = { }; };\n"
    "};\n"
    "placement = { plugin = \"most-free\"; };\n"
    "store = { plugin = \"dir\"; depth = 2; word = \"a \\\"b\\\"\"; };\n"
    "frontends = ( { plugin = \"fuse\"; threads = 8; } );\n"
    "jobs = ( );\n"
    "limits = { memory = \"512M\"; threads = 4; };\n"
    "log = { level = \"debug\"; file = \"dynfs.log\"; };\n";

/* Nothing is read there. */
#define PATH "/tmp/pool.conf"

static void assert_says(int err, const char *part)
{
	if (!strstr(fail_text(err), part))
		fail_msg("\"%s\" does not say \"%s\"", fail_text(err), part);
}

static char *repeat(const char *head, const char *part, size_t n)
{
	size_t a = strlen(head), b = strlen(part);
	char *text = malloc(a + b * n + 1);

	assert_non_null(text);
	memcpy(text, head, a);
	for (size_t i = 0; i < n; ++i)
		memcpy(text + a + i * b, part, b);
	text[a + b * n] = '\0';
	return text;
}

static void a_text_that_is_deep_or_huge_is_refused_in_time(void **state)
{
	static const struct {
		const char *head, *part;
		size_t n;
		const char *says;
	} bad[] = {
		{ "x = ", "(", 500000, "nested more than" },
		{ "", "a={", 300000, "nested more than" },
		{ "x = (0", ",1", 400000, "more than 20000 settings" },
		{ "x = \"", "\\\\", 2000000, "1 MiB" },
		{ "/*", "/* ", 300000, "pool.conf:" },
		{ "x = \"", "y", 1000000, "pool.conf:" },
	};
	clock_t from = clock();

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); ++i) {
		AUTOFREE char *text =
		    repeat(bad[i].head, bad[i].part, bad[i].n);
		struct conf *c = NULL;

		assert_int_equal(
		    conf_parse(text, strlen(text), PATH, NULL, 0, &c), -EINVAL);
		assert_says(-EINVAL, bad[i].says);
	}
	assert_true((clock() - from) / CLOCKS_PER_SEC < 20);
}

/* ---- mutations ------------------------------------------------------- */

static uint64_t next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

static size_t mutate(uint8_t *text, size_t len, size_t max, uint64_t *x)
{
	static const char bytes[] = "{}()[]=:;,\"\\#@/*\n 0aA.-\xff\x01";
	size_t at = next_random(x) % len;
	size_t n = 1 + next_random(x) % 40;

	switch (next_random(x) % 5) {
	case 0: /* flip */
		text[at] ^= (uint8_t)(1u << next_random(x) % 8);
		break;
	case 1: /* put a byte that means something */
		text[at] = (uint8_t)bytes[next_random(x) % (sizeof(bytes) - 1)];
		break;
	case 2: /* drop a piece */
		n = n < len - at ? n : len - at;
		memmove(text + at, text + at + n, len - at - n);
		len -= n;
		break;
	case 3: /* say a piece twice */
		n = n < len - at ? n : len - at;
		if (len + n < max) {
			memmove(text + at + n, text + at, len - at);
			len += n;
		}
		break;
	default: { /* two change places */
		size_t other = next_random(x) % len;
		uint8_t was = text[at];

		text[at] = text[other];
		text[other] = was;
		break;
	}
	}
	return len ? len : 1;
}

static void no_mutation_of_a_configuration_crashes_the_loader(void **state)
{
	const char *given = getenv("DYNFS_TEST_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0)
			      : (uint64_t)time(NULL) * 2654435761u + 1;
	const size_t max = 2 * sizeof(whole);
	unsigned good = 0;

	(void)state;
	print_message("DYNFS_TEST_SEED=%" PRIu64 "\n", seed);
	for (unsigned i = 0; i < 20000; ++i) {
		uint64_t x = (seed + i) * 0x9e3779b97f4a7c15u | 1;
		/* of its own, so that a read beyond the end is seen */
		AUTOFREE uint8_t *text = malloc(max);
		size_t len = sizeof(whole) - 1;
		struct conf *c = NULL;

		assert_non_null(text);
		memcpy(text, whole, len);
		for (uint64_t n = 1 + next_random(&x) % 4; n; --n)
			len = mutate(text, len, max, &x);
		if (conf_parse((const char *)text, len, PATH, NULL, 0, &c) ==
		    0) {
			AUTOBUF struct buf out = BUF_INIT;

			conf_print(c, NULL, &out);
			assert_int_equal(buf_error(&out), 0);
			good++;
		} else {
			assert_true(fail_has_text());
		}
		conf_free(c);
	}
	/* a comment or a path may change: not everything is refused */
	assert_true(good > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_text_that_is_deep_or_huge_is_refused_in_time),
		cmocka_unit_test(
		    no_mutation_of_a_configuration_crashes_the_loader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
