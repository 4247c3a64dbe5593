/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POSIX ACLs: extended attributes that mean something.
 *
 * They are kept as the bytes that setxattr(2) passes, each entry checked, and
 * changed in place; an ACL is a handful of entries of 8 bytes and needs no other
 * form.  Who may do what is checked by the kernel, which asks for them; what it
 * leaves to the file system is here, and follows ext4: the group bits of the
 * mode are the mask, so chmod changes the ACL, and an access ACL the mode; one
 * that says no more than the mode is not kept; a default ACL is handed on to
 * what is made in its directory, which then has no umask.
 */
#include <tree/private.h>

#include <base/fail.h>
#include <base/le.h>

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define ACL_VERSION     2u
#define ACL_HEAD        4u
#define ACL_ENTRY       8u /* u16 tag, u16 permissions, u32 uid or gid */
#define ACL_NO_ID       UINT32_MAX
#define ACL_PERMISSIONS 7u

/* In the order that entries have. */
enum acl_tag {
	ACL_USER_OBJ = 0x01,
	ACL_USER = 0x02, /* any number of them */
	ACL_GROUP_OBJ = 0x04,
	ACL_GROUP = 0x08, /* likewise */
	ACL_MASK = 0x10,  /* wanted by the named ones */
	ACL_OTHER = 0x20,
};

/* A checked one: its entries, and where in them those are that follow modes. */
struct acl {
	size_t n;                              /* 0: no ACL at all */
	uint8_t *owner, *group, *mask, *other; /* mask may be NULL */
};

static uint32_t acl_get(const uint8_t *entry)
{
	return get_le16(entry + 2);
}

static void acl_put(uint8_t *entry, uint32_t permissions)
{
	put_le16(entry + 2, (uint16_t)(permissions & ACL_PERMISSIONS));
}

/* The next entry; *last: the tag before. */
static int acl_entry(struct acl *a, uint8_t *entry, uint32_t *last)
{
	uint32_t tag = get_le16(entry);
	bool named = tag == ACL_USER || tag == ACL_GROUP;

	if (tag < *last || (tag == *last && !named))
		return -EINVAL;
	if (acl_get(entry) & ~ACL_PERMISSIONS)
		return -EINVAL;
	*last = tag;
	if (named)
		return get_le32(entry + 4) == ACL_NO_ID ? -EINVAL : 0;
	put_le32(entry + 4, ACL_NO_ID);
	switch (tag) {
	case ACL_USER_OBJ:
		a->owner = entry;
		return 0;
	case ACL_GROUP_OBJ:
		a->group = entry;
		return 0;
	case ACL_MASK:
		a->mask = entry;
		return 0;
	case ACL_OTHER:
		a->other = entry;
		return 0;
	default:
		return -EINVAL;
	}
}

/* data may come from anywhere, and is borrowed by ret. */
static int acl_open(uint8_t *data, size_t len, struct acl *ret)
{
	struct acl a = { 0 };
	uint32_t last = 0;

	if (len < ACL_HEAD || (len - ACL_HEAD) % ACL_ENTRY)
		return -EINVAL;
	if (get_le32(data) != ACL_VERSION)
		return -EOPNOTSUPP;
	a.n = (len - ACL_HEAD) / ACL_ENTRY;
	for (size_t i = 0; i < a.n; i++) {
		int r = acl_entry(&a, data + ACL_HEAD + i * ACL_ENTRY, &last);

		if (r < 0)
			return r;
	}
	if (a.n && (!a.owner || !a.group || !a.other))
		return -EINVAL;
	if (a.n > 3 && !a.mask)
		return -EINVAL;
	*ret = a;
	return 0;
}

/* What the group bits of the mode stand for. */
static uint8_t *acl_class(const struct acl *a)
{
	return a->mask ? a->mask : a->group;
}

static uint32_t acl_mode(const struct acl *a)
{
	return acl_get(a->owner) << 6 | acl_get(acl_class(a)) << 3 |
	       acl_get(a->other);
}

