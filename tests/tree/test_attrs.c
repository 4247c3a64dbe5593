/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree alone, case by case: extended attributes, ACLs, names for policy,
 * and how often each of them reads the metadata.
 */
#include "driver.h"
#include "world.h"

#include <base/le.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define ACCESS  XATTR_ACL_ACCESS
#define DEFAULT XATTR_ACL_DEFAULT
#define CAPS    "security.capability"
#define POLICY  "user.dynfs.policy"

static int set_as(struct world *w, uint64_t ino, const char *name,
		  const void *value, size_t len, const struct dynfs_caller *who)
{
	return w->fs->setxattr(w->fs->ctx, ino, name, value, len, 0, who);
}

static int set(struct world *w, uint64_t ino, const char *name,
	       const char *value)
{
	return set_as(w, ino, name, value, strlen(value), &as_root);
}

static int drop(struct world *w, uint64_t ino, const char *name)
{
	return w->fs->removexattr(w->fs->ctx, ino, name);
}

/* The length, or an errno. */
static int get(struct world *w, uint64_t ino, const char *name, void *to,
	       size_t room)
{
	size_t len = 0;
	int r = w->fs->getxattr(w->fs->ctx, ino, name, to, room, &len);

	return r < 0 ? r : (int)len;
}

static int ask(struct world *w, uint64_t ino, const char *name)
{
	return get(w, ino, name, NULL, 0);
}

static void says(struct world *w, uint64_t ino, const char *name,
		 const char *want)
{
	char value[256] = "";

	assert_int_equal(get(w, ino, name, value, sizeof(value) - 1),
			 strlen(want));
	assert_string_equal(value, want);
}

static size_t listed(struct world *w, uint64_t ino,
		     const struct dynfs_caller *who)
{
	size_t len = 0;

	assert_int_equal(w->fs->listxattr(w->fs->ctx, ino, NULL, 0, who, &len),
			 0);
	return len;
}

/* ---- limits ------------------------------------------------------------ */

static void names_and_values_keep_to_their_limits(void **state)
{
	struct world *w = *state;
	uint64_t file = make(w, 1, "file", S_IFREG | 0644);
	static char value[65537];
	char name[300] = "user.", small[4];
	size_t len = 0;
	int r = 0;

	assert_int_equal(set_as(w, file, "user.v", value, 65537, &as_root),
			 -E2BIG);
	assert_int_equal(set_as(w, file, "user.v", value, 65536, &as_root), 0);
	assert_int_equal(get(w, file, "user.v", small, 4), -ERANGE);
	assert_int_equal(ask(w, file, "user.v"), 65536);
	assert_int_equal(
	    w->fs->listxattr(w->fs->ctx, file, small, 4, &as_root, &len),
	    -ERANGE);
	assert_int_equal(set(w, file, "other.x", ""), -EOPNOTSUPP);
	assert_int_equal(set(w, file, "system.x", ""), -EOPNOTSUPP);
	assert_int_equal(ask(w, file, "system.x"), -EOPNOTSUPP);
	assert_int_equal(set(w, file, "user.", ""), -EINVAL);
	memset(name + 5, 'n', 251);
	assert_int_equal(set(w, file, name, ""), -ERANGE);
	name[255] = 0;
	for (unsigned i = 0; !r; i++) {
		(void)snprintf(name + 251, 5, "%04u", i % 10000);
		r = set(w, file, name, "");
	}
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(
	    w->fs->listxattr(w->fs->ctx, file, value, 65536, &as_root, &len),
	    0);
	assert_true(len > 65000);
	/* a name that is there may still change its value */
	assert_int_equal(set(w, file, "user.v", "1"), 0);
}

static void all_of_an_inode_together_has_a_limit(void **state)
{
	struct world *w = *state;
	uint64_t file = make(w, 1, "file", S_IFREG | 0644);
	static char value[65536];
	char name[16];
	unsigned n = 0;
	int r = 0;

	for (; !r && n < 100; n++) {
		(void)snprintf(name, sizeof(name), "user.%u", n);
		r = set_as(w, file, name, value, sizeof(value), &as_root);
	}
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(n, 16); /* 15 of them, and their names, are in 1 MiB */
	/* in place of itself there is room */
	assert_int_equal(
	    set_as(w, file, "user.3", value, sizeof(value), &as_root), 0);
	assert_int_equal(drop(w, file, "user.3"), 0);
	assert_int_equal(set_as(w, file, name, value, sizeof(value), &as_root),
			 0);
}

