/* SPDX-License-Identifier: Apache-2.0 */
/* extent list and show, redundancy show. */
#include <control/private.h>

#include <base/fail.h>
#include <errno.h>
#include <inttypes.h>
#include <pool/pool.h>
#include <stdio.h>
#include <string.h>

#define EXTENT_ROWS_MAX 100000

static const struct command_field extent_columns[] = {
	{ "offset", "OFFSET", FIELD_COUNT, NULL },
	{ "length_bytes", "LENGTH", FIELD_BYTES, NULL },
	{ "kind", "KIND", FIELD_TEXT, NULL },
	{ "extent", "EXTENT", FIELD_TEXT, NULL },
	{ "policy", "POLICY", FIELD_TEXT, NULL },
	{ "disks", "DISKS", FIELD_TEXT, NULL },
	{ "health", "HEALTH", FIELD_TEXT, NULL },
	{ 0 },
};

static const struct command_field list_fields[] = {
	{ "extents", "", FIELD_TABLE, extent_columns },
	{ "cut", "Note", FIELD_TEXT, NULL },
	{ 0 },
};

static void extent_name(struct extent_id id, char out[33])
{
	(void)snprintf(out, 33, "%016" PRIx64 "%016" PRIx64, id.epoch,
		       id.counter);
}

static const char *health_word(struct extents *x, const struct extent_rec *r)
{
	struct extent_state s;

	(void)extent_state(x, r, &s);
	if (r->flags & EXTENT_POISONED)
		return "damaged";
	if (!s.readable)
		return "unreadable";
	return s.full ? "full" : "degraded";
}

static void extent_fill(struct extents *x, struct extent_id id,
			const struct extent_rec *r, json_t *row)
{
	const struct policy *p = extents_policy(x, r->stored_as);
	json_t *disks = json_array();
	char name[33];

	extent_name(id, name);
	for (uint32_t i = 0; i < r->k + r->m; ++i)
		(void)json_array_append_new(
		    disks, r->fragments[i].disk
			       ? json_integer(r->fragments[i].disk)
			       : json_null());
	(void)json_object_set_new(row, "extent", json_string(name));
	(void)json_object_set_new(row, "policy",
				  p ? json_string(p->spec) : json_null());
	(void)json_object_set_new(row, "disks", disks);
	(void)json_object_set_new(row, "health",
				  json_string(health_word(x, r)));
}

struct listing {
	struct extents *x;
	json_t *rows;
	int64_t left;
};

static int list_file_row(void *ctx, const struct file_extent *f)
{
	static const char *const kinds[] = { [SLICE_EXTENT] = "extent",
					     [SLICE_HOLE] = "hole",
					     [SLICE_INLINE] = "inline",
					     [SLICE_RESERVED] = "reserved" };
	struct listing *l = (struct listing *)ctx;
	struct extent_rec rec;
	json_t *row;

	if (l->left-- <= 0)
		return 1;
	row = json_pack("{sI sI ss}", "offset", (json_int_t)f->offset,
			"length_bytes", (json_int_t)f->length, "kind",
			kinds[f->kind]);
	if (f->kind == SLICE_EXTENT &&
	    extent_record(l->x, f->extent, &rec) >= 0)
		extent_fill(l->x, f->extent, &rec, row);
	(void)json_array_append_new(l->rows, row);
	return 0;
}

static int list_all_row(void *ctx, const void *key, size_t key_len,
			const void *value, size_t value_len)
{
	struct listing *l = (struct listing *)ctx;
	struct extent_rec rec;
	struct extent_id id;
	json_t *row;

	if (l->left-- <= 0)
		return 1;
	if (key_parse_extent(key, key_len, &id) < 0 ||
	    extent_rec_get(value, value_len, &rec) < 0)
		return fail(-EUCLEAN, "the record of an extent is damaged");
	row =
	    json_pack("{sI ss}", "length_bytes", (json_int_t)rec.plain_len,
		      "kind", rec.flags & EXTENT_PACKED ? "packed" : "extent");
	extent_fill(l->x, id, &rec, row);
	(void)json_array_append_new(l->rows, row);
	return 0;
}

