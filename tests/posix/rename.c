/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rename and renameat2, but for pairs of kinds: see rename_pairs.c.
 */
#include "posix.h"

#include <errno.h>
#include <stdio.h>

static const struct step basics[] = {
	{ FILL, "a", "one" },
	{ UTIMENS, "a", .a = SEC, .b = 2 * SEC },
	{ RENAME, "a", "b",
	  .after = "!a b:text=one b:ctime+ b:mtime=2 "
		   "b:nlink=1 .:mtime+ .:ctime+" },
	{ MKDIR, "d", .a = 0755 },
	{ MKDIR, "e", .a = 0755 },
	{ RENAME, "b", "d/b",
	  .after = "!b d/b:text=one d:mtime+ d:ctime+ "
		   ".:mtime+ d:nlink=2" },
	{ RENAME, "d/b", "e/c",
	  .after = "!d/b e/c:text=one d:mtime+ e:mtime+ "
		   ".:mtime= e/c:mtime=2" },
	{ FILL, "d/x", "old" },
	{ RENAME, "e/c", "d/x",
	  .after = "!e/c d/x:text=one d:mtime+ e:mtime+" },
	{ RENAME, "d/x", "d/x", .after = "d/x:same d:mtime=" },
	{ LINK, "d/x", "d/y" },
	/* two names of one file: both stay */
	{ RENAME, "d/x", "d/y",
	  .after = "d/x:ino=d/y d/x:nlink=2 d/x:same d:mtime=" },
	{ LINK, "d/x", "e/z" },
	{ RENAME, "d/x", "e/z", .after = "d/x:nlink=3 e/z:ino=d/x" },
	{ RENAMEAT2, "d/x", "d/y", .flags = RENAME_NOREPLACE, .want = -EEXIST },
	{ RENAMEAT2, "d/x", "d/y", .flags = RENAME_EXCHANGE,
	  .after = "d/x:ino=d/y d/x:nlink=3" },
	/* one name of several goes, the others see it */
	{ FILL, "v1", "victim" },
	{ LINK, "v1", "v2" },
	{ FILL, "n", "new" },
	{ RENAME, "n", "v1",
	  .after = "v1:text=new v2:text=victim v2:nlink=1 "
		   "v2:ctime+ v2:mtime= v1:nlink=1" },
	{ RENAME, "none", "v1", .want = -ENOENT, .after = "v1:text=new" },
	{ RENAME, "v1", "none/x", .want = -ENOENT },
	{ RENAME, "v1", "{r255}", .after = "{r255}:text=new !v1" },
	{ RENAME, "{r255}", "{r256}", .want = -ENAMETOOLONG },
	{ RENAME, "{r255}", "{s255}", .after = "{s255}:text=new !{r255}" },
	{ SYMLINK, "l", "nowhere" },
	{ RENAME, "l", "m", .after = "!l m:link=nowhere m:ctime+" },
	{ RENAME, "{s255}", "m", .after = "m:type=r m:text=new" },
	{ 0 }
};

