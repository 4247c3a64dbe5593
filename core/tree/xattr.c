/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes: one key each, below the inode.
 *
 * Nearly no file has any, and all are asked: before a file is first written
 * the kernel wants security.capability, and ls(1) the ACL of each that it
 * lists.  So the record of an inode says when it has none (INODE_PLAIN), and
 * while it is in memory it is remembered which of these it has not.  Such a
 * mark is made under the inode's lock and taken back by the operation that
 * makes it untrue, under that lock and before its commit; a reader of the mark
 * needs no lock.
 *
 * Names below user.dynfs. are the file system's own (policy.c), and ACLs mean
 * something (acl.c); the rest is kept as it comes.
 */
#include <tree/private.h>

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define CAPABILITY "security.capability"
#define TRUSTED    "trusted."
#define VERSION    1u

static bool begins(const char *name, const char *prefix)
{
	return strncmp(name, prefix, strlen(prefix)) == 0;
}

enum xattr_kind { XATTR_KEPT, XATTR_ACL, XATTR_OWN };

/* 0: an attribute of that name may exist. */
static int xattr_kind(const char *name, enum xattr_kind *ret)
{
	static const char *const spaces[] = { "user.", TRUSTED, "security." };
	size_t len = strnlen(name, DYNFS_NAME_MAX + 1);

	if (!len || len > DYNFS_NAME_MAX)
		return -ERANGE;
	if (!strcmp(name, XATTR_ACL_ACCESS) ||
	    !strcmp(name, XATTR_ACL_DEFAULT)) {
		*ret = XATTR_ACL;
		return 0;
	}
	*ret = begins(name, XATTR_OWN_PREFIX) ? XATTR_OWN : XATTR_KEPT;
	for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++)
		if (begins(name, spaces[i]))
			return name[strlen(spaces[i])] ? 0 : -EINVAL;
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

/* ---- what is there ----------------------------------------------------- */

struct listing {
	size_t prefix; /* of the key */
	const char *but;
	bool trusted; /* those too */
	char *to;
	size_t room, len; /* len: of the names that are listed */
	size_t bytes;     /* of names and values */
	bool found, any;  /* but, others */
};

static int list_row(void *ctx, const void *key, size_t key_len,
		    const void *value, size_t value_len)
{
	struct listing *l = ctx;
	const char *name = (const char *)key + l->prefix;
	size_t n = key_len - l->prefix;

	(void)value;
	if (l->but && n == strlen(l->but) && memcmp(name, l->but, n) == 0) {
		l->found = true;
		return 0;
	}
	l->any = true;
	l->bytes += n + value_len;
	if (!l->trusted && n > strlen(TRUSTED) &&
	    memcmp(name, TRUSTED, strlen(TRUSTED)) == 0)
		return 0;
	if (l->room && l->len + n + 1 > l->room)
		return -ERANGE;
	if (l->room) {
		memcpy(l->to + l->len, name, n);
		l->to[l->len + n] = 0;
	}
	l->len += n + 1;
	return 0;
}

static int list_all(const struct tree *t, const struct inode *in,
		    struct listing *l)
{
	struct key from = key_xattr_ino(in->ino);

	l->prefix = from.len;
	return meta_scan(t->meta, from.data, from.len, NULL, 0, list_row, l);
}

/* ---- what is not ------------------------------------------------------- */

/* The mark for what is asked for often. */
static unsigned mark_of(const char *name)
{
	if (!strcmp(name, CAPABILITY))
		return MARK_NO_CAPS;
	if (!strcmp(name, XATTR_ACL_ACCESS))
		return MARK_NO_ACL;
	return !strcmp(name, XATTR_ACL_DEFAULT) ? MARK_NO_DEFAULT : 0;
}

/* Locked. */
static bool absent_locked(struct inode *in, const char *name)
{
	if (in->rec.flags & INODE_PLAIN)
		atomic_fetch_or(&in->marks, MARK_NO_XATTR);
	return atomic_load(&in->marks) & (MARK_NO_XATTR | mark_of(name));
}

