/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is mounted where, from /proc/self/mountinfo.  Asking the mount itself
 * (stat, statfs) would send it a request, and it may be dead or not served
 * yet.  See proc(5) for the fields.
 */
#include "front.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In place: the kernel writes blanks and the like as \ooo. */
static void mountinfo_unescape(char *s)
{
	char *to = s;

	while (*s) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' &&
		    s[2] <= '7' && s[3] >= '0' && s[3] <= '7') {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 |
				       (s[3] - '0'));
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

static char *mountinfo_word(char **at)
{
	char *word = *at, *end = word ? strpbrk(word, " \n") : NULL;

	if (end)
		*end++ = '\0';
	*at = end;
	return word && *word ? word : NULL;
}

/* id parent major:minor root path options [tags] - type source options */
static int mountinfo_line(char *line, const char *path,
			  struct front_mount_entry *ret)
{
	char *at = line, *dev, *where, *word, *type, *source;

	(void)mountinfo_word(&at);
	(void)mountinfo_word(&at);
	dev = mountinfo_word(&at);
	(void)mountinfo_word(&at);
	where = mountinfo_word(&at);
	if (!dev || !where)
		return -ENOENT;
	mountinfo_unescape(where);
	if (strcmp(where, path) != 0)
		return -ENOENT;
	do
		word = mountinfo_word(&at);
	while (word && strcmp(word, "-") != 0);
	type = mountinfo_word(&at);
	source = mountinfo_word(&at);
	if (!type || !source)
		return -ENOENT;
	mountinfo_unescape(source);
	ret->major = (unsigned int)strtoul(dev, &dev, 10);
	ret->minor = *dev ? (unsigned int)strtoul(dev + 1, NULL, 10) : 0;
	(void)snprintf(ret->type, sizeof(ret->type), "%s", type);
	(void)snprintf(ret->source, sizeof(ret->source), "%s", source);
	return 0;
}

int front_mount_find(const char *path, struct front_mount_entry *ret)
{
	FILE *in = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t room = 0;
	int err = -ENOENT;

	if (!in)
		return -errno;
	/* a later line lies on top of an earlier one */
	while (getline(&line, &room, in) > 0)
		if (!mountinfo_line(line, path, ret))
			err = 0;
	free(line);
	(void)fclose(in); /* was read only */
	return err;
}