static void acl_chmod(const struct acl *a, uint32_t mode)
{
	acl_put(a->owner, mode >> 6);
	acl_put(acl_class(a), mode >> 3);
	acl_put(a->other, mode);
}

/* A default ACL becomes the access ACL of what is made with mode. */
static uint32_t acl_birth(const struct acl *a, uint32_t mode)
{
	acl_chmod(a, acl_mode(a) & mode);
	return acl_mode(a);
}

/* ---- stored ones ------------------------------------------------------- */

/* value holds the row, and the ACL lies in it behind the version. */
static int acl_find(const struct tree *t, struct inode *in, const char *name,
		    struct buf *value, struct acl *ret)
{
	int r = xattr_find(t, in, name, value);

	if (r < 0)
		return r;
	r = acl_open(value->data + 1, value->len - 1, ret);
	if (r < 0 || !ret->n)
		return fail(-EUCLEAN, "%s of inode %llu is damaged", name,
			    (unsigned long long)in->ino);
	return 0;
}

int acl_inherit(struct op *op, struct inode *dir, struct inode *in,
		uint32_t umask)
{
	AUTOBUF struct buf value = BUF_INIT;
	struct acl a;
	uint32_t mode = in->rec.mode;
	int r;

	if (S_ISLNK(mode))
		return 0;
	r = acl_find(op->t, dir, XATTR_ACL_DEFAULT, &value, &a);
	if (r == -ENODATA) {
		in->rec.mode = mode & ~(umask & 0777u);
		return 0;
	}
	if (r < 0)
		return r;
	if (S_ISDIR(mode))
		xattr_row(op, in, XATTR_ACL_DEFAULT, &value);
	in->rec.mode = (mode & ~0777u) | acl_birth(&a, mode & 0777u);
	if (a.mask)
		xattr_row(op, in, XATTR_ACL_ACCESS, &value);
	return 0;
}

int acl_follow_mode(struct op *op, struct inode *in, uint32_t mode)
{
	AUTOBUF struct buf value = BUF_INIT;
	struct acl a;
	int r;

	if (!((in->rec.mode ^ mode) & 0777u))
		return 0;
	r = acl_find(op->t, in, XATTR_ACL_ACCESS, &value, &a);
	if (r < 0)
		return r == -ENODATA ? 0 : r;
	acl_chmod(&a, mode);
	xattr_row(op, in, XATTR_ACL_ACCESS, &value);
	return 0;
}

/*
 * Set-group-ID stays only with who could have set it.  The kernel knows, but
 * has no way to say so to a libfuse of our age.
 */
static void acl_set_mode(struct inode *in, const struct acl *a,
			 const struct dynfs_caller *who)
{
	in->rec.mode = (in->rec.mode & ~0777u) | acl_mode(a);
	if (who->uid && !caller_in_group(who, in->rec.gid))
		in->rec.mode &= ~(uint32_t)S_ISGID;
}

int acl_check(const struct inode *in, const char *name, struct buf *value)
{
	struct acl a;
	int r;

	if (S_ISLNK(in->rec.mode))
		return -EOPNOTSUPP;
	r = acl_open(value->data + 1, value->len - 1, &a);
	if (!r && a.n && !S_ISDIR(in->rec.mode) &&
	    !strcmp(name, XATTR_ACL_DEFAULT))
		r = -EACCES;
	return r;
}

int acl_set(struct op *op, struct inode *in, const char *name,
	    struct buf *value, const struct dynfs_caller *who)
{
	bool access = !strcmp(name, XATTR_ACL_ACCESS);
	struct acl a;
	int r = acl_open(value->data + 1, value->len - 1, &a);

	if (r < 0)
		return r;
	if (access && a.n)
		acl_set_mode(in, &a, who);
	if (a.n && (a.mask || !access))
		xattr_row(op, in, name, value);
	else
		r = xattr_drop(op, in, name);
	return r == -ENODATA ? 0 : r;
}
