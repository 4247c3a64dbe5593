/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes: one key each, below the inode.
 *
 * The kernel asks for security.capability before every write(2), so what is
 * not there is remembered on the inode while it is in memory: that it has no
 * attributes at all (nearly every file), or not this one.  A mark is made
 * under the inode's lock and taken back by the operation that makes it untrue,
 * under that lock and before its commit; a reader of the mark needs no lock.
 *
 * POSIX ACLs are refused, not kept: nothing would enforce them, and who sets
 * one means it.  Names below user.dynfs. are the file system's own.
 */
#include <tree/private.h>

#include <errno.h>
#include <string.h>

#define OWN_PREFIX "user.dynfs."
#define ACL_PREFIX "system.posix_acl_"
#define CAPABILITY "security.capability"
#define VERSION    1u

static bool begins(const char *name, const char *prefix)
{
	return strncmp(name, prefix, strlen(prefix)) == 0;
}

/* 0: dynfs keeps attributes of that name. */
static int xattr_check(const char *name)
{
	static const char *const spaces[] = { "user.", "trusted.", "security.",
					      "system." };
	size_t len = strnlen(name, DYNFS_NAME_MAX + 1);

	if (!len || len > DYNFS_NAME_MAX)
		return -ERANGE;
	if (begins(name, OWN_PREFIX) || begins(name, ACL_PREFIX))
		return -EOPNOTSUPP;
	for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++)
		if (begins(name, spaces[i]) && name[strlen(spaces[i])])
			return 0;
	return -EOPNOTSUPP;
}

static int xattr_load(const struct tree *t, const struct inode *in,
		      const char *name, struct buf *ret)
{
	struct key key = key_xattr(in->ino, name, strlen(name));
	int r = meta_get(t->meta, key.data, key.len, ret);

	if (r < 0)
		return r == -ENOENT ? -ENODATA : r;
	return ret->len && ret->data[0] == VERSION ? 0 : -EUCLEAN;
}

struct listing {
	size_t prefix; /* of the key */
	char *to;
	size_t room, len;
	bool any;
};

static int list_row(void *ctx, const void *key, size_t key_len,
		    const void *value, size_t value_len)
{
	struct listing *l = ctx;
	size_t n = key_len - l->prefix;

	(void)value;
	(void)value_len;
	l->any = true;
	if (l->room && l->len + n + 1 > l->room)
		return -ERANGE;
	if (l->room) {
		memcpy(l->to + l->len, (const char *)key + l->prefix, n);
		l->to[l->len + n] = 0;
	}
	l->len += n + 1;
	return 0;
}

static int list_names(const struct tree *t, const struct inode *in, char *to,
		      size_t room, size_t *ret_len)
{
	struct key from = key_xattr_ino(in->ino);
	struct listing l = { .prefix = from.len, .to = to, .room = room };
	int r = meta_scan(t->meta, from.data, from.len, NULL, 0, list_row, &l);

	if (!r)
		*ret_len = l.len;
	return r;
}

/* It has no capability, it seemed: does it have anything? */
static void mark_absent(const struct tree *t, struct inode *in)
{
	AUTOLOCK(&in->lock);
	AUTOBUF struct buf value = BUF_INIT;
	size_t len = 0;

	if (list_names(t, in, NULL, 0, &len) < 0)
		return;
	if (!len)
		atomic_fetch_or(&in->marks, MARK_NO_XATTR | MARK_NO_CAPS);
	else if (xattr_load(t, in, CAPABILITY, &value) == -ENODATA)
		atomic_fetch_or(&in->marks, MARK_NO_CAPS);
}

static bool known_absent(struct inode *in, const char *name)
{
	unsigned marks = atomic_load(&in->marks);

	return (marks & MARK_NO_XATTR) ||
	       ((marks & MARK_NO_CAPS) && !strcmp(name, CAPABILITY));
}

