/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys: a kind byte and big-endian integers, so that byte order is the order
 * in which things are walked.  Every builder is one row of puts on a small
 * array of fixed size; a key has no heap and no error.  Names that are too
 * long for a key are cut: no caller lets one through, and a cut name can at
 * worst be the wrong key, never memory that is not ours.
 *
 * Parsers are exact: kind, tree and length must be what the builder makes.
 */
#include <meta/keys.h>

#include <base/le.h>

#include <errno.h>
#include <string.h>

static void put8(struct key *k, uint8_t v)
{
	k->data[k->len++] = v;
}

static void put16(struct key *k, uint16_t v)
{
	put_be16(k->data + k->len, v);
	k->len += 2;
}

static void put32(struct key *k, uint32_t v)
{
	put_be32(k->data + k->len, v);
	k->len += 4;
}

static void put64(struct key *k, uint64_t v)
{
	put_be64(k->data + k->len, v);
	k->len += 8;
}

static void put_text(struct key *k, const char *s, size_t len)
{
	if (len > KEY_MAX - k->len)
		len = KEY_MAX - k->len;
	memcpy(k->data + k->len, s, len);
	k->len += len;
}

/* kind, tree and inode: how most keys begin */
static struct key of_ino(char kind, uint64_t ino)
{
	struct key k = { .len = 0 };

	put8(&k, (uint8_t)kind);
	put32(&k, TREE_LIVE);
	put64(&k, ino);
	return k;
}

static struct key of_extent(char kind, struct extent_id x)
{
	struct key k = { .len = 0 };

	put8(&k, (uint8_t)kind);
	put64(&k, x.epoch);
	put64(&k, x.counter);
	return k;
}

struct key key_inode(uint64_t ino)
{
	return of_ino('I', ino);
}

struct key key_slice_ino(uint64_t ino)
{
	return of_ino('S', ino);
}

struct key key_slice_chunk(uint64_t ino, uint64_t chunk)
{
	struct key k = key_slice_ino(ino);

	put64(&k, chunk);
	return k;
}

struct key key_slice(uint64_t ino, uint64_t chunk, uint64_t sequence)
{
	struct key k = key_slice_chunk(ino, chunk);

	put64(&k, sequence);
	return k;
}

struct key key_dirent_parent(uint64_t parent)
{
	return of_ino('D', parent);
}

struct key key_dirent(uint64_t parent, uint64_t cookie)
{
	struct key k = key_dirent_parent(parent);

	put64(&k, cookie);
	return k;
}

struct key key_parent_ino(uint64_t ino)
{
	return of_ino('P', ino);
}

struct key key_parent(uint64_t ino, uint64_t parent, uint64_t cookie)
{
	struct key k = key_parent_ino(ino);

	put64(&k, parent);
	put64(&k, cookie);
	return k;
}

struct key key_extent(struct extent_id x)
{
	return of_extent('E', x);
}

struct key key_live(struct extent_id x)
{
	return of_extent('L', x);
}

struct key key_ref_extent(struct extent_id x)
{
	return of_extent('R', x);
}

struct key key_ref(struct extent_id x, uint64_t ino, uint64_t chunk,
		   uint64_t sequence)
{
	struct key k = key_ref_extent(x);

	put32(&k, TREE_LIVE);
	put64(&k, ino);
	put64(&k, chunk);
	put64(&k, sequence);
	return k;
}

struct key key_on_disk_prefix(uint32_t disk)
{
	struct key k = key_kind('Q');

	put32(&k, disk);
	return k;
}

struct key key_on_disk(uint32_t disk, struct extent_id x, uint16_t index)
{
	struct key k = key_on_disk_prefix(disk);

	put64(&k, x.epoch);
	put64(&k, x.counter);
	put16(&k, index);
	return k;
}

struct key key_repair(struct extent_id x)
{
	return of_extent('W', x);
}

struct key key_free(struct extent_id x, uint64_t salt)
{
	struct key k = of_extent('Z', x);

	put_be64(k.data + k.len, salt);
	k.len += 8;
	return k;
}

struct key key_intent(uint64_t ino, uint8_t kind)
{
	struct key k = of_ino('O', ino);

	k.data[k.len++] = kind;
	return k;
}

struct key key_xattr_ino(uint64_t ino)
{
	return of_ino('X', ino);
}

struct key key_xattr(uint64_t ino, const char *name, size_t len)
{
	struct key k = key_xattr_ino(ino);

	put_text(&k, name, len);
	return k;
}

struct key key_usage(uint8_t kind, uint32_t id)
{
	struct key k = key_kind('U');

	put8(&k, kind);
	put32(&k, id);
	return k;
}

struct key key_fact(const char *text)
{
	struct key k = key_kind('M');

	put_text(&k, text, strlen(text));
	return k;
}

struct key key_kind(char kind)
{
	struct key k = { .len = 0 };

	put8(&k, (uint8_t)kind);
	return k;
}