static void types_and_callers_see_what_is_theirs(void **state)
{
	struct world *w = *state;
	const struct dynfs_caller alice = { .uid = 5, .gid = 5 };
	uint64_t file = make(w, 1, "file", S_IFREG | 0644);
	uint64_t fifo = make(w, 1, "fifo", S_IFIFO | 0644);

	assert_int_equal(set(w, fifo, "user.x", "1"), -EPERM);
	assert_int_equal(set(w, fifo, "trusted.x", "1"), 0);
	assert_int_equal(set(w, fifo, "security.x", "1"), 0);
	assert_int_equal(listed(w, fifo, &as_root), 10 + 11);
	assert_int_equal(listed(w, fifo, &alice), 11);
	assert_int_equal(set(w, file, "trusted.x", ""), 0);
	assert_int_equal(listed(w, file, &alice), 0);
	assert_int_equal(ask(w, file, "trusted.x"), 0);
}

/* ---- how often the metadata is read ------------------------------------ */

/* Of what f does, by gets and scans. */
#define READS_OF(w, f)                                                         \
	({                                                                     \
		uint64_t before_ = double_reads((w)->meta);                    \
		(void)(f);                                                     \
		double_reads((w)->meta) - before_;                             \
	})

static unsigned marks_of(struct world *w, uint64_t ino)
{
	struct inode *in;
	unsigned marks;

	assert_int_equal(inode_get(w->files, ino, &in), 0);
	marks = atomic_load(&in->marks);
	inode_put(in);
	return marks;
}

static void what_is_absent_is_not_looked_for(void **state)
{
	struct world *w = *state;
	uint64_t file = make(w, 1, "file", S_IFREG | 0644);

	/* none at all: the record says so, also when it was just read */
	assert_int_equal(READS_OF(w, ask(w, file, CAPS)), 0);
	double_evict(w->files);
	(void)attr_of(w, file);
	assert_int_equal(READS_OF(w, ask(w, file, CAPS)), 0);
	assert_int_equal(READS_OF(w, ask(w, file, ACCESS)), 0);
	assert_int_equal(READS_OF(w, listed(w, file, &as_root)), 0);
	/* others only: each is looked for once */
	assert_int_equal(set(w, file, "user.x", "1"), 0);
	double_evict(w->files);
	(void)attr_of(w, file);
	assert_int_equal(ask(w, file, CAPS), -ENODATA);
	assert_int_equal(READS_OF(w, ask(w, file, CAPS)), 0);
	assert_int_equal(ask(w, file, ACCESS), -ENODATA);
	assert_int_equal(READS_OF(w, ask(w, file, ACCESS)), 0);
	/* until it is there */
	assert_int_equal(set(w, file, CAPS, "1"), 0);
	assert_int_equal(ask(w, file, CAPS), 1);
	assert_int_equal(drop(w, file, CAPS), 0);
	assert_int_equal(ask(w, file, CAPS), -ENODATA);
	assert_int_equal(READS_OF(w, ask(w, file, CAPS)), 0);
	/* the last one goes: as new */
	assert_int_equal(drop(w, file, "user.x"), 0);
	double_evict(w->files);
	(void)attr_of(w, file);
	assert_int_equal(READS_OF(w, ask(w, file, CAPS)), 0);
	assert_true(marks_of(w, file) & MARK_NO_XATTR);
}

/* As of pools that were made before the record said it. */
static void a_record_that_does_not_say_is_found_out_once(void **state)
{
	struct world *w = *state;
	uint64_t file = make(w, 1, "file", S_IFREG | 0644);
	struct dynfs_attr a, touch = { .mode = 0600 };
	struct inode *in;

	assert_int_equal(inode_get(w->files, file, &in), 0);
	in->rec.flags &= (uint8_t)~INODE_PLAIN;
	atomic_store(&in->marks, 0);
	inode_put(in);
	assert_int_equal(ask(w, file, CAPS), -ENODATA);
	assert_int_equal(READS_OF(w, ask(w, file, ACCESS)), 0);
	/* and is written with the next change */
	assert_int_equal(
	    w->fs->setattr(w->fs->ctx, file, DYNFS_SET_MODE, &touch, &a), 0);
	double_evict(w->files);
	(void)attr_of(w, file);
	assert_int_equal(READS_OF(w, ask(w, file, CAPS)), 0);
}

