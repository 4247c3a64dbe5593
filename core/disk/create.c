/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making disks: of a new pool, or one more for a pool that is there.
 *
 * Of a new pool the labels come first, on all disks before anything else is
 * on any, and say that it is unfinished; claim.c makes use of that after a
 * crash.  When one disk is added its label comes last: a crash before it leaves
 * a directory that is not empty and has no label, which nobody takes for a
 * disk; the operator is told what is in the way.  What fails without a crash is
 * taken back whole.
 *
 * The ballast is room that only the log and the index can get: a preallocated
 * file, given up when they find none.
 */
#include <disk/private.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/log.h>
#include <base/str.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BALLAST_SHARE  64u /* one part in so many */
#define BALLAST_MIN    (1ull << 20)
#define BALLAST_MAX    (64ull << 20)
#define EXTENT_DEFAULT (1u << 20)

int entry_check(const struct disks_entry *e)
{
	if (!e->path || e->path[0] != '/')
		return fail(-EINVAL,
			    "disk %s: its path must begin with a slash",
			    e->path ? e->path : "(none)");
	if (!e->role || e->role > (MEMBER_STORES | MEMBER_LOGS))
		return fail(-EINVAL, "disk %s: it has no role", e->path);
	for (uint32_t i = 0; i < e->n_tags; ++i)
		if (!e->tags[i].key || !*e->tags[i].key || !e->tags[i].value)
			return fail(-EINVAL, "disk %s: a label without a name",
				    e->path);
	return 0;
}

int member_of_entry(const struct dynfs_os *os, const struct disks_entry *e,
		    uint32_t id, struct member *ret)
{
	CLEANUP(member_done) struct member m = { 0 };
	AUTOFREE struct member_tag *tags = (struct member_tag *)calloc(
	    e->n_tags + 1u, sizeof(struct member_tag));
	struct member like = {
		.id = id,
		.state = MEMBER_ACTIVE,
		.role = e->role,
		.limit_bytes = e->limit_bytes,
		.tags = tags,
		.n_tags = e->n_tags,
	};
	int r = tags ? uuid_new(os, &like.disk) : -ENOMEM;

	if (r < 0)
		return r;
	if (e->n_tags)
		memcpy(tags, e->tags, e->n_tags * sizeof(*tags));
	r = member_copy(&like, &m);
	if (r < 0)
		return r;
	free(m.path);
	m.path = strdup(e->path);
	if (!m.path)
		return -ENOMEM;
	*ret = m;
	m = (struct member){ 0 };
	return 0;
}

int label_check(const struct label *l)
{
	CLEANUP(label_done) struct label back = { 0 };
	AUTOBUF struct buf b = BUF_INIT;
	int r = label_encode(l, &b);

	/* another disk's store may have more to say of itself */
	if (r >= 0 &&
	    b.len - strlen(l->store) + LABEL_STORE_MAX > LABEL_SLOT_BYTES)
		r = fail(-E2BIG,
			 "the label of pool '%.64s' with %u members leaves no "
			 "room for what a store has to say",
			 l->pool_name, l->n_members);
	if (r >= 0)
		r = label_decode(b.data, b.len, &back);
	if (r == -EUCLEAN)
		return fail(-EINVAL,
			    "pool '%.64s': a name, path, label or size is out "
			    "of range or has control characters",
			    l->pool_name);
	return r;
}

/* ---- one disk -------------------------------------------------------- */

int prepare_path(const struct dynfs_os *os, const char *path,
		 struct prepared *ret)
{
	AUTOFREE char *parent = disk_path_parent(path);
	struct dynfs_os_stat st;
	int r;

	if (!parent)
		return -ENOMEM;
	*ret = (struct prepared){ .path = path };
	r = os->mkdir(os, path, 0700);
	if (r >= 0) {
		ret->made_dir = true;
		r = os->syncdir(os, parent);
	}
	if (r == -ENOENT)
		return fail(r,
			    "disk %s: cannot make the directory: %s is not "
			    "there",
			    path, parent);
	if (r < 0 && r != -EEXIST)
		return fail(r, "disk %s: cannot make the directory: %s", path,
			    fail_name(r));
	r = os->stat(os, path, &st);
	if (r >= 0 && st.type != DYNFS_OS_DIR)
		r = -ENOTDIR;
	if (r < 0)
		return fail(r, "disk %s: cannot look at it: %s", path,
			    fail_name(r));
	return 0;
}

