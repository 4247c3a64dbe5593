/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Engines of metadata: an ordered map, batch by batch.
 *
 * The model is an array over a fixed, sorted set of keys: for each the number
 * of the batch that wrote it, 0 when it is not there.  A value follows from
 * its key and that number.
 */
#include "conform.h"

#include <dynfs/meta.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KEYS      400
#define KEY_BYTES 40
#define VALUE_MAX 3000
#define OPS       24
#define MEMORY    (32ull << 20)

struct model {
	struct {
		uint8_t bytes[KEY_BYTES];
		size_t len;
	} key[KEYS];
	uint64_t version[KEYS];
	uint64_t applied;
	uint64_t rng;
};

static const struct dynfs_meta_ops *ops_of(const struct inst *i)
{
	return i->plugin->meta;
}

static int key_order(const void *a, const void *b)
{
	const struct dynfs_meta_span *x = a, *y = b;
	size_t n = x->len < y->len ? x->len : y->len;
	int r = memcmp(x->data, y->data, n);

	return r ? r : (x->len > y->len) - (x->len < y->len);
}

static struct dynfs_meta_span model_key(const struct model *m, int k)
{
	return (struct dynfs_meta_span){ m->key[k].bytes, m->key[k].len };
}

/* Random keys over few letters, so that many begin others; sorted, unique. */
static void model_init(struct model *m, uint64_t seed)
{
	static uint8_t bytes[KEYS][KEY_BYTES];
	struct dynfs_meta_span all[KEYS];
	static const uint8_t letters[] = { 1, 'a', 'b', 0xff, 0 };

	memset(m, 0, sizeof(*m));
	m->rng = seed;
	for (int k = 0; k < KEYS; k++) {
		size_t len = 4 + rnd(&m->rng) % (KEY_BYTES - 4);

		for (size_t b = 0; b < len; b++)
			bytes[k][b] = letters[rnd(&m->rng) % (b ? 5 : 4)];
		/* two bytes of the number: no two keys are equal */
		bytes[k][1] = (uint8_t)(k % 20);
		bytes[k][2] = (uint8_t)(k / 20);
		all[k] = (struct dynfs_meta_span){ bytes[k], len };
	}
	qsort(all, KEYS, sizeof(all[0]), key_order);
	for (int k = 0; k < KEYS; k++) {
		memcpy(m->key[k].bytes, all[k].data, all[k].len);
		m->key[k].len = all[k].len;
	}
}

static size_t model_value(int k, uint64_t version, uint8_t *out)
{
	uint64_t rng = version * 1000 + (uint64_t)k;
	size_t len = rnd(&rng) % (version % 7 ? 60 : VALUE_MAX);

	rnd_bytes(&rng, out, len);
	return len;
}

/* One random batch to both. */
static int model_step(struct model *m, struct inst *i)
{
	static uint8_t value[OPS][VALUE_MAX];
	struct dynfs_meta_op op[OPS];
	uint64_t number = m->applied + 1 + rnd(&m->rng) % 3;
	uint32_t n = (uint32_t)(rnd(&m->rng) % (OPS + 1));
	int which[OPS], err;

	for (uint32_t o = 0; o < n; o++) {
		int k = which[o] = (int)(rnd(&m->rng) % KEYS);

		op[o] = (struct dynfs_meta_op){
			.kind = rnd(&m->rng) % 3 ? DYNFS_META_PUT
						 : DYNFS_META_DELETE,
			.key = model_key(m, k),
		};
		if (op[o].kind == DYNFS_META_PUT)
			op[o].value = (struct dynfs_meta_span){
				value[o], model_value(k, number, value[o])
			};
	}
	err = ops_of(i)->apply(i->self, number, op, n);
	if (err)
		return err;
	for (uint32_t o = 0; o < n; o++)
		m->version[which[o]] =
		    op[o].kind == DYNFS_META_PUT ? number : 0;
	m->applied = number;
	return 0;
}