static int list_file(struct call *c, struct listing *l, const char *path)
{
	struct inode *in;
	int r = tree_walk(pool_tree(call_pool(c)), path, &in);

	if (r < 0)
		return fail(r, "%s: %s", path, strerrordesc_np(-r));
	r = file_map(in, list_file_row, l);
	inode_put(in);
	return r;
}

static const struct command_arg list_args[] = {
	{ "file", ARG_STRING, ARG_POSITIONAL, "FILE",
	  "only of this file: its path within the pool" },
	{ "limit", ARG_INT, 0, "N", "at most so many (1000)" },
	{ 0 },
};

static int list_run(struct call *c)
{
	struct key all = key_kind('E');
	struct listing l = { .x = pool_extents(call_pool(c)),
			     .rows = json_array(),
			     .left = call_int(c, "limit", 1000) };
	const char *path = call_string(c, "file");
	int r;

	if (l.left < 1 || l.left > EXTENT_ROWS_MAX) {
		json_decref(l.rows);
		return fail(-EINVAL, "--limit is 1 to %d", EXTENT_ROWS_MAX);
	}
	r = path ? list_file(c, &l, path)
		 : meta_scan(pool_meta(call_pool(c)), all.data, all.len, NULL,
			     0, list_all_row, &l);
	(void)json_object_set_new(call_reply(c), "extents", l.rows);
	if (l.left < 0)
		(void)json_object_set_new(
		    call_reply(c), "cut",
		    json_string("there are more; see --limit"));
	return r;
}

/* ---- extent show ----------------------------------------------------- */

static const struct command_field fragment_columns[] = {
	{ "index", "INDEX", FIELD_COUNT, NULL },
	{ "role", "ROLE", FIELD_TEXT, NULL },
	{ "disk", "DISK", FIELD_COUNT, NULL },
	{ "state", "STATE", FIELD_TEXT, NULL },
	{ "root", "ROOT", FIELD_TEXT, NULL },
	{ 0 },
};

static const struct command_field owner_columns[] = {
	{ "path", "PATH", FIELD_TEXT, NULL },
	{ "chunk", "CHUNK", FIELD_COUNT, NULL },
	{ "sequence", "SEQUENCE", FIELD_COUNT, NULL },
	{ 0 },
};

static const struct command_field show_fields[] = {
	{ "extent", "Extent", FIELD_TEXT, NULL },
	{ "policy", "Stored as", FIELD_TEXT, NULL },
	{ "health", "Health", FIELD_TEXT, NULL },
	{ "plain_bytes", "Content", FIELD_BYTES, NULL },
	{ "stored_bytes", "On disks", FIELD_BYTES, NULL },
	{ "block_bytes", "Block", FIELD_BYTES, NULL },
	{ "fragments", "\nFragments", FIELD_TABLE, fragment_columns },
	{ "owners", "\nOwners", FIELD_TABLE, owner_columns },
	{ 0 },
};

/* 16 hexadecimal digits. */
static uint64_t id_half(const char *text)
{
	uint64_t v = 0;

	for (int i = 0; i < 16; ++i)
		v = v << 4 | (uint64_t)(text[i] <= '9' ? text[i] - '0'
						       : text[i] - 'a' + 10);
	return v;
}

static int id_parse(const char *text, struct extent_id *ret)
{
	if (strlen(text) != 32 || strspn(text, "0123456789abcdef") != 32)
		return fail(-EINVAL, "an extent is named by 32 hexadecimal "
				     "digits; extent list shows them");
	*ret = (struct extent_id){ id_half(text), id_half(text + 16) };
	return 0;
}

static void root_text(const uint8_t *root, uint32_t len, char *out)
{
	for (size_t i = 0; i < len && i < 8; ++i)
		(void)snprintf(out + 2 * i, 3, "%02x", root[i]);
}

