/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define N_DISKS 5

static const char config[] =
    "pool = { name = \"file\"; extent-size = \"64K\"; disks = (\n"
    "  { path = \"/d1\"; }, { path = \"/d2\"; }, { path = \"/d3\"; },\n"
    "  { path = \"/d4\"; }, { path = \"/d5\"; } ); };\n"
    "metadata = { engine = { plugin = \"mem\"; }; copies = 3;\n"
    "  memory = \"16M\"; };\n"
    "policies = { default = \"c2\";\n"
    "  c2 = { redundancy = \"replica\"; copies = 2; checksum = \"xxh3\"; };\n"
    "  c3 = { redundancy = \"replica\"; copies = 3; checksum = \"xxh3\"; };\n"
    "};\n"
    "limits = { memory = \"64M\"; threads = 1; };\n";

static void must(int r, const char *what)
{
	if (r < 0)
		fail_msg("%s: %s", what, fail_text(r));
}

static struct rig *rig_of(const struct dynfs_os *os)
{
	void *at;

	memcpy(&at, &os, sizeof(at)); /* the table is lent as const */
	return container_of(at, struct rig, os);
}

static void hook(void (*_Atomic *at)(struct rig *), struct rig *r)
{
	void (*fn)(struct rig *) = atomic_load(at);

	if (fn)
		fn(r);
}

static ssize_t rig_pwritev(const struct dynfs_os *os, int fd,
			   const struct iovec *iov, int n, uint64_t off)
{
	struct rig *r = rig_of(os);
	const struct dynfs_os *below = simos_os(r->sim);

	hook(&r->on_write, r);
	return below->pwritev(below, fd, iov, n, off);
}

static int rig_sync(const struct dynfs_os *os, int fd)
{
	struct rig *r = rig_of(os);
	const struct dynfs_os *below = simos_os(r->sim);

	hook(&r->on_sync, r);
	return below->sync(below, fd);
}

static int rig_space(const struct dynfs_os *os, const char *path,
		     struct dynfs_os_space *ret)
{
	struct rig *r = rig_of(os);
	const struct dynfs_os *below = simos_os(r->sim);
	int err = below->space(below, path, ret);

	/* the last of them: what the others have said is known */
	if (!strcmp(path, "/d5"))
		hook(&r->on_space, r);
	return err;
}

static void files_up(struct rig *r)
{
	r->how.os = &r->os;
	r->how.meta = r->meta;
	r->how.extents = r->extents;
	must(files_new(&r->how, &r->files), "files");
	must(files_recover(r->files), "recover");
}

void rig_open(struct rig *r)
{
	struct pool_how how = { .conf = r->conf, .reg = r->reg, .os = &r->os };

	must(pool_open(&how, &r->pool), "open");
	assert_false(pool_readonly(r->pool));
	r->meta = pool_meta(r->pool);
	r->extents = pool_extents(r->pool);
	files_up(r);
}

void rig_close(struct rig *r)
{
	must(files_free(r->files), "close files");
	r->files = NULL;
	must(pool_close(r->pool), "close");
	r->pool = NULL;
}

void rig_refresh(struct rig *r)
{
	must(files_free(r->files), "close files");
	files_up(r);
}

void rig_new(struct rig *r, unsigned n_threads, uint64_t disk_bytes)
{
	const char *dir =
	    getenv("DYNFS_PLUGIN_DIR"); /* NOLINT(concurrency-mt-unsafe) */
	struct pool_how how;

	*r = (struct rig){ .sim = simos_new(1) };
	assert_non_null(r->sim);
	assert_non_null(dir);
	r->os = *simos_os(r->sim);
	r->os.pwritev = rig_pwritev;
	r->os.sync = rig_sync;
	r->os.space = rig_space;
	r->how = (struct files_how){ .extent_bytes = CHUNK,
				     .memory_bytes = 8u << 20,
				     .inline_file_bytes = 512,
				     .inline_sync_bytes = 16384,
				     .inline_most_bytes = 64u << 20,
				     .cut_rows = 512,
				     .n_threads = n_threads,
				     .flush_ns = 20000000 };
	must(reg_open(dir, &r->reg), "registry");
	must(conf_parse(config, sizeof(config) - 1, "/file.conf", NULL, 0,
			&r->conf),
	     "config");
	for (int i = 1; i <= N_DISKS; i++) {
		char path[8];

		(void)snprintf(path, sizeof(path), "/d%d", i);
		assert_int_equal(
		    simos_limit(r->sim, path,
				disk_bytes ? disk_bytes : 1u << 30),
		    0);
	}
	how = (struct pool_how){ .conf = r->conf, .reg = r->reg, .os = &r->os };
	must(pool_create(&how), "create");
	rig_open(r);
}