struct finding {
	const struct model *model;
	const int *which;
	uint32_t n_found;
	bool wrong;
};

static void found_one(void *ctx, uint32_t i, struct dynfs_meta_span value)
{
	struct finding *f = ctx;
	int k = f->which[i];
	uint8_t want[VALUE_MAX];
	size_t len = model_value(k, f->model->version[k], want);

	f->n_found++;
	f->wrong = f->wrong || !f->model->version[k] || value.len != len ||
		   memcmp(value.data, want, len) != 0;
}

static bool gets_agree(struct conform *c, const struct model *m, struct inst *i)
{
	struct dynfs_meta_span keys[KEYS];
	struct finding f = { .model = m };
	int which[KEYS], err;
	uint32_t there = 0;

	for (int k = 0; k < KEYS; k++) {
		which[k] = k * 7 % KEYS; /* not in order */
		keys[k] = model_key(m, which[k]);
		there += m->version[k] != 0;
	}
	f.which = which;
	err = ops_of(i)->get(i->self, keys, KEYS, found_one, &f);
	if (err)
		return no(c, "get() fails: errno %d", -err);
	return (!f.wrong && f.n_found == there) ||
	       no(c, "get() finds %u of %u%s", f.n_found, there,
		  f.wrong ? ", with wrong values" : "");
}

/* The rows of an iterator are those of m from key `from` up to before `to` */
static bool rows_agree(struct conform *c, const struct model *m, struct inst *i,
		       struct dynfs_meta_iter *it, int from, int to)
{
	struct dynfs_meta_span key, value;
	uint8_t want[VALUE_MAX];
	int r;

	for (int k = from; k < to; k++) {
		size_t len;

		if (!m->version[k])
			continue;
		r = ops_of(i)->next(i->self, it, &key, &value);
		if (r != 1)
			return no(c, "next() gives %d before the end", r);
		if (key.len != m->key[k].len ||
		    memcmp(key.data, m->key[k].bytes, key.len) != 0)
			return no(c, "the scan comes to another key");
		len = model_value(k, m->version[k], want);
		if (value.len != len || memcmp(value.data, want, len) != 0)
			return no(c, "the scan has a wrong value");
	}
	r = ops_of(i)->next(i->self, it, &key, &value);
	return !r || no(c, "next() gives %d at the end", r);
}

static bool scan_agrees(struct conform *c, const struct model *m,
			struct inst *i, int from, int to)
{
	struct dynfs_meta_span a = model_key(m, from), b = { NULL, 0 };
	struct dynfs_meta_iter *it = NULL;
	bool good;

	if (to < KEYS)
		b = model_key(m, to);
	if (ops_of(i)->scan(i->self, a, b, &it))
		return no(c, "scan() fails: %s", i->host.fail_text);
	good = rows_agree(c, m, i, it, from, to);
	ops_of(i)->scan_end(i->self, it);
	return good;
}

static bool all_agrees(struct conform *c, struct model *m, struct inst *i)
{
	bool good = gets_agree(c, m, i) && scan_agrees(c, m, i, 0, KEYS);

	for (int n = 0; good && n < 10; n++) {
		int a = (int)(rnd(&m->rng) % KEYS);
		int b = a + (int)(rnd(&m->rng) % (uint64_t)(KEYS + 1 - a));

		good = scan_agrees(c, m, i, a, b);
	}
	return good;
}

static int engine_open(struct inst *i, const char *name, uint32_t flags,
		       uint64_t *ret_applied)
{
	char path[160];
	struct dynfs_meta_open how = { .size = sizeof(how),
				       .path = path,
				       .flags = flags,
				       .memory_bytes = MEMORY };

	(void)snprintf(path, sizeof(path), "%s/%s", i->dir, name);
	return ops_of(i)->open(i->self, &how, ret_applied);
}

