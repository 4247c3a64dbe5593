/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The label as bytes.
 *
 * A label is read before anything on the disk is trusted, so decoding checks
 * all that later code relies on: ranges, numbers that appear once, references
 * to members that exist, strings without control bytes (they are shown to
 * people and used as paths).  A label with the right sum and impossible
 * content counts as damaged.  Feature names come first in the body so that a
 * label of a newer program can still say what it needs.
 */
#include <disk/label.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/hash.h>
#include <base/ids.h>
#include <base/le.h>
#include <base/str.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LABEL_MAGIC   "DYNFLABL"
#define LABEL_VERSION 1u
#define LABEL_HEAD    40u
#define LABEL_SUM_AT  24u
#define TAGS_MAX      64u
#define TEXT_MAX      4096u
#define EXTENT_MIN    (64u << 10)
#define EXTENT_MAX    (16u << 20)

void member_done(struct member *m)
{
	free(m->path);
	for (uint32_t i = 0; m->tags && i < m->n_tags; ++i) {
		free(m->tags[i].key);
		free(m->tags[i].value);
	}
	free(m->tags);
	*m = (struct member){ 0 };
}

void label_done(struct label *l)
{
	features_done(&l->features);
	free(l->pool_name);
	free(l->store);
	free(l->insync);
	free(l->before);
	for (uint32_t i = 0; l->members && i < l->n_members; ++i)
		member_done(&l->members[i]);
	free(l->members);
	*l = (struct label){ 0 };
}

static int tags_copy(const struct member *from, struct member *to)
{
	if (!from->n_tags)
		return 0;
	to->tags = (struct member_tag *)calloc(from->n_tags, sizeof(*to->tags));
	if (!to->tags)
		return -ENOMEM;
	to->n_tags = from->n_tags;
	for (uint32_t i = 0; i < from->n_tags; ++i) {
		to->tags[i].key = strdup(from->tags[i].key);
		to->tags[i].value = strdup(from->tags[i].value);
		if (!to->tags[i].key || !to->tags[i].value)
			return -ENOMEM;
	}
	return 0;
}

int member_copy(const struct member *from, struct member *ret)
{
	struct member m = *from;
	int r;

	m.tags = NULL;
	m.n_tags = 0;
	m.path = strdup(from->path ? from->path : "");
	r = m.path ? tags_copy(from, &m) : -ENOMEM;
	if (r < 0)
		member_done(&m);
	else
		*ret = m;
	return r;
}

static int members_copy(const struct label *from, struct label *to)
{
	if (!from->n_members)
		return 0;
	to->members =
	    (struct member *)calloc(from->n_members, sizeof(*to->members));
	if (!to->members)
		return -ENOMEM;
	for (; to->n_members < from->n_members; ++to->n_members) {
		int r = member_copy(&from->members[to->n_members],
				    &to->members[to->n_members]);

		if (r < 0)
			return r;
	}
	return 0;
}

/* All that to has is its own after this, also when it fails. */
static int owned_copy(const struct label *from, struct label *to)
{
	int r;

	to->features = (struct features){ 0 };
	to->insync = to->before = NULL;
	to->members = NULL;
	to->n_members = 0;
	to->pool_name = strdup(from->pool_name ? from->pool_name : "");
	to->store = strdup(from->store ? from->store : "");
	if (!to->pool_name || !to->store)
		return -ENOMEM;
	r = features_copy(&from->features, &to->features);
	if (!r)
		r = ids_copy(from->insync, from->n_insync, &to->insync);
	if (!r)
		r = ids_copy(from->before, from->n_before, &to->before);
	return r < 0 ? r : members_copy(from, to);
}

int label_copy(const struct label *from, struct label *ret)
{
	struct label l = *from;
	int r = owned_copy(from, &l);

	if (r < 0)
		label_done(&l);
	else
		*ret = l;
	return r;
}

