/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Name spaces as text, so that two of them compare line by line: of the model
 * and, through the view, of a real one.  Directories are walked in the order
 * of names.  Real lines also prove what a line cannot say: readdir, lookup
 * and getattr agree, types are right, and every reference is given back.
 */
#include "model.h"

#include <base/hash.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static const uint8_t sum_key[16] = { 1 };

static void line(struct buf *out, const char *path, const struct dynfs_attr *a,
		 uint64_t body, uint64_t attrs)
{
	buf_printf(out, "%s %o links %u owner %u:%u dev %llu", path, a->mode,
		   a->nlink, a->uid, a->gid, (unsigned long long)a->rdev);
	if (!S_ISDIR(a->mode))
		buf_printf(out, " size %llu",
			   (unsigned long long)a->size_bytes);
	buf_printf(out, " body %llx attrs %llx\n", (unsigned long long)body,
		   (unsigned long long)attrs);
}

/* Order must not matter. */
static uint64_t attr_sum(const char *name, const void *value, size_t len)
{
	return siphash(sum_key, name, strlen(name)) * 3 ^
	       siphash(sum_key, value, len);
}

static int by_name(const void *a, const void *b)
{
	const struct entry *x = (const struct entry *)a;
	const struct entry *y = (const struct entry *)b;

	return strcmp(x->name, y->name);
}

static void dump_node(struct node *in, const char *path, bool content,
		      struct buf *out)
{
	struct dynfs_attr a = { .mode = in->mode,
				.nlink = in->nlink,
				.uid = in->uid,
				.gid = in->gid,
				.rdev = in->rdev,
				.size_bytes = content ? in->content.len : 0 };
	uint64_t body = 0, attrs = 0;

	if (in->target) {
		a.size_bytes = strlen(in->target);
		body = siphash(sum_key, in->target, a.size_bytes);
	} else if (S_ISREG(in->mode) && content) {
		body = siphash(sum_key, in->content.data, in->content.len);
	}
	for (size_t i = 0; i < in->n_attrs; i++)
		attrs += attr_sum(in->attrs[i].name, in->attrs[i].value.data,
				  in->attrs[i].value.len);
	line(out, path, &a, body, attrs);
	if (in->n_kids)
		qsort(in->kids, in->n_kids, sizeof(*in->kids), by_name);
	for (size_t i = 0; i < in->n_kids; i++) {
		struct buf below = BUF_INIT;

		buf_printf(&below, "%s/%s%c", path, in->kids[i].name, 0);
		dump_node(in->kids[i].node, (const char *)below.data, content,
			  out);
		buf_done(&below);
	}
}

void model_dump(const struct model *m, bool content, struct buf *out)
{
	dump_node(m->nodes[0], "", content, out);
	buf_put8(out, 0);
	assert_int_equal(buf_error(out), 0);
}

struct names {
	struct entry *of;
	size_t n;
	uint64_t last;
};

static int take_name(void *ctx, const struct dynfs_dirent *e)
{
	struct names *names = (struct names *)ctx;

	assert_true(e->cookie > names->last);
	names->last = e->cookie;
	assert_int_equal(strlen(e->name), e->name_len);
	if (e->cookie <= 2)
		return 0;
	names->of = (struct entry *)realloc(names->of, (names->n + 1) *
							   sizeof(*names->of));
	assert_non_null(names->of);
	names->of[names->n].name = strdup(e->name);
	/* a real inode rides where the model has a node */
	names->of[names->n].node =
	    (struct node *)calloc(1, sizeof(struct node));
	assert_non_null(names->of[names->n].node);
	names->of[names->n].node->ino = e->ino;
	names->of[names->n++].node->mode = e->type;
	return 0;
}

static uint64_t real_attrs(const struct dynfs_fs_view *fs, uint64_t ino)
{
	static _Thread_local char list[65536], value[65536];
	static const struct dynfs_caller root = { .uid = 0 };
	size_t len, n;
	uint64_t sum = 0;

	assert_int_equal(
	    fs->listxattr(fs->ctx, ino, list, sizeof(list), &root, &len), 0);
	for (const char *at = list; at < list + len; at += strlen(at) + 1) {
		assert_int_equal(
		    fs->getxattr(fs->ctx, ino, at, value, sizeof(value), &n),
		    0);
		sum += attr_sum(at, value, n);
	}
	return sum;
}