static bool ready(struct conform *c, struct inst *i)
{
	uint64_t applied = 99;
	int err;

	if (inst_new(c, i, NULL))
		return false;
	err = engine_open(i, "m", DYNFS_META_OPEN_CREATE, &applied);
	if (err)
		return no(c, "open(CREATE): errno %d, %s", -err,
			  i->host.fail_text);
	return !applied || no(c, "a new engine has %llu applied",
			      (unsigned long long)applied);
}

static bool done(struct conform *c, struct inst *i, bool good)
{
	ops_of(i)->close(i->self);
	return inst_free(c, i) && good;
}

static bool it_is_an_ordered_map(struct conform *c)
{
	struct model m;
	struct inst i;
	bool good = ready(c, &i);

	model_init(&m, c->seed);
	for (int n = 0; good && n < 300; n++) {
		good = !model_step(&m, &i) ||
		       no(c, "apply() fails: %s", i.host.fail_text);
		if (good && n % 20 == 0)
			good = all_agrees(c, &m, &i);
		if (good && n == 150)
			good = !ops_of(&i)->flush(i.self) ||
			       no(c, "flush() fails: %s", i.host.fail_text);
	}
	return done(c, &i, good && all_agrees(c, &m, &i));
}

static bool scans_see_their_moment(struct conform *c)
{
	struct dynfs_meta_span all = { "\x01", 1 }, end = { NULL, 0 };
	struct dynfs_meta_iter *it[3];
	static struct model old[3];
	struct model m;
	struct inst i;
	bool good = ready(c, &i);
	int n_open = 0;

	model_init(&m, c->seed);
	for (int n = 0; good && n < 60; n++) {
		if (n % 20 == 19) {
			old[n_open] = m;
			good =
			    !ops_of(&i)->scan(i.self, all, end, &it[n_open]) ||
			    no(c, "scan() fails");
			n_open += good;
		}
		good = good && !model_step(&m, &i);
	}
	for (int n = 0; n < n_open; n++) {
		good = good && rows_agree(c, &old[n], &i, it[n], 0, KEYS);
		ops_of(&i)->scan_end(i.self, it[n]);
	}
	return done(c, &i, good && all_agrees(c, &m, &i));
}

static int put(struct inst *i, uint64_t number, const void *key, size_t key_len,
	       size_t value_len)
{
	struct dynfs_meta_op op = { .kind = DYNFS_META_PUT,
				    .key = { key, key_len } };
	void *value = calloc(1, value_len + 1);
	int err;

	op.value = (struct dynfs_meta_span){ value, value_len };
	err = value ? ops_of(i)->apply(i->self, number, &op, 1) : -ENOMEM;
	free(value);
	return err;
}

static bool bad_batches_are_refused(struct conform *c)
{
	static uint8_t key[DYNFS_META_KEY_MAX + 1];
	struct model m;
	struct inst i;
	bool good = ready(c, &i);
	const struct {
		uint64_t number;
		size_t key_len, value_len;
		uint8_t first;
		int want;
		const char *what;
	} rows[] = {
		{ 10, 1, 1, 'a', 0, "a first batch" },
		{ 10, 1, 1, 'a', -EINVAL, "the same number again" },
		{ 3, 1, 1, 'a', -EINVAL, "a lower number" },
		{ 11, 0, 1, 'a', -EINVAL, "an empty key" },
		{ 11, 4, 1, 0, -EINVAL, "a key that begins with zero" },
		{ 11, DYNFS_META_KEY_MAX + 1, 1, 'a', -EINVAL, "a long key" },
		{ 11, 3, DYNFS_META_VALUE_MAX + 1, 'a', -EINVAL,
		  "a long value" },
		{ 11, DYNFS_META_KEY_MAX, 0, 'a', 0, "the longest key" },
		{ 12, 5, 1 << 20, 'b', 0, "a value of 1 MiB" },
	};

	for (size_t r = 0; good && r < COUNT(rows); r++) {
		uint64_t before = i.host.n_fails;

		memset(key, 'k', sizeof(key));
		key[0] = rows[r].first;
		good = answered(c, &i, before, rows[r].what,
				put(&i, rows[r].number, key, rows[r].key_len,
				    rows[r].value_len),
				rows[r].want);
	}
	model_init(&m, c->seed);
	m.applied = 12;
	good = good && (!model_step(&m, &i) ||
			no(c, "a batch after refused ones fails"));
	return done(c, &i, good);
}

