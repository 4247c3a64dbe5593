/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of the simulated disks.  A directory has two maps, what is seen and
 * what is durable, and between them stands one queue of changes.  A change
 * is one or two edits (a rename is two) that become durable together: when
 * one of its directories is synced, or by a coin in a crash.
 */
#include "simos_priv.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct sim_node *sim_node_new(struct simos *s, struct sim_node *up, bool is_dir,
			      uint32_t mode)
{
	struct sim_node *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->refs = 1;
	n->is_dir = is_dir;
	n->mode = mode;
	n->up = is_dir ? up : NULL;
	n->disk = up ? up->disk : NULL;
	n->ino = s->next_ino++;
	n->mtime_ns = (int64_t)s->clock_ns;
	n->locked_by = -1;
	n->next = s->nodes;
	if (s->nodes)
		s->nodes->prev = n;
	s->nodes = n;
	return n;
}

void sim_node_weigh(struct sim_node *n)
{
	bool hide = !n->n_links && !n->n_open;

	if (hide == n->hidden)
		return;
	n->hidden = hide;
	if (hide)
		n->disk->used -= n->n_alloc * SIM_PAGE;
	else
		n->disk->used += n->n_alloc * SIM_PAGE;
}

void sim_node_get(struct sim_node *n)
{
	n->refs++;
}

void sim_node_put(struct simos *s, struct sim_node *n)
{
	if (!n || --n->refs)
		return;
	sim_map_free(s, &n->now);
	sim_map_free(s, &n->was);
	sim_file_free(n);
	if (n->next)
		n->next->prev = n->prev;
	if (n->prev)
		n->prev->next = n->next;
	else
		s->nodes = n->next;
	free(n);
}