static json_t *show_fragments(struct extents *x, const struct extent_rec *r)
{
	const struct policy *p = extents_policy(x, r->stored_as);
	json_t *rows = json_array();
	struct extent_state s;

	(void)extent_state(x, r, &s);
	for (uint32_t i = 0; i < r->k + r->m; ++i) {
		const struct fragment_rec *f = &r->fragments[i];
		char root[17] = "";

		root_text(f->root, r->digest_len, root);
		(void)json_array_append_new(
		    rows,
		    json_pack(
			"{si ss so ss ss}", "index", (int)i, "role",
			p && p->copies ? "copy"
			: i < r->k     ? "data"
				       : "check",
			"disk", f->disk ? json_integer(f->disk) : json_null(),
			"state", s.present >> i & 1 ? "present" : "missing",
			"root", root));
	}
	return rows;
}

struct owners {
	struct tree *tree;
	json_t *rows;
	uint64_t chunk, sequence;
};

static int owner_path(void *ctx, const char *path)
{
	struct owners *o = (struct owners *)ctx;

	(void)json_array_append_new(
	    o->rows, json_pack("{so sI sI}", "path", control_text(path),
			       "chunk", (json_int_t)o->chunk, "sequence",
			       (json_int_t)o->sequence));
	return 0;
}

static int owner_ref(void *ctx, const void *key, size_t key_len,
		     const void *value, size_t value_len)
{
	struct owners *o = (struct owners *)ctx;
	struct extent_id id;
	uint64_t ino;

	(void)value;
	(void)value_len;
	if (key_parse_ref(key, key_len, &id, &ino, &o->chunk, &o->sequence) < 0)
		return fail(-EUCLEAN, "a back reference is damaged");
	return tree_paths(o->tree, ino, owner_path, o);
}

static const struct command_arg show_args[] = {
	{ "extent", ARG_STRING, ARG_REQUIRED | ARG_POSITIONAL, "EXTENT",
	  "its 32 hexadecimal digits" },
	{ 0 },
};

static int show_run(struct call *c)
{
	struct pool *p = call_pool(c);
	struct owners o = { .tree = pool_tree(p), .rows = json_array() };
	json_t *reply = call_reply(c);
	struct extent_rec rec;
	struct extent_id id = { 0, 0 };
	struct key refs;
	int r = id_parse(call_string(c, "extent"), &id);

	if (r >= 0) {
		r = extent_record(pool_extents(p), id, &rec);
		if (r == -ENOENT)
			r = fail(r, "there is no such extent");
	}
	if (r < 0) {
		json_decref(o.rows);
		return r;
	}
	extent_fill(pool_extents(p), id, &rec, reply);
	(void)json_object_set_new(reply, "plain_bytes",
				  json_integer((json_int_t)rec.plain_len));
	(void)json_object_set_new(reply, "stored_bytes",
				  json_integer((json_int_t)rec.payload_len *
					       (json_int_t)(rec.k + rec.m)));
	(void)json_object_set_new(reply, "block_bytes",
				  json_integer(rec.block_bytes));
	(void)json_object_set_new(reply, "fragments",
				  show_fragments(pool_extents(p), &rec));
	refs = key_ref_extent(id);
	r = meta_scan(pool_meta(p), refs.data, refs.len, NULL, 0, owner_ref,
		      &o);
	(void)json_object_set_new(reply, "owners", o.rows);
	return r;
}

/* ---- redundancy show ------------------------------------------------- */

static const struct command_field policy_columns[] = {
	{ "name", "POLICY", FIELD_TEXT, NULL },
	{ "form", "FORM", FIELD_TEXT, NULL },
	{ "survives", "SURVIVES", FIELD_TEXT, NULL },
	{ "overhead", "COST", FIELD_TEXT, NULL },
	{ "extents", "EXTENTS", FIELD_COUNT, NULL },
	{ "bytes", "CONTENT", FIELD_BYTES, NULL },
	{ "degraded", "DEGRADED", FIELD_COUNT, NULL },
	{ "unreadable", "UNREADABLE", FIELD_COUNT, NULL },
	{ "usable_bytes", "USABLE", FIELD_BYTES, NULL },
	{ "free_bytes", "FREE", FIELD_BYTES, NULL },
	{ 0 },
};