int prepare_dir(const struct dynfs_os *os, const char *path,
		struct prepared *ret)
{
	AUTOFREE char *label = str_path(path, LABEL_FILE);
	struct dynfs_os_stat st;
	int r = label ? prepare_path(os, path, ret) : -ENOMEM;

	if (r < 0)
		return r;
	r = os->stat(os, label, &st);
	if (r >= 0)
		return fail(-EEXIST,
			    "disk %s has a label already: it is part of a "
			    "pool",
			    path);
	return path_must_be_empty(os, path);
}

static int make_ballast(const struct dynfs_os *os, const char *dir,
			uint64_t base)
{
	AUTOFREE char *path = str_path(dir, DISK_BALLAST);
	uint64_t len = base / BALLAST_SHARE;
	int fd, r;

	if (!path)
		return -ENOMEM;
	if (len < BALLAST_MIN)
		len = BALLAST_MIN;
	if (len > BALLAST_MAX)
		len = BALLAST_MAX;
	fd = os->open(os, path, DYNFS_OS_RDWR | DYNFS_OS_CREATE | DYNFS_OS_EXCL,
		      0600);
	r = fd < 0 ? fd : os->allocate(os, fd, DYNFS_OS_ALLOC, 0, len);
	if (r == -EOPNOTSUPP)
		r = 0; /* the share that stores do not get is still there */
	if (r >= 0)
		r = os->sync(os, fd);
	if (fd >= 0)
		(void)os->close(os, fd); /* synced, or failed already */
	if (r < 0)
		return fail(r, "disk %s: cannot reserve %llu MiB: %s", dir,
			    (unsigned long long)(len >> 20), fail_name(r));
	return 0;
}

int prepare_disk(const struct disks_how *how, const struct store_kind *kind,
		 const struct disks_entry *e, struct prepared *p)
{
	struct dynfs_os_space below;
	int r = how->os->space(how->os, e->path, &below);

	p->touched = true;
	if (r < 0)
		return fail(r, "disk %s: cannot ask for its space: %s", e->path,
			    fail_name(r));
	if (e->role & MEMBER_LOGS)
		r = make_ballast(how->os, e->path,
				 e->limit_bytes ? e->limit_bytes
						: below.total_bytes);
	if (r < 0)
		return r;
	if (e->role & MEMBER_STORES)
		return store_make(how->os, how->reg, kind, e->path, e->role,
				  e->limit_bytes, how->extent_bytes, &p->store);
	p->store = strdup("");
	return p->store ? 0 : -ENOMEM;
}

void prepare_undo(const struct dynfs_os *os, struct prepared *p)
{
	if (p->path && p->touched)
		path_clear(os, p->path);
	if (p->path && p->made_dir)
		(void)os->rmdir(os, p->path); /* as good as it goes */
}

void prepare_done(struct prepared *p)
{
	free(p->store);
	*p = (struct prepared){ 0 };
}

int disk_release_ballast(struct disk *k)
{
	const struct disks *d = disk_in(k)->set;
	AUTOFREE char *path = str_path(k->path, DISK_BALLAST);
	int r;

	if (!path)
		return -ENOMEM;
	r = d->os->unlink(d->os, path);
	if (r >= 0)
		r = d->os->syncdir(d->os, k->path);
	if (r >= 0)
		log_warn(DISK_AREA,
			 "disk %s: the log and the index ran out of room, "
			 "their reserve was given up",
			 k->path);
	return r;
}

/* ---- a pool ---------------------------------------------------------- */

static int base_label(const struct disks_how *how, struct label *l)
{
	const struct dynfs_os *os = how->os;
	int r = features_base(&l->features);

	if (r >= 0)
		r = features_require(&l->features, FEATURE_UNFINISHED);
	if (r < 0)
		return r;
	l->pool_name = strdup(how->pool_name ? how->pool_name : "pool");
	if (!l->pool_name)
		return -ENOMEM;
	l->extent_bytes =
	    how->extent_bytes ? how->extent_bytes : EXTENT_DEFAULT;
	l->created_ns = os->wall_ns(os);
	l->epoch = l->promised = 1;
	r = uuid_new(os, &l->pool);
	if (r >= 0)
		r = uuid_new(os, &l->history);
	if (r >= 0)
		r = os->random(os, l->name_key, sizeof(l->name_key));
	if (r >= 0)
		r = os->random(os, &l->epoch_bits, sizeof(l->epoch_bits));
	return r;
}