void rig_free(struct rig *r)
{
	if (r->pool)
		rig_close(r);
	conf_free(r->conf);
	reg_close(r->reg);
	simos_free(r->sim);
}

int rig_begin(void **state, unsigned n_threads, uint64_t disk_bytes)
{
	static struct rig r;

	rig_new(&r, n_threads, disk_bytes);
	*state = &r;
	return 0;
}

int rig_set_up(void **state)
{
	return rig_begin(state, 0, 0);
}

int rig_tear_down(void **state)
{
	rig_free(*state);
	return 0;
}

void rig_crash(struct rig *r)
{
	simos_crash_at(r->sim, 1);
	files_abandon(r->files);
	pool_abandon(r->pool);
	/* the test may fail before there are others */
	r->files = NULL;
	r->pool = NULL;
	if (simos_is_down(r->sim)) {
		simos_restart(r->sim, SIMOS_LOSE, 1);
	} else {
		simos_crash_at(r->sim, 0);
		simos_crash(r->sim, SIMOS_LOSE, 1);
	}
	rig_open(r);
}

/* ---- files ------------------------------------------------------------- */

static void record(struct rig *r, struct inode *in, struct batch *b)
{
	(void)pthread_mutex_lock(&in->lock);
	inode_record(in, b);
	must(meta_commit(r->meta, b, NULL), "commit");
	(void)pthread_mutex_unlock(&in->lock);
	batch_done(b);
}

struct inode *rig_make(struct rig *r)
{
	struct inode_rec rec = { .mode = S_IFREG | 0644, .nlink = 1 };
	struct inode *in;
	struct batch b;

	must(inode_new(r->files, &rec, &in), "inode");
	batch_init(&b);
	record(r, in, &b);
	return in;
}

struct inode *rig_get(struct rig *r, uint64_t ino)
{
	struct inode *in;

	must(inode_get(r->files, ino, &in), "inode");
	return in;
}

void rig_unlink(struct rig *r, struct inode *in)
{
	struct intent_rec intent = { .kind = INTENT_REMOVE };
	struct key key = key_intent(in->ino, INTENT_REMOVE);
	struct buf value = BUF_INIT;
	struct batch b;

	batch_init(&b);
	intent_rec_put(&value, &intent);
	batch_put(&b, key.data, key.len, value.data, value.len);
	buf_done(&value);
	(void)pthread_mutex_lock(&in->lock);
	in->rec.nlink = 0;
	(void)pthread_mutex_unlock(&in->lock);
	record(r, in, &b);
}

void rig_fill(uint8_t *to, uint64_t off, size_t len, unsigned version)
{
	for (size_t i = 0; i < len; i++)
		to[i] = version ? (uint8_t)(hash_u64((off + i) / 8 + version) >>
					    8 * ((off + i) % 8))
				: 0;
}

int rig_write(struct inode *in, uint64_t off, size_t len, unsigned version)
{
	uint8_t *data = malloc(len ? len : 1);
	struct iovec iov = { data, len };
	int r;

	assert_non_null(data);
	rig_fill(data, off, len, version);
	r = file_write(in, off, &iov, 1, false, NULL);
	free(data);
	return r;
}

