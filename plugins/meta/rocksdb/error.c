/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The C interface hands over a status as its text only: the name of the code,
 * perhaps of a subcode, then what the place that failed had to say, for I/O
 * with strerror's words at the end.  The codes' names are part of RocksDB's
 * files of tests and have not changed in ten years; strerror's words are
 * those of the C locale unless the program sets another, and then the answer
 * is the coarser -EIO.
 */
#include "error.h"

#include <errno.h>
#include <string.h>

struct error_word {
	const char *word;
	int err;
};

static const struct error_word error_io[] = {
	{ "lock hold by current process", -EBUSY },
	{ "lock file", -EBUSY },
	{ "No space left on device", -ENOSPC },
	{ "Disk quota exceeded", -EDQUOT },
	{ "Permission denied", -EACCES },
	{ "Read-only file system", -EROFS },
	{ "Too many open files", -EMFILE },
	{ "Cannot allocate memory", -ENOMEM },
};

static const struct error_word error_codes[] = {
	{ "Corruption", -EUCLEAN },
	{ "Invalid argument", -EINVAL },
	{ "Not impl", -EOPNOTSUPP },
	{ "Operation aborted", -ECANCELED },
	{ "Shutdown in progress", -ECANCELED },
};

static int begins(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

int rocks_errno(const char *text)
{
	for (size_t i = 0; i < sizeof(error_codes) / sizeof(*error_codes); ++i)
		if (begins(text, error_codes[i].word))
			return error_codes[i].err;
	for (size_t i = 0; i < sizeof(error_io) / sizeof(*error_io); ++i)
		if (strstr(text, error_io[i].word))
			return error_io[i].err;
	return -EIO;
}

int rocks_open_errno(const char *text)
{
	int err;

	if (strstr(text, "is not linked with the binary"))
		return -EOPNOTSUPP;
	if (strstr(text, "No such file or directory"))
		return -EUCLEAN;
	/* our arguments are constant, so it can only be what was read */
	err = rocks_errno(text);
	return err == -EINVAL || err == -EOPNOTSUPP ? -EUCLEAN : err;
}