static const struct step folders[] = {
	{ MKDIR, "a", .a = 0755 },
	{ MKDIR, "a/b", .a = 0755 },
	{ MKDIR, "a/b/c", .a = 0755 },
	{ FILL, "a/b/c/f", "deep" },
	{ RENAME, "a", "a/x", .want = -EINVAL },
	{ RENAME, "a", "a/b/x", .want = -EINVAL },
	{ RENAME, "a", "a/b/c/x", .want = -EINVAL },
	{ RENAME, "a/b", "a/b/c/x", .want = -EINVAL },
	{ RENAME, "a", "a/b", .want = -EINVAL },
	{ RENAME, "a", "a/b/c", .want = -EINVAL },
	{ RENAME, "a/b/c", "a/b", .want = -ENOTEMPTY },
	{ RENAME, "a/b/c", "a", .want = -ENOTEMPTY },
	{ RENAME, "a/b/c/f", "a", .want = -ENOTEMPTY },
	{ RENAMEAT2, "a", "a/b", .flags = RENAME_EXCHANGE, .want = -EINVAL },
	{ RENAMEAT2, "a/b/c", "a", .flags = RENAME_EXCHANGE, .want = -EINVAL },
	{ RENAMEAT2, "a/b/c/f", "a", .flags = RENAME_EXCHANGE,
	  .want = -EINVAL },
	{ RENAMEAT2, "a/b/c", "a", .flags = RENAME_NOREPLACE, .want = -EEXIST },
	{ MKDIR, "e", .a = 0700, .after = ".:nlink=4" },
	/* nlink of parents, "..", and content that came along */
	{ RENAME, "a/b", "b",
	  .after = "!a/b a:nlink=2 .:nlink=5 b:nlink=3 "
		   "b/c/f:text=deep b:ctime+ "
		   "b/..:ino=." },
	{ RENAME, "b", "a/b",
	  .after = "a:nlink=3 .:nlink=4 a/b/..:ino=a "
		   "a/b/c/f:text=deep" },
	{ RENAME, "a/b", "e",
	  .after = "e:nlink=3 a:nlink=2 e/c/f:text=deep "
		   "e:mode=0755 .:nlink=4" },
	{ RENAME, "a", "e/c/a", .after = "e/c:nlink=3 .:nlink=3" },
	{ RENAME, ".", "x", .want = -EBUSY },
	{ RENAME, "e/.", "x", .want = -EBUSY },
	{ RENAME, "e/..", "x", .want = -EBUSY },
	{ RENAME, "e", ".", .want = -EBUSY },
	{ RENAME, "e", "e/..", .want = -EBUSY },
	{ RENAME, "e/", "g/", .after = "!e g:nlink=3" },
	{ RENAME, "g", "h/", .after = "!g h:type=d" },
	{ FILL, "f", "x" },
	{ RENAME, "f", "k/", .want = -ENOTDIR },
	{ RENAME, "f/", "k", .want = -ENOTDIR },
	{ RENAME, "h", "f/", .want = -ENOTDIR },
	{ SYMLINK, "ld", "h" },
	{ RENAME, "ld/", "k", .want = -ENOTDIR },
	{ RENAME, "h", "ld/", .want = -ENOTDIR },
	{ 0 }
};

static const struct step flags[] = {
	{ FILL, "a", "one" },
	{ FILL, "b", "two" },
	{ MKDIR, "d", .a = 0755 },
	{ FILL, "d/x", "three" },
	{ RENAMEAT2, "a", "b", .flags = RENAME_NOREPLACE, .want = -EEXIST,
	  .after = "a:text=one b:text=two" },
	{ RENAMEAT2, "a", "c", .flags = RENAME_NOREPLACE,
	  .after = "!a c:text=one c:ctime+ .:mtime+" },
	{ RENAMEAT2, "c", "d", .flags = RENAME_NOREPLACE, .want = -EEXIST },
	{ RENAMEAT2, "c", "d/x", .flags = RENAME_NOREPLACE, .want = -EEXIST },
	{ RENAMEAT2, "none", "d", .flags = RENAME_NOREPLACE, .want = -ENOENT },
	{ RENAMEAT2, "c", "b", .flags = RENAME_EXCHANGE,
	  .after = "c:text=two b:text=one c:ctime+ b:ctime+ .:mtime+ "
		   ".:ctime+" },
	{ RENAMEAT2, "c", "d", .flags = RENAME_EXCHANGE,
	  .after = "d:text=two c:type=d c/x:text=three c:nlink=2 .:nlink=3" },
	{ RENAMEAT2, "c/x", "b", .flags = RENAME_EXCHANGE,
	  .after = "c/x:text=one b:text=three c:mtime+ .:mtime+" },
	{ RENAMEAT2, "b", "none", .flags = RENAME_EXCHANGE, .want = -ENOENT },
	{ RENAMEAT2, "none", "b", .flags = RENAME_EXCHANGE, .want = -ENOENT },
	{ RENAMEAT2, "b", "b", .flags = RENAME_EXCHANGE, .after = "b:same" },
	{ RENAMEAT2, "b", "d", .flags = RENAME_NOREPLACE | RENAME_EXCHANGE,
	  .want = -EINVAL },
	{ RENAMEAT2, "b", "d", .flags = 0x100, .want = -EINVAL },
	{ RENAMEAT2, "b", "d", .flags = RENAME_WHITEOUT | RENAME_EXCHANGE,
	  .want = -EINVAL },
	{ MKDIR, "e", .a = 0755 },
	{ MKDIR, "e/sub", .a = 0755 },
	/* a directory for a file in another: links of the parents move */
	{ RENAMEAT2, "e/sub", "b", .flags = RENAME_EXCHANGE,
	  .after = "e:nlink=2 .:nlink=5 b:type=d e/sub:text=three "
		   "b/..:ino=." },
	{ MKDIR, "e/s2", .a = 0755 },
	{ RENAMEAT2, "e/s2", "b", .flags = RENAME_EXCHANGE,
	  .after = "e:nlink=3 .:nlink=5 b/..:ino=. e/s2/..:ino=e" },
	{ 0 }
};