static void take_body(void *ctx, int err, const struct iovec *iov, uint32_t n)
{
	struct buf *to = (struct buf *)ctx;

	assert_int_equal(err, 0);
	for (uint32_t i = 0; i < n; i++)
		buf_put(to, iov[i].iov_base, iov[i].iov_len);
}

static uint64_t real_body(const struct dynfs_fs_view *fs,
			  const struct dynfs_attr *a)
{
	struct buf body = BUF_INIT;
	uint64_t sum;

	while (body.len < a->size_bytes) {
		size_t before = body.len;

		fs->read(fs->ctx, a->ino, NULL, before, 1 << 20, take_body,
			 &body);
		assert_true(body.len > before);
	}
	sum = siphash(sum_key, body.data, body.len);
	buf_done(&body);
	return sum;
}

static uint64_t real_target(const struct dynfs_fs_view *fs, uint64_t ino)
{
	char target[4096];
	size_t len;

	assert_int_equal(
	    fs->readlink(fs->ctx, ino, target, sizeof(target), &len), 0);
	return siphash(sum_key, target, len);
}

static void dump_real(const struct dynfs_fs_view *fs, uint64_t ino,
		      const char *path, bool content, struct buf *out);

static void dump_real_dir(const struct dynfs_fs_view *fs, uint64_t ino,
			  const char *path, bool content, struct buf *out)
{
	struct names names = { NULL, 0, 0 };

	assert_int_equal(fs->readdir(fs->ctx, ino, 0, 0, take_name, &names), 0);
	if (names.n)
		qsort(names.of, names.n, sizeof(*names.of), by_name);
	for (size_t i = 0; i < names.n; i++) {
		struct buf below = BUF_INIT;
		struct entry *e = &names.of[i];
		struct dynfs_attr a;

		assert_int_equal(fs->lookup(fs->ctx, ino, e->name, &a), 0);
		assert_int_equal(a.ino, e->node->ino);
		assert_int_equal(a.mode & S_IFMT, e->node->mode);
		buf_printf(&below, "%s/%s%c", path, e->name, 0);
		dump_real(fs, a.ino, (const char *)below.data, content, out);
		fs->forget(fs->ctx, a.ino, 1);
		buf_done(&below);
		free(e->name);
		free(e->node);
	}
	free(names.of);
}

static void dump_real(const struct dynfs_fs_view *fs, uint64_t ino,
		      const char *path, bool content, struct buf *out)
{
	struct dynfs_attr a;
	uint64_t body = 0;

	assert_int_equal(fs->getattr(fs->ctx, ino, &a), 0);
	if (S_ISLNK(a.mode)) {
		body = real_target(fs, ino);
	} else if (S_ISREG(a.mode)) {
		body = content ? real_body(fs, &a) : 0;
		a.size_bytes = content ? a.size_bytes : 0;
	} else {
		a.size_bytes = 0;
	}
	line(out, path, &a, body, real_attrs(fs, ino));
	if (S_ISDIR(a.mode))
		dump_real_dir(fs, ino, path, content, out);
}

void view_dump(const struct dynfs_fs_view *fs, bool content, struct buf *out)
{
	dump_real(fs, DYNFS_ROOT_INO, "", content, out);
	buf_put8(out, 0);
	assert_int_equal(buf_error(out), 0);
}

void dumps_equal(const struct buf *want, const struct buf *have)
{
	const char *a = (const char *)want->data, *b = (const char *)have->data;

	while (*a && *b) {
		size_t n = strcspn(a, "\n") + 1;

		if (strncmp(a, b, n) != 0)
			break;
		a += n;
		b += n;
	}
	if (!*a && !*b)
		return;
	print_error("model: %.*s\n", (int)strcspn(a, "\n"), a);
	print_error("real:  %.*s\n", (int)strcspn(b, "\n"), b);
	fail();
}
