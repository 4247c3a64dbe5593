/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All inodes into one sorted array, then one walk over each other kind of
 * record, counting into it.
 */
#include "check.h"

#include <base/le.h>
#include <meta/keys.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define N_IDS 16u /* uids and gids of tests are below */

struct seen {
	uint64_t ino, parent, stored;
	uint32_t mode, nlink, uid, gid;
	uint32_t names, parents, subdirs;
	bool intent, plain;
};

struct check {
	struct meta *m;
	struct seen *of;
	size_t n;
	uint64_t dir, last_cookie; /* of the entry before */
	bool last_dead;
};

static int add_inode(void *ctx, const void *key, size_t key_len,
		     const void *value, size_t value_len)
{
	struct check *c = (struct check *)ctx;
	struct inode_rec r;
	uint64_t ino;

	assert_int_equal(key_parse_inode(key, key_len, &ino), 0);
	assert_int_equal(inode_rec_get(value, value_len, &r), 0);
	c->of = (struct seen *)realloc(c->of, (c->n + 1) * sizeof(*c->of));
	assert_non_null(c->of);
	c->of[c->n++] = (struct seen){ .ino = ino,
				       .parent = r.parent,
				       .stored = r.stored,
				       .mode = r.mode,
				       .nlink = r.nlink,
				       .uid = r.uid,
				       .gid = r.gid,
				       .plain = r.flags & INODE_PLAIN };
	return 0;
}

static struct seen *find(const struct check *c, uint64_t ino)
{
	size_t from = 0, to = c->n;

	while (from < to) {
		size_t mid = (from + to) / 2;

		if (c->of[mid].ino < ino)
			from = mid + 1;
		else
			to = mid;
	}
	if (from == c->n || c->of[from].ino != ino)
		fail_msg("inode %llu has no record", (unsigned long long)ino);
	return &c->of[from];
}

static void check_chain(struct check *c, uint64_t dir, uint64_t cookie,
			bool dead)
{
	bool goes_on =
	    dir == c->dir && cookie == c->last_cookie + 1 && (cookie & 255);

	if (c->last_dead)
		assert_true(goes_on);
	if (cookie & 255)
		assert_true(goes_on);
	assert_true(cookie >= 256);
	c->dir = dir;
	c->last_cookie = cookie;
	c->last_dead = dead;
}

static int add_entry(void *ctx, const void *key, size_t key_len,
		     const void *value, size_t value_len)
{
	struct check *c = (struct check *)ctx;
	struct dirent_rec e;
	uint64_t dir, cookie;
	struct buf nothing = BUF_INIT;
	struct key back;
	struct seen *in;

	assert_int_equal(key_parse_dirent(key, key_len, &dir, &cookie), 0);
	assert_int_equal(dirent_rec_get(value, value_len, &e), 0);
	check_chain(c, dir, cookie, e.dead);
	if (e.dead)
		return 0;
	in = find(c, e.ino);
	in->names++;
	assert_int_equal(in->mode >> 12, e.type);
	assert_true(S_ISDIR(find(c, dir)->mode));
	assert_true(find(c, dir)->nlink > 0);
	if (S_ISDIR(in->mode)) {
		find(c, dir)->subdirs++;
		assert_int_equal(in->parent, dir);
	}
	back = key_parent(e.ino, dir, cookie);
	assert_int_equal(meta_get(c->m, back.data, back.len, &nothing), 0);
	buf_done(&nothing);
	return 0;
}

static int add_parent(void *ctx, const void *key, size_t key_len,
		      const void *value, size_t value_len)
{
	struct check *c = (struct check *)ctx;
	uint64_t ino, parent, cookie;

	(void)value;
	(void)value_len;
	assert_int_equal(key_parse_parent(key, key_len, &ino, &parent, &cookie),
			 0);
	find(c, ino)->parents++;
	return 0;
}

static int add_intent(void *ctx, const void *key, size_t key_len,
		      const void *value, size_t value_len)
{
	struct check *c = (struct check *)ctx;
	uint64_t ino;
	uint8_t kind;

	(void)value;
	(void)value_len;
	assert_int_equal(key_parse_intent(key, key_len, &ino, &kind), 0);
	if (kind == INTENT_REMOVE)
		find(c, ino)->intent = true;
	return 0;
}