/* What overlay mounts leave where a name was. */
static const struct step whiteout[] = {
	{ FILL, "a", "one" },
	{ MKDIR, "d", .a = 0755 },
	{ FILL, "d/x", "two" },
	{ RENAMEAT2, "a", "b", .flags = RENAME_WHITEOUT,
	  .after = "b:text=one b:ctime+ a:type=c a:mode=0 a:rdev=0 a:nlink=1 "
		   "a:uid=0 a:gid=0 .:mtime+ .:ctime+" },
	{ OPEN, "a", .a = O_RDONLY, .want = -ENXIO },
	{ RENAMEAT2, "b", "d/x", .flags = RENAME_WHITEOUT,
	  .after = "d/x:text=one b:type=c d:mtime+ .:mtime+" },
	{ RENAMEAT2, "d", "e", .flags = RENAME_WHITEOUT,
	  .after = "e:type=d e/x:text=one d:type=c .:nlink=3 e/..:ino=." },
	{ MKDIR, "o", .a = 0755 },
	{ RENAMEAT2, "e", "o/e", .flags = RENAME_WHITEOUT,
	  .after = "o/e/x:text=one e:type=c .:nlink=3 o:nlink=3 "
		   "o/e/..:ino=o" },
	{ RENAMEAT2, "o/e/x", "o/e/x", .flags = RENAME_WHITEOUT,
	  .after = "o/e/x:same" },
	{ LINK, "o/e/x", "o/y" },
	{ RENAMEAT2, "o/e/x", "o/y", .flags = RENAME_WHITEOUT,
	  .after = "o/e/x:text=one o/y:text=one o/y:nlink=2" },
	{ RENAMEAT2, "none", "b", .flags = RENAME_WHITEOUT, .want = -ENOENT },
	{ RENAMEAT2, "o/y", "a", .flags = RENAME_WHITEOUT | RENAME_NOREPLACE,
	  .want = -EEXIST, .after = "o/y:text=one a:type=c" },
	{ RENAMEAT2, "o/y", "z", .flags = RENAME_WHITEOUT | RENAME_NOREPLACE,
	  .after = "z:text=one o/y:type=c" },
	/* over one, and one itself */
	{ RENAMEAT2, "z", "a", .flags = RENAME_WHITEOUT,
	  .after = "a:text=one z:type=c" },
	{ RENAMEAT2, "z", "y", .flags = RENAME_WHITEOUT,
	  .after = "y:type=c y:rdev=0 z:type=c" },
	{ MKDIR, "own", .a = 0755 },
	{ CHOWN, "own", .a = UID_A, .b = GID_A },
	{ CHMOD, "own", .a = 02755 },
	{ FILL, "own/f", "x" },
	{ RENAMEAT2, "own/f", "own/g", .flags = RENAME_WHITEOUT,
	  .after = "own/f:type=c own/f:uid=0 own/f:gid=65534" },
	{ 0 }
};