static bool flushed_is_there_again(struct conform *c)
{
	uint64_t applied = 0;
	struct model m;
	struct inst i;
	bool good = ready(c, &i);

	model_init(&m, c->seed);
	for (int round = 0; good && round < 4; round++) {
		for (int n = 0; good && n < 40; n++)
			good = !model_step(&m, &i) || no(c, "apply() fails");
		good = good && (!ops_of(&i)->flush(i.self) ||
				no(c, "flush() fails: %s", i.host.fail_text));
		ops_of(&i)->close(i.self);
		if (engine_open(&i, "m", round & 1 ? DYNFS_META_OPEN_CREATE : 0,
				&applied)) {
			(void)no(c, "open() after close() fails: %s",
				 i.host.fail_text);
			return false;
		}
		good = good && (applied == m.applied ||
				no(c, "%llu applied, not %llu",
				   (unsigned long long)applied,
				   (unsigned long long)m.applied));
		good = good && all_agrees(c, &m, &i);
	}
	return done(c, &i, good);
}

static bool checkpoints_hold_their_moment(struct conform *c)
{
	char path[160];
	uint64_t at = 0, applied = 0;
	static struct model then;
	struct model m;
	struct inst i, j;
	bool good = ready(c, &i);

	model_init(&m, c->seed);
	(void)snprintf(path, sizeof(path), "%s/check", i.dir);
	for (int n = 0; good && n < 80; n++) {
		if (n == 40) {
			then = m;
			good =
			    !ops_of(&i)->checkpoint(i.self, path, &at) ||
			    no(c, "checkpoint() fails: %s", i.host.fail_text);
		}
		good = good && !model_step(&m, &i);
	}
	good = good && (at == then.applied || no(c, "it says another number"));
	good = good && (ops_of(&i)->checkpoint(i.self, path, &at) < 0 ||
			no(c, "a checkpoint goes over another"));
	good = good && all_agrees(c, &m, &i);
	if (!done(c, &i, good) || inst_new(c, &j, NULL))
		return false;
	(void)snprintf(j.dir, sizeof(j.dir), "%.*s",
		       (int)(strrchr(path, '/') - path), path);
	if (engine_open(&j, "check", DYNFS_META_OPEN_RDONLY, &applied))
		return no(c, "a checkpoint does not open: %s",
			  j.host.fail_text);
	good = (applied == then.applied || no(c, "its number is another")) &&
	       all_agrees(c, &then, &j);
	return done(c, &j, good);
}

static bool opening_keeps_its_flags(struct conform *c)
{
	struct dynfs_meta_stats stats = { .size = sizeof(stats) };
	uint64_t applied;
	char path[160];
	struct model m;
	struct inst i;
	bool good;

	if (inst_new(c, &i, NULL))
		return false;
	good = engine_open(&i, "m", 0, &applied) == -ENOENT ||
	       no(c, "what is not there is not ENOENT");
	good = good &&
	       (engine_open(&i, "m",
			    DYNFS_META_OPEN_CREATE | DYNFS_META_OPEN_RDONLY,
			    &applied) == -ENOENT ||
		no(c, "RDONLY makes something"));
	good =
	    good && (!engine_open(&i, "m", DYNFS_META_OPEN_CREATE, &applied) ||
		     no(c, "CREATE makes nothing: %s", i.host.fail_text));
	model_init(&m, c->seed);
	for (int n = 0; good && n < 10; n++)
		good = !model_step(&m, &i);
	good = good &&
	       (!ops_of(&i)->stats(i.self, &stats) || no(c, "stats() fails"));
	good = good && !ops_of(&i)->flush(i.self);
	if (!good)
		return false;
	ops_of(&i)->close(i.self);
	if (engine_open(&i, "m", DYNFS_META_OPEN_RDONLY, &applied))
		return no(c, "RDONLY: %s", i.host.fail_text);
	(void)snprintf(path, sizeof(path), "%s/check", i.dir);
	good = (put(&i, m.applied + 1, "a", 1, 1) == -EROFS &&
		ops_of(&i)->checkpoint(i.self, path, &applied) == -EROFS) ||
	       no(c, "RDONLY: a change is not EROFS");
	return done(c, &i, good && all_agrees(c, &m, &i));
}

