/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inodes that have no name left, and cuts that a crash interrupted.
 *
 * The batch that took the last name away also put an intent record; when
 * nobody refers to the inode any more (idle.c) a worker takes the content away
 * in steps (drain.c) and then, in one batch, record, attributes and intent.
 */
#include <file/private.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/log.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static int reclaim_xattr(void *ctx, const void *key, size_t key_len,
			 const void *value, size_t value_len)
{
	(void)value;
	(void)value_len;
	batch_delete((struct batch *)ctx, key, key_len);
	return 0;
}

/* Record, attributes, intents: in one batch. */
static int reclaim_record(struct inode *in)
{
	struct files *f = in->files;
	struct key xattrs = key_xattr_ino(in->ino), key = key_inode(in->ino);
	struct inode_counted was;
	AUTOBATCH struct batch b;
	int r = 0;

	batch_init(&b);
	AUTOLOCK(&in->lock);
	was = in->counted;
	if (!was.exists)
		return 0; /* done before */
	if (!(in->rec.flags & INODE_PLAIN))
		r = meta_scan(f->how.meta, xattrs.data, xattrs.len, NULL, 0,
			      reclaim_xattr, &b);
	if (r < 0)
		return r;
	batch_delete(&b, key.data, key.len);
	key = key_intent(in->ino, INTENT_REMOVE);
	batch_delete(&b, key.data, key.len);
	key = key_intent(in->ino, INTENT_CUT);
	batch_delete(&b, key.data, key.len);
	count_gone(in, &b);
	r = meta_commit(f->how.meta, &b, NULL);
	if (r < 0)
		inode_uncount(in, &was);
	return r;
}

/* False: it is open again; the last put asks again. */
static bool reclaim_begin(struct inode *in)
{
	struct content *c = in->content;

	AUTOWRLOCK(&in->io);
	if (atomic_load(&in->opens))
		return false;
	if (in->gone)
		return true; /* the next turn */
	in->gone = true;     /* and nothing is written from here on */
	(void)runs_drop(in->files, c);
	c->has_inline = false;
	/* all of it, whatever a cut has left */
	cut_is(c, &(struct cut_left){ .known = true, .below = UINT64_MAX });
	return true;
}

static int reclaim_all(struct inode *in)
{
	int r = content_ready(in);

	if (r < 0)
		return r;
	AUTOLOCK(&in->content->flush);
	if (!reclaim_begin(in))
		return 0;
	r = drain_some(in, in->content, DRAIN_TURN);
	return r ? r : reclaim_record(in);
}

int reclaim_inode(struct inode *in)
{
	int r = reclaim_all(in);

	if (r < 0)
		drain_failed(in, "it is not reclaimed yet", r);
	return r;
}

struct intent {
	uint64_t ino;
	struct intent_rec rec;
};

struct intents {
	struct intent at[256];
	uint32_t n;
	struct key last;
};

static int intent_each(void *ctx, const void *key, size_t key_len,
		       const void *value, size_t value_len)
{
	struct intents *t = (struct intents *)ctx;
	struct intent *i = &t->at[t->n];
	uint8_t kind;

	if (key_parse_intent(key, key_len, &i->ino, &kind) < 0 ||
	    intent_rec_get(value, value_len, &i->rec) < 0) {
		log_error("file", "an intent record is damaged: what it "
				  "wanted done is left undone");
		return 0;
	}
	memcpy(t->last.data, key, key_len);
	t->last.len = key_len;
	return ++t->n == sizeof(t->at) / sizeof(*t->at);
}

static int intent_delete(struct files *f, uint64_t ino, uint8_t kind)
{
	struct key key = key_intent(ino, kind);
	AUTOBATCH struct batch b;

	batch_init(&b);
	batch_delete(&b, key.data, key.len);
	return meta_commit(f->how.meta, &b, NULL);
}

static int intent_do(struct files *f, const struct intent *i)
{
	struct inode *in;
	int r;

	r = inode_get(f, i->ino, &in);
	if (r == -ENOENT)
		return intent_delete(f, i->ino, i->rec.kind);
	if (r < 0)
		return r;
	if (i->rec.kind == INTENT_CUT)
		r = drain_begin(in);
	inode_put(in); /* if it has no name and nobody knows it, it goes */
	return r < 0 ? r : 0;
}

/* Damage in one file is no reason to keep back all others: it waits. */
static int intent_finish(struct files *f, const struct intent *i)
{
	int r = intent_do(f, i);

	if (r != -EUCLEAN)
		return r;
	log_error("file", "inode %" PRIu64 " can not be %s as was begun: %s",
		  i->ino, i->rec.kind == INTENT_CUT ? "cut" : "reclaimed",
		  fail_text(r));
	fail_clear();
	return 0;
}

int reclaim_more(struct files *f, uint64_t *cursor)
{
	struct key from = key_intent(*cursor, 0), end = key_kind('O' + 1);
	struct intents t = { .n = 0 };
	int r = meta_scan(f->how.meta, from.data, from.len, end.data, end.len,
			  intent_each, &t);
	bool more = r >= 0 && t.n == sizeof(t.at) / sizeof(*t.at);
	int failed = r < 0 ? r : 0;

	/* one must not keep back the others, but for want of memory */
	for (uint32_t i = 0; i < t.n && r != -ENOMEM; ++i) {
		r = intent_do(f, &t.at[i]);
		failed = r < 0 ? r : failed;
	}
	fail_clear();
	/* the last one's again: there may be a second of it */
	*cursor = more && r != -ENOMEM ? t.at[t.n - 1].ino : 0;
	return failed;
}

int files_recover(struct files *f)
{
	struct key from = key_kind('O'), end = key_kind('O' + 1);
	struct intents t;
	int r;

	do {
		t.n = 0;
		r = meta_scan(f->how.meta, from.data, from.len, end.data,
			      end.len, intent_each, &t);
		for (uint32_t i = 0; i < t.n && r >= 0; ++i)
			r = intent_finish(f, &t.at[i]);
		if (!t.n)
			break;
		from = t.last;
		from.data[from.len++] = 0; /* just behind it */
	} while (r >= 0 && t.n == sizeof(t.at) / sizeof(*t.at));
	return r;
}