void rig_check(struct inode *in, uint64_t off, size_t len, unsigned version)
{
	uint8_t *have = malloc(len), *want = malloc(len);
	size_t n = 0;

	assert_non_null(have);
	assert_non_null(want);
	rig_fill(want, off, len, version);
	must(file_read(in, off, len, have, &n), "read");
	assert_int_equal(n, len);
	for (size_t i = 0; i < len; i++)
		if (have[i] != want[i])
			fail_msg("byte %zu is not of version %u",
				 (size_t)off + i, version);
	free(have);
	free(want);
}

int rig_lost(struct inode *in)
{
	uint64_t now;
	int lost = errseq_look(&in->losses, errseq_begin(&in->losses), &now);

	if (lost)
		(void)errseq_heard(&in->losses, now);
	return lost;
}

uint64_t rig_size(struct inode *in)
{
	struct dynfs_attr a;

	inode_attr(in, &a);
	return a.size_bytes;
}

uint64_t rig_stored(struct inode *in)
{
	struct dynfs_attr a;

	inode_attr(in, &a);
	return a.stored_bytes;
}

bool rig_is_clean(struct inode *in)
{
	bool clean;

	(void)pthread_rwlock_rdlock(&in->io);
	clean = !in->content || !in->content->n_runs;
	(void)pthread_rwlock_unlock(&in->io);
	return clean;
}

/* ---- what is stored ---------------------------------------------------- */

static int count_row(void *ctx, const void *key, size_t key_len,
		     const void *value, size_t value_len)
{
	(void)key, (void)key_len, (void)value, (void)value_len;
	++*(unsigned *)ctx;
	return 0;
}

unsigned rig_rows(struct rig *r, const struct key *prefix)
{
	unsigned n = 0;

	must(meta_scan(r->meta, prefix->data, prefix->len, NULL, 0, count_row,
		       &n),
	     "scan");
	return n;
}

struct kinds {
	uint8_t kind;
	unsigned n;
};

static int count_kind(void *ctx, const void *key, size_t key_len,
		      const void *value, size_t value_len)
{
	struct kinds *k = ctx;
	struct slice_rec rec;

	(void)key, (void)key_len;
	assert_int_equal(slice_rec_get(value, value_len, &rec), 0);
	k->n += rec.kind == k->kind;
	return 0;
}

unsigned rig_slices(struct rig *r, uint64_t ino, uint8_t kind)
{
	struct key from = key_slice(ino, 0, 0);
	struct key to = key_slice(ino, UINT64_MAX, UINT64_MAX);
	struct kinds k = { .kind = kind };

	must(meta_scan(r->meta, from.data, from.len, to.data, to.len,
		       count_kind, &k),
	     "scan");
	return k.n;
}

struct extent_id rig_extent(struct rig *r, uint64_t ino, uint64_t chunk)
{
	struct inode *in = rig_get(r, ino);
	struct extent_id id = { 0 };
	struct content *c;
	struct chunk *k;

	assert_int_equal(content_ready(in), 0);
	c = content_of(in);
	assert_int_equal(chunk_load(in, c, chunk, &k), 0);
	assert_int_equal(k->map.n_shown, 1);
	id = k->map.slices[0].extent;
	inode_put(in);
	return id;
}

void rig_exchange(struct rig *r, const struct key *key, struct buf *value)
{
	struct buf was = BUF_INIT;
	struct batch b;

	batch_init(&b);
	assert_int_equal(meta_get(r->meta, key->data, key->len, &was), 0);
	batch_put(&b, key->data, key->len, value->data, value->len);
	assert_int_equal(meta_commit(r->meta, &b, NULL), 0);
	batch_done(&b);
	buf_done(value);
	*value = was;
}

void rig_wait(struct rig *r, bool (*is)(struct rig *r))
{
	const struct timespec wait = { .tv_nsec = 10000000 };

	for (int i = 0; !is(r); i++) {
		assert_true(i < 1000);
		simos_advance(r->sim, 10000000);
		(void)nanosleep(&wait, NULL);
	}
}
