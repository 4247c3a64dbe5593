/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file of the mem engine.
 *
 * Nothing in a block is looked at before its sum is right, and then it is
 * still checked like a stranger's: a sum that is not keyed keeps out
 * accidents, not people.  Memory for a block is bounded by what is left of
 * the file, so a lying length can not ask for more than there is on disk.
 */
#include "image.h"

#include <dynfs/os.h>

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <xxhash.h>

#define IMAGE_VERSION  1u
#define IMAGE_BLOCK    (64u << 10) /* a block is closed at this size */
#define IMAGE_RECORD   8u
#define IMAGE_SUM_SEED 0x64796e66736d6170ull

static const uint8_t image_magic[8] = {
	'D', 'Y', 'N', 'F', 'S', 'M', 'A', 'P'
};

struct image_header {
	uint8_t magic[8];
	uint32_t version;
	uint32_t header_bytes;
	uint64_t applied;
	uint64_t keys;
	uint64_t reserved;
	uint64_t sum;
};

struct image_block {
	uint32_t payload_bytes;
	uint32_t records;
	uint64_t reserved;
	uint64_t sum;
};

_Static_assert(sizeof(struct image_header) == 48, "on disk");
_Static_assert(sizeof(struct image_block) == 24, "on disk");

/* One open image and the block in hand. */
struct image {
	const struct dynfs_host *host;
	const char *path;
	int fd;
	uint64_t at;  /* where the next block begins */
	uint64_t end; /* reading: the file's size */
	uint64_t seed;
	uint8_t *block; /* header and payload */
	size_t fill, room;
	uint32_t records;
};

static uint64_t header_sum(const struct image_header *hd)
{
	return XXH3_64bits_withSeed(hd, offsetof(struct image_header, sum),
				    IMAGE_SUM_SEED);
}

/* The block's own sum field takes part as zero. */
static uint64_t block_sum(const struct image *im)
{
	return XXH3_64bits_withSeed(im->block, im->fill, im->seed);
}

static int image_room(struct image *im, size_t need)
{
	const struct dynfs_host *h = im->host;
	uint8_t *grown;

	if (need <= im->room)
		return 0;
	grown = h->alloc(h, need, 0);
	if (!grown)
		return -ENOMEM;
	if (im->fill)
		memcpy(grown, im->block, im->fill);
	h->free(h, im->block);
	im->block = grown;
	im->room = need;
	return 0;
}

static int image_put(struct image *im, void *data, size_t len, uint64_t at)
{
	const struct dynfs_os *os = im->host->os;
	uint8_t *from = data;
	size_t done = 0;

	while (done < len) {
		struct iovec iov = { from + done, len - done };
		ssize_t n = os->pwritev(os, im->fd, &iov, 1, at + done);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			return n ? (int)n : -EIO;
		done += (size_t)n;
	}
	return 0;
}

static int image_take(struct image *im, void *buf, size_t len, uint64_t at)
{
	const struct dynfs_os *os = im->host->os;
	size_t done = 0;

	while (done < len) {
		struct iovec iov = { (uint8_t *)buf + done, len - done };
		ssize_t n = os->preadv(os, im->fd, &iov, 1, at + done);

		if (n == -EINTR)
			continue;
		if (n < 0)
			return (int)n;
		if (!n)
			return im->host->fail(im->host, -EUCLEAN,
					      "%s is cut short", im->path);
		done += (size_t)n;
	}
	return 0;
}

static int block_flush(struct image *im)
{
	struct image_block hd = { 0 };
	int err;

	if (!im->records)
		return 0;
	hd.payload_bytes = htole32((uint32_t)(im->fill - sizeof(hd)));
	hd.records = htole32(im->records);
	memcpy(im->block, &hd, sizeof(hd));
	im->seed = block_sum(im);
	hd.sum = htole64(im->seed);
	memcpy(im->block, &hd, sizeof(hd));
	err = image_put(im, im->block, im->fill, im->at);
	im->at += im->fill;
	im->fill = sizeof(hd);
	im->records = 0;
	return err;
}

static int block_add(struct image *im, const struct mem_entry *e)
{
	uint32_t lens[2] = { htole32(e->key_len), htole32(e->value_len) };
	size_t len = (size_t)e->key_len + e->value_len;
	int err = image_room(im, im->fill + sizeof(lens) + len);

	if (err)
		return err;
	memcpy(im->block + im->fill, lens, sizeof(lens));
	memcpy(im->block + im->fill + sizeof(lens), e->bytes, len);
	im->fill += sizeof(lens) + len;
	++im->records;
	return im->fill >= IMAGE_BLOCK ? block_flush(im) : 0;
}

static int image_fill(struct image *im, const struct mem_node *root,
		      uint64_t keys, uint64_t applied)
{
	struct image_header hd = {
		.version = htole32(IMAGE_VERSION),
		.header_bytes = htole32(sizeof(hd)),
		.applied = htole64(applied),
		.keys = htole64(keys),
	};
	struct dynfs_meta_span start = { "", 0 };
	const struct mem_entry *e;
	struct mem_cursor c;
	int err;

	memcpy(hd.magic, image_magic, sizeof(hd.magic));
	im->seed = header_sum(&hd);
	hd.sum = htole64(im->seed);
	im->at = sizeof(hd);
	im->fill = sizeof(struct image_block);
	err = image_put(im, &hd, sizeof(hd), 0);
	mem_cursor_seek(&c, root, start);
	while (!err && (e = mem_cursor_next(&c)))
		err = block_add(im, e);
	if (!err)
		err = block_flush(im);
	return err ? err : im->host->os->sync(im->host->os, im->fd);
}