/* The group bits of the mode are the mask, where there is an access ACL. */
static void check_acl(const struct seen *in, const uint8_t *acl, size_t len)
{
	bool mask = false;

	assert_true(len > 4 && (len - 4) % 8 == 0);
	for (const uint8_t *e = acl + 4; e < acl + len; e += 8)
		if (get_le16(e) == 0x10) {
			assert_int_equal(get_le16(e + 2), in->mode >> 3 & 7);
			mask = true;
		}
	assert_true(mask);
}

static int add_xattr(void *ctx, const void *key, size_t key_len,
		     const void *value, size_t value_len)
{
	static const char access[] = "system.posix_acl_access";
	struct check *c = (struct check *)ctx;
	const char *name = (const char *)key + 13;
	struct rd rd = rd_of(key, key_len);
	const struct seen *in;

	(void)rd_bytes(&rd, 5);
	in = find(c, rd64be(&rd));
	assert_int_equal(rd_error(&rd), 0);
	assert_false(in->plain);
	if (key_len - 13 == strlen(access) &&
	    memcmp(name, access, strlen(access)) == 0)
		check_acl(in, (const uint8_t *)value + 1, value_len - 1);
	return 0;
}

static void check_inode(const struct check *c, const struct seen *in)
{
	const struct seen *up = in;

	assert_int_equal(in->names, in->parents);
	if (!in->nlink) {
		assert_int_equal(in->names, 0);
		assert_true(in->intent);
		return;
	}
	assert_false(in->intent);
	if (!S_ISDIR(in->mode)) {
		assert_int_equal(in->nlink, in->names);
		return;
	}
	assert_int_equal(in->names, in->ino == DYNFS_ROOT_INO ? 0 : 1);
	assert_int_equal(in->nlink, 2 + in->subdirs);
	for (size_t i = 0; up->ino != DYNFS_ROOT_INO; i++) {
		assert_true(i <= c->n);
		up = find(c, up->parent);
		assert_true(up->nlink > 0);
	}
}

static void check_usage(const struct check *c, uint8_t kind, uint32_t id)
{
	struct key key = key_usage(kind, id);
	struct usage_rec u = { 0, 0 };
	struct buf value = BUF_INIT;
	uint64_t inodes = 0, bytes = 0;

	for (size_t i = 0; i < c->n; i++) {
		uint32_t owner = kind == USAGE_UID   ? c->of[i].uid
				 : kind == USAGE_GID ? c->of[i].gid
						     : 0;

		assert_true(owner < N_IDS);
		if (owner != id)
			continue;
		inodes++;
		bytes += c->of[i].stored;
	}
	if (meta_get(c->m, key.data, key.len, &value) == 0)
		assert_int_equal(usage_rec_get(value.data, value.len, &u), 0);
	assert_int_equal(u.inodes, inodes);
	assert_int_equal(u.bytes, bytes);
	buf_done(&value);
}

static void scan(struct check *c, char kind,
		 int (*each)(void *, const void *, size_t, const void *,
			     size_t))
{
	struct key all = key_kind(kind);

	assert_int_equal(meta_scan(c->m, all.data, all.len, NULL, 0, each, c),
			 0);
}

void check_names(struct meta *m)
{
	struct check c = { .m = m };

	scan(&c, 'I', add_inode);
	scan(&c, 'D', add_entry);
	assert_false(c.last_dead);
	scan(&c, 'P', add_parent);
	scan(&c, 'O', add_intent);
	scan(&c, 'X', add_xattr);
	for (size_t i = 0; i < c.n; i++)
		check_inode(&c, &c.of[i]);
	for (uint32_t id = 0; id < N_IDS; id++) {
		check_usage(&c, USAGE_UID, id);
		check_usage(&c, USAGE_GID, id);
	}
	check_usage(&c, USAGE_PROJECT, 0);
	free(c.of);
}