static int add(struct world *w, uint64_t dir, const char *name)
{
	struct dynfs_attr a;
	int r = w->fs->mknod(w->fs->ctx, dir, name, S_IFREG | 0644, 0, &as_root,
			     &a);

	if (!r)
		w->fs->forget(w->fs->ctx, a.ino, 1);
	return r;
}

static void no_acl_costs_nothing_at_a_create(void **state)
{
	struct world *w = *state;
	uint64_t dir = make(w, 1, "dir", S_IFDIR | 0755);
	struct dynfs_attr a, mode = { .mode = 0700 };
	uint64_t reads = READS_OF(w, add(w, dir, "1"));

	/* what finding a free place for the name costs */
	assert_int_equal(reads, 1);
	assert_int_equal(READS_OF(w, w->fs->setattr(w->fs->ctx, dir,
						    DYNFS_SET_MODE, &mode, &a)),
			 0);
	/* a directory with attributes, but no ACL, is looked at once */
	assert_int_equal(set(w, dir, "user.x", "1"), 0);
	assert_true(READS_OF(w, add(w, dir, "2")) > reads);
	assert_int_equal(READS_OF(w, add(w, dir, "3")), reads);
}

/* ---- ACLs -------------------------------------------------------------- */

enum { OWNER = 1, USER = 2, GROUP_OF = 4, GROUP = 8, MASK = 16, OTHER = 32 };

struct acl_text {
	uint8_t data[4 + 8 * 16];
	size_t len;
};

static void acl_start(struct acl_text *a)
{
	put_le32(a->data, 2);
	a->len = 4;
}

static void acl_add(struct acl_text *a, unsigned tag, unsigned perm,
		    uint32_t id)
{
	put_le16(a->data + a->len, (uint16_t)tag);
	put_le16(a->data + a->len + 2, (uint16_t)perm);
	put_le32(a->data + a->len + 4, id);
	a->len += 8;
}

/* owner rwx, user 5 rw-, group r-x, mask as given, other r-- */
static struct acl_text acl_of(unsigned mask)
{
	struct acl_text a;

	acl_start(&a);
	acl_add(&a, OWNER, 7, UINT32_MAX);
	acl_add(&a, USER, 6, 5);
	acl_add(&a, GROUP_OF, 5, UINT32_MAX);
	acl_add(&a, MASK, mask, UINT32_MAX);
	acl_add(&a, OTHER, 4, UINT32_MAX);
	return a;
}

static int set_acl(struct world *w, uint64_t ino, const char *name,
		   const struct acl_text *a)
{
	return set_as(w, ino, name, a->data, a->len, &as_root);
}

static void has_acl(struct world *w, uint64_t ino, const char *name,
		    const struct acl_text *want)
{
	struct acl_text have;

	assert_int_equal(get(w, ino, name, have.data, sizeof(have.data)),
			 want->len);
	assert_memory_equal(have.data, want->data, want->len);
}

static void an_access_acl_and_the_mode_keep_in_step(void **state)
{
	struct world *w = *state;
	uint64_t file = make(w, 1, "file", S_IFREG | 04644);
	struct acl_text acl = acl_of(6), plain;
	struct dynfs_attr a, in = { .mode = 0631 };

	assert_int_equal(set_acl(w, file, ACCESS, &acl), 0);
	assert_int_equal(attr_of(w, file).mode, S_IFREG | 04764);
	assert_int_equal(
	    w->fs->setattr(w->fs->ctx, file, DYNFS_SET_MODE, &in, &a), 0);
	put_le16(acl.data + 4 + 2, 6);
	put_le16(acl.data + 4 + 8 * 3 + 2, 3);
	put_le16(acl.data + 4 + 8 * 4 + 2, 1);
	has_acl(w, file, ACCESS, &acl);
	double_evict(w->files);
	has_acl(w, file, ACCESS, &acl);
	/* one that the mode says as well is not kept */
	acl_start(&plain);
	acl_add(&plain, OWNER, 6, 17);
	acl_add(&plain, GROUP_OF, 4, 18);
	acl_add(&plain, OTHER, 0, 19);
	assert_int_equal(set_acl(w, file, ACCESS, &plain), 0);
	assert_int_equal(attr_of(w, file).mode, S_IFREG | 0640);
	assert_int_equal(ask(w, file, ACCESS), -ENODATA);
	assert_int_equal(double_keys(w->meta, 'X'), 0);
}

