/* SPDX-License-Identifier: Apache-2.0 */
/*
 * feature DIR compat|ro-compat|incompat NAME: as a newer program would leave
 * the label of a disk, with a feature that this one does not know.
 */
#include <base/os.h>
#include <disk/label.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int add_name(char ***list, const char *name)
{
	size_t n = 0;
	char **more;

	while (*list && (*list)[n])
		n++;
	more = (char **)realloc(*list, (n + 2) * sizeof(*more));
	if (!more)
		return -1;
	*list = more;
	more[n] = strdup(name);
	more[n + 1] = NULL;
	return more[n] ? 0 : -1;
}

static char ***class_of(struct features *f, const char *word)
{
	if (!strcmp(word, "compat"))
		return &f->compat;
	if (!strcmp(word, "ro-compat"))
		return &f->ro_compat;
	return !strcmp(word, "incompat") ? &f->incompat : NULL;
}

int main(int argc, char **argv)
{
	struct label l;
	char ***list;
	int r;

	if (argc != 4 || label_read(os_real(), argv[1], &l, NULL) < 0)
		return 2;
	list = class_of(&l.features, argv[2]);
	r = list ? add_name(list, argv[3]) : -1;
	/* into both halves */
	for (int i = 0; i < 2 && r >= 0; ++i)
		r = label_write(os_real(), argv[1], &l);
	label_done(&l);
	if (r < 0)
		(void)fprintf(stderr, "feature: %s: failed\n", argv[1]);
	return r < 0;
}