/* Index of name, or of where it belongs. */
static size_t map_search(const struct sim_map *m, const char *name,
			 bool *ret_found)
{
	size_t lo = 0, hi = m->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = strcmp(m->v[mid].name, name);

		if (!c) {
			*ret_found = true;
			return mid;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*ret_found = false;
	return lo;
}

struct sim_node *sim_map_find(const struct sim_map *m, const char *name)
{
	bool found;
	size_t i = map_search(m, name, &found);

	return found ? m->v[i].node : NULL;
}

int sim_map_set(struct simos *s, struct sim_map *m, const char *name,
		struct sim_node *node)
{
	bool found;
	size_t i = map_search(m, name, &found);
	char *copy;

	if (found) {
		struct sim_node *old = m->v[i].node;

		sim_node_get(node);
		m->v[i].node = node;
		sim_node_put(s, old);
		return 0;
	}
	if (m->n == m->cap) {
		size_t cap = m->cap ? 2 * m->cap : 8;
		struct sim_ent *v = realloc(m->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		m->v = v;
		m->cap = cap;
	}
	copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	memmove(m->v + i + 1, m->v + i, (m->n - i) * sizeof(*m->v));
	m->v[i] = (struct sim_ent){ copy, node };
	sim_node_get(node);
	m->n++;
	return 0;
}

void sim_map_del(struct simos *s, struct sim_map *m, const char *name)
{
	bool found;
	size_t i = map_search(m, name, &found);
	struct sim_ent e;

	if (!found)
		return;
	e = m->v[i];
	memmove(m->v + i, m->v + i + 1, (m->n - i - 1) * sizeof(*m->v));
	m->n--;
	free(e.name);
	sim_node_put(s, e.node);
}

void sim_map_free(struct simos *s, struct sim_map *m)
{
	struct sim_map old = *m;

	memset(m, 0, sizeof(*m));
	for (size_t i = 0; i < old.n; i++) {
		free(old.v[i].name);
		sim_node_put(s, old.v[i].node);
	}
	free(old.v);
}

/* The next name of *path into name: 1, 0 at the end, or an error. */
static int path_step(const char **path, char *name)
{
	const char *p = *path;
	size_t n;

	for (;;) {
		while (*p == '/')
			p++;
		n = strcspn(p, "/");
		if (n != 1 || *p != '.')
			break;
		p++;
	}
	if (!n)
		return 0;
	if (n > 255)
		return -ENAMETOOLONG;
	memcpy(name, p, n);
	name[n] = 0;
	*path = p + n;
	return 1;
}

static struct sim_node *step_into(struct sim_node *at, const char *name)
{
	if (!strcmp(name, ".."))
		return at->up ? at->up : at;
	return sim_map_find(&at->now, name);
}

struct sim_node *sim_lookup(struct simos *s, const char *path, int *ret_err)
{
	struct sim_node *at = s->root;
	char name[256];
	int r;

	while ((r = path_step(&path, name)) > 0) {
		if (at->disk->gone) {
			*ret_err = at->disk->gone;
			return NULL;
		}
		if (!at->is_dir) {
			*ret_err = -ENOTDIR;
			return NULL;
		}
		at = step_into(at, name);
		if (!at) {
			*ret_err = -ENOENT;
			return NULL;
		}
	}
	if (!r && at->disk->gone)
		r = at->disk->gone;
	if (r < 0) {
		*ret_err = r;
		return NULL;
	}
	return at;
}

struct sim_node *sim_lookup_parent(struct simos *s, const char *path,
				   char *name, int *ret_err)
{
	const char *end = path + strlen(path), *base;
	struct sim_node *dir;
	char *head;
	int r;

	while (end > path && end[-1] == '/')
		end--;
	base = end;
	while (base > path && base[-1] != '/')
		base--;
	r = path_step(&base, name);
	if (r <= 0 || !strcmp(name, "..")) {
		*ret_err = r < 0 ? r : -EINVAL;
		return NULL;
	}
	head = strndup(path, (size_t)(base - path) - strlen(name));
	if (!head) {
		*ret_err = -ENOMEM;
		return NULL;
	}
	dir = sim_lookup(s, head, ret_err);
	free(head);
	if (dir && !dir->is_dir) {
		*ret_err = -ENOTDIR;
		return NULL;
	}
	return dir;
}

static void op_free(struct simos *s, struct sim_op *op)
{
	for (int i = 0; i < op->n_edit; i++) {
		free(op->edit[i].name);
		sim_node_put(s, op->edit[i].node);
		sim_node_put(s, op->edit[i].dir);
	}
	free(op);
}

static void edit_apply(struct simos *s, struct sim_map *m,
		       const struct sim_edit *e)
{
	if (e->node)
		(void)sim_map_set(s, m, e->name, e->node);
	else
		sim_map_del(s, m, e->name);
}

static void change_now(struct simos *s, const struct sim_edit *e)
{
	struct sim_node *old = sim_map_find(&e->dir->now, e->name);

	if (e->node)
		e->node->n_links++;
	if (old)
		sim_node_get(old);
	edit_apply(s, &e->dir->now, e);
	if (e->node)
		sim_node_weigh(e->node);
	if (old) {
		old->n_links--;
		sim_node_weigh(old);
		sim_node_put(s, old);
	}
}

int sim_change(struct simos *s, const struct sim_edit *edit, int n)
{
	struct sim_op *op = calloc(1, sizeof(*op));

	if (!op)
		return -ENOMEM;
	for (int i = 0; i < n; i++) {
		op->edit[i] = edit[i];
		op->edit[i].name = strdup(edit[i].name);
		op->n_edit++;
		sim_node_get(edit[i].dir);
		if (edit[i].node)
			sim_node_get(edit[i].node);
		if (!op->edit[i].name) {
			op_free(s, op);
			return -ENOMEM;
		}
	}
	for (int i = 0; i < n; i++) {
		change_now(s, &op->edit[i]);
		edit[i].dir->mtime_ns = (int64_t)s->clock_ns;
	}
	*s->ops_tail = op;
	s->ops_tail = &op->next;
	return 0;
}

/* An older change of a name that a durable one has replaced is void. */
static void ops_supersede(struct simos *s, const struct sim_edit *e,
			  const struct sim_op *until)
{
	for (struct sim_op *op = s->ops; op && op != until; op = op->next) {
		for (int i = 0; i < op->n_edit; i++) {
			struct sim_edit *o = &op->edit[i];

			if (o->dir != e->dir || strcmp(o->name, e->name) != 0)
				continue;
			free(o->name);
			sim_node_put(s, o->node);
			sim_node_put(s, o->dir);
			op->edit[i] = op->edit[--op->n_edit];
			i--;
		}
	}
}

static void op_apply(struct simos *s, struct sim_op *op)
{
	for (int i = 0; i < op->n_edit; i++) {
		edit_apply(s, &op->edit[i].dir->was, &op->edit[i]);
		ops_supersede(s, &op->edit[i], op);
	}
}

static bool op_touches(const struct sim_op *op, const struct sim_node *dir)
{
	for (int i = 0; i < op->n_edit; i++)
		if (op->edit[i].dir == dir)
			return true;
	return false;
}

/* op is *at. */
static void op_remove(struct simos *s, struct sim_op **at, struct sim_op *op)
{
	*at = op->next;
	if (s->ops_tail == &op->next)
		s->ops_tail = at;
	op_free(s, op);
}

int sim_dir_sync(struct simos *s, struct sim_node *dir)
{
	struct sim_op **at = &s->ops;

	struct sim_op *op;

	while ((op = *at)) {
		if (op_touches(op, dir)) {
			op_apply(s, op);
			op_remove(s, at, op);
		} else {
			at = &op->next;
		}
	}
	return 0;
}

void sim_disk_sync(struct simos *s, const struct sim_disk *disk, bool good)
{
	struct sim_op **at = &s->ops;
	struct sim_op *op;

	while (good && (op = *at)) {
		if (op->n_edit && op->edit[0].dir->disk != disk) {
			at = &op->next;
			continue;
		}
		op_apply(s, op);
		op_remove(s, at, op);
	}
	for (struct sim_node *n = s->nodes; n; n = n->next) {
		if (n->disk != disk || n->is_dir)
			continue;
		if (good)
			sim_file_sync(n);
		else
			sim_file_fail(n, s->lost, &s->rng);
	}
}

void sim_ops_free(struct simos *s)
{
	struct sim_op *op, *next;

	for (op = s->ops; op; op = next) {
		next = op->next;
		op_free(s, op);
	}
	s->ops = NULL;
	s->ops_tail = &s->ops;
}

static void dir_revert(struct simos *s, struct sim_node *dir)
{
	struct sim_map m = { 0 };

	for (size_t i = 0; i < dir->was.n; i++) {
		dir->was.v[i].node->n_links++;
		(void)sim_map_set(s, &m, dir->was.v[i].name,
				  dir->was.v[i].node);
	}
	for (size_t i = 0; i < dir->now.n; i++)
		dir->now.v[i].node->n_links--;
	sim_map_free(s, &dir->now);
	dir->now = m;
	for (size_t i = 0; i < m.n; i++)
		if (m.v[i].node->is_dir)
			m.v[i].node->up = dir;
}

void sim_tree_crash(struct simos *s, struct sim_disk *only,
		    enum simos_survival how, uint64_t *rng)
{
	struct sim_op **at = &s->ops;
	struct sim_node *n, *next;

	while (*at) {
		struct sim_op *op = *at;

		if (op->n_edit && only && op->edit[0].dir->disk != only) {
			at = &op->next;
			continue;
		}
		if (how == SIMOS_KEEP ||
		    (how == SIMOS_COIN && (sim_rand(rng) & 1)))
			op_apply(s, op);
		op_remove(s, at, op);
	}
	for (n = s->nodes; n; n = n->next) {
		sim_node_get(n);
		/* all count while pages come and go */
		n->n_open++;
		sim_node_weigh(n);
	}
	for (n = s->nodes; n; n = n->next) {
		if (only && n->disk != only)
			continue;
		if (n->is_dir)
			dir_revert(s, n);
		else
			sim_file_crash(n, how, rng);
	}
	/* Freeing one may free others, but only those whose turn is over. */
	for (n = s->nodes; n; n = next) {
		next = n->next;
		n->n_open--;
		sim_node_weigh(n);
		sim_node_put(s, n);
	}
}