static bool known_absent(struct inode *in, const char *name)
{
	if (atomic_load(&in->marks) & (MARK_NO_XATTR | mark_of(name)))
		return true;
	AUTOLOCK(&in->lock);
	return absent_locked(in, name);
}

/* Locked.  It was not there; is anything?  The record says so from now on. */
static void mark_absent(const struct tree *t, struct inode *in,
			const char *name)
{
	struct listing l = { .but = name };

	if (!mark_of(name) || list_all(t, in, &l) < 0 || l.found)
		return;
	atomic_fetch_or(&in->marks, mark_of(name));
	if (!l.any)
		in->rec.flags |= INODE_PLAIN;
}

int xattr_find(const struct tree *t, struct inode *in, const char *name,
	       struct buf *ret)
{
	int r;

	if (absent_locked(in, name))
		return -ENODATA;
	r = xattr_load(t, in, name, ret);
	if (r == -ENODATA)
		mark_absent(t, in, name);
	return r;
}

/* ---- the view: reading ------------------------------------------------- */

/* The same as xattr_find(), but locked only to remember. */
static int get_kept(const struct tree *t, struct inode *in, const char *name,
		    struct buf *ret)
{
	int r;

	if (known_absent(in, name))
		return -ENODATA;
	r = xattr_load(t, in, name, ret);
	if (r == -ENODATA && mark_of(name)) {
		AUTOLOCK(&in->lock);
		mark_absent(t, in, name);
	}
	return r;
}

static int give(const void *from, size_t n, void *value, size_t len,
		size_t *ret_len)
{
	if (len && len < n)
		return -ERANGE;
	if (len && n)
		memcpy(value, from, n);
	*ret_len = n;
	return 0;
}

int view_getxattr(void *ctx, uint64_t ino, const char *name, void *value,
		  size_t len, size_t *ret_len)
{
	struct tree *t = ctx;
	AUTOINODE struct inode *in = NULL;
	AUTOBUF struct buf buf = BUF_INIT;
	enum xattr_kind kind = XATTR_KEPT;
	int r = xattr_kind(name, &kind);

	if (!r)
		r = inode_get(t->files, ino, &in);
	if (r < 0)
		return r;
	if (kind == XATTR_OWN) {
		r = own_get(t, in, name, &buf);
		return r < 0 ? r : give(buf.data, buf.len, value, len, ret_len);
	}
	r = get_kept(t, in, name, &buf);
	return r < 0 ? r : give(buf.data + 1, buf.len - 1, value, len, ret_len);
}

int view_listxattr(void *ctx, uint64_t ino, char *list, size_t len,
		   const struct dynfs_caller *who, size_t *ret_len)
{
	const struct tree *t = ctx;
	AUTOINODE struct inode *in = NULL;
	struct listing l = { .to = list, .room = len, .trusted = !who->uid };
	int r = inode_get(t->files, ino, &in);

	if (r < 0)
		return r;
	if (!known_absent(in, ""))
		r = list_all(t, in, &l);
	if (!r)
		*ret_len = l.len;
	return r;
}

/* ---- changes, in an operation, locked ---------------------------------- */

void xattr_row(struct op *op, struct inode *in, const char *name,
	       const struct buf *value)
{
	struct key key = key_xattr(in->ino, name, strlen(name));

	batch_put(&op->batch, key.data, key.len, value->data, value->len);
	op_change(op, in)->flags &= (uint8_t)~INODE_PLAIN;
	atomic_fetch_and(&in->marks, ~(MARK_NO_XATTR | MARK_NO_CAPS |
				       MARK_NO_ACL | MARK_NO_DEFAULT));
}

int xattr_drop(struct op *op, struct inode *in, const char *name)
{
	struct key key = key_xattr(in->ino, name, strlen(name));
	struct listing l = { .but = name };
	int r = in->rec.flags & INODE_PLAIN ? 0 : list_all(op->t, in, &l);

	if (r < 0 || !l.found)
		return r < 0 ? r : -ENODATA;
	batch_delete(&op->batch, key.data, key.len);
	if (!l.any)
		op_change(op, in)->flags |= INODE_PLAIN;
	return 0;
}

