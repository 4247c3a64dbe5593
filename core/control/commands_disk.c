/* SPDX-License-Identifier: Apache-2.0 */
/* disk add, list, fail and label. */
#include <control/private.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/os.h>
#include <base/str.h>
#include <errno.h>
#include <pool/pool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct command_field disk_columns[] = {
	{ "id", "ID", FIELD_COUNT, NULL },
	{ "state", "STATE", FIELD_TEXT, NULL },
	{ "total_bytes", "SIZE", FIELD_BYTES, NULL },
	{ "free_bytes", "FREE", FIELD_BYTES, NULL },
	{ "errors", "ERRORS", FIELD_COUNT, NULL },
	{ "metadata", "METADATA", FIELD_TEXT, NULL },
	{ "labels", "LABELS", FIELD_TEXT, NULL },
	{ "path", "PATH", FIELD_TEXT, NULL },
	{ 0 },
};

static const struct command_field list_fields[] = {
	{ "disks", "", FIELD_TABLE, disk_columns },
	{ 0 },
};

static const char *disk_word(const struct disk *k)
{
	switch (atomic_load(&k->state)) {
	case MEMBER_FAILED:
		return "failed";
	case MEMBER_REMOVED:
		return "removed";
	default:
		break;
	}
	switch (atomic_load(&k->health)) {
	case DISK_ONLINE:
		return atomic_load(&k->state) == MEMBER_DRAINING ? "draining"
								 : "online";
	case DISK_SUSPECT:
		return "suspect";
	case DISK_MISSING:
		return "missing";
	default:
		return "failed";
	}
}

static bool disk_in_sync(struct disks *d, uint32_t id)
{
	uint32_t ids[DISKS_MAX], n = disks_insync(d, ids, DISKS_MAX);

	for (uint32_t i = 0; i < n; ++i)
		if (ids[i] == id)
			return true;
	return false;
}

static json_t *disk_labels(struct disks *d, const struct disk *k)
{
	const struct member *m = label_member(disks_label(d), k->id);
	json_t *labels = json_array();

	for (uint32_t i = 0; m && i < m->n_tags; ++i) {
		AUTOFREE char *text =
		    str_printf("%s=%s", m->tags[i].key, m->tags[i].value);

		(void)json_array_append_new(labels, control_text(text));
	}
	return labels;
}

static json_t *disk_row(struct disks *d, struct disk *k)
{
	char uuid[UUID_TEXT_LEN + 1];
	struct disk_space s;
	json_t *row;

	row = json_pack("{sI ss ss so sI}", "id", (json_int_t)k->id, "uuid",
			uuid_text(&k->uuid, uuid), "state", disk_word(k),
			"path", control_text(k->path), "errors",
			(json_int_t)atomic_load(&k->errors));
	if (!row)
		return NULL;
	(void)json_object_set_new(row, "labels", disk_labels(d, k));
	(void)json_object_set_new(
	    row, "metadata",
	    json_string(disk_in_sync(d, k->id) ? "in sync" : "-"));
	if (k->store && disk_space(k, &s) >= 0) {
		(void)json_object_set_new(
		    row, "total_bytes",
		    json_integer((json_int_t)s.total_bytes));
		(void)json_object_set_new(
		    row, "free_bytes", json_integer((json_int_t)s.free_bytes));
	}
	return row;
}

static int list_run(struct call *c)
{
	struct disks *d = pool_disks(call_pool(c));
	json_t *rows = json_array();

	for (uint32_t i = 0; i < disks_count(d); ++i)
		(void)json_array_append_new(rows, disk_row(d, disks_at(d, i)));
	return json_object_set_new(call_reply(c), "disks", rows) < 0 ? -ENOMEM
								     : 0;
}

/* By number, by uuid, or by path; NULL: there is none, and fail() said so. */
static struct disk *disk_named(struct call *c)
{
	struct disks *d = pool_disks(call_pool(c));
	const char *word = call_string(c, "disk");
	char uuid[UUID_TEXT_LEN + 1];
	int64_t id;

	if (str_parse_int(word, &id) >= 0 && id > 0 && id <= UINT32_MAX) {
		struct disk *k = disks_find(d, (uint32_t)id);

		if (k)
			return k;
	}
	for (uint32_t i = 0; i < disks_count(d); ++i) {
		struct disk *k = disks_at(d, i);

		if ((k->path && !strcmp(k->path, word)) ||
		    !strcmp(uuid_text(&k->uuid, uuid), word))
			return k;
	}
	/* NULL says what it returns */
	(void)fail(-ENODEV, "the pool has no disk \"%s\"; disk list shows them",
		   word);
	return NULL;
}

/* "tier=ssd,domain=a" in place; borrowed by tags. */
static int labels_parse(char *text, struct member_tag *tags, uint32_t max,
			uint32_t *ret_n)
{
	uint32_t n = 0;
	char *one;

	while (text && (one = strsep(&text, ","))) {
		char *value = strchr(one, '=');

		if (!value || value == one)
			return fail(-EINVAL,
				    "\"%s\" is no label: it is written "
				    "KEY=VALUE",
				    one);
		if (n == max)
			return fail(-EINVAL, "at most %u label%s at once", max,
				    max == 1 ? "" : "s");
		*value++ = '\0';
		tags[n++] = (struct member_tag){ one, value };
	}
	*ret_n = n;
	return 0;
}

