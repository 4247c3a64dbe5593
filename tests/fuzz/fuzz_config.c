/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of a configuration.  What is taken can be printed, and the print
 * is taken and prints the same.
 */
#include "fuzz.h"

#include <base/buf.h>
#include <base/fail.h>
#include <config/config.h>

#include <string.h>
#include <unistd.h>

#ifdef __has_feature
#define FUZZ_ASAN __has_feature(address_sanitizer)
#elif defined(__SANITIZE_ADDRESS__)
#define FUZZ_ASAN 1
#else
#define FUZZ_ASAN 0
#endif
#if FUZZ_ASAN
/* libconfig forgets the string in hand when it meets a syntax error. */
__attribute__((visibility("default"))) const char *
__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:strbuf_append\nleak:libconfig_yylex\n";
}
#endif

/* An empty folder of our own, so that nothing can be included. */
static char folder[] = "/tmp/dynfs-fuzz-XXXXXX";
static char path[sizeof(folder) + 16];

static void forget_folder(void)
{
	(void)rmdir(folder);
}

static void begin(void)
{
	if (path[0])
		return;
	FUZZ_MUST(mkdtemp(folder));
	FUZZ_MUST(!atexit(forget_folder));
	(void)snprintf(path, sizeof(path), "%s/pool.conf", folder);
}

void fuzz_run(const uint8_t *data, size_t len)
{
	AUTOBUF struct buf first = BUF_INIT;
	AUTOBUF struct buf second = BUF_INIT;
	struct conf *c = NULL;

	begin();
	fail_clear();
	if (conf_parse((const char *)data, len, path, NULL, 0, &c)) {
		FUZZ_MUST(fail_has_text());
		return;
	}
	conf_print(c, NULL, &first);
	conf_free(c);
	FUZZ_MUST(!buf_error(&first));
	FUZZ_MUST(!conf_parse((const char *)first.data, first.len, path, NULL,
			      0, &c));
	conf_print(c, NULL, &second);
	conf_free(c);
	FUZZ_MUST(first.len == second.len &&
		  !memcmp(first.data, second.data, first.len));
}

static const char whole[] =
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
    "    users = ( \"alice\", \"@50\" ); };\n"
    "};\n"
    "placement = { plugin = \"most-free\"; };\n"
    "store = { plugin = \"dir\"; depth = 2; word = \"a \\\"b\\\"\"; };\n"
    "frontends = ( { plugin = \"fuse\"; threads = 8; } );\n"
    "jobs = ( );\n"
    "limits = { memory = \"512M\"; threads = 4; };\n"
    "log = { level = \"debug\"; file = \"dynfs.log\"; };\n";

void fuzz_seeds(fuzz_put *put, void *ctx)
{
	static const char *const disks[] = { "/srv/a", "/srv/b", "/srv/c" };
	struct conf_init init = { .name = "tank",
				  .mountpoint = "/mnt/tank",
				  .disks = disks,
				  .n_disks = 3,
				  .k = 2,
				  .m = 1 };
	AUTOBUF struct buf text = BUF_INIT;

	put(ctx, "whole", whole, sizeof(whole) - 1);
	conf_write_default(&init, &text);
	FUZZ_MUST(!buf_error(&text));
	put(ctx, "default", text.data, text.len);
	put(ctx, "include", "@include \"other.conf\"\n", 22);
}