struct member *label_member(const struct label *l, uint32_t id)
{
	for (uint32_t i = 0; i < l->n_members; ++i)
		if (l->members[i].id == id)
			return &l->members[i];
	return NULL;
}

bool member_votes(const struct member *m)
{
	return m->state == MEMBER_ACTIVE || m->state == MEMBER_DRAINING;
}

static void put_text(struct buf *b, const char *s)
{
	buf_put_str(b, s ? s : "", s ? strlen(s) : 0);
}

static void put_ids(struct buf *b, const uint32_t *ids, uint32_t n)
{
	buf_put16(b, (uint16_t)n);
	for (uint32_t i = 0; i < n; ++i)
		buf_put32(b, ids[i]);
}

static void put_member(struct buf *b, const struct member *m)
{
	buf_put32(b, m->id);
	buf_put(b, m->disk.b, sizeof(m->disk.b));
	buf_put8(b, m->state);
	buf_put8(b, m->role);
	buf_put64(b, m->limit_bytes);
	put_text(b, m->path);
	buf_put16(b, (uint16_t)m->n_tags);
	for (uint32_t i = 0; i < m->n_tags; ++i) {
		put_text(b, m->tags[i].key);
		put_text(b, m->tags[i].value);
	}
}

static void put_body(struct buf *b, const struct label *l)
{
	features_put(b, &l->features);
	buf_put(b, l->pool.b, sizeof(l->pool.b));
	buf_put(b, l->history.b, sizeof(l->history.b));
	put_text(b, l->pool_name);
	buf_put(b, l->name_key, sizeof(l->name_key));
	buf_put32(b, l->extent_bytes);
	buf_put64(b, (uint64_t)l->created_ns);
	buf_put(b, l->disk.b, sizeof(l->disk.b));
	buf_put32(b, l->disk_id);
	buf_put64(b, l->promised);
	buf_put64(b, l->epoch);
	buf_put64(b, l->epoch_bits);
	put_text(b, l->store);
	put_ids(b, l->insync, l->n_insync);
	put_ids(b, l->before, l->n_before);
	buf_put16(b, (uint16_t)l->n_members);
	for (uint32_t i = 0; i < l->n_members; ++i)
		put_member(b, &l->members[i]);
}

int label_encode(const struct label *l, struct buf *out)
{
	size_t at = out->len, len;
	uint8_t *head;

	buf_put(out, LABEL_MAGIC, 8);
	buf_put32(out, LABEL_VERSION);
	buf_put32(out, 0);
	buf_put64(out, l->sequence);
	buf_put_zero(out, SUM128_LEN);
	put_body(out, l);
	if (buf_error(out))
		return buf_error(out);
	len = out->len - at;
	if (len > LABEL_SLOT_BYTES || l->n_members > DISKS_MAX)
		return fail(
		    -E2BIG,
		    "the label of pool '%.64s' with %u members does not "
		    "fit its %u bytes",
		    l->pool_name, l->n_members, LABEL_SLOT_BYTES);
	head = out->data + at;
	put_le32(head + 12, (uint32_t)len);
	sum128(head, len, head + LABEL_SUM_AT);
	return 0;
}

/* ---- reading --------------------------------------------------------- */

static bool is_control(char c)
{
	return (unsigned char)c < ' ' || c == 0x7f;
}

/* also: the one control byte that may be in it, or 0 */
static int get_text(struct rd *r, size_t min, size_t max, char also, char **ret)
{
	size_t len;
	const char *s = rd_str(r, &len);

	if (!s || len < min || len > max)
		return -EUCLEAN;
	for (size_t i = 0; i < len; ++i)
		if (is_control(s[i]) && (!also || s[i] != also))
			return -EUCLEAN;
	*ret = str_copy(s, len);
	return *ret ? 0 : -ENOMEM;
}