static void a_default_acl_takes_the_place_of_the_umask(void **state)
{
	struct world *w = *state;
	const struct dynfs_caller who = { .uid = 4, .gid = 4, .umask = 077 };
	uint64_t dir = make(w, 1, "dir", S_IFDIR | 0755);
	struct acl_text acl = acl_of(7), born = acl_of(6);
	struct dynfs_attr a;

	assert_int_equal(set_acl(w, dir, DEFAULT, &acl), 0);
	assert_int_equal(attr_of(w, dir).mode, S_IFDIR | 0755);
	assert_int_equal(
	    w->fs->mknod(w->fs->ctx, dir, "f", S_IFREG | 0666, 0, &who, &a), 0);
	assert_int_equal(a.mode, S_IFREG | 0664);
	put_le16(born.data + 4 + 2, 6);
	has_acl(w, a.ino, ACCESS, &born);
	assert_int_equal(ask(w, a.ino, DEFAULT), -ENODATA);
	w->fs->forget(w->fs->ctx, a.ino, 1);
	assert_int_equal(w->fs->mkdir(w->fs->ctx, dir, "d", 0777, &who, &a), 0);
	assert_int_equal(a.mode, S_IFDIR | 0774);
	has_acl(w, a.ino, ACCESS, &acl);
	has_acl(w, a.ino, DEFAULT, &acl);
	w->fs->forget(w->fs->ctx, a.ino, 1);
	assert_int_equal(w->fs->symlink(w->fs->ctx, dir, "l", "to", &who, &a),
			 0);
	assert_int_equal(a.mode, S_IFLNK | 0777);
	assert_int_equal(ask(w, a.ino, ACCESS), -ENODATA);
	w->fs->forget(w->fs->ctx, a.ino, 1);
	/* without one it is the umask that counts */
	assert_int_equal(drop(w, dir, DEFAULT), 0);
	assert_int_equal(
	    w->fs->mknod(w->fs->ctx, dir, "g", S_IFREG | 0666, 0, &who, &a), 0);
	assert_int_equal(a.mode, S_IFREG | 0600);
	w->fs->forget(w->fs->ctx, a.ino, 1);
}

/* The entries of acl_of(7) in another order, some of them, or twice. */
static struct acl_text acl_from(const char *order)
{
	struct acl_text good = acl_of(7), a;

	acl_start(&a);
	for (const char *c = order; *c; c++) {
		memcpy(a.data + a.len, good.data + 4 + 8 * (*c - '0'), 8);
		a.len += 8;
	}
	return a;
}

static void acls_want_each_entry_in_its_place(void **state)
{
	static const char *const bad[] = {
		"1234",  "0134",  "0124",  "0123",  "0",     "00234", "02234",
		"02334", "02344", "10234", "02134", "01324", "43210",
	};
	static const char *const fine[] = { "01234", "011234", "0234", "024" };
	struct world *w = *state;
	uint64_t dir = make(w, 1, "dir", S_IFDIR | 0750);
	struct acl_text a;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		a = acl_from(bad[i]);
		assert_int_equal(set_acl(w, dir, DEFAULT, &a), -EINVAL);
		assert_int_equal(set_acl(w, dir, ACCESS, &a), -EINVAL);
	}
	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
		a = acl_from(fine[i]);
		assert_int_equal(set_acl(w, dir, DEFAULT, &a), 0);
		has_acl(w, dir, DEFAULT, &a);
	}
	a = acl_of(8);
	assert_int_equal(set_acl(w, dir, DEFAULT, &a), -EINVAL);
	a = acl_of(7);
	put_le32(a.data + 4 + 8 + 4, UINT32_MAX);
	assert_int_equal(set_acl(w, dir, DEFAULT, &a), -EINVAL);
	a = acl_of(7);
	put_le16(a.data + 4 + 8, 3);
	assert_int_equal(set_acl(w, dir, DEFAULT, &a), -EINVAL);
}

