/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kinds of plugins as data: where the kind's ops hang in the plugin's
 * description, how long they are on this side, and which callbacks must be
 * there.  A new kind is one table here and one header of typed calls.
 *
 * Ops are copied, not pointed at: a plugin compiled against shorter structs
 * then simply has zeroes where this side looks for newer members, and no
 * call needs to ask for a size.
 */
#include <registry/internal.h>

#include <base/fail.h>

#include <errno.h>
#include <string.h>

struct kinds_callback {
	const char *name;
	size_t offset;
};

struct kinds_row {
	const char *name;
	size_t slot; /* of the pointer, in struct dynfs_plugin */
	size_t size; /* of the ops on this side */
	const struct kinds_callback *required;
};

#define NEED(kind, member)                                                     \
	{                                                                      \
#member, offsetof(struct dynfs_##kind##_ops, member)           \
	}
#define KIND(kind)                                                             \
	{                                                                      \
#kind, offsetof(struct dynfs_plugin, kind),                    \
		    sizeof(struct dynfs_##kind##_ops), kinds_##kind            \
	}

static const struct kinds_callback kinds_store[] = {
	NEED(store, open), NEED(store, close), NEED(store, submit),
	NEED(store, mark), NEED(store, sync),  NEED(store, space),
	NEED(store, cost), NEED(store, list),  { NULL, 0 },
};
static const struct kinds_callback kinds_meta[] = {
	NEED(meta, open),  NEED(meta, close), NEED(meta, get),
	NEED(meta, scan),  NEED(meta, next),  NEED(meta, scan_end),
	NEED(meta, apply), NEED(meta, flush), NEED(meta, checkpoint),
	NEED(meta, stats), { NULL, 0 },
};
static const struct kinds_callback kinds_redundancy[] = {
	NEED(redundancy, limits),
	NEED(redundancy, check),
	NEED(redundancy, encode),
	NEED(redundancy, rebuild),
	{ NULL, 0 },
};
static const struct kinds_callback kinds_checksum[] = {
	NEED(checksum, sum),
	{ NULL, 0 },
};
static const struct kinds_callback kinds_placement[] = {
	NEED(placement, pick),
	{ NULL, 0 },
};
static const struct kinds_callback kinds_frontend[] = {
	NEED(frontend, open),
	NEED(frontend, serve),
	NEED(frontend, close),
	{ NULL, 0 },
};

static const struct kinds_row kinds[REG_N_KINDS] = {
	[REG_STORE] = KIND(store),           [REG_META] = KIND(meta),
	[REG_REDUNDANCY] = KIND(redundancy), [REG_CHECKSUM] = KIND(checksum),
	[REG_PLACEMENT] = KIND(placement),   [REG_FRONTEND] = KIND(frontend),
};

const char *reg_kind_name(enum reg_kind kind)
{
	return (unsigned)kind < REG_N_KINDS ? kinds[kind].name : NULL;
}

int reg_kind_parse(const char *name)
{
	for (int i = 0; i < REG_N_KINDS; ++i)
		if (!strcmp(name, kinds[i].name))
			return i;
	return -EINVAL;
}

int kinds_copy_sized(void *to, size_t to_size, const void *from,
		     size_t from_size)
{
	/* a size that cuts a pointer in two would make half of one */
	if (from_size < sizeof(size_t) || from_size % sizeof(void *))
		return -EINVAL;
	memset(to, 0, to_size);
	memcpy(to, from, from_size < to_size ? from_size : to_size);
	return 0;
}

static const void *kinds_slot(const struct dynfs_plugin *desc, int kind)
{
	const void *ops;

	memcpy(&ops, (const char *)desc + kinds[kind].slot, sizeof(ops));
	return ops;
}

int kinds_of(const struct dynfs_plugin *desc, const char *path)
{
	int kind = -1;

	for (int i = 0; i < REG_N_KINDS; ++i) {
		if (!kinds_slot(desc, i))
			continue;
		if (kind >= 0)
			return fail(-EINVAL,
				    "plugin %s is of two kinds, %s and %s",
				    path, kinds[kind].name, kinds[i].name);
		kind = i;
	}
	if (kind < 0)
		return fail(-EINVAL,
			    "plugin %s is of no kind that this version knows",
			    path);
	return kind;
}

static int kinds_check_checksum(const struct reg_plugin *p)
{
	uint32_t len = p->ops.checksum.digest_len;

	if (len < 8 || len > DYNFS_CHECKSUM_MAX)
		return fail(-EINVAL,
			    "plugin %s: digests of %u bytes, expected 8..%d",
			    p->path, len, DYNFS_CHECKSUM_MAX);
	return 0;
}

int kinds_adopt(struct reg_plugin *p)
{
	const struct kinds_row *row = &kinds[p->kind];
	const void *from = kinds_slot(&p->desc, p->kind);
	const void *own = &p->ops;
	size_t size;

	memcpy(&size, from, sizeof(size));
	if (kinds_copy_sized(&p->ops, row->size, from, size) < 0)
		return fail(-EINVAL,
			    "plugin %s: its %s functions say they are %zu "
			    "bytes long, which can not be",
			    p->path, row->name, size);
	if (size > row->size)
		size = row->size;
	memcpy(&p->ops, &size, sizeof(size));
	memcpy((char *)&p->desc + row->slot, &own, sizeof(own));
	for (const struct kinds_callback *c = row->required; c->name; ++c) {
		void (*fn)(void);

		memcpy(&fn, (const char *)own + c->offset, sizeof(fn));
		if (!fn)
			return fail(-EINVAL,
				    "plugin %s lacks the %s function %s(), "
				    "which is required",
				    p->path, row->name, c->name);
	}
	return p->kind == REG_CHECKSUM ? kinds_check_checksum(p) : 0;
}
