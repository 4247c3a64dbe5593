/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posixcheck: what POSIX and the Linux manual pages promise of a file system,
 * call by call and errno by errno.
 *
 * A group holds cases, a case holds steps: a call, its arguments, the user
 * who makes it, the result it must have, and what must be true afterwards.
 * A case that a table cannot say is a function; it may make steps too.  Each
 * case runs in an empty folder of its own, which is also the working one.
 *
 * Results are as the kernel gives them: zero or more, or a negative errno.
 */
#ifndef POSIX_H
#define POSIX_H

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- users: who.c ----------------------------------------------------- */

/*
 * Numbers only: none of them has to be in /etc/passwd.  A and B have nothing
 * in common, PEER has A's group as its own, MEMBER as one of its others.
 */
enum user { ROOT, A, B, PEER, MEMBER, N_USERS };

#define UID_A      65534
#define UID_B      70001
#define UID_PEER   70002
#define UID_MEMBER 70003
#define GID_OTHER  70009 /* MEMBER is in it, and in GID_A */
#define GID_A      UID_A
#define GID_B      UID_B
#define GID_MEMBER UID_MEMBER

extern const char *const user_names[N_USERS];
uid_t user_uid(enum user u);
gid_t user_gid(enum user u);
void become(enum user u);
/* The same for good, without a way back: in a child only. */
void become_for_good(enum user u);
/* Runs f(arg) in a child as this user; what it returned, 0 to 250. */
long in_child(enum user u, long (*f)(void *arg), void *arg);

/* ---- steps: step.c, calls*.c, after.c --------------------------------- */

/* name, what is called, and its arguments: see describe() */
#define CALLS(X)                                                               \
	X(CHMOD, chmod, "po")                                                  \
	X(FCHMOD, fchmod, "fo")                                                \
	X(CHOWN, chown, "pdD")                                                 \
	X(LCHOWN, lchown, "pdD")                                               \
	X(FCHOWN, fchown, "fdD")                                               \
	X(LINK, link, "pq")                                                    \
	X(LINKAT, linkat, "pqh")                                               \
	X(MKDIR, mkdir, "po")                                                  \
	X(MKFIFO, mkfifo, "po")                                                \
	X(MKNOD, mknod, "poN")                                                 \
	X(MKFILE, mkfile, "po")                                                \
	X(FILL, fill, "pq")                                                    \
	X(OPEN, open, "fpFm")                                                  \
	X(CLOSE, close, "f")                                                   \
	X(DUP, dup, "fd")                                                      \
	X(RENAME, rename, "pq")                                                \
	X(RENAMEAT2, renameat2, "pqh")                                         \
	X(RMDIR, rmdir, "p")                                                   \
	X(UNLINK, unlink, "p")                                                 \
	X(UNLINKAT, unlinkat, "ph")                                            \
	X(SYMLINK, symlink, "qp")                                              \
	X(READLINK, readlink, "p")                                             \
	X(TRUNCATE, truncate, "pd")                                            \
	X(FTRUNCATE, ftruncate, "fd")                                          \
	X(STAT, stat, "p")                                                     \
	X(LSTAT, lstat, "p")                                                   \
	X(STATFS, statfs, "p")                                                 \
	X(ACCESS, access, "pd")                                                \
	X(CHDIR, chdir, "p")                                                   \
	X(READDIR, readdir, "p")                                               \
	X(UTIMENS, utimensat, "ptTh")                                          \
	X(FUTIMENS, futimens, "ftT")                                           \
	X(READ, read, "fd")                                                    \
	X(WRITE, write, "fq")                                                  \
	X(PREAD, pread, "fdD")                                                 \
	X(PWRITE, pwrite, "fqD")                                               \
	X(LSEEK, lseek, "fdh")                                                 \
	X(FSYNC, fsync, "f")                                                   \
	X(DROP, drop_cache, "f")                                               \
	X(FDATASYNC, fdatasync, "f")                                           \
	X(FALLOCATE, fallocate, "fhdD")                                        \
	X(PFALLOC, posix_fallocate, "fdD")                                     \
	X(SETXATTR, setxattr, "pqdh")                                          \
	X(LSETXATTR, lsetxattr, "pqdh")                                        \
	X(FSETXATTR, fsetxattr, "fqdh")                                        \
	X(GETXATTR, getxattr, "pqd")                                           \
	X(LGETXATTR, lgetxattr, "pqd")                                         \
	X(FGETXATTR, fgetxattr, "fqd")                                         \
	X(RMXATTR, removexattr, "pq")                                          \
	X(LRMXATTR, lremovexattr, "pq")                                        \
	X(FRMXATTR, fremovexattr, "fq")                                        \
	X(UMASK, umask, "o")                                                   \
	X(BIND, bind, "p")

enum call {
	END, /* of a table */
#define X(name, what, args) name,
	CALLS(X)
#undef X
	    N_CALLS
};