static void acls_that_are_none_are_refused(void **state)
{
	struct world *w = *state;
	uint64_t random = driver_seed();
	uint64_t file = make(w, 1, "file", S_IFREG | 0640);
	uint64_t dir = make(w, 1, "dir", S_IFDIR | 0750);
	struct acl_text good = acl_of(7), bad;
	struct dynfs_attr a;

	for (size_t len = 0; len < good.len; len++) {
		bad = good;
		bad.len = len;
		/* just the head is an ACL without entries: there is none */
		assert_int_equal(set_acl(w, file, ACCESS, &bad),
				 len == 4 ? 0 : -EINVAL);
	}
	bad = good;
	put_le32(bad.data, 1);
	assert_int_equal(set_acl(w, file, ACCESS, &bad), -EOPNOTSUPP);
	assert_int_equal(set_acl(w, file, DEFAULT, &good), -EACCES);
	assert_int_equal(attr_of(w, file).mode, S_IFREG | 0640);
	assert_int_equal(w->fs->symlink(w->fs->ctx, 1, "l", "to", &as_root, &a),
			 0);
	assert_int_equal(set_acl(w, a.ino, ACCESS, &good), -EOPNOTSUPP);
	w->fs->forget(w->fs->ctx, a.ino, 1);
	/* any other bytes: taken or not, what is kept is an ACL again */
	for (int i = 0; i < 20000; i++) {
		bad = good;
		for (uint64_t n = random_below(&random, 4); n; n--)
			bad.data[random_below(&random, bad.len)] =
			    (uint8_t)random_next(&random);
		if (set_acl(w, dir, DEFAULT, &bad) < 0)
			continue;
		if (get(w, dir, DEFAULT, bad.data, sizeof(bad.data)) > 4)
			assert_int_equal(set_acl(w, dir, DEFAULT, &bad), 0);
	}
}

static void a_damaged_acl_is_seen_and_can_be_taken_away(void **state)
{
	struct world *w = *state;
	uint64_t dir = make(w, 1, "dir", S_IFDIR | 0755);
	struct key key = key_xattr(dir, DEFAULT, strlen(DEFAULT));
	struct acl_text acl = acl_of(7);
	struct batch b;

	assert_int_equal(set_acl(w, dir, DEFAULT, &acl), 0);
	batch_init(&b);
	batch_put(&b, key.data, key.len, "\1\2\0\0\0\7\7", 7);
	assert_int_equal(meta_commit(w->meta, &b, NULL), 0);
	batch_done(&b);
	assert_int_equal(add(w, dir, "f"), -EUCLEAN);
	assert_int_equal(drop(w, dir, DEFAULT), 0);
	assert_int_equal(add(w, dir, "f"), 0);
}

static unsigned asked; /* times that in_nine() was */

static int in_nine(const struct dynfs_caller *who, uint32_t gid)
{
	(void)who;
	asked++;
	return gid == 9;
}

static void set_gid_stays_with_who_could_have_set_it(void **state)
{
	struct world *w = *state;
	const struct dynfs_caller alone = { .uid = 4, .gid = 4 };
	const struct dynfs_caller member = { .uid = 4,
					     .gid = 4,
					     .in_group = in_nine };
	uint64_t file = make(w, 1, "file", S_IFREG | 02755);
	struct dynfs_attr a, in = { .uid = 4, .gid = 9, .mode = 02755 };
	struct acl_text acl = acl_of(5);

	for (int i = 0; i < 3; i++) {
		assert_int_equal(w->fs->setattr(w->fs->ctx, file,
						DYNFS_SET_MODE | DYNFS_SET_UID |
						    DYNFS_SET_GID,
						&in, &a),
				 0);
		assert_int_equal(set_as(w, file, ACCESS, acl.data, acl.len,
					i == 0   ? &alone
					: i == 1 ? &member
						 : &as_root),
				 0);
		assert_int_equal(attr_of(w, file).mode & S_ISGID,
				 i == 0 ? 0 : S_ISGID);
	}
}

/* ---- names for policy -------------------------------------------------- */

