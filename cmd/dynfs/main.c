/* SPDX-License-Identifier: Apache-2.0 */
/* The program: finds the command, hands it its words, turns errors into
 * sentences and exit codes. */
#include "daemon.h"

#include <base/fail.h>
#include <dynfs_build.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const struct verb verbs[] = {
	{ "init", NULL, "write a commented pool.conf for a new pool",
	  "--pool DIR [--name NAME] [--policy P] [--mountpoint DIR] "
	  "[--disk PATH]...",
	  "Makes DIR with a pool.conf to read and change. Then add disks with\n"
	  "\"dynfs disk add\" and mount with \"dynfs mount\".\n\n"
	  "  --name NAME            of the pool (the name of DIR)\n"
	  "  --policy P             the default policy: \"erasure:4+2\" or\n"
	  "                         \"replica:3\" (what the disks can hold)\n"
	  "  --mountpoint DIR       where the pool will be mounted\n"
	  "  --disk PATH            a disk to write into the file; repeat it",
	  verb_init },
	{ "run", NULL, "serve the pool in the foreground",
	  "[-c FILE | --pool DIR] [--mountpoint DIR] [--log FILE] "
	  "[--readonly] [--force-rollback]",
	  "Opens the pool, mounts it, and says when it is ready. Ends cleanly\n"
	  "on Ctrl-C, SIGTERM, \"dynfs umount\" and umount(8).\n\n"
	  "  --mountpoint DIR       mount there\n"
	  "  --log FILE             write log lines there\n"
	  "  --readonly             write nothing\n"
	  "  --force-rollback       open what is there without a majority of\n"
	  "                         the disks: newer writes are given up",
	  verb_run },
	{ "mount", NULL, "serve the pool in the background",
	  "[-c FILE | --pool DIR] [--mountpoint DIR] [--log FILE] "
	  "[--readonly] [--force-rollback]",
	  "As \"dynfs run\", and returns when the pool is mounted.\n\n"
	  "  --mountpoint DIR       mount there\n"
	  "  --log FILE             write log lines there (DIR/dynfs.log)\n"
	  "  --readonly             write nothing\n"
	  "  --force-rollback       as with \"dynfs run\"",
	  verb_mount },
	{ "umount", NULL, "end the daemon; returns when all is on disk",
	  "[-c FILE | --pool DIR]",
	  "Asks the daemon of the pool to end, and waits for it.",
	  verb_umount },
	{ 0 },
};

const char *program = "dynfs";

int exit_code_of(int err, int otherwise)
{
	if (err >= 0)
		return EXIT_OK;
	return err == -EINVAL ? EXIT_USAGE : otherwise;
}

/* A file that is not there: nobody has made this pool. */
int exit_code_of_config(int err)
{
	return err == -ENOENT ? EXIT_NO_POOL : EXIT_USAGE;
}

int complain(const struct options *o, int err, int exit_code)
{
	const char *text = fail_text(err);

	if (o->json) {
		json_t *e =
		    json_pack("{s{ssso}}", "error", "errno", fail_name(err),
			      "text", control_text(text));

		print_json(e);
		json_decref(e);
	}
	say("%s", text);
	return exit_code;
}

int complain_usage(const struct options *o, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)fail_va(-EINVAL, fmt, ap);
	va_end(ap);
	(void)complain(o, -EINVAL, EXIT_USAGE);
	return -EINVAL;
}

static const struct verb *verb_find(const char *name)
{
	for (const struct verb *v = verbs; v->name; ++v)
		if (!strcmp(v->name, name) ||
		    (v->alias && !strcmp(v->alias, name)))
			return v;
	return NULL;
}

static bool wants_help(int argc, char **argv)
{
	for (int i = 0; i < argc; ++i)
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			return true;
	return false;
}

/* "disk list ..." or "list-disks ...": how many words named it. */
static const struct command *command_find(int argc, char **argv, int *ret_words)
{
	const struct command *c = NULL;
	char two[128];

	if (argc > 1) {
		(void)snprintf(two, sizeof(two), "%s %s", argv[0], argv[1]);
		c = control_find(two);
		*ret_words = 2;
	}
	if (!c) {
		c = control_find(argv[0]);
		*ret_words = 1;
	}
	return c;
}

