/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dynfs-conform FILE.so [--set key=value]... [--json] [--seed N]
 *               [--golden FILE [--record]]
 *
 * Exit code 0: every promise is kept; 1: one is not; 2: it could not look.
 */
#include "conform.h"

#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define EXIT_USAGE 2

static const char usage[] =
    "usage: dynfs-conform FILE.so [--set key=value]... [--json] [--seed N]\n"
    "                     [--golden FILE [--record]]\n"
    "Checks that a plugin keeps the promises of its kind.\n"
    "  --set     an option of the plugin, as in a configuration\n"
    "  --json    the report for programs\n"
    "  --seed    of the random data; by default from the clock\n"
    "  --golden  compare what must never change with what FILE says\n"
    "  --record  write FILE instead\n";

enum { OPT_SET = 256, OPT_JSON, OPT_SEED, OPT_GOLDEN, OPT_RECORD, OPT_HELP };

static const struct option options[] = {
	{ "set", required_argument, NULL, OPT_SET },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "golden", required_argument, NULL, OPT_GOLDEN },
	{ "record", no_argument, NULL, OPT_RECORD },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 },
};

static int arguments(struct conform *c, int argc, char **argv)
{
	size_t n = 0;
	int o;

	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (o == OPT_SET)
			c->set[n++] = optarg;
		else if (o == OPT_JSON)
			c->json = true;
		else if (o == OPT_SEED)
			c->seed = strtoull(optarg, NULL, 0);
		else if (o == OPT_GOLDEN)
			c->golden = optarg;
		else if (o == OPT_RECORD)
			c->record = true;
		else
			return -EINVAL;
	}
	if (optind != argc - 1 || (c->record && !c->golden))
		return -EINVAL;
	c->file = argv[optind];
	return 0;
}

static const char *setting_wrong(const struct conform *c)
{
	const struct dynfs_option *o;
	void *config;

	for (size_t i = 0; (o = option_at(&c->plugin, i)); i++) {
		size_t len = strlen(o->name);
		bool set = false;

		for (size_t k = 0; c->set[k]; k++)
			set = set || (!strncmp(c->set[k], o->name, len) &&
				      c->set[k][len] == '=');
		if ((o->flags & DYNFS_OPT_REQUIRED) && !set)
			return o->name;
	}
	config = testhost_config(&c->plugin, c->set);
	free(config);
	return config ? NULL : "a setting";
}

static void run(struct conform *c, const struct check *checks)
{
	for (; checks && checks->says; checks++)
		check_run(c, checks);
}

static void run_all(struct conform *c)
{
	static const struct check golden = {
		"What must never change is as it was recorded", golden_check
	};

	report_begin(c);
	run(c, load_checks);
	run(c, option_checks);
	run(c, common_checks);
	run(c, c->kind->checks);
	if (c->golden)
		check_run(c, &golden);
	report_end(c);
}

static int remove_each(const char *path, const struct stat *st, int type,
		       struct FTW *at)
{
	(void)st, (void)type, (void)at;
	return remove(path);
}

/* In memory where possible: engines sync much, and no check depends on it. */
static bool folder_new(struct conform *c)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
	const char *tmp = getenv("TMPDIR");

	if (!tmp || strlen(tmp) > 32)
		tmp = access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm";
	(void)snprintf(c->tmp, sizeof(c->tmp), "%s/dynfs-conform-XXXXXX", tmp);
	return mkdtemp(c->tmp) != NULL;
}

int main(int argc, char **argv)
{
	struct conform c = { .seed = (uint64_t)time(NULL) };
	const char *wrong;

	c.set = calloc((size_t)argc + 1, sizeof(*c.set));
	if (!c.set || arguments(&c, argc, argv)) {
		(void)fputs(usage, stderr);
		free(c.set);
		return EXIT_USAGE;
	}
	wrong = load_plugin(&c);
	if (wrong) {
		(void)fprintf(stderr, "%s: %s\n", c.file, wrong);
		free(c.set);
		return EXIT_USAGE;
	}
	wrong = setting_wrong(&c);
	if (wrong || !folder_new(&c)) {
		(void)fprintf(stderr, "%s: %s must be set with --set\n", c.file,
			      wrong ? wrong : "TMPDIR");
		free(c.set);
		return EXIT_USAGE;
	}
	run_all(&c);
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
	(void)nftw(c.tmp, remove_each, 16, FTW_DEPTH | FTW_PHYS);
	free(c.set);
	return c.n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