/* a or b of UTIMENS and FUTIMENS, else nanoseconds since 1970 */
#define T_NOW  INT64_MIN
#define T_OMIT (INT64_MIN + 1)
#define T_NULL (INT64_MIN + 2) /* no times are given at all */
#define T_BAD  (INT64_MIN + 3) /* a billion nanoseconds */
#define SEC    INT64_C(1000000000)

/* struct step.limit: see limits.c */
enum limit {
	NO_LIMIT,
	LIMIT_TMPFILE,
	LIMIT_FALLOC_MODE,
	LIMIT_CACHED_READ,
	LIMIT_BTIME,
	N_LIMITS
};

/*
 * In p, q and after, {x300} stands for 300 times x and {/300} for 300 bytes
 * of "./" and slashes, a path that leads nowhere else.
 */
struct step {
	enum call call;
	const char *p, *q;
	int64_t a;         /* the first number: mode, flags, uid, length */
	int64_t b;         /* the second: mode, gid, offset, device */
	int flags;         /* the last one: AT_*, RENAME_*, XATTR_* */
	int fd;            /* of the case's numbered files, 0 to 7 */
	enum user as;      /* ROOT by default */
	int64_t want;      /* the result; OPEN gives 0 */
	enum limit limit;  /* what FUSE can not do has another result */
	const char *after; /* see after.c */
};

/* Makes it, looks at what must be true after it; what the call gave. */
int64_t step_run(const struct step *s);
#define STEP(...) step_run(&(const struct step){ __VA_ARGS__ })
/* The call alone, not a check: to prepare; dies when it fails. */
void step_make(const struct step *s);
#define MAKE(...) step_make(&(const struct step){ __VA_ARGS__ })
void step_describe(const struct step *s, char *to, size_t room);

typedef int64_t call_fn(const struct step *s);
extern call_fn *const call_table[N_CALLS];

#define N_FILES 8
extern int files[N_FILES]; /* -1: not open */

/* Write {x300} out: the result is good for a few calls. */
const char *expand(const char *text);

/* Before the call and after it; each word of step.after is a check. */
void after_begin(const struct step *s);
void after_end(const struct step *s, const char *call);
/* A call that failed has changed nothing of what it named. */
bool after_untouched(const struct step *s);

/* ---- checks: check.c -------------------------------------------------- */

struct options {
	bool verbose, json, list;
	unsigned entries;     /* of a large directory */
	bool is_fuse;         /* the folder is a FUSE mount's */
	const char *exe;      /* this program */
	const char *readonly; /* a folder of a read-only mount, or NULL */
};
extern struct options options;

/* got is as wanted?  The text is made only when it must be shown. */
bool check_is(int64_t want, int64_t got, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
bool check_that(bool holds, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
bool check_limit(enum limit limit, int64_t want, int64_t got, const char *fmt,
		 ...) __attribute__((format(printf, 4, 5)));
/* What check_that() finds is this limit's, until it is NO_LIMIT again. */
void checks_limit(enum limit limit);
/* Ends the case, as failed: nothing more can be checked in it. */
_Noreturn void die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

struct kernel_limit {
	const char *name, *why;
	int64_t gives; /* on FUSE; 0: the call works, its effect differs */
};
extern const struct kernel_limit kernel_limits[N_LIMITS];

void result_text(int64_t r, char *to, size_t room); /* "EPERM", "0" */
void checks_group(const char *group);
/* false: it died; f is called until it returns or dies. */
bool checks_guard(void (*f)(const void *arg), const void *arg);
int checks_summary(void); /* the exit code */

/* ---- cases and groups: run.c, groups.c -------------------------------- */

struct test_case {
	const char *name;
	const struct step *steps;
	void (*run)(void);
};
/* clang-format off */
#define TABLE(name) { #name, name, NULL }
#define RUN(name)   { #name, NULL, name }
/* clang-format on */

struct check_group {
	const char *name;
	const struct test_case *cases;
};
extern const struct check_group *const groups[];

/* NULL: all of them */
void groups_run(const char *dir, const char *const *only);

/* ---- helpers: tool.c -------------------------------------------------- */

/* -1 becomes -errno */
int64_t sys(int64_t r);
bool kernel_at_least(int major, int minor);
/* Waits until a change would get a later time than all before it. */
void tick(void);
void remove_tree(const char *path);
/* Of the kinds below, named name; content of regular files: 10 bytes. */
#define KINDS "rdlpscb"
void make_kind(char kind, const char *name);
const char *kind_name(char kind);
mode_t kind_mode(char kind);
/* len bytes that depend on seed, at most 1 MiB */
const uint8_t *pattern(size_t len, unsigned seed);
/* All bytes of the file from off on are pattern(len, seed)? */
bool holds_pattern(int fd, off_t off, size_t len, unsigned seed);
bool holds_zeros(int fd, off_t off, size_t len);
/* this program, copied to name, mode 0755 */
void copy_program(const char *name);
int case_open(const char *path, int flags, mode_t mode); /* or dies */

#endif