static int get_ids(struct rd *r, uint32_t max, uint32_t **ret, uint32_t *ret_n)
{
	uint16_t n = rd16(r);
	uint32_t *ids;

	if (rd_error(r) || n > max)
		return -EUCLEAN;
	ids = (uint32_t *)calloc(n + 1u, sizeof(*ids));
	if (!ids)
		return -ENOMEM;
	*ret = ids;
	*ret_n = n;
	for (uint16_t i = 0; i < n; ++i)
		ids[i] = rd32(r);
	return rd_error(r);
}

/* The last tag has a key that no other has. */
static bool key_is_new(const struct member *m, uint32_t last)
{
	for (uint32_t i = 0; i < last; ++i)
		if (!strcmp(m->tags[i].key, m->tags[last].key))
			return false;
	return true;
}

static int get_tags(struct rd *r, struct member *m)
{
	uint16_t n = rd16(r);

	if (rd_error(r) || n > TAGS_MAX)
		return -EUCLEAN;
	if (!n)
		return 0;
	m->tags = (struct member_tag *)calloc(n, sizeof(*m->tags));
	if (!m->tags)
		return -ENOMEM;
	m->n_tags = n;
	for (uint16_t i = 0; i < n; ++i) {
		int e = get_text(r, 1, TEXT_MAX, 0, &m->tags[i].key);

		if (!e)
			e = get_text(r, 0, TEXT_MAX, 0, &m->tags[i].value);
		if (!e && !key_is_new(m, i))
			e = -EUCLEAN;
		if (e < 0)
			return e;
	}
	return 0;
}

static int get_member(struct rd *r, struct member *m)
{
	int e;

	m->id = rd32(r);
	rd_copy(r, m->disk.b, sizeof(m->disk.b));
	m->state = rd8(r);
	m->role = rd8(r);
	m->limit_bytes = rd64(r);
	if (rd_error(r) || !m->id || m->state < MEMBER_ACTIVE ||
	    m->state > MEMBER_DRAINING || !m->role ||
	    m->role > (MEMBER_STORES | MEMBER_LOGS))
		return -EUCLEAN;
	e = get_text(r, 0, TEXT_MAX, 0, &m->path);
	if (e < 0)
		return e;
	if (m->path[0] && m->path[0] != '/')
		return -EUCLEAN;
	return get_tags(r, m);
}

static int get_members(struct rd *r, struct label *l)
{
	uint16_t n = rd16(r);

	if (rd_error(r) || !n || n > DISKS_MAX)
		return -EUCLEAN;
	l->members = (struct member *)calloc(n, sizeof(*l->members));
	if (!l->members)
		return -ENOMEM;
	l->n_members = n;
	for (uint16_t i = 0; i < n; ++i) {
		int e = get_member(r, &l->members[i]);

		if (e < 0)
			return e;
		/* in order, so that each number is there once */
		if (i && l->members[i].id <= l->members[i - 1].id)
			return -EUCLEAN;
	}
	return 0;
}

static bool ids_are_members(const struct label *l, const uint32_t *ids,
			    uint32_t n)
{
	for (uint32_t i = 0; i < n; ++i)
		if (!label_member(l, ids[i]) || (i && ids[i] <= ids[i - 1]))
			return false;
	return true;
}

/* A log is whole only where somebody keeps it so. */
static bool insync_votes(const struct label *l)
{
	for (uint32_t i = 0; i < l->n_insync; ++i)
		if (!member_votes(label_member(l, l->insync[i])))
			return false;
	return true;
}

/* Who is found by its uuid must not be two. */
static bool uuids_differ(const struct label *l)
{
	for (uint32_t i = 0; i < l->n_members; ++i) {
		if (uuid_is_zero(&l->members[i].disk))
			return false;
		for (uint32_t j = 0; j < i; ++j)
			if (uuid_equal(&l->members[i].disk,
				       &l->members[j].disk))
				return false;
	}
	return true;
}