int image_write(const struct dynfs_host *h, const char *path,
		const struct mem_node *root, uint64_t keys, uint64_t applied)
{
	const struct dynfs_os *os = h->os;
	struct image im = { .host = h, .path = path };
	int err, closed;

	im.fd = os->open(os, path,
			 DYNFS_OS_RDWR | DYNFS_OS_CREATE | DYNFS_OS_EXCL, 0600);
	if (im.fd < 0)
		return h->fail(h, im.fd, "cannot make %s", path);
	err = image_room(&im, 2 * (size_t)IMAGE_BLOCK);
	if (!err)
		err = image_fill(&im, root, keys, applied);
	h->free(h, im.block);
	closed = os->close(os, im.fd);
	if (!err)
		err = closed;
	if (!err)
		return 0;
	(void)os->unlink(os, path); /* the first error is the one to tell */
	return h->fail(h, err, "cannot write %s", path);
}

static int image_bad(const struct image *im, const char *what)
{
	return im->host->fail(im->host, -EUCLEAN, "%s: %s at byte %llu",
			      im->path, what, (unsigned long long)im->at);
}

static int header_read(struct image *im, struct image_header *hd)
{
	int err = image_take(im, hd, sizeof(*hd), 0);

	if (err)
		return err;
	if (memcmp(hd->magic, image_magic, sizeof(hd->magic)) != 0)
		return image_bad(im, "not an image of the mem engine");
	im->seed = header_sum(hd);
	if (im->seed != le64toh(hd->sum))
		return image_bad(im, "wrong checksum of the header");
	if (le32toh(hd->version) != IMAGE_VERSION ||
	    le32toh(hd->header_bytes) != sizeof(*hd) || hd->reserved)
		return image_bad(im, "unknown version");
	im->at = sizeof(*hd);
	return 0;
}

/* The next block, its sum right, into im->block. */
static int block_read(struct image *im)
{
	const uint64_t max = IMAGE_BLOCK + IMAGE_RECORD + DYNFS_META_KEY_MAX +
			     DYNFS_META_VALUE_MAX;
	struct image_block hd;
	uint64_t len, sum;
	int err = image_take(im, &hd, sizeof(hd), im->at);

	if (err)
		return err;
	len = sizeof(hd) + (uint64_t)le32toh(hd.payload_bytes);
	if (len > im->end - im->at || len > sizeof(hd) + max)
		return image_bad(im, "impossible length of a block");
	im->fill = 0;
	err = image_room(im, len);
	if (err)
		return err;
	err = image_take(im, im->block + sizeof(hd), len - sizeof(hd),
			 im->at + sizeof(hd));
	if (err)
		return err;
	im->records = le32toh(hd.records);
	sum = le64toh(hd.sum);
	hd.sum = 0;
	memcpy(im->block, &hd, sizeof(hd));
	im->fill = len;
	im->seed = block_sum(im);
	if (im->seed != sum || hd.reserved || !im->records)
		return image_bad(im, "wrong checksum of a block");
	return 0;
}

/* One record at *at of the block; ret_key stays valid while its row does. */
static int record_read(struct image *im, struct mem_edit *edit, size_t *at,
		       struct dynfs_meta_span *key)
{
	struct dynfs_meta_span k, v;
	struct mem_entry *e;
	uint32_t lens[2];
	int err;

	if (im->fill - *at < sizeof(lens))
		return image_bad(im, "a record crosses its block");
	memcpy(lens, im->block + *at, sizeof(lens));
	*at += sizeof(lens);
	k.len = le32toh(lens[0]);
	v.len = le32toh(lens[1]);
	if (!k.len || k.len > DYNFS_META_KEY_MAX ||
	    v.len > DYNFS_META_VALUE_MAX || im->fill - *at < k.len + v.len)
		return image_bad(im, "impossible length of a record");
	k.data = im->block + *at;
	v.data = im->block + *at + k.len;
	*at += k.len + v.len;
	if (!*(const uint8_t *)k.data || mem_compare(*key, k) >= 0)
		return image_bad(im, "a key out of order");
	e = mem_entry_new(edit->heap, k, v);
	if (!e)
		return -ENOMEM;
	*key = mem_entry_key(e);
	err = mem_edit_put(edit, e);
	return err;
}

static int image_load(struct image *im, struct mem_edit *edit,
		      uint64_t *ret_applied)
{
	struct dynfs_meta_span last = { "", 0 };
	struct image_header hd;
	int err = header_read(im, &hd);

	while (!err && edit->keys < le64toh(hd.keys)) {
		size_t at = sizeof(struct image_block);

		err = block_read(im);
		for (uint32_t i = 0; !err && i < im->records; ++i)
			err = record_read(im, edit, &at, &last);
		if (!err && at != im->fill)
			err = image_bad(im, "bytes after the last record");
		im->at += im->fill;
	}
	if (err)
		return err;
	if (edit->keys != le64toh(hd.keys) || im->at != im->end)
		return image_bad(im, "not the number of rows it names");
	*ret_applied = le64toh(hd.applied);
	return 0;
}

int image_read(const struct dynfs_host *h, const char *path,
	       struct mem_edit *edit, uint64_t *ret_applied)
{
	const struct dynfs_os *os = h->os;
	struct image im = { .host = h, .path = path };
	struct dynfs_os_stat st = { 0 };
	int err;

	im.fd = os->open(os, path, DYNFS_OS_RDONLY, 0);
	if (im.fd < 0)
		return im.fd;
	err = os->fstat(os, im.fd, &st);
	im.end = st.size_bytes;
	if (!err)
		err = image_load(&im, edit, ret_applied);
	h->free(h, im.block);
	(void)os->close(os, im.fd); /* read only: nothing can be lost */
	return err;
}