static const struct command_field redundancy_fields[] = {
	{ "policies", "", FIELD_TABLE, policy_columns },
	{ 0 },
};

#define TALLIES_MAX 256u

struct tally {
	struct extents *x;
	struct {
		uint32_t id;
		int64_t extents, bytes, degraded, unreadable;
	} of[TALLIES_MAX];
	uint32_t n;
};

static int tally_row(void *ctx, const void *key, size_t key_len,
		     const void *value, size_t value_len)
{
	struct tally *t = (struct tally *)ctx;
	struct extent_state s;
	struct extent_rec r;
	uint32_t i = 0;

	(void)key;
	(void)key_len;
	if (extent_rec_get(value, value_len, &r) < 0)
		return fail(-EUCLEAN, "the record of an extent is damaged");
	while (i < t->n && t->of[i].id != r.policy)
		i++;
	if (i == TALLIES_MAX)
		return 0;
	if (i == t->n)
		t->of[t->n++].id = r.policy;
	(void)extent_state(t->x, &r, &s);
	t->of[i].extents++;
	t->of[i].bytes += (int64_t)r.plain_len;
	t->of[i].degraded += !s.full;
	t->of[i].unreadable += !s.readable;
	return 0;
}

static json_t *policy_row(struct pool *p, const struct policy *q,
			  const struct tally *t)
{
	uint64_t total, avail;
	json_t *row;

	extents_capacity(pool_extents(p), q, &total, &avail);
	row = json_pack(
	    "{ss ss so so sI sI}", "name", q->name, "form", q->spec, "survives",
	    json_sprintf("%u disk%s", q->m, q->m == 1 ? "" : "s"), "overhead",
	    json_sprintf("%.2fx", (q->k + q->m) / (double)q->k), "usable_bytes",
	    (json_int_t)total, "free_bytes", (json_int_t)avail);
	for (uint32_t i = 0; i <= t->n && row; ++i) {
		bool here = i < t->n && t->of[i].id == q->id;

		if (!here && i < t->n)
			continue;
		(void)json_object_set_new(
		    row, "extents", json_integer(here ? t->of[i].extents : 0));
		(void)json_object_set_new(
		    row, "bytes", json_integer(here ? t->of[i].bytes : 0));
		(void)json_object_set_new(
		    row, "degraded",
		    json_integer(here ? t->of[i].degraded : 0));
		(void)json_object_set_new(
		    row, "unreadable",
		    json_integer(here ? t->of[i].unreadable : 0));
		break;
	}
	return row;
}

static int redundancy_run(struct call *c)
{
	struct pool *p = call_pool(c);
	struct tally t = { .x = pool_extents(p) };
	const struct policy *q[TALLIES_MAX];
	struct key all = key_kind('E');
	json_t *rows = json_array();
	uint32_t n;
	int r =
	    meta_scan(pool_meta(p), all.data, all.len, NULL, 0, tally_row, &t);

	n = extents_policies(t.x, q, TALLIES_MAX);
	for (uint32_t i = 0; i < n && r >= 0; ++i)
		(void)json_array_append_new(rows, policy_row(p, q[i], &t));
	(void)json_object_set_new(call_reply(c), "policies", rows);
	return r;
}

const struct command commands_extent[] = {
	{ "extent list", "list-extents", "where content lies", COMMAND_READS,
	  list_args, list_fields, list_run },
	{ "extent show", "show-extent", "one extent: fragments and owners",
	  COMMAND_READS, show_args, show_fields, show_run },
	{ "redundancy show", "show-redundancy",
	  "the policies: what they cost, survive and hold", COMMAND_READS, NULL,
	  redundancy_fields, redundancy_run },
	{ 0 },
};