static void a_policy_is_set_by_name_and_inherited_at_birth(void **state)
{
	struct world *w = *state;
	uint64_t old = make(w, 1, "old", S_IFREG | 0644);
	uint64_t dir = make(w, 1, "dir", S_IFDIR | 0755), sub, file;
	struct dynfs_attr before = attr_of(w, dir);

	says(w, dir, POLICY ".effective", "two");
	assert_int_equal(ask(w, dir, POLICY), -ENODATA);
	assert_int_equal(drop(w, dir, POLICY), -ENODATA);
	double_advance(w->files, 1);
	assert_int_equal(set(w, dir, POLICY, "one"), 0);
	assert_true(later(attr_of(w, dir).ctime, before.ctime));
	says(w, dir, POLICY, "one");
	says(w, dir, POLICY ".effective", "one");
	sub = make(w, dir, "sub", S_IFDIR | 0755);
	file = make(w, sub, "file", S_IFREG | 0644);
	says(w, file, POLICY ".effective", "one");
	assert_int_equal(ask(w, file, POLICY), -ENODATA);
	/* not by a move, in neither direction */
	assert_int_equal(
	    w->fs->rename(w->fs->ctx, 1, "old", sub, "old", 0, NULL), 0);
	says(w, old, POLICY ".effective", "two");
	assert_int_equal(
	    w->fs->rename(w->fs->ctx, sub, "file", 1, "file", 0, NULL), 0);
	double_evict(w->files);
	says(w, file, POLICY ".effective", "one");
	/* and not by a later change above */
	assert_int_equal(set(w, dir, POLICY, "two"), 0);
	says(w, sub, POLICY ".effective", "one");
	/* taken away: as if it had been made now, where it is */
	assert_int_equal(set(w, old, POLICY, "two"), 0);
	assert_int_equal(drop(w, old, POLICY), 0);
	assert_int_equal(ask(w, old, POLICY), -ENODATA);
	says(w, old, POLICY ".effective", "one");
	assert_int_equal(drop(w, dir, POLICY), 0);
	says(w, dir, POLICY ".effective", "two");
}

static void own_names_are_never_listed_nor_taken_for_others(void **state)
{
	struct world *w = *state;
	uint64_t file = make(w, 1, "file", S_IFREG | 0644);
	uint64_t fifo = make(w, 1, "fifo", S_IFIFO | 0644);

	assert_int_equal(set(w, file, POLICY, "one"), 0);
	assert_int_equal(listed(w, file, &as_root), 0);
	assert_int_equal(double_keys(w->meta, 'X'), 0);
	assert_int_equal(set(w, file, POLICY ".effective", "one"), -EPERM);
	assert_int_equal(set(w, file, "user.dynfs.extents", "one"), -EPERM);
	assert_int_equal(drop(w, file, POLICY ".effective"), -EPERM);
	assert_int_equal(drop(w, file, "user.dynfs.extents"), -EPERM);
	assert_int_equal(set(w, file, "user.dynfs.pin", "one"), -EINVAL);
	assert_int_equal(set(w, file, "user.dynfs.", "one"), -EINVAL);
	assert_int_equal(ask(w, file, "user.dynfs.pin"), -ENODATA);
	assert_int_equal(drop(w, file, "user.dynfs.pin"), -ENODATA);
	assert_int_equal(set(w, file, "user.dynfsx", "one"), 0);
	assert_int_equal(set(w, fifo, POLICY, "one"), -EPERM);
	assert_int_equal(ask(w, fifo, POLICY ".effective"), -ENODATA);
	assert_int_equal(ask(w, fifo, "user.dynfs.extents"), -ENODATA);
}

static void policies_that_can_not_be_are_refused(void **state)
{
	struct world *w = *state;
	uint64_t file = make(w, 1, "file", S_IFREG | 0644);
	char longest[200];

	memset(longest, 'x', sizeof(longest));
	assert_int_equal(set(w, file, POLICY, "four"), -EINVAL);
	assert_int_equal(set(w, file, POLICY, ""), -EINVAL);
	assert_int_equal(set(w, file, POLICY, "auto"), -EINVAL);
	assert_int_equal(set_as(w, file, POLICY, "one\0", 4, &as_root),
			 -EINVAL);
	assert_int_equal(set_as(w, file, POLICY, longest, 200, &as_root),
			 -EINVAL);
	assert_int_equal(set(w, file, POLICY, "six"), -ENOSPC);
	assert_int_equal(ask(w, file, POLICY), -ENODATA);
	assert_int_equal(w->fs->setxattr(w->fs->ctx, file, POLICY, "one", 3,
					 DYNFS_XATTR_REPLACE, &as_root),
			 -ENODATA);
	assert_int_equal(w->fs->setxattr(w->fs->ctx, file, POLICY, "one", 3,
					 DYNFS_XATTR_CREATE, &as_root),
			 0);
	assert_int_equal(w->fs->setxattr(w->fs->ctx, file, POLICY, "one", 3,
					 DYNFS_XATTR_CREATE, &as_root),
			 -EEXIST);
	says(w, file, POLICY, "one");
}

