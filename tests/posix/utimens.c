/* SPDX-License-Identifier: Apache-2.0 */
/*
 * utimensat, futimens: each pair of now, omit and a time; who may do which.
 */
#include "posix.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define GIVEN_A (111 * SEC + 123456789)
#define GIVEN_M (222 * SEC + 987654321)

static void name_time(char *to, size_t room, const char *file, char which,
		      int64_t t)
{
	if (t == T_NOW)
		(void)snprintf(to, room, "%s:%ctime+ ", file, which);
	else if (t == T_OMIT)
		(void)snprintf(to, room, "%s:%ctime= ", file, which);
	else
		(void)snprintf(to, room, "%s:%ctime=%lld.%09lld ", file, which,
			       (long long)(t / SEC), (long long)(t % SEC));
}

/* ctime moves unless both are omitted; then nothing is even asked. */
static void words(char *to, size_t room, const char *file, int64_t a, int64_t m)
{
	size_t n;

	name_time(to, room, file, 'a', a);
	n = strlen(to);
	name_time(to + n, room - n, file, 'm', m);
	n += strlen(to + n);
	(void)snprintf(to + n, room - n, "%s:ctime%c .:same", file,
		       a == T_OMIT && m == T_OMIT ? '=' : '+');
}

static void every_pair(void)
{
	static const int64_t as[] = { T_NOW, T_OMIT, GIVEN_A, 0 };
	static const int64_t ms[] = { T_NOW, T_OMIT, GIVEN_M, 0 };
	char after[256];

	for (const char *k = KINDS; *k; k++) {
		make_kind(*k, "t");
		for (size_t a = 0; a < COUNT(as); a++)
			for (size_t m = 0; m < COUNT(ms); m++) {
				words(after, sizeof(after), "t", as[a], ms[m]);
				STEP(UTIMENS, "t", .a = as[a], .b = ms[m],
				     .flags = AT_SYMLINK_NOFOLLOW,
				     .after = after);
			}
		remove_tree("t");
	}
	make_kind('r', "f");
	MAKE(SYMLINK, "l", "f");
	MAKE(OPEN, "f", .a = O_RDONLY);
	for (size_t a = 0; a < COUNT(as); a++)
		for (size_t m = 0; m < COUNT(ms); m++) {
			words(after, sizeof(after), "f", as[a], ms[m]);
			STEP(FUTIMENS, .a = as[a], .b = ms[m], .after = after);
			STEP(UTIMENS, "l", .a = as[a], .b = ms[m],
			     .after = after);
		}
}

/*
 * The owner and root may do all, who may write only "now and now"; omitting
 * both is nobody's business.
 */
static int64_t model(enum user u, unsigned mode, int64_t a, int64_t m)
{
	unsigned bit = u == PEER || u == MEMBER ? 020 : 02;

	if (u == A || u == ROOT || (a == T_OMIT && m == T_OMIT))
		return 0;
	if (a != T_NULL && (a != T_NOW || m != T_NOW))
		return -EPERM;
	return mode & bit ? 0 : -EACCES;
}

static void each_pair(enum user u, unsigned mode)
{
	static const int64_t times[] = { T_NOW, T_OMIT, GIVEN_A };

	STEP(UTIMENS, "t", .a = T_NULL, .as = u,
	     .want = model(u, mode, T_NULL, 0));
	for (size_t a = 0; a < COUNT(times); a++)
		for (size_t m = 0; m < COUNT(times); m++)
			STEP(UTIMENS, "t", .a = times[a], .b = times[m],
			     .as = u,
			     .want = model(u, mode, times[a], times[m]));
}

static void who_may(void)
{
	static const unsigned modes[] = { 0644, 0666, 0664, 0444 };

	make_kind('r', "t");
	MAKE(CHOWN, "t", .a = UID_A, .b = GID_A);
	for (size_t i = 0; i < COUNT(modes); i++) {
		MAKE(CHMOD, "t", .a = modes[i]);
		for (enum user u = ROOT; u < N_USERS; u++)
			each_pair(u, modes[i]);
	}
}

static const struct step details[] = {
	{ FILL, "f", "content" },
	{ UTIMENS, "f", .a = T_NULL, .after = "f:atime+ f:mtime+ f:ctime+" },
	{ UTIMENS, "f", .a = T_BAD, .b = 0, .want = -EINVAL },
	{ UTIMENS, "f", .a = 0, .b = T_BAD, .want = -EINVAL },
	{ UTIMENS, "f", .a = T_OMIT, .b = T_BAD, .want = -EINVAL },
	{ UTIMENS, "f", .a = 1, .b = SEC - 1,
	  .after = "f:atime=0.000000001 f:mtime=0.999999999" },
	{ UTIMENS, "f", .a = 4294967296 * SEC, .b = 2147483648 * SEC,
	  .after = "f:atime=4294967296 f:mtime=2147483648" },
	{ UTIMENS, "f", .a = 9000000000 * SEC, .b = 9200000000 * SEC },
	{ UTIMENS, "f", .a = -1 * SEC, .b = -100 * SEC,
	  .after = "f:atime=-1 f:mtime=-100" },
	{ UTIMENS, "f", .a = -2147483648 * SEC, .b = 0,
	  .after = "f:atime=-2147483648 f:mtime=0" },
	{ UTIMENS, "f", .a = 0, .b = 0, .flags = 0x4000, .want = -EINVAL },
	/* times stay through what does not touch them */
	{ UTIMENS, "f", .a = 5 * SEC, .b = 6 * SEC },
	{ CHMOD, "f", .a = 0600, .after = "f:mtime=6 f:atime=5 f:ctime+" },
	{ RENAME, "f", "g", .after = "g:mtime=6 g:atime=5 g:ctime+" },
	{ LINK, "g", "f", .after = "g:mtime=6 g:atime=5 g:ctime+" },
	{ OPEN, "g", .a = O_RDWR, .after = "g:mtime=6 g:atime=5 g:ctime=" },
	{ PWRITE, .q = "x", .want = 1, .after = "g:mtime+ g:atime=5 g:ctime+" },
	{ FUTIMENS, .a = 5 * SEC, .b = 6 * SEC, .after = "g:mtime=6" },
	{ FSYNC, .after = "g:mtime=6 g:atime=5 g:ctime=" },
	{ CLOSE, .after = "g:mtime=6 g:atime=5 g:ctime=" },
	{ FUTIMENS, .a = 0, .b = 0, .want = -EBADF },
	{ MKDIR, "d", .a = 0755 },
	{ UTIMENS, "d", .a = 5 * SEC, .b = 6 * SEC, .after = "d:mtime=6" },
	{ MKFILE, "d/x", .a = 0644, .after = "d:mtime+ d:atime=5" },
	{ UTIMENS, "d", .a = 5 * SEC, .b = 6 * SEC, .after = "d:mtime=6" },
	{ STAT, "d/x", .after = "d:mtime=6 d:atime=5" },
	{ 0 }
};

static const struct test_case cases[] = {
	RUN(every_pair),
	RUN(who_may),
	TABLE(details),
	{ 0 },
};
const struct check_group group_utimens = { "utimens", cases };
