/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How large and how fast an engine is with the rows of real files:
 * `bench_engine ENGINE [FILES [MEMORY [FOLDER [option=value...]]]]`.
 *
 * A file of 4 KiB under erasure 4+2 is 13 rows, as the format has them: inode,
 * slice, directory entry, parent, extent with six places and roots, live bytes,
 * back reference and one row for each fragment of a disk.  Batches are of 10
 * files, as a busy commit group would have.  Ends with 1 when the engine uses
 * more memory than it was given.
 */
#include "model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define ROWS         13
#define GROUP        10
#define GETS         200000
#define LATENCIES    (1 << 20)
#define CACHED_FILES 500

struct row {
	uint8_t key[40], value[320];
	size_t key_len, value_len;
};

struct file {
	uint64_t ino, parent, cookie, epoch, counter;
	struct row rows[ROWS];
	int n;
};

static uint64_t bench_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void put(uint8_t *to, size_t *len, const void *data, size_t n)
{
	memcpy(to + *len, data, n);
	*len += n;
}

static void put_be(uint8_t *to, size_t *len, uint64_t v, int bytes)
{
	while (bytes--)
		to[(*len)++] = (uint8_t)(v >> (8 * bytes));
}

static void put_random(uint8_t *to, size_t *len, uint64_t *rnd, size_t n)
{
	while (n--)
		to[(*len)++] = (uint8_t)random_next(rnd);
}

static struct row *row_new(struct file *f, char kind)
{
	struct row *r = &f->rows[f->n++];

	*r = (struct row){ .key_len = 1, .value_len = 1 };
	r->key[0] = (uint8_t)kind;
	r->value[0] = 1;
	return r;
}

static void key_tree(struct row *r, uint64_t ino)
{
	put_be(r->key, &r->key_len, 0, 4);
	put_be(r->key, &r->key_len, ino, 8);
}

static void key_extent(struct row *r, const struct file *f)
{
	put_be(r->key, &r->key_len, f->epoch, 8);
	put_be(r->key, &r->key_len, f->counter, 8);
}

static void file_names(struct file *f, uint64_t *rnd)
{
	struct row *r = row_new(f, 'I');
	uint64_t now = 1790000000u + f->ino / 3000;
	char name[64];

	key_tree(r, f->ino);
	put_be(r->value, &r->value_len, 0xa4810100, 4); /* mode, owner */
	put_be(r->value, &r->value_len, 0xe807e80701, 5);
	put_random(r->value, &r->value_len, rnd, 8); /* generation */
	put_be(r->value, &r->value_len, 0x802080200002, 6);
	for (int i = 0; i < 4; ++i) {
		put(r->value, &r->value_len, &now, 8);
		put_be(r->value, &r->value_len, f->ino * 333333 % 1000000000,
		       4);
	}
	r->value[r->value_len++] = 0;
	r = row_new(f, 'D');
	key_tree(r, f->parent);
	put_be(r->key, &r->key_len, f->cookie, 8);
	put_be(r->value, &r->value_len, 8, 2);
	put(r->value, &r->value_len, &f->ino, 3);
	(void)snprintf(name, sizeof(name), "IMG_%06llu-%04x.jpeg",
		       (unsigned long long)f->ino,
		       (unsigned)(random_next(rnd) & 0xffff));
	put(r->value, &r->value_len, name, strlen(name));
	r = row_new(f, 'P');
	key_tree(r, f->ino);
	put_be(r->key, &r->key_len, f->parent, 8);
	put_be(r->key, &r->key_len, f->cookie, 8);
}

static void file_content(struct file *f, uint64_t *rnd)
{
	struct row *s = row_new(f, 'S'), *e = row_new(f, 'E');
	struct row *l = row_new(f, 'L'), *r = row_new(f, 'R');

	key_tree(s, f->ino);
	put_be(s->key, &s->key_len, 0, 16);
	put_be(s->value, &s->value_len, 0x01008020, 4);
	put(s->value, &s->value_len, &f->epoch, 8);
	put(s->value, &s->value_len, &f->counter, 8);
	s->value[s->value_len++] = 0;
	key_extent(l, f);
	put_be(l->value, &l->value_len, 0x8020, 2);
	key_extent(r, f);
	key_tree(r, f->ino);
	put_be(r->key, &r->key_len, 0, 16);
	key_extent(e, f);
	put_be(e->value, &e->value_len, 0x0001010402808001, 8);
	put_be(e->value, &e->value_len, 0x2080208020800807, 8);
	for (uint64_t i = 0; i < 6; ++i) {
		uint64_t disk = (f->counter + i) % 8;
		uint64_t segment = f->counter / 40000 * 8 + disk;
		uint64_t at = f->counter % 40000 * 1664;
		struct row *q = row_new(f, 'Q');

		e->value[e->value_len++] = (uint8_t)disk;
		put(e->value, &e->value_len, &segment, 8);
		put(e->value, &e->value_len, &at, 8);
		put_random(e->value, &e->value_len, rnd, 32);
		put_be(q->key, &q->key_len, disk, 4);
		key_extent(q, f);
		put_be(q->key, &q->key_len, i, 2);
	}
}