/* The numbers after a kind and, where there is one, the live tree. */
static struct rd parse(const void *key, size_t len, char kind, bool tree)
{
	struct rd r = rd_of(key, len);

	if (rd8(&r) != (uint8_t)kind || (tree && rd32be(&r) != TREE_LIVE))
		r.error = -EUCLEAN;
	return r;
}

static struct extent_id rd_extent(struct rd *r)
{
	struct extent_id x = { .epoch = rd64be(r) };

	x.counter = rd64be(r);
	return x;
}

/* Three numbers after kind and tree: S and P. */
static int parse_three(struct rd *r, uint64_t *ret_a, uint64_t *ret_b,
		       uint64_t *ret_c)
{
	uint64_t a = rd64be(r), b = rd64be(r), c = rd64be(r);

	if (rd_end(r) < 0)
		return -EUCLEAN;
	*ret_a = a;
	*ret_b = b;
	*ret_c = c;
	return 0;
}

int key_parse_inode(const void *key, size_t len, uint64_t *ret_ino)
{
	struct rd r = parse(key, len, 'I', true);
	uint64_t ino = rd64be(&r);

	if (rd_end(&r) < 0)
		return -EUCLEAN;
	*ret_ino = ino;
	return 0;
}

int key_parse_slice(const void *key, size_t len, uint64_t *ret_ino,
		    uint64_t *ret_chunk, uint64_t *ret_sequence)
{
	struct rd r = parse(key, len, 'S', true);

	return parse_three(&r, ret_ino, ret_chunk, ret_sequence);
}

int key_parse_parent(const void *key, size_t len, uint64_t *ret_ino,
		     uint64_t *ret_parent, uint64_t *ret_cookie)
{
	struct rd r = parse(key, len, 'P', true);

	return parse_three(&r, ret_ino, ret_parent, ret_cookie);
}

int key_parse_dirent(const void *key, size_t len, uint64_t *ret_parent,
		     uint64_t *ret_cookie)
{
	struct rd r = parse(key, len, 'D', true);
	uint64_t parent = rd64be(&r), cookie = rd64be(&r);

	/* cookies have 63 bits: a readdir position is signed */
	if (rd_end(&r) < 0 || cookie > INT64_MAX)
		return -EUCLEAN;
	*ret_parent = parent;
	*ret_cookie = cookie;
	return 0;
}

int key_parse_extent(const void *key, size_t len, struct extent_id *ret)
{
	struct rd r = rd_of(key, len);
	uint8_t kind = rd8(&r);
	struct extent_id x = rd_extent(&r);

	if (rd_end(&r) < 0 || (kind != 'E' && kind != 'L' && kind != 'W'))
		return -EUCLEAN;
	*ret = x;
	return 0;
}

int key_parse_free(const void *key, size_t len, struct extent_id *ret,
		   uint64_t *ret_salt)
{
	struct rd r = rd_of(key, len);
	uint8_t kind = rd8(&r);
	struct extent_id x = rd_extent(&r);
	uint64_t salt = rd64be(&r);

	if (rd_end(&r) < 0 || kind != 'Z')
		return -EUCLEAN;
	*ret = x;
	*ret_salt = salt;
	return 0;
}

int key_parse_ref(const void *key, size_t len, struct extent_id *ret_extent,
		  uint64_t *ret_ino, uint64_t *ret_chunk,
		  uint64_t *ret_sequence)
{
	struct rd r = parse(key, len, 'R', false);
	struct extent_id x = rd_extent(&r);

	if (rd32be(&r) != TREE_LIVE ||
	    parse_three(&r, ret_ino, ret_chunk, ret_sequence) < 0)
		return -EUCLEAN;
	*ret_extent = x;
	return 0;
}

int key_parse_on_disk(const void *key, size_t len, uint32_t *ret_disk,
		      struct extent_id *ret_extent, uint16_t *ret_index)
{
	struct rd r = parse(key, len, 'Q', false);
	uint32_t disk = rd32be(&r);
	struct extent_id x = rd_extent(&r);
	uint16_t index = rd16be(&r);

	if (rd_end(&r) < 0)
		return -EUCLEAN;
	*ret_disk = disk;
	*ret_extent = x;
	*ret_index = index;
	return 0;
}

int key_parse_intent(const void *key, size_t len, uint64_t *ret_ino,
		     uint8_t *ret_kind)
{
	struct rd r = parse(key, len, 'O', true);
	uint64_t ino = rd64be(&r);
	uint8_t kind = rd8(&r);

	if (rd_end(&r) < 0)
		return -EUCLEAN;
	*ret_ino = ino;
	*ret_kind = kind;
	return 0;
}

int key_parse_usage(const void *key, size_t len, uint8_t *ret_kind,
		    uint32_t *ret_id)
{
	struct rd r = parse(key, len, 'U', false);
	uint8_t kind = rd8(&r);
	uint32_t id = rd32be(&r);

	if (rd_end(&r) < 0)
		return -EUCLEAN;
	*ret_kind = kind;
	*ret_id = id;
	return 0;
}