static void dear_policies_are_for_those_who_may(void **state)
{
	struct world *w = *state;
	const struct dynfs_caller who[] = {
		{ .uid = 4, .gid = 4 },
		{ .uid = 8, .gid = 7 },
		{ .uid = 4, .gid = 4, .in_group = in_nine },
		{ .uid = 7, .gid = 4 },
		{ .uid = 4, .gid = 8 },
	};
	uint64_t file = make(w, 1, "file", S_IFREG | 0644);
	struct tree_policy p;
	struct inode *in;

	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(set_as(w, file, POLICY, "three", 5, &who[i]),
				 i < 3 ? -EPERM : 0);
		/* what costs no more is everybody's */
		assert_int_equal(set_as(w, file, POLICY, "one", 3, &who[i]), 0);
		assert_int_equal(set_as(w, file, POLICY, "two", 3, &who[i]), 0);
	}
	assert_int_equal(set(w, file, POLICY, "three"), 0);
	assert_int_equal(inode_get(w->files, file, &in), 0);
	assert_int_equal(tree_policy_get(in, &p), 0);
	assert_string_equal(p.name, "three");
	assert_string_equal(p.spec, "replica:3");
	assert_true(p.by_hand);
	assert_int_equal(in->rec.policy, DOUBLE_POLICY_THREE);
	inode_put(in);
}

static void groups_are_asked_only_where_they_decide(void **state)
{
	struct world *w = *state;
	const struct dynfs_caller who = { .uid = 4,
					  .gid = 4,
					  .in_group = in_nine };
	uint64_t file = make(w, 1, "file", S_IFREG | 0644);
	struct dynfs_attr a;

	asked = 0;
	assert_int_equal(set_as(w, file, "user.x", "", 0, &who), 0);
	assert_int_equal(set_as(w, file, POLICY, "one", 3, &who), 0);
	assert_int_equal(
	    w->fs->mknod(w->fs->ctx, 1, "f", S_IFREG | 0666, 0, &who, &a), 0);
	w->fs->forget(w->fs->ctx, a.ino, 1);
	assert_int_equal(asked, 0);
	assert_int_equal(set_as(w, file, POLICY, "three", 5, &who), -EPERM);
	assert_int_equal(asked, 1);
}

static void extents_are_counted_by_health(void **state)
{
	struct world *w = *state;
	uint64_t file = make(w, 1, "file", S_IFREG | 0644);

	says(w, file, "user.dynfs.extents",
	     "extents=3 inline=2 disks=2,7,9,11 whole=1 degraded=1 lost=1 "
	     "more=0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_WORLD(names_and_values_keep_to_their_limits),
		WITH_WORLD(all_of_an_inode_together_has_a_limit),
		WITH_WORLD(types_and_callers_see_what_is_theirs),
		WITH_WORLD(what_is_absent_is_not_looked_for),
		WITH_WORLD(a_record_that_does_not_say_is_found_out_once),
		WITH_WORLD(no_acl_costs_nothing_at_a_create),
		WITH_WORLD(an_access_acl_and_the_mode_keep_in_step),
		WITH_WORLD(a_default_acl_takes_the_place_of_the_umask),
		WITH_WORLD(acls_want_each_entry_in_its_place),
		WITH_WORLD(acls_that_are_none_are_refused),
		WITH_WORLD(a_damaged_acl_is_seen_and_can_be_taken_away),
		WITH_WORLD(set_gid_stays_with_who_could_have_set_it),
		WITH_WORLD(a_policy_is_set_by_name_and_inherited_at_birth),
		WITH_WORLD(own_names_are_never_listed_nor_taken_for_others),
		WITH_WORLD(policies_that_can_not_be_are_refused),
		WITH_WORLD(dear_policies_are_for_those_who_may),
		WITH_WORLD(groups_are_asked_only_where_they_decide),
		WITH_WORLD(extents_are_counted_by_health),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