static const struct command_arg add_args[] = {
	{ "disk", ARG_STRING, ARG_REQUIRED | ARG_POSITIONAL | ARG_PATH, "PATH",
	  "an empty folder on the new disk; made if it is not there" },
	{ "limit", ARG_SIZE, 0, "SIZE", "use no more than this of it" },
	{ "label", ARG_STRING, 0, "K=V,...", "labels, such as tier=ssd" },
	{ 0 },
};

static const struct command_field add_fields[] = {
	{ "id", "Disk", FIELD_COUNT, NULL },
	{ "usable_bytes", "Usable", FIELD_BYTES, NULL },
	{ "note", "Note", FIELD_TEXT, NULL },
	{ 0 },
};

/* What the pool can hold now, or what it lacks. */
static void add_reply(struct call *c, struct pool *p, const char *note)
{
	struct extents *x = pool_extents(p);
	const struct policy *def = extents_policy_default(x);
	bool fits = extents_policy_fits(x, def) >= 0;
	const char *lacks = fits ? "" : fail_text(-ENOSPC);
	uint64_t total, avail;

	extents_capacity(x, def, &total, &avail);
	(void)json_object_set_new(call_reply(c), "usable_bytes",
				  json_integer((json_int_t)total));
	if (*note || *lacks)
		(void)json_object_set_new(
		    call_reply(c), "note",
		    json_sprintf("%s%s%s", note, *note && *lacks ? "; " : "",
				 lacks));
}

/* The pool begins with this disk. */
static int add_first(struct call *c, const struct member_tag *tags, uint32_t n)
{
	const struct conf *conf = call_conf(c);
	struct pool_how how = { .conf = conf,
				.reg = call_reg(c),
				.os = os_real() };
	char note[128];
	struct pool *p;
	int r =
	    pool_create_first(&how, call_string(c, "disk"),
			      (uint64_t)call_int(c, "limit", 0), tags, n, &p);

	if (r < 0)
		return r;
	(void)snprintf(note, sizeof(note), "pool %s begins with it",
		       conf->pool.name);
	(void)json_object_set_new(call_reply(c), "id", json_integer(1));
	add_reply(c, p, note);
	return pool_close(p);
}

static int add_more(struct call *c, const struct member_tag *tags, uint32_t n)
{
	struct pool *p = call_pool(c);
	uint32_t id;
	int r = pool_disk_add(p, call_string(c, "disk"),
			      (uint64_t)call_int(c, "limit", 0), tags, n, &id);

	if (r < 0)
		return r;
	(void)json_object_set_new(call_reply(c), "id", json_integer(id));
	add_reply(c, p, "");
	return 0;
}

static int add_run(struct call *c)
{
	const char *labels = call_string(c, "label");
	char *text = labels ? strdup(labels) : NULL;
	struct member_tag tags[32];
	uint32_t n = 0;
	int r;

	if (labels && !text)
		return -ENOMEM;
	r = labels_parse(text, tags, 32, &n);
	if (r >= 0)
		r = call_pool(c) ? add_more(c, tags, n) : add_first(c, tags, n);
	free(text);
	return r;
}

static const struct command_arg disk_arg[] = {
	{ "disk", ARG_STRING, ARG_REQUIRED | ARG_POSITIONAL | ARG_OR_PATH,
	  "DISK", "its number, path or uuid" },
	{ 0 },
};

static const struct command_field one_field[] = {
	{ "id", "Disk", FIELD_COUNT, NULL },
	{ "state", "State", FIELD_TEXT, NULL },
	{ "labels", "Labels", FIELD_TEXT, NULL },
	{ 0 },
};

static int reply_disk(struct call *c, struct disk *k)
{
	json_t *row = disk_row(pool_disks(call_pool(c)), k);
	int r = row ? json_object_update(call_reply(c), row) : -1;

	json_decref(row);
	return r < 0 ? -ENOMEM : 0;
}

static int fail_run(struct call *c)
{
	struct disk *k = disk_named(c);
	int r;

	if (!k)
		return -ENODEV;
	r = pool_disk_fail(call_pool(c), k);
	return r < 0 ? r : reply_disk(c, k);
}

static const struct command_arg label_args[] = {
	{ "disk", ARG_STRING, ARG_REQUIRED | ARG_POSITIONAL | ARG_OR_PATH,
	  "DISK", "its number, path or uuid" },
	{ "label", ARG_STRING, ARG_REQUIRED | ARG_POSITIONAL, "KEY=VALUE",
	  "the label to set; KEY= takes it away" },
	{ 0 },
};

static int label_run(struct call *c)
{
	struct member_tag tag[1] = { { NULL, NULL } };
	struct disk *k = disk_named(c);
	uint32_t n = 0;
	char *text;
	int r;

	if (!k)
		return -ENODEV;
	text = strdup(call_string(c, "label"));
	if (!text)
		return -ENOMEM;
	r = labels_parse(text, tag, 1, &n);
	if (r >= 0 && n)
		r = disks_tag(pool_disks(call_pool(c)), k->id, tag[0].key,
			      *tag[0].value ? tag[0].value : NULL);
	free(text);
	return r < 0 ? r : reply_disk(c, k);
}

const struct command commands_disk[] = {
	{ "disk list", "list-disks", "the disks and how they are",
	  COMMAND_READS, NULL, list_fields, list_run },
	{ "disk add", "add-disk", "take a new disk into the pool",
	  COMMAND_FIRST, add_args, add_fields, add_run },
	{ "disk fail", "fail-disk", "give a disk up: it is not touched again",
	  0, disk_arg, one_field, fail_run },
	{ "disk label", "label-disk", "set or take away a label of a disk", 0,
	  label_args, one_field, label_run },
	{ 0 },
};
