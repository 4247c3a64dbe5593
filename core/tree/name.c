/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names in directories (format.md 4.3).
 *
 * A name's cookie is its keyed hash and a collision number.  The chain of one
 * hash is walked from number 0 until a key is absent, so a chain has no gaps:
 * an entry that leaves from the middle stays as a dead one, and the entry
 * that leaves last takes the dead ones just before it along.  So dead entries
 * exist only below a living one of their hash, and an empty directory has no
 * keys.  A new name takes the first dead place.  Nothing is ever moved: a
 * cookie that readdir gave out stays good, and a walk without a lock finds
 * every name that exists all the while.
 *
 * With 55 bits of hash a directory of ten million names has a collision once
 * in 700 such directories, so the walk is one get nearly always.
 */
#include <tree/private.h>

#include <base/fail.h>

#include <errno.h>
#include <string.h>

#define HASH_BITS      55u
#define COLLISION_BITS 8u
#define COLLISIONS     (1u << COLLISION_BITS)

bool name_is_dot(const char *name)
{
	return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

int name_check(const char *name)
{
	size_t len = strnlen(name, DYNFS_NAME_MAX + 1);

	if (len > DYNFS_NAME_MAX)
		return -ENAMETOOLONG;
	if (!len)
		return -ENOENT;
	return memchr(name, '/', len) ? -EINVAL : 0;
}

static uint64_t first_cookie(const struct tree *t, const char *name)
{
	uint64_t hash = t->hash(t->name_key, name, strlen(name));

	hash &= (UINT64_C(1) << HASH_BITS) - 1;
	return (hash ? hash : 1) << COLLISION_BITS;
}

static bool last_of_chain(uint64_t cookie)
{
	return (cookie & (COLLISIONS - 1)) == COLLISIONS - 1;
}

/* The entry at cookie; its name is in buf.  -ENOENT. */
static int entry_get(struct tree *t, uint64_t parent, uint64_t cookie,
		     struct buf *buf, struct dirent_rec *ret)
{
	struct key key = key_dirent(parent, cookie);
	int r = meta_get(t->meta, key.data, key.len, buf);

	if (r < 0)
		return r;
	r = dirent_rec_get(buf->data, buf->len, ret);
	return r < 0 ? fail(r, "directory %llu: entry %llx is damaged",
			    (unsigned long long)parent,
			    (unsigned long long)cookie)
		     : 0;
}

int name_find(struct tree *t, uint64_t parent, const char *name,
	      struct slot *ret)
{
	AUTOBUF struct buf buf = BUF_INIT;
	struct slot s = { .found = false };
	uint64_t cookie = first_cookie(t, name);
	size_t len = strlen(name);

	for (unsigned i = 0; i < COLLISIONS; i++, cookie++) {
		struct dirent_rec e;
		int r = entry_get(t, parent, cookie, &buf, &e);

		if (r == -ENOENT || (r == 0 && e.dead)) {
			if (!s.cookie)
				s.cookie = cookie;
			if (!r)
				continue;
			*ret = s;
			return 0;
		}
		if (r < 0)
			return r;
		if (e.name_len != len || memcmp(e.name, name, len) != 0)
			continue;
		*ret = (struct slot){ true, cookie, e.ino };
		return 0;
	}
	*ret = s;
	return s.cookie ? 0 : -ENOSPC;
}

int name_again(struct tree *t, const struct inode *dir, const char *name,
	       uint64_t names, struct slot *slot)
{
	if (atomic_load(&dir->names) == names)
		return 0;
	return name_find(t, dir->ino, name, slot);
}

void name_put(struct batch *b, uint64_t parent, uint64_t cookie,
	      const char *name, uint64_t ino, uint32_t mode)
{
	struct dirent_rec e = { .type = (uint8_t)(mode >> 12 & 15),
				.ino = ino,
				.name = name,
				.name_len = (uint32_t)strlen(name) };
	struct key key = key_dirent(parent, cookie);
	const uint8_t version = 1;
	AUTOBUF struct buf value = BUF_INIT;

	dirent_rec_put(&value, &e);
	if (buf_error(&value) && !b->error)
		b->error = buf_error(&value);
	batch_put(b, key.data, key.len, value.data, value.len);
	key = key_parent(ino, parent, cookie);
	batch_put(b, key.data, key.len, &version, 1);
}

/* Delete the dead entries just below cookie. */
static int drop_dead(struct tree *t, struct batch *b, uint64_t parent,
		     uint64_t cookie)
{
	AUTOBUF struct buf buf = BUF_INIT;

	while (cookie & (COLLISIONS - 1)) {
		struct dirent_rec e;
		struct key key = key_dirent(parent, --cookie);
		int r = entry_get(t, parent, cookie, &buf, &e);

		if (r < 0)
			return r;
		if (!e.dead)
			break;
		batch_delete(b, key.data, key.len);
	}
	return 0;
}

static int put_dead(struct batch *b, const struct key *key)
{
	struct dirent_rec dead = { .dead = true };
	AUTOBUF struct buf value = BUF_INIT;

	dirent_rec_put(&value, &dead);
	if (buf_error(&value))
		return buf_error(&value);
	batch_put(b, key->data, key->len, value.data, value.len);
	return 0;
}

int name_drop(struct tree *t, struct batch *b, uint64_t parent, uint64_t cookie,
	      uint64_t ino)
{
	AUTOBUF struct buf buf = BUF_INIT;
	struct key key = key_parent(ino, parent, cookie);
	struct dirent_rec next;
	int r;

	batch_delete(b, key.data, key.len);
	key = key_dirent(parent, cookie);
	r = last_of_chain(cookie)
		? -ENOENT
		: entry_get(t, parent, cookie + 1, &buf, &next);
	if (r == 0)
		return put_dead(b, &key);
	if (r != -ENOENT)
		return r;
	batch_delete(b, key.data, key.len);
	return drop_dead(t, b, parent, cookie);
}

static int none_row(void *ctx, const void *key, size_t key_len,
		    const void *value, size_t value_len)
{
	struct dirent_rec e;
	int r = dirent_rec_get(value, value_len, &e);

	(void)ctx;
	(void)key;
	(void)key_len;
	/* what can not be read may be a name */
	return r == 0 && e.dead ? 0 : -ENOTEMPTY;
}

int name_none(struct tree *t, uint64_t dir)
{
	struct key from = key_dirent_parent(dir);

	return meta_scan(t->meta, from.data, from.len, NULL, 0, none_row, NULL);
}