static void file_make(struct file *f, uint64_t i)
{
	uint64_t rnd = i * 0xd1342543de82ef95ull + 1;

	f->ino = 2 + i;
	f->parent = 1 + i / 500 * 500;
	f->cookie = random_next(&rnd) >> 1;
	f->epoch = 0x8f3a57c1d2e4b690ull;
	f->counter = i;
	f->n = 0;
	file_names(f, &rnd);
	file_content(f, &rnd);
}

/* ---- measuring ------------------------------------------------------- */

static int order_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void latency_print(const char *what, uint32_t *ns, size_t n)
{
	size_t half = n / 2, most = n / 100 * 99;
	uint64_t sum = 0;

	for (size_t i = 0; i < n; ++i)
		sum += ns[i];
	qsort(ns, n, sizeof(ns[0]), order_u32);
	print_message("%-24s mean %6.1f us  p50 %6.1f  p99 %7.1f  "
		      "max %8.1f\n",
		      what, (double)sum / (double)n / 1e3, ns[half] / 1e3,
		      ns[most] / 1e3, ns[n - 1] / 1e3);
}

static long rss_mib(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	char line[128] = "", *pages;

	if (!f)
		return 0;
	pages = fgets(line, sizeof(line), f) ? strchr(line, ' ') : NULL;
	(void)fclose(f);
	return pages ? strtol(pages, NULL, 10) / 256 : 0;
}

struct bench {
	struct engine *e;
	uint64_t files, memory, most;
	uint64_t bytes; /* of keys and values */
	uint32_t *ns;
};

static struct dynfs_meta_stats bench_stats(struct bench *b)
{
	struct dynfs_meta_stats s = { .size = sizeof(s) };

	assert_int_equal(b->e->ops->stats(b->e->self, &s), 0);
	if (s.memory_bytes > b->most)
		b->most = s.memory_bytes;
	return s;
}

static void bench_fill(struct bench *b)
{
	static struct file f[GROUP];
	struct dynfs_meta_op ops[GROUP * ROWS];
	uint64_t began = bench_ns(), n = 0, number = 0;

	while (n < b->files) {
		uint64_t start;
		uint32_t k = 0;

		for (int i = 0; i < GROUP; ++i) {
			file_make(&f[i], n++);
			for (int r = 0; r < f[i].n; ++r) {
				struct row *row = &f[i].rows[r];

				ops[k++] = (struct dynfs_meta_op){
					.kind = DYNFS_META_PUT,
					.key = { row->key, row->key_len },
					.value = { row->value, row->value_len },
				};
				b->bytes += row->key_len + row->value_len;
			}
		}
		start = bench_ns();
		assert_int_equal(b->e->ops->apply(b->e->self, ++number, ops, k),
				 0);
		b->ns[number % LATENCIES] = (uint32_t)(bench_ns() - start);
		if (number % 256 == 0)
			(void)bench_stats(b);
	}
	print_message("%-24s %llu files, %llu rows, %.0f bytes a row, "
		      "%.2f s, %ld MiB RSS\n",
		      "fill", (unsigned long long)b->files,
		      (unsigned long long)b->files * ROWS,
		      (double)b->bytes / (double)(b->files * ROWS),
		      (double)(bench_ns() - began) / 1e9, rss_mib());
	latency_print("apply of 130 rows", b->ns + 1,
		      number < LATENCIES ? number : LATENCIES - 1);
}

static void got(void *ctx, uint32_t i, struct dynfs_meta_span value)
{
	(void)i;
	*(uint64_t *)ctx += value.len > 0;
}

/* Inodes of `span` files, or of ones that do not exist. */
static void bench_gets(struct bench *b, const char *what, uint64_t span,
		       uint64_t offset, uint32_t together)
{
	struct dynfs_meta_span keys[16];
	struct row rows[16];
	uint64_t rnd = 1, found = 0;
	uint32_t n = 0;

	while (n < GETS / together) {
		uint64_t start;

		for (uint32_t i = 0; i < together; ++i) {
			rows[i].key_len = 1;
			rows[i].key[0] = 'I';
			key_tree(&rows[i],
				 2 + offset + random_next(&rnd) % span);
			keys[i] = (struct dynfs_meta_span){ rows[i].key,
							    rows[i].key_len };
		}
		start = bench_ns();
		assert_int_equal(
		    b->e->ops->get(b->e->self, keys, together, got, &found), 0);
		b->ns[n++] = (uint32_t)(bench_ns() - start);
		if (n % 4096 == 0)
			(void)bench_stats(b);
	}
	assert_int_equal(found, offset ? 0 : n * together);
	latency_print(what, b->ns, n);
}

