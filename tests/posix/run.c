/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the groups: each case in an empty folder of its own, with no umask,
 * as root, and whatever it left is taken away.
 */
#include "posix.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#define CASE_DIR "posixcheck.tmp"

static int home = -1; /* the folder that was given */

static void case_body(const void *arg)
{
	const struct test_case *c = arg;

	if (c->run)
		c->run();
	for (const struct step *s = c->steps; s && s->call; s++)
		(void)step_run(s);
}

static void case_end(void)
{
	become(ROOT);
	(void)umask(0);
	for (size_t i = 0; i < N_FILES; i++) {
		if (files[i] >= 0)
			(void)close(files[i]);
		files[i] = -1;
	}
	if (fchdir(home))
		die("back to the folder: %m");
	remove_tree(CASE_DIR);
	if (access(CASE_DIR, F_OK) == 0)
		(void)check_that(false, "what the case left can be removed");
}

static void case_run(const struct test_case *c)
{
	if (mkdir(CASE_DIR, 0777) || chdir(CASE_DIR))
		die("a folder for case %s: %m", c->name);
	(void)checks_guard(case_body, c);
	case_end();
}

/* "group" or "group/case" */
static bool is_chosen(const char *const *only, const char *group,
		      const char *name)
{
	size_t len = strlen(group);

	if (!only || !*only)
		return true;
	for (; *only; only++) {
		if (strncmp(*only, group, len) != 0)
			continue;
		if (!(*only)[len])
			return true;
		if ((*only)[len] == '/' && strcmp(*only + len + 1, name) == 0)
			return true;
	}
	return false;
}

static void group_run(const struct check_group *g, const char *const *only)
{
	checks_group(g->name);
	for (const struct test_case *c = g->cases; c->name; c++) {
		if (!is_chosen(only, g->name, c->name))
			continue;
		if (options.list)
			(void)printf("%s/%s\n", g->name, c->name);
		else
			case_run(c);
	}
}

void groups_run(const char *dir, const char *const *only)
{
	struct statfs st;

	if (!options.list) {
		home = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (home < 0 || fchdir(home) || fstatfs(home, &st))
			die("%s: %m", dir);
		options.is_fuse = st.f_type == 0x65735546; /* FUSE's magic */
		(void)umask(0);
		remove_tree(CASE_DIR); /* of a run that was killed */
	}
	for (size_t i = 0; groups[i]; i++)
		group_run(groups[i], only);
}
