/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A look at table files before RocksDB opens them.
 *
 * RocksDB verifies each block of a table before it looks into it, but for
 * one: the block of properties is decoded first and verified after.  The top
 * bit of the block's last number says that there is a hash index, which it
 * never has; when the bit is set by damage, the decoder runs into an assertion
 * or, in builds without, reads beyond the block.  RocksDB 7.8 and newer ones
 * have this.  One bit in a file that kills the mount is one too many.
 *
 * The end of a table is: properties, 5 bytes of trailer, the index of the meta
 * blocks, its trailer, a footer of 53 bytes that tells where that index
 * begins.  A file that does not end so is left to RocksDB: perhaps it is what
 * a crash left of a table that nobody knows.
 */
#include "rocks.h"

#include <dynfs/os.h>

#include <endian.h>
#include <errno.h>
#include <string.h>

#define TABLE_FOOTER  53u
#define TABLE_HANDLES 1u /* where the handles begin in the footer */
#define TABLE_VERSION 41u
#define TABLE_MAGIC   45u
#define TABLE_TRAILER 5u
#define TABLE_LAST    4u /* the number at the end of a block */

static const uint64_t table_magic = 0x88e241b785f4cff7ull;

static int table_read(struct rocks *r, int fd, void *buf, size_t len,
		      uint64_t at)
{
	const struct dynfs_os *os = r->host->os;
	size_t done = 0;

	while (done < len) {
		struct iovec iov = { (uint8_t *)buf + done, len - done };
		ssize_t n = os->preadv(os, fd, &iov, 1, at + done);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			return n ? (int)n : -EUCLEAN;
		done += (size_t)n;
	}
	return 0;
}

/* A varint of RocksDB's; 0 when it does not end in time. */
static uint64_t table_varint(const uint8_t *p, size_t len)
{
	uint64_t v = 0;

	for (size_t i = 0; i < len && i < 10; ++i) {
		v |= (uint64_t)(p[i] & 0x7f) << (7 * i);
		if (!(p[i] & 0x80))
			return v;
	}
	return 0;
}

/* Where the number at the end of the properties is; 0: can not be told. */
static uint64_t table_properties_end(const uint8_t *footer, uint64_t size)
{
	uint64_t magic, index;
	uint32_t version;

	memcpy(&magic, footer + TABLE_MAGIC, sizeof(magic));
	memcpy(&version, footer + TABLE_VERSION, sizeof(version));
	if (le64toh(magic) != table_magic ||
	    le32toh(version) != ROCKS_TABLE_FORMAT)
		return 0;
	index =
	    table_varint(footer + TABLE_HANDLES, TABLE_VERSION - TABLE_HANDLES);
	if (index < TABLE_LAST + TABLE_TRAILER || index > size - TABLE_FOOTER)
		return 0;
	return index - TABLE_TRAILER - TABLE_LAST;
}

static int table_look(struct rocks *r, int fd)
{
	const struct dynfs_os *os = r->host->os;
	uint8_t footer[TABLE_FOOTER], last[TABLE_LAST];
	struct dynfs_os_stat st;
	uint64_t at;
	int err = os->fstat(os, fd, &st);

	if (err || st.size_bytes < TABLE_FOOTER)
		return err;
	err = table_read(r, fd, footer, sizeof(footer),
			 st.size_bytes - TABLE_FOOTER);
	if (err)
		return err;
	at = table_properties_end(footer, st.size_bytes);
	if (!at)
		return 0;
	err = table_read(r, fd, last, sizeof(last), at);
	if (err)
		return err;
	return last[TABLE_LAST - 1] & 0x80 ? -EUCLEAN : 0;
}

struct table_walk {
	struct rocks *r;
	const char *folder;
	int err;
};

static int table_each(void *ctx, const char *name, uint32_t type)
{
	struct table_walk *w = ctx;
	const struct dynfs_host *h = w->r->host;
	char *path;
	int fd;

	(void)type; /* opening tells */
	if (!rocks_is_table(name))
		return 0;
	path = rocks_path(w->r, w->folder, name);
	if (!path)
		return -ENOMEM;
	fd = h->os->open(h->os, path, DYNFS_OS_RDONLY, 0);
	w->err = fd < 0 ? fd : table_look(w->r, fd);
	if (fd >= 0)
		(void)h->os->close(h->os, fd); /* only read */
	if (w->err)
		(void)h->fail(h, w->err, "table %s is damaged", path);
	h->free(h, path);
	return w->err;
}

int rocks_tables_check(struct rocks *r, const char *path)
{
	struct table_walk w = { .r = r, .folder = path };

	return r->host->os->list(r->host->os, path, table_each, &w);
}