static bool label_makes_sense(const struct label *l)
{
	const struct member *self = label_member(l, l->disk_id);

	return self && uuid_equal(&self->disk, &l->disk) &&
	       !uuid_is_zero(&l->pool) && uuids_differ(l) && l->epoch &&
	       l->promised >= l->epoch && l->extent_bytes >= EXTENT_MIN &&
	       l->extent_bytes <= EXTENT_MAX && l->extent_bytes % 4096 == 0 &&
	       ids_are_members(l, l->insync, l->n_insync) && insync_votes(l) &&
	       ids_are_members(l, l->before, l->n_before);
}

static int get_fixed(struct rd *r, struct label *l)
{
	int e;

	rd_copy(r, l->pool.b, sizeof(l->pool.b));
	rd_copy(r, l->history.b, sizeof(l->history.b));
	e = get_text(r, 1, LABEL_NAME_MAX, 0, &l->pool_name);
	if (e < 0)
		return e;
	rd_copy(r, l->name_key, sizeof(l->name_key));
	l->extent_bytes = rd32(r);
	l->created_ns = (int64_t)rd64(r);
	rd_copy(r, l->disk.b, sizeof(l->disk.b));
	l->disk_id = rd32(r);
	l->promised = rd64(r);
	l->epoch = rd64(r);
	l->epoch_bits = rd64(r);
	return get_text(r, 0, LABEL_STORE_MAX, '\n', &l->store);
}

static int get_body(struct rd *r, struct label *l)
{
	int e = features_get(r, &l->features);

	if (e < 0)
		return e;
	e = features_check(&l->features, "the label");
	if (e == -EOPNOTSUPP)
		return e;
	e = get_fixed(r, l);
	if (!e)
		e = get_ids(r, INSYNC_MAX, &l->insync, &l->n_insync);
	if (!e)
		e = get_ids(r, DISKS_MAX, &l->before, &l->n_before);
	if (!e)
		e = get_members(r, l);
	if (!e)
		e = rd_end(r);
	if (!e && !label_makes_sense(l))
		e = -EUCLEAN;
	return e;
}

/* Magic, length and sum: does anybody's label begin here? */
static int check_head(const uint8_t *p, size_t len, size_t *ret_len)
{
	static const uint8_t zero[SUM128_LEN];
	uint8_t want[SUM128_LEN], sum[SUM128_LEN];
	AUTOFREE uint8_t *copy = NULL;
	size_t whole;

	if (len < LABEL_HEAD || memcmp(p, LABEL_MAGIC, 8) != 0)
		return -EUCLEAN;
	whole = get_le32(p + 12);
	if (whole <= LABEL_HEAD || whole > LABEL_SLOT_BYTES || whole > len)
		return -EUCLEAN;
	copy = (uint8_t *)malloc(whole);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, p, whole);
	memcpy(want, p + LABEL_SUM_AT, sizeof(want));
	memcpy(copy + LABEL_SUM_AT, zero, sizeof(zero));
	sum128(copy, whole, sum);
	if (memcmp(sum, want, sizeof(sum)) != 0)
		return -EUCLEAN;
	*ret_len = whole;
	return 0;
}

int label_decode(const void *data, size_t len, struct label *ret)
{
	CLEANUP(label_done) struct label l = { 0 };
	const uint8_t *p = (const uint8_t *)data;
	struct rd r;
	size_t whole;
	int e = check_head(p, len, &whole);

	if (e < 0)
		return e;
	if (get_le32(p + 8) != LABEL_VERSION)
		return fail(-EOPNOTSUPP,
			    "the label has version %u, which this version of "
			    "dynfs does not know",
			    get_le32(p + 8));
	l.sequence = get_le64(p + 16);
	r = rd_of(p + LABEL_HEAD, whole - LABEL_HEAD);
	e = get_body(&r, &l);
	if (e < 0)
		return e;
	*ret = l;
	l = (struct label){ 0 };
	return 0;
}