static void bench_scans(struct bench *b)
{
	struct dynfs_meta_span key, value;
	uint64_t rnd = 2, rows = 0;
	uint32_t n = 0;

	while (n < 2000) {
		struct row from = { .key = "D", .key_len = 1 };
		struct row to = { .key = "D", .key_len = 1 };
		uint64_t dir = random_next(&rnd) % (b->files / 500 + 1) * 500;
		struct dynfs_meta_iter *it;
		uint64_t start = bench_ns();

		key_tree(&from, dir + 1);
		key_tree(&to, dir + 2);
		assert_int_equal(
		    b->e->ops->scan(
			b->e->self,
			(struct dynfs_meta_span){ from.key, from.key_len },
			(struct dynfs_meta_span){ to.key, to.key_len }, &it),
		    0);
		while (b->e->ops->next(b->e->self, it, &key, &value) > 0)
			++rows;
		b->e->ops->scan_end(b->e->self, it);
		b->ns[n++] = (uint32_t)(bench_ns() - start);
	}
	(void)bench_stats(b);
	print_message("%-24s %.0f rows each\n", "scan", (double)rows / n);
	latency_print("scan of a folder", b->ns, n);
}

static void bench_size(struct bench *b, const char *when)
{
	struct dynfs_meta_stats s = bench_stats(b);

	print_message("%-24s disk %llu bytes: %.0f a file, %.1f a row; "
		      "memory %.1f MiB, RSS %ld MiB\n",
		      when, (unsigned long long)s.disk_bytes,
		      (double)s.disk_bytes / (double)b->files,
		      (double)s.disk_bytes / (double)(b->files * ROWS),
		      (double)s.memory_bytes / 1048576.0, rss_mib());
}

static void bench_reopen(struct bench *b, const char *path)
{
	uint64_t start = bench_ns(), applied;

	engine_close(b->e);
	print_message("%-24s %.1f ms\n", "close",
		      (double)(bench_ns() - start) / 1e6);
	start = bench_ns();
	assert_int_equal(engine_open(b->e, path, 0, b->memory, &applied), 0);
	print_message("%-24s %.1f ms\n", "open",
		      (double)(bench_ns() - start) / 1e6);
	assert_int_equal(applied, (b->files + GROUP - 1) / GROUP);
}

static void bench_run(struct bench *b, const char *top)
{
	char *path = folder_join(top, "engine");
	char *to = folder_join(top, "checkpoint");
	uint64_t start, applied;

	assert_int_equal(engine_open(b->e, path, DYNFS_META_OPEN_CREATE,
				     b->memory, &applied),
			 0);
	bench_fill(b);
	start = bench_ns();
	assert_int_equal(b->e->ops->flush(b->e->self), 0);
	print_message("%-24s %.1f ms\n", "flush",
		      (double)(bench_ns() - start) / 1e6);
	bench_size(b, "after the flush");
	bench_gets(b, "get, all files", b->files, 0, 1);
	bench_gets(b, "get, few files", CACHED_FILES, 0, 1);
	bench_gets(b, "get, not there", b->files, b->files, 1);
	bench_gets(b, "get 16, all files", b->files, 0, 16);
	bench_scans(b);
	start = bench_ns();
	assert_int_equal(b->e->ops->checkpoint(b->e->self, to, &applied), 0);
	print_message("%-24s %.1f ms\n", "checkpoint",
		      (double)(bench_ns() - start) / 1e6);
	bench_reopen(b, path);
	bench_size(b, "after all");
	print_message("%-24s %.1f of %.0f MiB\n", "most memory",
		      (double)b->most / 1048576.0,
		      (double)b->memory / 1048576.0);
	free(to);
	free(path);
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "rocksdb";
	struct bench b = { .files = 80000, .memory = 64 };
	char *top;
	int over;

	if (argc > 2)
		b.files = strtoull(argv[2], NULL, 10);
	if (argc > 3)
		b.memory = strtoull(argv[3], NULL, 10);
	b.files = (b.files + GROUP - 1) / GROUP * GROUP;
	b.memory <<= 20;
	if (argc > 4)
		(void)setenv("TMPDIR", argv[4], 1);
	b.ns = calloc(LATENCIES, sizeof(b.ns[0]));
	assert_non_null(b.ns);
	top = folder_new();
	b.e = engine_new_with(name, NULL,
			      argc > 5 ? (const char *const *)argv + 5 : NULL);
	bench_run(&b, top);
	engine_free(b.e);
	folder_drop(top);
	free(b.ns);
	over = strcmp(name, "mem") != 0 && b.most > b.memory;
	if (over)
		print_message("more memory than it was given\n");
	return over;
}