static bool in_group(const struct command *c, const char *group)
{
	size_t n = strlen(group);

	return !strncmp(c->name, group, n) && c->name[n] == ' ';
}

static bool is_group(const char *word)
{
	const struct command *c;

	for (size_t i = 0; (c = control_at(i)); ++i)
		if (in_group(c, word))
			return true;
	return false;
}

/* All commands of a group, for "dynfs disk" and "dynfs disk --help". */
static void group_help(const char *group)
{
	const struct command *c;

	for (size_t i = 0; (c = control_at(i)); ++i)
		if (in_group(c, group))
			(void)printf("dynfs %-18s %s\n", c->name, c->summary);
}

/* The names of verbs, then those of commands, then their aliases. */
static const char *word_at(const void *ctx, size_t i)
{
	const struct command *c;

	(void)ctx;
	for (const struct verb *v = verbs; v->name; ++v)
		if (!i--)
			return v->name;
	for (size_t at = 0; (c = control_at(at)); ++at)
		if (!i--)
			return c->name;
	for (size_t at = 0; (c = control_at(at)); ++at)
		if (c->alias && !i--)
			return c->alias;
	return NULL;
}

static int complain_unknown(const struct options *o, int argc, char **argv)
{
	bool two = is_group(argv[0]) && argc > 1 && argv[1][0] != '-';
	const char *near;
	char name[128];
	size_t n = 0;

	(void)snprintf(name, sizeof(name), "%s%s%s", argv[0], two ? " " : "",
		       two ? argv[1] : "");
	while (word_at(NULL, n))
		n++;
	near = reg_nearest(name, n, word_at, NULL);
	(void)complain_usage(o, "there is no command \"%s\"; %s%s%s", name,
			     near ? "did you mean " : "dynfs --help lists them",
			     near ? near : "", near ? "?" : "");
	return EXIT_USAGE;
}

/* "dynfs help", "dynfs help disk add" are "--help" at the end. */
static bool is_help(struct options *o, int *argc, char ***argv)
{
	if (strcmp((*argv)[0], "help") != 0)
		return false;
	o->help = true;
	--*argc;
	++*argv;
	return *argc < 1;
}

static int dispatch(struct options *o, int argc, char **argv)
{
	bool help = o->help || wants_help(argc, argv);
	const struct verb *v = verb_find(argv[0]);
	const struct command *c;
	int words = 1;

	if (v) {
		if (help) {
			print_verb_help(v);
			return EXIT_OK;
		}
		return v->run(o, argc - 1, argv + 1);
	}
	c = command_find(argc, argv, &words);
	if (c) {
		if (help) {
			print_command_help(c);
			return EXIT_OK;
		}
		return call_command(o, c, argc - words, argv + words);
	}
	if (!is_group(argv[0]) || (argc > 1 && !help && argv[1][0] != '-'))
		return complain_unknown(o, argc, argv);
	group_help(argv[0]);
	return help ? EXIT_OK : EXIT_USAGE;
}

int main(int argc, char **argv)
{
	struct options o = { 0 };
	int used, r;

	if (argc > 0 && is_helper(argv[0]))
		return helper_main(argc, argv);
	argc--;
	argv++;
	while (argc > 0 && (r = args_global(&o, argc, argv, &used)) != 0) {
		if (r < 0)
			return EXIT_USAGE;
		argc -= used;
		argv += used;
	}
	if (argc < 1 || is_help(&o, &argc, &argv)) {
		print_overview();
		return o.help ? EXIT_OK : EXIT_USAGE;
	}
	if (!strcmp(argv[0], "--version")) {
		(void)printf("dynfs %s\n", BUILD_VERSION);
		return EXIT_OK;
	}
	r = dispatch(&o, argc, argv);
	options_done(&o);
	if (fflush(stdout) != 0)
		r = EXIT_FAILED;
	return r;
}