/* ---- for the checks of all kinds ----------------------------------------- */

static int begin(struct inst *i)
{
	uint64_t applied;
	int err = engine_open(i, "common", DYNFS_META_OPEN_CREATE, &applied);

	return err ? err : put(i, 1, "key", 3, 100);
}

static void end(struct inst *i)
{
	ops_of(i)->close(i->self);
}

static void found_any(void *ctx, uint32_t n, struct dynfs_meta_span value)
{
	int *found = ctx;

	(void)n;
	*found += value.len == 100;
}

/* Batches come from one thread at a time: the one with salt 0, 8, 16... */
static int use(struct inst *i, uint64_t salt)
{
	struct dynfs_meta_span key = { "key", 3 }, end_key = { NULL, 0 }, k, v;
	struct dynfs_meta_iter *it;
	int found = 0, err = 0;

	if (salt % 8 == 0)
		err = put(i, salt + 2, "key", 3, 100);
	if (!err)
		err = ops_of(i)->get(i->self, &key, 1, found_any, &found);
	if (!err)
		err = ops_of(i)->scan(i->self, key, end_key, &it);
	if (err)
		return err;
	err = ops_of(i)->next(i->self, it, &k, &v);
	ops_of(i)->scan_end(i->self, it);
	return err < 0 ? err : found != 1 || err != 1;
}

static const char *missing(const struct dynfs_meta_ops *o)
{
	return !o->open || !o->close ? "open() or close() is missing"
	       : !o->get             ? "get() is missing"
	       : !o->scan || !o->next || !o->scan_end
		   ? "scan(), next() or scan_end() is missing"
	       : !o->apply || !o->flush ? "apply() or flush() is missing"
	       : !o->checkpoint || !o->stats
		   ? "checkpoint() or stats() is missing"
		   : NULL;
}

static const char *incomplete(const struct dynfs_plugin *p)
{
	const struct dynfs_meta_ops *o = p->meta;
	const uint64_t known = DYNFS_META_DURABLE | DYNFS_META_VOLATILE;

	return o->size < offsetof(struct dynfs_meta_ops, immutable)
		   ? "size is too short"
	       : o->caps & ~known ? "a capability is unknown"
	       : o->caps == known ? "DURABLE and VOLATILE exclude each other"
				  : missing(o);
}

static const struct check checks[] = {
	{ "It is an ordered map", it_is_an_ordered_map },
	{ "A scan sees the state of its moment", scans_see_their_moment },
	{ "Numbers grow; bad keys, values and numbers are refused",
	  bad_batches_are_refused },
	{ "What was flushed is there when it is opened again",
	  flushed_is_there_again },
	{ "A checkpoint holds the state of its moment",
	  checkpoints_hold_their_moment },
	{ "Opening makes and changes only what its flags allow",
	  opening_keeps_its_flags },
	{ NULL, NULL },
};

const struct kind kind_meta = {
	.name = "meta",
	.incomplete = incomplete,
	.begin = begin,
	.use = use,
	.end = end,
	.checks = checks,
};
