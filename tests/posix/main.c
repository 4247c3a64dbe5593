/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posixcheck DIR: checks the file system below DIR.  See README.md.
 */
#include "posix.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define ONLY_MAX    64
#define ENTRIES     3000u
#define ENTRIES_MAX 10000000u

static _Noreturn void usage(void)
{
	(void)fprintf(stderr, "usage: posixcheck DIR [--only GROUP[/CASE]]... "
			      "[--readonly DIR]\n"
			      "                  [--entries N] [--json] [-v]\n"
			      "       posixcheck --list\n");
	exit(2);
}

/* What exec-ed copies of this program do: see exec.c. */
static int play(int argc, char **argv)
{
	char c;

	if (argc < 2)
		return -1;
	if (strcmp(argv[1], "--who") == 0)
		return (int)(geteuid() % 97);
	if (strcmp(argv[1], "--group") == 0)
		return (int)(getegid() % 97);
	if (strcmp(argv[1], "--wait") == 0) {
		/* it runs */
		return write(STDOUT_FILENO, "x", 1) != 1 ||
		       read(STDIN_FILENO, &c, 1) < 0;
	}
	return -1;
}

static unsigned entries_of(const char *s)
{
	char *end;
	unsigned long n = strtoul(s, &end, 10);

	if (!n || *end || n > ENTRIES_MAX)
		die("--entries wants 1 to %u, not \"%s\"", ENTRIES_MAX, s);
	return (unsigned)n;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "list", no_argument, NULL, 'l' },
		{ "only", required_argument, NULL, 'o' },
		{ "readonly", required_argument, NULL, 'r' },
		{ "entries", required_argument, NULL, 'n' },
		{ "json", no_argument, NULL, 'j' },
		{ "verbose", no_argument, NULL, 'v' },
		{ 0 },
	};
	static char exe[PATH_MAX];
	const char *only[ONLY_MAX + 1] = { NULL };
	size_t n_only = 0;
	int c = play(argc, argv);

	options.entries = ENTRIES;
	if (c >= 0)
		_exit(c); /* a leak check at exit can not be with set-id */
	while ((c = getopt_long(argc, argv, "lo:r:n:jv", longs, NULL)) >= 0) {
		if (c == 'l')
			options.list = true;
		else if (c == 'o' && n_only < ONLY_MAX)
			only[n_only++] = optarg;
		else if (c == 'r')
			options.readonly = optarg;
		else if (c == 'n')
			options.entries = entries_of(optarg);
		else if (c == 'j')
			options.json = true;
		else if (c == 'v')
			options.verbose = true;
		else
			usage();
	}
	if (!options.list && optind + 1 != argc)
		usage();
	if (!options.list && geteuid() != 0)
		die("it takes root, to be other users too");
	if (!realpath("/proc/self/exe", exe))
		die("/proc/self/exe: %m");
	options.exe = exe;
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	groups_run(argv[optind], only);
	return options.list ? 0 : checks_summary();
}
