/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Supplementary groups of a caller: requests carry one gid only.
 *
 * They are read from /proc while the caller waits for its answer.  It may be
 * killed meanwhile and its number given to another process, so what is read
 * counts only if that one acts as the same user and group; such a process the
 * user could have started, too.  A caller whose number says nothing here (0:
 * of a namespace that we do not see) has no supplementary groups for us.
 */
#include "front.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Number i (from 0) of a line of numbers; false: there are fewer. */
static bool groups_number(const char *line, unsigned int i, uint32_t *ret)
{
	for (;;) {
		char *end;
		unsigned long v;

		line += strspn(line, " \t\n");
		if (!isdigit((unsigned char)*line))
			return false;
		v = strtoul(line, &end, 10);
		if (!i--) {
			*ret = (uint32_t)v;
			return v <= UINT32_MAX;
		}
		line = end;
	}
}

/* "Uid:" and "Gid:" say real, effective, saved and for files. */
static bool groups_is(const char *line, uint32_t id)
{
	uint32_t have;

	return groups_number(line, 3, &have) && have == id;
}

static bool groups_has(const char *line, uint32_t gid)
{
	uint32_t have;

	for (unsigned int i = 0; groups_number(line, i, &have); i++)
		if (have == gid)
			return true;
	return false;
}

static bool groups_read(FILE *status, const struct dynfs_caller *who,
			uint32_t gid)
{
	bool uid_is = false, gid_is = false, has = false;
	char *line = NULL;
	size_t room = 0;

	while (getline(&line, &room, status) > 0) {
		if (!strncmp(line, "Uid:", 4))
			uid_is = groups_is(line + 4, who->uid);
		else if (!strncmp(line, "Gid:", 4))
			gid_is = groups_is(line + 4, who->gid);
		else if (!strncmp(line, "Groups:", 7))
			has = groups_has(line + 7, gid);
	}
	free(line);
	return uid_is && gid_is && has;
}

int front_in_group(const struct dynfs_caller *who, uint32_t gid)
{
	char path[32];
	FILE *status;
	bool in;

	if (!who->pid)
		return 0;
	/* a thread has its own groups, and is found by its number as well */
	(void)snprintf(path, sizeof(path), "/proc/%u/status", who->pid);
	status = fopen(path, "re");
	if (!status)
		return 0;
	in = groups_read(status, who, gid);
	(void)fclose(status); /* it was only read */
	return in;
}