int view_getxattr(void *ctx, uint64_t ino, const char *name, void *value,
		  size_t len, size_t *ret_len)
{
	const struct tree *t = ctx;
	AUTOINODE struct inode *in = NULL;
	AUTOBUF struct buf buf = BUF_INIT;
	int r = xattr_check(name);

	if (r < 0)
		return begins(name, OWN_PREFIX) ? -ENODATA : r;
	r = inode_get(t->files, ino, &in);
	if (r < 0)
		return r;
	if (known_absent(in, name))
		return -ENODATA;
	r = xattr_load(t, in, name, &buf);
	if (r == -ENODATA && !strcmp(name, CAPABILITY))
		mark_absent(t, in);
	if (r < 0)
		return r;
	if (len && len < buf.len - 1)
		return -ERANGE;
	if (len)
		memcpy(value, buf.data + 1, buf.len - 1);
	*ret_len = buf.len - 1;
	return 0;
}

int view_listxattr(void *ctx, uint64_t ino, char *list, size_t len,
		   size_t *ret_len)
{
	const struct tree *t = ctx;
	AUTOINODE struct inode *in = NULL;
	int r = inode_get(t->files, ino, &in);

	if (r < 0)
		return r;
	if (atomic_load(&in->marks) & MARK_NO_XATTR) {
		*ret_len = 0;
		return 0;
	}
	return list_names(t, in, list, len, ret_len);
}

/* Locked.  Is there room for one more name, do the flags allow it? */
static int set_check(const struct tree *t, const struct inode *in,
		     const char *name, uint32_t flags)
{
	AUTOBUF struct buf old = BUF_INIT;
	size_t len = 0;
	int r = xattr_load(t, in, name, &old);

	if (r < 0 && r != -ENODATA)
		return r;
	if (!r)
		return flags & DYNFS_XATTR_CREATE ? -EEXIST : 0;
	if (flags & DYNFS_XATTR_REPLACE)
		return -ENODATA;
	r = list_names(t, in, NULL, 0, &len);
	if (r < 0)
		return r;
	return len + strlen(name) + 1 > XATTR_LIST ? -ENOSPC : 0;
}

static int set_locked(struct op *op, struct inode *in, const char *name,
		      const void *value, size_t len)
{
	struct key key = key_xattr(in->ino, name, strlen(name));
	AUTOBUF struct buf buf = BUF_INIT;

	buf_put8(&buf, VERSION);
	buf_put(&buf, value, len);
	if (buf_error(&buf))
		return buf_error(&buf);
	batch_put(&op->batch, key.data, key.len, buf.data, buf.len);
	op_change(op, in)->ctime = op->now;
	atomic_fetch_and(&in->marks, ~(MARK_NO_XATTR | MARK_NO_CAPS));
	return op_commit(op);
}

int view_setxattr(void *ctx, uint64_t ino, const char *name, const void *value,
		  size_t len, uint32_t flags)
{
	struct tree *t = ctx;
	AUTOINODE struct inode *in = NULL;
	AUTOOP struct op op = { .n = 0 };
	int r = tree_admit(t);

	if (!r)
		r = xattr_check(name);
	if (!r && (flags & ~(DYNFS_XATTR_CREATE | DYNFS_XATTR_REPLACE)))
		r = -EINVAL;
	if (!r && len > XATTR_VALUE)
		r = -E2BIG;
	if (!r)
		r = tree_room_check(t);
	if (!r)
		r = inode_get(t->files, ino, &in);
	if (r < 0)
		return r;
	op_begin(&op, t, &in, 1);
	r = inode_there(in);
	if (!r)
		r = set_check(t, in, name, flags);
	return r < 0 ? r : set_locked(&op, in, name, value, len);
}

int view_removexattr(void *ctx, uint64_t ino, const char *name)
{
	struct tree *t = ctx;
	AUTOINODE struct inode *in = NULL;
	AUTOOP struct op op = { .n = 0 };
	AUTOBUF struct buf old = BUF_INIT;
	struct key key;
	int r = tree_admit(t);

	if (!r)
		r = xattr_check(name);
	if (r == -EOPNOTSUPP && begins(name, OWN_PREFIX))
		r = -ENODATA;
	if (!r)
		r = inode_get(t->files, ino, &in);
	if (r < 0)
		return r;
	op_begin(&op, t, &in, 1);
	r = inode_there(in);
	if (!r)
		r = xattr_load(t, in, name, &old);
	if (r == -ENODATA || (r < 0 && r != -EUCLEAN))
		return r;
	key = key_xattr(ino, name, strlen(name));
	batch_delete(&op.batch, key.data, key.len);
	op_change(&op, in)->ctime = op.now;
	return op_commit(&op);
}
