/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the disks were last seen: pool.dir/disks, a path on each line.
 *
 * The labels say which disks there are; this file only helps to find them when
 * the config does not name them ("dynfs disk add"). It is made anew at each
 * open and change; a lost or stale one costs nothing but the finding.
 */
#include <pool/private.h>

#include <base/buf.h>
#include <base/log.h>
#include <base/str.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HINTS_FILE  "disks"
#define HINTS_BYTES (1u << 20)

static char *hints_read(const struct pool_how *how)
{
	char *path = str_path(how->conf->pool.dir, HINTS_FILE), *text;
	const struct dynfs_os *os = how->os;
	struct iovec iov;
	ssize_t n = -1;
	int fd;

	text = (char *)calloc(1, HINTS_BYTES + 1);
	fd = path && text ? os->open(os, path, DYNFS_OS_RDONLY, 0) : -ENOMEM;
	free(path);
	if (fd >= 0) {
		iov = (struct iovec){ text, HINTS_BYTES };
		n = os->preadv(os, fd, &iov, 1, 0);
		(void)os->close(os, fd);
	}
	if (n < 0) {
		free(text);
		return NULL;
	}
	return text;
}

static bool hints_known(const struct pool_parts *parts, const char *path)
{
	for (uint32_t i = 0; i < parts->n_entries; ++i)
		if (!strcmp(parts->entries[i].path, path))
			return true;
	return false;
}

/* Adds the paths that hold a label and that the config does not name. */
int hints_add(struct pool_parts *parts, const struct pool_how *how)
{
	char *line, *rest;

	parts->hints = rest = hints_read(how);
	while ((line = strsep(&rest, "\n"))) {
		struct disks_entry *more, entry = { .path = line };
		const struct member *own = NULL;
		struct label label;
		int r;

		if (*line != '/' || hints_known(parts, line))
			continue;
		r = label_read(how->os, line, &label, NULL);
		/* of a newer program: opening it says by name why not */
		if (r < 0 && r != -EOPNOTSUPP)
			continue;
		if (r >= 0)
			own = label_member(&label, label.disk_id);
		entry.role = own ? own->role : MEMBER_STORES | MEMBER_LOGS;
		entry.limit_bytes = own ? own->limit_bytes : 0;
		if (r >= 0)
			label_done(&label);
		more = (struct disks_entry *)realloc(
		    parts->entries, (parts->n_entries + 1) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		parts->entries = more;
		more[parts->n_entries++] = entry;
	}
	return 0;
}

static int hints_write(const struct pool_how *how, const char *path,
		       const char *fresh, const struct buf *text)
{
	const struct dynfs_os *os = how->os;
	const char *dir = how->conf->pool.dir;
	struct iovec iov = { text->data, text->len };
	int fd = os->open(
	    os, fresh, DYNFS_OS_RDWR | DYNFS_OS_CREATE | DYNFS_OS_TRUNC, 0644);
	int r;

	if (fd < 0)
		return fd;
	if (os->pwritev(os, fd, &iov, 1, 0) != (ssize_t)text->len)
		r = -EIO;
	else
		/* of a pool without disks in the config there is no other word */
		r = os->sync(os, fd);
	(void)os->close(os, fd);
	if (r >= 0)
		r = os->rename(os, fresh, path);
	return r < 0 ? r : os->syncdir(os, dir);
}

void hints_save(struct pool *p)
{
	char *path = str_path(p->how.conf->pool.dir, HINTS_FILE);
	char *fresh = path ? str_printf("%s.new", path) : NULL;
	AUTOBUF struct buf text = BUF_INIT;
	int r;

	for (uint32_t i = 0; i < disks_count(p->disks); ++i) {
		const struct disk *k = disks_at(p->disks, i);
		uint32_t state = atomic_load(&k->state);

		if (k->path &&
		    (state == MEMBER_ACTIVE || state == MEMBER_DRAINING))
			buf_printf(&text, "%s\n", k->path);
	}
	r = fresh && !buf_error(&text)
		? hints_write(&p->how, path, fresh, &text)
		: -ENOMEM;
	if (r < 0)
		log_debug("pool", "the list of disk paths is not written: %s",
			  strerrordesc_np(-r));
	free(fresh);
	free(path);
}