/* Do the flags allow it, is there room for it beside the others? */
static int set_check(const struct tree *t, const struct inode *in,
		     const char *name, size_t len, uint32_t flags)
{
	struct listing l = { .but = name, .trusted = true };
	size_t n = strlen(name);
	int r = in->rec.flags & INODE_PLAIN ? 0 : list_all(t, in, &l);

	if (r < 0)
		return r;
	if (l.found && (flags & DYNFS_XATTR_CREATE))
		return -EEXIST;
	if (!l.found && (flags & DYNFS_XATTR_REPLACE))
		return -ENODATA;
	return l.len + n + 1 > XATTR_LIST || l.bytes + n + len > XATTR_TOTAL
		   ? -ENOSPC
		   : 0;
}

/* What only some inodes may have. */
static int type_check(const struct inode *in, const char *name)
{
	if (begins(name, "user.") && !S_ISREG(in->rec.mode) &&
	    !S_ISDIR(in->rec.mode))
		return -EPERM;
	return 0;
}

struct setting {
	const char *name;
	enum xattr_kind kind;
	struct buf *value; /* as a row */
	uint32_t flags;
	const struct dynfs_caller *who;
};

static int set_locked(struct op *op, struct inode *in, const struct setting *s)
{
	int r = inode_there(in);

	if (!r)
		r = type_check(in, s->name);
	if (!r && s->kind == XATTR_ACL)
		r = acl_check(in, s->name, s->value);
	if (!r)
		r = set_check(op->t, in, s->name, s->value->len, s->flags);
	if (r < 0)
		return r;
	op_change(op, in)->ctime = op->now;
	if (s->kind == XATTR_ACL)
		r = acl_set(op, in, s->name, s->value, s->who);
	else
		xattr_row(op, in, s->name, s->value);
	return r < 0 ? r : op_commit(op);
}

static int set_found(struct tree *t, struct inode *in, const struct setting *s)
{
	AUTOOP struct op op;

	op_begin(&op, t, &in, 1);
	return set_locked(&op, in, s);
}

int view_setxattr(void *ctx, uint64_t ino, const char *name, const void *value,
		  size_t len, uint32_t flags, const struct dynfs_caller *who)
{
	struct tree *t = ctx;
	AUTOINODE struct inode *in = NULL;
	AUTOBUF struct buf buf = BUF_INIT;
	struct setting s = {
		.name = name, .value = &buf, .flags = flags, .who = who
	};
	int r = tree_admit(t);

	if (!r)
		r = xattr_kind(name, &s.kind);
	if (!r && (flags & ~(DYNFS_XATTR_CREATE | DYNFS_XATTR_REPLACE)))
		r = -EINVAL;
	if (!r && len > XATTR_VALUE)
		r = -E2BIG;
	if (!r && s.kind != XATTR_OWN)
		r = tree_room_check(t);
	if (!r)
		r = inode_get(t->files, ino, &in);
	if (r < 0)
		return r;
	if (s.kind == XATTR_OWN)
		return own_set(t, in, name, value, len, flags, who);
	buf_put8(&buf, VERSION);
	buf_put(&buf, value, len);
	r = buf_error(&buf);
	return r < 0 ? r : set_found(t, in, &s);
}

int view_removexattr(void *ctx, uint64_t ino, const char *name)
{
	struct tree *t = ctx;
	AUTOINODE struct inode *in = NULL;
	AUTOOP struct op op = { .n = 0 };
	enum xattr_kind kind = XATTR_KEPT;
	int r = tree_admit(t);

	if (!r)
		r = xattr_kind(name, &kind);
	if (!r)
		r = inode_get(t->files, ino, &in);
	if (r < 0)
		return r;
	if (kind == XATTR_OWN)
		return own_remove(t, in, name);
	op_begin(&op, t, &in, 1);
	r = inode_there(in);
	if (!r)
		r = xattr_drop(&op, in, name);
	if (r == -ENODATA && kind == XATTR_ACL)
		return 0; /* the mode alone counts, as was wished */
	if (r < 0)
		return r;
	op_change(&op, in)->ctime = op.now;
	return op_commit(&op);
}