static const struct step permission[] = {
	{ MKDIR, "a", .a = 0755 },
	{ CHOWN, "a", .a = UID_A, .b = GID_A },
	{ MKDIR, "b", .a = 0755 },
	{ CHOWN, "b", .a = UID_B, .b = GID_B },
	{ FILL, "a/f", "x" },
	{ RENAME, "a/f", "a/g", .as = B, .want = -EACCES },
	{ RENAME, "a/f", "b/f", .as = A, .want = -EACCES },
	{ RENAME, "a/f", "b/f", .as = B, .want = -EACCES },
	{ RENAME, "a/f", "a/g", .as = PEER, .want = -EACCES },
	{ RENAME, "a/f", "a/g", .as = A, .after = "a/g:uid=0 !a/f" },
	{ CHMOD, "b", .a = 0777 },
	{ RENAME, "a/g", "b/f", .as = A, .after = "b/f:text=x !a/g" },
	{ MKDIR, "a/d", .a = 0755 },
	/* who moves a directory changes its "..": it must be writable */
	{ RENAME, "a/d", "b/d", .as = A, .want = -EACCES },
	{ RENAME, "a/d", "a/e", .as = A, .after = "a/e:type=d" },
	{ CHOWN, "a/e", .a = UID_A, .b = GID_A },
	{ RENAME, "a/e", "b/d", .as = A, .after = "b/d:type=d b/d/..:ino=b" },
	{ CHMOD, "b/d", .a = 0555 },
	{ RENAME, "b/d", "a/e", .as = A, .want = -EACCES },
	{ CHMOD, "b/d", .a = 0700 },
	{ CHMOD, "a", .a = 0500 },
	{ RENAME, "b/d", "a/e", .as = A, .want = -EACCES },
	{ RENAMEAT2, "b/d", "b/f", .flags = RENAME_EXCHANGE, .as = A,
	  .after = "b/d:text=x b/f:type=d" },
	{ CHMOD, "a", .a = 0700 },
	{ FILL, "a/h", "y" },
	{ RENAMEAT2, "b/f", "a/h", .flags = RENAME_EXCHANGE, .as = B,
	  .want = -EACCES },
	{ RENAMEAT2, "b/f", "a/h", .flags = RENAME_EXCHANGE, .as = A,
	  .after = "b/f:text=y a/h:type=d" },
	/* both must be writable to change places across directories */
	{ CHMOD, "a/h", .a = 0500 },
	{ RENAMEAT2, "b/f", "a/h", .flags = RENAME_EXCHANGE, .as = A,
	  .want = -EACCES },
	{ 0 }
};

/* An open file stays what it was. */
static const struct step open_files[] = {
	{ FILL, "a", "alpha" },
	{ FILL, "b", "beta" },
	{ OPEN, "a", .a = O_RDWR, .fd = 0 },
	{ OPEN, "b", .a = O_RDWR, .fd = 1 },
	{ RENAME, "a", "b", .after = "b:text=alpha !a" },
	{ PWRITE, .q = "A", .want = 1, .fd = 0, .after = "b:text=Alpha" },
	{ PWRITE, .q = "BETA!", .want = 5, .fd = 1, .after = "b:text=Alpha" },
	{ READ, .a = 99, .want = 5, .fd = 1 },
	{ FTRUNCATE, .a = 2, .fd = 1, .after = "b:size=5" },
	{ RENAME, "b", "c", .after = "c:text=Alpha" },
	{ PWRITE, .q = "Z", .want = 1, .fd = 0, .after = "c:text=Zlpha" },
	{ 0 }
};

static const struct test_case cases[] = {
	TABLE(basics),     TABLE(folders),    TABLE(flags), TABLE(whiteout),
	TABLE(permission), TABLE(open_files), { 0 },
};
const struct check_group group_rename = { "rename", cases };