static int base_members(const struct disks_how *how, struct label *l)
{
	int r = 0;

	l->members =
	    (struct member *)calloc(how->n_entries, sizeof(*l->members));
	if (!l->members)
		return -ENOMEM;
	for (uint32_t i = 0; i < how->n_entries && r >= 0; ++i) {
		r = member_of_entry(how->os, &how->entries[i], i + 1,
				    &l->members[i]);
		if (r >= 0)
			l->n_members++;
	}
	if (r >= 0)
		r = label_voters(l, &l->before, &l->n_before);
	if (r < 0)
		return r;
	l->disk = l->members[0].disk;
	l->disk_id = l->members[0].id;
	l->store = strdup("");
	return l->store ? label_check(l) : -ENOMEM;
}

/* The label of one of them: with its store, or what there is of it yet. */
static int label_of(const struct label *base, uint32_t i, const char *store,
		    struct label *ret)
{
	int r = label_copy(base, ret);

	if (r < 0)
		return r;
	free(ret->store);
	ret->store = strdup(store ? store : "");
	ret->disk = ret->members[i].disk;
	ret->disk_id = ret->members[i].id;
	return ret->store ? 0 : -ENOMEM;
}

/* Nothing is on any disk before all have a label, see the top. */
static int write_labels(const struct dynfs_os *os, const struct label *base,
			struct claim *c, uint32_t n)
{
	int r = 0;

	for (uint32_t i = 0; i < n && r >= 0; ++i) {
		CLEANUP(label_done) struct label l = { 0 };

		r = label_of(base, i, NULL, &l);
		if (r >= 0)
			r = claim_label(os, &c[i], &l);
	}
	return r;
}

static int fill_disks(const struct disks_how *how, const struct label *base,
		      struct claim *c)
{
	CLEANUP(store_kind_done) struct store_kind kind = { 0 };
	struct disks_how sized = *how;
	int r = store_kind_copy(how, &kind);

	sized.extent_bytes = base->extent_bytes;
	for (uint32_t i = 0; i < how->n_entries && r >= 0; ++i)
		r = prepare_disk(&sized, &kind, &how->entries[i], &c[i].p);
	for (uint32_t i = 0; i < how->n_entries && r >= 0; ++i) {
		CLEANUP(label_done) struct label l = { 0 };

		r = label_of(base, i, c[i].p.store, &l);
		if (r >= 0)
			r = claim_label(how->os, &c[i], &l);
	}
	return r;
}

static int create_on(const struct disks_how *how, struct claim *c)
{
	CLEANUP(label_done) struct label base = { 0 };
	uint32_t n = how->n_entries;
	AUTOFREE const char **paths = (const char **)calloc(n, sizeof(*paths));
	int r = paths ? base_label(how, &base) : -ENOMEM;

	if (r >= 0)
		r = base_members(how, &base);
	for (uint32_t i = 0; i < n && r >= 0; ++i) {
		paths[i] = how->entries[i].path;
		r = claim_dir(how->os, paths[i], &c[i]);
	}
	if (r >= 0)
		r = path_check_nesting(how->os, paths, n, how->avoid_path);
	if (r >= 0)
		r = claims_check(c, n);
	for (uint32_t i = 0; i < n && r >= 0; ++i)
		r = claim_clear(how->os, &c[i]);
	if (r >= 0)
		r = write_labels(how->os, &base, c, n);
	return r < 0 ? r : fill_disks(how, &base, c);
}

int disks_create(const struct disks_how *how)
{
	AUTOFREE struct claim *c = NULL;
	int r = 0;

	if (!how->n_entries || how->n_entries > DISKS_MAX)
		return fail(-EINVAL, "a pool has 1 to %u disks", DISKS_MAX);
	for (uint32_t i = 0; i < how->n_entries && r >= 0; ++i)
		r = entry_check(&how->entries[i]);
	if (r < 0)
		return r;
	c = (struct claim *)calloc(how->n_entries, sizeof(*c));
	if (!c)
		return -ENOMEM;
	for (uint32_t i = 0; i < how->n_entries; ++i)
		c[i].fd = -1;
	r = create_on(how, c);
	if (r < 0)
		claims_undo(how->os, c, how->n_entries);
	for (uint32_t i = 0; i < how->n_entries; ++i)
		claim_done(how->os, &c[i]);
	return r;
}
